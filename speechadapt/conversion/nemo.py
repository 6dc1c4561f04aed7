"""NeMo: JSON Lines with its names; audio paths start at the manifest, or are absolute where the audio is left in place.

NeMo looks for a relative path where it is run before it looks beside the manifest, and cuts `offset` and `duration` off to whole samples.
"""

import json
from pathlib import Path
from typing import Any

from speechadapt.conversion.clips import Clip, exact_seconds
from speechadapt.conversion.job import DESCRIPTION, Job
from speechadapt.conversion.manifests import ALL, Part
from speechadapt.conversion.record import Record, write_card

CARRIED = (*DESCRIPTION, "meta")
LONGEST_PATH = 254
"""NeMo takes a longer path for something else."""


def write_nemo(job: Job, corpora: list[Record]) -> None:
    """Write `PART_manifest.jsonl` for every part, or `manifest.jsonl`, and the recordings."""
    for part in job.parts:
        with (job.folder / file_of(part)).open("w", encoding="utf-8") as lines:
            for clip in job.clips(part):
                path = job.place_recording(clip)
                if len(path) > LONGEST_PATH:
                    job.repairs[f"paths of more than {LONGEST_PATH} characters, which NeMo does not find"] += 1
                lines.write(json.dumps(line_of(job, part, clip, path), ensure_ascii=False, allow_nan=False) + "\n")
    where = "absolute paths" if job.options.audio == "in-place" else "paths that start at the manifest"
    facts = [f"NeMo manifests with {where}: {', '.join(file_of(part) for part in job.parts)}."]
    write_card(job, corpora, facts, load=f"model.train_ds.manifest_filepath={Path(file_of(job.parts[0]))}")


def file_of(part: Part) -> str:
    """The manifest of a part."""
    return "manifest.jsonl" if part.name == ALL else f"{part.name}_manifest.jsonl"


def line_of(job: Job, part: Part, clip: Clip, path: str) -> dict[str, Any]:
    """One line; `offset` only where a line is a piece of its recording, `lang` for the language."""
    u = clip.utterance
    line: dict[str, Any] = {"audio_filepath": path, "duration": exact_seconds(clip.count, clip.rate), "text": u.text}
    if not clip.whole:
        line["offset"] = exact_seconds(clip.start, clip.rate)
    told = job.description(part, u)
    if "language" in told:
        line["lang"] = told.pop("language")
    line |= {"id": u.id, **told}
    return line | ({"meta": u.meta} if u.meta else {})
