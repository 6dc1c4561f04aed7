"""Engine: what maps a function over batches of rows. Here the processes of this machine; `ray_engine` has those of a Ray cluster.

An engine is a function of the work, the batches and the number of workers. It holds a bounded number of batches at a time, and
yields each with its number as soon as it is done, so that it can be noted at once; who needs their order sorts by the number.
"""

from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from speechadapt.audio.worker import map_in_workers
from speechadapt.errors import CorpusError

One = TypeVar("One")
Other = TypeVar("Other")

BATCH = 16
"""Rows that go to a process at a time: a tenth of a second of work, a fraction of a millisecond of talk."""


def map_on_processes(
    work: Callable[[list[One]], list[Other]], batches: Iterator[list[One]], *, workers: int, total: int
) -> Iterator[tuple[int, list[Other]]]:
    """Map over processes of this machine; with one worker, in this process.

    Args:
        work: an importable function; it gets a batch and returns as many results in the same order.
        batches: taken as they are needed.
        workers: processes, 1 or more. total: rows in all batches, for messages.

    Yields:
        The number of a batch, from 0, and its results, as they are finished.

    Raises:
        CorpusError: a process died. Whatever `work` raises comes through.
    """
    done = 0
    try:
        for number, results in map_in_workers(work, batches, workers=workers):
            done += len(results)
            yield number, results
    except BrokenProcessPool as error:
        raise CorpusError(
            f"a preparation process died after {done} of {total} rows, perhaps for lack of memory. What was finished is kept. "
            "Run the same command again with --resume --jobs 1."
        ) from error
