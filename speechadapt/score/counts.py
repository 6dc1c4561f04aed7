"""ErrorCounts: hits, substitutions, deletions and insertions, pooled by adding. Rates are made last, from the pooled counts."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from speechadapt.errors import ScoreError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCounts:
    """Edit operations between reference and hypothesis, of words or of characters.

    Attributes:
        hits: tokens that agree.
        substitutions: reference tokens said as another.
        deletions: reference tokens that were not said.
        insertions: hypothesis tokens without a reference.
    """

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: "ErrorCounts") -> "ErrorCounts":
        return ErrorCounts(
            hits=self.hits + other.hits,
            substitutions=self.substitutions + other.substitutions,
            deletions=self.deletions + other.deletions,
            insertions=self.insertions + other.insertions,
        )

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference_length(self) -> int:
        """Tokens in the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def hypothesis_length(self) -> int:
        """Tokens in the hypothesis."""
        return self.hits + self.substitutions + self.insertions

    @property
    def wer(self) -> float | None:
        """Errors per reference token, a fraction from 0 to beyond 1 (of characters it is the CER); None without reference tokens."""
        return self.errors / self.reference_length if self.reference_length else None

    @property
    def substitution_rate(self) -> float | None:
        """Substitutions per reference token; None without reference tokens."""
        return self.substitutions / self.reference_length if self.reference_length else None

    @property
    def deletion_rate(self) -> float | None:
        """Deletions per reference token; None without reference tokens."""
        return self.deletions / self.reference_length if self.reference_length else None

    @property
    def insertion_rate(self) -> float | None:
        """Insertions per reference token; None without reference tokens. With the two rates above it adds up to `wer`."""
        return self.insertions / self.reference_length if self.reference_length else None

    @property
    def match_error_rate(self) -> float | None:
        """Errors per aligned pair, from 0 to 1: jiwer's `mer` (Morris, Maier and Green, Interspeech 2004). None if both sides are empty.

        Not the mixed error rate of code-switched speech, which is abbreviated the same way: see `ScoreReport.mixed_error_rate`.
        """
        aligned = self.errors + self.hits
        return self.errors / aligned if aligned else None

    @property
    def information_preserved(self) -> float | None:
        """Hits per reference token times hits per hypothesis token, from 0 to 1: jiwer's `wip`. None without reference tokens."""
        if not self.reference_length:
            return None
        return (self.hits / self.reference_length) * (self.hits / self.hypothesis_length) if self.hypothesis_length else 0.0

    @property
    def information_lost(self) -> float | None:
        """1 minus `information_preserved`: jiwer's `wil` (the word information lost of the same paper). None without reference tokens."""
        preserved = self.information_preserved
        return None if preserved is None else 1 - preserved

    @property
    def length_ratio(self) -> float | None:
        """Hypothesis tokens per reference token, 1 for a system that says as much as was said; None without reference tokens."""
        return self.hypothesis_length / self.reference_length if self.reference_length else None

    def to_json(self) -> dict[str, int]:
        """The four counts as a JSON object."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> "ErrorCounts":
        """Read the four counts back.

        Raises:
            ScoreError: a count is missing, not whole, or below 0.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(value, dict) or sorted(value) != sorted(names):
            raise ScoreError(f"counts are {value!r}, must be an object with {', '.join(names)}. Score again.")
        for name in names:
            if isinstance(value[name], bool) or not isinstance(value[name], int) or value[name] < 0:
                raise ScoreError(f"counts: {name} is {value[name]!r}, must be a whole number of 0 or more. Score again.")
        return cls(**value)


def pool(counts: Iterable[ErrorCounts]) -> ErrorCounts:
    """Add counts up; the rate of the sum is the corpus-level rate, which a mean of rates per utterance is not."""
    total = ErrorCounts()
    for one in counts:
        total = total + one
    return total
