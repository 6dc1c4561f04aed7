"""What people read, whole."""

import dataclasses
from collections.abc import Callable

import pytest

from speechadapt.score.compare import compare
from speechadapt.score.render import comparison_text, report_notes, report_text, run_markdown, run_text
from speechadapt.score.report import ScoreReport
from speechadapt.score.verdict import ComparisonSet, ShortWindow, comparison_set

ReportMaker = Callable[..., ScoreReport]

SAID = ["the cat sat", "on the mat", "one two three", "four five six"]
BASE = ["the cat sat", "in the mat", "one two", "four five six six"]
NEW = ["the cat sad", "on the mat", "one two three", "four five six"]


@pytest.fixture
def reports(make_report: ReportMaker) -> tuple[ScoreReport, ScoreReport]:
    rows = [[(f"u{place}", f"s{place % 2}", said, heard) for place, (said, heard) in enumerate(zip(SAID, side, strict=True))] for side in (BASE, NEW)]
    return make_report(rows[0], system="tiny.en"), make_report(rows[1], system="tiny.en + x")


@pytest.fixture
def entry(reports: tuple[ScoreReport, ScoreReport]) -> ComparisonSet:
    return comparison_set("test", "data/test.jsonl", "test", *reports)


def test_a_report(reports: tuple[ScoreReport, ScoreReport]) -> None:
    assert (
        report_text(reports[0])
        == """\
tiny.en on test: 4 utterances, 2 speakers, 12 reference words
normalizer raw, version 1

WER     95 % interval    CER     hits    subst.    del.    ins.
------  ---------------  ------  ------  --------  ------  ------
25.0 %  0.0 to 130.9 %   23.4 %  10      1         1       1

8.3 % substituted, 8.3 % deleted, 8.3 % inserted; sentences with an error 75.0 %; match error rate 23.1 %, word information lost 30.6 %

group        utterances    speakers    words    WER     CER
-------  --  ------------  ----------  -------  ------  ------
speaker  s0  2             1           6        16.7 %  25.0 %
speaker  s1  2             1           6        33.3 %  21.7 %

There are only 2 speakers, fewer than 8: the interval is a rough guide to how other speakers would fare.
"""
    )


def test_a_comparison(reports: tuple[ScoreReport, ScoreReport]) -> None:
    assert (
        comparison_text(compare(*reports))
        == """\
not enough evidence: WER 25.0 % -> 8.3 % (-16.7 points, 95 % interval -228.4 to +195.1; relative -66.7 %); 2 speakers, 4 utterances.

                      WER     95 % interval    CER     errors    words
--------------------  ------  ---------------  ------  --------  -------
base: tiny.en         25.0 %  0.0 to 130.9 %   23.4 %  3         12
adapted: tiny.en + x  8.3 %   0.0 to 114.2 %   2.1 %   1         12

relative change -66.7 % (95 % interval -702.0 to +568.6 %).

test                  over               n    statistic    p
--------------------  -----------------  ---  -----------  ------
permutation           speakers           2    -2           1.0000
Student's t           speakers           2    -1           0.5000
Wilcoxon signed rank  speakers           1    -1           1.0000
sign                  speakers           1    1            1.0000
MAPSSWE               sentence segments  4    -1           0.3173
matched pairs         utterances         4    -1           0.3910
McNemar               utterances         4    3            0.6250
Those over speakers answer for other speakers; the others for other sentences of the same speakers.

With 2 speakers this test could hardly have shown any change (80 % power, two-sided 5 %); to show the 16.7 points seen takes about 16 more speakers like these.

group        speakers    words    base    adapted    change (points)    95 % interval     p       p (Holm)    verdict
-------  --  ----------  -------  ------  ---------  -----------------  ----------------  ------  ----------  -------------------
speaker  s0  1           6        16.7 %  16.7 %     +0.0               -423.5 to +423.5  1.0000  1.0000      not enough evidence
speaker  s1  1           6        33.3 %  0.0 %      -33.3              -                 0.5000  1.0000      not enough evidence

3 utterances got better, 1 got worse.
There are only 2 speakers, fewer than 8: the interval is a rough guide to how other speakers would fare.
"""  # noqa: E501
    )


def test_a_run(entry: ComparisonSet) -> None:
    assert (
        run_text([entry])
        == """\
Test "test": not enough evidence: WER 25.0 % -> 8.3 % (-16.7 points, 95 % interval -228.4 to +195.1; relative -66.7 %); 2 speakers, 4 utterances.
No guard set was scored, so what the adapter costs elsewhere is unknown.

set    role    utterances    speakers    base WER    adapted WER    change (points)    95 % interval     relative    verdict
-----  ------  ------------  ----------  ----------  -------------  -----------------  ----------------  ----------  -------------------
test   test    4             2           25.0 %      8.3 %          -16.7              -228.4 to +195.1  -66.7 %     not enough evidence

test: There are only 2 speakers, fewer than 8: the interval is a rough guide to how other speakers would fare.
"""
    )


def test_the_short_window_has_a_column_where_a_set_was_decoded_in_it(entry: ComparisonSet) -> None:
    short = ShortWindow(wer=0.5, cer=None, errors=6, words=12, delta=0.25, ci95=None, verdict="worse")
    both = [dataclasses.replace(entry, short_window=short), dataclasses.replace(entry, name="other")]
    head, _, first, second, *_ = run_text(both).split("set  ")[1].splitlines()
    assert head.endswith("  verdict              short window")
    assert first.endswith("  not enough evidence  50.0 %, worse")
    assert second.endswith("  not enough evidence  -")


def test_a_summary(entry: ComparisonSet) -> None:
    assert (
        run_markdown([entry], title="quickstart", plot="wer.png", notes=["Trained on nothing."])
        == """\
# quickstart

- Test "test": not enough evidence: WER 25.0 % -> 8.3 % (-16.7 points, 95 % interval -228.4 to +195.1; relative -66.7 %); 2 speakers, 4 utterances.
- No guard set was scored, so what the adapter costs elsewhere is unknown.

| set   | role   | utterances   | speakers   | base WER   | adapted WER   | change (points)   | 95 % interval    | relative   | verdict             |
|-------|--------|--------------|------------|------------|---------------|-------------------|------------------|------------|---------------------|
| test  | test   | 4            | 2          | 25.0 %     | 8.3 %         | -16.7             | -228.4 to +195.1 | -66.7 %    | not enough evidence |

![WER by group, base against adapted](wer.png)

## test (test)

not enough evidence: WER 25.0 % -> 8.3 % (-16.7 points, 95 % interval -228.4 to +195.1; relative -66.7 %); 2 speakers, 4 utterances.

relative change -66.7 % (95 % interval -702.0 to +568.6 %); matched-pairs test over utterances p = 0.3910; permutation test over speakers p = 1.0000.

With 2 speakers this test could hardly have shown any change (80 % power, two-sided 5 %); to show the 16.7 points seen takes about 16 more speakers like these.

|                      | WER    | 95 % interval   | CER    | errors   | words   |
|----------------------|--------|-----------------|--------|----------|---------|
| base: tiny.en        | 25.0 % | 0.0 to 130.9 %  | 23.4 % | 3        | 12      |
| adapted: tiny.en + x | 8.3 %  | 0.0 to 114.2 %  | 2.1 %  | 1        | 12      |

| group   |    | speakers   | words   | base   | adapted   | change (points)   | 95 % interval    | p      | p (Holm)   | verdict             |
|---------|----|------------|---------|--------|-----------|-------------------|------------------|--------|------------|---------------------|
| speaker | s0 | 1          | 6       | 16.7 % | 16.7 %    | +0.0              | -423.5 to +423.5 | 1.0000 | 1.0000     | not enough evidence |
| speaker | s1 | 1          | 6       | 33.3 % | 0.0 %     | -33.3             | -                | 0.5000 | 1.0000     | not enough evidence |

- There are only 2 speakers, fewer than 8: the interval is a rough guide to how other speakers would fare.

### Most improved (3 of 3)

`u1`: 1 error -> 0

~~~text
base
REF: on the mat
HYP: in the mat
      S

adapted
REF: on the mat
HYP: on the mat
~~~

`u2`: 1 error -> 0

~~~text
base
REF: one two three
HYP: one two *****
                 D

adapted
REF: one two three
HYP: one two three
~~~

`u3`: 1 error -> 0

~~~text
base
REF: four five six ***
HYP: four five six six
                     I

adapted
REF: four five six
HYP: four five six
~~~

### Got worse (1 of 1)

`u0`: 0 errors -> 1

~~~text
base
REF: the cat sat
HYP: the cat sat

adapted
REF: the cat sat
HYP: the cat sad
               S
~~~

## How it was made

- Trained on nothing.
"""  # noqa: E501
    )


def test_notes_of_a_report(make_report: ReportMaker) -> None:
    report = make_report(
        [("a", None, "one two", "one two"), ("b", None, "yes", "thank you for watching this video"), ("c", None, "", "hm hm"), ("d", None, "so", "")]
    )
    report = dataclasses.replace(report, missing=("d",), extra=tuple(f"z{place}" for place in range(7)), real_time_factor=0.0421)
    assert report_notes(report) == [
        'Not counted, no word in the reference: 1 ("c"); the system said 2 words there (60.0 per minute of audio).',
        'No hypothesis, counted as empty: 1 ("d").',
        'Hypotheses of no utterance, ignored: 7 ("z0", "z1", "z2", "z3", "z4" and 2 more).',
        'Perhaps a loop or invented text (twice the words said, or more): 1 ("b").',
        "Decoding took 0.042 s per second of audio.",
        "The speakers are unknown, so the interval resamples utterances; it is too narrow if few people spoke them.",
    ]


def test_text_of_strangers_cannot_drive_the_terminal_or_the_page(make_report: ReportMaker) -> None:
    rows = [("u`1", "s|<b>\x1b[31m", "one two", text) for text in ("one <script>", "one \x1b]0;evil\x07")]
    base, adapted = (make_report([row], system=f"{name}|\x1b[0m") for row, name in zip(rows, ("a", "b"), strict=True))
    for text in (report_text(base), comparison_text(compare(base, adapted)), run_text([comparison_set("n", "n", "test", base, adapted)])):
        assert all(letter == "\n" or letter.isprintable() for letter in text)
    page = run_markdown([comparison_set("n", "n", "test", adapted, dataclasses.replace(base, system="<i>"))], title="a <b> `c`")
    assert all(letter == "\n" or letter.isprintable() for letter in page)
    assert "# a &lt;b> 'c'" in page
    assert "s\\|&lt;b>" in page
    assert "adapted: &lt;i>" in page


def test_long_lists_are_cut_and_say_so(make_report: ReportMaker) -> None:
    rows = [(f"u{place:02d}", f"s{place:02d}", "one two", "one two") for place in range(45)]
    report = make_report(rows)
    assert "(5 more values of speaker)" in report_text(report)
    assert "(5 more groups: see them with --json)" in comparison_text(compare(report, report))


def test_for_whom_it_got_worse(make_report: ReportMaker) -> None:
    base = make_report([(f"u{place}", f"s{place}", "one two", "one two") for place in range(7)])
    worse = make_report([(f"u{place}", f"s{place}", "one two", "one x" if place else "one two") for place in range(7)], system="new")
    line = next(line for line in comparison_text(compare(base, worse)).splitlines() if line.startswith("WER rose"))
    each = ", ".join(f"speaker s{place} (+50.0 points, not enough evidence)" for place in range(1, 6))
    assert line == f"WER rose for {each} and 1 more group."


def test_tests_without_a_value_and_old_comparisons(make_report: ReportMaker) -> None:
    one = [make_report([("u1", "s1", "a b c", said)], system=system) for said, system in (("a b x", "base"), ("a b c", "new"))]
    text = comparison_text(compare(*one))
    assert "MAPSSWE               sentence segments  1    -            -\n" in text
    assert "Those over speakers" not in text  # there is one
    old = dataclasses.replace(compare(*one), tests={}, power=None)
    assert "relative change -100.0 % (95 % interval - %); matched-pairs test over utterances p -\n" in comparison_text(old)


def test_power_is_shown_where_it_matters(twelve_speakers: Callable[[str, int], ScoreReport]) -> None:
    base, better = twelve_speakers("tiny", 4), twelve_speakers("new", 1)
    assert compare(base, better).verdict == "better"
    assert "this test could have shown" not in comparison_text(compare(base, better))
    asked = comparison_text(compare(base, better, detect=0.3))
    assert "; for the 30.0 points asked for it is large enough.\n" in asked


def test_a_verdict_that_holm_does_not_confirm(reports: tuple[ScoreReport, ScoreReport]) -> None:
    found = compare(*reports)
    group = dataclasses.replace(found.groups[1], verdict="better", p_value=0.03, p_value_holm=0.06)
    row = comparison_text(dataclasses.replace(found, groups=(group,))).splitlines()
    assert next(line for line in row if line.startswith("speaker  s1")).endswith("0.0300  0.0600      better, not after Holm")
