"""Parquet and Arrow: tables that hold their recordings inside, as the Hugging Face Hub publishes them and as `datasets` saves them to disk.

Rows are read without their audio; a recipe fetches the bytes of one recording in the process that converts it. Needs the extra `parquet`.
"""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechadapt.errors import AudioError, CorpusError, MissingExtraError
from speechadapt.files import read_json
from speechadapt.preparation.archives import is_junk
from speechadapt.preparation.corpus import Recipe
from speechadapt.preparation.fields import as_text, split_of_name
from speechadapt.preparation.intake import Intake
from speechadapt.preparation.locate import locate_audio

STATE_FILE = "state.json"
BARE_AUDIO = ("audio", "bytes", "wav", "flac", "mp3", "ogg", "opus")
"""Names under which a column of plain bytes is taken for recordings."""
POINTER = b"version https://git-lfs"
Values = Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PackedFile:
    """One file of a table: where it lies, and the official split its name or folder says."""

    path: Path
    split: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PackedRow:
    """One row of a table.

    Attributes:
        values: every column as text, without those of bytes; the audio column holds the name the recording once had.
        audio: fetches the bytes of the recording; None where the table has no such column.
        audio_column: its name. file, number: where the row stands, counted from 0. place: the same for messages.
    """

    values: Values
    audio: Recipe | None
    audio_column: str | None
    file: PackedFile
    number: int
    place: str


def import_pyarrow() -> Any:
    """The package pyarrow.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("The reader of Parquet and Arrow (pyarrow)", "parquet") from error
    return pyarrow


def find_packed(root: Path) -> list[PackedFile]:
    """The files of one table under `root`, or `root` itself if it is a file; Parquet where there are both kinds.

    Splits are told by the file's name (`train-00000-of-00002.parquet`), its folder (`validation/0000.parquet`, `train/data-00000-of-00001.arrow`)
    or the state.json that `datasets` writes beside its files, which also says which of them belong to the table.

    Raises:
        CorpusError: the files lie in more than one folder, as the languages of a multilingual dataset do.
    """
    if root.is_file() and root.suffix.lower() in (".parquet", ".arrow"):
        return [PackedFile(path=root, split=split_of_name(root.stem))]
    files: list[Path] = []
    for suffix in (".parquet", ".arrow"):
        files = files or sorted(path for path in root.rglob("*") if path.suffix.lower() == suffix and _belongs(path, root))
    found = [PackedFile(path=path, split=_split_of(path, root)) for path in files]
    tables = sorted({_table_of(path, root) for path in files})
    if len(tables) > 1:
        raise CorpusError(f"{root}: holds {len(tables)} tables, in {', '.join(tables[:8])}. Give the folder of one of them.")
    return found


def _belongs(path: Path, root: Path) -> bool:
    """Files of the table itself: not of the system, not hidden, not what `datasets` keeps of earlier computations."""
    inside = path.relative_to(root)
    if is_junk(inside) or any(part.startswith(".") for part in inside.parts) or not path.is_file():
        return False
    if path.suffix.lower() == ".arrow" and path.name.startswith(("cache-", "tmp")):
        return False
    state = path.parent / STATE_FILE
    if path.suffix.lower() != ".arrow" or not state.is_file():
        return True
    told = read_json(state)
    listed = told.get("_data_files") if isinstance(told, dict) else None
    return not isinstance(listed, list) or path.name in [entry.get("filename") for entry in listed if isinstance(entry, dict)]


def _table_of(path: Path, root: Path) -> str:
    """The folder that names the table: the nearest one that names no split."""
    inside = path.relative_to(root).parent
    while inside.name and split_of_name(inside.name) is not None:
        inside = inside.parent
    return inside.as_posix()


def _split_of(path: Path, root: Path) -> str | None:
    for name in (path.stem, *(part for part in reversed(path.relative_to(root).parent.parts))):
        if (split := split_of_name(name)) is not None:
            return split
    state = path.parent / STATE_FILE
    told = read_json(state) if state.is_file() else None
    return split_of_name(str(told.get("_split"))) if isinstance(told, dict) else None


def read_packed(file: PackedFile, root: Path, intake: Intake, *, audio_column: str | None = None) -> Iterator[PackedRow]:
    """The rows of one file without their audio; a row of Parquet whose text cannot be decoded is dropped and counted.

    Args:
        file: of `find_packed`. root: recordings that lie beside the table are looked for under the file's folder, then under it.
        audio_column: where the file holds several columns of recordings; None takes `audio`, or the first one.

    Raises:
        MissingExtraError: pyarrow is not installed.
        CorpusError: not a Parquet or Arrow file.
    """
    pyarrow = import_pyarrow()
    path = file.path
    try:
        schema = _schema(path)
    except (pyarrow.ArrowException, OSError, ValueError) as error:  # ValueError: names of columns that are no UTF-8
        raise CorpusError(f"{path}: {_why_unreadable(path, error)}") from error
    inside = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    number = 0
    try:
        audio = _audio_column(schema, audio_column)
        labels = _labels(schema)
        for group, table in _tables(path, schema, audio):
            for index in range(table.num_rows):
                place = f"{inside}, row {number + 1}"
                recipe = functools.partial(read_packed_audio, path, audio, group, index, root) if audio is not None else None
                try:
                    values = {name: _text(table[name][index].as_py(), labels.get(name), name == audio) for name in table.column_names}
                except ValueError as error:  # not UTF-8
                    intake.drop(f"{path.stem}-row{number + 1}", "undecodable", f"{place}: {error}. Correct the row.", file.split)
                else:
                    yield PackedRow(values=values, audio=recipe, audio_column=audio, file=file, number=number, place=place)
                number += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise CorpusError(f"{path}: {_why_unreadable(path, error)}") from error


def read_dataset(root: Path, files: Sequence[PackedFile], required: Sequence[str], intake: Intake) -> Iterator[PackedRow]:
    """The rows of every file of a published dataset.

    Raises:
        CorpusError: a file lacks one of the required columns, or one of recordings.
    """
    for file in files:
        for row in read_packed(file, root, intake):
            lacking = [name for name in required if name not in row.values] or ["of recordings"] * (row.audio is None)
            if lacking:
                raise CorpusError(
                    f"{file.path}: no column {', '.join(lacking)}; found {', '.join(row.values)}. Check that this is the right dataset."
                )
            yield row


def read_packed_audio(path: Path, column: str, group: int, row: int, root: Path) -> bytes:
    """The bytes of one recording of a table, for workers.

    Args:
        path: the Parquet or Arrow file. column: of recordings. group: row group of a Parquet file, 0 for Arrow. row: in the group.
        root: where recordings are looked for that the table only names.

    Raises:
        AudioError: reason missing (neither bytes nor a file), outside-corpus, or truncated (the table is damaged).
    """
    pyarrow = import_pyarrow()
    try:
        value = _recordings(path, path.stat().st_mtime_ns, column, group)[row].as_py()
    except (pyarrow.ArrowException, OSError, IndexError) as error:
        raise AudioError("truncated", f"{path}: {_why_unreadable(path, error)}") from error
    data, given = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if data is not None:
        return bytes(data)
    if not given:
        raise AudioError("missing", f'the column "{column}" holds neither bytes nor a path. Correct the row.')
    return locate_audio(given, [path.parent, root]).read_bytes()


@functools.lru_cache(maxsize=1)
def _recordings(path: Path, changed: int, column: str, group: int) -> Any:
    """The recordings of one row group; neighbours are asked for one after the other, so one group at a time is kept."""
    if path.suffix.lower() == ".arrow":
        return _mapped(path)[column]
    with import_pyarrow().parquet.ParquetFile(path) as file:
        return file.read_row_group(group, columns=[column], use_threads=False)[column]


def _mapped(path: Path) -> Any:
    """An Arrow file mapped into memory, in either of the two forms it comes in; checked, as damaged offsets would lead outside of it."""
    pyarrow = import_pyarrow()
    source = pyarrow.memory_map(str(path))
    whole = source.read(6) == b"ARROW1"
    source.seek(0)
    table = (pyarrow.ipc.open_file(source) if whole else pyarrow.ipc.open_stream(source)).read_all()
    table.validate(full=True)
    return table


def _schema(path: Path) -> Any:
    if path.suffix.lower() == ".arrow":
        return _mapped(path).schema
    with import_pyarrow().parquet.ParquetFile(path) as file:
        return file.schema_arrow


def _tables(path: Path, schema: Any, audio: str | None) -> Iterator[tuple[int, Any]]:
    """Row group by row group, the columns that are not bytes; of recordings their names."""
    pyarrow = import_pyarrow()
    names = [field.name for field in schema if field.name != audio and not _holds_bytes(field.type)]
    named = audio is not None and _has_path(schema.field(audio).type)
    if path.suffix.lower() == ".arrow":
        table = _mapped(path)
        plain = table.select(names)
        yield 0, plain.append_column(audio, pyarrow.compute.struct_field(table[audio], "path")) if named else plain
        return
    with pyarrow.parquet.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield group, file.read_row_group(group, columns=[*names, *([f"{audio}.path"] if named else [])], use_threads=False)


def _audio_column(schema: Any, wanted: str | None) -> str | None:
    """The column of recordings: a struct with bytes in it, as `datasets` writes, or plain bytes under a telling name."""
    types = import_pyarrow().types
    found = [field.name for field in schema if types.is_struct(field.type) and any(part.name == "bytes" for part in field.type)]
    found += [field.name for field in schema if _is_bytes(field.type) and field.name.casefold() in BARE_AUDIO]
    if wanted is not None:
        return wanted if wanted in found else None
    return "audio" if "audio" in found else next(iter(found), None)


def _is_bytes(kind: Any) -> bool:
    types = import_pyarrow().types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _holds_bytes(kind: Any) -> bool:
    return _is_bytes(kind) or any(_holds_bytes(kind.field(place).type) for place in range(kind.num_fields))


def _has_path(kind: Any) -> bool:
    return any(part.name == "path" for part in kind) if import_pyarrow().types.is_struct(kind) else False


def _labels(schema: Any) -> dict[str, Sequence[str]]:
    """The names behind columns of numbers, which `datasets` keeps beside the schema."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {
            name: tuple(map(str, told["names"])) for name, told in features.items() if isinstance(told, dict) and told.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _text(value: Any, labels: Sequence[str] | None, is_audio: bool) -> str:
    if is_audio and isinstance(value, dict):
        value = value.get("path")
    if labels is not None and isinstance(value, int):
        return labels[value] if 0 <= value < len(labels) else ""  # -1 stands for an unknown label
    return as_text(value)


def _why_unreadable(path: Path, error: Exception) -> str:
    try:
        with path.open("rb") as file:
            pointer = file.read(len(POINTER)) == POINTER
    except OSError as reason:
        return f"cannot be read ({reason.strerror or reason}). Check the file."
    if pointer:
        return "a pointer of Git LFS, not the file itself. Fetch it with: git lfs pull"
    return f"cannot be read as {path.suffix[1:]} ({str(error).splitlines()[0] if str(error) else type(error).__name__}). Download it again."
