"""Dynamic batching: pieces of audio from many requests, and for many adapters, are decoded together by one thread.

Every request has its turn: the batch is built around the piece of the request that has waited longest, and filled with pieces of other
requests that are about as long, so that padding is small in the short window. A long recording comes piece by piece and never holds
the others up for longer than one batch; nor can short clips that keep coming hold it up, since its turn comes.
"""

import collections
import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from speechadapt.audio.waveform import Waveform
from speechadapt.models.speech_model import Decoded, DecodeSettings
from speechadapt.serve.limits import BUSY_SECONDS, RequestError
from speechadapt.units import SAMPLING_RATE, Seconds

Decode = Callable[[Sequence[Waveform], Sequence[str | None], DecodeSettings], list[Decoded]]
"""Waveforms, the adapter of each (None is the base), and settings for all, to what was said in each."""

WAIT: Seconds = 0.015
"""After a batch, how long nothing must have come before the next one begins without those who had company before."""
PATIENCE = 0.2
LONGEST_WAIT: Seconds = 0.1
"""After a batch, the next one waits for at most so much of the time that it took, and never longer than LONGEST_WAIT."""
LIKE = 2.0
"""The longest piece of a batch in the short window is at most so many times as long as its first, or ALIKE seconds longer."""
ALIKE: Seconds = 1.0


class GoneError(Exception):
    """The client went away, its time was up, or the server stops: the work of this request is not wanted any more."""


class Ticket:
    """One request's right to be worked on, until `cancel` takes it back."""

    def __init__(self) -> None:
        self._gone = threading.Event()

    def cancel(self) -> None:
        """Nothing more of this request is to be decoded."""
        self._gone.set()

    @property
    def cancelled(self) -> bool:
        """Whether it was taken back."""
        return self._gone.is_set()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """A piece of audio that waits: float32, shape (samples,), 16 kHz, its adapter and settings, and where its result is awaited."""

    waveform: Waveform
    adapter: str | None
    settings: DecodeSettings
    ticket: Ticket
    result: "Future[Decoded]"
    since: float

    @property
    def seconds(self) -> Seconds:
        """Length of the audio."""
        return len(self.waveform) / SAMPLING_RATE


class Batcher:
    """Collects pieces and decodes them in batches on a thread of its own. Safe to use from several threads; `close` it at the end."""

    def __init__(
        self,
        decode: Decode,
        *,
        batch_seconds: Seconds = 60.0,
        padded_to: Seconds | None = None,
        wait: Seconds = WAIT,
        most: int = 64,
        queue: int = 256,
        observe: Callable[[int, Seconds, Seconds], Any] | None = None,
    ) -> None:
        """Args:
        decode: decodes one batch, mixed in its adapters; called from one thread only.
        batch_seconds: padded seconds of audio decoded at once.
        padded_to: seconds that each clip is padded to in the full window; None where it is padded to the longest of its batch.
        wait: seconds without a new piece after which a batch no longer waits for those who were there before; 0 waits for nobody.
        most: pieces in one batch.
        queue: pieces waiting beyond which `must_have_room` refuses.
        observe: told of each batch: pieces, seconds of audio in it, seconds it took.
        """
        self._decode = decode
        self._batch_seconds, self._padded_to, self._wait, self._most, self._queue = batch_seconds, padded_to, wait, most, queue
        self._observe = observe
        self._waiting: collections.OrderedDict[Ticket, collections.deque[Piece]] = collections.OrderedDict()  # in order of turns
        self._changed = threading.Condition()
        self._closed = False
        self._free = self._patience = 0.0  # when the last batch was done, and how long the next one may wait after it
        self._crowd = 1  # pieces in the last batch and behind it
        self._thread = threading.Thread(target=self._work, name="speechadapt-batches", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Pieces that wait for the model."""
        with self._changed:
            return self._count()

    def must_have_room(self) -> None:
        """Refuse a new request while too many pieces wait.

        Raises:
            RequestError: 503.
        """
        waiting = self.waiting
        if waiting >= self._queue:
            raise RequestError(
                503, f"{waiting} pieces of audio are waiting, the most this server queues. Try again in a moment.", code="overloaded",
                retry_after=BUSY_SECONDS,
            )  # fmt: skip

    def decode(self, waveforms: Sequence[Waveform], *, adapter: str | None, settings: DecodeSettings, ticket: Ticket) -> list[Decoded]:
        """Queue the waveforms of one request (float32, shape (samples,), 16 kHz), wait, and return what was said in each, in order.

        Raises:
            GoneError: the ticket was cancelled, or the batcher closed.
            SpeechadaptError: whatever decoding this request's audio raised.
        """
        if not waveforms:
            return []
        pieces = self._submit(waveforms, adapter, settings, ticket)
        try:
            return [piece.result.result() for piece in pieces]
        finally:  # one that failed makes the others of the request pointless
            self._drop(pieces)

    def cancel(self, ticket: Ticket) -> None:
        """Take a request's pieces out of the queue; what is being decoded at this moment is finished, and forgotten."""
        ticket.cancel()
        with self._changed:
            for piece in self._waiting.pop(ticket, ()):
                _fail(piece, GoneError())

    def close(self, timeout: Seconds = 5.0) -> None:
        """Decode nothing more; what waits gets `GoneError`. Waits for the running batch, at most `timeout` seconds."""
        with self._changed:
            self._closed = True
            for pieces in self._waiting.values():
                for piece in pieces:
                    _fail(piece, GoneError())
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join(timeout)

    def _submit(self, waveforms: Sequence[Waveform], adapter: str | None, settings: DecodeSettings, ticket: Ticket) -> list[Piece]:
        now = time.monotonic()
        pieces = [Piece(waveform=waveform, adapter=adapter, settings=settings, ticket=ticket, result=Future(), since=now) for waveform in waveforms]
        with self._changed:
            if self._closed or ticket.cancelled:
                raise GoneError()
            self._waiting.setdefault(ticket, collections.deque()).extend(pieces)
            self._changed.notify_all()
        return pieces

    def _drop(self, pieces: Sequence[Piece]) -> None:
        left = {piece for piece in pieces if not piece.result.done()}
        if left:
            with self._changed:
                for ticket in {piece.ticket for piece in left} & set(self._waiting):
                    kept = collections.deque(piece for piece in self._waiting[ticket] if piece not in left)
                    if kept:
                        self._waiting[ticket] = kept
                    else:
                        del self._waiting[ticket]

    def _count(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            started = time.monotonic()
            self._run(batch)
            self._free = time.monotonic()
            took = self._free - started
            self._patience, self._crowd = min(PATIENCE * took, LONGEST_WAIT), len(batch) + self.waiting
            if self._observe is not None:
                self._observe(len(batch), sum(piece.seconds for piece in batch), took)

    def _next(self) -> list[Piece] | None:
        """The next batch; None when closed."""
        with self._changed:
            while True:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return None
                # clients that ask again and again get their answers together, and come back together: without some patience half of them
                # would be decoded while the other half is on its way, in turns
                newest = max(pieces[-1].since for pieces in self._waiting.values())
                left = min(self._free + self._patience, max(newest, self._free) + self._wait) - time.monotonic()
                if left > 0 and self._count() < min(self._crowd, self._most) and sum(map(self._padded, self._all())) < self._batch_seconds:
                    self._changed.wait(left)
                    continue
                return self._take()

    def _all(self) -> list[Piece]:
        return [piece for pieces in self._waiting.values() for piece in pieces]

    def _padded(self, piece: Piece) -> Seconds:
        return self._padded_to if self._padded_to is not None and piece.settings.window == "full" else piece.seconds

    def _take(self) -> list[Piece]:
        """Take a batch out of the queue: the first piece of the request whose turn it is, and what goes well with it in the order of turns."""
        first = next(iter(self._waiting.values()))[0]
        fixed = self._padded_to if self._padded_to is not None and first.settings.window == "full" else None
        batch, widest = [first], fixed or first.seconds
        # the first piece of every request, then the second of every one that has two
        for piece in itertools.chain.from_iterable(itertools.zip_longest(*self._waiting.values())):
            if len(batch) >= self._most:
                break
            if piece is None or piece is first or piece.settings != first.settings:
                continue
            wider = fixed or max(widest, piece.seconds)
            if wider * (len(batch) + 1) <= self._batch_seconds and (fixed or _alike(piece.seconds, first.seconds)):
                batch.append(piece)
                widest = wider
        self._remove(batch)
        return batch

    def _remove(self, batch: Sequence[Piece]) -> None:
        taken = set(batch)
        for ticket in dict.fromkeys(piece.ticket for piece in batch):
            left = collections.deque(piece for piece in self._waiting[ticket] if piece not in taken)
            if left:
                self._waiting[ticket] = left
                self._waiting.move_to_end(ticket)  # it had its turn
            else:
                del self._waiting[ticket]

    def _run(self, batch: Sequence[Piece]) -> None:
        try:
            results = self._decode([piece.waveform for piece in batch], [piece.adapter for piece in batch], batch[0].settings)
            for piece, result in zip(batch, results, strict=True):
                piece.result.set_result(result)
        except Exception as error:  # whatever it is, it belongs to the requests; this thread goes on for the others
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            for piece in batch:  # one adapter that cannot be loaded is not the others' fault
                if piece.ticket.cancelled:
                    _fail(piece, GoneError())
                elif not piece.result.done():
                    self._run([piece])


def _alike(one: Seconds, other: Seconds) -> bool:
    longer, shorter = max(one, other), min(one, other)
    return longer <= max(shorter * LIKE, shorter + ALIKE)


def _fail(piece: Piece, error: Exception) -> None:
    if not piece.result.done():
        piece.result.set_exception(error)
