"""Segments: lines of an annotated recording with their times, joined to what a recognizer is trained on."""

import dataclasses
from collections.abc import Iterable

from speechadapt.units import Seconds

LONGEST_SEGMENT: Seconds = 28.0
"""Whisper hears 30 s; two are left for the pauses at either end."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What one speaker says from `start` to `end`, in seconds from the beginning of the recording."""

    start: Seconds
    end: Seconds
    text: str
    speaker: str | None = None


def merge_segments(segments: Iterable[Segment], *, gap: Seconds, longest: Seconds = LONGEST_SEGMENT) -> list[Segment]:
    """Join neighbouring segments of the same speaker.

    Two are joined when nobody else's segment begins between them, the pause is at most `gap`, and the whole lasts at most `longest`.

    Args:
        segments: of one recording, in any order; texts are joined by a blank, empty ones add nothing but their time.
        gap: longest pause inside a joined segment; overlapping segments have none.
        longest: a single segment that is longer stays as it is.

    Returns:
        By start.
    """
    merged: list[Segment] = []
    for segment in sorted(segments, key=lambda one: (one.start, one.end, one.speaker or "", one.text)):
        last = merged[-1] if merged else None
        end = max(last.end, segment.end) if last else segment.end
        if last and last.speaker == segment.speaker and _at_most(segment.start - last.end, gap) and _at_most(end - last.start, longest):
            text = " ".join(part for part in (last.text, segment.text) if part.strip())
            merged[-1] = dataclasses.replace(last, end=end, text=text)
        else:
            merged.append(segment)
    return merged


def _at_most(duration: Seconds, limit: Seconds) -> bool:
    """To the microsecond: 1.3 - 1.0 is a little more than 0.3 in binary fractions."""
    return round(duration, 6) <= limit
