"""Whisper's normalizer for languages other than English, as published: for comparison with scores that were made by it."""

from collections.abc import Callable

from whisper_normalizer.basic import BasicTextNormalizer

from speechadapt.provenance import package_version

PACKAGE = "whisper-normalizer"


def whisper_basic_function(*, remove_diacritics: bool) -> Callable[[str], str]:
    """OpenAI's rules (Radford et al. 2022, appendix C): every mark, symbol and punctuation sign becomes a blank.

    Vowel signs are marks, so every word of Devanagari, Tamil or Thai falls into pieces (openai/whisper pull request 2849). Published
    scores of such languages were often made so; they are not comparable with others.

    Args:
        remove_diacritics: take letters apart and drop their accents instead, as the published rules can.
    """
    normalize: Callable[[str], str] = BasicTextNormalizer(remove_diacritics=remove_diacritics)
    return normalize


def whisper_basic_version() -> str:
    """The package and its version."""
    return f"{PACKAGE} {package_version(PACKAGE)}"
