"""Praat TextGrids beside recordings: phrases as they stand in a tier, or a tier of words joined to phrases.

Source: yours, or what a forced aligner (the Montreal one, MAUS) or a phonetician leaves; license: `--set license=...`. Any folder with
`NAME.TextGrid` files, recordings of the same names beside them or elsewhere below it. Real-shaped lines of the long text form:

    name = "Anna - words"                          (also `words`, `utt`, `Speech`, `ORT-MAU`)
    intervals [2]: xmin = 0.78 xmax = 1.02         (on lines of their own)
    text = "he said ""no"" twice"                  (quotes are doubled; an empty text is a silence)

Which tier holds the transcript is found by its name where that is usual, and asked for where it is not: the message lists the tiers, and
`--set tiers=NAME` chooses (`*` stands for anything, several with commas between). Speakers are taken from tier names only where several
tiers of a file are transcripts, or a name says both (`Anna - words`); otherwise the speaker is unknown unless `--set speaker=...` tells.
"""

import codecs
import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from speechadapt.cli import main
from speechadapt.data.textgrid import TextGrid, Tier, read_textgrid
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, Segment, finish_corpus
from speechadapt.preparation.annotations import (
    OVERLAPS,
    SPEAKERS,
    UNINTELLIGIBLE,
    Line,
    Marks,
    Recordings,
    check_choice,
    describe_tiers,
    file_key,
    find_annotations,
    is_spoken,
    join_words,
    make_rows,
    matches,
    speaker_of,
)
from speechadapt.units import Seconds

CORPUS = Corpus(
    name="textgrid",
    title="recordings with Praat TextGrids",
    license="not stated",
    commercial_use="not stated",
    home="your own disk",
    expects="a folder with .TextGrid files, each with a recording of the same name beside it or elsewhere below the folder.",
    accent_label="none",
)
JOINS = ("auto", "yes", "no")
WORDS = frozenset(("word", "words", "ort"))
PHRASES = frozenset(
    ("speech", "utt", "utts", "utterance", "utterances", "sentence", "sentences", "phrase", "phrases", "transcription", "transcript", "text")
)
PARTS = frozenset(("phone", "phones", "phoneme", "phonemes", "mau", "kan", "segment", "segments", "syllable", "syllables"))
KINDS = WORDS | PHRASES | PARTS


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of TextGrids.

    Attributes:
        name: of the corpus, put before ids and speakers. license, language (BCP-47): of all rows.
        audio_root: a folder that holds the recordings, if they lie elsewhere.
        tiers: names or patterns of the tiers with the transcript; without them, tiers with a usual name.
        join_words: auto (tiers called words or ORT), yes or no: join the labels to phrases where the pause is at most `gap` seconds and
            the phrase at most `longest`.
        speaker: auto (see above), tier, file, folder (their names) or none.
        encoding: of files that are not in UTF-8, UTF-16 with a mark, or Latin-1.
        drop_marks: rows that hold this regular expression are dropped. remove_marks: what it matches is taken out of the text.
        overlap: keep, or drop what is said at the same time as a line of another tier.
    """

    name: str = "textgrid"
    license: str = "not stated"
    language: str | None = None
    audio_root: Path | None = None
    tiers: tuple[str, ...] = ()
    join_words: str = "auto"
    gap: Seconds = 0.5
    longest: Seconds = 25.0
    speaker: str = "auto"
    encoding: str | None = None
    drop_marks: str = UNINTELLIGIBLE
    remove_marks: str = ""
    overlap: str = "keep"


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the files; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    check_settings(settings)
    corpus = dataclasses.replace(CORPUS, name=settings.name, license=settings.license, language=settings.language)
    intake = Intake()
    root, files = find_annotations(Path(source), ".TextGrid", CORPUS, Path(out), intake)
    grids = read_files(files, root, settings, intake)
    chosen = choose_tiers(grids, root, settings)
    recordings = Recordings([root, settings.audio_root] if settings.audio_root is not None else [root], Path(out))
    marks = Marks.read(settings.drop_marks, settings.remove_marks)
    rows: list[CorpusRow] = []
    for path, tiers in chosen.items():
        if not tiers:
            message = f'file "{path.relative_to(root)}": no tier with the transcript among {names_of(grids[path])}. Choose one with --set tiers=NAME.'
            intake.drop(file_key(path, root), "no-tier", message)
            continue
        lines = read_lines(tiers, path, root, settings)
        if not lines:
            there = ", ".join(f'"{tier.name[:40]}"' for tier in tiers[:20])
            message = f'file "{path.relative_to(root)}": nothing but silence in {there}. Transcribe it or remove it.'
            intake.drop(file_key(path, root), "empty-tier", message)
            continue
        rows += make_rows(
            lines,
            path=path,
            root=root,
            audio=recordings.find(path),
            roots=recordings.roots,
            corpus=corpus,
            marks=marks,
            overlap=settings.overlap,
            intake=intake,
        )
    tell_backslashes(rows, intake)
    return finish_corpus(rows, corpus=corpus, source=root, out=out, options=options, intake=intake, audio_roots=recordings.roots)


def check_settings(settings: Settings) -> None:
    """Refuse what cannot mean anything before a file is read.

    Raises:
        MisuseError: names the setting.
    """
    check_choice("join_words", settings.join_words, JOINS)
    check_choice("speaker", settings.speaker, SPEAKERS)
    check_choice("overlap", settings.overlap, OVERLAPS)
    Marks.read(settings.drop_marks, settings.remove_marks)
    if settings.gap < 0 or settings.longest <= 0:
        raise MisuseError(f"--set gap={settings.gap:g} longest={settings.longest:g}: must be 0 or more, and more than 0. Correct them.")
    try:
        codecs.lookup(settings.encoding or "utf-8")
    except LookupError as error:
        raise MisuseError(f'--set encoding="{settings.encoding}": no such encoding. Try cp1252, mac_roman or utf-16.') from error


def read_files(files: Sequence[Path], root: Path, settings: Settings, intake: Intake) -> dict[Path, TextGrid]:
    """Every file that can be read; the others are dropped and counted."""
    grids = {}
    for path in files:
        try:
            grids[path] = read_textgrid(path, encoding=settings.encoding)
        except CorpusError as error:
            intake.drop(file_key(path, root), "broken-textgrid", f"{error}")
            continue
        if grids[path].encoding == "latin-1" and settings.encoding is None:
            intake.repair("file is not UTF-8, read as Latin-1 (name another encoding with --set encoding=...)")
    return grids


def kind_of(name: str) -> str | None:
    """What a tier's name says of its labels: words, phrases, parts (of words), or nothing."""
    said = words_of(name)
    # MAUS calls its tiers ORT-MAU (words), KAN-MAU and MAU (sounds), so words come first
    return "words" if said & WORDS else "parts" if said & PARTS else "phrases" if said & PHRASES else None


def words_of(name: str) -> set[str]:
    """The words of a tier's name, in small letters."""
    return {word for word in re.split(r"[\W_]+", name.casefold()) if word}


def choose_tiers(grids: dict[Path, TextGrid], root: Path, settings: Settings) -> dict[Path, list[Tier]]:
    """The tiers of every file that hold the transcript: the ones asked for; else phrases by their names, else words, else the only one there is.

    Raises:
        CorpusError: it cannot be told; the message lists the tiers.
    """
    chosen = {}
    for path, grid in grids.items():
        tiers = [tier for tier in grid.tiers if not tier.points]
        if settings.tiers:
            chosen[path] = [tier for tier in tiers if matches(tier.name, settings.tiers)]
            continue
        filled = [tier for tier in tiers if any(is_spoken(one.text) for one in tier.intervals)]
        by_kind = {kind: [tier for tier in filled if kind_of(tier.name) == kind] for kind in ("phrases", "words", None)}
        found = by_kind["phrases"] or by_kind["words"] or by_kind[None]
        # several may be several speakers, but only if their names tell more than what they hold
        nameless = [tier for tier in found if speaker_in(tier.name) is None and (kind_of(tier.name) is None or words_of(tier.name) <= KINDS)]
        if len(found) > 1 and nameless:
            raise CorpusError(f"{path}: which tier holds the transcript? {list_tiers(grids)}")
        chosen[path] = found
    if grids and not any(chosen.values()):
        raise CorpusError(f"{root}: no file has a tier with the transcript. {list_tiers(grids)}")
    return chosen


def list_tiers(grids: dict[Path, TextGrid]) -> str:
    """What there is to choose from, and how."""
    labels = ((tier.name, one.text) for grid in grids.values() for tier in grid.tiers if not tier.points for one in tier.intervals)
    told = describe_tiers((name, text) for name, text in labels if is_spoken(text))
    return f"There are: {told}. Choose with --set tiers=NAME, or a pattern such as *words*."


def names_of(grid: TextGrid) -> str:
    """The tiers of a file in words."""
    return ", ".join(f'"{tier.name[:40]}"{" (points)" if tier.points else ""}' for tier in grid.tiers[:20]) or "none"


def speaker_in(name: str) -> str | None:
    """The speaker a tier's name tells beside what it holds: `Anna - words`, `words - Anna`, `tx@Anna`; None where it names no speaker."""
    if "@" in name:
        return name.rpartition("@")[2].strip() or None
    parts = re.split(r"\s+-\s+", name.strip())
    others = [part for part in parts if kind_of(part) is None]
    return " - ".join(others) if 0 < len(others) < len(parts) else None


def read_lines(tiers: Sequence[Tier], path: Path, root: Path, settings: Settings) -> list[Line]:
    """The lines of the chosen tiers of one file: labels as they are, or words joined to phrases."""
    lines = []
    labels = tier_keys([tier.name for tier in tiers])
    drop = Marks.read(settings.drop_marks, "").drop
    for tier, label in zip(tiers, labels, strict=True):
        told = speaker_in(tier.name) or (tier.name if len(tiers) > 1 else None)
        speaker = speaker_of(settings.speaker, told, tier.name, path, root)
        segments = [Segment(start=one.start, end=one.end, text=one.text.strip()) for one in tier.intervals if is_spoken(one.text)]
        joins = kind_of(tier.name) == "words" if settings.join_words == "auto" else settings.join_words == "yes"
        if joins:
            segments = join_words(segments, gap=settings.gap, longest=settings.longest, drop=drop)
        for segment in segments:
            key = f"{label}{round(segment.start * 1000):07d}"
            lines.append(Line(key=key, tier=tier.name, start=segment.start, end=segment.end, text=segment.text, speaker=speaker))
    return lines


def tier_keys(names: Sequence[str]) -> list[str]:
    """What stands for each tier in ids: nothing for a single one, else its name in plain letters, with its number where names repeat."""
    plain = [re.sub(r"\W+", "_", name.casefold()).strip("_")[:60] for name in names]
    if len(names) == 1:
        return [""]
    distinct = len(set(plain)) == len(plain) and all(plain)
    return [f"{name}-" if distinct else f"tier{number}-" for number, name in enumerate(plain, start=1)]


def tell_backslashes(rows: Sequence[CorpusRow], intake: Intake) -> None:
    """Praat shows `\\a"` as ä; such spellings are kept, and told."""
    count = sum(re.search(r"\\[^\s\\]{2}", row.text) is not None for row in rows)
    if count:
        intake.notes.append(f"{count} rows hold a backslash: Praat's own spelling of special letters (\\a\" for ä) is kept as it is written")


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
