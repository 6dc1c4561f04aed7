"""CSV, JUnit XML, Markdown, JSON with its schema, and text made inert: read back by the programs they are for."""

import csv
import dataclasses
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from report_documents import HOSTILE, make_entry, make_report

from speechadapt.errors import MisuseError
from speechadapt.report.conditions import check_conditions, parse_condition
from speechadapt.report.document import Document, Table, comparison_document, report_document, reports_document
from speechadapt.report.inert import inert, script_json
from speechadapt.report.junit import junit_xml
from speechadapt.report.markdown import document_markdown
from speechadapt.report.schema import SCHEMAS, read_schema
from speechadapt.report.tables_csv import groups_csv, utterances_csv
from speechadapt.score.report import ScoreReport


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_utterances_as_csv(document: Document) -> None:
    rows = rows_of(utterances_csv(document))
    assert len(rows) == 12
    assert [row["system"] for row in rows] == ["base"] * 6 + ["adapted"] * 6
    assert rows[8] == {
        "set": "test",
        "role": "test",
        "system": "adapted",
        "id": "u2",
        "speaker": "s2",
        "reference": "one two three",
        "hypothesis": "one two three",
        "words": "3",
        "errors": "0",
        "hits": "3",
        "substitutions": "0",
        "deletions": "0",
        "insertions": "0",
        "wer": "0.0",
        "cer": "0.0",
        "change": "-1",
        "runaway": "0",
        "accent": "south",
        "gender": "",
        "age": "",
    }


def test_groups_as_csv(document: Document, reports: tuple[ScoreReport, ScoreReport]) -> None:
    rows = rows_of(groups_csv(document))
    assert [(row["field"], row["group"]) for row in rows[:3]] == [("", ""), ("accent", "north"), ("accent", "south")]
    assert len(rows) == 1 + 2 + 4
    assert (rows[0]["words"], float(rows[0]["wer"]), float(rows[0]["base_wer"])) == ("18", 1 / 18, 5 / 18)
    single = rows_of(groups_csv(report_document(reports[0])))
    assert [row["group"] for row in single] == ["", "north", "south", "s0", "s1", "s2", "s3"]
    assert float(single[1]["wer"]) == pytest.approx(3 / 9)
    assert single[1]["delta"] == ""


def test_csv_of_strangers_is_read_back_and_runs_nothing(hostile: Document) -> None:
    rows = rows_of(utterances_csv(hostile))
    assert len(rows) == 2 * len(HOSTILE)
    assert rows[0]["reference"] == "said </script><script>window.ran=1</script>"
    assert {row["set"] for row in rows} == {"set <script>window.ran=8</script>"}


@pytest.mark.parametrize(
    ("text", "cell"),
    [("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("-cmd", "'-cmd"), ("-1.5", "-1.5"), ("a=1", "a=1"), ("+", "'+"), ("\n=1+1", "'\n=1+1")],
)
def test_formulas_are_text(text: str, cell: str, reports: tuple[ScoreReport, ScoreReport]) -> None:
    odd = dataclasses.replace(reports[0], system=text)
    assert rows_of(utterances_csv(report_document(odd)))[0]["system"] == cell


def check_junit(text: str) -> ElementTree.Element:
    """The rules of the schema that Jenkins' xUnit plugin publishes (junit-10.xsd), as far as they concern what we write."""
    root = ElementTree.fromstring(text)
    allowed: dict[str, tuple[set[str], set[str], set[str]]] = {  # attributes: needed, allowed; children
        "testsuites": (set(), {"name", "tests", "failures", "errors", "time", "disabled"}, {"testsuite"}),
        "testsuite": (
            {"name"},
            {"tests", "failures", "errors", "skipped", "time", "timestamp", "hostname", "id", "package"},
            {"testcase", "properties"},
        ),
        "testcase": ({"name", "classname"}, {"time", "status", "group"}, {"skipped", "error", "failure", "system-out", "system-err"}),
        "failure": (set(), {"type", "message"}, set()),
        "system-out": (set(), set(), set()),
    }
    for element in root.iter():
        needed, more, children = allowed[element.tag]
        assert needed <= set(element.attrib) <= needed | more, element.tag
        assert {child.tag for child in element} <= children
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases)
        assert int(suite.attrib["failures"]) == sum(case.find("failure") is not None for case in cases)
        assert int(suite.attrib["errors"]) == int(suite.attrib["skipped"]) == 0
        for case in cases:
            assert [child.tag for child in case] == sorted((child.tag for child in case), key=["failure", "system-out"].index)
    assert int(root.attrib["tests"]) == sum(int(suite.attrib["tests"]) for suite in root)
    return root


def test_junit(document: Document) -> None:
    findings = check_conditions(document, [parse_condition("wer > 0.2"), parse_condition("errors > 0")])
    root = check_junit(junit_xml(document, findings))
    assert [suite.attrib["name"] for suite in root] == ["speechadapt.sets", "speechadapt.fail-if"]
    (case,) = root[0]
    assert case.attrib["name"] == "test (test)"
    assert case.find("failure") is None
    told = case.findtext("system-out")
    assert told is not None
    assert "\nerrors 1\n" in told
    assert [one.attrib["name"] for one in root[1]] == ["fail if wer > 0.2 on test", "fail if errors > 0 on test"]
    failure = root[1][1].find("failure")
    assert failure is not None
    assert failure.attrib == {"type": "condition", "message": "FAILED: fail if errors > 0 on test: errors is 1"}
    assert (root.attrib["tests"], root.attrib["failures"]) == ("3", "1")


@pytest.mark.parametrize(("role", "strict", "failures"), [("test", False, "1"), ("guard", False, "0"), ("guard", True, "1")])
def test_junit_of_a_set_that_got_worse(role: str, strict: bool, failures: str) -> None:
    rows = [(f"u{place}", f"s{place}", "one two three") for place in range(12)]
    base, worse = (make_report([(*row, heard) for row in rows], heard) for heard in ("one two three", "one two"))
    document = comparison_document(make_entry(base, worse, role=role), base, worse)
    root = check_junit(junit_xml(document, fail_on_regression=strict))
    assert root.attrib["failures"] == failures


def test_junit_of_a_system_without_a_score(reports: tuple[ScoreReport, ScoreReport]) -> None:
    document = reports_document(reports[:1], title="Two", failures=[("lost", "test", "exit 3 (\x1b[31m)")])
    root = ElementTree.fromstring(junit_xml(document))
    assert [root.get(name) for name in ("tests", "failures", "errors")] == ["2", "0", "1"]
    (error,) = root.iter("error")
    assert (error.get("type"), error.get("message")) == ("no score", "exit 3 (⟨U+001B⟩[31m)")
    assert [case.get("name") for case in root.iter("testcase") if case.find("error") is not None] == ["lost on test (test)"]


def test_junit_of_strangers(hostile: Document) -> None:
    root = check_junit(junit_xml(hostile))
    assert root[0][0].attrib["name"] == "set <script>window.ran=8</script> (test)"


def test_markdown_of_a_report(reports: tuple[ScoreReport, ScoreReport]) -> None:
    text = document_markdown(report_document(reports[0]))
    lines = text.splitlines()
    assert lines[0] == "# tiny on test"
    assert lines[2].startswith('- tiny on "test": WER 27.8 %')
    assert lines[4].split("|")[1].strip() == "set"
    assert [cell.strip() for cell in lines[6].split("|")][1:3] == ["test", "27.8 %"]
    assert "| north   | accent  | 3            | 2          | 9       | 33.3 % |" in text
    assert "## How it was made" in lines


def test_markdown_of_a_comparison_is_the_summary(document: Document) -> None:
    text = document_markdown(document)
    assert text.startswith('# tiny + north against tiny on test\n\n- Test "test": ')
    assert "### Most improved (5 of 5)" in text


def test_markdown_of_strangers_opens_nothing(hostile: Document) -> None:
    (one,) = hostile.sets
    assert one.report is not None
    table = Table(title="<b>[x](javascript:1)", head=("a|b",), rows=(("`<img>`",),))
    text = document_markdown(reports_document([one.report], title="<script>", tables=[table]))
    assert "<" not in text.replace("&lt;", "")
    assert "](" not in text.replace("\\](", "")


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_are_schemas(name: str) -> None:
    schema = read_schema(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_no_other_schema() -> None:
    with pytest.raises(MisuseError, match=r'no schema "x"\. There are: report, comparison\.'):
        read_schema("x")


def validator(name: str) -> Any:
    return jsonschema.Draft202012Validator(read_schema(name))


def test_what_is_written_fits_its_schema(document: Document, reports: tuple[ScoreReport, ScoreReport], run_folder: Path, hostile: Document) -> None:
    for report in (*reports, *(one.report for one in hostile.sets if one.report)):
        validator("report").validate(json.loads(json.dumps(report.to_json())))
    for value in (document.to_json(), document.entries[0].to_json(), json.loads((run_folder / "comparison.json").read_text())):
        validator("comparison").validate(json.loads(json.dumps(value)))


def test_every_field_that_is_written_is_described(document: Document, reports: tuple[ScoreReport, ScoreReport]) -> None:
    schema = read_schema("report")
    written = reports[0].to_json()
    assert set(written) <= set(schema["properties"])
    assert set(written["utterances"][0]) <= set(schema["$defs"]["utterance"]["properties"])
    assert set(written["groups"]["accent"]["north"]) <= set(schema["$defs"]["group"]["properties"])
    schema = read_schema("comparison")
    entry = document.entries[0].to_json()
    assert set(entry) <= set(schema["$defs"]["entry"]["properties"])
    assert set(entry["interval"]) <= set(schema["$defs"]["interval"]["properties"])
    assert set(entry["groups"]["accent"]["north"]) <= set(schema["$defs"]["group"]["properties"])


@pytest.mark.parametrize(
    ("change", "place"), [({"wer": -1}, "wer"), ({"words": {"hits": 1}}, "words"), ({"fingerprint": "x"}, "fingerprint"), ({"by": "accent"}, "by")]
)
def test_what_is_wrong_is_found(change: dict[str, Any], place: str, reports: tuple[ScoreReport, ScoreReport]) -> None:
    value = json.loads(json.dumps({**reports[0].to_json(), **change}))
    assert next(error.absolute_path[0] for error in validator("report").iter_errors(value)) == place


def test_inert() -> None:
    assert inert("plain text") == "plain text"
    assert inert("a\u202eb\u2028c\x00d\ud800e\ufefff") == "a⟨U+202E⟩b⟨U+2028⟩c⟨U+0000⟩d⟨U+D800⟩e⟨U+FEFF⟩f"
    assert inert("tab\tline\r\nend") == "tab line  end"
    family, persian = "👩\u200d👧", "می\u200cخواهم"
    assert inert(family) == family
    assert inert(persian) == persian


def test_json_in_a_script() -> None:
    value = {"</script>": "<!-- & \u2028\u2029 é"}
    text = script_json(value)
    assert text == '{"\\u003c/script\\u003e":"\\u003c!-- \\u0026 \\u2028\\u2029 é"}'
    assert json.loads(text) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json({"x": float("nan")})
