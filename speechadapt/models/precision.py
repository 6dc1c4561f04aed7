"""Whether to compute in bfloat16: only where the device is fast in it."""

import torch

from speechadapt.errors import MisuseError

PRECISIONS = ("auto", "fp32", "bf16")


def use_bf16(precision: str, device: torch.device) -> bool:
    """Decide on a precision.

    Args:
        precision: `bf16` or `fp32` decide it; `auto` asks the device: GPUs since Ampere, and processors with AVX-512 BF16 or AMX, where
            matrix products took a fifth of float32's time when measured (docs/log.md).

    Raises:
        MisuseError: another word.
    """
    if precision not in PRECISIONS:
        raise MisuseError(f'precision is "{precision}", must be one of: {", ".join(PRECISIONS)}. Correct the setting.')
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # torch has no public question for this; where a version lacks these, float32 is right
        return any(getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return False
