"""IndicVoices: the raw release with its segments, marks and interviewer, and the Parquet files of finished segments."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fuzzing import fuzz, places, spoil
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.audio.waveform import read_info, read_waveform
from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "indicvoices")
RATE = 16_000

PERSON = {
    "speaker_id": "S42", "scenario": "Extempore", "task_name": "Topics of interest", "gender": "Female", "age_group": "18-30",
    "job_type": "Full Time", "qualification": "Graduate", "area": "Rural", "district": "Gaya", "state": "Bihar", "occupation": "Teacher",
}  # fmt: skip
SEGMENTS = [
    (-0.2, 1.0, "मैं [noise] घर जा रहा हूँ।", "मैं [noise] घर जा रहा हूँ।", 0),
    (1.0, 1.6, "क्यों", "क्यों", 1),
    (2.0, 3.25, "ATM (laughs) बीस रुपये", "एटीएम बीस रुपये", 0),
    (3.5, 4.0, "[Persistent-noise-start]", "[Persistent-noise-start]", 0),
    (4.0, 5.0, "हाँ [Unintelligible]", "हाँ [unintelligible]", 0),
    (5.0, 5.02, "उम", "उम", 0),
]


def segments(column: int, rows: list[Any] = SEGMENTS) -> list[dict[str, Any]]:
    return [{"start": row[0], "end": row[1], "text": row[column], "speaker_id": row[4]} for row in rows]


def write(folder: Path, stem: str, told: dict[str, Any], *, step: int = 1, seconds: float = 6.0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    samples = ((np.arange(round(seconds * RATE)) * step) % 60_000 - 30_000).astype(np.int16)
    soundfile.write(folder / f"{stem}.wav", samples, RATE, subtype="PCM_16")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = tmp_path / "indicvoices_raw/Hindi"
    write(root / "v1/train", "2814", {**PERSON, "verbatim": segments(2), "normalized": segments(3)})
    for number, speaker in enumerate(("S43", "S44")):
        one = [(0.5, 1.5, "एक", "एक", 0)]
        told = {**PERSON, "speaker_id": speaker, "verbatim": segments(2, one), "normalized": segments(3, one)}
        write(root / ("v1/train" if number else "v1/valid"), f"300{number}", told, step=number + 2)
    (root / "v1/train/._2814.json").write_text("junk")
    return root


def prepare(corpus: Path, out: Path, values: dict[str, Any] | None = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(corpus, out, PrepareOptions(**options), script.Settings(**(values or {})))
    return report


def test_segments_become_utterances_with_everything_the_corpus_says(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"empty-text": 1, "interviewer": 1, "out-of-range": 1, "unintelligible": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 8
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 3, "dev": 1}
    first, second, _ = Manifest.read(tmp_path / "out/train.jsonl")
    assert (first.id, first.text, first.text_raw) == ("indicvoices-2814_chunk_1", "मैं घर जा रहा हूँ।", "मैं [noise] घर जा रहा हूँ।")
    assert (first.speaker, first.gender, first.age, first.region) == ("indicvoices:S42", "female", "18-30", "Bihar")
    assert (first.language, first.split, first.recording, first.duration) == ("hi", "train", "indicvoices:2814", 1.0)
    assert (first.accent, first.accent_raw, first.l1) == (None, None, None)
    assert first.meta == {"scenario": "Extempore", "task_name": "Topics of interest"}
    assert (second.text, second.duration) == ("एटीएम बीस रुपये", 1.25)
    source = corpus / "v1/train/2814.wav"
    np.testing.assert_array_equal(read_waveform(tmp_path / "out" / second.audio_filepath), read_waveform(source, offset=2.0, duration=1.25))
    info = read_info(tmp_path / "out" / first.audio_filepath)
    assert (info.sampling_rate, info.channels, info.format) == (16_000, 1, "FLAC")
    written = (tmp_path / "out/train.jsonl").read_text()
    assert not [word for word in ("Gaya", "Teacher", "Graduate", "Rural") if word in written]


def test_the_other_text_may_be_chosen(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", {"text": "verbatim"})
    assert Manifest.read(tmp_path / "out/train.jsonl")[1].text == "ATM बीस रुपये"
    assert report.kept == 4
    with pytest.raises(MisuseError, match='text="words": must be one of normalized, verbatim'):
        prepare(corpus, tmp_path / "out", {"text": "words"})


def test_defects_are_counted_by_reason(corpus: Path, tmp_path: Path) -> None:
    folder = corpus / "v1/train"
    write(folder, "9001", {**PERSON, "normalized": [{"text": "वह", "speaker_id": 0}, 7, {"start": "x", "end": 2, "text": "वह"}]}, step=5)
    write(folder, "9002", {**PERSON, "normalized": segments(3, [(5.0, 6.3, "बाद", "बाद", 0), (7.0, 8.0, "बाद", "बाद", 0)])}, step=6)
    write(folder, "9003", {**PERSON, "normalized": segments(3, [(0.0, 1.0, "वह", "वह", 0)])}, step=7)
    (folder / "9003.wav").unlink()
    (folder / "9004.json").write_text("[1]")
    (folder / "9005.json").write_bytes(b"\xff\xfe")
    (folder / "9006.json").write_text('{"verbatim": []}')
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"broken-file": 3, "empty-text": 1, "interviewer": 1, "missing": 1, "out-of-range": 5, "unintelligible": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 17
    assert report.repairs == {"segment end beyond its recording, shortened": 1}
    assert report.dropped_examples["broken-file"][0] == (
        'v1/train/9004.json: no JSON object with a list "normalized". Download it again, or remove it.'
    )


def test_a_recording_elsewhere_is_not_read(corpus: Path, tmp_path: Path) -> None:
    folder = corpus / "v1/train"
    (folder / "3001.wav").rename(tmp_path / "elsewhere.wav")
    (folder / "3001.wav").symlink_to(tmp_path / "elsewhere.wav")
    assert prepare(corpus, tmp_path / "out").dropped["outside-corpus"] == 1


def test_one_language_at_a_time(corpus: Path, tmp_path: Path) -> None:
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 4
    assert prepare(corpus / "v1", tmp_path / "out", dry_run=True).corpus.language == "hi"
    write(corpus.parent / "Urdu/v1/train", "1", {**PERSON, "normalized": []})
    with pytest.raises(CorpusError, match=r"holds several languages: Hindi, Urdu\. Give the folder of one of them"):
        prepare(corpus.parent, tmp_path / "out")
    (corpus / "v1").rename(tmp_path / "v1")
    with pytest.raises(CorpusError, match=r"no folder is named as one of the 22 languages, such as Hindi\. Name the language: --set language=hi"):
        prepare(tmp_path / "v1", tmp_path / "out")
    assert prepare(tmp_path / "v1", tmp_path / "out", {"language": "bho"}, dry_run=True).corpus.language == "bho"
    with pytest.raises(
        CorpusError, match=r"does not look like IndicVoices; looked for train/\*\.json, valid/\*\.json and \*\.parquet, found: no such folder"
    ):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty/clips").mkdir(parents=True)
    with pytest.raises(CorpusError, match="found: clips"):
        prepare(tmp_path / "empty", tmp_path / "out")


def test_parquet_holds_finished_segments(corpus: Path, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    pq = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    prepare(corpus, tmp_path / "raw")
    rows = []
    for name in ("train", "dev"):
        for u in Manifest.read(tmp_path / f"raw/{name}.jsonl"):
            data = (tmp_path / "raw" / u.audio_filepath).read_bytes()
            speaker = str(u.speaker).removeprefix("indicvoices:")
            stem = u.id.removeprefix("indicvoices-")
            audio = {"bytes": data, "path": f"{stem}.wav"}
            texts = {"text": "not this", "verbatim": f"{u.text} v", "normalized": u.text_raw}
            rows.append((name, {"audio_filepath": audio, **texts, "lang": "hi", "samples": 1, **PERSON, "speaker_id": speaker}))
    rows.append(("train", {**rows[0][1], "audio_filepath": {"bytes": b"", "path": None}, "normalized": "[unintelligible]"}))
    folder = tmp_path / "hub/hindi"
    folder.mkdir(parents=True)
    for split, name in (("train", "train"), ("dev", "valid")):
        pq.write_table(pa.Table.from_pylist([row for part, row in rows if part == split]), folder / f"{name}-00000-of-00001.parquet")
    report = prepare(tmp_path / "hub", tmp_path / "two")
    assert report.dropped == {"unintelligible": 1}
    for name in ("train", "dev"):
        assert (tmp_path / f"two/{name}.jsonl").read_bytes() == (tmp_path / f"raw/{name}.jsonl").read_bytes()


def test_again_and_after_an_interruption_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(corpus, out)
    before = {path: path.read_bytes() for path in [out / "train.jsonl", out / "dev.jsonl", *(out / "audio").iterdir()]}
    prepare(corpus, out)
    assert {path: path.read_bytes() for path in before} == before
    (out / "dev.jsonl").unlink()
    for path in list(before)[2:4]:
        path.write_bytes(path.read_bytes()[:60])
    prepare(corpus, out)
    assert {path: path.read_bytes() for path in before} == before


values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.lists(st.integers(), max_size=2), st.just("[noise]"))
segment = st.one_of(values, st.fixed_dictionaries({}, optional=dict.fromkeys(("start", "end", "text", "speaker_id"), values)))
told = st.fixed_dictionaries(
    {"normalized": st.lists(segment, max_size=4)}, optional={"verbatim": st.lists(segment, max_size=4), "speaker_id": values, "state": values}
)


def segments_in(data: bytes) -> int | None:
    """Elements of the list of segments; None where the file is no JSON object with such a list, or holds half a character."""
    try:
        read = json.loads(data.decode("utf-8-sig"))
        json.dumps(read, ensure_ascii=False).encode()
    except ValueError:
        return None
    found = read.get("normalized") if isinstance(read, dict) else None
    return len(found) if isinstance(found, list) else None


@fuzz()
@given(told=told, damage=st.just([]) | places)
def test_no_segment_of_a_spoilt_file_is_lost(corpus: Path, tmp_path: Path, told: Any, damage: list[tuple[float, int, bytes | str]]) -> None:
    data = spoil(json.dumps(told).encode(), damage)
    (corpus / "v1/train/3001.json").write_bytes(data)
    report = prepare(corpus, tmp_path / "out", dry_run=True, allow_missing=True)
    others, found = len(SEGMENTS) + 1, segments_in(data)
    assert report.rows_read == report.kept + sum(report.dropped.values()) == others + (1 if found is None else found)
    if found is None:
        message = 'v1/train/3001.json: no JSON object with a list "normalized". Download it again, or remove it.'
        assert report.dropped_examples["broken-file"] == (message,)
    else:
        assert "broken-file" not in report.dropped
