"""Journal: which rows of an unfinished preparation are done, so that the next run need not do them again; and the lock on its folder.

    OUT/.prepare/journal.jsonl    first what is being prepared and how, then one line per row as it was stored
    OUT/.prepare/lock             held while a preparation writes into OUT

The folder goes when a preparation ends well. After `kill -9` it is there, and at most the last line of the journal is broken.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import filelock

from speechadapt.audio.storage import Sound
from speechadapt.errors import MisuseError, SpeechadaptError

JOURNAL_FOLDER = ".prepare"
JOURNAL_FILE = "journal.jsonl"
AUDIO_FOLDER = "audio"
LONGEST_LINE = 1 << 20
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")
_FIELDS = ("id", "outcome", "duration", "digest", "reason", "message", "clamped", "flags", "origin", "size")


class Journal:
    """The journal of one preparation, open for more rows; made by `open_journal`.

    Attributes:
        found: rows that an interrupted run had noted in this folder, whether they are used or not; None where there was none.
    """

    def __init__(self, path: Path, file: BinaryIO, done: dict[str, Sound], found: int | None) -> None:
        self.found = found
        self._path, self._file, self._done = path, file, done

    def take(self, row_id: str) -> Sound | None:
        """What the interrupted run noted of a row; asked for once, so that it need not be held for longer."""
        return self._done.pop(row_id, None)

    def add(self, sounds: Iterable[Sound]) -> None:
        """Note rows that are stored.

        Raises:
            SpeechadaptError: the disk is full.
        """
        lines = [json.dumps([getattr(sound, name) for name in _FIELDS]) + "\n" for sound in sounds]
        with _told(self._path):
            self._file.write("".join(lines).encode())
            self._file.flush()


@contextlib.contextmanager
def open_journal(out: Path, about: Mapping[str, Any], *, resume: bool) -> Iterator[Journal]:
    """Lock a folder for one preparation and keep its journal. It goes when the block ends well; when it does not, the journal stays.

    What a killed process left half-written under `out` and `out/audio` is removed.

    Args:
        out: the folder of the preparation, made if it is not there.
        about: what decides the result, as flat JSON values; a run can be gone on with only where all of it is equal.
        resume: go on with an interrupted run; otherwise its journal is replaced.

    Raises:
        MisuseError: another process prepares into `out`; or the interrupted run differs in `about`, and the message names in what.
        SpeechadaptError: the folder cannot be written.
    """
    folder, made = out / JOURNAL_FOLDER, not out.exists()
    path = folder / JOURNAL_FILE
    try:
        with _locked(out, folder), _kept_if_useful(path):
            _remove_half_written(out)
            then, done, whole = _read(path)
            going_on = resume and then is not None
            if resume and then is not None:
                _refuse_another(out, then, dict(about))
            with _told(path):
                file = path.open("r+b" if going_on else "wb")
            with file:
                if going_on:
                    file.truncate(whole)  # without a line that was cut off
                    file.seek(whole)
                else:
                    with _told(path):
                        file.write((json.dumps(about) + "\n").encode())
                        file.flush()
                yield Journal(path, file, done if going_on else {}, len(done) if then is not None else None)
            path.unlink()
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # goes only if nothing is left in it
            if made:
                out.rmdir()


@contextlib.contextmanager
def _kept_if_useful(path: Path) -> Iterator[None]:
    """A journal without a row would only be in the way."""
    try:
        yield
    finally:
        if not _read(path)[1]:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(out: Path, folder: Path) -> Iterator[None]:
    with _told(out):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / "lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise MisuseError(f"{out}: another preparation is writing into it. Wait until it has ended, or choose another folder.") from None
    try:
        yield
    finally:
        (folder / "lock").unlink(missing_ok=True)  # while it is held; who waits for it takes no lock on a file without a name
        lock.release()


def _read(path: Path) -> tuple[dict[str, Any] | None, dict[str, Sound], int]:
    """What a journal is about (None: there is none that can be read), its rows, and how many of its bytes are whole lines."""
    about: dict[str, Any] | None = None
    done: dict[str, Sound] = {}
    whole = 0
    if not path.is_file():
        return None, {}, 0
    with path.open("rb") as lines:
        while (line := lines.readline(LONGEST_LINE)).endswith(b"\n"):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                break
            if about is None:
                if not isinstance(value, dict):
                    break
                about = value
            elif (sound := _sound(value)) is not None:
                done[sound.id] = sound
            else:
                break
            whole += len(line)
    return about, done, whole


def _sound(value: Any) -> Sound | None:
    if not isinstance(value, list) or len(value) != len(_FIELDS):
        return None
    row = dict(zip(_FIELDS, value, strict=True))
    kinds: dict[str, type | tuple[type, ...]] = {"duration": (int, float), "clamped": bool, "flags": list, "size": int}
    if not all(isinstance(row[name], kinds.get(name, str)) for name in _FIELDS):
        return None
    return Sound(**{**row, "flags": tuple(map(str, row["flags"]))})


def _refuse_another(out: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    now = json.loads(json.dumps(now))  # as it was written: tuples are lists there
    names = [name for name in (*then, *(name for name in now if name not in then)) if then.get(name) != now.get(name)]
    differences = [f"{name} was {_shown(then.get(name))}, is {_shown(now.get(name))}" for name in names]
    if differences:
        raise MisuseError(
            f"{out}: --resume goes on with the same preparation only, and the one that was interrupted there differs: {'; '.join(differences)}. "
            "Give what was given then, or begin again without --resume (audio that is there is kept where its recording has not changed)."
        )


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:120]}…"


def _remove_half_written(out: Path) -> None:
    """Temporary files of `atomic_path` in a process that was killed; nobody else writes here while the lock is held."""
    for folder in (out, out / AUDIO_FOLDER):
        if folder.is_dir():
            with os.scandir(folder) as entries:
                left = [entry.path for entry in entries if _TEMPORARY.fullmatch(entry.name)]
            for path in left:
                Path(path).unlink(missing_ok=True)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpeechadaptError(
            f"{path}: could not be written ({error.strerror or error}). Free some space or choose another folder, then run the same command "
            "again with --resume; what was finished is kept."
        ) from error
