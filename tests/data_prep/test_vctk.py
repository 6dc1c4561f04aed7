"""VCTK: one recording of two microphones, speakers without texts, regions of several words, and the older release."""

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

script: Any = load_bundled("data_prep", "vctk")

INFO = """\
ID  AGE  GENDER  ACCENTS  REGION COMMENTS
p225  23  F    English    Southern  England
p280  25  F    Unknown    France  (mic2 files unavailable)
p292  23  M    NorthernIrish  Belfast
p315  18  M    American   New England  (Text unavailable)
s5  26  F  British
p376  22  M    Indian
"""
TEXTS = {
    "p225_001": "Please call Stella.",
    "p225_003": '"We also need a small plastic snake."',
    "p225_004": 'He said "no", twice.',
    "p280_001": "Please call Stella.",
    "p292_001": "Please call Stella.",
    "s5_001": "Please call Stella.",
    "p376_002": "NA",
}
ABSENT = {("p280_001", 2), ("p376_002", 1)}


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "VCTK-Corpus-0.92"
    for number, key in enumerate([*TEXTS, "p315_001", "p315_002"]):
        name = key.split("_")[0]
        for microphone in (1, 2):
            if (key, microphone) not in ABSENT:
                path = root / f"wav48_silence_trimmed/{name}/{key}_mic{microphone}.flac"
                write_tone(path, 0.5 + number / 20, seed=10 * number + microphone, sampling_rate=48_000)
    for key, text in TEXTS.items():
        path = root / f"txt/{key.split('_')[0]}/{key}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (root / "wav48_silence_trimmed/log.txt").write_text("nothing\n")
    (root / "wav48_silence_trimmed/p225/._p225_009_mic1.flac").write_bytes(b"junk")
    (root / "speaker-info.txt").write_text(INFO)
    return root


def prepare(source: Path, out: Path, microphone: int = 1, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(microphone=microphone))
    return report


def rows_of(out: Path) -> dict[str, Any]:
    return {u.id.removeprefix("vctk-"): u for path in out.glob("*.jsonl") for u in Manifest.read(path)}


def test_an_utterance_is_one_row_whatever_the_microphones(corpus: Path, tmp_path: Path) -> None:
    report = assert_reruns_change_nothing(lambda out: prepare(corpus, out), tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped, report.speakers) == (9, 7, {"no-text": 2}, 5)
    assert report.repairs["wanted microphone missing, the other one taken"] == 1
    assert report.repairs["quotes around a whole sentence removed"] == 1
    assert report.dropped_examples["no-text"][0] == (
        'row "p315_001": no txt/p315/p315_001.txt (Text unavailable). Speaker p315 has none; unpack the rest again.'
    )
    assert rows_of(tmp_path / "out")["p225_003"].to_json() == {
        "audio_sha1": rows_of(tmp_path / "out")["p225_003"].audio_sha1,
        "id": "vctk-p225_003", "audio_filepath": "audio/vctk-p225_003.flac", "duration": 0.55, "text": "We also need a small plastic snake.",
        "text_raw": '"We also need a small plastic snake."', "speaker": "vctk:p225", "gender": "female", "age": "23", "accent": "en_england",
        "accent_raw": "English", "region": "Southern England", "language": "en", "meta": {"microphone": 1},
    }  # fmt: skip


def test_speakers_are_described_as_far_as_the_list_goes(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert [(key, u.accent, u.region, u.gender, u.meta["microphone"]) for key, u in sorted(rows.items())] == [
        ("p225_001", "en_england", "Southern England", "female", 1),
        ("p225_003", "en_england", "Southern England", "female", 1),
        ("p225_004", "en_england", "Southern England", "female", 1),
        ("p280_001", "unknown", "France", "female", 1),
        ("p292_001", "en_northern_ireland", "Belfast", "male", 1),
        ("p376_002", "en_india", None, "male", 2),
        ("s5_001", "british", None, "female", 1),
    ]
    assert rows["p225_004"].text == 'He said "no", twice.'
    assert rows["p376_002"].text == "NA"


def test_the_microphone_is_chosen(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "one", in_place=True)
    report = prepare(corpus, tmp_path / "two", microphone=2, in_place=True)
    first, second = rows_of(tmp_path / "one"), rows_of(tmp_path / "two")
    assert first.keys() == second.keys()
    assert first["p225_001"].audio_filepath == str((corpus / "wav48_silence_trimmed/p225/p225_001_mic1.flac").resolve())
    assert second["p225_001"].audio_filepath == str((corpus / "wav48_silence_trimmed/p225/p225_001_mic2.flac").resolve())
    assert second["p280_001"].audio_filepath.endswith("p280_001_mic1.flac")
    assert report.repairs["wanted microphone missing, the other one taken"] == 1
    with pytest.raises(MisuseError, match=r"--set microphone=3: must be 1 or 2"):
        prepare(corpus, tmp_path / "three", microphone=3)


def test_the_shared_paragraph_is_told(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", splits="speaker")
    assert report.notes[0].startswith("the first two dozen sentences are read by everybody")
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 9


def test_the_older_release_is_read_alike(tmp_path: Path, write_tone: Any) -> None:
    root = tmp_path / "VCTK-Corpus"
    for number, key in enumerate(("p225_001", "p226_001")):
        write_tone(root / f"wav48/{key[:4]}/{key}.WAV", 0.5, seed=number, sampling_rate=48_000)
        (root / f"txt/{key[:4]}").mkdir(parents=True)
        (root / f"txt/{key[:4]}/{key}.txt").write_text("Please call Stella.\r\n")
    (root / "speaker-info.txt").write_text(
        "ID  AGE  GENDER  ACCENTS  REGION \n225  23  F    English    Southern  England\n226  22  M    English    Surrey\n"
    )
    report = prepare(root, tmp_path / "out")
    assert (report.kept, report.dropped, report.repairs) == (2, {}, {})
    u = rows_of(tmp_path / "out")["p226_001"]
    assert (u.speaker, u.gender, u.region, u.meta, u.text) == ("vctk:p226", "male", "Surrey", {}, "Please call Stella.")


def test_planted_defects_are_counted(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    (corpus / "txt/p225/p225_005.txt").write_text("No recording.\n")
    (corpus / "txt/p225/p225_001.txt").write_text("\n")
    (corpus / "txt/p225/p225_004.txt").write_bytes(b"caf\xe9\n")
    (corpus / "wav48_silence_trimmed/p292/p292_001_mic1.flac").write_bytes(b"")
    secret = write_tone(tmp_path / "secret.flac")
    (corpus / "wav48_silence_trimmed/s5/s5_001_mic1.flac").unlink()
    (corpus / "wav48_silence_trimmed/s5/s5_001_mic1.flac").symlink_to(secret)
    (tmp_path / "secret.txt").write_text("A secret.\n")
    (corpus / "txt/p280/p280_001.txt").unlink()
    (corpus / "txt/p280/p280_001.txt").symlink_to(tmp_path / "secret.txt")
    (corpus / "speaker-info.txt").write_text(INFO + "p999 12\n")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"empty": 1, "empty-text": 1, "missing": 1, "no-text": 2, "not-text": 1, "outside-corpus": 2}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 10
    assert report.repairs["line of speaker-info.txt not understood, passed over"] == 1
    assert 'row "p225_005" (txt/p225/p225_005.txt): no recording of that name.' in report.dropped_examples["missing"][0]


def test_a_corpus_without_its_list_of_speakers_still_knows_who_speaks(corpus: Path, tmp_path: Path) -> None:
    (corpus / "speaker-info.txt").unlink()
    report = prepare(corpus, tmp_path / "out")
    assert (report.kept, report.speakers, list(report.accents)) == (7, 5, ["unknown"])
    assert "no speaker-info.txt, so genders, ages and accents are unknown" in report.notes
    (corpus / "speaker-info.txt").write_bytes(b"p225 23 F Engl\xefsh\n")
    with pytest.raises(CorpusError, match=r"speaker-info\.txt: .*UTF-8"):
        prepare(corpus, tmp_path / "out")


def test_the_parent_is_accepted_and_another_folder_is_not(corpus: Path, tmp_path: Path) -> None:
    assert prepare(tmp_path, tmp_path / "out", dry_run=True).kept == 7
    with pytest.raises(
        CorpusError,
        match=r"does not look like VCTK; looked for txt/ and wav48_silence_trimmed/ or wav48/, found: p225, p280, .* It should be a folder",
    ):
        prepare(corpus / "txt", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("p225  23  F    English    Southern  England", ("p225", "23", "F", "English", "Southern England", "")),
        ("p280  25  F  Unknown  France  (mic2 files unavailable)", ("p280", "25", "F", "Unknown", "France", "mic2 files unavailable")),
        ("p315\t18  M  American  (Text unavailable)", ("p315", "18", "M", "American", "", "Text unavailable")),
        ("s5  26  F  British", ("s5", "26", "F", "British", "", "")),
        ("226 22 M English Surrey", ("p226", "22", "M", "English", "Surrey", "")),
    ],
)
def test_lines_of_speakers(line: str, parsed: tuple[str, ...]) -> None:
    speaker = script.parse_speaker(line)
    assert (speaker.name, speaker.age, speaker.gender, speaker.accent, speaker.region, speaker.comment) == parsed


@pytest.mark.parametrize(
    ("text", "plain"), [('"Hello."', "Hello."), ('"A" and "B"', '"A" and "B"'), ('"', '"'), ("", ""), ('"Half', '"Half'), ('""', "")]
)
def test_quotes_around_a_sentence(text: str, plain: str) -> None:
    assert script.strip_quotes(text) == plain


@fuzz(150)
@given(
    info=st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(["p225", " ", "23", "F", "(", ")", "\n", "\0", "ID AGE"]), max_size=12)),
    text=st.one_of(st.binary(max_size=30), st.sampled_from([b'"', b'""', b"\r", "\u2028".encode(), b"x" * 5000])),
)
def test_any_list_is_read_or_refused_in_words(info: Any, text: bytes, tmp_path: Path, write_tone: Any) -> None:
    root = tmp_path / "c"
    if not root.exists():
        write_tone(root / "wav48/p225/p225_001.wav", 0.5)
        (root / "txt/p225").mkdir(parents=True)
    (root / "speaker-info.txt").write_bytes(info if isinstance(info, bytes) else "".join(info).encode())
    (root / "txt/p225/p225_001.txt").write_bytes(text)
    intake = Intake()
    try:
        speakers = script.read_speakers(root / "speaker-info.txt", intake)
    except CorpusError:
        speakers = {}
    rows = script.read_rows(root, speakers, script.Settings(), intake)
    assert len(rows) + len(intake.drops) == 1
    assert all(drop.reason == "not-text" for drop in intake.drops)
