"""Power: the smallest difference a test set could have shown, and how many more speakers it would take to show a given one."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from speechadapt.errors import MisuseError, ScoreError
from speechadapt.score.intervals import ratio_error, unit_sums, units_of

LEVEL = 0.05
POWER = 0.8
MOST_UNITS = 10_000_000
"""A test set of more than this many speakers is no advice."""
NORMAL_FROM = 10_000
"""From this many degrees of freedom on Student's t is normal to five digits."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What a paired test of this size can show.

    Attributes:
        detectable: the smallest difference of WERs, a fraction above 0, that comes out significant in 80 % of such test sets.
        target: the difference to be shown, a fraction, without its sign: the one asked for, or else the one seen.
        asked: whether it was asked for.
        units_needed: speakers (or utterances) it takes to show `target`; None if there is none, or it would take more than ten million.
        units, unit: how many there are, of "speakers" or "utterances".
        power, level: 0.8 and 0.05, two-sided.
    """

    detectable: float
    target: float
    asked: bool
    units_needed: int | None
    units: int
    unit: str
    power: float = POWER
    level: float = LEVEL

    @property
    def more(self) -> int | None:
        """How many more speakers (or utterances) like these are needed; 0 if there are enough."""
        return None if self.units_needed is None else max(0, self.units_needed - self.units)

    @property
    def sentence(self) -> str:
        """Both answers in words."""
        could = (
            f"could have shown a change of {_points(self.detectable)} points or more"
            if self.detectable <= 1
            else "could hardly have shown any change"
        )
        able = f"With {self.units} {self.unit} this test {could} ({100 * self.power:.0f} % power, two-sided {100 * self.level:.0f} %)"
        what = f"the {_points(self.target)} points {'asked for' if self.asked else 'seen'}"
        if self.target == 0:
            return f"{able}."
        if self.more is None:
            return f"{able}; for {what} no test set is large enough."
        if self.more == 0:
            return f"{able}; for {what} it is large enough."
        kind = self.unit[:-1] if self.more == 1 else self.unit
        return f"{able}; to show {what} takes about {_round(self.more):,} more {kind} like these."

    def to_json(self) -> dict[str, Any]:
        """All fields, `more` and the sentence as a JSON object."""
        return {**dataclasses.asdict(self), "more": self.more, "sentence": self.sentence}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Power":
        """The record from one decoded JSON object."""
        return cls(**{field.name: value[field.name] for field in dataclasses.fields(cls)})


def paired_power(
    difference: Sequence[float] | NDArray[Any],
    words: Sequence[float] | NDArray[Any],
    speakers: Sequence[str | None],
    *,
    detect: float | None = None,
) -> Power | None:
    """The power of a test of two systems' WERs on the same utterances, from how much the speakers' differences vary.

    Student's t with the standard error and the degrees of freedom of the default interval, and the noncentral t distribution for its
    power (Cohen, Statistical Power Analysis, 1988, chapter 2). More speakers are taken to be like these: as varied, and
    as talkative. The variation is itself estimated; from ten speakers the number needed is right within a factor of two or so.

    Args:
        difference: errors of adapted minus base per utterance, shape (utterances,).
        words: reference words per utterance.
        speakers: one name per utterance; with fewer than two names the utterances are the unit.
        detect: the difference to show, a fraction above 0; None for the one seen.

    Returns:
        None with fewer than two units, no words, or where all changed alike, which says nothing about how others vary.

    Raises:
        ScoreError: the lists differ in length.
        MisuseError: `detect` is not above 0 and at most 1.
    """
    if not len(difference) == len(words) == len(speakers):
        raise ScoreError(
            f"{len(difference)} differences, {len(words)} numbers of words and {len(speakers)} speakers; "
            "the power of a test needs one of each for every utterance. Pass lists of equal length."
        )
    if detect is not None and not 0 < detect <= 1:
        raise MisuseError(f"the difference to detect is {100 * detect:g} points, must be above 0 and at most 100. Give points of WER, such as 2.")
    labels, unit = units_of(speakers)
    units = int(labels.max()) + 1 if len(labels) else 0
    if units < 2:
        return None
    top, bottom = (unit_sums(labels, np.asarray(values, dtype=np.float64)) for values in (difference, words))
    if bottom.sum() <= 0:
        return None
    found = ratio_error(top, bottom)
    if found.error <= 1e-12:
        return None
    share = (found.freedom + 1) / units  # effective units per unit; another unit brings as much as these do

    def shows(count: int) -> float:
        return noncentrality(max(1.0, share * count - 1)) * found.error * math.sqrt(units / count)

    target = (abs(found.rate) if abs(found.rate) > 1e-12 else 0.0) if detect is None else detect
    return Power(
        detectable=shows(units),
        target=target,
        asked=detect is not None,
        units_needed=_fewest(shows, target),
        units=units,
        unit=unit,
    )


def noncentrality(freedom: float, power: float = POWER, level: float = LEVEL) -> float:
    """How many standard errors a difference must be for a two-sided t test to find it with this power.

    2.80 for many degrees of freedom, the sum of the normal quantiles 1.96 and 0.84. The other tail is left out; at a power of 80 %
    it holds nothing.
    """
    if freedom >= NORMAL_FROM:
        return float(special.ndtri(1 - level / 2) + special.ndtri(power))
    threshold = special.stdtrit(freedom, 1 - level / 2)
    return float(special.nctdtrinc(freedom, 1 - power, threshold))


def _fewest(shows: Callable[[int], float], target: float) -> int | None:
    """The smallest number of units that shows `target`; `shows` falls as units grow."""
    if target <= 0 or shows(MOST_UNITS) > target:
        return None
    low, high = 1, MOST_UNITS  # low does not show it, high does
    while high - low > 1:
        middle = (low + high) // 2
        if shows(middle) <= target:
            high = middle
        else:
            low = middle
    return high


def _points(difference: float) -> str:
    """A size in points, with more digits where it is small."""
    return f"{100 * difference:.1f}" if difference >= 0.0995 / 100 else f"{100 * difference:.2g}"


def _round(count: int) -> int:
    """Two digits: more would claim to know."""
    scale = int(10 ** max(0, len(str(count)) - 2))
    return math.ceil(count / scale) * scale
