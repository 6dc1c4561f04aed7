"""Confidence intervals of error rates by a bootstrap that resamples speakers, because one speaker's utterances err together.

Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004, with the speaker as the unit.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from speechadapt.errors import ScoreError

LEVEL = 0.95
RESAMPLES = 10_000
FEW_SPEAKERS = 8
"""Below this an interval rests on too few voices to speak for others, and reports say so."""
FEWEST_FOR_BOOTSTRAP = 5
"""With fewer units the bootstrap has too few distinct resamples to reach into its tails; Student's t takes over."""
FEWEST_FOR_AGREEMENT = 6
"""Fewer units that all show exactly the same rate may do so by luck: even the sign test needs six to reach 5 %."""
DRAWS_AT_ONCE = 1 << 21


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A confidence interval and what it rests on.

    Attributes:
        low, high: its ends, fractions.
        level: nominal coverage.
        unit: what was resampled, "speakers" or "utterances".
        units: how many of them there are.
        method: "bootstrap", or "student-t" where there are fewer than 5 units.
        resamples, seed: of the bootstrap.
        few_speakers: the speakers are unknown or fewer than 8.
        note: a sentence about that, or nothing.
    """

    low: float
    high: float
    unit: str
    units: int
    method: str = "bootstrap"
    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = 0
    few_speakers: bool = False
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        return dataclasses.asdict(self)

    @property
    def ends(self) -> list[float]:
        """`[low, high]`, the form of `ci95` in JSON."""
        return [self.low, self.high]

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside."""
        return self.low > 0 or self.high < 0


def rate_interval(
    numerator: Sequence[float], denominator: Sequence[float], speakers: Sequence[str | None], *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """A 95 % interval of a pooled rate, the sum of `numerator` over the sum of `denominator`.

    Whole speakers are drawn with replacement. For a WER give errors and reference words. For the difference of two systems on the
    same utterances give the differences of their errors and the reference words: then both systems see the same drawn speakers,
    which is what makes the interval a paired one. For the relative change divide by the errors of the base.

    The ends are Hesterberg's expanded percentiles ("What Teachers Should Know About the Bootstrap", The American Statistician
    2015, section 5.3): plain percentiles are too narrow by about sqrt(n / (n - 1)) and ignore Student's t, which matters at ten speakers.

    Args:
        numerator, denominator: one number per utterance, shape (utterances,).
        speakers: one name per utterance. None makes the utterance a unit of its own; with fewer than two names all of them are.
        resamples: draws; 0 makes no interval.
        seed: of the draws; the same seed draws the same speakers.

    Returns:
        None if there are fewer than two units, no draws, fewer than six units that all show the same rate other than 0, or a
        denominator of 0 in more than one draw of twenty.

    Raises:
        ScoreError: the lengths differ, or `resamples` is below 0.
    """
    if not len(numerator) == len(denominator) == len(speakers):
        raise ScoreError(
            f"{len(numerator)} numerators, {len(denominator)} denominators and {len(speakers)} speakers; "
            "an interval needs one of each for every utterance. Pass lists of equal length."
        )
    if resamples < 0:
        raise ScoreError(f"resamples is {resamples}, must be 0 (no interval) or more. Leave it at {RESAMPLES}.")
    labels, unit = units_of(speakers)
    units = int(labels.max()) + 1 if len(labels) else 0
    if units < 2 or resamples == 0:
        return None
    top = np.bincount(labels, weights=np.asarray(numerator, dtype=np.float64), minlength=units).astype(np.float64)
    bottom = np.bincount(labels, weights=np.asarray(denominator, dtype=np.float64), minlength=units).astype(np.float64)
    if bottom.sum() <= 0 or (units < FEWEST_FOR_AGREEMENT and _agree_by_luck(top, bottom)):
        return None
    ends = _student_ends(top, bottom) if units < FEWEST_FOR_BOOTSTRAP else _bootstrap_ends(top, bottom, resamples, seed)
    if ends is None:
        return None
    few = unit == "utterances" or units < FEW_SPEAKERS
    method = "student-t" if units < FEWEST_FOR_BOOTSTRAP else "bootstrap"
    note = _note(unit, units, speakers)
    return Interval(low=ends[0], high=ends[1], unit=unit, units=units, method=method, resamples=resamples, seed=seed, few_speakers=few, note=note)


def units_of(speakers: Sequence[str | None]) -> tuple[NDArray[np.int64], str]:
    """Number the units that are resampled.

    Returns:
        int64, shape (utterances,): the number of each utterance's unit, from 0; and "speakers", or "utterances" where
        fewer than two speakers are known.
    """
    if len({speaker for speaker in speakers if speaker is not None}) < 2:
        return np.arange(len(speakers), dtype=np.int64), "utterances"
    numbers: dict[tuple[str, str | int], int] = {}
    keys = [("speaker", speaker) if speaker is not None else ("utterance", place) for place, speaker in enumerate(speakers)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64), "speakers"


def resampled_rates(numerator: NDArray[np.float64], denominator: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """The bootstrap distribution of a pooled rate.

    Args:
        numerator, denominator: sums per unit, float64, shape (units,).
        resamples: draws.
        seed: of NumPy's default generator.

    Returns:
        float64, shape (resamples,); NaN where a draw's denominator is 0.
    """
    units = len(numerator)
    generator = np.random.default_rng(seed)
    rates = np.empty(resamples)
    step = max(1, DRAWS_AT_ONCE // units)
    for start in range(0, resamples, step):
        drawn = generator.integers(units, size=(min(step, resamples - start), units))
        bottom = denominator[drawn].sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            rates[start : start + step] = np.where(bottom > 0, numerator[drawn].sum(axis=1) / bottom, np.nan)
    return rates


def expanded_tail(units: int, level: float = LEVEL) -> float:
    """The share of the bootstrap distribution to leave out on each side, smaller than (1 - level) / 2 where units are few."""
    quantile = special.stdtrit(units - 1, (1 + level) / 2)
    return float(special.ndtr(-math.sqrt(units / (units - 1)) * quantile))


def _bootstrap_ends(top: NDArray[np.float64], bottom: NDArray[np.float64], resamples: int, seed: int) -> tuple[float, float] | None:
    rates = resampled_rates(top, bottom, resamples, seed)
    rates = rates[~np.isnan(rates)]
    if len(rates) < 0.95 * resamples:
        return None
    tail = expanded_tail(len(top))
    low, high = np.quantile(rates, [tail, 1 - tail])
    return float(low), float(high)


def _agree_by_luck(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> bool:
    """Whether all units show one and the same rate other than 0, which would make an interval without width."""
    rate = top.sum() / bottom.sum()
    return bool(rate != 0 and np.abs(top - rate * bottom).max() <= 1e-9 * bottom.max())


def _student_ends(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> tuple[float, float]:
    """The linearized variance of a ratio (Cochran, Sampling Techniques, 1977, section 6.3) with Student's t."""
    units = len(top)
    rate = top.sum() / bottom.sum()
    deviation = math.sqrt(units / (units - 1) * float(((top - rate * bottom) ** 2).sum())) / bottom.sum()
    reach = special.stdtrit(units - 1, (1 + LEVEL) / 2) * deviation
    return float(rate - reach), float(rate + reach)


def _note(unit: str, units: int, speakers: Sequence[str | None]) -> str:
    known = len({speaker for speaker in speakers if speaker is not None})
    if unit == "utterances" and known == 0:
        return "The speakers are unknown, so the interval resamples utterances; it is too narrow if few people spoke them."
    if unit == "utterances":
        return "There is one speaker, so the interval resamples utterances; it speaks for this speaker and for nobody else."
    if units < FEW_SPEAKERS:
        return f"There are only {units} speakers, fewer than {FEW_SPEAKERS}: the interval is a rough guide to how other speakers would fare."
    return ""
