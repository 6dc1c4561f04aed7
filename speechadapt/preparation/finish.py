"""Finish: rows become 16 kHz audio, manifests, `corpus.json` and a report."""

import concurrent.futures
import concurrent.futures.process
import dataclasses
import hashlib
import multiprocessing
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from speechadapt import provenance
from speechadapt.audio.storage import Job, Sound, store
from speechadapt.data.manifest import CORPUS_FILE, Manifest
from speechadapt.data.utterance import LONGEST_ID, SPLITS, Utterance
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.files import read_json, write_json
from speechadapt.preparation.accents import AccentLabels
from speechadapt.preparation.corpus import Corpus, CorpusRow, PrepareOptions
from speechadapt.preparation.divide import divide, settle
from speechadapt.preparation.intake import Intake
from speechadapt.preparation.labels import gender_of, speaker_key
from speechadapt.preparation.report import REPORT_FILE, PrepReport, refuse_defects, summarize_content, summarize_intake
from speechadapt.text.cleaning import clean_text, has_words

AUDIO_FOLDER = "audio"
TOLERATED_SHARE = 0.05
TOLERATED_FAILURES = 5
"""A share means nothing for a handful of rows: up to five unusable ones are counted and the corpus goes on."""
UNUSABLE = ("missing", "empty", "not-audio", "truncated", "not-finite", "silent", "outside-corpus")
Draft = tuple[Utterance, CorpusRow]


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

    The result depends on the rows and options only, not on `jobs` or the order of the rows. Running it again skips audio that is there.

    Args:
        rows: in any order; sorted by id here.
        intake: what the script counted while reading; more is counted in it here.
        audio_roots: with `in_place`, the folders under which the recordings lie.

    Raises:
        CorpusError: no row is left; more than 5 % (and more than five) of the rows have no usable audio; with `strict`, a row was
            dropped or splits overlap.
        MisuseError: `out` holds another corpus, or `in_place` for audio that does not exist yet.
    """
    started = time.monotonic()
    intake = intake if intake is not None else Intake()
    out = Path(out)
    _refuse_foreign(out, source, corpus)
    given = list(rows)
    handed = sorted(given, key=lambda row: row.id)
    rows_read = len(handed) + len(intake.drops)
    intake.drops = [dataclasses.replace(drop, id=f"{corpus.name}-{drop.id}") for drop in intake.drops]
    drafts, not_chosen = _make_drafts(handed, corpus, options, intake)
    sounds = _store_audio(drafts, given, out, options, intake)
    utterances = [_place_audio(u, row, sounds[u.id], options) for u, row in drafts if u.id in sounds]
    _require_audio(rows_read, len(utterances), corpus, source, options, intake)
    parts = divide(Manifest(utterances, folder=out, name=corpus.name), options, intake)
    parts = settle(parts, sounds, options, intake)
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
        _remove_unused(drafts, parts, out, options)
    return report


def _refuse_foreign(out: Path, source: Path | str, corpus: Corpus) -> None:
    if out.resolve() == Path(source).resolve():
        raise MisuseError(f"{out}: is the corpus itself, and prepared data must not be mixed into it. Choose another folder.")
    if out.exists() and not out.is_dir():
        raise MisuseError(f"{out}: a file, expected a folder to write into. Choose another name.")
    there = out / CORPUS_FILE
    if there.is_file() and (name := read_json(there).get("name")) != corpus.name:
        raise MisuseError(f'{out}: holds the prepared corpus "{name}", not "{corpus.name}". Choose another folder.')


def _make_drafts(rows: list[CorpusRow], corpus: Corpus, options: PrepareOptions, intake: Intake) -> tuple[list[Draft], int]:
    """Utterances without a duration yet; empty texts and repeated ids are dropped, `--limit` takes its choice."""
    drafts: dict[str, Draft] = {}
    files: set[str] = set()
    labels = AccentLabels(corpus.name, options.accent_map)
    for row in rows:
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
            drafts[draft.id] = (draft, row)
    labels.tell(intake)
    chosen = list(drafts.values())
    if options.limit is None or options.limit >= len(chosen):
        return chosen, 0
    places = [index * len(chosen) // options.limit for index in range(options.limit)]
    return [chosen[place] for place in places], len(chosen) - options.limit


def _draft(row: CorpusRow, corpus: Corpus, options: PrepareOptions, intake: Intake, labels: AccentLabels) -> Utterance:
    language = row.language or corpus.language
    return Utterance(
        id=f"{corpus.name}-{row.id}",
        audio_filepath=f"{AUDIO_FOLDER}/{_file_stem(f'{corpus.name}-{row.id}')}.flac",
        duration=0.0,
        text=clean_text(row.text, case=options.case or corpus.case, language=language),
        text_raw=row.text if row.text_raw is None else row.text_raw,
        speaker=speaker_key(corpus, row.speaker),
        gender=gender_of(row.gender, intake),
        age=row.age or None,
        accent=row.accent or labels.slug_of(row.accent_raw, language),
        accent_raw=row.accent_raw or None,
        l1=row.l1 or None,
        region=row.region or None,
        language=language,
        recording=speaker_key(corpus, row.recording),
        split=row.split,
        meta=row.meta,
    )


def _file_stem(row_id: str, *, hashed: bool = False) -> str:
    """The id as a file name: safe on every system, and still unique after letters were replaced."""
    safe = re.sub(r"[^\w.-]", "_", row_id, flags=re.ASCII).strip(".")[:120]
    return safe if safe == row_id and not hashed else f"{safe}-{hashlib.sha256(row_id.encode()).hexdigest()[:8]}"


def _store_audio(drafts: list[Draft], given: list[CorpusRow], out: Path, options: PrepareOptions, intake: Intake) -> dict[str, Sound]:
    """Read, check and write the audio of every draft; what cannot be used is dropped with its reason.

    Audio is read in the order the rows were given in, so that what lies in one large file is read from it in one go.
    """
    if options.in_place and any(not isinstance(row.audio, Path) for _, row in drafts):
        raise MisuseError(
            "--in-place: this corpus makes its audio, or keeps it inside of other files, so there is none to leave in place. Run without --in-place."
        )
    if options.in_place and any(row.channel is not None for _, row in drafts):
        raise MisuseError("--in-place: some recordings hold a speaker in each channel, and manifests know no channels. Run without --in-place.")
    place = {id(row): number for number, row in enumerate(given)}
    no_target = options.in_place or options.dry_run
    jobs = [
        Job(
            id=u.id,
            audio=row.audio,
            offset=row.offset,
            duration=row.duration,
            channel=row.channel,
            target=None if no_target else out / u.audio_filepath,
            header_only=options.dry_run,
        )
        for u, row in sorted(drafts, key=lambda draft: place[id(draft[1])])
    ]
    made = {sound.id: sound for sound in _map(store, jobs, options.jobs)}
    sounds: dict[str, Sound] = {}
    for u, row in drafts:
        sound = made[u.id]
        if sound.outcome == "dropped":
            intake.drop(u.id, sound.reason, f"{sound.message} ({row.place})" if row.place else sound.message, row.split)
            continue
        sounds[sound.id] = sound
        if sound.clamped:
            intake.repair("segment end beyond its recording, shortened")
        if sound.outcome == "reused":
            intake.repair("audio of an earlier run kept")
    return sounds


def _map(function: Callable[[Job], Sound], jobs: list[Job], processes: int) -> Iterator[Sound]:
    """Apply in order over local processes, with a progress bar on stderr; the order of the results is that of the jobs."""
    processes = min(processes, max(1, len(jobs) // 32))
    with tqdm(total=len(jobs), desc="audio", unit=" rows", disable=None) as bar:
        if processes == 1:
            for job in jobs:
                yield function(job)
                bar.update()
            return
        # spawn: a forked child inherits the locks of threads (progress bar, audio and math libraries) that do not exist in it
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(processes, mp_context=context) as pool:
            try:
                for sound in pool.map(function, jobs, chunksize=16):
                    yield sound
                    bar.update()
            except concurrent.futures.process.BrokenProcessPool as error:
                raise CorpusError(
                    f"a preparation process died after {bar.n} of {len(jobs)} rows, perhaps for lack of memory. "
                    "Run the same command again with --jobs 1; the audio that was finished is kept."
                ) from error
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _place_audio(draft: Utterance, row: CorpusRow, sound: Sound, options: PrepareOptions) -> Utterance:
    """The utterance with its measured duration; left in place it points to the source and its segment."""
    if options.in_place and isinstance(row.audio, Path):
        return dataclasses.replace(draft, audio_filepath=str(row.audio.resolve()), offset=row.offset, duration=sound.duration)
    meta = {**draft.meta, "bandwidth": "narrow"} if "narrow-band" in sound.flags else draft.meta
    return dataclasses.replace(draft, duration=sound.duration, meta=meta)


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


def _roots_in_use(parts: dict[str, Manifest], audio_roots: Sequence[Path]) -> list[str]:
    """For every recording the first root that holds it; a manifest may read no more of the disk than it needs."""
    roots = [Path(root).resolve() for root in audio_roots]
    holders = {next((root for root in roots if Path(u.audio_filepath).is_relative_to(root)), None) for part in parts.values() for u in part}
    if None in holders:
        raise CorpusError(f"--in-place: a recording lies under none of {', '.join(map(str, roots)) or 'no folder'}. Run without --in-place.")
    return sorted(str(root) for root in holders)


def _remove_unused(drafts: list[Draft], parts: dict[str, Manifest], out: Path, options: PrepareOptions) -> None:
    """Audio that was written before its row was dropped."""
    if options.in_place:
        return
    used = {u.id for part in parts.values() for u in part}
    for draft, _ in drafts:
        if draft.id not in used:
            (out / draft.audio_filepath).unlink(missing_ok=True)
