"""Rows of JSON Lines and tables as lines of a transcript file, under the names that fields have in the tools people use."""

import csv
import dataclasses
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from speechadapt.data.table import read_table
from speechadapt.data.transcript_line import TranscriptLine, read_lines
from speechadapt.errors import ManifestError

ID_FIELDS = ("id", "utt_id", "utterance_id", "utterance", "key", "uid", "segment_id")
FILE_FIELDS = ("audio_filepath", "audio_file", "audio", "file_name", "filename", "file", "path", "wav")
REFERENCE_FIELDS = ("text", "reference", "ref", "sentence", "transcript", "transcription", "normalized_text", "label")
HYPOTHESIS_FIELDS = ("pred_text", "hypothesis", "hyp", "prediction", "predicted", "pred", "text", "transcription", "transcript", "sentence")
NOT_GROUPS = ("pred_text", "hypothesis", "hyp", "prediction", "predicted", "pred")
LONGEST_TABLE_FIELD = 1 << 24


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which fields of JSON Lines and tables hold what; None takes the first of the usual names that is there."""

    id: str | None = None
    text: str | None = None


def read_rows(path: Path, kind: str, columns: Columns, text_fields: Sequence[str]) -> Iterator[TranscriptLine]:
    """Read JSON Lines or a table.

    Args:
        path: the file.
        kind: `jsonl` or `table`.
        columns: which fields hold id and text.
        text_fields: names to look for where `columns` does not say, the first one that is there counts.

    Raises:
        ManifestError, CorpusError: a line is broken, a field is missing, or a value is no text; with the line.
    """
    rows = iter(_json_rows(path) if kind == "jsonl" else _table_rows(path))
    first = next(rows, None)
    if first is None:
        return
    names = list(first[1])
    text_field = _column(path, names, columns.text, text_fields, "the text")
    id_field = _column(path, names, columns.id, (*ID_FIELDS, *FILE_FIELDS), "the id")
    by_file = id_field in FILE_FIELDS
    left_out = {id_field, text_field, "speaker", "duration", *NOT_GROUPS}
    for place, row in itertools.chain([first], rows):
        key, text = row.get(id_field), row.get(text_field)
        if isinstance(key, int) and not isinstance(key, bool):
            key = str(key)
        if not isinstance(key, str) or not key.strip():
            raise ManifestError(f"{place}: {id_field} is {key!r}, must be the id of an utterance. Correct the line.")
        if not isinstance(text, str):
            raise ManifestError(f'"{key}" ({place}): {text_field} is {text!r}, must be text (it may be empty). Correct the line.')
        offset = _number(row.get("offset"))
        yield TranscriptLine(
            id=f"{key}@{offset:g}" if by_file and offset else key,
            text=text,
            named_by_file=by_file,
            speaker=_label(row.get("speaker")),
            duration=_positive(row.get("duration")),
            fields={name: value for name, value in row.items() if value != "" and name not in left_out}
            | ({"audio_filepath": key} if by_file else {}),
            seconds=_number(row.get("seconds")),
            avg_logprob=_number(row.get("avg_logprob")),
            place=place,
        )


def _column(path: Path, names: Sequence[str], wanted: str | None, usual: Sequence[str], what: str) -> str:
    found = wanted if wanted is not None else next((name for name in usual if name in names), None)
    if found is None or found not in names:
        missing = f'no field "{wanted}"' if wanted is not None else f"no field for {what} ({', '.join(usual[:4])} …)"
        raise ManifestError(f"{path}: {missing}; found {', '.join(names)[:200]}. Name the field with --id-field or --text-field.")
    return found


def _json_rows(path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    for number, line in read_lines(path):
        row = parse_object(line)
        if row is None and line.lstrip().startswith("["):
            raise ManifestError(
                f"{path}, line {number}: a JSON list, not a JSON object. Write its objects one per line, without brackets and commas between them."
            )
        if row is None:
            raise ManifestError(f"{path}, line {number}: not a JSON object. Write one object per line.")
        yield f"{path}, line {number}", row


def _table_rows(path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    limit = csv.field_size_limit(LONGEST_TABLE_FIELD)
    try:
        table = read_table(path)
    finally:
        csv.field_size_limit(limit)
    if table.broken:
        line, width = table.broken[0]
        raise ManifestError(
            f"{path}, line {line}: {width} values for {len(table.header)} columns ({len(table.broken)} such lines). "
            "Put quotes around values that hold the delimiter."
        )
    for line, values in table.rows:
        yield f"{path}, line {line}", values


def parse_object(line: str) -> dict[str, Any] | None:
    """A line as a JSON object; None if it is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _label(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _number(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None
