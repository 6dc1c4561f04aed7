"""The paired tests against values by hand, against SciPy's and statsmodels', and against the output of NIST's own sc_stats."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from speechadapt.errors import ScoreError
from speechadapt.score.segments import Span, columns, error_spans, segment_errors
from speechadapt.score.significance import (
    PairedTest,
    mapsswe,
    matched_pairs,
    mcnemar,
    permutation_test,
    sign_test,
    speaker_flips,
    student_test,
    wilcoxon,
)

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "mapsswe"


def names(count: int) -> list[str]:
    return [f"s{number}" for number in range(count)]


def test_matched_pairs_by_hand() -> None:
    """Differences -1, 0, -2, -1: mean -1, deviation sqrt(2/3), error 0.40825, statistic -2.4495; two-sided p of t(3) is 0.0917."""
    found = matched_pairs([2, 1, 3, 1], [1, 1, 1, 0])
    assert (found.compared, found.n, found.method) == ("utterances", 4, "Student's t")
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


def transcripts(name: str) -> dict[str, str]:
    """Text by id of one of the golden TRN files."""
    lines = (line.rpartition(" (") for line in (GOLDEN / f"{name}.trn").read_text(encoding="utf-8").splitlines())
    return {key.removesuffix(")"): text for text, _, key in lines}


def nist_spans(name: str) -> list[list[Span]]:
    """The spans of errors in sclite's own alignments, which the SGML holds as `C,"said","heard":S,...:I,,"heard"`."""
    found = []
    for path in re.findall(r"<PATH [^>]*>\n(.*)\n</PATH>", (GOLDEN / f"{name}.sgml").read_text(encoding="utf-8")):
        spans, place = [], 0
        for step in path.split(":"):
            wide = step[0] != "I"
            if step[0] != "C":
                spans.append((place, place + wide, 1))
            place += wide
        found.append(spans)
    return found


def golden(name: str, pattern: str) -> list[float]:
    """The numbers that sc_stats printed."""
    found = re.search(pattern, (GOLDEN / name).read_text(encoding="utf-8"))
    assert found, f"{name} does not hold {pattern}"
    return [float(number) for number in found.groups()]


def test_mapsswe_equals_sc_stats_on_the_alignments_of_sclite() -> None:
    """The same segments and errors, and every figure to the last of the digits that sc_stats prints; it subtracts the other way round."""
    segments = [pair for spans in zip(nist_spans("base"), nist_spans("adapted"), strict=True) for pair in segment_errors(*spans)]
    before, after = columns(segments)
    assert golden("mapsswe.txt", r"Totals \d+ +(\d+) +(\d+)") == [sum(before), sum(after)]
    count, mean, deviation, statistic = golden("mapsswe.txt", r"# segs: (\d+)\).*mean: ([-.\d]+)\) \(std dev: ([.\d]+)\) \(Z Stat: ([-.\d]+)\)")
    found = mapsswe(before, after)
    change = np.subtract(before, after)
    assert (found.compared, found.n) == ("sentence segments", count)
    assert change.mean() == pytest.approx(mean, abs=5.001e-4)
    assert change.std(ddof=1) == pytest.approx(deviation, abs=5.001e-4)
    assert found.statistic == pytest.approx(-statistic, abs=5.001e-4)
    # How sc_stats sorts the segments by who errs in them.
    both = golden("mapsswe.txt", r"base +corr +\d+ +(\d+)\n\s+incorr +(\d+) +(\d+)")
    assert both == [sum(b == 0 for b, _ in segments), sum(a == 0 for _, a in segments), sum(a > 0 and b > 0 for b, a in segments)]


def test_mapsswe_is_the_paired_t_statistic_with_a_normal_p() -> None:
    generator = np.random.default_rng(11)
    base, adapted = generator.poisson(1.2, 90), generator.poisson(0.9, 90)
    found = mapsswe(base, adapted)
    expected = stats.ttest_rel(adapted, base).statistic
    assert found.statistic == pytest.approx(expected, abs=1e-9)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(expected)), abs=1e-9)


def test_our_own_alignment_finds_nearly_the_segments_of_sclite() -> None:
    """Other places for the same errors: in this material as many segments with as many errors, and Z within a hundredth of 3.4."""
    said, base, adapted = transcripts("reference"), transcripts("base"), transcripts("adapted")
    before, after = columns(
        [pair for key in said for pair in segment_errors(error_spans(said[key], base[key]), error_spans(said[key], adapted[key]))]
    )
    assert [len(before), sum(before), sum(after)] == [258, 326, 259]
    assert mapsswe(before, after).statistic == pytest.approx(-3.3966, abs=5e-5)  # sc_stats: -3.423


def test_mcnemar_equals_sc_stats() -> None:
    """sc_stats prints right probabilities for few utterances only (3 against 7: 0.344); its tables are always right."""
    base, adapted = ([len(spans) for spans in nist_spans(name)] for name in ("base", "adapted"))
    worse, better = golden("mcnemar.txt", r"base +corr +\d+ +(\d+)\n\s+incorr +(\d+)")
    found = mcnemar(base, adapted)
    assert (found.compared, found.n, found.statistic) == ("utterances", worse + better, better)
    small = mcnemar(base[:30], adapted[:30])
    assert [small.n - (small.statistic or 0), small.statistic] == golden("mcnemar_two_speakers.txt", r"base +corr +\d+ +(\d+)\n\s+incorr +(\d+)")
    assert small.p_value == pytest.approx(golden("mcnemar_two_speakers.txt", r"it occurring is ([.\d]+)")[0], abs=5.001e-4)


def test_mcnemar_on_published_tables() -> None:
    """Approval of a prime minister (Agresti, Categorical Data Analysis, 2002, table 10.1): 150 and 86 changed their minds; and 16 against 6.

    The p-values are those of statsmodels 0.15, mcnemar(exact=True), and of SciPy's binomial test.
    """

    def table(only_base: int, only_adapted: int) -> PairedTest:
        return mcnemar([0] * only_base + [2] * only_adapted + [1, 0], [1] * only_base + [0] * only_adapted + [3, 0])

    assert table(150, 86).p_value == pytest.approx(3.7159361395713866e-05, abs=1e-12)
    assert table(16, 6).p_value == pytest.approx(0.052478790283203125, abs=1e-12)
    assert table(16, 6).p_value == pytest.approx(stats.binomtest(6, 22).pvalue, abs=1e-12)
    assert table(3, 3).p_value == 1.0
    assert table(0, 0) == PairedTest(compared="utterances", n=0, statistic=0.0, p_value=1.0, method="exact")


def speaker_errors() -> tuple[list[int], list[int], list[int], list[str]]:
    """Errors of both systems, words and speaker of every golden sentence, as sclite counted them."""
    keys = list(transcripts("reference"))
    base, adapted = ([len(spans) for spans in nist_spans(name)] for name in ("base", "adapted"))
    return base, adapted, [len(text.split()) for text in transcripts("reference").values()], [key.split("-")[0] for key in keys]


def test_the_sign_test_equals_sc_stats() -> None:
    base, adapted, _, speakers = speaker_errors()
    found = sign_test(base, adapted, speakers)
    better, worse, same = (golden("sign.txt", rf"= +N\({sign}\) = +(\d+)")[0] for sign in (r"\+", "-", "0"))
    assert (found.compared, found.n, found.statistic, same) == ("speakers", better + worse, better, 0)
    assert found.p_value == pytest.approx(golden("sign.txt", r"it occurring is ([.\d]+)")[0], abs=5.001e-4)
    assert found.p_value == pytest.approx(stats.binomtest(int(better), found.n).pvalue, abs=1e-12)


def test_the_sign_test_leaves_ties_out() -> None:
    """statsmodels 0.15, sign_test([-3, 1, -2, -4, 0, -1, -1, 2, -6, -5]): 0.1796875."""
    change = [-3, 1, -2, -4, 0, -1, -1, 2, -6, -5]
    found = sign_test([9] * 10, [9 + step for step in change], names(10))
    assert found == PairedTest(compared="speakers", n=9, statistic=7.0, p_value=0.1796875, method="exact")


def test_wilcoxon_equals_sc_stats_and_scipy() -> None:
    """The rank sums and Z are those of sc_stats; p is SciPy's exact one instead of the normal approximation."""
    base, adapted, words, speakers = speaker_errors()
    found = wilcoxon(base, adapted, words, speakers)
    better, worse = (golden("wilcoxon.txt", rf"Sum of +\d+ {side} ranks = +([.\d]+)")[0] for side in ("positive", "negative"))
    assert (found.compared, found.n, found.statistic, found.method) == ("speakers", 10, worse - better, "exact")
    deviation = math.sqrt(10 * 11 * 21 / 24)
    assert golden("wilcoxon.txt", r"Z statistic = ([-.\d]+)")[0] == pytest.approx((worse - 10 * 11 / 4) / deviation, abs=5.001e-3)
    rates = [
        sum(errors[place] for place, name in enumerate(speakers) if name == speaker) / sum(words[p] for p, n in enumerate(speakers) if n == speaker)
        for speaker in sorted(set(speakers))
        for errors in (base, adapted)
    ]
    assert found.p_value == pytest.approx(stats.wilcoxon(rates[1::2], rates[::2]).pvalue, abs=1e-12)


def test_wilcoxon_on_a_published_example() -> None:
    """Darwin's maize (Fisher, The Design of Experiments, 1935): crossed less self-fertilized plants, in eighths of an inch; p is 0.0413.

    The differences -67 and -48 are against crossing: they have the ranks 14 and 10 of 15, so the smaller sum is 24.
    """
    change = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    found = wilcoxon([100] * 15, [100 + step for step in change], [1000] * 15, names(15))
    assert (found.n, found.statistic, found.method) == (15, 120 - 2 * 24.0, "exact")
    assert found.p_value == pytest.approx(0.041260, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "method"),
    [([1, 2, 3, 4, -5, 6, 7, 8], "exact"), ([1, 1, 2, -2, 3, 3, 4], "permutation"), ([1, -2] * 7, "normal"), (list(range(1, 60)), "normal")],
)
def test_wilcoxon_says_how_its_p_was_found(change: list[int], method: str) -> None:
    found = wilcoxon([100] * len(change), [100 + step for step in change], [1000] * len(change), names(len(change)))
    assert found.method == method
    assert found.p_value == pytest.approx(stats.wilcoxon(change).pvalue, abs=1e-12)


def test_wilcoxon_ties_are_ties_whatever_the_last_digit() -> None:
    """0.1 and 0.3 - 0.2 are the same change of WER."""
    found = wilcoxon([0, 2, 5, 1], [1, 3, 6, 4], [10, 10, 10, 30], names(4))
    assert (found.n, found.statistic, found.p_value) == (4, 10.0, 0.125)


def test_students_t_is_a_paired_t_test_where_all_speakers_say_as_much() -> None:
    generator = np.random.default_rng(12)
    base, adapted = generator.poisson(30, 12), generator.poisson(26, 12)
    found = student_test(base, adapted, [100] * 12, names(12))
    expected = stats.ttest_rel(adapted, base)
    assert (found.compared, found.n) == ("speakers", 12)
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-9)


def test_students_t_is_not_fooled_by_many_utterances_of_few_speakers() -> None:
    base, words = [2] * 200, [10] * 200
    adapted = [1] * 150 + [2] * 50
    speakers = [f"s{number // 50}" for number in range(200)]
    assert student_test(base, adapted, words, speakers).p_value == pytest.approx(stats.ttest_1samp([-1, -1, -1, 0], 0).pvalue)


def test_all_alike_and_too_few() -> None:
    same, words = [2, 3, 1], [10, 10, 10]
    for found in (
        student_test(same, same, words, names(3)),
        wilcoxon(same, same, words, names(3)),
        sign_test(same, same, names(3)),
        permutation_test(same, same, names(3)),
        matched_pairs(same, same),
        mapsswe(same, same),
        mcnemar(same, same),
    ):
        assert found.p_value == 1.0
    lower = student_test([2] * 6, [1] * 6, [10] * 6, names(6))
    assert (lower.statistic, lower.p_value, lower.method) == (None, 2 / 2**6, "sign test")
    for found in (student_test([2], [1], [10], ["a"]), wilcoxon([2], [2], [10], ["a"]), permutation_test([2], [1], ["a"]), mapsswe([], [])):
        assert (found.statistic if found.compared != "utterances" else None, found.p_value) == (None, None)
    assert student_test([1, 2], [0, 0], [0, 0], ["a", "b"]).p_value is None


def test_unknown_speakers_and_one_speaker_are_tested_by_utterance() -> None:
    base, adapted, words = [3, 2, 4, 1], [2, 2, 1, 2], [10] * 4
    for speakers in ([None] * 4, ["s"] * 4):
        for found in (sign_test(base, adapted, speakers), wilcoxon(base, adapted, words, speakers), permutation_test(base, adapted, speakers)):
            assert found.compared == "utterances"
    assert sign_test(base, adapted, [None] * 4).n == 3


def test_the_permutation_test_says_what_it_rests_on() -> None:
    base, adapted = [2] * 14 + [3] * 6, [1] * 14 + [4] * 6
    found = permutation_test(base, adapted, names(20))
    assert (found.n, found.statistic, found.method) == (20, -8.0, "10,000 random swaps")
    assert permutation_test(base[:14], adapted[:14], names(14)).method == "exact"


def test_words_that_do_not_fit() -> None:
    with pytest.raises(ScoreError) as caught:
        student_test([1, 2], [1, 1], [10], ["a", "b"])
    assert str(caught.value) == "2 utterances and 1 numbers of words; give the reference words of each utterance."
