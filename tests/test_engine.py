"""Engines: batches go in, results come out with their numbers, and no more of them are held than there is work for."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from speechadapt.audio.worker import WAITING, begin_worker
from speechadapt.errors import AudioError, CorpusError, MissingExtraError
from speechadapt.preparation.engine import map_on_processes


def square(batch: list[int]) -> list[int]:
    return [number * number for number in batch]


def fail(batch: list[int]) -> list[int]:
    if 7 in batch:
        raise AudioError("missing", "seven is missing")
    return batch


def die(batch: list[int]) -> list[int]:
    os._exit(3)


def wait_for_file(batch: list[str]) -> list[int]:
    while not Path(batch[0]).exists():
        time.sleep(0.01)
    return [os.getpid()]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_batch_comes_back_with_its_number(workers: int) -> None:
    batches = [[number, number + 1] for number in range(0, 40, 2)]
    assert dict(map_on_processes(square, iter(batches), workers=workers, total=40)) == {n: square(batch) for n, batch in enumerate(batches)}
    assert list(map_on_processes(square, iter([]), workers=workers, total=0)) == []


def test_no_more_batches_are_taken_than_workers_need(tmp_path: Path) -> None:
    taken = 0

    def batches() -> Iterator[list[str]]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield [str(tmp_path / "go") if number else str(tmp_path)]

    results = map_on_processes(wait_for_file, batches(), workers=2, total=1000)
    next(results)  # only the first batch can be done yet
    assert taken == WAITING * 2
    (tmp_path / "go").touch()
    next(results)
    assert taken <= WAITING * 2 + 2
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_work_raises_comes_through(workers: int) -> None:
    with pytest.raises(AudioError, match="seven is missing") as caught:
        list(map_on_processes(fail, iter([[n] for n in range(20)]), workers=workers, total=20))
    assert caught.value.reason == "missing"


def test_a_worker_that_dies_is_told_with_the_rows_done() -> None:
    with pytest.raises(
        CorpusError, match=r"died after 0 of 2 rows, .* What was finished is kept\. Run the same command again with --resume --jobs 1"
    ):
        list(map_on_processes(die, iter([[1], [2]]), workers=2, total=2))


def test_a_process_without_a_parent_worker_has_nothing_to_follow() -> None:
    import signal

    before = signal.getsignal(signal.SIGINT)
    try:
        begin_worker()
    finally:
        signal.signal(signal.SIGINT, before)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from speechadapt.preparation.ray_engine import map_on_ray

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"Ray \(--engine ray\) is not installed\. Install it with: pip install 'speechadapt\[ray\]'"):
        list(map_on_ray(square, iter([[1]]), workers=1, total=1, address=None, probe=None, needed=[]))
