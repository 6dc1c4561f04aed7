"""Convert: every row is checked before the first file is written, and the output appears when it is complete."""

import dataclasses
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from speechadapt.conversion import audiofolder, kaldi, lhotse, nemo, parquet
from speechadapt.conversion.clips import locate_clip
from speechadapt.conversion.job import DESCRIPTION, ConvertOptions, Job, Survey
from speechadapt.conversion.manifests import Part, find_parts, stream_part
from speechadapt.conversion.names import Names
from speechadapt.conversion.place import list_files, refuse_place
from speechadapt.conversion.record import Record, read_corpora, write_record
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError, MisuseError, SpeechadaptError
from speechadapt.files import atomic_folder
from speechadapt.preparation.parquet import import_pyarrow
from speechadapt.units import Seconds

WRITERS: dict[str, Callable[[Job, list[Record]], None]] = {
    "audiofolder": audiofolder.write_audiofolder,
    "parquet": parquet.write_parquet,
    "kaldi": kaldi.write_kaldi,
    "lhotse": lhotse.write_lhotse,
    "nemo": nemo.write_nemo,
}
CARRIED: dict[str, tuple[str, ...]] = {
    "audiofolder": audiofolder.CARRIED,
    "parquet": parquet.CARRIED,
    "kaldi": kaldi.CARRIED,
    "lhotse": lhotse.CARRIED,
    "nemo": nemo.CARRIED,
}
"""What each form can say of a row, beside id, sound, duration and text."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConvertReport:
    """What a conversion did.

    Attributes:
        format, audio: as asked for. out: the folder.
        splits: utterances, hours and speakers (None: no row names one) of each part.
        not_carried: rows that say something the form has no place for, by field.
        repairs: what was changed, by kind, and in how many rows. notes: sentences.
        corpora: the records that were carried over: name, license, commercial_use and what else stood there.
    """

    format: str
    audio: str
    out: str
    splits: dict[str, dict[str, Any]]
    not_carried: dict[str, int]
    repairs: dict[str, int]
    notes: tuple[str, ...]
    corpora: tuple[Record, ...]
    seconds: Seconds

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


def convert_manifests(data: Sequence[Path | str], out: Path | str, options: ConvertOptions) -> ConvertReport:
    """Write manifests and their audio in another form, with the record of the corpus (`corpus.json`) and a card (`README.md`).

    Rows are read twice: first all of them are checked, then they are written into a folder beside `out`, which is renamed at the end. An older output
    of a conversion is replaced. The same manifests give the same bytes.

    Args:
        data: folders that `prepare` wrote, or manifests whose names tell their splits.
        out: the folder to make.

    Raises:
        ManifestError: a manifest, a row or a recording is missing or broken, or an id stands twice; nothing is written.
        MisuseError: the splits or the place for the output make no sense.
        MissingExtraError: pyarrow is not installed, for Parquet.
        SpeechadaptError: the output cannot be written.
    """
    started = time.monotonic()
    sources, out = [Path(path) for path in data], Path(out)
    parts = find_parts(sources, options.splits)
    refuse_place(out, sources)
    if options.to == "parquet":
        import_pyarrow()  # what is not installed is told before all rows are checked
    try:
        return _convert(parts, out, options, started)
    except sqlite3.Error as error:
        raise SpeechadaptError(
            f"{out}: the names of its rows could not be kept ({error}). Free some space for temporary files, or name another folder in SQLITE_TMPDIR."
        ) from error


def _convert(parts: tuple[Part, ...], out: Path, options: ConvertOptions, started: float) -> ConvertReport:
    with Names() as names:
        survey = Job(parts=parts, options=options, names=names, folder=out, out=out.resolve())
        for part in parts:
            survey.surveys[part.name] = _survey(survey, part)
        corpora = read_corpora([path for part in parts for path in part.manifests])
        with atomic_folder(out) as folder:
            job = dataclasses.replace(survey, folder=folder)
            WRITERS[options.to](job, corpora)
            write_record(job, corpora)
            list_files(folder)
        splits = {name: _content(job, name, survey) for name, survey in job.surveys.items()}
    return ConvertReport(
        format=options.to,
        audio=options.audio,
        out=str(out),
        splits=splits,
        not_carried=_not_carried(job),
        repairs=dict(sorted(job.repairs.items())),
        notes=tuple(job.notes),
        corpora=tuple(corpora),
        seconds=round(time.monotonic() - started, 2),
    )


def _survey(job: Job, part: Part) -> Survey:
    """Check every row of a part, and count."""
    survey = Survey()
    replaced = job.out if job.out.exists() else None
    for folder, utterance in tqdm(stream_part(part), desc=f"{part.name} check", unit=" rows", disable=None):
        if not job.names.note("id", utterance.id):
            raise ManifestError(
                f'utterance "{utterance.id}" ({folder.name}): this id stands twice, and ids must be unique over all manifests of a conversion. '
                "Remove or rename one of them. Nothing was converted."
            )
        _require_writable(folder, utterance)
        clip = locate_clip(folder, utterance)
        if replaced is not None and clip.source.is_relative_to(replaced):
            raise MisuseError(
                f'{replaced}: holds {clip.source}, the recording of utterance "{utterance.id}", and would be replaced. Choose another folder.'
            )
        survey.rows += 1
        survey.seconds += clip.duration
        survey.pieces += not clip.whole
        survey.fields.update(name for name in (*DESCRIPTION, "meta") if getattr(utterance, name))
        job.rates[clip.rate] += 1
        job.repairs.update(["ends beyond recordings, shortened"] if clip.clamped else ())
        if utterance.language:
            job.languages[utterance.language] += 1
        if utterance.speaker is not None:
            job.names.note(f"speaker of {part.name}", utterance.speaker)
    return survey


def _require_writable(folder: Manifest, utterance: Utterance) -> None:
    """Half a surrogate pair, NaN and infinity can be read from JSON and stand in no other form."""
    try:
        json.dumps(utterance.to_json(), ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        found = "half a character (a lone surrogate)" if isinstance(error, UnicodeEncodeError) else "NaN or infinity"
        raise ManifestError(f"utterance {utterance.id!a} ({folder.name}): holds {found}. Correct the line. Nothing was converted.") from error


def _content(job: Job, name: str, survey: Survey) -> dict[str, Any]:
    speakers = job.names.count(f"speaker of {name}") or None
    return {"utterances": survey.rows, "hours": round(survey.seconds / 3600, 6), "speakers": speakers}


def _not_carried(job: Job) -> dict[str, int]:
    total: Counter[str] = Counter()
    for survey in job.surveys.values():
        total.update(survey.fields)
    return {name: total[name] for name in (*DESCRIPTION, "meta") if total[name] and name not in CARRIED[job.options.to]}
