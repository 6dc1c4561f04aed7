"""Parquet: the audio inside, as the Hugging Face Hub keeps datasets, so that `load_dataset` gives a column of audio. Needs the extra `parquet`."""

import io
import json
from collections.abc import Iterator
from typing import Any

from speechadapt.audio.waveform import copy_samples
from speechadapt.conversion.audiofolder import columns_of, meta_text
from speechadapt.conversion.clips import Clip
from speechadapt.conversion.job import DESCRIPTION, Job
from speechadapt.conversion.manifests import ALL, Part
from speechadapt.conversion.record import Record, hub_split, write_card
from speechadapt.errors import AudioError, ManifestError
from speechadapt.preparation.parquet import import_pyarrow
from speechadapt.units import SAMPLING_RATE

CARRIED = (*DESCRIPTION, "meta")
DATA_FOLDER = "data"
GROUP_ROWS = 1000
GROUP_BYTES = 16_000_000
"""A row group is written, and its memory given back, when it has this many rows or bytes of audio."""
LARGEST_CLIP = 1_000_000_000
"""Bytes of one recording; what is longer is no utterance, and a column of two gigabytes cannot be read by all."""


def write_parquet(job: Job, corpora: list[Record]) -> None:
    """Write `data/SPLIT-00000-of-0000N.parquet`, each of about `shard_size` bytes of audio.

    Raises:
        MissingExtraError: pyarrow is not installed.
        ManifestError: a recording is larger than a gigabyte.
    """
    schema = schema_of(columns_of(job))
    folder = job.folder / DATA_FOLDER
    folder.mkdir()
    for part in job.parts:
        split = file_stem(part)
        count = sum(1 for _ in write_shards(job, part, schema, split))
        for number in range(count):
            (folder / f"{split}-{number:05d}.part").rename(folder / f"{split}-{number:05d}-of-{count:05d}.parquet")
    facts = [
        f"Parquet files with the audio inside (`audio`: bytes and path; datasets decodes it at {SAMPLING_RATE} Hz).",
        *(["`meta` is a JSON object, written as text."] if job.states("meta") else []),
    ]
    loaded_as = {hub_split(part.name): f"{DATA_FOLDER}/{file_stem(part)}-*" for part in job.parts}
    write_card(job, corpora, facts, load=f'datasets.load_dataset("{job.out.name}")', loaded_as=loaded_as)


def file_stem(part: Part) -> str:
    """What the names of a part's files begin with; rows that are not divided are not called train, though the card lets them be loaded as that."""
    return ALL if part.name == ALL else hub_split(part.name)


def schema_of(names: list[str]) -> Any:
    """The types of the columns, and beside them what makes `datasets` see audio in one of them."""
    pyarrow = import_pyarrow()
    texts = {"transcription": "string", "duration": "float64", **dict.fromkeys(names, "string")}
    fields = [("audio", pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()}))]
    fields += [(name, getattr(pyarrow, kind)()) for name, kind in texts.items()]
    features = {"audio": {"sampling_rate": SAMPLING_RATE, "_type": "Audio"}}
    features |= {name: {"dtype": kind, "_type": "Value"} for name, kind in texts.items()}
    return pyarrow.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def write_shards(job: Job, part: Part, schema: Any, split: str) -> Iterator[int]:
    """Write the shards of a part under names without their number yet, row group by row group; yields the bytes of audio of each."""
    pyarrow = import_pyarrow()
    groups = row_groups(job, part)
    size, rows = next(groups)
    number = 0
    while rows:
        written = 0
        path = job.folder / DATA_FOLDER / f"{split}-{number:05d}.part"
        with pyarrow.parquet.ParquetWriter(path, schema) as shard:
            while rows and (written == 0 or written + size <= job.options.shard_size):
                shard.write_table(pyarrow.Table.from_pylist(rows, schema=schema), row_group_size=len(rows))
                written += size
                size, rows = next(groups, (0, []))
        yield written
        number += 1


def row_groups(job: Job, part: Part) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Rows in the groups they are written in, with the bytes of audio of each group."""
    limit = min(GROUP_BYTES, job.options.shard_size)
    size, rows = 0, list[dict[str, Any]]()
    for clip in job.clips(part):
        data = read_bytes(clip)
        if rows and (len(rows) == GROUP_ROWS or size + len(data) > limit):
            yield size, rows
            size, rows = 0, []
        u = clip.utterance
        row: dict[str, Any] = {"audio": {"bytes": data, "path": job.clip_name(clip)}, "transcription": u.text, "duration": round(clip.duration, 6)}
        rows.append({**row, "id": u.id, **job.description(part, u), **({"meta": meta_text(u.meta)} if u.meta else {})})
        size += len(data)
    yield size, rows


def read_bytes(clip: Clip) -> bytes:
    """The sound of one utterance: its file as it is, or the piece of it as FLAC.

    Raises:
        ManifestError: it cannot be read, or is larger than a gigabyte.
    """
    where = f'utterance "{clip.utterance.id}"'
    size = clip.source.stat().st_size if clip.whole else clip.count * 3
    if size > LARGEST_CLIP:
        raise ManifestError(
            f"{where}: {size / 1e9:.1f} GB of audio in one row, at most {LARGEST_CLIP / 1e9:.0f} GB. Cut the recording into segments."
        )
    if clip.whole:
        return clip.source.read_bytes()
    data = io.BytesIO()
    try:
        copy_samples(clip.source, data, start=clip.start, count=clip.count)
    except AudioError as error:
        raise ManifestError(f"{where}: {error} Nothing was converted.") from error
    return data.getvalue()
