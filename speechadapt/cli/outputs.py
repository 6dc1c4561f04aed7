"""The options of `score`, `compare`, `bench` and `report` for HTML, Markdown, CSV, JUnit and conditions that fail a build."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speechadapt.report.outputs import Wishes

EMBEDDED = 50


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that write a report into a file, and `--fail-if`."""
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write the report as one HTML file that needs nothing else")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write it as Markdown, for a model card or a pull request")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write the utterances as CSV, and the groups beside it as NAME.groups.csv")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also write it as JUnit XML, for continuous integration")
    add_condition_arguments(parser)


def add_condition_arguments(parser: argparse.ArgumentParser) -> None:
    """`--embed-audio`, `--fail-if` and `--fail-on-regression`."""
    parser.add_argument(
        "--embed-audio",
        type=int,
        nargs="?",
        const=EMBEDDED,
        default=0,
        metavar="N",
        help=f"put the sound of the N most telling utterances into the HTML (default when given: {EMBEDDED})",
    )
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="CONDITION",
        help='exit with 1 if it holds, such as "wer > 0.2" or "wer[accent=scottish] > 25%%"; may be repeated',
    )
    parser.add_argument("--fail-on-regression", action="store_true", help="exit with 1 if a set, guards too, got significantly worse")


def wanted_outputs(options: argparse.Namespace) -> "Wishes | None":
    """What was asked for, checked before anything is computed; None where nothing was.

    Raises:
        MisuseError: a condition cannot be read, or a number is out of range.
    """
    files = {name: getattr(options, name, None) for name in ("html", "markdown", "csv", "junit")}
    if not (any(files.values()) or options.fail_if or options.fail_on_regression or options.embed_audio):
        return None
    from speechadapt.errors import MisuseError
    from speechadapt.report.conditions import parse_condition
    from speechadapt.report.outputs import Wishes

    if not 0 <= options.embed_audio <= 10_000:
        raise MisuseError(f"--embed-audio {options.embed_audio}: must be from 0 to 10000. Correct the number.")
    if options.embed_audio and not files["html"]:
        raise MisuseError("--embed-audio without --html: there is no page to put the sound into. Give --html FILE.")
    conditions = tuple(parse_condition(text) for text in options.fail_if)
    return Wishes(**files, embed_audio=options.embed_audio, conditions=conditions, fail_on_regression=options.fail_on_regression)
