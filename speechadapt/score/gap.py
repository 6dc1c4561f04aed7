"""The gap: how much worse the worst served group of a field fares than the best served one, and whether adapting changed that."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from speechadapt.errors import ScoreError
from speechadapt.score.grouping import UNKNOWN_GROUP, sorted_labels
from speechadapt.score.intervals import FEW_SPEAKERS, LEVEL, RESAMPLES, Interval, units_of
from speechadapt.score.phrases import listed, percent, plural, points, points_range, printable
from speechadapt.score.report import ScoreReport
from speechadapt.score.utterances import ScoredUtterances

Floats = NDArray[np.float64]

FEWEST_SPEAKERS = 3
FEWEST_WORDS = 100
FEWEST_UTTERANCES = 10
"""A group needs as many to be an end of a gap; utterances where they are what is resampled."""
MOST_PAIRED_GROUPS = 100
"""Up to here every pair of groups has its own standard error; beyond, one bound for each group, which is wider."""
MANY_UNITS = 200
"""From here on the bootstrap distribution of a group's rate is drawn from its normal limit, which no longer differs and costs nothing."""
MOST_DRAWS = 4_000_000
"""Draws times groups; with very many groups fewer draws are made."""
MOST_GROUPS = 1000
METHOD = "simultaneous bootstrap"
NARROWER, WIDER, UNDECIDED = "narrower", "wider", "not enough evidence"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServedGroup:
    """One end of a gap: the group's `value` in the field (`scottish`), its size, and its WER (a fraction)."""

    value: str
    utterances: int
    speakers: int
    words: int
    wer: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The distance between the best and the worst served group of one field, for one system.

    Attributes:
        field: what the groups have in common, such as "accent". system: whose errors these are.
        best, worst: the groups with the lowest and the highest WER among those with enough words and speakers.
        difference: WER of worst minus WER of best, a fraction of 0 or more.
        ratio: WER of worst over WER of best; None where the best made no error.
        interval: 95 % interval of the difference between the truly best and the truly worst group, whichever they are (the ends were
            chosen by looking, which this accounts for); None where it cannot be made. Its low end is above 0 only where some two groups
            can be told apart.
        ratio_interval: the same of the ratio; None where it cannot be made.
        by_chance: the difference that groups which do not differ at all would have shown on average in a test set like this one.
        groups: how many were compared. left_out: values of the others (too few words or speakers, or unknown).
        left_out_utterances: theirs.
        note: a sentence on what was left out or what the interval rests on, or nothing.
    """

    field: str
    system: str
    best: ServedGroup
    worst: ServedGroup
    difference: float
    ratio: float | None
    interval: Interval | None
    ratio_interval: Interval | None
    by_chance: float | None
    groups: int
    left_out: tuple[str, ...] = ()
    left_out_utterances: int = 0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object; `ci95` and `ratio_ci95` stand beside the intervals' full records."""
        row = {**dataclasses.asdict(self), "left_out": list(self.left_out)}
        return {**row, "ci95": self.interval.ends if self.interval else None, "ratio_ci95": self.ratio_interval.ends if self.ratio_interval else None}

    @classmethod
    def from_json(cls, value: Any, place: str = "gap") -> "Gap":
        """Read a gap back.

        Raises:
            ScoreError: it is no gap.
        """
        try:
            known = {field.name: value[field.name] for field in dataclasses.fields(cls)}
            for name in ("best", "worst"):
                known[name] = ServedGroup(**value[name])
            for name in ("interval", "ratio_interval"):
                known[name] = Interval(**value[name]) if value[name] else None
            known["left_out"] = tuple(value["left_out"])
        except (KeyError, TypeError) as error:
            raise ScoreError(f"{place}: not a gap ({error!r}). Score again.") from error
        return cls(**known)

    @property
    def sentence(self) -> str:
        """The gap in words, with the figures it rests on."""
        size = f"{points(self.difference)[1:]} points" + (f", 95 % interval {_range(self.interval)}" if self.interval else "")
        times = f"; {self.ratio:.2f} times the errors" if self.ratio is not None else ""
        chance = f"; {points(self.by_chance)[1:]} by chance alone" if self.by_chance is not None else ""
        return f"Gap by {printable(self.field)}: {_both(self)}: {size}{times}{chance}; {plural(self.groups, 'group')}."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GapChange:
    """The gap of one field before and after.

    Attributes:
        field: what the groups have in common.
        base, adapted: the gap of each system; best and worst groups may be others after than before.
        change: difference of adapted minus difference of base, a fraction; below 0 the gap got narrower.
        interval: 95 % interval of change, paired (the same drawn speakers for both systems); None where it cannot be made.
        ratio_change: ratio of adapted minus ratio of base; None where one of them has none.
        verdict: "narrower" or "wider" where the interval of change excludes 0, else "not enough evidence".
    """

    field: str
    base: Gap
    adapted: Gap
    change: float
    interval: Interval | None
    ratio_change: float | None
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object; `ci95` stands beside the interval's full record."""
        row = dataclasses.asdict(self)
        ends = self.interval.ends if self.interval else None
        return {**row, "base": self.base.to_json(), "adapted": self.adapted.to_json(), "ci95": ends}

    @classmethod
    def from_json(cls, value: Any, place: str = "gap") -> "GapChange":
        """Read a change back.

        Raises:
            ScoreError: it is no change of a gap.
        """
        try:
            known = {field.name: value[field.name] for field in dataclasses.fields(cls)}
            for name in ("base", "adapted"):
                known[name] = Gap.from_json(value[name], place)
            known["interval"] = Interval(**value["interval"]) if value["interval"] else None
        except (KeyError, TypeError) as error:
            raise ScoreError(f"{place}: not a change of a gap ({error!r}). Compare again.") from error
        return cls(**known)

    @property
    def sentence(self) -> str:
        """The change in words, with the figures it rests on."""
        before, after = (f"{points(gap.difference)[1:]} ({_both(gap)})" for gap in (self.base, self.adapted))
        change = f"{points(self.change)} points" + (f", 95 % interval {points_range(self.interval)}" if self.interval else "")
        times = ""
        if self.base.ratio is not None and self.adapted.ratio is not None:
            times = f"; ratio {self.base.ratio:.2f} -> {self.adapted.ratio:.2f}"
        return f"Gap by {printable(self.field)}, best to worst: {before} -> {after}: {change}{times}; {self.verdict}."


def find_gap(report: ScoreReport, field: str, *, resamples: int = RESAMPLES, seed: int = 0) -> Gap | None:
    """The gap between the best and the worst served group of a field.

    Groups with fewer than 3 speakers or 100 reference words, and utterances without a value, are left out and named. Where no
    group has two known speakers (such as the field `speaker`), utterances are resampled, and a group needs 10 of them.

    Best and worst are found by looking, so an interval for just these two would be too sure of itself: of six groups that do not
    differ, it would exclude 0 in 29 test sets of 100. The low end is therefore simultaneous over all pairs of groups: the largest
    low end of any pair, with the critical value of the largest of all their statistics (Tukey's and Kramer's method with standard
    errors from the bootstrap, and Student's t with the smaller group's speakers minus one). The high end is that of the observed
    pair, which being chosen as the largest already errs to the high side. docs/decisions/0012-gap.md has the coverage.

    Args:
        report: scored with `field` in its `by`.
        field: what the groups have in common.
        resamples, seed: of the bootstrap over speakers; 0 resamples make no interval.

    Returns:
        None where fewer than two groups are large enough.

    Raises:
        ScoreError: the report does not group by `field`, or `resamples` is below 0.
    """
    groups = _groups([report], field, resamples)
    return None if groups is None else _gap(groups, 0, _deviations(groups, resamples, seed), seed)


def find_gaps(report: ScoreReport, *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[Gap, ...]:
    """The gaps of all fields a report groups by, without those that have fewer than two large groups, or more than a thousand groups.

    The worst of ten thousand speakers says nothing about anybody, and takes longest to find; `find_gap` still does it for who asks.
    """
    found = (find_gap(report, field, resamples=resamples, seed=seed) for field in report.by if _few(report, field))
    return tuple(gap for gap in found if gap is not None)


def compare_gap(base: ScoreReport, adapted: ScoreReport, field: str, *, resamples: int = RESAMPLES, seed: int = 0) -> GapChange | None:
    """How the gap of a field changed.

    The interval of the change is paired: both systems are seen on the same drawn speakers. Each system keeps the best and the worst
    group it showed; groups chosen before and held fixed would hide a group that became the worst by adapting.

    Args:
        base, adapted: reports on the same utterances, scored with `field` in `by`.
        field, resamples, seed: as for `find_gap`.

    Returns:
        None where fewer than two groups are large enough.

    Raises:
        ScoreError: a report does not group by `field`, or the reports count different utterances.
    """
    groups = _groups([base, adapted], field, resamples)
    if groups is None:
        return None
    drawn = _deviations(groups, resamples, seed)
    before, after = (_gap(groups, number, drawn, seed) for number in range(2))
    change, interval = after.difference - before.difference, None
    if drawn is not None:
        ends = [_ends(rates) for rates in groups.rates]
        moved = [drawn[number] * groups.stretch for number in range(2)]
        spread = (moved[1][:, ends[1][1]] - moved[1][:, ends[1][0]]) - (moved[0][:, ends[0][1]] - moved[0][:, ends[0][0]])
        low, high = change + np.quantile(spread, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        interval = _interval(groups, float(low), float(high), "bootstrap", len(spread), seed)
    verdict = UNDECIDED
    if interval is not None and interval.excludes_zero:
        verdict = NARROWER if change < 0 else WIDER
    ratios = before.ratio, after.ratio
    ratio_change = None if ratios[0] is None or ratios[1] is None else ratios[1] - ratios[0]
    return GapChange(field=field, base=before, adapted=after, change=change, interval=interval, ratio_change=ratio_change, verdict=verdict)


def compare_gaps(base: ScoreReport, adapted: ScoreReport, *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[GapChange, ...]:
    """The changes of the gaps of all fields that both reports group by, without those that `find_gaps` leaves out."""
    shared = [field for field in base.by if field in adapted.by and _few(base, field)]
    found = (compare_gap(base, adapted, field, resamples=resamples, seed=seed) for field in shared)
    return tuple(gap for gap in found if gap is not None)


def _few(report: ScoreReport, field: str) -> bool:
    labels = report.columns.groups.get(field)
    return labels is None or len(labels.names) <= MOST_GROUPS


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Groups:
    """The groups that are large enough, with the sums of each unit.

    Attributes:
        systems: their names. values: of the groups. utterances, speakers, words: sizes, one for each group.
        rates: WER, one array (groups,) for each system.
        sums: words and errors of each unit, one array (systems, 2, units, groups) where units have several groups (`crossed`), else one
            array (systems, 2, units) for each group.
        counts: units of each group, float64 (groups,). stretch: by how much Student's t is wider than the normal, (groups,).
    """

    field: str
    systems: tuple[str, ...]
    values: tuple[str, ...]
    utterances: tuple[int, ...]
    speakers: tuple[int, ...]
    words: tuple[int, ...]
    rates: tuple[Floats, ...]
    sums: tuple[Floats, ...]
    crossed: bool
    unit: str
    units: int
    counts: Floats
    stretch: Floats
    left_out: tuple[str, ...]
    left_out_utterances: int


def _groups(reports: Sequence[ScoreReport], field: str, resamples: int) -> _Groups | None:
    if resamples < 0:
        raise ScoreError(f"resamples is {resamples}, must be 0 (no interval) or more. Leave it at {RESAMPLES}.")
    for report in reports:
        if field not in report.by:
            raise ScoreError(f'"{report.system}" is not grouped by "{field}"; it is by {", ".join(report.by) or "nothing"}. Score with --by {field}.')
    columns = [ScoredUtterances.of(report.utterances) for report in reports]
    first = columns[0]
    if any(list(other.ids) != list(first.ids) for other in columns[1:]):
        raise ScoreError(
            f'"{reports[0].system}" and "{reports[-1].system}" did not count the same utterances, so their gaps cannot be compared. Score both again.'
        )
    if field not in first.groups:
        return None
    # words per utterance may differ between systems where there are several references; each rate has its own
    figures = [np.stack([one.reference_words, one.word_errors]).astype(np.float64) for one in columns]
    labels = first.groups[field]
    order = np.argsort(labels.codes, kind="stable")
    limits = np.searchsorted(labels.codes[order], np.arange(len(labels.names) + 1))
    places = {value: order[limits[number] : limits[number + 1]] for number, value in enumerate(labels.names)}
    unknown = order[: limits[0]]
    speakers = first.speakers.codes
    people = {value: len(np.unique(speakers[found][speakers[found] >= 0])) for value, found in places.items()}
    by_speaker = any(count > 1 for count in people.values())

    def large(value: str) -> bool:
        if value == UNKNOWN_GROUP or figures[0][0, places[value]].sum() < FEWEST_WORDS:
            return False
        return people[value] >= FEWEST_SPEAKERS if by_speaker else len(places[value]) >= FEWEST_UTTERANCES

    values = [value for value in places if large(value)]
    if len(values) < 2:
        return None
    units, unit = units_of(list(first.speakers)) if by_speaker else (np.arange(len(first)), "utterances")
    parts = [places[value] for value in values]
    owners = [np.unique(units[part]) for part in parts]
    kept = np.unique(np.concatenate(owners))
    crossed = len(kept) < sum(map(len, owners))
    per_group: list[Floats] = [
        np.stack([[np.bincount(np.searchsorted(own, units[part]), weights=column[part]) for column in one] for one in figures])
        for part, own in zip(parts, owners, strict=True)
    ]
    rates = tuple(np.array([found[system, 1].sum() / found[system, 0].sum() for found in per_group]) for system in range(len(reports)))
    counts = np.array([len(own) for own in owners], dtype=np.float64)
    sums: tuple[Floats, ...] = tuple(per_group)
    if crossed:
        dense = np.zeros((len(reports), 2, len(kept), len(values)))
        for number, (own, found) in enumerate(zip(owners, per_group, strict=True)):
            dense[:, :, np.searchsorted(kept, own), number] = found
        sums = (dense,)
    small = tuple(sorted_labels(value for value in places if value not in values))
    left = (*small, UNKNOWN_GROUP) if len(unknown) and UNKNOWN_GROUP not in small else small
    return _Groups(
        field=field,
        systems=tuple(report.system for report in reports),
        values=tuple(values),
        utterances=tuple(len(part) for part in parts),
        speakers=tuple(people[value] for value in values),
        words=tuple(int(figures[0][0, part].sum()) for part in parts),
        rates=rates,
        sums=sums,
        crossed=crossed,
        unit=unit,
        units=len(kept),
        counts=counts,
        stretch=special.stdtrit(counts - 1, (1 + LEVEL) / 2) / special.ndtri((1 + LEVEL) / 2),
        left_out=left,
        left_out_utterances=len(unknown) + sum(len(places[value]) for value in small),
    )


def _deviations(groups: _Groups, resamples: int, seed: int) -> Floats | None:
    """Drawn minus observed WER, (systems, draws, groups), with the variance of n - 1; the same drawn units for all systems.

    Units that belong to one group each are drawn within their group, so that no group is ever empty; where a speaker has
    utterances in several groups, whole speakers are drawn, and a group nobody drawn has is at its observed rate.
    """
    if resamples == 0:
        return None
    generator = np.random.default_rng(seed)
    draws = min(resamples, max(1000, MOST_DRAWS // len(groups.values)))
    if groups.crossed:
        drawn = _drawn_rates(groups.sums[0], draws, generator, groups.rates)
    else:
        drawn = np.empty((len(groups.systems), draws, len(groups.values)))
        for number, sums in enumerate(groups.sums):
            rates = [one[number : number + 1] for one in groups.rates]
            drawn[:, :, number] = _drawn_rates(sums[..., None], draws, generator, rates)[:, :, 0]
    wider = np.sqrt(groups.counts / (groups.counts - 1))
    return np.stack([(one - rates) * wider for one, rates in zip(drawn, groups.rates, strict=True)])


def _drawn_rates(sums: Floats, draws: int, generator: np.random.Generator, rates: Sequence[Floats]) -> Floats:
    """(systems, draws, groups) of sums (systems, words and errors, units, groups)."""
    systems, _, units, width = sums.shape
    if units >= MANY_UNITS and (sums[0, 0] > 0).sum(axis=0).min() >= MANY_UNITS and systems * width <= MANY_UNITS:
        residuals = np.concatenate([(one[1] - rate * one[0]) / one[0].sum(axis=0) for one, rate in zip(sums, rates, strict=True)], axis=1)
        values, vectors = np.linalg.eigh(residuals.T @ residuals)
        noise = generator.standard_normal((draws, len(values))) * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
        return np.stack([rate + noise[:, place * width : (place + 1) * width] for place, rate in enumerate(rates)])
    drawn = np.empty((systems, draws, width))
    step = max(1, (1 << 21) // units)
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        chosen = generator.integers(units, size=(rows, units)) + units * np.arange(rows)[:, None]
        weights = np.bincount(chosen.ravel(), minlength=rows * units).reshape(rows, units).astype(np.float64)
        for place, (one, rate) in enumerate(zip(sums, rates, strict=True)):
            bottom = weights @ one[0]
            drawn[place, start : start + rows] = np.where(bottom > 0, weights @ one[1] / np.where(bottom > 0, bottom, 1.0), rate)
    return drawn


def _ends(rates: Floats) -> tuple[int, int]:
    """The places of the lowest and of the highest rate; of equal ones the first lowest and the last highest, so that they are two groups."""
    return int(rates.argmin()), len(rates) - 1 - int(rates[::-1].argmax())


def _gap(groups: _Groups, system: int, drawn: Floats | None, seed: int) -> Gap:
    rates = groups.rates[system]
    best, worst = _ends(rates)
    difference = float(rates[worst] - rates[best])
    interval = ratio_interval = by_chance = None
    if drawn is not None:
        deviations = drawn[system]
        by_chance = float(np.ptp(deviations, axis=1).mean())
        whole = float(np.average(rates, weights=groups.words))
        floor = np.sqrt(whole * max(1 - whole, 0.1) / np.array(groups.words))
        if ends := _interval_ends(rates, deviations, floor, groups, best, worst, seed):
            interval = _interval(groups, max(0.0, ends[0]), ends[1], METHOD, len(deviations), seed)
        if rates[best] > 0 and (ends := _interval_ends(np.log(rates), deviations / rates, floor / rates, groups, best, worst, seed)):
            ratio_interval = _interval(groups, max(1.0, math.exp(ends[0])), math.exp(min(ends[1], 700.0)), METHOD, len(deviations), seed)
    return Gap(
        field=groups.field,
        system=groups.systems[system],
        best=_served(groups, best, rates),
        worst=_served(groups, worst, rates),
        difference=difference,
        ratio=float(rates[worst] / rates[best]) if rates[best] > 0 else None,
        interval=interval,
        ratio_interval=ratio_interval,
        by_chance=by_chance,
        groups=len(rates),
        left_out=groups.left_out,
        left_out_utterances=groups.left_out_utterances,
        note=_note(groups),
    )


def _interval_ends(rates: Floats, deviations: Floats, floor: Floats, groups: _Groups, best: int, worst: int, seed: int) -> tuple[float, float] | None:
    """Both ends, as `find_gap` says; None where the two ends of the gap do not vary at all.

    `floor` is the least standard error a group can have, (groups,): that of words which are right or wrong each for itself. Among many
    groups of three speakers some agree by luck, and would seem to be known exactly.
    """
    difference = float(rates[worst] - rates[best])
    moved = deviations[:, worst] * groups.stretch[worst] - deviations[:, best] * groups.stretch[best]
    if float(moved.std()) <= 1e-12:
        return None
    least = special.ndtri((1 + LEVEL) / 2) * math.hypot(floor[best], floor[worst])
    high = difference + max(float(np.quantile(moved, (1 + LEVEL) / 2)), least)
    # The statistics are drawn from their normal limit: resamples of three speakers reach no tail, which the t below then widens.
    generator = np.random.default_rng(seed)
    spread = deviations.std(axis=0)
    if groups.crossed and len(rates) <= MOST_PAIRED_GROUPS:
        values, vectors = np.linalg.eigh(np.cov(deviations, rowvar=False))
        noise = generator.standard_normal(deviations.shape) * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    else:
        noise = generator.standard_normal(deviations.shape) * spread
    if len(rates) > MOST_PAIRED_GROUPS:
        critical = np.quantile(np.abs(noise[:, spread > 1e-12] / spread[spread > 1e-12]).max(axis=1), LEVEL)
        reach = special.stdtrit(groups.counts - 1, special.ndtr(critical)) * np.maximum(spread, floor)
        return float((rates - reach).max() - (rates + reach).min()), high
    one, other = np.triu_indices(len(rates), 1)
    largest = np.zeros(len(deviations))
    apart = np.empty(len(one))
    for number, (i, j) in enumerate(zip(one, other, strict=True)):
        apart[number] = (deviations[:, i] - deviations[:, j]).std()
        if apart[number] > 1e-12:
            drawn = noise[:, i] - noise[:, j]
            np.maximum(largest, np.abs(drawn) / drawn.std(), out=largest)
    confidence = special.ndtr(np.quantile(largest, LEVEL))
    apart = np.maximum(apart, np.hypot(floor[one], floor[other]))
    reach = special.stdtrit(np.minimum(groups.counts[one], groups.counts[other]) - 1, confidence) * apart
    return float((np.abs(rates[one] - rates[other]) - reach).max()), high


def _interval(groups: _Groups, low: float, high: float, method: str, draws: int, seed: int) -> Interval:
    few = groups.unit == "utterances" or bool(groups.counts.min() < FEW_SPEAKERS)
    return Interval(
        low=low, high=high, unit=groups.unit, units=groups.units, method=method, resamples=draws, seed=seed, few_speakers=few, note=_basis(groups)
    )


def _basis(groups: _Groups) -> str:
    if groups.unit == "utterances":
        return "The interval resamples utterances: it speaks for other sentences of the same people, not for other people."
    fewest = int(groups.counts.min())
    return f"The smallest group has {fewest} speakers: the interval is a rough guide." if fewest < FEW_SPEAKERS else ""


def _note(groups: _Groups) -> str:
    if not groups.left_out:
        return ""
    small = [value for value in groups.left_out if value != UNKNOWN_GROUP]
    need = f"{FEWEST_SPEAKERS} speakers" if groups.unit == "speakers" else f"{FEWEST_UTTERANCES} utterances"
    told = []
    if small:
        told.append(f"{plural(len(small), 'group')} with fewer than {need} or {FEWEST_WORDS} words left out ({printable(listed(tuple(small), 3))})")
    if len(small) < len(groups.left_out):
        told.append("utterances without a value left out")
    return f"{'; '.join(told)}; {plural(groups.left_out_utterances, 'utterance')} in all."


def _served(groups: _Groups, place: int, rates: Floats) -> ServedGroup:
    return ServedGroup(
        value=groups.values[place],
        utterances=groups.utterances[place],
        speakers=groups.speakers[place],
        words=groups.words[place],
        wer=float(rates[place]),
    )


def _both(gap: Gap) -> str:
    return f"{printable(gap.best.value)} {percent(gap.best.wer)}, {printable(gap.worst.value)} {percent(gap.worst.wer)}"


def _range(interval: Interval | None) -> str:
    return "-" if interval is None else f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"
