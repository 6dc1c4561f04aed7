"""Normalizers: named, versioned rules for what counts as the same word. Both sides of a score go through the same one, once."""

import dataclasses
import functools
import unicodedata
from collections.abc import Callable

from speechadapt.errors import MisuseError
from speechadapt.text.english import english_function, english_version
from speechadapt.text.languages import LanguageRules, language_rules

BASIC_VERSION = "1"
RAW_VERSION = "1"
APOSTROPHES = "'‘’‛`´ʹʻʼʽˈ′＇"
HYPHENS = "-‐‑‒"
TATWEEL = "ـ"
ZWNJ, ZWJ = "\u200c", "\u200d"
# Two spellings of the Malayalam final consonants, the older with a joiner (The Unicode Standard, section 12.9).
CHILLU = {"ണ്\u200d": "ൺ", "ന്\u200d": "ൻ", "ര്\u200d": "ർ", "ല്\u200d": "ൽ", "ള്\u200d": "ൾ", "ക്\u200d": "ൿ"}
JOINED_SCRIPTS = {ZWNJ: ("ARABIC", "MALAYALAM", "SINHALA"), ZWJ: ("MALAYALAM", "SINHALA")}
UNSPACED_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "IDEOGRAPHIC", "BOPOMOFO")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Normalizer:
    """A rule for what counts as the same word; call it with a text.

    Attributes:
        name: how reports and the command line call it.
        version: changes whenever the same text could come out differently; scores of different versions are not compared.
        function: text in, text out.
        summary: one line for people.
        spaced: words are set apart by blanks. Where they are not (`basic:zh`), the words are characters and blanks are not counted in CER.
    """

    name: str
    version: str
    function: Callable[[str], str]
    summary: str
    spaced: bool = True

    def __call__(self, text: str) -> str:
        """The text in the form that is counted: words set apart by one blank, none at the ends."""
        return " ".join(self.function(text).split())


def normalizers() -> tuple[Normalizer, ...]:
    """The normalizers by name, for `ls` and for messages; `basic:LANGUAGE` adds a language's own rules to `basic`."""
    return tuple(get_normalizer(name) for name in NAMES)


@functools.cache
def get_normalizer(name: str) -> Normalizer:
    """Find a normalizer.

    Args:
        name: `raw`, `basic`, `english`, or `basic:` and a BCP-47 tag, such as `basic:tr`.

    Raises:
        MisuseError: there is no normalizer of that name, or the tag is none; the message lists the names.
    """
    if name == "raw":
        return Normalizer(name=name, version=RAW_VERSION, function=str, summary="the text as it is; only blanks are evened out")
    if name == "english":
        return Normalizer(
            name=name, version=english_version(), function=english_function(), summary="Whisper's own for English, with its spelling map"
        )
    kind, colon, language = name.partition(":")
    if kind == "basic" and bool(colon) == bool(language):
        rules = language_rules(language or None)
        summary = "any language: case and punctuation ignored, vowel signs and accents kept; basic:LANGUAGE adds a language's rules"
        return Normalizer(name=name, version=BASIC_VERSION, function=functools.partial(basic_text, rules=rules), summary=summary, spaced=rules.spaced)
    raise MisuseError(f'no normalizer is called "{name}"; there are: {", ".join(NAMES)}, and basic:LANGUAGE (such as basic:tr). Check the spelling.')


NAMES = ("raw", "basic", "english")


def basic_text(text: str, rules: LanguageRules) -> str:
    """Case, punctuation, symbols and invisible characters away; letters, digits and every combining mark kept.

    Whisper's own basic normalizer turns combining marks into blanks, which breaks every word of Devanagari, Thai, Arabic
    with vowels and their like (openai/whisper pull request 2849); here marks are letters. Digits of any script become 0 to 9.
    """
    text = unicodedata.normalize("NFKC", text.replace("´", "'"))  # NFKC alone makes a blank and a stray accent of U+00B4
    if rules.dotless_i:
        text = text.replace("I", "ı").replace("İ", "i")
    text = unicodedata.normalize("NFKC", text.casefold())
    for old, new in CHILLU.items():
        text = text.replace(old, new)
    text = text.translate(dict.fromkeys(map(ord, rules.dropped_marks + TATWEEL)))
    text = _without_stray_marks(text)
    text = "".join(_kept(text, place, rules) for place in range(len(text)))
    return text if rules.spaced else _set_apart(text)


def _without_stray_marks(text: str) -> str:
    """Marks that follow no letter are typing accidents, or what NFKC leaves of a lone accent: they would count as words."""
    kept: list[str] = []
    for letter in text:
        kind = unicodedata.category(letter)
        if kind[0] != "M" or (kept and (_in_word(kept[-1], 0) or unicodedata.category(kept[-1]) == "Cf")):
            kept.append(letter)
    return "".join(kept)


def _kept(text: str, place: int, rules: LanguageRules) -> str:
    letter = text[place]
    kind = unicodedata.category(letter)
    if letter in APOSTROPHES:
        before, after = _in_word(text, place - 1), _in_word(text, place + 1)
        if ("'" in rules.inner and before and after) or (rules.edge_apostrophe and (before or after)):
            return "'"
        return letter if kind == "Lm" else " "
    if letter in HYPHENS or letter in rules.inner:
        plain = "-" if letter in HYPHENS else letter
        return plain if plain in rules.inner and _in_word(text, place - 1) and _in_word(text, place + 1) else " "
    if letter in JOINED_SCRIPTS:
        meant = place > 0 and _script_in(text[place - 1], JOINED_SCRIPTS[letter]) and _in_word(text, place + 1)
        return letter if meant else ""
    if kind == "Nd":
        return str(unicodedata.decimal(letter))
    if kind == "Cf":
        return ""
    return " " if kind[0] in "PSZ" or kind in ("Cc", "Cs") else letter


def _in_word(text: str, place: int) -> bool:
    return 0 <= place < len(text) and text[place] not in APOSTROPHES and unicodedata.category(text[place])[0] in "LMN"


@functools.lru_cache(maxsize=4096)
def _script_in(letter: str, scripts: tuple[str, ...]) -> bool:
    return unicodedata.name(letter, "").startswith(scripts)


def _set_apart(text: str) -> str:
    """Each character of a script without blanks, with its marks, becomes a word; runs of other scripts stay words (code-switching)."""
    pieces = []
    after_unspaced = False
    for letter in text:
        if unicodedata.category(letter)[0] != "M":
            unspaced = _script_in(letter, UNSPACED_SCRIPTS)
            if unspaced or after_unspaced:
                pieces.append(" ")
            after_unspaced = unspaced
        pieces.append(letter)
    return "".join(pieces)
