"""Split lists: which id belongs to which part, as plain text files, so that others can repeat a division on their copy of a corpus."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speechadapt.data.manifest import Manifest
from speechadapt.data.splits import Split, make_split
from speechadapt.data.utterance import LONGEST_ID, SPLITS
from speechadapt.errors import ManifestError
from speechadapt.files import read_json, write_json, write_text

LISTS_FOLDER = "splits"
ABOUT_FILE = "split.json"
LARGEST_LIST = 1 << 30
"""Bytes: about thirty million ids."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SplitLists:
    """A division as ids.

    Attributes:
        folder: where the lists lie. ids: by part (train, dev, test), each id in one part only; a part may be missing.
        about: what `split.json` beside them says (rule, seed, shares, corpus, counts, fingerprints), or nothing.
    """

    folder: Path
    ids: dict[str, tuple[str, ...]]
    about: dict[str, Any]

    @property
    def rule(self) -> str:
        """How the division was made, as far as the lists say: `speaker, seed 3`; empty where they do not."""
        rule, seed = self.about.get("rule"), self.about.get("seed")
        return "" if not isinstance(rule, str) else f"{rule}, seed {seed}" if isinstance(seed, int) else rule


def has_lists(folder: Path) -> bool:
    """Whether the folder holds train.txt, dev.txt or test.txt."""
    return any((folder / f"{name}.txt").is_file() for name in SPLITS)


def make_lists(parts: Mapping[str, Manifest], *, about: Mapping[str, Any]) -> SplitLists:
    """The lists of a division, not written yet.

    Args:
        about: rule, seed, shares and corpus; counts and fingerprints of the parts are added.
    """
    counts = {name: len(part) for name, part in parts.items()}
    fingerprints = {name: part.fingerprint for name, part in parts.items()}
    ids = {name: tuple(u.id for u in part) for name, part in parts.items()}
    return SplitLists(folder=Path(), ids=ids, about={**about, "counts": counts, "fingerprints": fingerprints})


def write_lists(folder: Path, lists: SplitLists) -> None:
    """Write one id per line to `PART.txt` for every part, and beside them `split.json` with how they were made.

    Lists of other parts are removed, so that nothing of an earlier division is left.
    """
    for name in SPLITS:
        if name in lists.ids:
            write_text(folder / f"{name}.txt", "".join(f"{key}\n" for key in lists.ids[name]))
        else:
            (folder / f"{name}.txt").unlink(missing_ok=True)
    write_json(folder / ABOUT_FILE, lists.about)


def remove_lists(folder: Path) -> None:
    """Remove the lists of a division that is no longer there, and the folder if nothing else lies in it."""
    for name in (*(f"{part}.txt" for part in SPLITS), ABOUT_FILE):
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def read_lists(folder: Path) -> SplitLists:
    """Read the lists of a folder; blank lines, a byte-order mark, and an id that one list repeats are tolerated.

    Raises:
        ManifestError: no list is there, one is not UTF-8, too large or holds a line that can be no id, or an id stands in two of them.
    """
    folder = Path(folder)
    if not has_lists(folder):
        wanted = ", ".join(f"{name}.txt" for name in SPLITS)
        raise ManifestError(f"{folder}: holds none of {wanted}. Give a folder with lists of ids, such as the splits/ of a prepared corpus.")
    ids = {name: _read_ids(folder / f"{name}.txt") for name in SPLITS if (folder / f"{name}.txt").is_file()}
    place: dict[str, str] = {}
    for name, keys in ids.items():
        for key in keys:
            if place.setdefault(key, name) != name:
                first, second = folder / f"{place[key]}.txt", folder / f"{name}.txt"
                raise ManifestError(f'id "{key}": stands in {first} and in {second}, must be in one part only. Remove it from one of them.')
    about = read_json(folder / ABOUT_FILE) if (folder / ABOUT_FILE).is_file() else {}
    return SplitLists(folder=folder, ids=ids, about=about if isinstance(about, dict) else {})


def _read_ids(path: Path) -> tuple[str, ...]:
    size = path.stat().st_size
    if size > LARGEST_LIST:
        raise ManifestError(f"{path}: {size / 2**30:.1f} GiB, a list of ids has at most {LARGEST_LIST / 2**30:g} GiB. Check that it is one.")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not UTF-8 text (byte {error.start}). Save the list as UTF-8.") from error
    found: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        key = line.removesuffix("\r")
        if not key.strip():
            continue
        if len(key) > LONGEST_ID or not key.isprintable():
            raise ManifestError(
                f"{path}, line {number}: {len(key)} characters, an id has at most {LONGEST_ID} printable ones. A list holds one id in each line."
            )
        found[key] = None
    return tuple(found)


def apply_lists(manifest: Manifest, lists: SplitLists) -> tuple[Split, dict[str, tuple[str, ...]]]:
    """Divide a manifest as the lists say; a row that stands in none of them is left out (`not-listed`).

    Returns:
        The division, and the listed ids that the manifest does not hold, by part.

    Raises:
        ManifestError: the manifest holds none of the listed ids.
    """
    place = {key: name for name, ids in lists.ids.items() for key in ids}
    known = {u.id for u in manifest}
    if not known & set(place):
        listed = next(iter(place), None)
        theirs = f'the first is "{listed}"' if listed is not None else "they are empty"
        raise ManifestError(
            f'{lists.folder}: none of the {len(place)} listed ids is in "{manifest.name}"; {theirs}, those of the corpus look like '
            f'"{min(known, default="")}". Give the lists of this corpus, with ids as the manifests write them.'
        )
    unknown = {name: missing for name, ids in lists.ids.items() if (missing := tuple(key for key in ids if key not in known))}
    unlisted = tuple(u.id for u in manifest if u.id not in place)
    rule = f" ({lists.rule})" if lists.rule else ""
    notes = [f"divided by the lists in {lists.folder}{rule}"]
    notes += [f"{lists.folder / name}.txt: {_count(ids, len(lists.ids[name]))} not in the corpus: {_shown(ids)}" for name, ids in unknown.items()]
    if unlisted:
        notes.append(f"{_count(unlisted, len(manifest), 'rows')} in no list and left out: {_shown(unlisted)}")
    return make_split(manifest, place, left_out={"not-listed": unlisted} if unlisted else {}, notes=tuple(notes)), unknown


def compare_with_lists(parts: Mapping[str, Manifest], lists: SplitLists) -> str:
    """Whether the parts are what the lists were made of, by the fingerprints of ids, times and texts; empty where the lists hold none."""
    told = lists.about.get("fingerprints")
    if not isinstance(told, dict) or not told:
        return ""
    other = [name for name in SPLITS if (name in parts or name in told) and (name not in parts or parts[name].fingerprint != told.get(name))]
    if not other:
        return "ids, times and texts of every part are those the lists were made of"
    return f"{' and '.join(other)}: ids, times or texts differ from those the lists were made of, so scores must not be put side by side"


def _count(ids: Sequence[str], total: int, what: str = "ids") -> str:
    return f"{len(ids)} of {total} {what} {'is' if len(ids) == 1 else 'are'}"


def _shown(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return ", ".join(f'"{key}"' for key in ids[:3]) + more
