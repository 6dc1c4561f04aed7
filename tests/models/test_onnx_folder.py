"""Folders of ONNX graphs: the same text as the torch model they were exported from, and errors that name the file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from onnx_export import export, export_ctc, export_whisper
from spoken import spoken
from tiny_ctc import edit_json

from speechadapt.errors import MisuseError, ModelError
from speechadapt.models.load import load_model
from speechadapt.models.onnx_folder import OnnxCTC, OnnxWhisper, load_onnx
from speechadapt.models.speech_model import DecodeSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("onnx", reason="onnx, which writes the graphs, is not installed")

FP32 = DecodeSettings(precision="fp32")
"""What the graphs compute in; torch takes bf16 where a processor is fast in it."""
CLIPS = [spoken(seconds, seed=seed) for seed, seconds in enumerate((1.0, 2.5, 0.7))]


@pytest.mark.parametrize("kind", ["wav2vec2-layer", "wav2vec2-group"])
def test_ctc_says_what_the_torch_model_says(kind: str, ctc_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = ctc_folder(kind)
    expected = load_model(str(folder), device="cpu").decode(CLIPS, FP32)
    graph = load_onnx(export_ctc(folder, tmp_path / "graph"))
    assert isinstance(graph, OnnxCTC)
    found = graph.decode(CLIPS)
    assert [one.text for one in found] == [one.text for one in expected]
    assert all(one.text for one in found)
    assert [one.avg_logprob for one in found] == pytest.approx([one.avg_logprob for one in expected], abs=1e-4)


@pytest.mark.slow
def test_w2v_bert_with_its_mask(ctc_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = ctc_folder("w2v-bert")
    expected = load_model(str(folder), device="cpu").decode(CLIPS, FP32)
    found = load_onnx(export_ctc(folder, tmp_path / "graph")).decode(CLIPS)
    assert [one.text for one in found] == [one.text for one in expected]
    assert any(one.text for one in found)


def test_a_clip_shorter_than_a_frame(ctc_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = ctc_folder("wav2vec2-layer")
    clip = [CLIPS[0][:100]]
    expected = load_model(str(folder), device="cpu").decode(clip, FP32)
    assert [one.text for one in load_onnx(export_ctc(folder, tmp_path / "graph")).decode(clip)] == [one.text for one in expected]


@pytest.mark.parametrize(("kind", "language"), [("english", None), pytest.param("multilingual", "de", marks=pytest.mark.slow)])
def test_whisper_says_what_the_torch_model_says(kind: str, language: str | None, whisper_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = whisper_folder(kind)
    expected = load_model(str(folder), language=language, device="cpu").decode(CLIPS, FP32)
    graph = load_onnx(export_whisper(folder, tmp_path / "graph"), language=language)
    assert isinstance(graph, OnnxWhisper)
    found = graph.decode(CLIPS)
    assert [one.text for one in found] == [one.text for one in expected]
    assert all(one.text for one in found)
    assert [one.avg_logprob for one in found] == pytest.approx([one.avg_logprob for one in expected], abs=1e-3)


@pytest.mark.slow
def test_whisper_detects_the_language_as_the_torch_model_does(whisper_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = whisper_folder("multilingual")
    expected = load_model(str(folder), device="cpu").decode(CLIPS, FP32)
    assert [one.text for one in load_onnx(export_whisper(folder, tmp_path / "graph")).decode(CLIPS)] == [one.text for one in expected]


@pytest.mark.slow
def test_a_real_one(speech: dict[str, NDArray[np.float32]], tmp_path: Path) -> None:
    from speechadapt.models.sources import find_base

    base = load_model("embedded:wav2vec2-small", device="cpu")
    expected = base.decode(list(speech.values()), FP32)
    found = load_onnx(export_ctc(find_base("embedded:wav2vec2-small").folder, tmp_path / "graph")).decode(list(speech.values()))
    assert [one.text for one in found] == [one.text for one in expected]
    assert sum(len(one.text.split()) for one in found) > 20


@pytest.fixture
def graph(ctc_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """A folder that a test may break."""
    made = tmp_path_factory.getbasetemp() / "whole-graph"
    if not made.is_dir():
        export_ctc(ctc_folder("wav2vec2-layer"), made)
    return Path(shutil.copytree(made, tmp_path / "graph"))


def test_folders_that_are_none(graph: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere: no such folder. Give a folder with ONNX graphs."):
        load_onnx(tmp_path / "nowhere")
    (graph / "model.onnx").unlink()
    told = f"{graph}: neither model.onnx (CTC) nor encoder_model.onnx nor decoder_model.onnx (Whisper) in it. Give a folder that Optimum exported."
    with pytest.raises(ModelError, match=re.escape(told)):
        load_onnx(graph)
    (graph / "encoder_model.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"neither model.onnx \(CTC\) nor decoder_model.onnx \(Whisper\) in it"):
        load_onnx(graph)


def test_broken_graphs_and_missing_files(graph: Path) -> None:
    (graph / "preprocessor_config.json").rename(graph / "away.json")
    with pytest.raises(
        ModelError, match=r"preprocessor_config.json: no such file. Check the path. The processor's files of the original model belong"
    ):
        load_onnx(graph)
    (graph / "away.json").rename(graph / "preprocessor_config.json")
    edit_json(graph / "preprocessor_config.json", sampling_rate=8000)
    with pytest.raises(ModelError, match=r"was trained on audio of 8000 Hz, speechadapt gives 16000 Hz. Choose another model."):
        load_onnx(graph)
    edit_json(graph / "preprocessor_config.json", sampling_rate=16_000)
    (graph / "model.onnx").write_bytes((graph / "model.onnx").read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"model.onnx: could not be loaded \(.*\). Export it again."):
        load_onnx(graph)


def test_a_graph_with_other_inputs(graph: Path) -> None:
    export(torch.nn.Linear(4, 4), (torch.randn(1, 4),), graph / "model.onnx", {"x": [0]}, {"y": [0]})
    with pytest.raises(ModelError, match=r"model.onnx: its inputs are x, expected input_values or input_features, and perhaps attention_mask."):
        load_onnx(graph)


def test_a_provider_that_is_not_there(graph: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there is one")
    with pytest.raises(MisuseError, match=r'provider is "cuda", which this onnxruntime does not have. Install onnxruntime-gpu, or use cpu.'):
        load_onnx(graph, provider="cuda")
