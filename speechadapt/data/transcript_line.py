"""TranscriptLine: one line of a file of references or hypotheses, whatever the file's format; and reading such files as text."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from speechadapt.errors import ManifestError
from speechadapt.units import Seconds

LONGEST_LINE = 1 << 24
"""Characters of one line; a hundred thousand words are less than a million."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptLine:
    """What one line of a file says.

    Attributes:
        id: of the utterance, or the name of the audio or text file where the format has no ids.
        text: raw, may be empty.
        named_by_file: `id` is the name of a file, so that it may have to be looked up among the audio files of the references.
        speaker, duration: where the format tells them.
        fields: everything else, for grouping.
        seconds, avg_logprob: of decoding, where the format tells them.
        place: where it stands, for messages.
    """

    id: str
    text: str
    named_by_file: bool = False
    speaker: str | None = None
    duration: Seconds | None = None
    fields: dict[str, Any] = dataclasses.field(default_factory=dict)
    seconds: Seconds | None = None
    avg_logprob: float | None = None
    place: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TimedText:
    """Words with their time in a recording: a word of a CTM file, or a cue of a subtitle file.

    Attributes:
        recording: name of the recording, without a folder and without a suffix.
        channel: of the recording, or None where the format has none.
        start, end: seconds.
        text: raw.
    """

    recording: str
    channel: str | None
    start: Seconds
    end: Seconds
    text: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredSpan:
    """A stretch of a recording that is not scored: what a system says there counts neither way."""

    recording: str
    channel: str | None
    start: Seconds
    end: Seconds


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and content of every line that is not blank, without its end.

    Lines end in LF or CRLF alone: U+2028 and its like may stand inside of a text. A byte-order mark goes.

    Raises:
        ManifestError: no such file, neither UTF-8 nor UTF-16 with a mark, or a line of more than 16 million characters.
    """
    if not path.is_file():
        raise ManifestError(f"{path}: no such file. Check the path.")
    with path.open("rb") as file:
        utf16 = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
    number = 0
    with path.open(encoding="utf-16" if utf16 else "utf-8-sig", newline="\n") as lines:
        try:
            while line := lines.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise ManifestError(f"{path}, line {number}: longer than {LONGEST_LINE} characters. Is this a file of transcripts?")
                line = line.removesuffix("\n").removesuffix("\r")
                if line.strip():
                    yield number, line
        except UnicodeDecodeError as error:
            place = f"{path}" if utf16 else f"{path}, line {_undecodable(path)}"
            raise ManifestError(f"{place}: not {'UTF-16' if utf16 else 'UTF-8'} text ({error.reason}). Save it as UTF-8.") from error


def _undecodable(path: Path) -> int:
    """Number of the first line that is not UTF-8; text is decoded in blocks, whose error does not tell the line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 0


def refuse_repeated(lines: Iterable[TranscriptLine], path: Path, hint: str = "") -> None:
    """Ids must be unique.

    Raises:
        ManifestError: an id stands twice; with the places.
    """
    lines = list(lines)
    counts = Counter(line.id for line in lines)
    if len(counts) == len(lines):
        return
    key = next(line.id for line in lines if counts[line.id] > 1)
    places = [line.place for line in lines if line.id == key and line.place][:2]
    raise ManifestError(f'{path}: the id "{key}" stands {counts[key]} times ({" and ".join(places)}). Keep one of the lines.{hint}')
