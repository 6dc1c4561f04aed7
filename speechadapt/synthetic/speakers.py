"""Speakers: how one simulated person differs from the next: tempo, pitch, vocal tract, loudness, background noise and room."""

import dataclasses
import hashlib
import random

import numpy as np
from scipy.signal import fftconvolve

from speechadapt.audio.waveform import Waveform
from speechadapt.units import SAMPLING_RATE, Seconds

LOUDEST_PEAK = 0.95


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """One simulated speaker; everything but the accent.

    Attributes:
        name: unique over accents, strengths, seeds and splits, such as `mandarin-100-s0-train-03`.
        speed: tempo, 1 is the voice's own.
        pitch: factor on the fundamental frequency (the voice's own lies near 190 Hz).
        size: factor on the resonances; below 1 a longer vocal tract.
        level: root mean square of the speech in dB below full scale.
        snr: signal-to-noise ratio in dB; the noise falls off towards high frequencies as a room's does.
        reverberation: seconds until the room's echo has fallen by 60 dB; 0 for a close microphone.
    """

    name: str
    speed: float
    pitch: float
    size: float
    level: float
    snr: float
    reverberation: Seconds

    @property
    def traits(self) -> dict[str, float]:
        """Everything but the name, for the manifest."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "name"}

    def record(self, speech: Waveform, take: str) -> Waveform:
        """Put dry speech into this speaker's room, noise and level, with a short pause before and after.

        Args:
            speech: float32, shape (samples,), 16 kHz.
            take: names the recording; the same one gives the same bytes.

        Returns:
            float32, shape (samples + pauses,), 16 kHz, peak at most `LOUDEST_PEAK`.
        """
        rng = np.random.default_rng(seed_of(f"{self.name}|{take}"))
        samples = np.pad(speech.astype(np.float64), _pauses(rng))
        if self.reverberation > 0:
            samples = fftconvolve(samples, self._room())[: len(samples)]
        power = float(np.sqrt(np.mean(samples**2)))
        if power > 0:
            samples *= 10 ** (self.level / 20) / power
        noise = _room_noise(len(samples), rng)
        samples = samples + noise * 10 ** ((self.level - self.snr) / 20)
        peak = float(np.max(np.abs(samples), initial=0.0))
        if peak > LOUDEST_PEAK:
            samples *= LOUDEST_PEAK / peak
        return samples.astype(np.float32)

    def pause_before(self, take: str) -> int:
        """Samples of silence that `record` puts in front of the speech of this take."""
        return _pauses(np.random.default_rng(seed_of(f"{self.name}|{take}")))[0]

    def _room(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The room's impulse response: the direct sound, then noise that decays exponentially (Polack's model of late reverberation)."""
        rng = np.random.default_rng(seed_of(f"{self.name}|room"))
        times = np.arange(int(self.reverberation * SAMPLING_RATE)) / SAMPLING_RATE
        tail = rng.standard_normal(len(times)) * 10 ** (-3 * times / self.reverberation)
        tail[: int(0.003 * SAMPLING_RATE)] = 0  # nothing comes back sooner from a wall half a meter away
        tail *= 0.5 / np.sqrt(np.sum(tail**2))  # direct sound 6 dB above all reflections together: a speaker near the microphone
        tail[0] = 1.0
        return tail


def draw_speaker(name: str) -> Speaker:
    """The speaker of that name, always the same one: half have a lower voice and a longer vocal tract, half a higher and a shorter."""
    rng = random.Random(f"speaker|{name}")
    low = rng.random() < 0.5
    return Speaker(
        name=name,
        speed=round(rng.uniform(0.85, 1.15), 3),
        pitch=round(rng.uniform(0.58, 0.75) if low else rng.uniform(0.88, 1.2), 3),
        size=round(rng.uniform(0.86, 0.95) if low else rng.uniform(0.96, 1.1), 3),
        level=round(rng.uniform(-32.0, -18.0), 1),
        snr=round(rng.uniform(18.0, 45.0), 1),
        reverberation=round(rng.uniform(0.1, 0.4), 2) if rng.random() < 0.6 else 0.0,
    )


def seed_of(text: str) -> int:
    """A number from a text, equal on every machine and in every process (Python's own hash is not)."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _pauses(rng: np.random.Generator) -> tuple[int, int]:
    before, after = rng.uniform(0.1, 0.4, size=2) * SAMPLING_RATE
    return int(before), int(after)


def _room_noise(samples: int, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Pink noise of unit power: energy falls by 3 dB an octave above 50 Hz, about what ventilation and traffic leave in a room."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.fft.rfftfreq(samples, 1 / SAMPLING_RATE)
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequency, 50.0)), samples)
    power = float(np.sqrt(np.mean(noise**2)))
    return noise / power if power > 0 else noise
