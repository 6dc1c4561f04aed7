"""The scorer judges anyone, so it must not drag the trainer's packages along."""

import json
import subprocess
import sys
from pathlib import Path

import speechadapt.score

MODULES = ", ".join(
    f"speechadapt.score.{name}"
    for name in (
        "align",
        "alternatives",
        "compare",
        "counts",
        "intervals",
        "mixed",
        "phrases",
        "render",
        "report",
        "significance",
        "utterances",
        "verdict",
    )
)
HEAVY = "{'torch', 'torchaudio', 'transformers', 'peft', 'accelerate', 'librosa', 'pandas', 'matplotlib', 'scipy.stats', 'num2words'}"


def test_scoring_loads_nothing_heavy_and_warns_of_nothing() -> None:
    code = f"import sys, {MODULES}; found = {HEAVY} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_drawing_adds_matplotlib_alone() -> None:
    code = f"import sys, speechadapt.score.plot; found = {HEAVY} & set(sys.modules); assert found == {{'matplotlib'}}, found"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_command_loads_nothing_heavy(tmp_path: Path) -> None:
    """`benchmarks/scoring_speed.py` measures it; what is loaded decides, and is the same on every machine."""
    rows = [{"id": f"u{n}", "audio_filepath": "a.flac", "duration": 2.0, "text": "the cat sat", "speaker": f"s{n % 9}"} for n in range(100)]
    (tmp_path / "refs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "hyps.jsonl").write_text("".join(json.dumps({"id": row["id"], "text": "the cat"}) + "\n" for row in rows), encoding="utf-8")
    call = f"main(['score', {str(tmp_path / 'refs.jsonl')!r}, {str(tmp_path / 'hyps.jsonl')!r}])"
    code = f"import sys; from speechadapt.cli import main; assert {call} == 0; found = {HEAVY} & set(sys.modules); assert not found, found"
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.startswith("hyps on refs: 100 utterances, 9 speakers, 300 reference words\n")


def test_the_names_of_the_package_come_when_they_are_used() -> None:
    code = "import sys, speechadapt.score; assert 'numpy' not in sys.modules; speechadapt.score.score; assert 'numpy' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert sorted(speechadapt.score.PUBLIC) == sorted(speechadapt.score.__all__) == dir(speechadapt.score)
    for name in speechadapt.score.__all__:
        assert getattr(speechadapt.score, name).__name__ == name
