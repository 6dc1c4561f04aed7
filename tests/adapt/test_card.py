"""The model card: a head the Hub can read, and code that loads the adapter."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from speechadapt.adapt.card import training_card
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.data.manifest import Manifest
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import SpeechModel


@pytest.fixture
def model(whisper_folder: Callable[[str], Path]) -> SpeechModel:
    return load_model(str(whisper_folder("english")), device="cpu")


def head(card: str) -> dict[str, str]:
    block = card.split("---\n")[1]
    return dict(line.split(": ", 1) for line in block.splitlines())


def test_the_head_is_what_the_hub_reads(model: SpeechModel, make_manifest: Callable[..., Manifest]) -> None:
    card = training_card(model, AdapterSpec(rank=8), make_manifest(3, language="en", accent="mandarin", speaker="so:1"), 40, 0.25)
    assert card.startswith("---\n")
    assert head(card) == {
        "base_model": f'"{model.base.id}"',
        "library_name": "peft",
        "pipeline_tag": "automatic-speech-recognition",
        "language": '["en"]',
        "tags": "[speechadapt, lora, speech-recognition]",
    }
    assert "A lora adapter (rank 8, targets attention+mlp)" in card
    assert "1 known speakers (mandarin), step 40. Dev score of the chosen checkpoint: 0.2500." in card
    assert f"Base revision: `{model.base.revision}`" in card


def test_a_model_trained_whole_has_no_rank(model: SpeechModel, make_manifest: Callable[..., Manifest]) -> None:
    card = training_card(model, AdapterSpec(method="full"), make_manifest(1), 1, None)
    assert "A copy of the base with every weight trained, made with speechadapt" in card
    assert "rank" not in card


def test_nothing_is_claimed_that_is_not_known(model: SpeechModel, make_manifest: Callable[..., Manifest]) -> None:
    card = training_card(model, AdapterSpec(), make_manifest(1), 1, None)
    assert "language" not in head(card)
    assert "Dev score" not in card
    assert "0 known speakers, step 1." in card


def test_its_code_is_python(model: SpeechModel, make_manifest: Callable[..., Manifest]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", training_card(model, AdapterSpec(), make_manifest(1), 1, None), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        ast.parse(block)
