"""Mozilla Common Voice: prompts read, or questions answered, by volunteers in more than a hundred languages.

Source: https://datacollective.mozillafoundation.org, one archive for each language; unpack it and give the folder. License: CC0-1.0; the
terms ask not to identify speakers. Every release is read: the columns of 6.1 and before (`accent`), 7 to 16.1 (`accents`), 17 and later, the
delta archives, and Spontaneous Speech (`audios/` and `ss-corpus-LANG.tsv`). Real-shaped lines, a tab written as ␉ and long digests shortened:

    client_id␉path␉sentence_id␉sentence␉sentence_domain␉up_votes␉down_votes␉age␉gender␉accents␉variant␉locale␉segment
    5c1e…␉common_voice_en_39586345.mp3␉9f02…␉He said "yes and left.␉␉2␉0␉twenties␉male_masculine␉England English␉␉en␉
    77ab…␉common_voice_en_10521.mp3␉03d4…␉Put it down.␉␉3␉1␉␉␉German English,Non native speaker␉␉en␉

A client is an account, not a person: one person may hold several, and a class may share one. Accents are what people say of themselves, and
a third of them say nothing. Splits are made anew for every release, so never mix releases. `train.tsv` holds one recording of a sentence;
`--set validated=true` takes all validated rows but those whose client or sentence stands in dev or test. The official test has few speakers
of any accent: `--set validated=true --splits speaker` divides by client, with every accent that has enough of them in each part, and
`--set accents=en_scotland,en_england` prepares some accents only.
"""

import dataclasses
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from speechadapt.cli import main
from speechadapt.data.table import stream_tsv, undo_quoting
from speechadapt.data.utterance import SPLITS
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, finish_corpus, is_archive, is_junk, locate_audio, release
from speechadapt.preparation.accents import AccentLabels, propagate_accents, split_accents
from speechadapt.preparation.fields import SPLIT_NAMES
from speechadapt.preparation.held import Held

CORPUS = Corpus(
    name="common_voice",
    title="Mozilla Common Voice",
    license="CC0-1.0",
    commercial_use="yes; the terms ask not to identify speakers",
    home="https://datacollective.mozillafoundation.org",
    expects="the folder of one language with clips/ and train.tsv, dev.tsv, test.tsv or validated.tsv, or for Spontaneous Speech with audios/ and "
    "ss-corpus-LANG.tsv.",
    accent_label="what speakers say of themselves",
)
SPONTANEOUS = dataclasses.replace(CORPUS, name="common_voice_spontaneous", title="Mozilla Common Voice Spontaneous Speech")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus. What they leave out leaves train and dev; a row of the official test is never left out by them, but by `accents`.

    Attributes:
        accents: only these, as slugs (`en_scotland`) or as published (`Scottish English`); rows of others are dropped and counted. Nothing takes all.
        validated: train on every row of validated.tsv whose client and sentence stand neither in dev nor in test. With --splits speaker all of
            validated.tsv is divided.
        accent_from: accents, or variant: the variety that speakers of Catalan, Welsh and some others chose from a list.
        propagate_accents: where all clips of a client that state an accent state the same one, give it to the client's other clips.
        min_votes: rows with fewer votes for them are dropped.
        single_words: keep rows of the sets of single words (digits, yes, no, Firefox), which distort word error rates.
        min_words: rows with fewer words are dropped.
        flagged: Spontaneous Speech: keep rows that carry quality_tags.
    """

    accents: tuple[str, ...] = ()
    validated: bool = False
    accent_from: Literal["accents", "variant"] = "accents"
    propagate_accents: bool = False
    min_votes: int = 0
    single_words: bool = False
    min_words: int = 1
    flagged: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What Spontaneous Speech calls otherwise: the folder of the recordings, and the columns for one thing."""

    corpus: Corpus
    folder: str
    audio: str
    text: str
    votes: str
    language: str
    meta: tuple[str, ...]


READ = Layout(
    corpus=CORPUS,
    folder="clips",
    audio="path",
    text="sentence",
    votes="up_votes",
    language="locale",
    meta=("sentence_id", "sentence_domain", "up_votes", "down_votes", "variant", "segment"),
)
SPOKEN = Layout(
    corpus=SPONTANEOUS,
    folder="audios",
    audio="audio_file",
    text="transcription",
    votes="votes",
    language="language",
    meta=("prompt_id", "votes", "variant", "is_edited", "quality_tags"),
)
COUNTS = ("up_votes", "down_votes", "votes")
TABLES = tuple(f"{name}.tsv" for name in (*SPLITS, "validated"))
SINGLE_WORDS = re.compile(r"benchmark|single[ _-]?word", re.IGNORECASE)
SHOWN = 20
"""Accents in a message; people's own words make thousands of them."""
TAG = re.compile(r"\[[^\[\]]{1,40}\]")
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare one language; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root = find_root(Path(source))
    layout = READ if is_read(root) else SPOKEN
    labels = AccentLabels(CORPUS.name, options.accent_map)
    reader = Reader(root=root, layout=layout, settings=settings, options=options, labels=labels, intake=Intake())
    rows = list(reader.read_prompts() if layout is READ else reader.read_answers())
    if settings.propagate_accents:
        rows = propagate_accents(rows, reader.intake)
    if settings.accents:
        rows = keep_accents(rows, settings.accents, reader.intake)
    reader.labels.tell(reader.intake)
    return finish_corpus(
        release(rows), corpus=layout.corpus, source=root, out=out, options=options, intake=reader.intake, audio_roots=[root, root / layout.folder]
    )


def keep_accents(rows: list[CorpusRow], accents: Sequence[str], intake: Intake) -> list[CorpusRow]:
    """The rows of some accents; those of others are dropped and counted.

    Raises:
        MisuseError: nobody has one of the accents, as a misspelled one would otherwise look like one that nobody speaks.
    """
    wanted = {label.strip().casefold() for label in accents}
    there = Counter(row.accent for row in rows if row.accent is not None)
    known = {name.casefold() for row in rows for name in (row.accent, row.accent_raw) if name}
    if unknown := sorted(wanted - known):
        shown = ", ".join(f"{accent} ({count} rows)" for accent, count in there.most_common(SHOWN)) or "none at all"
        raise MisuseError(f'--set accents: nobody has the accent "{unknown[0]}"; the most frequent ones are: {shown}. Check the spelling.')
    kept = []
    for row in rows:
        if wanted & {name.casefold() for name in (row.accent, row.accent_raw) if name}:
            kept.append(row)
        else:
            said = f'accent "{row.accent_raw}"' if row.accent_raw else "no accent stated"
            intake.leave_out(row.id, "other-accent", f'row "{row.id}" ({row.place}): {said}, only {", ".join(accents)} asked for.', row.split)
    return kept


def find_root(source: Path) -> Path:
    """The folder of one language: `source` itself, or the only one up to two levels below it.

    Raises:
        CorpusError: there is none, or there are several.
    """
    if is_archive(source):
        raise CorpusError(f"{source}: an archive. Unpack it (tar -xf {source.name}) and give the folder.")
    level = [source]
    for _ in range(3):
        found = [folder for folder in level if is_read(folder) or find_answers(folder)]
        if len(found) > 1:
            names = ", ".join(folder.relative_to(source).as_posix() for folder in found[:12])
            raise CorpusError(f"{source}: holds {len(found)} languages or releases ({names}), one is prepared at a time. Give one of these folders.")
        if found:
            return found[0]
        level = sorted(child for folder in level if folder.is_dir() for child in folder.iterdir() if child.is_dir() and not is_junk(child))
    inside = sorted(path.name for path in source.iterdir() if not is_junk(path)) if source.is_dir() else []
    there = ", ".join(inside[:8]) or ("nothing" if source.is_dir() else "a file" if source.exists() else "no such folder")
    raise CorpusError(
        f"{source}: does not look like Common Voice; looked for clips/ with train.tsv or validated.tsv, and for audios/ with ss-corpus-LANG.tsv, "
        f"found: {there}. It should be {CORPUS.expects}"
    )


def is_read(folder: Path) -> bool:
    """Whether a folder holds read prompts."""
    return (folder / "clips").is_dir() and any((folder / name).is_file() for name in TABLES)


def find_answers(folder: Path) -> list[Path]:
    """The tables of Spontaneous Speech in a folder, one in a sound release."""
    return sorted(path for path in folder.glob("ss-corpus-*.tsv") if path.is_file()) if (folder / "audios").is_dir() else []


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a table, its fields understood but its audio not yet looked for."""

    id: str
    place: str
    values: Mapping[str, str]
    client: str
    text: str
    split: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads the tables of one release and counts what it has to leave out."""

    root: Path
    layout: Layout
    settings: Settings
    options: PrepareOptions
    labels: AccentLabels
    intake: Intake

    def read_prompts(self) -> Iterator[CorpusRow]:
        """The official splits; or validated.tsv, without what dev and test hold, where it is asked for or there is nothing else."""
        official = self.options.splits in (None, "official")
        # test first: a clip that stands twice stays there
        present = [name for name in ("test", "dev", "train") if (self.root / f"{name}.tsv").is_file()]
        if present and not self.settings.validated:
            for name in present:
                yield from self._rows(self.read(f"{name}.tsv", name if official else None))
            return
        protected = [name for name in present if name != "train" and official]
        if official and not protected:
            self.intake.notes.append(
                f"{self.root}: no dev.tsv or test.tsv, as in a delta archive, which holds new clips only: the rows of validated.tsv carry no "
                "official split. Divide them with --splits speaker; their speakers and sentences may stand in other releases."
            )
        held = Held()
        for name in protected:
            yield from self._rows(self._remember(self.read(f"{name}.tsv", name), name, held))
        yield from self._rows(self._without_leaks(self.read("validated.tsv", "train" if protected else None), held))

    def read_answers(self) -> Iterator[CorpusRow]:
        """Spontaneous Speech: one table, which names the split of each row; `unassigned` is none."""
        tables = find_answers(self.root)
        if len(tables) > 1:
            raise CorpusError(f"{self.root}: {len(tables)} tables ({', '.join(path.name for path in tables)}), one is read. Keep one of them there.")
        yield from self._rows(self.read(tables[0].name, None))

    def read(self, name: str, split: str | None) -> Iterator[Line]:
        """The lines of one table; those that are none are dropped."""
        layout, rows = self.layout, 0
        for line in stream_tsv(self.root / name, required=("client_id", layout.audio, layout.text), repeated="first"):
            rows += 1
            place = f"{name}, line {line.number}"
            if line.defect:
                message = f"{place}: {line.found}. Correct the line, or unpack the archive again."
                self.intake.drop(f"{name.removesuffix('.tsv')}-line{line.number}", line.defect, message, split)
                continue
            values = line.values
            clip = PurePosixPath(values[layout.audio].strip().replace("\\", "/"))
            yield Line(
                id=clip.stem or values.get("audio_id", "").strip() or f"{name.removesuffix('.tsv')}-line{line.number}",
                place=place,
                values=values,
                client=values["client_id"].strip(),
                text=self._repair(values[layout.text]),
                split=self._split_of(values.get("split", "")) if layout is SPOKEN else split,
            )
        self.intake.facts[f"rows of {name}"] = rows

    def _remember(self, lines: Iterable[Line], split: str, held: Held) -> Iterator[Line]:
        for line in lines:
            held.add(split, line.id, line.client, line.text)
            yield line

    def _without_leaks(self, lines: Iterable[Line], held: Held) -> Iterator[Line]:
        again = 0
        for line in lines:
            if line.id in held.clips:
                again += 1
            elif (leak := held.leak(line.client, line.text)) is not None:
                message = f'row "{line.id}" ({line.place}): its {leak[0]} stands in {leak[1]} too, so it is not trained on.'
                self.intake.leave_out(line.id, f"{leak[0]}-in-{leak[1]}", message, line.split)
            else:
                yield line
        if held.clips:
            self.intake.facts["rows of validated.tsv that were read from dev.tsv or test.tsv"] = again

    def _split_of(self, label: str) -> str | None:
        known = SPLIT_NAMES.get(label.strip().casefold())
        if known is None and label.strip().casefold() not in ("", "unassigned"):
            self.intake.repair("split not understood, left empty")
        return known if self.options.splits in (None, "official") else None

    def _repair(self, published: str) -> str:
        text = undo_quoting(published)
        if text != published:
            self.intake.repair("backslashes or doubled quotes of the table's writer undone")
        if self.layout is SPOKEN and TAG.search(text):
            self.intake.repair("tags in brackets taken out of the transcript")
            text = " ".join(TAG.sub(" ", text).split())
        return text

    def _rows(self, lines: Iterable[Line]) -> Iterator[CorpusRow]:
        for line in lines:
            unwanted = None if line.split == "test" else self._unwanted(line)
            if unwanted is not None:
                self.intake.leave_out(line.id, unwanted[0], f'row "{line.id}" ({line.place}): {unwanted[1]}', line.split)
                continue
            try:
                audio = locate_audio(self._clip_name(line), [self.root / self.layout.folder])
            except AudioError as error:
                self.intake.drop(line.id, error.reason, f'row "{line.id}" ({line.place}): {error}', line.split)
                continue
            yield self._row(line, audio)

    def _clip_name(self, line: Line) -> str:
        """The recording's name in its folder: some lists name the folder too, and the first releases left the extension out."""
        given = line.values[self.layout.audio].strip().replace("\\", "/").removeprefix(f"{self.layout.folder}/")
        return given if PurePosixPath(given).suffix or not given else f"{given}.mp3"

    def _unwanted(self, line: Line) -> tuple[str, str] | None:
        """Why a row is not chosen: the reason and a sentence."""
        settings, words = self.settings, len(line.text.split())
        votes = count_of(line.values.get(self.layout.votes, "")) or 0
        tags = line.values.get("quality_tags", "").strip()
        if votes < settings.min_votes:
            return "few-votes", f"{votes} votes for it, at least {settings.min_votes} are asked for by min_votes."
        if not settings.single_words and SINGLE_WORDS.search(segment := line.values.get("segment", "")):
            return "single-word", f'belongs to the single words ("{segment.strip()}"). Keep them with --set single_words=true.'
        if 0 < words < settings.min_words:
            return "few-words", f"{words} words, at least {settings.min_words} are asked for by min_words."
        if tags and not settings.flagged:
            return "flagged", f'flagged as "{tags}". Keep such rows with --set flagged=true.'
        return None

    def _row(self, line: Line, audio: Path) -> CorpusRow:
        values, layout = line.values, self.layout
        language = language_of(values.get(layout.language, ""), audio.name)
        label = values.get("variant", "") if self.settings.accent_from == "variant" else values.get("accents", values.get("accent", ""))
        label, parts = label.strip(), split_accents(label)
        meta: dict[str, Any] = {name: value for name in layout.meta if (value := values.get(name, "").strip())}
        meta |= {name: count for name in COUNTS if (count := count_of(meta.pop(name, ""))) is not None}
        if values.get("age", "").strip() == "teens":
            meta["child"] = True
        return CorpusRow(
            id=line.id,
            audio=audio,
            text=line.text,
            text_raw=values[layout.text],
            place=line.place,
            # the same in both kinds of release, so that a client that is in both is found
            speaker=sys.intern(f"{CORPUS.name}:{line.client}") if line.client else None,
            gender=values.get("gender"),
            age=values.get("age", "").strip(),
            accent=self.labels.slug_of(label, language, parts=parts) if parts else None,
            accent_raw=label if parts else None,
            language=language,
            split=line.split,
            meta=meta,
        )


def count_of(value: str) -> int | None:
    """A number of votes; None where there is none."""
    return int(value) if value.strip().isdecimal() and len(value) < 10 else None


def language_of(label: str, clip: str) -> str | None:
    """The language of a row as it says; else as the name of the clip does (`common_voice_cy_17.mp3`, `spontaneous-speech-cy-17.mp3`)."""
    named = re.match(r"(?:common_voice_|spontaneous-speech-)(.+)[_-]\d+\.", clip)
    return next((tag.strip() for tag in (label, named[1] if named else "") if LANGUAGE.fullmatch(tag.strip())), None)


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
