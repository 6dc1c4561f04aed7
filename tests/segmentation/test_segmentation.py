"""Segmentation of speech whose times are known: cuts, planted mismatches, and recordings that do not belong to their transcript."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("hibari", reason="the synthetic voice is not installed")

from long_recordings import LISTENER, RATE, Truth, put_together, some_sentences, speak

from speechadapt.adapt.adapter import add_adapter, save_adapter
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.errors import AudioError, MisuseError
from speechadapt.models.ctc import CTCModel
from speechadapt.models.load import load_model
from speechadapt.segmentation import SegmentationSettings, SegmentedRecording, load_aligner, segment_recording
from speechadapt.segmentation.emissions import CONTEXT, STEP, listen

TEXTS = some_sentences(8)
OTHERS = some_sentences(3, seed=21)
PAUSES = (0.6, 0.9, 0.7, 1.4, 0.8, 0.7, 1.1, 0.8, 1.2)
APART = SegmentationSettings(gap=0.3)


@pytest.fixture(scope="module")
def model() -> CTCModel:
    return load_aligner(LISTENER, language="en")


@pytest.fixture(scope="module")
def clips() -> dict[str, np.ndarray]:
    return {text: speak(text) for text in [*TEXTS, *OTHERS]}


@pytest.fixture(scope="module")
def talk(clips: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    waveform, truth = put_together([clips[text] for text in TEXTS], PAUSES)
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    soundfile.write(path, waveform, RATE)
    return path, truth


def record(folder: Path, clips: dict[str, np.ndarray], texts: list[str], pauses: tuple[float, ...] = PAUSES) -> tuple[Path, Truth]:
    waveform, truth = put_together([clips[text] for text in texts], (*pauses, 0.8, 0.8))
    soundfile.write(folder / "r.wav", waveform, RATE)
    return folder / "r.wav", truth


def find(model: CTCModel, path: Path, text: str, settings: SegmentationSettings = APART) -> SegmentedRecording:
    return segment_recording(model, path, text, settings, progress=False)


def assert_cuts(found: SegmentedRecording, truth: Truth, settings: SegmentationSettings = APART) -> None:
    """The cuts are the truth and its padding, to a tenth of a second."""
    assert len(found.segments) == len(truth)
    for segment, (start, end) in zip(found.segments, truth, strict=True):
        assert segment.start == pytest.approx(start - settings.pad, abs=0.1), segment
        assert segment.end == pytest.approx(end + settings.pad, abs=0.15), segment


def test_sentences_are_cut_where_they_were_spoken(model: CTCModel, talk: tuple[Path, Truth]) -> None:
    path, truth = talk
    found = find(model, path, " ".join(TEXTS))
    assert [segment.text for segment in found.segments] == TEXTS
    assert_cuts(found, truth)
    assert found.rejected == ()
    assert found.found == found.phrases >= len(TEXTS)
    assert min(segment.confidence for segment in found.segments) > 0.6
    assert max(segment.cer for segment in found.segments) < 0.2


def test_the_same_twice(model: CTCModel, talk: tuple[Path, Truth]) -> None:
    first, second = (find(model, talk[0], "\n".join(TEXTS)) for _ in range(2))
    assert first == second
    assert SegmentedRecording.from_json(first.to_json()) == first


def test_sentences_are_joined_where_the_pause_is_short_and_the_whole_not_too_long(model: CTCModel, talk: tuple[Path, Truth]) -> None:
    path, truth = talk
    joined = find(model, path, " ".join(TEXTS), SegmentationSettings(gap=1.0, longest=12.0))
    assert " ".join(segment.text for segment in joined.segments) == " ".join(TEXTS)
    assert len(joined.segments) < len(TEXTS)
    assert max(segment.end - segment.start for segment in joined.segments) <= 12.0
    everything = find(model, path, " ".join(TEXTS), SegmentationSettings(gap=2.0, longest=60.0))
    [whole] = everything.segments
    assert whole.start == pytest.approx(truth[0][0] - 0.15, abs=0.1)
    assert whole.end == pytest.approx(truth[-1][1] + 0.15, abs=0.15)


def test_without_any_mark_the_cuts_are_at_pauses(model: CTCModel, talk: tuple[Path, Truth]) -> None:
    path, truth = talk
    plain = " ".join("".join(letter for letter in text if letter.isalnum() or letter in " '-").lower() for text in TEXTS)
    found = find(model, path, plain, SegmentationSettings(longest=10.0))
    assert " ".join(segment.text for segment in found.segments) == plain
    assert 4 <= len(found.segments) <= 12
    half_wrong = find(model, path, f"{plain} {OTHERS[0].lower()} and {OTHERS[1].lower()}", SegmentationSettings(longest=10.0))
    assert [segment.text for segment in half_wrong.segments[:3]] == [segment.text for segment in found.segments[:3]]
    edges = [edge for times in truth for edge in times]
    quiet = [segment for segment in found.segments[:-1] if min(abs(segment.end - 0.15 - edge) for edge in edges) < 0.2]
    assert len(quiet) >= len(found.segments) - 2  # nearly all are where a sentence ended


def test_a_sentence_too_many_on_either_side_is_found_and_costs_no_other(model: CTCModel, clips: dict[str, np.ndarray], tmp_path: Path) -> None:
    said = [*TEXTS[:3], OTHERS[0], *TEXTS[3:]]
    path, truth = record(tmp_path, clips, said)
    found = find(model, path, " ".join([*TEXTS[:6], OTHERS[1], *TEXTS[6:]]))
    assert [segment.text for segment in found.segments] == TEXTS
    assert_cuts(found, [times for text, times in zip(said, truth, strict=True) if text != OTHERS[0]])
    extra = [part for part in found.rejected if part.reason == "speech-without-text"]
    missing = [part for part in found.rejected if part.reason == "not-heard"]
    assert len(extra) == 1
    assert (extra[0].start, extra[0].end) == (pytest.approx(truth[3][0], abs=0.3), pytest.approx(truth[3][1], abs=0.4))
    assert extra[0].text == ""
    assert extra[0].heard.split()[-1] in extra[0].message
    assert " ".join(part.text for part in missing) == OTHERS[1]
    for part in missing:  # between the sentences before and after it
        assert (part.start, part.end) == (pytest.approx(truth[6][1], abs=0.2), pytest.approx(truth[7][0], abs=0.2))
    assert len(extra) + len(missing) == len(found.rejected)


def test_a_sentence_said_otherwise_is_rejected_alone(model: CTCModel, clips: dict[str, np.ndarray], tmp_path: Path) -> None:
    said = [*TEXTS[:2], OTHERS[2], *TEXTS[3:]]
    path, _ = record(tmp_path, clips, said)
    found = find(model, path, " ".join(TEXTS))
    assert [segment.text for segment in found.segments] == [*TEXTS[:2], *TEXTS[3:]]
    assert " ".join(part.text for part in found.rejected if part.reason == "not-heard") == TEXTS[2]


def test_words_inside_a_sentence_that_are_not_written_reject_it(model: CTCModel, clips: dict[str, np.ndarray], tmp_path: Path) -> None:
    before, behind = TEXTS[0].rstrip(".?").rsplit(" ", 4)[0], " ".join(TEXTS[0].rsplit(" ", 4)[1:])
    parts = {"a": speak(before), "b": clips[OTHERS[0]], "c": speak(behind), "d": clips[TEXTS[1]]}
    path, _ = record(tmp_path, parts, ["a", "b", "c", "d"], (0.5, 0.1, 0.1, 0.9, 0.8))
    found = find(model, path, f"{TEXTS[0]} {TEXTS[1]}")
    assert [segment.text for segment in found.segments] == [TEXTS[1]]
    assert {part.reason for part in found.rejected if part.text} == {"extra-speech"}
    assert "letters that are not written are heard in one place of it" in found.rejected[0].message


def test_the_transcript_of_another_recording_is_rejected_whole(model: CTCModel, talk: tuple[Path, Truth]) -> None:
    text = " ".join(some_sentences(9, seed=99))
    found = find(model, talk[0], text)
    assert (found.segments, found.found) == ((), 0)
    assert " ".join(part.text for part in found.rejected if part.text) == text


def test_a_usual_sentence_in_the_transcript_of_another_recording_is_no_row(model: CTCModel, talk: tuple[Path, Truth]) -> None:
    path, _ = talk
    hour = some_sentences(300, seed=99)
    found = find(model, path, " ".join([*hour[:150], TEXTS[0], *hour[150:]]))
    assert [segment.text for segment in found.segments] == [TEXTS[0]]  # a twentieth of what is said: enough
    long = path.with_name("long.wav")
    waveform, _ = soundfile.read(path, dtype="float32")
    soundfile.write(long, np.concatenate([waveform] + [waveform[round(2.9 * RATE) :]] * 5), RATE)
    found = find(model, long, " ".join([*hour[:150], TEXTS[0], *hour[150:]]))
    assert (found.segments, found.found) == ((), 0)
    [part] = [part for part in found.rejected if part.text == TEXTS[0]]
    assert (part.reason, part.confidence is not None and part.confidence > 0.5) == ("alone", True)
    assert "less than 5% of the transcript does" in part.message


def test_silence_has_no_segment(model: CTCModel, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "still.wav", np.random.default_rng(0).normal(0, 1e-3, 20 * RATE), RATE)
    found = find(model, tmp_path / "still.wav", TEXTS[0])
    assert found.segments == ()
    assert [part.text for part in found.rejected] == [TEXTS[0]]
    assert (found.rejected[0].start, found.rejected[0].end) == (0.0, 20.0)


def test_numbers_are_spelled_out_and_what_cannot_be_is_rejected(model: CTCModel, clips: dict[str, np.ndarray], tmp_path: Path) -> None:
    parts = {"a": speak("The seven tailors bought twenty-one red apples."), "b": clips[TEXTS[0]]}
    path, _ = record(tmp_path, parts, ["a", "b"])
    text = f"The 7 tailors bought 21 red apples. {TEXTS[0]} It costs 5 €. Привет, мир."
    found = find(model, path, text)
    assert [segment.text for segment in found.segments] == ["The 7 tailors bought 21 red apples.", TEXTS[0]]
    assert [(part.text, part.reason) for part in found.rejected] == [("It costs 5 €.", "unspellable"), ("Привет, мир.", "unspellable")]
    assert "€" in found.rejected[0].message
    assert "which the vocabulary has no token for" in found.rejected[1].message


def test_any_rate_and_more_channels_and_a_recording_without_speech_around(
    model: CTCModel, talk: tuple[Path, Truth], clips: dict[str, np.ndarray], tmp_path: Path
) -> None:
    import soxr

    waveform, _ = soundfile.read(talk[0], dtype="float32")
    high = soxr.resample(waveform, RATE, 44_100)
    soundfile.write(tmp_path / "r.flac", np.stack([high, high * 0.5], axis=1), 44_100)
    found = find(model, tmp_path / "r.flac", " ".join(TEXTS))
    assert [segment.text for segment in found.segments] == TEXTS
    assert_cuts(found, talk[1])
    tight, truth = put_together([clips[TEXTS[0]]], (0.0, 0.0))
    soundfile.write(tmp_path / "tight.wav", tight, RATE)
    [segment] = find(model, tmp_path / "tight.wav", TEXTS[0]).segments
    assert (segment.start, segment.end) == (0.0, pytest.approx(truth[0][1], abs=0.15))
    assert segment.end <= truth[0][1] + 1e-3


def test_pieces_of_a_long_recording_fit_together(model: CTCModel, talk: tuple[Path, Truth], tmp_path: Path) -> None:
    """What is heard of a recording does not depend on where its pieces begin: the same silence before it moves everything by as much."""
    waveform, _ = soundfile.read(talk[0], dtype="float32")
    assert len(waveform) / RATE > STEP + CONTEXT  # more than one piece
    shift = 7.0
    soundfile.write(tmp_path / "later.wav", np.concatenate([np.random.default_rng(1).normal(0, 1e-3, round(shift * RATE)), waveform]), RATE)
    first = find(model, talk[0], " ".join(TEXTS))
    later = find(model, tmp_path / "later.wav", " ".join(TEXTS))
    assert [segment.text for segment in first.segments] == [segment.text for segment in later.segments]
    for one, other in zip(first.segments, later.segments, strict=True):
        assert (other.start - shift, other.end - shift) == (pytest.approx(one.start, abs=0.06), pytest.approx(one.end, abs=0.06))
    emissions = listen(model, talk[0], {5}, progress=False)
    assert len(emissions.path) == len(emissions.levels) == len(emissions.log_probs) == -(-len(waveform) // 320)
    assert emissions.tokens.tolist() == [0, 5]


def test_too_long_for_a_row_is_told(model: CTCModel, clips: dict[str, np.ndarray], tmp_path: Path) -> None:
    before, behind = TEXTS[1].rsplit(" ", 3)[0], " ".join(TEXTS[1].rsplit(" ", 3)[1:])
    path, _ = record(tmp_path, {"a": speak(before), "b": speak(behind), "c": clips[TEXTS[2]]}, ["a", "b", "c"], (0.5, 6.0, 0.9, 0.5))
    found = find(model, path, f"{TEXTS[1]} {TEXTS[2]}", dataclasses.replace(APART, longest=7.0))
    assert [segment.text for segment in found.segments] == [TEXTS[2]]
    [part] = found.rejected
    assert (part.text, part.reason) == (TEXTS[1], "too-long")
    assert "perhaps with a pause inside" in part.message


def test_an_adapter_hears_and_stays_as_it_was(ctc_folder: Callable[[str], Path], talk: tuple[Path, Truth], tmp_path: Path) -> None:
    """A random base with a vocabulary of its own in an adapter: what is heard is what model and adapter write, and their weights are not touched."""
    base = load_model(str(ctc_folder("wav2vec2-layer")), language="en", device="cpu")
    torch.manual_seed(0)  # of the new output layer: another one may hear the sentence by accident
    base.fit_vocabulary(["они дома"], vocabulary="new")
    add_adapter(base, AdapterSpec(rank=2))
    save_adapter(base, AdapterSpec(rank=2), tmp_path / "adapter", train_fingerprint="f" * 64, accent="none", card="# Card\n")
    adapted = load_aligner(None, tmp_path / "adapter")
    assert adapted.language == "en"
    before = {name: value.clone() for name, value in adapted.network.state_dict().items()}
    found = find(adapted, talk[0], "Они дома. They are not.")
    assert {part.text: part.reason for part in found.rejected if part.text} == {"Они дома.": "not-heard", "They are not.": "unspellable"}
    after = adapted.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    with pytest.raises(MisuseError, match="neither a base model nor an adapter was given"):
        load_aligner(None)


def test_models_that_cannot_align(whisper_folder: Callable[[str], Path], ctc_folder: Callable[[str], Path]) -> None:
    with pytest.raises(MisuseError, match=r"a model of the family whisper, which does not tell when it hears a letter\. Choose a CTC model"):
        load_aligner(str(whisper_folder("english")))
    with pytest.raises(MisuseError, match="was only pretrained and has no output layer"):
        load_aligner(str(ctc_folder("raw")))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_confidence": 1.5}, "min_confidence is 1.5, must be 0 to 1"),
        ({"max_cer": -0.1}, "max_cer is -0.1, must be 0 or more"),
        ({"longest": 0.0}, "longest is 0, must be 1 to 600"),
        ({"gap": float("nan")}, "gap is nan, must be 0 to 60"),
    ],
)
def test_settings_that_mean_nothing(settings: dict[str, float], message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        SegmentationSettings(**settings)  # type: ignore[arg-type]


def test_marks_are_never_cut_and_never_sought(model: CTCModel, talk: tuple[Path, Truth]) -> None:
    mark = "[a door opens. Somebody comes in,\nsits down and says nothing at all for a while? yes]"
    text = " ".join([*TEXTS[:3], TEXTS[3].replace(" ", f" {mark} ", 3), *TEXTS[4:]])
    found = find(model, talk[0], text, dataclasses.replace(APART, remove=re.compile(r"\[[^]]*\]")))
    assert [segment.text for segment in found.segments] == TEXTS
    assert found.segments[3].text_raw.count(" ".join(mark.split())) == 3
    assert found.rejected == ()


MARKS = SegmentationSettings(drop=re.compile("xxx"), remove=re.compile(r"\[[^]]*\]"), longest=3.0)


@hypothesis.settings(derandomize=True, deadline=None, max_examples=80, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(
    text=st.lists(st.sampled_from([*TEXTS[0].split(), "xxx", "[laughs]", "12", "€", "好的", "Привет.", "—", "\n", ".", "x" * 30]), max_size=25)
)
def test_no_written_word_is_lost(model: CTCModel, clips: dict[str, np.ndarray], tmp_path: Path, text: list[str]) -> None:
    """Whatever is written, every word is in a segment or told as rejected, and the segments are in order inside of the recording."""
    path = tmp_path / "r.wav"
    if not path.is_file():
        soundfile.write(path, clips[TEXTS[0]], RATE)
    found = find(model, path, " ".join(text), MARKS)
    told = " ".join([segment.text_raw for segment in found.segments] + [part.text for part in found.rejected])
    assert sorted(re.findall(r"\w+", told)) == sorted(re.findall(r"\w+", " ".join(text)))
    edges = [edge for segment in found.segments for edge in (segment.start, segment.end)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= found.duration for edge in edges)
    assert all(segment.end - segment.start <= 3.0 + 1e-6 for segment in found.segments)
    assert all(0 <= part.start <= part.end <= found.duration for part in found.rejected)
    assert found.found + sum(bool(part.text) for part in found.rejected) == found.phrases


def test_recordings_of_odd_lengths(model: CTCModel, tmp_path: Path) -> None:
    for samples in (1, 319, 321, round(STEP * RATE), round(STEP * RATE) + 1, round((STEP + CONTEXT) * RATE) - 1):
        soundfile.write(tmp_path / "r.wav", np.random.default_rng(0).normal(0, 1e-3, samples), RATE)
        emissions = listen(model, tmp_path / "r.wav", [4], progress=False)
        assert {len(emissions.path), len(emissions.best), len(emissions.levels), len(emissions.log_probs)} == {-(-samples // 320)}
        assert find(model, tmp_path / "r.wav", TEXTS[0]).found == 0
    soundfile.write(tmp_path / "r.wav", np.zeros(0), RATE)
    with pytest.raises(AudioError, match="no samples in it"):
        find(model, tmp_path / "r.wav", TEXTS[0])


def test_what_is_no_recording(model: CTCModel, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(AudioError, match="not a recording"):
        find(model, tmp_path / "text.wav", TEXTS[0])
    soundfile.write(tmp_path / "cut.wav", np.zeros(5 * RATE), RATE)
    data = (tmp_path / "cut.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"2\.50 of 5\.00 s are missing at its end"):
        find(model, tmp_path / "cut.wav", TEXTS[0])
