"""AdapterSpec and TrainSettings: what is wished for, as frozen values a recipe can print and a run can record."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from speechadapt.errors import MisuseError
from speechadapt.models.vocabulary_choice import VOCABULARIES
from speechadapt.units import Seconds

METHODS = ("lora", "rslora", "dora", "full")
TARGETS = ("attention", "attention+mlp", "encoder", "decoder")
PRECISIONS = ("auto", "fp32", "bf16")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSpec:
    """The adapter that is wished for.

    Attributes:
        method: lora (Hu et al. 2021), rslora (Kalajdzievski 2023: scale alpha / sqrt(rank)), dora (Liu et al. 2024), or `full`: every
            weight is trained and the adapter carries them all (CTC models; rank, alpha, dropout and targets are of no account).
        rank: rank of the update, 1 to 1024.
        alpha: the update is scaled by alpha / rank.
        dropout: on the adapter's input, 0 to 0.9. SpecAugment and speed perturbation regularize cheaper.
        targets: which matrices, by role: `attention`, `attention+mlp` (both halves of the network), or `attention+mlp` of
            the `encoder` or `decoder` alone.
        vocabulary: of CTC models: `auto` (keep the base's where it covers the training text, else extend it, build one where there is none),
            `keep`, `extend` or `new`. Models that write word pieces have nothing to fit.
        rare: characters that occur less often than this in the training text are left out of a new or extended vocabulary, and reported.
    """

    method: str = "lora"
    rank: int = 32
    alpha: float = 64.0
    dropout: float = 0.0
    targets: str = "attention+mlp"
    vocabulary: str = "auto"
    rare: int = 1

    def __post_init__(self) -> None:
        _one_of("method", self.method, METHODS)
        _one_of("targets", self.targets, TARGETS)
        _within("rank", self.rank, 1, 1024)
        _within("alpha", self.alpha, 1e-3, 4096)
        _within("dropout", self.dropout, 0, 0.9)
        _one_of("vocabulary", self.vocabulary, VOCABULARIES)
        _within("rare", self.rare, 1, 1_000_000)

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return dataclasses.asdict(self)


FAMILY_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "whisper": {
        "epochs": 5.0,
        "batch_seconds": 64.0,
        "learning_rate": 4e-4,
        "speed_perturb": (0.85, 0.93, 1.0, 1.08, 1.18),
        "time_masks": 2,
        "time_mask_share": 0.1,
        "freq_masks": 2,
        "freq_mask_bins": 20,
        "average_decay": 0.97,
        "label_smoothing": 0.1,
        "replay_divergence": 0.0,
    },
    "ctc": {
        "epochs": 5.0,
        "batch_seconds": 64.0,
        "learning_rate": 1e-3,
        # milder than Whisper's: on a small base the masks above kept the loss at three times what it was without (docs/log.md)
        "speed_perturb": (0.93, 1.0, 1.08),
        "time_masks": 2,
        "time_mask_share": 0.05,
        "freq_masks": 0,
        "freq_mask_bins": 20,
        "average_decay": 0.97,
        "label_smoothing": 0.0,
        "replay_divergence": 1.0,
    },
}
"""What a field of `TrainSettings` that is None stands for, per model family."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How to train. A field that is None takes the model family's own value, see `FAMILY_DEFAULTS` and `for_family`.

    Attributes:
        steps: optimizer steps, fixed before the start; None means `epochs` passes, in every family.
        epochs: passes over the training manifest, used when `steps` is None.
        batch_seconds: seconds of audio per optimizer step.
        accumulate: parts a step's batch is cut into to save memory.
        learning_rate: peak, after warm-up.
        warmup_share: share of the steps spent rising; the rest falls linearly to `final_share` of the peak.
        final_share: learning rate at the last step as a share of the peak.
        weight_decay: of AdamW, on the adapter's matrices.
        max_grad_norm: gradients above are scaled down to it.
        margin_seconds: silence behind the longest clip of a batch, drawn uniformly from 0 to this (families with a short window).
        full_window_share: share of the clips for which the encoder sees the model's whole 30 s window, so that the adapter stays good in it
            (families with a short window).
        speed_perturb: speed factors a clip is drawn from (Ko et al. 2015); (1.0,) turns it off.
        time_masks, time_mask_share, freq_masks, freq_mask_bins: SpecAugment (Park et al. 2019): number of masks, longest mask as
            a share of the clip, number of masks, highest mask in mel bins.
        average_decay: the adapter that ships is a moving average over the last about 1 / (1 - this) steps (Polyak averaging), 0 to 0.9999;
            0 ships the last weights.
        label_smoothing: share of the target spread over the vocabulary, 0 to 0.5.
        replay_divergence: weight of what the adapter moves away from the base's own output on the rows of replay, added to the loss (learning
            without forgetting, Li and Hoiem 2016), 0 to 100; of no account without replay, or where the output layer is new.
        evaluate_every: steps between checkpoints with a dev score; None means ten over the run.
        precision: auto (bf16 where the device is fast in it, else fp32), fp32 or bf16. The adapter's own weights are always fp32.
        gradient_checkpointing: recompute activations to save memory.
        seed: of order, margins, masks and speeds; every step's randomness depends on it and the step number alone.
    """

    steps: int | None = None
    epochs: float | None = None
    batch_seconds: Seconds | None = None
    accumulate: int = 1
    learning_rate: float | None = None
    warmup_share: float = 0.1
    final_share: float = 0.02
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    margin_seconds: Seconds = 1.0
    full_window_share: float = 0.12
    speed_perturb: tuple[float, ...] | None = None
    time_masks: int | None = None
    time_mask_share: float | None = None
    freq_masks: int | None = None
    freq_mask_bins: int | None = None
    average_decay: float | None = None
    label_smoothing: float | None = None
    replay_divergence: float | None = None
    evaluate_every: int | None = None
    precision: str = "auto"
    gradient_checkpointing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _within("steps", self.steps, 1, 10_000_000)
        _within("evaluate_every", self.evaluate_every, 1, 10_000_000)
        _within("epochs", self.epochs, 0.01, 10_000)
        _within("batch_seconds", self.batch_seconds, 1, 100_000)
        _within("accumulate", self.accumulate, 1, 1024)
        _within("learning_rate", self.learning_rate, 1e-8, 1)
        _within("warmup_share", self.warmup_share, 0, 1)
        _within("final_share", self.final_share, 0, 1)
        _within("weight_decay", self.weight_decay, 0, 1)
        _within("max_grad_norm", self.max_grad_norm, 1e-6, 1e6)
        _within("margin_seconds", self.margin_seconds, 0, 29)
        _within("full_window_share", self.full_window_share, 0, 1)
        for factor in self.speed_perturb or ():
            _within("speed_perturb", factor, 0.5, 2)
        if self.speed_perturb is not None and not self.speed_perturb:
            raise MisuseError("setting speed_perturb is empty, must hold at least one factor. Use (1.0,) to turn it off.")
        _within("time_masks", self.time_masks, 0, 20)
        _within("time_mask_share", self.time_mask_share, 0, 0.5)
        _within("freq_masks", self.freq_masks, 0, 20)
        _within("freq_mask_bins", self.freq_mask_bins, 0, 60)
        _within("average_decay", self.average_decay, 0, 0.9999)
        _within("label_smoothing", self.label_smoothing, 0, 0.5)
        _within("replay_divergence", self.replay_divergence, 0, 100)
        _one_of("precision", self.precision, PRECISIONS)

    def for_family(self, family: str) -> "FamilySettings":
        """The same settings with the family's own value in every field that was left to it; what training uses and runs record.

        Args:
            family: of the model, a key of `FAMILY_DEFAULTS`.
        """
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return FamilySettings(**(given | {name: value for name, value in FAMILY_DEFAULTS[family].items() if given[name] is None}))

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FamilySettings(TrainSettings):
    """`TrainSettings` with nothing left to the family. Made by `TrainSettings.for_family`."""

    epochs: float
    batch_seconds: Seconds
    learning_rate: float
    speed_perturb: tuple[float, ...]
    time_masks: int
    time_mask_share: float
    freq_masks: int
    freq_mask_bins: int
    average_decay: float
    label_smoothing: float
    replay_divergence: float


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise MisuseError(f'setting {name} is "{value}", must be one of: {", ".join(allowed)}. Correct the setting.')


def _within(name: str, value: float | None, lowest: float, highest: float) -> None:
    if value is not None and not lowest <= value <= highest:
        raise MisuseError(f"setting {name} is {value}, must be from {lowest} to {highest}. Correct the setting.")
