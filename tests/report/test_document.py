"""What a document is read from."""

import json
import shutil
from pathlib import Path

import pytest

from speechadapt.errors import ScoreError, SpeechadaptError
from speechadapt.files import write_json
from speechadapt.report.document import Document, Table, flatten, read_document, reports_document
from speechadapt.score.report import ScoreReport


def test_a_run(run_folder: Path) -> None:
    document = read_document(run_folder)
    assert document.title == "Run run"
    assert document.sentences[0].startswith('Test "test": ')
    assert document.sentences[1] == "No guard set was scored, so what the adapter costs elsewhere is unknown."
    (one,) = document.sets
    assert one.report is not None
    assert one.base is not None
    assert document.training is not None
    assert document.training.steps == tuple(range(1, 101))  # the line that a crash cut short is passed over
    assert document.training.scores == ((50, 0.4), (100, 0.25))
    assert document.training.chosen_step == 100
    assert document.settings == (("command", "run"), ("settings.TRAIN.steps", "100"), ("settings.GUARDS", "[]"))
    assert document.provenance[:3] == (("time", "2026-11-24T10:36:04+00:00"), ("command", "speechadapt run"), ("Python", "3.11.7"))


def test_a_benchmark_is_told_where_its_report_comes_from(tmp_path: Path) -> None:
    write_json(tmp_path / "leaderboard.json", {"overall": {}, "manifests": [], "systems": {}, "results": []})
    for path in (tmp_path, tmp_path / "leaderboard.json"):
        with pytest.raises(ScoreError, match=r"of a benchmark, whose report is written by: speechadapt bench \.\.\. --html FILE"):
            read_document(path)


def test_its_comparison_brings_the_whole_run(run_folder: Path) -> None:
    assert read_document(run_folder / "comparison.json") == read_document(run_folder)


def test_a_comparison_alone(run_folder: Path, tmp_path: Path) -> None:
    shutil.copy(run_folder / "comparison.json", tmp_path)
    document = read_document(tmp_path / "comparison.json")
    assert document.sets[0].report is None
    assert document.sentences == read_document(run_folder).sentences


def test_reports_of_another_manifest_are_left_out(run_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run_folder, tmp_path / "run")
    report = json.loads((folder / "reports" / "test.base.json").read_text())
    (folder / "reports" / "test.base.json").write_text(json.dumps({**report, "fingerprint": "0" * 64}))
    assert read_document(folder).sets[0].report is None


def test_what_compare_writes(document: Document, tmp_path: Path) -> None:
    entry = document.entries[0]
    write_json(tmp_path / "c.json", entry.to_json())
    assert read_document(tmp_path / "c.json").entries == (entry,)


def test_what_score_writes(reports: tuple[ScoreReport, ScoreReport], tmp_path: Path) -> None:
    reports[0].write(tmp_path / "r.json")
    document = read_document(tmp_path / "r.json")
    assert document.title == "tiny on test"
    (sentence,) = document.sentences
    assert sentence.startswith('tiny on "test": WER 27.8 % (95 % interval ')
    assert sentence.endswith("; 4 speakers, 6 utterances.")
    assert document.to_json() == reports[0].to_json()


def test_several_reports_side_by_side(reports: tuple[ScoreReport, ScoreReport]) -> None:
    table = Table(title="Leaderboard", head=("rank", "system"), rows=(("1", "tiny + north"), ("2", "tiny")))
    document = reports_document(reports, title="Bench", tables=[table], verdict=["tiny + north leads."])
    assert [one.name for one in document.sets] == ["tiny on test", "tiny + north on test"]
    assert document.sentences == ["tiny + north leads."]
    assert len(document.to_json()) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "neither a score report nor a comparison. Make one with: speechadapt score REFS HYPS --out FILE"),
        ('{"a": 1}', "neither a score report nor a comparison."),
        ('{"system": "x"}', "not a score report"),
        ('{"base_system": "x"}', "not a comparison"),
        ('{"sets": [3]}', "set 1: not a comparison"),
        ("{", "not valid JSON"),
    ],
)
def test_what_is_none(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(SpeechadaptError) as caught:
        read_document(tmp_path / "x.json")
    assert str(caught.value).startswith(f"{tmp_path}/x.json")
    assert message in str(caught.value)


def test_a_folder_without_a_verdict(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match=r"no comparison\.json in it, so it has no verdict to report; give a run folder or a report"):
        read_document(tmp_path)
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(ScoreError, match="go on with it by: speechadapt run RECIPE --resume"):
        read_document(tmp_path)


def test_settings_as_lines() -> None:
    assert flatten({"A": {"b": 1, "c": [1, 2]}, "D": "text", "E": None}) == [("A.b", "1"), ("A.c", "[1, 2]"), ("D", "text"), ("E", "null")]


def test_a_run_read_from_another_folder_finds_its_manifest(run_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run_folder, tmp_path / "desk" / "runs" / "r")
    value = json.loads((folder / "comparison.json").read_text())
    value["sets"][0]["manifest"] = "data/test.jsonl"  # as typed in `desk`
    (folder / "comparison.json").write_text(json.dumps(value))
    assert read_document(folder).sets[0].manifest == "data/test.jsonl"
    (tmp_path / "desk" / "data").mkdir()
    (tmp_path / "desk" / "data" / "test.jsonl").write_text("")
    assert read_document(folder).sets[0].manifest == str(tmp_path / "desk" / "data" / "test.jsonl")
