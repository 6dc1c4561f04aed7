"""Document: everything one report tells, read from a run folder, a score report or a comparison; every output is made from it."""

import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speechadapt.errors import ScoreError, SpeechadaptError
from speechadapt.files import read_json
from speechadapt.runs import Run
from speechadapt.score.compare import Comparison
from speechadapt.score.phrases import percent, percent_range, plural
from speechadapt.score.report import ScoreReport
from speechadapt.score.verdict import ComparisonSet, exit_code, overall_verdict

MAKE_REPORT = "Make one with: speechadapt score REFS HYPS --out FILE"
OF_A_BENCH = "of a benchmark, whose report is written by: speechadapt bench ... --html FILE. A file of its reports/ can be given here."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReportSet:
    """One manifest of a document.

    Attributes:
        name: of the set, unique in the document.
        role: "test" or "guard".
        manifest: path of its manifest; None if unknown.
        report: of the system the page is about (of a comparison: the adapted one); None where only the comparison is known.
        base: of the system it is compared with; None without one.
        entry: the comparison of the two; None for a single report.
    """

    name: str
    role: str
    manifest: str | None
    report: ScoreReport | None
    base: ScoreReport | None = None
    entry: ComparisonSet | None = None

    @property
    def comparison(self) -> Comparison | None:
        """Base against adapted; None for a single report."""
        return self.entry.comparison if self.entry else None

    @property
    def sentence(self) -> str:
        """A single report in words; a comparison's own sentences come from `overall_verdict`."""
        if self.report is None:
            return ""
        found = self.report
        size = plural(len(found.utterances), "utterance")
        people = f"{plural(found.speakers, 'speaker')}, {size}" if found.speakers else f"{size}, speakers unknown"
        return (
            f'{found.system} on "{self.name}": WER {percent(found.wer)} (95 % interval {percent_range(found.interval)}), '
            f"CER {percent(found.cer)}; {people}."
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a run was trained: `steps` and their `losses`, dev WER by step in `scores`, and the step whose adapter was kept."""

    steps: tuple[int, ...]
    losses: tuple[float, ...]
    learning_rates: tuple[float, ...]
    scores: tuple[tuple[int, float], ...] = ()
    chosen_step: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A further table: `title`, `head`, rows of text, and a `note` under it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a report tells.

    Attributes:
        title: its heading.
        sets: one per manifest, test sets first.
        training: of a run; None otherwise.
        provenance: names and values for people: versions, commands, fingerprints.
        settings: every setting of the run, flattened to `TRAIN.steps`.
        tables: further tables, shown after the verdict, such as a leaderboard.
        source: the run folder, or the file, it was read from.
        verdict: sentences in place of those that follow from `sets`.
        failures: names of sets that have no score, and why.
    """

    title: str
    sets: tuple[ReportSet, ...]
    training: Training | None = None
    provenance: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    source: Path | None = None
    verdict: tuple[str, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def entries(self) -> tuple[ComparisonSet, ...]:
        """The comparisons among the sets."""
        return tuple(one.entry for one in self.sets if one.entry)

    @property
    def sentences(self) -> list[str]:
        """The verdict in words."""
        if self.verdict:
            return list(self.verdict)
        singles = [one.sentence for one in self.sets if one.entry is None]
        return [*(overall_verdict(self.entries) if self.entries else []), *singles]

    def to_json(self) -> Any:
        """What it was made from: a score report, a list of them, or a comparison as `comparison.json` has it."""
        if self.entries:
            sets = [entry.to_json() for entry in self.entries]
            return {"verdict": overall_verdict(self.entries), "exit_code": exit_code(self.entries), "sets": sets}
        reports = [one.report.to_json() for one in self.sets if one.report]
        return reports[0] if len(reports) == 1 else reports


def read_document(path: Path | str) -> Document:
    """Read what there is to report.

    Args:
        path: a run folder, the JSON of `score --out`, the JSON of `compare --out`, or a `comparison.json`; one that lies in its run folder
            brings the whole run.

    Raises:
        SpeechadaptError: the file is missing or is not JSON.
        ScoreError: it is none of these.
    """
    path = Path(path)
    if path.is_dir():
        return _run_document(path)
    value = read_json(path)
    if isinstance(value, dict) and isinstance(value.get("sets"), list):
        if path.name == "comparison.json" and (path.parent / "reports").is_dir():
            return _run_document(path.parent)
        entries = tuple(ComparisonSet.from_json(entry, f"{path}, set {number}") for number, entry in enumerate(value["sets"], start=1))
        return _titled(path.stem, tuple(_bare(entry) for entry in entries), path)
    if isinstance(value, dict) and "base_system" in value:
        return _titled(path.stem, (_bare(ComparisonSet.from_json(value, str(path))),), path)
    if isinstance(value, dict) and "system" in value:
        return report_document(ScoreReport.from_json(value, str(path)), source=path)
    if isinstance(value, dict) and {"overall", "manifests", "systems"} <= set(value):
        raise ScoreError(f"{path}: {OF_A_BENCH}")
    raise ScoreError(f"{path}: neither a score report nor a comparison. {MAKE_REPORT}")


def report_document(report: ScoreReport, *, source: Path | None = None) -> Document:
    """The document of one system's score on one manifest."""
    one = ReportSet(name=report.manifest, role="test", manifest=report.manifest_path, report=report)
    return Document(title=f"{report.system} on {report.manifest}", sets=(one,), provenance=_provenance([one]), source=source)


def comparison_document(entry: ComparisonSet, base: ScoreReport, adapted: ScoreReport, *, source: Path | None = None) -> Document:
    """The document of two systems on one manifest."""
    one = ReportSet(name=entry.name, role=entry.role, manifest=entry.manifest, report=adapted, base=base, entry=entry)
    title = f"{adapted.system} against {base.system} on {entry.name}"
    return Document(title=title, sets=(one,), provenance=_provenance([one]), source=source)


def reports_document(
    reports: Sequence[ScoreReport],
    *,
    title: str,
    tables: Sequence[Table] = (),
    verdict: Sequence[str] = (),
    failures: Sequence[tuple[str, str, str]] = (),
) -> Document:
    """The document of several scores side by side, such as a benchmark: every one is a set, named by system and manifest.

    Args:
        reports: no two of the same system on the same manifest.
        title: its heading.
        tables: what compares them, such as a leaderboard; shown first.
        verdict: sentences that stand above it.
        failures: system, manifest and reason where there is no report.
    """
    sets = tuple(
        ReportSet(name=f"{report.system} on {report.manifest}", role="test", manifest=report.manifest_path, report=report) for report in reports
    )
    failed = tuple((f"{system} on {manifest}", why) for system, manifest, why in failures)
    return Document(title=title, sets=sets, provenance=_provenance(sets), tables=tuple(tables), verdict=tuple(verdict), failures=failed)


def run_document(run: Run, entries: Sequence[ComparisonSet]) -> Document:
    """The document of a finished run whose comparisons are known."""
    sets = tuple(_run_set(run, entry) for entry in entries)
    settings = run.folder / "settings.json"
    value = read_json(settings) if settings.is_file() else {}
    environment = run.folder / "environment.json"
    facts = _environment(read_json(environment)) if environment.is_file() else ()
    return Document(
        title=f"Run {run.folder.resolve().name}",
        sets=tuple(sorted(sets, key=lambda one: one.role != "test")),
        training=read_training(run.folder),
        provenance=(*facts, *_provenance(sets, versions=not facts)),
        settings=tuple(flatten(value)),
        source=run.folder,
    )


def read_training(folder: Path) -> Training | None:
    """Losses of `train.jsonl` and dev scores of `training.json`; None without steps. A last line that a crash cut short is passed over."""
    log = folder / "train.jsonl"
    if not log.is_file():
        return None
    rows = []
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(row, dict) and _is_number(row.get("step")) and _is_number(row.get("loss")):
                rows.append(row)
    if not rows:
        return None
    summary = read_json(folder / "training.json") if (folder / "training.json").is_file() else {}
    scores = tuple((int(step), float(rate)) for step, rate in summary.get("scores", []) if _is_number(rate))
    return Training(
        steps=tuple(int(row["step"]) for row in rows),
        losses=tuple(float(row["loss"]) for row in rows),
        learning_rates=tuple(float(row["lr"]) if _is_number(row.get("lr")) else 0.0 for row in rows),
        scores=scores,
        chosen_step=summary.get("chosen_step"),
    )


def flatten(value: Any, name: str = "") -> list[tuple[str, str]]:
    """A JSON object as lines: `TRAIN.steps`, `200`. Lists stay whole."""
    if isinstance(value, dict):
        return list(itertools.chain.from_iterable(flatten(inner, f"{name}.{key}" if name else str(key)) for key, inner in value.items()))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return [(name, text)]


def _run_document(folder: Path) -> Document:
    run = Run(folder=folder)
    if (folder / "leaderboard.json").is_file() and not run.comparison.is_file():
        raise ScoreError(f"{folder}: {OF_A_BENCH}")
    if not run.comparison.is_file():
        more = "go on with it by: speechadapt run RECIPE --resume" if (folder / "settings.json").is_file() else "give a run folder or a report"
        raise ScoreError(f"{folder}: no comparison.json in it, so it has no verdict to report; {more}.")
    value = read_json(run.comparison)
    if not isinstance(value, dict) or not isinstance(value.get("sets"), list):
        raise ScoreError(f'{run.comparison}: no list "sets" in it. A comparison.json is written by: speechadapt run')
    entries = [ComparisonSet.from_json(entry, f"{run.comparison}, set {number}") for number, entry in enumerate(value["sets"], start=1)]
    return run_document(run, entries)


def _run_set(run: Run, entry: ComparisonSet) -> ReportSet:
    """The set with both reports where they lie in the run folder and still belong to the comparison."""
    reports = []
    for system in ("base", "adapted"):
        path = run.report(entry.name, system)
        try:
            report = ScoreReport.read(path) if path.is_file() else None
        except SpeechadaptError:
            report = None  # the comparison alone is still worth a page
        reports.append(report if report is not None and report.fingerprint == entry.comparison.fingerprint else None)
    base, adapted = reports
    bare = dataclasses.replace(_bare(entry), manifest=_where(run, entry.manifest))
    return bare if base is None or adapted is None else dataclasses.replace(bare, report=adapted, base=base)


def _where(run: Run, manifest: str) -> str:
    """The manifest's path from here; a relative one was written where the run was started, which is a folder above the run's as a rule."""
    if Path(manifest).is_absolute() or Path(manifest).is_file():
        return manifest
    above = [folder / manifest for folder in run.folder.resolve().parents]
    return str(next((path for path in above if path.is_file()), manifest))


def _bare(entry: ComparisonSet) -> ReportSet:
    return ReportSet(name=entry.name, role=entry.role, manifest=entry.manifest, report=None, entry=entry)


def _titled(title: str, sets: tuple[ReportSet, ...], source: Path) -> Document:
    return Document(title=title, sets=tuple(sorted(sets, key=lambda one: one.role != "test")), provenance=_provenance(sets), source=source)


def _provenance(sets: Sequence[ReportSet], *, versions: bool = True) -> tuple[tuple[str, str], ...]:
    facts: list[tuple[str, str]] = []
    for one in sets:
        report = one.report
        found = report if report is not None else one.comparison
        if found is None:
            continue
        facts.append((f"{one.name}: normalizer", f"{found.normalizer}, version {found.normalizer_version}"))
        facts.append((f"{one.name}: manifest", f"{one.manifest or found.manifest}; fingerprint {found.fingerprint}"))
        if report is not None:
            if report.decode:
                facts.append((f"{one.name}: decoding", ", ".join(f"{name} {value}" for name, value in report.decode.items())))
            if report.real_time_factor is not None:
                facts.append((f"{one.name}: speed", f"{report.real_time_factor:.4f} s of decoding per second of audio"))
            if versions:
                facts += _environment(report.provenance)
                versions = False
    return tuple(facts)


def _environment(value: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    facts = []
    if value.get("time"):
        facts.append(("time", str(value["time"])))
    if value.get("command"):
        facts.append(("command", " ".join(map(str, value["command"]))))
    if value.get("code"):
        facts.append(("code", str(value["code"])))
    if value.get("python"):
        facts.append(("Python", str(value["python"])))
    packages = value.get("packages") or {}
    if packages:
        facts.append(("packages", ", ".join(f"{name} {version}" for name, version in packages.items() if version)))
    machine = value.get("machine") or {}
    if machine:
        facts.append(("machine", ", ".join(f"{name} {inner}" for name, inner in machine.items() if inner)))
    return tuple(facts)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
