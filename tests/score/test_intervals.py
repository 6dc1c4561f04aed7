"""The bootstrap against closed forms, against dependence within speakers, and against the truth in simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from speechadapt.errors import ScoreError
from speechadapt.score.intervals import expanded_tail, rate_interval, resampled_rates, units_of


def names(count: int) -> list[str]:
    return [f"s{number}" for number in range(count)]


def test_the_spread_of_the_bootstrap_is_that_of_a_mean() -> None:
    """With one word per speaker the rate is a mean, and its bootstrap deviation is exactly sigma / sqrt(n), sigma with n in the divisor."""
    values = np.random.default_rng(3).normal(5, 2, size=30)
    rates = resampled_rates(values, np.ones(30), 40_000, seed=1)
    # A deviation estimated from 40,000 draws is off by 1 / sqrt(80,000) = 0.35 %; four times that is allowed.
    assert rates.std() == pytest.approx(values.std() / math.sqrt(30), rel=0.014)
    assert rates.mean() == pytest.approx(values.mean(), abs=4 * rates.std() / 200)


def test_the_interval_of_a_mean_is_students() -> None:
    """Expanded percentiles of a mean of independent speakers are, but for skewness, Student's t interval."""
    values = np.random.default_rng(8).normal(5, 2, size=40)
    found = rate_interval(values.tolist(), [1.0] * 40, names(40), resamples=40_000)
    low, high = stats.t.interval(0.95, 39, loc=values.mean(), scale=stats.sem(values))
    assert found is not None
    width = high - low
    assert found.low == pytest.approx(low, abs=0.05 * width)  # skewness and Monte Carlo error together stay under a twentieth
    assert found.high == pytest.approx(high, abs=0.05 * width)
    assert (found.unit, found.units, found.method, found.few_speakers, found.note) == ("speakers", 40, "bootstrap", False, "")


def test_the_interval_of_a_wer_is_the_binomial_one_where_words_are_independent() -> None:
    """1,000 one-word utterances with 200 errors, each its own unit: p plus or minus 1.96 sqrt(p (1 - p) / n)."""
    errors = [1] * 200 + [0] * 800
    found = rate_interval(errors, [1] * 1000, [None] * 1000)
    reach = 1.96 * math.sqrt(0.2 * 0.8 / 1000)
    assert found is not None
    assert found.low == pytest.approx(0.2 - reach, abs=0.002)  # errors come in steps of 0.001
    assert found.high == pytest.approx(0.2 + reach, abs=0.002)


def test_repeating_every_utterance_of_a_speaker_adds_no_evidence() -> None:
    """What a speaker says ten times is one voice: over speakers the interval stays, over utterances it would shrink by sqrt(10)."""
    errors, words = [3, 1, 0, 4, 2, 5, 1, 2, 0, 3], [10] * 10
    once = rate_interval(errors, words, names(10))
    tenfold = rate_interval(errors * 10, words * 10, names(10) * 10)
    blind = rate_interval(errors * 10, words * 10, [None] * 100)
    assert once is not None
    assert tenfold is not None
    assert blind is not None
    assert (tenfold.low, tenfold.high) == (once.low, once.high)
    assert blind.high - blind.low < 0.5 * (once.high - once.low)


def test_pairing_removes_what_both_systems_share() -> None:
    """Two systems that differ by one error everywhere: the paired interval has no width, however much the speakers differ."""
    base = [2, 9, 4, 7, 1, 8, 3, 6]
    found = rate_interval([-1] * 8, [10] * 8, names(8))
    alone = rate_interval(base, [10] * 8, names(8))
    assert found is not None
    assert alone is not None
    assert (found.low, found.high) == (-0.1, -0.1)
    assert alone.high - alone.low > 0.2


def test_coverage_with_eight_speakers() -> None:
    """Speakers of different ability with different amounts of speech: the true 25 % lies inside at close to the nominal rate.

    600 simulations estimate a coverage to within 1.8 points (two deviations); plain percentiles reach 85 to 86 % here.
    """
    generator = np.random.default_rng(1)
    inside = plain = 0
    for trial in range(600):
        words = generator.integers(50, 400, size=8)
        errors = generator.binomial(words, generator.beta(2, 6, size=8))
        found = rate_interval(errors.tolist(), words.tolist(), names(8), resamples=1000, seed=trial)
        assert found is not None
        inside += found.low <= 0.25 <= found.high
        low, high = np.quantile(resampled_rates(errors.astype(float), words.astype(float), 1000, trial), [0.025, 0.975])
        plain += low <= 0.25 <= high
    assert 0.90 <= inside / 600 <= 0.97
    assert plain < inside


def test_the_tail_narrows_where_units_are_few() -> None:
    # By hand for 8 units: t(7) at 0.975 is 2.3646, times sqrt(8 / 7) is 2.5279; the normal tail below -2.5279 is 0.00574.
    assert expanded_tail(8) == pytest.approx(0.00574, abs=1e-5)
    assert expanded_tail(100_000) == pytest.approx(0.025, abs=1e-5)


def test_three_speakers_get_students_t_and_a_sentence() -> None:
    found = rate_interval([1, 2, 3], [10, 10, 10], names(3))
    assert found is not None
    reach = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)  # equal denominators: the ratio is a mean with deviation 0.1
    assert (found.low, found.high) == pytest.approx((0.2 - reach, 0.2 + reach))
    assert (found.method, found.few_speakers) == ("student-t", True)
    assert found.note == "There are only 3 speakers, fewer than 8: the interval is a rough guide to how other speakers would fare."


def test_unknown_speakers_and_one_speaker_fall_back_to_utterances_and_say_so() -> None:
    unknown = rate_interval([1] * 5 + [0] * 5, [2] * 10, [None] * 10)
    one = rate_interval([1] * 5 + [0] * 5, [2] * 10, ["s"] * 10)
    assert unknown is not None
    assert one is not None
    assert (unknown.unit, unknown.units, unknown.few_speakers) == ("utterances", 10, True)
    assert (one.unit, one.units, one.few_speakers) == ("utterances", 10, True)
    assert unknown.note == "The speakers are unknown, so the interval resamples utterances; it is too narrow if few people spoke them."
    assert one.note == "There is one speaker, so the interval resamples utterances; it speaks for this speaker and for nobody else."


def test_an_utterance_without_a_speaker_is_a_unit_of_its_own() -> None:
    labels, unit = units_of(["a", None, "b", "a", None])
    assert labels.tolist() == [0, 1, 2, 0, 3]
    assert unit == "speakers"


def test_the_seed_decides() -> None:
    arguments = ([3, 1, 0, 4, 2, 5], [10] * 6, names(6))
    assert rate_interval(*arguments, seed=4) == rate_interval(*arguments, seed=4)
    first, second = rate_interval(*arguments, seed=4, resamples=200), rate_interval(*arguments, seed=5, resamples=200)
    assert first is not None
    assert second is not None
    assert (first.low, first.high) != (second.low, second.high)


def test_pieces_of_the_draws_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    values, ones = np.arange(20.0), np.ones(20)
    whole = resampled_rates(values, ones, 500, seed=2)
    monkeypatch.setattr("speechadapt.score.intervals.DRAWS_AT_ONCE", 20 * 64)  # a whole number of generator words per piece
    assert np.array_equal(resampled_rates(values, ones, 500, seed=2), whole)


def test_no_interval_where_there_is_none() -> None:
    assert rate_interval([1], [2], ["s"]) is None
    assert rate_interval([], [], []) is None
    assert rate_interval([1, 2], [2, 2], ["a", "b"], resamples=0) is None
    assert rate_interval([0, 0, 1, 0, 0, 0], [0, 0, 1, 0, 0, 0], names(6)) is None  # a third of the draws would divide by 0


def test_a_few_units_that_agree_exactly_are_no_evidence() -> None:
    assert rate_interval([-1] * 5, [10] * 5, names(5)) is None  # the sign test: 2 / 2**5 is above 5 %
    six = rate_interval([-1] * 6, [10] * 6, names(6))
    assert six is not None
    assert (six.low, six.high) == (-0.1, -0.1)
    unchanged = rate_interval([0, 0], [10, 10], names(2))
    assert unchanged is not None
    assert (unchanged.low, unchanged.high) == (0.0, 0.0)


def test_lists_that_do_not_fit() -> None:
    with pytest.raises(ScoreError) as caught:
        rate_interval([1, 2], [2, 2], ["a"])
    assert str(caught.value) == (
        "2 numerators, 2 denominators and 1 speakers; an interval needs one of each for every utterance. Pass lists of equal length."
    )
    with pytest.raises(ScoreError) as caught:
        rate_interval([1, 2], [2, 2], ["a", "b"], resamples=-1)
    assert str(caught.value) == "resamples is -1, must be 0 (no interval) or more. Leave it at 10000."
