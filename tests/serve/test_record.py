"""The recording page's server: who may ask, what is taken, what is refused; and the command around it."""

import errno
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
from recording_studio import Studio, make_prompts, serving
from spoken import spoken
from started import SPEECHADAPT, started

from speechadapt.cli import main
from speechadapt.serve.record import RecordServer
from speechadapt.serve.recorded_corpus import SpeakerLabels, open_recorded
from speechadapt.serve.take import LARGEST

PROMPTS = make_prompts()


def wav(seconds: float = 2.0, rate: int = 48_000, level: float = 0.3) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, spoken(seconds, sampling_rate=rate, level=level), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def ask(studio: Studio, method: str, path: str, body: bytes | None = None, **headers: str | None) -> tuple[int, Any, dict[str, str]]:
    """Status, body (JSON where it is) and headers; the right token unless told otherwise."""
    place = urllib.parse.urlsplit(studio.server.origin).netloc
    connection = http.client.HTTPConnection(place, timeout=20)
    sent = {"X-Record-Token": studio.server.token, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, path, body=body, headers={name: value for name, value in sent.items() if value is not None})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    told = {name.lower(): value for name, value in answer.getheaders()}
    return answer.status, json.loads(content) if told.get("content-type", "").startswith("application/json") else content, told


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    with serving(tmp_path / "out") as one:
        yield one


@pytest.fixture
def agreed(studio: Studio) -> Studio:
    assert ask(studio, "POST", "/api/consent?given=yes")[0] == 200
    return studio


def recorded(studio: Studio) -> list[str]:
    return sorted(path.name for path in (studio.corpus.folder / "audio").iterdir())


def test_the_page_and_its_headers(studio: Studio) -> None:
    for path, kind in (("/", "text/html"), ("/record.js", "text/javascript"), ("/record-worklet.js", "text/javascript"), ("/record.css", "text/css")):
        status, content, headers = ask(studio, "GET", path, X_Record_Token=None)
        assert (status, headers["content-type"]) == (200, f"{kind}; charset=utf-8")
        assert studio.server.token.encode() not in content
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; ")
        assert "unsafe" not in headers["content-security-policy"]
        assert "server" not in headers
        assert not re.search(rb"(src|href)=.?https?:|@import|url\(", content)
    assert ask(studio, "GET", "/docs")[0] == 404
    assert ask(studio, "GET", "/openapi.json")[0] == 404
    assert ask(studio, "GET", "/../../etc/passwd")[0] == 404


def test_a_take_is_checked_and_kept(agreed: Studio) -> None:
    status, found, _ = ask(agreed, "POST", f"/api/check?prompt={PROMPTS[0].id}", wav())
    assert (status, found["findings"], found["fatal"], found["duration"]) == (200, [], False, 2.0)
    assert recorded(agreed) == []
    status, kept, _ = ask(agreed, "POST", f"/api/keep?prompt={PROMPTS[0].id}", wav())
    assert (status, kept) == (200, {"prompt": PROMPTS[0].id, "quality": "", "seconds": 2.0, "done": [PROMPTS[0].id]})
    assert recorded(agreed) == [f"anna-{PROMPTS[0].id}-1.flac"]
    status, sound, headers = ask(agreed, "GET", f"/api/take?prompt={PROMPTS[0].id}")
    assert (status, headers["content-type"]) == (200, "audio/flac")
    assert sound == (agreed.corpus.folder / "audio" / recorded(agreed)[0]).read_bytes()
    assert ask(agreed, "GET", f"/api/take?prompt={PROMPTS[1].id}")[0] == 404
    state = ask(agreed, "GET", "/api/state")[1]
    assert state["done"] == [PROMPTS[0].id]
    assert state["prompts"] == [{"id": one.id, "text": one.text} for one in PROMPTS]
    assert state["consent"]["given"] is not None


def test_what_was_heard_is_told_and_stays_in_the_table(agreed: Studio) -> None:
    quiet = wav(level=0.005)
    _, found, _ = ask(agreed, "POST", f"/api/check?prompt={PROMPTS[0].id}", quiet)
    assert [one["name"] for one in found["findings"]] == ["quiet"]
    assert ask(agreed, "POST", f"/api/keep?prompt={PROMPTS[0].id}", quiet)[1]["quality"] == "quiet"
    assert agreed.corpus.done[PROMPTS[0].id]["quality"] == "quiet"


def test_nothing_is_recorded_without_consent(studio: Studio) -> None:
    assert ask(studio, "GET", "/api/state")[1]["consent"]["given"] is None
    status, told, _ = ask(studio, "POST", f"/api/keep?prompt={PROMPTS[0].id}", wav())
    assert (status, told["error"]) == (403, "Nothing is recorded before the speaker has agreed to it. Load the page again.")
    assert ask(studio, "POST", "/api/consent?given=no")[1] == {"consent": None}
    assert ask(studio, "POST", f"/api/keep?prompt={PROMPTS[0].id}", wav())[0] == 403
    assert ask(studio, "POST", "/api/consent?given=perhaps")[0] == 400
    assert recorded(studio) == []


ASKED = [("GET", "/api/state"), ("POST", "/api/consent?given=yes"), ("POST", f"/api/keep?prompt={PROMPTS[0].id}"), ("POST", "/api/stop")]


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_without_the_token_nobody_gets_anything(studio: Studio, method: str, path: str) -> None:
    for token in (None, "", "wrong", studio.server.token[:-1], studio.server.token + "x", "\xe4"):
        status, told, _ = ask(studio, method, path, b"" if method == "POST" else None, X_Record_Token=token)
        assert (status, told["error"].partition(".")[0]) == (401, "The address of this page is incomplete or of an earlier start")
    assert studio.corpus.consent(ask(studio, "GET", "/api/state")[1]["consent"]["text"]) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.nip.example", "", "[::1", "2130706433", "192.0.2.7"]
)
def test_another_name_for_this_machine_is_refused_even_with_the_token(studio: Studio, host: str) -> None:
    for path in ("/", "/api/state"):
        assert ask(studio, "GET", path, Host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1234", "[::1]:80", "LOCALHOST:9"])
def test_its_own_names_are_known(studio: Studio, host: str) -> None:
    assert ask(studio, "GET", "/api/state", Host=host)[0] == 200


def test_pages_of_other_origins_are_refused_even_with_the_token(studio: Studio) -> None:
    for origin in ("https://evil.example", "null", f"{studio.server.origin}0", "http://localhost:1"):
        assert ask(studio, "POST", "/api/consent?given=yes", Origin=origin)[0] == 403
    assert ask(studio, "POST", "/api/consent?given=yes", Origin=studio.server.origin)[0] == 200


def test_open_to_all_it_still_goes_by_numbers_only(tmp_path: Path) -> None:
    with open_recorded(tmp_path, PROMPTS, SpeakerLabels(speaker="a")) as (corpus, _):
        server = RecordServer(corpus, host="0.0.0.0")
        thread = threading.Thread(target=server.run)
        thread.start()
        studio = Studio(corpus=corpus, server=server, notes=[])
        try:
            assert server.origin.startswith("http://127.0.0.1:")
            assert ask(studio, "GET", "/api/state", Host="192.0.2.7:80")[0] == 200
            assert ask(studio, "GET", "/api/state", Host="evil.example")[0] == 403
        finally:
            server.stop()
            thread.join(10)


def test_takes_that_are_none(agreed: Studio) -> None:
    keep = f"/api/keep?prompt={PROMPTS[0].id}"
    for body, told in (
        (b"", "zero bytes"),
        (b"<html>" * 100, "not a recording that can be read"),
        (wav()[:30_000], "promises 1.7 s more than were sent"),
        (wav(0.1), "Too short: 0.1 s"),
    ):
        status, answer, _ = ask(agreed, "POST", keep, body)
        assert status == 422
        assert told in answer["error"]
    for prompt in ("", "nothing", "../../record.json", PROMPTS[0].id + "%00"):
        assert ask(agreed, "POST", f"/api/keep?prompt={prompt}", wav())[0] == 404
    assert ask(agreed, "POST", "/api/keep", wav())[0] == 404
    assert recorded(agreed) == []
    assert not agreed.corpus.table.exists()


def test_an_upload_that_is_too_large_is_stopped_while_it_comes(agreed: Studio) -> None:
    status, told, _ = ask(agreed, "POST", f"/api/check?prompt={PROMPTS[0].id}", bytes(LARGEST + 1))
    assert (status, told["error"]) == (413, "The take is larger than 11 MB, the most that is possible. Read one sentence at a time.")
    place = urllib.parse.urlsplit(agreed.server.origin)
    with socket.create_connection((place.hostname, place.port), timeout=20) as raw:  # no length told, and no end of it
        head = f"POST /api/check?prompt={PROMPTS[0].id} HTTP/1.1\r\nHost: localhost\r\nX-Record-Token: {agreed.server.token}\r\n"
        raw.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        sent = 0
        try:
            while sent < 4 * LARGEST:
                raw.sendall(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
                sent += 1 << 20
        except OSError:
            pass
        assert sent < 4 * LARGEST
    assert ask(agreed, "GET", "/api/state")[0] == 200


def test_a_client_that_leaves_in_the_middle_costs_nothing(agreed: Studio) -> None:
    place = urllib.parse.urlsplit(agreed.server.origin)
    for _ in range(3):
        with socket.create_connection((place.hostname, place.port), timeout=20) as raw:
            head = f"POST /api/keep?prompt={PROMPTS[0].id} HTTP/1.1\r\nHost: localhost\r\nX-Record-Token: {agreed.server.token}\r\n"
            raw.sendall(f"{head}Content-Length: 200000\r\n\r\n".encode() + wav()[:1000])
    assert ask(agreed, "POST", f"/api/keep?prompt={PROMPTS[1].id}", wav())[0] == 200
    assert recorded(agreed) == [f"anna-{PROMPTS[1].id}-1.flac"]


def test_a_full_disk_is_told_and_nothing_is_lost(agreed: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(agreed, "POST", f"/api/keep?prompt={PROMPTS[0].id}", wav())[0] == 200
    before = agreed.corpus.table.read_bytes()

    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        status, told, _ = ask(agreed, "POST", f"/api/keep?prompt={PROMPTS[1].id}", wav())
    assert status == 507
    assert told["error"].startswith("Not saved. Nothing is lost while this page stays open: try again when the cause is gone. ")
    assert "No space left on device" in told["error"]
    assert agreed.corpus.table.read_bytes() == before
    assert ask(agreed, "POST", f"/api/keep?prompt={PROMPTS[1].id}", wav())[0] == 200


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    prompts = make_prompts(tuple(f"Sentence number {number}." for number in range(24)))
    with serving(tmp_path, prompts) as studio:
        ask(studio, "POST", "/api/consent?given=yes")
        body = wav(1.0, 16_000)
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda one=one: statuses.append(ask(studio, "POST", f"/api/keep?prompt={one.id}", body)[0]))  # type: ignore[misc]
            for one in prompts
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 24
        assert len(studio.corpus.done) == len(recorded(studio)) == 24
    assert len((tmp_path / "metadata.csv").read_text().splitlines()) == 25


def post(url: str, path: str, body: bytes = b"") -> Any:
    place = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(place.netloc, timeout=20)
    connection.request("POST", path, body=body, headers={"X-Record-Token": place.fragment})
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    assert answer.status == 200, told
    return told


def test_the_command_from_its_start_to_what_it_says_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("One two three.\nFour five six.\nOne, two, three!\n")
    (first, *_) = read = make_prompts(("One two three.", "Four five six."))
    assert len(read) == 2
    words = ["prompts.txt", "me", "--speaker", "anna", "--accent", "scottish", "--language", "en", "--json", "--no-browser"]
    with started("record", *words, folder=tmp_path) as (process, url):
        post(url, "/api/consent?given=yes")
        post(url, f"/api/keep?prompt={first.id}", wav())
        post(url, "/api/stop")
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out) == {
        "metadata": str(Path("me") / "metadata.csv"),
        "speaker": "anna",
        "recorded": 1,
        "prompts": 2,
        "seconds": 2.0,
        "splits": {"train": 1, "dev": 0, "test": 0},
        "with_findings": 0,
    }


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
def test_what_it_says_at_the_end_can_be_typed(tmp_path: Path) -> None:
    words = ("english", "my voice", "--speaker", "../Zo\u0065\u0308 & co", "--no-browser")
    with started("record", *words, folder=tmp_path) as (process, url):
        post(url, "/api/consent?given=yes")
        state = get(url, "/api/state")
        assert state["speaker"] == "../Zo\u00eb & co"  # however the keyboard wrote it
        post(url, f"/api/keep?prompt={state['prompts'][0]['id']}", wav(3.0))
        post(url, "/api/stop")
        out, _ = process.communicate(timeout=60)
    assert [line.split(" ", 3)[3] for line in out.splitlines()[-2:]] == [
        "prepare table 'my voice/metadata.csv' data/Zo_co",
        "adapt openai/whisper-tiny.en data/Zo_co --personal",
    ]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_it_well_and_the_same_command_goes_on(tmp_path: Path) -> None:
    words = ("english", "me", "--accent", "scottish")
    with started("record", *words, "--no-browser", folder=tmp_path) as (process, url):
        post(url, "/api/consent?given=yes")
        first = get(url, "/api/state")["prompts"][0]["id"]
        post(url, f"/api/keep?prompt={first}", wav(3.0))
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines()[0] == "1 of 100 prompts by me, 3.0 s: 1 train, 0 dev, 0 test"
    assert "speechadapt prepare table me/metadata.csv data/me" in out
    with started("record", "english", "me", "--no-browser", folder=tmp_path) as (_, url):
        state = get(url, "/api/state")
        assert (state["done"], state["language"]) == ([first], "en")
        assert state["consent"]["given"] is not None
        refused = subprocess.run([*SPEECHADAPT, "record", *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert refused.stderr.endswith("another speechadapt record is using it. Stop that one first, or choose another folder.\n")


def get(url: str, path: str) -> Any:
    place = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(place.netloc, timeout=20)
    connection.request("GET", path, headers={"X-Record-Token": place.fragment})
    told = json.loads(connection.getresponse().read())
    connection.close()
    return told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing.txt", "me"], "nothing.txt: no such list of prompts"),
        (["english", "prompts.txt"], "prompts.txt: a file, expected a folder to record into"),
        (["english", "me", "--language", "English language"], "not a language tag. Write it as en, gsw or pt-BR."),
        (["english", "me", "--test-share", "0.9"], "--test-share 0.9: must be 0 or more"),
        (["english", "me", "--port", "70000"], "--port 70000: must be from 0 to 65535"),
        (["english", "me", "--host", "no.such.host.invalid"], "host no.such.host.invalid, port 0: cannot be listened on"),
        (["english", "me", "--consent", "nothing.txt"], "--consent nothing.txt: cannot be read"),
        (["english", "me", "--speaker", ""], "--speaker: empty"),
    ],
)
def test_misuse_is_told_in_a_sentence(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text("One.\n")
    assert main(["record", *words, "--no-browser"]) == 2
    assert told in capsys.readouterr().err


def test_a_port_that_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["record", "english", "me", "--no-browser", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot be listened on (Address already in use). Choose another --port" in capsys.readouterr().err


def test_recording_loads_no_model_library() -> None:
    heavy = "{'torch', 'transformers', 'librosa'}"
    code = f"import sys, speechadapt.serve.record, speechadapt.serve.recorded_corpus; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
