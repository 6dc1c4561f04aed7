"""Archives: made at run time, hostile ones too; whatever stands in them, nothing is written outside the folder and nothing is lost silently."""

import contextlib
import io
import re
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import Intake, archive_stem, is_archive, is_junk, unpack

GOOD = {"corpus/list.txt": b"one\ntwo\n", "corpus/wav/a.wav": bytes(range(256)) * 40, "corpus/wav/empty.wav": b""}
LEAVES = "archive member refused: its name leaves the folder"
SPECIAL = "archive member refused: a link or a device"
JUNK = "archive member left out: junk of an operating system"
UNNAMEABLE = "archive member refused: no file can have its name"
TWICE = "archive member stands twice, the last one kept"
SUFFIXES = [".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"]
MODES: dict[str, Any] = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def write_archive(path: Path, members: list[tuple[str, bytes]]) -> Path:
    """Members under exactly these names, also where the standard library would mend them."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in members:
                entry = zipfile.ZipInfo("x")
                entry.filename = name
                zipped.writestr(entry, content, zipfile.ZIP_DEFLATED)
        return path
    with tarfile.open(path, MODES["".join(path.suffixes)]) as tarred:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tarred.addfile(member, io.BytesIO(content))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder below others, so that a name that climbs out would be seen."""
    folder = tmp_path / "one/two"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_is_unpacked_and_kept_when_it_is_there(place: Path, suffix: str) -> None:
    archive = write_archive(place / f"corpus{suffix}", list(GOOD.items()))
    assert archive_stem(archive) == archive_stem(Path(f"v1.0/corpus{suffix.upper()}")) == "corpus"
    intake = Intake()
    with pytest.raises(MisuseError, match=rf"corpus{re.escape(suffix)}: is packed, and --dry-run writes nothing"):
        unpack(archive, place / "out/corpus", intake, dry_run=True)
    assert not (place / "out").exists()
    assert unpack(archive, place / "out/corpus", intake) == place / "out/corpus"
    assert contents(place / "out/corpus") == GOOD
    assert intake.repairs == {}
    (place / "out/corpus/mine.txt").write_text("mine")
    archive.unlink()
    unpack(archive, place / "out/corpus", intake, dry_run=True)
    assert contents(place / "out/corpus") == {**GOOD, "mine.txt": b"mine"}
    assert intake.repairs == {"archive unpacked by an earlier run, kept": 1}
    assert [path.name for path in (place / "out").iterdir()] == ["corpus"]


HOSTILE = [
    "../../up.txt", "corpus/../../../up.txt", "corpus/..", "/absolute.txt", "//server/share.txt", "C:\\windows.txt", "C:windows.txt",
    "corpus/D:/windows.txt", "..\\..\\up.txt", "\\absolute.txt", "\\\\server\\share.txt",
]  # fmt: skip


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_names_that_leave_the_folder_are_refused_and_counted(place: Path, tmp_path: Path, suffix: str) -> None:
    before = contents(tmp_path)
    archive = write_archive(place / f"corpus{suffix}", [*((name, b"bad") for name in HOSTILE), *GOOD.items()])
    intake = Intake()
    unpack(archive, place / "out", intake)
    assert intake.repairs == {LEAVES: len(HOSTILE)}
    assert contents(place / "out") == GOOD
    archive.unlink()
    assert contents(tmp_path) == {**before, **{f"one/two/out/{name}": content for name, content in GOOD.items()}}
    assert not Path("/absolute.txt").exists()


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_backslashes_separate_folders(place: Path, suffix: str) -> None:
    members = [("corpus\\", b""), ("corpus\\wav\\a.wav", b"sound"), ("./corpus/./wav/12:30.wav", b"a colon, but no drive")]
    intake = Intake()
    unpack(write_archive(place / f"corpus{suffix}", members), place / "out", intake)
    assert contents(place / "out") == {"corpus/wav/a.wav": b"sound", "corpus/wav/12:30.wav": b"a colon, but no drive"}
    assert intake.repairs == {}


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_junk_and_impossible_names_are_left_out(place: Path, suffix: str) -> None:
    junk = ["__MACOSX/corpus/._a.wav", "corpus/._list.txt", "corpus/.DS_Store", "Thumbs.db", "corpus/b.wav.tmp"]
    members = [*((name, b"junk") for name in junk), ("corpus/" + "n" * 300, b"long"), *GOOD.items()]
    intake = Intake()
    unpack(write_archive(place / f"corpus{suffix}", members), place / "out", intake)
    assert intake.repairs == {JUNK: len(junk), UNNAMEABLE: 1}
    assert contents(place / "out") == GOOD


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_a_path_that_is_too_long_as_a_whole_is_told(place: Path, suffix: str) -> None:
    archive = write_archive(place / f"deep{suffix}", [("/".join(["d" * 200] * 30), b"deep")])
    with pytest.raises(CorpusError, match=r"cannot be unpacked \(.*File name too long"):
        unpack(archive, place / "out", Intake())
    assert [path.name for path in place.iterdir()] == [archive.name]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_links_and_devices_in_tar_are_refused_and_never_followed(place: Path, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "target").mkdir()
    archive = place / f"corpus{suffix}"
    special = [
        (tarfile.SYMTYPE, "corpus/link", str(tmp_path / "target")),
        (tarfile.SYMTYPE, "corpus/up", "../../.."),
        (tarfile.LNKTYPE, "corpus/hard", "/etc/hostname"),
        (tarfile.LNKTYPE, "corpus/hard2", "corpus/list.txt"),
        (tarfile.CHRTYPE, "corpus/char", ""),
        (tarfile.BLKTYPE, "corpus/block", ""),
        (tarfile.FIFOTYPE, "corpus/fifo", ""),
    ]
    with tarfile.open(archive, MODES[suffix]) as tarred:
        for kind, name, link in special:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            tarred.addfile(member)
        for name, content in [("corpus/link/planted.txt", b"planted"), *GOOD.items()]:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o777
            tarred.addfile(member, io.BytesIO(content))
    intake = Intake()
    unpack(archive, place / "out", intake)
    assert intake.repairs == {SPECIAL: len(special)}
    assert contents(place / "out") == {**GOOD, "corpus/link/planted.txt": b"planted"}  # a plain folder of that name
    assert not list((tmp_path / "target").iterdir())
    assert not any(path.is_symlink() for path in (place / "out").rglob("*"))


def test_links_and_devices_in_zip_are_refused(place: Path, tmp_path: Path) -> None:
    archive = place / "corpus.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for name, mode in [("link", stat.S_IFLNK), ("fifo", stat.S_IFIFO), ("folder", stat.S_IFDIR), ("plain.txt", stat.S_IFREG)]:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (mode | 0o644) << 16
            zipped.writestr(entry, str(tmp_path))
        zipped.writestr("link/planted.txt", "planted")
    intake = Intake()
    unpack(archive, place / "out", intake)
    assert intake.repairs == {SPECIAL: 2}
    assert contents(place / "out") == {"plain.txt": str(tmp_path).encode(), "link/planted.txt": b"planted"}


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_name_that_stands_twice_and_one_that_is_a_file_and_a_folder(place: Path, suffix: str) -> None:
    intake = Intake()
    unpack(write_archive(place / f"twice{suffix}", [("a.txt", b"first"), ("a.txt", b"second")]), place / "twice", intake)
    assert (contents(place / "twice"), dict(intake.repairs)) == ({"a.txt": b"second"}, {TWICE: 1})
    for number, names in enumerate([("a", "a/b"), ("a/b", "a")]):
        archive = write_archive(place / f"both{number}{suffix}", [(name, b"x") for name in names])
        with pytest.raises(CorpusError, match=rf'both{number}\{suffix}: "{names[1]}" is a file and a folder at once'):
            unpack(archive, place / "both", Intake())
    assert not (place / "both").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_archives_are_told_wherever_they_end(place: Path, suffix: str) -> None:
    whole = write_archive(place / f"whole{suffix}", [*GOOD.items(), ("corpus/z.txt", b"last")]).read_bytes()
    archive = place / f"cut{suffix}"
    used = len(whole) if suffix != ".tar" else 13_312  # an unpacked tar ends with kilobytes of zeros that nobody needs
    for part in range(16):
        archive.write_bytes(whole[: used * part // 16])
        with pytest.raises(CorpusError, match=rf"cut\{suffix}: cannot be unpacked \(.*\)\. Download it again\."):
            unpack(archive, place / "out", Intake())
    assert sorted(path.name for path in place.iterdir()) == sorted([archive.name, f"whole{suffix}"])


def test_a_damaged_header_is_not_taken_for_the_end(place: Path) -> None:
    archive = write_archive(place / "corpus.tar", [("a.txt", b"a"), ("b.txt", b"b"), ("c.txt", b"c")])
    data = bytearray(archive.read_bytes())
    data[1024 + 3] ^= 0xFF  # in the header of b.txt
    archive.write_bytes(data)
    with pytest.raises(CorpusError, match=r"corpus\.tar: cannot be unpacked \(bad checksum; it is damaged or its end is missing\)"):
        unpack(archive, place / "out", Intake())
    archive.write_bytes(bytes(data[:1024]))  # cut where the next header would begin
    with pytest.raises(CorpusError, match=r"its end is missing"):
        unpack(archive, place / "out", Intake())


def test_a_wrong_checksum_of_packed_data_is_found(place: Path) -> None:
    archive = write_archive(place / "corpus.tar.gz", list(GOOD.items()))
    data = bytearray(archive.read_bytes())
    data[-8] ^= 1
    archive.write_bytes(data)
    with pytest.raises(CorpusError, match="CRC check failed"):
        unpack(archive, place / "out", Intake())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_no_archive_is_told(place: Path, suffix: str) -> None:
    archive = place / f"page{suffix}"
    archive.write_text("<html>Please log in</html>" * 100)
    with pytest.raises(CorpusError, match="cannot be unpacked"):
        unpack(archive, place / "out", Intake())
    with pytest.raises(CorpusError, match="no such archive"):
        unpack(place / f"nowhere{suffix}", place / "out", Intake())
    assert not (place / "out").exists()


def test_an_archive_with_a_password_is_told(place: Path) -> None:
    archive = write_archive(place / "corpus.zip", [("a.txt", b"secret")])
    data = bytearray(archive.read_bytes())
    data[6] |= 1  # the flag of the local header, and below of the central directory
    data[data.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(CorpusError, match=r"corpus\.zip: locked with a password\. Unpack it yourself and give the folder\."):
        unpack(archive, place / "out", Intake())


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.xz"])
def test_a_bomb_is_not_opened(place: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speechadapt.preparation.archives.LARGEST_GROWTH", 2)
    archive = write_archive(place / f"bomb{suffix}", [(f"{part}.wav", bytes(1 << 19)) for part in range(5)])
    assert archive.stat().st_size < 1 << 14
    with pytest.raises(CorpusError, match=r"over 2 times as large unpacked as packed, so it is not opened\. Check the file\."):
        unpack(archive, place / "out", Intake())
    assert [path.name for path in place.iterdir()] == [archive.name]
    monkeypatch.setattr("speechadapt.preparation.archives.LARGEST_GROWTH", 3)
    assert len(contents(unpack(archive, place / "out", Intake()))) == 5


def test_a_million_empty_files_are_a_bomb_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speechadapt.preparation.archives.SMALLEST_MEMBER", 1 << 24)
    archive = write_archive(place / "many.tar.gz", [(f"{part}.wav", b"") for part in range(8)])
    with pytest.raises(CorpusError, match="over 100 times as large"):
        unpack(archive, place / "out", Intake())


def header(name: str, kind: bytes, size: int) -> bytes:
    """One tar header with any size at all, in the base-256 form that also holds negative ones."""
    made = tarfile.TarInfo(name)
    made.type = kind
    block = bytearray(made.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = bytes([0xFF if size < 0 else 0x80]) + struct.pack(">q", size).rjust(11, b"\xff" if size < 0 else b"\0")
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:512]) + 8 * 32)
    return bytes(block)


@pytest.mark.parametrize(
    ("kind", "size"), [(tarfile.REGTYPE, -512), (tarfile.GNUTYPE_LONGNAME, 1 << 40), (tarfile.XHDTYPE, 1 << 40), (tarfile.GNUTYPE_LONGNAME, -512)]
)
def test_headers_with_senseless_sizes_neither_hang_nor_fill_the_memory(place: Path, kind: bytes, size: int) -> None:
    archive = place / "odd.tar"
    archive.write_bytes(header("a.wav", tarfile.REGTYPE, 0) + header("odd.wav", kind, size) + bytes(10_240))
    with pytest.raises(CorpusError, match=rf'the header of "odd\.wav" claims {size} bytes'):
        unpack(archive, place / "out", Intake())


def test_a_negative_size_in_an_extended_header_does_not_hang(place: Path) -> None:
    archive = place / "odd.tar"
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tarred:
        member = tarfile.TarInfo("odd.wav")
        member.pax_headers = {"size": "-1024"}
        tarred.addfile(member)
    with pytest.raises(CorpusError, match=r'"odd\.wav" has -1024 bytes'):
        unpack(archive, place / "out", Intake())


def test_a_disk_that_cannot_be_written_is_no_fault_of_the_archive(place: Path) -> None:
    archive = write_archive(place / "corpus.zip", list(GOOD.items()))
    (place / "file").write_text("in the way")
    with pytest.raises(Exception, match=r"could not be written") as caught:
        unpack(archive, place / "file/out", Intake())
    assert "Download it again" not in str(caught.value)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    folder = tmp_path_factory.mktemp("originals")
    return lambda suffix: write_archive(folder / f"original{suffix}", list(GOOD.items())).read_bytes()


@hypothesis.settings(derandomize=True, deadline=None, max_examples=200, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(data=st.data(), suffix=st.sampled_from(SUFFIXES))
def test_damaged_archives_give_their_files_or_a_clear_error(
    originals: Callable[[str], bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, suffix: str
) -> None:
    damaged = bytearray(originals(suffix))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(min_size=0, max_size=3))
    place = tmp_path_factory.mktemp("fuzz") / "in"
    place.mkdir()
    (place / f"damaged{suffix}").write_bytes(damaged)
    with contextlib.suppress(CorpusError):
        unpack(place / f"damaged{suffix}", place / "out", Intake())
    assert {path.name for path in place.iterdir()} <= {f"damaged{suffix}", "out"}
    assert [path.name for path in place.parent.iterdir()] == ["in"]


def test_archives_and_junk_are_known_by_their_names(tmp_path: Path) -> None:
    for name in ("a.zip", "b.TAR.GZ", "c.tgz", "d.tar"):
        (tmp_path / name).touch()
        assert is_archive(tmp_path / name)
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "a.wav").touch()
    assert not any(is_archive(tmp_path / name) for name in ("folder.zip", "a.wav", "nowhere.zip"))
    assert [name for name in ("a/._b.wav", "._a/b.wav", "__MACOSX/a", "a.tmp", "a/.DS_Store") if not is_junk(PurePosixPath(name))] == []
    assert not is_junk(PurePosixPath("a/_b.wav"))
