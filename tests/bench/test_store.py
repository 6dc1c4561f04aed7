"""What a benchmark keeps: appended batch by batch, and readable after a kill at any byte."""

from pathlib import Path

import pytest

from speechadapt.bench.store import Line, Store, append_lines, read_lines, rewrite_lines
from speechadapt.data.hypothesis import read_hypotheses
from speechadapt.files import write_json

LINES = [Line(id="u1", text="ein Bär", seconds=0.5, avg_logprob=-0.2), Line(id="u2", text="", failure="exit 1"), Line(id="u3", text="", missing=True)]


def test_lines_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a" / "said.jsonl"
    append_lines(path, LINES[:1])
    append_lines(path, LINES[1:])
    assert list(read_lines(path).values()) == LINES
    assert [(one.id, one.text, one.seconds) for one in read_hypotheses(path)] == [("u1", "ein Bär", 0.5), ("u2", "", None), ("u3", "", None)]
    assert read_lines(tmp_path / "nothing.jsonl") == {}


def test_a_file_cut_at_any_byte_loses_no_whole_line_and_can_be_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    append_lines(path, LINES)
    whole = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        kept = read_lines(path)
        assert list(kept) == ["u1", "u2", "u3"][: sum(end <= length for end in ends)]
        append_lines(path, [line for line in LINES if line.id not in kept])
        assert path.read_bytes() == whole


def test_a_batch_that_was_made_again_counts_once_and_the_whole_file_is_put_in_order(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    append_lines(path, [Line(id="u2", text="old"), Line(id="u1", text="a"), Line(id="u2", text="new")])
    kept = read_lines(path)
    assert kept["u2"].text == "new"
    rewrite_lines(path, [kept["u1"], kept["u2"]])
    assert path.read_text() == '{"id": "u1", "text": "a"}\n{"id": "u2", "text": "new"}\n'


@pytest.mark.parametrize("rubbish", [b"[]\n", b"{}\n", b'{"id": "u1"}\n', b"\xff\xfe\n", b'{"id": "u1", "text": "a", "odd": 1}\n'])
def test_lines_of_another_kind_end_the_reading(rubbish: bytes, tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    path.write_bytes(b'{"id": "u0", "text": "a"}\n' + rubbish + b'{"id": "u2", "text": "a"}\n')
    assert list(read_lines(path)) == ["u0"]
    assert path.read_bytes() == b'{"id": "u0", "text": "a"}\n'


def test_facts_of_another_key_are_none(tmp_path: Path) -> None:
    store = Store(folder=tmp_path)
    key = "a" * 64
    append_lines(store.hypotheses("tiny", "test", key), LINES)
    assert store.finished("tiny", "test", key) is None
    store.finish("tiny", "test", key, {"memory": 3})
    assert store.finished("tiny", "test", key) == {"key": key, "memory": 3}
    write_json(store.facts("tiny", "test", key), {"key": "a" * 16 + "b" * 48})
    assert store.finished("tiny", "test", key) is None
    store.facts("tiny", "test", key).write_text("{")
    assert store.finished("tiny", "test", key) is None
    store.forget("tiny")
    assert not store.hypotheses("tiny", "test", key).exists()


def test_a_lone_surrogate_does_not_stop_the_writing(tmp_path: Path) -> None:
    append_lines(tmp_path / "said.jsonl", [Line(id="u1", text="a\ud800b")])
    assert read_lines(tmp_path / "said.jsonl")["u1"].text == "a?b"
