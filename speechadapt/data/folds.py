"""Folds: several divisions of one small corpus, in which every speaker or every accent is tested once."""

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from speechadapt.data.clusters import Cluster, find_clusters, hours_of, ids_of, stratify
from speechadapt.data.manifest import Manifest
from speechadapt.data.splits import DEV_SHARE, TEST_SHARE, Split, carve_dev, check_shares, make_split, separate_audio, separate_sentences
from speechadapt.errors import ManifestError

FOLDS = 5
MOST_FOLDS = 1000
FEWEST_LEFT = 3
"""Separate speakers that must remain beside a test set: one or more for dev, the others to train on."""

SEVERAL = "mixed"
"""The accent label of rows that name several accents, of which any may be the one that is held out."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One division of several: its name (fit for a folder), the speakers or the accent that are tested, and the division."""

    name: str
    held_out: tuple[str, ...]
    split: Split


def leave_one_speaker_out(manifest: Manifest, *, seed: int = 0, dev_share: float = DEV_SHARE, disjoint_sentences: bool = False) -> Iterator[Fold]:
    """A fold for every speaker, whose rows are its test set. Speakers who share a recording are held out together.

    Args:
        seed: of the speakers of dev. dev_share: of the hours of the other speakers, by accent as in `carve_dev`.
        disjoint_sentences: leave out of train and dev what shares a sentence with a later part; see `separate_sentences`.

    Raises:
        ManifestError: fewer than four separate speakers, or more than a thousand.
    """
    check_shares(dev_share, TEST_SHARE)
    known = _known_clusters(manifest, "leave-one-speaker-out", FEWEST_LEFT + 1)
    if len(known) > MOST_FOLDS:
        raise ManifestError(f'manifest "{manifest.name}": {len(known)} speakers make as many folds, at most {MOST_FOLDS} are written. Take k-fold.')
    names = _names([_told(cluster.speakers) for cluster in known])
    groups = [(name, cluster.speakers, [cluster]) for name, cluster in zip(names, known, strict=True)]
    return _by_speaker(manifest, groups, seed, dev_share, disjoint_sentences)


def k_fold(
    manifest: Manifest, *, folds: int = FOLDS, seed: int = 0, dev_share: float = DEV_SHARE, disjoint_sentences: bool = False
) -> Iterator[Fold]:
    """So many folds, each with other speakers in test, every speaker in one of them. The accents are spread evenly, then the hours.

    Args:
        folds: from 2 to the number of separate speakers.
        Everything else: as `leave_one_speaker_out`; the seed also deals the speakers to the folds.

    Raises:
        ManifestError: fewer than four separate speakers, a number of folds outside its range, or fewer than three speakers beside the largest fold.
    """
    check_shares(dev_share, TEST_SHARE)
    known = _known_clusters(manifest, "k-fold", FEWEST_LEFT + 1)
    if not 2 <= folds <= min(len(known), MOST_FOLDS):
        raise ManifestError(
            f'manifest "{manifest.name}": {folds} folds, must be from 2 to {min(len(known), MOST_FOLDS)}, as it has {len(known)} separate speakers. '
            "Choose another number."
        )
    dealt: list[list[Cluster]] = [[] for _ in range(folds)]
    for stratum in stratify(known, seed):
        of_accent = Counter[int]()
        for cluster in stratum:
            number = min(range(folds), key=lambda number: (of_accent[number], hours_of(dealt[number]), number))
            dealt[number].append(cluster)
            of_accent[number] += 1
    largest = max(map(len, dealt))
    if len(known) - largest < FEWEST_LEFT:
        raise ManifestError(
            f'manifest "{manifest.name}": {folds} folds of {len(known)} separate speakers leave {len(known) - largest} beside the largest test set, '
            f"at least {FEWEST_LEFT} are needed for train and dev. Choose more folds, or leave-one-speaker-out."
        )
    width = len(str(folds))
    groups = [
        (f"fold-{number:0{width}}", tuple(sorted(speaker for cluster in clusters for speaker in cluster.speakers)), clusters)
        for number, clusters in enumerate(dealt, start=1)
    ]
    return _by_speaker(manifest, groups, seed, dev_share, disjoint_sentences)


def leave_one_accent_out(manifest: Manifest, *, seed: int = 0, dev_share: float = DEV_SHARE, disjoint_sentences: bool = False) -> Iterator[Fold]:
    """A fold for every accent, whose rows are its test set: how well an adapter serves an accent that it never heard.

    Nothing else of the people and recordings of that accent stays (`speaker-in-test`), and no row that might be of it: those without an accent
    label (`no-accent`) and those that name several (`mixed-accent`). Dev consists of speakers of the other accents.

    Raises:
        ManifestError: fewer than two accents, or fewer than three separate speakers beside one of them.
    """
    check_shares(dev_share, TEST_SHARE)
    accents = sorted({u.accent for u in manifest if u.accent is not None} - {SEVERAL})
    if not 2 <= len(accents) <= MOST_FOLDS:
        raise ManifestError(
            f'manifest "{manifest.name}": {len(accents)} accents ({", ".join(accents[:8]) or "no row names one"}), leave-one-accent-out needs '
            f"from 2 to {MOST_FOLDS}. Name the accents when the corpus is prepared, or choose leave-one-speaker-out."
        )
    clusters = find_clusters(manifest)
    unsure = {
        "no-accent": {u.id for u in manifest if u.accent is None},
        "mixed-accent": {u.id for u in manifest if u.accent == SEVERAL},
    }
    for accent in accents:
        left = sum(cluster.known and accent not in cluster.accents and bool(cluster.accents - {SEVERAL}) for cluster in clusters)
        if left < FEWEST_LEFT:
            raise ManifestError(
                f'manifest "{manifest.name}": {left} separate speakers of other accents than {accent}, at least {FEWEST_LEFT} are needed for train '
                "and dev. Add speakers, or choose leave-one-speaker-out."
            )
    return _by_accent(manifest, accents, clusters, unsure, seed, dev_share, disjoint_sentences)


def _by_accent(
    manifest: Manifest,
    accents: Sequence[str],
    clusters: list[Cluster],
    unsure: dict[str, set[str]],
    seed: int,
    dev_share: float,
    disjoint_sentences: bool,
) -> Iterator[Fold]:
    for name, accent in zip(_names(accents), accents, strict=True):
        test = {u.id for u in manifest if u.accent == accent}
        theirs = ids_of(cluster for cluster in clusters if accent in cluster.accents) - test
        left_out: dict[str, set[str]] = {"speaker-in-test": theirs, **{reason: ids - theirs for reason, ids in unsure.items()}}
        gone = {key for ids in left_out.values() for key in ids}
        told = {reason: tuple(u.id for u in manifest if u.id in ids) for reason, ids in left_out.items() if ids}
        split = _carve(manifest.filter(lambda u, gone=gone: u.id not in gone), test, told, seed, dev_share)  # type: ignore[misc]
        yield Fold(name=name, held_out=(accent,), split=_separate(split, disjoint_sentences, seed, dev_share))


def _by_speaker(
    manifest: Manifest, groups: Sequence[tuple[str, tuple[str, ...], list[Cluster]]], seed: int, dev_share: float, disjoint_sentences: bool
) -> Iterator[Fold]:
    placed = ids_of(cluster for _, _, clusters in groups for cluster in clusters)
    nobody = tuple(u.id for u in manifest if u.id not in placed)
    rows = manifest.filter(lambda u: u.id in placed)
    for name, held_out, clusters in groups:
        split = _carve(rows, ids_of(clusters), {"no-speaker": nobody} if nobody else {}, seed, dev_share)
        yield Fold(name=name, held_out=held_out, split=_separate(split, disjoint_sentences, seed, dev_share))


def _carve(rows: Manifest, test: set[str], left_out: dict[str, tuple[str, ...]], seed: int, dev_share: float) -> Split:
    train, dev = carve_dev(rows.filter(lambda u: u.id not in test), share=dev_share, seed=seed)
    place = {u.id: "train" for u in train} | {u.id: "dev" for u in dev} | dict.fromkeys(test, "test")
    return make_split(rows, place, left_out=left_out)


def _separate(split: Split, disjoint_sentences: bool, seed: int, dev_share: float) -> Split:
    return separate_audio(separate_sentences(split, seed=seed, dev_share=dev_share) if disjoint_sentences else split)


def _known_clusters(manifest: Manifest, rule: str, fewest: int) -> list[Cluster]:
    known = [cluster for cluster in find_clusters(manifest) if cluster.known]
    if len(known) < fewest:
        raise ManifestError(
            f'manifest "{manifest.name}": {len(known)} separate speakers (those who share a recording count as one), {rule} needs at least {fewest}. '
            "Add speakers, or name them when the corpus is prepared."
        )
    return known


def _told(speakers: tuple[str, ...]) -> str:
    return speakers[0] + (f"-and-{len(speakers) - 1}-more" if len(speakers) > 1 else "")


def _names(labels: Sequence[str]) -> list[str]:
    """A folder's name for each label: its last part (`so762:0012` is 0012), plain letters only, and different from the others in any case."""
    plain = [re.sub(r"[^\w-]+", "_", label.rpartition(":")[2], flags=re.ASCII).strip("_")[:60] for label in labels]
    counts = Counter(name.casefold() for name in plain)
    return [
        name if name and counts[name.casefold()] == 1 and name == label.rpartition(":")[2] else f"{name or 'fold'}-{_digest(label)}"
        for name, label in zip(plain, labels, strict=True)
    ]


def _digest(label: str) -> str:
    return hashlib.sha256(label.encode()).hexdigest()[:8]


RULES: dict[str, Callable[..., Iterator[Fold]]] = {
    "leave-one-speaker-out": leave_one_speaker_out,
    "leave-one-accent-out": leave_one_accent_out,
    "k-fold": k_fold,
}
"""By the names that `speechadapt split --rule` knows; `folds` is for k-fold alone."""
