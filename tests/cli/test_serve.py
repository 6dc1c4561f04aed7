"""`speechadapt serve` as it is typed: a process that says where it listens, answers, and stops well when it is told to."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from started import SPEECHADAPT

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from speechadapt.cli import main
from speechadapt.cli.serve import named_adapters
from speechadapt.errors import MisuseError

Folder = Callable[[str], Path]


def fake_adapter(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    return folder


def test_a_server_from_start_to_stop(whisper_folder: Folder, tmp_path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parent.parent / "serve"))
    from running_server import PATH, clip, form, request, wav, write_adapter

    base = str(whisper_folder("english"))
    write_adapter(base, tmp_path / "all" / "north", 1)
    write_adapter(base, tmp_path / "all" / "run" / "adapter", 2)
    command = [*SPEECHADAPT, "serve", "--base", base, "--adapters", str(tmp_path / "all"), "--port", "0"]
    command += ["--token-env", "MY_TOKEN", "--window", "short", "--device", "cpu", "--access-log"]
    environment = {**os.environ, "MY_TOKEN": "right"}
    with subprocess.Popen(command, text=True, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        try:
            assert started.stderr is not None
            said = ""
            while not (found := re.search(r"2 adapters: http://127\.0\.0\.1:(\d+)\n", said)):
                line = started.stderr.readline()
                assert line, said
                said += line
            port = int(found[1])
            assert request(port, "GET", "/v1/models?token=right").status == 401
            allowed = {"Authorization": "Bearer right"}
            assert [one["id"] for one in request(port, "GET", "/v1/models", headers=allowed).json["data"]] == ["english", "north", "run"]
            body, kind = form(wav(clip(1)), model="run")
            got = request(port, "POST", PATH, body=body, headers={**allowed, "Content-Type": kind})
            assert got.status == 200
            assert set(got.json) == {"text", "usage"}
            started.send_signal(signal.SIGTERM)
            out, err = started.communicate(timeout=60)
        finally:
            started.kill()
    assert (started.returncode, out) == (0, "")
    assert err.endswith("speechadapt serve: stopped.\n")
    assert "Traceback" not in said + err
    assert '"GET /v1/models HTTP/1.1" 401' in err
    assert "right" not in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "no model: give --base B"),
        (["--base", "x", "--window", "short"], "--window short: a base without an adapter loops"),
        (["--base", "x", "--adapter", "mine"], "--adapter mine: must be NAME=DIR"),
        (["--base", "x", "--adapter", "../up=here"], 'adapter name "../up": must be letters'),
        (["--base", "x", "--adapter", "a=one", "--adapter", "a=two"], 'two adapters are named "a": one and two'),
        (["--base", "x", "--adapters", "nowhere"], "--adapters nowhere: no such folder"),
        (["--base", "x", "--max-upload", "0"], "--max-upload 0: must be above 0"),
        (["--base", "x", "--timeout", "nan"], "--timeout nan: must be above 0"),
        (["--base", "x", "--port", "70000"], "--port 70000: must be from 0 to 65535"),
        (["--base", "x", "--cors", "*"], "--cors *: not an origin"),
        (["--base", "x", "--cors", "https://a.example/path"], "not an origin"),
        (["--base", "x", "--token-env", "NOT_SET_ANYWHERE"], "--token-env NOT_SET_ANYWHERE: this environment variable is not set"),
        (["--base", "x", "--host", "256.1.1.1"], "host 256.1.1.1, port 8000: no such address here"),
    ],
)
def test_misuse_is_told(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_a_port_that_is_taken(whisper_folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--base", str(whisper_folder("english")), "--port", str(port)]) == 2
    assert f"host 127.0.0.1, port {port}: cannot be listened on (Address already in use). Choose another --port." in capsys.readouterr().err


def test_a_port_that_another_server_is_about_to_listen_on() -> None:
    """Both have bound it, and load their models."""
    from speechadapt.serve.listener import bind

    with bind("127.0.0.1", 0) as first, pytest.raises(MisuseError, match="cannot be listened on"):
        bind("127.0.0.1", first.getsockname()[1])


def test_open_files_bound_the_connections() -> None:
    code = """
import resource
from speechadapt.serve.listener import most_connections
resource.setrlimit(resource.RLIMIT_NOFILE, (600, 700))
print(most_connections(2000), resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    pytest.importorskip("resource", reason="only where open files are limited so")
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "124 (700, 700)\n"


def test_a_folder_of_adapters(tmp_path: Path) -> None:
    one, two = fake_adapter(tmp_path / "all" / "one"), fake_adapter(tmp_path / "all" / "run" / "adapter")
    (tmp_path / "all" / "notes.txt").write_text("not an adapter")
    assert named_adapters(["mine=here"], tmp_path / "all") == {"mine": Path("here"), "one": one, "run": two}
    with pytest.raises(MisuseError, match="no adapter in it"):
        named_adapters([], one)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    outside = fake_adapter(tmp_path / "outside")
    fake_adapter(tmp_path / "all" / "one")
    (tmp_path / "all" / "two").symlink_to(outside)
    with pytest.raises(MisuseError, match="two is a link that leads out of it"):
        named_adapters([], tmp_path / "all")
    (tmp_path / "all" / "two").unlink()
    (tmp_path / "all" / "one" / "adapter_model.safetensors").symlink_to(outside / "adapter_config.json")
    with pytest.raises(MisuseError, match=r"one/adapter_model.safetensors is a link that leads out of it"):
        named_adapters([], tmp_path / "all")
