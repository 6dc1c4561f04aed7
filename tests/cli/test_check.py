"""`speechadapt check`: findings on stdout, 1 when there are errors."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from spoken import RATE, spoken

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


LONG_TEXT = " ".join(f"w{chr(97 + number)}rd" for number in range(20))


def speak(folder: Path, **sounds: Any) -> str:
    """A manifest of speech-like recordings of three seconds; a value changes the sound."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (key, change) in enumerate(sounds.items()):
        sound = change(spoken(seed=number, pitch=120 + 8 * number))
        soundfile.write(folder / f"{key}.flac", sound, RATE)
        row = {"id": key, "audio_filepath": f"{key}.flac", "duration": len(sound) / RATE, "text": f"a line of {key} and more", "speaker": f"c:{key}"}
        lines.append(json.dumps(row))
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n")
    return str(folder / "train.jsonl")


def as_it_is(sound: Any) -> Any:
    return sound


def cut_off(sound: Any) -> Any:
    return np.clip(sound * 9, -1, 1)


def test_a_clean_manifest_is_zero(tmp_path: Path, write_tone: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "train.jsonl", [{"id": "a"}, {"id": "b"}], write_tone)
    assert main(["check", path, "--audio", "--strict"]) == 0
    assert capsys.readouterr().out == f"{path}: 2 utterances, 0.00 h, 2 speakers\nnothing is wrong\n"


def test_errors_are_one_and_each_is_named(tmp_path: Path, write_tone: Any, capsys: pytest.CaptureFixture[str]) -> None:
    train = write(tmp_path, "train.jsonl", [{"id": "a"}, {"id": "b", "sound": False}, {"id": "c", "text": ""}, {"id": "a"}], write_tone)
    test = write(tmp_path, "test.jsonl", [{"id": "d", "speaker": "c:a"}, {"id": "e", "duration": 31.0, "text": LONG_TEXT}], write_tone)
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
    assert 'error: not-audio: train: 1 of 2 utterances have a file that is no recording: "a" (' in told
    assert 'in the manifest than in the file: "b" (1.00 s in the manifest, the recording lasts 2.00 s). Prepare the corpus again.' in told
    assert told.endswith("2 errors\n")


def test_warnings_count_only_when_strict(tmp_path: Path, write_tone: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "all.jsonl", [{"id": "a", "text": "WE CALL IT BEAR"}], write_tone)
    assert main(["check", path]) == 0
    assert main(["check", path, "--strict"]) == 1
    assert "warning: capitals: all: 1 of 1 utterances are written in capitals" in capsys.readouterr().out


def test_a_missing_manifest_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.jsonl")]) == 1
    assert "none.jsonl: no such manifest" in capsys.readouterr().err


def test_what_fails_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = speak(tmp_path, a=as_it_is, b=cut_off, c=as_it_is)
    codes = {}
    for asked in ([], ["--strict"], ["--fail-on", "error,clipped"], ["--fail-on", "dc-offset"], ["--fail-on", "warning"], ["--fail-on", "note"]):
        codes[" ".join(asked)] = main(["check", path, "--audio", "--jobs", "1", *asked])
    assert codes == {"": 0, "--strict": 1, "--fail-on error,clipped": 1, "--fail-on dc-offset": 0, "--fail-on warning": 1, "--fail-on note": 0}
    assert 'warning: clipped: train: 1 of 3 utterances are cut off at their peaks: "b" (' in capsys.readouterr().out


def test_findings_are_sorted_by_severity_and_written_for_listening(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = speak(tmp_path / "corpus", a=as_it_is, b=cut_off, c=lambda sound: sound * 0)
    out = tmp_path / "findings.csv"
    assert main(["check", path, "--audio", "--json", "--out", str(out)]) == 1
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert [(finding["severity"], finding["check"], finding["ids"]) for finding in told["findings"]] == [
        ("error", "silent", ["c"]),
        ("warning", "clipped", ["b"]),
    ]
    assert list(told) == ["manifests", "errors", "warnings", "notes", "models", "findings"]
    assert list(told["findings"][0]) == ["severity", "check", "ids", "message", "manifest", "details"]
    assert told["manifests"] == [{"manifest": path, "name": "train", "utterances": 3, "hours": 0.0025}]
    assert f"2 lines: {out}" in printed.err
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(one["check"], one["id"], one["audio"], one["speaker"]) for one in rows] == [
        ("silent", "c", str(tmp_path / "corpus/c.flac"), "c:c"),
        ("clipped", "b", str(tmp_path / "corpus/b.flac"), "c:b"),
    ]


def test_manifests_of_one_name_are_told_apart_by_their_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [speak(tmp_path / corpus, a=as_it_is, b=as_it_is) for corpus in ("one", "two")]
    assert main(["check", *paths, "--audio", "--jobs", "1"]) == 1
    told = capsys.readouterr().out
    assert told.count("shared-audio") == 1
    assert "error: shared-audio: one/train and two/train share the samples of 2 recordings" in told


def test_manifests_of_one_stem_in_one_folder_and_links_into_one_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(speak(tmp_path, a=as_it_is))
    other = path.with_suffix(".json")
    other.write_bytes(path.read_bytes())
    assert main(["check", str(path), str(other), "--json"]) == 1
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["manifests"]] == ["train.jsonl", "train.json"]
    for folder, there in (("one", path), ("two", other)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "train.jsonl").symlink_to(there)
    main(["check", str(tmp_path / "one/train.jsonl"), str(tmp_path / "two/train.jsonl"), "--json"])
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["manifests"]] == ["one/train", "two/train"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fail-on", "nothing"], '--fail-on nothing: "nothing" is no severity and no check; there are: error, warning, note, broken-line'),
        (["--fail-on", ","], "--fail-on ,: names nothing"),
        (["--fail-on", "error", "--strict"], "--strict and --fail-on both say what fails. Give one of them."),
        (["--jobs", "2"], "--jobs: only --audio uses several processes."),
        (["--audio", "--jobs", "0"], "--jobs 0: must be 1 or more."),
        (["--limit", "5"], "--limit: only a model uses it. Add --model BASE"),
        (["--out", "found.txt"], '--out found.txt: ends in ".txt", must end in .jsonl or .csv'),
    ],
)
def test_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    path = speak(tmp_path, a=as_it_is)
    assert main(["check", path, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_manifest_given_twice_is_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = speak(tmp_path, a=as_it_is)
    assert main(["check", path, str(tmp_path / "." / "train.jsonl")]) == 2
    assert "train.jsonl: given twice. Give each manifest once." in capsys.readouterr().err


def test_findings_are_not_written_over_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = speak(tmp_path, a=as_it_is)
    before = Path(path).read_bytes()
    assert main(["check", path, "--out", str(tmp_path / "." / "train.jsonl")]) == 2
    assert "train.jsonl: is a manifest that is checked, and would be lost. Choose another name." in capsys.readouterr().err
    assert Path(path).read_bytes() == before


def test_checks_of_text_load_nothing_heavy(tmp_path: Path) -> None:
    path = speak(tmp_path, a=as_it_is)
    heavy = ("torch", "librosa", "soundfile")
    code = f"import sys; from speechadapt.cli import main; main(['check', {path!r}]); print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.endswith("[]\n")
