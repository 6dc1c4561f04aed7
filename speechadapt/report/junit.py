"""JUnit XML: a test case per set and per condition, as Jenkins, GitLab and GitHub actions read it."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

from speechadapt.report.conditions import Finding, set_values
from speechadapt.report.document import Document, ReportSet
from speechadapt.report.inert import inert
from speechadapt.score.compare import WORSE

SUITES = {"sets": "speechadapt.sets", "conditions": "speechadapt.fail-if"}
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(document: Document, findings: Sequence[Finding] = (), *, fail_on_regression: bool = False) -> str:
    """The document as test results.

    Args:
        document: each of its sets is a test case, which fails where a test set got significantly worse; one without a score is an error.
        findings: each is a test case of its own.
        fail_on_regression: guards that got significantly worse fail, too.
    """
    root = ElementTree.Element("testsuites", name=_text(document.title))
    sets = _suite(root, SUITES["sets"], dict(document.provenance).get("time"))
    for one in document.sets:
        case = _case(sets, SUITES["sets"], f"{one.name} ({one.role})")
        if regressed(one, guards=fail_on_regression):
            _failure(case, "regression", one.comparison.sentence if one.comparison else "")
        lines = [_sentence(one), *(f"{name} {value:.6g}" for name, value in set_values(one).items() if value is not None)]
        ElementTree.SubElement(case, "system-out").text = _text("\n".join(lines))
    for name, why in document.failures:
        case = _case(sets, SUITES["sets"], f"{name} (test)")
        ElementTree.SubElement(case, "error", type="no score", message=_text(why)).text = _text(why)
    if findings:
        conditions = _suite(root, SUITES["conditions"], None)
        for finding in findings:
            case = _case(conditions, SUITES["conditions"], f"fail if {finding.condition.text} on {finding.set}")
            if finding.failed:
                _failure(case, "condition", finding.sentence)
    for suite in root:
        cases = suite.findall("testcase")
        suite.set("tests", str(len(cases)))
        for name in ("failure", "error"):
            suite.set(f"{name}s", str(sum(case.find(name) is not None for case in cases)))
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def regressed(one: ReportSet, *, guards: bool = True) -> bool:
    """Whether a set got significantly worse; guards count only where asked."""
    return one.comparison is not None and one.comparison.verdict == WORSE and (guards or one.role == "test")


def _suite(root: ElementTree.Element, name: str, time: str | None) -> ElementTree.Element:
    suite = ElementTree.SubElement(root, "testsuite", name=name, tests="0", failures="0", errors="0", skipped="0", time="0")
    if time:
        suite.set("timestamp", time[:19])  # the schema's dateTime has no zone
    return suite


def _case(suite: ElementTree.Element, group: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=group, name=_text(name), time="0")


def _failure(case: ElementTree.Element, kind: str, message: str) -> None:
    failure = ElementTree.SubElement(case, "failure", type=kind, message=_text(message))
    failure.text = _text(message)


def _sentence(one: ReportSet) -> str:
    return one.comparison.sentence if one.comparison else one.sentence


def _text(text: str) -> str:
    """What XML can hold; line ends stay."""
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", "\n".join(inert(line) for line in text.split("\n")))
