"""Read a CTranslate2 Whisper folder (what faster-whisper users have) back into Hugging Face form.

CTranslate2 stores one flat binary of named arrays. Against Hugging Face's names it fuses query, key and value of self-attention
into one matrix, key and value of cross-attention into another, and writes a zero bias for the keys, which Whisper does not have.
"""

import json
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from speechadapt.errors import ModelError

TYPES: tuple[Any, ...] = (np.float32, np.int8, np.int16, np.int32, np.float16, None)
"""CTranslate2's type ids, in its order; the last is bfloat16, which NumPy lacks."""
BFLOAT16 = 5
LARGEST_ARRAY = 1 << 31
MOST_ARRAYS = 100_000

Arrays = dict[str, np.ndarray[Any, Any]]


def read_arrays(model_file: BinaryIO, name: str) -> Arrays:
    """Read every array of a `model.bin`.

    Args:
        model_file: the open binary.
        name: what to call it in messages.

    Returns:
        Arrays by CTranslate2's names (`encoder/layer_0/self_attention/linear_0/weight`), aliases resolved, quantized weights and
        half floats widened to float32.

    Raises:
        ModelError: the file is not a Whisper model of CTranslate2, or ends too early.
    """
    try:
        version = _unpack(model_file, "I")
        spec = _text(model_file) if version >= 2 else "?"
        if spec != "WhisperSpec":
            raise ModelError(f'{name}: holds a CTranslate2 "{spec}", only "WhisperSpec" can be read back. Give a Whisper folder.')
        _unpack(model_file, "I")  # the revision of the spec; names did not change between revisions 1 and 3
        count = _unpack(model_file, "I")
        if count > MOST_ARRAYS:
            raise ModelError(f"{name}: announces {count} arrays, at most {MOST_ARRAYS} are plausible. Download the model again.")
        arrays = dict(_array(model_file, version) for _ in range(count))
        aliases = {_text(model_file): _text(model_file) for _ in range(_unpack(model_file, "I"))}
    except (struct.error, UnicodeDecodeError, ValueError, IndexError) as error:
        raise ModelError(f"{name}: ends or breaks in the middle of an array ({error}). Download the model again.") from error
    wide = _widen(arrays)
    return wide | {alias: wide[target] for alias, target in aliases.items() if target in wide}


def _unpack(stream: BinaryIO, code: str) -> int:
    return int(struct.unpack(code, stream.read(struct.calcsize(code)))[0])


def _text(stream: BinaryIO) -> str:
    return stream.read(_unpack(stream, "H"))[:-1].decode("utf-8")


def _array(stream: BinaryIO, version: int) -> tuple[str, np.ndarray[Any, Any]]:
    name = _text(stream)
    shape = [_unpack(stream, "I") for _ in range(_unpack(stream, "B"))]
    if version < 4:
        raise ValueError(f"binary version {version} is older than CTranslate2 2.0")
    kind = _unpack(stream, "B")
    size = _unpack(stream, "I")
    if size > LARGEST_ARRAY:
        raise ValueError(f"array {name} of {size} bytes")
    data = stream.read(size)
    if len(data) != size:
        raise ValueError(f"array {name} has {len(data)} of {size} bytes")
    if kind == BFLOAT16:
        values: np.ndarray[Any, Any] = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    else:
        values = np.frombuffer(data, TYPES[kind])
    return name, values.reshape(shape)


def _widen(arrays: Arrays) -> Arrays:
    wide: Arrays = {}
    for name, values in arrays.items():
        scale = arrays.get(f"{name}_scale")
        if scale is not None:
            # int8 keeps one scale per row (convolutions too), int16 one for the whole matrix; both were multiplied in
            factor = scale.astype(np.float32)
            wide[name] = values.astype(np.float32) / (factor.reshape(-1, *[1] * (values.ndim - 1)) if factor.ndim else factor)
        else:
            wide[name] = values.astype(np.float32) if values.dtype == np.float16 else values
    return wide


def to_hugging_face(arrays: Arrays) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Rename and unfuse.

    Args:
        arrays: what `read_arrays` returns.

    Returns:
        The shape fields of a `WhisperConfig`, and a state dict (float32) for `WhisperForConditionalGeneration`.

    Raises:
        ModelError: an array is missing.
    """
    try:
        config = _shapes(arrays)
        state: dict[str, Any] = {}
        for side in ("encoder", "decoder"):
            state |= _side(arrays, side, config["d_model"], config[f"{side}_layers"])
        for conv in ("conv1", "conv2"):
            for part in ("weight", "bias"):
                state[f"model.encoder.{conv}.{part}"] = arrays[f"encoder/{conv}/{part}"]
        state["model.decoder.embed_tokens.weight"] = arrays["decoder/embeddings/weight"]
        state["proj_out.weight"] = arrays["decoder/embeddings/weight"]
    except KeyError as error:
        raise ModelError(f"the CTranslate2 model lacks the array {error}. Convert it again with ct2-transformers-converter.") from error
    # copies, because the converter stores equal arrays (such as biases of zeros) once, and safetensors refuses to share memory
    return config, {name: torch.from_numpy(np.array(values, dtype=np.float32)) for name, values in state.items()}


def _shapes(arrays: Arrays) -> dict[str, Any]:
    def layers(side: str) -> int:
        return len({name.split("/")[1] for name in arrays if name.startswith(f"{side}/layer_") and not name.startswith(f"{side}/layer_norm")})

    vocab, d_model = arrays["decoder/embeddings/weight"].shape
    return {
        "vocab_size": vocab,
        "d_model": d_model,
        "num_mel_bins": arrays["encoder/conv1/weight"].shape[1],
        "max_source_positions": arrays["encoder/position_encodings/encodings"].shape[0],
        "max_target_positions": arrays["decoder/position_encodings/encodings"].shape[0],
        "encoder_layers": layers("encoder"),
        "decoder_layers": layers("decoder"),
        "encoder_attention_heads": int(arrays["encoder/num_heads"]),
        "decoder_attention_heads": int(arrays["decoder/num_heads"]),
        "encoder_ffn_dim": arrays["encoder/layer_0/ffn/linear_0/weight"].shape[0],
        "decoder_ffn_dim": arrays["decoder/layer_0/ffn/linear_0/weight"].shape[0],
    }


def _side(arrays: Arrays, side: str, d: int, layers: int) -> dict[str, Any]:
    state = {f"model.{side}.embed_positions.weight": arrays[f"{side}/position_encodings/encodings"]}
    state |= _norm(arrays, f"{side}/layer_norm", f"model.{side}.layer_norm")
    for index in range(layers):
        theirs, ours = f"{side}/layer_{index}", f"model.{side}.layers.{index}"
        state |= _attention(
            arrays,
            f"{theirs}/self_attention",
            f"{ours}.self_attn",
            [("q_proj", 0, 0, d), ("k_proj", 0, d, 2 * d), ("v_proj", 0, 2 * d, 3 * d), ("out_proj", 1, 0, d)],
        )
        state |= _norm(arrays, f"{theirs}/self_attention/layer_norm", f"{ours}.self_attn_layer_norm")
        if side == "decoder":
            state |= _attention(
                arrays,
                f"{theirs}/attention",
                f"{ours}.encoder_attn",
                [("q_proj", 0, 0, d), ("k_proj", 1, 0, d), ("v_proj", 1, d, 2 * d), ("out_proj", 2, 0, d)],
            )
            state |= _norm(arrays, f"{theirs}/attention/layer_norm", f"{ours}.encoder_attn_layer_norm")
        state |= _norm(arrays, f"{theirs}/ffn/layer_norm", f"{ours}.final_layer_norm")
        for number in (0, 1):
            for part in ("weight", "bias"):
                state[f"{ours}.fc{number + 1}.{part}"] = arrays[f"{theirs}/ffn/linear_{number}/{part}"]
    return state


def _attention(arrays: Arrays, theirs: str, ours: str, parts: list[tuple[str, int, int, int]]) -> dict[str, Any]:
    state = {}
    for name, linear, start, stop in parts:
        state[f"{ours}.{name}.weight"] = arrays[f"{theirs}/linear_{linear}/weight"][start:stop]
        if name != "k_proj":
            state[f"{ours}.{name}.bias"] = arrays[f"{theirs}/linear_{linear}/bias"][start:stop]
    return state


def _norm(arrays: Arrays, theirs: str, ours: str) -> dict[str, Any]:
    return {f"{ours}.weight": arrays[f"{theirs}/gamma"], f"{ours}.bias": arrays[f"{theirs}/beta"]}


def write_hugging_face_folder(model_file: BinaryIO, side_files: Path, out: Path) -> None:
    """Write a Hugging Face Whisper folder (float32 safetensors, tokenizer, feature extractor, generation config).

    Args:
        model_file: the open `model.bin`.
        side_files: the folder that holds `tokenizer.json` and `config.json` of the CTranslate2 model.
        out: an existing empty folder.

    Raises:
        ModelError: the model or a side file is missing or broken.
    """
    from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    shapes, state = to_hugging_face(read_arrays(model_file, str(side_files)))
    tokens = _write_tokenizer(side_files, shapes["vocab_size"], out)
    config = WhisperConfig(
        **shapes,
        pad_token_id=tokens["<|endoftext|>"],
        bos_token_id=tokens["<|endoftext|>"],
        eos_token_id=tokens["<|endoftext|>"],
        decoder_start_token_id=tokens["<|startoftranscript|>"],
    )
    with torch.device("meta"):
        model = WhisperForConditionalGeneration(config)
    missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    if missing or unexpected:
        raise ModelError(f"{side_files}: arrays missing {list(missing)[:3]}, not understood {list(unexpected)[:3]}. Convert the model again.")
    model.tie_weights()
    model.generation_config = GenerationConfig(**_generation(side_files, tokens, shapes))
    model.save_pretrained(out)
    WhisperFeatureExtractor(feature_size=shapes["num_mel_bins"]).save_pretrained(out)


def _write_tokenizer(side_files: Path, vocab_size: int, out: Path) -> dict[str, int]:
    from tokenizers import AddedToken, Tokenizer
    from transformers import WhisperTokenizer

    file = side_files / "tokenizer.json"
    if not file.is_file():
        raise ModelError(f"{side_files}: no tokenizer.json in it. Copy it from the original model, faster-whisper needs it too.")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise ModelError(f"{file}: not a tokenizer ({error}). Copy tokenizer.json from the original model.") from error
    # Older converters left the 1,501 time stamps out, though the model has rows for them.
    absent = vocab_size - tokenizer.get_vocab_size()
    if absent:
        tokenizer.add_tokens([AddedToken(f"<|{index * 0.02:.2f}|>", normalized=False, special=False) for index in range(absent)])
    end = "<|endoftext|>"
    special = (end, "<|startoftranscript|>", "<|notimestamps|>", "<|translate|>", "<|transcribe|>", "<|startofprev|>")
    known: dict[str, int] = {token: number for token in special if (number := tokenizer.token_to_id(token)) is not None}
    if len(known) < len(special):
        raise ModelError(f"{file}: lacks one of Whisper's special tokens ({', '.join(special)}). Copy tokenizer.json from the original model.")
    WhisperTokenizer(tokenizer_object=tokenizer, bos_token=end, eos_token=end, unk_token=end, pad_token=end).save_pretrained(out)
    languages = {token: number for token, number in tokenizer.get_vocab().items() if known["<|startoftranscript|>"] < number < known["<|translate|>"]}
    return known | languages


def _generation(side_files: Path, tokens: dict[str, int], shapes: dict[str, Any]) -> dict[str, Any]:
    settings = json.loads((side_files / "config.json").read_text(encoding="utf-8")) if (side_files / "config.json").is_file() else {}
    # English-only models have the language tokens in their table but were never trained on them; their vocabulary is one row shorter.
    multilingual = shapes["vocab_size"] >= 51865
    values: dict[str, Any] = {
        "suppress_tokens": settings.get("suppress_ids") or [],
        "begin_suppress_tokens": settings.get("suppress_ids_begin") or [],
        "alignment_heads": settings.get("alignment_heads"),
        "decoder_start_token_id": tokens["<|startoftranscript|>"],
        "eos_token_id": tokens["<|endoftext|>"],
        "pad_token_id": tokens["<|endoftext|>"],
        "bos_token_id": tokens["<|endoftext|>"],
        "no_timestamps_token_id": tokens["<|notimestamps|>"],
        "prev_sot_token_id": tokens["<|startofprev|>"],
        "max_initial_timestamp_index": 50,
        "max_length": shapes["max_target_positions"],
        "return_timestamps": False,
        "is_multilingual": multilingual,
    }
    if multilingual:
        values["lang_to_id"] = {
            token: number for token, number in tokens.items() if len(token) in (6, 7) and token[2:-2].islower() and token[2:-2].isalpha()
        }
        values["task_to_id"] = {"transcribe": tokens["<|transcribe|>"], "translate": tokens["<|translate|>"]}
    return values
