"""When each word was said, from what an attention decoder looked at while it wrote: dynamic time warping over its cross-attention.

OpenAI's Whisper tells word times this way (`whisper/timing.py`): some heads of its decoder follow the audio; their weights, averaged and
smoothed, say which frames each token stands for, and the cheapest monotonic path through them gives every token a beginning.
"""

import dataclasses
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from speechadapt.models.speech_model import Word
from speechadapt.units import Seconds

SECONDS_PER_FRAME: Seconds = 0.02
"""Of Whisper's encoder."""
MEDIAN_WIDTH = 7
"""Frames that the median filter looks at."""
LONGEST_WORD: Seconds = 2.0
"""No word of any language takes longer, unless it is sung; what is longer is silence that the path gave to its neighbor."""
LONGEST_MEDIAN: Seconds = 0.7
"""The median word counts as no longer than this."""
UNSPACED = ("zh", "ja", "th", "lo", "my", "yue")
"""Languages written without blanks between words: each character that the tokens spell counts as a word."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TokenWord:
    """A word and the tokens `first` to `last` (from 0, `last` included) that carry its sound; marks around it are in its text alone."""

    text: str
    first: int
    last: int


def time_warp(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """The cheapest path from the first cell to the last that goes down, right, or both at each step.

    Args:
        cost: shape (tokens, frames), both at least 1.

    Returns:
        int64, shape (tokens,): the first frame of each token on the path; it never falls.
    """
    tokens, frames = cost.shape
    # anti-diagonal by anti-diagonal, so that numpy does the work: cell (i, j) lies at place i of diagonal i + j
    steps = np.zeros((tokens + frames - 1, tokens), np.int8)  # 0 both, 1 down, 2 right
    before, last = np.full(tokens, np.inf), np.full(tokens, np.inf)  # diagonals d - 2 and d - 1
    for diagonal in range(tokens + frames - 1):
        low, high = max(0, diagonal - frames + 1), min(tokens, diagonal + 1)
        rows = np.arange(low, high)
        both = np.where(rows > 0, before[rows - 1], np.inf)
        down = np.where(rows > 0, last[rows - 1], np.inf)
        right = last[rows]
        ways = np.stack([both, down, right])
        way = ways.argmin(axis=0)
        best = ways[way, np.arange(len(rows))]
        if diagonal == 0:
            best = np.zeros(1)
        now = np.full(tokens, np.inf)
        now[rows] = cost[rows, diagonal - rows] + best
        steps[diagonal, rows] = way
        before, last = last, now
    first = np.zeros(tokens, np.int64)
    i, j = tokens - 1, frames - 1
    while i >= 0 and j >= 0:
        first[i] = j
        way = steps[i + j, i]
        if i == j == 0:
            break
        i, j = (i - 1, j - 1) if way == 0 else (i - 1, j) if way == 1 else (i, j - 1)
    return first


def token_starts(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """The frame at which each token begins, from attention weights.

    Args:
        weights: shape (heads, tokens, frames): of the heads that follow the audio, each row summing to 1.

    Returns:
        int64, shape (tokens,).
    """
    spread = weights.std(axis=1, keepdims=True)
    # a single token has no spread: its weights are used as they are
    normed = (weights - weights.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0) if weights.shape[1] > 1 else weights
    smooth = median_filter(normed, size=(1, 1, MEDIAN_WIDTH), mode="mirror") if weights.shape[2] > MEDIAN_WIDTH // 2 else normed
    return time_warp(-smooth.mean(axis=0))


def group_tokens(ids: Sequence[int], spell: Callable[[Sequence[int]], str], language: str | None) -> list[TokenWord]:
    """Gather tokens into words: at blanks, or, in languages without them, at each complete character.

    Args:
        ids: of a text, without special tokens.
        spell: tokens to text, broken characters as U+FFFD.
        language: the code of the text's language.

    Returns:
        In order; their texts without blanks, none empty.
    """
    pieces: list[tuple[str, int, int]] = []  # tokens that together spell whole characters
    start = 0
    for place in range(len(ids)):
        text = spell(ids[start : place + 1])
        if "\ufffd" in text and place + 1 < len(ids) and place - start < 4:
            continue
        pieces.append((text, start, place))
        start = place + 1
    groups: list[list[tuple[str, int, int]]] = []
    for piece in pieces:
        begins = piece[0].startswith(" ") or (language in UNSPACED and _has_sound(piece[0]))
        if begins or not groups:
            groups.append([piece])
        else:
            groups[-1].append(piece)
    words: list[TokenWord] = []
    pending = ""
    for group in groups:
        text = pending + "".join(piece[0] for piece in group).strip()
        sounding = [piece for piece in group if _has_sound(piece[0])]
        if not sounding:  # a dash between blanks, say: it goes with the word before, or else with the one behind
            if words:
                words[-1] = dataclasses.replace(words[-1], text=f"{words[-1].text} {text}".strip())
            else:
                pending = f"{text} " if text else ""
            continue
        words.append(TokenWord(text=text, first=sounding[0][1], last=sounding[-1][2]))
        pending = ""
    return words


def time_words(words: Sequence[TokenWord], starts: NDArray[np.int64], probabilities: NDArray[np.float64], duration: Seconds) -> tuple[Word, ...]:
    """Words with their times.

    The path gives every frame to some token, so that the first word of a sentence reaches back into the silence before it, and the last one
    into the silence behind it. There, a word is no longer than twice the median word, as in OpenAI's own rule.

    Args:
        words: of one text.
        starts: the frame at which each of its tokens begins, and, last, the end token.
        probabilities: of each of its tokens, 0 to 1.
        duration: of the clip; no word ends after it.
    """
    times = np.minimum(starts * SECONDS_PER_FRAME, duration)
    spans = [(float(times[word.first]), float(times[word.last + 1])) for word in words]
    lengths = [end - start for start, end in spans if end > start]
    most = 2 * min(LONGEST_MEDIAN, float(np.median(lengths))) if lengths else LONGEST_WORD
    timed: list[Word] = []
    for place, (word, (start, end)) in enumerate(zip(words, spans, strict=True)):
        if end - start > most:
            if place == 0 or _ends_sentence(words[place - 1].text):
                start = end - most
            elif place == len(words) - 1 or _ends_sentence(word.text):
                end = start + most
        end = min(end, start + LONGEST_WORD)
        probability = float(probabilities[word.first : word.last + 1].mean())
        timed.append(Word(text=word.text, start=round(start, 3), end=round(end, 3), probability=probability))
    return tuple(timed)


def _ends_sentence(text: str) -> bool:
    return text.rstrip("\"'”’»)」』").endswith((".", "?", "!", "。", "？", "！"))


def _has_sound(text: str) -> bool:
    """Letters, digits and what they carry, and signs that are read aloud; not punctuation or blanks."""
    return any(unicodedata.category(sign)[0] in "LNMS" or sign in "%&@#" for sign in text)
