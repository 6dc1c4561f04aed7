"""The run folder: made once, never overwritten, resumed only as what it was."""

import json
from pathlib import Path

import pytest

from speechadapt.errors import MisuseError
from speechadapt.runs import Run, open_run


def test_a_new_run_holds_settings_environment_and_the_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.py"
    recipe.write_text('"""Mine."""\n')
    run = open_run(tmp_path / "a" / "run", settings={"recipe": "mine", "settings": {"STEPS": 3}}, recipe=recipe)
    assert not run.resumed
    assert json.loads((run.folder / "settings.json").read_text()) == {"recipe": "mine", "settings": {"STEPS": 3}}
    assert (run.folder / "recipe.py").read_text() == '"""Mine."""\n'
    environment = json.loads((run.folder / "environment.json").read_text())
    assert {"time", "command", "python", "packages", "machine"} <= set(environment)


def test_a_folder_with_something_in_it_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(
        MisuseError, match=r"run: exists already and is not overwritten\. Go on with it by --resume, or give another --out\."
    ) as refused:
        open_run(tmp_path / "run", settings={})
    assert refused.value.exit_code == 2
    with pytest.raises(MisuseError, match=r"no settings\.json in it, so it is no run folder that could be resumed\."):
        open_run(tmp_path / "run", settings={}, resume=True)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert open_run(tmp_path / "run", settings={}).folder.is_dir()


def test_resume_wants_the_same_settings_and_names_the_first_difference(tmp_path: Path) -> None:
    settings = {"settings": {"BASE": "openai/whisper-tiny.en", "TRAIN": {"steps": 30, "speed_perturb": [0.9, 1.0]}}}
    open_run(tmp_path / "run", settings=settings)
    assert open_run(tmp_path / "run", settings=json.loads(json.dumps(settings)), resume=True).resumed
    other = {"settings": {"BASE": "openai/whisper-tiny.en", "TRAIN": {"steps": 40, "speed_perturb": [0.9, 1.0]}}}
    with pytest.raises(MisuseError, match=r"was started with settings\.TRAIN\.steps = 30, now it is 40; a resumed run keeps its settings\."):
        open_run(tmp_path / "run", settings=other, resume=True)


def test_resume_without_a_folder_starts_afresh(tmp_path: Path) -> None:
    assert not open_run(tmp_path / "run", settings={}, resume=True).resumed


def test_each_start_is_recorded(tmp_path: Path) -> None:
    for _ in range(3):
        open_run(tmp_path / "run", settings={}, resume=True)
    assert len(json.loads((tmp_path / "run" / "environment.json").read_text())["resumed"]) == 2


def test_a_recipe_changed_in_between_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "mine.py"
    recipe.write_text("A = 1\n")
    open_run(tmp_path / "run", settings={}, recipe=recipe)
    recipe.write_text("A = 1  # better\n")
    open_run(tmp_path / "run", settings={}, recipe=recipe, resume=True)
    assert "mine.py has changed since this run was started" in capsys.readouterr().err
    assert (tmp_path / "run" / "recipe.py").read_text() == "A = 1  # better\n"


def test_a_run_may_be_repeated_from_its_own_copy_of_the_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.py"
    recipe.write_text("A = 1\n")
    run = open_run(tmp_path / "run", settings={}, recipe=recipe)
    assert open_run(run.folder, settings={}, recipe=run.folder / "recipe.py", resume=True).resumed


def test_progress_goes_to_stderr_and_to_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(folder=tmp_path)
    run.say("scoring the base")
    assert capsys.readouterr() == ("", "scoring the base\n")
    assert run.log.read_text().endswith(" scoring the base\n")


def test_a_set_named_by_folder_makes_plain_file_names(tmp_path: Path) -> None:
    run = Run(folder=tmp_path)
    assert run.hypotheses("mandarin/test", "base").relative_to(tmp_path) == Path("hypotheses/mandarin-test.base.jsonl")
    assert run.report("mandarin/test", "adapted").relative_to(tmp_path) == Path("reports/mandarin-test.adapted.json")
