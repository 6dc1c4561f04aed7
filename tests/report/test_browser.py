"""The page in a real browser: nothing of strangers runs, nothing is fetched, everything can be reached, read, sorted, printed and heard."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speechadapt.report.document import Document
from speechadapt.report.page import html_page

pytestmark = pytest.mark.browser

Open = Callable[..., Any]


def ids(page: Any) -> list[str]:
    return [text.strip() for text in page.locator("#list h3").all_inner_texts()]


def until(page: Any, condition: str) -> None:
    """Wait for a condition; Playwright's own way evaluates text inside the page, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"not within 5 s: {condition}")


def test_nothing_is_fetched_and_nothing_complains(open_page: Open, run_html: str, tmp_path: Path) -> None:
    opened = open_page(run_html)
    assert opened.told == []
    assert opened.asked == [(tmp_path / "page.html").as_uri()]
    assert opened.page.locator("section h2").all_inner_texts() == [
        "Verdict",
        "Groups",
        "Speakers",
        "What went wrong",
        "Training",
        "Utterances",
        "Provenance",
    ]


def test_text_of_strangers_is_text(open_page: Open, hostile_html: str) -> None:
    opened = open_page(hostile_html)
    page = opened.page
    page.check("#aligned")
    page.uncheck("#aligned")
    page.mouse.move(400, 400)
    assert page.evaluate("window.ran") is None
    assert opened.told == []
    assert len(opened.asked) == 1
    assert page.locator("main img, main iframe, main object, #list svg, #list script").count() == 0
    assert page.evaluate("document.scripts.length") == 2
    assert page.title() == "adapted </title><script>window.ran=9</script> against base <b>& on set <script>window.ran=8</script>"
    page.fill("#find", "</script>")
    until(page, "document.querySelectorAll('#list > li').length === 1")
    assert page.locator("#list dd").first.inner_text() == "said </script><script>window.ran=1</script>"
    page.fill("#find", "override")
    until(page, "document.querySelector('#list dd').textContent.includes('U+202E')")
    assert page.locator("#list dd").first.inner_text() == "said ⟨U+202E⟩evil⟨U+202C⟩ ⟨U+2066⟩x⟨U+2069⟩"


def test_even_a_script_that_got_in_would_not_run(open_page: Open, document_html: str) -> None:
    """The second lock: the policy refuses scripts and pictures, whoever wrote them."""
    html = document_html.replace("<footer>", "<script>window.ran=1</script><img src='http://127.0.0.1:9/x.png' onerror='window.ran=2'><footer>")
    opened = open_page(html)
    opened.page.wait_for_timeout(200)
    assert opened.page.evaluate("window.ran") is None
    assert sum("Content Security Policy" in line for line in opened.told) >= 2
    assert opened.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'fetched', () => 'refused')") == "refused"


def test_right_to_left_is_set_from_the_right(open_page: Open, hostile_html: str) -> None:
    page = open_page(hostile_html).page
    page.fill("#find", "arabic")
    until(page, "document.querySelectorAll('#list > li').length === 1")
    assert page.evaluate("getComputedStyle(document.querySelector('#list dd')).direction") == "ltr"  # it begins with `said`
    only = "document.querySelector('#list dd').textContent = 'مرحبا'; getComputedStyle(document.querySelector('#list dd')).direction"
    assert page.evaluate(only) == "rtl"


def test_sort_filter_and_search(open_page: Open, document: Document, document_html: str) -> None:
    page = open_page(document_html).page
    assert ids(page)[0] == "u0"  # the only one that got worse
    page.select_option("#sort", "order")
    assert ids(page) == ["u0", "u1", "u2", "u3", "u4", "u5"]
    page.select_option("#sort", "long")
    page.select_option("#show", "better")
    assert ids(page) == ["u1", "u2", "u3", "u4", "u5"]
    assert page.inner_text("#status") == "5 utterances of 6"
    page.select_option("#show", "worse")
    assert ids(page) == ["u0"]
    page.select_option("#show", "all")
    page.select_option("#group", label="north")
    assert sorted(ids(page)) == ["u1", "u3", "u5"]
    page.fill("#find", "TWELVE ten")
    until(page, "document.querySelectorAll('#list > li').length === 1")
    assert ids(page) == ["u5"]
    page.fill("#find", "nobody said this")
    until(page, "document.querySelectorAll('#list > li').length === 0")
    assert page.inner_text("#status") == "0 utterances of 6"
    page.click("button[type=reset]")
    until(page, "document.querySelectorAll('#list > li').length === 6")


def test_differences_have_color_sign_and_words(open_page: Open, document: Document, document_html: str) -> None:
    page = open_page(document_html).page
    page.select_option("#sort", "order")
    base, adapted = page.locator("#list > li").nth(1).locator("dd").all()[1:]
    assert base.text_content() == "in (instead of on) the mat"
    assert base.locator(".w.s").count() == 1
    assert "underline" in page.evaluate("getComputedStyle(document.querySelector('#list .w.s')).textDecorationLine")
    assert adapted.locator(".w").count() == 0
    assert page.locator("#list > li").nth(2).locator("dd").nth(1).text_content() == "one two three (missing)"
    assert page.locator("#list > li").nth(3).locator("dd").nth(1).text_content() in ("four five six six (extra)", "four five six (extra) six")
    sign = "getComputedStyle(document.querySelector('#list .w.d'), '::before').content"
    assert page.evaluate(sign) == '"−"'
    page.check("#aligned")
    slots = page.locator("#list > li").nth(2).locator(".slot")
    assert [[cell.strip() for cell in slot.locator("> span").all_text_contents()] for slot in slots.all()] == [
        ["one", "one", "one"],
        ["two", "two", "two"],
        ["three", "three (missing)", "three"],
    ]


def test_everything_by_keyboard(open_page: Open, document: Document, document_html: str) -> None:
    page = open_page(document_html).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    reached = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "document.activeElement.id || document.activeElement.tagName + ':' + document.activeElement.textContent.trim().slice(0, 20)"
        )
        if name == "BODY:" or (name in reached and name.startswith("A:Skip")):
            break
        reached.add(name)
    assert {"theme", "find", "group", "show", "sort", "aligned"} <= reached
    assert any(name.startswith("SUMMARY:The same as a table") for name in reached)
    page.focus("summary")
    page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == 1
    page.focus("#sort")
    page.keyboard.press("End")
    assert page.input_value("#sort") == "order"
    assert ids(page)[0] == "u0"


def test_pages_turn_and_keep_the_keyboard(open_page: Open, many: Document) -> None:

    page = open_page(html_page(many).html).page
    assert page.inner_text("#page") == "Page 1 of 3"
    page.focus("#next")
    page.keyboard.press("Enter")
    assert page.inner_text("#page") == "Page 2 of 3"
    assert page.evaluate("document.activeElement.id") == "next"
    page.keyboard.press("Enter")
    assert page.inner_text("#page") == "Page 3 of 3"
    assert page.locator("#list > li").count() == 10
    assert page.evaluate("document.activeElement.id") == "previous"  # the other one can go no further
    assert page.is_disabled("#next")


def test_nothing_sticks_out(open_page: Open, run_html: str, hostile_html: str) -> None:
    for html in (run_html, hostile_html):
        page = open_page(html).page
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        for width in (320, 375, 768, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            for aligned in (True, False):
                page.set_checked("#aligned", aligned)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator("svg.narrow").first.is_visible() == (width < 640)
            assert page.locator("svg.wide").first.is_visible() == (width >= 640)


def test_light_dark_and_the_button(open_page: Open, document: Document, document_html: str) -> None:
    html = document_html
    background = "getComputedStyle(document.body).backgroundColor"
    page = open_page(html, color_scheme="dark").page
    assert page.evaluate(background) == "rgb(20, 23, 27)"
    assert page.inner_text("#theme") == "Theme: system"
    page.click("#theme")
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    assert page.inner_text("#theme") == "Theme: light"
    page.reload()
    assert page.inner_text("#theme") == "Theme: light"
    page = open_page(html, color_scheme="light").page
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    page.click("#theme")
    page.click("#theme")
    assert page.evaluate(background) == "rgb(20, 23, 27)"
    ink = page.evaluate("getComputedStyle(document.querySelector('svg.chart text')).fill")
    assert ink != "rgb(0, 0, 0)"  # charts follow


@pytest.mark.parametrize(("scheme", "width"), [("light", 375), ("dark", 1280)])
def test_accessibility(scheme: str, width: int, open_page: Open, run_html: str, hostile_html: str) -> None:
    """Deque's axe-core: names, landmarks, contrast, tables, headings."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed").Axe()
    for html, aligned in ((run_html, True), (hostile_html, False)):
        page = open_page(html, color_scheme=scheme, viewport={"width": width, "height": 900}).page
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        page.set_checked("#aligned", aligned)
        found = axe.run(page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:200], one["nodes"][0]["failureSummary"]) for one in found] == []


def test_each_chart_has_a_name_and_a_table(open_page: Open, run_html: str) -> None:
    page = open_page(run_html).page
    figures = page.locator("figure").all()
    assert len(figures) == 3
    for figure in figures:
        for chart in figure.locator("svg").all():
            title, description = (chart.locator(f"> {name}").text_content() for name in ("title", "desc"))
            assert title
            assert description
        assert figure.locator("details table caption").count() == 1


def test_it_prints(open_page: Open, run_html: str, tmp_path: Path) -> None:
    page = open_page(run_html, color_scheme="dark").page
    pdf = page.pdf(path=str(tmp_path / "page.pdf"), format="A4")
    assert pdf[:5] == b"%PDF-"
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.is_visible("#controls")
    assert not page.is_visible("header nav")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.more:not([open])").count() == 0
    page.set_viewport_size({"width": 680, "height": 960})  # of A4 between its margins
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.more[open]").count() == 0


@pytest.mark.parametrize("embed", [0, 6])
def test_a_clip_plays(embed: int, open_page: Open, document: Document, corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus / "audio", tmp_path / "audio")
    opened = open_page(html_page(document, folder=corpus, embed_audio=embed).html)
    page = opened.page
    page.locator("#list > li button").first.click()
    until(page, "document.querySelector('audio')?.readyState >= 2")
    source = page.get_attribute("audio", "src")
    assert source.startswith("data:audio/flac;base64,") if embed else source == "audio/0.flac"
    assert abs(page.evaluate("document.querySelector('audio').duration") - 1.0) < 0.02
    assert page.get_attribute("audio", "aria-label") == "Recording of u0"
    assert opened.told == []


def test_a_clip_that_is_gone_says_so(open_page: Open, document: Document, corpus: Path) -> None:
    page = open_page(html_page(document, folder=corpus).html).page  # the page lies elsewhere, without the recordings
    page.locator("#list > li button").first.click()
    page.wait_for_selector(".sound[role=status]")
    assert page.inner_text(".sound[role=status]") == "The recording could not be played; it was looked for at audio/0.flac"


def test_a_page_without_scripts_still_tells(browser: Any, document_html: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(document_html, encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert "This list needs JavaScript" in page.locator("noscript").inner_text()
    assert page.locator(".card").count() == 1
    assert not page.is_visible("#controls")
    context.close()


def test_the_data_is_what_the_page_shows(open_page: Open, document_html: str) -> None:
    page = open_page(document_html).page
    data = json.loads(page.text_content("#data"))
    assert [row[1] for row in data["rows"]] == ["u0", "u1", "u2", "u3", "u4", "u5"]
    assert data["rows"][2][4] == [["one two", "e2d1", 1, 0], ["one two three", "e3", 0, 0]]
