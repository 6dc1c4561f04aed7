"""Weighted mixes: what they compute, that PEFT reads them alone, and what cannot be mixed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from random_adapters import write_adapter
from safetensors.torch import load_file
from tiny_whisper import write_tiny_whisper
from transformers import WhisperForConditionalGeneration

from speechadapt.adapt.adapter import read_adapter
from speechadapt.adapt.many import read_matrices
from speechadapt.errors import AdapterError, MisuseError
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.serve.library import AdapterLibrary
from speechadapt.serve.mixing import Part, mix_adapters

Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def parents(whisper_folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("parents")
    base = whisper_folder("english")
    write_adapter(base, root / "a", seed=1, accent="welsh")
    write_adapter(base, root / "b", seed=2, accent="scottish, welsh")
    write_adapter(base, root / "wide", seed=3, rank=5, method="rslora", targets="attention")
    write_adapter(base, root / "dora", seed=4, method="dora")
    return root


def parts(root: Path, **weights: float) -> list[Part]:
    return [Part(folder=root / name, weight=weight) for name, weight in weights.items()]


def updates(folder: Path) -> dict[str, torch.Tensor]:
    """What the adapter adds to each layer's weight."""
    return {name: one.scale * one.b @ one.a for name, one in read_matrices(read_adapter(folder)).items()}


def test_cat_is_the_exact_weighted_sum(parents: Path, tmp_path: Path) -> None:
    made = mix_adapters(parts(parents, a=0.7, wide=-0.5), tmp_path / "mix")
    one, two, found = updates(parents / "a"), updates(parents / "wide"), updates(tmp_path / "mix")
    assert set(found) == set(one)  # `wide` has the attention only
    for name, update in found.items():
        torch.testing.assert_close(update, 0.7 * one[name] - 0.5 * two.get(name, torch.zeros_like(update)), rtol=1e-5, atol=1e-6)
    assert (made.spec.rank, made.spec.alpha, made.spec.method) == (7, 7.0, "lora")


def test_svd_at_full_rank_is_the_sum_and_below_it_the_best(parents: Path, tmp_path: Path) -> None:
    weighted = parts(parents, a=0.7, b=0.3)
    mix_adapters(weighted, tmp_path / "cat")
    mix_adapters(weighted, tmp_path / "whole", how="svd", rank=4)
    mix_adapters(weighted, tmp_path / "low", how="svd")
    exact, whole, low = (updates(tmp_path / name) for name in ("cat", "whole", "low"))
    assert read_adapter(tmp_path / "low").spec.rank == 2
    for name, update in exact.items():
        torch.testing.assert_close(whole[name], update, rtol=1e-4, atol=1e-6)
        left = torch.linalg.svdvals(update)[2:].square().sum().sqrt()  # Eckart and Young: no matrix of rank 2 is nearer
        assert float((low[name] - update).norm()) == pytest.approx(float(left), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("how", ["cat", "svd", "linear"])
def test_peft_loads_it_alone_and_makes_the_same_mix(whisper_folder: Folder, parents: Path, tmp_path: Path, how: str) -> None:
    rank = {"rank": 3} if how == "svd" else {}
    mix_adapters(parts(parents, a=0.7, b=0.3), tmp_path / "mix", how=how, **rank)

    def network() -> Any:
        return WhisperForConditionalGeneration.from_pretrained(whisper_folder("english"), dtype=torch.float32)

    ours = PeftModel.from_pretrained(network(), tmp_path / "mix").merge_and_unload().state_dict()
    theirs = PeftModel.from_pretrained(network(), parents / "a", adapter_name="a")
    theirs.load_adapter(parents / "b", adapter_name="b")
    theirs.add_weighted_adapter(["a", "b"], [0.7, 0.3], "mix", combination_type=how, **({"svd_rank": 3} if how == "svd" else {}))
    theirs.set_adapter("mix")
    wanted = theirs.merge_and_unload().state_dict()
    for name, weight in ours.items():
        torch.testing.assert_close(weight, wanted[name], rtol=1e-4, atol=1e-5)


def test_it_decodes_in_a_library_and_tells_its_parents(whisper_folder: Folder, parents: Path, tmp_path: Path, tone: Any) -> None:
    made = mix_adapters(parts(parents, a=0.7, b=0.3), tmp_path / "mix")
    mix_adapters(parts(parents, a=1.0), tmp_path / "same")
    read = read_adapter(tmp_path / "mix")
    assert read == made
    assert read.accent == "scottish, welsh"
    assert [(one["name"], one["weight"], one["how"], one["weights_sha256"]) for one in read.mixed_from] == [
        (name, weight, "cat", read_adapter(parents / name).weights_sha256) for name, weight in (("a", 0.7), ("b", 0.3))
    ]
    assert read.train_fingerprint not in ("0" * 63 + "1", "0" * 63 + "2")
    assert read.trainable == sum(tensor.numel() for tensor in load_file(tmp_path / "mix" / "adapter_model.safetensors").values())
    library = AdapterLibrary(str(whisper_folder("english")), device="cpu", settings=DecodeSettings(precision="fp32"))
    library.add("a", parents / "a")
    library.add("mix", tmp_path / "mix")
    library.add("same", tmp_path / "same")
    clip = tone(0.5)
    alone, again, mixed = library.decode([clip] * 3, ["a", "same", "mix"])
    assert alone.text == again.text
    assert alone.avg_logprob == pytest.approx(again.avg_logprob, abs=1e-4)
    assert mixed != alone
    card = (tmp_path / "mix" / "README.md").read_text()
    assert "| a | 0.7 | welsh |" in card


def test_what_cannot_be_mixed(whisper_folder: Folder, ctc_folder: Folder, parents: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(MisuseError, match=r"^no adapter to mix was given"):
        mix_adapters([], out)
    with pytest.raises(MisuseError, match=r"is named twice"):
        mix_adapters([*parts(parents, a=1), *parts(parents, a=0.5)], out)
    for weight in (0.0, float("nan"), 101.0):
        with pytest.raises(MisuseError, match=r"must be from -100 to 100 and not 0"):
            mix_adapters(parts(parents, a=weight), out)
    with pytest.raises(MisuseError, match=r'^how is "ties", must be one of: cat, svd, linear'):
        mix_adapters(parts(parents, a=1), out, how="ties")
    with pytest.raises(MisuseError, match=r'^rank is 4, but how is "cat"'):
        mix_adapters(parts(parents, a=1), out, rank=4)
    with pytest.raises(MisuseError, match=r"^rank is 0, must be from 1 to 1024"):
        mix_adapters(parts(parents, a=1), out, how="svd", rank=0)
    with pytest.raises(MisuseError, match=r'^how is "linear", which needs adapters of one rank; they have: .*a 2, .*wide 5'):
        mix_adapters(parts(parents, a=1, wide=1), out, how="linear")
    with pytest.raises(MisuseError, match=r"exists already"):
        mix_adapters(parts(parents, a=1), parents / "b")
    with pytest.raises(AdapterError, match=r"has the method dora, which cannot be mixed"):
        mix_adapters(parts(parents, a=1, dora=1), out)
    write_tiny_whisper("english", tmp_path / "other", seed=5)
    write_adapter(tmp_path / "other", tmp_path / "x", seed=1)
    with pytest.raises(AdapterError, match=r"Mix adapters of one base"):
        mix_adapters([*parts(parents, a=1), Part(folder=tmp_path / "x", weight=1)], out)
    for language in ("de", "fr"):
        write_adapter(whisper_folder("multilingual"), tmp_path / language, seed=1, language=language)
    with pytest.raises(AdapterError, match=r"was trained for fr, transcribe; .*de for de, transcribe"):
        mix_adapters(parts(tmp_path, de=1, fr=1), out)
    write_adapter(ctc_folder("wav2vec2-layer"), tmp_path / "grown", seed=3, texts=("né à nô",), vocabulary="extend")
    with pytest.raises(AdapterError, match=r"has an output layer of its own \(extended\), which cannot be mixed"):
        mix_adapters(parts(tmp_path, grown=1), out)
    assert not out.exists()


def test_the_command(parents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from speechadapt.cli import main

    code = main(["mix", f"{parents / 'a'}=0.7", f"{parents / 'b'}=0.3", "--out", str(tmp_path / "mix"), "--json"])
    told = capsys.readouterr()
    assert code == 0
    assert json.loads(told.out)["spec"]["rank"] == 4
    assert "A mix is not scored by its parents' scores." in told.err
    assert main(["mix", str(parents / "a"), "--out", str(tmp_path / "other")]) == 2
    assert "must be DIR=WEIGHT" in capsys.readouterr().err
    assert main(["mix", f"{parents / 'a'}=0.7", "--out", str(tmp_path / "mix")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["mix", f"{tmp_path / 'none'}=0.7", "--out", str(tmp_path / "x")]) == 1
    assert "no speechadapt.json in it" in capsys.readouterr().err
