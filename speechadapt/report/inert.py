"""Text of strangers made inert: what could drive a terminal, a page or a reading direction is written as its number, `⟨U+202E⟩`."""

import json
import re
from typing import Any

# Controls, line and paragraph separators, bidirectional marks and overrides, tags, lone surrogates, byte-order marks and noncharacters. The
# joiners U+200C and U+200D stay: Persian, Indic scripts and emoji are spelled with them, and the page isolates the direction of every text.
DRIVING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
UNSAFE_IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def inert(text: str) -> str:
    """The text with every character that drives instead of showing replaced by its number in angle marks; a blank for tabs and line ends.

    Line ends and tabs are blanks in a transcript, and nothing else.
    """
    if text.isascii() and text.isprintable():
        return text
    return DRIVING.sub(lambda found: " " if found[0] in "\t\n\r" else f"⟨U+{ord(found[0]):04X}⟩", text)


def script_json(value: Any) -> str:
    """JSON that can stand inside a script element: no tag can open or end in it.

    Raises:
        ValueError: the value holds a number that JSON does not have.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: UNSAFE_IN_SCRIPT[found[0]], text)
