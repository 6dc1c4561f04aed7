"""`speechadapt score`: word error rate of hypotheses against references, with an interval over speakers."""

import argparse
import json
from pathlib import Path

EXAMPLE = """
speechadapt score data/test.jsonl hypotheses.jsonl
speechadapt score data/test.jsonl hypotheses.jsonl --normalizer basic:sw --by accent,l1 --json
speechadapt score data/test.jsonl hypotheses.jsonl --out report.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `score`."""
    parser.add_argument("references", metavar="REFS", type=Path, help="the manifest: JSON Lines with id, audio_filepath, duration, text")
    parser.add_argument("hypotheses", metavar="HYPS", type=Path, help="JSON Lines with id and text (or pred_text), joined to REFS by id")
    parser.add_argument("--system", help="a name for the system (default: the file name of HYPS)")
    add_scoring_arguments(parser)


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that `score` and `compare` share."""
    parser.add_argument("--normalizer", default="english", help="raw, basic, basic:LANGUAGE or english (default: english)")
    parser.add_argument("--by", default="accent,speaker,gender,age", help="fields to group by, or keys of meta (default: accent,speaker,gender,age)")
    parser.add_argument("--missing-as-empty", action="store_true", help="count utterances without a hypothesis as empty instead of refusing")
    parser.add_argument("--resamples", type=int, default=10_000, help="draws of the bootstrap over speakers (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the JSON to a file")


def execute(options: argparse.Namespace) -> int:
    """Run `score`: 0 when it is done."""
    from speechadapt.data.hypothesis import read_hypotheses
    from speechadapt.data.manifest import Manifest
    from speechadapt.score.render import report_text
    from speechadapt.score.report import score

    report = score(
        Manifest.read(options.references),
        read_hypotheses(options.hypotheses),
        system=options.system or options.hypotheses.stem,
        normalizer=options.normalizer,
        by=fields_of(options.by),
        manifest_path=options.references,
        missing_as_empty=options.missing_as_empty,
        resamples=options.resamples,
        seed=options.seed,
    )
    if options.out:
        report.write(options.out)
    print(json.dumps(report.to_json(), ensure_ascii=False, indent=2) if options.json else report_text(report), end="\n" if options.json else "")
    return 0


def fields_of(text: str) -> tuple[str, ...]:
    """The fields of `--by`, in the order given, each once."""
    return tuple(dict.fromkeys(field.strip() for field in text.split(",") if field.strip()))
