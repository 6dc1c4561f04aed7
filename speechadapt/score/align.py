"""Counting and showing the difference of two texts. jiwer is the measure; rapidfuzz, its engine, is called directly for bulk."""

import jiwer
from rapidfuzz.distance import Levenshtein

from speechadapt.score.counts import ErrorCounts


def count_words(reference: str, hypothesis: str) -> ErrorCounts:
    """Word errors of two normalized texts; equal to those of `jiwer.process_words`, which also builds what bulk scoring does not need."""
    return _count(reference.split(), hypothesis.split())


def count_characters(reference: str, hypothesis: str, *, blanks: bool = True) -> ErrorCounts:
    """Character errors of two normalized texts, equal to those of `jiwer.process_characters`.

    Args:
        reference: what was said.
        hypothesis: what the system heard.
        blanks: count the blanks between words as characters, as jiwer does; False for scripts that are written without.
    """
    if not blanks:
        reference, hypothesis = reference.replace(" ", ""), hypothesis.replace(" ", "")
    return _count(reference, hypothesis)


def _count(reference: list[str] | str, hypothesis: list[str] | str) -> ErrorCounts:
    tally = {"equal": 0, "replace": 0, "delete": 0, "insert": 0}
    for step in Levenshtein.opcodes(reference, hypothesis):
        tally[step.tag] += max(step.src_end - step.src_start, step.dest_end - step.dest_start)
    return ErrorCounts(hits=tally["equal"], substitutions=tally["replace"], deletions=tally["delete"], insertions=tally["insert"])


def picture(reference: str, hypothesis: str) -> str:
    """Two normalized texts under each other, with S, D and I under the words that differ (jiwer's alignment).

    Returns:
        Three lines, `REF: …`, `HYP: …` and the marks; only two where nothing differs.
    """
    drawing: str = jiwer.visualize_alignment(jiwer.process_words(reference, hypothesis), show_measures=False, skip_correct=False)
    lines = [line.rstrip() for line in drawing.splitlines() if line.strip() and not line.startswith("=== SENTENCE")]
    return "\n".join(lines)
