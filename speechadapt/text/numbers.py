"""Numbers as words on both sides of a score, where a corpus writes `21` and a system says `twenty-one`, or the other way round."""

import functools
import re
from collections.abc import Callable

from speechadapt.errors import LabelError
from speechadapt.provenance import package_version
from speechadapt.text.spelling import spell_numbers

NUMBERS_VERSION = "1"
_CHUNK = re.compile(r"\S*\d\S*")


def numbers_function(language: str) -> Callable[[str], str]:
    """Digits as cardinal words (English 1st as an ordinal), by num2words.

    What cannot be read (`1990s`, `1/2`, a language without number words) stays as it is: a score must not fail for it, and both sides keep it.
    """
    return functools.partial(_numbers_as_words, language=language)


def numbers_version() -> str:
    """Our own version and the package's."""
    return f"numbers {NUMBERS_VERSION} num2words {package_version('num2words')}"


def _numbers_as_words(text: str, language: str) -> str:
    return _CHUNK.sub(lambda match: _read(match[0], language), text)


@functools.lru_cache(maxsize=65536)
def _read(chunk: str, language: str) -> str:
    try:
        return spell_numbers(chunk, language)
    except LabelError:
        return chunk
