"""Transcript check: what a model hears beside what the manifest says, to find texts that belong to other recordings or to none."""

import dataclasses
import statistics
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein
from tqdm import tqdm

from speechadapt.adapt.adapter import merged
from speechadapt.audio.batching import batches_for_decoding
from speechadapt.audio.waveform import Waveform, read_waveform
from speechadapt.data.findings import Finding, make_finding
from speechadapt.data.manifest import Manifest
from speechadapt.errors import AudioError, ManifestError
from speechadapt.models.speech_model import DecodeSettings, SpeechModel
from speechadapt.text.normalize import get_normalizer, normalizer_for
from speechadapt.transcriber import check_settings

FAR = 3.5
"""Median absolute deviations (times 1.4826, as for a normal distribution) from the manifest's median: the limit of Iglewicz and Hoaglin (1993)."""
LEAST_SPREAD = 0.05
LEAST_CER = 0.4
HOPELESS_CER = 0.9
"""At or above it a text has nothing to do with what was heard, whatever the others are like."""
FEWEST_ERRORS = 3
"""One wrong letter of a two-letter text is a rate of 0.5 and means nothing."""
WEAK_CER = 0.6
"""Where the median row is this wrong, the model says nothing about single rows."""

OTHER_CER = 0.5
"""A text fits another row where it is at most this wrong there, and at most half as wrong as in its own."""
AS_GOOD = 0.1
"""What a second row may be worse by than the best one before it says nothing."""
FEWEST_LETTERS = 6
"""Shorter texts fit by chance."""
MOST_PAIRS = 400_000_000
"""Texts times hypotheses that are compared; beyond it a text is only compared with `NEIGHBOURS` on each side."""
NEIGHBOURS = 50
SHORTEST_BLOCK = 3
LARGEST_GAP = 2

Fit = tuple[str, float, float]
"""The row a text fits better than its own, and its error rates in its own row and there."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptCheck:
    """What a model says of a manifest's texts.

    Attributes:
        manifest, model: names. normalizer: what texts went through before they were compared.
        rows: utterances that were decoded. heard: what the model wrote, by id. cer: character error rate by id (blanks not counted; above 1
            where more was heard than written), None where the text has no letters.
        median, spread: of the error rates, the spread as `FAR` counts it; None where no row has one.
        findings: unlike-speech, swapped-text, shifted-texts, not-heard, weak-model.
    """

    manifest: str
    model: str
    normalizer: str
    rows: int
    heard: dict[str, str]
    cer: dict[str, float | None]
    median: float | None
    spread: float | None
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """The numbers; the findings stand with those of the other checks."""
        names = ("manifest", "model", "normalizer", "rows", "median", "spread")
        return {name: round(value, 4) if isinstance(value := getattr(self, name), float) else value for name in names}


def check_with_model(
    model: SpeechModel, manifest: Manifest, *, limit: int | None = None, settings: DecodeSettings | None = None, progress: bool = True
) -> TranscriptCheck:
    """Decode a manifest and compare each text with what was heard in its own row and in all others.

    Args:
        model: with or without an adapter. It need not be good, only much better on the right text than on a wrong one.
        manifest: rows that cannot be read, or are too long for the model, are told and left out.
        limit: only the first so many rows; blocks of shifted texts are found only in rows that stand together.
        settings: how to decode; None is greedy in the full window.
        progress: show a bar on stderr.

    Raises:
        MisuseError: settings that the model's family has no use for.
    """
    settings = settings or DecodeSettings()
    check_settings(model, settings)
    part = manifest if limit is None else Manifest(manifest[:limit], folder=manifest.folder, name=manifest.name)
    heard, unheard = _decode(model, part, settings, progress)
    languages = [u.language for u in part if u.language is not None]
    language = model.language or (statistics.mode(languages) if languages else None)
    normalize = get_normalizer(normalizer_for(language))
    ids = [u.id for u in part if u.id in heard]
    texts = {u.id: normalize(u.text).replace(" ", "") for u in part if u.id in heard}
    said = {key: normalize(text).replace(" ", "") for key, text in heard.items()}
    errors = {key: Levenshtein.distance(texts[key], said[key]) for key in ids}
    cer = {key: errors[key] / len(texts[key]) if texts[key] else None for key in ids}
    wrong = [key for key in ids if texts[key] and errors[key] >= max(FEWEST_ERRORS, LEAST_CER * len(texts[key]))]
    elsewhere, twins = _fit_elsewhere(wrong, ids, texts, said, cer)
    blocks = _blocks(elsewhere, twins, ids)
    shifted = {key for _, keys in blocks for key in keys}
    rates = [rate for key, rate in cer.items() if rate is not None and key not in elsewhere]
    rates = rates or [rate for rate in cer.values() if rate is not None]
    median = statistics.median(rates) if rates else None
    spread = None if median is None else 1.4826 * statistics.median(abs(rate - median) for rate in rates)
    findings = list(_shift_findings(part, blocks, elsewhere))
    swapped = {key: _fits(other, own, theirs) for key, (other, own, theirs) in elsewhere.items() if key not in shifted}
    fact = f"have a text that fits what {model.base.id} hears in another row"
    findings += make_finding(part, "error", "swapped-text", swapped, fact, "Listen to both; perhaps two texts changed places.")
    if median is not None and spread is not None and median < WEAK_CER:
        limit_cer = max(LEAST_CER, min(HOPELESS_CER, median + FAR * max(spread, LEAST_SPREAD)))
        far = {key: f"{_rate(cer[key])}, heard: {_heard(heard[key])}" for key in wrong if key not in elsewhere and (cer[key] or 0) >= limit_cer}
        fact = f"are far from what {model.base.id} hears (character error rate {limit_cer:.0%} or more, the median is {median:.0%})"
        findings += make_finding(part, "warning", "unlike-speech", far, fact, "Listen to them.")
    elif median is not None:
        message = (
            f"{part.name}: the median character error rate of {model.base.id} is {median:.0%}, too high to judge single texts by. "
            "Check with a model of this language and accent, or look whether all texts are shifted or of another corpus."
        )
        findings.append(Finding(severity="warning", check="weak-model", ids=(), message=message, manifest=part.name))
    findings += make_finding(part, "note", "not-heard", unheard, "could not be given to the model", "speechadapt check --audio says more.")
    return TranscriptCheck(
        manifest=part.name,
        model=model.base.id,
        normalizer=normalize.name,
        rows=len(ids),
        heard=heard,
        cer=cer,
        median=median,
        spread=spread,
        findings=tuple(findings),
    )


def _decode(model: SpeechModel, manifest: Manifest, settings: DecodeSettings, progress: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Texts by id, and the reason by id for what could not be heard."""
    heard: dict[str, str] = {}
    unheard = {u.id: f"{u.duration:.1f} s, at most {model.longest:.0f} s" for u in manifest if u.duration > model.longest}
    rows = [u for u in manifest if u.id not in unheard]
    durations = [u.duration for u in rows]
    padded_to = model.padded_to if settings.window == "full" else None
    bar = tqdm(total=len(rows), desc=f"decode {manifest.name}", unit=" rows", disable=None if progress else True, file=sys.stderr)
    with bar, merged(model):
        for batch in batches_for_decoding(durations, settings.batch_seconds, padded_to):
            waveforms: dict[str, Waveform] = {}
            for row in batch:
                u = rows[row]
                try:
                    waveforms[u.id] = read_waveform(manifest.audio_path(u), offset=u.offset, duration=u.duration)
                except (AudioError, ManifestError) as error:
                    unheard[u.id] = str(error)
            if waveforms:
                results = model.decode(list(waveforms.values()), settings)
                heard |= {key: result.text for key, result in zip(waveforms, results, strict=True)}
            bar.update(len(batch))
    return heard, unheard


def _fit_elsewhere(
    wrong: Sequence[str], ids: Sequence[str], texts: dict[str, str], said: dict[str, str], cer: dict[str, float | None]
) -> tuple[dict[str, Fit], dict[str, dict[str, Fit]]]:
    """Of texts that do not fit their own row: the row they fit best; and, apart, those of rows that have the same text and a reader who said it.

    The second say where the text came from only at the ends of a shifted block; elsewhere they are other readers of one prompt.
    """
    place = {key: number for number, key in enumerate(ids)}
    lines = [said[key] for key in ids]
    found: dict[str, Fit] = {}
    twins: dict[str, dict[str, Fit]] = {}
    everywhere = len(wrong) * len(ids) <= MOST_PAIRS
    size = max(1, 4_000_000 // max(1, len(ids)))
    long = [key for key in wrong if len(texts[key]) >= FEWEST_LETTERS]
    for first in range(0, len(long), size):
        group = long[first : first + size]
        if everywhere:
            distances = process.cdist([texts[key] for key in group], lines, scorer=Levenshtein.distance, dtype=np.int32)
        for number, key in enumerate(group):
            own = cer[key] or 0.0
            if everywhere:
                nearby = [(int(distances[number, other]), other) for other in np.argsort(distances[number], kind="stable")[:10]]
            else:
                around = range(max(0, place[key] - NEIGHBOURS), min(len(ids), place[key] + NEIGHBOURS + 1))
                nearby = sorted((Levenshtein.distance(texts[key], lines[other]), other) for other in around)[:10]
            for distance, other in nearby:
                rate = distance / len(texts[key])
                if rate > min(OTHER_CER, own / 2, nearby[0][0] / len(texts[key]) + AS_GOOD):
                    break
                fit = (ids[int(other)], own, rate)
                if texts[fit[0]] != texts[key]:
                    found[key] = fit
                    break
                twins.setdefault(key, {})[fit[0]] = fit
    return found, twins


def _blocks(elsewhere: dict[str, Fit], twins: dict[str, dict[str, Fit]], ids: Sequence[str]) -> list[tuple[int, list[str]]]:
    """Rows one after the other whose texts fit rows a fixed number of lines away: (lines, ids) each; a row or two between may fit nowhere.

    At the ends of a block a text may stand twice, in the row it slipped into and in its own; such rows are added to the block and to `elsewhere`.
    """
    place = {key: number for number, key in enumerate(ids)}
    blocks: list[tuple[int, list[str]]] = []
    for key in sorted(elsewhere, key=place.__getitem__):
        lines = place[elsewhere[key][0]] - place[key]
        last = blocks[-1] if blocks else None
        if last is not None and last[0] == lines and place[key] - place[last[1][-1]] <= LARGEST_GAP + 1:
            last[1].append(key)
        else:
            blocks.append((lines, [key]))
    blocks = [block for block in blocks if len(block[1]) >= SHORTEST_BLOCK]
    for lines, keys in blocks:
        for step, edge in ((1, place[keys[-1]]), (-1, place[keys[0]])):
            row = edge + step
            while 0 <= row < len(ids) and 0 <= row + lines < len(ids) and (fit := twins.get(ids[row], {}).get(ids[row + lines])) is not None:
                elsewhere.setdefault(ids[row], fit)
                keys.insert(len(keys) if step > 0 else 0, ids[row])
                row += step
    return blocks


def _shift_findings(manifest: Manifest, blocks: Sequence[tuple[int, list[str]]], elsewhere: dict[str, Fit]) -> Iterator[Finding]:
    for lines, keys in blocks:
        details = {key: _fits(*elsewhere[key]) for key in keys}
        where = f"{abs(lines)} {'line' if abs(lines) == 1 else 'lines'} {'further down' if lines > 0 else 'further up'}"
        fact = f'from "{keys[0]}" to "{keys[-1]}" have texts that belong {where}'
        advice = "A line was lost or put in when the texts were written; move this block of texts and check again."
        yield from make_finding(manifest, "error", "shifted-texts", details, fact, advice)


def _fits(other: str, own: float, theirs: float) -> str:
    return f'fits "{other}" with {_rate(theirs)} against {_rate(own)} here'


def _rate(cer: float | None) -> str:
    return f"CER {cer or 0:.2f}"


def _heard(text: str) -> str:
    if not text.strip():
        return "nothing"
    return f'"{text}"' if len(text) <= 80 else f'"{text[:77]}..."'
