"""Columns of counted utterances read like a tuple of records."""

from typing import Any

import numpy as np
import pytest

from speechadapt.score.counts import ErrorCounts
from speechadapt.score.utterances import Labels, ScoredUtterance, ScoredUtterances, pooled, pooled_by


def scored(key: str, **fields: Any) -> ScoredUtterance:
    counts = {"words": ErrorCounts(hits=1, substitutions=2, deletions=3, insertions=4), "characters": ErrorCounts(hits=9)}
    return ScoredUtterance(**{"id": key, "speaker": None, "reference": "one", "hypothesis": "two", **counts, **fields})


ROWS = (
    scored("a", speaker="s1", groups={"accent": "hindi"}),
    scored("b", words=ErrorCounts(deletions=1), avg_logprob=-0.5, groups={"accent": "mandarin", "room": "big"}),
    scored("c", speaker="s1", words=ErrorCounts(hits=1, insertions=6)),
)


def test_it_reads_like_a_tuple() -> None:
    utterances = ScoredUtterances.of(ROWS)
    assert tuple(utterances) == ROWS
    assert [utterances[place] for place in (0, 1, 2, -1)] == [*ROWS, ROWS[-1]]
    assert utterances[1:] == ROWS[1:]
    assert utterances[::-1] == ROWS[::-1]
    assert (len(utterances), ROWS[1] in utterances, utterances.index(ROWS[2])) == (3, True, 2)
    assert repr(utterances) == repr(ROWS)
    with pytest.raises(IndexError):
        utterances[3]
    assert ScoredUtterances.of(utterances) is utterances
    assert [ScoredUtterance.from_json(row) for row in utterances.rows()] == list(ROWS)


def test_it_equals_what_holds_the_same() -> None:
    utterances = ScoredUtterances.of(ROWS)
    assert utterances == ScoredUtterances.of(list(ROWS))
    assert utterances == ROWS
    assert utterances != ROWS[:2]
    assert utterances != "abc"
    for place, other in enumerate((scored("z"), scored("b", avg_logprob=-0.25), scored("c", speaker="s2"))):
        assert utterances != ScoredUtterances.of([other if place == at else row for at, row in enumerate(ROWS)])
    assert ScoredUtterances.of(()) == ()
    with pytest.raises(TypeError):
        hash(utterances)


def test_many_are_iterated_in_pieces() -> None:
    rows = [scored(f"u{place}", speaker=f"s{place % 7}", words=ErrorCounts(hits=place)) for place in range(10_000)]
    assert list(ScoredUtterances.of(rows)) == rows


def test_columns_add_up_and_cannot_be_written() -> None:
    utterances = ScoredUtterances.of(ROWS)
    assert utterances.word_errors.tolist() == [9, 1, 6]
    assert utterances.reference_words.tolist() == [6, 1, 1]
    assert utterances.hypothesis_words.tolist() == [7, 0, 7]
    assert pooled(utterances.word_counts) == ErrorCounts(hits=2, substitutions=2, deletions=4, insertions=10)
    assert pooled_by(np.array([1, 0, 1], dtype=np.int32), utterances.word_counts, 3) == [
        ErrorCounts(deletions=1),
        ErrorCounts(hits=2, substitutions=2, deletions=3, insertions=10),
        ErrorCounts(),
    ]
    assert utterances.runaways == ("c",)
    assert [row.runaway for row in utterances] == [False, False, True]
    with pytest.raises(ValueError, match="read-only"):
        utterances.word_counts[0, 0] = 7


def test_labels() -> None:
    labels = Labels.of(["b", None, "a", "b"])
    assert (labels.codes.tolist(), labels.names) == ([0, -1, 1, 0], ("b", "a"))
    assert list(labels) == ["b", None, "a", "b"]
    assert (labels[0], labels[1], labels[-1]) == ("b", None, "b")
    assert labels == Labels.of(["b", None, "a", "b"])
    assert labels != Labels.of(["b", "b", "a", "b"])
    assert list(Labels.of([])) == []
