"""Fields: a row of named values (a table's, a metadata file's) turned into a `CorpusRow`, whatever its columns are called."""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from speechadapt.errors import AudioError, CorpusError
from speechadapt.preparation.corpus import CorpusRow, Recipe, release
from speechadapt.preparation.intake import Intake
from speechadapt.preparation.lines import parse_object
from speechadapt.preparation.locate import locate_audio
from speechadapt.units import Seconds

SYNONYMS: dict[str, tuple[str, ...]] = {
    "audio": ("audio_filepath", "path", "file", "file_name", "filename", "audio", "audio_path", "wav", "clip"),
    "text": ("text", "sentence", "normalized_text", "transcript", "transcription", "raw_transcription"),
    "id": ("id", "utt_id", "utterance_id"),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "gender": ("gender", "sex"),
    "age": ("age",),
    "accent": ("accent", "accents", "dialect", "raw_accent"),
    "l1": ("l1", "native_language", "primary_language"),
    "region": ("region",),
    "language": ("language", "lang", "locale"),
    "recording": ("recording", "recording_id", "session"),
    "split": ("split",),
    "start": ("offset", "start", "start_time"),
    "end": ("end", "end_time"),
    "duration": ("duration",),
}
"""What a column is usually called, most telling name first; case does not matter."""

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "validation", "valid", "val", "development"), "dev"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
OURS = ("text_raw", "accent_raw", "audio_sha1", "meta")


def split_of_name(name: str) -> str | None:
    """The one split that a name says: `train.clean.100-00000-of-00005` and `partial-train` say train, `data` and `train-or-test` none."""
    said = {SPLIT_NAMES[word] for word in re.split(r"[^a-z]+", name.casefold()) if word in SPLIT_NAMES}
    return said.pop() if len(said) == 1 else None


def choose_columns(header: Sequence[str], wanted: Mapping[str, str | None], place: str) -> dict[str, str]:
    """Which column holds which field.

    Args:
        header: the columns there are.
        wanted: column names the user gave, by field.
        place: the file, for messages.

    Raises:
        CorpusError: a wanted column is not there, or nothing looks like the audio or the text.
    """
    by_name = {name.casefold(): name for name in reversed(header)}
    chosen: dict[str, str] = {}
    for field, synonyms in SYNONYMS.items():
        given = wanted.get(field)
        if given is not None and given.casefold() not in by_name:
            raise CorpusError(f'{place}: no column "{given}"; there are: {", ".join(header)}. Correct the setting {field}_column.')
        name = given if given is not None else next((synonym for synonym in synonyms if synonym in by_name), None)
        if name is not None:
            chosen[field] = by_name[name.casefold()]
    for field in ("audio", "text"):
        if field not in chosen:
            raise CorpusError(
                f"{place}: no column for the {field}; looked for {', '.join(SYNONYMS[field])}, found {', '.join(header)}. "
                f"Name it with --set {field}_column=NAME."
            )
    return chosen


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NamedRow:
    """One row before its columns are understood: its values, where it stands, the folder of its list (empty for the only one) and the
    split that folder gives it. `audio` is set where the audio does not lie in a file that a column names.
    """

    values: Mapping[str, str]
    place: str
    line: int
    folder: str = ""
    split: str | None = None
    roots: tuple[Path, ...] = ()
    audio: Recipe | None = None


def make_rows(named: list[NamedRow], columns: Mapping[str, str], intake: Intake, *, language: str | None = None) -> Iterator[CorpusRow]:
    """Rows with located audio and times; what has none is dropped and counted. Columns nobody asked for go to `meta`.

    The list is emptied from its beginning as rows are taken, so that no line of a large corpus is held twice.
    """
    ids = _make_ids(named, columns)
    for row_id, row in zip(ids, release(named), strict=True):
        get = _getter(row, columns)
        split = row.split or _split_of(get("split"), intake)
        try:
            audio = row.audio if row.audio is not None else locate_audio(get("audio") or "", row.roots)
            offset, duration = _segment(get)
        except AudioError as error:
            intake.drop(row_id, error.reason, f'row "{row_id}" ({row.place}): {error}', split)
            continue
        yield CorpusRow(
            id=row_id,
            audio=audio,
            text=get("text") or "",
            text_raw=row.values.get("text_raw") or None,
            place=row.place,
            offset=offset,
            duration=duration,
            speaker=get("speaker"),
            gender=get("gender"),
            age=get("age"),
            accent_raw=row.values.get("accent_raw") or get("accent"),
            accent=get("accent") if row.values.get("accent_raw") else None,
            l1=get("l1"),
            region=get("region"),
            language=get("language") or language,
            recording=get("recording") or (get("audio") if offset or duration else None),
            split=split,
            meta=_rest(row.values, columns),
        )


def as_text(value: Any) -> str:
    """Text as it is, nothing as an empty string, numbers and lists as JSON writes them, anything else in its own words."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


Getter = Callable[[str], str | None]


def _getter(row: NamedRow, columns: Mapping[str, str]) -> Getter:
    def get(field: str) -> str | None:
        value = row.values.get(columns[field], "") if field in columns else ""
        return value.strip() or None

    return get


def _rest(values: Mapping[str, str], columns: Mapping[str, str]) -> dict[str, Any]:
    known = {*columns.values(), *OURS}
    nested = parse_object(values.get("meta") or "")  # what `convert` writes into a column of text
    return {**(nested or {}), **{name: value for name, value in values.items() if name not in known and value != ""}}


def _make_ids(named: Sequence[NamedRow], columns: Mapping[str, str]) -> list[str]:
    """The id column; else the audio's name, with its folders where names repeat, and with the line where one file has several rows.

    Where several folders count their ids from the start again, the folder's name is put before all of them.
    """
    if "id" in columns:
        ids = [row.values.get(columns["id"], "").strip() or f"line{row.line}" for row in named]
        distinct = len({(row.folder, key) for row, key in zip(named, ids, strict=True)})
        return ids if len(set(ids)) == distinct else [f"{row.folder}-{key}" for row, key in zip(named, ids, strict=True)]
    paths = [PurePosixPath(row.folder, row.values.get(columns["audio"], "").replace("\\", "/")) for row in named]
    names = [path.stem or f"line{row.line}" for path, row in zip(paths, named, strict=True)]
    if len(set(names)) < len(names):
        names = ["-".join(path.with_suffix("").parts).strip("/-") if path.name else name for path, name in zip(paths, names, strict=True)]
    times = Counter(names)
    return [f"{name}-line{row.line}" if times[name] > 1 else name for name, row in zip(names, named, strict=True)]


def _split_of(label: str | None, intake: Intake) -> str | None:
    if label is None:
        return None
    if label.casefold() not in SPLIT_NAMES:
        intake.repair(f'split "{label}" not understood, left empty')
    return SPLIT_NAMES.get(label.casefold())


def _segment(get: Getter) -> tuple[Seconds, Seconds | None]:
    """Offset and duration; a duration without an offset describes the whole file and is measured instead."""
    start, end, duration = (parse_time(get(field)) for field in ("start", "end", "duration"))
    if start is None and end is None:
        return 0.0, None
    start = start or 0.0
    if end is not None:
        duration = end - start
    if duration is not None and duration <= 0:
        raise AudioError("out-of-range", f"the segment is {start:.2f} to {start + duration:.2f} s, it must last longer than 0 s. Correct the times.")
    return start, duration


def parse_time(value: str | None) -> Seconds | None:
    """Seconds (`83.5`) or a clock (`00:01:23.500`, `1:23,5`); None for an empty value.

    Raises:
        AudioError: reason `out-of-range`: not a time, or a negative one.
    """
    if value is None:
        return None
    try:
        seconds = 0.0
        for part in value.replace(",", ".").split(":"):
            seconds = seconds * 60 + float(part)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise AudioError("out-of-range", f'"{value}" is not a time of 0 or more, such as 83.5 or 00:01:23.500. Correct it.')
    return seconds
