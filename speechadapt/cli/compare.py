"""`speechadapt compare`: two systems on the same test set, and the verdict."""

import argparse
import json
from pathlib import Path

from speechadapt.cli.outputs import add_output_arguments, wanted_outputs
from speechadapt.cli.scoring import HYPOTHESES_HELP, REFERENCES_HELP, add_scoring_arguments, choose, read_test, score_file

EXAMPLE = """
speechadapt compare data/test.jsonl base.jsonl adapted.jsonl
speechadapt compare data/test.jsonl base.jsonl adapted.jsonl --by accent,l1 --plot wer.png
speechadapt compare data/test.jsonl base.jsonl adapted.jsonl --interval bca --detect 2
speechadapt compare data/test.jsonl base.jsonl adapted.jsonl --by accent,length --mistakes 5
speechadapt compare data/test.jsonl base.jsonl adapted.jsonl --html report.html --fail-if "delta > 0.01"
speechadapt compare data/test.jsonl base.jsonl adapted.jsonl --json && echo "not worse"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `compare`."""
    parser.add_argument("references", metavar="REFS", type=Path, help=REFERENCES_HELP)
    parser.add_argument("base", metavar="BASE_HYPS", type=Path, help=f"of the system as it is; {HYPOTHESES_HELP}")
    parser.add_argument("adapted", metavar="NEW_HYPS", type=Path, help="of the system that may replace it")
    add_scoring_arguments(parser)
    add_output_arguments(parser)
    parser.add_argument("--detect", type=float, metavar="POINTS", help="also say how many more speakers it takes to show this change of WER")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="also draw WER by group, base against new")


def execute(options: argparse.Namespace) -> int:
    """Run `compare`: 1 if the new system is significantly worse, or a condition of --fail-if holds, else 0."""
    from speechadapt.files import write_json
    from speechadapt.score.mistakes import compare_mistakes
    from speechadapt.score.render import comparison_text
    from speechadapt.score.render_mistakes import mistakes_change_text
    from speechadapt.score.verdict import comparison_set, exit_code

    wishes = wanted_outputs(options)
    test = read_test(options)
    stems = options.base.stem, options.adapted.stem
    names = stems if stems[0] != stems[1] else (str(options.base), str(options.adapted))
    normalizer = choose(options, test)
    paths = options.base, options.adapted
    base, adapted = (score_file(path, test, options, system=name, normalizer=normalizer) for name, path in zip(names, paths, strict=True))
    entry = comparison_set(
        test.found.name,
        options.references,
        "test",
        base,
        adapted,
        resamples=options.resamples,
        seed=options.seed,
        interval_method=options.interval,
        interval_unit=options.unit,
        detect=None if options.detect is None else options.detect / 100,
    )
    mistakes = compare_mistakes(base, adapted, most=options.mistakes) if options.mistakes else None
    row = {**entry.to_json(), **({"mistakes": mistakes.to_json()} if mistakes else {})}
    if options.out:
        write_json(options.out, row)
    if options.plot:
        from speechadapt.score.plot import plot_sets

        plot_sets([entry], options.plot)
    if options.json:
        print(json.dumps(row, ensure_ascii=False, indent=2))
    else:
        print(comparison_text(entry.comparison), end="")
        if mistakes:
            print("\n" + mistakes_change_text(mistakes, most=options.mistakes), end="")
    if wishes is None:
        return exit_code([entry])
    from speechadapt.report.document import comparison_document
    from speechadapt.report.outputs import write_outputs

    return max(exit_code([entry]), write_outputs(comparison_document(entry, base, adapted), wishes))
