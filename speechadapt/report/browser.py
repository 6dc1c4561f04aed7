"""The utterance browser's data: every utterance with its alignments, small enough that ten thousand of them are a few megabytes."""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from rapidfuzz.distance import Levenshtein

from speechadapt.report.clips import Clip
from speechadapt.report.document import Document, ReportSet
from speechadapt.report.inert import inert
from speechadapt.score.report import ScoredUtterance

MOST_UTTERANCES = 20_000
MOST_WORDS = 400
MOST_LETTERS = 100
"""Of one word, and of an id: a transcript without a blank, or an id of a megabyte, must not stretch the page."""
STEPS = {"equal": "e", "replace": "s", "delete": "d", "insert": "i"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One utterance of a set: what the system of the page, and the base if there is one, made of it."""

    id: str
    reference: str
    systems: tuple[tuple[str, int, bool, str], ...]
    """Hypothesis, word errors, whether it looks like a loop, and the reference it was counted against; base before adapted."""
    groups: Mapping[str, str]

    @property
    def change(self) -> int:
        """Errors more than the base made; 0 without one."""
        return self.systems[-1][1] - self.systems[0][1]

    @property
    def weight(self) -> tuple[int, int]:
        """How much there is to see: the size of the change, then the errors."""
        return abs(self.change), self.systems[-1][1]


def lines_of(one: ReportSet) -> list[Line]:
    """The utterances of a set in their order. Where only a comparison is known, those whose number of errors changed, most improved first."""
    if one.report is not None and one.base is not None:
        return [_line(new, old) for new, old in zip(one.report.utterances, one.base.utterances, strict=True)]
    if one.report is not None:
        return [_line(new) for new in one.report.utterances]
    found = one.comparison
    changes = (*found.improvements, *reversed(found.regressions)) if found else ()
    return [
        Line(
            id=change.id,
            reference=change.reference,
            systems=tuple(
                (heard, errors, False, change.reference)
                for heard, errors in ((change.base, change.base_errors), (change.adapted, change.adapted_errors))
            ),
            groups={},
        )
        for change in changes
    ]


def worth_hearing(lines: Sequence[Line], most: int) -> list[str]:
    """The ids of the lines there is most to see in, most first."""
    return [line.id for line in sorted(lines, key=lambda line: line.weight, reverse=True)[:most]]


def browser_data(document: Document, lines: Sequence[Sequence[Line]], clips: Sequence[Mapping[str, Clip]]) -> dict[str, Any]:
    """What the page's script shows.

    Args:
        document: the sets, in the order of the two lists.
        lines: of each set.
        clips: of each set, by utterance id.

    Returns:
        `sets` (name, role, labels of the systems), `fields`, `values` by field, `all` (how many there were), and `rows`, each
        `[set, id, reference, groups, systems, clip, words of the reference]`: `groups` are places in `values` (-1: none), a system is
        `[hypothesis, steps, errors, runaway]` (with its own reference at the end if that is another one), and steps are an alignment in
        words, `e3s1d2`: three equal, one substituted, two deleted.
    """
    fields = tuple(dict.fromkeys(field for rows in lines for line in islice(rows, 1000) for field in line.groups))
    values: dict[str, dict[str, int]] = {field: {} for field in fields}
    total = sum(map(len, lines))
    chosen = _chosen(lines) if total > MOST_UTTERANCES else None
    rows = []
    for place, found in enumerate(lines):
        for number, line in enumerate(found):
            if chosen is not None and (place, number) not in chosen:
                continue
            groups = [values[field].setdefault(line.groups[field], len(values[field])) if field in line.groups else -1 for field in fields]
            words = line.reference.split()
            systems = [_system(line.reference, *system) for system in line.systems]
            clip = clips[place].get(line.id)
            row = [place, _short(inert(line.id)), _shown(words), groups, systems, clip.source if clip else 0, len(words)]
            rows.append(row)
    names = [
        {"name": inert(one.name), "role": one.role, "systems": ["base", "adapted"] if one.entry else ["system"], "sound": bool(clips[place])}
        for place, one in enumerate(document.sets)
    ]
    return {
        "sets": names,
        "fields": [inert(field) for field in fields],
        "values": [[_short(inert(value)) for value in values[field]] for field in fields],
        "all": total,
        "rows": rows,
    }


def _line(new: ScoredUtterance, old: ScoredUtterance | None = None) -> Line:
    systems = [(one.hypothesis, one.words.errors, one.runaway, one.reference) for one in (old, new) if one is not None]
    groups = dict(new.groups)
    if new.speaker is not None:
        groups.setdefault("speaker", new.speaker)
    return Line(id=new.id, reference=new.reference, systems=tuple(systems), groups=groups)


def _chosen(lines: Sequence[Sequence[Line]]) -> set[tuple[int, int]]:
    """The places of the lines there is most to see in."""
    places = [(line.weight, place, number) for place, found in enumerate(lines) for number, line in enumerate(found)]
    places.sort(key=lambda item: item[0], reverse=True)
    return {(place, number) for _, place, number in places[:MOST_UTTERANCES]}


def _system(shown: str, hypothesis: str, errors: int, runaway: bool, reference: str) -> list[Any]:
    """Of longer texts the beginnings of both are aligned: the rest is counted, not shown."""
    said, heard = reference.split(), hypothesis.split()
    own = [_shown(said)] if reference != shown else []  # of several references each system is counted against the one it came closest to
    return [_shown(heard), _steps(said[:MOST_WORDS], heard[:MOST_WORDS]), errors, int(runaway), *own]


def _steps(reference: Sequence[str], heard: Sequence[str]) -> str:
    return "".join(
        f"{STEPS[step.tag]}{max(step.src_end - step.src_start, step.dest_end - step.dest_start)}" for step in Levenshtein.opcodes(reference, heard)
    )


def _shown(words: Sequence[str]) -> str:
    """The words as the page gets them: one blank between, and no blank inside, as the script splits at them."""
    shown = " ".join(words[:MOST_WORDS])
    if len(shown) > MOST_WORDS:  # cheap test first: most lines are short
        shown = " ".join(_short(word) for word in words[:MOST_WORDS])
    return inert(shown)


def _short(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"
