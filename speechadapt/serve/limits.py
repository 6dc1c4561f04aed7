"""Limits of the server, and the answers a client gets beyond them: errors in the shape that OpenAI's clients read."""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

from speechadapt.units import Seconds

MEGABYTE = 1 << 20
BUSY_SECONDS = 1
"""When a client that was sent away may try again."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a client may ask for, and all of them together.

    Attributes:
        max_upload: bytes of one request's body.
        max_duration: of one recording.
        max_concurrent: requests and streams being worked on at once; more are answered 429.
        queue: pieces of audio waiting for the model; while so many wait, new requests are answered 503.
        timeout: of one request, from its headers to its answer.
        upload_timeout: for the whole body to arrive.
        header_timeout: for the whole header to arrive.
        max_connections: open connections, idle ones included; more are answered 503.
        stop_timeout: after SIGTERM, for what is running to finish.
    """

    max_upload: int = 100 * MEGABYTE
    max_duration: Seconds = 2 * 3600.0
    max_concurrent: int = 64
    queue: int = 256
    timeout: Seconds = 600.0
    upload_timeout: Seconds = 120.0
    header_timeout: Seconds = 10.0
    max_connections: int = 2000
    stop_timeout: Seconds = 30.0


class RequestError(Exception):
    """What a client is told instead of a transcript: an HTTP status, and the fields of OpenAI's error object."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after = retry_after

    def to_json(self) -> dict[str, Any]:
        """`{"error": {"message", "type", "param", "code"}}`."""
        kind = "server_error" if self.status >= 500 else "rate_limit_error" if self.status == 429 else "invalid_request_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """`Retry-After` where trying again helps, and the scheme where a token is missing."""
        found = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return found | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})


def upload_too_large(most: int) -> RequestError:
    """413 for a body of more than `most` bytes."""
    told = f"{most / MEGABYTE:.0f} MB" if most >= MEGABYTE else f"{most} bytes"
    return RequestError(413, f"the upload is larger than {told}, the most this server takes. Send a shorter or a compressed file.", code="too_large")


def audio_too_long(most: Seconds) -> RequestError:
    """413 for a recording longer than `most`."""
    return RequestError(
        413, f"the recording is longer than {most:g} s, the most this server takes. Send it in parts.", code="audio_too_long", param="file"
    )


class Room:
    """Counts the requests being worked on. Safe to use from several threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self.requests = 0

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """One more request inside the block.

        Raises:
            RequestError: 429, as many are being worked on as are allowed.
        """
        with self._lock:
            if self.requests >= self._limits.max_concurrent:
                raise RequestError(
                    429,
                    f"{self.requests} requests are being worked on, the most this server allows at once. Try again in a moment.",
                    code="rate_limit_exceeded",
                    retry_after=BUSY_SECONDS,
                )
            self.requests += 1
        try:
            yield
        finally:
            with self._lock:
                self.requests -= 1
