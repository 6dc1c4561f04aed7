"""Archives: corpora that are kept as they were downloaded, unpacked without trusting what stands in them."""

import gzip
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from speechadapt.errors import CorpusError
from speechadapt.files import atomic_folder
from speechadapt.preparation.intake import Intake

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db")
LARGEST_GROWTH = 100
"""Speech grows two to ten times when it is unpacked; what grows a hundred times is no corpus."""


def is_archive(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES) and path.is_file()


def is_junk(path: PurePosixPath | Path) -> bool:
    """Files that macOS and Windows leave behind, and unfinished downloads."""
    return any(part in JUNK or part.startswith("._") for part in path.parts) or path.suffix == ".tmp"


def unpack(archive: Path, folder: Path, intake: Intake) -> Path:
    """Unpack a zip or tar file into `folder`, in one step; one that is there already is kept.

    Only regular files are taken. Links, devices, absolute names and names that leave the folder are refused and counted.

    Args:
        archive: .zip, .tar, .tar.gz, .tgz, .tar.bz2 or .tar.xz.
        folder: made by this call, under the folder that is prepared into.
        intake: counts what was refused.

    Returns:
        `folder`.

    Raises:
        CorpusError: broken, or more than a hundred times as large unpacked as packed.
    """
    if folder.is_dir():
        intake.repair("archive unpacked by an earlier run, kept")
        return folder
    with atomic_folder(folder) as temporary:
        try:
            _unpack(archive, temporary, intake)
        except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise CorpusError(f"{archive}: cannot be unpacked ({error}). Download it again.") from error
    return folder


def _unpack(archive: Path, folder: Path, intake: Intake) -> None:
    room = max(archive.stat().st_size, 1 << 20) * LARGEST_GROWTH
    for name, size, content in _members(archive, intake):
        room -= size
        if room < 0:
            raise CorpusError(f"{archive}: over {LARGEST_GROWTH} times as large unpacked as packed, so it is not opened. Check the file.")
        target = folder.joinpath(*name.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with content, target.open("wb") as file:
            shutil.copyfileobj(content, file)


def _members(archive: Path, intake: Intake) -> Iterator[tuple[PurePosixPath, int, IO[bytes]]]:
    """Name, size and content of every regular file that may be written."""
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as zipped:
            for entry in zipped.infolist():
                linked = (entry.external_attr >> 16) & 0o170000 == 0o120000
                if not entry.is_dir() and (name := _safe(entry.filename, linked, intake)) is not None:
                    yield name, entry.file_size, zipped.open(entry)
        return
    with tarfile.open(archive) as tarred:
        for member in tarred:
            if member.isdir():
                continue
            name = _safe(member.name, not member.isreg(), intake)
            content = tarred.extractfile(member) if name is not None else None
            if name is not None and content is not None:
                yield name, member.size, content


def _safe(given: str, special: bool, intake: Intake) -> PurePosixPath | None:
    """The name, if it stays in the folder and belongs to the corpus."""
    name = PurePosixPath(given.replace("\\", "/"))
    if special:
        intake.repair("archive member refused: a link or a device")
    elif name.is_absolute() or ".." in name.parts or (name.parts and ":" in name.parts[0]):
        intake.repair("archive member refused: its name leaves the folder")
    elif not name.parts or is_junk(name):
        intake.repair("archive member left out: junk of an operating system")
    else:
        return name
    return None
