"""Reference: what was said, in one or several accepted wordings, with no need of audio; ReferenceSet: a test to score systems on.

A `Manifest` is one kind of test set; Kaldi's `text`, STM and tables are others, and hold no audio. Both become a `ReferenceSet`.
"""

import dataclasses
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import LABELS, LONGEST_ID, Utterance
from speechadapt.errors import ManifestError
from speechadapt.units import Seconds

FURTHER = "references"
"""The key of `meta` under which a manifest carries a list of further references."""
OWN = ("id", "speaker", "duration")
UTTERANCE_FIELDS = tuple(field.name for field in dataclasses.fields(Utterance) if field.name != "meta")
LABEL_FIELDS = tuple(field for field in UTTERANCE_FIELDS if field in LABELS or field == "recording")
"""Fields of a manifest that scores may be grouped by under any format, whether a file has them or not."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What was said in one utterance.

    Attributes:
        id: unique in its set, 1 to 512 printable characters.
        texts: one or more accepted wordings, raw; scoring normalizes them and counts the one with the fewest errors.
        speaker: a name, or None where the source does not say.
        duration: seconds of audio, above 0, or None where it is not known.
        fields: everything else that scores may be grouped by, such as `{"accent": "hindi", "channel": 1}`; None counts as absent.

    Raises:
        ManifestError: one of them is outside its range; the message names the id.
    """

    id: str
    texts: tuple[str, ...]
    speaker: str | None = None
    duration: Seconds | None = None
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id or len(self.id) > LONGEST_ID or not self.id.isprintable():
            raise ManifestError(
                f'reference "{self.id}": id has {len(self.id)} characters, must be 1 to {LONGEST_ID} printable ones. Correct the line.'
            )
        if self.speaker is not None and not isinstance(self.speaker, str):
            raise ManifestError(f'reference "{self.id}": speaker is {self.speaker!r}, must be text, or None if unknown. Correct the line.')
        if not isinstance(self.texts, tuple) or not self.texts or not all(isinstance(text, str) for text in self.texts):
            raise ManifestError(f'reference "{self.id}": texts is {self.texts!r}, must be a tuple of one text or more. Correct the line.')
        if self.duration is not None and not (self.duration > 0 and math.isfinite(self.duration)):
            raise ManifestError(f'reference "{self.id}": duration {self.duration} s, must be above 0, or None if unknown. Correct the line.')

    @property
    def text(self) -> str:
        """The first wording."""
        return self.texts[0]

    def value(self, field: str) -> Any:
        """The value of `id`, `speaker`, `duration`, or of one of `fields`; None where there is none. Our own three names come first."""
        return getattr(self, field) if field in OWN else self.fields.get(field)


class ReferenceSet(Sequence[Reference]):
    """References in a fixed order; iterating, indexing and `len` work as on a tuple. Ids are unique.

    Made from a manifest, it makes each `Reference` when it is asked for, so that a million of them cost nothing twice.
    """

    def __init__(self, references: Iterable[Reference], name: str = "references", path: Path | str | None = None) -> None:
        """Args:
            references: what was said, one per utterance.
            name: a short name for messages and reports, usually the path's stem.
            path: the file they were read from, if any.

        Raises:
            ManifestError: an id stands twice.
        """
        self.manifest: Manifest | None = None
        self._references = tuple(references)
        self.name = name
        self.path = None if path is None else Path(path)
        if len({reference.id for reference in self._references}) < len(self._references):
            repeated = [key for key, count in Counter(reference.id for reference in self._references).items() if count > 1]
            raise ManifestError(
                f'references "{name}": {len(repeated)} ids stand more than once, the first is "{repeated[0]}"; ids must be unique. '
                "Remove or rename the repeated lines; several wordings of one utterance belong into one reference."
            )

    @classmethod
    def from_manifest(cls, manifest: Manifest, path: Path | str | None = None) -> "ReferenceSet":
        """The references of a manifest: `text`, and the further ones listed under `references` (a list of texts, in `meta`).

        Args:
            manifest: every field of its utterances, and every key of their `meta`, becomes a field to group by.
            path: the file the manifest was read from, if any.

        Raises:
            ManifestError: `references` of an utterance is no list of texts.
        """
        made = cls((), name=manifest.name, path=path)
        made.manifest = manifest
        for utterance in manifest.utterances:
            if FURTHER in utterance.meta:
                texts_of(utterance)
        return made

    @overload
    def __getitem__(self, index: int) -> Reference: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Reference, ...]: ...
    def __getitem__(self, index: int | slice) -> Reference | tuple[Reference, ...]:
        if self.manifest is None:
            return self._references[index]
        if isinstance(index, slice):
            return tuple(map(from_utterance, self.manifest.utterances[index]))
        return from_utterance(self.manifest.utterances[index])

    def __iter__(self) -> Iterator[Reference]:
        return iter(self._references) if self.manifest is None else map(from_utterance, self.manifest.utterances)

    def __len__(self) -> int:
        return len(self._references if self.manifest is None else self.manifest.utterances)

    def __repr__(self) -> str:
        return f"ReferenceSet({self.name!r}, {len(self)} references)"

    @property
    def fields(self) -> tuple[str, ...]:
        """The names scores can be grouped by: our own first, then those any reference has, sorted."""
        if self.manifest is not None:
            return (*UTTERANCE_FIELDS, *sorted({key for utterance in self.manifest.utterances for key in utterance.meta} - set(UTTERANCE_FIELDS)))
        known = tuple(dict.fromkeys((*OWN, *LABEL_FIELDS)))
        return (*known, *sorted({key for reference in self._references for key in reference.fields} - set(known)))

    @property
    def fingerprint(self) -> str:
        """Hex sha256 over ids and texts, whatever the order: two sets with the same one pose the same test.

        That of the manifest (which also covers times) if it was made from one whose utterances have one reference each.
        """
        digest = hashlib.sha256()
        if self.manifest is not None:
            further = [utterance for utterance in self.manifest.utterances if FURTHER in utterance.meta]
            if not further:
                return self.manifest.fingerprint
            digest.update(self.manifest.fingerprint.encode())
            rows = [(utterance.id, texts_of(utterance)[1:]) for utterance in further]
        else:
            rows = [(reference.id, reference.texts) for reference in self._references]
        encode = json.JSONEncoder(ensure_ascii=False).encode
        for row in sorted(rows):
            digest.update(encode(row).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def from_utterance(utterance: Utterance) -> Reference:
    """The reference of one line of a manifest.

    Raises:
        ManifestError: `references` in its meta is no list of texts.
    """
    known = {name: getattr(utterance, name) for name in UTTERANCE_FIELDS if name not in OWN}
    fields = {**utterance.meta, **{name: value for name, value in known.items() if value is not None}}
    return Reference(id=utterance.id, texts=texts_of(utterance), speaker=utterance.speaker, duration=utterance.duration, fields=fields)


def texts_of(utterance: Utterance) -> tuple[str, ...]:
    """The accepted wordings of one line of a manifest, each once: its `text`, then those of `references` in its meta.

    Raises:
        ManifestError: `references` is no list of texts.
    """
    further = utterance.meta.get(FURTHER)
    if further is None:
        return (utterance.text,)
    if not isinstance(further, list | tuple) or not all(isinstance(text, str) for text in further):
        raise ManifestError(
            f'utterance "{utterance.id}": references is {further!r}, must be a list of texts, the further wordings that count as right. '
            "Correct the line, or rename the column if it means something else."
        )
    return tuple(dict.fromkeys((utterance.text, *further)))
