"""NISP: English read by 345 speakers of Hindi, Kannada, Malayalam, Tamil and Telugu, four to five minutes each with their own language.

Source: https://github.com/iiscleap/NISP-Dataset (a zip in several parts, to be joined and unpacked first). License: its README says CC BY 4.0,
other sources say research use only: ask the owner. Layout: Hindi_master/English_Hindi/RECS/.../Hin_0001_Eng_f_0000.wav, and one transcript for
each speaker, Hindi_master/scripts/English_hindi_txt/Hin_0001_Eng_f.txt; the same for the four other languages. Real-shaped lines:

    Hin_0001_Eng_f.txt      item0005<TAB>Don't ask me to carry an oily rag like that.
    total_spkrinfo.list     Hin_0001 Female Hindi 163 40 89.5 58.5 24.24 Rajasthan Jaipur      (a header line names the values)
    train_spkrID            Hin_0002___TRN

A speaker's number is unique only together with the language before it. Everyone reads the first six sentences. The lists of train and test
speakers are used if they are there; a line without a recording was not recorded. Only the English part is read: the transcripts of the native
part have no numbers, so that nothing says which recording they belong to. Body measurements and native places are never copied.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from speechadapt.cli import main
from speechadapt.data.table import read_table
from speechadapt.errors import AudioError, CorpusError
from speechadapt.preparation import (
    Corpus,
    CorpusRow,
    Intake,
    PrepareOptions,
    PrepReport,
    accent_slug,
    find_file,
    finish_corpus,
    is_junk,
    locate_audio,
)
from speechadapt.preparation.lists import read_lines

CORPUS = Corpus(
    name="nisp",
    title="NISP",
    license="CC BY 4.0 per its README, research use per other sources: check with the owner",
    commercial_use="check with the owner",
    home="https://github.com/iiscleap/NISP-Dataset",
    expects="the unpacked folder with Hindi_master, Kannada_master, Malayalam_master, Tamil_master and Telugu_master (or some of them).",
    accent_label="the speaker's mother tongue",
    language="en",
)
LANGUAGES = {"Hin": "Hindi", "Kan": "Kannada", "Mal": "Malayalam", "Tam": "Tamil", "Tel": "Telugu"}
SPELLINGS = {"malayam": "malayalam", "malyalam": "malayalam"}
"""Of the published list of speakers."""
RECORDING = re.compile(r"(hin|kan|mal|tam|tel)_(\d+)_([a-z]{3})_([mf])_(\d+)", re.IGNORECASE)
TRANSCRIPT = re.compile(r"(hin|kan|mal|tam|tel)_(\d+)_eng_([mf])", re.IGNORECASE)
SPEAKER = re.compile(r"(hin|kan|mal|tam|tel)_\d+", re.IGNORECASE)
ITEM = re.compile(r"item[ _]?(\d+)(?:[ \t]+(.*))?", re.IGNORECASE)
PEOPLE = ("total_spkrinfo.list", "speaker_details.csv")
SPLITS = {"train_spkrID": "train", "test_spkrID": "test"}
Lines = list[tuple[int, str]]


def prepare(source: Path | str, out: Path, options: PrepareOptions) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root = find_root(Path(source))
    intake = Intake()
    rows = make_rows(root, options, intake)
    return finish_corpus(rows, corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_root(source: Path) -> Path:
    """The corpus folder: `source` itself or a folder in it.

    Raises:
        CorpusError: none holds a folder of one of the five languages.
    """
    children = sorted(path for path in source.iterdir() if not is_junk(path)) if source.is_dir() else []
    for root in (source, *(path for path in children if path.is_dir())):
        if find_masters(root):
            return root
    found = ", ".join(path.name for path in children[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(f"{source}: does not look like NISP; looked for a folder such as Hindi_master, found: {found}. It should be {CORPUS.expects}")


def find_masters(root: Path) -> list[Path]:
    """The folders of the languages."""
    names = {f"{language.lower()}_master" for language in LANGUAGES.values()}
    return sorted(path for path in root.iterdir() if path.name.lower() in names and path.is_dir()) if root.is_dir() else []


def make_rows(root: Path, options: PrepareOptions, intake: Intake) -> list[CorpusRow]:
    """A row for every English recording that has a line in its speaker's transcript; others are dropped and counted."""
    recordings = find_recordings(root, intake)
    transcripts, unreadable = read_transcripts(root, intake)
    people, splits = read_people(root, intake), read_splits(root, intake)
    unrecorded = sum(len(lines) for speaker, lines in transcripts.items() if speaker not in recordings)
    rows = []
    for speaker in sorted(unreadable.keys() - recordings.keys()):
        intake.notes.append(f"transcript of {speaker}, who has no recordings, cannot be read: {unreadable[speaker]}")
    for speaker, files in sorted(recordings.items()):
        lines = transcripts.get(speaker, [])
        texts, by_position = match_lines([number for number, _ in files], lines)
        unrecorded += len(lines) - len({number for number, _ in files} & set(texts))
        for number, path in files:
            key, place, split = path.stem, path.relative_to(root).as_posix(), splits.get(speaker)
            if number not in texts:
                why = unreadable.get(speaker) or f"no line of its own in the transcript of {speaker} ({len(lines)} lines)."
                reason = "unreadable-transcript" if speaker in unreadable else "no-transcript"
                intake.drop(key, reason, f'row "{key}" ({place}): {why}', split)
                continue
            try:
                audio = locate_audio(place, [root])
            except AudioError as error:
                intake.drop(key, error.reason, f'row "{key}" ({place}): {error}', split)
                continue
            if by_position:
                intake.repair("recording joined to its line by position, as its number stands in no line")
            rows.append(_make_row(key, audio, texts[number], speaker, people.get(speaker, {}), split, place, options))
    intake.facts["lines_without_recording"] = unrecorded
    return rows


def _make_row(
    key: str, audio: Path, text: str, speaker: str, about: dict[str, str], split: str | None, place: str, options: PrepareOptions
) -> CorpusRow:
    language, _, _, gender = key.split("_")[:4]
    tongue = about.get("mother_tongue") or LANGUAGES[language.capitalize()]
    first = SPELLINGS.get(tongue.casefold(), tongue.casefold())
    return CorpusRow(
        id=key,
        audio=audio,
        text=text,
        place=place,
        speaker=speaker,
        gender=about.get("gender") or gender,
        age=about.get("age"),
        accent=options.accent_map.get(tongue.casefold()) or f"en_l2_{accent_slug(first)}",
        accent_raw=tongue,
        l1=first,
        split=split,
    )


def find_recordings(root: Path, intake: Intake) -> dict[str, list[tuple[int, Path]]]:
    """English recordings, with their numbers, by speaker; native ones and names of another form are counted."""
    found: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    native = other = 0
    for master in find_masters(root):
        for path in sorted(path for path in master.rglob("*") if path.suffix.lower() == ".wav" and not is_junk(path.relative_to(root))):
            name = RECORDING.fullmatch(path.stem)
            if name is None:
                other += 1
            elif name[3].lower() != "eng":
                native += 1
            else:
                found[speaker_of(name[0])].append((int(name[5]), path))
    intake.facts |= {"native_recordings_not_read": native, "recordings_with_other_names": other}
    return found


def speaker_of(name: str) -> str:
    """`Hin_0001` of a name that begins with it, in the published case."""
    language, number = name.split("_")[:2]
    return f"{language.capitalize()}_{number}"


def read_transcripts(root: Path, intake: Intake) -> tuple[dict[str, Lines], dict[str, str]]:
    """Numbered lines by speaker, and why the transcripts of other speakers cannot be read."""
    transcripts: dict[str, Lines] = {}
    unreadable: dict[str, str] = {}
    for master in find_masters(root):
        for path in sorted(path for path in master.rglob("*") if path.suffix.lower() == ".txt" and TRANSCRIPT.fullmatch(path.stem)):
            speaker = speaker_of(path.stem)
            if is_junk(path.relative_to(root)):
                continue
            if not path.resolve().is_relative_to(root.resolve()):
                unreadable[speaker] = f"{path} leaves the folder of the corpus."
            elif speaker in transcripts:
                intake.repair("a second transcript of a speaker, the first is kept")
            else:
                try:
                    transcripts[speaker] = parse_transcript([line for _, line in read_lines(path)], intake)
                except CorpusError as error:
                    unreadable[speaker] = str(error)
    return transcripts, unreadable


def parse_transcript(lines: Sequence[str], intake: Intake) -> Lines:
    """Number and text of every `item0005<TAB>text`; lines of another form are passed over, numbers that stand twice keep their first text."""
    texts: dict[int, str] = {}
    for line in lines:
        item = ITEM.fullmatch(line)
        if item is None or len(item[1]) > 9:
            intake.repair("line of a transcript without a number, passed over")
        elif int(item[1]) in texts:
            intake.repair("number that stands twice in a transcript, the first line is kept")
        else:
            texts[int(item[1])] = (item[2] or "").strip()
    return list(texts.items())


def match_lines(numbers: Collection[int], lines: Lines) -> tuple[dict[int, str], bool]:
    """Which text each numbered recording has.

    By the number of the line; if some numbers stand in no line, but all count the lines from 0, by position.

    Returns:
        texts by the recordings' numbers, and whether they were found by position.
    """
    by_number = dict(lines)
    wanted = set(numbers)
    if wanted and not wanted <= set(by_number) and max(wanted) < len(lines):
        return {number: lines[number][1] for number in wanted}, True
    return {number: by_number[number] for number in wanted if number in by_number}, False


def read_people(root: Path, intake: Intake) -> dict[str, dict[str, str]]:
    """Gender, mother tongue and age by speaker; nothing else of the list is taken over. Lines of another form are counted."""
    path = find_file(root, PEOPLE)
    if path is None:
        intake.notes.append(f"no {PEOPLE[0]}: mother tongue and gender are those of the file names, ages are not known")
        return {}
    people: dict[str, dict[str, str]] = {}
    for values in _read_people_rows(path, intake):
        named = {re.sub(r"[\W_]+", "_", name.casefold()).strip("_"): value.strip() for name, value in values.items()}
        speaker = named.get("speaker_id", "")
        if SPEAKER.fullmatch(speaker) and speaker_of(speaker) in people:
            intake.repair(f"speaker who stands twice in {path.name}, the first line is kept")
        elif SPEAKER.fullmatch(speaker):
            age = next((value for name, value in named.items() if name.split("_")[0] == "age"), "")
            about = {"gender": named.get("gender", ""), "mother_tongue": named.get("mother_tongue", ""), "age": age}
            people[speaker_of(speaker)] = {name: value for name, value in about.items() if value and value != "NIL"}
        else:
            intake.repair(f"line of {path.name} not understood, passed over")
    return people


def _read_people_rows(path: Path, intake: Intake) -> list[dict[str, str]]:
    if path.suffix == ".csv":
        table = read_table(path, encoding="utf-8-sig")
        intake.repair(f"line of {path.name} not understood, passed over", len(table.broken))
        return [values for _, values in table.rows]
    header, *lines = [line.split() for _, line in read_lines(path)] or [[]]
    return [dict(zip(header, words, strict=True)) if len(words) == len(header) else {} for words in lines]


def read_splits(root: Path, intake: Intake) -> dict[str, str]:
    """The split of every speaker that the lists of train and test speakers name; empty where neither is there."""
    splits: dict[str, str] = {}
    for name, split in SPLITS.items():  # test comes last: it keeps who stands in both
        others = set(splits)
        for _, line in read_lines(root / name):
            found = SPEAKER.match(line)
            if found is None:
                intake.repair(f"line of {name} not understood, passed over")
            else:
                splits[speaker_of(found[0])] = split
        both = sum(splits[speaker] == split for speaker in others)
        if both:
            intake.repair("speaker who stands in the lists of train and test, taken for test", both)
    return splits


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
