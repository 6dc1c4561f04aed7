"""Subtitles: timed lines of text as SubRip (.srt) or WebVTT (.vtt)."""

import html
from collections.abc import Iterable

from speechadapt.units import Seconds

Line = tuple[Seconds, Seconds, str]
"""Start and end in seconds, and what was said between them."""


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
