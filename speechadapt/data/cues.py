"""Cues: the timed lines of a subtitle file, SubRip (.srt) or WebVTT (.vtt), as plain text."""

import dataclasses
import html
import re
from pathlib import Path

from speechadapt.errors import CorpusError
from speechadapt.units import Seconds

COMMENTS = ("NOTE", "STYLE", "REGION")
MARKS_OF_DIRECTION = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF])
_CLOCK = r"(?:([0-9]{1,4}):)?([0-9]{1,2}):([0-9]{1,2})(?:[.,]([0-9]{1,3}))?"
_TIMES = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^<>]+)>")
_MARKUP = re.compile(r"</?[A-Za-z][^<>]*>|</>|<[0-9:.]+>|\{\\[^{}]*\}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """What is shown from `start` to `end`, in seconds from the beginning; `speaker` where a voice tag (`<v Name>`) names one."""

    start: Seconds
    end: Seconds
    text: str
    speaker: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subtitles:
    """A subtitle file: its cues in the order of the file (their texts may be empty), and the lines that could not be understood."""

    cues: tuple[Cue, ...]
    broken: tuple[int, ...]


def read_cues(path: Path) -> Subtitles:
    """Read SubRip or WebVTT, which of the two does not matter.

    Args:
        path: UTF-8, or UTF-16 with a byte-order mark.

    Raises:
        CorpusError: no such file, or another encoding.
    """
    if not path.is_file():
        raise CorpusError(f"{path}: no such subtitle file. Check the path.")
    data = path.read_bytes()
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return parse_cues(data.decode(encoding))
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: cannot be read as {encoding} ({error}). Save it as UTF-8.") from error


def parse_cues(content: str) -> Subtitles:
    """The cues of a file's content.

    Cue numbers and names, settings of position, comments, styles, tags, escapes, marks of direction and `>>` are left out. A line
    with `-->` whose times make no sense, or end before they begin, is broken; so is text that belongs to no times.
    """
    cues: list[Cue] = []
    broken: list[int] = []
    blocks = _blocks(content)
    for block in blocks:
        arrows = [place for place, (_, line) in enumerate(block) if "-->" in line]
        head = block[0][1].split(maxsplit=1)[0]
        if head in COMMENTS and (not arrows or arrows[0] > 1):
            continue  # a cue may be named so; then its times stand in the next line
        title = block is blocks[0] and head.startswith("WEBVTT")
        lone_number = len(block) == 1 and block[0][1].strip().isdecimal()
        if not arrows and not title and not lone_number:
            broken.append(block[0][0])
        for place, following in zip(arrows, [*arrows, len(block)][1:], strict=True):
            number, line = block[place]
            words = [text for _, text in block[place + 1 : following]]
            if following < len(block) and words and words[-1].strip().isdecimal():
                words.pop()  # the number of the next cue, where the blank line before it is missing
            cue = _cue(line, "\n".join(words))
            if cue is None:
                broken.append(number)
            else:
                cues.append(cue)
    return Subtitles(cues=tuple(cues), broken=tuple(broken))


def plain_text(marked: str) -> str:
    """The words of a cue, in one line."""
    text = html.unescape(_MARKUP.sub("", marked)).translate(MARKS_OF_DIRECTION)
    return " ".join(re.sub(r">>+", " ", text).split())


def _blocks(content: str) -> list[list[tuple[int, str]]]:
    """Runs of lines that are not blank, with their numbers."""
    lines = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    blocks: list[list[tuple[int, str]]] = [[]]
    for number, line in enumerate(lines, start=1):
        if line.strip():
            blocks[-1].append((number, line))
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def _cue(times: str, marked: str) -> Cue | None:
    found = _TIMES.fullmatch(times)
    if found is None:
        return None
    start, end = _seconds(found.groups()[:4]), _seconds(found.groups()[4:])
    voice = _VOICE.search(marked)
    return Cue(start=start, end=end, text=plain_text(marked), speaker=voice[1].strip() if voice else None) if end > start else None


def _seconds(clock: tuple[str | None, ...]) -> Seconds:
    hours, minutes, seconds, fraction = clock
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return (whole * 1000 + int((fraction or "0").ljust(3, "0"))) / 1000
