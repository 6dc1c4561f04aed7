"""TextGrids: both text forms in every encoding Praat writes, and every way a file can be broken."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from praat_files import long_textgrid, short_textgrid

from speechadapt.data import textgrid
from speechadapt.data.textgrid import Interval, parse_textgrid, read_textgrid
from speechadapt.errors import CorpusError

TIERS = (
    ('Mary "M"', [(0.0, 0.5, ""), (0.5, 1.25, 'she said ""no"" — twice'), (1.25, 4.0, "two\nlines, é")]),
    ("bell", [(1.0, 1.0, "ding"), (2.5, 2.5, "! 3 dong")]),
    ("empty", []),
)
ENCODINGS = [
    (long_textgrid, "utf-8", "utf-8"),
    (long_textgrid, "utf-8-sig", "utf-8-sig"),
    (short_textgrid, "utf-16", "utf-16"),
    (short_textgrid, "utf-16-le", "utf-16-le"),
    (long_textgrid, "utf-16-be", "utf-16-be"),
]


@pytest.mark.parametrize(("write", "encoding", "told"), ENCODINGS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_both_forms_hold_the_same_in_every_encoding(write: object, encoding: str, told: str, line_end: str, tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_bytes(write(*TIERS).replace("\n", line_end).encode(encoding))  # type: ignore[operator]
    grid = read_textgrid(path)
    assert (grid.start, grid.end, grid.encoding) == (0.0, 4.0, told)
    assert [(tier.name, tier.points) for tier in grid.tiers] == [('Mary "M"', False), ("bell", True), ("empty", False)]
    assert grid.tiers[0].intervals == (
        Interval(start=0.0, end=0.5, text=""),
        Interval(start=0.5, end=1.25, text='she said ""no"" — twice'),
        Interval(start=1.25, end=4.0, text="two\nlines, é"),
    )
    assert grid.tiers[1].intervals == (Interval(start=1.0, end=1.0, text="ding"), Interval(start=2.5, end=2.5, text="! 3 dong"))
    assert grid.tiers[2].intervals == ()


def test_latin_1_is_told_and_other_bytes_must_be_named() -> None:
    tier = ("utt", [(0, 1, "Äpfel für Björn")])
    grid = parse_textgrid(long_textgrid(tier).encode("latin-1"), "a")
    assert (grid.encoding, grid.tiers[0].intervals[0].text) == ("latin-1", "Äpfel für Björn")
    with pytest.raises(CorpusError, match=r"a: neither UTF-8 nor Latin-1 \(it holds the byte 0x80\)\. Name its encoding, such as cp1252"):
        parse_textgrid(long_textgrid(tier).encode("mac_roman"), "a")
    assert parse_textgrid(long_textgrid(tier).encode("mac_roman"), "a", encoding="mac_roman").tiers == grid.tiers
    with pytest.raises(CorpusError, match="cannot be read as ascii"):
        parse_textgrid(long_textgrid(tier).encode(), "a", encoding="ascii")
    with pytest.raises(CorpusError, match="cannot be read as klingon"):
        parse_textgrid(long_textgrid(tier).encode(), "a", encoding="klingon")


def test_what_stands_between_the_values_is_for_people() -> None:
    """Comments, other names, values on one line, exponents: Praat reads all of these."""
    text = """File type = "ooTextFile short"
"TextGrid"
-0.5 2e0 ! the time "domain", 2.3
<exists> how many tiers? 1 of them
"IntervalTier" called "Mary" from -.5 to +2. with 2 labels [3]:
0 50% "one" ! a comment
(7) 0.5 2 "two"
"""
    grid = parse_textgrid(text.encode(), "a")
    assert (grid.start, grid.end) == (-0.5, 2.0)
    assert grid.tiers[0].intervals == (Interval(start=0, end=50, text="one"), Interval(start=0.5, end=2, text="two"))
    assert parse_textgrid(b'"ooTextFile" "TextGrid" 0 1 <absent>', "a").tiers == ()


GOOD = short_textgrid(("utt", [(0, 1, "one"), (1, 2, "two")]))
BROKEN = [
    ("ooBinaryFile\x08TextGrid\x00\x01", r"a: a binary TextGrid\. Open it in Praat and save it as a text file\."),
    ("", "a, line 1: ends where its type should stand, this is no TextGrid"),
    ("sentence,path\n1,2\n", r"a, line 3: ends where its type should stand, this is no TextGrid"),
    ('"SpeechFile" "TextGrid"', r'expected "ooTextFile" at the beginning, so this is no TextGrid'),
    ('File type = "ooTextFile"\nObject class = "Pitch 1"\n', r'a: holds "Pitch 1", not a TextGrid in text form'),
    ('"Praat chronological TextGrid text file"\n0 2.3\n', r'holds "Praat chronological TextGrid text file", not a TextGrid in text form'),
    (GOOD[:-5], "line 18: a quote is never closed"),
    (GOOD.replace('"two"\n', ""), r'line 18: ends where label 2 of tier 1 \("utt"\) should stand, the file is not whole'),
    (GOOD.replace('"one"', '"o"ne"'), r'line 15: ne" follows a closing quote; quotes in a label are doubled'),
    (GOOD.replace('"utt"\n0', '"utt"\n"0"'), r'line 10: found the text "0", expected a number: the beginning of tier 1'),
    (GOOD.replace("IntervalTier", "FormantTier"), r'line 8: tier 1 is of the class "FormantTier", expected IntervalTier or TextTier'),
    (GOOD.replace("4.0\n2\n", "4.0\n3\n"), r'ends where label 3 of tier 1 \("utt"\) should stand'),
    (GOOD.replace("4.0\n2\n", "4.0\n1\n").replace("<exists>\n1", "<exists>\n2"), "found the number 1, expected a text in quotes: the class"),
    (GOOD.replace("4.0\n2\n", "4.0\n1\n"), "line 16: found the number 1 after the last label, so a number of tiers or labels is too small"),
    (GOOD.replace("<exists>\n1", "<exists>\n0"), 'line 8: found the text "IntervalTier" after the last label'),
    (GOOD.replace("4.0\n2\n", "4.0\n-2\n"), "the number of labels of tier 1 is -2"),
    (GOOD.replace("4.0\n2\n", "4.0\n1.5\n"), r"the number of labels of tier 1 is 1\.5"),
    (GOOD.replace("4.0\n2\n", "4.0\n99999999999999999999\n"), "ends where label 3 of tier 1"),
    (GOOD.replace('1\n2\n"two"', '1\n1e999\n"two"'), "the number 1e999 is too large"),
    (GOOD.replace("<exists>", "yes"), "line 5: expected <exists> or <absent>"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_broken_files_are_told_with_their_line(text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        parse_textgrid(text.encode(), "a")


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CorpusError, match=r"gone\.TextGrid: cannot be read \(No such file or directory\)"):
        read_textgrid(tmp_path / "gone.TextGrid")
    (tmp_path / "a.TextGrid").write_text(GOOD)
    monkeypatch.setattr(textgrid, "LARGEST_FILE", 20)
    with pytest.raises(CorpusError, match=f"{len(GOOD)} bytes, a TextGrid has at most 20"):
        read_textgrid(tmp_path / "a.TextGrid")


@pytest.mark.parametrize("filling", ["1" * 300_000 + "x", '"' + '""' * 150_000, "! " * 150_000, "<" * 300_000, "." * 300_000, "1e" * 150_000])
def test_hostile_files_cost_no_time(filling: str) -> None:
    started = time.monotonic()
    with pytest.raises(CorpusError):
        parse_textgrid(f'"ooTextFile" "TextGrid" 0 1 <exists> 1 {filling}'.encode(), "a")
    assert time.monotonic() - started < 2


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"))
labels = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), texts), max_size=4)


@given(st.lists(st.tuples(texts, labels), max_size=3))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_whatever_is_written_is_read_again(tiers: list[tuple[str, list[tuple[float, float, str]]]]) -> None:
    long, short = (parse_textgrid(write(*tiers).encode("utf-16"), "a") for write in (long_textgrid, short_textgrid))
    assert long == short
    assert [tier.name for tier in long.tiers] == [name for name, _ in tiers]
    for tier, (_, given_labels) in zip(long.tiers, tiers, strict=True):
        assert [(one.start, one.end, one.text) for one in tier.intervals] == given_labels


@given(st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_damage_is_refused_or_read_but_never_a_traceback(data: st.DataObject) -> None:
    good = long_textgrid(*TIERS).encode(data.draw(st.sampled_from(["utf-8", "utf-16", "utf-16-le"])))
    start, length = data.draw(st.integers(0, len(good))), data.draw(st.integers(0, 40))
    damaged = good[:start] + data.draw(st.binary(max_size=8) | st.sampled_from([b'"', b"1e9999", b"\n! ", b"<exists>"])) + good[start + length :]
    try:
        held = sum(len(tier.intervals) for tier in parse_textgrid(damaged, "a").tiers)
    except CorpusError:
        held = 0
    assert held <= 6
