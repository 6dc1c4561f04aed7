"""The recipe for a language whose letters the base does not have, on a random base: the whole way, too short to learn anything."""

import contextlib
import io
import json
from pathlib import Path

import pytest
from tiny_ctc import write_tiny_ctc

from speechadapt.cli import main
from speechadapt.data.manifest import Manifest

pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed (extra: synthetic)")

SMALL = {
    "TRAIN_SIZE": "3,12",
    "DEV_SIZE": "2,1",
    "TEST_SIZE": "2,2",
    "SPEC.rank": "2",
    "TRAIN.steps": "2",
    "TRAIN.evaluate_every": "2",
}


def run(out: Path, **settings: str) -> tuple[int, str]:
    arguments = ["run", "new_language", *(word for name, value in settings.items() for word in ("--set", f"{name}={value}")), "--out", str(out)]
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        code = main(arguments)
    return code, err.getvalue()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    write_tiny_ctc("wav2vec2-layer", folder)
    return folder


def test_recipe_builds_the_vocabulary_from_the_training_text_and_proves(base: Path, tmp_path: Path) -> None:
    code, told = run(tmp_path / "run", BASE=str(base), **SMALL)
    assert code == 0, told
    assert "no guard: the adapter's output layer writes ka alone" in told
    letters = set("".join(u.text for u in Manifest.read(tmp_path / "run" / "data" / "georgian" / "train.jsonl"))) - set(" ,.?")
    vocabulary = json.loads((tmp_path / "run" / "adapter" / "vocab.json").read_text())
    assert set(vocabulary) == letters | {"<pad>", "|"}
    (only,) = json.loads((tmp_path / "run" / "comparison.json").read_text())["sets"]
    assert only["role"] == "test"
    assert only["base"]["wer"] == 1.0  # it writes Latin letters


def test_recipe_takes_a_prepared_corpus(base: Path, tmp_path: Path) -> None:
    settings = {key: value for key, value in SMALL.items() if "SIZE" not in key}
    sizes = ("train_speakers=3", "train_utterances=12", "dev_speakers=2", "dev_utterances=1", "test_speakers=2", "test_utterances=2")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main(["prepare", "synthetic_georgian", "standard", str(tmp_path / "mine"), *(f"--set={size}" for size in sizes)]) == 0
    code, told = run(tmp_path / "run", BASE=str(base), DATA=str(tmp_path / "mine"), **settings)
    assert code == 0, told
    assert not (tmp_path / "run" / "data").exists()
