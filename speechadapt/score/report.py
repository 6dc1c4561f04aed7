"""ScoreReport: one system's hypotheses counted against one manifest, joined by id, with all it takes to trust and repeat the count."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speechadapt import provenance
from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ScoreError
from speechadapt.files import read_json, write_json
from speechadapt.score.align import count_characters, count_words
from speechadapt.score.counts import ErrorCounts, pool
from speechadapt.score.intervals import RESAMPLES, Interval, rate_interval
from speechadapt.score.phrases import listed
from speechadapt.text.normalize import Normalizer, get_normalizer

DEFAULT_GROUPS = ("accent", "speaker", "gender", "age")
UNKNOWN_GROUP = "(unknown)"
FIELDS = tuple(field.name for field in dataclasses.fields(Utterance) if field.name != "meta")
RUNAWAY_RATIO = 2.0
RUNAWAY_WORDS = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScoredUtterance:
    """One utterance, counted.

    Attributes:
        id, speaker: as in the manifest.
        reference, hypothesis: as counted, after normalization.
        words, characters: error counts.
        avg_logprob: of the decoder, as in `Hypothesis`; None if unknown.
        groups: its value in each field the report groups by; fields it does not have are left out.
    """

    id: str
    speaker: str | None
    reference: str
    hypothesis: str
    words: ErrorCounts
    characters: ErrorCounts
    avg_logprob: float | None = None
    groups: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def runaway(self) -> bool:
        """A hint of a loop or of invented text: at least 5 words more than were said, and at least twice as many."""
        said, heard = self.words.reference_length, self.words.hypothesis_length
        return heard >= RUNAWAY_RATIO * said and heard - said >= RUNAWAY_WORDS

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "ScoredUtterance":
        """The record from one decoded JSON object."""
        counts = {key: ErrorCounts.from_json(value[key]) for key in ("words", "characters")}
        return cls(**{**value, **counts})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupScore:
    """The pooled counts of the utterances that share a value, such as one accent."""

    utterances: int
    speakers: int
    words: ErrorCounts
    characters: ErrorCounts


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReport:
    """One system on one manifest.

    Attributes:
        system: what was scored, for people.
        manifest: the manifest's name; manifest_path: its path, if it was read from one.
        fingerprint: of the manifest; only reports with the same one can be compared.
        normalizer, normalizer_version: what counted as the same word.
        decode: the decoder's settings, such as `{"window": "full", "beam": 1}`.
        utterances: every counted utterance, in the manifest's order.
        interval: 95 % interval of the WER; None with fewer than two utterances.
        real_time_factor: decode seconds per second of audio, over the utterances whose decode time is known; None if none is.
        audio_seconds: of the counted utterances.
        empty_references: ids without a reference word after normalization; not counted.
        words_on_empty: hypothesis words on those, which can only be invented.
        missing: ids without a hypothesis, counted as empty ones because that was asked for.
        extra: ids of hypotheses that are not in the manifest; ignored.
        provenance: versions, code, command, machine, time.
    """

    system: str
    manifest: str
    manifest_path: str | None
    fingerprint: str
    normalizer: str
    normalizer_version: str
    decode: dict[str, Any]
    by: tuple[str, ...]
    utterances: tuple[ScoredUtterance, ...]
    interval: Interval | None
    real_time_factor: float | None
    audio_seconds: float
    empty_references: tuple[str, ...] = ()
    words_on_empty: int = 0
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def words(self) -> ErrorCounts:
        """Word counts, pooled over all utterances."""
        return pool(utterance.words for utterance in self.utterances)

    @property
    def characters(self) -> ErrorCounts:
        """Character counts, pooled over all utterances."""
        return pool(utterance.characters for utterance in self.utterances)

    @property
    def wer(self) -> float | None:
        """Pooled word error rate; None if no reference has a word."""
        return self.words.wer

    @property
    def cer(self) -> float | None:
        """Pooled character error rate; None if no reference has a character."""
        return self.characters.wer

    @property
    def speakers(self) -> int:
        """How many known speakers were counted."""
        return len({utterance.speaker for utterance in self.utterances} - {None})

    @property
    def runaways(self) -> tuple[str, ...]:
        """Ids of utterances that look like loops or invented text."""
        return tuple(utterance.id for utterance in self.utterances if utterance.runaway)

    @property
    def groups(self) -> dict[str, dict[str, GroupScore]]:
        """Pooled counts by field and value, values sorted; the values of one field add up to the whole."""
        return {
            field: {value: _group(members) for value, members in found.items()} for field, found in group_members(self.utterances, self.by).items()
        }

    def macro_wer(self, field: str) -> float | None:
        """The mean of the groups' WERs, which weighs small groups as much as large ones; None if the field is not grouped by."""
        rates = [group.words.wer for group in self.groups.get(field, {}).values()]
        known = [rate for rate in rates if rate is not None]
        return sum(known) / len(known) if known else None

    def to_json(self) -> dict[str, Any]:
        """A JSON object: every field, and the pooled rates beside the counts they come from."""
        words, characters = self.words, self.characters
        row = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name not in ("utterances", "interval")}
        pooled = {
            "wer": words.wer,
            "cer": characters.wer,
            "ci95": self.interval.ends if self.interval else None,
            "interval": self.interval.to_json() if self.interval else None,
            "words": words.to_json(),
            "characters": characters.to_json(),
            "insertion_rate": words.insertion_rate,
            "length_ratio": words.length_ratio,
            "runaways": self.runaways,
            "speakers": self.speakers,
            "groups": {
                field: {
                    value: {
                        "wer": group.words.wer,
                        "cer": group.characters.wer,
                        "utterances": group.utterances,
                        "speakers": group.speakers,
                        "words": group.words.to_json(),
                        "characters": group.characters.to_json(),
                    }
                    for value, group in found.items()
                }
                for field, found in self.groups.items()
            },
            "utterances": [dataclasses.asdict(utterance) for utterance in self.utterances],
        }
        return {key: plain(value) for key, value in {**row, **pooled}.items()}

    @classmethod
    def from_json(cls, value: Any, place: str = "report") -> "ScoreReport":
        """Read a report back; the pooled figures are made again from the utterances, so a report cannot contradict itself.

        Raises:
            ScoreError: it is no score report.
        """
        try:
            known = {field.name: value[field.name] for field in dataclasses.fields(cls)}
            known["utterances"] = tuple(ScoredUtterance.from_json(row) for row in value["utterances"])
            known["interval"] = Interval(**value["interval"]) if value["interval"] else None
            for name in ("by", "empty_references", "missing", "extra"):
                known[name] = tuple(value[name])
        except (KeyError, TypeError, AttributeError) as error:
            raise ScoreError(f"{place}: not a score report ({error!r}). Make one with: speechadapt score REFS HYPS --out FILE") from error
        return cls(**known)

    def write(self, path: Path | str) -> None:
        """Write the report as JSON, in one step."""
        write_json(Path(path), self.to_json())

    @classmethod
    def read(cls, path: Path | str) -> "ScoreReport":
        """Read a report that `write` wrote.

        Raises:
            SpeechadaptError: the file is missing or is not JSON.
            ScoreError: it is no score report.
        """
        return cls.from_json(read_json(Path(path)), str(path))


def score(
    references: Manifest,
    hypotheses: Sequence[Hypothesis],
    *,
    system: str,
    normalizer: str = "english",
    by: Sequence[str] = DEFAULT_GROUPS,
    decode: dict[str, Any] | None = None,
    manifest_path: Path | str | None = None,
    missing_as_empty: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> ScoreReport:
    """Count one system's errors against a manifest.

    Both sides are normalized once, the same way, and joined by id. Utterances whose reference is empty then are dropped, named
    and counted; an empty hypothesis never drops one, it is all deletions. Rates are pooled: errors over reference words.

    Args:
        references: the manifest; its `text` is the reference.
        hypotheses: raw text per id; ids that are not in the manifest are ignored and named in `extra`.
        system: a name for people, such as "tiny.en" or "tiny.en + mandarin".
        normalizer: name, as for `get_normalizer`.
        by: fields to group by: of `Utterance`, or keys of its `meta`. Fields that no utterance has a value for are left out.
        decode: the decoder's settings, kept with the report.
        manifest_path: where the manifest was read from, kept with the report.
        missing_as_empty: count utterances without a hypothesis as empty ones instead of refusing.
        resamples, seed: of the bootstrap over speakers; 0 resamples make no interval, for scores that only guide training.

    Raises:
        ScoreError: an utterance has no hypothesis, a hypothesis id stands twice, or a field of `by` does not exist.
        MisuseError: there is no such normalizer.
    """
    normalize = get_normalizer(normalizer)
    said = _by_id(hypotheses)
    ids = {utterance.id for utterance in references}
    missing = tuple(utterance.id for utterance in references if utterance.id not in said)
    if missing and not missing_as_empty:
        raise ScoreError(
            f'{len(missing)} of the {len(references)} utterances of "{references.name}" have no hypothesis from "{system}": {listed(missing)}. '
            "Transcribe them too, or count them as empty with --missing-as-empty (in Python missing_as_empty=True)."
        )
    _check_fields(references, by)
    scored, empty, invented, seconds, timed_audio, audio = [], [], 0, 0.0, 0.0, 0.0
    for utterance in references:
        hypothesis = said.get(utterance.id, Hypothesis(id=utterance.id, text=""))
        if hypothesis.seconds is not None:
            seconds, timed_audio = seconds + hypothesis.seconds, timed_audio + utterance.duration
        reference, heard = normalize(utterance.text), normalize(hypothesis.text)
        if not reference:
            empty.append(utterance.id)
            invented += len(heard.split())
            continue
        audio += utterance.duration
        scored.append(_scored(utterance, hypothesis, reference, heard, normalize, by))
    return ScoreReport(
        system=system,
        manifest=references.name,
        manifest_path=None if manifest_path is None else str(manifest_path),
        fingerprint=references.fingerprint,
        normalizer=normalize.name,
        normalizer_version=normalize.version,
        decode=dict(decode or {}),
        by=tuple(by),
        utterances=tuple(scored),
        interval=wer_interval(scored, resamples=resamples, seed=seed),
        real_time_factor=seconds / timed_audio if timed_audio else None,
        audio_seconds=audio,
        empty_references=tuple(empty),
        words_on_empty=invented,
        missing=missing,
        extra=tuple(key for key in said if key not in ids),
        provenance=provenance.gather(),
    )


def wer_interval(utterances: Sequence[ScoredUtterance], *, resamples: int = RESAMPLES, seed: int = 0) -> Interval | None:
    """The 95 % interval of the pooled WER of some utterances, resampling speakers; its lower end is never below 0."""
    errors = [utterance.words.errors for utterance in utterances]
    words = [utterance.words.reference_length for utterance in utterances]
    interval = rate_interval(errors, words, [utterance.speaker for utterance in utterances], resamples=resamples, seed=seed)
    return None if interval is None else dataclasses.replace(interval, low=max(0.0, interval.low))


def group_members(utterances: Sequence[ScoredUtterance], by: Sequence[str]) -> dict[str, dict[str, list[ScoredUtterance]]]:
    """The utterances by field and value, values sorted; those without a value come under "(unknown)", fields without any value not at all."""
    grouped: dict[str, dict[str, list[ScoredUtterance]]] = {}
    for field in by:
        if not any(field in utterance.groups for utterance in utterances):
            continue
        found: dict[str, list[ScoredUtterance]] = {}
        for utterance in utterances:
            found.setdefault(utterance.groups.get(field, UNKNOWN_GROUP), []).append(utterance)
        grouped[field] = dict(sorted(found.items()))
    return grouped


def plain(value: Any) -> Any:
    """Tuples and records as the lists and objects JSON has."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def _group(members: Sequence[ScoredUtterance]) -> GroupScore:
    return GroupScore(
        utterances=len(members),
        speakers=len({utterance.speaker for utterance in members} - {None}),
        words=pool(utterance.words for utterance in members),
        characters=pool(utterance.characters for utterance in members),
    )


def _scored(utterance: Utterance, hypothesis: Hypothesis, reference: str, heard: str, normalize: Normalizer, by: Sequence[str]) -> ScoredUtterance:
    values = {field: getattr(utterance, field) if field in FIELDS else utterance.meta.get(field) for field in by}
    return ScoredUtterance(
        id=utterance.id,
        speaker=utterance.speaker,
        reference=reference,
        hypothesis=heard,
        words=count_words(reference, heard),
        characters=count_characters(reference, heard, blanks=normalize.spaced),
        avg_logprob=hypothesis.avg_logprob,
        groups={field: str(value) for field, value in values.items() if value is not None},
    )


def _by_id(hypotheses: Sequence[Hypothesis]) -> dict[str, Hypothesis]:
    found: dict[str, Hypothesis] = {}
    for hypothesis in hypotheses:
        if hypothesis.id in found:
            raise ScoreError(f'hypothesis "{hypothesis.id}" stands twice; every utterance is scored once. Keep one of them.')
        found[hypothesis.id] = hypothesis
    return found


def _check_fields(references: Manifest, by: Sequence[str]) -> None:
    unknown = [field for field in by if field not in FIELDS]
    if not unknown:
        return
    keys = {key for utterance in references for key in utterance.meta}
    if wrong := [field for field in unknown if field not in keys]:
        known = ", ".join((*FIELDS, *sorted(keys)))
        raise ScoreError(f'cannot group by {listed(wrong)}: no utterance of "{references.name}" has it. There are: {known}. Check the spelling.')
