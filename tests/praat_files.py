"""TextGrids as Praat writes them, for the tests of their reader and of the corpora that have them."""

from collections.abc import Sequence

Tier = tuple[str, Sequence[tuple[float, float, str]]]
"""A name and (start, end, label); a tier whose labels all last no time is written as one of points."""


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _is_points(labels: Sequence[tuple[float, float, str]]) -> bool:
    return bool(labels) and all(start == end for start, end, _ in labels)


def long_textgrid(*tiers: Tier, end: float = 4.0) -> str:
    """The long text form, with Praat's own blanks at the ends of lines."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", f"xmax = {end} ", "tiers? <exists> "]
    lines += [f"size = {len(tiers)} ", "item []: "]
    for number, (name, labels) in enumerate(tiers, start=1):
        points = _is_points(labels)
        lines += [f"    item [{number}]:", f'        class = "{"TextTier" if points else "IntervalTier"}" ', f"        name = {_quoted(name)} "]
        lines += ["        xmin = 0 ", f"        xmax = {end} ", f"        {'points' if points else 'intervals'}: size = {len(labels)} "]
        for place, (first, last, text) in enumerate(labels, start=1):
            if points:
                lines += [f"        points [{place}]:", f"            number = {first} ", f"            mark = {_quoted(text)} "]
            else:
                lines += [f"        intervals [{place}]:", f"            xmin = {first} ", f"            xmax = {last} "]
                lines += [f"            text = {_quoted(text)} "]
    return "\n".join(lines) + "\n"


def short_textgrid(*tiers: Tier, end: float = 4.0) -> str:
    """The short text form of the same."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", f"{end}", "<exists>", f"{len(tiers)}"]
    for name, labels in tiers:
        points = _is_points(labels)
        lines += [f'"{"TextTier" if points else "IntervalTier"}"', _quoted(name), "0", f"{end}", f"{len(labels)}"]
        for first, last, text in labels:
            lines += [str(first), _quoted(text)] if points else [str(first), str(last), _quoted(text)]
    return "\n".join(lines) + "\n"
