"""The verdict of a whole run: one comparison per test and guard set, as `comparison.json` keeps them, and what follows from all."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from speechadapt.errors import MisuseError, ScoreError
from speechadapt.files import read_json, write_json
from speechadapt.score.compare import BETTER, WORSE, Comparison, compare
from speechadapt.score.intervals import RESAMPLES, Interval
from speechadapt.score.phrases import percent, points, points_range
from speechadapt.score.report import ScoreReport

ROLES = ("test", "guard")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShortWindow:
    """The adapted system fed only as much audio as there is, against the base in its own 30 s window."""

    wer: float
    cer: float | None
    errors: int
    words: int
    delta: float
    ci95: list[float] | None
    verdict: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSet:
    """One test or guard set of a run.

    Attributes:
        name: of the set, unique in the run.
        manifest: path of its manifest.
        role: "test" (what the adapter is for) or "guard" (what it must not spoil).
        comparison: base against adapted, like with like.
        short_window: the adapter in the short window; None for models without one.
    """

    name: str
    manifest: str
    role: str
    comparison: Comparison
    short_window: ShortWindow | None = None

    @property
    def verdict(self) -> str:
        """Of the comparison."""
        return self.comparison.verdict

    def to_json(self) -> dict[str, Any]:
        """An entry of `sets`: the comparison's own fields, and the set's name, manifest path, role and short window."""
        head = {"name": self.name, "manifest": self.manifest, "role": self.role}
        short = dataclasses.asdict(self.short_window) if self.short_window else None
        return {**self.comparison.to_json(), **head, **({"short_window": short} if short else {})}

    @classmethod
    def from_json(cls, value: Any, place: str = "comparison.json") -> "ComparisonSet":
        """Read an entry back.

        Raises:
            ScoreError: it is no entry of `sets`.
        """
        comparison = Comparison.from_json(value, place)
        try:
            short = ShortWindow(**value["short_window"]) if value.get("short_window") else None
            return cls(name=value["name"], manifest=value["manifest"], role=value["role"], comparison=comparison, short_window=short)
        except (KeyError, TypeError) as error:
            raise ScoreError(f"{place}: not an entry of a comparison ({error!r}). Run the comparison again.") from error


def comparison_set(
    name: str,
    manifest: Path | str,
    role: str,
    base: ScoreReport,
    adapted: ScoreReport,
    short_window: ScoreReport | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    interval_method: str = "expanded",
    interval_unit: str = "speaker",
    detect: float | None = None,
) -> ComparisonSet:
    """Compare base and adapted on one set of a run.

    Args:
        name: of the set, unique in the run: the manifest's path stem, or its folder and stem.
        manifest: path of the manifest.
        role: "test" or "guard".
        base, adapted: reports on it, both decoded the same way.
        short_window: the adapted model's report in the short window.
        resamples, seed, interval_method, interval_unit, detect: as for `compare`.

    Raises:
        MisuseError: the role is neither, or the base was decoded in the short window, which an unadapted model cannot do.
        ScoreError: the reports do not belong together.
    """
    if role not in ROLES:
        raise MisuseError(f'set "{name}": role "{role}", must be one of {", ".join(ROLES)}. Correct the role.')
    if base.decode.get("window") == "short":
        raise MisuseError(
            f'set "{name}": the base "{base.system}" was decoded in the short window, where an unadapted model loops. Score it in its 30 s window.'
        )
    short = None
    if short_window is not None:
        found = compare(base, short_window, resamples=resamples, seed=seed, interval_method=interval_method, interval_unit=interval_unit)
        rates = found.adapted
        short = ShortWindow(
            wer=rates.wer,
            cer=rates.cer,
            errors=rates.errors,
            words=rates.words,
            delta=found.delta,
            ci95=found.interval.ends if found.interval else None,
            verdict=found.verdict,
        )
    comparison = compare(base, adapted, resamples=resamples, seed=seed, interval_method=interval_method, interval_unit=interval_unit, detect=detect)
    # The run folder's own name and the report's may differ (two manifests called test.jsonl): the run's stands for both.
    return ComparisonSet(
        name=name, manifest=str(manifest), role=role, comparison=dataclasses.replace(comparison, manifest=str(manifest)), short_window=short
    )


def write_comparison(path: Path | str, sets: Sequence[ComparisonSet]) -> None:
    """Write `comparison.json`: the list `sets`, the verdict in words, and the exit code it means."""
    write_json(Path(path), {"verdict": overall_verdict(sets), "exit_code": exit_code(sets), "sets": [entry.to_json() for entry in sets]})


def read_comparison(path: Path | str) -> tuple[ComparisonSet, ...]:
    """Read `comparison.json`.

    Raises:
        SpeechadaptError: the file is missing or is not JSON.
        ScoreError: it holds no list `sets`, or an entry is broken.
    """
    value = read_json(Path(path))
    if not isinstance(value, dict) or not isinstance(value.get("sets"), list):
        raise ScoreError(f'{path}: no list "sets" in it. A comparison.json is written by: speechadapt run')
    return tuple(ComparisonSet.from_json(entry, f"{path}, set {number}") for number, entry in enumerate(value["sets"], start=1))


def overall_verdict(sets: Sequence[ComparisonSet]) -> list[str]:
    """The run in sentences: what it gained on each test set, then what that cost on each guard, then what is not known."""
    tests, guards = ([entry for entry in sets if entry.role == role] for role in ROLES)
    sentences = [f'Test "{entry.name}": {entry.comparison.sentence}{_short_sentence(entry)}' for entry in tests]
    if not tests:
        sentences.append("No test set was scored, so whether the adapter helps is unknown.")
    sentences += [_guard_sentence(entry) for entry in guards]
    if not guards:
        sentences.append("No guard set was scored, so what the adapter costs elsewhere is unknown.")
    return sentences


def exit_code(sets: Iterable[ComparisonSet]) -> int:
    """1 if a test set got significantly worse, else 0; a guard that got worse is the verdict's to tell, not a failure."""
    return int(any(entry.role == "test" and entry.verdict == WORSE for entry in sets))


def _short_sentence(entry: ComparisonSet) -> str:
    short = entry.short_window
    if short is None:
        return ""
    interval = Interval(low=short.ci95[0], high=short.ci95[1], unit="", units=0) if short.ci95 else None
    change = f"{points(short.delta)} points, 95 % interval {points_range(interval)}"
    return f" In the short window the adapter has {percent(short.wer)} ({change}): {short.verdict}."


def _guard_sentence(entry: ComparisonSet) -> str:
    found = entry.comparison
    if found.verdict == WORSE:
        meaning = "the gain cost something here"
    elif found.verdict == BETTER:
        meaning = "no cost here, a gain"
    elif found.interval is None:
        meaning = "not enough evidence of what the gain cost here"
    else:
        meaning = f"no cost that can be told from chance; up to {points(max(0.0, found.interval.high))} points is possible"
    rates = (
        f"WER {percent(found.base.wer)} -> {percent(found.adapted.wer)} ({points(found.delta)} points, 95 % interval {points_range(found.interval)})"
    )
    return f'Guard "{entry.name}": {meaning}: {rates}.'
