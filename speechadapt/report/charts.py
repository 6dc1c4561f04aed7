"""Charts as SVG that a page can color: WER by group, speakers base against adapted, loss and dev WER. The only file of the page that draws."""

import dataclasses
import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from speechadapt.report.document import Training
from speechadapt.report.inert import inert
from speechadapt.score.intervals import Interval

WIDTHS = {"wide": 760, "narrow": 340}
"""Pixels: a column of text, and a phone. Each chart is drawn for both, with letters of the same size, and the page shows the one that fits."""
LETTERS = 12
ROW = 26
MOST_POINTS = 300
PAINTS = {"#010101": "ink", "#020202": "muted", "#030303": "line", "#040404": "base", "#050505": "accent", "#060606": "surface"}
"""What is drawn in these colors follows the page's own, light or dark."""
INK, MUTED, LINE, BASE, ACCENT, SURFACE = PAINTS
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "speechadapt",
    "font.family": "DejaVu Sans",
    "font.size": LETTERS,
    "text.parse_math": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 1,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.unicode_minus": False,
    "figure.dpi": 72,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A WER as a fraction, with its interval."""

    value: float
    interval: Interval | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a chart of groups; a row without rates is a heading."""

    label: str
    rates: tuple[Rate, ...] = ()


def group_chart(rows: Sequence[Row], *, key: str, title: str, description: str) -> Markup:
    """WER by group with 95 % intervals: the base hollow and gray, the system of the page filled.

    Args:
        rows: headings, and groups with one rate, or with two, the base's first.
        key: unique on the page.
        title, description: what a reader who does not see it is told.
    """

    def draw(figure: Figure, width: int) -> None:
        axes = figure.add_subplot()
        most = 30 if width > 500 else 15
        for place, row in enumerate(rows):
            if not row.rates:
                continue
            shifts = (-0.17, 0.17) if len(row.rates) == 2 else (0.0,)
            for number, (rate, shift) in enumerate(zip(row.rates, shifts, strict=True)):
                _mark(axes, rate, place + shift, base=len(row.rates) == 2 and number == 0)
        _rows(axes, [(row.label, not row.rates) for row in rows], most)
        axes.set_xlim(0, _right_end([rate for row in rows for rate in row.rates]))
        axes.set_xlabel("word error rate (%)", fontsize=LETTERS)

    return _both(draw, lambda _: ROW * (len(rows) + 0.4) + 48, key, title, description)


def speaker_chart(points: Sequence[tuple[str, float, float]], *, key: str, title: str, description: str) -> Markup:
    """Speakers, WER of the base across and of the adapted system up; below the diagonal is better.

    Args:
        points: speaker, and both rates as fractions.
    """

    def draw(figure: Figure, width: int) -> None:
        axes = figure.add_subplot()
        end = 100 * 1.06 * max([0.05, *(max(base, adapted) for _, base, adapted in points)])
        axes.plot([0, end], [0, end], color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
        axes.scatter([100 * base for _, base, _ in points], [100 * new for _, _, new in points], s=52, color=ACCENT, alpha=0.75, linewidths=0)
        axes.set_xlim(0, end)
        axes.set_ylim(0, end)
        axes.set_aspect("equal", anchor="W")
        axes.set_xlabel("base WER (%)")
        axes.set_ylabel("adapted WER (%)")
        axes.text(0.97, 0.05, "better", transform=axes.transAxes, ha="right", va="bottom", color=MUTED)
        axes.text(0.03, 0.97, "worse", transform=axes.transAxes, ha="left", va="top", color=MUTED)
        _calm(axes, grid="both")

    return _both(draw, lambda width: min(width, 460), key, title, description, widths={"wide": 460, "narrow": WIDTHS["narrow"]})


def training_chart(training: Training, *, key: str, title: str, description: str) -> Markup:
    """Loss by step, evened out, and dev WER at each checkpoint with the chosen one marked."""

    def draw(figure: Figure, width: int) -> None:
        side_by_side = width > 500 and training.scores
        grid = figure.subplots(1 if side_by_side or not training.scores else 2, 2 if side_by_side else 1, squeeze=False)
        loss = grid.flat[0]
        steps, losses = evened(training.steps, training.losses)
        loss.plot(steps, losses, color=ACCENT, linewidth=1.6)
        loss.set_ylim(bottom=min(0.0, min(losses)))
        loss.set_title("training loss", loc="left", fontsize=LETTERS, color=INK)
        loss.set_xlabel("step")
        _calm(loss, grid="y")
        if training.scores:
            dev = grid.flat[1]
            places, rates = zip(*training.scores, strict=True)
            dev.plot(places, [100 * rate for rate in rates], color=ACCENT, linewidth=1.6, marker="o", markersize=5)
            chosen = [(step, rate) for step, rate in training.scores if step == training.chosen_step]
            if chosen:
                step, rate = chosen[-1]
                dev.plot([step], [100 * rate], color=INK, marker="o", markersize=12, markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.4)
            dev.set_ylim(bottom=0)
            dev.set_title("dev WER (%), kept step ringed", loc="left", fontsize=LETTERS, color=INK)
            dev.set_xlabel("step")
            _calm(dev, grid="y")

    return _both(draw, lambda width: 270 if width > 500 or not training.scores else 500, key, title, description)


def evened(steps: Sequence[int], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Means of neighbors: a few hundred points, at least three losses in each where there are many."""
    if len(steps) <= 60:
        return [float(step) for step in steps], list(values)
    pieces = min(MOST_POINTS, len(steps) // 3)
    return (
        [float(np.mean(part)) for part in np.array_split(np.asarray(steps, dtype=float), pieces)],
        [float(np.mean(part)) for part in np.array_split(np.asarray(values, dtype=float), pieces)],
    )


def _mark(axes: Axes, rate: Rate, place: float, *, base: bool) -> None:
    color = BASE if base else ACCENT
    value = 100 * rate.value
    if rate.interval is not None:
        axes.plot([100 * max(0.0, rate.interval.low), 100 * rate.interval.high], [place, place], color=color, linewidth=2, alpha=0.55)
    axes.plot(
        [value],
        [place],
        marker="o" if base else "D",
        markersize=7 if base else 6.5,
        markerfacecolor=SURFACE if base else color,
        markeredgecolor=color,
        markeredgewidth=1.6,
        linestyle="none",
        clip_on=False,
        zorder=3,
    )


def _rows(axes: Axes, labels: Sequence[tuple[str, bool]], most: int) -> None:
    axes.set_yticks(range(len(labels)), [_short(inert(label), most) for label, _ in labels], parse_math=False)
    for tick, (_, heading) in zip(axes.get_yticklabels(), labels, strict=True):
        tick.set_color(MUTED if heading else INK)
        tick.set_fontweight("bold" if heading else "normal")
    axes.set_ylim(len(labels) - 0.4, -0.6)
    _calm(axes, grid="x")


def _calm(axes: Axes, *, grid: Literal["x", "y", "both"]) -> None:
    axes.grid(axis=grid, color=LINE, linewidth=1)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, pad=6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))


def _right_end(rates: Sequence[Rate]) -> float:
    """Room for every rate and, unless a handful of speakers makes one endless, for every interval."""
    values = [100 * rate.value for rate in rates]
    highs = [100 * rate.interval.high for rate in rates if rate.interval]
    return max(1.0, 1.04 * min(max([*values, *highs]), max(100.0, 1.25 * max(values))))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"…{text[1 - most :]}"


def _both(
    draw: Callable[[Figure, int], None],
    height: Callable[[int], float],
    key: str,
    title: str,
    description: str,
    widths: Mapping[str, int] = WIDTHS,
) -> Markup:
    drawn = []
    for name, width in widths.items():
        with mpl.rc_context(STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the page's fonts draw it, not this one
            figure = Figure(figsize=(width / 72, height(width) / 72), layout="constrained", facecolor="none")
            FigureCanvasSVG(figure)
            draw(figure, width)
            written = io.StringIO()
            figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}, transparent=True)
        drawn.append(_for_page(written.getvalue(), f"{key}-{name}", name, title, description))
    return Markup("").join(drawn)


def _for_page(text: str, key: str, kind: str, title: str, description: str) -> Markup:
    """Matplotlib's file as an element of a page: named, with its own ids, in the page's fonts and colors."""
    text = text[text.index("<svg") :]
    box = re.search(r'viewBox="([^"]+)"', text)
    body = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<defs>\s*</defs>|<!--.*?-->", "", text[text.index(">") + 1 :], flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r"\s*\n\s*", " ", re.sub(r'\bid="', f'id="{key}-', body))
    body = re.sub(r'((?:xlink:)?href)="#', lambda _: f'href="#{key}-', body)
    body = re.sub(r"url\(#", f"url(#{key}-", body)
    body = re.sub(r"font-family:[^;\"]*;?|font: [^;\"]*;?", _font, body)
    for paint, name in PAINTS.items():
        body = body.replace(paint, f"var(--{name})")
    size = box[1] if box else "0 0 760 400"
    names = f'aria-labelledby="{key}-title {key}-desc"'
    head = f"<title id='{key}-title'>{escape(inert(title))}</title><desc id='{key}-desc'>{escape(inert(description))}</desc>"
    return Markup(f'<svg class="chart {kind}" viewBox="{size}" style="max-width:{float(size.split()[2]):.0f}px" role="img" {names}>{head}{body}')


def _font(found: re.Match[str]) -> str:
    """Only weight and size stay of a font that the page chooses."""
    weight = "font-weight: 700; " if "bold" in found[0] or " 700 " in found[0] else ""
    size = re.search(r"([\d.]+)px", found[0])
    return f"{weight}font-size: {size[1]}px;" if size else ""
