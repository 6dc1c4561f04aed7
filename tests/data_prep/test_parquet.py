"""Parquet and Arrow: written by the real `datasets`, read without it; audio inside, beside, missing and damaged."""

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.audio.waveform import read_info, read_waveform
from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MissingExtraError, MisuseError
from speechadapt.preparation import Intake, PrepareOptions, PrepReport
from speechadapt.preparation.fields import split_of_name
from speechadapt.preparation.parquet import PackedFile, find_packed, read_packed

pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
script: Any = load_bundled("data_prep", "parquet")

AUDIO = pa.struct({"bytes": pa.binary(), "path": pa.string()})
Sound = Callable[..., bytes]


@pytest.fixture
def sound(tmp_path: Path, write_tone: Any) -> Sound:
    def make(seed: int, seconds: float = 0.6, **options: Any) -> bytes:
        return bytes(write_tone(tmp_path / f"tones/{seed}.wav", seconds, seed=seed, **options).read_bytes())

    return make


def table(audio: list[Any], **columns: list[Any]) -> Any:
    return pa.table({"audio": pa.array(audio, type=AUDIO), **columns})


def make_dataset(audio: list[Any], genders: list[int], **columns: list[Any]) -> Any:
    """A real Dataset; its audio is cast, not encoded, as encoding needs a package that decodes video too."""
    datasets = pytest.importorskip("datasets", reason="datasets writes what is read here")
    datasets.disable_progress_bars()
    features = datasets.ClassLabel(names=["male", "female", "other"])
    made = datasets.Dataset(table(audio, gender=genders, **columns))
    return made.cast_column("audio", datasets.Audio(sampling_rate=16_000)).cast_column("gender", features)


def dataset_of(split: str, sound: Sound, first: int) -> Any:
    numbers = range(first, first + 3)
    return make_dataset(
        [{"bytes": sound(number), "path": f"{split}_{number}.wav"} for number in numbers],
        [0, 1, -1],
        sentence=["Put the kettle on.", "NA", f"Line {first}"],
        speaker_id=["007", "NA", None],
        votes=[2, None, 0],
        tags=[["a", "b"], [], None],
    )


def prepare(source: Path, out: Path, values: dict[str, Any] | None = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(**(values or {})))
    return report


@pytest.fixture
def hub(tmp_path: Path, sound: Sound) -> Path:
    """The layout of the Hub: two shards of train, one of validation, one of test."""
    root = tmp_path / "hub/data"
    root.mkdir(parents=True)
    train = dataset_of("train", sound, 10)
    for shard in range(2):
        train.shard(2, shard).to_parquet(str(root / f"train-{shard:05d}-of-00002.parquet"))
    dataset_of("validation", sound, 20).to_parquet(str(root / "validation-00000-of-00001.parquet"))
    dataset_of("test", sound, 30).to_parquet(str(root / "test-00000-of-00001.parquet"))
    (tmp_path / "hub/README.md").write_text("a card")
    return tmp_path / "hub"


def manifests(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.jsonl"))}


def test_a_hub_dataset_keeps_its_splits_strings_and_sounds(hub: Path, tmp_path: Path) -> None:
    report = prepare(hub, tmp_path / "out", {"language": "en", "name": "mine"})
    assert (report.rows_read, report.kept, report.dropped, report.repairs) == (9, 9, {}, {})
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 3, "dev": 3, "test": 3}
    first, second, third = Manifest.read(tmp_path / "out/train.jsonl")
    assert (first.id, first.text, first.text_raw) == ("mine-train_10", "Put the kettle on.", "Put the kettle on.")
    assert (first.speaker, first.gender, first.language, first.split) == ("mine:007", "male", "en", "train")
    assert first.meta == {"votes": "2", "tags": '["a", "b"]'}
    assert (second.text, second.speaker, second.gender, second.meta) == ("NA", "mine:NA", "female", {"tags": "[]"})
    assert (third.speaker, third.gender) == (None, None)
    assert first.duration == 0.6
    info = read_info(tmp_path / "out" / first.audio_filepath)
    assert (info.sampling_rate, info.channels, info.format) == (16_000, 1, "FLAC")
    np.testing.assert_array_equal(read_waveform(tmp_path / "out" / first.audio_filepath), read_waveform(tmp_path / "tones/10.wav"))


def test_a_saved_folder_gives_the_same_rows(hub: Path, tmp_path: Path, sound: Sound) -> None:
    datasets = pytest.importorskip("datasets")
    parts = {split: dataset_of(split, sound, first) for split, first in (("train", 10), ("validation", 20), ("test", 30))}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"), num_shards={"train": 2, "validation": 1, "test": 1})
    assert sorted(path.suffix for path in (tmp_path / "saved/train").iterdir()) == [".arrow", ".arrow", ".json", ".json"]
    prepare(hub, tmp_path / "one")
    prepare(tmp_path / "saved", tmp_path / "two")
    assert manifests(tmp_path / "one") == manifests(tmp_path / "two")
    audio = [{path.name: path.read_bytes() for path in (tmp_path / out / "audio").iterdir()} for out in ("one", "two")]
    assert audio[0] == audio[1]


def test_running_again_and_after_an_interruption_gives_the_same_bytes(hub: Path, tmp_path: Path) -> None:
    prepare(hub, tmp_path / "out")
    before = manifests(tmp_path / "out")
    sounds = {path.name: path.read_bytes() for path in (tmp_path / "out/audio").iterdir()}
    prepare(hub, tmp_path / "out")
    assert manifests(tmp_path / "out") == before
    (tmp_path / "out/train.jsonl").unlink()
    broken, lost = sorted((tmp_path / "out/audio").iterdir())[:2]
    broken.write_bytes(broken.read_bytes()[:100])
    lost.unlink()
    prepare(hub, tmp_path / "out")
    assert manifests(tmp_path / "out") == before
    assert {path.name: path.read_bytes() for path in (tmp_path / "out/audio").iterdir()} == sounds


def test_files_that_are_not_of_the_table_are_left_alone(tmp_path: Path, sound: Sound) -> None:
    folder = tmp_path / "saved"
    dataset_of("x", sound, 10).save_to_disk(str(folder))
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "_split": "test"}))
    data = (folder / "data-00000-of-00001.arrow").read_bytes()
    for name in ("data-00007-of-00009.arrow", "cache-0123456789abcdef.arrow", "._data-00000-of-00001.arrow"):
        (folder / name).write_bytes(data)
    report = prepare(folder, tmp_path / "out")
    assert (report.rows_read, report.kept, report.manifests) == (3, 3, ("test.jsonl",))


def test_recordings_beside_the_table_are_read_and_others_refused(tmp_path: Path, sound: Sound, write_tone: Any) -> None:
    write_tone(tmp_path / "hub/clips/a.wav", 0.7, seed=1)
    write_tone(tmp_path / "secret.wav", 0.7, seed=2)
    names = ["clips/a.wav", "../secret.wav", str(tmp_path / "secret.wav"), "clips/gone.wav", None]
    rows = table([{"bytes": None, "path": name} for name in names] + [{"bytes": sound(5), "path": "b.wav"}], text=["one"] * 6, id=list("abcdef"))
    pq.write_table(rows, tmp_path / "hub/train.parquet")
    report = prepare(tmp_path / "hub", tmp_path / "out")
    assert report.dropped == {"missing": 2, "outside-corpus": 2}
    assert report.rows_read == report.kept + 4 == 6
    assert report.dropped_examples["missing"][1] == (
        'row "parquet-e": the column "audio" holds neither bytes nor a path. Correct the row. (train.parquet, row 5)'
    )
    assert [u.duration for u in Manifest.read(tmp_path / "out/train.jsonl")] == [0.7, 0.6]


def test_a_table_that_only_names_its_recordings(tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "hub/clips/a.WAV", 0.7, seed=1)
    pq.write_table(pa.table({"file_name": ["clips/a.wav", "../x.wav"], "transcription": ["one", "two"]}), tmp_path / "hub/metadata.parquet")
    report = prepare(tmp_path / "hub", tmp_path / "out")
    assert (report.kept, report.dropped) == (1, {"outside-corpus": 1})


def test_defects_are_counted_by_reason(tmp_path: Path, sound: Sound) -> None:
    whole = sound(1)
    audio = [whole, b"", b"no recording at all", whole[:9000], sound(2, sampling_rate=8000), sound(3, 0.2), sound(4), sound(5)]
    texts = ["one", "two", "three", "four", "five", "six", "", "seven"]
    rows = table([{"bytes": data, "path": None} for data in audio], text=texts, id=[f"r{number}" for number in range(7)] + ["r0"])
    (tmp_path / "hub").mkdir()
    pq.write_table(rows, tmp_path / "hub/train.parquet", row_group_size=3)
    report = prepare(tmp_path / "hub", tmp_path / "out", allow_missing=True)
    assert report.dropped == {"duplicate-id": 1, "empty": 1, "empty-text": 1, "not-audio": 1, "too-short": 1, "truncated": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 8
    assert report.warnings == {"narrow-band": 1}
    assert [(u.id, u.meta) for u in Manifest.read(tmp_path / "out/train.jsonl")] == [("parquet-r0", {}), ("parquet-r4", {"bandwidth": "narrow"})]
    assert report.dropped_examples["truncated"][0].endswith("are missing at its end. Replace the file. (train.parquet, row 4)")


def test_text_that_is_no_utf8_costs_its_row_only(tmp_path: Path, sound: Sound) -> None:
    text = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(np.array([0, 2, 5], np.int32).tobytes()), pa.py_buffer(b"\xff\xfeyes")])
    (tmp_path / "hub").mkdir()
    pq.write_table(table([{"bytes": sound(n), "path": f"{n}.wav"} for n in range(2)], text=text), tmp_path / "hub/test.parquet")
    report = prepare(tmp_path / "hub", tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped) == (2, 1, {"undecodable": 1})
    assert [(drop.id, drop.split) for drop in report.test_dropped] == [("parquet-test-row1", "test")]


def test_segments_point_into_recordings_of_the_table(tmp_path: Path, sound: Sound) -> None:
    (tmp_path / "hub").mkdir()
    audio = [{"bytes": sound(1, 3.0), "path": "talk.wav"}] * 2
    pq.write_table(table(audio, text=["one", "two"], start=[0.5, 2.9], end=[1.25, 3.9]), tmp_path / "hub/a.parquet")
    report = prepare(tmp_path / "hub", tmp_path / "out")
    assert report.dropped == {"out-of-range": 1}
    (u,) = Manifest.read(tmp_path / "out/all.jsonl")
    assert (u.duration, u.recording) == (0.75, "parquet:talk.wav")
    expected = read_waveform(tmp_path / "tones/1.wav", offset=0.5, duration=0.75)
    np.testing.assert_array_equal(read_waveform(tmp_path / "out" / u.audio_filepath), expected)


def test_recipes_are_small_and_cross_processes(hub: Path, tmp_path: Path) -> None:
    rows = [row for file in find_packed(hub) for row in read_packed(file, hub, Intake())]
    packed = {row.values["audio"]: pickle.dumps(row.audio) for row in rows}
    assert max(map(len, packed.values())) < 1000
    assert len(packed) == 9
    assert all(pickle.loads(data)() == (tmp_path / f"tones/{name.split('_')[1]}").read_bytes() for name, data in packed.items())
    assert rows[0].place == "data/test-00000-of-00001.parquet, row 1"


def test_a_dry_run_writes_nothing_and_in_place_is_refused(hub: Path, tmp_path: Path) -> None:
    report = prepare(hub, tmp_path / "out", dry_run=True)
    assert (report.kept, report.hours, (tmp_path / "out").exists()) == (9, round(9 * 0.6 / 3600, 4), False)
    with pytest.raises(MisuseError, match="--in-place: this corpus makes its audio, or keeps it inside of other files"):
        prepare(hub, tmp_path / "out", in_place=True)


def test_folders_that_are_no_dataset_are_told(hub: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no dataset; looked for \*\.parquet and \*\.arrow, found: no such folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    for language in ("en", "de"):
        (tmp_path / "many" / language).mkdir(parents=True)
        pq.write_table(table([], text=pa.array([], pa.string())), tmp_path / "many" / language / "train.parquet")
    with pytest.raises(CorpusError, match=r"many: holds 2 tables, in de, en\. Give the folder of one of them"):
        prepare(tmp_path / "many", tmp_path / "out")
    with pytest.raises(CorpusError, match=r"1 files and no row in them"):
        prepare(tmp_path / "many/en", tmp_path / "out")
    with pytest.raises(CorpusError, match=r'no column "words"; there are: .*Correct the setting text_column'):
        prepare(hub, tmp_path / "out", {"text_column": "words"})
    with pytest.raises(CorpusError, match=r'no column "sound"; there are: .*Correct the setting audio_column'):
        prepare(hub, tmp_path / "out", {"audio_column": "sound"})


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a pointer of Git LFS, not the file itself"),
        ("a.parquet", b"PAR1 and then nothing", r"cannot be read as parquet \(.*\)\. Download it again"),
        ("a.parquet", b"", r"cannot be read as parquet \(.*\)\. Download it again"),
        ("a.arrow", b"nothing", r"cannot be read as arrow \(.*\)\. Download it again"),
    ],
)
def test_files_that_are_something_else_are_told(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / name).write_bytes(data)
    with pytest.raises(CorpusError, match=message):
        prepare(tmp_path / "hub", tmp_path / "out")


def test_without_pyarrow_the_extra_is_named(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"\(pyarrow\) is not installed\. Install it with: pip install 'speechadapt\[parquet\]'"):
        prepare(hub, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00002", "train"), ("validation.clean-00000-of-00001", "dev"), ("partial-train", "train"), ("globe-test", "test"),
        ("data-00000-of-00001", None), ("train-or-test", None), ("validated", None), ("contest", None),
    ],
)  # fmt: skip
def test_names_say_splits(name: str, split: str | None) -> None:
    assert split_of_name(name) == split


@fuzz(120)
@given(places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6), kind=st.sampled_from(["parquet", "arrow"]))
def test_damaged_files_are_errors_of_the_corpus(places: list[tuple[float, int]], kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"whole.{kind}"
    if not path.exists():
        rows = table([{"bytes": b"x" * 40, "path": f"{n}.wav"} for n in range(4)], text=["one", "two", None, "four"], n=[1, 2, 3, 4])
        if kind == "parquet":
            pq.write_table(rows, path, row_group_size=2)
        else:
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, rows.schema) as stream:
                stream.write_table(rows)
    data = bytearray(path.read_bytes())
    for place, value in places:
        data[int(place * len(data))] = value
    damaged = tmp_path / f"damaged.{kind}"
    damaged.write_bytes(data)
    intake = Intake()
    try:
        rows = list(read_packed(PackedFile(path=damaged), tmp_path, intake))
    except CorpusError:
        return
    assert len(rows) + len(intake.drops) <= 4
