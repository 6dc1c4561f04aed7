"""Timed text set against timed references: which words of a whole recording belong to which utterance."""

import bisect
import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from speechadapt.data.reference import Reference
from speechadapt.data.transcript_line import IgnoredSpan, TimedText
from speechadapt.units import Seconds


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AssignedText:
    """Texts by the id of their utterance, and what was noticed.

    Attributes:
        texts: raw, in the order of time; every reference of a recording that the system heard has one, perhaps empty.
        between: words outside of every reference, given to the nearest one, where they can only be insertions.
        ignored: words in stretches that are not scored.
        strangers: texts of recordings, or of channels, that no reference divides, by recording and channel.
    """

    texts: dict[str, str]
    between: int
    ignored: int
    strangers: dict[tuple[str, str | None], str]


@dataclasses.dataclass(frozen=True, slots=True)
class _Stretch:
    start: Seconds
    end: Seconds
    key: str | None


def assign(words: Iterable[TimedText], references: Sequence[Reference], ignored: Sequence[IgnoredSpan] = ()) -> AssignedText:
    """Give each word to the utterance its middle lies in, as sclite does; words between utterances to the nearest.

    Args:
        words: of whole recordings.
        references: with `duration`, and the fields `offset` and `recording` (or `audio_filepath`), perhaps `channel`; those without are passed over.
        ignored: stretches that are not scored.
    """
    stretches: dict[tuple[str, str | None], list[_Stretch]] = defaultdict(list)
    for reference in references:
        if (told := place_of(reference)) is not None:
            recording, channel, start = told
            stretches[recording, channel].append(_Stretch(start, start + (reference.duration or 0.0), reference.id))
    for span in ignored:
        stretches[stem_of(span.recording), span.channel].append(_Stretch(span.start, span.end, None))
    by_place = {place: (sorted(found, key=lambda one: one.start), max(one.end - one.start for one in found)) for place, found in stretches.items()}
    texts: dict[str, list[str]] = {}
    between, left_out = 0, 0
    strangers: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    heard: set[tuple[str, str | None]] = set()
    for word in sorted(words, key=lambda word: (word.recording, word.channel or "", word.start)):
        recording = stem_of(word.recording)
        place = next((place for place in ((recording, word.channel), (recording, None)) if place in by_place), None)
        if place is None:
            strangers[recording, word.channel].append(word.text)
            continue
        found, longest = by_place[place]
        heard.add(place)
        middle = (word.start + word.end) / 2
        chosen, inside = _nearest(found, longest, middle)
        if chosen.key is None and inside:
            left_out += len(word.text.split())
            continue
        if chosen.key is None:
            chosen = min((one for one in found if one.key is not None), key=lambda one: _distance(one, middle), default=chosen)
        if chosen.key is None:
            left_out += len(word.text.split())
            continue
        between += 0 if inside else len(word.text.split())
        texts.setdefault(chosen.key, []).append(word.text)
    silent = {one.key: "" for place in heard for one in by_place[place][0] if one.key is not None}
    joined = silent | {key: " ".join(pieces) for key, pieces in texts.items()}
    return AssignedText(texts=joined, between=between, ignored=left_out, strangers={place: " ".join(pieces) for place, pieces in strangers.items()})


def place_of(reference: Reference) -> tuple[str, str | None, Seconds] | None:
    """Recording, channel and start of a reference; None where it does not tell. A clip of its own is not the recording it was once cut from."""
    recording = reference.value("audio_filepath") or reference.value("recording")
    if recording is None or reference.duration is None:
        return None
    name = PurePosixPath(str(recording)).name
    channel = reference.value("channel")
    return stem_of(name), None if channel is None else str(channel), float(reference.value("offset") or 0.0)


def stem_of(name: str) -> str:
    """A file's name without its folders and without a suffix that audio or text files have; a dot within a name stays."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".sph", ".aif", ".aiff", ".webm", ".mp4", ".txt", ".srt", ".vtt", ".stm", ".ctm")


def _nearest(stretches: list[_Stretch], longest: Seconds, middle: Seconds) -> tuple[_Stretch, bool]:
    """The stretch that holds a point (of several the one that began last), or else the nearest; and whether it holds it."""
    last = bisect.bisect_right(stretches, middle, key=lambda one: one.start)
    near = [one for one in stretches[bisect.bisect_left(stretches, middle - longest, key=lambda one: one.start) : last] if middle < one.end]
    if near:
        return near[-1], True
    return min(stretches[max(0, last - 1) : last + 1] or stretches, key=lambda one: _distance(one, middle)), False


def _distance(one: _Stretch, middle: Seconds) -> Seconds:
    return max(one.start - middle, middle - one.end, 0.0)
