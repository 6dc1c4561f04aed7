"""EdAcc: a miniature of the published layout with its oddities and planted defects; the recordings are at 16 kHz, so cuts can be compared."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.audio.waveform import read_waveform
from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import Intake, PrepareOptions, PrepReport, read_settings

script: Any = load_bundled("data_prep", "edacc")
RATE = 16_000
HEADER = (
    "PARTICIPANT_ID,What is your gender?,What’s your ethnic background? ,"
    '"How would you describe your accent in English? (e.g. Italian, Glaswegian)",Do you speak any second languages? ,'
    "What’s your year of birth? (e.g., 1992)"
)
PEOPLE = [
    'EDACC-C06-A,Female,private,"Glaswegian, mostly",French,1990',
    "C06P2,Male,private,Scottish English,None,1991",
    "EDACC-C07P1,Other,private,NA,,1992",
    "EDACC-C30-A,,private, Latin American ,,1993",
    "EDACC-C48-B,Male,private,Nigerian English,,1994",
    ",Male,private,nobody,,1994",
    "EDACC-C48-B,Female,private,repeated,,1994",
]
SEGMENTS = {
    "dev": [
        ("C06-1", "C06 0.00 5.27", "C06-A", "C ELEVEN DASH P ONE"),  # a control passage: the stm says so
        ("C06-2", "C06 6.01 7.3137", "C06-A", "<breath> YEAH I THINK SO <laugh>"),
        ("C06-3", "C06 7.10 8.00", "C06-B", "(HELLO)/(HI) THERE <overlap>"),
        ("C06-4", "C06 9 10", "C06-B", "<laugh> <Lipsmack>"),
        ("C06-5", "C06 39.2 40.3", "C06-A", "GOING ON AND ON"),  # past the end, within half a second
        ("C06-6", "C06 39.2 41", "C06-A", "FAR PAST THE END"),
        ("C06-7", "C06 12 11", "C06-A", "BACKWARDS"),
        ("C06-8", "C06 11 12", "C06-A", "IGNORE_TIME_SEGMENT_IN_SCORING"),
        ("C06-9", "../../secret 0 1", "C06-A", "OUTSIDE"),
        ("C07-1", "C07 0.5 1.5", "C07-A", "MM"),
        ("C30-1", "C30_P1 0 1", "C30-A", "FIRST PART"),
        ("C30-2", "C30_P2 0 1", "C30_P2-A", "SECOND PART"),
        ("C99-1", "C99 0 1", "C99-A", "NO RECORDING"),
    ],
    "test": [
        ("C48-1", "C48 0.25 1.25", "C48-B", "YEAH"),
        ("C48-2", "C48 1.00 2.00", "C48-A", "SPEAKING OVER HIM"),
        ("C48-3", "C48 2.5 3.0", "C48-A", "<no-speech>"),
    ],
}
DROPPED = {
    "empty-text": 2, "missing": 1, "not-in-segments": 1, "not-in-text": 1, "not-in-utt2spk": 1, "not-scored": 2, "out-of-range": 2,
    "outside-corpus": 1,
}  # fmt: skip
ROWS_READ = 19


def ramp(seconds: float) -> np.ndarray:
    return (np.arange(round(seconds * RATE)) * 7 % 60_000 - 30_000).astype(np.int16)


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "edacc_v1.0"
    (root / "data").mkdir(parents=True)
    soundfile.write(root / "data/EDACC-C06.wav", ramp(40.0), RATE, subtype="PCM_16")
    for seed, name in enumerate(("C07.WAV", "C30_P1.wav", "C30_P2.wav", "C48.wav")):
        write_tone(root / f"data/EDACC-{name}", 4.0, seed=seed + 1)
    write_tone(tmp_path / "secret.wav", 2.0)
    for split, rows in SEGMENTS.items():
        (root / split).mkdir()
        lists = {"segments": 1, "utt2spk": 2, "text": 3}
        for name, place in lists.items():
            lines = [f"EDACC-{row[0]} {'' if row[place].startswith('..') or name == 'text' else 'EDACC-'}{row[place]}" for row in rows]
            lines += {"text": ["EDACC-C00-1 ONLY TEXT"], "segments": ["EDACC-C00-2 EDACC-C07 2 3"]}.get(name, []) if split == "dev" else []
            (root / split / name).write_text("\n".join(lines) + "\n")
    with (root / "dev/segments").open("a") as segments, (root / "dev/text").open("a") as text:
        segments.write("EDACC-C00-3 EDACC-C07 2 3\n")
        text.write("EDACC-C00-3 NOBODY KNOWS WHO\n")
    (root / "dev/stm").write_text(
        ";; a comment\nEDACC-C06 1 EDACC-C06-A 0.00 5.27 <male,l1> IGNORE_TIME_SEGMENT_IN_SCORING\n"
        "EDACC-C06 1 EDACC-C06-A 6.01 7.31 <male,l1> YEAH I THINK SO <laugh>\nEDACC-C06 1 IGNORE_TIME_SEGMENT_IN_SCORING\n"
        "EDACC-C06 1 EDACC-C06-A 7.00 8.10 <male,l1> IGNORE_TIME_SEGMENT_IN_SCORING\n"  # the other person: C06-3 is scored
    )
    (root / "linguistic_background.csv").write_text("\n".join([HEADER, *PEOPLE]) + "\n", encoding="utf-8")
    return root


def prepare(source: Path, out: Path, setting: Any = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), setting or script.Settings())
    return report


def rows_of(out: Path, *names: str) -> dict[str, Any]:
    return {u.id.removeprefix("edacc-EDACC-"): u for name in names or ("dev", "test") for u in Manifest.read(out / f"{name}.jsonl")}


def snapshot(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.suffix in (".jsonl", ".flac")}


def test_a_row_has_everything_the_corpus_says(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    u = rows_of(tmp_path / "out")["C06-2"]
    assert u.to_json() == {
        "audio_sha1": u.audio_sha1,
        "id": "edacc-EDACC-C06-2",
        "audio_filepath": "audio/edacc-EDACC-C06-2.flac",
        "duration": u.duration,
        "text": "Yeah I think so.",
        "text_raw": "<breath> YEAH I THINK SO <laugh>",
        "speaker": "edacc:EDACC-C06-A",
        "gender": "female",
        "accent": "glaswegian_mostly",
        "accent_raw": "Glaswegian, mostly",
        "language": "en",
        "recording": "edacc:EDACC-C06",
        "split": "dev",
        "meta": {"tags": ["breath", "laugh"], "overlap": True},
    }


def test_cuts_are_exact_to_a_sample(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    source = ramp(40.0)
    for key, first, count in (("C06-2", 96_160, 20_859), ("C06-3", 113_600, 14_400), ("C06-5", 627_200, 12_800)):
        u = rows[key]
        samples = np.round(read_waveform(tmp_path / "out" / u.audio_filepath) * 32768).astype(np.int16)
        np.testing.assert_array_equal(samples, source[first : first + count])
        assert u.duration == pytest.approx(count / RATE, abs=1e-6)


def test_every_loss_is_counted_once(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == DROPPED
    assert report.rows_read == ROWS_READ == report.kept + sum(report.dropped.values())
    assert report.repairs == {
        "linguistic_background.csv: line without a PARTICIPANT_ID of its own, passed over": 2,
        "segment end beyond its recording, shortened": 1,
        "stm: line not understood, passed over": 1,
    }
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"dev": 6, "test": 2}
    assert [(drop.id, drop.reason) for drop in report.test_dropped] == [("edacc-EDACC-C48-3", "empty-text")]
    assert report.dropped_examples["out-of-range"][0].startswith('row "EDACC-C06-7" (dev/segments): "12" to "11" is no time span')
    assert report.overlap["dev-test"]["speakers"] == report.overlap["dev-test"]["recordings"] == 0


def test_alternatives_tags_and_the_other_speaker(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert rows["C06-3"].text == "Hello there."
    assert rows["C06-3"].meta == {"tags": ["overlap"], "alternatives": [["HELLO", "HI"]], "overlap": True}
    assert rows["C48-1"].meta == {"overlap": True}  # nobody marked it, the times say so
    assert rows["C30-1"].meta == {}
    assert not (tmp_path / "out/audio/edacc-EDACC-C06-4.flac").exists()


def test_both_forms_of_participant_ids_and_no_private_answers(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    told = {key: (u.speaker, u.gender, u.accent, u.accent_raw) for key, u in rows.items()}
    assert told["C06-3"] == ("edacc:EDACC-C06-B", "male", "en_scotland", "Scottish English")
    assert told["C07-1"] == ("edacc:EDACC-C07-A", "other", "na", "NA")  # an answer, not a missing one
    assert told["C30-1"] == told["C30-2"] == ("edacc:EDACC-C30-A", None, "latin_american", "Latin American")
    assert told["C48-1"] == ("edacc:EDACC-C48-B", "male", "en_nigeria", "Nigerian English")
    assert told["C48-2"] == ("edacc:EDACC-C48-A", None, None, None)
    written = (tmp_path / "out/dev.jsonl").read_text() + (tmp_path / "out/test.jsonl").read_text()
    assert not [word for word in ("private", "1990", "1994") if word in written]
    mapped = prepare(corpus, tmp_path / "mapped", accent_map={"scottish english": "scots"})
    assert "scots" in mapped.accents


def test_dev_becomes_training_data_by_conversation_and_settings_spare_test(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", script.Settings(dev_as="train", min_words=2, overlaps="drop"))
    assert report.dropped == {**DROPPED, "few-words": 1, "overlap": 2}
    assert report.splits["test"]["utterances"] == 2  # one word, and spoken over
    assert report.rows_read == ROWS_READ == report.kept + sum(report.dropped.values())
    whole = prepare(corpus, tmp_path / "whole", script.Settings(dev_as="train"))
    train, dev = (Manifest.read(tmp_path / f"whole/{name}.jsonl") for name in ("train", "dev"))
    assert {u.recording for u in train} | {u.recording for u in dev} == {"edacc:EDACC-C06", "edacc:EDACC-C07", "edacc:EDACC-C30"}
    assert not {u.recording for u in train} & {u.recording for u in dev}
    assert whole.overlap["train-dev"]["recordings"] == whole.overlap["train-dev"]["speakers"] == 0
    with pytest.raises(MisuseError, match="must be one of: dev, train"):
        read_settings(script.Settings, ["dev_as=test"])


def test_again_and_after_an_interruption_the_bytes_are_the_same(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(corpus, out)
    first = snapshot(out)
    assert len(first) == 8 + 2
    prepare(corpus, out)
    assert snapshot(out) == first
    (out / "dev.jsonl").unlink()
    (out / "audio/edacc-EDACC-C06-2.flac").unlink()
    broken = out / "audio/edacc-EDACC-C48-1.flac"
    broken.write_bytes(broken.read_bytes()[:100])
    prepare(corpus, out)
    assert snapshot(out) == first


def test_the_parent_is_accepted_and_another_folder_is_not(corpus: Path, tmp_path: Path) -> None:
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 8
    assert not (tmp_path / "out").exists()
    with pytest.raises(
        CorpusError, match=r"does not look like EdAcc; looked for data/, dev/segments and test/segments, found: segments, stm, text, utt2spk\."
    ):
        prepare(corpus / "dev", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")
    shutil.rmtree(corpus / "test")
    assert prepare(corpus, tmp_path / "out", dry_run=True).kept == 6


def test_without_or_with_a_broken_questionnaire(corpus: Path, tmp_path: Path) -> None:
    path = corpus / "linguistic_background.csv"
    path.write_bytes("\n".join([HEADER, *PEOPLE]).encode("cp1252"))
    assert "en_scotland" in prepare(corpus, tmp_path / "out", dry_run=True).accents
    path.write_text("who,what\n1,2\n")
    with pytest.raises(CorpusError, match="no column PARTICIPANT_ID; there are: who, what"):
        prepare(corpus, tmp_path / "out", dry_run=True)
    path.write_text(HEADER + '\nEDACC-C06-A,"' + "x" * 200_000 + '"\n')
    with pytest.raises(CorpusError, match="not a CSV table with a header"):
        prepare(corpus, tmp_path / "out", dry_run=True)
    path.unlink()
    assert "linguistic_background.csv is not there: accents and genders are unknown" in prepare(corpus, tmp_path / "out", dry_run=True).notes
    (corpus / "dev/text").write_bytes(b"EDACC-C06-1 CAF\xe9\n")
    with pytest.raises(CorpusError, match=r"dev/text: cannot be read as UTF-8"):
        prepare(corpus, tmp_path / "out", dry_run=True)


def test_an_id_that_no_manifest_can_hold_is_dropped(corpus: Path, tmp_path: Path) -> None:
    for name, value in (("segments", "EDACC-C07 2 3"), ("text", "WHO"), ("utt2spk", "EDACC-C07-A")):
        with (corpus / "dev" / name).open("a") as file:
            file.write(f"EDACC-{'x' * 600} {value}\nEDACC-\x07 {value}\n")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {**DROPPED, "bad-id": 2}
    assert report.dropped_examples["bad-id"][1].endswith("its id has 612 characters, at most 512 printable ones are possible.")
    assert len(Manifest.read(tmp_path / "out/dev.jsonl")) == 6


def test_an_absolute_path_is_refused(corpus: Path, tmp_path: Path) -> None:
    path = corpus / "dev/segments"
    path.write_text(path.read_text().replace("../../secret", str(tmp_path / "secret")))
    report = prepare(corpus, tmp_path / "out", dry_run=True)
    assert report.dropped["outside-corpus"] == 1
    assert f'"{tmp_path}/secret.wav" leaves the folder of the corpus' in report.dropped_examples["outside-corpus"][0]


@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        ("YEAH <laugh> OH", ("YEAH OH", ["laugh"], [])),
        ("(HELLO)/(HI) THERE", ("HELLO THERE", [], [["HELLO", "HI"]])),
        ("{ GONNA / GOING TO / @ } GO", ("GONNA GO", [], [["GONNA", "GOING TO", ""]])),
        ("(UH) WELL", ("UH WELL", [], [])),
        ("A < B", ("A B", [], [])),
        ("<overlap>", ("", ["overlap"], [])),
    ],
)
def test_markup(raw: str, parsed: Any) -> None:
    assert script.parse_text(raw) == parsed


@pytest.mark.parametrize(
    ("given", "speaker"),
    [
        ("EDACC-C07-B", "EDACC-C07-B"),
        ("EDACC-C07P1", "EDACC-C07-A"),
        ("c7_p2", "EDACC-C07-B"),
        ("EDACC-C30_P1", "EDACC-C30-A"),
        (" nobody ", "nobody"),
    ],
)
def test_participants(given: str, speaker: str) -> None:
    assert script.participant_of(given) == speaker


line = st.text(alphabet="EDAC-0123456789 ._P<>/(){}\t\"',\nÄ\0’", max_size=40)


@fuzz(120)
@given(name=st.sampled_from(["segments", "text", "utt2spk", "stm", "csv"]), lines=st.lists(line, max_size=4), place=st.integers(0, 400))
def test_mutated_lists_lose_no_row(corpus: Path, name: str, lines: list[str], place: int) -> None:
    path = corpus / "linguistic_background.csv" if name == "csv" else corpus / "dev" / name
    kept = path.read_bytes()
    try:
        path.write_bytes(kept[:place] + "\n".join(lines).encode() + kept[place:])
        intake = Intake()
        try:
            people = script.read_people(corpus, intake)
            rows = script.read_split(corpus, "dev", people, script.Settings(), intake)
        except CorpusError:
            return
        keys = {key for list_ in ("segments", "text") for key in script.read_list(corpus / "dev" / list_, Intake())}
        assert sorted([row.id for row in rows] + [drop.id for drop in intake.drops]) == sorted(keys)
    finally:
        path.write_bytes(kept)
