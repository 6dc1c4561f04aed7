"""Alignment of a whole transcript with a recording of any length: every phrase that is heard gets its frames, and a measure of how sure that is.

Between anchors (`segmentation.anchors`) the likeliest path is found exactly, by torchaudio's forced alignment. Between two phrases it may
pass through a wildcard, which is as likely as the likeliest token of its frame, so that speech which is not in the transcript costs nothing
and goes to no phrase. Phrases that are not in the recording are squeezed in somewhere and spoil their neighbors; the worst are therefore
taken out and the others aligned again, until all that are left can be heard where they were put.
"""

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from speechadapt.models.alignment import align_tokens, frames_needed
from speechadapt.models.vocabulary import Vocabulary
from speechadapt.segmentation.anchors import Run, find_anchors
from speechadapt.segmentation.emissions import Emissions
from speechadapt.units import Seconds

STRETCH: Seconds = 20.0
"""Shorter stretches are not divided further where everything agrees: every cut is one more place that could be wrong."""
IRREGULAR = 12
"""Tokens by which the two sides may differ between two anchors before the stretch is shut off on both sides."""
MARGIN = 3
"""Tokens of a run that stay on either side of a cut, because their frames are surest in its middle."""
MOST_CELLS = 300_000_000
"""Frames times states (two for a token) of one stretch, in bytes: about six minutes of quick speech in which nothing was recognized."""
WILDCARD = -1
Spans = dict[tuple[int, int], tuple[int, int, float]]
"""Of (phrase, token): its first frame, one more than its last, and the sum of its log-probabilities; what fits nowhere is absent."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a phrase was put.

    Attributes:
        start, end: its first letter's first frame, and one more than its last letter's last.
        confidence: from 0 to 1: the geometric mean of the probabilities of its letters in their frames.
        cer: letters that were heard there against its own, as a rate; above 1 where more was heard.
        extra: most letters that were heard between two of its letters and belong to neither.
        words: first frame, and one more than the last, of every word; a single one where the vocabulary writes no blanks.
    """

    start: int
    end: int
    confidence: float
    cer: float
    extra: int
    words: tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a phrase must keep to: the least confidence, the highest character error rate, the most letters between two of its own."""

    min_confidence: float
    max_cer: float
    max_extra: int

    def allow(self, placed: Placed | None) -> bool:
        """Whether a phrase was found."""
        return placed is not None and placed.confidence >= self.min_confidence and placed.cer <= self.max_cer and placed.extra <= self.max_extra


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was recognized: token ids without blanks and repeats, and the frame each begins in, int64."""

    ids: NDArray[np.int64]
    frames: NDArray[np.int64]

    @classmethod
    def read(cls, emissions: Emissions, blank: int) -> "Heard":
        """The likeliest path, read as CTC reads it."""
        path = emissions.path.astype(np.int64)
        fresh = (path != blank) & np.concatenate([[True], path[1:] != path[:-1]])
        return cls(ids=path[fresh], frames=np.flatnonzero(fresh))

    def without(self, separator: int | None) -> "Heard":
        """The letters alone."""
        kept = self.ids != (-1 if separator is None else separator)
        return Heard(ids=self.ids[kept], frames=self.frames[kept])

    def between(self, start: int, end: int) -> NDArray[np.int64]:
        """The ids that begin in frames `start` to `end - 1`."""
        first, last = np.searchsorted(self.frames, [start, end])
        return self.ids[first:last]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """Before token `token` of phrase `phrase` the frame `frame` begins."""

    phrase: int
    token: int
    frame: int


def place_phrases(
    emissions: Emissions, phrases: Sequence[Sequence[int]], vocabulary: Vocabulary, limits: Limits
) -> tuple[list[Placed | None], Heard]:
    """Put every phrase of a transcript where it is likeliest in a recording, as long as it can be heard there.

    Args:
        emissions: of the recording, with the probabilities of all tokens of the phrases.
        phrases: the transcript in order, as token ids; an empty one is skipped.
        vocabulary: of the ids.
        limits: what a phrase must keep to.

    Returns:
        For each phrase its place, or None where it found none; and what was heard. A phrase beyond the limits was taken out before the others
        were put where they are, and its place is the one it had until then.
    """
    heard = Heard.read(emissions, vocabulary.blank)
    cuts, support = _find_cuts(phrases, heard, emissions, vocabulary)
    left = [number for number, phrase in enumerate(phrases) if len(phrase)]
    placed: list[Placed | None] = [None] * len(phrases)
    known: dict[tuple[object, ...], Spans] = {}
    while left:
        spans = _align(emissions, phrases, left, cuts, vocabulary.blank, known)
        for number in left:
            placed[number] = _judge(number, phrases[number], spans, heard, vocabulary)
        bad = [number for number in left if not limits.allow(placed[number])]
        if not bad:
            break
        out = _worst_of_runs(bad, left, placed, support)
        left = [number for number in left if number not in out]
    return placed, heard


def _worst_of_runs(bad: Sequence[int], left: Sequence[int], placed: Sequence[Placed | None], support: Sequence[float]) -> frozenset[int]:
    """Of each run of neighboring bad phrases the worse half: the others may be bad, or have no room, only because of them."""
    order = {number: place for place, number in enumerate(left)}
    runs: list[list[int]] = []
    for number in bad:
        if runs and order[number] == order[runs[-1][-1]] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])

    def worth(number: int) -> tuple[float, float, int]:
        one = placed[number]
        return (support[number], 0.0 if one is None else one.confidence, number)

    return frozenset(number for run in runs for number in sorted(run, key=worth)[: max(1, len(run) // 2)])


def _find_cuts(phrases: Sequence[Sequence[int]], heard: Heard, emissions: Emissions, vocabulary: Vocabulary) -> tuple[list[_Cut], list[float]]:
    """Where the problem may be divided, inside of runs on which transcript and recognition agree; and the share of each phrase that is in runs."""
    text: list[int] = []
    place: list[tuple[int, int]] = []
    for number, phrase in enumerate(phrases):
        if text and len(phrase) and vocabulary.separator is not None:
            text.append(vocabulary.separator)
            place.append((number, 0))
        text += phrase
        place += [(number, token) for token in range(len(phrase))]
    runs = find_anchors(text, heard.ids.tolist(), len(vocabulary.letters))
    frames = int(STRETCH / emissions.seconds_per_frame)
    cuts: list[_Cut] = []

    def cut(run: Run, offset: int) -> None:
        number, token = place[run.text + offset]
        frame = int(heard.frames[run.heard + offset])
        if not cuts or ((cuts[-1].phrase, cuts[-1].token) < (number, token) and cuts[-1].frame < frame):
            cuts.append(_Cut(phrase=number, token=token, frame=frame))

    before = Run(text=0, heard=0, length=0)
    for run, after in itertools.pairwise([*runs, Run(text=len(text), heard=len(heard.ids), length=0)]):
        if run.length > 2 * MARGIN:
            if _differ(before, run):
                cut(run, MARGIN)
            for offset in range(MARGIN, run.length - MARGIN):
                if int(heard.frames[run.heard + offset]) - (cuts[-1].frame if cuts else 0) >= frames:
                    cut(run, offset)
            if _differ(run, after):
                cut(run, run.length - MARGIN)
        before = run
    agreed = Counter(place[run.text + offset][0] for run in runs for offset in range(run.length))
    return cuts, [round(agreed[number] / max(1, len(phrase)), 2) for number, phrase in enumerate(phrases)]


def _differ(before: Run, after: Run) -> bool:
    return abs((after.text - before.text - before.length) - (after.heard - before.heard - before.length)) > IRREGULAR


def _align(
    emissions: Emissions,
    phrases: Sequence[Sequence[int]],
    left: Sequence[int],
    cuts: Sequence[_Cut],
    blank: int,
    known: dict[tuple[object, ...], Spans],
) -> Spans:
    """The frames of every token of the phrases that are left, stretch by stretch.

    Args:
        known: stretches that were aligned in an earlier round.
    """
    wanted = frozenset(left)
    spans: Spans = {}
    place, begin = 0, _Cut(phrase=-1, token=0, frame=0)
    for edge in [*(cut for cut in cuts if cut.phrase in wanted), None]:
        keys: list[tuple[int, int]] = []
        while place < len(left) and (edge is None or left[place] <= edge.phrase):
            number = left[place]
            is_cut = edge is not None and number == edge.phrase
            first = begin.token if number == begin.phrase else 0
            keys += [(number, WILDCARD)] if first == 0 else []
            keys += [(number, token) for token in range(first, edge.token if edge is not None and is_cut else len(phrases[number]))]
            if is_cut:
                break
            place += 1
        end = len(emissions.path) if edge is None else edge.frame
        keys += [(-1, WILDCARD)] if keys and edge is None else []
        signature = (begin.frame, end, *keys[:1], *(key for key in keys if key[1] == WILDCARD), *keys[-1:])
        if signature not in known:
            known[signature] = _align_stretch(keys, phrases, begin.frame, end, emissions, blank)
        spans |= known[signature]
        begin = edge if edge is not None else begin
    return spans


def _align_stretch(
    keys: Sequence[tuple[int, int]],
    phrases: Sequence[Sequence[int]],
    begin: int,
    end: int,
    emissions: Emissions,
    blank: int,
) -> Spans:
    """One exact alignment; nothing where the tokens do not fit into the frames, or the two are too many."""
    columns = {int(token): column for column, token in enumerate(emissions.tokens)}
    wildcard = len(columns)
    ids = [wildcard if token == WILDCARD else columns[phrases[number][token]] for number, token in keys]
    frames = end - begin
    if all(one == wildcard for one in ids) or frames_needed(ids) > frames or frames * (2 * len(ids) + 1) > MOST_CELLS:
        return {}
    rows = torch.from_numpy(emissions.log_probs[begin:end].astype(np.float32))
    best = torch.from_numpy(emissions.best[begin:end])[:, None]
    path_tensor, score_tensor = align_tokens(torch.cat([rows, best], dim=1), ids, columns[blank])
    path, scores = path_tensor.numpy(), score_tensor.numpy().astype(np.float64)
    fresh = np.flatnonzero((path != columns[blank]) & np.concatenate([[True], path[1:] != path[:-1]]))
    change = np.flatnonzero(np.concatenate([path[1:] != path[:-1], [True]])) + 1
    ends = change[np.searchsorted(change, fresh, side="right")]
    total = np.concatenate([[0.0], np.cumsum(scores)])
    return {
        key: (begin + int(first), begin + int(last), float(total[last] - total[first]))
        for key, first, last in zip(keys, fresh, ends, strict=True)
        if key[1] != WILDCARD
    }


def _judge(number: int, phrase: Sequence[int], spans: Spans, heard: Heard, vocabulary: Vocabulary) -> Placed | None:
    """How a phrase fits where it was put; None where a part of it was put nowhere."""
    own = [spans.get((number, token)) for token in range(len(phrase))]
    if any(span is None for span in own):
        return None
    times = [span for span in own if span is not None]
    start, end = times[0][0], times[-1][1]
    logprob = sum(span[2] for span in times) / sum(span[1] - span[0] for span in times)
    letters = [token for token in phrase if token != vocabulary.separator]
    there = [int(token) for token in heard.between(start - 1, end + 1) if token != vocabulary.separator]
    words = [
        list(group) for between, group in itertools.groupby(range(len(phrase)), lambda token: phrase[token] == vocabulary.separator) if not between
    ]
    extra = max((_letters_between(heard, before[1], after[0], vocabulary) for before, after in itertools.pairwise(times)), default=0)
    return Placed(
        start=start,
        end=end,
        confidence=math.exp(min(logprob, 0.0)),
        cer=Levenshtein.distance(letters, there) / max(1, len(letters)),
        extra=extra,
        words=tuple((times[word[0]][0], times[word[-1]][1]) for word in words),
    )


def _letters_between(heard: Heard, start: int, end: int, vocabulary: Vocabulary) -> int:
    return int((heard.between(start, end) != vocabulary.separator).sum()) if end > start else 0
