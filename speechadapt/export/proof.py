"""Proof: source and export transcribe the same clips, each by its own program, and what they say is held against a stated tolerance."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.reference import Reference, ReferenceSet
from speechadapt.export.clips import Clip, Clips, facts_of
from speechadapt.score.report import ScoreReport, score
from speechadapt.units import Seconds

ABOVE_SOURCE = 0.005
"""How much higher an export's WER against the references may be, as a fraction: half a point."""
APART = 0.1
"""The highest WER of an export that may round, with the source's text as the reference: it may err elsewhere, but not often."""
FEW_WORDS = 200
"""Below as many reference words one wrong word is half a point or more."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What a proof allows.

    Attributes:
        identical: every text must be the same, to the letter.
        above_source: see `ABOVE_SOURCE`; None where texts must be identical.
        apart: see `APART`; None where texts must be identical.
    """

    identical: bool
    above_source: float | None = None
    apart: float | None = None

    @property
    def sentence(self) -> str:
        """In words."""
        if self.identical or self.above_source is None or self.apart is None:
            return "every text identical to the source's"
        return (
            f"WER against the references at most {100 * self.above_source:g} points above the source's, "
            f"and at most {100 * self.apart:g} % against the source's text"
        )


EXACT = Tolerance(identical=True)
ROUNDED = Tolerance(identical=False, above_source=ABOVE_SOURCE, apart=APART)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A clip that source and export transcribe differently."""

    id: str
    reference: str | None
    source: str
    export: str

    @property
    def sentence(self) -> str:
        """Both texts side by side."""
        return f'clip "{self.id}": source "{self.source}", export "{self.export}"'


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What came out.

    Attributes:
        failures: sentences; empty means that the export is proven.
        identical, clips: clips with the same text, of so many.
        differences: the others, in order.
        wer_source, wer_export: against the references; None where there are none.
        wer_apart: of the export against the source's text; None where that has no words.
        words: of the references (after normalizing), 0 where there are none.
        normalizer: for the three rates.
        seconds_source, seconds_export: for all clips; the program's start is counted where it is one of its own.
        runtime: the program and its version.
        tolerance: what was allowed.
        about: the clips.
        unpadded: texts identical to the source's (`identical`) and the WER (`wer`) where the program gets clips as short as they are and fills
            them up in its own way; told, not judged. None where it fills them up with silence.
    """

    failures: tuple[str, ...]
    identical: int
    clips: int
    differences: tuple[Difference, ...]
    wer_source: float | None
    wer_export: float | None
    wer_apart: float | None
    words: int
    normalizer: str
    seconds_source: Seconds
    seconds_export: Seconds
    runtime: str
    tolerance: Tolerance
    about: dict[str, Any]
    unpadded: dict[str, Any] | None = None

    @property
    def passed(self) -> bool:
        """Whether the export says what its source says, within the tolerance."""
        return not self.failures

    @property
    def sentence(self) -> str:
        """The result in one line."""
        against = ""
        if self.wer_source is not None and self.wer_export is not None:
            against = f"; WER {100 * self.wer_source:.2f} % -> {100 * self.wer_export:.2f} % ({self.words} words)"
        few = ""
        if 0 < self.words < FEW_WORDS and not self.tolerance.identical:
            few = f"; {self.words} words are few: one is {100 / self.words:.2f} points"
        return f"{self.identical} of {self.clips} texts identical{against}{few}"

    def to_json(self) -> dict[str, Any]:
        """For `proof.json`."""
        row = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        changed = {
            "failures": list(self.failures),
            "differences": [dataclasses.asdict(one) for one in self.differences],
            "tolerance": dataclasses.asdict(self.tolerance) | {"sentence": self.tolerance.sentence},
        }
        return {"passed": self.passed} | row | changed


def prove_texts(
    clips: Clips,
    source: Sequence[str],
    export: Sequence[str],
    *,
    tolerance: Tolerance,
    seconds: tuple[Seconds, Seconds] = (0.0, 0.0),
    runtime: str = "",
    unpadded: Sequence[str] | None = None,
) -> Proof:
    """Hold what source and export said against the tolerance.

    Args:
        clips: what they transcribed.
        source, export: one text per clip.
        tolerance: what is allowed.
        seconds: that source and export took.
        runtime: the export's program.
        unpadded: what it said of clips as short as they are; None where that is the same.
    """
    differences = tuple(
        Difference(id=clip.id, reference=clip.reference, source=one, export=other)
        for clip, one, other in zip(clips.clips, source, export, strict=True)
        if one != other
    )
    known = [clip for clip in clips.clips if clip.reference is not None]
    references = [clip.reference or "" for clip in known]

    def against_references(texts: Sequence[str]) -> ScoreReport | None:
        said = {clip.id: text for clip, text in zip(clips.clips, texts, strict=True)}
        return _report(known, references, [said[clip.id] for clip in known], clips.normalizer)

    mine, theirs = against_references(source), against_references(export)
    short = None if unpadded is None else against_references(unpadded)
    apart = _report(clips.clips, source, export, clips.normalizer)
    wer = (None if mine is None else mine.wer, None if theirs is None else theirs.wer, None if apart is None else apart.wer)
    return Proof(
        failures=tuple(_failures(len(clips.clips), differences, wer, tolerance)),
        identical=len(clips.clips) - len(differences),
        clips=len(clips.clips),
        differences=differences,
        wer_source=wer[0],
        wer_export=wer[1],
        wer_apart=wer[2],
        words=0 if mine is None else mine.words.reference_length,
        normalizer=clips.normalizer,
        seconds_source=round(seconds[0], 2),
        seconds_export=round(seconds[1], 2),
        runtime=runtime,
        tolerance=tolerance,
        about=facts_of(clips),
        unpadded=None
        if unpadded is None
        else {
            "identical": sum(one == other for one, other in zip(source, unpadded, strict=True)),
            "wer": None if short is None else short.wer,
        },
    )


def _failures(clips: int, differences: Sequence[Difference], wer: tuple[float | None, float | None, float | None], tolerance: Tolerance) -> list[str]:
    if not differences:
        return []
    first = f"the first that differs is {differences[0].sentence}"
    if tolerance.identical or tolerance.above_source is None or tolerance.apart is None:
        return [f"{len(differences)} of {clips} texts differ from the source's, none may; {first}"]
    failures = []
    source, export, apart = wer
    if source is not None and export is not None and export - source > tolerance.above_source + 1e-12:
        failures.append(
            f"WER is {100 * export:.2f} %, the source's {100 * source:.2f} %: {100 * (export - source):.2f} points above, at most "
            f"{100 * tolerance.above_source:g} are allowed; {first}"
        )
    if apart is None or apart > tolerance.apart:
        told = "the source says nothing" if apart is None else f"WER against the source's text is {100 * apart:.2f} %"
        failures.append(f"{told}, at most {100 * tolerance.apart:g} % is allowed; {first}")
    return failures


def _report(clips: Sequence[Clip], references: Sequence[str], hypotheses: Sequence[str], normalizer: str) -> ScoreReport | None:
    if not clips:
        return None
    known = ReferenceSet([Reference(id=clip.id, texts=(text,)) for clip, text in zip(clips, references, strict=True)], name="proof")
    said = [Hypothesis(id=clip.id, text=text) for clip, text in zip(clips, hypotheses, strict=True)]
    return score(known, said, system="proof", normalizer=normalizer, by=(), resamples=0)


def timed(transcribe: Any, waveforms: Sequence[Any]) -> tuple[list[str], Seconds]:
    """What it says, and how long it took."""
    begun = time.perf_counter()
    texts = transcribe(waveforms)
    return texts, time.perf_counter() - begun
