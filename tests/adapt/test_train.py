"""The training loop: what it learns from, what it writes, that it can be killed at any step, and what it says when something is wrong."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from trained import log, same, weights

from speechadapt.adapt import checkpoint as checkpoint_module
from speechadapt.adapt import train as train_module
from speechadapt.adapt.adapter import add_adapter, read_adapter
from speechadapt.adapt.checkpoint import newest_checkpoint, trainable
from speechadapt.adapt.spec import AdapterSpec, FamilySettings, TrainSettings
from speechadapt.adapt.train import (
    TrainingData,
    batch_plan,
    learning_rate,
    make_training_batches,
    plan_steps,
    recompute_activations,
    split_batch,
    train_adapter,
)
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import MisuseError, SpeechadaptError, TrainingError
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import SpeechModel
from speechadapt.models.whisper import WhisperModel

Folder = Callable[[str], Path]
MakeManifest = Callable[..., Manifest]

SPEC = AdapterSpec(rank=2, alpha=4.0)
QUIET = {"speed_perturb": (1.0,), "time_masks": 0, "freq_masks": 0, "margin_seconds": 0.0, "full_window_share": 0.0, "label_smoothing": 0.0}
"""No augmentation, for tests that compare numbers."""
GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "training_losses.json").read_text())


def load(folder: Path) -> WhisperModel:
    model = load_model(str(folder), device="cpu")
    assert isinstance(model, WhisperModel)
    return model


def settings(**changes: Any) -> FamilySettings:
    """In fp32 unless a test says otherwise: what is compared must not depend on what the processor is fast in."""
    given = {"steps": 4, "batch_seconds": 4.0, "learning_rate": 1e-2, "precision": "fp32"} | changes
    return TrainSettings(**given).for_family("whisper")


def train(
    folder: Path, manifest: Manifest, out: Path, *, spec: AdapterSpec = SPEC, validate: Any = None, resume: bool = False, **changes: Any
) -> SpeechModel:
    model = load(folder)
    train_adapter(model, manifest, spec=spec, settings=settings(**changes), out=out, validate=validate, resume=resume)
    return model


# Learning


def test_the_first_losses_are_those_recorded(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    """All of it at once: plan, augmentation, window, loss, gradient, AdamW, schedule. See golden/make_training_losses.py."""
    train(whisper_folder("english"), make_manifest(), tmp_path / "run", **GOLDEN["settings"])
    found = [line["loss"] for line in log(tmp_path / "run")]
    # One machine repeats them to the digit. Sums in another order (1 or 2 threads) move them by up to 5e-4 of their value, because Adam's first
    # steps turn a gradient near zero into a full step; a step changes them by 1e-2.
    assert found == pytest.approx(GOLDEN["losses"], rel=2e-3)


def test_one_batch_can_be_learned_by_heart(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    train(
        whisper_folder("english"),
        make_manifest(2),
        tmp_path / "run",
        spec=AdapterSpec(rank=16),
        steps=30,
        batch_seconds=10.0,
        learning_rate=3e-2,
        **QUIET,
    )
    losses = [line["loss"] for line in log(tmp_path / "run")]
    # The frozen norm before the output bounds the logits of this narrow model, so that about 7 is the lowest loss there is; by chance it is 11.5.
    assert losses[0] > 11
    assert losses[-1] < 7.2


def test_base_weights_stay_bit_identical(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    before = load_file(whisper_folder("english") / "model.safetensors")
    model = train(whisper_folder("english"), make_manifest(), tmp_path / "run")
    after = {
        name.removeprefix("base_model.model.").replace(".base_layer.", "."): parameter
        for name, parameter in model.network.named_parameters()
        if "lora_" not in name
    }
    assert after.keys() == before.keys() - {"proj_out.weight"}
    assert all(torch.equal(after[name], before[name]) for name in after)


@pytest.mark.parametrize("method", ["lora", "rslora", "dora"])
@pytest.mark.parametrize("kind", ["english", "v3"])
def test_every_method_trains_and_saves(method: str, kind: str, whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    model = load_model(str(whisper_folder(kind)), language=None if kind == "english" else "de", device="cpu")
    spec = AdapterSpec(method=method, rank=2, dropout=0.1 if method == "rslora" else 0.0)
    ref = train_adapter(model, make_manifest(3), spec=spec, settings=settings(steps=1), out=tmp_path / "run")
    assert ref == read_adapter(tmp_path / "run" / "adapter")
    assert (ref.spec, ref.language, ref.task) == (spec, "en" if kind == "english" else "de", "transcribe")
    moved = [name for name, weight in weights(tmp_path / "run").items() if "lora_B" in name and weight.abs().max() > 0]
    assert len(moved) == 2 * 6 + 2 * 10, "every adapted matrix of both layers of both halves received a gradient"


def test_accumulating_equals_one_batch(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = make_manifest()
    for name, parts in (("one", 1), ("two", 2), ("three", 3)):
        train(whisper_folder("english"), manifest, tmp_path / name, steps=2, batch_seconds=10.0, accumulate=parts, average_decay=0.0, **QUIET)
    one = weights(tmp_path / "one")
    for name in ("two", "three"):
        assert [line["loss"] for line in log(tmp_path / name)] == pytest.approx([line["loss"] for line in log(tmp_path / "one")], rel=1e-5)
    gradients = [_gradients(load(whisper_folder("english")), manifest, parts) for parts in (1, 2, 3)]
    for found in gradients[1:]:
        for key, value in gradients[0].items():
            torch.testing.assert_close(found[key], value, atol=1e-5 * float(value.abs().max()), rtol=1e-4)
    assert one


def _gradients(model: WhisperModel, manifest: Manifest, parts: int, checkpointing: bool = False) -> dict[str, torch.Tensor]:
    """Gradients of one batch in `parts`, each weighted by its share of the tokens, as the loop does it."""
    add_adapter(model, SPEC)
    with torch.no_grad():  # A has no gradient while B is zero
        for name, parameter in model.network.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.05)
    if checkpointing:
        recompute_activations(model.network)
    model.network.train()
    data = TrainingData(model, manifest)
    chosen = settings(**QUIET)
    (batch,) = make_training_batches(model, data, range(len(data.rows)), 0, chosen)
    total = int((batch.labels != -100).sum())
    for part in split_batch(batch, parts):
        (model.loss(part) * (int((part.labels != -100).sum()) / total)).backward()  # type: ignore[no-untyped-call]
    return {name: parameter.grad for name, parameter in trainable(model.network).items() if parameter.grad is not None}


def test_gradient_checkpointing_gives_equal_gradients(whisper_folder: Folder, make_manifest: MakeManifest) -> None:
    """Without inputs that require a gradient it silently gives none at all to the first layers (peft issue 617)."""
    manifest = make_manifest(3)
    plain, saved = (_gradients(load(whisper_folder("english")), manifest, 1, checkpointing) for checkpointing in (False, True))
    assert plain.keys() == saved.keys()
    assert any(".encoder.layers.0." in name and value.abs().max() > 0 for name, value in saved.items())
    for name, value in plain.items():
        torch.testing.assert_close(saved[name], value, atol=1e-6 * float(value.abs().max()), rtol=1e-5)


def test_gradient_checkpointing_in_the_loop(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = make_manifest(3)
    for name, on in (("off", False), ("on", True)):
        train(whisper_folder("english"), manifest, tmp_path / name, steps=2, gradient_checkpointing=on)
    assert [line["loss"] for line in log(tmp_path / "on")] == pytest.approx([line["loss"] for line in log(tmp_path / "off")], rel=1e-5)


def test_bf16_trains_an_adapter_in_fp32(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    train(whisper_folder("english"), make_manifest(3), tmp_path / "run", steps=2, precision="bf16")
    assert {weight.dtype for weight in weights(tmp_path / "run").values()} == {torch.float32}
    assert all(math.isfinite(line["loss"]) for line in log(tmp_path / "run"))


def test_one_process_trains_in_both_precisions(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    """accelerate keeps one precision for the whole process and refuses another; what comes later must not depend on what came before."""
    manifest = make_manifest(3)
    for name, precision in (("first", "fp32"), ("half", "bf16"), ("again", "fp32")):
        train(whisper_folder("english"), manifest, tmp_path / name, steps=2, precision=precision)
    first, half, again = ([line["loss"] for line in log(tmp_path / name)] for name in ("first", "half", "again"))
    assert again == first
    assert half != first, "bfloat16 rounds"
    assert half == pytest.approx(first, rel=0.02)  # 8 bits of mantissa


def test_the_full_window_is_a_batch_of_its_own(whisper_folder: Folder, make_manifest: MakeManifest) -> None:
    model = load(whisper_folder("english"))
    data = TrainingData(model, make_manifest())
    batches = make_training_batches(model, data, range(6), 0, settings(full_window_share=1.0, batch_seconds=64.0))
    assert [batch.inputs.shape[-1] for batch in batches] == [168, 3000] or [len(batch.ids) for batch in batches][-1] == 2
    assert sum(len(batch.ids) for batch in batches) == 6
    assert len(batches[-1].ids) == 2, "64 s hold two full windows, so that it never decides how much memory a step needs"
    assert batches[-1].inputs.shape[-1] == 3000
    (short,) = make_training_batches(model, data, range(6), 0, settings(full_window_share=0.0))
    # the longest is 1.6 s, at most 1 / 0.85 slower, and the margin at most 1 s
    assert 160 <= short.inputs.shape[-1] <= 296


def test_chance_depends_on_seed_and_step_alone(whisper_folder: Folder, make_manifest: MakeManifest) -> None:
    model = load(whisper_folder("english"))
    data = TrainingData(model, make_manifest())

    def inputs(step: int, **changes: Any) -> torch.Tensor:
        return make_training_batches(model, data, [0, 1, 2], step, settings(full_window_share=0.0, **changes))[0].inputs

    first = inputs(3)
    torch.manual_seed(99)
    assert torch.equal(inputs(3), first)
    assert not _equal(inputs(4), first)
    assert not _equal(inputs(3, seed=1), first)


def _equal(left: torch.Tensor, right: torch.Tensor) -> bool:
    return left.shape == right.shape and torch.equal(left, right)


# The plan


def test_the_plan_is_fixed_by_steps_or_epochs() -> None:
    seconds = np.random.default_rng(0).uniform(1, 5, 30).tolist()
    one = batch_plan(seconds, TrainSettings(epochs=1, batch_seconds=15).for_family("whisper"))
    assert sorted(row for rows in one for row in rows) == list(range(30))
    assert len(batch_plan(seconds, TrainSettings(epochs=2.5, batch_seconds=15).for_family("whisper"))) == round(2.5 * len(one))
    assert batch_plan(seconds, TrainSettings(epochs=0.01, batch_seconds=15).for_family("whisper")) == one[:1]
    longer = batch_plan(seconds, TrainSettings(steps=len(one) + 3, batch_seconds=15).for_family("whisper"))
    assert longer[: len(one)] == one
    assert len(longer) == len(one) + 3
    assert batch_plan(seconds, TrainSettings(steps=3, batch_seconds=15).for_family("whisper")) == one[:3]


def test_the_learning_rate_rises_and_falls() -> None:
    chosen = TrainSettings(learning_rate=1.0, warmup_share=0.1, final_share=0.02).for_family("whisper")
    rates = [learning_rate(step, 100, chosen) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert max(rates) == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.02, abs=1 / 90)
    assert learning_rate(0, 1, TrainSettings(learning_rate=0.5).for_family("whisper")) == 0.5


def test_steps_from_minutes_leave_the_model_bare(whisper_folder: Folder, make_manifest: MakeManifest) -> None:
    model = load(whisper_folder("english"))
    before = {name: parameter.detach().clone() for name, parameter in model.network.named_parameters()}
    chosen = settings(steps=None, epochs=3.0)
    begun = time.perf_counter()
    planned = plan_steps(model, make_manifest(), chosen, minutes=0.5, spec=SPEC, probe_steps=2)
    took = time.perf_counter() - begun
    assert planned.steps is not None
    assert planned == dataclasses.replace(chosen, steps=planned.steps)
    assert planned.steps >= 30 * 2 / took, "the two steps timed took no longer than the whole probe"
    assert not model.adapted
    assert model.network is model.whisper
    assert not model.network.training
    after = dict(model.network.named_parameters())
    assert after.keys() == before.keys(), "no wrapper is left"
    assert all(torch.equal(after[name], weight) and not after[name].requires_grad for name, weight in before.items())
    add_adapter(model, SPEC)  # and another one fits in


def test_the_probe_times_the_adapter_that_was_wished_for(
    whisper_folder: Folder, make_manifest: MakeManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[AdapterSpec, int]] = []

    def watched(model: SpeechModel, spec: AdapterSpec, seed: int = 0) -> None:
        add_adapter(model, spec, seed)
        seen.append((spec, sum(parameter.numel() for parameter in trainable(model.network).values())))

    monkeypatch.setattr(train_module, "add_adapter", watched)
    spec = AdapterSpec(method="dora", rank=3, targets="encoder")
    plan_steps(load(whisper_folder("english")), make_manifest(1), settings(), 0.1, spec=spec, probe_steps=1)
    # two layers of width 32: four matrices of 32 x 32, two of 32 x 64, each with rank 3 and a magnitude per output
    assert seen == [(spec, 2 * (4 * 3 * 64 + 2 * 3 * 96 + 4 * 32 + 64 + 32))]


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_minutes_above_zero(minutes: float, whisper_folder: Folder, make_manifest: MakeManifest) -> None:
    with pytest.raises(MisuseError) as caught:
        plan_steps(load(whisper_folder("english")), make_manifest(1), settings(), minutes, spec=SPEC)
    assert str(caught.value) == f"minutes is {minutes}, must be above 0. Correct the setting."


# What is written


def test_the_run_folder(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = make_manifest(6, accent="mandarin")
    train(whisper_folder("english"), manifest, tmp_path / "run", evaluate_every=3)
    out, err = capsys.readouterr()
    assert out == ""
    assert "training 4,608 of " in err
    assert ", 6 utterances (0.00 h), 4 steps" in err
    lines = log(tmp_path / "run")
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all(line.keys() == {"step", "loss", "lr", "audio_seconds", "seconds"} for line in lines)
    plan = batch_plan([u.duration for u in manifest], settings())
    assert [line["audio_seconds"] for line in lines] == pytest.approx([sum(manifest[row].duration for row in rows) for rows in plan])
    facts = json.loads((tmp_path / "run" / "training.json").read_text())
    assert (facts["steps"], facts["utterances"], facts["dropped"], facts["chosen_step"], facts["trainable"]) == (4, 6, {}, 4, 4608)
    assert facts["settings"]["learning_rate"] == 0.01
    assert facts["train"] == manifest.fingerprint
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-0000004"]
    ref = read_adapter(tmp_path / "run" / "adapter")
    assert (ref.accent, ref.train_fingerprint) == ("mandarin", manifest.fingerprint)
    card = (tmp_path / "run" / "adapter" / "README.md").read_text()
    assert "base_model:" not in card  # a folder of this machine, which the Hub would refuse
    assert f"# Adapter for {whisper_folder('english')}\n" in card
    assert "library_name: peft" in card


def test_the_best_checkpoint_is_kept(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    """Scores by checkpoint: the second is the best, the last is not."""
    scores, seen = iter([0.5, 0.2, 0.4]), []

    def validate(model: SpeechModel) -> float:
        seen.append({name: parameter.detach().clone() for name, parameter in trainable(model.network).items()})
        return next(scores)

    model = train(whisper_folder("english"), make_manifest(), tmp_path / "run", steps=6, evaluate_every=2, validate=validate)
    facts = json.loads((tmp_path / "run" / "training.json").read_text())
    assert facts["scores"] == [[2, 0.5], [4, 0.2], [6, 0.4]]
    assert facts["chosen_step"] == 4
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == ["step-0000004", "step-0000006"]
    inside = {name: parameter for name, parameter in model.network.named_parameters() if "lora_" in name}
    assert same({name: parameter.detach() for name, parameter in inside.items()}, seen[1]), "what was judged is what is left inside"
    saved = {name.replace(".weight", ".default.weight"): weight for name, weight in weights(tmp_path / "run").items()}
    assert same(saved, seen[1]), "and what is saved"


def test_a_tie_keeps_the_earlier_checkpoint(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    train(whisper_folder("english"), make_manifest(), tmp_path / "run", evaluate_every=2, validate=lambda model: 0.3)
    assert json.loads((tmp_path / "run" / "training.json").read_text())["chosen_step"] == 2


def test_a_dev_score_does_not_disturb_the_training(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    """It may draw random numbers, change to evaluation mode and decode; the next steps are the same."""
    manifest = make_manifest()

    def validate(model: SpeechModel) -> float:
        model.network.eval()
        torch.manual_seed(12345)
        return 1.0

    train(whisper_folder("english"), manifest, tmp_path / "with", spec=AdapterSpec(rank=2, dropout=0.2), evaluate_every=1, validate=validate)
    train(whisper_folder("english"), manifest, tmp_path / "without", spec=AdapterSpec(rank=2, dropout=0.2), evaluate_every=4)
    assert [line["loss"] for line in log(tmp_path / "with")] == [line["loss"] for line in log(tmp_path / "without")]


# Killed and resumed

KILLED = """
import sys
from pathlib import Path
from speechadapt.adapt.spec import AdapterSpec, TrainSettings
from speechadapt.adapt.train import train_adapter
from speechadapt.data.manifest import Manifest
from speechadapt.models.load import load_model
import torch
torch.set_num_threads({threads})
train_adapter(
    load_model({folder!r}, device="cpu"), Manifest.read({manifest!r}), spec=AdapterSpec(rank=2, alpha=4.0, dropout=0.1),
    settings=TrainSettings(steps=2000, batch_seconds=2.0, learning_rate=1e-2, evaluate_every=5), out=Path({out!r}),
)
"""


def test_a_killed_run_goes_on_to_the_same_adapter(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    """A real kill -9 of a process in the middle of training, wherever it happens to be.

    The killed run plans 2000 steps, so that it cannot finish first; its checkpoint is then resumed for as few steps as are needed. That the plan is
    longer would be another run, so both sides here plan 2000 and stop early the same way: by an error in their validation.
    """
    manifest = make_manifest()
    manifest.write(manifest.folder / "train.jsonl")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    script = KILLED.format(
        folder=str(whisper_folder("english")), manifest=str(manifest.folder / "train.jsonl"), out=str(killed), threads=torch.get_num_threads()
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 300
        while not (killed / "train.jsonl").is_file() or (killed / "train.jsonl").read_text().count("\n") < 8:
            assert process.poll() is None, process.communicate()[1].decode()
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    reached = newest_checkpoint(killed / "checkpoints")
    assert reached is not None
    stop = int(reached.name.removeprefix("step-")) + 10
    logged = (killed / "train.jsonl").read_text().count("\n")

    chosen = TrainSettings(steps=2000, batch_seconds=2.0, learning_rate=1e-2, evaluate_every=5)
    spec = AdapterSpec(rank=2, alpha=4.0, dropout=0.1)

    def run(out: Path, resume: bool) -> None:
        with pytest.raises(KeyboardInterrupt):
            train_adapter(load(whisper_folder("english")), manifest, spec=spec, settings=chosen, out=out, validate=stopping(out, stop), resume=resume)

    run(killed, resume=True)
    run(whole, resume=False)
    assert logged >= 8
    for name in ("adapter.safetensors", "optimizer.safetensors"):
        last = f"step-{stop - 5:07d}"
        assert same(load_file(killed / "checkpoints" / last / name), load_file(whole / "checkpoints" / last / name)), name
    steps = [line["step"] for line in log(killed)]
    assert steps == list(range(1, stop + 1)), "one line per step, none twice, none missing"
    for left, right in zip(log(killed), log(whole), strict=True):
        assert {key: left[key] for key in ("step", "loss", "lr", "audio_seconds")} == {
            key: right[key] for key in ("step", "loss", "lr", "audio_seconds")
        }


def stopping(out: Path, stop: int) -> Callable[[SpeechModel], float]:
    def validate(model: SpeechModel) -> float:
        if len(log(out)) >= stop:
            raise KeyboardInterrupt
        return 1.0

    return validate


@pytest.mark.parametrize("at", [1, 3, 5])
def test_an_interrupted_run_ends_with_the_same_files(at: int, whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    """Through to the end: adapter, scores, log. Interrupted by Ctrl-C in the middle of step `at` + 1."""
    manifest = make_manifest()

    def validate(model: SpeechModel) -> float:
        return float(sum(parameter.detach().abs().sum() for parameter in trainable(model.network).values()))

    changes: dict[str, Any] = {"steps": 7, "evaluate_every": 2, "validate": validate}
    train(whisper_folder("english"), manifest, tmp_path / "whole", **changes)
    model = load(whisper_folder("english"))
    count, loss = iter(range(1000)), model.loss_of

    def interrupted(predictions: Any, batch: Any, smoothing: float = 0.0) -> torch.Tensor:
        if next(count) == at:
            raise KeyboardInterrupt
        return loss(predictions, batch, smoothing)

    model.loss_of = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        train_adapter(model, manifest, spec=SPEC, settings=settings(steps=7, evaluate_every=2), out=tmp_path / "cut", validate=validate)
    train(whisper_folder("english"), manifest, tmp_path / "cut", resume=True, **changes)
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    assert (tmp_path / "cut" / "training.json").read_text() == (tmp_path / "whole" / "training.json").read_text()
    assert [line["loss"] for line in log(tmp_path / "cut")] == [line["loss"] for line in log(tmp_path / "whole")]
    assert [line["step"] for line in log(tmp_path / "cut")] == list(range(1, 8))


def test_resuming_a_finished_run_changes_nothing(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = make_manifest()
    train(whisper_folder("english"), manifest, tmp_path / "run")
    before, lines = weights(tmp_path / "run"), log(tmp_path / "run")
    train(whisper_folder("english"), manifest, tmp_path / "run", resume=True)
    assert same(weights(tmp_path / "run"), before)
    assert log(tmp_path / "run") == lines


def test_resuming_without_a_checkpoint_starts_at_the_beginning(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    train(whisper_folder("english"), make_manifest(), tmp_path / "run", resume=True)
    assert [line["step"] for line in log(tmp_path / "run")] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"learning_rate": 0.5}, "settings.learning_rate was 0.01, is 0.5"),
        ({"seed": 7}, "settings.seed was 0, is 7"),
        ({"spec": AdapterSpec(rank=3, alpha=4.0)}, "spec.rank was 2, is 3"),
        ({"steps": 6}, "settings.steps was 4, is 6; steps was 4, is 6"),
    ],
)
def test_resuming_another_run_is_refused(
    changes: dict[str, Any], told: str, whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path
) -> None:
    manifest = make_manifest()
    train(whisper_folder("english"), manifest, tmp_path / "run")
    before = weights(tmp_path / "run")
    with pytest.raises(TrainingError) as caught:
        train(whisper_folder("english"), manifest, tmp_path / "run", resume=True, **changes)
    assert str(caught.value) == (
        f"{tmp_path}/run/checkpoints/step-0000004: belongs to another run ({told}). Give the same settings as before, or a new folder with --out."
    )
    assert same(weights(tmp_path / "run"), before), "nothing already produced is lost"


def test_resuming_with_another_manifest_is_refused(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    train(whisper_folder("english"), make_manifest(6), tmp_path / "run")
    with pytest.raises(TrainingError, match=r"belongs to another run \(train was [0-9a-f]{64}, is [0-9a-f]{64}"):
        train(whisper_folder("english"), make_manifest(5), tmp_path / "run", resume=True)


# Bad input


def test_what_cannot_be_used_is_counted_and_named(
    whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = make_manifest(3)
    (good.folder / "text.wav").write_text("this is not audio")
    (good.folder / "empty.wav").write_bytes(b"")
    soundfile.write(good.folder / "nan.wav", np.full(16_000, np.nan, dtype=np.float32), 16_000, subtype="FLOAT")

    def row(name: str, text: str = "They went home.", duration: float = 1.0, file: str = "0.wav") -> Utterance:
        return Utterance(id=name, audio_filepath=file, duration=duration, text=text)

    manifest = Manifest(
        [
            *good,
            row("blank", text="  "),
            row("long", duration=31.0),
            row("wordy", text="the " * 500),
            row("gone", file="none.wav"),
            row("notaudio", file="text.wav"),
            row("zero", file="empty.wav"),
            row("nan", file="nan.wav"),
        ],
        folder=good.folder,
        name="train",
    )
    train(whisper_folder("english"), manifest, tmp_path / "run", steps=8)
    dropped = json.loads((tmp_path / "run" / "training.json").read_text())["dropped"]
    assert {reason: sorted(ids) for reason, ids in dropped.items()} == {
        "empty text": ["blank"],
        "longer than 30 s": ["long"],
        "text longer than the model can emit": ["wordy"],
        "audio missing": ["gone"],
        "audio not-audio": ["notaudio"],
        "audio empty": ["zero"],
        "audio not-finite": ["nan"],
    }
    assert json.loads((tmp_path / "run" / "training.json").read_text())["utterances"] == 3
    err = capsys.readouterr().err
    assert "left out of training: empty text: 1 (blank); longer than 30 s: 1 (long); text longer than the model can emit: 1 (wordy)" in err
    assert "audio missing: 1 (gone)" in err


def test_many_drops_are_counted_and_three_are_named(whisper_folder: Folder, make_manifest: MakeManifest) -> None:
    rows = [Utterance(id=f"e{number}", audio_filepath="0.wav", duration=1.0, text="") for number in range(5)]
    good = make_manifest(1)
    data = TrainingData(load(whisper_folder("english")), Manifest([*good, *rows], folder=good.folder, name="train"))
    assert str(data.dropped) == "empty text: 5 (e0, e1, e2, …)"
    assert len(data.dropped) == 5


def test_nothing_usable(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    empty = Manifest([dataclasses.replace(u, text=" ") for u in make_manifest(2)], folder=tmp_path, name="train")
    with pytest.raises(TrainingError) as caught:
        train(whisper_folder("english"), empty, tmp_path / "run")
    assert str(caught.value) == "train: none of its 2 utterances can be used: empty text: 2 (u0, u1). Check it with: speechadapt check"


def test_no_clip_can_be_read(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    """Found when they are first read; training on nothing would end with an adapter that does nothing."""
    manifest = make_manifest(2)
    for path in manifest.folder.glob("*.wav"):
        path.unlink()
    with pytest.raises(
        TrainingError, match=r"^train: none of its clips can be read: audio missing: 2 \(u\d, u\d\)\. The last one: .*no such audio file"
    ):
        train(whisper_folder("english"), manifest, tmp_path / "run")
    assert not (tmp_path / "run" / "adapter").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite(value: float, whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    model = load(whisper_folder("english"))
    loss, count = model.loss_of, iter(range(100))
    model.loss_of = lambda *given: loss(*given) * (value if next(count) == 2 else 1.0)  # type: ignore[method-assign]
    with pytest.raises(TrainingError) as caught:
        train_adapter(model, make_manifest(), spec=SPEC, settings=settings(evaluate_every=2, full_window_share=0.0), out=tmp_path / "run")
    assert str(caught.value) == (
        f"step 3: the loss is {value}, must be finite. Lower the learning rate (now 0.01) or look for broken clips with: speechadapt check --audio. "
        f"Checkpoints so far are kept in {tmp_path}/run/checkpoints."
    )
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-0000002"]
    assert [line["step"] for line in log(tmp_path / "run")] == [1, 2], "no NaN in the log"


class _PoisonedGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        return grads[0] * torch.nan


def test_a_gradient_that_is_not_finite(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    """The loss looks healthy; one step would make every weight a NaN."""
    model = load(whisper_folder("english"))
    loss = model.loss_of
    model.loss_of = lambda *given: _PoisonedGradient.apply(loss(*given))  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"^step 1: the norm of the gradient is nan, must be finite\. Lower the learning rate"):
        train_adapter(model, make_manifest(), spec=SPEC, settings=settings(), out=tmp_path / "run")


def test_a_full_disk_while_a_checkpoint_is_written(
    whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, save, count = make_manifest(), checkpoint_module.save_file, iter(range(100))

    def full(tensors: dict[str, torch.Tensor], path: Path) -> None:
        if next(count) == 3:  # the second file of the second checkpoint, after half of it was written
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(tensors, path)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint_module, "save_file", full)
        with pytest.raises(SpeechadaptError) as caught:
            train(whisper_folder("english"), manifest, tmp_path / "run", evaluate_every=2)
    assert str(caught.value) == (
        f"{tmp_path}/run/checkpoints/step-0000004: could not be written (No space left on device); what was there before is untouched. "
        "Free some space or choose another folder, then run the same command again."
    )
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-0000002"], "no temporary is left"
    train(whisper_folder("english"), manifest, tmp_path / "run", evaluate_every=2, resume=True)
    train(whisper_folder("english"), manifest, tmp_path / "whole", evaluate_every=2)
    assert same(weights(tmp_path / "run"), weights(tmp_path / "whole")), "with space again, it goes on where it was"


def test_a_checkpoint_of_another_shape(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    train(whisper_folder("english"), make_manifest(), tmp_path / "run")
    other = load(whisper_folder("english"))
    add_adapter(other, AdapterSpec(rank=5))
    path = tmp_path / "run" / "checkpoints" / "step-0000004"
    with pytest.raises(TrainingError) as caught:
        checkpoint_module.load_checkpoint(path, other.network)
    assert str(caught.value) == f"{path}: holds an adapter of another shape (64 matrices, expected 64). Start in a new folder."


def test_no_pickle_is_written(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    train(whisper_folder("english"), make_manifest(), tmp_path / "run")
    found = {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file() and "tensorboard" not in path.parts}
    assert found == {".safetensors", ".json", ".jsonl", ".md"}
