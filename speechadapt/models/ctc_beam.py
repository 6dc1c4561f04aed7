"""Beam search for CTC models through flashlight-text, with an n-gram language model of words or of characters if one is given.

flashlight's own way to use a model of words is a lexicon, outside of which nothing can be written: not a name, not one word that the training text
lacked. So the search here goes letter by letter, and the language model is asked in between: a word prefix is worth what its likeliest
word is worth, a finished word what the n-gram says, and a word that the model does not know what the model gives an unknown word, spelled
with all letters equally likely. The language model is read by flashlight's KenLM.
"""

import contextlib
import functools
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from speechadapt.errors import MissingExtraError, MisuseError, ModelError
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.models.vocabulary import Vocabulary

TOKENS_PER_FRAME = 10
"""A beam is continued by so many likeliest tokens of each frame."""
BEAM_THRESHOLD = 50.0
"""Natural-log units behind the best beam at which one is given up."""
LEAST_LOGPROB = -100.0
"""Instead of minus infinity, with which no sums can be made."""
LOG_10 = math.log(10)
MARKS = ("<unk>", "<s>", "</s>")
BINARY = b"mmap lm http://kheafield.com/code"
SEPARATORS = ("|", "<space>", "▁")
"""How character models write the blank between words."""


def beam_texts(log_probs: Sequence[torch.Tensor], vocabulary: Vocabulary, settings: DecodeSettings) -> list[tuple[list[int], float]]:
    """Search for the likeliest texts of a batch of clips.

    Args:
        log_probs: per clip natural-log probabilities of the vocabulary's rows, float, shape (frames, rows), on any device.
        vocabulary: what the rows stand for; special tokens are never written.
        settings: `beam` hypotheses are kept. With `lm`, an ARPA file or a KenLM binary that holds its words, `lm_weight` times the language
            model's natural-log probabilities are added, and `word_score` for each word; without, both do nothing. A model of which every
            unigram is one token of the vocabulary is one of characters, any other one of words; its words are taken in the vocabulary's case.

    Returns:
        Per clip the ids of the text, repeats and blanks gone, and the mean natural-log probability per id that the audio alone gives them.

    Raises:
        MissingExtraError: flashlight-text is not installed.
        MisuseError: a language model with a beam of 1; or one of words for a vocabulary without a word separator.
        ModelError: the language model is missing, is none, does not hold its words, or none of them can be written; or `log_probs` are not numbers.
    """
    if settings.lm is not None and settings.beam < 2:
        raise MisuseError(f"beam is {settings.beam}, but a language model (lm) needs several hypotheses to choose from. Set beam to 20 or more.")
    decoder = _decoder(vocabulary, settings)
    rows = torch.tensor(_written(vocabulary))
    found = []
    for clip in log_probs:
        clip = clip.detach().float().cpu().clamp(min=LEAST_LOGPROB)
        if torch.isnan(clip).any():
            raise ModelError("the model's output is not a number, so there is nothing to decode. Its weights or its adapter are broken; take others.")
        ids = []
        if len(clip):
            best = decoder(clip[:, rows].contiguous()[None])[0][0]
            ids = rows[best.tokens].tolist()
        found.append((ids, mean_logprob(clip, ids, vocabulary.blank)))
    return found


def mean_logprob(log_probs: torch.Tensor, ids: Sequence[int], blank: int) -> float:
    """Natural-log probability of a text, over all its alignments, per id (of silence: altogether); at most 0.

    Args:
        log_probs: natural-log probabilities, float32, shape (frames, rows), finite.
        ids: repeats and blanks gone.
        blank: id of CTC's blank.
    """
    if not len(log_probs):
        return 0.0
    if not ids:
        return float(log_probs[:, blank].sum())
    target, frames, length = torch.tensor([list(ids)]), torch.tensor([len(log_probs)]), torch.tensor([len(ids)])
    return -float(F.ctc_loss(log_probs[:, None], target, frames, length, blank=blank, reduction="sum")) / len(ids)


def _written(vocabulary: Vocabulary) -> list[int]:
    """The rows that a search may use: blank, separator, letters."""
    separator = [] if vocabulary.separator is None else [vocabulary.separator]
    return [vocabulary.blank, *separator, *vocabulary.letters.values()]


def _decoder(vocabulary: Vocabulary, settings: DecodeSettings) -> Any:
    if settings.lm is None:
        return _build(vocabulary, settings.beam, None, 0.0, 0.0, 0)
    try:
        changed = Path(settings.lm).stat().st_mtime_ns
    except OSError as error:
        raise ModelError(f"{settings.lm}: this language model (lm) cannot be opened ({error.strerror}). Check the path.") from error
    return _build(vocabulary, settings.beam, settings.lm, settings.lm_weight, settings.word_score, changed)


@functools.lru_cache(maxsize=4)
def _build(vocabulary: Vocabulary, beam: int, path: str | None, weight: float, word_score: float, changed: int) -> Any:
    with _flashlight():
        from torchaudio.models.decoder import ctc_decoder
    words = None if path is None else _scorer(_read(path, vocabulary, changed), vocabulary, word_score / weight if weight else 0.0)
    tokens = [str(row) for row in _written(vocabulary)]  # names of no meaning: real ones may hold what flashlight takes for something else
    separator = vocabulary.blank if vocabulary.separator is None else vocabulary.separator
    return ctc_decoder(
        lexicon=None,
        tokens=tokens,
        lm=words,
        beam_size=beam,
        beam_size_token=min(TOKENS_PER_FRAME, len(tokens)),
        beam_threshold=BEAM_THRESHOLD,
        lm_weight=weight,
        log_add=True,
        blank_token=str(vocabulary.blank),
        sil_token=str(separator),
    )


@contextlib.contextmanager
def _flashlight() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        newest = " (its package exists for Python up to 3.12)" if sys.version_info >= (3, 13) else ""
        raise MissingExtraError(f"Beam search for CTC models (flashlight-text{newest})", "lm") from error


class LanguageModel:
    """An n-gram model read by KenLM, asked in natural-log units.

    Attributes:
        separator: what stands between words in a model of characters; None in a model of words.
        prefixes: of each beginning of a unigram, in the vocabulary's case, the natural-log probability of the likeliest one.
    """

    def __init__(self, kenlm: Any, names: dict[str, list[int]], separator: str | None) -> None:
        """Args:
        kenlm: flashlight's KenLM.
        names: what the vocabulary writes to the indices of the unigrams written so (which may differ in case), never empty.
        separator: see above.
        """
        self._kenlm = kenlm
        self._indices: dict[str, int] = {}
        self.separator = separator
        self.prefixes: dict[str, float] = {}
        start = kenlm.start(True)
        self._unknown = kenlm.score(start, 0)[1] * LOG_10
        for name, indices in names.items():
            value, self._indices[name] = max((kenlm.score(start, index)[1] * LOG_10, index) for index in indices)
            for end in range(1, len(name) + 1):
                if value > self.prefixes.get(name[:end], -math.inf):
                    self.prefixes[name[:end]] = value

    def start(self) -> Any:
        """The state at a sentence's beginning."""
        return self._kenlm.start(False)

    def score(self, state: Any, name: str) -> tuple[Any, float, bool]:
        """The state after a word or character, its natural-log probability, and whether it is known."""
        index = self._indices.get(name, 0)
        after, value = self._kenlm.score(state, index)
        return after, value * LOG_10, index > 0

    def finish(self, state: Any) -> float:
        """Natural-log probability of the sentence's end."""
        return float(self._kenlm.finish(state)[1]) * LOG_10

    def ahead(self, prefix: str, spelling: float) -> float:
        """Natural-log probability that a word with this beginning may reach; `spelling` for each letter of an unknown one."""
        value = self.prefixes.get(prefix)
        return self._unknown + spelling * len(prefix) if value is None else value


@functools.lru_cache(maxsize=2)
def _read(path: str, vocabulary: Vocabulary, changed: int) -> LanguageModel:
    with _flashlight():
        from flashlight.lib.text.decoder.kenlm import KenLM
        from flashlight.lib.text.dictionary import Dictionary
    words = [word for word in _unigrams(Path(path)) if word not in MARKS]
    fold = {"upper": str.upper, "lower": str.lower, None: str}[vocabulary.case]
    letters = vocabulary.letters
    separator = next((mark for mark in (*SEPARATORS, _separator(vocabulary)) if mark in words and len(words) > 1), None)
    characters = all(word == separator or fold(word) in letters for word in words)
    if not characters and vocabulary.separator is None:
        raise MisuseError(
            f"{path}: a language model of words, but the vocabulary has no word separator, so no word ever ends. Give a model of characters."
        )
    names: dict[str, list[int]] = {}
    for index, word in enumerate(words, start=1):
        names.setdefault(word if word == separator and characters else fold(word), []).append(index)
    if not any(name in letters or not vocabulary.missing([name]) for name in names):
        raise ModelError(
            f'{path}: none of its {len(words)} words can be written with the letters of the vocabulary ("{words[0] if words else ""}", for example). '
            "Make the language model from text in the writing of the model."
        )
    try:
        with _quiet():
            kenlm = KenLM(path, Dictionary([MARKS[0], *words]))
    except (RuntimeError, ValueError) as error:
        raise _none(path, str(error).splitlines()[-1]) from error
    return LanguageModel(kenlm, names, (separator or "|") if characters else None)


def _separator(vocabulary: Vocabulary) -> str:
    return "|" if vocabulary.separator is None else vocabulary.tokens[vocabulary.separator]


def _none(path: str | Path, why: str) -> ModelError:
    return ModelError(f"{path}: not a language model that KenLM can read ({why}). Give an ARPA file or a KenLM binary, of order 2 to 6.")


def _unigrams(path: Path) -> list[str]:
    """The words of an ARPA file, or of a KenLM binary, which ends with them."""
    try:
        with path.open("rb") as stream:
            if stream.read(len(BINARY)) == BINARY:
                stream.seek(0)
                data = stream.read()
                begin = data.rfind(b"<unk>\0")
                if begin < 0:
                    raise ModelError(
                        f"{path}: this KenLM binary was built without its words (build_binary -v), so it cannot be asked for any. "
                        "Give the ARPA file, or build the binary again without -v."
                    )
                return [word.decode("utf-8") for word in data[begin:].split(b"\0") if word]
        with path.open(encoding="utf-8") as text:
            return _arpa_unigrams(path, text)
    except UnicodeDecodeError as error:
        raise _none(path, "it is neither an ARPA file in UTF-8 nor KenLM's binary") from error
    except OSError as error:
        raise ModelError(f"{path}: this language model (lm) cannot be read ({error.strerror}). Check the path.") from error


def _arpa_unigrams(path: Path, lines: Iterable[str]) -> list[str]:
    words: list[str] = []
    inside = False
    for line in lines:
        if inside and line.startswith("\\"):
            return words
        if inside and line.strip():
            fields = line.split()
            if len(fields) < 2:
                raise _none(path, f'a line of its 1-grams is "{line.strip()[:60]}"')
            words.append(fields[1])
        inside = inside or line.strip() == "\\1-grams:"
    raise _none(path, "its list of 1-grams is cut short" if inside else "it has no list of 1-grams")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """KenLM draws a progress bar on the process's standard error itself; what goes wrong it raises."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _scorer(model: LanguageModel, vocabulary: Vocabulary, word_score: float) -> Any:
    """A language model as flashlight's decoder asks it: token after token, from a tree of states."""
    from torchaudio.models.decoder import CTCDecoderLM, CTCDecoderLMState

    rows = _written(vocabulary)
    separator = None if vocabulary.separator is None else rows.index(vocabulary.separator)
    written = [vocabulary.tokens[row] for row in rows]
    spelling = -math.log(max(2, len(vocabulary.letters)))

    class Scorer(CTCDecoderLM):  # type: ignore[misc]  # flashlight has no types
        """Per state: KenLM's, the word begun, what was given in advance for it, and the states that follow, with their scores."""

        def __init__(self) -> None:
            super().__init__()
            self.known: dict[Any, tuple[Any, str, float, dict[int, tuple[Any, float]]]] = {}

        def start(self, start_with_nothing: bool) -> Any:
            root = CTCDecoderLMState()
            self.known = {root: (model.start(), "", 0.0, {})}
            return root

        def score(self, state: Any, token: int) -> tuple[Any, float]:
            kenlm, word, given, following = self.known[state]
            if token in following:
                return following[token]
            if model.separator is not None:
                kenlm, score, _ = model.score(kenlm, model.separator if token == separator else written[token])
                ended = token == separator and bool(word)
                score += word_score if ended else 0.0
                word, given = ("" if token == separator else written[token]), 0.0
            elif token == separator:
                kenlm, score = self.end_word(kenlm, word, given)
                word, given = "", 0.0
            else:
                word += written[token]
                ahead = model.ahead(word, spelling)
                score, given = ahead - given, ahead
            child = state.child(token)
            self.known[child] = (kenlm, word, given, {})
            following[token] = (child, score)
            return child, score

        def end_word(self, kenlm: Any, word: str, given: float) -> tuple[Any, float]:
            if not word:
                return kenlm, 0.0  # a separator at the beginning or after another
            kenlm, score, known = model.score(kenlm, word)
            return kenlm, score + (0.0 if known else spelling * len(word)) + word_score - given

        def finish(self, state: Any) -> tuple[Any, float]:
            kenlm, word, given, _ = self.known[state]
            score = word_score if word else 0.0
            if model.separator is None:
                kenlm, score = self.end_word(kenlm, word, given)
            return state, score + model.finish(kenlm)

    return Scorer()
