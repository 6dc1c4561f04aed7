"""Process: a system's worker as its parent sees it: started, watched for time and memory, and ended with everything it has started."""

import contextlib
import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import psutil

from speechadapt.files import atomic_path
from speechadapt.units import Seconds

LOOK_EVERY: Seconds = 0.2
LAST_LINES = 20
LARGEST_LOG = 4 << 20
"""Bytes of stderr that are kept; the end is kept in any case."""
LONGEST_LINE = 2000
LONGEST_DEATH: Seconds = 10.0
"""How long killed processes are waited for; only one that hangs in the kernel takes as long."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a worker ended.

    Attributes:
        failure: why, for people; None if it did all of its work.
        memory: most bytes seen at once in it and what it started; programs: in what it started alone; None if it was never looked at.
        last_lines: of its stderr.
    """

    failure: str | None
    memory: int | None
    programs: int | None
    last_lines: tuple[str, ...]


def run_worker(job: dict[str, Any], *, limit: Seconds, threads: int | None, log: Path, tell: Callable[[dict[str, Any]], None]) -> Outcome:
    """Run a job in a fresh process and wait for it; whatever happens in it, this returns.

    Args:
        job: see `worker.main`.
        limit: seconds after which it is ended.
        threads: for its computations; None leaves it to the libraries.
        log: where its stderr goes.
        tell: called with each of its messages.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
    if threads is not None:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    command = [sys.executable, "-m", "speechadapt.bench.worker"]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, start_new_session=True)
    messages: queue.Queue[dict[str, Any]] = queue.Queue()
    kept = _Stderr(worker.stderr)
    listener = threading.Thread(target=_listen, args=(worker.stdout, messages), daemon=True)
    listener.start()
    seen = _Memory(worker.pid)
    error: list[str] = []
    late = False
    end = time.monotonic() + limit
    try:
        with contextlib.suppress(OSError):  # it ended before it could read
            _write(worker.stdin, json.dumps(job) + "\n")
        while worker.poll() is None and not late:
            seen.look()
            with contextlib.suppress(queue.Empty):
                _pass_on(messages.get(timeout=LOOK_EVERY), tell, error)
            late = time.monotonic() > end
    finally:
        _end(worker, seen)
    listener.join(5)
    while not messages.empty():
        _pass_on(messages.get(), tell, error)
    kept.write(log)
    return Outcome(
        failure=_failure(worker.returncode, error, limit if late else None),
        memory=seen.most,
        programs=seen.most_programs,
        last_lines=kept.last_lines(),
    )


def _write(pipe: IO[bytes] | None, line: str) -> None:
    if pipe is not None:
        pipe.write(line.encode())
        pipe.flush()


def _pass_on(message: dict[str, Any], tell: Callable[[dict[str, Any]], None], error: list[str]) -> None:
    if message.get("event") == "error":
        error.append(str(message.get("message")))
    tell(message)


def _failure(code: int, error: list[str], limit: Seconds | None) -> str | None:
    if limit is not None:
        return f"not done within its limit of {limit:g} s, and ended"
    if code == 0:
        return None
    if error:
        return error[-1]
    if code < 0:
        name = signal.strsignal(-code) or "signal"
        return f"exit {code} ({name[0].lower()}{name[1:]})"
    return f"exit {code}"


def _end(worker: "subprocess.Popen[bytes]", seen: "_Memory") -> None:
    """End the worker and its programs, also those that outlived it or left its session, and wait until they are gone."""
    seen.look()
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.pid, signal.SIGKILL)
    if worker.poll() is None:
        worker.kill()
    worker.wait()
    # a killed process is there until the kernel has let go of it, and what it had just begun to start may follow
    end = time.monotonic() + LONGEST_DEATH
    while living := [one for one in (*seen.programs, *_session(worker.pid)) if _lives(one)]:
        for process in living:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if time.monotonic() > end:
            break
        time.sleep(0.01)
    if worker.stdin is not None:
        with contextlib.suppress(OSError):
            worker.stdin.close()


def _session(leader: int) -> list[psutil.Process]:
    """Every process of the session that the worker leads, also those whose own parent has ended."""
    found = []
    for number in psutil.pids() if hasattr(os, "getsid") else ():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(number) == leader:
                found.append(psutil.Process(number))
    return found


def _lives(process: psutil.Process) -> bool:
    """Not ended, and not ended but for somebody who asks for its exit code."""
    try:
        return process.is_running() and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _listen(pipe: IO[bytes], messages: "queue.Queue[dict[str, Any]]") -> None:
    with contextlib.suppress(OSError, ValueError), pipe:
        for line in pipe:
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, dict):
                    messages.put(message)


class _Memory:
    """The most memory seen in a process and in what it started."""

    def __init__(self, pid: int) -> None:
        self.most: int | None = None
        self.most_programs: int | None = None
        self.programs: list[psutil.Process] = []
        self._process = psutil.Process(pid)

    def look(self) -> None:
        with contextlib.suppress(psutil.Error):
            own = self._process.memory_info().rss
            children = self._process.children(recursive=True)
            # those whose parent has ended are nobody's children any more, but are still ours to end
            self.programs = [*children, *(one for one in self.programs if one not in children and _lives(one))]
            others = 0
            for child in children:
                with contextlib.suppress(psutil.Error):
                    others += child.memory_info().rss
            self.most = max(self.most or 0, own + others)
            if children:
                self.most_programs = max(self.most_programs or 0, others)


class _Stderr:
    """What a process writes to stderr: the beginning up to a bound, and the last lines."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self._first = bytearray()
        self._last: deque[bytes] = deque(maxlen=LAST_LINES)
        self._cut = False
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:
            while line := pipe.readline(LONGEST_LINE):
                self._last.append(line)
                if len(self._first) < LARGEST_LOG:
                    self._first += line
                else:
                    self._cut = True

    def last_lines(self) -> tuple[str, ...]:
        """Without the empty ones."""
        return tuple(text for line in self._last if (text := line.decode("utf-8", "replace").rstrip()))

    def write(self, path: Path) -> None:
        """Keep it in a file, whole up to the bound."""
        self._thread.join(5)
        cut = [b"...\n", *self._last] if self._cut else []
        with atomic_path(path, durable=False) as temporary:
            temporary.write_bytes(bytes(self._first) + b"".join(cut))
