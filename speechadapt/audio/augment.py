"""Augmentation for training: speed perturbation of waveforms, and SpecAugment masks on spectrograms or on waveforms."""

import functools
import math

import scipy.fft
import torch
import torchaudio

from speechadapt.audio.waveform import Waveform
from speechadapt.units import SAMPLING_RATE

MEL_BINS = 80


def perturb_speed(waveform: Waveform, factor: float) -> Waveform:
    """Play a clip faster or slower, pitch included (Ko et al. 2015, "Audio augmentation for speech recognition").

    Args:
        waveform: float32, shape (samples,), 16 kHz.
        factor: 0.5 to 2; 1.1 is a tenth faster.

    Returns:
        float32, shape (about samples / factor,).
    """
    if factor == 1.0:
        return waveform
    changed: torch.Tensor = _resampler(factor)(torch.from_numpy(waveform))
    return changed.numpy()


@functools.cache
def _resampler(factor: float) -> torch.nn.Module:
    # whole steps of 100 Hz keep the ratio, and with it torchaudio's filter table, small
    resampler: torch.nn.Module = torchaudio.transforms.Resample(round(SAMPLING_RATE * factor / 100) * 100, SAMPLING_RATE)
    return resampler


def mask_spectrogram(
    features: torch.Tensor, length: int, *, time_masks: int, time_mask_share: float, freq_masks: int, freq_mask_bins: int
) -> torch.Tensor:
    """SpecAugment without warping (Park et al. 2019): blank out random spans of time and of frequency.

    Spans are drawn from torch's global generator, so the caller's seed decides them. Masked cells take the clip's mean.

    Args:
        features: float32, shape (mels, frames).
        length: frames that are not padding; masks stay inside.
        time_masks, time_mask_share: how many, and the longest as a share of `length`.
        freq_masks, freq_mask_bins: how many, and the highest in mel bins.

    Returns:
        float32, shape (mels, frames), a new tensor.
    """
    masked = features.clone()
    clip = masked[None, :, :length]
    mean = float(clip.mean())
    mask = torchaudio.functional.mask_along_axis
    for _ in range(time_masks):
        span = int(length * time_mask_share)
        if span > 0:
            clip = mask(clip, span, mean, axis=2)
    for _ in range(freq_masks):
        if freq_mask_bins > 0:
            clip = mask(clip, freq_mask_bins, mean, axis=1)
    masked[:, :length] = clip[0]
    return masked


def mask_waveform(waveform: torch.Tensor, *, time_masks: int, time_mask_share: float, freq_masks: int, freq_mask_bins: int) -> torch.Tensor:
    """SpecAugment for models that hear samples: random spans silenced, random bands of frequency removed.

    The counterpart of `mask_spectrogram` (Park et al. 2019), in the manner of SpeechBrain's chunk and frequency dropping
    (Ravanelli et al. 2021). Bands are as wide on the mel scale as that function's, so that one setting means the same to every model.
    Spans and bands are drawn from torch's global generator.

    Args:
        waveform: float32, shape (samples,), 16 kHz, about zero mean, without padding.
        time_masks, time_mask_share: how many, and the longest as a share of the clip.
        freq_masks, freq_mask_bins: how many, and the highest in mel bins (of 80).

    Returns:
        float32, shape (samples,), a new tensor.
    """
    samples = len(waveform)
    masked = waveform.clone()
    if freq_masks > 0 and freq_mask_bins > 0 and samples > 1:
        length = scipy.fft.next_fast_len(samples, real=True)  # lengths with large prime factors are many times slower
        spectrum = torch.fft.rfft(masked, length)
        hertz = torch.fft.rfftfreq(length, 1 / SAMPLING_RATE)
        for _ in range(freq_masks):
            height, place = torch.rand(2).tolist()
            height *= freq_mask_bins
            low = place * (MEL_BINS - height)
            spectrum[(hertz >= _mel_bin_hertz(low)) & (hertz < _mel_bin_hertz(low + height))] = 0
        masked = torch.fft.irfft(spectrum, length)[:samples].contiguous()
    for _ in range(time_masks):
        share, place = torch.rand(2).tolist()
        span = int(share * time_mask_share * samples)
        start = int(place * (samples - span))
        masked[start : start + span] = 0
    return masked


def _mel_bin_hertz(place: float) -> float:
    """The lower edge of a mel bin (of 80 between 0 and 8 kHz), in Hz; O'Shaughnessy's formula."""
    highest = 2595 * math.log10(1 + SAMPLING_RATE / 2 / 700)
    return 700 * (10 ** (highest * place / MEL_BINS / 2595) - 1)
