"""Programs as recognizers: what they print, and every way in which they go wrong."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from speechadapt.bench.command_line import load
from speechadapt.bench.recognizer import Clip, ClipError, Said
from speechadapt.bench.systems import System, read_system
from speechadapt.data.manifest import Manifest
from speechadapt.errors import MisuseError, SpeechadaptError

Program = Callable[[str, str], list[str]]


@pytest.fixture
def said(corpus: Path) -> Iterator[Callable[..., list[Said]]]:
    """`said(command, rows=2, **settings)`: what a command says for the first clips, without the times."""
    closing = []

    def run(command: list[str] | str, rows: int = 2, **settings: object) -> list[Said]:
        recognizer = load(system(corpus, command, **settings))
        closing.append(recognizer.close)
        manifest = Manifest.read(corpus / "test.jsonl")
        found = recognizer.decode(recognizer.prepare([Clip(manifest=manifest, utterance=row) for row in manifest[:rows]]))
        return [dataclasses.replace(one, seconds=None) for one in found]

    yield run
    for close in closing:
        close()


def system(folder: Path, command: list[str] | str, **settings: object) -> System:
    return read_system("x", {"kind": "command", "command": command, **settings}, folder=folder, where=lambda _: "here")


def test_text_on_stdout_with_a_16_khz_wav_as_input(said: Callable[..., list[Said]]) -> None:
    assert said([sys.executable, "recognize.py", "{audio}"]) == [Said(text="we call it bear"), Said(text="the old boat")]


def test_lines_are_joined_and_a_byte_order_mark_is_none_of_the_text(said: Callable[..., list[Said]], program: Program) -> None:
    code = "import sys; sys.stdout.buffer.write('\\ufeff one\\r\\n\\n two\\tthree \\n'.encode())"
    assert said([*program("lines.py", code), "{audio}"], 1) == [Said(text="one two three")]


def test_nothing_printed_is_an_empty_text(said: Callable[..., list[Said]], program: Program) -> None:
    assert said([*program("mute.py", ""), "{audio}"], 1) == [Said(text="")]


def test_no_shell_reads_the_command(said: Callable[..., list[Said]], program: Program, corpus: Path) -> None:
    command = [*program("words.py", "import sys; print(sys.argv[1:-1])"), "$HOME; touch made", "`id`", "*", "{audio}"]
    assert said(command, 1) == [Said(text="['$HOME; touch made', '`id`', '*']")]
    assert not (corpus / "made").exists()


def test_the_place_of_the_clip_may_be_within_a_word(said: Callable[..., list[Said]], program: Program) -> None:
    code = "import sys; print(sys.argv[1].startswith('--in=/') and sys.argv[1].endswith('.wav'))"
    assert said([*program("within.py", code), "--in={audio}"], 1) == [Said(text="True")]


BROKEN = {
    "crash.py": (
        "import sys; print('half a text'); print('cannot load', file=sys.stderr); sys.exit(3)",
        r"^python[\d.]*: exit 3 \(cannot load\)\. Try the command by hand\.$",
    ),
    "killed.py": ("import os; os.kill(os.getpid(), 9)", r"^python[\d.]*: exit -9\. Try the command by hand\.$"),
    "bytes.py": (
        r"import sys; sys.stdout.buffer.write(b'ab\xff')",
        r"^printed what is not UTF-8 \(byte 2 of 3\)\. Let it print UTF-8\.$",
    ),
    "huge.py": (
        "import sys\nwhile True: sys.stdout.write('a' * 65536)",
        r"^python[\d.]*: printed more than 1048576 bytes and was ended\. A command must print the text alone\.$",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_command_that_goes_wrong_stops_the_system_or_counts_as_empty(name: str, said: Callable[..., list[Said]], program: Program) -> None:
    code, told = BROKEN[name]
    command = [*program(name, code), "{audio}"]
    with pytest.raises(ClipError, match=told) as caught:
        said(command, 1)
    assert said(command, 1, on_error="empty") == [Said(text="", failure=str(caught.value))]


def test_a_hanging_command_is_ended_with_what_it_started(said: Callable[..., list[Said]], program: Program, corpus: Path) -> None:
    code = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        "pathlib.Path('child.txt').write_text(str(child.pid))\n"
        "time.sleep(300)\n"
    )
    begun = time.monotonic()
    with pytest.raises(ClipError, match=r"printed nothing more for a clip within 1.5 s and was ended. Raise its timeout, or see why it hangs."):
        said([*program("hang.py", code), "{audio}"], 1, timeout=1.5)
    assert time.monotonic() - begun < 20
    child = int((corpus / "child.txt").read_text())
    end = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, "it outlived the command"
        time.sleep(0.02)


def test_a_program_that_is_not_there_or_no_program(corpus: Path) -> None:
    with pytest.raises(MisuseError, match=r'"no-such-recognizer": no such program that may be run. Check its name, or give its path from'):
        load(system(corpus, "no-such-recognizer {audio}"))
    (corpus / "text.txt").write_text("not a program")
    with pytest.raises(MisuseError, match=r'"./text.txt": no such program that may be run.'):
        load(system(corpus, "./text.txt {audio}"))


def test_a_file_that_only_looks_like_a_program(said: Callable[..., list[Said]], corpus: Path) -> None:
    (corpus / "odd").write_bytes(b"\x00\x01")
    (corpus / "odd").chmod(0o755)
    with pytest.raises(SpeechadaptError, match=r"odd: could not be started \(.*\). Check the command."):
        said("./odd {audio}", 1)


LISTS = "import sys\nfor n, line in enumerate(open(sys.argv[1], encoding='utf-8')): print(line.rstrip(), f'text {n}', sep='\\t')"


def test_one_call_for_all_clips(said: Callable[..., list[Said]], program: Program) -> None:
    assert said([*program("list.py", LISTS), "{list}"], 3) == [Said(text=f"text {number}") for number in range(3)]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("print('a text')", "line 1 of what it printed has no tab ('a text'). Print one line path<TAB>text for each path, and nothing else."),
        ("print('/other.wav\\ta')", "line 1 of what it printed names a path that was not in the list ('/other.wav\\ta')."),
        (
            "import sys; p = open(sys.argv[1]).readline().strip(); print(p, 'a', sep='\\t'); print(p, 'b', sep='\\t')",
            "names a path that stands twice",
        ),
        ("pass", "printed no line for 2 of 2 paths, the first is "),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", "printed what is not UTF-8 (byte 0 of 1). Let it print UTF-8."),
    ],
)
def test_a_list_that_goes_wrong(code: str, told: str, said: Callable[..., list[Said]], program: Program) -> None:
    with pytest.raises(ClipError) as caught:
        said([*program("list.py", code), "{list}"])
    assert told in str(caught.value)


def test_paths_without_a_line_count_as_empty_where_that_is_asked_for(said: Callable[..., list[Said]], program: Program) -> None:
    code = "import sys; print(open(sys.argv[1]).readline().strip(), 'only this', sep='\\t')"
    assert said([*program("list.py", code), "{list}"], on_error="empty") == [
        Said(text="only this"),
        Said(text="", failure="the command printed no line for it"),
    ]


def test_clips_are_gone_afterwards(corpus: Path, program: Program) -> None:
    recognizer = load(system(corpus, [*program("mute.py", ""), "{audio}"]))
    manifest = Manifest.read(corpus / "test.jsonl")
    (path,) = recognizer.prepare([Clip(manifest=manifest, utterance=manifest[0])])
    assert path.is_file()
    recognizer.close()
    assert not path.parent.exists()


def test_the_memory_is_that_of_the_program(corpus: Path, program: Program) -> None:
    recognizer = load(system(corpus, [*program("big.py", "import time; a = bytearray(b'x') * (100 << 20); time.sleep(0.4)"), "{audio}"]))
    manifest = Manifest.read(corpus / "test.jsonl")
    recognizer.decode(recognizer.prepare([Clip(manifest=manifest, utterance=manifest[0])]))
    recognizer.close()
    assert 100 << 20 < recognizer.memory()["program"] < 200 << 20


def test_what_a_program_leaves_behind_is_not_its_time(corpus: Path, program: Program) -> None:
    code = (
        "import pathlib, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"  # it holds stdout and stderr open
        "pathlib.Path('child.txt').write_text(str(child.pid))\n"
        "print('the text')\n"
    )
    recognizer = load(system(corpus, [*program("leaves.py", code), "{audio}"]))
    manifest = Manifest.read(corpus / "test.jsonl")
    prepared = recognizer.prepare([Clip(manifest=manifest, utterance=manifest[0])])
    begun = time.monotonic()
    (one,) = recognizer.decode(prepared)
    took = time.monotonic() - begun
    recognizer.close()
    psutil.Process(int((corpus / "child.txt").read_text())).kill()
    assert one.text == "the text"
    assert one.seconds is not None
    assert 0 < one.seconds < took - 0.9, "the second in which nothing more came is ours"


def test_what_it_runs_is_told(corpus: Path, python: str) -> None:
    recognizer = load(system(corpus, f"{json.loads(python)} recognize.py {{audio}}"))
    assert recognizer.facts["command"] == [sys.executable, "recognize.py", "{audio}"]
    recognizer.close()
