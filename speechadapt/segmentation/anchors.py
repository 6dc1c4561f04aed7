"""Anchors: where a transcript and what was heard surely agree, so that the stretches between can be aligned one by one.

The idea is that of Moreno et al. (1998), "A recursive algorithm for the forced alignment of very long audio segments": runs that were recognized as
they are written divide the problem. A run is sought by windows of letters that occur once on either side, and the longest chain of them that
goes forward in both is kept, as in Cohen's patience diff; between two runs it is sought again, where more windows occur once.
An edit distance over the whole would not do: where much more is said than is written, it scatters the letters over everything.
"""

import bisect
import dataclasses
import itertools
import math
from collections.abc import Sequence

ANCHOR_BITS = 56.0
"""What a run must tell: twelve letters of an alphabet of 28, five of five thousand characters."""
LEAST_BITS = 38.0
"""Between two runs, where there is less to be confused with: eight letters, or four characters."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`length` tokens from `text` on in the transcript are those from `heard` on in what was heard."""

    text: int
    heard: int
    length: int


def find_anchors(text: Sequence[int], heard: Sequence[int], letters: int) -> list[Run]:
    """Runs on which both sides agree, in order, none overlapping another.

    Args:
        text: token ids of the transcript. heard: those that were recognized, blanks and repeats gone.
        letters: how many tokens the vocabulary has, which says how much one of them tells.
    """
    bits = math.log2(max(2, letters))
    sizes = sorted({math.ceil(ANCHOR_BITS / bits), math.ceil(LEAST_BITS / bits)}, reverse=True)
    end = Run(text=len(text), heard=len(heard), length=0)
    return _grow(text, heard, _between(text, heard, Run(text=0, heard=0, length=0), end, sizes), end)


def _between(text: Sequence[int], heard: Sequence[int], before: Run, after: Run, sizes: Sequence[int]) -> list[Run]:
    """Runs between two others, by windows of the first size, and between those by windows of the next."""
    begin, other = before.text + before.length, before.heard + before.length
    size = sizes[0]
    if min(after.text - begin, after.heard - other) < size:
        return []
    chain = _chain(_once(text, begin, after.text, size), _once(heard, other, after.heard, size))
    found: list[Run] = []
    edges = [before, *_runs(chain, size), after]
    for first, second in itertools.pairwise(edges):
        if len(sizes) > 1:
            found += _between(text, heard, first, second, sizes[1:])
        found.append(second)
    return found[:-1]


def _grow(text: Sequence[int], heard: Sequence[int], runs: Sequence[Run], end: Run) -> list[Run]:
    """Runs as long as both sides go on alike; those that meet become one."""
    grown: list[Run] = []
    for run, after in itertools.pairwise([*runs, end]):
        last = grown[-1] if grown else None
        if last is not None and (run.text, run.heard) == (last.text + last.length, last.heard + last.length):
            grown.pop()
            run = Run(text=last.text, heard=last.heard, length=last.length + run.length)
        room = min(after.text - run.text, after.heard - run.heard)
        length = run.length
        while length < room and text[run.text + length] == heard[run.heard + length]:
            length += 1
        grown.append(dataclasses.replace(run, length=length))
    return grown


def _once(tokens: Sequence[int], begin: int, end: int, size: int) -> dict[tuple[int, ...], int]:
    """The windows that occur once, with their places."""
    places: dict[tuple[int, ...], int] = {}
    repeated = set()
    for place in range(begin, end - size + 1):
        window = tuple(tokens[place : place + size])
        if window in places:
            repeated.add(window)
        places[window] = place
    return {window: place for window, place in places.items() if window not in repeated}


def _chain(text: dict[tuple[int, ...], int], heard: dict[tuple[int, ...], int]) -> list[tuple[int, int]]:
    """The longest sequence of pairs of equal windows that goes forward in both (Fredman's algorithm for increasing subsequences)."""
    pairs = sorted((place, heard[window]) for window, place in text.items() if window in heard)
    ends: list[int] = []
    tails: list[int] = []
    back: list[int] = []
    for number, (_, place) in enumerate(pairs):
        length = bisect.bisect_left(ends, place)
        back.append(tails[length - 1] if length else -1)
        if length == len(ends):
            ends.append(place)
            tails.append(number)
        else:
            ends[length], tails[length] = place, number
    chain = []
    number = tails[-1] if tails else -1
    while number >= 0:
        chain.append(pairs[number])
        number = back[number]
    return chain[::-1]


def _runs(chain: Sequence[tuple[int, int]], size: int) -> list[Run]:
    """Windows that follow one another as one run; of runs that overlap because letters were dropped or doubled, the later one is shortened."""
    runs: list[Run] = []
    for text, heard in chain:
        last = runs[-1] if runs else None
        if last is not None and text - last.text == heard - last.heard and text <= last.text + last.length:
            runs[-1] = dataclasses.replace(last, length=text + size - last.text)
            continue
        overlap = 0 if last is None else max(0, last.text + last.length - text, last.heard + last.length - heard)
        if overlap < size:
            runs.append(Run(text=text + overlap, heard=heard + overlap, length=size - overlap))
    return runs
