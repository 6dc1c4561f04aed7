"""Intake: what is counted while a corpus is read, so that nothing is lost silently."""

import dataclasses
from collections import Counter
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A row that is not in the manifests: its id, the reason reports count by, the sentence for a person, its official split.

    `by_choice` tells what a script or the user leaves out by design (sentences that all speakers read, an accent nobody asked for) from defects
    of the corpus, such as missing audio. `--strict` refuses defects alone.
    """

    id: str
    reason: str
    message: str
    split: str | None = None
    by_choice: bool = False


class Intake:
    """What is counted while a corpus is read: dropped rows, repairs, orphans and facts. Nothing is lost silently."""

    def __init__(self) -> None:
        self.drops: list[Drop] = []
        self.repairs: Counter[str] = Counter()
        self.facts: dict[str, Any] = {}
        self.notes: list[str] = []

    def drop(self, row_id: str, reason: str, message: str, split: str | None = None) -> None:
        """Leave a row out because it cannot be used, with a short fixed reason and a sentence."""
        self.drops.append(Drop(id=row_id, reason=reason, message=message, split=split))

    def leave_out(self, row_id: str, reason: str, message: str, split: str | None = None) -> None:
        """Leave a row out although it could be used, because the script's design or the user's options say so. Counted like a drop."""
        self.drops.append(Drop(id=row_id, reason=reason, message=message, split=split, by_choice=True))

    def repair(self, what: str, count: int = 1) -> None:
        """Count something that was put right."""
        self.repairs[what] += count

    @property
    def reasons(self) -> str:
        """The drops in words: `2 empty-text, 1 missing`."""
        counts = Counter(drop.reason for drop in self.drops)
        return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "nothing was read"
