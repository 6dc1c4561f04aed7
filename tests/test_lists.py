"""Lists of keys and values, and the times in them."""

from pathlib import Path

import pytest

from speechadapt.errors import AudioError, CorpusError
from speechadapt.preparation import Intake
from speechadapt.preparation.lists import parse_line, parse_segment, parse_span, read_lines, read_list


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("u1 WE CALL IT", ("u1", "WE CALL IT")),
        ("u1\tWE  CALL\tIT ", ("u1", "WE  CALL\tIT")),
        ("u1 \t IT", ("u1", "IT")),
        ("u1", ("u1", "")),
        ("u\u00a01 x", ("u\u00a01", "x")),  # only blanks and tabs separate
    ],
)
def test_lines(line: str, parsed: tuple[str, str]) -> None:
    assert parse_line(line) == parsed


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_list_keeps_the_first_of_repeated_keys(tmp_path: Path, ending: str) -> None:
    (tmp_path / "text").write_bytes("\ufeffb two\n\n \na one\u2028more\nb three".replace("\n", ending).encode())
    intake = Intake()
    assert read_list(tmp_path / "text", intake) == {"b": "two", "a": "one\u2028more"}
    assert intake.repairs == {"text: key stands twice, the first line is kept": 1}
    assert [number for number, _ in read_lines(tmp_path / "text")] == [1, 4, 5]


def test_lists_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    assert read_list(tmp_path / "text", Intake()) == {}
    (tmp_path / "text").write_bytes(b"a caf\xe9\n")
    with pytest.raises(CorpusError, match=r"text: cannot be read as UTF-8 .*Save it as UTF-8, or download it again"):
        read_list(tmp_path / "text", Intake())


def test_segments() -> None:
    assert parse_segment("rec1 0.35 1e1") == ("rec1", 0.35, 10.0)
    assert parse_span("0", "0.001") == (0.0, 0.001)


@pytest.mark.parametrize("value", ["", "rec1 1", "rec1 1 2 3", "rec1 2 1", "rec1 1 1", "rec1 -1 1", "rec1 nan 1", "rec1 0 inf", "rec1 a b"])
def test_impossible_segments(value: str) -> None:
    with pytest.raises(AudioError) as caught:
        parse_segment(value)
    assert caught.value.reason == "out-of-range"
