"""Kaldi's filter bank: equal to transformers' extractor for w2v-BERT, and padded with each bin's mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from transformers import SeamlessM4TFeatureExtractor

from speechadapt.audio.filterbank import filterbank, filterbanks

if TYPE_CHECKING:
    from conftest import Tone


@pytest.mark.parametrize("samples", [2_000, 16_000, 16_159, 40_000])
def test_equal_to_transformers(samples: int, tone: Tone) -> None:
    waveform = tone(samples / 16_000, seed=samples)
    theirs = SeamlessM4TFeatureExtractor(stride=1)(waveform, sampling_rate=16_000, pad_to_multiple_of=1, return_tensors="pt").input_features[0]
    ours = filterbank(waveform, 80)
    assert ours.dtype == torch.float32
    # theirs rounds the levels (up to 20) to float32 before it takes their mean: 2e-6 each, and a bin that hardly moves in a clip of a few
    # frames is divided by a small deviation; another processor's FFT gave 1.3e-5
    torch.testing.assert_close(ours.T, theirs, atol=5e-5, rtol=0)


def test_a_batch_is_cut_to_whole_groups_and_padded_with_the_mean(tone: Tone) -> None:
    waveforms = [tone(1.0, seed=1), tone(0.535, seed=2)]  # 98 and 52 frames, of which three divide 96 and 51
    features, lengths = filterbanks(waveforms, 80, 3)
    assert lengths.tolist() == [96, 51]
    assert features.shape == (2, 80, 96)
    assert torch.equal(features[1, :, :51], filterbank(waveforms[1], 80)[:, :51])
    assert not features[1, :, 51:].any()


def test_silence_gives_numbers() -> None:
    assert torch.isfinite(filterbank(np.zeros(16_000, dtype=np.float32), 80)).all()
