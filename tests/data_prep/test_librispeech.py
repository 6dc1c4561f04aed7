"""LibriSpeech: subsets that are splits, names with bars in them, and a guard set that takes from all speakers alike."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st
from reruns import assert_reruns_change_nothing

from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import Intake, PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "librispeech")

SPEAKERS = """\
; Some pipe(|) delimited information about all the readers in the corpus
;ID  |SEX| SUBSET           |MINUTES| NAME
84   | F | dev-clean        | 8.02  | Christie Somebody
1089 | M | test-clean       | 8.03  | Peter | the second
121  | F | test-clean       | 8.04  | Nikolle
not a speaker
"""
LINES = {"dev-clean": {"84-121123": 2}, "test-clean": {"1089-134686": 5, "121-121726": 2, "121-123859": 1}}


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "LibriSpeech"
    seed = 0
    for subset, chapters in LINES.items():
        for chapter, count in chapters.items():
            speaker, book = chapter.split("-")
            folder = root / subset / speaker / book
            keys = [f"{chapter}-{number:04d}" for number in range(count)]
            for key in keys:
                seed += 1
                write_tone(folder / f"{key}.flac", 0.5 + seed / 20, seed=seed)
            lines = [f"{key} IT'S I WHO READ SENTENCE {'ABCDEFGH'[number]} OF {chapter_word(chapter)}" for number, key in enumerate(keys)]
            (folder / f"{chapter}.trans.txt").write_text("\n".join(lines) + "\n")
    (root / "SPEAKERS.TXT").write_text(SPEAKERS)
    (root / "test-clean/121/121726/._121-121726.trans.txt").write_bytes(b"junk")
    return root


def chapter_word(chapter: str) -> str:
    return "".join("ABCDEFGHIJ"[int(digit)] for digit in chapter if digit.isdigit())


def prepare(source: Path, out: Path, subsets: tuple[str, ...] = (), utterances: int | None = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(subsets=subsets, utterances=utterances))
    return report


def test_subsets_are_splits_and_rows_say_all_the_corpus_says(corpus: Path, tmp_path: Path) -> None:
    report = assert_reruns_change_nothing(lambda out: prepare(corpus, out), tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped, report.facts) == (10, 10, {}, {"orphan_recordings": 0})
    assert {name: (part["utterances"], part["speakers"]) for name, part in report.splits.items()} == {"dev": (2, 1), "test": (8, 2)}
    assert report.repairs["line of SPEAKERS.TXT not understood, passed over"] == 1
    assert report.notes == ("a guard set: give test.jsonl to --guard, so that base and adapted model are compared on speech without an accent label",)
    rows = {u.id: u for u in Manifest.read(tmp_path / "out/test.jsonl")}
    assert rows["librispeech-1089-134686-0000"].to_json() == {
        "audio_sha1": rows["librispeech-1089-134686-0000"].audio_sha1,
        "id": "librispeech-1089-134686-0000", "audio_filepath": "audio/librispeech-1089-134686-0000.flac", "duration": 0.65,
        "text": "It's I who read sentence a of baijbdegig.", "text_raw": "IT'S I WHO READ SENTENCE A OF BAIJBDEGIG",
        "speaker": "librispeech:1089", "gender": "male", "language": "en", "recording": "librispeech:1089-134686", "split": "test",
        "meta": {"subset": "test-clean"},
    }  # fmt: skip
    assert rows["librispeech-121-123859-0000"].gender == "female"
    assert "Peter" not in (tmp_path / "out/test.jsonl").read_text()


def test_the_guard_set_takes_from_all_speakers_alike_and_is_always_the_same(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "one", ("test-clean",), utterances=5)
    assert (report.rows_read, report.kept, report.dropped) == (8, 5, {"not-in-subset": 3})
    guard = Manifest.read(tmp_path / "one/test.jsonl")
    assert Counter(u.speaker for u in guard) in ({"librispeech:1089": 2, "librispeech:121": 3}, {"librispeech:1089": 3, "librispeech:121": 2})
    smaller = prepare(corpus, tmp_path / "two", ("test-clean",), utterances=2)
    ids = {u.id for u in Manifest.read(tmp_path / "two/test.jsonl")}
    assert smaller.speakers == 2
    assert ids < {u.id for u in guard}
    prepare(corpus, tmp_path / "again", ("test-clean",), utterances=5)
    assert (tmp_path / "again/test.jsonl").read_bytes() == (tmp_path / "one/test.jsonl").read_bytes()
    others = set()
    for seed in range(1, 5):
        prepare(corpus, tmp_path / f"seed{seed}", ("test-clean",), utterances=2, seed=seed)
        others.add(frozenset(u.id for u in Manifest.read(tmp_path / f"seed{seed}/test.jsonl")))
    assert len(others | {frozenset(ids)}) > 1
    every = prepare(corpus, tmp_path / "all", utterances=2)  # of each subset
    assert {name: part["utterances"] for name, part in every.splits.items()} == {"dev": 2, "test": 2}
    assert prepare(corpus, tmp_path / "many", utterances=999).kept == 10


def test_subsets_are_chosen_and_a_single_one_may_be_given(corpus: Path, tmp_path: Path) -> None:
    assert prepare(corpus, tmp_path / "dev", ("dev-clean",)).manifests == ("dev.jsonl",)
    report = prepare(corpus / "test-clean", tmp_path / "test")
    assert (report.manifests, report.kept) == (("test.jsonl",), 8)
    assert Manifest.read(tmp_path / "test/test.jsonl")[0].gender == "male"  # SPEAKERS.TXT lies beside the subset
    with pytest.raises(MisuseError, match=r'--set subsets: "test-clear", must be among train-clean-100, train-clean-360'):
        prepare(corpus, tmp_path / "x", ("test-clear",))
    with pytest.raises(CorpusError, match=r"looked for test-other, found: SPEAKERS\.TXT, dev-clean, test-clean"):
        prepare(corpus, tmp_path / "x", ("test-clean", "test-other"))
    with pytest.raises(MisuseError, match=r"--set utterances=0: must be 1 or more"):
        prepare(corpus, tmp_path / "x", utterances=0)


def test_the_parent_is_accepted_and_another_folder_is_not(corpus: Path, tmp_path: Path) -> None:
    assert prepare(tmp_path, tmp_path / "out", dry_run=True).kept == 10
    with pytest.raises(
        CorpusError, match=r"does not look like LibriSpeech; looked for train-clean-100, .*, found: 121726, 123859\. It should be a folder"
    ):
        prepare(corpus / "test-clean/121", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")


def test_planted_defects_are_counted(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    folder = corpus / "test-clean/121/121726"
    write_tone(tmp_path / "1-1-1.flac")
    write_tone(folder / "121-121726-0009.flac", 0.7, seed=90)
    (folder / "121-121726-0001.flac").write_bytes(b"")
    with (folder / "121-121726.trans.txt").open("a") as file:
        file.write("121-121726-0002 NOT RECORDED\n121-121726-0003\n../../../../1-1-1 OUTSIDE\n/etc/passwd SYSTEM\n121-121726-0000 AGAIN\nBROKEN\n\n")
    write_tone(folder / "121-121726-0003.flac", 0.6, seed=91)
    (corpus / "dev-clean/84/121123/84-121123-0000.flac").unlink()
    (corpus / "dev-clean/84/121123/84-121123-0000.flac").symlink_to(tmp_path / "1-1-1.flac")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"duplicate-id": 1, "empty": 1, "empty-text": 1, "malformed-line": 3, "missing": 1, "outside-corpus": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 16
    assert report.facts == {"orphan_recordings": 1}
    assert len(report.test_dropped) == 7
    assert 'row "BROKEN" (test-clean/121/121726/121-121726.trans.txt, line 8): a key is SPEAKER-CHAPTER-NUMBER' in report.dropped_examples[
        "malformed-line"
    ][2]  # fmt: skip


def test_speakers_without_their_list_have_no_gender(corpus: Path, tmp_path: Path) -> None:
    (corpus / "SPEAKERS.TXT").unlink()
    report = prepare(corpus, tmp_path / "out")
    assert "no SPEAKERS.TXT, so genders are unknown" in report.notes
    assert {u.gender for u in Manifest.read(tmp_path / "out/test.jsonl")} == {None}
    (corpus / "test-clean/121/121726/121-121726.trans.txt").write_bytes(b"121-121726-0000 CAF\xc9\n")
    with pytest.raises(CorpusError, match=r"121-121726\.trans\.txt: .*UTF-8"):
        prepare(corpus, tmp_path / "out")


def test_training_subsets_give_a_dev_set_of_their_own(tmp_path: Path, write_tone: Any) -> None:
    root = tmp_path / "LibriSpeech"
    for speaker in range(1, 6):
        key = f"{speaker}-1-0000"
        write_tone(root / f"train-clean-100/{speaker}/1/{key}.flac", 0.5, seed=speaker)
        (root / f"train-clean-100/{speaker}/1/{speaker}-1.trans.txt").write_text(f"{key} SPEAKER {'ABCDEF'[speaker]} READS\n")
    report = prepare(root, tmp_path / "out")
    assert {name: part["speakers"] for name, part in report.splits.items()} == {"train": 4, "dev": 1}
    assert not [note for note in report.notes if "guard" in note]


PARTS = st.sampled_from(["121-121726-0000", " ", "\t", "WORDS", "../x", "/etc/passwd", "\0", "9" * 300, "-", "\u2028", "\r", "|", ";", "121", "F"])


@fuzz(150)
@given(
    lines=st.lists(st.one_of(st.lists(PARTS, max_size=6).map("".join), st.text(max_size=40)), max_size=4),
    people=st.lists(st.lists(PARTS, max_size=6).map("".join), max_size=3),
)
def test_any_list_is_read_or_refused_in_words(lines: list[str], people: list[str], tmp_path: Path, write_tone: Any) -> None:
    folder = tmp_path / "test-clean/121/121726"
    if not folder.exists():
        write_tone(folder / "121-121726-0000.flac", 0.5)
    text = "\n".join(lines).encode("utf-8", "replace")
    (folder / "121-121726.trans.txt").write_bytes(text)
    (tmp_path / "SPEAKERS.TXT").write_bytes("\n".join(people).encode())
    intake = Intake()
    genders = script.read_genders(tmp_path / "SPEAKERS.TXT", intake)
    rows = script.read_subset(tmp_path, "test-clean", genders, intake)
    expected = sum(1 for line in text.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip(" \t"))
    assert len(rows) + len(intake.drops) == expected
    chosen = script.choose(rows, 1, 0, intake)
    assert len(chosen) + len(intake.drops) == expected
