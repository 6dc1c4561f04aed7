"""Engine: what maps a function over batches of rows. Here the processes of this machine; `ray_engine` has those of a Ray cluster.

An engine is a function of the work, the batches and the number of workers. It holds a bounded number of batches at a time, and
yields each with its number as soon as it is done, so that it can be noted at once; who needs their order sorts by the number.
"""

import concurrent.futures
import concurrent.futures.process
import multiprocessing
from collections.abc import Callable, Iterator
from typing import TypeVar

from speechadapt.audio.worker import begin_worker
from speechadapt.errors import CorpusError

One = TypeVar("One")
Other = TypeVar("Other")

BATCH = 16
"""Rows that go to a process at a time: a tenth of a second of work, a fraction of a millisecond of talk."""

WAITING = 3
"""Batches held for each process, so that none waits for the next."""


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
    if workers == 1:
        yield from ((number, work(batch)) for number, batch in enumerate(batches))
        return
    # spawn: a forked child inherits the locks of threads (progress bar, audio and math libraries) that do not exist in it
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context, initializer=begin_worker) as pool:
        running: dict[concurrent.futures.Future[list[Other]], int] = {}
        number, done, more = 0, 0, True
        try:
            while more or running:
                while more and len(running) < WAITING * workers:
                    batch = next(batches, None)
                    more = batch is not None
                    if batch is not None:
                        running[pool.submit(work, batch)] = number
                        number += 1
                ready, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in ready:
                    results = future.result()
                    done += len(results)
                    yield running.pop(future), results
        except concurrent.futures.process.BrokenProcessPool as error:
            raise CorpusError(
                f"a preparation process died after {done} of {total} rows, perhaps for lack of memory. What was finished is kept. "
                "Run the same command again with --resume --jobs 1."
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
