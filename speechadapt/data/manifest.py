"""Manifest: an immutable sequence of utterances, read from and written to JSON Lines with NeMo's names."""

import dataclasses
import functools
import hashlib
import json
import operator
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError
from speechadapt.files import atomic_path, read_object

CORPUS_FILE = "corpus.json"


class Manifest(Sequence[Utterance]):
    """Utterances in a fixed order, with the folder their relative audio paths start from.

    Iterating, indexing and `len` work as on a tuple. Ids are unique.
    """

    def __init__(self, utterances: Iterable[Utterance], folder: Path, name: str = "manifest") -> None:
        """Args:
            utterances: the lines.
            folder: where relative `audio_filepath`s start.
            name: a short name for messages and reports, usually the path's stem.

        Raises:
            ManifestError: an id stands twice.
        """
        self.utterances = tuple(utterances)
        self.folder = Path(folder)
        self.name = name
        if len({u.id for u in self.utterances}) < len(self.utterances):
            repeated = [key for key, count in Counter(u.id for u in self.utterances).items() if count > 1]
            raise ManifestError(
                f'manifest "{name}": {len(repeated)} ids stand more than once, the first is "{repeated[0]}"; ids must be unique. '
                "Remove or rename the repeated lines."
            )

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Utterance, ...]: ...
    def __getitem__(self, index: int | slice) -> Utterance | tuple[Utterance, ...]:
        return self.utterances[index]

    def __len__(self) -> int:
        return len(self.utterances)

    def __repr__(self) -> str:
        return f"Manifest({self.name!r}, {len(self)} utterances, {self.hours:.2f} h)"

    @classmethod
    def read(cls, path: Path | str) -> "Manifest":
        """Read a whole JSON Lines manifest.

        Raises:
            ManifestError: the file is missing, empty, holds a broken line, or an id twice; the message names the line.
        """
        path = Path(path)
        manifest = cls(stream_manifest(path), folder=path.parent, name=path.stem)
        if not manifest:
            raise ManifestError(f"{path}: no utterance in it. A manifest holds one JSON object per line.")
        return manifest

    def write(self, path: Path | str) -> None:
        """Write JSON Lines in one step, line by line; audio paths are written as they are (relative to `folder`, so write into it)."""
        with atomic_path(Path(path)) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            for u in self.utterances:
                file.write(json.dumps(u.to_json(), ensure_ascii=False, allow_nan=False) + "\n")

    def filter(self, keep: Callable[[Utterance], bool]) -> "Manifest":
        """The utterances for which `keep` says yes, in the same order."""
        return Manifest((u for u in self.utterances if keep(u)), folder=self.folder, name=self.name)

    @property
    def hours(self) -> float:
        """Hours of audio, the sum of the durations."""
        return sum(u.duration for u in self.utterances) / 3600

    @property
    def speakers(self) -> tuple[str, ...]:
        """The known speakers, sorted; utterances without one do not count."""
        return tuple(sorted({u.speaker for u in self.utterances if u.speaker is not None}))

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hex sha256 over ids, times and texts, whatever the order of the lines: two manifests with the same one pose the same test."""
        digest = hashlib.sha256()
        quote = json.encoder.encode_basestring  # a line is the JSON list [id, offset, duration, text], made four times as fast
        for u in sorted(self.utterances, key=operator.attrgetter("id")):
            row = f"[{quote(u.id)}, {round(u.offset, 3)}, {round(u.duration, 3)}, {quote(u.text)}]"
            digest.update(row.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def audio_path(self, utterance: Utterance) -> Path:
        """Where the recording of `utterance` lies.

        Raises:
            ManifestError: a relative path leaves the manifest's folder, or an absolute one lies under none of the
                `audio_roots` that `corpus.json` beside the manifest lists (a manifest from a stranger must not read your disk).
        """
        given = Path(utterance.audio_filepath)
        if not given.is_absolute():
            base = self.folder.resolve()
            path = (base / given).resolve()
            if not path.is_relative_to(base):
                raise ManifestError(
                    f'utterance "{utterance.id}" ({self.name}): audio_filepath "{utterance.audio_filepath}" leaves the folder of its manifest, '
                    f"{base}. Keep the audio beside the manifest, or prepare the corpus with --in-place."
                )
            return path
        path = given.resolve()
        roots = self._audio_roots()
        if not any(path.is_relative_to(root) for root in roots):
            raise ManifestError(
                f'utterance "{utterance.id}" ({self.name}): audio_filepath "{utterance.audio_filepath}" is absolute and lies under none of the '
                f'folders listed as "audio_roots" in {self.folder / CORPUS_FILE} ({", ".join(map(str, roots)) or "none listed"}). '
                "Prepare the corpus with --in-place, or add the folder there if you trust this manifest."
            )
        return path

    def _audio_roots(self) -> tuple[Path, ...]:
        file = self.folder / CORPUS_FILE
        if not file.is_file():
            return ()
        state = file.stat()
        return _read_roots(file, (state.st_ino, state.st_size, state.st_mtime_ns))


@functools.lru_cache(maxsize=64)
def _read_roots(file: Path, state: tuple[int, ...]) -> tuple[Path, ...]:
    """Read again only when the file has changed: a manifest of absolute paths asks for every line."""
    roots = read_object(file).get("audio_roots", [])
    if not isinstance(roots, list) or not all(isinstance(root, str) for root in roots):
        raise ManifestError(f'{file}: "audio_roots" must be a list of folders, as texts. Correct it, or prepare the corpus again.')
    return tuple(Path(root).resolve() for root in roots)


def join_manifests(manifests: Sequence[Manifest], name: str) -> Manifest:
    """One manifest of several, in their order, wherever each of them lies.

    Every audio path is checked by the manifest it comes from, then written relative to the deepest folder that holds all of the audio.

    Args:
        manifests: at least one.
        name: of the whole.

    Raises:
        ManifestError: an id stands twice, or a path is refused (see `Manifest.audio_path`).
    """
    rows = [(utterance, manifest.audio_path(utterance)) for manifest in manifests for utterance in manifest]
    folder = Path(os.path.commonpath([path.parent for _, path in rows])) if rows else manifests[0].folder
    return Manifest((dataclasses.replace(u, audio_filepath=path.relative_to(folder).as_posix()) for u, path in rows), folder=folder, name=name)


def stream_manifest(path: Path | str) -> Iterator[Utterance]:
    """Read a manifest line by line without keeping it, for manifests of millions of lines. A byte-order mark and blank lines are tolerated.

    Raises:
        ManifestError: the file is missing or a line is broken; the message names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest. Check the path, or make it with: speechadapt prepare")
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                place = f"{path.name}, line {number}"
                if number == 1 and line.lstrip().startswith("["):
                    raise ManifestError(f"{place}: a JSON array, expected JSON Lines. Write one object per line, without brackets and commas.")
                yield parse_line(line, place)
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not UTF-8 text (byte {error.start}). Save the manifest as UTF-8.") from error


def parse_line(line: str, place: str) -> Utterance:
    """One line of a manifest.

    Raises:
        ManifestError: not JSON, or not an utterance; `place` (`train.jsonl, line 17`) stands in the message.
    """
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ManifestError(f"{place}: not valid JSON ({error.msg}, column {error.colno}). Write one JSON object per line.") from error
    return Utterance.from_json(row, place)
