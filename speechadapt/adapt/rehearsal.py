"""Rehearsal: rows of speech that the base serves already, trained on beside the accent, and how far the adapter may move away from the base on them.

Transcripts alone hold a base only loosely: it may forget whatever the few rehearsed transcripts do not ask for. The base's own output, whole
distributions and not just the likeliest token, says far more per clip (learning without forgetting, Li and Hoiem 2016; rehearsal, Robins 1995).
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper

from speechadapt.adapt.spec import FamilySettings
from speechadapt.audio.batching import Batch
from speechadapt.models.speech_model import Predictions, SpeechModel


class Rehearsal:
    """The training loss of a model with an adapter inside, with what holds it near its base on the rows of replay."""

    def __init__(self, model: SpeechModel, settings: FamilySettings, replayed: Collection[str]) -> None:
        """Args:
        model: with an adapter inside.
        settings: with `replay_divergence`, the weight of the divergence.
        replayed: ids of the rows of replay.
        """
        self.model = model
        self.settings = settings
        # a new output layer writes other tokens than the base's, so there is nothing to stay near to
        wanted = settings.replay_divergence > 0 and model.kept_tokens != 0
        self.replayed = frozenset(replayed) if wanted else frozenset()
        modules = list(model.network.modules())
        # asked for once: PEFT's own `disable_adapter` walks through the whole network twice, which took a twelfth of a step
        self._adapters: list[Any] = [module for module in modules if isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper)]
        self._modules = modules

    def loss(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The loss of the transcripts, and what the adapter has moved away from the base on the replayed rows.

        Args:
            batch: on the model's device.

        Returns:
            Two scalars per label token of the batch; the second is None where no row is replayed, or the divergence has no weight.
        """
        predictions = self.model.predict(batch)
        loss = self.model.loss_of(predictions, batch, self.settings.label_smoothing)
        rows = [place for place, utterance in enumerate(batch.ids) if utterance in self.replayed]
        if not rows:
            return loss, None
        with self.base():
            base = self.model.predict(take_rows(batch, rows))
        tokens = int((batch.labels != -100).sum())
        return loss, divergence(base, take_positions(predictions, rows), self.model.kept_tokens) / tokens

    @contextlib.contextmanager
    def base(self) -> Iterator[None]:
        """Within the block the model is its base: adapter off, no dropout, no gradients."""
        training = [module for module in self._modules if module.training]
        for module in training:
            module.training = False
        for adapter in self._adapters:
            adapter._disable_adapters = True
        try:
            with torch.no_grad():
                yield
        finally:
            for adapter in self._adapters:
                adapter._disable_adapters = False
            for module in training:
                module.training = True


def divergence(base: Predictions, adapted: Predictions, tokens: int | None = None) -> torch.Tensor:
    """Kullback and Leibler's divergence of the adapted model's distributions from the base's, summed over positions, in nats.

    Args:
        base, adapted: of the same rows.
        tokens: how many of the first tokens the base knows; None is all. The base gives the others no probability.
    """
    target = torch.log_softmax(base.logits[:, :tokens], dim=-1)
    ours = torch.log_softmax(adapted.logits, dim=-1)[:, :tokens]
    return torch.nn.functional.kl_div(ours, target, reduction="sum", log_target=True)


def take_rows(batch: Batch, rows: Sequence[int]) -> Batch:
    """Some rows of a batch, as wide as it was."""
    index = torch.tensor(rows, device=batch.inputs.device)
    return Batch(
        ids=tuple(batch.ids[row] for row in rows),
        inputs=batch.inputs[index],
        input_lengths=batch.input_lengths[index],
        labels=batch.labels[index],
    )


def take_positions(predictions: Predictions, rows: Sequence[int]) -> Predictions:
    """The predictions of some rows."""
    parts = torch.split(predictions.logits, list(predictions.lengths))
    return Predictions(logits=torch.cat([parts[row] for row in rows]), lengths=tuple(predictions.lengths[row] for row in rows))
