"""Exports of the real tiny.en with an adapter out of a run, and the code of every card, run as it stands."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import soundfile

from speechadapt.data.manifest import Manifest
from speechadapt.export.export import Export, export_adapter
from speechadapt.models.sources import find_base
from speechadapt.transcriber import Transcriber

if TYPE_CHECKING:
    import numpy as np
    from conftest import FinishedRun
    from numpy.typing import NDArray

pytestmark = pytest.mark.slow

PROGRAMS = {"ctranslate2": "faster_whisper", "onnx": "onnxruntime", "ggml": "pywhispercpp"}
TARGETS = [
    *(("merged", "float32"), ("merged", "float16"), ("ctranslate2", "int8"), ("ctranslate2", "float32")),
    *(("onnx", "float32"), ("ggml", "float16")),
]


@pytest.fixture(scope="module")
def recording(speech: dict[str, NDArray[np.float32]], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What is said, and its file."""
    text, waveform = next(iter(speech.items()))
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    soundfile.write(path, waveform, 16_000, subtype="PCM_16")
    return text, path


@pytest.fixture(scope="module")
def adapter(quick_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's adapter without its run, so that standard English is the clips: two steps of training do not carry a strong accent, on which
    the base only guesses and any rounding is heard."""
    return Path(shutil.copytree(quick_run.folder / "adapter", tmp_path_factory.mktemp("alone") / "adapter"))


@pytest.fixture(scope="module")
def exports(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Export]:
    """`exports(target, quantization)`: the run's adapter exported, once each."""
    made: dict[tuple[str, str], Export] = {}

    def export(target: str, quantization: str) -> Export:
        if target in PROGRAMS:
            pytest.importorskip(PROGRAMS[target], reason="the program that runs it is not installed")
        if (target, quantization) not in made:
            out = tmp_path_factory.mktemp("exports") / f"{target}-{quantization}"
            made[target, quantization] = export_adapter(adapter, out, target=target, quantization=quantization, limit=24)
        return made[target, quantization]

    return export


def printed(code: str, recording: Path, **folders: Path) -> str:
    """What the code of a card prints, its placeholders filled in."""
    filled = code.replace('"speech.wav"', repr(str(recording)))
    for placeholder, folder in (("path/to/this/folder", folders.get("this")), ("path/to/the/export", folders.get("export"))):
        filled = filled.replace(placeholder, str(folder))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(filled, "card", "exec"), {})
    return out.getvalue()


def words(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower()).strip()


def blocks(card: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", card.read_text(), re.DOTALL)


@pytest.mark.parametrize(("target", "quantization"), TARGETS)
def test_each_target_says_what_the_run_scored(target: str, quantization: str, exports: Callable[..., Export]) -> None:
    done = exports(target, quantization)
    assert done.proof.passed
    assert done.proof.about["from"].startswith("24 sentences of synthetic_english")
    if quantization == "float32":
        assert done.proof.identical == done.proof.clips
    assert done.proof.words > 200
    assert (done.proof.unpadded is not None) == (target == "ctranslate2")
    assert done.proof.wer_source is not None
    assert done.proof.wer_export is not None
    assert done.proof.wer_export - done.proof.wer_source <= 0.005


@pytest.mark.parametrize(("target", "quantization"), [one for one in TARGETS if one != ("merged", "float16")])
def test_the_code_of_the_exports_card_runs(target: str, quantization: str, exports: Callable[..., Export], recording: tuple[str, Path]) -> None:
    folder = exports(target, quantization).folder
    text, path = recording
    codes = blocks(folder / "README.md")
    assert len(codes) == (2 if target == "merged" else 1)
    for code in codes:
        assert words(printed(code, path, this=folder)) == words(text)


def test_the_code_of_the_adapters_card_runs(adapter: Path, exports: Callable[..., Export], recording: tuple[str, Path]) -> None:
    text, path = recording
    with_us, with_peft, with_faster_whisper = blocks(adapter / "README.md")
    assert words(printed(with_us, path, this=adapter)) == words(text)
    assert words(printed(with_faster_whisper, path, export=exports("ctranslate2", "int8").folder)) == words(text)
    # without a network the base is a folder
    local = with_peft.replace('"openai/whisper-tiny.en"', repr(str(find_base("openai/whisper-tiny.en").folder)))
    held: dict[str, Any] = {}
    exec(compile(local.replace("path/to/this/folder", str(adapter)), "card", "exec"), held)
    assert type(held["model"]).__name__ == "PeftModel"


def test_the_runs_verdict_is_in_its_adapters_card(quick_run: FinishedRun) -> None:
    card = (quick_run.folder / "adapter" / "README.md").read_text()
    assert re.search(r"^\| mandarin/test \| test \| 3 \| 3 \| \d", card, re.MULTILINE)
    assert "Cost elsewhere: standard/test" in card
    assert "model-index" in card.split("---\n")[1]
    assert "Not scored yet" not in card


def test_a_merged_folder_is_a_base_like_any_other(quick_run: FinishedRun, exports: Callable[..., Export]) -> None:
    merged = exports("merged", "float32").folder
    manifest = Manifest.read(quick_run.folder / "data/mandarin/test.jsonl")
    ours, theirs = Transcriber(adapter=quick_run.folder / "adapter", device="cpu"), Transcriber(str(merged), device="cpu")
    for utterance in manifest:
        path = manifest.audio_path(utterance)
        assert ours.transcribe(path).text == theirs.transcribe(path).text


@pytest.mark.parametrize(("target", "quantization"), [("merged", "float32"), ("onnx", "float32"), ("onnx", "int8")])
def test_the_embedded_ctc_base(
    target: str, quantization: str, make_adapter: Callable[..., Path], recording: tuple[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("hibari", reason="the synthetic voice is not installed")
    adapter = make_adapter("embedded:wav2vec2-small", language="en", scale=0.002)
    done = export_adapter(adapter, tmp_path / "out", target=target, quantization=quantization, limit=24)
    assert done.proof.words > 150
    assert done.proof.about["from"].startswith("24 sentences of synthetic_english")
    if quantization == "float32":
        assert done.proof.identical == 24
        said = Transcriber(adapter=adapter, device="cpu").transcribe(recording[1]).text
        for code in blocks(done.folder / "README.md"):
            assert printed(code, recording[1], this=done.folder).strip() == said
