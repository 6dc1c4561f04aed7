"""Adapters and runs to export, made from small random models."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import soundfile
import torch
from spoken import spoken

from speechadapt.adapt.adapter import add_adapter, save_adapter
from speechadapt.adapt.card import training_card
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.models.load import load_model

Adapter = Callable[..., Path]


@pytest.fixture
def make_adapter(tmp_path: Path) -> Adapter:
    """`make_adapter(base, method=…, texts=…, language=…, task=…, scale=…)`: an adapter whose weights are drawn, not trained, in `RUN/adapter`."""

    def make(
        base: Path | str,
        *,
        method: str = "lora",
        texts: Sequence[str] = (),
        vocabulary: str = "new",
        language: str | None = None,
        task: str = "transcribe",
        scale: float = 0.05,
    ) -> Path:
        model = load_model(str(base), language=language, task=task, device="cpu")
        spec = AdapterSpec(rank=2, method=method)
        torch.manual_seed(3)
        if texts:
            model.fit_vocabulary(texts, vocabulary=vocabulary)
        add_adapter(model, spec)
        with torch.no_grad():
            for name, parameter in model.network.named_parameters():
                if "lora_B" in name or ".modules_to_save." in name:
                    parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * scale)
        folder = tmp_path / "run" / "adapter"
        manifest = Manifest([], folder=tmp_path)
        save_adapter(model, spec, folder, train_fingerprint="f" * 64, accent="welsh", card=training_card(model, spec, manifest, 1, None))
        return folder

    return make


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A manifest of three clips of speech-like sound, of a second each, with references that no model here would say."""
    folder = tmp_path / "clips"
    (folder / "audio").mkdir(parents=True)
    rows = []
    for number in range(3):
        soundfile.write(folder / "audio" / f"{number}.wav", spoken(1.0, seed=number), 16_000, subtype="PCM_16")
        rows.append(Utterance(id=f"clip-{number}", audio_filepath=f"audio/{number}.wav", duration=1.0, text=f"two words {number}"))
    Manifest(rows, folder=folder).write(folder / "test.jsonl")
    return folder / "test.jsonl"


@pytest.fixture
def finish_run() -> Callable[[Path, Path], Path]:
    """`finish_run(adapter, manifest)`: a `comparison.json` beside the adapter that names the manifest as its test set; the run."""

    def finish(adapter: Path, manifest: Path) -> Path:
        one = {
            "name": "clips/test", "role": "test", "manifest": str(manifest), "fingerprint": Manifest.read(manifest).fingerprint,
            "speakers": 1, "utterances": 3, "normalizer": "basic", "base": {"wer": 0.5}, "adapted": {"wer": 0.25}, "delta": -0.25,
            "ci95": [-0.3, -0.2], "verdict": "better",
        }  # fmt: skip
        (adapter.parent / "comparison.json").write_text(json.dumps({"verdict": "better", "sets": [one]}))
        return adapter.parent

    return finish
