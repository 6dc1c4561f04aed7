"""What a spoilt TextGrid holds, told from its bytes apart from the reader under test: its tiers, and the rows their labels must become."""

import re
from collections.abc import Sequence

from speechadapt.preparation.annotations import UNINTELLIGIBLE

Label = tuple[float, float, str]
Tier = tuple[str, bool, list[Label]]
"""Name, whether it is one of points, labels (the time of a point stands twice)."""
Value = float | str | bool
"""Numbers and texts of a file; True and False are its flags."""

NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?%?")
SILENT = {"", "sil", "sp", "spn", "<sil>", "<p>", "<p:>", "<silence>", "<s>", "</s>", "<eps>", "#", "_"}


def tiers_in(data: bytes) -> list[Tier] | None:
    """The tiers of a file, or None where it cannot be read as a whole: cut off, its counts wrong, a quote in the wrong place."""
    text = _text(data)
    values = None if text is None else _values(text)
    try:
        return None if values is None else _tiers(values[::-1])
    except (IndexError, TypeError):
        return None


def spoken(labels: Sequence[Label]) -> list[Label]:
    """The labels that are more than a silence."""
    return [label for label in labels if label[2].strip().casefold() not in SILENT]


def phrases(labels: Sequence[Label], *, gap: float = 0.5, longest: float = 25.0) -> int:
    """Rows that words become: joined over pauses of at most `gap`, to at most `longest`; a word that cannot be used is a row of its own."""
    words = [(start, end, end <= start or re.search(UNINTELLIGIBLE, text.strip()) is not None) for start, end, text in spoken(labels)]
    count, before = 0, (0.0, 0.0, True)
    for start, end, useless in sorted(words):
        last = max(before[1], end)
        joined = not useless and not before[2] and round(start - before[1], 6) <= gap and round(last - before[0], 6) <= longest
        count += not joined
        before = (before[0], last, False) if joined else (start, end, useless)
    return count


def _text(data: bytes) -> str | None:
    if b"\0" in data[:2] or data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # told to be UTF-16, which the rest of it is not
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if data.startswith(b"\xef\xbb\xbf") or re.search(rb"[\x80-\x9f]", data):
            return None
        text = data.decode("latin-1")
    return re.sub("\r\n?", "\n", text)


def _values(text: str) -> list[Value] | None:
    """Letter by letter; None where a quote is never closed or something sticks to a closing one."""
    values: list[Value] = []
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
        elif text[place] == "!":
            place = text.find("\n", place) if "\n" in text[place:] else len(text)
        elif text[place] == '"':
            letters = ""
            while True:
                closing = text.find('"', place + 1)
                if closing < 0:
                    return None
                letters += text[place + 1 : closing]
                place = closing + 1
                if text[place : place + 1] != '"':
                    break
                letters += '"'
            if place < len(text) and text[place] != "!" and not text[place].isspace():
                return None
            values.append(letters)
        else:
            start = place
            while place < len(text) and text[place] != '"' and not text[place].isspace():
                place += 1
            word = text[start:place]
            if word in ("<exists>", "<absent>"):
                values.append(word == "<exists>")
            elif NUMBER.fullmatch(word):
                values.append(float(word.rstrip("%")))
    return values


def _tiers(values: list[Value]) -> list[Tier]:
    """Takes the values from the end of a list that is turned round.

    Raises:
        IndexError: there are too few. TypeError: one of another kind stands there, too many are there, or a count is none.
    """

    def take(kind: type) -> Value:
        value = values.pop()
        while isinstance(value, bool) and kind is not bool:
            value = values.pop()
        if not isinstance(value, kind) or value in (float("inf"), float("-inf")):
            raise TypeError
        return value

    def count() -> int:
        value = take(float)
        if value != int(value) or int(value) < 0:
            raise TypeError
        return int(value)

    def label(points: bool) -> Label:
        start = float(take(float))
        end = start if points else float(take(float))
        return start, end, str(take(str))

    if not str(take(str)).startswith("ooTextFile") or take(str) != "TextGrid":
        raise TypeError
    take(float), take(float)
    tiers: list[Tier] = []
    for _ in range(count() if take(bool) else 0):
        points = {"IntervalTier": False, "TextTier": True}.get(str(take(str)))
        if points is None:
            raise TypeError
        name = str(take(str))
        take(float), take(float)
        tiers.append((name, points, [label(points) for _ in range(count())]))
    if any(not isinstance(value, bool) for value in values):
        raise TypeError
    return tiers
