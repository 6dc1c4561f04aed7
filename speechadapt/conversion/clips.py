"""Clip: an utterance with the recording it lies in and its range of samples there."""

import dataclasses
import functools
from pathlib import Path

from speechadapt.audio.storage import OVERHANG, SAME_LENGTH
from speechadapt.audio.waveform import AudioInfo, read_info
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import AudioError, ManifestError
from speechadapt.units import Hertz, Seconds


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One utterance and its sound.

    Attributes:
        source: the recording, an absolute path without links. info: its header.
        start, count: the range of samples at the recording's own rate. length: samples of the whole recording.
        clamped: the manifest lets it end after its recording.
    """

    utterance: Utterance
    source: Path
    info: AudioInfo
    start: int
    count: int
    length: int
    clamped: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is all of its recording."""
        return self.count == self.length

    @property
    def rate(self) -> Hertz:
        """Samples per second of the recording."""
        return self.info.sampling_rate

    @property
    def duration(self) -> Seconds:
        """Seconds, as exact as a number can be."""
        return self.count / self.rate


def locate_clip(folder: Manifest, utterance: Utterance) -> Clip:
    """Find the recording of an utterance, read its header, and turn seconds into samples as `read_waveform` does.

    Args:
        folder: a manifest of the folder the utterance comes from.

    Raises:
        ManifestError: the recording is missing, cannot be read, lies where the manifest may not point to, or ends before the utterance does.
    """
    path = folder.audio_path(utterance)
    where = f'utterance "{utterance.id}" ({folder.name})'
    try:
        info = _header(path)
    except AudioError as error:
        raise ManifestError(f"{where}: {error} Nothing was converted.") from error
    rate, length = info.sampling_rate, round(info.duration * info.sampling_rate)
    start, count = round(utterance.offset * rate), round(utterance.duration * rate)
    over = start + count - length
    if not length or start >= length or over > OVERHANG * rate:
        raise ManifestError(
            f"{where}: it lasts from {utterance.offset:.2f} to {utterance.offset + utterance.duration:.2f} s, and its recording {path} ends at "
            f"{info.duration:.2f} s. Correct the times or prepare the corpus again. Nothing was converted."
        )
    if start == 0 and abs(over) <= SAME_LENGTH * rate:
        count = length
    clamped = over > SAME_LENGTH * rate
    return Clip(utterance=utterance, source=path, info=info, start=start, count=max(1, min(count, length - start)), length=length, clamped=clamped)


@functools.lru_cache(maxsize=256)
def _header(path: Path) -> AudioInfo:
    """Neighbouring rows often lie in one recording."""
    return read_info(path)


def exact_seconds(samples: int, rate: Hertz) -> Seconds:
    """A time in seconds that gives back the same sample to programs that round and to those that cut off (Kaldi, NeMo).

    `0.1 * 24000` is a little more than 2400 and `0.29 * 100` a little less than 29, so the next larger ten-millionth is taken where needed.
    """
    ticks = -(-samples * 10_000_000 // rate)
    while int(ticks / 10_000_000 * rate) < samples:
        ticks += 1
    return ticks / 10_000_000


def decimal(seconds: Seconds) -> str:
    """Seconds without an exponent and without zeros at the end, for lists of text: `12.5`."""
    return f"{seconds:.7f}".rstrip("0").rstrip(".")
