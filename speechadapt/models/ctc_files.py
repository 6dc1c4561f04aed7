"""Read the folder of a CTC base: its network in float32, how its inputs are made, and its vocabulary."""

import difflib
from collections.abc import Iterable
from typing import Any

import torch

from speechadapt.errors import MisuseError, ModelError
from speechadapt.files import read_json
from speechadapt.models.ctc_network import FrontEnd
from speechadapt.models.sources import fetch_beside
from speechadapt.models.speech_model import BaseModel
from speechadapt.models.vocabulary import Vocabulary, read_table, read_vocabulary
from speechadapt.units import SAMPLING_RATE

HEAD = {"lm_head.weight", "lm_head.bias"}
UNUSED_ROWS = 32
"""What most families of transformers give an output layer that nobody asked for."""


def read_ctc(found: BaseModel, language: str | None) -> tuple[Any, FrontEnd, Vocabulary | None]:
    """Read a base.

    Args:
        found: its files.
        language: of MMS, which has an adapter and a vocabulary per language.

    Returns:
        transformers' `...ForCTC`, the front end, and the vocabulary; None for a base that was only pretrained, whose output layer is
        zeros until a vocabulary is built.

    Raises:
        ModelError: another sampling rate, missing weights, or a vocabulary that does not belong to the output layer.
        MisuseError: MMS without a language, or with one that it does not know.
        OSError, ValueError, RuntimeError: what transformers raises for broken files.
    """
    from transformers import AutoConfig, AutoModelForCTC

    config = AutoConfig.from_pretrained(found.folder)
    front_end = _front_end(found, config)
    spoken = getattr(config, "adapter_attn_dim", None) is not None
    if spoken:
        _check_language(found, language)
    # masks and dropped layers would be drawn inside the network, from other generators than ours; ours are in `CTCModel.mask`
    fill_vocabulary_size(config)
    config.apply_spec_augment = False
    config.mask_time_prob = config.mask_feature_prob = config.layerdrop = 0.0
    network, report = AutoModelForCTC.from_pretrained(
        found.folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
    )
    missing = set(report["missing_keys"])
    if missing == HEAD:
        with torch.no_grad():  # transformers has filled it with random numbers, others each time
            network.lm_head.weight.zero_()
            network.lm_head.bias.zero_()
        vocabulary = None
    else:
        no_weights_missing(found, missing)
        if spoken:
            network.load_adapter(language, use_safetensors=True, local_files_only=True)
        vocabulary = read_vocabulary(found.folder, network.lm_head.out_features, language if spoken else None)
    if hasattr(network, "freeze_feature_encoder"):
        network.freeze_feature_encoder()
    return network, front_end, vocabulary


def fill_vocabulary_size(config: Any) -> None:
    """Give a size to the output layer of a base that was only pretrained and has none (w2v-BERT 2.0); it is replaced before training."""
    if config.vocab_size is None:
        config.vocab_size = UNUSED_ROWS


def no_weights_missing(found: BaseModel, missing: Iterable[str]) -> None:
    """transformers makes up what the files lack and only logs it.

    Raises:
        ModelError: something is missing.
    """
    names = sorted(missing)
    if names:
        raise ModelError(f"{found.id}: its weights lack {len(names)} of the model's parameters, the first is {names[0]}. Download the model again.")


def _front_end(found: BaseModel, config: Any) -> FrontEnd:
    settings = _preprocessor(found)
    rate = settings.get("sampling_rate", SAMPLING_RATE)
    if rate != SAMPLING_RATE:
        raise ModelError(
            f"{found.id}: was trained on audio of {rate} Hz (preprocessor_config.json), speechadapt gives {SAMPLING_RATE} Hz. "
            f"Choose a base trained on {SAMPLING_RATE} Hz."
        )
    if config.model_type != "wav2vec2-bert":
        masked = getattr(config, "feat_extract_norm", "layer") == "layer"
        return FrontEnd(
            mels=None,
            stride=1,
            normalize=bool(settings.get("do_normalize", True)),
            attention_mask=bool(settings.get("return_attention_mask", masked)),
        )
    mels, stride = int(settings.get("num_mel_bins", 80)), int(settings.get("stride", 2))
    if mels * stride != config.feature_projection_input_dim:
        raise ModelError(
            f"{found.id}: its network reads {config.feature_projection_input_dim} values per frame (config.json), "
            f"its preprocessor_config.json gives {mels} mel bins times {stride}. Copy both from the original model."
        )
    return FrontEnd(mels=mels, stride=stride, normalize=True, attention_mask=True)


def _preprocessor(found: BaseModel) -> dict[str, Any]:
    """`preprocessor_config.json`, or its place in the `processor_config.json` of newer models; empty where a base has neither."""
    own, shared = found.folder / "preprocessor_config.json", found.folder / "processor_config.json"
    settings = read_json(own) if own.is_file() else read_json(shared).get("feature_extractor") if shared.is_file() else None
    return settings if isinstance(settings, dict) else {}


def _check_language(found: BaseModel, language: str | None) -> None:
    known = sorted(key for key, value in read_table(found.folder).items() if isinstance(value, dict))
    if not known:
        raise ModelError(f"{found.id}: its vocab.json has no table per language, as MMS has. Copy it from the original model.")
    if language not in known:
        near = difflib.get_close_matches(language or "", known, n=3)
        some = ", ".join([*near, *[code for code in known if code not in near][: 10 - len(near)]])
        chosen = "none was chosen" if language is None else f'language is "{language}", which is none of them'
        raise MisuseError(
            f"{found.id} has an adapter for each of {len(known)} languages, and {chosen}: {some}{', …' if len(known) > 10 else ''}. "
            "Set the language to one of its codes (ISO 639-3, three letters)."
        )
    if not fetch_beside(found, f"adapter.{language}.safetensors"):
        raise ModelError(
            f"{found.id}: its adapter.{language}.safetensors is not in {found.folder}, and the Hub did not give it. "
            "Connect once to the Hub, or copy the file there."
        )
