"""Any program that prints text as a recognizer of a benchmark: called without a shell, bounded in time and in what it may print."""

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import psutil

from speechadapt.bench.recognizer import MOST_TEXT, Clip, ClipError, Recognizer, Said, one_by_one, peak_memory, write_wav
from speechadapt.bench.systems import AUDIO, LIST, CommandSystem, System
from speechadapt.bench.weights import program_of
from speechadapt.errors import MisuseError, SpeechadaptError
from speechadapt.units import Seconds

STDERR_KEPT = 4096
LOOK_EVERY: Seconds = 0.05
LAST_WORDS: Seconds = 1.0
"""How long a pipe that another process holds open must be silent after its program has ended."""
MOST_CLIPS_OF_TEXT = 256
"""A list's output is bounded by so many clips' worth of text."""


def load(system: System) -> Recognizer:
    """Look for the program; it is started once per clip, or once for all where its command asks for a list.

    Its own start belongs to its time, as whoever runs it pays for it.

    Raises:
        MisuseError: there is no such program.
    """
    given = system.settings
    if not isinstance(given, CommandSystem):
        raise TypeError(f"settings of {type(given).__name__}")
    program = program_of(given.command, system.folder)
    if program is None:
        raise MisuseError(f'"{given.command[0]}": no such program that may be run. Check its name, or give its path from {system.folder}.')
    made = tempfile.TemporaryDirectory(prefix="speechadapt-bench-")
    folder = Path(made.name)
    peak: dict[str, int] = {}

    def run(mark: str, path: Path, timeout: Seconds, most: int) -> tuple[bytes, Seconds]:
        return _run([program, *(word.replace(mark, str(path)) for word in given.command[1:])], system.folder, timeout, most, peak)

    def prepare(clips: Sequence[Clip]) -> list[Path]:
        return [write_wav(folder / f"clip-{number:06d}.wav", clip) for number, clip in enumerate(clips)]

    def decode_one(paths: Sequence[Path]) -> list[Said]:
        return [one(path) for path in paths]

    def one(path: Path) -> Said:
        try:
            printed, seconds = run(AUDIO, path, given.timeout, MOST_TEXT)
            return Said(text=_text(printed), seconds=seconds)
        except ClipError as error:
            if given.on_error == "stop":
                raise
            return Said(text="", failure=str(error))

    def decode_list(paths: Sequence[Path]) -> list[Said]:
        listed = folder / "clips.txt"
        listed.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
        printed, _ = run(LIST, listed, given.timeout * len(paths), MOST_TEXT * min(len(paths), MOST_CLIPS_OF_TEXT))
        return _by_path(printed, paths, given)

    def all_at_once(durations: Sequence[Seconds]) -> list[list[int]]:
        return [list(range(len(durations)))]

    return Recognizer(
        prepare=prepare,
        decode=decode_list if given.lists else decode_one,
        batches=all_at_once if given.lists else one_by_one,
        facts={"program": program, "command": list(given.command), "decode": {}},
        warm=not given.lists,
        memory=lambda: {name: size for name, size in peak.items() if size},
        close=made.cleanup,
    )


def _run(words: Sequence[str], folder: Path, timeout: Seconds, most: int, peak: dict[str, int]) -> tuple[bytes, Seconds]:
    """What the program prints, and the seconds from its start to its end; the most memory it was seen to hold goes into `peak`.

    Raises:
        ClipError: it fails, takes too long, or prints too much.
        SpeechadaptError: it cannot be started at all.
    """
    name = Path(words[0]).name
    begun = time.perf_counter()
    try:
        process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except (OSError, ValueError) as error:
        raise SpeechadaptError(f"{name}: could not be started ({error}). Check the command.") from error
    out, err = _Pipe(process.stdout, most), _Pipe(process.stderr, None)
    end = time.monotonic() + timeout
    try:
        while process.poll() is None and not out.over and time.monotonic() < end:
            peak["program"] = max(peak.get("program", 0), peak_memory(process.pid) or 0)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_EVERY)  # it returns at once when the program ends
        late = process.poll() is None and not out.over
    finally:
        if process.poll() is None:
            _end(process)
    seconds = time.perf_counter() - begun
    told = out.read()
    if late:
        raise ClipError(f"{name}: printed nothing more for a clip within {timeout:g} s and was ended. Raise its timeout, or see why it hangs.")
    if out.over:
        raise ClipError(f"{name}: printed more than {most} bytes and was ended. A command must print the text alone.")
    if process.returncode:
        lines = err.read().decode("utf-8", "replace").strip().splitlines()
        last = f" ({lines[-1][:300]})" if lines else ""
        raise ClipError(f"{name}: exit {process.returncode}{last}. Try the command by hand.")
    return told, seconds


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program and whatever it has started, and wait until the program is gone; its worker's parent sees to what escapes."""
    children = []
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(process.pid).children(recursive=True)
    process.kill()  # first, so that it starts no more of them
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()
    process.wait()


def _text(printed: bytes) -> str:
    """The text on one line.

    Raises:
        ClipError: it is not UTF-8.
    """
    try:
        return " ".join(printed.decode("utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise ClipError(f"printed what is not UTF-8 (byte {error.start} of {len(printed)}). Let it print UTF-8.") from error


def _by_path(printed: bytes, paths: Sequence[Path], given: CommandSystem) -> list[Said]:
    """The lines `path<TAB>text` of a list; other lines are refused, because a text could be lost in them.

    Raises:
        ClipError: not UTF-8, a line that is no such line, a path that was not asked for or stands twice, or none for a clip.
    """
    try:
        lines = printed.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ClipError(f"printed what is not UTF-8 (byte {error.start} of {len(printed)}). Let it print UTF-8.") from error
    wanted = {str(path) for path in paths}
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        path, tab, text = line.rstrip("\r").partition("\t")
        if not tab or path not in wanted or path in found:
            odd = "has no tab" if not tab else "names a path that stands twice" if path in found else "names a path that was not in the list"
            raise ClipError(f"line {number} of what it printed {odd} ({line[:80]!r}). Print one line path<TAB>text for each path, and nothing else.")
        found[path] = " ".join(text.split())
    absent = [str(path) for path in paths if str(path) not in found]
    if absent and given.on_error == "stop":
        raise ClipError(f"printed no line for {len(absent)} of {len(paths)} paths, the first is {absent[0]}. Print an empty text for silence.")
    told = "the command printed no line for it"
    return [Said(text=found[str(path)]) if str(path) in found else Said(text="", failure=told) for path in paths]


class _Pipe:
    """Reads a pipe to its end in a thread: all of it up to `most` bytes, or with None only the end, which goes on to our stderr as well."""

    def __init__(self, pipe: IO[bytes] | None, most: int | None) -> None:
        self.over = False
        self._data = bytearray()
        self._come = 0
        self._most = most
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while piece := os.read(pipe.fileno(), 1 << 16):
                self._data += piece
                self._come += len(piece)
                if self._most is None:
                    os.write(2, piece)
                    del self._data[:-STDERR_KEPT]
                elif len(self._data) > self._most:
                    self.over = True
                    break
            pipe.close()

    def read(self) -> bytes:
        """What came, once the pipe has closed. What the program left behind may hold it open for good: then, once nothing comes any more."""
        come = -1
        while self._thread.is_alive() and self._come != come:
            come = self._come
            self._thread.join(LAST_WORDS)
        return bytes(self._data)
