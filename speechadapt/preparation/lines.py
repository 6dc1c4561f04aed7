"""Lines: files with one JSON object in each line, read without trusting what stands in them."""

import codecs
import gzip
import itertools
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from speechadapt.errors import CorpusError
from speechadapt.preparation.intake import Intake


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
    began = False
    try:
        with _open(path) as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                if not began and line.lstrip().startswith("["):
                    raise CorpusError(f"{path}: one JSON list, expected one JSON object per line. Write it as JSON Lines.")
                began = True
                row = parse_object(line)
                if row is not None:
                    yield number, row
                else:
                    intake.drop(f"{prefix}-line{number}", "broken-line", f"{path}, line {number}: not a JSON object. Correct the line.", split)
    except FileNotFoundError as error:
        raise CorpusError(f"{path}: no such file. Check the path.") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise CorpusError(f"{path}: cannot be unpacked ({error}). Download it again.") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: byte {_first_undecodable(path)} is not UTF-8. Save the file as UTF-8.") from error


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _open(path: Path) -> TextIO:
    """Line by line, as the whole text takes as much memory as all rows; lines end where JSON has no line break in a text: not at U+2028."""
    if _is_packed(path):
        return gzip.open(path, "rt", encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


def _first_undecodable(path: Path) -> int:
    """Its place in the file, from 1; a decoder that reads in pieces knows that of a piece only."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    before = 0
    with gzip.open(path) if _is_packed(path) else path.open("rb") as file:
        for piece in itertools.chain(iter(lambda: file.read(1 << 20), b""), (b"",)):
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                return before - held + error.start + 1
            before += len(piece)
    return before


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
