"""Outputs: a document written in every form that was asked for, and the exit code that the conditions give."""

import dataclasses
import sys
from pathlib import Path

from speechadapt.files import write_text
from speechadapt.report.conditions import Condition, check_conditions
from speechadapt.report.document import Document
from speechadapt.report.junit import junit_xml, regressed
from speechadapt.report.markdown import document_markdown
from speechadapt.report.page import html_page
from speechadapt.report.tables_csv import groups_csv, utterances_csv
from speechadapt.score.phrases import printable

STDOUT = Path("-")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Where to write what; None leaves a form out, `-` prints it.

    Attributes:
        html, markdown, csv, junit: files. Beside the CSV of utterances, `NAME.groups.csv` holds the groups; printed, the utterances come alone.
        embed_audio: of how many utterances the page holds the sound.
        conditions: of `--fail-if`. fail_on_regression: whether a set that got significantly worse, guards too, is a failure.
    """

    html: Path | None = None
    markdown: Path | None = None
    csv: Path | None = None
    junit: Path | None = None
    embed_audio: int = 0
    conditions: tuple[Condition, ...] = ()
    fail_on_regression: bool = False


def write_outputs(document: Document, wishes: Wishes) -> int:
    """Write what was asked for and say on stderr where it lies and which condition failed.

    Returns:
        1 if a condition holds (or cannot be judged), or a regression was to fail; else 0.

    Raises:
        MisuseError: a condition names what the document does not have; nothing is written then.
    """
    findings = check_conditions(document, wishes.conditions)
    if wishes.html:
        folder = Path() if wishes.html == STDOUT else wishes.html.parent
        page = html_page(document, folder=folder, embed_audio=wishes.embed_audio)
        _write(wishes.html, page.html)
        for note in page.notes:
            print(f"note: {note}", file=sys.stderr)
    if wishes.markdown:
        _write(wishes.markdown, document_markdown(document))
    if wishes.csv:
        _write(wishes.csv, utterances_csv(document))
        if wishes.csv != STDOUT:
            _write(wishes.csv.with_name(f"{wishes.csv.stem}.groups.csv"), groups_csv(document))
    if wishes.junit:
        _write(wishes.junit, junit_xml(document, findings, fail_on_regression=wishes.fail_on_regression))
    failed = [finding.sentence for finding in findings if finding.failed]
    if wishes.fail_on_regression:
        failed += [
            f"FAILED: {one.role} {one.name} got worse: {one.comparison.sentence}" for one in document.sets if regressed(one) and one.comparison
        ]
    for sentence in failed:
        print(printable(sentence), file=sys.stderr)
    return int(bool(failed))


def _write(path: Path, text: str) -> None:
    if path == STDOUT:
        sys.stdout.write(text)
        return
    write_text(path, text)
    print(f"written: {path}", file=sys.stderr)
