"""The voice: phonemes in, 16 kHz speech out, by the neural American voice that the package hibari-tts ships.

hibari-tts (Apache-2.0) holds one voice distilled from Kokoro-82M, its pronouncing lexicon and its tagger; nothing is downloaded.
This is the only file that imports it.
"""

import functools
from typing import Any

import numpy as np

from speechadapt.audio.waveform import Waveform, resample
from speechadapt.errors import MissingExtraError

VOICE_PACKAGE = "hibari-tts"

SLOWEST, FASTEST = 0.5, 2.0
"""The speeds the voice was trained for."""

UNVOICED_BELOW = 40.0
"""Hz: the vocoder takes a frame whose pitch lies below this as voiceless, so voiced frames are kept above it."""


class Voice:
    """The voice, loaded once; use `load_voice` to share it inside a process.

    Raises:
        MissingExtraError: hibari-tts is not installed.
    """

    def __init__(self) -> None:
        try:
            import hibari
            import hibari.dsp
        except ImportError as error:
            raise MissingExtraError("The synthetic voice (hibari-tts)", "synthetic") from error
        # One thread: equal audio on every machine whatever its cores, and no fight with the other jobs of `prepare`.
        self._engine: Any = hibari.Hibari(voice="heart", threads=1)
        self._vocoder: Any = hibari.dsp

    def phonemes(self, text: str) -> str:
        """One sentence as standard American phonemes in the alphabet of `speechadapt.synthetic.accents`, words apart by blanks."""
        return " ".join(self._engine.phonemize(text))

    def speak(self, phonemes: str, *, speed: float = 1.0, pitch: float = 1.0, size: float = 1.0, seed: int = 0) -> Waveform:
        """Say a phoneme string.

        Args:
            phonemes: as `phonemes` gives them, accented or not.
            speed: tempo, 1 is the voice's own; `speed / size` is kept between `SLOWEST` and `FASTEST`.
            pitch: factor on the fundamental frequency (the voice's own lies near 190 Hz); 0.6 to 1.3 stay natural.
            size: factor on all resonances, as by a shorter vocal tract; 0.85 to 1.15 stay natural.
            seed: of the breath noise. The same arguments give the same bytes.

        Returns:
            float32, shape (samples,), 16 kHz, in [-1, 1]; empty for an empty string.
        """
        ids = self._engine.ids(phonemes)
        if len(ids) < 3:
            return np.zeros(0, dtype=np.float32)
        tempo = min(max(speed / size, SLOWEST), FASTEST)
        parts = self._engine.sess.run(None, {"ids": np.asarray([ids], np.int64), "speed": np.asarray([tempo], np.float32)})
        harmonics, phase, noise, rest, rest_phase, f0 = (part[0] for part in parts)
        f0 = np.where(f0 >= UNVOICED_BELOW, np.maximum(f0 * (pitch / size), UNVOICED_BELOW), f0).astype(np.float32)
        samples = self._vocoder.synth(harmonics, phase, noise, rest, rest_phase, f0, np.random.default_rng(seed))
        # Read at another rate, every resonance moves by the same factor; speed and pitch were divided by it above.
        return resample(samples, round(self._vocoder.SR * size), 16_000)


@functools.cache
def load_voice() -> Voice:
    """The voice of this process, loaded at the first call (about 0.4 s).

    Raises:
        MissingExtraError: hibari-tts is not installed.
    """
    return Voice()
