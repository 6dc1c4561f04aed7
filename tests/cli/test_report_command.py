"""`report`, and the outputs and conditions of `score` and `compare`, through the command line."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from speechadapt.cli import main

REFS = ["the cat sat on the mat", "one two three four", "seven eight nine ten", "what she said then"]
BASE = ["the cat sat in the mat", "one two four", "seven ate nine ten", "what she said"]
NEW = ["a cat sat in the mat", "one two three four", "seven eight nine ten", "what she said then"]


def row(place: int, text: str, **more: str) -> dict[str, object]:
    return {"id": f"u{place}", "audio_filepath": f"u{place}.flac", "duration": 1.0, "text": text, "speaker": f"s{place}", **more}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "id": f"u{place}",
            "audio_filepath": f"u{place}.flac",
            "duration": 1.0,
            "text": text,
            "speaker": f"s{place}",
            "accent": ["north", "south"][place % 2],
        }
        for place, text in enumerate(REFS)
    ]
    Path("test.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    for name, said in (("base", BASE), ("new", NEW)):
        Path(f"{name}.jsonl").write_text("".join(json.dumps({"id": f"u{place}", "text": text}) + "\n" for place, text in enumerate(said)))
    return tmp_path


SCORE = ["score", "test.jsonl", "base.jsonl", "--normalizer", "raw"]
COMPARE = ["compare", "test.jsonl", "base.jsonl", "new.jsonl", "--normalizer", "raw"]


def test_score_writes_every_form(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SCORE, "--html", "r.html", "--markdown", "r.md", "--csv", "r.csv", "--junit", "r.xml", "--out", "r.json"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("base on test: 4 utterances")
    told = [line.removeprefix("written: ") for line in err.splitlines() if line.startswith("written")]
    assert told == ["r.html", "r.md", "r.csv", "r.groups.csv", "r.xml"]
    assert Path("r.html").read_text().startswith("<!doctype html>")
    assert Path("r.md").read_text().startswith("# base on test\n")
    assert len(Path("r.csv").read_text().splitlines()) == 5
    assert len(Path("r.groups.csv").read_text().splitlines()) == 1 + 1 + 2 + 4
    assert ElementTree.parse("r.xml").getroot().attrib["failures"] == "0"


def test_conditions_decide_the_exit_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SCORE, "--fail-if", "wer > 0.5"]) == 0
    capsys.readouterr()
    assert main([*SCORE, "--fail-if", "wer > 0.5", "--fail-if", "wer[accent=south] > 20 %", "--junit", "r.xml"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "FAILED: fail if wer[accent=south] > 20 % on test: wer is 0.25"
    assert ElementTree.parse("r.xml").getroot().attrib["failures"] == "1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fail-if", "wer is bad"], '--fail-if "wer is bad": not a condition.'),
        (["--fail-if", "wrong > 1"], '--fail-if "wrong > 1": no metric "wrong" here. There are: wer, cer'),
        (["--embed-audio", "5"], "--embed-audio without --html: there is no page to put the sound into. Give --html FILE."),
        (["--html", "r.html", "--embed-audio", "-1"], "--embed-audio -1: must be from 0 to 10000. Correct the number."),
    ],
)
def test_what_cannot_be_meant(arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SCORE, *arguments]) == 2
    assert f"speechadapt score: {message}" in capsys.readouterr().err
    assert not Path("r.html").exists()


def test_compare(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMPARE, "--html", "c.html", "--fail-if", "delta > 0", "--out", "c.json"]) == 0
    assert "new against base on test" in Path("c.html").read_text()
    assert main([*COMPARE, "--fail-if", "regressions > 0"]) == 1
    capsys.readouterr()


def test_fail_on_regression(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        json.dumps({"id": f"u{place}", "audio_filepath": "a.flac", "duration": 1, "text": "one two three", "speaker": f"s{place}"})
        for place in range(12)
    ]
    Path("test.jsonl").write_text("\n".join(rows))
    for name, said in (("good", "one two three"), ("bad", "one two")):
        Path(f"{name}.jsonl").write_text("\n".join(json.dumps({"id": f"u{place}", "text": said}) for place in range(12)))
    assert main(["compare", "test.jsonl", "good.jsonl", "bad.jsonl", "--normalizer", "raw", "--fail-on-regression", "--out", "c.json"]) == 1
    assert "FAILED: test test got worse: worse: WER 0.0 % -> 33.3 %" in capsys.readouterr().err
    assert main(["report", "c.json", "--json"]) == 0  # telling is no failure
    capsys.readouterr()
    assert main(["report", "c.json", "--fail-on-regression"]) == 1
    assert main(["compare", "test.jsonl", "bad.jsonl", "good.jsonl", "--normalizer", "raw", "--fail-on-regression"]) == 0


def test_names_of_strangers_do_not_drive_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*SCORE, "--out", "r.json"])
    capsys.readouterr()
    Path("r.json").write_text(json.dumps({**json.loads(Path("r.json").read_text()), "system": "\x1b]0;a\x07", "manifest": "b\x1b[31m"}))
    assert main(["report", "r.json", "--fail-if", "wer > 0.1"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith('�]0;a� on "b�[31m": WER 22.2 %')
    assert "FAILED: fail if wer > 0.1 on b�[31m: wer is 0.222222" in err
    assert "\x1b" not in out + err


def test_report_makes_a_page_beside(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*SCORE, "--out", "r.json"])
    capsys.readouterr()
    assert main(["report", "r.json"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith('base on "test": WER 22.2 % (95 % interval ')
    assert "written: r.html" in err
    assert Path("r.html").is_file()


def test_report_prints_what_has_no_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*SCORE, "--out", "r.json"])
    capsys.readouterr()
    for arguments, start in (
        (["r.json", "--markdown"], "# base on test\n"),
        (["--markdown", "r.json"], "# base on test\n"),
        (["r.json", "--csv"], "set,role,system,id"),
        (["r.json", "--junit"], '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites'),
        (["r.json", "--json"], '{\n  "system": "base"'),
    ):
        assert main(["report", *arguments]) == 0
        out, err = capsys.readouterr()
        assert out.startswith(start)
        assert err == ""
    assert not Path("r.html").exists()


@pytest.mark.parametrize("name", ["report", "comparison"])
def test_report_prints_a_schema(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--schema", name]) == 0
    assert json.loads(capsys.readouterr().out)["$id"] == f"urn:speechadapt:{name}:1"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "nothing to report on. Give a run folder, or the JSON of score --out or compare --out, before the options."),
        (["none.json"], 1, "none.json: no such file. Check the path."),
        (["test.jsonl"], 1, "test.jsonl: not valid JSON"),
        (["."], 1, ".: no comparison.json in it, so it has no verdict to report"),
        (["test.jsonl", "--markdown", "--csv"], 2, "--markdown and --csv would be printed into each other. Give them files."),
    ],
)
def test_report_of_what_is_none(arguments: list[str], code: int, message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", *arguments]) == code
    assert f"speechadapt report: {message}" in capsys.readouterr().err
