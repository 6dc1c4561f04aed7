"""Lines: files with one JSON object in each line, read without trusting what stands in them."""

import gzip
import json
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speechadapt.errors import CorpusError
from speechadapt.preparation.intake import Intake

_LINE_END = re.compile(r"\r\n|\r|\n")  # not U+2028 and its like, which may stand inside of a JSON text


def read_json_lines(path: Path, intake: Intake, *, prefix: str, split: str | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file with one in each line, with their line numbers; blank lines are passed over, broken ones dropped and counted.

    Args:
        path: UTF-8, with or without a byte-order mark; unpacked while it is read where its name ends in .gz.
        intake: counts the lines that are no objects, as `broken-line`.
        prefix: of their ids: `PREFIX-line7`.
        split: the official split the lines belong to.

    Raises:
        CorpusError: the file is missing, damaged, not UTF-8, or one JSON list.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
        text = data.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise CorpusError(f"{path}: no such file. Check the path.") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise CorpusError(f"{path}: cannot be unpacked ({error}). Download it again.") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: byte {error.start + 1} is not UTF-8. Save the file as UTF-8.") from error
    if text.lstrip().startswith("["):
        raise CorpusError(f"{path}: one JSON list, expected one JSON object per line. Write it as JSON Lines.")
    for number, line in enumerate(_split(text), start=1):
        if not line.strip():
            continue
        row = parse_object(line)
        if row is not None:
            yield number, row
        else:
            intake.drop(f"{prefix}-line{number}", "broken-line", f"{path}, line {number}: not a JSON object. Correct the line.", split)


def _split(text: str) -> Iterator[str]:
    """One by one, as a list of them would double the memory of a large file."""
    start = 0
    for end in _LINE_END.finditer(text):
        yield text[start : end.start()]
        start = end.end()
    yield text[start:]


def parse_object(line: str) -> dict[str, Any] | None:
    """One line as an object, or None if it is none that could be written again; NaN and infinity, which JSON does not have, become null."""
    try:
        row = json.loads(line, parse_constant=lambda name: None, object_pairs_hook=_share_names)
        if "\\ud" in line.lower():  # half of an escaped pair of surrogates is no character
            json.dumps(row, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):  # also numbers of a thousand digits, and brackets without end
        return None
    return row if isinstance(row, dict) else None


def _share_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are not copied for every line."""
    return {sys.intern(name): value for name, value in pairs}
