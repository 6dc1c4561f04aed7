"""How hard the lists of corpora are fuzzed: a hundred examples or so by default, as many as FUZZ_EXAMPLES says in `make fuzz`."""

import os
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

ASKED = int(os.environ.get("FUZZ_EXAMPLES", "0"))


def fuzz(examples: int = 100) -> Callable[[Any], Any]:
    """The settings of a fuzz test: `examples` mutated inputs, or FUZZ_EXAMPLES where that is more, the same ones in every run."""
    chosen = settings(
        max_examples=max(examples, ASKED),
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    return lambda test: pytest.mark.fuzz(chosen(test))


def lines_in(data: bytes, ends: str = "\r\n|\r|\n") -> int:
    """Lines that hold more than blanks, counted apart from every reader: what a list must account for, header included."""
    return sum(bool(line.strip()) for line in re.split(ends, data.decode("utf-8-sig", "replace")))


SPOILT = ["\0", "\r", "\t", '"', "\\", "\u2028", "\x85", "\ud800", "../x", "/etc/passwd", "NA", "nan", "-1", "1e999", "٣", "'", " ", ""]
"""What stands in real lists and breaks readers of them."""


def spoil(data: bytes, places: list[tuple[float, int, bytes | str]]) -> bytes:
    """A list with some of its bytes replaced: (where, 0 to 1; how many bytes go; what comes instead) each."""
    spoilt = bytearray(data)
    for place, gone, come in places:
        at = int(place * len(spoilt))
        spoilt[at : at + gone] = come if isinstance(come, bytes) else come.encode("utf-8", "surrogatepass")
    return bytes(spoilt)


places = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(SPOILT) | st.binary(max_size=6)), min_size=1, max_size=4)
