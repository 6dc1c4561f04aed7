"""An endpoint of OpenAI's protocol: a real server on a real socket, and every way in which one goes wrong."""

from __future__ import annotations

import email.utils
import http.server
import io
import json
import threading
import time
import wave
from collections.abc import Callable, Iterator
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from speechadapt.bench import http_endpoint
from speechadapt.bench.http_endpoint import load
from speechadapt.bench.recognizer import Clip, ClipError, Said
from speechadapt.bench.systems import read_system
from speechadapt.data.manifest import Manifest
from speechadapt.errors import MisuseError

TOKEN = "secret-token-1234"
Answer = tuple[int, bytes, dict[str, str]]


class Server:
    """Answers from a list, then with a text; remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer | None] = []
        self.asked: list[dict[str, Any]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append({"path": self.path, "headers": dict(self.headers), **_parts(self.headers["Content-Type"], body)})
                answer = outer.answers.pop(0) if outer.answers else (200, b'{"text": " we call it bear "}', {})
                if answer is None:
                    return  # hang up without a word
                code, data, headers = answer
                self.send_response(code)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


def _parts(content_type: str, body: bytes) -> dict[str, Any]:
    message: Message = BytesParser().parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    parts = {}
    for part in message.walk():
        name = part.get_param("name", header="Content-Disposition")
        if isinstance(name, str):
            data = part.get_payload(decode=True)
            assert isinstance(data, bytes)
            parts[name] = data if name == "file" else data.decode()
    return {"form": parts}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def said(corpus: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Said]]:
    monkeypatch.setattr(http_endpoint, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("TEST_TOKEN", TOKEN)

    def run(rows: int = 1, url: str | None = None, **settings: object) -> list[Said]:
        system = read_system("x", {"kind": "http", "url": url or server.url, **settings}, folder=corpus, where=lambda _: "here")
        recognizer = load(system)
        manifest = Manifest.read(corpus / "test.jsonl")
        return recognizer.decode(recognizer.prepare([Clip(manifest=manifest, utterance=row) for row in manifest[:rows]]))

    return run


def test_what_is_asked_and_what_is_said(said: Callable[..., list[Said]], server: Server) -> None:
    (one,) = said(model="large", language="en", token_env="TEST_TOKEN", prompt="Names: Bär")
    assert one.text == "we call it bear"
    assert one.seconds is not None
    assert 0 < one.seconds < 10
    (asked,) = server.asked
    assert asked["path"] == "/v1/audio/transcriptions"
    assert asked["headers"]["Authorization"] == f"Bearer {TOKEN}"
    sound = asked["form"].pop("file")
    assert asked["form"] == {"model": "large", "response_format": "json", "language": "en", "prompt": "Names: Bär"}
    with wave.open(io.BytesIO(sound)) as clip:
        assert (clip.getframerate(), clip.getnchannels(), clip.getsampwidth(), clip.getnframes()) == (16_000, 1, 2, 3200)


@pytest.mark.parametrize("end", ["/", "/v1", "/v1/"])
def test_the_address_may_end_as_people_write_it(end: str, said: Callable[..., list[Said]], server: Server) -> None:
    said(url=server.url + end)
    assert server.asked[0]["path"] == "/v1/audio/transcriptions"
    assert "Authorization" not in server.asked[0]["headers"]


def test_a_server_that_puts_off_is_asked_again_and_the_waiting_is_not_counted(said: Callable[..., list[Said]], server: Server) -> None:
    soon = email.utils.formatdate(time.time() - 5, usegmt=True)
    server.answers = [(429, b"slow down", {"Retry-After": "0.4"}), (503, b"", {"Retry-After": soon}), (503, b"", {"Retry-After": "odd"}), None]
    begun = time.perf_counter()
    (one,) = said()
    assert one.text == "we call it bear"
    assert len(server.asked) == 5
    assert time.perf_counter() - begun > 0.4
    assert one.seconds is not None
    assert one.seconds < 0.4


def test_it_is_not_asked_for_ever(said: Callable[..., list[Said]], server: Server) -> None:
    server.answers = [(429, b"slow down", {"Retry-After": "0"})] * 3
    with pytest.raises(ClipError, match=r"HTTP 429 Too Many Requests \(slow down\)\., also after 2 retries. Try again later, or check the address."):
        said(retries=2)
    assert len(server.asked) == 3


ANSWERS: list[tuple[Answer, str]] = [
    ((401, f"bad token {TOKEN}".encode(), {}), "HTTP 401 Unauthorized (bad token ***). Check the token in TEST_TOKEN."),
    ((400, b"no such model\n\x1b[31m", {}), "HTTP 400 Bad Request (no such model \x1b[31m)."),
    (
        (302, b"", {"Location": "http://elsewhere.example/"}),
        "HTTP 302 Found (). It wants to redirect to http://elsewhere.example/; give that address.",
    ),
    ((200, b"<html>", {}), "the answer is not JSON (b'<html>'). Check the address and the server."),
    ((200, b'{"segments": []}', {}), 'the answer has no "text" (b\'{"segments": []}\'). Check that it transcribes.'),
    ((200, b'{"text": null}', {}), 'the answer has no "text"'),
    ((200, b"[" * 100_000, {}), "the answer is not JSON (b'[[["),
    ((200, b'{"text": "' + b"a" * (1 << 20) + b'"}', {}), "answered with more than 1048576 bytes for one clip. Check the server."),
]


@pytest.mark.parametrize(("answer", "told"), ANSWERS, ids=[told[:24] for _, told in ANSWERS])
def test_a_refusal_stops_the_system_or_counts_as_empty(answer: Answer, told: str, said: Callable[..., list[Said]], server: Server) -> None:
    server.answers = [answer]
    with pytest.raises(ClipError) as caught:
        said(token_env="TEST_TOKEN")
    assert told in str(caught.value)
    assert TOKEN not in str(caught.value)
    server.answers = [answer]
    first, second = said(2, token_env="TEST_TOKEN", on_error="empty")
    assert (first.text, first.failure) == ("", str(caught.value))
    assert second.text == "we call it bear"


def test_nobody_answers(said: Callable[..., list[Said]], server: Server) -> None:
    server.server.shutdown()
    server.server.server_close()
    with pytest.raises(ClipError, match=r"no answer \(.*refused.*\), also after 1 retries"):
        said(retries=1)


def test_a_server_that_never_ends_its_answer(said: Callable[..., list[Said]], server: Server) -> None:
    server.answers = [(200, b'{"text"', {"Content-Length": "1000"})] * 2
    with pytest.raises(ClipError, match=r"no answer \(.*(timed out|IncompleteRead).*\), also after 1 retries"):
        said(timeout=0.3, retries=1)


def test_the_token_must_be_there_and_be_one(said: Callable[..., list[Said]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_TOKEN")
    with pytest.raises(
        MisuseError, match=r"the environment variable TEST_TOKEN, which token_env names, is not set. Set it to the token of http://127"
    ):
        said(token_env="TEST_TOKEN")
    monkeypatch.setenv("TEST_TOKEN", "a\nb")
    with pytest.raises(MisuseError, match=r"the environment variable TEST_TOKEN holds a blank or a letter beyond ASCII, which no token has."):
        said(token_env="TEST_TOKEN")


def test_the_token_is_in_no_fact(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_TOKEN", TOKEN)
    table = {"kind": "http", "url": "https://api.example.org", "token_env": "TEST_TOKEN"}
    system = read_system("x", table, folder=corpus, where=lambda _: "here")
    assert TOKEN not in json.dumps([load(system).facts, system.to_json()])
