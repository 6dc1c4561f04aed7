"""Cleaning: a published transcript turned into training text. Scoring has its own normalizers; nothing here is for scoring."""

import re
import unicodedata

from speechadapt.text.languages import primary_language

CASES = ("lower", "sentence", "keep")
_QUOTES = str.maketrans({"‘": "'", "’": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "\u00a0": " ", "\u200b": "", "\ufeff": "", "\u00ad": ""})
_PRONOUN = re.compile(r"(?<![\w'-])i(?=$|[\s.,!?;:\"]|'(?:m|d|ll|ve|s)\b)")
_SPOKEN = "LN"


def clean_text(raw: str, *, case: str, language: str | None = None) -> str:
    """Unicode NFC, plain quotes, no control characters, single blanks, and the wanted case.

    Args:
        raw: the transcript as published.
        case: `keep`; `lower`; or `sentence`, which turns text written in one case only into a sentence (first letter capital, the
            English pronoun I capital, a full stop where no mark ends it) and leaves text that already mixes cases alone.
            Names cannot be told from other words and stay lower-case.
        language: BCP-47 tag, for the dotted i of Turkish and Azerbaijani and the pronoun of English.

    Returns:
        The cleaned text; empty when nothing but blanks was there.
    """
    text = unicodedata.normalize("NFC", raw.translate(_QUOTES))
    text = "".join(" " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter for letter in text)
    text = " ".join(text.split())
    if case == "lower":
        return _lower(text, language)
    if case == "sentence" and (text == text.upper() or text == text.lower()):
        return _sentence(_lower(text, language), language)
    return text


def has_words(text: str) -> bool:
    """Whether anything that can be spoken, a letter or a digit, is in the text."""
    return any(unicodedata.category(letter)[0] in _SPOKEN for letter in text)


def _lower(text: str, language: str | None) -> str:
    if language is not None and primary_language(language) in ("tr", "az"):
        text = text.replace("I", "ı").replace("İ", "i")
    return text.lower()


def _sentence(text: str, language: str | None) -> str:
    if not has_words(text):
        return text
    if language is not None and primary_language(language) == "en":
        text = _PRONOUN.sub("I", text)
    first = next(place for place, letter in enumerate(text) if unicodedata.category(letter)[0] in _SPOKEN)
    dotted = language is not None and primary_language(language) in ("tr", "az") and text[first] == "i"
    text = text[:first] + ("İ" if dotted else text[first].title()) + text[first + 1 :]  # Georgian has capitals, but no sentence begins with one
    cased = any(letter.isupper() for letter in text)  # scripts without case have marks of their own
    return text + "." if cased and unicodedata.category(text[-1])[0] in _SPOKEN else text
