"""Transcripts without times, found in long recordings: how many sentences come out right, what it costs, and what a wrong transcript does.

    python benchmarks/recording_alignment.py --minutes 12
    python benchmarks/recording_alignment.py --minutes 12 --accent mandarin:0.5 --accent mandarin:1
    python benchmarks/recording_alignment.py --minutes 60 --mismatch 0.2

Sentences of the synthetic voice are put one after the other with pauses of 0.3 to 1.5 s in noise. Of every ten, `--mismatch` of them are planted:
half are said but not written, half are written but not said.
  right      sentences both said and written whose text lies, whole, in one row, and whose row holds no word of another that is not said
  cut ends   rows: how far the cut (its padding taken off) is from where the voice begins and ends, median and 95th percentile, in seconds
  planted    sentences said only in whose place something was rejected, and written only that were rejected; and those that got into a row
  hear, all  wall seconds of the model alone, and of everything; peak memory of the process, in MB, and how much of it came with the recording
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from tabulate import tabulate

from speechadapt.segmentation import SegmentationSettings, SegmentedRecording, load_aligner, segment_recording
from speechadapt.segmentation.emissions import listen
from speechadapt.synthetic.accents import parse_accent
from speechadapt.synthetic.corpus import SplitSize, make_corpus, speak
from speechadapt.units import SAMPLING_RATE

SPEAKERS = 24


def trim(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the silence around it."""
    level = np.convolve(np.abs(waveform), np.ones(160) / 160, "same")
    loud = np.nonzero(level > 0.02 * level.max())[0]
    return waveform[loud[0] : loud[-1] + 1]


def make_recording(path: Path, accent: str, minutes: float, mismatch: float, seed: int) -> tuple[str, list[tuple[str, str, float, float]]]:
    """Write a recording; its transcript, and of every sentence: its text, what it is (both, said, written), and when it is said."""
    name, strength = parse_accent(accent)
    random = np.random.default_rng(seed)
    plan = make_corpus(name.name, strength, sizes={"test": SplitSize(speakers=SPEAKERS, utterances=int(minutes * 20 / SPEAKERS) + 1)}, seed=seed)
    sentences: list[tuple[str, str, float, float]] = []
    place = 0
    with soundfile.SoundFile(path, "w", SAMPLING_RATE, channels=1, subtype="PCM_16") as file:

        def write(sound: NDArray[np.float32]) -> None:
            file.write(sound + random.normal(0, 1e-3, len(sound)).astype(np.float32))

        for planned in plan:
            kind = ("said" if random.random() < 0.5 else "written") if random.random() < mismatch else "both"
            start = end = place
            if kind != "written":
                pause, clip = np.zeros(round(random.uniform(0.3, 1.5) * SAMPLING_RATE), np.float32), trim(speak(planned))
                write(np.concatenate([pause, clip]))
                start, end = place + len(pause), place + len(pause) + len(clip)
                place = end
            sentences.append((planned.text, kind, start / SAMPLING_RATE, end / SAMPLING_RATE))
            if place > minutes * 60 * SAMPLING_RATE:
                break
        write(np.zeros(SAMPLING_RATE, np.float32))
    return " ".join(text for text, kind, _, _ in sentences if kind != "said"), sentences


def judge(found: SegmentedRecording, sentences: list[tuple[str, str, float, float]], pad: float) -> dict[str, object]:
    """The figures of one recording."""
    both = [sentence for sentence in sentences if sentence[1] == "both"]
    unsaid = [text for text, kind, _, _ in sentences if kind == "written"]
    unwritten = [sentence for sentence in sentences if sentence[1] == "said"]
    right = sum(any(text in segment.text and not any(other in segment.text for other in unsaid) for segment in found.segments) for text, *_ in both)
    starts, ends = np.array([start for _, _, start, _ in both]), np.array([end for *_, end in both])
    off = [np.abs(starts - segment.start - pad).min() for segment in found.segments if both]
    off += [np.abs(ends - segment.end + pad).min() for segment in found.segments if both]
    inside = [(segment.start, segment.end) for segment in found.segments]
    heard = sum(any(part.start < end and part.end > start for part in found.rejected) for _, _, start, end in unwritten)
    rejected = " ".join(part.text for part in found.rejected)
    slipped = sum(any(text in segment.text for segment in found.segments) for text in unsaid)
    slipped += sum(any(start > low and end < high for low, high in inside) for _, _, start, end in unwritten)
    return {
        "sentences": len(both),
        "right %": round(100 * right / len(both), 1) if both else None,
        "rows": len(found.segments),
        "cut off by": f"{np.median(off):.2f} / {np.percentile(off, 95):.2f}" if off else None,
        "planted": f"{heard}/{len(unwritten)} + {sum(text in rejected for text in unsaid)}/{len(unsaid)}",
        "slipped in": slipped,
    }


def peak_mb() -> float:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded:wav2vec2-small")
    parser.add_argument("--accent", action="append", default=[], help="ACCENT[:STRENGTH]; may be repeated (default: standard)")
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--mismatch", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    settings = SegmentationSettings()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for number, accent in enumerate(options.accent or ["standard"]):
            path = Path(folder) / f"{number}.wav"
            made.append((accent, path, *make_recording(path, accent, options.minutes, options.mismatch, options.seed)))
        model = load_aligner(options.model, language="en")
        for accent, path, text, sentences in made:
            listen(model, path, [1], progress=False)  # warm
            before = peak_mb()
            started = time.monotonic()
            listen(model, path, range(len(model.vocabulary or ())), progress=False)
            hearing = time.monotonic() - started
            started = time.monotonic()
            found = segment_recording(model, path, text, settings, progress=False)
            everything = time.monotonic() - started
            costs = {"hear s": round(hearing, 1), "all s": round(everything, 1), "peak MB": round(peak_mb()), "more MB": round(peak_mb() - before, 1)}
            rows.append({"accent": accent, "minutes": round(found.duration / 60, 1), **judge(found, sentences, settings.pad), **costs})
    print(json.dumps(rows, indent=2) if options.json else tabulate(rows, headers="keys"))


if __name__ == "__main__":
    main()
