"""STT4SG-350: Swiss German speech with Standard German text, 343 hours of 316 speakers from seven dialect regions.

Source: https://swissnlp.org/home/activities/datasets/ (form). License: sources disagree (CC BY or a non-commercial one), ask the owner. Layout:
train_all.tsv, train_balanced.tsv (the same number of hours for each region), valid.tsv and test.tsv, beside the folders clips__train_valid and
clips__test (a suffix such as -001 is understood). Real-shaped lines, tabs between the values:

    path                  duration  sentence                   sentence_source  client_id  dialect_region  canton  zipcode  age       gender
    0a1b/3f9c2e.flac      4.968     Das Wetter bleibt schön.   news             0a1b       Bern            BE      3000     thirties  female
    7c2d/88e01a.flac      3.1       Sie sagte: "Heute nicht.   parliament       7c2d       Wallis          VS      3900     twenties  male

The text is not what was said: speakers read a Standard German sentence and say it in their dialect. This is speech translation; report BLEU or
chrF beside the word error rate. The splits share no speaker. The test set has the same sentences in every region, which is meant so.
"""

import dataclasses
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from speechadapt.cli import main
from speechadapt.data.table import TableLine, stream_tsv
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, accent_slug, finish_corpus, is_junk, locate_audio

CORPUS = Corpus(
    name="stt4sg",
    title="STT4SG-350",
    license="sources disagree (CC BY or non-commercial): check with the owner",
    commercial_use="check with the owner",
    home="https://swissnlp.org/home/activities/datasets/",
    expects="a folder with train_all.tsv (or train_balanced.tsv), valid.tsv, test.tsv and the folders clips__train_valid and clips__test.",
    accent_label="the column dialect_region: where the speaker's dialect is from",
    language="de",
)
TRAINS = ("all", "balanced")
CLIPS = {"test": "clips__test", "dev": "clips__train_valid", "train": "clips__train_valid"}
"""By split, in the order they are read in: what stands in two tables belongs to the first."""
FORMATS = (".flac", ".mp3", ".wav")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        train: all (train_all.tsv) or balanced (train_balanced.tsv, a part of it with the same hours for every region).
    """

    train: str = "all"


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    if settings.train not in TRAINS:
        raise MisuseError(f'--set train="{settings.train}": must be one of {", ".join(TRAINS)}. Choose one of them.')
    root = find_root(Path(source))
    intake = Intake()
    rows = [row for split, table in find_tables(root, settings, intake).items() for row in read_table(root, table, split, options, intake)]
    intake.notes.append("texts are Standard German, speech is Swiss German: report BLEU or chrF beside the word error rate")
    return finish_corpus(rename_repeated(rows), corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_root(source: Path) -> Path:
    """The corpus folder: `source` itself or a folder in it.

    Raises:
        CorpusError: none holds a table and a folder of clips.
    """
    children = sorted(path for path in source.iterdir() if not is_junk(path)) if source.is_dir() else []
    for root in (source, *(path for path in children if path.is_dir())):
        tables = [root / f"{name}.tsv" for name in ("train_all", "train_balanced", "valid", "test")]
        if any(table.is_file() for table in tables) and any(clip_folders(root, split) for split in CLIPS):
            return root
    found = ", ".join(path.name for path in children[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(
        f"{source}: does not look like STT4SG-350; looked for train_all.tsv, valid.tsv or test.tsv beside clips__train_valid or clips__test, "
        f"found: {found}. It should be {CORPUS.expects}"
    )


def clip_folders(root: Path, split: str) -> list[Path]:
    """Where the clips of a split may lie: folders that begin with the published name, as archives may be unpacked in parts."""
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name.startswith(CLIPS[split]))


def find_tables(root: Path, settings: Settings, intake: Intake) -> dict[str, Path]:
    """The tables that are there, by split; those that are not are noted.

    Raises:
        CorpusError: the train table asked for is not there, but the other one is.
    """
    tables = {"test": root / "test.tsv", "dev": root / "valid.tsv", "train": root / f"train_{settings.train}.tsv"}
    other = next(name for name in TRAINS if name != settings.train)
    if not tables["train"].is_file() and (root / f"train_{other}.tsv").is_file():
        raise CorpusError(f"{root}: no {tables['train'].name}, but train_{other}.tsv is there. Run with --set train={other}.")
    intake.notes.extend(f"no {table.name}: the corpus is prepared without its {split} part" for split, table in tables.items() if not table.is_file())
    return {split: table for split, table in tables.items() if table.is_file()}


def read_table(root: Path, table: Path, split: str, options: PrepareOptions, intake: Intake) -> list[CorpusRow]:
    """The rows of one table whose clips are there; others are dropped and counted."""
    rows = []
    roots = [*clip_folders(root, split), root]
    for line in stream_tsv(table, required=("path", "sentence", "client_id")):
        place = f"{table.name}, line {line.number}"
        if line.defect:
            intake.drop(f"{table.stem}-line{line.number}", line.defect, f"{place}: {line.found}. Correct the line.", split)
            continue
        given = line.values["path"].strip()
        try:
            audio = locate_clip(given, line.values["client_id"].strip(), roots, intake)
        except AudioError as error:
            key = PurePosixPath(given.replace("\\", "/")).stem or f"{table.stem}-line{line.number}"
            intake.drop(key, error.reason, f'row "{key[:80]}" ({place}): {error}', split)
            continue
        rows.append(make_row(line, audio, split, place, options))
    return rows


def locate_clip(given: str, client: str, roots: list[Path], intake: Intake) -> Path:
    """The clip a path names; releases differ in the format of the clips, and in whether the speaker's folder is in the path.

    Raises:
        AudioError: reason `outside-corpus` or `missing`.
    """
    try:
        return locate_audio(given, roots)
    except AudioError as error:
        if error.reason != "missing":
            raise
        missing = error
    path = PurePosixPath(given.replace("\\", "/"))
    inside = [path, PurePosixPath(client) / path] if client and "/" not in client and len(path.parts) == 1 else [path]
    for other in (candidate.with_suffix(suffix) for candidate in inside for suffix in (path.suffix, *FORMATS) if path.name):
        try:
            found = locate_audio(str(other), roots)
        except (AudioError, ValueError):
            continue
        intake.repair("clip found under another format or in its speaker's folder")
        return found
    raise missing


def make_row(line: TableLine, audio: Path, split: str, place: str, options: PrepareOptions) -> CorpusRow:
    """A row with what the table says of it; the zip code is left out."""

    def get(column: str) -> str | None:
        return line.values.get(column, "").strip() or None

    region = get("dialect_region")
    source = get("sentence_source")
    return CorpusRow(
        id=audio.stem,
        audio=audio,
        text=line.values["sentence"],
        place=place,
        speaker=get("client_id"),
        gender=get("gender"),
        age=get("age"),
        accent=None if region is None else options.accent_map.get(region.casefold()) or f"gsw_{accent_slug(region)}",
        accent_raw=region,
        region=get("canton"),
        split=split,
        meta={} if source is None else {"sentence_source": source},
    )


def rename_repeated(rows: Iterable[CorpusRow]) -> list[CorpusRow]:
    """Clips of different speakers that have the same name get the speaker before it."""
    kept = list(rows)
    folders: dict[str, set[Path]] = {}
    for row in kept:
        folders.setdefault(row.id, set()).add(Path(str(row.audio)))
    times = Counter({key: len(paths) for key, paths in folders.items()})
    return [dataclasses.replace(row, id=f"{row.speaker}-{row.id}") if times[row.id] > 1 and row.speaker else row for row in kept]


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
