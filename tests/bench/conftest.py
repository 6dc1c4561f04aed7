"""A small test set, and programs that stand for recognizers: they know what was said by the length of a clip."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TEXTS = ("we call it bear", "the old boat", "three red apples", "nobody knew why", "a storm came", "the train stopped")

PROGRAM = """
import json, pathlib, sys, time, wave
with wave.open(sys.argv[1]) as clip:
    assert (clip.getframerate(), clip.getnchannels(), clip.getsampwidth()) == (16000, 1, 2)
    frames = clip.getnframes()
pathlib.Path(__file__).with_name("calls.txt").open("a").write(f"{frames}\\n")
texts = json.loads(pathlib.Path(__file__).with_name("texts.json").read_text(encoding="utf-8"))
print(texts[str(frames)])
"""


def seconds_of(number: int) -> float:
    return round(0.2 + 0.05 * number, 2)


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Callable[..., Path]) -> Path:
    """`test.jsonl` of six clips of six speakers in two accents, `texts.json`, and `recognize.py`, which is always right."""
    rows = []
    for number, text in enumerate(TEXTS):
        write_tone(tmp_path / "audio" / f"{number}.flac", seconds_of(number), seed=number)
        row = {"id": f"u{number}", "audio_filepath": f"audio/{number}.flac", "duration": seconds_of(number), "text": text}
        rows.append(row | {"speaker": f"s{number}", "accent": "hindi" if number % 2 else "mandarin", "language": "en"})
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "texts.json").write_text(json.dumps({str(round(seconds_of(n) * 16_000)): text for n, text in enumerate(TEXTS)}), encoding="utf-8")
    (tmp_path / "recognize.py").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


@pytest.fixture
def python() -> str:
    """This interpreter, as it is written in TOML."""
    return json.dumps(sys.executable)


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str, str], list[str]]:
    """`program(name, code)`: a program of a few lines, as a command."""

    def write(name: str, code: str) -> list[str]:
        (tmp_path / name).write_text(code, encoding="utf-8")
        return [sys.executable, str(tmp_path / name)]

    return write
