"""The Speech Accent Archive: one English passage read by about 2140 people of 214 native languages, for evaluation.

Source: https://www.kaggle.com/datasets/rtatman/speech-accent-archive. License: CC BY-NC-SA. All speakers read the same 69 words, so a model
trained on them learns the passage, not the accents: every row is a test row unless `--splits` is given. Real-shaped lines of speakers_all.csv:

    age,age_onset,birthplace,filename,native_language,sex,speakerid,country,file_missing?,,,
    27,9,"virginia, south africa",afrikaans1,afrikaans,female,1,south africa,FALSE,,,
    22,6,"port-au-prince, haiti",haitian,haitian creole french,male,520,haiti,TRUE,,,

The transcript of every row is reading-passage.txt; readers deviate from it a little. Rows that the list itself calls missing repeat the names
of other files and are dropped, as are the synthesized voices. Birthplaces are not copied.
"""

import sys
from pathlib import Path

from speechadapt.cli import main
from speechadapt.data.table import read_table
from speechadapt.errors import AudioError, CorpusError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, accent_slug, finish_corpus, locate_audio
from speechadapt.preparation.lists import read_lines

CORPUS = Corpus(
    name="speech_accent_archive",
    title="Speech Accent Archive",
    license="CC BY-NC-SA (the archive states version 2.0)",
    commercial_use="no",
    home="https://www.kaggle.com/datasets/rtatman/speech-accent-archive",
    expects="a folder with speakers_all.csv, reading-passage.txt and recordings/ (or recordings/recordings/) with a file NAME.mp3 for each speaker.",
    accent_label="the speaker's native language",
    language="en",
)
SPEAKERS = "speakers_all.csv"
PASSAGE = "reading-passage.txt"
COLUMNS = ("age", "filename", "native_language", "sex", "country", "file_missing?")
NO_PERSON = "synthesized"


def prepare(source: Path | str, out: Path, options: PrepareOptions) -> PrepReport:
    """Prepare the archive; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root, intake = find_root(Path(source)), Intake()
    rows = read_rows(root, read_passage(root), options, intake)
    intake.notes.append(
        "all speakers read one passage: use these rows to evaluate, accent by accent; a model that is trained on them learns the passage by heart"
    )
    return finish_corpus(rows, corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_root(source: Path) -> Path:
    """The corpus folder: `source` itself or a folder in it, such as archive.

    Raises:
        CorpusError: neither has speakers_all.csv.
    """
    children = sorted(path for path in source.iterdir() if path.is_dir()) if source.is_dir() else []
    for root in (source, *children):
        if (root / SPEAKERS).is_file():
            return root
    found = ", ".join(sorted(path.name for path in source.iterdir())[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(f"{source}: does not look like the Speech Accent Archive; looked for {SPEAKERS}, found: {found}. It should be {CORPUS.expects}")


def read_passage(root: Path) -> str:
    """What everybody reads.

    Raises:
        CorpusError: the file is missing, empty or not UTF-8.
    """
    passage = " ".join(line for _, line in read_lines(root / PASSAGE))
    if not passage:
        raise CorpusError(f"{root / PASSAGE}: missing or empty, and without it nothing tells what is read. Unpack the corpus again.")
    return passage


def accent_of(language: str, options: PrepareOptions) -> str | None:
    """The slug of a native language: as the user maps it, else `en_l2_german`; None leaves native speakers of English to the slug rule."""
    label = language.casefold()
    slug = accent_slug(label)
    return options.accent_map.get(label) or (f"en_l2_{slug}" if slug not in ("", "english") else None)


def read_rows(root: Path, passage: str, options: PrepareOptions, intake: Intake) -> list[CorpusRow]:
    """One row for each speaker whose recording is there; the others are dropped and counted.

    Raises:
        CorpusError: the list cannot be read or lacks a column.
    """
    table = read_table(root / SPEAKERS, delimiter="comma", quoting="standard", repeated="first")  # the last three columns have no name
    lacking = [name for name in COLUMNS if name not in table.header]
    if lacking:
        raise CorpusError(f"{root / SPEAKERS}: no column {', '.join(lacking)}; found {', '.join(table.header)}. Unpack the corpus again.")
    for line, found in table.broken:
        message = f"{SPEAKERS}, line {line}: {found} values, the header names another number of columns. Correct the line."
        intake.drop(f"line{line}", "wrong-columns", message, "test")
    rows = []
    for line, given in table.rows:
        values = {name: value.strip() for name, value in given.items()}
        row = _make_row(root, values, f"{SPEAKERS}, line {line}", passage, options, intake)
        if row is not None:
            rows.append(row)
    return rows


def _make_row(root: Path, values: dict[str, str], place: str, passage: str, options: PrepareOptions, intake: Intake) -> CorpusRow | None:
    name, language = values["filename"], values["native_language"]
    where = f'row "{name[:80]}" ({place})'
    if values["file_missing?"].casefold() == "true":
        intake.leave_out(name[:80], "file-missing", f"{where}: the list says that its recording is missing. Nothing can be done.", "test")
        return None
    if language.casefold() == NO_PERSON:
        intake.leave_out(name[:80], "synthesized", f"{where}: a synthesized voice, not a person. Nothing needs to be done.", "test")
        return None
    try:
        audio = locate_audio(f"{name}.mp3", [root / "recordings" / "recordings", root / "recordings"])
    except AudioError as error:
        intake.drop(name[:80], error.reason, f"{where}: {error}", "test")
        return None
    return CorpusRow(
        id=name,
        audio=audio,
        text=passage,
        place=place,
        speaker=name,
        gender=values["sex"],
        age=values["age"],
        accent=accent_of(language, options),
        accent_raw=language,
        l1=language,
        region=values["country"],
        split="test",
        meta={"age_onset": values["age_onset"]} if values.get("age_onset") else {},
    )


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
