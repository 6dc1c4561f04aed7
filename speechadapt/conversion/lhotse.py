"""Lhotse: recordings, supervisions and cuts as JSON Lines in gzip, for lhotse, icefall and other k2 recipes. Lhotse itself is not needed.

Named as lhotse's own recipes name theirs, so that `read_manifests_if_cached` finds them. Lhotse looks for relative paths where it is run.
"""

import contextlib
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from speechadapt.conversion.clips import Clip
from speechadapt.conversion.job import DESCRIPTION, Job
from speechadapt.conversion.manifests import Part
from speechadapt.conversion.names import plain_name
from speechadapt.conversion.record import Record, write_card

CARRIED = (*DESCRIPTION, "meta")
KINDS = ("recordings", "supervisions", "cuts")
OWN = ("speaker", "gender", "language")
"""Fields that a supervision has itself; the others lie in its custom ones."""
DIGITS = 8
"""Lhotse rounds its times to as many."""


def write_lhotse(job: Job, corpora: list[Record]) -> None:
    """Write `NAME_{recordings,supervisions,cuts}_PART.jsonl.gz` for every part, and the recordings."""
    prefix = plain_name("-".join(str(record.get("name", "")) for record in corpora), "-")
    for part in job.parts:
        files = {kind: job.folder / f"{prefix}_{kind}_{part.name}.jsonl.gz" for kind in KINDS}
        with contextlib.ExitStack() as stack:
            streams = {kind: stack.enter_context(open_lines(path)) for kind, path in files.items()}
            for clip in job.clips(part):
                recording = recording_of(job, clip)
                if job.names.note(f"recording of {part.name}", recording["id"]):
                    write_line(streams["recordings"], recording)
                supervision = supervision_of(job, part, clip, recording)
                write_line(streams["supervisions"], supervision)
                write_line(streams["cuts"], cut_of(clip, recording, supervision))
    where = "start at this folder (run lhotse in it)" if job.options.relative else "are absolute"
    facts = [f"Lhotse manifests; their paths {where}.", "Accent, age and the like are custom fields of the supervisions."]
    write_card(job, corpora, facts, load=f'lhotse.CutSet.from_file("{prefix}_cuts_{job.parts[0].name}.jsonl.gz")')


@contextlib.contextmanager
def open_lines(path: Path) -> Iterator[IO[bytes]]:
    """A gzip file without its name and time in it, so that equal content has equal bytes."""
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed:
        yield packed  # type: ignore[misc]


def write_line(stream: IO[bytes], value: dict[str, Any]) -> None:
    """One object as a line."""
    stream.write(json.dumps(value, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def recording_of(job: Job, clip: Clip) -> dict[str, Any]:
    """The whole recording a clip lies in, named by its file."""
    path = job.place_recording(clip)
    return {
        "id": job.names.name("recording", str(clip.source), plain_name(clip.source.stem))[0],
        "sources": [{"type": "file", "channels": [0], "source": job.listed(path)}],
        "sampling_rate": clip.rate,
        "num_samples": clip.length,
        "duration": round(clip.length / clip.rate, DIGITS),
        "channel_ids": [0],
    }


def supervision_of(job: Job, part: Part, clip: Clip, recording: dict[str, Any]) -> dict[str, Any]:
    """What is said in a clip, with its times in the recording."""
    u = clip.utterance
    told = job.description(part, u)
    own = {name: told.pop(name) for name in OWN if name in told}
    custom = {**told, **({"meta": u.meta} if u.meta else {})}
    supervision = {
        "id": u.id,
        "recording_id": recording["id"],
        "start": round(clip.start / clip.rate, DIGITS),
        "duration": round(clip.duration, DIGITS),
        "channel": 0,
        "text": u.text,
        **own,
    }
    return supervision | ({"custom": custom} if custom else {})


def cut_of(clip: Clip, recording: dict[str, Any], supervision: dict[str, Any]) -> dict[str, Any]:
    """The clip as a cut, in which times of supervisions count from its own beginning."""
    return {
        "id": clip.utterance.id,
        "start": supervision["start"],
        "duration": supervision["duration"],
        "channel": 0,
        "supervisions": [{**supervision, "start": 0.0}],
        "recording": recording,
        "type": "MonoCut",
    }
