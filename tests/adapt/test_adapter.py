"""Adapters: what they change and what they must not, on disk and off it."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from peft import PeftModel
from tiny_whisper import write_tiny_whisper
from transformers import WhisperForConditionalGeneration

from speechadapt.adapt.adapter import (
    AdapterRef,
    add_adapter,
    base_fingerprint,
    count_parameters,
    load_adapter,
    merged,
    read_adapter,
    save_adapter,
)
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.audio.features import log_mel
from speechadapt.errors import AdapterError
from speechadapt.models.load import load_model
from speechadapt.models.whisper import WhisperDecoder, WhisperModel
from speechadapt.transcriber import Transcriber

if TYPE_CHECKING:
    from conftest import Tone

Folder = Callable[[str], Path]
METHODS = ("lora", "rslora", "dora")


def load(folder: Path) -> WhisperModel:
    model = load_model(str(folder), device="cpu")
    assert isinstance(model, WhisperModel)
    return model


def stir(model: WhisperModel, seed: int = 0) -> None:
    """Give an adapter weights that a training might have left."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.network.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.05)


def states(model: WhisperModel, tone: Tone) -> torch.Tensor:
    with torch.inference_mode():
        return model.encode(log_mel([tone(1.0)], model.mels, 104))


def logits(network: torch.nn.Module, tone: Tone) -> torch.Tensor:
    network.eval()
    with torch.inference_mode():
        fed = torch.tensor([[50257, 50362, 400, 500, 600]])
        found: torch.Tensor = network(input_features=log_mel([tone(1.0)], 80, 3000), decoder_input_ids=fed).logits
    return found


def base_weights(model: WhisperModel) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix("base_model.model.").replace(".base_layer.", "."): parameter.detach().clone()
        for name, parameter in model.network.named_parameters()
        if "lora_" not in name
    }


def save(model: WhisperModel, spec: AdapterSpec, folder: Path) -> AdapterRef:
    return save_adapter(model, spec, folder, train_fingerprint="f" * 64, accent="mandarin", card="# Card\n")


@pytest.mark.parametrize("method", METHODS)
def test_a_fresh_adapter_changes_nothing(method: str, whisper_folder: Folder, tone: Tone) -> None:
    model = load(whisper_folder("english"))
    before = states(model, tone)
    add_adapter(model, AdapterSpec(method=method, rank=4))
    # B is zero, so lora adds exactly nothing; dora divides by a norm and multiplies by it again, which rounds
    torch.testing.assert_close(states(model, tone), before, atol=0 if method != "dora" else 1e-5, rtol=0 if method != "dora" else 1e-5)


def test_only_the_adapter_is_trainable(whisper_folder: Folder) -> None:
    model = load(whisper_folder("english"))
    total_before = sum(parameter.numel() for parameter in model.network.parameters())
    add_adapter(model, AdapterSpec(rank=4))
    assert all(("lora_" in name) == parameter.requires_grad for name, parameter in model.network.named_parameters())
    # per layer of width 32: 4 attention matrices of 32 x 32 and two of 32 x 64; the decoder attends twice
    attention, mlp = 4 * 4 * (32 + 32), 2 * 4 * (32 + 64)
    expected = 2 * (attention + mlp) + 2 * (2 * attention + mlp)
    assert count_parameters(model) == (expected, total_before + expected)


@pytest.mark.parametrize(
    ("targets", "sides", "parts"),
    [
        ("attention", {"encoder", "decoder"}, {"q_proj", "k_proj", "v_proj", "out_proj"}),
        ("attention+mlp", {"encoder", "decoder"}, {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"}),
        ("encoder", {"encoder"}, {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"}),
        ("decoder", {"decoder"}, {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"}),
    ],
)
def test_roles_reach_only_their_modules(targets: str, sides: set[str], parts: set[str], whisper_folder: Folder) -> None:
    model = load(whisper_folder("english"))
    add_adapter(model, AdapterSpec(rank=2, targets=targets))
    names = [name.split(".lora_A")[0].split(".") for name, _ in model.network.named_parameters() if "lora_A" in name]
    assert {name[name.index("layers") - 1] for name in names} == sides
    assert {name[-1] for name in names} == parts
    in_a_layer = {"encoder": 4, "decoder": 8} if targets == "attention" else {"encoder": 6, "decoder": 10}
    assert len(names) == sum(2 * in_a_layer[side] for side in sides)


def test_the_seed_decides_the_start(whisper_folder: Folder) -> None:
    starts = []
    for seed in (1, 1, 2):
        model = load(whisper_folder("english"))
        add_adapter(model, AdapterSpec(rank=2), seed=seed)
        starts.append(torch.cat([parameter.flatten() for name, parameter in model.network.named_parameters() if "lora_A" in name]))
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_a_second_adapter_is_refused(whisper_folder: Folder, tmp_path: Path) -> None:
    folder = whisper_folder("english")
    model = load(folder)
    add_adapter(model, AdapterSpec(rank=2))
    for again in (lambda: add_adapter(model, AdapterSpec()), lambda: load_adapter(model, tmp_path)):
        with pytest.raises(AdapterError) as caught:
            again()
        assert str(caught.value) == f"{folder} has an adapter inside already. Load the base model again for another one."


# On disk


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_loaded_again(method: str, whisper_folder: Folder, tone: Tone, tmp_path: Path) -> None:
    spec = AdapterSpec(method=method, rank=4, alpha=8.0)
    model = load(whisper_folder("english"))
    add_adapter(model, spec)
    stir(model)
    ref = save(model, spec, tmp_path / "adapter")
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "speechadapt.json",
    ]
    assert read_adapter(tmp_path / "adapter") == ref
    assert (ref.base_id, ref.family, ref.spec, ref.language, ref.accent) == (str(whisper_folder("english")), "whisper", spec, "en", "mandarin")
    assert (ref.trainable, ref.total) == count_parameters(model)

    other = load(whisper_folder("english"))
    assert load_adapter(other, tmp_path / "adapter") == ref
    assert other.adapted
    assert torch.equal(states(other, tone), states(model.network.eval() and model, tone))
    assert not any(parameter.requires_grad for parameter in other.network.parameters())


def test_peft_alone_loads_it_in_a_fresh_process(whisper_folder: Folder, tone: Tone, tmp_path: Path) -> None:
    """Nothing of ours is imported there; the outputs are equal."""
    spec = AdapterSpec(rank=4)
    model = load(whisper_folder("english"))
    add_adapter(model, spec)
    stir(model)
    save(model, spec, tmp_path / "adapter")
    fed = torch.tensor([[50257, 50362, 400, 500, 600]])
    features = log_mel([tone(1.0)], 80, 3000)
    torch.save({"features": features, "fed": fed, "expected": logits(model.network, tone)}, tmp_path / "case.pt")
    script = f"""
import sys, torch
from peft import PeftModel
from transformers import WhisperForConditionalGeneration
case = torch.load({str(tmp_path / "case.pt")!r})
base = WhisperForConditionalGeneration.from_pretrained({str(whisper_folder("english"))!r})
model = PeftModel.from_pretrained(base, {str(tmp_path / "adapter")!r}).eval()
with torch.inference_mode():
    found = model(input_features=case["features"], decoder_input_ids=case["fed"]).logits
assert not any(name.startswith("speechadapt") for name in sys.modules)
print(float((found - case["expected"]).abs().max()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert float(done.stdout) < 1e-5  # logits of this model reach about 20; float32 rounding


def test_the_config_names_base_and_revision(whisper_folder: Folder, tmp_path: Path) -> None:
    model = load(whisper_folder("english"))
    add_adapter(model, AdapterSpec(rank=4))
    save(model, AdapterSpec(rank=4), tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(whisper_folder("english"))
    assert config["task_type"] is None, "a task type makes PEFT feed Whisper input_ids (peft issue 1988)"
    assert (config["r"], config["lora_alpha"], config["peft_type"]) == (4, 64.0, "LORA")


@pytest.fixture
def adapter(whisper_folder: Folder, tmp_path: Path) -> Path:
    """A saved adapter for the English tiny model."""
    spec = AdapterSpec(rank=2)
    model = load(whisper_folder("english"))
    add_adapter(model, spec)
    stir(model)
    save(model, spec, tmp_path / "adapter")
    return tmp_path / "adapter"


def test_the_adapter_of_another_base_is_refused(adapter: Path, whisper_folder: Folder, tmp_path: Path) -> None:
    """Same shapes, other weights: PEFT alone would load it without a word."""
    write_tiny_whisper("english", tmp_path / "other", seed=1)
    other = load(tmp_path / "other")
    with pytest.raises(AdapterError) as caught:
        load_adapter(other, adapter)
    ours, theirs = base_fingerprint(load(whisper_folder("english")))[:12], base_fingerprint(other)[:12]
    assert ours != theirs
    assert str(caught.value) == (
        f"{adapter}: was trained on {whisper_folder('english')} (fingerprint {ours}), the base given is {tmp_path / 'other'} "
        f"(fingerprint {theirs}). Load it on {whisper_folder('english')}."
    )
    assert not other.adapted


def test_altered_weights_are_refused(adapter: Path) -> None:
    weights = adapter / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(
        AdapterError, match=r"adapter_model\.safetensors: sha256 [0-9a-f]{16}…, speechadapt\.json says [0-9a-f]{16}…\. Copy the adapter again\."
    ):
        read_adapter(adapter)


@pytest.mark.parametrize("name", ["speechadapt.json", "adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_file_is_named(name: str, adapter: Path) -> None:
    (adapter / name).unlink()
    with pytest.raises(AdapterError) as caught:
        read_adapter(adapter)
    assert str(caught.value) == f"{adapter}: no {name} in it, so it is not an adapter of speechadapt. Give the folder RUN/adapter."


def test_a_pickle_is_never_read(adapter: Path) -> None:
    """PEFT would fall back to adapter_model.bin."""
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(AdapterError, match=r"no adapter_model\.safetensors in it"):
        read_adapter(adapter)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_fingerprint": None}, "a field is missing or wrong ('base_fingerprint')"),
        ({"spec": {"size": 3}}, "a field is missing or wrong (AdapterSpec.__init__() got an unexpected keyword argument 'size')"),
        ({"spec": {"rank": 0}}, "a field is missing or wrong (setting rank is 0, must be from 1 to 1024."),
        ({"accent": ["welsh"]}, "a field is missing or wrong (accent is ['welsh'])"),
        ({"trainable": "many"}, "a field is missing or wrong (trainable is 'many')"),
        ({"side_files": {"../secret": "0" * 64}}, "a field is missing or wrong (side_files names ../secret, which is not in the folder)"),
    ],
)
def test_broken_facts(change: dict[str, object], message: str, adapter: Path) -> None:
    row = json.loads((adapter / "speechadapt.json").read_text())
    row = {key: value for key, value in (row | change).items() if value is not None}
    (adapter / "speechadapt.json").write_text(json.dumps(row))
    with pytest.raises(AdapterError) as caught:
        read_adapter(adapter)
    assert message in str(caught.value)
    assert str(caught.value).endswith("Train the adapter again.")


def test_facts_that_are_no_object(adapter: Path) -> None:
    (adapter / "speechadapt.json").write_text("[1, 2]")
    with pytest.raises(AdapterError, match=r"speechadapt\.json: .* Train the adapter again\."):
        read_adapter(adapter)


# Inside the weights


@pytest.mark.parametrize("method", METHODS)
def test_merged_equals_attached_and_goes_back_bit_by_bit(method: str, whisper_folder: Folder, tone: Tone) -> None:
    model = load(whisper_folder("english"))
    before = base_weights(model)
    bare = states(model, tone)
    add_adapter(model, AdapterSpec(method=method, rank=4))
    stir(model)
    model.network.eval()
    attached = states(model, tone)
    assert (attached - bare).abs().max() > 0.05, "the adapter does something, so that this test could fail"
    with merged(model):
        torch.testing.assert_close(states(model, tone), attached, atol=1e-4, rtol=1e-4)  # float32, other order of sums
    assert torch.equal(states(model, tone), attached)
    after = base_weights(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def test_merged_for_good_leaves_nothing_to_undo(whisper_folder: Folder, tmp_path: Path, tone: Tone) -> None:
    """Undoing at the interpreter's exit would compute with a torch that is half gone."""
    model = load(whisper_folder("english"))
    add_adapter(model, AdapterSpec(method="dora", rank=4))
    stir(model)
    model.network.eval()
    attached = states(model, tone)
    folder = tmp_path / "adapter"
    save_adapter(model, AdapterSpec(method="dora", rank=4), folder, train_fingerprint="0" * 64, accent=None, card="")
    transcriber = Transcriber(str(whisper_folder("english")), folder, device="cpu")
    torch.testing.assert_close(states(transcriber.model, tone), attached, atol=1e-4, rtol=1e-4)
    weights = dict(transcriber.model.network.named_parameters())
    kept = {name: weight.detach().clone() for name, weight in weights.items()}
    del transcriber
    gc.collect()
    assert all(torch.equal(kept[name], weight) for name, weight in weights.items())


def test_weights_go_back_after_an_error_too(whisper_folder: Folder) -> None:
    model = load(whisper_folder("english"))
    before = base_weights(model)
    add_adapter(model, AdapterSpec(rank=4))
    stir(model)
    with pytest.raises(KeyError), merged(model):
        raise KeyError
    assert all(torch.equal(weight, before[name]) for name, weight in base_weights(model).items())


def test_the_decoder_with_caches_hears_the_adapter_merged_or_attached(whisper_folder: Folder, tone: Tone) -> None:
    """Step by step with given tokens; what a random model says by itself would hang on near ties."""

    def steps() -> torch.Tensor:
        with torch.inference_mode():
            decoder = WhisperDecoder(model, states(model, tone), 1)
            fed = ([[*model.prompt, 400]], [[500]], [[600]])
            return torch.stack([decoder.logits(torch.tensor(tokens)) for tokens in fed])

    model = load(whisper_folder("english"))
    bare = steps()
    add_adapter(model, AdapterSpec(rank=4))
    stir(model)
    model.network.eval()
    attached = steps()
    assert (attached - bare).abs().max() > 0.05
    with merged(model):
        torch.testing.assert_close(steps(), attached, atol=1e-3, rtol=1e-4)  # logits reach about 20


def test_the_fingerprint_knows_weights_not_where_they_came_from(whisper_folder: Folder, tmp_path: Path) -> None:
    model = load(whisper_folder("english"))
    bare = base_fingerprint(model)
    add_adapter(model, AdapterSpec(rank=4, method="dora"))
    assert base_fingerprint(model) == bare, "an adapter is not the base"
    half = WhisperForConditionalGeneration.from_pretrained(whisper_folder("english"), dtype=torch.float16)
    half.save_pretrained(tmp_path / "half")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "half" / name).write_bytes((whisper_folder("english") / name).read_bytes())
    assert base_fingerprint(load(tmp_path / "half")) == bare, "the same weights, published in half precision"


def test_peft_reports_what_we_count(whisper_folder: Folder) -> None:
    model = load(whisper_folder("english"))
    add_adapter(model, AdapterSpec(rank=3))
    assert isinstance(model.network, PeftModel)
    assert model.network.get_nb_trainable_parameters() == count_parameters(model)
