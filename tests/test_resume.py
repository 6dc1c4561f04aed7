"""Interrupted preparations: what `kill -9`, a full disk or Ctrl-C leave behind, and how `--resume` goes on from there."""

import functools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speechadapt.cli import main
from speechadapt.errors import MisuseError
from speechadapt.preparation import Corpus, CorpusRow, PrepareOptions, PrepReport, finish_corpus
from speechadapt.preparation.journal import open_journal

CORPUS = Corpus(
    name="mini", title="Mini", license="CC0", commercial_use="yes", home="nowhere", expects="a folder.", accent_label="none", language="en"
)
TAKEN = "row of the interrupted run taken over, nothing decoded"
KEPT = "audio of an earlier run kept"
COMMAND = [sys.executable, "-c", "from speechadapt.cli import main; raise SystemExit(main())", "prepare"]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the report, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "prep_report.json"
    }


def journaled(out: Path) -> int:
    path = out / ".prepare/journal.jsonl"
    return max(0, path.read_bytes().count(b"\n") - 1) if path.is_file() else 0


def descendants(pid: int) -> set[int]:
    children = {int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()}
    return children.union(*map(descendants, children)) if children else set()


def wait_until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, f"waited too long until {what}"
        time.sleep(0.002)


def interruptible(seed: int, switch: str) -> np.ndarray:
    """Noise, or Ctrl-C while the switch is there."""
    if Path(switch).exists():
        raise KeyboardInterrupt
    return (0.1 * np.random.default_rng(seed).standard_normal(8000)).astype(np.float32)


@pytest.fixture
def rows(tmp_path: Path, write_tone: Any) -> list[CorpusRow]:
    """Thirty recordings, then one that is made and can be made to fail, then ten more; one recording is missing."""
    rows = [CorpusRow(id=f"{n:02d}", audio=write_tone(tmp_path / f"src/{n:02d}.wav", 0.5, seed=n), text=f"line {n}") for n in range(41)]
    rows[30] = CorpusRow(id="30", audio=functools.partial(interruptible, 30, str(tmp_path / "switch")), text="line 30")
    (tmp_path / "src/07.wav").rename(tmp_path / "src/late.wav")
    return rows


def finish(rows: list[CorpusRow], tmp_path: Path, out: str = "out", **options: Any) -> PrepReport:
    return finish_corpus(rows, corpus=CORPUS, source=tmp_path / "src", out=tmp_path / out, options=PrepareOptions(**options))


def interrupt(rows: list[CorpusRow], tmp_path: Path, **options: Any) -> None:
    (tmp_path / "switch").touch()
    with pytest.raises(KeyboardInterrupt):
        finish(rows, tmp_path, **options)
    (tmp_path / "switch").unlink()
    assert journaled(tmp_path / "out") == 30
    assert not list((tmp_path / "out").glob("*.json*"))


def test_what_was_finished_is_not_even_opened_again(rows: list[CorpusRow], tmp_path: Path) -> None:
    interrupt(rows, tmp_path)
    audio = tmp_path / "out/audio/mini-03.flac"
    noise = os.urandom(audio.stat().st_size)
    audio.write_bytes(noise)
    report = finish(rows, tmp_path, resume=True)
    assert report.repairs == {TAKEN: 29}  # the thirtieth row was dropped, and that was noted too
    assert (report.kept, report.dropped) == (40, {"missing": 1})
    assert audio.read_bytes() == noise
    assert not (tmp_path / "out/.prepare").exists()


def test_the_result_is_that_of_a_run_without_an_interruption(rows: list[CorpusRow], tmp_path: Path) -> None:
    whole = finish(rows, tmp_path, "whole", splits=None)
    interrupt(rows, tmp_path)
    report = finish(rows, tmp_path, resume=True, jobs=2)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert (report.warnings, report.hours, report.dropped_examples) == (whole.warnings, whole.hours, whole.dropped_examples)


def test_what_has_changed_since_is_done_again(rows: list[CorpusRow], tmp_path: Path, write_tone: Any) -> None:
    interrupt(rows, tmp_path)
    write_tone(tmp_path / "src/01.wav", 0.5, seed=900)
    (tmp_path / "src/late.wav").rename(tmp_path / "src/07.wav")
    (tmp_path / "out/audio/mini-02.flac").unlink()
    cut = tmp_path / "out/audio/mini-03.flac"
    cut.write_bytes(cut.read_bytes()[:100])
    rows[4] = CorpusRow(id="04", audio=rows[4].audio, text="line 4", offset=0.1, duration=0.3)
    report = finish(rows, tmp_path, resume=True)
    assert (report.repairs, report.dropped) == ({TAKEN: 25}, {})
    finish(rows, tmp_path, "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_without_resume_the_audio_is_kept_but_read_again(rows: list[CorpusRow], tmp_path: Path) -> None:
    interrupt(rows, tmp_path)
    report = finish(rows, tmp_path)
    assert report.repairs == {KEPT: 29}
    assert report.notes == (
        "an interrupted run was found that had finished 30 rows; --resume would have gone on with it. Its audio was read again and kept where "
        "the recording has not changed",
    )
    finish(rows, tmp_path, "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_with_nothing_to_resume_everything_is_done(rows: list[CorpusRow], tmp_path: Path) -> None:
    report = finish(rows, tmp_path, resume=True)
    assert (report.kept, report.repairs) == (40, {})
    assert report.notes == (f"--resume: {tmp_path / 'out'} holds no interrupted run, so everything was done from the beginning",)
    assert finish(rows, tmp_path, resume=True).repairs == {KEPT: 39}  # the row that is made is made again


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"seed": 1}, r"differs: --seed was 0, is 1\. Give what was given then, or begin again without --resume"),
        ({"case": "lower", "limit": 40}, r"differs: --case was null, is \"lower\"; --limit was null, is 40\."),
        ({"in_place": True}, r"differs: --in-place was false, is true\."),
        ({"settings": ("name=x",)}, r"differs: --settings was \[\], is \[\"name=x\"\]\."),
    ],
)
def test_another_preparation_is_refused(rows: list[CorpusRow], tmp_path: Path, options: dict[str, Any], told: str) -> None:
    interrupt(rows, tmp_path)
    before = contents(tmp_path / "out")
    with pytest.raises(MisuseError, match=r"--resume goes on with the same preparation only, and the one that was interrupted there " + told):
        finish(rows, tmp_path, resume=True, **options)
    assert contents(tmp_path / "out") == before  # the interrupted run can still be gone on with
    assert finish(rows, tmp_path, resume=True, jobs=2, allow_missing=True).repairs == {TAKEN: 29}  # these options do not matter


def test_another_source_is_refused(rows: list[CorpusRow], tmp_path: Path) -> None:
    interrupt(rows, tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(MisuseError, match=r'differs: source was ".*/src", is ".*/other"\.'):
        finish_corpus(rows, corpus=CORPUS, source=tmp_path / "other", out=tmp_path / "out", options=PrepareOptions(resume=True))


TAILS = [b'["mini-99", "conv', b"\n", b"[1, 2]\n", b"\xff\n", b"{}\n", b"[" * 100_000 + b"\n", b'["x"' + b" " * (2 << 20) + b"]\n"]


@pytest.mark.parametrize("tail", TAILS, ids=["cut", "blank", "short", "not-utf-8", "object", "deep", "long"])
def test_a_broken_end_of_the_journal_is_cut_off(rows: list[CorpusRow], tmp_path: Path, tail: bytes) -> None:
    interrupt(rows, tmp_path)
    with (tmp_path / "out/.prepare/journal.jsonl").open("ab") as journal:
        journal.write(tail)
    interrupt(rows, tmp_path, resume=True)  # again, so that rows are noted behind the cut
    assert finish(rows, tmp_path, resume=True).repairs == {TAKEN: 29}


def test_a_journal_that_cannot_be_read_counts_as_none(rows: list[CorpusRow], tmp_path: Path) -> None:
    interrupt(rows, tmp_path)
    (tmp_path / "out/.prepare/journal.jsonl").write_bytes(b"not a journal\n")
    assert finish(rows, tmp_path, resume=True).repairs == {KEPT: 29}


def test_rows_that_are_made_are_made_again_when_their_file_has_changed(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.txt"
    recipe.write_text("5")
    switch = tmp_path / "switch"
    rows = [CorpusRow(id=str(n), audio=functools.partial(read_recipe, recipe, n), text="made") for n in range(3)]
    rows.append(CorpusRow(id="z", audio=functools.partial(interruptible, 9, str(switch)), text="made"))
    switch.touch()
    for content, taken in (("5", 3), ("77", 0)):
        with pytest.raises(KeyboardInterrupt):
            finish(rows, tmp_path)
        if recipe.read_text() != content:
            recipe.write_text(content)
        switch.unlink()
        assert finish(rows, tmp_path, resume=True).repairs.get(TAKEN, 0) == taken
        switch.touch()


def read_recipe(path: Path, number: int) -> np.ndarray:
    return interruptible(int(path.read_text()) + number, "/no switch")


def test_two_preparations_into_one_folder_are_refused(tmp_path: Path, write_tone: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_tone(tmp_path / "src/a.wav")
    (tmp_path / "src/lines.csv").write_text("audio_filepath,text\na.wav,one line\n")
    command = ["prepare", "table", str(tmp_path / "src/lines.csv"), str(tmp_path / "out")]
    with open_journal(tmp_path / "out", {}, resume=False):
        assert main(command) == 2
        assert f"{tmp_path / 'out'}: another preparation is writing into it. Wait until it has ended" in capsys.readouterr().err
        assert main([*command, "--dry-run"]) == 0  # which writes nothing
    assert main(command) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["all.jsonl", "audio", "corpus.json", "prep_report.json"]


def test_a_refused_corpus_leaves_no_traces(rows: list[CorpusRow], tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="--in-place"):
        finish(rows, tmp_path, in_place=True)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, write_tone: Any) -> Path:
    """A list of 400 rows over four recordings of ten seconds."""
    folder = tmp_path_factory.mktemp("table")
    for number in range(4):
        write_tone(folder / f"{number}.wav", 10.0, seed=number, sampling_rate=48_000)
    lines = [f"r{number:03d},{number % 4}.wav,line {number}" for number in range(400)]
    (folder / "lines.csv").write_text("\n".join(["id,audio_filepath,text", *lines]) + "\n")
    return folder / "lines.csv"


@pytest.fixture(scope="module")
def undisturbed(table: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    subprocess.run([*COMMAND, "table", str(table), str(out), "--jobs", "2"], check=True, capture_output=True)
    return contents(out)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for worker processes in /proc")
def test_kill_9_and_go_on(table: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    command = [*COMMAND, "table", str(table), str(tmp_path / "out"), "--jobs", "2"]
    taken = 0
    for lives in (64, 160):
        running = subprocess.Popen([*command, "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until(lambda: journaled(tmp_path / "out") >= lives or running.poll() is not None, f"{lives} rows are done")  # noqa: B023
        workers = descendants(running.pid)
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL, "it ended before it could be killed"
        running.stderr.close()  # type: ignore[union-attr]
        assert len(workers) >= 2
        wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers), "the workers have ended")  # noqa: B023
        before, taken = taken, journaled(tmp_path / "out")
        assert max(before, lives) <= taken < 400
    files = {path: path.stat().st_ctime_ns for path in (tmp_path / "out/audio").glob("*.flac")}
    half = tmp_path / "out/audio/.table-r399.flac.999999.tmp"
    half.write_bytes(b"half")
    ran = subprocess.run([*command, "--resume", "--json"], check=True, capture_output=True, text=True)
    report = json.loads(ran.stdout)
    kept = report["repairs"].get(KEPT, 0)  # files that were finished, but not yet noted
    assert report["repairs"] == {TAKEN: taken, **({KEPT: kept} if kept else {})}
    assert report["kept"] == 400
    assert taken + kept == len(files)
    assert {path: path.stat().st_ctime_ns for path in files} == files  # nothing was written twice
    assert contents(tmp_path / "out") == undisturbed


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_loses_nothing(table: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """The limit on the size of a file stands in for the disk: the journal reaches it in the middle of the corpus, some recordings at once."""
    command = [*COMMAND, "table", str(table), str(tmp_path / "out"), "--jobs", "2"]

    def limit(size: int) -> Callable[[], None]:
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    largest = max(len(data) for name, data in undisturbed.items() if name.endswith(".flac"))
    ran = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit(largest - 1), check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("speechadapt prepare: ")
    assert ".flac: could not be written (" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not list((tmp_path / "out").rglob("*.tmp"))
    ran = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert (ran.returncode, contents(tmp_path / "out") == undisturbed) == (0, True)


@pytest.mark.parametrize("name", ["out", "out/audio", "out/.prepare"])
def test_a_place_that_cannot_be_written_is_told(rows: list[CorpusRow], tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("a file where a folder should be")
    with pytest.raises(Exception, match=r"out") as caught:
        finish(rows, tmp_path)
    assert type(caught.value).__module__ == "speechadapt.errors"
    assert "Choose another name" in str(caught.value) or "could not be written (" in str(caught.value)
    assert path.read_text() == "a file where a folder should be"
