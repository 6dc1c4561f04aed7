"""BaseModel, and SpeechModel: the contract every family of recognizers fulfils for training, decoding and saving."""

import abc
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from speechadapt.audio.batching import Batch
from speechadapt.audio.waveform import Waveform
from speechadapt.units import Hertz, Seconds

WINDOWS = ("full", "short")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BaseModel:
    """Which pretrained model, exactly.

    Attributes:
        id: as the user named it: a Hub id such as `openai/whisper-tiny.en`, or a folder.
        revision: the Hub's commit, or `sha256:...` of the weights for folders and offline packages. Never empty.
        folder: where the files lie now.
        source: folder, cache, hub or offline package.
    """

    id: str
    revision: str
    folder: Path
    source: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a model said for one clip: raw text, and the mean natural-log probability per emitted token (at most 0)."""

    text: str
    avg_logprob: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DecodeSettings:
    """How to decode.

    Attributes:
        window: `full` pads every clip to the model's own 30 s; `short` shows the encoder the batch's longest clip and a margin,
            which only an adapted model can stand.
        beam: 1 is greedy.
        batch_seconds: padded seconds of audio decoded at once.
        precision: of the encoder: auto (bf16 where the device is fast in it, else fp32), fp32 or bf16. Token choices are made in fp32.
    """

    window: str = "full"
    beam: int = 1
    batch_seconds: Seconds = 240.0
    precision: str = "auto"

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return dataclasses.asdict(self)


class SpeechModel(abc.ABC):
    """A recognizer, perhaps with an adapter inside.

    Attributes:
        base: which weights.
        network: the torch module; a `PeftModel` once adapted.
        family: `whisper` or `ctc`.
        sampling_rate: of the waveforms it takes, in Hz.
        longest: seconds it can hear at once.
        adapted: whether an adapter is inside, which allows the short window.
        language: code of the language it writes, such as `en`; None where it detects one per clip.
    """

    base: BaseModel
    network: torch.nn.Module
    family: str
    sampling_rate: Hertz
    longest: Seconds
    adapted: bool
    language: str | None

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.network.parameters()).device

    @abc.abstractmethod
    def peft_targets(self, targets: str) -> list[str] | str:
        """What a role such as `attention+mlp` is called in PEFT's `target_modules`: endings of names, or a pattern of whole names."""

    @abc.abstractmethod
    def make_labels(self, text: str, utterance_id: str) -> list[int]:
        """Token ids to be predicted for a transcript, the end included.

        Raises:
            TrainingError: the transcript has more tokens than the model can emit.
        """

    @abc.abstractmethod
    def make_batch(
        self, ids: Sequence[str], waveforms: Sequence[Waveform], labels: Sequence[Sequence[int]], *, window_seconds: Seconds | None
    ) -> Batch:
        """Waveforms (float32, shape (samples,), 16 kHz) and labels to padded tensors.

        Args:
            window_seconds: what the encoder sees; None is the model's full window.
        """

    @abc.abstractmethod
    def loss(self, batch: Batch, label_smoothing: float = 0.0) -> torch.Tensor:
        """The training loss, a scalar: mean over the batch's label tokens."""

    @abc.abstractmethod
    def decode(self, waveforms: Sequence[Waveform], settings: DecodeSettings) -> list[Decoded]:
        """Transcribe one batch of clips (float32, shape (samples,), 16 kHz), each at most `longest` seconds."""
