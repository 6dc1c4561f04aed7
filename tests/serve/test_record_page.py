"""The recording page in a real browser whose microphone plays a file: by hand, by keyboard, on a telephone's width, and when things go wrong."""

import csv
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from recording_studio import Studio, make_prompts, reading, serving
from spoken import spoken

pytestmark = pytest.mark.browser

PROMPTS = make_prompts()
Microphone = Callable[[NDArray[np.floating]], Path]


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Microphone:
    """A file that Chromium plays as its microphone, at 48 kHz, over and over."""

    def write(sound: NDArray[np.floating]) -> Path:
        path = tmp_path_factory.mktemp("microphone") / "sound.wav"
        soundfile.write(path, sound, 48_000, subtype="PCM_16")
        return path

    return write


@pytest.fixture(scope="module")
def voice() -> NDArray[np.float32]:
    """Short speech with enough silence that every take of it holds some of both."""
    return spoken(1.6, sampling_rate=48_000)


@pytest.fixture(scope="module")
def speaking(microphone: Microphone, voice: NDArray[np.float32]) -> Path:
    return microphone(voice)


def agree(studio: Studio) -> None:
    """As if consent had been given in an earlier visit."""
    from speechadapt.serve.record import CONSENT

    studio.corpus.answer(CONSENT, given=True)


def rows(studio: Studio) -> list[dict[str, str]]:
    if not studio.corpus.table.exists():
        return []
    with studio.corpus.table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_consent_three_prompts_one_repeated_and_the_end(tmp_path: Path, speaking: Path) -> None:
    with serving(tmp_path) as studio, reading(studio.server.url, speaking) as reader:
        page = reader.page
        assert page.inner_text("#consent h1") == "Before you begin"
        assert "kept in one folder on this computer and are sent nowhere" in page.inner_text("#consent-text")
        assert page.is_hidden("#studio")
        assert page.url == f"{studio.server.origin}/"  # the token is no longer in the address
        assert page.inner_text(".brand") == "speechadapt record as anna"  # or someone reads under another's name
        page.click("#agree")
        reader.mode("ready")
        assert page.inner_text("#level-said") == "Press Record, read aloud, press Stop. You can listen to it and read again before it is kept."
        assert (page.inner_text("#prompt"), page.inner_text("#place")) == (PROMPTS[0].text, "Sentence 1 of 3, 0 recorded (0:00 min)")
        reader.read()
        page.click("#record")  # not good enough: again
        reader.mode("recording")
        page.wait_for_timeout(1500)
        page.click("#record")
        reader.mode("review")
        assert rows(studio) == []
        page.click("#keep")
        reader.mode("ready")
        assert page.inner_text("#prompt") == PROMPTS[1].text
        for _ in range(2):
            reader.read()
            page.keyboard.press("Enter")
            reader.mode("ready", "waiting")
        reader.mode("waiting")
        assert page.inner_text("#end h1") == "Every sentence is recorded"
        page.click("#again")  # one is repeated after it was kept
        reader.mode("ready")
        assert page.inner_text("#record") == "Record it anew"
        before = rows(studio)
        reader.read()
        page.click("#keep")
        reader.mode("waiting")
        page.click("#finish")
        page.wait_for_selector("#closed:not([hidden])")
        assert reader.told == []
        assert all(url.startswith((studio.server.origin, "blob:")) and studio.server.token not in url for url in reader.asked[1:])
    after = rows(studio)
    assert [(row["text"], row["split"], row["speaker"], row["accent"]) for row in after] == [
        (one.text, one.split, "anna", "scottish") for one in PROMPTS
    ]
    assert after[0]["audio_filepath"] != before[0]["audio_filepath"]
    assert after[1:] == before[1:]
    assert sorted(path.name for path in (tmp_path / "audio").iterdir()) == sorted(Path(row["audio_filepath"]).name for row in after)
    for row in after:
        samples, rate = soundfile.read(tmp_path / row["audio_filepath"])
        assert rate >= 44_100  # the device's own
        assert 1.5 < len(samples) / rate < 5
        assert np.abs(samples).max() > 0.05


def test_not_agreeing_records_nothing(tmp_path: Path, speaking: Path) -> None:
    with serving(tmp_path, consent="First.\n\n<b>Second</b>.") as studio, reading(studio.server.url, speaking) as reader:
        assert reader.page.locator("#consent-text p").all_inner_texts() == ["First.", "<b>Second</b>."]
        reader.page.click("#refuse")
        reader.page.wait_for_selector("#refused:not([hidden])")
        reader.page.keyboard.press("Space")
        reader.page.wait_for_timeout(200)
        assert reader.page.is_hidden("#studio")
        assert studio.corpus.consent("First.\n\n<b>Second</b>.") is None
    assert '"given": false' in (tmp_path / "record.json").read_text()
    assert rows(studio) == []


def loud(voice: NDArray[np.float32]) -> NDArray[np.floating]:
    return np.clip(voice * 12, -1, 1)


def soft(voice: NDArray[np.float32]) -> NDArray[np.floating]:
    return voice * 0.01


@pytest.mark.parametrize(("change", "told"), [(loud, "Clipped: "), (soft, "Too quiet: ")])
def test_what_is_wrong_with_a_take_is_told_before_it_is_kept(
    tmp_path: Path, microphone: Microphone, voice: NDArray[np.float32], change: Callable[..., NDArray[np.floating]], told: str
) -> None:
    with serving(tmp_path) as studio:
        agree(studio)
        with reading(studio.server.url, microphone(change(voice))) as reader:
            reader.read(2.5)
            assert reader.page.inner_text("#told") == "Please check"
            assert [text for text in reader.findings() if text.startswith(told)]
            assert told in reader.page.inner_text("#status")  # for a screen reader
            assert reader.page.inner_text("#keep") == "Keep anyway"
            assert [reader.page.locator(f"{button}.second").count() for button in ("#record", "#keep")] == [0, 1]  # what is advised stands out
            assert rows(studio) == []


def test_silence_cannot_be_kept(tmp_path: Path, microphone: Microphone) -> None:
    with serving(tmp_path) as studio:
        agree(studio)
        with reading(studio.server.url, microphone(np.zeros(48_000))) as reader:
            reader.read(1.0)
            assert reader.page.inner_text("#told") == "This take cannot be kept"
            assert reader.findings()[0].startswith("Nothing was recorded: ")
            assert reader.page.is_disabled("#keep")
            reader.page.keyboard.press("Enter")
            reader.page.wait_for_timeout(200)
            assert reader.mode("review") == "review"
            assert rows(studio) == []


def test_without_a_microphone_it_says_what_to_do(tmp_path: Path) -> None:
    with serving(tmp_path) as studio:
        agree(studio)
        with reading(studio.server.url, None) as reader:
            reader.page.click("#record")
            reader.page.wait_for_selector("#trouble:not([hidden])")
            assert "microphone" in reader.page.inner_text("#trouble")
            assert reader.mode("ready") == "ready"


def test_closed_in_the_middle_and_gone_on_with(tmp_path: Path, speaking: Path) -> None:
    with serving(tmp_path) as studio:
        agree(studio)
        with reading(studio.server.url, speaking) as reader:
            reader.page.click("#skip")
            reader.read()
            reader.page.click("#keep")
            reader.mode("ready")
            reader.page.click("#record")
            reader.mode("recording")
            reader.page.wait_for_timeout(300)  # and the browser is closed while it records
        with reading(studio.server.url, speaking) as reader:
            assert reader.page.inner_text("#prompt") == PROMPTS[0].text  # the one that was skipped
            assert reader.page.inner_text("#place").startswith("Sentence 1 of 3, 1 recorded")
            reader.page.reload()  # without the token in the address
            reader.page.wait_for_selector("html[data-ready=yes]")
            assert reader.page.inner_text("#place").startswith("Sentence 1 of 3, 1 recorded")
    assert [row["text"] for row in rows(studio)] == [PROMPTS[1].text]
    with serving(tmp_path) as studio, reading(studio.server.url, speaking) as reader:  # another start of the program
        assert reader.page.inner_text("#place").startswith("Sentence 1 of 3, 1 recorded")


def test_everything_by_keyboard(tmp_path: Path, speaking: Path) -> None:
    with serving(tmp_path) as studio, reading(studio.server.url, speaking) as reader:
        page = reader.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the sentence"
        while page.evaluate("document.activeElement.id") != "agree":
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        reader.mode("ready")
        for number in range(3):
            assert page.evaluate("document.activeElement.id") == "prompt"
            page.keyboard.press("Space")
            reader.mode("recording")
            assert page.inner_text("#status") == "Recording"
            page.wait_for_timeout(1800)
            page.keyboard.press("Space")
            reader.mode("review")
            assert page.evaluate("document.activeElement.id") == "told"
            if number == 0:
                page.keyboard.press("Space")  # again
                reader.mode("recording")
                page.wait_for_timeout(1500)
                page.keyboard.press("Space")
                reader.mode("review")
            page.keyboard.press("Enter")
            reader.mode("ready", "waiting")
        reader.mode("waiting")
        assert page.evaluate("document.activeElement.id") == "h-end"
        assert len(rows(studio)) == 3


def test_back_skip_listen_and_stop(tmp_path: Path, speaking: Path) -> None:
    with serving(tmp_path) as studio:
        agree(studio)
        with reading(studio.server.url, speaking) as reader:
            page = reader.page
            reader.read()
            page.wait_for_timeout(500)
            assert page.evaluate("document.getElementById('sound').duration") > 1.5
            page.click("#keep")
            reader.mode("ready")
            page.click("#back")
            assert page.inner_text("#prompt") == PROMPTS[0].text
            page.click("#hear")
            page.click("#skip")
            page.click("#skip")
            assert page.inner_text("#prompt") == PROMPTS[2].text
            page.click("#stop")
            assert page.inner_text("#end h1") == "Stopped for now"
            assert "1 of 3 sentences" in page.inner_text("#end-said")
            assert page.inner_text("#again") == "Go on reading"
            page.click("#again")
            reader.mode("ready")
            assert page.inner_text("#prompt") == PROMPTS[1].text
            assert reader.told == []


HOSTILE = (
    "<script>window.ran=1</script> said aloud",
    "<img src=x onerror=window.ran=2> said aloud",
    "{{constructor.constructor('window.ran=3')()}} said aloud",
    "\"'><svg onload=window.ran=4> said aloud",
    "مرحبا بالعالم",
)


def test_text_of_strangers_is_text(tmp_path: Path, speaking: Path) -> None:
    with serving(tmp_path, make_prompts(HOSTILE)) as studio:
        agree(studio)
        with reading(studio.server.url, speaking) as reader:
            for text in HOSTILE:
                assert reader.page.inner_text("#prompt") == text
                direction = reader.page.evaluate("getComputedStyle(document.getElementById('prompt')).direction")
                assert direction == ("rtl" if text.startswith("م") else "ltr")
                reader.page.click("#skip")
            assert reader.page.evaluate("window.ran") is None
            assert reader.page.locator("main img, main svg, main script").count() == 0
            assert reader.told == []


def test_the_page_with_a_wrong_token_says_so(tmp_path: Path, speaking: Path) -> None:
    with serving(tmp_path) as studio, reading(f"{studio.server.origin}/#{'x' * 43}", speaking) as reader:
        assert reader.page.inner_text("#trouble").startswith("The address of this page is incomplete or of an earlier start.")
        assert reader.page.is_hidden("#studio")
        assert reader.page.is_hidden("#consent")


def test_a_full_disk_loses_no_take(tmp_path: Path, speaking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with serving(tmp_path) as studio:
        agree(studio)
        with reading(studio.server.url, speaking) as reader:
            reader.read()
            with monkeypatch.context() as patch:
                patch.setattr(Path, "write_bytes", full)
                reader.page.click("#keep")
                reader.page.wait_for_selector("#trouble:not([hidden])")
            assert "No space left on device" in reader.page.inner_text("#trouble")
            assert reader.mode("review") == "review"  # still there, to be kept when there is room
            reader.page.click("#keep")
            reader.mode("ready")
            assert reader.page.is_hidden("#trouble")
    assert len(rows(studio)) == 1


def test_a_program_that_has_ended_is_told(tmp_path: Path, speaking: Path) -> None:
    with serving(tmp_path) as studio:
        agree(studio)
        with reading(studio.server.url, speaking) as reader:
            reader.read()
            studio.server.stop()
            reader.page.wait_for_timeout(1500)
            reader.page.click("#keep")
            reader.page.wait_for_selector("#trouble:not([hidden])")
            assert reader.page.inner_text("#trouble").startswith("The program does not answer.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_telephones_width_in_light_and_dark(tmp_path: Path, speaking: Path, scheme: str) -> None:
    long = make_prompts(("Donaudampfschifffahrtsgesellschaftskapitän " * 6, "Short."))
    with serving(tmp_path, long) as studio:
        agree(studio)
        options: dict[str, Any] = {"viewport": {"width": 375, "height": 667}, "color_scheme": scheme}
        with reading(studio.server.url, speaking, **options) as reader:
            for step in ("ready", "review"):
                if step == "review":
                    reader.read()
                assert reader.page.evaluate("document.documentElement.scrollWidth") == 375
            smallest = reader.page.evaluate(
                "Math.min(...[...document.querySelectorAll('#studio button')].filter(b => b.offsetHeight).map(b => b.offsetHeight))"
            )
            assert smallest >= 44
            surface = reader.page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert surface == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_rules_for_accessible_pages(tmp_path: Path, speaking: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

    def violations(page: Any) -> list[str]:
        found = axe.Axe().run(page).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found]

    with serving(tmp_path) as studio, reading(studio.server.url, speaking, color_scheme=scheme, bypass_csp=True) as reader:
        assert violations(reader.page) == []
        reader.page.click("#agree")
        reader.mode("ready")
        assert violations(reader.page) == []
        reader.read()
        assert violations(reader.page) == []
        reader.page.click("#stop")
        assert violations(reader.page) == []
