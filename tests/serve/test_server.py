"""The HTTP server through its doors: OpenAI's own client, plain HTTP, what goes wrong, and what it costs the others."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import io
import json
import random
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
import soundfile
from running_server import EXACT, PATH, Running, SlowLibrary, clip, form, request, running, until, wav, write_adapter

from speechadapt.errors import MisuseError
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.serve.library import AdapterLibrary
from speechadapt.serve.limits import Limits
from speechadapt.serve.service import Service
from speechadapt.transcriber import transcribe_long

if TYPE_CHECKING:
    from openai import OpenAI

openai = pytest.importorskip("openai", reason="OpenAI's client is not installed")

NAMES = (None, "north", "south", "west")


@pytest.fixture
def client(server: Running) -> Iterator[OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0, timeout=60) as one:
        yield one


def expected(library: Any, audio: bytes, adapter: str | None = None, **options: Any) -> Any:
    """What the library says of a file, without any server."""
    settings = dataclasses.replace(EXACT, **{name: options.pop(name) for name in ("prompt", "temperature", "language") if name in options})
    return transcribe_long(
        lambda waveforms, wanted: library.decode(waveforms, [adapter] * len(waveforms), wanted),
        audio, settings=settings, longest=30.0, padded_to=30.0, vad=False, **options,
    )  # fmt: skip


# What OpenAI's client gets


def test_the_client_gets_each_models_own_text(client: OpenAI, library: Any) -> None:
    audio = wav(clip(1))
    texts = [client.audio.transcriptions.create(file=("a.wav", audio), model=name or "base").text for name in NAMES]
    assert texts == [expected(library, audio, name).text for name in NAMES]
    assert len(set(texts)) == 4
    assert all(texts)


def test_the_base_goes_by_two_names(client: OpenAI, server: Running) -> None:
    audio = wav(clip(1))
    create = client.audio.transcriptions.create
    assert create(file=("a.wav", audio), model=server.service.base_id).text == create(file=("a.wav", audio), model="base").text
    assert server.service.base_id == "english"  # the folder's name, not where it lies


def test_verbose_json_has_times_and_certainty(client: OpenAI, library: Any) -> None:
    audio = wav(clip(2, 2.0))
    told = client.audio.transcriptions.create(file=("a.wav", audio), model="north", response_format="verbose_json")
    reference = expected(library, audio, "north", timestamps="segment")
    assert (told.text, told.duration, told.language) == (reference.text, 2.0, "english")
    assert told.words is None
    assert [(one.id, one.text, one.start, one.end) for one in told.segments or ()] == [
        (number, one.text, one.start, one.end) for number, one in enumerate(reference.segments)
    ]
    segment = (told.segments or [])[0]
    assert segment.avg_logprob == pytest.approx(reference.segments[0].avg_logprob, abs=1e-5)
    assert 0 <= segment.no_speech_prob <= 1
    assert segment.compression_ratio > 0


def test_words_only_where_they_are_asked_for(client: OpenAI, library: Any) -> None:
    audio = wav(clip(2, 2.0))
    create = client.audio.transcriptions.create
    told = create(file=("a.wav", audio), model="north", response_format="verbose_json", timestamp_granularities=["word"])
    reference = expected(library, audio, "north", timestamps="word")
    assert [(one.word, one.start, one.end) for one in told.words or ()] == [(one.text, one.start, one.end) for one in reference.words]
    assert told.words
    assert told.segments is None
    both = create(file=("a.wav", audio), model="north", response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert both.words == told.words
    assert both.segments


def test_text_and_subtitles(client: OpenAI, library: Any) -> None:
    audio = wav(clip(2, 2.0))
    reference = expected(library, audio, "north", timestamps="word")
    create = client.audio.transcriptions.create
    assert create(file=("a.wav", audio), model="north", response_format="text") == reference.text + "\n"
    srt: Any = create(file=("a.wav", audio), model="north", response_format="srt")
    vtt: Any = create(file=("a.wav", audio), model="north", response_format="vtt")
    assert srt.startswith("1\n00:00:0")
    assert vtt.startswith("WEBVTT\n\n00:00:0")
    assert " ".join(line for line in srt.split("\n") if line and "-->" not in line and not line.isdigit()) == " ".join(reference.text.split())


def test_prompt_and_temperature_reach_the_model(client: OpenAI, library: Any) -> None:
    audio = wav(clip(3))
    create = client.audio.transcriptions.create
    assert (
        create(file=("a.wav", audio), model="south", prompt="Names: Siobhan").text == expected(library, audio, "south", prompt="Names: Siobhan").text
    )
    assert create(file=("a.wav", audio), model="south", temperature=0.8).text == expected(library, audio, "south", temperature=0.8).text


def test_unknown_parameters_are_ignored(server: Running) -> None:
    plain, odd = server.post(wav(clip(1))), server.post(wav(clip(1)), stream="false", chunking_strategy="auto", whatever="x")
    assert (odd.status, odd.json) == (200, plain.json)


def test_a_streamed_answer_is_events(client: OpenAI, library: Any) -> None:
    sound = wav(np.concatenate([np.concatenate([clip(seed, 12.0), np.zeros(8000, np.float32)]) for seed in range(4)]))
    create = client.audio.transcriptions.create
    events: Any = list(create(file=("a.wav", sound), model="north", stream=True))
    whole = expected(library, sound, "north").text
    assert [one.type for one in events[:-1]] == ["transcript.text.delta"] * (len(events) - 1)
    assert len(events) >= 3
    assert "".join(one.delta for one in events[:-1]) == whole
    assert (events[-1].type, events[-1].text) == ("transcript.text.done", whole)
    with pytest.raises(openai.BadRequestError, match="stream sends text alone, verbose_json holds more than that"):
        create(file=("a.wav", sound), model="north", stream=True, response_format="verbose_json")


def test_models_are_listed_and_looked_up(client: OpenAI, server: Running) -> None:
    assert [one.id for one in client.models.list()] == ["english", "north", "south", "west"]
    one = client.models.retrieve("south")
    assert (one.id, one.object, one.owned_by) == ("south", "model", "speechadapt")
    assert one.model_extra == {"parent": "english"}
    assert client.models.retrieve("base").id == "english"
    with pytest.raises(openai.NotFoundError, match=r'there is no model "east". There is: base, english, north, south, west.'):
        client.models.retrieve("east")


def test_a_long_recording_comes_back_whole(server: Running, library: Any) -> None:
    sound = np.concatenate([np.concatenate([clip(seed, 4.0), np.zeros(8000, np.float32)]) for seed in range(9)])
    got = server.post(wav(sound), model="west", response_format="verbose_json")
    reference = expected(library, wav(sound), "west", timestamps="segment")
    assert got.json["text"] == reference.text
    assert got.json["duration"] == 40.5
    assert [one["end"] for one in got.json["segments"]] == [one.end for one in reference.segments]


@pytest.mark.parametrize(
    ("rate", "channels", "kind"), [(192_000, 1, "WAV"), (16_000, 8, "WAV"), (44_100, 2, "FLAC"), (48_000, 1, "OGG"), (8_000, 1, "MP3")]
)
def test_any_rate_channels_and_format(server: Running, rate: int, channels: int, kind: str) -> None:
    sound = np.repeat(clip(1, 1.0)[:, None], channels, axis=1)
    sound = np.repeat(sound, max(1, rate // 16_000), axis=0)
    out = io.BytesIO()
    soundfile.write(out, sound, rate, format=kind)
    got = server.post(out.getvalue(), response_format="verbose_json", name="a.bin")
    assert got.status == 200
    assert got.json["duration"] == pytest.approx(len(sound) / rate, abs=0.1)


def test_one_sample_is_a_recording(server: Running) -> None:
    got = server.post(wav(np.zeros(1, np.float32)), response_format="verbose_json")
    assert (got.status, got.json["duration"]) == (200, 1 / 16_000)


# Nothing lost, nothing mixed up


def test_two_hundred_requests_with_random_adapters(library: Any, plain: Any) -> None:
    draw = random.Random(0)
    clips = [wav(clip(seed)) for seed in range(10)]
    reads = [soundfile.read(io.BytesIO(one), dtype="float32")[0] for one in clips]
    short = dataclasses.replace(EXACT, window="short")
    texts = {(n, name): plain.decode([sound], [name], short if name else EXACT)[0].text for n, sound in enumerate(reads) for name in NAMES}
    assert len(set(texts.values())) > 30  # so different that a mix-up is seen
    wanted = [(draw.randrange(len(clips)), draw.choice(NAMES)) for _ in range(200)]
    with running(library, settings=short) as server, concurrent.futures.ThreadPoolExecutor(16) as pool:

        def ask(one: tuple[int, str | None]) -> str:
            got = server.post(clips[one[0]], model=one[1] or "base")
            assert got.status == 200, got.body
            return str(got.json["text"])

        assert list(pool.map(ask, wanted)) == [texts[one] for one in wanted]
        assert metric(server, "speechadapt_batch_pieces_sum") == 200
        assert metric(server, "speechadapt_batch_pieces_count") < 150  # they were decoded together


def metric(server: Running, name: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in server.get("/metrics").body.decode().splitlines() if line.startswith(name))


def test_metrics_tell_what_happened(library: Any) -> None:
    with running(library) as server:
        server.post(wav(clip(1)), model="north")
        server.post(b"noise")
        server.get("/v1/models/etc/passwd")
        server.get("/wp-login.php")
        page = server.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=")
    lines = page.body.decode().splitlines()
    for line in (
        'speechadapt_requests_total{code="200",endpoint="/v1/audio/transcriptions"} 1.0',
        'speechadapt_requests_total{code="400",endpoint="/v1/audio/transcriptions"} 1.0',
        'speechadapt_requests_total{code="404",endpoint="/v1/models"} 1.0',
        'speechadapt_requests_total{code="404",endpoint="other"} 1.0',
        'speechadapt_audio_seconds_total{model="north"} 1.0',
        "speechadapt_batch_pieces_count 1.0",
        "speechadapt_queue_pieces 0.0",
        "speechadapt_requests_in_progress 0.0",
        "speechadapt_adapters_loaded 3.0",
    ):
        assert line in lines


# What goes wrong


@pytest.mark.parametrize(
    ("audio", "code", "told"),
    [
        (b"this is no sound" * 100, "not_audio", "not a recording that can be read"),
        (b"", "empty", "zero bytes"),
        (b"\x80\x04\x95pickle", "not_audio", "not a recording that can be read"),
        (wav(clip(1))[:20_000], "truncated", "its header promises 0.4 s more than were sent. Send the whole file again."),
        (wav(np.array([0.1, np.nan] * 800, np.float32), subtype="FLOAT"), "not_finite", "NaN or infinite"),
        (wav(np.zeros(0, np.float32)), "empty", "no samples in it"),
    ],
)
def test_what_is_no_recording_is_refused(server: Running, audio: bytes, code: str, told: str) -> None:
    got = server.post(audio)
    assert (got.status, got.error["code"], got.error["param"], got.error["type"]) == (400, code, "file", "invalid_request_error")
    assert told in got.error["message"]
    assert "/tmp" not in got.error["message"]
    assert "SpooledTemporaryFile" not in got.error["message"]


@pytest.mark.parametrize(
    ("fields", "status", "param", "told"),
    [
        ({"model": "east"}, 404, "model", 'there is no model "east"'),
        ({"model": "../../etc/passwd"}, 404, "model", "there is no model"),
        ({"model": None}, 400, "model", "the field model is missing"),
        ({"response_format": "xml"}, 400, "response_format", 'response_format is "xml", must be one of json, verbose_json, text, srt, vtt'),
        ({"temperature": "hot"}, 400, "temperature", 'temperature is "hot", must be a number from 0 to 1'),
        ({"temperature": "nan"}, 400, "temperature", "must be a number from 0 to 1"),
        ({"temperature": "1.5"}, 400, "temperature", "must be a number from 0 to 1"),
        ({"timestamp_granularities[]": "letter"}, 400, "timestamp_granularities", 'timestamp_granularities is "letter", must be of word, segment'),
        ({"language": "de"}, 400, None, "knows only English"),
        ({"prompt": "x" * 70_000}, 400, None, "Part exceeded maximum size of 64KB"),
        ({f"field{number}": "x" for number in range(80)}, 400, None, "Too many fields"),
    ],
)
def test_fields_that_cannot_mean_anything(server: Running, fields: dict[str, Any], status: int, param: str | None, told: str) -> None:
    got = server.post(wav(clip(1)), **fields)
    assert (got.status, got.error["param"]) == (status, param)
    assert told in got.error["message"]
    assert str(Path.home()) not in got.error["message"]


def test_a_form_without_a_file_or_no_form_at_all(server: Running) -> None:
    assert server.post(None).error["message"].startswith("the form has no field file with a recording in it")
    assert server.post(None, file="text").error["message"].startswith("the field file is text, not a file")
    cut = form(wav(clip(1)), model="base")
    got = request(server.port, "POST", PATH, body=cut[0][:-2000], headers={"Content-Type": cut[1]})
    assert (got.status, got.error["code"]) == (400, "missing_file")
    got = request(server.port, "POST", PATH, body=b"{}", headers={"Content-Type": "application/json"})
    assert (got.status, got.error["code"]) == (400, "invalid_form")
    got = request(server.port, "POST", PATH, body=b"--x\r\nbroken", headers={"Content-Type": "multipart/form-data"})
    assert (got.status, got.error["code"]) == (400, "invalid_form")
    got = request(server.port, "POST", PATH, body=b"no boundary in here", headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert (got.status, got.error["code"]) == (400, "invalid_form")


def test_other_paths_and_methods_answer_as_json(server: Running) -> None:
    assert (server.get("/v2").status, server.get("/v2").error["message"]) == (404, "there is no such endpoint.")
    assert (server.get(PATH).status, server.get(PATH).error["message"]) == (405, "this endpoint has no such method.")
    for path in ("/docs", "/openapi.json", "/../../etc/passwd", "/page.js/../../server.py", "/%2e%2e/server.py"):
        assert server.get(path).status == 404


def test_every_answer_has_the_security_headers(server: Running) -> None:
    for got in (server.get("/"), server.get("/healthz"), server.get("/nothing"), server.post(b"noise")):
        assert got.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in got.headers["content-security-policy"]
        assert "server" not in got.headers
        assert "access-control-allow-origin" not in got.headers


def test_a_failure_inside_tells_nothing_of_it(library: Any, caplog: pytest.LogCaptureFixture) -> None:
    slow = SlowLibrary(library)
    slow.broken = {"north"}
    with running(slow) as server:
        got = server.post(wav(clip(1)), model="north")
        assert (got.status, got.error["type"], got.error["code"]) == (500, "server_error", "internal_error")
        assert b"secret" not in got.body
        assert b"Traceback" not in got.body
        assert server.post(wav(clip(1)), model="south").status == 200
    assert "/secret/place: broken" in caplog.text


def test_one_broken_adapter_does_not_harm_its_batch(library: Any) -> None:
    slow = SlowLibrary(library, 0.1)
    slow.broken = {"north"}
    audio = wav(clip(1))
    with running(slow, wait=0.3) as server, concurrent.futures.ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda name: server.post(audio, model=name), ["south", "north", "west", "base", "south", "north"]))
    assert [one.status for one in got] == [200, 500, 200, 200, 200, 500]
    assert got[0].json["text"] == expected(library, audio, "south").text
    assert max(map(len, slow.batches)) > 1


# Limits


def test_a_token_is_asked_for(library: Any) -> None:
    with running(library, token="right") as server:
        assert server.get("/healthz").status == 200
        assert server.get("/").status == 200
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "right"},
            {"Authorization": "Basic right"},
            {"Authorization": "Bearer "},
        ):
            for got in (server.get("/v1/models", **headers), server.post(wav(clip(1)), headers=headers)):
                assert (got.status, got.error["code"], got.headers["www-authenticate"]) == (401, "invalid_api_key", "Bearer")
        assert server.post(wav(clip(1)), headers={"Authorization": "Bearer right"}).status == 200
        assert server.get("/v1/models", Authorization="bearer right").status == 200
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0) as client, pytest.raises(openai.AuthenticationError):
            client.models.list()


def test_uploads_are_limited_with_and_without_a_length(library: Any) -> None:
    audio = wav(clip(1, 5.0))
    with running(library, limits=Limits(max_upload=100_000)) as server:
        got = server.post(audio)
        assert (got.status, got.error["message"]) == (
            413, "the upload is larger than 100000 bytes, the most this server takes. Send a shorter or a compressed file.",
        )  # fmt: skip
        body, kind = form(audio, model="base")
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[at : at + 8000]), body[at : at + 8000]) for at in range(0, len(body), 8000))
        assert raw(server, head + chunks + b"0\r\n\r\n").startswith(b"HTTP/1.1 413")
        huge = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {10**13}\r\n\r\n".encode()
        assert raw(server, huge).startswith(b"HTTP/1.1 413")  # before a byte of it was sent
        lying = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 100\r\nConnection: close\r\n\r\n".encode()
        assert raw(server, lying + body).startswith(b"HTTP/1.1 400")  # only the 100 bytes are the form
        assert server.post(wav(clip(1))).status == 200


def raw(server: Running, data: bytes, wait: float = 20.0) -> bytes:
    """Send bytes and read one answer, or nothing where the connection is closed without one."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait) as connection:
        connection.sendall(data)
        got = b""
        while piece := connection.recv(4096):
            got += piece
            head, _, body = got.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            if body and (length is None or len(body) >= int(length[1])):
                break
        return got


def test_durations_are_limited_by_the_header_and_by_the_sound(library: Any) -> None:
    with running(library, limits=Limits(max_duration=3.0)) as server:
        assert server.post(wav(clip(1, 2.9))).status == 200
        got = server.post(wav(clip(1, 3.2)))
        assert (got.status, got.error["code"]) == (413, "audio_too_long")
        out = io.BytesIO()
        soundfile.write(out, np.zeros(16_000 * 600, np.float32), 16_000, format="FLAC")  # ten minutes in a few kilobytes
        assert len(out.getvalue()) < 200_000
        assert server.post(out.getvalue()).status == 413
        stream = bytearray(out.getvalue())
        stream[21:26] = bytes([stream[21] & 0xF0, 0, 0, 0, 0])  # a FLAC that does not tell its length, as a pipe writes it
        assert server.post(bytes(stream)).status in (400, 413)
        short = bytearray(wav(clip(1, 4.0)))
        short[40:44] = struct.pack("<I", 32_000)  # a header that tells less than there is: only that is heard
        assert server.post(bytes(short), response_format="verbose_json").json["duration"] == 1.0


def test_ten_hours_are_refused_at_once(server: Running) -> None:
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", 8000, 1, format="FLAC") as file:
        for _ in range(36):
            file.write(np.zeros(8_000 * 1000, np.int16))
    started = time.monotonic()
    got = server.post(out.getvalue())
    assert (got.status, got.error["code"]) == (413, "audio_too_long")
    assert time.monotonic() - started < 10


def test_too_many_at_once_are_told_to_come_back(library: Any) -> None:
    slow = SlowLibrary(library, 0.6)
    with running(slow, limits=Limits(max_concurrent=2), most=1) as server, concurrent.futures.ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: server.post(wav(clip(1))), range(8)))
        refused = [one for one in got if one.status == 429]
        assert sorted({one.status for one in got}) == [200, 429]
        assert len(refused) == 6
        assert {one.headers["retry-after"] for one in refused} == {"1"}
        assert refused[0].error["type"] == "rate_limit_error"
        assert server.post(wav(clip(1))).status == 200


def test_the_client_tries_again_until_there_is_room(library: Any) -> None:
    slow = SlowLibrary(library, 0.3)
    audio = wav(clip(1))
    with (
        running(slow, limits=Limits(max_concurrent=2), most=2) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=8) as client,
        concurrent.futures.ThreadPoolExecutor(4) as pool,
    ):
        texts = set(pool.map(lambda _: client.audio.transcriptions.create(file=("a.wav", audio), model="north").text, range(6)))
    assert texts == {expected(library, audio, "north").text}


def test_a_full_queue_is_an_overload(library: Any) -> None:
    slow = SlowLibrary(library, 0.7)
    with running(slow, limits=Limits(queue=2), most=1) as server, concurrent.futures.ThreadPoolExecutor(4) as pool:
        first = [pool.submit(server.post, wav(clip(1)))]
        assert slow.entered.wait(5)
        first += [pool.submit(server.post, wav(clip(1))) for _ in range(2)]
        until(lambda: server.service.batcher.waiting == 2)
        got = server.post(wav(clip(1)))
        assert (got.status, got.headers["retry-after"], got.error["code"]) == (503, "1", "overloaded")
        assert [one.result().status for one in first] == [200, 200, 200]


def test_a_request_has_its_time(library: Any) -> None:
    slow = SlowLibrary(library, 4.0)
    with running(slow, limits=Limits(timeout=0.5), most=1) as server:
        started = time.monotonic()
        got = server.post(wav(clip(1)))
        assert (got.status, got.error["code"]) == (504, "timeout")
        assert time.monotonic() - started < 3.5  # and not only when the model is done
        until(lambda: server.service.room.requests == 0)


def test_a_body_that_never_ends_is_given_up(library: Any) -> None:
    body, kind = form(wav(clip(1)), model="base")
    with running(library, limits=Limits(upload_timeout=0.5, header_timeout=0.5)) as server:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        answer = raw(server, head + body[:1000])
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"upload_timeout" in answer
        assert raw(server, b"POST / HTTP/1.1\r\nHost") == b""  # a header that never ends: closed without an answer
        assert raw(server, b"") == b""
        assert server.post(wav(clip(1))).status == 200


def test_bodies_that_trickle_do_not_keep_their_places(library: Any) -> None:
    body, kind = form(wav(clip(1)), model="base")
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with running(library, limits=Limits(max_concurrent=2, header_timeout=0.5)) as server:
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
        for one in slow:
            one.sendall(head)
        until(lambda: server.service.room.requests == 2)
        started = time.monotonic()
        for place in range(100):
            if not server.service.room.requests:
                break
            with contextlib.suppress(OSError):
                for one in slow:
                    one.sendall(body[place : place + 1])
            time.sleep(0.1)
        assert time.monotonic() - started < 5  # long before the two minutes that a body may take
        for one in slow:
            with one:
                assert one.recv(12) == b"HTTP/1.1 408"
        assert server.post(wav(clip(1))).status == 200


def test_a_header_without_end_is_refused(server: Running) -> None:
    assert raw(server, b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 70_000).startswith(b"HTTP/1.1 400")


def test_clients_that_go_away_take_nothing_from_the_others(library: Any) -> None:
    slow = SlowLibrary(library, 0.3)
    audio = wav(clip(1))
    body, kind = form(audio, model="north")
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with running(slow, most=1) as server, concurrent.futures.ThreadPoolExecutor(4) as pool:
        busy = pool.submit(server.post, audio)
        assert slow.entered.wait(5)
        gone = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(6)]
        for connection in gone:
            connection.sendall(head + body)
        until(lambda: server.service.batcher.waiting >= 6)
        others = [pool.submit(server.post, audio, model="south") for _ in range(2)]
        for connection in gone:
            connection.close()
        half = socket.create_connection(("127.0.0.1", server.port))  # and one that leaves in the middle of its upload
        half.sendall(head + body[:5000])
        half.close()
        assert busy.result().status == 200
        assert [one.result().json["text"] for one in others] == [expected(library, audio, "south").text] * 2
        until(lambda: server.service.room.requests == 0)
        assert sum("north" in one for one in slow.batches) <= 1  # what nobody waits for is not decoded
        until(lambda: metric(server, "speechadapt_clients_gone_total") == 7)


# Origins


def test_pages_of_other_origins_are_refused(library: Any) -> None:
    with running(library, cors=["https://app.example"]) as server:
        own = {"Origin": server.url}
        assert server.post(wav(clip(1)), headers=own).status == 200
        got = server.post(wav(clip(1)), headers={"Origin": "https://evil.example"})
        assert (got.status, got.error["code"]) == (403, "origin")
        got = server.post(wav(clip(1)), headers={"Origin": "https://app.example"})
        assert (got.status, got.headers["access-control-allow-origin"]) == (200, "https://app.example")
        asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        assert request(server.port, "OPTIONS", PATH, headers=asked).status == 200
        asked["Access-Control-Request-Headers"] = "authorization,x-stainless-lang"  # OpenAI's client for browsers sends its own
        assert request(server.port, "OPTIONS", PATH, headers=asked).status == 200
        asked["Origin"] = "https://evil.example"
        assert "access-control-allow-origin" not in request(server.port, "OPTIONS", PATH, headers=asked).headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "[::1"])
def test_a_name_that_was_led_here_is_refused(server: Running, host: str) -> None:
    """A page of evil.example, a name that suddenly means 127.0.0.1, is of this server's own origin to a browser."""
    got = server.post(wav(clip(1)), headers={"Host": host, "Origin": f"http://{host}"})
    assert (got.status, got.error["code"]) == (403, "host")
    assert server.get("/v1/models", Host=host).status == 403


def test_names_of_this_machine_and_names_it_was_told(library: Any) -> None:
    audio = wav(clip(1))
    with running(library, cors=["https://app.example:8443"]) as server:
        for host in (f"localhost:{server.port}", "127.0.0.1", "[::1]:8000", "192.168.1.2", "me.localhost", "studio", "app.example:8443"):
            assert server.post(audio, headers={"Host": host, "Origin": f"http://{host}"}).status == 200, host
    with running(library, token="right") as server:  # behind a proxy that passes its own name on, a token guards it
        found = server.post(audio, headers={"Host": "speech.example", "Origin": "https://speech.example", "Authorization": "Bearer right"})
        assert found.status == 200


# The end


def test_stopping_lets_what_runs_finish(library: Any) -> None:
    slow = SlowLibrary(library, 1.0)
    with running(slow) as server, concurrent.futures.ThreadPoolExecutor(1) as pool:
        running_one = pool.submit(server.post, wav(clip(1)))
        assert slow.entered.wait(5)
        server.listener.should_exit = True
        until(lambda: server.service.stopping)
        until(lambda: not reachable(server))
        assert running_one.result().status == 200
        server.thread.join(5)
        assert not server.thread.is_alive()


def reachable(server: Running) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
    except OSError:
        return False
    return True


def test_stopping_has_a_limit(library: Any, caplog: pytest.LogCaptureFixture) -> None:
    slow = SlowLibrary(library, 8.0)
    with running(slow, limits=Limits(stop_timeout=1.0)) as server, concurrent.futures.ThreadPoolExecutor(1) as pool:
        running_one = pool.submit(server.post, wav(clip(1)))
        assert slow.entered.wait(5)
        started = time.monotonic()
        server.listener.should_exit = True
        got = running_one.result()
        assert (got.status, got.error["code"], got.headers["retry-after"]) == (503, "stopping", "5")
        assert time.monotonic() - started < 6
    assert "Traceback" not in caplog.text


def test_an_adapter_may_not_bear_the_bases_name(whisper_folder: Callable[[str], Path], adapters: dict[str, Path]) -> None:
    library = AdapterLibrary(str(whisper_folder("english")), device="cpu")
    library.add("english", adapters["north"])
    with pytest.raises(MisuseError, match='an adapter is named "english", which is the name of the base model'):
        Service(library)


# CTC


def test_a_ctc_model_is_served_too(ctc_folder: Callable[[str], Path], tmp_path: Path) -> None:
    base = str(ctc_folder("wav2vec2-layer"))
    library = AdapterLibrary(base, device="cpu")
    library.add("north", write_adapter(base, tmp_path / "north", 1))
    audio = wav(clip(1, 2.0))
    with running(library) as server:
        got = server.post(audio, model="north", response_format="verbose_json", language="en", prompt="Names", temperature="0.2")
        assert got.status == 200
        assert got.headers["speechadapt-ignored"] == "language, prompt, temperature"
        assert got.json["text"] == library.decode([soundfile.read(io.BytesIO(audio), dtype="float32")[0]], ["north"], EXACT)[0].text
        assert server.post(audio, model="north").json["text"] != server.post(audio).json["text"]
        assert server.post(audio, model="north", response_format="srt").body.startswith(b"1\n00:00:0")
    with pytest.raises(MisuseError, match='window is "short"'):
        Service(library, settings=DecodeSettings(window="short"))


# Crowds


@pytest.mark.slow
def test_a_thousand_connections_leave_room_for_others(library: Any) -> None:
    """Idle connections, and as many that ask at once: every answer is a clean one, the others are served, memory stays."""
    resource = pytest.importorskip("resource", reason="only where open files are limited so")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip(f"this machine lets a process open {hard} files; client and server need 2,000")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    audio = wav(clip(1))
    body, kind = form(audio, model="north")
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    process = psutil.Process()
    with running(library, limits=Limits(header_timeout=60.0, upload_timeout=60.0)) as server:
        text = server.post(audio, model="north").json["text"]
        sizes = []
        for _ in range(3):
            idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(1000)]
            assert server.post(audio, model="north").json["text"] == text  # served beside a thousand that say nothing
            for one in idle:
                one.sendall(head + body)
            answers = [read_all(one) for one in idle]
            codes = [int(one[9:12]) for one in answers]
            assert set(codes) <= {200, 429, 503}
            assert codes.count(200) >= 1
            assert all(json.loads(one.partition(b"\r\n\r\n")[2])["text"] == text for one, code in zip(answers, codes, strict=True) if code == 200)
            assert server.post(audio, model="north").status == 200
            sizes.append(process.memory_info().rss)
        assert server.service.room.requests == 0
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert sizes[2] - sizes[1] < 30 << 20


def read_all(connection: socket.socket) -> bytes:
    connection.settimeout(120)
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))
