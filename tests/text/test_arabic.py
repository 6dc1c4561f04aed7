"""Arabic training text and Buckwalter's letters."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechadapt.text.arabic import clean_arabic, from_buckwalter

CASES = [
    ("السَّلامُ عَلَيْكُم", "السلام عليكم"),
    ("مـــرحبا", "مرحبا"),
    ("\u200fمرحبا\u200e  بك\u202c", "مرحبا بك"),
    ("عام ٢٠١٩ و ۱۲", "عام 2019 و 12"),
    ("\u06a9تاب", "\u0643تاب"),  # keheh becomes kaf, not ghain
    ("ﻻ ﷲ", "لا الله"),  # presentation forms
    ("بـ\ufe77ـه", "به"),  # a vowel drawn on its own leaves no blank
    ("رحمٰن", "رحمن"),
    ("أحمد إلى آخر القصة ى", "أحمد إلى آخر القصة ى"),  # nothing is folded
    ("hello world", "hello world"),
    ("ا\u0654", "أ"),
    ("", ""),
]


@pytest.mark.parametrize(("raw", "clean"), CASES)
def test_training_text(raw: str, clean: str) -> None:
    assert clean_arabic(raw) == clean


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet=st.characters(min_codepoint=0x0600, max_codepoint=0x06FF) | st.sampled_from(" aﻻ\ufe70\ufe77ﷺ\u200f１²"), max_size=30))
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    once = clean_arabic(text)
    assert clean_arabic(once) == once
    assert not set(once) & set("\u064b\u0652\u0670\u0640\u200f٣۳\u06a9")


@pytest.mark.parametrize(
    ("latin", "arabic"),
    [
        ("AlslAm Elykm", "السلام عليكم"),
        (">Hmd <lY |xr", "أحمد إلى آخر"),
        ("AlqSp *hbt m$Y &", "القصة ذهبت مشى ؤ"),
        ("fy @@LAT@@google 12", "في google 12"),
        ("mara~Fo`", "مَرَ\u0651\u064b\u0652\u0670"),
    ],
)
def test_buckwalter(latin: str, arabic: str) -> None:
    assert from_buckwalter(latin) == arabic


def test_every_letter_of_buckwalter_stands_for_another_arabic_one() -> None:
    letters = "'|>&<}AbptvjHxd*rzs$SDTZEg_fqklmnhwYyFNKaui~o`{PJVG"
    arabic = from_buckwalter(letters)
    assert len(set(arabic)) == len(letters) == 51
    assert all("\u0600" <= letter <= "\u06ff" for letter in arabic)
