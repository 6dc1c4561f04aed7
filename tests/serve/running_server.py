"""A real server on a free port, in a thread of the test, over a random Whisper or CTC model with adapters that hear differently."""

import contextlib
import dataclasses
import http.client
import io
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from speechadapt.adapt.adapter import add_adapter, save_adapter
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import Decoded, DecodeSettings, SpeechModel
from speechadapt.serve.limits import Limits
from speechadapt.serve.listener import Listener, bind
from speechadapt.serve.server import make_server
from speechadapt.serve.service import Service

PATH = "/v1/audio/transcriptions"
EXACT = DecodeSettings(precision="fp32")
"""In bfloat16 a random model says something else in every company."""


def write_adapter(base: str, folder: Path, seed: int, **options: Any) -> Path:
    """An adapter with random weights for a random model."""
    model = load_model(base, device="cpu", **options)
    spec = AdapterSpec(rank=4)
    add_adapter(model, spec)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.network.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    save_adapter(model, spec, folder, train_fingerprint="f" * 64, accent=None, card="")
    return folder


class SlowLibrary:
    """A library in front of another one: waits before each batch, notes what came in it, and can be told to fail."""

    def __init__(self, inner: Any, seconds: float = 0.0) -> None:
        self.inner, self.seconds = inner, seconds
        self.batches: list[list[str | None]] = []
        self.heard: list[Any] = []
        self.broken: set[str | None] = set()
        self.entered = threading.Event()

    @property
    def model(self) -> SpeechModel:
        return self.inner.model  # type: ignore[no-any-return]

    @property
    def names(self) -> Sequence[str]:
        return self.inner.names  # type: ignore[no-any-return]

    @property
    def loaded(self) -> Sequence[str]:
        return self.inner.loaded  # type: ignore[no-any-return]

    def decode(self, waveforms: Sequence[Any], adapters: Sequence[str | None], settings: DecodeSettings | None = None) -> list[Decoded]:
        self.batches.append(list(adapters))
        self.heard += waveforms
        self.entered.set()
        if self.broken & set(adapters):
            raise RuntimeError("/secret/place: broken")
        time.sleep(self.seconds)
        return self.inner.decode(waveforms, adapters, settings)  # type: ignore[no-any-return]


@dataclasses.dataclass(kw_only=True)
class Running:
    """A server that runs."""

    host: str
    port: int
    service: Service
    listener: Listener
    thread: threading.Thread

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def get(self, path: str, **headers: str) -> "Answer":
        return request(self.port, "GET", path, headers=headers)

    def post(self, audio: bytes | None, *, headers: dict[str, str] | None = None, name: str = "a.wav", **fields: Any) -> "Answer":
        body, kind = form(audio, name=name, **{"model": "base", **fields})
        return request(self.port, "POST", PATH, body=body, headers={"Content-Type": kind, **(headers or {})})

    def stop(self) -> None:
        self.listener.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]  # type: ignore[no-any-return]


@contextlib.contextmanager
def running(library: Any, *, limits: Limits | None = None, cors: Sequence[str] = (), **options: Any) -> Iterator[Running]:
    """A server in a thread, stopped at the end of the block."""
    service = Service(library, limits=limits, **{"vad": False, "settings": EXACT, **options})
    socket = bind("127.0.0.1", 0)
    listening = threading.Event()
    listener = make_server(service, cors=cors, on_start=listening.set)
    thread = threading.Thread(target=listener.run, kwargs={"sockets": [socket]})
    thread.start()
    assert listening.wait(10)
    one = Running(host="127.0.0.1", port=socket.getsockname()[1], service=service, listener=listener, thread=thread)
    try:
        yield one
    finally:
        one.stop()
        socket.close()


def request(port: int, method: str, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        got = connection.getresponse()
        return Answer(status=got.status, headers={name.lower(): value for name, value in got.getheaders()}, body=got.read())
    finally:
        connection.close()


def form(audio: bytes | None, *, name: str = "a.wav", **fields: Any) -> tuple[bytes, str]:
    """A multipart body and its content type; a list is sent as one field per element."""
    mark = uuid.uuid4().hex
    parts = []
    for key, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                parts.append(f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{one}\r\n'.encode())
    if audio is not None:
        head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        parts.append(head.encode() + audio + b"\r\n")
    return b"".join(parts) + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


def wav(samples: NDArray[Any], rate: int = 16_000, **options: Any) -> bytes:
    """A WAV file's bytes."""
    out = io.BytesIO()
    soundfile.write(out, samples, rate, **{"format": "WAV", "subtype": "PCM_16", **options})
    return out.getvalue()


def clip(seed: int, seconds: float = 1.0) -> NDArray[np.float32]:
    """A second of something that random models hear something else in for each seed."""
    random = np.random.default_rng(seed)
    time_ = np.arange(round(seconds * 16_000)) / 16_000
    sound = sum(np.sin(2 * np.pi * f * time_ + p) for f, p in zip(random.uniform(150, 4000, 4), random.uniform(0, 6, 4), strict=True))
    return (0.2 * sound * (0.6 + 0.4 * np.sin(2 * np.pi * random.uniform(2, 6) * time_))).astype(np.float32)


def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
