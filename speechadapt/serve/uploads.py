"""What a client sent: the form read with its limits enforced while it arrives, and the recording in it looked at before any work."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Mapping
from typing import Any, BinaryIO

from speechadapt.audio.waveform import Recording, open_recording
from speechadapt.errors import AudioError, MissingExtraError
from speechadapt.serve.limits import Limits, RequestError, audio_too_long, upload_too_large
from speechadapt.units import SAMPLING_RATE, Seconds

try:
    from starlette.datastructures import FormData, UploadFile
    from starlette.formparsers import MultiPartException, MultiPartParser
    from starlette.requests import Request
except ImportError as error:
    raise MissingExtraError("FastAPI, which the server is built on,", "serve") from error

MOST_FIELDS = 64
MOST_FIELD = 64 << 10
"""Bytes of one text field, such as a prompt."""
SLOWEST = 4096
"""Bytes per second that a body must come at, once it has had the time of a header: one that trickles would keep its place from the others."""
MOST_CHANNELS = 64
MISSING: Seconds = 0.05
"""More than this promised by the header and not there is an upload that was cut short."""
UNKNOWN: Seconds = 1e8
"""A header that claims years was written by a program that did not know the length; then it is measured while reading."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A form that arrived whole: the text fields (lists under their name) and the file, in a temporary file that `close` removes."""

    fields: Mapping[str, list[str]]
    file: BinaryIO
    size: int
    _form: FormData

    async def close(self) -> None:
        """Remove the temporary file."""
        await self._form.close()


async def read_upload(request: Request, limits: Limits) -> Upload:
    """Read a `multipart/form-data` body; the file goes to a temporary file once it exceeds a megabyte.

    Raises:
        RequestError: 400 (not such a form, no file or several, broken or cut short), 408 (it did not arrive in time) or 413.
        ClientDisconnect: the client went away.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise RequestError(400, "the body is not multipart/form-data. Send the recording as the field file of a form.", code="invalid_form")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and (len(announced) > 18 or int(announced) > limits.max_upload):
        raise upload_too_large(limits.max_upload)
    try:
        async with asyncio.timeout(None) as end:
            body = _bounded(request, limits, end)
            parser = MultiPartParser(request.headers, body, max_files=1, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD)
            form = await parser.parse()
    except TimeoutError as error:
        told = f"the body did not arrive within {limits.upload_timeout:g} s, or at less than {SLOWEST} bytes per second. Send it again."
        raise RequestError(408, told, code="upload_timeout") from error
    except MultiPartException as error:
        raise RequestError(400, f"the form cannot be read ({error.message.rstrip('.')}). Send it again.", code="invalid_form") from error
    try:
        return _checked(form)
    except RequestError:
        await form.close()
        for unfinished in parser._files_to_close_on_error:  # a file that was cut short is in no form
            unfinished.close()
        raise


def _checked(form: FormData) -> Upload:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        found = "the form has no field file with a recording in it, or was cut short" if file is None else "the field file is text, not a file"
        raise RequestError(400, f"{found}. Send the recording as the file of the field file.", code="missing_file", param="file")
    fields: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, str):
            fields.setdefault(name, []).append(value)
    return Upload(fields=fields, file=file.file, size=file.size or 0, _form=form)


async def _bounded(request: Request, limits: Limits, end: asyncio.Timeout) -> AsyncGenerator[bytes, None]:
    """The body, until it is larger than allowed, whatever its header said; `end` is moved as long as it comes fast enough."""
    started, size = asyncio.get_running_loop().time(), 0
    end.reschedule(started + min(limits.upload_timeout, limits.header_timeout))
    async for chunk in request.stream():
        size += len(chunk)
        if size > limits.max_upload:
            raise upload_too_large(limits.max_upload)
        end.reschedule(started + min(limits.upload_timeout, limits.header_timeout + size / SLOWEST))
        yield chunk


def check_audio(file: BinaryIO, limits: Limits) -> Seconds:
    """Look at an upload before work begins, and return how many seconds it holds; the file stands at its start again.

    Args:
        file: open, from its start.
        limits: `max_duration` is that of the header, which libsndfile never reads beyond; where the header does not tell, it is measured.

    Raises:
        RequestError: 413, longer than allowed.
        AudioError: not audio, empty, cut short, or a header that nobody can mean.
    """
    if not file.read(1):
        raise AudioError("empty", "audio: zero bytes. Send a recording.")
    file.seek(0)
    try:
        with open_recording(file) as recording:  # type: ignore[arg-type]
            return _checked_duration(recording, limits)
    finally:
        file.seek(0)


def _checked_duration(recording: Recording, limits: Limits) -> Seconds:
    info, name = recording.info, recording.name
    if info.channels > MOST_CHANNELS:
        raise AudioError("not-audio", f"{name}: its header says {info.channels} channels, at most {MOST_CHANNELS} can be read. Write it again.")
    if info.missing > MISSING:
        raise AudioError("truncated", f"{name}: its header promises {info.missing:.1f} s more than were sent. Send the whole file again.")
    duration = info.duration if info.duration < UNKNOWN else _measured(recording, limits.max_duration)
    if duration > limits.max_duration:
        raise audio_too_long(limits.max_duration)
    return duration


def _measured(recording: Recording, most: Seconds) -> Seconds:
    samples = 0
    for block in recording.blocks():
        samples += len(block)
        if samples > most * SAMPLING_RATE:
            break
    return samples / SAMPLING_RATE


def field(fields: Mapping[str, list[str]], name: str) -> str | None:
    """The last value of a field, or None where it is not there or empty."""
    values = fields.get(name)
    return values[-1] if values and values[-1] != "" else None


def number(fields: Mapping[str, list[str]], name: str, low: float, high: float) -> float | None:
    """A number in a field.

    Raises:
        RequestError: 400, not a number from `low` to `high`.
    """
    given = field(fields, name)
    if given is None:
        return None
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise RequestError(400, f'{name} is "{given[:40]}", must be a number from {low:g} to {high:g}.', code="invalid_value", param=name)
    return value


def choice(fields: Mapping[str, list[str]], name: str, allowed: tuple[str, ...]) -> str | None:
    """One of some words in a field.

    Raises:
        RequestError: 400, another one.
    """
    given = field(fields, name)
    if given is not None and given not in allowed:
        raise RequestError(400, f'{name} is "{given[:40]}", must be one of {", ".join(allowed)}.', code="invalid_value", param=name)
    return given


def words(fields: Mapping[str, list[str]], name: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Several of some words, as `name[]` sent once for each (which is how OpenAI's clients send lists), or `name`.

    Raises:
        RequestError: 400, another one.
    """
    found: list[Any] = [*fields.get(f"{name}[]", ()), *fields.get(name, ())]
    for given in found:
        if given not in allowed:
            raise RequestError(400, f'{name} is "{given[:40]}", must be of {", ".join(allowed)}.', code="invalid_value", param=name)
    return tuple(dict.fromkeys(found))
