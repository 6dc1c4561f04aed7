"""Writing files so that a reader, or a crash, never meets half of one; and JSON as we read and write it."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speechadapt.errors import SpeechadaptError


@contextlib.contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it onto `path` when the block ends well, remove it when it does not.

    Args:
        durable: wait until the disk holds the bytes, so that a power cut leaves the old file or the new one. That takes milliseconds; who
            writes thousands of files may leave it out and call `os.sync` once before anything names them.

    Raises:
        SpeechadaptError: the disk is full or the folder cannot be written; what stood at `path` before is untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if durable:
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise SpeechadaptError(
            f"{path}: could not be written ({error.strerror or error}); what was there before is untouched. "
            "Free some space or choose another folder, then run the same command again."
        ) from error
    finally:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            temporary.unlink()


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """The same for a folder: filled under a temporary name, then renamed; an older folder of that name is replaced, and a link followed.

    Raises:
        SpeechadaptError: the disk is full or the folder cannot be written; what stood at `path` before is untouched.
    """
    path = Path(path)
    temporary = None
    try:
        if path.is_symlink():  # it is the folder behind it that is replaced; a link can be renamed, but not removed as a folder
            path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        temporary.chmod(0o755)
        yield temporary
        if path.exists():
            old = path.with_name(f".{path.name}.{os.getpid()}.old")
            path.replace(old)
            temporary.replace(path)
            shutil.rmtree(old)
        else:
            temporary.replace(path)
    except OSError as error:
        raise SpeechadaptError(
            f"{path}: could not be written ({error.strerror or error}); what was there before is untouched. "
            "Free some space or choose another folder, then run the same command again."
        ) from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text in one step that either happens or does not."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write one JSON value, indented, in one step; NaN and infinity are refused because JSON has neither."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read one JSON value.

    Raises:
        SpeechadaptError: the file is missing or is not JSON; the message names the line.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise SpeechadaptError(f"{path}: no such file. Check the path.") from error
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and brackets without end
        raise SpeechadaptError(f"{path}: not valid JSON ({error}). Write the file again.") from error


def read_object(path: Path) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        SpeechadaptError: the file is missing, is not JSON, or holds something else than an object.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise SpeechadaptError(f"{path}: {type(value).__name__}, expected one JSON object. Write the file again.")
    return value


def sha256_of(path: Path) -> str:
    """The hex sha256 of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
