"""Subtitles that players and people read."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from speechadapt.subtitles import Line, cut_lines, to_srt, to_vtt

LINES = [(0.0, 2.5, "They went home."), (2.5, 3723.0004, "Tom & Ann said\n\nx --> y < z")]


def test_srt_is_numbered_with_commas() -> None:
    assert to_srt(LINES) == ("1\n00:00:00,000 --> 00:00:02,500\nThey went home.\n\n2\n00:00:02,500 --> 01:02:03,000\nTom & Ann said x -> y < z\n")


def test_vtt_has_a_header_and_escapes() -> None:
    assert to_vtt(LINES) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.500\nThey went home.\n\n00:00:02.500 --> 01:02:03.000\nTom &amp; Ann said x -&gt; y &lt; z\n"
    )


def test_times_round_up_over_the_minute_and_never_run_backwards() -> None:
    assert to_srt([(59.9996, 59.0, "x")]).splitlines()[1] == "00:01:00,000 --> 00:01:00,000"


def test_nothing_said_is_an_empty_file_with_its_header() -> None:
    assert to_srt([]) == ""
    assert to_vtt([]) == "WEBVTT\n"


def spoken(text: str, each: float = 0.3, pauses: dict[int, float] | None = None) -> list[Line]:
    """Words of `each` seconds with 0.1 s between them, and longer pauses before some."""
    words: list[Line] = []
    now = 0.0
    for place, word in enumerate(text.split()):
        now += (pauses or {}).get(place, 0.1)
        words.append((now, now + each, word))
        now += each
    return words


def test_words_become_lines_of_42_characters() -> None:
    words = spoken("the old fisherman repaired his boat before the storm arrived and nobody knew why")
    lines = cut_lines(words)
    assert [text for _, _, text in lines] == ["the old fisherman repaired his boat before", "the storm arrived and nobody knew why"]
    assert len(lines[0][2]) == 42
    assert lines[0][:2] == (words[0][0], words[6][1])
    assert lines[1][:2] == (words[7][0], words[-1][1])


def test_a_pause_of_more_than_06_seconds_begins_a_line() -> None:
    assert [text for *_, text in cut_lines(spoken("one two three four", pauses={1: 0.6, 2: 0.61}))] == ["one two", "three four"]


def test_a_line_lasts_at_most_7_seconds() -> None:
    lines = cut_lines(spoken("a b c d e f g h", each=1.4))
    assert [text for *_, text in lines] == ["a b c d", "e f g h"]


def test_a_word_longer_than_a_line_stands_alone() -> None:
    long = "x" * 50
    assert [text for *_, text in cut_lines(spoken(f"a {long} b"))] == ["a", long, "b"]


def test_a_short_line_stays_a_second_unless_the_next_one_begins() -> None:
    assert cut_lines([(0.0, 0.2, "no")]) == [(0.0, 1.0, "no")]
    assert cut_lines([(0.0, 0.1, "no"), (0.8, 0.9, "yes")]) == [(0.0, 0.8, "no"), (0.8, 1.8, "yes")]


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.02, 3), st.text(st.characters(categories=["Ll"]), min_size=1, max_size=60)), max_size=30))
def test_every_word_is_shown_once_in_order_and_lines_do_not_overlap(pieces: list[tuple[float, float, str]]) -> None:
    words: list[Line] = []
    now = 0.0
    for pause, length, text in pieces:
        words.append((now + pause, now + pause + length, text))
        now += pause + length
    lines = cut_lines(words)
    assert [word for *_, text in lines for word in text.split()] == [text for *_, text in words]
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(lines))
    for start, end, text in lines:
        assert len(text) <= 42 or " " not in text
        assert end - start <= 7.0 + 1e-9
        assert start in [word[0] for word in words]
