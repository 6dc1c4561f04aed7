"""`speechadapt score`: word error rate of hypotheses against references, with an interval over speakers."""

import argparse
import json
from pathlib import Path

from speechadapt.cli.outputs import add_output_arguments, wanted_outputs
from speechadapt.cli.scoring import HYPOTHESES_HELP, REFERENCES_HELP, add_scoring_arguments, choose, read_test, score_file

EXAMPLE = """
speechadapt score data/test.jsonl hypotheses.jsonl
speechadapt score data/test.jsonl hypotheses.jsonl --normalizer basic:sw --by accent,l1 --json
speechadapt score data/test.jsonl hypotheses.jsonl --out report.json
speechadapt score data/test.jsonl hypotheses.jsonl --html report.html --fail-if "wer > 0.2"
speechadapt score data/test.jsonl hypotheses.jsonl --by length,speaking_rate --mistakes
speechadapt score test.stm system.ctm
speechadapt score test.stm system.ctm --alternatives --alignment nist
speechadapt score kaldi/data/test/text decoded.txt --normalizer basic
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `score`."""
    parser.add_argument("references", metavar="REFS", type=Path, help=REFERENCES_HELP)
    parser.add_argument("hypotheses", metavar="HYPS", type=Path, help=HYPOTHESES_HELP)
    parser.add_argument("--system", help="a name for the system (default: the file name of HYPS)")
    add_scoring_arguments(parser)
    add_output_arguments(parser)


def execute(options: argparse.Namespace) -> int:
    """Run `score`: 1 if a condition of --fail-if holds, else 0."""
    from speechadapt.files import write_json
    from speechadapt.score.gap import find_gaps
    from speechadapt.score.mistakes import find_mistakes
    from speechadapt.score.render import report_text
    from speechadapt.score.render_mistakes import mistakes_text

    wishes = wanted_outputs(options)
    test = read_test(options)
    system = options.system or options.hypotheses.stem
    report = score_file(options.hypotheses, test, options, system=system, normalizer=choose(options, test))
    if options.out or options.json:
        gaps = [gap.to_json() for gap in find_gaps(report, resamples=options.resamples, seed=options.seed)]
        told = {"mistakes": find_mistakes(report, most=options.mistakes).to_json()} if options.mistakes else {}
        row = {**report.to_json(), "gaps": gaps, **told}
        if options.out:
            write_json(options.out, row)
    if options.json:
        print(json.dumps(row, ensure_ascii=False, indent=2))
    else:
        print(report_text(report), end="")
        if options.mistakes:
            print("\n" + mistakes_text(find_mistakes(report, most=options.mistakes), most=options.mistakes), end="")
    if wishes is None:
        return 0
    from speechadapt.report.document import report_document
    from speechadapt.report.outputs import write_outputs

    return write_outputs(report_document(report), wishes)
