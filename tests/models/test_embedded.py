"""The base that ships with the package: small, honest about itself, and able to recognize what its card says."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import jiwer
import pytest
import torch
from safetensors import safe_open

from speechadapt.models.load import load_model
from speechadapt.models.sources import find_base, installed_models
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.synthetic.sentences import sentences
from speechadapt.text.spelling import spell_for_ctc

if TYPE_CHECKING:
    from speechadapt.models.speech_model import SpeechModel

NAME = "embedded:wav2vec2-small"
MOST_BYTES = 16 * 2**20


@pytest.fixture(scope="module")
def base() -> SpeechModel:
    return load_model(NAME, language="en", device="cpu")


def test_it_is_small_and_in_half_precision() -> None:
    folder = find_base(NAME).folder
    weights = folder / "model.safetensors"
    assert weights.stat().st_size <= MOST_BYTES
    with safe_open(weights, framework="pt") as tensors:
        assert {tensors.get_slice(name).get_dtype() for name in tensors.keys()} == {"F16"}  # noqa: SIM118
    assert {path.name for path in folder.iterdir()} >= {"config.json", "preprocessor_config.json", "vocab.json", "tokenizer_config.json", "README.md"}


def test_its_card_says_what_it_is() -> None:
    card = (find_base(NAME).folder / "README.md").read_text(encoding="utf-8")
    for said in ("teaching and testing", "synthetic", "eSpeak NG", "recordings of people", "recipes/pretrain"):
        assert said in card, said


def test_it_is_listed_first() -> None:
    assert installed_models()[0]["name"] == NAME


def test_it_loads_in_single_precision_between_2_and_8_million_parameters(base: SpeechModel) -> None:
    parameters = list(base.network.parameters())
    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    assert 2_000_000 <= sum(parameter.numel() for parameter in parameters) <= 8_000_000


def test_it_recognizes_sentences_it_has_not_heard(base: SpeechModel) -> None:
    pytest.importorskip("hibari", reason="the synthetic voice is not installed")
    from speechadapt.synthetic.voice import load_voice

    voice = load_voice()
    texts = list(itertools.islice(sentences("test", seed=5), 20))
    results = base.decode([voice.speak(voice.phonemes(text)) for text in texts], DecodeSettings(precision="fp32"))
    wer = jiwer.wer([spell_for_ctc(text, "en", "lower") for text in texts], [result.text for result in results])
    # the card's figure, measured on ten times as many clips, is below 0.15; 20 sentences spread by about 0.04
    assert wer < 0.25, [result.text for result in results]


def test_transformers_alone_reads_the_folder() -> None:
    from transformers import AutoModelForCTC, Wav2Vec2Processor

    folder: Path = find_base(NAME).folder
    processor, network = Wav2Vec2Processor.from_pretrained(folder), AutoModelForCTC.from_pretrained(folder)
    assert network.config.vocab_size == len(processor.tokenizer)
    assert processor.feature_extractor.sampling_rate == 16_000
