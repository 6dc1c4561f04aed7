"""Copies of a range of samples: exact where the form holds what the source does, mono, at the source's own rate, and in little memory."""

import io
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from speechadapt.audio.waveform import PIECE, copy_samples, read_waveform
from speechadapt.cli import main
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import AudioError


@pytest.mark.parametrize(("subtype", "kept"), [("PCM_16", "PCM_16"), ("PCM_24", "PCM_24"), ("PCM_U8", "PCM_16"), ("FLOAT", "PCM_24")])
def test_flac_holds_the_very_samples(subtype: str, kept: str, tmp_path: Path) -> None:
    count = 3 * PIECE + 17
    samples = np.random.default_rng(1).integers(-(1 << 23), 1 << 23, count) / (1 << 23)
    soundfile.write(tmp_path / "a.wav", samples, 22_050, subtype=subtype)
    source, _ = soundfile.read(tmp_path / "a.wav")
    for start, wanted in ((0, None), (5, PIECE), (PIECE - 1, 2 * PIECE), (count - 1, 1)):
        copy_samples(tmp_path / "a.wav", tmp_path / "b.flac", start=start, count=wanted)
        info = soundfile.info(tmp_path / "b.flac")
        assert (info.format, info.subtype, info.samplerate, info.channels) == ("FLAC", kept, 22_050, 1)
        np.testing.assert_array_equal(soundfile.read(tmp_path / "b.flac")[0], source[start : None if wanted is None else start + wanted])


def test_wav_holds_16_bits_and_the_same_16_bit_samples(tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "a.flac", 1.0)
    copy_samples(tmp_path / "a.flac", tmp_path / "b.wav", form="WAV")
    assert soundfile.info(tmp_path / "b.wav").subtype == "PCM_16"
    np.testing.assert_array_equal(soundfile.read(tmp_path / "b.wav", dtype="int16")[0], soundfile.read(tmp_path / "a.flac", dtype="int16")[0])


def test_channels_are_mixed_as_they_are_read(tmp_path: Path, tone: Any) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([tone(1.0, seed=1), tone(1.0, seed=2)], axis=1), 16_000, subtype="PCM_16")
    memory = io.BytesIO()
    copy_samples(tmp_path / "a.wav", memory, start=100, count=1_000)
    np.testing.assert_array_equal(read_waveform(memory.getvalue()), read_waveform(tmp_path / "a.wav", offset=100 / 16_000, duration=1_000 / 16_000))


def test_compressed_sound_is_what_reading_it_gives(tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "a.mp3", 2.0, sampling_rate=44_100)
    copy_samples(tmp_path / "a.mp3", tmp_path / "b.flac", start=44_100, count=22_050)
    expected = read_waveform(tmp_path / "a.mp3", offset=1.0, duration=0.5, sampling_rate=44_100)
    np.testing.assert_allclose(read_waveform(tmp_path / "b.flac", sampling_rate=44_100), expected, atol=0.51 / 32768)


def test_what_cannot_be_copied_is_told(tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "a.wav", 0.5)
    with pytest.raises(AudioError, match=r"a.wav: 7900 of 8000 samples could be decoded") as error:
        copy_samples(tmp_path / "a.wav", tmp_path / "b.flac", start=100, count=8_000)
    assert error.value.reason == "truncated"
    soundfile.write(tmp_path / "nan.wav", np.array([0.1, np.nan], dtype=np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"nan.wav: samples are NaN or infinite"):
        copy_samples(tmp_path / "nan.wav", tmp_path / "b.flac")
    with pytest.raises(AudioError, match=r"none.wav: no such audio file"):
        copy_samples(tmp_path / "none.wav", tmp_path / "b.flac")
    with pytest.raises(OSError, match=r"No such file or directory: '.*no/folder.flac'"):
        copy_samples(tmp_path / "a.wav", tmp_path / "no/folder.flac")


@pytest.mark.parametrize("form", ["FLAC", "WAV"])
@pytest.mark.parametrize("lacking", [1, 100, 4_000, 60_000, 300_000])
def test_a_disk_that_is_full_at_any_place_is_told(form: str, lacking: int, tmp_path: Path) -> None:
    """Of a FLAC file whose last kilobytes found no room libsndfile says nothing."""
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(1).normal(0, 0.1, 200_000), 16_000)
    copy_samples(tmp_path / "a.wav", tmp_path / "whole", form=form)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "whole").stat().st_size - lacking, hard))  # what a full disk looks like from inside
    try:
        with pytest.raises(OSError, match="File too large"):
            copy_samples(tmp_path / "a.wav", tmp_path / "b", form=form)
        with pytest.raises(OSError, match="File too large"), (tmp_path / "c").open("wb") as opened:
            copy_samples(tmp_path / "a.wav", opened, form=form)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_conversion_onto_a_full_disk_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(1).normal(0, 0.1, (100_000, 2)), 16_000)
    manifest = tmp_path / "all.jsonl"
    Manifest([Utterance(id="a", audio_filepath="a.wav", duration=6.25, text="hello")], folder=tmp_path).write(manifest)
    assert main(["convert", str(manifest), str(tmp_path / "whole"), "--to", "nemo"]) == 0
    size = next((tmp_path / "whole").rglob("*.flac")).stat().st_size
    capsys.readouterr()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - 100, hard))
    try:
        assert main(["convert", str(manifest), str(tmp_path / "out"), "--to", "nemo"]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "out: could not be written (File too large)" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "all.jsonl", "whole"]
