"""AESRC2020: English with ten accents, read on mobile phones; about 20 hours of each, from the Accented English Speech Recognition Challenge.

Source: Datatang (research agreement). License: that agreement; the data may not be redistributed. Layout: a folder for each country, whose name
varies between copies ("American English Speech Data", "Russian Speaking English Speech Data", "India English Speech Data"), in it a folder for
each speaker with a recording, a text and what is known of the speaker for every utterance. Real-shaped lines:

    G00473/G00473S1001.txt         Please turn the volume up, it's my favorite song.
    G00473/G00473S1001.metadata    SEX<TAB>Female
    G00473/G00473S1001.metadata    AGE<TAB>27

Speakers read from one pool of sentences, so that `--splits speaker` shares sentences between train and test; `--splits speaker+sentence` does
not. In the challenge Canadian and Spanish accents were only tested: where their folders are there, they are the test set and the others the
training set. `--set dev_speakers=FILE`, a list with one speaker in each line such as the challenge's baseline has, makes a dev set.
"""

import dataclasses
import re
import sys
from collections.abc import Collection
from pathlib import Path

from speechadapt.cli import main
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, accent_slug, finish_corpus, is_junk, locate_audio
from speechadapt.preparation.lists import parse_line, read_lines

CORPUS = Corpus(
    name="aesrc2020",
    title="AESRC2020",
    license="Datatang research agreement (not redistributable)",
    commercial_use="per agreement",
    home="https://www.datatang.ai/",
    expects='a folder with one folder for each country, such as "American English Speech Data" or "Russian Speaking English Speech Data".',
    accent_label="the country in the folder's name",
    language="en",
)
COUNTRY = re.compile(r"(.+?)[ _]+(?:speaking[ _]+)?english[ _]+speech[ _]+data.*", re.IGNORECASE)
NATIVE = {
    **dict.fromkeys(("american", "us"), "en_us"),
    **dict.fromkeys(("british", "uk"), "en_uk"),
    **dict.fromkeys(("canadian", "canada"), "en_canada"),
    **dict.fromkeys(("indian", "india"), "en_india"),
}
"""Accents named by country; all the others are first languages."""
TESTED = ("canadian", "canada", "spanish")
UTTERANCE = re.compile(r"([a-z]*\d+)s\d+", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        dev_speakers: a text file with one speaker in each line (`G00473`, or `american-G00473` where a number stands in two countries);
            their rows become the dev set.
    """

    dev_speakers: Path | None = None


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root = find_root(Path(source))
    intake = Intake()
    wanted = read_dev_speakers(settings.dev_speakers)
    countries = find_countries(root)
    divided = bool(wanted) or any(label.casefold() in TESTED for label, _ in countries)
    rows = [row for label, folder in countries for row in read_country(root, label, folder, wanted, divided, options, intake)]
    if wanted:
        met = {name for row in rows if row.split == "dev" and row.speaker for name in (row.speaker, row.speaker.split("-")[-1])}
        intake.facts["dev_speakers_not_found"] = sorted(wanted - met)
    return finish_corpus(rows, corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_root(source: Path) -> Path:
    """The folder with the countries: `source` itself or a folder in it.

    Raises:
        CorpusError: none of them, or more than one, holds folders of countries.
    """
    children = sorted(path for path in source.iterdir() if not is_junk(path)) if source.is_dir() else []
    roots = [root for root in (source, *children) if find_countries(root)]
    if len(roots) > 1 and roots[0] != source:
        raise CorpusError(f"{source}: countries lie in {', '.join(root.name for root in roots)}, which are prepared one by one. Give one of them.")
    if roots:
        return roots[0]
    found = ", ".join(path.name for path in children[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(
        f'{source}: does not look like AESRC2020; looked for a folder such as "American English Speech Data", found: {found}. '
        f"It should be {CORPUS.expects}"
    )


def find_countries(root: Path) -> list[tuple[str, Path]]:
    """Label and folder of every country."""
    found = [(COUNTRY.fullmatch(path.name), path) for path in sorted(root.iterdir()) if path.is_dir()] if root.is_dir() else []
    return [(name[1], path) for name, path in found if name is not None and not is_junk(Path(path.name))]


def read_dev_speakers(path: Path | None) -> set[str]:
    """The speakers of the dev set, one in each line.

    Raises:
        MisuseError: there is no such file, or nothing in it.
    """
    if path is None:
        return set()
    names = {line.split()[0] for _, line in read_lines(path) if line.split()}
    if not names:
        raise MisuseError(f"--set dev_speakers={path}: no such file, or nothing in it. Give a text file with one speaker in each line.")
    return names


def read_country(
    root: Path, label: str, folder: Path, wanted: Collection[str], divided: bool, options: PrepareOptions, intake: Intake
) -> list[CorpusRow]:
    """The rows of one country: what has a recording and a text; what has only one of them is dropped and counted."""
    recordings = {stem_of(path): path for path in find_files(folder, ".wav")}
    texts = {stem_of(path): path for path in find_files(folder, ".txt")}
    about = {stem_of(path): path for path in find_files(folder, ".metadata")}
    rows = []
    for stem in sorted({*recordings, *texts}):
        path = recordings.get(stem) or texts[stem]
        prefix, place = accent_slug(label), path.relative_to(root).as_posix()
        key = f"{prefix}-{path.stem}"
        number = speaker_of(path, folder)
        speaker = f"{prefix}-{number}" if number else None
        split = "test" if label.casefold() in TESTED else "dev" if {number, speaker} & set(wanted) else "train" if divided else None
        if stem not in texts:
            intake.drop(key, "no-transcript", f'row "{key}" ({place}): no .txt of its name beside it. Add it or remove the recording.', split)
            continue
        try:
            audio = locate_audio(path.with_suffix(".wav").relative_to(root).as_posix(), [root])
            text = read_text(texts[stem], root)
        except AudioError as error:
            intake.drop(key, error.reason, f'row "{key}" ({place}): {error}', split)
            continue
        person = read_metadata(about.get(stem), root, intake)
        rows.append(_make_row(key, audio, text, speaker, label, split, place, person, options))
    return rows


def find_files(folder: Path, suffix: str) -> list[Path]:
    """Files of one kind below a folder, whatever the case of their endings, without junk."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() == suffix and not is_junk(path.relative_to(folder)))
    return sorted(found, reverse=True)  # of two names that differ in case only, the first one wins


def stem_of(path: Path) -> str:
    """What the files of one utterance have in common."""
    return str(path.with_suffix("")).casefold()


def speaker_of(path: Path, folder: Path) -> str | None:
    """The speaker: from the utterance's name (`G00473` of `G00473S1001`), or else the folder it lies in; None where neither says one."""
    name = UTTERANCE.fullmatch(path.stem)
    if name is not None:
        return name[1].upper()
    return path.parent.name if path.parent != folder else None


def read_text(path: Path, root: Path) -> str:
    """The transcript; lines are joined.

    Raises:
        AudioError: reason `outside-corpus` (a link leads out of the corpus) or `not-utf-8`.
    """
    inside = locate_audio(path.relative_to(root).as_posix(), [root])
    try:
        return " ".join(line for _, line in read_lines(inside))
    except CorpusError as error:
        raise AudioError("not-utf-8", str(error)) from error


def read_metadata(path: Path | None, root: Path, intake: Intake) -> dict[str, str]:
    """What is known of the speaker, by key (`SEX`, `AGE`); comments are passed over, a file that cannot be read is counted."""
    if path is None:
        return {}
    try:
        lines = read_lines(locate_audio(path.relative_to(root).as_posix(), [root]))
    except (AudioError, CorpusError):
        intake.repair("metadata that cannot be read, left out")
        return {}
    return {key.upper(): value for key, value in (parse_line(line) for _, line in lines) if not key.upper().startswith("CMT")}


def _make_row(
    key: str, audio: Path, text: str, speaker: str | None, label: str, split: str | None, place: str, person: dict[str, str], options: PrepareOptions
) -> CorpusRow:
    country = label.casefold()
    return CorpusRow(
        id=key,
        audio=audio,
        text=text,
        place=place,
        speaker=speaker,
        gender=person.get("SEX"),
        age=person.get("AGE"),
        accent=options.accent_map.get(country) or NATIVE.get(country) or f"en_l2_{accent_slug(label)}",
        accent_raw=label,
        l1=None if country in NATIVE else country,
        split=split,
    )


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
