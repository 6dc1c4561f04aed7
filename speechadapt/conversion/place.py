"""Place: where an output may go, so that nothing is overwritten that is not ours."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from speechadapt.conversion.job import AUDIO_FOLDER
from speechadapt.data.manifest import CORPUS_FILE
from speechadapt.errors import MisuseError, SpeechadaptError
from speechadapt.files import read_json, write_json


def refuse_place(out: Path, data: Sequence[Path]) -> None:
    """Refuse an output that would harm what is there; an earlier output of ours with nothing else in it may be replaced.

    Raises:
        MisuseError: `out` is a file, the data itself or within it, holds the data, or holds anything that was not written by a conversion.
    """
    place = out.resolve()
    for given in data:
        source = given.resolve()
        if place == source or (source.is_dir() and place.is_relative_to(source)):
            raise MisuseError(f"{out}: lies in the data it is made of, {given}, and would be mixed into it. Choose a folder outside.")
        if source.is_relative_to(place):
            raise MisuseError(f"{out}: holds the data it is made of, {given}, and would replace it. Choose another folder.")
    if not out.exists():
        return
    if not out.is_dir():
        raise MisuseError(f"{out}: a file, expected a folder to write into. Choose another name.")
    foreign = _foreign(out)
    if foreign is not None:
        raise MisuseError(
            f"{out}: holds {foreign}, which no conversion of this program wrote, and converting replaces the whole folder. "
            "Choose an empty folder, or move that away."
        )


def _foreign(out: Path) -> str | None:
    """The first thing in a folder that its own record does not name."""
    try:
        told = read_json(out / CORPUS_FILE)
    except SpeechadaptError:
        told = None
    about: Any = told.get("conversion") if isinstance(told, dict) else None
    listed = about.get("files") if isinstance(about, dict) else None
    ours = set(listed) if isinstance(listed, list) else set()
    return next((name for name in _walk(out) if name not in ours), None)


def _walk(folder: Path) -> Iterator[str]:
    """Every file as a path from the folder; a folder of audio, which may hold millions, as its own path with a slash behind it."""
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            yield path.name
        elif path.name == AUDIO_FOLDER:
            yield f"{path.name}/"
        else:
            yield from (f"{path.name}/{name}" for name in _walk(path))


def list_files(folder: Path) -> None:
    """Write into `corpus.json` which files the output has."""
    told = read_json(folder / CORPUS_FILE)
    told["conversion"]["files"] = sorted({CORPUS_FILE, *_walk(folder)})
    write_json(folder / CORPUS_FILE, told)
