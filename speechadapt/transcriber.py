"""Transcriber: a base model, perhaps with an adapter, that takes any audio and gives text. What a voice app imports."""

import contextlib
import dataclasses
import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechadapt.adapt.adapter import AdapterRef, load_adapter, merged, read_adapter
from speechadapt.audio.waveform import Waveform, read_waveform, resample
from speechadapt.errors import AudioError, MisuseError
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import Decoded, DecodeSettings, SpeechModel, Word
from speechadapt.units import SAMPLING_RATE, Hertz, Seconds

CUT_SEARCH: Seconds = 8.0
"""A long recording is cut at the quietest place within this much before the model's limit."""
QUIET_SPAN: Seconds = 0.2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of the recording: `start` and `end` in seconds, its text, and the mean natural-log probability per token.

    `words` holds its words with their times from the recording's start where they were asked for, else nothing.
    """

    start: Seconds
    end: Seconds
    text: str
    avg_logprob: float
    words: tuple[Word, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What was said.

    Attributes:
        text: of the whole recording.
        segments: stretches of at most the model's window, in order.
        duration: seconds of audio.
        avg_logprob: mean over the segments, weighted by their length.
        adapter: folder of the adapter used, or None.
    """

    text: str
    segments: tuple[Segment, ...]
    duration: Seconds
    avg_logprob: float
    adapter: str | None

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return dataclasses.asdict(self)


class Transcriber:
    """A recognizer for applications; loading takes seconds, so keep one. Safe to call from several threads, which take turns."""

    def __init__(
        self,
        base: str | None = None,
        adapter: Path | str | None = None,
        *,
        revision: str | None = None,
        language: str | None = None,
        task: str | None = None,
        device: str | None = None,
        settings: DecodeSettings | None = None,
    ) -> None:
        """Args:
            base: folder or Hub id; None takes the one the adapter was trained on.
            adapter: folder of an adapter made by speechadapt.
            revision: of the base on the Hub.
            language: None takes the adapter's, or detects it per segment (multilingual base models without an adapter).
            task: `transcribe` or `translate`; None takes the adapter's.
            device: None takes the best there is.
            settings: None is greedy search, in the 30 s window.

        Raises:
            MisuseError: neither base nor adapter, a language or device that does not exist, or settings that the model's family has no use for.
            ModelError, AdapterError: the base or the adapter cannot be used.
        """
        facts: AdapterRef | None = None if adapter is None else read_adapter(Path(adapter))
        if base is None and facts is None:
            raise MisuseError("neither a base model nor an adapter was given. Give at least one of them.")
        if facts is not None:
            base, language, task = base or facts.base_id, language or facts.language, task or facts.task
        self.model = load_model(str(base), revision=revision, language=language, task=task or "transcribe", device=device)
        self.adapter = None if facts is None else str(facts.folder)
        self.settings = settings or DecodeSettings()
        check_settings(self.model, self.settings)
        self._turn = threading.Lock()
        self._merge = contextlib.ExitStack()
        if facts is not None:
            load_adapter(self.model, facts.folder)
            self._merge.enter_context(merged(self.model))  # for good: this model only decodes

    def transcribe(
        self, source: "Path | str | bytes | io.IOBase | NDArray[Any]", *, sampling_rate: Hertz = SAMPLING_RATE, words: bool = False
    ) -> Transcript:
        """Transcribe one recording of any length.

        Args:
            source: a path, the bytes of a file, an open binary file, or samples (float in [-1, 1] or int16, shape (samples,), mono).
            sampling_rate: of `source` when it is samples, in Hz.
            words: tell when each word was said (CTC models).

        Returns:
            The text, with segments of at most the model's window.

        Raises:
            AudioError: not audio, empty, or samples that are not finite or of another shape.
            MisuseError: a sampling rate of 0 or less, or words asked of a model that cannot tell their times.
        """
        settings = dataclasses.replace(self.settings, words=True) if words else self.settings
        check_settings(self.model, settings)
        waveform = _samples(source, sampling_rate) if isinstance(source, np.ndarray) else read_waveform(source)
        pieces = cut_at_quiet(waveform, self.model.longest)
        segments: list[Segment] = []
        size = max(1, int(self.settings.batch_seconds // self.model.longest))
        with self._turn:
            for first in range(0, len(pieces), size):
                group = pieces[first : first + size]
                for (start, end), result in zip(group, self.model.decode([waveform[a:b] for a, b in group], settings), strict=True):
                    segments.append(_segment(start / SAMPLING_RATE, end / SAMPLING_RATE, result))
        duration = len(waveform) / SAMPLING_RATE
        return Transcript(
            text=" ".join(segment.text for segment in segments if segment.text),
            segments=tuple(segments),
            duration=duration,
            avg_logprob=sum(segment.avg_logprob * (segment.end - segment.start) for segment in segments) / duration,
            adapter=self.adapter,
        )


def check_settings(model: SpeechModel, settings: DecodeSettings) -> None:
    """Refuse what a family would pass over in silence.

    Raises:
        MisuseError: a window the family does not have, or word times or a language model asked of another family than CTC.
    """
    if settings.window not in model.windows:
        only = "hears each clip as long as it is and has only: full. Leave the window out." if model.windows == ("full",) else None
        told = only or f"has only: {', '.join(model.windows)}. Choose one of them."
        raise MisuseError(f'window is "{settings.window}", but {model.base.id} {told}')
    if model.family != "ctc":
        asked = [name for name, wanted in (("word times", settings.words), ("a language model", settings.lm is not None)) if wanted]
        if asked:
            raise MisuseError(f"{' and '.join(asked)} asked of {model.base.id}, which is no CTC model and has none. Use a CTC model or leave it out.")


def _segment(start: Seconds, end: Seconds, result: Decoded) -> Segment:
    """A decoded piece, its words moved to the recording's time."""
    words = tuple(dataclasses.replace(word, start=start + word.start, end=start + word.end) for word in result.words)
    return Segment(start=start, end=end, text=result.text, avg_logprob=result.avg_logprob, words=words)


def cut_at_quiet(waveform: Waveform, longest: Seconds) -> list[tuple[int, int]]:
    """Cut a recording into pieces of at most `longest` seconds, each at the quietest place near the limit.

    Args:
        waveform: float32, shape (samples,), 16 kHz.

    Returns:
        (first, last + 1) sample of each piece; together they cover the recording.
    """
    limit, search, span = round(longest * SAMPLING_RATE), round(CUT_SEARCH * SAMPLING_RATE), round(QUIET_SPAN * SAMPLING_RATE)
    pieces, start = [], 0
    while len(waveform) - start > limit:
        window = waveform[start + limit - search : start + limit]
        spans = len(window) // span
        power = np.square(window[: spans * span]).reshape(spans, span).sum(axis=1)
        cut = start + limit - search + int(power.argmin()) * span + span // 2
        pieces.append((start, cut))
        start = cut
    return [*pieces, (start, len(waveform))]


def _samples(given: NDArray[Any], sampling_rate: Hertz) -> Waveform:
    if not sampling_rate > 0:
        raise MisuseError(f"sampling_rate is {sampling_rate}, must be above 0. Give the rate of the samples in Hz.")
    if given.ndim != 1 or not given.size:
        raise AudioError("not-audio", f"samples of shape {given.shape}, must be (samples,) and not empty. Give one mono channel.")
    if given.dtype == np.int16:
        given = given.astype(np.float32) / 32768
    elif not np.issubdtype(given.dtype, np.floating):
        raise AudioError("not-audio", f"samples of type {given.dtype}, must be float in [-1, 1] or int16. Convert them.")
    if not np.isfinite(given).all():
        raise AudioError("not-finite", f"{int(np.count_nonzero(~np.isfinite(given)))} of {given.size} samples are NaN or infinite. Record again.")
    return resample(given.astype(np.float32), sampling_rate, SAMPLING_RATE)
