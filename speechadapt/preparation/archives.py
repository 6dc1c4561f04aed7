"""Archives: corpora that are kept as they were downloaded, unpacked without trusting what stands in them."""

import errno
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Self

from speechadapt.errors import CorpusError, MisuseError
from speechadapt.files import atomic_folder
from speechadapt.preparation.intake import Intake

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db")
LARGEST_GROWTH = 100
"""Speech grows two to ten times when it is unpacked; what grows a hundred times is no corpus."""
SMALLEST_MEMBER = 512
"""Bytes that even an empty file counts for, so that a million of them are noticed."""
LONGEST_NAME = 255
"""Bytes of one part of a path that usual file systems accept."""
EXTENSIONS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
LONGEST_EXTENSION = 1 << 20
"""Bytes of a header that continues another one, such as a long name; it is read into memory whole."""
LONGEST_PADDING = 1 << 24
BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError),
    *(ValueError, IndexError, OverflowError, MemoryError, NotImplementedError),  # what the standard library makes of senseless headers
)


def is_archive(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES) and path.is_file()


def is_junk(path: PurePosixPath | Path) -> bool:
    """Files that macOS and Windows leave behind, and unfinished downloads."""
    return any(part in JUNK or part.startswith("._") for part in path.parts) or path.suffix == ".tmp"


def archive_stem(path: Path) -> str:
    """The name of an archive without what says that it is one: `train.v2.tar.gz` is `train.v2`."""
    suffix = next((suffix for suffix in ARCHIVE_SUFFIXES if path.name.lower().endswith(suffix)), "")
    return path.name[: len(path.name) - len(suffix)]


def unpack(archive: Path, folder: Path, intake: Intake, *, dry_run: bool = False) -> Path:
    """Unpack a zip or tar file into `folder`, in one step; one that is there already is kept.

    Only regular files are taken. Links, devices, absolute names and names that leave the folder are refused and counted.

    Args:
        archive: .zip, .tar, .tar.gz, .tgz, .tar.bz2 or .tar.xz.
        folder: made by this call, under the folder that is prepared into.
        intake: counts what was refused.
        dry_run: nothing may be written, so only what an earlier run has unpacked can be read.

    Returns:
        `folder`.

    Raises:
        MisuseError: a dry run, and no earlier run has unpacked it.
        CorpusError: missing, broken, locked with a password, or more than a hundred times as large unpacked as packed.
    """
    if folder.is_dir():
        intake.repair("archive unpacked by an earlier run, kept")
        return folder
    if not archive.is_file():
        raise CorpusError(f"{archive}: no such archive. Check the path.")
    if dry_run:
        raise MisuseError(f"{archive}: is packed, and --dry-run writes nothing. Unpack it yourself, or run without --dry-run.")
    with atomic_folder(folder) as temporary:
        try:
            _unpack(archive, temporary, intake)
        except (*BROKEN, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL, errno.ENAMETOOLONG):  # of the disk, not of the data
                raise
            reason = next(iter(str(error).splitlines()), type(error).__name__).strip(" :")
            raise CorpusError(f"{archive}: cannot be unpacked ({reason}). Download it again.") from error
    return folder


def _unpack(archive: Path, folder: Path, intake: Intake) -> None:
    room = max(archive.stat().st_size, 1 << 20) * LARGEST_GROWTH
    for name, size, content in _members(archive, intake):
        room -= max(size, SMALLEST_MEMBER)
        if room < 0:
            raise CorpusError(f"{archive}: over {LARGEST_GROWTH} times as large unpacked as packed, so it is not opened. Check the file.")
        target = folder.joinpath(*name.parts)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_file():
                intake.repair("archive member stands twice, the last one kept")
            with content, target.open("wb") as file:
                shutil.copyfileobj(content, file)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise CorpusError(f'{archive}: "{name}" is a file and a folder at once, so it cannot be unpacked. Download it again.') from error


def _members(archive: Path, intake: Intake) -> Iterator[tuple[PurePosixPath, int, IO[bytes]]]:
    """Name, size and content of every regular file that may be written."""
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as zipped:
            for entry in zipped.infolist():
                kind = stat.S_IFMT(entry.external_attr >> 16)  # 0 where the archive was made on Windows
                if entry.filename.endswith(("/", "\\")) or kind == stat.S_IFDIR:
                    continue
                name = _safe(entry.filename, kind not in (0, stat.S_IFREG), intake)
                if name is None:
                    continue
                if entry.flag_bits & 1:
                    raise CorpusError(f"{archive}: locked with a password. Unpack it yourself and give the folder.")
                yield name, entry.file_size, zipped.open(entry)
        return
    with tarfile.open(archive, tarinfo=_StrictTarInfo) as tarred:
        for member in tarred:
            if member.size < 0:
                raise tarfile.ReadError(f'"{member.name}" has {member.size} bytes')
            if member.isdir() or member.name.endswith("\\"):
                continue
            name = _safe(member.name, not member.isreg(), intake)
            content = tarred.extractfile(member) if name is not None else None
            if name is not None and content is not None:
                yield name, member.size, content
        if tarred.fileobj is not None:
            tarred.fileobj.read(LONGEST_PADDING)  # the checksum of packed data stands at its end


class _StrictTarInfo(tarfile.TarInfo):
    """A header that is damaged or missing is an error; the standard library takes it for the end of the archive and the rest is lost."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read one header of 512 bytes."""
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):  # empty blocks end an archive as they should
                raise
            raise tarfile.ReadError(f"{error}; it is damaged or its end is missing") from error
        if header.size < 0 or (header.type in EXTENSIONS and header.size > LONGEST_EXTENSION):
            raise tarfile.ReadError(f'the header of "{header.name}" claims {header.size} bytes')
        return header


def _safe(given: str, special: bool, intake: Intake) -> PurePosixPath | None:
    """The name, if it stays in the folder and belongs to the corpus."""
    name = PurePosixPath(given.replace("\\", "/"))
    if special:
        intake.repair("archive member refused: a link or a device")
    elif name.is_absolute() or ".." in name.parts or any(_names_drive(part) for part in name.parts):
        intake.repair("archive member refused: its name leaves the folder")
    elif not name.parts or is_junk(name):
        intake.repair("archive member left out: junk of an operating system")
    elif "\0" in given or any(len(part.encode("utf-8", "surrogatepass")) > LONGEST_NAME for part in name.parts):
        intake.repair("archive member refused: no file can have its name")
    else:
        return name
    return None


def _names_drive(part: str) -> bool:
    """`C:` or `C:name`, which starts from the root of a drive on Windows wherever it stands in a path."""
    return part[:1].isalpha() and part[1:2] == ":"
