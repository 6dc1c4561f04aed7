"""The ggml file: read back part by part as whisper.cpp's loader reads it; and what whisper.cpp says of real models."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

from speechadapt.errors import ExportError
from speechadapt.export.export import export_adapter
from speechadapt.export.ggml_file import ggml_name, write_ggml
from speechadapt.export.whisper_cpp import transcribe_by_whisper_cpp
from speechadapt.models.load import load_model
from speechadapt.models.whisper import WhisperModel

Folders = Callable[[str], Path]
HEADER = (
    *("magic", "n_vocab", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer"),
    *("n_text_ctx", "n_text_state", "n_text_head", "n_text_layer", "n_mels", "ftype"),
)


def read_ggml(path: Path) -> tuple[dict[str, int], np.ndarray[Any, Any], list[bytes], dict[str, np.ndarray[Any, Any]]]:
    """Header, mel filters, tokens and tensors; nothing may be left over."""
    data = path.read_bytes()
    place = 0

    def numbers(count: int) -> tuple[int, ...]:
        nonlocal place
        values = struct.unpack_from(f"<{count}i", data, place)
        place += 4 * count
        return values

    def array(count: int, kind: str) -> np.ndarray[Any, Any]:
        nonlocal place
        values = np.frombuffer(data, kind, count, place)
        place += values.nbytes
        return values

    header = dict(zip(HEADER, numbers(len(HEADER)), strict=True))
    mels, bins = numbers(2)
    filters = array(mels * bins, "<f4").reshape(mels, bins)
    tokens = []
    for _ in range(numbers(1)[0]):
        (length,) = numbers(1)
        tokens.append(data[place : place + length])
        place += length
    tensors = {}
    while place < len(data):
        dimensions, length, kind = numbers(3)
        shape = numbers(dimensions)
        name = data[place : place + length].decode()
        place += length
        tensors[name] = array(int(np.prod(shape)), "<f2" if kind else "<f4").reshape(shape[::-1])
    assert place == len(data)
    return header, filters, tokens, tensors


@pytest.fixture
def fourfold(whisper_folder: Folders, tmp_path: Path) -> Callable[[str], Path]:
    """`fourfold(kind)`: a random Whisper whose feed-forward layers are four times its width, as those of every published one are."""

    def make(kind: str) -> Path:
        folder = Path(shutil.copytree(whisper_folder(kind), tmp_path / f"fourfold-{kind}"))
        config = WhisperConfig.from_pretrained(folder)
        config.encoder_ffn_dim = config.decoder_ffn_dim = 4 * config.d_model
        torch.manual_seed(0)
        model = WhisperForConditionalGeneration(config)
        model.generation_config = GenerationConfig.from_pretrained(folder)
        model.save_pretrained(folder)
        return folder

    return make


@pytest.mark.parametrize(
    ("kind", "language", "vocabulary", "end", "mels"),
    [("english", None, 51864, 50256, 80), pytest.param("v3", "de", 51866, 50257, 128, marks=pytest.mark.slow)],
)
def test_every_part_of_the_file(kind: str, language: str | None, vocabulary: int, end: int, mels: int, fourfold: Folders, tmp_path: Path) -> None:
    model = load_model(str(fourfold(kind)), language=language, device="cpu")
    assert isinstance(model, WhisperModel)
    write_ggml(model, tmp_path / "ggml-model.bin")
    header, filters, tokens, tensors = read_ggml(tmp_path / "ggml-model.bin")
    assert header == dict(zip(HEADER, (0x67676D6C, vocabulary, 1500, 32, 2, 2, 448, 32, 2, 2, mels, 1), strict=True))
    assert filters.shape == (mels, 201)
    from transformers import WhisperFeatureExtractor

    np.testing.assert_allclose(filters, WhisperFeatureExtractor(feature_size=mels).mel_filters.T, atol=1e-6)
    assert len(tokens) == end
    written = model.tokenizer(" Grüße, naïve 東京!", add_special_tokens=False).input_ids
    assert b"".join(tokens[number] for number in written).decode() == " Grüße, naïve 東京!"
    state = model.whisper.model.state_dict()
    assert len(tensors) == len(state)
    for name, tensor in state.items():
        theirs = tensors[ggml_name(name)]
        expected = tensor.numpy()
        np.testing.assert_array_equal(theirs.reshape(expected.shape), expected.astype(theirs.dtype))
        matrix = theirs.ndim > 1 and theirs.shape[-1] > 1 and "positional" not in ggml_name(name)
        assert theirs.dtype == (np.float16 if matrix else np.float32), name


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("encoder.layers.3.self_attn.k_proj.weight", "encoder.blocks.3.attn.key.weight"),
        ("decoder.layers.0.encoder_attn.out_proj.bias", "decoder.blocks.0.cross_attn.out.bias"),
        ("decoder.layers.11.encoder_attn_layer_norm.weight", "decoder.blocks.11.cross_attn_ln.weight"),
        ("encoder.layers.0.final_layer_norm.bias", "encoder.blocks.0.mlp_ln.bias"),
        ("encoder.layers.0.fc2.weight", "encoder.blocks.0.mlp.2.weight"),
        ("encoder.layer_norm.weight", "encoder.ln_post.weight"),
        ("decoder.layer_norm.bias", "decoder.ln.bias"),
        ("decoder.embed_tokens.weight", "decoder.token_embedding.weight"),
        ("encoder.embed_positions.weight", "encoder.positional_embedding"),
        ("encoder.conv1.weight", "encoder.conv1.weight"),
    ],
)
def test_names(ours: str, theirs: str) -> None:
    assert ggml_name(ours) == theirs


def test_a_vocabulary_that_whisper_cpp_would_misread(fourfold: Folders, tmp_path: Path) -> None:
    model = load_model(str(fourfold("english")), device="cpu")
    assert isinstance(model, WhisperModel)
    model.end = 40_000
    with pytest.raises(ExportError, match=r"its end of text is token 40000, whisper.cpp expects 50256 in a vocabulary of 51864"):
        write_ggml(model, tmp_path / "ggml-model.bin")


def test_layers_of_another_width(whisper_folder: Folders, tmp_path: Path) -> None:
    model = load_model(str(whisper_folder("english")), device="cpu")
    assert isinstance(model, WhisperModel)
    with pytest.raises(ExportError, match=r"the feed-forward layers of its encoder are 64 wide, whisper.cpp expects 128"):
        write_ggml(model, tmp_path / "ggml-model.bin")


def test_a_random_model_runs_in_whisper_cpp(fourfold: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    """What it says is nearly a toss, so whether the proof passes is; that the file is read and run to its end is not."""
    pytest.importorskip("pywhispercpp", reason="the extra ggml is not installed")
    adapter = make_adapter(fourfold("english"))
    folder = tmp_path / "out.failed"
    with contextlib.suppress(ExportError):  # whether or not it was proven, it was run, and lies in one of the two places
        folder = export_adapter(adapter, tmp_path / "out", target="ggml", clips=clips).folder
    record = json.loads((folder / "proof.json").read_text())
    assert record["runtime"].startswith("whisper.cpp by pywhispercpp")
    assert record["clips"] == 3
    assert {path.name for path in folder.iterdir()} == {"ggml-model.bin", "README.md", "proof.json"}


def test_what_whisper_cpp_cannot_read_is_told(tmp_path: Path) -> None:
    pytest.importorskip("pywhispercpp", reason="the extra ggml is not installed")
    (tmp_path / "ggml-model.bin").write_bytes(b"no model at all" * 10)
    with pytest.raises(ExportError, match=r"ggml-model.bin: whisper.cpp stopped with code"):
        transcribe_by_whisper_cpp(tmp_path / "ggml-model.bin", [np.zeros(16_000, dtype=np.float32)], [{}])


@pytest.mark.slow
def test_broken_in_the_middle(fourfold: Folders, tmp_path: Path) -> None:
    pytest.importorskip("pywhispercpp", reason="the extra ggml is not installed")
    model = load_model(str(fourfold("english")), device="cpu")
    assert isinstance(model, WhisperModel)
    write_ggml(model, tmp_path / "ggml-model.bin")
    (tmp_path / "ggml-model.bin").write_bytes((tmp_path / "ggml-model.bin").read_bytes()[:-100_000])
    with pytest.raises(ExportError, match=r"whisper.cpp stopped with code"):
        transcribe_by_whisper_cpp(tmp_path / "ggml-model.bin", [np.zeros(16_000, dtype=np.float32)], [{}])
