"""Whisper's log-mel spectrogram in torch, for any window length; equal to transformers' extractor on its 30 s."""

import functools
import math
from collections.abc import Sequence

import torch
import torchaudio

from speechadapt.audio.waveform import Waveform
from speechadapt.units import SAMPLING_RATE, Seconds

FFT_SAMPLES = 400  # 25 ms
HOP_SAMPLES = 160  # 10 ms per frame
FRAMES_PER_SECOND = SAMPLING_RATE // HOP_SAMPLES
FULL_WINDOW: Seconds = 30.0


def window_frames(seconds: Seconds) -> int:
    """Mel frames of a window, rounded up to whole steps of 80 ms so that batches repeat few shapes, at most the full window's 3000."""
    return min(math.ceil(seconds * FRAMES_PER_SECOND / 8) * 8, round(FULL_WINDOW * FRAMES_PER_SECOND))


def log_mel(waveforms: Sequence[Waveform], mels: int, frames: int) -> torch.Tensor:
    """Log-mel spectrograms of clips padded with silence to one length.

    The floor at 8 dB-tens below a clip's maximum and the scaling are OpenAI's (Radford et al. 2022, whisper/audio.py).

    Args:
        waveforms: float32, shape (samples,), 16 kHz, in [-1, 1]; longer ones are cut to `frames`.
        mels: 80, or 128 for large-v3 and its children.
        frames: of 10 ms, padding included.

    Returns:
        float32, shape (batch, mels, frames), about -1 to 1.5.
    """
    samples = frames * HOP_SAMPLES
    padded = torch.zeros(len(waveforms), samples)
    for row, waveform in enumerate(waveforms):
        kept = torch.from_numpy(waveform[:samples])
        padded[row, : len(kept)] = kept
    spectrum = torch.stft(padded, FFT_SAMPLES, HOP_SAMPLES, window=_hann(), return_complex=True)[..., :-1]
    power = spectrum.real.square() + spectrum.imag.square()
    levels = (mel_filters(mels) @ power).clamp_(min=1e-10).log10_()
    floor = levels.amax(dim=(1, 2), keepdim=True) - 8.0
    return torch.maximum(levels, floor).add_(4.0).div_(4.0)


@functools.cache
def _hann() -> torch.Tensor:
    return torch.hann_window(FFT_SAMPLES)


@functools.cache
def mel_filters(mels: int) -> torch.Tensor:
    """Slaney's triangles, float32, shape (mels, 201): the weight of every frequency in every mel bin. Shared, so do not write into it."""
    filters: torch.Tensor = torchaudio.functional.melscale_fbanks(
        n_freqs=FFT_SAMPLES // 2 + 1, f_min=0.0, f_max=SAMPLING_RATE / 2, n_mels=mels, sample_rate=SAMPLING_RATE, norm="slaney", mel_scale="slaney"
    )
    return filters.T.contiguous()
