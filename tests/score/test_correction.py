"""Holm's correction by hand and against published figures."""

import pytest

from speechadapt.score.correction import holm


def test_by_hand() -> None:
    """Sorted: 0.005 times 4, 0.01 times 3, 0.03 times 2, and 0.04, which may not fall below the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_the_fifteen_tests_of_benjamini_and_hochberg() -> None:
    """Their worked example (JRSS B 1995, section 3); the values are those of statsmodels 0.15, multipletests(method="holm")."""
    given = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    expected = [0.0015, 0.0056, 0.0247, 0.114, 0.2211, 0.278, 0.278, 0.278, 0.3213, 1, 1, 1, 1, 1, 1]
    assert holm(given) == pytest.approx(expected, abs=1e-12)


def test_what_was_not_tested_does_not_count() -> None:
    assert holm([None, 0.02, None, 0.03]) == [None, 0.04, None, 0.04]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []
    assert holm([None]) == [None]


def test_equal_values_get_equal_corrections() -> None:
    assert holm([0.01, 0.01, 0.2]) == pytest.approx([0.03, 0.03, 0.2])
