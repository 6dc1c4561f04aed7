"""TIMIT: recordings in NIST SPHERE behind the name .WAV, their RIFF copies beside them, names in any case, the core test set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st
from reruns import assert_reruns_change_nothing

from speechadapt.audio.waveform import read_info, read_waveform
from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import Intake, PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "timit")

SPEAKERS = {
    "TRAIN": {"FCJF0": "DR1", "MDPK0": "DR1", "FALR0": "DR4", "MRWA0": "DR6"},
    "TEST": {"FELC0": "DR1", "MDAB0": "DR1", "FAKS0": "DR1", "MWJG0": "DR8", "MKDR0": "DR8"},
}
TEXTS = {
    "SA1": "She had your dark suit in greasy wash water all year.",
    "SA2": "Don't ask me to carry an oily rag like that.",
    "SI648": "A sailboat may have a bone in her teeth one minute and lie becalmed the next.",
    "SX37": "Critical equipment needs proper maintenance.",
}


def sphere(samples: np.ndarray, coding: str = "") -> bytes:
    """A NIST SPHERE file as the corpus has them: a header of 1024 bytes, then little-endian PCM."""
    fields = [
        "NIST_1A", "   1024", "database_id -s5 TIMIT", "database_version -s3 1.0", "channel_count -i 1", f"sample_count -i {len(samples)}",
        "sample_rate -i 16000", f"sample_min -i {samples.min()}", f"sample_max -i {samples.max()}", "sample_n_bytes -i 2",
        "sample_byte_format -s2 01", "sample_sig_bits -i 16", *([f"sample_coding -s{len(coding)} {coding}"] if coding else []), "end_head",
    ]  # fmt: skip
    return ("\n".join(fields) + "\n").encode().ljust(1024) + samples.astype("<i2").tobytes()


@pytest.fixture
def pcm(tone: Any) -> Callable[[float, int], np.ndarray]:
    return lambda seconds, seed: np.round(tone(seconds, seed=seed) * 32767).astype(np.int16)


@pytest.fixture
def corpus(tmp_path: Path, pcm: Any) -> Path:
    root = tmp_path / "timit/data"
    for number, (part, speaker, region) in enumerate((part, name, region) for part, them in SPEAKERS.items() for name, region in them.items()):
        folder = root / part / region / speaker
        folder.mkdir(parents=True)
        for place, (name, text) in enumerate(TEXTS.items()):
            samples = pcm(0.5 + place / 10, 10 * number + place)
            own = text if name != "SI648" else f"{text[:-1]}, says {speaker}."
            (folder / f"{name}.WAV").write_bytes(sphere(samples))
            (folder / f"{name}.TXT").write_bytes(f"0 {len(samples)} {own} \n".encode())
            (folder / f"{name}.PHN").write_text("0 2260 h#\n")
            (folder / f"{name}.WRD").write_text("2260 4149 critical\n")
    (root / "TRAIN/DR1/FCJF0/._SX37.WAV").write_bytes(b"junk")
    return root


def prepare(source: Path, out: Path, test: str = "core", **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(test=test))
    return report


def rows_of(out: Path) -> dict[str, Any]:
    return {u.id.removeprefix("timit-"): u for path in out.glob("*.jsonl") for u in Manifest.read(path)}


def test_sphere_is_read_and_rows_say_all_the_corpus_says(corpus: Path, tmp_path: Path, pcm: Any) -> None:
    assert read_info(corpus / "TRAIN/DR1/FCJF0/SX37.WAV").format == "NIST"
    report = assert_reruns_change_nothing(lambda out: prepare(corpus, out), tmp_path / "out")
    assert report.dropped == {"outside-core-test": 2, "read-by-all": 18}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 36
    row = rows_of(tmp_path / "out")["fcjf0_sx37"]
    assert row.to_json() == {
        "audio_sha1": row.audio_sha1,
        "id": "timit-fcjf0_sx37", "audio_filepath": "audio/timit-fcjf0_sx37.flac", "duration": 0.8,
        "text": "Critical equipment needs proper maintenance.", "text_raw": "Critical equipment needs proper maintenance.",
        "speaker": "timit:fcjf0", "gender": "female", "accent": "new_england", "accent_raw": "New England", "region": "New England",
        "language": "en", "split": "train", "meta": {"dialect_region": "dr1"},
    }  # fmt: skip
    written = np.round(read_waveform(tmp_path / "out" / row.audio_filepath) * 32768).astype(np.int16)
    np.testing.assert_array_equal(written, pcm(0.8, 3))


def test_splits_are_those_of_the_lists(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    parts = {name: Manifest.read(tmp_path / f"out/{name}.jsonl") for name in ("train", "dev", "test")}
    assert parts["test"].speakers == ("timit:felc0", "timit:mdab0")
    assert parts["dev"].speakers == ("timit:faks0", "timit:mwjg0")
    assert parts["train"].speakers == ("timit:falr0", "timit:fcjf0", "timit:mdpk0", "timit:mrwa0")
    assert all("_sa" not in key for key in rows_of(tmp_path / "out"))
    assert report.overlap["train-test"]["speakers"] == 0
    assert report.overlap["train-test"]["sentences"] == 1  # the SX sentence of this miniature; the corpus keeps them apart
    assert {drop.reason for drop in report.test_dropped} == {"outside-core-test", "read-by-all"}
    complete = prepare(corpus, tmp_path / "complete", test="complete")
    assert complete.dropped == {"read-by-all": 18}
    assert {name: part["speakers"] for name, part in complete.splits.items()} == {"train": 3, "dev": 1, "test": 5}
    with pytest.raises(MisuseError, match='--set test="all": must be one of core, complete'):
        prepare(corpus, tmp_path / "all", test="all")


def test_the_lists_are_whole() -> None:
    assert (len(script.CORE_TEST), len(script.DEV), script.CORE_TEST & script.DEV) == (24, 50, frozenset())
    assert sum(name.startswith("f") for name in script.CORE_TEST) == 8  # two men and one woman of each region
    assert all(len(name) == 5 for name in script.CORE_TEST | script.DEV)


def test_riff_copies_are_taken_and_not_counted_twice(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    for wav in corpus.rglob("*.WAV"):
        if not wav.name.startswith("._"):
            write_tone(wav.with_name(f"{wav.name}.wav"), 0.9, seed=hash_of(wav))
    report = prepare(corpus, tmp_path / "out")
    assert (report.rows_read, report.kept) == (36, 16)
    assert {u.duration for u in rows_of(tmp_path / "out").values()} == {0.9}


def hash_of(path: Path) -> int:
    return int.from_bytes("/".join(path.parts[-2:]).encode(), "big")


def test_names_may_be_written_in_any_case_and_give_the_same_rows(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "upper")
    lower = tmp_path / "TIMIT"
    for path in corpus.rglob("*"):
        if path.is_file() and not path.name.startswith("._"):
            target = lower / "LDC93S1/Timit" / Path(str(path.relative_to(corpus)).lower())
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    prepare(lower, tmp_path / "lower")
    for name in ("train", "dev", "test"):
        assert (tmp_path / f"lower/{name}.jsonl").read_bytes() == (tmp_path / f"upper/{name}.jsonl").read_bytes()


def test_the_parent_is_accepted_and_another_folder_is_not(corpus: Path, tmp_path: Path) -> None:
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 16
    with pytest.raises(CorpusError, match=r"does not look like TIMIT; looked for TRAIN/DR1 and TEST/DR1, found: FALR0\. It should be a folder"):
        prepare(corpus / "TRAIN/DR4", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")


def test_planted_defects_are_counted(corpus: Path, tmp_path: Path, pcm: Any) -> None:
    (corpus / "TRAIN/DR1/FCJF0/SX37.TXT").unlink()
    (corpus / "TRAIN/DR1/MDPK0/SX37.WAV").unlink()
    (corpus / "TRAIN/DR4/FALR0/SX37.TXT").write_text("no numbers here")
    (corpus / "TRAIN/DR6/MRWA0/SX37.TXT").write_bytes(b"0 100 caf\xe9")
    (corpus / "TRAIN/DR6/MRWA0/SI648.WAV").write_bytes(b"")
    (corpus / "TRAIN/DR1/MDPK0/SI648.WAV").write_bytes(sphere(pcm(0.7, 1), coding="pcm,embedded-shorten-v2.00"))
    (tmp_path / "secret.wav").write_bytes(sphere(pcm(0.7, 2)))
    (corpus / "TEST/DR1/FELC0/SX37.WAV").unlink()
    (corpus / "TEST/DR1/FELC0/SX37.WAV").symlink_to(tmp_path / "secret.wav")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {
        "empty": 1, "malformed-line": 1, "missing": 1, "no-text": 1, "not-audio": 1, "not-text": 1, "outside-core-test": 2, "outside-corpus": 1,
        "read-by-all": 18,
    }  # fmt: skip
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 36
    assert report.dropped_examples["malformed-line"][0] == (
        'row "falr0_sx37" (TRAIN/DR4/FALR0/sx37): found "no numbers here", expected first sample, last sample and text. Copy the corpus again.'
    )
    assert report.dropped_examples["no-text"][0] == 'row "fcjf0_sx37" (TRAIN/DR1/FCJF0/sx37): has no text. Copy the corpus again.'


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("0 46797 She had your dark suit. \n", "She had your dark suit."),
        ("0\t46797  2 words", "2 words"),
        ("0 46797 \n", None),
        ("0 46797", None),
        ("She had", None),
        ("", None),
    ],
)
def test_texts_follow_two_numbers(content: str, text: str | None) -> None:
    assert script.parse_text(content) == text


PARTS = st.sampled_from([b"0", b" ", b"46797", b"word", b"\t", b"\n", b"\r", b"\0", b"\xff", "\u2028".encode(), "\u0663".encode(), b"9" * 5000])


@fuzz(150)
@given(content=st.one_of(st.binary(max_size=30), st.lists(PARTS, max_size=8).map(b"".join)))
def test_any_text_is_read_or_counted(content: bytes, tmp_path: Path, write_tone: Any) -> None:
    folder = tmp_path / "TRAIN/DR1/FCJF0"
    if not folder.exists():
        write_tone(folder / "SX37.WAV", 0.5)
    (folder / "SX37.TXT").write_bytes(content)
    intake = Intake()
    rows = [script.read_sentence(tmp_path, sentence, script.Settings(), intake) for sentence in script.find_sentences(tmp_path)]
    assert len(rows) == 1
    assert (rows[0] is None) == (len(intake.drops) == 1)
