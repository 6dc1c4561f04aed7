"""Commands that serve, started as programs, and a person who reads prompts into `speechadapt record`: for what runs the pages and examples."""

import contextlib
import http.client
import io
import json
import re
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import soundfile

SPEECHADAPT = [sys.executable, "-c", "import sys; from speechadapt.cli import main; sys.exit(main())"]


@contextlib.contextmanager
def started(*words: str, folder: Path | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`speechadapt WORDS` as a process, and the address it prints; ended with the block."""
    with subprocess.Popen([*SPEECHADAPT, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            told = ""
            for line in process.stderr:
                told += line
                if found := re.search(r"http://\S+", line):
                    yield process, found[0]
                    return
            raise AssertionError(told)
        finally:
            process.terminate()


@contextlib.contextmanager
def served(*words: str) -> Iterator[str]:
    """The address of `speechadapt serve WORDS` on a free port."""
    with started("serve", *words, "--port", "0") as (_, url):
        yield url


def read_aloud(url: str, speak: Callable[[str], Any], *, count: int) -> list[dict[str, Any]]:
    """Agree, read the first `count` prompts as the page would send them, and end the program; what was told of each take."""
    place = urllib.parse.urlsplit(url)

    def ask(method: str, path: str, body: bytes = b"") -> Any:
        connection = http.client.HTTPConnection(place.netloc, timeout=60)
        connection.request(method, path, body=body, headers={"X-Record-Token": place.fragment})
        answer = connection.getresponse()
        told = json.loads(answer.read())
        connection.close()
        assert answer.status == 200, told
        return told

    ask("POST", "/api/consent?given=yes")
    told = []
    for prompt in ask("GET", "/api/state")["prompts"][:count]:
        file = io.BytesIO()
        soundfile.write(file, speak(prompt["text"]), 16_000, format="WAV", subtype="PCM_16")
        told.append(ask("POST", f"/api/check?prompt={prompt['id']}", file.getvalue()))
        ask("POST", f"/api/keep?prompt={prompt['id']}", file.getvalue())
    ask("POST", "/api/stop")
    return told
