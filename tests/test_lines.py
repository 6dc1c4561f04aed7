"""Files with one JSON object in each line: read line by line, whatever ends a line, and refused in one sentence."""

import gzip
import json
from pathlib import Path

import pytest

from speechadapt.errors import CorpusError
from speechadapt.preparation import Intake
from speechadapt.preparation.lines import read_json_lines


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("packed", [False, True])
def test_lines_are_numbered_as_an_editor_does(ending: str, packed: bool, tmp_path: Path) -> None:
    lines = ["", json.dumps({"text": "one"}), "  ", '{"text": "two\u2028more\x85"}', "{broken", '["no object"]', json.dumps({"text": "three"})]
    data = "\ufeff".encode() + ending.join(lines).encode()
    path = tmp_path / ("a.jsonl.gz" if packed else "a.jsonl")
    path.write_bytes(gzip.compress(data) if packed else data)
    intake = Intake()
    found = list(read_json_lines(path, intake, prefix="a", split="dev"))
    assert found == [(2, {"text": "one"}), (4, {"text": "two\u2028more\x85"}), (7, {"text": "three"})]
    assert [(drop.id, drop.reason, drop.split) for drop in intake.drops] == [("a-line5", "broken-line", "dev"), ("a-line6", "broken-line", "dev")]
    assert intake.drops[0].message == f"{path}, line 5: not a JSON object. Correct the line."


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("before", [0, 70_000, (1 << 20) - 20, (1 << 20) - 21, 3_000_000])
@pytest.mark.parametrize("bad", [b"\xff", b"\xe4\xb8"])
def test_the_byte_that_is_no_text_is_named_wherever_it_stands(bad: bytes, before: int, packed: bool, tmp_path: Path) -> None:
    data = b"x" * before + b'\n{"text": "ab' + bad + b'c"}\n'
    path = tmp_path / ("a.json.gz" if packed else "a.json")
    path.write_bytes(gzip.compress(data, 1) if packed else data)
    with pytest.raises(CorpusError, match=rf"a\.json.*: byte {before + 14} is not UTF-8\. Save the file as UTF-8\."):
        list(read_json_lines(path, Intake(), prefix="a"))


def test_a_character_that_is_cut_off_at_the_end_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"text": "a"}\n\xe4\xb8')
    with pytest.raises(CorpusError, match=r"byte 15 is not UTF-8"):
        list(read_json_lines(tmp_path / "a.json", Intake(), prefix="a"))


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"none\.jsonl: no such file\. Check the path\."):
        list(read_json_lines(tmp_path / "none.jsonl", Intake(), prefix="a"))
    (tmp_path / "list.json").write_text('\n  [{"text": "one"}]')
    with pytest.raises(CorpusError, match=r"list\.json: one JSON list, expected one JSON object per line\. Write it as JSON Lines\."):
        list(read_json_lines(tmp_path / "list.json", Intake(), prefix="a"))
    whole = gzip.compress(b'{"text": "one"}\n' * 10_000)
    for name, data in (("short", whole[:-20]), ("plain", b'{"text": "one"}'), ("spoilt", whole[:60] + b"\0" * 40 + whole[100:])):
        (tmp_path / f"{name}.json.gz").write_bytes(data)
        with pytest.raises(CorpusError, match=rf"{name}\.json\.gz: cannot be unpacked \(.+\)\. Download it again\."):
            list(read_json_lines(tmp_path / f"{name}.json.gz", Intake(), prefix="a"))
