"""whisper.cpp in a process of its own: what it finds wrong with a file ends the process, and ours should live to tell it.

Run as `python -m speechadapt.export.whisper_cpp MODEL SETTINGS CLIPS TEXTS`: settings are a JSON file, clips an `.npz`, texts a JSON file to write.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechadapt.errors import ExportError

LONGEST_RUN = 24 * 3600.0


def transcribe_by_whisper_cpp(
    model: Path, clips: Sequence[NDArray[np.float32]], settings: Sequence[dict[str, Any]], *, timeout: float = LONGEST_RUN
) -> list[str]:
    """The text of every clip.

    Args:
        model: a ggml file.
        clips: float32, shape (samples,), 16 kHz.
        settings: of each clip, as pywhispercpp names them.
        timeout: seconds for all of them.

    Raises:
        ExportError: whisper.cpp could not read the file, or stopped.
    """
    with tempfile.TemporaryDirectory(prefix="speechadapt-") as folder:
        told, given, texts = Path(folder) / "settings.json", Path(folder) / "clips.npz", Path(folder) / "texts.json"
        told.write_text(json.dumps(list(settings)), encoding="utf-8")
        with given.open("wb") as file:
            np.savez(file, **{str(number): clip for number, clip in enumerate(clips)})  # type: ignore[arg-type]
        command = [sys.executable, "-m", __name__, str(model), str(told), str(given), str(texts)]
        environment = os.environ | {"GGML_NO_BACKTRACE": "1"}
        try:
            ran = subprocess.run(command, capture_output=True, timeout=timeout, check=False, env=environment)
        except subprocess.TimeoutExpired as error:
            raise ExportError(f"{model.name}: whisper.cpp gave no answer within {timeout:.0f} s. Try again on an idle machine.") from error
        if ran.returncode != 0 or not texts.is_file():
            lines = [line for line in ran.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
            why = next((line for line in reversed(lines) if "ASSERT" in line or "error" in line.lower() or "fail" in line.lower()), "")
            raise ExportError(f"{model.name}: whisper.cpp stopped with code {ran.returncode} ({why.strip()[:300] or 'it said nothing'}).")
        return [str(text) for text in json.loads(texts.read_text(encoding="utf-8"))]


def main(arguments: list[str]) -> None:
    """The child."""
    from pywhispercpp.model import Model

    model, told, given, texts = arguments
    settings = json.loads(Path(told).read_text(encoding="utf-8"))
    threads = os.environ.get("OMP_NUM_THREADS", "")
    options: Any = {"n_threads": int(threads)} if threads.isdigit() and int(threads) else {}
    loaded = Model(model, print_progress=False, **options)
    found = []
    with np.load(given, allow_pickle=False) as clips:
        for number, asked in enumerate(settings):
            found.append("".join(segment.text for segment in loaded.transcribe(clips[str(number)], **asked)))
    Path(texts).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
