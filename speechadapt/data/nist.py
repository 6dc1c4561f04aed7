"""The formats of NIST's scoring tools (sclite): TRN, a text and its id; STM, timed references; CTM, timed words of a system."""

import dataclasses
import re
from pathlib import Path

from speechadapt.data.transcript_line import IgnoredSpan, TimedText, TranscriptLine, read_lines
from speechadapt.errors import ManifestError
from speechadapt.units import Seconds

IGNORED = "ignore_time_segment_in_scoring"
COMMENT = ";;"
_TRN = re.compile(r"(.*?)\(([^()\s]+)\)\s*", re.DOTALL)
_LABELS = re.compile(r"<([^<>\s]*)>(?:\s+|$)")
_BLANKS = re.compile(r"[ \t]+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StmFile:
    """The segments of an STM file in its order, and the stretches it takes out of the test."""

    segments: tuple[TranscriptLine, ...]
    ignored: tuple[IgnoredSpan, ...]


def read_trn(path: Path) -> list[TranscriptLine]:
    """Read TRN: `the words (speaker-utterance)`, one utterance a line.

    The speaker is what stands before the first `-` or `_` of the id, as for sclite's `-i spu_id`.

    Raises:
        ManifestError: a line does not end in an id.
    """
    lines = []
    for number, line in read_lines(path):
        if line.startswith(COMMENT):
            continue
        place = f"{path}, line {number}"
        found = _TRN.fullmatch(line)
        if found is None:
            raise ManifestError(f"{place}: does not end in an id in parentheses: {line[-60:]!r}. Every line is written: words (speaker-utterance)")
        speaker = re.split("[-_]", found[2], maxsplit=1)
        lines.append(TranscriptLine(id=found[2], text=found[1].strip(), speaker=speaker[0] if len(speaker) > 1 else None, place=place))
    return lines


def read_stm(path: Path) -> StmFile:
    """Read STM: `recording channel speaker start end [<label,label>] words`, times in seconds.

    The id of a segment is `recording-channel-start-end`. `male` and `female` among the labels are the gender; all of them are the field `labels`.

    Raises:
        ManifestError: a line has fewer than five fields, or its times make no sense.
    """
    segments, ignored = [], []
    for number, line in read_lines(path):
        if line.startswith(COMMENT):
            continue
        place = f"{path}, line {number}"
        parts = _BLANKS.split(line.strip(), maxsplit=5)
        if len(parts) < 5:
            raise ManifestError(f"{place}: {len(parts)} fields, expected recording, channel, speaker, start, end and text. Correct the line.")
        recording, channel, speaker, text = parts[0], parts[1], parts[2], parts[5] if len(parts) == 6 else ""
        start, end = _time(parts[3], place), _time(parts[4], place)
        if not end > start:
            raise ManifestError(f"{place}: ends at {end:g} s, must be after its start, {start:g} s. Correct the line.")
        fields: dict[str, object] = {"recording": recording, "channel": channel, "offset": start}
        if labelled := _LABELS.match(text):
            text = text[labelled.end() :]
            names = [name for name in labelled[1].split(",") if name]
            fields |= {"labels": ",".join(names)} if names else {}
            if genders := [name for name in names if name in ("male", "female")]:
                fields["gender"] = genders[-1]
        if text.strip().lower() == IGNORED:
            ignored.append(IgnoredSpan(recording=recording, channel=channel, start=start, end=end))
            continue
        key = f"{recording}-{channel}-{parts[3]}-{parts[4]}"
        segments.append(TranscriptLine(id=key, text=text.strip(), speaker=speaker, duration=end - start, fields=fields, place=place))
    return StmFile(segments=tuple(segments), ignored=tuple(ignored))


def read_ctm(path: Path) -> list[TimedText]:
    """Read CTM: `recording channel start duration word [confidence …]`, one word a line.

    Raises:
        ManifestError: a line has fewer than five fields, its times make no sense, or it is one of alternatives, which are not understood.
    """
    words = []
    for number, line in read_lines(path):
        if line.startswith(COMMENT):
            continue
        place = f"{path}, line {number}"
        parts = line.split()
        if len(parts) < 5:
            raise ManifestError(f"{place}: {len(parts)} fields, expected recording, channel, start, duration and word. Correct the line.")
        if parts[4].upper().startswith("<ALT"):
            raise ManifestError(f"{place}: alternatives ({parts[4]}) of a system are not scored. Write the words it decided for.")
        start, duration = _time(parts[2], place), _time(parts[3], place)
        words.append(TimedText(recording=parts[0], channel=parts[1], start=start, end=start + duration, text=parts[4]))
    return words


def _time(text: str, place: str) -> Seconds:
    if not re.fullmatch(r"[0-9]{0,9}(?:[0-9]|\.[0-9]{1,9}|[0-9]\.[0-9]{0,9})", text, re.ASCII):
        raise ManifestError(f'{place}: the time "{text[:40]}" is no number of seconds of 0 or more. Correct the line.')
    return float(text)
