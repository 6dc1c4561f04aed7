"""Run: the folder of one experiment. Every path in it is made here, and nowhere else."""

import contextlib
import dataclasses
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from speechadapt import provenance
from speechadapt.errors import MisuseError, SpeechadaptError
from speechadapt.files import atomic_path, read_json, write_json

SETTINGS_FILE = "settings.json"
ADAPTER_FILE = "speechadapt.json"
TYPED = "set"
"""Key of the settings that keeps what was typed after --set; what it came to is compared, not its spelling."""
BARE = {SETTINGS_FILE, "environment.json", "recipe.py", "log.txt", "leaks.json", "manifests"}
"""What a run folder holds before anything was computed that takes long."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run folder.

    Attributes:
        folder: where everything goes.
        resumed: whether an earlier start left something there to go on from.
    """

    folder: Path
    resumed: bool = False

    @property
    def adapter(self) -> Path:
        """The folder of the adapter that ships."""
        return self.folder / "adapter"

    @property
    def comparison(self) -> Path:
        """The verdicts, for programs."""
        return self.folder / "comparison.json"

    @property
    def summary(self) -> Path:
        """The verdicts, for people."""
        return self.folder / "summary.md"

    @property
    def page(self) -> Path:
        """The verdicts, for people with a browser: charts, utterances, sound."""
        return self.folder / "report.html"

    @property
    def plot(self) -> Path:
        """WER by group, base against adapted."""
        return self.folder / "wer.png"

    @property
    def manifests(self) -> Path:
        """The rows that were chosen from a prepared corpus: train, dev, test and guard, and whose corpus they are."""
        return self.folder / "manifests"

    @property
    def plan(self) -> Path:
        """The number of steps, fixed once."""
        return self.folder / "plan.json"

    @property
    def leaks(self) -> Path:
        """Which training and dev rows were dropped because a test or guard set shares their speaker, recording or sentence."""
        return self.folder / "leaks.json"

    @property
    def log(self) -> Path:
        """What was said on the way, with times."""
        return self.folder / "log.txt"

    def hypotheses(self, name: str, system: str) -> Path:
        """What a system said on a set."""
        return self.folder / "hypotheses" / f"{file_name(name)}.{system}.jsonl"

    def decoded_by(self, name: str, system: str) -> Path:
        """Which weights and settings made those hypotheses, so that `--resume` knows whether they still hold."""
        return self.folder / "hypotheses" / f"{file_name(name)}.{system}.json"

    def report(self, name: str, system: str) -> Path:
        """A system's score on a set."""
        return self.folder / "reports" / f"{file_name(name)}.{system}.json"

    def say(self, message: str) -> None:
        """One line of progress: on stderr, and with the time in the log."""
        print(message, file=sys.stderr, flush=True)
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {message}\n")


def file_name(name: str) -> str:
    """A set's name (`mandarin/test`) as part of a file name (`mandarin-test`)."""
    return name.replace("/", "-")


def open_run(folder: Path, *, settings: dict[str, Any], recipe: Path | None = None, resume: bool = False) -> Run:
    """Make a run folder, or go on in one.

    Args:
        folder: the run folder; made with its parents.
        settings: every setting of the run as JSON, written to `settings.json`.
        recipe: the recipe's file; a copy goes into the folder.
        resume: go on from what an earlier start with the same settings left; without such a folder a fresh one is made.

    Raises:
        MisuseError: the folder holds something and `resume` is False, it is no run folder, or it was run with other settings.
    """
    folder = Path(folder)
    occupied = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if occupied and not resume:
        raise MisuseError(f"{folder}: exists already and is not overwritten. Go on with it by --resume, or give another --out.")
    if occupied:
        _check_same(folder, settings)
    run = Run(folder=folder, resumed=occupied)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SETTINGS_FILE, settings)
    _write_environment(run)
    if recipe is not None:
        _copy_recipe(run, recipe)
    return run


@contextlib.contextmanager
def discarded_if_bare(run: Run) -> Iterator[None]:
    """Remove a new run folder if the block fails before anything was made, so that the corrected command can be typed again."""
    try:
        yield
    except SpeechadaptError:
        if not run.resumed and {path.name for path in run.folder.iterdir()} <= BARE:
            shutil.rmtree(run.folder)
        raise


def _check_same(folder: Path, settings: dict[str, Any]) -> None:
    if not (folder / SETTINGS_FILE).is_file():
        raise MisuseError(f"{folder}: no {SETTINGS_FILE} in it, so it is no run folder that could be resumed. Give another --out.")
    first, again = ({key: value for key, value in one.items() if key != TYPED} for one in (read_json(folder / SETTINGS_FILE), settings))
    for name, then, now in differences(first, again):
        raise MisuseError(
            f"{folder}: was started with {name} = {then!r}, now it is {now!r}; a resumed run keeps its settings. "
            "Give the same settings again, or another --out."
        )


def differences(then: Any, now: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """Settings that differ: dotted name, value then, value now; objects are compared field by field."""
    if isinstance(then, dict) and isinstance(now, dict):
        keys = [*then, *(key for key in now if key not in then)]
        return [one for key in keys for one in differences(then.get(key), now.get(key), f"{name}.{key}" if name else key)]
    return [] if then == now else [(name, then, now)]


def _write_environment(run: Run) -> None:
    path = run.folder / "environment.json"
    now = provenance.gather()
    if run.resumed and path.is_file():
        first = read_json(path)
        now = {**first, "resumed": [*first.get("resumed", []), now]}
    write_json(path, now)


def _copy_recipe(run: Run, recipe: Path) -> None:
    copy = run.folder / "recipe.py"
    if copy.is_file() and copy.read_bytes() != recipe.read_bytes():
        run.say(f"{recipe} has changed since this run was started; its settings are the same, so the run goes on with the new text.")
    if copy.resolve() != recipe.resolve():
        with atomic_path(copy) as temporary:
            shutil.copyfile(recipe, temporary)
