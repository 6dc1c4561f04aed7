"""BaseModel, and SpeechModel: the contract every family of recognizers fulfils for training, decoding and saving."""

import abc
import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from speechadapt.audio.augment import mask_spectrogram, mask_waveform
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
        source: embedded, folder, cache, hub or offline package.
    """

    id: str
    revision: str
    folder: Path
    source: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """Something wrong with a training: in a sentence with advice, and whether to stop for it or to go on and tell it at the end."""

    told: str
    stop: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a clip: its text, `start` and `end` in seconds from the clip's first sample, and its mean probability, 0 to 1."""

    text: str
    start: Seconds
    end: Seconds
    probability: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a model said for one clip.

    Attributes:
        text: raw, as the model wrote it.
        avg_logprob: mean natural-log probability per emitted token, at most 0.
        words: with their times, where `DecodeSettings.words` asked for them; else empty.
        no_speech: the probability, 0 to 1, that nobody speaks in the clip, as Whisper itself judges it; None for other families.
        language: code of the language it was decoded as; detected where none was set; None where the family does not tell.
    """

    text: str
    avg_logprob: float
    words: tuple[Word, ...] = ()
    no_speech: float | None = None
    language: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DecodeSettings:
    """How to decode.

    Attributes:
        window: `full` pads every clip to the model's own 30 s; `short` shows the encoder the batch's longest clip and a margin,
            which only an adapted model can stand.
        beam: 1 is greedy.
        batch_seconds: padded seconds of audio decoded at once.
        precision: of the encoder: auto (bf16 where the device is fast in it, else fp32), fp32 or bf16. Token choices are made in fp32.
        words: whether to tell when each word was said.
        language: of a multilingual Whisper, instead of the one it was loaded for; None keeps that one, or detects it where there is none.
        prompt: text that the model is to believe was said before, for names and spelling (Whisper); its last 223 tokens are used.
        temperature: 0 takes the likeliest token; above it, up to 1, tokens are drawn, the more freely the higher (Whisper, not with a beam).
        seed: of the draws; the same seed draws the same text, whatever else is in the batch.
        lm: an n-gram language model (KenLM's binary or ARPA) that a CTC beam search asks as well; needs the extra `lm`.
        lm_weight, word_score: weight of the language model against the audio, and what each word adds, both in natural-log units.
    """

    window: str = "full"
    beam: int = 1
    batch_seconds: Seconds = 240.0
    precision: str = "auto"
    words: bool = False
    language: str | None = None
    prompt: str | None = None
    temperature: float = 0.0
    seed: int = 0
    lm: str | None = None
    lm_weight: float = 1.0
    word_score: float = 0.0

    def with_given(self, **fields: Any) -> "DecodeSettings":
        """These settings with those of `fields` that are not None."""
        return dataclasses.replace(self, **{name: value for name, value in fields.items() if value is not None})

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What a network says of a batch with the transcripts given: the training loss is made of it.

    Attributes:
        logits: float32, shape (positions, tokens): frames (CTC) or label tokens (Whisper) of all rows, one row after the other, without padding.
        lengths: positions of each row; their sum is `logits.shape[0]`.
    """

    logits: torch.Tensor
    lengths: tuple[int, ...]


class SpeechModel(abc.ABC):
    """A recognizer, perhaps with an adapter inside.

    Attributes:
        base: which weights.
        network: the torch module; a `PeftModel` once adapted.
        family: `whisper` or `ctc`.
        sampling_rate: of the waveforms it takes, in Hz.
        longest: seconds it can hear at once.
        padded_to: seconds every clip is padded to in the full window; None where a clip is padded to the longest of its batch alone.
        windows: the windows it can decode in, `("full", "short")` or, where clips are never padded further, `("full",)`.
        adapted: whether an adapter is inside, which allows the short window.
        language: code of the language it writes, such as `en`; None where it detects one per clip or where the text alone decides.
        task: the task token, `transcribe` or `translate`; None where there is none.
        infinite: utterance ids to the number of times their training loss was infinite and left out.
    """

    base: BaseModel
    network: torch.nn.Module
    family: str
    sampling_rate: Hertz
    longest: Seconds
    padded_to: Seconds | None
    windows: tuple[str, ...]
    adapted: bool
    language: str | None
    task: str | None
    infinite: Counter[str]

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.network.parameters()).device

    @property
    def head(self) -> str:
        """The output layer: `kept` as the base has it, `extended` by new rows, or `new`. A head that is not kept is trained and saved whole."""
        return "kept"

    @property
    def kept_tokens(self) -> int | None:
        """How many of the first tokens of the output layer are the base's own: 0 where it is new, None where it is kept."""
        return None

    @property
    def saved_modules(self) -> list[str]:
        """Names of modules that are trained and saved whole beside the adapter's matrices (PEFT's `modules_to_save`)."""
        return []

    @property
    def whole_modules(self) -> list[str]:
        """Names of the modules that together hold every weight, for the method `full`; empty where the family does not offer it."""
        return []

    def fit_vocabulary(self, texts: Sequence[str], *, vocabulary: str = "auto", rare: int = 1) -> tuple[str, ...]:
        """Make the output layer able to write the training texts, before training; families with a vocabulary of word pieces need nothing.

        Args:
            texts: of the training manifest alone: characters taken from a test set would be a leak.
            vocabulary: `auto` (keep what covers the texts, else extend, build where there is none), `keep`, `extend` or `new`.
            rare: characters that occur less often than this are reported and left out.

        Returns:
            Sentences for the user: what was kept, added, and left out as rare.

        Raises:
            TrainingError: the texts leave an empty vocabulary.
            MisuseError: another word than the four.
        """
        return ()

    def save_vocabulary(self, folder: Path) -> None:  # noqa: B027 - nothing to write is a right answer
        """Write into an adapter folder what a stranger needs to read the output layer, where it is not the base's own."""

    def load_vocabulary(self, folder: Path) -> None:  # noqa: B027 - likewise
        """Take the output layer's shape from an adapter folder, before its weights are loaded.

        Raises:
            AdapterError: the vocabulary is missing, broken or of another size than the adapter's output layer.
        """

    @abc.abstractmethod
    def peft_targets(self, targets: str) -> list[str] | str:
        """What a role such as `attention+mlp` is called in PEFT's `target_modules`: endings of names, or a pattern of whole names."""

    @abc.abstractmethod
    def make_labels(self, text: str, utterance_id: str) -> list[int]:
        """Token ids to be predicted for a transcript, the end included where the family has one.

        Raises:
            LabelError: the transcript has more tokens than the model can emit, or characters that it has no token for.
        """

    def unusable(self, samples: int, labels: Sequence[int]) -> str | None:
        """Why a clip of so many samples (16 kHz) cannot be learned with these labels, in a few words to be counted by; None if it can."""
        return f"longer than {self.longest:.0f} s" if samples > self.longest * self.sampling_rate else None

    @abc.abstractmethod
    def make_batch(
        self, ids: Sequence[str], waveforms: Sequence[Waveform], labels: Sequence[Sequence[int]], *, window_seconds: Seconds | None
    ) -> Batch:
        """Waveforms (float32, shape (samples,), 16 kHz) and labels to padded tensors.

        Args:
            window_seconds: what the encoder sees; None is the model's full window. Families without a window pad to the longest clip.
        """

    def mask(self, batch: Batch, *, time_masks: int, time_mask_share: float, freq_masks: int, freq_mask_bins: int) -> Batch:
        """SpecAugment on what the network is fed with, drawn from torch's global generator; see `audio.augment`.

        transformers' own masks, inside its networks, are switched off.

        Args:
            time_masks, time_mask_share: how many, and the longest as a share of the clip.
            freq_masks, freq_mask_bins: how many, and the highest in mel bins (of 80).
        """
        if not (time_masks or freq_masks):
            return batch
        wanted: dict[str, Any] = {
            "time_masks": time_masks,
            "time_mask_share": time_mask_share,
            "freq_masks": freq_masks,
            "freq_mask_bins": freq_mask_bins,
        }
        masked = batch.inputs.clone()
        for row, length in enumerate(batch.input_lengths.tolist()):
            if batch.inputs.dim() == 3:
                masked[row] = mask_spectrogram(batch.inputs[row], length, **wanted)
            else:
                masked[row, :length] = mask_waveform(batch.inputs[row, :length], **wanted)
        return dataclasses.replace(batch, inputs=masked)

    @abc.abstractmethod
    def predict(self, batch: Batch) -> Predictions:
        """What the network says of every frame or label token of a batch with labels."""

    @abc.abstractmethod
    def loss_of(self, predictions: Predictions, batch: Batch, label_smoothing: float = 0.0) -> torch.Tensor:
        """The training loss, a scalar: the sum over the batch divided by its label tokens. Utterances with an infinite loss count as 0
        and are told in `infinite`."""

    def loss(self, batch: Batch, label_smoothing: float = 0.0) -> torch.Tensor:
        """`loss_of` what the network predicts."""
        return self.loss_of(self.predict(batch), batch, label_smoothing)

    def forget_losses(self) -> None:
        """Begin to count anew what `infinite` and `symptom` are about: a training starts."""
        self.infinite.clear()

    def symptom(self, step: int) -> Symptom | None:
        """What the losses since the last call say is wrong with the training; None if nothing is.

        Args:
            step: optimizer steps done. Asked at every checkpoint.
        """
        return None

    @abc.abstractmethod
    def decode(self, waveforms: Sequence[Waveform], settings: DecodeSettings) -> list[Decoded]:
        """Transcribe one batch of clips (float32, shape (samples,), 16 kHz), each at most `longest` seconds."""
