"""Quality: what can be heard to be wrong with a recording, measured on its samples and told as flags."""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from speechadapt.audio.waveform import Waveform
from speechadapt.units import SAMPLING_RATE, Hertz, Seconds

CLIPPED_LEVEL = 0.999
CLIPPED_SHARE = 0.001
CLIPPED_RUN = 8
QUIET_DBFS = -60.0
LARGEST_OFFSET = 0.02

# The limits below were set on 720 recordings of speechocean762 (children and adults on telephones of many makes) and on the same ones
# damaged on purpose; docs/log.md has the counts of false alarms and of misses.
CEILING = (0.90, 0.98)
"""Of the peak. Speech seldom comes near its own peak: there, at most 17 samples of a recording lie in the upper two hundredths."""
CEILING_SAMPLES = 30
CEILING_RATIO = 1.5
"""Samples above 0.98 of the peak for each one from 0.90 to 0.98: few in speech, 0.8 in a pure tone, many where a ceiling cut the waves off."""
LIMITED = (0.8, 0.9)
LIMITED_FRAMES = 30
LIMITED_RATIO = 1.5
"""The same for the peaks of frames of 5 ms, which a resampler, an MP3 encoder or a limiter leaves near the ceiling but not at it."""
SMALL_OFFSET = 0.002
OFFSET_SHARE = 0.1
"""A smaller offset is told too where it is a tenth of the sound's own level (highest in good recordings: 0.04)."""
LOW_LEVEL_DBFS = -45.0
FRAME: Seconds = 0.01
LONGEST_SILENCE: Seconds = 2.0
SILENCE_DB = 30.0
"""Below the level of speech (95th percentile of the frames) by this much is silence, or near to the recording's own noise floor."""
DYNAMICS_DB = 20.0
"""Speech has pauses. Where the loudest frames are not this much above the softest, silences and cut edges cannot be told."""
CUT_DB = -10.0
"""Of the first or last 20 ms beside the level of speech; good recordings begin and end below -14."""
EMPTY_BAND_DB = -55.0
"""Energy above 4.5 kHz beside that of 300 to 3400 Hz, both in the loud moments of each; in full-band speech it is above -50."""
FLAT_DB = 3.0
FLAT_BAND_DB = -30.0
"""A band that is this soft and this even holds noise only, such as that of few bits."""
CUTOFF_DB = 25.0
"""Fall within one kilohertz that only a filter makes."""
BANDS = np.arange(4000, 8000, 500)


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
    lowest, highest = float(waveform.min()), float(waveform.max())
    peak = max(highest, -lowest)
    clipped = np.abs(waveform.astype(np.float64)) >= CLIPPED_LEVEL if peak >= CLIPPED_LEVEL else np.zeros(0, dtype=np.bool_)  # seldom needed
    power = float(np.square(waveform, dtype=np.float64).mean())
    return AudioQuality(
        peak=peak,
        rms_dbfs=10 * math.log10(power) if power > 0 else -math.inf,
        dc_offset=float(waveform.mean(dtype=np.float64)),
        clipped_share=np.count_nonzero(clipped) / len(waveform),
        clipped_run=_longest_run(clipped),
        constant=lowest == highest,
    )


def _longest_run(flags: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SpeechMeasures:
    """Measures that mean something for speech only.

    Attributes:
        level_dbfs: of the speech (95th percentile of frames of 10 ms), without any offset. noise_dbfs: 10th percentile.
        leading, trailing: seconds of silence before and after the speech.
        start_db, end_db: level of the first and last 20 ms beside that of the speech.
        offset: mean of the samples. offset_share: beside the root mean square of the rest.
        ceiling: many samples, or the peaks of many frames, lie just below the highest peak, as when waves are cut off or limited.
        bandwidth: hertz up to which there is speech: 8000, or less where a filter or a low sampling rate took the rest away.
        pitch: median fundamental frequency in Hz, None where no voice was found.
        envelope: loudness in dB of 63 bands a twelfth of an octave apart, 200 Hz to 7.2 kHz, mean 0.
    """

    level_dbfs: float
    noise_dbfs: float
    leading: Seconds
    trailing: Seconds
    start_db: float
    end_db: float
    offset: float
    offset_share: float
    ceiling: bool
    bandwidth: Hertz
    pitch: float | None
    envelope: NDArray[np.float32]

    @property
    def dynamic(self) -> bool:
        """Whether loud and soft moments can be told from each other."""
        return self.level_dbfs - self.noise_dbfs >= DYNAMICS_DB


def measure_speech(waveform: Waveform) -> SpeechMeasures:
    """Measure one utterance.

    Args:
        waveform: float32, shape (samples,), 16 kHz, finite, at least one sample, not constant.
    """
    offset = float(waveform.mean(dtype=np.float64))
    sound = waveform - np.float32(offset)
    levels = _frame_levels(sound)
    speech, noise = float(np.percentile(levels, 95)), float(np.percentile(levels, 10))
    threshold = max(speech - SILENCE_DB, min(noise + 6.0, speech - 15.0))
    loud = np.flatnonzero(levels > threshold)
    first, last = (int(loud[0]), int(loud[-1])) if len(loud) else (0, len(levels) - 1)
    spectrum = _power_spectrum(sound, 512, 256)
    return SpeechMeasures(
        level_dbfs=speech,
        noise_dbfs=noise,
        leading=first * FRAME,
        trailing=(len(levels) - 1 - last) * FRAME,
        start_db=_decibels(float(np.mean(10 ** (levels[:2] / 10)))) - speech,
        end_db=_decibels(float(np.mean(10 ** (levels[-2:] / 10)))) - speech,
        offset=offset,
        offset_share=abs(offset) / (float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) + 1e-12),
        ceiling=has_ceiling(sound),
        bandwidth=_bandwidth(spectrum, pauses=speech - noise >= DYNAMICS_DB),
        pitch=_pitch(sound),
        envelope=_envelope(sound),
    )


def has_ceiling(waveform: Waveform) -> bool:
    """Whether waves were cut off or limited at any level, seen from how much lies just below the peak of their own side.

    Args:
        waveform: float32, shape (samples,), 16 kHz, finite.
    """
    size = round(FRAME * SAMPLING_RATE) // 2
    whole = len(waveform) // size * size
    for side in (waveform, -waveform):
        peak = float(side.max())
        if peak <= 0.01:  # a few steps of 16 bits: every recording is made of plateaus there
            continue
        frames = side[:whole].reshape(-1, size).max(axis=1) if whole else side
        if _piled_up(side, peak, CEILING, CEILING_SAMPLES, CEILING_RATIO) or _piled_up(frames, peak, LIMITED, LIMITED_FRAMES, LIMITED_RATIO):
            return True
    return False


def _piled_up(values: NDArray[np.float32], peak: float, edges: tuple[float, float], fewest: int, ratio: float) -> bool:
    below = int(np.count_nonzero(values >= edges[0] * peak))
    top = int(np.count_nonzero(values >= edges[1] * peak))
    return top >= fewest and top > ratio * (below - top)


def _decibels(power: float) -> float:
    return 10 * math.log10(power + 1e-12)


def _frame_levels(sound: Waveform) -> NDArray[np.float64]:
    size = round(FRAME * SAMPLING_RATE)
    frames = max(1, len(sound) // size)
    part = sound[: frames * size] if len(sound) >= size else np.pad(sound, (0, size - len(sound)))
    return np.asarray(10 * np.log10(np.square(part, dtype=np.float64).reshape(frames, size).mean(axis=1) + 1e-12))


def _power_spectrum(sound: Waveform, size: int, hop: int) -> NDArray[np.float32]:
    """Shape (frames, size / 2 + 1)."""
    padded = np.pad(sound, (0, max(0, size - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * np.hanning(size).astype(np.float32)
    return np.square(np.abs(np.fft.rfft(frames, axis=1))).astype(np.float32)


def _bandwidth(power: NDArray[np.float32], *, pauses: bool) -> Hertz:
    """Up to where there is speech, from the loud moments (95th percentile of the frames) of each half kilohertz.

    Only a recording with pauses shows whether what is even and soft is noise.
    """
    loud = np.percentile(power, 95, axis=0)
    hertz = np.fft.rfftfreq(2 * (power.shape[1] - 1), 1 / SAMPLING_RATE)
    voice = float(loud[(hertz >= 300) & (hertz < 3400)].mean()) + 1e-12
    bands = np.array([10 * math.log10(float(loud[(hertz >= low) & (hertz < low + 500)].mean()) / voice + 1e-12) for low in BANDS])
    upper = bands[BANDS >= 4500]
    even = float(upper.max() - upper.min()) <= FLAT_DB
    if _decibels(float(np.mean(10 ** (upper / 10)))) <= EMPTY_BAND_DB or (pauses and even and float(upper.max()) <= FLAT_BAND_DB):
        return 4000
    for number in range(1, len(BANDS) - 2):  # the last band is empty in many good recordings: the filter of the recorder ends there
        if bands[number - 1] - bands[number + 1] >= CUTOFF_DB and float(bands[number + 1 :].max()) <= EMPTY_BAND_DB:
            return int(BANDS[number])
    return SAMPLING_RATE // 2


def _pitch(sound: Waveform) -> float | None:
    """Median over the loud half of the frames of the autocorrelation's first high peak (Boersma's normalization by the window's own)."""
    size, hop = 1024, 512
    if len(sound) < size:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(sound, size)[::hop]
    power = np.square(frames).mean(axis=1)
    frames = frames[power >= np.median(power)]
    frames = frames - frames.mean(axis=1, keepdims=True)
    window = np.hanning(size).astype(np.float32)
    own = np.fft.irfft(np.square(np.abs(np.fft.rfft(window, 2 * size))))[:size]
    correlation = np.fft.irfft(np.square(np.abs(np.fft.rfft(frames * window, 2 * size, axis=1))), axis=1)[:, :size]
    shortest, longest = SAMPLING_RATE // 800, SAMPLING_RATE // 50
    lags = (correlation / (correlation[:, :1] + 1e-12) / (own / own[0]))[:, shortest:longest]
    best = lags.max(axis=1)
    # the first lag near the highest peak, so that two periods are not taken for one; then up to the top of its own peak
    found = []
    for row, first in zip(lags[best > 0.5], (lags >= 0.9 * best[:, None]).argmax(axis=1)[best > 0.5], strict=True):
        lag = int(first)
        while lag + 1 < len(row) and row[lag + 1] > row[lag]:
            lag += 1
        found.append(SAMPLING_RATE / (lag + shortest))
    return float(np.median(found)) if found else None


STEPS = 12
"""Bands of an octave."""

_CENTERS = 200 * 2 ** (np.arange(63) / STEPS)


def _envelope(sound: Waveform) -> NDArray[np.float32]:
    power = _power_spectrum(sound, 1024, 512)
    total = power.sum(axis=1)
    mean = power[total >= np.median(total)].mean(axis=0)
    summed = np.concatenate(([0.0], np.cumsum(mean, dtype=np.float64)))
    step = SAMPLING_RATE / 1024
    edges = [np.interp(_CENTERS * 2**side / step, np.arange(len(summed)), summed) for side in (-1 / 6, 1 / 6)]
    bands = 10 * np.log10((edges[1] - edges[0]) / _CENTERS + 1e-12)
    return np.asarray(bands - bands.mean(), dtype=np.float32)


def octaves_between(envelope: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """By how many octaves a spectrum must be moved up to look like another; from -1.5 to 1.5.

    Args:
        envelope, reference: as in `SpeechMeasures`. Positive where `envelope` lies higher.
    """
    distances = {}
    for shift in range(-18, 19):
        ours, others = (envelope[shift:], reference[: len(reference) - shift]) if shift >= 0 else (envelope[:shift], reference[-shift:])
        distances[shift] = float(np.abs((ours - ours.mean()) - (others - others.mean())).mean())
    return min(distances, key=lambda shift: (distances[shift], abs(shift))) / STEPS
