"""GGML: the single file that whisper.cpp reads, written from a Whisper network: sizes, mel filters, vocabulary, then every tensor.

The layout is that of whisper.cpp's loader (`whisper_model_load`): little-endian 32-bit integers throughout, a tensor's sides from the
innermost outward. Tokens from the end of text on are not in the file; whisper.cpp knows them by the size of the vocabulary.
"""

import re
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from speechadapt.audio.features import mel_filters
from speechadapt.errors import ExportError
from speechadapt.models.whisper import WhisperModel

MAGIC = 0x67676D6C  # "ggml"
GGML_FILE = "ggml-model.bin"
FLOAT32, FLOAT16 = 0, 1
MULTILINGUAL_VOCABULARY = 51_865
"""From here on whisper.cpp takes a model for multilingual, and every special token for one further on."""

NAMES = (
    (r"^(encoder|decoder)\.layers\.", r"\1.blocks."),
    (r"\.self_attn\.k_proj\.", ".attn.key."),
    (r"\.self_attn\.q_proj\.", ".attn.query."),
    (r"\.self_attn\.v_proj\.", ".attn.value."),
    (r"\.self_attn\.out_proj\.", ".attn.out."),
    (r"\.self_attn_layer_norm\.", ".attn_ln."),
    (r"\.encoder_attn\.k_proj\.", ".cross_attn.key."),
    (r"\.encoder_attn\.q_proj\.", ".cross_attn.query."),
    (r"\.encoder_attn\.v_proj\.", ".cross_attn.value."),
    (r"\.encoder_attn\.out_proj\.", ".cross_attn.out."),
    (r"\.encoder_attn_layer_norm\.", ".cross_attn_ln."),
    (r"\.fc1\.", ".mlp.0."),
    (r"\.fc2\.", ".mlp.2."),
    (r"\.final_layer_norm\.", ".mlp_ln."),
    (r"^encoder\.layer_norm\.", "encoder.ln_post."),
    (r"^decoder\.layer_norm\.", "decoder.ln."),
    (r"\.embed_positions\.weight$", ".positional_embedding"),
    (r"^decoder\.embed_tokens\.", "decoder.token_embedding."),
)
"""transformers' names of tensors to OpenAI's, which whisper.cpp keeps."""
ALWAYS_FLOAT32 = ("encoder.positional_embedding", "decoder.positional_embedding")
COLUMNS = ("encoder.conv1.bias", "encoder.conv2.bias")
"""Added to each frame, so they lie as a matrix of one column."""


def write_ggml(model: WhisperModel, path: Path) -> None:
    """Write the file, matrices as float16 and vectors as float32; whisper.cpp's convolution reads no other kernels on processors.

    Args:
        model: with the adapter merged into its weights.
        path: the file to write.

    Raises:
        ExportError: sizes or a vocabulary that whisper.cpp would take for others.
    """
    config = model.whisper.config
    _check_sizes(model)
    tokens = _tokens(model)
    with path.open("wb") as file:
        _integers(
            file,
            MAGIC,
            config.vocab_size,
            config.max_source_positions,
            config.d_model,
            config.encoder_attention_heads,
            config.encoder_layers,
            config.max_target_positions,
            config.d_model,
            config.decoder_attention_heads,
            config.decoder_layers,
            config.num_mel_bins,
            FLOAT16,
        )
        filters = mel_filters(model.mels).numpy().astype("<f4")
        _integers(file, *filters.shape)
        file.write(np.ascontiguousarray(filters).tobytes())
        _integers(file, len(tokens))
        for token in tokens:
            _integers(file, len(token))
            file.write(token)
        for name, tensor in model.whisper.model.state_dict().items():
            _write_tensor(file, ggml_name(name), tensor)


def ggml_name(name: str) -> str:
    """What whisper.cpp calls a tensor of transformers' `WhisperModel`."""
    for pattern, theirs in NAMES:
        name = re.sub(pattern, theirs, name)
    return name


def _write_tensor(file: BinaryIO, name: str, tensor: torch.Tensor) -> None:
    values: Any = tensor.detach().cpu().float().numpy()
    if name in COLUMNS:
        values = values.reshape(-1, 1)
    stored = FLOAT32 if values.ndim < 2 or name in ALWAYS_FLOAT32 or name in COLUMNS else FLOAT16
    encoded = name.encode()
    _integers(file, values.ndim, len(encoded), stored, *reversed(values.shape))
    file.write(encoded)
    file.write(np.ascontiguousarray(values.astype("<f2" if stored == FLOAT16 else "<f4")).tobytes())


def _integers(file: BinaryIO, *values: int) -> None:
    file.write(struct.pack(f"<{len(values)}i", *values))


def _check_sizes(model: WhisperModel) -> None:
    """The header has no place for the width of the feed-forward layers."""
    config = model.whisper.config
    for side in ("encoder", "decoder"):
        width = getattr(config, f"{side}_ffn_dim")
        if width != 4 * config.d_model:
            raise ExportError(
                f"{model.base.id}: the feed-forward layers of its {side} are {width} wide, whisper.cpp expects {4 * config.d_model}, four times the "
                "model's width. Choose another target."
            )


def _tokens(model: WhisperModel) -> list[bytes]:
    """The bytes of every token before the end of text, in the order of their ids."""
    size, end = int(model.whisper.config.vocab_size), model.end
    expected = 50_257 if size >= MULTILINGUAL_VOCABULARY else 50_256
    if end != expected:
        raise ExportError(
            f"{model.base.id}: its end of text is token {end}, whisper.cpp expects {expected} in a vocabulary of {size}, so it would write other "
            "words. Choose another target."
        )
    names = {number: token for token, number in model.tokenizer.get_vocab().items()}
    letters = _byte_letters()
    try:
        return [bytes(letters[letter] for letter in names[number]) for number in range(end)]
    except KeyError as error:
        raise ExportError(
            f"{model.base.id}: its tokenizer has no byte-level token for {error}, which whisper.cpp needs. Choose another target."
        ) from error


def _byte_letters() -> dict[str, int]:
    """The letters that GPT-2's tokenizer writes bytes with: printable ones stand for themselves, the others for those from U+0100 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = {chr(byte): byte for byte in plain}
    others = [byte for byte in range(256) if byte not in plain]
    return letters | {chr(256 + place): byte for place, byte in enumerate(others)}
