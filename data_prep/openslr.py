"""OpenSLR's crowd-sourced sets (SLR83 and its siblings): sentences read by volunteers, one variety of a language in each zip.

Source: https://www.openslr.org/83/ (English of the UK and Ireland) and 61, 63 to 66, 69 to 80 and 86 beside it. License: CC BY-SA 4.0.
Give a folder that holds the zips, unpacked or as they were downloaded; several numbers may lie together. Real-shaped lines of the lists:

    line_index.csv     EN1223, wef_12484_01482829612, The sun provides energy        (SLR83; no header, a comma and a blank between)
    line_index.tsv     arf_00295_00000228946<TAB>Y las otras dos son una cajita      (its siblings)
    line_index.tsv     mrt_01523_01464306257<TAB><TAB>text                           (tabs may be doubled, a middle column may be there)

A speaker is the first two parts of a file's name: the number alone is used again for other people. Everyone reads from one script (in SLR83
97 of 100 utterances have a sentence that somebody else read too), so `--splits speaker` shares nearly all sentences between train and test;
`--splits speaker+sentence` divides them as well and costs much of the data. The corpus has no splits of its own.
"""

import dataclasses
import functools
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from speechadapt.cli import main
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import (
    Corpus,
    CorpusRow,
    Intake,
    PrepareOptions,
    PrepReport,
    archive_stem,
    finish_corpus,
    is_archive,
    is_junk,
    locate_audio,
    unpack,
)
from speechadapt.preparation.lists import read_lines

CORPUS = Corpus(
    name="openslr",
    title="OpenSLR crowd-sourced speech",
    license="CC BY-SA 4.0",
    commercial_use="yes, with attribution; share-alike: seek advice before distributing what is derived",
    home="https://www.openslr.org/83/",
    expects="a folder with zips such as midlands_english_female.zip or es_ar_male.zip, or what they hold: recordings beside line_index.csv or .tsv.",
    accent_label="the variety in the name of the zip",
)
UNPACKED = "unpacked"
INDEX = re.compile(r"line_index.*\.(csv|tsv)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Variety:
    """What a zip holds: OpenSLR's number, the language (BCP-47), where it is spoken, and the accent where the language has several."""

    slr: int
    language: str
    region: str
    accent: str | None = None
    label: str | None = None


VARIETIES = {
    "irish_english": Variety(slr=83, language="en", region="Ireland", accent="en_ireland", label="Irish English"),
    "midlands_english": Variety(slr=83, language="en", region="Midlands", accent="en_england", label="Midlands English"),
    "northern_english": Variety(slr=83, language="en", region="Northern England", accent="en_england", label="Northern English"),
    "scottish_english": Variety(slr=83, language="en", region="Scotland", accent="en_scotland", label="Scottish English"),
    "southern_english": Variety(slr=83, language="en", region="Southern England", accent="en_england", label="Southern English"),
    "welsh_english": Variety(slr=83, language="en", region="Wales", accent="en_wales", label="Welsh English"),
    "en_ng": Variety(slr=70, language="en", region="Nigeria", accent="en_nigeria", label="Nigerian English"),
    "es_ar": Variety(slr=61, language="es", region="Argentina", accent="es_argentina", label="Argentinian Spanish"),
    "es_weather": Variety(slr=61, language="es", region="Argentina", accent="es_argentina", label="Argentinian Spanish"),
    "es_cl": Variety(slr=71, language="es", region="Chile", accent="es_chile", label="Chilean Spanish"),
    "es_co": Variety(slr=72, language="es", region="Colombia", accent="es_colombia", label="Colombian Spanish"),
    "es_pe": Variety(slr=73, language="es", region="Peru", accent="es_peru", label="Peruvian Spanish"),
    "es_pr": Variety(slr=74, language="es", region="Puerto Rico", accent="es_puerto_rico", label="Puerto Rican Spanish"),
    "es_ve": Variety(slr=75, language="es", region="Venezuela", accent="es_venezuela", label="Venezuelan Spanish"),
    "ml_in": Variety(slr=63, language="ml", region="India"),
    "mr_in": Variety(slr=64, language="mr", region="India"),
    "ta_in": Variety(slr=65, language="ta", region="India"),
    "te_in": Variety(slr=66, language="te", region="India"),
    "gu_in": Variety(slr=78, language="gu", region="India"),
    "kn_in": Variety(slr=79, language="kn", region="India"),
    "ca_es": Variety(slr=69, language="ca", region="Spain"),
    "eu_es": Variety(slr=76, language="eu", region="Spain"),
    "gl_es": Variety(slr=77, language="gl", region="Spain"),
    "my_mm": Variety(slr=80, language="my", region="Myanmar"),
    "yo_ng": Variety(slr=86, language="yo", region="Nigeria"),
}
"""By the beginning of the zips' names."""

PREFIXES = {
    **{"ir": "irish_english", "mi": "midlands_english", "no": "northern_english"},
    **{"sc": "scottish_english", "so": "southern_english", "we": "welsh_english", "ar": "es_ar", "mr": "mr_in"},
}
"""The first two letters of the files' names, where they are certain; the others are told by the names of zips and folders only."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of these sets.

    Attributes:
        slr: OpenSLR's number, where no name of a zip or folder tells it.
    """

    slr: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a list: the file's name without its ending, the text, the line's own id (SLR83 only) and where it stands."""

    stem: str
    text: str
    line_id: str | None
    place: str


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the sets; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    numbers = sorted({variety.slr for variety in VARIETIES.values()})
    if settings.slr is not None and settings.slr not in numbers:
        raise MisuseError(f"--set slr={settings.slr}: must be one of {', '.join(map(str, numbers))}. Choose one of them.")
    root, out, intake = Path(source), Path(out), Intake()
    tops = [root, *unpack_archives(root, out, options, settings, intake)]
    names = FolderNames(root, tops, settings.slr)
    rows = list(read_rows(root, _list_folders(tops, out), names, options, intake))
    corpus = _describe(sorted({row.meta["slr"] for row in rows}), {row.language for row in rows})
    intake.notes.append(
        "many speakers read the same sentences: --splits speaker leaves them on both sides, --splits speaker+sentence does not and keeps less"
    )
    return finish_corpus(rows, corpus=corpus, source=root, out=out, options=options, intake=intake, audio_roots=tops)


def parse_line(line: str, comma: bool) -> tuple[str | None, str, str] | None:
    """Line id (None in a TSV), file stem and text of one line; None where the line has too few or too many parts.

    Args:
        line: without its end.
        comma: the list is a CSV: three parts, the last of which may hold commas. Else tabs, of which some may be doubled or trail.
    """
    if comma:
        parts = [part.strip() for part in line.split(",", 2)]
        return (parts[0], parts[1], parts[2]) if len(parts) == 3 and parts[1] and parts[2] else None
    parts = [part.strip() for part in line.split("\t") if part.strip()]
    return (None, parts[0], parts[-1]) if len(parts) in (2, 3) else None


def read_index(path: Path, intake: Intake) -> list[Line]:
    """The lines of one list; what is no line of it is dropped and counted."""
    lines = []
    for number, line in read_lines(path):
        place = f"{path.parent.name}/{path.name}, line {number}"
        parsed = parse_line(line, comma=path.suffix.lower() == ".csv")
        if parsed is None:
            message = f'{place}: found "{line[:80]}", expected a file name and a text. Correct the line.'
            intake.drop(f"{path.parent.name}-{path.name}-line{number}", "malformed-line", message)
            continue
        line_id, stem, text = parsed
        if stem.lower().endswith(".wav"):
            intake.repair("file name with its ending, removed")
            stem = stem[: -len(".wav")]
        lines.append(Line(stem=stem, text=text, line_id=line_id, place=place))
    return lines


def speaker_of(stem: str) -> str | None:
    """`wef_12484` of `wef_12484_01482829612`; None where the name has not three parts."""
    parts = PurePosixPath(stem.replace("\\", "/")).name.split("_")
    return "_".join(parts[:2]) if len(parts) >= 3 and all(parts[:2]) else None


def find_variety(names: Sequence[str], slr: int | None = None) -> Variety | None:
    """What the names of a list, a zip and the folders above it tell, the nearest first; None where they leave it open.

    Args:
        names: `es_ar_female`, `SLR61` and the like, in any case.
        slr: taken where no name tells anything, if that number is one variety.

    Raises:
        CorpusError: a name tells another number than `slr`.
    """
    found = next((variety for name in names if (variety := _told_by(name)) is not None), None)
    if found is None and slr is not None:
        return _variety_of(slr)
    if found is not None and slr not in (None, found.slr):
        raise CorpusError(f"{names[0]}: its name says SLR{found.slr}, --set slr says {slr}. Correct the setting or leave it out.")
    return found


@functools.lru_cache(maxsize=1024)  # asked again for every row
def _told_by(name: str) -> Variety | None:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower())
    found = next((variety for stem, variety in VARIETIES.items() if re.search(rf"(?<![a-z]){stem}(?![a-z])", plain)), None)
    number = re.search(r"(?<![a-z])slr_?([0-9]{1,4})(?![0-9])", plain)
    return found if found is not None or number is None else _variety_of(int(number[1]))


def _variety_of(slr: int) -> Variety | None:
    """The variety of a number, if it is the only one."""
    found = {variety for variety in VARIETIES.values() if variety.slr == slr}
    return found.pop() if len(found) == 1 else None


def find_gender(names: Iterable[str]) -> str | None:
    """female or male, if the nearest name that says either is to be believed."""
    told = (re.search(r"(?<![a-z])(female|male)(?![a-z])", name.lower()) for name in names)
    return next((found[1] for found in told if found is not None), None)


class FolderNames:
    """What the names above a folder may tell."""

    def __init__(self, root: Path, tops: Sequence[Path], slr: int | None) -> None:
        self.tops = [top.resolve() for top in tops]
        self.given = (root.resolve().name, root.resolve().parent.name)
        self.slr = slr

    def above(self, folder: Path) -> tuple[str, ...]:
        """The nearest first: the own name, those of the folders it lies in, and those the user gave."""
        top = next((top for top in self.tops[::-1] if folder.is_relative_to(top)), None)
        inner = folder.relative_to(top).parts[::-1] if top is not None else ()
        return (*inner, *self.given)


def unpack_archives(root: Path, out: Path, options: PrepareOptions, settings: Settings, intake: Intake) -> list[Path]:
    """Unpack the zips under `root` whose names tell what they are (all, with the setting slr) into `out`/unpacked.

    Returns:
        That folder, or nothing where no zip was found.

    Raises:
        MisuseError: a dry run, which writes nothing, met a zip that no earlier run has unpacked.
    """
    names = FolderNames(root, [root], settings.slr)
    target = out / UNPACKED
    found = []
    for path in sorted(root.rglob("*")) if root.is_dir() else []:
        inner = path.relative_to(root)
        if not is_archive(path) or is_junk(inner) or path.resolve().is_relative_to(out.resolve()):
            continue
        if find_variety((path.name, *names.above(path.resolve().parent)), settings.slr) is None and settings.slr is None:
            continue
        stem = archive_stem(path)
        if path.with_name(stem).is_dir():
            intake.repair("archive left packed: the folder of its name lies beside it")
            continue
        folder = target.joinpath(*inner.parts[:-1], stem)
        found.append(unpack(path, folder, intake, dry_run=options.dry_run))
    return [target] if found else []


def _list_folders(tops: Sequence[Path], out: Path) -> list[Path]:
    """Every folder below, the tops too, in a fixed order; what an earlier run prepared is no part of the corpus."""
    folders: list[Path] = []
    for top in tops:
        below = sorted(path for path in top.rglob("*") if path.is_dir()) if top.is_dir() else []
        kept = [path for path in below if not is_junk(path.relative_to(top)) and (top != tops[0] or not path.resolve().is_relative_to(out.resolve()))]
        folders += [top, *kept]
    return folders


def read_rows(root: Path, folders: Sequence[Path], names: FolderNames, options: PrepareOptions, intake: Intake) -> Iterator[CorpusRow]:
    """The rows of all lists. A list lies beside its recordings; one that does not (`line_index_all.csv`) serves folders without a list.

    Raises:
        CorpusError: there is no list, or nothing tells which of OpenSLR's sets a recording belongs to.
    """
    files = {
        folder: sorted(path for path in folder.iterdir() if path.is_file() and not is_junk(Path(path.name))) for folder in folders if folder.is_dir()
    }
    recordings = {folder: [path for path in paths if path.suffix.lower() == ".wav"] for folder, paths in files.items()}
    indexes = {folder: [path for path in paths if INDEX.fullmatch(path.name)] for folder, paths in files.items()}
    own = [(path, [folder]) for folder in files if recordings[folder] for path in indexes[folder]]
    bare = [folder for folder in files if recordings[folder] and not indexes[folder]]
    general = [(path, bare or [folder]) for folder in files if not recordings[folder] for path in indexes[folder]] if bare or not own else []
    if not own and not general:
        found = ", ".join(sorted(path.name for path in root.iterdir())[:8]) if root.is_dir() else "no such folder"
        raise CorpusError(
            f"{root}: does not look like one of OpenSLR's crowd-sourced sets; looked for line_index.csv, line_index.tsv and zips named like "
            f"midlands_english_female.zip, found: {found}. It should be {CORPUS.expects}"
        )
    seen: dict[str, tuple[Path, str]] = {}
    repeated, used = 0, set()
    for path, roots in own + general:
        for line in read_index(path, intake):
            used.add(line.stem.casefold())
            first, text = seen.setdefault(line.stem, (path, line.text))
            if first != path and text == line.text:  # the same list, published twice
                repeated += 1
            elif (row := _make_row(line, path, roots, names, options, intake)) is not None:
                yield row
    intake.facts["lines_repeated_in_another_list"] = repeated
    intake.facts["orphan_recordings"] = sum(path.stem.casefold() not in used for paths in recordings.values() for path in paths)


def _make_row(line: Line, index: Path, roots: Sequence[Path], names: FolderNames, options: PrepareOptions, intake: Intake) -> CorpusRow | None:
    try:
        audio = locate_audio(f"{line.stem}.wav", roots)
    except AudioError as error:
        intake.drop(line.stem[:80], error.reason, f'row "{line.stem[:80]}" ({line.place}): {error}')
        return None
    above = (index.stem, *names.above(audio.parent))
    prefix = re.match(r"([a-z]{2})([a-z])_", line.stem.lower())
    variety = find_variety(above, names.slr) or (VARIETIES.get(PREFIXES.get(prefix[1], "")) if prefix else None)
    if variety is None or names.slr not in (None, variety.slr):
        numbers = ", ".join(map(str, sorted({variety.slr for variety in VARIETIES.values()})))
        raise CorpusError(
            f'{line.place}: neither a folder nor the file name "{line.stem}" tells which of OpenSLR\'s sets this is. '
            f"Give the folder the zip's name, or set --set slr=NUMBER, one of {numbers}."
        )
    speaker = speaker_of(line.stem)
    if speaker is None:
        intake.repair("file name without a speaker, left empty")
    third = prefix[2] if prefix and variety.slr == 83 else None
    return CorpusRow(
        id=line.stem,
        audio=audio,
        text=line.text,
        place=line.place,
        speaker=speaker,
        gender=find_gender(above) or (third if third in ("f", "m") else None),
        accent=options.accent_map.get((variety.label or "").casefold(), variety.accent),
        accent_raw=variety.label,
        region=variety.region,
        language=variety.language,
        meta={"slr": variety.slr, **({"line_id": line.line_id} if line.line_id else {})},
    )


def _describe(numbers: Sequence[int], languages: set[str | None]) -> Corpus:
    """The corpus with the numbers and the language that were found."""
    if not numbers:
        return CORPUS
    title = f"{CORPUS.title} ({', '.join(f'SLR{number}' for number in numbers)})"
    home = ", ".join(f"https://www.openslr.org/{number}/" for number in numbers)
    return dataclasses.replace(CORPUS, title=title, home=home, language=languages.pop() if len(languages) == 1 else None)


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
