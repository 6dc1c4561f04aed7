"""`speechadapt runs`: run folders with their verdicts, and any two of them against each other."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speechadapt.history import RunComparison, RunRecord

EXAMPLE = """
speechadapt runs
speechadapt runs --runs experiments --json
speechadapt runs runs/small runs/large
"""
LONGEST_VALUE = 60
HEAD = ("run", "started (UTC)", "what", "base model", "set", "role", "base WER", "adapted WER", "change (points)", "verdict")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define what may follow `speechadapt runs`."""
    parser.add_argument("pair", nargs="*", type=Path, metavar="RUN", help="two run folders: the adapter of the second against that of the first")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where to look for runs (default: runs)")
    parser.add_argument("--json", action="store_true", help="a list of objects, each with a name; of two runs one object")


def execute(options: argparse.Namespace) -> int:
    """List, or compare: 1 if the second run is significantly worse on a test set."""
    from speechadapt.errors import MisuseError
    from speechadapt.history import compare_runs, find_runs
    from speechadapt.score.verdict import exit_code

    if len(options.pair) not in (0, 2):
        raise MisuseError(f"{len(options.pair)} run folder given, must be none (lists all) or two (compares them).")
    if options.pair:
        found = compare_runs(*options.pair)
        print(
            json.dumps(found.to_json(), ensure_ascii=False, indent=2) if options.json else _comparison_text(found), end="\n" if options.json else ""
        )
        return exit_code(found.sets)
    records = find_runs(options.runs)
    if options.json:
        print(json.dumps([one.to_json() for one in records], ensure_ascii=False, indent=2))
    else:
        print(_list_text(records))
    return 0


def _list_text(records: "list[RunRecord]") -> str:
    from tabulate import tabulate

    from speechadapt.score.phrases import percent, points, printable

    if not records:
        return "(no runs)"
    rows = []
    for record in records:
        head = [printable(record.name), (record.started or "unknown")[:16].replace("T", " "), printable(record.what), printable(record.base or "-")]
        for one in record.sets:
            found = one.comparison
            rates = [percent(found.base.wer), percent(found.adapted.wer), points(found.delta)]
            rows.append([*head, printable(one.name), one.role, *rates, found.verdict])
            head = ["", "", "", ""]
        if not record.sets:
            rows.append([*head, "-", "-", "-", "-", "-", record.state])
    text = tabulate(rows, headers=HEAD, disable_numparse=True)
    return "\n".join([text, *(f"{printable(one.name)}: {printable(one.problem)}" for one in records if one.problem)])


def _comparison_text(found: "RunComparison") -> str:
    from tabulate import tabulate

    from speechadapt.score.compare import UNDECIDED
    from speechadapt.score.phrases import percent, points, points_range, printable

    names = [printable(one.name) for one in (found.first, found.second)]
    rows = []
    for one in found.sets:
        inner = one.comparison
        rates = [percent(inner.base.wer), percent(inner.adapted.wer), points(inner.delta), points_range(inner.interval)]
        verdict = inner.verdict if inner.verdict == UNDECIDED else f"the second is {inner.verdict}"
        rows.append([printable(one.name), one.role, inner.utterances, inner.speakers or "unknown", *rates, verdict])
    head = ["set", "role", "utterances", "speakers", *names, "change (points)", "95 % interval", "verdict"]
    lines = [f"the adapter of {names[1]} against that of {names[0]}", "", tabulate(rows, headers=head, disable_numparse=True)]
    if found.settings:
        settings = [[name, printable(_told(then)), printable(_told(now))] for name, then, now in found.settings]
        lines += ["", tabulate(settings, headers=["setting that differs", *names], disable_numparse=True)]
    if found.unshared:
        lines += ["", *(f"not compared: {printable(name)}: {printable(reason)}" for name, reason in found.unshared)]
    return "\n".join(lines) + "\n"


def _told(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
