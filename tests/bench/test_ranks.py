"""Ranks: what makes systems share a rank, and the interval of a mean over manifests."""

import math
from pathlib import Path

import pytest

from speechadapt.bench.ranks import Pair, compare_all, macro_interval, macro_wer, ranks_of
from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.score.report import ScoreReport, score

WORDS = ("one", "two", "three", "four", "five")


def report(wrong: list[int], *, prefix: str = "s", per_speaker: int = 1, system: str = "x", name: str = "test") -> ScoreReport:
    """Speakers who say five words an utterance, of which so many are heard wrong."""
    rows, said = [], []
    for number, count in enumerate(wrong):
        for line in range(per_speaker):
            key = f"{prefix}{number}-{line}"
            rows.append(Utterance(id=key, audio_filepath="a.flac", duration=1.0, text=" ".join(WORDS), speaker=f"{prefix}{number}"))
            said.append(Hypothesis(id=key, text=" ".join(["wrong"] * count + list(WORDS[count:]))))
    return score(Manifest(rows, folder=Path(), name=name), said, system=system, normalizer="basic", resamples=2000)


def test_systems_share_a_rank_unless_one_is_better_beyond_chance() -> None:
    good, near, bad = [0] * 12, [0] * 11 + [1], [3, 4] * 6
    reports = {"bad": [report(bad)], "near": [report(near)], "good": [report(good)]}
    pairs = compare_all(reports)
    assert {(pair.first, pair.second): pair.differ for pair in pairs} == {("near", "bad"): True, ("good", "bad"): True, ("good", "near"): False}
    assert ranks_of(list(reports), pairs) == {"bad": 3, "near": 1, "good": 1}
    by_names = {(pair.first, pair.second): pair for pair in pairs}
    assert by_names["good", "near"].p_value == 1.0, "one speaker of twelve: either sign is as large"
    assert by_names["good", "bad"].p_value == pytest.approx(2 / 2**12), "all twelve point one way"
    assert by_names["good", "bad"].p_holm == pytest.approx(2 * 3 / 2**12), "the smallest of three, and the next cannot be below it"
    assert by_names["good", "bad"].delta == pytest.approx(0.7)


def test_a_rank_counts_the_better_ones_where_sharing_is_not_transitive() -> None:
    def pair(first: str, second: str, differ: bool) -> Pair:
        return Pair(first=first, second=second, delta=0.1, p_value=0.01, p_holm=0.02, differ=differ)

    pairs = [pair("a", "b", False), pair("b", "c", False), pair("a", "c", True)]
    assert ranks_of(["a", "b", "c"], pairs) == {"a": 1, "b": 1, "c": 2}


def test_four_speakers_can_tell_no_two_systems_apart() -> None:
    pairs = compare_all({"good": [report([0] * 4)], "bad": [report([5] * 4)]})
    assert (pairs[0].p_value, pairs[0].differ) == (pytest.approx(2 / 2**4), False)


def test_one_utterance_has_no_p_value_and_shares_its_rank() -> None:
    pairs = compare_all({"good": [report([0])], "bad": [report([5])]})
    assert (pairs[0].p_value, pairs[0].p_holm, pairs[0].differ) == (None, None, False)


def test_over_manifests_the_mean_counts_not_the_pool() -> None:
    """Ten times as much speech in one manifest does not make it count more."""
    small, large = [1] * 6, [3] * 6
    both = [report(small, prefix="a"), report(large, prefix="b", per_speaker=10)]
    assert macro_wer(both) == pytest.approx((0.2 + 0.6) / 2)
    other = [report([2] * 6, prefix="a"), report([2] * 6, prefix="b", per_speaker=10)]
    (pair,) = compare_all({"one": both, "other": other})
    assert pair.delta == pytest.approx(0.0)
    assert pair.p_value == 1.0, "what is lost on one manifest is won on the other"


def test_the_interval_of_the_mean_against_its_formula() -> None:
    """Two independent manifests of 40 speakers with equal words: the variance of the mean is a quarter of the sum of their variances."""
    first, second = [0, 1, 2, 3] * 10, [1, 2, 2, 3] * 10
    reports = [report(first, prefix="a"), report(second, prefix="b")]
    interval = macro_interval(reports, resamples=20_000)
    assert interval is not None

    def variance(counts: list[int]) -> float:
        mean = sum(counts) / len(counts)
        return sum((count - mean) ** 2 for count in counts) / (len(counts) - 1) / len(counts) / 25

    half = 2.02 * math.sqrt((variance(first) + variance(second)) / 4)
    middle = (0.3 + 0.4) / 2
    assert (interval.low, interval.high) == (pytest.approx(middle - half, abs=0.006), pytest.approx(middle + half, abs=0.006))
    assert (interval.units, interval.unit) == (80, "speakers")


def test_speakers_of_both_manifests_are_drawn_together() -> None:
    """Who errs on one errs on the other, so the mean over both is as uncertain as either."""
    counts = [0, 1, 2, 3] * 10
    shared = macro_interval([report(counts), report(counts)], resamples=5000)
    apart = macro_interval([report(counts, prefix="a"), report(counts, prefix="b")], resamples=5000)
    assert shared is not None
    assert apart is not None
    assert shared.units == 40
    assert (shared.high - shared.low) / (apart.high - apart.low) == pytest.approx(math.sqrt(2), abs=0.08)


def test_a_manifest_of_one_speaker_has_utterances_as_units_and_one_of_one_utterance_none() -> None:
    many = report([0, 1, 2, 3] * 3, prefix="a")
    assert macro_interval([many, report([2], prefix="b")]) is None
    assert macro_interval([many, many], resamples=0) is None
