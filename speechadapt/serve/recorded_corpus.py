"""Recorded corpus: a folder that people speak into, `metadata.csv` and `audio/`, complete on disk after every take.

`speechadapt prepare table OUT/metadata.csv DATA` goes on from it. Everything is written in one step or not at all: first the recording under a
new name, then the table that names it, then the take it replaces is removed.
"""

import contextlib
import csv
import dataclasses
import io
import re
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from speechadapt.audio.waveform import write_flac
from speechadapt.data.table import read_table
from speechadapt.errors import CorpusError, MisuseError, SpeechadaptError
from speechadapt.files import read_object, write_json, write_text
from speechadapt.serve.prompts import Prompt
from speechadapt.serve.take import Take
from speechadapt.units import Seconds

TABLE = "metadata.csv"
AUDIO = "audio"
RECORD = "record.json"
LOCK = ".record.lock"
FORMAT = 1
LABELS = ("accent", "language", "gender", "age", "l1", "region")
# not `session`: what was recorded together is kept in one part of a corpus, and here train and test are meant to be of one session
COLUMNS = ("audio_filepath", "text", "id", "speaker", *LABELS, "split", "prompt", "recording_session", "recorded_at", "quality")
SECONDS = "seconds"
"""Of the take; a column named `duration` would be taken for the length of a segment."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerLabels:
    """Who speaks, in the words of a manifest; an empty label is unknown.

    Raises:
        MisuseError: no name, or a label that is too long or holds what cannot be printed.
    """

    speaker: str
    accent: str = ""
    language: str = ""
    gender: str = ""
    age: str = ""
    l1: str = ""
    region: str = ""

    def __post_init__(self) -> None:
        if not self.speaker.strip():
            raise MisuseError("--speaker: empty. Give a name or initials.")
        for name in ("speaker", *LABELS):
            value = getattr(self, name)
            if len(value) > 64 or not value.isprintable():
                raise MisuseError(f"--{name}: {len(value)} characters, at most 64 printable ones are possible. Shorten it.")

    @property
    def given(self) -> dict[str, str]:
        """Every label that is known, without the name."""
        return {name: value for name in LABELS if (value := getattr(self, name))}


class RecordedCorpus:
    """The takes of one speaker in a folder that may hold those of others too. Safe to use from several threads; made by `open_recorded`."""

    def __init__(self, folder: Path, prompts: Sequence[Prompt], labels: SpeakerLabels, rows: list[dict[str, str]], record: dict[str, Any]) -> None:
        self.folder = folder
        self.labels = labels
        self.session = _now().replace(":", "").replace("-", "")
        self.prompts = {prompt.id: prompt for prompt in prompts}
        self._rows = rows
        self._record = record
        self._lock = threading.Lock()
        self._order = {prompt.id: number for number, prompt in enumerate(prompts)}

    @property
    def table(self) -> Path:
        """`OUT/metadata.csv`."""
        return self.folder / TABLE

    @property
    def done(self) -> dict[str, dict[str, str]]:
        """This speaker's kept takes as rows of the table, by prompt id; those of prompts that are no longer in the list too."""
        with self._lock:
            return {row["prompt"]: dict(row) for row in self._rows if row["speaker"] == self.labels.speaker}

    @property
    def seconds(self) -> Seconds:
        """Of this speaker's kept takes."""
        return sum(_seconds(row.get(SECONDS, "")) for row in self.done.values())

    def consent(self, text: str) -> str | None:
        """When this speaker last agreed to this very text; None if not, or if the last answer was no."""
        with self._lock:
            answers = [one for one in self._record["consents"] if one.get("speaker") == self.labels.speaker and one.get("text") == text]
        return str(answers[-1].get("time")) if answers and answers[-1].get("given") is True else None

    def answer(self, text: str, *, given: bool) -> None:
        """Save this speaker's answer to a consent text.

        Raises:
            SpeechadaptError: it cannot be written.
        """
        said = {"speaker": self.labels.speaker, "session": self.session, "time": _now(), "given": given, "text": text}
        with self._lock:
            record = {**self._record, "consents": [*self._record["consents"], said]}
            write_json(self.folder / RECORD, record)
            self._record = record

    def keep(self, prompt: Prompt, take: Take) -> dict[str, str]:
        """Put a take into the corpus, in place of an earlier one of the same prompt; on disk when it returns.

        Returns:
            Its row of the table.

        Raises:
            SpeechadaptError: it cannot be written; what was there before is as it was.
        """
        with self._lock:
            key = f"{self.labels.speaker}-{prompt.id}"
            readings = [row for row in self._rows if row["prompt"] == prompt.id]
            earlier = next((row for row in readings if row["speaker"] == self.labels.speaker), None)
            path = self._new_path(key)
            row = {
                **dict.fromkeys(COLUMNS, ""),
                "audio_filepath": f"{AUDIO}/{path.name}",
                "text": prompt.text,
                "id": key,
                "speaker": self.labels.speaker,
                **self.labels.given,
                "split": (earlier or readings[0])["split"] if readings else prompt.split,  # as anyone's, even if the list has changed
                "prompt": prompt.id,
                "recording_session": self.session,
                "recorded_at": _now(),
                "quality": " ".join(found.name for found in take.findings),
                SECONDS: f"{take.duration:.3f}",
            }
            rows = [one for one in self._rows if one is not earlier] + [row]
            rows.sort(key=lambda one: (one["speaker"], self._order.get(one["prompt"], len(self._order)), one["prompt"]))
            write_flac(path, take.samples, take.sampling_rate)
            try:
                write_text(self.table, _as_csv(rows))
            except SpeechadaptError:
                path.unlink(missing_ok=True)
                raise
            self._rows = rows
            if earlier is not None:
                with contextlib.suppress(OSError):
                    self._audio(earlier).unlink(missing_ok=True)
            return dict(row)

    def audio(self, prompt: Prompt) -> bytes | None:
        """The kept recording of a prompt as FLAC, or None."""
        row = self.done.get(prompt.id)
        return None if row is None else self._audio(row).read_bytes()

    def _audio(self, row: dict[str, str]) -> Path:
        return self.folder / AUDIO / Path(row["audio_filepath"]).name

    def _new_path(self, key: str) -> Path:
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", key)[:90]
        number = 1
        while (path := self.folder / AUDIO / f"{stem}-{number}.flac").exists():
            number += 1
        return path


@contextlib.contextmanager
def open_recorded(
    out: Path, prompts: Sequence[Prompt], labels: SpeakerLabels, *, list_language: str = ""
) -> Iterator[tuple[RecordedCorpus, list[str]]]:
    """Begin a recorded corpus in a new or empty folder, or go on with one; no one else records into it meanwhile.

    Labels that are not given are those the speaker had before; a language that was never given is `list_language`, that of the prompts.

    Returns:
        The corpus, and notes on what was found.

    Raises:
        MisuseError: `out` holds something else, another `speechadapt record` uses it, or a label differs from what it was.
        CorpusError: its table is broken.
        SpeechadaptError: it cannot be written.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise MisuseError(f"{out}: a file, expected a folder to record into. Choose another name.")
    if out.is_dir() and not (out / RECORD).is_file() and any(path.name != LOCK for path in out.iterdir()):
        raise MisuseError(f"{out}: holds something else, as there is no {RECORD} in it. Choose a new or an empty folder.")
    try:
        (out / AUDIO).mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(out / LOCK)
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise MisuseError(f"{out}: another speechadapt record is using it. Stop that one first, or choose another folder.") from error
    except OSError as error:
        raise SpeechadaptError(f"{out}: cannot be written ({error.strerror or error}). Free some space or choose another folder.") from error
    try:
        record = _read_record(out)
        labels = _settle_labels(out, record, labels, list_language)
        unfinished = _remove_unfinished(out)
        rows, notes = _read_rows(out)
        notes = [*unfinished, *notes]
        write_json(out / RECORD, record)
        yield RecordedCorpus(out, prompts, labels, rows, record), notes
    finally:
        lock.release()


def _remove_unfinished(out: Path) -> list[str]:
    """What a program that was killed was writing; nobody writes here while we hold the lock."""
    found = [path for pattern in (f"{AUDIO}/.*.flac.*.tmp", f".{TABLE}.*.tmp", f".{RECORD}.*.tmp") for path in sorted(out.glob(pattern))]
    for path in found:
        with contextlib.suppress(OSError):
            path.unlink()
    return [f"{out}: {len(found)} unfinished files of a recording that was broken off; they are removed."] if found else []


def _read_record(out: Path) -> dict[str, Any]:
    path = out / RECORD
    record: dict[str, Any] = read_object(path) if path.is_file() else {"format": FORMAT, "speakers": {}, "consents": []}
    sound = isinstance(record.get("speakers"), dict) and isinstance(record.get("consents"), list)
    sound = sound and all(isinstance(one, dict) for one in (*record["speakers"].values(), *record["consents"]))
    if record.get("format") != FORMAT or not sound:
        raise MisuseError(f"{path}: not the record of a recorded corpus of format {FORMAT}. Choose another folder.")
    return record


def _settle_labels(out: Path, record: dict[str, Any], labels: SpeakerLabels, list_language: str) -> SpeakerLabels:
    """What was said of a speaker stays true; what was not said yet may be added."""
    before = {name: str(value) for name, value in record["speakers"].get(labels.speaker, {}).items() if name in LABELS}
    for name, value in labels.given.items():
        if before.get(name, value) != value:
            raise MisuseError(
                f'{out}: {name} of speaker "{labels.speaker}" was "{before[name]}", now it is "{value}". Leave --{name} out, '
                "or give another --speaker."
            )
    together = {**({"language": list_language} if list_language else {}), **before, **labels.given}
    record["speakers"][labels.speaker] = together
    return SpeakerLabels(speaker=labels.speaker, **together)


def _read_rows(out: Path) -> tuple[list[dict[str, str]], list[str]]:
    path = out / TABLE
    notes = []
    rows: list[dict[str, str]] = []
    if path.is_file():
        table = read_table(path)
        needed = ("audio_filepath", "text", "id", "speaker", "split", "prompt")
        lacking = [name for name in needed if name not in table.header]
        if lacking or table.broken:
            what = f"no column {', '.join(lacking)}" if lacking else f"line {table.broken[0][0]} has {table.broken[0][1]} values"
            raise CorpusError(f"{path}: {what}; it was written by speechadapt record and changed since. Put it right, or record into another folder.")
        rows = [dict(row) for _, row in table.rows]
        there = [row for row in rows if (out / AUDIO / Path(row["audio_filepath"]).name).is_file()]
        if len(there) < len(rows):
            notes.append(f"{path}: {len(rows) - len(there)} rows name a recording that is not there; they are left out with the next take.")
        rows = there
    named = {Path(row["audio_filepath"]).name for row in rows}
    loose = sorted(found.name for found in (out / AUDIO).glob("*.flac") if found.name not in named)
    if loose:
        notes.append(f"{out / AUDIO}: {len(loose)} recordings are in no row of the table, the first is {loose[0]}; they are left where they are.")
    return rows, notes


def _as_csv(rows: Sequence[dict[str, str]]) -> str:
    """With every column that any row has: people may add their own."""
    columns = dict.fromkeys([*COLUMNS, SECONDS, *(name for row in rows for name in row)])
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _seconds(text: str) -> Seconds:
    """People may open the table in a spreadsheet, which may write 1,5; the length is shown, not reckoned with."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value < float("inf") else 0.0


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
