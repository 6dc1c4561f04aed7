"""Where the files that a corpus names lie; never outside its folder."""

import functools
from collections.abc import Sequence
from pathlib import Path

from speechadapt.errors import AudioError


def find_file(folder: Path, names: Sequence[str]) -> Path | None:
    """The first of `names` that lies in `folder`."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def locate_audio(given: str, roots: Sequence[Path]) -> Path:
    """Where a recording named by a corpus lies: under one of `roots`, never outside them. The case of the name does not matter.

    Args:
        given: the path as the corpus writes it, `/` or `\\` between folders;
        roots: tried in order; an absolute path must lie under the first.

    Raises:
        AudioError: reason `outside-corpus` (the path leaves every root) or `missing`.
    """
    path = Path(given.replace("\\", "/"))
    tried = roots[:1] if path.is_absolute() else roots
    inside = False
    for root in tried:
        base = root.resolve()
        try:
            found = _actual_name(base / path).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL in it, or a link that leads to itself
            raise AudioError("missing", f'"{given[:80]}" is no name that a file can have. Correct the path or the list.') from error
        if found.is_relative_to(base):
            inside = True
            if found.is_file():
                return found
    looked = ", ".join(str(root) for root in tried)
    if inside:
        raise AudioError("missing", f'no file "{given}" under {looked}. Correct the path or the list.')
    advice = "Put the file there and correct the path, or name its folder with --set audio_root=FOLDER where the corpus has that setting."
    if path.is_absolute():
        raise AudioError("outside-corpus", f'"{given}" leaves the folder of the corpus: an absolute path must lie under {looked}. {advice}')
    raise AudioError("outside-corpus", f'"{given}" leaves the folder of the corpus ({looked}). {advice}')


def _actual_name(path: Path) -> Path:
    if path.exists() or not path.parent.is_dir():
        return path
    return path.parent / _names_in(path.parent).get(path.name.casefold(), path.name)


@functools.lru_cache(maxsize=64)
def _names_in(folder: Path) -> dict[str, str]:
    return {child.name.casefold(): child.name for child in folder.iterdir()}
