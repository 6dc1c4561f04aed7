"""The fused forward of LoRA layers: equal to PEFT's in value and gradient, and never applied twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from speechadapt.adapt.adapter import add_adapter, merged
from speechadapt.adapt.fused import fused_lora
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.audio.features import log_mel
from speechadapt.models.load import load_model

if TYPE_CHECKING:
    from conftest import Tone

Folder = Callable[[str], Path]


class TwoLayers(nn.Module):
    """Two matrices with a bend between them; the first without a bias, as Whisper's keys."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(24, 40, bias=False)
        self.second = nn.Linear(40, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.second(torch.nn.functional.gelu(self.first(x)))
        return result


def adapted(**options: object) -> nn.Module:
    torch.manual_seed(0)
    network = get_peft_model(
        TwoLayers(), LoraConfig(r=4, lora_alpha=12, **({"target_modules": ["first", "second"], "init_lora_weights": False} | options))
    )
    return network.train()


def gradients(network: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    network.zero_grad()
    x = x.clone().requires_grad_(True)
    y = network(x)
    (y.square().sum() / 7).backward()
    assert x.grad is not None
    found = {name: parameter.grad.clone() for name, parameter in network.named_parameters() if parameter.grad is not None}
    return found | {"x": x.grad, "y": y.detach()}


@pytest.mark.parametrize("shape", [(5, 24), (3, 7, 24)])
@pytest.mark.parametrize("rslora", [False, True])
def test_values_and_gradients_equal_those_of_peft(shape: tuple[int, ...], rslora: bool) -> None:
    network, x = adapted(use_rslora=rslora), torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    expected = gradients(network, x)
    with fused_lora(network) as count:
        found = gradients(network, x)
    assert count == 2
    assert found.keys() == expected.keys()
    assert len(expected) == 4 + 2, "four small matrices, the input and the output; nothing for the frozen weights"
    for name, value in expected.items():
        # float32: the rounding of a sum is a share of its largest terms
        largest = float(value.abs().max())
        torch.testing.assert_close(found[name], value, atol=1e-5 * largest, rtol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_gradients_equal_finite_differences() -> None:
    from speechadapt.adapt.fused import _LoraProduct

    random = torch.Generator().manual_seed(0)
    x, w, bias, a, b = (torch.randn(*shape, generator=random, dtype=torch.float64) for shape in ((5, 6), (4, 6), (4,), (2, 6), (4, 2)))
    for tensor in (x, a, b):
        tensor.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x, a, b: _LoraProduct.apply(x, w, bias, a, b, 1.5), (x, a, b))


def test_peft_has_its_own_forward_back_afterwards() -> None:
    network, x = adapted(), torch.randn(5, 24)
    before = network(x)
    with pytest.raises(KeyError), fused_lora(network):
        raise KeyError
    assert all("forward" not in vars(module) for module in network.modules())
    assert torch.equal(network(x), before)


@pytest.mark.parametrize("options", [{"use_dora": True}, {"lora_dropout": 0.1}, {"lora_bias": True, "target_modules": ["second"]}])
def test_what_is_not_plain_keeps_the_forward_of_peft(options: dict[str, object]) -> None:
    network, x = adapted(**options), torch.randn(5, 24)
    network.eval()
    expected = network(x)
    with fused_lora(network) as count:
        assert count == 0
        assert torch.equal(network(x), expected)


def test_bf16_autocast_computes_in_bf16() -> None:
    network, x = adapted(), torch.randn(5, 24)
    with fused_lora(network), torch.autocast("cpu", torch.bfloat16):
        found = network(x)
        found.float().sum().backward()
    assert found.dtype == torch.bfloat16
    # 8 bits of mantissa, sums of 40 products of size one
    torch.testing.assert_close(found.float(), network(x), atol=0.3, rtol=0.05)
    assert all(parameter.grad is not None and parameter.grad.dtype == torch.float32 for parameter in network.parameters() if parameter.requires_grad)


def test_a_merged_adapter_counts_once_inside_the_fused_block(whisper_folder: Folder, tone: Tone) -> None:
    """A dev score decodes merged while training runs fused; it once heard the adapter twice."""
    model = load_model(str(whisper_folder("english")), device="cpu")
    add_adapter(model, AdapterSpec(rank=4))
    with torch.no_grad():
        for name, parameter in model.network.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)) * 0.1)
    features = log_mel([tone(1.0)], 80, 104)
    model.network.eval()
    with torch.inference_mode():
        expected = model.encode(features)  # type: ignore[attr-defined]
        with fused_lora(model.network):
            torch.testing.assert_close(model.encode(features), expected, atol=1e-4, rtol=1e-4)  # type: ignore[attr-defined]
            with merged(model):
                torch.testing.assert_close(model.encode(features), expected, atol=1e-4, rtol=1e-4)  # type: ignore[attr-defined]
            torch.testing.assert_close(model.encode(features), expected, atol=1e-4, rtol=1e-4)  # type: ignore[attr-defined]
