"""Counts add up, and rates exist only where there is something to divide by."""

import pytest

from speechadapt.errors import ScoreError
from speechadapt.score.counts import ErrorCounts, pool


def test_lengths_and_rates() -> None:
    counts = ErrorCounts(hits=5, substitutions=2, deletions=2, insertions=4)
    assert (counts.errors, counts.reference_length, counts.hypothesis_length) == (8, 9, 11)
    assert counts.wer == 8 / 9
    assert counts.insertion_rate == 4 / 9
    assert counts.length_ratio == 11 / 9


def test_rates_are_pooled_not_averaged() -> None:
    long = ErrorCounts(hits=90, substitutions=10)
    short = ErrorCounts(deletions=1)
    assert pool([long, short]).wer == 11 / 101  # the mean of the two rates would be 0.55
    assert long + short == pool([long, short])


def test_without_reference_tokens_there_is_no_rate() -> None:
    counts = ErrorCounts(insertions=3)
    assert counts.errors == 3
    assert counts.wer is None
    assert counts.insertion_rate is None
    assert counts.length_ratio is None
    assert pool([]).wer is None


def test_wer_can_exceed_one() -> None:
    assert ErrorCounts(substitutions=1, insertions=2).wer == 3.0


def test_json_round_trip() -> None:
    counts = ErrorCounts(hits=1, substitutions=2, deletions=3, insertions=4)
    assert ErrorCounts.from_json(counts.to_json()) == counts


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"hits": 1}, "counts are {'hits': 1}, must be an object with hits, substitutions, deletions, insertions. Score again."),
        (
            {"hits": -1, "substitutions": 0, "deletions": 0, "insertions": 0},
            "counts: hits is -1, must be a whole number of 0 or more. Score again.",
        ),
        (
            {"hits": 0, "substitutions": 0.5, "deletions": 0, "insertions": 0},
            "counts: substitutions is 0.5, must be a whole number of 0 or more. Score again.",
        ),
    ],
)
def test_broken_counts_are_refused(value: object, message: str) -> None:
    with pytest.raises(ScoreError) as caught:
        ErrorCounts.from_json(value)
    assert str(caught.value) == message
