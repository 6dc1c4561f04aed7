"""Matrix: which systems are run on which manifests and how they are scored, from one TOML file or from flags."""

import dataclasses
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speechadapt.bench.systems import KINDS, System, Where, check_name, parse_value, read_system
from speechadapt.errors import ManifestError, MisuseError
from speechadapt.score.report import DEFAULT_GROUPS
from speechadapt.text.normalize import get_normalizer

LARGEST_FILE = 1 << 20
KEYS = ("manifests", "systems", "normalizer", "by", "threads")
MANIFEST_KEYS = ("path", "normalizer")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TestSet:
    """One column of the matrix: a manifest's name and path, and its normalizer; None chooses one by the language of its utterances."""

    __test__ = False

    name: str
    path: Path
    normalizer: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A benchmark.

    Attributes:
        systems, manifests: in the order given; names are unique.
        by: fields that scores are grouped by.
        threads: for the computations of each system; None leaves it to each.
    """

    systems: tuple[System, ...]
    manifests: tuple[TestSet, ...]
    by: tuple[str, ...] = DEFAULT_GROUPS
    threads: int | None = None

    def __post_init__(self) -> None:
        if not self.systems:
            raise MisuseError("no system: name one in [systems.NAME] of the bench file, or with --system NAME=KIND:WHAT.")
        if not self.manifests:
            raise MisuseError("no manifest: name them in manifests of the bench file, or with --manifest M.")
        for what, names in (("systems", [s.name for s in self.systems]), ("manifests", [m.name for m in self.manifests])):
            # file systems of Windows and macOS take Tiny and tiny for one name
            twice = [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]
            if twice:
                raise MisuseError(f'{len(twice)} {what} have the name of another, the first is "{twice[0]}"; names must differ, also in lower case.')
        for test_set in self.manifests:
            if not test_set.path.is_file():
                raise ManifestError(f"{test_set.path}: no such manifest. Check the path, or make it with: speechadapt prepare")


def read_matrix(path: Path) -> Matrix:
    """Read a bench file.

    Paths in it start from its own folder, so that it can be called from anywhere.

    Raises:
        MisuseError: it is not TOML, or a key or value is wrong; the message names the line.
        ManifestError: a manifest does not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise MisuseError(f"{path}: no such bench file. Check the path, or describe the benchmark with --system and --manifest.")
    if path.stat().st_size > LARGEST_FILE:
        raise MisuseError(f"{path}: has {path.stat().st_size} bytes, a bench file has at most {LARGEST_FILE}. Give a TOML file.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MisuseError(f"{path}: not TOML ({error}). Correct the file.") from error
    place = _Places(path, text)
    for key in table:
        if key not in KEYS:
            raise MisuseError(f'{place((), key)}: unknown key "{key}"; a bench file has: {", ".join(KEYS)}. Correct the name.')
    folder = path.resolve().parent
    systems = table.get("systems", {})
    if not isinstance(systems, dict) or not all(isinstance(row, dict) for row in systems.values()):
        raise MisuseError(f"{place((), 'systems')}: systems are written as tables. Write one [systems.NAME] for each.")
    normalizer = _text(table, "normalizer", place(()))
    return Matrix(
        systems=tuple(read_system(name, row, folder=folder, where=place.inside("systems", name)) for name, row in systems.items()),
        manifests=tuple(_test_sets(table.get("manifests", []), folder, place, normalizer)),
        by=_by(table, place),
        threads=_threads(table.get("threads"), place((), "threads")),
    )


def matrix_from_flags(
    systems: Sequence[str],
    manifests: Sequence[str],
    *,
    normalizer: str | None = None,
    by: Sequence[str] = DEFAULT_GROUPS,
    threads: int | None = None,
) -> Matrix:
    """A benchmark typed on one line.

    Args:
        systems: `NAME=KIND:WHAT[,key=value…]`, such as `fast=faster-whisper:models/tiny,beam=5`. Without a kind, WHAT is a base
            (transformers) or, if it begins with http:// or https://, an endpoint. A command takes no keys: its commas are its own.
        manifests: paths, or `NAME=PATH`.
        normalizer, by, threads: as in the bench file.

    Raises:
        MisuseError, ManifestError: as `read_matrix`.
    """
    folder = Path.cwd()
    return Matrix(
        systems=tuple(_system_flag(given, folder) for given in systems),
        manifests=tuple(_named(list(manifests), folder, normalizer)),
        by=tuple(by),
        threads=_threads(threads, "--threads"),
    )


def _system_flag(given: str, folder: Path) -> System:
    name, equals, spec = given.partition("=")
    if not equals or not spec:
        raise MisuseError(f"--system {given}: has no {'=' if not equals else 'text behind ='}. Write NAME=KIND:WHAT; kinds are {', '.join(KINDS)}.")
    kind, colon, rest = spec.partition(":")
    if spec.lower().startswith(("http://", "https://")):
        kind, rest = "http", spec
    elif not colon or kind not in KINDS:
        kind, rest = "transformers", spec

    def where(key: str | None) -> str:
        return f"--system {name}"

    first = dataclasses.fields(KINDS[kind].settings)[0].name
    if kind == "command":
        return read_system(name, {"kind": kind, first: rest}, folder=folder, where=where)
    what, *others = rest.split(",")
    table: dict[str, Any] = {"kind": kind} | ({first: what} if what else {})
    for pair in others:
        key, equals, value = pair.partition("=")
        if not equals:
            raise MisuseError(f'--system {name}: "{pair}" behind a comma is no key=value. Correct it, or use a bench file.')
        table[key] = parse_value(kind, key, value, where)
    return read_system(name, table, folder=folder, where=where)


def _test_sets(given: Any, folder: Path, place: "_Places", normalizer: str | None) -> list[TestSet]:
    if isinstance(given, list) and all(isinstance(path, str) and path for path in given):
        return _named(given, folder, normalizer, place((), "manifests"))
    if not isinstance(given, dict):
        raise MisuseError(f'{place((), "manifests")}: manifests is {given!r}, must be a list of paths or a table NAME = "path". Correct it.')
    found = []
    for name, row in given.items():
        where = place.inside("manifests", name)
        at = place(("manifests",), name)
        check_name(name, at, "manifest")
        if isinstance(row, str) and row:
            row = {"path": row}
        if not isinstance(row, dict) or not isinstance(row.get("path"), str):
            raise MisuseError(f'{at}: manifest {name} is {row!r}, must be a path, or a table with "path". Correct it.')
        for key in row:
            if key not in MANIFEST_KEYS:
                raise MisuseError(f'{where(key)}: unknown key "{key}"; a manifest has: {", ".join(MANIFEST_KEYS)}. Correct the name.')
        own = _text(row, "normalizer", at)
        found.append(TestSet(name=name, path=folder / Path(row["path"]).expanduser(), normalizer=own or normalizer))
    return found


def _named(given: Sequence[str], folder: Path, normalizer: str | None, place: str = "--manifest") -> list[TestSet]:
    """Paths with names: a name given before `=`, else the stem, or folder and stem where stems repeat."""
    pairs = []
    for text in given:
        name, equals, path = text.partition("=")
        pairs.append((name, path) if equals and not (folder / text).is_file() else ("", text))
    stems = Counter(Path(path).stem for name, path in pairs if not name)
    found = []
    for name, path in pairs:
        whole = folder / Path(path).expanduser()
        chosen = name or (whole.stem if stems[whole.stem] == 1 else f"{whole.resolve().parent.name}-{whole.stem}")
        check_name(chosen, place, "manifest")
        found.append(TestSet(name=chosen, path=whole, normalizer=normalizer))
    if normalizer is not None:
        get_normalizer(normalizer)
    return found


def _by(table: Mapping[str, Any], place: "_Places") -> tuple[str, ...]:
    by = table.get("by", list(DEFAULT_GROUPS))
    if not isinstance(by, list) or not all(isinstance(field, str) and field for field in by):
        raise MisuseError(f'{place((), "by")}: by is {by!r}, must be a list of fields, such as ["accent", "gender"]. Correct it.')
    return tuple(dict.fromkeys(by))


def _threads(given: Any, place: str) -> int | None:
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
        raise MisuseError(f"{place}: threads is {given!r}, must be a whole number of 1 or more. Correct it or leave it out.")
    return given


def _text(table: Mapping[str, Any], key: str, place: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise MisuseError(f"{place}: {key} is {value!r}, must be text in quotes. Correct it.")
    if value is not None:
        try:
            get_normalizer(value)
        except MisuseError as error:
            raise MisuseError(f"{place}: {error}") from error
    return value


class _Places:
    """Where a key stands in the file; tomllib does not tell, so the lines are searched for its table's head and its own name."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines: dict[tuple[str, ...], int] = {}
        table: tuple[str, ...] = ()
        for number, line in enumerate(text.splitlines(), start=1):
            if head := re.match(r"\s*\[+([^\]]*)\]", line):
                table = tuple(_keys(head[1]))
                self.lines.setdefault(table, number)
            elif pair := re.match(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=", line):
                keys = (*table, *_keys(pair[1]))
                self.lines.setdefault(keys, number)
                if inline := re.search(r"\{(.*)\}", line):
                    for inner in re.findall(r"([\w-]+)\s*=", inline[1]):
                        self.lines.setdefault((*keys, inner), number)

    def __call__(self, table: tuple[str, ...], key: str | None = None) -> str:
        """`bench.toml, line 7, [systems.tiny]`, as far as it is known."""
        wanted = table if key is None else (*table, key)
        line = self.lines.get(wanted) or self.lines.get(table)
        head = f", [{'.'.join(table)}]" if table else ""
        return f"{self.path}{f', line {line}' if line else ''}{head}"

    def inside(self, *table: str) -> Where:
        """The places of one table."""
        return lambda key: self(table, key)


def _keys(dotted: str) -> list[str]:
    return [bare or double or single for bare, double, single in re.findall(r"([\w-]+)|\"([^\"]*)\"|'([^']*)'", dotted)]
