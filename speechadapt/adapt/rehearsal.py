"""Rehearsal: rows of speech that the base serves already, trained on beside the accent, and how far the adapter may move away from the base on them.

Transcripts alone hold a base only loosely: it may forget whatever the few rehearsed transcripts do not ask for. The base's own output, whole
distributions and not just the likeliest token, says far more per clip (learning without forgetting, Li and Hoiem 2016; rehearsal, Robins 1995).
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch

from speechadapt.adapt.spec import FamilySettings
from speechadapt.audio.batching import Batch
from speechadapt.models.speech_model import Predictions, SpeechModel


def training_loss(model: SpeechModel, batch: Batch, settings: FamilySettings, replayed: Collection[str]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The loss of the transcripts, and what the adapter has moved away from the base on the replayed rows.

    Args:
        model: with an adapter inside, in training mode.
        batch: on the model's device.
        settings: with `replay_divergence`, the weight that the second is added with.
        replayed: ids of the rows of replay.

    Returns:
        Two scalars per label token of the batch: the loss, and the divergence (None where it is not asked for or no row is replayed).
    """
    predictions = model.predict(batch)
    loss = model.loss_of(predictions, batch, settings.label_smoothing)
    rows = [place for place, utterance in enumerate(batch.ids) if utterance in replayed]
    if not (rows and settings.replay_divergence):
        return loss, None
    with the_base(model):
        base = model.predict(take_rows(batch, rows))
    tokens = int((batch.labels != -100).sum())
    return loss, divergence(base, take_positions(predictions, rows), model.kept_tokens) / tokens


def divergence(base: Predictions, adapted: Predictions, tokens: int | None = None) -> torch.Tensor:
    """Kullback and Leibler's divergence of the adapted model's distributions from the base's, summed over positions, in nats.

    Args:
        base, adapted: of the same rows.
        tokens: how many of the first tokens the base knows; None is all. The base gives the others no probability.
    """
    target = torch.log_softmax(base.logits[:, :tokens], dim=-1)
    ours = torch.log_softmax(adapted.logits, dim=-1)[:, :tokens]
    return torch.nn.functional.kl_div(ours, target, reduction="sum", log_target=True)


@contextlib.contextmanager
def the_base(model: SpeechModel) -> Iterator[None]:
    """Within the block the model is its base: adapter off, no dropout, no gradients."""
    network: Any = model.network
    training = network.training
    network.eval()
    try:
        with torch.no_grad(), network.disable_adapter():
            yield
    finally:
        network.train(training)


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
