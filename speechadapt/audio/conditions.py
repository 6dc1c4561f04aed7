"""Conditions: how each row of a test set was recorded, its signal-to-noise ratio and bandwidth, so that scores can be grouped by them."""

import dataclasses
import itertools
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tqdm import tqdm

from speechadapt.audio.quality import measure_speech
from speechadapt.audio.waveform import read_waveform
from speechadapt.audio.worker import map_in_workers
from speechadapt.data.manifest import Manifest
from speechadapt.errors import AudioError, ManifestError, SpeechadaptError
from speechadapt.units import Hertz, Seconds

BLOCK = 64
"""Rows that a process is handed at once."""

HIGHEST_SNR = 60.0
"""Decibels; more is only seen beside digital silence, which says nothing of the recording."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How one row was recorded.

    Attributes:
        snr: level of the speech (95th percentile of frames of 10 ms) above that of the pauses (10th percentile), in dB, 0 to 60. A recording without
            pauses looks noisy.
        bandwidth: hertz up to which there is speech, 4000 to 8000; see `SpeechMeasures`.
    """

    snr: float
    bandwidth: Hertz


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What a process needs to hear one row: where it lies, or None where its path may not be followed."""

    path: Path | None
    offset: Seconds
    duration: Seconds


def measure_conditions(clip: Clip) -> Conditions | None:
    """Measure one row; None where it cannot be read or holds nothing that was recorded."""
    if clip.path is None:
        return None
    try:
        waveform = read_waveform(clip.path, offset=clip.offset, duration=clip.duration)
    except AudioError:
        return None
    if waveform.min() == waveform.max():
        return None
    speech = measure_speech(waveform)
    return Conditions(snr=round(min(HIGHEST_SNR, max(0.0, speech.level_dbfs - speech.noise_dbfs)), 1), bandwidth=speech.bandwidth)


def with_conditions(manifest: Manifest, *, jobs: int = 1, progress: bool = False) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest with `snr` and `bandwidth` in the `meta` of every row; what a row already says of itself is kept.

    Args:
        manifest: its recordings are read where a row lacks one of the two.
        jobs: processes. progress: show a bar on stderr.

    Returns:
        The manifest, and the ids of the rows that could not be measured.

    Raises:
        AudioError: none of the rows that lack them can be measured (reason missing).
        SpeechadaptError: a process died.
    """
    lacking = [number for number, u in enumerate(manifest) if u.meta.get("snr") is None or u.meta.get("bandwidth") is None]
    if not lacking:
        return manifest, ()
    clips = [_clip(manifest, number) for number in lacking]
    found: dict[int, Conditions | None] = {}
    with tqdm(total=len(clips), desc="audio", unit=" rows", disable=None if progress else True, file=sys.stderr) as bar:
        try:
            for block, measured in map_in_workers(_measure_all, _blocks(clips), workers=min(jobs, max(1, len(clips) // BLOCK))):
                found.update(zip(lacking[block * BLOCK : (block + 1) * BLOCK], measured, strict=True))
                bar.update(len(measured))
        except BrokenProcessPool as error:
            raise SpeechadaptError(
                f"a listening process died after {bar.n} of {len(clips)} rows, perhaps for lack of memory. Run again with fewer at a time."
            ) from error
    unheard = tuple(manifest[number].id for number in lacking if found[number] is None)
    if len(unheard) == len(manifest):
        raise AudioError(
            "missing",
            f'none of the {len(manifest)} recordings of "{manifest.name}" can be measured, the first is that of "{unheard[0]}". '
            "See what is wrong with them: speechadapt check --audio",
        )
    utterances = [
        u if (one := found.get(number)) is None else dataclasses.replace(u, meta={"snr": one.snr, "bandwidth": one.bandwidth, **_known(u.meta)})
        for number, u in enumerate(manifest)
    ]
    return Manifest(utterances, folder=manifest.folder, name=manifest.name), unheard


def _known(meta: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in meta.items() if value is not None or key not in ("snr", "bandwidth")}


def _clip(manifest: Manifest, number: int) -> Clip:
    utterance = manifest[number]
    try:
        path = manifest.audio_path(utterance)
    except ManifestError:
        path = None
    return Clip(path=path, offset=utterance.offset, duration=utterance.duration)


def _blocks(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    several = iter(clips)
    while block := list(itertools.islice(several, BLOCK)):
        yield block


def _measure_all(clips: Sequence[Clip]) -> list[Conditions | None]:
    return [measure_conditions(clip) for clip in clips]
