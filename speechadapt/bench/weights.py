"""What a system runs, told apart without loading it: sizes and times of its files, or the commit of a model of the Hub."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from speechadapt import __version__
from speechadapt.bench.systems import (
    KINDS,
    MANIFEST,
    CommandSystem,
    FasterWhisperSystem,
    HypothesesSystem,
    System,
    TransformersSystem,
)
from speechadapt.data.manifest import Manifest
from speechadapt.errors import AudioError, SpeechadaptError
from speechadapt.files import read_json
from speechadapt.provenance import package_version

MOST_FILES = 10_000
EMBEDDED = "embedded:"


def key_of(system: System, manifest: Manifest, audio: str, threads: int | None) -> tuple[str, dict[str, Any]]:
    """What decides a system's hypotheses and times on a manifest: where any of it changes they are made anew.

    The references' texts are not part of it, nor is the normalizer: a corrected reference is scored again, not decoded again. A folder counts by
    the names, sizes and times of its files, wherever it lies, so that a benchmark may be moved as a whole.

    Args:
        audio: `audio_fingerprint` of the manifest, or `ids_fingerprint` for a system that does not hear.
        threads: given to each system.

    Returns:
        A hex sha256, and what it was made of.
    """
    settings = {key: value for key, value in system.to_json()["settings"].items() if key not in ("retries", "timeout", "file")}
    made_of = {
        "kind": system.kind,
        "settings": {key: "" if _in_weights(system, key) else value for key, value in settings.items()},
        "weights": _weights(system, manifest.name),
        "threads": threads,
        "versions": {"speechadapt": __version__} | {name: package_version(name) for name in KINDS[system.kind].packages},
        "audio": audio,
    }
    return hashlib.sha256(json.dumps(made_of, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest(), made_of


def ids_fingerprint(manifest: Manifest) -> str:
    """Hex sha256 over ids, for systems that need no recordings."""
    return hashlib.sha256(json.dumps(sorted(row.id for row in manifest)).encode()).hexdigest()


def audio_fingerprint(manifest: Manifest) -> str:
    """Hex sha256 over ids, times and recordings: their digests where the manifest has them, else sizes and times of change.

    Raises:
        AudioError: a recording does not exist; the message names the utterance.
    """
    seen: dict[Path, tuple[int, int]] = {}
    digest = hashlib.sha256()
    for row in sorted(manifest, key=lambda row: row.id):
        path = manifest.audio_path(row)
        if path not in seen:
            try:
                state = path.stat()
            except OSError as error:
                raise AudioError("missing", f'utterance "{row.id}" ({manifest.name}): {path}: no such audio file. Correct the path.') from error
            seen[path] = (state.st_size, state.st_mtime_ns)
        recording = [row.audio_sha1] if row.audio_sha1 else list(seen[path])
        digest.update(json.dumps([row.id, round(row.offset, 3), round(row.duration, 3), *recording], ensure_ascii=False).encode())
    return digest.hexdigest()


def hypotheses_path(settings: HypothesesSystem, manifest: str) -> Path:
    """The file that holds a manifest's hypotheses."""
    return Path(str(settings.file).replace(MANIFEST, manifest))


def program_of(command: tuple[str, ...], folder: Path) -> str | None:
    """The program a command runs: a path as it stands from `folder`, else what PATH has; None if there is none."""
    first = command[0]
    if os.sep in first or (os.altsep and os.altsep in first):
        found = folder / Path(first).expanduser()
        return str(found) if found.is_file() and os.access(found, os.X_OK) else None
    return shutil.which(first)


def _in_weights(system: System, key: str) -> bool:
    """Paths, whose place means nothing, stand among the weights."""
    value = getattr(system.settings, key)
    return isinstance(value, Path) or (key in ("base", "model") and Path(str(value)).is_dir())


def _weights(system: System, manifest: str) -> dict[str, Any]:
    settings = system.settings
    if isinstance(settings, CommandSystem):
        named = [system.folder / word for word in settings.command]
        program = program_of(settings.command, system.folder)
        return {"program": _files(Path(program)) if program else None, "files": [_files(path) for path in named if path.is_file()]}
    if isinstance(settings, HypothesesSystem):
        return {"file": _files(hypotheses_path(settings, manifest))}
    if isinstance(settings, FasterWhisperSystem):
        sized = settings.model if "/" in settings.model else f"Systran/faster-whisper-{settings.model}"
        return {"model": _files(Path(settings.model)) if Path(settings.model).is_dir() else _commit(sized, None, "model.bin")}
    found = {key: _files(value) for key in ("adapter", "lm", "folder") if isinstance(value := getattr(settings, key, None), Path)}
    if isinstance(settings, TransformersSystem):
        found["base"] = _base(settings)
    return found


def _base(settings: TransformersSystem) -> Any:
    base = settings.base
    if base is None and settings.adapter is not None:
        try:
            facts = read_json(settings.adapter / "speechadapt.json")
            base = facts.get("base_id") if isinstance(facts, dict) else None
        except (OSError, SpeechadaptError):
            base = None  # loading it will say what is wrong
    if not isinstance(base, str):
        return None
    if base.startswith(EMBEDDED):
        return base
    return _files(Path(base)) if Path(base).is_dir() else _commit(base, settings.revision, "config.json")


def _commit(name: str, revision: str | None, file: str) -> str:
    """`owner/name@commit` of what the Hub's cache holds; without a commit where it holds nothing (an offline package, pinned by its digest)."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, file, revision=revision)
    except HFValidationError:
        return name
    return f"{name}@{Path(found).parent.name}" if isinstance(found, str) else name


def _files(path: Path) -> Any:
    """Names, sizes and times of change below a folder, or those of a file; None where nothing is."""
    if path.is_file():
        return _state(path, path.name)
    if not path.is_dir():
        return None
    rows = []
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        rows += [_state(Path(folder) / name, (Path(folder) / name).relative_to(path).as_posix()) for name in sorted(names) if name[0] != "."]
        if len(rows) > MOST_FILES:
            break
    return rows


def _state(path: Path, name: str) -> list[Any]:
    try:
        state = path.stat()
    except OSError:
        return [name, None, None]
    return [name, state.st_size, state.st_mtime_ns]
