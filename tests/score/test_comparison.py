"""Like with like or not at all; the verdict follows the interval; groups and regressions say for whom."""

import dataclasses
import json
from collections.abc import Callable

import pytest

from speechadapt.errors import MisuseError, ScoreError
from speechadapt.score.align import count_words
from speechadapt.score.compare import Comparison, compare, verdict_of
from speechadapt.score.intervals import Interval
from speechadapt.score.report import ScoreReport

ReportMaker = Callable[..., ScoreReport]
Speakers = Callable[[str, int], ScoreReport]


def test_better_with_every_figure(twelve_speakers: Speakers) -> None:
    found = compare(twelve_speakers("tiny", 3), twelve_speakers("tiny + x", 1))
    assert found.verdict == "better"
    assert found.base.wer == 74 / 96
    assert found.adapted.wer == pytest.approx(found.base.wer + found.delta)
    assert found.delta == (found.adapted.errors - found.base.errors) / 96
    assert found.relative == pytest.approx(found.delta / found.base.wer)
    assert found.interval is not None
    assert found.relative_interval is not None
    assert found.interval.low <= found.delta <= found.interval.high < 0
    assert found.relative_interval.low <= found.relative <= found.relative_interval.high < 0
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert found.p_value_speakers == 2 / 2**12
    assert (found.utterances, found.speakers) == (24, 12)
    assert not found.worse_groups
    assert found.caveats == ()


def test_worse_is_better_seen_from_the_other_side(twelve_speakers: Speakers) -> None:
    there = compare(twelve_speakers("a", 3), twelve_speakers("b", 1))
    back = compare(twelve_speakers("b", 1), twelve_speakers("a", 3))
    assert (there.verdict, back.verdict) == ("better", "worse")
    assert back.delta == -there.delta
    assert back.interval is not None
    assert there.interval is not None
    assert back.interval.high == pytest.approx(-there.interval.low)
    assert len(back.worse_groups) == 12  # every speaker


def test_the_same_text_is_no_evidence_and_a_question(twelve_speakers: Speakers) -> None:
    found = compare(twelve_speakers("a", 2), twelve_speakers("b", 2))
    assert (found.verdict, found.delta, found.p_value, found.p_value_speakers) == ("not enough evidence", 0.0, 1.0, 1.0)
    assert found.caveats == ("Both systems gave the same text for every utterance: is the adapter applied at all?",)


def test_a_small_change_among_speakers_who_disagree_is_not_enough_evidence(make_report: ReportMaker) -> None:
    said = ["a b c d", "a b c x", "a b y x", "a b c d", "a b c x", "a b c d", "a b c x", "a b c d", "a b y x", "a b c d"]
    now = ["a b c x", "a b c d", "a b c x", "a b c x", "a b c d", "a b c d", "a b c d", "a b c x", "a b c x", "a b c d"]
    rows = [(f"u{number}", f"s{number}", "a b c d", text) for number, text in enumerate(said)]
    others = [(f"u{number}", f"s{number}", "a b c d", text) for number, text in enumerate(now)]
    found = compare(make_report(rows), make_report(others, system="new"))
    assert found.delta == -2 / 40
    assert found.verdict == "not enough evidence"
    assert found.interval is not None
    assert found.interval.low < 0 < found.interval.high
    assert found.p_value is not None
    assert found.p_value > 0.05


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.2, -0.1, "better"), (0.1, 0.2, "worse"), (-0.1, 0.1, "not enough evidence"), (-0.1, 0.0, "not enough evidence")],
)
def test_the_verdict_follows_the_interval(low: float, high: float, verdict: str) -> None:
    assert verdict_of(Interval(low=low, high=high, unit="speakers", units=10)) == verdict
    assert verdict_of(None) == "not enough evidence"


def test_two_speakers_prove_little_and_the_comparison_says_so(make_report: ReportMaker) -> None:
    base = make_report([("a", "s1", "a b c d", "x y c d"), ("b", "s2", "a b c d", "x y z d")])
    adapted = make_report([("a", "s1", "a b c d", "a b c d"), ("b", "s2", "a b c d", "x y c d")], system="new")
    found = compare(base, adapted)
    assert found.delta == -3 / 8
    assert found.interval is not None
    assert found.verdict == "not enough evidence"
    assert found.caveats[0] == "There are only 2 speakers, fewer than 8: the interval is a rough guide to how other speakers would fare."


def test_one_utterance_has_no_interval_and_no_verdict(make_report: ReportMaker) -> None:
    found = compare(make_report([("a", "s1", "one two", "x y")]), make_report([("a", "s1", "one two", "one two")], system="new"))
    assert (found.interval, found.p_value, found.verdict, found.delta) == (None, None, "not enough evidence", -1.0)
    assert found.caveats == ("No interval can be made: there is one utterance, or only a few that all changed alike. Score more speech.",)
    assert found.sentence == "not enough evidence: WER 100.0 % -> 0.0 % (-100.0 points; relative -100.0 %); 1 speaker, 1 utterance."


def test_different_manifests_are_refused(make_report: ReportMaker) -> None:
    base, adapted = make_report([("a", "s1", "one", "one")]), make_report([("a", "s1", "two", "two")], system="new")
    with pytest.raises(ScoreError) as caught:
        compare(base, adapted)
    assert str(caught.value) == (
        f'"base" was scored on "test" (fingerprint {base.fingerprint[:12]}) and "new" on "test" ({adapted.fingerprint[:12]}): '
        "these are different tests. Score both systems on the same manifest."
    )


def test_different_normalizers_are_refused(make_report: ReportMaker) -> None:
    rows = [("a", "s1", "one", "one")]
    with pytest.raises(ScoreError) as caught:
        compare(make_report(rows), make_report(rows, system="new", normalizer="basic"))
    assert str(caught.value) == (
        '"base" was normalized with "raw 1" and "new" with "basic 1": their words are not the same words. '
        "Score both hypotheses again with one --normalizer."
    )


def test_another_version_of_a_normalizer_is_another_normalizer(make_report: ReportMaker) -> None:
    report = make_report([("a", "s1", "one", "one")])
    with pytest.raises(ScoreError, match=r'normalized with "raw 1" and "base" with "raw 0"'):
        compare(report, dataclasses.replace(report, normalizer_version="0"))


def test_a_report_with_a_row_taken_out_is_refused(make_report: ReportMaker) -> None:
    report = make_report([("a", "s1", "one", "one"), ("b", "s1", "two", "two")])
    with pytest.raises(ScoreError) as caught:
        compare(report, dataclasses.replace(report, utterances=report.utterances[:1]))
    assert str(caught.value) == (
        '"base" counted 2 utterances of "test" and "base" 1; the first that only one has is "b". '
        "One of the reports was changed by hand: score both again."
    )


def test_nothing_to_compare_without_words(make_report: ReportMaker) -> None:
    report = make_report([("a", "s1", "", "one"), ("b", "s1", "", "")])
    with pytest.raises(ScoreError) as caught:
        compare(report, report)
    assert str(caught.value) == (
        'no reference of "test" has a word after normalizing with "raw 1" (2 empty), so there is no error rate to compare. '
        "Check the texts of the manifest."
    )


def test_groups_that_got_worse_and_utterances_by_how_much(make_report: ReportMaker) -> None:
    base = [("a", "s1", "a b c d", "a b c d"), ("b", "s1", "a b c d", "a b c d"), ("c", "s2", "a b c d", "x y z z"), ("d", "s2", "a b", "a b")]
    new = [("a", "s1", "a b c d", "a b c x"), ("b", "s1", "a b c d", "a b"), ("c", "s2", "a b c d", "a b c d"), ("d", "s2", "a b", "a b")]
    found = compare(make_report(base), make_report(new, system="new"))
    assert [(group.field, group.value, group.worse) for group in found.groups] == [("speaker", "s1", True), ("speaker", "s2", False)]
    worse = found.worse_groups[0]
    assert (worse.base, worse.adapted, worse.delta, worse.words, worse.utterances) == (0.0, 3 / 8, 3 / 8, 8, 2)
    assert [(item.id, item.base_errors, item.adapted_errors) for item in found.regressions] == [("b", 0, 2), ("a", 0, 1)]
    assert [(item.id, item.base, item.adapted) for item in found.improvements] == [("c", "x y z z", "a b c d")]


def test_no_relative_change_where_the_base_made_no_error(make_report: ReportMaker) -> None:
    found = compare(make_report([("a", "s1", "one", "one")]), make_report([("a", "s1", "one", "two")], system="new"))
    assert (found.relative, found.relative_interval, found.delta) == (None, None, 1.0)


def test_what_else_differs_is_a_caveat(make_report: ReportMaker) -> None:
    rows = [("a", "s1", "one two", "one two"), ("b", "s2", "three", "three"), ("c", "s2", "", "hm")]
    loops = [("a", "s1", "one two", "one two " * 5), ("b", "s2", "three", ""), ("c", "s2", "", "")]
    base, adapted = make_report(rows, decode={"window": "full", "beam": 1}), make_report(loops, system="new", decode={"window": "short", "beam": 1})
    assert compare(base, dataclasses.replace(adapted, missing=("b",))).caveats[1:] == (
        "The two were decoded differently: window full against short.",
        '"new" has no hypothesis for 1 utterance; they count as deletions.',
        "1 utterance without a word in the reference: not counted.",
        "1 utterance of the adapted system looks like a loop or invented text, 0 of the base.",
    )


def test_json_round_trip(twelve_speakers: Speakers) -> None:
    found = compare(twelve_speakers("a", 3), twelve_speakers("b", 1))
    row = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert Comparison.from_json(row) == found
    assert row["ci95"] == [row["interval"]["low"], row["interval"]["high"]]
    assert row["groups"]["speaker"]["c:s01"]["delta"] == -0.5
    assert row["tests"]["sign"] == {"compared": "speakers", "n": 12, "statistic": 12.0, "p_value": 2 / 2**12, "method": "exact"}
    assert row["power"] is None  # every speaker changed alike, which says nothing about how others vary


def test_files_of_version_0_1_0_are_read(twelve_speakers: Speakers) -> None:
    """They have no tests, no power, no corrected p-values, and intervals called "bootstrap"."""
    found = compare(twelve_speakers("a", 3), twelve_speakers("b", 1))
    row = json.loads(json.dumps(found.to_json()))
    del row["tests"], row["power"], row["interval"]["hierarchical"]
    row["interval"]["method"] = "bootstrap"
    for group in row["groups"]["speaker"].values():
        del group["p_value"], group["p_value_holm"]
    old = Comparison.from_json(row)
    assert (old.tests, old.power, old.verdict, old.groups[0].p_value_holm) == ({}, None, "better", None)
    assert old.interval is not None
    assert old.interval.method == "bootstrap"
    assert old.interval.ends == found.interval.ends if found.interval else False


def test_reading_what_is_no_comparison() -> None:
    with pytest.raises(ScoreError) as caught:
        Comparison.from_json({"base_system": "x"}, "old.json")
    assert str(caught.value) == (
        "old.json: not a comparison (KeyError('adapted_system')). Make one with: speechadapt compare REFS BASE_HYPS NEW_HYPS --out FILE"
    )


def test_every_test_stands_in_the_comparison(twelve_speakers: Speakers) -> None:
    found = compare(twelve_speakers("tiny", 3), twelve_speakers("tiny + x", 1))
    assert [(name, test.compared, test.n) for name, test in found.tests.items()] == [
        ("permutation", "speakers", 12),
        ("student", "speakers", 12),
        ("wilcoxon", "speakers", 12),
        ("sign", "speakers", 12),
        ("mapsswe", "sentence segments", 24),
        ("matched_pairs", "utterances", 24),
        ("mcnemar", "utterances", 4),
    ]
    assert found.p_value == found.tests["matched_pairs"].p_value
    assert found.p_value_speakers == found.tests["permutation"].p_value
    assert found.tests["mcnemar"].statistic == 4.0


def test_segments_are_cut_where_both_are_right(make_report: ReportMaker) -> None:
    """Two utterances, the first with errors at both ends: three segments, whose errors add up to those of the reports."""
    said = "a b c d e f g"
    base = make_report([("u1", "s1", said, "x b c d e f y"), ("u2", "s2", said, "a b c d e f g h")])
    adapted = make_report([("u1", "s1", said, "a b c d e f y"), ("u2", "s2", said, said)], system="new")
    test = compare(base, adapted).tests["mapsswe"]
    assert test.n == 3
    assert test.statistic == pytest.approx(-2 / 3 / (1 / 3))  # differences -1, 0, -1


def test_systems_that_were_counted_against_different_readings_have_one_segment_per_utterance(make_report: ReportMaker) -> None:
    said = "a b c d e f g"
    base = make_report([("u1", "s1", said, "x b c d e f y"), ("u2", "s2", said, "x b c d e f y")])
    adapted = make_report([("u1", "s1", said, said), ("u2", "s2", said, said)], system="new")
    assert compare(base, adapted).tests["mapsswe"].n == 4
    first, second = adapted.utterances
    other = dataclasses.replace(first, reference="a b c d e f h", hypothesis="a b c d e f h")
    assert compare(base, dataclasses.replace(adapted, utterances=(other, second))).tests["mapsswe"].n == 3


def test_errors_that_the_alignment_does_not_account_for_are_one_segment(make_report: ReportMaker) -> None:
    """Such as words that may be left out, or counts of sclite's weighted alignment."""
    said, heard = "a b c d e f g", "x b c d e f y"
    base = make_report([("u1", "s1", said, heard), ("u2", "s2", said, heard)])
    first, second = base.utterances
    counted = dataclasses.replace(first, words=dataclasses.replace(count_words(said, heard), substitutions=1, hits=6))
    other = dataclasses.replace(base, utterances=(counted, second), system="new")
    test = compare(base, other).tests["mapsswe"]
    assert test.n == 3
    assert compare(base, base).tests["mapsswe"].n == 4


def test_holms_correction_over_the_groups_of_a_field(make_report: ReportMaker) -> None:
    """Four accents of six speakers; one improves clearly, one so-so, two hover: the so-so one does not survive being one of four."""
    said = " ".join(f"w{place}" for place in range(20))

    def rows(errors: dict[str, list[int]]) -> list[tuple[str, str, str, str]]:
        found = []
        for accent, counts in errors.items():
            for number, wrong in enumerate(counts):
                heard = " ".join("x" if place < wrong else f"w{place}" for place in range(20))
                found.append((f"{accent}{number}", f"{accent}:s{number}", said, heard))
        return found

    def report(errors: dict[str, list[int]], system: str) -> ScoreReport:
        found = make_report(rows(errors), system=system, by=("speaker",))
        utterances = tuple(dataclasses.replace(row, groups={"accent": row.id[:-1]}) for row in found.utterances)
        return dataclasses.replace(found, utterances=utterances, by=("accent",))

    base = report({name: [8] * 6 for name in ("clear", "level", "more", "soso")}, "tiny")
    adapted = report({"clear": [2, 3, 2, 3, 2, 3], "level": [8, 9, 7, 8, 9, 7], "more": [9, 7, 8, 8, 7, 9], "soso": [7, 7, 8, 6, 4, 5]}, "new")
    found = compare(base, adapted)
    groups = {group.value: group for group in found.groups}
    assert [group.verdict for group in groups.values()] == ["better", "not enough evidence", "not enough evidence", "better"]
    assert [group.holds for group in groups.values()] == [True, None, None, False]
    clear, soso = groups["clear"], groups["soso"]
    assert clear.p_value is not None
    assert soso.p_value is not None
    assert clear.p_value_holm == pytest.approx(4 * clear.p_value)
    assert soso.p_value_holm == pytest.approx(3 * soso.p_value)
    assert soso.p_value < 0.05 < soso.p_value_holm
    assert found.caveats[-1] == (
        '4 values of accent were tested at once; Holm\'s correction does not confirm 1 of 2 verdicts, which may be chance: "soso".'
    )


def test_power_is_told(twelve_speakers: Speakers) -> None:
    found = compare(twelve_speakers("tiny", 4), twelve_speakers("tiny + x", 1), detect=0.02)
    assert found.power is not None
    row = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (row["power"]["sentence"], row["power"]["more"]) == (found.power.sentence, found.power.more)
    assert Comparison.from_json(row) == found
    assert (found.power.asked, found.power.target, found.power.unit, found.power.units) == (True, 0.02, "speakers", 12)
    alike = compare(twelve_speakers("a", 2), twelve_speakers("b", 2))
    assert alike.power is None
    with pytest.raises(MisuseError, match="the difference to detect is -2 points"):
        compare(twelve_speakers("a", 2), twelve_speakers("b", 1), detect=-0.02)


def test_other_intervals_and_units(twelve_speakers: Speakers) -> None:
    reports = twelve_speakers("tiny", 3), twelve_speakers("tiny + x", 1)
    plain, bca, both = (
        compare(*reports, interval_method=method, interval_unit=unit).interval
        for method, unit in (("expanded", "speaker"), ("bca", "speaker"), ("expanded", "hierarchical"))
    )
    assert plain is not None
    assert bca is not None
    assert both is not None
    assert (plain.method, bca.method, both.hierarchical) == ("expanded", "bca", True)
    blind = compare(*reports, interval_unit="utterance").interval
    assert blind is not None
    assert (blind.unit, blind.units) == ("utterances", 24)


@pytest.mark.parametrize(
    "rows",
    [
        [("a", "s1", "one two", "x y")],
        [("a", None, "one two", "x y"), ("b", None, "one", "two")],
        [("a", "s1", "one two", "one"), ("b", "s1", "three", "three four")],
        [("a", "s1", "one two", "one two"), ("b", "s2", "three", "three")],
    ],
    ids=["one utterance", "speakers unknown", "one speaker", "no error"],
)
def test_small_and_empty_sets_make_json_without_nan(make_report: ReportMaker, rows: list[tuple[str, str | None, str, str]]) -> None:
    right = [(key, speaker, said, said) for key, speaker, said, _ in rows]
    for pair in ((rows, rows), (rows, right), (right, rows), (right, right)):
        found = compare(make_report(pair[0]), make_report(pair[1], system="new"), detect=0.02)
        row = json.loads(json.dumps(found.to_json(), allow_nan=False))
        assert Comparison.from_json(row) == found
