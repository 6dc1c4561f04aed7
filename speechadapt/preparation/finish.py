"""Finish: rows become 16 kHz audio, manifests, `corpus.json` and a report."""

import dataclasses
import hashlib
import itertools
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from speechadapt import provenance
from speechadapt.audio.storage import Job, Sound, store_all
from speechadapt.data.manifest import CORPUS_FILE, Manifest
from speechadapt.data.utterance import LONGEST_ID, SPLITS, Utterance
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.files import read_json, write_json
from speechadapt.preparation.accents import AccentLabels
from speechadapt.preparation.corpus import Corpus, CorpusRow, PrepareOptions, Recipe
from speechadapt.preparation.divide import divide, save_lists, settle
from speechadapt.preparation.engine import BATCH, map_on_processes
from speechadapt.preparation.intake import Drop, Intake
from speechadapt.preparation.journal import AUDIO_FOLDER, JOURNAL_FOLDER, Journal, open_journal
from speechadapt.preparation.labels import gender_of, speaker_key
from speechadapt.preparation.options import available_cores
from speechadapt.preparation.ray_engine import BATCH as RAY_BATCH
from speechadapt.preparation.ray_engine import map_on_ray
from speechadapt.preparation.report import REPORT_FILE, PrepReport, refuse_defects, summarize_content, summarize_intake
from speechadapt.text.cleaning import clean_text, has_words
from speechadapt.units import Seconds

TOLERATED_SHARE = 0.05
TOLERATED_FAILURES = 5
"""A share means nothing for a handful of rows: up to five unusable ones are counted and the corpus goes on."""
UNUSABLE = ("missing", "empty", "not-audio", "truncated", "not-finite", "silent", "outside-corpus")
IRRELEVANT = ("jobs", "engine", "ray_address", "resume", "dry_run", "strict", "allow_missing")
"""Options that change nothing in the result, or only whether there is one: an interrupted run may be gone on with under others."""

MANIFEST_FILES = tuple(f"{name}.jsonl" for name in (*SPLITS, "all"))

ROWS_OF_A_PROCESS = 32
"""Fewer are not worth the start of another process."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An utterance without its duration, and what is needed of its row to read the audio; the row itself is not held, as there may be millions.

    Attributes:
        utterance: its duration is 0 and its audio the file that will be written.
        audio: of the row, the path as text, which takes half the memory of a `Path`.
        offset, duration, channel, place: of the row.
        number: of the row in the order they were given in.
    """

    utterance: Utterance
    audio: str | Recipe
    offset: Seconds
    duration: Seconds | None
    channel: int | None
    place: str
    number: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The utterances whose audio can be used, by id, and the quality flags of those that have any."""

    utterances: list[Utterance]
    flags: dict[str, tuple[str, ...]]


def finish_corpus(
    rows: Iterable[CorpusRow],
    *,
    corpus: Corpus,
    source: Path | str,
    out: Path,
    options: PrepareOptions,
    intake: Intake | None = None,
    audio_roots: Sequence[Path] = (),
) -> PrepReport:
    """Turn rows into audio, manifests, `corpus.json` and `prep_report.json` under `out`.

    The result depends on the rows and options only, not on the engine, `jobs` or the order of the rows. Running it again keeps audio whose
    recording has not changed, but reads it; `resume` goes on with an interrupted run and reads nothing that was finished.

    Args:
        rows: in any order; sorted by id here. They are taken one by one and none is held, so that a generator needs half the memory of a list.
        intake: what the script counted while reading; more is counted in it here.
        audio_roots: with `in_place`, the folders under which the recordings lie.

    Raises:
        CorpusError: no row is left; more than 5 % (and more than five) of the rows have no usable audio; with `strict`, a row was
            dropped or splits overlap.
        MisuseError: `out` holds another corpus, another preparation is writing into it, or `in_place` for audio that does not exist yet;
            with `resume`, the interrupted run there was of another source or had other options.
        SpeechadaptError: `out` cannot be written; what was finished is kept.
    """
    started = time.monotonic()
    intake = intake if intake is not None else Intake()
    out = Path(out)
    _refuse_foreign(out, source, corpus)
    labels = AccentLabels(corpus.name, options.accent_map)
    counted = enumerate(tqdm(rows, desc="rows", unit=" rows", disable=None, delay=2, leave=False))
    given = [_draft(row, number, corpus, options, intake, labels) for number, row in counted]
    intake.drops = [dataclasses.replace(drop, id=f"{corpus.name}-{drop.id}") for drop in intake.drops]
    if options.dry_run:
        labels.tell(intake)
        return _finish(given, corpus, source, out, options, intake, audio_roots, started, None)
    with open_journal(out, _about(corpus, source, options), resume=options.resume) as journal:
        _note_interruption(out, journal, options, intake)
        labels.tell(intake)
        return _finish(given, corpus, source, out, options, intake, audio_roots, started, journal)


def _finish(
    given: list[Draft],
    corpus: Corpus,
    source: Path | str,
    out: Path,
    options: PrepareOptions,
    intake: Intake,
    audio_roots: Sequence[Path],
    started: float,
    journal: Journal | None,
) -> PrepReport:
    rows_read = len(given) + len(intake.drops)
    drafts, not_chosen = _choose_drafts(given, options, intake)
    files = [] if options.in_place else [draft.utterance.audio_filepath for draft in drafts]
    stored = _store_audio(drafts, out, options, intake, journal)
    _require_audio(rows_read, len(stored.utterances), corpus, source, options, intake)
    whole = Manifest(stored.utterances, folder=out, name=corpus.name)
    stored.utterances.clear()
    parts = settle(divide(whole, options, intake), options, intake)
    del whole
    if not options.dry_run:
        _note_leftovers(files, parts, out, intake)
    if not parts:
        raise CorpusError(f"{source}: none of {rows_read} rows is left ({intake.reasons}). Correct the corpus or the options.")
    report = PrepReport(
        corpus=corpus,
        source=str(source),
        out=None if options.dry_run else str(out),
        options=options,
        rows_read=rows_read,
        not_chosen=not_chosen,
        kept=sum(map(len, parts.values())),
        **summarize_intake(intake),
        **summarize_content(parts, stored.flags),
        manifests=tuple(f"{name}.jsonl" for name in parts),
        seconds=round(time.monotonic() - started, 2),
        provenance=provenance.gather(),
    )
    if options.strict:
        refuse_defects(report)
    if not options.dry_run:
        _write(parts, report, audio_roots)
        _remove_unused(files, parts, out)
    return report


def _about(corpus: Corpus, source: Path | str, options: PrepareOptions) -> dict[str, Any]:
    """What decides the result of a preparation: an interrupted one is gone on with only if all of it is the same."""
    given = {name: value for name, value in dataclasses.asdict(options).items() if name not in IRRELEVANT}
    here = os.path.abspath(source)  # noqa: PTH100
    versions = {name: provenance.package_version(name) for name in ("speechadapt", "soundfile", "soxr", "numpy")}
    return {
        "corpus": corpus.name,
        "source": here if os.path.exists(here) else str(source),  # noqa: PTH110 - it need not be a path at all
        **{f"--{name.replace('_', '-')}": dict(value) if isinstance(value, Mapping) else value for name, value in given.items()},
        **versions,
    }


def _note_interruption(out: Path, journal: Journal, options: PrepareOptions, intake: Intake) -> None:
    if options.resume and journal.found is None:
        intake.notes.append(f"--resume: {out} holds no interrupted run, so everything was done from the beginning")
    elif not options.resume and journal.found:
        intake.notes.append(
            f"an interrupted run was found that had finished {journal.found} rows; --resume would have gone on with it. Its audio was read again and "
            "kept where the recording has not changed"
        )


def _refuse_foreign(out: Path, source: Path | str, corpus: Corpus) -> None:
    if out.resolve() == Path(source).resolve():
        raise MisuseError(f"{out}: is the corpus itself, and prepared data must not be mixed into it. Choose another folder.")
    if out.exists() and not out.is_dir():
        raise MisuseError(f"{out}: a file, expected a folder to write into. Choose another name.")
    there, manifests = out / CORPUS_FILE, [out / name for name in MANIFEST_FILES]
    if Path(source).resolve() in (manifest.resolve() for manifest in manifests):
        raise MisuseError(f"{source}: lies in {out}, where it would be overwritten. Choose another folder.")
    if there.is_file():
        told = read_json(there)
        if not isinstance(told, dict):
            raise MisuseError(f"{there}: {type(told).__name__}, so it is not the record of a prepared corpus. Choose another folder.")
        if told.get("name") != corpus.name:
            raise MisuseError(f'{out}: holds the prepared corpus "{told.get("name")}", not "{corpus.name}". Choose another folder.')
    elif found := next((manifest for manifest in manifests if manifest.exists()), None):
        raise MisuseError(f"{found}: is there already, and without {CORPUS_FILE} beside it no preparation wrote it. Choose another folder.")


def _draft(row: CorpusRow, number: int, corpus: Corpus, options: PrepareOptions, intake: Intake, labels: AccentLabels) -> Draft:
    language = row.language or corpus.language
    text = clean_text(row.text, case=options.case or corpus.case, language=language)
    raw = row.text if row.text_raw is None else row.text_raw
    utterance = Utterance(
        id=f"{corpus.name}-{row.id}",
        audio_filepath=f"{AUDIO_FOLDER}/{_file_stem(f'{corpus.name}-{row.id}')}.flac",
        duration=0.0,
        text=raw if text == raw else text,
        text_raw=raw,
        speaker=_shared(speaker_key(corpus, row.speaker)),
        gender=gender_of(row.gender, intake),
        age=row.age or None,
        accent=_shared(row.accent or labels.slug_of(row.accent_raw, language)),
        accent_raw=row.accent_raw or None,
        l1=row.l1 or None,
        region=row.region or None,
        language=language,
        recording=_shared(speaker_key(corpus, row.recording)),
        split=row.split,
        meta=row.meta,
    )
    audio = str(row.audio) if isinstance(row.audio, Path) else row.audio
    return Draft(utterance=utterance, audio=audio, offset=row.offset, duration=row.duration, channel=row.channel, place=row.place, number=number)


def _choose_drafts(given: list[Draft], options: PrepareOptions, intake: Intake) -> tuple[list[Draft], int]:
    """Sorted by id; empty texts and repeated ids are dropped, `--limit` takes its choice. Empties the list, so that no draft is held twice."""
    given.sort(key=lambda draft: draft.utterance.id)  # stable: of several with one id the first that was given comes first
    chosen: list[Draft] = []
    files: set[str] = set()
    for draft in given:
        u, place = draft.utterance, draft.place
        if len(u.id) > LONGEST_ID or not u.id.isprintable():
            message = f'row "{u.id[:80]}" ({place}): its id has {len(u.id)} characters, at most {LONGEST_ID} printable ones are possible.'
            intake.drop(u.id[:80], "bad-id", message, u.split)
        elif chosen and chosen[-1].utterance.id == u.id:
            intake.drop(u.id, "duplicate-id", f'row "{u.id}" ({place}): this id stands twice, the first row is kept.', u.split)
        elif not has_words(u.text):
            intake.drop(u.id, "empty-text", f'row "{u.id}" ({place}): no words in its text "{u.text}".', u.split)
        else:
            folded = u.audio_filepath.casefold()
            if folded in files:  # two ids that differ in case only would share a file on some systems
                u = dataclasses.replace(u, audio_filepath=f"{AUDIO_FOLDER}/{_file_stem(u.id, hashed=True)}.flac")
                draft = dataclasses.replace(draft, utterance=u)
            files.add(folded)
            chosen.append(draft)
    given.clear()
    if options.limit is None or options.limit >= len(chosen):
        return chosen, 0
    places = [index * len(chosen) // options.limit for index in range(options.limit)]
    return [chosen[place] for place in places], len(chosen) - options.limit


def _shared(label: str | None) -> str | None:
    """One string for all rows of a speaker, an accent or a recording."""
    return sys.intern(label) if label else None


def _file_stem(row_id: str, *, hashed: bool = False) -> str:
    """The id as a file name: safe on every system, and still unique after letters were replaced."""
    safe = re.sub(r"[^\w.-]", "_", row_id, flags=re.ASCII).strip(".")[:120]
    return safe if safe == row_id and not hashed else f"{safe}-{hashlib.sha256(row_id.encode()).hexdigest()[:8]}"


def _store_audio(drafts: list[Draft], out: Path, options: PrepareOptions, intake: Intake, journal: Journal | None) -> Stored:
    """Read, check and write the audio of every draft; what cannot be used is dropped with its reason. Empties the list of drafts.

    Audio is read in the order the rows were given in, so that what lies in one large file is read from it in one go.
    """
    if options.in_place and any(not isinstance(draft.audio, str) for draft in drafts):
        raise MisuseError(
            "--in-place: this corpus makes its audio, or keeps it inside of other files, so there is none to leave in place. Run without --in-place."
        )
    if options.in_place and any(draft.channel is not None for draft in drafts):
        raise MisuseError("--in-place: some recordings hold a speaker in each channel, and manifests know no channels. Run without --in-place.")
    drafts.sort(key=lambda draft: draft.number)
    utterances: list[Utterance] = []
    flags: dict[str, tuple[str, ...]] = {}
    lost: list[Drop] = []
    hours = 0.0
    with tqdm(total=len(drafts), desc="audio", unit=" rows", disable=None) as bar:
        for batch, sounds in _map(drafts, out, options, journal):
            if journal is not None:
                journal.add(sound for sound in sounds if not sound.taken)
            for draft, sound in zip(batch, sounds, strict=True):
                hours += sound.duration / 3600
                if sound.outcome == "dropped":
                    message = f"{sound.message} ({draft.place})" if draft.place else sound.message
                    lost.append(Drop(id=draft.utterance.id, reason=sound.reason, message=message, split=draft.utterance.split))
                    continue
                _count_repairs(sound, intake)
                utterances.append(_place(draft, sound, options))
                if sound.flags:
                    flags[draft.utterance.id] = sound.flags
            bar.set_postfix_str(f"{hours:.1f} h", refresh=False)
            bar.update(len(sounds))
    if journal is not None and not options.in_place and hasattr(os, "sync"):
        os.sync()  # the files of all rows at once, before any manifest names them; one by one takes more time than making them
    intake.drops += sorted(lost, key=lambda drop: drop.id)
    utterances.sort(key=lambda u: u.id)
    return Stored(utterances=utterances, flags=flags)


def _count_repairs(sound: Sound, intake: Intake) -> None:
    if sound.clamped:
        intake.repair("segment end beyond its recording, shortened")
    if sound.taken:
        intake.repair("row of the interrupted run taken over, nothing decoded")
    elif sound.outcome == "reused":
        intake.repair("audio of an earlier run kept")


def _map(drafts: list[Draft], out: Path, options: PrepareOptions, journal: Journal | None) -> Iterator[tuple[list[Draft], list[Sound]]]:
    """Drafts and their sounds, in batches as they are finished, from whatever engine was asked for. Empties the list of drafts."""
    no_target = options.in_place or options.dry_run
    whole = Path(os.path.abspath(out))  # noqa: PTH100 - `resolve` would follow links, and a worker may stand in another folder
    total = len(drafts)
    running: dict[int, list[Draft]] = {}

    def make_batches(size: int) -> Iterator[list[Job]]:
        drafts.reverse()
        for number in itertools.count():
            running[number] = [drafts.pop() for _ in range(min(size, len(drafts)))]
            if not running[number]:
                return
            yield [_job(draft, None if no_target else whole, options, journal) for draft in running[number]]

    if options.engine == "ray":
        first = next((Path(draft.audio) for draft in drafts if isinstance(draft.audio, str) and os.path.isfile(draft.audio)), None)  # noqa: PTH113
        mapped = map_on_ray(
            store_all,
            make_batches(RAY_BATCH),
            workers=options.jobs,
            total=total,
            address=options.ray_address,
            probe=None if no_target or journal is None else whole / JOURNAL_FOLDER,
            needed=[first] if first is not None else [],
        )
    else:
        workers = min(options.jobs or available_cores(), max(1, total // ROWS_OF_A_PROCESS))
        mapped = map_on_processes(store_all, make_batches(BATCH if workers > 1 else 1), workers=workers, total=total)
    for number, sounds in mapped:
        yield running.pop(number), sounds


def _job(draft: Draft, folder: Path | None, options: PrepareOptions, journal: Journal | None) -> Job:
    return Job(
        id=draft.utterance.id,
        audio=Path(draft.audio) if isinstance(draft.audio, str) else draft.audio,
        offset=draft.offset,
        duration=draft.duration,
        channel=draft.channel,
        target=None if folder is None else folder / draft.utterance.audio_filepath,
        header_only=options.dry_run,
        journaled=journal.take(draft.utterance.id) if journal is not None else None,
        traced=journal is not None,
    )


def _place(draft: Draft, sound: Sound, options: PrepareOptions) -> Utterance:
    """The utterance with its measured duration; left in place it points to the source and its segment."""
    utterance, digest = draft.utterance, sound.digest or None
    if options.in_place and isinstance(draft.audio, str):
        path = os.path.realpath(draft.audio)
        there = draft.audio if path == draft.audio else path  # one string for both
        return dataclasses.replace(utterance, audio_filepath=there, offset=draft.offset, duration=sound.duration, audio_sha1=digest)
    meta = {**utterance.meta, "bandwidth": "narrow"} if "narrow-band" in sound.flags else utterance.meta
    return dataclasses.replace(utterance, duration=sound.duration, audio_sha1=digest, meta=meta)


def _require_audio(rows_read: int, usable: int, corpus: Corpus, source: Path | str, options: PrepareOptions, intake: Intake) -> None:
    lost = [drop for drop in intake.drops if drop.reason in UNUSABLE]
    few = len(lost) <= max(TOLERATED_FAILURES, TOLERATED_SHARE * rows_read)
    if not lost or (usable and (few or options.allow_missing)):
        return
    advice = "Correct the corpus, or accept the loss with --allow-missing." if usable else "Correct the corpus."
    raise CorpusError(
        f"{source}: {len(lost)} of {rows_read} rows ({len(lost) / rows_read:.1%}) have no usable audio, at most {TOLERATED_SHARE:.0%} are accepted; "
        f"the first: {lost[0].message} {corpus.name} expects: {corpus.expects} {advice}"
    )


def _write(parts: dict[str, Manifest], report: PrepReport, audio_roots: Sequence[Path]) -> None:
    out = Path(str(report.out))
    about = {**dataclasses.asdict(report.corpus), "source": report.source, "manifests": list(report.manifests)}
    if report.options.in_place:
        about["audio_roots"] = _roots_in_use(parts, audio_roots)
    (out / REPORT_FILE).unlink(missing_ok=True)  # it is written last, so that a folder with a report is a finished one
    write_json(out / CORPUS_FILE, about)
    for name in (*SPLITS, "all"):
        if name in parts:
            parts[name].write(out / f"{name}.jsonl")
        else:
            (out / f"{name}.jsonl").unlink(missing_ok=True)  # of an earlier run with other splits
    save_lists(out, parts, report.corpus, report.options)
    write_json(out / REPORT_FILE, report.to_json())


def _roots_in_use(parts: dict[str, Manifest], audio_roots: Sequence[Path]) -> list[str]:
    """For every recording the first root that holds it; a manifest may read no more of the disk than it needs."""
    roots = [Path(root).resolve() for root in audio_roots]
    holders = {next((root for root in roots if Path(u.audio_filepath).is_relative_to(root)), None) for part in parts.values() for u in part}
    if None in holders:
        raise CorpusError(f"--in-place: a recording lies under none of {', '.join(map(str, roots)) or 'no folder'}. Run without --in-place.")
    return sorted(str(root) for root in holders)


def _note_leftovers(files: list[str], parts: dict[str, Manifest], out: Path, intake: Intake) -> None:
    """Tell of audio that an earlier run with other rows or options left. It is not removed: of rows that `--limit` left out it is wanted again."""
    if not (out / AUDIO_FOLDER).is_dir():
        return
    ours = {u.audio_filepath for part in parts.values() for u in part}.union(files)
    with os.scandir(out / AUDIO_FOLDER) as entries:
        names = [entry.name for entry in entries if entry.name.endswith(".flac") and f"{AUDIO_FOLDER}/{entry.name}" not in ours]
    if names:
        intake.notes.append(
            f"{len(names)} files in {out / AUDIO_FOLDER} are of an earlier run and of no row of this one, the first is {min(names)}; "
            "remove them if those rows are not wanted again"
        )


def _remove_unused(files: list[str], parts: dict[str, Manifest], out: Path) -> None:
    """Audio that was written before its row was dropped."""
    used = {u.audio_filepath for part in parts.values() for u in part}
    for path in files:
        if path not in used:
            (out / path).unlink(missing_ok=True)
