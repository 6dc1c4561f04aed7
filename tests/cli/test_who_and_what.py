"""What `score` and `compare` say of groups and mistakes: derived fields, gaps, `--mistakes` and `--audio`."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from speechadapt.audio.waveform import write_flac
from speechadapt.cli import main
from speechadapt.data.hypothesis import Hypothesis, write_hypotheses
from speechadapt.score.compare import Comparison
from speechadapt.score.report import ScoreReport

Paths = list[str]


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Paths]:
    """Three accents of four speakers with three utterances of ten words; each system gets so many words of each accent wrong."""

    def write(*systems: dict[str, int]) -> Paths:
        rows, paths = [], [tmp_path / "test.jsonl"]
        for accent in ("irish", "scottish", "us"):
            rows += [
                {"id": f"{accent}{n:02d}", "audio_filepath": f"{n % 3}.flac", "duration": 3.0, "text": "a b c d e f g h i three", "accent": accent}
                | {"speaker": f"{accent}-{n % 4}"}
                for n in range(12)
            ]
        paths[0].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        for number, wrong in enumerate(systems):
            said = []
            for n, row in enumerate(rows):
                count = wrong.get(str(row["accent"]), 0) + (n % 4 == 0)
                said.append(Hypothesis(id=str(row["id"]), text=" ".join(str(row["text"]).split()[: 10 - count] + ["tree"] * count)))
            paths.append(tmp_path / f"system{number}.jsonl")
            write_hypotheses(paths[-1], said)
        return [str(path) for path in paths]

    return write


def test_score_tells_the_gap_and_the_mistakes(files: Callable[..., Paths], capsys: pytest.CaptureFixture[str]) -> None:
    paths = files({"scottish": 5, "us": 1})
    assert main(["score", *paths, "--normalizer", "raw", "--by", "accent,length", "--mistakes", "2"]) == 0
    shown = capsys.readouterr().out
    assert "Gap by accent: irish 2.5 %, scottish 52.5 %: 50.0 points, 95 % interval " in shown
    assert "; 21.00 times the errors; " in shown
    assert "Gap by length" not in shown  # one group is no gap
    assert "Substitutions (2 of " in shown
    assert "Most errors" in shown


def test_score_json_holds_both(files: Callable[..., Paths], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.json"
    arguments = ["score", *files({"scottish": 5}), "--normalizer", "raw", "--by", "accent", "--json", "--out", str(out)]
    assert main([*arguments, "--mistakes"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row == json.loads(out.read_text(encoding="utf-8"))
    assert (row["gaps"][0]["worst"]["value"], row["gaps"][0]["groups"]) == ("scottish", 3)
    assert row["mistakes"]["substitutions"][0]["hypothesis"] == "tree"
    assert ScoreReport.read(out).wer == row["wer"]
    assert main(arguments) == 0
    assert "mistakes" not in json.loads(capsys.readouterr().out)


def test_compare_tells_how_the_gap_changed(files: Callable[..., Paths], capsys: pytest.CaptureFixture[str]) -> None:
    paths = files({"scottish": 5, "us": 1}, {"scottish": 1, "us": 1})
    assert main(["compare", *paths, "--normalizer", "raw", "--by", "accent", "--mistakes", "3"]) == 0
    shown = capsys.readouterr().out
    assert "Gap by accent, best to worst: 50.0 (irish 2.5 %, scottish 52.5 %) -> 10.0 (irish 2.5 %, " in shown
    assert shown.index("narrower.") < shown.index("What system1 got wrong")
    assert "48 words that the base got wrong are right now, and 0 the other way round (net +48)." in shown
    assert main(["compare", *paths, "--normalizer", "raw", "--by", "accent", "--mistakes", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["mistakes"]["gained_words"] == 48
    assert [gap.verdict for gap in Comparison.from_json(row).gaps] == ["narrower"]


def test_snr_and_bandwidth_are_measured_when_asked(files: Callable[..., Paths], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = files({})
    generator = np.random.default_rng(0)
    for number, noise in enumerate((1e-3, 3e-2)):
        sound = 0.1 * generator.standard_normal(48_000) * (np.arange(48_000) % 8000 >= 3000) + noise * generator.standard_normal(48_000)
        write_flac(tmp_path / f"{number}.flac", np.clip(sound, -1, 1).astype(np.float32))
    assert main(["score", *paths, "--by", "snr,bandwidth"]) == 1
    assert "Add --audio to measure it" in capsys.readouterr().err
    assert main(["score", *paths, "--by", "snr,bandwidth", "--audio", "--json"]) == 0
    shown = capsys.readouterr()
    assert "12 recordings could not be measured, the first is that of irish02; they count as (unknown)." in shown.err
    groups = json.loads(shown.out)["groups"]
    assert {value: group["utterances"] for value, group in groups["snr"].items()} == {"10-20 dB": 12, ">30 dB": 12, "(unknown)": 12}
    assert list(groups["bandwidth"]) == ["wide", "(unknown)"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--mistakes", "0"], "speechadapt score: --mistakes 0: must be 1 or more.\n"),
        (["--by", "snr", "--audio"], "speechadapt score: none of the 36 recordings"),
    ],
)
def test_misuse(files: Callable[..., Paths], arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", *files({}), *arguments]) in (1, 2)
    assert capsys.readouterr().err.splitlines()[-1].startswith(expected.rstrip("\n"))


def test_audio_needs_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text("u1 a b\n", encoding="utf-8")
    assert main(["score", str(tmp_path / "text"), str(tmp_path / "text"), "--refs-form", "kaldi", "--hyps-form", "kaldi", "--audio"]) == 2
    assert "names no recordings. Give a manifest with audio_filepath, or leave --audio out." in capsys.readouterr().err
