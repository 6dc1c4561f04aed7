"""What a scorer must know of a language: which marks inside a word belong to it, its letter i, and whether it writes blanks."""

import dataclasses

from speechadapt.errors import MisuseError

ARABIC_VOWELS = "".join(map(chr, [*range(0x0610, 0x061B), *range(0x064B, 0x0653), 0x0670, *range(0x06D6, 0x06DD)]))
HEBREW_POINTS = "".join(map(chr, [*range(0x0591, 0x05BE), 0x05BF, 0x05C1, 0x05C2, 0x05C4, 0x05C5, 0x05C7]))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LanguageRules:
    """How `basic` treats one language.

    Attributes:
        inner: punctuation that stays where it stands between two letters; every kind of apostrophe is written `'` first.
        edge_apostrophe: the apostrophe is a letter (glottal stop, ejective) and stays at the ends of a word too.
        dotless_i: `I` is the capital of `ı`, and `İ` of `i`.
        dropped_marks: vowel points that everyday spelling leaves out, removed without leaving a blank.
        spaced: words are set apart by blanks; where they are not, each character is counted as a word.
    """

    inner: str = "'"
    edge_apostrophe: bool = False
    dotless_i: bool = False
    dropped_marks: str = ""
    spaced: bool = True


DEFAULT_RULES = LanguageRules()
TURKIC = LanguageRules(dotless_i=True)
REDUPLICATING = LanguageRules(inner="'-")  # anak-anak is one word, and so is mag-aral
GLOTTAL = LanguageRules(edge_apostrophe=True)
ARABIC = LanguageRules(dropped_marks=ARABIC_VOWELS)
UNSPACED = LanguageRules(spaced=False)

RULES = {
    **dict.fromkeys(("tr", "az", "crh", "tt"), TURKIC),
    **dict.fromkeys(("id", "ms", "jv", "su", "tl", "fil"), REDUPLICATING),
    **dict.fromkeys(("haw", "sm", "to", "ty", "uz", "nv"), GLOTTAL),
    **dict.fromkeys(("ar", "arz", "ary", "apc", "ajp", "afb", "acm"), ARABIC),
    **dict.fromkeys(("zh", "cmn", "yue", "nan", "wuu", "ja", "th", "lo", "km", "my", "bo", "dz"), UNSPACED),
    "he": LanguageRules(dropped_marks=HEBREW_POINTS),
    "yi": LanguageRules(),  # Yiddish points are letters: they stay, unlike Hebrew's
    "ca": LanguageRules(inner="'·"),  # col·legi
}


TWO_LETTERS = {
    **{"amh": "am", "ara": "ar", "arb": "ar", "aze": "az", "azj": "az", "bel": "be", "ben": "bn", "cat": "ca", "ces": "cs", "che": "ce"},
    **{"cym": "cy", "dan": "da", "deu": "de", "eng": "en", "epo": "eo", "fas": "fa", "fin": "fi", "fra": "fr", "heb": "he", "hun": "hu"},
    **{"ind": "id", "isl": "is", "ita": "it", "jav": "jv", "jpn": "ja", "kan": "kn", "kaz": "kk", "kor": "ko", "lav": "lv", "lit": "lt"},
    **{"mal": "ml", "msa": "ms", "nld": "nl", "nob": "no", "nno": "no", "nb": "no", "nn": "no", "pes": "fa", "pol": "pl", "por": "pt"},
    **{"ron": "ro", "rus": "ru", "slk": "sk", "slv": "sl", "spa": "es", "srp": "sr", "sun": "su", "swe": "sv", "tel": "te", "tgk": "tg"},
    **{"tgl": "tl", "tha": "th", "tur": "tr", "ukr": "uk", "uzb": "uz", "vie": "vi", "zlm": "ms", "zsm": "ms"},
}
"""ISO 639-3 codes, which MMS uses, of languages with number words or spelling rules of their own."""


def primary_language(tag: str) -> str:
    """The language of a BCP-47 tag or ISO 639-3 code, in two letters where there are two: `en-GB` and `eng` are `en`, `yue` stays."""
    first = tag.replace("_", "-").split("-")[0].lower()
    return TWO_LETTERS.get(first, first)


def language_rules(language: str | None) -> LanguageRules:
    """The rules of a BCP-47 tag, found by its first part (`tr-TR` is `tr`); languages without an entry follow the default.

    Raises:
        MisuseError: the tag does not begin with two or three letters.
    """
    if language is None:
        return DEFAULT_RULES
    primary = primary_language(language)
    if not (2 <= len(primary) <= 3 and primary.isascii() and primary.isalpha()):
        raise MisuseError(f'language "{language}" is not a BCP-47 tag: it must begin with two or three letters, such as sw or yue. Correct the tag.')
    return RULES.get(primary, DEFAULT_RULES)
