"""Preparing audio: `finish_corpus` beside the bare calls of the same libraries, on all cores.

    python benchmarks/preparation_speed.py [--clips 400] [--rounds 7] [--jobs N] [--json]

Clips of 4 to 6 s of speech-like sound are made as MP3 at 48 kHz and as WAV at 44.1 kHz. Then, in turns, round after round:

  bare      soundfile.read, soxr.resample (HQ), soundfile.write (FLAC, 16 bits, 16 kHz) for each file, in a pool of worker processes
  prepare   what `speechadapt prepare` does with the same files: the same, and headers, quality flags, digests, files that appear in one step,
            the journal, manifests and report

Each is measured without and with the start of its workers: "work" is from the first finished file to the end, "total" from nothing to the
end. The ratio is bare / prepare, of the medians of all rounds; `--least 85` makes it a check that fails where work or
ms a clip is below 85 %.
Processor seconds of all processes stand beside, because on a shared machine the clock also measures the neighbors: "ms a clip" is what a clip takes
when the cost of starting is taken out, which a run of a few clips in each round tells.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
import soxr
from tabulate import tabulate

from speechadapt.preparation import Corpus, CorpusRow, PrepareOptions, available_cores, finish_corpus

RATE = 16_000
CORPUS = Corpus(
    name="bench", title="Bench", license="CC0-1.0", commercial_use="yes", home="here", expects="clips.", accent_label="none", language="en"
)
KINDS = {"MP3 48 kHz": ("mp3", 48_000), "WAV 44.1 kHz": ("wav", 44_100)}


def speech_like(seconds: float, rate: int, seed: int) -> np.ndarray:
    """A saw with a moving pitch through four formants, in syllables, above soft noise: float32, about as hard to encode as speech."""
    random = np.random.default_rng(seed)
    moment = np.arange(round(seconds * rate)) / rate
    pitch = random.uniform(90, 220) + 20 * np.sin(2 * np.pi * random.uniform(0.3, 1.0) * moment)
    sound = np.cumsum(pitch) / rate % 1.0 - 0.5
    for formant, width in zip((500, 1500, 2500, 3500), (80, 120, 180, 250), strict=True):
        radius, angle = np.exp(-np.pi * width / rate), 2 * np.pi * formant * random.uniform(0.8, 1.2) / rate
        sound = scipy.signal.lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], sound)
    syllables = np.clip(np.sin(2 * np.pi * random.uniform(1.5, 3.0) * moment), 0, 1)
    sound = 0.3 * sound / np.abs(sound).max() * syllables + random.normal(0, 0.001, len(moment))
    return sound.astype(np.float32)


def make_clips(folder: Path, count: int) -> float:
    """Seconds of audio in all clips of one kind."""
    total = 0.0
    for number in range(count):
        seconds = 4.0 + 2.0 * (number % 21) / 20
        total += seconds
        for kind, rate in KINDS.values():
            path = folder / kind / f"{number:05d}.{kind}"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, speech_like(seconds, rate, number), rate, format=kind.upper())
    return total


def bare(pairs: list[tuple[Path, Path]]) -> None:
    """What anyone would write."""
    for source, target in pairs:
        samples, rate = soundfile.read(source, dtype="float32")
        soundfile.write(target, soxr.resample(samples, rate, RATE, quality="HQ"), RATE, format="FLAC", subtype="PCM_16")


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def run_bare(pairs: list[tuple[Path, Path]], jobs: int) -> None:
    """The bare calls in a pool of worker processes."""
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(bare, [pairs[start : start + 16] for start in range(0, len(pairs), 16)]))


def run_prepare(pairs: list[tuple[Path, Path]], jobs: int) -> None:
    """The same files through `finish_corpus`."""
    out = pairs[0][1].parent.parent
    rows = [CorpusRow(id=target.stem, audio=source, text=f"clip {target.stem}", speaker=source.stem) for source, target in pairs]
    report = finish_corpus(rows, corpus=CORPUS, source=pairs[0][0].parent, out=out, options=PrepareOptions(jobs=jobs))
    if report.kept != len(pairs) or report.repairs:
        raise SystemExit(f"{report.kept} of {len(pairs)} rows were kept; {report.dropped} {report.repairs}")


def measure(run: Callable[[list[tuple[Path, Path]], int], None], sources: list[Path], copies: int, jobs: int, folder: Path) -> dict[str, float]:
    """Seconds of one run: from its first finished file to its end, from nothing to its end, and of all processors."""
    out = folder / "out" / "audio"
    out.mkdir(parents=True)
    pairs = [(source, out / f"{copy}-{source.stem}.flac") for copy in range(copies) for source in sources]
    os.sync()  # what an earlier run left to write is not charged to this one
    used, begun, clock = processor_seconds(), time.perf_counter(), time.time()
    run(pairs, jobs)
    total, used = time.perf_counter() - begun, processor_seconds() - used
    first = min(path.stat().st_ctime for path in out.iterdir())  # a converted file's time of change says of what it was made
    shutil.rmtree(folder / "out")
    return {"work": total - (first - clock), "total": total, "processor": used}


def main() -> int:
    """Print the table; with `--least`, fail where a ratio is below it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=400, help="of each kind")
    parser.add_argument("--copies", type=int, default=4, help="how often each clip is prepared, under other ids")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=available_cores())
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured (default: the one for temporary files)")
    parser.add_argument("--least", type=float, metavar="PERCENT", help="leave with 1 where the ratio of work is below this")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        hours = make_clips(folder, options.clips) * options.copies / 3600
        for kind, (suffix, _) in KINDS.items():
            sources = sorted((folder / suffix).iterdir())
            taken: dict[str, list[dict[str, float]]] = {"bare": [], "prepare": []}
            for number in range(options.rounds):
                both = [("bare", run_bare), ("prepare", run_prepare)]
                for side, run in both if number % 2 == 0 else both[::-1]:
                    few = sources[: 32 * options.jobs]  # enough for `prepare` to use as many processes
                    start = measure(run, few, 1, options.jobs, folder)["processor"]
                    one = measure(run, sources, options.copies, options.jobs, folder)
                    clip = 1000 * (one["processor"] - start) / (len(sources) * options.copies - len(few))
                    taken[side].append({**one, "ms a clip": clip})
                    print(f"{kind} round {number + 1} {side}: {taken[side][-1]}", file=sys.stderr)
            middle = {side: {what: statistics.median(one[what] for one in runs) for what in runs[0]} for side, runs in taken.items()}
            for side, of in middle.items():
                rows.append(
                    {
                        "kind": kind,
                        "side": side,
                        **of,
                        "start": of["total"] - of["work"],
                        "hours per core-hour": hours * 3600 / (of["work"] * options.jobs),
                        "hours per processor hour": hours * 3600 / (of["ms a clip"] / 1000 * options.clips * options.copies),
                        **{f"{what} %": 100 * middle["bare"][what] / of[what] for what in ("work", "total", "ms a clip")},
                    }
                )
    if options.json:
        print(json.dumps({"hours": hours, "jobs": options.jobs, "clips": options.clips * options.copies, "rows": rows}, indent=2))
    else:
        print(f"{options.clips * options.copies} clips of each kind, {hours:.2f} h; {options.jobs} processes; medians of {options.rounds} rounds")
        print(tabulate(rows, headers="keys", floatfmt=".2f"))
    slow = [row for row in rows if options.least is not None and min(row["work %"], row["ms a clip %"]) < options.least]
    return 1 if slow else 0


if __name__ == "__main__":
    raise SystemExit(main())
