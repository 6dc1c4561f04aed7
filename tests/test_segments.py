"""Segments: what is joined, what is not, and that the order of the lines does not matter."""

import itertools

import hypothesis
import hypothesis.strategies as st
import pytest

from speechadapt.preparation import Segment, merge_segments


def line(start: float, end: float, text: str = "a", speaker: str | None = "x") -> Segment:
    return Segment(start=start, end=end, text=text, speaker=speaker)


def test_neighbors_of_one_speaker_are_joined_and_keep_their_words_in_order() -> None:
    merged = merge_segments([line(2.0, 3.0, "three"), line(0.0, 1.0, "one two"), line(3.2, 4.0, "four")], gap=1.0)
    assert merged == [line(0.0, 4.0, "one two three four")]


@pytest.mark.parametrize(("start", "count"), [(1.3, 1), (1.31, 2), (0.5, 1)])
def test_the_pause_is_at_most_the_gap(start: float, count: int) -> None:
    assert len(merge_segments([line(0.0, 1.0), line(start, 2.0)], gap=0.3)) == count  # 1.3 - 1.0 > 0.3 in binary fractions


@pytest.mark.parametrize(("end", "count"), [(28.0, 1), (28.001, 2)])
def test_the_whole_is_at_most_the_longest(end: float, count: int) -> None:
    assert len(merge_segments([line(0.0, 14.0), line(14.0, end)], gap=0.5)) == count


def test_the_longest_is_measured_from_the_first_start_whatever_it_is() -> None:
    pieces = [line(100.1 + place, 101.1 + place, str(place)) for place in range(6)]
    assert [segment.text for segment in merge_segments(pieces, gap=0, longest=3.0)] == ["0 1 2", "3 4 5"]


def test_another_speaker_in_between_keeps_them_apart() -> None:
    segments = [line(0.0, 1.0, "one"), line(1.0, 1.2, "mhm", "y"), line(1.2, 2.0, "two")]
    assert merge_segments(segments, gap=1.0) == segments
    assert len(merge_segments([line(0.0, 1.0), line(1.0, 2.0, speaker=None)], gap=1.0)) == 2
    assert merge_segments([line(0.0, 1.0, "one", None), line(1.0, 2.0, "two", None)], gap=1.0) == [line(0.0, 2.0, "one two", None)]


def test_one_inside_another_does_not_shorten_it() -> None:
    assert merge_segments([line(0.0, 5.0, "long"), line(1.0, 2.0, "inside")], gap=0.0) == [line(0.0, 5.0, "long inside")]


def test_empty_texts_add_their_time_only_and_a_long_one_stays() -> None:
    assert merge_segments([line(0.0, 1.0, ""), line(1.0, 2.0, "word"), line(2.0, 3.0, " ")], gap=0.1) == [line(0.0, 3.0, "word")]
    assert merge_segments([line(0.0, 40.0, "long"), line(40.0, 41.0, "next")], gap=1.0) == [line(0.0, 40.0, "long"), line(40.0, 41.0, "next")]
    assert merge_segments([], gap=1.0) == []


def test_the_order_of_the_lines_does_not_matter_even_where_times_are_equal() -> None:
    segments = [line(0.0, 1.0, "b"), line(0.0, 1.0, "a"), line(0.0, 1.0, "c", "w"), line(1.0, 1.5, "d")]
    merged = {tuple(merge_segments(order, gap=0.1)) for order in itertools.permutations(segments)}
    assert len(merged) == 1


times = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 60), st.sampled_from("xy")), max_size=12)


@hypothesis.settings(derandomize=True, deadline=None, max_examples=200)
@hypothesis.given(times=times, gap=st.sampled_from([0.0, 0.3, 2.0]))
def test_nothing_is_lost_or_made_up(times: list[tuple[int, int, str]], gap: float) -> None:
    segments = [line(start / 10, (start + length) / 10, f"w{place}", speaker) for place, (start, length, speaker) in enumerate(times)]
    merged = merge_segments(segments, gap=gap, longest=8.0)
    assert sorted(" ".join(segment.text for segment in merged).split()) == sorted(segment.text for segment in segments)
    assert [segment.start for segment in merged] == sorted(segment.start for segment in merged)
    assert all(segment.end - segment.start <= 8.0 + 1e-6 for segment in merged)
    by_word = {segment.text: segment for segment in segments}
    for segment in merged:
        words = [by_word[word] for word in segment.text.split()]
        assert {word.speaker for word in words} == {segment.speaker}
        assert (segment.start, segment.end) == (min(word.start for word in words), max(word.end for word in words))
