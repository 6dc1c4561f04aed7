"""Waveform: a segment of a recording as mono float32 at one rate. The only file that opens audio."""

import contextlib
import dataclasses
import io
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

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
DEEP = ("PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAC_20", "ALAC_24", "ALAC_32")
"""Libsndfile's names of samples that 16 bits do not hold."""
LEAST_MISSING: Seconds = 0.5
"""A file that holds less than its header promises by more than this was cut off."""
UNKNOWN_LENGTH: Seconds = 1e9
"""Programs that write FLAC into a pipe do not know its length, and libsndfile gives the largest number there."""
SEEK_FAILED = 39
"""Libsndfile's number of that error."""
MOST_VALUES = 1 << 21
"""Values, those of all channels counted, that are decoded at a time: 8 MB."""
PIECE = 1 << 16
"""Samples that are copied at a time."""


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
    with open_recording(source) as recording:
        return recording.info


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
    with open_recording(source) as recording:
        return recording.read_waveform(offset=offset, duration=duration, sampling_rate=sampling_rate, channel=channel)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """An open file of audio: its header was read, its samples are read when they are asked for. Made by `open_recording`."""

    info: AudioInfo
    name: str
    _file: soundfile.SoundFile

    def read_waveform(
        self, *, offset: Seconds = 0.0, duration: Seconds | None = None, sampling_rate: Hertz = SAMPLING_RATE, channel: int | None = None
    ) -> Waveform:
        """As the function `read_waveform`."""
        if channel is not None and not 0 <= channel < self.info.channels:
            raise AudioError(
                "out-of-range", f"{self.name}: has {self.info.channels} channels, so none is number {channel} from 0. Correct the channel."
            )
        samples = self.read_channels(offset=offset, duration=duration)
        only = 0 if self.info.channels == 1 else channel
        mono = samples.mean(axis=1) if only is None else samples[:, only]
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(mono.sum())  # one bad sample spoils it, and it needs no copy
        if not math.isfinite(total) and not np.isfinite(mono).all():
            bad = int(np.count_nonzero(~np.isfinite(mono)))
            raise AudioError("not-finite", f"{self.name}: {bad} of {len(mono)} samples are NaN or infinite. Write the file again from its source.")
        return resample(mono, self.info.sampling_rate, sampling_rate)

    def blocks(self, block: Seconds = 10.0) -> Iterator[Waveform]:
        """Read from the beginning to the end, piece by piece, as `read_waveform` would at 16 kHz, so that hours need no memory.

        Args:
            block: at most about so many seconds at a time; fewer where there are many channels or a high rate.

        Yields:
            float32, shape (samples,), mono, 16 kHz, one piece after the other.

        Raises:
            AudioError: reason truncated (decoding stops, or the file holds less than its header says), empty or not-finite.
        """
        rate = self.info.sampling_rate
        most = max(1, min(round(block * rate), MOST_VALUES // self.info.channels))
        stream = None if rate == SAMPLING_RATE else soxr.ResampleStream(rate, SAMPLING_RATE, 1, dtype="float32", quality="HQ")
        read = 0
        if self._file.tell():
            self._file.seek(0)
        while True:
            try:
                samples = self._read(most)
            except (soundfile.SoundFileError, RuntimeError) as error:
                raise AudioError(
                    "truncated", f"{self.name}: decoding stopped at {read / rate:.2f} s ({_sentence(error)}). Send the whole file."
                ) from error
            read += len(samples)
            mono = samples[:, 0] if self.info.channels == 1 else samples.mean(axis=1)
            if not np.isfinite(mono).all():
                bad = int(np.count_nonzero(~np.isfinite(mono)))
                raise AudioError(
                    "not-finite",
                    f"{self.name}: {bad} samples before {read / rate:.2f} s are NaN or infinite. Write the file again from its source.",
                )
            done = len(samples) < most
            sound = mono if stream is None else stream.resample_chunk(np.ascontiguousarray(mono), last=done)
            if len(sound):
                yield np.clip(sound, -1.0, 1.0)
            if done:
                break
        if not read:
            raise AudioError("empty", f"{self.name}: no samples in it. Send a recording.")
        promised = self.info.duration + self.info.missing
        if promised < UNKNOWN_LENGTH and promised - read / rate > LEAST_MISSING:
            raise AudioError("truncated", f"{self.name}: its header promises {promised:.2f} s, it holds {read / rate:.2f} s. Send the whole file.")

    def _read(self, most: int) -> NDArray[np.float32]:
        """The next samples, shape (frames, channels): `most` frames, or fewer at the end."""
        if self.info.duration < UNKNOWN_LENGTH:
            samples: NDArray[np.float32] = self._file.read(most, dtype="float32", always_2d=True)
            return samples
        # after each reading soundfile goes to where it ended, which libsndfile cannot at the end of a FLAC of unknown length; the samples are there
        buffer = np.full((most, self.info.channels), np.nan, np.float32)
        try:
            return self._file.read(out=buffer)  # type: ignore[no-any-return]
        except soundfile.LibsndfileError as error:
            if error.code != SEEK_FAILED:
                raise
            return buffer[: int(np.count_nonzero(~np.isnan(buffer[:, 0])))]

    def read_channels(self, *, offset: Seconds = 0.0, duration: Seconds | None = None) -> NDArray[np.float32]:
        """Read a segment as it lies in the file: every channel, at the file's own rate.

        Args:
            offset: seconds into the file.
            duration: seconds to read; None reads to the end.

        Returns:
            float32, shape (frames, channels). Samples may be infinite or NaN.

        Raises:
            AudioError: reason truncated, empty, out-of-range or too-long, as for `read_waveform`.
        """
        name, info = self.name, self.info
        if offset > 0 and offset >= info.duration:
            raise AudioError(
                "out-of-range", f"{name}: the segment starts at {offset:.2f} s, the recording ends at {info.duration:.2f} s. Correct the offset."
            )
        wanted = duration if duration is not None else info.duration - offset
        if wanted > LONGEST_READ:
            raise AudioError(
                "too-long", f"{name}: {wanted / 3600:.1f} h in one piece, at most {LONGEST_READ / 3600:.0f} h can be read. Cut it into segments."
            )
        try:
            start = round(offset * info.sampling_rate)
            if start != self._file.tell():
                self._file.seek(start)
            frames = -1 if duration is None else round(duration * info.sampling_rate)
            samples: NDArray[np.float32] = self._file.read(frames, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise AudioError("truncated", f"{name}: decoding stopped ({_sentence(error)}). Replace the file or remove the line.") from error
        if not len(samples):
            raise AudioError("empty", f"{name}: no samples in it. Replace the file or remove the line.")
        return samples


@contextlib.contextmanager
def open_recording(source: AudioSource) -> Iterator[Recording]:
    """Open a file and read its header; where both header and samples are needed this is one look at the file instead of two.

    Raises:
        AudioError: reason missing, empty or not-audio.
    """
    with _open(source) as file:
        yield Recording(info=_info(file), name=_name(source), _file=file)


def resample(waveform: Waveform, from_rate: Hertz, to_rate: Hertz) -> Waveform:
    """Change the sampling rate (soxr, high quality; chosen by measurement, see docs/log.md) and clip to [-1, 1].

    Args:
        waveform: float32, shape (samples,).

    Returns:
        float32, shape (samples * to_rate / from_rate,).
    """
    if from_rate != to_rate:
        waveform = soxr.resample(waveform, from_rate, to_rate, quality="HQ")
        np.clip(waveform, -1.0, 1.0, out=waveform)  # a new array, so it may be clipped where it is
        return waveform
    return np.clip(waveform, -1.0, 1.0).astype(np.float32, copy=False)


def write_flac(path: Path, waveform: Waveform | NDArray[np.int16], sampling_rate: Hertz = SAMPLING_RATE, *, durable: bool = True) -> None:
    """Write 16-bit mono FLAC in one step (the temporary file is renamed when complete).

    Args:
        waveform: shape (samples,), float32 in [-1, 1] or the 16-bit samples themselves.
        durable: wait for the disk, see `files.atomic_path`.
    """
    encoded = io.BytesIO()  # libsndfile does not tell when the end of a file finds no more room on the disk
    soundfile.write(encoded, waveform, sampling_rate, format="FLAC", subtype="PCM_16")
    with atomic_path(path, durable=durable) as temporary:
        temporary.write_bytes(encoded.getbuffer())


def _info(file: soundfile.SoundFile) -> AudioInfo:
    return AudioInfo(
        sampling_rate=file.samplerate,
        channels=file.channels,
        duration=file.frames / file.samplerate,
        format=file.format,
        subtype=file.subtype,
        missing=_missing(file),
    )


def copy_samples(source: Path, target: Path | BinaryIO, *, form: str = "FLAC", start: int = 0, count: int | None = None) -> None:
    """Write a range of a recording at its own rate as mono (the mean of its channels), piece by piece, so that hours need no memory.

    FLAC keeps 24 bits where the source holds more than 16 or its channels are mixed, else 16; WAV always keeps 16. From a mono recording of at
    most that many bits the samples are exactly those of the source.

    Args:
        source: WAV, FLAC, MP3, OGG or anything else libsndfile knows. target: a path, or a binary file open for writing.
        form: FLAC or WAV.
        start: the first sample, from 0. count: samples; None writes to the end.

    Raises:
        AudioError: reason missing, empty, not-audio, truncated (fewer samples could be decoded than asked for) or not-finite.
        OSError: the target cannot be written to its end; what is there of it is not a whole recording.
    """
    if isinstance(target, Path):
        with target.open("wb") as opened:
            copy_samples(source, opened, form=form, start=start, count=count)
        return
    name, told = _name(source), _Told(target)
    with _open(source) as file:
        deep = form == "FLAC" and (file.channels > 1 or file.subtype in DEEP)
        subtype = "PCM_24" if deep else "PCM_16"
        left = file.frames - start if count is None else count
        try:
            file.seek(start)
            with soundfile.SoundFile(told, "w", file.samplerate, channels=1, format=form, subtype=subtype) as written:
                while left > 0 and told.error is None and len(piece := _read_mono(file, min(left, PIECE), name)):
                    written.write(piece)
                    left -= len(piece)
        except soundfile.SoundFileError as error:
            raise told.error or OSError(f"{name}: {_sentence(error)}") from error
    if told.error is not None:
        raise told.error
    target.flush()
    if count is not None and left > 0:
        raise AudioError("truncated", f"{name}: {count - left} of {count} samples could be decoded. Replace the file or remove the line.")


class _Told:
    """A binary file for libsndfile to write into, which keeps what went wrong: libsndfile itself says nothing of a disk that is full at the end.

    To libsndfile everything goes well, as an exception in its calls would be printed and forgotten; who writes looks at `error`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.error: OSError | None = None
        self._file = file

    def write(self, data: bytes) -> int:
        return self._try(lambda: self._file.write(data), len(data))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._try(lambda: self._file.seek(offset, whence), 0)

    def tell(self) -> int:
        return self._try(self._file.tell, 0)

    def _try(self, action: Callable[[], int], otherwise: int) -> int:
        try:
            return action()
        except OSError as error:
            self.error = self.error or error
            return otherwise


def _read_mono(file: soundfile.SoundFile, count: int, name: str) -> NDArray[np.float64]:
    try:
        samples = file.read(count, dtype="float64", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError("truncated", f"{name}: decoding stopped ({_sentence(error)}). Replace the file or remove the line.") from error
    mono: NDArray[np.float64] = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise AudioError("not-finite", f"{name}: samples are NaN or infinite. Write the file again from its source.")
    return mono


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
    given: object = source  # not all who call have their types checked
    if isinstance(given, bytes | bytearray | memoryview):
        if not len(given):
            raise AudioError("empty", f"{name}: zero bytes. Send a recording.")
        opened = io.BytesIO(given)
    elif isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            raise AudioError("missing", f"{name}: no such audio file. Correct the path or remove the line.")
        if path.stat().st_size == 0:
            raise AudioError("empty", f"{name}: zero bytes. Replace the file or remove the line.")
        if any((path.parent / other).exists() for other in (f"._{path.name}", f".AppleDouble/{path.name}")):
            # libsndfile opens what macOS leaves beside a file when it is given a path, and then cannot read an MP3
            opened = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    else:
        _check_file(source, name)
    try:
        file = soundfile.SoundFile(opened)
    except (soundfile.SoundFileError, TypeError, RuntimeError) as error:
        raise AudioError("not-audio", f"{name}: not a recording that can be read ({_sentence(error)}). Use WAV, FLAC, MP3 or OGG.") from error
    return file


def _check_file(source: object, name: str) -> None:
    """Libsndfile's calls into a file cannot raise: what goes wrong in them would be printed and forgotten."""
    if not all(hasattr(source, method) for method in ("read", "seek", "tell")):
        kind = type(source).__name__
        raise AudioError("not-audio", f"{kind} given, must be a path, the bytes of a file, an open binary file or a numpy array. Convert it.")
    if isinstance(source, io.TextIOBase):
        raise AudioError("not-audio", f'{name}: opened as text. Open it with mode "rb".')
    if isinstance(source, io.IOBase) and (source.closed or not source.readable()):
        raise AudioError("not-audio", f'{name}: not open to be read. Open it with mode "rb".')
    if isinstance(source, io.IOBase) and not source.seekable():
        raise AudioError("not-audio", f"{name}: a pipe or socket, in which no one can go back. Read it to its end and give the bytes.")


def _name(source: AudioSource) -> str:
    if isinstance(source, str | Path):
        return str(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) and name else "audio"  # a pipe's is a number


def _sentence(error: Exception) -> str:
    return str(error).split(": ")[-1].rstrip(".") or type(error).__name__
