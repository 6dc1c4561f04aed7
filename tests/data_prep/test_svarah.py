"""Svarah: the tar file's lists, which do not name each other's rows, and the Parquet files of the same corpus."""

import json
from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzz, lines_in
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.audio.waveform import read_info
from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "svarah")

HEADER = (
    "speaker_id,duration,text,gender,age-group,primary_language,native_place_state,native_place_district,highest_qualification,job_category,"
    "occupation_domain"
)
PEOPLE = {"S1": "Female,18-30,Hindi,Delhi,West Delhi,Graduate,Full Time,Government", "S2": "Male,60+,Bodo,Assam,Baksa,Class 10,Part Time,Healthcare"}
CLIPS = [
    ("281_f1_chunk_0", 0.6, "I want to order groceries", "S1"),
    ("281_f1_chunk_1", 0.7, "Two kilos, please", "S1"),
    ("305_f2_chunk_0", 0.6, "NA", "S2"),
    ("305_f2_chunk_4", 0.8, "check my pension", "S2"),
    ("305_f2_chunk_7", 0.8, "check my pension", "S1"),  # the same words in the same time, by another speaker
]


def write_lists(root: Path, clips: list[tuple[str, float, str, str]], header: str = HEADER) -> None:
    lines = [{"audio_filepath": f"/data/asr/Svarah/audio/{name}.wav", "duration": seconds, "text": text} for name, seconds, text, _ in clips]
    (root / "svarah_manifest.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = [f'{who},{seconds},"{text}",{PEOPLE[who]}' for _, seconds, text, who in clips]
    (root / "meta_speaker_stats.csv").write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "unpacked/Svarah"
    for number, (name, seconds, text, _) in enumerate(CLIPS):
        write_tone(root / f"audio/{name}.wav", seconds, seed=number)
        (root / f"audio/{name}.txt").write_text(text)
    (root / "saa_l1_manifest.json").write_text('{"audio_filepath": "saa/english1.wav", "duration": 20, "text": "please call stella"}\n')
    write_lists(root, CLIPS)
    return root


def prepare(corpus: Path, out: Path, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(corpus, out, PrepareOptions(**options))
    return report


def test_rows_become_utterances_with_everything_the_corpus_says(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped, report.manifests) == (5, 5, {}, ("test.jsonl",))
    assert report.facts == {"rows_without_speaker_data": 0}
    rows = {u.id: u for u in Manifest.read(tmp_path / "out/test.jsonl")}
    u = rows["svarah-281_f1_chunk_0"]
    assert (u.text, u.text_raw, u.duration) == ("I want to order groceries", "I want to order groceries", 0.6)
    assert (u.speaker, u.gender, u.age, u.l1, u.region) == ("svarah:S1", "female", "18-30", "hindi", "Delhi")
    assert (u.accent, u.accent_raw, u.language, u.split) == ("en_l2_hindi", "Hindi", "en", "test")
    assert (u.recording, u.meta) == ("svarah:281_f1", {})
    info = read_info(tmp_path / "out" / u.audio_filepath)
    assert (info.sampling_rate, info.channels, info.format) == (16_000, 1, "FLAC")
    assert (rows["svarah-305_f2_chunk_0"].text, rows["svarah-305_f2_chunk_0"].age) == ("NA", "60+")
    written = (tmp_path / "out/test.jsonl").read_text()
    assert not [word for word in ("West Delhi", "Graduate", "Full Time", "Government", "Baksa") if word in written]


def test_the_same_words_in_the_same_time_are_told_apart_by_their_place(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    speakers = {u.id: u.speaker for u in Manifest.read(tmp_path / "out/test.jsonl")}
    assert (speakers["svarah-305_f2_chunk_4"], speakers["svarah-305_f2_chunk_7"]) == ("svarah:S2", "svarah:S1")
    table = (corpus / "meta_speaker_stats.csv").read_text().splitlines()
    (corpus / "meta_speaker_stats.csv").write_text("\n".join([table[0], *reversed(table[1:])]) + "\n")
    report = prepare(corpus, tmp_path / "out")
    assert report.facts == {"rows_without_speaker_data": 2}  # nobody is guessed
    speakers = {u.id: u.speaker for u in Manifest.read(tmp_path / "out/test.jsonl")}
    assert speakers["svarah-305_f2_chunk_4"] is None
    assert speakers["svarah-281_f1_chunk_1"] == "svarah:S1"


def test_a_table_that_names_recordings_is_joined_by_their_names(corpus: Path, tmp_path: Path) -> None:
    rows = [f'audio/{name}.wav,9.9,"{text}",{PEOPLE[who]}' for name, _, text, who in reversed(CLIPS)]
    (corpus / "meta_speaker_stats.csv").write_text("\n".join([HEADER.replace("speaker_id", "audio_filepath"), *rows]) + "\n")
    report = prepare(corpus, tmp_path / "out")
    assert report.speakers is None  # the names say nothing of speakers
    assert [u.l1 for u in Manifest.read(tmp_path / "out/test.jsonl")] == ["hindi", "hindi", "bodo", "bodo", "hindi"]


def test_people_are_divided_when_asked_for(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    clips = [(f"40{number}_f{number}_chunk_{part}", 0.6, f"line {number} {part}", f"P{number}") for number in range(6) for part in range(2)]
    for number, (name, *_) in enumerate(clips):
        write_tone(corpus / f"audio/{name}.wav", 0.6, seed=30 + number)
    (corpus / "svarah_manifest.json").write_text(
        "".join(json.dumps({"audio_filepath": f"{name}.wav", "duration": 0.6, "text": text}) + "\n" for name, _, text, _ in clips)
    )
    rows = [f"{who},{seconds},{text},{PEOPLE['S1' if who < 'P3' else 'S2']}" for _, seconds, text, who in clips]
    (corpus / "meta_speaker_stats.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    report = prepare(corpus, tmp_path / "out", splits="speaker", test_share=0.3, dev_share=0.2, accent_map={"hindi": "mine"})
    assert (report.speakers, report.manifests) == (6, ("train.jsonl", "dev.jsonl", "test.jsonl"))
    assert set(report.accents) == {"mine", "en_l2_bodo"}
    assert {pair: shared["speakers"] for pair, shared in report.overlap.items()} == {"train-dev": 0, "train-test": 0, "dev-test": 0}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 12


def test_defects_are_counted_and_every_test_loss_is_listed(corpus: Path, tmp_path: Path) -> None:
    (corpus / "audio/281_f1_chunk_0.wav").unlink()
    (corpus / "audio/281_f1_chunk_1.wav").write_bytes(b"")
    extra = [("281_f1_chunk_9", 0.6, "", "S1"), ("..", 0.6, "up", "S1"), ("305_f2_chunk_0", 0.6, "NA", "S2")]
    write_lists(corpus, [*CLIPS, *extra])
    with (corpus / "svarah_manifest.json").open("a") as file:
        file.write('{"audio_filepath": \n{"duration": 3}\n')
    with (corpus / "meta_speaker_stats.csv").open("a") as file:
        file.write("S9,too few\n")
    report = prepare(corpus, tmp_path / "out", allow_missing=True)
    assert report.dropped == {"broken-line": 1, "duplicate-id": 1, "empty": 1, "missing": 4}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 10
    assert report.repairs == {"meta_speaker_stats.csv: line with too many or too few values, left out": 1}
    assert len(report.test_dropped) == 7
    assert 'row "281_f1_chunk_0" (svarah_manifest.json, line 1): no file "281_f1_chunk_0.wav" under' in report.dropped_examples["missing"][0]


def test_paths_in_the_manifest_never_leave_the_corpus(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    secret = write_tone(tmp_path / "secret.wav", 0.6, seed=9)
    lines = [{"audio_filepath": path, "duration": 0.6, "text": "x"} for path in (str(secret), "../../secret.wav", "..\\..\\secret.wav", "audio/..")]
    with (corpus / "svarah_manifest.json").open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))
    report = prepare(corpus, tmp_path / "out")
    assert (report.kept, sum(report.dropped.values())) == (5, 4)
    assert set(report.dropped) <= {"missing", "outside-corpus"}


def test_parquet_has_the_same_rows_without_speakers(corpus: Path, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    pq = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    audio = [{"bytes": (corpus / f"audio/{name}.wav").read_bytes(), "path": f"{name}.wav"} for name, *_ in CLIPS]
    people = [PEOPLE[who].split(",") for *_, who in CLIPS]
    columns = {name: [person[place] for person in people] for place, name in enumerate(HEADER.split(",")[3:])}
    table = pa.table({"audio_filepath": pa.array(audio), "duration": [c[1] for c in CLIPS], "text": [c[2] for c in CLIPS], **columns})
    (tmp_path / "hub/data").mkdir(parents=True)
    pq.write_table(table, tmp_path / "hub/data/test-00000-of-00001.parquet")
    prepare(corpus, tmp_path / "one")
    report = prepare(tmp_path / "hub", tmp_path / "two")
    assert report.notes[0].startswith("Parquet names no speakers")
    for one, two in zip(Manifest.read(tmp_path / "one/test.jsonl"), Manifest.read(tmp_path / "two/test.jsonl"), strict=True):
        assert (two.speaker, {**one.to_json(), "speaker": None}) == (None, {**two.to_json(), "speaker": None})
        assert (tmp_path / "one" / one.audio_filepath).read_bytes() == (tmp_path / "two" / two.audio_filepath).read_bytes()


def test_the_parent_is_accepted_and_another_folder_is_not(corpus: Path, tmp_path: Path) -> None:
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 5
    with pytest.raises(CorpusError, match=r"does not look like Svarah; looked for svarah_manifest\.json and \*\.parquet, found: 281_f1_chunk_0\.txt"):
        prepare(corpus / "audio", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out")


def test_again_and_after_an_interruption_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(corpus, out)
    before = {path: path.read_bytes() for path in [out / "test.jsonl", *(out / "audio").iterdir()]}
    prepare(corpus, out)
    assert {path: path.read_bytes() for path in before} == before
    (out / "test.jsonl").unlink()
    for path in list(before)[1:3]:
        path.write_bytes(path.read_bytes()[:60])
    prepare(corpus, out)
    assert {path: path.read_bytes() for path in before} == before


@fuzz()
@given(st.data())
def test_any_lists_are_counted_or_refused(corpus: Path, tmp_path: Path, data: st.DataObject) -> None:
    write_lists(corpus, CLIPS)
    for name in ("svarah_manifest.json", "meta_speaker_stats.csv"):
        text = bytearray((corpus / name).read_bytes())
        for place, junk in data.draw(st.lists(st.tuples(st.integers(0, len(text) - 1), st.binary(max_size=4)), max_size=3)):
            text[place : place + 2] = junk
        (corpus / name).write_bytes(text)
    try:
        report = prepare(corpus, tmp_path / "out", dry_run=True, allow_missing=True)
    except CorpusError:
        return
    assert report.rows_read == report.kept + sum(report.dropped.values()) == lines_in((corpus / "svarah_manifest.json").read_bytes())
