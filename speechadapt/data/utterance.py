"""Utterance: one spoken line of a corpus, and the rules it must keep.

Field names follow NeMo's JSONL manifests, so that NeMo's own tools read ours:

    {"audio_filepath": "audio/so762-000010011.flac", "duration": 2.36, "text": "We call it bear", "id": "so762-000010011", ...}
"""

import dataclasses
import math
import sys
from typing import Any

from speechadapt.errors import ManifestError
from speechadapt.units import Seconds

GENDERS = ("male", "female", "other")
SPLITS = ("train", "dev", "test")
LONGEST_ID = 512


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One spoken line.

    Attributes:
        id: unique in its manifest, `corpus-native_id`.
        audio_filepath: relative to the manifest's folder, or absolute for corpora prepared with `--in-place`.
        duration: seconds of audio this line covers, above 0; measured from the samples.
        text: the cleaned transcript used for training; scoring normalizes it itself.
        offset: seconds into the file where the line starts, 0 or more.
        text_raw: the transcript as published.
        speaker: `corpus:native_speaker`, or None where the corpus does not say (never invented).
        gender: male, female, other or None. age: the corpus' own value or band.
        accent, accent_raw: normalized slug, and the label as published.
        l1: first language. region: country, state or dialect region.
        language: BCP-47 tag of the transcript, such as `en`.
        recording: the parent recording, session or video; what shares one must stay in one split.
        split: train, dev, test or None.
        audio_sha1: hex digest of the samples of this line at 16 kHz and 16 bits, as `prepare` measures it: the same recording under two ids.
        meta: everything else.
    """

    id: str
    audio_filepath: str
    duration: Seconds
    text: str
    offset: Seconds = 0.0
    text_raw: str | None = None
    speaker: str | None = None
    gender: str | None = None
    age: str | None = None
    accent: str | None = None
    accent_raw: str | None = None
    l1: str | None = None
    region: str | None = None
    language: str | None = None
    recording: str | None = None
    split: str | None = None
    audio_sha1: str | None = None
    meta: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A JSON object in the order of the fields; fields that hold None or nothing are left out."""
        row = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            name: value
            for name, value in row.items()
            if name in REQUIRED or (value is not None and value != {} and not (name == "offset" and value == 0))
        }

    @classmethod
    def from_json(cls, row: Any, place: str) -> "Utterance":
        """Check one decoded JSON value and make the record.

        Args:
            row: the decoded line. Unknown keys go to `meta`, as NeMo manifests carry many.
            place: where it stands (`train.jsonl, line 17`), for the messages.

        Raises:
            ManifestError: a field is missing, of the wrong type, or outside its range.
        """
        if not isinstance(row, dict):
            raise ManifestError(f"{place}: found {type(row).__name__}, expected one JSON object per line. Write the manifest as JSON Lines.")
        name = row.get("id", "without an id")
        for field in REQUIRED:
            if field not in row:
                raise ManifestError(f'utterance "{name}" ({place}): the field "{field}" is missing. Add it or remove the line.')
        known: dict[str, Any] = {}
        meta: dict[str, Any] = {}
        for key, value in row.items():
            if key in TEXTS:
                text = value if isinstance(value, str) else _text(name, key, value, place)
                known[key] = sys.intern(text) if text is not None and key in LABELS else text
            elif key in NUMBERS:
                known[key] = _number(name, key, value, place)
            elif key == "meta":
                if not isinstance(value, dict):
                    raise ManifestError(f'utterance "{name}" ({place}): meta is {type(value).__name__}, must be an object. Correct the line.')
                meta.update({sys.intern(name): rest for name, rest in value.items()})
            else:
                meta[sys.intern(key)] = value
        utterance = cls(**known, meta=meta)
        utterance._check(place)
        return utterance

    def _check(self, place: str) -> None:
        where = f'utterance "{self.id}" ({place})'
        if not self.id or len(self.id) > LONGEST_ID or not self.id.isprintable():
            raise ManifestError(f"{where}: id has {len(self.id)} characters, must be 1 to {LONGEST_ID} printable ones. Correct the line.")
        if not self.audio_filepath:
            raise ManifestError(f"{where}: audio_filepath is empty. Point it to the recording or remove the line.")
        if not self.duration > 0:
            raise ManifestError(f"{where}: duration {self.duration:.2f} s, must be above 0. Remove the line or prepare the corpus again.")
        if self.offset < 0:
            raise ManifestError(f"{where}: offset {self.offset:.2f} s, must be 0 or more. Correct the line.")
        if self.gender is not None and self.gender not in GENDERS:
            raise ManifestError(f'{where}: gender "{self.gender}", must be one of {", ".join(GENDERS)} or absent. Correct the line.')
        if self.split is not None and self.split not in SPLITS:
            raise ManifestError(f'{where}: split "{self.split}", must be one of {", ".join(SPLITS)} or absent. Correct the line.')


REQUIRED = ("id", "audio_filepath", "duration", "text")
NUMBERS = ("duration", "offset")
LABELS = frozenset(("speaker", "gender", "age", "accent", "accent_raw", "l1", "region", "language", "split"))
"""What many lines share; one string for all of them, as there may be millions."""

TEXTS = frozenset(field.name for field in dataclasses.fields(Utterance) if field.name not in (*NUMBERS, "meta"))


def _number(name: Any, field: str, value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ManifestError(f'utterance "{name}" ({place}): {field} is {value!r}, must be a finite number of seconds. Correct the line.')
    return float(value)


def _text(name: Any, field: str, value: Any, place: str) -> str | None:
    if value is None and field not in REQUIRED:
        return None
    if not isinstance(value, str):
        raise ManifestError(f'utterance "{name}" ({place}): {field} is {value!r}, must be text in quotes. Correct the line.')
    return value
