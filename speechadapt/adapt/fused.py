"""A faster forward pass for PEFT's plain LoRA layers while training: the same mathematics in fewer passes over memory.

PEFT computes `W x + s B (A x)` as four large intermediate results. For the row counts of speech encoders it is cheaper to form
`W + s B A` first (small) and multiply once; the backward pass never builds the gradient of the large matrix. PEFT's own layers
and files stay as they are: only `forward` is replaced, and only inside the `with` block.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear as LoraLinear
from torch import nn


class _LoraProduct(torch.autograd.Function):
    """y = x (W + s B A)^T + b, with gradients for x, A and B only; W and b are frozen."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, a: torch.Tensor, b: torch.Tensor, scale: float
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight, a, b)
        ctx.scale = scale
        return F.linear(x, torch.addmm(weight, b, a, alpha=scale), bias)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, a, b = ctx.saved_tensors
        rows = grads[0].reshape(-1, grads[0].shape[-1])
        inputs = x.reshape(-1, x.shape[-1])
        through_b = rows @ b
        grad_b = rows.t() @ (inputs @ a.t()) * ctx.scale
        grad_a = through_b.t() @ inputs * ctx.scale
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (rows @ torch.addmm(weight, b, a, alpha=ctx.scale)).view_as(x)
        return grad_x, None, None, grad_a, grad_b, None


@contextlib.contextmanager
def fused_lora(network: nn.Module) -> Iterator[int]:
    """Replace the forward of every plain LoRA layer (one adapter, no dropout, not DoRA) inside the block.

    Yields:
        How many layers run fused; the others keep PEFT's forward.
    """
    layers = [module for module in network.modules() if isinstance(module, LoraLinear) and _is_plain(module)]
    for layer in layers:
        layer.forward = functools.partial(_forward, layer)
    try:
        yield len(layers)
    finally:
        for layer in layers:
            del layer.forward


def _is_plain(layer: Any) -> bool:
    names = layer.active_adapters
    return (
        len(names) == 1
        and names[0] not in layer.lora_variant
        and not layer.merged
        and isinstance(layer.lora_dropout[names[0]], nn.Identity)
        and type(layer.base_layer) is nn.Linear
        and not layer.fan_in_fan_out
        and layer.lora_B[names[0]].bias is None
    )


def _forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    name = layer.active_adapters[0]
    base = layer.base_layer
    if layer.merged or layer.disable_adapters:  # a dev score decodes with the adapter inside the weight already, or the base itself is asked
        result: torch.Tensor = base(x)
        return result
    tensors = [x, base.weight, base.bias, layer.lora_A[name].weight, layer.lora_B[name].weight]
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        tensors = [tensor if tensor is None else tensor.to(dtype) for tensor in tensors]
        with torch.autocast(kind, enabled=False):
            return _apply(tensors, layer.scaling[name])
    return _apply(tensors, layer.scaling[name])


def _apply(tensors: list[Any], scale: float) -> torch.Tensor:
    product: torch.Tensor = _LoraProduct.apply(*tensors, scale)
    return product
