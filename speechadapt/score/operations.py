"""Operations: which word of the reference became which word of the hypothesis, the smallest number of edits between the two."""

import dataclasses
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

HIT, SUBSTITUTION, DELETION, INSERTION = "hit", "substitution", "deletion", "insertion"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One step of an alignment.

    Attributes:
        kind: "hit", "substitution", "deletion" or "insertion".
        reference: the word that was said; None for an insertion.
        hypothesis: the word that was heard; None for a deletion.
    """

    kind: str
    reference: str | None
    hypothesis: str | None


def align_words(reference: str | Sequence[str], hypothesis: str | Sequence[str]) -> tuple[Operation, ...]:
    """Align two normalized texts word by word; as many operations of each kind as `jiwer.process_words` counts.

    Args:
        reference, hypothesis: texts whose words are set apart by blanks, or lists of words.

    Returns:
        Operations from left to right: the references in them are the reference, the hypotheses the hypothesis.
    """
    said, heard = (text.split() if isinstance(text, str) else text for text in (reference, hypothesis))
    operations: list[Operation] = []
    for step in Levenshtein.opcodes(said, heard):
        if step.tag in ("equal", "replace"):
            kind = HIT if step.tag == "equal" else SUBSTITUTION
            pairs = zip(said[step.src_start : step.src_end], heard[step.dest_start : step.dest_end], strict=True)
            operations += [Operation(kind=kind, reference=one, hypothesis=other) for one, other in pairs]
        elif step.tag == "delete":
            operations += [Operation(kind=DELETION, reference=word, hypothesis=None) for word in said[step.src_start : step.src_end]]
        else:
            operations += [Operation(kind=INSERTION, reference=None, hypothesis=word) for word in heard[step.dest_start : step.dest_end]]
    return tuple(operations)
