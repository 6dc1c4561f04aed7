"""Adapters with random weights, as a training might have left them, for tests that need no learning."""

from pathlib import Path
from typing import Any

import torch

from speechadapt.adapt.adapter import add_adapter, save_adapter
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.models.load import load_model


def write_adapter(
    base: Path | str, folder: Path, *, seed: int, size: float = 0.05, language: str | None = None, task: str = "transcribe",
    texts: tuple[str, ...] = (), vocabulary: str = "auto", accent: str | None = None, **spec: Any,
) -> Path:  # fmt: skip
    """Write an adapter of a base: rank 2 unless `spec` says otherwise; `texts` give a CTC model a vocabulary first."""
    model = load_model(str(base), language=language, task=task, device="cpu")
    torch.manual_seed(seed)
    if texts:
        model.fit_vocabulary(texts, vocabulary=vocabulary)
    wanted = AdapterSpec(**({"rank": 2, "alpha": 4.0} | spec))
    add_adapter(model, wanted, seed=seed)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.network.named_parameters():
            if "lora_A" in name or "lora_B" in name or (wanted.method == "full" and ".modules_to_save." in name):
                noise = torch.randn(parameter.shape, generator=random) * size
                parameter.copy_(parameter + noise if wanted.method == "full" else noise * 4)
            elif "lora_magnitude" in name:
                parameter.mul_(1 + 0.2 * torch.rand(parameter.shape, generator=random))
    save_adapter(model, wanted, folder, train_fingerprint=f"{seed:064x}", accent=accent, card="")
    return folder
