"""`speechadapt mix`: a weighted mix of adapters as a new adapter."""

import argparse
import json
import sys
from pathlib import Path

from speechadapt.errors import MisuseError

EXAMPLE = """
speechadapt mix runs/scottish/adapter=0.7 runs/welsh/adapter=0.3 --out adapters/celtic
speechadapt mix runs/scottish/adapter=0.5 runs/welsh/adapter=0.5 --how svd --rank 16 --out adapters/celtic16
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define what may follow `speechadapt mix`."""
    parser.add_argument("parts", nargs="+", metavar="DIR=WEIGHT", help="an adapter's folder and its weight; weights often sum to 1, and need not")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--how", default="cat", choices=("cat", "svd", "linear"),
        help="cat: the exact weighted sum, at the sum of the ranks; svd: its best approximation at --rank; "
        "linear: the matrices averaged, as PEFT does it (default: cat)",
    )  # fmt: skip
    parser.add_argument("--rank", type=int, metavar="N", help="of svd (default: the largest of the adapters)")
    parser.add_argument("--json", action="store_true", help="the new adapter's facts as JSON")


def execute(options: argparse.Namespace) -> int:
    """Mix, and say what was made."""
    from speechadapt.serve.mixing import Part, mix_adapters

    parts = []
    for one in options.parts:
        folder, _, weight = one.rpartition("=")
        try:
            parts.append(Part(folder=Path(folder), weight=float(weight)))
        except ValueError as error:
            raise MisuseError(f'"{one}": must be DIR=WEIGHT, such as runs/scottish/adapter=0.7.') from error
        if not folder:
            raise MisuseError(f'"{one}": must be DIR=WEIGHT, such as runs/scottish/adapter=0.7.')
    made = mix_adapters(parts, options.out, how=options.how, rank=options.rank)
    if options.json:
        print(json.dumps(made.to_json(), ensure_ascii=False, indent=2))
    else:
        print(f"{options.out}: {len(parts)} adapters mixed ({options.how}, rank {made.spec.rank}).")
    print("A mix is not scored by its parents' scores. Score it on a test set of each accent before it is used.", file=sys.stderr)
    return 0
