"""Division: a prepared corpus divided again, as manifests, lists and a report in a folder of their own, without touching audio."""

import dataclasses
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from speechadapt.data.folds import FOLDS, RULES, Fold
from speechadapt.data.manifest import CORPUS_FILE, Manifest, join_manifests
from speechadapt.data.split_lists import (
    ABOUT_FILE,
    LISTS_FOLDER,
    SplitLists,
    apply_lists,
    compare_with_lists,
    has_lists,
    make_lists,
    read_lists,
    remove_lists,
    write_lists,
)
from speechadapt.data.split_summary import count_content, cover_accents, describe_overlaps, list_leaks
from speechadapt.data.splits import (
    DEV_SHARE,
    LONGEST,
    PLACES,
    SHORTEST,
    TEST_SHARE,
    Split,
    check_shares,
    limit_durations,
    separate_audio,
    separate_sentences,
    split_by_speaker,
)
from speechadapt.data.utterance import SPLITS
from speechadapt.errors import ManifestError, MisuseError
from speechadapt.files import atomic_folder, read_object, write_json
from speechadapt.units import Seconds

ONCE = ("speaker", "speaker+sentence")
FOLDS_FOLDER = "folds"
REPORT_FILE = "split_report.json"
PREPARED_FILE = "prep_report.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DivideOptions:
    """How to divide.

    Attributes:
        rule: speaker, speaker+sentence, leave-one-speaker-out, leave-one-accent-out, k-fold, or a folder of split lists.
        folds: of k-fold. seed: of every random choice.
        dev_share: of the hours, or of the other speakers' in folds. test_share: of the hours, for speaker and speaker+sentence.
        few_speakers: train or test, where the speakers of an accent go that has fewer than three.
        min_duration, max_duration: seconds; rows outside leave train and dev, but for lists, which are repeated as they are.
        disjoint_sentences: in folds, leave out of train and dev what shares a sentence with a later part; speaker+sentence always does.

    Raises:
        MisuseError: a value outside its range, or one that the rule does not know.
    """

    rule: str
    folds: int | None = None
    seed: int = 0
    dev_share: float = DEV_SHARE
    test_share: float = TEST_SHARE
    few_speakers: str = PLACES[0]
    min_duration: Seconds = SHORTEST
    max_duration: Seconds = LONGEST
    disjoint_sentences: bool = False

    def __post_init__(self) -> None:
        rules = (*ONCE, *RULES)
        if self.rule not in rules and not _list_folders(Path(self.rule)):
            raise MisuseError(
                f'--rule "{self.rule}": must be one of {", ".join(rules)}, or a folder that holds train.txt, dev.txt or test.txt, itself or '
                "in a folder for each fold. Choose one of them."
            )
        if self.folds is not None and self.rule != "k-fold":
            raise MisuseError(f'--folds {self.folds}: belongs to --rule k-fold, the rule is "{self.rule}". Leave it out, or choose k-fold.')
        if self.disjoint_sentences and self.rule not in RULES:
            raise MisuseError(f'--disjoint-sentences: belongs to folds, the rule is "{self.rule}". Leave it out, or choose speaker+sentence.')
        if self.few_speakers not in PLACES:
            raise MisuseError(f'--few-speakers "{self.few_speakers}": must be one of {", ".join(PLACES)}. Choose one of them.')
        if not self.min_duration < self.max_duration:  # also where one of them is no number
            raise MisuseError(f"shortest duration {self.min_duration:g} s is not below the longest, {self.max_duration:g} s. Correct one of them.")
        try:
            check_shares(self.dev_share, self.test_share)
        except ManifestError as error:
            raise MisuseError(str(error)) from error

    def to_json(self) -> dict[str, Any]:
        """What a split list says of its origin: the rule, and the options that this rule uses."""
        if self.rule not in (*ONCE, *RULES):
            return {"rule": self.rule}
        about: dict[str, Any] = {"rule": self.rule, "seed": self.seed, "dev_share": self.dev_share}
        about |= {"min_duration": self.min_duration, "max_duration": self.max_duration}
        if self.rule in ONCE:
            return {**about, "test_share": self.test_share, "few_speakers": self.few_speakers}
        more = {"folds": self.folds or FOLDS} if self.rule == "k-fold" else {}
        return {**about, **more, "disjoint_sentences": self.disjoint_sentences}


def divide_again(data: Path, out: Path, options: DivideOptions, *, lists: Path | None = None, strict: bool = False) -> dict[str, Any]:
    """Divide a prepared corpus and write the result as folders that work like prepared ones.

    A single division goes into `out` itself, folds go into `out/folds/NAME`: train.jsonl, dev.jsonl, test.jsonl, and a corpus.json that
    repeats the corpus' terms. No audio is copied: the manifests name it by absolute paths, and corpus.json the folder it lies in. What an earlier
    call wrote to `out` is replaced, its lists too.

    Args:
        data: a prepared folder (all.jsonl, or train, dev and test, which are joined), or one manifest.
        lists: where the split lists go; None is `out/splits`.
        strict: refuse a division whose parts share a speaker, recording, sentence, audio or id.

    Returns:
        The report, as written to `out/split_report.json`.

    Raises:
        ManifestError: the data cannot be read or divided so, or `strict` and parts share something; nothing was written then.
        MisuseError: `out` holds the data, another corpus or a prepared one; or there are lists of another division where these would go.
    """
    whole, about, roots = _read_whole(Path(data))
    out = Path(out)
    lists = Path(lists) if lists is not None else out / LISTS_FOLDER
    origin = {**options.to_json(), "corpus": {key: about[key] for key in ("name", "title", "license") if key in about}}
    _refuse_taken(out, Path(data), about["name"])
    _refuse_lists(out, lists, origin)
    report: dict[str, Any] = {"data": str(data), "out": str(out), "lists": str(lists), **origin, "rows": len(whole), "hours": round(whole.hours, 4)}
    sources = _list_folders(Path(options.rule)) if options.rule not in (*ONCE, *RULES) else {}
    made: dict[str, SplitLists] = {}
    if options.rule in RULES or (sources and "" not in sources):
        described = []
        with atomic_folder(out / FOLDS_FOLDER) as folder:  # all folds appear, or none
            for fold in _folds(whole, options, sources):
                described.append(_describe(fold.name, fold.held_out, fold.split, f"{FOLDS_FOLDER}/{fold.name}"))
                if strict:
                    _refuse_leaks(described[-1])
                _write_manifests(folder / fold.name, fold.split, about, roots)
                made[fold.name] = _lists_of(fold.split, {**origin, "fold": fold.name, "held_out": list(fold.held_out)}, sources.get(fold.name))
        for name in (*(f"{part}.jsonl" for part in SPLITS), CORPUS_FILE):
            (out / name).unlink(missing_ok=True)  # of an earlier division
    else:
        split = _divide_once(whole, options, sources.get(""))
        described = [_describe("", (), split, "")]
        if strict:
            _refuse_leaks(described[0])
        made[""] = _lists_of(split, origin, sources.get(""))
        _write_manifests(out, split, about, roots)
        shutil.rmtree(out / FOLDS_FOLDER, ignore_errors=True)  # of an earlier division
    for place in _list_folders(lists).values():
        remove_lists(place)
    for name, one in made.items():
        write_lists(lists / name, one)
    report["divisions"] = described
    write_json(out / REPORT_FILE, report)
    return report


def _read_whole(data: Path) -> tuple[Manifest, dict[str, Any], list[str]]:
    """All rows with absolute paths, what is known of the corpus, and the folders that the audio lies in."""
    if data.is_dir():
        names = ["all"] if (data / "all.jsonl").is_file() else [name for name in SPLITS if (data / f"{name}.jsonl").is_file()]
        if not names:
            raise ManifestError(f"{data}: no all.jsonl, train.jsonl, dev.jsonl or test.jsonl in it. Prepare the corpus with: speechadapt prepare")
        manifests, folder = [Manifest.read(data / f"{name}.jsonl") for name in names], data
    else:
        manifests, folder = [Manifest.read(data)], data.parent
    about = read_object(folder / CORPUS_FILE) if (folder / CORPUS_FILE).is_file() else {}
    name = about.get("name") or (folder.resolve().name if data.is_dir() else data.stem)
    joined = join_manifests(manifests, name=str(name))
    rows = [dataclasses.replace(u, audio_filepath=str(joined.folder / u.audio_filepath)) for u in joined]
    given = [folder.resolve(), *(Path(root).resolve() for root in about.get("audio_roots", []))]
    roots = {next((str(root) for root in given if Path(u.audio_filepath).is_relative_to(root)), str(folder.resolve())) for u in rows}
    return Manifest(rows, folder=folder, name=str(name)), {**about, "name": str(name)}, sorted(roots)


def _refuse_taken(out: Path, data: Path, name: str) -> None:
    """Nothing is overwritten or removed that this module did not write."""
    if out.exists() and not out.is_dir():
        raise MisuseError(f"{out}: a file, expected a folder to write into. Choose another name.")
    home = data if data.is_dir() else data.parent
    if out.resolve() == home.resolve():
        raise MisuseError(f"{out}: holds the data that is to be divided, whose manifests would be lost. Choose another folder.")
    if (out / PREPARED_FILE).is_file():
        raise MisuseError(f"{out}: holds a prepared corpus ({PREPARED_FILE} is there). Choose another folder.")
    if (out / REPORT_FILE).is_file():
        corpus = read_object(out / REPORT_FILE).get("corpus")
        there = corpus.get("name") if isinstance(corpus, dict) else None
        if there != name:
            raise MisuseError(f'{out}: holds a division of "{there}", not of "{name}". Choose another folder.')
    else:
        names = (*(f"{part}.jsonl" for part in SPLITS), CORPUS_FILE, FOLDS_FOLDER)
        if foreign := next((path for path in names if (out / path).exists()), None):
            raise MisuseError(f"{out / foreign}: was not made by speechadapt split. Choose another folder.")


def _refuse_lists(out: Path, lists: Path, origin: Mapping[str, Any]) -> None:
    """Lists are there for others to repeat an experiment: only those of an earlier call for `out`, or of the same division, are replaced."""
    if lists.exists() and not lists.is_dir():
        raise MisuseError(f"{lists}: a file, expected a folder for the split lists. Choose another name.")
    own = False
    if (out / REPORT_FILE).is_file():
        earlier = read_object(out / REPORT_FILE).get("lists")
        own = lists.resolve() in {(out / LISTS_FOLDER).resolve(), *([Path(earlier).resolve()] if isinstance(earlier, str) else [])}
    for place in _list_folders(lists).values():
        if not (place / ABOUT_FILE).is_file():
            raise MisuseError(f"{place}: holds split lists that were not made by speechadapt ({ABOUT_FILE} is missing). Choose another folder.")
        there = SplitLists(folder=place, ids={}, about=read_object(place / ABOUT_FILE))
        if not own and not origin.items() <= there.about.items():
            rule = f" ({there.rule})" if there.rule else ""
            raise MisuseError(f"{place}: holds the split lists of another division{rule}, which would be lost. Choose another folder or remove them.")


def _divide_once(whole: Manifest, options: DivideOptions, lists: Path | None) -> Split:
    if lists is not None:
        return _by_lists(whole, lists)
    shares = {"dev_share": options.dev_share, "test_share": options.test_share}
    split = split_by_speaker(whole, seed=options.seed, few=options.few_speakers, **shares)
    if options.rule == "speaker+sentence":
        split = separate_sentences(split, seed=options.seed, **shares)
    return limit_durations(separate_audio(split), shortest=options.min_duration, longest=options.max_duration)


def _by_lists(whole: Manifest, folder: Path) -> Split:
    """As the lists say, whatever it shares: a division of others is repeated, not improved."""
    lists = read_lists(folder)
    split, _ = apply_lists(whole, lists)
    told = compare_with_lists(split.parts, lists)
    return dataclasses.replace(split, notes=(*split.notes, told)) if told else split


def _folds(whole: Manifest, options: DivideOptions, sources: Mapping[str, Path]) -> Iterator[Fold]:
    if sources:
        for name, folder in sources.items():
            held_out = read_lists(folder).about.get("held_out", ())
            known = isinstance(held_out, list) and all(isinstance(one, str) for one in held_out)
            yield Fold(name=name, held_out=tuple(held_out) if known else (), split=_by_lists(whole, folder))
        return
    more = {"folds": options.folds or FOLDS} if options.rule == "k-fold" else {}
    rule = RULES[options.rule]
    for fold in rule(whole, seed=options.seed, dev_share=options.dev_share, disjoint_sentences=options.disjoint_sentences, **more):
        split = limit_durations(fold.split, shortest=options.min_duration, longest=options.max_duration)
        yield dataclasses.replace(fold, split=split)


def _write_manifests(folder: Path, split: Split, about: Mapping[str, Any], roots: list[str]) -> None:
    parts = split.parts
    write_json(folder / CORPUS_FILE, {**about, "manifests": [f"{name}.jsonl" for name in parts], "audio_roots": roots})
    for name in SPLITS:
        if name in parts:
            Manifest(parts[name], folder=folder, name=name).write(folder / f"{name}.jsonl")
        else:
            (folder / f"{name}.jsonl").unlink(missing_ok=True)


def _lists_of(split: Split, origin: Mapping[str, Any], source: Path | None) -> SplitLists:
    """What repeats a division keeps what the lists it was repeated by say of their origin."""
    return make_lists(split.parts, about=(read_lists(source).about if source is not None else {}) or origin)


def _describe(name: str, held_out: tuple[str, ...], split: Split, folder: str) -> dict[str, Any]:
    parts = split.parts
    return {
        "name": name,
        "held_out": list(held_out),
        "folder": folder,
        "parts": {part: count_content(parts.get(part, ())) for part in SPLITS},
        "left_out": {reason: len(ids) for reason, ids in split.left_out.items()},
        "notes": list(split.notes),
        "overlap": describe_overlaps(parts),
        "coverage": cover_accents(parts),
    }


def _refuse_leaks(described: Mapping[str, Any]) -> None:
    if leaks := list_leaks(described["overlap"]):
        where = f"fold {described['name']}: " if described["name"] else ""
        raise ManifestError(
            f"--strict refuses this division: {where}{'; '.join(leaks)}. Nothing was written. Choose --rule speaker+sentence or, for folds, "
            "--disjoint-sentences, or run without --strict."
        )


def _list_folders(folder: Path) -> dict[str, Path]:
    """Where split lists lie: in the folder itself (under the name "") or, of folds, in those below it."""
    if has_lists(folder):
        return {"": folder}
    if not folder.is_dir():
        return {}
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".") and has_lists(path)}
