"""The training loop: one, plain, on accelerate.

Every source of chance in a step (clips, speeds, masks, window) is drawn from (seed, step). A run that was killed and resumed
therefore ends with the same adapter as one that was not, on the same machine with the same number of threads.
"""

import dataclasses
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tensorboardX import SummaryWriter
from tqdm import tqdm

from speechadapt.adapt.adapter import AdapterRef, add_adapter, base_fingerprint, count_parameters, must_be_bare, read_adapter, save_adapter
from speechadapt.adapt.card import training_card
from speechadapt.adapt.checkpoint import (
    Progress,
    checkpoint_path,
    load_checkpoint,
    newest_checkpoint,
    put,
    read_progress,
    resume_checkpoint,
    save_checkpoint,
    trainable,
)
from speechadapt.adapt.fused import fused_lora
from speechadapt.adapt.memory import keep_freed_memory
from speechadapt.adapt.rehearsal import Rehearsal
from speechadapt.adapt.spec import AdapterSpec, FamilySettings, TrainSettings
from speechadapt.audio.augment import perturb_speed
from speechadapt.audio.batching import Batch, batches_for_training
from speechadapt.audio.waveform import Waveform, read_waveform
from speechadapt.data.corpus_record import CorpusRecord, read_records
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import AudioError, LabelError, MisuseError, TrainingError
from speechadapt.files import write_json
from speechadapt.models.precision import use_bf16
from speechadapt.models.speech_model import SpeechModel
from speechadapt.units import SAMPLING_RATE

Validate = Callable[[SpeechModel], float]
CACHE_BYTES = 1 << 30
"""Waveforms read once are kept up to this much memory (2.3 hours of speech); the rest is read again each time."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Utterances left out of training, by reason; the ids are named in `training.json` of the run."""

    reasons: dict[str, list[str]]

    def __str__(self) -> str:
        return "; ".join(f"{reason}: {len(ids)} ({', '.join(ids[:3])}{', …' if len(ids) > 3 else ''})" for reason, ids in self.reasons.items())

    def __len__(self) -> int:
        return sum(map(len, self.reasons.values()))


class TrainingData:
    """The usable rows of a training manifest with their labels, and their waveforms as they are needed."""

    def __init__(self, model: SpeechModel, manifest: Manifest) -> None:
        """Args:
            model: makes the labels and knows its limits.
            manifest: rows whose text is empty or cannot be written by the model, or whose clip is too long or too short for it, are dropped,
                counted and named.

        Raises:
            TrainingError: nothing usable is left.
        """
        self.model = model
        self.manifest = manifest
        self.rows: list[tuple[Utterance, list[int]]] = []
        self.reasons: dict[str, list[str]] = {}
        for utterance in manifest:
            if not utterance.text.strip():
                self._drop("empty text", utterance)
                continue
            try:
                labels = model.make_labels(utterance.text, utterance.id)
            except LabelError as error:
                self._drop(error.reason, utterance)
                continue
            reason = model.unusable(round(utterance.duration * SAMPLING_RATE), labels)
            if reason is None:
                self.rows.append((utterance, labels))
            else:
                self._drop(reason, utterance)
        if not self.rows:
            raise TrainingError(
                f"{manifest.name}: none of its {len(manifest)} utterances can be used: {self.dropped}. Check it with: speechadapt check"
            )
        self._lost: set[str] = set()
        self._cache: dict[str, Waveform] = {}
        self._room = CACHE_BYTES

    @property
    def dropped(self) -> Dropped:
        """What was left out so far; clips that cannot be read, or are not as long as the manifest says, are found when they are first read."""
        return Dropped(reasons=self.reasons)

    @property
    def lost(self) -> int:
        """How many rows turned out useless when their clip was read."""
        return len(self._lost)

    @property
    def durations(self) -> list[float]:
        """Seconds of each usable row."""
        return [utterance.duration for utterance, _ in self.rows]

    def waveform(self, index: int) -> Waveform | None:
        """The clip of one row, float32, shape (samples,), 16 kHz; None if it cannot be used, which is counted.

        Raises:
            TrainingError: no clip at all can be used.
        """
        utterance, labels = self.rows[index]
        if utterance.id in self._cache:
            return self._cache[utterance.id]
        if utterance.id in self._lost:
            return None
        try:
            waveform = read_waveform(self.manifest.audio_path(utterance), offset=utterance.offset, duration=utterance.duration)
        except AudioError as error:
            self._lose(utterance, f"audio {error.reason}", error)
            return None
        reason = self.model.unusable(len(waveform), labels)
        if reason is not None:
            self._lose(utterance, reason)
            return None
        if waveform.nbytes <= self._room:
            self._room -= waveform.nbytes
            self._cache[utterance.id] = waveform
        return waveform

    def _lose(self, utterance: Utterance, reason: str, error: AudioError | None = None) -> None:
        self._lost.add(utterance.id)
        self._drop(reason, utterance)
        if len(self._lost) == len(self.rows):
            last = f" The last one: {error}" if error else " Check the manifest with: speechadapt check --audio"
            raise TrainingError(f"{self.manifest.name}: none of its clips can be read: {self.dropped}.{last}") from error

    def _drop(self, reason: str, utterance: Utterance) -> None:
        self.reasons.setdefault(reason, []).append(utterance.id)


def batch_plan(durations: Sequence[float], settings: FamilySettings) -> list[list[int]]:
    """The rows of every step, from the first to the last, fixed before the start.

    Args:
        durations: seconds per row.
        settings: `steps` if given, else `epochs` passes.

    Returns:
        One list of row indices per optimizer step.
    """
    first = batches_for_training(durations, settings.batch_seconds, seed=settings.seed, epoch=0)
    steps = settings.steps if settings.steps is not None else max(1, round(len(first) * settings.epochs))
    plan = first[:steps]
    epoch = 1
    while len(plan) < steps:
        plan += batches_for_training(durations, settings.batch_seconds, seed=settings.seed, epoch=epoch)[: steps - len(plan)]
        epoch += 1
    return plan


def learning_rate(step: int, steps: int, settings: FamilySettings) -> float:
    """Linear rise, then linear fall.

    Args:
        step: 0 for the first.
        steps: in all.
    """
    warmup = max(1, round(steps * settings.warmup_share))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    share = (steps - step) / max(1, steps - warmup)
    return settings.learning_rate * (settings.final_share + (1 - settings.final_share) * share)


def make_training_batches(model: SpeechModel, data: TrainingData, rows: Sequence[int], step: int, settings: FamilySettings) -> list[Batch]:
    """The augmented clips of one step: those in the short window, and the few that the full window was drawn for, as batches of their own.

    The full window's clips are bounded by seconds, so that it never decides how much memory a step needs. A family without a short window
    gets one batch, padded to its longest clip. A clip that another speed would make useless keeps its own.

    Returns:
        One or two batches; none when no clip of the step can be read.
    """
    windowed = "short" in model.windows
    random = np.random.default_rng([settings.seed, step, 0x5EED])
    margin = random.uniform(0, settings.margin_seconds)
    factors = random.choice(settings.speed_perturb, size=len(rows))
    share = settings.full_window_share if windowed else 0.0
    full = np.flatnonzero(random.random(len(rows)) < share)[: max(1, round(settings.batch_seconds / model.longest))]
    torch.manual_seed(int(random.integers(1 << 62)))  # of the masks, and of dropout inside the network
    groups: dict[bool, list[tuple[str, list[int], Waveform]]] = {False: [], True: []}
    for place, (row, factor) in enumerate(zip(rows, factors, strict=True)):
        waveform = data.waveform(row)
        if waveform is not None:
            utterance, tokens = data.rows[row]
            changed = perturb_speed(waveform, float(factor))
            groups[place in full].append((utterance.id, tokens, waveform if model.unusable(len(changed), tokens) else changed))
    batches = []
    for in_full, clips in groups.items():
        if clips:
            ids, labels, waveforms = zip(*clips, strict=True)
            window = max(map(len, waveforms)) / SAMPLING_RATE + margin
            whole = in_full or not windowed or window >= model.longest
            batch = model.make_batch(ids, waveforms, labels, window_seconds=None if whole else window)
            batches.append(
                model.mask(
                    batch,
                    time_masks=settings.time_masks,
                    time_mask_share=settings.time_mask_share,
                    freq_masks=settings.freq_masks,
                    freq_mask_bins=settings.freq_mask_bins,
                )
            )
    return batches


def split_batch(batch: Batch, parts: int) -> Iterator[Batch]:
    """Cut a batch into at most `parts` of like size."""
    size = math.ceil(len(batch.ids) / parts)
    for start in range(0, len(batch.ids), size):
        rows = slice(start, start + size)
        labels = batch.labels[rows]
        width = int((labels != -100).sum(dim=1).max())
        yield Batch(ids=batch.ids[rows], inputs=batch.inputs[rows], input_lengths=batch.input_lengths[rows], labels=labels[:, :width])


def train_adapter(
    model: SpeechModel,
    train: Manifest,
    *,
    spec: AdapterSpec,
    settings: TrainSettings,
    out: Path,
    validate: Validate | None = None,
    replayed: Collection[str] = (),
    corpora: Sequence[CorpusRecord] | None = None,
    resume: bool = False,
) -> AdapterRef:
    """Train an adapter on a base model and leave the best one inside it.

    The output layer is first made able to write the training texts, where the family has one that can (`SpeechModel.fit_vocabulary`).
    Writes `out/train.jsonl` (one line per step), `out/tensorboard/`, `out/checkpoints/`, `out/adapter/` (a PEFT folder) and
    `out/training.json` (plan, vocabulary, drops, scores).

    Args:
        model: a base model without an adapter; changed in place. Its own weights stay bit-identical.
        train: what to learn from; drop what leaks before (see `data.splits.drop_leaks`).
        spec: the adapter wished for.
        settings: how to train; what is left to the model's family is filled in, and `steps` or `epochs` turned into a fixed plan, before the
            start.
        out: the run folder.
        validate: from the model to a number to be small, such as the decoded word error rate of a dev set; called at each checkpoint.
            Without it the last checkpoint is kept.
        replayed: ids of the rows of `train` that stand for what the base knows already; see `TrainSettings.replay_divergence`.
        corpora: whose speech `train` is, for the adapter's card; None reads `corpus.json` in the manifest's folder.
        resume: go on from the newest checkpoint in `out`, if there is one.

    Returns:
        The adapter on disk.

    Raises:
        TrainingError: nothing to train on, a checkpoint of another run, a loss that is not finite, a model that has stopped learning
            (`SpeechModel.symptom`). Checkpoints are kept.
        SpeechadaptError: the disk is full; what was written stays.
    """
    out = Path(out)
    corpora = read_records(train.folder) if corpora is None else tuple(corpora)
    run = _Run(model, train, spec, settings, out, validate, frozenset(replayed), corpora)
    start = run.restore() if resume else 0
    with keep_freed_memory(), fused_lora(model.network):
        for step in run.progress_bar(start):
            run.step(step)
            if (step + 1) % run.evaluate_every == 0 or step + 1 == len(run.plan):
                run.checkpoint(step + 1)
    return run.finish()


def plan_steps(
    model: SpeechModel,
    train: Manifest,
    settings: TrainSettings,
    minutes: float,
    *,
    spec: AdapterSpec,
    replayed: Collection[str] = (),
    probe_steps: int = 5,
) -> TrainSettings:
    """Turn a wish in minutes into a fixed number of steps, by timing a few on a copy of the settings' plan.

    Stopping by the clock would make a resumed run differ from an uninterrupted one, so the clock is asked once, here.

    Args:
        model: a base model; probed with a throw-away adapter, which is taken out again. Its vocabulary stays fitted to the texts.
        train: the rows to be trained on.
        settings: `steps` and `epochs` are replaced.
        minutes: wished training time, dev scores not counted.
        spec: the adapter wished for.
        replayed: see `train_adapter`.
        probe_steps: steps timed, after one that warms up.

    Returns:
        The settings with `steps` set, at least 1.

    Raises:
        MisuseError: minutes is not above 0.
        TrainingError: nothing to train on.
    """
    if not minutes > 0:
        raise MisuseError(f"minutes is {minutes}, must be above 0. Correct the setting.")
    fit_vocabulary(model, train, spec, settings)
    data = TrainingData(model, train)
    chosen = dataclasses.replace(settings, steps=probe_steps + 1).for_family(model.family)
    plan = batch_plan(data.durations, chosen)
    add_adapter(model, spec)
    rehearsal = Rehearsal(model, chosen, replayed)
    model.network.train()
    parameters = trainable(model.network)
    times = []
    try:
        with keep_freed_memory(), fused_lora(model.network):
            for step, rows in enumerate(plan):
                begun = time.perf_counter()
                for batch in make_training_batches(model, data, rows, step, chosen):
                    with torch.autocast(model.device.type, torch.bfloat16, enabled=use_bf16(settings.precision, model.device)):
                        loss, moved = rehearsal.loss(batch.to(model.device))
                        loss = loss if moved is None else loss + chosen.replay_divergence * moved
                    loss.backward()  # type: ignore[no-untyped-call]
                for parameter in parameters.values():
                    parameter.grad = None
                times.append(time.perf_counter() - begun)
    finally:
        model.network = model.network.unload()  # type: ignore[operator]
        model.adapted = False
        model.network.requires_grad_(False)
        model.network.eval()
    return dataclasses.replace(settings, steps=max(1, round(minutes * 60 / (sum(times[1:]) / probe_steps))))


def fit_vocabulary(model: SpeechModel, train: Manifest, spec: AdapterSpec, settings: TrainSettings) -> tuple[str, ...]:
    """Make the model able to write the training texts, and no others; what was done, in sentences. The seed decides the start of new rows."""
    must_be_bare(model)
    torch.manual_seed(settings.seed)
    return model.fit_vocabulary([utterance.text for utterance in train], vocabulary=spec.vocabulary, rare=spec.rare)


class _Run:
    """The state of one training run: data, optimizer, logs and scores."""

    def __init__(
        self,
        model: SpeechModel,
        train: Manifest,
        spec: AdapterSpec,
        wish: TrainSettings,
        out: Path,
        validate: Validate | None,
        replayed: frozenset[str],
        corpora: tuple[CorpusRecord, ...],
    ) -> None:
        self.corpora = corpora
        settings = wish.for_family(model.family)
        self.model, self.train, self.spec, self.settings, self.out, self.validate = model, train, spec, settings, out, validate
        self.vocabulary = fit_vocabulary(model, train, spec, settings)
        model.forget_losses()  # of a probe
        self.data = TrainingData(model, train)
        self.plan = batch_plan(self.data.durations, settings)
        self.evaluate_every = settings.evaluate_every or max(1, math.ceil(len(self.plan) / 10))
        self.fingerprint = base_fingerprint(model)
        self.identity = {
            "base": self.fingerprint,
            "train": train.fingerprint,
            "spec": spec.to_json(),
            "settings": json.loads(json.dumps(settings.to_json())),
            "steps": len(self.plan),
            "replayed": len(replayed),
        }
        add_adapter(model, spec, seed=settings.seed)
        self.rehearsal = Rehearsal(model, settings, replayed)
        if settings.gradient_checkpointing:
            recompute_activations(model.network)
        self.accelerator = Accelerator(cpu=model.device.type == "cpu")
        # autocast is ours: accelerate keeps one precision for the whole process, and a process may train twice
        self.bf16 = use_bf16(settings.precision, model.device)
        self.parameters = trainable(model.network)
        self.optimizer = torch.optim.AdamW(self.parameters.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        self.average = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self.scores: list[tuple[int, float]] = []
        self.symptom: str | None = None
        self.log_path = out / "train.jsonl"
        self.audio_seconds = 0.0
        self.writer: Any = None
        self.bar: Any = None
        out.mkdir(parents=True, exist_ok=True)
        if self.accelerator.is_main_process:
            self.describe()

    @property
    def checkpoints(self) -> Path:
        return self.out / "checkpoints"

    @property
    def best(self) -> tuple[int, float] | None:
        return min(self.scores, key=lambda pair: pair[1], default=None)

    def describe(self) -> None:
        ours, total = count_parameters(self.model)
        tqdm.write(
            f"{self.model.base.id}: training {ours:,} of {total:,} parameters ({ours / total:.1%}), {len(self.data.rows)} utterances "
            f"({sum(self.data.durations) / 3600:.2f} h), {len(self.plan)} steps",
            file=sys.stderr,
        )
        for sentence in self.vocabulary:
            tqdm.write(sentence, file=sys.stderr)
        if len(self.data.dropped):
            tqdm.write(f"left out of training: {self.data.dropped}", file=sys.stderr)

    def restore(self) -> int:
        """Go back to the newest checkpoint; the step to go on with."""
        path = newest_checkpoint(self.checkpoints)
        if path is None:
            return 0
        progress = read_progress(path)
        if progress.run != self.identity:
            raise TrainingError(
                f"{path}: belongs to another run ({'; '.join(differences(progress.run, self.identity))}). "
                "Give the same settings as before, or a new folder with --out."
            )
        self.average = resume_checkpoint(path, self.model.network, self.optimizer)
        self.scores = list(progress.scores)
        if self.accelerator.is_main_process:
            self.model.infinite.update(progress.infinite)
        if self.accelerator.is_main_process and self.log_path.is_file():
            lines = self.log_path.read_text(encoding="utf-8").splitlines(keepends=True)[: progress.step]
            self.log_path.write_text("".join(lines), encoding="utf-8")
        return progress.step

    def progress_bar(self, start: int) -> Iterator[int]:
        main = self.accelerator.is_main_process
        if main:
            self.writer = SummaryWriter(str(self.out / "tensorboard"), purge_step=start)
            if start == 0:
                self.log_path.unlink(missing_ok=True)
        self.bar = tqdm(
            range(start, len(self.plan)), initial=start, total=len(self.plan), desc="train", unit="step", disable=not main, file=sys.stderr
        )
        try:
            yield from self.bar
        finally:
            self.bar.close()
            if self.writer is not None:
                self.writer.close()

    def step(self, step: int) -> None:
        begun = time.perf_counter()
        self.model.network.train()
        rows = self.plan[step][self.accelerator.process_index :: self.accelerator.num_processes]
        batches = make_training_batches(self.model, self.data, rows, step, self.settings) if rows else []
        rate = learning_rate(step, len(self.plan), self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, moved, tokens = self.backward(batches)
        seconds_of_audio = sum(self.data.rows[row][0].duration for row in self.plan[step])
        if tokens:
            self.update(loss + self.settings.replay_divergence * moved, step)
        took = time.perf_counter() - begun
        self.audio_seconds += seconds_of_audio
        if self.accelerator.is_main_process:
            line = {"step": step + 1, "loss": round(loss, 6), "lr": rate, "audio_seconds": round(seconds_of_audio, 3), "seconds": round(took, 4)}
            if self.rehearsal.replayed:
                line["divergence"] = round(moved, 6)
                self.writer.add_scalar("divergence", moved, step + 1)
            with self.log_path.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            self.writer.add_scalar("loss", loss, step + 1)
            self.writer.add_scalar("lr", rate, step + 1)
            self.writer.add_scalar("audio_seconds_per_second", seconds_of_audio / took, step + 1)
            self.bar.set_postfix_str(f"loss {loss:.3f}, {seconds_of_audio / took:.0f} audio s/s")

    def backward(self, batches: Sequence[Batch]) -> tuple[float, float, int]:
        """Gradients of the mean over all label tokens, of all parts and all processes; loss, divergence on replay, and the number of tokens."""
        total = self._sum(float(sum(int((batch.labels != -100).sum()) for batch in batches)))
        loss = moved = 0.0
        for batch in batches:
            for part in split_batch(batch, self.settings.accumulate):
                share = float((part.labels != -100).sum()) / total
                with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.bf16):
                    part_loss, part_moved = self.rehearsal.loss(part.to(self.model.device))
                whole = part_loss if part_moved is None else part_loss + self.settings.replay_divergence * part_moved
                self.accelerator.backward(whole * share)
                loss += float(part_loss.detach()) * share
                moved += float(part_moved.detach()) * share if part_moved is not None else 0.0
        return self._sum(loss), self._sum(moved), int(total)

    def _sum(self, value: float) -> float:
        """The sum over processes."""
        if self.accelerator.num_processes == 1:
            return value
        return float(self.accelerator.reduce(torch.tensor(value, device=self.model.device), reduction="sum"))

    def update(self, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            raise TrainingError(self.unstable(f"loss is {loss}", step))
        if self.accelerator.num_processes > 1:
            for parameter in self.parameters.values():
                gradient = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
                parameter.grad = self.accelerator.reduce(gradient, reduction="sum")
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.settings.max_grad_norm))
        if not math.isfinite(norm):  # one step with it would make every weight a NaN
            raise TrainingError(self.unstable(f"norm of the gradient is {norm}", step))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        # the beginning of a run must not weigh for long, so the average starts short (as in TensorFlow's ExponentialMovingAverage)
        decay = min(self.settings.average_decay, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                self.average[name].lerp_(parameter, 1 - decay)

    def unstable(self, what: str, step: int) -> str:
        return (
            f"step {step + 1}: the {what}, must be finite. Lower the learning rate (now {self.settings.learning_rate}) "
            f"or look for broken clips with: speechadapt check --audio. Checkpoints so far are kept in {self.checkpoints}."
        )

    def gather(self, value: Any) -> list[Any]:
        """The value of every process."""
        return [value] if self.accelerator.num_processes == 1 else list(gather_object([value]))

    @property
    def infinite(self) -> dict[str, int]:
        """Utterance ids to how often their loss was infinite, over all processes."""
        total: Counter[str] = Counter()
        for found in self.gather(dict(self.model.infinite)):
            total.update(found)
        return dict(sorted(total.items()))

    def checkpoint(self, step: int) -> None:
        if self.validate is not None:
            current = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
            put(self.parameters, self.average)  # what is judged is what would ship
            score = self.validate(self.model)
            put(self.parameters, current)
            self.scores.append((step, score))
            if self.accelerator.is_main_process:
                self.writer.add_scalar("dev", score, step)
                tqdm.write(f"step {step}: dev {score:.4f}", file=sys.stderr)
        best = self.best
        progress = Progress(
            step=step,
            best_step=best[0] if best else None,
            best_score=best[1] if best else None,
            run=self.identity,
            scores=tuple(self.scores),
            infinite=self.infinite,
        )
        if self.accelerator.is_main_process:
            save_checkpoint(self.checkpoints, self.model.network, self.optimizer, progress, self.average)
        self.accelerator.wait_for_everyone()
        symptom = next((found for found in self.gather(self.model.symptom(step)) if found), None)  # the same for all, so that none is left waiting
        if symptom is not None and symptom.stop:
            raise TrainingError(f"step {step}: {symptom.told} Checkpoints so far are kept in {self.checkpoints}.")
        self.symptom = symptom.told if symptom else None

    def finish(self) -> AdapterRef:
        """Load the best checkpoint; the first process writes the adapter."""
        best = self.best
        chosen = best[0] if best else len(self.plan)
        load_checkpoint(checkpoint_path(self.checkpoints, chosen), self.model.network)
        self.model.network.eval()
        infinite = self.infinite
        if self.accelerator.is_main_process:
            self.write_adapter(chosen, best[1] if best else None, infinite)
        self.accelerator.wait_for_everyone()
        return read_adapter(self.out / "adapter")

    def write_adapter(self, chosen: int, score: float | None, infinite: dict[str, int]) -> None:
        accents = sorted({u.accent for u, _ in self.data.rows if u.accent is not None})
        if self.data.lost:
            tqdm.write(f"left out of training: {self.data.dropped}", file=sys.stderr)
        if self.symptom:
            tqdm.write(f"at the end, {self.symptom}", file=sys.stderr)
        if infinite:
            named = f"{', '.join(list(infinite)[:3])}{', …' if len(infinite) > 3 else ''}"
            tqdm.write(f"infinite loss, counted as 0: {sum(infinite.values())} times, of {len(infinite)} utterances ({named})", file=sys.stderr)
        write_json(
            self.out / "training.json",
            {
                **self.identity,
                "utterances": len(self.data.rows) - self.data.lost,
                "dropped": self.data.reasons,
                "head": self.model.head,
                "vocabulary": list(self.vocabulary),
                "infinite": infinite,
                "symptom": self.symptom,
                "scores": self.scores,
                "chosen_step": chosen,
                "corpora": [dataclasses.asdict(record) for record in self.corpora if record.known],
                "trainable": count_parameters(self.model)[0],
            },
        )
        save_adapter(
            self.model,
            self.spec,
            self.out / "adapter",
            train_fingerprint=self.train.fingerprint,
            accent=", ".join(accents) or None,
            card=training_card(self.model, self.spec, self.train, chosen, score, self.corpora),
        )


def recompute_activations(network: Any) -> None:
    """Switch gradient checkpointing on; transformers 5.23 gave it another name."""
    enable = getattr(network, "activation_checkpointing_enable", None) or network.gradient_checkpointing_enable
    enable({"use_reentrant": False})  # the other way silently gives no gradients where inputs need none


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Which fields of two runs differ, with both values; fields of settings and spec by their own names."""
    found = []
    for key, value in now.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            found += [f"{key}.{line}" for line in differences(old, value)]
        elif old != value:
            found.append(f"{key} was {old}, is {value}")
    return found
