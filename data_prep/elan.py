"""ELAN annotation files (.eaf) with their recordings, as field linguists and archives of endangered languages keep them.

Source: yours, or an archive's; license: `--set license=...`. Any folder with `NAME.eaf` files; each names its recording, and where that
lay on another machine, one of the same name beside it or elsewhere below the folder is taken. Real-shaped lines:

    <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/Users/me/s1.wav" MIME_TYPE="audio/x-wav" RELATIVE_MEDIA_URL="./s1.wav"/>
    <TIER DEFAULT_LOCALE="en" LINGUISTIC_TYPE_REF="utterance" PARTICIPANT="Anna" TIER_ID="tx@ANNA">
    <ANNOTATION_VALUE>na ntuhu, é</ANNOTATION_VALUE>

Only you know which tier holds what was said and which a gloss or a translation: choose with `--set tier_name=...`, `tier_type=...` or
`tier_pattern=...`; without a choice the tiers are listed, unless there is only one with times. Nothing is taken out of the orthography:
tone marks, IPA and morpheme hyphens are meaningful. Rows with marks of what nobody understood (`xxx`, `***`) are dropped.
"""

import dataclasses
import sys
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from speechadapt.cli import main
from speechadapt.data.eaf import Eaf, Media, Tier, read_eaf
from speechadapt.errors import AudioError, CorpusError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, finish_corpus
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
    make_rows,
    matches,
    speaker_of,
)
from speechadapt.units import Seconds

CORPUS = Corpus(
    name="elan",
    title="recordings annotated in ELAN",
    license="not stated",
    commercial_use="not stated",
    home="your own disk",
    expects="a folder with .eaf files, each with its recording (WAV, FLAC, MP3 ...) beside it or elsewhere below the folder.",
    accent_label="none",
)
UNALIGNED = ("drop", "interpolate")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of ELAN files.

    Attributes:
        name: of the corpus, put before ids and speakers. license, language (BCP-47): of all rows.
        audio_root: a folder that holds the recordings, if they lie elsewhere.
        tier_name, tier_type, tier_pattern: which tiers hold the transcript: by name, by linguistic type, or by a pattern of the name
            (`tx@*`, `*Transcription*`); what fits any of them is taken. Tiers without times of their own take those they hang on.
        speaker: auto (the tier's participant; else what stands after an @ in its name; else its name, where several tiers of a file are
            taken), tier, file, folder (their names) or none.
        unaligned: annotations whose beginning or end has no time: drop them, or interpolate between their neighbors in the tier.
        drop_marks: rows that hold this regular expression are dropped. remove_marks: what it matches is taken out of the text.
        overlap: keep, or drop what is said at the same time as a line of another tier.
    """

    name: str = "elan"
    license: str = "not stated"
    language: str | None = None
    audio_root: Path | None = None
    tier_name: str | None = None
    tier_type: str | None = None
    tier_pattern: str | None = None
    speaker: str = "auto"
    unaligned: str = "drop"
    drop_marks: str = UNINTELLIGIBLE
    remove_marks: str = ""
    overlap: str = "keep"


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the files; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    for name, value, allowed in (
        ("speaker", settings.speaker, SPEAKERS),
        ("unaligned", settings.unaligned, UNALIGNED),
        ("overlap", settings.overlap, OVERLAPS),
    ):
        check_choice(name, value, allowed)
    marks = Marks.read(settings.drop_marks, settings.remove_marks)
    corpus = dataclasses.replace(CORPUS, name=settings.name, license=settings.license, language=settings.language)
    intake = Intake()
    root, files = find_annotations(Path(source), ".eaf", CORPUS, Path(out), intake)
    documents = read_files(files, root, intake)
    chosen = choose_tiers(documents, root, settings)
    recordings = Recordings([root, settings.audio_root] if settings.audio_root is not None else [root], Path(out))
    rows: list[CorpusRow] = []
    for path, tiers in chosen.items():
        document = documents[path]
        if not tiers:
            there = ", ".join(f'"{tier.name[:40]}"' for tier in document.tiers[:20]) or "none"
            message = f'file "{path.relative_to(root)}": none of the chosen tiers; there are: {there}. Choose another with --set tier_name=NAME.'
            intake.drop(file_key(path, root), "no-tier", message)
            continue
        if not any(tier.annotations for tier in tiers):
            there = ", ".join(f'"{tier.name[:40]}"' for tier in tiers[:20])
            message = f'file "{path.relative_to(root)}": nothing is annotated in {there}. Annotate it or remove it.'
            intake.drop(file_key(path, root), "empty-tier", message)
            continue
        audio = recordings.find(path, media_names(document.media))
        lines = read_lines(tiers, path, root, media_origin(document.media, audio), settings, intake)
        rows += make_rows(
            lines, path=path, root=root, audio=audio, roots=recordings.roots, corpus=corpus, marks=marks, overlap=settings.overlap, intake=intake
        )
    return finish_corpus(rows, corpus=corpus, source=root, out=out, options=options, intake=intake, audio_roots=recordings.roots)


def read_files(files: Sequence[Path], root: Path, intake: Intake) -> dict[Path, Eaf]:
    """Every file that can be read; the others are dropped and counted."""
    documents = {}
    for path in files:
        try:
            documents[path] = read_eaf(path)
        except CorpusError as error:
            intake.drop(file_key(path, root), "broken-eaf", f"{error}")
    return documents


def choose_tiers(documents: dict[Path, Eaf], root: Path, settings: Settings) -> dict[Path, list[Tier]]:
    """The tiers of every file that hold the transcript: the ones asked for, else the only one with times and text.

    Raises:
        CorpusError: nothing was chosen and there are several, or what was chosen is in no file; the message lists the tiers.
    """
    asked = settings.tier_name is not None or settings.tier_type is not None or settings.tier_pattern is not None
    chosen: dict[Path, list[Tier]] = {}
    for path, document in documents.items():
        if asked:
            chosen[path] = [tier for tier in document.tiers if is_chosen(tier, settings)]
            continue
        chosen[path] = [tier for tier in document.tiers if not tier.dependent and any(one.text.strip() for one in tier.annotations)]
        if len(chosen[path]) > 1:
            raise CorpusError(f"{path}: which tier holds the transcript? {list_tiers(documents)}")
    if documents and not any(chosen.values()):
        raise CorpusError(f"{root}: no file has a tier with the transcript. {list_tiers(documents)}")
    return chosen


def is_chosen(tier: Tier, settings: Settings) -> bool:
    """Whether a tier has the name, the type or the pattern that was asked for."""
    named = settings.tier_name is not None and tier.name == settings.tier_name
    typed = settings.tier_type is not None and tier.type == settings.tier_type
    return named or typed or (settings.tier_pattern is not None and matches(tier.name, [settings.tier_pattern]))


def list_tiers(documents: dict[Path, Eaf]) -> str:
    """What there is to choose from, and how."""
    tiers = [tier for document in documents.values() for tier in document.tiers]
    told = describe_tiers((tier.name, one.text) for tier in tiers for one in tier.annotations if one.text.strip())
    types = ", ".join(f'"{name[:40]}"' for name in sorted({tier.type for tier in tiers if tier.type})[:20]) or "none"
    return f"There are: {told}; of the types {types}. Choose with --set tier_name=NAME, tier_type=TYPE, or a tier_pattern such as tx@*."


def media_names(media: Sequence[Media]) -> list[str]:
    """Paths to look for, sound before video: relative ones as they are, of absolute ones the name."""
    ordered = sorted(media, key=lambda one: not one.mime_type.startswith("audio"))
    relative = [_plain(one.relative_url) for one in ordered if one.relative_url]
    absolute = [_plain(one.url).rpartition("/")[2] for one in ordered if one.url]
    return [name for name in dict.fromkeys([*relative, *absolute]) if name]


def _plain(url: str) -> str:
    """A path as ELAN writes it, as a path: without `file:`, blanks as blanks."""
    return urllib.parse.unquote(url.removeprefix("file:")).replace("\\", "/")


def media_origin(media: Sequence[Media], audio: Path | AudioError) -> Seconds:
    """The second of the recording at which the annotations' time begins: of the descriptor that names it, else of the first."""
    if isinstance(audio, AudioError) or not media:
        return 0.0
    ordered = sorted(media, key=lambda one: not one.mime_type.startswith("audio"))
    stems = [{Path(_plain(url)).stem.casefold() for url in (one.relative_url, one.url) if url} for one in ordered]
    return next((one.origin for one, names in zip(ordered, stems, strict=True) if audio.stem.casefold() in names), ordered[0].origin)


def read_lines(tiers: Sequence[Tier], path: Path, root: Path, origin: Seconds, settings: Settings, intake: Intake) -> list[Line]:
    """The annotations of the chosen tiers of one file, on the time line of its recording."""
    lines = []
    for tier in tiers:
        told = tier.participant or (tier.name.rpartition("@")[2] if "@" in tier.name else "") or (tier.name if len(tiers) > 1 else "")
        speaker = speaker_of(settings.speaker, told or None, tier.name, path, root)
        for one in tier.annotations:
            start, end = one.start, one.end
            if one.interpolated and start is not None and end is not None:
                if settings.unaligned == "drop":
                    start = end = None
                else:
                    intake.repair("time put between its neighbors")
            start, end = None if start is None else start + origin, None if end is None else end + origin
            lines.append(Line(key=one.id, tier=tier.name, start=start, end=end, text=one.text, speaker=speaker))
    return lines


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
