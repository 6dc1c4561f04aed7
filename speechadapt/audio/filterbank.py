"""Kaldi's log-mel filter bank, normalized per clip: what w2v-BERT hears; equal to transformers' SeamlessM4T extractor.

Computed in double precision, because the logarithm of a nearly silent bin would show float32's rounding of the loud ones.
"""

import functools
from collections.abc import Sequence

import torch

from speechadapt.audio.waveform import Waveform
from speechadapt.units import SAMPLING_RATE, Hertz

WINDOW_SAMPLES = 400  # 25 ms
HOP_SAMPLES = 160  # 10 ms per frame
FFT_SAMPLES = 512
LOWEST: Hertz = 20
PREEMPHASIS = 0.97
PCM_SCALE = 32_768.0  # Kaldi's sums begin with 16-bit integers
FLOOR = 2.0**-23  # float32's epsilon, Kaldi's floor under the logarithm


def filterbank(waveform: Waveform, mels: int) -> torch.Tensor:
    """Log energies of one clip, each mel bin with zero mean and unit variance over the clip.

    Args:
        waveform: float32, shape (samples,), 16 kHz, at least two frames (560 samples).
        mels: bins between 20 Hz and 8 kHz.

    Returns:
        float32, shape (mels, frames); whole windows only, so 1 + (samples - 400) // 160 frames.
    """
    frames = (torch.from_numpy(waveform).double() * PCM_SCALE).unfold(0, WINDOW_SAMPLES, HOP_SAMPLES)
    frames = frames - frames.mean(dim=1, keepdim=True)
    frames = frames - PREEMPHASIS * torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    spectrum = torch.fft.rfft(frames * _window(), FFT_SAMPLES)
    levels = (_filters(mels) @ (spectrum.real.square() + spectrum.imag.square()).T).clamp_(min=FLOOR).log_()
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


@functools.cache
def _window() -> torch.Tensor:
    """Povey's: Hann's to the power of 0.85."""
    return torch.hann_window(WINDOW_SAMPLES, periodic=False, dtype=torch.float64) ** 0.85


@functools.cache
def _filters(mels: int) -> torch.Tensor:
    """float64, shape (mels, bins of the spectrum): triangles on the mel scale."""
    places = torch.linspace(_mel(torch.tensor(float(LOWEST))), _mel(torch.tensor(SAMPLING_RATE / 2)), mels + 2, dtype=torch.float64)[:, None]
    bins = _mel(torch.arange(FFT_SAMPLES // 2 + 1, dtype=torch.float64) * SAMPLING_RATE / FFT_SAMPLES)
    rise = (bins - places[:-2]) / (places[1:-1] - places[:-2])
    fall = (places[2:] - bins) / (places[2:] - places[1:-1])
    return torch.minimum(rise, fall).clamp_(min=0)


def _mel(hertz: torch.Tensor) -> torch.Tensor:
    return 1127 * torch.log1p(hertz.double() / 700)
