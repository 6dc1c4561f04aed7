"""A base with the architecture of another and random weights, so that what pretraining is worth can be measured."""

import shutil
from pathlib import Path

import torch

from speechadapt.errors import MisuseError
from speechadapt.files import atomic_folder
from speechadapt.models.ctc_files import fill_vocabulary_size
from speechadapt.models.sources import find_base

SIDE_FILES = ("preprocessor_config.json", "processor_config.json")


def write_random_base(base: str, out: Path, *, seed: int = 0) -> None:
    """Write a folder with the base's configuration and preprocessor, and weights as transformers draws them for a new model.

    Like a base that was only pretrained it has no output layer and no vocabulary: those are made for the training text, and an exchange of
    random rows for others would start them worse than new ones.

    Args:
        base: a folder, Hub id or `embedded:NAME` of a CTC model.
        seed: the same one gives the same weights.

    Raises:
        ModelError: the base is not found.
        MisuseError: it is not a CTC model; those of other families would need far more speech than anyone adapts on.
    """
    from transformers import AutoConfig, AutoModelForCTC
    from transformers.utils import logging

    logging.disable_progress_bar()
    found = find_base(base)
    config = AutoConfig.from_pretrained(found.folder)
    if config.model_type == "whisper":
        raise MisuseError(f"{base} is a Whisper model, which nobody can train from random weights on a corpus for adaptation. Choose a CTC base.")
    fill_vocabulary_size(config)
    torch.manual_seed(seed)
    network = AutoModelForCTC.from_config(config)
    with atomic_folder(out) as temporary:
        network.base_model.save_pretrained(temporary)
        for name in SIDE_FILES:
            if (found.folder / name).is_file():
                shutil.copyfile(found.folder / name, temporary / name)
