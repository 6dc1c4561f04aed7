"""Groups × systems: cells, marks, a system without a report, and the four ways it is shown."""

import csv
import io
import json
import re
from collections.abc import Callable

import pytest

from speechadapt.errors import ScoreError
from speechadapt.score.report import ScoreReport
from speechadapt.score.table import COLUMNS, group_table, table_csv, table_markdown, table_text

Make = Callable[[str, int], ScoreReport]


def test_cells_and_marks(twelve_speakers: Make) -> None:
    reports = {"bad": twelve_speakers("bad", 3), "good": twelve_speakers("good", 1), "again": twelve_speakers("again", 1)}
    table = group_table(reports, [])
    (row,) = table.rows
    assert (row.field, row.value, row.utterances, row.speakers, row.words) == ("all", "all", 24, 12, 96)
    assert [cell.wer for cell in row.cells if cell] == [reports[name].wer for name in reports]
    assert [(cell.best, cell.tied) for cell in row.cells if cell] == [(False, False), (True, False), (True, False)]
    assert [cell.interval for cell in row.cells if cell] == [report.interval for report in reports.values()]
    assert table.systems == ("bad", "good", "again")


def test_a_system_that_cannot_be_told_from_the_best_is_tied(make_report: Callable[..., ScoreReport]) -> None:
    def system(name: str, wrong: set[int]) -> ScoreReport:
        return make_report([(f"u{n}", f"s{n}", "a b c d", "a b c x" if n in wrong else "a b c d") for n in range(10)], system=name)

    table = group_table({"one": system("one", {1, 2}), "two": system("two", {3, 4, 5}), "three": system("three", set(range(10)))}, [])
    assert [(cell.best, cell.tied) for cell in table.rows[0].cells if cell] == [(True, False), (False, True), (False, False)]


def test_a_row_for_each_group_in_the_order_of_people(make_report: Callable[..., ScoreReport]) -> None:
    rows = [(f"u{n}", f"s{n}", "a " * (3 if n < 10 else 7 if n < 11 else 25), "a") for n in range(12)]
    table = group_table({"x": make_report(rows, by=("length", "speaker"))})
    assert [row.value for row in table.rows if row.field == "length"] == ["1-5", "6-10", ">20"]
    assert [row.value for row in table.rows if row.field == "speaker"] == [f"s{n}" for n in range(12)]
    assert sum(row.words for row in table.rows if row.field == "length") == table.rows[0].words == 62
    assert [row.field for row in group_table({"x": make_report(rows, by=("length", "speaker"))}, ["length"]).rows] == ["all", *["length"] * 3]
    alone = next(row for row in table.rows if row.value == ">20").cells[0]
    assert alone is not None
    assert (alone.interval, alone.errors) == (None, 24)  # one utterance has no interval


def test_utterances_without_a_value_are_a_row_of_their_own(make_report: Callable[..., ScoreReport]) -> None:
    report = make_report([("u1", "s1", "a b", "a"), ("u2", None, "a b", "a b")], by=("speaker",))
    assert [(row.value, row.words) for row in group_table({"x": report}).rows] == [("all", 4), ("s1", 2), ("(unknown)", 2)]


def test_a_system_without_a_report(twelve_speakers: Make) -> None:
    table = group_table({"crashed": None, "good": twelve_speakers("good", 1)}, [])
    assert table.rows[0].cells[0] is None
    assert table.to_json()["rows"][0]["cells"]["crashed"] is None
    assert table_text(table).splitlines()[2].split()[:4] == ["all", "12", "96", "-"]
    assert table_csv(table).splitlines()[1] == "all,all,24,12,96,crashed,,,,,,"
    with pytest.raises(ScoreError, match='none of the systems "a", "b" has a report'):
        group_table({"a": None, "b": None})


def test_what_does_not_belong_together_is_refused(twelve_speakers: Make, make_report: Callable[..., ScoreReport]) -> None:
    good, rows = twelve_speakers("good", 1), [("u1", "s1", "a b", "a")]
    with pytest.raises(ScoreError, match=r'"one" was scored on "test" .* do not stand in one table'):
        group_table({"one": good, "two": make_report(rows)})
    with pytest.raises(ScoreError, match='"one" was normalized with "raw 1" and "two" with "basic'):
        group_table({"one": make_report(rows), "two": make_report(rows, normalizer="basic")})
    with pytest.raises(ScoreError, match='no rows for "region": the reports group by accent'):
        group_table({"one": good}, ["region"])


def test_text_and_markdown(twelve_speakers: Make) -> None:
    table = group_table({"base": twelve_speakers("base", 3), "a|b": twelve_speakers("x", 1)}, [])
    shown = table_text(table).splitlines()
    assert shown[0].split() == ["group", "speakers", "words", "base", "a|b"]
    assert re.split(" {2,}", shown[2])[-2:] == ["77.1 % (66.7 to 87.5 %)", "27.1 %* (16.7 to 37.5 %)"]
    assert shown[3] == "WER (95 % interval over speakers). * lowest of its row; = cannot be told from the lowest (paired interval)."
    marked = table_markdown(table)
    assert "a\\|b" in marked
    assert marked.splitlines()[2].startswith("| all ")
    assert marked.splitlines()[2].count("|") == 7


def test_csv_is_rectangular_and_inert(make_report: Callable[..., ScoreReport]) -> None:
    rows = [("u1", "=1+1", "a b", "a"), ("u2", "s,2\n", "a b", "a b")]
    found = list(csv.reader(io.StringIO(table_csv(group_table({"@sys": make_report(rows, by=("speaker",))})))))
    assert tuple(found[0]) == COLUMNS
    assert {len(row) for row in found} == {len(COLUMNS)}
    assert [row[1] for row in found[1:]] == ["all", "'=1+1", "s,2\N{REPLACEMENT CHARACTER}"]
    assert found[1][5] == "'@sys"
    assert float(found[1][6]) == 0.25


def test_json_is_complete(twelve_speakers: Make) -> None:
    table = group_table({"a": twelve_speakers("a", 3), "b": twelve_speakers("b", 1)}, ["speaker"], resamples=200)
    row = json.loads(json.dumps(table.to_json()))
    assert row["systems"] == ["a", "b"]
    assert len(row["rows"]) == 13
    cell = row["rows"][0]["cells"]["b"]
    assert cell["ci95"] == [cell["interval"]["low"], cell["interval"]["high"]]


def test_a_thousand_groups_are_counted_not_printed(make_report: Callable[..., ScoreReport]) -> None:
    table = group_table({"x": make_report([(f"u{n}", f"s{n}", "a b", "a") for n in range(1000)], by=("speaker",))})
    assert len(table.rows) == 1001
    shown = table_text(table).splitlines()
    assert len(shown) == 2 + 1 + 40 + 1
    assert shown[-1] == "(960 more values of speaker)"


def test_a_group_that_would_be_a_picture_is_text_in_markdown(make_report: Callable[..., ScoreReport]) -> None:
    report = make_report([("a", "![x](http://example.org/x.png)", "one two", "one"), ("b", "s2", "three", "three")], by=("speaker",))
    assert "![x]\\(http" in table_markdown(group_table({"x": report}, ["speaker"]))
