"""Folding: spelling variants of one language that writers use for the same word, unified on both sides of a score."""

import functools
import re
import unicodedata
from collections.abc import Callable

from speechadapt.errors import MissingExtraError, MisuseError
from speechadapt.provenance import package_version
from speechadapt.text.languages import primary_language

FOLD_VERSION = "1"

_ARABIC = str.maketrans({**dict.fromkeys("أإآٱ", "ا"), "ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ؤ": "و", "ئ": "ي", "ء": None})


def fold_arabic(text: str) -> str:
    """Alef with and without hamza, yaa and alef maqsura, taa marbuta and haa, and hamza on its carriers are one letter each.

    Writers of dialects, which have no spelling of their own, use them freely; see Ali et al., "WERd: Using social text spelling variants
    for evaluating dialectal speech recognition", ASRU 2017. The Persian letters that look alike count as the Arabic ones.
    """
    return unicodedata.normalize("NFKC", text).translate(_ARABIC)


_INDIC_BLOCKS = (0x0900, 0x0980, 0x0A00, 0x0A80, 0x0B00, 0x0C00, 0x0C80)
"""Devanagari, Bengali, Gurmukhi, Gujarati, Oriya, Telugu and Kannada, which Unicode lays out alike."""
_ROWS = ((0x19, 0x15, 0x18), (0x1E, 0x1A, 0x1D), (0x23, 0x1F, 0x22), (0x28, 0x24, 0x27), (0x2E, 0x2A, 0x2D))
"""Nasal, first and last stop of each row of the alphabet, as places in a block."""
_ANUSVARA, _CANDRABINDU, _NUKTA, _VIRAMA = 0x02, 0x01, 0x3C, 0x4D


@functools.cache
def _nasals() -> tuple[tuple[re.Pattern[str], str], ...]:
    rules = []
    for block in _INDIC_BLOCKS:
        anusvara = chr(block + _ANUSVARA)
        for nasal, first, last in _ROWS:
            rules.append((re.compile(f"{chr(block + nasal)}{chr(block + _VIRAMA)}(?=[{chr(block + first)}-{chr(block + last)}])"), anusvara))
    return tuple(rules)


def fold_indic(text: str) -> str:
    """A nasal before a stop of its own row is written as anusvara, nukta is left out, and so are joiners.

    `हिन्दी` and `हिंदी`, `ज़रूर` and `जरूर` are one word each (as in the Indic NLP Library's normalizer, Kunchukuttan 2020). Candrabindu and
    Gurmukhi's tippi count as anusvara.
    """
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text)).replace("\u200c", "").replace("\u200d", "")
    for block in _INDIC_BLOCKS:
        text = text.replace(chr(block + _NUKTA), "").replace(chr(block + _CANDRABINDU), chr(block + _ANUSVARA))
    text = text.replace("\u0a70", "\u0a02")
    for pattern, anusvara in _nasals():
        text = pattern.sub(anusvara, text)
    return unicodedata.normalize("NFC", text)


def fold_chinese(text: str) -> str:
    """Traditional characters as simplified ones, phrase by phrase (OpenCC's `t2s`), and full-width forms as half-width ones.

    Raises:
        MissingExtraError: the package `opencc` is not installed.
    """
    converted: str = _opencc().convert(unicodedata.normalize("NFKC", text))
    return converted


@functools.cache
def _opencc():  # type: ignore[no-untyped-def]
    try:
        import opencc
    except ImportError as error:
        raise MissingExtraError("opencc, which reads traditional and simplified Chinese alike,", "chinese") from error
    return opencc.OpenCC("t2s")


_HIRAGANA = str.maketrans({chr(code): chr(code - 0x60) for code in range(0x30A1, 0x30F7)})


def fold_japanese(text: str) -> str:
    """Katakana as hiragana, full-width forms as half-width ones, `々` as the character before it; kanji stay: their reading cannot be told."""
    text = re.sub(r"([\u4e00-\u9fff])々", r"\1\1", unicodedata.normalize("NFKC", text))
    return text.translate(_HIRAGANA)


_THAI_ORDER = re.compile("([\u0e48-\u0e4b])([\u0e31\u0e34-\u0e3a])")


def fold_thai(text: str) -> str:
    """Two `เ` are `แ`, vowels stand before tone marks, and sara am is one sign, however it was typed; they look alike on the screen."""
    text = unicodedata.normalize("NFC", text).replace("เเ", "แ").replace("\u0e4d\u0e32", "ำ")
    text = re.sub("\u0e4d([\u0e48-\u0e4b])\u0e32", "\\1ำ", text)
    return _THAI_ORDER.sub(r"\2\1", text)


def fold_german(text: str) -> str:
    """Umlauts and their spellings with e stay apart; only ß and ss are one, as in Switzerland, where ß is not written."""
    return text.replace("ẞ", "SS").replace("ß", "ss")


FOLDS: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(("ar", "arz", "ary", "apc", "ajp", "afb", "acm"), fold_arabic),
    **dict.fromkeys(("hi", "mr", "ne", "sa", "bn", "as", "pa", "gu", "or", "te", "kn"), fold_indic),
    **dict.fromkeys(("zh", "cmn", "yue", "nan", "wuu"), fold_chinese),
    "ja": fold_japanese,
    "th": fold_thai,
    **dict.fromkeys(("de", "gsw"), fold_german),
}


def folding_of(language: str) -> Callable[[str], str]:
    """The folding of a language.

    Raises:
        MisuseError: there is none for it.
    """
    fold = FOLDS.get(primary_language(language))
    if fold is None:
        raise MisuseError(f'there is no folding for language "{language}"; there are: {", ".join(FOLDS)}. Leave +fold out, or use a lexicon.')
    return fold


def fold_version(language: str) -> str:
    """Our own version, and that of the package behind it."""
    return f"fold {FOLD_VERSION}" + (f" opencc {package_version('opencc')}" if folding_of(language) is fold_chinese else "")
