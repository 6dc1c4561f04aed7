"""`speechadapt prepare` from the command line: report on stdout, progress on stderr, exit codes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from speechadapt.bundled import bundled_folder
from speechadapt.cli import main


@pytest.fixture
def source(tmp_path: Path, write_tone: Any) -> Path:
    lines = ["audio_filepath,text,speaker"]
    for number in range(12):
        write_tone(tmp_path / f"src/{number}.wav", 0.5, seed=number)
        lines.append(f"{number}.wav,LINE NUMBER {number},s{number % 6}")
    lines.append("none.wav,LOST,s0")
    (tmp_path / "src/lines.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "src/lines.csv"


def test_the_report_for_a_person(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "table", str(source), str(tmp_path / "out"), "--splits", "speaker", "--case", "sentence", "--jobs", "1"]) == 0
    told = capsys.readouterr().out
    assert "12 of 13 rows kept" in told
    assert 'dropped 1 missing: row "none" (lines.csv, line 14): no file "none.wav" under' in told
    assert "train and test share: 0 speakers, 0 recordings, 0 sentences, 0 audio" in told
    assert "license: not stated" in told
    assert '"text": "Line number' in (tmp_path / "out/train.jsonl").read_text()


def test_the_report_as_json_is_the_one_written(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "table", str(source), str(tmp_path / "out"), "--json", "--jobs", "1", "--set", "name=mine"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "out/prep_report.json").read_text())
    assert (report["corpus"]["name"], report["kept"], report["dropped"]) == ("mine", 12, {"missing": 1})


def test_choices_zero_shot_accents_and_nearly_equal_prompts_are_told(tmp_path: Path, write_tone: Any, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = "the old ferry left the grey harbor at nine in the morning"
    rows = [
        ("train", "s1", "fife", prompt), ("train", "s2", "fife", "a line of its own"), ("train", "s2", "fife", "too short to be learned from"),
        ("dev", "s3", "kerry", "another line"), ("test", "s4", "kerry", prompt.replace("nine", "ten")), ("test", "s5", "fife", "a third line"),
    ]  # fmt: skip
    lines = ["audio_filepath,split,speaker,accent,text"]
    for number, row in enumerate(rows):
        write_tone(tmp_path / f"src/{number}.wav", 0.2 if "short" in row[3] else 2.0, seed=number)
        lines.append(",".join((f"{number}.wav", *row)))
    (tmp_path / "src/lines.csv").write_text("\n".join(lines) + "\n")
    assert main(["prepare", "table", str(tmp_path / "src/lines.csv"), str(tmp_path / "out"), "--strict", "--jobs", "1"]) == 0
    told = capsys.readouterr().out
    assert '  left out 1 too-short: row "table-2" (train): 0.20 s, at least 0.3 s.' in told
    assert 'warning: 1 rows of train nearly repeat a sentence of test: "table-0" (train) and "table-4" (test)' in told
    accents = {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in told.splitlines() if line.startswith(("fife", "kerry"))}
    assert accents == {"fife": "1, 2.0 s, 1 speaker  2, 4.0 s, 2 speakers", "kerry": "1, 2.0 s, 1 speaker  none: zero-shot"}


def test_a_dry_run_says_so(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "table", str(source), str(tmp_path / "out"), "--dry-run"]) == 0
    assert "dry run: nothing was written" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing"], 2, 'no data_prep script is called "nothing"; there are: aesrc2020, afrispeech, allsstar, audiofolder'),
        (["table", "--splits", "random"], 2, '--splits "random": must be one of official, speaker, speaker+sentence'),
        (["table", "--splits", "speaker", "--few-speakers", "dev"], 2, '--few-speakers "dev": must be one of train, test'),
        (["table", "--splits", "speaker", "--test-share", "1"], 2, "dev share 0.1 and test share 1 must both be above 0 and together below 1"),
        (["table", "--engine", "spark"], 2, '--engine "spark": must be one of local, ray'),
        (["table", "--set", "audio=x"], 2, "audio_column"),
        (["table", "--strict"], 1, "--strict refuses this corpus: 1 rows dropped as missing"),
        (["kaldi"], 1, "no Kaldi data directory"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    corpus, *options = arguments
    assert main(["prepare", corpus, str(source), str(tmp_path / "out"), "--jobs", "1", *options]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("speechadapt prepare: ")
    assert message in captured.err
    assert not list((tmp_path / "out").glob("*.jsonl"))


def test_a_script_runs_by_itself(source: Path, tmp_path: Path) -> None:
    script = bundled_folder("data_prep") / "table.py"
    done = subprocess.run(
        [sys.executable, script, source, tmp_path / "out", "--json", "--jobs", "1"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kept"] == 12


def test_a_script_of_ones_own_is_run_by_its_path(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "my_corpus.py"
    own.write_text((bundled_folder("data_prep") / "table.py").read_text().replace('license="not stated"', 'license="mine"'))
    assert main(["prepare", str(own), str(source), str(tmp_path / "out"), "--jobs", "1", "--set", "license=mine"]) == 0
    assert "license: mine" in capsys.readouterr().out
