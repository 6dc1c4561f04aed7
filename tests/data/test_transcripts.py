"""Transcripts: each defect of a text under its name with what was found, and ordinary texts of many languages without any."""

from pathlib import Path

import pytest

from speechadapt.data.findings import Finding
from speechadapt.data.manifest import Manifest
from speechadapt.data.transcripts import (
    check_transcripts,
    find_broken_letters,
    find_invisible,
    find_loop,
    find_markup,
    find_mixed_word,
    find_other_script,
    find_placeholder,
)
from speechadapt.data.utterance import Utterance

ORDINARY = [
    ("en", "Don't — she said “no, no, no!” — go to St. John's…"),
    ("en", "It was very very very good, wasn't it?"),
    ("de", "Grüezi, das Straßenfest fängt um halb acht an."),
    ("fr", "L'œuvre d'art naïve coûte très cher, n'est-ce pas ?"),
    ("ru", "Съешь ещё этих мягких французских булок, да выпей чаю."),
    ("uk", "Їжак і ґава пішли до лісу."),
    ("el", "Η γρήγορη αλεπού πηδάει."),
    ("ar", "مرحبا بالعالم، كيف حالك؟"),
    ("fa", "می‌خواهم بروم خانه."),
    ("hi", "नमस्ते, आप कैसे हैं? क्‍या हाल है।"),
    ("zh-CN", "我们去哪里吃饭？"),
    ("ja", "東京タワーへ行きました。"),
    ("ko", "안녕하세요, 반갑습니다."),
    ("th", "สวัสดีครับ คุณสบายดีไหม"),
    ("ka", "გამარჯობა, როგორ ხარ?"),
    ("am", "ሰላም እንዴት ነህ"),
    ("yo", "Báwo ni, ṣé dáadáa ni?"),
    ("vi", "Xin chào các bạn, hôm nay thế nào?"),
    ("sr-Latn", "Dobar dan, kako ste?"),
    ("xx", "whatever stands here"),
    (None, "Nothing is known of the language."),
]


def manifest(*texts: str, language: str | None = None, durations: tuple[float, ...] = ()) -> Manifest:
    rows = [
        Utterance(id=f"r{n}", audio_filepath=f"{n}.wav", duration=durations[n] if durations else 3.0, text=text, language=language)
        for n, text in enumerate(texts)
    ]
    return Manifest(rows, folder=Path(), name="train")


def found(*texts: str, language: str | None = None, durations: tuple[float, ...] = ()) -> dict[str, Finding]:
    return {finding.check: finding for finding in check_transcripts(manifest(*texts, language=language, durations=durations))}


@pytest.mark.parametrize(("language", "text"), ORDINARY)
def test_ordinary_texts_have_no_finding(language: str | None, text: str) -> None:
    assert found(text, language=language) == {}


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("hell\ufffd world", '1 letters that could not be decoded: "hell\ufffd world"'),
        ("half \ud83d a pair", '1 letters that could not be decoded: "half \\ud83d a pair"'),
        ("un cafÃ© noir", '"cafÃ©" was "café" before it was read in the wrong encoding'),
        ("itâ€™s", '"itâ€™s" was "it’s" before it was read in the wrong encoding'),
        ("café Ã la", None),
    ],
)
def test_broken_letters(text: str, detail: str | None) -> None:
    assert find_broken_letters(text) == detail


@pytest.mark.parametrize("text", ["test", "Test.", "<unk>", "[noise]", "N/A", "null", "(inaudible)", "xxx", "* TODO *", "#N/A", "<hes/>", "{music}"])
def test_placeholders(text: str) -> None:
    assert find_placeholder(text) is not None


@pytest.mark.parametrize("text", ["testing one two", "a test", "no", "I have none left", "[noise] yes", "xx", ""])
def test_texts_that_are_no_placeholders(text: str) -> None:
    assert find_placeholder(text) is None


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("one <br> two", "<br>"), ("</i> end", "</i>"), ("fish &amp; chips", "&amp;"), ("it&#39;s", "&#39;"), ("[laughs] yes", "[laughs]"),
        ("{\\an8}Hello", "{\\an8}"), ("one\\n two", "\\n"), ("see https://example.org", "https://e"), ("caf\\u00e9", "\\u00e9"),
        ("'''bold'''", "'''"),
    ],
)  # fmt: skip
def test_markup(text: str, seen: str) -> None:
    assert find_markup(text) == f'"{seen}"'


@pytest.mark.parametrize("text", ["5 < 6 and 7 > 3", "AT&T; and co", "rock 'n' roll", "he (laughing) said", "either/or", "C:\\temp"])
def test_signs_that_are_no_markup(text: str) -> None:
    assert find_markup(text) is None


def test_invisible_letters() -> None:
    assert find_invisible("no\u200bbreak") == "U+200B ZERO WIDTH SPACE"
    assert find_invisible("tab\there") == "U+0009 without a name"
    assert find_invisible("soft\u00adhyphen") == "U+00AD SOFT HYPHEN"
    assert find_invisible("\ue000") == "U+E000 without a name"
    assert find_invisible("क्\u200dया") is None


def test_letters_that_look_alike() -> None:
    assert find_mixed_word("он сказaл да") == '"сказaл": a is Latin'
    assert find_mixed_word("Νew York") == '"Νew": Ν is Greek'
    assert find_mixed_word("смс-ка и SMS и Wi-Fi") is None
    assert find_mixed_word("東京タワーTシャツ") is None  # these scripts are mixed by everyone


@pytest.mark.parametrize(
    ("text", "language", "detail"),
    [
        ("privet mir", "ru", 'Latin letters, language ru: "privet mir"'), ("привет", "en-GB", 'Cyrillic letters, language en-GB: "привет"'),
        ("добар дан", "sr-Latn", 'Cyrillic letters, language sr-Latn: "добар дан"'), ("добар дан", "sr", None), ("kto tam", "rus", 'Latin letters, '
         'language rus: "kto tam"'), ("123", "ru", None), ("Das ist ein Test", "en", None), ("我 love 你们大家", "zh", None),
    ],
)  # fmt: skip
def test_scripts_and_languages(text: str, language: str, detail: str | None) -> None:
    assert find_other_script(text, language) == detail


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("thank you thank you thank you so much", '"thank you" 3 times'),
        ("I mean, I mean; I mean. I mean? yes", '"i mean" 4 times'),
        ("so so so so so so what", '"so" 6 times'),
        ("we went to the shop we went to the shop we went to the shop", '"we went to the shop" 3 times'),
        ("我们去我们去我们去我们去我们去", '"我们去" 5 times'),
        ("no no no no no", None),
        ("row row row your boat gently down the stream", None),
        ("the more the more", None),
        ("", None),
    ],
)
def test_loops(text: str, detail: str | None) -> None:
    assert find_loop(text) == detail


def test_a_long_text_is_looked_through_quickly() -> None:
    assert find_loop("é " + " ".join(str(n % 97) for n in range(20_000))) is None
    assert find_loop("é" + "abcdefghijklmnopqrstuvw" * 2000) is None


def test_findings_have_a_severity_advice_and_a_detail_for_each_row() -> None:
    texts = ("fine here", "broken \ufffd", "<b>bold</b>", "test", "room 101", "ab ab ab ab ab ab ab")
    findings = found(*texts, language="en")
    assert {check: (finding.severity, finding.ids) for check, finding in findings.items()} == {
        "broken-letters": ("error", ("r1",)),
        "placeholder": ("warning", ("r3",)),
        "markup": ("warning", ("r2",)),
        "repeated-words": ("warning", ("r5",)),
    }
    assert findings["markup"].message == 'train: 1 of 6 utterances have markup in the text: "r2" ("<b>"). Remove it; a model would learn to write it.'


def test_what_a_ctc_model_cannot_write_is_a_note() -> None:
    finding = found("it costs 5 €", "100 people", "B2 is the level")["not-spelled-out"]
    assert (finding.severity, finding.ids) == ("note", ("r0", "r1", "r2"))
    assert finding.details[0] == 'symbols that cannot be spelled out: "it costs 5 €"'
    assert found("100 people", language="en") == {}  # read as a hundred people


def test_one_text_copied_down_a_column() -> None:
    lines = ["the same line"] * 6 + ["another line"] * 6
    durations = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, *(2.0, 2.2, 2.5, 2.8, 3.0, 3.3))  # readers of one prompt differ, but not tenfold
    finding = found(*lines, durations=durations)["repeated-text"]
    assert (finding.severity, finding.ids) == ("warning", tuple(f"r{n}" for n in range(6)))
    assert finding.details[0] == '"the same line" stands under 6 recordings of 1.0 to 12.0 s'
