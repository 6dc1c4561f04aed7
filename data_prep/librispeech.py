"""LibriSpeech: English audiobooks, the set on which to see what an adapted model forgets.

Source: https://www.openslr.org/12/, one archive for each subset; unpack one or several into the same folder. License: CC BY 4.0. The corpus is
in capitals without punctuation. train-*, dev-* and test-* are official splits and share no speaker. Real-shaped lines:

    test-clean/1089/134686/1089-134686.trans.txt    1089-134686-0000 HE HOPED THERE WOULD BE STEW FOR DINNER
    SPEAKERS.TXT                                    14   | F | train-clean-360  | 25.03 | Name   (the name may hold | itself)
    SPEAKERS.TXT                                    ;ID  |SEX| SUBSET           |MINUTES| NAME   (a comment)

As a guard set a part is enough: `--set subsets=test-clean --set utterances=500` takes the same 500 utterances every time (another `--seed`
takes others), as evenly from all speakers as possible. Names of readers are not copied.
"""

import dataclasses
import hashlib
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from speechadapt.cli import main
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, finish_corpus, is_junk, locate_audio, release
from speechadapt.preparation.lists import parse_line, read_lines

CORPUS = Corpus(
    name="librispeech",
    title="LibriSpeech",
    license="CC BY 4.0",
    commercial_use="yes, with attribution",
    home="https://www.openslr.org/12/",
    expects="a folder LibriSpeech with subsets such as test-clean/, each with SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt beside its recordings.",
    accent_label="none: the readers' accents are not known",
    language="en",
    case="sentence",
)
SUBSETS = {
    **dict.fromkeys(("train-clean-100", "train-clean-360", "train-other-500"), "train"),
    **dict.fromkeys(("dev-clean", "dev-other"), "dev"),
    **dict.fromkeys(("test-clean", "test-other"), "test"),
}
"""The official split of each subset."""
KEY = re.compile(r"(?P<speaker>[0-9]+)-(?P<chapter>[0-9]+)-[0-9]+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        subsets: only these (`test-clean,test-other`); nothing takes all that are there.
        utterances: so many of each subset, as evenly from its speakers as possible and the same for the same `--seed`; None takes all.
    """

    subsets: tuple[str, ...] = ()
    utterances: int | None = None


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the subsets; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    if settings.utterances is not None and settings.utterances < 1:
        raise MisuseError(f"--set utterances={settings.utterances}: must be 1 or more. Give a larger number.")
    root, subsets = find_subsets(Path(source), settings.subsets)
    intake = Intake()
    genders = read_genders(root / "SPEAKERS.TXT", intake)
    rows: list[CorpusRow] = []
    for subset in subsets:
        there = read_subset(root, subset, genders, intake)
        rows += there if settings.utterances is None else choose(there, settings.utterances, options.seed, intake)
    if any(row.split == "test" for row in rows):
        intake.notes.append("a guard set: give test.jsonl to --guard, so that base and adapted model are compared on speech without an accent label")
    return finish_corpus(release(rows), corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_subsets(source: Path, wanted: Sequence[str] = ()) -> tuple[Path, list[str]]:
    """The corpus folder (`source`, a folder in it, or the one around a single subset) and the subsets to read.

    Raises:
        CorpusError: there is no subset, or not the one that is wanted.
        MisuseError: a wanted name is none of LibriSpeech's.
    """
    for name in wanted:
        if name not in SUBSETS:
            raise MisuseError(f'--set subsets: "{name}", must be among {", ".join(SUBSETS)}. Check the spelling.')
    if source.is_dir() and source.resolve().name in SUBSETS:
        root, there = source.resolve().parent, [source.resolve().name]
    else:
        children = sorted(path for path in source.iterdir() if path.is_dir()) if source.is_dir() else []
        held = {folder: [name for name in SUBSETS if (folder / name).is_dir()] for folder in (source, *children)}
        root = next((folder for folder, names in held.items() if names), source)
        there = held[root] if source.is_dir() else []
    lacking = [name for name in wanted if name not in there]
    if lacking or not there:
        found = ", ".join(sorted(path.name for path in root.iterdir())[:8]) if root.is_dir() else "no such folder"
        looked = lacking[0] if lacking else ", ".join(SUBSETS)
        raise CorpusError(f"{source}: does not look like LibriSpeech; looked for {looked}, found: {found}. It should be {CORPUS.expects}")
    return root, [name for name in there if not wanted or name in wanted]


def read_genders(path: Path, intake: Intake) -> dict[str, str]:
    """F or M by speaker, from SPEAKERS.TXT; a missing file is noted, a line that is not understood is counted."""
    genders: dict[str, str] = {}
    if not path.is_file():
        intake.notes.append("no SPEAKERS.TXT, so genders are unknown")
    for _, line in read_lines(path):
        if line.startswith(";"):
            continue
        parts = [part.strip() for part in line.split("|", 4)]
        if len(parts) < 3 or not parts[0].isdecimal():
            intake.repair("line of SPEAKERS.TXT not understood, passed over")
        else:
            genders.setdefault(parts[0], parts[1])
    return genders


def read_subset(root: Path, subset: str, genders: Mapping[str, str], intake: Intake) -> list[CorpusRow]:
    """The rows of one subset; what has no recording is dropped and counted, recordings in no list are counted."""
    rows: list[CorpusRow] = []
    named: set[str] = set()
    for path in sorted((root / subset).glob("*/*/*.trans.txt")):
        if is_junk(path.relative_to(root)):
            continue
        for number, line in read_lines(path):
            place = f"{path.relative_to(root).as_posix()}, line {number}"
            key, text = parse_line(line)
            named.add(key)
            row = _make_row(path.parent, key, text, place, subset, genders, intake)
            if row is not None:
                rows.append(row)
    files = (path for path in (root / subset).glob("*/*/*") if path.suffix.lower() == ".flac" and not is_junk(Path(path.name)))
    orphans = sum(path.stem not in named for path in files)
    intake.facts["orphan_recordings"] = intake.facts.get("orphan_recordings", 0) + orphans
    return rows


def _make_row(folder: Path, key: str, text: str, place: str, subset: str, genders: Mapping[str, str], intake: Intake) -> CorpusRow | None:
    match, split = KEY.fullmatch(key), SUBSETS[subset]
    if match is None:
        message = f'row "{key[:80]}" ({place}): a key is SPEAKER-CHAPTER-NUMBER, such as 1089-134686-0000. Correct the line.'
        intake.drop(key[:80], "malformed-line", message, split)
        return None
    try:
        audio = locate_audio(f"{key}.flac", [folder])
    except AudioError as error:
        intake.drop(key[:80], error.reason, f'row "{key[:80]}" ({place}): {error}', split)
        return None
    return CorpusRow(
        id=key,
        audio=audio,
        text=text,
        place=place,
        speaker=match["speaker"],
        gender=genders.get(match["speaker"]),
        recording=f"{match['speaker']}-{match['chapter']}",
        split=split,
        meta={"subset": subset},
    )


def choose(rows: Iterable[CorpusRow], utterances: int, seed: int, intake: Intake) -> list[CorpusRow]:
    """So many rows, taken from the speakers in turn, in an order that the seed and the ids alone decide; the others are dropped and counted."""
    by_speaker: dict[str | None, list[CorpusRow]] = defaultdict(list)
    for row in rows:
        by_speaker[row.speaker].append(row)
    turns = []
    for speaker, own in by_speaker.items():
        ordered = sorted(own, key=lambda row: _rank(seed, row.id))
        turns += [(turn, _rank(seed, str(speaker)), row.id, row) for turn, row in enumerate(ordered)]
    turns.sort(key=lambda turn: turn[:3])
    for _, _, _, row in turns[utterances:]:
        message = f'row "{row.id}" ({row.place}): not among the {utterances} utterances that were asked for. Take more with --set utterances=N.'
        intake.leave_out(row.id, "not-in-subset", message, row.split)
    return [row for _, _, _, row in turns[:utterances]]


def _rank(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
