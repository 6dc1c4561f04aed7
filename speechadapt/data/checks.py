"""Checks: what can be wrong with manifests, alone and beside each other, as a list of findings. Samples are `audio.quality`'s work."""

import itertools
import math
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from speechadapt.data.findings import Finding, make_finding, told
from speechadapt.data.manifest import Manifest, parse_line
from speechadapt.data.near_sentences import find_near_sentences
from speechadapt.data.relatives import relations_between
from speechadapt.data.splits import find_overlap
from speechadapt.data.transcripts import check_transcripts
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

LEAST_SPREAD = 0.12
"""Of the log rate: in very even speech, too, a line must be half as fast again, or as slow, to be told."""

FEWEST_FOR_SPREAD = 50


def read_for_check(path: Path, name: str | None = None) -> tuple[Manifest, list[Finding]]:
    """Read a manifest line by line and turn broken lines and repeated ids into findings instead of stopping at the first.

    Args:
        path: of the manifest. name: what findings call it; None takes the path's stem.

    Raises:
        ManifestError: the file is missing, is UTF-16, or holds no line at all.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest. Check the path, or make it with: speechadapt prepare")
    findings: list[Finding] = []
    rows: dict[str, Utterance] = {}
    name = name or path.stem
    with path.open("rb") as lines:
        if lines.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise ManifestError(f"{path}: not UTF-8 text (it begins as UTF-16 does). Save the manifest as UTF-8.")
        lines.seek(0)
        for number, line in enumerate(lines, start=1):
            place = f"{path.name}, line {number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if not text.strip():
                    continue
                if number == 1 and text.lstrip().startswith("["):
                    raise ManifestError(f"{place}: a JSON array, expected JSON Lines. Write one object per line, without brackets and commas.")
                utterance = parse_line(text, place)
            except (ManifestError, UnicodeDecodeError, ValueError, RecursionError) as error:
                message = str(error) if isinstance(error, ManifestError) else f"{place}: cannot be read ({_reason(error)}). Write the line again."
                findings.append(Finding(severity="error", check="broken-line", ids=(), message=message, manifest=name))
                continue
            if utterance.id in rows:
                message = f'utterance "{utterance.id}" ({place}): this id stands twice, ids must be unique. Remove or rename one of the lines.'
                findings.append(Finding(severity="error", check="duplicate-id", ids=(utterance.id,), message=message, manifest=name))
            rows.setdefault(utterance.id, utterance)
    if not rows and not findings:
        raise ManifestError(f"{path}: no utterance in it. A manifest holds one JSON object per line.")
    return Manifest(rows.values(), folder=path.parent, name=name), findings


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1} is not UTF-8"
    return "brackets without end" if isinstance(error, RecursionError) else str(error).split(";")[0]


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


def _check_one(manifest: Manifest) -> Iterator[Finding]:
    empty = [u.id for u in manifest if not has_words(u.text)]
    yield from make_finding(manifest, "error", "empty-text", empty, "have no words in their text", "Remove them or write what was said.")
    long = {u.id: f"{u.duration:.2f} s" for u in manifest if u.duration > LONGEST}
    fact = f"last over {LONGEST:g} s, at most {LONGEST:g} s fit Whisper's window"
    yield from make_finding(manifest, "error", "too-long", long, fact, "Cut them into segments.")
    sizes = {u.id: len(u.text.encode("utf-8", "surrogatepass")) for u in manifest}
    wordy = {key: f"{size} bytes" for key, size in sizes.items() if size > LARGEST_TEXT}
    fact = f"have over {LARGEST_TEXT} bytes of text, perhaps over 448 tokens"
    yield from make_finding(manifest, "warning", "text-too-long", wordy, fact, "Cut them into segments.")
    yield from _check_rate(manifest)
    yield from check_transcripts(manifest)
    yield from _check_case(manifest)
    unknown = [u.id for u in manifest if u.speaker is None]
    fact = "name no speaker, so leaks by speaker cannot be seen"
    yield from make_finding(manifest, "warning", "unknown-speaker", unknown, fact, "Name the speakers if you can.")


def _check_rate(manifest: Manifest) -> Iterator[Finding]:
    """Letters a second: outside of what people can say, and far out among the manifest's own."""
    spoken = [u for u in manifest if has_words(u.text)]
    rates = {u.id: len("".join(u.text.split())) / u.duration for u in spoken}
    outside = {}
    for u in spoken:
        low, high = CHARACTERS_PER_SECOND_CJK if is_cjk(u.text) else CHARACTERS_PER_SECOND
        if not low <= rates[u.id] <= high:
            outside[u.id] = f"{rates[u.id]:.1f}"
    low, high = CHARACTERS_PER_SECOND
    fact = f"speak fewer than {low:g} or more than {high:g} letters a second (Chinese, Japanese, Korean: 0.5 to 12)"
    yield from make_finding(manifest, "warning", "speech-rate", outside, fact, "Text and audio may not belong together; listen to them.")
    if len(spoken) < FEWEST_FOR_SPREAD:
        return
    logs = {key: math.log(rate) for key, rate in rates.items()}
    median = statistics.median(logs.values())
    spread = 1.4826 * statistics.median(abs(value - median) for value in logs.values())
    far = SPREAD * max(spread, LEAST_SPREAD)
    unusual = {key: f"{rates[key]:.1f}" for key, value in logs.items() if abs(value - median) > far and key not in outside}
    fact = f"speak unusually fast or slowly beside the median of {math.exp(median):.1f} letters a second"
    yield from make_finding(manifest, "warning", "unusual-speech-rate", unusual, fact, "Text and audio may not belong together; listen to some.")


def is_cjk(text: str) -> bool:
    """Whether most letters are of Chinese, Japanese or Korean writing, where one stands for a syllable."""
    if text.isascii():
        return False
    letters = [letter for letter in text if unicodedata.category(letter)[0] == "L"]
    return sum(ord(letter) >= 0x2E80 for letter in letters) > len(letters) / 2


def _check_case(manifest: Manifest) -> Iterator[Finding]:
    """Upper-case transcripts teach a model to answer in capitals."""
    shouting = [u.id for u in manifest if u.text.isupper() and sum(letter.isalpha() for letter in u.text) > 3]
    if len(shouting) > len(manifest) / 2:
        fact = "are written in capitals, and a model adapted to them answers in capitals"
        yield from make_finding(manifest, "warning", "capitals", shouting, fact, "Prepare the corpus with --case sentence or --case lower.")


def _check_files(manifest: Manifest) -> Iterator[Finding]:
    missing, empty, outside = {}, {}, {}
    for u in manifest:
        try:
            path = manifest.audio_path(u)
        except ManifestError as error:
            outside[u.id] = str(error)
            continue
        if not path.is_file():
            missing[u.id] = str(path)
        elif path.stat().st_size == 0:
            empty[u.id] = str(path)
    advice = "Keep the audio beside the manifest, or prepare the corpus with --in-place."
    yield from make_finding(manifest, "error", "outside-folder", outside, "have an audio path that may not be followed", advice)
    yield from make_finding(manifest, "error", "missing", missing, "have no audio file", "Correct the paths or prepare the corpus again.")
    yield from make_finding(manifest, "error", "empty", empty, "have an audio file of zero bytes", "Replace the files or remove the lines.")


def _check_pair(first: Manifest, second: Manifest) -> Iterator[Finding]:
    overlap = find_overlap(first, second)
    names = f"{first.name} and {second.name}"
    severities = {"speaker": "error", "recording": "error", "sentence": "warning", "audio": "error"}
    shared = {"speaker": overlap.speakers, "recording": overlap.recordings, "sentence": overlap.sentences, "audio": overlap.audio}
    for cause, severity in severities.items():
        ids = overlap.ids_by_cause[cause]
        if ids:
            what = "recordings of the same samples" if cause == "audio" else f"{cause}s"
            count = f"{len(shared[cause])} {what}" + (f" ({told(shared[cause])})" if cause == "speaker" else "")
            message = (
                f"{names} share {count}: {len(ids)} utterances of {first.name}, such as {told(ids)}. "
                "adapt and run drop them from training; prepare with --splits to divide anew."
            )
            yield Finding(severity=severity, check=f"shared-{cause}", ids=ids, message=message, manifest=first.name)
    held = {u.id for u in second}
    same = tuple(sorted(u.id for u in first if u.id in held))
    if same:
        message = f"{names} share {len(same)} ids: {told(same)}. Ids must be unique over manifests that are used together."
        yield Finding(severity="error", check="shared-id", ids=same, message=message, manifest=first.name)
    yield from _check_near(first, second, names)
    for note in relations_between(first, second):
        yield Finding(severity="note", check="related-corpora", ids=(), message=note, manifest=first.name)
    yield from _check_accents(first, second)


def _check_near(first: Manifest, second: Manifest, names: str) -> Iterator[Finding]:
    """Long sentences that differ in a word or so: nine tenths of their words equal and in order."""
    pairs = dict(find_near_sentences(first, second))
    near = len({sentence_form(u.text) for u in first if u.id in pairs})
    if ids := tuple(pairs):
        message = f"{names} share {near} sentences that are nine tenths equal: {told(ids)} of {first.name}. Look whether they are one prompt."
        details = tuple(f'nearly "{other}" of {second.name}' for other in pairs.values())
        yield Finding(severity="warning", check="near-sentence", ids=ids, message=message, manifest=first.name, details=details)


def _check_accents(first: Manifest, second: Manifest) -> Iterator[Finding]:
    if role_of(first) != "train" or role_of(second) not in ("dev", "test"):
        return
    known = {u.accent for u in first}
    for accent in sorted({u.accent for u in second if u.accent is not None} - known):
        ids = tuple(u.id for u in second if u.accent == accent)
        message = f'accent "{accent}": {len(ids)} utterances in {second.name}, none in {first.name}; its score says how far the adapter generalizes.'
        yield Finding(severity="warning", check="accent-not-trained", ids=ids, message=message, manifest=second.name)
