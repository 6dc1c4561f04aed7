"""Quality: each flag on a sound made to have it, none on a clean one, and measures of speech on speech-like sound with one thing done to it."""

import io
import math

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from spoken import spoken

from speechadapt.audio.quality import measure_quality, measure_speech, octaves_between

Sound = NDArray[np.float32]

RATE = 16_000


def test_a_clean_tone_has_no_flag_and_known_measures() -> None:
    sine = (0.5 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)).astype(np.float32)
    quality = measure_quality(sine)
    assert quality.flags == ()
    assert quality.peak == pytest.approx(0.5)
    assert quality.rms_dbfs == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=1e-4)  # of a sine: amplitude / sqrt 2
    assert quality.dc_offset == pytest.approx(0, abs=1e-6)
    assert (quality.clipped_share, quality.clipped_run, quality.constant) == (0.0, 0, False)


@pytest.mark.parametrize("value", [0.0, 0.25, -1.0])
def test_a_constant_is_silence(value: float) -> None:
    assert measure_quality(np.full(100, value, np.float32)).flags == ("silent",)


def test_zeros_have_no_level() -> None:
    assert measure_quality(np.zeros(10, np.float32)).rms_dbfs == -math.inf


def test_a_run_of_full_scale_samples_is_clipping(tone) -> None:  # type: ignore[no-untyped-def]
    sound = tone(10.0)
    sound[5000:5007] = 1.0
    assert measure_quality(sound).clipped_run == 7
    assert measure_quality(sound).flags == ()
    sound[5007] = -1.0
    assert measure_quality(sound).clipped_run == 8
    assert measure_quality(sound).flags == ("clipped",)


def test_scattered_full_scale_samples_are_clipping_from_one_in_a_thousand(tone) -> None:  # type: ignore[no-untyped-def]
    sound = tone(1.0)
    sound[np.arange(15) * 1000] = 1.0
    assert measure_quality(sound).flags == ()
    sound[15_500] = 1.0
    assert measure_quality(sound).clipped_share == pytest.approx(0.001)
    assert measure_quality(sound).flags == ("clipped",)


def test_quiet_and_offset_sounds_are_told(tone) -> None:  # type: ignore[no-untyped-def]
    assert measure_quality(tone(1.0) * np.float32(1e-3)).flags == ("quiet",)
    assert measure_quality(tone(1.0) + np.float32(0.03)).flags == ("dc-offset",)


def clip_at(sound: Sound, share: float, ceiling: float) -> Sound:
    """Cut off where `share` of the samples lie above, then bring that level to `ceiling`."""
    limit = np.quantile(np.abs(sound), 1 - share)
    return (np.clip(sound, -limit, limit) * ceiling / limit).astype(np.float32)


def telephone(sound: Sound) -> Sound:
    """8 kHz with the eight bits of a telephone line, stored at 16 kHz."""
    line = io.BytesIO()
    soundfile.write(line, soxr.resample(sound, RATE, 8000), 8000, format="WAV", subtype="ULAW")
    line.seek(0)
    return soxr.resample(soundfile.read(line, dtype="float32")[0], 8000, RATE).astype(np.float32)


def small_mp3(sound: Sound) -> Sound:
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, format="MP3", bitrate_mode="CONSTANT", compression_level=0.95)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


@pytest.mark.parametrize("seed", range(4))
def test_good_speech_has_nothing_unusual(seed: int) -> None:
    measures = measure_speech(spoken(seed=seed, pitch=110 + 30 * seed))
    assert measures.dynamic
    assert -27 < measures.level_dbfs < -18
    assert measures.noise_dbfs == pytest.approx(-70, abs=1.5)
    assert measures.leading == pytest.approx(0.25, abs=0.02)
    assert 0.2 < measures.trailing < 0.6
    assert max(measures.start_db, measures.end_db) < -40
    assert measures.pitch == pytest.approx(110 + 30 * seed, rel=0.1)
    assert (measures.bandwidth, measures.ceiling) == (8000, False)
    assert abs(measures.offset) < 1e-3


@pytest.mark.parametrize("share", [0.005, 0.02])
@pytest.mark.parametrize("ceiling", [0.2, 0.5, 0.9])
def test_waves_cut_off_below_full_scale_are_seen(share: float, ceiling: float) -> None:
    assert measure_speech(clip_at(spoken(), share, ceiling)).ceiling
    assert measure_quality(clip_at(spoken(), share, ceiling)).flags == ()  # full scale alone does not show it


def test_softly_limited_waves_are_seen() -> None:
    sound = spoken(6.0)
    assert measure_speech((0.5 * np.tanh(8 * sound / np.abs(sound).max())).astype(np.float32)).ceiling


@pytest.mark.parametrize("gain", [1.0, 0.1, 0.03])
def test_telephone_speech_ends_at_4_khz_however_soft(gain: float) -> None:
    assert measure_speech(np.float32(gain) * telephone(spoken())).bandwidth == 4000


def test_tape_without_highs_and_small_mp3s_are_told_apart() -> None:
    down = soxr.resample(soxr.resample(spoken(), RATE, 8000), 8000, RATE).astype(np.float32)
    noise = np.random.default_rng(1).normal(0, 2e-4, len(down)).astype(np.float32)  # hiss of a converter over a tape that ends at 4 kHz
    assert measure_speech(down + noise).bandwidth == 4000
    assert 5000 <= measure_speech(small_mp3(spoken())).bandwidth < 7000


def test_silence_around_speech_is_measured_in_digital_and_in_room_silence() -> None:
    random = np.random.default_rng(2)
    zeros, room = np.zeros(3 * RATE, np.float32), random.normal(0, 10 ** (-60 / 20), 3 * RATE).astype(np.float32)
    assert measure_speech(np.concatenate([zeros, spoken()])).leading == pytest.approx(3.25, abs=0.05)
    assert measure_speech(np.concatenate([spoken(), room])).trailing == pytest.approx(3.37, abs=0.2)


def test_an_edge_within_speech_is_as_loud_as_speech() -> None:
    sound = spoken(seed=3)
    loudest = int(np.convolve(np.square(sound), np.ones(320), "same").argmax())
    assert measure_speech(sound[:loudest]).end_db > -6
    assert measure_speech(sound[loudest:]).start_db > -6


@pytest.mark.parametrize("factor", [2.0, 0.5, 1.5])
def test_another_speed_moves_voice_and_resonances(factor: float) -> None:
    sound = spoken(5.0, pitch=150)
    changed = soxr.resample(sound, RATE, RATE / factor).astype(np.float32)
    before, after = measure_speech(sound), measure_speech(changed)
    assert before.pitch is not None
    assert after.pitch == pytest.approx(before.pitch * factor, rel=0.05)
    assert octaves_between(after.envelope, before.envelope) == pytest.approx(math.log2(factor), abs=0.17)
    assert octaves_between(before.envelope, before.envelope) == 0


@pytest.mark.parametrize("length", [1, 2, 50, 161, 500, 1023])
def test_scraps_can_be_measured(length: int) -> None:
    measures = measure_speech(np.linspace(-0.5, 0.5, length + 1).astype(np.float32)[:length])
    assert measures.pitch is None
    assert np.isfinite(measures.envelope).all()
    assert measures.envelope.shape == (63,)
