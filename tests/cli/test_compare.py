"""`speechadapt compare` from the terminal: the verdict, its JSON, and the exit code a script can rely on."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from speechadapt.cli import main
from speechadapt.data.hypothesis import Hypothesis, write_hypotheses
from speechadapt.score.verdict import ComparisonSet

Files = Callable[..., list[str]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Ten speakers with three utterances of five words each; a system gets `wrong` words of each wrong, some speakers one more."""

    def write(*wrong: int) -> list[str]:
        references = tmp_path / "test.jsonl"
        rows = [
            {"id": f"u{n:02d}", "audio_filepath": f"u{n:02d}.flac", "duration": 2.0, "text": "a b c d e", "speaker": f"s{n // 3}", "gender": "female"}
            for n in range(30)
        ]
        references.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        paths = [references]
        for number, errors in enumerate(wrong):
            paths.append(tmp_path / f"system{number}.jsonl")
            texts = ["x " * (errors + (n % 4 == number)) + "a b c d e"[2 * (errors + (n % 4 == number)) :] for n in range(30)]
            write_hypotheses(paths[-1], [Hypothesis(id=f"u{n:02d}", text=text) for n, text in enumerate(texts)])
        return [str(path) for path in paths]

    return write


def test_better(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *files(3, 1)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("better: WER 65.3 % -> 25.3 % (-40.0 points, 95 % interval ")
    assert "base: system0" in shown
    assert "30 utterances got better, 0 got worse." in shown


def test_significantly_worse_is_exit_code_1(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *files(1, 3)]) == 1
    assert capsys.readouterr().out.startswith("worse: WER 25.3 % -> 65.3 % (+40.0 points, 95 % interval ")


def test_not_enough_evidence_is_no_failure(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *files(2, 2)]) == 0
    assert capsys.readouterr().out.startswith("not enough evidence: WER 45.3 % -> 45.3 % (+0.0 points, ")


def test_json_is_an_entry_of_comparison_json(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "compared.json"
    paths = files(3, 1)
    assert main(["compare", *paths, "--json", "--out", str(out), "--normalizer", "raw", "--by", "gender"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row == json.loads(out.read_text(encoding="utf-8"))
    assert (row["name"], row["manifest"], row["role"], row["verdict"]) == ("test", paths[0], "test", "better")
    assert (row["base"]["errors"], row["adapted"]["errors"], row["base"]["words"]) == (98, 38, 150)
    assert row["delta"] == -60 / 150
    assert row["ci95"][0] <= row["delta"] <= row["ci95"][1] < 0
    assert list(row["groups"]) == ["gender"]
    assert ComparisonSet.from_json(row).comparison.base_system == "system0"


def test_the_plot(files: Files, tmp_path: Path) -> None:
    assert main(["compare", *files(3, 1), "--plot", str(tmp_path / "wer.png")]) == 0
    assert (tmp_path / "wer.png").read_bytes().startswith(b"\x89PNG")


def test_a_system_that_left_utterances_out_is_refused(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    paths = files(3, 1)
    Path(paths[2]).write_text('{"id": "u00", "text": "a b c d e"}\n', encoding="utf-8")
    assert main(["compare", *paths]) == 1
    assert capsys.readouterr().err == (
        'speechadapt compare: 29 of the 30 utterances of "test" have no hypothesis from "system1": "u01", "u02", "u03", "u04", "u05" and 24 more. '
        "Transcribe them too, or count them as empty with --missing-as-empty (in Python missing_as_empty=True).\n"
    )
    assert main(["compare", *paths, "--missing-as-empty"]) == 1  # leaving out is worse, significantly
    assert '"system1" has no hypothesis for 29 utterances; they count as deletions.' in capsys.readouterr().out


def test_two_files_of_one_name_are_told_apart(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = files(3, 1)
    other = tmp_path / "new" / "system0.jsonl"
    other.parent.mkdir()
    other.write_bytes(Path(paths[2]).read_bytes())
    assert main(["compare", paths[0], paths[1], str(other)]) == 0
    assert f"adapted: {other}" in capsys.readouterr().out


def test_other_intervals_units_and_a_difference_to_plan_for(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--interval", "bca", "--unit", "hierarchical", "--detect", "2", "--resamples", "500"]
    assert main(["compare", *files(3, 1), *flags, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    for interval in (row["interval"], row["base"]["interval"], row["groups"]["gender"]["female"]["interval"]):
        assert (interval["method"], interval["hierarchical"], interval["units"]) == ("bca", True, 10)
    assert "A BCa interval over 10 speakers is too short" in row["caveats"][0]
    assert (row["power"]["asked"], row["power"]["target"]) == (True, 0.02)
    assert set(row["tests"]) == {"permutation", "student", "wilcoxon", "sign", "mapsswe", "matched_pairs", "mcnemar"}
    assert main(["compare", *files(3, 1), *flags]) == 0
    assert "the 2.0 points asked for" in capsys.readouterr().out


def test_a_difference_that_cannot_be_asked_for_is_misuse(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *files(3, 1), "--detect", "0"]) == 2
    assert capsys.readouterr().err == (
        "speechadapt compare: the difference to detect is 0 points, must be above 0 and at most 100. Give points of WER, such as 2.\n"
    )
    with pytest.raises(SystemExit) as caught:
        main(["compare", *files(3, 1), "--interval", "bootstrap-t"])
    assert caught.value.code == 2
