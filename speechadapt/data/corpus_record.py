"""Corpus record: whose speech a prepared folder holds and under which terms, as its `corpus.json` says; for the cards of what is made from it."""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from speechadapt.data.manifest import CORPUS_FILE
from speechadapt.errors import ManifestError
from speechadapt.files import read_json

NOT_STATED = "not stated"
PRIVACY = "Do not try to find out who the speakers are, and do not publish what could tell."
SYNTHETIC = "synthetic_"
"""How the names of corpora begin in which nobody speaks."""

LONGEST = 500
"""Characters of a value that are shown; `corpus.json` may come from a stranger."""

_HUB_DATASET = re.compile(r"https://huggingface\.co/datasets/([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})/?", re.ASCII)
_ATTRIBUTION = re.compile(r"\bCC[ -]BY\b", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CorpusRecord:
    """Where speech comes from and what its owners allow. Every value is one line of text.

    Attributes:
        name: the corpus' name in this program; empty where nothing is known of the corpus.
        title: as its owners call it. home: where it can be had.
        license, commercial_use: in words, `not stated` where nobody stated them.
        privacy: what must not be done to the speakers; empty where nobody speaks.
    """

    name: str
    title: str = ""
    license: str = NOT_STATED
    commercial_use: str = NOT_STATED
    home: str = ""
    privacy: str = PRIVACY

    @property
    def known(self) -> bool:
        """Whether the folder said anything of its corpus."""
        return bool(self.name)

    @property
    def hub_dataset(self) -> str | None:
        """The id of the dataset on the Hugging Face Hub, if that is where the corpus can be had."""
        found = _HUB_DATASET.fullmatch(self.home)
        return found[1] if found else None

    @property
    def sentence(self) -> str:
        """The corpus and its terms: `Common Voice (common_voice): license CC0-1.0; commercial use: yes`."""
        if not self.known:
            return f"a folder without {CORPUS_FILE}: the license of its data is unknown"
        called = f"{self.title} ({self.name})" if self.title and self.title != self.name else self.name
        return f"{called}: license {self.license}; commercial use: {self.commercial_use}"

    @property
    def duties(self) -> tuple[str, ...]:
        """What whoever passes on something made from the corpus should do, in sentences."""
        if not self.known:
            return ()
        named = f"Attribution: the license asks to name {self.title or self.name} and its owners wherever this is passed on."
        duties = (named,) if _ATTRIBUTION.search(self.license) else ()
        return (*duties, f"Privacy: {self.privacy}") if self.privacy else duties


UNKNOWN = CorpusRecord(name="", privacy="")
"""Stands for a folder that says nothing of its corpus."""


def read_records(folder: Path) -> tuple[CorpusRecord, ...]:
    """The records of a prepared or converted folder, which may join several corpora; `UNKNOWN` where it has no `corpus.json`.

    Raises:
        ManifestError: `corpus.json` is no JSON object.
        SpeechadaptError: it is no JSON.
    """
    file = folder / CORPUS_FILE
    if not file.is_file():
        return (UNKNOWN,)
    told = read_json(file)
    if not isinstance(told, dict):
        raise ManifestError(
            f"{file}: {type(told).__name__}, expected one JSON object. Prepare the corpus again, or rename the file if it is another."
        )
    several = told.get("corpora")
    found = [one for one in several if isinstance(one, dict)] if isinstance(several, list) else []
    return tuple(_record(one, folder) for one in found or [told])


def gather_records(folders: Iterable[Path]) -> tuple[CorpusRecord, ...]:
    """The records of several folders in their order, each once."""
    return tuple(dict.fromkeys(record for folder in dict.fromkeys(folders) for record in read_records(folder)))


def list_terms(records: Sequence[CorpusRecord]) -> list[str]:
    """For every corpus a sentence on its terms, then what follows from them; a sentence that holds for several comes once. Empty if none is known."""
    if not any(record.known for record in records):
        return []
    return list(dict.fromkeys(line for record in records for line in (record.sentence, *record.duties)))


def _record(told: dict[str, Any], folder: Path) -> CorpusRecord:
    values = {field.name: _one_line(told.get(field.name)) for field in dataclasses.fields(CorpusRecord)}
    name = values["name"] or folder.resolve().name
    privacy = values["privacy"] or ("" if name.startswith(SYNTHETIC) else PRIVACY)
    given = {key: values[key] for key in ("title", "license", "commercial_use", "home") if values[key]}
    return CorpusRecord(name=name, privacy=privacy, **given)


def _one_line(value: Any) -> str:
    """Text that cannot break out of a line of a card, or be taken for HTML."""
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return text.replace("<", "‹").replace(">", "›")[:LONGEST]
