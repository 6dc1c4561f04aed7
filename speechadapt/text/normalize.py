"""Normalizers: named, versioned rules for what counts as the same word. Both sides of a score go through the same one, once.

A name is a base, perhaps with a language, perhaps with options: `english`, `basic:tr`, `basic:ar+fold`, `basic:de+numbers+fillers`.
"""

import dataclasses
import functools
import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

from speechadapt.errors import MisuseError
from speechadapt.text.english import english_function, english_version
from speechadapt.text.fillers import FILLERS_VERSION, fillers_of
from speechadapt.text.folding import FOLDS, fold_version, folding_of
from speechadapt.text.languages import LanguageRules, language_rules, primary_language
from speechadapt.text.lexicon import Lexicon, read_lexicon
from speechadapt.text.numbers import numbers_function, numbers_version
from speechadapt.text.scripts import script_of
from speechadapt.text.signs import APOSTROPHES, HYPHENS, JOINED_SCRIPTS, TATWEEL
from speechadapt.text.whisper_basic import whisper_basic_function, whisper_basic_version

BASIC_VERSION = "1"
RAW_VERSION = "1"
# Two spellings of the Malayalam final consonants, the older with a joiner (The Unicode Standard, section 12.9).
CHILLU = {"ണ്\u200d": "ൺ", "ന്\u200d": "ൻ", "ര്\u200d": "ർ", "ല്\u200d": "ൽ", "ള്\u200d": "ൾ", "ക്\u200d": "ൿ"}
_ASCII_INSIDE = re.compile("(?<=[a-z0-9])[`'](?=[a-z0-9])")
_ASCII_OUTSIDE = re.compile("[^a-z0-9']|(?<![a-z0-9])'|'(?![a-z0-9])")
UNSPACED_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "IDEOGRAPHIC", "BOPOMOFO")


Rule = Callable[[str], str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Normalizer:
    """A rule for what counts as the same word; call it with a text.

    Attributes:
        name: how reports and the command line call it.
        version: changes whenever the same text could come out differently; scores of different versions are not compared.
        function: text in, text out.
        summary: one line for people.
        spaced: words are set apart by blanks. Where they are not (`basic:zh`), the words are characters and blanks are not counted in CER.
        steps: what `function` does one after the other, by name, for people who want to see where a word went.
        breaks_marks: it deletes the vowel signs and tone marks of many scripts, as `whisper-basic` does.
        wordwise: what it makes of a text is what it makes of its words one by one, so that scoring a million texts may remember the words.
    """

    name: str
    version: str
    function: Rule
    summary: str
    spaced: bool = True
    steps: tuple[tuple[str, Rule], ...] = ()
    breaks_marks: bool = False
    wordwise: bool = False

    def __call__(self, text: str) -> str:
        """The text in the form that is counted: words set apart by one blank, none at the ends."""
        return " ".join(self.function(text).split())

    def explain(self, text: str) -> list[tuple[str, str]]:
        """The text after each step, by the step's name; the last is the form that is counted."""
        found = []
        for name, rule in self.steps:
            text = rule(text)
            found.append((name, " ".join(text.split())))
        return found


BASES = {
    "raw": "the text as it is; only blanks are evened out",
    "basic": "any language: case and punctuation ignored, vowel signs and accents kept; basic:LANGUAGE adds a language's rules",
    "english": "Whisper's own for English, with its spelling map",
    "whisper-basic": "Whisper's own for other languages, as published: breaks words of Devanagari, Thai, Arabic with vowels; for old scores",
    "whisper-basic-no-diacritics": "the same with remove_diacritics: accents and tones are lost, too",
}
NAMES = tuple(BASES)
OPTIONS = {
    "fold": f"spelling variants of one language unified ({', '.join(FOLDS)})",
    "numbers": "digits as words (num2words); what cannot be read stays as it is",
    "fillers": "words of hesitation left out, from a list per language",
}


def normalizers() -> tuple[Normalizer, ...]:
    """The bases by name, for `ls` and for messages; `basic:LANGUAGE` adds a language's own rules to `basic`, `OPTIONS` say what may follow a `+`."""
    return tuple(get_normalizer(name) for name in NAMES)


def get_normalizer(name: "str | Normalizer", *, lexicon: Path | str | None = None) -> Normalizer:
    """Find a normalizer.

    Args:
        name: `raw`, `basic`, `english`, `whisper-basic`, `whisper-basic-no-diacritics`, or `basic:` and a BCP-47 tag, such as `basic:tr`;
            with options after `+`: `fold`, `numbers`, `fillers`. A `Normalizer` is given back as it is.
        lexicon: a file of dialect words and what they count as, see `read_lexicon`; adds `+lexicon` to the name and the file's digest to the version.

    Raises:
        MisuseError: there is no normalizer of that name, the tag is none, or an option does not go with it; the message lists what there is.
    """
    if isinstance(name, Normalizer):
        return name
    return _named(name) if lexicon is None else _with_lexicon(_named(name), read_lexicon(Path(lexicon)))


def normalizer_for(language: str | None) -> str:
    """`english` for English, `basic:LANGUAGE` for others, plain `basic` where nobody names a language."""
    if language is None:
        return "basic"
    return "english" if primary_language(language) == "en" else f"basic:{language}"


def choose_normalizer(texts: Iterable[str], languages: Iterable[str | None]) -> str:
    """The normalizer for references nobody named one for.

    Args:
        texts: some of the references, enough to see the script.
        languages: of all of them, as their manifest says.

    Returns:
        The one of their language; `basic` for several languages. Where no language is known, `english` for Latin letters and `basic` for others.
    """
    known = {primary_language(language) for language in languages if language}
    if known:
        return normalizer_for(known.pop()) if len(known) == 1 else "basic"
    scripts = [script for text in texts for letter in text if (script := script_of(letter)) is not None]
    return "english" if scripts.count("LATIN") >= len(scripts) / 2 else "basic"


def marks_broken(text: str) -> int:
    """How many combining marks `whisper-basic` would turn into blanks: vowel signs, tones and accents that no composed letter stands for."""
    return sum(unicodedata.category(letter)[0] == "M" for letter in unicodedata.normalize("NFKC", text))


@functools.cache
def _named(name: str) -> Normalizer:
    stem, *options = name.split("+")
    base = _base(stem)
    language = stem.partition(":")[2] or ("en" if stem == "english" else None)
    before: list[tuple[str, Rule]] = []
    after: list[tuple[str, Rule]] = []
    versions = [base.version]
    for option in options:
        if option not in OPTIONS or options.count(option) > 1:
            raise MisuseError(
                f'normalizer "{name}": the option "{option}" {"stands twice" if option in OPTIONS else "does not exist"}; '
                f"there are: {', '.join(OPTIONS)}. Correct the name."
            )
        if language is None:
            raise MisuseError(f'normalizer "{name}": +{option} needs a language, such as basic:de+{option}. Name it.')
        if option == "numbers":
            if stem == "english":
                raise MisuseError(f'normalizer "{name}": english writes every number in digits already. Leave +numbers out.')
            before.append(("numbers", numbers_function(language)))
            versions.append(numbers_version())
        elif option == "fold":
            before.append(("fold", folding_of(language)))
            versions.append(fold_version(language))
        else:
            fillers = frozenset(base(word) for word in fillers_of(language))
            after.append(("fillers", functools.partial(_without, words=fillers)))
            versions.append(f"fillers {FILLERS_VERSION}")
    if not options:
        return base
    order = {"numbers": 0, "fold": 1}
    before.sort(key=lambda step: order[step[0]])
    return _joined(base, name, ", ".join(versions), [*before, *base.steps, *after])


def _base(name: str) -> Normalizer:
    if name == "raw":
        return _made(name, RAW_VERSION, str, BASES[name], wordwise=True)
    if name == "english":
        return _made(name, english_version(), english_function(), BASES[name])
    if name in ("whisper-basic", "whisper-basic-no-diacritics"):
        function = whisper_basic_function(remove_diacritics=name != "whisper-basic")
        return dataclasses.replace(_made(name, whisper_basic_version(), function, BASES[name]), breaks_marks=True)
    kind, colon, language = name.partition(":")
    if kind == "basic" and bool(colon) == bool(language):
        rules = language_rules(language or None)
        return _made(name, BASIC_VERSION, functools.partial(basic_text, rules=rules), BASES["basic"], spaced=rules.spaced, wordwise=True)
    raise MisuseError(
        f'no normalizer is called "{name}"; there are: {", ".join(NAMES)}, and basic:LANGUAGE (such as basic:tr), '
        f"with the options {', '.join(f'+{option}' for option in OPTIONS)}. Check the spelling."
    )


def _made(name: str, version: str, function: Rule, summary: str, *, spaced: bool = True, wordwise: bool = False) -> Normalizer:
    steps = ((name, function),)
    return Normalizer(name=name, version=version, function=function, summary=summary, spaced=spaced, steps=steps, wordwise=wordwise)


def _joined(base: Normalizer, name: str, version: str, steps: list[tuple[str, Rule]]) -> Normalizer:
    function = functools.partial(_in_turn, steps=tuple(steps))
    return dataclasses.replace(base, name=name, version=version, steps=tuple(steps), function=function, wordwise=False)


def _in_turn(text: str, steps: tuple[tuple[str, Rule], ...]) -> str:
    for _, rule in steps:
        text = rule(text)
    return text


def _with_lexicon(base: Normalizer, lexicon: Lexicon) -> Normalizer:
    """The lexicon is read by the same rules as the texts, and applied before words of hesitation go."""
    step = ("lexicon", lexicon.function(base))
    places = [place for place, (name, _) in enumerate(base.steps) if name == "fillers"]
    place = places[0] if places else len(base.steps)
    return _joined(base, f"{base.name}+lexicon", f"{base.version}, lexicon {lexicon.digest[:12]}", [*base.steps[:place], step, *base.steps[place:]])


def _without(text: str, words: frozenset[str]) -> str:
    return " ".join(word for word in text.split() if word not in words)


def basic_text(text: str, rules: LanguageRules) -> str:
    """Case, punctuation, symbols and invisible characters away; letters, digits and every combining mark kept.

    Whisper's own basic normalizer turns combining marks into blanks, which breaks every word of Devanagari, Thai, Arabic
    with vowels and their like (openai/whisper pull request 2849); here marks are letters. Digits of any script become 0 to 9.
    """
    if text.isascii() and rules.inner == "'" and not (rules.edge_apostrophe or rules.dotless_i):
        return _ASCII_OUTSIDE.sub(" ", _ASCII_INSIDE.sub("'", text.lower()))  # the same, ten times as fast: most of what is ever scored
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
