"""Speech-like sound made at run time: syllables of harmonics and of noise with pauses between, for measures of speech."""

import numpy as np
from numpy.typing import NDArray

RATE = 16_000


def spoken(seconds: float = 3.0, *, seed: int = 0, pitch: float = 140.0, sampling_rate: int = RATE, level: float = 0.3) -> NDArray[np.float32]:
    """Syllables of a fifth of a second, each a vowel of three resonances after a hiss up to 8 kHz, in a room of -70 dBFS.

    Args:
        seconds: in all, with a quarter of a second of silence at each end.
        pitch: of the voice in Hz.

    Returns:
        float32, shape (samples,).
    """
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * sampling_rate)) / sampling_rate
    sound = np.zeros(len(time))
    start = 0.25
    while start + 0.2 < seconds - 0.25:
        hiss, vowel = (time >= start) & (time < start + 0.06), (time >= start + 0.06) & (time < start + 0.2)
        sound[hiss] += 0.15 * random.normal(0, 1, int(hiss.sum())) * np.hanning(int(hiss.sum()))
        formants = random.uniform((300, 900, 2200), (800, 2000, 3000))
        f0 = pitch * random.uniform(0.9, 1.1)
        within = time[vowel] - start - 0.06
        harmonics = np.arange(1, int(min(7000.0, sampling_rate / 2 - 100) / f0)) * f0
        weights = np.sum(1 / (1 + ((harmonics[:, None] - formants) / 120) ** 2), axis=1) + 0.003
        waves = np.sin(2 * np.pi * harmonics[:, None] * within + random.uniform(0, 6, (len(harmonics), 1)))
        syllable = (weights[:, None] * waves).sum(axis=0) * np.hanning(int(vowel.sum()))
        sound[vowel] += syllable / np.abs(syllable).max() * random.uniform(0.4, 1.0)
        start += 0.2 + random.uniform(0.0, 0.12)
    return (level * sound + random.normal(0, 10 ** (-70 / 20), len(time))).astype(np.float32)
