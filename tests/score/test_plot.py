"""The plot is a PNG of sensible size, the same every time, whatever the groups are called."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from speechadapt.score import plot
from speechadapt.score.compare import Comparison, compare
from speechadapt.score.plot import plot_comparisons, plot_sets
from speechadapt.score.report import ScoreReport
from speechadapt.score.verdict import comparison_set

ReportMaker = Callable[..., ScoreReport]
Speakers = Callable[[str, int], ScoreReport]


@pytest.fixture
def comparison(twelve_speakers: Speakers) -> Comparison:
    return compare(twelve_speakers("tiny", 3), twelve_speakers("new", 1))


def pixels(path: Path, color: str) -> int:
    red, green, blue = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    image = imread(path)[..., :3]
    return int(np.all(np.abs(image - np.array([red, green, blue])) < 0.02, axis=-1).sum())


def test_both_systems_are_drawn_and_the_file_is_the_same_every_time(comparison: Comparison, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        plot_comparisons([("test", comparison)], tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    for color in plot.COLORS.values():
        assert pixels(tmp_path / "one.png", color) > 13 * 20  # thirteen markers of some twenty pixels and more


def test_a_panel_per_set_makes_it_taller(twelve_speakers: Speakers, tmp_path: Path) -> None:
    entry = comparison_set("test", "t.jsonl", "test", twelve_speakers("tiny", 3), twelve_speakers("new", 1))
    plot_sets([entry], tmp_path / "one.png")
    plot_sets([entry, entry], tmp_path / "two.png")
    assert imread(tmp_path / "two.png").shape[0] > 1.6 * imread(tmp_path / "one.png").shape[0]


def test_rows_are_the_whole_and_the_telling_field(make_report: ReportMaker) -> None:
    rows = [("a", "s1", "one two", "one two"), ("b", "s2", "one two", "one x")]
    found = compare(make_report(rows), make_report(rows, system="new"))
    assert [row.label for row in plot._rows(found, None)] == ["all", "speaker: s2", "speaker: s1"]  # the worst served first
    assert [row.label for row in plot._rows(found, "accent")] == ["all"]


def test_an_endless_interval_does_not_squeeze_the_points(make_report: ReportMaker) -> None:
    rows = [("a", "s1", "a b c d", "a b c d"), ("b", "s2", "a b c d", "x y z z")]
    found = compare(make_report(rows), make_report(rows, system="new"))
    assert found.base.interval is not None
    assert found.base.interval.high > 5  # two speakers, Student's t: 50 % give or take 635 points
    assert plot._right_end([plot._rows(found, None)]) == pytest.approx(1.04 * 125)


@pytest.mark.parametrize("name", ["$x_{", "हिन्दी", "a\x1b[31m", "é" * 60])
def test_any_group_name_can_be_drawn(make_report: ReportMaker, tmp_path: Path, name: str) -> None:
    rows = [("a", name, "one two", "one two"), ("b", "s2", "one two", "one x")]
    plot_comparisons([(name, compare(make_report(rows), make_report(rows, system="new")))], tmp_path / "wer.png")
    assert (tmp_path / "wer.png").read_bytes().startswith(b"\x89PNG")
