"""A leaderboard as text: tables for the terminal, Markdown for a page, CSV for a spreadsheet. Every figure comes from the records."""

import csv
import dataclasses
import io
from collections.abc import Sequence

from tabulate import tabulate

from speechadapt.bench.leaderboard import ALL, Leaderboard, Section, Standing, machine_notes
from speechadapt.score.phrases import percent, percent_range, plural, printable
from speechadapt.score.table import GroupTable, table_markdown, table_text
from speechadapt.units import clock

HEAD = ("rank", "system", "WER", "95 % interval", "CER", "RTF", "loading", "memory", "errors", "utterances")
COLUMNS = (
    *("manifest", "rank", "system", "kind", "wer", "ci95_low", "ci95_high", "cer", "real_time_factor", "load_seconds"),
    *("memory_bytes", "errors", "words", "utterances", "audio_seconds", "failure"),
)
RULE = "Systems share a rank unless one is significantly better (permutation test over speakers, Holm-corrected, 5 %)."
FEW_UNITS = "There are too few speakers to tell any two systems apart: see docs/decisions/0013-ranks.md."
LONGEST_CELL = 40
"""A longer failure stands in the notes alone."""
TOLD_FIELDS = ("accent",)
"""What the terminal shows groups of; the files show all that was asked for with --by."""


def leaderboard_text(board: Leaderboard, *, fields: Sequence[str] = TOLD_FIELDS) -> str:
    """For the terminal: a table per manifest, one over all of them, and groups × systems.

    Args:
        fields: the groups to show, of those that were scored.
    """
    parts = []
    for section in _sections(board):
        parts.append(f"{printable(_title(section))}\n\n{tabulate(_rows(section), headers=HEAD, disable_numparse=True)}")
        table = _only(section, fields)
        if table is not None and len(table.rows) > 1:
            parts.append(table_text(table).rstrip("\n"))
    notes = _notes(board)
    return "\n\n".join([*parts, RULE, *(["\n".join(map(printable, notes))] if notes else [])]) + "\n"


def leaderboard_markdown(board: Leaderboard) -> str:
    """For a page or a pull request."""
    parts = ["# Leaderboard"]
    for section in _sections(board):
        rows = [[_cell(value) for value in row] for row in _rows(section)]
        parts += [f"## {_cell(_title(section))}", tabulate(rows, headers=HEAD, tablefmt="github", disable_numparse=True)]
        if section.groups is not None and len(section.groups.rows) > 1:
            parts += ["### Groups", table_markdown(section.groups).rstrip("\n")]
    parts += [RULE, *(f"- {_cell(note)}" for note in _notes(board))]
    machine = board.provenance.get("machine", {})
    versions = ", ".join(f"{name} {version}" for name, version in board.provenance.get("packages", {}).items() if version)
    parts.append(f"Made {board.provenance.get('time')} on {_cell(str(machine.get('system')))}, {machine.get('cores')} cores, with {_cell(versions)}.")
    return "\n\n".join(parts) + "\n"


def leaderboard_csv(board: Leaderboard) -> str:
    """One line per system and manifest, rates as fractions; names that a spreadsheet would run as a formula begin with an apostrophe."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for section in _sections(board):
        for one in section.standings:
            low, high = one.interval.ends if one.interval else (None, None)
            row = [section.name, one.rank, one.system, one.kind, one.wer, low, high, one.cer, one.real_time_factor, one.load_seconds]
            row += [one.memory, one.errors, one.words, one.utterances, one.audio_seconds, one.failure]
            writer.writerow([_inert(value) if isinstance(value, str) else value for value in row])
    return file.getvalue()


def verdict(board: Leaderboard) -> list[str]:
    """Who is best, in sentences."""
    told = []
    for section in _sections(board)[-1:]:
        first = [one for one in section.standings if one.rank == 1]
        if len(first) == 1:
            told.append(
                f"{first[0].system} is best on {section.name}: WER {percent(first[0].wer)}, 95 % interval {percent_range(first[0].interval)}."
            )
        elif first:
            names = ", ".join(f"{one.system} ({percent(one.wer)})" for one in first)
            told.append(f"{plural(len(first), 'system')} share the first rank on {section.name}, none significantly better than another: {names}.")
    return told + [f"{result.system} has no score on {result.manifest}: {(result.failure or '').rstrip('.')}." for result in board.failures]


def section_grid(section: Section) -> tuple[str, tuple[str, ...], list[list[str]]]:
    """A section's title, head and rows as text, for a report."""
    return _title(section), HEAD, _rows(section)


def sections_of(board: Leaderboard) -> list[Section]:
    """The tables in the order they are read: over all manifests first, where there are several."""
    found = _sections(board)
    return found if len(found) == 1 else [found[-1], *found[:-1]]


def _sections(board: Leaderboard) -> list[Section]:
    return [*board.manifests, *([board.overall] if len(board.manifests) > 1 else [])]


def _title(section: Section) -> str:
    facts = section.facts
    if section.name == ALL:
        return "All manifests: means of the manifests' rates, which count alike"
    people = plural(facts["speakers"], "speaker") if facts.get("speakers") else "speakers unknown"
    return (
        f"{section.name}: {plural(facts['utterances'], 'utterance')}, {people}, {clock(facts['hours'] * 3600)}, "
        f"normalizer {facts['normalizer']}, version {facts['normalizer_version']}"
    )


def _rows(section: Section) -> list[list[str]]:
    return [_row(standing) for standing in section.standings]


def _row(one: Standing) -> list[str]:
    if one.rank is None:
        told = f"failed: {printable(one.failure or '')}"
        return ["-", printable(one.system), told if len(told) <= LONGEST_CELL else "failed", *["-"] * (len(HEAD) - 3)]
    return [
        str(one.rank),
        printable(one.system),
        percent(one.wer),
        percent_range(one.interval),
        percent(one.cer),
        "-" if one.real_time_factor is None else f"{one.real_time_factor:.3f}",
        "-" if one.load_seconds is None else clock(one.load_seconds),
        "-" if one.memory is None else _bytes(one.memory),
        str(one.errors),
        str(one.utterances),
    ]


def _bytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _only(section: Section, fields: Sequence[str]) -> GroupTable | None:
    if section.groups is None:
        return None
    kept = tuple(row for row in section.groups.rows if row.field in ("all", *fields))
    return dataclasses.replace(section.groups, rows=kept)


def _notes(board: Leaderboard) -> list[str]:
    """What must be known beside the tables, each once."""
    found: dict[str, list[str]] = {}
    for section in board.manifests:
        for one in section.standings:
            for note in one.notes:
                found.setdefault(note if len(board.manifests) == 1 else f"{section.name}: {note}", []).append(one.system)
    told = [f"{', '.join(systems)}: {note}" if len(systems) < len(board.systems) else note for note, systems in found.items()]
    for section in _sections(board):
        if section.pairs and not (_reachable(section, board) and any(pair.p_value is not None for pair in section.pairs)):
            told.append(FEW_UNITS if len(_sections(board)) == 1 else f"{section.name}: {FEW_UNITS}")
    for result in board.failures:
        last = result.last_lines[-1] if result.last_lines else ""
        # the message of an error is its last line as well
        more = f" Last line: {last}" if last and last.strip() not in (result.failure or "") else ""
        told.append(f"{result.system} failed on {result.manifest}: {(result.failure or '').rstrip('.')}. See {result.log}.{more}")
    return told + machine_notes(board.results)


def _reachable(section: Section, board: Leaderboard) -> bool:
    """Whether as many speakers can reach 5 % at all: with n of them p is at least 2 / 2**n, times the number of pairs after correction."""
    units = next((one.interval.units for one in section.standings if one.interval is not None), None)
    if units is None:  # no draws were asked for, or there is one unit alone
        parts = board.manifests if section.name == ALL else (section,)
        units = sum(part.facts["speakers"] or part.facts["utterances"] for part in parts)
    return units > 30 or 2 / 2**units * len(section.pairs) < 0.05


def _cell(text: str) -> str:
    """Text of strangers inside Markdown: no line may end, no table column, tag, link or picture may open."""
    return (
        printable(text)
        .replace("\\", "\\\\")
        .replace("|", "\\|")
        .replace("<", "&lt;")
        .replace("`", "'")
        .replace("*", "\\*")
        .replace("[", "\\[")
        .replace("]", "\\]")
    )


def _inert(text: str) -> str:
    clean = printable(text)
    return f"'{clean}" if clean[:1] in ("=", "+", "-", "@") else clean
