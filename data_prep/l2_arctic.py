"""L2-ARCTIC: 24 speakers of six first languages read the same 1132 English prompts; 22 of them also describe a picture in their own words.

Source: https://psi.engr.tamu.edu/l2-arctic-corpus/ (request form); version 5.0. License: CC BY-NC 4.0. Unpack the outer zip; the speakers' own
zips (ABA.zip ...) may stay packed, they are unpacked under OUT/unpacked/. Real-shaped lines:

    ABA/wav/arctic_a0001.wav, ABA/transcript/arctic_a0001.txt    Author of the danger trail, Philip Steels, etc.
    suitcase_corpus/annotation/aba.TextGrid                      tier "words": 0.53 0.81 "there", 0.81 1.20 "<unk>", ...
    README.md (speaker, sex, first language)                     ABA | M | Arabic

A transcript is the prompt; readers sometimes deviate from it. The corpus names no splits: dev and test are the speakers that work on
mispronunciation has agreed on. All speakers read the same sentences, so every split by speaker alone, this one too, tests sentences that
were trained on; `--splits speaker+sentence` keeps them apart, at the cost of the rows that fit neither side.
"""

import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from speechadapt.cli import main
from speechadapt.data.textgrid import read_textgrid
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import (
    Corpus,
    CorpusRow,
    Intake,
    PrepareOptions,
    PrepReport,
    Segment,
    finish_corpus,
    is_junk,
    locate_audio,
    unpack,
)
from speechadapt.preparation.annotations import UNINTELLIGIBLE, Line, Marks, is_spoken, join_words, make_rows
from speechadapt.text.sentence import sentence_key

CORPUS = Corpus(
    name="l2_arctic",
    title="L2-ARCTIC v5.0",
    license="CC BY-NC 4.0",
    commercial_use="no",
    home="https://psi.engr.tamu.edu/l2-arctic-corpus/",
    expects="the unpacked release: folders (or zips) named ABA, ASI, BWC ... with wav/ and transcript/ in each, and perhaps suitcase_corpus.",
    accent_label="the speaker's first language, from the table of the README",
    language="en",
    case="sentence",  # the prompts have their capitals; the words of the suitcase corpus have none
)


class Speaker(NamedTuple):
    """What the README tells of a speaker, and how many recordings were published."""

    sex: str
    l1: str
    recordings: int


SPEAKERS = {
    "ABA": Speaker("M", "Arabic", 1129),
    "SKA": Speaker("F", "Arabic", 974),
    "YBAA": Speaker("M", "Arabic", 1130),
    "ZHAA": Speaker("F", "Arabic", 1132),
    "BWC": Speaker("M", "Mandarin", 1130),
    "LXC": Speaker("F", "Mandarin", 1131),
    "NCC": Speaker("F", "Mandarin", 1131),
    "TXHC": Speaker("M", "Mandarin", 1132),
    "ASI": Speaker("M", "Hindi", 1131),
    "RRBI": Speaker("M", "Hindi", 1130),
    "SVBI": Speaker("F", "Hindi", 1132),
    "TNI": Speaker("F", "Hindi", 1131),
    "HJK": Speaker("F", "Korean", 1131),
    "HKK": Speaker("M", "Korean", 1131),
    "YDCK": Speaker("F", "Korean", 1131),
    "YKWK": Speaker("M", "Korean", 1131),
    "EBVS": Speaker("M", "Spanish", 1007),
    "ERMS": Speaker("M", "Spanish", 1132),
    "MBMPS": Speaker("F", "Spanish", 1132),
    "NJS": Speaker("F", "Spanish", 1131),
    "HQTV": Speaker("M", "Vietnamese", 1132),
    "PNV": Speaker("F", "Vietnamese", 1132),
    "THV": Speaker("F", "Vietnamese", 1132),
    "TLV": Speaker("M", "Vietnamese", 1132),
}
SUITCASE = "suitcase_corpus"
LONGEST_TRANSCRIPT = 4096
"""Bytes; the prompts have fewer than a hundred."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        dev_speakers, test_speakers: speakers, or first languages (`Hindi` stands for its four speakers), by default one of each language;
            with both empty nothing is divided.
        suitcase: whether the picture descriptions are taken, cut into phrases at pauses of more than half a second.
    """

    dev_speakers: tuple[str, ...] = ("MBMPS", "THV", "SVBI", "NCC", "YDCK", "YBAA")
    test_speakers: tuple[str, ...] = ("NJS", "TLV", "TNI", "TXHC", "YKWK", "ZHAA")
    suitcase: bool = True


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    split_of = read_splits(settings)
    root = find_root(Path(source))
    if Path(out).resolve() == root.resolve():
        raise MisuseError(f"{out}: is the corpus itself, and prepared data must not be mixed into it. Choose another folder.")
    intake = Intake()
    rows: list[CorpusRow] = []
    for name in [*SPEAKERS, *([SUITCASE] if settings.suitcase else [])]:
        found = find_folder(root, name, Path(out), options, intake)
        if found is not None:
            rows += read_suitcase(*found, intake) if name == SUITCASE else read_speaker(*found, name, intake)
    rows = [dataclasses.replace(row, split=split_of.get(row.speaker or "", "train") if split_of else None) for row in rows]
    intake.drops = [
        dataclasses.replace(drop, split=split_of.get(drop.id.split("-")[0].upper(), "train")) if split_of else drop for drop in intake.drops
    ]
    tell_what_is_shared(rows, options, settings, intake)
    roots = [root, Path(out) / "unpacked"]
    return finish_corpus(rows, corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=roots)


def read_splits(settings: Settings) -> dict[str, str]:
    """The split of every speaker of dev and test; empty where nothing is to be divided.

    Raises:
        MisuseError: no such speaker or language, or one in both.
    """
    split_of: dict[str, str] = {}
    by_language: dict[str, list[str]] = {}
    for name, speaker in SPEAKERS.items():
        by_language.setdefault(speaker.l1.casefold(), []).append(name)
    for split, given in (("dev", settings.dev_speakers), ("test", settings.test_speakers)):
        for label in given:
            names = by_language.get(label.casefold()) or [name for name in SPEAKERS if name == label.upper()]
            if not names:
                known = ", ".join([*SPEAKERS, *sorted({speaker.l1 for speaker in SPEAKERS.values()})])
                raise MisuseError(f'--set {split}_speakers: "{label}" is neither a speaker nor a first language; there are: {known}.')
            for name in names:
                if split_of.setdefault(name, split) != split:
                    raise MisuseError(f'--set dev_speakers and test_speakers: "{name}" stands in both. Take it out of one of them.')
    return split_of


def children(folder: Path) -> dict[str, Path]:
    """What lies in a folder by lower-case name, without junk; nothing if there is no such folder."""
    listed = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.name.casefold(): path for path in listed if not is_junk(Path(path.name))}


def find_root(source: Path) -> Path:
    """The corpus folder: `source` itself or a folder in it.

    Raises:
        CorpusError: no speaker lies in any of them.
    """
    for root in (source, *(path for path in children(source).values() if path.is_dir())):
        there = children(root)
        if any(_recordings(there.get(name.casefold()), name) or f"{name.casefold()}.zip" in there for name in (*SPEAKERS, SUITCASE)):
            return root
    found = ", ".join(sorted(path.name for path in source.iterdir())[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(
        f"{source}: does not look like L2-ARCTIC; looked for ABA/wav, ABA.zip and the like, found: {found}. It should be {CORPUS.expects}"
    )


def _recordings(folder: Path | None, name: str) -> Path | None:
    """The folder with wav/ in it: the speaker's, or one of the same name inside of it, as some mirrors nest them."""
    if folder is None or not folder.is_dir():
        return None
    nested = children(folder).get(name.casefold())
    return next((one for one in (folder, nested) if one is not None and (wav := children(one).get("wav")) is not None and wav.is_dir()), None)


def find_folder(root: Path, name: str, out: Path, options: PrepareOptions, intake: Intake) -> tuple[Path, Path] | None:
    """A speaker's folder and the folder it must not leave; a zip is unpacked under `out`. None if there is neither.

    Raises:
        MisuseError: a dry run, which writes nothing, met a zip that no earlier run has unpacked.
        CorpusError: there is no wav/ in the zip.
    """
    there = children(root)
    folder = _recordings(there.get(name.casefold()), name)
    archive = there.get(f"{name.casefold()}.zip")
    if folder is not None:
        if archive is not None:
            intake.repair("archive left packed: the folder of its name lies beside it")
        return folder, root
    if archive is None or not archive.is_file():
        return None
    target = out / "unpacked" / name
    folder = _recordings(unpack(archive, target, intake, dry_run=options.dry_run), name)
    if folder is None:
        raise CorpusError(f"{archive}: no folder wav in it or in its folder {name}. Download it again.")
    return folder, target


def read_speaker(folder: Path, top: Path, speaker: str, intake: Intake) -> list[CorpusRow]:
    """One row for every recording of a speaker; not for every prompt, because each speaker lacks some."""
    recordings, transcripts, annotated = (_by_stem(children(folder).get(name), suffix) for name, suffix in PARTS)
    rows = []
    for stem, path in recordings.items():
        key = f"{speaker}-{stem}"
        try:
            if not key.isprintable():
                raise AudioError("bad-name", "its name cannot be printed. Rename the file.")
            text = read_transcript(transcripts.get(stem), top)
            audio = locate_audio(path.relative_to(top).as_posix(), [top])
        except AudioError as error:
            shown = key.encode("utf-8", "replace").decode()
            intake.drop(shown, error.reason, f'row "{shown}" ({speaker}/wav): {error}')
            continue
        meta = {"style": "read", "prompt": stem, **({"annotated": True} if stem in annotated else {})}
        rows.append(_describe(CorpusRow(id=key, audio=audio, text=text, place=f"{speaker}/transcript/{stem}.txt", meta=meta), speaker))
    for stem in [stem for stem in transcripts if stem not in recordings and stem.isprintable()]:
        intake.drop(
            f"{speaker}-{stem}", "no-recording", f'row "{speaker}-{stem}" ({speaker}/transcript): no wav/{stem}.wav. Unpack the speaker again.'
        )
    if len(recordings) < SPEAKERS[speaker].recordings:
        short = intake.facts.setdefault("fewer_recordings_than_published", {})
        short[speaker] = f"{len(recordings)} of {SPEAKERS[speaker].recordings}"
    return rows


PARTS = (("wav", ".wav"), ("transcript", ".txt"), ("annotation", ".textgrid"))


def _by_stem(folder: Path | None, suffix: str) -> dict[str, Path]:
    return {path.stem.casefold(): path for path in children(folder).values() if path.suffix.lower() == suffix} if folder is not None else {}


def _describe(row: CorpusRow, speaker: str) -> CorpusRow:
    sex, l1, _ = SPEAKERS[speaker]
    return dataclasses.replace(row, speaker=speaker, gender=sex, accent=f"en_l2_{l1.lower()}", accent_raw=l1, l1=l1.lower())


def read_transcript(path: Path | None, top: Path) -> str:
    """The one line of a transcript.

    Raises:
        AudioError: reason no-transcript, outside-corpus or bad-transcript.
    """
    if path is None or not path.is_file():
        raise AudioError("no-transcript", "no file of that name in transcript/. Unpack the speaker again.")
    if not path.resolve().is_relative_to(top.resolve()):
        raise AudioError("outside-corpus", f"{path.name} is a link that leaves the corpus. Copy the file there.")
    data = path.read_bytes()[: LONGEST_TRANSCRIPT + 1]
    if len(data) > LONGEST_TRANSCRIPT:
        raise AudioError("bad-transcript", f"{path.name} has over {LONGEST_TRANSCRIPT} bytes, a prompt has about fifty. Unpack the speaker again.")
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise AudioError("bad-transcript", f"{path.name} is not UTF-8 ({error.reason}). Unpack the speaker again.") from error


def read_suitcase(folder: Path, top: Path, intake: Intake) -> list[CorpusRow]:
    """The picture descriptions, a minute or more each, cut into phrases by their tier of words; unclear words (`<unk>`) are left out."""
    there = children(folder)
    grids = {**_by_stem(there.get("textgrid"), ".textgrid"), **_by_stem(there.get("annotation"), ".textgrid")}
    rows: list[CorpusRow] = []
    for stem, path in _by_stem(there.get("wav"), ".wav").items():
        speaker = stem.upper()
        try:
            if speaker not in SPEAKERS:
                raise AudioError("unknown-speaker", "the README knows no speaker of that name. Rename the file or remove it.")
            words = read_words(grids.get(stem), top)
            audio = locate_audio(path.relative_to(top).as_posix(), [top])
        except AudioError as error:
            shown = stem.encode("utf-8", "replace").decode()
            intake.drop(f"{shown}-suitcase", error.reason, f'recording "{shown}" ({SUITCASE}/wav): {error}')
            continue
        lines = [
            Line(key=f"suitcase-{round(one.start * 1000):06d}", tier="words", start=one.start, end=one.end, text=one.text)
            for one in join_words(words, gap=0.5, longest=25.0, drop=UNCLEAR.drop)
        ]
        made = make_rows(lines, path=path, root=path.parent, audio=audio, roots=[top], corpus=CORPUS, marks=UNCLEAR, overlap="keep", intake=intake)
        recording = f"{speaker}-suitcase"
        rows += [_describe(dataclasses.replace(row, recording=recording, meta={"style": "spontaneous"}), speaker) for row in made]
    return rows


UNCLEAR = Marks(drop=re.compile(UNINTELLIGIBLE), remove=None)


def read_words(path: Path | None, top: Path) -> list[Segment]:
    """The words of an annotation file.

    Raises:
        AudioError: reason no-annotation, outside-corpus, broken-textgrid, no-tier, several-tiers or empty-tier.
    """
    if path is None or not path.is_file():
        raise AudioError("no-annotation", "no TextGrid of that name in annotation/ or textgrid/. Unpack the corpus again.")
    if not path.resolve().is_relative_to(top.resolve()):
        raise AudioError("outside-corpus", f"{path.name} is a link that leaves the corpus. Copy the file there.")
    try:
        tiers = read_textgrid(path).tiers
    except CorpusError as error:
        raise AudioError("broken-textgrid", str(error)) from error
    found = [tier for tier in tiers if tier.name.strip().casefold() in ("words", "word") and not tier.points]
    if not found:
        raise AudioError("no-tier", f'{path.name} has no tier "words". Unpack the corpus again.')
    if len(found) > 1:
        raise AudioError("several-tiers", f'{path.name} has {len(found)} tiers "words". Remove all but one.')
    words = [Segment(start=one.start, end=one.end, text=one.text.strip()) for one in found[0].intervals if is_spoken(one.text)]
    if not words:
        raise AudioError("empty-tier", f'{path.name} has nothing but silence in its tier "words". Unpack the corpus again.')
    return words


def tell_what_is_shared(rows: Sequence[CorpusRow], options: PrepareOptions, settings: Settings, intake: Intake) -> None:
    """Say how far the sentences of test are also those of train, and whose choice the splits are."""
    if options.splits == "speaker+sentence":
        return
    told = "All speakers read the same sentences; --splits speaker+sentence keeps those of train, dev and test apart."
    if options.splits == "speaker" or not any(row.split for row in rows):
        intake.notes.append(told)
        return
    keys = {
        split: {sentence_key(row.text) for row in rows if row.split == split and row.meta["style"] == "read"} for split in ("train", "dev", "test")
    }
    chosen = {split: ", ".join(getattr(settings, f"{split}_speakers")) or "none" for split in ("dev", "test")}
    intake.notes.append(f"the corpus names no splits; dev: {chosen['dev']}; test: {chosen['test']}; train: the others")
    for split in ("dev", "test"):
        if keys[split]:
            shared = len(keys[split] & keys["train"])
            intake.notes.append(
                f"{shared} of {len(keys[split])} sentences read in {split} ({shared / len(keys[split]):.0%}) are also read in train. {told}"
            )


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
