"""The smallest difference and the speakers needed, against statsmodels' figures and against simulation."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from speechadapt.errors import MisuseError, ScoreError
from speechadapt.score.intervals import rate_interval
from speechadapt.score.power import Power, noncentrality, paired_power


def names(count: int) -> list[str]:
    return [f"s{number}" for number in range(count)]


def with_deviation(count: int, deviation: float, mean: float = 0.0) -> list[float]:
    """Numbers with exactly this mean and standard deviation."""
    values = np.random.default_rng(2).normal(size=count)
    return (mean + deviation * (values - values.mean()) / values.std(ddof=1)).tolist()


def test_the_detectable_difference_is_that_of_a_t_test() -> None:
    """statsmodels 0.15: TTestPower().solve_power(nobs=12, alpha=0.05, power=0.8) is an effect of 0.8886543 deviations."""
    found = paired_power(with_deviation(12, 10.0), [100.0] * 12, names(12))
    assert found is not None
    assert found.detectable == pytest.approx(0.8886543444 * 0.1, abs=1e-6)
    assert (found.units, found.unit, found.units_needed, found.more) == (12, "speakers", None, None)  # no difference was seen
    assert found.sentence == "With 12 speakers this test could have shown a change of 8.9 points or more (80 % power, two-sided 5 %)."


def test_the_speakers_needed_are_those_of_a_t_test() -> None:
    """statsmodels 0.15: an effect of half a deviation needs 33.37 pairs."""
    found = paired_power(with_deviation(12, 10.0, mean=-5.0), [100.0] * 12, names(12))
    assert found is not None
    assert found.target == pytest.approx(0.05)
    assert (found.units_needed, found.more, found.asked) == (34, 22, False)
    assert found.sentence == (
        "With 12 speakers this test could have shown a change of 8.9 points or more (80 % power, two-sided 5 %); "
        "to show the 5.0 points seen takes about 22 more speakers like these."
    )


def test_a_difference_asked_for() -> None:
    few, enough, one = (paired_power(with_deviation(12, 10.0, mean=-5.0), [100.0] * 12, names(12), detect=wish) for wish in (0.01, 0.1, 0.0855))
    assert few is not None
    assert enough is not None
    assert one is not None
    assert (few.asked, few.target, few.units_needed, few.more) == (True, 0.01, 787, 775)  # statsmodels: 786.8
    assert few.sentence.endswith("; to show the 1.0 points asked for takes about 780 more speakers like these.")
    assert enough.more == 0
    assert enough.sentence.endswith("; for the 10.0 points asked for it is large enough.")
    assert one.sentence.endswith("takes about 1 more speaker like these.")


def test_a_difference_next_to_nothing_has_no_test_set() -> None:
    found = paired_power(with_deviation(12, 10.0), [100.0] * 12, names(12), detect=1e-6)
    assert found is not None
    assert found.more is None
    assert found.sentence.endswith("; for the 0.0001 points asked for no test set is large enough.")


@pytest.mark.parametrize("freedom", [1, 2.5, 9, 100, 9_999, 10_000, 1e9])
def test_the_power_at_the_noncentrality_is_80_percent(freedom: float) -> None:
    threshold = stats.t.ppf(0.975, freedom)
    # Beyond 9,999 the normal distribution stands in; SciPy's own inverse is good to about 1e-6.
    assert stats.nct.sf(threshold, freedom, noncentrality(freedom)) == pytest.approx(0.8, abs=2e-6 if freedom < 10_000 else 1e-4)


def test_unequal_shares_of_speech_need_more_speakers() -> None:
    """With half of all words from one speaker there are fewer than ten speakers' worth of evidence."""
    difference = [10.0, -14.0] * 5
    even = paired_power(difference, [100.0] * 10, names(10), detect=0.02)
    uneven = paired_power([9 * difference[0], *difference[1:]], [900.0] + [100.0] * 9, names(10), detect=0.02)
    assert even is not None
    assert uneven is not None
    assert uneven.detectable > 1.5 * even.detectable
    assert (uneven.more or 0) > 2 * (even.more or 0)


def test_utterances_where_speakers_are_unknown() -> None:
    found = paired_power([1, -2, 0, 1, -1, -3], [10] * 6, [None] * 6)
    assert found is not None
    assert (found.unit, found.units) == ("utterances", 6)
    assert "With 6 utterances this test" in found.sentence
    assert found.sentence.endswith("more utterances like these.")


def test_nothing_to_go_by() -> None:
    assert paired_power([], [], []) is None
    assert paired_power([1], [10], ["a"]) is None
    assert paired_power([0, 0], [10, 10], ["a", "b"]) is None  # no difference anywhere
    assert paired_power([-1, -1], [10, 10], ["a", "b"]) is None  # all alike
    assert paired_power([1, 2], [0, 0], ["a", "b"]) is None


def test_what_cannot_be_asked() -> None:
    for wish, shown in ((0.0, "0"), (-0.02, "-2"), (2.0, "200"), (math.nan, "nan")):
        with pytest.raises(MisuseError) as caught:
            paired_power([1, 2], [10, 10], ["a", "b"], detect=wish)
        assert str(caught.value) == (f"the difference to detect is {shown} points, must be above 0 and at most 100. Give points of WER, such as 2.")
    with pytest.raises(ScoreError) as caught_lengths:
        paired_power([1, 2], [10, 10], ["a"])
    assert str(caught_lengths.value) == (
        "2 differences, 2 numbers of words and 1 speakers; the power of a test needs one of each for every utterance. Pass lists of equal length."
    )


def test_json_round_trip() -> None:
    found = paired_power(with_deviation(12, 10.0, mean=-5.0), [100.0] * 12, names(12))
    assert found is not None
    row = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert Power.from_json(row) == found
    assert (row["more"], row["sentence"]) == (22, found.sentence)


@pytest.mark.slow
@pytest.mark.parametrize("speakers", [10, 30])
def test_a_true_difference_of_that_size_is_found_in_80_percent_of_test_sets(speakers: int) -> None:
    """The default interval excludes 0 as often as promised; two deviations of a share of 1,000 near 80 % are 2.5 points.

    The speakers' differences vary by 4 points and their amounts of speech by a factor of three; what is detectable is averaged
    over simulated test sets with no difference.
    """
    generator = np.random.default_rng(speakers)

    def test_set(shift: float) -> tuple[list[float], list[float]]:
        words = generator.integers(100, 300, speakers).astype(float)
        return (words * generator.normal(shift, 0.04, speakers)).tolist(), words.tolist()

    powers = [paired_power(*test_set(0.0), names(speakers)) for _ in range(400)]
    detectable = float(np.mean([power.detectable for power in powers if power is not None]))
    shown = 0
    for trial in range(1000):
        interval = rate_interval(*test_set(-detectable), names(speakers), resamples=1000, seed=trial)
        assert interval is not None
        shown += interval.high < 0
    assert 0.76 <= shown / 1000 <= 0.84
