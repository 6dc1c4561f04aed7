"""Write docs/cli.md from the commands' own help: python docs/make_cli.py"""

import os
import subprocess
import sys
from pathlib import Path

from speechadapt.cli import COMMANDS

PAGE = Path(__file__).with_name("cli.md")


def reference() -> str:
    """The page: one section per command, its help as the terminal shows it at 100 columns."""
    parts = ["# Commands", "Made from the help of each command by `make docs`; do not edit."]
    for command in (None, *COMMANDS):
        words = ["speechadapt", *([command] if command else []), "--help"]
        parts += [f"## {' '.join(words[:-1])}", f"~~~text\n{_help(words[1:])}\n~~~"]
    return "\n\n".join(parts) + "\n"


def _help(arguments: list[str]) -> str:
    code = f"from speechadapt.cli import main; main({arguments!r})"
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout.strip()


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    print(PAGE)
