"""`speechadapt cp`: take a copy of a shipped recipe to edit."""

import argparse
import shutil
from pathlib import Path

from speechadapt.bundled import bundled_folder, bundled_names
from speechadapt.errors import MisuseError
from speechadapt.files import atomic_path

EXAMPLE = """
speechadapt cp mandarin_english my_accent.py
speechadapt cp quickstart recipes/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define what may follow `speechadapt cp`."""
    parser.add_argument("recipe", metavar="RECIPE", help="its name, from `speechadapt ls recipes`")
    parser.add_argument("path", metavar="PATH", type=Path, help="where to, a new .py file or an existing folder; nothing is overwritten")


def execute(options: argparse.Namespace) -> int:
    """Copy, and print the path of the copy."""
    names = bundled_names("recipes")
    if options.recipe not in names:
        raise MisuseError(f'no recipe is called "{options.recipe}"; there are: {", ".join(names)}. Check the spelling.')
    path = options.path / f"{options.recipe}.py" if options.path.is_dir() else options.path
    if path.suffix != ".py":
        raise MisuseError(f'{path}: a recipe is a Python file, its name must end in ".py". Give such a name or an existing folder.')
    if path.exists():
        raise MisuseError(f"{path}: exists already and is not overwritten. Give another path or remove it.")
    with atomic_path(path) as temporary:
        shutil.copyfile(bundled_folder("recipes") / f"{options.recipe}.py", temporary)
    print(path)
    return 0
