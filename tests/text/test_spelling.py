"""Spelling for CTC: marks kept in every script, punctuation gone, digits read aloud or refused."""

import unicodedata

import pytest

from speechadapt.errors import LabelError, MisuseError
from speechadapt.text.spelling import spell_for_ctc

SPELLED = [
    ("en", "upper", "I’ve 3 dogs — “no”, 1 cat!", "I'VE THREE DOGS NO ONE CAT"),
    ("en", "lower", "rock 'n' roll, the dogs' tails", "rock n roll the dogs tails"),
    ("en", None, "Mother-in-law … A\u00a0B", "Mother in law A B"),
    ("hi", None, "नमस्ते, आप कैसे हैं?", "नमस्ते आप कैसे हैं"),
    ("bn", None, "আমি বাংলায় গান গাই।", "আমি বাংলায় গান গাই"),
    ("th", None, "ภาษาไทย ดีที่สุด", "ภาษาไทย ดีที่สุด"),
    ("fa", None, "می\u200cخواهم.", "می\u200cخواهم"),
    ("ka", None, "«გამარჯობა», მსოფლიო!", "გამარჯობა მსოფლიო"),
    ("vi", "lower", unicodedata.normalize("NFD", "Tiếng Việt"), "tiếng việt"),
    ("ar", None, "كتـــاب", "كتاب"),
    ("tr", "lower", "İSTANBUL IĞDIR", "istanbul ığdır"),
    ("tr", "upper", "istanbul ığdır", "İSTANBUL IĞDIR"),
    ("tur", "lower", "IĞDIR", "ığdır"),
    ("ka", "upper", "კარგი day", "კარგი DAY"),
    ("id", "lower", "Anak–anak", "anak-anak"),
    ("haw", "lower", "ʻOkina", "'okina"),
    ("ca", "lower", "Col·legi", "col·legi"),
    (None, "lower", "No digits here.", "no digits here"),
    ("en", None, "", ""),
    ("en", None, "?! ♪", ""),
]


@pytest.mark.parametrize(("language", "case", "text", "spelled"), SPELLED)
def test_what_is_written(language: str | None, case: str | None, text: str, spelled: str) -> None:
    assert spell_for_ctc(text, language, case) == spelled


@pytest.mark.parametrize(("language", "case", "text", "spelled"), SPELLED)
def test_spelling_twice_changes_nothing(language: str | None, case: str | None, text: str, spelled: str) -> None:
    assert spell_for_ctc(spelled, language, case) == spelled


@pytest.mark.parametrize(
    ("language", "text", "spelled"),
    [
        ("en", "1,234 and 3.5", "one thousand two hundred and thirty four and three point five"),
        ("en-GB", "the 21st at 10:30", "the twenty first at ten thirty"),
        ("eng", "2 3", "two three"),
        ("de", "1.000 Leute, 3,5 Liter", "eintausend leute drei komma fünf liter"),
        ("deu", "21", "einundzwanzig"),
        ("fr", "71", "soixante et onze"),
        ("fr-CH", "71", "septante et un"),
        ("spa", "15", "quince"),
        ("kk", "2", "екі"),
        ("en", "agent 007", "agent zero zero seven"),
        ("bn", "৫", "পাঁচ"),
        ("en", "1.2.3", "one two three"),
    ],
)
def test_numbers_are_read_as_the_language_says_them(language: str, text: str, spelled: str) -> None:
    assert spell_for_ctc(text, language, "lower") == spelled


@pytest.mark.parametrize("language", ["fil", "est", "swh", "zxx"])
def test_a_language_without_number_words_is_not_read_in_another(language: str) -> None:
    """num2words' own function reads the first two letters alone: Filipino in Finnish, Estonian in Spanish."""
    with pytest.raises(LabelError, match=f'num2words has no number words for language "{language}": "at 5"') as caught:
        spell_for_ctc("at 5", language, None)
    assert caught.value.reason == "digits that cannot be spelled out"


def test_digits_without_a_language() -> None:
    with pytest.raises(LabelError) as caught:
        spell_for_ctc("at 5", None, None)
    assert str(caught.value) == 'the text has digits and no language is set: "at 5". Write the numbers out as words, or set the language.'


@pytest.mark.parametrize("language", ["en", "fr", "de"])
@pytest.mark.parametrize("text", ["½ cup", "10²", "-5 degrees", "minus −5", "1/2 cup", "the 1990s", "12e", "B2", "3,50 or 3.50"])
def test_numbers_without_words_are_not_guessed(text: str, language: str) -> None:
    with pytest.raises(LabelError) as caught:
        spell_for_ctc(text, language, None)
    assert caught.value.reason == "digits that cannot be spelled out"


def test_numbers_too_large_for_words() -> None:
    with pytest.raises(LabelError, match=r"digits of .* cannot be read in language"):
        spell_for_ctc("9" * 400, "en", None)


@pytest.mark.parametrize("symbol", ["%", "&", "€", "$", "₹", "+", "@", "°"])
def test_symbols_that_are_read_aloud_are_not_dropped_silently(symbol: str) -> None:
    with pytest.raises(LabelError) as caught:
        spell_for_ctc(f"ten {symbol} more", "en", None)
    assert caught.value.reason == "symbols that cannot be spelled out"
    assert symbol in str(caught.value)


def test_a_language_that_is_none() -> None:
    with pytest.raises(MisuseError, match='language "english" is not a BCP-47 tag'):
        spell_for_ctc("a", "english", None)
