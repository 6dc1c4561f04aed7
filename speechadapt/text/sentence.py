"""Sentence key: two transcripts with the same one are the same prompt, whatever their case, punctuation or spacing."""

import hashlib
import unicodedata

_BLANK = dict.fromkeys(map(ord, "–—―/…"), " ")  # these stand between words; a hyphen or an apostrophe stands inside one


def sentence_form(text: str) -> str:
    """The text reduced to what makes it a sentence of its own: NFKC, case folded, without punctuation and symbols, single blanks.

    Marks (vowel signs, tones) and digits stay.
    """
    folded = unicodedata.normalize("NFKC", text.translate(_BLANK)).casefold()
    kept = "".join(letter for letter in folded if unicodedata.category(letter)[0] not in "PS")
    return " ".join(kept.split())


def sentence_key(text: str) -> str:
    """Sixteen hex digits that stand for `sentence_form(text)`, or an empty string where nothing is left of the text.

    An empty key matches nothing: callers must not take two empty transcripts for the same sentence.
    """
    form = sentence_form(text)
    return hashlib.sha256(form.encode()).hexdigest()[:16] if form else ""
