"""Comparison: two systems on the same manifest under the same normalizer, and one verdict with its interval."""

import dataclasses
import operator
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechadapt.errors import ScoreError
from speechadapt.score.correction import holm
from speechadapt.score.gap import GapChange, compare_gaps
from speechadapt.score.grouping import sorted_labels
from speechadapt.score.intervals import RESAMPLES, Interval, rate_interval
from speechadapt.score.phrases import listed, percent, plural, points, points_range
from speechadapt.score.power import Power, paired_power
from speechadapt.score.report import UNKNOWN_GROUP, ScoreReport, plain
from speechadapt.score.segments import error_spans, segment_errors
from speechadapt.score.significance import (
    LEVEL,
    PairedTest,
    mapsswe,
    matched_pairs,
    mcnemar,
    permutation_test,
    sign_test,
    student_test,
    wilcoxon,
)
from speechadapt.score.utterances import Labels, ScoredUtterances

BETTER, WORSE, UNDECIDED = "better", "worse", "not enough evidence"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """One system's pooled rates: `wer` and `cer` as fractions, word `errors`, reference `words`, and the WER's own interval."""

    wer: float
    cer: float | None
    errors: int
    words: int
    interval: Interval | None = None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Rates":
        """The record from one decoded JSON object."""
        return cls(**{**value, "interval": read_interval(value["interval"])})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupChange:
    """How one group fared, such as one accent or one speaker.

    Attributes:
        field, value: what the group has in common.
        utterances, speakers, words: its size.
        base, adapted: WERs; base_interval, adapted_interval: theirs.
        delta: adapted minus base; interval: of delta.
        worse: whether the WER rose at all; verdict: whether that can be told from chance, for this group alone.
        p_value: Student's t over its speakers (utterances, where it has one speaker); None where there are too few.
        p_value_holm: the same, corrected for all groups of the field (Holm 1979).
    """

    field: str
    value: str
    utterances: int
    speakers: int
    words: int
    base: float
    adapted: float
    delta: float
    base_interval: Interval | None
    adapted_interval: Interval | None
    interval: Interval | None
    worse: bool
    verdict: str
    p_value: float | None = None
    p_value_holm: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the verdict still stands among all groups of the field; None where it is "not enough evidence" or nothing was tested."""
        return None if self.verdict == UNDECIDED or self.p_value_holm is None else self.p_value_holm <= LEVEL

    @classmethod
    def from_json(cls, field: str, value: str, row: dict[str, Any]) -> "GroupChange":
        """The record from one decoded JSON object and its place in `groups`."""
        intervals = {name: read_interval(row[name]) for name in ("base_interval", "adapted_interval", "interval")}
        return cls(field=field, value=value, **{**{key: inner for key, inner in row.items() if key != "ci95"}, **intervals})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One utterance whose number of word errors changed: normalized texts and both counts of errors."""

    id: str
    reference: str
    base: str
    adapted: str
    base_errors: int
    adapted_errors: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two reports side by side.

    Attributes:
        base_system, adapted_system: their names.
        manifest, fingerprint, normalizer, normalizer_version: what they share.
        utterances, speakers: counted, and known.
        base, adapted: pooled rates.
        delta: WER of adapted minus WER of base, a fraction; below 0 is an improvement.
        relative: delta over the WER of the base; None if the base made no error.
        interval: 95 % interval of delta, paired, resampling speakers; None with fewer than two utterances.
        relative_interval: the same of `relative`.
        p_value: matched-pairs test over utterances; p_value_speakers: permutation test over speakers.
        groups: every value of every field both reports group by.
        regressions: utterances that got worse, worst first; improvements: those that got better, most improved first.
        verdict: "better" or "worse" where the interval of delta excludes 0, else "not enough evidence".
        tests: every test of the two systems by name, those over speakers first; empty in files written by version 0.1.0.
        power: what a test of this size can show; None where it cannot be told.
        gaps: how the gap between best and worst served group changed, for each field with several groups that are large enough.
        caveats: sentences a reader must know before believing the verdict.
    """

    base_system: str
    adapted_system: str
    manifest: str
    fingerprint: str
    normalizer: str
    normalizer_version: str
    utterances: int
    speakers: int
    base: Rates
    adapted: Rates
    delta: float
    relative: float | None
    interval: Interval | None
    relative_interval: Interval | None
    p_value: float | None
    p_value_speakers: float | None
    groups: tuple[GroupChange, ...]
    regressions: tuple[Change, ...]
    improvements: tuple[Change, ...]
    verdict: str
    caveats: tuple[str, ...] = ()
    tests: dict[str, PairedTest] = dataclasses.field(default_factory=dict)
    power: Power | None = None
    gaps: tuple[GapChange, ...] = ()

    @property
    def sentence(self) -> str:
        """The verdict in words, with the figures it rests on."""
        change = f"WER {percent(self.base.wer)} -> {percent(self.adapted.wer)} ({points(self.delta)} points"
        if self.interval is not None:
            change += f", 95 % interval {points_range(self.interval)}"
        change += f"; relative {points(self.relative)} %)" if self.relative is not None else ")"
        size = plural(self.utterances, "utterance")
        people = f"{plural(self.speakers, 'speaker')}, {size}" if self.speakers else f"{size}, speakers unknown"
        return f"{self.verdict}: {change}; {people}."

    @property
    def worse_groups(self) -> tuple[GroupChange, ...]:
        """The groups whose WER rose, most first."""
        return tuple(sorted((group for group in self.groups if group.worse), key=lambda group: -group.delta))

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `ci95` stands beside each interval's full record, and `groups` is keyed by field and value."""
        row = plain(dataclasses.asdict(self))
        groups: dict[str, dict[str, Any]] = {}
        for group in row["groups"]:
            inner = {key: value for key, value in group.items() if key not in ("field", "value")}
            groups.setdefault(group["field"], {})[group["value"]] = {**inner, "ci95": ends(group["interval"])}
        extra: dict[str, Any] = {"ci95": ends(row["interval"]), "relative_ci95": ends(row["relative_interval"]), "sentence": self.sentence}
        extra["power"] = None if self.power is None else self.power.to_json()
        extra["gaps"] = [gap.to_json() for gap in self.gaps]
        return {**row, "groups": groups, **extra}

    @classmethod
    def from_json(cls, value: Any, place: str = "comparison") -> "Comparison":
        """Read a comparison back.

        Raises:
            ScoreError: it is no comparison.
        """
        try:
            later = {name: value.get(name) for name in ("tests", "power", "gaps")}  # not in files written by version 0.1.0
            known = {field.name: value[field.name] for field in dataclasses.fields(cls) if field.name not in later}
            known["tests"] = {name: PairedTest(**test) for name, test in (later["tests"] or {}).items()}
            known["power"] = Power.from_json(later["power"]) if later["power"] else None
            known["gaps"] = tuple(GapChange.from_json(row, place) for row in later["gaps"] or ())
            for name in ("base", "adapted"):
                known[name] = Rates.from_json(value[name])
            for name in ("interval", "relative_interval"):
                known[name] = read_interval(value[name])
            for name in ("regressions", "improvements"):
                known[name] = tuple(Change(**row) for row in value[name])
            known["groups"] = tuple(
                GroupChange.from_json(field, name, row) for field, members in value["groups"].items() for name, row in members.items()
            )
            known["caveats"] = tuple(value["caveats"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ScoreError(
                f"{place}: not a comparison ({error!r}). Make one with: speechadapt compare REFS BASE_HYPS NEW_HYPS --out FILE"
            ) from error
        return cls(**known)


def compare(
    base: ScoreReport,
    adapted: ScoreReport,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    interval_method: str = "expanded",
    interval_unit: str = "speaker",
    detect: float | None = None,
) -> Comparison:
    """Set two reports side by side.

    Args:
        base: the system as it was.
        adapted: the system it is to be replaced by.
        resamples, seed: of the bootstrap over speakers.
        interval_method, interval_unit: as for `rate_interval`; the intervals of each system's own WER come with the reports.
        detect: a difference of WERs (a fraction above 0) to plan for, instead of the one seen.

    Raises:
        ScoreError: the reports differ in manifest, normalizer or counted utterances, or no reference has a word.
        MisuseError: there is no such interval or unit, or `detect` is out of its range.
    """
    _check_alike(base, adapted)
    pairs = _Pairs.of(ScoredUtterances.of(base.utterances), ScoredUtterances.of(adapted.utterances))
    bootstrap: dict[str, Any] = {"resamples": resamples, "seed": seed, "method": interval_method, "unit": interval_unit}
    change = _Change.of(pairs, bootstrap)
    relative = change.delta / change.base if change.base else None
    relative_interval = None if relative is None else rate_interval(pairs.difference, pairs.before, pairs.speakers, **bootstrap)
    tests = _tests(pairs, seed)
    groups = tuple(_groups(pairs, [field for field in base.by if field in adapted.by], bootstrap))
    rise = pairs.after - pairs.before
    return Comparison(
        base_system=base.system,
        adapted_system=adapted.system,
        manifest=base.manifest,
        fingerprint=base.fingerprint,
        normalizer=base.normalizer,
        normalizer_version=base.normalizer_version,
        utterances=len(rise),
        speakers=base.speakers,
        base=_rates(base),
        adapted=_rates(adapted),
        delta=change.delta,
        relative=relative,
        interval=change.interval,
        relative_interval=relative_interval,
        p_value=tests["matched_pairs"].p_value,
        p_value_speakers=tests["permutation"].p_value,
        groups=groups,
        regressions=tuple(pairs.change(place) for place in np.argsort(-rise, kind="stable").tolist() if rise[place] > 0),
        improvements=tuple(pairs.change(place) for place in np.argsort(rise, kind="stable").tolist() if rise[place] < 0),
        verdict=change.verdict,
        caveats=tuple(_caveats(base, adapted, pairs, change, groups)),
        tests=tests,
        power=paired_power(pairs.difference, pairs.words, pairs.speakers, detect=detect),
        gaps=compare_gaps(base, adapted, resamples=resamples, seed=seed),
    )


def verdict_of(interval: Interval | None) -> str:
    """The rule: "better" where the whole 95 % interval of adapted minus base lies below 0, "worse" where above, else "not enough evidence"."""
    if interval is None or not interval.excludes_zero:
        return UNDECIDED
    return BETTER if interval.high < 0 else WORSE


def ends(interval: dict[str, Any] | None) -> list[float] | None:
    """`[low, high]` of an interval's JSON object."""
    return None if interval is None else [interval["low"], interval["high"]]


def read_interval(value: dict[str, Any] | None) -> Interval | None:
    """The interval of a JSON object, or None."""
    return None if value is None else Interval(**value)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pairs:
    """The utterances of both systems side by side, in columns.

    Attributes:
        one, other: of the base and of the adapted system.
        before, after: word errors; words: reference words of the base; all int64, shape (utterances,).
        scale: reference words of the base over those of the adapted system: 1 unless references have several wordings, of which each
            system was counted against its own.
        speakers: one per utterance.
    """

    one: ScoredUtterances
    other: ScoredUtterances
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    words: NDArray[np.int64]
    scale: float
    speakers: list[str | None]

    @classmethod
    def of(cls, one: ScoredUtterances, other: ScoredUtterances) -> "_Pairs":
        words, others = one.reference_words, other.reference_words
        return cls(
            one=one,
            other=other,
            before=one.word_errors,
            after=other.word_errors,
            words=words,
            scale=float(words.sum() / others.sum()),
            speakers=list(one.speakers),
        )

    @property
    def difference(self) -> NDArray[np.float64]:
        """Errors of adapted minus base, whose sum over the words of the base is the difference of the two WERs."""
        return np.asarray(self.after * self.scale - self.before, dtype=np.float64)

    def part(self, places: NDArray[np.int64]) -> "_Pairs | None":
        """Some of the pairs; None where they have no word for one of the systems, and so no rate."""
        words, others = self.words[places].sum(), self.other.reference_words[places].sum()
        if not (words and others):
            return None
        speakers = [self.speakers[place] for place in places.tolist()]
        columns = {name: getattr(self, name)[places] for name in ("before", "after", "words")}
        return dataclasses.replace(self, **columns, scale=float(words / others), speakers=speakers)

    def change(self, place: int) -> Change:
        """One pair, for people."""
        return Change(
            id=self.one.ids[place],
            reference=self.one.references[place],
            base=self.one.hypotheses[place],
            adapted=self.other.hypotheses[place],
            base_errors=int(self.before[place]),
            adapted_errors=int(self.after[place]),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    base: float
    adapted: float
    delta: float
    interval: Interval | None
    verdict: str

    @classmethod
    def of(cls, pairs: _Pairs, bootstrap: dict[str, Any]) -> "_Change":
        interval = rate_interval(pairs.difference, pairs.words, pairs.speakers, **bootstrap)
        words, before, after = int(pairs.words.sum()), int(pairs.before.sum()), int(pairs.after.sum())
        return cls(
            base=before / words,
            adapted=after * pairs.scale / words,
            delta=(after * pairs.scale - before) / words,
            interval=interval,
            verdict=verdict_of(interval),
        )


def _check_alike(base: ScoreReport, adapted: ScoreReport) -> None:
    if base.fingerprint != adapted.fingerprint:
        raise ScoreError(
            f'"{base.system}" was scored on "{base.manifest}" (fingerprint {base.fingerprint[:12]}) and "{adapted.system}" on "{adapted.manifest}" '
            f"({adapted.fingerprint[:12]}): these are different tests. Score both systems on the same manifest."
        )
    one, other = (f"{report.normalizer} {report.normalizer_version}" for report in (base, adapted))
    if one != other:
        raise ScoreError(
            f'"{base.system}" was normalized with "{one}" and "{adapted.system}" with "{other}": their words are not the same words. '
            "Score both hypotheses again with one --normalizer."
        )
    one_way, other_way = (f"alignment {report.alignment}{', alternatives read' if report.alternatives else ''}" for report in (base, adapted))
    if one_way != other_way:
        raise ScoreError(
            f'"{base.system}" was counted with {one_way} and "{adapted.system}" with {other_way}: their errors are not the same errors. '
            "Score both hypotheses again with the same --alignment and --alternatives."
        )
    ids = [list(ScoredUtterances.of(report.utterances).ids) for report in (base, adapted)]
    if ids[0] != ids[1]:
        odd = sorted(set(ids[0]) ^ set(ids[1]))
        where = f'the first that only one has is "{odd[0]}"' if odd else "they stand in another order"
        raise ScoreError(
            f'"{base.system}" counted {len(ids[0])} utterances of "{base.manifest}" and "{adapted.system}" {len(ids[1])}; {where}. '
            "One of the reports was changed by hand: score both again."
        )
    if not (base.words.reference_length and adapted.words.reference_length):
        raise ScoreError(
            f'no reference of "{base.manifest}" has a word after normalizing with "{one}" ({len(base.empty_references)} empty), '
            "so there is no error rate to compare. Check the texts of the manifest."
        )


def _rates(report: ScoreReport) -> Rates:
    words, characters = report.words, report.characters
    rate = words.errors / words.reference_length
    return Rates(wer=rate, cer=characters.wer, errors=words.errors, words=words.reference_length, interval=report.interval)


def _tests(pairs: _Pairs, seed: int) -> dict[str, PairedTest]:
    """Every test, the ones that answer for other speakers first."""
    return {
        "permutation": permutation_test(pairs.before, pairs.after, pairs.speakers, seed=seed),
        "student": student_test(pairs.before, pairs.after * pairs.scale, pairs.words, pairs.speakers),
        "wilcoxon": wilcoxon(pairs.before, pairs.after, pairs.words, pairs.speakers),
        "sign": sign_test(pairs.before, pairs.after, pairs.speakers),
        "mapsswe": mapsswe(*_segments(pairs)),
        "matched_pairs": matched_pairs(pairs.before, pairs.after),
        "mcnemar": mcnemar(pairs.before, pairs.after),
    }


def _segments(pairs: _Pairs) -> tuple["array[int]", "array[int]"]:
    """Errors of both systems in each sentence segment of all utterances."""
    before, after = array("i"), array("i")
    for place in np.flatnonzero((pairs.before > 0) | (pairs.after > 0)).tolist():
        for one, other in _cut(pairs.change(place), pairs.other.references[place]):
            before.append(one)
            after.append(other)
    return before, after


def _cut(change: Change, reference: str) -> list[tuple[int, int]]:
    """The segments of one utterance; all of it is one where the systems were counted against different wordings, or not word by word."""
    if change.reference == reference:
        spans = error_spans(reference, change.base), error_spans(reference, change.adapted)
        if [sum(errors for *_, errors in found) for found in spans] == [change.base_errors, change.adapted_errors]:
            return segment_errors(*spans)
    return [(change.base_errors, change.adapted_errors)]


def _groups(pairs: _Pairs, fields: Sequence[str], bootstrap: dict[str, Any]) -> list[GroupChange]:
    """Field by field, the values in natural order; fields nobody has a value of are left out."""
    rows: list[GroupChange] = []
    for field in fields:
        if field not in pairs.one.groups:
            continue
        family: list[GroupChange] = []
        for value, places in _members(pairs.one.groups[field]).items():
            part = pairs.part(places)
            if part is None:  # only readings without a word, which have no rate
                continue
            change = _Change.of(part, bootstrap)
            family.append(
                GroupChange(
                    field=field,
                    value=value,
                    utterances=len(places),
                    speakers=len(set(part.speakers) - {None}),
                    words=int(part.words.sum()),
                    base=change.base,
                    adapted=change.adapted,
                    delta=change.delta,
                    base_interval=_above_zero(rate_interval(part.before, part.words, part.speakers, **bootstrap)),
                    adapted_interval=_above_zero(rate_interval(part.after * part.scale, part.words, part.speakers, **bootstrap)),
                    interval=change.interval,
                    worse=change.delta > 0,
                    verdict=change.verdict,
                    p_value=student_test(part.before, part.after * part.scale, part.words, part.speakers).p_value,
                )
            )
        corrected = holm([group.p_value for group in family])
        rows += [dataclasses.replace(group, p_value_holm=p_value) for group, p_value in zip(family, corrected, strict=True)]
    return rows


def _members(labels: Labels) -> dict[str, NDArray[np.int64]]:
    """The places of each label, labels in natural order; those without one come under "(unknown)"."""
    names = (*labels.names, UNKNOWN_GROUP)
    own = names.index(UNKNOWN_GROUP)  # or somebody's own label of that name
    codes = np.where(labels.codes < 0, own, labels.codes)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(names) + 1))
    found = {name: order[starts[place] : starts[place + 1]] for place, name in enumerate(names) if starts[place] < starts[place + 1]}
    return {name: found[name] for name in sorted_labels(found)}


def _above_zero(interval: Interval | None) -> Interval | None:
    """The interval of a rate, which is never below 0."""
    return None if interval is None else dataclasses.replace(interval, low=max(0.0, interval.low))


def _caveats(base: ScoreReport, adapted: ScoreReport, pairs: _Pairs, change: _Change, groups: Sequence[GroupChange]) -> list[str]:
    found = []
    if change.interval is None:
        found.append("No interval can be made: there is one utterance, or only a few that all changed alike. Score more speech.")
    elif change.interval.note:
        found.append(change.interval.note)
    if all(map(operator.eq, pairs.one.hypotheses, pairs.other.hypotheses)):
        found.append("Both systems gave the same text for every utterance: is the adapter applied at all?")
    found += [sentence for field in dict.fromkeys(group.field for group in groups) if (sentence := _family(field, groups))]
    settings = sorted(key for key in {*base.decode, *adapted.decode} if base.decode.get(key) != adapted.decode.get(key))
    if settings:
        listing = ", ".join(f"{key} {base.decode.get(key)} against {adapted.decode.get(key)}" for key in settings)
        found.append(f"The two were decoded differently: {listing}.")
    for report in (base, adapted):
        if report.missing:
            found.append(f'"{report.system}" has no hypothesis for {plural(len(report.missing), "utterance")}; they count as deletions.')
    if base.empty_references:
        found.append(f"{plural(len(base.empty_references), 'utterance')} without a word in the reference: not counted.")
    runaways = len(adapted.runaways)
    if runaways > len(base.runaways):
        looks = "looks like a loop" if runaways == 1 else "look like loops"
        found.append(f"{plural(runaways, 'utterance')} of the adapted system {looks} or invented text, {len(base.runaways)} of the base.")
    return found


def _family(field: str, groups: Sequence[GroupChange]) -> str:
    """A warning where several groups were tested at once and some verdict may be one of the chance ones."""
    family = [group for group in groups if group.field == field]
    decided = [group for group in family if group.holds is not None]
    fallen = [group.value for group in decided if not group.holds]
    if not fallen:
        return ""
    tested = sum(group.p_value is not None for group in family)
    return (
        f"{plural(tested, 'value')} of {field} were tested at once; Holm's correction does not confirm {len(fallen)} of "
        f"{plural(len(decided), 'verdict')}, which may be chance: {listed(fallen)}."
    )
