"""Worker: the process of one system. It loads it, decodes what is missing of each manifest, and tells its parent how far it is.

The parent starts `python -m speechadapt.bench.worker`, writes one line of JSON, and keeps the pipe open; when that closes, however the parent
ended, the worker ends too. Messages go to the parent one line of JSON each; whatever libraries print goes to stderr.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import psutil

from speechadapt.bench.recognizer import Clip, ClipError, Recognizer, Said, peak_memory
from speechadapt.bench.store import Line, Store, append_lines, read_lines, rewrite_lines
from speechadapt.bench.systems import KINDS, System, system_from_json
from speechadapt.bench.weights import key_of
from speechadapt.data.manifest import Manifest
from speechadapt.errors import ManifestError, SpeechadaptError


def main() -> int:
    """Work on the job that the first line of stdin describes: 0 when all of it is done, 1 when it cannot be."""
    parent = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _work(job, parent)
    except SpeechadaptError as error:
        _tell(parent, event="error", message=str(error))
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _end_with_parent() -> None:
    # not through sys.stdin: Python aborts at its end when a thread still holds that
    if os.read(0, 1) == b"":
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process().children(recursive=True):  # also those that left our group
                with contextlib.suppress(psutil.Error):
                    child.kill()
        if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)  # and every program that this process has started
        os._exit(1)


def _tell(parent: TextIO, **message: Any) -> None:
    parent.write(json.dumps(message, ensure_ascii=True, default=str) + "\n")
    parent.flush()


def _work(job: dict[str, Any], parent: TextIO) -> None:
    system, store = system_from_json(job["system"]), Store(folder=Path(job["out"]))
    begun = time.perf_counter()
    recognizer: Recognizer = importlib.import_module(f"speechadapt.bench.{KINDS[system.kind].module}").load(system)
    _tell(parent, event="loaded", seconds=time.perf_counter() - begun, facts=recognizer.facts)
    warm = not recognizer.warm
    try:
        for row in job["manifests"]:
            manifest = _read_manifest(row)
            _check_lengths(recognizer, manifest, system)
            key, made_of = key_of(system, manifest, row["audio"], job["threads"])
            path = store.hypotheses(system.name, row["name"], key)
            kept = read_lines(path)
            _tell(parent, event="begun", manifest=row["name"], done=len(kept), of=len(manifest))
            for batch in recognizer.batches([utterance.duration for utterance in manifest]):
                if all(manifest[index].id in kept for index in batch):
                    continue
                clips = [Clip(manifest=manifest, utterance=manifest[index]) for index in batch]
                if not warm:
                    _decoded(recognizer, clips[:1])  # for nothing: the first one pays for memory, compiled kernels and connections
                    warm = True
                lines = _decoded(recognizer, clips)
                append_lines(path, lines)
                kept |= {line.id: line for line in lines}
                _tell(parent, event="batch", manifest=row["name"], done=len(kept))
            rewrite_lines(path, [kept[utterance.id] for utterance in manifest])
            _tell(
                parent,
                event="finished",
                manifest=row["name"],
                key=key,
                made_of=made_of,
                peak=peak_memory(os.getpid()),
                memory=recognizer.memory(),
                facts=recognizer.facts,
            )
    finally:
        recognizer.close()


def _read_manifest(row: dict[str, Any]) -> Manifest:
    manifest = Manifest.read(row["path"])
    manifest.name = row["name"]
    if len(manifest) != row["utterances"]:
        raise ManifestError(f"{row['path']}: has {len(manifest)} utterances, had {row['utterances']} when the bench began. Start it again.")
    return manifest


def _check_lengths(recognizer: Recognizer, manifest: Manifest, system: System) -> None:
    longest = max(manifest, key=lambda utterance: utterance.duration)
    if recognizer.longest is not None and longest.duration > recognizer.longest:
        raise ManifestError(
            f'utterance "{longest.id}" ({manifest.name}): {longest.duration:.1f} s, a system of kind {system.kind} hears at most '
            f"{recognizer.longest:.0f} s at once. Cut it into shorter utterances; speechadapt check finds all of them."
        )


def _decoded(recognizer: Recognizer, clips: Sequence[Clip]) -> list[Line]:
    prepared = recognizer.prepare(clips)
    begun = time.perf_counter()
    try:
        said = recognizer.decode(prepared)
    except ClipError as error:
        raise ClipError(f'utterance "{clips[0].utterance.id}": {error}' if len(clips) == 1 else str(error)) from error
    elapsed = time.perf_counter() - begun
    share = elapsed / sum(clip.utterance.duration for clip in clips)
    return [_line(clip, one, share) for clip, one in zip(clips, said, strict=True)]


def _line(clip: Clip, said: Said, share: float) -> Line:
    timed = round(share * clip.utterance.duration if said.seconds is None else said.seconds, 6)
    return Line(
        id=clip.utterance.id,
        text=said.text,
        seconds=None if said.missing or timed < 0 else timed,
        avg_logprob=said.avg_logprob,
        failure=said.failure,
        missing=said.missing,
    )


if __name__ == "__main__":
    sys.exit(main())
