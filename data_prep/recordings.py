"""Long recordings without times: an interview, a lecture or an audio book with its transcript, or with none.

Source: yours; license: `--set license=...`. Any folder of recordings (WAV, FLAC, MP3, OGG ...), each with a text file of the same name:

    talks/monday.flac      talks/monday.txt       "Good morning, everyone. Today I want to talk about bread. ..."
    talks/tuesday.mp3      (no text file)
    speakers.csv           "file,speaker,accent" / "talks/monday.flac,Anna,Scottish English"

A transcript is found in its recording by a CTC model (`--set model=...`), phrase by phrase, and the recording is cut between sentences into
rows of at most 28 s. What cannot be heard where it should be, and speech that is not in the transcript, is left out, counted, and listed in
OUT/rejected.csv with its times. In a recording without a transcript Silero VAD finds the speech (extra `vad`), and OUT/unlabelled.csv lists it for
a person, who fills in the column text and prepares it as a table. Nothing that no person has written becomes a training text.
"""

import codecs
import csv
import dataclasses
import hashlib
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speechadapt import provenance
from speechadapt.audio.voice_activity import find_speech, load_vad
from speechadapt.audio.waveform import read_info
from speechadapt.cli import main
from speechadapt.data.manifest import CORPUS_FILE
from speechadapt.data.table import read_table
from speechadapt.data.utterance import SPLITS
from speechadapt.errors import AudioError, CorpusError, MisuseError, SpeechadaptError
from speechadapt.files import atomic_path, read_object, sha256_of, write_json
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, finish_corpus
from speechadapt.preparation.annotations import EVENTS, SOUND_SUFFIXES, UNINTELLIGIBLE, Marks, check_choice, file_key, files_under
from speechadapt.preparation.fields import SYNONYMS
from speechadapt.preparation.report import REPORT_FILE, summarize_content, summarize_intake
from speechadapt.segmentation import (
    SegmentationSettings,
    SegmentedRecording,
    draft_transcripts,
    load_aligner,
    load_transcriber,
    segment_recording,
)
from speechadapt.text.cleaning import has_words
from speechadapt.units import Seconds

CORPUS = Corpus(
    name="recordings",
    title="long recordings with transcripts that have no times",
    license="not stated",
    commercial_use="not stated",
    home="your own disk",
    expects="a folder with recordings (WAV, FLAC, MP3 ...), each with a text file of the same name beside it, or without one.",
    accent_label="the column accent of speakers.csv",
)
SPEAKERS = ("none", "folder", "file")
UNTRANSCRIBED = ("list", "drop")
SPEAKERS_FILE = "speakers.csv"
SPEAKER_FIELDS = ("gender", "age", "accent", "l1", "region", "language")
ALIGNMENTS = "alignments"
"""Folder of OUT that keeps what was found in each recording, so that it is heard once."""
VERSION = 1
"""Of the alignment: raised when it would give another result."""
REJECTED_FILE, UNLABELLED_FILE = "rejected.csv", "unlabelled.csv"
LARGEST_TRANSCRIPT = 8 << 20
"""Bytes: twelve hours of quick speech are one million."""
MARKS = {
    "utf-8-sig": (codecs.BOM_UTF8,),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),  # after utf-32, whose mark begins with the same two bytes
}
"""Encodings by the byte-order marks that a text may begin with."""
DOUBTFUL_SHARE = 0.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of long recordings.

    Attributes:
        name: of the corpus, put before ids and speakers. license, language (BCP-47): of all rows; the language also spells out numbers.
        model: the CTC model that finds the words: a folder or Hub id of one that writes the language, such as
            facebook/wav2vec2-base-960h for English. adapter: a folder of an adapter for it, which knows its base itself.
        min_confidence, max_cer: what a phrase must reach, from 0 to 1, and may not exceed. A strong accent is heard badly too: lower the one
            and raise the other, and look into OUT/rejected.csv.
        longest: seconds of a row. gap: longest pause between two sentences of one row. pad: silence at both ends.
        speaker: none, folder or file (their names), where speakers.csv does not tell. speakers: such a table elsewhere.
        encoding: of transcripts that are not in UTF-8. One that begins with a byte-order mark is read as the mark says.
        drop_marks: phrases that hold this regular expression are left out. remove_marks: what it matches is taken out of the text.
        untranscribed: list the speech of recordings without a transcript, or drop them. threshold: of the probability of speech, 0 to 1.
        draft: a base model of any family that writes a draft into a column of OUT/unlabelled.csv. draft_adapter: a folder of an adapter for it.
    """

    name: str = "recordings"
    license: str = "not stated"
    language: str | None = None
    model: str | None = None
    adapter: Path | None = None
    min_confidence: float = 0.1
    max_cer: float = 0.6
    longest: Seconds = 28.0
    gap: Seconds = 0.5
    pad: Seconds = 0.15
    speaker: str = "none"
    speakers: Path | None = None
    encoding: str | None = None
    drop_marks: str = UNINTELLIGIBLE
    remove_marks: str = EVENTS.pattern
    untranscribed: str = "list"
    threshold: float = 0.5
    draft: str | None = None
    draft_adapter: Path | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A recording as it lies there: its key in ids, its transcript's file, and what is known of who speaks."""

    path: Path
    key: str
    place: str
    transcript: Path | None
    about: dict[str, str]


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the recordings; see `speechadapt.preparation.finish_corpus` for what is written and raised.

    Beside it, unless in a dry run, `rejected.csv`, `unlabelled.csv` and the folder `alignments`. A corpus without any transcript has a report
    and `unlabelled.csv` only.

    Raises:
        MisuseError: no model was named and there are transcripts, or the model is no CTC model.
        MissingExtraError: there are recordings without a transcript, and `silero-vad` is not installed.
    """
    started = time.monotonic()
    root, out = Path(source), Path(out)
    only = root if root.is_file() else None
    root = root.parent if only is not None else root
    how = check_settings(settings)
    corpus = dataclasses.replace(CORPUS, name=settings.name, license=settings.license, language=settings.language)
    refuse_foreign(root, out, corpus)
    intake = Intake()
    sources = find_sources(root, only, out, settings, intake)
    texts = {one.key: text for one in sources if (text := read_transcript(one, settings, intake)) is not None}
    transcribed = [one for one in sources if one.key in texts]
    silent = [one for one in sources if one.transcript is None]
    vad = load_vad() if silent and settings.untranscribed == "list" else None  # says what is missing before an hour is aligned
    rows: list[CorpusRow] = []
    rejected: list[dict[str, Any]] = []
    if transcribed:
        segmented = segment_all(transcribed, texts, out, options, settings, how, intake)
        for one in transcribed:
            if one.key in segmented:
                rows += make_rows(one, segmented[one.key], corpus, settings)
                rejected += list_rejected(one, segmented[one.key], corpus, intake)
                tell_doubtful(one, segmented[one.key], intake)
    tell_marks(rows, intake)
    unlabelled = list_speech(silent, vad, settings, intake, root) if vad is not None else []
    for one in silent if vad is None else ():
        intake.leave_out(
            one.key, "no-transcript", f'"{one.place}": no text file of the same name. Leave out --set untranscribed=drop to list its speech.'
        )
    if not options.dry_run:  # before anything is refused: they say what to correct
        write_table(out / REJECTED_FILE, rejected)
        write_table(out / UNLABELLED_FILE, unlabelled)
    if not rows and vad is not None and not transcribed:
        return report_without_rows(corpus, root, out, options, intake, started)
    if not rows and rejected:
        where = "" if options.dry_run else f" See {out / REJECTED_FILE}."
        told = "".join(f" {note.removesuffix('.')}." for note in intake.notes)
        raise CorpusError(f"{root}: nothing is left ({intake.reasons}).{told}{where}")
    return finish_corpus(rows, corpus=corpus, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def check_settings(settings: Settings) -> SegmentationSettings:
    """The settings of the segmentation; what cannot mean anything is refused before a file is read.

    Raises:
        MisuseError: names the setting.
    """
    check_choice("speaker", settings.speaker, SPEAKERS)
    check_choice("untranscribed", settings.untranscribed, UNTRANSCRIBED)
    if not 0 < settings.threshold < 1:
        raise MisuseError(f"--set threshold={settings.threshold:g}: must be above 0 and below 1. Correct it.")
    try:
        codecs.lookup(settings.encoding or "utf-8")
    except LookupError as error:
        raise MisuseError(f'--set encoding="{settings.encoding}": no such encoding. Try cp1252, mac_roman or utf-16.') from error
    marks = Marks.read(settings.drop_marks, settings.remove_marks)
    return SegmentationSettings(
        min_confidence=settings.min_confidence,
        max_cer=settings.max_cer,
        longest=settings.longest,
        gap=settings.gap,
        pad=settings.pad,
        drop=marks.drop,
        remove=marks.remove,
    )


def refuse_foreign(root: Path, out: Path, corpus: Corpus) -> None:
    """Refuse a folder to write into that is the corpus itself or holds another one, before anything is heard or written.

    Raises:
        MisuseError: it is.
    """
    there = out / CORPUS_FILE
    if out.resolve() == root.resolve() or (out.exists() and not out.is_dir()):
        raise MisuseError(f"{out}: is the corpus itself, or a file. Choose another folder to write into.")
    if there.is_file() and (name := read_object(there).get("name")) != corpus.name:
        raise MisuseError(f'{out}: holds the prepared corpus "{name}", not "{corpus.name}". Choose another folder.')


def find_sources(root: Path, only: Path | None, out: Path, settings: Settings, intake: Intake) -> list[Source]:
    """Every recording below a folder, or only one of them, with its transcript's file and its speaker; of several formats the best is taken.

    Raises:
        CorpusError: there is no recording.
    """
    files = list(files_under(root, SOUND_SUFFIXES, out)) if root.is_dir() else []
    files = [path for path in files if only is None or path == only]
    if not files:
        found = ", ".join(sorted(path.name for path in root.iterdir())[:8]) if root.is_dir() else "no such folder"
        raise CorpusError(f"{root}: no recording in it or below it, found: {found}. It should be {CORPUS.expects}")
    texts = {path.relative_to(root).with_suffix("").as_posix(): path for path in files_under(root, (".txt",), out)}
    folded: dict[str, list[Path]] = {}
    for name, path in texts.items():
        folded.setdefault(name.casefold(), []).append(path)
    people = read_speakers(root, settings, intake)
    best: dict[str, Path] = {}
    for path in sorted(files, key=lambda path: (path.relative_to(root).with_suffix("").parts, SOUND_SUFFIXES.index(path.suffix.lower()), path.name)):
        key, place = file_key(path, root), path.relative_to(root).as_posix()
        if not place.isprintable():
            intake.drop(ascii(key), "bad-name", f"recording {place!a}: its name holds characters that cannot be printed. Rename it.")
        elif key in best:
            other = best[key].relative_to(root).as_posix()
            intake.leave_out(f"{key}{path.suffix}", "same-name", f'"{place}": has the name of "{other}", which is taken. Rename it if it is another.')
        else:
            best[key] = path
    sources, used = [], set()
    for key, path in best.items():
        name = path.relative_to(root).with_suffix("").as_posix()
        others = folded.get(name.casefold(), [])
        text = texts.get(name) or (others[0] if len(others) == 1 else None)
        used.add(text)
        place = path.relative_to(root).as_posix()
        sources.append(Source(path=path, key=key, place=place, transcript=text, about=about_of(path, root, people, settings)))
    if only is not None:  # the other texts and the lines on other speakers belong to recordings that were not asked for
        return sources
    orphans = sorted(path.relative_to(root).as_posix() for path in texts.values() if path not in used)
    if orphans:
        intake.facts["text_files_without_recording"] = len(orphans)
        intake.notes.append(f"{len(orphans)} text files have no recording of the same name, such as {orphans[0]}")
    strangers = sorted(set(people) - {key for path in best.values() for key in names_of(path, root)})
    if strangers:
        intake.facts["speakers_without_recording"] = len(strangers)
        intake.notes.append(f'{len(strangers)} lines of the speakers\' table name no recording, such as "{strangers[0]}"')
    return sources


def names_of(path: Path, root: Path) -> tuple[str, ...]:
    """What a recording may be called in the speakers' table, most telling first; case does not matter."""
    place = path.relative_to(root)
    return tuple(name.casefold() for name in (place.as_posix(), place.with_suffix("").as_posix(), path.name, path.stem))


def read_speakers(root: Path, settings: Settings, intake: Intake) -> dict[str, dict[str, str]]:
    """Who speaks in which recording: `speakers.csv` beside the recordings, or the table that was named; nothing where there is none.

    Raises:
        CorpusError: it lacks a column for the recording or the speaker, or names a recording twice.
    """
    path = settings.speakers or root / SPEAKERS_FILE
    if settings.speakers is None and not path.is_file():
        return {}
    table = read_table(path)
    by_name = {name.casefold(): name for name in reversed(table.header)}

    def column(field: str, more: Sequence[str] = ()) -> str | None:
        return next((by_name[name] for name in (*SYNONYMS[field], *more) if name in by_name), None)

    file, speaker = column("audio", SYNONYMS["recording"]), column("speaker")
    if file is None or speaker is None:
        missing = "recording (file)" if file is None else "speaker (speaker)"
        raise CorpusError(f"{path}: no column for the {missing}, found {', '.join(table.header)}. Name the columns file and speaker.")
    for line, values in table.broken:
        intake.drop(
            f"speakers-line{line}", "wrong-columns", f"{path.name}, line {line}: {values} values for {len(table.header)} columns. Correct it."
        )
    people: dict[str, dict[str, str]] = {}
    for line, row in table.rows:
        name = row[file].strip().replace("\\", "/").removeprefix("./").casefold()
        about = {"speaker": row[speaker].strip(), **{field: row[given].strip() for field in SPEAKER_FIELDS if (given := column(field)) is not None}}
        if people.setdefault(name, about) != about:
            raise CorpusError(f'{path}, line {line}: says something else of "{row[file]}" than a line before it. Keep one of them.')
    return people


def about_of(path: Path, root: Path, people: dict[str, dict[str, str]], settings: Settings) -> dict[str, str]:
    """What is known of the speaker of a recording; never made up."""
    told = next((people[name] for name in names_of(path, root) if name in people), None)
    if told is not None:
        return {field: value for field, value in told.items() if value}
    name = {"none": None, "file": path.stem, "folder": path.parent.name if path.parent != root else None}[settings.speaker]
    return {"speaker": name} if name else {}


def read_transcript(one: Source, settings: Settings, intake: Intake) -> str | None:
    """A transcript; None where there is none, or none that can be used, which is then counted."""
    if one.transcript is None:
        return None
    try:
        size = one.transcript.stat().st_size
        if size > LARGEST_TRANSCRIPT:
            raise AudioError("too-large", f"its transcript has {size >> 20} MB, at most {LARGEST_TRANSCRIPT >> 20} MB are read. Is it text?")
        data = one.transcript.read_bytes()
        mark = next((name for name, begins in MARKS.items() if data.startswith(begins)), None)
        text = data.decode(mark or settings.encoding or "utf-8")
        if "\0" in text:
            raise AudioError("bad-encoding", "its transcript holds zero bytes, so it is no text in this encoding. Save it as UTF-8.")
        if not has_words(text):
            raise AudioError("empty-text", "no words in its transcript. Write it, or remove the file and have its speech listed.")
    except UnicodeDecodeError as error:
        what = f"byte {error.start + 1} of its transcript is not {error.encoding}. Save it as UTF-8, or name its encoding: --set encoding=cp1252"
        intake.drop(one.key, "bad-encoding", f'"{one.place}": {what}')
    except AudioError as error:
        intake.drop(one.key, error.reason, f'"{one.place}": {error}')
    else:
        return text
    return None


def segment_all(
    sources: Sequence[Source],
    texts: dict[str, str],
    out: Path,
    options: PrepareOptions,
    settings: Settings,
    how: SegmentationSettings,
    intake: Intake,
) -> dict[str, SegmentedRecording]:
    """Every recording with its transcript found in it, by key; what was heard in an earlier run, and is still the same, is not heard again."""
    if settings.model is None and settings.adapter is None:
        raise MisuseError(
            f'"{sources[0].place}" has a transcript, but no model was named that could find it there. Name a CTC model that writes its language: '
            "--set model=facebook/wav2vec2-base-960h (English), a folder, or embedded:wav2vec2-small (synthetic English only)."
        )
    model = load_aligner(settings.model, settings.adapter, language=settings.language)
    weights = sha256_of(settings.adapter / "adapter_model.safetensors") if settings.adapter is not None else None
    told_how = [settings.min_confidence, settings.max_cer, settings.longest, settings.gap, settings.pad, settings.drop_marks, settings.remove_marks]
    recipe = [VERSION, model.base.id, model.base.revision, weights, settings.language, *told_how]
    segmented: dict[str, SegmentedRecording] = {}
    earlier, files = 0, set()
    for one in sources:
        status = one.path.stat()
        told = json.dumps([*recipe, one.place, status.st_size, status.st_mtime_ns, texts[one.key]], ensure_ascii=False)
        fingerprint = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
        kept = out / ALIGNMENTS / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', one.key)[:80]}-{hashlib.sha256(one.place.encode()).hexdigest()[:8]}.json"
        files.add(kept)
        found = read_alignment(kept, fingerprint)
        if found is None:
            try:
                found = segment_recording(model, one.path, texts[one.key], how)
            except AudioError as error:
                intake.drop(one.key, error.reason, f'recording "{one.place}": {error}')
                continue
            if not options.dry_run:
                write_json(kept, {"fingerprint": fingerprint, "recording": one.place, **found.to_json()})
        else:
            earlier += 1
        segmented[one.key] = found
    for path in () if options.dry_run else (out / ALIGNMENTS).glob("*.json"):
        if path not in files:  # of a recording that is no longer there
            path.unlink()
    if earlier:
        intake.repair("alignment of an earlier run kept", earlier)
    return segmented


def read_alignment(path: Path, fingerprint: str) -> SegmentedRecording | None:
    """What was found in an earlier run; None if there was none, or something has changed since."""
    try:
        row = read_object(path)
        if row.pop("fingerprint") != fingerprint:
            return None
        row.pop("recording")
        return SegmentedRecording.from_json(row)
    except (SpeechadaptError, KeyError, TypeError):
        return None


def make_rows(one: Source, segmented: SegmentedRecording, corpus: Corpus, settings: Settings) -> list[CorpusRow]:
    """The utterances of a recording as rows."""
    aligner = " + ".join(str(name) for name in (settings.model, settings.adapter) if name is not None)
    speaker = one.about.get("speaker")
    return [
        CorpusRow(
            id=f"{one.key}-{round(segment.start * 1000):08d}",
            audio=one.path.resolve(),
            text=segment.text,
            text_raw=segment.text_raw,
            place=f"{one.place}, {segment.start:.2f} s to {segment.end:.2f} s",
            offset=segment.start,
            duration=segment.end - segment.start,
            # namespaced here, because a name may hold the colon that marks a name as namespaced
            speaker=f"{corpus.name}:{speaker}" if speaker else None,
            gender=one.about.get("gender"),
            age=one.about.get("age"),
            accent_raw=one.about.get("accent"),
            l1=one.about.get("l1"),
            region=one.about.get("region"),
            language=one.about.get("language"),
            recording=f"{corpus.name}:{one.place}",
            meta={"confidence": segment.confidence, "aligned_cer": segment.cer, "aligned_by": aligner},
        )
        for segment in segmented.segments
    ]


def list_rejected(one: Source, segmented: SegmentedRecording, corpus: Corpus, intake: Intake) -> list[dict[str, Any]]:
    """Count what did not fit, and list it as a person can check it."""
    listed = []
    for number, part in enumerate(segmented.rejected, start=1):
        key = f"{one.key}-rejected{number}"
        what = f'"{part.text}"' if part.text else "speech"
        intake.drop(key, part.reason, f'"{one.place}", {part.start:.2f} s to {part.end:.2f} s, {what}: {part.message}')
        listed.append(
            {
                "id": f"{corpus.name}-{key}",
                "audio_filepath": one.place,
                "start": f"{part.start:.3f}",
                "end": f"{part.end:.3f}",
                "speaker": one.about.get("speaker", ""),
                "text": part.text,
                "heard": part.heard,
                "reason": part.reason,
                "confidence": "" if part.confidence is None else f"{part.confidence:.4f}",
                "cer": "" if part.cer is None else f"{part.cer:.4f}",
            }
        )
    return listed


def tell_doubtful(one: Source, segmented: SegmentedRecording, intake: Intake) -> None:
    """Say in one sentence when a transcript as a whole does not fit."""
    if segmented.found < DOUBTFUL_SHARE * segmented.phrases:
        advice = "It may belong to another recording, or the model may not know the language or accent."
        intake.notes.append(f'"{one.place}": {segmented.found} of {segmented.phrases} phrases of its transcript were found in it. {advice}')


def tell_marks(rows: Sequence[CorpusRow], intake: Intake) -> None:
    """Count the rows from whose text something was taken."""
    count = sum(row.text != row.text_raw for row in rows)
    if count:
        intake.repair("mark taken out of the text", count)


def list_speech(sources: Sequence[Source], vad: Any, settings: Settings, intake: Intake, root: Path) -> list[dict[str, Any]]:
    """The speech of recordings without a transcript, as a table to be filled in."""
    transcriber = (
        load_transcriber(settings.draft, settings.draft_adapter, language=settings.language) if settings.draft is not None and sources else None
    )
    listed: list[dict[str, Any]] = []
    recordings, seconds = 0, 0.0
    for one in sources:
        try:
            read_info(one.path)
            spans = find_speech(vad, one.path, threshold=settings.threshold, gap=settings.gap, longest=settings.longest)
            drafts = draft_transcripts(transcriber, one.path, spans) if transcriber is not None else []
        except AudioError as error:
            intake.drop(one.key, error.reason, f'recording "{one.place}": {error}')
            continue
        recordings += 1
        seconds += sum(span.end - span.start for span in spans)
        for number, span in enumerate(spans):
            row = {
                "audio_filepath": one.place,
                "start": f"{span.start:.3f}",
                "end": f"{span.end:.3f}",
                "speaker": one.about.get("speaker", ""),
                "text": "",
            }
            listed.append({**row, "draft": drafts[number]} if transcriber is not None else row)
    intake.facts |= {"untranscribed_recordings": recordings, "untranscribed_stretches": len(listed), "untranscribed_seconds": round(seconds, 1)}
    if listed:
        intake.notes.append(
            f"{recordings} recordings have no transcript; {UNLABELLED_FILE} lists {len(listed)} stretches in which somebody speaks. Write what is "
            f"said into its column text, then: speechadapt prepare table OUT/{UNLABELLED_FILE} OTHER --set audio_root={root}"
        )
    return listed


def report_without_rows(corpus: Corpus, root: Path, out: Path, options: PrepareOptions, intake: Intake, started: float) -> PrepReport:
    """The report of a corpus that nobody has transcribed yet: there is nothing to train on, and a table to be filled in."""
    if intake.facts.get("untranscribed_recordings", 0) == 0:
        raise CorpusError(f"{root}: no recording can be used ({intake.reasons}); the first: {intake.drops[0].message}")
    rows_read = len(intake.drops)
    report = PrepReport(
        corpus=corpus,
        source=str(root),
        out=None if options.dry_run else str(out),
        options=options,
        rows_read=rows_read,
        not_chosen=0,
        kept=0,
        **summarize_intake(intake),
        **summarize_content({}, {}),
        manifests=(),
        seconds=round(time.monotonic() - started, 2),
        provenance=provenance.gather(),
    )
    if not options.dry_run:
        for name in (*SPLITS, "all"):
            (out / f"{name}.jsonl").unlink(missing_ok=True)  # of an earlier run that had transcripts
        write_json(out / CORPUS_FILE, {**dataclasses.asdict(corpus), "source": str(root), "manifests": []})
        write_json(out / REPORT_FILE, report.to_json())
    return report


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """A table for a person, or nothing where there is nothing to list."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
