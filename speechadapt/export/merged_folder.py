"""Merged: a plain Hugging Face folder with the adapter added into the weights, which transformers loads alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from speechadapt.errors import SpeechadaptError
from speechadapt.export.source import Source
from speechadapt.files import read_object, write_json
from speechadapt.models.ctc import CTCModel
from speechadapt.models.vocabulary import VOCABULARY_FILE, read_table
from speechadapt.models.whisper import WhisperModel

TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "normalizer.json"),
    *("added_tokens.json", "special_tokens_map.json"),
)
PREPROCESSOR = "preprocessor_config.json"
BERT_PROCESSOR, CTC_PROCESSOR = "Wav2Vec2BertProcessor", "Wav2Vec2Processor"


def write_merged(source: Source, out: Path, *, quantization: str = "float32") -> None:
    """Write weights, configuration, and the processor's files into an existing folder.

    Args:
        source: the merged model; left as it is.
        out: an empty folder.
        quantization: float32 or float16, of the weights as they are stored.

    Raises:
        OSError: the disk is full.
    """
    model = source.model
    try:
        if isinstance(model, WhisperModel):
            _save_whisper(model, out)
        elif isinstance(model, CTCModel):
            _save_ctc(model, out)
        else:
            raise TypeError(type(model).__name__)
        if quantization == "float16":
            _halve(out)
    except SafetensorError as error:  # what its writer makes of the system's error
        raise OSError(str(error)) from error


def _save_whisper(model: WhisperModel, out: Path) -> None:
    model.whisper.save_pretrained(out)
    settings = read_object(out / "generation_config.json")
    # what transformers would otherwise detect per clip, or refuse as a conflict with the language asked for
    settings.pop("forced_decoder_ids", None)
    if model.multilingual:
        settings |= {"task": model.task} | ({"language": model.language} if model.language is not None else {})
    write_json(out / "generation_config.json", settings)
    _copy(model.base.folder, out, TOKENIZER_FILES)
    if not (out / "tokenizer.json").is_file():
        model.tokenizer.save_pretrained(out)
    from transformers import WhisperFeatureExtractor

    WhisperFeatureExtractor(feature_size=model.mels).save_pretrained(out)
    _add(out / PREPROCESSOR, processor_class="WhisperProcessor")


def _save_ctc(model: CTCModel, out: Path) -> None:
    network = model.ctc
    several = getattr(network.config, "adapter_attn_dim", None) is not None
    network.save_pretrained(out)
    _plain_config(out / "config.json", network.config)
    if model.head == "kept":
        _copy(model.base.folder, out, TOKENIZER_FILES)
        if several:
            table = read_table(model.base.folder)[str(model.language)]
            write_json(out / VOCABULARY_FILE, {model.language: table})
    elif model.vocabulary is not None:
        model.vocabulary.write(out)
        if several:
            write_json(out / VOCABULARY_FILE, {model.language: read_table(out)})
    if several:  # MMS keeps a language's layers in a file of their own as well, and asks for it
        from safetensors.torch import save_file

        weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network._get_adapters().items()}
        save_file(weights, out / f"adapter.{model.language}.safetensors", metadata={"format": "pt"})
        _add(out / "tokenizer_config.json", target_lang=model.language)
    front_end = model.frames.front_end
    processor = CTC_PROCESSOR if front_end.mels is None else BERT_PROCESSOR
    write_json(out / PREPROCESSOR, front_end.to_json() | {"processor_class": processor})
    _add(out / "tokenizer_config.json", processor_class=processor, tokenizer_class="Wav2Vec2CTCTokenizer")


def _plain_config(path: Path, config: Any) -> None:
    """The size of the output layer and the blank as they are; training's switches do no harm."""
    _add(path, vocab_size=config.vocab_size, pad_token_id=config.pad_token_id)


def _copy(source: Path, out: Path, names: tuple[str, ...]) -> None:
    for name in names:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)


def _add(path: Path, **values: Any) -> None:
    """Set keys of a JSON object; a file that is not there is made."""
    settings = read_object(path) if path.is_file() else {}
    write_json(path, settings | values)


def _halve(out: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    for path in sorted(out.glob("*.safetensors")):
        with safe_open(path, framework="pt") as weights:
            tensors = {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118
        save_file({name: t.to(torch.float16) if t.is_floating_point() else t for name, t in tensors.items()}, path, metadata={"format": "pt"})
    _add(out / "config.json", dtype="float16")


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def check_side_files(folder: Path, names: tuple[str, ...]) -> None:
    """See that every file that a runtime needs beside the weights is there and reads.

    Raises:
        SpeechadaptError: one is missing or broken.
    """
    for name in names:
        path = folder / name
        if not path.is_file():
            raise SpeechadaptError(f"{path}: missing, and the runtime needs it. Copy it from the original model into the base's folder.")
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
