"""Is a difference of two systems chance? Tests by speaker, by utterance, and by NIST's sentence segments.

Speakers are the unit that counts: what one person says errs together, so tests that take utterances, segments or sentences as
independent find differences that another set of speakers would not show. `permutation_test` and `student_test` answer for
other speakers; MAPSSWE, matched pairs and McNemar answer for other sentences of the same speakers.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from speechadapt.errors import ScoreError
from speechadapt.score.intervals import DRAWS_AT_ONCE, ratio_error, unit_sums, units_of

EXACT_UP_TO = 14
FLIPS = 10_000
LEVEL = 0.05


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """Result of one test of two systems on the same utterances.

    Attributes:
        compared: what was taken as independent: "speakers", "utterances", or "sentence segments".
        n: how many of them took part.
        statistic: what the test looks at; below 0 (for counts: above half of n) the adapted system is better. None where it has no value.
        p_value: two-sided; None where there are too few to tell.
        method: how p was found, such as "exact" or "normal".
    """

    compared: str
    n: int
    statistic: float | None
    p_value: float | None
    method: str

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        return dataclasses.asdict(self)


Errors = Sequence[int] | NDArray[Any]


def matched_pairs(base_errors: Errors, adapted_errors: Errors) -> PairedTest:
    """Matched-pairs test on the errors of each utterance; `statistic` is the mean difference over its standard error.

    The segments of Gillick and Cox ("Some statistical issues in the comparison of speech recognition algorithms", ICASSP 1989) are
    whole utterances here (`mapsswe` cuts them), whose errors they take to be independent. Where a speaker has many utterances
    they are not, and this p-value is too small: trust the interval over speakers, or `speaker_flips`, first.
    Student's t replaces their normal distribution; from some 50 segments on the two agree.

    Raises:
        ScoreError: the two lists differ in length.
    """
    return _mean_test(_differences(base_errors, adapted_errors), "utterances", normal=False)


def mapsswe(base_errors: Errors, adapted_errors: Errors) -> PairedTest:
    """NIST's matched-pairs sentence-segment word error test; `statistic` is Z, the mean difference over its standard error.

    Gillick and Cox, ICASSP 1989, as in sc_stats of NIST's SCTK: segments end where both systems are right for two words, the
    variance divides by n - 1, and Z is normal. Two things differ from sc_stats. It aligns with a substitution at 4 and the others at 3,
    we with all at 1, so that the errors add up to those of the report. And it overlooks what the second system inserts after the
    last word of an utterance, unless the first does so too; here it counts. Like all tests over segments it says nothing about other speakers.

    Args:
        base_errors, adapted_errors: errors in each segment, as `segments.segment_errors` finds them.

    Raises:
        ScoreError: the two lists differ in length.
    """
    return _mean_test(_differences(base_errors, adapted_errors), "sentence segments", normal=True)


def mcnemar(base_errors: Errors, adapted_errors: Errors) -> PairedTest:
    """McNemar's exact test on sentence errors; `statistic` is how many of the n utterances only the adapted system has right.

    McNemar, Psychometrika 1947; n counts the utterances that exactly one of the systems has right throughout, and p is that of
    n tosses of a coin.

    Raises:
        ScoreError: the two lists differ in length.
    """
    _differences(base_errors, adapted_errors)
    before, after = np.asarray(base_errors) > 0, np.asarray(adapted_errors) > 0
    return _coin_test(int((before & ~after).sum()), int((after & ~before).sum()), "utterances")


def sign_test(base_errors: Errors, adapted_errors: Errors, speakers: Sequence[str | None]) -> PairedTest:
    """Sign test over speakers (utterances where fewer than two speakers are known); `statistic` is for how many of the n WER fell.

    The "signed paired comparison" of sc_stats, but that speakers whose WER stayed are left out, as is usual (Conover, Practical
    Nonparametric Statistics, 1999, section 3.4), instead of being shared out.

    Raises:
        ScoreError: the lists differ in length.
    """
    sums, compared = _by_unit(_differences(base_errors, adapted_errors), speakers)
    return _coin_test(int((sums < 0).sum()), int((sums > 0).sum()), compared)


def wilcoxon(base_errors: Errors, adapted_errors: Errors, words: Errors, speakers: Sequence[str | None]) -> PairedTest:
    """Wilcoxon's signed-rank test of the speakers' differences of WER (utterances' where fewer than two speakers are known).

    SciPy's: exact up to 50 speakers without ties, else normal, or by permutation for very few. Speakers whose WER stayed are left out
    (Wilcoxon, Biometrics Bulletin 1945). `statistic` is the sum of the ranks of those who got worse, less that of those who got better.

    Raises:
        ScoreError: the lists differ in length.
    """
    from scipy import stats  # takes as long to import as all the rest of scoring

    difference = _differences(base_errors, adapted_errors)
    sums, compared = _by_unit(difference, speakers)
    sizes, _ = _by_unit(_as_long(words, difference), speakers)
    moved = (sums != 0) & (sizes > 0)
    changes = np.round(sums[moved] / sizes[moved], 12)  # equal changes must tie, whatever their last binary digit
    if len(changes) == 0:
        return PairedTest(compared=compared, n=0, statistic=0.0 if len(sums) > 1 else None, p_value=1.0 if len(sums) > 1 else None, method="exact")
    ranks = stats.rankdata(np.abs(changes))
    exact = len(changes) <= 50 and len(set(ranks.tolist())) == len(ranks)
    method = "exact" if exact else "permutation" if len(changes) <= 13 else "normal"
    with np.errstate(all="ignore"):
        found = stats.wilcoxon(changes)
    balance = float((np.sign(changes) * ranks).sum())
    return PairedTest(compared=compared, n=len(changes), statistic=balance, p_value=float(found.pvalue), method=method)


def student_test(base_errors: Errors, adapted_errors: Errors, words: Errors, speakers: Sequence[str | None]) -> PairedTest:
    """Student's t of the difference of WERs over its standard error across speakers; `statistic` is t.

    The standard error and the degrees of freedom are those of the default interval (`intervals.ratio_error`), so the two agree but
    for skewness. Unlike a permutation test it is not bound from below where speakers are few, which Holm's correction needs.

    Raises:
        ScoreError: the lists differ in length.
    """
    difference = _differences(base_errors, adapted_errors)
    sums, compared = _by_unit(difference, speakers)
    sizes, _ = _by_unit(_as_long(words, difference), speakers)
    if len(sums) < 2 or sizes.sum() <= 0:
        return PairedTest(compared=compared, n=len(sums), statistic=None, p_value=None, method="Student's t")
    found = ratio_error(sums, sizes)
    if found.error <= 1e-12:  # all changed alike: t is undefined, the sign test is not
        changed = int((sums != 0).sum())
        return PairedTest(compared=compared, n=len(sums), statistic=None, p_value=min(1.0, 2.0 * 0.5**changed), method="sign test")
    statistic = found.rate / found.error
    p_value = float(2 * special.stdtr(found.freedom, -abs(statistic)))
    return PairedTest(compared=compared, n=len(sums), statistic=statistic, p_value=p_value, method="Student's t")


def permutation_test(base_errors: Errors, adapted_errors: Errors, speakers: Sequence[str | None], *, seed: int = 0) -> PairedTest:
    """`speaker_flips` with what it rests on; `statistic` is the difference of errors, adapted minus base.

    Raises:
        ScoreError: the lists differ in length.
    """
    p_value = speaker_flips(base_errors, adapted_errors, speakers, seed=seed)
    sums, compared = _by_unit(_differences(base_errors, adapted_errors), speakers)
    method = "exact" if len(sums) <= EXACT_UP_TO else f"{FLIPS:,} random swaps"
    return PairedTest(compared=compared, n=len(sums), statistic=float(sums.sum()), p_value=p_value, method=method)


def speaker_flips(base_errors: Errors, adapted_errors: Errors, speakers: Sequence[str | None], *, seed: int = 0) -> float | None:
    """Paired permutation test by speaker: how often chance alone, swapping the two systems speaker by speaker, differs as much.

    Exact up to 14 units, else 10,000 random swaps (with the observed one counted, so that p is never 0). With n units p cannot
    fall below 2 / 2**n: five speakers cannot reach 0.05, whatever they say.

    Returns:
        The two-sided p-value; None with fewer than two units.

    Raises:
        ScoreError: the lists differ in length.
    """
    sums, _ = _by_unit(_differences(base_errors, adapted_errors), speakers)
    if len(sums) < 2:
        return None
    observed = abs(sums.sum())
    sums = sums[sums != 0]  # swapping equal sums changes nothing
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


def _mean_test(difference: NDArray[np.float64], compared: str, *, normal: bool) -> PairedTest:
    count = len(difference)
    method = "normal" if normal else "Student's t"
    mean = float(difference.mean()) if count else 0.0
    if count < 2:
        return PairedTest(compared=compared, n=count, statistic=None, p_value=None, method=method)
    error = float(difference.std(ddof=1)) / math.sqrt(count)
    if error == 0:  # all changed by the same amount: t is undefined, the sign test is not
        return PairedTest(compared=compared, n=count, statistic=None, p_value=1.0 if mean == 0 else 2.0 * 0.5**count, method="sign test")
    statistic = mean / error
    tail = special.ndtr(-abs(statistic)) if normal else special.stdtr(count - 1, -abs(statistic))
    return PairedTest(compared=compared, n=count, statistic=statistic, p_value=float(2 * tail), method=method)


def _coin_test(better: int, worse: int, compared: str) -> PairedTest:
    """Two-sided binomial test of a fair coin."""
    p_value = min(1.0, 2 * float(special.bdtr(min(better, worse), better + worse, 0.5)))
    return PairedTest(compared=compared, n=better + worse, statistic=float(better), p_value=p_value, method="exact")


def _by_unit(values: NDArray[np.float64], speakers: Sequence[str | None]) -> tuple[NDArray[np.float64], str]:
    if len(speakers) != len(values):
        raise ScoreError(f"{len(values)} utterances and {len(speakers)} speakers; give one speaker (or None) per utterance.")
    labels, compared = units_of(speakers)
    return unit_sums(labels, values), compared


def _as_long(words: Errors, difference: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(words) != len(difference):
        raise ScoreError(f"{len(difference)} utterances and {len(words)} numbers of words; give the reference words of each utterance.")
    return np.asarray(words, dtype=np.float64)


def _differences(base_errors: Errors, adapted_errors: Errors) -> NDArray[np.float64]:
    if len(base_errors) != len(adapted_errors):
        raise ScoreError(
            f"{len(base_errors)} base utterances and {len(adapted_errors)} adapted ones; a paired test needs the same utterances on both sides."
        )
    return np.asarray(adapted_errors, dtype=np.float64) - np.asarray(base_errors, dtype=np.float64)
