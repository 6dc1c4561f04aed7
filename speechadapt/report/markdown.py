"""Markdown: a document for a model card or a pull request: the verdict first, then tables."""

from collections.abc import Sequence

from tabulate import tabulate

from speechadapt.report.document import Document, ReportSet
from speechadapt.score.phrases import percent, percent_range, printable
from speechadapt.score.render import report_notes, run_markdown

MOST_GROUPS = 40
Row = Sequence[str]


def document_markdown(document: Document) -> str:
    """The document as GitHub's Markdown, safe against what stands in names."""
    entries = document.entries
    if entries and len(entries) == len(document.sets):
        return run_markdown(entries, title=document.title, notes=[f"{name}: {value}" for name, value in document.provenance])
    parts = [f"# {_cell(document.title)}", "\n".join(f"- {_cell(sentence)}" for sentence in document.sentences)]
    for table in document.tables:
        parts += [f"## {_cell(table.title)}", _table(table.rows, table.head), *([_cell(table.note)] if table.note else [])]
    rows = [row for one in document.sets for row in _rates(one)]
    parts.append(_table(rows, ["set", "WER", "95 % interval", "CER", "words", "errors", "subst.", "del.", "ins."]))
    for one in document.sets:
        parts += _groups(one, several=len(document.sets) > 1)
    if document.provenance:
        parts += ["## How it was made", "\n".join(f"- {_cell(name)}: {_cell(value)}" for name, value in document.provenance)]
    return "\n\n".join(parts) + "\n"


def _rates(one: ReportSet) -> list[Row]:
    if one.report is None:
        return []
    words = one.report.words
    counts = [words.reference_length, words.errors, words.substitutions, words.deletions, words.insertions]
    return [[one.name, percent(one.report.wer), percent_range(one.report.interval), percent(one.report.cer), *map(str, counts)]]


def _groups(one: ReportSet, *, several: bool) -> list[str]:
    if one.report is None:
        return []
    rows, more = [], []
    for field, found in one.report.groups.items():
        for value, group in list(found.items())[:MOST_GROUPS]:
            size = [str(group.utterances), str(group.speakers), str(group.words.reference_length)]
            rows.append([value, field, *size, percent(group.words.wer), percent(group.characters.wer)])
        if len(found) > MOST_GROUPS:
            more.append(f"{len(found) - MOST_GROUPS} more values of {_cell(field)} are in the CSV.")
    parts = [f"## {_cell(one.name)}"] if several else []
    if rows:
        parts.append(_table(rows, ["group", "field", "utterances", "speakers", "words", "WER", "CER"]))
    notes = [*more, *(_cell(note) for note in report_notes(one.report))]
    return [*parts, *(["\n".join(f"- {note}" for note in notes)] if notes else [])]


def _table(rows: Sequence[Row], head: Row) -> str:
    return tabulate([[_cell(cell) for cell in row] for row in rows], headers=[_cell(name) for name in head], tablefmt="github", disable_numparse=True)


def _cell(text: str) -> str:
    """Text of strangers inside Markdown: no line may end, no table column, tag, link or picture may open."""
    safe = printable(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
    return safe.replace("[", "\\[").replace("]", "\\]")
