"""Parquet or Arrow files with the recordings inside: a dataset of the Hugging Face Hub, or a folder that `datasets` saved to disk.

Source: yours, or any dataset downloaded in that form (`hf download`, `git clone`, `save_to_disk`); license: `--set license=...`. Needs the extra
`parquet`. Splits are told by the names of files and folders. Real-shaped:

    data/train-00000-of-00002.parquet, data/validation-00000-of-00001.parquet     (Hub)
    train/data-00000-of-00001.arrow, train/state.json, dataset_dict.json           (save_to_disk)
    {"audio": {"bytes": ..., "path": "0001.wav"}, "text": "Put the kettle on, please.", "speaker_id": 7}     (a row)

Columns named as in our manifests, or usual synonyms of them (`sentence`, `client_id` ...), are understood; anything else goes to `meta`, columns of
bytes excepted. Numbers that stand for labels (`gender: 1`) are written as those labels. Of a dataset in several languages give the folder of one.
Where the column `id` does not tell rows apart, `--set id_column=audio` takes the names of the recordings.
"""

import dataclasses
import sys
from pathlib import Path

from speechadapt.cli import main
from speechadapt.errors import CorpusError
from speechadapt.preparation import Corpus, Intake, PrepareOptions, PrepReport, finish_corpus
from speechadapt.preparation.fields import NamedRow, choose_columns, make_rows
from speechadapt.preparation.parquet import PackedRow, find_packed, read_packed

CORPUS = Corpus(
    name="parquet",
    title="a dataset in Parquet or Arrow files",
    license="not stated",
    commercial_use="not stated",
    home="your own disk",
    expects="*.parquet files, or *.arrow files as datasets saves them, with a column of recordings and one of transcripts.",
    accent_label="a column named accent or dialect",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a dataset.

    Attributes:
        name: of the corpus, put before ids and speakers. license, language (BCP-47): of all rows.
        ..._column: where a column has an unusual name.
    """

    name: str = "parquet"
    license: str = "not stated"
    language: str | None = None
    audio_column: str | None = None
    text_column: str | None = None
    id_column: str | None = None
    speaker_column: str | None = None
    gender_column: str | None = None
    accent_column: str | None = None
    language_column: str | None = None
    split_column: str | None = None


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the dataset; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root = Path(source)
    folder = root if root.is_dir() else root.parent
    intake = Intake()
    rows = read_rows(root, settings, intake)
    given = {name.removesuffix("_column"): getattr(settings, name) for name in Settings.__slots__ if name.endswith("_column")}
    header = list(dict.fromkeys(name for row in rows for name in row.values))
    audio_column = next((row.audio_column for row in rows if row.audio_column is not None), settings.audio_column)
    columns = choose_columns(header, {**given, "audio": audio_column}, str(root))
    corpus = dataclasses.replace(CORPUS, name=settings.name, license=settings.license, language=settings.language)
    named = [name_row(row, folder) for row in rows]
    return finish_corpus(
        make_rows(named, columns, intake, language=settings.language),
        corpus=corpus,
        source=root,
        out=out,
        options=options,
        intake=intake,
        audio_roots=[folder],
    )


def read_rows(root: Path, settings: Settings, intake: Intake) -> list[PackedRow]:
    """The rows of every file, without their audio.

    Raises:
        CorpusError: there is no file, or no row in them.
    """
    files = find_packed(root)
    if not files:
        there = ", ".join(sorted(path.name for path in root.iterdir())[:8]) if root.is_dir() else "no such folder"
        raise CorpusError(f"{root}: no dataset; looked for *.parquet and *.arrow, found: {there}. It should be {CORPUS.expects}")
    rows = [row for file in files for row in read_packed(file, root, intake, audio_column=settings.audio_column)]
    if not rows:
        raise CorpusError(f"{root}: {len(files)} files and no row in them ({intake.reasons}). Download them again.")
    return rows


def name_row(row: PackedRow, root: Path) -> NamedRow:
    """A row with the column of its audio, which may be a name of a file beside the table."""
    values = {**row.values, row.audio_column: row.values.get(row.audio_column, "")} if row.audio_column else row.values
    folder = row.file.path.parent
    return NamedRow(
        values=values,
        place=row.place,
        line=row.number + 1,
        folder=row.file.path.stem if folder == root else f"{folder.name}-{row.file.path.stem}",
        split=row.file.split,
        roots=(folder, root),
        audio=row.audio,
    )


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
