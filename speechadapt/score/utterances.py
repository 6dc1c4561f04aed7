"""ScoredUtterance: one utterance, counted; ScoredUtterances: a million of them, held in columns and made when they are asked for."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from speechadapt.score.counts import ErrorCounts
from speechadapt.score.mixed import mixed_pairs

RUNAWAY_RATIO = 2.0
RUNAWAY_WORDS = 5
COUNTS = tuple(field.name for field in dataclasses.fields(ErrorCounts))
AT_ONCE = 4096

Counts = NDArray[np.int32]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScoredUtterance:
    """One utterance, counted.

    Attributes:
        id, speaker: as in the manifest.
        reference, hypothesis: as counted, after normalization; of several references or readings, the one with the fewest errors.
        words, characters: error counts.
        avg_logprob: of the decoder, as in `Hypothesis`; None if unknown.
        groups: its value in each field the report groups by; fields it does not have are left out.
    """

    id: str
    speaker: str | None
    reference: str
    hypothesis: str
    words: ErrorCounts
    characters: ErrorCounts
    avg_logprob: float | None = None
    groups: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def runaway(self) -> bool:
        """A hint of a loop or of invented text: at least 5 words more than were said, and at least twice as many."""
        said, heard = self.words.reference_length, self.words.hypothesis_length
        return heard >= RUNAWAY_RATIO * said and heard - said >= RUNAWAY_WORDS

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "ScoredUtterance":
        """The record from one decoded JSON object."""
        counts = {key: ErrorCounts.from_json(value[key]) for key in ("words", "characters")}
        return cls(**{**value, **counts})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """One label per utterance, such as its speaker, without a string for each.

    Attributes:
        codes: int32, shape (utterances,): places in `names`; -1 where there is no label.
        names: the labels in the order of their first utterance.
    """

    codes: NDArray[np.int32]
    names: tuple[str, ...]

    @classmethod
    def of(cls, labels: Sequence[str | None]) -> "Labels":
        """Number the labels."""
        names = [label for label in dict.fromkeys(labels) if label is not None]
        numbers: dict[str | None, int] = {None: -1, **{name: number for number, name in enumerate(names)}}
        return cls(codes=np.fromiter(map(numbers.__getitem__, labels), dtype=np.int32, count=len(labels)), names=tuple(names))

    def __getitem__(self, index: int) -> str | None:
        code = self.codes[index]
        return None if code < 0 else self.names[code]

    def __iter__(self) -> Iterator[str | None]:
        return map((*self.names, None).__getitem__, self.codes.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Labels) and self.names == other.names and np.array_equal(self.codes, other.codes)

    __hash__ = None  # type: ignore[assignment]


class ScoredUtterances(Sequence[ScoredUtterance]):
    """Counted utterances in a fixed order: reads like a tuple of `ScoredUtterance`, and equals one; each is made when it is asked for.

    What adds up over many utterances is better taken from the columns, which have one entry per utterance.

    Attributes:
        ids, references, hypotheses: texts.
        speakers: labels; groups: labels by field.
        word_counts, character_counts: int32, shape (utterances, 4): hits, substitutions, deletions, insertions. Not writable.
        avg_logprobs: a number or None for each, or None if no utterance has one.
    """

    def __init__(
        self,
        *,
        ids: Sequence[str],
        speakers: Labels,
        references: Sequence[str],
        hypotheses: Sequence[str],
        word_counts: Counts,
        character_counts: Counts,
        avg_logprobs: Sequence[float | None] | None = None,
        groups: dict[str, Labels] | None = None,
    ) -> None:
        """Take over columns of equal length. Fields no utterance has a label of are left out."""
        self.ids = ids
        self.speakers = speakers
        self.references = references
        self.hypotheses = hypotheses
        self.word_counts = word_counts
        self.character_counts = character_counts
        self.avg_logprobs = avg_logprobs if avg_logprobs is not None and any(value is not None for value in avg_logprobs) else None
        self.groups = {field: labels for field, labels in (groups or {}).items() if labels.names}
        for counts in (word_counts, character_counts):
            counts.flags.writeable = False

    @classmethod
    def of(cls, utterances: Iterable[ScoredUtterance]) -> "ScoredUtterances":
        """The columns of utterances; of columns, themselves."""
        if isinstance(utterances, ScoredUtterances):
            return utterances
        rows = tuple(utterances)
        fields = dict.fromkeys(field for row in rows for field in row.groups)
        return cls(
            ids=[row.id for row in rows],
            speakers=Labels.of([row.speaker for row in rows]),
            references=[row.reference for row in rows],
            hypotheses=[row.hypothesis for row in rows],
            word_counts=_table(row.words for row in rows),
            character_counts=_table(row.characters for row in rows),
            avg_logprobs=[row.avg_logprob for row in rows],
            groups={field: Labels.of([row.groups.get(field) for row in rows]) for field in fields},
        )

    @overload
    def __getitem__(self, index: int) -> ScoredUtterance: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ScoredUtterance, ...]: ...
    def __getitem__(self, index: int | slice) -> ScoredUtterance | tuple[ScoredUtterance, ...]:
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(len(self))))
        words, characters = self.word_counts[index].tolist(), self.character_counts[index].tolist()
        labels = {field: label for field, column in self.groups.items() if (label := column[index]) is not None}
        return ScoredUtterance(
            id=self.ids[index],
            speaker=self.speakers[index],
            reference=self.references[index],
            hypothesis=self.hypotheses[index],
            words=ErrorCounts(hits=words[0], substitutions=words[1], deletions=words[2], insertions=words[3]),
            characters=ErrorCounts(hits=characters[0], substitutions=characters[1], deletions=characters[2], insertions=characters[3]),
            avg_logprob=None if self.avg_logprobs is None else self.avg_logprobs[index],
            groups=labels,
        )

    def __iter__(self) -> Iterator[ScoredUtterance]:
        for row in self.rows():
            yield ScoredUtterance(**{**row, "words": ErrorCounts(**row["words"]), "characters": ErrorCounts(**row["characters"])})

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, tuple | list):
            return tuple(self) == tuple(other)
        if not isinstance(other, ScoredUtterances):
            return NotImplemented
        return (
            list(self.ids) == list(other.ids)
            and list(self.references) == list(other.references)
            and list(self.hypotheses) == list(other.hypotheses)
            and self.speakers == other.speakers
            and np.array_equal(self.word_counts, other.word_counts)
            and np.array_equal(self.character_counts, other.character_counts)
            and self.avg_logprobs == other.avg_logprobs
            and self.groups == other.groups
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(tuple(self))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each utterance as the JSON object that `ScoredUtterance.from_json` reads."""
        names = {field: (*labels.names, None) for field, labels in self.groups.items()}
        speakers = (*self.speakers.names, None)
        for start in range(0, len(self), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            codes = {field: labels.codes[part].tolist() for field, labels in self.groups.items()}
            counts = zip(self.word_counts[part].tolist(), self.character_counts[part].tolist(), strict=True)
            for place, (speaker, (words, characters)) in enumerate(zip(self.speakers.codes[part].tolist(), counts, strict=True)):
                yield {
                    "id": self.ids[start + place],
                    "speaker": speakers[speaker],
                    "reference": self.references[start + place],
                    "hypothesis": self.hypotheses[start + place],
                    "words": dict(zip(COUNTS, words, strict=True)),
                    "characters": dict(zip(COUNTS, characters, strict=True)),
                    "avg_logprob": None if self.avg_logprobs is None else self.avg_logprobs[start + place],
                    "groups": {field: label for field in codes if (label := names[field][codes[field][place]]) is not None},
                }

    @property
    def word_errors(self) -> NDArray[np.int64]:
        """Word errors of each utterance, shape (utterances,)."""
        return _sums(self.word_counts, 1, 2, 3)

    @property
    def reference_words(self) -> NDArray[np.int64]:
        """Reference words of each utterance, shape (utterances,)."""
        return _sums(self.word_counts, 0, 1, 2)

    @property
    def hypothesis_words(self) -> NDArray[np.int64]:
        """Hypothesis words of each utterance, shape (utterances,)."""
        return _sums(self.word_counts, 0, 1, 3)

    @functools.cached_property
    def mixed_counts(self) -> Counts:
        """Counts of mixed tokens (see `score.mixed`), shape (utterances, 4); the word counts themselves where no text needs splitting."""
        return mixed_pairs(self.references, self.hypotheses, self.word_counts)

    @property
    def runaways(self) -> tuple[str, ...]:
        """Ids of those that look like loops or invented text; see `ScoredUtterance.runaway`."""
        said, heard = self.reference_words, self.hypothesis_words
        return tuple(self.ids[place] for place in np.flatnonzero((heard >= RUNAWAY_RATIO * said) & (heard - said >= RUNAWAY_WORDS)).tolist())


def pooled(counts: Counts) -> ErrorCounts:
    """The sum of a column of counts."""
    return ErrorCounts(**dict(zip(COUNTS, counts.sum(axis=0, dtype=np.int64).tolist(), strict=True)))


def pooled_by(codes: NDArray[np.int32], counts: Counts, size: int) -> list[ErrorCounts]:
    """The sums of a column of counts by the codes 0 to `size` - 1 of its rows."""
    sums = np.stack([np.bincount(codes, weights=counts[:, place], minlength=size) for place in range(len(COUNTS))], axis=1)
    return [ErrorCounts(**dict(zip(COUNTS, map(int, row), strict=True))) for row in sums.tolist()]


def _sums(counts: Counts, *places: int) -> NDArray[np.int64]:
    return np.asarray(counts[:, places].sum(axis=1), dtype=np.int64)


def _table(counts: Iterable[ErrorCounts]) -> Counts:
    rows = [(one.hits, one.substitutions, one.deletions, one.insertions) for one in counts]
    return np.array(rows, dtype=np.int32).reshape(len(rows), len(COUNTS))
