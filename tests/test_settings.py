"""`--set`: types are kept, and every refusal says what was found and what is allowed."""

import types
from pathlib import Path

import pytest

from speechadapt.adapt.spec import AdapterSpec, TrainSettings
from speechadapt.errors import MisuseError
from speechadapt.settings import Setting, override, parse_value, settings_of, to_json


@pytest.fixture
def settings() -> dict[str, Setting]:
    module = types.ModuleType("a_recipe")
    source = """
from pathlib import Path
from speechadapt.adapt.spec import AdapterSpec, TrainSettings

BASE: str = "openai/whisper-tiny.en"
DATA: Path = Path("data")
LIMIT: int | None = None
SHARE: float = 0.5
NOISE: bool = True
GUARDS: tuple[Path, ...] = ()
ROUNDS = 3
SPEC = AdapterSpec()
TRAIN: TrainSettings = TrainSettings()
_PRIVATE = 1
lower = 2
"""
    exec(source, module.__dict__)
    return settings_of(module)


def test_settings_are_the_upper_case_names_in_order(settings: dict[str, Setting]) -> None:
    assert list(settings) == ["BASE", "DATA", "LIMIT", "SHARE", "NOISE", "GUARDS", "ROUNDS", "SPEC", "TRAIN"]
    assert settings["LIMIT"].type == int | None
    assert settings["ROUNDS"].type is int
    assert settings["SPEC"].type is AdapterSpec


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [
        ("BASE=openai/whisper-base", "BASE", "openai/whisper-base"),
        ("BASE=a=b", "BASE", "a=b"),
        ("DATA=/some/where", "DATA", Path("/some/where")),
        ("LIMIT=5", "LIMIT", 5),
        ("LIMIT=none", "LIMIT", None),
        ("SHARE=1e-3", "SHARE", 1e-3),
        ("SHARE=1", "SHARE", 1.0),
        ("NOISE=False", "NOISE", False),
        ("GUARDS=a.jsonl,b.jsonl", "GUARDS", (Path("a.jsonl"), Path("b.jsonl"))),
        ("GUARDS=", "GUARDS", ()),
        ("ROUNDS=-2", "ROUNDS", -2),
    ],
)
def test_a_value_takes_the_declared_type(settings: dict[str, Setting], assignment: str, name: str, value: object) -> None:
    changed = override(settings, [assignment])[name].value
    assert changed == value
    assert type(changed) is type(value)


def test_a_field_of_a_record_is_replaced_and_the_rest_is_kept(settings: dict[str, Setting]) -> None:
    changed = override(settings, ["TRAIN.steps=200", "TRAIN.speed_perturb=0.9,1.1", "SPEC.rank=8"])
    assert changed["TRAIN"].value == TrainSettings(steps=200, speed_perturb=(0.9, 1.1))
    assert changed["SPEC"].value == AdapterSpec(rank=8)
    assert settings["TRAIN"].value == TrainSettings()  # what was given is not touched


def test_a_field_left_to_the_family_is_none_and_may_be_left_to_it_again(settings: dict[str, Setting]) -> None:
    assert settings["TRAIN"].value.learning_rate is None
    changed = override(settings, ["TRAIN.learning_rate=1e-3"])
    assert changed["TRAIN"].value.learning_rate == 1e-3
    assert override(changed, ["TRAIN.learning_rate=none"])["TRAIN"].value == TrainSettings()


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("TRAIN.stepz=5", '--set TRAIN.stepz: no setting is called "TRAIN.stepz". Did you mean "TRAIN.steps"? There are: BASE, DATA, '),
        ("base=x", '--set base: no setting is called "base". Did you mean "BASE"? There are: BASE, DATA, '),
        ("ZZZZ=x", '--set ZZZZ: no setting is called "ZZZZ". There are: BASE, DATA, '),
        ("BASE.name=x", '--set BASE.name: no setting is called "BASE.name". Did you mean "BASE"?'),
        ("TRAIN.steps=many", '--set TRAIN.steps: found "many", must be a whole number, such as 200 or none. Correct the value.'),
        ("TRAIN.steps=2.5", '--set TRAIN.steps: found "2.5", must be a whole number, such as 200 or none. Correct the value.'),
        ("TRAIN.steps=0", "setting steps is 0, must be from 1 to 10000000. Correct the setting."),
        ("SHARE=nan", '--set SHARE: found "nan", must be a number, such as 0.001. Correct the value.'),
        ("NOISE=1", '--set NOISE: found "1", must be true or false. Correct the value.'),
        ("ROUNDS=none", '--set ROUNDS: found "none", must be a whole number, such as 200. Correct the value.'),
        ("SPEC=lora", "--set SPEC=lora: SPEC is a record of several values. Set one of its fields, such as --set SPEC.method=..."),
        ("SPEC.rank=4097", "setting rank is 4097, must be from 1 to 1024. Correct the setting."),
        ("SPEC.method=magic", 'setting method is "magic", must be one of: lora, rslora, dora, full. Correct the setting.'),
        (
            "TRAIN.speed_perturb=fast",
            '--set TRAIN.speed_perturb: found "fast", must be a number, such as 0.001 (several with commas between) or none. Correct the value.',
        ),
        ("BASE", '--set "BASE": no "=" between a name and a value. Write it as --set NAME=value.'),
        ("=3", '--set "=3": no "=" between a name and a value. Write it as --set NAME=value.'),
    ],
)
def test_what_cannot_be_set_is_refused_in_words(settings: dict[str, Setting], assignment: str, message: str) -> None:
    with pytest.raises(MisuseError) as refused:
        override(settings, [assignment])
    assert str(refused.value).startswith(message)
    assert refused.value.exit_code == 2


def test_an_unknown_name_is_answered_with_every_valid_one(settings: dict[str, Setting]) -> None:
    with pytest.raises(MisuseError) as refused:
        override(settings, ["QQ=1"])
    named = str(refused.value).partition("There are: ")[2].rstrip(".").split(", ")
    assert named[:7] == ["BASE", "DATA", "LIMIT", "SHARE", "NOISE", "GUARDS", "ROUNDS"]
    assert "SPEC.rank" in named
    assert "TRAIN.learning_rate" in named


def test_a_record_that_may_be_absent_can_be_switched_off() -> None:
    held = {"SPEC": Setting(type=AdapterSpec | None, value=AdapterSpec())}
    assert override(held, ["SPEC=none"])["SPEC"].value is None
    assert override({"SPEC": Setting(type=AdapterSpec | None, value=None)}, ["SPEC.rank=4"])["SPEC"].value == AdapterSpec(rank=4)


def test_a_union_takes_the_first_type_that_fits() -> None:
    assert parse_value("3", int | str, "X") == 3
    assert parse_value("three", int | str, "X") == "three"


def test_settings_become_plain_json() -> None:
    value = {"SPEC": AdapterSpec(rank=8), "GUARDS": (Path("a"),), "NONE": None}
    assert to_json(value) == {
        "SPEC": {"method": "lora", "rank": 8, "alpha": 64.0, "dropout": 0.0, "targets": "attention+mlp", "vocabulary": "auto", "rare": 1},
        "GUARDS": ["a"],
        "NONE": None,
    }
