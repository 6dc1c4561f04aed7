"""The same training loop on CTC models: vocabularies, limits of clips, kills and resumes with a new output layer, and a model that stops learning."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_ctc import KINDS, edit_json, write_tiny_ctc
from trained import log, same, weights

from speechadapt.adapt.adapter import add_adapter, read_adapter
from speechadapt.adapt.checkpoint import newest_checkpoint, trainable
from speechadapt.adapt.spec import AdapterSpec, FamilySettings, TrainSettings
from speechadapt.adapt.train import TrainingData, make_training_batches, plan_steps, recompute_activations, split_batch, train_adapter
from speechadapt.audio.waveform import read_waveform
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import TrainingError
from speechadapt.models.ctc import CTCModel
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import DecodeSettings, SpeechModel

Folder = Callable[[str], Path]
MakeManifest = Callable[..., Manifest]

SPEC = AdapterSpec(rank=2, alpha=4.0)
NEW = AdapterSpec(rank=2, alpha=4.0, vocabulary="new")
QUIET = {"speed_perturb": (1.0,), "time_masks": 0, "freq_masks": 0}
"""No augmentation, for tests that compare numbers."""
LAYER = "wav2vec2-layer"


def load(folder: Path) -> CTCModel:
    model = load_model(str(folder), language="eng" if folder.name == "mms" else "en", device="cpu")
    assert isinstance(model, CTCModel)
    return model


def settings(**changes: Any) -> FamilySettings:
    given = {"steps": 4, "batch_seconds": 4.0, "learning_rate": 1e-2, "precision": "fp32"} | changes
    return TrainSettings(**given).for_family("ctc")


def train(
    folder: Path, manifest: Manifest, out: Path, *, spec: AdapterSpec = SPEC, validate: Any = None, resume: bool = False, **changes: Any
) -> CTCModel:
    model = load(folder)
    train_adapter(model, manifest, spec=spec, settings=settings(**changes), out=out, validate=validate, resume=resume)
    return model


def facts(out: Path) -> dict[str, Any]:
    found = json.loads((out / "training.json").read_text())
    assert isinstance(found, dict)
    return found


def base_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights and buffers of the base, under the names they have without an adapter."""
    return {
        name.removeprefix("base_model.model.").replace(".base_layer.", ".").replace(".original_module.", "."): value.detach().clone()
        for name, value in network.state_dict().items()
        if "lora_" not in name and ".modules_to_save." not in name
    }


# Learning


@pytest.mark.parametrize("kind", [*KINDS, "raw", "raw-w2v-bert"])
def test_every_family_trains_every_matrix_and_leaves_its_base_alone(
    kind: str, ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path
) -> None:
    """An adapter that a family's attention never calls, or batch norms that go on averaging, would pass unnoticed."""
    before = base_state(load(ctc_folder(kind)).network)
    spec = NEW if kind == "mms" or kind.startswith("raw") else SPEC
    model = train(ctc_folder(kind), make_manifest(3), tmp_path / "run", spec=spec, steps=2, average_decay=0.0)
    after = base_state(model.network)
    assert after.keys() == before.keys()
    changed = [name for name, value in before.items() if not name.startswith("lm_head.") and not torch.equal(after[name], value)]
    assert not changed
    saved = weights(tmp_path / "run")
    assert not [name for name, weight in saved.items() if "lora_B" in name and not weight.abs().max() > 0], "without a gradient B stays zero"
    assert len([name for name in saved if "lora_B" in name]) >= 4


@pytest.fixture
def without_dropout(tmp_path: Path) -> Folder:
    """Published bases keep their dropout in fine-tuning; tests that compare numbers must not."""

    def make(kind: str) -> Path:
        write_tiny_ctc(kind, tmp_path / kind)
        parts = ("hidden", "attention", "activation", "feat_proj", "final", "conformer_conv", "adaptor")
        edit_json(tmp_path / kind / "config.json", **{f"{part}_dropout": 0.0 for part in parts})
        return tmp_path / kind

    return make


def test_one_batch_can_be_learned_by_heart(without_dropout: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    changes = {"steps": 120, "batch_seconds": 10.0, "learning_rate": 2e-2, "average_decay": 0.0, **QUIET}
    manifest = make_manifest(1)
    model = train(without_dropout("w2v-bert"), manifest, tmp_path / "run", spec=AdapterSpec(rank=16, vocabulary="new"), **changes)
    losses = [line["loss"] for line in log(tmp_path / "run")]
    assert losses[0] > 2.5, "by chance"
    assert losses[-1] < 0.5
    (heard,) = model.decode([read_waveform(manifest.audio_path(manifest[0]))], DecodeSettings(precision="fp32"))
    assert heard.text == "they went home"


def test_accumulating_equals_one_batch(without_dropout: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    """CTC's loss is a sum over letters, so parts of unequal numbers of them must be weighted."""
    manifest, base = make_manifest(), without_dropout(LAYER)
    for name, parts in (("one", 1), ("three", 3)):
        train(base, manifest, tmp_path / name, steps=2, batch_seconds=10.0, accumulate=parts, average_decay=0.0, **QUIET)
    # sums in another order
    assert [line["loss"] for line in log(tmp_path / "three")] == pytest.approx([line["loss"] for line in log(tmp_path / "one")], rel=1e-4)


@pytest.mark.parametrize("kind", [LAYER, "conformer", "w2v-bert"])
def test_gradient_checkpointing_gives_equal_gradients(kind: str, ctc_folder: Folder, make_manifest: MakeManifest) -> None:
    manifest = make_manifest(3)
    plain, saved = (_gradients(load(ctc_folder(kind)), manifest, checkpointing) for checkpointing in (False, True))
    assert plain.keys() == saved.keys()
    assert any(".layers.0." in name and value.abs().max() > 0 for name, value in saved.items())
    for name, value in plain.items():
        torch.testing.assert_close(saved[name], value, atol=1e-5 * float(value.abs().max()), rtol=1e-4)


def _gradients(model: CTCModel, manifest: Manifest, checkpointing: bool) -> dict[str, torch.Tensor]:
    add_adapter(model, SPEC)
    with torch.no_grad():  # A has no gradient while B is zero
        for name, parameter in model.network.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.05)
    if checkpointing:
        recompute_activations(model.network)
    model.network.train()
    (batch,) = make_training_batches(model, TrainingData(model, manifest), range(3), 0, settings(**QUIET))
    torch.manual_seed(0)
    model.loss(batch).backward()  # type: ignore[no-untyped-call]
    return {name: parameter.grad for name, parameter in trainable(model.network).items() if parameter.grad is not None}


def test_one_batch_per_step_padded_to_its_longest_clip(ctc_folder: Folder, make_manifest: MakeManifest) -> None:
    """There is no window to fill: neither a margin nor 30 s of silence."""
    model = load(ctc_folder(LAYER))
    data = TrainingData(model, make_manifest())
    (batch,) = make_training_batches(model, data, range(6), 0, settings(full_window_share=1.0, margin_seconds=20.0, **QUIET))
    assert batch.inputs.shape == (6, round(1.6 * 16_000))
    assert batch.input_lengths.tolist() == [round(seconds * 16_000) for seconds in (0.6, 0.8, 1.0, 1.2, 1.4, 1.6)]
    parts = list(split_batch(batch, 2))
    assert [part.ids for part in parts] == [batch.ids[:3], batch.ids[3:]]


def test_chance_depends_on_seed_and_step_alone(ctc_folder: Folder, make_manifest: MakeManifest) -> None:
    model = load(ctc_folder(LAYER))
    data = TrainingData(model, make_manifest())

    def inputs(step: int, **changes: Any) -> torch.Tensor:
        return make_training_batches(model, data, [0, 1, 2], step, settings(**changes))[0].inputs

    first = inputs(3)
    torch.manual_seed(99)
    assert torch.equal(inputs(3), first)
    for other in (inputs(4), inputs(3, seed=1)):
        assert other.shape != first.shape or not torch.equal(other, first)


# Vocabularies


def with_texts(manifest: Manifest, *texts: str) -> Manifest:
    rows = [dataclasses.replace(row, text=texts[place % len(texts)]) for place, row in enumerate(manifest)]
    return Manifest(rows, folder=manifest.folder, name="train")


def test_a_vocabulary_that_covers_the_texts_is_kept(ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    model = train(ctc_folder(LAYER), make_manifest(3), tmp_path / "run")
    assert (model.head, facts(tmp_path / "run")["head"]) == ("kept", "kept")
    assert not [name for name in weights(tmp_path / "run") if "lm_head" in name]
    assert read_adapter(tmp_path / "run" / "adapter").head == "kept"
    assert not (tmp_path / "run" / "adapter" / "vocab.json").exists()


def test_an_extended_vocabulary_starts_from_the_old_rows_and_trains_them_in_the_adapter(
    ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = with_texts(make_manifest(3), "they höme", "no öl")
    old = load_file(ctc_folder(LAYER) / "model.safetensors")["lm_head.weight"]
    model = load(ctc_folder(LAYER))
    model.fit_vocabulary([row.text for row in manifest])
    assert torch.equal(model.ctc.lm_head.weight[: len(old)], old)
    model = train(ctc_folder(LAYER), manifest, tmp_path / "run", average_decay=0.0)
    told = facts(tmp_path / "run")["vocabulary"]
    assert len(told) == 1
    assert "extended by 1 character" in told[0]
    assert "Ö" in told[0]
    assert told[0] in capsys.readouterr().err
    trained = weights(tmp_path / "run")["base_model.model.lm_head.weight"]
    assert trained.shape == (len(old) + 1, old.shape[1])
    assert not torch.equal(trained[: len(old)], old), "the whole layer is trained"
    untouched = model.network.get_parameter("base_model.model.lm_head.original_module.weight")
    assert torch.equal(untouched[: len(old)], old), "and the base's rows are not"
    ref = read_adapter(tmp_path / "run" / "adapter")
    assert ref.head == facts(tmp_path / "run")["head"] == "extended"
    assert json.loads((tmp_path / "run" / "adapter" / "vocab.json").read_text())["Ö"] == len(old)


def test_rare_characters_are_left_out_and_their_texts_counted(
    ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = with_texts(make_manifest(6), "they went home", "they wöñt home", "they wönt home")
    train(ctc_folder(LAYER), manifest, tmp_path / "run", spec=AdapterSpec(rank=2, rare=3))
    found = facts(tmp_path / "run")
    assert found["head"] == "extended"
    assert found["dropped"] == {"characters outside the vocabulary": ["u1", "u4"]}
    assert found["utterances"] == 4
    err = capsys.readouterr().err
    assert "left out of training: characters outside the vocabulary: 2 (u1, u4)" in err
    assert any("Ñ (2 times)" in sentence for sentence in found["vocabulary"])


def test_text_outside_a_vocabulary_that_must_be_kept(ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    keep = AdapterSpec(rank=2, vocabulary="keep")
    train(ctc_folder(LAYER), with_texts(make_manifest(4), "они дома", "they went home"), tmp_path / "some", spec=keep)
    assert facts(tmp_path / "some")["dropped"] == {"characters outside the vocabulary": ["u0", "u2"]}
    with pytest.raises(TrainingError, match=r"none of their characters is among the base's 27.*Set vocabulary=extend or new"):
        train(ctc_folder(LAYER), with_texts(make_manifest(2), "они дома"), tmp_path / "none", spec=keep)
    assert not (tmp_path / "none").exists(), "nothing was begun"


def test_a_base_without_an_output_layer_gets_one_from_the_training_text_alone(
    ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path
) -> None:
    train(ctc_folder("raw"), with_texts(make_manifest(3), "abc ab"), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "adapter" / "vocab.json").read_text()) == {"<pad>": 0, "|": 1, "a": 2, "b": 3, "c": 4}
    assert read_adapter(tmp_path / "run" / "adapter").head == "new"
    with pytest.raises(TrainingError, match="vocabulary is keep, but the base has no output layer"):
        train(ctc_folder("raw"), make_manifest(1), tmp_path / "kept", spec=AdapterSpec(rank=2, vocabulary="keep"))


@pytest.mark.parametrize("vocabulary", ["auto", "new"])
def test_a_probe_before_training_changes_nothing(vocabulary: str, ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = with_texts(make_manifest(3), "they höme")
    spec = AdapterSpec(rank=2, vocabulary=vocabulary)
    train(ctc_folder("raw" if vocabulary == "new" else LAYER), manifest, tmp_path / "plain", spec=spec)
    model = load(ctc_folder("raw" if vocabulary == "new" else LAYER))
    planned = plan_steps(model, manifest, settings(), 1.0, spec=spec, probe_steps=1)
    assert planned.steps is not None
    assert not model.adapted
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    train_adapter(model, manifest, spec=spec, settings=settings(), out=tmp_path / "probed")
    assert same(weights(tmp_path / "probed"), weights(tmp_path / "plain"))
    assert facts(tmp_path / "probed") == facts(tmp_path / "plain")


# Clips and their labels


def test_what_cannot_be_learned_is_counted_by_its_reason(ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    good = make_manifest(3)

    def row(name: str, text: str = "they went home", duration: float = 0.6) -> Utterance:
        return Utterance(id=name, audio_filepath="0.wav", duration=duration, text=text)

    manifest = Manifest(
        [
            *good,
            row("blank", text="  "),
            row("marks", text="?!"),
            row("long", duration=31.0),
            row("short", duration=0.02, text="a"),
            row("fast", text="they went home and never came back to the village"),
            row("twins", text="a" * 20),  # 29 frames, of which equal neighbours need 39
        ],
        folder=good.folder,
        name="train",
    )
    train(ctc_folder(LAYER), manifest, tmp_path / "run")
    assert facts(tmp_path / "run")["dropped"] == {
        "empty text": ["blank", "marks"],
        "longer than 30 s": ["long"],
        "shorter than 0.025 s, which the model needs for one frame": ["short"],
        "more letters than frames": ["fast", "twins"],
    }


def test_a_clip_that_is_shorter_than_its_manifest_says_is_found_when_read(
    ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path, write_tone: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = make_manifest(3)
    write_tone(manifest.folder / "1.wav", 0.1)
    text = "a longer sentence with a comma"
    rows = [dataclasses.replace(row, text=text if row.id == "u1" else row.text) for row in manifest]
    train(ctc_folder(LAYER), Manifest(rows, folder=manifest.folder, name="train"), tmp_path / "run", steps=6)
    ((reason, ids),) = facts(tmp_path / "run")["dropped"].items()
    assert ids == ["u1"]
    assert f"left out of training: {reason}: 1 (u1)" in capsys.readouterr().err


def test_a_clip_that_another_speed_would_make_useless_keeps_its_own(ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    """0.6 s are 29 frames: enough for 25 letters, and at twice the speed not any more."""
    model = load(ctc_folder(LAYER))
    data = TrainingData(model, with_texts(make_manifest(2), "abcdefghijklmnopqrstuvwxy", "abc"))
    for step in range(4):
        (batch,) = make_training_batches(model, data, [0, 1], step, settings(speed_perturb=(2.0,)))
        assert batch.input_lengths.tolist() == [9600, 6400]
    (batch,) = make_training_batches(model, data, [0, 1], 0, settings(speed_perturb=(0.5,)))
    assert batch.input_lengths.tolist() == [19200, 25600]


def test_an_infinite_loss_is_counted_told_and_kept_over_a_resume(
    ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`unusable` leaves no way to one, so it is switched off here."""
    manifest = with_texts(make_manifest(3), "they went home", "they went home and never came back to the village again", "no")

    def run(out: Path, *, resume: bool, stop: int | None = None) -> None:
        model = load(ctc_folder(LAYER))
        model.unusable = lambda samples, labels: None  # type: ignore[method-assign]

        def validate(_: SpeechModel) -> float:
            if stop is not None and len(log(out)) >= stop:
                raise KeyboardInterrupt
            return 1.0

        train_adapter(model, manifest, spec=SPEC, settings=settings(evaluate_every=1, **QUIET), out=out, validate=validate, resume=resume)

    run(tmp_path / "whole", resume=False)
    found = facts(tmp_path / "whole")
    assert found["infinite"] == {"u1": 4}, "one batch holds all three clips, in each of four steps"
    assert "infinite loss, counted as 0: 4 times, of 1 utterances (u1)" in capsys.readouterr().err
    assert all(line["loss"] > 0 for line in log(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", resume=False, stop=3)
    run(tmp_path / "cut", resume=True)
    assert facts(tmp_path / "cut") == found


def test_a_model_that_writes_nothing_any_more_stops_with_advice_and_keeps_its_checkpoints(
    ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path
) -> None:
    model = load(ctc_folder(LAYER))
    with torch.no_grad():
        model.ctc.lm_head.bias[model.vocabulary.blank] += 200.0  # type: ignore[union-attr]
    with pytest.raises(TrainingError) as caught:
        train_adapter(model, make_manifest(6), spec=SPEC, settings=settings(steps=12, batch_seconds=10.0, evaluate_every=4), out=tmp_path / "run")
    assert "it has collapsed to blanks. Lower the learning rate" in str(caught.value)
    assert str(caught.value).startswith("step ")
    assert str(caught.value).endswith(f"Checkpoints so far are kept in {tmp_path}/run/checkpoints.")
    assert newest_checkpoint(tmp_path / "run" / "checkpoints") is not None
    assert not (tmp_path / "run" / "adapter").exists()


def test_a_new_output_layer_that_writes_nothing_at_the_end_is_told(
    ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("speechadapt.models.ctc.COLLAPSED_SHARE", 1000)  # whatever a random model writes counts as nothing
    train(ctc_folder("raw"), make_manifest(6), tmp_path / "run", spec=NEW, steps=12, batch_seconds=10.0, evaluate_every=6)
    assert "its new output layer does not write yet. Train longer" in facts(tmp_path / "run")["symptom"]
    assert "at the end, over 6 batches the model wrote" in capsys.readouterr().err
    assert (tmp_path / "run" / "adapter").is_dir()


# Killed and resumed

KILLED = """
from pathlib import Path
from speechadapt.adapt.spec import AdapterSpec, TrainSettings
from speechadapt.adapt.train import train_adapter
from speechadapt.data.manifest import Manifest
from speechadapt.models.load import load_model
import torch
torch.set_num_threads({threads})
train_adapter(
    load_model({folder!r}, language="en", device="cpu"), Manifest.read({manifest!r}),
    spec=AdapterSpec(rank=2, alpha=4.0, dropout=0.1, vocabulary={vocabulary!r}),
    settings=TrainSettings(steps=2000, batch_seconds=2.0, learning_rate=1e-3, evaluate_every=5), out=Path({out!r}),
)
"""


@pytest.mark.parametrize(("kind", "vocabulary"), [("w2v-bert", "new"), pytest.param("wav2vec2-group", "auto", marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_to_the_same_adapter(
    kind: str, vocabulary: str, ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path
) -> None:
    """As for Whisper, with an output layer that is extended or new: its weights and moments are in the checkpoint too."""
    manifest = with_texts(make_manifest(), "they höme", "no", "a longer sentence")
    manifest.write(manifest.folder / "train.jsonl")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    script = KILLED.format(
        folder=str(ctc_folder(kind)),
        manifest=str(manifest.folder / "train.jsonl"),
        out=str(killed),
        vocabulary=vocabulary,
        threads=torch.get_num_threads(),
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
    reached = newest_checkpoint(killed / "checkpoints")
    assert reached is not None
    stop = int(reached.name.removeprefix("step-")) + 10
    chosen = TrainSettings(steps=2000, batch_seconds=2.0, learning_rate=1e-3, evaluate_every=5)
    spec = AdapterSpec(rank=2, alpha=4.0, dropout=0.1, vocabulary=vocabulary)

    def run(out: Path, resume: bool) -> None:
        def validate(_: SpeechModel) -> float:
            if len(log(out)) >= stop:
                raise KeyboardInterrupt
            return 1.0

        with pytest.raises(KeyboardInterrupt):
            train_adapter(load(ctc_folder(kind)), manifest, spec=spec, settings=chosen, out=out, validate=validate, resume=resume)

    run(killed, resume=True)
    run(whole, resume=False)
    for name in ("adapter.safetensors", "optimizer.safetensors"):
        left, right = (load_file(out / "checkpoints" / f"step-{stop - 5:07d}" / name) for out in (killed, whole))
        assert same(left, right), name
        assert any("lm_head" in key for key in left)
    keys = ("step", "loss", "lr", "audio_seconds")
    assert [{key: line[key] for key in keys} for line in log(killed)] == [{key: line[key] for key in keys} for line in log(whole)]
