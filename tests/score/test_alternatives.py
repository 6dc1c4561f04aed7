"""Alternatives and words that may be left out: what is read, what is counted, what is refused; and agreement with NIST's sclite."""

from pathlib import Path

import pytest

from speechadapt.errors import ScoreError
from speechadapt.score.align import count_tokens
from speechadapt.score.alternatives import Reading, align_graph, best_reading, is_marked, parse_alternatives, plain_graph
from speechadapt.text.normalize import get_normalizer

GOLDEN = Path(__file__).parent.parent / "golden" / "sclite_counts.tsv"
RAW = get_normalizer("raw")


def read(reference: str, hypothesis: str, *, normalizer: str = "raw", nist: bool = False) -> Reading:
    return align_graph(parse_alternatives(reference, get_normalizer(normalizer), key="u1"), hypothesis, nist=nist)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "text", "tally"),
    [
        ("{ going to / gonna / @ } try", "gonna try", "gonna try", (2, 0, 0, 0)),
        ("{ going to / gonna / @ } try", "going to try", "going to try", (3, 0, 0, 0)),
        ("{ going to / gonna / @ } try", "try", "try", (1, 0, 0, 0)),
        ("{ going to / gonna / @ } try", "going try", "going to try", (2, 0, 1, 0)),
        ("(going to)/(gonna)/(@) try", "try", "try", (1, 0, 0, 0)),
        ("(going to)/(gonna) try", "gonna try", "gonna try", (2, 0, 0, 0)),
        ("{ a { b / c } / d } e", "a c e", "a c e", (3, 0, 0, 0)),
        ("{ (uh) a / b } c", "a c", "a c", (3, 0, 0, 0)),
        ("(uh) yes", "yes", "yes", (2, 0, 0, 0)),  # left out: counts as right
        ("(uh) yes", "uh yes", "uh yes", (2, 0, 0, 0)),
        ("(uh) yes", "oh yes", "uh yes", (1, 1, 0, 0)),
        ("(you know) yes", "know yes", "know yes", (3, 0, 0, 0)),  # each word by itself
        ("(uh)", "", "", (1, 0, 0, 0)),
        ("{ a / @ }", "", "", (0, 0, 0, 0)),
        ("{a / b} c", "b c", "b c", (2, 0, 0, 0)),
        ("{ colo(u)r / x/y } (re)do", "x/y (re)do", "x/y (re)do", (2, 0, 0, 0)),
        ("a / b", "a / b", "a / b", (3, 0, 0, 0)),  # outside of braces a slash is a word
    ],
)
def test_readings(reference: str, hypothesis: str, text: str, tally: tuple[int, int, int, int]) -> None:
    assert read(reference, hypothesis) == Reading(text=text, tally=tally)
    assert read(reference, hypothesis, nist=True) == Reading(text=text, tally=tally)


def test_each_branch_is_normalized_by_itself() -> None:
    assert read("{ Going to / Gonna } try, (Uh) OK!", "gonna try ok", normalizer="basic") == Reading(text="gonna try ok", tally=(4, 0, 0, 0))
    assert read("{ ... / Well } yes", "yes", normalizer="basic") == Reading(text="yes", tally=(1, 0, 0, 0))  # a branch of which no word is left
    assert read("{ twenty one / 20 / @ } people", "21 people", normalizer="english") == Reading(text="21 people", tally=(2, 0, 0, 0))


@pytest.mark.parametrize(
    ("reference", "fact"),
    [
        ("a { b / c", '"{" is not closed by "}"'),
        ("a } b", '"}" was never opened by "{"'),
        ("{ a / { b / c }", '"{" is not closed by "}"'),
        ("{ a / } b", "a branch is empty; write @ for nothing"),
        ("{ / a } b", "a branch is empty; write @ for nothing"),
        ("{ } b", "a branch is empty; write @ for nothing"),
        ("{a/b} c", 'braces hold one branch only: "/" needs a blank on each side'),
        ("{ @ a / b }", "@ stands for nothing and must be alone in its branch"),
        ("(uh yes", '"(" is not closed by ")" and a blank'),
        ("uh) yes", '")" was never opened by "("'),
        ("(a)/b c", '"(a)/b": "/" after ")" needs "(" on its other side'),
        ("() yes", "parentheses are empty; write @ for nothing"),
        ("(a)/( ) yes", "parentheses are empty; write @ for nothing"),
        ("((a)) yes", '"((a))" has parentheses in parentheses; write { a / b } for alternatives in alternatives'),
        ("{ a / " * 21 + "b" + " }" * 21, "alternatives stand in each other more than 20 deep"),
    ],
)
def test_marks_that_mean_nothing_are_refused_by_id(reference: str, fact: str) -> None:
    with pytest.raises(ScoreError) as caught:
        read(reference, "a")
    assert str(caught.value) == f'reference "u1": {fact}. It reads: {reference!r}. Correct the text, or score without --alternatives.'


def test_a_long_reference_is_shown_in_part() -> None:
    with pytest.raises(ScoreError) as caught:
        read("word " * 200 + "{", "a")
    assert len(str(caught.value)) < 400


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(ScoreError) as caught:
        align_graph(plain_graph(["a"] * 4000), "b " * 4000, key="u1")
    assert str(caught.value) == (
        'utterance "u1": 4000 reference words and 4000 heard ones; alternatives and --alignment nist are made for '
        "fewer than 10000000 pairs of them. Cut the utterance, or score it without."
    )


def test_of_several_references_the_first_with_the_fewest_errors_counts() -> None:
    graphs = [plain_graph(text.split()) for text in ("a b c", "a x", "a y", "")]
    assert best_reading(graphs, "a x") == Reading(text="a x", tally=(2, 0, 0, 0))
    assert best_reading(graphs, "a z") == Reading(text="a x", tally=(1, 1, 0, 0))
    assert best_reading(graphs, "") == Reading(text="", tally=(0, 0, 0, 0))


def golden() -> list[tuple[str, str, tuple[int, ...]]]:
    rows = [line.split("\t") for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    return [(row[0], row[1], tuple(map(int, row[2:]))) for row in rows]


def test_counts_equal_sclites_on_plain_and_marked_texts() -> None:
    rows = golden()
    assert len(rows) == 4000
    assert sum(is_marked(reference) for reference, _, _ in rows) > 1500
    wrong = [row for row in rows if read(row[0], row[1], nist=True).tally != row[2]]
    assert wrong == []


def test_fewest_errors_are_never_more_than_sclites_and_seldom_fewer() -> None:
    """sclite weighs a substitution 4 and other errors 3, so it may take two insertions and two deletions for three substitutions."""
    fewer = 0
    for reference, hypothesis, counts in golden():
        reading = read(reference, hypothesis)
        assert reading.errors <= sum(counts[1:])
        fewer += reading.errors < sum(counts[1:])
    assert fewer == 56


def test_a_reading_of_fewest_errors_is_counted_as_jiwer_counts_it() -> None:
    for reference, hypothesis, _ in golden()[::7]:
        reading = read(reference, hypothesis)
        hits, *errors = count_tokens(reading.text.split(), hypothesis.split())
        assert [*errors] == [*reading.tally[1:]]
        assert reading.tally[0] >= hits  # more by the optional words that were left out
        if not is_marked(reference):
            assert (reading.text, reading.tally[0]) == (reference, hits)
