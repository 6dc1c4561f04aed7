import itertools
import re

import pytest

from speechadapt.synthetic.sentences import TEMPLATES, add_ed, add_ing, add_s, sentences, split_of, verbs, with_article, words, words_of
from speechadapt.text.sentence import sentence_key


def take(split: str, count: int, seed: int = 0) -> list[str]:
    return list(itertools.islice(sentences(split, seed=seed), count))


def test_same_seed_same_sentences_and_others_differ() -> None:
    assert take("train", 50) == take("train", 50)
    assert not set(take("train", 50)) & set(take("train", 50, seed=1))


def test_sentences_of_a_split_are_distinct() -> None:
    many = take("train", 3000)
    assert len({sentence_key(text) for text in many}) == 3000


def test_splits_share_no_sentence_whatever_the_seed() -> None:
    keys = {split: {sentence_key(text) for seed in range(3) for text in take(split, 400, seed)} for split in ("train", "dev", "test")}
    assert not keys["train"] & keys["dev"]
    assert not keys["train"] & keys["test"]
    assert not keys["dev"] & keys["test"]


def test_split_depends_on_the_words_only() -> None:
    """Pinned, because a later version that divides otherwise would leak old test sentences into new training sets."""
    assert split_of("The old teacher washed a cup.") == split_of("the OLD teacher, washed a cup!!") == "train"
    numbers = ("seven", "eight", "nine", "ten", "eleven", "twelve")
    assert [split_of(f"We need {n} cups.") for n in numbers] == ["test", "train", "test", "test", "train", "train"]


def test_shares_of_the_splits() -> None:
    """80, 8 and 12 %: within 3 standard errors of 3000 draws."""
    found = [
        split_of(f"sentence {a} {b}") for a in itertools.islice(map("".join, itertools.product("abcdefghij", repeat=3)), 300) for b in "abcdefghij"
    ]
    assert found.count("dev") / 3000 == pytest.approx(0.08, abs=0.015)
    assert found.count("test") / 3000 == pytest.approx(0.12, abs=0.018)


def test_thousands_of_distinct_words() -> None:
    vocabulary = {word for text in take("train", 6000) for word in words_of(text).split()}
    assert len(vocabulary) > 2400


def test_sentences_are_written_like_sentences() -> None:
    for text in take("test", 1000):
        assert text[0].isupper()
        assert text[-1] in ".?"
        assert "  " not in text
        assert "{" not in text
        assert "_" not in text
        assert ":" not in text
        assert "+" not in text
        assert 3 <= len(text.split()) <= 30
        assert text.isascii()
        assert not any(letter.isdigit() for letter in text)
        assert not any(f" a {vowel}" in text for vowel in "aeio")
        assert " an s" not in text


def test_every_template_can_be_filled() -> None:
    """Each template's fixed words occur among many sentences: none fails or is never reached."""
    many = " ".join(take("train", 6000))
    for template in TEMPLATES:
        fixed = max((part.strip(" .?,") for part in re.split(r"\{.*?\}", template)), key=len)
        assert fixed in many, template


def test_words_are_not_listed_twice_as_different_verbs() -> None:
    forms = {(verb.base, verb.past, verb.doing) for kind in verbs().values() for verb in kind}
    assert len(forms) == len({(base, doing) for base, _, doing in forms})
    assert len(words()) > 40


@pytest.mark.parametrize(
    ("word", "s", "ed", "ing"),
    [
        ("walk", "walks", "walked", "walking"),
        ("try", "tries", "tried", "trying"),
        ("enjoy", "enjoys", "enjoyed", "enjoying"),
        ("stop", "stops", "stopped", "stopping"),
        ("fix", "fixes", "fixed", "fixing"),
        ("wash", "washes", "washed", "washing"),
        ("bake", "bakes", "baked", "baking"),
        ("agree", "agrees", "agreed", "agreeing"),
        ("prefer", "prefers", "preferred", "preferring"),
        ("open", "opens", "opened", "opening"),
    ],
)
def test_inflection(word: str, s: str, ed: str, ing: str) -> None:
    assert (add_s(word), add_ed(word), add_ing(word)) == (s, ed, ing)


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("apple", "an apple"),
        ("uniform", "a uniform"),
        ("unusual day", "an unusual day"),
        ("useful tool", "a useful tool"),
        ("honest man", "an honest man"),
        ("house", "a house"),
        ("ugly hat", "an ugly hat"),
        ("umbrella", "an umbrella"),
        ("university", "a university"),
    ],
)
def test_articles(phrase: str, expected: str) -> None:
    assert with_article(phrase) == expected


def test_participles_keep_their_particles() -> None:
    look_after = next(verb for verb in verbs()["animal_verb"] if verb.base == "look after")
    assert (look_after.third, look_after.past, look_after.doing) == ("looks after", "looked after", "looking after")
    sing = next(verb for verb in verbs()["action"] if verb.base == "sing beautifully")
    assert (sing.past, sing.participle, sing.third) == ("sang beautifully", "sung beautifully", "sings beautifully")
