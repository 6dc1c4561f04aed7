"""The page at / in a real browser: record from its fake microphone or choose a file, read both texts, download them."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browser import find_chromium
from running_server import Running, SlowLibrary, clip, running, wav

from speechadapt.serve.limits import Limits

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake microphone hears, again and again."""
    path = tmp_path_factory.mktemp("microphone") / "voice.wav"
    path.write_bytes(wav(np.repeat(clip(1, 4.0), 3), 48_000))
    return path


@pytest.fixture(scope="module")
def chromium(microphone: Path) -> Iterator[Browser]:
    path = find_chromium()
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    flags = [
        "--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}",
    ]  # fmt: skip
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=flags)
        yield started
        started.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """`visit(server, **options)`: the page, once it has asked for the models; afterwards nothing was complained of in its console."""
    contexts, told = [], []

    def show(server: Running, *, expect: tuple[str, ...] = (), **options: Any) -> Page:
        context = chromium.new_context(**{"viewport": {"width": 1100, "height": 900}, "permissions": ["microphone"], **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda one: told.append(one.text) if one.type in ("error", "warning") and not any(w in one.text for w in expect) else None)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda one: told.append(one.url) if not one.url.startswith((server.url, "blob:", "data:")) else None)
        page.goto(server.url)
        page.wait_for_selector("html[data-ready]")
        return page

    yield show
    for context in contexts:
        context.close()
    assert told == []


def choose(page: Page, audio: bytes, name: str = "talk.wav") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "audio/wav", "buffer": audio})


def wait(page: Page, true: Callable[[], bool]) -> None:
    """Until something is true; playwright's own waiting would evaluate text in the page, which its policy forbids."""
    for _ in range(200):
        if true():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never came")


def shot(page: Page, name: str) -> None:
    """A picture for whoever wants to look, where SCREENSHOTS names a folder."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_a_file_side_by_side(visit: Callable[..., Page], server: Running) -> None:
    page = visit(server)
    assert page.locator("#adapter option").all_inner_texts() == ["north", "south", "west", "none: the base alone"]
    assert page.locator("#go").is_disabled()
    shot(page, "empty")
    audio = wav(clip(3, 2.0))
    choose(page, audio)
    page.select_option("#adapter", "south")
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])")
    base, adapted = server.post(audio, model="base").json["text"], server.post(audio, model="south").json["text"]
    assert plain(page, "base") == " ".join(base.split())
    assert plain(page, "adapted") == " ".join(adapted.split())
    assert page.locator("#base .w.d").count() > 0
    assert page.locator("#adapted .w.i").count() > 0
    assert page.evaluate("document.activeElement.id") == "h-result"
    shot(page, "result")


def plain(page: Page, side: str) -> str:
    return " ".join(page.locator(f"#{side} .text").evaluate("one => one.textContent").split())


def test_the_marks_are_the_difference(visit: Callable[..., Page], server: Running) -> None:
    page = visit(server)
    texts = {"base": "The old fisher man repaired, his boat before", "north": "the old fisherman repaired his own boat before <b>"}

    def answer(route: Any) -> None:
        asked = "base" if b'name="model"\r\n\r\nbase' in route.request.post_data_buffer else "north"
        route.fulfill(json={"text": texts[asked]})

    page.route("**/v1/audio/transcriptions", answer)
    choose(page, wav(clip(1)))
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])")
    assert page.locator("#base .w").all_inner_texts() == ["fisher", "man"]
    assert page.locator("#adapted .w").all_inner_texts() == ["fisherman", "own", "<b>"]
    assert page.locator("#summary").inner_text().startswith("2 words heard by the base alone, 3 words by the adapter alone.")
    shot(page, "difference")
    page.emulate_media(color_scheme="dark")
    shot(page, "dark")
    page.set_viewport_size({"width": 320, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    shot(page, "phone")


def test_recording_from_the_microphone(visit: Callable[..., Page], library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = SlowLibrary(library)
    with running(ear) as server:
        page = visit(server)
        heads: list[bytes] = []
        submit = server.service.submit

        def noted(upload: Any, wish: Any, ticket: Any) -> Any:
            heads.append(upload.file.read(28))
            upload.file.seek(0)
            return submit(upload, wish, ticket)

        monkeypatch.setattr(server.service, "submit", noted)
        page.click("#record")
        page.wait_for_selector("#record[aria-pressed=true]")
        wait(page, lambda: page.locator("#level").evaluate("one => one.value") > 0.05)
        wait(page, lambda: page.locator("#clock").inner_text() != "0:00")
        assert page.locator("#go").is_disabled()
        shot(page, "recording")
        page.click("#record")
        page.wait_for_selector("#player:not([hidden])")
        told = page.locator("#chosen").inner_text()
        assert told.startswith("Recording of ")
        page.click("#go")
        page.wait_for_selector("#result:not([hidden])", timeout=60_000)
        assert plain(page, "adapted")
        rate = page.evaluate("new AudioContext().sampleRate")
    assert {name for batch in ear.batches for name in batch} == {None, "north"}
    assert rate > 16_000
    assert [struct.unpack_from("<I", head, 24)[0] for head in heads] == [rate, rate]  # as it was recorded: resampling is the server's
    seconds = [len(one) / 16_000 for one in ear.heard]
    assert seconds == pytest.approx([float(told.split()[2])] * 2, abs=0.06)
    assert min(seconds) > 1.0
    assert np.abs(ear.heard[0]).max() > 0.1  # the sound of the fake microphone, not silence


def test_downloads(visit: Callable[..., Page], server: Running) -> None:
    page = visit(server)
    audio = wav(clip(3, 2.0))
    choose(page, audio, "my talk.wav")
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])")
    for label, suffix, form in (("Text", "txt", "text"), ("SRT", "srt", "srt"), ("VTT", "vtt", "vtt")):
        with page.expect_download() as waited:
            page.click(f"#adapted .save button:text-is('{label}')")
        assert waited.value.suggested_filename == f"my talk.adapted.{suffix}"
        assert Path(waited.value.path()).read_bytes() == server.post(audio, model="north", response_format=form).body


def test_the_base_alone(visit: Callable[..., Page], server: Running) -> None:
    page = visit(server)
    choose(page, wav(clip(3)))
    page.select_option("#adapter", "")
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])")
    assert page.locator("#adapted").is_hidden()
    assert plain(page, "base")


def test_mistakes_are_told_in_words(visit: Callable[..., Page], server: Running) -> None:
    page = visit(server, expect=("400",))
    choose(page, b"this is no sound")
    page.click("#go")
    page.wait_for_selector("#alert:not([hidden])")
    assert page.locator("#alert").inner_text().startswith("The recording cannot be used: not a recording that can be read")
    assert page.locator("#result").is_hidden()
    shot(page, "mistake")
    choose(page, b"")
    assert page.locator("#alert").inner_text() == "talk.wav is empty. Choose another file."
    choose(page, wav(clip(1)))
    assert page.locator("#alert").is_hidden()
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])")


def test_a_busy_server_and_a_cancelled_request(visit: Callable[..., Page], library: Any) -> None:
    slow = SlowLibrary(library, 2.0)
    with running(slow, limits=Limits(max_concurrent=1)) as server:
        page = visit(server, expect=("429",))
        choose(page, wav(clip(1)))
        page.click("#go")  # asks for two at once
        page.wait_for_selector("#alert:not([hidden])")
        assert page.locator("#alert").inner_text().startswith("The server is busy. Try again in a moment.")
        page.select_option("#adapter", "")
        slow.entered.clear()
        wait(page, lambda: page.locator("#go").is_enabled() and not server.service.batcher.waiting and not server.service.room.requests)
        page.click("#go")
        page.click("#cancel")
        wait(page, lambda: page.locator("#status").inner_text() == "Cancelled.")
        assert page.locator("#alert").is_hidden()


def test_another_recording_ends_the_request_for_the_last_one(visit: Callable[..., Page], library: Any) -> None:
    slow = SlowLibrary(library, 1.5)
    with running(slow) as server:
        page = visit(server)
        choose(page, wav(clip(1)), "one.wav")
        page.click("#go")
        assert slow.entered.wait(5)
        choose(page, wav(clip(2)), "two.wav")
        wait(page, lambda: page.locator("#go").is_enabled())
        page.wait_for_timeout(2500)
        assert page.locator("#result").is_hidden()
        assert page.locator("#chosen").inner_text().startswith("two.wav")


def test_a_token_is_asked_for_when_it_is_needed(visit: Callable[..., Page], library: Any) -> None:
    with running(library, token="right") as server:
        page = visit(server, expect=("401",))
        assert page.locator("#alert").inner_text() == "This server asks for a token. Enter it above."
        page.fill("#token", "wrong")
        page.press("#token", "Tab")
        wait(page, lambda: page.locator("#alert").inner_text().startswith("This is not"))
        page.fill("#token", "right")
        page.press("#token", "Tab")
        wait(page, lambda: page.locator("#adapter").is_enabled())
        choose(page, wav(clip(1)))
        page.click("#go")
        page.wait_for_selector("#result:not([hidden])")


def test_by_keyboard_alone(visit: Callable[..., Page], server: Running) -> None:
    page = visit(server)
    choose(page, wav(clip(1)))
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    for one in ("skip", "theme", "record", "file", "player", "adapter", "go"):
        assert one in seen
    page.focus("#go")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result:not([hidden])")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_the_way_of_screen_readers(visit: Callable[..., Page], server: Running, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = visit(server, color_scheme=scheme, bypass_csp=True)
    choose(page, wav(clip(3)))
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])")
    found = axe.Axe().run(page)
    assert found.response["violations"] == []
