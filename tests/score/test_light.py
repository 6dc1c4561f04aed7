"""The scorer judges anyone, so it must not drag the trainer's packages along."""

import subprocess
import sys

import pytest

HEAVY = "{'torch', 'torchaudio', 'transformers', 'peft', 'accelerate', 'librosa', 'pandas'}"


@pytest.mark.parametrize("module", ["align", "compare", "counts", "intervals", "phrases", "plot", "render", "report", "significance", "verdict"])
def test_scoring_loads_no_torch_and_warns_of_nothing(module: str) -> None:
    code = f"import sys, speechadapt.score.{module}; found = {HEAVY} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_tables_and_counts_do_without_matplotlib() -> None:
    code = "import sys, speechadapt.score.render; assert 'matplotlib' not in sys.modules; assert 'scipy.stats' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
