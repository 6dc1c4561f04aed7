"""GLOBE: a miniature in the Parquet files it is published in, with its oddities and planted ones."""

from pathlib import Path
from typing import Any

import pytest

from speechadapt.audio.waveform import read_info
from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError
from speechadapt.preparation import PrepareOptions, PrepReport

pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
script: Any = load_bundled("data_prep", "globe")

AUDIO = pa.struct({"bytes": pa.binary(), "path": pa.string()})
PARTS = {"train-00000-of-00002": 3, "train-00001-of-00002": 2, "val-00000-of-00001": 2, "test-00000-of-00001": 2}


def make_rows(part: str, count: int, tones: Path, write_tone: Any, first: int) -> list[dict[str, Any]]:
    return [
        {
            "audio": {
                "bytes": write_tone(tones / f"{first + n}.wav", 0.6, seed=first + n, sampling_rate=24_000).read_bytes(),
                "path": f"c{first + n}.wav",
            },
            "speaker_id": f"S_{part[:2]}{n:04d}",
            "transcript": f"Sentence {n} of {part[:4]}.",
            "accent": ["United States English", "Scottish English", "Some German accent", "", None][n % 5],
            "duration": 0.6,
            "age": ["twenties", None][n % 2],
            "gender": ["female", "male", "other"][n % 3],
        }
        for n in range(count)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    pq.write_table(pa.table({**columns, "audio": pa.array(columns["audio"], type=AUDIO)}), path, row_group_size=2)


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    first = 1
    for part, count in PARTS.items():
        write(tmp_path / f"hub/GLOBE/data/{part}.parquet", make_rows(part, count, tmp_path / "tones", write_tone, first))
        first += count
    (tmp_path / "hub/GLOBE/README.md").write_text("a card")
    return tmp_path / "hub/GLOBE"


def prepare(corpus: Path, out: Path, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(corpus, out, PrepareOptions(**options))
    return report


def manifests(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.jsonl"))}


def test_rows_become_utterances_with_everything_the_corpus_says(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped) == (9, 9, {})
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 5, "dev": 2, "test": 2}
    rows = {u.id: u for name in ("train", "dev", "test") for u in Manifest.read(tmp_path / f"out/{name}.jsonl")}
    u = rows["globe-train-00000-of-00002-000000"]
    assert (u.text, u.text_raw, u.speaker, u.gender, u.age) == ("Sentence 0 of trai.", "Sentence 0 of trai.", "globe:S_tr0000", "female", "twenties")
    assert (u.accent, u.accent_raw, u.language, u.split) == ("en_us", "United States English", "en", "train")
    assert (u.duration, u.meta, u.recording, u.l1, u.region) == (0.6, {"clip": "c1.wav"}, None, None, None)
    info = read_info(tmp_path / "out" / u.audio_filepath)
    assert (info.sampling_rate, info.channels, info.format) == (16_000, 1, "FLAC")
    odd = rows["globe-train-00000-of-00002-000002"]
    assert (odd.accent, odd.accent_raw, odd.gender) == ("some_german_accent", "Some German accent", "other")
    assert rows["globe-train-00000-of-00002-000001"].age is None


def test_the_report_says_what_the_labels_are_worth(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert report.notes[:2] == script.NOTES
    assert report.corpus.license == "CC0"
    assert report.overlap["train-test"] == {
        "speakers": 0, "recordings": 0, "sentences": 0, "audio": 0, "ids": 0, "near_sentences": 0,
        "share_of_seen_sentences": 0.0, "examples": {},
        "train_rows_with_shared_sentence": 0, "test_rows_with_shared_sentence": 0,
    }  # fmt: skip


def test_defects_are_counted_and_test_losses_listed(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    rows = make_rows("test", 5, tmp_path / "tones", write_tone, 50)
    rows[0]["audio"]["bytes"] = None
    rows[1]["audio"]["bytes"] = rows[1]["audio"]["bytes"][:500]
    rows[2]["transcript"] = " ... "
    rows[3]["transcript"] = None
    rows[4].update(transcript="NA", speaker_id=None, gender="unsure")
    write(corpus / "data/test-00000-of-00001.parquet", rows)
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"empty-text": 2, "missing": 1, "truncated": 1}
    assert report.rows_read == report.kept + 4 == 12
    assert report.repairs == {"gender label not understood, left empty": 1}
    assert [(drop.id[-6:], drop.reason) for drop in report.test_dropped] == [
        ("000002", "empty-text"), ("000003", "empty-text"), ("000000", "missing"), ("000001", "truncated"),
    ]  # fmt: skip
    (u,) = Manifest.read(tmp_path / "out/test.jsonl")
    assert (u.text, u.speaker, u.accent, u.gender) == ("NA", None, None, None)


def test_audio_of_an_earlier_part_leaves_the_later_one(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    rows = make_rows("val", 2, tmp_path / "tones", write_tone, 8)  # the sounds of the test rows
    write(corpus / "data/val-00000-of-00001.parquet", rows)
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"repeated-audio": 2}
    assert report.splits["test"]["utterances"] == 2


def test_a_path_in_the_table_may_not_leave_the_corpus(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    secret = write_tone(tmp_path / "secret.wav", 0.6, seed=99)
    rows = make_rows("train", 2, tmp_path / "tones", write_tone, 70)
    rows[0]["audio"] = {"bytes": None, "path": str(secret)}
    rows[1]["audio"] = {"bytes": None, "path": "../../../secret.wav"}
    write(corpus / "data/train-00001-of-00002.parquet", rows)
    assert prepare(corpus, tmp_path / "out").dropped == {"outside-corpus": 2}


def test_again_and_after_an_interruption_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(corpus, out)
    before = manifests(out)
    prepare(corpus, out)
    assert manifests(out) == before
    (out / "dev.jsonl").unlink()
    first, second = sorted((out / "audio").iterdir())[:2]
    whole = first.read_bytes(), second.read_bytes()
    first.write_bytes(whole[0][:80])
    second.unlink()
    prepare(corpus, out)
    assert manifests(out) == before
    assert (first.read_bytes(), second.read_bytes()) == whole


def test_the_parent_is_accepted_and_another_folder_is_not(corpus: Path, tmp_path: Path) -> None:
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 9
    assert prepare(corpus / "data", tmp_path / "out", dry_run=True).kept == 9
    with pytest.raises(CorpusError, match=r"does not look like GLOBE; looked for \*\.parquet, found: 1\.wav, 2\.wav"):
        prepare(tmp_path / "tones", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    rows = pq.read_table(corpus / "data/test-00000-of-00001.parquet")
    pq.write_table(rows.drop_columns(["accent"]), corpus / "data/test-00000-of-00001.parquet")
    with pytest.raises(CorpusError, match=r"no column accent; found speaker_id, transcript, duration, age, gender, audio\. Check that this is"):
        prepare(corpus, tmp_path / "out")
    pq.write_table(rows.drop_columns(["audio"]), corpus / "data/test-00000-of-00001.parquet")
    with pytest.raises(CorpusError, match=r"no column of recordings; found speaker_id"):
        prepare(corpus, tmp_path / "out")
