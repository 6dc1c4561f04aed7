"""Table: a CSV or TSV file with a header, every value kept as text. Only the empty string is missing; `NA` and `007` are data."""

import csv
import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from speechadapt.errors import CorpusError

DELIMITERS = {"tab": "\t", "pipe": "|", "semicolon": ";", "comma": ","}
QUOTINGS = ("standard", "none")
REPEATED = ("refuse", "first")
LONGEST_LINE = 1 << 20
"""Characters of one line of a table that is read line by line; beyond it, it is no line of a table of utterances."""

SHARED = 1 << 12
"""Values of a table that are remembered while it is read."""

_LINE_END = re.compile(r"\r\n|\r|\n")  # not U+2028 and its like, which stand inside of values
_UNDECODABLE = re.compile("[\udc80-\udcff]")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What was read, and how it was read.

    Attributes:
        header: column names, without outer blanks, each once.
        rows: (number of the physical line where the row ends, values by column); a row with too many or too few values is in `broken`.
        broken: (line, number of values).
        encoding, delimiter, quoting: as found or as asked for.
        physical_lines: of the file, the header included, blank lines not.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]
    broken: tuple[tuple[int, int], ...]
    encoding: str
    delimiter: str
    quoting: str
    physical_lines: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TableLine:
    """One line of a table that is read line by line.

    Attributes:
        number: of the physical line; the header is line 1.
        values: by column; empty for a line that cannot be read.
        defect: why it cannot: wrong-columns, not-utf-8 or line-too-long; empty for a good line.
        found: the defect in words, with what was found and what was expected.
    """

    number: int
    values: dict[str, str]
    defect: str = ""
    found: str = ""


def read_table(
    path: Path, *, encoding: str | None = None, delimiter: str | None = None, quoting: str | None = None, repeated: str = "refuse"
) -> Table:
    """Read a table.

    Args:
        path: CSV, TSV or the like, with a header line.
        encoding: None finds it: a byte-order mark, else UTF-8, else Windows' cp1252.
        delimiter: tab, pipe, semicolon or comma; None takes the first of them that stands in the header, in this order.
        quoting: standard (`"` around values, doubled inside) or none; None takes none for tabs and standard otherwise.
        repeated: what to do where a column stands twice in the header: refuse the table, or take the first of them.

    Raises:
        CorpusError: the file is missing, cannot be decoded, has no header, or a column stands twice in it and that is refused.
    """
    if not path.is_file():
        raise CorpusError(f"{path}: no such table. Give a CSV or TSV file with a header line.")
    text, encoding = _decode(path, encoding)
    first, physical_lines = _count_lines(text)
    if not physical_lines:
        raise CorpusError(f"{path}: empty, expected a header line and rows. Check the file.")
    delimiter = delimiter or next((name for name, letter in DELIMITERS.items() if letter in first), "comma")
    quoting = quoting or ("none" if delimiter == "tab" else "standard")
    for name, value, allowed in (("delimiter", delimiter, tuple(DELIMITERS)), ("quoting", quoting, QUOTINGS), ("repeated", repeated, REPEATED)):
        if value not in allowed:
            raise CorpusError(f'{path}: {name} "{value}", must be one of {", ".join(allowed)}. Correct the setting.')
    header, rows, broken = _parse(path, text, DELIMITERS[delimiter], quoting, repeated)
    return Table(header=header, rows=rows, broken=broken, encoding=encoding, delimiter=delimiter, quoting=quoting, physical_lines=physical_lines)


def stream_tsv(path: Path, *, required: Sequence[str] = (), repeated: str = "refuse") -> Iterator[TableLine]:
    """Read a large table of tabs line by line: UTF-8, a header, no quoting, every line a row whatever quotes stand in it.

    Blank lines are passed over. Where a line has too many values, a tab after a backslash is taken for a part of its value.

    Args:
        path: read as it is iterated over, so that nothing but the current line is held.
        required: columns that must be there.
        repeated: what to do where a column stands twice in the header: refuse the table, or take the first of them.

    Raises:
        CorpusError: the file is missing, its header is not UTF-8, lacks a required column, or repeats one and that is refused.
    """
    if not path.is_file():
        raise CorpusError(f"{path}: no such table. Give a TSV file with a header line.")
    with path.open("rb") as file:
        newline = "\n" if b"\n" in file.read(1 << 16) else None  # a lone carriage return ends a line only where nothing else does
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline=newline) as text:
        lines = _lines(text)
        first = next(lines, None)
        if first is None:
            raise CorpusError(f"{path}: empty, expected a header line and rows. Check the file.")
        if _UNDECODABLE.search(first[1]):
            raise CorpusError(f"{path}: its header is not UTF-8. Save the table as UTF-8.")
        names = first[1].split("\t")
        columns = _columns(path, names, repeated)
        lacking = [name for name in required if name not in columns]
        if lacking:
            raise CorpusError(f"{path}: no column {', '.join(lacking)}; found {', '.join(columns)[:200]}. Check that this is the right table.")
        for number, line in tqdm(lines, desc=path.name, unit=" lines", disable=None, delay=2, leave=False):  # seen only where it takes long
            yield _stream_line(number, line, len(names), columns)


def _lines(text: TextIO) -> Iterator[tuple[int, str]]:
    """Number and content of every line that is not blank; of one that is too long its beginning, longer than any that is not."""
    number = 0
    while line := text.readline(LONGEST_LINE + 2):
        number += 1
        rest = line
        while len(rest) == LONGEST_LINE + 2 and not rest.endswith("\n"):
            rest = text.readline(LONGEST_LINE + 2)
        if line.strip():
            yield number, line.removesuffix("\n").removesuffix("\r")


def _stream_line(number: int, line: str, width: int, columns: dict[str, int]) -> TableLine:
    if len(line) > LONGEST_LINE:
        return TableLine(number=number, values={}, defect="line-too-long", found=f"over {LONGEST_LINE} characters in one line")
    if not line.isascii() and (bad := _UNDECODABLE.search(line)):
        found = f"byte {ord(bad[0]) - 0xDC00:#04x} at character {bad.start() + 1} is not UTF-8"
        return TableLine(number=number, values={}, defect="not-utf-8", found=found)
    values = line.split("\t")
    if len(values) > width and "\\\t" in line:
        values = re.split(r"(?<!\\)\t", line)
    if len(values) != width:
        return TableLine(number=number, values={}, defect="wrong-columns", found=f"{len(values)} values for {width} columns")
    return TableLine(number=number, values={name: values[place] for name, place in columns.items()})


def undo_quoting(published: str) -> str:
    """A value without what writers of tables left in it, for tables that are read without quoting.

    A backslash before a tab, a quote or a backslash goes; doubled quotes are single again, and quotes around the whole go where they stood
    there for the doubling only.
    """
    text = re.sub(r'\\([\t"\\])', r"\1", published)
    inner = text[1:-1]
    if len(text) > 2 and text[0] == text[-1] == '"' and '""' in inner and '"' not in inner.replace('""', ""):
        text = inner
    return text.replace('""', '"')


def share_values() -> Callable[[str], str]:
    """A function that gives back an equal text it was given shortly before, if there is one: corpora repeat speakers, accents and splits."""
    return functools.lru_cache(maxsize=SHARED)(str)


def _count_lines(text: str) -> tuple[str, int]:
    """The first line that is not blank, and how many there are."""
    first, count = "", 0
    for line in _split(text):
        if line.strip():
            first, count = first if count else line, count + 1
    return first, count


def _split(text: str) -> Iterator[str]:
    """Lines with their ends, one by one: a list of them, or a `StringIO`, which holds four bytes a letter, would be larger than the table."""
    start = 0
    for end in _LINE_END.finditer(text):
        yield text[start : end.end()]
        start = end.end()
    if start < len(text):
        yield text[start:]


def _decode(path: Path, encoding: str | None) -> tuple[str, str]:
    data = path.read_bytes()
    if encoding is None:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            encoding = "utf-16"
        elif data[1:2] == b"\0" or data[:1] == b"\0":  # Latin letters in UTF-16 without a mark: every other byte is zero
            encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
        else:
            encoding = "utf-8-sig" if _is_utf8(data) else "cp1252"
    try:
        return data.decode(encoding), encoding
    except (UnicodeDecodeError, LookupError) as error:
        raise CorpusError(f"{path}: cannot be read as {encoding} ({error}). Save it as UTF-8, or name its encoding.") from error


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return True


Rows = tuple[tuple[int, dict[str, str]], ...]


def _parse(path: Path, text: str, delimiter: str, quoting: str, repeated: str) -> tuple[tuple[str, ...], Rows, tuple[tuple[int, int], ...]]:
    lines = _split(text)
    plain = quoting == "none"
    reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE) if plain else csv.reader(lines, delimiter=delimiter)
    rows, broken = [], []
    columns: dict[str, int] = {}
    width = 0
    share = share_values()
    try:
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if not columns:
                columns, width = _columns(path, values, repeated), len(values)
            elif len(values) != width:
                broken.append((reader.line_num, len(values)))
            else:
                rows.append((reader.line_num, {name: share(values[place]) for name, place in columns.items()}))
    except csv.Error as error:
        raise CorpusError(f"{path}, line {reader.line_num}: {error}. A quote that is never closed? Try the quoting none.") from error
    return tuple(columns), tuple(rows), tuple(broken)


def _columns(path: Path, values: list[str], repeated: str) -> dict[str, int]:
    """Where each column stands; of one that stands twice, the first."""
    header = [value.strip() for value in values]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice and repeated == "refuse":
        raise CorpusError(f'{path}: the column "{twice[0]}" stands {header.count(twice[0])} times in the header. Rename one of them.')
    return {name: header.index(name) for name in header}
