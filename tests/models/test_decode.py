"""Greedy and beam search over a small table of probabilities, where the best answer is known by trying all; and the rule for loops."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.models.decode import LONGEST_REPEAT, LOOP_COPIES, LOOP_TOKENS, Decoder, beam_search, greedy, loop_length

END = 0


class Chain(Decoder):
    """The next token depends on the last one and on the clip: `tables[clip, last]` holds logits. Remembers histories, to check the bookkeeping."""

    def __init__(self, tables: torch.Tensor, beams: int = 1) -> None:
        self.tables = tables
        self.beams = beams
        self.clips = list(range(len(tables)))
        self.histories: list[list[int]] = [[] for _ in range(len(tables) * beams)]

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        for history, new in zip(self.histories, tokens.tolist(), strict=True):
            history.extend(new)
        return torch.stack([self.tables[self.clips[row // self.beams], history[-1]] for row, history in enumerate(self.histories)])

    def keep_clips(self, clips: torch.Tensor) -> None:
        self.histories = [self.histories[clip * self.beams + beam] for clip in clips.tolist() for beam in range(self.beams)]
        self.clips = [self.clips[clip] for clip in clips.tolist()]

    def reorder(self, rows: torch.Tensor) -> None:
        assert all(row // self.beams == index // self.beams for index, row in enumerate(rows.tolist())), "a beam left its clip"
        self.histories = [list(self.histories[row]) for row in rows.tolist()]


def tables(clips: int, vocabulary: int, seed: int) -> torch.Tensor:
    return torch.randn(clips, vocabulary, vocabulary, generator=torch.Generator().manual_seed(seed)) * 2


def logprob(table: torch.Tensor, start: int, ids: Sequence[int]) -> float:
    scores = table.log_softmax(dim=-1)
    return sum(float(scores[before, after]) for before, after in itertools.pairwise([start, *ids]))


def starts(clips: int) -> torch.Tensor:
    return torch.full((clips, 1), 1)


@pytest.mark.parametrize("seed", range(5))
def test_greedy_takes_the_likeliest_token_each_time(seed: int) -> None:
    table = tables(3, 6, seed)
    for clip, result in enumerate(greedy(Chain(table), starts(3), END, [8, 8, 8])):
        expected, last = [], 1
        while len(expected) < 8:
            last = int(table[clip, last].argmax())
            if last == END:
                break
            expected.append(last)
        assert list(result.ids) == expected
        ended = last == END
        assert result.emitted == len(expected) + ended
        assert result.logprob == pytest.approx(logprob(table[clip], 1, [*expected, *([END] if ended else [])]), abs=1e-4)
        assert not result.looped


@pytest.mark.parametrize("seed", range(8))
def test_a_wide_beam_finds_the_best_of_all_texts(seed: int) -> None:
    """As many beams as there are beginnings: nothing is pruned, so the winner is the text with the best mean log-probability."""
    vocabulary, budget = 4, 3
    table = tables(1, vocabulary, seed)
    best = max(
        logprob(table[0], 1, ids) / len(ids)
        for length in range(1, budget + 1)
        for body in itertools.product(range(1, vocabulary), repeat=length)
        for ids in ([*body[: length - 1], END], body if length == budget else [*body[: length - 1], END])
    )
    beams = vocabulary**budget
    wide = torch.cat([table, torch.full((1, vocabulary, beams - vocabulary), -torch.inf)], dim=2)  # room for 2 x beams candidates
    found = beam_search(Chain(wide, beams), starts(1), END, [budget], beams)[0]
    assert found.logprob / found.emitted == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("beams", [2, 5])
def test_a_batch_of_beams_equals_its_singles(beams: int) -> None:
    table, budgets = tables(4, 12, seed=3), [3, 20, 7, 12]
    together = beam_search(Chain(table, beams), starts(4), END, budgets, beams)
    for clip in range(4):
        alone = beam_search(Chain(table[clip : clip + 1], beams), starts(1), END, budgets[clip : clip + 1], beams)[0]
        assert alone.ids == together[clip].ids
        assert alone.logprob == pytest.approx(together[clip].logprob, abs=1e-4)


def test_a_batch_of_greedy_equals_its_singles() -> None:
    table, budgets = tables(4, 12, seed=3), [3, 20, 7, 12]
    together = greedy(Chain(table), starts(4), END, budgets)
    assert together == [greedy(Chain(table[clip : clip + 1]), starts(1), END, budgets[clip : clip + 1])[0] for clip in range(4)]


@pytest.mark.parametrize("beams", [1, 4])
def test_budgets_bound_the_text_of_each_clip(beams: int) -> None:
    table = tables(3, 12, seed=1)
    table[:, :, END] = -torch.inf  # never ends by itself
    budgets = [1, 5, 9]
    found = greedy(Chain(table), starts(3), END, budgets) if beams == 1 else beam_search(Chain(table, beams), starts(3), END, budgets, beams)
    assert [len(result.ids) for result in found] == budgets
    assert [result.emitted for result in found] == budgets


@pytest.mark.parametrize("beams", [1, 3])
def test_a_loop_is_cut_to_one_copy(beams: int) -> None:
    """1 → 2 → 3 → 4 → 2 → … with almost no chance of anything else: 24 tokens of a 3-gram are eight copies."""
    table = torch.full((1, 6, 6), -20.0)
    for before, after in ((1, 2), (2, 3), (3, 4), (4, 2)):
        table[0, before, after] = 10.0
    found = greedy(Chain(table), starts(1), END, [400]) if beams == 1 else beam_search(Chain(table, beams), starts(1), END, [400], beams)
    assert found[0].ids == (2, 3, 4)
    assert found[0].looped
    assert found[0].emitted == 3, "copies that were cut away do not count for the average"
    assert found[0].logprob == pytest.approx(logprob(table[0], 1, [2, 3, 4]), abs=1e-4)


def test_an_ending_wins_over_a_loop_that_is_only_sure_of_itself() -> None:
    """After 2 the end is the likelier choice; the loop 3 3 3 … has the better mean if its copies are counted (-0.02 against -0.3)."""
    table = torch.full((1, 4, 4), -30.0)
    table[0, 1, 2] = 0.0
    table[0, 2, END], table[0, 2, 3] = math.log(0.55), math.log(0.45)
    table[0, 3, 3] = 0.0
    assert beam_search(Chain(table, 2), starts(1), END, [100], 2)[0].ids == (2,)


def test_endings_that_rank_behind_a_full_beam_do_not_count() -> None:
    """The end is always possible and never likely: three poor endings must not stop the search before the good text is complete."""
    table = torch.full((1, 8, 8), -40.0)
    for before in range(1, 7):
        table[0, before, before + 1] = 0.0
        table[0, before, [token for token in range(1, 7) if token != before + 1]] = -9.0
        table[0, before, END] = -12.0
    table[0, 7, END] = 5.0
    assert beam_search(Chain(table, 2), starts(1), END, [50], 2)[0].ids == (2, 3, 4, 5, 6, 7)


def test_impossible_tokens_are_never_said() -> None:
    table = tables(2, 8, seed=0)
    table[:, :, 5] = -torch.inf
    for found in (greedy(Chain(table), starts(2), END, [30, 30]), beam_search(Chain(table, 3), starts(2), END, [30, 30], 3)):
        assert all(5 not in result.ids and math.isfinite(result.logprob) for result in found)


@pytest.mark.parametrize(
    ("ids", "cut"),
    [
        ([], 0),
        ([7], 0),
        ([7] * 23, 0),
        ([7] * 24, 23),
        ([7] * 30, 29),
        ([1, 2, 3, *[7] * 24], 23),
        ([*[7] * 24, 8], 0),
        ([4, 5] * 11, 0),
        ([4, 5] * 12, 22),
        ([9, 4, 5] * 8, 21),
        ([*range(1, 13)] * 4, 0),
        ([*range(1, 13)] * 5, 48),
        ([*range(1, 14)] * 9, 0),
    ],
)
def test_loop_length(ids: list[int], cut: int) -> None:
    """A tail of 24 tokens or more made of five copies or more of up to 12 tokens; all copies but the first go."""
    assert (LONGEST_REPEAT, LOOP_TOKENS, LOOP_COPIES) == (12, 24, 5)
    assert loop_length(ids) == cut


@given(st.lists(st.integers(0, 50), max_size=80))
def test_ordinary_text_does_not_loop(ids: list[int]) -> None:
    cut = loop_length(ids)
    if cut:  # hypothesis does find loops: then what is left ends in one copy of what was cut
        size = next(n for n in range(1, 13) if ids[-n:] * (cut // n) == ids[-cut:] and cut % n == 0)
        assert ids[len(ids) - cut - size : len(ids) - cut] == ids[-size:]
    distinct = np.arange(len(ids)).tolist()
    assert loop_length(distinct) == 0


# Drawing


def test_drawing_is_repeatable_and_does_not_depend_on_the_batch() -> None:
    table = tables(4, 9, 3)
    budgets = [12, 12, 12, 12]
    together = greedy(Chain(table), starts(4), END, budgets, temperature=0.8, seed=5)
    assert together == greedy(Chain(table), starts(4), END, budgets, temperature=0.8, seed=5)
    for clip in range(4):
        assert [together[clip]] == greedy(Chain(table[clip : clip + 1]), starts(1), END, [12], temperature=0.8, seed=5)
    others = [greedy(Chain(table), starts(4), END, budgets, temperature=0.8, seed=seed) for seed in range(8)]
    assert len({tuple(result.ids for result in one) for one in others}) > 4


def test_what_is_drawn_follows_the_probabilities() -> None:
    """The first token over 2,000 seeds, at two temperatures, and one forbidden that never comes."""
    table = torch.full((1, 5, 5), -torch.inf)
    table[0, 1, 2:] = torch.tensor([0.0, 1.0, -torch.inf])
    table[0, 2:, END] = 0.0
    for temperature in (0.5, 1.0):
        first = [greedy(Chain(table), starts(1), END, [1], temperature=temperature, seed=seed)[0].ids[0] for seed in range(2000)]
        expected = torch.tensor([0.0, 1.0]).div(temperature).softmax(dim=0)[1]
        assert set(first) == {2, 3}
        assert first.count(3) / 2000 == pytest.approx(float(expected), abs=0.03)


def test_a_low_temperature_is_nearly_greedy_and_scores_are_those_at_one() -> None:
    table = tables(2, 7, 1)
    cold = greedy(Chain(table), starts(2), END, [6, 6], temperature=0.01)
    assert [result.ids for result in cold] == [result.ids for result in greedy(Chain(table), starts(2), END, [6, 6])]
    for clip, result in enumerate(greedy(Chain(table), starts(2), END, [6, 6], temperature=1.0, seed=2)):
        ids = [*result.ids, END] if result.emitted > len(result.ids) else result.ids
        assert result.logprob == pytest.approx(logprob(table[clip], 1, ids), abs=1e-4)
