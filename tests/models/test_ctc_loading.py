"""Bases of the CTC family that cannot be used, and MMS with its languages: what is said, and what is taken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file
from tiny_ctc import KINDS, MMS_LETTERS, edit_json, edit_weights

from speechadapt.errors import MisuseError, ModelError
from speechadapt.models import sources
from speechadapt.models.ctc import CTCModel
from speechadapt.models.load import load_model
from speechadapt.models.sources import find_base
from speechadapt.models.speech_model import DecodeSettings

if TYPE_CHECKING:
    from conftest import Tone

Folder = Callable[[str], Path]


@pytest.fixture
def changeable(ctc_folder: Folder, tmp_path: Path) -> Folder:
    """`changeable(kind)`: a copy that a test may spoil."""

    def copy(kind: str) -> Path:
        return Path(shutil.copytree(ctc_folder(kind), tmp_path / kind))

    return copy


def loaded(folder: Path, language: str | None = None) -> CTCModel:
    model = load_model(str(folder), device="cpu", language=language)
    assert isinstance(model, CTCModel)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_frozen_float32_in_evaluation_mode(kind: str, ctc_folder: Folder) -> None:
    model = loaded(ctc_folder(kind), "eng")
    assert {(parameter.dtype, parameter.requires_grad) for parameter in model.network.parameters()} == {(torch.float32, False)}
    assert not model.network.training
    assert (model.family, model.adapted, model.head) == ("ctc", False, "kept")
    assert model.network.name_or_path == model.base.id


def test_nothing_is_drawn_inside_the_network(ctc_folder: Folder, tone: Tone) -> None:
    """The files ask for masks on half of the frames and for dropped layers; with dropout off, training mode changes nothing."""
    model = loaded(ctc_folder("wav2vec2-layer"))
    batch = model.make_batch(["a"], [tone(1.0)], [[5, 6]], window_seconds=None)
    expected = model.loss(batch)
    model.network.train()
    for module in model.network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    for layer in model.ctc.wav2vec2.encoder.layers:
        layer.attention.dropout = 0.0
    assert torch.equal(model.loss(batch), expected)


def test_another_sampling_rate(changeable: Folder) -> None:
    folder = changeable("wav2vec2-layer")
    edit_json(folder / "preprocessor_config.json", sampling_rate=8000)
    with pytest.raises(ModelError) as caught:
        loaded(folder)
    assert str(caught.value) == (
        f"{folder}: was trained on audio of 8000 Hz (preprocessor_config.json), speechadapt gives 16000 Hz. Choose a base trained on 16000 Hz."
    )


def test_the_preprocessors_settings_are_respected(changeable: Folder, tone: Tone) -> None:
    folder = changeable("wav2vec2-layer")
    clip = tone(1.0)
    assert loaded(folder).frames.inputs([clip])[0].std() == pytest.approx(1, rel=1e-3)
    edit_json(folder / "preprocessor_config.json", do_normalize=False)
    assert torch.equal(loaded(folder).frames.inputs([clip])[0][0], torch.from_numpy(clip))


def test_a_preprocessor_inside_a_processor(changeable: Folder) -> None:
    """As newer versions of transformers save it."""
    folder = changeable("wav2vec2-layer")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": settings | {"do_normalize": False}}))
    assert not loaded(folder).frames.front_end.normalize


def test_mel_bins_that_do_not_fit(changeable: Folder) -> None:
    folder = changeable("w2v-bert")
    edit_json(folder / "preprocessor_config.json", num_mel_bins=128)
    with pytest.raises(ModelError, match=r"its network reads 160 values per frame \(config\.json\), .* gives 128 mel bins times 2\."):
        loaded(folder)


@pytest.mark.parametrize("name", ["wav2vec2.encoder.layers.1.feed_forward.output_dense.weight", "lm_head.weight"])
def test_missing_weights_are_not_made_up(name: str, changeable: Folder) -> None:
    """Half an output layer is no base without one."""
    folder = changeable("wav2vec2-layer")
    edit_weights(folder, drop=name)
    with pytest.raises(ModelError) as caught:
        loaded(folder)
    assert str(caught.value) == f"{folder}: its weights lack 1 of the model's parameters, the first is {name}. Download the model again."


def test_a_truncated_safetensors_file(changeable: Folder) -> None:
    weights = changeable("wav2vec2-layer") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:10_000])
    with pytest.raises(ModelError, match=r"could not be loaded \(.*\)\. Download the model again\."):
        loaded(weights.parent)


def test_half_precision_on_disk(changeable: Folder, ctc_folder: Folder, tone: Tone) -> None:
    folder = changeable("wav2vec2-group")
    edit_weights(folder, halve=True)
    exact, rounded = loaded(ctc_folder("wav2vec2-group")), loaded(folder)
    assert rounded.device.type == "cpu"
    assert {parameter.dtype for parameter in rounded.network.parameters()} == {torch.float32}
    [one], [other] = (model.decode([tone(1.0)], DecodeSettings(precision="fp32")) for model in (exact, rounded))
    assert one.avg_logprob == pytest.approx(other.avg_logprob, rel=0.05)


def test_a_head_without_a_vocabulary(changeable: Folder) -> None:
    folder = changeable("wav2vec2-layer")
    (folder / "vocab.json").unlink()
    with pytest.raises(ModelError) as caught:
        loaded(folder)
    assert str(caught.value) == (
        f"{folder}: its vocab.json is missing or empty, so nobody can tell what its output means. Copy it from the original model."
    )


def test_the_vocabulary_of_another_model(changeable: Folder) -> None:
    folder = changeable("wav2vec2-layer")
    edit_json(folder / "vocab.json", Ñ=32)
    with pytest.raises(ModelError, match=r"gives ids up to 32, but the output layer has 32 rows"):
        loaded(folder)


def test_the_files_of_a_raw_base_are_not_its_vocabulary(changeable: Folder, ctc_folder: Folder) -> None:
    """facebook/wav2vec2-base has a vocab.json beside weights without an output layer."""
    folder = changeable("raw")
    shutil.copy(ctc_folder("wav2vec2-layer") / "vocab.json", folder)
    assert loaded(folder).vocabulary is None


def test_ctc_models_only_transcribe(ctc_folder: Folder) -> None:
    with pytest.raises(MisuseError, match=r'task is "translate", but .* is a CTC model, which can only transcribe'):
        load_model(str(ctc_folder("hubert")), task="translate")


# MMS


def test_a_language_of_mms(ctc_folder: Folder) -> None:
    folder = ctc_folder("mms")
    for language, letters in MMS_LETTERS.items():
        model = loaded(folder, language)
        adapter = load_file(folder / f"adapter.{language}.safetensors")
        assert torch.equal(model.ctc.lm_head.weight, adapter["lm_head.weight"])
        assert torch.equal(
            model.ctc.wav2vec2.encoder.layers[1].adapter_layer.linear_1.weight, adapter["wav2vec2.encoder.layers.1.adapter_layer.linear_1.weight"]
        )
        assert model.vocabulary is not None
        assert list(model.vocabulary.letters) == list(letters)
        assert model.language == language


def test_mms_without_a_language(ctc_folder: Folder) -> None:
    with pytest.raises(MisuseError) as caught:
        loaded(ctc_folder("mms"))
    assert str(caught.value) == (
        f"{ctc_folder('mms')} has an adapter for each of 2 languages, and none was chosen: eng, swh. "
        "Set the language to one of its codes (ISO 639-3, three letters)."
    )


def test_mms_with_a_language_it_does_not_know(changeable: Folder) -> None:
    folder = changeable("mms")
    table = json.loads((folder / "vocab.json").read_text())
    edit_json(folder / "vocab.json", **{f"x{chr(97 + number)}a": table["eng"] for number in range(20)})
    with pytest.raises(
        MisuseError, match=r'each of 22 languages, and language is "sw", which is none of them: swh, eng, xaa, .*, …\. Set the language'
    ):
        loaded(folder, "sw")


def test_an_mms_adapter_that_is_not_there(changeable: Folder) -> None:
    folder = changeable("mms")
    (folder / "adapter.swh.safetensors").unlink()
    with pytest.raises(ModelError, match=r"its adapter\.swh\.safetensors is not in .*, and the Hub did not give it"):
        loaded(folder, "swh")
    assert loaded(folder, "eng").language == "eng"


def test_language_adapters_are_not_the_models_weights(changeable: Folder) -> None:
    """The revision of a folder must not depend on which of a thousand languages lie in it."""
    folder = changeable("mms")
    before = find_base(str(folder)).revision
    (folder / "adapter.swh.safetensors").unlink()
    assert find_base(str(folder)).revision == before


def test_of_mms_only_the_wanted_adapter_is_fetched(changeable: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Hub is played by a folder: what is asked of it, and not what it answers, is tested."""
    folder = changeable("mms")
    kept = tmp_path / "hub" / "adapter.swh.safetensors"
    kept.parent.mkdir()
    shutil.move(folder / kept.name, kept)
    asked: list[tuple[str, ...]] = []

    def download(repository: str, name: str, *, revision: str) -> str:
        asked.append((repository, name, revision))
        return str(shutil.copy(kept, folder / name))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(sources, "_reachable", lambda endpoint: True)
    found = sources.BaseModel(id="facebook/mms-1b-all", revision="0123", folder=folder, source="hub")
    assert sources.fetch_beside(found, kept.name)
    assert sources.fetch_beside(found, kept.name), "the second time it is there"
    assert asked == [("facebook/mms-1b-all", "adapter.swh.safetensors", "0123")]


def test_the_snapshot_leaves_language_adapters_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.utils import filter_repo_objects

    files = ["config.json", "model.safetensors", "adapter.eng.safetensors", "adapter.swh.safetensors", "adapter.eng.bin", "vocab.json"]
    wanted = filter_repo_objects(files, allow_patterns=sources.HUB_FILES, ignore_patterns=[sources.LANGUAGE_ADAPTERS])
    assert list(wanted) == ["config.json", "model.safetensors", "vocab.json"]
