"""AfriSpeech-200: 200 hours of English, clinical and general, read by 2463 speakers of 120 African accents.

Source: https://huggingface.co/datasets/intronhealth/afrispeech-200, as files (the loading script in it is never run). License: CC BY-NC-SA 4.0:
no commercial use, and what is derived carries the same license. Real-shaped lines of transcripts/train.csv (columns are found by name):

    idx,user_ids,accent,age_group,country,transcript,nchars,audio_ids,audio_paths,duration,origin,domain,split,gender
    4,b7e2,isizulu,26-40,ZA,"Take 5 mg , twice daily.",24,9a41,/AfriSpeech-100/train/0f1c-22/77d3.wav,4.1,internal,clinical,train,Female
    5,c9a0,yoruba,19-25,NG,He walked home.,15,9a42,0f1c-23/77d3.wav,3.2,internal,general,train,Male

Recordings are found by the last two parts of their path, because what stands before them differs between copies and file names repeat.
Archives (audio/ACCENT/SPLIT/*.tar.gz) are unpacked under OUT/unpacked. The official splits share no speaker, but many speakers read the same
prompts; some accents stand in test only, on purpose. `--set accents=zulu,igbo` prepares the accents you have downloaded.
"""

import dataclasses
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from speechadapt.cli import main
from speechadapt.data.table import Table, read_table
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import (
    AccentLabels,
    Corpus,
    CorpusRow,
    Intake,
    PrepareOptions,
    PrepReport,
    accent_slug,
    archive_stem,
    finish_corpus,
    is_archive,
    is_junk,
    locate_audio,
    release,
    unpack,
)

CORPUS = Corpus(
    name="afrispeech",
    title="AfriSpeech-200",
    license="CC BY-NC-SA 4.0",
    commercial_use="no",
    home="https://huggingface.co/datasets/intronhealth/afrispeech-200",
    expects="a folder with transcripts/train.csv, dev.csv and test.csv (or these in a folder for each accent) and with audio/, unpacked or not.",
    accent_label="the ethnolect the speaker stated",
    language="en",
)
SPLITS = ("train", "dev", "test")
COLUMNS = ("user_ids", "accent", "transcript", "audio_ids", "audio_paths")
UNPACKED = "unpacked"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        accents: only these, as published (`zulu,isizulu`) or as slugs (`akan_fante`); rows of others are dropped and counted. Nothing takes all.
    """

    accents: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ListFile:
    """One list: the table, its official split, and how messages call it."""

    table: Table
    split: str
    name: str


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root, out, intake = find_root(Path(source)), Path(out), Intake()
    chosen = {accent_slug(label) for label in settings.accents}
    lists = read_lists(root, chosen)
    roots = [root, *unpack_archives(root, out, options, chosen, intake)]
    recordings = Recordings(roots, out)
    labels = AccentLabels(CORPUS.name, options.accent_map)
    rows = [row for listed in lists for row in read_rows(listed, recordings, chosen, labels, intake)]
    _require_chosen(chosen, lists)
    intake.facts["orphan_recordings"] = recordings.unused
    if options.splits in (None, "official"):
        tell_zero_shot(rows, intake)
    return finish_corpus(release(rows), corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=roots)


def find_root(source: Path) -> Path:
    """The corpus folder: `source` itself or a folder in it.

    Raises:
        CorpusError: neither has transcripts/ with a list.
    """
    children = sorted(path for path in source.iterdir() if path.is_dir()) if source.is_dir() else []
    for root in (source, *children):
        if list_files(root):
            return root
    found = ", ".join(sorted(path.name for path in source.iterdir())[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(f"{source}: does not look like AfriSpeech-200; looked for transcripts/test.csv, found: {found}. It should be {CORPUS.expects}")


def list_files(root: Path) -> list[Path]:
    """The lists of the whole corpus, or, where there are none, those of its accents."""
    folder = root / "transcripts"
    together = [folder / f"{split}.csv" for split in SPLITS if (folder / f"{split}.csv").is_file()]
    accents = sorted(path for path in folder.iterdir() if path.is_dir() and not is_junk(Path(path.name))) if folder.is_dir() else []
    return together or [accent / f"{split}.csv" for accent in accents for split in SPLITS if (accent / f"{split}.csv").is_file()]


def read_lists(root: Path, chosen: Iterable[str] = ()) -> list[ListFile]:
    """All lists; of accents in folders of their own only the chosen ones, if any are.

    Raises:
        CorpusError: a list cannot be read or lacks a column.
    """
    files = list_files(root)
    own = [path for path in files if accent_slug(path.parent.name) in chosen]
    lists = []
    for path in own or files:
        table = read_table(path, delimiter="comma", quoting="standard")
        lacking = [name for name in COLUMNS if name not in table.header]
        if lacking:
            raise CorpusError(f"{path}: no column {', '.join(lacking)}; found {', '.join(table.header)}. Download the file again.")
        lists.append(ListFile(table=table, split=path.stem, name=path.relative_to(root).as_posix()))
    return lists


def unpack_archives(root: Path, out: Path, options: PrepareOptions, chosen: Iterable[str], intake: Intake) -> list[Path]:
    """Unpack audio/ACCENT/SPLIT/*.tar.gz into `out`/unpacked, of all accents or of the chosen ones.

    Returns:
        That folder, or nothing where no archive was found.

    Raises:
        MisuseError: a dry run, which writes nothing, met an archive that no earlier run has unpacked.
    """
    audio = root / "audio"
    names = set(chosen)
    found = []
    for archive in sorted(audio.rglob("*")) if audio.is_dir() else []:
        inner = archive.relative_to(audio)
        if not is_archive(archive) or is_junk(inner) or (names and accent_slug(inner.parts[0]) not in names):
            continue
        stem = archive_stem(archive)
        folder = (out / UNPACKED).joinpath(*inner.parts[:-1], stem)
        found.append(unpack(archive, folder, intake, dry_run=options.dry_run))
    return [out / UNPACKED] if found else []


class Recordings:
    """Where recordings lie, by the last two parts of their path (`SESSION/NAME.wav`, whatever its case)."""

    def __init__(self, roots: Sequence[Path], out: Path) -> None:
        self._places: dict[tuple[str, ...], tuple[Path, str]] = {}
        self._used: set[tuple[str, ...]] = set()
        for root in roots:
            for path in sorted(root.rglob("*")):
                inner = path.relative_to(root)
                if path.suffix.lower() != ".wav" or is_junk(inner):
                    continue
                if root is not roots[0] or not path.resolve().is_relative_to(out.resolve()):  # not what an earlier run unpacked
                    self._places.setdefault(_key(PurePosixPath(path.as_posix())), (root, inner.as_posix()))

    def locate(self, given: str) -> Path:
        """The recording a list names.

        Raises:
            AudioError: reason `missing`, or `outside-corpus` for a path with `..` in it or a link that leads out.
        """
        path = PurePosixPath(given.strip().replace("\\", "/"))
        if ".." in path.parts:
            raise AudioError("outside-corpus", f'"{given[:200]}" leaves the folder of the corpus. Correct the list.')
        place = self._places.get(_key(path))
        if place is None:
            raise AudioError("missing", f'no file ends in "{"/".join(path.parts[-2:])[:200]}". Download or unpack its archive.')
        self._used.add(_key(path))
        return locate_audio(place[1], [place[0]])

    @property
    def unused(self) -> int:
        """How many recordings no list named."""
        return len(self._places) - len(self._used)


def _key(path: PurePosixPath) -> tuple[str, ...]:
    return tuple(part.casefold() for part in path.parts[-2:])


def accent_of(label: str, labels: AccentLabels) -> str | None:
    """The slug of a label; `mixed` where it names several ethnolects (`hausa/fulani`), unless the user's map knows the whole of it."""
    return labels.slug_of(label, CORPUS.language, parts=[part for part in re.split(r"[/,]", label) if part.strip()])


def read_rows(listed: ListFile, recordings: Recordings, chosen: Iterable[str], labels: AccentLabels, intake: Intake) -> Iterator[CorpusRow]:
    """The rows of one list; what cannot be used is dropped and counted."""
    prefix = listed.name.removeprefix("transcripts/").removesuffix(".csv").replace("/", "-")
    for line, width in listed.table.broken:
        message = f"{listed.name}, line {line}: {width} values for {len(listed.table.header)} columns. Correct the line."
        intake.drop(f"{prefix}-line{line}", "wrong-columns", message, listed.split)
    for line, values in listed.table.rows:
        row_id, label, place = values["audio_ids"].strip() or f"{prefix}-line{line}", values["accent"].strip(), f"{listed.name}, line {line}"
        if chosen and accent_slug(label) not in chosen:
            intake.leave_out(
                row_id, "other-accent", f'row "{row_id}" ({place}): accent "{label}", only {", ".join(sorted(chosen))} asked for.', listed.split
            )
            continue
        try:
            audio = recordings.locate(values["audio_paths"])
        except AudioError as error:
            intake.drop(row_id, error.reason, f'row "{row_id}" ({place}): {error}', listed.split)
            continue
        yield CorpusRow(
            id=row_id,
            audio=audio,
            text=values["transcript"],
            place=place,
            speaker=values["user_ids"],
            gender=values.get("gender"),
            age=values.get("age_group", "").strip(),
            accent=accent_of(label, labels),
            accent_raw=label,
            region=values.get("country", "").strip(),
            split=listed.split,
            meta={name: values[name] for name in ("domain", "origin") if values.get(name)},
        )


def _require_chosen(chosen: Iterable[str], lists: Sequence[ListFile]) -> None:
    """A misspelled accent must not look like one that nobody speaks."""
    there = {accent_slug(values["accent"]) for listed in lists for _, values in listed.table.rows}
    unknown = sorted(set(chosen) - there)
    if unknown:
        raise MisuseError(f'--set accents: "{unknown[0]}" stands in no list; there are: {", ".join(sorted(there))}. Check the spelling.')


def tell_zero_shot(rows: Sequence[CorpusRow], intake: Intake) -> None:
    """Name the accents of the test set that nobody in train speaks."""
    spoken: dict[str | None, set[str]] = {split: set() for split in SPLITS}
    for row in rows:
        spoken[row.split].add(row.accent or "")
    if spoken["train"] and (unheard := sorted(spoken["test"] - spoken["train"] - {""})):
        intake.notes.append(f"zero-shot in test (nobody in train has them): {', '.join(unheard)}")


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
