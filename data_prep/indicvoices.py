"""IndicVoices: read, extempore and conversational speech in 22 languages of India; thousands of speakers from over 200 districts.

Source: https://ai4bharat.iitm.ac.in/datasets/indicvoices (one archive per language and split, to be unpacked by you) or the Hugging Face Hub
(`ai4bharat/IndicVoices`, gated, Parquet, which needs the extra `parquet`). License: CC BY 4.0. Give the folder of one language. Real-shaped:

    Hindi/v1/train/281474976.json, 281474976.wav
    {"speaker_id": "S42", "scenario": "Extempore", "gender": "Female", "age_group": "18-30", "state": "Bihar", "verbatim": [...], "normalized": [...]}
    {"start": 12.4, "end": 15.02, "text": "मैं [noise] घर जा रहा हूँ", "speaker_id": 0}       (an element of both lists; 1 is the interviewer)

Words of English stand in Latin or in the language's own letters, depending on the list: `--set text=verbatim` or `normalized` chooses one for all.
Marks in brackets are removed; a segment with unintelligible words is dropped, as are the interviewer's. Districts and jobs are not copied.
"""

import dataclasses
import math
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from speechadapt.cli import main
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, Recipe, finish_corpus, is_junk, locate_audio, release
from speechadapt.preparation.fields import SPLIT_NAMES, as_text
from speechadapt.preparation.lines import parse_object
from speechadapt.preparation.parquet import PackedRow, find_packed, read_dataset
from speechadapt.units import Seconds

CORPUS = Corpus(
    name="indicvoices",
    title="IndicVoices",
    license="CC BY 4.0",
    commercial_use="yes, with attribution",
    home="https://ai4bharat.iitm.ac.in/datasets/indicvoices",
    expects="the folder of one language, such as Hindi, with v1/train/*.json and a .wav beside each; or one with train-*.parquet.",
    accent_label="none; the state of the speaker is kept as the region",
)
LANGUAGES = {
    "assamese": "as", "bengali": "bn", "bodo": "brx", "dogri": "doi", "gujarati": "gu", "hindi": "hi", "kannada": "kn", "kashmiri": "ks",
    "konkani": "kok", "maithili": "mai", "malayalam": "ml", "manipuri": "mni", "marathi": "mr", "nepali": "ne", "odia": "or", "punjabi": "pa",
    "sanskrit": "sa", "santali": "sat", "sindhi": "sd", "tamil": "ta", "telugu": "te", "urdu": "ur",
}  # fmt: skip
TEXTS = ("normalized", "verbatim")
INTERVIEWER = "1"
SHORTEST_SEGMENT: Seconds = 0.05
"""As in the owners' own preparation: shorter segments are slips of the annotators."""
MARK = re.compile(r"\[[^\]]*\]|\([^)]*\)")
UNINTELLIGIBLE = re.compile(r"\[\s*unintelligible\s*\]", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        text: normalized (numbers and the like written out as the owners do) or verbatim (as it was said).
        language: BCP-47 tag, where the folder's name does not tell it.
    """

    text: str = "normalized"
    language: str | None = None


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    if settings.text not in TEXTS:
        raise MisuseError(f'--set text="{settings.text}": must be one of {", ".join(TEXTS)}. Choose one of them.')
    root = Path(source)
    intake = Intake()
    packed = find_packed(root) if root.is_dir() else []
    if packed:
        made = (make_packed_row(row, settings, intake) for row in read_dataset(root, packed, (settings.text, "speaker_id"), intake))
        rows = [row for row in made if row is not None]
        language = settings.language
    else:
        files = find_files(root)
        language = settings.language or find_language(root, files)
        rows = [row for path in files for row in read_file(path, root, settings, intake)]
    corpus = dataclasses.replace(CORPUS, language=language)
    return finish_corpus(release(rows), corpus=corpus, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_files(root: Path) -> list[Path]:
    """The annotations: JSON files in folders that are named as splits.

    Raises:
        CorpusError: there is none.
    """
    places = sorted(root.rglob("*.json")) if root.is_dir() else []
    files = [path for path in places if split_of(path) is not None and not is_junk(path.relative_to(root))]
    if not files:
        found = ", ".join(sorted(path.name for path in root.iterdir())[:8]) if root.is_dir() else "no such folder"
        looked = "train/*.json, valid/*.json and *.parquet"
        raise CorpusError(f"{root}: does not look like IndicVoices; looked for {looked}, found: {found}. It should be {CORPUS.expects}")
    return files


def split_of(path: Path) -> str | None:
    """The official split that a file's folder names; `valid` is dev."""
    return SPLIT_NAMES.get(path.parent.name.casefold())


def find_language(root: Path, files: list[Path]) -> str:
    """The tag of the language that the folders above the files name.

    Raises:
        CorpusError: none, or several.
    """
    named = {next((part for part in reversed(path.resolve().parent.parts) if part.casefold() in LANGUAGES), "") for path in files}
    if len(named) > 1:
        raise CorpusError(f"{root}: holds several languages: {', '.join(sorted(named))}. Give the folder of one of them.")
    (name,) = named
    if not name:
        raise CorpusError(f"{root}: no folder is named as one of the 22 languages, such as Hindi. Name the language: --set language=hi")
    return LANGUAGES[name.casefold()]


def read_file(path: Path, root: Path, settings: Settings, intake: Intake) -> Iterator[CorpusRow]:
    """The segments of one recording; a file that cannot be read counts as one row."""
    place, split = path.relative_to(root).as_posix(), split_of(path)
    try:
        told = parse_object(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        told = None
    segments = told.get(settings.text) if told is not None else None
    if told is None or not isinstance(segments, list):
        message = f'{place}: no JSON object with a list "{settings.text}". Download it again, or remove it.'
        intake.drop(path.stem, "broken-file", message, split)
        return
    twins = told.get(next(name for name in TEXTS if name != settings.text))
    paired = isinstance(twins, list) and len(twins) == len(segments)
    for number, segment in enumerate(segments):
        row_id = f"{path.stem}_chunk_{number + 1}"
        where = f"{place}, segment {number + 1}"
        twin = twins[number] if paired and isinstance(twins, list) else {}
        facts = {**(twin if isinstance(twin, dict) else {}), **segment} if isinstance(segment, dict) else {}
        if as_text(facts.get("speaker_id")) == INTERVIEWER:
            intake.leave_out(row_id, "interviewer", f'row "{row_id}" ({where}): the interviewer speaks.', split)
            continue
        try:
            start, end = parse_times(facts)
            audio = locate_audio(f"{path.stem}.wav", [path.parent])
        except AudioError as error:
            intake.drop(row_id, error.reason, f'row "{row_id}" ({where}): {error}', split)
            continue
        text = segment.get("text") if isinstance(segment, dict) else ""
        row = make_row(row_id, audio, as_text(text), told, where, split, intake)
        if row is not None:
            yield dataclasses.replace(row, offset=start, duration=end - start, recording=path.stem)


def parse_times(segment: Mapping[str, Any]) -> tuple[Seconds, Seconds]:
    """Start and end of a segment; a start before the recording is its beginning.

    Raises:
        AudioError: reason out-of-range: no numbers, or shorter than 0.05 s.
    """
    try:
        start, end = max(float(segment["start"]), 0.0), float(segment["end"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise AudioError("out-of-range", "its start and end are not two numbers. Correct the file.") from error
    if not (math.isfinite(start) and math.isfinite(end)) or end - start < SHORTEST_SEGMENT:
        raise AudioError("out-of-range", f"it lasts from {start:.2f} to {end:.2f} s, at least {SHORTEST_SEGMENT:g} s are needed. Correct the file.")
    return start, end


def make_row(
    row_id: str, audio: Path | Recipe, text: str, facts: Mapping[str, Any], place: str, split: str | None, intake: Intake
) -> CorpusRow | None:
    """One row with what is known of its speaker; None, and counted, where words of it could not be understood."""
    if UNINTELLIGIBLE.search(text):
        intake.leave_out(row_id, "unintelligible", f'row "{row_id}" ({place}): words of "{text}" could not be understood by the annotators.', split)
        return None
    meta = {name: value for name in ("scenario", "task_name") if (value := as_text(facts.get(name)))}
    return CorpusRow(
        id=row_id,
        audio=audio,
        text=MARK.sub(" ", text),
        text_raw=text,
        place=place,
        speaker=as_text(facts.get("speaker_id")) or None,
        gender=as_text(facts.get("gender")) or None,
        age=as_text(facts.get("age_group")) or None,
        region=as_text(facts.get("state")) or None,
        split=split,
        meta=meta,
    )


def make_packed_row(row: PackedRow, settings: Settings, intake: Intake) -> CorpusRow | None:
    """One row of the Parquet files, which hold finished segments."""
    if row.audio is None:
        raise CorpusError(f"{row.place}: no recording. It should be {CORPUS.expects}")
    stem = re.sub(r"\.\w+$", "", row.values.get(row.audio_column or "", "").replace("\\", "/").rsplit("/", 1)[-1])
    made = make_row(
        stem or f"{row.file.path.stem}-{row.number:06d}", row.audio, row.values[settings.text], row.values, row.place, row.file.split, intake
    )
    chunk = re.fullmatch(r"(.+)_chunk_\d+", stem)
    if made is None:
        return None
    return dataclasses.replace(made, recording=chunk[1] if chunk else None, language=settings.language or row.values.get("lang") or None)


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
