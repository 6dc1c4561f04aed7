"""The Speech Accent Archive: three columns without a name, names that stand for several files, voices of nobody."""

from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st
from reruns import assert_reruns_change_nothing

from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError
from speechadapt.preparation import Intake, PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "speech_accent_archive")

HEADER = "age,age_onset,birthplace,filename,native_language,sex,speakerid,country,file_missing?,,,"
LINES = [
    '24,12,"port-au-prince, haiti",haitian,haitian creole french,male,520,haiti,TRUE,,,',
    '31,10,"jacmel, haiti",haitian,haitian creole french,female,521,haiti,TRUE,,,',
    '27,9,"virginia, south africa",afrikaans1,afrikaans,female,1,south africa,FALSE,,,',
    '15.5,4,"kabul, afghanistan",dari1,dari,famale,88,afghanistan,FALSE,,,',
    '0,0,nowhere,synthesized1,synthesized,male,2000,usa,FALSE,,,',
    '40,0,"pittsburgh, pennsylvania, usa",english1,english,male,140,usa,FALSE,,,',
    '35,7,"windhoek, namibia",nama1,nama,female,900,NA,FALSE,,,',
    '22,5,"lima, peru",quechua1,quechua,female,901,peru,FALSE,,,',
]  # fmt: skip
RECORDED = ("afrikaans1", "dari1", "synthesized1", "english1", "nama1")
PASSAGE = "Please call Stella.  Ask her to bring these things\nwith her from the store.\n"


def write_list(root: Path, lines: list[str]) -> None:
    (root / "speakers_all.csv").write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "archive"
    for number, name in enumerate(RECORDED):
        write_tone(root / f"recordings/recordings/{name}.{'MP3' if number else 'mp3'}", 0.6 + number / 10, seed=number, sampling_rate=44_100)
    write_list(root, LINES)
    (root / "reading-passage.txt").write_text(PASSAGE)
    return root


def prepare(source: Path, out: Path, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options))
    return report


def test_only_people_with_a_recording_are_rows_and_all_are_test_rows(corpus: Path, tmp_path: Path) -> None:
    report = assert_reruns_change_nothing(lambda out: prepare(corpus, out), tmp_path / "out")
    assert report.dropped == {"file-missing": 2, "missing": 1, "synthesized": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 8
    assert (report.manifests, report.speakers) == (("test.jsonl",), 4)
    assert [drop.reason for drop in report.test_dropped].count("file-missing") == 2
    assert "all speakers read one passage" in report.notes[0]
    rows = {u.id: u for u in Manifest.read(tmp_path / "out/test.jsonl")}
    u = rows["speech_accent_archive-dari1"]
    assert u.duration == pytest.approx(0.7, abs=0.03)
    assert {**u.to_json(), "duration": 0.7} == {
        "id": "speech_accent_archive-dari1", "audio_filepath": "audio/speech_accent_archive-dari1.flac", "duration": 0.7,
        "text": "Please call Stella. Ask her to bring these things with her from the store.",
        "text_raw": "Please call Stella.  Ask her to bring these things with her from the store.", "speaker": "speech_accent_archive:dari1",
        "gender": "female", "age": "15.5", "accent": "en_l2_dari", "accent_raw": "dari", "l1": "dari", "region": "afghanistan",
        "language": "en", "split": "test", "audio_sha1": u.audio_sha1, "meta": {"age_onset": "4"},
    }  # fmt: skip
    assert (rows["speech_accent_archive-english1"].accent, rows["speech_accent_archive-english1"].region) == ("english", "usa")
    assert rows["speech_accent_archive-nama1"].region == "NA"
    assert "virginia" not in (tmp_path / "out/test.jsonl").read_text()  # birthplaces stay where they are


def test_the_report_is_by_accent_and_the_user_may_map_them(corpus: Path, tmp_path: Path) -> None:
    assert set(prepare(corpus, tmp_path / "out").accents) == {"en_l2_afrikaans", "en_l2_dari", "en_l2_nama", "english"}
    mapped = prepare(corpus, tmp_path / "out2", dry_run=True, accent_map={"english": "en_us", "dari": "persian"})
    assert set(mapped.accents) == {"en_l2_afrikaans", "persian", "en_l2_nama", "en_us"}


def test_splits_are_made_only_when_asked_for(tmp_path: Path, write_tone: Any) -> None:
    root = tmp_path / "archive"
    for number in range(6):
        write_tone(root / f"recordings/german{number}.mp3", 0.6, seed=number, sampling_rate=44_100)  # nested once
    write_list(root, [f"30,9,berlin,german{number},german,male,{number},germany,FALSE,,," for number in range(6)])
    (root / "reading-passage.txt").write_text(PASSAGE)
    assert prepare(root, tmp_path / "out").manifests == ("test.jsonl",)
    report = prepare(root, tmp_path / "out", splits="speaker")
    assert report.manifests == ("train.jsonl", "dev.jsonl", "test.jsonl")
    assert report.overlap["train-test"]["sentences"] == 1
    assert "learns the passage by heart" in report.notes[0]


def test_planted_defects_are_counted(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "secret.mp3")
    (corpus / "recordings/recordings/nama1.mp3").unlink(missing_ok=True)
    (corpus / "recordings/recordings/nama1.MP3").write_bytes(b"")
    more = [
        "20,5,x,../../../secret,dari,male,1,y,FALSE,,,",
        f"20,5,x,{tmp_path / 'secret'},dari,male,1,y,FALSE,,,",
        "20,5,x,dari1,dari,male,1,y,FALSE,,,",
        "20,5,x,dari2,dari,male,1,y,FALSE",
    ]
    write_list(corpus, [*LINES, *more])
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {
        "duplicate-id": 1, "empty": 1, "file-missing": 2, "missing": 1, "outside-corpus": 2, "synthesized": 1, "wrong-columns": 1,
    }  # fmt: skip
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 12
    assert report.dropped_examples["file-missing"][0].startswith('row "haitian" (speakers_all.csv, line 2): the list says')
    assert len(report.test_dropped) == 9


def test_the_parent_is_accepted_and_another_folder_is_not(corpus: Path, tmp_path: Path) -> None:
    assert prepare(tmp_path, tmp_path / "out", dry_run=True).kept == 4
    with pytest.raises(CorpusError, match=r"does not look like the Speech Accent Archive; looked for speakers_all\.csv, found: afrikaans1\.mp3"):
        prepare(corpus / "recordings/recordings", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")


def test_a_missing_passage_or_column_is_told(corpus: Path, tmp_path: Path) -> None:
    (corpus / "reading-passage.txt").unlink()
    with pytest.raises(CorpusError, match=r"reading-passage\.txt: missing or empty, and without it nothing tells what is read"):
        prepare(corpus, tmp_path / "out")
    (corpus / "reading-passage.txt").write_bytes(b"Caf\xe9")
    with pytest.raises(CorpusError, match="UTF-8"):
        prepare(corpus, tmp_path / "out")
    (corpus / "reading-passage.txt").write_text(PASSAGE)
    (corpus / "speakers_all.csv").write_text("age,filename,sex\n20,a,male\n")
    with pytest.raises(CorpusError, match=r"speakers_all\.csv: no column native_language, country, file_missing\?; found age, filename, sex"):
        prepare(corpus, tmp_path / "out")


@pytest.mark.parametrize(
    ("language", "slug"), [("afrikaans", "en_l2_afrikaans"), ("Haitian Creole French", "en_l2_haitian_creole_french"), ("English", None), ("", None)]
)
def test_accents(language: str, slug: str | None) -> None:
    assert script.accent_of(language, PrepareOptions()) == slug


CELLS = st.one_of(
    st.sampled_from(["dari1", "TRUE", "FALSE", "synthesized", "../x", "/etc/passwd", "\0", "x" * 300, '"', "\n", "a\r", "NA", "15.5", "\u2028"]),
    st.text(max_size=15),
)


@fuzz(150)
@given(lines=st.lists(st.lists(CELLS, min_size=10, max_size=13).map(",".join), max_size=3), raw=st.binary(max_size=20))
def test_any_list_is_read_or_refused_in_words(lines: list[str], raw: bytes, tmp_path: Path, write_tone: Any) -> None:
    if not (tmp_path / "recordings").exists():
        write_tone(tmp_path / "recordings/dari1.mp3", 0.5)
    text = "\n".join([HEADER, *lines])
    (tmp_path / "speakers_all.csv").write_bytes(text.encode("utf-8", "replace") + b"\n" + raw)
    intake = Intake()
    try:
        rows = script.read_rows(tmp_path, PASSAGE, PrepareOptions(), intake)
    except CorpusError:
        return
    table = script.read_table(tmp_path / "speakers_all.csv", delimiter="comma", quoting="standard", repeated="first")
    assert len(rows) + len(intake.drops) == len(table.rows) + len(table.broken)
