"""Adapters of CTC models: an output layer that is kept, extended or new, on disk and off it, ours and with transformers and PEFT alone."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_ctc import KINDS, write_tiny_ctc

from speechadapt.adapt.adapter import AdapterRef, add_adapter, base_fingerprint, count_parameters, load_adapter, merged, read_adapter, save_adapter
from speechadapt.adapt.card import training_card
from speechadapt.adapt.fused import fused_lora
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.data.manifest import Manifest
from speechadapt.errors import AdapterError
from speechadapt.models.ctc import CTCModel
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import DecodeSettings

if TYPE_CHECKING:
    from conftest import Tone

Folder = Callable[[str], Path]
LAYER = "wav2vec2-layer"
TEXTS = {"kept": ["they went home"], "extended": ["they höme"], "new": ["они дома"]}
"""Training texts that leave the output layer in each of its states."""


def load(folder: Path, language: str = "eng") -> CTCModel:
    model = load_model(str(folder), language=language if folder.name == "mms" else "en", device="cpu")
    assert isinstance(model, CTCModel)
    return model


def adapted(folder: Path, head: str = "kept", method: str = "lora", rank: int = 4, language: str = "eng") -> CTCModel:
    """As a training might have left it."""
    model = load(folder, language)
    torch.manual_seed(0)  # of new rows
    model.fit_vocabulary(TEXTS[head], vocabulary="new" if head == "new" else "auto")
    assert model.head == head
    add_adapter(model, AdapterSpec(rank=rank, method=method))
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.network.named_parameters():
            if "lora_A" in name or "lora_B" in name or ".modules_to_save." in name:
                parameter.add_(torch.randn(parameter.shape, generator=random) * 0.05)
    model.network.eval()
    return model


def log_probs(model: CTCModel, tone: Tone) -> torch.Tensor:
    model.network.eval()
    with torch.no_grad():
        found, _ = model.frames.log_probs(*model.frames.inputs([tone(1.0), tone(1.0, seed=1)]))
    return found


def save(model: CTCModel, folder: Path, spec: AdapterSpec | None = None) -> AdapterRef:
    return save_adapter(model, spec or AdapterSpec(rank=4), folder, train_fingerprint="f" * 64, accent="mandarin", card="# Card\n")


@pytest.mark.parametrize("head", TEXTS)
@pytest.mark.parametrize("kind", [LAYER, "wav2vec2-group", "w2v-bert"])
def test_saved_and_loaded_again(kind: str, head: str, ctc_folder: Folder, tone: Tone, tmp_path: Path) -> None:
    model = adapted(ctc_folder(kind), head)
    ref = save(model, tmp_path / "adapter")
    names = {path.name for path in (tmp_path / "adapter").iterdir()}
    own = {"README.md", "adapter_config.json", "adapter_model.safetensors", "speechadapt.json"}
    assert names == own if head == "kept" else names == own | {"vocab.json", "tokenizer_config.json", "preprocessor_config.json"}
    assert read_adapter(tmp_path / "adapter") == ref
    assert (ref.family, ref.head, ref.language, ref.task) == ("ctc", head, "en", None)
    assert (ref.trainable, ref.total) == count_parameters(model)
    other = load(ctc_folder(kind))
    assert load_adapter(other, tmp_path / "adapter") == ref
    assert other.head == head
    assert torch.equal(log_probs(other, tone), log_probs(model, tone))
    assert not any(parameter.requires_grad for parameter in other.network.parameters())
    settings = DecodeSettings(precision="fp32")
    assert [one.text for one in other.decode([tone(1.0)], settings)] == [one.text for one in model.decode([tone(1.0)], settings)]


def test_transformers_and_peft_alone_load_it_in_a_fresh_process(ctc_folder: Folder, tone: Tone, tmp_path: Path) -> None:
    """Nothing of ours is imported there. The code is the model card's own, for each family and each kind of output layer."""
    script, expected = "import sys, torch\n", []
    for kind in KINDS:
        for head, (text,) in TEXTS.items():
            model = adapted(ctc_folder(kind), head, language="swh")  # of MMS: not the language that it takes when nobody names one
            name = f"{kind}-{head}"
            save(model, tmp_path / name)
            card = training_card(model, AdapterSpec(), Manifest([], folder=tmp_path), 1, None)
            code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)[1].replace("path/to/this/folder", str(tmp_path / name))
            inputs, _ = model.frames.inputs([tone(1.0)])
            if inputs.dim() == 3:  # w2v-BERT reads two mel frames as one
                inputs = inputs.transpose(1, 2).reshape(1, inputs.shape[2] // 2, -1)
            with torch.no_grad():
                torch.save({"inputs": inputs, "expected": model.network(inputs).logits}, tmp_path / f"{name}.pt")
            script += f"""{code}
case = torch.load({str(tmp_path / f"{name}.pt")!r})
with torch.no_grad():
    found = model(case["inputs"]).logits
assert found.shape == case["expected"].shape, {name!r}
error = float((found - case["expected"]).abs().max())
assert error < 1e-5, ({name!r}, error)  # float32 rounding of logits of size one
print(tokenizer({text if head == "new" or kind == "mms" else text.upper()!r}).input_ids)
"""
            expected.append(model.make_labels(text, "u"))
    script += 'assert not any(name.startswith("speechadapt") for name in sys.modules)'
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [ast.literal_eval(ids) for ids in done.stdout.splitlines()] == expected


@pytest.mark.parametrize("head", TEXTS)
@pytest.mark.parametrize("kind", [LAYER, "conformer", "mms"])
def test_the_fingerprint_is_the_bases_with_and_without_an_adapter(kind: str, head: str, ctc_folder: Folder) -> None:
    model = load(ctc_folder(kind))
    bare = {state: base_fingerprint(model, head=state) for state in TEXTS}
    assert bare["extended"] == bare["new"] != bare["kept"], "the output layer counts only where it is kept"
    model.fit_vocabulary(TEXTS[head], vocabulary="new" if head == "new" else "auto" if kind != "mms" or head != "kept" else "keep")
    head = model.head
    assert base_fingerprint(model) == bare[head]
    add_adapter(model, AdapterSpec(rank=4, method="dora"))
    assert base_fingerprint(model) == bare[head]


def test_parameters_are_those_of_the_adapter_with_its_output_layer(ctc_folder: Folder) -> None:
    sizes = {}
    for head in TEXTS:
        model = adapted(ctc_folder(LAYER), head)
        layer = model.ctc.lm_head
        ours, total = count_parameters(model)
        assert ours == sum(parameter.numel() for parameter in model.network.parameters() if parameter.requires_grad)
        sizes[head] = (ours, total, layer.weight.numel() + layer.bias.numel())
    lora, everything, kept = sizes["kept"]
    # per layer of width 32: four attention matrices of 32 x 32 and two of 32 x 64, rank 4
    assert lora == 2 * (4 * 4 * 64 + 2 * 4 * 96)
    for head in ("extended", "new"):
        ours, total, layer_size = sizes[head]
        assert (ours, total) == (lora + layer_size, everything - kept + layer_size)


def test_the_adapter_of_another_base_is_refused_before_anything_changes(ctc_folder: Folder, tmp_path: Path) -> None:
    save(adapted(ctc_folder(LAYER), "new"), tmp_path / "adapter")
    write_tiny_ctc(LAYER, tmp_path / "other", seed=1)
    other = load(tmp_path / "other")
    with pytest.raises(AdapterError, match=r"was trained on .* \(fingerprint [0-9a-f]{12}\), the base given is .*Load it on "):
        load_adapter(other, tmp_path / "adapter")
    assert not other.adapted
    assert other.head == "kept"
    assert torch.equal(other.ctc.lm_head.weight, load_file(tmp_path / "other" / "model.safetensors")["lm_head.weight"])


def test_a_base_with_another_output_layer_serves_an_adapter_that_brings_its_own(ctc_folder: Folder, tone: Tone, tmp_path: Path) -> None:
    """So a new language trained on a fine-tuned base fits on the raw one, and the other way round; a kept layer must be the very one."""
    for head in ("kept", "new"):
        save(adapted(ctc_folder(LAYER), head), tmp_path / head)
    other = load(ctc_folder(LAYER))
    with torch.no_grad():
        other.ctc.lm_head.weight.add_(1.0)
    with pytest.raises(AdapterError, match="fingerprint"):
        load_adapter(other, tmp_path / "kept")
    load_adapter(other, tmp_path / "new")
    assert torch.equal(log_probs(other, tone), log_probs(adapted(ctc_folder(LAYER), "new"), tone))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda table: table.pop("д"), r"its output layer has 8 rows, its vocab\.json names 7 tokens, must be as many\. Copy the adapter again\."),
        (lambda table: table.update({"ж": 8}), r"its output layer has 8 rows, its vocab\.json names 9 tokens, must be as many\."),
        (lambda table: table.pop("<pad>"), r"names 7 tokens"),
        (lambda table: table.clear(), r"vocab\.json is missing or empty"),
        (lambda table: table.update({"о": table["н"], "н": table["о"]}), r"vocab\.json: missing or not the one that was saved with the weights"),
    ],
)
def test_a_vocabulary_that_does_not_match_its_output_layer(
    damage: Callable[[dict[str, int]], object], told: str, ctc_folder: Folder, tmp_path: Path
) -> None:
    save(adapted(ctc_folder(LAYER), "new"), tmp_path / "adapter")
    path = tmp_path / "adapter" / "vocab.json"
    table = json.loads(path.read_text())
    damage(table)
    path.write_text(json.dumps(table))
    model = load(ctc_folder(LAYER))
    with pytest.raises(AdapterError, match=told):
        load_adapter(model, tmp_path / "adapter")
    assert not model.adapted


def test_an_adapter_whose_vocabulary_is_gone(ctc_folder: Folder, tmp_path: Path) -> None:
    save(adapted(ctc_folder(LAYER), "extended"), tmp_path / "adapter")
    (tmp_path / "adapter" / "vocab.json").unlink()
    with pytest.raises(AdapterError, match=r"vocab\.json is missing"):
        load_adapter(load(ctc_folder(LAYER)), tmp_path / "adapter")


def test_facts_of_before_there_were_output_layers_to_tell_apart(ctc_folder: Folder, tmp_path: Path) -> None:
    ref = save(adapted(ctc_folder(LAYER)), tmp_path / "adapter")
    path = tmp_path / "adapter" / "speechadapt.json"
    row = json.loads(path.read_text())
    del row["head"], row["side_files"], row["spec"]["vocabulary"], row["spec"]["rare"]
    path.write_text(json.dumps(row))
    assert read_adapter(tmp_path / "adapter") == dataclasses.replace(ref, side_files={})
    path.write_text(json.dumps(row | {"head": "odd"}))
    with pytest.raises(AdapterError, match=r"a field is missing or wrong \('head'\)"):
        read_adapter(tmp_path / "adapter")


# Inside the weights


@pytest.mark.parametrize("kind", [*KINDS, "raw"])
def test_merged_equals_attached_and_goes_back_bit_by_bit(kind: str, ctc_folder: Folder, tone: Tone) -> None:
    head = "new" if kind in ("raw", "mms") else "extended"
    bare = load(ctc_folder(kind))
    torch.manual_seed(0)
    bare.fit_vocabulary(TEXTS[head], vocabulary="new" if head == "new" else "auto")
    model = adapted(ctc_folder(kind), head)
    attached = log_probs(model, tone)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    assert (attached - log_probs(bare, tone)).abs().max() > 0.05, "the adapter does something, so that this test could fail"
    with merged(model):
        torch.testing.assert_close(log_probs(model, tone), attached, atol=1e-3, rtol=1e-4)  # float32, other order of sums
    assert torch.equal(log_probs(model, tone), attached)
    after = model.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("kind", KINDS)
def test_the_fused_forward_gives_the_values_and_gradients_of_peft(kind: str, ctc_folder: Folder, tone: Tone) -> None:
    model = adapted(ctc_folder(kind), "new")
    clips = [tone(0.8), tone(0.6, seed=1)]
    batch = model.make_batch(["a", "b"], clips, [model.make_labels("они", "a"), model.make_labels("дома", "b")], window_seconds=None)

    def run() -> dict[str, torch.Tensor]:
        model.network.zero_grad()
        loss = model.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        found = {name: parameter.grad.clone() for name, parameter in model.network.named_parameters() if parameter.grad is not None}
        return found | {"loss": loss.detach()}

    plain = run()
    with fused_lora(model.network) as layers:
        fused = run()
    assert layers == sum("lora_A" in name for name in plain), "every adapted matrix of a CTC network is a plain one"
    assert fused.keys() == plain.keys()
    for name, value in plain.items():
        torch.testing.assert_close(fused[name], value, atol=1e-4 * float(value.abs().max()) + 1e-7, rtol=1e-3)


def test_the_cards_code_makes_the_output_layer_in_its_size(ctc_folder: Folder, tmp_path: Path) -> None:
    cards = {head: training_card(adapted(ctc_folder(LAYER), head), AdapterSpec(), Manifest([], folder=tmp_path), 1, None) for head in TEXTS}
    base = str(ctc_folder(LAYER))
    assert f'AutoModelForCTC.from_pretrained("{base}")' in cards["kept"]
    assert f'Wav2Vec2CTCTokenizer.from_pretrained("{base}")' in cards["kept"]
    assert f'AutoModelForCTC.from_pretrained("{base}", vocab_size=33, ignore_mismatched_sizes=True)' in cards["extended"]
    assert f'AutoModelForCTC.from_pretrained("{base}", vocab_size=8, ignore_mismatched_sizes=True)' in cards["new"]
    assert 'Wav2Vec2CTCTokenizer.from_pretrained("path/to/this/folder")' in cards["new"]
    assert all("WhisperFor" not in card for card in cards.values())


def test_a_second_adapter_is_refused(ctc_folder: Folder) -> None:
    model = adapted(ctc_folder(LAYER))
    with pytest.raises(AdapterError, match="has an adapter inside already"):
        add_adapter(model, AdapterSpec())


def test_silence_of_a_single_sample_is_transcribed(ctc_folder: Folder) -> None:
    (heard,) = adapted(ctc_folder(LAYER), "new").decode([np.zeros(1, np.float32)], DecodeSettings())
    assert isinstance(heard.text, str)
