"""Conditions for continuous integration: `wer > 0.2`, `wer[accent=scottish] >= 25 %`. A tiny language that is read, never executed."""

import dataclasses
import operator
import re
from collections.abc import Callable, Mapping, Sequence

from speechadapt.errors import MisuseError
from speechadapt.report.document import Document, ReportSet
from speechadapt.score.counts import ErrorCounts
from speechadapt.score.intervals import Interval
from speechadapt.score.report import group_members
from speechadapt.score.verdict import ROLES

EXPRESSION = re.compile(
    r"\s*(?P<metric>[a-z_0-9]+)\s*(?:\[(?P<where>(?:[^\]\"]|\"[^\"]*\")*)\])?\s*"
    r"(?P<sign><=|>=|==|!=|<|>)\s*(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?P<percent>%)?\s*"
)
SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
MOST_NAMES = 20
Values = Mapping[str, float | None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What must not be true.

    Attributes:
        text: as typed.
        metric: which figure. sign, limit: what it is compared with; percentages are fractions here.
        sets: names or roles of sets it is about; none means every test set.
        group: field and value, such as `("accent", "scottish")`; None means the whole set.
    """

    text: str
    metric: str
    sign: str
    limit: float
    sets: tuple[str, ...] = ()
    group: tuple[str, str] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One condition on one set: the `value` found, and whether the condition holds, which fails the build. A value that is not known fails too."""

    condition: Condition
    set: str
    value: float | None

    @property
    def failed(self) -> bool:
        """Whether the condition holds here, or cannot be judged."""
        return self.value is None or SIGNS[self.condition.sign](self.value, self.condition.limit)

    @property
    def sentence(self) -> str:
        """`test: wer > 0.2: wer is 0.2438`, for people."""
        value = "not known: there is nothing to measure it by" if self.value is None else f"{self.value:.6g}"
        outcome = "FAILED" if self.failed else "passed"
        return f"{outcome}: fail if {self.condition.text} on {self.set}: {self.condition.metric} is {value}"


def parse_condition(text: str) -> Condition:
    """Read one condition.

    Args:
        text: `METRIC [WHERE] SIGN NUMBER`. WHERE is a set, a role, a group `field=value`, or a set and a group with a comma between;
            names with a comma, a bracket or an equals sign stand in double quotes. A number may end in `%`.

    Raises:
        MisuseError: it is none.
    """
    found = EXPRESSION.fullmatch(text)
    if not found:
        raise MisuseError(
            f'--fail-if "{text}": not a condition. Write a metric, a sign (<, <=, >, >=, ==, !=) and a number, such as "wer > 0.2" or '
            '"wer[accent=scottish] > 25 %".'
        )
    sets: list[str] = []
    group: tuple[str, str] | None = None
    for part in _parts(found["where"] or ""):
        if len(part) == 1 and part[0]:
            sets.append(part[0])
        elif len(part) == 2 and all(part) and group is None:
            group = (part[0], part[1])
        else:
            raise MisuseError(f'--fail-if "{text}": "[{found["where"]}]" must name a set, a group as field=value, or both with a comma between.')
    limit = float(found["number"])
    if limit in (float("inf"), float("-inf")):
        raise MisuseError(f'--fail-if "{text}": the number {found["number"]} is too large. Correct it.')
    return Condition(
        text=text.strip(), metric=found["metric"], sign=found["sign"], limit=limit / 100 if found["percent"] else limit, sets=tuple(sets), group=group
    )


def check_conditions(document: Document, conditions: Sequence[Condition]) -> list[Finding]:
    """Judge every condition on every set it is about; on one that has no score nothing is known, which fails.

    Raises:
        MisuseError: a metric, set, field or value that the document does not have; the message lists those it has.
    """
    findings = []
    for condition in conditions:
        findings += [Finding(condition=condition, set=one.name, value=_value(condition, one)) for one in _sets(document, condition)]
        about = condition.sets or ("test",)
        findings += [Finding(condition=condition, set=name, value=None) for name, _ in document.failures if name in about or "test" in about]
    return findings


def set_values(one: ReportSet) -> dict[str, float | None]:
    """Every figure of a whole set that a condition can name; those that need a report or a comparison only where there is one."""
    values: dict[str, float | None] = {}
    report, found = one.report, one.comparison
    if report is not None:
        values |= _count_values(report.words, report.characters)
        values |= {
            **_ends("wer", report.interval),
            "sentence_error_rate": report.sentence_error_rate,
            "mixed_error_rate": report.mixed_error_rate,
            "invented_per_minute": report.invented_per_minute,
            "runaways": len(report.runaways),
            "missing": len(report.missing),
            "extra": len(report.extra),
            "empty_references": len(report.empty_references),
            "words_on_empty": report.words_on_empty,
            "utterances": len(report.utterances),
            "speakers": report.speakers,
            "real_time_factor": report.real_time_factor,
        }
    elif found is not None:
        values |= {"wer": found.adapted.wer, "cer": found.adapted.cer, "errors": found.adapted.errors, "words": found.adapted.words}
        values |= {**_ends("wer", found.adapted.interval), "utterances": found.utterances, "speakers": found.speakers}
    if found is not None:
        values |= {
            "delta": found.delta,
            **_ends("delta", found.interval),
            "relative": found.relative,
            "base_wer": found.base.wer,
            "base_cer": found.base.cer,
            "p_value": found.p_value,
            "regressions": len(found.regressions),
            "improvements": len(found.improvements),
            "worse_groups": sum(1 for group in found.groups if group.verdict == "worse"),
        }
    return values


def _count_values(words: ErrorCounts, characters: ErrorCounts) -> dict[str, float | None]:
    return {
        "wer": words.wer,
        "cer": characters.wer,
        "insertion_rate": words.insertion_rate,
        "deletion_rate": words.deletion_rate,
        "substitution_rate": words.substitution_rate,
        "match_error_rate": words.match_error_rate,
        "information_lost": words.information_lost,
        "length_ratio": words.length_ratio,
        "errors": words.errors,
        "words": words.reference_length,
    }


def _group_values(one: ReportSet, field: str, value: str) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    if one.report is not None:
        group = one.report.groups[field][value]
        values |= {**_count_values(group.words, group.characters), "utterances": group.utterances, "speakers": group.speakers}
        values |= {"sentence_error_rate": group.sentence_error_rate, "mixed_error_rate": group.mixed.wer}
        members = group_members(one.report.utterances, [field])[field][value]
        values |= {"runaways": sum(1 for utterance in members if utterance.runaway)}
    for change in one.comparison.groups if one.comparison else ():
        if (change.field, change.value) == (field, value):
            values |= {"wer": change.adapted, "words": change.words, "utterances": change.utterances, "speakers": change.speakers}
            values |= {"base_wer": change.base, "delta": change.delta, **_ends("delta", change.interval), **_ends("wer", change.adapted_interval)}
    return values


def _value(condition: Condition, one: ReportSet) -> float | None:
    if condition.group is None:
        values: Values = set_values(one)
    else:
        field, value = condition.group
        groups = _group_names(one)
        if field not in groups:
            raise MisuseError(f'--fail-if "{condition.text}": "{one.name}" is not grouped by {field}. There are: {_names(groups)}.')
        if value not in groups[field]:
            raise MisuseError(f'--fail-if "{condition.text}": no {field} "{value}" in "{one.name}". There are: {_names(groups[field])}.')
        values = _group_values(one, field, value)
    if condition.metric not in values:
        raise MisuseError(f'--fail-if "{condition.text}": no metric "{condition.metric}" here. There are: {_names(values, most=99)}.')
    return values[condition.metric]


def _sets(document: Document, condition: Condition) -> list[ReportSet]:
    here = [*(one.name for one in document.sets), *(name for name, _ in document.failures)]
    roles = [role for role in ROLES if any(one.role == role for one in document.sets) or (role == "test" and document.failures)]
    for name in condition.sets or ("test",):
        if name not in (*here, *roles):
            known = _names(list(dict.fromkeys([*here, *roles])))
            raise MisuseError(f'--fail-if "{condition.text}": no set "{name}". There are: {known}. A group is written field=value.')
    if not condition.sets:
        return [one for one in document.sets if one.role == "test"]
    return [one for one in document.sets if one.name in condition.sets or one.role in condition.sets]


def _group_names(one: ReportSet) -> dict[str, list[str]]:
    if one.report is not None:
        return {field: list(found) for field, found in one.report.groups.items()}
    names: dict[str, list[str]] = {}
    for group in one.comparison.groups if one.comparison else ():
        names.setdefault(group.field, []).append(group.value)
    return names


def _ends(name: str, interval: Interval | None) -> dict[str, float | None]:
    return {f"{name}_low": interval.low if interval else None, f"{name}_high": interval.high if interval else None}


def _parts(where: str) -> list[list[str]]:
    """`test, accent="north, west"` as [["test"], ["accent", "north, west"]]."""
    pieces = re.findall(r"\"[^\"]*\"|[^,=\"]+|[,=]", where)
    parts: list[list[str]] = [[""]] if pieces else []
    for piece in pieces:
        if piece == ",":
            parts.append([""])
        elif piece == "=":
            parts[-1].append("")
        elif piece.startswith('"'):
            parts[-1][-1] = piece[1:-1]
        elif piece.strip():
            parts[-1][-1] += piece.strip()
    return parts


def _names(names: Sequence[str] | Mapping[str, object], most: int = MOST_NAMES) -> str:
    shown = list(names)
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "") if shown else "none"
