"""From a model and a manifest to hypotheses and a score report: the one place where models and scores meet."""

import contextlib
import sys
import time
from collections.abc import Sequence

from tqdm import tqdm

from speechadapt.adapt.adapter import merged
from speechadapt.audio.batching import batches_for_decoding
from speechadapt.audio.waveform import Waveform, read_waveform
from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import AudioError, ManifestError
from speechadapt.models.speech_model import DecodeSettings, SpeechModel
from speechadapt.score.report import DEFAULT_GROUPS, ScoreReport, score
from speechadapt.transcriber import check_settings


def transcribe_manifest(model: SpeechModel, manifest: Manifest, *, settings: DecodeSettings | None = None, progress: bool = True) -> list[Hypothesis]:
    """Transcribe every utterance of a manifest, in batches of like duration.

    Args:
        model: with or without an adapter; an adapter is merged into the weights meanwhile, and taken out bit by bit after.
        manifest: nothing is skipped: a test set with holes would be another test set.
        settings: how to decode; None is greedy in the full window.
        progress: show a bar on stderr.

    Returns:
        One hypothesis per utterance, in the manifest's order, with its share of the decoding time.

    Raises:
        AudioError: a clip cannot be read; the message names the utterance.
        ManifestError: a clip is longer than the model can hear at once.
        MisuseError: the short window was asked of a model without an adapter, or settings that the model's family has no use for.
    """
    settings = settings or DecodeSettings()
    check_settings(model, settings)
    for utterance in manifest:
        if utterance.duration > model.longest:
            raise ManifestError(
                f'utterance "{utterance.id}" ({manifest.name}): {utterance.duration:.1f} s, {model.base.id} hears at most '
                f"{model.longest:.0f} s at once. Cut it into shorter utterances; speechadapt check finds all of them."
            )
    durations = [utterance.duration for utterance in manifest]
    padded_to = model.padded_to if settings.window == "full" else None
    found: dict[int, Hypothesis] = {}
    bar = tqdm(total=len(manifest), desc=f"transcribe {manifest.name}", unit="clip", disable=not progress, file=sys.stderr, leave=False)
    with bar, merged(model) if model.adapted else contextlib.nullcontext():
        for rows in batches_for_decoding(durations, settings.batch_seconds, padded_to):
            waveforms = [_waveform(manifest, manifest[row]) for row in rows]
            begun = time.perf_counter()
            results = model.decode(waveforms, settings)
            share = (time.perf_counter() - begun) / sum(durations[row] for row in rows)
            for row, result in zip(rows, results, strict=True):
                found[row] = Hypothesis(
                    id=manifest[row].id, text=result.text, seconds=round(share * durations[row], 4), avg_logprob=round(result.avg_logprob, 4)
                )
            bar.update(len(rows))
    return [found[row] for row in range(len(manifest))]


def _waveform(manifest: Manifest, utterance: Utterance) -> Waveform:
    try:
        return read_waveform(manifest.audio_path(utterance), offset=utterance.offset, duration=utterance.duration)
    except AudioError as error:
        raise AudioError(error.reason, f'utterance "{utterance.id}" ({manifest.name}): {error}') from error


def evaluate(
    model: SpeechModel,
    manifest: Manifest,
    *,
    system: str,
    settings: DecodeSettings | None = None,
    normalizer: str = "english",
    by: Sequence[str] = DEFAULT_GROUPS,
    progress: bool = True,
) -> ScoreReport:
    """Transcribe a manifest and score it.

    Args:
        model: with or without an adapter.
        manifest: the test set.
        system: a name for people, such as "tiny.en" or "tiny.en + mandarin".
        settings: how to decode; None is greedy in the full window.
        normalizer: name and perhaps language, see `text.normalize`.
        by: fields to group by.
        progress: show a bar on stderr.

    Raises:
        AudioError, ManifestError, MisuseError: as `transcribe_manifest` and `score`.
    """
    settings = settings or DecodeSettings()
    hypotheses = transcribe_manifest(model, manifest, settings=settings, progress=progress)
    return score(manifest, hypotheses, system=system, normalizer=normalizer, by=by, decode=settings.to_json())
