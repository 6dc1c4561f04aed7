"""PrepReport: what a preparation read, kept, dropped and repaired, and what its splits share."""

import dataclasses
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from speechadapt.data.manifest import Manifest
from speechadapt.data.split_summary import count_accents, count_content, cover_accents, describe_overlaps, list_leaks
from speechadapt.errors import CorpusError
from speechadapt.files import write_json
from speechadapt.preparation.corpus import Corpus, PrepareOptions
from speechadapt.preparation.intake import Drop, Intake
from speechadapt.units import Seconds

REPORT_FILE = "prep_report.json"
EXAMPLES = 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PrepReport:
    """What `prepare` did, as written to `OUT/prep_report.json`.

    Attributes:
        corpus: name. source, out: folders (out None after a dry run).
        rows_read: rows of the lists. kept: rows in the manifests. dropped: rows left out, by reason; rows_read = kept + their sum
            + rows beyond `--limit` (`not_chosen`).
        by_choice: those of `dropped` that a script leaves out by design, or the options, by reason; the others are defects of the corpus.
        dropped_examples: up to twenty sentences by reason. test_dropped: every row that left the test set, with its reason.
        repairs: what was put right, by kind. warnings: rows by quality flag. facts: corpus-specific counts, such as orphans.
        hours, speakers (None: the corpus names none); splits and accents: utterances, hours and speakers of each.
        overlap: for each pair of splits what both hold, with two ids for each kind; see `data.split_summary.describe_overlaps`.
        coverage: for each accent in test what train holds of it, and whether it is zero-shot; see `data.split_summary.cover_accents`.
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
    by_choice: dict[str, int]
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
    coverage: dict[str, dict[str, Any]]
    manifests: tuple[str, ...]
    seconds: Seconds
    provenance: dict[str, Any]

    @property
    def defects(self) -> dict[str, int]:
        """Rows that could not be used, by reason: what was dropped and not by choice."""
        return {reason: left for reason, count in self.dropped.items() if (left := count - self.by_choice.get(reason, 0))}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        row = dataclasses.asdict(self)
        row["options"]["accent_map"] = dict(self.options.accent_map)
        return row


def summarize_intake(intake: Intake) -> dict[str, Any]:
    """The fields of `PrepReport` that tell what was dropped, repaired and noted."""
    examples: dict[str, list[str]] = defaultdict(list)
    for drop in sorted(intake.drops, key=lambda drop: drop.by_choice):  # defects first
        if len(examples[drop.reason]) < EXAMPLES:
            examples[drop.reason].append(drop.message)
    return {
        "dropped": dict(sorted(Counter(drop.reason for drop in intake.drops).items())),
        "by_choice": dict(sorted(Counter(drop.reason for drop in intake.drops if drop.by_choice).items())),
        "dropped_examples": {reason: tuple(messages) for reason, messages in sorted(examples.items())},
        "test_dropped": tuple(drop for drop in intake.drops if drop.split == "test"),
        "repairs": dict(sorted(intake.repairs.items())),
        "facts": intake.facts,
        "notes": tuple(intake.notes),
    }


def summarize_content(parts: dict[str, Manifest], flags: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """The fields of `PrepReport` that tell what is in the parts, given the quality flags of the rows that have any."""
    every = count_content(u for part in parts.values() for u in part)
    return {
        "warnings": dict(sorted(Counter(flag for part in parts.values() for u in part for flag in flags.get(u.id, ())).items())),
        "hours": every["hours"],
        "speakers": every["speakers"],
        "splits": {name: {**count_content(part), "children": sum(u.meta.get("child") is True for u in part)} for name, part in parts.items()},
        "accents": count_accents(parts),
        "overlap": describe_overlaps(parts),
        "coverage": cover_accents(parts),
    }


def refuse_defects(report: PrepReport) -> None:
    """`--strict`: nothing defective, nothing shared. The report of the refused corpus is kept, its manifests are not written.

    Rows that were left out by choice are no defect. Every kind of leak is named with two ids, one of each side.

    Raises:
        CorpusError: names every kind of defect with its count and the first such row, and every kind of leak.
    """
    defects = dict(report.defects)
    repeated = defects.pop("repeated-audio", 0)
    found = [f"{count} rows dropped as {reason}" for reason, count in defects.items()]
    found += list_leaks(report.overlap)
    if repeated:
        found.append(f"{repeated} rows repeat the audio of another part: {report.dropped_examples['repeated-audio'][0].rstrip('.')}")
    if not found:
        return
    where = "run without --strict for the full report"
    if report.out is not None:
        write_json(Path(report.out) / REPORT_FILE, dataclasses.replace(report, manifests=()).to_json())
        where = f"see {Path(report.out) / REPORT_FILE}"
    first = next((f" {report.dropped_examples[reason][0]}" for reason in defects), "")
    raise CorpusError(
        f"{report.source}: --strict refuses this corpus: {'; '.join(found)}.{first} No manifest was written; {where}. "
        "Correct the corpus, choose --splits speaker+sentence, or run without --strict."
    )
