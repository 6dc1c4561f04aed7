"""An n-gram language model from text, written as an ARPA file: interpolated modified Kneser-Ney (Chen and Goodman, 1999).

KenLM's own estimator, `lmplz`, is not on PyPI; this one is for the thousands of sentences of a training manifest and needs no more than Python.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from speechadapt.errors import MisuseError
from speechadapt.files import write_text

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
ORDERS = range(2, 7)
"""KenLM as flashlight ships it reads models of these orders."""
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""For texts too small or too regular to estimate discounts from; what lmplz takes with --discount_fallback."""

Ngram = tuple[str, ...]


def write_arpa(texts: Iterable[str], path: Path, order: int = 3) -> None:
    """Estimate a model of word sequences and write it.

    The words are taken as they stand, so give text in the recognizer's spelling (case does not matter). Take training text alone: a language
    model that has seen the test sentences makes every score worthless.

        from pathlib import Path
        from speechadapt.data.manifest import Manifest
        from speechadapt.text.ngram import write_arpa
        from speechadapt.text.spelling import spell_for_ctc

        train = Manifest.read(Path("data/train.jsonl"))
        write_arpa((spell_for_ctc(utterance.text, "en", "lower") for utterance in train), Path("train.arpa"))

    and then `speechadapt transcribe talk.wav --lm train.arpa --beam 50`. A model of characters, for languages without blanks or with words
    without end, comes from text spelled out: `write_arpa((" ".join(text.replace(" ", "|")) for text in texts), path, order=6)`.

    Args:
        texts: one sentence each, words apart by white space; empty ones are passed over.
        path: of the ARPA file, UTF-8, log10 probabilities; an existing one is replaced.
        order: words per n-gram, 2 to 6; less where every sentence is shorter.

    Raises:
        MisuseError: another order, no word in the texts, or a text that holds `<s>`, `</s>` or `<unk>`.
    """
    if order not in ORDERS:
        raise MisuseError(f"order is {order}, must be {ORDERS.start} to {ORDERS.stop - 1}. Correct it.")
    tables = _interpolate(_adjusted_counts(texts, order))
    order = len(tables)
    lines = ["\\data\\", *(f"ngram {length}={len(table)}" for length, table in enumerate(tables, start=1))]
    for length, table in enumerate(tables, start=1):
        lines += ["", f"\\{length}-grams:"]
        for ngram, (probability, backoff) in sorted(table.items()):
            line = f"{_log10(probability)}\t{' '.join(ngram)}"
            lines.append(line if length == order else f"{line}\t{_log10(backoff)}")
    write_text(path, "\n".join([*lines, "", "\\end\\", ""]))


def _log10(value: float) -> str:
    return f"{math.log10(value):.7f}" if value > 0 else "-99"


def _adjusted_counts(texts: Iterable[str], order: int) -> list[Counter[Ngram]]:
    """Counts per length, 1 to `order`: of occurrences for the longest and for those at a sentence's start, else of distinct words before."""
    occurrences: list[Counter[Ngram]] = [Counter() for _ in range(order)]
    for text in texts:
        words = text.split()
        if not words:
            continue
        if marks := {START, END, UNKNOWN} & set(words):
            raise MisuseError(f'the text "{text}" holds {min(marks)}, which language models keep for themselves. Remove it.')
        words = [START, *words, END]
        for length, counts in enumerate(occurrences, start=1):
            counts.update(zip(*(words[first:] for first in range(length)), strict=False))
    if not occurrences[0]:
        raise MisuseError("there is no word in the texts, so there is nothing to make a language model of. Give training text.")
    del occurrences[0][(START,)]  # never predicted
    while not occurrences[-1]:  # no sentence is as long; KenLM reads no empty table
        occurrences.pop()
    adjusted = [occurrences[-1]]
    for length in range(len(occurrences) - 1, 0, -1):
        counts = Counter(ngram[1:] for ngram in occurrences[length])
        counts.update({ngram: count for ngram, count in occurrences[length - 1].items() if ngram[0] == START})
        adjusted.insert(0, counts)
    return adjusted


def _discounts(counts: Counter[Ngram]) -> tuple[float, float, float]:
    """What n-grams counted once, twice, and more often give away."""
    once, twice, thrice, four_times = (sum(1 for count in counts.values() if count == times) for times in (1, 2, 3, 4))
    if not (once and twice and thrice):
        return FALLBACK_DISCOUNTS
    share = once / (once + 2 * twice)
    found = (1 - 2 * share * twice / once, 2 - 3 * share * thrice / twice, 3 - 4 * share * four_times / thrice)
    return found if all(0 < discount <= times for times, discount in enumerate(found, start=1)) else FALLBACK_DISCOUNTS


def _interpolate(adjusted: list[Counter[Ngram]]) -> list[dict[Ngram, tuple[float, float]]]:
    """Per length: n-gram to its probability after its first words, and the shorter model's weight after itself (1 where nothing follows)."""
    words = {ngram[0] for ngram in adjusted[0]} | {UNKNOWN}
    shorter: dict[Ngram, float] = {(): 1 / len(words)}
    probabilities: list[dict[Ngram, float]] = []
    backoffs: dict[Ngram, float] = {}
    for counts in adjusted:
        discounts = _discounts(counts)
        totals: defaultdict[Ngram, int] = defaultdict(int)
        given: defaultdict[Ngram, float] = defaultdict(float)
        for ngram, count in counts.items():
            totals[ngram[:-1]] += count
            given[ngram[:-1]] += discounts[min(count, 3) - 1]
        for context, total in totals.items():
            backoffs[context] = given[context] / total
        table = {
            ngram: (count - discounts[min(count, 3) - 1]) / totals[ngram[:-1]] + backoffs[ngram[:-1]] * shorter[ngram[1:]]
            for ngram, count in counts.items()
        }
        if not probabilities:
            table[(UNKNOWN,)] = backoffs[()] * shorter[()]
        probabilities.append(table)
        shorter = table
    probabilities[0][(START,)] = 0.0
    return [{ngram: (probability, backoffs.get(ngram, 1.0)) for ngram, probability in table.items()} for table in probabilities]
