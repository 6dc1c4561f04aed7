"""Operations: the alignment word by word, and its counts against jiwer's."""

import random

import jiwer
import pytest

from speechadapt.score.operations import Operation, align_words


def test_each_kind() -> None:
    found = align_words("the cat sat down", "a cat sat right down there")
    assert found == (
        Operation(kind="substitution", reference="the", hypothesis="a"),
        Operation(kind="hit", reference="cat", hypothesis="cat"),
        Operation(kind="hit", reference="sat", hypothesis="sat"),
        Operation(kind="insertion", reference=None, hypothesis="right"),
        Operation(kind="hit", reference="down", hypothesis="down"),
        Operation(kind="insertion", reference=None, hypothesis="there"),
    )


@pytest.mark.parametrize(("reference", "hypothesis", "kinds"), [("", "", []), ("", "a b", ["insertion"] * 2), ("a b", "", ["deletion"] * 2)])
def test_empty_sides(reference: str, hypothesis: str, kinds: list[str]) -> None:
    assert [step.kind for step in align_words(reference, hypothesis)] == kinds


def test_right_to_left_words_and_lists_of_characters() -> None:
    assert align_words("شكرا جزيلا", "شكرا")[1] == Operation(kind="deletion", reference="جزيلا", hypothesis=None)
    assert [step.kind for step in align_words(list("你好吗"), list("你号吗"))] == ["hit", "substitution", "hit"]


def test_counts_equal_jiwers_on_random_pairs() -> None:
    draw = random.Random(0)
    for _ in range(2000):
        reference, hypothesis = (" ".join(draw.choices("abcd", k=draw.randint(1, 12))) for _ in range(2))
        steps = align_words(reference, hypothesis)
        expected = jiwer.process_words(reference, hypothesis)
        kinds = [step.kind for step in steps]
        assert [kinds.count(kind) for kind in ("hit", "substitution", "deletion", "insertion")] == [
            expected.hits, expected.substitutions, expected.deletions, expected.insertions,
        ]  # fmt: skip
        assert " ".join(step.reference for step in steps if step.reference is not None) == reference
        assert " ".join(step.hypothesis for step in steps if step.hypothesis is not None) == hypothesis
