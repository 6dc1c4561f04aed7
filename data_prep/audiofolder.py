"""An AudioFolder as Hugging Face's datasets reads it: recordings beside a metadata file.

Source: yours, or any dataset downloaded in that form; license: `--set license=...`. `ROOT/metadata.csv`, `metadata.jsonl` or `metadata.parquet`
(which needs the extra `parquet`), or one in each of `ROOT/train`, `ROOT/validation`, `ROOT/test`; `file_name` is relative to the metadata file.
Folders of Parquet files that hold the audio itself are for the script `parquet`. Real-shaped lines:

    file_name,transcription,speaker_id                                            (metadata.csv)
    clips/0001.wav,"Put the kettle on, please.",007                               (007 stays text)
    {"file_name": "clips/0001.wav", "transcription": "NA", "speaker_id": "007"}   (metadata.jsonl)

The library that defined the form guesses types, and turns 007 into 7 and NA into nothing; here every value stays text.
"""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

from speechadapt.cli import main
from speechadapt.data.table import read_table
from speechadapt.errors import CorpusError
from speechadapt.preparation import Corpus, Intake, PrepareOptions, PrepReport, find_file, finish_corpus
from speechadapt.preparation.fields import SPLIT_NAMES, NamedRow, as_text, choose_columns, make_rows
from speechadapt.preparation.lines import read_json_lines
from speechadapt.preparation.parquet import PackedFile, read_packed

CORPUS = Corpus(
    name="audiofolder",
    title="a Hugging Face AudioFolder",
    license="not stated",
    commercial_use="not stated",
    home="your own disk",
    expects="metadata.csv, metadata.jsonl or metadata.parquet in the folder itself or in its folders train, validation and test, with the columns "
    "file_name and text.",
    accent_label="a column named accent or dialect",
)
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of an AudioFolder: as of a table; `name` is put before ids and speakers."""

    name: str = "audiofolder"
    license: str = "not stated"
    language: str | None = None
    text_column: str | None = None
    id_column: str | None = None
    speaker_column: str | None = None
    accent_column: str | None = None


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the folder; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root = Path(source)
    intake = Intake()
    named = [row for path, split in find_metadata(root) for row in read_metadata(path, split, root, intake)]
    header = list(dict.fromkeys(name for row in named for name in row.values))
    given = {name.removesuffix("_column"): getattr(settings, name) for name in Settings.__slots__ if name.endswith("_column")}
    columns = choose_columns(header, {**given, "audio": "file_name"}, str(root))
    rows = make_rows(named, columns, intake, language=settings.language)
    corpus = dataclasses.replace(CORPUS, name=settings.name, license=settings.license, language=settings.language)
    return finish_corpus(rows, corpus=corpus, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_metadata(root: Path) -> list[tuple[Path, str | None]]:
    """Metadata files with the split their folder names; one at the root has none.

    Raises:
        CorpusError: there is none.
    """
    found: list[tuple[Path, str | None]] = []
    if root.is_dir():
        folders = sorted(folder for folder in root.iterdir() if folder.is_dir() and folder.name.casefold() in SPLIT_NAMES)
        places = [(root, None), *((folder, SPLIT_NAMES[folder.name.casefold()]) for folder in folders)]
        found = [(path, split) for folder, split in places if (path := find_file(folder, METADATA)) is not None]
    if found and found[0][1] is None:  # one at the root speaks for the whole folder
        return found[:1]
    if not found:
        there = ", ".join(sorted(path.name for path in root.iterdir())[:8]) if root.is_dir() else "no such folder"
        raise CorpusError(
            f"{root}: no metadata file; looked for metadata.csv, metadata.jsonl and metadata.parquet, found: {there}. It should be {CORPUS.expects}"
        )
    return found


def read_metadata(path: Path, split: str | None, root: Path, intake: Intake) -> Iterator[NamedRow]:
    """The rows of one metadata file, every value as text."""
    place = path.relative_to(root).as_posix()
    folder = path.parent.name if path.parent != root else ""
    for line, values in PARSERS[path.suffix](path, split, intake):
        # the root is the second place to look: some published folders name files from there
        yield NamedRow(values=values, place=f"{place}, line {line}", line=line, folder=folder, split=split, roots=(path.parent, root))


def parse_csv(path: Path, split: str | None, intake: Intake) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of metadata.csv: commas and standard quotes, as the form prescribes."""
    table = read_table(path, delimiter="comma", quoting="standard")
    for line, values in table.broken:
        intake.drop(
            f"{path.parent.name}-line{line}", "wrong-columns", f"{path}, line {line}: {values} values for {len(table.header)} columns.", split
        )
    yield from table.rows


def parse_jsonl(path: Path, split: str | None, intake: Intake) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of metadata.jsonl; a broken line is dropped and counted."""
    for number, row in read_json_lines(path, intake, prefix=path.parent.name, split=split):
        yield number, {name: as_text(value) for name, value in row.items()}


def parse_parquet(path: Path, split: str | None, intake: Intake) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of metadata.parquet, counted from 1."""
    for row in read_packed(PackedFile(path=path, split=split), path.parent, intake):
        yield row.number + 1, dict(row.values)


PARSERS = {".csv": parse_csv, ".jsonl": parse_jsonl, ".parquet": parse_parquet}


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
