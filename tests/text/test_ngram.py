"""ARPA files: probabilities by hand, sums over the vocabulary, and what KenLM makes of them."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from speechadapt.errors import MisuseError
from speechadapt.synthetic.sentences import sentences, words_of
from speechadapt.text.ngram import write_arpa

Context = tuple[str, ...]
Model = dict[Context, tuple[float, float]]


def read_arpa(path: Path) -> Model:
    """N-grams to log10 probability and back-off, read by the format's description; the counts in its head must hold."""
    head, *sections = path.read_text(encoding="utf-8").removesuffix("\n\\end\\\n").split("\n\\")
    counts = [int(line.split("=")[1]) for line in head.splitlines() if line.startswith("ngram ")]
    model: Model = {}
    for length, (count, section) in enumerate(zip(counts, sections, strict=True), start=1):
        name, *lines = section.strip().split("\n")
        assert name == f"{length}-grams:"
        assert len(lines) == count
        for line in lines:
            probability, ngram, *backoff = line.split("\t")
            assert len(ngram.split(" ")) == length
            model[tuple(ngram.split(" "))] = float(probability), float(backoff[0]) if backoff else 0.0
    return model


def log10(model: Model, context: Context, word: str) -> float:
    """As every reader of ARPA files computes it: the n-gram if it is listed, else the context's back-off and a shorter context."""
    if (*context, word) in model:
        return model[*context, word][0]
    return (model[context][1] if context in model else 0.0) + log10(model, context[1:], word)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [words_of(text) for text in itertools.islice(sentences("train", seed=0), 400)]


def test_a_model_by_hand(tmp_path: Path) -> None:
    """Two sentences, too few to estimate discounts: 0.5, 1 and 1.5 are given away.

    Words are counted by the different words before them: a, b, c one each, the end two, so 2.5 of 5 are given away and spread
    over these and <unk>: p(a) = 0.5/5 + 0.5/5.
    """
    path = tmp_path / "lm.arpa"
    write_arpa(["a b", "", "a  c"], path, order=2)
    expected = {
        ("a",): 0.2,
        ("b",): 0.2,
        ("c",): 0.2,
        ("</s>",): 0.3,
        ("<unk>",): 0.1,
        ("<s>", "a"): 1 / 2 + 1 / 2 * 0.2,
        ("a", "b"): 0.5 / 2 + 1 / 2 * 0.2,
        ("a", "c"): 0.5 / 2 + 1 / 2 * 0.2,
        ("b", "</s>"): 0.5 / 1 + 0.5 * 0.3,
        ("c", "</s>"): 0.5 / 1 + 0.5 * 0.3,
    }
    model = read_arpa(path)
    # seven decimals are written
    assert {ngram: 10**value for ngram, (value, _) in model.items() if ngram != ("<s>",)} == pytest.approx(expected, abs=1e-6)
    assert 10 ** model["<s>",][1] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("order", [2, 3, 5])
def test_probabilities_sum_to_one_after_any_words(order: int, texts: list[str], tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    write_arpa(texts, path, order=order)
    model = read_arpa(path)
    words = [ngram[0] for ngram in model if len(ngram) == 1 and ngram != ("<s>",)]
    listed = [ngram for ngram in model if len(ngram) < order and ngram[-1] != "</s>"]
    random = np.random.default_rng(order)
    contexts = [(), ("<s>",), *(listed[row] for row in random.integers(0, len(listed), 20))]
    contexts += [tuple(random.choice(words, order - 1)) for _ in range(10)]
    for context in contexts:
        # as many numbers as there are words, each rounded at the seventh decimal
        assert sum(10 ** log10(model, context, word) for word in words) == pytest.approx(1, abs=1e-4), context


def test_context_foretells_held_out_text_better_than_none(texts: list[str], tmp_path: Path) -> None:
    held_out = [words_of(text).split() for text in itertools.islice(sentences("dev", seed=0), 50)]

    def score(order: int) -> float:
        write_arpa(texts, tmp_path / "lm.arpa", order=max(order, 2))
        model = read_arpa(tmp_path / "lm.arpa")
        total = 0.0
        for text in held_out:
            words = ["<s>", *(word if (word,) in model else "<unk>" for word in text), "</s>"]
            total += sum(log10(model, tuple(words[max(0, at - order + 1) : at]), words[at]) for at in range(1, len(words)))
        return total

    assert score(2) > score(1)
    assert score(3) > score(1)


@pytest.mark.parametrize("order", [2, 3, 6])
def test_kenlm_reads_it_and_agrees(order: int, texts: list[str], tmp_path: Path) -> None:
    KenLM: Callable[..., object] = pytest.importorskip("flashlight.lib.text.decoder.kenlm").KenLM  # noqa: N806
    from flashlight.lib.text.dictionary import Dictionary

    path = tmp_path / "lm.arpa"
    write_arpa(texts, path, order=order)
    model = read_arpa(path)
    words = sorted(ngram[0] for ngram in model if len(ngram) == 1 and ngram[0] not in ("<s>", "</s>", "<unk>"))
    kenlm = KenLM(str(path), Dictionary(["<unk>", *words]))
    for text in ["the xylograph sleeps", *itertools.islice(sentences("dev", seed=1), 20), texts[0]]:
        state, history, total = kenlm.start(False), ["<s>"], 0.0
        for word in words_of(text).split():
            state, value = kenlm.score(state, words.index(word) + 1 if word in words else 0)
            total += value
            history.append(word if word in words else "<unk>")
        total += kenlm.finish(state)[1]
        history.append("</s>")
        ours = sum(log10(model, tuple(history[max(0, at - order + 1) : at]), history[at]) for at in range(1, len(history)))
        # KenLM keeps float32, about seven digits of each of some twenty numbers
        assert total == pytest.approx(ours, abs=1e-4)


def test_sentences_shorter_than_the_order_make_a_shorter_model(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    write_arpa(["yes", "no"], path, order=5)
    assert max(map(len, read_arpa(path))) == 3


def test_all_are_probabilities(texts: list[str], tmp_path: Path) -> None:
    write_arpa(texts, tmp_path / "lm.arpa", order=4)
    model = read_arpa(tmp_path / "lm.arpa")
    assert all(math.isfinite(value) and value <= 0 for value, _ in model.values())


@pytest.mark.parametrize(
    ("texts", "order", "message"),
    [
        (["a b"], 1, "order is 1, must be 2 to 6"),
        (["a b"], 7, "order is 7, must be 2 to 6"),
        (["", "  "], 3, "there is no word in the texts"),
        (["a </s> b"], 3, 'the text "a </s> b" holds </s>'),
    ],
)
def test_bad_requests(texts: list[str], order: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=message):
        write_arpa(texts, tmp_path / "lm.arpa", order=order)
    assert not list(tmp_path.iterdir())
