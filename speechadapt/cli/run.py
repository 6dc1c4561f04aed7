"""`speechadapt run`: a whole recipe into a run folder."""

import argparse
from pathlib import Path

EXAMPLE = """
speechadapt run quickstart
speechadapt run mandarin_english --set DATA=data/speechocean762 --set TRAIN.epochs=3 --out runs/so762
speechadapt run my_accent.py --set BASE=openai/whisper-small.en --out runs/small --resume
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define what may follow `speechadapt run`."""
    parser.add_argument("recipe", metavar="RECIPE", help="a name from `speechadapt ls recipes`, or a Python file")
    parser.add_argument(
        "--set",
        dest="assignments",
        action="append",
        default=[],
        metavar="NAME=value",
        help="replace a setting of the recipe, or a field of one (TRAIN.steps=200); may be repeated",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default: runs/ and the recipe's name)")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was interrupted; what is finished is not made again")
    parser.add_argument("--json", action="store_true", help="print comparison.json instead of the table")


def execute(options: argparse.Namespace) -> int:
    """Run, print the verdict, and leave with 1 if a test set got significantly worse."""
    from speechadapt.cli.verdict import print_verdict
    from speechadapt.recipe import recipe_path, run_recipe

    path = recipe_path(options.recipe)
    run, verdict = run_recipe(path, assignments=options.assignments, out=options.out or Path("runs") / path.stem, resume=options.resume)
    return print_verdict(run, verdict, as_json=options.json)
