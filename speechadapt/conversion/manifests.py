"""Manifests: which of them are converted, and the split each of them is."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from speechadapt.data.manifest import Manifest, stream_manifest
from speechadapt.data.utterance import SPLITS, Utterance
from speechadapt.errors import ManifestError, MisuseError
from speechadapt.preparation.fields import split_of_name

ALL = "all"
"""The part of rows that nobody has divided yet."""
PARTS = (*SPLITS, ALL)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a corpus: train, dev, test, or all where it is not divided; and its manifests in the order they are read."""

    name: str
    manifests: tuple[Path, ...]


def find_parts(data: Sequence[Path], splits: Sequence[str] | None = None) -> tuple[Part, ...]:
    """The parts that a user names, in the order train, dev, test.

    Args:
        data: folders that `prepare` wrote, and manifests, whose names tell their splits (`train.jsonl`, `my_dev.jsonl`); of a manifest whose
            name tells none the rows are not divided.
        splits: only these of them.

    Raises:
        ManifestError: a manifest is missing.
        MisuseError: a split that is none, or that no manifest is for; or manifests of which some tell their split and others do not.
    """
    found: dict[str, list[Path]] = {}
    for path in data:
        for name, manifest in _find(path):
            found.setdefault(name, []).append(manifest)
    for name in splits or ():
        if name not in found:
            there = ", ".join(part for part in PARTS if part in found)
            raise MisuseError(f'--splits "{name}": no manifest of that name; there are: {there}. Name one or more of them, with commas between.')
    chosen = tuple(Part(name=name, manifests=tuple(found[name])) for name in PARTS if name in found and (not splits or name in splits))
    if len(chosen) > 1 and chosen[-1].name == ALL:
        raise MisuseError(
            f"{chosen[-1].manifests[0]}: its name tells no split, and {chosen[0].manifests[0].name} is {chosen[0].name}. "
            "Rename it so that its name says train, dev or test, or leave it out."
        )
    return chosen


def _find(path: Path) -> list[tuple[str, Path]]:
    if not path.is_dir():
        if not path.is_file():
            raise ManifestError(f"{path}: no such manifest or prepared folder. Check the path, or make it with: speechadapt prepare")
        return [(split_of_name(path.stem) or ALL, path)]
    divided = [(name, path / f"{name}.jsonl") for name in SPLITS if (path / f"{name}.jsonl").is_file()]
    whole = path / f"{ALL}.jsonl"
    if not divided and not whole.is_file():
        there = ", ".join(sorted(child.name for child in path.iterdir())[:8]) or "nothing"
        raise ManifestError(
            f"{path}: no manifest in it; looked for train.jsonl, dev.jsonl, test.jsonl and all.jsonl, found: {there}. "
            "Give a folder that speechadapt prepare wrote, or manifests."
        )
    return divided or [(ALL, whole)]


def stream_part(part: Part) -> Iterator[tuple[Manifest, Utterance]]:
    """The rows of a part, each with an empty manifest of its folder, which knows where its audio may lie.

    Raises:
        ManifestError: a line is broken, or there is none.
    """
    for path in part.manifests:
        folder = Manifest((), folder=path.parent, name=path.stem)
        empty = True
        for utterance in stream_manifest(path):
            empty = False
            yield folder, utterance
        if empty:
            raise ManifestError(f"{path}: no utterance in it. A manifest holds one JSON object per line.")
