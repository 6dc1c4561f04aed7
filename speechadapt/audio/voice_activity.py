"""Voice activity: where somebody speaks in a recording of any length, as Silero's small network hears it. Needs the extra `vad`."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechadapt.audio.storage import OVERHANG
from speechadapt.audio.waveform import open_recording
from speechadapt.errors import AudioError, MissingExtraError
from speechadapt.units import SAMPLING_RATE, Seconds

FRAME = 512
"""Samples that the network judges at a time."""
PIECE_FRAMES = 9375
"""Five minutes; of a longer recording one piece at a time is in memory. A whole number of seconds, so that it is whole samples at any rate."""
WARM_UP_FRAMES = 125
"""Four seconds before each piece, in which the network gets used to the voice; their judgement is not used."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SpeechSpan:
    """Somebody speaks from `start` to `end`, in seconds."""

    start: Seconds
    end: Seconds


def load_vad() -> Any:
    """Silero's network from the package `silero-vad`, for `find_speech`.

    Raises:
        MissingExtraError: the package or onnxruntime is not installed.
    """
    import torch  # the package sets the number of torch's threads to one for the whole process when it is imported

    threads = torch.get_num_threads()
    try:
        import onnxruntime  # noqa: F401 - the package imports it late, and with a message that names no extra of ours
        import silero_vad
    except ImportError as error:
        raise MissingExtraError("silero-vad, which finds speech in recordings without a transcript,", "vad") from error
    finally:
        torch.set_num_threads(threads)
    return silero_vad.load_silero_vad(sequence=True)


def find_speech(vad: Any, recording: Path, *, threshold: float = 0.5, gap: Seconds = 0.5, longest: Seconds = 28.0) -> tuple[SpeechSpan, ...]:
    """The stretches of a recording in which somebody speaks.

    Args:
        vad: from `load_vad`.
        recording: any format that `read_waveform` reads; channels are mixed.
        threshold: probability of speech, 0 to 1, above which a frame of 32 ms counts.
        gap: shorter pauses do not divide a stretch.
        longest: of a stretch, in seconds; it is divided at its longest pause.

    Returns:
        By start, none overlapping another, with a tenth of a second around the speech where there is room. None for silence.

    Raises:
        AudioError: not a recording, or one that cannot be decoded to its end.
    """
    import silero_vad

    probabilities, samples = _listen(vad, recording)
    # without it, a silence at the end that is shorter than the gap would count as speech
    silence = [0.0] * (math.ceil(gap * SAMPLING_RATE / FRAME) + 2)
    spans = silero_vad.get_speech_timestamps_from_probs(
        [*probabilities.tolist(), *silence],
        sampling_rate=SAMPLING_RATE,
        threshold=threshold,
        min_silence_duration_ms=round(1000 * gap),
        max_speech_duration_s=longest,
        speech_pad_ms=100,
        audio_length_samples=samples,
    )
    return tuple(SpeechSpan(start=round(span["start"] / SAMPLING_RATE, 3), end=round(span["end"] / SAMPLING_RATE, 3)) for span in spans)


def _listen(vad: Any, recording: Path) -> tuple[NDArray[np.float32], int]:
    """The probability of speech of every frame, float32, and the samples of the recording at 16 kHz."""
    seconds = FRAME / SAMPLING_RATE
    parts = []
    with open_recording(recording) as opened:
        duration = opened.info.duration
        for first in range(0, max(1, math.ceil(duration / seconds)), PIECE_FRAMES):
            begin = max(0, first - WARM_UP_FRAMES)
            wanted = min((first + PIECE_FRAMES) * seconds, duration) - begin * seconds
            waveform = opened.read_waveform(offset=begin * seconds, duration=wanted)
            if wanted - OVERHANG > len(waveform) / SAMPLING_RATE:
                end = begin * seconds + len(waveform) / SAMPLING_RATE
                raise AudioError("truncated", f"{recording}: decoding stops at {end:.2f} of {duration:.2f} s. Replace the file.")
            parts.append(vad.audio_forward(waveform)[first - begin :])
    return np.concatenate(parts), round(duration * SAMPLING_RATE)
