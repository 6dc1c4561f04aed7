"""What stands behind the server's endpoints: who may ask, for what, and the way of a recording through the queue to its text."""

import asyncio
import dataclasses
import hmac
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from speechadapt.audio.waveform import Waveform
from speechadapt.errors import MisuseError
from speechadapt.models.speech_model import Decoded, DecodeSettings, SpeechModel
from speechadapt.serve.answers import FORMATS, GRANULARITIES
from speechadapt.serve.batching import WAIT, Batcher, GoneError, Ticket
from speechadapt.serve.limits import Limits, RequestError, Room
from speechadapt.serve.live import Start
from speechadapt.serve.metrics import Metrics
from speechadapt.serve.streaming import StreamingTranscriber
from speechadapt.serve.uploads import Upload, check_audio, choice, field, number, words
from speechadapt.transcriber import Transcript, check_settings, transcribe_long
from speechadapt.units import Seconds

T = TypeVar("T")

BASE = "base"
"""The name under which every base model can be asked for."""


class Library(Protocol):
    """What the server needs of `AdapterLibrary`: a base model in memory, adapters by name, and batches that mix them."""

    model: SpeechModel

    @property
    def names(self) -> Sequence[str]:
        """Of the adapters."""

    @property
    def loaded(self) -> Sequence[str]:
        """Of those in memory at this moment."""

    def decode(self, waveforms: Sequence[Waveform], adapters: Sequence[str | None], settings: DecodeSettings | None = None) -> list[Decoded]:
        """Decode one batch, each waveform with its adapter or, for None, with the base."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a request asks for: the adapter (None is the base), the name it was asked for by, how to decode, and what to answer with."""

    adapter: str | None
    name: str
    settings: DecodeSettings
    form: str = "json"
    timestamps: str | None = None
    granularities: tuple[str, ...] = ()
    stream: bool = False
    ignored: tuple[str, ...] = ()


class Service:
    """The work behind the endpoints: who may ask, for what, and the way of a recording through the queue to its text."""

    def __init__(
        self,
        library: Library,
        *,
        limits: Limits | None = None,
        settings: DecodeSettings | None = None,
        token: str | None = None,
        vad: bool | None = None,
        batch_seconds: Seconds = 60.0,
        wait: Seconds = WAIT,
        most: int = 64,
    ) -> None:
        """Args:
            library: the models.
            limits: None takes the defaults.
            settings: how to decode; `window` is that of adapted models, the base is always heard in its full window.
            vad: see `Transcriber`.
            token: that clients must show; None lets everyone in.
            batch_seconds, wait, most: see `Batcher`; `most=1` decodes one request at a time.

        Raises:
            MisuseError: the model has no such window, or an adapter bears the base's name.
        """
        self.library = library
        self.limits = limits or Limits()
        self.settings = dataclasses.replace(settings or DecodeSettings(), batch_seconds=batch_seconds)
        check_settings(library.model, dataclasses.replace(self.settings, window="full"))
        if self.settings.window not in library.model.windows:
            check_settings(library.model, self.settings)
        self.token = token
        self.vad = vad
        self.base_id = _public(library.model.base.id)
        taken = {BASE, self.base_id} & set(library.names)
        if taken:
            raise MisuseError(f'an adapter is named "{min(taken)}", which is the name of the base model. Give it another name.')
        self.room = Room(self.limits)
        self.batcher = Batcher(
            library.decode,
            batch_seconds=batch_seconds,
            padded_to=library.model.padded_to,
            wait=wait,
            most=most,
            queue=self.limits.queue,
            observe=lambda pieces, audio, seconds: self.metrics.batch(pieces, audio, seconds),
        )
        self.metrics = Metrics(
            waiting=lambda: self.batcher.waiting,
            working=lambda: self.room.requests,
            adapters=lambda: len(library.loaded),
        )
        self.stopping = False
        self.created = int(time.time())
        self._pool = ThreadPoolExecutor(max_workers=self.limits.max_concurrent + 16, thread_name_prefix="speechadapt-request")

    def stop(self) -> None:
        """From now on new requests are sent away."""
        self.stopping = True

    def close(self) -> None:
        """End the threads; what still waits for the model is given up."""
        self.stopping = True
        self.batcher.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def must_be_allowed(self, shown: str | None) -> None:
        """Compare a token in constant time.

        Raises:
            RequestError: 401.
        """
        if self.token is not None and not hmac.compare_digest((shown or "").encode(), self.token.encode()):
            told = "no token was sent" if not shown else "the token is not the right one"
            raise RequestError(401, f"{told}. Send it as the header Authorization: Bearer TOKEN.", code="invalid_api_key")

    def models(self) -> list[dict[str, Any]]:
        """What `model` may be, as OpenAI lists models: the base, then the adapters, with the base as their `parent` (as vLLM tells it)."""
        shared = {"object": "model", "created": self.created, "owned_by": "speechadapt"}
        return [{"id": self.base_id, **shared, "parent": None}, *({"id": name, **shared, "parent": self.base_id} for name in self.library.names)]

    def adapter(self, name: str) -> str | None:
        """The adapter that a model's name means; None is the base. Names are looked up among those loaded, and nowhere else.

        Raises:
            RequestError: 404.
        """
        if name in (BASE, self.base_id):
            return None
        if name in self.library.names:
            return name
        known = ", ".join([BASE, self.base_id, *self.library.names][:20])
        raise RequestError(404, f'there is no model "{name[:80]}". There is: {known}.', code="model_not_found", param="model")

    def decode_settings(self, adapter: str | None, *, language: str | None, prompt: str | None, temperature: float) -> DecodeSettings:
        """The server's settings with those of a request.

        Raises:
            MisuseError: the model has no such language, or cannot do what is asked.
        """
        window = self.settings.window if adapter is not None else "full"
        settings = dataclasses.replace(self.settings, window=window, language=language, prompt=prompt, temperature=temperature)
        check_settings(self.library.model, settings)
        return settings

    def wish(self, upload: Upload) -> Wish:
        """Read the fields of a form.

        Raises:
            RequestError: 400 or 404, a field that cannot mean anything or an unknown model.
            MisuseError: see `decode_settings`.
        """
        name = field(upload.fields, "model")
        if name is None:
            told = "the field model is missing. Name the base or an adapter; GET /v1/models lists them."
            raise RequestError(400, told, code="missing", param="model")
        adapter = self.adapter(name)
        form = choice(upload.fields, "response_format", FORMATS) or "json"
        stream = choice(upload.fields, "stream", ("true", "false", "True", "False")) in ("true", "True")
        if stream and form not in ("json", "text"):
            told = f"stream sends text alone, {form} holds more than that. Leave stream out, or ask for json."
            raise RequestError(400, told, code="invalid_value", param="stream")
        granularities = words(upload.fields, "timestamp_granularities", GRANULARITIES)
        temperature = number(upload.fields, "temperature", 0.0, 1.0) or 0.0
        language, prompt = field(upload.fields, "language"), field(upload.fields, "prompt")
        ignored: tuple[str, ...] = ()
        if self.library.model.family == "ctc":  # hears only letters: there is nothing in it that could be asked for these
            given = {"language": language, "prompt": prompt, "temperature": temperature}
            ignored = tuple(one for one, value in given.items() if value)
            language, prompt, temperature = None, None, 0.0
        by_word = form in ("srt", "vtt") or (form == "verbose_json" and "word" in granularities)
        return Wish(
            adapter=adapter,
            name=adapter or self.base_id,
            settings=self.decode_settings(adapter, language=language, prompt=prompt, temperature=temperature),
            form=form,
            timestamps="word" if by_word else "segment" if form == "verbose_json" else None,
            granularities=granularities,
            stream=stream,
            ignored=ignored,
        )

    def submit(self, upload: Upload, wish: Wish, ticket: Ticket) -> "Future[Transcript]":
        """Read and transcribe a recording on a thread of its own; its temporary file is removed when it is done, however it ends."""

        def decode(waveforms: Sequence[Waveform], settings: DecodeSettings) -> list[Decoded]:
            return self.batcher.decode(waveforms, adapter=wish.adapter, settings=settings, ticket=ticket)

        def work() -> Transcript:
            if ticket.cancelled:
                raise GoneError
            check_audio(upload.file, self.limits)
            model = self.library.model
            return transcribe_long(
                decode, cast(Any, upload.file), settings=wish.settings, longest=model.longest, padded_to=model.padded_to, timestamps=wish.timestamps,
                vad=self.vad, adapter=wish.adapter,
            )  # fmt: skip

        future = self._pool.submit(work)
        future.add_done_callback(lambda _: upload.file.close())
        return future

    def stream(self, start: Start, ticket: Ticket) -> tuple[str, StreamingTranscriber]:
        """The model's name for a live stream, and what its samples are fed to; decoding goes through the queue.

        Raises:
            RequestError: 404 or 503.
            MisuseError: see `decode_settings`.
        """
        self.batcher.must_have_room()
        adapter = None if start.model is None else self.adapter(start.model)
        language, prompt = (None, None) if self.library.model.family == "ctc" else (start.language, start.prompt)
        settings = self.decode_settings(adapter, language=language, prompt=prompt, temperature=0.0)
        queue = _Queued(self.library.model, self.batcher, ticket)
        live = StreamingTranscriber(queue, adapter=adapter, sampling_rate=start.sampling_rate, settings=settings, vad=self.vad)
        return adapter or self.base_id, live

    async def run(self, work: Callable[[], T]) -> T:
        """Do something that takes time on one of the threads for requests."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


class _Queued:
    """The library as one stream sees it: what it decodes waits its turn with everyone else's."""

    def __init__(self, model: SpeechModel, batcher: Batcher, ticket: Ticket) -> None:
        self.model, self._batcher, self._ticket = model, batcher, ticket

    def decode(self, waveforms: Sequence[Waveform], adapters: Sequence[str | None], settings: DecodeSettings | None = None) -> list[Decoded]:
        return self._batcher.decode(waveforms, adapter=adapters[0], settings=settings or DecodeSettings(), ticket=self._ticket)


def _public(base_id: str) -> str:
    """A base in a folder is called by the folder's name: where it lies is nobody's business."""
    return Path(base_id).name or BASE if Path(base_id).is_dir() else base_id
