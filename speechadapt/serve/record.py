"""Record: a page on this machine that asks people to read prompts, listens, says what is wrong with a take, and keeps the good ones.

Only pages that were opened with the token of this start may ask: it stands behind the `#` of the address, which browsers send to nobody. The name
the server is asked by is checked too, so that a page of a stranger whose own name was turned to this machine (DNS rebinding) gets nothing.
"""

import asyncio
import hmac
import ipaddress
import logging
import secrets
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from speechadapt.errors import AudioError, MissingExtraError, MisuseError, SpeechadaptError
from speechadapt.serve.address import listening_socket
from speechadapt.serve.prompts import Prompt
from speechadapt.serve.recorded_corpus import RecordedCorpus
from speechadapt.serve.take import LARGEST, LONGEST, Take, read_take
from speechadapt.units import Seconds

try:
    import uvicorn
    from fastapi import FastAPI, Request, Response
    from fastapi.responses import JSONResponse
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ImportError as error:
    raise MissingExtraError("FastAPI, which the recording page is served by,", "serve") from error

PAGES = Path(__file__).parent / "pages"
PAGE_FILES = {
    "/": ("record.html", "text/html; charset=utf-8"),
    "/record.js": ("record.js", "text/javascript; charset=utf-8"),
    "/record-worklet.js": ("record-worklet.js", "text/javascript; charset=utf-8"),
    "/theme.css": ("theme.css", "text/css; charset=utf-8"),
    "/record.css": ("record.css", "text/css; charset=utf-8"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src blob:; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"permissions-policy": b"microphone=(self)",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
TOKEN_HEADER = "x-record-token"
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = ("0.0.0.0", "::", "")
UPLOAD_TIMEOUT: Seconds = 60.0
MOST_CONNECTIONS = 100

CONSENT = (
    "You will read sentences aloud, and this page records your voice. The recordings, the sentences and what you said about yourself "
    "are kept in one folder on this computer and are sent nowhere. Whoever has that folder can hear you and may use it to train a speech "
    "recognizer; a voice can tell who someone is. You may stop at any time, and ask for the folder to be deleted."
)

log = logging.getLogger("speechadapt.record")


class RecordError(Exception):
    """What the page is told instead: an HTTP status and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def build_app(
    corpus: RecordedCorpus, *, token: str, consent: str = CONSENT, hosts: frozenset[str] | None = None, on_stop: Callable[[], Any] | None = None
) -> ASGIApp:
    """The page and what it asks for.

    Args:
        corpus: where the takes go.
        token: without it nothing but the empty page is given.
        consent: shown before the first take.
        hosts: names this machine is asked by; None: any numeric address and localhost (a number cannot be rebound).
        on_stop: called when the reader says that they are done.
    """
    app = FastAPI(title="speechadapt record", openapi_url=None, docs_url=None, redoc_url=None)

    async def told(_: Request, error: Exception) -> Response:
        status, sentence = _as_answer(error)
        more = {"Connection": "close"} if status == 413 else None  # or the rest would be read and thrown away
        return JSONResponse({"error": sentence}, status, headers=more)

    for mistake in (RecordError, SpeechadaptError, HTTPException, Exception):
        app.add_exception_handler(mistake, told)
    app.add_exception_handler(ClientDisconnect, _left)

    @app.get("/api/state")
    async def state() -> Response:
        return JSONResponse(_state(corpus, consent))

    @app.post("/api/consent")
    async def answer(request: Request) -> Response:
        given = request.query_params.get("given")
        if given not in ("yes", "no"):
            raise RecordError(400, 'given must be "yes" or "no". Load the page again.')
        await run_in_threadpool(partial(corpus.answer, consent, given=given == "yes"))
        return JSONResponse({"consent": corpus.consent(consent)})

    @app.post("/api/check")
    async def check(request: Request) -> Response:
        _, take = await _take(request, corpus, consent)
        return JSONResponse(take.to_json())

    @app.post("/api/keep")
    async def keep(request: Request) -> Response:
        prompt, take = await _take(request, corpus, consent)
        if take.fatal:
            raise RecordError(422, take.findings[0].text)
        row = await run_in_threadpool(corpus.keep, prompt, take)
        return JSONResponse({"prompt": prompt.id, "quality": row["quality"], "seconds": corpus.seconds, "done": _done(corpus)})

    @app.get("/api/take")
    async def kept(request: Request) -> Response:
        sound = await run_in_threadpool(corpus.audio, _prompt(request, corpus))
        if sound is None:
            raise RecordError(404, "this sentence has no recording yet.")
        return Response(sound, media_type="audio/flac")

    @app.post("/api/stop")
    async def stop() -> Response:
        if on_stop is not None:
            on_stop()
        return JSONResponse({"stopped": True})

    for path, (name, kind) in PAGE_FILES.items():
        app.add_api_route(path, partial(_page, (PAGES / name).read_bytes(), kind), methods=["GET", "HEAD"])
    return Gate(app, token=token, hosts=hosts)


async def _page(content: bytes, kind: str) -> Response:
    return Response(content, headers={"Content-Type": kind})


async def _left(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # sent to nobody


def _as_answer(error: Exception) -> tuple[int, str]:
    if isinstance(error, RecordError):
        return error.status, str(error)
    if isinstance(error, AudioError):
        return 422, f"The take cannot be used: {str(error).removeprefix('audio: ')}"
    if isinstance(error, SpeechadaptError):  # the disk is full, or the folder is gone
        log.error("%s", error)
        return 507, f"Not saved. Nothing is lost while this page stays open: try again when the cause is gone. {error}"
    if isinstance(error, HTTPException):
        return error.status_code, "There is no such address here."
    return 500, "Something went wrong in the program. The terminal it was started in says what."


def _state(corpus: RecordedCorpus, consent: str) -> dict[str, Any]:
    return {
        "speaker": corpus.labels.speaker,
        "language": corpus.labels.language,
        "folder": str(corpus.folder),
        "prompts": [{"id": prompt.id, "text": prompt.text} for prompt in corpus.prompts.values()],
        "done": _done(corpus),
        "seconds": corpus.seconds,
        "longest": LONGEST,
        "consent": {"text": consent, "given": corpus.consent(consent)},
    }


def _done(corpus: RecordedCorpus) -> list[str]:
    return [key for key in corpus.done if key in corpus.prompts]


def _prompt(request: Request, corpus: RecordedCorpus) -> Prompt:
    """By its id, looked up; nothing of a request becomes a path."""
    prompt = corpus.prompts.get(request.query_params.get("prompt", ""))
    if prompt is None:
        raise RecordError(404, "there is no such sentence in this list. Load the page again.")
    return prompt


async def _take(request: Request, corpus: RecordedCorpus, consent: str) -> tuple[Prompt, Take]:
    prompt = _prompt(request, corpus)
    if corpus.consent(consent) is None:
        raise RecordError(403, "Nothing is recorded before the speaker has agreed to it. Load the page again.")
    body = bytearray()
    try:
        async with asyncio.timeout(UPLOAD_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST:
                    raise RecordError(413, f"The take is larger than {LARGEST >> 20} MB, the most that is possible. Read one sentence at a time.")
    except TimeoutError as error:
        raise RecordError(408, f"The take did not arrive within {UPLOAD_TIMEOUT:g} s. Try again.") from error
    return prompt, await run_in_threadpool(read_take, bytes(body), prompt.text)


class Gate:
    """Around everything: the name we are asked by, the page that asks, the token; and headers that keep the page to itself."""

    def __init__(self, app: ASGIApp, *, token: str, hosts: frozenset[str] | None) -> None:
        self.app = app
        self._token = token.encode()
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the server."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there is no WebSocket here
            await send({"type": "websocket.close", "code": 1008})
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS.items()]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            status, sentence = refusal
            await JSONResponse({"error": sentence}, status)(scope, receive, dressed)
            return
        try:
            await self.app(scope, receive, dressed)
        except Exception:  # answered already; the log has it, and the server goes on
            log.exception("a request failed")

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._known(host):
            return 403, "This machine is not asked by that name. Open the address that the program has printed."
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and urlsplit(origin).netloc != host:
            return 403, "Pages of other origins may not ask here."
        if scope["path"].startswith("/api/") and not hmac.compare_digest(headers.get(TOKEN_HEADER.encode(), b""), self._token):
            return 401, "The address of this page is incomplete or of an earlier start. Open the one that the program has printed."
        return None

    def _known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in LOCAL_NAMES or (self._hosts is not None and name in self._hosts):
            return True
        if self._hosts is not None:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


class RecordServer:
    """The page under an address of this machine, until the reader or Ctrl+C stops it.

    Raises:
        MisuseError: the address cannot be had.
    """

    def __init__(self, corpus: RecordedCorpus, *, host: str = "127.0.0.1", port: int = 0, consent: str = CONSENT) -> None:
        self._socket = _bind(host, port)
        self.token = secrets.token_urlsafe(32)
        number = self._socket.getsockname()[1]
        shown = "127.0.0.1" if host in EVERYWHERE else host
        self.origin = f"http://{f'[{shown}]' if ':' in shown else shown}:{number}"
        hosts = None if host in EVERYWHERE else frozenset({host})
        app = build_app(corpus, token=self.token, consent=consent, hosts=hosts, on_stop=self.stop)
        config = uvicorn.Config(
            app,
            ws="none",
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=5,
            server_header=False,
            proxy_headers=False,
            access_log=False,
            log_config=None,
            log_level=logging.WARNING,
        )
        self._server = uvicorn.Server(config)

    @property
    def url(self) -> str:
        """What to open: the address with the token behind `#`."""
        return f"{self.origin}/#{self.token}"

    def run(self) -> None:
        """Serve until stopped. What was kept is on disk whenever it ends."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Let what is running finish, then end."""
        self._server.should_exit = True


def _bind(host: str, port: int) -> socket.socket:
    if not 0 <= port < 65536:
        raise MisuseError(f"--port {port}: must be from 0 to 65535.")
    try:
        return listening_socket(host or None, port, backlog=MOST_CONNECTIONS)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MisuseError(f"host {host}, port {port}: cannot be listened on ({reason}). Choose another --port, or --host 127.0.0.1.") from error
