"""Checks: what can be wrong with manifests, alone and beside each other, as a list of findings. Samples are `audio.quality`'s work."""

import dataclasses
import itertools
import math
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz, process

from speechadapt.data.manifest import Manifest, parse_line
from speechadapt.data.splits import find_overlap
from speechadapt.data.utterance import SPLITS, Utterance
from speechadapt.errors import ManifestError
from speechadapt.text.cleaning import has_words
from speechadapt.text.sentence import sentence_form
from speechadapt.units import Seconds

LONGEST: Seconds = 30.0
LARGEST_TEXT = 1300
"""Bytes of UTF-8: Whisper's tokens hold about three of them or more, and 448 tokens are all its decoder can say."""

CHARACTERS_PER_SECOND = (1.0, 25.0)
CHARACTERS_PER_SECOND_CJK = (0.5, 12.0)
SPREAD = 3.5
"""Median absolute deviations of the log rate beyond which a line speaks unusually fast or slowly for its manifest."""

FEWEST_FOR_SPREAD = 50
NEAR = 0.9
FEWEST_WORDS_NEAR = 10
"""Shorter sentences cannot differ in one word and still be nine tenths equal."""

MOST_PAIRS_NEAR = 50_000_000
SHOWN = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of defect in one manifest or between two.

    Attributes:
        severity: error (the row cannot be used, or a score would be wrong) or warning (look at it).
        check: a short fixed name to count and filter by.
        ids: all utterances concerned. message: for a person, with values found and allowed, and what to do.
    """

    severity: str
    check: str
    ids: tuple[str, ...]
    message: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


def read_for_check(path: Path) -> tuple[Manifest, list[Finding]]:
    """Read a manifest line by line and turn broken lines and repeated ids into findings instead of stopping at the first.

    Raises:
        ManifestError: the file is missing, is not UTF-8, or holds no usable line at all.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest. Check the path, or make it with: speechadapt prepare")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not UTF-8 text (byte {error.start}). Save the manifest as UTF-8.") from error
    findings: list[Finding] = []
    rows: dict[str, Utterance] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path.name}, line {number}"
        try:
            utterance = parse_line(line, place)
        except ManifestError as error:
            findings.append(Finding(severity="error", check="broken-line", ids=(), message=str(error)))
            continue
        if utterance.id in rows:
            message = f'utterance "{utterance.id}" ({place}): this id stands twice, ids must be unique. Remove or rename one of the lines.'
            findings.append(Finding(severity="error", check="duplicate-id", ids=(utterance.id,), message=message))
        rows.setdefault(utterance.id, utterance)
    if not rows and not findings:
        raise ManifestError(f"{path}: no utterance in it. A manifest holds one JSON object per line.")
    return Manifest(rows.values(), folder=path.parent, name=path.stem), findings


def check_manifest(manifests: Manifest | Sequence[Manifest], *, files: bool = True) -> list[Finding]:
    """Everything that can be wrong without listening.

    Args:
        manifests: one, or several that will be used together (train, dev, test, guard).
        files: look whether the audio files are there; off for manifests whose audio lies elsewhere.

    Returns:
        Findings in the order of the manifests, those between two manifests last. Nothing is changed.
    """
    several = [manifests] if isinstance(manifests, Manifest) else list(manifests)
    findings = [finding for manifest in several for finding in (*_check_one(manifest), *(_check_files(manifest) if files else ()))]
    for first, second in itertools.combinations(several, 2):
        findings += _check_pair(*_in_order(first, second))
    return findings


def role_of(manifest: Manifest) -> str | None:
    """train, dev or test: what most rows say, else what the manifest's name says, else None."""
    told = Counter(u.split for u in manifest if u.split is not None).most_common(1)
    return told[0][0] if told else manifest.name if manifest.name in SPLITS else None


def _in_order(first: Manifest, second: Manifest) -> tuple[Manifest, Manifest]:
    """The one to be trained on first."""
    rank = {"train": 0, "dev": 1, None: 2, "test": 3}
    return (second, first) if rank[role_of(second)] < rank[role_of(first)] else (first, second)


def _finding(manifest: Manifest, severity: str, check: str, rows: Iterable[Utterance], fact: str, advice: str) -> Iterator[Finding]:
    """One finding for all rows concerned, or none."""
    ids = tuple(u.id for u in rows)
    if ids:
        count = f"{len(ids)} of {len(manifest)} utterances"
        yield Finding(severity=severity, check=check, ids=ids, message=f"{manifest.name}: {count} {fact}: {_shown(ids)}. {advice}")


def _shown(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(f'"{key}"' for key in ids[:SHOWN]) + more


def _check_one(manifest: Manifest) -> Iterator[Finding]:
    empty = [u for u in manifest if not has_words(u.text)]
    yield from _finding(manifest, "error", "empty-text", empty, "have no words in their text", "Remove them or write what was said.")
    long = [u for u in manifest if u.duration > LONGEST]
    worst = f" (the longest {max(u.duration for u in long):.2f} s)" if long else ""
    yield from _finding(
        manifest, "error", "too-long", long, f"last over {LONGEST:g} s{worst}, at most {LONGEST:g} s fit Whisper's window", "Cut them into segments."
    )
    wordy = [u for u in manifest if len(u.text.encode()) > LARGEST_TEXT]
    yield from _finding(
        manifest,
        "warning",
        "text-too-long",
        wordy,
        f"have over {LARGEST_TEXT} bytes of text, perhaps over 448 tokens",
        "Cut them into segments.",
    )
    yield from _check_rate(manifest)
    yield from _check_case(manifest)
    unknown = [u for u in manifest if u.speaker is None]
    yield from _finding(
        manifest, "warning", "unknown-speaker", unknown, "name no speaker, so leaks by speaker cannot be seen", "Name the speakers if you can."
    )


def _check_rate(manifest: Manifest) -> Iterator[Finding]:
    spoken = [u for u in manifest if has_words(u.text)]
    rates = {u.id: len("".join(u.text.split())) / u.duration for u in spoken}
    outside = []
    for u in spoken:
        low, high = CHARACTERS_PER_SECOND_CJK if _is_cjk(u.text) else CHARACTERS_PER_SECOND
        if not low <= rates[u.id] <= high:
            outside.append(u)
    low, high = CHARACTERS_PER_SECOND
    fact = f"speak fewer than {low:g} or more than {high:g} letters a second (Chinese, Japanese, Korean: 0.5 to 12)"
    yield from _finding(manifest, "warning", "speech-rate", outside, fact, "Text and audio may not belong together; listen to them.")
    if len(spoken) < FEWEST_FOR_SPREAD:
        return
    logs = {u.id: math.log(rates[u.id]) for u in spoken}
    median = statistics.median(logs.values())
    spread = statistics.median(abs(value - median) for value in logs.values())
    unusual = [u for u in spoken if abs(logs[u.id] - median) > SPREAD * 1.4826 * spread and u not in outside] if spread > 0 else []
    fact = f"speak unusually fast or slowly beside the median of {math.exp(median):.1f} letters a second"
    yield from _finding(manifest, "warning", "unusual-speech-rate", unusual, fact, "Text and audio may not belong together; listen to some.")


def _is_cjk(text: str) -> bool:
    letters = [letter for letter in text if unicodedata.category(letter)[0] == "L"]
    return sum(ord(letter) >= 0x2E80 for letter in letters) > len(letters) / 2


def _check_case(manifest: Manifest) -> Iterator[Finding]:
    """Upper-case transcripts teach a model to answer in capitals."""
    shouting = [u for u in manifest if u.text.isupper() and sum(letter.isalpha() for letter in u.text) > 3]
    if len(shouting) > len(manifest) / 2:
        yield from _finding(
            manifest, "warning", "capitals", shouting, "are written in capitals, and a model adapted to them answers in capitals",
            "Prepare the corpus with --case sentence or --case lower.",
        )  # fmt: skip


def _check_files(manifest: Manifest) -> Iterator[Finding]:
    missing, empty = [], []
    for u in manifest:
        try:
            path = manifest.audio_path(u)
        except ManifestError as error:
            yield Finding(severity="error", check="outside-folder", ids=(u.id,), message=str(error))
            continue
        if not path.is_file():
            missing.append(u)
        elif path.stat().st_size == 0:
            empty.append(u)
    yield from _finding(manifest, "error", "missing", missing, "have no audio file", "Correct the paths or prepare the corpus again.")
    yield from _finding(manifest, "error", "empty", empty, "have an audio file of zero bytes", "Replace the files or remove the lines.")


def _check_pair(first: Manifest, second: Manifest) -> Iterator[Finding]:
    overlap = find_overlap(first, second)
    names = f"{first.name} and {second.name}"
    severities = {"speaker": "error", "recording": "error", "sentence": "warning"}
    shared = {"speaker": overlap.speakers, "recording": overlap.recordings, "sentence": overlap.sentences}
    for cause, severity in severities.items():
        ids = overlap.ids_by_cause[cause]
        if ids:
            told = f"{len(shared[cause])} {cause}s" + (f" ({_shown(shared[cause])})" if cause == "speaker" else "")
            message = (
                f"{names} share {told}: {len(ids)} utterances of {first.name}, such as {_shown(ids)}. "
                "adapt and run drop them from training; prepare with --splits to divide anew."
            )
            yield Finding(severity=severity, check=f"shared-{cause}", ids=ids, message=message)
    same = tuple(sorted({u.id for u in first} & {u.id for u in second}))
    if same:
        message = f"{names} share {len(same)} ids: {_shown(same)}. Ids must be unique over manifests that are used together."
        yield Finding(severity="error", check="shared-id", ids=same, message=message)
    yield from _check_near(first, second, names)
    yield from _check_accents(first, second)


def _check_near(first: Manifest, second: Manifest, names: str) -> Iterator[Finding]:
    """Long sentences that differ in a word or so: nine tenths of their words equal and in order."""
    letters: dict[str, str] = {}

    def spell(text: str) -> str:  # one private letter for each word, so that letters are compared and words are meant
        return "".join(letters.setdefault(word, chr(0x100000 + len(letters) % 0xFFFD)) for word in text.split())

    ours, theirs = ({spell(form): form for u in m if len((form := sentence_form(u.text)).split()) >= FEWEST_WORDS_NEAR} for m in (first, second))
    if len(ours) * len(theirs) > MOST_PAIRS_NEAR:
        return
    near = set()
    for spelled, form in ours.items():
        if spelled not in theirs and process.extractOne(spelled, theirs.keys(), scorer=fuzz.ratio, score_cutoff=100 * NEAR) is not None:
            near.add(form)
    ids = tuple(u.id for u in first if sentence_form(u.text) in near)
    if ids:
        message = f"{names} share {len(near)} sentences that are nine tenths equal: {_shown(ids)} of {first.name}. Look whether they are one prompt."
        yield Finding(severity="warning", check="near-sentence", ids=ids, message=message)


def _check_accents(first: Manifest, second: Manifest) -> Iterator[Finding]:
    if role_of(first) != "train" or role_of(second) not in ("dev", "test"):
        return
    known = {u.accent for u in first}
    for accent in sorted({u.accent for u in second if u.accent is not None} - known):
        ids = tuple(u.id for u in second if u.accent == accent)
        message = f'accent "{accent}": {len(ids)} utterances in {second.name}, none in {first.name}; its score says how far the adapter generalizes.'
        yield Finding(severity="warning", check="accent-not-trained", ids=ids, message=message)
