"""Whisper's English normalizer, from the light package `whisper-normalizer`: fillers, contractions, numbers, British spelling."""

from collections.abc import Callable

from whisper_normalizer.english import EnglishTextNormalizer

from speechadapt.provenance import package_version

PACKAGE = "whisper-normalizer"


def english_function() -> Callable[[str], str]:
    """OpenAI's rules with their table of about 1,700 British spellings (Radford et al. 2022, appendix C). Apply once: it is not idempotent.

    One defect of the rules is put right: they leave a lone full stop where a text ends in three ("wait..." becomes "wait ."), as
    Whisper's own output often does, and it would count as a word. Words without a letter or digit are dropped.
    """
    normalize = EnglishTextNormalizer()

    def english(text: str) -> str:
        return " ".join(word for word in normalize(text).split() if any(letter.isalnum() for letter in word))

    return english


def english_version() -> str:
    """The package and its version, since another release may count other words, and what was put right."""
    return f"{PACKAGE} {package_version(PACKAGE)}, lone symbols dropped"
