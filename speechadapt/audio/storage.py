"""Storage: one recording, or a segment of it, measured and kept as a 16 kHz mono FLAC file. Works in any process, raises for nothing."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from speechadapt.audio.quality import measure_quality
from speechadapt.audio.waveform import Waveform, read_info, read_waveform, write_flac
from speechadapt.errors import AudioError
from speechadapt.units import SAMPLING_RATE, Seconds

LONGEST_ROW: Seconds = 3600.0
"""A single row beyond an hour is a recording that was never cut into lines, or a header that lies: it is not decoded."""

OVERHANG: Seconds = 0.5
"""A segment may end this much after its recording and is clamped; beyond it, its times cannot be trusted."""

SAME_LENGTH: Seconds = 0.01


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to read and where to keep it.

    Attributes:
        id: for messages. audio: a file, or a picklable call that makes a waveform (float32, mono, 16 kHz) or fetches the bytes of a file.
        offset, duration: the segment in seconds; duration None reads to the end. channel: of a file, from 0; None takes the mean of all.
        target: the FLAC file to write; None only measures. header_only: do not decode (durations come from headers).
    """

    id: str
    audio: Path | Callable[[], Waveform | bytes]
    offset: Seconds
    duration: Seconds | None
    target: Path | None
    header_only: bool = False
    channel: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """What came of one job.

    Attributes:
        duration: seconds, from the samples. digest: sha1 of the 16-bit samples at 16 kHz (empty if not decoded).
        outcome: converted, reused, measured or dropped.
        reason, message: why it was dropped, as in `AudioError`.
        clamped: the segment ended after its recording and was shortened. flags: quality warnings.
    """

    id: str
    outcome: str
    duration: Seconds = 0.0
    digest: str = ""
    reason: str = ""
    message: str = ""
    clamped: bool = False
    flags: tuple[str, ...] = ()


def store(job: Job) -> Sound:
    """Read, check, resample and write one recording; an unusable one comes back as dropped with its reason."""
    try:
        return _store(job)
    except AudioError as error:
        return Sound(id=job.id, outcome="dropped", reason=error.reason, message=f'row "{job.id}": {error}')


def _store(job: Job) -> Sound:
    clamped, duration = False, job.duration
    flags: tuple[str, ...] = ()
    made = None if isinstance(job.audio, Path) else job.audio()
    file = job.audio if isinstance(job.audio, Path) else made if isinstance(made, bytes) else None
    if file is not None:
        length, narrow = _header(file, _name(job))
        wanted = duration if duration is not None else length - job.offset
        if job.duration is not None and job.offset + job.duration > length:
            _refuse_overhang(job, length)
            clamped, duration = job.offset + job.duration - length > SAME_LENGTH, None
        if wanted > LONGEST_ROW:
            raise AudioError("too-long", f"{_name(job)}: {wanted / 60:.0f} min in one row, at most {LONGEST_ROW / 60:.0f} min. Cut it into segments.")
        if job.header_only:
            return Sound(id=job.id, outcome="measured", duration=min(wanted, length - job.offset), clamped=clamped)
        flags = ("narrow-band",) if narrow else ()
        kept = _kept(job, length)
        waveform = kept if kept is not None else read_waveform(file, offset=job.offset, duration=duration, channel=job.channel)
        if wanted - OVERHANG > len(waveform) / SAMPLING_RATE:
            raise AudioError(
                "truncated", f"{_name(job)}: {len(waveform) / SAMPLING_RATE:.2f} s could be decoded of {wanted:.2f} s. Replace the file."
            )
    else:
        kept, waveform = None, _require_speech_array(job.id, made)
    quality = measure_quality(waveform)
    if quality.constant:
        raise AudioError("silent", f"{_name(job)}: every sample is {float(waveform[0]):g}, nothing was recorded. Remove the row or replace the file.")
    if job.target is not None and kept is None:
        write_flac(job.target, waveform)
    return Sound(
        id=job.id,
        outcome="measured" if job.target is None else "converted" if kept is None else "reused",
        duration=round(len(waveform) / SAMPLING_RATE, 6),
        digest=hashlib.sha1(_sixteen_bit(waveform).tobytes(), usedforsecurity=False).hexdigest(),
        clamped=clamped,
        flags=flags + quality.flags,
    )


def _header(file: Path | bytes, name: str) -> tuple[Seconds, bool]:
    """Seconds of audio, and whether it holds less than the full band of 8 kHz."""
    info = read_info(file)
    if info.missing > SAME_LENGTH:
        raise AudioError("truncated", f"{name}: {info.missing:.2f} of {info.duration + info.missing:.2f} s are missing at its end. Replace the file.")
    return info.duration, info.sampling_rate < SAMPLING_RATE


def _refuse_overhang(job: Job, length: Seconds) -> None:
    end = job.offset + (job.duration or 0.0)
    if job.offset >= length or end - length > OVERHANG:
        raise AudioError(
            "out-of-range",
            f"{_name(job)}: the segment is {job.offset:.2f} to {end:.2f} s, the recording ends at {length:.2f} s. Correct the times.",
        )


def _kept(job: Job, length: Seconds) -> Waveform | None:
    """The waveform of an earlier run, if a whole recording was converted after its source was last changed, and is as long."""
    if job.target is None or not isinstance(job.audio, Path) or job.offset > 0 or job.duration is not None or not job.target.is_file():
        return None
    if job.target.stat().st_mtime < job.audio.stat().st_mtime:
        return None
    try:
        waveform = read_waveform(job.target)
    except AudioError:
        return None
    return waveform if abs(len(waveform) / SAMPLING_RATE - length) <= SAME_LENGTH else None


def _require_speech_array(row_id: str, waveform: Any) -> Waveform:
    if not isinstance(waveform, np.ndarray) or waveform.dtype != np.float32 or waveform.ndim != 1:
        made = f"{waveform.dtype} of shape {waveform.shape}" if isinstance(waveform, np.ndarray) else type(waveform).__name__
        raise TypeError(f'row "{row_id}": its recipe made {made}, expected float32 of shape (samples,) or bytes')
    if not len(waveform):
        raise AudioError("empty", f'"{row_id}": no samples were made. Correct the recipe.')
    if not np.isfinite(waveform).all():
        raise AudioError(
            "not-finite", f'"{row_id}": {int(np.count_nonzero(~np.isfinite(waveform)))} samples are NaN or infinite. Correct the recipe.'
        )
    return waveform


def _sixteen_bit(waveform: Waveform) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.clip(np.round(waveform * 32768.0), -32768, 32767).astype(np.int16)


def _name(job: Job) -> str:
    return str(job.audio) if isinstance(job.audio, Path) else f'"{job.id}"'
