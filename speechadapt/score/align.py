"""Counting and showing the difference of two texts. jiwer is the measure; rapidfuzz, its engine, is called directly for bulk."""

from array import array
from collections.abc import Sequence

import jiwer
import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from speechadapt.score.counts import ErrorCounts

Tally = tuple[int, int, int, int]
"""Hits, substitutions, deletions, insertions."""


def count_words(reference: str, hypothesis: str) -> ErrorCounts:
    """Word errors of two normalized texts; equal to those of `jiwer.process_words`, which also builds what bulk scoring does not need."""
    return _counts(count_tokens(reference.split(), hypothesis.split()))


def count_characters(reference: str, hypothesis: str, *, blanks: bool = True) -> ErrorCounts:
    """Character errors of two normalized texts, equal to those of `jiwer.process_characters`.

    Args:
        reference: what was said.
        hypothesis: what the system heard.
        blanks: count the blanks between words as characters, as jiwer does; False for scripts that are written without.
    """
    if not blanks:
        reference, hypothesis = reference.replace(" ", ""), hypothesis.replace(" ", "")
    return _counts(count_tokens(reference, hypothesis))


def count_tokens(reference: Sequence[str], hypothesis: Sequence[str]) -> Tally:
    """Hits, substitutions, deletions and insertions of two sequences of tokens, or of the characters of two texts."""
    if reference == hypothesis:
        return len(reference), 0, 0, 0
    substitutions = deletions = insertions = 0
    for tag, _, _ in Levenshtein.editops(reference, hypothesis).as_list():
        if tag == "replace":
            substitutions += 1
        elif tag == "delete":
            deletions += 1
        else:
            insertions += 1
    return len(reference) - substitutions - deletions, substitutions, deletions, insertions


def count_pairs(references: Sequence[str], hypotheses: Sequence[str], *, blanks: bool = True) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Word and character errors of many pairs of normalized texts, as `count_words` and `count_characters` count each.

    Args:
        references, hypotheses: one text for each pair, words set apart by one blank.
        blanks: count the blanks between words as characters.

    Returns:
        Two int32 arrays, of words and of characters, shape (pairs, 4): hits, substitutions, deletions, insertions.
    """
    words, characters = array("i"), array("i")
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        if reference == hypothesis:
            length = len(reference) if blanks else len(reference) - reference.count(" ")
            words.extend((reference.count(" ") + 1 if reference else 0, 0, 0, 0))
            characters.extend((length, 0, 0, 0))
            continue
        words.extend(count_tokens(reference.split(" ") if reference else (), hypothesis.split(" ") if hypothesis else ()))
        if blanks:
            characters.extend(count_tokens(reference, hypothesis))
        else:
            characters.extend(count_tokens(reference.replace(" ", ""), hypothesis.replace(" ", "")))
    return _table(words), _table(characters)


def _table(counts: "array[int]") -> NDArray[np.int32]:
    return np.array(counts, dtype=np.int32).reshape(-1, 4)


def _counts(tally: Tally) -> ErrorCounts:
    return ErrorCounts(hits=tally[0], substitutions=tally[1], deletions=tally[2], insertions=tally[3])


def picture(reference: str, hypothesis: str) -> str:
    """Two normalized texts under each other, with S, D and I under the words that differ (jiwer's alignment).

    Returns:
        Three lines, `REF: …`, `HYP: …` and the marks; only two where nothing differs.
    """
    drawing: str = jiwer.visualize_alignment(jiwer.process_words(reference, hypothesis), show_measures=False, skip_correct=False)
    lines = [line.rstrip() for line in drawing.splitlines() if line.strip() and not line.startswith("=== SENTENCE")]
    return "\n".join(lines)
