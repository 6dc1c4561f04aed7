"""`speechadapt score`: word error rate of hypotheses against references, with an interval over speakers."""

import argparse
import json
from pathlib import Path

from speechadapt.cli.scoring import HYPOTHESES_HELP, REFERENCES_HELP, add_scoring_arguments, read_test, score_file

EXAMPLE = """
speechadapt score data/test.jsonl hypotheses.jsonl
speechadapt score data/test.jsonl hypotheses.jsonl --normalizer basic:sw --by accent,l1 --json
speechadapt score data/test.jsonl hypotheses.jsonl --out report.json
speechadapt score test.stm system.ctm
speechadapt score kaldi/data/test/text decoded.txt --normalizer basic
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `score`."""
    parser.add_argument("references", metavar="REFS", type=Path, help=REFERENCES_HELP)
    parser.add_argument("hypotheses", metavar="HYPS", type=Path, help=HYPOTHESES_HELP)
    parser.add_argument("--system", help="a name for the system (default: the file name of HYPS)")
    add_scoring_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """Run `score`: 0 when it is done."""
    from speechadapt.score.render import report_text

    report = score_file(options.hypotheses, read_test(options), options, system=options.system or options.hypotheses.stem)
    if options.out:
        report.write(options.out)
    print(json.dumps(report.to_json(), ensure_ascii=False, indent=2) if options.json else report_text(report), end="\n" if options.json else "")
    return 0
