"""Comparison: two systems on the same manifest under the same normalizer, and one verdict with its interval."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from speechadapt.errors import ScoreError
from speechadapt.score.counts import pool
from speechadapt.score.intervals import RESAMPLES, Interval, rate_interval
from speechadapt.score.phrases import percent, plural, points, points_range
from speechadapt.score.report import ScoredUtterance, ScoreReport, group_members, plain, wer_interval
from speechadapt.score.significance import matched_pairs, speaker_flips

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
        worse: whether the WER rose at all; verdict: whether that can be told from chance.
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
        extra = {"ci95": ends(row["interval"]), "relative_ci95": ends(row["relative_interval"]), "sentence": self.sentence}
        return {**row, "groups": groups, **extra}

    @classmethod
    def from_json(cls, value: Any, place: str = "comparison") -> "Comparison":
        """Read a comparison back.

        Raises:
            ScoreError: it is no comparison.
        """
        try:
            known = {field.name: value[field.name] for field in dataclasses.fields(cls)}
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


def compare(base: ScoreReport, adapted: ScoreReport, *, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Set two reports side by side.

    Args:
        base: the system as it was.
        adapted: the system it is to be replaced by.
        resamples, seed: of the bootstrap over speakers.

    Raises:
        ScoreError: the reports differ in manifest, normalizer or counted utterances, or no reference has a word.
    """
    _check_alike(base, adapted)
    pairs = list(zip(base.utterances, adapted.utterances, strict=True))
    change = _Change.of(pairs, resamples, seed)
    speakers = [utterance.speaker for utterance in base.utterances]
    errors = [one.words.errors for one, _ in pairs], [other.words.errors for _, other in pairs]
    base_rates, adapted_rates = _rates(base.utterances, base.interval), _rates(adapted.utterances, adapted.interval)
    relative = change.delta / base_rates.wer if base_rates.wer else None
    relative_interval = None
    if relative is not None:
        difference = [after - before for before, after in zip(*errors, strict=True)]
        relative_interval = rate_interval(difference, errors[0], speakers, resamples=resamples, seed=seed)
    changes = [
        Change(id=one.id, reference=one.reference, base=one.hypothesis, adapted=other.hypothesis, base_errors=before, adapted_errors=after)
        for (one, other), before, after in zip(pairs, *errors, strict=True)
    ]
    return Comparison(
        base_system=base.system,
        adapted_system=adapted.system,
        manifest=base.manifest,
        fingerprint=base.fingerprint,
        normalizer=base.normalizer,
        normalizer_version=base.normalizer_version,
        utterances=len(pairs),
        speakers=base.speakers,
        base=base_rates,
        adapted=adapted_rates,
        delta=change.delta,
        relative=relative,
        interval=change.interval,
        relative_interval=relative_interval,
        p_value=matched_pairs(*errors).p_value,
        p_value_speakers=speaker_flips(*errors, speakers, seed=seed),
        groups=tuple(_groups(base, adapted, resamples, seed)),
        regressions=tuple(item for item in sorted(changes, key=lambda item: -_rise(item)) if _rise(item) > 0),
        improvements=tuple(item for item in sorted(changes, key=_rise) if _rise(item) < 0),
        verdict=change.verdict,
        caveats=tuple(_caveats(base, adapted, change)),
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


Pairs = Sequence[tuple[ScoredUtterance, ScoredUtterance]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    base: float
    adapted: float
    delta: float
    interval: Interval | None
    verdict: str

    @classmethod
    def of(cls, pairs: Pairs, resamples: int, seed: int) -> "_Change":
        words = [one.words.reference_length for one, _ in pairs]
        difference = [other.words.errors - one.words.errors for one, other in pairs]
        interval = rate_interval(difference, words, [one.speaker for one, _ in pairs], resamples=resamples, seed=seed)
        before = sum(one.words.errors for one, _ in pairs) / sum(words)
        after = sum(other.words.errors for _, other in pairs) / sum(words)
        return cls(base=before, adapted=after, delta=sum(difference) / sum(words), interval=interval, verdict=verdict_of(interval))


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
    ids = [utterance.id for utterance in base.utterances], [utterance.id for utterance in adapted.utterances]
    if ids[0] != ids[1]:
        odd = sorted(set(ids[0]) ^ set(ids[1]))
        where = f'the first that only one has is "{odd[0]}"' if odd else "they stand in another order"
        raise ScoreError(
            f'"{base.system}" counted {len(ids[0])} utterances of "{base.manifest}" and "{adapted.system}" {len(ids[1])}; {where}. '
            "One of the reports was changed by hand: score both again."
        )
    if not base.words.reference_length:
        raise ScoreError(
            f'no reference of "{base.manifest}" has a word after normalizing with "{one}" ({len(base.empty_references)} empty), '
            "so there is no error rate to compare. Check the texts of the manifest."
        )


def _rise(change: Change) -> int:
    return change.adapted_errors - change.base_errors


def _rates(utterances: Sequence[ScoredUtterance], interval: Interval | None) -> Rates:
    words = pool(utterance.words for utterance in utterances)
    characters = pool(utterance.characters for utterance in utterances)
    return Rates(wer=words.errors / words.reference_length, cer=characters.wer, errors=words.errors, words=words.reference_length, interval=interval)


def _groups(base: ScoreReport, adapted: ScoreReport, resamples: int, seed: int) -> list[GroupChange]:
    twins = {utterance.id: utterance for utterance in adapted.utterances}
    rows = []
    for field, found in group_members(base.utterances, [field for field in base.by if field in adapted.by]).items():
        for value, members in found.items():
            others = [twins[utterance.id] for utterance in members]
            change = _Change.of(list(zip(members, others, strict=True)), resamples, seed)
            rows.append(
                GroupChange(
                    field=field,
                    value=value,
                    utterances=len(members),
                    speakers=len({utterance.speaker for utterance in members} - {None}),
                    words=sum(utterance.words.reference_length for utterance in members),
                    base=change.base,
                    adapted=change.adapted,
                    delta=change.delta,
                    base_interval=wer_interval(members, resamples=resamples, seed=seed),
                    adapted_interval=wer_interval(others, resamples=resamples, seed=seed),
                    interval=change.interval,
                    worse=change.delta > 0,
                    verdict=change.verdict,
                )
            )
    return rows


def _caveats(base: ScoreReport, adapted: ScoreReport, change: _Change) -> list[str]:
    found = []
    if change.interval is None:
        found.append("No interval can be made: there is one utterance, or only a few that all changed alike. Score more speech.")
    elif change.interval.note:
        found.append(change.interval.note)
    if all(one.hypothesis == other.hypothesis for one, other in zip(base.utterances, adapted.utterances, strict=True)):
        found.append("Both systems gave the same text for every utterance: is the adapter applied at all?")
    settings = sorted(key for key in {*base.decode, *adapted.decode} if base.decode.get(key) != adapted.decode.get(key))
    if settings:
        pairs = ", ".join(f"{key} {base.decode.get(key)} against {adapted.decode.get(key)}" for key in settings)
        found.append(f"The two were decoded differently: {pairs}.")
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
