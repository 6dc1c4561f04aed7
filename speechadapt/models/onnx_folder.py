"""Run a folder of ONNX graphs by onnxruntime: a CTC model, or a Whisper in the layout of Optimum, greedy, without the torch network.

The processor's files lie beside the graphs, as `save_pretrained` writes them. Clips are run one by one: a graph may or may not know about
padding, and a clip alone needs none.
"""

import os
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from speechadapt.audio.features import FULL_WINDOW, log_mel, window_frames
from speechadapt.audio.filterbank import filterbanks
from speechadapt.audio.waveform import Waveform
from speechadapt.errors import MissingExtraError, MisuseError, ModelError, SpeechadaptError
from speechadapt.files import read_json
from speechadapt.models.ctc import LONGEST, best_path
from speechadapt.models.decode import Decoder, greedy
from speechadapt.models.speech_model import BaseModel, Decoded
from speechadapt.models.vocabulary import read_vocabulary
from speechadapt.models.whisper import SPARE_TOKENS, TOKENS_PER_SECOND, WhisperModel
from speechadapt.units import SAMPLING_RATE, Seconds

CTC_GRAPH = "model.onnx"
ENCODER_GRAPH, DECODER_GRAPH = "encoder_model.onnx", "decoder_model.onnx"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
LEAST_SAMPLES = 400
"""What the convolutions of wav2vec 2.0 and its relatives need for one frame."""


class OnnxCTC:
    """A CTC graph: `input_values` (batch, samples), or `input_features` (batch, frames, values), to `logits` (batch, frames, tokens)."""

    family = "ctc"
    longest: Seconds = LONGEST

    def __init__(self, folder: Path, *, provider: str) -> None:
        """See `load_onnx`."""
        self.folder = folder
        self._session = _session(folder / CTC_GRAPH, provider)
        self._inputs = [one.name for one in self._session.get_inputs()]
        known = {"input_values", "input_features", "attention_mask"}
        if not set(self._inputs) <= known or not {"input_values", "input_features"} & set(self._inputs):
            raise ModelError(
                f"{folder / CTC_GRAPH}: its inputs are {', '.join(self._inputs)}, expected input_values or input_features, and perhaps "
                "attention_mask. Export it again as Optimum does."
            )
        settings = _object(folder / "preprocessor_config.json")
        if (rate := settings.get("sampling_rate", SAMPLING_RATE)) != SAMPLING_RATE:
            raise ModelError(f"{folder}: was trained on audio of {rate} Hz, speechadapt gives {SAMPLING_RATE} Hz. Choose another model.")
        self._normalize = bool(settings.get("do_normalize", True))
        self._mels, self._stride = int(settings.get("num_mel_bins", 80)), int(settings.get("stride", 2))
        rows = self._session.get_outputs()[0].shape[-1]
        if not isinstance(rows, int):
            rows = int(self._logits(np.zeros(SAMPLING_RATE, dtype=np.float32)).shape[-1])
        self._vocabulary = read_vocabulary(folder, rows)

    def decode(self, waveforms: Sequence[Waveform]) -> list[Decoded]:
        """Transcribe clips (float32, shape (samples,), 16 kHz), each at most `longest` seconds."""
        found = []
        for waveform in waveforms:
            logits = torch.from_numpy(self._logits(waveform))
            ids, score = best_path(torch.log_softmax(logits, dim=-1), self._vocabulary.blank)
            found.append(Decoded(text=self._vocabulary.decode(ids), avg_logprob=score))
        return found

    def _logits(self, waveform: Waveform) -> NDArray[np.float32]:
        """float32, shape (frames, tokens)."""
        if "input_features" in self._inputs:
            least = 2 * SAMPLING_RATE // 100 + LEAST_SAMPLES
            features, _ = filterbanks([_padded(waveform, least)], self._mels, self._stride)
            mels, frames = features.shape[1:]
            value = features[0].T.reshape(1, frames // self._stride, mels * self._stride).numpy()
            mask = np.ones(value.shape[:2], dtype=np.int64)
            fed = {"input_features": value, "attention_mask": mask}
        else:
            samples = _padded(waveform, LEAST_SAMPLES)
            if self._normalize:
                samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
            value = samples[None].astype(np.float32)
            fed = {"input_values": value, "attention_mask": np.ones(value.shape, dtype=np.int64)}
        logits: NDArray[np.float32] = _run(self._session, {name: fed[name] for name in self._inputs}, self.folder / CTC_GRAPH)
        alone: NDArray[np.float32] = logits[0].astype(np.float32)
        return alone


class OnnxWhisper:
    """`encoder_model.onnx`: `input_features` (batch, mels, 3000) to states; `decoder_model.onnx`: `input_ids` and `encoder_hidden_states` to logits.

    The decoder graph without a cache is asked with the whole text each time, which costs the square of its length.
    """

    family = "whisper"
    longest: Seconds = FULL_WINDOW

    def __init__(self, folder: Path, *, language: str | None, provider: str) -> None:
        """See `load_onnx`."""
        from transformers import GenerationConfig, WhisperConfig, WhisperTokenizer

        self.folder = folder
        self.encoder, self.decoder = (_session(folder / name, provider) for name in (ENCODER_GRAPH, DECODER_GRAPH))
        try:
            # what WhisperModel reads of a network to build prompts; there is no network here
            network = types.SimpleNamespace(config=WhisperConfig.from_pretrained(folder), generation_config=GenerationConfig.from_pretrained(folder))
            tokenizer = WhisperTokenizer.from_pretrained(folder)
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{folder}: {str(error).splitlines()[0]} Copy the config and tokenizer files from the original model.") from error
        self._base = BaseModel(id=str(folder), revision="onnx", folder=folder, source="folder (ONNX)")
        self.rules = WhisperModel(self._base, network, tokenizer, language=language, task="transcribe")
        self.positions = int(network.config.max_target_positions)

    def decode(self, waveforms: Sequence[Waveform]) -> list[Decoded]:
        """Transcribe clips (float32, shape (samples,), 16 kHz), each at most `longest` seconds, in the 30 s window."""
        return [self._one(waveform) for waveform in waveforms]

    def _one(self, waveform: Waveform) -> Decoded:
        features = log_mel([waveform], self.rules.mels, window_frames(FULL_WINDOW)).numpy()
        states = _run(self.encoder, {"input_features": features}, self.folder / ENCODER_GRAPH)
        prompt = self.rules.prompt if self.rules.language is not None else self._detected(states)
        budget = min(self.positions - len(prompt), SPARE_TOKENS + round(TOKENS_PER_SECOND * len(waveform) / SAMPLING_RATE))
        (result,) = greedy(_GraphDecoder(self, states), torch.tensor([prompt]), self.rules.end, [budget])
        text = self.rules.tokenizer.decode(result.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return Decoded(text=text.strip(), avg_logprob=result.logprob / result.emitted)

    def _detected(self, states: NDArray[np.float32]) -> list[int]:
        """The prompt with the likeliest language token, as `WhisperModel` detects it."""
        start, settings = int(self.rules.whisper.config.decoder_start_token_id), self.rules.settings
        logits = self.logits(np.array([[start]]), states)
        languages = sorted(settings.lang_to_id.values())
        chosen = languages[int(logits[languages].argmax())]
        return [start, chosen, settings.task_to_id[self.rules.task], settings.no_timestamps_token_id]

    def logits(self, ids: NDArray[np.int64], states: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32, shape (vocabulary,): of what follows the tokens `ids`, shape (1, length)."""
        fed = {"input_ids": ids.astype(np.int64), "encoder_hidden_states": states}
        found: NDArray[np.float32] = _run(self.decoder, fed, self.folder / DECODER_GRAPH)
        last: NDArray[np.float32] = found[0, -1].astype(np.float32)
        return last


class _GraphDecoder(Decoder):
    """One clip's text so far, asked of a graph that keeps nothing."""

    def __init__(self, model: OnnxWhisper, states: NDArray[np.float32]) -> None:
        self.model = model
        self.states = states
        self.ids: list[int] = []
        self.first = True

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        self.ids += tokens[0].tolist()
        logits = torch.from_numpy(self.model.logits(np.array([self.ids]), self.states))
        rules = self.model.rules
        logits[rules.end + 1 :] = -torch.inf  # as WhisperDecoder forbids them
        logits[list(rules.settings.suppress_tokens or [])] = -torch.inf
        if self.first:
            logits[list(rules.settings.begin_suppress_tokens or [])] = -torch.inf
            self.first = False
        return logits[None]

    def keep_clips(self, clips: torch.Tensor) -> None:
        """There is one."""

    def reorder(self, rows: torch.Tensor) -> None:
        """There is one row."""


def load_onnx(folder: Path, *, language: str | None = None, provider: str = "cpu") -> OnnxCTC | OnnxWhisper:
    """Load the graphs of a folder.

    Args:
        folder: with `model.onnx` (CTC), or `encoder_model.onnx` and `decoder_model.onnx` (Whisper), and the processor's files.
        language: of a multilingual Whisper; None detects it per clip.
        provider: cpu or cuda.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ModelError: a file is missing, broken, or of another layout.
        MisuseError: a language or provider that does not exist here.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder. Give a folder with ONNX graphs.")
    if (folder / CTC_GRAPH).is_file():
        if language is not None and _object(folder / "config.json").get("model_type") == "whisper":
            raise ModelError(f"{folder}: holds a Whisper as {CTC_GRAPH}. Export it as {ENCODER_GRAPH} and {DECODER_GRAPH}, as Optimum does.")
        return OnnxCTC(folder, provider=provider)
    missing = [name for name in (ENCODER_GRAPH, DECODER_GRAPH) if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder}: neither {CTC_GRAPH} (CTC) nor {' nor '.join(missing)} (Whisper) in it. Give a folder that Optimum exported.")
    return OnnxWhisper(folder, language=language, provider=provider)


def _session(path: Path, provider: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "onnx") from error
    wanted = PROVIDERS[provider]
    if wanted not in onnxruntime.get_available_providers():
        raise MisuseError(f'provider is "{provider}", which this onnxruntime does not have. Install onnxruntime-gpu, or use cpu.')
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads := int(os.environ.get("OMP_NUM_THREADS") or 0):
        options.intra_op_num_threads = threads  # onnxruntime does not ask the variable itself
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[wanted])
    except Exception as error:  # of onnxruntime's own kinds, which have no common parent
        raise ModelError(f"{path}: could not be loaded ({str(error).splitlines()[0][:200]}). Export it again.") from error


def _run(session: Any, fed: dict[str, Any], path: Path) -> Any:
    """The first output."""
    try:
        return session.run(None, fed)[0]
    except Exception as error:  # likewise
        raise ModelError(f"{path}: could not be run ({str(error).splitlines()[0][:200]}). Export it again as Optimum does.") from error


def _object(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except SpeechadaptError as error:
        raise ModelError(f"{error} The processor's files of the original model belong beside the graphs.") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path}: not a JSON object. Copy it from the original model.")
    return found


def _padded(waveform: Waveform, least: int) -> Waveform:
    return waveform if len(waveform) >= least else np.pad(waveform, (0, least - len(waveform)))
