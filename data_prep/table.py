"""A table of your own: CSV or TSV with a header, one utterance a line.

Source: yours; license: whatever you hold, `--set license=...` puts it into the report. Columns named as in our manifests, or usual synonyms of them
(`path`, `sentence`, `client_id` ...); anything else goes to `meta`. Real-shaped lines:

    audio_filepath,text,speaker,accent
    clips/0001.wav,"Put the kettle on, please.",p01,Scottish
    clips/0002.wav,NA,p02,Scottish                          (NA is what was said, not a missing value)

Audio paths are relative to the table, or to `--set audio_root=FOLDER`, and may not leave that folder. Without a `split` column and without
`--splits` everything becomes one `all.jsonl`. Rows may point into longer recordings by `offset` and `duration`, or `start` and `end`.
"""

import dataclasses
import sys
from pathlib import Path

from speechadapt.cli import main
from speechadapt.data.table import Table, read_table
from speechadapt.preparation import Corpus, Intake, PrepareOptions, PrepReport, finish_corpus
from speechadapt.preparation.fields import NamedRow, choose_columns, make_rows

CORPUS = Corpus(
    name="table",
    title="a table of recordings and transcripts",
    license="not stated",
    commercial_use="not stated",
    home="your own disk",
    expects="a CSV or TSV file whose header names at least the audio and the text, the recordings beside or below it.",
    accent_label="the column accent",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a table.

    Attributes:
        name: of the corpus, put before ids and speakers, so that speakers of different tables are not taken for one person.
        license, language (BCP-47): of all rows.
        audio_root: where relative audio paths start, and the only folder absolute ones may lie in.
        encoding, delimiter (tab, pipe, semicolon, comma), quoting (standard, none): where finding them fails.
        ..._column: where a column has an unusual name.
    """

    name: str = "table"
    license: str = "not stated"
    language: str | None = None
    audio_root: Path | None = None
    encoding: str | None = None
    delimiter: str | None = None
    quoting: str | None = None
    audio_column: str | None = None
    text_column: str | None = None
    id_column: str | None = None
    speaker_column: str | None = None
    gender_column: str | None = None
    accent_column: str | None = None
    language_column: str | None = None
    split_column: str | None = None
    start_column: str | None = None
    end_column: str | None = None


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the table; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    path = Path(source)
    table = read_table(path, encoding=settings.encoding, delimiter=settings.delimiter, quoting=settings.quoting)
    intake = Intake()
    tell_reading(table, path, intake)
    given = {name.removesuffix("_column"): getattr(settings, name) for name in Settings.__slots__ if name.endswith("_column")}
    columns = choose_columns(table.header, given, str(path))
    roots = (settings.audio_root or path.resolve().parent,)
    named = [NamedRow(values=values, place=f"{path.name}, line {line}", line=line, roots=roots) for line, values in table.rows]
    del table  # the rows in `named` are let go one by one
    rows = make_rows(named, columns, intake, language=settings.language)
    corpus = dataclasses.replace(CORPUS, name=settings.name, license=settings.license, language=settings.language)
    return finish_corpus(rows, corpus=corpus, source=path, out=out, options=options, intake=intake, audio_roots=roots)


def tell_reading(table: Table, path: Path, intake: Intake) -> None:
    """Say how the table was read; a difference between lines and rows betrays quotes that swallowed lines."""
    parsed = len(table.rows) + len(table.broken)
    intake.facts |= {
        "encoding": table.encoding,
        "delimiter": table.delimiter,
        "quoting": table.quoting,
        "physical_lines": table.physical_lines,
        "parsed_rows": parsed,
    }
    if table.physical_lines - 1 != parsed:
        intake.notes.append(
            f"{table.physical_lines - 1} lines gave {parsed} rows: a value holds line breaks, or a stray quote swallowed lines "
            f"(quoting is {table.quoting}; --set quoting=none reads every line as a row)"
        )
    for line, values in table.broken:
        message = f"{path.name}, line {line}: {values} values for {len(table.header)} columns. Correct the line, the delimiter or the quoting."
        intake.drop(f"line{line}", "wrong-columns", message)


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
