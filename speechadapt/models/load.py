"""Load a base model by name, whatever its family."""

from typing import Any

import torch
from safetensors import SafetensorError

from speechadapt.errors import MisuseError, ModelError
from speechadapt.files import read_json
from speechadapt.models.sources import find_base
from speechadapt.models.speech_model import BaseModel, SpeechModel
from speechadapt.models.whisper import WhisperModel


def load_model(
    base: str, *, revision: str | None = None, language: str | None = None, task: str = "transcribe", device: str | None = None
) -> SpeechModel:
    """Load a pretrained recognizer in float32, ready to decode or to be adapted.

    Args:
        base: a folder or a Hub id; see `find_base` for where it is looked for.
        revision: on the Hub; the commit found is recorded in `model.base`.
        language: for multilingual models: the language token; None detects it per clip, which training and scoring refuse.
        task: `transcribe` or `translate`.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; None takes the best there is.

    Raises:
        ModelError: not found, broken, or of a family that is not supported.
        MisuseError: a language, task or device that does not exist.
    """
    found = find_base(base, revision)
    family = read_json(found.folder / "config.json").get("model_type")
    if family != "whisper":
        raise ModelError(f'{base}: a model of type "{family}"; only "whisper" can be adapted so far. Choose a Whisper model.')
    network, tokenizer = _read_whisper(found)
    network.name_or_path = found.id  # PEFT writes it into adapters, where a cache path of this machine would mean nothing
    network.requires_grad_(False)
    network.eval()
    network.to(_device(device))
    return WhisperModel(found, network, tokenizer, language=language, task=task)


def _read_whisper(found: BaseModel) -> tuple[Any, Any]:
    """transformers' model in float32 and its tokenizer; it would make up what a folder lacks, so that is looked for here."""
    from transformers import WhisperForConditionalGeneration, WhisperTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # its report of missing weights is our error
    try:
        network, report = WhisperForConditionalGeneration.from_pretrained(
            found.folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
        tokenizer = WhisperTokenizer.from_pretrained(found.folder)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{found.id}: {found.folder} could not be loaded ({str(error).splitlines()[0]}). Download the model again.") from error
    finally:
        logging.set_verbosity(verbosity)
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"{found.id}: its weights lack {len(missing)} of the model's parameters, the first is {missing[0]}. Download the model again."
        )
    if tokenizer.convert_ids_to_tokens(network.config.decoder_start_token_id) != "<|startoftranscript|>":
        raise ModelError(f"{found.id}: the tokenizer in {found.folder} is missing or of another model. Copy tokenizer.json from the original model.")
    return network, tokenizer


def _device(wanted: str | None) -> torch.device:
    if wanted is None:
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MisuseError(f'device is "{wanted}", which cannot be used here ({str(error).splitlines()[0]}). Try device=cpu.') from error
    return device
