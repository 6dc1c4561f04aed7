"""ScoreReport: one system's hypotheses counted against one manifest, joined by id, with all it takes to trust and repeat the count."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from speechadapt import provenance
from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.data.reference import FURTHER, ReferenceSet, texts_of
from speechadapt.errors import MisuseError, ScoreError
from speechadapt.files import read_json, write_json
from speechadapt.score.align import count_pairs
from speechadapt.score.alternatives import Reading, WordGraph, best_reading, is_marked, parse_alternatives, plain_graph
from speechadapt.score.counts import ErrorCounts
from speechadapt.score.grouping import UNKNOWN_GROUP, group_labels, sorted_labels
from speechadapt.score.intervals import RESAMPLES, Interval, rate_interval
from speechadapt.score.phrases import listed
from speechadapt.score.utterances import Labels, ScoredUtterance, ScoredUtterances, pooled, pooled_by
from speechadapt.text.normalize import Normalizer, get_normalizer

__all__ = [
    "ALIGNMENTS", "DEFAULT_GROUPS", "UNKNOWN_GROUP", "GroupScore", "ScoreReport", "ScoredUtterance", "ScoredUtterances", "group_members", "plain",
    "score", "wer_interval",
]  # fmt: skip

DEFAULT_GROUPS = ("accent", "speaker", "gender", "age")
ALIGNMENTS = ("levenshtein", "nist")

LONGEST_WORD = 64
MOST_WORDS = 2_000_000

Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupScore:
    """The pooled counts of the utterances that share a value, such as one accent.

    Attributes:
        utterances, speakers: how many.
        words, characters: error counts.
        mixed: error counts of mixed tokens, see `ScoreReport.mixed`.
        wrong: utterances with at least one word error.
    """

    utterances: int
    speakers: int
    words: ErrorCounts
    characters: ErrorCounts
    mixed: ErrorCounts
    wrong: int

    @property
    def sentence_error_rate(self) -> float | None:
        """Utterances with at least one word error, of all; None without utterances."""
        return self.wrong / self.utterances if self.utterances else None

    def to_json(self) -> dict[str, Any]:
        """The rates, the size and the counts."""
        sizes = {"utterances": self.utterances, "speakers": self.speakers}
        counts = {"words": self.words.to_json(), "characters": self.characters.to_json()}
        return {
            "wer": self.words.wer,
            "cer": self.characters.wer,
            **sizes,
            **counts,
            **_further_rates(self.words, self.mixed, self.wrong, self.utterances),
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReport:
    """One system on one test set.

    Attributes:
        system: what was scored, for people.
        manifest: the name of the manifest (or of the references); manifest_path: its path, if it was read from one.
        fingerprint: of the references; only reports with the same one can be compared.
        normalizer, normalizer_version: what counted as the same word.
        decode: the decoder's settings, such as `{"window": "full", "beam": 1}`.
        by: the fields of the groups.
        utterances: every counted utterance, in the manifest's order; a tuple of them is taken, too.
        interval: 95 % interval of the WER; None with fewer than two utterances.
        real_time_factor: decode seconds per second of audio, over the utterances for which both are known; None if there are none.
        audio_seconds: of the counted utterances whose duration is known.
        empty_references: ids without a reference word after normalization; not counted.
        words_on_empty: hypothesis words on those, which can only be invented.
        empty_seconds: of audio of those; None where a duration is unknown, or there are none.
        missing: ids without a hypothesis, counted as empty ones because that was asked for.
        extra: ids of hypotheses that are not in the manifest; ignored.
        repaired: ids whose texts held half a character (a lone surrogate), which no file can hold; it counts as U+FFFD.
        several: how many counted utterances had several references, or alternatives in them.
        alternatives: whether `{ a / b }`, `(a)/(b)` and `(uh)` in references were read as alternatives and words that may be left out.
        alignment: "levenshtein" (fewest errors, the counts of jiwer) or "nist" (the weights of sclite).
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
    utterances: Sequence[ScoredUtterance]
    interval: Interval | None
    real_time_factor: float | None
    audio_seconds: float
    empty_references: tuple[str, ...] = ()
    words_on_empty: int = 0
    empty_seconds: float | None = None
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    several: int = 0
    alternatives: bool = False
    alignment: str = "levenshtein"
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "utterances", ScoredUtterances.of(self.utterances))

    @property
    def columns(self) -> ScoredUtterances:
        """The utterances as columns, for what adds up over many of them."""
        return ScoredUtterances.of(self.utterances)

    @property
    def words(self) -> ErrorCounts:
        """Word counts, pooled over all utterances."""
        return pooled(self.columns.word_counts)

    @property
    def characters(self) -> ErrorCounts:
        """Character counts, pooled over all utterances."""
        return pooled(self.columns.character_counts)

    @property
    def mixed(self) -> ErrorCounts:
        """Counts for code-switched speech: characters of scripts written without blanks (Chinese, Japanese, Thai...), words of all others."""
        return pooled(self.columns.mixed_counts)

    @property
    def wer(self) -> float | None:
        """Pooled word error rate; None if no reference has a word."""
        return self.words.wer

    @property
    def cer(self) -> float | None:
        """Pooled character error rate; None if no reference has a character."""
        return self.characters.wer

    @property
    def mixed_error_rate(self) -> float | None:
        """Pooled error rate of `mixed`: the MER of code-switching corpora. Equal to the WER where no such script is written."""
        return self.mixed.wer

    @property
    def match_error_rate(self) -> float | None:
        """Pooled word errors per aligned pair: the MER of jiwer."""
        return self.words.match_error_rate

    @property
    def wrong(self) -> int:
        """Utterances with at least one word error."""
        return int(np.count_nonzero(self.columns.word_errors))

    @property
    def sentence_error_rate(self) -> float | None:
        """Utterances with at least one word error, of all; None without utterances."""
        return self.wrong / len(self.utterances) if len(self.utterances) else None

    @property
    def invented_per_minute(self) -> float | None:
        """Words said by the system per minute of audio without speech (`words_on_empty` in `empty_seconds`); None where that is unknown."""
        return self.words_on_empty / (self.empty_seconds / 60) if self.empty_seconds else None

    @property
    def speakers(self) -> int:
        """How many known speakers were counted."""
        return len(self.columns.speakers.names)

    @property
    def runaways(self) -> tuple[str, ...]:
        """Ids of utterances that look like loops or invented text."""
        return self.columns.runaways

    @property
    def groups(self) -> dict[str, dict[str, GroupScore]]:
        """Pooled counts by field and value, values sorted; the values of one field add up to the whole."""
        columns = self.columns
        return {field: _groups(columns, columns.groups[field]) for field in self.by if field in columns.groups}

    def macro_wer(self, field: str) -> float | None:
        """The mean of the groups' WERs, which weighs small groups as much as large ones; None if the field is not grouped by."""
        rates = [group.words.wer for group in self.groups.get(field, {}).values()]
        known = [rate for rate in rates if rate is not None]
        return sum(known) / len(known) if known else None

    def to_json(self) -> dict[str, Any]:
        """A JSON object: every field, and the pooled rates beside the counts they come from."""
        words, characters = self.words, self.characters
        row = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name not in ("utterances", "interval")}
        made = {
            "wer": words.wer,
            "cer": characters.wer,
            "ci95": self.interval.ends if self.interval else None,
            "interval": self.interval.to_json() if self.interval else None,
            "words": words.to_json(),
            "characters": characters.to_json(),
            "insertion_rate": words.insertion_rate,
            "length_ratio": words.length_ratio,
            **_further_rates(words, self.mixed, self.wrong, len(self.utterances)),
            "invented_per_minute": self.invented_per_minute,
            "runaways": self.runaways,
            "speakers": self.speakers,
            "groups": {field: {value: group.to_json() for value, group in found.items()} for field, found in self.groups.items()},
        }
        return {**plain({**row, **made}), "utterances": list(self.columns.rows())}

    @classmethod
    def from_json(cls, value: Any, place: str = "report") -> "ScoreReport":
        """Read a report back; the pooled figures are made again from the utterances, so a report cannot contradict itself.

        Reports of version 0.1.0 are read, too: what they do not hold has its default.

        Raises:
            ScoreError: it is no score report.
        """
        try:
            known = {field.name: value[field.name] for field in dataclasses.fields(cls) if field.name in value or field.name not in ADDED}
            known["utterances"] = ScoredUtterances.of(ScoredUtterance.from_json(row) for row in value["utterances"])
            known["interval"] = Interval(**value["interval"]) if value["interval"] else None
            for name in ("by", "empty_references", "missing", "extra", "repaired"):
                if name in known:
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


ADDED = ("empty_seconds", "repaired", "several", "alternatives", "alignment")
"""Fields that reports of version 0.1.0 do not have."""


def score(
    references: Manifest | ReferenceSet,
    hypotheses: Sequence[Hypothesis],
    *,
    system: str,
    normalizer: str | Normalizer = "english",
    by: Sequence[str] = DEFAULT_GROUPS,
    decode: dict[str, Any] | None = None,
    manifest_path: Path | str | None = None,
    missing_as_empty: bool = False,
    alternatives: bool = False,
    alignment: str = "levenshtein",
    resamples: int = RESAMPLES,
    seed: int = 0,
    interval_method: str = "expanded",
    interval_unit: str = "speaker",
) -> ScoreReport:
    """Count one system's errors against a test set.

    Both sides are normalized once, the same way, and joined by id. Of several references of an utterance, and of several readings of
    one, the one with the fewest errors counts (of equals the first). Utterances whose reference is empty then are dropped, named
    and counted; an empty hypothesis never drops one, it is all deletions. Rates are pooled: errors over reference words.

    Args:
        references: a manifest, whose `text` is the reference (with those of `references` in its `meta`), or references without audio.
        hypotheses: raw text per id; ids that are not in the manifest are ignored and named in `extra`.
        system: a name for people, such as "tiny.en" or "tiny.en + mandarin".
        normalizer: name, as for `get_normalizer`, or a normalizer.
        by: fields to group by: of the references, or derived ones; see `group_labels`. Fields that no utterance has a value for are left out.
        decode: the decoder's settings, kept with the report.
        manifest_path: where the manifest was read from, kept with the report.
        missing_as_empty: count utterances without a hypothesis as empty ones instead of refusing.
        alternatives: read `{ a / b }`, `(a)/(b)` and `(uh)` in references as alternatives and words that may be left out; see
            `speechadapt.score.alternatives`.
        alignment: "levenshtein" finds the fewest word errors, as jiwer does; "nist" weighs substitutions 4, insertions and deletions 3,
            as sclite does, which can count an error more and is slower. Characters are always counted the first way.
        resamples, seed: of the bootstrap over speakers; 0 resamples make no interval, for scores that only guide training.
        interval_method, interval_unit: how the interval is made, as for `rate_interval`.

    Raises:
        ScoreError: an utterance has no hypothesis, a hypothesis id stands twice, a field of `by` does not exist, or alternatives are not closed.
        MisuseError: there is no such normalizer or alignment.
    """
    if alignment not in ALIGNMENTS:
        raise MisuseError(f'alignment is "{alignment}", must be one of {", ".join(ALIGNMENTS)}. Correct it.')
    rules = get_normalizer(normalizer)
    test = ReferenceSet.from_manifest(references) if isinstance(references, Manifest) else references
    rows = test.manifest.utterances if test.manifest is not None else tuple(test)
    ids = [row.id for row in rows]
    said = _by_id(hypotheses)
    missing = tuple(key for key in ids if key not in said)
    if missing and not missing_as_empty:
        raise ScoreError(
            f'{len(missing)} of the {len(ids)} utterances of "{test.name}" have no hypothesis from "{system}": {listed(missing)}. '
            "Transcribe them too, or count them as empty with --missing-as-empty (in Python missing_as_empty=True)."
        )
    found = [said.get(key) for key in ids]
    several = _several(test, alternatives)
    raw_spoken, raw_heard = [row.text for row in rows], ["" if one is None else one.text for one in found]
    repaired = [place for place, texts in enumerate(zip(raw_spoken, raw_heard, strict=True)) if _broken(texts) or _broken(several.get(place, ()))]
    for place in repaired:
        raw_spoken[place], raw_heard[place] = _writable(raw_spoken[place]), _writable(raw_heard[place])
    words = _Words(rules)
    spoken, heard = _normalized(raw_spoken, rules, words), _normalized(raw_heard, rules, words)
    del raw_spoken, raw_heard, words
    readings: dict[int, Reading] = {}
    for place, wordings in several.items():
        graphs = [_graph(_writable(text), rules, ids[place], alternatives) for text in wordings]
        spoken[place] = ""
        if any(graph.has_words for graph in graphs):
            readings[place] = best_reading(graphs, heard[place], nist=alignment == "nist", key=ids[place])
            spoken[place] = readings[place].text
    labels = group_labels(references, by, rules, texts=spoken)
    kept = [place for place, text in enumerate(spoken) if text or place in readings]
    empty = [place for place, text in enumerate(spoken) if not text and place not in readings]
    word_counts, character_counts = count_pairs(_at(spoken, kept), _at(heard, kept), blanks=rules.spaced)
    for number, place in enumerate(kept):
        if place in readings:
            word_counts[number] = readings[place].tally
        elif alignment == "nist" and word_counts[number, 1:].any():
            word_counts[number] = best_reading([plain_graph(spoken[place].split())], heard[place], nist=True, key=ids[place]).tally
    utterances = ScoredUtterances(
        ids=_at(ids, kept),
        speakers=Labels.of([rows[place].speaker for place in kept]),
        references=_at(spoken, kept),
        hypotheses=_at(heard, kept),
        word_counts=word_counts,
        character_counts=character_counts,
        avg_logprobs=[None if (one := found[place]) is None else one.avg_logprob for place in kept],
        groups={field: Labels.of(_at(column, kept)) for field, column in labels.items()},
    )
    durations = [row.duration for row in rows]
    return ScoreReport(
        system=_writable(system),
        manifest=test.name,
        manifest_path=_path(manifest_path, test),
        fingerprint=test.fingerprint,
        normalizer=rules.name,
        normalizer_version=rules.version,
        decode=dict(decode or {}),
        by=tuple(by),
        utterances=utterances,
        interval=wer_interval(utterances, resamples=resamples, seed=seed, method=interval_method, unit=interval_unit),
        real_time_factor=_real_time_factor(found, durations),
        audio_seconds=sum((durations[place] or 0.0 for place in kept), 0.0),
        empty_references=tuple(ids[place] for place in empty),
        words_on_empty=sum(len(heard[place].split()) for place in empty),
        empty_seconds=_known_sum(durations[place] for place in empty),
        missing=missing,
        extra=_extra(said, ids),
        repaired=tuple(ids[place] for place in repaired),
        several=len(readings),
        alternatives=alternatives,
        alignment=alignment,
        provenance=provenance.gather(),
    )


def wer_interval(
    utterances: Sequence[ScoredUtterance], *, resamples: int = RESAMPLES, seed: int = 0, method: str = "expanded", unit: str = "speaker"
) -> Interval | None:
    """The 95 % interval of the pooled WER of some utterances, as of `rate_interval`; its lower end is never below 0."""
    speakers: list[str | None]
    if isinstance(utterances, ScoredUtterances):
        errors, words, speakers = utterances.word_errors, utterances.reference_words, list(utterances.speakers)
    else:
        errors = np.array([utterance.words.errors for utterance in utterances], dtype=np.int64)
        words = np.array([utterance.words.reference_length for utterance in utterances], dtype=np.int64)
        speakers = [utterance.speaker for utterance in utterances]
    interval = rate_interval(errors, words, speakers, resamples=resamples, seed=seed, method=method, unit=unit)
    return None if interval is None else dataclasses.replace(interval, low=max(0.0, interval.low))


def group_members(utterances: Sequence[ScoredUtterance], by: Sequence[str]) -> dict[str, dict[str, list[ScoredUtterance]]]:
    """The utterances by field and value, values sorted; those without a value come under "(unknown)", fields without any value not at all."""
    grouped: dict[str, dict[str, list[ScoredUtterance]]] = {}
    members = list(utterances)
    for field in by:
        if not any(field in utterance.groups for utterance in members):
            continue
        found: dict[str, list[ScoredUtterance]] = {}
        for utterance in members:
            found.setdefault(utterance.groups.get(field, UNKNOWN_GROUP), []).append(utterance)
        grouped[field] = {value: found[value] for value in sorted_labels(found)}
    return grouped


def plain(value: Any) -> Any:
    """Tuples and records as the lists and objects JSON has."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def _further_rates(words: ErrorCounts, mixed: ErrorCounts, wrong: int, utterances: int) -> dict[str, Any]:
    return {
        "substitution_rate": words.substitution_rate,
        "deletion_rate": words.deletion_rate,
        "insertion_rate": words.insertion_rate,
        "match_error_rate": words.match_error_rate,
        "mixed_error_rate": mixed.wer,
        "information_lost": words.information_lost,
        "information_preserved": words.information_preserved,
        "sentence_error_rate": wrong / utterances if utterances else None,
    }


def _groups(columns: ScoredUtterances, labels: Labels) -> dict[str, GroupScore]:
    """Those without a label are one group more."""
    names = [*labels.names, UNKNOWN_GROUP]
    codes = np.where(labels.codes < 0, len(labels.names), labels.codes)
    if UNKNOWN_GROUP in labels.names:  # somebody's own label
        codes = np.where(labels.codes < 0, labels.names.index(UNKNOWN_GROUP), labels.codes)
    size = len(names)
    utterances = np.bincount(codes, minlength=size)
    wrong = np.bincount(codes, weights=columns.word_errors > 0, minlength=size)
    known = columns.speakers.codes >= 0
    pairs = np.unique(codes[known].astype(np.int64) * max(1, len(columns.speakers.names)) + columns.speakers.codes[known])
    speakers = np.bincount(pairs // max(1, len(columns.speakers.names)), minlength=size)
    words, characters, mixed = (pooled_by(codes, counts, size) for counts in (columns.word_counts, columns.character_counts, columns.mixed_counts))
    found = {
        name: GroupScore(
            utterances=int(utterances[place]),
            speakers=int(speakers[place]),
            words=words[place],
            characters=characters[place],
            mixed=mixed[place],
            wrong=int(wrong[place]),
        )
        for place, name in enumerate(names)
        if utterances[place]
    }
    return {name: found[name] for name in sorted_labels(found)}


def _by_id(hypotheses: Sequence[Hypothesis]) -> dict[str, Hypothesis]:
    found = {hypothesis.id: hypothesis for hypothesis in hypotheses}
    if len(found) < len(hypotheses):
        repeated = next(key for key, count in Counter(hypothesis.id for hypothesis in hypotheses).items() if count > 1)
        raise ScoreError(f'hypothesis "{repeated}" stands twice; every utterance is scored once. Keep one of them.')
    return found


class _Words(dict[str, str]):
    """The form of each word, normalized once; what is no word (a sentence of a script without blanks) is not remembered."""

    def __init__(self, rules: Normalizer) -> None:
        super().__init__()
        self.rules = rules

    def __missing__(self, word: str) -> str:
        form = self.rules(word)
        if len(word) <= LONGEST_WORD and len(self) < MOST_WORDS:
            self[word] = form
        return form

    def normalize(self, text: str) -> str:
        form = " ".join(map(self.__getitem__, text.split()))
        return " ".join(form.split()) if "  " in form or form[:1] == " " or form[-1:] == " " else form  # a word may come to nothing


def _normalized(texts: list[str], rules: Normalizer, words: _Words) -> list[str]:
    """The form of each text; each different word, or else each different text, is normalized once. A text that is its own form is kept as it is."""
    forms: Iterable[str]
    if rules.function is str:
        forms = map(rules, texts)
    elif rules.wordwise:
        forms = map(words.normalize, texts)
    else:
        known = {text: rules(text) for text in dict.fromkeys(texts)}
        forms = map(known.__getitem__, texts)
    return [text if form == text else form for text, form in zip(texts, forms, strict=True)]


def _at(values: list[Value], places: Sequence[int]) -> list[Value]:
    return values if len(places) == len(values) else [values[place] for place in places]


def _several(test: ReferenceSet, alternatives: bool) -> dict[int, tuple[str, ...]]:
    """The wordings of the utterances that have several, or marks that allow several readings, by place."""
    if test.manifest is not None:
        found = {
            place: texts_of(utterance) if FURTHER in utterance.meta else (utterance.text,)
            for place, utterance in enumerate(test.manifest.utterances)
            if FURTHER in utterance.meta or (alternatives and is_marked(utterance.text))
        }
    else:
        found = {place: reference.texts for place, reference in enumerate(test)}
    return {place: texts for place, texts in found.items() if len(texts) > 1 or (alternatives and is_marked(texts[0]))}


def _graph(text: str, rules: Normalizer, key: str, alternatives: bool) -> WordGraph:
    if alternatives and is_marked(text):
        return parse_alternatives(text, rules, key=key)
    return plain_graph(rules(text).split())


def _extra(said: dict[str, Hypothesis], ids: Sequence[str]) -> tuple[str, ...]:
    known = set(ids)
    return tuple(_writable(key) for key in said if key not in known)


def _broken(texts: Sequence[str]) -> bool:
    return not all(map(str.isascii, texts)) and any(_writable(text) is not text for text in texts)


def _writable(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which UTF-8 cannot write."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\N{REPLACEMENT CHARACTER}" if "\ud800" <= letter <= "\udfff" else letter for letter in text)
    return text


def _path(given: Path | str | None, test: ReferenceSet) -> str | None:
    path = given if given is not None else test.path
    return None if path is None else _writable(str(path))


def _real_time_factor(found: Sequence[Hypothesis | None], durations: Sequence[float | None]) -> float | None:
    seconds = timed_audio = 0.0
    for one, duration in zip(found, durations, strict=True):
        if one is not None and one.seconds is not None and duration is not None:
            seconds, timed_audio = seconds + one.seconds, timed_audio + duration
    return seconds / timed_audio if timed_audio else None


def _known_sum(durations: Iterable[float | None]) -> float | None:
    """None if there is nothing to add, or a part of it is not known."""
    known = list(durations)
    return None if not known or None in known else sum(one for one in known if one is not None)
