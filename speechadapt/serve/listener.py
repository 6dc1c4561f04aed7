"""The listening socket: uvicorn with a time-out for headers that never end, and an end that lets running requests finish."""

import asyncio
import json
import logging
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from speechadapt.errors import MissingExtraError, MisuseError
from speechadapt.serve.address import listening_socket
from speechadapt.serve.limits import Limits
from speechadapt.serve.live import MOST_CHUNK

try:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
except ImportError as error:
    raise MissingExtraError("uvicorn, which the server listens with,", "serve") from error

if sys.platform != "win32":
    import resource

KEEP_ALIVE = 15
"""Seconds that an idle connection is kept for the next request."""
MOST_HEADER = 32 << 10
BACKLOG = 2048
"""Connections that the system keeps until they are accepted."""
AT_A_TIME = 128
"""Connections accepted before those that are too many are closed; asyncio takes as many as its backlog in one go, out of files or not."""
SPARE_FILES = 512
"""Files that stay free beside the connections: uploads, adapters, libraries."""
SPARE_CONNECTIONS = 64
"""So many connections beyond the most are still told 503; further ones are closed without a word."""


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP protocol, which lets a connection that never finishes its header stay for ever; this one does not."""

    header_timeout = 10.0
    most = 2000
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.close()
            return
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


class EndingProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which is cut off when the server stops; this one is asked to end, so that what was said still gets its text."""

    def shutdown(self) -> None:
        """The server stops: what follows is as if the client had said that no more audio comes."""
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait({"type": "websocket.receive", "text": json.dumps({"type": "end"})})
        else:
            super().shutdown()


class Listener(uvicorn.Server):
    """A server that says when it listens, when it begins to stop, and when it has stopped."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        on_start: Callable[[], Any] | None = None,
        on_stop: Callable[[], Any] | None = None,
        on_end: Callable[[], Any] | None = None,
    ) -> None:
        super().__init__(config)
        self._on_start, self._on_stop, self._on_end = on_start, on_stop, on_end

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(BACKLOG)
        if self.started and self._on_start is not None:
            self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing new, and wait for what is running."""
        if self._on_stop is not None:
            self._on_stop()
        await super().shutdown(sockets)
        if self._on_end is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._on_end)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Who connects before the server runs waits for it.

    Raises:
        MisuseError: it cannot be had.
    """
    try:
        return listening_socket(host, port, backlog=BACKLOG)
    except socket.gaierror as error:
        raise MisuseError(f"host {host}, port {port}: no such address here ({error.strerror or error}). Try --host 127.0.0.1.") from error
    except OSError as error:
        raise MisuseError(f"host {host}, port {port}: cannot be listened on ({error.strerror or error}). Choose another --port.") from error


def make_listener(
    app: Any,
    limits: Limits,
    *,
    on_start: Callable[[], Any] | None = None,
    on_stop: Callable[[], Any] | None = None,
    on_end: Callable[[], Any] | None = None,
    access_log: bool = False,
) -> Listener:
    """A server for an ASGI application, to be `run(sockets=[bind(host, port)])`."""
    connections = most_connections(limits.max_connections)
    protocol = type("Protocol", (PatientProtocol,), {"header_timeout": limits.header_timeout, "most": connections + SPARE_CONNECTIONS})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws=EndingProtocol,
        ws_max_size=MOST_CHUNK,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        ws_per_message_deflate=False,
        backlog=AT_A_TIME,
        limit_concurrency=connections,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(limits.stop_timeout)),
        h11_max_incomplete_event_size=MOST_HEADER,
        server_header=False,
        proxy_headers=False,
        access_log=access_log,
        lifespan="off",
        log_config=None,
        log_level=logging.WARNING,
    )
    if access_log:  # after the configuration, which sets the level of all of uvicorn's logs
        access = logging.getLogger("uvicorn.access")
        access.setLevel(logging.INFO)
        access.addFilter(_without_query)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every form that clients break
    return Listener(config, on_start=on_start, on_stop=on_stop, on_end=on_end)


def _without_query(record: logging.LogRecord) -> bool:
    """What stands behind a path's question mark may be a secret that was put there by mistake."""
    if isinstance(record.args, tuple):
        record.args = tuple(one.partition("?")[0] if isinstance(one, str) else one for one in record.args)
    return True


def most_connections(wanted: int) -> int:
    """As many connections as files may be open for them; this process's own limit of open files is raised, as far as the system lets it."""
    if sys.platform == "win32":  # has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_CONNECTIONS + SPARE_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    raised = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return max(1, min(wanted, raised - SPARE_CONNECTIONS - SPARE_FILES))


def stop_on_signals(listener: Listener) -> None:
    """SIGTERM and SIGINT stop the server, also before it runs; and when it repeats them after it has stopped, the process does not die of them."""

    def stop(*_: Any) -> None:
        listener.should_exit = True

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, stop)
