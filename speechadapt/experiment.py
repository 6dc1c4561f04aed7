"""Experiment: the steps from a prepared corpus to a verdict; recipes put them in order, `adapt_and_prove` is that order without a recipe file."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speechadapt.adapt.adapter import AdapterRef, load_adapter, read_adapter, target_modules
from speechadapt.adapt.card import proven_card
from speechadapt.adapt.spec import AdapterSpec, TrainSettings
from speechadapt.adapt.train import plan_steps, train_adapter
from speechadapt.bundled import load_bundled
from speechadapt.data.corpus_record import CorpusRecord, gather_records, list_terms
from speechadapt.data.hypothesis import Hypothesis, read_hypotheses, write_hypotheses
from speechadapt.data.manifest import Manifest, join_manifests
from speechadapt.data.relatives import relations_among
from speechadapt.data.splits import LeakReport, drop_leaks
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError, MisuseError, TrainingError
from speechadapt.evaluation import transcribe_manifest
from speechadapt.files import read_json, write_json, write_text
from speechadapt.models.load import load_model
from speechadapt.models.random_base import write_random_base
from speechadapt.models.speech_model import DecodeSettings, SpeechModel
from speechadapt.preparation import PrepareOptions, available_cores
from speechadapt.preparation.report import REPORT_FILE
from speechadapt.provenance import package_version
from speechadapt.report.document import run_document
from speechadapt.report.page import html_page
from speechadapt.runs import Run
from speechadapt.score.mistakes import compare_mistakes
from speechadapt.score.phrases import percent, percent_range
from speechadapt.score.plot import plot_sets
from speechadapt.score.render import run_markdown
from speechadapt.score.report import DEFAULT_GROUPS, ScoreReport, score
from speechadapt.score.verdict import ComparisonSet, comparison_set, write_comparison
from speechadapt.settings import to_json
from speechadapt.text.languages import primary_language
from speechadapt.text.normalize import normalizer_for
from speechadapt.transcriber import Transcriber
from speechadapt.units import clock

Verdict = tuple[ComparisonSet, ...]
"""One comparison per test and guard set, as `RUN/comparison.json` keeps them."""

FULL = DecodeSettings(window="full")
SHORT = DecodeSettings(window="short")
MOST_MISTAKES = 5
"""Of each kind in a run's summary; the report has them all."""
ENGLISH = "synthetic_english"
GUARD_SIZE = (10, 8)
"""Speakers, and sentences by each, of the standard English that stands in for a missing guard: about five minutes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSet:
    """A manifest both systems are scored on: its name in the run, its path, and its role, `test` or `guard`."""

    name: str
    path: Path
    role: str
    manifest: Manifest


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sets:
    """What a run trains on, chooses checkpoints by, and is judged by; nothing is shared between the first two and the third.

    `replayed` are the ids of the rows that were read into `train` beside the corpus's own, before leaks were dropped; `corpora` is whose speech
    `train` is.
    """

    train: Manifest
    dev: Manifest
    scored: tuple[ScoredSet, ...]
    replayed: frozenset[str] = frozenset()
    corpora: tuple[CorpusRecord, ...] = ()


def read_sets(
    run: Run,
    data: Path,
    *,
    tests: Sequence[Path] = (),
    guards: Sequence[Path] = (),
    replay: Sequence[Path] = (),
    make_guard: bool = True,
    language: str | None = None,
    strict: bool = False,
    personal: bool = False,
    corpus: str = "CORPUS",
) -> Sets:
    """Read a prepared corpus and drop from training and dev what shares a speaker, recording or sentence with a test or guard set.

    Args:
        run: where synthetic guards and the list of dropped rows go.
        data: a folder with train.jsonl and dev.jsonl.
        tests: test manifests; none takes `data`'s own test.jsonl.
        guards: manifests of speech that the base serves and must go on serving.
        replay: manifests of such speech to be trained on beside the corpus, so that it is not unlearned (rehearsal, Robins 1995); freed of
            leaks like the rest.
        make_guard: without guards, let synthetic standard English stand in where the language is English.
        language: of the speech; None takes what the training rows say.
        strict: refuse such rows instead of dropping them.
        personal: the adapter is for the voices of the test sets themselves, so that sharing a speaker with one is meant and no leak; sentences,
            recordings and samples, and the speakers of guards, are kept apart as ever. The verdict says it.
        corpus: the corpus that `data` should hold, for the message that it is missing.

    Raises:
        ManifestError: a manifest is missing, or `strict` and rows are shared.
        TrainingError: no row is left to train on or to choose checkpoints by.
    """
    tests = check_data(data, tests, guards, replay, corpus=corpus)
    rows = {split: Manifest.read(data / f"{split}.jsonl") for split in ("train", "dev")}
    if not guards and make_guard:
        guards = _standard_guard(run, language or language_of(rows["train"]))
    sources = list(rows.values())  # before they are joined: each knows its corpus
    folders = {u.id: rows["train"].folder for u in rows["train"]}
    rehearsed: list[Manifest] = []
    for path in replay:
        sources.append(Manifest.read(path))
        manifest, report = drop_leaks(sources[-1], [rows["dev"]])  # dev chooses the checkpoint, so it must not be trained on either
        if report.total:
            run.say(f"replay {path}: {report}")
        rehearsed.append(manifest)
        folders |= {u.id: manifest.folder for u in manifest}
    more = sum(map(len, rehearsed))
    if more:
        run.say(f"train: {len(rows['train'])} utterances of the corpus and {more} of replay, so that less of what the base knows is unlearned")
        rows["train"] = join_manifests([rows["train"], *rehearsed], name="train")
    scored = _name_sets([(path, "test") for path in tests] + [(path, "guard") for path in guards])
    kept: dict[str, Manifest] = {}
    dropped: dict[str, LeakReport] = {}
    for split, manifest in rows.items():
        known = [one.manifest for one in scored if one.role == "test"] if personal else []
        kept[split], dropped[split] = drop_leaks(manifest, [one.manifest for one in scored], same_speakers=known)
    related = relations_among(sources, [one.manifest for one in scored])
    write_json(run.leaks, {**{split: report.to_json() for split, report in dropped.items()}, "related": list(related)})
    for note in related:
        run.say(f"note: {note}")
    for split, report in dropped.items():
        _tell_leaks(run, split, report, strict, personal)
    for one in scored:
        run.say(f"{one.role} {one.name}: {len(one.manifest)} utterances, {len(one.manifest.speakers)} speakers, {clock(one.manifest.hours * 3600)}")
    corpora = gather_records(folders[u.id] for u in kept["train"])
    for line in list_terms(corpora):
        run.say(f"training data: {line}")
    replayed = frozenset(u.id for manifest in rehearsed for u in manifest)
    return Sets(train=kept["train"], dev=kept["dev"], scored=scored, replayed=replayed, corpora=corpora)


def _tell_leaks(run: Run, split: str, report: LeakReport, strict: bool, personal: bool) -> None:
    others = ", ".join(report.against)
    if strict and report.total:
        raise ManifestError(
            f"{split}: {report.total} of {report.rows} rows share a speaker, recording or sentence with {others}; {report.example}; {run.leaks} "
            "names them. Prepare the corpus again with disjoint splits, or leave --strict out to drop them."
        )
    if not report.kept:
        by_speaker = len(report.dropped.get("speaker", ())) == report.rows
        hint = " If the adapter is for these voices only, say so with --personal." if by_speaker and not personal else ""
        raise TrainingError(
            f"{split}: none of its {report.rows} rows is left, all share a speaker, recording or sentence with {others}; {run.leaks} names them. "
            f"Give test and guard sets of other speakers and other sentences.{hint}"
        )
    run.say(f"{split}: {report}")


def check_data(
    data: Path, tests: Sequence[Path] = (), guards: Sequence[Path] = (), replay: Sequence[Path] = (), *, corpus: str = "CORPUS"
) -> list[Path]:
    """Say early what is missing.

    Returns:
        The test manifests: those given, else `data`'s own.

    Raises:
        ManifestError: no train, dev or test manifest, or one that was given does not exist.
    """
    prepare = f"speechadapt prepare {corpus} SOURCE {data}"
    if not data.is_dir():
        raise ManifestError(f"{data}: no such folder. Make it with: {prepare}")
    for split in ("train", "dev"):
        if not (data / f"{split}.jsonl").is_file():
            raise ManifestError(f"{data}: no {split}.jsonl in it, train.jsonl and dev.jsonl are needed. Make them with: {prepare} --splits speaker")
    if not tests and not (data / "test.jsonl").is_file():
        raise ManifestError(f"{data}: no test.jsonl in it and no other test manifest given, so nothing could be proved. Give one with --test.")
    for path in (*tests, *guards, *replay):
        if not path.is_file():
            raise ManifestError(f"{path}: no such manifest. Check the path, or make it with: speechadapt prepare")
    return list(tests) or [data / "test.jsonl"]


def language_of(manifest: Manifest) -> str | None:
    """The language its rows name, if they all name the same one."""
    named = {u.language for u in manifest}
    return named.pop() if len(named) == 1 else None


def _name_sets(paths: Sequence[tuple[Path, str]]) -> tuple[ScoredSet, ...]:
    """Name each set by its stem; where stems repeat by folder and stem; where those repeat too by more folders."""
    resolved = [path.resolve().with_suffix("") for path, _ in paths]
    for one in resolved:
        if resolved.count(one) > 1:
            raise MisuseError(f"{one}.jsonl: given twice as a test or guard set. Give every manifest once.")

    def name(one: Path) -> str:
        for depth in range(1, len(one.parts)):
            if [other.parts[-depth:] for other in resolved].count(one.parts[-depth:]) == 1:
                return "/".join(one.parts[-depth:])
        return str(one)

    sets = []
    for (path, role), one in zip(paths, resolved, strict=True):
        manifest = Manifest.read(path)
        sets.append(ScoredSet(name=name(one), path=path, role=role, manifest=Manifest(manifest, folder=manifest.folder, name=name(one))))
    return tuple(sets)


def make_synthetic(
    run: Run,
    accent: str,
    *,
    corpus: str = ENGLISH,
    train: Sequence[int] = (0, 0),
    dev: Sequence[int] = (0, 0),
    test: Sequence[int] = (0, 0),
    seed: int = 0,
) -> Path:
    """Prepare synthetic speech in the run folder, under `data/`. What an earlier start finished is kept.

    Args:
        run: whose folder it goes into.
        accent: `standard`, or an accent and perhaps its strength, such as `mandarin:0.6`; see the corpus' script.
        corpus: a script of data_prep that makes its speech: synthetic_english or synthetic_georgian.
        train, dev, test: speakers, and sentences by each of them.
        seed: of sentences and speakers.

    Returns:
        The prepared folder.

    Raises:
        MisuseError: an unknown accent, or a size that is not two numbers.
        MissingExtraError: the package of the voice is not installed.
    """
    sizes: dict[str, int] = {}
    for split, size in (("train", train), ("dev", dev), ("test", test)):
        if len(size) != 2:
            raise MisuseError(f"the size of {split} is {tuple(size)}, must be two numbers: speakers, and sentences by each. Correct the setting.")
        sizes |= {f"{split}_speakers": size[0], f"{split}_utterances": size[1]}
    name = accent if corpus == ENGLISH else corpus.removeprefix("synthetic_")
    out = run.folder / "data" / name.replace(":", "-")
    if (out / REPORT_FILE).is_file():  # written last
        run.say(f"synthetic {name}: kept from the earlier start")
        return out
    run.say(f"synthetic {name}: speaking {sum(speakers * each for speakers, each in (train, dev, test))} sentences")
    script = load_bundled("data_prep", corpus)
    script.prepare(accent, out, PrepareOptions(seed=seed, jobs=available_cores()), script.Settings(**sizes))
    return out


def random_base(run: Run, base: str, *, seed: int = 0) -> str:
    """A base of the same architecture with random weights, in the run folder: what a comparison of transfer with no transfer starts from.

    Args:
        base: a CTC model; see `load_model`.
        seed: of the weights.

    Returns:
        The folder, to be used as a base.

    Raises:
        ModelError: the base is not found.
        MisuseError: it is not a CTC model.
    """
    out = run.folder / "data" / "random-base"
    if not out.is_dir():
        write_random_base(base, out, seed=seed)
        run.say(f"random weights in the architecture of {base}: {out}")
    return str(out)


def _standard_guard(run: Run, language: str | None) -> tuple[Path, ...]:
    """Synthetic standard English for English; nothing, and a line that says so, for other languages or without the voice."""
    if language is not None and primary_language(language) != "en":
        run.say(f"no guard set: none was given, and none can be made for {language}. What the adapter costs elsewhere stays unknown.")
        return ()
    if package_version("hibari-tts") is None:
        run.say("no guard set: none was given, and the synthetic voice is not installed (pip install 'speechadapt[synthetic]')")
        return ()
    run.say("no guard set was given: synthetic standard English stands in. Speech of people that the base serves well is a better guard.")
    return (make_synthetic(run, "standard", test=GUARD_SIZE) / "test.jsonl",)


def score_sets(
    run: Run,
    model: SpeechModel,
    sets: Sets,
    *,
    system: str,
    decode: DecodeSettings = FULL,
    normalizer: str = "english",
    by: Sequence[str] = DEFAULT_GROUPS,
) -> dict[str, ScoreReport]:
    """Decode and score every test and guard set; hypotheses and reports go into the run folder.

    A resumed run reuses the hypotheses that the same weights gave with the same settings on the same manifest.

    Args:
        system: the name in the run: `base`, `adapted` or `adapted-short`.
        decode: an unadapted model is always decoded in its full window.

    Returns:
        A report by the set's name.
    """
    reports = {}
    for one in sets.scored:
        hypotheses = _hypotheses(run, model, one, system, decode)
        report = score(one.manifest, hypotheses, system=system, normalizer=normalizer, by=by, decode=decode.to_json(), manifest_path=one.path)
        report.write(run.report(one.name, system))
        run.say(f"{system} on {one.name}: WER {percent(report.wer)} (95 % interval {percent_range(report.interval)})")
        reports[one.name] = report
    return reports


def score_short(
    run: Run, model: SpeechModel, sets: Sets, *, normalizer: str = "english", by: Sequence[str] = DEFAULT_GROUPS
) -> dict[str, ScoreReport] | None:
    """Score the adapted model in its short window, as the system `adapted-short`; None for families without one, which hear no more than the clip."""
    if "short" not in model.windows:
        return None
    return score_sets(run, model, sets, system="adapted-short", decode=SHORT, normalizer=normalizer, by=by)


def _hypotheses(run: Run, model: SpeechModel, one: ScoredSet, system: str, decode: DecodeSettings) -> list[Hypothesis]:
    path, origin = run.hypotheses(one.name, system), run.decoded_by(one.name, system)
    made_by = {
        "base": model.base.id,
        "revision": model.base.revision,
        "adapter": read_adapter(run.adapter).weights_sha256 if model.adapted else None,
        "language": model.language,
        "decode": decode.to_json(),
        "manifest": one.manifest.fingerprint,
    }
    if path.is_file() and origin.is_file() and read_json(origin) == made_by:
        run.say(f"{system} on {one.name}: hypotheses kept from the earlier start")
        return read_hypotheses(path)
    origin.unlink(missing_ok=True)
    hypotheses = transcribe_manifest(model, one.manifest, settings=decode)
    write_hypotheses(path, hypotheses)
    write_json(origin, made_by)
    return hypotheses


def train_on(
    run: Run,
    model: SpeechModel,
    sets: Sets,
    *,
    spec: AdapterSpec,
    settings: TrainSettings,
    normalizer: str = "english",
    minutes: float | None = None,
) -> AdapterRef:
    """Train an adapter; the checkpoint with the lowest decoded dev WER goes to `RUN/adapter`.

    Args:
        model: changed in place.
        minutes: turned into a number of steps by a probe, once; a resumed run keeps that number.
    """
    if run.resumed and run.adapter.is_dir():  # written in one step, after the last one
        run.say("training: finished in the earlier start")
        return read_adapter(run.adapter)
    if run.plan.is_file():
        settings = dataclasses.replace(settings, steps=read_json(run.plan)["steps"])
    elif minutes is not None:
        settings = plan_steps(model, sets.train, settings, minutes, spec=spec, replayed=sets.replayed)
        write_json(run.plan, {"minutes": minutes, "steps": settings.steps})
        run.say(f"training: {settings.steps} steps, which a probe says take about {minutes:g} min; the number is fixed now")

    def dev_wer(adapted: SpeechModel) -> float:
        """The mean over the windows the family has: an adapter that is good in one alone is not what ships."""
        rates = []
        for window in adapted.windows:
            hypotheses = transcribe_manifest(adapted, sets.dev, settings=DecodeSettings(window=window), progress=False)
            report = score(sets.dev, hypotheses, system="dev", normalizer=normalizer, by=(), resamples=0)
            if report.wer is None:
                raise TrainingError(f'dev: no reference has a word after the normalizer "{normalizer}". Check the texts of the dev manifest.')
            rates.append(report.wer)
        return sum(rates) / len(rates)

    return train_adapter(
        model,
        sets.train,
        spec=spec,
        settings=settings,
        out=run.folder,
        validate=dev_wer,
        replayed=sets.replayed,
        corpora=sets.corpora,
        resume=run.resumed,
    )


def load_shipped(run: Run, base: str, *, revision: str | None = None, language: str | None = None, device: str | None = None) -> SpeechModel:
    """The base with the adapter as it lies in the run folder: what is scored is what ships."""
    model = load_model(base, revision=revision, language=language, device=device)
    load_adapter(model, run.adapter)
    return model


def prove(
    run: Run, sets: Sets, base: Mapping[str, ScoreReport], adapted: Mapping[str, ScoreReport], short: Mapping[str, ScoreReport] | None = None
) -> Verdict:
    """Compare like with like on every set; write `comparison.json`, `summary.md`, `wer.png`, `report.html` and the verdict in the adapter's card."""
    verdict = tuple(
        comparison_set(one.name, one.path, one.role, base[one.name], adapted[one.name], short[one.name] if short else None) for one in sets.scored
    )
    verdict = tuple(_with_voices(entry, one.manifest, sets.train) for entry, one in zip(verdict, sets.scored, strict=True))
    write_comparison(run.comparison, verdict)
    card = run.adapter / "README.md"
    write_text(card, proven_card(card.read_text(encoding="utf-8"), read_json(run.comparison)["sets"]))
    plot_sets(verdict, run.plot)
    mistakes = {one.name: compare_mistakes(base[one.name], adapted[one.name], most=MOST_MISTAKES) for one in sets.scored}
    title = f"Run {run.folder.name}"
    write_text(run.summary, run_markdown(verdict, title=title, plot=run.plot.name, notes=_notes(run, sets), mistakes=mistakes))
    write_text(run.page, html_page(run_document(run, verdict), folder=run.folder).html)
    return verdict


def _with_voices(entry: ComparisonSet, scored: Manifest, train: Manifest) -> ComparisonSet:
    """A set whose speakers were trained on speaks for them alone; the reader of its verdict must know."""
    shared = set(scored.speakers) & set(train.speakers)
    if not shared:
        return entry
    if len(shared) == 1 and len(scored.speakers) == 1:
        told = "The one speaker of this set was trained on, by other sentences: the figures speak for this voice only, not for other people."
    else:
        told = (
            f"{len(shared)} of the {len(scored.speakers)} speakers of this set were trained on, by other sentences: the figures speak for these "
            "voices, not for other people."
        )
    return dataclasses.replace(entry, comparison=dataclasses.replace(entry.comparison, caveats=(told, *entry.comparison.caveats)))


def _notes(run: Run, sets: Sets) -> list[str]:
    """How the run was made, for the end of the summary."""
    adapter = read_adapter(run.adapter)
    environment = read_json(run.folder / "environment.json")
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items() if version)
    training = read_json(run.folder / "training.json")
    told = ("method",) if adapter.spec.method == "full" else ("method", "rank", "alpha", "dropout", "targets")
    wish = ", ".join(f"{name} {getattr(adapter.spec, name)}" for name in told)
    notes = [
        f"base {adapter.base_id}, revision {adapter.base_revision}",
        f"adapter: {wish}; {adapter.trainable:,} of {adapter.total:,} parameters trained ({100 * adapter.trainable / adapter.total:.2f} %)",
        f"training: {training['steps']} steps, learning rate {training['settings']['learning_rate']:g}; the adapter is that of step "
        f"{training['chosen_step']}, chosen by the dev set",
        *training.get("vocabulary", []),
        *([f"at the end of training, {training['symptom']}"] if training.get("symptom") else []),
    ]
    for reason, ids in training["dropped"].items():
        notes.append(f"left out of training: {reason}: {len(ids)}")
    leaks = read_json(run.leaks)
    for split, manifest in (("train", sets.train), ("dev", sets.dev)):
        size = f"{len(manifest)} utterances, {len(manifest.speakers)} speakers, {clock(manifest.hours * 3600)}"
        gone = f"{leaks[split]['dropped']} of {leaks[split]['rows']} rows dropped for sharing something with a test or guard set"
        replayed = f", {len(sets.replayed)} rows of replay among them" if split == "train" and sets.replayed else ""
        notes.append(f"{split}: {size}{replayed}; {gone}")
    notes += leaks.get("related", [])
    notes += [f"training data: {line}" for line in list_terms(sets.corpora)]
    return [*notes, f"code {environment['code'] or 'from a wheel'}; {packages}", "settings.json, environment.json and recipe.py repeat it"]


def show_side_by_side(run: Run, sets: Sets, base: str, *, language: str | None = None, clips: int = 2) -> None:
    """Transcribe the first clip of the first speakers of the first test set with the base and with the adapter, and show both.

    They are the first ones, not chosen ones.
    """
    before, after = Transcriber(base, language=language), Transcriber(base, adapter=run.adapter, language=language)
    manifest = sets.scored[0].manifest
    first: dict[str | None, Utterance] = {}
    for u in manifest:
        first.setdefault(u.speaker, u)
    for u in list(first.values())[:clips]:
        path = manifest.audio_path(u)
        run.say(f"{u.id}\n  said     {u.text}\n  base     {before.transcribe(path).text}\n  adapted  {after.transcribe(path).text}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AdaptJob:
    """What `speechadapt adapt` was asked for.

    Attributes:
        base, revision: which pretrained model.
        data: a prepared corpus. tests, guards, replay: manifests; `read_sets` says what they are for and what stands in for missing ones.
        make_guard: whether synthetic standard English stands in for a missing guard where the language is English.
        strict: refuse leaks. personal: the voices of the tests are those it is for, see `read_sets`. language: None takes what the training rows say.
        normalizer: None takes `english` for English, `basic:LANGUAGE` for others, and `basic` where no one language is named (CTC bases).
        by: fields to group by. minutes: training time that a probe turns into steps; None leaves that to `train`.
        spec, train: the adapter and how to train it. device: None takes the best there is.
    """

    base: str
    data: Path
    revision: str | None = None
    tests: tuple[Path, ...] = ()
    guards: tuple[Path, ...] = ()
    replay: tuple[Path, ...] = ()
    make_guard: bool = True
    strict: bool = False
    personal: bool = False
    language: str | None = None
    normalizer: str | None = None
    by: tuple[str, ...] = DEFAULT_GROUPS
    minutes: float | None = None
    spec: AdapterSpec = dataclasses.field(default_factory=AdapterSpec)
    train: TrainSettings = dataclasses.field(default_factory=TrainSettings)
    device: str | None = None

    def check(self) -> None:
        """Say early what is wrong, before a folder is made.

        Raises:
            ManifestError: a manifest is missing.
            MisuseError: minutes outside 0.1 to 100,000.
        """
        check_data(self.data, self.tests, self.guards, self.replay)
        if self.minutes is not None and not 0.1 <= self.minutes <= 100_000:
            raise MisuseError(f"--minutes {self.minutes:g}: must be from 0.1 to 100000. Correct the number.")

    def to_json(self) -> dict[str, Any]:
        """Every field, for `settings.json`; `personal` where it is set only, so that runs of before it was known can be resumed."""
        return {name: value for name, value in to_json(self).items() if name != "personal" or value}


def adapt_and_prove(run: Run, job: AdaptJob) -> Verdict:
    """Load, read the sets, score the base, train, score what ships, prove."""
    language = job.language or language_of(Manifest.read(job.data / "train.jsonl"))
    model = load_model(job.base, revision=job.revision, language=language, device=job.device)
    if model.language is None and model.task is not None:  # a CTC model has neither token: the text alone decides what it writes
        raise MisuseError(f"{job.data}: its rows name no one language, and {job.base} knows many. Give --language, for example --language en.")
    target_modules(model, job.spec)  # what cannot be adapted is refused before anything is scored
    normalizer = job.normalizer or normalizer_for(model.language)
    sets = read_sets(
        run,
        job.data,
        tests=job.tests,
        guards=job.guards,
        replay=job.replay,
        make_guard=job.make_guard,
        language=model.language,
        strict=job.strict,
        personal=job.personal,
    )
    base = score_sets(run, model, sets, system="base", normalizer=normalizer, by=job.by)
    train_on(run, model, sets, spec=job.spec, settings=job.train, minutes=job.minutes, normalizer=normalizer)
    shipped = load_shipped(run, job.base, revision=job.revision, language=language, device=job.device)
    adapted = score_sets(run, shipped, sets, system="adapted", normalizer=normalizer, by=job.by)
    short = score_short(run, shipped, sets, normalizer=normalizer, by=job.by)
    return prove(run, sets, base, adapted, short)
