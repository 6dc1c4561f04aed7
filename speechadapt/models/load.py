"""Load a base model by name, whatever its family."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from speechadapt.errors import MisuseError, ModelError, SpeechadaptError
from speechadapt.files import read_json
from speechadapt.models.ctc import CTCModel
from speechadapt.models.ctc_files import no_weights_missing, read_ctc
from speechadapt.models.sources import CTC_TYPES, find_base, of_another_family
from speechadapt.models.speech_model import BaseModel, SpeechModel
from speechadapt.models.whisper import WhisperModel


def load_model(
    base: str, *, revision: str | None = None, language: str | None = None, task: str = "transcribe", device: str | None = None
) -> SpeechModel:
    """Load a pretrained recognizer in float32, ready to decode or to be adapted.

    Args:
        base: a folder, a Hub id, or `embedded:NAME`; see `find_base` for where it is looked for.
        revision: on the Hub; the commit found is recorded in `model.base`.
        language: of a multilingual Whisper: the language token; None detects it per clip, which training and scoring refuse. Of MMS: the
            language whose adapter is taken. Of other CTC models: any code, recorded and used for spelling numbers.
        task: `transcribe` or `translate` (Whisper).
        device: `cpu`, `cuda`, `cuda:1`, `mps`; None takes the best there is.

    Raises:
        ModelError: not found, broken, or of a family that is not supported.
        MisuseError: a language, task or device that does not exist.
    """
    found = find_base(base, revision)
    config = read_json(found.folder / "config.json")
    family = config.get("model_type") if isinstance(config, dict) else None
    if family == "whisper":
        with _quiet_transformers(found):
            network, tokenizer = _read_whisper(found)
        return WhisperModel(found, _ready(found, network, device), tokenizer, language=language, task=task)
    if family in CTC_TYPES:
        if task != "transcribe":
            raise MisuseError(f'task is "{task}", but {base} is a CTC model, which can only transcribe. Choose a multilingual Whisper to translate.')
        with _quiet_transformers(found):
            network, front_end, vocabulary = read_ctc(found, language)
        network = _ready(found, network, device)
        if network.device.type == "cpu":
            # torch's fused attention has to be masked here, and is slower on processors than the plain products (docs/log.md)
            network.set_attn_implementation("eager")
        return CTCModel(found, network, front_end, vocabulary, language=language)
    raise ModelError(of_another_family(base, family))


def _ready(found: BaseModel, network: Any, device: str | None) -> Any:
    network.name_or_path = found.id  # PEFT writes it into adapters, where a cache path of this machine would mean nothing
    network.requires_grad_(False)
    network.eval()
    return network.to(_device(device))


@contextlib.contextmanager
def _quiet_transformers(found: BaseModel) -> Iterator[None]:
    """Its report of missing weights is our error, and so is what it raises for broken files."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    except SpeechadaptError:
        raise
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        raise ModelError(f"{found.id}: {found.folder} could not be loaded ({str(error).splitlines()[0]}). Download the model again.") from error
    finally:
        logging.set_verbosity(verbosity)


def _read_whisper(found: BaseModel) -> tuple[Any, Any]:
    """transformers' model in float32 and its tokenizer; it would make up what a folder lacks, so that is looked for here."""
    from transformers import WhisperForConditionalGeneration, WhisperTokenizer

    network, report = WhisperForConditionalGeneration.from_pretrained(
        found.folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True
    )
    tokenizer = WhisperTokenizer.from_pretrained(found.folder)
    no_weights_missing(found, report["missing_keys"])
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
