"""Lists: text files with a key and a value in each line, as Kaldi writes them, read without trusting what stands in them."""

import math
import re
from pathlib import Path

from speechadapt.errors import AudioError, CorpusError
from speechadapt.preparation.intake import Intake
from speechadapt.units import Seconds


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines that are not blank, with their numbers, whatever ends them; a file that is not there has none.

    Raises:
        CorpusError: not UTF-8.
    """
    if not path.is_file():
        return []
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: cannot be read as UTF-8 ({error}). Save it as UTF-8, or download it again.") from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(number, line.strip(" \t")) for number, line in enumerate(lines, start=1) if line.strip(" \t")]


def parse_line(line: str) -> tuple[str, str]:
    """Key and value: the first blank or tab separates them; the value may be empty and may hold blanks."""
    key, *rest = re.split("[ \t]+", line.strip(" \t"), maxsplit=1)
    return key, rest[0] if rest else ""


def read_list(path: Path, intake: Intake) -> dict[str, str]:
    """A whole list by key; of a key that stands twice the first line is kept and the others are counted.

    Raises:
        CorpusError: not UTF-8.
    """
    table: dict[str, str] = {}
    for _, line in read_lines(path):
        key, value = parse_line(line)
        if key in table:
            intake.repair(f"{path.name}: key stands twice, the first line is kept")
        table.setdefault(key, value)
    return table


def parse_segment(value: str) -> tuple[str, Seconds, Seconds]:
    """Recording, start and end of `RECORDING START END`.

    Raises:
        AudioError: reason `out-of-range`: not three words, or what `parse_span` refuses.
    """
    words = value.split()
    if len(words) != 3:
        raise AudioError("out-of-range", f'"{value[:80]}" is not "RECORDING START END". Correct the line.')
    return words[0], *parse_span(words[1], words[2])


def parse_span(first: str, last: str) -> tuple[Seconds, Seconds]:
    """Start and end in seconds.

    Raises:
        AudioError: reason `out-of-range`: not numbers, negative, or an end that is not after the start.
    """
    try:
        start, end = float(first), float(last)
    except ValueError:
        start = end = math.nan
    if not 0 <= start < end < math.inf:
        raise AudioError("out-of-range", f'"{first[:40]}" to "{last[:40]}" is no time span in seconds that begins at 0 or later. Correct the times.')
    return start, end
