"""Aligned XML: transcripts of broadcasts as the MGB challenges publish them, segments with times, a speaker and words.

    <segments annotation_id="transcript_align">
        <segment id="SHOW_utt_1_align" who="SHOW_speaker1_align" starttime="0.5" endtime="3.2" WMER="12.5" AWD="0.4">
            <element type="word" id="SHOW_w1">...</element>

A file may come from anyone, and entities can make XML read other files or fill the memory: a file that declares or uses one is refused.
"""

import dataclasses
import xml.etree.ElementTree as ET
from xml.parsers import expat

from speechadapt.errors import CorpusError

ALIGNED = "transcript_align"
DEEPEST = 64
"""Elements inside each other; such files have six levels."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AlignedSegment:
    """One segment: its attributes as written, their names in lower case, and the words of its elements."""

    attributes: dict[str, str]
    words: tuple[str, ...]


def parse_aligned(data: bytes, place: str) -> list[AlignedSegment]:
    """The segments of the aligned transcript, or of all transcripts where none is named so, in the order of the file.

    Args:
        place: the file, for messages.

    Raises:
        CorpusError: not well-formed, too deep, or an entity is declared or used in it.
    """
    root = _parse_xml(data, place)
    aligned = [one for one in root.iter() if _name(one) == "segments" and one.get("annotation_id") == ALIGNED]
    return [
        AlignedSegment(
            attributes={name.casefold(): value for name, value in segment.items()},
            words=tuple(word for element in segment.iter() if _name(element) == "element" for word in "".join(element.itertext()).split()),
        )
        for group in aligned or [root]
        for segment in group.iter()
        if _name(segment) == "segment"
    ]


def _name(element: ET.Element) -> str:
    return element.tag.rpartition(":")[2].casefold()


def _parse_xml(data: bytes, place: str) -> ET.Element:
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate()
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise CorpusError(f"{place}, line {parser.CurrentLineNumber}: over {DEEPEST} elements inside each other. Download it again.")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse(name: str, *_: object) -> None:
        raise CorpusError(f'{place}, line {parser.CurrentLineNumber}: the entity "{name[:40]}", and entities are refused. Download it again.')

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    parser.EntityDeclHandler = parser.SkippedEntityHandler = refuse
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: an encoding that is not known, or not of single bytes
        raise CorpusError(f"{place}: not well-formed XML ({error}). Download it again.") from error
