"""The wheel carries recipes and corpus scripts inside the package, so every command works after `pip install`, editable or not."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from speechadapt.bundled import bundled_names

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)], cwd=ROOT, check=True, capture_output=True)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def speechadapt(installed: Path, folder: Path, *arguments: str) -> str:
    code = "import sys, speechadapt; from speechadapt.cli import main; print(speechadapt.__file__, file=sys.stderr); sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    ran = subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True)
    assert Path(ran.stderr.splitlines()[0]).is_relative_to(installed), "the checkout was used, not the wheel"
    return ran.stdout


def test_the_wheel_has_no_other_top_level_names(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"speechadapt"}


def test_the_wheel_is_typed_and_licensed_and_clean(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "speechadapt/py.typed" in names
    assert "speechadapt/synthetic/words.txt" in names
    assert {f"speechadapt/report/{name}" for name in ("page/report.html", "page/report.css", "page/report.js", "schema/report.json")} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]


@pytest.mark.parametrize(("kind", "folder"), [("recipes", "recipes"), ("corpora", "data_prep")])
def test_an_installed_wheel_lists_what_the_checkout_has(installed: Path, tmp_path: Path, kind: str, folder: str) -> None:
    rows = json.loads(speechadapt(installed, tmp_path, "ls", kind, "--json"))
    assert [row["name"] for row in rows] == bundled_names(folder)
    assert all(row["summary"] and Path(row["path"]).is_relative_to(installed) for row in rows)


def test_an_installed_wheel_copies_a_recipe(installed: Path, tmp_path: Path) -> None:
    speechadapt(installed, tmp_path, "cp", "quickstart", "mine.py")
    assert (tmp_path / "mine.py").read_bytes() == (ROOT / "recipes" / "quickstart.py").read_bytes()


def test_an_installed_wheel_runs_a_corpus_script(installed: Path, tmp_path: Path) -> None:
    out = speechadapt(installed, tmp_path, "prepare", "table", "--help")
    assert "--splits" in out
