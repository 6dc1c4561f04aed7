"""Corpora: what was downloaded becomes what a recipe works with: prepared once, narrowed to one accent, with a guard from the other accents."""

import contextlib
import dataclasses
import hashlib
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from speechadapt.bundled import bundled_names, load_bundled
from speechadapt.data.manifest import CORPUS_FILE, Manifest, join_manifests
from speechadapt.data.splits import carve_dev, divide_sentences, drop_leaks, split_by_speaker_and_sentence
from speechadapt.data.utterance import SPLITS, Utterance
from speechadapt.errors import CorpusError, ManifestError, MisuseError
from speechadapt.files import read_object, write_json
from speechadapt.preparation import Corpus, PrepareOptions, PrepReport, accent_slug, available_cores
from speechadapt.preparation.accents import MIXED
from speechadapt.preparation.report import REPORT_FILE
from speechadapt.runs import SETTINGS_FILE, TYPED, Run
from speechadapt.text.languages import primary_language
from speechadapt.units import clock

OTHERS = "others"
"""Given as the accent of a guard: every accent that is not trained on."""
GUARD_ROWS = 400
DEV_SHARE, TEST_SHARE = 0.15, 0.25
"""Larger than those of `prepare`: these corpora have few speakers, and where all read one script only the square of a share is left."""
Divide = Literal["speaker+sentence", "sentence"]
Labels = str | Sequence[str] | None


def prepare_corpus(
    run: Run, name: str, source: Path | None, data: Path | None = None, *, wanted: str, label: str = "", splits: str | None = None, **settings: Any
) -> Path:
    """Prepare a downloaded corpus by its script in data_prep, or take the folder that was prepared before.

    The prepared folder lies outside of the run folder, so that several runs share it.

    Args:
        run: to which is told what happens.
        name: of the script.
        source: the corpus as downloaded; not needed where it is prepared already.
        data: the prepared folder, now or from before; None takes `data/NAME`, and `data/NAME_LABEL` with a label.
        wanted: what to download, in words without a full stop, for the message that it is missing; the corpus' home is added unless it names an
            address.
        label: what sets this preparation apart from others of the same corpus.
        splits: as `--splits` of `speechadapt prepare`.
        settings: of the script, as after its `--set`.

    Returns:
        The prepared folder.

    Raises:
        MisuseError: nothing is prepared and no source was given (the message says what to download), or the folder holds another corpus.
        CorpusError: the source is not there, or is not that corpus.
    """
    script = load_bundled("data_prep", name)
    corpus: Corpus = script.CORPUS
    out = (data if data is not None else Path("data") / "_".join([name, *([accent_slug(label) or "other"] if label else [])])).expanduser()
    source = None if source is None else source.expanduser()  # a shell leaves the tilde in SOURCE=~/corpora
    options = PrepareOptions(splits=splits, jobs=available_cores(), resume=run.resumed, settings=_as_typed(settings))
    if _is_prepared(out):
        _tell_prepared(run, out, name, options)
        return out
    command = f"speechadapt run {_typed(run)}"
    terms = f"license: {corpus.license}; commercial use: {corpus.commercial_use}"
    place = "" if "://" in wanted else f" from {corpus.home}"
    fetch = f"Get {corpus.title}{place} ({terms}): {wanted}. Then: {command}"
    if source is None:
        raise MisuseError(f"{out}: no prepared corpus in it, and no SOURCE was given. {fetch}")
    if not source.exists():
        raise CorpusError(f"{source}: no such file or folder. {fetch}")
    run.say(f"preparing {corpus.title} from {source} into {out}; {terms}")
    report: PrepReport = script.prepare(source, out, options, *([script.Settings(**settings)] if settings else []))
    lost = ", ".join(f"{count} {reason}" for reason, count in report.dropped.items()) or "none"
    size = f"{clock(report.hours * 3600)}, {report.speakers or 'unknown'} speakers"
    run.say(f"prepared: {report.kept} of {report.rows_read} rows, {size}; left out: {lost}")
    return out


def _is_prepared(folder: Path) -> bool:
    """Whether a preparation was finished there: its report lists manifests, and they are there."""
    manifests = read_object(folder / REPORT_FILE).get("manifests", []) if (folder / REPORT_FILE).is_file() else []
    return bool(manifests) and all((folder / name).is_file() for name in manifests)


def _as_typed(settings: dict[str, Any]) -> tuple[str, ...]:
    """The settings as they would stand after `--set`, for the report; empty ones are left out, as nobody types them."""
    plain = {name: ",".join(value) if isinstance(value, tuple) else str(value) for name, value in settings.items()}
    return tuple(f"{name}={value.lower() if value in ('True', 'False') else value}" for name, value in plain.items() if value)


def _tell_prepared(run: Run, folder: Path, name: str, options: PrepareOptions) -> None:
    report = read_object(folder / REPORT_FILE)
    held = str(report["corpus"]["name"])
    if held != name and not held.startswith(f"{name}_"):  # `common_voice_spontaneous` is a part of Common Voice
        raise MisuseError(f'{folder}: holds the prepared corpus "{held}", this recipe is for "{name}". Set DATA to another folder.')
    run.say(f"{folder}: prepared before, from {report['source']}; license: {report['corpus']['license']}")
    then = _how(report["options"].get("splits"), report["options"].get("settings", ()))
    now = _how(options.splits, options.settings)
    if then != now:
        run.say(f"{folder}: was prepared with {then}, this recipe would prepare it with {now}; it is used as it is")


def _how(splits: str | None, settings: Iterable[str]) -> str:
    """The options of a preparation that decide what is in it, as they are typed."""
    return " ".join([*([f"--splits {splits}"] if splits else []), *(f"--set {setting}" for setting in sorted(settings))]) or "no option"


def _typed(run: Run) -> str:
    """What was typed after `speechadapt run`, with a place for the source."""
    settings = read_object(run.folder / SETTINGS_FILE)
    recipe = str(settings.get("recipe", "RECIPE"))
    words = [recipe if recipe in bundled_names("recipes") else f"{recipe}.py", "--set", "SOURCE=FOLDER"]
    for assignment in settings.get(TYPED, []):
        if not assignment.startswith("SOURCE="):
            words += ["--set", assignment]
    return shlex.join([*words, "--out", str(run.folder)])


def choose_rows(
    run: Run,
    corpus: Path,
    *,
    accent: Labels = None,
    l1: str | None = None,
    language: str | None = None,
    divide: Divide | None = None,
    unheard: bool = False,
    dev_share: float = DEV_SHARE,
    test_share: float = TEST_SHARE,
    seed: int = 0,
) -> Path:
    """Take the rows of one accent or first language out of a prepared corpus, as train, dev and test manifests in the run folder.

    Args:
        run: whose folder they go into.
        corpus: the prepared folder.
        accent: slugs (`en_scotland`) or labels as published (`Scottish English`), of which a row has one; None takes all.
        l1: the speakers' first language; None takes all.
        language: that the corpus must be in.
        divide: `speaker+sentence` divides what the preparation left in one piece (`split_by_speaker_and_sentence`); `sentence` keeps the
            speakers of the parts and gives every sentence to one part too, where all speakers read the same ones. None takes the parts as
            they are. A dev set that is missing is carved out of train by speaker.
        unheard: take the rows of the whole test set whose accent nobody in train has out into a test set of their own, unheard.jsonl.
        dev_share, test_share: of the speakers' hours or of the sentences, where this function divides.
        seed: of the division.

    Returns:
        The folder of the manifests. It has no audio of its own, and names the corpus in its `corpus.json`.

    Raises:
        MisuseError: no row has that accent or first language (those that are there are listed), or the language is another.
        ManifestError: a part is empty.
    """
    parts = _read_parts(corpus)
    _require_language(corpus, parts, language)
    everyone = [u for part in parts.values() for u in part]
    wanted = _matching(everyone, corpus, accent, l1)
    chosen = {name: part.filter(wanted) for name, part in parts.items()}
    told = f"{' and '.join(_listed(accent) + _listed(l1)) or 'all'}: {sum(map(len, chosen.values()))} of {len(everyone)} rows"
    if divide == "speaker+sentence" and not {"train", "test"} <= set(parts):
        split = split_by_speaker_and_sentence(
            join_manifests([part for part in chosen.values() if len(part)], name="chosen"), seed=seed, dev_share=dev_share, test_share=test_share
        )
        chosen = {"train": split.train, "dev": split.dev, "test": split.test}
        lost = ", ".join(f"{len(ids)} {reason}" for reason, ids in split.left_out.items()) or "none"
        told += f"; divided by speaker and sentence, rows that fit no part: {lost}"
    else:
        if not chosen.get("dev") and chosen.get("train"):
            with contextlib.suppress(ManifestError):  # too few speakers, which is told below
                chosen["train"], chosen["dev"] = carve_dev(chosen["train"], seed=seed)
                told += "; dev carved out of train by speaker"
        if divide == "sentence":
            chosen, lost_ids = divide_sentences(chosen, seed=seed, dev_share=dev_share, test_share=test_share)
            told += f"; every sentence given to one part, rows that fit none: {len(lost_ids)}"
    if unheard and "test" in chosen:
        chosen |= _set_apart_unheard(chosen["train"], chosen["test"], parts["test"])
    for name in SPLITS:
        if not chosen.get(name):
            counts = ", ".join(f"{part} {len(chosen.get(part, ()))}" for part in SPLITS)
            again = f"speechadapt prepare {_prepared_as(corpus)} SOURCE {corpus} --splits speaker"
            raise ManifestError(
                f"{corpus}: {told}; nothing is left for {name} ({counts}). At least three speakers are needed, one for each part. "
                f"Choose more rows, or divide the corpus otherwise: {again}"
            )
    run.say(told)
    _write(run, corpus, {name: part for name, part in chosen.items() if len(part)})
    return run.manifests


def choose_guard(run: Run, corpus: Path, *, accent: Labels = None, l1: str | None = None, rows: int = GUARD_ROWS) -> tuple[Path, ...]:
    """Take rows of another accent of the same corpus as a guard: what the adapter costs those whom the base may serve already.

    They come from the corpus' test set where that has such rows. Rows that share a speaker, recording or sentence with train or dev are left
    out, so that the guard costs no training row; of the others as many are taken as asked for, the speakers in turn.

    Args:
        run: in which `choose_rows` has chosen.
        corpus: the prepared folder.
        accent: as in `choose_rows`, or `others` for every accent that is not trained on.
        l1: first language of the guard's speakers, instead of an accent.
        rows: at most.

    Returns:
        The manifest's path; nothing where neither accent nor first language is given, or nobody speaks otherwise.

    Raises:
        MisuseError: no row has that accent or first language, or it is the one that is trained on.
        ManifestError: every such row shares something with train or dev.
    """
    guard = run.manifests / "guard.jsonl"
    guard.unlink(missing_ok=True)  # of an earlier start with another corpus
    if accent is None and l1 is None:
        return ()
    parts = _read_parts(corpus)
    train, dev = (Manifest.read(run.manifests / f"{name}.jsonl") for name in ("train", "dev"))
    trained = {(u.accent, u.l1) for u in train}
    everyone = [u for part in parts.values() for u in part]
    wanted = (lambda u: True) if accent == OTHERS else _matching(everyone, corpus, accent, l1, setting="guard")
    others = {
        name: part.filter(lambda u: wanted(u) and (u.accent, u.l1) not in trained and (u.accent or u.l1) is not None) for name, part in parts.items()
    }
    if not any(map(len, others.values())):
        if accent == OTHERS:
            run.say("no guard in the corpus: all its accents are trained on")
            return ()
        raise MisuseError(
            f'{corpus}: the guard "{", ".join(_listed(accent) + _listed(l1))}" is what is trained on. Choose another one, or none for no such guard.'
        )
    pool = others["test"] if others.get("test") else join_manifests([part for part in others.values() if len(part)], name="guard")
    free, leaks = drop_leaks(pool, [train, dev])
    if not free:
        raise ManifestError(
            f"{corpus}: all {len(pool)} rows of the guard share a speaker, recording or sentence with train or dev. "
            "Give manifests of your own with --set GUARDS=PATH, or none for the guard's accent."
        )
    kept = _in_turns(free, rows)
    run.say(f"guard: {len(kept)} of {len(pool)} rows of other speakers; {leaks.total} share a sentence or speaker with train or dev")
    _write(run, corpus, {"guard": kept})
    return (guard,)


def _read_parts(corpus: Path) -> dict[str, Manifest]:
    """The manifests of a prepared folder by the part's name; `all` alone where it was not divided."""
    paths = {name: corpus / f"{name}.jsonl" for name in (*SPLITS, "all")}
    parts = {name: Manifest.read(path) for name, path in paths.items() if path.is_file()}
    if not parts:
        raise ManifestError(f"{corpus}: no train.jsonl, dev.jsonl, test.jsonl or all.jsonl in it. Prepare the corpus with: speechadapt prepare")
    return parts


def _prepared_as(corpus: Path) -> str:
    about = read_object(corpus / CORPUS_FILE) if (corpus / CORPUS_FILE).is_file() else {}
    return str(about.get("name", "CORPUS"))


def _require_language(corpus: Path, parts: dict[str, Manifest], language: str | None) -> None:
    if language is None:
        return
    found = Counter(primary_language(u.language) for part in parts.values() for u in part if u.language is not None)
    if other := sorted(set(found) - {primary_language(language)}):
        raise MisuseError(
            f'{corpus}: {found[other[0]]} rows are in "{other[0]}", the setting LANGUAGE says "{language}". '
            "Correct the setting, or give another corpus."
        )


def _listed(labels: Labels) -> list[str]:
    return [labels] if isinstance(labels, str) else list(labels or ())


def _matching(rows: Iterable[Utterance], corpus: Path, accent: Labels, l1: str | None, setting: str = "row") -> Callable[[Utterance], bool]:
    """Whether an utterance has one of the accents and the first language.

    Raises:
        MisuseError: nobody has one of them; those that are there are listed.
    """
    known = list(rows)
    accents = {label: label.strip().casefold() for label in _listed(accent)}
    names = set().union(*map(_names, known))
    what = "no row has" if setting == "row" else "no row for the guard has"
    advice = "Correct the setting, or add what is missing and prepare again."
    for label, folded in accents.items():
        if folded not in names:
            raise MisuseError(f'{corpus}: {what} the accent "{label}"; there are: {_counted(u.accent for u in known)}. {advice}')
    first = None if l1 is None else l1.strip().casefold()
    if first is not None and first not in {(u.l1 or "").casefold() for u in known}:
        raise MisuseError(f'{corpus}: {what} the first language "{l1}"; there are: {_counted(u.l1 for u in known)}. {advice}')
    wanted = set(accents.values())
    return lambda u: (not wanted or bool(_names(u) & wanted)) and first in (None, (u.l1 or "").casefold())


def _counted(labels: Iterable[str | None]) -> str:
    counts = Counter(label or "without a label" for label in labels)
    return ", ".join(f"{label} ({count} rows)" for label, count in sorted(counts.items()))


def _names(u: Utterance) -> set[str]:
    """What an accent may be called: its slug, and the label as published."""
    return {name.strip().casefold() for name in (u.accent, u.accent_raw) if name}


def _set_apart_unheard(train: Manifest, test: Manifest, everyone: Manifest) -> dict[str, Manifest]:
    """The test set without accents that nobody in train has, and those of the whole test set; rows without an accent stay where they are."""
    heard = {u.accent for u in train} | {None, MIXED}
    return {"test": test.filter(lambda u: u.accent in heard), "unheard": everyone.filter(lambda u: u.accent not in heard)}


def _in_turns(manifest: Manifest, rows: int) -> Manifest:
    """At most so many rows, the speakers in turn, each speaker's in an order that does not depend on their names; in the manifest's order."""
    by_speaker: dict[str, list[str]] = defaultdict(list)
    for u in manifest:
        by_speaker[u.speaker or u.id].append(u.id)
    ranked = [
        (turn, hashlib.sha256(speaker.encode()).hexdigest(), key)
        for speaker, ids in by_speaker.items()
        for turn, key in enumerate(sorted(ids, key=lambda key: hashlib.sha256(key.encode()).hexdigest()))
    ]
    kept = {key for _, _, key in sorted(ranked)[:rows]}
    return manifest.filter(lambda u: u.id in kept)


def _write(run: Run, corpus: Path, parts: dict[str, Manifest]) -> None:
    """Manifests that point to the audio of the prepared corpus, whose terms are repeated beside them."""
    about = read_object(corpus / CORPUS_FILE) if (corpus / CORPUS_FILE).is_file() else {}
    roots = {str(corpus.resolve()), *about.get("audio_roots", [])}
    write_json(run.manifests / CORPUS_FILE, {**about, "manifests": [], "audio_roots": sorted(roots)})
    if "guard" not in parts:
        (run.manifests / "unheard.jsonl").unlink(missing_ok=True)  # of an earlier start
    for name, part in parts.items():
        rows = (dataclasses.replace(u, audio_filepath=str(part.audio_path(u))) for u in part)
        Manifest(rows, folder=run.manifests, name=name).write(run.manifests / f"{name}.jsonl")
