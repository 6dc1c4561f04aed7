"""Where segments begin and end, by hand."""

import pytest

from speechadapt.score.align import count_words
from speechadapt.score.segments import columns, error_spans, segment_errors


def segments(reference: str, base: str, adapted: str) -> list[tuple[int, int]]:
    return segment_errors(error_spans(reference, base), error_spans(reference, adapted))


def test_spans_are_places_in_the_reference() -> None:
    assert error_spans("a b c d e f", "a x c e f n") == [(1, 2, 1), (3, 4, 1), (6, 6, 1)]  # a substitution, a deletion, an insertion after the end
    assert error_spans("a b", "z z a b") == [(0, 0, 2)]
    assert error_spans("a b", "") == [(0, 2, 2)]
    assert error_spans("", "a b") == [(0, 0, 2)]
    assert error_spans("a b", "a b") == []


@pytest.mark.parametrize(
    ("base", "adapted", "expected"),
    [
        ("a b c d e f", "a b c d e f", []),
        ("x b c d e f", "a b c d e f", [(1, 0)]),
        ("x b c y e f", "a b c d e f", [(1, 0), (1, 0)]),  # two words right between the errors: two segments
        ("x b y d e f", "a b c d e f", [(2, 0)]),  # one word right: one segment
        ("x b c d e f", "a b c y e f", [(1, 0), (0, 1)]),
        ("x b c d e f", "a b y d e f", [(1, 1)]),  # only one word that both have right between their errors
        ("x b n c d e f", "a b c d e f", [(2, 0)]),  # the insertion stands between the two right words
        ("x b c n d e f", "a b c d e f", [(1, 0), (1, 0)]),  # it stands after two right words
        ("a b c d e f n", "a b c d e f m o", [(1, 2)]),  # after the last word
        ("", "a b c d e f", [(6, 0)]),
        ("x x x x x x", "a b y d e f", [(6, 1)]),  # a short error inside a long one does not end it
        ("x x x d e f", "y b c d e z", [(3, 1), (0, 1)]),
    ],
)
def test_segments_by_hand(base: str, adapted: str, expected: list[tuple[int, int]]) -> None:
    assert segments("a b c d e f", base, adapted) == expected
    assert segments("a b c d e f", adapted, base) == [(after, before) for before, after in expected]


def test_errors_of_the_segments_add_up_to_the_word_errors() -> None:
    reference, base, adapted = "the cat sat on the mat and slept", "a cat cat sat on mat slept well", "cat sat at the mat and he slept"
    before, after = columns(segments(reference, base, adapted))
    assert (sum(before), sum(after)) == (count_words(reference, base).errors, count_words(reference, adapted).errors)


def test_more_right_words_make_fewer_segments() -> None:
    base, adapted = error_spans("a b c d e f", "x b c y e f"), error_spans("a b c d e f", "a b c d e f")
    assert segment_errors(base, adapted, good_words=3) == [(2, 0)]
    assert segment_errors(base, adapted, good_words=1) == [(1, 0), (1, 0)]
