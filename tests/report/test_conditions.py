"""`--fail-if`: what is read, what is judged, and what is said about what does not exist."""

import json
from pathlib import Path

import pytest

from speechadapt.errors import MisuseError
from speechadapt.report.conditions import Condition, check_conditions, parse_condition, set_values
from speechadapt.report.document import Document, read_document, report_document, reports_document
from speechadapt.score.report import ScoreReport


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wer > 0.2", Condition(text="wer > 0.2", metric="wer", sign=">", limit=0.2)),
        ("  wer>20%  ", Condition(text="wer>20%", metric="wer", sign=">", limit=0.2)),
        ("delta >= -1e-3", Condition(text="delta >= -1e-3", metric="delta", sign=">=", limit=-0.001)),
        ("cer != .5", Condition(text="cer != .5", metric="cer", sign="!=", limit=0.5)),
        ("wer[accent=scottish] < 1", Condition(text="wer[accent=scottish] < 1", metric="wer", sign="<", limit=1.0, group=("accent", "scottish"))),
        ("wer[hindi/test] <= 1", Condition(text="wer[hindi/test] <= 1", metric="wer", sign="<=", limit=1.0, sets=("hindi/test",))),
        (
            'wer[guard, "my field" = "a, b] = c"]==1',
            Condition(
                text='wer[guard, "my field" = "a, b] = c"]==1',
                metric="wer",
                sign="==",
                limit=1.0,
                sets=("guard",),
                group=("my field", "a, b] = c"),
            ),
        ),
        ("wer[] > 1", Condition(text="wer[] > 1", metric="wer", sign=">", limit=1.0)),
    ],
)
def test_what_is_read(text: str, expected: Condition) -> None:
    assert parse_condition(text) == expected


@pytest.mark.parametrize(
    "text", ["", "wer", "wer >", "> 0.2", "wer > x", "wer > 0.2 or 1", "__import__('os')", "wer => 1", "wer > 0x10", "wer > nan", "WER > 1"]
)
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(MisuseError) as caught:
        parse_condition(text)
    assert str(caught.value) == (
        f'--fail-if "{text}": not a condition. Write a metric, a sign (<, <=, >, >=, ==, !=) and a number, such as "wer > 0.2" or '
        '"wer[accent=scottish] > 25 %".'
    )


@pytest.mark.parametrize("text", ["wer[accent=] > 1", "wer[a=b=c] > 1", "wer[a=b,c=d] > 1", "wer[a,,b] > 1", "wer[=b] > 1"])
def test_what_selects_nothing(text: str) -> None:
    with pytest.raises(MisuseError, match="must name a set, a group as field=value, or both with a comma between"):
        parse_condition(text)


def test_a_number_beyond_all_numbers() -> None:
    with pytest.raises(MisuseError, match="the number 1e999 is too large"):
        parse_condition("wer > 1e999")


@pytest.mark.parametrize(
    ("text", "value", "failed"),
    [
        ("wer > 0.05", 1 / 18, True),
        ("wer > 0.06", 1 / 18, False),
        ("wer > 5 %", 1 / 18, True),
        ("base_wer == 0.2777777777777778", 5 / 18, True),
        ("delta > 0", -4 / 18, False),
        ("relative < -0.7", -4 / 5, True),
        ("substitution_rate > 0", 1 / 18, True),
        ("insertion_rate > 0", 0.0, False),
        ("sentence_error_rate > 0.1", 1 / 6, True),
        ("errors != 1", 1, False),
        ("regressions > 0", 1, True),
        ("improvements < 5", 5, False),
        ("utterances < 100", 6, True),
        ("runaways > 0", 0, False),
        ("wer[accent=north] > 0", 0.0, False),
        ("wer[accent=south] > 0", 1 / 9, True),
        ("delta[accent=north] > -0.2", -3 / 9, False),
        ("base_wer[test, accent=south] > 0", 2 / 9, True),
    ],
)
def test_what_is_judged(text: str, value: float, failed: bool, document: Document) -> None:
    (finding,) = check_conditions(document, [parse_condition(text)])
    assert finding.value == pytest.approx(value)
    assert finding.failed is failed
    assert finding.set == "test"


def test_what_cannot_be_judged_fails(document: Document) -> None:
    (finding,) = check_conditions(document, [parse_condition("real_time_factor > 1")])
    assert finding.failed
    assert finding.sentence == ("FAILED: fail if real_time_factor > 1 on test: real_time_factor is not known: there is nothing to measure it by")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wr > 1", 'no metric "wr" here. There are: wer, cer, insertion_rate,'),
        ("wer[nowhere] > 1", 'no set "nowhere". There are: test. A group is written field=value.'),
        ("delta[guard] > 0", 'no set "guard". There are: test. A group is written field=value.'),
        ("wer[dialect=x] > 1", '"test" is not grouped by dialect. There are: accent, speaker.'),
        ("wer[accent=east] > 1", 'no accent "east" in "test". There are: north, south.'),
        ("p_value[accent=north] > 1", 'no metric "p_value" here. There are: wer, cer,'),
    ],
)
def test_what_does_not_exist_is_answered_with_what_does(text: str, message: str, document: Document) -> None:
    with pytest.raises(MisuseError) as caught:
        check_conditions(document, [parse_condition(text)])
    assert message in str(caught.value)


def test_a_report_has_no_change(reports: tuple[ScoreReport, ScoreReport]) -> None:
    with pytest.raises(MisuseError, match='no metric "delta" here'):
        check_conditions(report_document(reports[0]), [parse_condition("delta > 0")])


def test_a_guard_is_asked_only_by_name(run_folder: Path, tmp_path: Path) -> None:
    value = json.loads((run_folder / "comparison.json").read_text())
    value["sets"].append({**value["sets"][0], "name": "standard", "role": "guard"})
    (tmp_path / "two.json").write_text(json.dumps(value))
    document = read_document(tmp_path / "two.json")
    found = {
        text: [one.set for one in check_conditions(document, [parse_condition(text)])] for text in ("wer > 0", "wer[guard] > 0", "wer[standard] > 0")
    }
    assert found == {"wer > 0": ["test"], "wer[guard] > 0": ["standard"], "wer[standard] > 0": ["standard"]}


def test_a_condition_on_what_has_no_score_fails(reports: tuple[ScoreReport, ScoreReport]) -> None:
    document = reports_document(reports[:1], title="Two", failures=[("lost", "test", "exit 3")])
    (name,) = (one.name for one in document.sets)
    found = {
        text: [(one.set, one.failed) for one in check_conditions(document, [parse_condition(text)])]
        for text in ("wer > 9", "wer[lost on test] > 9", f'wer["{name}"] > 9', "wer[accent=north] > 9")
    }
    assert found == {
        "wer > 9": [(name, False), ("lost on test", True)],
        "wer[lost on test] > 9": [("lost on test", True)],
        f'wer["{name}"] > 9': [(name, False)],
        "wer[accent=north] > 9": [(name, False), ("lost on test", True)],
    }


def test_a_comparison_alone_knows_less(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alone.json").write_text((run_folder / "comparison.json").read_text())
    (one,) = read_document(tmp_path / "alone.json").sets
    assert one.report is None
    values = set_values(one)
    assert values["wer"] == pytest.approx(1 / 18)
    assert "insertion_rate" not in values
