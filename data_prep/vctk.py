"""VCTK: 110 speakers of English, most of them from Britain and Ireland, with about 400 newspaper sentences each.

Source: https://datashare.ed.ac.uk/handle/10283/3443 (version 0.92; the older 0.80 is read too). License: CC BY 4.0. Real-shaped lines:

    speaker-info.txt         p225  23  F    English    Southern  England      (aligned by blanks; the region may have several words or none)
    speaker-info.txt         p315  18  M    American   New England  (Text unavailable)
    txt/p225/p225_003.txt    Six spoons of fresh snow peas, five thick slabs of blue cheese.

Version 0.92 was recorded with two microphones at once: one of them is taken (`--set microphone=2` for the other), because both hold the
same utterance, and the other one only where the first is missing. Speaker p315 has no texts. The first two dozen sentences are read by
everybody, so a split by speaker shares them: `--splits speaker+sentence` does not. The corpus has no splits of its own.
"""

import dataclasses
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from speechadapt.cli import main
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, finish_corpus, is_junk, locate_audio
from speechadapt.preparation.lists import read_lines

CORPUS = Corpus(
    name="vctk",
    title="VCTK",
    license="CC BY 4.0",
    commercial_use="yes, with attribution",
    home="https://datashare.ed.ac.uk/handle/10283/3443",
    expects="a folder with speaker-info.txt and, with a folder for each speaker, txt/ and wav48_silence_trimmed/ (version 0.92) or wav48/ (0.80).",
    accent_label="column ACCENTS of speaker-info.txt",
    language="en",
)
AUDIO_FOLDERS = ("wav48_silence_trimmed", "wav48")
RECORDING = re.compile(r"(?P<key>\w+_\d+)(?:_mic(?P<microphone>[12]))?\.(?:flac|wav)", re.IGNORECASE | re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        microphone: 1 or 2; the other one is taken only where this one is missing.
    """

    microphone: int = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """One line of speaker-info.txt; region and comment may be empty."""

    name: str
    age: str
    gender: str
    accent: str
    region: str
    comment: str


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    if settings.microphone not in (1, 2):
        raise MisuseError(f"--set microphone={settings.microphone}: must be 1 or 2. Choose one of them.")
    root, intake = find_root(Path(source)), Intake()
    speakers = read_speakers(root / "speaker-info.txt", intake)
    rows = read_rows(root, speakers, settings, intake)
    intake.notes.append("the first two dozen sentences are read by everybody: --splits speaker shares them, --splits speaker+sentence does not")
    return finish_corpus(rows, corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_root(source: Path) -> Path:
    """The corpus folder: `source` itself or a folder in it, such as VCTK-Corpus-0.92.

    Raises:
        CorpusError: neither has txt/ and recordings.
    """
    children = sorted(path for path in source.iterdir() if path.is_dir()) if source.is_dir() else []
    for root in (source, *children):
        if (root / "txt").is_dir() and any((root / name).is_dir() for name in AUDIO_FOLDERS):
            return root
    found = ", ".join(sorted(path.name for path in source.iterdir())[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(
        f"{source}: does not look like VCTK; looked for txt/ and {'/ or '.join(AUDIO_FOLDERS)}/, found: {found}. It should be {CORPUS.expects}"
    )


def parse_speaker(line: str) -> Speaker | None:
    """One line of speaker-info.txt; None where it has fewer than four parts. Version 0.80 writes 225 for the speaker whose folder is p225."""
    told, bracket, comment = line.partition("(")
    words = told.split()
    if len(words) < 4:
        return None
    name, age, gender, accent, *region = words
    name = f"p{name}" if name.isdecimal() else name
    return Speaker(name=name, age=age, gender=gender, accent=accent, region=" ".join(region), comment=(bracket + comment).strip("() \t"))


def read_speakers(path: Path, intake: Intake) -> dict[str, Speaker]:
    """The speakers by name; a missing file is noted, a line that is not understood is counted."""
    lines = read_lines(path)
    if not lines:
        intake.notes.append("no speaker-info.txt, so genders, ages and accents are unknown")
    speakers: dict[str, Speaker] = {}
    for _, line in lines:
        if line.upper().split()[:2] == ["ID", "AGE"]:
            continue
        speaker = parse_speaker(line)
        if speaker is None:
            intake.repair("line of speaker-info.txt not understood, passed over")
        else:
            speakers.setdefault(speaker.name, speaker)
    return speakers


def read_text(path: Path) -> str:
    """The sentence of one text file, its lines joined.

    Raises:
        CorpusError: it is not UTF-8.
    """
    return " ".join(line for _, line in read_lines(path))


def strip_quotes(text: str) -> str:
    """The sentence without a pair of quotes around the whole of it."""
    inner = text[1:-1]
    return inner.strip() if len(text) > 1 and text[0] == text[-1] == '"' and '"' not in inner else text


def find_recordings(root: Path) -> dict[str, dict[str, Path]]:
    """The recordings of each utterance by microphone (`1`, `2`, or empty in version 0.80)."""
    folder = next(root / name for name in AUDIO_FOLDERS if (root / name).is_dir())
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob("*/*")):
        match = RECORDING.fullmatch(path.name)
        if match is not None and not is_junk(path.relative_to(root)):
            found.setdefault(match["key"], {}).setdefault(match["microphone"] or "", path)
    return found


def find_texts(root: Path) -> dict[str, Path]:
    """The text file of each utterance."""
    folder = root / "txt"
    files = (path for path in sorted(folder.glob("*/*")) if path.suffix.lower() == ".txt" and not is_junk(path.relative_to(root)))
    return {path.stem: path for path in files}


def read_rows(root: Path, speakers: Mapping[str, Speaker], settings: Settings, intake: Intake) -> list[CorpusRow]:
    """One row for each utterance that has a text and a recording; what lacks one of them is dropped and counted."""
    recordings, texts = find_recordings(root), find_texts(root)
    rows = []
    for key in sorted({*recordings, *texts}):
        if key not in texts:
            name = next(iter(recordings[key].values())).parent.name
            comment = speakers[name].comment if name in speakers else ""
            lose = intake.leave_out if name == "p315" else intake.drop  # published without texts
            lose(
                key,
                "no-text",
                f'row "{key}": no txt/{name}/{key}.txt{f" ({comment})" if comment else ""}. Speaker p315 has none; unpack the rest again.',
            )
        elif key not in recordings:
            intake.drop(key, "missing", f'row "{key}" ({_place(root, texts[key])}): no recording of that name. Unpack the corpus again.')
        elif (row := _make_row(root, key, texts[key], recordings[key], settings, intake)) is not None:
            rows.append(_with_person(row, speakers))
    return rows


def _place(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _make_row(root: Path, key: str, text: Path, recordings: Mapping[str, Path], settings: Settings, intake: Intake) -> CorpusRow | None:
    wanted, other = str(settings.microphone), str(3 - settings.microphone)
    microphone = next(name for name in (wanted, "", other) if name in recordings)
    if microphone == other:
        intake.repair("wanted microphone missing, the other one taken")
    try:
        raw = read_text(locate_audio(_place(root, text), [root]))
        audio = locate_audio(_place(root, recordings[microphone]), [root])
    except CorpusError as error:
        intake.drop(key, "not-text", f'row "{key}" ({_place(root, text)}): {error}')
        return None
    except AudioError as error:
        intake.drop(key, error.reason, f'row "{key}": {error}')
        return None
    plain = strip_quotes(raw)
    if plain != raw:
        intake.repair("quotes around a whole sentence removed")
    meta = {"microphone": int(microphone)} if microphone else {}
    return CorpusRow(id=key, audio=audio, text=plain, text_raw=raw, place=_place(root, text), speaker=text.parent.name, meta=meta)


def _with_person(row: CorpusRow, speakers: Mapping[str, Speaker]) -> CorpusRow:
    speaker = speakers.get(row.speaker or "")
    if speaker is None:
        return row
    return dataclasses.replace(row, gender=speaker.gender, age=speaker.age, accent_raw=speaker.accent, region=speaker.region or None)


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
