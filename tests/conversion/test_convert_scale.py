"""Large manifests: memory does not grow with the number of rows. Each conversion runs in a process of its own, whose peak is measured."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak of a process is read from Linux")]

# not ru_maxrss: a new process inherits it from the one that starts it, here the tests with all they have loaded
CODE = """
import sys
from pathlib import Path
from speechadapt.conversion import ConvertOptions, convert_manifests
to, data, out, audio = sys.argv[1:]
report = convert_manifests([data], out, ConvertOptions(to=to, audio=audio))
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(report.splits["train"]["utterances"], int(peak.split()[1]) // 1024)
"""


def write_manifest(folder: Path, rows: int, write_tone: Any) -> Path:
    """One long recording; every row is a piece of it, with a speaker in every ten rows and all the fields."""
    write_tone(folder / "tape.wav", 60.0)
    told = {"gender": "female", "age": "thirties", "accent": "en_scotland", "language": "en", "recording": "mine:tape", "meta": {"votes": 2}}
    with (folder / "train.jsonl").open("w") as lines:
        for number in range(rows):
            row = {"audio_filepath": "tape.wav", "duration": 0.01, "offset": (number % 5900) / 100, "text": f"line {number}, which is of some length"}
            lines.write(json.dumps({**row, "id": f"mine-{number * 7919 % rows:07d}", "speaker": f"mine:{number // 10}", **told}) + "\n")
    return folder


def peak(to: str, data: Path, out: Path, audio: str, rows: int) -> int:
    """Megabytes of the process that converts."""
    ran = subprocess.run([sys.executable, "-c", CODE, to, str(data), str(out), audio], capture_output=True, text=True, check=True)
    utterances, megabytes = map(int, ran.stdout.split())
    assert utterances == rows
    return megabytes


@pytest.mark.parametrize(
    ("to", "audio", "few", "many", "room"),
    [
        ("nemo", "copy", 2_000, 100_000, 20),
        ("lhotse", "in-place", 2_000, 100_000, 20),
        ("kaldi", "in-place", 2_000, 100_000, 60),
        ("parquet", "copy", 2_000, 30_000, 20),
    ],
)
def test_memory_does_not_grow_with_the_rows(to: str, audio: str, few: int, many: int, room: int, tmp_path: Path, write_tone: Any) -> None:
    if to == "parquet":
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    small = peak(to, write_manifest(tmp_path / "few", few, write_tone), tmp_path / "few_out", audio, few)
    large = peak(to, write_manifest(tmp_path / "many", many, write_tone), tmp_path / "many_out", audio, many)
    print(f"{to}: {small} MB for {few} rows, {large} MB for {many}")
    assert large < 500
    assert large - small < room  # rows that are all kept take 85 MB per 100,000; SQLite, which sorts for Kaldi, may keep 32
