"""A server that speaks OpenAI's protocol for transcriptions as a recognizer of a benchmark; Python's own client is enough for it."""

import email.utils
import http.client
import json
import os
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from speechadapt import __version__
from speechadapt.bench.recognizer import MOST_TEXT, Clip, ClipError, Recognizer, Said, wav_bytes
from speechadapt.bench.systems import HTTPSystem, System
from speechadapt.errors import MisuseError
from speechadapt.units import Seconds

PATH = "/v1/audio/transcriptions"
TRY_AGAIN = (429, 502, 503, 504)
LONGEST_WAIT: Seconds = 300.0
FIRST_WAIT: Seconds = 1.0


def load(system: System) -> Recognizer:
    """Nothing is loaded here. The time of a clip is that of the request that was answered; waiting because of a 429 or 503 is not counted.

    Raises:
        MisuseError: the environment variable of the token is not set.
    """
    given = system.settings
    if not isinstance(given, HTTPSystem):
        raise TypeError(f"settings of {type(given).__name__}")
    token = os.environ.get(given.token_env) if given.token_env else None
    if given.token_env and not token:
        raise MisuseError(f"the environment variable {given.token_env}, which token_env names, is not set. Set it to the token of {given.url}.")
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise MisuseError(f"the environment variable {given.token_env} holds a blank or a letter beyond ASCII, which no token has. Set it again.")
    endpoint = _Endpoint(given, token)

    def prepare(clips: Sequence[Clip]) -> list[bytes]:
        return [wav_bytes(clip.waveform()) for clip in clips]

    facts = {"url": endpoint.url, "model": given.model, "decode": {}}
    return Recognizer(prepare=prepare, decode=endpoint.transcribe, facts=facts)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET, and would take the token to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Endpoint:
    def __init__(self, given: HTTPSystem, token: str | None) -> None:
        self.given = given
        self.url = given.url.rstrip("/").removesuffix("/v1") + PATH
        self._token = token
        self._opener = urllib.request.build_opener(_NoRedirects)

    def transcribe(self, clips: Sequence[bytes]) -> list[Said]:
        """One request per clip."""
        return [self._one(clip) for clip in clips]

    def _one(self, wav: bytes) -> Said:
        try:
            return self._asked(wav)
        except ClipError as error:
            if self.given.on_error == "stop":
                raise
            return Said(text="", failure=str(error))

    def _asked(self, wav: bytes) -> Said:
        body, kind = _form(self._fields(), wav)
        headers = {"Content-Type": kind, "Accept": "application/json", "User-Agent": f"speechadapt/{__version__}"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        for attempt in range(self.given.retries + 1):
            request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")
            begun = time.perf_counter()
            try:
                with self._opener.open(request, timeout=self.given.timeout) as answer:
                    data = answer.read(MOST_TEXT + 1)
                    if answer.length and len(data) <= MOST_TEXT:
                        raise http.client.IncompleteRead(data, answer.length)
                return Said(text=self._text(data), seconds=time.perf_counter() - begun)
            except urllib.error.HTTPError as error:
                told, wait = self._refusal(error), _wait(error.headers.get("Retry-After"), attempt)
                if error.code not in TRY_AGAIN:
                    raise ClipError(told) from error
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                told, wait = f"{self.url}: no answer ({reason})", _wait(None, attempt)
            if attempt < self.given.retries:
                time.sleep(wait)
        raise ClipError(f"{self._clean(told)}, also after {self.given.retries} retries. Try again later, or check the address.")

    def _fields(self) -> dict[str, str]:
        optional = {"language": self.given.language, "prompt": self.given.prompt}
        return {"model": self.given.model, "response_format": "json"} | {key: value for key, value in optional.items() if value}

    def _text(self, data: bytes) -> str:
        if len(data) > MOST_TEXT:
            raise ClipError(f"{self.url}: answered with more than {MOST_TEXT} bytes for one clip. Check the server.")
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ClipError(f"{self.url}: the answer is not JSON ({self._clean(repr(data[:120]))}). Check the address and the server.") from error
        text = answer.get("text") if isinstance(answer, dict) else None
        if not isinstance(text, str):
            raise ClipError(f'{self.url}: the answer has no "text" ({self._clean(repr(data[:120]))}). Check that it transcribes.')
        return text.strip()

    def _refusal(self, error: urllib.error.HTTPError) -> str:
        try:
            said = error.read(2000).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            said = ""
        advice = ""
        if error.code in (401, 403):
            advice = f" Check the token in {self.given.token_env}." if self.given.token_env else " Name the variable with the token in token_env."
        elif 300 <= error.code < 400:
            advice = f" It wants to redirect to {error.headers.get('Location')}; give that address."
        return self._clean(f"{self.url}: HTTP {error.code} {error.reason} ({' '.join(said.split())[:200]}).{advice}")

    def _clean(self, text: str) -> str:
        """A server may send the token back; it must reach no log."""
        return text.replace(self._token, "***") if self._token else text


def _form(fields: dict[str, str], wav: bytes) -> tuple[bytes, str]:
    """A multipart/form-data body (RFC 7578) with the fields and the file, and its content type."""
    mark = f"speechadapt-{secrets.token_hex(16)}"
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\nContent-Type: audio/wav\r\n\r\n'.encode()
    return b"".join([*parts, head, wav, f"\r\n--{mark}--\r\n".encode()]), f"multipart/form-data; boundary={mark}"


def _wait(header: str | None, attempt: int) -> Seconds:
    """Seconds until the next attempt: what `Retry-After` says (seconds or a date), else twice as long each time; at most five minutes."""
    asked: float | None = None
    if header:
        try:
            asked = float(header)
        except ValueError:
            try:
                asked = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
            except (ValueError, TypeError, OverflowError):
                asked = None
    if asked is None or asked != asked:
        asked = FIRST_WAIT * 2.0**attempt
    return min(max(asked, 0.0), LONGEST_WAIT)
