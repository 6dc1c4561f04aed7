"""When each word of a clip was said: the likeliest path of a known text through the frames of a CTC model (torchaudio's forced alignment)."""

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torchaudio

from speechadapt.audio.waveform import Waveform
from speechadapt.errors import LabelError
from speechadapt.models.speech_model import Word
from speechadapt.models.vocabulary import Vocabulary
from speechadapt.units import Seconds

if TYPE_CHECKING:
    from speechadapt.models.ctc import CTCModel

LEAST_LOGPROB = -1e4
"""Instead of minus infinity, with which paths cannot be compared."""

APART = 1e-5
"""By at most so much every frame's blank is made less likely, each by another part of it. Where a token may be reached from a blank and from the
token before it at exactly the same cost, torchaudio takes the worst way instead of one of them (pytorch/audio issue 4221, torchaudio 2.11)."""


def word_times(log_probs: torch.Tensor, ids: Sequence[int], vocabulary: Vocabulary, seconds_per_frame: Seconds) -> tuple[Word, ...]:
    """The words of a text with their times.

    A word lasts from its first letter's first frame to the end of its last letter's last frame. CTC models write a letter somewhere within its
    sound and blanks around it, so the true word begins a little earlier and ends a little later, by a few frames.

    Args:
        log_probs: natural-log probabilities of the vocabulary's rows, float, shape (frames, rows), on any device.
        ids: the text, as `Vocabulary.encode` or a search gives it: repeats and blanks gone.
        vocabulary: of the rows. A word is what stands between separators; where it has none, the whole text is one word.
        seconds_per_frame: how far the frames are apart.

    Returns:
        In order, none for an empty text; `start` and `end` in seconds from the clip's first sample; `probability` is the mean of its letters'.

    Raises:
        LabelError: the text needs more frames than there are.
    """
    if not ids:
        return ()
    path, scores = align_tokens(log_probs, ids, vocabulary.blank)
    letters: list[Any] = torchaudio.functional.merge_tokens(path, scores, blank=vocabulary.blank)
    words = []
    for between, group in itertools.groupby(letters, key=lambda letter: letter.token == vocabulary.separator):
        if between:
            continue
        spans = list(group)
        text = vocabulary.decode([span.token for span in spans])
        if text:
            words.append(
                Word(
                    text=text,
                    start=round(spans[0].start * seconds_per_frame, 3),
                    end=round(spans[-1].end * seconds_per_frame, 3),
                    probability=sum(math.exp(min(span.score, 0.0)) for span in spans) / len(spans),
                )
            )
    return tuple(words)


def align_text(model: "CTCModel", waveform: Waveform, text: str) -> tuple[Word, ...]:
    """When each word of a known transcript was said.

    Args:
        model: with a vocabulary that writes the text.
        waveform: float32, shape (samples,), 16 kHz, at most `model.longest` seconds.
        text: what is said in it, in ordinary spelling. The words come back as the model spells them: its case, numbers as words, no punctuation.

    Raises:
        LabelError: nothing to align, characters that the vocabulary cannot write, or more letters than frames.
        TrainingError: the model has no output layer yet.
    """
    ids = model.make_labels(text, "text to align")
    vocabulary = cast(Vocabulary, model.vocabulary)  # make_labels refuses a model without one
    model.network.eval()
    with torch.no_grad():
        inputs, lengths = model.frames.inputs([waveform])
        padded, frames = model.frames.log_probs(inputs.to(model.device), lengths.to(model.device))
    return word_times(padded[0, : frames[0]], ids, vocabulary, model.frames.seconds_per_frame)


def frames_needed(ids: Sequence[int]) -> int:
    """The fewest frames an alignment fits in: one per token, and a blank between equal neighbours."""
    return len(ids) + sum(before == after for before, after in itertools.pairwise(ids))


def path_logprob(log_probs: torch.Tensor, ids: Sequence[int], blank: int) -> float:
    """Mean natural-log probability of the frames in which the likeliest path of a text writes its letters; 0 for an empty text.

    Args:
        log_probs: natural-log probabilities, float, shape (frames, rows).
        ids: repeats and blanks gone.
        blank: id of CTC's blank.

    Raises:
        LabelError: the text needs more frames than there are.
    """
    if not ids:
        return 0.0
    path, scores = align_tokens(log_probs, ids, blank)
    return min(float(scores[path != blank].mean()), 0.0)


def align_tokens(log_probs: torch.Tensor, ids: Sequence[int], blank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest path of a text through the frames. It takes frames x (2 tokens + 1) bytes, and time in proportion.

    Args:
        log_probs: natural-log probabilities, float, shape (frames, rows).
        ids: repeats and blanks gone.
        blank: id of CTC's blank.

    Returns:
        The token of each frame, int64, shape (frames,), and its log-probability, float32.

    Raises:
        LabelError: the text needs more frames than there are.
    """
    needed = frames_needed(ids)
    if needed > len(log_probs):
        raise LabelError(
            "more letters than frames",
            f"the text needs {needed} frames, one per letter and one between equal letters, but the clip has {len(log_probs)}. "
            "Check that the text belongs to the clip.",
        )
    # on the processor: a clip takes a millisecond, and not every build of torchaudio can do it elsewhere
    emissions = log_probs.detach().float().cpu().clamp(min=LEAST_LOGPROB)
    apart = emissions.double()
    apart[:, blank] -= APART * torch.from_numpy(np.random.default_rng(0).random(len(emissions)))
    paths, _ = torchaudio.functional.forced_align(apart[None].contiguous(), torch.tensor([list(ids)], dtype=torch.int32), blank=blank)
    path = paths[0].long()
    return path, emissions.gather(1, path[:, None])[:, 0]
