"""What is said over the WebSocket of a live transcription: a start, samples in chunks of any size, an end; and events in answer."""

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechadapt.serve.limits import RequestError
from speechadapt.serve.streaming import StreamEvent
from speechadapt.units import SAMPLING_RATE, Hertz, Seconds

FORMATS: dict[str, tuple[Any, float]] = {"pcm_s16le": ("<i2", 32768.0), "pcm_f32le": ("<f4", 1.0)}
RATES = (8_000, 192_000)
MOST_CHUNK = 4 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a client asks for in its first message: the model (None is the base), how its samples are written, and how to decode."""

    model: str | None = None
    sampling_rate: Hertz = SAMPLING_RATE
    format: str = "pcm_s16le"
    language: str | None = None
    prompt: str | None = None
    token: str | None = None

    @classmethod
    def read(cls, text: str) -> "Start":
        """From the JSON text of `{"type": "start", …}`; fields it does not know are ignored.

        Raises:
            RequestError: 400, not such a message or a field that cannot mean anything.
        """
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or row.get("type") != "start":
            raise RequestError(400, 'a text message must be JSON, the first one {"type": "start"}.', code="invalid_message")
        given = {name: row[name] for name in (one.name for one in dataclasses.fields(cls)) if row.get(name) is not None}
        for name, value in given.items():
            if name != "sampling_rate" and not isinstance(value, str):
                raise RequestError(400, f"{name} is {type(value).__name__}, must be text.", code="invalid_value", param=name)
        rate = given.get("sampling_rate", SAMPLING_RATE)
        if isinstance(rate, bool) or not isinstance(rate, int) or not RATES[0] <= rate <= RATES[1]:
            raise RequestError(
                400, f"sampling_rate must be a whole number from {RATES[0]} to {RATES[1]} Hz.", code="invalid_value", param="sampling_rate"
            )  # fmt: skip
        if given.get("format", "pcm_s16le") not in FORMATS:
            raise RequestError(400, f"format must be one of {', '.join(FORMATS)}.", code="invalid_value", param="format")
        return cls(**given)


class Samples:
    """Bytes to samples, whatever places a client cuts them at, and how much of them there may be."""

    def __init__(self, start: Start, most: Seconds) -> None:
        """Args:
        start: how the samples are written.
        most: seconds of audio that one stream may send.
        """
        self._type, self._scale = FORMATS[start.format]
        self._rate, self._most = start.sampling_rate, most
        self._odd = b""
        self._count = 0

    @property
    def seconds(self) -> Seconds:
        """Received so far."""
        return self._count / self._rate

    def read(self, chunk: bytes) -> NDArray[np.float32]:
        """The samples of a chunk, float32, shape (samples,); a sample cut in two waits for the next chunk.

        Raises:
            RequestError: 400 or 413, samples that are not finite, or more of them than are taken.
        """
        data = self._odd + chunk
        size = np.dtype(self._type).itemsize
        whole = len(data) // size * size
        self._odd = data[whole:]
        samples: NDArray[np.float32] = np.frombuffer(data[:whole], self._type).astype(np.float32) / np.float32(self._scale)
        self._count += len(samples)
        if self.seconds > self._most:
            raise RequestError(413, f"the stream is longer than {self._most:g} s, the most this server takes. Open a new one.", code="audio_too_long")
        if not np.isfinite(samples).all():
            raise RequestError(400, "samples are NaN or infinite. Is the format the right one?", code="not_finite")
        return samples


def event_json(event: StreamEvent) -> dict[str, Any]:
    """An event as it is sent: `partial` (with what is `stable`) or `final`."""
    times = {"segment": event.segment, "start": event.start, "end": event.end}
    if event.kind == "partial":
        return {"type": "partial", "text": event.text, "stable": event.stable, **times}
    return {"type": "final", "text": event.text, "avg_logprob": event.avg_logprob, "language": event.language, **times}


def is_end(text: str) -> bool:
    """Whether a text message says that no more audio comes.

    Raises:
        RequestError: 400, it says something else.
    """
    try:
        row: Any = json.loads(text)
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, Mapping) and row.get("type") == "end":
        return True
    raise RequestError(400, 'after the start only audio (binary) and {"type": "end"} are understood.', code="invalid_message")


IDLE: Seconds = 60.0
"""A stream that sends nothing for so long is closed."""


async def within(seconds: Seconds, waited: Awaitable[Any]) -> Any:
    """The result of `waited`.

    Raises:
        RequestError: 408, it did not come in time.
    """
    try:
        return await asyncio.wait_for(waited, seconds)
    except TimeoutError as error:
        raise RequestError(408, f"nothing was sent for {seconds:g} s. Open a new stream.", code="stream_timeout") from error
