"""Subtitles that players read."""

from speechadapt.subtitles import to_srt, to_vtt

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
