"""`speechadapt serve`: an HTTP server for a base model and its adapters, which OpenAI's clients can talk to."""

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from speechadapt.errors import MisuseError

if TYPE_CHECKING:
    from speechadapt.serve.limits import Limits

EXAMPLE = """
speechadapt serve --adapter mine=runs/quickstart/adapter
speechadapt serve --base openai/whisper-tiny.en --adapters adapters --window short
SPEECHADAPT_TOKEN=secret speechadapt serve --base openai/whisper-tiny.en --host 0.0.0.0 --token-env SPEECHADAPT_TOKEN
"""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LOCAL = ("127.0.0.1", "localhost", "::1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define what may follow `speechadapt serve`."""
    parser.add_argument("--base", metavar="B", help="a Hub id or a folder (default: the base the first adapter was trained for)")
    parser.add_argument("--revision", metavar="SHA", help="of the base on the Hub")
    parser.add_argument("--adapter", action="append", default=[], metavar="NAME=DIR", help="an adapter and the name it is asked for by; repeatable")
    parser.add_argument("--adapters", type=Path, metavar="FOLDER", help="every adapter in this folder, under its folder's name")
    parser.add_argument("--language", metavar="TAG", help="of the speech, such as en (multilingual bases; default: detected)")
    parser.add_argument(
        "--window",
        choices=("full", "short"),
        default="full",
        help="what adapted models hear; short is faster, its texts vary a little with what is decoded beside (default: full)",
    )
    parser.add_argument("--beam", type=int, default=1, metavar="N", help="1 is greedy (default: 1)")
    parser.add_argument("--device", metavar="D", help="cpu, cuda or cuda:1 (default: the best there is)")
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="address to listen on (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=int, default=8000, metavar="P", help="0 takes a free one (default: 8000)")
    parser.add_argument("--token-env", metavar="NAME", help="environment variable with the token that clients must show")
    parser.add_argument("--cors", action="append", default=[], metavar="ORIGIN", help="let pages of this origin ask, such as https://app.example")
    parser.add_argument("--max-upload", type=float, default=100, metavar="MB", help="of one request (default: 100)")
    parser.add_argument("--max-duration", type=float, default=7200, metavar="S", help="of one recording (default: 7200)")
    parser.add_argument("--max-concurrent", type=int, default=64, metavar="N", help="requests at once; more are answered 429 (default: 64)")
    parser.add_argument("--queue", type=int, default=256, metavar="N", help="waiting pieces of audio beyond which the answer is 503 (default: 256)")
    parser.add_argument("--timeout", type=float, default=600, metavar="S", help="of one request (default: 600)")
    parser.add_argument("--stop-timeout", type=float, default=30, metavar="S", help="for what runs to finish after SIGTERM (default: 30)")
    parser.add_argument("--batch-seconds", type=float, metavar="S", help="padded audio decoded at once (default: 60, on an accelerator 240)")
    parser.add_argument("--no-vad", action="store_true", help="do not look for speech: long recordings are cut at their quietest places")
    parser.add_argument("--memory", type=float, metavar="MB", help="that adapters may take; the ones longest unused are read again when asked for")
    parser.add_argument("--access-log", action="store_true", help="one line on stderr for each request")


def execute(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl+C."""
    limits = _limits(options)
    token = _token(options)
    adapters = named_adapters(options.adapter, options.adapters)
    if not options.base and not adapters:
        raise MisuseError("no model: give --base B (such as openai/whisper-tiny.en), or --adapter NAME=DIR, which names its base.")
    if options.window == "short" and not adapters:
        raise MisuseError("--window short: a base without an adapter loops in the short window. Give --adapter, or use --window full.")
    if options.host not in LOCAL and token is None:
        print(f"speechadapt serve: anyone who reaches {options.host} may use this server; --token-env asks for a token.", file=sys.stderr)
    import logging

    from speechadapt.adapt.adapter import read_adapter
    from speechadapt.models.speech_model import DecodeSettings
    from speechadapt.serve.library import AdapterLibrary
    from speechadapt.serve.listener import bind, stop_on_signals
    from speechadapt.serve.server import make_server
    from speechadapt.serve.service import Service

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with bind(options.host, options.port) as socket:  # before the model is loaded: an address that is taken should not cost that time
        base = options.base or read_adapter(next(iter(adapters.values()))).base_id
        settings = DecodeSettings(window=options.window, beam=options.beam)
        memory = None if options.memory is None else round(options.memory * (1 << 20))
        library = AdapterLibrary(base, device=options.device, memory=memory, revision=options.revision, language=options.language)
        for name, folder in adapters.items():
            library.add(name, folder)
        seconds = options.batch_seconds or (60.0 if library.model.device.type == "cpu" else 240.0)
        service = Service(library, limits=limits, settings=settings, token=token, vad=False if options.no_vad else None, batch_seconds=seconds)
        host, port = socket.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"

        def started() -> None:
            print(f"{library.model.base.id} and {len(adapters)} adapters: {url}", file=sys.stderr, flush=True)

        server = make_server(service, cors=options.cors, on_start=started, access_log=options.access_log)
        stop_on_signals(server)
        server.run(sockets=[socket])
    print("speechadapt serve: stopped.", file=sys.stderr)
    return 0


def _limits(options: argparse.Namespace) -> "Limits":
    from speechadapt.serve.limits import MEGABYTE, Limits

    for name in ("max_upload", "max_duration", "max_concurrent", "queue", "timeout", "stop_timeout", "batch_seconds", "memory", "beam"):
        value = getattr(options, name)
        if value is not None and not 0 < value < float("inf"):
            raise MisuseError(f"--{name.replace('_', '-')} {value:g}: must be above 0.")
    if not 0 <= options.port < 65536:
        raise MisuseError(f"--port {options.port}: must be from 0 to 65535.")
    for origin in options.cors:
        if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+", origin):
            raise MisuseError(f"--cors {origin}: not an origin. Write it as https://app.example, without a path; * is not taken.")
    return Limits(
        max_upload=round(options.max_upload * MEGABYTE),
        max_duration=options.max_duration,
        max_concurrent=options.max_concurrent,
        queue=options.queue,
        timeout=options.timeout,
        upload_timeout=min(Limits().upload_timeout, options.timeout),
        stop_timeout=options.stop_timeout,
    )


def _token(options: argparse.Namespace) -> str | None:
    if options.token_env is None:
        return None
    token = os.environ.get(options.token_env, "").strip()
    if not token:
        raise MisuseError(f"--token-env {options.token_env}: this environment variable is not set. Set it to the token that clients must show.")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise MisuseError(f"--token-env {options.token_env}: holds a blank or a letter beyond ASCII, which no header carries. Set another token.")
    return token


def named_adapters(given: list[str], folder: Path | None) -> dict[str, Path]:
    """Names to adapter folders, from `NAME=DIR` and from a folder of them.

    Raises:
        MisuseError: a name twice or of letters that no name has, no adapter in the folder, or a link that leads out of it.
    """
    found: dict[str, Path] = {}
    for one in given:
        name, _, where = one.partition("=")
        if not where:
            raise MisuseError(f"--adapter {one}: must be NAME=DIR, such as mine=runs/quickstart/adapter.")
        _put(found, name, Path(where))
    if folder is not None:
        for name, path in _inside(folder):
            _put(found, name, path)
    return found


def _inside(folder: Path) -> list[tuple[str, Path]]:
    if not folder.is_dir():
        raise MisuseError(f"--adapters {folder}: no such folder. Give one whose folders are adapters.")
    top, pairs = folder.resolve(), []
    for path in sorted(folder.iterdir()):
        for candidate in (path, path / "adapter"):  # an adapter, or a run with one
            if (candidate / "adapter_config.json").is_file():
                for part in (candidate, *candidate.iterdir()):
                    if not part.resolve().is_relative_to(top):
                        raise MisuseError(f"--adapters {folder}: {part.relative_to(folder)} is a link that leads out of it. Copy the adapter there.")
                pairs.append((path.name, candidate))
                break
    if not pairs:
        raise MisuseError(f"--adapters {folder}: no adapter in it. Its folders must be adapters, or runs with a folder adapter.")
    return pairs


def _put(found: dict[str, Path], name: str, path: Path) -> None:
    if not NAME.fullmatch(name):
        raise MisuseError(f'adapter name "{name}": must be letters, digits, ".", "_" and "-", at most 64, and begin with a letter or digit.')
    if name in found:
        raise MisuseError(f'two adapters are named "{name}": {found[name]} and {path}. Give one another name.')
    found[name] = path
