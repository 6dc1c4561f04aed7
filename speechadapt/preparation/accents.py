"""Accents: labels as corpora publish them, read as slugs that can be compared across corpora."""

import dataclasses
import functools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from speechadapt.files import read_json
from speechadapt.preparation.corpus import CorpusRow
from speechadapt.preparation.intake import Intake
from speechadapt.preparation.labels import accent_slug
from speechadapt.text.languages import primary_language

MIXED = "mixed"
"""The slug of somebody who states two different accents."""

LABELS_FILE = Path(__file__).with_name("accent_labels.json")
EVERY_CORPUS = "any"
SHOWN = 20


@functools.cache
def shipped_labels(corpus: str, language: str) -> dict[str, str]:
    """Slugs by trimmed and case-folded label, as `accent_labels.json` lists them for transcripts of one language in one corpus.

    The same word means different things elsewhere (`canada` is English in one table and French in another, `English` may be a language),
    so a short label belongs to its corpus; what speaks for itself stands under `any`.
    """
    by_corpus = cast(dict[str, dict[str, dict[str, str]]], read_json(LABELS_FILE)).get(language, {})
    together = {**by_corpus.get(EVERY_CORPUS, {}), **by_corpus.get(corpus, {})}
    return {label.strip().casefold(): slug for label, slug in together.items()}


@functools.lru_cache(maxsize=4096)
def split_accents(value: str) -> tuple[str, ...]:
    """The accents of a field that may hold several: joined by `|`, or else by commas outside of parentheses.

    `India and South Asia (India, Pakistan, Sri Lanka),Swiss` holds two. A parenthesis that is never closed reaches to the end.
    """
    if "|" in value:
        parts = value.split("|")
    else:
        parts, depth = [""], 0
        for letter in value:
            depth = max(0, depth + (letter == "(") - (letter == ")"))
            if letter == "," and depth == 0:
                parts.append("")
            else:
                parts[-1] += letter
    return tuple(part.strip() for part in parts if part.strip())


class AccentLabels:
    """The accent labels of one corpus: the user's map first, then the shipped one, then the slug rule. Counts what no map knows.

    Labels are compared as a whole, without outer blanks and without case, never in part.
    """

    def __init__(self, corpus: str, given: Mapping[str, str]) -> None:
        self.corpus = corpus
        self.given = given
        self.unknown: Counter[str] = Counter()

    def find(self, label: str, language: str | None = None) -> str | None:
        """The slug that a map gives to a label; None where neither knows it."""
        key = label.strip().casefold()
        shipped = shipped_labels(self.corpus, primary_language(language)) if language else {}
        return self.given.get(key) or shipped.get(key)

    def slug_of(self, label: str | None, language: str | None = None, *, parts: Sequence[str] = ()) -> str | None:
        """The slug of a published label.

        Args:
            label: as published; blank means that nobody said anything.
            language: BCP-47 tag of the transcript.
            parts: the accents in it, where it may hold several.

        Returns:
            The slug of the whole label or of its only known part; where no part is known, the label's own slug; `mixed` where two parts
            stand for different accents; None where nothing is said.
        """
        if label is None or not label.strip():
            return None
        if whole := self.find(label, language):
            return whole
        named = {part: self.find(part, language) for part in parts or (label,)}
        unknown = [part.strip() for part, slug in named.items() if slug is None]
        self.unknown.update(unknown)
        slugs = {slug for slug in named.values() if slug} or {slug for part in unknown if (slug := accent_slug(part))}
        return MIXED if len(slugs) > 1 else next(iter(slugs), None)

    def tell(self, intake: Intake) -> None:
        """Note which labels no map knows, the frequent ones first."""
        if not self.unknown:
            return
        ordered = sorted(self.unknown.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f'"{label}" ({count})' for label, count in ordered[:SHOWN])
        more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
        intake.notes.append(
            f"accent labels that no map knows, with their rows: {shown}{more}; alone they are kept as slugs. Name them with --accent-map FILE."
        )


def propagate_accents(rows: list[CorpusRow], intake: Intake) -> list[CorpusRow]:
    """Give the accent that a client states on some clips to those where nothing is stated; two different ones are given to none."""
    stated: dict[str | None, dict[str, CorpusRow]] = defaultdict(dict)
    for row in rows:
        if row.speaker is not None and row.accent_raw is not None:
            stated[row.speaker].setdefault(row.accent_raw.casefold(), row)
    filled = []
    for row in rows:
        known = list(stated.get(row.speaker, {}).values())
        if row.accent_raw is None and len(known) == 1:
            meta = {**row.meta, "accent_source": "propagated"}
            row = dataclasses.replace(row, accent=known[0].accent, accent_raw=known[0].accent_raw, meta=meta)
            intake.repair("accent taken from other clips of the same client")
        filled.append(row)
    return filled
