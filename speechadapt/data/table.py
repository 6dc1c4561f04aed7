"""Table: a CSV or TSV file with a header, every value kept as text. Only the empty string is missing; `NA` and `007` are data."""

import csv
import dataclasses
import io
from pathlib import Path

from speechadapt.errors import CorpusError

DELIMITERS = {"tab": "\t", "pipe": "|", "semicolon": ";", "comma": ","}
QUOTINGS = ("standard", "none")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What was read, and how it was read.

    Attributes:
        header: column names, without outer blanks.
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


def read_table(path: Path, *, encoding: str | None = None, delimiter: str | None = None, quoting: str | None = None) -> Table:
    """Read a table.

    Args:
        path: CSV, TSV or the like, with a header line.
        encoding: None finds it: a byte-order mark, else UTF-8, else Windows' cp1252.
        delimiter: tab, pipe, semicolon or comma; None takes the first of them that stands in the header, in this order.
        quoting: standard (`"` around values, doubled inside) or none; None takes none for tabs and standard otherwise.

    Raises:
        CorpusError: the file is missing, cannot be decoded, has no header, or a column stands twice in it.
    """
    if not path.is_file():
        raise CorpusError(f"{path}: no such table. Give a CSV or TSV file with a header line.")
    text, encoding = _decode(path, encoding)
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise CorpusError(f"{path}: empty, expected a header line and rows. Check the file.")
    delimiter = delimiter or next((name for name, letter in DELIMITERS.items() if letter in lines[0]), "comma")
    quoting = quoting or ("none" if delimiter == "tab" else "standard")
    for name, value, allowed in (("delimiter", delimiter, tuple(DELIMITERS)), ("quoting", quoting, QUOTINGS)):
        if value not in allowed:
            raise CorpusError(f'{path}: {name} "{value}", must be one of {", ".join(allowed)}. Correct the setting.')
    header, rows, broken = _parse(path, text, DELIMITERS[delimiter], quoting)
    return Table(header=header, rows=rows, broken=broken, encoding=encoding, delimiter=delimiter, quoting=quoting, physical_lines=len(lines))


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


def _parse(path: Path, text: str, delimiter: str, quoting: str) -> tuple[tuple[str, ...], Rows, tuple[tuple[int, int], ...]]:
    lines = io.StringIO(text, newline="")
    plain = quoting == "none"
    reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE) if plain else csv.reader(lines, delimiter=delimiter)
    rows, broken = [], []
    header: tuple[str, ...] = ()
    try:
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if not header:
                header = _header(path, values)
            elif len(values) != len(header):
                broken.append((reader.line_num, len(values)))
            else:
                rows.append((reader.line_num, dict(zip(header, values, strict=True))))
    except csv.Error as error:
        raise CorpusError(f"{path}, line {reader.line_num}: {error}. A quote that is never closed? Try the quoting none.") from error
    return header, tuple(rows), tuple(broken)


def _header(path: Path, values: list[str]) -> tuple[str, ...]:
    header = tuple(value.strip() for value in values)
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise CorpusError(f'{path}: the column "{repeated[0]}" stands {header.count(repeated[0])} times in the header. Rename one of them.')
    return header
