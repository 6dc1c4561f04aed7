"""The library at its plainest: a whole model per adapter, decoded one clip at a time. What a batch of many adapters must agree with."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speechadapt.models.speech_model import Decoded, DecodeSettings
from speechadapt.transcriber import Transcriber


class PlainLibrary:
    """Same doors as `AdapterLibrary`."""

    def __init__(self, base: str, adapters: Mapping[str, Path], **options: Any) -> None:
        self._transcribers = {name: Transcriber(base, adapter=folder, device="cpu", **options) for name, folder in adapters.items()}
        self._base = Transcriber(base, device="cpu", **options)
        self.model = self._base.model
        self._turn = threading.Lock()

    @property
    def names(self) -> Sequence[str]:
        return tuple(self._transcribers)

    @property
    def loaded(self) -> Sequence[str]:
        return self.names

    def decode(self, waveforms: Sequence[Any], adapters: Sequence[str | None], settings: DecodeSettings | None = None) -> list[Decoded]:
        with self._turn:
            models = [self._base if name is None else self._transcribers[name] for name in adapters]
            return [model.decode([one], settings)[0] for model, one in zip(models, waveforms, strict=True)]
