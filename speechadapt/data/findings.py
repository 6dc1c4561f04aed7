"""Finding: one kind of defect in a manifest, with the rows that have it; and findings written row by row for whoever listens to them."""

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError, MisuseError
from speechadapt.files import write_text

SEVERITIES = ("error", "warning", "note")
SHOWN = 3
COLUMNS = ("severity", "check", "manifest", "id", "detail", "audio", "offset", "duration", "speaker", "text")

CHECKS: dict[str, str] = {
    "broken-line": "a line of the manifest is no utterance",
    "duplicate-id": "an id stands twice in one manifest",
    "empty-text": "nothing that can be spoken is in the text",
    "too-long": "longer than the model can hear at once",
    "text-too-long": "perhaps more tokens than Whisper can write",
    "speech-rate": "more or fewer characters a second than people speak",
    "unusual-speech-rate": "far from the manifest's own median of characters a second",
    "capitals": "most texts are written in capitals",
    "unknown-speaker": "no speaker is named",
    "placeholder": "the whole text is a word that stands for a missing one",
    "markup": "remnants of HTML, tags, addresses or escapes",
    "broken-letters": "replacement characters, or UTF-8 that was read as another encoding",
    "invisible-letters": "control characters and other signs that are not seen",
    "mixed-scripts": "letters of two alphabets within one word",
    "other-script": "written in another script than the language is",
    "repeated-words": "the same words again and again, as a recognizer in a loop writes them",
    "repeated-text": "one text for recordings of very different length",
    "not-spelled-out": "digits or symbols that a CTC model cannot write",
    "missing": "no audio file",
    "empty": "an audio file without samples",
    "outside-folder": "an audio path that leaves its folder",
    "not-audio": "a file that is no recording",
    "not-finite": "samples that are NaN or infinite",
    "out-of-range": "a segment that lies after the end of its recording",
    "truncated": "fewer samples than the header promises",
    "wrong-duration": "another duration in the manifest than in the file",
    "wrong-rate": "another sampling rate in the manifest than in the file",
    "silent": "every sample is the same",
    "quiet": "below -60 dBFS",
    "low-level": "speech below -45 dBFS",
    "clipped": "cut off at full scale or at a lower ceiling",
    "dc-offset": "the samples do not lie around zero",
    "long-silence": "seconds of silence before or after the speech",
    "cut-off": "begins or ends in the middle of speech",
    "narrow-band": "nothing above 4 kHz, as from a telephone or tape",
    "low-pass": "cut off between 4.5 and 7 kHz, as by an MP3 encoder",
    "wrong-extension": "another format than the file's name says",
    "low-sampling-rate": "below 8 kHz",
    "other-rate": "another sampling rate than nearly all others of the manifest",
    "wrong-speed": "voice and tempo both twice as high or half as high as the others: a wrong sampling rate in the header",
    "different-channels": "channels that hold different sounds, or cancel each other",
    "dead-channel": "a channel without sound beside one with",
    "identical-channels": "the same sound in every channel",
    "repeated-audio": "the same samples under several ids",
    "shared-speaker": "a speaker in two manifests",
    "shared-recording": "a recording in two manifests",
    "shared-sentence": "a sentence in two manifests",
    "shared-audio": "the same samples in two manifests",
    "shared-id": "an id in two manifests",
    "near-sentence": "sentences of two manifests that are nearly equal",
    "related-corpora": "two corpora that share speakers, recordings or texts under other names",
    "accent-not-trained": "an accent that is tested and not trained on",
    "unlike-speech": "a model hears something else than the text",
    "swapped-text": "the text fits what a model hears in another row",
    "shifted-texts": "the texts of many rows belong to rows a fixed number of lines away",
    "not-heard": "could not be given to the model",
    "weak-model": "the model does not understand the manifest, so it cannot judge it",
}
"""Every check by its name, and what a finding of it says."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of defect in one manifest or between two.

    Attributes:
        severity: error (the row cannot be used, or a score would be wrong), warning (look at it) or note (good to know, never a failure).
        check: one of `CHECKS`, to count and filter by.
        manifest: the name of the one that `ids` stand in.
        ids: all utterances concerned. details: what was found for each of them, in the same order, or nothing.
        message: for a person, with values found and allowed, and what to do.
    """

    severity: str
    check: str
    ids: tuple[str, ...]
    message: str
    manifest: str = ""
    details: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


def told(ids: Sequence[str], details: Sequence[str] = ()) -> str:
    """The first three ids in quotes, each with its detail where there is one, and how many more there are."""
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    if not details:
        return ", ".join(f'"{key}"' for key in ids[:SHOWN]) + more
    return "; ".join(f'"{key}" ({detail})' for key, detail in zip(ids[:SHOWN], details, strict=False)) + more


def make_finding(manifest: Manifest, severity: str, check: str, rows: Mapping[str, str] | Iterable[str], fact: str, advice: str) -> Iterator[Finding]:
    """One finding for all rows concerned, or none where there are none.

    Args:
        rows: ids, or details by id.
        fact: what is true of them, as it follows `3 of 9 utterances`. advice: what to do.
    """
    ids = tuple(rows)
    details = tuple(rows.values()) if isinstance(rows, Mapping) else ()
    if ids:
        message = f"{manifest.name}: {len(ids)} of {len(manifest)} utterances {fact}: {told(ids, details)}. {advice}"
        yield Finding(severity=severity, check=check, ids=ids, message=message, manifest=manifest.name, details=details)


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, then warnings, then notes, each in the order they were found."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def write_findings(path: Path, findings: Sequence[Finding], manifests: Sequence[Manifest]) -> int:
    """Write one line per finding and row, with what is needed to listen to it; a finding about no row in particular is one line.

    CSV values that a spreadsheet would take for a formula get an apostrophe before them; JSON Lines hold them as they are.

    Args:
        path: ends in .jsonl or .csv.
        manifests: those that were checked, of different names.

    Returns:
        How many lines were written, without the header.

    Raises:
        MisuseError: another ending. SpeechadaptError: the file cannot be written.
    """
    if path.suffix not in (".jsonl", ".csv"):
        raise MisuseError(f'--out {path}: ends in "{path.suffix}", must end in .jsonl or .csv. Change the name.')
    text = io.StringIO(newline="")
    lines = 0
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if path.suffix == ".csv":
        writer.writeheader()
    for row in _rows(findings, manifests):
        lines += 1
        if path.suffix == ".csv":
            writer.writerow({name: _plain_cell(value) for name, value in row.items()})
        else:
            text.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(path, text.getvalue().encode("utf-8", "replace").decode("utf-8"))  # halves of surrogate pairs have no UTF-8
    return lines


def _rows(findings: Sequence[Finding], manifests: Sequence[Manifest]) -> Iterator[dict[str, Any]]:
    wanted = {(finding.manifest, key) for finding in findings for key in finding.ids}
    places = {(m.name, u.id): (m, u) for m in manifests for u in m if (m.name, u.id) in wanted}
    for finding in sort_findings(findings):
        said = {"severity": finding.severity, "check": finding.check, "manifest": finding.manifest}
        if not finding.ids:
            yield {**dict.fromkeys(COLUMNS), **said, "detail": finding.message}
        for number, key in enumerate(finding.ids):
            detail = finding.details[number] if finding.details else CHECKS[finding.check]
            row: dict[str, Any] = {**dict.fromkeys(COLUMNS), **said, "id": key, "detail": detail}
            if (place := places.get((finding.manifest, key))) is not None:
                m, u = place
                row |= {"audio": _audio(m, u), "offset": u.offset, "duration": u.duration, "speaker": u.speaker, "text": u.text}
            yield row


def _audio(manifest: Manifest, utterance: Utterance) -> str:
    try:
        return str(manifest.audio_path(utterance))
    except ManifestError:  # a path that leaves the folder is shown and not followed
        return utterance.audio_filepath


def _plain_cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
