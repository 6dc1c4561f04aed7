"""Recognizer: what the worker asks of a system, whatever its kind: prepare clips outside the clock, decode them inside."""

import dataclasses
import io
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from speechadapt.audio.waveform import Waveform, read_waveform
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import AudioError, SpeechadaptError
from speechadapt.units import SAMPLING_RATE, Seconds

MOST_TEXT = 1 << 20
"""Bytes of text that one clip may have; a program that prints more has gone wrong, and 100,000 words are half of it."""


class ClipError(SpeechadaptError):
    """A system that failed on one clip; another clip may still succeed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One utterance of a manifest, its samples read when they are asked for."""

    manifest: Manifest
    utterance: Utterance

    def waveform(self) -> Waveform:
        """float32, shape (samples,), 16 kHz.

        Raises:
            AudioError: it cannot be read; the message names the utterance.
        """
        row = self.utterance
        try:
            return read_waveform(self.manifest.audio_path(row), offset=row.offset, duration=row.duration)
        except AudioError as error:
            raise AudioError(error.reason, f'utterance "{row.id}" ({self.manifest.name}): {error}') from error


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a system said for one clip.

    Attributes:
        text: raw.
        seconds: of its own decoding; None takes the clip's share of its batch, by length.
        avg_logprob: as in `Hypothesis`.
        failure: why the clip counts as empty, where `on_error` is `empty`; missing: the system has no text for it at all.
    """

    text: str
    seconds: Seconds | None = None
    avg_logprob: float | None = None
    failure: str | None = None
    missing: bool = False


def one_by_one(durations: Sequence[Seconds]) -> list[list[int]]:
    """Every clip a batch of its own, in order."""
    return [[row] for row in range(len(durations))]


def nothing() -> None:
    """What most recognizers need to close."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recognizer:
    """A loaded system.

    Attributes:
        prepare: clips to what `decode` takes; not timed, so that reading audio counts for no system.
        decode: timed; one result per clip.
        batches: from the clips' seconds to groups of row numbers, the same on every start.
        facts: what is worth telling beside the score: revision, device, settings as they came out.
        longest: seconds that it can hear at once; None where there is no limit.
        warm: whether a first clip is decoded before the clock starts.
        memory: bytes that the system takes elsewhere than in this process, such as a GPU's; by name.
        close: called at the end.
    """

    prepare: Callable[[Sequence[Clip]], Any]
    decode: Callable[[Any], list[Said]]
    batches: Callable[[Sequence[Seconds]], list[list[int]]] = one_by_one
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    longest: Seconds | None = None
    warm: bool = True
    memory: Callable[[], dict[str, int]] = dict
    close: Callable[[], None] = nothing


def wav_bytes(waveform: Waveform) -> bytes:
    """A mono WAV file of 16 bits at 16 kHz, which every program and server reads.

    Args:
        waveform: float32, shape (samples,), 16 kHz.
    """
    samples = np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(SAMPLING_RATE)
        written.writeframes(samples.tobytes())
    return file.getvalue()


def write_wav(path: Path, clip: Clip) -> Path:
    """Write a clip as `wav_bytes`; give the path back."""
    path.write_bytes(wav_bytes(clip.waveform()))
    return path


def peak_memory(process: int) -> int | None:
    """The most bytes that a process has held at once, as the kernel noted it; None where it tells nothing (only Linux does) or it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
