"""Utterance: NeMo's names out and in, and every rule with its message."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError

LINE: dict[str, Any] = {"id": "c-1", "audio_filepath": "audio/c-1.flac", "duration": 2.36, "text": "We call it bear"}


def test_required_fields_alone_make_an_utterance_and_come_back_the_same() -> None:
    utterance = Utterance.from_json(LINE, "train.jsonl, line 1")
    assert utterance.offset == 0.0
    assert utterance.speaker is None
    assert utterance.to_json() == LINE


def test_unknown_keys_go_to_meta_beside_what_is_there() -> None:
    utterance = Utterance.from_json({**LINE, "pnc": "yes", "meta": {"votes": 2}}, "x")
    assert utterance.meta == {"votes": 2, "pnc": "yes"}
    assert utterance.to_json()["meta"] == {"votes": 2, "pnc": "yes"}


def test_null_optional_fields_are_absent() -> None:
    assert Utterance.from_json({**LINE, "speaker": None, "gender": None}, "x").to_json() == LINE


@pytest.mark.parametrize("field", ["id", "audio_filepath", "duration", "text"])
def test_a_missing_field_is_named_with_its_place(field: str) -> None:
    row = {key: value for key, value in LINE.items() if key != field}
    name = "without an id" if field == "id" else "c-1"
    message = rf'^utterance "{name}" \(train.jsonl, line 17\): the field "{field}" is missing\. Add it or remove the line\.$'
    with pytest.raises(ManifestError, match=message):
        Utterance.from_json(row, "train.jsonl, line 17")


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"duration": 0}, r"duration 0\.00 s, must be above 0"),
        ({"duration": -1.5}, r"duration -1\.50 s, must be above 0"),
        ({"duration": math.nan}, r"duration is nan, must be a finite number of seconds"),
        ({"duration": math.inf}, r"duration is inf, must be a finite number of seconds"),
        ({"duration": "2.36"}, r"duration is '2\.36', must be a finite number of seconds"),
        ({"duration": True}, r"duration is True, must be a finite number of seconds"),
        ({"offset": -0.25}, r"offset -0\.25 s, must be 0 or more"),
        ({"text": 7}, r"text is 7, must be text in quotes"),
        ({"text": None}, r"text is None, must be text in quotes"),
        ({"speaker": 7}, r"speaker is 7, must be text in quotes"),
        ({"gender": "f"}, r'gender "f", must be one of male, female, other or absent'),
        ({"split": "validation"}, r'split "validation", must be one of train, dev, test or absent'),
        ({"audio_filepath": ""}, r"audio_filepath is empty"),
        ({"id": ""}, r"id has 0 characters, must be 1 to 512 printable ones"),
        ({"id": "x" * 513}, r"id has 513 characters, must be 1 to 512 printable ones"),
        ({"id": "a\nb"}, r"id has 3 characters, must be 1 to 512 printable ones"),
        ({"meta": [1]}, r"meta is list, must be an object"),
    ],
)
def test_a_value_outside_its_range_is_told_with_what_is_allowed(change: dict[str, Any], fact: str) -> None:
    with pytest.raises(ManifestError, match=rf"\(dev.jsonl, line 3\): {fact}"):
        Utterance.from_json({**LINE, **change}, "dev.jsonl, line 3")


@pytest.mark.parametrize(("row", "kind"), [([1, 2], "list"), ("text", "str"), (None, "NoneType")])
def test_a_line_that_is_no_object_is_refused(row: Any, kind: str) -> None:
    with pytest.raises(ManifestError, match=rf"^m.jsonl, line 1: found {kind}, expected one JSON object per line"):
        Utterance.from_json(row, "m.jsonl, line 1")


@given(
    text=st.text(),
    duration=st.floats(min_value=1e-3, max_value=1e5),
    offset=st.floats(min_value=0, max_value=1e5),
    speaker=st.none() | st.text(),
    meta=st.dictionaries(st.text(min_size=1).filter(lambda key: key not in Utterance.__slots__), st.integers() | st.text()),
)
def test_whatever_is_written_is_read_back(text: str, duration: float, offset: float, speaker: str | None, meta: dict[str, Any]) -> None:
    utterance = Utterance(id="a", audio_filepath="a.flac", text=text, duration=duration, offset=offset, speaker=speaker, meta=meta)
    assert Utterance.from_json(utterance.to_json(), "x") == utterance
