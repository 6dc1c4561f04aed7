"""Safe XML: files from anyone, read without letting them read other files or fill the memory."""

import xml.etree.ElementTree as ET
from xml.parsers import expat

from speechadapt.errors import CorpusError

DEEPEST = 64
"""Elements inside each other; annotation files have six levels."""


def parse_xml(data: bytes, place: str, *, advice: str, doctype: bool = False) -> ET.Element:
    """Parse a whole document.

    Entities are what makes XML read other files or grow without bound (CWE-611, CWE-776), so a document that declares or uses one is refused.

    Args:
        place: the file, for messages.
        advice: what a user does about a broken file, a sentence.
        doctype: whether a document type declaration without entities is accepted.

    Raises:
        CorpusError: not well-formed, too deep, or an entity is declared or used.
    """
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate()
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise CorpusError(f"{place}, line {parser.CurrentLineNumber}: over {DEEPEST} elements inside each other. {advice}")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse_entity(name: str, *_: object) -> None:
        raise CorpusError(f'{place}, line {parser.CurrentLineNumber}: the entity "{name[:40]}", and entities are refused. {advice}')

    def refuse_doctype(*_: object) -> None:
        raise CorpusError(f"{place}, line {parser.CurrentLineNumber}: a document type declaration, which can do harm and is refused. {advice}")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    parser.EntityDeclHandler = parser.SkippedEntityHandler = refuse_entity
    if not doctype:
        parser.StartDoctypeDeclHandler = refuse_doctype
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: an encoding that is not known, or not of single bytes
        raise CorpusError(f"{place}: not well-formed XML ({error}). {advice}") from error
