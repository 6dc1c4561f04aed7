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

from speechadapt.errors import MisuseError, ScoreError

LEVEL = 0.95
RESAMPLES = 10_000
METHODS = ("expanded", "percentile", "bca")
UNITS = ("speaker", "utterance", "hierarchical")
FEW_SPEAKERS = 8
"""Below this an interval rests on too few voices to speak for others, and reports say so."""
FEWEST_FOR_BOOTSTRAP = 5
"""With fewer units the bootstrap has too few distinct resamples to reach into its tails; Student's t takes over."""
FEWEST_FOR_AGREEMENT = 6
"""Fewer units that all show exactly the same rate may do so by luck: even the sign test needs six to reach 5 %."""
ENOUGH_FOR_PLAIN_ENDS = 100
"""Below this percentile and BCa ends held the truth in less than 93 % of simulated test sets (docs/decisions/0011), and reports say so."""
DRAWS_AT_ONCE = 1 << 21
COUNT_FROM = 4096
"""From this many units on, units with the same counts are drawn as one category, which draws from the same distribution in less time."""
MOST_UNITS = 10_000
"""From this many categories on, the bootstrap is a normal distribution in all but name; Student's t takes over and takes no time."""
POOL_DRAWS, POOL_NUMBERS, POOL_LEAST = 100_000_000, 4_000_000, 100
"""Bounds of the second stage: utterances drawn, sums kept, and the fewest sums kept of each speaker."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A confidence interval and what it rests on.

    Attributes:
        low, high: its ends, fractions.
        level: nominal coverage.
        unit: what was resampled, "speakers" or "utterances".
        units: how many of them there are.
        method: "expanded", "percentile" or "bca", or "student-t" where there are fewer than 5 units, or more than 10,000 that
            all differ. "bootstrap" in files written by version 0.1.0 means "expanded".
        resamples, seed: of the bootstrap.
        hierarchical: whether the utterances of each drawn speaker were resampled too.
        few_speakers: the speakers are unknown or fewer than 8.
        note: a sentence about that, or nothing.
    """

    low: float
    high: float
    unit: str
    units: int
    method: str = "expanded"
    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = 0
    hierarchical: bool = False
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RatioError:
    """How uncertain a pooled rate is, from the jackknife over its units.

    Attributes:
        rate: the pooled rate.
        error: its standard error.
        widening: `error` over the deviation the bootstrap sees; sqrt(n / (n - 1)) where all n units hold equally much speech.
        freedom: degrees of freedom of Student's t: the effective number of units (Kish, Survey Sampling, 1965), less one, at least 1.
            Where all units hold equally much it is n - 1; where one holds nearly all of it, there is nearly one unit.
    """

    rate: float
    error: float
    widening: float
    freedom: float

    @property
    def reach(self) -> float:
        """How many of the bootstrap's deviations a 95 % interval reaches to each side."""
        return self.widening * float(special.stdtrit(self.freedom, (1 + LEVEL) / 2))


def rate_interval(
    numerator: Sequence[float] | NDArray[Any],
    denominator: Sequence[float] | NDArray[Any],
    speakers: Sequence[str | None],
    *,
    method: str = "expanded",
    unit: str = "speaker",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """A 95 % interval of a pooled rate, the sum of `numerator` over the sum of `denominator`.

    Whole speakers are drawn with replacement. For a WER give errors and reference words. For the difference of two systems on the
    same utterances give the differences of their errors and the reference words: then both systems see the same drawn speakers,
    which is what makes the interval a paired one. For the relative change divide by the errors of the base.

    The ends are, by `method`:

    - "expanded": Hesterberg's expanded percentiles ("What Teachers Should Know About the Bootstrap", The American Statistician
      2015, section 5.3), with the standard error of the jackknife and the effective number of speakers, so that they also hold
      where some speakers said much more than others. Plain percentiles are too narrow by about sqrt(n / (n - 1)) and ignore
      Student's t, which matters at ten speakers.
    - "percentile": the plain 2.5 and 97.5 % points (Efron, "Bootstrap methods: another look at the jackknife", 1979).
    - "bca": bias-corrected and accelerated (Efron, "Better bootstrap confidence intervals", JASA 1987), the acceleration by the
      jackknife over the units.

    Args:
        numerator, denominator: one number per utterance, shape (utterances,).
        speakers: one name per utterance. None makes the utterance a unit of its own; with fewer than two names all of them are.
        method: how the ends are found, one of METHODS.
        unit: "speaker"; "utterance", which takes the utterances of a speaker as independent; or "hierarchical", which draws
            speakers and then utterances of each drawn speaker, both with replacement. Its intervals are the widest: what differs
            between a speaker's utterances is counted twice (Davison and Hinkley, Bootstrap Methods, 1997, section 3.8).
        resamples: draws; 0 makes no interval.
        seed: of the draws; the same seed draws the same speakers.

    Returns:
        None if there are fewer than two units, no draws, fewer than six units that all show the same rate other than 0, or a
        denominator of 0 in more than one draw of twenty.

    Raises:
        ScoreError: the lengths differ, or `resamples` is below 0.
        MisuseError: there is no such method or unit.
    """
    _check(method, unit)
    if not len(numerator) == len(denominator) == len(speakers):
        raise ScoreError(
            f"{len(numerator)} numerators, {len(denominator)} denominators and {len(speakers)} speakers; "
            "an interval needs one of each for every utterance. Pass lists of equal length."
        )
    if resamples < 0:
        raise ScoreError(f"resamples is {resamples}, must be 0 (no interval) or more. Leave it at {RESAMPLES}.")
    if resamples == 0:
        return None
    labels, drawn = units_of(speakers) if unit != "utterance" else (np.arange(len(speakers), dtype=np.int64), "utterances")
    units = int(labels.max()) + 1 if len(labels) else 0
    if units < 2:
        return None
    above, below = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    top, bottom = unit_sums(labels, above), unit_sums(labels, below)
    if bottom.sum() <= 0 or (units < FEWEST_FOR_AGREEMENT and _agree_by_luck(top, bottom)):
        return None
    hierarchical = unit == "hierarchical" and drawn == "speakers" and units >= FEWEST_FOR_BOOTSTRAP
    used = method
    if units < FEWEST_FOR_BOOTSTRAP or (not hierarchical and units > MOST_UNITS and len(_categories(top, bottom)[0]) > MOST_UNITS):
        used, ends = "student-t", student_ends(top, bottom)
    else:
        rates = resampled_hierarchy(above, below, labels, resamples, seed) if hierarchical else resampled_rates(top, bottom, resamples, seed)
        rates = rates[~np.isnan(rates)]
        if len(rates) < 0.95 * resamples:
            return None
        low, high = np.quantile(rates, tails(rates, top, bottom, method))
        ends = float(low), float(high)
    known = len({speaker for speaker in speakers if speaker is not None})
    return Interval(
        low=ends[0],
        high=ends[1],
        unit=drawn,
        units=units,
        method=used,
        resamples=resamples,
        seed=seed,
        hierarchical=hierarchical,
        few_speakers=known < 2 or min(units, known if unit == "utterance" else units) < FEW_SPEAKERS,
        note=_note(unit, drawn, units, known, used),
    )


def units_of(speakers: Sequence[str | None]) -> tuple[NDArray[np.int64], str]:
    """Number the units that are resampled.

    Returns:
        int64, shape (utterances,): the number of each utterance's unit, from 0; and "speakers", or "utterances" where
        fewer than two speakers are known.
    """
    if len({speaker for speaker in speakers if speaker is not None}) < 2:
        return np.arange(len(speakers), dtype=np.int64), "utterances"
    numbers: dict[str | int, int] = {}  # a place stands for an utterance without a speaker; no name equals a number
    keys = (speaker if speaker is not None else place for place, speaker in enumerate(speakers))
    return np.fromiter((numbers.setdefault(key, len(numbers)) for key in keys), dtype=np.int64, count=len(speakers)), "speakers"


def unit_sums(labels: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums of `values` (utterances,) by unit: float64, shape (units,)."""
    return np.bincount(labels, weights=values).astype(np.float64)


def ratio_error(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> RatioError:
    """The standard error of a pooled rate, sum of `top` over sum of `bottom`, by leaving out one unit after the other.

    The jackknife errs to the wide side where a few units hold most of the speech, the linearized variance of a ratio (Cochran,
    Sampling Techniques, 1977, section 6.3) to the narrow one; where all units hold equally much the two are the same.

    Args:
        top, bottom: sums per unit, float64, shape (units,), units at least 2; `bottom` adds up to more than 0.
    """
    units, total = len(top), float(bottom.sum())
    rate = float(top.sum()) / total
    seen = math.sqrt(float(((top - rate * bottom) ** 2).sum())) / total
    widening, freedom = math.sqrt(units / (units - 1)), max(1.0, total**2 / float((bottom**2).sum()) - 1)
    left = jackknife_rates(top, bottom)
    if left is not None and seen > 0:
        # Never less than where all hold equally much: about its own mean the jackknife may come out a little smaller.
        widening = max(widening, math.sqrt((units - 1) / units * float(((left - left.mean()) ** 2).sum())) / seen)
    return RatioError(rate=rate, error=widening * seen, widening=widening, freedom=freedom)


def jackknife_rates(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The pooled rate without each unit in turn, shape (units,); None where one unit holds the whole denominator."""
    rest = bottom.sum() - bottom
    return None if (rest <= 0).any() else (top.sum() - top) / rest


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
    if units >= COUNT_FROM:
        tops, bottoms, counts = _categories(numerator, denominator)
        if len(tops) <= units // 4:  # a binomial per category costs about four draws
            step = max(1, DRAWS_AT_ONCE // len(tops))
            for start in range(0, resamples, step):
                times = generator.multinomial(units, counts / units, size=min(step, resamples - start))
                rates[start : start + step] = _ratio(times @ tops, times @ bottoms)
            return rates
    step = max(1, DRAWS_AT_ONCE // units)
    for start in range(0, resamples, step):
        drawn = generator.integers(units, size=(min(step, resamples - start), units))
        rates[start : start + step] = _ratio(numerator[drawn].sum(axis=1), denominator[drawn].sum(axis=1))
    return rates


def resampled_hierarchy(
    numerator: NDArray[np.float64], denominator: NDArray[np.float64], labels: NDArray[np.int64], resamples: int, seed: int
) -> NDArray[np.float64]:
    """The bootstrap distribution of a pooled rate where units are drawn, and then utterances within each drawn unit.

    The second stage is drawn ahead: of each unit a pool of resampled sums, from which each drawn copy of the unit takes one. With
    up to 400 units and 10,000 utterances there are as many as resamples; more speech makes the pool smaller, down to a hundred, so
    that neither time nor memory grows with the product of utterances and resamples.

    Args:
        numerator, denominator: one number per utterance, float64, shape (utterances,).
        labels: the unit of each, int64, shape (utterances,), every number from 0 on in use.
        resamples: draws.
        seed: of NumPy's default generator.

    Returns:
        float64, shape (resamples,); NaN where a draw's denominator is 0.
    """
    generator = np.random.default_rng(seed)
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    units = len(sizes)
    pool = min(resamples, max(POOL_LEAST, min(POOL_NUMBERS // units, POOL_DRAWS // len(labels))))
    tops, bottoms = np.empty((units, pool)), np.empty((units, pool))
    start = 0
    for place, size in enumerate(sizes.tolist()):
        inside = order[start : start + size]
        start += size
        step = max(1, DRAWS_AT_ONCE // size)
        for first in range(0, pool, step):
            drawn = inside[generator.integers(size, size=(min(step, pool - first), size))]
            tops[place, first : first + step] = numerator[drawn].sum(axis=1)
            bottoms[place, first : first + step] = denominator[drawn].sum(axis=1)
    rates = np.empty(resamples)
    step = max(1, DRAWS_AT_ONCE // units)
    for start in range(0, resamples, step):
        shape = min(step, resamples - start), units
        drawn = generator.integers(units, size=shape) * pool + generator.integers(pool, size=shape)
        rates[start : start + step] = _ratio(tops.take(drawn).sum(axis=1), bottoms.take(drawn).sum(axis=1))
    return rates


def tails(rates: NDArray[np.float64], top: NDArray[np.float64], bottom: NDArray[np.float64], method: str) -> tuple[float, float]:
    """Which quantiles of a bootstrap distribution are the ends of the interval.

    Args:
        rates: the distribution, shape (resamples,), without NaN.
        top, bottom: sums per unit, float64, shape (units,).
        method: one of METHODS.
    """
    if method == "percentile":
        return (1 - LEVEL) / 2, (1 + LEVEL) / 2
    if method == "expanded":
        tail = float(special.ndtr(-ratio_error(top, bottom).reach))
        return tail, 1 - tail
    rate = top.sum() / bottom.sum()
    below = (np.mean(rates < rate) + np.mean(rates <= rate)) / 2
    bias = special.ndtri(np.clip(below, 0.5 / len(rates), 1 - 0.5 / len(rates)))
    wanted = bias + special.ndtri(np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    low, high = special.ndtr(bias + wanted / (1 - acceleration(top, bottom) * wanted))
    return float(low), float(high)


def acceleration(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> float:
    """Efron's acceleration of a pooled rate by the jackknife over its units (JASA 1987, section 7): a sixth of the skewness; 0 where all agree."""
    left = jackknife_rates(top, bottom)
    if left is None:
        return 0.0
    influence = left.mean() - left
    spread = float((influence**2).sum())
    return float((influence**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0


def expanded_tail(units: int, level: float = LEVEL) -> float:
    """The share of the bootstrap distribution to leave out on each side where all units hold equally much; less than (1 - level) / 2."""
    quantile = special.stdtrit(units - 1, (1 + level) / 2)
    return float(special.ndtr(-math.sqrt(units / (units - 1)) * quantile))


def student_ends(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> tuple[float, float]:
    """The pooled rate, plus and minus its standard error times Student's t; `top` and `bottom` as for `ratio_error`."""
    found = ratio_error(top, bottom)
    reach = float(special.stdtrit(found.freedom, (1 + LEVEL) / 2)) * found.error
    return found.rate - reach, found.rate + reach


def _check(method: str, unit: str) -> None:
    for name, value, known in (("interval", method, METHODS), ("unit", unit, UNITS)):
        if value not in known:
            raise MisuseError(f'{name} is "{value}", must be one of {", ".join(known)}. Leave it out for "{known[0]}".')


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bottom > 0, top / bottom, np.nan)


def _categories(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Units with the same sums as one category: its sums, and how many units it has."""
    pairs, counts = np.unique(top + 1j * bottom, return_counts=True)
    return pairs.real.copy(), pairs.imag.copy(), counts


def _agree_by_luck(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> bool:
    """Whether all units show one and the same rate other than 0, which would make an interval without width."""
    rate = top.sum() / bottom.sum()
    return bool(rate != 0 and np.abs(top - rate * bottom).max() <= 1e-9 * bottom.max())


def _note(unit: str, drawn: str, units: int, known: int, method: str) -> str:
    notes = []
    if known == 0:
        notes.append("The speakers are unknown, so the interval resamples utterances; it is too narrow if few people spoke them.")
    elif known == 1:
        notes.append("There is one speaker, so the interval resamples utterances; it speaks for this speaker and for nobody else.")
    elif unit == "utterance":
        notes.append(f"The interval resamples utterances, as asked; it is too narrow, because only {known} speakers spoke them.")
    elif units < FEW_SPEAKERS:
        notes.append(f"There are only {units} speakers, fewer than {FEW_SPEAKERS}: the interval is a rough guide to how other speakers would fare.")
    if method in ("percentile", "bca") and drawn == "speakers" and units < ENOUGH_FOR_PLAIN_ENDS:
        name, share = "percentile" if method == "percentile" else "BCa", "82 to 90" if units < 20 else "88 to 92"
        notes.append(
            f"A {name} interval over {units} speakers is too short: in simulations it held the truth in {share} % of test sets instead of 95 %. "
            "The expanded interval comes closer."
        )
    return " ".join(notes)
