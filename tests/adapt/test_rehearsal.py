"""Rehearsal: how far an adapter moves away from its base on what the base knows already, and what holds it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_ctc import edit_json, write_tiny_ctc
from trained import log, same, weights

from speechadapt.adapt.adapter import add_adapter
from speechadapt.adapt.fused import fused_lora
from speechadapt.adapt.rehearsal import Rehearsal, divergence, take_positions, take_rows
from speechadapt.adapt.spec import AdapterSpec, FamilySettings, TrainSettings
from speechadapt.adapt.train import TrainingData, make_training_batches, train_adapter
from speechadapt.audio.batching import Batch
from speechadapt.data.manifest import Manifest
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import Predictions, SpeechModel

Folder = Callable[[str], Path]
MakeManifest = Callable[..., Manifest]
SPEC = AdapterSpec(rank=4, alpha=8.0)
LAYER = "wav2vec2-layer"


def settings(**changes: Any) -> FamilySettings:
    given = {"steps": 6, "batch_seconds": 10.0, "learning_rate": 1e-2, "precision": "fp32", "speed_perturb": (1.0,), "time_masks": 0}
    return TrainSettings(**(given | changes)).for_family("ctc")


def load(folder: Path) -> SpeechModel:
    return load_model(str(folder), language="en", device="cpu")


def first_batch(model: SpeechModel, manifest: Manifest) -> Batch:
    data = TrainingData(model, manifest)
    (batch,) = make_training_batches(model, data, range(len(data.rows)), 0, settings())
    return batch


def moved_adapter(model: SpeechModel, spec: AdapterSpec = SPEC) -> None:
    """An adapter that is no longer where it began, with gradients on."""
    add_adapter(model, spec, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.network.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)


def test_the_divergence_is_that_of_kullback_and_leibler() -> None:
    base = torch.tensor([[0.5, 0.25, 0.25], [0.9, 0.05, 0.05]])
    ours = torch.tensor([[0.25, 0.5, 0.25], [0.9, 0.05, 0.05]])
    by_hand = 0.5 * torch.log(torch.tensor(2.0)) + 0.25 * torch.log(torch.tensor(0.5))
    # logits are known up to a constant of each position
    asked = [Predictions(logits=table.log() + shift, lengths=(2,)) for table, shift in ((base, 3.0), (ours, -1.0))]
    assert float(divergence(*asked)) == pytest.approx(float(by_hand), abs=1e-6)
    assert float(divergence(asked[0], asked[0])) == pytest.approx(0.0, abs=1e-6)


def test_tokens_the_base_does_not_know_count_against_the_adapted_model() -> None:
    base = Predictions(logits=torch.tensor([[0.0, 0.0, 9.0]]), lengths=(1,))  # a row of its own that was never trained
    ours = Predictions(logits=torch.tensor([[0.5, 0.25, 0.25]]).log(), lengths=(1,))
    expected = 0.5 * torch.log(torch.tensor(0.5 / 0.5)) + 0.5 * torch.log(torch.tensor(0.5 / 0.25))
    assert float(divergence(base, ours, 2)) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("kind", [LAYER, "w2v-bert"])
def test_within_the_block_the_model_is_its_base(kind: str, ctc_folder: Folder, make_manifest: MakeManifest) -> None:
    model = load(ctc_folder(kind))
    batch = first_batch(model, make_manifest(3))
    model.network.eval()
    with torch.no_grad():
        expected = model.predict(batch).logits
    moved_adapter(model)
    model.network.train()
    trained = {name for name, parameter in model.network.named_parameters() if parameter.requires_grad}
    rehearsal = Rehearsal(model, settings(), ())
    for context in (fused_lora(model.network), None):
        if context is not None:
            context.__enter__()
        with rehearsal.base():
            inside = model.predict(batch).logits
        assert torch.equal(inside, expected)
        assert not inside.requires_grad
        assert model.network.training
        assert {name for name, parameter in model.network.named_parameters() if parameter.requires_grad} == trained
        assert not torch.equal(model.predict(batch).logits, expected), "and afterwards the adapter is back"
        if context is not None:
            context.__exit__(None, None, None)


def test_an_output_layer_with_new_rows_is_compared_by_its_old_ones(ctc_folder: Folder, make_manifest: MakeManifest) -> None:
    model = load(ctc_folder(LAYER))
    before = model.kept_tokens
    manifest = make_manifest(2)
    accented = Manifest([u.__class__.from_json(u.to_json() | {"text": "né à nô"}, "x") for u in manifest], folder=manifest.folder, name="train")
    known = len(model.vocabulary)  # type: ignore[attr-defined]
    model.fit_vocabulary([u.text for u in accented], vocabulary="extend")
    assert (before, model.kept_tokens) == (None, known)
    model.fit_vocabulary([u.text for u in accented], vocabulary="new")
    assert model.kept_tokens == 0


def test_only_replayed_rows_count(ctc_folder: Folder, make_manifest: MakeManifest) -> None:
    model = load(ctc_folder(LAYER))
    batch = first_batch(model, make_manifest(4))
    moved_adapter(model)
    model.network.eval()
    chosen = [batch.ids.index("u1"), batch.ids.index("u3")]
    loss, moved = Rehearsal(model, settings(), {"u1", "u3", "of another batch"}).loss(batch)
    assert moved is not None
    assert torch.equal(loss, model.loss(batch))
    tokens = int((batch.labels != -100).sum())
    with Rehearsal(model, settings(), ()).base():
        base = model.predict(batch)
    with torch.no_grad():
        adapted = model.predict(batch)
    expected = float(divergence(take_positions(base, chosen), take_positions(adapted, chosen))) / tokens
    assert expected > 1e-3
    assert float(moved.detach()) == pytest.approx(expected, rel=1e-4)
    assert take_rows(batch, chosen).ids == ("u1", "u3")
    assert Rehearsal(model, settings(), ()).loss(batch)[1] is None
    assert Rehearsal(model, settings(replay_divergence=0.0), {"u1"}).loss(batch)[1] is None


def trained(folder: Path, manifest: Manifest, out: Path, *, spec: AdapterSpec = SPEC, resume: bool = False, **changes: Any) -> SpeechModel:
    model = load(folder)
    train_adapter(model, manifest, spec=spec, settings=settings(**changes), out=out, replayed={"u0", "u1", "u2"}, resume=resume)
    return model


def test_the_weight_holds_the_adapter_near_its_base(tmp_path: Path, make_manifest: MakeManifest) -> None:
    write_tiny_ctc(LAYER, tmp_path / "base")
    parts = ("hidden", "attention", "activation", "feat_proj", "final")
    edit_json(tmp_path / "base" / "config.json", **{f"{part}_dropout": 0.0 for part in parts})
    manifest = make_manifest(6)
    rows = {"u0", "u1", "u2"}
    distance = {}
    for weight in (0.0, 1.0, 20.0):
        model = trained(tmp_path / "base", manifest, tmp_path / f"{weight}", replay_divergence=weight, steps=30)
        lines = log(tmp_path / f"{weight}")
        assert all(("divergence" in line) == bool(weight) for line in lines)
        _, moved = Rehearsal(model, settings(), rows).loss(first_batch(model, manifest))
        assert moved is not None
        distance[weight] = float(moved.detach())
    assert distance[20.0] < 0.5 * distance[1.0] < 0.5 * distance[0.0]


def test_a_resumed_run_ends_with_the_same_adapter(tmp_path: Path, ctc_folder: Folder, make_manifest: MakeManifest) -> None:
    """Asking the base draws no chance of its own; a base with dropout would show it."""
    manifest = make_manifest(6)
    trained(ctc_folder(LAYER), manifest, tmp_path / "whole", evaluate_every=2)
    trained(ctc_folder(LAYER), manifest, tmp_path / "cut", evaluate_every=2)
    for checkpoint in sorted((tmp_path / "cut" / "checkpoints").iterdir())[1:]:
        for file in checkpoint.iterdir():
            file.unlink()
        checkpoint.rmdir()
    trained(ctc_folder(LAYER), manifest, tmp_path / "cut", evaluate_every=2, resume=True)
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    assert [line["divergence"] for line in log(tmp_path / "cut")] == [line["divergence"] for line in log(tmp_path / "whole")]


def test_parts_of_a_batch_give_the_same_divergence(tmp_path: Path, make_manifest: MakeManifest) -> None:
    write_tiny_ctc(LAYER, tmp_path / "base")
    edit_json(tmp_path / "base" / "config.json", **{f"{part}_dropout": 0.0 for part in ("hidden", "attention", "activation", "feat_proj", "final")})
    manifest = make_manifest(6)
    for parts in (1, 3):
        trained(tmp_path / "base", manifest, tmp_path / f"{parts}", accumulate=parts, steps=3, average_decay=0.0)
    one, three = ([line["divergence"] for line in log(tmp_path / f"{parts}")] for parts in (1, 3))
    assert one[0] == pytest.approx(0.0, abs=1e-6), "an adapter begins as its base"
    assert three[1:] == pytest.approx(one[1:], rel=1e-3)


def test_a_new_output_layer_has_no_base_to_stay_near_to(ctc_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    trained(ctc_folder(LAYER), make_manifest(4), tmp_path / "run", spec=AdapterSpec(rank=4, vocabulary="new"), steps=2)
    assert all("divergence" not in line for line in log(tmp_path / "run"))


def test_whisper_stays_near_its_base_when_it_is_asked_to(whisper_folder: Folder, make_manifest: MakeManifest, tmp_path: Path) -> None:
    model = load(whisper_folder("english"))
    chosen = TrainSettings(steps=3, batch_seconds=10.0, replay_divergence=1.0, precision="fp32")
    train_adapter(model, make_manifest(4), spec=SPEC, settings=chosen, out=tmp_path / "run", replayed={"u0", "u2"})
    moved = [line["divergence"] for line in log(tmp_path / "run")]
    assert moved[0] == pytest.approx(0.0, abs=1e-5)
    assert moved[-1] > 0
