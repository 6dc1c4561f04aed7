"""The division of a prepared corpus into train, dev and test, or one `all` where nobody asked for parts."""

import dataclasses
from pathlib import Path

from speechadapt.audio.storage import LONGEST_ROW
from speechadapt.data.manifest import Manifest
from speechadapt.data.split_lists import LISTS_FOLDER, apply_lists, compare_with_lists, make_lists, read_lists, remove_lists, write_lists
from speechadapt.data.splits import LONGEST, SHORTEST, Split, carve_dev, drop_repeated_audio, split_by_speaker, split_by_speaker_and_sentence
from speechadapt.data.utterance import SPLITS, Utterance
from speechadapt.errors import CorpusError, ManifestError
from speechadapt.preparation.corpus import Corpus, PrepareOptions
from speechadapt.preparation.intake import Intake

DEFECTS = ("no-speaker",)
"""Why a row fits no part although the corpus should have made it fit; every other reason follows from the rule that was chosen."""


def divide(utterances: Manifest, options: PrepareOptions, intake: Intake) -> dict[str, Manifest]:
    """The parts by name: train, dev and test, or all.

    Raises:
        CorpusError: the corpus cannot be divided so; or with `strict`, the lists name ids that it does not hold.
    """
    try:
        if options.lists is not None:
            return _by_lists(utterances, options.lists, options, intake)
        if options.splits in ("speaker", "speaker+sentence"):
            rule = split_by_speaker if options.splits == "speaker" else split_by_speaker_and_sentence
            shares = {"dev_share": options.dev_share, "test_share": options.test_share}
            return _take(rule(utterances, seed=options.seed, few=options.few_speakers, **shares), intake)
    except ManifestError as error:
        raise CorpusError(str(error)) from error
    if not any(u.split for u in utterances):
        if options.splits == "official":
            raise CorpusError("this corpus names no official splits. Choose --splits speaker or speaker+sentence, or leave --splits out.")
        return {"all": utterances}
    for u in utterances:
        if u.split is None:
            intake.drop(u.id, "no-split", f'row "{u.id}" names no split, others do.')
    parts = {name: utterances.filter(lambda u, name=name: u.split == name) for name in SPLITS}  # type: ignore[misc]
    return _with_dev(parts, options, intake)


def _by_lists(utterances: Manifest, folder: Path, options: PrepareOptions, intake: Intake) -> dict[str, Manifest]:
    """Listed ids that are not there are counted; `--limit` takes some on purpose."""
    split, unknown = apply_lists(utterances, read_lists(folder))
    missing = [(name, key) for name, ids in unknown.items() for key in ids]
    if missing:
        intake.facts["listed_ids_not_there"] = {name: len(ids) for name, ids in unknown.items()}
        if options.strict and options.limit is None:
            name, key = missing[0]
            raise CorpusError(
                f'--strict refuses this corpus: {len(missing)} listed ids are not in it, the first is "{key}" in {folder / name}.txt, so '
                "the division would be another one. Complete the corpus, or run without --strict."
            )
    return _take(split, intake)


def _with_dev(parts: dict[str, Manifest], options: PrepareOptions, intake: Intake) -> dict[str, Manifest]:
    """Carve a dev set out of train by speaker where the corpus has none."""
    if len(parts["dev"]) or not len(parts["train"]):
        return parts
    try:
        train, dev = carve_dev(parts["train"], share=options.dev_share, seed=options.seed)
    except ManifestError as error:
        intake.notes.append(f"no dev split was carved out of train: {error}")
        return parts
    intake.notes.append(f"dev was carved out of train by speaker: {', '.join(dev.speakers)}")
    dev = Manifest((dataclasses.replace(u, split="dev") for u in dev), folder=dev.folder, name=dev.name)
    return {**parts, "train": train, "dev": dev}


def _take(split: Split, intake: Intake) -> dict[str, Manifest]:
    for reason, ids in split.left_out.items():
        for row_id in ids:
            lose = intake.drop if reason in DEFECTS else intake.leave_out
            lose(row_id, reason, f'row "{row_id}" fits no part of the split ({reason}).')
    intake.notes.extend(split.notes)
    return {"train": split.train, "dev": split.dev, "test": split.test}


def settle(parts: dict[str, Manifest], options: PrepareOptions, intake: Intake) -> dict[str, Manifest]:
    """Durations outside the limits leave train and dev; audio that stands in an earlier part leaves the later one. Test is untouched."""
    fitting = {name: _within_limits(part, name, options, intake) for name, part in parts.items()}
    settled, repeats = drop_repeated_audio(fitting)
    for repeat in repeats:
        message = f'row "{repeat.id}" ({repeat.part}) holds the same samples as "{repeat.kept_id}" ({repeat.kept_part}).'
        intake.drop(repeat.id, "repeated-audio", message, repeat.part)
    found = {name: settled[name] for name in (*SPLITS, "all") if len(settled.get(name, ()))}
    if options.lists is not None and (told := compare_with_lists(found, read_lists(options.lists))):
        intake.notes.append(told)
    return found


def _within_limits(part: Manifest, name: str, options: PrepareOptions, intake: Intake) -> Manifest:
    rows = []
    for u in part:
        reason = _length_reason(u, name, options) if name != "test" else None
        if reason is not None:
            intake.leave_out(u.id, *reason, split=name)
        else:
            rows.append(u)
    return Manifest(rows, folder=part.folder, name=name)


def _length_reason(u: Utterance, part: str, options: PrepareOptions) -> tuple[str, str] | None:
    """Where no split is known yet a row may become a test row, so only limits the user gave apply."""
    shortest = options.min_duration if options.min_duration is not None else 0.0 if part == "all" else SHORTEST
    longest = options.max_duration if options.max_duration is not None else LONGEST_ROW if part == "all" else LONGEST
    if u.duration < shortest:
        return "too-short", f'row "{u.id}" ({part}): {u.duration:.2f} s, at least {shortest:g} s. Change it with --min-duration.'
    if u.duration > longest:
        return "too-long", f'row "{u.id}" ({part}): {u.duration:.2f} s, at most {longest:g} s. Cut it into segments, or change --max-duration.'
    return None


def save_lists(out: Path, parts: dict[str, Manifest], corpus: Corpus, options: PrepareOptions) -> None:
    """Write which row went where to `OUT/splits`, so that others can repeat the division; a division by lists keeps what those said of it."""
    if "all" in parts:
        remove_lists(out / LISTS_FOLDER)
        return
    about = read_lists(options.lists).about if options.lists is not None else {}
    if not about:
        about = {
            "rule": "lists" if options.lists is not None else options.splits or "official",
            "seed": options.seed,
            "dev_share": options.dev_share,
            "test_share": options.test_share,
            "few_speakers": options.few_speakers,
            "corpus": {"name": corpus.name, "title": corpus.title, "license": corpus.license},
        }
    write_lists(out / LISTS_FOLDER, make_lists(parts, about=about))
