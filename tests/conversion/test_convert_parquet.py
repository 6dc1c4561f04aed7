"""Parquet, read back by the real datasets: a column of audio, shards and row groups of bounded size."""

import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile
from prepared_folders import PIECES, make_manifest

from speechadapt.conversion import ConvertOptions, ConvertReport, convert_manifests
from speechadapt.errors import ManifestError, MissingExtraError

datasets = pytest.importorskip("datasets", reason="datasets reads what is written here")
parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")


def convert(data: Path, out: Path, **options: Any) -> ConvertReport:
    return convert_manifests([data], out, ConvertOptions(to="parquet", **options))


def load(tmp_path: Path, *names: str, **options: Any) -> Any:
    datasets.disable_progress_bars()
    return datasets.load_dataset(*names, cache_dir=str(tmp_path / "cache"), **options)


@pytest.mark.parametrize("way", ["by form", "by folder"])
def test_datasets_reads_splits_types_and_sounds(way: str, prepared: Path, tmp_path: Path) -> None:
    convert(prepared, tmp_path / "out")
    files = {split: str(tmp_path / f"out/data/{split}-*.parquet") for split in ("train", "validation", "test")}
    found = load(tmp_path, "parquet", data_files=files) if way == "by form" else load(tmp_path, str(tmp_path / "out"))
    assert {name: len(split) for name, split in found.items()} == {"train": 5, "validation": 1, "test": 1}
    for split in found.values():
        assert split.features["audio"] == datasets.Audio(sampling_rate=16_000)
        assert list(split.features) == [
            "audio", "transcription", "duration", "id", "text_raw", "speaker", "gender", "age", "accent", "accent_raw", "l1", "region", "language",
            "recording", "meta",
        ]  # fmt: skip
    rows = list(found["train"].cast_column("audio", datasets.Audio(decode=False)))
    assert [row["transcription"] for row in rows] == ["Put the kettle on, please.", "NA", "لا أعرف", "你好，世界", "first line\nsecond\tpart"]
    assert [row["speaker"] for row in rows] == ["mine:b", "mine:b", "mine:b-1", None, None]
    assert [row["audio"]["path"] for row in rows] == ["mine-007.flac", "mine-a_b_c.flac", "mine-A_b_c_2.flac", "mine-zh.flac", "mine-ab.flac"]
    assert [row["audio"]["bytes"] for row in rows] == [(prepared / f"audio/train{number}.flac").read_bytes() for number in range(5)]


def test_rows_that_are_not_divided_are_loaded_as_train(pointing: Path, tmp_path: Path) -> None:
    convert(pointing, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out/data").iterdir()] == ["all-00000-of-00001.parquet"]
    found = load(tmp_path, str(tmp_path / "out"))
    assert list(found) == ["train"]
    tape, _ = soundfile.read(tmp_path / "tapes/a/tape.wav", dtype="int16")
    for row in found["train"].cast_column("audio", datasets.Audio(decode=False)):
        (tmp_path / "cut").write_bytes(row["audio"]["bytes"])
        start, count = PIECES.get(row["id"], (0, 0))
        if count:
            assert soundfile.read(tmp_path / "cut", dtype="int16")[0].tolist() == tape[start : start + count].tolist()
        else:
            assert row["audio"]["bytes"] == (tmp_path / "tapes/b/tape.wav").read_bytes()


def test_shards_and_row_groups_are_bounded(tmp_path: Path, write_tone: Any) -> None:
    folder = tmp_path / "mine"
    size = write_tone(folder / "a.wav", 10.0).stat().st_size
    assert size == 320_044
    make_manifest(folder, "train", [{"id": f"u{number}", "text": str(number), "audio_filepath": "a.wav", "duration": 10.0} for number in range(10)])
    make_manifest(folder, "dev", [{"id": "d", "text": "d", "audio_filepath": "a.wav", "duration": 10.0}])
    convert(folder, tmp_path / "out", shard_size=1_000_000)
    files = sorted(path.name for path in (tmp_path / "out/data").iterdir())
    assert files == [*(f"train-{number:05d}-of-00004.parquet" for number in range(4)), "validation-00000-of-00001.parquet"]
    counts = [parquet.ParquetFile(tmp_path / "out/data" / name).metadata.num_rows for name in files]
    assert counts == [3, 3, 3, 1, 1]
    assert [row["id"] for row in load(tmp_path, str(tmp_path / "out"))["train"].remove_columns("audio")] == [f"u{number}" for number in range(10)]
    make_manifest(folder, "train", [{"id": f"u{number}", "text": str(number), "audio_filepath": "a.wav", "duration": 10.0} for number in range(120)])
    convert(folder, tmp_path / "out")
    (file,) = (tmp_path / "out/data").glob("train-*")
    metadata = parquet.ParquetFile(file).metadata
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [49, 49, 22]  # 16 MB of audio each


def test_a_recording_of_gigabytes_is_no_row(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    header = b"RIFF" + (1_200_000_036).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little") + (1).to_bytes(2, "little")
    header += (1).to_bytes(2, "little") + (16_000).to_bytes(4, "little") + (32_000).to_bytes(4, "little") + (2).to_bytes(2, "little")
    with (folder / "a.wav").open("wb") as file:
        file.write(header + (16).to_bytes(2, "little") + b"data" + (1_200_000_000).to_bytes(4, "little"))
        file.truncate(1_200_000_044)  # holes take no room on the disk
    make_manifest(folder, "all", [{"id": "a", "text": "a", "audio_filepath": "a.wav", "duration": 37_500.0}])
    with pytest.raises(ManifestError, match=r'utterance "a": 1.2 GB of audio in one row, at most 1 GB. Cut the recording into segments'):
        convert(folder, tmp_path / "out")


def test_without_pyarrow_the_extra_is_named(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'speechadapt\[parquet\]'"):
        convert(prepared, tmp_path / "out")
    assert not (tmp_path / "out").exists()
