"""Subtitles: timed words cut into readable lines, and lines as SubRip (.srt) or WebVTT (.vtt)."""

import html
from collections.abc import Iterable

from speechadapt.units import Seconds

Line = tuple[Seconds, Seconds, str]
"""Start and end in seconds, and what was said between them."""

LONGEST_TEXT = 42
"""Characters of a line, as television keeps them."""
LONGEST_LINE: Seconds = 7.0
LONGEST_PAUSE: Seconds = 0.6
"""A longer silence between two words begins a new line."""
SHORTEST_LINE: Seconds = 1.0
"""A line stays at least this long, unless the next one begins before."""


def cut_lines(words: Iterable[Line]) -> list[Line]:
    """Gather words into lines that can be read: at most 42 characters and 7 seconds each, broken where the speaker paused for over 0.6 seconds.

    Args:
        words: in order of time; a word that is longer than a line stands alone in one.

    Returns:
        Lines that do not overlap, each shown for at least a second where the next one leaves room.
    """
    lines: list[Line] = []
    for start, end, text in words:
        if lines:
            first, last, said = lines[-1]
            if start - last <= LONGEST_PAUSE and end - first <= LONGEST_LINE and len(said) + 1 + len(text) <= LONGEST_TEXT:
                lines[-1] = (first, max(last, end), f"{said} {text}")
                continue
        lines.append((start, end, text))
    following = [*(line[0] for line in lines), float("inf")][1:]
    return [(start, min(after, max(end, start + SHORTEST_LINE)), text) for (start, end, text), after in zip(lines, following, strict=True)]


def to_srt(lines: Iterable[Line]) -> str:
    """SubRip: numbered blocks, a comma before the milliseconds."""
    blocks = [f"{number}\n{_times(start, end, ',')}\n{_one_line(text)}\n" for number, (start, end, text) in enumerate(lines, start=1)]
    return "\n".join(blocks)


def to_vtt(lines: Iterable[Line]) -> str:
    """WebVTT (W3C): a header, a point before the milliseconds, `&`, `<` and `>` escaped."""
    blocks = [f"{_times(start, end, '.')}\n{html.escape(_one_line(text), quote=False)}\n" for start, end, text in lines]
    return "\n".join(["WEBVTT\n", *blocks])


def _times(start: Seconds, end: Seconds, point: str) -> str:
    return f"{_time(start, point)} --> {_time(max(start, end), point)}"


def _time(seconds: Seconds, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}{point}{milliseconds % 1000:03d}"


def _one_line(text: str) -> str:
    """A blank line would end the block, and an arrow would be read as times."""
    return " ".join(text.split()).replace("-->", "->")
