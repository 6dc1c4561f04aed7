"""References with and without audio, and their further wordings."""

import json
from pathlib import Path

import pytest

from speechadapt.data.manifest import Manifest
from speechadapt.data.reference import Reference, ReferenceSet
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError


def utterance(key: str, text: str, **fields: object) -> Utterance:
    return Utterance.from_json({"id": key, "audio_filepath": f"{key}.flac", "duration": 2.0, "text": text, **fields}, "test")


def test_references_of_a_manifest() -> None:
    manifest = Manifest(
        [utterance("a", "one", speaker="s1", accent="hindi", device="phone"), utterance("b", "two", references=["too", "two", "to"])],
        folder=Path(),
        name="test",
    )
    references = ReferenceSet.from_manifest(manifest, "data/test.jsonl")
    assert (references.name, references.path, len(references)) == ("test", Path("data/test.jsonl"), 2)
    assert references[0] == Reference(
        id="a", texts=("one",), speaker="s1", duration=2.0,
        fields={"device": "phone", "audio_filepath": "a.flac", "text": "one", "offset": 0.0, "accent": "hindi"},
    )  # fmt: skip
    assert references[1].texts == ("two", "too", "to")
    assert references[1].text == "two"
    assert [one.id for one in references] == [one.id for one in references[:]] == ["a", "b"]
    assert (references[0].value("accent"), references[0].value("gender"), references[0].value("duration")) == ("hindi", None, 2.0)
    assert "device" in references.fields


def test_a_key_of_meta_never_hides_a_field_of_ours() -> None:
    odd = utterance("a", "one", speaker="s1", meta={"duration": "long", "speaker": 7, "id": 3, "accent": None})
    reference = ReferenceSet.from_manifest(Manifest([odd], folder=Path()))[0]
    assert [reference.value(name) for name in ("id", "speaker", "duration")] == ["a", "s1", 2.0]
    assert Reference(id="a", texts=("x",), fields={"speaker": "other", "id": "z"}).value("speaker") is None


def test_one_reference_each_poses_the_test_of_the_manifest() -> None:
    manifest = Manifest([utterance("a", "one"), utterance("b", "two")], folder=Path())
    assert ReferenceSet.from_manifest(manifest).fingerprint == manifest.fingerprint
    several = Manifest([utterance("a", "one", references=["won"]), utterance("b", "two")], folder=Path())
    assert several.fingerprint == manifest.fingerprint
    assert ReferenceSet.from_manifest(several).fingerprint != manifest.fingerprint


def test_the_fingerprint_covers_ids_and_texts_in_any_order() -> None:
    one, two = Reference(id="a", texts=("x", "y")), Reference(id="b", texts=("z",))
    fingerprint = ReferenceSet([one, two]).fingerprint
    assert len(fingerprint) == 64
    assert ReferenceSet([two, one], name="other").fingerprint == fingerprint
    assert ReferenceSet([Reference(id="a", texts=("x", "y"), speaker="s1"), two]).fingerprint == fingerprint
    assert ReferenceSet([Reference(id="a", texts=("y", "x")), two]).fingerprint != fingerprint
    assert len(ReferenceSet([Reference(id="a", texts=("half \ud800",))]).fingerprint) == 64


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": "", "texts": ("x",)}, 'reference "": id has 0 characters, must be 1 to 512 printable ones. Correct the line.'),
        ({"id": "a\n", "texts": ("x",)}, 'reference "a\n": id has 2 characters, must be 1 to 512 printable ones. Correct the line.'),
        ({"id": "a", "texts": ()}, 'reference "a": texts is (), must be a tuple of one text or more. Correct the line.'),
        ({"id": "a", "texts": ("x", 7)}, "reference \"a\": texts is ('x', 7), must be a tuple of one text or more. Correct the line."),
        ({"id": "a", "texts": ("x",), "speaker": 7}, 'reference "a": speaker is 7, must be text, or None if unknown. Correct the line.'),
        (
            {"id": "a", "texts": ("x",), "duration": 0.0},
            'reference "a": duration 0.0 s, must be above 0, or None if unknown. Correct the line.',
        ),
        (
            {"id": "a", "texts": ("x",), "duration": float("nan")},
            'reference "a": duration nan s, must be above 0, or None if unknown. Correct the line.',
        ),
    ],
)
def test_what_no_reference_can_be(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        Reference(**fields)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_an_id_stands_once() -> None:
    with pytest.raises(ManifestError) as caught:
        ReferenceSet([Reference(id="a", texts=("x",)), Reference(id="a", texts=("y",))], name="dev")
    assert str(caught.value) == (
        'references "dev": 1 ids stand more than once, the first is "a"; ids must be unique. '
        "Remove or rename the repeated lines; several wordings of one utterance belong into one reference."
    )


@pytest.mark.parametrize("value", ["see page 12", [1, 2], {"text": "x"}, 7])
def test_a_column_called_references_with_another_meaning(value: object) -> None:
    with pytest.raises(ManifestError) as caught:
        ReferenceSet.from_manifest(Manifest([utterance("a", "one", references=value)], folder=Path()))
    assert str(caught.value) == (
        f'utterance "a": references is {value!r}, must be a list of texts, the further wordings that count as right. '
        "Correct the line, or rename the column if it means something else."
    )


def test_references_without_audio_can_be_grouped_by_the_usual_fields() -> None:
    references = ReferenceSet([Reference(id="a", texts=("x",), fields={"room": "big", "accent": "hindi"})])
    assert references.fields == (
        "id", "speaker", "duration", "gender", "age", "accent", "accent_raw", "l1", "region", "language", "recording", "split", "room",
    )  # fmt: skip


def test_the_fingerprint_of_a_manifest_is_the_one_it_always_was() -> None:
    """Reports of old runs are compared with new ones by it."""
    report = json.loads((Path(__file__).parent.parent / "golden" / "report_0_1_0.json").read_text(encoding="utf-8"))
    rows = [("a", "one two three"), ("b", "four five"), ("c", ""), ("d", "六 seven")]
    manifest = Manifest([utterance(key, text) for key, text in reversed(rows)], folder=Path())
    assert manifest.fingerprint == report["fingerprint"]
    odd = 'quoted "\\\n\x01 \u2028 é'
    assert Manifest([utterance("a", odd, offset=1.23456)], folder=Path()).fingerprint != manifest.fingerprint
