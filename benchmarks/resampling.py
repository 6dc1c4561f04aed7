"""Resampling to 16 kHz: torchaudio, soxr and librosa side by side, in quality and speed, on one thread.

    python benchmarks/resampling.py [--seconds 60] [--repeats 5] [--json]

Quality is measured with sines, whose right answer is known exactly:
  ripple     largest change of level of a sine of 0.1 to 7 kHz (3.5 kHz from 8 kHz audio), in dB
  noise      largest part of the output that is no sine of that frequency, in dB of the sine
  delay      largest shift of the sine, in millionths of an output sample
  alias      largest level left of a sine above the new band (8.2 kHz up), or of the mirror image above 4 kHz when going up, in dB of the sine
  edge       frequency at which the passband has fallen by 3 dB
Speed is seconds of audio in one processor second, best of the repeats.
"""

import argparse
import json
import time
from collections.abc import Callable

import librosa
import numpy as np
import soxr
import torch
import torchaudio
from numpy.typing import NDArray
from tabulate import tabulate

TO = 16_000
Sound = NDArray[np.float32]
Method = Callable[[Sound, int], Sound]


def torchaudio_method(**settings: object) -> Method:
    """torchaudio's windowed sinc on the processor, its kernel made once as its class does."""
    made: dict[int, torch.nn.Module] = {}

    def method(sound: Sound, rate: int) -> Sound:
        if rate not in made:
            made[rate] = torchaudio.transforms.Resample(rate, TO, **settings)
        return np.asarray(made[rate](torch.from_numpy(sound)))

    return method


METHODS: dict[str, Method] = {
    "soxr HQ": lambda sound, rate: soxr.resample(sound, rate, TO, quality="HQ"),
    "soxr VHQ": lambda sound, rate: soxr.resample(sound, rate, TO, quality="VHQ"),
    "librosa (its default)": lambda sound, rate: librosa.resample(sound, orig_sr=rate, target_sr=TO),
    "librosa polyphase": lambda sound, rate: librosa.resample(sound, orig_sr=rate, target_sr=TO, res_type="polyphase"),
    "torchaudio (its default)": torchaudio_method(),
    "torchaudio kaiser best": torchaudio_method(
        lowpass_filter_width=64, rolloff=0.9475937167399596, resampling_method="sinc_interp_kaiser", beta=14.769656459379492
    ),
}


def sine(frequency: float, rate: int, seconds: float = 1.0) -> Sound:
    """A sine of half full scale."""
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def middle(sound: Sound) -> Sound:
    """Without the edges, where every filter lacks samples."""
    return sound[len(sound) // 4 : -len(sound) // 4]


def decibels(ratio: float) -> float:
    """Of amplitudes."""
    return float(20 * np.log10(max(ratio, 1e-12)))


def rms(sound: Sound) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))


def measure(method: Method, rate: int, seconds: float, repeats: int) -> dict[str, float]:
    """The figures of one method at one rate."""
    full = rms(sine(1000, rate))
    inside = np.arange(100, 3500 if rate < TO else 7000, 100)
    fits = [fit(middle(method(sine(f, rate), rate)), f) for f in inside]
    if rate < TO:
        leak = max(mirror(middle(method(sine(f, rate), rate)), f) for f in inside)
    else:
        leak = max(rms(middle(method(sine(f, rate), rate))) for f in np.arange(8200, rate / 2 - 100, 200))
    edge = next(
        (f for f in np.arange(inside[-1], min(rate, TO) / 2, 20) if rms(middle(method(sine(f, rate), rate))) < full / np.sqrt(2)), min(rate, TO) / 2
    )
    sound = np.random.default_rng(0).normal(0, 0.1, round(rate * seconds)).astype(np.float32)
    method(sound[:rate], rate)
    best = min(timed(method, sound, rate) for _ in range(repeats))
    return {
        "ripple": max(abs(decibels(level / full)) for level, _, _ in fits),
        "noise": decibels(max(rest for _, rest, _ in fits) / full),
        "delay": 1e6 * max(abs(delay) for _, _, delay in fits),
        "alias": decibels(leak / full),
        "edge": float(edge),
        "speed": seconds / best,
    }


def fit(sound: Sound, frequency: float) -> tuple[float, float, float]:
    """Level (RMS) of the sine in `sound`, of the rest, and the sine's delay in samples against the ideal one."""
    ideal = middle(np.arange(len(sound) * 2))  # the same places `middle` took out of one second
    waves = np.stack([np.sin(2 * np.pi * frequency * ideal / TO), np.cos(2 * np.pi * frequency * ideal / TO)], axis=1)
    (along, across), *_ = np.linalg.lstsq(waves, sound.astype(np.float64), rcond=None)
    rest = sound - waves @ np.array([along, across])
    return float(np.hypot(along, across) / np.sqrt(2)), rms(rest), float(-np.arctan2(across, along) / (2 * np.pi * frequency) * TO)


def mirror(sound: Sound, frequency: float) -> float:
    """What stands above 4 kHz, where an 8 kHz recording has nothing."""
    spectrum = np.fft.rfft(sound.astype(np.float64) * np.hanning(len(sound)))
    frequencies = np.fft.rfftfreq(len(sound), 1 / TO)
    power = np.abs(spectrum) ** 2
    return float(np.sqrt(power[frequencies > 4050].sum() / power.sum())) * rms(sound)


def timed(method: Method, sound: Sound, rate: int) -> float:
    """Processor seconds of one call: other programs on the machine matter less to them."""
    start = time.process_time()
    method(sound, rate)
    return time.process_time() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        {"from": rate, "method": name, **measure(method, rate, options.seconds, options.repeats)}
        for rate in (44_100, 48_000, 8_000)
        for name, method in METHODS.items()
    ]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(
        tabulate(
            rows,
            headers={
                "from": "from Hz",
                "method": "method",
                "ripple": "ripple dB",
                "noise": "noise dB",
                "delay": "delay 1e-6",
                "alias": "alias dB",
                "edge": "edge Hz",
                "speed": "x real time",
            },
            floatfmt=("d", "", ".3f", ".0f", ".0f", ".0f", ".0f", ".0f"),
        )
    )


if __name__ == "__main__":
    main()
