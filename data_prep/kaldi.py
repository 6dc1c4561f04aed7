"""A Kaldi data directory: wav.scp, text, and perhaps segments, utt2spk, spk2gender and the like.

Source: yours, or what Kaldi, ESPnet, icefall and WeNet recipes leave in `data/train`; license: `--set license=...`. A folder that holds
train/, dev/ or test/ with these files is read as one corpus with official splits. Real-shaped lines:

    wav.scp     rec1 audio/session one.wav             (the first blank or tab ends the key; the rest is the value)
    segments    spk1-utt1 rec1 0.35 -1                 (-1: to the end of the recording)
    text        spk1-utt1 put the kettle on

What `speechadapt convert` writes beside Kaldi's own lists is read too: utt2accent, utt2gender, utt2age, and utt2id and spk2id with the ids of before,
where an utterance that is its own speaker has no known one.

A wav.scp may hold shell commands (`rec2 sph2pipe -f wav rec2.sph |`). They are never executed. By default such a row is dropped and named;
`--set pipes=path` reads the file a plain sox, flac or sph2pipe command names, without the command.
"""

import dataclasses
import shlex
import sys
from collections import Counter
from pathlib import Path

from speechadapt.cli import main
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, finish_corpus, lists, locate_audio, release
from speechadapt.preparation.fields import SPLIT_NAMES
from speechadapt.units import Seconds

CORPUS = Corpus(
    name="kaldi",
    title="a Kaldi data directory",
    license="not stated",
    commercial_use="not stated",
    home="your own disk",
    expects="a folder with wav.scp and text, or folders train, dev and test that have them.",
    accent_label="utt2accent, utt2dialect, spk2accent or spk2dialect, if there is one",
)
SOUND_SUFFIXES = (".wav", ".flac", ".sph", ".mp3", ".ogg", ".wv1", ".wv2")
UNPACKERS = ("sox", "flac", "sph2pipe")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a Kaldi directory.

    Attributes:
        name: of the corpus, put before ids and speakers. license, language (BCP-47): of all rows.
        audio_root: where relative audio paths start, and the only folder absolute ones may lie in; without it, relative paths are tried
            from the directory, its parent and its grandparent, and absolute ones must lie in the directory.
        pipes: refuse, or path: take the file that a plain sox, flac or sph2pipe command names.
    """

    name: str = "kaldi"
    license: str = "not stated"
    language: str | None = None
    audio_root: Path | None = None
    pipes: str = "refuse"


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the directory; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    if settings.pipes not in ("refuse", "path"):
        raise MisuseError(f'--set pipes="{settings.pipes}": must be refuse or path. Choose one of them.')
    root = Path(source)
    intake = Intake()
    rows = [row for folder, split in find_folders(root) for row in read_folder(folder, split, root, settings, intake)]
    corpus = dataclasses.replace(CORPUS, name=settings.name, license=settings.license, language=settings.language)
    roots = [root_ for folder, _ in find_folders(root) for root_ in audio_roots(folder, root, settings)]
    return finish_corpus(release(rows), corpus=corpus, source=root, out=out, options=options, intake=intake, audio_roots=roots)


def find_folders(root: Path) -> list[tuple[Path, str | None]]:
    """The data directories and the splits their names say.

    Raises:
        CorpusError: none is there.
    """
    if (root / "wav.scp").is_file():
        return [(root, None)]
    children = sorted(root.iterdir()) if root.is_dir() else []
    found: list[tuple[Path, str | None]] = [
        (folder, SPLIT_NAMES[folder.name.casefold()])
        for folder in children
        if folder.name.casefold() in SPLIT_NAMES and (folder / "wav.scp").is_file()
    ]
    if not found:
        there = ", ".join(path.name for path in children[:8]) if root.is_dir() else "no such folder"
        raise CorpusError(f"{root}: no Kaldi data directory; looked for wav.scp, found: {there}. It should be {CORPUS.expects}")
    return found


def audio_roots(folder: Path, root: Path, settings: Settings) -> list[Path]:
    """Where paths of wav.scp may lead, in the order they are tried."""
    if settings.audio_root is not None:
        return [settings.audio_root]
    folder = folder.resolve()
    return list(dict.fromkeys([root.resolve(), folder, folder.parent, folder.parent.parent]))


def read_list(folder: Path, name: str, intake: Intake) -> dict[str, str]:
    """One file as a dictionary; absent files are empty, repeated keys are counted and the first is kept."""
    return lists.read_list(folder / name, intake)


def parse_segment(value: str) -> tuple[str, Seconds, Seconds | None]:
    """Recording, offset and duration of `rec start end`; an end of -1 means to the end of the recording.

    Raises:
        AudioError: reason `out-of-range`: not three words, not numbers, or an end that is not after the start.
    """
    try:
        recording, first, last = value.split()
        start, end = float(first), float(last)
    except ValueError as error:
        raise AudioError("out-of-range", f'"{value}" is not "RECORDING START END". Correct the line of segments.') from error
    if not start >= 0 or not (end == -1 or end > start):
        raise AudioError("out-of-range", f"the segment is {start:.2f} to {end:.2f} s, it must last longer than 0 s. Correct the line of segments.")
    return recording, start, None if end == -1 else end - start


def parse_source(value: str, pipes: str) -> str:
    """The path a wav.scp value names. Commands are recognized, never run.

    Raises:
        AudioError: reason `pipe`: the value is a command (or one that does more than unpack a file).
    """
    if not value.rstrip().endswith("|") and not value.lstrip().startswith("|"):
        return value
    words = _words(value.strip().removesuffix("|")) if pipes == "path" else []
    files = [word for word in words if word.lower().endswith(SOUND_SUFFIXES)]
    plain = not any(letter in value.strip().removesuffix("|") for letter in "|;&<>`$\n")
    if words and Path(words[0]).name in UNPACKERS and plain and len(files) == 1:
        return files[0]
    raise AudioError(
        "pipe",
        f'"{value}" is a shell command, and commands in a corpus are never executed. Unpack the audio and list its files, '
        "or let --set pipes=path read the file that a plain sox, flac or sph2pipe command names.",
    )


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a quote that is never closed
        return []


def read_folder(folder: Path, split: str | None, root: Path, settings: Settings, intake: Intake) -> list[CorpusRow]:
    """The rows of one data directory: what stands in both its audio and its text."""
    recordings, texts, segments = (read_list(folder, name, intake) for name in ("wav.scp", "text", "segments"))
    people = _People.read(folder, intake)
    roots = audio_roots(folder, root, settings)
    listed = segments or recordings
    lacking: Counter[str] = Counter()
    rows = []
    for key in sorted({*listed, *texts}):
        absent = "text" if key not in texts else ("segments" if segments else "wav.scp") if key not in listed else None
        if absent is not None:
            lacking[absent] += 1
            intake.drop(key, f"not-in-{absent}", f'row "{key}" ({folder.name}): stands in no line of {absent}.', split)
            continue
        try:
            recording, offset, duration = parse_segment(segments[key]) if segments else (key, 0.0, None)
            if recording not in recordings:
                raise AudioError("missing", f'its recording "{recording}" stands in no line of wav.scp. Correct segments or wav.scp.')
            audio = locate_audio(parse_source(recordings[recording], settings.pipes), roots)
        except AudioError as error:
            intake.drop(key, error.reason, f'row "{key}" ({folder.name}/{"segments" if segments else "wav.scp"}): {error}', split)
            continue
        rows.append(
            people.describe(
                CorpusRow(
                    id=key,
                    audio=audio,
                    text=texts[key],
                    place=f"{folder.name}/text",
                    offset=offset,
                    duration=duration,
                    recording=recording if segments else None,
                    split=split,
                )
            )
        )
    intake.facts |= {f"{folder.name}: keys not in {name}": count for name, count in sorted(lacking.items())}
    return rows


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _People:
    """What the optional files say of who speaks."""

    speakers: dict[str, str]
    genders: dict[str, str]
    genders_by_utterance: dict[str, str]
    ages: dict[str, str]
    ages_by_utterance: dict[str, str]
    languages: dict[str, str]
    accents: dict[str, str]
    accents_by_speaker: dict[str, str]
    ids: dict[str, str]
    names: dict[str, str]

    @classmethod
    def read(cls, folder: Path, intake: Intake) -> "_People":
        speakers = read_list(folder, "utt2spk", intake)
        if not speakers:
            by_speaker = read_list(folder, "spk2utt", intake)
            speakers = {utterance: speaker for speaker, utterances in by_speaker.items() for utterance in utterances.split()}
        return cls(
            speakers=speakers,
            genders=read_list(folder, "spk2gender", intake),
            genders_by_utterance=read_list(folder, "utt2gender", intake),
            ages=read_list(folder, "spk2age", intake),
            ages_by_utterance=read_list(folder, "utt2age", intake),
            languages=read_list(folder, "utt2lang", intake),
            accents=read_list(folder, "utt2accent", intake) or read_list(folder, "utt2dialect", intake),
            accents_by_speaker=read_list(folder, "spk2accent", intake) or read_list(folder, "spk2dialect", intake),
            ids=read_list(folder, "utt2id", intake),
            names=read_list(folder, "spk2id", intake),
        )

    def describe(self, row: CorpusRow) -> CorpusRow:
        speaker = self.speakers.get(row.id)
        return dataclasses.replace(
            row,
            id=self.ids.get(row.id, row.id),
            speaker=self.names.get(speaker or "") or (None if self.ids and speaker == row.id else speaker),
            gender=self.genders_by_utterance.get(row.id) or self.genders.get(speaker or ""),
            age=self.ages_by_utterance.get(row.id) or self.ages.get(speaker or ""),
            language=None if (language := self.languages.get(row.id)) == "und" else language,
            accent_raw=self.accents.get(row.id) or self.accents_by_speaker.get(speaker or ""),
        )


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
