"""PrepReport: what a preparation read, kept, dropped and repaired, and what its splits share."""

import dataclasses
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from speechadapt.audio.storage import Sound
from speechadapt.data.manifest import Manifest
from speechadapt.data.splits import find_overlap
from speechadapt.errors import CorpusError
from speechadapt.files import write_json
from speechadapt.preparation.corpus import Corpus, PrepareOptions
from speechadapt.preparation.intake import Drop, Intake
from speechadapt.units import Seconds

REPORT_FILE = "prep_report.json"
SHARED = ("speakers", "recordings", "sentences", "audio")
EXAMPLES = 20


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


def summarize_intake(intake: Intake) -> dict[str, Any]:
    """The fields of `PrepReport` that tell what was dropped, repaired and noted."""
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


def summarize_content(parts: dict[str, Manifest], sounds: dict[str, Sound], out: Path) -> dict[str, Any]:
    """The fields of `PrepReport` that tell what is in the parts."""
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


def refuse_defects(report: PrepReport) -> None:
    """`--strict`: nothing dropped, nothing shared. The report of the refused corpus is kept, its manifests are not written.

    Raises:
        CorpusError: names every kind of defect with its count, and the first dropped row.
    """
    found = [f"{count} rows dropped as {reason}" for reason, count in report.dropped.items()]
    for pair, counts in report.overlap.items():
        found += [f"{pair.replace('-', ' and ')} share {counts[what]} {what}" for what in SHARED if counts[what]]
    if not found:
        return
    where = "run without --strict for the full report"
    if report.out is not None:
        write_json(Path(report.out) / REPORT_FILE, dataclasses.replace(report, manifests=()).to_json())
        where = f"see {Path(report.out) / REPORT_FILE}"
    first = next((f" {messages[0]}" for messages in report.dropped_examples.values()), "")
    raise CorpusError(
        f"{report.source}: --strict refuses this corpus: {'; '.join(found)}.{first} No manifest was written; {where}. "
        "Correct the corpus, choose --splits speaker+sentence, or run without --strict."
    )
