"""Phrases: where a transcript is cut, in scripts with and without blanks, and that no word is lost."""

import re
import time

import hypothesis
import hypothesis.strategies as st
import pytest

from speechadapt.segmentation.phrases import MOST_LETTERS, MOST_WORDS, join_phrases, split_phrases


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Hello there. How are you? Fine … "Good." yes', ["Hello there.", "How are you?", "Fine …", '"Good."', "yes"]),
        ("one line\n\n another\r\nthird", ["one line", "another", "third"]),
        ("It costs 3.5 dollars, e.g. today", ["It costs 3.5 dollars, e.g.", "today"]),
        ("我们去北京。你吃饭了吗？好", ["我们去北京。", "你吃饭了吗？", "好"]),
        ("مرحبا. كيف حالك؟ جيد", ["مرحبا.", "كيف حالك؟", "جيد"]),
        ("यह है। वह था।", ["यह है।", "वह था।"]),
        ("... — hi", ["... — hi"]),
        ("yes. — no", ["yes.", "— no"]),
        ("yes. ... no", ["yes. ...", "no"]),
        ("", []),
        (" \n ", []),
        ("—", ["—"]),
    ],
)
def test_sentences_are_cut_at_their_marks_and_lines(text: str, expected: list[str]) -> None:
    phrases = split_phrases(text)
    assert [phrase.text for phrase in phrases] == expected
    assert all(phrase.ends for phrase in phrases)


def test_long_sentences_are_cut_at_commas_where_there_are_some() -> None:
    text = "Mister Fox went to the market, and he bought three red apples and five pears, while his sister stayed at home with the dog."
    phrases = split_phrases(text)
    assert [(phrase.text, phrase.ends) for phrase in phrases] == [
        ("Mister Fox went to the market,", False),
        ("and he bought three red apples and five pears,", False),
        ("while his sister stayed at home with the dog.", True),
    ]
    assert join_phrases(phrases).text == text


def test_text_without_any_mark_is_cut_into_pieces_of_about_equal_size() -> None:
    phrases = split_phrases(" ".join(["word"] * 25))
    assert [len(phrase.text.split()) for phrase in phrases] == [8, 8, 9]
    letters = split_phrases("好" * 100)
    assert [len(phrase.text) for phrase in letters] == [33, 33, 34]
    assert join_phrases(letters).text == "好" * 100
    thai = split_phrases("กี่" * 40)
    assert [len(phrase.text) % 3 for phrase in thai] == [0] * len(thai)  # no vowel sign without its letter
    assert max(len(phrase.text) for phrase in thai) <= MOST_LETTERS
    compound = "Donaudampfschifffahrtsgesellschaftskapitän"
    assert [phrase.text.split() for phrase in split_phrases(" ".join([compound] * 14))] == [[compound] * 7] * 2


def test_a_day_of_words_without_marks_takes_no_time() -> None:
    started = time.process_time()
    assert len(split_phrases("word " * 150_000)) == 12_500
    assert time.process_time() - started < 20


@hypothesis.settings(derandomize=True, deadline=None, max_examples=200)
@hypothesis.given(st.text(st.sampled_from("ab 好. ,。\n!—'"), max_size=150))
def test_no_word_is_lost_and_no_phrase_is_too_long(text: str) -> None:
    phrases = split_phrases(text)
    joined = join_phrases(phrases).text if phrases else ""
    assert joined == " ".join(text.split())
    for phrase in phrases:
        words = [word for word in phrase.text.split() if re.search(r"[^\W_]", word)]
        assert len(words) <= MOST_WORDS
        assert len(re.sub("[^好]", "", phrase.text)) <= max(MOST_LETTERS, 24 * MOST_WORDS)
