"""The HTTP server: OpenAI's transcription endpoint and a live WebSocket for a base model and its adapters, health, metrics, and a page."""

import asyncio
import contextlib
import ipaddress
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from speechadapt import __version__
from speechadapt.errors import AudioError, MissingExtraError, MisuseError, SpeechadaptError
from speechadapt.serve.answers import MEDIA_TYPES, event_body, json_body, plain_body, verbose_body
from speechadapt.serve.batching import GoneError, Ticket
from speechadapt.serve.limits import RequestError
from speechadapt.serve.listener import Listener, make_listener
from speechadapt.serve.live import IDLE, Samples, Start, event_json, is_end, within
from speechadapt.serve.metrics import CONTENT_TYPE
from speechadapt.serve.service import Service, Wish
from speechadapt.serve.streaming import StreamEvent
from speechadapt.serve.uploads import read_upload
from speechadapt.transcriber import Transcript
from speechadapt.units import Seconds

try:
    from fastapi import FastAPI, Request, Response, WebSocket
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException
    from starlette.middleware.cors import CORSMiddleware
    from starlette.requests import ClientDisconnect
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from starlette.websockets import WebSocketDisconnect
except ImportError as error:
    raise MissingExtraError("FastAPI, which the server is built on,", "serve") from error

PAGES = Path(__file__).parent / "pages"
PAGE_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/theme.css": ("theme.css", "text/css; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"content-security-policy": POLICY.encode(),
    b"referrer-policy": b"no-referrer",
    b"permissions-policy": b"microphone=(self)",
    b"cross-origin-resource-policy": b"same-origin",
}
GONE = 499
"""What is counted for a client that went away; it is sent to nobody."""
RESTART = 1012
"""What a stream is closed with when the server stops."""
CLOSE_CODES = {401: 1008, 403: 1008, 429: 1013, 503: 1013, 500: 1011}

log = logging.getLogger("speechadapt.serve")


def build_app(service: Service, *, cors: Sequence[str] = ()) -> ASGIApp:
    """The ASGI application of a service; who runs it closes the service.

    Args:
        cors: origins (`https://app.example`) whose pages may ask this server; none by default.
    """
    app = FastAPI(title="speechadapt", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)

    async def told(_: Request, error: Exception) -> Response:
        answer = _as_answer(error)
        return JSONResponse(answer.to_json(), answer.status, headers=answer.headers)

    for mistake in (RequestError, GoneError, SpeechadaptError, HTTPException, Exception):
        app.add_exception_handler(mistake, told)

    async def left(_: Request, __: Exception) -> Response:
        service.metrics.gone()
        return Response(status_code=GONE)

    app.add_exception_handler(ClientDisconnect, left)

    def allowed(request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        service.must_be_allowed(token.strip() if scheme.lower() == "bearer" else None)

    @app.get("/healthz")
    async def health() -> Response:
        return JSONResponse({"status": "stopping" if service.stopping else "ok", "version": __version__}, 503 if service.stopping else 200)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(service.metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    @app.get("/v1/models")
    async def models(request: Request) -> Any:
        allowed(request)
        return JSONResponse({"object": "list", "data": service.models()})

    @app.get("/v1/models/{name:path}")
    async def model(request: Request, name: str) -> Any:
        allowed(request)
        adapter = service.adapter(name)
        return JSONResponse(next(one for one in service.models() if one["id"] == (adapter or service.base_id)))

    @app.post("/v1/audio/transcriptions")
    async def transcriptions(request: Request) -> Response:
        allowed(request)
        if service.stopping:
            raise _stopping()
        with service.room.request():
            service.batcher.must_have_room()
            try:
                async with asyncio.timeout(service.limits.timeout):
                    return await _answer(service, request)
            except TimeoutError as error:
                told = f"no transcript within {service.limits.timeout:g} s. Send a shorter recording, or try when there is less to do."
                raise RequestError(504, told, code="timeout") from error
            except asyncio.CancelledError as error:  # it runs, and the time for stopping is over
                if service.stopping:
                    raise _stopping() from error
                raise

    @app.websocket("/v1/audio/stream")
    async def stream(socket: WebSocket) -> None:
        await _stream(service, socket)

    for path, (name, kind) in PAGE_FILES.items():
        content = (PAGES / name).read_bytes()
        app.add_api_route(path, partial(_page, content, kind), methods=["GET", "HEAD"])

    if cors:
        app.add_middleware(CORSMiddleware, allow_origins=list(cors), allow_methods=["GET", "POST"], allow_headers=["*"], max_age=600)
    return Gate(app, service, cors)


async def _page(content: bytes, kind: str) -> Response:
    return Response(content, headers={"Content-Type": kind, "Cache-Control": "no-cache"})


def _as_answer(error: Exception) -> RequestError:
    """What a client is told of an error: a user's mistake in our words, anything else without its inside."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, HTTPException):
        words = {404: "there is no such endpoint.", 405: "this endpoint has no such method."}
        return RequestError(
            error.status_code, words.get(error.status_code, str(error.detail)), code="not_found" if error.status_code == 404 else None
        )
    if isinstance(error, GoneError):
        return _stopping()
    if isinstance(error, AudioError):
        told = str(error).partition(": ")[2] or str(error)  # the name in front is that of a temporary file
        return RequestError(400, f"the recording cannot be used: {told}", code=error.reason.replace("-", "_"), param="file")
    if isinstance(error, MisuseError) and not isinstance(error, MissingExtraError):
        return RequestError(400, str(error), code="invalid_value")
    if isinstance(error, SpeechadaptError):  # names folders of this machine
        log.error("%s", error)
        return RequestError(500, "the model that was asked for cannot be used at the moment. The server's log says why.", code="model_error")
    return RequestError(500, "something went wrong in the server. Its log says what.", code="internal_error")


def _stopping() -> RequestError:
    return RequestError(503, "the server is stopping. Try again in a moment.", code="stopping", retry_after=5)


async def _answer(service: Service, request: Request) -> Response:
    """Read a form, transcribe its recording, and stop as soon as nobody waits for it any more."""
    upload = await read_upload(request, service.limits)
    ticket = Ticket()
    try:
        wish = service.wish(upload)
        future = service.submit(upload, wish, ticket)
    except BaseException:
        await upload.close()
        raise
    work: asyncio.Future[Any] = asyncio.wrap_future(future)
    gone: asyncio.Future[Any] = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        transcript = work.result()
    finally:
        gone.cancel()
        if not work.done():
            service.batcher.cancel(ticket)
            future.cancel()
            work.add_done_callback(lambda one: one.cancelled() or one.exception())  # nobody asks for it any more
    service.metrics.audio(wish.name, transcript.duration)
    return _response(service, wish, transcript)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _response(service: Service, wish: Wish, transcript: Transcript) -> Response:
    headers = {"Cache-Control": "no-store"} | ({"Speechadapt-Ignored": ", ".join(wish.ignored)} if wish.ignored else {})
    if wish.stream:
        return Response(event_body(transcript), headers=headers | {"Content-Type": "text/event-stream; charset=utf-8"})
    if wish.form == "json":
        return JSONResponse(json_body(transcript), headers=headers)
    if wish.form == "verbose_json":
        model = service.library.model
        language = transcript.language or wish.settings.language or model.language
        body = verbose_body(
            transcript, language=_language_name(language), task=model.task, temperature=wish.settings.temperature, granularities=wish.granularities
        )
        return JSONResponse(body, headers=headers)
    return Response(plain_body(transcript, wish.form), headers=headers | {"Content-Type": MEDIA_TYPES[wish.form]})


def _language_name(code: str | None) -> str | None:
    """`english` for `en`, as OpenAI tells it."""
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    return None if code is None else str(LANGUAGES.get(code, code))


async def _stream(service: Service, socket: WebSocket) -> None:
    await socket.accept()
    ticket = Ticket()
    service.metrics.stream(1)
    try:
        with service.room.request():
            await _converse(service, socket, ticket)
        await socket.close(RESTART if service.stopping else 1000)
    except WebSocketDisconnect:
        service.metrics.gone()
    except asyncio.CancelledError:
        if not service.stopping:
            raise
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the time for stopping is over
            await socket.close(RESTART)
    except Exception as error:
        answer = _as_answer(error)
        if answer.code == "internal_error":
            log.exception("a stream failed")
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await socket.send_json({"type": "error", **answer.to_json()})
            await socket.close(CLOSE_CODES.get(answer.status, 1008), reason=str(answer)[:120])
    finally:
        service.batcher.cancel(ticket)
        service.metrics.stream(-1)


async def _converse(service: Service, socket: WebSocket, ticket: Ticket) -> None:
    """The first message says what is wanted, or is audio already; then audio until the end, or until the client is gone.

    When the server stops, the stream ends as if the client had ended it: what was said so far gets its final text.
    """
    last = time.monotonic() + service.limits.max_duration + IDLE
    text, chunk = await _message(socket, service.limits.header_timeout)
    if service.stopping:
        raise _stopping()
    start = Start() if text is None else Start.read(text)
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    service.must_be_allowed(start.token or (token.strip() if scheme.lower() == "bearer" else None))
    name, live = service.stream(start, ticket)
    samples = Samples(start, service.limits.max_duration)
    texts: list[str] = []

    async def send(events: list[StreamEvent]) -> None:
        for event in events:
            if event.kind == "final" and event.text:
                texts.append(event.text)
            await socket.send_json(event_json(event))

    await socket.send_json({"type": "ready", "model": name, "sampling_rate": start.sampling_rate, "format": start.format})
    ended = False
    while not ended:
        if chunk:
            await send(await service.run(partial(live.feed, samples.read(chunk))))
        text, chunk = await _message(socket, IDLE)
        if time.monotonic() > last:  # sent so slowly that the limit of the sound would keep its place for days
            told = f"the stream has lasted longer than {service.limits.max_duration:g} s, the most this server takes. Open a new one."
            raise RequestError(408, told, code="stream_timeout")
        ended = text is not None and is_end(text)
    await send(await service.run(live.finish))
    service.metrics.audio(name, samples.seconds)
    await socket.send_json({"type": "done", "text": " ".join(texts), "duration": samples.seconds})


async def _message(socket: WebSocket, seconds: Seconds) -> tuple[str | None, bytes | None]:
    message = await within(seconds, socket.receive())
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    return message.get("text"), message.get("bytes")


class Gate:
    """Around everything: counts and times requests, adds the security headers, and refuses pages of other origins."""

    def __init__(self, app: ASGIApp, service: Service, cors: Sequence[str]) -> None:
        self.app = app
        self.service = service
        self._cors = frozenset(cors)
        self._known = frozenset(urlsplit(origin).netloc for origin in cors)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, WebSocket or the life of the server."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        for refused in (self._rebound(scope), self._foreign(scope)):
            if refused is not None:
                await self._refuse(refused, scope, receive, send)
                return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), GONE

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *((name, value) for name, value in HEADERS.items() if name not in present)]
            await send(message)

        try:
            await self.app(scope, receive, counted)
        finally:
            self.service.metrics.request(_endpoint(scope["path"]), status, time.perf_counter() - started)

    def _rebound(self, scope: Scope) -> RequestError | None:
        """Refuse a name that somebody may have bought and led to this machine, whose pages would then be of this server's own origin.

        A server that only this machine reaches, and that asks for no token, is protected by nothing else.
        """
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        local = bool(scope.get("server")) and _is_loopback(scope["server"][0])
        if self.service.token is not None or not local or host in self._known or _is_of_this_machine(host):
            return None
        told = f'this server answers to localhost and to addresses, not to "{host[:80]}". Start it with --cors ORIGIN or a token to use that name.'
        return RequestError(403, told, code="host")

    def _foreign(self, scope: Scope) -> RequestError | None:
        """Refuse what a browser sends for a page of another origin: WebSockets and forms know no CORS, so it is asked here."""
        if scope["type"] == "http" and scope["method"] != "POST":
            return None
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin or origin in self._cors or origin.partition("://")[2] == headers.get(b"host", b"").decode("latin-1"):
            return None
        return RequestError(403, "pages of other origins may not use this server. Start it with --cors ORIGIN to let one.", code="origin")

    async def _refuse(self, answer: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        self.service.metrics.request(_endpoint(scope["path"]), 403, 0.0)
        headers = {name.decode(): value.decode() for name, value in HEADERS.items()}
        await JSONResponse(answer.to_json(), 403, headers=headers)(scope, receive, send)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:  # a Unix socket
        return False


def _is_of_this_machine(host: str) -> bool:
    """Whether a Host header holds an address, or a name that nobody can buy: without a dot, or below localhost. None is no browser's."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if "." not in name or name.endswith(".localhost"):
        return True
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


ENDPOINTS = ("/v1/audio/transcriptions", "/v1/models", "/healthz", "/metrics", *PAGE_FILES)


def _endpoint(path: str) -> str:
    """A label of few values, whatever paths clients think of."""
    if path.startswith("/v1/models/"):
        return "/v1/models"
    return path if path in ENDPOINTS else "other"


def make_server(service: Service, *, cors: Sequence[str] = (), on_start: Callable[[], Any] | None = None, access_log: bool = False) -> Listener:
    """A server to be `run(sockets=[bind(host, port)])`; SIGTERM ends it once what runs is finished, within `limits.stop_timeout`."""
    app = build_app(service, cors=cors)
    return make_listener(app, service.limits, on_start=on_start, on_stop=service.stop, on_end=service.close, access_log=access_log)
