"""Small documents of every kind, and a browser that is already on this machine."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from browser import find_chromium
from report_documents import BASE, HOSTILE, NEW, SAID, make_entry, make_report

from speechadapt.report.document import Document, comparison_document, read_document, report_document
from speechadapt.report.page import html_page
from speechadapt.score.report import ScoreReport
from speechadapt.score.verdict import write_comparison

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the manifest of `reports` and its recordings lie; a test that changes them takes a copy."""
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture(scope="session")
def reports(corpus: Path) -> tuple[ScoreReport, ScoreReport]:
    """Base and adapted over a manifest on disk, with a second of sound for each of its six utterances."""
    (corpus / "audio").mkdir()
    for place in range(len(SAID)):
        tone = 0.2 * np.sin(2 * np.pi * 220 * (place + 1) * np.arange(16000) / 16000)
        soundfile.write(corpus / "audio" / f"{place}.flac", tone, 16000)
    sides = (
        [(f"u{place}", f"s{place % 4}", said, heard) for place, (said, heard) in enumerate(zip(SAID, side, strict=True))] for side in (BASE, NEW)
    )
    base, adapted = (make_report(rows, system, corpus) for rows, system in zip(sides, ("tiny", "tiny + north"), strict=True))
    return base, adapted


@pytest.fixture(scope="session")
def document(reports: tuple[ScoreReport, ScoreReport]) -> Document:
    return comparison_document(make_entry(*reports), *reports)


@pytest.fixture(scope="session")
def hostile() -> Document:
    """Everything hostile, as text, id, speaker and accent."""
    rows = [(f"{name} {text}", f"speaker {text}", f"said {text}", f"heard {text} more") for name, text in HOSTILE.items()]
    base = make_report(rows, "base <b>&")
    adapted = make_report([(*row[:3], f"said {row[2]}") for row in rows], "adapted </title><script>window.ran=9</script>")
    renamed = [
        dataclasses.replace(
            report,
            utterances=tuple(
                dataclasses.replace(one, groups={**one.groups, "accent": f"accent {list(HOSTILE.values())[place]}"})
                for place, one in enumerate(report.utterances)
            ),
        )
        for report in (base, adapted)
    ]
    return comparison_document(make_entry(*renamed, name="set <script>window.ran=8</script>"), *renamed)


@pytest.fixture(scope="session")
def run_folder(reports: tuple[ScoreReport, ScoreReport], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: comparison, both reports, losses, dev scores, settings. A test that changes it takes a copy."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    (folder / "reports").mkdir(parents=True)
    for report, system in zip(reports, ("base", "adapted"), strict=True):
        report.write(folder / "reports" / f"test.{system}.json")
    write_comparison(folder / "comparison.json", [make_entry(*reports)])
    steps = [f'{{"step": {step}, "loss": {2 / step:.4f}, "lr": 0.001}}\n' for step in range(1, 101)]
    (folder / "train.jsonl").write_text("".join(steps) + '{"step": 10')  # a crash cut the last line short
    (folder / "training.json").write_text('{"scores": [[50, 0.4], [100, 0.25]], "chosen_step": 100}')
    (folder / "settings.json").write_text('{"command": "run", "settings": {"TRAIN": {"steps": 100}, "GUARDS": []}}')
    (folder / "environment.json").write_text('{"time": "2026-11-24T10:36:04+00:00", "command": ["speechadapt", "run"], "python": "3.11.7"}')
    return folder


@pytest.fixture(scope="module")  # not longer: while a driver lives, its thread has a running event loop, and can start no other
def browser() -> "Iterator[Browser]":
    path = find_chromium()
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"])
        yield started
        started.close()


@dataclasses.dataclass
class Opened:
    """A page that was opened, what it told the console, what it asked the network for, and a guard that nothing was run."""

    page: "Page"
    told: list[str]
    asked: list[str]


@pytest.fixture
def open_page(browser: "Browser", tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    contexts = []

    def show(html: str, **options: Any) -> Opened:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        opened = Opened(page=page, told=[], asked=[])
        page.on("console", lambda message: opened.told.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: opened.told.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (opened.told.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: opened.asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        return opened

    yield show
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def many() -> Document:
    """One system on sixty utterances."""
    return report_document(make_report([(f"u{place:02d}", f"s{place % 9}", "one two three", "one two") for place in range(60)], "tiny"))


@pytest.fixture(scope="session")
def document_html(document: Document) -> str:
    return html_page(document).html


@pytest.fixture(scope="session")
def hostile_html(hostile: Document) -> str:
    return html_page(hostile).html


@pytest.fixture(scope="session")
def run_html(run_folder: Path) -> str:
    return html_page(read_document(run_folder)).html
