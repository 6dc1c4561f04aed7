"""Long recordings: those with transcripts become rows, those without a table to be filled in, and everything else is told."""

import csv
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rapidfuzz import fuzz
from reruns import assert_reruns_change_nothing, contents

pytest.importorskip("hibari", reason="the synthetic voice is not installed")

from long_recordings import LISTENER, RATE, Truth, put_together, some_sentences, speak

from speechadapt.audio.waveform import read_waveform
from speechadapt.bundled import load_bundled
from speechadapt.cli import main
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MissingExtraError, MisuseError, SpeechadaptError
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "recordings")
TEXTS = some_sentences(7, seed=31)
PAUSES = (0.7, 0.9, 0.8, 1.0, 0.9, 0.8, 0.8, 0.8)
ENGLISH = {"model": LISTENER, "language": "en"}


@pytest.fixture(scope="module")
def clips() -> dict[str, np.ndarray]:
    return {text: speak(text) for text in TEXTS}


def write(path: Path, clips: dict[str, np.ndarray], texts: list[str], transcript: str | None) -> Truth:
    """A recording in the format its name says, and its transcript beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waveform, truth = put_together([clips[text] for text in texts], PAUSES)
    soundfile.write(path, waveform, RATE, format={".flac": "FLAC", ".ogg": "OGG"}.get(path.suffix.lower(), "WAV"))
    if transcript is not None:
        path.with_suffix(".txt").write_text(transcript, encoding="utf-8")
    return truth


def still(path: Path, seconds: float) -> None:
    soundfile.write(path, np.random.default_rng(3).normal(0, 1e-3, round(seconds * RATE)), RATE, format="WAV")


@pytest.fixture
def corpus(clips: dict[str, np.ndarray], tmp_path: Path) -> Path:
    """Two recordings of one name in two folders, one untranscribed, one of silence, one that is none, an empty transcript, bad bytes, and junk."""
    root = tmp_path / "corpus"
    write(root / "a/talk.wav", clips, TEXTS[:2], f"{TEXTS[0]}\n{TEXTS[1]}")
    # a sentence that is not written, and one that is not said
    write(root / "b/talk.FLAC", clips, [TEXTS[2], TEXTS[3], TEXTS[4]], f"{TEXTS[2]} {TEXTS[4]} {TEXTS[5]}")
    (root / "b/talk.txt").rename(root / "b/Talk.TXT")
    write(root / "b/open.wav", clips, [TEXTS[5], TEXTS[6]], None)
    still(root / "still.wav", 4)
    (root / "broken.wav").write_text("no sound")
    (root / "broken.txt").write_text("a transcript")
    for name, data in (("empty", b" \n"), ("bytes", b"caf\xe9 au lait"), ("zero", "text".encode("utf-16-le"))):
        still(root / f"{name}.wav", 2)
        (root / f"{name}.txt").write_bytes(data)
    (root / "readme.txt").write_text("What this is.")
    (root / "._talk.wav").write_bytes(b"\x00\x05\x16\x07")
    return root


def prepare(source: Path, out: Path, settings: dict[str, Any] | None = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(**{**ENGLISH, "gap": 0.3, **(settings or {})}))
    return report


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_recording_is_segmented_listed_or_told(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = prepare(corpus, out)
    assert report.dropped == {"bad-encoding": 2, "empty-text": 1, "not-audio": 1, "not-heard": 1, "speech-without-text": 1}
    assert (report.kept, report.rows_read) == (4, 10)
    assert report.facts == {
        "text_files_without_recording": 1, "untranscribed_recordings": 2, "untranscribed_stretches": 2,
        "untranscribed_seconds": report.facts["untranscribed_seconds"],
    }  # fmt: skip
    rows = Manifest.read(out / "all.jsonl")
    assert sorted((u.recording, u.text, u.language, u.speaker) for u in rows) == [
        ("recordings:a/talk.wav", TEXTS[0], "en", None), ("recordings:a/talk.wav", TEXTS[1], "en", None),
        ("recordings:b/talk.FLAC", TEXTS[2], "en", None), ("recordings:b/talk.FLAC", TEXTS[4], "en", None),
    ]  # fmt: skip
    for u in rows:
        start = int(u.id.rpartition("-")[2]) / 1000
        source = read_waveform(corpus / str(u.recording).removeprefix("recordings:"), offset=start, duration=u.duration)
        np.testing.assert_allclose(read_waveform(out / u.audio_filepath), source, atol=1 / 32768)
        assert u.meta["aligned_by"] == LISTENER
        assert u.meta["confidence"] > 0.5
        assert 0 <= u.meta["aligned_cer"] < 0.3
    extra, missing = read(out / "rejected.csv")
    assert (extra["reason"], extra["text"], extra["audio_filepath"]) == ("speech-without-text", "", "b/talk.FLAC")
    assert (missing["reason"], missing["text"], missing["speaker"]) == ("not-heard", TEXTS[5], "")
    assert float(extra["start"]) < float(extra["end"]) <= float(missing["start"]) < float(missing["end"])
    assert report.dropped_examples["bad-encoding"] == (
        '"bytes.wav": byte 4 of its transcript is not utf-8. Save it as UTF-8, or name its encoding: --set encoding=cp1252',
        '"zero.wav": its transcript holds zero bytes, so it is no text in this encoding. Save it as UTF-8.',
    )
    assert report.dropped_examples["empty-text"] == (
        '"empty.wav": no words in its transcript. Write it, or remove the file and have its speech listed.',
    )
    assert "not a recording that can be read" in report.dropped_examples["not-audio"][0]
    assert report.notes[0] == "1 text files have no recording of the same name, such as readme.txt"


def test_untranscribed_speech_is_listed_filled_in_and_prepared_as_a_table(corpus: Path, tmp_path: Path, clips: dict[str, np.ndarray]) -> None:
    prepare(corpus, tmp_path / "out")
    listed = read(tmp_path / "out/unlabelled.csv")
    assert [row["audio_filepath"] for row in listed] == ["b/open.wav"] * 2  # nobody speaks in still.wav
    truth = put_together([clips[TEXTS[5]], clips[TEXTS[6]]], PAUSES)[1]
    for row, (start, end) in zip(listed, truth, strict=True):
        assert (float(row["start"]), float(row["end"])) == (pytest.approx(start, abs=0.25), pytest.approx(end, abs=0.35))
        assert (row["speaker"], row["text"]) == ("", "")
    table: Any = load_bundled("data_prep", "table")
    settings = table.Settings(audio_root=corpus)
    with pytest.raises(CorpusError, match="none of 2 rows is left"):  # not filled in, nothing is trained on
        table.prepare(tmp_path / "out/unlabelled.csv", tmp_path / "filled", PrepareOptions(), settings)
    with (tmp_path / "out/unlabelled.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(listed[0]))
        writer.writeheader()
        writer.writerows({**row, "text": text} for row, text in zip(listed, TEXTS[5:7], strict=True))
    assert table.prepare(tmp_path / "out/unlabelled.csv", tmp_path / "filled", PrepareOptions(), settings).kept == 2
    assert sorted(u.text for u in Manifest.read(tmp_path / "filled/all.jsonl")) == sorted(TEXTS[5:7])


def test_a_second_run_and_an_interrupted_one_give_the_same(corpus: Path) -> None:
    report = assert_reruns_change_nothing(lambda out: prepare(corpus, out), corpus / "prepared")
    assert report.kept == 4


def test_what_was_heard_is_kept_until_something_changes(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "alignment of an earlier run kept" not in prepare(corpus, out).repairs
    made = contents(out)
    assert prepare(corpus, out).repairs["alignment of an earlier run kept"] == 2
    (corpus / "a/talk.txt").write_text(f"{TEXTS[0]} And more that nobody says in it.")
    report = prepare(corpus, out)
    assert report.repairs["alignment of an earlier run kept"] == 1
    assert report.dropped["not-heard"] == 2
    (corpus / "a/talk.txt").write_text(f"{TEXTS[0]}\n{TEXTS[1]}")
    for kept in (out / "alignments").iterdir():
        kept.write_text('{"fingerprint": 1}')  # as good as none
    assert "alignment of an earlier run kept" not in prepare(corpus, out).repairs
    assert contents(out) == made
    os.utime(corpus / "a/talk.wav", (1, 1))
    assert prepare(corpus, out).repairs["alignment of an earlier run kept"] == 1


def test_a_dry_run_writes_nothing_and_in_place_points_to_the_recordings(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", dry_run=True)
    assert (report.kept, report.dropped["not-heard"], report.out) == (4, 1, None)
    assert not (tmp_path / "out").exists()
    prepare(corpus, tmp_path / "out", in_place=True)
    manifest = Manifest.read(tmp_path / "out/all.jsonl")
    assert {manifest.audio_path(u).relative_to(corpus.resolve()).as_posix() for u in manifest} == {"a/talk.wav", "b/talk.FLAC"}
    assert not (tmp_path / "out/audio").exists()


@pytest.fixture
def small(clips: dict[str, np.ndarray], tmp_path: Path) -> Path:
    write(tmp_path / "small/Anna/one.wav", clips, TEXTS[:1], TEXTS[0])
    return tmp_path / "small"


def speakers(out: Path) -> set[Any]:
    return {(u.speaker, u.accent_raw, u.gender) for u in Manifest.read(out / "all.jsonl")}


def test_speakers_are_told_and_never_invented(small: Path, tmp_path: Path) -> None:
    prepare(small, tmp_path / "out")
    assert speakers(tmp_path / "out") == {(None, None, None)}
    prepare(small, tmp_path / "out", {"speaker": "folder"})
    assert speakers(tmp_path / "out") == {("recordings:Anna", None, None)}
    prepare(small / "Anna", tmp_path / "out2", {"speaker": "folder"})  # it lies in no folder of its own
    assert speakers(tmp_path / "out2") == {(None, None, None)}
    prepare(small, tmp_path / "out", {"speaker": "file", "name": "recordings"})
    assert speakers(tmp_path / "out") == {("recordings:one", None, None)}
    (small / "speakers.csv").write_text("recording,speaker,Accent,sex\nanna/ONE,Ben: guest,Scottish English,F\nother.wav,Cem,,\n")
    report = prepare(small, tmp_path / "out", {"speaker": "folder"})
    assert speakers(tmp_path / "out") == {("recordings:Ben: guest", "Scottish English", "female")}
    assert report.facts["speakers_without_recording"] == 1
    (tmp_path / "who.csv").write_text("file,speaker\none.wav,\n")
    prepare(small, tmp_path / "out", {"speakers": tmp_path / "who.csv"})
    assert speakers(tmp_path / "out") == {(None, None, None)}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,who\none,Ben\n", r"no column for the recording \(file\), found name, who"),
        ("file,who\none,Ben\n", r"no column for the speaker \(speaker\), found file, who"),
        ("file,speaker\none,Ben\none,Cem\n", 'line 3: says something else of "one" than a line before it'),
    ],
)
def test_speaker_tables_that_cannot_be_meant(small: Path, tmp_path: Path, table: str, message: str) -> None:
    (small / "speakers.csv").write_text(table)
    with pytest.raises(CorpusError, match=message):
        prepare(small, tmp_path / "out")


def test_marks_are_taken_out_or_drop_their_phrase(small: Path, tmp_path: Path) -> None:
    words = TEXTS[0].split(" ", 2)
    (small / "Anna/one.txt").write_text(f"{words[0]} [laughs] {words[1]} {words[2]} This is xxx here.\n[applause]")
    report = prepare(small, tmp_path / "out")
    [u] = Manifest.read(tmp_path / "out/all.jsonl")
    assert (u.text, u.text_raw) == (TEXTS[0], f"{words[0]} [laughs] {words[1]} {words[2]}")
    assert report.dropped == {"event-only": 1, "unintelligible": 1}
    assert report.repairs == {"mark taken out of the text": 1}


def test_a_transcript_of_another_recording_is_told_in_one_sentence(small: Path, clips: dict[str, np.ndarray], tmp_path: Path) -> None:
    write(small / "two.wav", clips, TEXTS[1:3], " ".join(TEXTS[3:7]))
    report = prepare(small, tmp_path / "out")
    assert [u.text for u in Manifest.read(tmp_path / "out/all.jsonl")] == [TEXTS[0]]
    phrases = report.dropped["not-heard"]
    advice = "It may belong to another recording, or the model may not know the language or accent."
    assert report.notes == (f'"two.wav": 0 of {phrases} phrases of its transcript were found in it. {advice}',)
    (small / "Anna/one.txt").unlink()
    (small / "Anna/one.wav").unlink()
    told = rf'nothing is left \({phrases} not-heard\)\. "two\.wav": 0 of {phrases} phrases .* accent\. See .*rejected\.csv\.'
    with pytest.raises(CorpusError, match=told):
        prepare(small, tmp_path / "out2")
    assert len(read(tmp_path / "out2/rejected.csv")) == report.rows_read - 1


def test_one_recording_in_several_formats_counts_once_and_a_file_is_a_source(small: Path, clips: dict[str, np.ndarray], tmp_path: Path) -> None:
    write(small / "Anna/one.ogg", clips, TEXTS[:1], None)
    report = prepare(small, tmp_path / "out")
    assert (report.kept, report.dropped, report.by_choice) == (1, {"same-name": 1}, {"same-name": 1})
    write(small / "Anna/two.wav", clips, TEXTS[1:2], TEXTS[1])
    (small / "Anna/speakers.csv").write_text("file,speaker\none.wav,Anna\ntwo.wav,Bob\n")
    report = prepare(small / "Anna/one.wav", tmp_path / "out2")
    assert (report.kept, report.dropped) == (1, {})
    assert (report.notes, report.facts) == ((), {}), "what belongs to recordings that were not asked for is not told as lost"


def test_a_corpus_that_nobody_has_transcribed_has_a_table_and_a_report(small: Path, tmp_path: Path) -> None:
    prepare(small, tmp_path / "earlier")
    assert (tmp_path / "earlier/all.jsonl").is_file()
    (small / "Anna/one.txt").unlink()
    prepare(small, tmp_path / "earlier", {"model": None})
    assert not list((tmp_path / "earlier").glob("*.jsonl")), "rows of a transcript that is no longer there are not left to be trained on"
    out = tmp_path / "out"
    report = prepare(small, out, {"model": None, "speaker": "folder"})
    assert (report.kept, report.rows_read, report.manifests) == (0, 0, ())
    assert json.loads((out / "prep_report.json").read_text())["facts"]["untranscribed_stretches"] == 1
    assert [row["speaker"] for row in read(out / "unlabelled.csv")] == ["Anna"]
    assert sorted(path.name for path in out.iterdir()) == ["corpus.json", "prep_report.json", "unlabelled.csv"]
    before = contents(out)
    prepare(small, out, {"model": None, "speaker": "folder"})
    assert contents(out) == before
    assert prepare(small, tmp_path / "dry", {"model": None}, dry_run=True).facts["untranscribed_recordings"] == 1
    assert not (tmp_path / "dry").exists()
    with pytest.raises(CorpusError, match=r"none of 1 rows is left \(1 no-transcript\)"):
        prepare(small, out, {"untranscribed": "drop"})


def test_recordings_that_are_no_longer_there_leave_nothing_behind(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    for path in (corpus / "b").iterdir():
        path.unlink()
    prepare(corpus, tmp_path / "out")
    assert [path.name.partition("-")[0] for path in (tmp_path / "out/alignments").iterdir()] == ["a"]
    assert not (tmp_path / "out/rejected.csv").exists()
    assert not (tmp_path / "out/unlabelled.csv").exists()


def test_drafts_stand_in_a_column_of_their_own(small: Path, tmp_path: Path) -> None:
    (small / "Anna/one.txt").unlink()
    prepare(small, tmp_path / "out", {"draft": LISTENER})
    [row] = read(tmp_path / "out/unlabelled.csv")
    assert row["text"] == ""
    assert fuzz.ratio(row["draft"], TEXTS[0].lower()) > 75  # what the model heard, not what was said


def test_a_missing_extra_is_told_before_anything_is_heard(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    with pytest.raises(MissingExtraError, match=r"silero-vad, .* is not installed\. Install it with: pip install 'speechadapt\[vad\]'"):
        prepare(corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    report = prepare(corpus, tmp_path / "out", {"untranscribed": "drop"})
    assert report.by_choice == {"no-transcript": 2}


def test_models_that_are_missing_or_no_ctc_models(small: Path, tmp_path: Path, whisper_folder: Callable[[str], Path]) -> None:
    with pytest.raises(MisuseError, match=r'"Anna/one\.wav" has a transcript, but no model was named .* --set model='):
        prepare(small, tmp_path / "out", {"model": None})
    with pytest.raises(MisuseError, match="a model of the family whisper"):
        prepare(small, tmp_path / "out", {"model": str(whisper_folder("english"))})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"speaker": "me"}, 'speaker="me": must be one of none, folder, file'),
        ({"untranscribed": "guess"}, 'untranscribed="guess": must be one of list, drop'),
        ({"threshold": 1.0}, "threshold=1: must be above 0 and below 1"),
        ({"encoding": "klingon"}, 'encoding="klingon": no such encoding'),
        ({"drop_marks": "["}, r'drop_marks="\[": not a regular expression'),
        ({"min_confidence": 2.0}, "min_confidence is 2, must be 0 to 1"),
    ],
)
def test_settings_that_mean_nothing(small: Path, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        prepare(small, tmp_path / "out", settings)


def test_folders_that_cannot_be_meant(small: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none/notes.txt").write_text("x")
    with pytest.raises(CorpusError, match=r"no recording in it or below it, found: notes\.txt\. It should be a folder with recordings"):
        prepare(tmp_path / "none", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(MisuseError, match="is the corpus itself"):
        prepare(small, small)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/corpus.json").write_text('{"name": "vctk"}')
    with pytest.raises(MisuseError, match='holds the prepared corpus "vctk", not "recordings"'):
        prepare(small, tmp_path / "other")
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == ["corpus.json"]
    (tmp_path / "other/corpus.json").write_text("[]")
    with pytest.raises(SpeechadaptError, match=r"corpus\.json: list, expected one JSON object"):
        prepare(small, tmp_path / "other")


def test_other_encodings(small: Path, tmp_path: Path) -> None:
    for encoding, settings in (("utf-16", {}), ("utf-8-sig", {}), ("cp1252", {"encoding": "cp1252"})):
        (small / "Anna/one.txt").write_bytes(TEXTS[0].replace("'", "’").encode(encoding))
        assert prepare(small, tmp_path / encoding, settings).kept == 1
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):  # a byte-order mark says more than a setting for the other files
        (small / "Anna/one.txt").write_bytes(TEXTS[0].encode(encoding))
        report = prepare(small, tmp_path / f"marked-{encoding}", {"encoding": "cp1252"})
        assert (report.kept, report.dropped) == (1, {})


def test_the_command_line(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["prepare", "recordings", str(corpus), str(tmp_path / "out"), "--jobs", "1", "--set", f"model={LISTENER}", "--set", "language=en"]
    assert main([*arguments, "--set", "gap=0.3"]) == 0
    told = capsys.readouterr().out
    assert "4 of 10 rows kept" in told
    assert "dropped 1 not-heard: " in told
    assert "unlabelled.csv lists 2 stretches in which somebody speaks" in told
    assert main([*arguments[:4], "--set", "model=embedded:nothing"]) == 1
    for path in corpus.rglob("*.[tT]*"):
        path.unlink()
    assert main([*arguments[:3], str(tmp_path / "open"), "--allow-missing"]) == 0
    told = capsys.readouterr().out
    assert "0 of 1 rows kept" in told
    assert "dropped 1 not-audio" in told
