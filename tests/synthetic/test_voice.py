import sys
from pathlib import Path

import librosa
import numpy as np
import pytest

from speechadapt.cli import main
from speechadapt.synthetic.voice import load_voice

pytest.importorskip("hibari", reason="hibari-tts is not installed (extra: synthetic)")


def test_phonemes_of_a_sentence() -> None:
    assert load_voice().phonemes("Hello there.") == "həlˈO ðˈɛɹ."


def test_speaks_deterministically_at_16_khz() -> None:
    voice = load_voice()
    first = voice.speak("həlˈO ðˈɛɹ.", seed=3)
    assert first.dtype == np.float32
    assert first.ndim == 1
    assert 0.5 < len(first) / 16_000 < 3
    assert np.abs(first).max() <= 1
    assert voice.speak("həlˈO ðˈɛɹ.", seed=3).tobytes() == first.tobytes()
    assert voice.speak("həlˈO ðˈɛɹ.", seed=4).tobytes() != first.tobytes()


def test_nothing_to_say() -> None:
    assert load_voice().speak("").shape == (0,)


VOWELS_AND_NASALS = "ˈɑ mˈɑ lˈɑ nˈɑ."


def pitch_track(samples: np.ndarray) -> np.ndarray:
    """Hz every 10 ms, by librosa's YIN; it errs by an octave in some frames, so tests look at medians."""
    return librosa.yin(samples, fmin=60, fmax=400, sr=16_000, frame_length=1024, hop_length=160)


def loud(samples: np.ndarray) -> np.ndarray:
    """Which frames of `pitch_track` belong to the louder half: in the pauses there is no pitch to find."""
    loudness = librosa.feature.rms(y=samples, frame_length=1024, hop_length=160)[0]
    return loudness > np.median(loudness)


def test_pitch_is_what_was_asked_for() -> None:
    """The voice speaks at the same moments at any pitch, so frames can be compared one by one."""
    plain, low = (load_voice().speak(VOWELS_AND_NASALS, pitch=pitch) for pitch in (1.0, 0.6))
    voiced = loud(plain)
    assert np.median(pitch_track(low)[voiced] / pitch_track(plain)[voiced]) == pytest.approx(0.6, rel=0.02)


def test_tempo_is_what_was_asked_for() -> None:
    """The voice predicts a duration for each sound and rounds it to frames of 12.5 ms, so tempo is met to about a tenth."""
    plain, fast = (load_voice().speak(VOWELS_AND_NASALS, speed=speed) for speed in (1.0, 1.5))
    assert len(fast) / len(plain) == pytest.approx(1 / 1.5, rel=0.1)


def test_size_moves_resonances_but_neither_pitch_nor_tempo() -> None:
    plain, small = (load_voice().speak(VOWELS_AND_NASALS, size=size) for size in (1.0, 1.15))
    before, after = (np.median(pitch_track(sound)[loud(sound)]) for sound in (plain, small))
    assert after / before == pytest.approx(1.0, rel=0.1)
    assert len(small) / len(plain) == pytest.approx(1.0, rel=0.1)
    center, higher = (float(np.mean(librosa.feature.spectral_centroid(y=sound, sr=16_000))) for sound in (plain, small))
    assert higher / center > 1.05


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_voice.cache_clear()
    monkeypatch.setitem(sys.modules, "hibari", None)  # what the import system does with a module that cannot be found
    try:
        assert main(["prepare", "synthetic_english", "mandarin", str(tmp_path / "out")]) == 2
    finally:
        load_voice.cache_clear()
    assert "The synthetic voice (hibari-tts) is not installed. Install it with: pip install 'speechadapt[synthetic]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
