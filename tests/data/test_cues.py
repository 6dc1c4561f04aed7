"""Subtitle files as people and video sites write them."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechadapt.data.cues import Cue, parse_cues, read_cues
from speechadapt.errors import CorpusError
from speechadapt.subtitles import to_srt, to_vtt

VTT = """WEBVTT - a title
Kind: captions
Language: ar

STYLE
::cue { color: lime }

NOTE a comment
over two lines

intro
00:01.000 --> 00:02.500 align:start position:0%
<c.yellow>Hello</c> <00:00:01.500>there,
<i>you</i> &amp; me

1:00:00,5 --> 1:00:01,25
<v.loud First Voice>&gt;&gt; I said 3 < 4.</v>

00:05.000 --> 00:04.000
backwards

00:03.000 --> later
no time

words that belong nowhere

00:06.000 --> 00:07.000
"""

SRT = """\ufeff1
00:00:01,000 --> 00:00:02,000
{\\an8}<font color="#fff">First</font>

2
00:00:02,000 --> 00:00:03,000
Second
3
00:00:03,000 --> 00:00:04,000
Third, after no blank line
1984
"""


def test_webvtt() -> None:
    found = parse_cues(VTT)
    assert found.cues == (
        Cue(start=1.0, end=2.5, text="Hello there, you & me"),
        Cue(start=3600.5, end=3601.25, text="I said 3 < 4.", speaker="First Voice"),
        Cue(start=6.0, end=7.0, text=""),
    )
    assert [VTT.split("\n")[number - 1] for number in found.broken] == [
        "00:05.000 --> 00:04.000", "00:03.000 --> later", "words that belong nowhere",
    ]  # fmt: skip


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_subrip_in_any_encoding_and_with_any_line_ends(tmp_path: Path, encoding: str, ending: str) -> None:
    (tmp_path / "a.srt").write_bytes(SRT.removeprefix("\ufeff" if encoding == "utf-16" else "").replace("\n", ending).encode(encoding))
    found = read_cues(tmp_path / "a.srt")
    assert [(cue.start, cue.end, cue.text) for cue in found.cues] == [
        (1.0, 2.0, "First"), (2.0, 3.0, "Second"), (3.0, 4.0, "Third, after no blank line 1984"),
    ]  # fmt: skip
    assert found.broken == ()


def test_a_name_is_no_comment_and_marks_of_direction_go() -> None:
    found = parse_cues("WEBVTT\n\nNOTE\n00:01.000 --> 00:02.000\n\u200fمرحبا &lrm;بك\u202c\n\nNOTE\n00:05 is not a time\n00:01.000 --> 00:02.000\n")
    assert [cue.text for cue in found.cues] == ["مرحبا بك"]
    assert found.broken == ()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"a\.vtt: no such subtitle file\. Check the path\."):
        read_cues(tmp_path / "a.vtt")
    (tmp_path / "a.vtt").write_bytes("1\n00:01.000 --> 00:02.000\nمرحبا\n".encode("cp1256"))
    with pytest.raises(CorpusError, match="cannot be read as utf-8-sig"):
        read_cues(tmp_path / "a.vtt")


times = st.tuples(st.integers(0, 3_599_000), st.integers(1, 20_000))
words = st.text(alphabet="abc <>&;'- é>", min_size=1, max_size=12).map(lambda text: " ".join(text.replace(">>", "").replace("-->", "").split()))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(times, words.filter(lambda text: bool(text) and not text.isdecimal())), max_size=5))
def test_what_we_write_we_read(lines: list[tuple[tuple[int, int], str]]) -> None:
    given_lines = [(start / 1000, (start + length) / 1000, text.replace(">", "").replace("<", "") or "x") for (start, length), text in lines]
    for written in (to_vtt(given_lines), to_srt([line for line in given_lines if "&" not in line[2]])):
        found = parse_cues(written)
        wanted = [(start, end, " ".join(text.split())) for start, end, text in given_lines if written.startswith("WEBVTT") or "&" not in text]
        assert [(cue.start, cue.end, cue.text) for cue in found.cues] == wanted
        assert found.broken == ()


nonsense = st.text(alphabet="0123456789:.,->< \nWEBVTOab&#x;{}\\\0é", max_size=80)
pieces = st.lists(nonsense | st.sampled_from(["00:01.000 --> 00:02.000", "-->", "\n\n", "7\n"]), max_size=8)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(pieces)
def test_nonsense_is_counted_and_never_raises(parts: list[str]) -> None:
    lines = "".join(parts).split("\n")
    found = parse_cues("\n".join(lines))
    assert all(0 <= cue.start < cue.end for cue in found.cues)
    assert len(found.cues) + sum("-->" in lines[number - 1] for number in found.broken) == sum("-->" in line for line in lines)
