"""The division of a prepared corpus into train, dev and test, or one `all` where nobody asked for parts."""

import dataclasses

from speechadapt.audio.storage import LONGEST_ROW, Sound
from speechadapt.data.manifest import Manifest
from speechadapt.data.splits import Split, carve_dev, split_by_speaker, split_by_speaker_and_sentence
from speechadapt.data.utterance import SPLITS, Utterance
from speechadapt.errors import CorpusError, ManifestError
from speechadapt.preparation.corpus import LONGEST, SHORTEST, PrepareOptions
from speechadapt.preparation.intake import Intake


def divide(utterances: Manifest, options: PrepareOptions, intake: Intake) -> dict[str, Manifest]:
    """The parts by name: train, dev and test, or all."""
    try:
        if options.splits in ("speaker", "speaker+sentence"):
            rule = split_by_speaker if options.splits == "speaker" else split_by_speaker_and_sentence
            return _take(rule(utterances, seed=options.seed, dev_share=options.dev_share, test_share=options.test_share), utterances, intake)
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


def _take(split: Split, utterances: Manifest, intake: Intake) -> dict[str, Manifest]:
    for reason, ids in split.left_out.items():
        for row_id in ids:
            intake.drop(row_id, reason, f'row "{row_id}" fits no part of the split ({reason}).')
    intake.notes.extend(split.notes)
    return {"train": split.train, "dev": split.dev, "test": split.test}


def settle(parts: dict[str, Manifest], sounds: dict[str, Sound], options: PrepareOptions, intake: Intake) -> dict[str, Manifest]:
    """Durations outside the limits leave train and dev; audio that stands in an earlier part leaves the later one. Test is untouched."""
    settled: dict[str, Manifest] = {}
    held: dict[str, str] = {}
    for name in ("test", "dev", "train", "all"):
        if name not in parts:
            continue
        rows = []
        for u in parts[name]:
            digest = sounds[u.id].digest
            reason = _length_reason(u, name, options)
            if name != "test" and reason is not None:
                intake.drop(u.id, *reason, split=name)
            elif name != "test" and digest in held and held[digest].split(" ", 1)[0] != name:
                part, other = held[digest].split(" ", 1)
                intake.drop(u.id, "repeated-audio", f'row "{u.id}" ({name}) holds the same samples as "{other}" ({part}).', name)
            else:
                rows.append(u)
                if digest:
                    held.setdefault(digest, f"{name} {u.id}")
        if rows:
            settled[name] = Manifest(rows, folder=parts[name].folder, name=name)
    return {name: settled[name] for name in (*SPLITS, "all") if name in settled}


def _length_reason(u: Utterance, part: str, options: PrepareOptions) -> tuple[str, str] | None:
    """Where no split is known yet a row may become a test row, so only limits the user gave apply."""
    shortest = options.min_duration if options.min_duration is not None else 0.0 if part == "all" else SHORTEST
    longest = options.max_duration if options.max_duration is not None else LONGEST_ROW if part == "all" else LONGEST
    if u.duration < shortest:
        return "too-short", f'row "{u.id}" ({part}): {u.duration:.2f} s, at least {shortest:g} s. Change it with --min-duration.'
    if u.duration > longest:
        return "too-long", f'row "{u.id}" ({part}): {u.duration:.2f} s, at most {longest:g} s. Cut it into segments, or change --max-duration.'
    return None
