#!/usr/bin/env python3
"""Training speed of a CTC model against the usual way (transformers' Trainer with PEFT), batch for batch, in one run.

Every clip is synthetic speech padded with silence to the same length, so that both sides see the same batches of the same shape. Both get
the same base, LoRA rank and targets, clips per step, threads and memory allocator settings. The usual way: Wav2Vec2Processor, a collator
that pads, the feature encoder frozen, Trainer; its clips lie decoded in memory before the clock starts. Once in float32, which is what a
user on a processor gets, and once with `bf16=True`.

usage: benchmarks/ctc_training_speed.py [--base embedded:wav2vec2-small] [--seconds 4] [--steps 14] [--batch 16] [--rounds 2]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import tabulate

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
SIDES = ("Trainer, float32", "Trainer, bf16", "ours, shipped defaults", "ours, no augmentation", "ours, no augmentation, float32")
WARM = 2
"""Steps before the clock starts, on every side."""


def main() -> int:
    """Run every side in its own process, in turn, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="embedded:wav2vec2-small")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="each side is run this often, alternating; the best of each counts")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        speed = _usual(options) if options.side.startswith("Trainer") else _ours(options)
        print(json.dumps({"speed": speed, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        return 0
    results: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        _speak(Path(folder), options)
        for _ in range(options.rounds):
            for side in SIDES:
                results[side].append(_run(side, Path(folder), options))
    _print(results)
    return 0


def _speak(folder: Path, options: argparse.Namespace) -> None:
    """Clips of one length, and their manifest."""
    from speechadapt.data.manifest import Manifest
    from speechadapt.data.utterance import Utterance
    from speechadapt.synthetic.corpus import SplitSize, make_corpus, speak

    samples = round(options.seconds * 16_000)
    rows = []
    for planned in make_corpus("mandarin", sizes={"train": SplitSize(speakers=40, utterances=100)}):
        waveform = speak(planned)
        if len(waveform) > samples:
            continue
        path = folder / f"{planned.id}.flac"
        soundfile.write(path, np.pad(waveform, (0, samples - len(waveform))), 16_000)
        rows.append(Utterance(id=planned.id, audio_filepath=path.name, duration=options.seconds, text=planned.text, speaker=planned.speaker.name))
        if len(rows) == options.steps * options.batch:
            break
    Manifest(rows, folder=folder, name="train").write(folder / "train.jsonl")


def _run(side: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    environment = os.environ | ALLOCATOR | {"OMP_NUM_THREADS": str(options.threads), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--data", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{side}: {result['speed']:.1f} audio seconds per second", file=sys.stderr)
    return result


def _ours(options: argparse.Namespace) -> float:
    import torch

    from speechadapt.adapt.spec import AdapterSpec, TrainSettings
    from speechadapt.adapt.train import train_adapter
    from speechadapt.data.manifest import Manifest
    from speechadapt.models.load import load_model

    torch.set_num_threads(options.threads)
    plain = {} if "shipped" in options.side else {"speed_perturb": (1.0,), "time_masks": 0, "freq_masks": 0}
    settings = TrainSettings(
        steps=options.steps,
        batch_seconds=options.batch * options.seconds,
        evaluate_every=options.steps,
        precision="fp32" if "float32" in options.side else "auto",
        **plain,
    )
    with tempfile.TemporaryDirectory() as out:
        train_adapter(
            load_model(options.base, device="cpu"),
            Manifest.read(options.data / "train.jsonl"),
            spec=AdapterSpec(rank=options.rank, alpha=2 * options.rank),
            settings=settings,
            out=Path(out),
        )
        lines = [json.loads(line) for line in Path(out, "train.jsonl").read_text().splitlines()][WARM:]
    return sum(line["audio_seconds"] for line in lines) / sum(line["seconds"] for line in lines)


def _usual(options: argparse.Namespace) -> float:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCTC, Trainer, TrainerCallback, TrainingArguments, Wav2Vec2Processor

    from speechadapt.data.manifest import Manifest
    from speechadapt.models.sources import find_base

    torch.set_num_threads(options.threads)
    folder = find_base(options.base).folder
    processor = Wav2Vec2Processor.from_pretrained(folder)
    model = AutoModelForCTC.from_pretrained(folder, dtype=torch.float32)
    model.freeze_feature_encoder()
    names = ["q_proj", "k_proj", "v_proj", "out_proj", "intermediate_dense", "output_dense"]
    model = get_peft_model(model, LoraConfig(r=options.rank, lora_alpha=2 * options.rank, target_modules=names))
    manifest = Manifest.read(options.data / "train.jsonl")
    rows = []
    for utterance in manifest:
        samples, rate = soundfile.read(manifest.audio_path(utterance), dtype="float32")
        text = "".join(c for c in utterance.text.lower() if c.isalpha() or c in " '")
        rows.append({"input_values": processor(samples, sampling_rate=rate).input_values[0], "labels": processor.tokenizer(text).input_ids})

    def collate(features):
        batch = processor.pad([{"input_values": row["input_values"]} for row in features], padding=True, return_tensors="pt")
        labels = processor.tokenizer.pad([{"input_ids": row["labels"]} for row in features], padding=True, return_tensors="pt")
        batch["labels"] = labels["input_ids"].masked_fill(labels.attention_mask.ne(1), -100)
        return batch

    class Clock(TrainerCallback):
        begun = 0.0
        ended = 0.0

        def on_step_end(self, args, state, control, **_):
            now = time.perf_counter()
            if state.global_step == WARM:
                self.begun = now
            self.ended = now

    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            out,
            per_device_train_batch_size=options.batch,
            max_steps=options.steps,
            learning_rate=1e-3,
            bf16="bf16" in options.side,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            logging_strategy="no",
            label_names=["labels"],
        )
        Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate, callbacks=[clock]).train()
    return (options.steps - WARM) * options.batch * options.seconds / (clock.ended - clock.begun)


def _print(results: dict[str, list[dict[str, float]]]) -> None:
    best = {side: max(run["speed"] for run in runs) for side, runs in results.items()}
    memory = {side: min(run["memory"] for run in runs) for side, runs in results.items()}
    rows = [
        [side, f"{best[side]:.1f}", f"{best[side] / best[SIDES[0]]:.2f}", f"{best[side] / best[SIDES[1]]:.2f}", f"{memory[side]:.0f}"]
        for side in SIDES
    ]
    print(tabulate.tabulate(rows, ["side", "audio s/s", "of Trainer float32", "of Trainer bf16", "peak MiB"], disable_numparse=True))
    print(json.dumps(results))


if __name__ == "__main__":
    sys.exit(main())
