"""EdAcc v1.0, the Edinburgh International Accents of English Corpus: 40 hours of video calls between people of many accents.

Source: https://datashare.ed.ac.uk/handle/10283/8983 (edacc_v1.0.tar.gz). License: CC BY-SA 4.0. Real-shaped lines:

    dev/segments    EDACC-C48-000000026 EDACC-C48 81.51 83.02      (the recording is data/EDACC-C48.wav, a whole conversation)
    dev/text        EDACC-C48-000000026 YEAH I THINK SO <laugh>
    dev/stm         EDACC-C06 1 EDACC-C06-A 0.00 5.27 <male,l1> IGNORE_TIME_SEGMENT_IN_SCORING

Only dev and test exist, and test must not be trained on. `--set dev_as=train` makes training data of dev and carves a new dev set out of
it by conversation: both people can be heard in each other's rows, so a conversation (its parts `_P1` and `_P2` together) is the recording
that never stands on two sides. What scoring ignores is dropped from every split. Tags such as `<laugh>` leave the text and stand in
`meta["tags"]`; of the alternatives `(HELLO)/(HI)` the first stays in the text and all stand in `meta["alternatives"]`. The accent is
what people answered when they were asked, in their own words; of the questionnaire only accent, gender and first language are taken.
Many rows are one word (`YEAH`): `--set min_words=3` and `--set overlaps=drop` choose rows outside of test, never in it.
"""

import csv
import dataclasses
import io
import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from speechadapt.cli import main
from speechadapt.errors import AudioError, CorpusError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, finish_corpus, locate_audio
from speechadapt.preparation.lists import parse_segment, parse_span, read_lines, read_list
from speechadapt.units import Seconds

CORPUS = Corpus(
    name="edacc",
    title="EdAcc v1.0 (Edinburgh International Accents of English Corpus)",
    license="CC BY-SA 4.0",
    commercial_use="share-alike: seek advice",
    home="https://datashare.ed.ac.uk/handle/10283/8983",
    expects="the folder edacc_v1.0 with data/ (the recordings), linguistic_background.csv, and dev/ and test/, each with segments, text and utt2spk.",
    accent_label="the speaker's own answer in linguistic_background.csv",
    language="en",
    case="sentence",
)
SPLITS = ("dev", "test")
PEOPLE_FILE = "linguistic_background.csv"
NOT_SCORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
QUESTIONS = {
    "gender": ("what is your gender", "gender"),
    "accent_raw": ("your accent in english", "accent"),
    "l1": ("first language", "native language", "mother tongue"),
}
"""What a question's header contains, the most telling words first; the headers are whole sentences."""
TAG = re.compile(r"<([^<>]*)>")
CHOICE = re.compile(r"\([^()]*\)(?:\s*/\s*\([^()]*\))+|\{[^{}]*\}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus; none of them touches test.

    Attributes:
        dev_as: dev keeps the official name; train makes training data of it.
        min_words: rows with fewer words are dropped.
        overlaps: keep, or drop rows during which the other person speaks too.
    """

    dev_as: Literal["dev", "train"] = "dev"
    min_words: int = 1
    overlaps: Literal["keep", "drop"] = "keep"


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root = find_root(Path(source))
    intake = Intake()
    people = read_people(root, intake)
    rows = [row for split in SPLITS for row in read_split(root, split, people, settings, intake)]
    return finish_corpus(rows, corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_root(source: Path) -> Path:
    """The corpus folder: `source` itself or the folder edacc_v1.0 in it.

    Raises:
        CorpusError: neither holds recordings and lists.
    """
    for root in (source, source / "edacc_v1.0", source / "edacc"):
        if (root / "data").is_dir() and any((root / split / "segments").is_file() for split in SPLITS):
            return root
    found = ", ".join(sorted(path.name for path in source.iterdir())[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(
        f"{source}: does not look like EdAcc; looked for data/, dev/segments and test/segments, found: {found}. It should be {CORPUS.expects}"
    )


def read_split(root: Path, split: str, people: Mapping[str, dict[str, str]], settings: Settings, intake: Intake) -> list[CorpusRow]:
    """The rows of one official split; what one of the lists lacks, and what is not scored, is dropped and counted."""
    folder = root / split
    lists = {name: read_list(folder / name, intake) for name in ("segments", "text", "utt2spk")}
    turns = _read_turns(lists["segments"], lists["utt2spk"])
    ignored = read_ignored(folder / "stm", intake)
    named = settings.dev_as if split == "dev" else split
    rows = []
    for key in sorted({*lists["segments"], *lists["text"]}):
        place = f'row "{key}" ({split}/segments)'
        absent = next((name for name, table in lists.items() if key not in table), None)
        if absent is not None:
            intake.drop(key, f"not-in-{absent}", f'row "{key}" ({split}): stands in no line of {split}/{absent}.', named)
            continue
        try:
            recording, start, end = parse_segment(lists["segments"][key])
            audio = locate_audio(f"{recording}.wav", [root / "data"])
        except AudioError as error:
            intake.drop(key, error.reason, f"{place}: {error}", named)
            continue
        raw, speaker = lists["text"][key], speaker_of(lists["utt2spk"][key])
        text, tags, alternatives = parse_text(raw)
        overlapped = "overlap" in tags or _is_overlapped(turns[recording], speaker, start, end)
        if NOT_SCORED in raw.upper() or any(who in (None, speaker) and first <= (start + end) / 2 <= last for who, first, last in ignored[recording]):
            intake.leave_out(key, "not-scored", f"{place}: {split}/stm or its text says {NOT_SCORED}.", named)
        elif split != "test" and 0 < len(text.split()) < settings.min_words:
            intake.leave_out(
                key, "few-words", f'{place}: "{text}" has {len(text.split())} words, at least {settings.min_words} are asked for.', named
            )
        elif split != "test" and settings.overlaps == "drop" and overlapped:
            intake.leave_out(key, "overlap", f"{place}: the other person speaks too between {start:.2f} and {end:.2f} s.", named)
        else:
            facts = {"tags": tags, "alternatives": alternatives, "overlap": overlapped}
            rows.append(
                CorpusRow(
                    id=key,
                    audio=audio,
                    text=text,
                    text_raw=raw,
                    place=f"{split}/text",
                    offset=start,
                    duration=end - start,
                    channel=None,
                    speaker=speaker,
                    recording=conversation_of(recording),
                    split=named,
                    meta={name: value for name, value in facts.items() if value},
                    **people.get(speaker, {}),
                )
            )
    return rows


Turns = dict[str, list[tuple[Seconds, Seconds, str]]]


def _read_turns(segments: Mapping[str, str], speakers: Mapping[str, str]) -> Turns:
    """Who speaks when, by recording and by start."""
    turns: Turns = defaultdict(list)
    for key, value in segments.items():
        try:
            recording, start, end = parse_segment(value)
        except AudioError:
            continue  # counted where the rows are made
        turns[recording].append((start, end, speaker_of(speakers.get(key, key))))
    return turns


def _is_overlapped(turns: list[tuple[Seconds, Seconds, str]], speaker: str, start: Seconds, end: Seconds) -> bool:
    return any(first < end and last > start and other != speaker for first, last, other in turns)


def read_ignored(path: Path, intake: Intake) -> dict[str, list[tuple[str | None, Seconds, Seconds]]]:
    """The time spans of an stm file that scoring ignores, by recording, each of one speaker or (None) of everybody."""
    spans: dict[str, list[tuple[str | None, Seconds, Seconds]]] = defaultdict(list)
    for _, line in read_lines(path):
        words = line.split(maxsplit=5)
        if line.startswith(";;") or NOT_SCORED not in line.upper():
            continue
        try:
            start, end = parse_span(words[3], words[4])
        except (AudioError, IndexError):
            intake.repair("stm: line not understood, passed over")
            continue
        everybody = words[2].casefold() in ("inter_segment_gap", "excluded_region")
        spans[words[0]].append((None if everybody else speaker_of(words[2]), start, end))
    return spans


def parse_text(raw: str) -> tuple[str, list[str], list[list[str]]]:
    """The words, the names of the tags, and the alternatives, of which the first stays in the text.

    `(HELLO)/(HI)` and `{ HELLO / HI }` are alternatives; `@` in them stands for nothing. Other brackets are left out, their words stay.
    """
    tags = sorted({tag.strip().casefold() for tag in TAG.findall(raw)} - {""})
    alternatives: list[list[str]] = []

    def first_of(match: re.Match[str]) -> str:
        told = match[0][1:-1].split("/") if match[0].startswith("{") else re.findall(r"\(([^()]*)\)", match[0])
        options = [" ".join(option.replace("@", " ").split()) for option in told]
        if len(options) > 1:
            alternatives.append(options)
        return f" {options[0]} "

    text = CHOICE.sub(first_of, TAG.sub(" ", raw))
    return " ".join(re.sub(r"[(){}<>]", " ", text).split()), tags, alternatives


def speaker_of(given: str) -> str:
    """`EDACC-C07-A` whether or not the part of a conversation stands in it (`EDACC-C30_P1-A`); anything else as it is."""
    found = re.fullmatch(r"(.*C[0-9]+)(?:_P[0-9]+)?-([AB])", given)
    return f"{found[1]}-{found[2]}" if found else given


def participant_of(given: str) -> str:
    """The speaker that a PARTICIPANT_ID means: `EDACC-C07-A` itself, or a form such as `EDACC-C07P1` (A) and `C07_P2` (B)."""
    found = re.search(r"C([0-9]+)[-_ ]?(?:P([12])|([AB]))$", given.strip().upper())
    if not found:
        return given.strip()
    return f"EDACC-C{found[1].zfill(2)}-{found[3] or 'AB'[int(found[2]) - 1]}"


def conversation_of(recording: str) -> str:
    """`EDACC-C30` for its parts `EDACC-C30_P1` and `EDACC-C30_P2`."""
    return re.sub(r"_P[0-9]+$", "", recording)


def read_people(root: Path, intake: Intake) -> dict[str, dict[str, str]]:
    """Gender, accent and first language by speaker, as far as they were stated.

    Raises:
        CorpusError: the questionnaire has no column PARTICIPANT_ID, or is no CSV.
    """
    path = root / PEOPLE_FILE
    if not path.is_file():
        intake.notes.append(f"{PEOPLE_FILE} is not there: accents and genders are unknown")
        return {}
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")  # what a spreadsheet on Windows makes of the curly quotes
    try:
        header, *lines = [line for line in csv.reader(io.StringIO(text, newline="")) if any(value.strip() for value in line)]
    except (csv.Error, ValueError) as error:
        raise CorpusError(f"{path}: not a CSV table with a header ({error}). Download it again.") from error
    identity = find_column(header, ("participant_id", "participant id"))
    if identity is None:
        raise CorpusError(f"{path}: no column PARTICIPANT_ID; there are: {', '.join(header)[:300]}. Download it again.")
    columns = {field: place for field, words in QUESTIONS.items() if (place := find_column(header, words)) is not None}
    people: dict[str, dict[str, str]] = {}
    for line in lines:
        answers = {field: line[place].strip() for field, place in columns.items() if place < len(line) and line[place].strip()}
        speaker = participant_of(line[identity]) if identity < len(line) else ""
        if not speaker or speaker in people:
            intake.repair(f"{PEOPLE_FILE}: line without a PARTICIPANT_ID of its own, passed over")
        else:
            people[speaker] = answers
    return people


def find_column(header: list[str], words: tuple[str, ...]) -> int | None:
    """The first column whose header contains one of `words`; case, kinds of apostrophes and blanks do not matter."""
    plain = [" ".join(name.replace("’", "'").replace("‘", "'").casefold().split()) for name in header]
    return next((place for word in words for place, name in enumerate(plain) if word in name), None)


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
