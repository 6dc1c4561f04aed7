"""`speechadapt report`: a run, a score or a comparison as HTML, Markdown, CSV, JSON or JUnit XML."""

import argparse
import json
import sys
from pathlib import Path

from speechadapt.cli.outputs import add_condition_arguments

EXAMPLE = """
speechadapt report runs/quickstart
speechadapt report runs/quickstart --html report.html --embed-audio 20
speechadapt report report.json --markdown > score.md
speechadapt report runs/quickstart/comparison.json --junit results.xml --fail-if "wer > 0.2"
speechadapt report --schema comparison
"""
PRINTED = Path("-")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `report`."""
    parser.add_argument("source", metavar="RUN|FILE", type=Path, nargs="?", help="a run folder, or the JSON of score --out or compare --out")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the HTML here (with no other output: report.html in RUN, or beside FILE)")
    for name, what in (("markdown", "Markdown"), ("csv", "CSV of the utterances (and of the groups, as NAME.groups.csv)"), ("junit", "JUnit XML")):
        parser.add_argument(f"--{name}", type=Path, nargs="?", const=PRINTED, metavar="FILE", help=f"write {what}; printed without FILE")
    parser.add_argument("--json", action="store_true", help="print what was read as JSON")
    parser.add_argument("--schema", choices=("report", "comparison"), help="print the JSON schema of reports or of comparisons, and do nothing else")
    add_condition_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """Run `report`: 1 if a condition failed, else 0."""
    import dataclasses

    from speechadapt.cli.outputs import wanted_outputs
    from speechadapt.errors import MisuseError
    from speechadapt.report.document import read_document
    from speechadapt.report.outputs import Wishes, write_outputs
    from speechadapt.report.schema import read_schema
    from speechadapt.score.phrases import printable

    if options.schema:
        print(json.dumps(read_schema(options.schema), indent=2))
        return 0
    source, files = _source(options)
    printed = [name for name, path in files.items() if path == PRINTED] + (["json"] if options.json else [])
    if len(printed) > 1:
        raise MisuseError(f"{' and '.join(f'--{name}' for name in printed)} would be printed into each other. Give them files.")
    silent = any(files.values()) or options.json
    if not silent:
        files["html"] = source / "report.html" if source.is_dir() else source.with_suffix(".html")
    options = argparse.Namespace(**{**vars(options), **files})
    wishes = wanted_outputs(options) or Wishes()
    document = read_document(source)
    code = write_outputs(document, dataclasses.replace(wishes))
    if options.json:
        print(json.dumps(document.to_json(), ensure_ascii=False, indent=2))
    elif not printed:
        print("\n".join(map(printable, document.sentences)))
    sys.stdout.flush()
    return code


def _source(options: argparse.Namespace) -> "tuple[Path, dict[str, Path | None]]":
    """The source and the files; `--markdown RUN` may have taken the only thing that can be the source."""
    from speechadapt.errors import MisuseError

    files = {name: getattr(options, name) for name in ("html", "markdown", "csv", "junit")}
    if options.source is not None:
        return options.source, files
    taken = [name for name in ("markdown", "csv", "junit") if files[name] not in (None, PRINTED)]
    if len(taken) == 1 and (files[taken[0]].is_dir() or files[taken[0]].suffix == ".json"):
        return files[taken[0]], {**files, taken[0]: PRINTED}
    raise MisuseError("nothing to report on. Give a run folder, or the JSON of score --out or compare --out, before the options.")
