"""Storage: one recording, or a segment of it, measured and kept as a 16 kHz mono FLAC file. Works in any process, raises for no recording."""

import contextlib
import dataclasses
import functools
import hashlib
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechadapt.audio.quality import measure_quality
from speechadapt.audio.waveform import Recording, Waveform, open_recording, read_waveform, write_flac
from speechadapt.errors import AudioError
from speechadapt.units import SAMPLING_RATE, Seconds

LONGEST_ROW: Seconds = 3600.0
"""A single row beyond an hour is a recording that was never cut into lines, or a header that lies: it is not decoded."""

OVERHANG: Seconds = 0.5
"""A segment may end this much after its recording and is clamped; beyond it, its times cannot be trusted."""

SAME_LENGTH: Seconds = 0.01

SECOND = 1_000_000_000
"""In ns, as times of change are counted."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """What came of one job.

    Attributes:
        duration: seconds, from the samples. digest: sha1 of the 16-bit samples at 16 kHz (empty if not decoded).
        outcome: converted, reused, measured or dropped. taken: it was noted by an interrupted run, and taken over without opening anything.
        reason, message: why it was dropped, as in `AudioError`.
        clamped: the segment ended after its recording and was shortened. flags: quality warnings.
        origin: of what it was made, see `origin_of`; size: bytes of the file that was written, 0 if none was.
    """

    id: str
    outcome: str
    duration: Seconds = 0.0
    digest: str = ""
    reason: str = ""
    message: str = ""
    clamped: bool = False
    flags: tuple[str, ...] = ()
    origin: str = ""
    size: int = 0
    taken: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to read and where to keep it.

    Attributes:
        id: for messages. audio: a file, or a picklable call that makes a waveform (float32, mono, 16 kHz) or fetches the bytes of a file.
        offset, duration: the segment in seconds; duration None reads to the end. channel: of a file, from 0; None takes the mean of all.
        target: the FLAC file to write; None only measures. header_only: do not decode (durations come from headers).
        journaled: what an interrupted run noted of this row. It is taken as it stands, and nothing is decoded, if the row, its recording and
            the file that was written are still the same.
        traced: say in `Sound.origin` of what the sound was made, for such a note.
    """

    id: str
    audio: Path | Callable[[], Waveform | bytes]
    offset: Seconds
    duration: Seconds | None
    target: Path | None
    header_only: bool = False
    channel: int | None = None
    journaled: Sound | None = None
    traced: bool = False


def store(job: Job) -> Sound:
    """Read, check, resample and write one recording; an unusable one comes back as dropped with its reason.

    Raises:
        SpeechadaptError: the target cannot be written.
    """
    origin = origin_of(job) if job.traced else ""
    if job.journaled is not None and origin and job.journaled.origin == origin and _is_whole(job, job.journaled):
        return dataclasses.replace(job.journaled, taken=True)
    try:
        sound = _store(job)
    except AudioError as error:
        sound = Sound(id=job.id, outcome="dropped", reason=error.reason, message=f'row "{job.id}": {error}')
    return dataclasses.replace(sound, origin=origin, size=_size(job.target) or 0) if job.traced else sound


def store_all(jobs: Sequence[Job]) -> list[Sound]:
    """`store` for a batch of jobs, in their order: what engines send to a worker at a time."""
    return [store(job) for job in jobs]


def origin_of(job: Job) -> str:
    """What a job's result depends on, as a hex digest: the row's segment and target, and size and time of change of the recording.

    Of audio that is made, the call with its arguments, and of files among them size and time of change. Empty where a call cannot be told.
    """
    parts: list[Any] = [job.id, job.offset, job.duration, job.channel, str(job.target), job.header_only]
    if isinstance(job.audio, Path):
        parts += [str(job.audio), _stamp(job.audio)]
    else:
        try:
            parts.append(pickle.dumps(job.audio))
        except (pickle.PicklingError, AttributeError, TypeError):
            return ""
        if isinstance(job.audio, functools.partial):
            given = (*job.audio.args, *job.audio.keywords.values())
            parts += [_stamp(value) for value in given if isinstance(value, Path)]
    return hashlib.sha1(repr(parts).encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _size(path: Path | None) -> int | None:
    stamp = _stamp(path) if path is not None else None
    return stamp[0] if stamp is not None else None


def _is_whole(job: Job, journaled: Sound) -> bool:
    return job.target is None or journaled.outcome == "dropped" or (_size(job.target) == journaled.size > 0)


def _store(job: Job) -> Sound:
    made = None if isinstance(job.audio, Path) else job.audio()
    file = job.audio if isinstance(job.audio, Path) else made if isinstance(made, bytes) else None
    if file is None:
        return _keep(job, _require_speech_array(job.id, made))
    with open_recording(file) as recording:
        return _store_recording(job, recording)


def _store_recording(job: Job, recording: Recording) -> Sound:
    length = _length(recording, _name(job))
    clamped, duration = False, job.duration
    wanted = duration if duration is not None else length - job.offset
    if job.duration is not None and job.offset + job.duration > length:
        _refuse_overhang(job, length)
        clamped, duration = job.offset + job.duration - length > SAME_LENGTH, None
    if wanted > LONGEST_ROW:
        raise AudioError("too-long", f"{_name(job)}: {wanted / 60:.0f} min in one row, at most {LONGEST_ROW / 60:.0f} min. Cut it into segments.")
    if job.header_only:
        return Sound(id=job.id, outcome="measured", duration=min(wanted, length - job.offset), clamped=clamped)
    mark = _mark(job)
    kept = _kept(job, length, mark)
    waveform = kept if kept is not None else recording.read_waveform(offset=job.offset, duration=duration, channel=job.channel)
    if wanted - OVERHANG > len(waveform) / SAMPLING_RATE:
        raise AudioError("truncated", f"{_name(job)}: {len(waveform) / SAMPLING_RATE:.2f} s could be decoded of {wanted:.2f} s. Replace the file.")
    flags = ("narrow-band",) if recording.info.sampling_rate < SAMPLING_RATE else ()
    return _keep(job, waveform, reused=kept is not None, clamped=clamped, flags=flags, mark=mark)


def _keep(
    job: Job, waveform: Waveform, *, reused: bool = False, clamped: bool = False, flags: tuple[str, ...] = (), mark: int | None = None
) -> Sound:
    """Measure a waveform and write it, unless it was read from the target. The 16-bit samples are made once, for the digest and the file."""
    quality = measure_quality(waveform)
    if quality.constant:
        raise AudioError("silent", f"{_name(job)}: every sample is {float(waveform[0]):g}, nothing was recorded. Remove the row or replace the file.")
    samples = _sixteen_bit(waveform)
    if job.target is not None and not reused:
        write_flac(job.target, samples, durable=False)  # `finish_corpus` waits for the disk once, before anything names these files
        if mark is not None:
            with contextlib.suppress(OSError):  # then it is converted again the next time
                os.utime(job.target, ns=(mark, mark))
    return Sound(
        id=job.id,
        outcome="measured" if job.target is None else "reused" if reused else "converted",
        duration=round(len(waveform) / SAMPLING_RATE, 6),
        digest=hashlib.sha1(samples.data, usedforsecurity=False).hexdigest(),
        clamped=clamped,
        flags=flags + quality.flags,
    )


def _length(recording: Recording, name: str) -> Seconds:
    info = recording.info
    if info.missing > SAME_LENGTH:
        raise AudioError("truncated", f"{name}: {info.missing:.2f} of {info.duration + info.missing:.2f} s are missing at its end. Replace the file.")
    return info.duration


def _refuse_overhang(job: Job, length: Seconds) -> None:
    end = job.offset + (job.duration or 0.0)
    if job.offset >= length or end - length > OVERHANG:
        raise AudioError(
            "out-of-range",
            f"{_name(job)}: the segment is {job.offset:.2f} to {end:.2f} s, the recording ends at {length:.2f} s. Correct the times.",
        )


def _mark(job: Job) -> int | None:
    """The time of change, in ns, that the file made of a whole recording gets: the recording's, with a digest of its path, size and time as fraction.

    So a file tells which recording it was made of as it was then, and a list that is corrected to name another one, or a corpus that is replaced
    by an older release of it, is seen. None for segments, single channels and audio that is made, which are never kept.
    """
    if job.target is None or not isinstance(job.audio, Path) or job.offset > 0 or job.duration is not None or job.channel is not None:
        return None
    stamp = _stamp(job.audio)
    if stamp is None:
        return None
    digest = hashlib.sha1(repr((str(job.audio), stamp)).encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
    fraction = int.from_bytes(digest[:8], "big") % 10_000_000 * 100  # file systems keep 100 ns; where one keeps less nothing is kept
    return stamp[1] // SECOND * SECOND + fraction


def _kept(job: Job, length: Seconds, mark: int | None) -> Waveform | None:
    """The waveform of an earlier run, if it was made of the same recording, which has not changed since, and is as long."""
    if mark is None or job.target is None or (there := _stamp(job.target)) is None or there[1] != mark:
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


def _sixteen_bit(waveform: Waveform) -> NDArray[np.int16]:
    scaled = waveform * np.float32(32768.0)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -32768, 32767, out=scaled)
    return scaled.astype(np.int16)


def _name(job: Job) -> str:
    return str(job.audio) if isinstance(job.audio, Path) else f'"{job.id}"'
