"""Which precision a word means on which device."""

import pytest
import torch

from speechadapt.errors import MisuseError
from speechadapt.models.precision import use_bf16

CPU = torch.device("cpu")
QUESTIONS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def test_a_word_that_decides_it_asks_no_device() -> None:
    for device in (CPU, torch.device("cuda"), torch.device("mps")):
        assert use_bf16("bf16", device)
        assert not use_bf16("fp32", device)


@pytest.mark.parametrize("fast", [True, False])
def test_auto_asks_the_processor(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in QUESTIONS:
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, QUESTIONS[1], lambda: fast, raising=False)
    assert use_bf16("auto", CPU) is fast


def test_auto_is_fp32_where_torch_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in QUESTIONS:
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not use_bf16("auto", CPU)


@pytest.mark.parametrize("fast", [True, False])
def test_auto_asks_the_gpu_for_bf16_of_its_own(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def supported(including_emulation: bool) -> bool:
        return fast or including_emulation  # older GPUs only emulate it, slower than float32

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert use_bf16("auto", torch.device("cuda")) is fast


def test_auto_is_fp32_on_other_devices() -> None:
    assert not use_bf16("auto", torch.device("mps"))


def test_another_word() -> None:
    with pytest.raises(MisuseError) as caught:
        use_bf16("fp16", CPU)
    assert str(caught.value) == 'precision is "fp16", must be one of: auto, fp32, bf16. Correct the setting.'
