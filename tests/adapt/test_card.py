"""The model card: a head the Hub can read, and code that loads the adapter."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from speechadapt.adapt.adapter import add_adapter
from speechadapt.adapt.card import EXPORT, FOLDER, NOT_SCORED, eval_results, proven_card, training_card
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
        "library_name": "peft",
        "pipeline_tag": "automatic-speech-recognition",
        "language": '["en"]',
        "tags": "[speechadapt, lora, speech-recognition]",
    }
    assert "base_model" not in head(card), "a folder of this machine is no id, and the Hub refuses it"
    assert "A lora adapter (rank 8, targets attention+mlp)" in card
    assert "1 known speakers (mandarin), step 40. Dev score of the chosen checkpoint: 0.2500." in card
    assert f"Base revision: `{model.base.revision}`" in card


def test_a_model_trained_whole_has_no_rank(model: SpeechModel, make_manifest: Callable[..., Manifest]) -> None:
    card = training_card(model, AdapterSpec(method="full"), make_manifest(1), 1, None)
    assert ModelCard(card).data.tags == ["speechadapt", "full-fine-tuning", "speech-recognition"]
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
    assert len(blocks) == 3
    for block in blocks:
        ast.parse(block)


def named(model: SpeechModel, name: str) -> SpeechModel:
    model.base = dataclasses.replace(model.base, id=name)
    return model


def test_a_base_of_the_hub_is_named(model: SpeechModel, make_manifest: Callable[..., Manifest]) -> None:
    data = ModelCard(training_card(named(model, "openai/whisper-tiny.en"), AdapterSpec(), make_manifest(1), 1, None)).data.to_dict()
    assert (data["base_model"], data["base_model_relation"]) == ("openai/whisper-tiny.en", "adapter")


@pytest.mark.parametrize(
    ("spec", "command"),
    [
        (AdapterSpec(rank=12), f"$ vllm serve openai/whisper-tiny.en --enable-lora --max-lora-rank 16 --lora-modules adapted={FOLDER}"),
        (AdapterSpec(method="dora"), f"$ vllm serve {EXPORT}"),
        (AdapterSpec(method="full"), f"$ vllm serve {EXPORT}"),
    ],
    ids=["lora", "dora", "full"],
)
def test_a_server_gets_what_it_can_read(spec: AdapterSpec, command: str, model: SpeechModel, make_manifest: Callable[..., Manifest]) -> None:
    card = training_card(named(model, "openai/whisper-tiny.en"), spec, make_manifest(1), 1, None)
    assert re.findall(r"^\$ .*", card, re.MULTILINE) == [command]


def test_a_ctc_model_is_not_sent_to_programs_for_whisper(ctc_folder: Callable[[str], Path], make_manifest: Callable[..., Manifest]) -> None:
    model = load_model(str(ctc_folder("wav2vec2-layer")), device="cpu")
    add_adapter(model, AdapterSpec(rank=2))
    card = training_card(model, AdapterSpec(rank=2), make_manifest(1), 1, None)
    assert "faster_whisper import" not in card
    assert "vllm serve" not in card
    assert f"`speechadapt export {FOLDER} --to onnx {EXPORT}`" in card


SETS: list[dict[str, Any]] = [
    {
        "name": "mine/test", "role": "test", "speakers": 4, "utterances": 20, "normalizer": "english", "normalizer_version": "v1",
        "base": {"wer": 0.4, "interval": {"low": 0.3, "high": 0.5}}, "adapted": {"wer": 0.25, "interval": None},
        "delta": -0.15, "ci95": [-0.2, -0.1], "verdict": "better", "short_window": {"wer": 0.24},
        "caveats": ["Few\nspeakers."],
    },
    {
        "name": "other|<b>", "role": "guard", "speakers": 1, "utterances": 3, "normalizer": "english", "normalizer_version": "v1",
        "base": {"wer": None, "interval": None}, "adapted": {"wer": None, "interval": None}, "delta": None, "ci95": None,
        "verdict": "not enough evidence",
    },
]  # fmt: skip


def test_the_verdict_comes_into_the_card_once(model: SpeechModel, make_manifest: Callable[..., Manifest]) -> None:
    card = training_card(model, AdapterSpec(), make_manifest(1, language="en"), 1, None)
    assert section(card, "Verdict") == NOT_SCORED
    proven = proven_card(card, SETS)
    assert section(proven, "Verdict").splitlines() == [
        "| set | role | speakers | utterances | base WER | adapted WER | change (95 % interval) | verdict |",
        "|---|---|---|---|---|---|---|---|",
        "| mine/test | test | 4 | 20 | 40.0 % (30.0 to 50.0) | 25.0 % | -15.0 points (-20.0 to -10.0) | better |",
        "| other/‹b› | guard | 1 | 3 | none | none | none | not enough evidence |",
        "",
        "Cost elsewhere: other/‹b› none, not enough evidence.",
        "In the short window, which speechadapt can use with adapters: mine/test 24.0 %.",
        "Mind, for mine/test: Few speakers.",
        "Intervals are over speakers. Normalizer: english (v1). Both systems were decoded alike, greedily, in the full window.",
    ]
    assert section(proven, "Data") == UNKNOWN_DATA
    assert proven_card(proven, SETS) == proven
    (result,) = ModelCard(proven).data.eval_results
    assert [result] == eval_results(SETS)
    assert ModelCard(str(ModelCard(proven))).data.to_dict() == ModelCard(proven).data.to_dict(), "written again it is the same"
    assert (result.metric_type, result.metric_value, result.dataset_type, result.dataset_name) == ("wer", 25.0, "mine-test", "mine/test (test set)")
    assert result.task_type == "automatic-speech-recognition"
    assert "No guard" not in proven
    assert "Cost elsewhere: no guard set was scored" in proven_card(card, SETS[:1])


def test_an_older_card_gets_its_verdict_before_the_rest() -> None:
    old = "---\nlibrary_name: peft\n---\n# Adapter\n\nOf a base.\n\n## Load it\n\ncode\n"
    proven = proven_card(old, SETS)
    assert proven.index("## Verdict") < proven.index("## Load it")
    assert proven.endswith("## Load it\n\ncode\n")
    assert proven_card("# Bare\n", SETS).rstrip().endswith("in the full window.")
