"""Is a difference of two systems chance? The matched-pairs test over utterances, and a test that flips whole speakers."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from speechadapt.errors import ScoreError
from speechadapt.score.intervals import DRAWS_AT_ONCE, units_of

EXACT_UP_TO = 14
FLIPS = 10_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MatchedPairs:
    """Result of the matched-pairs test.

    Attributes:
        segments: utterances compared.
        mean_difference: errors per utterance, adapted minus base.
        statistic: the mean difference over its standard error; None where every difference is the same.
        p_value: two-sided; None with fewer than two segments.
    """

    segments: int
    mean_difference: float
    statistic: float | None
    p_value: float | None


def matched_pairs(base_errors: Sequence[int], adapted_errors: Sequence[int]) -> MatchedPairs:
    """Matched-pairs test on the errors of each utterance.

    The segments of Gillick and Cox ("Some statistical issues in the comparison of speech recognition algorithms", ICASSP 1989;
    MAPSSWE in NIST's sc_stats) are whole utterances, whose errors they take to be independent. Where a speaker has many
    utterances they are not, and this p-value is too small: trust the interval over speakers, or `speaker_flips`, first.
    Student's t replaces their normal distribution; from some 50 segments on the two agree.

    Raises:
        ScoreError: the two lists differ in length.
    """
    difference = _differences(base_errors, adapted_errors)
    segments = len(difference)
    mean = float(difference.mean()) if segments else 0.0
    if segments < 2:
        return MatchedPairs(segments=segments, mean_difference=mean, statistic=None, p_value=None)
    error = float(difference.std(ddof=1)) / math.sqrt(segments)
    if error == 0:  # every utterance changed by the same amount: t is undefined, the sign test is not
        return MatchedPairs(segments=segments, mean_difference=mean, statistic=None, p_value=1.0 if mean == 0 else 2.0 * 0.5**segments)
    statistic = mean / error
    return MatchedPairs(segments=segments, mean_difference=mean, statistic=statistic, p_value=float(2 * special.stdtr(segments - 1, -abs(statistic))))


def speaker_flips(base_errors: Sequence[int], adapted_errors: Sequence[int], speakers: Sequence[str | None], *, seed: int = 0) -> float | None:
    """Paired permutation test by speaker: how often chance alone, swapping the two systems speaker by speaker, differs as much.

    Exact up to 14 units, else 10,000 random swaps (with the observed one counted, so that p is never 0). With n units p cannot
    fall below 2 / 2**n: five speakers cannot reach 0.05, whatever they say.

    Returns:
        The two-sided p-value; None with fewer than two units.

    Raises:
        ScoreError: the lists differ in length.
    """
    difference = _differences(base_errors, adapted_errors)
    if len(speakers) != len(difference):
        raise ScoreError(f"{len(difference)} utterances and {len(speakers)} speakers; give one speaker (or None) per utterance.")
    labels, _ = units_of(speakers)
    if len(labels) == 0 or labels.max() < 1:
        return None
    sums = np.bincount(labels, weights=difference)
    observed = abs(sums.sum())
    if len(sums) <= EXACT_UP_TO:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(sums))))
        return float(np.mean(np.abs(signs @ sums) >= observed))
    generator = np.random.default_rng(seed)
    extreme, done = 0, 0
    while done < FLIPS:
        count = min(FLIPS - done, max(1, DRAWS_AT_ONCE // len(sums)))
        signs = generator.integers(2, size=(count, len(sums))) * 2.0 - 1
        extreme += int(np.sum(np.abs(signs @ sums) >= observed))
        done += count
    return (extreme + 1) / (FLIPS + 1)


def _differences(base_errors: Sequence[int], adapted_errors: Sequence[int]) -> NDArray[np.float64]:
    if len(base_errors) != len(adapted_errors):
        raise ScoreError(
            f"{len(base_errors)} base utterances and {len(adapted_errors)} adapted ones; a paired test needs the same utterances on both sides."
        )
    return np.asarray(adapted_errors, dtype=np.float64) - np.asarray(base_errors, dtype=np.float64)
