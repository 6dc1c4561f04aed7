"""Where the scripts that ship with the package lie: beside the package in a checkout, under it in a wheel."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from speechadapt.errors import MisuseError

PACKAGE = Path(__file__).resolve().parent


def bundled_folder(kind: str) -> Path:
    """The folder of `recipes` or `data_prep`."""
    inside = PACKAGE / f"_{kind}"
    return inside if inside.is_dir() else PACKAGE.parent / kind


def bundled_names(kind: str) -> list[str]:
    """The scripts of one kind by name, sorted."""
    return sorted(path.stem for path in bundled_folder(kind).glob("*.py") if not path.stem.startswith("_"))


def load_script(path: Path, kind: str, *, fresh: bool = False) -> ModuleType:
    """Import one script from its path, once.

    Args:
        path: the script. kind: `recipes` or `data_prep`.
        fresh: run it again even if it was imported before, for recipes, whose settings are replaced in place.

    Raises:
        MisuseError: there is no such file.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise MisuseError(f"{path}: no such file. See the shipped ones with: speechadapt ls {'corpora' if kind == 'data_prep' else kind}")
    name = f"speechadapt_{kind}_{path.stem}"
    loaded = sys.modules.get(name)
    if not fresh and loaded is not None and loaded.__file__ == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise MisuseError(f"{path}: not a Python file. Give a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before execution, so that its dataclasses and worker processes find it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def load_bundled(kind: str, name: str) -> ModuleType:
    """Import a shipped script by name.

    Raises:
        MisuseError: no script of that name; the message lists the names.
    """
    names = bundled_names(kind)
    if name not in names:
        raise MisuseError(f'no {kind} script is called "{name}"; there are: {", ".join(names)}. Check the spelling.')
    return load_script(bundled_folder(kind) / f"{name}.py", kind)
