"""Recipes on the base that ships with the package: the whole way in two steps, and, as a slow test, an accent that is really learned."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from speechadapt.cli import main

pytest.importorskip("hibari", reason="the synthetic voice is not installed")

SMALL = {
    "TRAIN_SIZE": "3,3",
    "DEV_SIZE": "2,1",
    "TEST_SIZE": "3,1",
    "GUARD_SIZE": "2,1",
    "REPLAY_SIZE": "2,1",
    "SPEC.rank": "4",
    "TRAIN.steps": "2",
    "TRAIN.evaluate_every": "1",
}
BASE = "embedded:wav2vec2-small"


def run(recipe: str, out: Path, **settings: str) -> tuple[list[dict[str, Any]], str]:
    """The sets of `comparison.json`, and what was told."""
    arguments = ["run", recipe, *(word for name, value in settings.items() for word in ("--set", f"{name}={value}")), "--out", str(out)]
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        code = main(arguments)
    assert code in (0, 1), err.getvalue()
    sets: list[dict[str, Any]] = json.loads((out / "comparison.json").read_text())["sets"]
    return sets, err.getvalue()


@pytest.mark.parametrize("recipe", ["ctc_accent", "quickstart"])
def test_recipe_runs_on_the_embedded_base(recipe: str, tmp_path: Path) -> None:
    sets, told = run(recipe, tmp_path / "run", **SMALL, BASE=BASE)
    assert [one["role"] for one in sets] == ["test", "guard"]
    assert all("short_window" not in one or one["short_window"] is None for one in sets)
    assert "vocabulary kept" in told
    facts = json.loads((tmp_path / "run" / "adapter" / "speechadapt.json").read_text())
    assert (facts["base_id"], facts["family"], facts["head"]) == (BASE, "ctc", "kept")


@pytest.mark.slow
def test_an_accent_is_learned_in_minutes(tmp_path: Path) -> None:
    """A fourteenth of the recipe's speech, three times: less than the recipe gains, and clearly better than the base."""
    settings = {"TRAIN_SIZE": "40,25", "REPLAY_SIZE": "10,20", "TEST_SIZE": "8,6", "GUARD_SIZE": "6,6", "TRAIN.epochs": "3"}
    sets, _ = run("ctc_accent", tmp_path / "run", **settings)
    test = sets[0]
    assert test["verdict"] == "better"
    assert test["adapted"]["wer"] < 0.85 * test["base"]["wer"]
    assert test["ci95"][1] < 0
