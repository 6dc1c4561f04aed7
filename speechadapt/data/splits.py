"""Splits without leaks: who speaks, what was recorded together and which sentence was read never stand on both sides."""

import bisect
import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from speechadapt.data.clusters import Cluster, find_clusters, hours_of, ids_of, pick, shuffle, stratify
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import SPLITS, Utterance
from speechadapt.errors import ManifestError
from speechadapt.text.sentence import sentence_key
from speechadapt.units import Seconds

DEV_SHARE = 0.1
TEST_SHARE = 0.1
SHORTEST: Seconds = 0.3
LONGEST: Seconds = 30.0
CAUSES = ("speaker", "recording", "sentence", "audio")
SHARED_AS = {"speaker": "a speaker", "recording": "a recording", "sentence": "a sentence", "audio": "all their samples", "id": "an id"}
"""How a message says it."""

PLACES = ("train", "test")
"""Where all speakers of an accent may go that has too few of them to be divided."""

FEWEST = 3
"""Separate speakers of an accent that are needed for one in each of train, dev and test."""

key_of_text = functools.lru_cache(maxsize=1 << 16)(sentence_key)
"""`sentence_key`, remembered: every division asks for the keys of the same texts again."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """What two manifests share, and who carries it.

    Attributes:
        speakers, recordings, sentences (keys), audio (digests): what stands in both, sorted.
        ids_by_cause: ids of the first manifest that carry any of it, by cause (speaker, recording, sentence, audio).
        pairs: by cause, the first such id and an id of the second manifest that carries the same.
    """

    speakers: tuple[str, ...]
    recordings: tuple[str, ...]
    sentences: tuple[str, ...]
    audio: tuple[str, ...]
    ids_by_cause: dict[str, tuple[str, ...]]
    pairs: dict[str, tuple[str, str]]

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the first manifest that share anything with the second."""
        return frozenset(key for ids in self.ids_by_cause.values() for key in ids)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LeakReport:
    """What `drop_leaks` removed and why.

    Attributes:
        rows: rows before. kept: rows after.
        against: names of the protected manifests.
        dropped: ids by cause (speaker, recording, sentence, audio); a row may stand under several.
        pairs: by cause, the first dropped id and the id of a protected row that it shares something with.
    """

    rows: int
    kept: int
    against: tuple[str, ...]
    dropped: dict[str, tuple[str, ...]]
    pairs: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)

    @property
    def total(self) -> int:
        """Rows removed, each counted once."""
        return self.rows - self.kept

    @property
    def example(self) -> str:
        """The first dropped row and a protected one that it shares something with, in words; empty where nothing was dropped."""
        return next((f'"{ours}" and "{theirs}" share {SHARED_AS[cause]}' for cause, (ours, theirs) in self.pairs.items()), "")

    def __str__(self) -> str:
        against = ", ".join(self.against) or "nothing"
        if not self.total:
            return f"0 of {self.rows} rows share a speaker, recording or sentence with {against}"
        causes = ", ".join(f"{len(self.dropped[cause])} by {cause}" for cause in CAUSES if self.dropped.get(cause))
        return f"{self.total} of {self.rows} rows dropped because they share something with {against}: {causes}"

    def to_json(self) -> dict[str, Any]:
        """Counts, the ids by cause, and the first pair of ids of each cause."""
        return {
            "rows": self.rows,
            "kept": self.kept,
            "dropped": self.total,
            "against": list(self.against),
            "ids_by_cause": {cause: list(ids) for cause, ids in self.dropped.items()},
            "pairs": {cause: list(pair) for cause, pair in self.pairs.items()},
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A division of one manifest.

    Attributes:
        train, dev, test: the parts, each in the order of the original; dev and test may be empty.
        left_out: ids in no part, by reason (`no-speaker`, `sentence-in-test`, `sentence-in-dev`, `other-sentence-part`, `repeated-audio`,
            `too-short`, `too-long`; of folds also `speaker-in-test`, `no-accent` and `mixed-accent`; of lists `not-listed`).
        notes: what a reader should know, such as accents with too few speakers to be tested.
    """

    train: Manifest
    dev: Manifest
    test: Manifest
    left_out: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]

    @property
    def parts(self) -> dict[str, Manifest]:
        """Train, dev and test by name, without those that are empty."""
        return {name: part for name in SPLITS if len(part := getattr(self, name))}


def find_overlap(first: Manifest, second: Manifest) -> Overlap:
    """Speakers, recordings, sentences and audio that stand in both, with the ids of `first` that carry them.

    An unknown speaker or recording matches nothing; two manifests that point to the same audio file share a recording. Audio is compared by the
    digests that `prepare` writes, where both manifests have them.
    """
    return _overlap(first, [second])


def drop_leaks(train: Manifest, protected: Sequence[Manifest], *, same_speakers: Sequence[Manifest] = ()) -> tuple[Manifest, LeakReport]:
    """Remove from training (or dev) data what shares a speaker, recording, sentence or samples with a test or guard set.

    The protected manifests are never touched. What counts as shared is said at `find_overlap`.

    Args:
        same_speakers: those of `protected` whose speakers are trained on on purpose, as for a personal adapter; everything else of them is protected.

    Returns:
        The rows that may be trained on, in order, and what was removed by cause.
    """
    overlap = _overlap(train, protected, same_speakers)
    leaked = overlap.ids
    kept = train.filter(lambda u: u.id not in leaked)
    report = LeakReport(
        rows=len(train),
        kept=len(kept),
        against=tuple(manifest.name for manifest in protected),
        dropped=overlap.ids_by_cause,
        pairs=overlap.pairs,
    )
    return kept, report


def carve_dev(train: Manifest, *, share: float = DEV_SHARE, seed: int = 0) -> tuple[Manifest, Manifest]:
    """Take whole speakers (with everything recorded together with them) out of `train` to make a dev set.

    Args:
        train: rows of which at least three speakers are known; rows without a speaker stay in training.
        share: of the hours of each accent, above 0 and below 1. At least one speaker is taken.
        seed: same seed, same speakers.

    Returns:
        (train, dev), both in the original order.

    Raises:
        ManifestError: fewer than three separate groups of speakers.
    """
    known = [cluster for cluster in find_clusters(train) if cluster.known]
    if len(known) < FEWEST:
        raise ManifestError(
            f'manifest "{train.name}": {len(known)} separate speakers, a dev set by speaker needs at least {FEWEST}. Give a dev manifest of your own.'
        )
    dev: set[str] = set()
    for stratum in stratify(known, seed):
        if len(stratum) >= FEWEST:
            dev |= ids_of(pick(stratum, share, at_least=1, at_most=len(stratum) - 1)[0])
    if not dev:  # every accent has one or two speakers: then accents cannot all be represented
        dev = ids_of(pick(shuffle(known, seed), share, at_least=1, at_most=len(known) - 1)[0])
    return train.filter(lambda u: u.id not in dev), train.filter(lambda u: u.id in dev)


def split_by_speaker(manifest: Manifest, *, seed: int = 0, dev_share: float = DEV_SHARE, test_share: float = TEST_SHARE, few: str = "train") -> Split:
    """Divide so that no speaker and no recording stands in two parts.

    Seeded, stratified by accent, genders mixed as far as they are known, greedy by hours: in a seeded order a speaker goes to the
    test set while that brings its hours closer to their share, then to dev, the others to train. An accent with five speakers or more
    has at least two of them in test; with three or four, one; every accent that is tested keeps a speaker in dev and one in train. Accents with
    fewer than three speakers cannot be divided and are named in the notes.

    Args:
        few: where the speakers of such accents go: train, or test, whose scores then say how far an adapter generalizes. Rows without an accent
            label stay in train.

    Raises:
        ManifestError: no row names its speaker, or a share is not between 0 and 1.
    """
    check_shares(dev_share, test_share)
    if few not in PLACES:
        raise ManifestError(f'speakers of accents with few of them: "{few}", must be one of {", ".join(PLACES)}. Choose one of them.')
    known = [cluster for cluster in find_clusters(manifest) if cluster.known]
    if not known:
        raise ManifestError(
            f'manifest "{manifest.name}": none of its {len(manifest)} rows names a speaker, so no speaker-disjoint split can be made. '
            "Name the column or file that holds the speakers, or leave the rows undivided."
        )
    place: dict[str, str] = {}
    notes = []
    for stratum in stratify(known, seed):
        if len(stratum) < FEWEST:
            there = few if stratum[0].accent else "train"
            place |= dict.fromkeys(ids_of(stratum), there)
            notes.append(_note_few(stratum, there))
            continue
        test, rest = pick(stratum, test_share, at_least=1 if len(stratum) < 5 else 2, at_most=len(stratum) - 2)
        dev, train = pick(rest, dev_share * hours_of(stratum) / max(hours_of(rest), 1e-9), at_least=1, at_most=len(rest) - 1)
        for name, clusters in (("test", test), ("dev", dev), ("train", train)):
            place |= dict.fromkeys(ids_of(clusters), name)
    unknown = tuple(u.id for u in manifest if u.id not in place)
    return make_split(manifest, place, left_out={"no-speaker": unknown} if unknown else {}, notes=tuple(notes))


def _note_few(stratum: list[Cluster], place: str) -> str:
    label = f"accent {stratum[0].accent}" if stratum[0].accent else "rows without an accent label"
    told = f"{label}: {len(stratum)} separate speakers, at least {FEWEST} are needed to test it"
    return f"{told}; all stay in train" if place == "train" else f"{told} and train on it; all are in test, unheard in training"


def split_by_speaker_and_sentence(
    manifest: Manifest, *, seed: int = 0, dev_share: float = DEV_SHARE, test_share: float = TEST_SHARE, few: str = "train"
) -> Split:
    """Divide so that neither a speaker nor a recording nor a sentence stands in two parts: `split_by_speaker`, then `separate_sentences`.

    Raises:
        ManifestError: as `split_by_speaker`.
    """
    split = split_by_speaker(manifest, seed=seed, dev_share=dev_share, test_share=test_share, few=few)
    return separate_sentences(split, seed=seed, dev_share=dev_share, test_share=test_share)


def separate_sentences(split: Split, *, seed: int = 0, dev_share: float = DEV_SHARE, test_share: float = TEST_SHARE) -> Split:
    """Take the rows out of a division that keep a sentence in two of its parts.

    Train rows whose sentence stands in dev or test are left out, and dev rows whose sentence stands in test; the test set stays whole.
    Where everyone read the same script that would leave less than half of the training rows; then the sentences are divided first, by a
    seeded hash of their key (test and dev get at least one each where there are three), and only rows whose speaker and sentence fall to the
    same part are kept.
    """
    test = _sentences(split.test)
    dev = split.dev.filter(lambda u: key_of_text(u.text) not in test)
    held = test | _sentences(dev)
    train = split.train.filter(lambda u: key_of_text(u.text) not in held)
    if len(train) < len(split.train) / 2:
        return _partition_sentences(split, seed, dev_share, test_share)
    left_out = {
        **split.left_out,
        "sentence-in-test": tuple(u.id for part in (split.train, split.dev) for u in part if key_of_text(u.text) in test),
        "sentence-in-dev": tuple(u.id for u in split.train if key_of_text(u.text) in held - test),
    }
    return dataclasses.replace(split, train=train, dev=dev, left_out={reason: ids for reason, ids in left_out.items() if ids})


def _partition_sentences(split: Split, seed: int, dev_share: float, test_share: float) -> Split:
    kept, lost = divide_sentences({name: getattr(split, name) for name in SPLITS}, seed=seed, dev_share=dev_share, test_share=test_share)
    notes = [f"most sentences are read by everyone, so the sentences were divided too; {len(lost)} rows fit no part and were left out"]
    untested = sorted({u.accent for u in split.test if u.accent is not None} - {u.accent for u in kept["test"]})
    notes += [f"accent {accent}: no row of it is left in test, as its speakers there read none of the sentences of test" for accent in untested]
    return dataclasses.replace(split, **kept, left_out={**split.left_out, "other-sentence-part": lost}, notes=(*split.notes, *notes))


def divide_sentences(
    parts: Mapping[str, Manifest], *, seed: int = 0, dev_share: float = DEV_SHARE, test_share: float = TEST_SHARE
) -> tuple[dict[str, Manifest], tuple[str, ...]]:
    """Give every sentence to one of train, dev and test, and keep of each part the rows whose sentence falls to it.

    By a seeded hash of the sentences' keys; test and dev get at least one each where there are three. A row without words shares its sentence with
    nobody and stays.

    Returns:
        The parts, and the ids of the rows that fit none.
    """
    place = _place_sentences({key_of_text(u.text) for part in parts.values() for u in part} - {""}, seed, dev_share, test_share)

    def fits(name: str) -> Callable[[Utterance], bool]:
        return lambda u: place.get(key_of_text(u.text), name) == name

    kept = {name: part.filter(fits(name)) for name, part in parts.items()}
    return kept, tuple(u.id for name, part in parts.items() for u in part if not fits(name)(u))


def _place_sentences(keys: set[str], seed: int, dev_share: float, test_share: float) -> dict[str, str]:
    """The part of every sentence, by a hash of its own, so that one sentence more does not move the others."""

    def rank(key: str) -> float:
        return int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:8], "big") / 2**64

    ranked = sorted((rank(key), key) for key in keys)
    ranks = [place for place, _ in ranked]
    first = min(max(bisect.bisect_left(ranks, test_share), 1), max(len(ranked) - 1, 0))
    second = min(max(bisect.bisect_left(ranks, test_share + dev_share), first + 1), max(len(ranked) - 1, first))
    return {key: "test" if number < first else "dev" if number < second else "train" for number, (_, key) in enumerate(ranked)}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A row whose samples stand in an earlier part already: its id and part, and those of the row that stays."""

    id: str
    part: str
    kept_id: str
    kept_part: str


def drop_repeated_audio(parts: Mapping[str, Manifest]) -> tuple[dict[str, Manifest], list[Repeat]]:
    """Remove from train what holds the same samples as a row of dev or test, and from dev what holds those of a row of test.

    Within a part nothing is removed, and rows without a digest match nothing.

    Returns:
        The parts in the given order, and what was removed, dev first.
    """
    held: dict[str, tuple[str, str]] = {}
    kept: dict[str, Manifest] = {}
    repeats: list[Repeat] = []
    order = sorted(parts, key=lambda name: ("test", "dev", "train").index(name) if name in SPLITS else len(SPLITS))
    for name in order:
        rows = []
        for u in parts[name]:
            there = held.get(u.audio_sha1) if u.audio_sha1 else None
            if there is not None and there[0] != name:
                repeats.append(Repeat(id=u.id, part=name, kept_id=there[1], kept_part=there[0]))
                continue
            rows.append(u)
            if u.audio_sha1 and name != order[-1]:  # nothing comes after the last, which is most of a corpus
                held.setdefault(u.audio_sha1, (name, u.id))
        kept[name] = Manifest(rows, folder=parts[name].folder, name=parts[name].name)
    return {name: kept[name] for name in parts}, repeats


def separate_audio(split: Split) -> Split:
    """Take the rows out of a division whose samples stand in another part too, in favor of test, then of dev."""
    parts, repeats = drop_repeated_audio({name: getattr(split, name) for name in SPLITS})
    if not repeats:
        return split
    left_out = {**split.left_out, "repeated-audio": tuple(repeat.id for repeat in repeats)}
    first = repeats[0]
    note = f'{len(repeats)} rows hold samples of another part and were left out: "{first.id}" ({first.part}) those of "{first.kept_id}"'
    return dataclasses.replace(split, **parts, left_out=left_out, notes=(*split.notes, f"{note} ({first.kept_part})"))


def limit_durations(split: Split, *, shortest: Seconds = SHORTEST, longest: Seconds = LONGEST) -> Split:
    """Take rows out of train and dev that are shorter or longer than what a model learns from; the test set stays whole."""
    rows = [u for part in (split.train, split.dev) for u in part]
    gone = {
        "too-short": tuple(u.id for u in rows if u.duration < shortest),
        "too-long": tuple(u.id for u in rows if u.duration > longest),
    }
    train, dev = (part.filter(lambda u: shortest <= u.duration <= longest) for part in (split.train, split.dev))
    return dataclasses.replace(split, train=train, dev=dev, left_out={**split.left_out, **{reason: ids for reason, ids in gone.items() if ids}})


def make_split(manifest: Manifest, place: Mapping[str, str], *, left_out: dict[str, tuple[str, ...]], notes: tuple[str, ...] = ()) -> Split:
    """A division from the part of every id; rows take the part's name as their `split`, ids without a place stand in no part."""

    def part(name: str) -> Manifest:
        return Manifest((dataclasses.replace(u, split=name) for u in manifest if place.get(u.id) == name), folder=manifest.folder, name=name)

    return Split(train=part("train"), dev=part("dev"), test=part("test"), left_out=left_out, notes=notes)


def check_shares(dev_share: float, test_share: float) -> None:
    """Raise a `ManifestError` unless both shares are above 0 and together below 1."""
    if not (dev_share > 0 and test_share > 0 and dev_share + test_share < 1):
        raise ManifestError(f"dev share {dev_share:g} and test share {test_share:g} must both be above 0 and together below 1. Correct the shares.")


def _sentences(manifest: Manifest) -> set[str]:
    return {key for u in manifest if (key := key_of_text(u.text))}


def _keys(manifest: Manifest) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """For every row its id and what must not be shared, as (cause, key); two manifests that name one file share that recording."""
    folder = str(manifest.folder.resolve())  # once: a call for every row would ask the disk
    for u in manifest:
        keys = [("recording", f"file {os.path.normpath(PurePath(folder, u.audio_filepath))}")]
        if u.speaker is not None:
            keys.append(("speaker", u.speaker))
        if u.recording is not None:
            keys.append(("recording", u.recording))
        if key := key_of_text(u.text):
            keys.append(("sentence", key))
        if u.audio_sha1:
            keys.append(("audio", u.audio_sha1))
        yield u.id, keys


def _overlap(first: Manifest, protected: Iterable[Manifest], same_speakers: Sequence[Manifest] = ()) -> Overlap:
    held: dict[tuple[str, str], str] = {}
    for manifest in protected:
        allowed = "speaker" if any(manifest is one for one in same_speakers) else None
        for theirs, keys in _keys(manifest):
            for found in keys:
                if found[0] == allowed:
                    continue
                held.setdefault(found, theirs)
    shared: dict[str, set[str]] = {cause: set() for cause in CAUSES}
    ids: dict[str, dict[str, None]] = {cause: {} for cause in CAUSES}
    pairs: dict[str, tuple[str, str]] = {}
    for ours, keys in _keys(first):
        for cause, key in keys:
            if (other := held.get((cause, key))) is not None:
                shared[cause].add(key)
                ids[cause][ours] = None
                pairs.setdefault(cause, (ours, other))
    return Overlap(
        speakers=tuple(sorted(shared["speaker"])),
        recordings=tuple(sorted(shared["recording"])),
        sentences=tuple(sorted(shared["sentence"])),
        audio=tuple(sorted(shared["audio"])),
        ids_by_cause={cause: tuple(ids[cause]) for cause in CAUSES},
        pairs={cause: pairs[cause] for cause in CAUSES if cause in pairs},
    )
