"""Fixtures of the server's tests: random models with three adapters, and a server over them that all tests of a module share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from plain_library import PlainLibrary
from running_server import Running, running, write_adapter

from speechadapt.serve.library import AdapterLibrary

ADAPTERS = ("north", "south", "west")


@pytest.fixture(scope="session")
def adapters(whisper_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three adapters of the random English Whisper, each of which makes it write something else."""
    base = str(whisper_folder("english"))
    folder = tmp_path_factory.mktemp("adapters")
    return {name: write_adapter(base, folder / name, seed) for seed, name in enumerate(ADAPTERS)}


@pytest.fixture(scope="session")
def library(whisper_folder: Callable[[str], Path], adapters: dict[str, Path]) -> AdapterLibrary:
    made = AdapterLibrary(str(whisper_folder("english")), device="cpu")
    for name, folder in adapters.items():
        made.add(name, folder)
    return made


@pytest.fixture(scope="session")
def plain(whisper_folder: Callable[[str], Path], adapters: dict[str, Path]) -> PlainLibrary:
    """What the library must agree with: a whole model per adapter, one clip at a time."""
    return PlainLibrary(str(whisper_folder("english")), adapters)


@pytest.fixture(scope="module")
def server(library: AdapterLibrary) -> Iterator[Running]:
    with running(library) as one:
        yield one
