"""Long recordings of the synthetic voice, sentence after sentence with pauses of known length, so that the truth is known to the sample."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speechadapt.synthetic.sentences import sentences
from speechadapt.synthetic.voice import load_voice

RATE = 16_000
Truth = list[tuple[float, float]]
LISTENER = "embedded:wav2vec2-small"
"""The base that understands this voice."""


def speak(text: str) -> NDArray[np.float32]:
    """A sentence in standard American English, without the silence around it."""
    voice = load_voice()
    waveform = voice.speak(voice.phonemes(text))
    level = np.convolve(np.abs(waveform), np.ones(160) / 160, "same")
    loud = np.nonzero(level > 0.02 * level.max())[0]
    return waveform[loud[0] : loud[-1] + 1]


def some_sentences(count: int, seed: int = 7) -> list[str]:
    return list(itertools.islice(sentences("test", seed=seed), count))


def put_together(clips: Sequence[NDArray[np.float32]], pauses: Sequence[float], noise: float = 1e-3) -> tuple[NDArray[np.float32], Truth]:
    """Clips with a pause before each and one behind the last, in a quiet room; and where each begins and ends, in seconds."""
    parts: list[NDArray[np.float32]] = []
    truth, place = [], 0
    for clip, pause in zip(clips, pauses, strict=False):
        silence = round(pause * RATE)
        parts += [np.zeros(silence, np.float32), clip]
        truth.append(((place + silence) / RATE, (place + silence + len(clip)) / RATE))
        place += silence + len(clip)
    waveform = np.concatenate([*parts, np.zeros(round(pauses[len(clips)] * RATE), np.float32)])
    return (waveform + np.random.default_rng(0).normal(0, noise, len(waveform))).astype(np.float32), truth
