"""Runtimes: an exported folder transcribes clips through the program it is made for, greedily, in its full window, without fallback or filter.

Our own decoding stops a loop after one copy and bounds
the tokens by the length of the clip; the same rule is laid on what a runtime says.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speechadapt.audio.features import FULL_WINDOW
from speechadapt.audio.waveform import Waveform
from speechadapt.errors import ExportError, MissingExtraError, SpeechadaptError
from speechadapt.export.ggml_file import GGML_FILE
from speechadapt.export.whisper_cpp import transcribe_by_whisper_cpp
from speechadapt.models.decode import loop_length
from speechadapt.models.onnx_folder import OnnxWhisper, load_onnx
from speechadapt.models.speech_model import DecodeSettings, SpeechModel
from speechadapt.models.whisper import SPARE_TOKENS, TOKENS_PER_SECOND, WhisperModel
from speechadapt.provenance import package_version
from speechadapt.units import SAMPLING_RATE

SETTINGS = DecodeSettings(window="full", beam=1, precision="fp32")
"""How the source decodes: in float32, one clip at a time, as every runtime here does."""
DECODE = {
    "search": "greedy",
    "window": "full (30 s)",
    "temperature": 0.0,
    "fallback": False,
    "vad": False,
    "timestamps": False,
    "forbidden": "special tokens, and those that the generation config suppresses",
    "padding": "silence, up to the full window",
    "clips_at_once": 1,
    "most_tokens": f"{SPARE_TOKENS} and {TOKENS_PER_SECOND} per second",
    "loops": "cut to one copy",
}
CTC_DECODE = {"search": "best path", "window": "the clip itself", "clips_at_once": 1}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A loaded export.

    Attributes:
        transcribe: clips (float32, 16 kHz) to texts, one at a time.
        told: the program and its version.
        unpadded: the same with clips as short as they are, where the program fills them up with something else than silence.
    """

    transcribe: Callable[[Sequence[Waveform]], list[str]]
    told: str
    unpadded: Callable[[Sequence[Waveform]], list[str]] | None = None


def source_text(model: SpeechModel, waveform: Waveform) -> str:
    """What the source says: speechadapt's own decoding."""
    return model.decode([waveform], SETTINGS)[0].text


def open_runtime(target: str, folder: Path, model: SpeechModel, quantization: str) -> Runtime:
    """Load an export by the program it is made for.

    Args:
        target: merged, ctranslate2, onnx or ggml.
        folder: the export.
        model: the source, for language, task and token budgets.
        quantization: of the export.

    Raises:
        MissingExtraError: the program is not installed.
        ExportError: it cannot load the export.
    """
    opened = {"merged": _transformers, "ctranslate2": _faster_whisper, "onnx": _onnxruntime, "ggml": _whisper_cpp}[target]
    try:
        return opened(folder, model, quantization)
    except SpeechadaptError:
        raise
    except Exception as error:  # each program raises what it likes, and has to be told apart from a defect of ours by its own words
        raise ExportError(f"{target}: its runtime could not load the export ({_first_line(error)}).") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _each(transcribe: Callable[[Waveform], str]) -> Callable[[Sequence[Waveform]], list[str]]:
    return lambda waveforms: [transcribe(waveform) for waveform in waveforms]


def _budget(model: WhisperModel, waveform: Waveform) -> int:
    """As `WhisperModel.decode` bounds a clip's tokens."""
    room = int(model.whisper.config.max_target_positions) - (4 if model.multilingual else 2)
    return min(room, SPARE_TOKENS + round(TOKENS_PER_SECOND * len(waveform) / SAMPLING_RATE))


def _forbidden(model: WhisperModel) -> list[int]:
    """What `WhisperDecoder` forbids at every step: a base that was never asked for special tokens might still write them, and read them as text."""
    return sorted({*(model.settings.suppress_tokens or ()), *range(model.end + 1, int(model.whisper.config.vocab_size))})


def cut_loops(ids: Sequence[int]) -> list[int]:
    """Tokens up to where `models.decode.greedy` would have stopped for a loop, one copy of it kept."""
    for end in range(1, len(ids) + 1):
        if cut := loop_length(ids[:end]):
            return list(ids[: end - cut])
    return list(ids)


def _transformers(folder: Path, model: SpeechModel, quantization: str) -> Runtime:
    from transformers import AutoModelForCTC, AutoModelForSpeechSeq2Seq, AutoProcessor
    from transformers.utils import logging

    told = f"transformers {package_version('transformers')} (torch {package_version('torch')}), float32"
    logging.disable_progress_bar()
    processor = AutoProcessor.from_pretrained(folder)
    if not isinstance(model, WhisperModel):
        ctc = AutoModelForCTC.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()

        blank, kept = processor.tokenizer.pad_token_id, {processor.tokenizer.pad_token_id, processor.tokenizer.word_delimiter_token_id}
        others = torch.tensor([number for number in processor.tokenizer.all_special_ids if number not in kept], dtype=torch.int64)

        def best_path(waveform: Waveform) -> str:
            with torch.no_grad():
                given = processor(waveform, sampling_rate=SAMPLING_RATE, return_tensors="pt")
                ids = ctc(**given).logits.argmax(dim=-1)
            # its tokenizer would spell out <s> and </s>, which some bases have rows for and no trained one writes
            ids = ids.masked_fill(torch.isin(ids, others), blank)
            return str(processor.batch_decode(ids)[0]).strip()

        return Runtime(transcribe=_each(best_path), told=told)
    whisper = AutoModelForSpeechSeq2Seq.from_pretrained(folder, dtype=torch.float32).eval()
    asked = {"language": model.language, "task": model.task} if model.multilingual else {}
    end, forbidden = model.end, _forbidden(model)

    def transcribe(waveform: Waveform) -> str:
        given = processor(waveform, sampling_rate=SAMPLING_RATE, return_tensors="pt", return_attention_mask=True)
        with torch.no_grad(), _quiet(logging):
            ids = whisper.generate(
                **given,
                **asked,
                max_new_tokens=_budget(model, waveform),
                suppress_tokens=forbidden,
                num_beams=1,
                do_sample=False,
                return_timestamps=False,
            )
        text = [number for number in ids[0].tolist() if number < end]
        return str(processor.tokenizer.decode(cut_loops(text), skip_special_tokens=True, clean_up_tokenization_spaces=False)).strip()

    return Runtime(transcribe=_each(transcribe), told=told)


@contextlib.contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """It explains its own generation settings on every call."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _faster_whisper(folder: Path, model: SpeechModel, quantization: str) -> Runtime:
    try:
        import ctranslate2
        from faster_whisper import WhisperModel as FasterWhisper
    except ImportError as error:
        raise MissingExtraError("faster-whisper", "faster-whisper") from error
    source = _whisper(model)
    able = ctranslate2.get_supported_compute_types("cpu")
    kind = quantization if quantization in able else "int8_float32" if quantization.startswith("int8") else "float32"
    loaded = FasterWhisper(str(folder), device="cpu", compute_type=kind, cpu_threads=_threads())
    forbidden = _forbidden(source)

    def transcribe(waveform: Waveform) -> str:
        segments, _ = loaded.transcribe(
            waveform,
            language=source.language,
            task=source.task,
            beam_size=1,
            best_of=1,
            temperature=0.0,
            compression_ratio_threshold=None,
            log_prob_threshold=None,
            no_speech_threshold=None,
            condition_on_previous_text=False,
            without_timestamps=True,
            vad_filter=False,
            suppress_tokens=forbidden,
            max_new_tokens=_budget(source, waveform),
        )
        tokens = [number for segment in segments for number in segment.tokens if number < source.end]
        return str(source.tokenizer.decode(cut_loops(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)).strip()

    told = f"faster-whisper {package_version('faster-whisper')} (ctranslate2 {package_version('ctranslate2')}), compute type {kind} on cpu"
    # it fills up a short clip behind the mel filters, by zeros; silence is lower there, and silence is what the source heard
    return Runtime(transcribe=_each(lambda waveform: transcribe(_padded(waveform))), told=told, unpadded=_each(transcribe))


def _padded(waveform: Waveform) -> Waveform:
    """Silence behind a clip up to the full window."""
    return np.pad(waveform, (0, max(0, round(FULL_WINDOW * SAMPLING_RATE) - len(waveform))))


def _onnxruntime(folder: Path, model: SpeechModel, quantization: str) -> Runtime:
    loaded = load_onnx(folder, language=model.language if isinstance(model, WhisperModel) and model.multilingual else None)
    if isinstance(loaded, OnnxWhisper) and isinstance(model, WhisperModel):
        loaded.rules.task = model.task
    told = f"onnxruntime {package_version('onnxruntime')} on cpu, searched by speechadapt"
    return Runtime(transcribe=_each(lambda waveform: loaded.decode([waveform])[0].text), told=told)


def _whisper_cpp(folder: Path, model: SpeechModel, quantization: str) -> Runtime:
    if package_version("pywhispercpp") is None:
        raise MissingExtraError("pywhispercpp", "ggml")
    source = _whisper(model)
    settings: dict[str, Any] = {
        "language": source.language or "auto",
        "translate": source.task == "translate",
        "no_timestamps": True,
        "single_segment": True,
        "no_context": True,
        "temperature": 0.0,
        "temperature_inc": 0.0,
        "greedy": {"best_of": 1},
        "no_speech_thold": 1.0,
        "logprob_thold": -1000.0,
        "entropy_thold": 0.0,
        "suppress_blank": True,
        "suppress_nst": bool(source.settings.suppress_tokens),
    }

    def transcribe(waveforms: Sequence[Waveform]) -> list[str]:
        asked = [settings | {"max_tokens": _budget(source, waveform)} for waveform in waveforms]
        texts = transcribe_by_whisper_cpp(folder / GGML_FILE, waveforms, asked)
        return [_without_loops(source, text.strip()) for text in texts]

    return Runtime(transcribe=transcribe, told=f"whisper.cpp by pywhispercpp {package_version('pywhispercpp')} on cpu")


def _without_loops(source: WhisperModel, text: str) -> str:
    """`cut_loops` where only the text is shown; a text without a loop comes back as it is."""
    ids = source.tokenizer(f" {text}", add_special_tokens=False).input_ids
    kept = cut_loops(ids)
    if len(kept) == len(ids):
        return text
    return str(source.tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)).strip()


def _whisper(model: SpeechModel) -> WhisperModel:
    if not isinstance(model, WhisperModel):
        raise TypeError(type(model).__name__)
    return model


def _threads() -> int:
    """0 leaves it to the program."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() else 0
