"""`cp`: a recipe to edit, never over something else."""

from pathlib import Path

import pytest

from speechadapt.bundled import bundled_folder, bundled_names
from speechadapt.cli import main


def test_a_copy_is_the_recipe_byte_by_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cp", "quickstart", str(tmp_path / "mine.py")]) == 0
    assert (tmp_path / "mine.py").read_bytes() == (bundled_folder("recipes") / "quickstart.py").read_bytes()
    assert capsys.readouterr().out == f"{tmp_path / 'mine.py'}\n"


def test_a_folder_keeps_the_name(tmp_path: Path) -> None:
    assert main(["cp", "quickstart", str(tmp_path)]) == 0
    assert (tmp_path / "quickstart.py").is_file()


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text("precious\n")
    assert main(["cp", "quickstart", str(tmp_path / "mine.py")]) == 2
    told = capsys.readouterr().err
    assert told == f"speechadapt cp: {tmp_path / 'mine.py'}: exists already and is not overwritten. Give another path or remove it.\n"
    assert (tmp_path / "mine.py").read_text() == "precious\n"


def test_other_endings_and_names_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cp", "quickstart", str(tmp_path / "mine.yaml")]) == 2
    assert 'its name must end in ".py"' in capsys.readouterr().err
    assert main(["cp", "quikstart", str(tmp_path / "mine.py")]) == 2
    assert f'no recipe is called "quikstart"; there are: {", ".join(bundled_names("recipes"))}.' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
