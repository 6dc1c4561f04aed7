"""Grouping: fields of the corpus as they are, numbers in bands, and fields derived from text, times and sound."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.data.reference import Reference, ReferenceSet
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ScoreError
from speechadapt.score.grouping import DERIVED, band, group_labels, sorted_labels
from speechadapt.score.report import score
from speechadapt.text.normalize import get_normalizer

RAW = get_normalizer("raw")


def manifest_of(rows: Sequence[dict[str, Any]]) -> Manifest:
    full = [{"id": f"u{number}", "audio_filepath": "a.flac", "duration": 2.0, "text": "a b", **row} for number, row in enumerate(rows)]
    return Manifest((Utterance.from_json(row, "test.jsonl") for row in full), folder=Path(), name="test")


def labels_of(field: str, rows: Sequence[dict[str, Any]], normalizer: str = "raw") -> list[str | None]:
    return group_labels(manifest_of(rows), [field], get_normalizer(normalizer))[field]


def test_length_counts_words_after_normalization() -> None:
    rows = [{"text": text} for text in ("a", "a b c d e", "a b c d e -", "x " * 11, "x " * 20, "x " * 21, "...")]
    assert labels_of("length", rows, "basic") == ["1-5", "1-5", "1-5", "11-20", "11-20", ">20", None]
    assert labels_of("length", [{"text": "你好吗"}, {"text": "你好吗你好吗"}], "basic:zh") == ["1-5", "6-10"]  # characters are the words there


def test_duration_bands() -> None:
    rows = [{"duration": seconds} for seconds in (0.4, 2.0, 4.99, 5.0, 10.0, 29.9, 30.0)]
    assert labels_of("duration", rows) == ["<2 s", "2-5 s", "2-5 s", "5-10 s", "10-20 s", "20-30 s", ">30 s"]


def test_speaking_rate_in_thirds_of_the_test_set() -> None:
    rows = [{"text": "w " * words, "duration": 2.0} for words in (2, 2, 4, 4, 8, 8)]
    assert labels_of("speaking_rate", rows) == ["<1.7 words/s"] * 2 + ["1.7-2.7 words/s"] * 2 + [">2.7 words/s"] * 2
    assert labels_of("speaking_rate", [{"text": "a b"}] * 3) == ["1.0 words/s"] * 3


def test_speaking_rate_in_characters_where_no_blanks_are_written() -> None:
    rows = [{"text": "你好吗你", "language": "zh"}, {"text": "one two", "language": "en"}, {"text": "one two", "language": "?"}]
    assert labels_of("speaking_rate", rows) == ["2.0 characters/s", "1.0 words/s", "1.0 words/s"]
    assert labels_of("speaking_rate", [{"text": "你好吗你"}], "basic:zh") == ["2.0 characters/s"]


def test_snr_and_bandwidth_from_the_manifest() -> None:
    assert labels_of("snr", [{"snr": 9.9}, {"snr": "10"}, {"snr": 29}, {"snr": 30.0}, {"snr": float("inf")}, {}]) == [
        "<10 dB", "10-20 dB", "20-30 dB", ">30 dB", None, None,
    ]  # fmt: skip
    assert labels_of("bandwidth", [{"bandwidth": "narrow"}, {"bandwidth": 4000}, {"bandwidth": 6500}, {"bandwidth": 8000}, {}]) == [
        "narrow", "narrow", "low-pass", "wide", None,
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["snr", "bandwidth"])
def test_what_must_be_heard_is_refused_where_it_is_absent(field: str) -> None:
    with pytest.raises(ScoreError) as error:
        labels_of(field, [{}])
    assert str(error.value) == (
        f'cannot group by "{field}": no utterance has a number in "{field}" ("test"). Add --audio to measure it, or group by something else.'
    )


def test_a_column_of_the_corpus_wins_over_a_derived_field() -> None:
    assert labels_of("length", [{"length": "short"}, {}]) == ["short", None]
    assert labels_of("speaking_rate", [{"speaking_rate": "fast"}]) == ["fast"]
    assert labels_of("length", [{"length": number} for number in range(100)])[::33] == ["0 to 24.8", "24.8 to 49.5", "49.5 to 74.2", "74.2 to 99"]


def test_numbers_in_quarters_when_there_are_many() -> None:
    assert labels_of("hour", [{"hour": hour} for hour in range(12)]) == [str(hour) for hour in range(12)]
    assert labels_of("hour", [{"hour": hour} for hour in range(24)])[::6] == ["0 to 5.75", "5.75 to 11.5", "11.5 to 17.2", "17.2 to 23"]
    mixed = [*({"level": -number / 1e6} for number in range(40)), {}, {"level": float("nan")}]
    found = labels_of("level", mixed)
    assert found[-2:] == [None, None]
    assert sorted_labels({label for label in found if label is not None})[0] == "-0.000039 to -0.0000292"
    assert len(set(found)) == 5
    assert labels_of("pace", [{"pace": 1.5}] * 30 + [{"pace": number} for number in range(20)])[0] == "0 to 1.5"  # ties share a band


def test_ages_in_decades() -> None:
    assert labels_of("age", [{"age": str(age)} for age in range(18, 70)])[:3] == ["10-19", "10-19", "20-29"]
    assert labels_of("age", [{"age": "twenties"}, {"age": "35"}]) == ["twenties", "35"]
    assert labels_of("age", [{"age": "20"}, {"age": "31"}]) == ["20", "31"]


def test_names_are_never_numbers() -> None:
    rows = [{"speaker": str(number), "session_id": number, "promptId": number, "flag": number % 2 == 0} for number in range(40)]
    for field in ("speaker", "session_id", "promptId"):
        assert labels_of(field, rows) == [str(number) for number in range(40)]
    assert labels_of("flag", rows)[:2] == ["True", "False"]


def test_references_without_audio() -> None:
    plain = ReferenceSet([Reference(id="a", texts=("one two",), fields={"accent": "x"}), Reference(id="b", texts=("one",))], name="text")
    assert group_labels(plain, ["accent", "length"], RAW) == {"accent": ["x", None], "length": ["1-5", "1-5"]}
    with pytest.raises(ScoreError, match='cannot group by "duration": it has no times'):
        group_labels(plain, ["duration"], RAW)
    with pytest.raises(ScoreError, match='cannot group by "speaking_rate": it has no times'):
        group_labels(plain, ["speaking_rate"], RAW)


def test_an_unknown_field_names_what_there_is() -> None:
    with pytest.raises(ScoreError) as error:
        group_labels(manifest_of([{"device": "phone"}]), ["acent", "device"], RAW)
    text = str(error.value)
    assert text.startswith('cannot group by "acent": no utterance of "test" has it. There are: id, ')
    assert all(f" {name}" in text for name in ("device", *DERIVED))


def test_labels_in_the_order_of_people() -> None:
    assert sorted_labels(["(unknown)", ">20", "11-20", "1-5", "6-10"]) == ["1-5", "6-10", "11-20", ">20", "(unknown)"]
    assert sorted_labels([">30 s", "5-10 s", "<2 s", "2-5 s"]) == ["<2 s", "2-5 s", "5-10 s", ">30 s"]
    assert sorted_labels(["s10", "s2", "", "20-29", "twenties", "-5 to -2", "-10 to -5"]) == [
        "-10 to -5",
        "-5 to -2",
        "20-29",
        "",
        "s2",
        "s10",
        "twenties",
    ]


def test_bands_have_no_holes() -> None:
    assert [band(value, (10.0, 20.0), " dB") for value in (-1.0, 10.0, 19.999, 20.0, float("nan"))] == [
        "<10 dB",
        "10-20 dB",
        "10-20 dB",
        ">20 dB",
        None,
    ]


def test_a_report_groups_by_derived_fields(make_manifest: Callable[..., Manifest]) -> None:
    manifest = make_manifest([("u1", "s1", "a b c d e f g"), ("u2", "s2", "a"), ("u3", "s2", "x " * 30)])
    report = score(
        manifest, [Hypothesis(id=key, text="a") for key in ("u1", "u2", "u3")], system="x", normalizer="raw", by=("length", "duration"), resamples=0
    )
    assert {value: group.words.errors for value, group in report.groups["length"].items()} == {"1-5": 0, "6-10": 6, ">20": 30}
    assert list(report.groups["length"]) == ["1-5", "6-10", ">20"]
    assert list(report.groups["duration"]) == ["2-5 s"]
