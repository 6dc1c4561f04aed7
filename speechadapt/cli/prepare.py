"""`speechadapt prepare`: a corpus on disk becomes manifests and 16 kHz audio."""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechadapt.bundled import bundled_names, load_bundled, load_script
from speechadapt.cli.split_summary import render_coverage, render_overlap
from speechadapt.errors import MisuseError
from speechadapt.units import clock

if TYPE_CHECKING:
    from speechadapt.preparation import PrepareOptions, PrepReport

EXAMPLE = """
speechadapt prepare speechocean762 ~/corpora/speechocean762 data/so762
speechadapt prepare table lines.csv data/mine --splits speaker
speechadapt prepare table lines.csv data/again --splits data/mine/splits
speechadapt prepare table lines.csv data/mine --set audio_column=clip --set text_column=sentence
speechadapt prepare kaldi ~/corpora/mine/data/train data/mine --dry-run
speechadapt prepare common_voice ~/corpora/cv-corpus-17.0-2024-03-15/en data/cv --resume
speechadapt prepare common_voice /shared/cv-corpus-17.0-2024-03-15/en /shared/data/cv --engine ray --ray-address 10.0.0.1:6379
speechadapt prepare synthetic_english mandarin:0.8 data/simulated
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("corpus", metavar="CORPUS", help=f"{', '.join(bundled_names('data_prep'))}, or the path of a preparation script of your own")
    parser.add_argument("source", metavar="SRC", help="the corpus' folder; for table a file; for synthetic_english ACCENT[:STRENGTH]")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for manifests, audio/, corpus.json and prep_report.json")
    parser.add_argument("--case", help="of the text: lower, sentence or keep (default: the corpus' own choice)")
    parser.add_argument(
        "--splits", help="official, speaker, speaker+sentence, or a folder of split lists (default: official ones where the corpus has them)"
    )
    parser.add_argument("--dev-share", type=float, metavar="X", help="of the hours, where this program divides (default 0.1)")
    parser.add_argument("--test-share", type=float, metavar="X", help="of the hours, where this program divides (default 0.1)")
    parser.add_argument("--few-speakers", help="train or test: where accents with fewer than three speakers go (default train)")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice (default 0)")
    parser.add_argument("--jobs", type=int, metavar="N", help="workers at a time (default: every core of this machine, or of the cluster)")
    parser.add_argument("--engine", default="local", help="local: processes of this machine (default); ray: a Ray cluster, or a Ray of this machine")
    parser.add_argument("--ray-address", metavar="HOST:PORT", help="of a running Ray cluster (default: the variable RAY_ADDRESS)")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run in OUT, nothing done twice")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N rows, spread over the corpus")
    parser.add_argument("--dry-run", action="store_true", help="read lists and audio headers, report, write nothing")
    parser.add_argument("--strict", action="store_true", help="refuse when a row is defective or splits share anything")
    parser.add_argument("--in-place", action="store_true", help="leave the audio where it is and point to it")
    parser.add_argument("--min-duration", type=float, metavar="S", help="seconds, for train and dev (default 0.3)")
    parser.add_argument("--max-duration", type=float, metavar="S", help="seconds, for train and dev (default 30)")
    parser.add_argument("--allow-missing", action="store_true", help="go on although more than 5%% of the rows have no usable audio")
    parser.add_argument("--accent-map", type=Path, metavar="FILE", help='JSON: {"label as published": "slug"}')
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="NAME=value", help="a setting of this corpus; may be repeated")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def execute(options: argparse.Namespace) -> int:
    """Prepare and print the report."""
    from speechadapt.preparation import read_settings

    script = load_script(Path(options.corpus), "data_prep") if options.corpus.endswith(".py") else load_bundled("data_prep", options.corpus)
    arguments: list[Any] = [options.source, options.out, _prepare_options(options)]
    if hasattr(script, "Settings"):
        arguments.append(read_settings(script.Settings, options.settings))
    elif options.settings:
        raise MisuseError(f'--set "{options.settings[0]}": {options.corpus} has no settings. Leave it out.')
    report: PrepReport = script.prepare(*arguments)
    print(json.dumps(report.to_json(), ensure_ascii=False, indent=2) if options.json else render_report(report))
    return 0


def _prepare_options(options: argparse.Namespace) -> "PrepareOptions":
    from speechadapt.preparation import PrepareOptions, read_accent_map

    address = options.ray_address or (os.environ.get("RAY_ADDRESS") if options.engine == "ray" else None) or None
    given = {name: value for name in ("dev_share", "test_share", "few_speakers") if (value := getattr(options, name)) is not None}
    return PrepareOptions(
        case=options.case,
        splits=options.splits,
        seed=options.seed,
        jobs=options.jobs,
        engine=options.engine,
        ray_address=address,
        resume=options.resume,
        settings=tuple(options.settings),
        limit=options.limit,
        dry_run=options.dry_run,
        strict=options.strict,
        in_place=options.in_place,
        min_duration=options.min_duration,
        max_duration=options.max_duration,
        allow_missing=options.allow_missing,
        accent_map=read_accent_map(options.accent_map) if options.accent_map is not None else {},
        **given,
    )


def render_report(report: "PrepReport") -> str:
    """The report for a person: what was kept, what was lost and why, what the splits share."""
    from tabulate import tabulate

    rows = [[name, part["utterances"], clock(part["hours"] * 3600), part["speakers"] or "unknown"] for name, part in report.splits.items()]
    lines = [tabulate(rows, headers=["split", "utterances", "audio", "speakers"], tablefmt="simple"), ""]
    lines.append(f"{report.kept} of {report.rows_read} rows kept" + (f", {report.not_chosen} not chosen (--limit)" if report.not_chosen else ""))
    for reason, count in report.defects.items():
        lines.append(f"  dropped {count} {reason}: {report.dropped_examples[reason][0]}")
    for reason, count in report.by_choice.items():
        lines.append(f"  left out {count} {reason}: {report.dropped_examples[reason][-1]}")
    lines += [f"  repaired {count}: {what}" for what, count in report.repairs.items()]
    lines += [f"  warning: {count} rows {flag}" for flag, count in report.warnings.items()]
    lines += [f"  {name.replace('_', ' ')}: {value}" for name, value in report.facts.items()]
    lines += [f"  {note}" for note in report.notes]
    lines += render_overlap(report.overlap)
    lines += render_coverage(report.coverage)
    lines.append(f"license: {report.corpus.license}; commercial use: {report.corpus.commercial_use}")
    lines.append(f"written to {report.out} in {clock(report.seconds)}" if report.out else "dry run: nothing was written")
    return "\n".join(lines)
