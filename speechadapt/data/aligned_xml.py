"""Aligned XML: transcripts of broadcasts as the MGB challenges publish them, segments with times, a speaker and words.

    <segments annotation_id="transcript_align">
        <segment id="SHOW_utt_1_align" who="SHOW_speaker1_align" starttime="0.5" endtime="3.2" WMER="12.5" AWD="0.4">
            <element type="word" id="SHOW_w1">...</element>

A file may come from anyone, and entities can make XML read other files or fill the memory: a file that declares or uses one is refused.
"""

import dataclasses
import xml.etree.ElementTree as ET

from speechadapt.data.safe_xml import parse_xml

ALIGNED = "transcript_align"


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
    root = parse_xml(data, place, advice="Download it again.", doctype=True)
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
