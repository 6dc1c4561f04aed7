import dataclasses

import numpy as np
import pytest

from speechadapt.synthetic.speakers import LOUDEST_PEAK, Speaker, draw_speaker

QUIET_ROOM = Speaker(name="anna", speed=1.0, pitch=1.0, size=1.0, level=-25.0, snr=90.0, reverberation=0.0)


def burst(seconds: float = 0.5) -> np.ndarray:
    return (0.2 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * 16_000)) / 16_000)).astype(np.float32)


def test_a_name_is_always_the_same_speaker() -> None:
    assert draw_speaker("mandarin-100-s0-train-03") == draw_speaker("mandarin-100-s0-train-03")
    many = [draw_speaker(f"speaker {n}") for n in range(200)]
    assert len({(s.speed, s.pitch, s.size, s.level, s.snr) for s in many}) == 200
    low = [s for s in many if s.pitch < 0.8]
    assert 60 < len(low) < 140
    assert all(s.size < 0.96 for s in low)
    assert {s.reverberation > 0 for s in many} == {True, False}


def test_level_is_kept() -> None:
    samples = QUIET_ROOM.record(burst(4.0), "one")
    # The pauses add at most 0.8 s to 4 s of tone; the level is measured over both.
    assert 20 * np.log10(np.sqrt(np.mean(samples.astype(float) ** 2))) == pytest.approx(-25.0, abs=0.1)


def test_noise_has_the_stated_ratio() -> None:
    speech = burst(4.0)
    noisy = dataclasses.replace(QUIET_ROOM, snr=20.0).record(speech, "one").astype(float)
    clean = dataclasses.replace(QUIET_ROOM, snr=200.0).record(speech, "one").astype(float)
    assert 10 * np.log10(np.mean(clean**2) / np.mean((noisy - clean) ** 2)) == pytest.approx(20.0, abs=0.1)


def test_room_rings_after_the_speech() -> None:
    """60 dB over the reverberation time: half of it after the end, the echo is still there; without a room, nothing is."""
    speech = np.concatenate([burst(0.5), np.zeros(8000, np.float32)])
    dry = QUIET_ROOM.record(speech, "one").astype(float)
    wet = dataclasses.replace(QUIET_ROOM, reverberation=0.4).record(speech, "one").astype(float)
    end = int(np.flatnonzero(np.abs(dry) > 0.01)[-1])
    after = slice(end + 400, end + 2000)
    assert np.mean(wet[after] ** 2) > 100 * np.mean(dry[after] ** 2)


def test_same_take_same_bytes_and_other_takes_differ() -> None:
    speaker = draw_speaker("someone")
    assert speaker.record(burst(), "one").tobytes() == speaker.record(burst(), "one").tobytes()
    assert speaker.record(burst(), "one").tobytes() != speaker.record(burst(), "two").tobytes()


def test_never_clips() -> None:
    loud = dataclasses.replace(QUIET_ROOM, level=-1.0).record(burst(), "one")
    assert loud.dtype == np.float32
    assert float(np.abs(loud).max()) == pytest.approx(LOUDEST_PEAK, abs=1e-6)


def test_silence_stays_finite() -> None:
    assert np.isfinite(QUIET_ROOM.record(np.zeros(1600, np.float32), "one")).all()
