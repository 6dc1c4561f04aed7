"""Alternatives: reference texts that allow several readings, and the reading a hypothesis is counted against.

Three marks, those of NIST's transcripts and one more:

    { going to / gonna / @ } try     one of the branches, which stand between blanks; @ is nothing; a branch may hold alternatives itself
    (going to)/(gonna) try           the same, without nesting
    (uh) going to try                words that may be left out; where they are, they count as right, as with `sclite -D`

A parenthesis inside of a word, as in colo(u)r, is no mark.
"""

import dataclasses
import operator
import re
from array import array
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from speechadapt.errors import ScoreError
from speechadapt.score.align import Tally, count_tokens
from speechadapt.text.normalize import Normalizer

MOST_CELLS = 10_000_000
"""Arcs times words of the hypothesis in one alignment: some seconds of work and 150 MB; about 3,000 words against 3,000 words."""
DEEPEST = 20
SHOWN = 200

_INSERTED, _DELETED, _PAIRED = range(3)
_TOKEN = re.compile(r"[{}]|\([^(){}]*\)(?:/\([^(){}]*\))*(?=[\s{}]|$)|[^\s{}]+")
_GROUP = re.compile(r"\(([^(){}]*)\)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What an alignment adds up, for each step; `insert` and `delete` of a word, `leave_out` an optional one, `nothing` for an arc without a word."""

    insert: Any
    delete: Any
    substitute: Any
    leave_out: Any
    nothing: Any
    never: Any


NIST = Costs(insert=3000, delete=3000, substitute=4000, leave_out=2000, nothing=1, never=1 << 60)
"""sclite's costs, in thousandths."""
NIST_ROUNDED = Costs(**{name: np.float32(getattr(NIST, name) / 1000) for name in NIST.__slots__})
"""The same as sclite adds them up: in single precision, whose rounding of 0.001 decides between paths of equal cost."""
FEWEST_ERRORS = dataclasses.replace(NIST, insert=1_000_003_000, delete=1_000_003_000, substitute=1_000_004_000)
"""Errors first; sclite's costs only decide between equals."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Arc:
    """One word of a graph.

    Attributes:
        word: None for nothing.
        optional: it may be left out.
        before: the places of the arcs it may follow, all smaller than its own; -1 is the start.
    """

    word: str | None
    optional: bool
    before: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WordGraph:
    """All readings of one reference: `arcs`, each after those it may follow; `ends`: the places where a reading ends (-1: it has no word)."""

    arcs: tuple[Arc, ...]
    ends: tuple[int, ...]

    @property
    def has_words(self) -> bool:
        """Whether any reading has a word."""
        return any(arc.word is not None for arc in self.arcs)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The reading of a reference that a hypothesis was counted against.

    Attributes:
        text: its words; optional ones only where they were not left out.
        tally: hits (with the optional words that were left out), substitutions, deletions, insertions of words.
    """

    text: str
    tally: Tally

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions together."""
        return sum(self.tally[1:])


def is_marked(text: str) -> bool:
    """Whether a raw reference may hold a mark, so that it must be parsed."""
    return any(mark in text for mark in "{}()")


def plain_graph(words: Sequence[str]) -> WordGraph:
    """The graph of one reading."""
    arcs = tuple(Arc(word=word, optional=False, before=(place - 1,)) for place, word in enumerate(words))
    return WordGraph(arcs=arcs, ends=(len(arcs) - 1,))


def parse_alternatives(text: str, normalize: Normalizer, *, key: str) -> WordGraph:
    """The graph of a raw reference with marks.

    Args:
        text: the raw reference.
        normalize: applied to every stretch of text between two marks by itself, so no rule of it reaches across a mark.
        key: the utterance's id, for the messages.

    Raises:
        ScoreError: a mark is not closed or was never opened, a branch is empty, or marks stand in each other where they must not.
    """
    parser = _Parser(text, normalize, key)
    ends = parser.sequence((-1,), 0)
    return WordGraph(arcs=tuple(parser.arcs), ends=ends)


def best_reading(graphs: Sequence[WordGraph], hypothesis: str, *, nist: bool = False, key: str = "") -> Reading:
    """The reading with the fewest errors, over several references; of equals the first reference, in it the one with the most hits.

    Args:
        graphs: of each reference, at least one.
        hypothesis: normalized.
        nist: align by the costs of sclite (see `align_graph`).
        key: the utterance's id, for the message.

    Raises:
        ScoreError: graph and hypothesis are too long to be aligned.
    """
    return min((align_graph(graph, hypothesis, nist=nist, key=key) for graph in graphs), key=lambda reading: reading.errors)


def align_graph(graph: WordGraph, hypothesis: str, *, nist: bool = False, key: str = "") -> Reading:
    """Align a hypothesis with a word graph by dynamic programming, words against arcs.

    Args:
        graph: the reference.
        hypothesis: normalized.
        nist: minimize sclite's costs (substitution 4, insertion and deletion 3, an optional word left out 2, nothing 0.001) and decide
            between equals as it does, instead of finding the fewest errors; the counts are then those of `sclite -D`.
        key: the utterance's id, for the message.

    Raises:
        ScoreError: arcs times words of the hypothesis exceed `MOST_CELLS`.
    """
    heard = hypothesis.split()
    if (len(graph.arcs) + 1) * (len(heard) + 1) > MOST_CELLS:
        raise ScoreError(
            f'utterance "{key}": {len(graph.arcs)} reference words and {len(heard)} heard ones; alternatives and --alignment nist are made for '
            f"fewer than {MOST_CELLS} pairs of them. Cut the utterance, or score it without."
        )
    costs = FEWEST_ERRORS if not nist else NIST_ROUNDED if any(arc.word is None for arc in graph.arcs) else NIST
    rows, backs, origins = _fill(graph, heard, costs)
    end = min(graph.ends, key=lambda place: rows[place + 1][-1])
    words, left_out, tally = _trace(graph, heard, backs, origins, end)
    if not nist:  # jiwer's own way through the reading, which may spread the same number of errors in another way
        hits, *errors = count_tokens(words, heard)
        tally = (hits + left_out, errors[0], errors[1], errors[2])
    return Reading(text=" ".join(words), tally=tally)


def _fill(graph: WordGraph, heard: list[str], costs: Costs) -> tuple[list[list[Any]], list[bytearray], list["array[int] | int"]]:
    """Costs, steps and predecessors; row 0 is the start, row n + 1 that of arc n; column n comes after n heard words."""
    insert, same = costs.insert, costs.insert * 0
    rows = [[same + place * insert for place in range(len(heard) + 1)]]
    backs = [bytearray(len(heard) + 1)]
    origins: list[array[int] | int] = [0]
    for arc in graph.arcs:
        before, origin = _before(arc, rows)
        skip = costs.nothing if arc.word is None else costs.leave_out if arc.optional else costs.delete
        cost = before[0] + skip
        row, back = [cost], bytearray([_DELETED])
        for column, word in enumerate(heard):
            pair = costs.never if arc.word is None else before[column] + (same if word == arc.word else costs.substitute)
            drop, add = before[column + 1] + skip, cost + insert
            if pair <= drop and pair <= add:  # sclite's order: of equals a pair, then an insertion
                cost, step = pair, _PAIRED
            elif drop < add:
                cost, step = drop, _DELETED
            else:
                cost, step = add, _INSERTED
            row.append(cost)
            back.append(step)
        rows.append(row)
        backs.append(back)
        origins.append(origin)
    return rows, backs, origins


def _before(arc: Arc, rows: list[list[Any]]) -> tuple[list[Any], "array[int] | int"]:
    """The lowest costs before an arc, by column, and the rows they stand in; of equals the first."""
    if len(arc.before) == 1:
        return rows[arc.before[0] + 1], arc.before[0] + 1
    places = [place + 1 for place in arc.before]
    columns = zip(*(rows[place] for place in places), strict=True)
    lowest = [min(zip(column, places, strict=True), key=operator.itemgetter(0)) for column in columns]
    return [cost for cost, _ in lowest], array("i", [place for _, place in lowest])


def _trace(graph: WordGraph, heard: list[str], backs: list[bytearray], origins: list["array[int] | int"], end: int) -> tuple[list[str], int, Tally]:
    """The words of the reading, how many optional ones were left out, and the tally, from the end of the best path back to its start."""
    words: list[str] = []
    hits = substitutions = deletions = insertions = left_out = 0
    row, column = end + 1, len(heard)
    while row or column:
        step = backs[row][column] if row else _INSERTED
        if step == _INSERTED:
            insertions += 1
            column -= 1
            continue
        arc, origin = graph.arcs[row - 1], origins[row]
        if step == _PAIRED:
            column -= 1
            if heard[column] == arc.word:
                hits += 1
            else:
                substitutions += 1
        elif arc.optional:
            left_out += 1
        elif arc.word is not None:
            deletions += 1
        if arc.word is not None and not (step == _DELETED and arc.optional):
            words.append(arc.word)
        row = origin if isinstance(origin, int) else origin[column]
    words.reverse()
    return words, left_out, (hits + left_out, substitutions, deletions, insertions)


class _Parser:
    """Reads the tokens of a reference from left to right and lays its arcs."""

    def __init__(self, text: str, normalize: Normalizer, key: str) -> None:
        self.text, self.normalize, self.key = text, normalize, key
        self.tokens = _TOKEN.findall(text)
        self.place = 0
        self.arcs: list[Arc] = []

    def sequence(self, before: tuple[int, ...], depth: int) -> tuple[int, ...]:
        """Lay what comes until the end, or inside of braces until "/" or "}"; the places after which it goes on."""
        stretch: list[str] = []
        while self.place < len(self.tokens):
            token = self.tokens[self.place]
            if depth and token in ("/", "}"):
                return self.words(stretch, before)
            self.place += 1
            if token == "}":
                self.refuse('"}" was never opened by "{"')
            if token == "{":
                before = self.branches(self.words(stretch, before), depth + 1)
            elif token[0] == "(" and token[-1] == ")":
                before = self.groups(token, self.words(stretch, before))
            else:
                self.check_word(token)
                stretch.append(token)
        if depth:
            self.refuse('"{" is not closed by "}"')
        return self.words(stretch, before)

    def branches(self, before: tuple[int, ...], depth: int) -> tuple[int, ...]:
        """Lay the branches of braces up to "}"."""
        if depth > DEEPEST:
            self.refuse(f"alternatives stand in each other more than {DEEPEST} deep")
        ends: list[int] = []
        count, start = 0, self.place
        while True:
            first = self.place
            if self.tokens[first : first + 1] == ["@"]:
                self.place += 1
                if self.tokens[self.place : self.place + 1] not in (["/"], ["}"]):
                    self.refuse("@ stands for nothing and must be alone in its branch")
                ends += self.nothing(before)
            else:
                ends += self.something(before, self.sequence(before, depth))
            if self.place == first:
                self.refuse("a branch is empty; write @ for nothing")
            count += 1
            self.place += 1
            if self.tokens[self.place - 1] == "}":
                break
        if count == 1 and any("/" in token for token in self.tokens[start : self.place] if token[0] != "("):
            self.refuse('braces hold one branch only: "/" needs a blank on each side')
        return tuple(dict.fromkeys(ends))

    def groups(self, token: str, before: tuple[int, ...]) -> tuple[int, ...]:
        """One group in parentheses may be left out; several with slashes between them are alternatives."""
        parts = [part.strip() for part in _GROUP.findall(token)]
        if _GROUP.sub("", token).strip("/"):
            self.refuse(f'"{token}" has parentheses in parentheses; write {{ a / b }} for alternatives in alternatives')
        if "" in parts:
            self.refuse("parentheses are empty; write @ for nothing")
        if len(parts) == 1:
            return self.words(parts, before, optional=True)
        ends: list[int] = []
        for part in parts:
            ends += self.nothing(before) if part == "@" else self.something(before, self.words([part], before))
        return tuple(dict.fromkeys(ends))

    def words(self, stretch: list[str], before: tuple[int, ...], *, optional: bool = False) -> tuple[int, ...]:
        """Lay a stretch of text, normalized, and empty it."""
        words = self.normalize(" ".join(stretch)).split() if stretch else []
        stretch.clear()
        for word in words:
            self.arcs.append(Arc(word=word, optional=optional, before=before))
            before = (len(self.arcs) - 1,)
        return before

    def something(self, before: tuple[int, ...], ends: tuple[int, ...]) -> tuple[int, ...]:
        """The ends of a branch; a branch of which the normalizer left no word is nothing."""
        return self.nothing(before) if ends == before else ends

    def nothing(self, before: tuple[int, ...]) -> tuple[int, ...]:
        self.arcs.append(Arc(word=None, optional=False, before=before))
        return (len(self.arcs) - 1,)

    def check_word(self, token: str) -> None:
        """A parenthesis is a mark only if it begins or ends a word."""
        if token.count("(") > token.count(")"):
            self.refuse('"(" is not closed by ")" and a blank')
        if token.count("(") < token.count(")"):
            self.refuse('")" was never opened by "("')
        if token[0] == "(" and ")/" in token:
            self.refuse(f'"{token}": "/" after ")" needs "(" on its other side')

    def refuse(self, fact: str) -> NoReturn:
        shown = self.text if len(self.text) <= SHOWN else self.text[:SHOWN] + "…"
        raise ScoreError(f'reference "{self.key}": {fact}. It reads: {shown!r}. Correct the text, or score without --alternatives.')
