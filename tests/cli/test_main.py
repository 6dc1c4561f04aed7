"""The command line as a whole: help, exit codes, one line for every error a user can cause."""

import subprocess
import sys

import pytest

from speechadapt import __version__
from speechadapt.cli import COMMANDS, main


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from speechadapt.cli import main; sys.exit(main())"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "-h"])
    assert left.value.code == 0
    out, err = capsys.readouterr()
    assert f"usage: speechadapt {command}" in out
    assert f"examples:\n  speechadapt {command}" in out
    assert err == ""


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if line.startswith("    ") and not line.startswith("     ")] == list(COMMANDS)


def test_no_command_prints_help_and_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: speechadapt" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"speechadapt {__version__}\n"


@pytest.mark.parametrize("arguments", [["fly"], ["ls", "planets"], ["cp", "quickstart"], ["run", "quickstart", "--faster"]])
def test_misuse_leaves_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage:" in err


def test_an_error_is_one_line_on_stderr_without_a_traceback() -> None:
    ran = run("cp", "nothing", "here.py")
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith('speechadapt cp: no recipe is called "nothing"; there are: ')
    assert ran.stderr.count("\n") == 1


def test_a_failed_check_leaves_with_1(tmp_path: object) -> None:
    ran = run("check", f"{tmp_path}/nothing.jsonl")
    assert ran.returncode == 1
    assert "nothing.jsonl" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_closed_pipe_is_no_error() -> None:
    ran = subprocess.run(
        f'{sys.executable} -c \'from speechadapt.cli import main; raise SystemExit(main(["ls", "recipes", "--json"]))\' | head -c 1',
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == "["
    assert ran.stderr == ""
