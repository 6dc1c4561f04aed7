"""GroupTable: groups down, systems across, each cell a WER with its interval; who serves whom best, for people, spreadsheets and programs."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from speechadapt.errors import ScoreError
from speechadapt.score.grouping import UNKNOWN_GROUP, sorted_labels
from speechadapt.score.intervals import RESAMPLES, Interval, rate_interval
from speechadapt.score.phrases import listed, percent, percent_range, printable
from speechadapt.score.report import ScoreReport
from speechadapt.score.utterances import ScoredUtterances

ALL = "all"
BEST, TIED = "*", "="
MOST_ROWS = 40
MANY_GROUPS, FEWER_RESAMPLES = 100, 1000
"""A field of more groups than this is resampled less often; 1,000 speakers and 5 systems would take minutes otherwise."""
COLUMNS = ("field", "group", "utterances", "speakers", "words", "system", "wer", "ci95_low", "ci95_high", "errors", "best", "tied")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TableCell:
    """One system on one group.

    Attributes:
        wer: a fraction. interval: its 95 % interval over speakers. errors: the count that `wer` comes from.
        best: it has the lowest WER of its row. tied: it is not the best, but cannot be told from it (the paired 95 % interval of the
            difference holds 0, or cannot be made).
    """

    wer: float
    interval: Interval | None
    errors: int
    best: bool
    tied: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One group. `field` and `value` are both "all" in the row of all utterances; `cells` has one cell per system, None where it has no report."""

    field: str
    value: str
    utterances: int
    speakers: int
    words: int
    cells: tuple[TableCell | None, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupTable:
    """Groups × systems on one manifest.

    Attributes:
        manifest, normalizer: what the systems share.
        systems: names, the order of the cells of each row.
        rows: all utterances first, then the groups by field, in the order of the report.
    """

    manifest: str
    normalizer: str
    systems: tuple[str, ...]
    rows: tuple[TableRow, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object: `systems`, and `rows` whose `cells` are keyed by system; `ci95` stands beside each interval's full record."""
        rows = []
        for row in self.rows:
            head = {"field": row.field, "value": row.value, "utterances": row.utterances, "speakers": row.speakers, "words": row.words}
            cells = {
                system: None if cell is None else {**dataclasses.asdict(cell), "ci95": cell.interval.ends if cell.interval else None}
                for system, cell in zip(self.systems, row.cells, strict=True)
            }
            rows.append({**head, "cells": cells})
        return {"manifest": self.manifest, "normalizer": self.normalizer, "systems": list(self.systems), "rows": rows}


def group_table(
    reports: Mapping[str, ScoreReport | None], fields: Sequence[str] | None = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> GroupTable:
    """Set several systems side by side, group by group.

    Args:
        reports: name and report of each system, in the order of the columns; None where a system gave nothing.
        fields: those to make rows of; None takes all that every report groups by. An empty list leaves the row of all utterances.
        resamples, seed: of the bootstrap over speakers; the same drawn speakers for every system of a row.

    Raises:
        ScoreError: no system has a report, or the reports differ in manifest, normalizer or counted utterances.
    """
    known = {name: report for name, report in reports.items() if report is not None}
    if not known:
        raise ScoreError(f"none of the systems {listed(tuple(reports))} has a report, so there is nothing to tabulate. Score one at least.")
    first = next(iter(known.values()))
    _check_alike(known)
    shared = [field for field in first.by if all(field in report.by for report in known.values())]
    wanted = shared if fields is None else list(fields)
    if unknown := [field for field in wanted if field not in shared]:
        raise ScoreError(f"no rows for {listed(unknown)}: the reports group by {', '.join(shared) or 'nothing'}. Score with --by.")
    columns = {name: ScoredUtterances.of(report.utterances) for name, report in known.items()}
    some = next(iter(columns.values()))
    speakers = list(some.speakers)
    rows = [_row(ALL, ALL, np.arange(len(some)), columns, speakers, tuple(reports), resamples, seed)]
    for field in wanted:
        if field not in some.groups:
            continue
        labels = some.groups[field]
        members = {name: np.flatnonzero(labels.codes == code) for code, name in enumerate(labels.names)}
        if len(unlabelled := np.flatnonzero(labels.codes < 0)):
            members[UNKNOWN_GROUP] = np.concatenate([members[UNKNOWN_GROUP], unlabelled]) if UNKNOWN_GROUP in members else unlabelled
        draws = resamples if len(members) <= MANY_GROUPS else min(resamples, FEWER_RESAMPLES)
        rows += [_row(field, value, members[value], columns, speakers, tuple(reports), draws, seed) for value in sorted_labels(members)]
    normalizer = f"{first.normalizer} {first.normalizer_version}"
    return GroupTable(manifest=first.manifest, normalizer=normalizer, systems=tuple(reports), rows=tuple(rows))


def table_text(table: GroupTable, *, most: int = MOST_ROWS) -> str:
    """The table for the terminal, with a line that explains its marks; at most `most` rows of each field."""
    rows, head = _rows(table, most)
    lines = [tabulate(rows, headers=head, disable_numparse=True)]
    lines += [f"({count - most} more values of {printable(field)})" for field, count in _sizes(table).items() if count > most]
    return "\n".join([*lines, *_legend(table)]) + "\n"


def table_markdown(table: GroupTable, *, most: int = MOST_ROWS) -> str:
    """The same as a table of GitHub's Markdown, safe against what stands in names."""
    rows, head = _rows(table, most)
    lines = [tabulate([list(map(_escaped, row)) for row in rows], headers=list(map(_escaped, head)), tablefmt="github", disable_numparse=True)]
    lines += [f"\n({count - most} more values of {_escaped(field)})" for field, count in _sizes(table).items() if count > most]
    return "\n".join([*lines, *("\n" + _escaped(line) for line in _legend(table))]) + "\n"


def table_csv(table: GroupTable) -> str:
    """The same as CSV, one line per cell, rates as fractions; a system without a report has empty figures.

    Names that a spreadsheet would run as a formula begin with an apostrophe (OWASP, CSV injection).
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in table.rows:
        for system, cell in zip(table.systems, row.cells, strict=True):
            head = [_inert(row.field), _inert(row.value), row.utterances, row.speakers, row.words, _inert(system)]
            if cell is None:
                writer.writerow([*head, "", "", "", "", "", ""])
                continue
            low, high = cell.interval.ends if cell.interval else ("", "")
            writer.writerow([*head, cell.wer, low, high, cell.errors, int(cell.best), int(cell.tied)])
    return file.getvalue()


def _check_alike(reports: Mapping[str, ScoreReport]) -> None:
    (name, first), *others = reports.items()
    for other_name, other in others:
        if first.fingerprint != other.fingerprint:
            raise ScoreError(
                f'"{name}" was scored on "{first.manifest}" (fingerprint {first.fingerprint[:12]}) and "{other_name}" on "{other.manifest}" '
                f"({other.fingerprint[:12]}): rates on different tests do not stand in one table. Score all systems on the same manifest."
            )
        one, two = (f"{report.normalizer} {report.normalizer_version}" for report in (first, other))
        if one != two:
            raise ScoreError(
                f'"{name}" was normalized with "{one}" and "{other_name}" with "{two}": their words are not the same words. '
                "Score all hypotheses again with one --normalizer."
            )
        if [utterance.id for utterance in first.utterances] != [utterance.id for utterance in other.utterances]:
            raise ScoreError(
                f'"{name}" counted {len(first.utterances)} utterances and "{other_name}" {len(other.utterances)}, and not the same ones in the same '
                "order. One of the reports was changed by hand: score both again."
            )


def _row(
    field: str,
    value: str,
    places: NDArray[np.int64],
    columns: Mapping[str, ScoredUtterances],
    speakers: Sequence[str | None],
    systems: tuple[str, ...],
    resamples: int,
    seed: int,
) -> TableRow:
    """One group. Words are each system's own: where there are several references, each was counted on the one it came nearest to."""
    people = [speakers[place] for place in places.tolist()]
    errors = {name: column.word_errors[places] for name, column in columns.items()}
    words = {name: column.reference_words[places] for name, column in columns.items()}
    rates = {name: int(errors[name].sum()) / int(words[name].sum()) for name in columns if words[name].sum()}
    cells: dict[str, TableCell] = {}
    if rates:
        lowest = min(rates.values())
        best = next(name for name, rate in rates.items() if rate == lowest)
        for name, rate in rates.items():
            interval = rate_interval(errors[name].tolist(), words[name].tolist(), people, resamples=resamples, seed=seed)
            tied = False
            if rate != lowest:
                difference = (errors[name] - errors[best]).tolist()
                paired = rate_interval(difference, words[best].tolist(), people, resamples=resamples, seed=seed)
                tied = paired is None or not paired.excludes_zero
            shown = None if interval is None else dataclasses.replace(interval, low=max(0.0, interval.low))
            cells[name] = TableCell(wer=rate, interval=shown, errors=int(errors[name].sum()), best=rate == lowest, tied=tied)
    return TableRow(
        field=field,
        value=value,
        utterances=len(people),
        speakers=len(set(people) - {None}),
        words=int(next(iter(words.values())).sum()),
        cells=tuple(cells.get(name) for name in systems),
    )


def _sizes(table: GroupTable) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for row in table.rows[1:]:
        sizes[row.field] = sizes.get(row.field, 0) + 1
    return sizes


def _rows(table: GroupTable, most: int) -> tuple[list[list[str]], list[str]]:
    seen: dict[str, int] = {}
    rows = []
    for number, row in enumerate(table.rows):
        if number:
            seen[row.field] = seen.get(row.field, 0) + 1
            if seen[row.field] > most:
                continue
        head = [printable(row.field), printable(row.value)] if number else [ALL, ""]
        rows.append([*head, str(row.speakers) if row.speakers else "unknown", str(row.words), *map(_shown, row.cells)])
    return rows, ["group", "", "speakers", "words", *map(printable, table.systems)]


def _shown(cell: TableCell | None) -> str:
    if cell is None:
        return "-"
    mark = BEST if cell.best else TIED if cell.tied else ""
    return f"{percent(cell.wer)}{mark} ({percent_range(cell.interval)})" if cell.interval else f"{percent(cell.wer)}{mark}"


def _legend(table: GroupTable) -> list[str]:
    if len(table.systems) < 2:
        return []
    return [f"WER (95 % interval over speakers). {BEST} lowest of its row; {TIED} cannot be told from the lowest (paired interval)."]


def _escaped(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'").replace("*", "\\*").replace("](", "]\\(")


def _inert(text: str) -> str:
    clean = printable(text)
    return f"'{clean}" if clean[:1] in ("=", "+", "-", "@") else clean
