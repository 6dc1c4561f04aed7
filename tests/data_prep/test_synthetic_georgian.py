import json
import sys
from pathlib import Path

import pytest

from speechadapt.bundled import load_bundled
from speechadapt.cli import main
from speechadapt.data.manifest import Manifest
from speechadapt.preparation import PrepareOptions
from speechadapt.synthetic.espeak import load_espeak

pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed (extra: synthetic)")

SMALL = [f"--set={name}" for name in ("train_speakers=2", "train_utterances=3", "dev_speakers=1", "dev_utterances=2")]
SMALL += ["--set=test_speakers=2", "--set=test_utterances=2"]


def test_prepare_writes_a_corpus_that_says_it_is_synthetic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "synthetic_georgian", "standard", str(tmp_path / "out"), "--jobs", "1", *SMALL]) == 0
    assert "train" in capsys.readouterr().out
    parts = {name: Manifest.read(tmp_path / "out" / f"{name}.jsonl") for name in ("train", "dev", "test")}
    assert {name: len(part) for name, part in parts.items()} == {"train": 6, "dev": 2, "test": 4}
    for part in parts.values():
        for u in part:
            assert u.meta["synthetic"] is True
            assert u.meta["voice"] == "espeakng-loader"
            assert u.language == "ka"
            assert u.text == u.text_raw
            assert u.id.startswith("synthetic_georgian-georgian-s0-")
            assert (u.speaker or "").startswith("synthetic_georgian:georgian-s0-")
            assert u.gender is None
            assert part.audio_path(u).is_file()
    about = json.loads((tmp_path / "out" / "corpus.json").read_text())
    assert "not recordings of people" in about["title"]
    assert "GPL-3.0-or-later does not reach its output" in about["license"]
    report = json.loads((tmp_path / "out" / "prep_report.json").read_text())
    assert report["facts"]["synthetic"] is True
    assert any("is no person" in note for note in report["notes"])
    assert all(not value for pair in report["overlap"].values() for value in pair.values())


def test_audio_does_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    """64 rows, because preparation starts a second process at 32 rows each."""
    script = load_bundled("data_prep", "synthetic_georgian")
    settings = script.Settings(train_speakers=0, dev_speakers=0, test_speakers=4, test_utterances=16)
    for jobs in (1, 2):
        script.prepare("standard", tmp_path / str(jobs), PrepareOptions(jobs=jobs), settings)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / jobs / "audio").iterdir()} for jobs in ("1", "2"))
    assert len(one) == 64
    assert one == two
    assert (tmp_path / "1" / "test.jsonl").read_bytes() == (tmp_path / "2" / "test.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mandarin"], 'source "mandarin": this corpus is made and has one way of speaking. Give the word standard.'),
        (["standard", "--set", "train_speakers=-1"], "train: -1 speakers with 30 utterances each; both must be 0 or more."),
        (["standard", "--set", "speakers=3"], '--set speakers: no setting is called "speakers".'),
        (["standard", "--in-place"], "--in-place: this corpus is made, there is no audio to leave where it is."),
        (["standard", *(f"--set={s}_speakers=0" for s in ("train", "dev", "test"))], "0 speakers or 0 utterances in every split, nothing to make."),
    ],
)
def test_bad_requests(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "synthetic_georgian", arguments[0], str(tmp_path / "out"), *arguments[1:]]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_espeak.cache_clear()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)  # what the import system does with a module that cannot be found
    try:
        assert main(["prepare", "synthetic_georgian", "standard", str(tmp_path / "out")]) == 2
    finally:
        load_espeak.cache_clear()
    assert "eSpeak NG (espeakng-loader) is not installed. Install it with: pip install 'speechadapt[synthetic]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
