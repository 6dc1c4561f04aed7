"""Batches by seconds of audio: clips of like duration together, in an order that depends on the seed and the epoch alone."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from speechadapt.units import Seconds


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Named tensors, one row per utterance.

    Attributes:
        ids: the utterances.
        inputs: float32, shape (batch, mels, frames) or (batch, samples).
        input_lengths: int64, shape (batch,): frames or samples that are not padding.
        labels: int64, shape (batch, tokens); -100 is padding.
    """

    ids: tuple[str, ...]
    inputs: torch.Tensor
    input_lengths: torch.Tensor
    labels: torch.Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return dataclasses.replace(self, inputs=self.inputs.to(device), input_lengths=self.input_lengths.to(device), labels=self.labels.to(device))


def pad_labels(labels: Sequence[Sequence[int]]) -> torch.Tensor:
    """Rows of token ids to int64, shape (batch, longest), filled with -100."""
    padded = torch.full((len(labels), max(map(len, labels))), -100, dtype=torch.int64)
    for row, ids in enumerate(labels):
        padded[row, : len(ids)] = torch.as_tensor(ids, dtype=torch.int64)
    return padded


def batches_for_decoding(durations: Sequence[Seconds], batch_seconds: Seconds, padded_to: Seconds | None = None) -> list[list[int]]:
    """Group clips for decoding, longest first so that a memory problem shows at once.

    Args:
        durations: seconds per clip.
        batch_seconds: padded seconds a batch may hold; a longer clip stands alone.
        padded_to: what every clip is padded to; None means the longest of its batch.

    Returns:
        Indices into `durations`, each once.
    """
    order = sorted(range(len(durations)), key=lambda index: (-durations[index], index))
    batches: list[list[int]] = []
    for index in order:
        width = padded_to or (durations[batches[-1][0]] if batches else durations[index])
        if not batches or (len(batches[-1]) + 1) * width > batch_seconds:
            batches.append([])
        batches[-1].append(index)
    return batches


def batches_for_training(durations: Sequence[Seconds], batch_seconds: Seconds, *, seed: int, epoch: int) -> list[list[int]]:
    """One epoch of batches: shuffled, bucketed by duration, cut by seconds, and shuffled again.

    Buckets are made by sorting on duration with a little noise, so that neighbours change from epoch to epoch while padding
    stays small.

    Args:
        durations: seconds per clip.
        batch_seconds: padded seconds a batch may hold; a longer clip stands alone.
        seed, epoch: the same pair gives the same batches.

    Returns:
        Indices into `durations`, each once.
    """
    random = np.random.default_rng([seed, epoch, 0xBA7C4])
    lengths = np.asarray(durations, dtype=np.float64)
    order = np.argsort(lengths * random.uniform(0.85, 1.15, len(lengths)), kind="stable")
    batches: list[list[int]] = [[]]
    longest = 0.0
    for index in order:
        longest = max(longest, lengths[index])
        if batches[-1] and (len(batches[-1]) + 1) * longest > batch_seconds:
            batches.append([])
            longest = lengths[index]
        batches[-1].append(int(index))
    return [batches[i] for i in random.permutation(len(batches))] if batches[0] else []
