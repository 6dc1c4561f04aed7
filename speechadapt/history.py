"""History: the run folders on a disk with their verdicts, and any two of them against each other."""

import dataclasses
from pathlib import Path
from typing import Any

from speechadapt.errors import MisuseError, ScoreError, SpeechadaptError
from speechadapt.files import read_json
from speechadapt.runs import SETTINGS_FILE, TYPED, Run, differences
from speechadapt.score.report import ScoreReport
from speechadapt.score.verdict import ComparisonSet, comparison_set, read_comparison

DEEPEST = 4
"""Folders below the one that is searched in which a run folder may lie."""
MOST_FOLDERS = 100_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a run folder says of itself.

    Attributes:
        folder: where it lies.
        started: UTC, ISO 8601; None where the folder does not say.
        what: the recipe, or the command that made it.
        base: the base model; None where the settings name none.
        sets: the comparisons it ended with; empty for a run that has none yet.
        state: `done`, `unfinished`, or `unreadable` with the reason in `problem`.
        problem: a sentence; empty for a sound run.
    """

    folder: Path
    started: str | None
    what: str
    base: str | None
    sets: tuple[ComparisonSet, ...]
    state: str
    problem: str = ""

    @property
    def name(self) -> str:
        """As a command would name it."""
        return str(self.folder)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; of every set what `comparison.json` says first."""
        return {
            "name": self.name,
            "started": self.started,
            "what": self.what,
            "base": self.base,
            "state": self.state,
            "problem": self.problem or None,
            "sets": [_short(one) for one in self.sets],
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """Two runs against each other.

    Attributes:
        first, second: the runs.
        sets: the adapter of the second against that of the first, on every set that both were judged on with the same texts and normalizer.
        unshared: names of sets that only one has, or that hold other texts in both, each with the reason.
        settings: name, value in the first and in the second, of settings that differ.
    """

    first: RunRecord
    second: RunRecord
    sets: tuple[ComparisonSet, ...]
    unshared: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, Any, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "first": self.first.name,
            "second": self.second.name,
            "sets": [one.to_json() for one in self.sets],
            "unshared": [{"name": name, "reason": reason} for name, reason in self.unshared],
            "settings": [{"name": name, "first": then, "second": now} for name, then, now in self.settings],
        }


def find_runs(root: Path) -> list[RunRecord]:
    """Every run folder in or below a folder, the newest first; links are not followed.

    Raises:
        MisuseError: there is no such folder, or it holds more folders than run folders ever lie in.
    """
    if not root.is_dir():
        raise MisuseError(f"{root}: no such folder. Give the folder that your runs lie in with --runs.")
    found, level, seen = [], [root], 0
    for _ in range(DEEPEST + 1):
        following: list[Path] = []
        for folder in level:
            seen += 1
            if seen > MOST_FOLDERS:
                raise MisuseError(f"{root}: more than {MOST_FOLDERS} folders in it. Give the folder that your runs lie in.")
            if _is_run(folder):
                found.append(read_run(folder))
                continue  # a run folder holds no others
            try:
                following += sorted(one for one in folder.iterdir() if one.is_dir() and not one.is_symlink() and not one.name.startswith("."))
            except OSError:
                continue  # not ours to read
        level = following
    return sorted(found, key=lambda one: (one.started or "", one.name), reverse=True)


def read_run(folder: Path) -> RunRecord:
    """What a run folder says of itself; a folder that is damaged says so instead of stopping the list.

    Raises:
        MisuseError: it is no run folder.
    """
    folder = Path(folder)
    if not _is_run(folder):
        raise MisuseError(f"{folder}: no {SETTINGS_FILE} of a run in it. List the runs with: speechadapt runs")
    run = Run(folder=folder)
    problems: list[str] = []
    settings = _object(folder / SETTINGS_FILE, problems)
    environment = _object(folder / "environment.json", problems) if (folder / "environment.json").is_file() else {}
    sets: tuple[ComparisonSet, ...] = ()
    if run.comparison.is_file():
        try:
            sets = read_comparison(run.comparison)
        except SpeechadaptError as error:
            problems.append(str(error))
    given = settings.get("settings", settings)
    base = given.get("BASE", given.get("base")) if isinstance(given, dict) else None
    what = str(settings.get("recipe") or settings.get("command") or "run")
    state = "unreadable" if problems else "done" if sets else "unfinished"
    started = environment.get("time")
    return RunRecord(
        folder=folder,
        started=started if isinstance(started, str) else None,
        what=what,
        base=base if isinstance(base, str) else None,
        sets=sets,
        state=state,
        problem=" ".join(problems),
    )


def compare_runs(first: Path, second: Path) -> RunComparison:
    """The adapter of one run against that of another, utterance by utterance, where both were judged on the same test.

    Raises:
        MisuseError: one of them is no run folder, or both are the same.
        ScoreError: they have no set in common, or a report is damaged.
    """
    if first.resolve() == second.resolve():
        raise MisuseError(f"{first} and {second} are one run. Give two.")
    one, other = read_run(first), read_run(second)
    sets, unshared = [], []
    left, right = ({entry.name: entry for entry in record.sets} for record in (one, other))
    for name in dict.fromkeys([*left, *right]):
        if name not in left or name not in right:
            unshared.append((name, f"only {(second if name in right else first)} was judged on it"))
            continue
        before, after = (_adapted(folder, name) for folder in (first, second))
        try:
            before, after = (dataclasses.replace(report, system=str(folder)) for report, folder in ((before, first), (after, second)))
            sets.append(comparison_set(name, left[name].manifest, left[name].role, before, after))
        except ScoreError as error:
            unshared.append((name, str(error)))
    if not sets:
        told = "; ".join(f"{name}: {reason}" for name, reason in unshared) or "neither has a verdict yet"
        raise ScoreError(f"{first} and {second} share no set that can be compared ({told}). Judge both on one test set.")
    then, now = (_settings(folder) for folder in (first, second))
    return RunComparison(first=one, second=other, sets=tuple(sets), unshared=tuple(unshared), settings=tuple(differences(then, now)))


def _adapted(folder: Path, name: str) -> ScoreReport:
    return ScoreReport.read(Run(folder=folder).report(name, "adapted"))


def _settings(folder: Path) -> dict[str, Any]:
    return {key: value for key, value in _object(folder / SETTINGS_FILE, []).items() if key != TYPED}


def _is_run(folder: Path) -> bool:
    return (folder / SETTINGS_FILE).is_file() and ((folder / "environment.json").is_file() or (folder / "log.txt").is_file())


def _object(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        value = read_json(path)
    except SpeechadaptError as error:
        problems.append(str(error))
        return {}
    if not isinstance(value, dict):
        problems.append(f"{path}: {type(value).__name__}, expected one JSON object.")
        return {}
    return value


def _short(one: ComparisonSet) -> dict[str, Any]:
    found = one.comparison
    ci95 = found.interval.ends if found.interval else None
    rates = {"base_wer": found.base.wer, "adapted_wer": found.adapted.wer, "delta": found.delta, "ci95": ci95}
    return {"name": one.name, "role": one.role, "verdict": found.verdict, **rates}
