"""The paired tests against values by hand and against SciPy's."""

import numpy as np
import pytest
from scipy import stats

from speechadapt.errors import ScoreError
from speechadapt.score.significance import matched_pairs, speaker_flips


def test_matched_pairs_by_hand() -> None:
    """Differences -1, 0, -2, -1: mean -1, deviation sqrt(2/3), error 0.40825, statistic -2.4495; two-sided p of t(3) is 0.0917."""
    found = matched_pairs([2, 1, 3, 1], [1, 1, 1, 0])
    assert found.segments == 4
    assert found.mean_difference == -1.0
    assert found.statistic == pytest.approx(-2.4495, abs=5e-5)
    assert found.p_value == pytest.approx(0.0917, abs=5e-5)


def test_matched_pairs_equals_scipys_paired_t_test() -> None:
    generator = np.random.default_rng(5)
    base, adapted = generator.poisson(3, 80), generator.poisson(2.6, 80)
    found = matched_pairs(base.tolist(), adapted.tolist())
    expected = stats.ttest_rel(adapted, base)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_from_hundreds_of_segments_on_it_is_gillick_and_coxs_normal_test() -> None:
    generator = np.random.default_rng(6)
    base = generator.poisson(3, 500)
    adapted = np.maximum(0, base + generator.integers(-2, 2, 500))
    difference = adapted - base
    statistic = difference.mean() / (difference.std(ddof=1) / np.sqrt(500))
    found = matched_pairs(base.tolist(), adapted.tolist())
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(statistic)), abs=1e-6)


def test_matched_pairs_without_spread() -> None:
    assert matched_pairs([1, 2, 3], [1, 2, 3]).p_value == 1.0
    assert matched_pairs([1, 2, 3], [0, 1, 2]).p_value == 0.25  # all three improved by one: the sign test, 2 / 2**3
    assert matched_pairs([1], [0]).p_value is None


def test_matched_pairs_holds_its_level() -> None:
    """Two systems that differ by chance alone: 5 % of 400 tests may say otherwise, give or take 2.2 points (two deviations)."""
    generator = np.random.default_rng(7)
    hits = sum((matched_pairs(generator.poisson(2, 60).tolist(), generator.poisson(2, 60).tolist()).p_value or 0) < 0.05 for _ in range(400))
    assert 0.028 <= hits / 400 <= 0.072


def test_speaker_flips_by_hand() -> None:
    """Differences -1, -2, -3 by speaker: of the eight sign patterns only the two without a change of sign are as extreme."""
    assert speaker_flips([1, 1, 1, 3], [0, 0, 0, 0], ["a", "b", "b", "c"]) == 0.25
    assert speaker_flips([2, 2], [2, 2], ["a", "b"]) == 1.0


def test_speaker_flips_equals_scipys_permutation_test() -> None:
    generator = np.random.default_rng(9)
    base, adapted = generator.poisson(30, 10), generator.poisson(26, 10)
    expected = stats.permutation_test((adapted, base), lambda x, y: np.sum(x - y), permutation_type="samples", n_resamples=np.inf)
    assert speaker_flips(base.tolist(), adapted.tolist(), [f"s{number}" for number in range(10)]) == pytest.approx(expected.pvalue)


def test_many_speakers_are_sampled_close_to_the_exact_value(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(10)
    base, adapted = generator.poisson(30, 14), generator.poisson(28, 14)
    arguments = (base.tolist(), adapted.tolist(), [f"s{number}" for number in range(14)])
    exact = speaker_flips(*arguments)
    monkeypatch.setattr("speechadapt.score.significance.EXACT_UP_TO", 5)
    sampled = speaker_flips(*arguments)
    assert exact is not None
    assert sampled == pytest.approx(exact, abs=0.02)  # four deviations of a share near one half among 10,000 draws
    assert sampled != exact


def test_utterances_that_depend_on_each_other_fool_matched_pairs_but_not_the_flips() -> None:
    """Four speakers with fifty utterances each that all change alike: matched pairs sees 200 witnesses, the flips four."""
    change = [-1] * 50 + [-1] * 50 + [-1] * 50 + [0] * 50
    base = [2] * 200
    adapted = [2 + step for step in change]
    speakers = [f"s{number // 50}" for number in range(200)]
    p_value = matched_pairs(base, adapted).p_value
    assert p_value is not None
    assert p_value < 1e-6
    assert speaker_flips(base, adapted, speakers) == 0.25


def test_lists_that_do_not_fit() -> None:
    with pytest.raises(ScoreError) as caught:
        matched_pairs([1, 2], [1])
    assert str(caught.value) == "2 base utterances and 1 adapted ones; a paired test needs the same utterances on both sides."
    with pytest.raises(ScoreError) as caught:
        speaker_flips([1, 2], [1, 1], ["a"])
    assert str(caught.value) == "2 utterances and 1 speakers; give one speaker (or None) per utterance."
    assert speaker_flips([1], [0], ["a"]) is None
