"""`speechadapt check`: findings on stdout, 1 when there are errors."""

import json
from pathlib import Path
from typing import Any

import pytest

from speechadapt.cli import main


def write(folder: Path, name: str, rows: list[dict[str, Any]], write_tone: Any) -> str:
    lines = []
    for row in rows:
        path = f"{row['id']}.flac"
        if row.pop("sound", True):
            write_tone(folder / path, row.get("seconds", 1.0), seed=sum(map(ord, row["id"])))
        row.pop("seconds", None)
        lines.append(json.dumps({"audio_filepath": path, "duration": 1.0, "text": f"a line of {row['id']}", "speaker": f"c:{row['id']}", **row}))
    (folder / name).write_text("\n".join(lines) + "\n")
    return str(folder / name)


def test_a_clean_manifest_is_zero(tmp_path: Path, write_tone: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "train.jsonl", [{"id": "a"}, {"id": "b"}], write_tone)
    assert main(["check", path, "--audio", "--strict"]) == 0
    assert capsys.readouterr().out == f"{path}: 2 utterances, 0.00 h, 2 speakers\nnothing is wrong\n"


def test_errors_are_one_and_each_is_named(tmp_path: Path, write_tone: Any, capsys: pytest.CaptureFixture[str]) -> None:
    train = write(tmp_path, "train.jsonl", [{"id": "a"}, {"id": "b", "sound": False}, {"id": "c", "text": ""}, {"id": "a"}], write_tone)
    test = write(tmp_path, "test.jsonl", [{"id": "d", "speaker": "c:a"}, {"id": "e", "duration": 31.0, "text": "long " * 30}], write_tone)
    assert main(["check", train, test, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    checks = {finding["check"]: finding for finding in found["findings"]}
    assert set(checks) == {"duplicate-id", "missing", "empty-text", "shared-speaker", "too-long"}
    assert checks["shared-speaker"]["ids"] == ["a"]
    assert (found["errors"], found["warnings"]) == (5, 0)


def test_audio_is_listened_to_when_asked(tmp_path: Path, write_tone: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "train.jsonl", [{"id": "a"}, {"id": "b", "seconds": 2.0}], write_tone)
    (tmp_path / "a.flac").write_text("not sound")
    assert main(["check", path]) == 0
    assert main(["check", path, "--audio"]) == 1
    told = capsys.readouterr().out
    assert "error: not-audio: train: utterance" in told
    assert 'error: wrong-duration: train: utterance "b": duration is 1.00 s in the manifest, the recording lasts 2.00 s' in told


def test_warnings_count_only_when_strict(tmp_path: Path, write_tone: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "all.jsonl", [{"id": "a", "text": "WE CALL IT BEAR"}], write_tone)
    assert main(["check", path]) == 0
    assert main(["check", path, "--strict"]) == 1
    assert "warning: capitals: all: 1 of 1 utterances are written in capitals" in capsys.readouterr().out


def test_a_missing_manifest_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.jsonl")]) == 1
    assert "none.jsonl: no such manifest" in capsys.readouterr().err
