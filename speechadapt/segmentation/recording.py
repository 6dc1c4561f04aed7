"""SegmentedRecording: a long recording and its transcript as utterances with times, and everything that did not fit, with the reason."""

import bisect
import dataclasses
import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from speechadapt.adapt.adapter import load_adapter, read_adapter
from speechadapt.errors import LabelError, MisuseError
from speechadapt.models.ctc import CTCModel
from speechadapt.models.load import load_model
from speechadapt.models.vocabulary import Vocabulary
from speechadapt.segmentation.alignment import Heard, Limits, Placed, place_phrases
from speechadapt.segmentation.cutting import Sounding, find_edges, group_phrases
from speechadapt.segmentation.emissions import Emissions, listen
from speechadapt.segmentation.phrases import MOST_WORDS, Phrase, join_phrases, split_phrases
from speechadapt.units import Seconds

STRAY_LETTERS = 3
"""More letters than these between two phrases, and they are not put into one utterance: somebody says something that is not written."""
LEAST_SPEECH = 10
"""Letters from which on speech without text is told."""
LEAST_SHARE = 0.05
"""Where less than this of the transcript and of the recording fit together, those few phrases are an accident, such as a usual sentence."""
LONGEST_HEARD = 500
"""Letters of what was heard that are told of one part."""
CUT_PAUSE: Seconds = 0.2
"""A pause between two words at which a long sentence is cut into phrases."""
WORD_GAP: Seconds = 0.4
SPEECH_GAP: Seconds = 1.0
"""Speech without text is told in stretches whose pauses are shorter."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationSettings:
    """How to segment.

    Attributes:
        min_confidence: of a phrase, 0 to 1: the geometric mean of its letters' probabilities where they were put.
        max_cer: of a phrase: letters that were heard there against its own.
        max_extra: most letters heard between two neighboring letters of a phrase.
        longest, gap: of an utterance, and of a pause between two of its sentences, in seconds. pad: silence left at both its ends, in seconds.
        drop: phrases that hold this are left out. remove: what this matches is taken out of the text.

    Raises:
        MisuseError: a value outside its range; the message names it.
    """

    min_confidence: float = 0.1
    max_cer: float = 0.6
    max_extra: int = 12
    longest: Seconds = 28.0
    gap: Seconds = 0.5
    pad: Seconds = 0.15
    drop: re.Pattern[str] | None = None
    remove: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        ranges = {"min_confidence": (0, 1), "max_cer": (0, math.inf), "max_extra": (0, math.inf), "longest": (1, 600), "gap": (0, 60), "pad": (0, 2)}
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if not least <= value <= most:
                allowed = f"{least:g} to {most:g}" if most < math.inf else f"{least:g} or more"
                raise MisuseError(f"{name} is {value:g}, must be {allowed}. Correct it.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AlignedSegment:
    """One utterance that was found.

    Attributes:
        start, end: where to cut, in seconds. text: without marks. text_raw: as written.
        confidence, cer: as of `Placed`, over all of its phrases.
    """

    start: Seconds
    end: Seconds
    text: str
    text_raw: str
    confidence: float
    cer: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RejectedPart:
    """A phrase that is in no utterance, or speech that no phrase belongs to.

    Attributes:
        start, end: seconds: between the phrases around it that were found. text: as written; empty for speech without text.
        heard: what was recognized there, for a person.
        reason: a short fixed word: not-heard, extra-speech, alone, too-long, unspellable, unintelligible, event-only,
            speech-without-text.
        confidence, cer: where it was put before it was taken out; None where nowhere.
        message: a sentence.
    """

    start: Seconds
    end: Seconds
    text: str
    heard: str
    reason: str
    confidence: float | None
    cer: float | None
    message: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SegmentedRecording:
    """What came of a recording.

    Attributes:
        duration: seconds. phrases: of the transcript. found: those that are in a segment.
        segments, rejected: by time.
    """

    duration: Seconds
    phrases: int
    found: int
    segments: tuple[AlignedSegment, ...]
    rejected: tuple[RejectedPart, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "SegmentedRecording":
        """Read `to_json` again.

        Raises:
            KeyError, TypeError: it is something else.
        """
        segments = tuple(AlignedSegment(**one) for one in row["segments"])
        rejected = tuple(RejectedPart(**one) for one in row["rejected"])
        return cls(**{**row, "segments": segments, "rejected": rejected})


def load_aligner(base: str | None, adapter: Path | None = None, *, language: str | None = None) -> CTCModel:
    """Load a CTC model for `segment_recording`, an adapter inside if there is one.

    Args:
        base: a folder, a Hub id or `embedded:NAME`; None takes the one the adapter was trained on.
        adapter: folder of an adapter made by speechadapt.
        language: of the transcripts; None takes the adapter's.

    Raises:
        MisuseError: neither is given, or the model is of another family, or has no output layer.
        ModelError, AdapterError: it cannot be used.
    """
    facts = None if adapter is None else read_adapter(adapter)
    if facts is not None:
        base, language = base or facts.base_id, language or facts.language
    if base is None:
        raise MisuseError("neither a base model nor an adapter was given. Give at least one of them.")
    model = load_model(base, language=language)
    if not isinstance(model, CTCModel):
        raise MisuseError(
            f"{base}: a model of the family {model.family}, which does not tell when it hears a letter. "
            "Choose a CTC model, such as one of wav2vec 2.0."
        )
    if facts is not None:
        load_adapter(model, facts.folder)
    if model.vocabulary is None:
        raise MisuseError(f"{base}: was only pretrained and has no output layer, so it writes nothing. Choose one that was trained to transcribe.")
    return model


def segment_recording(
    model: CTCModel, recording: Path, transcript: str, settings: SegmentationSettings = SegmentationSettings(), *, progress: bool = True
) -> SegmentedRecording:
    """Find a transcript in a recording of any length, and cut it into utterances.

    Every phrase is judged where it was put. Those that cannot be heard there, and speech that no phrase belongs to, are told in `rejected`.

    Args:
        model: of the language of the transcript. It need not be good: anchors are rare where a third of the letters is wrong, but enough.
        recording: any format that `read_waveform` reads.
        transcript: what is said in it, in order, in ordinary spelling.
        progress: show a bar on stderr.

    Raises:
        AudioError: not a recording, or one that cannot be decoded to its end.
    """
    phrases = [one for phrase in _split(transcript, settings.remove) if (one := _Spelled.read(phrase, model, settings)).ids or one.problem]
    vocabulary = model.vocabulary
    if vocabulary is None:
        raise ValueError("the model has no output layer")  # `load_aligner` refuses it
    emissions = listen(model, recording, {token for phrase in phrases for token in phrase.ids}, progress=progress)
    limits = Limits(min_confidence=settings.min_confidence, max_cer=settings.max_cer, max_extra=settings.max_extra)
    placed, heard = place_phrases(emissions, [phrase.ids for phrase in phrases], vocabulary, limits)
    better = _cut_at_pauses(phrases, placed, limits, emissions)
    if better != [phrase.raw for phrase in phrases]:
        phrases = [_Spelled.read(phrase, model, settings) for phrase in better]
        placed, heard = place_phrases(emissions, [phrase.ids for phrase in phrases], vocabulary, limits)
    letters = heard.without(vocabulary.separator)
    solid = _solid(letters, [one for one in placed if one is not None and limits.allow(one)], emissions)
    work = _Work(phrases=phrases, placed=placed, heard=heard, letters=letters, solid=solid, emissions=emissions, vocabulary=vocabulary)
    numbers = [number for number, one in enumerate(placed) if limits.allow(one)]
    alone = frozenset() if _belong_together(work, numbers) else frozenset(numbers)
    sounding = _sound(work, [number for number in numbers if number not in alone])
    segments, long = _make_segments(work, sounding, settings)
    taken = [one for one in sounding if one.number not in long]
    rejected = [*_reject_phrases(work, taken, long, alone, limits), *_find_unwritten(work, taken)]
    return SegmentedRecording(
        duration=round(emissions.duration, 3),
        phrases=len(phrases),
        found=len(taken),
        segments=tuple(segments),
        rejected=tuple(sorted(rejected, key=lambda part: (part.start, part.end))),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Spelled:
    """A phrase as written, without its marks, and as token ids; `problem` is a reason and a sentence where it cannot be sought."""

    raw: Phrase
    clean: Phrase
    ids: tuple[int, ...] = ()
    problem: tuple[str, str] | None = None

    @classmethod
    def read(cls, phrase: Phrase, model: CTCModel, settings: SegmentationSettings) -> "_Spelled":
        text = phrase.text if settings.remove is None else " ".join(settings.remove.sub(" ", phrase.text).split())
        clean = dataclasses.replace(phrase, text=text)
        if settings.drop is not None and (found := settings.drop.search(phrase.text)) is not None:
            return cls(raw=phrase, clean=clean, problem=("unintelligible", f'holds "{found[0][:40]}".'))
        if not any(letter.isalnum() for letter in text):
            told = ("event-only", "nothing is said in it.") if any(letter.isalnum() for letter in phrase.text) else None
            return cls(raw=phrase, clean=clean, problem=told)
        try:
            return cls(raw=phrase, clean=clean, ids=tuple(model.make_labels(text, "phrase")))
        except LabelError as error:
            return cls(raw=phrase, clean=clean, problem=("unspellable", str(error).removeprefix('utterance "phrase": ')))


def _split(transcript: str, marks: re.Pattern[str] | None) -> list[Phrase]:
    """The phrases of a transcript; no mark is cut, whatever stands in it."""
    if marks is None:
        return split_phrases(transcript)
    kept: list[str] = []

    def put_aside(found: re.Match[str]) -> str:
        if not found[0]:
            return ""
        kept.append(found[0])
        return f"\ufdd0{len(kept) - 1}\ufdd1"  # two codes that are no characters and stand in no text

    plain = marks.sub(put_aside, re.sub("[\ufdd0\ufdd1]", "", transcript))
    return [
        dataclasses.replace(phrase, text=" ".join(re.sub("\ufdd0([0-9]+)\ufdd1", lambda found: kept[int(found[1])], phrase.text).split()))
        for phrase in split_phrases(plain)
    ]


def _cut_at_pauses(phrases: Sequence[_Spelled], placed: Sequence[Placed | None], limits: Limits, emissions: Emissions) -> list[Phrase]:
    """The phrases of long sentences, and of text without marks, cut where the speaker pauses instead of in equal parts.

    Phrases that were not found stay as they are, and so do those whose words cannot be told apart in what is spelled (a number is several).
    """
    least = CUT_PAUSE / emissions.seconds_per_frame
    better: list[Phrase] = []
    words: list[str] = []
    times: list[tuple[int, int]] = []

    def divide(last: Phrase) -> None:
        """Put the words that were gathered, `last` the phrase of the last of them, as phrases."""
        for first, end in _divide_words([after[0] - before[1] for before, after in itertools.pairwise(times)], least) if words else ():
            more = end < len(words)
            better.append(Phrase(text=" ".join(words[first:end]), ends=not more and last.ends, spaced=more or last.spaced))
        words.clear()
        times.clear()

    for number, phrase in enumerate(phrases):
        one, own = placed[number], phrase.raw.text.split()
        inside = not phrase.raw.ends or (number > 0 and not phrases[number - 1].raw.ends)  # a part of a sentence
        if one is None or not limits.allow(one) or not inside or phrase.raw != phrase.clean or len(own) != len(one.words):
            divide(phrases[number - 1].raw)
            better.append(phrase.raw)
            continue
        words += own
        times += one.words
        if phrase.raw.ends or not phrase.raw.spaced:
            divide(phrase.raw)
    if phrases:
        divide(phrases[-1].raw)
    return better


def _divide_words(pauses: Sequence[int], least: float) -> list[tuple[int, int]]:
    """(first, one more than the last) word of each part: cut at every pause of at least `least` frames, and what is still long at its longest."""
    edges = [0, *(place for place, pause in enumerate(pauses, start=1) if pause >= least), len(pauses) + 1]
    todo, parts = list(itertools.pairwise(edges))[::-1], []
    while todo:
        first, last = todo.pop()
        if last - first <= MOST_WORDS:
            parts.append((first, last))
            continue
        cut = max(range(first + 1, last), key=lambda place: (pauses[place - 1], -abs(2 * place - first - last)))
        todo += [(cut, last), (first, cut)]
    return parts


def _solid(letters: Heard, found: Sequence[Placed], emissions: Emissions) -> NDArray[np.int64]:
    """The frames of letters that are surely speech: all but a few alone outside of the phrases that were found, which are their echo or a breath."""
    own = np.zeros(len(emissions.path) + 2, bool)
    for one in found:
        own[max(0, one.start - 1) : one.end + 1] = True
    foreign = np.flatnonzero(~own[letters.frames])
    stray: list[int] = []
    for group in np.split(foreign, np.flatnonzero(np.diff(letters.frames[foreign]) * emissions.seconds_per_frame > WORD_GAP) + 1):
        if len(group) <= STRAY_LETTERS:
            stray += group.tolist()
    return np.delete(letters.frames, stray)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """All that is known of a recording on its way to segments.

    `heard` is what was recognized, `letters` the same without separators, `solid` the frames of those that are no stray ones.
    """

    phrases: Sequence[_Spelled]
    placed: Sequence[Placed | None]
    heard: Heard
    letters: Heard
    solid: NDArray[np.int64]
    emissions: Emissions
    vocabulary: Vocabulary

    def place(self, number: int) -> Placed:
        """Of a phrase that was found."""
        placed = self.placed[number]
        if placed is None:
            raise ValueError(f"phrase {number} has no place")
        return placed

    def outside(self, first: int, last: int) -> tuple[int, int]:
        """Of the letters that are not in phrases `first` to `last`: the end of the nearest one before them, and the beginning of the one behind."""
        before, behind = np.searchsorted(self.solid, [self.place(first).start - 1, self.place(last).end + 1])
        left = int(self.solid[before - 1]) + 1 if before else 0
        return left, int(self.solid[behind]) if behind < len(self.solid) else len(self.emissions.path)

    def say(self, start: int, end: int) -> str:
        """What was recognized in frames `start` to `end - 1`; a pause divides words also where the model writes nothing for it."""
        first, behind = np.searchsorted(self.heard.frames, [start, end])
        ids, frames = self.heard.ids[first:behind], self.heard.frames[first:behind]
        pauses = np.flatnonzero(np.diff(frames) * self.emissions.seconds_per_frame > WORD_GAP) + 1
        return " ".join(text for part in np.split(ids, pauses) if (text := self.vocabulary.decode(part.tolist())))

    def seconds(self, frame: int) -> Seconds:
        """When a frame begins, never behind the recording's end."""
        return min(frame * self.emissions.seconds_per_frame, self.emissions.duration)


def _sound(work: _Work, numbers: Sequence[int]) -> list[Sounding]:
    """The phrases that were found, with the frames in which they sound; none reaches into another."""
    sounding: list[Sounding] = []
    for place, number in enumerate(numbers):
        own = work.place(number)
        left, right = work.outside(number, number)
        left = max(left, sounding[-1].end) if sounding else left
        right = min(right, work.place(numbers[place + 1]).start) if place + 1 < len(numbers) else right
        start, end = find_edges(own, min(left, own.start), max(right, own.end), work.emissions)
        sounding.append(Sounding(number=number, start=start, end=end, ends=work.phrases[number].raw.ends))
    return sounding


def _make_segments(
    work: _Work, sounding: Sequence[Sounding], settings: SegmentationSettings
) -> tuple[list[AlignedSegment], dict[int, AlignedSegment]]:
    """The utterances; and those single phrases that are too long for one, by their number."""
    joined = []
    for before, after in itertools.pairwise(sounding):
        stray = work.letters.between(work.place(before.number).end + 1, work.place(after.number).start - 1)
        joined.append(after.number == before.number + 1 and len(stray) <= STRAY_LETTERS)
    groups = group_phrases(
        sounding,
        joined,
        gap=settings.gap,
        longest=settings.longest - 2 * settings.pad,
        seconds_per_frame=work.emissions.seconds_per_frame,
    )
    segments, long = [], {}
    for place, group in enumerate(groups):
        left, right = work.outside(group[0].number, group[-1].number)
        left = max(left, groups[place - 1][-1].end) if place else left
        right = min(right, groups[place + 1][0].start) if place + 1 < len(groups) else right
        segment = _make_segment(work, group, min(left, group[0].start), max(right, group[-1].end), settings)
        if segment.end - segment.start > settings.longest + 1e-6:
            long[group[0].number] = segment
        else:
            segments.append(segment)
    return segments, long


def _make_segment(work: _Work, group: Sequence[Sounding], left: int, right: int, settings: SegmentationSettings) -> AlignedSegment:
    """One utterance, with silence on both sides that ends halfway to whatever else sounds (up to frame `left`, from frame `right` on)."""
    frame = work.emissions.seconds_per_frame
    start, end = group[0].start, group[-1].end
    low = (left + start) / 2 * frame if left else 0.0
    high = (right + end) / 2 * frame if right < len(work.emissions.path) else work.emissions.duration
    placed = [work.place(one.number) for one in group]
    spelled = [work.phrases[one.number] for one in group]
    own = [token for phrase in spelled for token in phrase.ids if token != work.vocabulary.separator]
    there = work.letters.between(placed[0].start - 1, placed[-1].end + 1).tolist()
    logprob = sum(len(phrase.ids) * math.log(max(one.confidence, 1e-12)) for phrase, one in zip(spelled, placed, strict=True))
    return AlignedSegment(
        start=round(max(low, start * frame - settings.pad), 3),
        end=round(min(high, end * frame + settings.pad), 3),
        text=join_phrases([phrase.clean for phrase in spelled]).text,
        text_raw=join_phrases([phrase.raw for phrase in spelled]).text,
        confidence=round(math.exp(logprob / sum(len(phrase.ids) for phrase in spelled)), 4),
        cer=round(Levenshtein.distance(own, there) / len(own), 4),
    )


def _belong_together(work: _Work, numbers: Sequence[int]) -> bool:
    """Whether enough of the transcript was found, or of what is said was written, for the phrases that were found to be no accident."""
    written = sum(len(phrase.ids) for phrase in work.phrases)
    found = sum(len(work.phrases[number].ids) for number in numbers)
    said = sum(len(work.letters.between(work.place(number).start - 1, work.place(number).end + 1)) for number in numbers)
    return not numbers or found >= LEAST_SHARE * written or said >= LEAST_SHARE * len(work.letters.ids)


def _reject_phrases(
    work: _Work, taken: Sequence[Sounding], long: dict[int, AlignedSegment], alone: frozenset[int], limits: Limits
) -> list[RejectedPart]:
    """The phrases that are in no segment, with the place where each should be."""
    numbers = [one.number for one in taken]
    parts = []
    for number, phrase in enumerate(work.phrases):
        behind = bisect.bisect_left(numbers, number)
        if behind < len(numbers) and numbers[behind] == number:
            continue
        start = taken[behind - 1].end if behind else 0
        end = taken[behind].start if behind < len(taken) else len(work.emissions.path)
        placed, heard = work.placed[number], work.say(start, end)
        if number in long:
            one = long[number]
            reason, told = "too-long", f"takes {one.end - one.start:.1f} s, perhaps with a pause inside. Write it as two sentences, or raise longest."
        elif number in alone:
            reason, told = "alone", f"it fits, but less than {LEAST_SHARE:.0%} of the transcript does, and of what is said: another recording's."
        elif phrase.problem is not None:
            reason, told = phrase.problem
        elif placed is None:
            reason, told = "not-heard", f"there is no room for it, or nothing near it was recognized. Heard there: {_quoted(heard)}."
        elif placed.confidence >= limits.min_confidence and placed.extra > limits.max_extra:
            inside = _quoted(work.say(placed.start, placed.end))
            reason, told = "extra-speech", f"{placed.extra} letters that are not written are heard in one place of it. Heard there: {inside}."
        else:
            reason = "not-heard"
            told = f"where it fits best its confidence is {placed.confidence:.2f} and its CER {placed.cer:.2f}. Heard there: {_quoted(heard)}."
        parts.append(
            RejectedPart(
                start=round(work.seconds(start), 3),
                end=round(work.seconds(end), 3),
                text=phrase.raw.text,
                heard=heard[:LONGEST_HEARD],
                reason=reason,
                confidence=None if placed is None else round(placed.confidence, 4),
                cer=None if placed is None else round(placed.cer, 4),
                message=told,
            )
        )
    return parts


def _find_unwritten(work: _Work, taken: Sequence[Sounding]) -> list[RejectedPart]:
    """Speech between the phrases that were found, beyond what phrases that were not found could have been."""
    parts = []
    none = Sounding(number=-1, start=0, end=0, ends=True)
    last = Sounding(number=len(work.phrases), start=len(work.emissions.path), end=len(work.emissions.path), ends=True)
    for before, after in itertools.pairwise([none, *taken, last]):
        begin = work.place(before.number).end + 1 if before.number >= 0 else 0
        end = work.place(after.number).start - 1 if after.number < len(work.phrases) else len(work.emissions.path)
        missing = sum(len(work.phrases[number].ids) for number in range(before.number + 1, after.number))
        first, behind = np.searchsorted(work.solid, [begin, max(begin, end)])
        frames = work.solid[first:behind]
        if len(frames) - missing < LEAST_SPEECH:
            continue
        pauses = np.flatnonzero(np.diff(frames) * work.emissions.seconds_per_frame > SPEECH_GAP) + 1
        for stretch in np.split(frames, pauses):
            if len(stretch) >= LEAST_SPEECH:
                heard = work.say(int(stretch[0]), int(stretch[-1]) + 1)
                parts.append(
                    RejectedPart(
                        start=round(work.seconds(int(stretch[0])), 3),
                        end=round(work.seconds(int(stretch[-1]) + 1), 3),
                        text="",
                        heard=heard[:LONGEST_HEARD],
                        reason="speech-without-text",
                        confidence=None,
                        cer=None,
                        message=f"speech that is not in the transcript. Heard there: {_quoted(heard)}.",
                    )
                )
    return parts


def _quoted(heard: str) -> str:
    if not heard.strip():
        return "nothing"
    return f'"{heard}"' if len(heard) <= 80 else f'"{heard[:77]}..."'
