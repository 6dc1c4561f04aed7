"""Random CTC models of two layers and width 32, one per family, written as transformers' own `save_pretrained` writes them."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

KINDS = ("wav2vec2-layer", "wav2vec2-group", "hubert", "wavlm", "conformer", "conformer-rotary", "data2vec", "w2v-bert", "w2v-bert-adapter", "mms")
"""Those with an output layer; `raw`, `raw-pretraining` and `raw-w2v-bert` have none."""
LETTERS = "ETAONIHSRDLUMWCFGYPBVK'XJQZ"
MMS_LETTERS = {"eng": "etaonihsrdlu'", "swh": "aiunkemlwohtsyjbgdzpfvrc'"}
WIDTH = 32


def tokens_of(kind: str, language: str = "eng") -> list[str]:
    """In id order, as facebook/wav2vec2-base-960h and facebook/mms-1b-all have them."""
    if kind == "mms":
        return ["<pad>", "<s>", "</s>", "<unk>", "|", *MMS_LETTERS[language]]
    return ["<pad>", "<s>", "</s>", "<unk>", "|", *LETTERS]


def write_tiny_ctc(kind: str, out: Path, seed: int = 0) -> None:
    """Write one of KINDS, `raw` (a bare encoder) or `raw-pretraining` into `out`; another seed is another model."""
    import transformers

    torch.manual_seed(seed)
    made: Any
    if kind == "raw":
        made = transformers.Wav2Vec2Model(_config("wav2vec2-layer"))
    elif kind == "raw-pretraining":
        made = transformers.Wav2Vec2ForPreTraining(_config("wav2vec2-layer"))
    elif kind == "raw-w2v-bert":
        config = _config("w2v-bert")
        config.vocab_size = None  # as facebook/w2v-bert-2.0 has it
        made = transformers.Wav2Vec2BertModel(config)
    else:
        made = transformers.AutoModelForCTC.from_config(_config(kind))
    _stir(made)
    made.save_pretrained(out)
    if not kind.startswith("raw"):
        table: dict[str, Any] = {token: number for number, token in enumerate(tokens_of(kind))}
        if kind == "mms":
            table = {language: {token: number for number, token in enumerate(tokens_of(kind, language))} for language in MMS_LETTERS}
        _json(out / "vocab.json", table)
        names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "word_delimiter_token": "|"}
        _json(out / "tokenizer_config.json", names | {"tokenizer_class": "Wav2Vec2CTCTokenizer"} | ({"target_lang": "eng"} if kind == "mms" else {}))
    if kind == "mms":
        _write_language_adapters(made, out)
    _json(out / "preprocessor_config.json", _preprocessor(kind))


def _config(kind: str) -> Any:
    import transformers

    shared: dict[str, Any] = {
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "vocab_size": len(tokens_of(kind)),
        "pad_token_id": 0,
        "initializer_range": 0.2,  # ten times the usual, so that what the model says depends on what it hears
        "ctc_loss_reduction": "sum",
        "layerdrop": 0.1,  # published bases have both, and ours must switch them off
        "mask_time_prob": 0.5,
    }
    samples = shared | {"conv_dim": (WIDTH,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
    layered = samples | {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
    bert = shared | {"feature_projection_input_dim": 160, "conv_depthwise_kernel_size": 7, "left_max_position_embeddings": 16}
    made = {
        "wav2vec2-layer": lambda: transformers.Wav2Vec2Config(**layered),
        "wav2vec2-group": lambda: transformers.Wav2Vec2Config(**samples),
        "hubert": lambda: transformers.HubertConfig(**samples),
        "wavlm": lambda: transformers.WavLMConfig(**samples, num_buckets=32, max_bucket_distance=80),
        "conformer": lambda: transformers.Wav2Vec2ConformerConfig(**layered, position_embeddings_type="relative", conv_depthwise_kernel_size=7),
        "conformer-rotary": lambda: transformers.Wav2Vec2ConformerConfig(**layered, position_embeddings_type="rotary", conv_depthwise_kernel_size=7),
        "data2vec": lambda: transformers.Data2VecAudioConfig(**(samples | {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 9})),
        "w2v-bert": lambda: transformers.Wav2Vec2BertConfig(**bert),
        "w2v-bert-adapter": lambda: transformers.Wav2Vec2BertConfig(**bert, add_adapter=True, num_adapter_layers=1),
        "mms": lambda: transformers.Wav2Vec2Config(**layered, adapter_attn_dim=8),
    }
    return made[kind]()


def _stir(model: Any) -> None:
    """Norms and biases start as ones and zeros, and would hide mistakes about them."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1 and "masked_spec_embed" not in name:
            parameter.data += 0.1 * torch.randn_like(parameter)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer += 0.1 * torch.randn_like(buffer)
        if name.endswith("running_var"):
            buffer *= 1 + torch.rand_like(buffer)


def _write_language_adapters(model: Any, out: Path) -> None:
    for language in MMS_LETTERS:
        rows = len(tokens_of("mms", language))
        weights = {name: torch.randn_like(weight) * 0.2 for name, weight in model._get_adapters().items() if not name.startswith("lm_head")}
        weights |= {"lm_head.weight": torch.randn(rows, WIDTH) * 0.2, "lm_head.bias": torch.randn(rows) * 0.2}
        save_file(weights, out / f"adapter.{language}.safetensors", metadata={"format": "pt"})


def _preprocessor(kind: str) -> dict[str, Any]:
    if "w2v-bert" in kind:
        return {
            "feature_extractor_type": "SeamlessM4TFeatureExtractor",
            "feature_size": 80,
            "num_mel_bins": 80,
            "padding_side": "right",
            "padding_value": 1,
            "sampling_rate": 16_000,
            "stride": 2,
        }
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "do_normalize": True,
        "feature_size": 1,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": kind not in ("wav2vec2-group", "hubert", "wavlm"),
        "sampling_rate": 16_000,
    }


def edit_json(path: Path, **changes: Any) -> None:
    """Change fields of a JSON object; None removes one."""
    table = json.loads(path.read_text(encoding="utf-8")) | changes
    _json(path, {key: value for key, value in table.items() if value is not None})


def edit_weights(folder: Path, *, drop: str | None = None, halve: bool = False) -> None:
    """Take the weights of one name away, or write all in float16."""
    path = folder / "model.safetensors"
    state = {name: weight.half() if halve else weight for name, weight in load_file(path).items() if name != drop}
    save_file(state, path, metadata={"format": "pt"})


def _json(path: Path, table: dict[str, Any]) -> None:
    path.write_text(json.dumps(table), encoding="utf-8")
