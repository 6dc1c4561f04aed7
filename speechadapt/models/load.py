"""Load a base model by name, whatever its family."""

from typing import Any

import torch

from speechadapt.errors import MisuseError, ModelError
from speechadapt.files import read_json
from speechadapt.models.sources import find_base
from speechadapt.models.speech_model import SpeechModel
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
    from transformers import WhisperForConditionalGeneration, WhisperTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        network = WhisperForConditionalGeneration.from_pretrained(found.folder, dtype=torch.float32, use_safetensors=True)
        tokenizer: Any = WhisperTokenizer.from_pretrained(found.folder)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{base}: {found.folder} could not be loaded ({str(error).splitlines()[0]}). Download the model again.") from error
    network.name_or_path = found.id  # PEFT writes it into adapters, where a cache path of this machine would mean nothing
    network.requires_grad_(False)
    network.eval()
    network.to(_device(device))
    return WhisperModel(found, network, tokenizer, language=language, task=task)


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
