"""Sentence segments: the stretches of an utterance in which either of two systems errs, cut where both are right for two words or more."""

from collections.abc import Iterable, Sequence

from rapidfuzz.distance import Levenshtein

Span = tuple[int, int, int]
"""Where in the reference a system errs: first word, the word after the last (the same for an insertion), and its errors there."""

GOOD_WORDS = 2
"""How many words both systems must get right, without an insertion between them, to end a segment: the default of NIST's sc_stats."""


def error_spans(reference: str, hypothesis: str) -> list[Span]:
    """The spans of a normalized hypothesis that differ from its reference, from left to right; their errors add up to its word errors."""
    if reference == hypothesis:
        return []
    steps = Levenshtein.opcodes(reference.split(), hypothesis.split())
    return [
        (step.src_start, step.src_end, max(step.src_end - step.src_start, step.dest_end - step.dest_start)) for step in steps if step.tag != "equal"
    ]


def segment_errors(base: Iterable[Span], adapted: Iterable[Span], *, good_words: int = GOOD_WORDS) -> list[tuple[int, int]]:
    """The errors of both systems in each segment of one utterance.

    Args:
        base, adapted: the spans of each system against the same reference, each from left to right.
        good_words: words that both get right between two segments, 1 or more.

    Returns:
        (errors of base, errors of adapted) per segment, never (0, 0); nothing where both are right throughout.
    """
    spans = sorted([(start, end, errors, 0) for start, end, errors in base] + [(start, end, 0, errors) for start, end, errors in adapted])
    found: list[tuple[int, int]] = []
    reached = -good_words
    for start, end, before, after in spans:
        if start - reached >= good_words:
            found.append((before, after))
        else:
            found[-1] = found[-1][0] + before, found[-1][1] + after
        reached = max(reached, end)
    return found


def columns(segments: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """The errors of base and of adapted as two lists."""
    return [before for before, _ in segments], [after for _, after in segments]
