"""ALLSSTAR: everything told by the names of files, utterances or words in TextGrids, and the same texts read by all."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st
from praat_files import long_textgrid, short_textgrid
from reruns import assert_reruns_change_nothing
from textgrid_rows import phrases, spoken, tiers_in

from speechadapt.audio.waveform import read_waveform
from speechadapt.bundled import load_bundled
from speechadapt.cli import main
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "allsstar")
RATE = 16_000
SENTENCES = ("the clown had a funny face", "the bath water was warm", "she injured four of her fingers")
UTTERANCES = [(0.0, 0.2, ""), *((0.2 + n, 1.0 + n, text) for n, text in enumerate(SENTENCES))]
READERS = (("005", "M", "CMN"), ("011", "F", "KOR"), ("020", "f", "CMN"), ("031", "M", "CMN"), ("040", "F", "ENG"), ("052", "M", "CSP"))
WORDS = [(0.2, 0.5, "The"), (0.5, 0.9, "north"), (0.9, 1.2, "sp"), (1.2, 1.6, "wind"), (1.6, 2.3, ""), (2.3, 2.6, "xxx"), (2.6, 3.0, "SUN")]


def ramp(seconds: float, seed: int) -> np.ndarray:
    return ((np.arange(round(seconds * RATE)) + 1000 * seed) % 60_000 - 30_000).astype(np.int16)


def write_ramp(path: Path, seconds: float, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, ramp(seconds, seed), RATE, subtype="PCM_16", format="WAV")
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Six readers of three sentences, a text with words only, one in Mandarin, and what goes wrong in downloads."""
    root = tmp_path / "ALLSSTAR"
    for seed, (speaker, sex, l1) in enumerate(READERS):
        stem = f"ALL_{speaker}_{sex}_{l1}_ENG_HT1"
        write_ramp(root / f"HT1/{stem}.WAV", 2.8, seed)  # the last interval ends 0.2 s after the recording
        (root / f"HT1/{stem}.TextGrid").write_bytes(short_textgrid(("Speaker - word", []), ("utt", UTTERANCES)).encode("utf-16"))
    write_ramp(root / "NWS/wav/ALL_005_M_CMN_ENG_NWS.wav", 3.0, 7)
    (root / "NWS/grids").mkdir()
    (root / "NWS/grids/ALL_005_M_CMN_ENG_NWS.TextGrid").write_text(long_textgrid(("ALL_005 - phone", [(0.2, 0.3, "DH")]), ("ALL_005 - word", WORDS)))
    write_ramp(root / "L1/ALL_005_M_CMN_CMN_QNA.wav", 1.0, 8)
    (root / "L1/ALL_005_M_CMN_CMN_QNA.TextGrid").write_text(long_textgrid(("utt", [(0, 0.8, "你好")])))
    write_ramp(root / "HT2/ALL_011_F_KOR_ENG_HT2.wav", 1.0, 9)  # no annotation
    (root / "HT2/ALL_020_F_CMN_ENG_HT2.TextGrid").write_text(long_textgrid(("utt", [(0, 0.8, "no recording")])))
    write_ramp(root / "HT2/ALL_031_M_CMN_ENG_HT2.wav", 1.0, 10)
    (root / "HT2/ALL_031_M_CMN_ENG_HT2.TextGrid").write_bytes(b"ooBinaryFile\x08TextGrid")
    write_ramp(root / "HT2/ALL_005_M_CMN_ENG_HT2.wav", 1.0, 11)
    (root / "HT2/ALL_005_M_CMN_ENG_HT2.TextGrid").write_text(long_textgrid(("notes", [(0, 1, "coughs")]), ("utt", [(0, 1, "")])))
    (root / "HT1/readme.TextGrid").write_text("not of the corpus")
    junk = root / "__MACOSX/HT1/._ALL_005_M_CMN_ENG_HT1.TextGrid"
    junk.parent.mkdir(parents=True)
    junk.write_bytes(b"\x00\x05\x16\x07")
    return root


def prepare(source: Path, out: Path, settings: Any = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), settings or script.Settings())
    return report


def test_rows_become_utterances_with_everything_the_names_say(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"broken-textgrid": 1, "missing": 1, "no-annotation": 1, "no-tier": 1, "unintelligible": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 6 * 3 + 3 + 4
    assert report.repairs == {"segment end beyond its recording, shortened": 6}
    assert report.facts == {"recordings_in_other_languages": 1}
    rows = {u.id: u for u in Manifest.read(tmp_path / "out/all.jsonl")}
    u = rows["allsstar-ALL_005_M_CMN_ENG_HT1-0001200"]
    assert u.to_json() == {
        "audio_sha1": u.audio_sha1,
        "accent": "en_l2_mandarin", "accent_raw": "CMN", "audio_filepath": "audio/allsstar-ALL_005_M_CMN_ENG_HT1-0001200.flac", "duration": 0.8,
        "gender": "male", "id": "allsstar-ALL_005_M_CMN_ENG_HT1-0001200", "l1": "mandarin", "language": "en",
        "meta": {"task": "HT1", "style": "read"}, "recording": "allsstar:HT1/ALL_005_M_CMN_ENG_HT1.WAV", "speaker": "allsstar:ALL_005",
        "text": "The bath water was warm.", "text_raw": "the bath water was warm",
    }  # fmt: skip
    samples = np.round(read_waveform(tmp_path / "out" / u.audio_filepath) * 32768).astype(np.int16)
    np.testing.assert_array_equal(samples, ramp(2.8, 0)[19_200:32_000])
    clamped = rows["allsstar-ALL_005_M_CMN_ENG_HT1-0002200"]
    assert clamped.duration == pytest.approx(0.6)
    assert [drop[0].split(":")[0] for drop in (report.dropped_examples["no-annotation"], report.dropped_examples["no-tier"])] == [
        'recording "ALL_011_F_KOR_ENG_HT2.wav"', 'file "ALL_005_M_CMN_ENG_HT2.TextGrid"',
    ]  # fmt: skip
    assert "a binary TextGrid" in report.dropped_examples["broken-textgrid"][0]
    assert 'no recording "ALL_020_F_CMN_ENG_HT2"' in report.dropped_examples["missing"][0]


def test_native_speakers_and_codes_nobody_explains(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    people = {u.speaker: (u.gender, u.l1, u.accent, u.accent_raw) for u in Manifest.read(tmp_path / "out/all.jsonl")}
    assert people == {
        "allsstar:ALL_005": ("male", "mandarin", "en_l2_mandarin", "CMN"), "allsstar:ALL_011": ("female", "korean", "en_l2_korean", "KOR"),
        "allsstar:ALL_020": ("female", "mandarin", "en_l2_mandarin", "CMN"), "allsstar:ALL_031": ("male", "mandarin", "en_l2_mandarin", "CMN"),
        "allsstar:ALL_040": ("female", "english", "eng", "ENG"), "allsstar:ALL_052": ("male", "csp", "en_l2_csp", "CSP"),
    }  # fmt: skip
    assert "codes of first languages that are kept as they are: CSP" in report.notes
    prepare(corpus, tmp_path / "out", accent_map={"eng": "en_us"})
    assert {u.accent for u in Manifest.read(tmp_path / "out/all.jsonl") if u.l1 == "english"} == {"en_us"}


def test_words_are_joined_where_there_are_no_utterances(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    rows = [u for u in Manifest.read(tmp_path / "out/all.jsonl") if u.meta["task"] == "NWS"]
    assert [(u.text_raw, u.text, u.duration) for u in rows] == [("The north wind", "The north wind", 1.4), ("SUN", "Sun.", 0.4)]
    assert rows[0].recording == "allsstar:NWS/wav/ALL_005_M_CMN_ENG_NWS.wav"  # in another folder than its annotation


def test_languages_and_tasks_are_chosen(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", script.Settings(languages=("cmn",)))
    (u,) = Manifest.read(tmp_path / "out/all.jsonl")
    assert (u.text, u.language, u.accent, u.l1, u.meta) == ("你好", "zh", "cmn", "mandarin", {"task": "QNA"})
    assert report.facts == {"recordings_in_other_languages": 11}
    report = prepare(corpus, tmp_path / "out", script.Settings(languages=("ENG", "CMN"), tasks=("HT1", "qna")))
    assert (report.kept, report.dropped, report.facts) == (19, {}, {"recordings_of_other_tasks": 5})
    with pytest.raises(MisuseError, match=r"no recording is left\. There are languages: CMN, ENG; tasks: HT1, HT2, NWS, QNA\. Choose with"):
        prepare(corpus, tmp_path / "out", script.Settings(tasks=("XXX",)))


def test_everybody_reads_the_same_and_it_is_said(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = "All speakers read the same texts; --splits speaker+sentence keeps the sentences of train, dev and test apart."
    report = prepare(corpus, tmp_path / "out", script.Settings(tasks=("HT1",)), splits="speaker")
    assert told in report.notes
    shared = report.overlap["train-test"]
    assert (shared["speakers"], shared["recordings"], shared["sentences"]) == (0, 0, 3)
    assert shared["test_rows_with_shared_sentence"] == report.splits["test"]["utterances"]
    arguments = ["prepare", "allsstar", str(corpus), str(tmp_path / "apart"), "--splits", "speaker+sentence", "--set", "tasks=HT1,NWS", "--jobs", "1"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert told not in printed
    assert "0 speakers, 0 recordings, 0 sentences, 0 audio" in printed


def test_the_same_file_in_two_downloads_counts_once(corpus: Path, tmp_path: Path) -> None:
    (corpus / "again").mkdir()
    name = "ALL_005_M_CMN_ENG_HT1"
    for suffix in (".TextGrid", ".WAV"):
        (corpus / f"again/{name}{suffix}").write_bytes((corpus / f"HT1/{name}{suffix}").read_bytes())
    report = prepare(corpus, tmp_path / "out", dry_run=True)
    assert report.kept == 20
    assert report.repairs["file of the same name in another folder, the first is kept"] == 1


def test_the_parent_folder_is_accepted_and_another_is_not(corpus: Path, tmp_path: Path) -> None:
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 20
    (tmp_path / "other").mkdir()
    (tmp_path / "other/a.wav").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"does not look like ALLSSTAR; looked for ALL_\.\.\._ENG_\.\.\.\.TextGrid, found: a\.wav\. It should be"):
        prepare(tmp_path / "other", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")


def test_links_out_of_the_corpus_are_not_followed(corpus: Path, tmp_path: Path) -> None:
    secret = write_ramp(tmp_path / "secret.wav", 1.0)
    (corpus / "HT2/ALL_020_F_CMN_ENG_HT2.wav").symlink_to(secret)
    (corpus / "HT1/ALL_099_F_CMN_ENG_HT1.TextGrid").symlink_to(tmp_path / "secret.wav")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped["missing"] == 1
    assert report.rows_read == 25


def test_a_second_run_and_an_interrupted_one_give_the_same(corpus: Path) -> None:
    assert assert_reruns_change_nothing(lambda out: prepare(corpus, out), corpus / "prepared").kept == 20


@pytest.mark.parametrize(
    ("stem", "parsed"),
    [
        ("ALL_005_M_CMN_ENG_HT1", ("005", "M", "CMN", "ENG", "HT1")),
        ("all_131_f_pbr_eng_lpp", ("131", "F", "PBR", "ENG", "LPP")),
        ("ALL_7_F_ENG_ENG_QNA_2", ("7", "F", "ENG", "ENG", "QNA_2")),
        ("ALL_005_X_CMN_ENG_HT1", None),
        ("ALL_005_M_CMN_HT1", None),
        ("ALL_٣_M_CMN_ENG_HT1", None),
        ("xALL_005_M_CMN_ENG_HT1", None),
        ("ALL_005_M_CMN_ENG_", None),
    ],
)
def test_names(stem: str, parsed: tuple[str, ...] | None) -> None:
    name = script.parse_name(stem)
    assert (name and (name.speaker, name.sex, name.l1, name.language, name.task)) == parsed


def test_a_second_tier_of_utterances_is_told(tmp_path: Path) -> None:
    stem = tmp_path / "c/ALL_001_M_CMN_ENG_HT1"
    write_ramp(stem.with_suffix(".wav"), 3.0)
    stem.with_suffix(".TextGrid").write_text(long_textgrid(("utt", UTTERANCES), ("words", WORDS), ("utt", [(0, 1, "another reading")])))
    report = prepare(tmp_path / "c", tmp_path / "out", dry_run=True)
    assert report.rows_read == len(SENTENCES)
    assert report.repairs["second tier of utterances or words in a file, the first is read"] == 1


def rows_in(data: bytes) -> int | None:
    """The utterances of the first tier of them that has any, else the phrases of the first of words; one for a file without either.

    None where the file as a whole cannot be read.
    """
    tiers = tiers_in(data)
    if tiers is None:
        return None
    for kind, count in ((script.UTTERANCES, len), (script.WORDS, phrases)):
        for name, points, labels in tiers:
            if not points and spoken(labels) and kind & set(re.split(r"[\W_]+", name.casefold())):
                return int(count(spoken(labels)))
    return 1


@given(st.data())
@fuzz(80)
def test_no_label_of_a_damaged_file_is_lost(tmp_path: Path, data: st.DataObject) -> None:
    root = tmp_path / "fuzz"
    good, bad = root / "ALL_001_M_CMN_ENG_HT1", root / "ALL_002_F_KOR_ENG_HT1"
    if not root.is_dir():
        write_ramp(good.with_suffix(".wav"), 1.0)
        write_ramp(bad.with_suffix(".wav"), 1.0)
        good.with_suffix(".TextGrid").write_text(long_textgrid(("utt", [(0, 1, "good")])))
    write = data.draw(st.sampled_from([long_textgrid, short_textgrid]))
    text = write(("utt", [*UTTERANCES, (2.6, 2.6, "without time")]), ("words", [*WORDS, (3.0, 3.0, "ghost")]))
    start, length = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 300))
    patch = data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(['"', "-1", "1e300", "! ", '"words"', "1"]))
    if data.draw(st.booleans()):  # without utterances, the words are read
        text = text.replace('"utt"', '"other"')
    elif data.draw(st.booleans()):  # a count of tiers or labels that is smaller than what follows, or larger
        counts = [found.start() for found in re.finditer('(?<=size = )[0-9]+|(?<=\n)[0-9]+(?=\n["0])', text)]
        start, length, patch = data.draw(st.sampled_from(counts)), 1, data.draw(st.sampled_from("0123456789"))
    damaged = (text[:start] + patch + text[start + length :]).encode()
    bad.with_suffix(".TextGrid").write_bytes(damaged)
    report = prepare(root, tmp_path / "out", dry_run=True, allow_missing=True)
    rows = rows_in(damaged)
    assert report.kept >= 1
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 1 + (1 if rows is None else rows)
    assert report.dropped.get("broken-textgrid", 0) == (rows is None)
    assert rows is not None or report.dropped_examples["broken-textgrid"][0].startswith(str(bad.with_suffix(".TextGrid")))


@given(st.text(st.sampled_from("ALL_059MFCENGHT1 .-x٣é"), max_size=30))
@fuzz(200)
def test_any_name_is_read_or_not(stem: str) -> None:
    name = script.parse_name(stem)
    assert name is None or stem.upper() == "_".join(["ALL", name.speaker, name.sex, name.l1, name.language, name.task])
