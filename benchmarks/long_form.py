#!/usr/bin/env python3
"""Long form: clips put one after the other into one recording, transcribed as a whole, against the same clips one by one.

Speakers follow each other with pauses of 0.3 to 2.5 s in a quiet room. Without a manifest the synthetic voice speaks standard American.
  WER        pooled over all words: clip by clip (each in the model's own window), and of the whole recording
  times      of the first and last word of every clip where both were recognized: seconds from where the sound begins and ends (where it rises
             above a fiftieth of its loudest), and from the word's time when the clip was heard alone; median, 95th percentile, share within 0.3 s
  memory     the process's peak beyond what it held after a recording of five minutes, in MB: it must not grow with the length
  seconds    wall time, all of it: finding speech, decoding, word times

usage: benchmarks/long_form.py [MANIFEST ...] [--hours 1] [--base openai/whisper-tiny.en] [--adapter DIR] [--faster-whisper CT2_FOLDER]
"""

import argparse
import itertools
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile
import torch
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from tabulate import tabulate

from speechadapt.audio.waveform import read_waveform
from speechadapt.data.manifest import Manifest
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.synthetic.accents import parse_accent
from speechadapt.synthetic.corpus import SplitSize, make_corpus, speak
from speechadapt.text.normalize import get_normalizer
from speechadapt.transcriber import Transcriber
from speechadapt.units import SAMPLING_RATE

Clip = tuple[str, NDArray[np.float32]]
Timed = tuple[str, float, float]
WITHIN = 0.3


def clips_of(manifests: list[Path], seed: int) -> Iterator[Clip]:
    """Text and samples of every utterance, over and over; the synthetic voice's where there is no manifest."""
    if manifests:
        read = [Manifest.read(path) for path in manifests]
        rows = [(utterance.text, one.audio_path(utterance)) for one in read for utterance in one]
        np.random.default_rng(seed).shuffle(rows)  # type: ignore[arg-type]
        for text, path in itertools.cycle(rows):
            yield text, read_waveform(path)
    accent, strength = parse_accent("standard:0")
    plan = make_corpus(accent.name, strength, sizes={"test": SplitSize(speakers=24, utterances=60)}, seed=seed)
    for planned in itertools.cycle(plan):
        yield planned.text, speak(planned)


def write_recording(path: Path, clips: Iterator[Clip], seconds: float, seed: int) -> tuple[list[str], list[tuple[int, NDArray[np.float32]]]]:
    """Write clips with pauses; their texts, and of each its first sample in the recording and its own samples."""
    random = np.random.default_rng(seed)
    texts, places, place = [], [], 0
    with soundfile.SoundFile(path, "w", SAMPLING_RATE, channels=1, subtype="PCM_16") as file:
        for text, clip in clips:
            pause = round(random.uniform(0.3, 2.5) * SAMPLING_RATE)
            if (place + pause + len(clip)) / SAMPLING_RATE > seconds:
                break
            file.write(random.normal(0, 1e-3, pause).astype(np.float32))
            file.write(clip)
            texts.append(text)
            places.append((place + pause, clip))
            place += pause + len(clip)
    return texts, places


class Peak:
    """The process's largest resident memory while the block runs, in bytes."""

    def __enter__(self) -> "Peak":
        self.most, self._done = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._done.wait(0.05):
            self.most = max(self.most, process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def words_of(normalizer: Any, timed: list[Timed]) -> list[Timed]:
    """Normalized words with their times; one that is spelled as several keeps its time for each."""
    return [(part, start, end) for text, start, end in timed for part in normalizer(text).split()]


def one_by_one(transcriber: Transcriber, clips: list[NDArray[np.float32]]) -> list[list[Timed]]:
    """The words of each clip heard alone, with times from its own beginning."""
    settings = DecodeSettings(words=True)
    longest = round(transcriber.model.longest * SAMPLING_RATE)
    found: list[list[Timed]] = []
    for first in range(0, len(clips), 8):
        results = transcriber.decode([clip[:longest] for clip in clips[first : first + 8]], settings)
        found += [[(word.text, word.start, word.end) for word in result.words] for result in results]
    return found


def compare(
    normalizer: Any, texts: list[str], places: list[tuple[int, NDArray[np.float32]]], heard: list[Timed], alone: list[list[Timed]] | None
) -> dict[str, Any]:
    """Word error rate and times of a whole recording."""
    reference, owner = [], []
    for number, text in enumerate(texts):
        parts = normalizer(text).split()
        reference += parts
        owner += [(number, place, len(parts)) for place in range(len(parts))]
    said = words_of(normalizer, heard)
    operations = Levenshtein.opcodes(reference, [word for word, *_ in said])
    errors = sum(max(one.src_end - one.src_start, one.dest_end - one.dest_start) for one in operations if one.tag != "equal")
    whole, against = [], []
    for one in operations:
        if one.tag != "equal":
            continue
        for index, other in zip(range(one.src_start, one.src_end), range(one.dest_start, one.dest_end), strict=True):
            number, place, length = owner[index]
            first, clip = places[number]
            loud = np.nonzero(np.convolve(np.abs(clip), np.ones(160) / 160, "same") > 0.02 * np.abs(clip).max())[0]
            begin = first / SAMPLING_RATE
            if place == 0:
                whole.append(abs(said[other][1] - begin - loud[0] / SAMPLING_RATE))
            if place == length - 1:
                whole.append(abs(said[other][2] - begin - loud[-1] / SAMPLING_RATE))
            if alone is not None and place in (0, length - 1):
                mine = words_of(normalizer, alone[number])
                if len(mine) == length and mine[place][0] == reference[index]:
                    against += [abs(said[other][1] - begin - mine[place][1]), abs(said[other][2] - begin - mine[place][2])]
    return {"wer": errors / len(reference), "words": len(reference), "sound": _spread(whole), "alone": _spread(against)}


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    found = np.array(values)
    return {"median": float(np.median(found)), "p95": float(np.percentile(found, 95)), "within": float((found <= WITHIN).mean()), "count": len(found)}


def main() -> int:
    """Make the recording, transcribe it each way, print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, nargs="*")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--base", default="openai/whisper-tiny.en")
    parser.add_argument("--adapter", type=Path, default=None)
    parser.add_argument("--window", choices=("full", "short"), default="full")
    parser.add_argument("--faster-whisper", type=Path, metavar="CT2_FOLDER", help="the same model for faster-whisper: transcribes the hour too")
    parser.add_argument("--normalizer", default="english")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    normalizer = get_normalizer(options.normalizer)
    transcriber = Transcriber(options.base, adapter=options.adapter, device="cpu", settings=DecodeSettings(window=options.window))
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.wav", Path(folder) / "long.wav"
        write_recording(short, clips_of(options.manifest, options.seed), 300, options.seed)
        texts, places = write_recording(long, clips_of(options.manifest, options.seed), options.hours * 3600, options.seed)
        seconds = soundfile.info(long).duration
        with Peak() as before:
            transcriber.transcribe(short, timestamps="word")
        with Peak() as peak:
            begun = time.perf_counter()
            found = transcriber.transcribe(long, timestamps="word")
            took = time.perf_counter() - begun
        begun = time.perf_counter()
        alone = one_by_one(transcriber, [clip for _, clip in places])
        took_alone = time.perf_counter() - begun
        each = [
            Levenshtein.distance(normalizer(text).split(), [w for w, *_ in words_of(normalizer, said)])
            for text, said in zip(texts, alone, strict=True)
        ]
        total = sum(len(normalizer(text).split()) for text in texts)
        results["clip by clip"] = {"wer": sum(each) / total, "words": total, "seconds": took_alone}
        heard = [(word.text, word.start, word.end) for word in found.words]
        results["whole"] = compare(normalizer, texts, places, heard, alone) | {
            "seconds": took, "memory": (peak.most - before.most) / 1e6, "dropped": found.dropped, "cut_by": found.cut_by,
        }  # fmt: skip
        if options.faster_whisper:
            results["faster-whisper"] = _faster_whisper(options, normalizer, long, texts, places)
    rows = [
        [
            name,
            f"{one['wer']:.2%}",
            *_times(one.get("sound", {})),
            *_times(one.get("alone", {})),
            f"{one['seconds']:.0f}",
            f"{one.get('memory', 0):.0f}",
        ]
        for name, one in results.items()
    ]
    headers = ["way", "WER", "sound: median", "95 %", "within", "alone: median", "95 %", "within", "seconds", "MB more"]
    print(f"{len(texts)} clips, {seconds / 3600:.2f} h, {options.base}, {options.window} window")
    print(tabulate(rows, headers, disable_numparse=True))
    print(json.dumps(results))
    return 0


def _times(spread: dict[str, float]) -> list[str]:
    return [f"{spread['median']:.3f}", f"{spread['p95']:.3f}", f"{spread['within']:.1%}"] if spread else ["", "", ""]


def _faster_whisper(options: argparse.Namespace, normalizer: Any, recording: Path, texts: list[str], places: list[Any]) -> dict[str, Any]:
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    model = WhisperModel(str(options.faster_whisper), device="cpu", compute_type="int8", cpu_threads=options.threads)
    begun = time.perf_counter()
    segments, _ = BatchedInferencePipeline(model).transcribe(str(recording), language="en", beam_size=1, batch_size=8, word_timestamps=True)
    heard = [(word.word.strip(), word.start, word.end) for segment in segments for word in segment.words or ()]
    return compare(normalizer, texts, places, heard, None) | {"seconds": time.perf_counter() - begun}


if __name__ == "__main__":
    sys.exit(main())
