"""Keep freed memory in the process while training: on Linux the C library hands large blocks back to the kernel at once and asks for them
again at the next step, which cost up to a third of the time of CPU training when measured (docs/log.md)."""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
DEFAULT_THRESHOLD = 128 * 1024
LARGEST = (1 << 31) - 1


@contextlib.contextmanager
def keep_freed_memory() -> Iterator[bool]:
    """Serve large blocks from the heap and keep it until the block ends (glibc only; elsewhere nothing changes).

    Yields:
        Whether it took effect.
    """
    mallopt = _mallopt()
    if mallopt is None:
        yield False
        return
    took = bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, LARGEST))
    try:
        yield took
    finally:
        mallopt(M_MMAP_THRESHOLD, DEFAULT_THRESHOLD)
        mallopt(M_TRIM_THRESHOLD, DEFAULT_THRESHOLD)


def _mallopt() -> "ctypes._NamedFuncPointer | None":
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # musl has neither
        return None
