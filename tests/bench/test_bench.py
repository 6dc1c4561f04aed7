"""`speechadapt bench` from the terminal: real processes, crashes, hangs and kills, and what is kept and told of them."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import psutil
import pytest
from test_architecture import HEAVY

from speechadapt.bench.matrix import matrix_from_flags
from speechadapt.bench.process import run_worker
from speechadapt.bench.run import normalizer_of, run_bench
from speechadapt.cli import main
from speechadapt.data.hypothesis import read_hypotheses
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.score.report import ScoreReport

Program = Callable[[str, str], list[str]]


@pytest.fixture
def bench(corpus: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`bench(text, *arguments)`: write bench.toml, run the command, give exit code, stdout and stderr."""

    def run(text: str | None, *arguments: str) -> tuple[int, str, str]:
        given = []
        if text is not None:
            (corpus / "bench.toml").write_text(text, encoding="utf-8")
            given = [str(corpus / "bench.toml")]
        code = main(["bench", *given, "--out", str(corpus / "out"), "--resamples", "200", *arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def command(name: str, words: list[str], **more: Any) -> str:
    lines = [f"[systems.{name}]", 'kind = "command"', f"command = {json.dumps([*words, '{audio}'])}"]
    return "\n".join([*lines, *(f"{key} = {json.dumps(value)}" for key, value in more.items())]) + "\n"


def calls(corpus: Path) -> int:
    path = corpus / "calls.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


HEAD = 'manifests = ["test.jsonl"]\nby = ["accent"]\n'
RIGHT = command("right", [sys.executable, "recognize.py"])
OLD = '[systems.old]\nkind = "hypotheses"\nfile = "old.jsonl"\n'


def write_old(corpus: Path, texts: dict[str, str]) -> None:
    (corpus / "old.jsonl").write_text("".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in texts.items()))


@contextlib.contextmanager
def serving(text: str) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            data = json.dumps({"text": text}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_matrix_in_which_some_fail_and_the_others_finish(bench: Callable[..., tuple[int, str, str]], corpus: Path, program: Program) -> None:
    crash = program("crash.py", "import sys; print('out of luck\\x1b', file=sys.stderr); sys.exit(3)")
    killed = "import os; os.kill(os.getppid(), 9)"  # the system's own process, as the kernel does when memory runs out
    hang = program("hang.py", "import pathlib, os, time; pathlib.Path('hang.txt').write_text(str(os.getpid())); time.sleep(300)")
    write_old(corpus, {"u0": "we call it bear", "u1": "the old boat", "u9": "of another test"})
    with serving("nobody knew why") as url:
        text = HEAD + RIGHT + command("crash", crash) + command("killed", program("killed.py", killed)) + command("hang", hang, limit=6)
        text += f'[systems.api]\nkind = "http"\nurl = "{url}"\n' + OLD
        code, out, err = bench(text)
        assert code == 1
        shown = {line.split()[1]: line.split() for line in out.splitlines()[4:10]}
        assert shown["right"][:5] == ["1", "right", "0.0", "%", "0.0"]
        assert shown["old"][:4] == ["1", "old", "63.2", "%"], "12 of 19 words are not there"
        assert shown["api"][:4] == ["1", "api", "84.2", "%"], "one of six clips is right"
        assert " ".join(shown["killed"][2:6]) == "failed: exit -9 (killed)"
        assert shown["crash"][:3] == ["-", "crash", "failed"]
        assert shown["hang"][:3] == ["-", "hang", "failed"]
        assert re.search(
            r'crash failed on test: utterance "u0": python[\d.]*: exit 3 \(out of luck�\)\. Try the command by hand\. See logs/crash', out
        )
        assert "hang failed on test: not done within its limit of 6 s, and ended. See logs/hang.txt." in out
        assert 'old: no hypothesis in old.jsonl for 4 utterances, counted as empty: "u2", "u3", "u4", "u5".' in out
        assert re.search(r"^accent +hindi +3 +9 +0.0 %", out, re.MULTILINE)
        assert "hang: failed: not done within its limit" in err
        assert "\x1b" not in out + err, "what a program prints does not drive the terminal"
        assert "out of luck" in (corpus / "out/logs/crash.txt").read_text()
        assert (corpus / "hang.txt").is_file(), "it had begun"
        assert ended(int((corpus / "hang.txt").read_text())), "what a system has started ends with it"

        board = json.loads((corpus / "out/leaderboard.json").read_text())
        (section,) = board["manifests"]
        rows = {row["system"]: row for row in section["standings"]}
        assert [row["system"] for row in section["standings"]] == ["right", "old", "api", "crash", "killed", "hang"]
        assert (rows["right"]["wer"], rows["right"]["errors"], rows["right"]["words"], rows["right"]["utterances"]) == (0.0, 0, 19, 6)
        assert rows["right"]["real_time_factor"] > 0
        assert rows["right"]["memory"] > 1 << 20
        assert (rows["old"]["real_time_factor"], rows["old"]["memory"], rows["api"]["memory"]) == (None, None, None)
        assert rows["crash"]["rank"] is None
        assert (section["normalizer"], section["utterances"], section["speakers"]) == ("english", 6, 6)
        assert section["groups"]["systems"] == ["right", "crash", "killed", "hang", "api", "old"]
        assert {(pair["first"], pair["second"]) for pair in section["pairs"]} == {("right", "api"), ("right", "old"), ("old", "api")}

        lines = list(csv.DictReader((corpus / "out/leaderboard.csv").read_text().splitlines()))
        assert [(line["system"], line["wer"]) for line in lines][:1] == [("right", "0.0")]
        assert "exit -9 (killed)" in {line["failure"] for line in lines}
        assert "| 1      | right    | 0.0 %" in (corpus / "out/leaderboard.md").read_text()
        assert ScoreReport.read(corpus / "out/reports/right.test.json").wer == 0.0
        assert not (corpus / "out/reports/crash.test.json").exists()
        (path,) = (corpus / "out/hypotheses/right").glob("test.*.jsonl")
        assert [one.id for one in read_hypotheses(path)] == [f"u{number}" for number in range(6)]

        # the second time only what failed is tried again
        before = calls(corpus)
        assert before == 7, "six clips, and the first one to warm up"
        code, again, err = bench(text)
        assert (code, calls(corpus)) == (1, before)
        assert "3 of 6 results were there already." in err
        assert again.splitlines()[4:7] == out.splitlines()[4:7]


FAMILY = """
import os, pathlib, subprocess, sys, time
for own in (False, True) if len(sys.argv) == 2 else ():
    subprocess.Popen([sys.executable, __file__, sys.argv[1], "child"], start_new_session=own)
pathlib.Path(f"pid-{os.getpid()}.txt").touch()
time.sleep(300)
"""


@pytest.mark.skipif(not hasattr(os, "setsid"), reason="sessions are known to POSIX alone")
def test_nothing_that_a_system_has_started_is_left_when_its_row_is_closed(corpus: Path, program: Program) -> None:
    matrix = matrix_from_flags([f"hang=command:{' '.join(program('hang.py', FAMILY))} {{audio}}"], [str(corpus / "test.jsonl")])
    (system,) = matrix.systems
    system = dataclasses.replace(system, folder=corpus)
    manifest = {"name": "test", "path": str(corpus / "test.jsonl"), "audio": "x", "utterances": 6}
    job = {"system": system.to_json(), "out": str(corpus / "out"), "manifests": [manifest], "threads": None}

    def tell(message: dict[str, Any]) -> None:
        if message["event"] == "begun":
            wait_for(lambda: len(list(corpus.glob("pid-*.txt"))) == 3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_worker(job, limit=300, threads=None, log=corpus / "log.txt", tell=tell)
    started = [int(path.stem.removeprefix("pid-")) for path in corpus.glob("pid-*.txt")]
    assert [ended(number) for number in started] == [True, True, True], "now, not some time later"


def test_a_system_without_a_score_stands_in_every_report(bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    code, _, err = bench(HEAD + OLD, "--html", str(corpus / "a.html"), "--junit", str(corpus / "a.xml"), "--fail-if", "wer[old on test] > 0.5")
    assert code == 1
    assert "FAILED: fail if wer[old on test] > 0.5 on old on test: wer is not known" in err
    assert "old has no score on test: " in (corpus / "a.html").read_text()
    assert '<testsuites name="Leaderboard" tests="2" failures="1" errors="1">' in (corpus / "a.xml").read_text()


def test_a_field_that_no_manifest_has_is_not_passed_over(bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    (corpus / "other.jsonl").write_text((corpus / "test.jsonl").read_text())
    write_old(corpus, {"u0": "we call it bear"})
    code, out, err = bench('manifests = ["test.jsonl", "other.jsonl"]\nby = ["accent", "acent"]\n' + OLD)
    assert (code, out) == (1, "")
    assert 'cannot group by "acent": no utterance of the 2 manifests has it. Check the spelling.' in err


def test_references_in_another_format_are_told_where_they_belong(bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    (corpus / "test.stm").write_text("u0 1 s0 0.0 1.0 we call it bear\n")
    write_old(corpus, {"u0": "we call it bear"})
    code, out, err = bench('manifests = ["test.stm"]\n' + OLD)
    assert (code, out) == (1, "")
    assert "test.stm, line 1: not valid JSON" in err
    assert "A benchmark takes manifests; references in another format are for: speechadapt score REFS HYPS\n" in err


def test_without_draws_nobody_is_told_of_too_few_speakers(bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    write_old(corpus, {"u0": "we call it bear"})
    both = HEAD + OLD + OLD.replace("systems.old", "systems.same")
    assert "too few speakers" not in bench(both, "--resamples", "0")[1], "six can reach 2 / 2**6"
    rows = (corpus / "test.jsonl").read_text().splitlines(keepends=True)
    (corpus / "test.jsonl").write_text("".join(rows[:5]))
    assert "There are too few speakers" in bench(both, "--resamples", "0")[1]


def test_markdown_of_a_failure_opens_no_picture(bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    assert bench(HEAD + OLD.replace("old.jsonl", "![a](b).jsonl"))[0] == 1
    shown = (corpus / "out/leaderboard.md").read_text()
    assert "!\\[a\\](b)" in shown
    assert "![a](b)" not in shown


def test_a_second_run_decodes_nothing_and_says_so(bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    first = bench(HEAD + RIGHT)
    assert first[0] == 0
    code, out, err = bench(HEAD + RIGHT)
    assert (code, out) == (0, first[1])
    assert "Nothing was decoded: all 1 results were there already. Use --again NAME to measure a system anew." in err
    assert calls(corpus) == 7
    # another normalizer, other groups or a corrected reference are scored again, not decoded again
    manifest = (corpus / "test.jsonl").read_text()
    (corpus / "test.jsonl").write_text(manifest.replace("we call it bear", "we call it beer"))
    code, out, err = bench(HEAD + RIGHT, "--normalizer", "raw", "--by", "speaker", "--json")
    assert (code, calls(corpus)) == (0, 7)
    board = json.loads(out)
    assert board["overall"]["standings"][0]["errors"] == 1
    assert board["manifests"][0]["normalizer"] == "raw"
    assert board["results"][0]["cached"] is True


@pytest.mark.slow
def test_again_and_a_change_of_the_program_a_recording_or_the_settings_decode_anew(bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    assert bench(HEAD + RIGHT)[0] == 0
    assert bench(HEAD + RIGHT, "--again", "right")[0] == 0
    assert calls(corpus) == 14
    (corpus / "recognize.py").write_text((corpus / "recognize.py").read_text() + "# changed\n")
    assert bench(HEAD + RIGHT)[0] == 0
    assert calls(corpus) == 21
    os.utime(corpus / "audio/3.flac", (1, 1))
    assert bench(HEAD + RIGHT)[0] == 0
    assert calls(corpus) == 28
    assert bench("threads = 1\n" + HEAD + RIGHT)[0] == 0
    assert calls(corpus) == 35
    assert bench(HEAD + RIGHT.replace('"command"\n', '"command"\ntimeout = 5\n'))[0] == 0
    assert calls(corpus) == 35, "a time limit changes nothing in what is said"


def start(corpus: Path) -> subprocess.Popen[str]:
    words = ["bench", str(corpus / "bench.toml"), "--out", str(corpus / "out"), "--resamples", "200"]
    code = "import sys; from speechadapt.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def ended(process: int) -> bool:
    """Also when nobody has asked for its exit code yet."""
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


SLOW = "time.sleep(float(pathlib.Path(__file__).with_name('pace.txt').read_text()))\n"


@pytest.mark.parametrize("victim", ["parent", pytest.param("worker", marks=pytest.mark.slow)])
def test_it_goes_on_after_kill_9_where_it_stopped(victim: str, bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    (corpus / "pace.txt").write_text("0.4")
    (corpus / "recognize.py").write_text((corpus / "recognize.py").read_text() + SLOW)
    (corpus / "bench.toml").write_text(HEAD + RIGHT)
    with start(corpus) as running:
        wait_for(lambda: calls(corpus) >= 4)
        started = psutil.Process(running.pid).children(recursive=True)
        (worker,) = psutil.Process(running.pid).children()
        os.kill(running.pid if victim == "parent" else worker.pid, signal.SIGKILL)
        out, err = running.communicate(timeout=60)
    if victim == "worker":
        assert running.returncode == 1
        assert re.search(r"right failed on test: exit -9 \(killed\) \(after [23] of 6 utterances, which are kept\)\. See logs/right.txt\.", out)
    else:
        assert (running.returncode, out) == (-signal.SIGKILL, "")
    wait_for(lambda: all(ended(process.pid) for process in started))
    (kept,) = (corpus / "out/hypotheses/right").glob("*.jsonl")
    done = len(kept.read_bytes().splitlines())
    assert done in (2, 3), "the first call only warmed up, and the last one was cut off"
    before = calls(corpus)
    (corpus / "pace.txt").write_text("0")
    code, out, err = bench(HEAD + RIGHT)
    assert code == 0
    assert f"right: goes on with test after {done} of 6 utterances" in err
    assert calls(corpus) == before + 1 + 6 - done, "what is missing, and a clip to warm up"
    assert out.splitlines()[4].split()[:4] == ["1", "right", "0.0", "%"]


@pytest.mark.skipif(not hasattr(os, "setsid"), reason="sessions are known to POSIX alone")
def test_kill_9_leaves_no_program_behind(corpus: Path, program: Program) -> None:
    (corpus / "bench.toml").write_text(HEAD + command("hang", program("hang.py", FAMILY)))
    with start(corpus) as running:
        wait_for(lambda: len(list(corpus.glob("pid-*.txt"))) == 3)
        running.kill()
        running.communicate(timeout=60)
    wait_for(lambda: all(ended(int(path.stem.removeprefix("pid-"))) for path in corpus.glob("pid-*.txt")))


def test_two_benches_in_one_folder_are_refused(bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    (corpus / "out").mkdir()
    with filelock.FileLock(corpus / "out/.bench.lock"):
        code, out, err = bench(HEAD + RIGHT)
    told = f"speechadapt bench: {corpus / 'out'}: another bench is at work there. Wait for it, or give another --out.\n"
    assert (code, out, err) == (2, "", told)


def test_over_several_manifests(bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    rows = [json.loads(line) for line in (corpus / "test.jsonl").read_text().splitlines()]
    (corpus / "hard.jsonl").write_text("".join(json.dumps({**row, "text": "quite another text", "language": "de"}) + "\n" for row in rows[:5]))
    write_old(corpus, {f"u{number}": "we call it bear" for number in range(2)})
    code, out, _ = bench('[manifests]\neasy = "test.jsonl"\nhard = "hard.jsonl"\n' + RIGHT + OLD)
    assert code == 0
    titles = [line.split(":")[0] for line in out.splitlines() if line.startswith(("easy", "hard", "All"))]
    assert titles[:3] == ["easy", "hard", "All manifests"]
    board = json.loads((corpus / "out/leaderboard.json").read_text())
    assert [section["normalizer"] for section in board["manifests"]] == ["english", "basic:de"]
    overall = {row["system"]: row for row in board["overall"]["standings"]}
    easy, hard = ({row["system"]: row for row in section["standings"]} for section in board["manifests"])
    assert hard["right"]["wer"] == pytest.approx(16 / 15), "sixteen words where fifteen others were said"
    assert overall["right"]["wer"] == pytest.approx((0 + 16 / 15) / 2)
    assert overall["right"]["errors"] == easy["right"]["errors"] + hard["right"]["errors"] == 16
    assert overall["right"]["utterances"] == 11
    assert overall["right"]["ci95"][0] <= overall["right"]["wer"] <= overall["right"]["ci95"][1]


@pytest.mark.slow
def test_a_system_that_fails_on_one_manifest_keeps_its_row_on_the_other(bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    rows = (corpus / "test.jsonl").read_text().splitlines(keepends=True)
    (corpus / "few.jsonl").write_text(rows[0])
    (corpus / "hyps-test.jsonl").write_text('{"id": "u0", "text": "a"}\n')
    text = 'manifests = ["test.jsonl", "few.jsonl"]\n[systems.old]\nkind = "hypotheses"\nfile = "hyps-{manifest}.jsonl"\n'
    code, _, _ = bench(text)
    assert code == 1
    board = json.loads((corpus / "out/leaderboard.json").read_text())
    assert [section["standings"][0]["failure"] for section in board["manifests"]] == [
        None,
        f"{corpus}/hyps-few.jsonl: no such file or folder. Check the path.",
    ]
    assert board["overall"]["standings"][0]["failure"] == f"few: {corpus}/hyps-few.jsonl: no such file or folder. Check the path."


def test_hypotheses_of_no_utterance_are_told(bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    (corpus / "hyps-test.tsv").write_text("id\ttext\n" + "".join(f"u{n}\ta\n" for n in range(7)))
    code, out, _ = bench(HEAD + '[systems.old]\nkind = "hypotheses"\nfile = "hyps-{manifest}.tsv"\n')
    assert code == 0
    assert '\ntexts of no utterance, ignored: 1 ("u6").\n' in out


@pytest.mark.slow
def test_a_clip_that_fails_counts_as_empty_where_that_is_asked_for(
    bench: Callable[..., tuple[int, str, str]], corpus: Path, program: Program
) -> None:
    code = (corpus / "recognize.py").read_text().replace("print(texts", "frames == 4000 and sys.exit(7)\nprint(texts")
    code, out, _ = bench(HEAD + command("picky", program("picky.py", code), on_error="empty") + command("mute", program("mute.py", "")))
    assert code == 0
    assert re.search(r'picky: failed on 1 utterance, counted as empty: "u1" \(python[\d.]*: exit 7\. Try the command by hand\.\)', out)
    assert "mute: said nothing at all." in out
    rows = {row["system"]: row for row in json.loads((corpus / "out/leaderboard.json").read_text())["overall"]["standings"]}
    assert (rows["picky"]["errors"], rows["mute"]["errors"]) == (3, 19)


@pytest.mark.slow
def test_html_and_a_condition_that_fails_the_build(bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    write_old(corpus, {"u0": "we call it <script>alert(1)</script>"})
    page = corpus / "page.html"
    code, out, err = bench(HEAD + RIGHT + OLD, "--html", str(page), "--fail-if", "wer[right on test] > 0.5")
    assert code == 0, err
    html = page.read_text()
    assert "<script>alert(1)" not in html
    assert "right" in html
    assert bench(HEAD + RIGHT + OLD, "--fail-if", "wer > 0.5")[0] == 1
    code, out, err = bench(HEAD + RIGHT, "--fail-if", "wer >> 1")
    assert (code, out) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--system", "a=x"], "--system and --manifest stand in place of a file, and "),
        (["--again", "tiny"], 'again names "tiny", but the systems are "right". Correct the name.'),
        (["--normalizer", "engish"], 'no normalizer is called "engish"'),
        (["--threads", "0"], "--threads 0: must be 1 or more. Correct the number."),
        (["--resamples", "-1"], "--resamples -1: must be 0 (no interval) or more. Correct the number."),
    ],
)
def test_misuse_is_told_before_anything_runs(arguments: list[str], told: str, bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    code, out, err = bench(HEAD + RIGHT, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("speechadapt bench: ")
    assert told in err
    assert not (corpus / "out").exists()


def test_what_cannot_be_scored_is_told_before_anything_runs(bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    code, out, err = bench(HEAD.replace("accent", "acent") + RIGHT)
    assert (code, out) == (1, "")
    assert 'cannot group by "acent"' in err
    (corpus / "audio/2.flac").unlink()
    code, out, err = bench(HEAD + RIGHT)
    assert (code, out) == (1, "")
    assert f'utterance "u2" (test): {corpus}/audio/2.flac: no such audio file. Correct the path.' in err
    assert calls(corpus) == 0
    write_old(corpus, {"u0": "we call it bear"})
    assert bench(HEAD + OLD)[0] == 0, "hypotheses on disk need no recordings"


@pytest.mark.slow
def test_flags_do_the_same_as_a_file(bench: Callable[..., tuple[int, str, str]], corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(corpus)
    write_old(corpus, {"u0": "we call it bear"})
    given = ["--manifest", "test.jsonl", "--system", f"right=command:{sys.executable} recognize.py {{audio}}", "--system", "old=hypotheses:old.jsonl"]
    code, out, _ = bench(None, *given, "--by", "accent")
    assert code == 0
    assert [line.split()[1] for line in out.splitlines()[4:6]] == ["right", "old"]
    before = calls(corpus)
    assert bench(HEAD + command("right", [sys.executable, "recognize.py"]) + OLD)[1] == out
    assert calls(corpus) == before, "the same settings, so the same results"


@pytest.mark.slow
def test_a_folder_that_was_moved_is_not_decoded_again(bench: Callable[..., tuple[int, str, str]], corpus: Path) -> None:
    assert bench(HEAD + RIGHT)[0] == 0
    moved = corpus.with_name(corpus.name + "-moved")
    corpus.rename(moved)
    assert main(["bench", str(moved / "bench.toml"), "--out", str(moved / "out"), "--resamples", "200"]) == 0
    assert calls(moved) == 7


def test_the_normalizer_follows_the_language() -> None:
    def manifest(*languages: str | None) -> Manifest:
        rows = [Utterance(id=str(n), audio_filepath="a", duration=1.0, text="a", language=language) for n, language in enumerate(languages)]
        return Manifest(rows, folder=Path())

    assert normalizer_of(manifest("en", "en-GB", None)) == "english"
    assert normalizer_of(manifest("tr", "tr-TR")) == "basic:tr"
    assert normalizer_of(manifest("tr", "en")) == "basic"
    assert normalizer_of(manifest(None)) == "english", "by its letters"


def test_the_command_itself_loads_no_torch(corpus: Path) -> None:
    write_old(corpus, {"u0": "we call it bear"})
    (corpus / "bench.toml").write_text(HEAD + OLD)
    words = ["bench", str(corpus / "bench.toml"), "--out", str(corpus / "out")]
    code = f"import sys; from speechadapt.cli import main; main({words!r}); print('LOADED', *{{name.split('.')[0] for name in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(ran.stdout.rpartition("LOADED")[2].split()) & (HEAVY - {"librosa"})


def test_from_python(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(corpus)
    board = run_bench(matrix_from_flags([f"right=command:{sys.executable} recognize.py {{audio}}"], ["test.jsonl"]), "out", progress=False)
    assert [(one.rank, one.system, one.wer) for one in board.overall.standings] == [(1, "right", 0.0)]
    assert board.decoded == 1
