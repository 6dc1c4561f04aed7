"""Store: what a benchmark keeps in its folder. Every path in it is made here; hypotheses are appended batch by batch and survive `kill -9`."""

import dataclasses
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from speechadapt.errors import SpeechadaptError
from speechadapt.files import read_json, write_json, write_text

KEY_LETTERS = 16


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The folder of one benchmark."""

    folder: Path

    @property
    def lock(self) -> Path:
        """Held while a bench works here."""
        return self.folder / ".bench.lock"

    def leaderboard(self, suffix: str) -> Path:
        """The result: `.json`, `.md` or `.csv`."""
        return self.folder / f"leaderboard{suffix}"

    def hypotheses(self, system: str, manifest: str, key: str) -> Path:
        """What a system said, one line per utterance; the key stands for the settings and files that decided it."""
        return self.folder / "hypotheses" / system / f"{manifest}.{key[:KEY_LETTERS]}.jsonl"

    def facts(self, system: str, manifest: str, key: str) -> Path:
        """Written when all utterances are there: what was run, how long loading took, memory, machine."""
        return self.hypotheses(system, manifest, key).with_suffix(".json")

    def log(self, system: str) -> Path:
        """What the system's process wrote to stderr on its last start."""
        return self.folder / "logs" / f"{system}.txt"

    def report(self, system: str, manifest: str) -> Path:
        """A score report, as `speechadapt score --out` writes it."""
        return self.folder / "reports" / f"{system}.{manifest}.json"

    def finished(self, system: str, manifest: str, key: str) -> dict[str, Any] | None:
        """The facts of hypotheses that are complete, or None."""
        path = self.facts(system, manifest, key)
        if not path.is_file() or not self.hypotheses(system, manifest, key).is_file():
            return None
        try:
            facts = read_json(path)
        except SpeechadaptError:
            return None  # made again
        return facts if isinstance(facts, dict) and facts.get("key") == key else None

    def finish(self, system: str, manifest: str, key: str, facts: dict[str, Any]) -> None:
        """Say that the hypotheses are complete."""
        write_json(self.facts(system, manifest, key), {"key": key, **facts})

    def forget(self, system: str) -> None:
        """Remove everything that a system said."""
        shutil.rmtree(self.folder / "hypotheses" / system, ignore_errors=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One utterance's line: a hypothesis, and why it is empty where that is not what the system said."""

    id: str
    text: str
    seconds: float | None = None
    avg_logprob: float | None = None
    failure: str | None = None
    missing: bool = False

    def to_json(self) -> dict[str, Any]:
        """A JSON object without what is not known."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None and value is not False}


def read_lines(path: Path) -> dict[str, Line]:
    """What was kept, by id. A last line that was cut by a kill is cut off the file, so that appending goes on after a whole one.

    Lines that are none of ours end the reading there: what follows is made again.
    """
    found: dict[str, Line] = {}
    if not path.is_file():
        return found
    whole = 0
    with path.open("rb") as file:
        for raw in file:
            try:
                row = json.loads(raw) if raw.endswith(b"\n") else None
                line = Line(**row)  # type: ignore[arg-type]
            except (ValueError, TypeError):
                break
            found[line.id] = line
            whole += len(raw)
    if whole < path.stat().st_size:
        os.truncate(path, whole)
    return found


def append_lines(path: Path, lines: Iterable[Line]) -> None:
    """Append one batch by one call, so that a kill leaves all of it, none of it, or a last line that can be seen to be cut.

    Raises:
        SpeechadaptError: the disk is full.
    """
    data = _joined(lines).encode("utf-8", "replace")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            written = 0
            while written < len(data):
                written += file.write(data[written:])
    except OSError as error:
        raise SpeechadaptError(
            f"{path}: could not be written ({error.strerror or error}). Free some space, then run the same command again."
        ) from error


def rewrite_lines(path: Path, lines: Sequence[Line]) -> None:
    """Write the whole file in one step, in the manifest's order, so that other commands can read it."""
    write_text(path, _joined(lines).encode("utf-8", "replace").decode("utf-8"))


def _joined(lines: Iterable[Line]) -> str:
    return "".join(json.dumps(line.to_json(), ensure_ascii=False) + "\n" for line in lines)
