"""AESRC2020: a miniature with the varying names of the countries' folders, and planted defects."""

import contextlib
import zlib
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
from fuzzing import fuzz
from reruns import contents

from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import Intake, PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "aesrc2020")

COUNTRIES = {
    "American English Speech Data": ("G00473", "G00474"),
    "India English Speech Data": ("G00473",),  # the number of an American
    "Russian Speaking English Speech Data": ("G00901",),
}
TESTED = {"Canadian English Speech Data": ("G01001",)}
TEXTS = ("Please turn the volume up, it's my favorite song.", "What time is it?")


def write_speaker(folder: Path, write_tone: Any) -> None:
    for number, text in enumerate(TEXTS):
        stem = folder / f"{folder.name}S100{number}"
        write_tone(stem.with_suffix(".wav"), 0.5, seed=zlib.crc32(str(Path(*stem.parts[-3:])).encode()))
        stem.with_suffix(".txt").write_text(f"{text}\n")
        stem.with_suffix(".metadata").write_text("LHD\tDatatang\nSEX\tFemale\nAGE 27\nACT\tMoscow\nBIR\tMoscow\nCMT\tspeaks fast\nCMT2 \n")


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "download/AESRC"
    for country, speakers in COUNTRIES.items():
        for speaker in speakers:
            write_speaker(root / country / speaker, write_tone)
    return root


@pytest.fixture
def with_test(corpus: Path, write_tone: Any) -> Path:
    for country, speakers in TESTED.items():
        for speaker in speakers:
            write_speaker(corpus / country / speaker, write_tone)
    return corpus


def prepare(source: Path, out: Path, dev_speakers: Path | None = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(dev_speakers=dev_speakers))
    return report


def read_rows(out: Path) -> dict[str, Any]:
    return {u.id: u for path in out.glob("*.jsonl") for u in Manifest.read(path)}


def test_rows_carry_everything_the_corpus_says_but_birthplaces(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped, report.repairs) == (8, 8, {}, {})
    assert report.manifests == ("all.jsonl",)
    rows = read_rows(tmp_path / "out")
    assert rows["aesrc2020-russian-G00901S1000"].to_json() == {
        "audio_sha1": rows["aesrc2020-russian-G00901S1000"].audio_sha1,
        "audio_filepath": "audio/aesrc2020-russian-G00901S1000.flac",
        "duration": 0.5,
        "text": "Please turn the volume up, it's my favorite song.",
        "id": "aesrc2020-russian-G00901S1000",
        "text_raw": "Please turn the volume up, it's my favorite song.",
        "speaker": "aesrc2020:russian-G00901",
        "gender": "female",
        "age": "27",
        "accent": "en_l2_russian",
        "accent_raw": "Russian",
        "l1": "russian",
        "language": "en",
    }
    assert "Moscow" not in (tmp_path / "out/all.jsonl").read_text()
    assert {u.accent: (u.accent_raw, u.l1) for u in rows.values()} == {
        "en_us": ("American", None),
        "en_india": ("India", None),
        "en_l2_russian": ("Russian", "russian"),
    }


def test_a_number_in_two_countries_is_two_speakers(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert report.speakers == 4
    assert {"aesrc2020-american-G00473S1000", "aesrc2020-india-G00473S1000"} <= set(read_rows(tmp_path / "out"))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("American English Speech Data", "American"),
        ("Portuguese Speaking English Speech Data", "Portuguese"),
        ("portuguese_speaking_english_speech_data", "portuguese"),
        ("INDIA ENGLISH SPEECH DATA", "INDIA"),
        ("Chinese Speaking English Speech Data by Mobile Phone", "Chinese"),
        ("English Speech Data", None),
        ("American Speech Data", None),
        ("__MACOSX", None),
    ],
)
def test_names_of_countries(tmp_path: Path, name: str, label: str | None) -> None:
    (tmp_path / name).mkdir()
    assert [found for found, _ in script.find_countries(tmp_path)] == ([label] if label else [])


def test_accents_that_were_only_tested_are_the_test_set(with_test: Path, tmp_path: Path) -> None:
    report = prepare(with_test, tmp_path / "out")
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 6, "dev": 2, "test": 2}
    assert report.accents["en_canada"]["utterances_by_split"] == {"train": 0, "dev": 0, "test": 2}
    assert report.overlap["train-test"]["sentences"] == 2
    assert report.overlap["train-test"]["speakers"] == 0


def test_a_list_of_dev_speakers_makes_the_dev_set(with_test: Path, tmp_path: Path) -> None:
    listed = tmp_path / "cv_list"
    listed.write_text("american-G00473 and more\nG00901\nG99999\nG01001\n")
    report = prepare(with_test, tmp_path / "out", listed)
    assert Manifest.read(tmp_path / "out/dev.jsonl").speakers == ("aesrc2020:american-G00473", "aesrc2020:russian-G00901")
    assert report.splits["test"]["utterances"] == 2  # what was only tested is not taken for dev
    assert report.facts == {"dev_speakers_not_found": ["G01001", "G99999"]}
    for wrong in (tmp_path / "nowhere", tmp_path / "empty"):
        (tmp_path / "empty").write_text("\n")
        with pytest.raises(MisuseError, match=r"no such file, or nothing in it\. Give a text file with one speaker in each line\."):
            prepare(with_test, tmp_path / "out2", wrong)


def test_sentences_can_be_divided_too(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    for speaker in ("G00475", "G00476", "G00477"):
        write_speaker(corpus / "American English Speech Data" / speaker, write_tone)
    report = prepare(corpus, tmp_path / "out", splits="speaker+sentence", dry_run=True)
    assert all(pair["sentences"] == pair["speakers"] == 0 for pair in report.overlap.values())
    assert report.dropped["other-sentence-part"] > 0
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 14


def test_planted_defects_are_counted(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    speaker = corpus / "American English Speech Data/G00473"
    (speaker / "G00473S1000.txt").unlink()
    (speaker / "G00473S1001.wav").unlink()
    other = corpus / "American English Speech Data/G00474"
    (other / "G00474S1000.wav").rename(other / "G00474S1000.WAV")
    (other / "G00474S1000.txt").rename(other / "G00474S1000.Txt")
    (other / "G00474S1000.metadata").write_bytes(b"SEX\tM\xe4nnlich")
    (other / "G00474S1001.txt").write_bytes(b"caf\xe9")
    (other / "._G00474S1001.wav").write_bytes(b"junk")
    (corpus / "__MACOSX").mkdir()
    india = corpus / "India English Speech Data/G00473"
    (india / "G00473S1000.txt").write_text("\ufeffTwo\r\nlines.\r\n", newline="")
    (india / "G00473S1001.txt").write_text(" \n")
    (india / "G00473S1001.metadata").unlink()
    russian = corpus / "Russian Speaking English Speech Data/G00901"
    (russian / "G00901S1001.wav").write_bytes(b"")
    write_tone(corpus / "Russian Speaking English Speech Data/nobody.wav", 0.5, seed=77)
    (corpus / "Russian Speaking English Speech Data/nobody.txt").write_text("NA")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"empty": 1, "empty-text": 1, "missing": 1, "no-transcript": 1, "not-utf-8": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 9
    assert report.repairs == {"metadata that cannot be read, left out": 1}
    (message,) = report.dropped_examples["no-transcript"]
    assert message.startswith('row "american-G00473S1000" (American English Speech Data/G00473/G00473S1000.wav): no .txt of its name beside it.')
    rows = read_rows(tmp_path / "out")
    assert rows["aesrc2020-india-G00473S1000"].text == "Two lines."
    assert (rows["aesrc2020-american-G00474S1000"].gender, rows["aesrc2020-american-G00474S1000"].speaker) == (None, "aesrc2020:american-G00474")
    assert (rows["aesrc2020-russian-nobody"].speaker, rows["aesrc2020-russian-nobody"].text) == (None, "NA")


def test_links_out_of_the_corpus_are_not_followed(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "secret.wav", 0.5)
    (tmp_path / "secret.txt").write_text("secret words")
    speaker = corpus / "American English Speech Data/G00473"
    for name, target in (("G00473S1000.wav", "secret.wav"), ("G00473S1001.txt", "secret.txt")):
        (speaker / name).unlink()
        (speaker / name).symlink_to(tmp_path / target)
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"outside-corpus": 2}
    assert "secret words" not in (tmp_path / "out/all.jsonl").read_text()


def test_the_parent_folder_is_accepted_and_another_is_not(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 8
    with pytest.raises(
        CorpusError, match=r'does not look like AESRC2020; looked for a folder such as "American English Speech Data", found: G00473, G00474'
    ):
        prepare(corpus / "American English Speech Data", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")
    (corpus.parent / "test/Spanish Speaking English Speech Data").mkdir(parents=True)
    with pytest.raises(CorpusError, match=r"countries lie in AESRC, test, which are prepared one by one\. Give one of them\."):
        prepare(corpus.parent, tmp_path / "out")


def test_the_accent_map_comes_first(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", dry_run=True, accent_map={"american": "en_general_american"})
    assert sorted(report.accents) == ["en_general_american", "en_india", "en_l2_russian"]


def test_a_second_run_and_an_interrupted_one_give_the_same(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    before = contents(tmp_path / "out")
    assert prepare(corpus, tmp_path / "out").repairs == {"audio of an earlier run kept": 8}
    assert contents(tmp_path / "out") == before
    audio = sorted((tmp_path / "out/audio").iterdir())
    audio[0].unlink()
    audio[1].write_bytes(audio[1].read_bytes()[:300])
    (tmp_path / "out/all.jsonl").write_text('{"id": "cut o')
    prepare(corpus, tmp_path / "out")
    assert contents(tmp_path / "out") == before


@fuzz(150)
@hypothesis.given(
    text=st.binary(max_size=40), metadata=st.one_of(st.binary(max_size=40), st.text(max_size=40).map(lambda text: f"SEX\t{text}".encode()))
)
def test_any_text_and_metadata_is_read_or_counted(tmp_path: Path, text: bytes, metadata: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(text)
    (tmp_path / "a.metadata").write_bytes(metadata)
    intake = Intake()
    with contextlib.suppress(AudioError):
        assert script.read_text(tmp_path / "a.txt", tmp_path).split() == text.decode("utf-8-sig").split()
    person = script.read_metadata(tmp_path / "a.metadata", tmp_path, intake)
    assert person == {} or not intake.repairs
    assert not any(key.startswith("CMT") for key in person)


@fuzz(60)
@hypothesis.given(data=st.tuples(st.binary(max_size=30), st.binary(max_size=30)))
def test_rows_are_kept_or_counted_whatever_the_files_hold(tmp_path: Path, write_tone: Any, data: tuple[bytes, bytes]) -> None:
    folder = tmp_path / "fuzz/American English Speech Data/G1"
    if not folder.exists():
        write_tone(folder / "G1S1.wav", 0.5)
        write_tone(folder / "G1S2.wav", 0.5, seed=2)
        (folder / "G1S2.txt").write_text("Good.")
    for name, content in zip(("G1S1.txt", "G1S1.metadata"), data, strict=True):
        (folder / name).write_bytes(content)
    report = prepare(tmp_path / "fuzz", tmp_path / "fuzz-out", dry_run=True)
    assert report.rows_read == 2 == report.kept + sum(report.dropped.values())
    assert report.kept >= 1
