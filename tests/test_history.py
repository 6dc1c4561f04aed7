"""Run folders listed with their verdicts, and two of them against each other."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from speechadapt.cli import main
from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import MisuseError, ScoreError
from speechadapt.history import compare_runs, find_runs, read_run
from speechadapt.runs import Run, open_run
from speechadapt.score.report import score
from speechadapt.score.verdict import comparison_set, write_comparison

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
Maker = Callable[..., Run]


def manifest(name: str, speakers: int, text: Sequence[str] = WORDS) -> Manifest:
    rows = [
        {"id": f"{name}-{number}", "audio_filepath": f"{number}.flac", "duration": 3.0, "text": " ".join(text), "speaker": f"s{number}"}
        for number in range(speakers)
    ]
    return Manifest([Utterance.from_json(row, name) for row in rows], folder=Path(), name=name)


@pytest.fixture
def make_run(tmp_path: Path) -> Maker:
    """A run folder as `run` leaves it: the base got half of the words wrong, the adapter as many as asked for."""

    def make(name: str, wrong: int, *, sets: dict[str, Manifest] | None = None, settings: dict[str, Any] | None = None) -> Run:
        run = open_run(tmp_path / "runs" / name, settings={"recipe": "mine", "settings": {"BASE": "tiny", **(settings or {})}})
        entries = []
        for title, references in (sets if sets is not None else {"mine/test": manifest("test", 12)}).items():
            reports = {}
            for system, errors in (("base", 5), ("adapted", wrong)):
                said = [Hypothesis(id=u.id, text=" ".join(["no"] * errors + u.text.split()[errors:])) for u in references]
                reports[system] = score(references, said, system=system, normalizer="raw")
                reports[system].write(run.report(title, system))
            entries.append(comparison_set(title, "test.jsonl", "test", reports["base"], reports["adapted"]))
        if entries:
            write_comparison(run.comparison, entries)
        return run

    return make


def test_runs_are_listed_newest_first_with_their_verdicts(make_run: Maker, tmp_path: Path) -> None:
    make_run("old", 3)
    make_run("deep/er/new", 5)
    for name, time in (("old", "2024-01-01T10:00:00+00:00"), ("deep/er/new", "2025-01-01T10:00:00+00:00")):
        path = tmp_path / "runs" / name / "environment.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "time": time}))
    found = find_runs(tmp_path / "runs")
    assert [(one.folder.name, one.what, one.base, one.state) for one in found] == [("new", "mine", "tiny", "done"), ("old", "mine", "tiny", "done")]
    assert [[entry.verdict for entry in one.sets] for one in found] == [["not enough evidence"], ["better"]]
    row = found[1].to_json()
    assert row["sets"] == [
        {
            "name": "mine/test",
            "role": "test",
            "verdict": "better",
            "base_wer": 0.5,
            "adapted_wer": 0.3,
            "delta": pytest.approx(-0.2),
            "ci95": [pytest.approx(-0.2)] * 2,
        }
    ]


def test_unfinished_and_damaged_runs_do_not_stop_the_list(make_run: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run("begun", 3, sets={})
    make_run("broken", 3).comparison.write_text('{"sets": 3}')
    (make_run("torn", 3).folder / "settings.json").write_text("[]")
    (tmp_path / "runs" / "loop").symlink_to(tmp_path / "runs")
    states = {one.folder.name: one.state for one in find_runs(tmp_path / "runs")}
    assert states == {"begun": "unfinished", "broken": "unreadable", "torn": "unreadable"}
    assert main(["runs", "--runs", str(tmp_path / "runs")]) == 0
    shown = capsys.readouterr().out
    assert 'comparison.json: no list "sets" in it' in shown
    assert "settings.json: list, expected one JSON object" in shown


def test_two_runs_are_compared_where_they_were_judged_alike(make_run: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = manifest("other", 12, ["a", "b", *WORDS])
    make_run("first", 4, sets={"mine/test": manifest("test", 12), "far/test": manifest("far", 12)}, settings={"STEPS": 10})
    make_run("second", 2, sets={"mine/test": manifest("test", 12), "far/test": other, "extra": other}, settings={"STEPS": 20})
    first, second = tmp_path / "runs" / "first", tmp_path / "runs" / "second"
    found = compare_runs(first, second)
    [entry] = found.sets
    assert (entry.name, entry.comparison.base.wer, entry.comparison.adapted.wer, entry.verdict) == ("mine/test", 0.4, 0.2, "better")
    assert [name for name, _ in found.unshared] == ["far/test", "extra"]
    assert found.settings == (("settings.STEPS", 10, 20),)
    assert main(["runs", str(first), str(second)]) == 0
    shown = capsys.readouterr().out
    assert "the second is better" in shown
    assert "settings.STEPS" in shown
    assert "not compared: far/test: " in shown
    assert main(["runs", str(second), str(first), "--json"]) == 1  # significantly worse
    row = json.loads(capsys.readouterr().out)
    assert (row["sets"][0]["verdict"], row["settings"]) == ("worse", [{"name": "settings.STEPS", "first": 20, "second": 10}])


def test_what_cannot_be_compared(make_run: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = make_run("one", 3).folder
    with pytest.raises(MisuseError, match=r"are one run\. Give two"):
        compare_runs(one, one)
    with pytest.raises(MisuseError, match=r"no settings.json of a run in it"):
        compare_runs(one, tmp_path)
    with pytest.raises(ScoreError, match=r"share no set that can be compared \(mine/test: only .*one was judged on it\)"):
        compare_runs(one, make_run("begun", 3, sets={}).folder)
    with pytest.raises(MisuseError, match="no such folder"):
        find_runs(tmp_path / "none")
    assert main(["runs", str(one)]) == 2
    assert capsys.readouterr().err == "speechadapt runs: 1 run folder given, must be none (lists all) or two (compares them).\n"


def test_no_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "(no runs)\n"
    assert main(["runs", "--runs", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_run_without_an_environment_is_still_read(make_run: Maker) -> None:
    run = make_run("moved", 3)
    (run.folder / "environment.json").unlink()
    run.log.write_text("x\n")
    assert (read_run(run.folder).started, read_run(run.folder).state) == (None, "done")
