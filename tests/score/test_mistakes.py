"""Mistakes: confusions and who makes them, worst utterances, invented text, lost ends of clips, words gained and lost."""

import json
import random
from collections import Counter
from collections.abc import Callable

import jiwer
import pytest

from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.errors import ScoreError
from speechadapt.score.mistakes import (
    INSERTION_RUN,
    LOOP,
    ON_SILENCE,
    TOO_LONG,
    Hallucination,
    Mistakes,
    WordChange,
    compare_mistakes,
    find_mistakes,
)
from speechadapt.score.render_mistakes import mistakes_change_text, mistakes_text, short_lines
from speechadapt.score.report import ScoreReport, score

Make = Callable[..., ScoreReport]


def test_confusions_with_counts_and_chances(make_report: Make) -> None:
    found = find_mistakes(
        make_report(
            [
                ("u1", "s1", "three trees three", "tree trees tree"),
                ("u2", "s2", "three the end", "tree end"),
                ("u3", None, "the three", "the well three"),
            ]
        )
    )
    (one,) = found.substitutions
    assert (one.reference, one.hypothesis, one.count, one.chances, one.utterances, one.speakers) == ("three", "tree", 3, 4, 2, 2)
    (lost,) = found.deletions
    assert (lost.reference, lost.hypothesis, lost.count, lost.chances, lost.speakers) == ("the", None, 1, 2, 1)
    (added,) = found.insertions
    assert (added.reference, added.hypothesis, added.count, added.chances, added.speakers) == (None, "well", 1, 8, 0)
    assert found.distinct == {"substitution": 1, "deletion": 1, "insertion": 1}
    assert (found.system, found.utterances, found.hallucinations) == ("base", 3, ())


def test_counts_equal_jiwers_over_random_pairs(make_report: Make) -> None:
    draw = random.Random(1)
    rows = [(f"u{n}", f"s{n % 7}", *(" ".join(draw.choices("abcdef", k=draw.randint(1, 9))) for _ in range(2))) for n in range(500)]
    found = find_mistakes(make_report(rows), most=1000)
    expected = jiwer.process_words([row[2] for row in rows], [row[3] for row in rows])
    assert sum(one.count for one in found.substitutions) == expected.substitutions
    assert sum(one.count for one in found.deletions) == expected.deletions
    assert sum(one.count for one in found.insertions) == expected.insertions
    said = Counter(word for row in rows for word in row[2].split())
    assert all(one.chances == said[one.reference or ""] for one in found.substitutions)


def accents(make_manifest: Callable[..., Manifest], confused: dict[str, int]) -> ScoreReport:
    """Three accents of four speakers, who say "three" ten times each; `confused` of the forty of an accent are heard as "tree"."""
    texts, said = [], []
    manifest = []
    for accent in ("irish", "scottish", "us"):
        for number in range(40):
            key = f"{accent}{number}"
            texts.append((key, f"{accent}-s{number % 4}", "we see three"))
            manifest.append(accent)
            said.append(Hypothesis(id=key, text="we see tree" if number < confused.get(accent, 0) else "we see three"))
    plain = make_manifest(texts)
    rows = [type(u)(**{**{name: getattr(u, name) for name in u.__slots__}, "accent": accent}) for u, accent in zip(plain, manifest, strict=True)]
    return score(Manifest(rows, folder=plain.folder, name="test"), said, system="x", normalizer="raw", by=("accent",), resamples=0)


def test_the_group_that_makes_a_mistake_more_often(make_manifest: Callable[..., Manifest]) -> None:
    (one,) = find_mistakes(accents(make_manifest, {"irish": 30, "us": 2})).substitutions
    (group,) = one.groups
    assert (group.field, group.value, group.count, group.chances) == ("accent", "irish", 30, 40)
    assert (group.rate, group.rest) == (30 / 40, 2 / 80)
    assert group.ratio == pytest.approx(30)
    assert group.high is not None
    assert 1 < group.low < 30 < group.high
    (alone,) = find_mistakes(accents(make_manifest, {"irish": 30})).substitutions
    assert (alone.groups[0].ratio, alone.groups[0].high) == (None, None)
    (even,) = find_mistakes(accents(make_manifest, {"irish": 12, "us": 10, "scottish": 9})).substitutions
    assert even.groups == ()


def test_one_group_only_and_no_groups(make_report: Make) -> None:
    rows = [(f"u{n}", "s1", "a b c", "a x c") for n in range(20)]
    for by in (("speaker",), (), ("region",)):
        assert find_mistakes(make_report(rows, by=by)).substitutions[0].groups == ()


def test_worst_utterances(make_report: Make) -> None:
    rows = [("u1", "s", "a b c d e f", "x y c d e f"), ("u2", "s", "a b", "x y"), ("u3", None, "a", "a"), ("u4", "s", "a b c", "")]
    found = find_mistakes(make_report(rows), most=3).worst
    assert [(one.id, one.errors, one.words, one.rate) for one in found] == [("u4", 3, 3, 1.0), ("u2", 2, 2, 1.0), ("u1", 2, 6, 1 / 3)]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("i see you there", "i see you i see you i see you there", (LOOP, 6, "i see you", 3)),
        ("no way", "no no no no no way", (LOOP, 4, "no", 5)),
        ("one two three four five six", "one one one one one one", (LOOP, 5, "one", 6)),
        ("no no no no", "no no no no no", None),  # said four times
        ("ha ha ha ha ha we go", "ha ha ha ha we go", None),
        ("no thanks", "no no no thanks", None),  # three times is stammering
        ("b c a b c a b c", "b c a b c a b c a b c", None),  # the speaker said it three times
        ("so", "thank you for watching and goodbye", (TOO_LONG, 5, "", 0)),
        ("a b c d e f g", "a b c v w x y z d e f g", (INSERTION_RUN, 5, "v w x y z", 0)),
        ("a b c d e f g", "a v b w c x d y e z f g", None),  # five insertions, but no run
        ("a b", "", None),
        ("哈 哈 好", "哈 哈 哈 哈 哈 好", (LOOP, 3, "哈", 5)),
    ],
)
def test_text_that_looks_invented(make_report: Make, reference: str, hypothesis: str, expected: tuple[str, int, str, int] | None) -> None:
    found = find_mistakes(make_report([("u1", "s1", reference, hypothesis), ("u2", "s1", "fine", "fine")]))
    told = [(one.kind, one.words, one.phrase, one.repeats) for one in found.hallucinations]
    assert told == ([expected] if expected else [])
    assert found.hallucination_rate == len(told) / 2


def test_a_long_sentence_in_a_loop_and_a_line_of_a_hundred_thousand_words(make_report: Make) -> None:
    sentence = " ".join(f"w{n}" for n in range(30))
    found = find_mistakes(make_report([("u1", "s", sentence, " ".join([sentence] * 4)), ("u2", "s", "a b c", "over and out " * 33_334)]))
    assert [(one.id, one.kind, one.repeats, one.words) for one in found.hallucinations] == [("u2", LOOP, 33_334, 99_999), ("u1", LOOP, 4, 90)]
    assert len(found.hallucinations[0].hypothesis) == 402  # the start of it, and a sign that there is more


def test_text_on_silence(make_report: Make) -> None:
    found = find_mistakes(make_report([("u1", "s", "", "thank you"), ("u2", "s", "a b", "a b"), ("u3", "s", "", "")]))
    assert (found.words_on_silence, found.silent, found.hallucinated[ON_SILENCE]) == (2, 2, 0)
    assert "2 words said where nothing was said (2 utterances without a word in the reference)." in mistakes_text(found)


def clips(first: int, last: int, between: int, size: int = 200) -> list[tuple[str, str, str, str]]:
    """Clips of six words by ten speakers; so many lose their first word, their last one, or one between."""
    words = ["one", "two", "three", "four", "five", "six"]
    rows = []
    for n in range(size):
        kept = list(words)
        if n % 5 == 0 and n // 5 < between:
            kept.remove("three")
        if n % 2 == 0 and n // 2 < first:
            kept.remove("one")
        if n % 2 == 1 and n // 2 < last:
            kept.remove("six")
        rows.append((f"u{n:03d}", f"s{n % 10}", " ".join(words), " ".join(kept)))
    return rows


def test_words_lost_at_the_ends_of_clips(make_report: Make) -> None:
    edges = find_mistakes(make_report(clips(first=4, last=60, between=8))).edges
    assert edges is not None
    assert (edges.utterances, edges.start, edges.end) == (200, 4 / 200, 60 / 200)
    assert edges.middle == pytest.approx(8 / 800)
    assert edges.end_ratio == pytest.approx(30)
    assert (edges.start_suspicious, edges.end_suspicious, edges.longest_end) == (False, True, 1)
    assert edges.examples == ("u000", "u001", "u002", "u003", "u004")
    even = find_mistakes(make_report(clips(first=8, last=8, between=32))).edges
    assert even is not None
    assert (even.start_suspicious, even.end_suspicious) == (False, False)


def test_ends_need_three_words_and_a_hypothesis(make_report: Make) -> None:
    assert find_mistakes(make_report([("u1", "s1", "a b", "a"), ("u2", "s2", "a b c", "")])).edges is None
    edges = find_mistakes(make_report([("u1", "s1", "a b c d", "c"), ("u2", "s2", "a b c", "a b c")])).edges
    assert edges is not None
    assert (edges.start, edges.end, edges.longest_end, edges.middle) == (0.5, 0.5, 2, 0.25)
    assert (edges.start_suspicious, edges.examples) == (False, ("u1",))


def test_words_gained_and_lost(make_report: Make) -> None:
    base = make_report([("u1", "s1", "a b c a", "x b c x"), ("u2", "s2", "c a", "c a"), ("u3", "s2", "a", "a")])
    adapted = make_report([("u1", "s1", "a b c a", "a b c a"), ("u2", "s2", "c a", "k x"), ("u3", "s2", "a", "a")], system="adapted")
    change = compare_mistakes(base, adapted)
    assert (change.gained_words, change.lost_words) == (2, 2)
    assert change.gained == (WordChange(word="a", said=4, base=2, adapted=3, net=1, gained=2, lost=1, p_value=1.0),)
    assert change.lost == (WordChange(word="c", said=2, base=2, adapted=1, net=-1, gained=0, lost=1, p_value=1.0),)
    assert base.words.hits + change.gained_words - change.lost_words == adapted.words.hits


def test_the_sign_test_of_a_word(make_report: Make) -> None:
    base = make_report([(f"u{n}", "s", "a", "x") for n in range(8)])
    change = compare_mistakes(base, make_report([(f"u{n}", "s", "a", "a") for n in range(8)]))
    assert change.gained[0].p_value == pytest.approx(2 / 2**8)


def test_inventions_that_came_and_went(make_report: Make) -> None:
    loop = "go on go on go on go on"
    base = make_report([("u1", "s", "go on", loop), ("u2", "s", "go on", "go on"), ("u3", "s", "go on", loop)])
    adapted = make_report([("u1", "s", "go on", "go on"), ("u2", "s", "go on", loop), ("u3", "s", "go on", loop)], system="adapted")
    change = compare_mistakes(base, adapted, most=1)
    assert (change.new_hallucinations, change.gone_hallucinations) == (("u2",), ("u1",))
    assert len(change.adapted.hallucinations) == 1
    assert change.adapted.hallucinated[LOOP] == 2
    assert 'Utterances that look invented: 1 no longer do, 1 do now ("u2").' in short_lines(change)


def test_several_references_are_each_system_s_own(make_manifest: Callable[..., Manifest]) -> None:
    manifest = make_manifest([("u1", "s1", "a b c")], meta={"references": ["d e f g"]})
    base, adapted = (
        score(manifest, [Hypothesis(id="u1", text=text)], system=text, normalizer="raw", by=(), resamples=0) for text in ("a b x", "d e f g")
    )
    change = compare_mistakes(base, adapted)
    assert (base.utterances[0].reference, adapted.utterances[0].reference) == ("a b c", "d e f g")
    assert [(word.word, word.net) for word in change.gained] == [("c", 1)]


def test_refusals(make_report: Make) -> None:
    one = make_report([("u1", "s", "a", "a")])
    with pytest.raises(ScoreError, match="did not count the same utterances"):
        compare_mistakes(one, make_report([("u2", "s", "a", "a")]))
    with pytest.raises(ScoreError, match="most is 0, must be 1 or more"):
        find_mistakes(one, most=0)


def test_nothing_wrong_and_nothing_at_all(make_report: Make) -> None:
    perfect = find_mistakes(make_report([("u1", "s", "a b c", "a b c")]))
    assert mistakes_text(perfect) == "What base got wrong\n\nNothing: every word was recognized.\n"
    assert (perfect.worst, perfect.hallucination_rate) == ((), 0.0)
    empty = find_mistakes(make_report([("u1", "s", "", "")]))
    assert (empty.utterances, empty.hallucination_rate, empty.edges) == (0, 0.0, None)


def test_right_to_left_and_characters_as_words(make_report: Make) -> None:
    found = find_mistakes(make_report([("u1", "s", "شكرا جزيلا لك", "شكرا جميلا لك")]))
    assert (found.substitutions[0].reference, found.substitutions[0].hypothesis) == ("جزيلا", "جميلا")
    found = find_mistakes(make_report([("u1", "s", "你好吗", "你号吗")], normalizer="basic:zh"))
    assert (found.substitutions[0].reference, found.substitutions[0].hypothesis) == ("好", "号")


def test_the_text_is_safe_for_a_terminal_and_complete(make_report: Make) -> None:
    base = make_report([(f"u{n}\t", "s", "three \x1b[31mred one", "tree \x1b[31mred one") for n in range(3)])
    shown = mistakes_change_text(compare_mistakes(make_report([(f"u{n}\t", "s", "three \x1b[31mred one", "x") for n in range(3)]), base), most=2)
    assert "\x1b" not in shown
    lines = shown.splitlines()
    assert lines[:5] == [
        "What base got wrong",
        "",
        "Substitutions (1 of 1 different ones)",
        "said    heard    times    utterances    speakers    more often by",
        "------  -------  -------  ------------  ----------  ---------------",
    ]
    assert lines[5].split() == ["three", "tree", "3", "of", "3", "3", "1"]
    assert "6 words that the base got wrong are right now, and 0 the other way round (net +6)." in lines
    assert "Words gained" in lines


def test_json_is_plain(make_report: Make) -> None:
    found = find_mistakes(make_report([("u1", "s", "go on", "go on go on go on")]))
    row = json.loads(json.dumps(found.to_json()))
    assert row["hallucinations"][0] == {name: getattr(found.hallucinations[0], name) for name in Hallucination.__slots__}
    assert sorted(row) == sorted(Mistakes.__slots__)
    change = json.loads(json.dumps(compare_mistakes(make_report([("u1", "s", "a", "a")]), make_report([("u1", "s", "a", "b")])).to_json()))
    assert change["lost"][0]["net"] == -1
