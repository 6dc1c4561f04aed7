"""AudioFolder: `SPLIT/metadata.jsonl` beside the audio, as `load_dataset("audiofolder")` of Hugging Face's datasets reads it.

JSON Lines, as the library guesses the types of CSV (`007` would become 7, `NA` nothing). It takes the columns and their types from the first lines
of each file and wants them alike everywhere, so every line has every column, all of text but the duration, and `""` where nothing is known.
"""

import json
import re
from collections import Counter

from speechadapt.conversion.job import DESCRIPTION, Job
from speechadapt.conversion.manifests import ALL, Part
from speechadapt.conversion.record import Record, hub_split, write_card
from speechadapt.units import Seconds

CARRIED = (*DESCRIPTION, "meta")
METADATA = "metadata.jsonl"
DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:?\d\d.*)?")
Columns = dict[str, str | Seconds]


def write_audiofolder(job: Job, corpora: list[Record]) -> None:
    """Write a folder for each split (`validation` for dev), or one for rows that are not divided, and a file of audio for each row."""
    names = columns_of(job)
    for part in job.parts:
        split = folder_of(part)
        (job.folder / split).mkdir(exist_ok=True)
        dates: Counter[str] = Counter()
        with (job.folder / split / METADATA).open("w", encoding="utf-8") as lines:
            for clip in job.clips(part):
                u = clip.utterance
                told = {**dict.fromkeys(names, ""), "id": u.id, **job.description(part, u), **({"meta": meta_text(u.meta)} if u.meta else {})}
                row: Columns = {"file_name": job.place_clip(clip, split), "transcription": u.text, "duration": round(clip.duration, 6), **told}
                dates.update(name for name, value in row.items() if isinstance(value, str) and DATE.fullmatch(value))
                lines.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        for name in sorted(name for name, count in dates.items() if count == job.surveys[part.name].rows):
            job.notes.append(
                f'{part.name}: every "{name}" is a date, which datasets takes for a time and refuses where other splits differ; Parquet keeps text'
            )
    facts = [
        "A Hugging Face AudioFolder: `metadata.jsonl` names the files; unknown values are empty texts.",
        *(["`meta` is a JSON object, written as text."] if job.states("meta") else []),
    ]
    loaded_as = {hub_split(part.name): f"{folder_of(part)}/**" if folder_of(part) else "**" for part in job.parts}
    write_card(job, corpora, facts, load=f'datasets.load_dataset("audiofolder", data_dir="{job.out.name}")', loaded_as=loaded_as)


def columns_of(job: Job) -> list[str]:
    """The columns that any row of any split fills; the split has none where folders tell it."""
    divided = any(part.name != ALL for part in job.parts)
    return ["id", *(name for name in (*DESCRIPTION, "meta") if job.states(name) and not (name == "split" and divided))]


def folder_of(part: Part) -> str:
    """The folder of a split; rows that are not divided lie in the output folder itself."""
    return "" if part.name == ALL else hub_split(part.name)


def meta_text(meta: dict[str, object]) -> str:
    """`meta` as text: rows hold different things in it, which a column of one type does not."""
    return json.dumps(meta, ensure_ascii=False, sort_keys=True)
