"""Counts against published examples and, for any text, against jiwer itself."""

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.score.align import count_characters, count_words, picture
from speechadapt.score.counts import ErrorCounts, pool

SENTENCES = st.lists(st.sampled_from(["a", "b", "c", "aa", "ab", "the", "cat", "über", "नमस्ते", "1", "'"]), max_size=9).map(" ".join)


def test_the_example_of_jurafsky_and_martin() -> None:
    """Speech and Language Processing, chapter on ASR evaluation: 6 substitutions, 3 insertions, 1 deletion of 13 words, 76.9 %."""
    reference = "i um the phone is i left the portable phone upstairs last night"
    hypothesis = "i got it to the fullest i love to portable form of stores last night"
    counts = count_words(reference, hypothesis)
    assert counts == ErrorCounts(hits=6, substitutions=6, deletions=1, insertions=3)
    assert counts.wer == pytest.approx(0.769, abs=5e-4)  # printed with three digits


def test_the_example_of_jiwers_documentation() -> None:
    """jiwer 4, visualize_alignment: substitutions=2 deletions=2 insertions=4 hits=5, wer=88.89 %."""
    pairs = [("short one here", "shoe order one"), ("quite a bit of longer sentence", "quite bit of an even longest sentence here")]
    counts = pool(count_words(*pair) for pair in pairs)
    assert counts == ErrorCounts(hits=5, substitutions=2, deletions=2, insertions=4)
    assert counts.wer == pytest.approx(0.8889, abs=5e-5)


def test_an_empty_hypothesis_is_all_deletions() -> None:
    assert count_words("one two three", "") == ErrorCounts(deletions=3)


def test_an_empty_reference_is_all_insertions() -> None:
    assert count_words("", "one two") == ErrorCounts(insertions=2)


def test_characters_by_hand() -> None:
    assert count_characters("kitten", "sitting") == ErrorCounts(hits=4, substitutions=2, insertions=1)  # Levenshtein's textbook pair


def test_blanks_are_characters_unless_the_script_has_none() -> None:
    assert count_characters("a b", "ab") == ErrorCounts(hits=2, deletions=1)
    assert count_characters("你 好", "你 们 好", blanks=False) == ErrorCounts(hits=2, insertions=1)


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=5))
def test_words_equal_jiwers(pairs: list[tuple[str, str]]) -> None:
    ours = pool(count_words(*pair) for pair in pairs)
    theirs = jiwer.process_words([one for one, _ in pairs], [other for _, other in pairs])
    assert (ours.hits, ours.substitutions, ours.deletions, ours.insertions) == (
        theirs.hits,
        theirs.substitutions,
        theirs.deletions,
        theirs.insertions,
    )
    if ours.reference_length:
        assert ours.wer == theirs.wer


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=5))
def test_characters_equal_jiwers(pairs: list[tuple[str, str]]) -> None:
    ours = pool(count_characters(*pair) for pair in pairs)
    theirs = jiwer.process_characters([one for one, _ in pairs], [other for _, other in pairs])
    assert (ours.hits, ours.substitutions, ours.deletions, ours.insertions) == (
        theirs.hits,
        theirs.substitutions,
        theirs.deletions,
        theirs.insertions,
    )


@given(SENTENCES, SENTENCES)
def test_swapping_the_sides_swaps_deletions_and_insertions(one: str, other: str) -> None:
    there, back = count_words(one, other), count_words(other, one)
    assert there.errors == back.errors
    assert there.deletions - there.insertions == back.insertions - back.deletions


def test_picture() -> None:
    assert picture("short one here", "shoe order one") == "\n".join(
        [
            "REF: **** short one here",
            "HYP: shoe order one ****",
            "        I     S        D",
        ]
    )
    assert picture("same", "same") == "REF: same\nHYP: same"
    assert picture("gone now", "") == "REF: gone now\nHYP: **** ***\n        D   D"
