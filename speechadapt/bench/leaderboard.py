"""Leaderboard: what a benchmark found, per manifest and over all of them, as records and as JSON."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from speechadapt import provenance
from speechadapt.bench.matrix import Matrix
from speechadapt.bench.ranks import Pair, compare_all, macro_interval, macro_wer, ranks_of
from speechadapt.score.intervals import RESAMPLES, Interval
from speechadapt.score.phrases import plural
from speechadapt.score.report import ScoreReport
from speechadapt.score.table import GroupTable, group_table
from speechadapt.units import Seconds

ALL = "all manifests"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One system on one manifest.

    Attributes:
        system, kind, manifest: which.
        report: the score; None where the system failed before it had a hypothesis for every utterance.
        failure: why, for people.
        load_seconds: before the first clip; None where nothing is loaded here.
        memory: most bytes held at once by the system, or by the programs that it is; None where it runs elsewhere.
        other_memory: bytes held elsewhere, such as on a GPU, by name.
        machine: node, processor and cores.
        cached: nothing was decoded in this run. facts: what the system told of itself.
        hypotheses: file of what it said, within the benchmark's folder. notes: what a reader must know.
        log, last_lines: of a failure.
    """

    system: str
    kind: str
    manifest: str
    report: ScoreReport | None
    failure: str | None = None
    load_seconds: Seconds | None = None
    memory: int | None = None
    other_memory: Mapping[str, int] = dataclasses.field(default_factory=dict)
    machine: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    cached: bool = False
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    hypotheses: str | None = None
    notes: tuple[str, ...] = ()
    log: str | None = None
    last_lines: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One row of a table.

    Attributes:
        rank: None for a system that failed. system, kind: which.
        wer, cer: fractions; over all manifests their means. interval: of the WER.
        real_time_factor: decode seconds per second of audio. load_seconds, memory: as in `Result`, the largest over manifests.
        errors, words, utterances, audio_seconds: sums.
        failure: why there is no score. notes: to be read beside it.
    """

    rank: int | None
    system: str
    kind: str
    wer: float | None = None
    interval: Interval | None = None
    cer: float | None = None
    real_time_factor: float | None = None
    load_seconds: Seconds | None = None
    memory: int | None = None
    errors: int | None = None
    words: int | None = None
    utterances: int | None = None
    audio_seconds: Seconds | None = None
    failure: str | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object; `ci95` stands beside the interval's full record."""
        return {**dataclasses.asdict(self), "notes": list(self.notes), "ci95": self.interval.ends if self.interval else None}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table: a manifest's, or the one over all of them.

    Attributes:
        name: of the manifest, or `ALL`.
        standings: best first, those that failed last.
        pairs: every two systems that have a score.
        groups: groups × systems; None over all manifests and where nothing has a score.
        facts: of the manifest: path, fingerprint, normalizer, utterances, speakers, hours.
    """

    name: str
    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    groups: GroupTable | None = None
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "name": self.name,
            **self.facts,
            "standings": [standing.to_json() for standing in self.standings],
            "pairs": [pair.to_json() for pair in self.pairs],
            "groups": self.groups.to_json() if self.groups else None,
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Leaderboard:
    """A finished benchmark.

    Attributes:
        overall: over all manifests; the same as the only manifest's where there is one.
        manifests: one table each.
        results: every cell of the matrix.
        systems: settings by name. provenance: versions, machine, time.
    """

    overall: Section
    manifests: tuple[Section, ...]
    results: tuple[Result, ...]
    systems: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @property
    def reports(self) -> tuple[ScoreReport, ...]:
        """Every score there is."""
        return tuple(result.report for result in self.results if result.report is not None)

    @property
    def failures(self) -> tuple[Result, ...]:
        """The cells without a score."""
        return tuple(result for result in self.results if result.failure is not None)

    @property
    def decoded(self) -> int:
        """How many cells were not there already."""
        return sum(not result.cached for result in self.results)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; the utterances stay in the score reports beside it."""
        return {
            "overall": self.overall.to_json(),
            "manifests": [section.to_json() for section in self.manifests],
            "results": [_result_json(result) for result in self.results],
            "systems": dict(self.systems),
            "provenance": dict(self.provenance),
        }


def make_leaderboard(
    matrix: Matrix, results: Sequence[Result], manifests: Mapping[str, Mapping[str, Any]], *, resamples: int = RESAMPLES, seed: int = 0
) -> Leaderboard:
    """Rank what the systems reached.

    Args:
        matrix: what was asked for.
        results: one per system and manifest.
        manifests: name to facts, in the order of the tables.
        resamples, seed: of the bootstrap and the permutations.
    """
    by_cell = {(result.system, result.manifest): result for result in results}
    sections = []
    for name, facts in manifests.items():
        found = {system.name: by_cell[system.name, name] for system in matrix.systems}
        sections.append(_section(name, {key: [result] for key, result in found.items()}, facts, resamples, seed))
    rows = {system.name: [by_cell[system.name, name] for name in manifests] for system in matrix.systems}
    overall = sections[0] if len(sections) == 1 else _section(ALL, rows, {}, resamples, seed)
    systems = {system.name: {key: value for key, value in system.to_json().items() if key not in ("name", "folder")} for system in matrix.systems}
    return Leaderboard(overall=overall, manifests=tuple(sections), results=tuple(results), systems=systems, provenance=provenance.gather())


def _section(name: str, results: Mapping[str, Sequence[Result]], facts: Mapping[str, Any], resamples: int, seed: int) -> Section:
    reports = {system: scored for system, found in results.items() if (scored := _scored(found)) is not None}
    pairs = compare_all(reports, seed=seed)
    ranks = ranks_of(list(reports), pairs)
    standings = [_standing(system, found, ranks.get(system), reports.get(system), resamples, seed) for system, found in results.items()]
    standings.sort(key=lambda one: (one.rank is None, one.wer or 0.0))  # what was named first stands first where figures are equal
    groups = None
    if name != ALL and reports:
        groups = group_table({system: reports[system][0] if system in reports else None for system in results}, resamples=resamples, seed=seed)
    return Section(name=name, standings=tuple(standings), pairs=pairs, groups=groups, facts=facts)


def _scored(results: Sequence[Result]) -> list[ScoreReport] | None:
    """The reports of a system, if it has one for every manifest; a manifest whose references have no word counts for nobody."""
    reports = [result.report for result in results if result.report is not None]
    if len(reports) < len(results):
        return None
    return [report for report in reports if report.wer is not None] or None


def _standing(system: str, results: Sequence[Result], rank: int | None, reports: Sequence[ScoreReport] | None, resamples: int, seed: int) -> Standing:
    kind = results[0].kind
    notes = tuple(dict.fromkeys(note if len(results) == 1 else f"{result.manifest}: {note}" for result in results for note in result.notes))
    if reports is None:
        failed = [result for result in results if result.report is None]
        told = [(result.failure or "failed") if len(results) == 1 else f"{result.manifest}: {result.failure}" for result in failed]
        return Standing(rank=None, system=system, kind=kind, failure=told[0] if told else "no reference has a word", notes=notes)
    rates = [rate for report in reports if (rate := report.cer) is not None]
    words = [report.words for report in reports]
    # the factor is weighted by the audio whose time is known, which for one system is all of it or none
    timed = [(report.real_time_factor, report.audio_seconds) for report in reports]
    known = [(factor, seconds) for factor, seconds in timed if factor is not None]
    interval = macro_interval(reports, resamples=resamples, seed=seed)
    if interval is not None and interval.note:
        notes = (*notes, interval.note)
    return Standing(
        rank=rank,
        system=system,
        kind=kind,
        wer=macro_wer(reports),
        interval=interval,
        cer=sum(rates) / len(rates) if rates else None,
        real_time_factor=sum(f * s for f, s in known) / sum(s for _, s in known) if len(known) == len(reports) else None,
        load_seconds=max((result.load_seconds for result in results if result.load_seconds is not None), default=None),
        memory=max((result.memory for result in results if result.memory is not None), default=None),
        errors=sum(count.errors for count in words),
        words=sum(count.reference_length for count in words),
        utterances=sum(len(report.utterances) for report in reports),
        audio_seconds=sum(report.audio_seconds for report in reports),
        notes=notes,
    )


def machine_notes(results: Sequence[Result]) -> list[str]:
    """A sentence where speed and memory were measured on machines that differ; they are not to be compared then."""
    seen: dict[tuple[Any, ...], list[str]] = {}
    for result in results:
        if result.machine and result.report is not None and result.report.real_time_factor is not None:
            seen.setdefault(tuple(sorted(result.machine.items())), []).append(result.system)
    if len(seen) < 2:
        return []
    told = "; ".join(f"{', '.join(dict.fromkeys(systems))} on {dict(machine).get('node')}" for machine, systems in seen.items())
    return [f"Speed and memory were measured on {plural(len(seen), 'machine')}, so they cannot be compared: {told}. Use --again to measure anew."]


def _result_json(result: Result) -> dict[str, Any]:
    row = {field.name: getattr(result, field.name) for field in dataclasses.fields(result) if field.name != "report"}
    row |= {"notes": list(result.notes), "last_lines": list(result.last_lines), "other_memory": dict(result.other_memory)}
    row |= {"machine": dict(result.machine), "facts": dict(result.facts)}
    return {**row, "scored": result.report is not None, "report": f"reports/{result.system}.{result.manifest}.json" if result.report else None}
