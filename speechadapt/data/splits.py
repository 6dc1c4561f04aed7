"""Splits without leaks: who speaks, what was recorded together and which sentence was read never stand on both sides."""

import dataclasses
import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError
from speechadapt.text.sentence import sentence_key

DEV_SHARE = 0.1
TEST_SHARE = 0.1
CAUSES = ("speaker", "recording", "sentence")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """What two manifests share: speakers, recordings and sentence keys, and the ids of the first that carry them."""

    speakers: tuple[str, ...]
    recordings: tuple[str, ...]
    sentences: tuple[str, ...]
    ids_by_cause: dict[str, tuple[str, ...]]

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
        dropped: ids by cause (speaker, recording, sentence); a row may stand under several.
    """

    rows: int
    kept: int
    against: tuple[str, ...]
    dropped: dict[str, tuple[str, ...]]

    @property
    def total(self) -> int:
        """Rows removed, each counted once."""
        return self.rows - self.kept

    def __str__(self) -> str:
        against = ", ".join(self.against) or "nothing"
        if not self.total:
            return f"0 of {self.rows} rows share a speaker, recording or sentence with {against}"
        causes = ", ".join(f"{len(self.dropped[cause])} by {cause}" for cause in CAUSES if self.dropped[cause])
        return f"{self.total} of {self.rows} rows dropped because they share something with {against}: {causes}"

    def to_json(self) -> dict[str, Any]:
        """Counts, and the ids by cause."""
        return {
            "rows": self.rows,
            "kept": self.kept,
            "dropped": self.total,
            "against": list(self.against),
            "ids_by_cause": {cause: list(ids) for cause, ids in self.dropped.items()},
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A division of one manifest.

    Attributes:
        train, dev, test: the parts, each in the order of the original; dev and test may be empty.
        left_out: ids in no part, by reason (`no-speaker`, `sentence-in-test`, `sentence-in-dev`, `other-sentence-part`).
        notes: what a reader should know, such as accents with too few speakers to be tested.
    """

    train: Manifest
    dev: Manifest
    test: Manifest
    left_out: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]


def find_overlap(first: Manifest, second: Manifest) -> Overlap:
    """Speakers, recordings and sentences that stand in both, with the ids of `first` that carry them."""
    return _overlap(first, [_keys(u, second) for u in second])


def drop_leaks(train: Manifest, protected: Sequence[Manifest]) -> tuple[Manifest, LeakReport]:
    """Remove from training (or dev) data what shares a speaker, recording or sentence with a test or guard set.

    The protected manifests are never touched. An unknown speaker or recording matches nothing; two manifests that point to the same
    audio file share a recording.

    Returns:
        The rows that may be trained on, in order, and what was removed by cause.
    """
    overlap = _overlap(train, [_keys(u, manifest) for manifest in protected for u in manifest])
    kept = train.filter(lambda u: u.id not in overlap.ids)
    report = LeakReport(rows=len(train), kept=len(kept), against=tuple(manifest.name for manifest in protected), dropped=overlap.ids_by_cause)
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
    clusters = _clusters(train)
    known = [cluster for cluster in clusters if cluster.known]
    if len(known) < 3:
        raise ManifestError(
            f'manifest "{train.name}": {len(known)} separate speakers, a dev set by speaker needs at least 3. Give a dev manifest of your own.'
        )
    dev: set[str] = set()
    for stratum in _strata(known, seed):
        if len(stratum) >= 3:
            dev |= _ids(_pick(stratum, share, at_least=1))
    if not dev:  # every accent has one or two speakers: then accents cannot all be represented
        dev = _ids(_pick(_shuffled(known, seed), share, at_least=1))
    return train.filter(lambda u: u.id not in dev), train.filter(lambda u: u.id in dev)


def split_by_speaker(manifest: Manifest, *, seed: int = 0, dev_share: float = DEV_SHARE, test_share: float = TEST_SHARE) -> Split:
    """Divide so that no speaker and no recording stands in two parts.

    Seeded, stratified by accent, genders mixed as far as they are known, greedy by hours: in a seeded order a speaker goes to the
    test set while that brings its hours closer to their share, then to dev, the others to train. An accent with five speakers or more
    has at least two of them in test; with three or four, one; with fewer it stays in train and is named in the notes.

    Raises:
        ManifestError: no row names its speaker, or a share is not between 0 and 1.
    """
    _check_shares(dev_share, test_share)
    clusters = _clusters(manifest)
    known = [cluster for cluster in clusters if cluster.known]
    if not known:
        raise ManifestError(
            f'manifest "{manifest.name}": none of its {len(manifest)} rows names a speaker, so no speaker-disjoint split can be made. '
            "Name the column or file that holds the speakers, or leave the rows undivided."
        )
    place: dict[str, str] = {}
    notes = []
    for stratum in _strata(known, seed):
        if len(stratum) < 3:
            label = stratum[0].accent or "without an accent label"
            notes.append(f"accent {label}: {len(stratum)} separate speakers, at least 3 are needed to test it; all stay in train")
        test = _pick(stratum, test_share, at_least=0 if len(stratum) < 3 else 1 if len(stratum) < 5 else 2)
        rest = [cluster for cluster in stratum if cluster not in test]
        dev = _pick(rest, dev_share * _hours(stratum) / max(_hours(rest), 1e-9), at_least=1) if len(stratum) >= 3 else []
        place |= dict.fromkeys(_ids(test), "test") | dict.fromkeys(_ids(dev), "dev")
        place |= dict.fromkeys(_ids([cluster for cluster in rest if cluster not in dev]), "train")
    unknown = tuple(u.id for u in manifest if u.id not in place)
    return _make_split(manifest, place, {"no-speaker": unknown} if unknown else {}, tuple(notes))


def split_by_speaker_and_sentence(manifest: Manifest, *, seed: int = 0, dev_share: float = DEV_SHARE, test_share: float = TEST_SHARE) -> Split:
    """Divide so that neither a speaker nor a recording nor a sentence stands in two parts.

    After the split by speaker, train rows whose sentence stands in dev or test are left out, and dev rows whose sentence stands in test.
    Where everyone read the same script that would leave less than half of the training rows; then the sentences are divided first, by a
    seeded hash of their key, and only rows whose speaker and sentence fall to the same part are kept.

    Raises:
        ManifestError: as `split_by_speaker`.
    """
    split = split_by_speaker(manifest, seed=seed, dev_share=dev_share, test_share=test_share)
    test = _sentences(split.test)
    dev = split.dev.filter(lambda u: sentence_key(u.text) not in test)
    held = test | _sentences(dev)
    train = split.train.filter(lambda u: sentence_key(u.text) not in held)
    if len(train) < len(split.train) / 2:
        return _partition_sentences(split, seed, dev_share, test_share)
    left_out = {
        **split.left_out,
        "sentence-in-test": tuple(u.id for part in (split.train, split.dev) for u in part if sentence_key(u.text) in test),
        "sentence-in-dev": tuple(u.id for u in split.train if sentence_key(u.text) in held - test),
    }
    return dataclasses.replace(split, train=train, dev=dev, left_out={reason: ids for reason, ids in left_out.items() if ids})


def _partition_sentences(split: Split, seed: int, dev_share: float, test_share: float) -> Split:
    def part_of(u: Utterance) -> str:
        digest = hashlib.sha256(f"{seed}:{sentence_key(u.text)}".encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        return "test" if share < test_share else "dev" if share < test_share + dev_share else "train"

    parts = {"train": split.train, "dev": split.dev, "test": split.test}
    kept = {name: part.filter(lambda u, name=name: part_of(u) == name) for name, part in parts.items()}  # type: ignore[misc]
    lost = tuple(u.id for name, part in parts.items() for u in part if part_of(u) != name)
    note = f"most sentences are read by everyone, so the sentences were divided too; {len(lost)} rows fit no part and were left out"
    return dataclasses.replace(split, **kept, left_out={**split.left_out, "other-sentence-part": lost}, notes=(*split.notes, note))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Cluster:
    """Rows that must stay together because they share speakers or recordings."""

    name: str
    ids: tuple[str, ...]
    hours: float
    accent: str | None
    gender: str | None
    known: bool


def _clusters(manifest: Manifest) -> list[_Cluster]:
    """Connected components of the rows over shared speakers and recordings, sorted by name."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    def first_key(u: Utterance) -> str:
        return f"speaker {u.speaker}" if u.speaker is not None else f"recording {u.recording}" if u.recording is not None else f"row {u.id}"

    for u in manifest:
        own = root(first_key(u))
        if u.recording is not None:
            parent[root(f"recording {u.recording}")] = own
    rows: dict[str, list[Utterance]] = defaultdict(list)
    for u in manifest:
        rows[root(first_key(u))].append(u)
    return sorted((_cluster(members) for members in rows.values()), key=lambda cluster: cluster.name)


def _cluster(rows: list[Utterance]) -> _Cluster:
    speakers = [u.speaker for u in rows if u.speaker is not None]
    return _Cluster(
        name=min(speakers) if speakers else min(u.id for u in rows),
        ids=tuple(u.id for u in rows),
        hours=sum(u.duration for u in rows) / 3600,
        accent=_most_common(u.accent for u in rows),
        gender=_most_common(u.gender for u in rows),
        known=bool(speakers),
    )


def _most_common(values: Iterable[str | None]) -> str | None:
    counts = Counter(value for value in values if value is not None)
    return min(counts, key=lambda value: (-counts[value], value)) if counts else None


def _strata(clusters: list[_Cluster], seed: int) -> list[list[_Cluster]]:
    """Clusters by accent, each in a seeded order in which genders take turns."""
    by_accent: dict[str, list[_Cluster]] = defaultdict(list)
    for cluster in clusters:
        by_accent[cluster.accent or ""].append(cluster)
    return [_shuffled(by_accent[accent], seed) for accent in sorted(by_accent)]


def _shuffled(clusters: list[_Cluster], seed: int) -> list[_Cluster]:
    def rank(cluster: _Cluster) -> str:  # a hash of its own for each speaker: adding one does not move the others
        return hashlib.sha256(f"{seed}:{cluster.name}".encode()).hexdigest()

    turn: Counter[str | None] = Counter()
    ordered = []
    for cluster in sorted(clusters, key=rank):
        ordered.append((turn[cluster.gender], rank(cluster), cluster))
        turn[cluster.gender] += 1
    return [cluster for _, _, cluster in sorted(ordered, key=lambda item: item[:2])]


def _pick(clusters: Sequence[_Cluster], share: float, *, at_least: int) -> list[_Cluster]:
    """Take clusters in order while each brings the hours closer to `share`, then the smallest ones up to `at_least`."""
    if at_least == 0:
        return []
    wanted, hours = share * _hours(clusters), 0.0
    picked: list[_Cluster] = []
    for cluster in clusters:
        if abs(hours + cluster.hours - wanted) < abs(hours - wanted) and len(picked) < len(clusters) - 1:
            picked.append(cluster)
            hours += cluster.hours
    smallest = sorted((cluster for cluster in clusters if cluster not in picked), key=lambda cluster: cluster.hours)
    return picked + smallest[: max(0, at_least - len(picked))]


def _make_split(manifest: Manifest, place: dict[str, str], left_out: dict[str, tuple[str, ...]], notes: tuple[str, ...]) -> Split:
    def part(name: str) -> Manifest:
        return Manifest((dataclasses.replace(u, split=name) for u in manifest if place.get(u.id) == name), folder=manifest.folder, name=name)

    return Split(train=part("train"), dev=part("dev"), test=part("test"), left_out=left_out, notes=notes)


def _hours(clusters: Iterable[_Cluster]) -> float:
    return math.fsum(cluster.hours for cluster in clusters)


def _ids(clusters: Iterable[_Cluster]) -> set[str]:
    return {key for cluster in clusters for key in cluster.ids}


def _sentences(manifest: Manifest) -> set[str]:
    return {key for u in manifest if (key := sentence_key(u.text))}


def _check_shares(dev_share: float, test_share: float) -> None:
    if not (dev_share > 0 and test_share > 0 and dev_share + test_share < 1):
        raise ManifestError(f"dev share {dev_share:g} and test share {test_share:g} must both be above 0 and together below 1. Correct the shares.")


def _keys(u: Utterance, manifest: Manifest) -> tuple[tuple[str, str], ...]:
    """What must not be shared, as (cause, key); two manifests that name one file share that recording."""
    keys = [("recording", f"file {(manifest.folder / u.audio_filepath).as_posix()}")]
    if u.speaker is not None:
        keys.append(("speaker", u.speaker))
    if u.recording is not None:
        keys.append(("recording", u.recording))
    if key := sentence_key(u.text):
        keys.append(("sentence", key))
    return tuple(keys)


def _overlap(first: Manifest, second_keys: Iterable[tuple[tuple[str, str], ...]]) -> Overlap:
    held = {key for keys in second_keys for key in keys}
    shared: dict[str, set[str]] = {cause: set() for cause in CAUSES}
    ids: dict[str, dict[str, None]] = {cause: {} for cause in CAUSES}
    for u in first:
        for cause, key in _keys(u, first):
            if (cause, key) in held:
                shared[cause].add(key)
                ids[cause][u.id] = None
    return Overlap(
        speakers=tuple(sorted(shared["speaker"])),
        recordings=tuple(sorted(shared["recording"])),
        sentences=tuple(sorted(shared["sentence"])),
        ids_by_cause={cause: tuple(ids[cause]) for cause in CAUSES},
    )
