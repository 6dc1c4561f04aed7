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
from speechadapt.preparation.corpus import Corpus, CorpusRow, PrepareOptions
from speechadapt.preparation.divide import divide, save_lists, settle
from speechadapt.preparation.engine import BATCH, map_on_processes
from speechadapt.preparation.intake import Intake
from speechadapt.preparation.journal import AUDIO_FOLDER, JOURNAL_FOLDER, Journal, open_journal
from speechadapt.preparation.labels import gender_of, speaker_key
from speechadapt.preparation.options import available_cores
from speechadapt.preparation.ray_engine import BATCH as RAY_BATCH
from speechadapt.preparation.ray_engine import map_on_ray
from speechadapt.preparation.report import REPORT_FILE, PrepReport, refuse_defects, summarize_content, summarize_intake
from speechadapt.text.cleaning import clean_text, has_words

TOLERATED_SHARE = 0.05
TOLERATED_FAILURES = 5
"""A share means nothing for a handful of rows: up to five unusable ones are counted and the corpus goes on."""
UNUSABLE = ("missing", "empty", "not-audio", "truncated", "not-finite", "silent", "outside-corpus")
IRRELEVANT = ("jobs", "engine", "ray_address", "resume", "dry_run", "strict", "allow_missing")
"""Options that change nothing in the result, or only whether there is one: an interrupted run may be gone on with under others."""

ROWS_OF_A_PROCESS = 32
"""Fewer are not worth the start of another process."""


class Flagged(dict[str, Sound]):
    """Sounds by id, of which only those with quality flags are held."""

    def __missing__(self, key: str) -> Sound:
        return Sound(id=key, outcome="measured")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An utterance without its duration, the row it comes from, and the place of that row in the order they were given in."""

    utterance: Utterance
    row: CorpusRow
    place: int


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
        rows: in any order; sorted by id here.
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
    given = list(tqdm(rows, desc="rows", unit=" rows", disable=None, delay=2, leave=False))
    intake.drops = [dataclasses.replace(drop, id=f"{corpus.name}-{drop.id}") for drop in intake.drops]
    if options.dry_run:
        return _finish(given, corpus, source, out, options, intake, audio_roots, started, None)
    with open_journal(out, _about(corpus, source, options), resume=options.resume) as journal:
        _note_interruption(out, journal, options, intake)
        return _finish(given, corpus, source, out, options, intake, audio_roots, started, journal)


def _finish(
    given: list[CorpusRow],
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
    drafts, not_chosen = _make_drafts(given, corpus, options, intake)
    sounds = _store_audio(drafts, out, options, intake, journal)
    files = [] if options.in_place else [draft.utterance.audio_filepath for draft in drafts]
    utterances = _place_audio(drafts, sounds, options)
    _require_audio(rows_read, len(utterances), corpus, source, options, intake)
    whole = Manifest(utterances, folder=out, name=corpus.name)
    del utterances
    parts = settle(divide(whole, options, intake), sounds, options, intake)
    del whole
    sounds = Flagged({key: sound for key, sound in sounds.items() if sound.flags})
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
        **summarize_content(parts, sounds, out),
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
    there = out / CORPUS_FILE
    if there.is_file() and (name := read_json(there).get("name")) != corpus.name:
        raise MisuseError(f'{out}: holds the prepared corpus "{name}", not "{corpus.name}". Choose another folder.')


def _make_drafts(given: list[CorpusRow], corpus: Corpus, options: PrepareOptions, intake: Intake) -> tuple[list[Draft], int]:
    """Sorted by id; empty texts and repeated ids are dropped, `--limit` takes its choice."""
    drafts: dict[str, Draft] = {}
    files: set[str] = set()
    labels = AccentLabels(corpus.name, options.accent_map)
    for place in sorted(range(len(given)), key=lambda place: given[place].id):
        row = given[place]
        draft = _draft(row, corpus, options, intake, labels)
        if len(draft.id) > LONGEST_ID or not draft.id.isprintable():
            message = f'row "{draft.id[:80]}" ({row.place}): its id has {len(draft.id)} characters, at most {LONGEST_ID} printable ones are possible.'
            intake.drop(draft.id[:80], "bad-id", message, row.split)
        elif draft.id in drafts:
            intake.drop(draft.id, "duplicate-id", f'row "{draft.id}" ({row.place}): this id stands twice, the first row is kept.', row.split)
        elif not has_words(draft.text):
            intake.drop(draft.id, "empty-text", f'row "{draft.id}" ({row.place}): no words in its text "{row.text}".', row.split)
        else:
            folded = draft.audio_filepath.casefold()
            if folded in files:  # two ids that differ in case only would share a file on some systems
                stem = _file_stem(draft.id, hashed=True)
                draft = dataclasses.replace(draft, audio_filepath=f"{AUDIO_FOLDER}/{stem}.flac")
            files.add(folded)
            drafts[draft.id] = Draft(utterance=draft, row=row, place=place)
    labels.tell(intake)
    chosen = list(drafts.values())
    if options.limit is None or options.limit >= len(chosen):
        return chosen, 0
    places = [index * len(chosen) // options.limit for index in range(options.limit)]
    return [chosen[place] for place in places], len(chosen) - options.limit


def _draft(row: CorpusRow, corpus: Corpus, options: PrepareOptions, intake: Intake, labels: AccentLabels) -> Utterance:
    language = row.language or corpus.language
    text = clean_text(row.text, case=options.case or corpus.case, language=language)
    raw = row.text if row.text_raw is None else row.text_raw
    return Utterance(
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


def _shared(label: str | None) -> str | None:
    """One string for all rows of a speaker, an accent or a recording."""
    return sys.intern(label) if label else None


def _file_stem(row_id: str, *, hashed: bool = False) -> str:
    """The id as a file name: safe on every system, and still unique after letters were replaced."""
    safe = re.sub(r"[^\w.-]", "_", row_id, flags=re.ASCII).strip(".")[:120]
    return safe if safe == row_id and not hashed else f"{safe}-{hashlib.sha256(row_id.encode()).hexdigest()[:8]}"


def _store_audio(drafts: list[Draft], out: Path, options: PrepareOptions, intake: Intake, journal: Journal | None) -> dict[str, Sound]:
    """Read, check and write the audio of every draft; what cannot be used is dropped with its reason.

    Audio is read in the order the rows were given in, so that what lies in one large file is read from it in one go.
    """
    if options.in_place and any(not isinstance(draft.row.audio, Path) for draft in drafts):
        raise MisuseError(
            "--in-place: this corpus makes its audio, or keeps it inside of other files, so there is none to leave in place. Run without --in-place."
        )
    if options.in_place and any(draft.row.channel is not None for draft in drafts):
        raise MisuseError("--in-place: some recordings hold a speaker in each channel, and manifests know no channels. Run without --in-place.")
    in_order = sorted(drafts, key=lambda draft: draft.place)
    made: dict[str, Sound] = {}
    hours = 0.0
    with tqdm(total=len(drafts), desc="audio", unit=" rows", disable=None) as bar:
        for batch, sounds in _map(in_order, out, options, journal):
            if journal is not None:
                journal.add(sound for sound in sounds if not sound.taken)
            for draft, sound in zip(batch, sounds, strict=True):
                made[draft.utterance.id] = _lighter(sound, draft)
                hours += sound.duration / 3600
            bar.set_postfix_str(f"{hours:.1f} h", refresh=False)
            bar.update(len(sounds))
    if journal is not None and hasattr(os, "sync"):
        os.sync()  # the files of all rows at once, before any manifest names them; one by one takes more time than making them
    for draft in drafts:
        sound = made[draft.utterance.id]
        if sound.outcome == "dropped":
            del made[sound.id]
            message = f"{sound.message} ({draft.row.place})" if draft.row.place else sound.message
            intake.drop(sound.id, sound.reason, message, draft.row.split)
            continue
        if sound.clamped:
            intake.repair("segment end beyond its recording, shortened")
        if sound.taken:
            intake.repair("row of the interrupted run taken over, nothing decoded")
        elif sound.outcome == "reused":
            intake.repair("audio of an earlier run kept")
    return made


def _lighter(sound: Sound, draft: Draft) -> Sound:
    """Without what only the journal needs, and with no copies of the same words: there may be millions of them."""
    return dataclasses.replace(sound, id=draft.utterance.id, outcome=sys.intern(sound.outcome), origin="", size=0)


def _map(drafts: list[Draft], out: Path, options: PrepareOptions, journal: Journal | None) -> Iterator[tuple[list[Draft], list[Sound]]]:
    """Drafts and their sounds, in batches as they are finished, from whatever engine was asked for."""
    no_target = options.in_place or options.dry_run
    whole = Path(os.path.abspath(out))  # noqa: PTH100 - `resolve` would follow links, and a worker may stand in another folder
    jobs = (
        Job(
            id=draft.utterance.id,
            audio=draft.row.audio,
            offset=draft.row.offset,
            duration=draft.row.duration,
            channel=draft.row.channel,
            target=None if no_target else whole / draft.utterance.audio_filepath,
            header_only=options.dry_run,
            journaled=journal.take(draft.utterance.id) if journal is not None else None,
            traced=journal is not None,
        )
        for draft in drafts
    )
    if options.engine == "ray":
        size = RAY_BATCH
        first = next((draft.row.audio for draft in drafts if isinstance(draft.row.audio, Path) and draft.row.audio.is_file()), None)
        mapped = map_on_ray(
            store_all,
            _batches(jobs, size),
            workers=options.jobs,
            total=len(drafts),
            address=options.ray_address,
            probe=None if no_target or journal is None else whole / JOURNAL_FOLDER,
            needed=[first] if first is not None else [],
        )
    else:
        workers = min(options.jobs or available_cores(), max(1, len(drafts) // ROWS_OF_A_PROCESS))
        size = BATCH if workers > 1 else 1
        mapped = map_on_processes(store_all, _batches(jobs, size), workers=workers, total=len(drafts))
    for number, sounds in mapped:
        yield drafts[number * size : (number + 1) * size], sounds


def _batches(jobs: Iterator[Job], size: int) -> Iterator[list[Job]]:
    while batch := list(itertools.islice(jobs, size)):
        yield batch


def _place_audio(drafts: list[Draft], sounds: Mapping[str, Sound], options: PrepareOptions) -> list[Utterance]:
    """The utterances whose audio can be used, in their order; empties the list of drafts, so that no row is held twice."""
    placed = []
    drafts.reverse()
    while drafts:
        draft = drafts.pop()
        if (sound := sounds.get(draft.utterance.id)) is not None:
            placed.append(_place(draft, sound, options))
    return placed


def _place(draft: Draft, sound: Sound, options: PrepareOptions) -> Utterance:
    """The utterance with its measured duration; left in place it points to the source and its segment."""
    utterance, row = draft.utterance, draft.row
    if options.in_place and isinstance(row.audio, Path):
        return dataclasses.replace(
            utterance, audio_filepath=str(row.audio.resolve()), offset=row.offset, duration=sound.duration, audio_sha1=sound.digest or None
        )
    meta = {**utterance.meta, "bandwidth": "narrow"} if "narrow-band" in sound.flags else utterance.meta
    return dataclasses.replace(utterance, duration=sound.duration, audio_sha1=sound.digest or None, meta=meta)


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
    write_json(out / CORPUS_FILE, about)
    write_json(out / REPORT_FILE, report.to_json())
    for name in (*SPLITS, "all"):
        if name in parts:
            parts[name].write(out / f"{name}.jsonl")
        else:
            (out / f"{name}.jsonl").unlink(missing_ok=True)  # of an earlier run with other splits
    save_lists(out, parts, report.corpus, report.options)


def _roots_in_use(parts: dict[str, Manifest], audio_roots: Sequence[Path]) -> list[str]:
    """For every recording the first root that holds it; a manifest may read no more of the disk than it needs."""
    roots = [Path(root).resolve() for root in audio_roots]
    holders = {next((root for root in roots if Path(u.audio_filepath).is_relative_to(root)), None) for part in parts.values() for u in part}
    if None in holders:
        raise CorpusError(f"--in-place: a recording lies under none of {', '.join(map(str, roots)) or 'no folder'}. Run without --in-place.")
    return sorted(str(root) for root in holders)


def _remove_unused(files: list[str], parts: dict[str, Manifest], out: Path) -> None:
    """Audio that was written before its row was dropped."""
    used = {u.audio_filepath for part in parts.values() for u in part}
    for path in files:
        if path not in used:
            (out / path).unlink(missing_ok=True)
