"""Live transcription over a real WebSocket."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from running_server import EXACT, Running, SlowLibrary, clip, running, until

from speechadapt.serve.limits import Limits
from speechadapt.serve.streaming import StreamingTranscriber

connect = pytest.importorskip("websockets.sync.client", reason="websockets is not installed").connect
closed = pytest.importorskip("websockets.exceptions").ConnectionClosed

PAUSE = np.zeros(16_000, np.float32)
SOUND = np.concatenate([clip(1, 3.0), PAUSE, clip(2, 2.0), PAUSE])


def pcm(sound: Any) -> bytes:
    return np.round(sound * 32767).astype("<i2").tobytes()


def events(socket: Any) -> list[dict[str, Any]]:
    """Everything until the server closes."""
    found = []
    try:
        while True:
            found.append(json.loads(socket.recv(timeout=30)))
    except closed:
        return found


def listen(server: Running, start: dict[str, Any] | None, chunks: list[bytes], **options: Any) -> tuple[list[dict[str, Any]], int]:
    """Send a whole stream; all events, and the code the server closed with."""
    with connect(f"ws://127.0.0.1:{server.port}/v1/audio/stream", **options) as socket:
        try:
            if start is not None:
                socket.send(json.dumps({"type": "start", **start}))
            for chunk in chunks:
                socket.send(chunk)
            socket.send(json.dumps({"type": "end"}))
        except closed:
            pass
        found = events(socket)
        return found, socket.close_code


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.fixture(scope="module")
def server(library: Any) -> Iterator[Running]:
    with running(library) as one:
        yield one


def test_partial_and_final_texts_are_those_of_the_stream(server: Running, library: Any) -> None:
    heard = np.frombuffer(pcm(SOUND), "<i2")
    alone = StreamingTranscriber(library, adapter="north", settings=EXACT, vad=False)
    reference = [event for first in range(0, len(heard), 4000) for event in alone.feed(heard[first : first + 4000])] + alone.finish()
    found, code = listen(server, {"model": "north"}, cut(pcm(SOUND), 8000))
    assert found[0] == {"type": "ready", "model": "north", "sampling_rate": 16_000, "format": "pcm_s16le"}
    assert [(one["type"], one["text"], one["start"], one["end"]) for one in found[1:-1]] == [(e.kind, e.text, e.start, e.end) for e in reference]
    finals = [one["text"] for one in found if one["type"] == "final"]
    assert len(finals) == 2
    assert {one["type"] for one in found[1:-1]} == {"partial", "final"}
    assert found[-1] == {"type": "done", "text": " ".join(finals), "duration": 7.0}
    assert all(one["text"].startswith(one["stable"]) for one in found if one["type"] == "partial")
    assert code == 1000


def test_sound_alone_is_a_start_and_chunks_may_cut_samples(server: Running) -> None:
    plain, _ = listen(server, {}, [pcm(SOUND)])
    odd, _ = listen(server, None, cut(pcm(SOUND), 32_001))
    assert odd[0] == plain[0] == {"type": "ready", "model": "english", "sampling_rate": 16_000, "format": "pcm_s16le"}
    assert [one["end"] for one in odd if one["type"] == "final"] == [one["end"] for one in plain if one["type"] == "final"]
    assert odd[-1]["duration"] == plain[-1]["duration"] == 7.0


def test_float_samples_at_another_rate(server: Running) -> None:
    sound = np.repeat(SOUND, 3)
    found, _ = listen(server, {"sampling_rate": 48_000, "format": "pcm_f32le", "model": "south"}, cut(sound.astype("<f4").tobytes(), 96_000))
    assert found[-1]["type"] == "done"
    assert found[-1]["duration"] == 7.0
    assert found[-1]["text"]


def test_silence_gives_no_text(server: Running) -> None:
    found, code = listen(server, {}, cut(pcm(np.zeros(48_000, np.float32)), 8000))
    assert [one["type"] for one in found] == ["ready", "done"]
    assert found[-1]["text"] == ""
    assert code == 1000


@pytest.mark.parametrize(
    ("first", "code", "told"),
    [
        ("hello", "invalid_message", "a text message must be JSON"),
        ('{"type": "stop"}', "invalid_message", "a text message must be JSON"),
        ("[" * 100_000, "invalid_message", "a text message must be JSON"),
        ('{"type": "start", "model": "east"}', "model_not_found", 'there is no model "east"'),
        ('{"type": "start", "model": ["north"]}', "invalid_value", "model is list, must be text"),
        ('{"type": "start", "sampling_rate": 0}', "invalid_value", "sampling_rate must be a whole number from 8000 to 192000"),
        ('{"type": "start", "sampling_rate": true}', "invalid_value", "sampling_rate must be a whole number"),
        ('{"type": "start", "format": "mp3"}', "invalid_value", "format must be one of pcm_s16le, pcm_f32le"),
        ('{"type": "start", "language": "de"}', "invalid_value", "knows only English"),
    ],
)
def test_a_start_that_cannot_mean_anything(server: Running, first: str, code: str, told: str) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/v1/audio/stream") as socket:
        socket.send(first)
        (only,) = events(socket)
        assert (only["type"], only["error"]["code"]) == ("error", code)
        assert told in only["error"]["message"]
        assert socket.close_code == 1008


def test_what_comes_later_is_checked_too(server: Running) -> None:
    found, code = listen(server, {"format": "pcm_f32le"}, [np.array([np.nan] * 10, "<f4").tobytes()])
    assert (found[-1]["error"]["code"], code) == ("not_finite", 1008)
    with connect(f"ws://127.0.0.1:{server.port}/v1/audio/stream") as socket:
        socket.send('{"type": "start"}')
        socket.send('{"type": "start"}')
        assert events(socket)[-1]["error"]["code"] == "invalid_message"


def test_tokens_origins_and_limits(library: Any) -> None:
    limits = Limits(max_concurrent=1, max_duration=2.0, header_timeout=0.5)
    with running(library, token="right", limits=limits) as server:
        found, code = listen(server, {}, [pcm(PAUSE)])
        assert (found[0]["error"]["code"], code) == ("invalid_api_key", 1008)
        assert listen(server, {"token": "wrong"}, [pcm(PAUSE)])[0][0]["error"]["code"] == "invalid_api_key"
        assert listen(server, {"token": "right"}, [pcm(PAUSE)])[0][-1]["type"] == "done"
        header = {"additional_headers": {"Authorization": "Bearer right"}}
        assert listen(server, {}, [pcm(PAUSE)], **header)[0][-1]["type"] == "done"
        found, code = listen(server, {"token": "right"}, [pcm(PAUSE)] * 3)
        assert (found[-1]["error"]["code"], code) == ("audio_too_long", 1008)
        with connect(f"ws://127.0.0.1:{server.port}/v1/audio/stream") as silent:
            found, code = listen(server, {"token": "right"}, [])  # one stream at a time
            assert (found[0]["error"]["code"], code) == ("rate_limit_exceeded", 1013)
            assert events(silent)[-1]["error"]["code"] == "stream_timeout"  # and one that says nothing is not kept
        with pytest.raises(Exception, match="HTTP 403"):
            connect(f"ws://127.0.0.1:{server.port}/v1/audio/stream", origin="https://evil.example").__enter__()


def test_a_client_that_leaves_frees_its_place(library: Any) -> None:
    slow = SlowLibrary(library, 0.3)
    with running(slow, limits=Limits(max_concurrent=1)) as server:
        for _ in range(3):
            with connect(f"ws://127.0.0.1:{server.port}/v1/audio/stream") as socket:
                socket.send(pcm(SOUND))
                json.loads(socket.recv(timeout=10))
                socket.socket.shutdown(2)  # without a goodbye
            until(lambda: server.service.room.requests == 0)
        assert listen(server, {}, [pcm(PAUSE)])[0][-1]["type"] == "done"


def test_a_stream_that_trickles_is_ended(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speechadapt.serve.server.IDLE", 0.5)
    with running(library, limits=Limits(max_duration=0.5)) as server, connect(f"ws://127.0.0.1:{server.port}/v1/audio/stream") as socket:
        socket.send('{"type": "start"}')
        with contextlib.suppress(closed):
            for _ in range(40):
                socket.send(b"")
                time.sleep(0.1)
        assert events(socket)[-1]["error"]["code"] == "stream_timeout"


def test_a_stream_gets_its_text_when_the_server_stops(library: Any) -> None:
    with running(library) as server:
        whole, _ = listen(server, {"model": "north"}, [pcm(SOUND)])
    with running(library) as server, connect(f"ws://127.0.0.1:{server.port}/v1/audio/stream") as socket:
        socket.send('{"type": "start", "model": "north"}')
        socket.send(pcm(SOUND))
        found = [json.loads(socket.recv(timeout=10)) for _ in range(2)]
        server.listener.should_exit = True
        found += events(socket)
        assert found[-1] == whole[-1]
        assert found[-1]["type"] == "done"
        assert socket.close_code == 1012
        server.thread.join(10)
        assert not server.thread.is_alive()


def test_stopping_does_not_wait_for_a_stream_that_has_not_begun(library: Any) -> None:
    with running(library) as server, connect(f"ws://127.0.0.1:{server.port}/v1/audio/stream") as socket:
        until(lambda: server.service.room.requests == 1)
        server.listener.should_exit = True
        assert events(socket)[-1]["error"]["code"] == "stopping"
        assert socket.close_code == 1013


def test_several_streams_keep_apart(server: Running) -> None:
    def one(name: str) -> str:
        return str(listen(server, {"model": name}, [pcm(SOUND)])[0][-1]["text"])

    names = ["north", "south", "west", "base"]
    alone = [one(name) for name in names]
    assert len(set(alone)) == 4
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, names * 2)) == alone * 2
