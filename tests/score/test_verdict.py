"""The run's verdict: the keys other programs rely on, sentences about gain and cost, and the exit code."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from speechadapt.errors import MisuseError, ScoreError
from speechadapt.score.report import ScoreReport
from speechadapt.score.verdict import ComparisonSet, comparison_set, exit_code, overall_verdict, read_comparison, write_comparison

ReportMaker = Callable[..., ScoreReport]
Speakers = Callable[[str, int], ScoreReport]

# The command contract: every entry of `sets` has at least these.
CONTRACT = {
    "name", "manifest", "role", "utterances", "speakers", "normalizer", "base", "adapted", "delta", "relative", "ci95", "p_value", "verdict",
    "groups", "short_window",
}  # fmt: skip


@pytest.fixture
def test_set(twelve_speakers: Speakers) -> ComparisonSet:
    return comparison_set("test", Path("data/test.jsonl"), "test", twelve_speakers("tiny", 3), twelve_speakers("new", 1), twelve_speakers("short", 2))


@pytest.fixture
def guard_set(twelve_speakers: Speakers) -> ComparisonSet:
    return comparison_set("guard", "data/guard.jsonl", "guard", twelve_speakers("tiny", 1), twelve_speakers("new", 2))


def test_the_contract(test_set: ComparisonSet) -> None:
    row = json.loads(json.dumps(test_set.to_json(), allow_nan=False))
    assert set(row) >= CONTRACT
    assert (row["name"], row["manifest"], row["role"], row["normalizer"]) == ("test", "data/test.jsonl", "test", "raw")
    assert (row["utterances"], row["speakers"]) == (24, 12)
    for side, errors in (("base", 74), ("adapted", 26)):
        assert set(row[side]) >= {"wer", "cer", "errors", "words"}
        assert (row[side]["errors"], row[side]["words"], row[side]["wer"]) == (errors, 96, errors / 96)
    assert row["delta"] == -0.5
    assert row["relative"] == pytest.approx(-48 / 74)
    assert row["ci95"] == [-0.5, -0.5]  # every speaker improved by the same half
    assert row["verdict"] == "better"
    assert set(row["short_window"]) == {"wer", "cer", "errors", "words", "delta", "ci95", "verdict"}
    assert (row["short_window"]["errors"], row["short_window"]["delta"], row["short_window"]["verdict"]) == (50, -0.25, "better")
    group = row["groups"]["speaker"]["c:s01"]
    assert set(group) >= {"base", "adapted", "delta", "worse"}


def test_without_a_short_window_the_key_is_absent(guard_set: ComparisonSet) -> None:
    assert "short_window" not in guard_set.to_json()


def test_write_and_read(test_set: ComparisonSet, guard_set: ComparisonSet, tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    write_comparison(path, [test_set, guard_set])
    assert read_comparison(path) == (test_set, guard_set)
    row = json.loads(path.read_text(encoding="utf-8"))
    assert row["exit_code"] == 0
    assert row["verdict"] == overall_verdict([test_set, guard_set])


def test_the_sentences_say_the_gain_and_what_it_cost(test_set: ComparisonSet, guard_set: ComparisonSet) -> None:
    assert overall_verdict([guard_set, test_set]) == [
        'Test "test": better: WER 77.1 % -> 27.1 % (-50.0 points, 95 % interval -50.0 to -50.0; relative -64.9 %); 12 speakers, 24 utterances. '
        "In the short window the adapter has 52.1 % (-25.0 points, 95 % interval -25.0 to -25.0): better.",
        'Guard "guard": the gain cost something here: WER 27.1 % -> 52.1 % (+25.0 points, 95 % interval +25.0 to +25.0).',
    ]


def test_a_guard_that_stands_and_one_that_is_unclear(make_report: ReportMaker, twelve_speakers: Speakers) -> None:
    gain = comparison_set("g", "g.jsonl", "guard", twelve_speakers("tiny", 2), twelve_speakers("new", 1))
    same = comparison_set("g", "g.jsonl", "guard", twelve_speakers("tiny", 2), twelve_speakers("new", 2))
    one = [make_report([("a", "s1", "one two", text)], system=text) for text in ("one two", "one x")]
    lone = comparison_set("g", "g.jsonl", "guard", *one)
    assert overall_verdict([gain, same, lone]) == [
        "No test set was scored, so whether the adapter helps is unknown.",
        'Guard "g": no cost here, a gain: WER 52.1 % -> 27.1 % (-25.0 points, 95 % interval -25.0 to -25.0).',
        'Guard "g": no cost that can be told from chance; up to +0.0 points is possible: '
        "WER 52.1 % -> 52.1 % (+0.0 points, 95 % interval +0.0 to +0.0).",
        'Guard "g": not enough evidence of what the gain cost here: WER 0.0 % -> 50.0 % (+50.0 points, 95 % interval -).',
    ]


def test_no_guard_is_said(test_set: ComparisonSet) -> None:
    assert overall_verdict([test_set])[-1] == "No guard set was scored, so what the adapter costs elsewhere is unknown."


def test_only_a_test_set_that_got_worse_is_a_failure(test_set: ComparisonSet, guard_set: ComparisonSet, twelve_speakers: Speakers) -> None:
    worse = comparison_set("test2", "t.jsonl", "test", twelve_speakers("tiny", 1), twelve_speakers("new", 2))
    assert guard_set.verdict == worse.verdict == "worse"
    assert exit_code([test_set, guard_set]) == 0
    assert exit_code([test_set, worse]) == 1
    assert exit_code([]) == 0


def test_an_unknown_role(twelve_speakers: Speakers) -> None:
    with pytest.raises(MisuseError) as caught:
        comparison_set("t", "t.jsonl", "dev", twelve_speakers("a", 1), twelve_speakers("b", 1))
    assert str(caught.value) == 'set "t": role "dev", must be one of test, guard. Correct the role.'


def test_a_base_in_the_short_window_is_refused(make_report: ReportMaker) -> None:
    base = make_report([("a", "s1", "one", "one")], decode={"window": "short"})
    with pytest.raises(MisuseError) as caught:
        comparison_set("t", "t.jsonl", "test", base, base)
    assert str(caught.value) == (
        'set "t": the base "base" was decoded in the short window, where an unadapted model loops. Score it in its 30 s window.'
    )


def test_reading_what_is_no_comparison(tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(ScoreError) as caught:
        read_comparison(path)
    assert str(caught.value) == f'{path}: no list "sets" in it. A comparison.json is written by: speechadapt run'
    path.write_text('{"sets": [{"name": "x"}]}', encoding="utf-8")
    with pytest.raises(ScoreError, match=r"comparison.json, set 1: not a comparison \(KeyError\('base_system'\)\)"):
        read_comparison(path)
