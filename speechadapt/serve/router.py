"""Router: which adapter, or the base, hears a speaker: their own where speaker or accent is known, else one chosen from a few seconds of speech.

Two ways of choosing, and both fall back to the base when unsure. By confidence: every candidate decodes the same seconds in one mixed batch,
and the surest of its words is taken if it beats the base by a margin. By classifier: see `AccentClassifier`.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from speechadapt.audio.waveform import AudioSource, Waveform, read_waveform
from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.errors import MisuseError
from speechadapt.score.report import score
from speechadapt.serve.accent_classifier import LISTEN, AccentClassifier, beginning, listen
from speechadapt.serve.library import BASE, AdapterLibrary
from speechadapt.transcriber import Transcript, first_speech
from speechadapt.units import SAMPLING_RATE, Hertz, Seconds

WAYS = ("confidence", "classifier")
MARGIN = 0.02
"""In mean natural-log probability per token, by which an adapter must be surer than the base. On 80 dev clips of benchmarks/routing.py (824 words,
three simulated accents and none) the base made 247 errors, margins from 0 to 0.02 made 71 to 74, 0.05 made 112. `calibrate` finds your own."""
PROBABILITY = 0.4
"""Likewise for the classifier: the least probability. On the same clips thresholds from 0 to 0.43 made 80 errors, 0.5 made 97 and 0.7 made 110;
with more accents to tell apart probabilities are lower, so `calibrate`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a speaker is to be heard with.

    Attributes:
        adapter: its name; None is the base.
        why: `speaker` or `accent` (known), `confidence`, `classifier`, or `unsure` (the base, because nothing passed the threshold).
        scores: of every candidate by name, the base being "base": margins in mean log-probability, or probabilities; empty where it was known.
    """

    adapter: str | None
    why: str
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)


class Router:
    """Chooses an adapter of a library for a speaker, or the base. Safe to use from several threads, as its library is."""

    def __init__(
        self,
        library: AdapterLibrary,
        *,
        by: str = "confidence",
        speakers: Mapping[str, str | None] | None = None,
        accents: Mapping[str, str | None] | None = None,
        candidates: Sequence[str] | None = None,
        classifier: AccentClassifier | None = None,
        threshold: float | None = None,
        seconds: Seconds = LISTEN,
    ) -> None:
        """Args:
            library: with the adapters.
            by: `confidence` or `classifier`: how an unknown speaker is judged.
            speakers: speaker to adapter, None or "base" being the base; asked first.
            accents: accent to adapter, likewise. An accent of the classifier that is missing here means the adapter of its name, else the base.
            candidates: adapters that confidence chooses among; None is all that the library has at that moment.
            classifier: for `by="classifier"`.
            threshold: margin over the base, or least probability; None takes a customary one. See `calibrate`.
            seconds: of speech that a choice is made from.

        Raises:
            MisuseError: a `by` or `seconds` that cannot be meant, no classifier where one is needed, or one of another base.
            AdapterError: an adapter that the library has not.
        """
        if by not in WAYS:
            raise MisuseError(f'by is "{by}", must be {" or ".join(WAYS)}. Correct it.')
        if by == "classifier" and classifier is None:
            raise MisuseError('by is "classifier", but no classifier was given. Train one with fit_classifier.')
        if classifier is not None and classifier.base_fingerprint != library.fingerprint:
            raise MisuseError(f"the classifier was trained on {classifier.base_id}, the base is {library.model.base.id}. Train one on it.")
        if not 0 < seconds <= library.model.longest:
            raise MisuseError(f"seconds is {seconds}, must be above 0 and at most {library.model.longest:g}. Correct it.")
        self.library, self.by, self.classifier, self.seconds = library, by, classifier, seconds
        self.speakers, self.accents = ({key: None if name == BASE else name for key, name in (one or {}).items()} for one in (speakers, accents))
        self.candidates = None if candidates is None else tuple(dict.fromkeys(candidates))
        self.threshold = threshold if threshold is not None else MARGIN if by == "confidence" else PROBABILITY
        for name in (*self.speakers.values(), *self.accents.values(), *(self.candidates or ())):
            if name is not None:
                library.facts(name)

    def choose(self, waveform: Waveform, *, speaker: str | None = None, accent: str | None = None) -> Choice:
        """Choose for one speaker.

        Args:
            waveform: some of their speech, float32, shape (samples,), 16 kHz; of a long one the beginning is listened to.
            speaker, accent: where they are known.
        """
        known = self._known(speaker, accent)
        if known is not None:
            return known
        if len(waveform) == 0:
            return Choice(adapter=None, why="unsure")
        scores = self._scores(waveform[: round(self.seconds * SAMPLING_RATE)])
        name, found = _best(scores)
        if name is not None and not found >= self.threshold:
            return Choice(adapter=None, why="unsure", scores=scores)
        return Choice(adapter=name, why=self.by, scores=scores)

    def transcribe(
        self,
        source: "AudioSource | NDArray[Any]",
        *,
        speaker: str | None = None,
        accent: str | None = None,
        sampling_rate: Hertz = SAMPLING_RATE,
        **options: Any,
    ) -> Transcript:
        """Choose for the speaker of a recording, by the beginning of what is said in it, and transcribe it; its `adapter` tells the choice.

        Args:
            source: one speaker's recording, of any length; see `Transcriber.transcribe`.
            speaker, accent: where they are known; then nothing is listened to beforehand.
            sampling_rate: of `source` when it is samples, in Hz.
            options: as for `AdapterLibrary.transcribe`: language, timestamps, words, prompt, temperature, seed.

        Raises:
            AudioError, MisuseError: see `Transcriber.transcribe`.
        """
        choice = self._known(speaker, accent)
        if choice is None:
            library = self.library
            heard = first_speech(source, seconds=self.seconds, longest=library.model.longest, sampling_rate=sampling_rate, vad=library.vad)
            choice = self.choose(heard)
        return self.library.transcribe(source, choice.adapter or BASE, sampling_rate=sampling_rate, **options)

    def calibrate(self, manifest: Manifest, *, normalizer: str = "english") -> float:
        """Set the threshold to the one with the fewest word errors on a dev manifest, the highest where several are as good.

        Every utterance is decoded by the base and by every candidate.

        Returns:
            The threshold.

        Raises:
            MisuseError: an empty manifest.
        """
        if not len(manifest):
            raise MisuseError("the dev manifest to calibrate by is empty. Give one with some utterances of every accent.")
        best = [_best(self._scores(beginning(manifest, place, self.seconds))) for place in range(len(manifest))]
        errors = word_errors(self.library, manifest, sorted({name for name, _ in best if name is not None}), normalizer=normalizer)
        rows = [(found, errors[name][place], errors[None][place]) for place, (name, found) in enumerate(best) if name is not None]
        bounds = sorted({0.0, *(found for found, _, _ in rows if found > 0)})
        bounds.append(math.nextafter(bounds[-1], math.inf))  # above all: always the base
        totals = [sum(adapted if found >= bound else base for found, adapted, base in rows) for bound in bounds]
        self.threshold = max(bound for bound, total in zip(bounds, totals, strict=True) if total == min(totals))
        return self.threshold

    def _known(self, speaker: str | None, accent: str | None) -> Choice | None:
        if speaker is not None and speaker in self.speakers:
            return Choice(adapter=self.speakers[speaker], why="speaker")
        if accent is not None and accent in self.accents:
            return Choice(adapter=self.accents[accent], why="accent")
        return None

    def _scores(self, heard: Waveform) -> dict[str, float]:
        """By confidence: every candidate's margin over the base, whose own is 0. By classifier: every choice's probability."""
        if self.classifier is not None and self.by == "classifier":
            scores: dict[str, float] = {}
            for accent, probability in zip(
                self.classifier.accents, self.classifier.probabilities(listen(self.library, [heard]))[0].tolist(), strict=True
            ):
                name = self.accents.get(accent, accent if accent in self.library.names else None)
                scores[name or BASE] = scores.get(name or BASE, 0.0) + probability
            return scores
        names = self.library.names if self.candidates is None else self.candidates
        # like with like: the base knows no other window
        settings = dataclasses.replace(self.library.settings, window="full", words=False)
        base, *found = self.library.decode([heard] * (len(names) + 1), [None, *names], settings)
        # no words at all have no probability to be sure of
        return {BASE: 0.0} | {name: row.avg_logprob - base.avg_logprob if row.text else -math.inf for name, row in zip(names, found, strict=True)}


def word_errors(library: AdapterLibrary, manifest: Manifest, names: Sequence[str], *, normalizer: str = "english") -> dict[str | None, list[int]]:
    """Word errors of every utterance, clip by clip, for the base (None) and for each adapter, in the manifest's order."""
    clips = [read_waveform(manifest.audio_path(utterance), offset=utterance.offset, duration=utterance.duration) for utterance in manifest]
    found: dict[str | None, list[int]] = {}
    for name in (None, *names):
        hypotheses = [Hypothesis(id=u.id, text=library.decode([clip], [name])[0].text) for u, clip in zip(manifest, clips, strict=True)]
        report = score(manifest, hypotheses, system=name or BASE, normalizer=normalizer, by=(), resamples=0)
        errors: dict[str, Any] = {row.id: row.words.errors for row in report.utterances}
        found[name] = [int(errors[utterance.id]) for utterance in manifest]
    return found


def _best(scores: Mapping[str, float]) -> tuple[str | None, float]:
    name = max(scores, key=lambda name: (scores[name], name == BASE, name))
    return (None if name == BASE else name), scores[name]
