"""Phrases: a transcript without times, cut at the ends of its sentences into pieces that are sought, judged and kept one by one."""

import bisect
import dataclasses
import itertools
import math
import re
import unicodedata
from collections.abc import Iterator

SENTENCE_END = re.compile(r"(?:[.!?…]+|[؟۔।॥።])[\"'”’»)\]]*(?=\s)\s*|[。！？｡．]+[」』”’）]*\s*|\s*\n\s*")
"""Where a sentence may end: at its mark, also inside of text written without blanks, and at the end of a line."""
INNER_MARK = re.compile(r"[,;:،؛–—]+\s+|[，、；：]\s*")
MOST_WORDS = 12
"""Longer sentences are cut further, at a comma where there is one: about six seconds of quick speech, fifteen of slow speech."""
MOST_LETTERS = 40
"""The same for text without blanks, as Chinese is written."""
LONGEST_WORD = 24
"""What has more letters, most of them without capitals, is text without blanks; a long word of an alphabet is a word."""
_LETTER = re.compile(r"[^\W_]")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """A piece of a transcript.

    Attributes:
        text: as written, blanks and line ends as single blanks.
        ends: a sentence or a line ends here; False where a long sentence was cut.
        spaced: a blank stands before the next phrase.
    """

    text: str
    ends: bool
    spaced: bool


def split_phrases(text: str) -> list[Phrase]:
    """Cut a transcript; the phrases together hold all of its words.

    Args:
        text: any language. Pieces without a letter or digit (`...`, `—`) stay with the phrase before them.
    """
    phrases: list[Phrase] = []
    place = 0
    for end in [*(match.end() for match in SENTENCE_END.finditer(text)), len(text)]:
        if end > place and text[place:end].strip():
            pieces = list(_pieces(text[place:end]))
            for number, piece in enumerate(pieces):
                phrase = Phrase(text=" ".join(piece.split()), ends=number == len(pieces) - 1, spaced=piece != piece.rstrip())
                if phrases and not _LETTER.search(phrase.text):
                    phrases[-1] = join_phrases([phrases[-1], phrase])
                else:
                    phrases.append(phrase)
            place = end
    if len(phrases) > 1 and not _LETTER.search(phrases[0].text):
        phrases[:2] = [join_phrases(phrases[:2])]
    return phrases


def join_phrases(phrases: list[Phrase]) -> Phrase:
    """Neighboring phrases as one."""
    text = phrases[0].text
    for before, phrase in itertools.pairwise(phrases):
        text += f" {phrase.text}" if before.spaced else phrase.text
    return Phrase(text=text, ends=phrases[-1].ends, spaced=phrases[-1].spaced)


def _pieces(sentence: str) -> Iterator[str]:
    """A sentence in pieces of about equal size, none longer than allowed; a comma near an equal cut is preferred."""
    units = list(_units(sentence))
    ends, sizes = [end for end, _ in units], list(itertools.accumulate(weight for _, weight in units))
    marks = {match.end() for match in INNER_MARK.finditer(sentence)}
    place, begin, done = 0, 0, 0.0
    while (left := sizes[-1] - done) > MOST_WORDS + 1e-6:
        ideal = done + left / math.ceil(round(left / MOST_WORDS, 6))
        first = bisect.bisect_left(sizes, done + (ideal - done) / 2, lo=place)
        allowed = range(first, max(first + 1, bisect.bisect_right(sizes, done + MOST_WORDS + 1e-6, lo=first)))
        cut = min(allowed, key=lambda number: (ends[number] not in marks, abs(sizes[number] - ideal)))
        yield sentence[begin : ends[cut]]
        place, begin, done = cut + 1, ends[cut], sizes[cut]
    yield sentence[begin:]


def _units(sentence: str) -> Iterator[tuple[int, float]]:
    """Where each word ends with the blanks behind it, and what it counts; text without blanks is counted by the letter."""
    for match in re.finditer(r"\s*\S+\s*", sentence):
        start, end = match.span()
        kinds = [unicodedata.category(letter) for letter in match[0]]
        if end - start <= LONGEST_WORD or sum(kind == "Lo" or kind[0] == "M" for kind in kinds) < len(kinds) / 2:
            yield end, 1.0
            continue
        size = 0.0
        for place, kind in enumerate([*kinds[1:], ""], start=start + 1):
            size += MOST_WORDS / MOST_LETTERS
            if not kind.startswith("M"):  # a vowel sign stays with its letter
                yield place, size
                size = 0.0
