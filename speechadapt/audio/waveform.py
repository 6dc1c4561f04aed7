"""Waveform: a segment of a recording as mono float32 at one rate. The only file that opens audio."""

import dataclasses
import io
import os
import re
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from speechadapt.errors import AudioError
from speechadapt.files import atomic_path
from speechadapt.units import SAMPLING_RATE, Hertz, Seconds

Waveform = NDArray[np.float32]
"""float32, shape (samples,), mono, in [-1, 1], at a stated sampling rate (16 kHz unless said otherwise)."""

LONGEST_READ: Seconds = 12 * 3600
"""A single read beyond this is refused as absurd: at 16 kHz it would take 2.8 GB."""

STREAMED_SIZE = 0x7FFF0000
"""Programs that write a WAV into a pipe do not know its size and put the largest number there; that is no damage."""

AudioSource = Path | str | bytes | io.IOBase


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AudioInfo:
    """What a file's header says: `sampling_rate` in Hz, `channels`, `duration` in seconds, `format` and `subtype` in libsndfile's words.

    `missing` is the part of a WAV file, in seconds, that its header promises and the file does not hold (a download that stopped).
    """

    sampling_rate: Hertz
    channels: int
    duration: Seconds
    format: str
    subtype: str
    missing: Seconds = 0.0


def read_info(source: AudioSource) -> AudioInfo:
    """Read a header without decoding.

    Raises:
        AudioError: reason missing, empty or not-audio.
    """
    with _open(source) as file:
        return AudioInfo(
            sampling_rate=file.samplerate,
            channels=file.channels,
            duration=file.frames / file.samplerate,
            format=file.format,
            subtype=file.subtype,
            missing=_missing(file),
        )


def read_waveform(
    source: AudioSource,
    *,
    offset: Seconds = 0.0,
    duration: Seconds | None = None,
    sampling_rate: Hertz = SAMPLING_RATE,
    channel: int | None = None,
) -> Waveform:
    """Read a segment of WAV, FLAC, MP3, OGG or anything else libsndfile knows, down-mixed and resampled.

    Args:
        source: a path, the bytes of a file, or an open binary file.
        offset: seconds into the file.
        duration: seconds to read; None reads to the end.
        sampling_rate: of the result, in Hz.
        channel: the one to take, from 0, where each holds another speaker; None takes the mean of all.

    Returns:
        float32, shape (samples,), mono, in [-1, 1].

    Raises:
        AudioError: reason missing, empty, not-audio, truncated (nothing could be decoded), out-of-range (the segment starts
            after the end, or there is no such channel), too-long (above `LONGEST_READ`) or not-finite (NaN or infinite samples).
    """
    name = _name(source)
    with _open(source) as file:
        rate = file.samplerate
        length = file.frames / rate
        if offset > 0 and offset >= length:
            raise AudioError(
                "out-of-range", f"{name}: the segment starts at {offset:.2f} s, the recording ends at {length:.2f} s. Correct the offset."
            )
        wanted = duration if duration is not None else length - offset
        if wanted > LONGEST_READ:
            raise AudioError(
                "too-long", f"{name}: {wanted / 3600:.1f} h in one piece, at most {LONGEST_READ / 3600:.0f} h can be read. Cut it into segments."
            )
        try:
            file.seek(round(offset * rate))
            frames = -1 if duration is None else round(duration * rate)
            samples = file.read(frames, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise AudioError("truncated", f"{name}: decoding stopped ({_sentence(error)}). Replace the file or remove the line.") from error
    if not len(samples):
        raise AudioError("empty", f"{name}: no samples in it. Replace the file or remove the line.")
    if channel is not None and not 0 <= channel < samples.shape[1]:
        raise AudioError("out-of-range", f"{name}: has {samples.shape[1]} channels, so none is number {channel} from 0. Correct the channel.")
    only = 0 if samples.shape[1] == 1 else channel
    mono = samples.mean(axis=1) if only is None else samples[:, only]
    if not np.isfinite(mono).all():
        bad = int(np.count_nonzero(~np.isfinite(mono)))
        raise AudioError("not-finite", f"{name}: {bad} of {len(mono)} samples are NaN or infinite. Write the file again from its source.")
    return resample(mono, rate, sampling_rate)


def resample(waveform: Waveform, from_rate: Hertz, to_rate: Hertz) -> Waveform:
    """Change the sampling rate (soxr, high quality; chosen by measurement, see docs/log.md) and clip to [-1, 1].

    Args:
        waveform: float32, shape (samples,).

    Returns:
        float32, shape (samples * to_rate / from_rate,).
    """
    if from_rate != to_rate:
        waveform = soxr.resample(waveform, from_rate, to_rate, quality="HQ")
    return np.clip(waveform, -1.0, 1.0).astype(np.float32, copy=False)


def write_flac(path: Path, waveform: Waveform, sampling_rate: Hertz = SAMPLING_RATE) -> None:
    """Write 16-bit mono FLAC in one step (the temporary file is renamed when complete).

    Args:
        waveform: float32, shape (samples,), in [-1, 1].
    """
    with atomic_path(path) as temporary:
        try:
            soundfile.write(temporary, waveform, sampling_rate, format="FLAC", subtype="PCM_16")
        except soundfile.SoundFileError as error:  # libsndfile's way to say that the disk is full
            raise OSError(_sentence(error)) from error


def _missing(file: soundfile.SoundFile) -> Seconds:
    """libsndfile shortens such a file silently and only says so in its log: `data : 32000 (should be 15978)`."""
    found = re.search(r"^data\s*:\s*(\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    if found is None:
        return 0.0
    promised, held = int(found[1]), int(found[2])
    if not 0 < held < promised < STREAMED_SIZE:
        return 0.0
    return float(file.frames / file.samplerate * (promised - held) / held)


def _open(source: AudioSource) -> soundfile.SoundFile:
    name = _name(source)
    opened: AudioSource | int = source
    if isinstance(source, bytes):
        if not source:
            raise AudioError("empty", f"{name}: zero bytes. Send a recording.")
        opened = io.BytesIO(source)
    elif isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            raise AudioError("missing", f"{name}: no such audio file. Correct the path or remove the line.")
        if path.stat().st_size == 0:
            raise AudioError("empty", f"{name}: zero bytes. Replace the file or remove the line.")
        if any((path.parent / other).exists() for other in (f"._{path.name}", f".AppleDouble/{path.name}")):
            # libsndfile opens what macOS leaves beside a file when it is given a path, and then cannot read an MP3
            opened = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        file = soundfile.SoundFile(opened)
    except (soundfile.SoundFileError, TypeError, RuntimeError) as error:
        raise AudioError("not-audio", f"{name}: not a recording that can be read ({_sentence(error)}). Use WAV, FLAC, MP3 or OGG.") from error
    return file


def _name(source: AudioSource) -> str:
    if isinstance(source, str | Path):
        return str(source)
    return str(getattr(source, "name", "audio"))


def _sentence(error: Exception) -> str:
    return str(error).split(": ")[-1].rstrip(".") or type(error).__name__
