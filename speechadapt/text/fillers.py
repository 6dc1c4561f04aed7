"""Fillers: words of hesitation, which some transcribers write and others do not, and which no reader misses."""

from speechadapt.errors import MisuseError
from speechadapt.text.languages import primary_language

FILLERS_VERSION = "1"
FILLERS = {
    "da": "øh øhm hm mm",
    "de": "äh ähm öh öhm hm hmm mhm mm",
    "en": "ah ahh eh em er erm hm hmm hmmm huh mhm mm mmm uh uhh uhm uhuh um umm",
    "es": "eh ehh em emm mm mmm hm",
    "et": "ee mm hm",
    "fi": "öö ää ömm mm hmm",
    "fr": "euh heu euhm hum hm mm",
    "it": "eh ehm em mh mm hm",
    "nl": "eh ehm uh uhm hm mm",
    "no": "eh øh hm mm",
    "pl": "eee yyy ym hm mm",
    "pt": "hã ãh eh hum hm mm",
    "ru": "э ээ эээ эм ммм мм хм гм",
    "sv": "eh äh öh öhm hm mm",
    "tr": "ee eee ıı ııı hmm mm",
    "uk": "е ее еее ем ммм мм хм",
    "zh": "呃 嗯 唔",
}
"""Sounds alone: words that also mean something (like, well, 那个, donc, also) are somebody's to decide, with a lexicon of their own."""


def fillers_of(language: str) -> tuple[str, ...]:
    """The fillers of a language.

    Args:
        language: BCP-47 tag or ISO 639-3 code.

    Raises:
        MisuseError: there is no list for it.
    """
    words = FILLERS.get({"cmn": "zh"}.get(primary_language(language), primary_language(language)))
    if words is None:
        raise MisuseError(
            f'there is no list of fillers for language "{language}"; there are: {", ".join(FILLERS)}. '
            "Leave the option out, or list the words in a lexicon, each with nothing after its tab."
        )
    return tuple(words.split())
