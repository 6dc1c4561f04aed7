"""AudioFolder, read back by the real datasets: splits, texts that stay texts, recordings byte for byte."""

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import soundfile
from prepared_folders import PIECES, make_manifest

from speechadapt.conversion import ConvertOptions, ConvertReport, convert_manifests

datasets = pytest.importorskip("datasets", reason="datasets reads what is written here")


@pytest.fixture(autouse=True)
def stand_in_for_torchcodec(monkeypatch: pytest.MonkeyPatch) -> None:
    """From version 4 on datasets imports this package for every recording, but uses it for samples only, not for files."""
    if importlib.util.find_spec("torchcodec") is None:
        encoders = types.ModuleType("torchcodec.encoders")
        encoders.AudioEncoder = None  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "torchcodec", types.ModuleType("torchcodec"))
        monkeypatch.setitem(sys.modules, "torchcodec.encoders", encoders)


def convert(data: Path, out: Path, **options: Any) -> ConvertReport:
    return convert_manifests([data], out, ConvertOptions(to="audiofolder", **options))


def load(tmp_path: Path, *names: str, **options: Any) -> Any:
    datasets.disable_progress_bars()
    return datasets.load_dataset(*names, cache_dir=str(tmp_path / "cache"), **options)


@pytest.mark.parametrize("way", ["by form", "by folder"])
def test_datasets_reads_splits_texts_and_sounds(way: str, prepared: Path, tmp_path: Path) -> None:
    convert(prepared, tmp_path / "out")
    found = load(tmp_path, "audiofolder", data_dir=str(tmp_path / "out")) if way == "by form" else load(tmp_path, str(tmp_path / "out"))
    assert {name: len(split) for name, split in found.items()} == {"train": 5, "validation": 1, "test": 1}
    texts = {name for name, feature in found["train"].features.items() if feature == datasets.Value("string")}
    assert texts == {
        "transcription", "id", "text_raw", "speaker", "gender", "age", "accent", "accent_raw", "l1", "region", "language", "recording", "meta",
    }  # fmt: skip
    assert found["train"].features["duration"] == datasets.Value("float64")
    assert isinstance(found["train"].features["audio"], datasets.Audio)
    rows = list(found["train"].cast_column("audio", datasets.Audio(decode=False)))
    assert [row["transcription"] for row in rows] == ["Put the kettle on, please.", "NA", "لا أعرف", "你好，世界", "first line\nsecond\tpart"]
    assert [row["id"] for row in rows] == ["mine-007", "mine-a b|c", "mine-A b|c", "mine-zh", "mine-ab"]
    assert (rows[0]["age"], rows[0]["duration"], rows[3]["speaker"]) == ("30 to 39", 0.5, "")
    assert json.loads(rows[0]["meta"]) == {"votes": 2, "domain": "home", "scores": {"fluency": 7}}
    for number, row in enumerate(rows):
        assert Path(row["audio"]["path"]).read_bytes() == (prepared / f"audio/train{number}.flac").read_bytes()
    assert found["validation"]["transcription"][:] == ["007"]


def test_rows_that_are_not_divided_are_one_split(pointing: Path, tmp_path: Path) -> None:
    convert(pointing, tmp_path / "out")
    for found in (load(tmp_path, "audiofolder", data_dir=str(tmp_path / "out")), load(tmp_path, str(tmp_path / "out"))):
        assert list(found) == ["train"]
        rows = {row["id"]: row for row in found["train"].cast_column("audio", datasets.Audio(decode=False))}
        assert rows.keys() == {"left-1", "left-2", "left-3", "left-4"}
        for name, (start, count) in PIECES.items():
            cut, rate = soundfile.read(rows[name]["audio"]["path"], dtype="int16")
            tape, odd = soundfile.read(tmp_path / "tapes/a/tape.wav", dtype="int16")
            assert (rate, cut.tolist()) == (odd, tape[start : start + count].tolist())


def test_names_of_files_say_what_they_are_and_never_clash(tmp_path: Path, write_tone: Any) -> None:
    folder = tmp_path / "mine"
    for name in ("a/1.wav", "b/1.wav", "c/1.mp3"):
        write_tone(folder / name, 0.5, seed=ord(name[0]))
    (folder / "c/riff.mp3").write_bytes((folder / "a/1.wav").read_bytes())  # named otherwise than it is
    names = {"x/1": "a/1.wav", "x_1": "b/1.wav", "X/1": "c/1.mp3", "..": "c/riff.mp3", "é" * 300: "a/1.wav"}
    rows = [{"id": row, "text": row, "audio_filepath": name, "duration": soundfile.info(folder / name).duration} for row, name in names.items()]
    make_manifest(folder, "all", rows)
    convert(folder, tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out/metadata.jsonl").read_text().splitlines()]
    assert [line["file_name"] for line in lines] == [
        "audio/x_1.wav", "audio/x_1_2.wav", "audio/X_1_3.mp3", "audio/__.wav", f"audio/{'_' * 120}.wav",
    ]  # fmt: skip
    for line, name in zip(lines, names.values(), strict=True):
        assert (tmp_path / "out" / line["file_name"]).read_bytes() == (folder / name).read_bytes()
    assert len(load(tmp_path, "audiofolder", data_dir=str(tmp_path / "out"))["train"]) == 5


def test_a_column_of_dates_is_told(tmp_path: Path, write_tone: Any) -> None:
    folder = tmp_path / "mine"
    write_tone(folder / "a.wav", 0.5)
    row = {"text": "a line", "audio_filepath": "a.wav", "duration": 0.5}
    make_manifest(folder, "all", [dict(row, id="a", recording="2021-03-04"), dict(row, id="b", recording="2021-03-05")])
    report = convert(folder, tmp_path / "out")
    assert report.notes == (
        'all: every "recording" is a date, which datasets takes for a time and refuses where other splits differ; Parquet keeps text',
    )
    assert load(tmp_path, "audiofolder", data_dir=str(tmp_path / "out"))["train"].features["recording"].dtype.startswith("timestamp")
    make_manifest(folder, "all", [dict(row, id="a", recording="2021-03-04"), dict(row, id="b")])
    assert convert(folder, tmp_path / "out").notes == ()
    assert load(tmp_path / "2", "audiofolder", data_dir=str(tmp_path / "out"))["train"].features["recording"].dtype == "string"
