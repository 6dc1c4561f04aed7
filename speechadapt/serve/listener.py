"""The listening socket: uvicorn with a time-out for headers that never end, and an end that lets running requests finish."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from typing import Any

from speechadapt.errors import MissingExtraError, MisuseError
from speechadapt.serve.limits import Limits
from speechadapt.serve.live import MOST_CHUNK

try:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as error:
    raise MissingExtraError("uvicorn, which the server listens with,", "serve") from error

KEEP_ALIVE = 15
"""Seconds that an idle connection is kept for the next request."""
MOST_HEADER = 32 << 10


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP protocol, which lets a connection that never finishes its header stay for ever; this one does not."""

    header_timeout = 10.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.header_timeout, self._give_up)

    def data_received(self, data: bytes) -> None:
        """The client sent something."""
        super().data_received(data)
        if self.transport.is_closing() or self._busy():
            self._stop_timer()
        elif self._timer is None:  # the beginning of the next header on a connection that was kept
            self._timer = self.loop.call_later(self.header_timeout, self._give_up)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """The connection belongs to a WebSocket from now on."""
        self._stop_timer()
        self._upgraded = True
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop_timer()
        super().connection_lost(exc)

    _upgraded = False

    def _busy(self) -> bool:
        return self._upgraded or (self.cycle is not None and not self.cycle.response_complete)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if not self._busy() and not self.transport.is_closing():
            self.transport.close()


class Listener(uvicorn.Server):
    """A server that says when it listens, and when it begins to stop."""

    def __init__(self, config: uvicorn.Config, *, on_start: Callable[[], Any] | None = None, on_stop: Callable[[], Any] | None = None) -> None:
        super().__init__(config)
        self._on_start, self._on_stop = on_start, on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        if self.started and self._on_start is not None:
            self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing new, and wait for what is running."""
        if self._on_stop is not None:
            self._on_stop()
        await super().shutdown(sockets)


def bind(host: str, port: int) -> socket.socket:
    """A listening address; port 0 takes a free one.

    Raises:
        MisuseError: it cannot be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        bound = socket.socket(found[0], socket.SOCK_STREAM)
    except OSError as error:
        raise MisuseError(f"host {host}, port {port}: no such address here ({error.strerror or error}). Try --host 127.0.0.1.") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(found[4])
    except OSError as error:
        bound.close()
        raise MisuseError(f"host {host}, port {port}: cannot be listened on ({error.strerror or error}). Choose another --port.") from error
    bound.set_inheritable(False)
    return bound


def make_listener(
    app: Any, limits: Limits, *, on_start: Callable[[], Any] | None = None, on_stop: Callable[[], Any] | None = None, access_log: bool = False
) -> Listener:
    """A server for an ASGI application, to be `run(sockets=[bind(host, port)])`."""
    protocol = type("Protocol", (PatientProtocol,), {"header_timeout": limits.header_timeout})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="websockets-sansio",
        ws_max_size=MOST_CHUNK,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        ws_per_message_deflate=False,
        limit_concurrency=limits.max_connections,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(limits.stop_timeout)),
        h11_max_incomplete_event_size=MOST_HEADER,
        server_header=False,
        proxy_headers=False,
        access_log=access_log,
        log_config=None,
        log_level=logging.WARNING,
    )
    return Listener(config, on_start=on_start, on_stop=on_stop)


def exit_cleanly_on_signals() -> None:
    """uvicorn repeats SIGTERM and SIGINT to the process once it has stopped; having stopped well is no reason to die of them."""
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: None)
