"""Whisper's English normalizer, from the light package `whisper-normalizer`: fillers, contractions, numbers, British spelling."""

from collections.abc import Callable
from typing import cast

from whisper_normalizer.english import EnglishTextNormalizer

from speechadapt.provenance import package_version

PACKAGE = "whisper-normalizer"


def english_function() -> Callable[[str], str]:
    """OpenAI's rules with their table of about 1,700 British spellings (Radford et al. 2022, appendix C). Apply once: it is not idempotent."""
    return cast(Callable[[str], str], EnglishTextNormalizer())


def english_version() -> str:
    """The package and its version: another release may count other words."""
    return f"{PACKAGE} {package_version(PACKAGE)}"
