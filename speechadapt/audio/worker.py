"""Worker: a process that reads recordings for another one, and does not outlive it."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading


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
