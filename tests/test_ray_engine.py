"""Preparation on Ray: the same bytes as on local processes, also when a worker is killed; and what a cluster must have is asked first."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="ray is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for worker processes in /proc")]

COMMAND = [sys.executable, "-c", "from speechadapt.cli import main; raise SystemExit(main())", "prepare"]
ROWS = 600
TOKEN = secrets.token_hex(32)
"""Of Rays that tests start, so that they neither need nor make one in the home folder."""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the report, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "prep_report.json"
    }


def report_of(folder: Path) -> dict[str, Any]:
    """The report without times, and without where and by what it was made."""
    report: dict[str, Any] = json.loads((folder / "prep_report.json").read_text())
    for name in ("seconds", "provenance", "out"):
        del report[name]
    for name in ("engine", "ray_address", "jobs", "resume"):
        del report["options"][name]
    return report


def environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    ray = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "300", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    return {**kept, **ray, **extra}


def descendants(pid: int) -> set[int]:
    try:
        children = {int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()}
    except OSError:  # it ended meanwhile
        return set()
    return children.union(*map(descendants, children)) if children else set()


def workers_of(pid: int, name: str = "ray::store_all") -> list[int]:
    """Descendants whose name in the list of processes begins so: Ray gives its workers the name of what they do."""

    def called(child: int) -> bytes:
        try:
            return Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            return b""

    return sorted(child for child in descendants(pid) if called(child).startswith(name.encode()))


def wait_until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 400
    while not true():
        assert time.monotonic() < end, f"waited too long until {what}"
        time.sleep(0.005)


def journaled(out: Path) -> int:
    path = out / ".prepare/journal.jsonl"
    return max(0, path.read_bytes().count(b"\n") - 1) if path.is_file() else 0


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, write_tone: Any) -> Path:
    """A list of 600 rows of 20 speakers over three recordings, one of them stereo by its rate and one clipped; two rows cannot be used."""
    folder = tmp_path_factory.mktemp("table")
    write_tone(folder / "0.wav", 10.0, seed=0, sampling_rate=48_000)
    write_tone(folder / "1.mp3", 8.0, seed=1, sampling_rate=48_000)
    write_tone(folder / "2.wav", 6.0, seed=2, sampling_rate=8_000, level=9.0)
    (folder / "3.wav").write_bytes(b"")
    lines = [f"r{number:03d},{('0.wav', '1.mp3', '2.wav')[number % 3]},line {number},s{number % 20},fife" for number in range(ROWS - 2)]
    lines += ["empty,3.wav,nothing,s1,fife", "gone,4.wav,nothing,s2,fife"]
    (folder / "lines.csv").write_text("\n".join(["id,audio_filepath,text,speaker,accent", *lines]) + "\n")
    return folder / "lines.csv"


@pytest.fixture(scope="module")
def local(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What local processes make of it."""
    out = tmp_path_factory.mktemp("local") / "out"
    subprocess.run([*COMMAND, "table", str(table), str(out), "--splits", "speaker", "--jobs", "1"], check=True, capture_output=True)
    return out


def test_two_ray_workers_write_the_same_bytes(table: Path, local: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "table", str(table), str(tmp_path / "out"), "--splits", "speaker", "--jobs", "2", "--engine", "ray"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment())
    most = 0
    while running.poll() is None:
        most = max(most, len(workers_of(running.pid)))
        time.sleep(0.02)
    assert running.stderr is not None
    told = running.stderr.read()
    running.stderr.close()
    assert (running.returncode, told) == (0, "")  # and Ray keeps quiet
    assert most == 2  # both at the same time
    assert contents(tmp_path / "out") == contents(local)
    assert report_of(tmp_path / "out") == report_of(local)
    assert report_of(local)["dropped"]["empty"] == 1


def test_a_killed_worker_is_survived(table: Path, local: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "table", str(table), str(tmp_path / "out"), "--splits", "speaker", "--jobs", "2", "--engine", "ray"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    wait_until(lambda: (journaled(tmp_path / "out") >= 64 and workers_of(running.pid)) or running.poll() is not None, "the first batch is done")
    killed = workers_of(running.pid)[0]
    os.kill(killed, signal.SIGKILL)
    at = journaled(tmp_path / "out")
    assert running.wait() == 0
    assert 64 <= at < ROWS, "it ended before a worker could be killed"
    assert contents(tmp_path / "out") == contents(local)
    report = report_of(tmp_path / "out")
    kept = report["repairs"].pop("audio of an earlier run kept", 0)  # what the killed worker had finished of its batch
    assert 0 <= kept < 2 * 64
    assert report == report_of(local)


def test_a_killed_driver_is_gone_on_with_on_another_engine(table: Path, local: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "table", str(table), str(tmp_path / "out"), "--splits", "speaker", "--jobs", "2"]
    running = subprocess.Popen([*command, "--engine", "ray"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    wait_until(lambda: journaled(tmp_path / "out") >= 64 or running.poll() is not None, "the first batch is done")
    workers = descendants(running.pid)
    running.kill()
    assert running.wait() == -signal.SIGKILL
    wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers), "Ray has ended too")
    done = journaled(tmp_path / "out")
    ran = subprocess.run([*command, "--resume", "--json"], check=True, capture_output=True, text=True)
    assert json.loads(ran.stdout)["repairs"]["row of the interrupted run taken over, nothing decoded"] >= done - 2  # two may be dropped ones
    assert contents(tmp_path / "out") == contents(local)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Ray of one machine with two cores that others started, in a folder of its own."""
    folder = tmp_path_factory.mktemp("ray")
    port = str(20_000 + os.getpid() % 10_000)
    command = [
        str(Path(sys.executable).parent / "ray"),
        "start",
        "--head",
        "--block",
        "--num-cpus",
        "2",
        "--port",
        port,
        "--node-ip-address",
        "127.0.0.1",
    ]
    command += ["--include-dashboard", "false", "--object-store-memory", str(100 << 20), "--disable-usage-stats"]
    with (folder / "log").open("w") as log:
        head = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment(), cwd=folder)
        wait_until(lambda: "Ray runtime started" in (folder / "log").read_text() or head.poll() is not None, "Ray has started")
        assert head.poll() is None, (folder / "log").read_text()
        yield f"127.0.0.1:{port}"
        head.terminate()
        head.wait(60)


def test_a_cluster_is_used_by_its_address(table: Path, local: Path, tmp_path: Path, cluster: str) -> None:
    command = [*COMMAND, "table", str(table), str(tmp_path / "out"), "--splits", "speaker", "--engine", "ray"]
    ran = subprocess.run([*command, "--ray-address", cluster], capture_output=True, text=True, env=environment(), check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert contents(tmp_path / "out") == contents(local)
    ran = subprocess.run([*command, "--dry-run", "--json"], capture_output=True, text=True, env=environment(RAY_ADDRESS=cluster), check=False)
    assert (ran.returncode, json.loads(ran.stdout)["options"]["ray_address"]) == (0, cluster)


def test_storage_that_not_all_machines_see_is_refused(table: Path, tmp_path: Path, cluster: str) -> None:
    """A path that means another folder in every process stands in for a disk of one machine."""
    (tmp_path / "here").mkdir()
    command = [*COMMAND, "table", str(table), "/proc/self/cwd/out", "--engine", "ray", "--ray-address", cluster]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=tmp_path / "here", check=False)
    assert ran.returncode == 2
    assert "does not see /proc/self/cwd/out/.prepare as this machine does. SRC and OUT must lie on storage that all machines" in ran.stderr
    assert not (tmp_path / "here/out").exists()


def test_an_address_without_a_cluster_is_told(table: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "table", str(table), str(tmp_path / "out"), "--engine", "ray", "--ray-address", "127.0.0.1:1"]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert ran.returncode == 2
    assert "--engine ray: there is no Ray at 127.0.0.1:1 (" in ran.stderr
    assert "Where the cluster asks for a token, set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "out").exists()
