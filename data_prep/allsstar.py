"""ALLSSTAR: the same English texts read, and some talked about, by speakers of some twenty first languages (Northwestern University).

Source: https://speechbox.linguistics.northwestern.edu/ (registration), one or several downloads unpacked into the same folder. License: the
terms of SpeechBox; the recordings may not be redistributed. Everything is told by the names of the files. Real-shaped lines:

    ALL_005_M_CMN_ENG_HT1.wav         speaker 005, male, first language Mandarin (CMN), speaks English (ENG), task HT1
    ALL_005_M_CMN_ENG_HT1.TextGrid    tier "utt": 0.53 2.61 "the clown had a funny face"
    tasks                             DHR, LPP, NWS: read texts; HT1, HT2: read sentences; others are talked freely

Speakers were also recorded in their first language; `--set languages=CMN,ENG` takes what was spoken in these, by default only English is
taken. All speakers read the same texts, so that a split by speaker alone tests sentences that were trained on; `--splits speaker+sentence`
keeps them apart. The recordings of native speakers of English (first language ENG) are taken like the others.
"""

import dataclasses
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from speechadapt.cli import main
from speechadapt.data.textgrid import Tier, read_textgrid
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, Segment, finish_corpus
from speechadapt.preparation.annotations import (
    SOUND_SUFFIXES,
    UNINTELLIGIBLE,
    Line,
    Marks,
    Recordings,
    files_under,
    is_spoken,
    join_words,
    make_rows,
)

CORPUS = Corpus(
    name="allsstar",
    title="ALLSSTAR (SpeechBox)",
    license="SpeechBox terms (registration; not redistributable)",
    commercial_use="per agreement",
    home="https://speechbox.linguistics.northwestern.edu/",
    expects="a folder with files named like ALL_005_M_CMN_ENG_HT1.wav and ALL_005_M_CMN_ENG_HT1.TextGrid in it or below it.",
    accent_label="the code of the speaker's first language in the file's name",
    case="sentence",
)
NAME = re.compile(
    r"ALL_(?P<speaker>[0-9]{1,6})_(?P<sex>[MF])_(?P<l1>[A-Z]{3})_(?P<language>[A-Z]{3})_(?P<task>[A-Z0-9]{1,12}(?:_[A-Z0-9]{1,12})?)", re.ASCII
)
LANGUAGES = {
    "ENG": ("english", "en"),
    "CCT": ("cantonese", "yue"),
    "CMN": ("mandarin", "zh"),
    "FAR": ("farsi", "fa"),
    "FRA": ("french", "fr"),
    "GER": ("german", "de"),
    "GIS": ("gishu", "myx"),
    "GRE": ("greek", "el"),
    "GUJ": ("gujarati", "gu"),
    "HEB": ("hebrew", "he"),
    "HIN": ("hindi", "hi"),
    "IND": ("indonesian", "id"),
    "JPN": ("japanese", "ja"),
    "KOR": ("korean", "ko"),
    "PBR": ("portuguese", "pt"),
    "RUN": ("runyankore", "nyn"),
    "RUS": ("russian", "ru"),
    "SPA": ("spanish", "es"),
    "TUR": ("turkish", "tr"),
    "VIE": ("vietnamese", "vi"),
}
"""Name and BCP-47 tag by code; codes whose meaning is not certain (CSP, CTW, SHS) are kept as they are."""
READ = ("DHR", "LPP", "NWS", "HT1", "HT2")
UTTERANCES = frozenset(("utt", "utts", "utterance", "utterances", "sentence", "sentences", "phrase", "phrases"))
WORDS = frozenset(("word", "words"))
MARKS = Marks(drop=re.compile(UNINTELLIGIBLE), remove=None)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        languages: codes of the spoken languages that are taken (ENG, CMN ...).
        tasks: codes of the tasks that are taken (HT1, LPP ...); empty takes all.
    """

    languages: tuple[str, ...] = ("ENG",)
    tasks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """What the name of a file tells; codes in capitals."""

    speaker: str
    sex: str
    l1: str
    language: str
    task: str


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root = Path(source)
    intake = Intake()
    found = find_files(root, Path(out), intake)
    chosen = choose_files(found, root, settings, intake)
    recordings = Recordings([root], Path(out))
    rows = [row for stem, path in chosen.items() for row in read_file(stem, path, recordings, intake)]
    strange = sorted({name.l1 for stem in chosen if (name := parse_name(stem)) is not None and name.l1 not in LANGUAGES})
    if strange:
        intake.notes.append(f"codes of first languages that are kept as they are: {', '.join(strange)}")
    if options.splits != "speaker+sentence":
        intake.notes.append("All speakers read the same texts; --splits speaker+sentence keeps the sentences of train, dev and test apart.")
    return finish_corpus(rows, corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def parse_name(stem: str) -> Name | None:
    """What `ALL_005_M_CMN_ENG_HT1` tells, in any case; None for other names."""
    match = NAME.fullmatch(stem.upper())
    return Name(**match.groupdict()) if match is not None else None


def find_files(root: Path, out: Path, intake: Intake) -> dict[str, Path]:
    """By name without suffix: the annotation file, or the recording where there is none. What was prepared into `out` does not count.

    Raises:
        CorpusError: no file has a name of this corpus.
    """
    found: dict[str, Path] = {}
    for suffixes in ((".textgrid",), SOUND_SUFFIXES):
        for path in files_under(root, suffixes, out) if root.is_dir() else ():
            if parse_name(path.stem) is None:
                continue
            other = found.setdefault(path.stem.upper(), path)
            if other != path and other.suffix.lower() in suffixes:
                intake.repair("file of the same name in another folder, the first is kept")
    if not found:
        there = ", ".join(sorted(path.name for path in root.iterdir())[:8]) if root.is_dir() else "no such folder"
        raise CorpusError(f"{root}: does not look like ALLSSTAR; looked for ALL_..._ENG_....TextGrid, found: {there}. It should be {CORPUS.expects}")
    return dict(sorted(found.items()))


def choose_files(found: dict[str, Path], root: Path, settings: Settings, intake: Intake) -> dict[str, Path]:
    """Files of the languages and tasks that were asked for; the others are counted as facts.

    Raises:
        MisuseError: there are none.
    """
    languages, tasks = ({code.upper() for code in codes} for codes in (settings.languages, settings.tasks))
    chosen: dict[str, Path] = {}
    others: Counter[str] = Counter()
    there: dict[str, set[str]] = {"languages": set(), "tasks": set()}
    for stem, path in found.items():
        name = parse_name(stem)
        if name is None:
            continue
        there["languages"].add(name.language)
        there["tasks"].add(name.task)
        if name.language not in languages:
            others["recordings_in_other_languages"] += 1
        elif tasks and name.task not in tasks:
            others["recordings_of_other_tasks"] += 1
        else:
            chosen[stem] = path
    if not chosen:
        told = "; ".join(f"{what}: {', '.join(sorted(codes))}" for what, codes in there.items())
        raise MisuseError(f"{root}: no recording is left. There are {told}. Choose with --set languages=CODE and --set tasks=CODE.")
    intake.facts |= dict(others)
    return chosen


def read_file(stem: str, path: Path, recordings: Recordings, intake: Intake) -> list[CorpusRow]:
    """The rows of one recording; one without an annotation that can be used is dropped and counted."""
    name = parse_name(stem)
    if name is None:
        return []
    reason, told = "no-annotation", f'recording "{path.name}": no {path.stem}.TextGrid below the folder. Download the annotations too.'
    tier = None
    if path.suffix.lower() == ".textgrid":
        try:
            grid = read_textgrid(path)
        except CorpusError as error:
            reason, told = "broken-textgrid", str(error)
        else:
            tier = choose_tier(grid.tiers, intake)
            there = ", ".join(f'"{one.name[:40]}"' for one in grid.tiers[:20]) or "none"
            reason, told = "no-tier", f'file "{path.name}": no tier of utterances or words with text in it; there are: {there}. Check the file.'
    if tier is None:
        intake.drop(stem, reason, told)
        return []
    rows = make_rows(
        read_lines(tier),
        path=path,
        root=path.parent,
        audio=recordings.find(path),
        roots=recordings.roots,
        corpus=CORPUS,
        marks=MARKS,
        overlap="keep",
        intake=intake,
    )
    return [describe(row, name) for row in rows]


def choose_tier(tiers: Sequence[Tier], intake: Intake) -> Tier | None:
    """The tier of utterances, else that of words, whichever has text in it; of several the first, and the others are counted."""
    filled = [tier for tier in tiers if not tier.points and any(is_spoken(one.text) for one in tier.intervals)]
    found = next((of_kind for kind in (UTTERANCES, WORDS) if (of_kind := [tier for tier in filled if words_of(tier) & kind])), [])
    if len(found) > 1:
        intake.repair("second tier of utterances or words in a file, the first is read", len(found) - 1)
    return found[0] if found else None


def words_of(tier: Tier) -> set[str]:
    """The words of a tier's name: `Speaker - word` has two."""
    return set(re.split(r"[\W_]+", tier.name.casefold()))


def read_lines(tier: Tier) -> list[Line]:
    """Utterances as they are; words joined to phrases at pauses of more than half a second."""
    segments = [Segment(start=one.start, end=one.end, text=one.text.strip()) for one in tier.intervals if is_spoken(one.text)]
    if not words_of(tier) & UTTERANCES:
        segments = join_words(segments, gap=0.5, longest=25.0, drop=MARKS.drop)
    return [Line(key=f"{round(one.start * 1000):07d}", tier=tier.name, start=one.start, end=one.end, text=one.text) for one in segments]


def describe(row: CorpusRow, name: Name) -> CorpusRow:
    """The row with what the name of its file tells; a native speaker's accent is left to the user's map, for the corpus does not name it."""
    l1, language = LANGUAGES.get(name.l1, (name.l1.lower(), None))[0], LANGUAGES.get(name.language, ("", None))[1]
    foreign = name.language == "ENG" and name.l1 != "ENG"
    return dataclasses.replace(
        row,
        speaker=f"ALL_{name.speaker}",
        gender=name.sex,
        l1=l1,
        accent=f"en_l2_{l1}" if foreign else None,
        accent_raw=name.l1,
        language=language,
        meta={"task": name.task, **({"style": "read"} if name.task in READ else {})},
    )


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
