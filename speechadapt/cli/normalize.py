"""`speechadapt normalize`: what a normalizer makes of a line, step by step."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

EXAMPLE = """
speechadapt normalize "Mr. Brown's colour wasn't, uh, twenty-one!"
speechadapt normalize --normalizer basic:hi --normalizer whisper-basic "नमस्ते, आप कैसे हैं?"
speechadapt normalize --normalizer basic:de+numbers --steps "Das kostet 21 Euro."
speechadapt normalize --normalizer english < transcript.txt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `normalize`."""
    parser.add_argument("text", nargs="*", help="lines to normalize (default: the lines of standard input)")
    parser.add_argument(
        "--normalizer", metavar="NAME", action="append", default=[], help="see `speechadapt ls normalizers`; may be repeated (default: english)"
    )
    parser.add_argument("--lexicon", metavar="FILE", type=Path, help="dialect words: a variant, a tab and what it counts as in each line")
    parser.add_argument("--steps", action="store_true", help="show the line after each step")
    parser.add_argument("--json", action="store_true", help="one JSON object per line and normalizer")


def execute(options: argparse.Namespace) -> int:
    """Run `normalize`: 0 when it is done."""
    from speechadapt.text.normalize import get_normalizer, marks_broken

    chosen = [get_normalizer(name, lexicon=options.lexicon) for name in dict.fromkeys(options.normalizer or ["english"])]
    broken = 0
    for text in options.text or _lines(sys.stdin):
        for one in chosen:
            result = one(text)
            broken += marks_broken(text) if one.breaks_marks else 0
            if options.json:
                steps = {"steps": [{"name": name, "text": after} for name, after in one.explain(text)]} if options.steps else {}
                print(json.dumps({"normalizer": one.name, "version": one.version, "text": text, "normalized": result, **steps}, ensure_ascii=False))
                continue
            head = f"{one.name}: " if len(chosen) > 1 else ""
            if options.steps:
                for name, after in one.explain(text):
                    print(f"{head}{name:<12}{after}")
            else:
                print(f"{head}{result}")
    if broken:
        names = " and ".join(one.name for one in chosen if one.breaks_marks)
        print(
            f"warning: {names} broke words at {broken} combining marks. Use basic:LANGUAGE, or these only beside published scores.", file=sys.stderr
        )
    return 0


def _lines(stream: Iterable[str]) -> Iterator[str]:
    for line in stream:
        yield line.rstrip("\r\n")
