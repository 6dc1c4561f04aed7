"""Praat TextGrids: phrases cut to the sample, words joined, tiers and speakers chosen, and files that are no use."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st
from praat_files import Tier, long_textgrid, short_textgrid
from reruns import assert_reruns_change_nothing
from textgrid_rows import phrases, spoken, tiers_in

from speechadapt.audio.waveform import read_waveform
from speechadapt.bundled import load_bundled
from speechadapt.cli import main
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "textgrid")
RATE = 16_000
UTT: Tier = (
    "utt",
    [
        (0.0, 0.5, ""), (0.5, 1.25, 'She said ""no"".'), (1.25, 1.5, "[laugh]"), (1.5, 2.25, "two\nlines"), (2.25, 2.5, "so xxx then"),
        (2.5, 2.5, "nothing"), (2.5, 3.0, "sp"), (3.0, 4.25, "the [cough] end"),
    ],
)  # fmt: skip
PHONES: Tier = ("phones", [(0.5, 0.6, "ʃ"), (0.6, 1.0, "i")])
BELL: Tier = ("bell", [(1.0, 1.0, "ding")])
WORDS: Tier = (
    "words",
    [
        (0.0, 0.2, "sil"), (0.2, 0.5, "put"), (0.5, 0.8, "the"), (0.8, 1.0, "kettle"), (1.0, 1.4, ""), (1.4, 1.8, "on"),
        (1.8, 2.4, "<p:>"), (2.4, 2.8, "and"), (2.8, 3.0, "<unk>"), (3.0, 3.5, "wait"),
    ],
)  # fmt: skip


def ramp(seconds: float, start: int = 0) -> np.ndarray:
    return ((np.arange(round(seconds * RATE)) + start) % 60_000 - 30_000).astype(np.int16)


def write_ramp(path: Path, seconds: float = 4.0, start: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, ramp(seconds, start), RATE, subtype="PCM_16", format="WAV")
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two files with the same phrases in both text forms, one with words, one in binary form, one without a recording, and junk."""
    root = tmp_path / "corpus"
    write_ramp(root / "s1.wav")
    (root / "s1.TextGrid").write_text(long_textgrid(PHONES, UTT, BELL), encoding="utf-8")
    write_ramp(root / "day2/s2.WAV", start=10_000)
    (root / "day2/s2.textgrid").write_bytes(short_textgrid(PHONES, UTT, BELL).encode("utf-16"))
    write_ramp(root / "audio/s3.flac.wav", start=20_000).rename(root / "audio/s3.wav")
    (root / "annotations").mkdir()
    (root / "annotations/s3.TextGrid").write_text(long_textgrid(WORDS, PHONES))
    (root / "s4.TextGrid").write_bytes(b"ooBinaryFile\x08TextGrid\x00")
    (root / "s5.TextGrid").write_text(long_textgrid(("utt", [(0, 1, "no sound"), (1, 2, "no sound again")])))
    (root / "._s1.TextGrid").write_bytes(b"\x00\x05\x16\x07")
    return root


def prepare(source: Path, out: Path, settings: Any = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), settings or script.Settings())
    return report


def small(tmp_path: Path, *tiers: Tier) -> Path:
    root = tmp_path / "small"
    write_ramp(root / "a.wav")
    (root / "a.TextGrid").write_text(long_textgrid(*tiers))
    return root


def test_phrases_are_cut_to_the_sample_and_every_loss_is_counted(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", script.Settings(language="en"))
    assert report.dropped == {"broken-textgrid": 1, "event-only": 2, "missing": 2, "out-of-range": 2, "unintelligible": 3}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 19
    assert report.facts == {"rows_with_bracketed_marks": 2}
    assert report.repairs == {"segment end beyond its recording, shortened": 2}
    rows = {u.id: u for u in Manifest.read(tmp_path / "out/all.jsonl")}
    assert sorted(rows) == [
        "textgrid-annotations-s3-0000200", "textgrid-annotations-s3-0002400", "textgrid-annotations-s3-0003000",
        "textgrid-day2-s2-0000500", "textgrid-day2-s2-0001500", "textgrid-day2-s2-0003000",
        "textgrid-s1-0000500", "textgrid-s1-0001500", "textgrid-s1-0003000",
    ]  # fmt: skip
    u = rows["textgrid-s1-0000500"]
    assert u.to_json() == {
        "audio_sha1": u.audio_sha1,
        "audio_filepath": "audio/textgrid-s1-0000500.flac", "duration": 0.75, "id": "textgrid-s1-0000500", "language": "en",
        "meta": {"tier": "utt"}, "recording": "textgrid:s1.wav", "text": 'She said ""no"".', "text_raw": 'She said ""no"".',
    }  # fmt: skip
    samples = np.round(read_waveform(tmp_path / "out" / u.audio_filepath) * 32768).astype(np.int16)
    np.testing.assert_array_equal(samples, ramp(4.0)[8000:20_000])
    assert rows["textgrid-s1-0001500"].text == "two lines"
    assert rows["textgrid-s1-0001500"].text_raw == "two\nlines"
    assert rows["textgrid-s1-0003000"].duration == 1.0  # its end is a quarter of a second after the recording's
    assert rows["textgrid-s1-0003000"].text == "the [cough] end"
    assert report.dropped_examples["broken-textgrid"][0].endswith("a binary TextGrid. Open it in Praat and save it as a text file.")
    place = 's2.textgrid, tier "utt", 2.25 s to 2.50 s'
    assert report.dropped_examples["unintelligible"][1].startswith(f'row "day2-s2-0002250" ({place}): holds "xxx".')
    assert report.dropped_examples["missing"][0].startswith(
        'row "s5-0000000" (s5.TextGrid, tier "utt", 0.00 s to 1.00 s): no recording "s5" with .wav'
    )


def test_both_text_forms_give_the_same_segments(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    rows = Manifest.read(tmp_path / "out/all.jsonl")
    first = [(u.id.rpartition("-")[2], u.text, u.duration) for u in rows if u.recording == "textgrid:s1.wav"]
    second = [(u.id.rpartition("-")[2], u.text, u.duration) for u in rows if u.recording == "textgrid:day2/s2.WAV"]
    assert len(first) == 3
    assert first == second


@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        ({}, [("put the kettle on", 0.2, 1.8), ("and", 2.4, 2.8), ("wait", 3.0, 3.5)]),
        ({"gap": 0.3}, [("put the kettle", 0.2, 1.0), ("on", 1.4, 1.8), ("and", 2.4, 2.8), ("wait", 3.0, 3.5)]),
        ({"gap": 0.6}, [("put the kettle on and", 0.2, 2.8), ("wait", 3.0, 3.5)]),
        ({"longest": 0.7}, [("put the", 0.2, 0.8), ("kettle", 0.8, 1.0), ("on", 1.4, 1.8), ("and", 2.4, 2.8), ("wait", 3.0, 3.5)]),
        ({"drop_marks": "", "gap": 0.6}, [("put the kettle on and <unk> wait", 0.2, 3.5)]),
        ({"join_words": "no", "drop_marks": "[klu]"}, [("the", 0.5, 0.8), ("on", 1.4, 1.8), ("and", 2.4, 2.8), ("wait", 3.0, 3.5)]),
    ],
)  # fmt: skip
def test_words_are_joined_to_phrases(tmp_path: Path, settings: dict[str, Any], texts: list[tuple[str, float, float]]) -> None:
    root = small(tmp_path, WORDS, PHONES)
    report = prepare(root, tmp_path / "out", script.Settings(**settings))
    starts = {u.id: int(u.id[-7:]) / 1000 for u in Manifest.read(tmp_path / "out/all.jsonl")}
    assert [(u.text, starts[u.id], round(starts[u.id] + u.duration, 3)) for u in Manifest.read(tmp_path / "out/all.jsonl")] == texts
    assert report.rows_read == report.kept + sum(report.dropped.values())


def test_a_tier_that_is_not_known_by_its_name_must_be_named(tmp_path: Path) -> None:
    root = small(tmp_path, ("main", [(0, 1, "hello there")]), ("gloss", [(0, 1, "GREETING")]), BELL)
    with pytest.raises(
        CorpusError,
        match=r'a\.TextGrid: which tier holds the transcript\? There are: "main" \(1, such as "hello there"\), "gloss" \(1, such as "GREETING"\)\. '
        r"Choose with --set tiers=NAME, or a pattern such as \*words\*\.",
    ):
        prepare(root, tmp_path / "out")
    prepare(root, tmp_path / "out", script.Settings(tiers=("MAIN",)))
    (u,) = Manifest.read(tmp_path / "out/all.jsonl")
    assert (u.text, u.speaker, u.meta) == ("hello there", None, {"tier": "main"})
    with pytest.raises(CorpusError, match=r'no file has a tier with the transcript\. There are: "main"'):
        prepare(root, tmp_path / "out", script.Settings(tiers=("bell",)))  # points are no segments


def test_a_file_without_the_tier_is_dropped_and_told(tmp_path: Path) -> None:
    root = small(tmp_path, UTT)
    (root / "b.TextGrid").write_text(long_textgrid(PHONES, BELL))
    report = prepare(root, tmp_path / "out")
    assert report.dropped["no-tier"] == 1
    assert report.dropped_examples["no-tier"] == (
        'file "b.TextGrid": no tier with the transcript among "phones", "bell" (points). Choose one with --set tiers=NAME.',
    )


SPEAKERS = [
    (["Anna - words", "Anna - phones", "words - Ben K."], {}, {"textgrid:Anna", "textgrid:Ben K."}),  # as the Montreal aligner and others
    (["Speech A", "Speech B"], {}, {"textgrid:Speech A", "textgrid:Speech B"}),
    (["Anna", "Ben"], {"tiers": ("anna", "ben")}, {"textgrid:Anna", "textgrid:Ben"}),
    (["tx@Anna", "tx@Ben: guest", "ft@Anna"], {"tiers": ("tx@*",)}, {"textgrid:Anna", "textgrid:Ben: guest"}),
    (["main"], {}, {None}),
    (["main"], {"speaker": "tier"}, {"textgrid:main"}),
    (["main"], {"speaker": "file"}, {"textgrid:a"}),
    (["main"], {"speaker": "folder"}, {None}),  # it lies in no folder of its own
    (["Anna - words"], {"speaker": "none"}, {None}),
    (["ORT-MAU", "KAN-MAU", "MAU"], {"name": "mine"}, {None}),
]


@pytest.mark.parametrize(("names", "settings", "speakers"), SPEAKERS)
def test_speakers_are_told_by_tiers_and_never_invented(tmp_path: Path, names: list[str], settings: dict[str, Any], speakers: set[str | None]) -> None:
    tiers = [(name, [(index * 0.4, index * 0.4 + 0.35, f"line {index}")]) for index, name in enumerate(names)]
    prepare(small(tmp_path, *tiers), tmp_path / "out", script.Settings(**settings))
    rows = Manifest.read(tmp_path / "out/all.jsonl")
    assert {u.speaker for u in rows} == speakers
    assert len(rows) == len(speakers)


def test_two_tiers_that_may_be_one_transcript_twice_are_not_taken_for_speakers(tmp_path: Path) -> None:
    root = small(tmp_path, ("utterance", [(0, 1, "Hello.")]), ("text", [(0, 1, "hello")]))
    with pytest.raises(CorpusError, match="which tier holds the transcript"):
        prepare(root, tmp_path / "out")


def test_simultaneous_speech_can_be_dropped(tmp_path: Path) -> None:
    a: Tier = ("Speech A", [(0.0, 1.0, "one"), (1.0, 2.0, "two"), (2.5, 3.0, "three")])
    b: Tier = ("Speech B", [(1.5, 2.2, "four"), (2.6, 2.8, "[laugh]"), (3.0, 3.5, "five")])
    root = small(tmp_path, a, b)
    assert prepare(root, tmp_path / "out").dropped == {"event-only": 1}
    report = prepare(root, tmp_path / "out", script.Settings(overlap="drop"))
    assert report.dropped == {"event-only": 1, "overlap": 2}
    assert sorted(u.text for u in Manifest.read(tmp_path / "out/all.jsonl")) == ["five", "one", "three"]


def test_marks_are_the_users_to_choose(tmp_path: Path) -> None:
    root = small(tmp_path, ("utt", [(0, 1, "so [cough] it is"), (1, 2, "xxx here"), (2, 3, 'sch\\o"n \\ae'), (3, 4, "exxxtra")]))
    report = prepare(root, tmp_path / "out", script.Settings(drop_marks="", remove_marks=r"\[.*?\]"))
    assert [u.text for u in Manifest.read(tmp_path / "out/all.jsonl")] == ["so it is", "xxx here", 'sch\\o"n \\ae', "exxxtra"]
    assert Manifest.read(tmp_path / "out/all.jsonl")[0].text_raw == "so [cough] it is"
    assert report.facts == {}
    assert report.notes == ("1 rows hold a backslash: Praat's own spelling of special letters (\\a\" for ä) is kept as it is written",)


def test_the_nearest_recording_of_the_name_is_taken_and_two_equally_near_are_not_guessed(tmp_path: Path) -> None:
    root = tmp_path / "c"
    for speaker in "ab":
        write_ramp(root / speaker / "wav/x1.wav", start=ord(speaker) * 100)
        (root / speaker / "grids").mkdir()
        (root / speaker / "grids/x1.TextGrid").write_text(long_textgrid(("utt", [(0, 1, f"by {speaker}")])))
    (root / "x1.TextGrid").write_text(long_textgrid(("utt", [(0, 1, "by whom")])))
    report = prepare(root, tmp_path / "out", script.Settings(speaker="folder"))
    assert report.dropped == {"ambiguous": 1}
    assert {u.text: u.recording for u in Manifest.read(tmp_path / "out/all.jsonl")} == {
        "by a": "textgrid:a/wav/x1.wav", "by b": "textgrid:b/wav/x1.wav",
    }  # fmt: skip


def test_recordings_outside_the_corpus_need_a_setting(tmp_path: Path) -> None:
    write_ramp(tmp_path / "elsewhere/a.wav")
    root = tmp_path / "c"
    root.mkdir()
    (root / "a.TextGrid").write_text(long_textgrid(("utt", [(0, 1, "hello")])))
    (root / "a.wav").symlink_to(tmp_path / "elsewhere/a.wav")
    with pytest.raises(CorpusError, match=r"1 of 1 rows \(100\.0%\) have no usable audio"):
        prepare(root, tmp_path / "out")
    report = prepare(root, tmp_path / "out", script.Settings(audio_root=tmp_path / "elsewhere"), in_place=True)
    assert report.kept == 1
    manifest = Manifest.read(tmp_path / "out/all.jsonl")
    assert manifest.audio_path(manifest[0]) == (tmp_path / "elsewhere/a.wav").resolve()
    assert manifest[0].recording == "textgrid:a.wav"


def test_a_single_file_is_a_source_and_a_folder_without_files_is_told(corpus: Path, tmp_path: Path) -> None:
    assert prepare(corpus / "s1.TextGrid", tmp_path / "out").kept == 3
    assert prepare(corpus.parent, tmp_path / "out2", script.Settings(tiers=("utt", "words"))).kept == 9  # the parent folder is as good
    with pytest.raises(CorpusError, match=r"no \.TextGrid file in it or below it, found: s3\.wav\. It should be a folder with \.TextGrid files"):
        prepare(corpus / "audio", tmp_path / "out3")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out3")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"speaker": "me"}, 'speaker="me": must be one of auto, tier, file, folder, none'),
        ({"join_words": "maybe"}, 'join_words="maybe": must be one of auto, yes, no'),
        ({"overlap": "mix"}, 'overlap="mix": must be one of keep, drop'),
        ({"drop_marks": "["}, r'drop_marks="\[": not a regular expression'),
        ({"gap": -1.0}, r"gap=-1 longest=25: must be 0 or more"),
        ({"encoding": "klingon"}, 'encoding="klingon": no such encoding'),
    ],
)
def test_settings_that_mean_nothing(corpus: Path, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        prepare(corpus, tmp_path / "out", script.Settings(**settings))


def test_old_encodings_are_told(tmp_path: Path) -> None:
    root = small(tmp_path, ("utt", [(0, 1, "placeholder")]))
    (root / "a.TextGrid").write_bytes(long_textgrid(("utt", [(0, 1, "für Björn")])).encode("latin-1"))
    report = prepare(root, tmp_path / "out")
    assert report.repairs == {"file is not UTF-8, read as Latin-1 (name another encoding with --set encoding=...)": 1}
    assert Manifest.read(tmp_path / "out/all.jsonl")[0].text == "für Björn"
    (root / "a.TextGrid").write_bytes(long_textgrid(("utt", [(0, 1, "für Björn")])).encode("mac_roman"))
    with pytest.raises(CorpusError, match=r"none of 1 rows is left|no file has a tier"):
        prepare(root, tmp_path / "out")
    prepare(root, tmp_path / "out", script.Settings(encoding="mac_roman"))
    assert Manifest.read(tmp_path / "out/all.jsonl")[0].text == "für Björn"


def test_a_name_that_is_no_text_is_dropped(tmp_path: Path) -> None:
    root = small(tmp_path, UTT)
    try:
        shutil.copy(root / "a.TextGrid", bytes(root) + b"/\xff.TextGrid")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    report = prepare(root, tmp_path / "out")
    assert report.dropped["bad-name"] == 1
    assert report.rows_read == report.kept + sum(report.dropped.values())


def test_a_second_run_and_an_interrupted_one_give_the_same(corpus: Path) -> None:
    report = assert_reruns_change_nothing(lambda out: prepare(corpus, out), corpus / "prepared")  # what lies there is not read again
    assert report.kept == 9


def test_the_command_line_divides_by_speaker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "c"
    for number in range(5):
        write_ramp(root / f"s{number}/r.wav", start=number * 5000)
        (root / f"s{number}/r.TextGrid").write_text(long_textgrid(("utt", [(0, 1, f"one {number}"), (1, 2, f"two {number}")])))
    arguments = ["prepare", "textgrid", str(root), str(tmp_path / "out"), "--splits", "speaker", "--jobs", "1"]
    assert main([*arguments, "--set", "speaker=folder", "--set", "tiers=utt,speech", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {name: part["speakers"] for name, part in report["splits"].items()} == {"train": 2, "dev": 1, "test": 2}
    assert all(report["overlap"][pair][what] == 0 for pair in report["overlap"] for what in ("speakers", "recordings", "audio"))


def test_a_file_with_nothing_but_silence_is_told(tmp_path: Path) -> None:
    root = small(tmp_path, UTT)
    (root / "b.TextGrid").write_text(long_textgrid(("utt", [(0, 1, "sil"), (1, 2, "")]), PHONES))
    report = prepare(root, tmp_path / "out", script.Settings(tiers=("utt",)))
    assert report.dropped["empty-tier"] == 1
    assert report.dropped_examples["empty-tier"] == ('file "b.TextGrid": nothing but silence in "utt". Transcribe it or remove it.',)


GOOD = long_textgrid(UTT, WORDS, PHONES, ("quiet", [(0.0, 1.0, "sil")]), BELL)


@given(st.data())
@fuzz()
def test_no_label_of_a_damaged_file_is_lost(tmp_path: Path, data: st.DataObject) -> None:
    root = tmp_path / "fuzz"
    if not (root / "good.wav").is_file():
        write_ramp(root / "good.wav", 1.0)
        write_ramp(root / "bad.wav", 1.0)
        (root / "good.TextGrid").write_text(long_textgrid(*((name, [(0, 1, "good")]) for name in ("utt", "words", "quiet"))))
    start, length = data.draw(st.integers(0, len(GOOD))), data.draw(st.integers(0, 300))
    patch = data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(['"', "-1", "1e300", "! ", '"utt"', "7"]))
    sizes = [found.start() for found in re.finditer("(?<=size = )[0-9]+", GOOD)]
    if data.draw(st.booleans()):  # a count of tiers or labels that is smaller than what follows, or larger
        start, length, patch = data.draw(st.sampled_from(sizes)), 1, data.draw(st.sampled_from("0123456789"))
    damaged = (GOOD[:start] + patch + GOOD[start + length :]).encode()
    (root / "bad.TextGrid").write_bytes(damaged)
    pattern, joins = data.draw(st.sampled_from(["utt", "words", "quiet", "*"])), data.draw(st.sampled_from(["yes", "no"]))
    settings = script.Settings(tiers=(pattern,), join_words=joins)
    report = prepare(root, tmp_path / "out", settings, dry_run=True, allow_missing=True)
    tiers = tiers_in(damaged)
    chosen = [labels for name, points, labels in tiers or [] if not points and pattern in ("*", name.casefold())]
    rows = sum(phrases(labels) if joins == "yes" else len(spoken(labels)) for labels in chosen) or 1  # one for a file without any
    assert report.kept >= 1
    assert report.rows_read == report.kept + sum(report.dropped.values()) == rows + (3 if pattern == "*" else 1)
    assert report.dropped.get("broken-textgrid", 0) == (tiers is None)
    assert tiers is not None or report.dropped_examples["broken-textgrid"][0].startswith(str(root / "bad.TextGrid"))


@given(st.data())
@fuzz(60)
def test_damaged_files_never_break_the_choice_of_a_tier(tmp_path: Path, data: st.DataObject) -> None:
    root = tmp_path / "fuzz"
    if not (root / "good.wav").is_file():
        write_ramp(root / "good.wav", 1.0)
        write_ramp(root / "bad.wav", 1.0)
        (root / "good.TextGrid").write_text(long_textgrid(("utt", [(0, 1, "good")])))
    start, length = data.draw(st.integers(0, len(GOOD))), data.draw(st.integers(0, 300))
    patch = data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(['"', "! ", '"utt"', '"words"']))
    damaged = (GOOD[:start] + patch + GOOD[start + length :]).encode()
    (root / "bad.TextGrid").write_bytes(damaged)
    refusal = ""
    try:
        report = prepare(root, tmp_path / "out", dry_run=True, allow_missing=True)
    except CorpusError as error:
        refusal = str(error)
    if refusal:
        assert refusal.startswith(f"{root / 'bad.TextGrid'}: which tier holds the transcript?")
        return
    tiers = {name: labels for name, points, labels in tiers_in(damaged) or [] if not points}
    possible = {1 + len(spoken(tiers.get("utt", []))), 1 + phrases(tiers.get("words", [])), 2}
    assert report.rows_read == report.kept + sum(report.dropped.values())
    assert report.rows_read in possible or set(tiers) - {"utt", "words", "phones", "quiet"}
