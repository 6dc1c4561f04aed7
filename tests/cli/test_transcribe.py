"""`transcribe`: recordings and manifests to text, hypotheses and subtitles."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from speechadapt.cli import main
from speechadapt.data.hypothesis import read_hypotheses
from speechadapt.data.manifest import Manifest
from speechadapt.subtitles import cut_lines, to_srt, to_vtt
from speechadapt.transcriber import Transcriber

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
    (segment,) = row["segments"]
    assert "words" not in segment, "only where they were asked for"
    cues = [(word.start, word.end, word.text) for word in Transcriber(adapter=quick_run.folder / "adapter").transcribe(clip, words=True).words]
    assert (tmp_path / "talk.srt").read_text() == to_srt(cut_lines(cues)), "lines are cut by words, which fit a screen"
    assert segment["start"] - 0.3 <= cues[0][0] < cues[-1][1] <= segment["end"] + 0.3
    assert main([*arguments, "--timestamps", "segment", "--out", str(tmp_path / "talk.vtt")]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    sentences = [(one["start"], one["end"], one["text"]) for one in row["segments"]]
    assert (tmp_path / "talk.vtt").read_text() == to_vtt(sentences)


def test_times_and_where_they_are_told(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", str(clip), "--base", TINY, "--timestamps", "word", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    words = [word for segment in row["segments"] for word in segment["words"]]
    assert " ".join(word["text"] for word in words) == row["text"]
    assert (row["language"], row["dropped"], row["cut_by"]) == ("en", 0, "voice activity")
    assert 0 <= row["no_speech"] < 0.5
    assert 0 <= words[0]["start"] < words[-1]["end"] <= row["duration"]


def test_silence_gives_no_text_unless_it_is_to_be_heard(
    whisper_folder: Callable[[str], Path], talk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = str(whisper_folder("english"))
    assert main(["transcribe", str(talk), "--base", base]) == 0
    assert capsys.readouterr().out == "\n"
    assert main(["transcribe", str(talk), "--base", base, "--no-vad"]) == 0
    assert len(capsys.readouterr().out) > 10


def test_prompt_and_temperature_reach_the_model(whisper_folder: Callable[[str], Path], talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = str(whisper_folder("english"))
    said = []
    for given in ([], ["--prompt", "Siobhan and Nguyen."], ["--temperature", "1"]):
        assert main(["transcribe", str(talk), "--base", base, "--no-vad", *given]) == 0
        said.append(capsys.readouterr().out)
    assert len(set(said)) == 3


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
        (["a.wav", "--base", TINY, "--lm", "none.arpa"], "--lm none.arpa: no such file. Give an n-gram model, ARPA or KenLM's binary."),
        (
            ["a.wav", "--base", TINY, "--lm-weight", "0.5"],
            "--lm-weight and --word-score weigh a language model, and none was given. Give one with --lm FILE.",
        ),
        (
            ["a.wav", "--base", TINY, "--words"],
            "--words: only recordings have them, in --json or in a .jsonl file. Add --json or --out FILE.jsonl, without --manifest.",
        ),
        (
            ["--manifest", "m.jsonl", "--base", TINY, "--words", "--json"],
            "--words: only recordings have them, in --json or in a .jsonl file. Add --json or --out FILE.jsonl, without --manifest.",
        ),
        (
            ["a.wav", "--base", TINY, "--timestamps", "word"],
            "--timestamps: only recordings have them, in --json, a .jsonl file or subtitles. Add --json or --out FILE.srt, without --manifest.",
        ),
        (["--manifest", "m.jsonl", "--base", TINY, "--no-vad"], "--vad: the utterances of a manifest are heard whole. Leave it out."),
        (["a.wav", "--base", TINY, "--temperature", "2"], "--temperature 2.0: must be from 0 to 1. 0 takes the likeliest tokens."),
        (["a.wav", "b.wav", "--base", TINY, "--out", "a.srt"], "--out a.srt: subtitles are for one recording. Give one, or write .jsonl."),
    ],
)
def test_what_cannot_be_meant(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", *arguments]) == 2
    assert capsys.readouterr() == ("", f"speechadapt transcribe: {message}\n")


def test_a_folder_that_is_no_adapter(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", str(clip), "--adapter", str(tmp_path)]) == 1
    assert "so it is not an adapter of speechadapt. Give the folder RUN/adapter." in capsys.readouterr().err


# CTC models


@pytest.fixture
def talk(tmp_path: Path, write_tone: Callable[..., Path]) -> Path:
    return write_tone(tmp_path / "talk.flac", 12.0, seed=4)


@pytest.fixture
def ctc(ctc_with_words: Path) -> str:
    return str(ctc_with_words)


def test_words_stand_in_json_and_jsonl_where_they_were_asked_for(talk: Path, ctc: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", str(talk), "--base", ctc, "--no-vad", "--json", "--words", "--out", str(tmp_path / "talk.jsonl")]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "talk.jsonl").read_text()) == row
    (segment,) = row["segments"]
    assert [word.keys() for word in segment["words"]] == [{"text", "start", "end", "probability"}] * len(segment["words"])
    assert " ".join(word["text"] for word in segment["words"]) == segment["text"] == row["text"]
    assert len(segment["words"]) > 1
    assert 0 <= segment["words"][0]["start"] < segment["words"][-1]["end"] <= 12.0
    assert main(["transcribe", str(talk), "--base", ctc, "--no-vad", "--json"]) == 0
    (plain,) = json.loads(capsys.readouterr().out)
    assert plain["segments"] == [{key: value for key, value in segment.items() if key != "words"}]


def test_subtitles_of_a_ctc_model_are_cut_by_its_words(talk: Path, ctc: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", str(talk), "--base", ctc, "--no-vad", "--json", "--out", str(tmp_path / "talk.srt")]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert "words" not in row["segments"][0], "only where they were asked for"
    words = Transcriber(ctc, device="cpu", vad=False).transcribe(talk, words=True).segments[0].words
    expected = cut_lines((word.start, word.end, word.text) for word in words)
    assert len(expected) > 1, "twelve seconds are more than a line"
    assert (tmp_path / "talk.srt").read_text() == to_srt(expected)
    assert main(["transcribe", str(talk), "--base", ctc, "--no-vad", "--out", str(tmp_path / "talk.vtt")]) == 0
    assert (tmp_path / "talk.vtt").read_text() == to_vtt(expected)


@pytest.mark.parametrize(("given", "what"), [(["--lm", "a.arpa"], "a language model")])
def test_what_whisper_has_not_is_refused(
    given: list[str],
    what: str,
    talk: Path,
    whisper_folder: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.arpa").write_text("")
    base = str(whisper_folder("english"))
    assert main(["transcribe", str(talk), "--base", base, *given]) == 2
    told = f"speechadapt transcribe: {what} asked of {base}, which is no CTC model and has none. Use a CTC model or leave it out.\n"
    assert capsys.readouterr() == ("", told)


def test_a_language_model_decides_what_is_written(talk: Path, ctc: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the only word it knows; a heavy weight lets it win over the audio of a random model."""
    pytest.importorskip("flashlight.lib.text", reason="the extra lm is not installed")
    (tmp_path / "one.arpa").write_text(
        "\\data\\\nngram 1=4\nngram 2=1\n\n\\1-grams:\n-99\t<s>\t0\n-0.3\t</s>\n-9\t<unk>\n-0.3\tO\t0\n\n\\2-grams:\n-0.1\tO O\n\n\\end\\\n",
        encoding="utf-8",
    )
    texts = {}
    for name, given in (("alone", []), ("with", ["--lm", str(tmp_path / "one.arpa"), "--lm-weight", "20", "--word-score", "1"])):
        assert main(["transcribe", str(talk), "--base", ctc, "--no-vad", *given]) == 0
        texts[name] = capsys.readouterr().out.split()
    share = {name: words.count("O") / len(words) for name, words in texts.items()}
    assert share["alone"] < 0.3
    assert share["with"] > 0.8
