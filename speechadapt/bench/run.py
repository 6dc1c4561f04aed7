"""Run a benchmark: decode what is missing, system after system, score everything the same way, and write the leaderboard."""

import contextlib
import dataclasses
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock
from tqdm import tqdm

from speechadapt.bench.leaderboard import Leaderboard, Result, make_leaderboard
from speechadapt.bench.matrix import Matrix, TestSet
from speechadapt.bench.process import Outcome, run_worker
from speechadapt.bench.render import leaderboard_csv, leaderboard_markdown
from speechadapt.bench.store import Line, Store, read_lines
from speechadapt.bench.systems import KINDS, CommandSystem, HypothesesSystem, System
from speechadapt.bench.weights import audio_fingerprint, hypotheses_path, ids_fingerprint, key_of
from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.errors import ManifestError, MisuseError, ScoreError
from speechadapt.files import write_json, write_text
from speechadapt.score.intervals import RESAMPLES
from speechadapt.score.phrases import listed, plural, printable
from speechadapt.score.report import DEFAULT_GROUPS, score
from speechadapt.text.normalize import choose_normalizer

TEXTS_LOOKED_AT = 200


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A manifest, how it is scored, and what its recordings are."""

    test_set: TestSet
    manifest: Manifest
    normalizer: str
    by: tuple[str, ...]
    audio: str
    ids: str

    def facts(self, board_normalizer: tuple[str, str]) -> dict[str, Any]:
        """For tables and JSON."""
        name, version = board_normalizer
        found = self.manifest
        return {
            "path": str(self.test_set.path),
            "fingerprint": found.fingerprint,
            "normalizer": name,
            "normalizer_version": version,
            "utterances": len(found),
            "speakers": len(found.speakers),
            "hours": found.hours,
        }


def run_bench(
    matrix: Matrix, out: Path | str, *, again: Sequence[str] = (), resamples: int = RESAMPLES, seed: int = 0, progress: bool = True
) -> Leaderboard:
    """Run every system on every manifest and rank them.

    A system that crashes, hangs or runs out of memory takes only its own row with it. What is in `out` already is not decoded again: a second
    call goes on where the first one stopped.

    Args:
        matrix: what to run.
        out: folder of the benchmark; made if it is not there.
        again: names of systems whose hypotheses are thrown away and made anew.
        resamples, seed: of the bootstrap over speakers.
        progress: say on stderr what is done.

    Raises:
        MisuseError: another bench works in `out`, or `again` names no system.
        ManifestError, AudioError, ScoreError: a manifest is broken, a recording is not there, or it cannot be scored so.
    """
    store = Store(folder=Path(out))
    names = [system.name for system in matrix.systems]
    if strangers := [name for name in again if name not in names]:
        raise MisuseError(f"again names {listed(strangers)}, but the systems are {listed(names, most=50)}. Correct the name.")
    columns = [_column(test_set, matrix) for test_set in matrix.manifests]
    if nowhere := [field for field in matrix.by if field not in DEFAULT_GROUPS and not any(field in column.by for column in columns)]:
        raise ScoreError(f"cannot group by {listed(nowhere)}: no utterance of the {len(columns)} manifests has it. Check the spelling.")
    with _locked(store):
        for name in again:
            store.forget(name)
        results: list[Result] = []
        for system in matrix.systems:
            results += _Row(system, columns, matrix, store, progress).results(resamples, seed)
        normalizers = {r.manifest: (r.report.normalizer, r.report.normalizer_version) for r in results if r.report is not None}
        facts = {column.test_set.name: column.facts(normalizers.get(column.test_set.name, (column.normalizer, "not used"))) for column in columns}
        board = make_leaderboard(matrix, results, facts, resamples=resamples, seed=seed)
        _write(store, board)
    return board


def normalizer_of(manifest: Manifest) -> str:
    """The normalizer of a manifest that nobody named one for: by its language, or, where none is told, by its script."""
    return choose_normalizer((utterance.text for utterance in manifest[:TEXTS_LOOKED_AT]), (utterance.language for utterance in manifest))


def _column(test_set: TestSet, matrix: Matrix) -> _Column:
    try:
        manifest = Manifest.read(test_set.path)
    except ManifestError as error:
        if test_set.path.suffix in (".jsonl", ".json"):
            raise
        raise ManifestError(f"{error} A benchmark takes manifests; references in another format are for: speechadapt score REFS HYPS") from error
    manifest.name = test_set.name
    normalizer = test_set.normalizer or normalizer_of(manifest)
    by = _fields(manifest, matrix, normalizer)
    hears = any(KINDS[system.kind].hears for system in matrix.systems)
    audio = audio_fingerprint(manifest) if hears else ""
    return _Column(test_set=test_set, manifest=manifest, normalizer=normalizer, by=by, audio=audio, ids=ids_fingerprint(manifest))


def _fields(manifest: Manifest, matrix: Matrix, normalizer: str) -> tuple[str, ...]:
    """Those of `by` that this manifest can be grouped by, found out before anything is decoded; of several manifests each has its own."""

    def check(by: Sequence[str]) -> None:
        score(manifest, [], system="", normalizer=normalizer, by=by, missing_as_empty=True, resamples=0)

    try:
        check(matrix.by)
    except ScoreError:
        if len(matrix.manifests) == 1:
            raise
        kept = []
        for field in matrix.by:
            with contextlib.suppress(ScoreError):
                check((field,))
                kept.append(field)
        check(kept)  # what is wrong beside the groups is told now, not after everything has been decoded
        return tuple(kept)
    return matrix.by


@contextlib.contextmanager
def _locked(store: Store) -> Iterator[None]:
    try:
        store.folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(store.lock)
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise MisuseError(f"{store.folder}: another bench is at work there. Wait for it, or give another --out.") from error
    except OSError as error:
        raise MisuseError(f"{store.folder}: cannot be written to ({error.strerror or error}). Give another --out.") from error
    try:
        yield
    finally:
        lock.release()


class _Row:
    """One system on all manifests."""

    def __init__(self, system: System, columns: Sequence[_Column], matrix: Matrix, store: Store, progress: bool) -> None:
        self.system = system
        self.columns = columns
        self.threads = matrix.threads
        self.store = store
        self.progress = progress
        self.kind = KINDS[system.kind]

    def results(self, resamples: int, seed: int) -> list[Result]:
        """Decode what is missing, then score what is there."""
        keys = {column.test_set.name: self._key(column) for column in self.columns}
        missing = [
            column for column in self.columns if self.store.finished(self.system.name, column.test_set.name, keys[column.test_set.name]) is None
        ]
        outcome = self._decode(missing, keys) if missing else None
        fresh = {column.test_set.name for column in missing}
        return [
            self._result(column, keys[column.test_set.name], column.test_set.name not in fresh, outcome, resamples, seed) for column in self.columns
        ]

    def _key(self, column: _Column) -> str:
        return key_of(self.system, column.manifest, self._audio(column), self.threads)[0]

    def _audio(self, column: _Column) -> str:
        return column.audio if self.kind.hears else column.ids

    def _say(self, told: str) -> None:
        if self.progress:
            print(printable(told), file=sys.stderr, flush=True)

    def _decode(self, missing: Sequence[_Column], keys: dict[str, str]) -> Outcome:
        """Run the worker; note each manifest that it finishes, with what is known of the process by then."""
        name = self.system.name
        rows = [
            {"name": c.test_set.name, "path": str(c.test_set.path.resolve()), "audio": self._audio(c), "utterances": len(c.manifest)} for c in missing
        ]
        job = {"system": self.system.to_json(), "out": str(self.store.folder.resolve()), "manifests": rows, "threads": self.threads}
        self._say(f"{name} ({self.system.kind}): {plural(sum(len(c.manifest) for c in missing), 'utterance')} of {plural(len(rows), 'manifest')}")
        finished: dict[str, dict[str, Any]] = {}
        loading: dict[str, Any] = {}
        with _Bar(name, not self.progress) as bar:

            def tell(message: dict[str, Any]) -> None:
                event = message.get("event")
                if event == "loaded":
                    loading.update(seconds=message["seconds"], facts=message["facts"])
                elif event in ("begun", "batch"):
                    bar.show(message)
                    if event == "begun" and message["done"] > 0:
                        self._say(f"{name}: goes on with {message['manifest']} after {message['done']} of {message['of']} utterances")
                elif event == "finished":
                    manifest = message["manifest"]
                    keys[manifest] = message["key"]  # loading may have fetched the model, which gives it a commit
                    finished[manifest] = self._facts(message, loading, None)
                    self.store.finish(name, manifest, message["key"], finished[manifest])

            log = self.store.log(name)
            outcome = run_worker(job, limit=self.system.limit, threads=self.threads, log=log, tell=tell)
        for manifest, facts in finished.items():
            memory = max(filter(None, (facts["memory"], self._seen(outcome))), default=None)
            if memory != facts["memory"]:
                self.store.finish(name, manifest, keys[manifest], {**facts, "memory": memory})
        if outcome.failure is not None:
            self._say(f"{name}: failed: {outcome.failure.rstrip('.')}. Its messages: {self.store.log(name)}")
        return outcome

    def _seen(self, outcome: Outcome) -> int | None:
        if not self.kind.local:
            return None
        return outcome.programs if isinstance(self.system.settings, CommandSystem) else outcome.memory

    def _facts(self, message: dict[str, Any], loading: dict[str, Any], seen: int | None) -> dict[str, Any]:
        other = dict(message["memory"])
        own = other.pop("program", None) if isinstance(self.system.settings, CommandSystem) else message["peak"]
        remote = not self.kind.local or isinstance(self.system.settings, CommandSystem)
        return {
            "system": self.system.name,
            "manifest": message["manifest"],
            "made_of": message["made_of"],
            "facts": message["facts"],
            "load_seconds": None if remote else round(loading.get("seconds", 0.0), 3),
            "memory": own if self.kind.local else None,
            "other_memory": other,
            "machine": {"node": platform.node(), "processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        }

    def _result(self, column: _Column, key: str, cached: bool, outcome: Outcome | None, resamples: int, seed: int) -> Result:
        name = column.test_set.name
        facts = self.store.finished(self.system.name, name, key)
        path = self.store.hypotheses(self.system.name, name, key)
        lines = read_lines(path)
        failure = None
        if facts is None:
            why = outcome.failure if outcome is not None and outcome.failure is not None else "ended without a word"
            failure = f"{why} (after {len(lines)} of {len(column.manifest)} utterances, which are kept)" if lines else why
        elif absent := [utterance.id for utterance in column.manifest if utterance.id not in lines]:
            failure = f"{path.name} was changed: {len(absent)} utterances are not in it any more; make it anew with --again"
        if failure is not None or facts is None:
            last = outcome.last_lines if outcome else ()
            log = str(self.store.log(self.system.name).relative_to(self.store.folder))
            return Result(system=self.system.name, kind=self.system.kind, manifest=name, report=None, failure=failure, log=log, last_lines=last)
        hypotheses = [_hypothesis(line) for line in lines.values() if not line.missing]
        report = score(
            column.manifest,
            hypotheses,
            system=self.system.name,
            normalizer=column.normalizer,
            by=column.by,
            decode=facts["facts"].get("decode", {}),
            manifest_path=column.test_set.path,
            missing_as_empty=True,
            resamples=resamples,
            seed=seed,
        )
        report.write(self.store.report(self.system.name, name))
        return Result(
            system=self.system.name,
            kind=self.system.kind,
            manifest=name,
            report=report,
            load_seconds=facts["load_seconds"],
            memory=facts["memory"],
            other_memory=facts["other_memory"],
            machine=facts["machine"] if self.kind.hears else {},
            cached=cached,
            facts=facts["facts"],
            hypotheses=str(path.relative_to(self.store.folder)),
            notes=tuple(self._notes(column, list(lines.values()), facts)),
        )

    def _notes(self, column: _Column, lines: Sequence[Line], facts: dict[str, Any]) -> list[str]:
        notes = []
        if missing := [line.id for line in lines if line.missing]:
            where = ""
            if isinstance(self.system.settings, HypothesesSystem):
                where = f" in {hypotheses_path(self.system.settings, column.test_set.name).name}"
            notes.append(f"no hypothesis{where} for {plural(len(missing), 'utterance')}, counted as empty: {listed(missing)}.")
        if failed := [line for line in lines if line.failure is not None]:
            notes.append(
                f"failed on {plural(len(failed), 'utterance')}, counted as empty: {listed([line.id for line in failed])} ({failed[0].failure})"
            )
        if len(lines) > len(missing) and not any(line.text.strip() for line in lines):
            notes.append("said nothing at all.")
        notes += [str(note) for note in facts["facts"].get("notes", ())]
        return notes


class _Bar:
    """A bar per manifest on stderr."""

    def __init__(self, system: str, hidden: bool) -> None:
        self._system = system
        self._hidden = hidden
        self._bar: Any = None

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, message: dict[str, Any]) -> None:
        if message["event"] == "begun":
            self.__exit__()
            told = f"{self._system} on {message['manifest']}"
            hidden = self._hidden or not sys.stderr.isatty()
            self._bar = tqdm(total=message["of"], desc=told, unit="clip", disable=hidden, file=sys.stderr, leave=False)
        if self._bar is not None:
            self._bar.update(message["done"] - self._bar.n)


def _hypothesis(line: Line) -> Hypothesis:
    return Hypothesis(id=line.id, text=line.text, seconds=line.seconds, avg_logprob=line.avg_logprob)


def _write(store: Store, board: Leaderboard) -> None:
    """The result in three forms; a report of a system that failed this time is not left behind from an earlier one."""
    for result in board.failures:
        with contextlib.suppress(FileNotFoundError):
            store.report(result.system, result.manifest).unlink()
    write_json(store.leaderboard(".json"), board.to_json())
    write_text(store.leaderboard(".md"), leaderboard_markdown(board))
    write_text(store.leaderboard(".csv"), leaderboard_csv(board))
