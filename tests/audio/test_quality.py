"""Quality: each flag on a sound made to have it, none on a clean one; `check_audio` names what is wrong and never raises."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechadapt.audio.quality import check_audio, measure_quality
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance

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


def findings_of(folder: Path, name: str, **fields: object) -> dict[str, tuple[str, str]]:
    given = {"id": "c-1", "audio_filepath": name, "duration": 1.0, "text": "hello", **fields}
    manifest = Manifest([Utterance(**given)], folder=folder, name="train")  # type: ignore[arg-type]
    return {finding.check: (finding.severity, finding.message) for finding in check_audio(manifest, manifest[0])}


def test_a_good_recording_has_no_finding(tmp_path: Path, write_tone) -> None:  # type: ignore[no-untyped-def]
    write_tone(tmp_path / "a.wav")
    assert findings_of(tmp_path, "a.wav") == {}


def test_broken_recordings_are_errors_with_their_reason(tmp_path: Path, write_tone) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not sound")
    soundfile.write(tmp_path / "nan.wav", np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE, np.float32), RATE)
    data = write_tone(tmp_path / "a.wav", 2.0).read_bytes()
    (tmp_path / "half.wav").write_bytes(data[: 44 + 32_000])
    assert findings_of(tmp_path, "none.wav")["missing"][0] == "error"
    assert findings_of(tmp_path, "empty.wav")["empty"][0] == "error"
    assert findings_of(tmp_path, "text.wav")["not-audio"][0] == "error"
    assert findings_of(tmp_path, "nan.wav")["not-finite"][0] == "error"
    assert findings_of(tmp_path, "silent.wav")["silent"] == (
        "error",
        'train: utterance "c-1": every sample is 0; nothing was recorded. Remove the line.',
    )
    assert "1.00 of 2.00 s are missing at the end" in findings_of(tmp_path, "half.wav", duration=1.0)["truncated"][1]
    assert findings_of(tmp_path, "../a.wav")["outside-folder"][0] == "error"


@pytest.mark.parametrize(
    ("duration", "fact"), [(1.5, "1.50 s in the manifest, 1.00 s could be decoded"), (0.6, "0.60 s in the manifest, the recording lasts 1.00 s")]
)
def test_a_wrong_duration_is_an_error(tmp_path: Path, write_tone, duration: float, fact: str) -> None:  # type: ignore[no-untyped-def]
    write_tone(tmp_path / "a.wav")
    severity, message = findings_of(tmp_path, "a.wav", duration=duration)["wrong-duration"]
    assert severity == "error"
    assert fact in message


def test_a_segment_of_a_long_recording_has_the_right_duration(tmp_path: Path, write_tone) -> None:  # type: ignore[no-untyped-def]
    write_tone(tmp_path / "a.wav", 5.0)
    assert findings_of(tmp_path, "a.wav", offset=1.0, duration=0.6) == {}
    assert findings_of(tmp_path, "a.wav", duration=0.6, recording="c:a") == {}


def test_names_and_rates_that_deceive_are_warnings(tmp_path: Path, write_tone) -> None:  # type: ignore[no-untyped-def]
    write_tone(tmp_path / "a.wav").rename(tmp_path / "a.mp3")
    severity, message = findings_of(tmp_path, "a.mp3")["wrong-extension"]
    assert severity == "warning"
    assert 'holds WAV behind the name "a.mp3". Rename it to end in .wav.' in message
    write_tone(tmp_path / "low.wav", sampling_rate=4000)
    assert "4000 Hz, below 8000 Hz" in findings_of(tmp_path, "low.wav")["low-sampling-rate"][1]
