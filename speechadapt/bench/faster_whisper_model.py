"""A CTranslate2 Whisper run by faster-whisper as a recognizer of a benchmark."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speechadapt.audio.waveform import Waveform
from speechadapt.bench.recognizer import Clip, Recognizer, Said
from speechadapt.bench.systems import FasterWhisperSystem, System
from speechadapt.errors import MissingExtraError, MisuseError, ModelError


def load(system: System) -> Recognizer:
    """Load the model.

    Raises:
        MissingExtraError: faster-whisper is not installed.
        ModelError: the model is not there, or CTranslate2 cannot run it this way on this machine.
        MisuseError: a language that the model does not know.
    """
    given = system.settings
    if not isinstance(given, FasterWhisperSystem):
        raise TypeError(f"settings of {type(given).__name__}")
    try:
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise MissingExtraError("faster-whisper", "faster-whisper") from error
    if Path(given.model).is_absolute() and not (Path(given.model) / "model.bin").is_file():
        raise ModelError(f"{given.model}: no model.bin in it. Give a folder that ct2-transformers-converter has made.")
    threads = int(os.environ.get("OMP_NUM_THREADS", "0") or 0)
    try:
        model = WhisperModel(given.model, device=given.device, compute_type=given.compute_type, cpu_threads=threads)
    except Exception as error:  # CTranslate2 and the Hub's client raise what they like
        raise ModelError(
            f"{given.model}: could not be loaded by faster-whisper ({str(error).splitlines()[0]}). Check the model and device."
        ) from error
    if given.language is not None and given.language not in model.supported_languages:
        raise MisuseError(
            f"language is {given.language!r}, but {given.model} knows {', '.join(sorted(model.supported_languages))}. Choose one of them."
        )

    def prepare(clips: Sequence[Clip]) -> list[Waveform]:
        return [clip.waveform() for clip in clips]

    def decode(waveforms: Sequence[Waveform]) -> list[Said]:
        return [_said(model, waveform, given) for waveform in waveforms]

    facts = {
        "model": given.model,
        "compute_type": str(model.model.compute_type),
        "device": str(model.model.device),
        "decode": {"beam": given.beam, "temperature": 0.0, "vad": given.vad, "window": "full"},
    }
    return Recognizer(prepare=prepare, decode=decode, facts=facts)


def _said(model: Any, waveform: Waveform, given: FasterWhisperSystem) -> Said:
    segments, _ = model.transcribe(
        waveform,
        language=given.language,
        beam_size=given.beam,
        temperature=0.0,
        vad_filter=given.vad,
        without_timestamps=True,
        condition_on_previous_text=False,
    )
    found = list(segments)  # it decodes while it is read
    tokens = sum(len(segment.tokens) for segment in found)
    mean = sum(segment.avg_logprob * len(segment.tokens) for segment in found) / tokens if tokens else None
    text = " ".join(segment.text.strip() for segment in found)
    return Said(text=text.strip(), avg_logprob=None if mean is None or not math.isfinite(mean) else round(mean, 4))
