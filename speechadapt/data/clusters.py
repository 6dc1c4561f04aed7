"""Clusters: rows that must stand on one side of every division, because they share a speaker or a recording."""

import dataclasses
import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cluster:
    """Rows that must stay together because they share speakers or recordings.

    Attributes:
        name: the first of its speakers in the alphabet, or the first of its ids where none is known; no two clusters have the same.
        ids: of its rows. speakers: all that are known. hours: of audio.
        accent, gender: what most of its rows say. accents: all that are named.
    """

    name: str
    ids: tuple[str, ...]
    speakers: tuple[str, ...]
    hours: float
    accent: str | None
    accents: frozenset[str]
    gender: str | None

    @property
    def known(self) -> bool:
        """Whether any of its rows names a speaker."""
        return bool(self.speakers)


def find_clusters(manifest: Manifest) -> list[Cluster]:
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


def _cluster(rows: list[Utterance]) -> Cluster:
    speakers = tuple(sorted({u.speaker for u in rows if u.speaker is not None}))
    return Cluster(
        name=speakers[0] if speakers else min(u.id for u in rows),
        ids=tuple(u.id for u in rows),
        speakers=speakers,
        hours=math.fsum(u.duration for u in rows) / 3600,
        accent=_most_common(u.accent for u in rows),
        accents=frozenset(u.accent for u in rows if u.accent is not None),
        gender=_most_common(u.gender for u in rows),
    )


def _most_common(values: Iterable[str | None]) -> str | None:
    counts = Counter(value for value in values if value is not None)
    return min(counts, key=lambda value: (-counts[value], value)) if counts else None


def stratify(clusters: Iterable[Cluster], seed: int) -> list[list[Cluster]]:
    """Clusters by accent, sorted by it, each group in a seeded order in which genders take turns."""
    by_accent: dict[str, list[Cluster]] = defaultdict(list)
    for cluster in clusters:
        by_accent[cluster.accent or ""].append(cluster)
    return [shuffle(by_accent[accent], seed) for accent in sorted(by_accent)]


def shuffle(clusters: Iterable[Cluster], seed: int) -> list[Cluster]:
    """A seeded order in which genders take turns; it depends on the names alone, so one cluster more does not move the others."""

    def rank(cluster: Cluster) -> str:
        return hashlib.sha256(f"{seed}:{cluster.name}".encode()).hexdigest()

    turn: Counter[str | None] = Counter()
    ordered = []
    for cluster in sorted(clusters, key=rank):
        ordered.append((turn[cluster.gender], rank(cluster), cluster))
        turn[cluster.gender] += 1
    return [cluster for _, _, cluster in sorted(ordered, key=lambda item: item[:2])]


def pick(clusters: Sequence[Cluster], share: float, *, at_least: int, at_most: int) -> tuple[list[Cluster], list[Cluster]]:
    """Take clusters in order while each brings the hours closer to `share`, then the smallest ones up to `at_least`.

    Returns:
        (taken, left), each in the given order but for the smallest ones, which come last.
    """
    wanted, hours = share * hours_of(clusters), 0.0
    taken: list[Cluster] = []
    left: list[Cluster] = []
    for cluster in clusters:
        if len(taken) < at_most and abs(hours + cluster.hours - wanted) < abs(hours - wanted):
            taken.append(cluster)
            hours += cluster.hours
        else:
            left.append(cluster)
    for _ in range(min(at_least, at_most) - len(taken)):
        smallest = min(range(len(left)), key=lambda place: left[place].hours)
        taken.append(left.pop(smallest))
    return taken, left


def hours_of(clusters: Iterable[Cluster]) -> float:
    """Hours of audio in all of them."""
    return math.fsum(cluster.hours for cluster in clusters)


def ids_of(clusters: Iterable[Cluster]) -> set[str]:
    """The ids of all their rows."""
    return {key for cluster in clusters for key in cluster.ids}
