"""SDS-200: Swiss German speech with Standard German text, recorded on a website by about 4000 volunteers; 200 hours.

Source: https://swissnlp.org/home/activities/datasets/ (form). License: CC BY-NC 4.0. Either one table of everything (export_20211220.tsv beside
export_20211220_clips) or one for each split (train.tsv, valid.tsv, test.tsv beside clips). Real-shaped lines, tabs between the values, and more
columns than shown here:

    clip_id  clip_path       sentence                clip_is_valid  sentence_source    client_id  zipcode  canton  clip_n_votes_correct  age  gender
    81       a91/3f02.mp3    Das reicht nicht aus.   True           tamedia_sentences  a91        3000     BE      2                     30s  male
    82       b17/77c1.mp3    Er kommt "morgen.                      cv_sentences       b17        8001     ZH      0

The text is not what was said: people read a Standard German sentence and say it in their dialect. This is speech translation; report BLEU or
chrF beside the word error rate. A person who came back without an account has several client ids, so that splits by speaker may share people.
`clip_is_valid` is what other people voted: True, False, or nothing where too few of them did; `--set check=...` chooses by it.
"""

import dataclasses
import re
import sys
from collections import Counter
from pathlib import Path, PurePosixPath

from speechadapt.cli import main
from speechadapt.data.table import TableLine, stream_tsv
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, accent_slug, finish_corpus, is_junk, locate_audio, release
from speechadapt.preparation.fields import SPLIT_NAMES

CORPUS = Corpus(
    name="sds200",
    title="SDS-200",
    license="CC BY-NC 4.0",
    commercial_use="no",
    home="https://swissnlp.org/home/activities/datasets/",
    expects="a folder with export_20211220.tsv, or with train.tsv, valid.tsv and test.tsv, and the clips in a folder beside them.",
    accent_label="the column canton: where the speaker's dialect is from",
    language="de",
)
CANTONS = {
    **{"ag": "aargau", "ai": "appenzell_innerrhoden", "ar": "appenzell_ausserrhoden", "be": "bern", "bl": "basel_landschaft", "bs": "basel"},
    **{"fr": "fribourg", "ge": "geneva", "gl": "glarus", "gr": "graubunden", "ju": "jura", "lu": "luzern", "ne": "neuchatel", "nw": "nidwalden"},
    **{"ow": "obwalden", "sg": "st_gallen", "sh": "schaffhausen", "so": "solothurn", "sz": "schwyz", "tg": "thurgau", "ti": "ticino", "ur": "uri"},
    **{"vd": "vaud", "vs": "wallis", "zg": "zug", "zh": "zurich"},
}
REFUSED = {"all": (), "undisputed": ("refuted",), "valid": ("refuted", "undecided")}
"""Verdicts that are dropped, by the setting `check`."""
VERDICTS = {**dict.fromkeys(("true", "t", "1", "1.0", "yes"), "valid"), **dict.fromkeys(("false", "f", "0", "0.0", "no"), "refuted")}
PATHS = ("clip_path", "path")
META = (
    *("sentence_id", "sentence_source", "clip_is_valid", "user_mean_clip_quality", "clip_n_votes_correct", "clip_n_votes_false"),
    *("clip_n_times_reported", "sentence_n_times_reported"),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        check: all; undisputed (without rows that were voted to be wrong); or valid (only rows that were voted to be right). Rows of a
            test set are never chosen by it.
    """

    check: str = "all"


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    if settings.check not in REFUSED:
        raise MisuseError(f'--set check="{settings.check}": must be one of {", ".join(REFUSED)}. Choose one of them.')
    root = find_root(Path(source))
    intake = Intake()
    verdicts: Counter[str] = Counter()
    tables = choose_tables(root, intake)
    rows = [row for table, split in tables for row in read_table(root, table, split, options, settings, intake, verdicts)]
    intake.facts["verdicts"] = dict(sorted(verdicts.items()))
    intake.notes.append("texts are Standard German, speech is Swiss German: report BLEU or chrF beside the word error rate")
    intake.notes.append("a person may have several client ids, so that splits by speaker may share people")
    return finish_corpus(release(rows), corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_root(source: Path) -> Path:
    """The corpus folder: `source` itself or a folder in it.

    Raises:
        CorpusError: none holds a table.
    """
    children = sorted(path for path in source.iterdir() if not is_junk(path)) if source.is_dir() else []
    for root in (source, *(path for path in children if path.is_dir())):
        if find_tables(root):
            return root
    found = ", ".join(path.name for path in children[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(f"{source}: does not look like SDS-200; looked for a table (*.tsv), found: {found}. It should be {CORPUS.expects}")


def find_tables(root: Path) -> list[Path]:
    """The tables in a folder, by name."""
    return sorted(path for path in root.glob("*") if path.suffix.lower() == ".tsv" and path.is_file() and not is_junk(path)) if root.is_dir() else []


def choose_tables(root: Path, intake: Intake) -> list[tuple[Path, str | None]]:
    """The tables to read, test first: those of the splits, or else all; tables left out are noted."""
    named = [(table, split_of(table.stem)) for table in find_tables(root)]
    if not any(split for _, split in named):
        return named
    intake.notes.extend(f"{table.name} is not read, as there are tables of the splits" for table, split in named if split is None)
    return [(table, split) for wanted in ("test", "dev", "train") for table, split in named if split == wanted]


def split_of(stem: str) -> str | None:
    """The split that a table's name says in one of its words: `sds200_train` and `valid` do, `export_20211220` does not."""
    words = re.split(r"[\W_]+", stem.casefold())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)


def read_table(
    root: Path, table: Path, split: str | None, options: PrepareOptions, settings: Settings, intake: Intake, verdicts: Counter[str]
) -> list[CorpusRow]:
    """The rows of one table whose clips are there; others are dropped and counted.

    Raises:
        CorpusError: the table has no column for the text or for the clip.
    """
    rows = []
    roots = [*sorted(path for path in root.iterdir() if path.is_dir() and "clips" in path.name.lower()), root]
    for line in stream_tsv(table, required=("sentence",)):
        place = f"{table.name}, line {line.number}"
        if line.defect:
            intake.drop(f"{table.stem}-line{line.number}", line.defect, f"{place}: {line.found}. Correct the line.", split)
            continue
        column = next((name for name in PATHS if name in line.values), None)
        if column is None:
            raise CorpusError(f"{table}: no column {' or '.join(PATHS)}; found {', '.join(line.values)[:200]}. Check that this is the right table.")
        given = line.values[column].strip()
        key = line.values.get("clip_id", "").strip() or PurePosixPath(given.replace("\\", "/")).stem or f"{table.stem}-line{line.number}"
        said = line.values.get("clip_is_valid", "").strip()
        verdict = VERDICTS.get(said.casefold(), "undecided")
        verdicts[verdict] += 1
        if split != "test" and verdict in REFUSED[settings.check]:
            intake.leave_out(key, f"voted-{verdict}", f'row "{key[:80]}" ({place}): clip_is_valid is "{said}", --set check={settings.check}.', split)
            continue
        try:
            audio = locate_audio(given, roots)
        except AudioError as error:
            intake.drop(key, error.reason, f'row "{key[:80]}" ({place}): {error}', split)
            continue
        rows.append(make_row(key, line, audio, split, place, options))
    return rows


def make_row(key: str, line: TableLine, audio: Path, split: str | None, place: str, options: PrepareOptions) -> CorpusRow:
    """A row with what the table says of it; the zip code is left out."""

    def get(column: str) -> str | None:
        return line.values.get(column, "").strip() or None

    canton = get("canton")
    return CorpusRow(
        id=key,
        audio=audio,
        text=line.values["sentence"],
        place=place,
        speaker=get("client_id"),
        gender=get("gender"),
        age=get("age"),
        accent=None if canton is None else options.accent_map.get(canton.casefold()) or accent_of(canton),
        accent_raw=canton,
        region=canton,
        split=split,
        meta={name: value for name in META if (value := get(name)) is not None},
    )


def accent_of(canton: str) -> str:
    """The slug of a canton, given by its code or its name: `ZH` and `Zürich` become `gsw_zurich`."""
    return f"gsw_{CANTONS.get(canton.casefold()) or accent_slug(canton)}"


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
