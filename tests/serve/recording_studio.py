"""A recording page that runs in this process, and a Chromium whose microphone plays a file."""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import find_chromium

from speechadapt.serve.prompts import Prompt, divide
from speechadapt.serve.record import CONSENT, RecordServer
from speechadapt.serve.recorded_corpus import RecordedCorpus, SpeakerLabels, open_recorded
from speechadapt.text.sentence import sentence_key

if TYPE_CHECKING:
    from playwright.sync_api import Page

TEXTS = ("Put the kettle on.", "The door is open.", "We walked along the river.")


def make_prompts(texts: tuple[str, ...] = TEXTS) -> list[Prompt]:
    places = divide(len(texts), test_share=0.2, dev_share=0.1)
    return [Prompt(id=sentence_key(text)[:10], text=text, split=split) for text, split in zip(texts, places, strict=True)]


@dataclasses.dataclass
class Studio:
    """A page that is being served, and where its takes go."""

    corpus: RecordedCorpus
    server: RecordServer
    notes: list[str]


@contextlib.contextmanager
def serving(out: Path, prompts: list[Prompt] | None = None, labels: SpeakerLabels | None = None, consent: str = CONSENT) -> Iterator[Studio]:
    """The page over a corpus, in a thread."""
    labels = labels or SpeakerLabels(speaker="anna", accent="scottish", language="en")
    with open_recorded(out, prompts or make_prompts(), labels) as (corpus, notes):
        server = RecordServer(corpus, consent=consent)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield Studio(corpus=corpus, server=server, notes=notes)
        finally:
            server.stop()
            thread.join(10)
            assert not thread.is_alive()


@dataclasses.dataclass
class Reader:
    """A browser tab, what its console told, and what it asked the network for."""

    page: "Page"
    told: list[str]
    asked: list[str]

    def mode(self, *names: str, seconds: float = 15) -> str:
        """Wait until the page is in one of these modes."""
        for _ in range(round(seconds * 40)):
            found = str(self.page.evaluate("document.documentElement.dataset.mode"))
            if found in names:
                return found
            self.page.wait_for_timeout(25)
        raise AssertionError(f"not within {seconds} s: {names}; it is {found}; {self.page.inner_text('main')}; {self.told}")

    def read(self, seconds: float = 2.0) -> None:
        """Record for so long, by the button."""
        self.page.click("#record")
        self.mode("recording")
        self.page.wait_for_timeout(round(1000 * seconds))
        self.page.click("#record")
        self.mode("review")

    def findings(self) -> list[str]:
        return self.page.locator("#findings li").all_inner_texts()


@contextlib.contextmanager
def reading(url: str, sound: Path | None, **options: Any) -> Iterator[Reader]:
    """A Chromium on the page whose microphone plays `sound` over and over, once from the moment it is opened; None: it has none at all."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    if sound is not None:
        arguments += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={sound}"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(), args=arguments)
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        reader = Reader(page=context.new_page(), told=[], asked=[])
        reader.page.on("console", lambda message: reader.told.append(f"{message.type}: {message.text}"))
        reader.page.on("pageerror", lambda error: reader.told.append(f"error: {error}"))
        reader.page.on("request", lambda request: reader.asked.append(request.url))
        reader.page.goto(url)
        reader.page.wait_for_selector("html[data-ready]")
        try:
            yield reader
        finally:
            browser.close()
