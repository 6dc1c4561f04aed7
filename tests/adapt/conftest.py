"""A small manifest of tones, for training that need not understand anything."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance

TEXTS = ("They went home.", "No.", "A longer sentence, with a comma.", "Yes, of course.", "It rained.", "Nobody came to the party.")


@pytest.fixture
def make_manifest(tmp_path: Path, write_tone: Callable[..., Path]) -> Callable[..., Manifest]:
    """`make_manifest(count, **fields)`: tones of 0.6 to 1.6 s with a sentence each, beside the test's temporary files."""

    def make(count: int = 6, **fields: Any) -> Manifest:
        rows = []
        for number in range(count):
            seconds = 0.6 + 0.2 * (number % 6)
            write_tone(tmp_path / "data" / f"{number}.wav", seconds, seed=number)
            rows.append(Utterance(id=f"u{number}", audio_filepath=f"{number}.wav", duration=seconds, text=TEXTS[number % len(TEXTS)], **fields))
        return Manifest(rows, folder=tmp_path / "data", name="train")

    return make
