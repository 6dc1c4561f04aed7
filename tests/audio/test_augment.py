"""Speed perturbation and SpecAugment: what changes, by how much, and what stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from speechadapt.audio.augment import mask_spectrogram, mask_waveform, perturb_speed

if TYPE_CHECKING:
    from conftest import Tone

MASKS = {"time_masks": 2, "time_mask_share": 0.1, "freq_masks": 2, "freq_mask_bins": 20}


def pitch(waveform: np.ndarray) -> float:
    """Hertz of the strongest component."""
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), 1 << 18))
    return float(spectrum.argmax()) * 16_000 / (1 << 18)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 2.0])
def test_speed_changes_length_and_pitch_by_the_factor(factor: float) -> None:
    waveform = np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000).astype(np.float32)
    changed = perturb_speed(waveform, factor)
    assert changed.dtype == np.float32
    assert len(changed) == pytest.approx(32_000 / factor, abs=1)
    assert pitch(changed) == pytest.approx(440 * factor, rel=1e-3)
    # a resampled sine keeps its level away from the ends
    assert np.abs(changed[1000:-1000]).max() == pytest.approx(1.0, abs=0.01)


def test_a_factor_of_one_changes_nothing(tone: Tone) -> None:
    waveform = tone(1.0)
    assert perturb_speed(waveform, 1.0) is waveform


def masked(seed: int, length: int = 300, features: torch.Tensor | None = None, **changes: float) -> torch.Tensor:
    torch.manual_seed(seed)
    features = spectrogram() if features is None else features
    return mask_spectrogram(features, length, **(MASKS | changes))  # type: ignore[arg-type]


def spectrogram() -> torch.Tensor:
    return torch.randn(80, 400, generator=torch.Generator().manual_seed(0))


def test_masks_stay_inside_the_clip() -> None:
    for seed in range(20):
        assert torch.equal(masked(seed)[:, 300:], spectrogram()[:, 300:])


def test_masks_are_spans_of_the_clips_mean_within_their_bounds() -> None:
    features = spectrogram()
    mean = features[:, :300].mean()
    widest, highest = 0, 0
    for seed in range(50):
        changed = masked(seed) != features
        assert torch.allclose(masked(seed)[changed], mean)
        columns, bins = changed.all(dim=0).sum(), changed[:, :300].all(dim=1).sum()
        widest, highest = max(widest, int(columns)), max(highest, int(bins))
    # two masks each: time up to 0.1 of 300 frames, frequency up to 20 bins; fifty draws come near both bounds
    assert 30 < widest <= 60
    assert 20 < highest <= 40


def test_the_seed_decides() -> None:
    assert torch.equal(masked(7), masked(7))
    assert not torch.equal(masked(7), masked(8))


def test_the_input_is_left_alone() -> None:
    features = spectrogram()
    masked(1, features=features)
    assert torch.equal(features, spectrogram())


def test_switched_off() -> None:
    assert torch.equal(masked(1, time_masks=0, freq_masks=0), spectrogram())
    assert torch.equal(masked(1, time_mask_share=0.0, freq_mask_bins=0), spectrogram())


def test_a_clip_of_few_frames() -> None:
    """A tenth of 5 frames is no frame: no time mask, and nothing breaks."""
    changed = masked(3, length=5, freq_masks=0)
    assert torch.equal(changed, spectrogram())


# Masks on waveforms


def masked_waveform(waveform: torch.Tensor, seed: int, **changes: float) -> torch.Tensor:
    torch.manual_seed(seed)
    return mask_waveform(waveform, **(MASKS | changes))  # type: ignore[arg-type]


def noise(samples: int = 16_000) -> torch.Tensor:
    return torch.randn(samples, generator=torch.Generator().manual_seed(1))


def test_silenced_spans_of_a_waveform_stay_within_their_share() -> None:
    waveform = noise()
    lengths = []
    for seed in range(50):
        silent = masked_waveform(waveform, seed, time_masks=1, freq_masks=0) == 0
        places = silent.nonzero().flatten()
        lengths.append(len(places))
        assert len(places) == 0 or int(places[-1] - places[0]) + 1 == len(places), "one span"
        assert torch.equal(masked_waveform(waveform, seed, time_masks=1, freq_masks=0)[~silent], waveform[~silent])
    assert max(lengths) <= 1600
    assert np.mean(lengths) == pytest.approx(800, rel=0.2)  # uniform from 0 to 1600: the mean of 50 lies within 20 % in all but 1 % of cases


def test_removed_bands_of_a_waveform_stay_within_their_height() -> None:
    waveform = noise()
    power = torch.fft.rfft(waveform).abs().square()
    mels = 2595 * np.log10(1 + torch.fft.rfftfreq(16_000, 1 / 16_000).numpy() / 700) / (2595 * np.log10(1 + 8000 / 700)) * 80
    heights, others = [], []
    for seed in range(50):
        after = torch.fft.rfft(masked_waveform(waveform, seed, time_masks=0, freq_masks=1)).abs().square()
        gone = np.flatnonzero((after < 1e-6 * power).numpy())
        heights.append(float(mels[gone[-1]] - mels[gone[0]]) if len(gone) else 0.0)
        kept = np.setdiff1d(np.arange(len(power)), gone)
        others.append(float((after[kept] / power[kept] - 1).abs().max()))
    assert max(heights) <= 20
    assert np.mean(heights) == pytest.approx(10, rel=0.2)
    # 16,000 is a fast length, so nothing but the band changes; single precision's transform there and back
    assert max(others) < 1e-2


def test_waveform_masks_depend_on_the_seed_alone_and_can_be_off() -> None:
    waveform = noise(16_001)
    assert torch.equal(masked_waveform(waveform, 3), masked_waveform(waveform, 3))
    assert not torch.equal(masked_waveform(waveform, 3), masked_waveform(waveform, 4))
    assert torch.equal(masked_waveform(waveform, 3, time_masks=0, freq_masks=0), waveform)
    assert torch.equal(waveform, noise(16_001)), "the clip itself stays"


@pytest.mark.parametrize("samples", [1, 2, 7, 401])
def test_very_short_waveforms_can_be_masked(samples: int) -> None:
    assert masked_waveform(noise(samples), 0, time_mask_share=0.5).shape == (samples,)
