"""`speechadapt normalize` from the terminal."""

import io
import json
from pathlib import Path

import pytest

from speechadapt.cli import main


def test_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["normalize", "Mr. Brown's colour wasn't, uh, twenty-one!"]) == 0
    assert capsys.readouterr().out == "mister brown is color was not 21\n"


def test_several_normalizers_and_the_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["normalize", "--normalizer", "basic:hi", "--normalizer", "whisper-basic", "नमस्ते"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "basic:hi: नमस्ते\nwhisper-basic: नमस त\n"
    assert shown.err == ("warning: whisper-basic broke words at 2 combining marks. Use basic:LANGUAGE, or these only beside published scores.\n")


def test_steps_and_lexicon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "l.tsv").write_text("ken\tknow\n")
    command = ["normalize", "--normalizer", "basic:en+numbers", "--lexicon", str(tmp_path / "l.tsv"), "I ken 2."]
    assert main([*command, "--steps"]) == 0
    assert capsys.readouterr().out == "numbers     I ken two .\nbasic:en    i ken two\nlexicon     i know two\n"
    assert main([*command, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["normalizer"], row["text"], row["normalized"]) == ("basic:en+numbers+lexicon", "I ken 2.", "i know two")


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("One!\r\n\nTwo\n"))
    assert main(["normalize", "--normalizer", "basic"]) == 0
    assert capsys.readouterr().out == "one\n\ntwo\n"


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["normalize", "--normalizer", "nope", "x"]) == 2
    assert capsys.readouterr().err.startswith('speechadapt normalize: no normalizer is called "nope"; there are: raw, basic')
