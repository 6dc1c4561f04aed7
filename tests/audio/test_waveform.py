"""Waveform: every format, exact segments, and named reasons for whatever cannot be read."""

import io
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechadapt.audio.waveform import read_info, read_waveform, resample, write_flac
from speechadapt.errors import AudioError, SpeechadaptError

RATE = 16_000


def ramp(seconds: float = 2.0) -> np.ndarray:
    """Every 16-bit sample tells its own place, so that a shift of one sample shows."""
    return (np.arange(round(seconds * RATE)) % 60_000 - 30_000).astype(np.int16)


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
@pytest.mark.parametrize(("offset", "duration"), [(0.0, None), (0.5, 0.25), (1.2345, 0.1), (1.9, 0.5), (0.3, None), (0.0000625, 0.0000625)])
def test_segments_are_exact_to_a_sample(tmp_path: Path, kind: str, offset: float, duration: float | None) -> None:
    path = tmp_path / f"ramp.{kind.lower()}"
    soundfile.write(path, ramp(), RATE, format=kind, subtype="PCM_16")
    waveform = read_waveform(path, offset=offset, duration=duration)
    first = round(offset * RATE)
    last = None if duration is None else first + round(duration * RATE)
    assert waveform.dtype == np.float32
    np.testing.assert_array_equal(np.round(waveform * 32768).astype(np.int16), ramp()[first:last])


@pytest.mark.parametrize(("kind", "tolerance"), [("MP3", 0.1), ("OGG", 0.1), ("FLAC", 1e-3), ("WAV", 1e-3)])
def test_every_format_gives_the_same_sound(tmp_path: Path, tone, kind: str, tolerance: float) -> None:  # type: ignore[no-untyped-def]
    sound = tone(2.0, level=0.5)
    path = tmp_path / f"a.{kind.lower()}"
    soundfile.write(path, sound, RATE, format=kind)
    waveform = read_waveform(path)
    assert waveform.ndim == 1
    assert len(waveform) == pytest.approx(len(sound), abs=0.1 * RATE)  # MP3 pads a few frames of 36 ms
    middle = read_waveform(path, offset=1.0, duration=0.5)
    # lossy codecs keep the spectrum, not the samples: compare magnitudes, relative to the largest; 16 bits round, or cut, half a step off
    wanted, found = (np.abs(np.fft.rfft(part)) for part in (sound[RATE : RATE + RATE // 2], middle))
    assert np.abs(wanted - found).max() / wanted.max() < tolerance


def test_bytes_and_open_files_are_read_like_paths(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, ramp(0.5), RATE)
    from_path = read_waveform(path, offset=0.1, duration=0.2)
    np.testing.assert_array_equal(from_path, read_waveform(path.read_bytes(), offset=0.1, duration=0.2))
    np.testing.assert_array_equal(from_path, read_waveform(io.BytesIO(path.read_bytes()), offset=0.1, duration=0.2))
    np.testing.assert_array_equal(from_path, read_waveform(str(path), offset=0.1, duration=0.2))


def test_stereo_is_averaged(tmp_path: Path) -> None:
    left, right = np.full(800, 0.5, np.float32), np.full(800, -0.25, np.float32)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_waveform(tmp_path / "a.wav"), 0.125)
    assert read_info(tmp_path / "a.wav").channels == 2


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_resampling_keeps_a_sine_in_place(rate: int) -> None:
    time = np.arange(rate) / rate
    waveform = resample((0.5 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32), rate, RATE)
    assert len(waveform) == RATE
    wanted = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    # 1 kHz is far inside every passband; the edges, where the filter lacks samples, are left out
    np.testing.assert_allclose(waveform[500:-500], wanted[500:-500], atol=1e-3)


def test_frequencies_above_the_new_band_vanish() -> None:
    time = np.arange(48_000) / 48_000
    waveform = resample((0.5 * np.sin(2 * np.pi * 12_000 * time)).astype(np.float32), 48_000, RATE)
    assert np.abs(waveform[500:-500]).max() < 1e-4  # at 4 kHz instead, if decimated naively


def test_overshoot_is_clipped() -> None:
    square = np.sign(np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)).astype(np.float32)
    assert np.abs(resample(square, 44_100, RATE)).max() <= 1.0


def test_a_flac_file_holds_what_was_written(tmp_path: Path, tone) -> None:  # type: ignore[no-untyped-def]
    write_flac(tmp_path / "sub" / "a.flac", tone(0.5))
    info = read_info(tmp_path / "sub" / "a.flac")
    assert (info.sampling_rate, info.channels, info.duration, info.format, info.subtype) == (RATE, 1, 0.5, "FLAC", "PCM_16")
    np.testing.assert_allclose(read_waveform(tmp_path / "sub" / "a.flac"), tone(0.5), atol=1 / 32768)
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["a.flac"]


def test_a_full_disk_is_told_and_leaves_the_old_file(tmp_path: Path, tone) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.flac"
    write_flac(path, tone(0.1))
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # what a full disk looks like from inside: a write that stops
    try:
        with pytest.raises(SpeechadaptError, match=r"a\.flac: could not be written .* what was there before is untouched\. Free some space"):
            write_flac(path, tone(5.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [child.name for child in tmp_path.iterdir()] == ["a.flac"]


def reason_of(path: Path | bytes, **segment: float) -> tuple[str, str]:
    with pytest.raises(AudioError) as caught:
        read_waveform(path, **segment)  # type: ignore[arg-type]
    return caught.value.reason, str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    reason, message = reason_of(tmp_path / "none.wav")
    assert reason == "missing"
    assert message == f"{tmp_path / 'none.wav'}: no such audio file. Correct the path or remove the line."


def test_zero_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert reason_of(tmp_path / "a.wav")[0] == "empty"
    assert reason_of(b"")[0] == "empty"


def test_a_header_without_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.float32), RATE)
    assert reason_of(tmp_path / "a.wav")[0] == "empty"


def test_text_named_wav(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("this is not sound, whatever its name says\n" * 20)
    reason, message = reason_of(tmp_path / "a.wav")
    assert reason == "not-audio"
    assert message.endswith("Use WAV, FLAC, MP3 or OGG.")
    assert reason_of(b"hello, I am not audio")[0] == "not-audio"


def test_nan_samples_are_counted(tmp_path: Path, tone) -> None:  # type: ignore[no-untyped-def]
    sound = tone(0.5)
    sound[[10, 20]] = np.nan
    sound[30] = np.inf
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    reason, message = reason_of(tmp_path / "a.wav")
    assert reason == "not-finite"
    assert "3 of 8000 samples are NaN or infinite" in message


def test_a_segment_after_the_end(tmp_path: Path, write_tone) -> None:  # type: ignore[no-untyped-def]
    reason, message = reason_of(write_tone(tmp_path / "a.wav", 1.5), offset=1.5, duration=1.0)
    assert reason == "out-of-range"
    assert "the segment starts at 1.50 s, the recording ends at 1.50 s" in message


def test_an_absurd_length_is_refused_before_it_is_read(tmp_path: Path, write_tone) -> None:  # type: ignore[no-untyped-def]
    reason, message = reason_of(write_tone(tmp_path / "a.wav"), duration=13 * 3600)
    assert reason == "too-long"
    assert "13.0 h in one piece, at most 12 h can be read" in message


def test_a_header_that_lies_about_its_length_costs_no_memory(tmp_path: Path, write_tone) -> None:  # type: ignore[no-untyped-def]
    data = bytearray(write_tone(tmp_path / "a.flac", 1.0).read_bytes())
    data[21:26] = bytes([data[21] | 0x0F, 0xFF, 0xFF, 0xFF, 0xFF])  # total samples of STREAMINFO: 36 bits, about 1,190 hours
    (tmp_path / "liar.flac").write_bytes(data)
    assert reason_of(tmp_path / "liar.flac")[0] == "too-long"


def test_a_flac_file_cut_in_half(tmp_path: Path, tone) -> None:  # type: ignore[no-untyped-def]
    soundfile.write(tmp_path / "a.flac", tone(3.0), RATE)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "half.flac").write_bytes(data[: len(data) // 2])
    reason, message = reason_of(tmp_path / "half.flac")
    assert reason == "truncated"
    assert "decoding stopped" in message


def test_a_wav_file_cut_in_half_says_how_much_is_missing(tmp_path: Path, write_tone) -> None:  # type: ignore[no-untyped-def]
    data = write_tone(tmp_path / "a.wav", 2.0).read_bytes()
    (tmp_path / "half.wav").write_bytes(data[: 44 + 32_000])
    info = read_info(tmp_path / "half.wav")
    assert info.duration == pytest.approx(1.0)
    assert info.missing == pytest.approx(1.0)
    assert read_info(tmp_path / "a.wav").missing == 0.0


def test_a_wav_written_into_a_pipe_is_whole(tmp_path: Path, write_tone) -> None:  # type: ignore[no-untyped-def]
    data = bytearray(write_tone(tmp_path / "a.wav", 1.0).read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"  # ffmpeg's size when it does not know it
    (tmp_path / "piped.wav").write_bytes(data)
    assert read_info(tmp_path / "piped.wav").missing == 0.0
    assert len(read_waveform(tmp_path / "piped.wav")) == RATE
