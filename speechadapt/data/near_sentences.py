"""Near sentences: long prompts of two manifests that differ in a word or so, found without comparing everything with everything."""

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Container, Mapping
from math import ceil, floor

from rapidfuzz.distance import Indel

from speechadapt.data.manifest import Manifest
from speechadapt.text.sentence import sentence_form

SIMILARITY = 0.9
FEWEST_TOKENS = 10
"""Shorter sentences cannot differ in one word and still be nine tenths equal."""

_SIGNS = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_SIGNS}]|[^\s{_SIGNS}]+")
"""A word, or one sign of Chinese or Japanese, which are written without blanks."""

Tokens = tuple[str, ...]


def find_near_sentences(first: Manifest, second: Manifest) -> list[tuple[str, str]]:
    """Pairs of rows whose sentences are nearly, but not exactly, the same.

    Two sentences are near when nine tenths of their words stand in both in the same order: `2 * common / (words of one + words of the other)`
    is at least 0.9. Sentences of fewer than ten words, and those that stand exactly so in `second`, are not looked at.

    Candidates come from prefix filtering (Chaudhuri, Ganti and Kaushik, ICDE 2006; Bayardo, Ma and Srikant, WWW 2007): two near sentences
    have one of their rarest words in common. Nothing is missed by it, and manifests of a million lines can be compared.

    Returns:
        (id of `first`, id of the nearest row of `second`) for every row of `first` that has a near sentence, in order.
    """
    theirs: dict[Tokens, str] = {}
    for u in second:
        theirs.setdefault(tuple(map(sys.intern, tokenize(u.text))), u.id)  # words recur, and one string for each of them is enough
    theirs = {tokens: key for tokens, key in theirs.items() if len(tokens) >= FEWEST_TOKENS}
    if not theirs:
        return []
    frequency = Counter(token for tokens in theirs for token in set(tokens))
    index: dict[tuple[str, int], list[Tokens]] = defaultdict(list)
    for tokens in theirs:
        for rare in _prefix(tokens, frequency):
            index[rare].append(tokens)
    nearest: dict[str, str | None] = {}  # by text, which the rows hold anyway: corpora are read by many speakers from few prompts
    pairs = []
    for u in first:
        if u.text not in nearest:
            found = _nearest(tokenize(u.text), theirs, index, frequency)
            nearest[u.text] = theirs[found] if found is not None else None
        if (other := nearest[u.text]) is not None:
            pairs.append((u.id, other))
    return pairs


def tokenize(text: str) -> Tokens:
    """The words of a sentence's form; of Chinese and Japanese the single signs."""
    return tuple(_TOKEN.findall(sentence_form(text)))


def similarity(one: Tokens, other: Tokens) -> float:
    """From 0 to 1: twice the words that stand in both in the same order, over the words of both."""
    return float(Indel.normalized_similarity(one, other))


def _nearest(tokens: Tokens, theirs: Container[Tokens], index: Mapping[tuple[str, int], list[Tokens]], frequency: Counter[str]) -> Tokens | None:
    if len(tokens) < FEWEST_TOKENS or tokens in theirs:
        return None
    candidates = {other for rare in _prefix(tokens, frequency) for other in index.get(rare, ())}
    best: tuple[float, Tokens] | None = None
    for other in sorted(candidates):  # sorted: of two equally near ones always the same is named
        shorter, longer = sorted((len(tokens), len(other)))
        if 2 * shorter < SIMILARITY * (shorter + longer):
            continue
        near = similarity(tokens, other)
        if near >= SIMILARITY - 1e-9 and (best is None or near > best[0]):
            best = (near, other)
    return best[1] if best is not None else None


def _prefix(tokens: Tokens, frequency: Counter[str]) -> list[tuple[str, int]]:
    """The rarest words, of which a near sentence must have one: as many as may be missing from it, and one more.

    The shortest sentence that is near one of n words has n * s / (2 - s) words, and s / 2 of all the words must then be common. A word that
    stands several times is numbered, so that it counts as often.
    """
    words = len(tokens)
    shortest = ceil(words * SIMILARITY / (2 - SIMILARITY) - 1e-9)
    common = ceil(SIMILARITY * (words + shortest) / 2 - 1e-9)
    seen: Counter[str] = Counter()
    numbered = []
    for token in tokens:
        numbered.append((frequency[token], token, seen[token]))
        seen[token] += 1
    return [(token, number) for _, token, number in sorted(numbered)[: max(floor(words - common), 0) + 1]]
