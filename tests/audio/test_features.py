"""Whisper's log-mel against transformers' own extractor and against librosa, and windows shorter than 30 s."""

from __future__ import annotations

from typing import TYPE_CHECKING

import librosa
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from speechadapt.audio.features import log_mel, window_frames

if TYPE_CHECKING:
    from conftest import Tone


def by_librosa(waveform: NDArray[np.float32], mels: int, frames: int) -> NDArray[np.float64]:
    """The paper's recipe in float64, written with librosa alone."""
    samples = np.zeros(frames * 160)
    samples[: len(waveform)] = waveform
    power = np.abs(librosa.stft(samples, n_fft=400, hop_length=160, window="hann", center=True, pad_mode="reflect"))[:, :-1] ** 2
    levels = np.log10(np.maximum(librosa.filters.mel(sr=16_000, n_fft=400, n_mels=mels, dtype=np.float64) @ power, 1e-10))
    return (np.maximum(levels, levels.max() - 8) + 4) / 4


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("seconds", [0.7, 12.345, 30.0])
def test_equals_the_extractor_of_transformers(mels: int, seconds: float, tone: Tone) -> None:
    waveform = tone(seconds, seed=3)
    theirs = WhisperFeatureExtractor(feature_size=mels)(waveform, sampling_rate=16_000, return_tensors="pt").input_features
    ours = log_mel([waveform], mels, 3000)
    assert ours.shape == (1, mels, 3000)
    assert ours.dtype == torch.float32
    # both are float32, by different transforms; most of the difference is in the filters, which transformers computes in float64
    torch.testing.assert_close(ours, theirs.float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("mels", [80, 128])
def test_equals_librosa(mels: int, tone: Tone) -> None:
    waveform = tone(3.3, seed=5)
    # A float32 transform errs by about 1e-7 of the loudest cell, and the floor keeps cells down to 1e-8 of it in power: the quiet ones
    # differ by up to 2e-5, those within 40 dB of the loudest by 3e-6. Bounds are three to five times that.
    ours, theirs = log_mel([waveform], mels, 400)[0].numpy(), by_librosa(waveform, mels, 400)
    assert np.abs(ours - theirs).max() < 1e-4
    loud = theirs > theirs.max() - 1.0  # within 40 dB of the loudest
    assert np.abs(ours - theirs)[loud].max() < 1e-5


def test_a_short_window_is_the_beginning_of_the_full_one(tone: Tone) -> None:
    waveform = tone(4.0)
    full, short = log_mel([waveform], 80, 3000), log_mel([waveform], 80, 440)
    # The last frame sees the reflected end of the window; here that is silence either way, so every frame agrees.
    torch.testing.assert_close(short, full[..., :440], atol=1e-6, rtol=0)


def test_a_window_filled_to_its_end_agrees_but_for_the_reflected_frame(tone: Tone) -> None:
    waveform = tone(4.0)
    full, short = log_mel([waveform], 80, 3000), log_mel([waveform], 80, 400)
    torch.testing.assert_close(short[..., :398], full[..., :398], atol=1e-6, rtol=0)
    assert (short[..., 399] - full[..., 399]).abs().max() > 1e-3


def test_a_batch_equals_its_singles(tone: Tone) -> None:
    clips = [tone(1.0, seed=1, level=0.02), tone(2.5, seed=2), tone(0.31, seed=3)]
    batch = log_mel(clips, 80, 256)
    singles = torch.cat([log_mel([clip], 80, 256) for clip in clips])
    # matrix products may sum in another order for another batch; the loudest clip must not set the floor of the others
    torch.testing.assert_close(batch, singles, atol=1e-5, rtol=0)


def test_what_is_longer_than_the_window_is_cut(tone: Tone) -> None:
    waveform = tone(3.0)
    assert torch.equal(log_mel([waveform], 80, 100), log_mel([waveform[:16_000]], 80, 100))


def test_digital_silence_is_finite() -> None:
    silent = log_mel([np.zeros(16_000, dtype=np.float32)], 80, 104)
    assert torch.equal(silent, torch.full_like(silent, -1.5))  # (log10(1e-10) + 4) / 4


def test_silence_does_not_change_its_input(tone: Tone) -> None:
    waveform = tone(1.0)
    before = waveform.copy()
    log_mel([waveform], 80, 200)
    assert np.array_equal(waveform, before)


@pytest.mark.parametrize(("seconds", "frames"), [(0.01, 8), (1.0, 104), (4.0, 400), (4.001, 408), (29.99, 3000), (30.0, 3000), (31.0, 3000)])
def test_window_frames(seconds: float, frames: int) -> None:
    """Whole steps of 8 frames, never fewer than the clip has, at most the full window."""
    assert window_frames(seconds) == frames
