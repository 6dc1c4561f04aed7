"""FLEURS: lists without a header, literal quotes, sentences read three times, archives that are unpacked or not."""

import tarfile
from pathlib import Path
from typing import Any

import pytest
import soundfile
from fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.audio.waveform import read_info
from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "fleurs")

ROWS = {
    "train": [
        ("1904", "100.wav", 'He said "go, and go" twice.', "MALE"), ("1904", "101.wav", 'He said "go, and go" twice.', "FEMALE"),
        ("1904", "102.wav", 'He said "go, and go" twice.', "OTHER"), ("7", "103.wav", '"Unbalanced', "MALE"), ("8", "104.wav", "NA", "FEMALE"),
    ],
    "dev": [("20", "200.wav", "A dev line.", "MALE")],
    "test": [("30", "300.wav", "A test line.", "FEMALE"), ("30", "301.wav", "A test line.", "MALE")],
}  # fmt: skip


def line(sentence: str, name: str, text: str, gender: str) -> str:
    plain = text.lower().replace('"', "").replace(".", "").replace(",", "")
    return "\t".join([sentence, name, text, plain, " ".join(plain.replace(" ", "|")), "9600", gender])


def write_lists(root: Path, rows: dict[str, list[tuple[str, str, str, str]]]) -> None:
    for split, lines in rows.items():
        (root / f"{split}.tsv").write_text("".join(line(*row) + "\n" for row in lines), encoding="utf-8")


@pytest.fixture
def corpus(tmp_path: Path, tone: Any) -> Path:
    """As it is downloaded: every split's recordings in an archive; 32-bit float, as some of the corpus are."""
    root = tmp_path / "fleurs/data/en_us"
    (root / "audio").mkdir(parents=True)
    write_lists(root, ROWS)
    for split, rows in ROWS.items():
        (tmp_path / "made" / split).mkdir(parents=True)
        for _, name, *_ in rows:
            soundfile.write(tmp_path / "made" / split / name, tone(0.6, seed=int(name[:3])), 16_000, subtype="FLOAT")
        with tarfile.open(root / f"audio/{split}.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / "made" / split, arcname=split)
    return root


def unpack_by_hand(corpus: Path, folder: str) -> None:
    for split in ROWS:
        (corpus / folder).mkdir(exist_ok=True)
        (corpus.parent.parent.parent / "made" / split).rename(corpus / folder / split)
        (corpus / f"audio/{split}.tar.gz").unlink()


def prepare(corpus: Path, out: Path, values: dict[str, Any] | None = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(corpus, out, PrepareOptions(**options), script.Settings(**(values or {})))
    return report


def manifests(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.jsonl"))}


def test_rows_become_utterances_with_everything_the_corpus_says(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped) == (8, 8, {})
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 5, "dev": 1, "test": 2}
    rows = Manifest.read(tmp_path / "out/train.jsonl")
    u = rows[0]
    assert (u.id, u.text, u.text_raw) == ("fleurs-100", 'He said "go, and go" twice.', 'He said "go, and go" twice.')
    assert (u.speaker, u.gender, u.language, u.split, u.duration) == (None, "male", "en", "train", 0.6)
    assert (u.accent, u.recording, u.meta) == (None, None, {"sentence_id": "1904"})
    assert [row.gender for row in rows] == ["male", "female", "other", "male", "female"]
    assert [row.text for row in rows][3:] == ['"Unbalanced', "NA"]
    info = read_info(tmp_path / "out" / u.audio_filepath)
    assert (info.sampling_rate, info.channels, info.format, info.subtype) == (16_000, 1, "FLAC", "PCM_16")
    assert report.speakers is None
    assert report.overlap["train-test"]["speakers"] is None  # unknown, not zero
    assert report.overlap["train-test"]["sentences"] == 0


def test_the_other_text_may_be_chosen(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out", {"text": "plain"})
    assert Manifest.read(tmp_path / "out/train.jsonl")[0].text == "he said go and go twice"
    with pytest.raises(MisuseError, match='text="cased": must be one of raw, plain'):
        prepare(corpus, tmp_path / "out", {"text": "cased"})


@pytest.mark.parametrize("folder", ["audio", "."])
def test_recordings_unpacked_by_hand_give_the_same(corpus: Path, tmp_path: Path, folder: str) -> None:
    prepare(corpus, tmp_path / "one")
    unpack_by_hand(corpus, folder)
    report = prepare(corpus, tmp_path / "two")
    assert report.repairs == {}
    assert not (tmp_path / "two/unpacked").exists()
    assert manifests(tmp_path / "one") == manifests(tmp_path / "two")
    placed = prepare(corpus, tmp_path / "three", in_place=True)
    assert placed.kept == 8
    assert Path(Manifest.read(tmp_path / "three/dev.jsonl")[0].audio_filepath) == (corpus / folder / "dev/200.wav").resolve()


def test_archives_are_unpacked_once_and_never_in_a_dry_run(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"train\.tar\.gz: is packed, and --dry-run writes nothing"):
        prepare(corpus, tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    prepare(corpus, tmp_path / "out")
    report = prepare(corpus, tmp_path / "out")
    assert report.repairs == {"archive unpacked by an earlier run, kept": 3, "audio of an earlier run kept": 8}
    assert prepare(corpus, tmp_path / "out", dry_run=True).kept == 8


def test_defects_are_counted_and_test_losses_listed(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    unpack_by_hand(corpus, "audio")
    write_tone(tmp_path / "secret.wav", 0.6, seed=1)
    (corpus / "audio/test/300.wav").unlink()
    (corpus / "audio/train/101.wav").write_bytes(b"RIFF")
    with (corpus / "test.tsv").open("ab") as file:
        file.write(
            "".join(line("9", name, "x", "MALE") + "\r\n" for name in ("../../../../../secret.wav", str(tmp_path / "secret.wav"), "")).encode()
        )
        file.write(b"9\t301.wav\ttoo few\n\n9\t301.wav\t\xff\t\t\t1\tMALE\n")
        file.write((line("9", "301.wav", "again", "MALE") + "\n" + line("9", "300.wav", "...", "MALE")).encode())
    report = prepare(corpus, tmp_path / "out", allow_missing=True)
    assert report.dropped == {"broken-line": 2, "duplicate-id": 1, "missing": 3, "not-audio": 1, "outside-corpus": 2}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 15
    assert [drop.reason for drop in report.test_dropped].count("broken-line") == 2
    assert report.dropped_examples["broken-line"] == (
        "test.tsv, line 6: 3 values for 7 columns. Correct the line, or download the list again.",
        "test.tsv, line 8: byte 11 is not UTF-8. Correct the line, or download the list again.",
    )


def test_one_language_at_a_time(corpus: Path, tmp_path: Path) -> None:
    unpack_by_hand(corpus, "audio")
    for parent in (corpus.parent, corpus.parent.parent):
        assert prepare(parent, tmp_path / "out", dry_run=True).kept == 8
    (corpus.parent / "ka_ge").mkdir()
    (corpus.parent / "ka_ge/test.tsv").write_text("")
    with pytest.raises(CorpusError, match=r"holds 2 languages: en_us, ka_ge\. Give the folder of one of them"):
        prepare(corpus.parent.parent, tmp_path / "out")
    with pytest.raises(CorpusError, match=r"does not look like FLEURS; looked for train\.tsv, dev\.tsv and test\.tsv, found: dev, test, train"):
        prepare(corpus / "audio", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "tag"), [("en_us", "en"), ("cmn_hans_cn", "zh"), ("es_419", "es"), ("ckb_iq", "ckb"), ("data", None), ("My_Copy", None)]
)
def test_folders_name_languages(name: str, tag: str | None) -> None:
    assert script.language_of(name) == tag


def test_after_an_interruption_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(corpus, out)
    before = {path: path.read_bytes() for path in [*out.glob("*.jsonl"), *(out / "audio").iterdir()]}
    prepare(corpus, out)
    assert {path: path.read_bytes() for path in before} == before
    (out / "dev.jsonl").unlink()
    broken, lost = sorted((out / "audio").iterdir())[:2]
    broken.write_bytes(broken.read_bytes()[:60])
    lost.unlink()
    prepare(corpus, out)
    assert {path: path.read_bytes() for path in before} == before


@fuzz()
@given(junk=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4)), max_size=5))
def test_any_list_is_counted_or_refused(corpus: Path, tmp_path: Path, junk: list[tuple[float, bytes]]) -> None:
    if not (corpus / "audio/train").exists():
        unpack_by_hand(corpus, "audio")
    data = bytearray("".join(line(*row) + "\n" for row in ROWS["train"]).encode())
    for place, letters in junk:
        at = int(place * (len(data) - 1))
        data[at : at + 2] = letters
    (corpus / "train.tsv").write_bytes(data)
    try:
        report = prepare(corpus, tmp_path / "out", dry_run=True, allow_missing=True)
    except CorpusError:
        return
    assert report.rows_read == report.kept + sum(report.dropped.values())
    assert report.rows_read == len([part for part in bytes(data).split(b"\n") if part.strip()]) + 3
