"""FLEURS: about 2000 sentences of Wikipedia, translated into 102 languages and read up to three times in each; ten hours of training per language.

Source: https://huggingface.co/datasets/google/fleurs. License: CC BY 4.0. Give the folder of one language, such as data/en_us. The lists have no
header; tabs between columns, quotes are literal. Real-shaped:

    train.tsv    1904<tab>10005312194834230394.wav<tab>Cased, "punctuated" text.<tab>cased punctuated text<tab>c a s e d | p ...<tab>167040<tab>MALE
    test.tsv     1675<tab>1003119935936341070.wav<tab>...          (number of the sentence, recording, text twice, letters, samples, gender)
    audio/train.tar.gz   train/10005312194834230394.wav

Archives are unpacked under OUT/unpacked; recordings unpacked by you, in audio/train or train, are read where they are. The corpus names no speakers,
so nobody can say whether its splits share any; they share no sentences. Sentences are parallel: a model that saw the test part of one language knows
what is said in that of another. For FLEURS in Parquet use the script `parquet` with `--set id_column=audio`.
"""

import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from speechadapt.cli import main
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, finish_corpus, locate_audio, unpack
from speechadapt.preparation.fields import SPLIT_NAMES

CORPUS = Corpus(
    name="fleurs",
    title="FLEURS",
    license="CC BY 4.0",
    commercial_use="yes, with attribution",
    home="https://huggingface.co/datasets/google/fleurs",
    expects="the folder of one language with train.tsv, dev.tsv and test.tsv, and audio/train.tar.gz and so on, unpacked or not.",
    accent_label="none",
)
LISTS = ("train.tsv", "dev.tsv", "validation.tsv", "test.tsv")
TEXTS = {"raw": 2, "plain": 3}
COLUMNS = 7
TAGS = {"cmn": "zh"}
"""Where the corpus' name of a language is not the one that recognizers use."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        text: raw (letter case and marks as written) or plain (lower case, no marks).
        language: BCP-47 tag, where the folder is not named like en_us.
    """

    text: str = "raw"
    language: str | None = None


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    if settings.text not in TEXTS:
        raise MisuseError(f'--set text="{settings.text}": must be one of {", ".join(TEXTS)}. Choose one of them.')
    root = find_root(Path(source))
    intake = Intake()
    roots: list[Path] = []
    rows = []
    for path in (root / name for name in LISTS if (root / name).is_file()):
        places = find_recordings(root, path.stem, Path(out), options, intake)
        roots += places
        rows += list(read_list(path, places, settings, intake))
    corpus = dataclasses.replace(CORPUS, language=settings.language or language_of(root.resolve().name))
    return finish_corpus(rows, corpus=corpus, source=root, out=out, options=options, intake=intake, audio_roots=roots)


def find_root(source: Path) -> Path:
    """The folder of the language: `source`, or the only one with lists in it or in its folder data/.

    Raises:
        CorpusError: none, or several.
    """
    folders = [source] if source.is_dir() else []
    for parent in (source, source / "data"):
        folders += sorted(folder for folder in parent.iterdir() if folder.is_dir()) if parent.is_dir() else []
    found = [folder for folder in folders if any((folder / name).is_file() for name in LISTS)]
    if found and (found[0] == source or len(found) == 1):
        return found[0]
    if found:
        names = ", ".join(folder.name for folder in found[:8])
        raise CorpusError(f"{source}: holds {len(found)} languages: {names}{' ...' if len(found) > 8 else ''}. Give the folder of one of them.")
    there = ", ".join(sorted(path.name for path in source.iterdir())[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(
        f"{source}: does not look like FLEURS; looked for train.tsv, dev.tsv and test.tsv, found: {there}. It should be {CORPUS.expects}"
    )


def language_of(name: str) -> str | None:
    """The tag of the language a folder is named after: `en` of `en_us`, `zh` of `cmn_hans_cn`; None for other names."""
    found = re.fullmatch(r"([a-z]{2,3})(_[a-z0-9]{2,4})+", name)
    return TAGS.get(found[1], found[1]) if found else None


def find_recordings(root: Path, split: str, out: Path, options: PrepareOptions, intake: Intake) -> list[Path]:
    """The folders in which recordings of a split may lie; its archive is unpacked where none of them is there.

    Raises:
        MisuseError: a dry run, which writes nothing, met an archive that no earlier run has unpacked.
    """
    places = [place for place in (root / "audio" / split, root / split) if place.is_dir()]
    archive = next((path for path in (root / "audio" / f"{split}.tar.gz", root / f"{split}.tar.gz") if path.is_file()), None)
    if archive is None or places:
        return places or [root / "audio", root]
    folder = out / "unpacked" / split
    unpack(archive, folder, intake, dry_run=options.dry_run)
    return [folder / split, folder]


def read_list(path: Path, places: list[Path], settings: Settings, intake: Intake) -> Iterator[CorpusRow]:
    """The rows of one list; what is no row of seven columns, or has no recording, is dropped and counted."""
    split = SPLIT_NAMES[path.stem]
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        place, row_id = f"{path.name}, line {number}", f"{path.stem}-line{number}"
        values = parse_line(line)
        if isinstance(values, str):
            intake.drop(row_id, "broken-line", f"{place}: {values}. Correct the line, or download the list again.", split)
            continue
        sentence, name, *_, gender = values
        row_id = re.sub(r"\.\w+$", "", name.replace("\\", "/")) or row_id
        try:
            audio = locate_audio(name, places)
        except AudioError as error:
            intake.drop(row_id, error.reason, f'row "{row_id}" ({place}): {error}', split)
            continue
        yield CorpusRow(
            id=row_id,
            audio=audio,
            text=values[TEXTS[settings.text]],
            place=place,
            gender=gender or None,
            split=split,
            meta={"sentence_id": sentence} if sentence else {},
        )


def parse_line(line: bytes) -> list[str] | str:
    """The seven values of a line, without outer blanks, or what is wrong with it."""
    try:
        values = [value.strip() for value in line.decode("utf-8").split("\t")]
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} is not UTF-8"
    return values if len(values) == COLUMNS else f"{len(values)} values for {COLUMNS} columns"


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
