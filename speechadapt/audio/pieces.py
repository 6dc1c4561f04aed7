"""Pieces: a recording or stream of any length, cut where nobody speaks into what a model can hear at once.

With Silero's network the silences are known, and left out; without it the sound is cut at its quietest places, and all of it kept.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from speechadapt.audio.voice_activity import FRAME, VoiceActivity
from speechadapt.audio.waveform import Waveform
from speechadapt.units import SAMPLING_RATE, Seconds

THRESHOLD = 0.5
"""A frame whose probability of speech reaches this begins a stretch of speech ..."""
FALL = 0.15
"""... which lasts until it falls this much lower."""
APART: Seconds = 1.5
"""A longer silence is left out: what follows is another piece."""
PAUSE: Seconds = 0.3
"""A shorter silence does not divide a stretch of speech."""
PADDING: Seconds = 0.3
"""Kept around the speech of a piece, where there is room: the network is slow at soft beginnings and ends."""
LEAST_FRAMES = 3
"""Fewer frames of speech than these, a tenth of a second, are a click."""
SOFTEST_ROOM, LOUDEST_ROOM, ABOVE_ROOM = -60.0, -35.0, 12.0
"""Decibels: bounds of what `LoudActivity` takes for the sound of the room, and how much louder speech is."""
CUT_SEARCH: Seconds = 8.0
"""Without a pause, a piece is cut at the best place within this much before its limit."""
QUIET_SPAN: Seconds = 0.2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of sound to be decoded.

    Attributes:
        start: its first sample, counted at 16 kHz from the beginning of the recording.
        waveform: float32, shape (samples,), 16 kHz.
        spans: (start, end) samples of the recording within which somebody speaks; where that is not known, the whole piece.
    """

    start: int
    waveform: Waveform
    spans: tuple[tuple[int, int], ...]

    @property
    def end(self) -> int:
        """One behind its last sample."""
        return self.start + len(self.waveform)


class Cutter(Protocol):
    """Takes sound, gives pieces."""

    def feed(self, waveform: Waveform) -> list[Piece]:
        """Take the next samples (float32, shape (samples,), 16 kHz); the pieces that are complete now, in order."""

    def finish(self) -> list[Piece]:
        """The sound has ended: the pieces that are left."""


class Sound:
    """The samples of a stream that are still needed, and where they lie in it."""

    def __init__(self) -> None:
        self.origin = 0
        self.end = 0
        self._chunks: list[Waveform] = []

    def add(self, waveform: Waveform) -> None:
        """Append samples; they are not copied."""
        if len(waveform):
            self._chunks.append(waveform)
            self.end += len(waveform)

    def between(self, start: int, end: int) -> Waveform:
        """A copy of the samples from `start` to `end`, both counted from the beginning of the stream."""
        whole = self._whole()
        return whole[start - self.origin : end - self.origin].copy()

    def forget(self, start: int) -> None:
        """Nothing before this sample is needed any more."""
        while self._chunks and self.origin + len(self._chunks[0]) <= start:
            self.origin += len(self._chunks.pop(0))
        if self._chunks and start - self.origin >= SAMPLING_RATE:  # a second is not worth a copy
            self._chunks[0] = self._chunks[0][start - self.origin :].copy()
            self.origin = start

    def _whole(self) -> Waveform:
        if len(self._chunks) != 1:
            self._chunks = [np.concatenate([np.zeros(0, np.float32), *self._chunks])]
        return self._chunks[0]


class LoudActivity:
    """A stand-in for `VoiceActivity` where Silero's network is not installed: speech is what is much louder than the quietest sound of late."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self._room = LOUDEST_ROOM

    def hear(self, waveform: Waveform) -> NDArray[np.float32]:
        """See `VoiceActivity.hear`; each frame is 1 or 0."""
        sound = np.concatenate([self._rest, waveform])
        frames = len(sound) // FRAME
        self._rest = sound[frames * FRAME :].copy()
        found = np.zeros(frames, np.float32)
        for place, power in enumerate(np.square(sound[: frames * FRAME].reshape(frames, FRAME)).mean(axis=1).tolist()):
            level = 10 * math.log10(power + 1e-12)
            # the room is the quietest of late: it falls at once, and rises by two decibels a second
            self._room = max(min(level, self._room + 2.0 * FRAME / SAMPLING_RATE, LOUDEST_ROOM), SOFTEST_ROOM)
            found[place] = level > self._room + ABOVE_ROOM
        return found

    def finish(self) -> NDArray[np.float32]:
        """See `VoiceActivity.finish`."""
        return self.hear(np.zeros(FRAME - len(self._rest), np.float32)) if len(self._rest) else np.zeros(0, np.float32)


class SpeechCutter:
    """Pieces of speech, cut in the silences between.

    A piece ends where nobody spoke for `apart` seconds. One that reaches `limit` is cut at its longest pause in the second half, else at its
    longest pause, and, where the speaker never draws breath, at the frame that is least like speech near its end.
    """

    def __init__(self, vad: Any, *, limit: Seconds, apart: Seconds = APART) -> None:
        """Args:
        vad: from `load_vad`; None, where it is not installed: what is louder than the room counts as speech.
        limit: the longest piece, in seconds, its padding included.
        apart: a silence that ends a piece.
        """
        self.sound = Sound()
        self._activity = LoudActivity() if vad is None else VoiceActivity(vad)
        self._padding = round(PADDING * SAMPLING_RATE)
        self._most = max(2, (round(limit * SAMPLING_RATE) - 2 * self._padding) // FRAME)
        self._apart = max(1, math.ceil(apart * SAMPLING_RATE / FRAME))
        self._judged = 0  # frames
        self._probabilities: list[float] = []  # of the open piece's frames
        self._first = 0  # its first frame
        self._last = 0  # its last frame in which somebody spoke
        self._speaking = False
        self._floor = 0  # the first sample that no piece has taken

    @property
    def open(self) -> Piece | None:
        """The piece that somebody is speaking now, up to the last sample heard; None in silence and before a tenth of a second of speech."""
        if not self._is_speech(self._probabilities):
            return None
        start = max(self._floor, self._first * FRAME - self._padding)
        return Piece(start=start, waveform=self.sound.between(start, self.sound.end), spans=self._spans(self._probabilities, self._first))

    def feed(self, waveform: Waveform) -> list[Piece]:
        """See `Cutter.feed`."""
        self.sound.add(waveform)
        pieces = self._judge(self._activity.hear(waveform))
        begin = self._first if self._probabilities else self._judged
        self.sound.forget(max(self._floor, begin * FRAME - self._padding))
        return pieces

    def finish(self) -> list[Piece]:
        """See `Cutter.finish`."""
        pieces = self._judge(self._activity.finish())
        if self._probabilities:
            pieces += self._close(self._last + 1 - self._first, None)
        return pieces

    def _judge(self, probabilities: NDArray[np.float32]) -> list[Piece]:
        pieces: list[Piece] = []
        for probability in probabilities.tolist():
            frame = self._judged
            self._judged += 1
            if probability >= THRESHOLD:
                self._speaking = True
            elif probability < THRESHOLD - FALL:
                self._speaking = False
            if not self._probabilities:
                if not self._speaking:
                    continue
                self._first = frame
            self._probabilities.append(probability)
            if self._speaking:
                self._last = frame
            if frame - self._last >= self._apart:
                pieces += self._close(self._last + 1 - self._first, None)
            elif len(self._probabilities) >= self._most:
                pieces += self._split()
        return pieces

    def _split(self) -> list[Piece]:
        """The open piece is as long as may be."""
        pauses = _pauses(self._probabilities)
        late = [pause for pause in pauses if pause[0] >= len(self._probabilities) // 2]
        if late or pauses:
            start, end = max(late or pauses, key=lambda pause: (pause[1] - pause[0], pause[0]))
            return self._close(start, end)
        search = min(len(self._probabilities) // 2, round(CUT_SEARCH * SAMPLING_RATE / FRAME))
        place = len(self._probabilities) - search + int(np.argmin(self._probabilities[-search:]))
        return self._close(place, place)

    def _close(self, length: int, rest: int | None) -> list[Piece]:
        """End the open piece after `length` of its frames; the frames from `rest` on begin the next one."""
        said, first = self._probabilities[:length], self._first
        following = [] if rest is None else self._probabilities[rest:]
        if rest is not None and not any(_active(following)):
            following = []
        end = (first + length) * FRAME
        start = max(self._floor, first * FRAME - self._padding)
        # a pause between two pieces is shared; what was fed but not judged yet would depend on the chunks
        room = self._judged * FRAME if not following or rest is None else (end + (first + rest) * FRAME) // 2
        stop = min(end + self._padding, room, self.sound.end)
        self._probabilities = following
        if following and rest is not None:
            self._first = first + rest
        if not self._is_speech(said):
            return []
        piece = Piece(start=start, waveform=self.sound.between(start, stop), spans=self._spans(said, first))
        self._floor = stop
        return [piece]

    def _spans(self, probabilities: Sequence[float], first: int) -> tuple[tuple[int, int], ...]:
        least = math.ceil(PAUSE * SAMPLING_RATE / FRAME)
        spans, begin = [], 0
        active = _active(probabilities)
        last = max((place for place, one in enumerate(active) if one), default=len(active) - 1)
        for start, end in _pauses(probabilities):
            if end - start >= least:
                spans.append((begin, start))
                begin = end
        spans.append((begin, last + 1))
        return tuple(((first + start) * FRAME, min((first + end) * FRAME, self.sound.end)) for start, end in spans)

    @staticmethod
    def _is_speech(probabilities: Sequence[float]) -> bool:
        return sum(probability >= THRESHOLD for probability in probabilities) >= LEAST_FRAMES


class QuietCutter:
    """All of a recording, cut at its quietest places, where nothing is known of speech."""

    def __init__(self, limit: Seconds) -> None:
        """Args:
        limit: the longest piece, in seconds.
        """
        self.sound = Sound()
        self._limit = limit

    def feed(self, waveform: Waveform) -> list[Piece]:
        """See `Cutter.feed`."""
        self.sound.add(waveform)
        if self.sound.end - self.sound.origin <= round(self._limit * SAMPLING_RATE):
            return []
        pieces = self._pieces()[:-1]  # the last one may grow yet
        rest = self.sound.between(pieces[-1].end, self.sound.end)
        end = self.sound.end
        self.sound = Sound()
        self.sound.origin = self.sound.end = end - len(rest)
        self.sound.add(rest)
        return pieces

    def finish(self) -> list[Piece]:
        """See `Cutter.finish`."""
        return self._pieces() if self.sound.end > self.sound.origin else []

    def _pieces(self) -> list[Piece]:
        origin = self.sound.origin
        whole = self.sound.between(origin, self.sound.end)
        return [
            Piece(start=origin + start, waveform=whole[start:end], spans=((origin + start, origin + end),))
            for start, end in cut_at_quiet(whole, self._limit)
        ]


def whole_piece(vad: Any, waveform: Waveform) -> Piece | None:
    """A recording that a model can hear at once as one piece, which knows where the speech in it lies; None where nobody speaks.

    Args:
        vad: from `load_vad`; None where it is not installed: then everything counts as speech.
        waveform: float32, shape (samples,), 16 kHz.
    """
    if vad is None:
        return Piece(start=0, waveform=waveform, spans=((0, len(waveform)),))
    cutter = SpeechCutter(vad, limit=len(waveform) / SAMPLING_RATE + 60)
    spans = [span for piece in [*cutter.feed(waveform), *cutter.finish()] for span in piece.spans]
    return Piece(start=0, waveform=waveform, spans=tuple(spans)) if spans else None


def cut_pieces(cutter: Cutter, blocks: Iterable[Waveform]) -> Iterator[Piece]:
    """The pieces of a recording that comes block by block (float32, 16 kHz), each as soon as it is complete."""
    for block in blocks:
        yield from cutter.feed(block)
    yield from cutter.finish()


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


def _active(probabilities: Sequence[float]) -> list[bool]:
    """Whether somebody speaks in each frame, with hysteresis."""
    found, speaking = [], False
    for probability in probabilities:
        speaking = probability >= THRESHOLD or (speaking and probability >= THRESHOLD - FALL)
        found.append(speaking)
    return found


def _pauses(probabilities: Sequence[float]) -> list[tuple[int, int]]:
    """(first, last + 1) frame of each silence with speech on both sides, and of the one at the end, if any."""
    pauses, start = [], None
    for place, speaking in enumerate(_active(probabilities)):
        if speaking and start is not None:
            if start > 0:
                pauses.append((start, place))
            start = None
        elif not speaking and start is None:
            start = place
    if start is not None and start > 0:
        pauses.append((start, len(probabilities)))
    return pauses
