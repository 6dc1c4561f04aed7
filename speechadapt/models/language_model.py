"""An n-gram language model, of words or of characters, in the writing of a vocabulary: ARPA files and KenLM binaries, read by flashlight's KenLM."""

import contextlib
import functools
import gzip
import math
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from speechadapt.errors import MissingExtraError, MisuseError, ModelError
from speechadapt.models.vocabulary import Vocabulary
from speechadapt.text.spelling import in_case

LOG_10 = math.log(10)
UNKNOWN = "<unk>"
MARKS = (UNKNOWN, "<s>", "</s>")
BINARY = b"mmap lm http://kheafield.com/code"
GZIP = b"\x1f\x8b"
SEPARATORS = ("|", "<space>", "▁")
"""How models of characters write the blank between words."""


class LanguageModel:
    """An n-gram model, asked for words or characters in a vocabulary's case, answering in natural-log units. Made by `load_language_model`.

    Attributes:
        characters: whether its units are characters; else words.
        separator: the unit for what stands between words, in a model of characters that has one.
    """

    def __init__(self, kenlm: Any, units: dict[str, list[int]], spelling: float, *, characters: bool, separator: str | None) -> None:
        """Args:
        kenlm: flashlight's KenLM.
        units: each unit in the vocabulary's case to KenLM's indices of it (several where the file tells cases apart), never empty.
        spelling: natural-log probability of each letter of a word that the model does not know.
        characters, separator: see above.
        """
        self.characters = characters
        self.separator = separator
        self._kenlm = kenlm
        self._spelling = spelling
        self._indices: dict[str, int] = {}
        self._reach: dict[str, float] = {}  # beginning of a word to the probability of the likeliest word that begins so
        nothing = kenlm.start(True)
        self._unknown: float = kenlm.score(nothing, 0)[1] * LOG_10
        for unit, indices in units.items():
            value, self._indices[unit] = max((kenlm.score(nothing, index)[1] * LOG_10, index) for index in indices)
            for end in range(1, len(unit) + 1):
                self._reach[unit[:end]] = max(value, self._reach.get(unit[:end], -math.inf))

    def start(self) -> Any:
        """The state at a sentence's beginning."""
        return self._kenlm.start(False)

    def score(self, state: Any, unit: str) -> tuple[Any, float]:
        """The state after a unit, and the unit's natural-log probability."""
        index = self._indices.get(unit, 0)
        after, value = self._kenlm.score(state, index)
        return after, value * LOG_10 + (0.0 if index else self._spelling * len(unit))

    def finish(self, state: Any) -> float:
        """Natural-log probability of the sentence's end."""
        return float(self._kenlm.finish(state)[1]) * LOG_10

    def reach(self, beginning: str) -> float:
        """Natural-log probability, whatever came before, of the likeliest word with this beginning; of an unknown word where there is none."""
        known = self._reach.get(beginning)
        return self._unknown + self._spelling * len(beginning) if known is None else known


def load_language_model(path: Path, vocabulary: Vocabulary) -> LanguageModel:
    """Read a language model; it is kept for the next call while its file stays the same.

    Args:
        path: an ARPA file (perhaps gzipped) or a KenLM binary that holds its words, of order 2 to 6.
        vocabulary: what the recognizer writes. A model of which every unigram is one of its letters, or a separator, is one of characters.

    Raises:
        MissingExtraError: flashlight-text is not installed.
        MisuseError: a model of words for a vocabulary without a word separator.
        ModelError: missing, no language model, without its words, or none of them can be written.
    """
    return _load(path, vocabulary, changed_at(path))


def changed_at(path: Path) -> int:
    """When the file was last written, in ns.

    Raises:
        ModelError: there is no such file.
    """
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise ModelError(f"{path}: this language model (lm) cannot be opened ({error.strerror}). Check the path.") from error


@contextlib.contextmanager
def needs_flashlight() -> Iterator[None]:
    """Imports of flashlight-text inside fail with the name of the extra."""
    try:
        yield
    except ImportError as error:
        newest = ", which exists for Python up to 3.12" if sys.version_info >= (3, 13) else ""
        raise MissingExtraError(f"The beam search for CTC models (flashlight-text{newest})", "lm") from error


@functools.lru_cache(maxsize=2)
def _load(path: Path, vocabulary: Vocabulary, changed: int) -> LanguageModel:
    with needs_flashlight():
        from flashlight.lib.text.decoder.kenlm import KenLM
        from flashlight.lib.text.dictionary import Dictionary
    found = [unit for unit in _unigrams(path) if unit not in MARKS]
    letters, own = vocabulary.letters, None if vocabulary.separator is None else vocabulary.tokens[vocabulary.separator]
    separator = next((mark for mark in (own, *SEPARATORS) if mark in found), None)
    case = vocabulary.case
    characters = all(unit == separator or in_case(unit, case) in letters for unit in found)
    if not characters and own is None:
        raise MisuseError(f"{path}: a language model of words, but the vocabulary has no word separator. Give a language model of characters.")
    units: dict[str, list[int]] = {}
    for index, unit in enumerate(found, start=1):
        units.setdefault(unit if unit == separator else in_case(unit, case), []).append(index)
    if not any(unit != separator and not vocabulary.missing([unit]) for unit in units):
        example = f', such as "{found[0]}",' if found else ""
        raise ModelError(
            f"{path}: none of its {len(found)} words{example} can be written with the letters of the vocabulary. "
            "Make the language model from text in the writing of the recognizer."
        )
    try:
        with _quiet():
            kenlm = KenLM(str(path), Dictionary([UNKNOWN, *found]))
    except (RuntimeError, ValueError) as error:
        raise _unreadable(path, str(error).splitlines()[-1]) from error
    return LanguageModel(kenlm, units, -math.log(max(2, len(letters))), characters=characters, separator=separator if characters else None)


def _unreadable(path: Path, why: str) -> ModelError:
    return ModelError(f"{path}: not a language model that KenLM can read ({why}). Give an ARPA file or a KenLM binary, of order 2 to 6.")


def _unigrams(path: Path) -> list[str]:
    """The words of an ARPA file, or of a KenLM binary, which ends with them."""
    try:
        with path.open("rb") as stream:
            begin = stream.read(len(BINARY))
            if begin == BINARY:
                return _words_of_binary(path, stream.read())
        with gzip.open(path, "rt", encoding="utf-8") if begin.startswith(GZIP) else path.open(encoding="utf-8") as lines:
            return _words_of_arpa(path, lines)
    except UnicodeDecodeError as error:
        raise _unreadable(path, "it is neither an ARPA file in UTF-8 nor KenLM's binary") from error
    except (OSError, EOFError) as error:
        raise _unreadable(path, str(error)) from error


def _words_of_binary(path: Path, data: bytes) -> list[str]:
    begin = data.rfind(UNKNOWN.encode() + b"\0")
    if begin < 0:
        raise ModelError(
            f"{path}: this KenLM binary is cut short or was built without its words (build_binary -v), so it cannot be asked for any. "
            "Give the ARPA file, or build the binary again without -v."
        )
    return [word.decode("utf-8") for word in data[begin:].split(b"\0") if word]


def _words_of_arpa(path: Path, lines: Iterable[str]) -> list[str]:
    words: list[str] = []
    inside = False
    for line in lines:
        if inside and line.startswith("\\"):
            return words
        fields = line.split()
        if inside and fields:
            if len(fields) < 2:
                raise _unreadable(path, f'among its 1-grams is the line "{line.strip()[:60]}"')
            words.append(fields[1])
        inside = inside or fields == ["\\1-grams:"]
    raise _unreadable(path, "its list of 1-grams is cut short" if inside else "it has no list of 1-grams")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """KenLM draws a progress bar on the process's standard error itself; what goes wrong it raises."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
