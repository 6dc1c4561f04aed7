"""Mixed error rate: errors of code-switched speech, counted in the characters of scripts written without blanks and the words of all others.

The measure of Mandarin-English corpora such as SEAME, which abbreviate it MER (jiwer's `mer` is something else, the match error rate).
The tokens are those of the normalizer `basic:zh`; here they are also counted under normalizers that keep such a sentence in one word.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speechadapt.score.align import count_tokens

# Thai, Lao, Tibetan, Myanmar, Khmer, kana and Bopomofo, ideographs and their extensions, and half-width katakana.
RANGES = (
    "\u0e01-\u0e3a\u0e40-\u0e5b\u0e81-\u0edf\u0f00-\u0fda\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3021-\u3029\u3031-\u3035\u303b\u3041-\u312f"
    "\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9fe\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f\U00020000-\U000323af"
)
UNSPACED = re.compile(f"[{RANGES}]")


def mixed_tokens(text: str) -> list[str]:
    """Each letter of a script written without blanks, with its marks, as a token; what stands between them and between blanks as words."""
    pieces: list[str] = []
    after_unspaced = False
    for letter in text:
        if unicodedata.category(letter)[0] != "M":
            unspaced = UNSPACED.match(letter) is not None
            if unspaced or after_unspaced:
                pieces.append(" ")
            after_unspaced = unspaced
        pieces.append(letter)
    return "".join(pieces).split()


def mixed_pairs(references: Sequence[str], hypotheses: Sequence[str], word_counts: NDArray[np.int32]) -> NDArray[np.int32]:
    """Counts of mixed tokens for each pair of normalized texts.

    Args:
        references, hypotheses: one text each.
        word_counts: their word counts, shape (pairs, 4), which are right where neither text has a letter of an unspaced script.

    Returns:
        int32, shape (pairs, 4): hits, substitutions, deletions, insertions; `word_counts` itself where no pair needs splitting.
    """
    found = None
    for place, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True)):
        if (reference.isascii() or not UNSPACED.search(reference)) and (hypothesis.isascii() or not UNSPACED.search(hypothesis)):
            continue
        if found is None:
            found = word_counts.copy()
        found[place] = count_tokens(mixed_tokens(reference), mixed_tokens(hypothesis))
    return word_counts if found is None else found
