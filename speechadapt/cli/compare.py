"""`speechadapt compare`: two systems on the same test set, and the verdict."""

import argparse
import json
from pathlib import Path

from speechadapt.cli.scoring import HYPOTHESES_HELP, REFERENCES_HELP, add_scoring_arguments, read_test, score_file

EXAMPLE = """
speechadapt compare data/test.jsonl base.jsonl adapted.jsonl
speechadapt compare data/test.jsonl base.jsonl adapted.jsonl --by accent,l1 --plot wer.png
speechadapt compare data/test.jsonl base.jsonl adapted.jsonl --json && echo "not worse"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `compare`."""
    parser.add_argument("references", metavar="REFS", type=Path, help=REFERENCES_HELP)
    parser.add_argument("base", metavar="BASE_HYPS", type=Path, help=f"of the system as it is; {HYPOTHESES_HELP}")
    parser.add_argument("adapted", metavar="NEW_HYPS", type=Path, help="of the system that may replace it")
    add_scoring_arguments(parser)
    parser.add_argument("--plot", type=Path, metavar="PNG", help="also draw WER by group, base against new")


def execute(options: argparse.Namespace) -> int:
    """Run `compare`: 1 if the new system is significantly worse, else 0."""
    from speechadapt.files import write_json
    from speechadapt.score.render import comparison_text
    from speechadapt.score.verdict import comparison_set, exit_code

    test = read_test(options)
    stems = options.base.stem, options.adapted.stem
    names = stems if stems[0] != stems[1] else (str(options.base), str(options.adapted))
    base, adapted = (score_file(path, test, options, system=name) for name, path in zip(names, (options.base, options.adapted), strict=True))
    entry = comparison_set(test.found.name, options.references, "test", base, adapted, resamples=options.resamples, seed=options.seed)
    if options.out:
        write_json(options.out, entry.to_json())
    if options.plot:
        from speechadapt.score.plot import plot_sets

        plot_sets([entry], options.plot)
    if options.json:
        print(json.dumps(entry.to_json(), ensure_ascii=False, indent=2))
    else:
        print(comparison_text(entry.comparison), end="")
    return exit_code([entry])
