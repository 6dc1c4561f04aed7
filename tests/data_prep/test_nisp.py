"""NISP: a miniature with one transcript for each speaker, both ways of numbering recordings, and planted defects."""

import contextlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
from fuzzing import fuzz, places, spoil
from reruns import contents

from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError
from speechadapt.preparation import Intake, PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "nisp")

COMMON = "The clumsy customer spilled some perfume."
HEADER = "Speaker_ID Gender Mother_Tongue Height Shoulder_size Waist_size Weight Age Native_State Native_District"
SPEAKERS = {
    "Hin_0001": ("f", "Female Hindi 163 40 89.5 58.5 24.24 Rajasthan Jaipur", 4808),
    "Hin_0002": ("m", "Male Kannada 171 43 NIL 71.5 31.02 Karnataka Bidar", 5100),
    "Mal_0001": ("m", "Male malayam 166 45 NIL 59.5 19.82 Kerala Kannur", 6200),
    "Tam_0001": ("f", "Female Tamil 160 41 91 53.9 NIL Tamil_Nadu Salem", 7300),
}


def build(root: Path, write_tone: Any) -> Path:
    """Four speakers: the sentence that everybody reads, and two of their own; the second of these was never recorded."""
    for place, (speaker, (gender, _, first)) in enumerate(SPEAKERS.items()):
        language = script.LANGUAGES[speaker[:3]]
        stem = f"{speaker}_Eng_{gender}"
        lines = [f"item0000\t{COMMON}", f"item{first}\t Number {first} is mine. ", f"item{first + 1}\tNever said by {place}."]
        scripts = root / f"{language}_master/scripts/English_{language.lower()}_txt"
        scripts.mkdir(parents=True, exist_ok=True)
        (scripts / f"{stem}.txt").write_text("\n".join(lines) + "\n")
        for number in (0, first):
            folder = root / f"{language}_master/English_{language}/RECS"
            write_tone(folder / f"{speaker[4:]}/{stem}_{number:04d}.wav", 0.5, seed=10_000 * place + number, sampling_rate=44_100)
        write_tone(root / f"{language}_master/{language}/RECS/{speaker}_{speaker[:3]}_{gender}_0000.wav", 0.5, seed=99)
    (root / "total_spkrinfo.list").write_text("\n".join([HEADER, *(f"{speaker} {about}" for speaker, (_, about, _) in SPEAKERS.items())]) + "\n")
    (root / "train_spkrID").write_text("Hin_0001___TRN\nMal_0001___TRN\nTam_0001___TRN\n")
    (root / "test_spkrID").write_text("Hin_0002___TST\n")
    return root


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    return build(tmp_path / "download/NISP", write_tone)


def prepare(source: Path, out: Path, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options))
    return report


def read_rows(out: Path) -> dict[str, Any]:
    return {u.id: u for path in out.glob("*.jsonl") for u in Manifest.read(path)}


def test_rows_carry_the_speaker_and_no_measurement(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped, report.repairs) == (8, 8, {}, {})
    assert report.facts == {"lines_without_recording": 4, "native_recordings_not_read": 4, "recordings_with_other_names": 0}
    rows = read_rows(tmp_path / "out")
    assert rows["nisp-Mal_0001_Eng_m_6200"].to_json() == {
        "audio_sha1": rows["nisp-Mal_0001_Eng_m_6200"].audio_sha1,
        "audio_filepath": "audio/nisp-Mal_0001_Eng_m_6200.flac",
        "duration": 0.5,
        "text": "Number 6200 is mine.",
        "id": "nisp-Mal_0001_Eng_m_6200",
        "text_raw": "Number 6200 is mine.",
        "speaker": "nisp:Mal_0001",
        "gender": "male",
        "age": "19.82",
        "accent": "en_l2_malayalam",
        "accent_raw": "malayam",
        "l1": "malayalam",
        "language": "en",
        "split": rows["nisp-Mal_0001_Eng_m_6200"].split,
    }
    assert rows["nisp-Hin_0002_Eng_m_0000"].accent == "en_l2_kannada"  # the mother tongue, not the folder
    assert rows["nisp-Tam_0001_Eng_f_0000"].age is None
    written = "".join(path.read_text() for path in (tmp_path / "out").glob("*.json*"))
    assert not [word for word in ("89.5", "58.5", "Rajasthan", "Jaipur", "Kannur") if word in written]


def test_speakers_of_one_number_stay_apart_and_the_lists_divide_them(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert Manifest.read(tmp_path / "out/test.jsonl").speakers == ("nisp:Hin_0002",)
    assert report.speakers == 4
    assert {name: part["speakers"] for name, part in report.splits.items()} == {"train": 2, "dev": 1, "test": 1}
    assert report.overlap["train-test"]["sentences"] == 1  # everyone reads it
    (corpus / "train_spkrID").unlink()
    (corpus / "test_spkrID").unlink()
    assert prepare(corpus, tmp_path / "out2").manifests == ("all.jsonl",)


def test_who_stands_in_both_lists_is_a_test_speaker_and_who_stands_in_none_is_counted(corpus: Path, tmp_path: Path) -> None:
    (corpus / "train_spkrID").write_text("hin_0001___TRN\r\nHin_0002___TRN\r\nsomething\r\nTam_0001\r\n")
    report = prepare(corpus, tmp_path / "out")
    assert Manifest.read(tmp_path / "out/test.jsonl").speakers == ("nisp:Hin_0002",)
    assert report.dropped == {"no-split": 2}
    assert report.repairs == {
        "line of train_spkrID not understood, passed over": 1, "speaker who stands in the lists of train and test, taken for test": 1,
    }  # fmt: skip
    assert report.rows_read == report.kept + 2


def test_transcripts_of_speakers_without_recordings_are_counted(corpus: Path, tmp_path: Path) -> None:
    folder = corpus / "Hindi_master/scripts/English_hindi_txt"
    (folder / "Hin_0008_Eng_m.txt").write_text("item0000\tHello.\nitem0001\tNobody said this.\n")
    (folder / "Hin_0009_Eng_m.txt").write_bytes(b"\xff")
    report = prepare(corpus, tmp_path / "out")
    assert report.facts["lines_without_recording"] == 4 + 2
    (note,) = [note for note in report.notes if "Hin_0009" in note]
    assert note.startswith(f"transcript of Hin_0009, who has no recordings, cannot be read: {folder / 'Hin_0009_Eng_m.txt'}: cannot be read as UTF-8")


def test_without_a_list_of_speakers_the_file_names_speak(corpus: Path, tmp_path: Path) -> None:
    (corpus / "total_spkrinfo.list").unlink()
    report = prepare(corpus, tmp_path / "out")
    u = read_rows(tmp_path / "out")["nisp-Hin_0001_Eng_f_0000"]
    assert (u.gender, u.age, u.accent, u.accent_raw) == ("female", None, "en_l2_hindi", "Hindi")
    assert any(note.startswith("no total_spkrinfo.list:") for note in report.notes)
    (corpus / "speaker_details.csv").write_text('Speaker ID,Gender,"Mother Tongue",Age (years),Weight\nHin_0001,F,Hindi,24,58.5\nodd,line\n')
    report = prepare(corpus, tmp_path / "out2")
    u = read_rows(tmp_path / "out2")["nisp-Hin_0001_Eng_f_0000"]
    assert (u.gender, u.age, u.meta) == ("female", "24", {})
    assert report.repairs == {"line of speaker_details.csv not understood, passed over": 1}


@pytest.mark.parametrize(
    ("numbers", "texts", "by_position"),
    [
        ([0, 4808], {0: "a", 4808: "b"}, False),
        ([0, 1, 2], {0: "a", 1: "b", 2: "c"}, True),  # counted on, although the lines jump
        ([0], {0: "a"}, False),
        ([0, 7], {0: "a"}, False),
        ([1, 4809], {4809: "c"}, False),
        ([], {}, False),
    ],
)
def test_recordings_are_joined_by_number_or_else_by_position(numbers: list[int], texts: dict[int, str], by_position: bool) -> None:
    assert script.match_lines(numbers, [(0, "a"), (4808, "b"), (4809, "c")]) == (texts, by_position)


def test_recordings_that_are_counted_on_are_joined_and_told(corpus: Path, tmp_path: Path) -> None:
    folder = corpus / "Tamil_master/English_Tamil/RECS/0001"
    (folder / "Tam_0001_Eng_f_7300.wav").rename(folder / "Tam_0001_Eng_f_0001.wav")
    report = prepare(corpus, tmp_path / "out")
    assert read_rows(tmp_path / "out")["nisp-Tam_0001_Eng_f_0001"].text == "Number 7300 is mine."
    assert report.repairs == {"recording joined to its line by position, as its number stands in no line": 2}


def test_planted_defects_are_counted(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    recs = corpus / "Hindi_master/English_Hindi/RECS"
    (recs / "0001/Hin_0001_Eng_f_0000.wav").rename(recs / "0001/hin_0001_ENG_f_0000.WAV")
    write_tone(recs / "Hin_0001_Eng_f_9999.wav", 0.5, seed=9999)
    write_tone(recs / "._Hin_0001_Eng_f_0001.wav", 0.5)
    write_tone(recs / "some name.wav", 0.5)
    (recs / "0002/Hin_0002_Eng_m_5100.wav").write_bytes(b"")
    scripts = corpus / "Malayalam_master/scripts/English_malayalam_txt"
    (scripts / "Mal_0001_Eng_m.txt").write_bytes("item0000\tcaf\xe9\n".encode("latin-1"))
    (scripts / "._Mal_0001_Eng_m.txt").write_bytes(b"\0\xff")
    path = corpus / "Tamil_master/scripts/English_tamil_txt/Tam_0001_Eng_f.txt"
    path.write_text(f"\ufeffitem0000\t{COMMON}\r\n\r\nno number here\r\nitem0000\tagain\r\nITEM7300  \r\n", newline="")
    (corpus / "total_spkrinfo.list").write_text(f"{HEADER}\nHin_0001 Female\nHin_0002 odd Hindi 1 2 3 4 5 6 7\n")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"empty": 1, "empty-text": 1, "no-transcript": 1, "unreadable-transcript": 2}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 9
    assert report.facts["recordings_with_other_names"] == 1
    assert report.repairs == {
        "gender label not understood, left empty": 2,
        "line of a transcript without a number, passed over": 1,
        "line of total_spkrinfo.list not understood, passed over": 1,
        "number that stands twice in a transcript, the first line is kept": 1,
    }
    (message,) = report.dropped_examples["no-transcript"]
    assert message.startswith('row "Hin_0001_Eng_f_9999" (Hindi_master/English_Hindi/RECS/Hin_0001_Eng_f_9999.wav): no line of its own in the trans')
    assert "cannot be read as UTF-8" in report.dropped_examples["unreadable-transcript"][0]
    assert "nisp-hin_0001_ENG_f_0000" in read_rows(tmp_path / "out")


def test_links_out_of_the_corpus_are_not_followed(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "secret.wav", 0.5)
    (tmp_path / "secret.txt").write_text("item0000\tsecret\n")
    wav = corpus / "Hindi_master/English_Hindi/RECS/0001/Hin_0001_Eng_f_0000.wav"
    wav.unlink()
    wav.symlink_to(tmp_path / "secret.wav")
    text = corpus / "Tamil_master/scripts/English_tamil_txt/Tam_0001_Eng_f.txt"
    text.unlink()
    text.symlink_to(tmp_path / "secret.txt")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"outside-corpus": 1, "unreadable-transcript": 2}
    assert "secret" not in "".join(u.text for u in read_rows(tmp_path / "out").values())


def test_the_parent_folder_is_accepted_and_another_is_not(corpus: Path, tmp_path: Path) -> None:
    (corpus.parent / "NISP.zip.001").touch()
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 8
    with pytest.raises(
        CorpusError, match=r"does not look like NISP; looked for a folder such as Hindi_master, found: English_Tamil, Tamil, scripts\. It"
    ):
        prepare(corpus / "Tamil_master", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")


def test_the_accent_map_comes_first(corpus: Path, tmp_path: Path) -> None:
    accents = prepare(corpus, tmp_path / "out", dry_run=True, accent_map={"malayam": "en_kerala"}).accents
    assert sorted(accents) == ["en_kerala", "en_l2_hindi", "en_l2_kannada", "en_l2_tamil"]


def test_a_second_run_and_an_interrupted_one_give_the_same(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    before = contents(tmp_path / "out")
    assert prepare(corpus, tmp_path / "out").repairs == {"audio of an earlier run kept": 8}
    assert contents(tmp_path / "out") == before
    audio = sorted((tmp_path / "out/audio").iterdir())
    audio[0].unlink()
    audio[1].write_bytes(audio[1].read_bytes()[:300])
    (tmp_path / "out/train.jsonl").write_text('{"id": "cut o')
    prepare(corpus, tmp_path / "out")
    assert contents(tmp_path / "out") == before


pieces = st.one_of(st.text(max_size=20), st.tuples(st.integers(0, 12), st.text(max_size=12)).map(lambda item: f"item{item[0]:04d}\t{item[1]}"))


@fuzz(150)
@hypothesis.given(lines=st.lists(pieces, max_size=8), numbers=st.sets(st.integers(0, 12), max_size=5))
def test_any_transcript_is_read(lines: list[str], numbers: set[int]) -> None:
    intake = Intake()
    parsed = script.parse_transcript(lines, intake)
    assert len(parsed) + sum(intake.repairs.values()) == len(lines)
    texts, by_position = script.match_lines(numbers, parsed)
    assert set(texts) <= numbers
    assert all(text in dict(parsed).values() for text in texts.values())
    assert by_position or all(dict(parsed)[number] == text for number, text in texts.items())


PEOPLE, TRANSCRIPT = "total_spkrinfo.list", "Hindi_master/Hin_0002_Eng_m.txt"
LISTED = {
    PEOPLE: [HEADER, *(f"{speaker} {about}" for speaker, (_, about, _) in SPEAKERS.items()), "Hin_0002 Male Hindi 171 43 NIL 71.5 31.02 x y"],
    "train_spkrID": ["Hin_0001___TRN", "Hin_0007___TRN"],
    "test_spkrID": ["Hin_0002___TST", "Mal_0001"],
    TRANSCRIPT: ["item0000\tHello.", "item0005\tNumber five.", "item0006\tNever said.", "item0005\tAgain."],
}
SOMEBODY = re.compile("((?:hin|kan|mal|tam|tel)_[0-9]+)", re.IGNORECASE)
odd_lines = st.one_of(st.binary(max_size=30), st.sampled_from([b"Hin_0001 F", b"hin_0001___TRN", b"Speaker_ID Gender Age", b"item0009", b" "]))


def filled_lines(data: bytes) -> list[str]:
    lines = (line.strip(" \t") for line in re.split("\r\n|\r|\n", data.decode("utf-8-sig")))
    return [line for line in lines if line]


def people_in(lines: list[str]) -> list[str]:
    """The speakers of the lines that have a value for each word of the header, one of them a speaker."""
    header, *rest = [line.split() for line in lines] or [[]]
    columns = [place for place, name in enumerate(header) if re.sub(r"[\W_]+", "_", name.casefold()).strip("_") == "speaker_id"]
    found = [SOMEBODY.fullmatch(words[columns[-1]]) for words in rest if columns and len(words) == len(header)]
    return [one[1].casefold() for one in found if one is not None]


@fuzz(80)
@hypothesis.given(
    odd=st.dictionaries(st.sampled_from(sorted(LISTED)), st.lists(odd_lines, max_size=3), max_size=2),
    damage=st.dictionaries(st.sampled_from(sorted(LISTED)), places, max_size=2),
)
def test_no_line_of_spoilt_lists_is_lost(
    tmp_path: Path, write_tone: Any, odd: dict[str, list[bytes]], damage: dict[str, list[tuple[float, int, bytes | str]]]
) -> None:
    root = tmp_path / "fuzz"
    if not root.exists():
        for seed, stem in enumerate(("Hin_0001_Eng_f_0000", "Hin_0002_Eng_m_0000", "Hin_0002_Eng_m_0005")):
            write_tone(root / f"Hindi_master/English_Hindi/RECS/{stem}.wav", 0.5, seed=seed)
        (root / "Hindi_master/Hin_0001_Eng_f.txt").write_text("item0000\tHello.")
    spoilt = {name: spoil("\n".join(lines).encode(), damage.get(name, [])) for name, lines in LISTED.items()}
    spoilt = {name: b"\n".join([data, *odd.get(name, [])]) for name, data in spoilt.items()}
    lines: dict[str, list[str]] = {}
    for name, data in spoilt.items():
        (root / name).write_bytes(data)
        with contextlib.suppress(UnicodeDecodeError):
            lines[name] = filled_lines(data)
    unreadable = [name for name in LISTED if name not in lines and name != TRANSCRIPT]
    if unreadable:
        with pytest.raises(CorpusError, match=f"({'|'.join(map(re.escape, unreadable))}): cannot be read as UTF-8"):
            prepare(root, tmp_path / "fuzz-out", dry_run=True)
        return
    report = prepare(root, tmp_path / "fuzz-out", dry_run=True)
    assert report.kept >= 1
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 3  # a row for each recording, whatever the lists say
    repairs = Counter(report.repairs)
    people = people_in(lines[PEOPLE])
    assert repairs[f"line of {PEOPLE} not understood, passed over"] == max(0, len(lines[PEOPLE]) - 1) - len(people)
    assert repairs[f"speaker who stands twice in {PEOPLE}, the first line is kept"] == len(people) - len(set(people))
    named = {}
    for name in ("train_spkrID", "test_spkrID"):
        found = [SOMEBODY.match(line) for line in lines[name]]
        named[name] = {one[1].casefold() for one in found if one is not None}
        assert repairs[f"line of {name} not understood, passed over"] == found.count(None)
    both = len(named["train_spkrID"] & named["test_spkrID"])
    assert repairs["speaker who stands in the lists of train and test, taken for test"] == both
    if TRANSCRIPT not in lines:
        assert report.dropped["unreadable-transcript"] == 2
        assert f"{root / TRANSCRIPT}: cannot be read as UTF-8" in report.dropped_examples["unreadable-transcript"][0]
        return
    passed = [count for what, count in repairs.items() if "transcript" in what]
    used = 2 - report.dropped.get("no-transcript", 0)
    assert len(lines[TRANSCRIPT]) == used + report.facts["lines_without_recording"] + sum(passed)
