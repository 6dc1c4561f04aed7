"""Kaldi's log-mel filter bank, normalized per clip: what w2v-BERT hears; equal to transformers' SeamlessM4T extractor."""

from collections.abc import Sequence

import torch
import torchaudio

from speechadapt.audio.waveform import Waveform
from speechadapt.units import SAMPLING_RATE

WINDOW_SAMPLES = 400  # 25 ms
HOP_SAMPLES = 160  # 10 ms per frame
PCM_SCALE = 32_768.0  # Kaldi's sums begin with 16-bit integers


def filterbank(waveform: Waveform, mels: int) -> torch.Tensor:
    """Log energies of one clip, each mel bin with zero mean and unit variance over the clip.

    Args:
        waveform: float32, shape (samples,), 16 kHz, at least two frames (560 samples).
        mels: bins between 20 Hz and 8 kHz.

    Returns:
        float32, shape (mels, frames); whole windows only, so 1 + (samples - 400) // 160 frames.
    """
    # double, because the logarithm of a nearly silent bin would show float32's rounding of the loud ones
    scaled = torch.from_numpy(waveform)[None].double() * PCM_SCALE
    levels = torchaudio.compliance.kaldi.fbank(
        scaled, num_mel_bins=mels, sample_frequency=SAMPLING_RATE, low_freq=20.0, window_type="povey", preemphasis_coefficient=0.97
    ).T
    normed: torch.Tensor = (levels - levels.mean(dim=1, keepdim=True)) / torch.sqrt(levels.var(dim=1, keepdim=True) + 1e-7)
    return normed.float()


def filterbanks(waveforms: Sequence[Waveform], mels: int, multiple: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The filter banks of a batch, padded with zeros, which are each bin's mean.

    Args:
        waveforms: float32, shape (samples,) each.
        mels: bins.
        multiple: frames are cut to a multiple of this, since the network reads them in groups.

    Returns:
        float32, shape (batch, mels, frames), and int64, shape (batch,): the frames that are not padding.
    """
    features = [filterbank(waveform, mels) for waveform in waveforms]
    lengths = [feature.shape[1] // multiple * multiple for feature in features]
    padded = torch.zeros(len(features), mels, max(lengths))
    for row, (feature, length) in enumerate(zip(features, lengths, strict=True)):
        padded[row, :, :length] = feature[:, :length]
    return padded, torch.tensor(lengths, dtype=torch.int64)
