"""Counts of many random pairs equal to those of jiwer: empty sides, repeated words, any script; and of the normalizers that go word by word."""

import random

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.score.align import count_pairs
from speechadapt.score.mixed import mixed_tokens
from speechadapt.score.utterances import pooled
from speechadapt.text.normalize import get_normalizer

WORDS = ("a", "b", "aa", "ab", "the", "the", "cat", "über", "u\u0308ber", "नमस्ते", "1", "'", "你好", "سلام", "👍🏽", "\u200d", "ﬁ", "i̇")


def random_pairs(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Short texts, a twentieth of them empty; half of the hypotheses near their reference."""
    chance = random.Random(seed)
    references, hypotheses = [], []
    for _ in range(count):
        said = [chance.choice(WORDS) for _ in range(chance.randint(0, 20) if chance.random() > 0.05 else 0)]
        heard = (
            [word for word in said if chance.random() > 0.1]
            if chance.random() < 0.5
            else [chance.choice(WORDS) for _ in range(chance.randint(0, 20))]
        )
        for _ in range(chance.randint(0, 3)):
            heard.insert(chance.randint(0, len(heard)), chance.choice(WORDS))
        references.append(" ".join(said))
        hypotheses.append(" ".join(heard if chance.random() > 0.05 else []))
    return references, hypotheses


def check(count: int, seed: int) -> None:
    """Each pair, and all of them pooled."""
    references, hypotheses = random_pairs(count, seed)
    words, characters = count_pairs(references, hypotheses)
    for process, ours in ((jiwer.process_words, words), (jiwer.process_characters, characters)):
        made = (process(*pair) for pair in zip(references, hypotheses, strict=True))
        theirs = np.array([(one.hits, one.substitutions, one.deletions, one.insertions) for one in made])
        np.testing.assert_array_equal(ours, theirs)
        whole, total = process(references, hypotheses), pooled(ours)
        assert (total.hits, total.substitutions, total.deletions, total.insertions) == (
            whole.hits,
            whole.substitutions,
            whole.deletions,
            whole.insertions,
        )
    whole, total = jiwer.process_words(references, hypotheses), pooled(words)
    assert (total.wer, total.match_error_rate, total.information_lost, total.information_preserved) == (whole.wer, whole.mer, whole.wil, whole.wip)


def test_three_thousand_random_pairs_equal_jiwers() -> None:
    check(3000, seed=0)


@pytest.mark.slow
def test_a_hundred_thousand_random_pairs_equal_jiwers() -> None:
    check(100_000, seed=1)


def test_characters_without_blanks() -> None:
    _, characters = count_pairs(["你 好"], ["你 们 好"], blanks=False)
    assert characters.tolist() == [[2, 0, 0, 1]]
    assert [counts.shape for counts in count_pairs([], [])] == [(0, 4), (0, 4)]


TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from(" \t\n'’-.·\u200c\u200d\u0301\u064b\u00a0\u3000Iİß你กa"), max_size=40)


@pytest.mark.parametrize("name", ["raw", "basic", "basic:tr", "basic:ar", "basic:he", "basic:haw", "basic:ca", "basic:ms", "basic:zh"])
@given(TEXTS)
def test_what_a_wordwise_normalizer_makes_of_a_text_it_makes_of_its_words(name: str, text: str) -> None:
    normalize = get_normalizer(name)
    assert normalize.wordwise
    assert normalize(text) == " ".join(" ".join(map(normalize, text.split())).split())


def test_normalizers_that_look_at_neighbours_are_not_wordwise() -> None:
    assert [get_normalizer(name).wordwise for name in ("english", "whisper-basic", "basic:de+numbers")] == [False] * 3


def test_mixed_tokens_are_those_of_basic_zh() -> None:
    text = "今天 天气 very good 啊 ok吗 สวัสดี ガンバレ한국"
    assert mixed_tokens(text) == get_normalizer("basic:zh")(text).split()
    assert mixed_tokens("今天 ok吗 good") == ["今", "天", "ok", "吗", "good"]
    assert mixed_tokens("") == []
