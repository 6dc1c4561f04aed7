"""CSV: the utterances, and the groups, of a document for spreadsheets and scripts."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from speechadapt.report.document import Document, ReportSet
from speechadapt.score.counts import ErrorCounts
from speechadapt.score.intervals import Interval

COUNTS = ("hits", "substitutions", "deletions", "insertions")
UTTERANCE_HEAD = ("set", "role", "system", "id", "speaker", "reference", "hypothesis", "words", "errors", *COUNTS, "wer", "cer", "change", "runaway")
GROUP_HEAD = (
    "set",
    "role",
    "field",
    "group",
    "utterances",
    "speakers",
    "words",
    "wer",
    "wer_low",
    "wer_high",
    "cer",
    "base_wer",
    "delta",
    "delta_low",
    "delta_high",
    "verdict",
)
FORMULA = re.compile(r"^[=+\-@\t\r\n]")
NUMBER = re.compile(r"^[-+]?\d+(\.\d+)?([eE][-+]?\d+)?$")
Cell = str | int | float | None


def utterances_csv(document: Document) -> str:
    """One line per utterance and system, and a column for every field that is grouped by; rates are fractions, empty where there is none.

    `change` is the errors more than the base's. Of a comparison alone, the utterances whose errors changed.
    """
    fields = tuple(dict.fromkeys(field for one in document.sets for report in (one.report,) if report for field in report.by if field != "speaker"))
    rows: list[Sequence[Cell]] = []
    for one in document.sets:
        if one.report is None:
            rows += _changes(one, len(fields))
            continue
        before = {utterance.id: utterance.words.errors for utterance in one.base.utterances} if one.base else {}
        for report, system in ((one.base, "base"), (one.report, "adapted" if one.entry else one.report.system)):
            for utterance in report.utterances if report else ():
                words, groups = utterance.words, utterance.groups
                change = words.errors - before[utterance.id] if report is one.report and utterance.id in before else None
                head = [one.name, one.role, system, utterance.id, utterance.speaker, utterance.reference, utterance.hypothesis]
                figures = [words.wer, utterance.characters.wer, change, int(utterance.runaway)]
                rows.append([*head, words.reference_length, words.errors, *_counts(words), *figures, *(groups.get(field) for field in fields)])
    return _written([*UTTERANCE_HEAD, *fields], rows)


def groups_csv(document: Document) -> str:
    """One line per set and per group of it (`field` and `group` are empty for the whole set); rates are fractions, empty where there is none."""
    rows: list[Sequence[Cell]] = []
    for one in document.sets:
        found, report = one.comparison, one.report
        if found is not None:
            head: list[Cell] = [one.name, one.role]
            change = [found.base.wer, found.delta, *_ends(found.interval), found.verdict]
            rates = [found.adapted.words, found.adapted.wer, *_ends(found.adapted.interval), found.adapted.cer]
            rows.append([*head, "", "", found.utterances, found.speakers, *rates, *change])
            cers = (
                {(field, value): group.characters.wer for field, groups in report.groups.items() for value, group in groups.items()} if report else {}
            )
            for group in found.groups:
                rates = [group.words, group.adapted, *_ends(group.adapted_interval), cers.get((group.field, group.value))]
                change = [group.base, group.delta, *_ends(group.interval), group.verdict]
                rows.append([*head, group.field, group.value, group.utterances, group.speakers, *rates, *change])
        elif report is not None:
            nothing: list[Cell] = [None] * 5
            whole = [report.words.reference_length, report.wer, *_ends(report.interval), report.cer]
            rows.append([one.name, one.role, "", "", len(report.utterances), report.speakers, *whole, *nothing])
            for field, groups in report.groups.items():
                for value, scored in groups.items():
                    size = [scored.utterances, scored.speakers, scored.words.reference_length]
                    rows.append([one.name, one.role, field, value, *size, scored.words.wer, None, None, scored.characters.wer, *nothing])
    return _written(GROUP_HEAD, rows)


def _changes(one: ReportSet, fields: int) -> list[Sequence[Cell]]:
    rows: list[Sequence[Cell]] = []
    found = one.comparison
    for change in (*found.improvements, *found.regressions) if found else ():
        words = len(change.reference.split())
        for system, heard, errors in (("base", change.base, change.base_errors), ("adapted", change.adapted, change.adapted_errors)):
            more = errors - change.base_errors if system == "adapted" else None
            head: list[Cell] = [one.name, one.role, system, change.id, None, change.reference, heard, words, errors]
            rows.append([*head, *[None] * 4, errors / words if words else None, None, more, None, *[None] * fields])
    return rows


def _counts(counts: ErrorCounts) -> list[int]:
    return [getattr(counts, name) for name in COUNTS]


def _ends(interval: Interval | None) -> list[Cell]:
    return [interval.low, interval.high] if interval else [None, None]


def _written(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([_cell(name) for name in head])
    writer.writerows([[_cell(cell) for cell in row] for row in rows])
    return file.getvalue()


def _cell(value: Cell) -> Cell:
    """Text that a spreadsheet would run as a formula begins with an apostrophe (OWASP, CSV injection); lone surrogates cannot be written."""
    if not isinstance(value, str):
        return "" if value is None else value
    text = value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return f"'{text}" if FORMULA.match(text) and not NUMBER.match(text) else text
