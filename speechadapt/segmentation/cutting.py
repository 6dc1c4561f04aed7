"""Cutting: where a recording is cut around phrases whose letters are placed: in the pauses between them, with a little silence on both sides."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speechadapt.segmentation.alignment import Placed
from speechadapt.segmentation.emissions import Emissions
from speechadapt.units import Seconds

REACH: Seconds = 0.4
"""A CTC model writes a letter early in its sound, so that a phrase may sound on after its last letter, and a little before its first."""
NEIGHBORHOOD: Seconds = 10.0
"""How far to either side is looked to tell speech from background."""
FLOOR_FACTOR, PEAK_SHARE = 2.0, 0.02
"""What is louder than twice the background (6 dB) and than a fiftieth of the loud speech nearby (-34 dB) belongs to the phrase."""
STOP: Seconds = 0.08
"""A quiet stretch that is no longer may be the closure of a consonant."""
TIGHT: Seconds = 0.1
"""Phrases that are closer are not cut apart, unless the whole would be too long."""
SENTENCE_BONUS: Seconds = 0.3
"""By so much a pause at the end of a sentence is preferred to one inside."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sounding:
    """A phrase as it sounds: `number`, in order; first frame and one more than the last, its pauses not included; whether a sentence ends with it."""

    number: int
    start: int
    end: int
    ends: bool


Groups = list[list[Sounding]]


def find_edges(placed: Placed, left: int, right: int, emissions: Emissions) -> tuple[int, int]:
    """Where a phrase begins and ends to sound.

    Args:
        placed: by its letters.
        left, right: the frames of the nearest letters before and after that do not belong to it: (one more than the last, the first).
    """
    reach = round(REACH / emissions.seconds_per_frame)
    span = round(NEIGHBORHOOD / emissions.seconds_per_frame)
    levels = emissions.levels
    nearby = levels[max(0, placed.start - span) : placed.end + span]
    limit = max(FLOOR_FACTOR * float(np.percentile(nearby, 10)), PEAK_SHARE * float(np.percentile(nearby, 95)))
    before = levels[max(left, placed.start - reach) : placed.start][::-1]
    after = levels[placed.end : min(right, placed.end + reach)]
    stop = round(STOP / emissions.seconds_per_frame)
    return placed.start - _loud(before, limit, stop), placed.end + _loud(after, limit, stop)


def _loud(levels: NDArray[np.float32], limit: float, stop: int) -> int:
    """Frames until the sound ends; if it does not, those up to the quietest.

    Args:
        levels: from a phrase outwards. limit: what is louder sounds. stop: quiet frames that are a consonant's closure, if sound follows.
    """
    loud = np.flatnonzero(np.concatenate([[True], levels > limit, np.zeros(stop + 1, bool)]))
    ends = np.flatnonzero(np.diff(loud) > stop + 1)
    last = int(loud[ends[0]]) if len(ends) else int(loud[-1])
    return int(levels.argmin()) if last == len(levels) and len(levels) else last


def group_phrases(phrases: Sequence[Sounding], joined: Sequence[bool], *, gap: Seconds, longest: Seconds, seconds_per_frame: Seconds) -> Groups:
    """Neighboring phrases that become one utterance.

    Args:
        phrases: in order.
        joined: for each phrase but the first, whether nothing but silence lies between it and the one before it.
        gap: longest pause between two sentences of one utterance. longest: longest utterance, its pauses at both ends not counted.

    Returns:
        Groups that are at most `longest` where no single phrase is longer. What would be longer is cut at its longest pause, then its halves.
    """
    most = max(gap, TIGHT) / seconds_per_frame
    runs: Groups = []
    for phrase, follows in zip(phrases, [False, *joined], strict=False):
        last = runs[-1][-1] if runs else None
        if last is not None and follows and (not last.ends or phrase.start - last.end <= most):
            runs[-1].append(phrase)
        else:
            runs.append([phrase])
    bonus = SENTENCE_BONUS / seconds_per_frame
    return [part for run in runs for part in _divide(run, longest / seconds_per_frame, bonus)]


def _divide(run: list[Sounding], longest: float, bonus: float) -> Groups:
    todo, done = [run], []
    while todo:
        part = todo.pop()
        if len(part) == 1 or part[-1].end - part[0].start <= longest:
            done.append(part)
            continue
        middle = (part[0].start + part[-1].end) / 2
        places = []
        for place, (before, after) in enumerate(itertools.pairwise(part), start=1):
            pause = after.start - before.end + (bonus if before.ends else 0.0)
            places.append((pause, -abs((before.end + after.start) / 2 - middle), place))
        cut = max(places)[2]
        todo += [part[cut:], part[:cut]]
    return done
