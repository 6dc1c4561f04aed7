"""`speechadapt split`: a prepared corpus divided again, into one division or into folds, without touching audio."""

import argparse
import json
from pathlib import Path
from typing import Any

from speechadapt.cli.split_summary import render_coverage, render_fold_overlaps, render_overlap, render_size
from speechadapt.units import clock

EXAMPLE = """
speechadapt split data/mine data/mine-speaker --rule speaker --seed 7
speechadapt split data/mine data/mine-folds --rule leave-one-speaker-out
speechadapt split data/mine data/mine-five --rule k-fold --folds 5 --disjoint-sentences
speechadapt split data/mine data/mine-again --rule data/mine-speaker/splits
"""


SHOWN_NOTES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    from speechadapt.data.division import ONCE
    from speechadapt.data.folds import FOLDS, RULES
    from speechadapt.data.splits import DEV_SHARE, LONGEST, PLACES, SHORTEST, TEST_SHARE

    rules = ", ".join((*ONCE, *RULES))
    parser.add_argument("data", metavar="DATA", type=Path, help="a prepared folder, or one manifest")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for the manifests, or for folds/NAME with the manifests of each fold")
    parser.add_argument("--rule", required=True, metavar="RULE", help=f"{rules}, or a folder of split lists that is repeated")
    parser.add_argument("--folds", type=int, metavar="K", help=f"of k-fold (default {FOLDS})")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice (default 0); choose it before there is a score")
    parser.add_argument("--dev-share", type=float, default=DEV_SHARE, metavar="X", help="of the hours (default %(default)g)")
    parser.add_argument("--test-share", type=float, default=TEST_SHARE, metavar="X", help="of the hours, outside of folds (default %(default)g)")
    parser.add_argument("--few-speakers", choices=PLACES, default=PLACES[0], help="where accents with fewer than three speakers go (default train)")
    parser.add_argument("--min-duration", type=float, default=SHORTEST, metavar="S", help="seconds, for train and dev (default %(default)g)")
    parser.add_argument("--max-duration", type=float, default=LONGEST, metavar="S", help="seconds, for train and dev (default %(default)g)")
    parser.add_argument("--disjoint-sentences", action="store_true", help="in folds, train on no sentence of dev or test")
    parser.add_argument("--lists", type=Path, metavar="DIR", help="where the split lists go (default: OUT/splits)")
    parser.add_argument("--strict", action="store_true", help="refuse a division whose parts share anything")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def execute(options: argparse.Namespace) -> int:
    """Divide and print the report."""
    from speechadapt.data.division import DivideOptions, divide_again

    chosen = DivideOptions(
        rule=options.rule,
        folds=options.folds,
        seed=options.seed,
        dev_share=options.dev_share,
        test_share=options.test_share,
        few_speakers=options.few_speakers,
        min_duration=options.min_duration,
        max_duration=options.max_duration,
        disjoint_sentences=options.disjoint_sentences,
    )
    report = divide_again(options.data, options.out, chosen, lists=options.lists, strict=options.strict)
    print(json.dumps(report, ensure_ascii=False, indent=2) if options.json else render_report(report))
    return 0


def render_report(report: dict[str, Any]) -> str:
    """The report for a person: sizes, what was left out and why, what the parts share."""
    from tabulate import tabulate

    divisions = report["divisions"]
    folds = [one for one in divisions if one["name"]]
    if folds:
        rows = [[one["name"], _held_out(one["held_out"]), *(render_size(part) for part in one["parts"].values()), _left_out(one)] for one in folds]
        lines = [tabulate(rows, headers=["fold", "tested", "train", "dev", "test", "left out"], tablefmt="simple", disable_numparse=True), ""]
    else:
        rows = [
            [name, part["utterances"], clock(part["hours"] * 3600), part["speakers"] or "unknown"] for name, part in divisions[0]["parts"].items()
        ]
        lines = [tabulate(rows, headers=["split", "utterances", "audio", "speakers"], tablefmt="simple"), ""]
        lines += [f"  left out {count}: {reason}" for reason, count in divisions[0]["left_out"].items()]
    notes = [f"{one['name']}: {note}" if folds else f"  {note}" for one in divisions for note in one["notes"]]
    lines += notes[:SHOWN_NOTES] + ([f"and {len(notes) - SHOWN_NOTES} more notes in split_report.json"] if len(notes) > SHOWN_NOTES else [])
    if folds:
        lines += render_fold_overlaps([one["overlap"] for one in folds])
    else:
        lines += render_overlap(divisions[0]["overlap"]) + render_coverage(divisions[0]["coverage"])
    lines.append(f"written to {report['out']}, lists to {report['lists']}")
    return "\n".join(lines)


def _held_out(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _left_out(fold: dict[str, Any]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in fold["left_out"].items()) or "none"
