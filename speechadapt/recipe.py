"""What a recipe needs, in one import; and how a recipe file is found, its settings replaced, and its `main(run)` called.

A recipe is one short Python file: typed settings in upper case, then `main(run)` that puts the steps of an experiment in order.
"""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

from speechadapt.adapt.spec import AdapterSpec, TrainSettings
from speechadapt.bundled import bundled_folder, bundled_names, load_script
from speechadapt.corpora import choose_guard, choose_rows, prepare_corpus
from speechadapt.errors import MisuseError
from speechadapt.experiment import (
    FULL,
    SHORT,
    Sets,
    Verdict,
    load_shipped,
    make_synthetic,
    prove,
    random_base,
    read_sets,
    score_sets,
    score_short,
    show_side_by_side,
    train_on,
)
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.runs import TYPED, Run, discarded_if_bare, open_run
from speechadapt.settings import override, settings_of, to_json
from speechadapt.text.normalize import normalizer_for

__all__ = [
    "FULL", "SHORT", "AdapterSpec", "DecodeSettings", "Run", "Sets", "TrainSettings", "Verdict",
    "choose_guard", "choose_rows", "load_model", "load_shipped", "make_synthetic", "normalizer_for", "prepare_corpus", "prove", "random_base",
    "read_sets", "score_sets", "score_short", "show_side_by_side", "train_on",
]  # fmt: skip


def recipe_path(given: str) -> Path:
    """The file behind what a user typed: the name of a shipped recipe, or a path.

    Raises:
        MisuseError: neither.
    """
    names = bundled_names("recipes")
    if given in names:
        return bundled_folder("recipes") / f"{given}.py"
    path = Path(given)
    if path.suffix == ".py" and path.is_file():
        return path
    if path.suffix == ".py":
        raise MisuseError(f"{path}: no such recipe file. Check the path, or take a copy of a shipped one with: speechadapt cp quickstart {path}")
    close = difflib.get_close_matches(given, names, n=1)
    hint = f' Did you mean "{close[0]}"?' if close else ""
    raise MisuseError(f'no recipe is called "{given}"; there are: {", ".join(names)}, or give a Python file.{hint}')


def run_recipe(path: Path, *, assignments: Sequence[str] = (), out: Path, resume: bool = False) -> tuple[Run, Verdict | None]:
    """Load a recipe, replace settings, and call its `main` with a run folder.

    Args:
        path: the recipe's file.
        assignments: `NAME=value` or `NAME.field=value`, as after `--set`.
        out: the run folder.
        resume: go on with what lies there.

    Returns:
        The run, and what `main` returned: a verdict, or None.

    Raises:
        MisuseError: the file has no `main`, an assignment does not fit, or the folder must not be used.
    """
    recipe = load_script(path, "recipes", fresh=True)  # settings are replaced in it, so every run gets its own
    main: Callable[[Run], Verdict | None] | None = vars(recipe).get("main")
    if main is None:
        raise MisuseError(f"{path}: no function main(run) in it. See a shipped recipe with: speechadapt cp quickstart example.py")
    settings = override(settings_of(recipe), assignments)
    for name, setting in settings.items():
        setattr(recipe, name, setting.value)
    values = {name: to_json(setting.value) for name, setting in settings.items()}
    run = open_run(out, settings={"command": "run", "recipe": path.stem, "settings": values, TYPED: list(assignments)}, recipe=path, resume=resume)
    with discarded_if_bare(run):
        return run, main(run)
