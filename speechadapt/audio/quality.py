"""Quality: what can be heard to be wrong with a recording, measured on its samples and told as flags."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from speechadapt.audio.waveform import Waveform, read_info, read_waveform
from speechadapt.data.checks import Finding
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import AudioError, ManifestError
from speechadapt.units import Hertz

CLIPPED_LEVEL = 0.999
CLIPPED_SHARE = 0.001
CLIPPED_RUN = 8
QUIET_DBFS = -60.0
LARGEST_OFFSET = 0.02
LOWEST_RATE: Hertz = 8000
DURATION_TOLERANCE = 0.1

SUFFIXES = {
    "WAV": (".wav", ".wave"), "WAVEX": (".wav", ".wave"), "RF64": (".wav", ".rf64"), "FLAC": (".flac",),
    "MP3": (".mp3",), "MPEG": (".mp3", ".mp2", ".mpeg"), "OGG": (".ogg", ".oga", ".opus"),
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AudioQuality:
    """Measures of one waveform.

    Attributes:
        peak: largest absolute sample, 0 to 1.
        rms_dbfs: root mean square in decibels relative to full scale; -inf for digital silence.
        dc_offset: mean of the samples, -1 to 1.
        clipped_share: share of samples at |x| >= 0.999; clipped_run: the longest run of them.
        constant: all samples are equal, so nothing was recorded.
    """

    peak: float
    rms_dbfs: float
    dc_offset: float
    clipped_share: float
    clipped_run: int
    constant: bool

    @property
    def flags(self) -> tuple[str, ...]:
        """The names of what is wrong: silent, quiet, clipped, dc-offset; a silent recording has no other flag."""
        if self.constant:
            return ("silent",)
        flags = {
            "quiet": self.rms_dbfs < QUIET_DBFS,
            "clipped": self.clipped_share >= CLIPPED_SHARE or self.clipped_run >= CLIPPED_RUN,
            "dc-offset": abs(self.dc_offset) > LARGEST_OFFSET,
        }
        return tuple(name for name, found in flags.items() if found)


def measure_quality(waveform: Waveform) -> AudioQuality:
    """Measure one waveform.

    Args:
        waveform: float32, shape (samples,), at least one sample, finite.
    """
    samples = waveform.astype(np.float64)
    clipped = np.abs(samples) >= CLIPPED_LEVEL
    power = float(np.mean(samples**2))
    return AudioQuality(
        peak=float(np.abs(samples).max()),
        rms_dbfs=10 * math.log10(power) if power > 0 else -math.inf,
        dc_offset=float(samples.mean()),
        clipped_share=float(clipped.mean()),
        clipped_run=_longest_run(clipped),
        constant=bool((waveform == waveform[0]).all()),
    )


def _longest_run(flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def check_audio(manifest: Manifest, utterance: Utterance) -> list[Finding]:
    """Decode one utterance's audio and say what is wrong with it. Never raises for a bad recording.

    Errors: the reasons of `AudioError` (missing, empty, not-audio, truncated, not-finite, out-of-range, too-long), silent, wrong-duration.
    Warnings: quiet, clipped, dc-offset, wrong-extension, low-sampling-rate.
    """

    def finding(severity: str, check: str, message: str) -> Finding:
        return Finding(severity=severity, check=check, ids=(utterance.id,), message=f'{manifest.name}: utterance "{utterance.id}": {message}')

    try:
        path = manifest.audio_path(utterance)
        info = read_info(path)
        waveform = read_waveform(path, offset=utterance.offset, duration=utterance.duration, sampling_rate=info.sampling_rate)
    except AudioError as error:
        return [finding("error", error.reason, str(error))]
    except ManifestError as error:
        return [Finding(severity="error", check="outside-folder", ids=(utterance.id,), message=str(error))]
    findings = _check_header(path, info.format, info.sampling_rate, finding)
    if info.missing > DURATION_TOLERANCE:
        promised = info.duration + info.missing
        findings.append(finding("error", "truncated", f"{info.missing:.2f} of {promised:.2f} s are missing at the end of {path}. Replace the file."))
    seconds = len(waveform) / info.sampling_rate
    if utterance.duration - seconds > DURATION_TOLERANCE:
        message = f"duration is {utterance.duration:.2f} s in the manifest, {seconds:.2f} s could be decoded. Prepare the corpus again."
        findings.append(finding("error", "wrong-duration", message))
    elif utterance.offset == 0 and info.duration - utterance.duration > DURATION_TOLERANCE and utterance.recording is None:
        message = f"duration is {utterance.duration:.2f} s in the manifest, the recording lasts {info.duration:.2f} s. Prepare the corpus again."
        findings.append(finding("error", "wrong-duration", message))
    quality = measure_quality(waveform)
    told = {
        "silent": f"every sample is {float(waveform[0]):g}; nothing was recorded. Remove the line.",
        "quiet": f"level {quality.rms_dbfs:.0f} dBFS, below {QUIET_DBFS:.0f}. Listen to it.",
        "clipped": f"{quality.clipped_share:.2%} of the samples are at full scale, longest run {quality.clipped_run}. Listen to it.",
        "dc-offset": f"mean sample {quality.dc_offset:+.3f}, beyond {LARGEST_OFFSET:g}. A high-pass filter removes it.",
    }
    return findings + [finding("error" if flag == "silent" else "warning", flag, told[flag]) for flag in quality.flags]


def _check_header(path: Path, container: str, rate: Hertz, finding: Callable[[str, str, str], Finding]) -> list[Finding]:
    findings = []
    known = SUFFIXES.get(container)
    if known is not None and path.suffix.lower() not in known:
        findings.append(finding("warning", "wrong-extension", f'holds {container} behind the name "{path.name}". Rename it to end in {known[0]}.'))
    if rate < LOWEST_RATE:
        findings.append(finding("warning", "low-sampling-rate", f"{rate} Hz, below {LOWEST_RATE} Hz; speech loses its consonants there."))
    return findings
