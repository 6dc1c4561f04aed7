"""`speechadapt bench`: any recognizers on any manifests, side by side, and a leaderboard."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from speechadapt.cli.outputs import add_output_arguments, wanted_outputs
from speechadapt.cli.scoring import fields_of

if TYPE_CHECKING:
    from speechadapt.bench.leaderboard import Leaderboard
    from speechadapt.bench.matrix import Matrix
    from speechadapt.report.document import Document

EXAMPLE = """
speechadapt bench bench.toml --out benchmarks/accents
speechadapt bench bench.toml --out benchmarks/accents --again fast --html benchmarks/accents/report.html
speechadapt bench --out bench --manifest data/test.jsonl --system base=openai/whisper-tiny.en --system fast=faster-whisper:models/tiny,beam=5
speechadapt bench --out bench --manifest data/test.jsonl --system 'mine=command:./recognize {audio}' --system old=hypotheses:old.jsonl
speechadapt bench bench.toml --out bench --json --fail-if "wer > 0.3"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `bench`."""
    parser.add_argument("file", metavar="BENCH.toml", type=Path, nargs="?", help="which systems and manifests; it may name commands, which are run")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the result; what is there already is not decoded again")
    parser.add_argument(
        "--system",
        metavar="NAME=KIND:WHAT",
        action="append",
        default=[],
        help="instead of a file; kinds: transformers (default), faster-whisper, onnx, http, command, hypotheses; settings follow as ,key=value",
    )
    parser.add_argument("--manifest", metavar="[NAME=]M", action="append", default=[], help="instead of a file; may be repeated")
    parser.add_argument("--normalizer", help="the same for all systems and manifests (default: by each manifest's language)")
    parser.add_argument("--by", help="fields to group by, or keys of meta (default: accent,speaker,gender,age)")
    parser.add_argument("--threads", type=int, metavar="N", help="for the computations of each system (default: what each takes)")
    parser.add_argument("--again", metavar="NAME", action="append", default=[], help="throw away what this system said and decode anew")
    parser.add_argument("--resamples", type=int, default=10_000, help="draws of the bootstrap over speakers (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    add_output_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """Run `bench`: 1 if a system failed or a condition of --fail-if holds, else 0."""
    import sys

    from speechadapt.bench.render import leaderboard_text
    from speechadapt.bench.run import run_bench

    wishes = wanted_outputs(options)
    matrix = _matrix(options)
    board = run_bench(matrix, options.out, again=options.again, resamples=options.resamples, seed=options.seed)
    cells = len(board.results)
    if not board.decoded:
        print(f"Nothing was decoded: all {cells} results were there already. Use --again NAME to measure a system anew.", file=sys.stderr)
    elif board.decoded < cells:
        print(f"{cells - board.decoded} of {cells} results were there already.", file=sys.stderr)
    if options.json:
        print(json.dumps(board.to_json(), ensure_ascii=False, indent=2))
    else:
        print(leaderboard_text(board, fields=fields_of(options.by) if options.by else ("accent",)), end="")
    print(f"leaderboard.json, .md and .csv: {options.out}", file=sys.stderr)
    code = 1 if board.failures else 0
    if wishes is not None:
        from speechadapt.report.outputs import write_outputs

        sys.stdout.flush()
        code = max(code, write_outputs(_document(board), wishes))
    return code


def _matrix(options: argparse.Namespace) -> "Matrix":
    import dataclasses

    from speechadapt.bench.matrix import matrix_from_flags, read_matrix
    from speechadapt.errors import MisuseError
    from speechadapt.score.report import DEFAULT_GROUPS
    from speechadapt.text.normalize import get_normalizer

    if options.resamples < 0:
        raise MisuseError(f"--resamples {options.resamples}: must be 0 (no interval) or more. Correct the number.")
    if options.file is None:
        by = fields_of(options.by) if options.by is not None else DEFAULT_GROUPS
        return matrix_from_flags(options.system, options.manifest, normalizer=options.normalizer, by=by, threads=options.threads)
    if options.system or options.manifest:
        raise MisuseError(f"--system and --manifest stand in place of a file, and {options.file} was given as well. Leave one of them out.")
    matrix = read_matrix(options.file)
    if options.normalizer is not None:
        get_normalizer(options.normalizer)
        manifests = tuple(dataclasses.replace(one, normalizer=options.normalizer) for one in matrix.manifests)
        matrix = dataclasses.replace(matrix, manifests=manifests)
    if options.by is not None:
        matrix = dataclasses.replace(matrix, by=fields_of(options.by))
    if options.threads is not None:
        if options.threads < 1:
            raise MisuseError(f"--threads {options.threads}: must be 1 or more. Correct the number.")
        matrix = dataclasses.replace(matrix, threads=options.threads)
    return matrix


def _document(board: "Leaderboard") -> "Document":
    """The leaderboard and every score in it, for a report."""
    from speechadapt.bench.render import RULE, section_grid, sections_of, verdict
    from speechadapt.report.document import Table, reports_document

    tables = []
    for section in sections_of(board):
        title, head, rows = section_grid(section)
        tables.append(Table(title=title, head=tuple(head), rows=tuple(tuple(row) for row in rows), note=RULE))
    failures = [(result.system, result.manifest, result.failure or "failed") for result in board.failures]
    return reports_document(board.reports, title="Leaderboard", tables=tables, verdict=verdict(board), failures=failures)
