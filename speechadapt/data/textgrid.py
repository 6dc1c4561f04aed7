"""TextGrid: the annotation files of Praat, long or short text, in whatever encoding Praat or its relatives wrote them.

Both text forms hold the same values in the same order, and Praat itself reads nothing but free-standing numbers, texts in double quotes
and `<flags>`; the names around them are for people. So does this reader. The beginning of a long and of a short file:

    File type = "ooTextFile"                File type = "ooTextFile"
    Object class = "TextGrid"               "TextGrid"

    xmin = 0                                0
    xmax = 2.3                              2.3
    tiers? <exists>                         <exists>
    size = 1                                1
"""

import codecs
import dataclasses
import math
import re
from collections.abc import Iterator
from pathlib import Path

from speechadapt.errors import CorpusError
from speechadapt.units import Seconds

LARGEST_FILE = 64 * 2**20
"""Bytes; ten hours of speech with every phone labeled stay below it."""

BINARY = b"ooBinaryFile"
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
C1_CONTROLS = frozenset(range(0x80, 0xA0))
INTERVALS, POINTS = "IntervalTier", "TextTier"

# A comment begins with an exclamation mark that begins a word. Quotes inside a text are doubled, and a text may go over several lines.
_TOKEN = re.compile(r'![^\n]*|"(?P<text>(?:[^"]++|"")*+)(?P<closed>"?)|(?P<word>[^\s"]+)')
_NUMBER = re.compile(r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?%?", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One label and its time in seconds, as written; a point begins and ends at the same time."""

    start: Seconds
    end: Seconds
    text: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A named row of labels.

    Attributes:
        name: as written; names may repeat in a file.
        points: whether its labels mark points, which last no time and cannot be cut out of a recording.
        intervals: in the order of the file, silences (empty labels) included.
    """

    name: str
    points: bool
    intervals: tuple[Interval, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TextGrid:
    """One annotation file: its time domain in seconds, its tiers, and the encoding it was read with."""

    start: Seconds
    end: Seconds
    tiers: tuple[Tier, ...]
    encoding: str


def read_textgrid(path: Path, *, encoding: str | None = None) -> TextGrid:
    """Read a text TextGrid.

    Args:
        path: the file.
        encoding: None finds it: a byte-order mark, else UTF-8, else Latin-1 (told in `TextGrid.encoding`; a Mac's own encoding must be named).

    Raises:
        CorpusError: missing, too large, binary, chronological or another object of Praat, undecodable, broken off, or longer than its counts of
            tiers and labels say; the message names the line.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise CorpusError(f"{path}: {path.stat().st_size} bytes, a TextGrid has at most {LARGEST_FILE}. Check the file.")
        data = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from error
    return parse_textgrid(data, str(path), encoding=encoding)


def parse_textgrid(data: bytes, place: str, *, encoding: str | None = None) -> TextGrid:
    """The same from the bytes of a file; `place` stands in the messages.

    Raises:
        CorpusError: as `read_textgrid`.
    """
    if data.startswith(BINARY):
        raise CorpusError(f"{place}: a binary TextGrid. Open it in Praat and save it as a text file.")
    text, encoding = _decode(data, place, encoding)
    reader = _Reader(text, place)
    kind = reader.header()
    if kind != "TextGrid":
        raise CorpusError(f'{place}: holds "{kind[:40]}", not a TextGrid in text form. Save it from Praat as a text file, each TextGrid in its own.')
    start, end = reader.number("the beginning"), reader.number("the end")
    tiers = tuple(reader.tier(number) for number in range(1, reader.count("tiers") + 1)) if reader.flag() else ()
    reader.finish()  # what its counts do not cover would be lost without a word
    return TextGrid(start=start, end=end, tiers=tiers, encoding=encoding)


def _decode(data: bytes, place: str, encoding: str | None) -> tuple[str, str]:
    guessed = encoding is None
    if encoding is None:
        encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), None)
    if encoding is None:
        if data[1:2] == b"\0" or data[:1] == b"\0":  # the first letter is Latin, so every other byte of UTF-16 is zero
            encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
        else:
            encoding = "utf-8" if _is_utf8(data) else "latin-1"
    if guessed and encoding == "latin-1" and not C1_CONTROLS.isdisjoint(data):
        byte = next(byte for byte in data if byte in C1_CONTROLS)
        raise CorpusError(f"{place}: neither UTF-8 nor Latin-1 (it holds the byte 0x{byte:02x}). Name its encoding, such as cp1252 or mac_roman.")
    try:
        text = data.decode(encoding)
        text.encode("utf-8")  # some decoders let half a surrogate pair pass, which nobody can write again
    except (UnicodeError, LookupError) as error:
        raise CorpusError(f"{place}: cannot be read as {encoding} ({error}). Save it as UTF-8, or name its encoding.") from error
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class _Reader:
    """The values of a file in order; every complaint names the line."""

    def __init__(self, text: str, place: str) -> None:
        self._text = text
        self._place = place
        self._position = 0
        self._values = self._tokens()

    def header(self) -> str:
        """The class of the object: the second text of the file, after `ooTextFile`."""
        first = self._next("its type", missing="this is no TextGrid")
        if isinstance(first, str) and "chronological" in first:
            return first
        if not isinstance(first, str) or not first.startswith("ooTextFile"):
            raise self._error('expected "ooTextFile" at the beginning, so this is no TextGrid')
        return self.text("the class of the object")

    def tier(self, number: int) -> Tier:
        kind = self.text(f"the class of tier {number}")
        if kind not in (INTERVALS, POINTS):
            raise self._error(f'tier {number} is of the class "{kind[:40]}", expected {INTERVALS} or {POINTS}')
        name = self.text(f"the name of tier {number}")
        self.number(f"the beginning of tier {number}")
        self.number(f"the end of tier {number}")
        intervals = []
        for place in range(1, self.count(f"labels of tier {number}") + 1):
            what = f'label {place} of tier {number} ("{name[:40]}")'
            start = self.number(what)
            end = self.number(what) if kind == INTERVALS else start
            intervals.append(Interval(start=start, end=end, text=self.text(what)))
        return Tier(name=name, points=kind == POINTS, intervals=tuple(intervals))

    def finish(self) -> None:
        value = next(self._values, None)
        if value is not None:
            told = f'the text "{value[:40]}"' if isinstance(value, str) else f"the number {value:g}"
            raise self._error(f"found {told} after the last label, so a number of tiers or labels is too small")

    def number(self, what: str) -> float:
        value = self._next(what)
        if isinstance(value, str):
            raise self._error(f'found the text "{value[:40]}", expected a number: {what}')
        return value

    def count(self, what: str) -> int:
        value = self.number(f"the number of {what}")
        if value < 0 or value != int(value):
            raise self._error(f"the number of {what} is {value:g}")
        return int(value)

    def text(self, what: str) -> str:
        value = self._next(what)
        if not isinstance(value, str):
            raise self._error(f"found the number {value:g}, expected a text in quotes: {what}")
        return value

    def flag(self) -> bool:
        """`<exists>` or `<absent>` after the times of the whole."""
        for token in _TOKEN.finditer(self._text, self._position):
            word = token["word"]
            if word in ("<exists>", "<absent>"):
                self._position = token.end()
                self._values = self._tokens()
                return bool(word == "<exists>")
            if token["text"] is not None or (word and _NUMBER.fullmatch(word)):
                break
        raise self._error("expected <exists> or <absent>")

    def _tokens(self) -> Iterator[str | float]:
        for token in _TOKEN.finditer(self._text, self._position):
            word = token["word"]
            if word is not None:
                if not _NUMBER.fullmatch(word):
                    continue
                self._position = token.end()
                value = float(word.rstrip("%"))
                if not math.isfinite(value):
                    raise self._error(f"the number {word[:40]} is too large")
                yield value
            elif token["text"] is not None:
                if not token["closed"]:
                    self._position = token.start()
                    raise self._error("a quote is never closed")
                self._position = token.end()
                after = self._text[token.end() : token.end() + 20]
                if after[:1].strip() not in ("", "!"):
                    raise self._error(f"{after.split()[0]} follows a closing quote; quotes in a label are doubled")
                yield token["text"].replace('""', '"')

    def _next(self, what: str, missing: str = "the file is not whole") -> str | float:
        value = next(self._values, None)
        if value is None:
            self._position = len(self._text)
            raise self._error(f"ends where {what} should stand, {missing}")
        return value

    def _error(self, what: str) -> CorpusError:
        return CorpusError(f"{self._place}, line {self._text.count(chr(10), 0, self._position) + 1}: {what}. Save the file again from Praat.")
