"""`transcribe`: recordings and manifests to text, hypotheses and subtitles."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from speechadapt.cli import main
from speechadapt.data.hypothesis import read_hypotheses
from speechadapt.data.manifest import Manifest

if TYPE_CHECKING:
    from conftest import FinishedRun

TINY = "openai/whisper-tiny.en"


@pytest.fixture
def clip(quick_run: "FinishedRun") -> Path:
    """A sentence in the standard accent, which tiny.en understands."""
    manifest = Manifest.read(quick_run.folder / "data" / "standard" / "test.jsonl")
    return manifest.audio_path(manifest[0])


def test_a_recording_becomes_text_on_stdout(clip: Path, quick_run: "FinishedRun", capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", str(clip), "--base", TINY]) == 0
    out, _ = capsys.readouterr()
    said = read_hypotheses(quick_run.folder / "hypotheses" / "standard-test.base.jsonl")[0].text
    assert out == f"{said}\n"


def test_an_adapter_names_its_base(clip: Path, quick_run: "FinishedRun", tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["transcribe", str(clip), "--adapter", str(quick_run.folder / "adapter"), "--json"]
    assert main([*arguments, "--out", str(tmp_path / "talk.srt")]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["id"] == str(clip)
    assert row["segments"][0]["avg_logprob"] <= 0
    assert (tmp_path / "talk.srt").read_text() == f"1\n00:00:00,000 --> {clock(row['segments'][0]['end'])}\n{row['text']}\n"


def clock(seconds: float) -> str:
    whole = round(seconds * 1000)
    return f"00:00:{whole // 1000:02d},{whole % 1000:03d}"


def test_one_broken_recording_does_not_stop_the_others(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.wav").write_text("this is no audio")
    assert main(["transcribe", str(tmp_path / "text.wav"), str(clip), "none.wav", "--base", TINY, "--out", str(tmp_path / "all.jsonl")]) == 1
    err = capsys.readouterr().err
    assert "text.wav: not a recording that can be read" in err
    assert "none.wav: no such audio file." in err
    assert [one.id for one in read_hypotheses(tmp_path / "all.jsonl")] == [str(clip)]


def test_a_manifest_becomes_hypotheses(quick_run: "FinishedRun", tmp_path: Path) -> None:
    manifest = quick_run.folder / "data" / "standard" / "test.jsonl"
    arguments = ["transcribe", "--manifest", str(manifest), "--adapter", str(quick_run.folder / "adapter"), "--window", "short"]
    assert main([*arguments, "--out", str(tmp_path / "hyps.jsonl")]) == 0
    expected = read_hypotheses(quick_run.folder / "hypotheses" / "standard-test.adapted-short.jsonl")
    assert [(one.id, one.text) for one in read_hypotheses(tmp_path / "hyps.jsonl")] == [(one.id, one.text) for one in expected]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give recordings, or --manifest M, and not both."),
        (["a.wav", "--manifest", "m.jsonl", "--base", TINY], "give recordings, or --manifest M, and not both."),
        (["a.wav"], "no model: give --base B (such as openai/whisper-tiny.en), or --adapter DIR, which names its base."),
        (["a.wav", "--base", TINY, "--beam", "0"], "--beam 0: must be 1 or more. 1 is greedy."),
        (
            ["a.wav", "--base", TINY, "--window", "short"],
            "--window short: a base without an adapter loops in the short window. Give --adapter, or use --window full.",
        ),
        (
            ["a.wav", "--base", TINY, "--out", "a.pdf"],
            '--out a.pdf: ends in ".pdf", must end in one of .txt, .jsonl, .srt, .vtt. Change the name.',
        ),
        (["a.wav", "b.wav", "--base", TINY, "--out", "a.srt"], "--out a.srt: subtitles are for one recording. Give one, or write .jsonl."),
    ],
)
def test_what_cannot_be_meant(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", *arguments]) == 2
    assert capsys.readouterr() == ("", f"speechadapt transcribe: {message}\n")


def test_a_folder_that_is_no_adapter(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", str(clip), "--adapter", str(tmp_path)]) == 1
    assert "so it is not an adapter of speechadapt. Give the folder RUN/adapter." in capsys.readouterr().err
