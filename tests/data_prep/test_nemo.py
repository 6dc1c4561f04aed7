"""NeMo manifests: byte-order marks, blank lines, wrong durations, segments, other tasks, and paths that stay where they belong."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fuzzing import fuzz, lines_in
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.audio.waveform import read_waveform
from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "nemo")
RATE = 16_000


def prepare(source: Path, out: Path, values: dict[str, Any] | None = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(**(values or {})))
    return report


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "corpus"
    for number in range(3):
        write_tone(root / f"wavs/{number:04d}.wav", 0.7 + 0.1 * number, seed=number)
    samples = (np.arange(10 * RATE) % 60_000 - 30_000).astype(np.int16)
    soundfile.write(root / "talk.wav", samples, RATE, subtype="PCM_16")
    return root


def test_one_manifest_with_everything_it_may_hold(folder: Path, tmp_path: Path) -> None:
    rows = [
        {
            "audio_filepath": "wavs/0000.wav", "duration": 0.7, "text": "Put the kettle on.", "speaker": 7, "gender": "F", "age": "34",
            "accent": "Scottish", "lang": "en", "id": "u0", "pnc": True, "score": 0.5, "words": ["put"], "empty": "", "nothing": None,
        },
        {"audio_filepath": "wavs/0001.wav", "duration": 3.5, "text": "NA", "id": "007"},
        {"audio_filepath": "talk.wav", "offset": 2.5, "duration": 1.25, "text": "and now", "id": "u2", "source_lang": "en", "target_lang": "en"},
        {"audio_filepath": "wavs\\0002.WAV", "text": "no duration", "id": "u3", "taskname": "asr", "meta": {"take": 2}},
    ]  # fmt: skip
    source = write_lines(folder / "all.json", rows)
    source.write_bytes(b"\xef\xbb\xbf\r\n" + source.read_bytes().replace(b"\n", b"\r\n\r\n"))
    report = prepare(source, tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped) == (4, 4, {})
    assert report.repairs == {"duration of the manifest wrong, measured instead": 1}
    written = {u.id: u for u in Manifest.read(tmp_path / "out/all.jsonl")}
    u = written["nemo-u0"]
    assert (u.text, u.text_raw, u.speaker, u.gender, u.age) == ("Put the kettle on.", "Put the kettle on.", "nemo:7", "female", "34")
    assert (u.accent_raw, u.language, u.split, u.recording, u.duration) == ("Scottish", "en", None, None, 0.7)
    assert u.meta == {"pnc": True, "score": 0.5, "words": ["put"]}
    assert (written["nemo-007"].text, written["nemo-007"].duration) == ("NA", 0.8)
    segment = written["nemo-u2"]
    assert (segment.duration, segment.recording, segment.language) == (1.25, "nemo:talk.wav", "en")
    expected = read_waveform(folder / "talk.wav", offset=2.5, duration=1.25)
    np.testing.assert_array_equal(read_waveform(tmp_path / "out" / segment.audio_filepath), expected)
    assert written["nemo-u3"].meta == {"taskname": "asr", "take": 2}


def test_a_folder_of_manifests_is_one_corpus_with_splits(folder: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("an4_train_manifest.json", "dev.jsonl", "test_manifest.jsonl")):
        write_lines(folder / name, [{"audio_filepath": f"wavs/{number:04d}.wav", "duration": 0.7 + 0.1 * number, "text": f"line {number}"}])
    (folder / "corpus.json").write_text('{"name": "not a manifest"}')
    report = prepare(folder, tmp_path / "out")
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 1, "dev": 1, "test": 1}
    assert report.repairs == {}
    (folder / "manifests").mkdir()
    for path in [*folder.glob("*.json"), *folder.glob("*.jsonl")]:
        path.rename(folder / "manifests" / path.name)
    moved = prepare(folder, tmp_path / "moved", {"audio_root": folder})
    assert moved.kept == 3
    assert (tmp_path / "moved/test.jsonl").read_bytes() == (tmp_path / "out/test.jsonl").read_bytes()


def test_what_this_program_writes_is_read_again(folder: Path, tmp_path: Path) -> None:
    rows = [
        {"audio_filepath": f"wavs/000{n}.wav", "text": f"Line {n}", "speaker": f"p{n}", "split": split, "take": n}
        for n, split in enumerate(["train", "dev", "test"])
    ]
    prepare(write_lines(folder / "a.jsonl", rows), tmp_path / "one", {"name": "first"})
    prepare(tmp_path / "one", tmp_path / "two", {"name": "again"})
    for split in ("train", "dev", "test"):
        (before,), (after,) = (Manifest.read(tmp_path / folder / f"{split}.jsonl") for folder in ("one", "two"))
        assert (after.id, after.speaker, after.text, after.meta) == (f"again-{before.id}", before.speaker, before.text, before.meta)
        assert (tmp_path / "one" / before.audio_filepath).read_bytes() == (tmp_path / "two" / after.audio_filepath).read_bytes()


def test_losses_are_counted_by_reason(folder: Path, tmp_path: Path) -> None:
    good = {"audio_filepath": "wavs/0000.wav", "text": "good", "id": "good"}
    rows = [
        good,
        {**good, "id": "silent", "text": ""},
        {**good, "id": "gone", "audio_filepath": "wavs/gone.wav"},
        {**good, "id": "none", "audio_filepath": None},
        {**good, "id": "late", "audio_filepath": "talk.wav", "offset": 11, "duration": 1},
        {**good, "id": "odd", "audio_filepath": "talk.wav", "offset": "soon", "duration": 1},
        {**good, "id": "backwards", "audio_filepath": "talk.wav", "offset": 1, "duration": -1},
        {**good, "id": "translated", "source_lang": "en", "target_lang": "de"},
        {**good, "id": "answered", "taskname": "qa"},
        good,
    ]
    source = write_lines(folder / "a.jsonl", rows)
    with source.open("a") as file:
        file.write('{"audio_filepath": "wavs/0001.wav", \n7\n"text"\n')
    report = prepare(source, tmp_path / "out")
    assert report.dropped == {"broken-line": 3, "duplicate-id": 1, "empty-text": 1, "missing": 2, "not-a-transcript": 2, "out-of-range": 3}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 13
    assert report.dropped_examples["not-a-transcript"] == (
        'row a.jsonl, line 8: it is spoken in "en" and written in "de", so its text is not what was said. Keep such rows out of the manifest.',
        'row a.jsonl, line 9: its task is "qa", so its text is not what was said. Keep such rows out of the manifest.',
    )


def test_paths_stay_in_their_folder_unless_another_is_trusted(folder: Path, tmp_path: Path, write_tone: Any) -> None:
    secret = write_tone(tmp_path / "secret.wav", 0.6, seed=9)
    rows = [{"audio_filepath": path, "text": "x"} for path in ("../secret.wav", str(secret), "/etc/hostname", "wavs/0000.wav")]
    source = write_lines(folder / "a.jsonl", rows)
    assert prepare(source, tmp_path / "out").dropped == {"outside-corpus": 3}
    trusted = prepare(source, tmp_path / "out2", {"audio_root": tmp_path})
    assert (trusted.kept, trusted.dropped) == (1, {"missing": 1, "outside-corpus": 2})


def test_one_array_is_refused_and_a_folder_without_manifests_told(folder: Path, tmp_path: Path) -> None:
    (folder / "a.json").write_text(json.dumps([{"audio_filepath": "wavs/0000.wav", "text": "x"}], indent=1))
    with pytest.raises(CorpusError, match=r"a\.json: one JSON list, expected one JSON object per line"):
        prepare(folder / "a.json", tmp_path / "out")
    (folder / "b.json").write_text("")
    with pytest.raises(
        CorpusError, match=r"no manifest; looked for train, dev and test in names that end in \.json or \.jsonl, found: a\.json, b\.json"
    ):
        prepare(folder, tmp_path / "out")
    with pytest.raises(CorpusError, match=r"b\.json: no line that can be read \(nothing was read\)\. It should be a file of JSON objects"):
        prepare(folder / "b.json", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such file or folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(CorpusError, match=r'no column "audio_filepath"; there are: wav, text'):
        prepare(write_lines(folder / "c.jsonl", [{"wav": "wavs/0000.wav", "text": "x"}]), tmp_path / "out")


def test_zipped_lines_and_text_under_another_name(folder: Path, tmp_path: Path) -> None:
    line = json.dumps({"audio_filepath": "wavs/0000.wav", "normalized_text": "hello"})
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    report = prepare(folder, tmp_path / "out")
    assert [u.text for u in Manifest.read(tmp_path / "out/all.jsonl")] == ["hello"]
    assert report.kept == 1
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(line.encode())[:-9])
    with pytest.raises(CorpusError, match=r"a\.jsonl\.gz: cannot be unpacked"):
        prepare(folder, tmp_path / "out")


def test_again_and_after_an_interruption_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    rows = [{"audio_filepath": f"wavs/000{n}.wav", "text": f"Line {n}"} for n in range(3)] + [
        {"audio_filepath": "talk.wav", "offset": n, "duration": 1, "text": f"part {n}"} for n in range(2)
    ]
    source, out = write_lines(folder / "a.jsonl", rows), tmp_path / "out"
    prepare(source, out)
    before = {path: path.read_bytes() for path in [out / "all.jsonl", *(out / "audio").iterdir()]}
    assert len(before) == 6
    for path in list(before)[:3]:
        path.write_bytes(path.read_bytes()[:50])
    prepare(source, out)
    assert {path: path.read_bytes() for path in before} == before


values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=2))
keys = st.sampled_from(["audio_filepath", "text", "duration", "offset", "id", "speaker", "lang", "split", "meta", "source_lang", "target_lang", "x"])
objects = st.dictionaries(keys, values, max_size=8).map(lambda row: json.dumps({"audio_filepath": "wavs/0000.wav", "text": "hi", **row}))
lines = st.lists(st.one_of(objects, objects.map(lambda line: line[: len(line) // 2]), st.text(max_size=20)), max_size=5)


@fuzz(120)
@given(lines=lines)
def test_any_lines_are_counted_or_refused(lines: list[str], folder: Path, tmp_path: Path) -> None:
    source = folder / "fuzz.jsonl"
    source.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    try:
        report = prepare(source, tmp_path / "out", dry_run=True, allow_missing=True)
    except CorpusError:
        return
    assert report.rows_read == report.kept + sum(report.dropped.values())
    assert report.rows_read == lines_in(source.read_bytes())
