"""Arabic transcripts: what everyday spelling leaves out removed from training text, and Buckwalter's Latin letters turned to Arabic ones."""

import unicodedata

VOWELS = "".join(map(chr, [*range(0x064B, 0x0653), 0x0670]))
TATWEEL = "\u0640"
DIRECTIONS = "".join(map(chr, [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]))
"""Marks that only tell a screen in which direction to write."""
ISOLATED_VOWELS = "".join(map(chr, [*range(0xFE70, 0xFE73), 0xFE74, *range(0xFE76, 0xFE80)]))
"""Vowels drawn on their own: normalization would make a blank and a vowel of each."""
DIGITS = {first + number: str(number) for first in (0x0660, 0x06F0) for number in range(10)}
KEHEH, KAF = 0x06A9, "\u0643"
LATIN_MARK = "@@LAT@@"
"""Put before words of Latin letters by the tools that write Buckwalter."""

_REMOVED = dict.fromkeys(map(ord, VOWELS + TATWEEL + DIRECTIONS + ISOLATED_VOWELS))
_BUCKWALTER = {
    "'": "ء", "|": "آ", ">": "أ", "&": "ؤ", "<": "إ", "}": "ئ", "A": "ا", "b": "ب", "p": "ة", "t": "ت", "v": "ث", "j": "ج", "H": "ح",
    "x": "خ", "d": "د", "*": "ذ", "r": "ر", "z": "ز", "s": "س", "$": "ش", "S": "ص", "D": "ض", "T": "ط", "Z": "ظ", "E": "ع", "g": "غ",
    "_": "\u0640", "f": "ف", "q": "ق", "k": "ك", "l": "ل", "m": "م", "n": "ن", "h": "ه", "w": "و", "Y": "ى", "y": "ي",
    "F": "\u064b", "N": "\u064c", "K": "\u064d", "a": "\u064e", "u": "\u064f", "i": "\u0650", "~": "\u0651", "o": "\u0652",
    "`": "\u0670", "{": "ٱ", "P": "پ", "J": "چ", "V": "ڤ", "G": "گ",
}  # fmt: skip
_FROM_BUCKWALTER = str.maketrans(_BUCKWALTER)


def clean_arabic(text: str) -> str:
    """Training text of Arabic: NFKC, without vowel signs, tatweel and marks of direction, digits as 0 to 9, Persian keheh as kaf.

    Letters are not folded: alef, yaa and taa marbuta stay as they were written. Scoring may fold them, training must not.

    Returns:
        The text with single blanks.
    """
    text = unicodedata.normalize("NFKC", text.translate(_REMOVED)).translate(_REMOVED)
    return " ".join(text.translate({**DIGITS, KEHEH: KAF}).split())


def from_buckwalter(text: str) -> str:
    """Arabic letters for Buckwalter's, a letter for a letter; what has no entry (digits, points) stays, and so do words marked `@@LAT@@`."""
    return " ".join(_word_from_buckwalter(word) for word in text.split())


def _word_from_buckwalter(word: str) -> str:
    if word.startswith(LATIN_MARK):
        return word.removeprefix(LATIN_MARK)
    return word.translate(_FROM_BUCKWALTER)
