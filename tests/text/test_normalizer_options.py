"""Published forms for comparison, foldings of languages, numbers, fillers and users' lexicons."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.errors import MisuseError
from speechadapt.text.folding import FOLDS
from speechadapt.text.languages import LanguageRules
from speechadapt.text.normalize import basic_text, choose_normalizer, get_normalizer, marks_broken, normalizer_for

PUBLISHED = [  # input, as Whisper's basic normalizer gives it, and with remove_diacritics
    ("नमस्ते, आप कैसे हैं?", "नमस त आप क स ह", "नमसत आप कस ह"),
    ("தமிழ் மொழி", "தம ழ ம ழ", "தம ழ ம ழ"),
    ("ภาษาไทย ดีที่สุด", "ภาษาไทย ด ท ส ด", "ภาษาไทย ดทสด"),
    ("السَّلامُ عَلَيْكُم", "الس لام ع ل ي ك م", "السلام عليكم"),
    ("שָׁלוֹם", "ש לו ם", "שלום"),
    ("Straße – schön!", "straße schön", "strasse schon"),
    ("l'école, qu'est-ce", "l école qu est ce", "l ecole qu est ce"),
    ("ọ̀rọ̀ Yorùbá", "ọ rọ yorùbá", "oro yoruba"),
    ("İstanbul IĞDIR", "i stanbul iğdir", "istanbul igdir"),
    ("ng'ombe", "ng ombe", "ng ombe"),
    ("これは、ペンです。ガギ", "これは ペンです ガギ", "これは ヘンてす カキ"),
]


@pytest.mark.parametrize(("text", "default", "plain"), PUBLISHED)
def test_whisper_basic_is_the_published_one(text: str, default: str, plain: str) -> None:
    assert get_normalizer("whisper-basic")(text) == default
    assert get_normalizer("whisper-basic-no-diacritics")(text) == plain
    assert get_normalizer("whisper-basic").breaks_marks


def test_marks_that_would_be_broken_are_counted() -> None:
    assert [marks_broken(text) for text in ("नमस्ते", "Straße schön", "e\u0301", "ọ̀rọ̀", "ภาษาไทย ดี")] == [2, 0, 0, 2, 1]


FOLDED = [
    ("basic:ar+fold", "أحمد إلى المدرسةِ آمن مؤمن سائل", "احمد الي المدرسه امن مومن سايل"),
    ("basic:arz+fold", "هٰذا الكتابُ", "هذا الكتاب"),
    ("basic:hi+fold", "हिन्दी ज़रूर चाँद पम्प", "हिंदी जरूर चांद पंप"),
    ("basic:hi+fold", "हिंदी जरूर चांद पंप", "हिंदी जरूर चांद पंप"),
    ("basic:hi+fold", "जन्म", "जन्म"),  # another row's nasal follows: not a homorganic one
    ("basic:bn+fold", "গঙ্গা বড়", "গংগা বড"),
    ("basic:pa+fold", "ਪੰਜਾਬ", "ਪਂਜਾਬ"),
    ("basic:zh+fold", "漢語說得好，２次 ＡＢＣ", "汉 语 说 得 好 2 次 abc"),
    ("basic:ja+fold", "カタカナ 人々 ｶﾞ", "か た か な 人 人 が"),
    ("basic:th+fold", "เเละ ที่", "แ ล ะ ที่"),
    ("basic:gsw+fold", "Straße GROẞ", "strasse gross"),
]


@pytest.mark.parametrize(("name", "text", "expected"), FOLDED)
def test_variants_of_a_spelling_are_one(name: str, text: str, expected: str) -> None:
    if "zh" in name:
        pytest.importorskip("opencc", reason="the extra chinese is not installed")
    assert get_normalizer(name)(text) == expected
    assert get_normalizer(name)(expected) == expected


def test_traditional_and_simplified_agree() -> None:
    pytest.importorskip("opencc", reason="the extra chinese is not installed")
    normalize = get_normalizer("basic:zh+fold")
    assert normalize("頭髮發展") == normalize("头发发展")
    assert not normalize.spaced
    assert "opencc" in normalize.version


@pytest.mark.parametrize("language", ["hi", "bn", "te", "ar", "ja", "th", "de"])
@given(text=st.text(max_size=40))
def test_folding_twice_changes_nothing(language: str, text: str) -> None:
    fold = FOLDS[language]
    assert fold(fold(text)) == fold(text)


def test_thai_marks_in_either_order() -> None:
    normalize = get_normalizer("basic:th+fold")
    assert normalize("ที\u0e48") == normalize("ท\u0e48\u0e35") == "ที่"
    assert normalize("น\u0e4d\u0e49า") == normalize("น้ำ")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("basic:de+numbers", "Das kostet 21 Euro und 3,5 Cent.", "das kostet einundzwanzig euro und drei komma fünf cent"),
        ("basic:en+numbers", "the 1st of 2,000", "the first of two thousand"),
        ("basic:es+numbers", "son las 3", "son las tres"),
        ("basic:en+numbers", "in the 1990s 1/2", "in the 1990s 1 2"),  # nobody can tell how it was said
        ("basic:zh+numbers", "no 21 here", "no 21 here"),
        ("basic:en+fillers", "Uh, I, um, mean the umbrella", "i mean the umbrella"),
        ("basic:de+fillers", "Äh, das ist ähm gut", "das ist gut"),
        ("english+fillers", "ah well uhuh yes", "well yes"),
        ("basic:zh+fillers", "呃，好", "好"),
        ("basic:de+fillers+numbers", "äh 2", "zwei"),
    ],
)
def test_numbers_and_fillers(name: str, text: str, expected: str) -> None:
    assert get_normalizer(name)(text) == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("basic+fold", r"\+fold needs a language, such as basic:de\+fold"),
        ("raw+numbers", r"\+numbers needs a language"),
        ("english+numbers", "english writes every number in digits already"),
        ("basic:sw+fold", 'there is no folding for language "sw"'),
        ("basic:sw+fillers", 'there is no list of fillers for language "sw"'),
        ("basic:de+fold+fold", 'the option "fold" stands twice'),
        ("basic:de+flod", 'the option "flod" does not exist; there are: fold, numbers, fillers'),
        ("basic:de+", 'the option "" does not exist'),
    ],
)
def test_options_that_do_not_go(name: str, message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        get_normalizer(name)


@pytest.fixture
def lexicon(tmp_path: Path) -> Path:
    path = tmp_path / "scots.tsv"
    path.write_bytes("\ufeff# Scots\nken\tknow\r\ndinnae\tdo not\ny'all\tyou all\nwee bit\tlittle\nyou know\t\nAks\task\n".encode())
    return path


def test_a_lexicon_counts_variants_as_standard_words(lexicon: Path) -> None:
    normalize = get_normalizer("basic", lexicon=lexicon)
    assert normalize("I dinnae ken a wee bit, you know; aks Y'ALL. You knowing wee") == "i do not know a little ask you all you knowing wee"
    assert normalize.name == "basic+lexicon"
    assert get_normalizer("english", lexicon=lexicon)("I ken") == "i know"
    assert normalize.version == "1, lexicon " + normalize.version[-12:]


def test_another_lexicon_is_another_version(lexicon: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tsv"
    other.write_text("ken\tknow\n")
    assert get_normalizer("basic", lexicon=other).version != get_normalizer("basic", lexicon=lexicon).version


def test_a_lexicon_stands_before_fillers(tmp_path: Path) -> None:
    path = tmp_path / "l.tsv"
    path.write_text("err\tuh\n")
    assert get_normalizer("basic:en+fillers", lexicon=path)("err yes") == "yes"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ken know\n", r"line 1: must be a variant, one tab and its standard form: 'ken know'"),
        (b"a\tb\tc\n", "line 1: must be a variant, one tab"),
        (b"# only\n\n", "0 entries, must be 1 to 200000"),
        (b"caf\xe9\tx\n", "byte 4 is not UTF-8"),
        (b"ken\tknow\nKEN\tsee\n", r'line 2: "ken" counts as "see" here and as "know" in line 1'),
        (b"...\tx\n", r'line 1: the variant "..." has 0 words after normalizing'),
    ],
)
def test_a_broken_lexicon(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "l.tsv"
    path.write_bytes(content)
    with pytest.raises(MisuseError, match=message):
        get_normalizer("basic", lexicon=path)
    with pytest.raises(MisuseError, match="no such lexicon"):
        get_normalizer("basic", lexicon=tmp_path / "none.tsv")


def test_the_steps_are_shown() -> None:
    normalize = get_normalizer("basic:de+fillers+numbers")
    assert normalize.explain("Äh, 2 Hunde") == [
        ("numbers", "Äh, zwei Hunde"),
        ("basic:de", "äh zwei hunde"),
        ("fillers", "zwei hunde"),
    ]
    assert get_normalizer("english").explain("It's") == [("english", "it is")]


ASCII = st.text(alphabet=st.characters(max_codepoint=127), max_size=60)


@given(ASCII)
def test_the_fast_path_is_the_slow_one(text: str) -> None:
    """A sign beyond ASCII sends the text the long way."""
    rules = LanguageRules()
    assert [*basic_text(text, rules).split(), "é"] == basic_text(f"{text} é", rules).split()


def test_the_normalizer_follows_the_language() -> None:
    assert [normalizer_for(language) for language in ("en", "en-GB", "ka", None)] == ["english", "english", "basic:ka", "basic"]
    assert choose_normalizer(["hello"], ["en-GB", None, "eng"]) == "english"
    assert choose_normalizer([], ["sw", "sw"]) == "basic:sw"
    assert choose_normalizer(["x"], ["sw", "en"]) == "basic"
    assert choose_normalizer(["hello there"], [None]) == "english"
    assert choose_normalizer(["नमस्ते ok"], []) == "basic"


def test_normalizing_is_light() -> None:
    code = (
        "import sys; from speechadapt.text.normalize import get_normalizer; get_normalizer('basic:de')('schön');"
        "assert not {'torch', 'transformers', 'numpy', 'num2words', 'opencc'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
