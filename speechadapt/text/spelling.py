"""Spelling for CTC: a transcript as the letters that were spoken, because a CTC model writes what it hears, letter by letter."""

import re
import unicodedata

from speechadapt.errors import LabelError
from speechadapt.text.languages import LanguageRules, language_rules, primary_language
from speechadapt.text.signs import APOSTROPHES, HYPHENS, JOINED_SCRIPTS, TATWEEL

DASHES = HYPHENS + "–—―−"
SPOKEN_SYMBOLS = "%‰&@+=°§#×÷√∞№"
"""Read aloud, but nobody can tell with which words; currency signs (category Sc) are too."""
DECIMAL_POINT = {
    *("am", "ar", "bn", "cy", "en", "fil", "he", "hi", "ja", "kn", "ko", "ml", "ms"),
    *("my", "ne", "si", "sw", "ta", "te", "th", "tl", "ur", "zh"),
}
"""Languages that write 3.5 and 1,000; the others write 3,5 and 1.000."""
_NUMBER = re.compile(r"[0-9]+(?:[.,'\u00a0\u202f][0-9]+)*")
_ENGLISH_ORDINAL = re.compile(r"\b([0-9]+)(st|nd|rd|th)\b", re.IGNORECASE)
_UNREADABLE = re.compile(r"[^\W\d_][0-9]|[0-9][^\W\d_]|(?<!\w)[-−–][0-9]|[0-9]\s*/\s*[0-9]")
"""Digits whose words depend on what is around them: `1990s`, `12e`, `B2`, `-5`, `1/2`."""
_SINGLE_QUOTES = str.maketrans(dict.fromkeys(APOSTROPHES, "'"))


def spell_for_ctc(text: str, language: str | None, case: str | None) -> str:
    """Letters and blanks only: digits as words, no punctuation, every combining mark kept.

    Numbers are read as cardinals (English 1st as an ordinal), since only the recording could tell years from quantities.

    Args:
        text: the transcript.
        language: BCP-47 or ISO 639-3 code for number words, apostrophes, hyphens and the Turkic i; None knows no number words.
        case: `upper`, `lower`, or None, which keeps the case.

    Returns:
        Words set apart by one blank; NFC; perhaps empty.

    Raises:
        LabelError: digits or spoken symbols (%, &, €) that cannot be spelled out.
        MisuseError: `language` is no language code.
    """
    primary = None if language is None else primary_language(language)
    rules = language_rules(primary)
    text = unicodedata.normalize("NFC", text)
    _no_spoken_symbols(text)
    text = _numbers_as_words(text, language, primary).translate(_SINGLE_QUOTES)
    text = "".join(_written(text, place, rules) for place in range(len(text)))
    if rules.dotless_i and case == "lower":
        text = text.replace("I", "ı").replace("İ", "i")
    if rules.dotless_i and case == "upper":
        text = text.replace("i", "İ").replace("ı", "I")
    return " ".join(unicodedata.normalize("NFC", in_case(text, case)).split())


def spell_numbers(text: str, language: str) -> str:
    """The text with its digits as words, everything else as it was.

    Raises:
        LabelError: digits that cannot be spelled out.
    """
    return _numbers_as_words(text, language, primary_language(language))


def has_case(letter: str) -> bool:
    """Whether sentences begin with another form of the letter; Georgian has capitals for headlines, which no transcript is written in."""
    return letter.title() != letter.lower()


def in_case(text: str, case: str | None) -> str:
    """A text in `upper` or `lower` case, or as it is; letters without a sentence case keep their form. The Turkic i is the caller's."""
    if case == "upper":
        return "".join(letter.upper() if has_case(letter) else letter for letter in text)
    return text.lower() if case == "lower" else text


def _no_spoken_symbols(text: str) -> None:
    found = sorted({letter for letter in text if letter in SPOKEN_SYMBOLS or unicodedata.category(letter) == "Sc"})
    if found:
        raise LabelError(
            "symbols that cannot be spelled out",
            f'the text has {", ".join(found)}, which are read aloud in words that cannot be told from it: "{_short(text)}". Write the words out.',
        )


def _numbers_as_words(text: str, language: str | None, primary: str | None) -> str:
    text = "".join(str(unicodedata.decimal(letter)) if unicodedata.category(letter) == "Nd" else letter for letter in text)
    other = [letter for letter in text if unicodedata.category(letter) in ("Nl", "No")]
    if not other and not any(letter in "0123456789" for letter in text):
        return text
    converter = None if other else _converter(language, primary)
    if converter is None:
        where = "no language is set" if language is None else f'num2words has no number words for language "{language}"'
        what = f"the sign {other[0]} has no rule" if other else where
        raise LabelError(
            "digits that cannot be spelled out",
            f'the text has digits and {what}: "{_short(text)}". Write the numbers out as words, or set the language.',
        )
    try:
        if primary == "en":
            text = _ENGLISH_ORDINAL.sub(lambda match: f" {converter.to_ordinal(int(match[1]))} ", text)
        if (unread := _UNREADABLE.search(text)) is not None:
            raise ValueError(f'how "{unread[0]}" is said cannot be told')
        return _NUMBER.sub(lambda match: f" {_number_words(match[0], converter, primary)} ", text)
    except Exception as error:  # each language of num2words is a program of its own, with its own ways to fail
        raise LabelError(
            "digits that cannot be spelled out",
            f'the digits of "{_short(text)}" cannot be read in language "{language}" ({error or type(error).__name__}). '
            "Write the numbers out as words.",
        ) from error


def _converter(language: str | None, primary: str | None):  # type: ignore[no-untyped-def]
    """num2words' own reader of a language; its public function would read Filipino (fil) as Finnish and Estonian (est) as Spanish."""
    import num2words

    if language is None or primary is None:
        return None
    region = language.replace("-", "_").partition("_")[2].upper()
    name = {"kk": "kz"}.get(primary, primary)  # num2words calls Kazakh by the code of its country
    return num2words.CONVERTER_CLASSES.get(f"{name}_{region}", num2words.CONVERTER_CLASSES.get(name))


def _number_words(written: str, converter, primary: str | None) -> str:  # type: ignore[no-untyped-def]
    decimal, grouping = (".", ",") if primary in DECIMAL_POINT else (",", ".")
    plain = written.replace("'", "").replace("\u00a0", "").replace("\u202f", "")
    if re.fullmatch(rf"[1-9][0-9]{{0,2}}(?:{re.escape(grouping)}[0-9]{{3}})+(?:{re.escape(decimal)}[0-9]+)?", plain):
        plain = plain.replace(grouping, "")
    if re.fullmatch(rf"[0-9]+{re.escape(decimal)}[0-9]+", plain):
        if plain.endswith("0"):
            raise ValueError(f'num2words leaves out the zeros at the end of "{written}"')
        return str(converter.to_cardinal(converter.str_to_number(plain.replace(decimal, "."))))
    # what is left (1.2.3, 10,30) is a row of numbers; a leading zero (007) is read digit by digit
    parts = [part if len(part) == 1 or part[0] != "0" else " ".join(part) for part in re.split("[.,]", plain)]
    return " ".join(str(converter.to_cardinal(int(number))) for part in parts for number in part.split())


def _written(text: str, place: int, rules: LanguageRules) -> str:
    """What becomes of one character: itself, a blank, or nothing."""
    letter = text[place]
    kind = unicodedata.category(letter)
    before, after = _in_word(text, place - 1), _in_word(text, place + 1)
    if letter == "'":
        kept = ("'" in rules.inner and before and after) or (rules.edge_apostrophe and (before or after))
        return letter if kept else " "
    if letter in DASHES or letter in rules.inner:
        plain = "-" if letter in DASHES else letter
        return plain if plain in rules.inner and before and after else " "
    if letter in JOINED_SCRIPTS:
        script = unicodedata.name(text[place - 1], "") if place > 0 else ""
        return letter if after and script.startswith(JOINED_SCRIPTS[letter]) else ""
    if kind == "Cf" or letter == TATWEEL:
        return ""
    return letter if kind[0] in "LM" else " "


def _in_word(text: str, place: int) -> bool:
    return 0 <= place < len(text) and text[place] not in APOSTROPHES and unicodedata.category(text[place])[0] in "LM"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
