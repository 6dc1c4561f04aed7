"""Preparation: what every script in data_prep/ shares, from the rows of a corpus to 16 kHz audio, manifests and a report.

A script reads its corpus' lists into `CorpusRow`s, counts what it had to drop or repair in an `Intake`, and hands both to `finish_corpus`.
"""

import concurrent.futures
import dataclasses
import functools
import hashlib
import multiprocessing
import re
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from speechadapt import provenance
from speechadapt.audio.storage import LONGEST_ROW, Job, Sound, store
from speechadapt.audio.waveform import Waveform
from speechadapt.data.manifest import CORPUS_FILE, Manifest
from speechadapt.data.splits import DEV_SHARE, TEST_SHARE, Split, carve_dev, find_overlap, split_by_speaker, split_by_speaker_and_sentence
from speechadapt.data.utterance import SPLITS, Utterance
from speechadapt.errors import AudioError, CorpusError, ManifestError, MisuseError
from speechadapt.files import read_json, write_json
from speechadapt.text.cleaning import CASES, clean_text, has_words
from speechadapt.units import Seconds

AUDIO_FOLDER = "audio"
REPORT_FILE = "prep_report.json"
SPLIT_RULES = ("official", "speaker", "speaker+sentence")
ENGINES = ("local",)
SHORTEST: Seconds = 0.3
LONGEST: Seconds = 30.0
EXAMPLES = 20
TOLERATED_SHARE = 0.05
TOLERATED_FAILURES = 5
"""A share means nothing for a handful of rows: up to five unusable ones are counted and the corpus goes on."""

Recipe = Callable[[], Waveform]
"""Makes a waveform (float32, mono, 16 kHz) in a worker process: a picklable call, such as `functools.partial` of a library function."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What is known of a corpus before any of its files is opened.

    Attributes:
        name: the script's name; prefix of ids (`name-id`) and speakers (`name:speaker`).
        title: as its owners call it.
        license: the tag for reports and model cards. commercial_use: what it says on commercial use, in words.
        home: where it can be had.
        expects: the layout that must lie at the source, in one or two sentences; shown when the source looks different.
        accent_label: where the accent label comes from.
        language: BCP-47 tag of the transcripts where it is the same for all.
        case: what happens to the case of the text unless the user chooses: lower, sentence or keep.
    """

    name: str
    title: str
    license: str
    commercial_use: str
    home: str
    expects: str
    accent_label: str
    language: str | None = None
    case: str = "keep"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PrepareOptions:
    """How to prepare a corpus.

    Attributes:
        case: lower, sentence or keep; None takes the corpus' own default.
        splits: official, speaker or speaker+sentence; None takes the official splits where there are any, else writes one `all.jsonl`.
        seed: of every random choice. jobs: processes that read and write audio. engine: `local`.
        limit: at most this many rows, spread evenly over the corpus.
        dry_run: read lists and audio headers, write nothing.
        strict: refuse when splits overlap or rows had to be dropped.
        in_place: leave the audio where it is.
        min_duration, max_duration: seconds, for train and dev (0.3 and 30 unless given); where no split is known only if given.
        allow_missing: go on although more than 5 % of the rows have no usable audio.
        accent_map: published accent label (case and outer blanks do not matter) to slug.
        dev_share, test_share: of the hours, where this program divides.

    Raises:
        MisuseError: a value outside its range; the message lists the allowed ones.
    """

    case: str | None = None
    splits: str | None = None
    seed: int = 0
    jobs: int = 1
    engine: str = "local"
    limit: int | None = None
    dry_run: bool = False
    strict: bool = False
    in_place: bool = False
    min_duration: Seconds | None = None
    max_duration: Seconds | None = None
    allow_missing: bool = False
    accent_map: Mapping[str, str] = dataclasses.field(default_factory=dict)
    dev_share: float = DEV_SHARE
    test_share: float = TEST_SHARE

    def __post_init__(self) -> None:
        for name, value, allowed in (("case", self.case, CASES), ("splits", self.splits, SPLIT_RULES), ("engine", self.engine, ENGINES)):
            if value is not None and value not in allowed:
                raise MisuseError(f'--{name} "{value}": must be one of {", ".join(allowed)}. Choose one of them.')
        for name, number in (("jobs", self.jobs), ("limit", self.limit)):
            if number is not None and number < 1:
                raise MisuseError(f"--{name} {number}: must be 1 or more. Give a larger number.")
        shortest, longest = self.min_duration or SHORTEST, self.max_duration or LONGEST
        if shortest >= longest:
            raise MisuseError(f"shortest duration {shortest:g} s is not below the longest, {longest:g} s. Correct one of them.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CorpusRow:
    """One line of a corpus as its lists give it, before its audio is opened.

    Attributes:
        id: native id, unique in the corpus; `CORPUS-` is put before it.
        audio: the recording on disk (absolute), or a `Recipe` that makes the waveform.
        text: the transcript as published.
        place: where the row stands, for messages (`train/text, line 3`).
        offset, duration: the segment in seconds; duration None reads to the end.
        speaker: native speaker; `CORPUS:` is put before it. recording: native recording, treated alike.
        accent: slug, if the script knows it; else it is made from `accent_raw` by the user's map or the slug rule.
        gender: as published; understood spellings become male, female or other.
        Everything else: as in `Utterance`.
    """

    id: str
    audio: Path | Recipe
    text: str
    place: str = ""
    offset: Seconds = 0.0
    duration: Seconds | None = None
    speaker: str | None = None
    gender: str | None = None
    age: str | None = None
    accent: str | None = None
    accent_raw: str | None = None
    l1: str | None = None
    region: str | None = None
    language: str | None = None
    recording: str | None = None
    split: str | None = None
    meta: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A row that is not in the manifests: its id, the reason reports count by, the sentence for a person, its official split."""

    id: str
    reason: str
    message: str
    split: str | None = None


class Intake:
    """What is counted while a corpus is read: dropped rows, repairs, orphans and facts. Nothing is lost silently."""

    def __init__(self) -> None:
        self.drops: list[Drop] = []
        self.repairs: Counter[str] = Counter()
        self.facts: dict[str, Any] = {}
        self.notes: list[str] = []

    def drop(self, row_id: str, reason: str, message: str, split: str | None = None) -> None:
        """Leave a row out, with a short fixed reason and a sentence."""
        self.drops.append(Drop(id=row_id, reason=reason, message=message, split=split))

    def repair(self, what: str, count: int = 1) -> None:
        """Count something that was put right."""
        self.repairs[what] += count


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PrepReport:
    """What `prepare` did, as written to `OUT/prep_report.json`.

    Attributes:
        corpus: name. source, out: folders (out None after a dry run).
        rows_read: rows of the lists. kept: rows in the manifests. dropped: rows left out, by reason; rows_read = kept + their sum
            + rows beyond `--limit` (`not_chosen`).
        dropped_examples: up to twenty sentences by reason. test_dropped: every row that left the test set, with its reason.
        repairs: what was put right, by kind. warnings: rows by quality flag. facts: corpus-specific counts, such as orphans.
        hours, speakers (None: the corpus names none); splits and accents: utterances, hours and speakers of each.
        overlap: for each pair of splits what both hold: speakers, recordings, sentences, audio.
        manifests: files written.
    """

    corpus: Corpus
    source: str
    out: str | None
    options: PrepareOptions
    rows_read: int
    not_chosen: int
    kept: int
    dropped: dict[str, int]
    dropped_examples: dict[str, tuple[str, ...]]
    test_dropped: tuple[Drop, ...]
    repairs: dict[str, int]
    warnings: dict[str, int]
    facts: dict[str, Any]
    notes: tuple[str, ...]
    hours: float
    speakers: int | None
    splits: dict[str, dict[str, Any]]
    accents: dict[str, dict[str, Any]]
    overlap: dict[str, dict[str, Any]]
    manifests: tuple[str, ...]
    seconds: Seconds
    provenance: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        row = dataclasses.asdict(self)
        row["options"]["accent_map"] = dict(self.options.accent_map)
        return row


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
    _refuse_foreign(out, corpus)
    handed = sorted(rows, key=lambda row: row.id)
    rows_read = len(handed) + len(intake.drops)
    drafts, not_chosen = _make_drafts(handed, corpus, options, intake)
    sounds = _store_audio(drafts, out, options, intake)
    utterances = [_place_audio(u, row, sounds[u.id], options) for u, row in drafts if u.id in sounds]
    _require_audio(rows_read, len(utterances), corpus, source, options, intake)
    parts = _divide(Manifest(utterances, folder=out, name=corpus.name), options, intake)
    parts = _settle(parts, sounds, options, intake)
    if not parts:
        raise CorpusError(f"{source}: none of {rows_read} rows is left ({_reasons(intake)}). Correct the corpus or the options.")
    report = PrepReport(
        corpus=corpus,
        source=str(source),
        out=None if options.dry_run else str(out),
        options=options,
        rows_read=rows_read,
        not_chosen=not_chosen,
        kept=sum(map(len, parts.values())),
        **_intake_summary(intake),
        **_content_summary(parts, sounds, out),
        manifests=tuple(f"{name}.jsonl" for name in parts),
        seconds=round(time.monotonic() - started, 2),
        provenance=provenance.gather(),
    )
    if not options.dry_run:
        write_json(out / REPORT_FILE, report.to_json())
    if options.strict:
        _refuse_defects(report)
    if not options.dry_run:
        _write(parts, report, audio_roots)
        _remove_unused(drafts, parts, out, options)
    return report


def speaker_key(corpus: Corpus, native: str | None) -> str | None:
    """`corpus:native`, or the value itself where it already names a corpus; blank means unknown."""
    if native is None or not native.strip():
        return None
    return native if ":" in native else f"{corpus.name}:{native.strip()}"


def accent_slug(label: str) -> str:
    """NFKD, ASCII, lower-case, anything else an underscore: `Northern Irish` becomes `northern_irish`; other scripts keep their letters."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    return slug or re.sub(r"\W+", "_", label.casefold()).strip("_")


GENDERS = {
    **dict.fromkeys(("male", "m", "man", "male_masculine"), "male"),
    **dict.fromkeys(("female", "f", "woman", "female_feminine", "famale"), "female"),
    **dict.fromkeys(("other", "o", "transgender", "non-binary", "nonbinary", "intersex"), "other"),
}
UNSTATED = ("", "na", "n/a", "none", "null", "nan", "unknown", "unk", "do_not_wish_to_say")


def gender_of(label: str | None, intake: Intake) -> str | None:
    """male, female, other, or None; a spelling that is not understood is counted as a repair, not guessed."""
    told = (label or "").strip().casefold()
    if told in UNSTATED:
        return None
    if told not in GENDERS:
        intake.repair("gender label not understood, left empty")
    return GENDERS.get(told)


def find_file(folder: Path, names: Sequence[str]) -> Path | None:
    """The first of `names` that lies in `folder`."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def locate_audio(given: str, roots: Sequence[Path]) -> Path:
    """Where a recording named by a corpus lies: under one of `roots`, never outside them. The case of the name does not matter.

    Args:
        given: the path as the corpus writes it, `/` or `\\` between folders; absolute paths must lie under a root.
        roots: tried in order.

    Raises:
        AudioError: reason `outside-corpus` (the path leaves every root) or `missing`.
    """
    path = Path(given.replace("\\", "/"))
    inside = False
    for root in roots:
        base = root.resolve()
        found = _actual_name(base / path).resolve()
        if found.is_relative_to(base):
            inside = True
            if found.is_file():
                return found
    looked = ", ".join(str(root) for root in roots)
    if not inside:
        raise AudioError(
            "outside-corpus", f'"{given}" leaves the folder of the corpus ({looked}). Name the folder with --set audio_root=FOLDER if you trust it.'
        )
    raise AudioError("missing", f'no file "{given}" under {looked}. Correct the path or the list.')


def _actual_name(path: Path) -> Path:
    if path.exists() or not path.parent.is_dir():
        return path
    return path.parent / _names_in(path.parent).get(path.name.casefold(), path.name)


@functools.lru_cache(maxsize=64)
def _names_in(folder: Path) -> dict[str, str]:
    return {child.name.casefold(): child.name for child in folder.iterdir()}


def read_accent_map(path: Path) -> dict[str, str]:
    """Read `{"label as published": "slug"}` from a JSON file.

    Raises:
        MisuseError: not an object of texts.
    """
    table = read_json(path)
    if not isinstance(table, dict) or not all(isinstance(slug, str) for slug in table.values()):
        raise MisuseError(f'{path}: an accent map is one JSON object such as {{"Scottish English": "en_scotland"}}. Correct the file.')
    return {label.strip().casefold(): slug for label, slug in table.items()}


Settings = TypeVar("Settings")


def read_settings(kind: type[Settings], given: Sequence[str], corpus: str) -> Settings:
    """Fill a script's `Settings` record from `NAME=value` words.

    Raises:
        MisuseError: an unknown name (the valid ones are listed) or a value of the wrong type.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for word in given:
        name, sign, value = word.partition("=")
        if name not in fields or not sign:
            valid = ", ".join(f"{field}=…" for field in fields) or "none"
            raise MisuseError(f'--set "{word}": {corpus} has no such setting; there are: {valid}. Correct the name.')
        values[name] = _typed(value, str(fields[name].type), f"--set {name}")
    return kind(**values)


def _typed(value: str, wanted: str, where: str) -> Any:
    for kind in (int, float):
        if kind.__name__ in wanted:
            try:
                return kind(value)
            except ValueError as error:
                raise MisuseError(f'{where}: "{value}" is not {"a whole number" if kind is int else "a number"}. Correct the value.') from error
    if "bool" in wanted:
        if value.lower() not in ("true", "false"):
            raise MisuseError(f'{where}: "{value}" must be true or false. Correct the value.')
        return value.lower() == "true"
    return value


def _refuse_foreign(out: Path, corpus: Corpus) -> None:
    if out.exists() and not out.is_dir():
        raise MisuseError(f"{out}: a file, expected a folder to write into. Choose another name.")
    there = out / CORPUS_FILE
    if there.is_file() and (name := read_json(there).get("name")) != corpus.name:
        raise MisuseError(f'{out}: holds the prepared corpus "{name}", not "{corpus.name}". Choose another folder.')


Draft = tuple[Utterance, CorpusRow]


def _make_drafts(rows: list[CorpusRow], corpus: Corpus, options: PrepareOptions, intake: Intake) -> tuple[list[Draft], int]:
    """Utterances without a duration yet; empty texts and repeated ids are dropped, `--limit` takes its choice."""
    drafts: dict[str, Draft] = {}
    files: dict[str, str] = {}
    for row in rows:
        draft = _draft(row, corpus, options, intake)
        if draft.id in drafts:
            intake.drop(draft.id, "duplicate-id", f'row "{draft.id}" ({row.place}): this id stands twice, the first row is kept.', row.split)
        elif not has_words(draft.text):
            intake.drop(draft.id, "empty-text", f'row "{draft.id}" ({row.place}): no words in its text "{row.text}".', row.split)
        elif (other := files.setdefault(draft.audio_filepath.casefold(), draft.id)) != draft.id:
            raise CorpusError(f'rows "{other}" and "{draft.id}" differ in case only and would share an audio file. Rename one of them.')
        else:
            drafts[draft.id] = (draft, row)
    chosen = list(drafts.values())
    if options.limit is None or options.limit >= len(chosen):
        return chosen, 0
    places = [index * len(chosen) // options.limit for index in range(options.limit)]
    return [chosen[place] for place in places], len(chosen) - options.limit


def _draft(row: CorpusRow, corpus: Corpus, options: PrepareOptions, intake: Intake) -> Utterance:
    language = row.language or corpus.language
    return Utterance(
        id=f"{corpus.name}-{row.id}",
        audio_filepath=f"{AUDIO_FOLDER}/{_file_stem(f'{corpus.name}-{row.id}')}.flac",
        duration=0.0,
        text=clean_text(row.text, case=options.case or corpus.case, language=language),
        text_raw=row.text,
        speaker=speaker_key(corpus, row.speaker),
        gender=gender_of(row.gender, intake),
        age=row.age or None,
        accent=row.accent or _accent_of(row.accent_raw, options),
        accent_raw=row.accent_raw or None,
        l1=row.l1 or None,
        region=row.region or None,
        language=language,
        recording=speaker_key(corpus, row.recording),
        split=row.split,
        meta=row.meta,
    )


def _accent_of(label: str | None, options: PrepareOptions) -> str | None:
    if label is None or not label.strip():
        return None
    return options.accent_map.get(label.strip().casefold()) or accent_slug(label)


def _file_stem(row_id: str) -> str:
    """The id as a file name: safe on every system, and still unique after letters were replaced."""
    safe = re.sub(r"[^\w.-]", "_", row_id, flags=re.ASCII).strip(".")[:120]
    return safe if safe == row_id else f"{safe}-{hashlib.sha256(row_id.encode()).hexdigest()[:8]}"


def _store_audio(drafts: list[Draft], out: Path, options: PrepareOptions, intake: Intake) -> dict[str, Sound]:
    """Read, check and write the audio of every draft; what cannot be used is dropped with its reason."""
    if options.in_place and any(not isinstance(row.audio, Path) for _, row in drafts):
        raise MisuseError("--in-place: this corpus makes its audio, so there is none to leave in place. Run without --in-place.")
    no_target = options.in_place or options.dry_run
    jobs = [
        Job(
            id=u.id,
            audio=row.audio,
            offset=row.offset,
            duration=row.duration,
            target=None if no_target else out / u.audio_filepath,
            header_only=options.dry_run,
        )
        for u, row in drafts
    ]
    sounds: dict[str, Sound] = {}
    for (u, row), sound in zip(drafts, _map(store, jobs, options.jobs), strict=True):
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
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _place_audio(draft: Utterance, row: CorpusRow, sound: Sound, options: PrepareOptions) -> Utterance:
    """The utterance with its measured duration; left in place it points to the source and its segment."""
    if options.in_place and isinstance(row.audio, Path):
        return dataclasses.replace(draft, audio_filepath=str(row.audio.resolve()), offset=row.offset, duration=sound.duration)
    meta = {**draft.meta, "bandwidth": "narrow"} if "narrow-band" in sound.flags else draft.meta
    return dataclasses.replace(draft, duration=sound.duration, meta=meta)


UNUSABLE = ("missing", "empty", "not-audio", "truncated", "not-finite", "silent", "outside-corpus")


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


def _divide(utterances: Manifest, options: PrepareOptions, intake: Intake) -> dict[str, Manifest]:
    """The parts by name: train, dev and test, or all."""
    try:
        if options.splits in ("speaker", "speaker+sentence"):
            divide = split_by_speaker if options.splits == "speaker" else split_by_speaker_and_sentence
            return _take(divide(utterances, seed=options.seed, dev_share=options.dev_share, test_share=options.test_share), utterances, intake)
    except ManifestError as error:
        raise CorpusError(str(error)) from error
    if not any(u.split for u in utterances):
        if options.splits == "official":
            raise CorpusError("this corpus names no official splits. Choose --splits speaker or speaker+sentence, or leave --splits out.")
        return {"all": utterances}
    for u in utterances:
        if u.split is None:
            intake.drop(u.id, "no-split", f'row "{u.id}" names no split, others do.')
    parts = {name: utterances.filter(lambda u, name=name: u.split == name) for name in SPLITS}  # type: ignore[misc]
    return _with_dev(parts, options, intake)


def _with_dev(parts: dict[str, Manifest], options: PrepareOptions, intake: Intake) -> dict[str, Manifest]:
    """Carve a dev set out of train by speaker where the corpus has none."""
    if len(parts["dev"]) or not len(parts["train"]):
        return parts
    try:
        train, dev = carve_dev(parts["train"], share=options.dev_share, seed=options.seed)
    except ManifestError as error:
        intake.notes.append(f"no dev split was carved out of train: {error}")
        return parts
    intake.notes.append(f"dev was carved out of train by speaker: {', '.join(dev.speakers)}")
    dev = Manifest((dataclasses.replace(u, split="dev") for u in dev), folder=dev.folder, name=dev.name)
    return {**parts, "train": train, "dev": dev}


def _take(split: Split, utterances: Manifest, intake: Intake) -> dict[str, Manifest]:
    for reason, ids in split.left_out.items():
        for row_id in ids:
            intake.drop(row_id, reason, f'row "{row_id}" fits no part of the split ({reason}).')
    intake.notes.extend(split.notes)
    return {"train": split.train, "dev": split.dev, "test": split.test}


def _settle(parts: dict[str, Manifest], sounds: dict[str, Sound], options: PrepareOptions, intake: Intake) -> dict[str, Manifest]:
    """Durations outside the limits leave train and dev; audio that stands in an earlier part leaves the later one. Test is untouched."""
    settled: dict[str, Manifest] = {}
    held: dict[str, str] = {}
    for name in ("test", "dev", "train", "all"):
        if name not in parts:
            continue
        rows = []
        for u in parts[name]:
            digest = sounds[u.id].digest
            reason = _length_reason(u, name, options)
            if name != "test" and reason is not None:
                intake.drop(u.id, *reason, split=name)
            elif name != "test" and digest in held and held[digest].split(" ", 1)[0] != name:
                part, other = held[digest].split(" ", 1)
                intake.drop(u.id, "repeated-audio", f'row "{u.id}" ({name}) holds the same samples as "{other}" ({part}).', name)
            else:
                rows.append(u)
                if digest:
                    held.setdefault(digest, f"{name} {u.id}")
        if rows:
            settled[name] = Manifest(rows, folder=parts[name].folder, name=name)
    return {name: settled[name] for name in (*SPLITS, "all") if name in settled}


def _length_reason(u: Utterance, part: str, options: PrepareOptions) -> tuple[str, str] | None:
    """Where no split is known yet a row may become a test row, so only limits the user gave apply."""
    shortest = options.min_duration if options.min_duration is not None else 0.0 if part == "all" else SHORTEST
    longest = options.max_duration if options.max_duration is not None else LONGEST_ROW if part == "all" else LONGEST
    if u.duration < shortest:
        return "too-short", f'row "{u.id}" ({part}): {u.duration:.2f} s, at least {shortest:g} s. Change it with --min-duration.'
    if u.duration > longest:
        return "too-long", f'row "{u.id}" ({part}): {u.duration:.2f} s, at most {longest:g} s. Cut it into segments, or change --max-duration.'
    return None


def _reasons(intake: Intake) -> str:
    counts = Counter(drop.reason for drop in intake.drops)
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "nothing was read"


def _intake_summary(intake: Intake) -> dict[str, Any]:
    examples: dict[str, list[str]] = defaultdict(list)
    for drop in intake.drops:
        if len(examples[drop.reason]) < EXAMPLES:
            examples[drop.reason].append(drop.message)
    return {
        "dropped": dict(sorted(Counter(drop.reason for drop in intake.drops).items())),
        "dropped_examples": {reason: tuple(messages) for reason, messages in sorted(examples.items())},
        "test_dropped": tuple(drop for drop in intake.drops if drop.split == "test"),
        "repairs": dict(sorted(intake.repairs.items())),
        "facts": intake.facts,
        "notes": tuple(intake.notes),
    }


def _content_summary(parts: dict[str, Manifest], sounds: dict[str, Sound], out: Path) -> dict[str, Any]:
    every = Manifest((u for part in parts.values() for u in part), folder=out, name="all")
    accents: dict[str, dict[str, Any]] = {}
    for accent in sorted({u.accent or "unknown" for u in every}):
        members = every.filter(lambda u, accent=accent: (u.accent or "unknown") == accent)  # type: ignore[misc]
        by_part = {name: sum((u.accent or "unknown") == accent for u in part) for name, part in parts.items()}
        accents[accent] = {**_content(members), "utterances_by_split": by_part}
    return {
        "warnings": dict(sorted(Counter(flag for u in every for flag in sounds[u.id].flags).items())),
        "hours": round(every.hours, 4),
        "speakers": len(every.speakers) or None,
        "splits": {name: _content(part) for name, part in parts.items()},
        "accents": accents,
        "overlap": _overlaps(parts, sounds),
    }


def _content(manifest: Manifest) -> dict[str, Any]:
    return {
        "utterances": len(manifest),
        "hours": round(manifest.hours, 4),
        "speakers": len(manifest.speakers) or None,
        "children": sum(u.meta.get("child") is True for u in manifest),
    }


def _overlaps(parts: dict[str, Manifest], sounds: dict[str, Sound]) -> dict[str, dict[str, Any]]:
    """What every pair of parts has in common, the later part first in the pair's name."""
    pairs = [(first, second) for first, second in (("train", "dev"), ("train", "test"), ("dev", "test")) if first in parts and second in parts]
    found = {}
    for first, second in pairs:
        shared = find_overlap(parts[first], parts[second])
        back = find_overlap(parts[second], parts[first])
        held = {sounds[u.id].digest for u in parts[second]} - {""}
        found[f"{first}-{second}"] = {
            "speakers": len(shared.speakers) if parts[first].speakers and parts[second].speakers else None,
            "recordings": len(shared.recordings),
            "sentences": len(shared.sentences),
            "audio": sum(sounds[u.id].digest in held for u in parts[first]),
            f"{first}_rows_with_shared_sentence": len(shared.ids_by_cause["sentence"]),
            f"{second}_rows_with_shared_sentence": len(back.ids_by_cause["sentence"]),
        }
    return found


def _refuse_defects(report: PrepReport) -> None:
    """`--strict`: nothing dropped, nothing shared."""
    found = [f"{count} rows dropped as {reason}" for reason, count in report.dropped.items()]
    for pair, counts in report.overlap.items():
        found += [
            f"{pair.replace('-', ' and ')} share {counts[what]} {what}" for what in ("speakers", "recordings", "sentences", "audio") if counts[what]
        ]
    if found:
        first = next((messages[0] for messages in report.dropped_examples.values()), "")
        where = f"see {Path(report.out) / REPORT_FILE}" if report.out else "run without --dry-run for the full report"
        raise CorpusError(
            f"{report.source}: --strict refuses this corpus: {'; '.join(found)}. {first + ' ' if first else ''}No manifest was written; {where}. "
            "Correct the corpus, choose --splits speaker+sentence, or run without --strict."
        )


def _write(parts: dict[str, Manifest], report: PrepReport, audio_roots: Sequence[Path]) -> None:
    out = Path(str(report.out))
    about = {**dataclasses.asdict(report.corpus), "source": report.source, "manifests": list(report.manifests)}
    if report.options.in_place:
        about["audio_roots"] = sorted({str(Path(root).resolve()) for root in audio_roots})
    write_json(out / CORPUS_FILE, about)
    for name in (*SPLITS, "all"):
        if name in parts:
            parts[name].write(out / f"{name}.jsonl")
        else:
            (out / f"{name}.jsonl").unlink(missing_ok=True)  # of an earlier run with other splits


def _remove_unused(drafts: list[Draft], parts: dict[str, Manifest], out: Path, options: PrepareOptions) -> None:
    """Audio that was written before its row was dropped."""
    if options.in_place:
        return
    used = {u.id for part in parts.values() for u in part}
    for draft, _ in drafts:
        if draft.id not in used:
            (out / draft.audio_filepath).unlink(missing_ok=True)
