"""`speechadapt record`: a page on this machine that records people reading prompts, into a corpus that `prepare` understands."""

import argparse
import json
import re
import shlex
import signal
import sys
import threading
import unicodedata
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from speechadapt.errors import MisuseError
from speechadapt.units import clock

if TYPE_CHECKING:
    from speechadapt.serve.prompts import PromptList
    from speechadapt.serve.recorded_corpus import RecordedCorpus

EXAMPLE = """
speechadapt record english recordings/me --speaker anna --accent scottish
speechadapt record prompts.txt recordings/dialect --speaker p07 --language gsw --region Bern --no-browser --port 8765
"""

LOCAL = ("127.0.0.1", "localhost", "::1")
LARGEST_CONSENT = 20_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define what may follow `speechadapt record`."""
    parser.add_argument("prompts", metavar="PROMPTS", help="a text file with one prompt a line, or a shipped list: english")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for metadata.csv and audio/; one that was begun is gone on with")
    parser.add_argument("--speaker", default="me", metavar="NAME", help="who reads: a name or initials, another for every person (default: me)")
    parser.add_argument("--accent", default="", metavar="NAME", help="of the speaker, such as scottish")
    parser.add_argument("--language", default="", metavar="TAG", help="of the prompts, such as en (default for the shipped list: en)")
    parser.add_argument("--l1", default="", metavar="NAME", help="the speaker's first language")
    parser.add_argument("--gender", default="", metavar="WORD", help="female, male or other")
    parser.add_argument("--age", default="", metavar="WORD", help="years, or a range such as 30-39")
    parser.add_argument("--region", default="", metavar="NAME", help="where the speaker comes from")
    parser.add_argument("--test-share", type=float, default=0.2, metavar="X", help="of the prompts, held out to prove by (default: 0.2)")
    parser.add_argument("--dev-share", type=float, default=0.1, metavar="X", help="of the prompts, to choose checkpoints by (default: 0.1)")
    parser.add_argument("--consent", type=Path, metavar="FILE", help="text the speaker must agree to (default: a short one of our own)")
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="address to listen on (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=int, default=0, metavar="P", help="0 takes a free one (default: 0)")
    parser.add_argument("--no-browser", action="store_true", help="print the address instead of opening it")
    parser.add_argument("--json", action="store_true", help="print what was recorded as JSON")


def execute(options: argparse.Namespace) -> int:
    """Serve the page until the reader is done, or Ctrl+C; then say what there is and how to go on."""
    from speechadapt.serve.prompts import read_prompts, shipped_lists
    from speechadapt.serve.recorded_corpus import SpeakerLabels, open_recorded

    prompts = read_prompts(options.prompts, test_share=options.test_share, dev_share=options.dev_share)
    for note in prompts.notes:
        print(note, file=sys.stderr)
    if options.language and not _is_tag(options.language):
        raise MisuseError(f'--language "{options.language}": not a language tag. Write it as en, gsw or pt-BR.')
    labels = SpeakerLabels(
        speaker=unicodedata.normalize("NFC", options.speaker.strip()),
        accent=options.accent.strip(),
        language=options.language,
        gender=options.gender.strip(),
        age=options.age.strip(),
        l1=options.l1.strip(),
        region=options.region.strip(),
    )
    consent = _consent(options.consent)
    list_language = "en" if prompts.name == "english" and prompts.name in shipped_lists() else ""
    with open_recorded(options.out, prompts.prompts, labels, list_language=list_language) as (corpus, notes):
        for note in notes:
            print(note, file=sys.stderr)
        _serve(corpus, options, consent)
        summary = _summary(corpus, prompts)
    print(json.dumps(summary, ensure_ascii=False, indent=2) if options.json else _words(summary))
    return 0


def _serve(corpus: "RecordedCorpus", options: argparse.Namespace, consent: str | None) -> None:
    from speechadapt.serve.record import CONSENT, RecordServer

    server = RecordServer(corpus, host=options.host, port=options.port, consent=consent or CONSENT)
    if options.host not in LOCAL:
        print(
            f"speechadapt record: others can reach {options.host}, but browsers give a microphone to pages of this machine only. "
            f"From another one: ssh -L PORT:127.0.0.1:PORT, and open the address as localhost.",
            file=sys.stderr,
        )
    print(f"{len(corpus.done)} of {len(corpus.prompts)} recorded. The page: {server.url}", file=sys.stderr)
    print("Stop with the page's own button or with Ctrl+C; every kept take is on disk at once.", file=sys.stderr, flush=True)
    if not options.no_browser:
        threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: server.stop())  # ends as the page's button does; the server repeats the signal when it has stopped
    try:
        server.run()
    except KeyboardInterrupt:
        print("", file=sys.stderr)


def _consent(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise MisuseError(f"--consent {path}: not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    except OSError as error:
        raise MisuseError(f"--consent {path}: cannot be read ({error.strerror}). Check the path.") from error
    if not 0 < len(text) <= LARGEST_CONSENT:
        raise MisuseError(f"--consent {path}: {len(text)} characters, must be from 1 to {LARGEST_CONSENT}. Correct the file.")
    return text


def _is_tag(text: str) -> bool:
    parts = text.split("-")
    return 2 <= len(parts[0]) <= 8 and parts[0].isalpha() and all(1 <= len(part) <= 8 and part.isalnum() for part in parts) and text.isascii()


def _summary(corpus: "RecordedCorpus", prompts: "PromptList") -> dict[str, object]:
    done = corpus.done
    parts = {name: sum(row["split"] == name for row in done.values()) for name in ("train", "dev", "test")}
    return {
        "metadata": str(corpus.table),
        "speaker": corpus.labels.speaker,
        "recorded": len(done),
        "prompts": len(prompts.prompts),
        "seconds": round(corpus.seconds, 3),
        "splits": parts,
        "with_findings": sum(bool(row.get("quality")) for row in done.values()),
    }


def _words(summary: dict[str, object]) -> str:
    if not summary["recorded"]:
        return f"nothing recorded yet by {summary['speaker']}"
    data = "data/" + (re.sub(r"[^A-Za-z0-9_-]+", "_", str(summary["speaker"])).strip("_") or "me")
    parts = ", ".join(f"{count} {name}" for name, count in summary["splits"].items())  # type: ignore[attr-defined]
    lines = [
        f"{summary['recorded']} of {summary['prompts']} prompts by {summary['speaker']}, {clock(float(str(summary['seconds'])))}: {parts}",
        f"kept although something was to be heard: {summary['with_findings']}",
        f"in {summary['metadata']}; go on with:",
        f"  speechadapt prepare table {shlex.quote(str(summary['metadata']))} {data}",
        f"  speechadapt adapt openai/whisper-tiny.en {data} --personal",
    ]
    return "\n".join(lines)
