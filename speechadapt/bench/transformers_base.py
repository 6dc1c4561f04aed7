"""A base that speechadapt loads, with or without an adapter, as a recognizer of a benchmark."""

import contextlib
from collections.abc import Sequence
from typing import Any

import torch

from speechadapt.adapt.adapter import load_adapter, merged, read_adapter
from speechadapt.audio.batching import batches_for_decoding
from speechadapt.audio.waveform import Waveform
from speechadapt.bench.recognizer import Clip, Recognizer, Said
from speechadapt.bench.systems import System, TransformersSystem
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.transcriber import check_settings


def load(system: System) -> Recognizer:
    """Load base and adapter; the adapter is merged into the weights, as it would be to be used.

    Raises:
        ModelError, AdapterError: they cannot be used.
        MisuseError: a language or device that does not exist, or a setting that the family has no use for.
    """
    given = system.settings
    if not isinstance(given, TransformersSystem):
        raise TypeError(f"settings of {type(given).__name__}")
    facts = read_adapter(given.adapter) if given.adapter else None
    base, language = given.base or (facts.base_id if facts else ""), given.language or (facts.language if facts else None)
    model = load_model(base, revision=given.revision, language=language, device=given.device)
    settings = DecodeSettings(
        window=given.window,
        beam=given.beam,
        batch_seconds=given.batch_seconds,
        precision=given.precision,
        lm=str(given.lm) if given.lm else None,
        lm_weight=given.lm_weight,
        word_score=given.word_score,
    )
    check_settings(model, settings)
    merge = contextlib.ExitStack()
    if facts is not None:
        load_adapter(model, facts.folder)
        merge.enter_context(merged(model))
    padded_to = model.padded_to if settings.window == "full" else None

    def decode(waveforms: Sequence[Waveform]) -> list[Said]:
        return [Said(text=one.text, avg_logprob=round(one.avg_logprob, 4)) for one in model.decode(waveforms, settings)]

    def prepare(clips: Sequence[Clip]) -> list[Waveform]:
        return [clip.waveform() for clip in clips]

    def batches(durations: Sequence[float]) -> list[list[int]]:
        return batches_for_decoding(durations, settings.batch_seconds, padded_to)

    told: dict[str, Any] = {
        "base": model.base.id,
        "revision": model.base.revision,
        "source": model.base.source,
        "family": model.family,
        "language": model.language,
        "device": str(model.device),
        "decode": settings.to_json(),
    }
    if facts is not None:
        told["adapter"] = {"weights_sha256": facts.weights_sha256, "base_id": facts.base_id, "accent": facts.accent}
    return Recognizer(
        prepare=prepare,
        decode=decode,
        batches=batches,
        facts=told,
        longest=model.longest,
        memory=lambda: _gpu_memory(model.device),
        close=merge.close,
    )


def _gpu_memory(device: torch.device) -> dict[str, int]:
    return {str(device): int(torch.cuda.max_memory_reserved(device))} if device.type == "cuda" else {}
