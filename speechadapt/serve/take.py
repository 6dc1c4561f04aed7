"""Take: one reading of a prompt as a browser sent it, checked before it becomes part of a corpus."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechadapt.audio.quality import CUT_DB, LOW_LEVEL_DBFS, measure_quality, measure_speech
from speechadapt.audio.waveform import AudioInfo, open_recording, resample
from speechadapt.data.checks import CHARACTERS_PER_SECOND, CHARACTERS_PER_SECOND_CJK, is_cjk
from speechadapt.errors import AudioError
from speechadapt.units import SAMPLING_RATE, Hertz, Seconds

SHORTEST: Seconds = 0.3
LONGEST: Seconds = 30.0
"""What Whisper hears at once, and the longest that training takes."""
RATES: tuple[Hertz, Hertz] = (8_000, 192_000)
LARGEST = 44 + 2 * RATES[1] * round(LONGEST) + (64 << 10)
"""Bytes of a take: 16-bit mono at the highest rate, and room for chunks that a WAV file may have beside its samples."""
EDGE_SILENCE: Seconds = 1.5
NOISE_DB = 12.0
"""Speech has pauses: where the loudest moments are less than this above the softest, there is noise, or nobody spoke."""
TELEPHONE: Hertz = 4_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TakeFinding:
    """Something that can be heard to be wrong: its `name`, what it is and what to do in words, and whether the take cannot be kept with it."""

    name: str
    text: str
    fatal: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """A take that could be read.

    Attributes:
        samples: int16, shape (samples,), as recorded.
        sampling_rate: of the device, in Hz.
        level_dbfs: of the speech; None where nothing was recorded.
        findings: what is wrong with it, the worst first; empty for a good one.
    """

    samples: NDArray[np.int16]
    sampling_rate: Hertz
    level_dbfs: float | None
    findings: tuple[TakeFinding, ...]

    @property
    def duration(self) -> Seconds:
        """Seconds."""
        return len(self.samples) / self.sampling_rate

    @property
    def fatal(self) -> bool:
        """Whether it cannot be kept."""
        return any(found.fatal for found in self.findings)

    def to_json(self) -> dict[str, Any]:
        """What the page shows of it."""
        return {
            "duration": round(self.duration, 2),
            "level_dbfs": None if self.level_dbfs is None else round(self.level_dbfs, 1),
            "findings": [dataclasses.asdict(found) for found in self.findings],
            "fatal": self.fatal,
        }


def read_take(data: bytes, text: str) -> Take:
    """Read and check the bytes of a WAV file: 16-bit PCM, mono, at the rate of the device.

    Args:
        data: the whole file.
        text: the prompt that was read.

    Raises:
        AudioError: reason empty, not-audio, truncated (the header promises more than there is) or too-long.
    """
    with open_recording(data) as recording:
        info = recording.info
        _check_form(info)
        samples = np.rint(recording.read_channels()[:, 0] * 32768).astype(np.int16)  # exactly the 16 bits that were sent
    level, findings = _listen(samples, info.sampling_rate, text)
    return Take(samples=samples, sampling_rate=info.sampling_rate, level_dbfs=level, findings=findings)


def _check_form(info: AudioInfo) -> None:
    low, high = RATES
    if info.format not in ("WAV", "WAVEX") or info.subtype != "PCM_16":
        raise AudioError("not-audio", f"the take is {info.format}, {info.subtype}; WAV with 16-bit samples is needed. Load the page again.")
    if info.channels != 1:
        raise AudioError("not-audio", f"the take has {info.channels} channels, 1 is needed. Load the page again.")
    if not low <= info.sampling_rate <= high:
        raise AudioError("not-audio", f"the take has {info.sampling_rate} samples a second, {low} to {high} are possible. Choose another microphone.")
    if info.missing > 0:
        raise AudioError("truncated", f"the take's header promises {info.missing:.1f} s more than were sent. Record it again.")
    if info.duration > LONGEST + 0.5:
        raise AudioError("too-long", f"the take lasts {info.duration:.1f} s, at most {LONGEST:g} s are possible. Read one sentence at a time.")


def _listen(samples: NDArray[np.int16], rate: Hertz, text: str) -> tuple[float | None, tuple[TakeFinding, ...]]:
    seconds = len(samples) / rate
    if seconds < SHORTEST:
        told = f"Too short: {seconds:.1f} s. Start the recording, read the whole sentence, then stop it."
        return None, (TakeFinding(name="too-short", text=told, fatal=True),)
    waveform = samples.astype(np.float32) / np.float32(32768)
    quality = measure_quality(waveform)
    if quality.constant:
        told = "Nothing was recorded: the microphone gave no sound at all. Is it muted, or is it another one that is chosen?"
        return None, (TakeFinding(name="silent", text=told, fatal=True),)
    speech = measure_speech(resample(waveform, rate, SAMPLING_RATE))
    level, spoken = speech.level_dbfs, seconds - speech.leading - speech.trailing
    letters = len("".join(text.split()))
    fastest = (CHARACTERS_PER_SECOND_CJK if is_cjk(text) else CHARACTERS_PER_SECOND)[1]
    found = {
        "clipped": (
            "clipped" in quality.flags or speech.ceiling,
            "Clipped: the loudest moments are cut off. Move a little away from the microphone, or turn its level down.",
        ),
        "quiet": (
            level < LOW_LEVEL_DBFS,
            f"Too quiet: the voice is at {level:.0f} dB, {LOW_LEVEL_DBFS:.0f} dB or more is needed. Move closer, or turn the microphone's level up.",
        ),
        "noisy": (
            level >= LOW_LEVEL_DBFS and level - speech.noise_dbfs < NOISE_DB,
            "No pauses to be heard: it is loud around you, or nobody spoke. Find a quieter place if you can.",
        ),
        "silence-at-start": (
            speech.leading > EDGE_SILENCE,
            f"{speech.leading:.1f} s of silence before the first word. Start to read a little sooner.",
        ),
        "silence-at-end": (speech.trailing > EDGE_SILENCE, f"{speech.trailing:.1f} s of silence after the last word. Stop a little sooner."),
        "cut-at-start": (
            speech.dynamic and speech.start_db > CUT_DB,
            "The beginning may be cut off. Start the recording, wait a moment, then read.",
        ),
        "cut-at-end": (speech.dynamic and speech.end_db > CUT_DB, "The end may be cut off. Finish the sentence, wait a moment, then stop."),
        "incomplete": (
            letters > fastest * max(spoken, 0.01),
            f"{spoken:.1f} s are short for this sentence. Was all of it read?",
        ),
        "telephone": (
            speech.bandwidth <= TELEPHONE,
            "It sounds like a telephone: nothing above 4 kHz. A headset over Bluetooth does that; another microphone is better.",
        ),
    }
    return level, tuple(TakeFinding(name=name, text=told) for name, (wrong, told) in found.items() if wrong)
