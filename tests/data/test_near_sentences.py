"""Near sentences: every pair that a full comparison finds, and no other."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechadapt.data.manifest import Manifest
from speechadapt.data.near_sentences import find_near_sentences, similarity, tokenize
from speechadapt.data.utterance import Utterance

TEN = "one two three four five six seven eight nine ten"


def manifest(*texts: str, name: str = "train") -> Manifest:
    rows = (Utterance(id=f"{name}-{n}", audio_filepath=f"{n}.flac", duration=2.0, text=text) for n, text in enumerate(texts))
    return Manifest(rows, folder=Path(), name=name)


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        (TEN, "One, two, three, four, five, six, seven, eight, nine, eleven!", True),  # 2 * 9 / 20
        (TEN, TEN + " eleven", True),
        (TEN, "one two three four five six seven eight eleven twelve", False),
        (TEN, "ten one two three four five six seven eight nine", True),  # one word moved
        (TEN, "ten nine eight seven six five four three two one", False),  # the order counts
        (TEN, TEN.upper() + ".", False),  # the same sentence is a shared one, not a near one
        ("one two three", "one two four", False),  # too short to be judged
        ("我们明天早上一起去学校上课", "我们明天早上一起去学校吃饭", False),
        ("我们明天早上一起去学校上课吧我很高兴", "我们明天早上一起去学校上课吧我很难过", False),
        ("我们明天早上一起去学校上课吧我很高兴", "我们明天早上一起去学校上课吧他很高兴", True),
    ],
)
def test_which_sentences_are_near(one: str, other: str, near: bool) -> None:
    assert find_near_sentences(manifest(one), manifest(other, name="test")) == ([("train-0", "test-0")] if near else [])


def test_every_row_is_named_with_its_nearest() -> None:
    train = manifest(TEN, "something else", TEN.replace("ten", "eleven"), TEN)
    test = manifest("nothing at all", TEN + " eleven twelve", TEN + " eleven", name="test")
    assert find_near_sentences(train, test) == [("train-0", "test-2"), ("train-2", "test-2"), ("train-3", "test-2")]


words = st.lists(st.sampled_from("abcde"), min_size=8, max_size=16)


@given(st.lists(words, max_size=8), st.lists(words, max_size=8), st.lists(st.integers(0, 15), max_size=3))
@settings(max_examples=200, deadline=None)
def test_nothing_is_missed(first: list[list[str]], second: list[list[str]], gone: list[int]) -> None:
    """Few letters, so that words repeat; and copies with some words gone, so that there is something to find."""
    second = [*second, *([word for n, word in enumerate(line) if n not in gone] for line in first)]
    ours, theirs = manifest(*map(" ".join, first)), manifest(*map(" ".join, second), name="test")
    exact = {tokenize(u.text) for u in theirs}
    expected = [
        u.id
        for u in ours
        if len(tokenize(u.text)) >= 10
        and tokenize(u.text) not in exact
        and any(len(other) >= 10 and similarity(tokenize(u.text), other) >= 0.9 for other in exact)
    ]
    assert [key for key, _ in find_near_sentences(ours, theirs)] == expected
