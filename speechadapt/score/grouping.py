"""Grouping: the label of every utterance in the fields a report groups by; fields of the corpus, and those derived from text, times and sound."""

import dataclasses
import decimal
import itertools
import math
import re
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from speechadapt.data.manifest import Manifest
from speechadapt.data.reference import OWN, ReferenceSet
from speechadapt.data.utterance import Utterance
from speechadapt.errors import MisuseError, ScoreError
from speechadapt.score.phrases import listed
from speechadapt.text.languages import language_rules
from speechadapt.text.normalize import Normalizer

UNKNOWN_GROUP = "(unknown)"
LENGTH, DURATION, SPEAKING_RATE, SNR, BANDWIDTH = "length", "duration", "speaking_rate", "snr", "bandwidth"
DERIVED = {
    LENGTH: "reference words after normalization: 1-5, 6-10, 11-20, >20",
    DURATION: "seconds of audio: <2, 2-5, 5-10, 10-20, 20-30, >30",
    SPEAKING_RATE: "reference words (characters where a language writes no blanks) per second of audio, in thirds of the test set",
    SNR: "signal-to-noise ratio in dB, from snr in the manifest or measured by --audio: <10, 10-20, 20-30, >30",
    BANDWIDTH: "narrow (nothing above 4 kHz), low-pass (cut below 7 kHz) or wide, from bandwidth in the manifest or measured by --audio",
}
"""Fields that are made, with what they are. A column of the same name in the manifest is taken instead of `length` and `speaking_rate`."""

MOST_VALUES = 12
"""A numeric field with more different values than this is shown in bands."""
PARTS = 4
OLDEST = 120
NAMES = frozenset(field.name for field in dataclasses.fields(Utterance) if field.name not in ("meta", "duration", "offset", "age"))
"""Fields of the manifest that hold names and labels, never numbers, whatever they look like (speakers called 1089 and 1188)."""

LENGTHS = ((1, 5), (6, 10), (11, 20))
DURATIONS = (2.0, 5.0, 10.0, 20.0, 30.0)
SNRS = (10.0, 20.0, 30.0)
NARROW_HERTZ, WIDE_HERTZ = 4000, 7000
PIECES = re.compile(r"\d+(?:\.\d+)?")
EDGE = re.compile(r"^([<>]?)\s*(-?\d+(?:\.\d+)?)")


def group_labels(
    references: Manifest | ReferenceSet, by: Sequence[str], normalizer: Normalizer, *, texts: Sequence[str] | None = None
) -> dict[str, list[str | None]]:
    """The label of each utterance in each field.

    A field is a field of the corpus (of the manifest, or a key of its `meta`) or one of `DERIVED`. Where the corpus has a column
    called `length` or `speaking_rate`, the column wins: what a user wrote down is not replaced by what we make of it. `snr` and
    `bandwidth` are that column, put into bands. Numbers with more than 12 different values are put into quarters of the test set, ages
    into decades; fields of names (speaker, recording) and columns whose name ends in "id" stay as they are.

    Args:
        references: the test set.
        by: names of fields.
        normalizer: makes the words that `length` and `speaking_rate` count.
        texts: the references after normalization, where they are at hand.

    Returns:
        A list for each field in the order of the utterances, None where an utterance has no value.

    Raises:
        ScoreError: a field is neither of the corpus nor derived, or cannot be derived because durations or measures are absent.
    """
    rows: list[Any] = list(references.utterances if isinstance(references, Manifest) else references)
    labels: dict[str, list[str | None]] = {}
    unknown = []
    for field in dict.fromkeys(by):
        values = [_value(row, field) for row in rows]
        present = any(value is not None for value in values)
        if field == DURATION:
            _need(present, references, field, "it has no times", "Score against a manifest, or give a column duration.")
            labels[field] = [None if value is None else band(float(value), DURATIONS, " s") for value in values]
        elif field in (SNR, BANDWIDTH):
            _need(present, references, field, f'no utterance has a number in "{field}"', "Add --audio to measure it, or group by something else.")
            labels[field] = [_snr_label(value) if field == SNR else _bandwidth_label(value) for value in values]
        elif field in (LENGTH, SPEAKING_RATE) and not present:
            spoken = [normalizer(row.text) for row in rows] if texts is None else texts
            labels[field] = _lengths(spoken) if field == LENGTH else _rates(references, rows, spoken, normalizer)
        elif not present and field not in _fields_of(references):
            unknown.append(field)
        else:
            labels[field] = _corpus_labels(field, values)
    if unknown:
        known = ", ".join((*_fields_of(references), *(name for name in DERIVED if name not in _fields_of(references))))
        raise ScoreError(f'cannot group by {listed(unknown)}: no utterance of "{references.name}" has it. There are: {known}. Check the spelling.')
    return labels


def natural_order(label: str) -> tuple[Any, ...]:
    """A key that sorts labels as people do: `6-10` before `11-20` before `>20`, `s2` before `s10`, and "(unknown)" last."""
    if label == UNKNOWN_GROUP:
        return (2,)
    if edge := EDGE.match(label):
        return (0, float(edge[2]), {"<": -1, "": 0, ">": 1}[edge[1]], label)
    pieces = PIECES.split(label)
    numbers = [float(piece) for piece in PIECES.findall(label)] + [-1.0]
    return (1, *(part for pair in zip(pieces, numbers, strict=True) for part in pair), label)


def sorted_labels(labels: Iterable[str]) -> list[str]:
    """Labels in natural order."""
    return sorted(labels, key=natural_order)


def band(value: float, edges: Sequence[float], unit: str = "") -> str | None:
    """The band of a number: `<2 s`, `2-5 s`, `>30 s`; a number on an edge belongs to the band above. None for NaN and infinity."""
    if not math.isfinite(value):
        return None
    if value < edges[0]:
        return f"<{edges[0]:g}{unit}"
    for low, high in itertools.pairwise(edges):
        if value < high:
            return f"{low:g}-{high:g}{unit}"
    return f">{edges[-1]:g}{unit}"


def _need(present: bool, references: Manifest | ReferenceSet, field: str, fact: str, advice: str) -> None:
    if not present:
        raise ScoreError(f'cannot group by "{field}": {fact} ("{references.name}"). {advice}')


def _value(row: Any, field: str) -> Any:
    """Of an utterance, or of a reference; a field of the record comes before a key of meta."""
    if not isinstance(row, Utterance):
        return row.value(field)
    return getattr(row, field) if field in NAMES or field in ("duration", "offset", "age") else row.meta.get(field)


def _fields_of(references: Manifest | ReferenceSet) -> tuple[str, ...]:
    if isinstance(references, ReferenceSet):
        return references.fields
    fields = [field.name for field in dataclasses.fields(Utterance) if field.name != "meta"]
    return (*fields, *sorted({key for utterance in references for key in utterance.meta} - set(fields)))


def _corpus_labels(field: str, values: Sequence[Any]) -> list[str | None]:
    numbers = None if field in NAMES or field in OWN[:2] or re.search(r"(^|_|[a-z])id$", field, re.IGNORECASE) else _numbers(values)
    if numbers is None:
        return [None if value is None else str(value) for value in values]
    different = {number for number in numbers if number is not None}
    if len(different) <= MOST_VALUES:
        return [None if number is None else str(value) for value, number in zip(values, numbers, strict=True)]
    if field == "age" and all(0 <= number <= OLDEST for number in different):
        return [None if number is None else f"{int(number // 10) * 10}-{int(number // 10) * 10 + 9}" for number in numbers]
    return _in_parts(numbers, PARTS)


def _numbers(values: Sequence[Any]) -> list[float | None] | None:
    """The values as numbers, None for those that are none; nothing at all if any is another text."""
    found: list[float | None] = []
    for value in values:
        if value is None or value == "":
            found.append(None)
            continue
        number = _number(value)
        if number is None:
            return None
        found.append(number if math.isfinite(number) else None)
    return found if any(number is not None for number in found) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _in_parts(numbers: Sequence[float | None], parts: int) -> list[str | None]:
    """Quantile bands of about equal size, `3.2 to 4.5`; equal numbers share a band, so there may be fewer."""
    known = [number for number in numbers if number is not None]
    edges = sorted(set(statistics.quantiles(known, n=parts, method="inclusive"))) if len(known) > 1 else []
    limits = [min(known), *(edge for edge in edges if min(known) < edge < max(known)), max(known)]
    shown = _distinct(limits)

    def label(number: float) -> str:
        place = next((place for place in range(1, len(limits)) if number <= limits[place]), len(limits) - 1)
        return shown[0] if len(limits) == 1 or limits[0] == limits[-1] else f"{shown[place - 1]} to {shown[place]}"

    return [None if number is None else label(number) for number in numbers]


def _distinct(limits: Sequence[float]) -> list[str]:
    """Limits as short as they can be while they differ."""
    for digits in (3, 4, 6, 9, 17):
        shown = [f"{decimal.Decimal(f'{limit + 0.0:.{digits}g}'):f}" for limit in limits]
        if len(set(shown)) == len(set(limits)):
            break
    return shown


def _lengths(texts: Sequence[str]) -> list[str | None]:
    return [_length_label(len(text.split())) for text in texts]


def _length_label(words: int) -> str | None:
    if words == 0:
        return None
    return next((f"{low}-{high}" for low, high in LENGTHS if words <= high), f">{LENGTHS[-1][1]}")


def _rates(references: Manifest | ReferenceSet, rows: Sequence[Any], texts: Sequence[str], normalizer: Normalizer) -> list[str | None]:
    """Thirds of the test set for each unit: a fixed limit would call every speaker of a language with short words fast."""
    _need(any(row.duration is not None for row in rows), references, SPEAKING_RATE, "it has no times", "Score against a manifest with durations.")
    units, rates = [], []
    for row, text in zip(rows, texts, strict=True):
        spaced = normalizer.spaced and _spaced(_value(row, "language"))
        size = len(text.split()) if spaced else sum(not letter.isspace() for letter in text)
        units.append("words/s" if spaced else "characters/s")
        rates.append(size / row.duration if row.duration and size else None)
    labels: list[str | None] = [None] * len(rates)
    for unit in dict.fromkeys(units):
        known = [rate for rate, one in zip(rates, units, strict=True) if one == unit and rate is not None]
        if not known:
            continue
        edges = _rounded_edges(known)
        for number, (rate, one) in enumerate(zip(rates, units, strict=True)):
            if one == unit and rate is not None:
                labels[number] = band(round(rate, 1), edges, f" {unit}") if edges else f"{known[0]:.1f} {unit}"
    return labels


def _rounded_edges(rates: Sequence[float]) -> list[float]:
    """The limits of thirds to one decimal, without those that leave a band empty; none where all rates are alike."""
    shown = [round(rate, 1) for rate in rates]
    if min(shown) == max(shown):
        return []
    edges = [round(edge, 1) for edge in statistics.quantiles(shown, n=3, method="inclusive")]
    return sorted({edge for edge in edges if edge > min(shown)}) or [max(shown)]


def _spaced(language: Any) -> bool:
    try:
        return language_rules(language if isinstance(language, str) else None).spaced
    except MisuseError:  # no language tag: counted in words
        return True


def _snr_label(value: Any) -> str | None:
    number = _number(value)
    return None if number is None else band(number, SNRS, " dB")


def _bandwidth_label(value: Any) -> str | None:
    number = _number(value)
    if number is None:
        return None if value is None else str(value)
    if not math.isfinite(number):
        return None
    return "narrow" if number <= NARROW_HERTZ else "low-pass" if number < WIDE_HERTZ else "wide"
