r"""Train the embedded base `embedded:wav2vec2-small`: a small wav2vec2 with a CTC head, from random weights.

    python recipes/pretrain/speak_world.py world/heart --hours 10 --espeak-share 0 --salad-share 0.1
    python recipes/pretrain/speak_world.py world/heart2 --hours 28 --espeak-share 0 --salad-share 0.03 --seed 1
    python recipes/pretrain/speak_world.py world/espeak --hours 20 --espeak-share 1 --salad-share 0.03 --seed 2
    torchrun --nproc-per-node 2 recipes/pretrain/wav2vec2_small.py OUT world/heart world/heart2 world/espeak --batch-seconds 54 --steps 6000

is what experience advises. What was done for the weights that ship, in steps that learned from each other, is told in docs/log.md: 8,300 steps
of 36 s from random weights with AdamW on 32 hours (as this script was at commit 281d043), and from those weights, with `--start-from`, 4,400
steps of 2 x 54 s as it is now:

    python recipes/pretrain/speak_world.py world/heart5 --hours 10 --espeak-share 0 --salad-share 0.03 --seed 11
    python recipes/pretrain/speak_world.py world/espeak4 --hours 7 --espeak-share 1 --salad-share 0.03 --seed 12
    python recipes/pretrain/speak_world.py world/heart6 --hours 28 --espeak-share 0 --salad-share 0.03 --seed 13
    python recipes/pretrain/speak_world.py world/espeak5 --hours 12 --espeak-share 1 --salad-share 0.03 --seed 14
    torchrun --nproc-per-node 2 recipes/pretrain/wav2vec2_small.py OUT world/heart5 world/heart6 world/espeak4 world/espeak5 \
        --start-from FOLDER --batch-seconds 54 --frame-steps 0 --learning-rate 1.2e-3 --warm-up 100 --steps 4400 --evaluate-every 250

What makes it learn in hours on two cores:
- a CTC model from random weights stays for long where it writes nothing but blanks. The synthesizers know when each word was said, so for the
  first part of the training every frame is also asked for the letter that is being said (letters spread evenly over their word), with a weight
  that falls to zero; the first convolution starts as a bank of Gabor filters at mel-spaced frequencies (two phases, both signs), which is about
  what such models learn there; and short utterances come first;
- Muon instead of AdamW for the encoder's matrices, letters asked of the third layer too, one process per core with gradients averaged, and
  attention as plain products;
- speech it has not heard, which costs a three-hundredth of its length to make, instead of many passes.

Interrupted, it goes on from OUT/checkpoints. At the end OUT/model holds the averaged weights as float16 safetensors, the tokenizer and the
preprocessor; OUT/pretrain.jsonl has a line per 50 steps.
"""

import argparse
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

from speechadapt.adapt.checkpoint import Progress, newest_checkpoint, put, read_progress, resume_checkpoint, save_checkpoint, trainable
from speechadapt.audio.augment import perturb_speed
from speechadapt.models.ctc import best_path
from speechadapt.models.precision import use_bf16
from speechadapt.models.vocabulary import Vocabulary
from speechadapt.synthetic.corpus import SplitSize, make_corpus, speak
from speechadapt.units import SAMPLING_RATE

TOKENS = ("<pad>", "<unk>", "|", "'", *"abcdefghijklmnopqrstuvwxyz")
BLANK, SEPARATOR = 0, 2
VOCABULARY = Vocabulary(tokens=TOKENS, blank=BLANK, separator=SEPARATOR, unknown=1)
IDS = {token: number for number, token in enumerate(TOKENS)}
SALAD_KEPT = 0.15
"""Share of the word salad that stays after the first pass."""
SPEEDS = (0.9, 0.95, 1.0, 1.05, 1.1)
"""Of the recordings from the second pass on, so that no recording is heard twice alike."""
INTERMEDIATE_LAYER, INTERMEDIATE_SHARE = 3, 0.3
"""The third of six layers is asked for the letters too (Lee and Watanabe 2021, "Intermediate loss regularization for CTC")."""
HOP, FIELD = 320, 720
"""Samples from one frame to the next, and that one frame hears."""

CONFIG: dict[str, Any] = {
    "vocab_size": len(TOKENS),
    "pad_token_id": BLANK,
    "bos_token_id": None,
    "eos_token_id": None,
    "hidden_size": 256,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "conv_dim": (320, 256),
    "conv_kernel": (400, 3),
    "conv_stride": (160, 2),
    "num_feat_extract_layers": 2,
    "feat_extract_norm": "layer",
    "conv_bias": True,
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 32,
    "num_conv_pos_embedding_groups": 16,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "final_dropout": 0.0,
    "layerdrop": 0.0,
    "apply_spec_augment": False,  # few passes over much speech: nothing is learned by heart, and masks would only slow it
    "mask_time_prob": 0.05,
    "mask_feature_prob": 0.0,
    "ctc_loss_reduction": "sum",
    "ctc_zero_infinity": True,
}


class World:
    """The recordings of speak_world.py, on disk until they are asked for."""

    def __init__(self, folders: list[Path]) -> None:
        self.audio = [np.memmap(folder / "audio.bin", dtype=np.int16, mode="r") for folder in folders]
        self.rows: list[tuple[int, dict[str, Any]]] = []
        for number, folder in enumerate(folders):
            with (folder / "index.jsonl").open(encoding="utf-8") as index:
                self.rows += [(number, json.loads(line)) for line in index]
        self.seconds = np.asarray([row["samples"] / SAMPLING_RATE for _, row in self.rows])

    def waveform(self, number: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """One recording, float32, shape (samples,)."""
        folder, row = self.rows[number]
        return self.audio[folder][row["first"] : row["first"] + row["samples"]].astype(np.float32) / 32768

    def labels(self, number: int) -> list[int]:
        """Its letters as ids."""
        return [IDS[c] for c in "|".join(word for word, _, _ in self.rows[number][1]["words"])]

    def frame_targets(self, number: int, frames: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Which letter is being said in each frame; blank between words, and one separator there."""
        targets = np.full(frames, BLANK, dtype=np.int64)
        last = None
        for word, start, end in self.rows[number][1]["words"]:
            first, beyond = ((time * SAMPLING_RATE - FIELD / 2) / HOP for time in (start, end))
            begin, stop = max(0, round(first)), min(frames, max(round(first) + 1, round(beyond)))
            for frame in range(begin, stop):
                place = (frame - first + 0.5) / max(beyond - first, 1e-3)
                targets[frame] = IDS[word[min(len(word) - 1, max(0, int(place * len(word))))]]
            if last is not None and begin > 0:
                targets[min((last + begin) // 2, begin - 1)] = SEPARATOR
            last = stop
        return targets


def plan(world: World, steps: int, batch_seconds: float, seed: int, *, short_first: bool) -> list[tuple[int, list[int]]]:
    """The pass and the rows of every batch: sorted into batches of like length, shuffled, perhaps with the short ones first in the first pass.

    After the first pass most of the word salad is left out: its rare spellings are the larger part of the loss by then.
    """
    salad = np.asarray([row["salad"] for _, row in world.rows])
    batches: list[tuple[int, list[int]]] = []
    epoch = 0
    while len(batches) < steps:
        rng = np.random.default_rng([seed, epoch])
        order = np.argsort(world.seconds * rng.uniform(0.9, 1.1, len(world.seconds)), kind="stable")
        if epoch > 0:
            kept = ~salad | (rng.random(len(salad)) < SALAD_KEPT)
            order = order[kept[order]]
        made: list[list[int]] = [[]]
        for index in order:
            if made[-1] and (len(made[-1]) + 1) * world.seconds[index] > batch_seconds:
                made.append([])
            made[-1].append(int(index))
        place = np.arange(len(made)) / len(made) * (0.7 if epoch == 0 and short_first else 0.0)
        batches += [(epoch, made[i]) for i in np.argsort(place + rng.random(len(made)))]
        epoch += 1
    return batches[:steps]


def gabor_front_end(network: Wav2Vec2ForCTC) -> None:
    """The first convolution as windowed sines and cosines of both signs at mel-spaced frequencies, louder towards high ones as speech is not."""
    conv = network.wav2vec2.feature_extractor.conv_layers[0].conv
    filters, _, taps = conv.weight.shape
    bands = filters // 4
    mel = np.linspace(2595 * np.log10(1 + 80 / 700), 2595 * np.log10(1 + 7600 / 700), bands)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    time = (np.arange(taps) - taps / 2) / SAMPLING_RATE
    rows = []
    for frequency in hertz:
        width = min(taps / 2 / SAMPLING_RATE, 3.0 / (24.7 * (0.00437 * frequency + 1)))  # longer than the ear's, so that harmonics separate
        window = np.exp(-0.5 * (time / (width / 2)) ** 2)
        gain = (frequency / 500) ** 0.7 / np.sqrt(np.sum(window**2)) * 2.0
        for phase in (0.0, np.pi / 2):
            wave = gain * window * np.cos(2 * np.pi * frequency * time + phase)
            rows += [wave, -wave]
    with torch.no_grad():
        conv.weight[: len(rows), 0] = torch.from_numpy(np.stack(rows)).float()
        conv.bias.zero_()


def normalized(waveform: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Zero mean and unit variance, as the preprocessor of the exported base says."""
    return (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)


def make_batch(world: World, rows: list[int], *, framed: bool, speeds: Sequence[float] = (1.0,)) -> dict[str, torch.Tensor]:
    """Padded waveforms of zero mean and unit variance with a mask, labels, and frame targets (of recordings at their own speed)."""
    waveforms = [normalized(perturb_speed(world.waveform(number), speed)) for number, speed in zip(rows, itertools.cycle(speeds))]
    longest = max(map(len, waveforms))
    inputs, mask = torch.zeros(len(rows), longest), torch.zeros(len(rows), longest, dtype=torch.int64)
    frames = (longest - FIELD) // HOP + 1
    lengths = [(len(waveform) - FIELD) // HOP + 1 for waveform in waveforms]
    targets = torch.full((len(rows), frames), -100)
    for place, (number, waveform) in enumerate(zip(rows, waveforms, strict=True)):
        inputs[place, : len(waveform)] = torch.from_numpy(waveform)
        mask[place, : len(waveform)] = 1
        if framed:
            targets[place, : lengths[place]] = torch.from_numpy(world.frame_targets(number, lengths[place]))
    labels = [torch.tensor(world.labels(number)) for number in rows]
    return {
        "inputs": inputs, "mask": mask, "targets": targets,
        "labels": torch.cat(labels), "label_lengths": torch.tensor([len(row) for row in labels]),
        "frame_lengths": torch.tensor(lengths),
    }  # fmt: skip


def forward(network: Wav2Vec2ForCTC, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of the last layer and of `INTERMEDIATE_LAYER`, float32, shape (batch, frames, tokens)."""
    out = network.wav2vec2(batch["inputs"], attention_mask=batch["mask"], output_hidden_states=True)
    middle = network.wav2vec2.encoder.layer_norm(out.hidden_states[INTERMEDIATE_LAYER])
    last, middle = (F.log_softmax(network.lm_head(states).float(), dim=-1) for states in (out.last_hidden_state, middle))
    return last, middle


def ctc_loss(log_probs: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Per letter."""
    total = F.ctc_loss(
        log_probs.transpose(0, 1), batch["labels"], batch["frame_lengths"], batch["label_lengths"], reduction="sum", zero_infinity=True
    )
    return total / batch["label_lengths"].sum()


class Optimizer:
    """Muon (Jordan et al. 2024) for the matrices of the encoder, AdamW for the rest; one learning rate serves both."""

    def __init__(self, network: Wav2Vec2ForCTC, learning_rate: float) -> None:
        matrices = {name: p for name, p in network.named_parameters() if "encoder.layers" in name and p.ndim == 2}
        others = [p for name, p in network.named_parameters() if name not in matrices]
        self.parts = (
            torch.optim.Muon(matrices.values(), lr=learning_rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01),
        )
        self.param_groups = [group for part in self.parts for group in part.param_groups]
        # what checkpoints read and write; a part fills the dictionary of a parameter at its first step
        self.state = {p: part.state[p] for part in self.parts for group in part.param_groups for p in group["params"]}

    def step(self) -> None:
        """One step of both."""
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)


def share_gradients(network: Wav2Vec2ForCTC) -> None:
    """Average over the processes."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def held_out() -> list[tuple[np.ndarray[Any, np.dtype[np.float32]], str]]:
    """Sentences and speakers of the dev split of synthetic standard English: no sentence of it is in the world."""
    from speak_world import letters

    return [(speak(one), letters(one.text)) for one in make_corpus("standard", sizes={"dev": SplitSize(speakers=12, utterances=10)})]


@torch.inference_mode()
def word_error_rate(network: Wav2Vec2ForCTC, clips: list[tuple[Any, str]]) -> float:
    """Greedy, clip by clip."""
    network.eval()
    said = []
    for waveform, _ in clips:
        inputs = torch.from_numpy(normalized(waveform))[None]
        batch = {"inputs": inputs, "mask": torch.ones_like(inputs, dtype=torch.int64)}
        said.append(VOCABULARY.decode(best_path(forward(network, batch)[0][0], BLANK)[0]))
    network.train()
    return float(jiwer.wer([text for _, text in clips], said))


def export(network: Wav2Vec2ForCTC, folder: Path) -> None:
    """A Hugging Face folder in float16."""
    folder.mkdir(parents=True, exist_ok=True)
    VOCABULARY.write(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=SAMPLING_RATE, do_normalize=True, return_attention_mask=True).save_pretrained(folder)
    network.half().save_pretrained(folder)


def main() -> None:
    """Train, judge and export."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("world", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch-seconds", type=float, default=48.0, help="of each process")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--frame-steps", type=int, default=1200, help="steps over which the weight of the frame targets falls from 1 to 0")
    parser.add_argument("--warm-up", type=int, default=300, help="steps until the learning rate is whole")
    parser.add_argument("--evaluate-every", type=int, default=500)
    parser.add_argument("--start-from", type=Path, metavar="FOLDER", help="begin with the weights of an exported base instead of random ones")
    parser.add_argument("--stop", type=int, help="leave before the end, as an interruption would (for trials)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    processes, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if processes > 1:  # under torchrun
        dist.init_process_group("gloo")
        torch.set_num_threads(1)
    first = rank == 0
    torch.manual_seed(options.seed)
    world = World(options.world)
    if options.start_from:
        network = Wav2Vec2ForCTC.from_pretrained(options.start_from, dtype=torch.float32, attn_implementation="eager")
    else:
        network = Wav2Vec2ForCTC(Wav2Vec2Config(**CONFIG, attn_implementation="eager"))
        gabor_front_end(network)
    network.train()
    batches = plan(world, options.steps * processes, options.batch_seconds, options.seed, short_first=options.start_from is None)
    optimizer = Optimizer(network, options.learning_rate)
    parameters = trainable(network)
    average = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    run = {"batch_seconds": options.batch_seconds * processes, "seed": options.seed}  # speech and steps may grow: see the top of this file
    start, scores = 0, []
    newest = newest_checkpoint(options.out / "checkpoints")
    if newest is not None:
        progress = read_progress(newest)
        if progress.run != run:
            sys.exit(f"{newest}: belongs to another training ({progress.run}). Give another folder.")
        average = resume_checkpoint(newest, network, optimizer)
        start, scores = progress.step, list(progress.scores)
    clips = held_out() if first else []
    bf16 = use_bf16("auto", torch.device("cpu"))
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters, {world.seconds.sum() / 3600:.1f} h of speech, bf16 {bf16}", file=sys.stderr)
    log = (options.out / "pretrain.jsonl").open("a", encoding="utf-8")
    begun, heard, sums = time.perf_counter(), 0.0, np.zeros(3)
    stop = options.stop or options.steps
    bar = tqdm(range(start, stop), initial=start, total=options.steps, unit="step", file=sys.stderr, mininterval=20, disable=not first)
    for step in bar:
        weight = max(0.0, 1 - step / options.frame_steps) if options.frame_steps else 0.0
        share = step / options.steps
        rate = options.learning_rate * min((step + 1) / options.warm_up, 0.5 * (1 + math.cos(math.pi * share)) * 0.99 + 0.01)
        for group in optimizer.param_groups:
            group["lr"] = rate
        epoch, rows = batches[step * processes + rank]
        speeds = np.random.default_rng([options.seed, step, rank]).choice(SPEEDS, len(rows)).tolist() if epoch > 0 and weight == 0 else (1.0,)
        batch = make_batch(world, rows, framed=weight > 0, speeds=speeds)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            last, middle = forward(network, batch)
        ctc = ctc_loss(last, batch)
        loss, frame_loss = (1 - INTERMEDIATE_SHARE) * ctc + INTERMEDIATE_SHARE * ctc_loss(middle, batch), torch.zeros(())
        if weight > 0:
            frame_loss = F.nll_loss(last.flatten(0, 1), batch["targets"].flatten(), ignore_index=-100)
            loss = (1 - 0.8 * weight) * loss + weight * frame_loss
        loss.backward()
        if processes > 1:
            share_gradients(network)
        norm = nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if torch.isfinite(norm):
            optimizer.step()
        optimizer.zero_grad()
        decay = min(0.998, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, parameter in parameters.items():
                average[name].lerp_(parameter, 1 - decay)
        heard += float(world.seconds[rows].sum()) * processes
        sums += np.asarray([float(ctc.detach()), float(frame_loss.detach()), float(norm)])
        if (step + 1) % 50 == 0 and first:
            took = time.perf_counter() - begun
            line = {"step": step + 1, "ctc": round(sums[0] / 50, 4), "frames": round(sums[1] / 50, 4), "norm": round(sums[2] / 50, 3), "lr": rate,
                    "audio_seconds_per_second": round(heard / took, 1)}  # fmt: skip
            begun, heard, sums = time.perf_counter(), 0.0, np.zeros(3)
            log.write(json.dumps(line) + "\n")
            log.flush()
        if first and ((step + 1) % options.evaluate_every == 0 or step + 1 == options.steps):
            current = {name: parameter.detach().clone() for name, parameter in parameters.items()}
            put(parameters, average)
            score = word_error_rate(network, clips)
            put(parameters, current)
            scores.append((step + 1, score))
            log.write(json.dumps({"step": step + 1, "held_out_wer": round(score, 4)}) + "\n")
            log.flush()
            done = Progress(step=step + 1, best_step=None, best_score=None, run=run, scores=tuple(scores))
            save_checkpoint(options.out / "checkpoints", network, optimizer, done, average)
    if first:
        put(parameters, average)
        export(network, options.out / "model")
    if processes > 1:
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
