#!/usr/bin/env python3
"""Training speed and memory against the usual way (transformers' Seq2SeqTrainer with every clip padded to 30 s), side by side in one run.

Both sides get the same clips, LoRA rank, clips per step, threads and memory allocator settings. The usual way is a script given with
--reference; it is called as `SCRIPT MODEL_DIR TRAIN.tsv TEST.tsv OUT --epochs 1 --batch N --rank N --threads N --skip-base` and must
print a JSON line with `audio_seconds_per_second` and `peak_rss_mib`.

usage: benchmarks/training_speed.py MANIFEST --reference SCRIPT [--base openai/whisper-tiny.en] [--steps 12] [--batch 16]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import tabulate

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
SIDES = {"shipped defaults": None, "short window alone": 0.0}


def main() -> int:
    """Run every side in its own process, in turn, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--reference", type=Path, help="the script to compare with")
    parser.add_argument("--base", default="openai/whisper-tiny.en")
    parser.add_argument("--language", default="en")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="each side is run this often, alternating; the medians count")
    parser.add_argument("--ours", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        return _train(options)
    if not options.reference:
        parser.error("--reference is needed: the script to compare with")
    results: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        results.setdefault("usual way", []).append(_run_reference(options))
        for side in SIDES:
            results.setdefault(side, []).append(_run([sys.executable, __file__, *sys.argv[1:], "--ours", side], options))
    _print(results)
    return 0


def _clips(options: argparse.Namespace):
    from speechadapt.data.manifest import Manifest

    manifest = Manifest.read(options.manifest)
    return Manifest(manifest[: options.steps * options.batch], folder=manifest.folder, name=manifest.name)


def _run_reference(options: argparse.Namespace) -> dict[str, float]:
    from speechadapt.models.sources import find_base

    clips = _clips(options)
    with tempfile.TemporaryDirectory() as folder:
        lines = [f"{clips.audio_path(u)}\t{u.text}\n" for u in clips]
        Path(folder, "train.tsv").write_text("".join(lines), encoding="utf-8")
        Path(folder, "test.tsv").write_text(lines[0], encoding="utf-8")
        command = [
            sys.executable,
            str(options.reference),
            str(find_base(options.base).folder),
            f"{folder}/train.tsv",
            f"{folder}/test.tsv",
            f"{folder}/out",
        ]
        command += ["--epochs", "1", "--batch", str(options.batch), "--rank", str(options.rank), "--threads", str(options.threads), "--skip-base"]
        return _run([*command, "--language", options.language], options)


def _run(command: list[str], options: argparse.Namespace) -> dict[str, float]:
    environment = os.environ | ALLOCATOR | {"OMP_NUM_THREADS": str(options.threads), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    line = json.loads(done.stdout.strip().splitlines()[-1])
    return {"speed": line["audio_seconds_per_second"], "memory": line["peak_rss_mib"]}


def _train(options: argparse.Namespace) -> int:
    import torch

    from speechadapt.adapt.spec import AdapterSpec, TrainSettings
    from speechadapt.adapt.train import train_adapter
    from speechadapt.models.load import load_model

    torch.set_num_threads(options.threads)
    clips = _clips(options)
    model = load_model(options.base, language=options.language, device="cpu")
    # as many clips per step as the other side, so that a step does the same work
    seconds = _batch_seconds([u.duration for u in clips], options.steps)
    settings = TrainSettings(steps=options.steps, batch_seconds=seconds, evaluate_every=options.steps)
    if SIDES[options.ours] is not None:
        settings = TrainSettings(steps=options.steps, batch_seconds=seconds, evaluate_every=options.steps, full_window_share=SIDES[options.ours])
    with tempfile.TemporaryDirectory() as folder:
        train_adapter(model, clips, spec=AdapterSpec(rank=options.rank, alpha=2 * options.rank), settings=settings, out=Path(folder))
        lines = [json.loads(line) for line in Path(folder, "train.jsonl").read_text().splitlines()]
    seconds = sum(line["seconds"] for line in lines)
    audio = sum(line["audio_seconds"] for line in lines)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"audio_seconds_per_second": audio / seconds, "peak_rss_mib": memory}))
    return 0


def _batch_seconds(durations: list[float], steps: int) -> float:
    """The seconds per batch that cut one epoch into the wanted number of steps."""
    from speechadapt.audio.batching import batches_for_training

    low, high = max(durations), sum(durations) * 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if len(batches_for_training(durations, middle, seed=0, epoch=0)) > steps else (low, middle)
    return high


def _print(results: dict[str, list[dict[str, float]]]) -> None:
    def median(values: list[float]) -> float:
        return sorted(values)[(len(values) - 1) // 2] if len(values) % 2 else sum(sorted(values)[len(values) // 2 - 1 : len(values) // 2 + 1]) / 2

    usual = {key: median([run[key] for run in results["usual way"]]) for key in ("speed", "memory")}
    rows = []
    for side, runs in results.items():
        speed, memory = median([run["speed"] for run in runs]), median([run["memory"] for run in runs])
        rows.append([side, f"{speed:.1f}", f"{speed / usual['speed']:.1f}", f"{memory:.0f}", f"{memory / usual['memory']:.2f}"])
    print(tabulate.tabulate(rows, ["side", "audio s/s", "times", "peak MiB", "of usual"], disable_numparse=True))
    print(json.dumps(results))


if __name__ == "__main__":
    sys.exit(main())
