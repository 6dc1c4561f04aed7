"""Split summary: what the parts of a division hold, what they share, and which of the tested accents were trained on, as numbers for reports."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from speechadapt.data.manifest import Manifest
from speechadapt.data.near_sentences import find_near_sentences
from speechadapt.data.splits import SHARED_AS, find_overlap, key_of_text
from speechadapt.data.utterance import Utterance
from speechadapt.units import Seconds

PAIRS = (("train", "dev"), ("train", "test"), ("dev", "test"))
SHARED = ("speakers", "recordings", "sentences", "audio", "ids")
"""What must not stand on both sides; `near_sentences` beside them is a warning."""

UNKNOWN = "unknown"


@dataclasses.dataclass(slots=True, kw_only=True)
class _Sums:
    utterances: int = 0
    seconds: Seconds = 0.0
    speakers: set[str] = dataclasses.field(default_factory=set)
    by_part: dict[str, int] = dataclasses.field(default_factory=lambda: defaultdict(int))

    def add(self, u: Utterance, part: str) -> None:
        self.utterances += 1
        self.seconds += u.duration
        self.by_part[part] += 1
        if u.speaker is not None:
            self.speakers.add(u.speaker)

    def to_json(self) -> dict[str, Any]:
        return {"utterances": self.utterances, "hours": round(self.seconds / 3600, 6), "speakers": len(self.speakers) or None}


def count_content(rows: Iterable[Utterance]) -> dict[str, Any]:
    """Utterances, hours and speakers (None where none is known)."""
    sums = _Sums()
    for u in rows:
        sums.add(u, "")
    return sums.to_json()


def count_accents(parts: Mapping[str, Manifest]) -> dict[str, dict[str, Any]]:
    """Utterances, hours and speakers of every accent over all parts, and its utterances in each of them; `unknown` are rows without a label."""
    accents: dict[str, _Sums] = defaultdict(_Sums)
    for name, part in parts.items():
        for u in part:
            accents[u.accent or UNKNOWN].add(u, name)
    return {
        accent: {**accents[accent].to_json(), "utterances_by_split": {name: accents[accent].by_part.get(name, 0) for name in parts}}
        for accent in sorted(accents)
    }


def cover_accents(parts: Mapping[str, Manifest]) -> dict[str, dict[str, Any]]:
    """For every accent in test: what test and train hold of it, and whether it is `zero_shot`, heard by nobody in training.

    Returns:
        By accent `test` and `train` (utterances, hours, speakers) and `zero_shot`; nothing where there is no train or no test part.
    """
    if "train" not in parts or "test" not in parts:
        return {}
    sums: dict[str, dict[str, _Sums]] = {name: defaultdict(_Sums) for name in ("train", "test")}
    for name, accents in sums.items():
        for u in parts[name]:
            if u.accent is not None:
                accents[u.accent].add(u, name)
    return {
        accent: {
            "test": tested.to_json(),
            "train": sums["train"].get(accent, _Sums()).to_json(),
            "zero_shot": accent not in sums["train"],
        }
        for accent, tested in sorted(sums["test"].items())
    }


def describe_overlaps(parts: Mapping[str, Manifest]) -> dict[str, dict[str, Any]]:
    """What every pair of parts has in common, under names such as `train-test`.

    Returns:
        For each pair: how many `speakers` (None: unknown in one of them), `recordings`, `sentences`, `audio` (None: no digests) and `ids` stand in
        both; the rows of either part that hold a shared sentence, and `share_of_seen_sentences` of the later part's rows; `near_sentences`, rows
        of the first whose sentence is nearly one of the second; and `examples`, two ids (one of each part) for each of these.
    """
    return {f"{first}-{second}": _describe(parts[first], parts[second], first, second) for first, second in PAIRS if {first, second} <= set(parts)}


def _describe(first: Manifest, second: Manifest, first_name: str, second_name: str) -> dict[str, Any]:
    shared = find_overlap(first, second)
    sentences = set(shared.sentences)
    seen = sum(key_of_text(u.text) in sentences for u in second) if sentences else 0
    near = find_near_sentences(first, second)
    theirs = {u.id for u in second}
    ids = sorted(u.id for u in first if u.id in theirs)
    examples: dict[str, tuple[str, str]] = {f"{cause}s" if cause != "audio" else cause: pair for cause, pair in shared.pairs.items()}
    if ids:
        examples["ids"] = (ids[0], ids[0])
    if near:
        examples["near_sentences"] = near[0]
    return {
        "speakers": len(shared.speakers) if first.speakers and second.speakers else None,
        "recordings": len(shared.recordings),
        "sentences": len(shared.sentences),
        "audio": len(shared.audio) if _has_digests(first) and _has_digests(second) else None,
        "ids": len(ids),
        "near_sentences": len(near),
        f"{first_name}_rows_with_shared_sentence": len(shared.ids_by_cause["sentence"]),
        f"{second_name}_rows_with_shared_sentence": seen,
        "share_of_seen_sentences": round(seen / len(second), 4) if len(second) else 0.0,
        "examples": {what: list(pair) for what, pair in examples.items()},
    }


def _has_digests(manifest: Manifest) -> bool:
    return any(u.audio_sha1 for u in manifest)


def list_leaks(overlaps: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Every kind of leak in words, with one id of each side: `train and test share 1 speakers: "a-1" (train) and "b-4" (test) share a speaker`."""
    found = []
    for pair, counts in overlaps.items():
        first, second = pair.split("-")
        for what in SHARED:
            if counts[what]:
                ours, theirs = counts["examples"][what]
                cause = SHARED_AS[what.removesuffix("s")]
                found.append(f'{first} and {second} share {counts[what]} {what}: "{ours}" ({first}) and "{theirs}" ({second}) share {cause}')
    return found
