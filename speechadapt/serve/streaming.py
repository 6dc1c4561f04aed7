"""Streaming: sound goes in chunk by chunk, text comes out while somebody speaks, and what was called stable is never taken back."""

import dataclasses
import threading
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from speechadapt.audio.pieces import Piece, SpeechCutter
from speechadapt.audio.voice_activity import chosen_vad
from speechadapt.audio.waveform import Waveform
from speechadapt.errors import AudioError, MisuseError
from speechadapt.models.speech_model import Decoded, DecodeSettings, SpeechModel, Word
from speechadapt.transcriber import RATES, Decode, Transcriber, check_scale, check_settings, is_invented, segments_of
from speechadapt.units import SAMPLING_RATE, Hertz, Seconds

STEP: Seconds = 1.0
PAUSE: Seconds = 0.7
LIMIT: Seconds = 20.0
BLOCK: Seconds = 0.02
"""Sound is worked on in blocks of this length whatever chunks it comes in, so that the chunks leave no trace in the text."""
MARGIN: Seconds = 2.0
"""A piece stays this much below the model's window."""


class Library(Protocol):
    """What is asked of an `AdapterLibrary`: one model, and adapters by name."""

    @property
    def model(self) -> SpeechModel:
        """The base model."""

    def decode(self, waveforms: Sequence[Waveform], adapters: Sequence[str | None], settings: DecodeSettings | None = None) -> list[Decoded]:
        """Each waveform with the adapter of that name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """Something to show.

    Attributes:
        kind: `partial` while somebody speaks, `final` when a stretch of speech is over.
        segment: the number of the stretch, from 0; the events of one have the same.
        start, end: seconds from the stream's start: where the stretch begins, and how far it was heard.
        stable: text that will not change any more: every later event of the stretch begins with it. All of the text of a final event.
        unstable: the rest as it looks now; empty in a final event.
        words: of a final event, with their times from the stream's start, where the settings ask for them: as the last hearing wrote them.
        avg_logprob: mean natural-log probability per token of the last hearing.
        language: it was decoded as; None where the family does not tell.
    """

    kind: str
    segment: int
    start: Seconds
    end: Seconds
    stable: str
    unstable: str = ""
    words: tuple[Word, ...] = ()
    avg_logprob: float = 0.0
    language: str | None = None

    @property
    def text(self) -> str:
        """Stable and unstable text together."""
        return f"{self.stable} {self.unstable}".strip()

    def to_json(self) -> dict[str, Any]:
        """A JSON object, with `text`."""
        return dataclasses.asdict(self) | {"text": self.text}


class StreamingTranscriber:
    """One stream of sound, such as a microphone's. Several may share a model; one stream's calls wait for each other.

    While somebody speaks, the stretch since the last pause is decoded again at every step; the words on which two hearings in a row agree
    are stable (LocalAgreement-2; Liu et al. 2020, Macháček et al. 2023). A pause, or `limit` seconds, ends the stretch: it is decoded a last
    time, and that text is final. Memory is bounded by `limit`, however long the stream runs.
    """

    def __init__(
        self,
        transcriber: Transcriber | Library,
        *,
        adapter: str | None = None,
        sampling_rate: Hertz = SAMPLING_RATE,
        settings: DecodeSettings | None = None,
        step: Seconds = STEP,
        pause: Seconds = PAUSE,
        limit: Seconds = LIMIT,
        live: bool = True,
        vad: bool | None = None,
    ) -> None:
        """Args:
            transcriber: a `Transcriber`, or an `AdapterLibrary`.
            adapter: of a library: the name of the adapter to be used; None is the base.
            sampling_rate: of the samples, in Hz.
            settings: None takes the transcriber's.
            step: seconds of new sound after which a partial text is made.
            pause: seconds of silence that end a stretch.
            limit: the longest stretch, in seconds.
            live: where more than a step's sound is fed at once, only its end is worth a partial text, so that a stream never falls behind; the
                words of a final text may then depend on the chunks, where partial texts disagreed. False makes every partial text that is due:
                the events are then the same for any chunks.
            vad: whether Silero's network finds the speech; None: where the extra `vad` is installed, else loudness does.

        Raises:
            MisuseError: a sampling rate, step, pause or limit that cannot be meant, an adapter asked of a `Transcriber`, or settings that the
                model has no use for.
            MissingExtraError: `vad` is True, and its extra is not installed.
        """
        low, high = RATES
        if not low <= sampling_rate <= high:
            raise MisuseError(f"sampling_rate is {sampling_rate}, must be {low} to {high} Hz. Give the rate of the samples.")
        self._model = transcriber.model
        most = self._model.longest - MARGIN
        for name, value, least, greatest in (("step", step, 0.1, most), ("pause", pause, 0.1, most), ("limit", limit, 2.0, most)):
            if not least <= value <= greatest:
                raise MisuseError(f"{name} is {value}, must be {least} to {greatest:g} seconds. Correct it.")
        self._settings = settings or (transcriber.settings if isinstance(transcriber, Transcriber) else DecodeSettings())
        check_settings(self._model, self._settings)
        self._decode = _decoder(transcriber, adapter)
        network = chosen_vad(vad)
        self._cutter = SpeechCutter(network, limit=limit, apart=pause)
        self._rate, self._step, self._live = sampling_rate, round(step * SAMPLING_RATE), live
        self._stream = None if sampling_rate == SAMPLING_RATE else soxr.ResampleStream(sampling_rate, SAMPLING_RATE, 1, dtype="float32", quality="HQ")
        self._block = max(1, round(BLOCK * sampling_rate))
        self._rest = np.zeros(0, np.float32)
        self._lock = threading.Lock()
        self._finished = False
        self._segment = 0
        self._begin_stretch()

    @property
    def seconds(self) -> Seconds:
        """Sound heard so far."""
        return self._cutter.sound.end / SAMPLING_RATE

    def feed(self, samples: NDArray[Any]) -> list[StreamEvent]:
        """Take the next samples (float in [-1, 1] or int16, shape (samples,), any number of them); the events that they lead to, often none.

        Raises:
            AudioError: samples of another shape or type, not finite, or far beyond [-1, 1]; the stream goes on as if they had not come.
            MisuseError: the stream was finished.
        """
        sound = _floats(samples)
        with self._lock:
            if self._finished:
                raise MisuseError("the stream was finished, so it takes no more samples. Open a new one.")
            return self._take(np.concatenate([self._rest, sound]))

    def finish(self) -> list[StreamEvent]:
        """No more samples come: the final text of what is left. Calling it again gives nothing."""
        with self._lock:
            if self._finished:
                return []
            self._finished = True
            last = self._rest if self._stream is None else self._stream.resample_chunk(self._rest, last=True)
            pieces = [*self._cutter.feed(np.clip(last, -1.0, 1.0)), *self._cutter.finish()]
            return [event for piece in pieces for event in self._final(piece)]

    def _take(self, sound: Waveform) -> list[StreamEvent]:
        whole = len(sound) // self._block * self._block
        self._rest = sound[whole:].copy()
        events: list[StreamEvent] = []
        for first in range(0, whole, self._block):
            block = sound[first : first + self._block]
            if self._stream is not None:
                block = self._stream.resample_chunk(block)
            for piece in self._cutter.feed(np.clip(block, -1.0, 1.0)):
                events += self._final(piece)
            if not self._live:
                events += self._partial()
        return events + self._partial() if self._live else events

    def _begin_stretch(self) -> None:
        self._stable: list[str] = []
        self._before: list[str] | None = None  # the words of the last hearing
        self._shown = False
        self._heard = 0

    def _partial(self) -> list[StreamEvent]:
        if self._cutter.sound.end - self._heard < self._step:
            return []
        piece = self._cutter.open
        if piece is None or piece.end - piece.start < self._step:
            return []
        self._heard = piece.end
        (result,) = self._decode([piece.waveform], dataclasses.replace(self._settings, words=False))
        words = [] if is_invented(result) else result.text.split()
        rest = words[continuation(self._stable, words) :]
        if self._before is not None:
            earlier = self._before[continuation(self._stable, self._before) :]
            agreed = 0
            while agreed < min(len(rest), len(earlier)) and rest[agreed] == earlier[agreed]:
                agreed += 1
            self._stable += rest[:agreed]
            rest = rest[agreed:]
        self._before = words
        self._shown = True
        return [self._event("partial", piece, result, " ".join(rest))]

    def _final(self, piece: Piece) -> list[StreamEvent]:
        (result,) = self._decode([piece.waveform], self._settings)
        words = [] if is_invented(result) else result.text.split()
        self._stable += words[continuation(self._stable, words) :]
        events = [self._event("final", piece, result, "")] if self._stable or self._shown else []
        self._segment += len(events)
        self._begin_stretch()
        self._heard = piece.end
        return events

    def _event(self, kind: str, piece: Piece, result: Decoded, unstable: str) -> StreamEvent:
        segments = segments_of(piece, result, None, keep_words=True) if kind == "final" and self._settings.words else []
        return StreamEvent(
            kind=kind, segment=self._segment, start=piece.spans[0][0] / SAMPLING_RATE,
            end=(piece.spans[-1][1] if kind == "final" else piece.end) / SAMPLING_RATE, stable=" ".join(self._stable), unstable=unstable,
            words=tuple(word for segment in segments for word in segment.words), avg_logprob=result.avg_logprob, language=result.language,
        )  # fmt: skip


def continuation(stable: Sequence[str], words: Sequence[str]) -> int:
    """How many of the words of a hearing are what is stable already, even if it wrote some of them otherwise.

    Args:
        stable: words that were called stable.
        words: of a later hearing of the same stretch.

    Returns:
        The length of the beginning of `words` that is nearest to `stable` in edits, letters' case and punctuation apart; of equals, one that
        ends in the same word, and then the one whose length is nearest.
    """
    if list(words[: len(stable)]) == list(stable):
        return len(stable)
    said, heard = [_bare(word) for word in stable], [_bare(word) for word in words]

    def unlike(length: int) -> tuple[int, bool, int]:
        ends_alike = bool(length) and bool(said) and heard[length - 1] == said[-1]
        return Levenshtein.distance(said, heard[:length]), not ends_alike, abs(length - len(said))

    return min(range(len(words) + 1), key=unlike)


def _bare(word: str) -> str:
    return "".join(sign for sign in word.casefold() if sign.isalnum()) or word


def _decoder(transcriber: Transcriber | Library, adapter: str | None) -> Decode:
    if isinstance(transcriber, Transcriber):
        if adapter is not None:
            raise MisuseError(f'adapter is "{adapter}", but a Transcriber has the one it was loaded with. Give an AdapterLibrary.')
        return transcriber.decode
    library = transcriber

    def decode(waveforms: Sequence[Waveform], settings: DecodeSettings) -> list[Decoded]:
        return library.decode(waveforms, [adapter] * len(waveforms), settings)

    return decode


def _floats(samples: NDArray[Any]) -> Waveform:
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise AudioError("not-audio", f"samples of shape {samples.shape}, must be (samples,). Give one mono channel.")
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(32768)
    if not np.issubdtype(samples.dtype, np.floating):
        raise AudioError("not-audio", f"samples of type {samples.dtype}, must be float in [-1, 1] or int16. Convert them.")
    bad = int(np.count_nonzero(~np.isfinite(samples)))
    if bad:
        raise AudioError("not-finite", f"{bad} of {samples.size} samples are NaN or infinite. Check where they come from.")
    check_scale(samples)
    return samples.astype(np.float32)
