"""Emissions: what a CTC model says of every frame of a recording of any length, kept small."""

import dataclasses
import math
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from speechadapt.adapt.adapter import merged
from speechadapt.audio.storage import OVERHANG, SAME_LENGTH
from speechadapt.audio.waveform import Recording, Waveform, open_recording
from speechadapt.errors import AudioError
from speechadapt.models.ctc import CTCModel
from speechadapt.units import SAMPLING_RATE, Seconds

STEP: Seconds = 24.0
"""The recording is heard in pieces whose frames are kept for so long, in whole seconds, so that they are whole samples at any rate."""
CONTEXT: Seconds = 3.0
"""What the model hears before and after each piece, so that no frame that is kept stands at an edge. With both, a piece is 30 s."""
WINDOWS_AT_ONCE = 8
"""Pieces heard together on an accelerator; a processor gains nothing by it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Emissions:
    """What a model heard, frame by frame.

    Attributes:
        path: int32, shape (frames,): the likeliest token of each frame. best: float32, shape (frames,): its natural-log probability.
        tokens: int32, sorted: the tokens whose probabilities are kept, the blank among them.
        log_probs: float16, shape (frames, len(tokens)): their natural-log probabilities.
        levels: float32, shape (frames,): root mean square of the samples from each frame's beginning to the next one's.
        seconds_per_frame: between the beginnings of neighboring frames. duration: of the recording, in seconds.
    """

    path: NDArray[np.int32]
    best: NDArray[np.float32]
    tokens: NDArray[np.int32]
    log_probs: NDArray[np.float16]
    levels: NDArray[np.float32]
    seconds_per_frame: Seconds
    duration: Seconds


def listen(model: CTCModel, recording: Path, tokens: Iterable[int], *, progress: bool = True) -> Emissions:
    """Run a CTC model over a recording of any length, in pieces of 30 s that overlap.

    Memory grows by the probabilities of `tokens` alone, two bytes per frame and token: 10 MB for an hour of a language of 28 letters at
    50 frames per second.

    Args:
        model: with an output layer. It is not changed.
        recording: any file that `read_waveform` reads; channels are mixed.
        tokens: ids whose probabilities are kept beside the blank's: those of the text to be aligned.
        progress: show a bar on stderr.

    Raises:
        AudioError: not a recording, or one that cannot be decoded to its end.
        ValueError: the model has no output layer.
    """
    vocabulary = model.vocabulary
    if vocabulary is None:
        raise ValueError("the model has no output layer")  # `require_ctc` refuses it
    kept = sorted({vocabulary.blank, *tokens})
    hop = round(model.frames.seconds_per_frame * SAMPLING_RATE)
    parts: list[tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float16], NDArray[np.float32]]] = []
    with open_recording(recording) as opened:
        duration = opened.info.duration
        if opened.info.missing > SAME_LENGTH:
            raise AudioError(
                "truncated",
                f"{recording}: {opened.info.missing:.2f} of {duration + opened.info.missing:.2f} s are missing at its end. Replace the file.",
            )
        pieces = max(1, math.ceil(duration / STEP))  # one without samples is refused when it is read
        at_once = 1 if model.device.type == "cpu" else WINDOWS_AT_ONCE
        bar = tqdm(total=pieces, desc=f"hear {recording.name}", unit=" pieces", disable=None if progress else True, file=sys.stderr)
        with bar, merged(model):
            for first in range(0, pieces, at_once):
                group = range(first, min(first + at_once, pieces))
                windows = [_read_window(opened, piece, duration) for piece in group]
                for piece, window, heard in zip(group, windows, _hear(model, windows), strict=True):
                    parts.append(_keep(piece, window, heard, kept, hop, duration))
                bar.update(len(group))
    return Emissions(
        path=np.concatenate([part[0] for part in parts]),
        best=np.concatenate([part[1] for part in parts]),
        tokens=np.array(kept, np.int32),
        log_probs=np.concatenate([part[2] for part in parts]),
        levels=np.concatenate([part[3] for part in parts]),
        seconds_per_frame=model.frames.seconds_per_frame,
        duration=duration,
    )


def _read_window(recording: Recording, piece: int, duration: Seconds) -> Waveform:
    """The samples of a piece and its context, as far as the recording has any."""
    start = max(0.0, piece * STEP - CONTEXT)
    wanted = min((piece + 1) * STEP + CONTEXT, duration) - start
    waveform = recording.read_waveform(offset=start, duration=wanted)
    if wanted - OVERHANG > len(waveform) / SAMPLING_RATE:
        end = start + len(waveform) / SAMPLING_RATE
        raise AudioError("truncated", f"{recording.name}: decoding stops at {end:.2f} of {duration:.2f} s. Replace the file.")
    return waveform


@torch.no_grad()
def _hear(model: CTCModel, windows: list[Waveform]) -> list[torch.Tensor]:
    """Log-probabilities of each window, float32, shape (frames, tokens), on the processor."""
    model.network.eval()
    inputs, lengths = model.frames.inputs(windows)
    padded, frames = model.frames.log_probs(inputs.to(model.device), lengths.to(model.device))
    return [rows[:count] for rows, count in zip(padded.cpu(), frames, strict=True)]


def _keep(
    piece: int, window: Waveform, heard: torch.Tensor, kept: list[int], hop: int, duration: Seconds
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float16], NDArray[np.float32]]:
    """The frames of a piece without its context; frames that the model could not make at the very end are blank, like silence."""
    begin = round(max(0.0, piece * STEP - CONTEXT) * SAMPLING_RATE)
    end = round(min((piece + 1) * STEP, duration) * SAMPLING_RATE)
    first, last = -(-round(piece * STEP * SAMPLING_RATE) // hop), -(-end // hop)
    shift = round(begin / hop)
    rows = heard[first - shift : last - shift]
    if len(rows) < last - first:  # a convolution needs a few samples more than it moves on by
        rows = torch.nn.functional.pad(rows.T, (0, last - first - len(rows)), mode="replicate").T if len(rows) else heard[-1:].repeat(last - first, 1)
    best, path = rows.max(dim=1)
    samples = window[first * hop - begin : last * hop - begin]
    samples = np.pad(samples, (0, (last - first) * hop - len(samples)))
    levels = np.sqrt(np.square(samples.reshape(-1, hop)).mean(axis=1))
    return path.numpy().astype(np.int32), best.numpy(), rows[:, kept].numpy().astype(np.float16), levels.astype(np.float32)
