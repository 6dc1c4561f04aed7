"""The method `full` trains every weight of a CTC model and ships a PEFT folder like any other; random bases are what it is compared with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCTC

from speechadapt.adapt.adapter import add_adapter, base_fingerprint, load_adapter
from speechadapt.adapt.spec import AdapterSpec, TrainSettings
from speechadapt.adapt.train import train_adapter
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import MisuseError
from speechadapt.models.load import load_model
from speechadapt.models.random_base import write_random_base
from speechadapt.models.speech_model import DecodeSettings

if TYPE_CHECKING:
    from conftest import Tone, WriteTone

FULL = AdapterSpec(method="full")


@pytest.fixture
def manifest(tmp_path: Path, write_tone: WriteTone) -> Manifest:
    rows = []
    for number, text in enumerate(["they went home", "she saw them", "we may go", "the red hat"]):
        write_tone(tmp_path / f"{number}.flac", 1.5, seed=number)
        rows.append(Utterance(id=str(number), audio_filepath=f"{number}.flac", duration=1.5, text=text, speaker=str(number)))
    return Manifest(rows, folder=tmp_path, name="train")


@pytest.mark.parametrize("kind", ["wav2vec2-layer", "w2v-bert"])
def test_every_weight_learns_and_the_folder_is_a_peft_folder(
    kind: str, ctc_folder: Callable[[str], Path], manifest: Manifest, tone: Tone, tmp_path: Path
) -> None:
    folder = ctc_folder(kind)
    model = load_model(str(folder), language="en", device="cpu")
    before = base_fingerprint(model)
    settings = TrainSettings(steps=2, learning_rate=1e-3, precision="fp32", time_masks=0, freq_masks=0, speed_perturb=(1.0,), average_decay=0.0)
    ref = train_adapter(model, manifest, spec=FULL, settings=settings, out=tmp_path / "run")
    assert base_fingerprint(model) == before == ref.base_fingerprint

    saved = load_file(ref.folder / "adapter_model.safetensors")
    base = AutoModelForCTC.from_pretrained(folder).state_dict()
    changed = {name.removeprefix("base_model.model.") for name, weight in saved.items() if not torch.equal(weight, base[name[17:]])}
    never = {name for name in base if "masked_spec_embed" in name or name.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    # a key's bias moves all of a query's scores alike, so its gradient is 0 but for rounding, and AdamW may leave it where it was
    assert {name for name in set(base) - never - changed if "k_proj.bias" not in name and "linear_k.bias" not in name} == set()

    again = load_model(str(folder), language="en", device="cpu")
    load_adapter(again, ref.folder)
    plain = PeftModel.from_pretrained(AutoModelForCTC.from_pretrained(folder), str(ref.folder))
    theirs = plain.state_dict()
    for name, weight in again.network.state_dict().items():  # theirs has masked_spec_embed beside these
        assert torch.equal(weight, theirs[name]), name
    clip = tone(1.0)
    assert again.decode([clip], DecodeSettings(precision="fp32")) == model.decode([clip], DecodeSettings(precision="fp32"))
    assert json.loads((tmp_path / "run" / "training.json").read_text())["spec"]["method"] == "full"


def test_whisper_is_not_trained_whole(whisper_folder: Callable[[str], Path]) -> None:
    model = load_model(str(whisper_folder("english")), device="cpu")
    with pytest.raises(MisuseError, match=r'method is "full", which whisper models do not offer'):
        add_adapter(model, FULL)
    assert not model.adapted


def test_a_random_base_has_the_architecture_but_neither_weights_nor_vocabulary(ctc_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = ctc_folder("wav2vec2-layer")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_random_base(str(folder), tmp_path / name, seed=seed)
    given, *made = (load_model(str(path), language="en", device="cpu") for path in (folder, *(tmp_path / name for name in "abc")))
    assert all(one.vocabulary is None for one in made)
    assert {name: weight.shape for name, weight in made[0].network.state_dict().items()} == {
        name: weight.shape for name, weight in given.network.state_dict().items()
    }
    fingerprints = [base_fingerprint(one) for one in (given, *made)]
    assert fingerprints[1] == fingerprints[2]
    assert len(set(fingerprints)) == 3


def test_whisper_has_no_random_base(whisper_folder: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="Choose a CTC base"):
        write_random_base(str(whisper_folder("english")), tmp_path / "random")
    assert not (tmp_path / "random").exists()
