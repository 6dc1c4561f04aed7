"""Scripts: which alphabet a letter belongs to, and which ones a language is written in."""

import functools
import unicodedata
from collections import Counter

from speechadapt.text.languages import primary_language

SCRIPTS_OF_LANGUAGE: dict[str, frozenset[str]] = {
    language: frozenset(scripts.split())
    for scripts, languages in {
        "LATIN": "af az ca cs cy da de en eo es et eu fi fil fo fr fy ga gd gl gsw ha haw hr hu id ig is it jv lb lt lv mg mi ms mt nl no oc pl pt rm"
        " ro rw sk sl sm sn so sq st su sv sw tk tl tn to tr vi wo xh yo zu",
        "CYRILLIC": "ba be bg ce cv ky mk mn ru tg tt udm uk",
        "CYRILLIC LATIN": "bs sr uz",
        "CYRILLIC LATIN ARABIC": "kk",
        "GREEK": "el",
        "ARABIC": "ar fa ps sd ug ur ckb",
        "ARABIC LATIN": "ku",
        "HEBREW": "he yi",
        "DEVANAGARI": "hi mr ne sa",
        "BENGALI": "as bn",
        "GURMUKHI ARABIC": "pa",
        "GUJARATI": "gu",
        "ORIYA": "or",
        "TAMIL": "ta",
        "TELUGU": "te",
        "KANNADA": "kn",
        "MALAYALAM": "ml",
        "SINHALA": "si",
        "THAI": "th",
        "LAO": "lo",
        "MYANMAR": "my",
        "KHMER": "km",
        "TIBETAN": "bo dz",
        "GEORGIAN": "ka",
        "ARMENIAN": "hy",
        "ETHIOPIC": "am ti",
        "CJK": "zh cmn yue wuu",
        "CJK LATIN": "nan",
        "CJK HIRAGANA KATAKANA": "ja",
        "HANGUL CJK": "ko",
    }.items()
    for language in languages.split()
}
"""Scripts as the names of their letters in Unicode begin; a language that is not here is not judged."""

SCRIPT_SUBTAGS = {
    **{"Latn": "LATIN", "Cyrl": "CYRILLIC", "Grek": "GREEK", "Arab": "ARABIC", "Hebr": "HEBREW", "Deva": "DEVANAGARI", "Beng": "BENGALI"},
    **{"Guru": "GURMUKHI", "Gujr": "GUJARATI", "Orya": "ORIYA", "Taml": "TAMIL", "Telu": "TELUGU", "Knda": "KANNADA", "Mlym": "MALAYALAM"},
    **{"Sinh": "SINHALA", "Thai": "THAI", "Laoo": "LAO", "Mymr": "MYANMAR", "Khmr": "KHMER", "Tibt": "TIBETAN", "Geor": "GEORGIAN"},
    **{"Armn": "ARMENIAN", "Ethi": "ETHIOPIC", "Hans": "CJK", "Hant": "CJK", "Hang": "HANGUL", "Hira": "HIRAGANA", "Kana": "KATAKANA"},
}
"""The third part of tags such as `sr-Latn`, which says the script."""


@functools.cache
def script_of(letter: str) -> str | None:
    """The script of one letter, such as LATIN or CYRILLIC; None for what is no letter, and for the few that have no name."""
    if unicodedata.category(letter)[0] != "L":
        return None
    words = unicodedata.name(letter, "").split()
    if not words:
        return None
    return "LATIN" if words[0] in ("FULLWIDTH", "FEMININE", "MASCULINE", "MODIFIER") else words[0]


def scripts_of_language(tag: str) -> frozenset[str] | None:
    """The scripts that a language is written in, by its BCP-47 tag or ISO 639-3 code; None where that is not known here."""
    for part in tag.replace("_", "-").split("-")[1:]:
        if part.title() in SCRIPT_SUBTAGS:
            return frozenset({SCRIPT_SUBTAGS[part.title()]})
    return SCRIPTS_OF_LANGUAGE.get(primary_language(tag))


def main_script(text: str) -> str | None:
    """The script of most letters; None where there are no letters."""
    counts = Counter(script for letter in text if (script := script_of(letter)) is not None)
    return counts.most_common(1)[0][0] if counts else None
