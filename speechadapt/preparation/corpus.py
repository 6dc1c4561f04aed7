"""What a preparation is told: the corpus, the options, and one row of its lists before any audio is opened."""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from speechadapt.audio.waveform import Waveform
from speechadapt.data.split_lists import has_lists
from speechadapt.data.splits import DEV_SHARE, LONGEST, PLACES, SHORTEST, TEST_SHARE, check_shares
from speechadapt.errors import ManifestError, MisuseError
from speechadapt.text.cleaning import CASES
from speechadapt.units import Seconds

SPLIT_RULES = ("official", "speaker", "speaker+sentence")
ENGINES = ("local", "ray")
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
        splits: official, speaker, speaker+sentence, or a folder of split lists to repeat a division by; None takes the official splits where
            there are any, else writes one `all.jsonl`.
        seed: of every random choice.
        engine: what reads and writes the audio: `local` processes of this machine, or `ray`. jobs: how many at a time; None takes every core of
            the machine or the cluster. ray_address: `HOST:PORT` of a running Ray cluster; None starts one on this machine for as long as it takes.
        resume: go on with a run of the same source and options that was interrupted in the same folder, without doing anything twice.
        settings: what `--set` said, as it was typed; told in the report, and compared by `resume`.
        limit: at most this many rows, spread evenly over the corpus.
        dry_run: read lists and audio headers, write nothing.
        strict: refuse when splits overlap or rows are defective; what is left out by choice is no defect.
        in_place: leave the audio where it is.
        min_duration, max_duration: seconds, for train and dev (0.3 and 30 unless given); where no split is known only if given.
        allow_missing: go on although more than 5 % of the rows have no usable audio.
        accent_map: published accent label (case and outer blanks do not matter) to slug.
        dev_share, test_share: of the hours, where this program divides.
        few_speakers: train or test, where the speakers of an accent go that has fewer than three, where this program divides.

    Raises:
        MisuseError: a value outside its range; the message lists the allowed ones.
    """

    case: str | None = None
    splits: str | None = None
    seed: int = 0
    jobs: int | None = 1
    engine: str = "local"
    ray_address: str | None = None
    resume: bool = False
    settings: tuple[str, ...] = ()
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
    few_speakers: str = PLACES[0]

    def __post_init__(self) -> None:
        for name, value, allowed in (("case", self.case, CASES), ("engine", self.engine, ENGINES), ("few-speakers", self.few_speakers, PLACES)):
            if value is not None and value not in allowed:
                raise MisuseError(f'--{name} "{value}": must be one of {", ".join(allowed)}. Choose one of them.')
        if self.splits is not None and self.splits not in SPLIT_RULES and not has_lists(Path(self.splits)):
            raise MisuseError(
                f'--splits "{self.splits}": must be one of {", ".join(SPLIT_RULES)}, or a folder that holds train.txt, dev.txt or test.txt. '
                "Choose one of them; for folds prepare first, then: speechadapt split"
            )
        try:
            check_shares(self.dev_share, self.test_share)
        except ManifestError as error:
            raise MisuseError(str(error)) from error
        for name, number in (("jobs", self.jobs), ("limit", self.limit)):
            if number is not None and number < 1:
                raise MisuseError(f"--{name} {number}: must be 1 or more. Give a larger number.")
        if self.ray_address is not None and self.engine != "ray":
            raise MisuseError(f"--ray-address {self.ray_address}: is for --engine ray only. Add it, or leave the address out.")
        shortest, longest = self.min_duration or SHORTEST, self.max_duration or LONGEST
        if shortest >= longest:
            raise MisuseError(f"shortest duration {shortest:g} s is not below the longest, {longest:g} s. Correct one of them.")

    @property
    def lists(self) -> Path | None:
        """The folder of split lists to divide by, if `splits` is one."""
        return Path(self.splits) if self.splits is not None and self.splits not in SPLIT_RULES else None


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

    def __post_init__(self) -> None:
        for name in _LABELS:  # a table makes a copy for every row of what millions of them share
            if (label := getattr(self, name)) is not None:
                object.__setattr__(self, name, sys.intern(label))


Row = TypeVar("Row")


def release(rows: list[Row]) -> Iterator[Row]:
    """The items of a list in their order, each taken out of it as it is handed on: millions of rows need not be held before and after a step."""
    rows.reverse()
    while rows:
        yield rows.pop()


_LABELS = ("speaker", "gender", "age", "accent", "accent_raw", "l1", "region", "language", "split")
