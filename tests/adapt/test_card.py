"""The model card: a head the Hub can read, and code that loads the adapter."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from speechadapt.adapt.card import training_card
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.data.corpus_record import UNKNOWN, CorpusRecord
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


UNKNOWN_DATA = (
    "It is not recorded which corpus it was trained on, so the license of the training data is unknown. Find it out before you pass this on."
)


def section(card: str, name: str) -> str:
    return card.split(f"## {name}\n\n")[1].split("\n\n## ")[0]


def test_the_terms_of_every_training_corpus_are_told(model: SpeechModel, make_manifest: Callable[..., Manifest]) -> None:
    fleurs = CorpusRecord(
        name="fleurs", title="FLEURS", license="CC BY 4.0", commercial_use="yes", home="https://huggingface.co/datasets/google/fleurs"
    )
    mine = CorpusRecord(name="mine", home="your own disk")
    card = training_card(model, AdapterSpec(), make_manifest(1), 1, None, [fleurs, mine, UNKNOWN])
    assert section(card, "Data").splitlines() == [
        "It was trained on:",
        "",
        "- FLEURS (fleurs): license CC BY 4.0; commercial use: yes",
        "- Attribution: the license asks to name FLEURS and its owners wherever this is passed on.",
        "- Privacy: Do not try to find out who the speakers are, and do not publish what could tell.",
        "- mine: license not stated; commercial use: not stated",
        "- a folder without corpus.json: the license of its data is unknown",
    ]
    read = ModelCard(card).data.to_dict()  # as the Hub's own library reads it
    assert read["datasets"] == ["google/fleurs"]
    assert "license" not in read, "that of the adapter is its owner's to choose"


@pytest.mark.parametrize("corpora", [(), (UNKNOWN,)])
def test_unknown_data_is_called_unknown(corpora: tuple[CorpusRecord, ...], model: SpeechModel, make_manifest: Callable[..., Manifest]) -> None:
    card = training_card(model, AdapterSpec(), make_manifest(1), 1, None, corpora)
    assert section(card, "Data") == UNKNOWN_DATA
    assert "datasets" not in head(card)


def test_its_code_is_python(model: SpeechModel, make_manifest: Callable[..., Manifest]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", training_card(model, AdapterSpec(), make_manifest(1), 1, None), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        ast.parse(block)
