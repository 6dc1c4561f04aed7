"""The bootstrap against closed forms, against dependence within speakers, and against the truth in simulation."""

import importlib.util
import math
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from speechadapt.errors import MisuseError, ScoreError
from speechadapt.score import intervals
from speechadapt.score.intervals import (
    acceleration,
    expanded_tail,
    jackknife_rates,
    rate_interval,
    ratio_error,
    resampled_hierarchy,
    resampled_rates,
    student_ends,
    tails,
    units_of,
)

COVERAGE = Path(__file__).resolve().parents[2] / "benchmarks" / "interval_coverage.py"


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
    assert (found.unit, found.units, found.method, found.few_speakers, found.note) == ("speakers", 40, "expanded", False, "")


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


def speakers_of_unequal_size(count: int, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Errors and words of speakers who differ in ability and in how much they said."""
    generator = np.random.default_rng(seed)
    words = generator.integers(50, 600, count).astype(float)
    return generator.binomial(words.astype(int), generator.beta(2, 6, count)).astype(float), words


def scipys(method: str, top: np.ndarray, bottom: np.ndarray, rates: np.ndarray) -> tuple[float, float]:
    """SciPy's interval of the ratio from the same bootstrap distribution."""

    def ratio(above: np.ndarray, below: np.ndarray, axis: int = -1) -> np.ndarray:
        return above.sum(axis=axis) / below.sum(axis=axis)

    given = SimpleNamespace(bootstrap_distribution=rates)
    found = stats.bootstrap((top, bottom), ratio, paired=True, vectorized=True, n_resamples=0, method=method, bootstrap_result=given)
    return found.confidence_interval.low, found.confidence_interval.high


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("count", [10, 60])
def test_percentile_and_bca_are_scipys(method: str, count: int) -> None:
    """From one bootstrap distribution the ends are the same; from SciPy's own draws they agree but for Monte Carlo error."""
    top, bottom = speakers_of_unequal_size(count)
    found = rate_interval(top, bottom, names(count), method=method)
    assert found is not None
    expected = scipys({"bca": "BCa"}.get(method, method), top, bottom, resampled_rates(top, bottom, 10_000, 0))
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)
    other = stats.bootstrap(
        (top, bottom),
        lambda above, below, axis: above.sum(axis=axis) / below.sum(axis=axis),
        paired=True,
        n_resamples=10_000,
        method={"bca": "BCa"}.get(method, method),
        rng=np.random.default_rng(5),
    )
    # The deviation of a 2.5 % quantile of 10,000 normal draws is 2.7 % of the distribution's, 0.7 % of the width; four times that is allowed.
    width = found.high - found.low
    assert found.low == pytest.approx(other.confidence_interval.low, abs=0.028 * width)
    assert found.high == pytest.approx(other.confidence_interval.high, abs=0.028 * width)


def test_the_paired_difference_is_scipys_too() -> None:
    _, bottom = speakers_of_unequal_size(25)
    change = np.random.default_rng(6).integers(-30, 10, 25).astype(float)
    found = rate_interval(change, bottom, names(25), method="bca")
    assert found is not None
    assert (found.low, found.high) == pytest.approx(scipys("BCa", change, bottom, resampled_rates(change, bottom, 10_000, 0)), abs=1e-9)


def test_jackknife_and_acceleration_by_hand() -> None:
    """Rates without each speaker in turn: 5/10, 4/20, 3/20 of (1, 2, 3) errors in (15, 5, 5) words."""
    top, bottom = np.array([1.0, 2.0, 3.0]), np.array([15.0, 5.0, 5.0])
    left = jackknife_rates(top, bottom)
    assert left is not None
    assert left.tolist() == [0.5, 0.2, 0.15]
    influence = 0.85 / 3 - np.array([0.5, 0.2, 0.15])
    assert acceleration(top, bottom) == pytest.approx((influence**3).sum() / (6 * (influence**2).sum() ** 1.5), abs=1e-12)
    assert acceleration(np.ones(5), np.ones(5)) == 0.0
    assert jackknife_rates(np.array([1.0, 0.0]), np.array([2.0, 0.0])) is None  # nothing is left without the first


def test_the_standard_error_is_that_of_a_mean_where_all_say_as_much() -> None:
    values = np.random.default_rng(3).normal(5, 2, 30)
    found = ratio_error(values, np.ones(30))
    assert found.rate == pytest.approx(values.mean())
    assert found.error == pytest.approx(values.std(ddof=1) / math.sqrt(30), abs=1e-12)
    assert found.widening == pytest.approx(math.sqrt(30 / 29))
    assert found.freedom == pytest.approx(29)
    assert 1 - 2 * expanded_tail(30) == pytest.approx(1 - 2 * stats.norm.sf(found.reach))


def test_one_talkative_speaker_leaves_few_degrees_of_freedom() -> None:
    """Nine speakers with 100 words and one with 2,100: 3,000 squared over 4.5 million is two effective speakers."""
    words = np.array([100.0] * 9 + [2100.0])
    found = ratio_error(np.arange(10) * words / 100, words)
    assert found.freedom == pytest.approx(1.0)
    even, uneven = (rate_interval(np.arange(10) * size / 100, size, names(10)) for size in (np.full(10, 300.0), words))
    assert even is not None
    assert uneven is not None
    assert uneven.high - uneven.low > 1.2 * (even.high - even.low)


def test_two_units_reach_as_far_as_student_says() -> None:
    low, high = student_ends(np.array([1.0, 3.0]), np.array([10.0, 10.0]))
    reach = stats.t.ppf(0.975, 1) * 0.1
    assert (low, high) == pytest.approx((0.2 - reach, 0.2 + reach))


def test_the_methods_and_what_they_say_of_themselves() -> None:
    top, bottom = speakers_of_unequal_size(30)
    found = {method: rate_interval(top, bottom, names(30), method=method) for method in ("expanded", "percentile", "bca")}
    expanded, percentile, bca = found.values()
    assert expanded is not None
    assert percentile is not None
    assert bca is not None
    assert [interval.method for interval in (expanded, percentile, bca)] == ["expanded", "percentile", "bca"]
    assert expanded.low < percentile.low < percentile.high < expanded.high
    assert bca.high > percentile.high  # error rates are skewed to the right, which BCa sees
    assert expanded.note == ""
    assert bca.note == (
        "A BCa interval over 30 speakers is too short: in simulations it held the truth in 88 to 92 % of test sets instead of 95 %. "
        "The expanded interval comes closer."
    )
    ten = rate_interval(top[:10], bottom[:10], names(10), method="percentile")
    assert ten is not None
    assert "A percentile interval over 10 speakers is too short: in simulations it held the truth in 82 to 90 % of test sets" in ten.note
    many = rate_interval(*speakers_of_unequal_size(100), names(100), method="percentile")
    assert many is not None
    assert many.note == ""


def test_bca_where_all_agree_or_nothing_changed() -> None:
    found = rate_interval([0.0] * 8, [10.0] * 8, names(8), method="bca")
    assert found is not None
    assert (found.low, found.high) == (0.0, 0.0)
    assert rate_interval([1.0], [2.0], ["s"], method="bca") is None
    few = rate_interval([1.0, 2.0, 3.0], [10.0] * 3, names(3), method="bca")
    assert few is not None
    assert few.method == "student-t"
    low, high = tails(np.array([0.1, 0.2]), np.array([1.0, 2.0, 9.0]), np.array([90.0, 5.0, 5.0]), "bca")
    assert 0 < low < high < 1  # the pooled rate lies below both draws, and yet the ends are numbers


def test_utterances_as_units_ignore_who_spoke_and_say_so() -> None:
    generator = np.random.default_rng(3)
    errors, words = generator.integers(0, 5, 200), np.full(200, 10)
    speakers: list[str | None] = [f"s{number // 20}" for number in range(200)]
    found = rate_interval(errors, words, speakers, unit="utterance")
    blind = rate_interval(errors, words, [None] * 200)
    assert found is not None
    assert blind is not None
    assert (found.ends, found.unit, found.units) == (blind.ends, "utterances", 200)
    assert found.note == "The interval resamples utterances, as asked; it is too narrow, because only 10 speakers spoke them."
    assert (found.few_speakers, blind.few_speakers) == (False, True)


def test_the_hierarchy_adds_what_differs_within_a_speaker() -> None:
    """The variance of draws of speakers alone is that between their rates; drawing their utterances adds the variance within over the utterances.

    Twelve speakers, 15 utterances of ten words each: closed forms for balanced designs (Davison and Hinkley 1997, section 3.8).
    """
    generator = np.random.default_rng(7)
    labels = np.repeat(np.arange(12), 15)
    errors = generator.binomial(10, np.repeat(generator.beta(2, 6, 12), 15)).astype(float)
    rates = resampled_hierarchy(errors, np.full(180, 10.0), labels, 40_000, seed=1)
    table = errors.reshape(12, 15) / 10
    expected = math.sqrt(table.mean(axis=1).var() / 12 + table.var(axis=1).mean() / (12 * 15))
    assert rates.std() == pytest.approx(expected, rel=0.014)  # four deviations of a deviation from 40,000 draws
    assert rates.mean() == pytest.approx(table.mean(), abs=0.002)


def test_the_hierarchical_interval_is_the_widest(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(8)
    speakers: list[str | None] = [f"s{number // 20}" for number in range(240)]
    errors = generator.binomial(10, np.repeat(generator.beta(4, 12, 12), 20))
    plain, both, again = (rate_interval(errors, np.full(240, 10), speakers, unit=unit) for unit in ("speaker", "hierarchical", "hierarchical"))
    assert plain is not None
    assert both is not None
    assert both == again
    assert (both.unit, both.units, both.hierarchical, plain.hierarchical) == ("speakers", 12, True, False)
    assert both.high - both.low > plain.high - plain.low
    monkeypatch.setattr(intervals, "POOL_DRAWS", 240 * 300)  # 300 sums of each speaker instead of 10,000: nearly the same ends
    pooled = rate_interval(errors, np.full(240, 10), speakers, unit="hierarchical")
    assert pooled is not None
    assert pooled.ends != both.ends
    assert pooled.ends == pytest.approx(both.ends, abs=0.05 * (both.high - both.low))
    unknown = rate_interval(errors, np.full(240, 10), [None] * 240, unit="hierarchical")
    assert unknown is not None
    assert (unknown.unit, unknown.hierarchical) == ("utterances", False)


def test_many_units_with_the_same_counts_are_drawn_as_one_category(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same distribution from other draws: deviations of 10,000 draws agree to within 4 times 0.7 % each way."""
    generator = np.random.default_rng(9)
    words = generator.integers(5, 15, 6000).astype(float)
    errors = generator.binomial(words.astype(int), 0.2).astype(float)
    fast = resampled_rates(errors, words, 10_000, seed=1)
    monkeypatch.setattr(intervals, "COUNT_FROM", 10**9)
    slow = resampled_rates(errors, words, 10_000, seed=1)
    assert fast.std() == pytest.approx(slow.std(), rel=0.04)
    assert fast.mean() == pytest.approx(slow.mean(), abs=4 * slow.std() / 70)


def test_very_many_units_that_all_differ_get_students_t() -> None:
    values = np.random.default_rng(10).normal(5, 2, 12_000)
    found = rate_interval(values, np.ones(12_000), names(12_000))
    assert found is not None
    reach = 1.9601 * values.std(ddof=1) / math.sqrt(12_000)
    assert found.method == "student-t"
    assert (found.low, found.high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=1e-4)


def test_ten_thousand_resamples_over_a_thousand_speakers_take_less_than_two_seconds() -> None:
    """Processor time, which other programs do not lengthen much; measured at 0.05 s (0.5 s with utterances drawn too, of 20,000)."""
    generator = np.random.default_rng(11)
    speakers: list[str | None] = [f"s{number // 20}" for number in range(20_000)]
    errors, words = generator.integers(0, 4, 20_000), np.full(20_000, 10)

    def seconds(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    assert seconds(lambda: rate_interval(errors, words, speakers)) < 2
    assert seconds(lambda: rate_interval(errors, words, speakers, method="bca")) < 2
    assert seconds(lambda: rate_interval(errors, words, speakers, unit="hierarchical")) < 4


def test_no_such_interval_or_unit() -> None:
    for wish, message in (
        ({"method": "bootstrap-t"}, 'interval is "bootstrap-t", must be one of expanded, percentile, bca. Leave it out for "expanded".'),
        ({"unit": "word"}, 'unit is "word", must be one of speaker, utterance, hierarchical. Leave it out for "speaker".'),
    ):
        with pytest.raises(MisuseError) as caught:
            rate_interval([1, 2], [2, 2], ["a", "b"], **wish)
        assert str(caught.value) == message


def coverage_benchmark() -> ModuleType:
    """`benchmarks/interval_coverage.py`, which is a script and no part of a package."""
    spec = importlib.util.spec_from_file_location("interval_coverage", COVERAGE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("count", [10, 30, 100])
@pytest.mark.parametrize("scenario", ["beta", "log-normal"])
def test_the_default_interval_covers_what_it_promises(scenario: str, count: int) -> None:
    """Nominal 95 %: 93 to 97 % of 1,000 simulated test sets, give or take 1.4 points (two deviations), for a WER and for a paired difference."""
    rows = coverage_benchmark().coverage(scenario, count, methods=["expanded"], trials=1000, resamples=1000, seed=1)
    assert {row["of"] for row in rows} == {"WER", "difference"}
    for row in rows:
        assert 0.93 - 0.014 <= row["inside"] <= 0.97 + 0.014, row


@pytest.mark.slow
def test_percentile_and_bca_cover_less_with_ten_speakers_as_their_note_says() -> None:
    rows = coverage_benchmark().coverage("log-normal", 10, methods=["percentile", "bca"], trials=600, resamples=1000, seed=1)
    for row in rows:
        assert 0.80 <= row["inside"] < 0.93, row


def test_the_coverage_benchmark_runs() -> None:
    rows = coverage_benchmark().coverage("beta", 10, methods=["expanded", "hierarchical", "utterances"], trials=12, resamples=200)
    assert len(rows) == 6
    for row in rows:
        assert row["inside"] + row["below"] + row["above"] + row["none"] == pytest.approx(1)
    inside = {(row["interval"], row["of"]): row["inside"] for row in rows}
    assert inside["utterances", "WER"] < inside["expanded", "WER"]
