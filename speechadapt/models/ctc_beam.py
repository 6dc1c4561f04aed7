"""Beam search for CTC models through flashlight-text, with an n-gram language model of words or of characters if one is given.

flashlight's own way to use a model of words is a lexicon, outside of which nothing can be written: not a name, not one word that the training
text lacked. So the search goes letter by letter, and the language model is asked in between: a word's beginning is worth what the likeliest
word with it is worth, a finished word what the n-gram says, and a word that the model does not know what the model gives an unknown one,
spelled with all letters equally likely.
"""

import functools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from speechadapt.errors import MisuseError, ModelError
from speechadapt.models.alignment import path_logprob
from speechadapt.models.language_model import LanguageModel, changed_at, load_language_model, needs_flashlight
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.models.vocabulary import Vocabulary

TOKENS_PER_FRAME = 10
"""Each hypothesis is continued by so many likeliest tokens of a frame."""
BEHIND = 50.0
"""Natural-log units behind the best hypothesis at which one is given up."""
LEAST_LOGPROB = -100.0
"""Instead of minus infinity, with which no sums can be made."""
_SEARCHING = threading.Lock()
"""Decoders are shared by whoever has the same vocabulary and settings, and keep the state of a search in themselves."""


def beam_texts(log_probs: Sequence[torch.Tensor], vocabulary: Vocabulary, settings: DecodeSettings) -> list[tuple[list[int], float]]:
    """Search for the likeliest text of each clip.

    Args:
        log_probs: per clip natural-log probabilities of the vocabulary's rows, float, shape (frames, rows), on any device.
        vocabulary: what the rows stand for; special tokens are never written.
        settings: `beam` hypotheses are kept. With `lm` (see `load_language_model`), `lm_weight` times its natural-log probabilities are
            added, and `word_score` for each word; without it, these two do nothing.

    Returns:
        Per clip the ids of the text, repeats and blanks gone, and the mean natural-log probability of the frames that write them, as the
        audio alone has it (see `path_logprob`).

    Raises:
        MissingExtraError: flashlight-text is not installed.
        MisuseError: a language model with a beam of 1, or one of words for a vocabulary without a word separator.
        ModelError: the language model is missing, is none, or cannot be written with the vocabulary; or `log_probs` are not numbers.
    """
    if settings.lm is not None and settings.beam < 2:
        raise MisuseError(f"beam is {settings.beam}, but a language model (lm) needs several hypotheses to choose from. Set beam to 20 or more.")
    with _SEARCHING:
        return _search(log_probs, vocabulary, settings)


def _search(log_probs: Sequence[torch.Tensor], vocabulary: Vocabulary, settings: DecodeSettings) -> list[tuple[list[int], float]]:
    if settings.lm is None:
        decoder = _decoder(vocabulary, settings.beam, None, 0.0, 0.0, 0)
    else:
        path = Path(settings.lm)
        decoder = _decoder(vocabulary, settings.beam, path, settings.lm_weight, settings.word_score, changed_at(path))
    rows = torch.tensor(_rows(vocabulary))
    found = []
    for clip in log_probs:
        clip = clip.detach().float().cpu().clamp(min=LEAST_LOGPROB)
        if torch.isnan(clip).any():
            raise ModelError("the model's output is not a number, so it cannot be decoded: its weights or its adapter are broken. Take others.")
        ids = rows[decoder(clip[:, rows].contiguous()[None])[0][0].tokens].tolist() if len(clip) else []
        found.append((ids, path_logprob(clip, ids, vocabulary.blank)))
    return found


def _rows(vocabulary: Vocabulary) -> list[int]:
    """The rows that a search may use: blank, separator, letters."""
    separator = [] if vocabulary.separator is None else [vocabulary.separator]
    return [vocabulary.blank, *separator, *vocabulary.letters.values()]


@functools.lru_cache(maxsize=4)
def _decoder(vocabulary: Vocabulary, beam: int, lm: Path | None, weight: float, word_score: float, changed: int) -> Any:
    with needs_flashlight():
        import flashlight.lib.text.decoder  # noqa: F401  # torchaudio would tell of its absence by a RuntimeError
    from torchaudio.models.decoder import ctc_decoder

    rows = _rows(vocabulary)
    # flashlight adds the weighted answers of the language model, and a word's score is not to be weighted
    scorer = None if lm is None else _scorer(load_language_model(lm, vocabulary), vocabulary, word_score / weight if weight else 0.0)
    return ctc_decoder(
        lexicon=None,
        tokens=[str(row) for row in rows],  # not the tokens themselves, some of which would mean something to flashlight
        lm=scorer,
        beam_size=beam,
        beam_size_token=min(TOKENS_PER_FRAME, len(rows)),
        beam_threshold=BEHIND,
        lm_weight=weight,
        log_add=True,
        blank_token=str(vocabulary.blank),
        sil_token=str(vocabulary.blank),  # flashlight writes one of these before and behind every text
    )


def _scorer(model: LanguageModel, vocabulary: Vocabulary, word_score: float) -> Any:
    """The language model as flashlight's decoder asks it, token by token."""
    from torchaudio.models.decoder import CTCDecoderLM, CTCDecoderLMState

    written = [vocabulary.tokens[row] for row in _rows(vocabulary)]
    separator = None if vocabulary.separator is None else 1

    class Scorer(CTCDecoderLM):  # type: ignore[misc]  # flashlight has no types
        """A tree of states, one per text begun: KenLM's state, the word begun, what was given for it in advance, and the states after it."""

        def __init__(self) -> None:
            super().__init__()
            self.states: dict[Any, tuple[Any, str, float, dict[int, tuple[Any, float]]]] = {}

        def start(self, start_with_nothing: bool) -> Any:
            root = CTCDecoderLMState()
            self.states = {root: (model.start(), "", 0.0, {})}
            return root

        def score(self, state: Any, token: int) -> tuple[Any, float]:
            kenlm, word, given, after = self.states[state]
            if token not in after:
                if token == separator:
                    kenlm, score = self.end_word(kenlm, word, given)
                    if model.separator is not None:
                        kenlm, more = model.score(kenlm, model.separator)
                        score += more
                    word, given = "", 0.0
                elif model.characters:
                    kenlm, score = model.score(kenlm, written[token])
                    word += written[token]
                else:
                    word += written[token]
                    reach = model.reach(word)
                    score, given = reach - given, reach
                child = state.child(token)
                self.states[child] = (kenlm, word, given, {})
                after[token] = (child, score)
            return after[token]

        def end_word(self, kenlm: Any, word: str, given: float) -> tuple[Any, float]:
            if not word:
                return kenlm, 0.0
            if model.characters:
                return kenlm, word_score
            kenlm, score = model.score(kenlm, word)
            return kenlm, score - given + word_score

        def finish(self, state: Any) -> tuple[Any, float]:
            kenlm, word, given, _ = self.states[state]
            kenlm, score = self.end_word(kenlm, word, given)
            return state, score + model.finish(kenlm)

    return Scorer()
