"""A picture of a run: WER by group, base against adapted, with 95 % intervals, as PNG. The only file that draws."""

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from speechadapt.files import atomic_path
from speechadapt.score.compare import Comparison
from speechadapt.score.intervals import Interval
from speechadapt.score.phrases import printable
from speechadapt.score.verdict import ComparisonSet

COLORS = {"base": "#7a7a7a", "adapted": "#0b6fb8"}  # told apart in gray, and by color-blind people
MARKERS = {"base": "o", "adapted": "D"}
MOST_ROWS = 24
LONGEST_LABEL = 28


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the plot: a group's two WERs with their intervals."""

    label: str
    base: float
    adapted: float
    base_interval: Interval | None
    adapted_interval: Interval | None


def plot_sets(sets: Sequence[ComparisonSet], path: Path | str, *, field: str | None = None) -> None:
    """Draw one panel per set: the whole set on top, then its groups.

    Args:
        sets: the comparisons of a run, one or more.
        path: the PNG to write, in one step.
        field: group by it; None takes the accent where there are several, else the speaker.
    """
    plot_comparisons([(f"{entry.name} ({entry.role}): {entry.verdict}", entry.comparison) for entry in sets], path, field=field)


def plot_comparisons(panels: Sequence[tuple[str, Comparison]], path: Path | str, *, field: str | None = None) -> None:
    """Draw one panel per titled comparison; the arguments are those of `plot_sets`."""
    rows = [_rows(comparison, field) for _, comparison in panels]
    heights = [len(found) + 1.5 for found in rows]
    figure = Figure(figsize=(8, 0.9 + 0.34 * sum(heights) + 0.35 * len(panels)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights})
    for axes, (title, _), found in zip(grid[:, 0], panels, rows, strict=True):
        _panel(axes, printable(title), found)
    last = grid[-1, 0]
    last.set_xlim(0, _right_end(rows))  # shared: every panel has the same scale
    last.set_xlabel("word error rate (%), with 95 % interval")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False)
    with atomic_path(Path(path)) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # an accent named in a script without a font: boxes
        figure.savefig(temporary, format="png", metadata={"Software": None})  # same figures, same bytes


def _rows(comparison: Comparison, field: str | None) -> list[Row]:
    base, adapted = comparison.base, comparison.adapted
    whole = Row(label="all", base=base.wer, adapted=adapted.wer, base_interval=base.interval, adapted_interval=adapted.interval)
    chosen = field or _telling_field(comparison)
    groups = [group for group in comparison.groups if group.field == chosen]
    groups.sort(key=lambda group: -group.base)
    rows = [
        Row(
            label=f"{chosen}: {_short(printable(group.value))}",
            base=group.base,
            adapted=group.adapted,
            base_interval=group.base_interval,
            adapted_interval=group.adapted_interval,
        )
        for group in groups[:MOST_ROWS]
    ]
    return [whole, *rows]


def _telling_field(comparison: Comparison) -> str:
    values = {group.field: 0 for group in comparison.groups}
    for group in comparison.groups:
        values[group.field] += 1
    several = [name for name in ("accent", "speaker", *values) if values.get(name, 0) > 1]
    return several[0] if several else ""


def _panel(axes: Axes, title: str, rows: Sequence[Row]) -> None:
    for side, shift in (("base", -0.14), ("adapted", 0.14)):
        rates = [100 * getattr(row, side) for row in rows]
        places = [number + shift for number in range(len(rows))]
        reach = [_reach(rate, getattr(row, f"{side}_interval")) for rate, row in zip(rates, rows, strict=True)]
        axes.errorbar(
            rates,
            places,
            xerr=[[below for below, _ in reach], [above for _, above in reach]],
            fmt=MARKERS[side],
            color=COLORS[side],
            label=side,
            markersize=5,
            capsize=2.5,
            linewidth=1.2,
        )
    axes.set_yticks(range(len(rows)), [row.label for row in rows], parse_math=False)  # a name may hold dollar signs
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_title(title, loc="left", fontsize=10, parse_math=False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for edge in ("top", "right", "left"):
        axes.spines[edge].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if len(rows) > 1:
        axes.axhline(0.5, color="#bbbbbb", linewidth=0.6)


def _right_end(panels: Sequence[Sequence[Row]]) -> float:
    """Room for every point and, unless a handful of speakers makes one endless, for every interval."""
    rows = [row for panel in panels for row in panel]
    rates = [100 * rate for row in rows for rate in (row.base, row.adapted)]
    highs = [100 * interval.high for row in rows for interval in (row.base_interval, row.adapted_interval) if interval]
    return max(1.0, 1.04 * min(max([*rates, *highs]), max(100.0, 1.25 * max(rates))))


def _reach(rate: float, interval: Interval | None) -> tuple[float, float]:
    if interval is None:
        return 0.0, 0.0
    return max(0.0, rate - 100 * max(0.0, interval.low)), max(0.0, 100 * interval.high - rate)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else f"…{text[1 - LONGEST_LABEL :]}"  # the end tells speakers of one corpus apart
