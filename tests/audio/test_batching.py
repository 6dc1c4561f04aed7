"""Batches by seconds: each clip once, bounded, the same for the same seed and epoch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.audio.batching import Batch, batches_for_decoding, batches_for_training, pad_labels

durations = st.lists(st.floats(0.1, 30.0), min_size=1, max_size=60)


@given(durations, st.floats(1, 200), st.integers(0, 5), st.integers(0, 5))
def test_training_batches_hold_every_clip_once_and_are_bounded(seconds: list[float], limit: float, seed: int, epoch: int) -> None:
    batches = batches_for_training(seconds, limit, seed=seed, epoch=epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(seconds)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(seconds[index] for index in batch) <= limit


@given(durations, st.floats(1, 200), st.one_of(st.none(), st.just(30.0)))
def test_decoding_batches_hold_every_clip_once_and_are_bounded(seconds: list[float], limit: float, padded_to: float | None) -> None:
    batches = batches_for_decoding(seconds, limit, padded_to)
    assert sorted(index for batch in batches for index in batch) == list(range(len(seconds)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * (padded_to or max(seconds[index] for index in batch)) <= limit


def test_decoding_starts_with_the_longest() -> None:
    assert batches_for_decoding([1.0, 5.0, 3.0, 5.0], 10.0) == [[1, 3], [2, 0]]
    assert batches_for_decoding([], 10.0) == []


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    seconds = np.random.default_rng(0).uniform(1, 15, 200).tolist()
    first = batches_for_training(seconds, 60, seed=1, epoch=0)
    assert batches_for_training(seconds, 60, seed=1, epoch=0) == first
    for other in (batches_for_training(seconds, 60, seed=1, epoch=1), batches_for_training(seconds, 60, seed=2, epoch=0)):
        assert other != first
        assert {frozenset(batch) for batch in other} != {frozenset(batch) for batch in first}, "other neighbours too, not only another order"


def test_little_of_a_training_batch_is_padding() -> None:
    """That is what buckets are for: drawn at random, a third of these batches would be padding."""
    seconds = np.random.default_rng(0).uniform(1, 15, 400)
    batches = batches_for_training(seconds.tolist(), 60, seed=0, epoch=0)
    padded = sum(len(batch) * seconds[batch].max() for batch in batches)
    assert 1 - seconds.sum() / padded < 0.15
    assert not np.array_equal([seconds[b].max() for b in batches], sorted(seconds[b].max() for b in batches)), "short and long batches mix"


def test_nothing_to_batch() -> None:
    assert batches_for_training([], 60, seed=0, epoch=0) == []


def test_pad_labels() -> None:
    padded = pad_labels([[5, 6, 7], [8], [9, 1]])
    assert padded.tolist() == [[5, 6, 7], [8, -100, -100], [9, 1, -100]]
    assert padded.dtype == torch.int64


def test_a_batch_moves_whole() -> None:
    batch = Batch(ids=("a",), inputs=torch.zeros(1, 80, 8), input_lengths=torch.tensor([8]), labels=torch.tensor([[1]]))
    moved = batch.to(torch.device("meta"))
    assert {moved.inputs.device.type, moved.input_lengths.device.type, moved.labels.device.type} == {"meta"}
    assert moved.ids == ("a",)
    with pytest.raises(AttributeError):
        moved.ids = ("b",)  # type: ignore[misc]
