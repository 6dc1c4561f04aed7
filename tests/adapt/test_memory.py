"""The allocator's setting is given back, and its absence is no problem."""

import sys

import pytest
import torch

from speechadapt.adapt import memory
from speechadapt.adapt.memory import keep_freed_memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only the C library of Linux has the setting")
def test_it_takes_effect_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    real = memory._mallopt()
    if real is None:
        pytest.skip("another C library than glibc")

    def listening(parameter: int, value: int) -> int:
        asked.append((parameter, value))
        return int(real(parameter, value))

    monkeypatch.setattr(memory, "_mallopt", lambda: listening)

    def fail_inside() -> None:
        with keep_freed_memory() as took:
            assert took
            assert float(torch.ones(1 << 20).sum()) == 1 << 20
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert asked == [(-3, (1 << 31) - 1), (-1, (1 << 31) - 1), (-3, 128 * 1024), (-1, 128 * 1024)]


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_mallopt", lambda: None)
    with keep_freed_memory() as took:
        assert not took
