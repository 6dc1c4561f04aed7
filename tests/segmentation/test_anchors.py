"""Anchors: runs on which two sequences agree, found where one of them misses, adds or repeats whole passages."""

import numpy as np
import pytest

from speechadapt.segmentation.anchors import Run, find_anchors

LETTERS = 28


def draw(count: int, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(1, 1 + LETTERS, count).tolist()


def test_equal_sequences_are_one_run() -> None:
    text = draw(200, 0)
    assert find_anchors(text, text, LETTERS) == [Run(text=0, heard=0, length=200)]
    assert find_anchors(text, [], LETTERS) == find_anchors([], text, LETTERS) == []


def test_what_is_missing_on_either_side_is_passed_over() -> None:
    a, b, c, d = (draw(50, seed) for seed in range(4))
    assert find_anchors([*a, *b, *d], [*a, *c, *d], LETTERS) == [Run(text=0, heard=0, length=50), Run(text=100, heard=100, length=50)]
    # a transcript of ten seconds in the middle of an hour of other speech, which an edit distance would scatter over all of it
    before, behind = draw(20_000, 8), draw(20_000, 9)
    assert find_anchors(a, [*before, *a, *behind], LETTERS) == [Run(text=0, heard=20_000, length=50)]


def test_unrelated_sequences_have_none() -> None:
    assert find_anchors(draw(5000, 1), draw(5000, 2), LETTERS) == []


def test_a_passage_that_stands_twice_is_told_by_what_is_around_it() -> None:
    a, b, c, twice = draw(40, 1), draw(40, 2), draw(40, 3), draw(40, 4)
    text = [*a, *twice, *b, *twice, *c]
    assert find_anchors(text, text, LETTERS) == [Run(text=0, heard=0, length=200)]


@pytest.mark.parametrize(("wrong", "least"), [(0.1, 0.4), (0.2, 0.1), (0.3, 0.02)])
def test_wrong_letters_leave_enough_runs_and_all_are_right(wrong: float, least: float) -> None:
    text = draw(6000, 5)
    random = np.random.default_rng(6)
    heard, origin = [], []
    for place, letter in enumerate(text):
        kind = random.random() / wrong
        if kind < 0.3:
            continue  # not heard
        heard.append(int(random.integers(1, 1 + LETTERS)) if kind < 0.7 else letter)
        origin.append(place)
        if 0.7 <= kind < 1:
            heard.append(int(random.integers(1, 1 + LETTERS)))  # made up
            origin.append(-1)
    runs = find_anchors(text, heard, LETTERS)
    assert sum(run.length for run in runs) >= least * len(text)
    last = (0, 0)
    for run in runs:
        assert (run.text, run.heard) >= last
        last = (run.text + run.length, run.heard + run.length)
        assert text[run.text : last[0]] == heard[run.heard : last[1]]
        middle = run.length // 2
        assert origin[run.heard + middle] == run.text + middle
