"""XML of aligned broadcasts: what is read, and what is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechadapt.data.aligned_xml import parse_aligned
from speechadapt.errors import CorpusError

GOOD = (
    '<?xml version="1.0" encoding="UTF-8"?><transcript><head/><body>'
    '<segments annotation_id="transcript_orig"><segment id="x"><element>no</element></segment></segments>'
    '<segments annotation_id="transcript_align"><segment id="s1" who="a" starttime="0.5" endtime="1" WMER="12.5">'
    '<element type="word">السلام</element><element/><element> two  words </element></segment><segment/></segments></body></transcript>'
)


def test_the_aligned_transcript_is_taken() -> None:
    first, second = parse_aligned(GOOD.encode(), "a.xml")
    assert first.attributes == {"id": "s1", "who": "a", "starttime": "0.5", "endtime": "1", "wmer": "12.5"}
    assert first.words == ("السلام", "two", "words")
    assert (second.attributes, second.words) == ({}, ())
    assert len(parse_aligned(GOOD.replace("transcript_align", "other").encode(), "a.xml")) == 3


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>', 'the entity "a", and entities are refused'),
        (b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><x/>', "entities are refused"),
        ('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x [<!ENTITY % a "b">]><x/>'.encode("utf-16"), "entities are refused"),
        (b'<!DOCTYPE x SYSTEM "http://localhost/x.dtd"><x>&a;</x>', "entities are refused"),
        (b"", "not well-formed XML"),
        (b"<x><y></x>", "not well-formed XML"),
        (b"<x>\xff</x>", "not well-formed XML"),
        (b'<?xml version="1.0" encoding="bogus"?><x/>', "not well-formed XML"),
        (b"<x>" * 100_000, "a.xml, line 1: over 64 elements inside each other"),
    ],
)
def test_what_is_refused(content: bytes, complaint: str) -> None:
    with pytest.raises(CorpusError, match=complaint):
        parse_aligned(content, "a.xml")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(piece=st.text(alphabet="<>/&;\"'=![]-?segmntlxDOCTYPEAI \n\0é", max_size=20), place=st.integers(0, len(GOOD)), cut=st.integers(0, 20))
def test_mutated_files_are_read_or_refused(piece: str, place: int, cut: int) -> None:
    content = (GOOD[:place] + piece + GOOD[place + cut :]).encode()
    try:
        segments = parse_aligned(content, "a.xml")
    except CorpusError:
        return
    assert len(segments) <= content.count(b"segment")
