"""Svarah: 9.6 hours of English by 117 speakers of 19 Indian first languages, read and spontaneous; made to test recognizers.

Source: https://github.com/AI4Bharat/Svarah (svarah.tar) or https://huggingface.co/datasets/ai4bharat/Svarah (gated, Parquet, which needs the extra
`parquet` and has no speakers). License: CC BY 4.0. Real-shaped:

    svarah_manifest.json     {"audio_filepath": "audio/281474976884635_f2370_chunk_0.wav", "duration": 3.5, "text": "I want to order groceries"}
    meta_speaker_stats.csv   speaker_id,duration,text,gender,age-group,primary_language,native_place_state,...
    meta_speaker_stats.csv   S1,3.5,I want to order groceries,Female,18-30,Hindi,Delhi,...

Every row is official test material. To adapt on Svarah, divide its people with `--splits speaker`, which the tar file allows and Parquet does not.
Districts, education and jobs of the speakers are not copied.
"""

import dataclasses
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speechadapt.cli import main
from speechadapt.data.table import read_table
from speechadapt.errors import AudioError, CorpusError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, find_file, finish_corpus, locate_audio
from speechadapt.preparation.fields import as_text
from speechadapt.preparation.lines import read_json_lines
from speechadapt.preparation.parquet import PackedRow, find_packed, read_dataset
from speechadapt.units import Seconds

CORPUS = Corpus(
    name="svarah",
    title="Svarah",
    license="CC BY 4.0",
    commercial_use="yes, with attribution",
    home="https://github.com/AI4Bharat/Svarah",
    expects="a folder with svarah_manifest.json, meta_speaker_stats.csv and audio/; or one with data/test-*.parquet.",
    accent_label="the speaker's primary language",
    language="en",
)
MANIFEST, PEOPLE = "svarah_manifest.json", "meta_speaker_stats.csv"
SAME_DURATION: Seconds = 0.01
"""Two lists may round the duration of a recording differently by this much."""


def prepare(source: Path | str, out: Path, options: PrepareOptions) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    intake = Intake()
    root = find_root(Path(source))
    if (root / MANIFEST).is_file():
        rows = read_manifest(root, intake)
    else:
        rows = [make_packed_row(row) for row in read_dataset(root, find_packed(root), ("text", "primary_language"), intake)]
        intake.notes.append("Parquet names no speakers, so rows can be divided by recording only; the tar file of the same corpus names them")
    return finish_corpus(rows, corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_root(source: Path) -> Path:
    """The corpus folder: `source` itself or the folder Svarah in it, with the manifest; else one with Parquet files.

    Raises:
        CorpusError: neither is there.
    """
    for root in (source, source / "Svarah", source / "svarah"):
        if (root / MANIFEST).is_file():
            return root
    if find_packed(source):
        return source
    found = ", ".join(sorted(path.name for path in source.iterdir())[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(f"{source}: does not look like Svarah; looked for {MANIFEST} and *.parquet, found: {found}. It should be {CORPUS.expects}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the manifest: the name of its recording, its duration as text, and what was said."""

    number: int
    audio: str
    duration: str
    text: str


def read_manifest(root: Path, intake: Intake) -> list[CorpusRow]:
    """The rows of the tar file; a recording that is not there is dropped and counted."""
    lines = [
        Line(number=number, audio=as_text(row.get("audio_filepath")), duration=as_text(row.get("duration")), text=as_text(row.get("text")))
        for number, row in read_json_lines(root / MANIFEST, intake, prefix="manifest", split="test")
    ]
    people = match_people(lines, read_people(root, intake))
    intake.facts["rows_without_speaker_data"] = people.count(None)
    rows = []
    for line, person in zip(lines, people, strict=True):
        name = line.audio.replace("\\", "/").rsplit("/", 1)[-1]  # folders before it are those of the owners' machine
        row_id = re.sub(r"\.\w+$", "", name) or f"line{line.number}"
        try:
            audio = locate_audio(name, [root / "audio", root])
        except AudioError as error:
            intake.drop(row_id, error.reason, f'row "{row_id}" ({MANIFEST}, line {line.number}): {error}', "test")
            continue
        row = CorpusRow(id=row_id, audio=audio, text=line.text, place=f"{MANIFEST}, line {line.number}", recording=recording_of(row_id), split="test")
        rows.append(with_person(row, person or {}))
    return rows


def read_people(root: Path, intake: Intake) -> list[dict[str, str]]:
    """The table of speakers, one row per recording; empty where the file is not there."""
    path = find_file(root, [PEOPLE])
    if path is None:
        intake.notes.append(f"no {PEOPLE}: nothing is known of the speakers")
        return []
    table = read_table(path, delimiter="comma", quoting="standard")
    if table.broken:
        intake.repair(f"{PEOPLE}: line with too many or too few values, left out", len(table.broken))
    return [values for _, values in table.rows]


def match_people(lines: Sequence[Line], people: Sequence[dict[str, str]]) -> list[dict[str, str] | None]:
    """The row of the table that describes each line, or None: the tables name no recordings, so text and duration decide.

    Where several people said the same in the same time, the one in the same place of both lists is taken, and none if that is another text.
    A table that does name recordings is joined by their names.
    """
    named = {row["audio_filepath"].replace("\\", "/").rsplit("/", 1)[-1]: row for row in people if row.get("audio_filepath")}
    if named:
        return [named.get(line.audio.replace("\\", "/").rsplit("/", 1)[-1]) for line in lines]
    by_text: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in people:
        by_text[_key(row.get("text", ""))].append(row)
    matched: list[dict[str, str] | None] = []
    for place, line in enumerate(lines):
        found = [row for row in by_text[_key(line.text)] if _same_duration(line.duration, row.get("duration", ""))]
        beside = people[place] if place < len(people) else None
        same_person = len({row.get("speaker_id") for row in found}) == 1
        matched.append(found[0] if same_person else beside if any(row is beside for row in found) else None)
    return matched


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()


def _same_duration(one: str, other: str) -> bool:
    try:
        return abs(float(one) - float(other)) <= SAME_DURATION
    except ValueError:
        return False


def recording_of(row_id: str) -> str | None:
    """The session that a chunk was cut from: `281474976884635_f2370` of `281474976884635_f2370_chunk_0`; None for other names."""
    found = re.fullmatch(r"(.+)_chunk_\d+", row_id)
    return found[1] if found else None


def make_packed_row(row: PackedRow) -> CorpusRow:
    """One row of the Parquet files, which are named as the recordings in the tar file."""
    if row.audio is None:
        raise CorpusError(f"{row.place}: no recording. It should be {CORPUS.expects}")
    name = row.values.get(row.audio_column or "", "").replace("\\", "/").rsplit("/", 1)[-1]
    row_id = re.sub(r"\.\w+$", "", name) or f"{row.file.path.stem}-{row.number:06d}"
    made = CorpusRow(id=row_id, audio=row.audio, text=row.values["text"], place=row.place, recording=recording_of(row_id), split="test")
    return with_person(made, row.values)


def with_person(row: CorpusRow, person: Any) -> CorpusRow:
    """The row with what is known of its speaker; of the native place only the state."""
    language = person.get("primary_language", "").strip()
    return dataclasses.replace(
        row,
        speaker=person.get("speaker_id", "").strip() or None,
        gender=person.get("gender") or None,
        age=person.get("age-group", "").strip() or None,
        accent_raw=language or None,
        l1=language.casefold() or None,
        region=person.get("native_place_state", "").strip() or None,
    )


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
