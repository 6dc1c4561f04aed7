"""How rates and differences are said to people: `24.4 %`, `-19.2 points`. One place, so that tables, sentences and plots agree."""

from speechadapt.score.intervals import Interval


def percent(rate: float | None) -> str:
    """A fraction as `24.4 %`; `-` where there is none."""
    return "-" if rate is None else f"{100 * rate:.1f} %"


def points(change: float | None) -> str:
    """A change of a rate as `-19.2`, in percentage points; `-` where there is none."""
    return "-" if change is None else f"{100 * change + 0.0:+.1f}"


def percent_range(interval: Interval | None) -> str:
    """An interval of a rate as `21.0 to 28.3 %`; a rate is never below 0."""
    return "-" if interval is None else f"{100 * max(0.0, interval.low):.1f} to {100 * interval.high:.1f} %"


def points_range(interval: Interval | None) -> str:
    """An interval of a change as `-22.0 to -16.1`, in percentage points."""
    return "-" if interval is None else f"{points(interval.low)} to {points(interval.high)}"


def plural(count: int, noun: str) -> str:
    """`1 speaker`, `2 speakers`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: list[str] | tuple[str, ...], most: int = 5) -> str:
    """Names in quotes, the first few of many: `"a", "b" and 3 more`."""
    shown = ", ".join(f'"{name}"' for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def printable(text: str) -> str:
    """Text of strangers made safe for a terminal: control characters, which could drive it, become `�`."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
