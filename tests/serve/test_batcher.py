"""Dynamic batching: what is decoded together, in which order, and what happens to what nobody waits for any more."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from speechadapt.models.speech_model import Decoded, DecodeSettings
from speechadapt.serve import batching
from speechadapt.serve.batching import Batcher, GoneError, Ticket
from speechadapt.serve.limits import RequestError

SHORT, FULL = DecodeSettings(window="short"), DecodeSettings()


class Ear:
    """Says how long each clip is; holds each batch until it is let go, and keeps what came in it."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[float, str | None]]] = []
        self.go = threading.Semaphore(0)
        self.broken = "nobody"

    def decode(self, waveforms: Sequence[Any], adapters: Sequence[str | None], settings: DecodeSettings) -> list[Decoded]:
        self.batches.append([(len(one) / 16_000, name) for one, name in zip(waveforms, adapters, strict=True)])
        assert self.go.acquire(timeout=10)
        if self.broken in adapters:
            raise ValueError(f"{self.broken} is broken")
        return [Decoded(text=f"{name} {len(one)}", avg_logprob=0.0) for one, name in zip(waveforms, adapters, strict=True)]


class Desk:
    """Requests on threads of their own."""

    def __init__(self, **options: Any) -> None:
        self.ear = Ear()
        self.batcher = Batcher(self.ear.decode, **{"padded_to": 30.0, "wait": 0.0, **options})
        self.pool = ThreadPoolExecutor(32)

    def ask(self, *seconds: float, adapter: str | None = "a", settings: DecodeSettings = SHORT, ticket: Ticket | None = None) -> "Future[list[str]]":
        """Queue the clips of one request; they are in the queue, or being decoded, when this returns."""
        before = self.batcher.waiting + sum(map(len, self.ear.batches))
        clips = [np.zeros(round(one * 16_000), np.float32) for one in seconds]

        def work() -> list[str]:
            return [one.text for one in self.batcher.decode(clips, adapter=adapter, settings=settings, ticket=ticket or Ticket())]

        future = self.pool.submit(work)
        self.until(lambda: self.batcher.waiting + sum(map(len, self.ear.batches)) >= before + len(seconds))
        return future

    def until(self, true: Any) -> None:
        end = time.monotonic() + 10
        while not true():
            assert time.monotonic() < end
            time.sleep(0.002)

    def busy(self) -> None:
        """Something is being decoded, so that what comes now waits."""
        self.ask(29.0)
        self.until(lambda: len(self.ear.batches) == 1)

    def finish(self) -> list[list[tuple[float, str | None]]]:
        """Let everything through; the batches after the first."""
        self.ear.go.release(1000)
        self.until(lambda: self.batcher.waiting == 0)
        return self.ear.batches[1:]


@pytest.fixture
def desk() -> Iterator[Desk]:
    one = Desk()
    yield one
    one.ear.go.release(1000)
    one.batcher.close()
    one.pool.shutdown()


def test_what_waits_is_decoded_together_and_given_to_whom_it_belongs(desk: Desk) -> None:
    desk.busy()
    futures = [desk.ask(1 + n / 10, adapter=name) for n, name in enumerate(["a", "b", None, "a"])]
    assert desk.finish() == [[(1.0, "a"), (1.1, "b"), (1.2, None), (1.3, "a")]]
    assert [one.result() for one in futures] == [["a 16000"], ["b 17600"], ["None 19200"], ["a 20800"]]


def test_short_clips_are_not_padded_to_long_ones(desk: Desk) -> None:
    desk.busy()
    for seconds in (1.0, 20.0, 1.5, 18.0, 1.2):
        desk.ask(seconds)
    assert desk.finish() == [[(1.0, "a"), (1.5, "a"), (1.2, "a")], [(20.0, "a"), (18.0, "a")]]


def test_in_the_full_window_length_does_not_matter(desk: Desk) -> None:
    desk.busy()
    for seconds in (1.0, 20.0, 1.5):
        desk.ask(seconds, settings=FULL)
    assert desk.finish() == [[(1.0, "a"), (20.0, "a")], [(1.5, "a")]]  # sixty padded seconds, thirty each


def test_other_settings_are_another_batch(desk: Desk) -> None:
    desk.busy()
    desk.ask(1.0)
    desk.ask(1.0, adapter="prompted", settings=DecodeSettings(window="short", prompt="Names"))
    desk.ask(1.0)
    assert desk.finish() == [[(1.0, "a"), (1.0, "a")], [(1.0, "prompted")]]


def test_a_batch_has_its_limits() -> None:
    desk = Desk(batch_seconds=5.0, most=3)
    desk.busy()
    for _ in range(5):
        desk.ask(1.0)
    for _ in range(3):
        desk.ask(2.4, adapter="b")
    assert list(map(len, desk.finish())) == [3, 2, 2, 1]
    desk.batcher.close()


def test_a_long_recording_and_short_clips_take_turns(desk: Desk) -> None:
    desk.busy()
    long = desk.ask(*[28.0] * 6, adapter="long")
    for _ in range(3):
        desk.ask(1.0, adapter="short")
    batches = desk.finish()
    assert batches == [[(28.0, "long")] * 2, [(1.0, "short")] * 3, [(28.0, "long")] * 2, [(28.0, "long")] * 2]
    assert long.result() == ["long 448000"] * 6


def test_short_clips_that_keep_coming_do_not_starve_a_long_one(desk: Desk) -> None:
    desk.busy()
    desk.ask(1.0, adapter="short")
    desk.ask(28.0, adapter="long")
    for _ in range(20):
        desk.ask(1.0, adapter="short")
        desk.ear.go.release()
    batches = desk.finish()
    assert next(place for place, batch in enumerate(batches) if (28.0, "long") in batch) <= 1


def test_every_request_gets_in_before_anyone_gets_in_twice() -> None:
    desk = Desk(most=4)
    desk.busy()
    desk.ask(1.0, 1.0, 1.0, adapter="x")
    desk.ask(1.0, 1.0, adapter="y")
    desk.ask(1.0, adapter="z")
    assert [[name for _, name in batch] for batch in desk.finish()] == [["x", "y", "z", "x"], ["x", "y"]]
    desk.batcher.close()


def test_what_was_cancelled_is_not_decoded(desk: Desk) -> None:
    desk.busy()
    ticket = Ticket()
    gone = desk.ask(1.0, 1.0, adapter="gone", ticket=ticket)
    here = desk.ask(1.0)
    desk.batcher.cancel(ticket)
    assert isinstance(gone.exception(5), GoneError)
    assert desk.batcher.waiting == 1
    assert desk.finish() == [[(1.0, "a")]]
    assert here.result() == ["a 16000"]
    with pytest.raises(GoneError):
        desk.batcher.decode([np.zeros(16_000, np.float32)], adapter=None, settings=SHORT, ticket=ticket)


def test_an_error_reaches_only_its_own_request(desk: Desk) -> None:
    desk.ear.broken = "bad"
    desk.busy()
    bad, good = desk.ask(1.0, adapter="bad"), desk.ask(1.0, adapter="good")
    desk.finish()
    assert good.result() == ["good 16000"]
    assert str(bad.exception()) == "bad is broken"
    assert desk.ask(1.0, adapter="later").result() == ["later 16000"]  # the thread goes on


def test_the_rest_of_a_failed_request_is_dropped() -> None:
    desk = Desk(most=1)
    desk.ear.broken = "bad"
    bad = desk.ask(1.0, 1.0, 1.0, adapter="bad")
    desk.ear.go.release()
    assert str(bad.exception(5)) == "bad is broken"
    desk.ear.go.release(10)
    desk.until(lambda: desk.batcher.waiting == 0)
    assert len(desk.ear.batches) <= 2
    desk.batcher.close()


def test_a_full_queue_refuses() -> None:
    desk = Desk(queue=2)
    desk.busy()
    desk.batcher.must_have_room()
    desk.ask(1.0)
    desk.ask(1.0)
    with pytest.raises(RequestError, match="2 pieces of audio are waiting") as told:
        desk.batcher.must_have_room()
    assert (told.value.status, told.value.retry_after) == (503, 1)
    desk.finish()
    desk.batcher.close()


def test_closing_gives_up_what_waits(desk: Desk) -> None:
    desk.busy()
    waiting = desk.ask(1.0)
    threading.Timer(0.1, desk.ear.go.release).start()
    desk.batcher.close()
    assert isinstance(waiting.exception(5), GoneError)
    with pytest.raises(GoneError):
        desk.batcher.decode([np.zeros(16_000, np.float32)], adapter=None, settings=SHORT, ticket=Ticket())


def test_nothing_is_decoded_for_nothing(desk: Desk) -> None:
    assert desk.batcher.decode([], adapter=None, settings=SHORT, ticket=Ticket()) == []
    assert desk.ear.batches == []


def test_a_thousand_threads_get_their_own() -> None:
    def decode(waveforms: Sequence[Any], adapters: Sequence[str | None], settings: DecodeSettings) -> list[Decoded]:
        return [Decoded(text=f"{name} {one[0]:.0f}", avg_logprob=0.0) for one, name in zip(waveforms, adapters, strict=True)]

    sizes: list[int] = []
    batcher = Batcher(decode, padded_to=None, observe=lambda pieces, audio, seconds: sizes.append(pieces))

    def ask(number: int) -> bool:
        clip = np.full(16_000, number, np.float32)
        (told,) = batcher.decode([clip], adapter=str(number % 7), settings=SHORT, ticket=Ticket())
        return told.text == f"{number % 7} {number}"

    with ThreadPoolExecutor(64) as pool:
        assert all(pool.map(ask, range(3000)))
    batcher.close()
    assert sum(sizes) == 3000


DONE = threading.Event()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """After a batch, the next one would wait for a minute."""
    DONE.clear()
    monkeypatch.setattr(batching, "PATIENCE", 1e9)
    monkeypatch.setattr(batching, "LONGEST_WAIT", 60.0)
    return Desk(wait=60.0, observe=lambda *_: DONE.set())


def test_those_who_come_back_together_stay_together(patient: Desk) -> None:
    patient.busy()
    second = patient.ask(2.0)
    patient.ear.go.release()  # the first has its answer and asks again, while the second waits for it
    assert DONE.wait(10)
    third = patient.ask(2.0)
    patient.until(lambda: len(patient.ear.batches) == 2)
    assert patient.ear.batches[1] == [(2.0, "a"), (2.0, "a")]
    patient.ear.go.release()
    assert second.result(10) == third.result(10) == ["a 32000"]


def test_who_was_alone_waits_for_nobody(patient: Desk) -> None:
    for seconds in (1.0, 2.0, 3.0):
        patient.ear.go.release()
        assert patient.ask(seconds).result(10) == [f"a {round(16_000 * seconds)}"]
