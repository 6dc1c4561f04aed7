"""The scripts that made the embedded base run: a minute of speech, a few steps, an interruption, and a folder that loads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from speechadapt.models.load import load_model

SCRIPTS = Path(__file__).resolve().parent.parent / "recipes" / "pretrain"


def script(name: str, *words: str) -> str:
    ran = subprocess.run([sys.executable, str(SCRIPTS / name), *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.slow
def test_from_no_speech_to_a_base(tmp_path: Path) -> None:
    for package in ("hibari", "espeakng_loader", "onnx"):
        pytest.importorskip(package)
    world, out = str(tmp_path / "world"), tmp_path / "base"
    told = script("speak_world.py", world, "--hours", "0.02", "--jobs", "1", "--espeak-share", "0.5")
    assert " h; " in told
    rows = [json.loads(line) for line in (tmp_path / "world" / "index.jsonl").read_text().splitlines()]
    assert (tmp_path / "world" / "audio.bin").stat().st_size == 2 * sum(row["samples"] for row in rows)
    assert {row["voice"].split()[0] for row in rows} == {"heart", "espeak"}
    for row in rows:
        starts, ends = [start for _, start, _ in row["words"]], [end for _, _, end in row["words"]]
        assert starts == sorted(starts), row["id"]
        assert all(start < end for start, end in zip(starts, ends, strict=True)), row["id"]
        assert max(ends) * 16_000 <= row["samples"], row["id"]

    wanted = [str(out), world, "--steps", "4", "--batch-seconds", "12", "--frame-steps", "2", "--evaluate-every", "2"]
    script("wav2vec2_small.py", *wanted, "--stop", "3")
    assert {path.name for path in (out / "checkpoints").iterdir()} == {"step-0000002"}
    script("wav2vec2_small.py", *wanted)
    assert load_model(str(out / "model"), language="en", device="cpu").vocabulary is not None
    assert "the plain voice: WER" in script("judge.py", str(out / "model"), "--clips", "12")
