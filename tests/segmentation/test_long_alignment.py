"""Alignment of hours, on frames whose letters are known: where nothing is wrong, and where the two sides have nothing in common."""

import numpy as np

from speechadapt.models.vocabulary import Vocabulary, build_vocabulary
from speechadapt.segmentation.alignment import MOST_CELLS, Limits, place_phrases
from speechadapt.segmentation.emissions import Emissions

ENGLISH = build_vocabulary("abcdefghijklmnopqrstuvwxyz' ")
LIMITS = Limits(min_confidence=0.1, max_cer=0.6, max_extra=12)
SURE = 0.9


def draw_phrases(count: int, seed: int) -> list[list[int]]:
    """Phrases of five words of two to seven letters, no letter twice in a row."""
    random = np.random.default_rng(seed)
    phrases = []
    for _ in range(count):
        phrase: list[int] = []
        for word in range(5):
            phrase += [] if word == 0 or ENGLISH.separator is None else [ENGLISH.separator]
            for _ in range(int(random.integers(2, 8))):
                letter = int(random.integers(2, len(ENGLISH)))
                phrase.append(letter if phrase[-1:] != [letter] else 2 + (letter - 1) % (len(ENGLISH) - 2))
        phrases.append(phrase)
    return phrases


def emit(phrases: list[list[int]], vocabulary: Vocabulary = ENGLISH) -> tuple[Emissions, list[tuple[int, int]]]:
    """Each letter in one frame with two blanks behind it, thirty blanks before each phrase; and the frames of each phrase."""
    path: list[int] = []
    truth = []
    for phrase in phrases:
        path += [vocabulary.blank] * 30
        start = len(path)
        for letter in phrase:
            path += [letter, vocabulary.blank, vocabulary.blank]
        truth.append((start, len(path) - 2))
    rows = np.full((len(path), len(vocabulary)), (1 - SURE) / (len(vocabulary) - 1))
    rows[np.arange(len(path)), path] = SURE
    emissions = Emissions(
        path=np.array(path, np.int32),
        best=np.full(len(path), np.log(SURE), np.float32),
        tokens=np.arange(len(vocabulary), dtype=np.int32),
        log_probs=np.log(rows).astype(np.float16),
        levels=np.zeros(len(path), np.float32),
        seconds_per_frame=0.02,
        duration=len(path) * 0.02,
    )
    return emissions, truth


def test_half_an_hour_in_which_everything_agrees() -> None:
    phrases = draw_phrases(800, 0)
    emissions, truth = emit(phrases)
    assert len(emissions.path) * 2 * sum(map(len, phrases)) > 10 * MOST_CELLS  # far more than could be aligned at once
    placed, heard = place_phrases(emissions, phrases, ENGLISH, LIMITS)
    assert len(heard.ids) == sum(map(len, phrases))
    assert [(one.start, one.end) for one in placed if one is not None] == truth
    assert all(one is not None and one.cer == 0 and one.extra == 0 and abs(one.confidence - SURE) < 0.01 for one in placed)


def test_a_small_part_of_half_an_hour() -> None:
    phrases = draw_phrases(800, 1)
    emissions, truth = emit(phrases)
    placed, _ = place_phrases(emissions, phrases[500:503], ENGLISH, LIMITS)
    assert [(one.start, one.end) for one in placed if one is not None] == truth[500:503]


def test_half_an_hour_of_something_else() -> None:
    emissions, _ = emit(draw_phrases(800, 2))
    others = draw_phrases(800, 3)
    placed, _ = place_phrases(emissions, others, ENGLISH, LIMITS)
    assert not any(LIMITS.allow(one) for one in placed)


def test_every_tenth_phrase_is_missing_on_one_side_or_the_other() -> None:
    phrases = draw_phrases(300, 4)
    said = [number for number in range(300) if number % 10 != 3]
    written = [number for number in range(300) if number % 10 != 7]
    emissions, truth = emit([phrases[number] for number in said])
    placed, _ = place_phrases(emissions, [phrases[number] for number in written], ENGLISH, LIMITS)
    where = dict(zip(said, truth, strict=True))
    for number, one in zip(written, placed, strict=True):
        if number in where:
            assert one is not None
            assert (one.start, one.end) == where[number]
        else:
            assert not LIMITS.allow(one)
