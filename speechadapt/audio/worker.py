"""Worker: a process that reads recordings for another one, and does not outlive it."""

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

One = TypeVar("One")
Other = TypeVar("Other")

WAITING = 3
"""Batches held for each worker, so that none waits for the next."""


def begin_worker() -> None:
    """What every worker process does first: leave Ctrl-C to its parent, and end when the parent ends in any way, `kill -9` too.

    Without this the workers of a killed command would wait for work forever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def map_in_workers(work: Callable[[list[One]], list[Other]], batches: Iterator[list[One]], *, workers: int) -> Iterator[tuple[int, list[Other]]]:
    """Map over worker processes; with one worker, in this process.

    Args:
        work: an importable function; it gets a batch and returns as many results in the same order.
        batches: taken as they are needed, at most `WAITING` for each worker.
        workers: processes, 1 or more.

    Yields:
        The number of a batch, from 0, and its results, as they are finished.

    Raises:
        concurrent.futures.process.BrokenProcessPool: a worker died. Whatever `work` raises comes through.
    """
    if workers == 1:
        yield from ((number, work(batch)) for number, batch in enumerate(batches))
        return
    # spawn: a forked child inherits the locks of threads (progress bar, audio and math libraries) that do not exist in it
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context, initializer=begin_worker) as pool:
        running: dict[concurrent.futures.Future[list[Other]], int] = {}
        number, more = 0, True
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
                    yield running.pop(future), future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
