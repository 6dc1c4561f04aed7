"""How large the HTML report is, how long it takes to make, and how long a browser takes to open it.

    .venv/bin/python benchmarks/report_speed.py --utterances 10000 --words 10

Two systems on an invented manifest of that many utterances by 100 speakers of 8 accents, with the errors of a usual recognizer. Opening is
measured in headless Chromium from the first request to the first page of utterances drawn (`data-ready`), the middle of five loads by a
fresh browser profile each. Needs Chromium and Playwright.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.report.document import comparison_document
from speechadapt.report.page import html_page
from speechadapt.score.report import score
from speechadapt.score.verdict import comparison_set

VOCABULARY = 4000
SPEAKERS, ACCENTS = 100, 8
LOADS = 5


def spoil(words: list[str], rate: float, vocabulary: list[str], dice: random.Random) -> str:
    """The words as a recognizer with about this error rate writes them: six in ten errors are substitutions, the rest halves."""
    said: list[str] = []
    for word in words:
        throw = dice.random()
        if throw < 0.6 * rate:
            said.append(dice.choice(vocabulary))
        elif throw < 0.8 * rate:
            continue
        else:
            said.append(word)
            if throw < rate:
                said.append(dice.choice(vocabulary))
    return " ".join(said)


def main() -> None:
    """Make the page, measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=10_000)
    parser.add_argument("--words", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="also keep the page here")
    options = parser.parse_args()
    dice = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["".join(dice.choices(letters, k=dice.randint(2, 9))) for _ in range(VOCABULARY)]
    texts = [dice.choices(vocabulary, k=options.words) for _ in range(options.utterances)]
    manifest = Manifest(
        (
            Utterance(
                id=f"corpus-speaker{place % SPEAKERS:03d}-{place:06d}",
                audio_filepath=f"audio/speaker{place % SPEAKERS:03d}/{place:06d}.flac",
                duration=4.0,
                text=" ".join(words),
                speaker=f"corpus:speaker{place % SPEAKERS:03d}",
                accent=f"accent {place % SPEAKERS % ACCENTS}",
            )
            for place, words in enumerate(texts)
        ),
        folder=Path(),
        name="test",
    )
    base, adapted = (
        score(
            manifest,
            [Hypothesis(id=u.id, text=spoil(words, rate, vocabulary, dice)) for u, words in zip(manifest, texts, strict=True)],
            system=name,
            normalizer="raw",
        )
        for name, rate in (("base", 0.3), ("adapted", 0.2))
    )
    document = comparison_document(comparison_set("test", "test.jsonl", "test", base, adapted), base, adapted)
    start = time.perf_counter()
    page = html_page(document)
    made = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(page.html, encoding="utf-8")
        if options.keep:
            shutil.copyfile(path, options.keep)
        opened = load(path)
    size = len(page.html.encode())
    result = {
        "utterances": options.utterances,
        "words": options.words,
        "made_seconds": round(made, 2),
        "megabytes": round(size / 1e6, 2),
        "opened_seconds": round(statistics.median(opened), 3),
        "opened_seconds_all": [round(one, 3) for one in opened],
        "load": os.getloadavg()[0],
    }
    print(json.dumps(result))


def load(path: Path) -> list[float]:
    """Seconds from the start of loading until the utterances stand there, once per fresh profile."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    seconds = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(LOADS):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            page = context.new_page()
            start = time.perf_counter()
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready]")
            page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")  # drawn, not only made
            seconds.append(time.perf_counter() - start)
            context.close()
        browser.close()
    return seconds


if __name__ == "__main__":
    main()
