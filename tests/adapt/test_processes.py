"""The same loop under torchrun: two processes share each step, and one of them writes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from speechadapt.data.manifest import Manifest

SCRIPT = """
import sys, torch
from pathlib import Path
from speechadapt import AdapterSpec, Manifest, TrainSettings, load_model, train_adapter
torch.set_num_threads(1)
base, manifest, out = sys.argv[1:]
settings = TrainSettings(steps=3, batch_seconds=12, evaluate_every=3, full_window_share=0, margin_seconds=0, speed_perturb=(1.0,), time_masks=0,
                         freq_masks=0, precision="fp32", average_decay=0)
train_adapter(load_model(base, device="cpu"), Manifest.read(manifest), spec=AdapterSpec(rank=4), settings=settings, out=Path(out))
"""


@pytest.mark.slow
def test_two_processes_share_a_step(whisper_folder: Callable[[str], Path], make_manifest: Callable[..., Manifest], tmp_path: Path) -> None:
    manifest = make_manifest(12)
    manifest.write(manifest.folder / "train.jsonl")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    losses = {}
    for processes in (1, 2):
        out = tmp_path / f"out{processes}"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", str(script)]
        command += [str(whisper_folder("english")), str(manifest.folder / "train.jsonl"), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        losses[processes] = [json.loads(line)["loss"] for line in (out / "train.jsonl").read_text().splitlines()]
        assert (out / "adapter" / "adapter_model.safetensors").is_file()
    assert len(losses[1]) == 3
    # each process pads to the longest clip of its own share, which changes what the encoder sees by a little
    assert losses[2] == pytest.approx(losses[1], rel=0.01)
