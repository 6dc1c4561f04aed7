"""Job: one conversion under way: what the user asked for, the rows, where recordings go, and what is to be told at the end."""

import dataclasses
import errno
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from speechadapt.audio.waveform import DEEP, copy_samples
from speechadapt.conversion.clips import Clip, locate_clip
from speechadapt.conversion.manifests import ALL, Part, stream_part
from speechadapt.conversion.names import Names, plain_name
from speechadapt.data.utterance import Utterance
from speechadapt.errors import AudioError, ManifestError, MisuseError, SpeechadaptError

FORMATS = ("audiofolder", "parquet", "kaldi", "lhotse", "nemo")
AUDIO_MODES = ("copy", "link", "in-place")
AUDIO_FOLDER = "audio"
DESCRIPTION = ("text_raw", "speaker", "gender", "age", "accent", "accent_raw", "l1", "region", "language", "recording", "split")
"""What a row says of its speech, beside id, sound and text. The digest of the samples is left out: whoever prepares them measures it."""
SHARD_SIZE = 500_000_000
SUFFIXES = {"WAV": ".wav", "WAVEX": ".wav", "RF64": ".wav", "FLAC": ".flac", "OGG": ".ogg", "MP3": ".mp3"}
"""By what a file is, as some are named otherwise."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """How to convert.

    Attributes:
        to: audiofolder, parquet, kaldi, lhotse or nemo.
        splits: only these parts; None takes what there is.
        audio: copy; link (hard links, where nothing has to be cut or decoded); or in-place, which points to the recordings where they lie.
        relative: paths in Kaldi's and lhotse's lists start at the output folder, so that it can be moved; both look for them where they are run.
        shard_size: bytes of audio in one Parquet file.

    Raises:
        MisuseError: a value outside its range, or a way of keeping audio that the format does not know.
    """

    to: str
    splits: tuple[str, ...] | None = None
    audio: str = "copy"
    relative: bool = False
    shard_size: int = SHARD_SIZE

    def __post_init__(self) -> None:
        for name, value, allowed in (("--to", self.to, FORMATS), ("audio", self.audio, AUDIO_MODES)):
            if value not in allowed:
                raise MisuseError(f'{name} "{value}": must be one of {", ".join(allowed)}. Choose one of them.')
        if self.splits is not None and not self.splits:
            raise MisuseError("--splits: names no split. Name one or more of them, with commas between, or leave it out.")
        if self.to == "parquet" and self.audio != "copy":
            raise MisuseError(f"--{self.audio}: Parquet files hold the audio inside. Leave it out, or choose another form.")
        if self.to == "audiofolder" and self.audio == "in-place":
            raise MisuseError("--in-place: an AudioFolder holds its audio. Choose --link, which takes no room on the disk, or another form.")
        if self.relative and self.to not in ("kaldi", "lhotse"):
            raise MisuseError(f"--relative: is for kaldi and lhotse; the paths of {self.to} always are. Leave it out.")
        if self.relative and self.audio == "in-place":
            raise MisuseError("--relative: with --in-place the audio lies elsewhere, and paths to it are absolute. Leave one of them out.")
        if self.shard_size < 1_000_000:
            raise MisuseError(f"--shard-size {self.shard_size}: must be 1MB or more. Give a larger one.")


@dataclasses.dataclass(kw_only=True)
class Survey:
    """What the first pass over a part saw: rows, seconds of audio, how many rows say each field, how many are pieces of a longer recording."""

    rows: int = 0
    seconds: float = 0.0
    fields: Counter[str] = dataclasses.field(default_factory=Counter)
    pieces: int = 0


@dataclasses.dataclass(kw_only=True)
class Job:
    """One conversion.

    Attributes:
        folder: where files are written now. out: where they will lie when all is done.
        surveys: by name of the part. rates: rows by sampling rate. languages: seen in any row.
        repairs: what was changed, by kind, and in how many rows. notes: sentences for the user.
        files: what was written beside audio, as paths from the folder.
    """

    parts: tuple[Part, ...]
    options: ConvertOptions
    names: Names
    folder: Path
    out: Path
    surveys: dict[str, Survey] = dataclasses.field(default_factory=dict)
    rates: Counter[int] = dataclasses.field(default_factory=Counter)
    languages: Counter[str] = dataclasses.field(default_factory=Counter)
    repairs: Counter[str] = dataclasses.field(default_factory=Counter)
    notes: list[str] = dataclasses.field(default_factory=list)

    def clips(self, part: Part) -> Iterator[Clip]:
        """The rows of a part with their recordings, and a progress bar on stderr."""
        rows = self.surveys[part.name].rows
        for folder, utterance in tqdm(stream_part(part), total=rows, desc=f"{part.name} audio", unit=" rows", disable=None):
            yield locate_clip(folder, utterance)

    def states(self, field: str) -> bool:
        """Whether any row of any part says this field."""
        return any(survey.fields[field] for survey in self.surveys.values())

    def description(self, part: Part, utterance: Utterance) -> dict[str, str]:
        """The fields that a row says; the split is left out where the part says it."""
        fields = (name for name in DESCRIPTION if name != "split" or part.name == ALL)
        return {name: value for name in fields if (value := getattr(utterance, name)) is not None}

    def place_clip(self, clip: Clip, folder: str) -> str:
        """Put the sound of one utterance into a file of its own under `folder` of the output.

        Returns:
            The file's path from `folder`.

        Raises:
            ManifestError, SpeechadaptError: it cannot be read, or not be linked.
        """
        name = f"{AUDIO_FOLDER}/{self.clip_name(clip)}"
        self._write(clip, self.folder / folder / name, form=None if clip.whole else "FLAC", part=not clip.whole)
        return name

    def clip_name(self, clip: Clip) -> str:
        """The name of a file for the sound of one utterance: its id, and a suffix that says what it is."""
        stem, _ = self.names.name("clip", clip.utterance.id, plain_name(clip.utterance.id))
        return stem + (suffix_of(clip) if clip.whole else ".flac")

    def place_recording(self, clip: Clip, *, form: str | None = None) -> str:
        """Put the whole recording of an utterance into the output, once however many utterances lie in it; left in place, point to it.

        Args:
            clip: one of its utterances.
            form: WAV decodes everything but 16-bit WAV; None keeps what there is. Several channels always become one.

        Returns:
            Its path: from the output folder, or absolute where it is left in place.

        Raises:
            ManifestError, SpeechadaptError: it cannot be read, or not be linked, or has several channels and is left in place.
        """
        if self.options.audio == "in-place":
            if clip.info.channels > 1:
                raise ManifestError(
                    f'utterance "{clip.utterance.id}": its recording {clip.source} has {clip.info.channels} channels, of which other programs take '
                    "the first, and this one the mean. Convert without --in-place; then the mean is written."
                )
            return str(clip.source)
        stem, fresh = self.names.name("recording", str(clip.source), plain_name(clip.source.stem))
        mixed = clip.info.channels > 1
        if form == "WAV" and self.options.audio == "copy":
            keep = clip.info.format in ("WAV", "WAVEX") and clip.info.subtype == "PCM_16" and not mixed
            made, suffix = (None, ".wav") if keep else ("WAV", ".wav")
        else:
            made, suffix = ("FLAC", ".flac") if mixed else (None, suffix_of(clip))
        name = f"{AUDIO_FOLDER}/{stem}{suffix}"
        if fresh:
            if mixed:
                self.repairs["recordings of several channels written as their mean"] += 1
            if made == "WAV" and clip.info.subtype in DEEP:
                self.repairs["recordings of more than 16 bits written with 16"] += 1
            self._write(clip, self.folder / name, form=made)
        return name

    def _write(self, clip: Clip, target: Path, *, form: str | None, part: bool = False) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if form is not None:
                copy_samples(clip.source, target, form=form, start=clip.start if part else 0, count=clip.count if part else None)
            elif self.options.audio == "link":
                os.link(clip.source, target)
            else:
                shutil.copyfile(clip.source, target)
        except AudioError as error:
            raise ManifestError(f'utterance "{clip.utterance.id}": {error} Nothing was converted.') from error
        except OSError as error:
            if self.options.audio != "link" or error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise
            raise SpeechadaptError(
                f"{clip.source}: cannot be linked into {self.out} ({error.strerror}); hard links need one and the same disk. Use --copy."
            ) from error

    def listed(self, path: str) -> str:
        """A path of `place_recording` for programs that look for it from wherever they are run: absolute, unless the user wants it otherwise."""
        return path if self.options.relative or Path(path).is_absolute() else str(self.out / path)


def suffix_of(clip: Clip) -> str:
    """What the name of a copy of the recording ends in."""
    return SUFFIXES.get(clip.info.format, clip.source.suffix.lower())


def one_line(text: str) -> str:
    """Text without line breaks, tabs, control characters and the blanks of other alphabets, each run of them a single blank."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()
