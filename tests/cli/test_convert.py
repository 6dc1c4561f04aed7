"""`speechadapt convert`: what was written on stdout, 2 for what cannot be meant, 1 for data that is not there."""

import json
from pathlib import Path
from typing import Any

import pytest
from prepared_folders import make_prepared

from speechadapt.cli import main
from speechadapt.cli.convert import parse_size
from speechadapt.errors import MisuseError


@pytest.fixture
def prepared(tmp_path: Path, write_tone: Any) -> Path:
    return make_prepared(tmp_path / "mine", write_tone)


def test_the_report_says_what_was_written_and_what_was_not(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(prepared), str(tmp_path / "out"), "--to", "kaldi", "--splits", "train, test"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["train", "5", "3.7", "s", "2"] or lines[2].split() == ["train", "5", "3.8", "s", "2"]
    assert "  not carried: meta of 2 rows, for which kaldi has no place" in lines
    assert "  changed 1: texts with line breaks, tabs, unusual or repeated blanks, written with single ones" in lines
    assert "license of mine: CC BY 4.0; commercial use: yes, with attribution" in lines
    assert lines[-1].startswith(f"written to {tmp_path / 'out'} in ")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.md", "audio", "corpus.json", "test", "train"]


def test_json_is_the_whole_report(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["convert", str(prepared / "dev.jsonl"), str(prepared / "test.jsonl"), str(tmp_path / "out"), "--to", "nemo", "--link", "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], found["audio"], found["out"], found["not_carried"], found["notes"]) == ("nemo", "link", str(tmp_path / "out"), {}, [])
    assert {name: part["utterances"] for name, part in found["splits"].items()} == {"dev": 1, "test": 1}
    assert found["corpora"][0]["license"] == "CC BY 4.0"
    assert (tmp_path / "out/audio/dev0.flac").samefile(prepared / "audio/dev0.flac")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--to", "csv"], 2, '--to "csv": must be one of audiofolder, parquet, kaldi, lhotse, nemo'),
        (["--to", "nemo", "--splits", ","], 2, "--splits: names no split. Name one or more of them"),
        (["--to", "nemo", "--splits", "all"], 2, '--splits "all": no manifest of that name; there are: train, dev, test'),
        (["--to", "parquet", "--shard-size", "many"], 2, '--shard-size "many": expected a number with KB, MB or GB, such as 500MB'),
        (["--to", "parquet", "--in-place"], 2, "--in-place: Parquet files hold the audio inside"),
    ],
)
def test_misuse_is_two(arguments: list[str], code: int, message: str, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(prepared), str(tmp_path / "out"), *arguments]) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_missing_data_is_one(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (prepared / "audio/train2.flac").unlink()
    assert main(["convert", str(prepared), str(tmp_path / "out"), "--to", "lhotse"]) == 1
    assert 'utterance "mine-A b|c" (train): ' in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["convert", str(prepared), str(tmp_path / "out")])
    assert left.value.code == 2
    assert "--to" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["convert", str(prepared), str(tmp_path / "out"), "--to", "nemo", "--copy", "--link"])


def test_sizes_are_read_with_their_units() -> None:
    assert [parse_size(text) for text in ("500MB", "1.5 gb", "2000000", "1KB")] == [500_000_000, 1_500_000_000, 2_000_000, 1_000]
    for text in ("", "-1MB", "1TB", "1e9", "9999999999"):
        with pytest.raises(MisuseError, match="--shard-size"):
            parse_size(text)
