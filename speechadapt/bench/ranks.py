"""Ranks: systems that cannot be told apart share one. The rule and its reasons stand in docs/decisions/0013-ranks.md."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechadapt.score.correction import holm
from speechadapt.score.intervals import DRAWS_AT_ONCE, LEVEL, RESAMPLES, Interval, expanded_tail, resampled_rates, unit_sums, units_of
from speechadapt.score.report import ScoreReport
from speechadapt.score.significance import speaker_flips

ALPHA = 0.05
EXACT_WEIGHTS = 10_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two systems compared on the same utterances.

    Attributes:
        first, second: names; first has the lower WER, or stood first.
        delta: WER of the second minus that of the first, 0 or more; a mean over manifests where there are several.
        p_value: two-sided permutation test that swaps the systems speaker by speaker; None where there are fewer than two units.
        p_holm: the same, corrected for all pairs of the table (Holm 1979).
        differ: whether p_holm is below 0.05.
    """

    first: str
    second: str
    delta: float
    p_value: float | None
    p_holm: float | None
    differ: bool

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return dataclasses.asdict(self)


def compare_all(reports: Mapping[str, Sequence[ScoreReport]], *, seed: int = 0) -> tuple[Pair, ...]:
    """Compare every pair of systems.

    Args:
        reports: name to one report per manifest, the same manifests in the same order for every system; each has reference words.
        seed: of the permutations.
    """
    found = []
    for one, other in itertools.combinations(reports, 2):
        rates = macro_wer(reports[one]), macro_wer(reports[other])
        first, second = (one, other) if rates[0] <= rates[1] else (other, one)
        found.append((first, second, abs(rates[1] - rates[0]), _p_value(reports[first], reports[second], seed)))
    corrected = holm([p for *_, p in found])
    return tuple(
        Pair(first=first, second=second, delta=delta, p_value=p, p_holm=p_holm, differ=p_holm is not None and p_holm < ALPHA)
        for (first, second, delta, p), p_holm in zip(found, corrected, strict=True)
    )


def ranks_of(systems: Sequence[str], pairs: Sequence[Pair]) -> dict[str, int]:
    """The rank of each system: one more than the number of systems that are significantly better."""
    beaten = dict.fromkeys(systems, 0)
    for pair in pairs:
        beaten[pair.second] += pair.differ
    return {system: 1 + count for system, count in beaten.items()}


def macro_wer(reports: Sequence[ScoreReport]) -> float:
    """The mean of the manifests' WERs, so that a large manifest weighs no more than a small one."""
    rates = [report.wer for report in reports]
    known = [rate for rate in rates if rate is not None]
    return sum(known) / len(known)


def macro_interval(reports: Sequence[ScoreReport], *, resamples: int = RESAMPLES, seed: int = 0) -> Interval | None:
    """The 95 % interval of `macro_wer`: speakers are drawn within each manifest, or, where manifests share speakers, from all of them at once.

    Returns:
        None if there are fewer than two units in a manifest, or no draws.
    """
    if len(reports) == 1:
        return reports[0].interval
    names = [[(u.speaker if u.speaker is not None else f"\0{number}\0{u.id}") for u in report.utterances] for number, report in enumerate(reports)]
    known = [{u.speaker for u in report.utterances} - {None} for report in reports]
    shared = sum(map(len, known)) > len(set().union(*known))
    if resamples < 1 or not all(report.utterances for report in reports):
        return None
    counts = [_by_unit(report, [u.speaker for u in report.utterances]) for report in reports]
    fewest = min(len(top) for top, _ in counts)
    if fewest < 2:
        return None
    if shared:
        rates = _joint_rates(reports, names, resamples, seed)
    else:
        rates = np.mean([resampled_rates(top, bottom, resamples, seed + number) for number, (top, bottom) in enumerate(counts)], axis=0)
    rates = rates[~np.isnan(rates)]
    if len(rates) < LEVEL * resamples:
        return None
    tail = expanded_tail(fewest)
    low, high = np.quantile(rates, [tail, 1 - tail])
    units = len({name for found in names for name in found})
    first = next((report.interval for report in reports if report.interval is not None), None)
    note = "" if fewest >= 8 else f"One of the manifests has only {fewest} speakers: the interval is a rough guide."
    return Interval(
        low=max(0.0, float(low)),
        high=float(high),
        unit=first.unit if first else "speakers",
        units=units,
        resamples=resamples,
        seed=seed,
        few_speakers=bool(note),
        note=note,
    )


def _p_value(one: Sequence[ScoreReport], other: Sequence[ScoreReport], seed: int) -> float | None:
    """A manifest's words weigh as much as those of all others, so an error counts the more the fewer words its manifest has.

    The weights are whole numbers: sums of the same differences must be equal to the last bit, or ties would be counted as less extreme.
    """
    words = [report.words.reference_length for report in one]
    weights = [1] if len(words) == 1 else [round(EXACT_WEIGHTS * max(words) / count) for count in words]
    before = [weight * u.words.errors for weight, report in zip(weights, one, strict=True) for u in report.utterances]
    after = [weight * u.words.errors for weight, report in zip(weights, other, strict=True) for u in report.utterances]
    return speaker_flips(before, after, [u.speaker for report in one for u in report.utterances], seed=seed)


def _by_unit(report: ScoreReport, speakers: Sequence[str | None]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    labels, _ = units_of(speakers)
    errors = np.array([u.words.errors for u in report.utterances], dtype=np.float64)
    words = np.array([u.words.reference_length for u in report.utterances], dtype=np.float64)
    return unit_sums(labels, errors), unit_sums(labels, words)


def _joint_rates(reports: Sequence[ScoreReport], names: Sequence[Sequence[str]], resamples: int, seed: int) -> NDArray[np.float64]:
    """Each draw takes whole speakers with what they said in every manifest; NaN where a draw leaves a manifest empty."""
    places: dict[str, int] = {}
    for found in names:
        for name in found:
            places.setdefault(name, len(places))
    tops, bottoms = np.zeros((len(reports), len(places))), np.zeros((len(reports), len(places)))
    for row, (report, found) in enumerate(zip(reports, names, strict=True)):
        for utterance, name in zip(report.utterances, found, strict=True):
            tops[row, places[name]] += utterance.words.errors
            bottoms[row, places[name]] += utterance.words.reference_length
    generator = np.random.default_rng(seed)
    rates = np.empty(resamples)
    step = max(1, DRAWS_AT_ONCE // len(places))
    for start in range(0, resamples, step):
        drawn = generator.integers(len(places), size=(min(step, resamples - start), len(places)))
        with np.errstate(divide="ignore", invalid="ignore"):
            by_manifest = [top[drawn].sum(axis=1) / bottom[drawn].sum(axis=1) for top, bottom in zip(tops, bottoms, strict=True)]
        rates[start : start + step] = np.mean(by_manifest, axis=0)
    return rates
