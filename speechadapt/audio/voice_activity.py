"""Voice activity: where somebody speaks in a recording of any length, as Silero's small network hears it. Needs the extra `vad`."""

import dataclasses
import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechadapt.audio.storage import OVERHANG
from speechadapt.audio.waveform import Waveform, open_recording
from speechadapt.errors import AudioError, MissingExtraError
from speechadapt.units import SAMPLING_RATE, Seconds

FRAME = 512
"""Samples that the network judges at a time."""
PIECE_FRAMES = 9375
"""Five minutes; of a longer recording one piece at a time is in memory. A whole number of seconds, so that it is whole samples at any rate."""
CONTEXT = 64
"""Samples before a frame that the network hears with it."""
MOST_FRAMES = 512
"""Frames judged in one call of the network."""
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


@functools.cache
def shared_vad() -> Any:
    """One network for the whole process, which keeps nothing between calls and may be used by several threads; None where it is not installed."""
    try:
        return load_vad()
    except MissingExtraError:
        return None


def chosen_vad(wanted: bool | None) -> Any:
    """The process's network; None where it is not wanted (False), or is not installed and need not be (None).

    Raises:
        MissingExtraError: `wanted` is True, and it is not installed.
    """
    if wanted is False:
        return None
    network = shared_vad()
    return load_vad() if network is None and wanted else network  # which says what is missing


class VoiceActivity:
    """The network's judgement of one stream of sound that comes in chunks of any size; for one thread at a time."""

    def __init__(self, vad: Any) -> None:
        """Args:
        vad: from `load_vad`; several streams may share it.
        """
        self._session = vad.session
        self._hidden = np.zeros((1, 1, 128), np.float32)
        self._cell = np.zeros((1, 1, 128), np.float32)
        self._rest = np.zeros(CONTEXT, np.float32)  # the context of the next frame, and samples that do not fill it yet

    def hear(self, waveform: Waveform) -> NDArray[np.float32]:
        """Take the next samples (float32, shape (samples,), 16 kHz).

        Returns:
            float32, shape (frames,): the probability of speech in each frame of `FRAME` samples that is now complete.
        """
        sound = np.concatenate([self._rest, waveform])
        frames = (len(sound) - CONTEXT) // FRAME
        self._rest = sound[frames * FRAME :].copy()
        if not frames:
            return np.zeros(0, np.float32)
        # each frame with the end of the one before it
        windows = np.lib.stride_tricks.sliding_window_view(sound, CONTEXT + FRAME)[::FRAME][:frames]
        found = []
        for first in range(0, frames, MOST_FRAMES):
            block = np.ascontiguousarray(windows[first : first + MOST_FRAMES], dtype=np.float32)
            values, self._hidden, self._cell = self._session.run(["speech_probs", "hn", "cn"], {"input": block, "h": self._hidden, "c": self._cell})
            found.append(np.asarray(values, np.float32).reshape(-1))
        return np.concatenate(found)

    def finish(self) -> NDArray[np.float32]:
        """The stream has ended: judge the samples that are left, filled up with silence; none or one frame."""
        left = len(self._rest) - CONTEXT
        return self.hear(np.zeros(FRAME - left, np.float32)) if left else np.zeros(0, np.float32)


def find_speech(
    vad: Any, recording: Path | Waveform, *, threshold: float = 0.5, gap: Seconds = 0.5, longest: Seconds = 28.0
) -> tuple[SpeechSpan, ...]:
    """The stretches of a recording in which somebody speaks.

    Args:
        vad: from `load_vad`.
        recording: any format that `read_waveform` reads, channels are mixed; or its samples, float32, shape (samples,), 16 kHz.
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


def _listen(vad: Any, recording: Path | Waveform) -> tuple[NDArray[np.float32], int]:
    """The probability of speech of every frame, float32, and the samples of the recording at 16 kHz."""
    if isinstance(recording, np.ndarray):
        return np.asarray(vad.audio_forward(recording), np.float32), len(recording)
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
