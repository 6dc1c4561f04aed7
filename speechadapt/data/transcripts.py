"""Transcripts: what can be seen to be wrong with the texts of a manifest without hearing a recording."""

import re
import statistics
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from speechadapt.data.findings import Finding, make_finding
from speechadapt.data.manifest import Manifest
from speechadapt.errors import LabelError, MisuseError
from speechadapt.text.cleaning import has_words
from speechadapt.text.scripts import main_script, script_of, scripts_of_language
from speechadapt.text.sentence import sentence_form
from speechadapt.text.spelling import spell_for_ctc

PLACEHOLDERS = {
    *("test", "testing", "n/a", "na", "nan", "null", "nil", "none", "unknown", "undefined", "unk", "todo", "tbd", "tba", "placeholder", "dummy"),
    *("missing", "empty", "blank", "untitled", "inaudible", "unintelligible", "silence", "noise", "music", "laughter", "applause", "foo", "bar"),
    *("lorem ipsum", "no text", "no transcript", "no transcription", "#n/a", "#ref!", "#value!", "#name?"),
}
"""Compared in lower case, without what stands around them. Some can be said, so they are warnings."""

MARKUP = re.compile(
    r"</?[A-Za-z][^<>]{0,80}>"  # tags, also <unk>, <hes/> and <SPOKEN_NOISE>
    r"|\[[^\[\]]{1,40}\]|\{[^{}]{0,80}\}"  # annotations and subtitle styles
    r"|&(?:#\d{1,7}|#x[0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});"
    r"|\\[ntrN\"](?![A-Za-z])|\\u[0-9A-Fa-f]{4}"
    r"|\b(?:https?://|www\.)\S"
    r"|<!--|-->|\]\]|\[\[|\{\{|\}\}|'''"
)
WORDS = re.compile(r"[^\W\d_]+")
CONFUSABLE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC"})
"""Scripts whose letters look like each other's, so that a mixture within a word is a mistake of the keyboard."""

JOINERS = "\u200c\u200d"
"""Zero-width joiners, which Persian and the scripts of India spell with."""

LONGEST_PHRASE = 8
"""Words of a phrase that is looked for three times in a row or more."""

LOOPED_WORDS = 6
"""Words a loop must cover: people do say `no no no` and `very very very very`."""

CHARACTER_LOOP = re.compile(r"(\S{2,20}?)\1{4,}")
"""The same for scripts without blanks: the same two to twenty characters, five times in a row."""

SAME_TEXT_ROWS = 5
SAME_TEXT_SPREAD = 3.0
"""One text under five recordings or more of which the long ones (nine tenths) last three times as long as the short ones (one tenth): readers of
one prompt differ by less (twice, in the recordings of children and adults that this was tried on)."""


def check_transcripts(manifest: Manifest) -> Iterator[Finding]:
    """Findings about single texts, and about one text that stands for many recordings."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for u in manifest:
        plain = u.text.isascii() and has_words(u.text) and not _DOUBTFUL.search(u.text)
        for check, detail in _look(u.text, u.language, PLAIN if plain else FINDERS):
            found[check][u.id] = detail
        if not plain and (reason := find_unspelled(u.text, u.language)) is not None:
            found["not-spelled-out"][u.id] = reason
    for check, (severity, fact, advice) in _TOLD.items():
        yield from make_finding(manifest, severity, check, found[check], fact, advice)
    yield from _check_repeated(manifest)


_DOUBTFUL = re.compile(r"[^A-Za-z ,.'?!;:-]")
"""What sends an ASCII text through all the checks; most texts have nothing of it."""

_PUNCTUATION = re.compile(r"[^\w\s]+")

_TOLD = {
    "broken-letters": ("error", "have broken letters", "Read the source in its own encoding (UTF-8 first) and prepare again."),
    "placeholder": ("warning", "have a text that stands for a missing one", "Listen to them; remove them or write what was said."),
    "markup": ("warning", "have markup in the text", "Remove it; a model would learn to write it."),
    "invisible-letters": ("warning", "have letters that are not seen", "Remove them; a model would learn to write them."),
    "mixed-scripts": ("warning", "have words of mixed alphabets", "Write each word in one; a model takes look-alike letters for others."),
    "other-script": ("warning", "are written in another script than their language is", "Correct the text or the language."),
    "repeated-words": ("warning", "repeat themselves as a recognizer in a loop does", "Listen to them; write what was said."),
    "not-spelled-out": (
        "note",
        "have digits or symbols that a CTC model cannot write",
        "CTC training drops them (a Whisper model can learn them); write the words out to keep them.",
    ),
}


def _look(text: str, language: str | None, finders: Mapping[str, Callable[[str], str | None]]) -> Iterator[tuple[str, str]]:
    for check, find in finders.items():
        if (detail := find(text)) is not None:
            yield check, detail
    if language is not None and (detail := find_other_script(text, language)) is not None:
        yield "other-script", detail


def find_unspelled(text: str, language: str | None) -> str | None:
    """Why a CTC model could not be taught to write the text, as `text.spelling` says it."""
    if not has_words(text):
        return None
    try:
        spell_for_ctc(text, language, None)
    except LabelError as error:
        return f"{error.reason}: {_short(text)}"
    except MisuseError:
        return f'"{_clean(language or "")}" is no language tag'
    return None


def find_broken_letters(text: str) -> str | None:
    """Replacement characters, halves of surrogate pairs, or words that were UTF-8 and were read as Windows' cp1252."""
    replaced = sum(letter == "\ufffd" or "\ud800" <= letter <= "\udfff" for letter in text)
    if replaced:
        return f"{replaced} letters that could not be decoded: {_short(text)}"
    for word in text.split():
        if word.isascii():
            continue
        try:
            meant = word.encode("cp1252").decode("utf-8")
        except UnicodeError:
            continue
        return f'"{word}" was "{meant}" before it was read in the wrong encoding'
    return None


def find_placeholder(text: str) -> str | None:
    """A text that is nothing but a word for a missing text, or nothing but one annotation."""
    bare = text.strip()
    if MARKUP.fullmatch(bare) and has_words(bare):
        return f'"{_clean(bare)}"'
    word = bare.strip("<>[](){}*_-.…\"' ").lower()
    return f'"{_clean(bare)}"' if word in PLACEHOLDERS or (len(word) >= 3 and set(word) == {"x"}) else None


def find_markup(text: str) -> str | None:
    """The first remnant of markup."""
    found = MARKUP.search(text)
    return None if found is None else f'"{_clean(found[0])}"'


def find_invisible(text: str) -> str | None:
    """The first sign that is not seen: control characters, private and unassigned code points, zero-width and direction marks."""
    for letter in text:
        if letter not in JOINERS and unicodedata.category(letter) in ("Cc", "Cf", "Co", "Cn"):
            return f"U+{ord(letter):04X} {unicodedata.name(letter, 'without a name')}"
    return None


def find_mixed_word(text: str) -> str | None:
    """The first word with letters of two scripts that look alike, such as a Latin o in a Cyrillic word."""
    if text.isascii():
        return None
    for word in WORDS.findall(text):
        scripts = {script for letter in word if (script := script_of(letter)) in CONFUSABLE}
        if len(scripts) > 1:
            few = min(sorted(scripts), key=lambda script: sum(script_of(letter) == script for letter in word))
            odd = "".join(letter for letter in word if script_of(letter) == few)
            return f'"{word}": {odd} is {few.title()}'
    return None


def find_other_script(text: str, language: str) -> str | None:
    """The script of most letters, where the language is not written in it."""
    expected = scripts_of_language(language)
    script = main_script(text)
    if expected is None or script is None or script in expected:
        return None
    return f"{script.title()} letters, language {language}: {_short(text)}"


def find_loop(text: str) -> str | None:
    """A phrase that is repeated without an end, or None."""
    plain = _PUNCTUATION.sub("", text).lower() if text.isascii() else sentence_form(text)
    words = plain.split()
    for length in range(1, min(LONGEST_PHRASE, len(words) // 3) + 1):
        same = longest = end = 0
        for place in range(len(words) - length):
            same = same + 1 if words[place] == words[place + length] else 0
            if same > longest:
                longest, end = same, place + length
        if longest >= 2 * length and longest + length >= LOOPED_WORDS:
            phrase = " ".join(words[end + 1 - length : end + 1])
            return f"{_short(phrase)} {longest // length + 1} times"
    letters = None if plain.isascii() else CHARACTER_LOOP.search(plain)
    return None if letters is None else f"{_short(letters[1])} {len(letters[0]) // len(letters[1])} times"


def _check_repeated(manifest: Manifest) -> Iterator[Finding]:
    rows: dict[str, list[int]] = defaultdict(list)
    for number, u in enumerate(manifest):
        rows[u.text].append(number)
    found: dict[str, str] = {}
    for text, numbers in rows.items():
        if len(numbers) < SAME_TEXT_ROWS or not has_words(text):
            continue
        durations = [manifest[number].duration for number in numbers]
        tenths = statistics.quantiles(durations, n=10, method="inclusive")
        if tenths[-1] >= SAME_TEXT_SPREAD * tenths[0]:
            detail = f"{_short(text)} stands under {len(numbers)} recordings of {min(durations):.1f} to {max(durations):.1f} s"
            found |= {manifest[number].id: detail for number in numbers}
    fact = "share a text with recordings of very different length"
    yield from make_finding(manifest, "warning", "repeated-text", found, fact, "Perhaps a cell was copied down a column; listen to some.")


def _short(text: str) -> str:
    clean = _clean(text)
    return f'"{clean}"' if len(clean) <= 60 else f'"{clean[:57]}..."'


def _clean(text: str) -> str:
    """What can be printed: letters that are not seen are written as their code points."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


PLAIN: dict[str, Callable[[str], str | None]] = {"placeholder": find_placeholder, "repeated-words": find_loop}
"""What an ASCII text of letters and usual punctuation can have."""

FINDERS: dict[str, Callable[[str], str | None]] = {
    **PLAIN,
    "broken-letters": find_broken_letters,
    "markup": find_markup,
    "invisible-letters": find_invisible,
    "mixed-scripts": find_mixed_word,
}
