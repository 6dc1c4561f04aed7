"""The scorer judges anyone, so it must not drag the trainer's packages along."""

import subprocess
import sys

MODULES = ", ".join(
    f"speechadapt.score.{name}" for name in ("align", "compare", "counts", "intervals", "phrases", "render", "report", "significance", "verdict")
)
HEAVY = "{'torch', 'torchaudio', 'transformers', 'peft', 'accelerate', 'librosa', 'pandas', 'matplotlib', 'scipy.stats'}"


def test_scoring_loads_nothing_heavy_and_warns_of_nothing() -> None:
    code = f"import sys, {MODULES}; found = {HEAVY} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_drawing_adds_matplotlib_alone() -> None:
    code = f"import sys, speechadapt.score.plot; found = {HEAVY} & set(sys.modules); assert found == {{'matplotlib'}}, found"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
