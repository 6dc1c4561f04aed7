"""What a preparation is told: the corpus, the options, and one row of its lists before any audio is opened."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from speechadapt.audio.waveform import Waveform
from speechadapt.data.splits import DEV_SHARE, TEST_SHARE
from speechadapt.errors import MisuseError
from speechadapt.text.cleaning import CASES
from speechadapt.units import Seconds

SPLIT_RULES = ("official", "speaker", "speaker+sentence")
ENGINES = ("local",)
SHORTEST: Seconds = 0.3
LONGEST: Seconds = 30.0
Recipe = Callable[[], Waveform | bytes]
"""Makes a waveform (float32, mono, 16 kHz), or fetches the bytes of an audio file, in a worker process: a picklable call, such as
`functools.partial` of a library function."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What is known of a corpus before any of its files is opened.

    Attributes:
        name: the script's name; prefix of ids (`name-id`) and speakers (`name:speaker`).
        title: as its owners call it.
        license: the tag for reports and model cards. commercial_use: what it says on commercial use, in words.
        home: where it can be had.
        expects: the layout that must lie at the source, in one or two sentences; shown when the source looks different.
        accent_label: where the accent label comes from.
        language: BCP-47 tag of the transcripts where it is the same for all.
        case: what happens to the case of the text unless the user chooses: lower, sentence or keep.
    """

    name: str
    title: str
    license: str
    commercial_use: str
    home: str
    expects: str
    accent_label: str
    language: str | None = None
    case: str = "keep"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PrepareOptions:
    """How to prepare a corpus.

    Attributes:
        case: lower, sentence or keep; None takes the corpus' own default.
        splits: official, speaker or speaker+sentence; None takes the official splits where there are any, else writes one `all.jsonl`.
        seed: of every random choice. jobs: processes that read and write audio. engine: `local`.
        limit: at most this many rows, spread evenly over the corpus.
        dry_run: read lists and audio headers, write nothing.
        strict: refuse when splits overlap or rows had to be dropped.
        in_place: leave the audio where it is.
        min_duration, max_duration: seconds, for train and dev (0.3 and 30 unless given); where no split is known only if given.
        allow_missing: go on although more than 5 % of the rows have no usable audio.
        accent_map: published accent label (case and outer blanks do not matter) to slug.
        dev_share, test_share: of the hours, where this program divides.

    Raises:
        MisuseError: a value outside its range; the message lists the allowed ones.
    """

    case: str | None = None
    splits: str | None = None
    seed: int = 0
    jobs: int = 1
    engine: str = "local"
    limit: int | None = None
    dry_run: bool = False
    strict: bool = False
    in_place: bool = False
    min_duration: Seconds | None = None
    max_duration: Seconds | None = None
    allow_missing: bool = False
    accent_map: Mapping[str, str] = dataclasses.field(default_factory=dict)
    dev_share: float = DEV_SHARE
    test_share: float = TEST_SHARE

    def __post_init__(self) -> None:
        for name, value, allowed in (("case", self.case, CASES), ("splits", self.splits, SPLIT_RULES), ("engine", self.engine, ENGINES)):
            if value is not None and value not in allowed:
                raise MisuseError(f'--{name} "{value}": must be one of {", ".join(allowed)}. Choose one of them.')
        for name, number in (("jobs", self.jobs), ("limit", self.limit)):
            if number is not None and number < 1:
                raise MisuseError(f"--{name} {number}: must be 1 or more. Give a larger number.")
        shortest, longest = self.min_duration or SHORTEST, self.max_duration or LONGEST
        if shortest >= longest:
            raise MisuseError(f"shortest duration {shortest:g} s is not below the longest, {longest:g} s. Correct one of them.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CorpusRow:
    """One line of a corpus as its lists give it, before its audio is opened.

    Attributes:
        id: native id, unique in the corpus; `CORPUS-` is put before it.
        audio: the recording on disk (absolute), or a `Recipe` that makes the waveform or fetches the file's bytes.
        text: the transcript as published, or what a script makes of it; text_raw: as published, where `text` is not.
        place: where the row stands, for messages (`train/text, line 3`).
        offset, duration: the segment in seconds; duration None reads to the end. channel: where each of a file holds another speaker, from 0.
        speaker: native speaker; `CORPUS:` is put before it. recording: native recording, treated alike.
        accent: slug, if the script knows it; else it is made from `accent_raw` by the user's map, the shipped one or the slug rule.
        gender: as published; understood spellings become male, female or other.
        Everything else: as in `Utterance`.
    """

    id: str
    audio: Path | Recipe
    text: str
    text_raw: str | None = None
    place: str = ""
    offset: Seconds = 0.0
    duration: Seconds | None = None
    channel: int | None = None
    speaker: str | None = None
    gender: str | None = None
    age: str | None = None
    accent: str | None = None
    accent_raw: str | None = None
    l1: str | None = None
    region: str | None = None
    language: str | None = None
    recording: str | None = None
    split: str | None = None
    meta: dict[str, Any] = dataclasses.field(default_factory=dict)
