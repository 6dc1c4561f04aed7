"""What an adapter and a training run may be asked to be."""

import dataclasses
import json
from typing import Any

import pytest

from speechadapt.adapt.spec import FAMILY_DEFAULTS, AdapterSpec, TrainSettings
from speechadapt.errors import MisuseError

SPEC_RANGES = [
    ("rank", 0, "1 to 1024"),
    ("rank", 1025, "1 to 1024"),
    ("alpha", 0.0, "0.001 to 4096"),
    ("dropout", -0.1, "0 to 0.9"),
    ("dropout", 1.0, "0 to 0.9"),
    ("rare", 0, "1 to 1000000"),
]

SETTINGS_RANGES = [
    ("steps", 0, "1 to 10000000"),
    ("epochs", 0.0, "0.01 to 10000"),
    ("batch_seconds", 0.5, "1 to 100000"),
    ("accumulate", 0, "1 to 1024"),
    ("learning_rate", 0.0, "1e-08 to 1"),
    ("learning_rate", 2.0, "1e-08 to 1"),
    ("warmup_share", 1.5, "0 to 1"),
    ("final_share", -0.1, "0 to 1"),
    ("weight_decay", 2.0, "0 to 1"),
    ("max_grad_norm", 0.0, "1e-06 to 1000000.0"),
    ("margin_seconds", 30.0, "0 to 29"),
    ("full_window_share", 1.01, "0 to 1"),
    ("time_masks", 21, "0 to 20"),
    ("time_mask_share", 0.6, "0 to 0.5"),
    ("freq_masks", -1, "0 to 20"),
    ("freq_mask_bins", 61, "0 to 60"),
    ("average_decay", 1.0, "0 to 0.9999"),
    ("label_smoothing", 0.6, "0 to 0.5"),
    ("replay_divergence", -1.0, "0 to 100"),
    ("evaluate_every", 0, "1 to 10000000"),
    ("learning_rate", float("nan"), "1e-08 to 1"),
]


@pytest.mark.parametrize(("field", "value", "allowed"), SPEC_RANGES)
def test_ranges_of_the_spec(field: str, value: Any, allowed: str) -> None:
    with pytest.raises(MisuseError) as caught:
        AdapterSpec(**{field: value})
    assert str(caught.value) == f"setting {field} is {value}, must be from {allowed}. Correct the setting."


@pytest.mark.parametrize(("field", "value", "allowed"), SETTINGS_RANGES)
def test_ranges_of_the_settings(field: str, value: Any, allowed: str) -> None:
    with pytest.raises(MisuseError) as caught:
        TrainSettings(**{field: value})
    assert str(caught.value) == f"setting {field} is {value}, must be from {allowed}. Correct the setting."


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdapterSpec(method="adalora"), 'setting method is "adalora", must be one of: lora, rslora, dora, full. Correct the setting.'),
        (
            lambda: AdapterSpec(targets="all"),
            'setting targets is "all", must be one of: attention, attention+mlp, encoder, decoder. Correct the setting.',
        ),
        (lambda: AdapterSpec(vocabulary="build"), 'setting vocabulary is "build", must be one of: auto, keep, extend, new. Correct the setting.'),
        (lambda: TrainSettings(precision="fp16"), 'setting precision is "fp16", must be one of: auto, fp32, bf16. Correct the setting.'),
        (lambda: TrainSettings(speed_perturb=(1.0, 3.0)), "setting speed_perturb is 3.0, must be from 0.5 to 2. Correct the setting."),
        (
            lambda: TrainSettings(speed_perturb=()),
            "setting speed_perturb is empty, must hold at least one factor. Use (1.0,) to turn it off.",
        ),
    ],
)
def test_choices(make: Any, message: str) -> None:
    with pytest.raises(MisuseError) as caught:
        make()
    assert str(caught.value) == message


def test_both_are_json() -> None:
    assert json.loads(json.dumps(AdapterSpec(rank=8).to_json()))["rank"] == 8
    assert json.loads(json.dumps(TrainSettings(steps=3).for_family("whisper").to_json()))["speed_perturb"] == [0.85, 0.93, 1.0, 1.08, 1.18]
    assert AdapterSpec(**AdapterSpec(rank=8, method="dora").to_json()) == AdapterSpec(rank=8, method="dora")


WHISPER = {
    "epochs": 5.0,
    "batch_seconds": 64.0,
    "learning_rate": 4e-4,
    "speed_perturb": (0.85, 0.93, 1.0, 1.08, 1.18),
    "time_masks": 2,
    "time_mask_share": 0.1,
    "freq_masks": 2,
    "freq_mask_bins": 20,
    "average_decay": 0.97,
    "label_smoothing": 0.1,
    "replay_divergence": 0.0,
}
"""What docs/log.md measured; another value is another experiment."""


def test_a_family_fills_in_what_was_left_to_it() -> None:
    given = TrainSettings(steps=7, time_masks=0)
    assert given.learning_rate is None
    chosen = given.for_family("whisper")
    assert {name: getattr(chosen, name) for name in WHISPER} == WHISPER | {"time_masks": 0}
    assert (chosen.steps, chosen.seed, chosen.warmup_share) == (7, given.seed, given.warmup_share)
    assert chosen.for_family("ctc") == chosen, "what is filled in stays"
    assert TrainSettings().for_family("ctc").learning_rate != chosen.learning_rate


@pytest.mark.parametrize("family", FAMILY_DEFAULTS)
def test_every_family_fills_in_every_field_within_its_range(family: str) -> None:
    chosen = TrainSettings().for_family(family)
    left = {field.name for field in dataclasses.fields(chosen) if getattr(chosen, field.name) is None}
    assert left == {"steps", "evaluate_every"}, "these two mean the same in every family when absent"
    assert FAMILY_DEFAULTS[family].keys() == WHISPER.keys()
    TrainSettings(**chosen.to_json())  # checks the ranges


def test_the_edges_are_allowed() -> None:
    AdapterSpec(rank=1024, dropout=0.9, alpha=0.001)
    TrainSettings(steps=1, warmup_share=0, final_share=1, speed_perturb=(0.5, 2.0), time_masks=0, freq_masks=0, margin_seconds=0)
