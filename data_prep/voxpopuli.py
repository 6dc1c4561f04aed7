"""VoxPopuli, accented English: 29 hours of members of the European Parliament who speak English as a second language, 15 first languages.

Source: https://github.com/facebookresearch/voxpopuli (annotations and sessions, or what its get_asr_data writes), or the Hugging Face Hub, also as
Parquet (needs the extra `parquet`). License: CC0, with the European Parliament's notice. Real-shaped, `|` and tab between columns:

    asr_en_accented.tsv.gz   id_|paragraph_id|session_id|speaker_id|original_text|normed_text|...|start_time|end_time|cer|wer|vad|split|gender|accent
    asr_test.tsv             id<tab>raw_text<tab>normalized_text<tab>speaker_id<tab>split<tab>gender<tab>is_gold_transcript<tab>accent
    asr_test.tsv             20090204-0900-PLENARY-3-en_20090204-10:40:57_1<tab>...<tab>en_de

Sessions lie in `raw_audios/original/YEAR/SESSION_original.ogg`, finished clips in `YEAR/ID.ogg`. The accented rows are official test material: to
adapt on them use `--splits speaker`. Other languages of the corpus are read too, with `--set language=de`.
"""

import contextlib
import dataclasses
import gzip
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from speechadapt.cli import main
from speechadapt.data.table import read_table
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import (
    Corpus,
    CorpusRow,
    Intake,
    PrepareOptions,
    PrepReport,
    Recipe,
    archive_stem,
    finish_corpus,
    is_archive,
    is_junk,
    locate_audio,
    release,
    unpack,
)
from speechadapt.preparation.fields import SPLIT_NAMES
from speechadapt.preparation.parquet import PackedRow, find_packed, read_dataset
from speechadapt.units import Seconds

CORPUS = Corpus(
    name="voxpopuli",
    title="VoxPopuli, accented English",
    license="CC0 (with the European Parliament's notice)",
    commercial_use="yes",
    home="https://github.com/facebookresearch/voxpopuli",
    expects="asr_*.tsv or asr_*.tsv.gz with clips below it or raw_audios/original beside it; or *.parquet.",
    accent_label="the first language of the speaker, as published (en_de: German)",
    language="en",
    case="sentence",
)
TEXTS = {"normalized": ("normalized_text", "normed_text"), "raw": ("raw_text", "original_text")}
SOUNDS = (".ogg", ".wav", ".flac", ".mp3", ".opus")
FIRST_LANGUAGES = {
    "cs": "czech", "de": "german", "es": "spanish", "et": "estonian", "fi": "finnish", "fr": "french", "hr": "croatian", "hu": "hungarian",
    "it": "italian", "lt": "lithuanian", "nl": "dutch", "pl": "polish", "ro": "romanian", "sk": "slovak", "sl": "slovenian",
}  # fmt: skip
UNKNOWN = ("", "0", "none", "nan", "null")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        text: normalized (lower case, no marks, what recognizers are usually scored on) or raw (the Parliament's own minutes).
        language: BCP-47 tag of the transcripts.
    """

    text: str = "normalized"
    language: str = "en"


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    if settings.text not in TEXTS:
        raise MisuseError(f'--set text="{settings.text}": must be one of {", ".join(TEXTS)}. Choose one of them.')
    root = Path(source)
    intake = Intake()
    roots = [root]
    lists = find_lists(root)
    if lists:
        roots += [unpack_archive(archive, root, out, options, intake) for archive in find_archives(root)]
        clips = index_clips(roots)
        rows = [row for path in lists for row in read_list(path, roots, clips, settings, intake)]
    else:
        files = find_packed(root) if root.is_dir() else []
        if not files:
            found = ", ".join(sorted(path.name for path in root.iterdir())[:8]) if root.is_dir() else "no such folder"
            raise CorpusError(
                f"{root}: does not look like VoxPopuli; looked for asr_*.tsv and *.parquet, found: {found}. It should be {CORPUS.expects}"
            )
        rows = [make_packed_row(row, settings) for row in read_dataset(root, files, ("audio_id", "speaker_id"), intake)]
    corpus = dataclasses.replace(CORPUS, language=settings.language)
    return finish_corpus(release(rows), corpus=corpus, source=root, out=out, options=options, intake=intake, audio_roots=roots)


def find_lists(root: Path) -> list[Path]:
    """The lists of one language, which may lie some folders below.

    Raises:
        CorpusError: they lie in several folders, so that it is not clear which language is meant.
    """
    if root.is_file():
        return [root]
    found = [path for path in root.rglob("asr_*.tsv*") if path.name.endswith((".tsv", ".tsv.gz")) and path.is_file() and not is_junk(path)]
    plain = {path.with_suffix("") for path in found if path.suffix == ".gz"} & set(found)
    lists = sorted(path for path in found if path.with_suffix("") not in plain or path.suffix != ".gz")
    finished = [path for path in lists if path.name.split(".")[0].removeprefix("asr_") in SPLIT_NAMES]
    lists = finished or lists  # get_asr_data leaves the annotations beside what it made of them
    folders = sorted({path.parent.relative_to(root).as_posix() for path in lists})
    if len(folders) > 1 or (len(lists) > 1 and not finished):
        raise CorpusError(f"{root}: holds several languages: {', '.join(p.relative_to(root).as_posix() for p in lists[:8])}. Give one of them.")
    return lists


def find_archives(root: Path) -> list[Path]:
    """Archives of clips, as the Hub keeps them (`test/test_part_0.tar.gz`)."""
    return sorted(path for path in root.rglob("*") if is_archive(path) and not is_junk(path)) if root.is_dir() else []


def unpack_archive(archive: Path, root: Path, out: Path, options: PrepareOptions, intake: Intake) -> Path:
    """Where the clips of an archive lie: under `out`/unpacked, by the folders of the archive.

    Raises:
        MisuseError: a dry run, which writes nothing, met an archive that no earlier run has unpacked.
    """
    folder = out / "unpacked" / "-".join((*archive.relative_to(root).parts[:-1], archive_stem(archive)))
    return unpack(archive, folder, intake, dry_run=options.dry_run)


def index_clips(roots: list[Path]) -> dict[str, Path]:
    """Every recording under the folders by its name without suffix; folders are those of archives and years, names are unique."""
    clips: dict[str, Path] = {}
    for root in roots:
        folder = root if root.is_dir() else root.parent
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SOUNDS and not is_junk(path.relative_to(folder)):
                clips.setdefault(path.stem, path)
    return clips


def read_list(path: Path, roots: list[Path], clips: Mapping[str, Path], settings: Settings, intake: Intake) -> Iterator[CorpusRow]:
    """The rows of one list: annotations of sessions (`|`) or of finished clips (tabs)."""
    with inflated(path) as plain:
        table = read_table(plain, quoting="none")
    for line, count in table.broken:
        intake.drop(f"{path.name}-line{line}", "wrong-columns", f"{path.name}, line {line}: {count} values for {len(table.header)} columns.")
    of_sessions = "session_id" in table.header
    needed = ("id_", "session_id", "vad") if of_sessions else ("id",)
    lacking = [name for name in (*needed, "speaker_id", "split") if name not in table.header]
    if lacking or not any(name in table.header for name in TEXTS[settings.text]):
        lacking = lacking or [TEXTS[settings.text][of_sessions]]
        raise CorpusError(f"{path}: no column {', '.join(lacking)}; found {', '.join(table.header)}. Check that this is a list of VoxPopuli.")
    for line, values in table.rows:
        place = f"{path.name}, line {line}"
        row_id = f"{values['session_id']}-{values['id_']}" if of_sessions else values["id"]
        split = SPLIT_NAMES.get(values["split"].strip().casefold())
        try:
            if of_sessions:
                start, end = parse_vad(values["vad"])
                audio = find_clip((f"{values['session_id']}_original", values["session_id"]), clips, roots)
                row = make_row(row_id, audio, values, place, settings)
                row = dataclasses.replace(row, offset=start, duration=end - start, recording=values["session_id"])
            else:
                row = make_row(row_id, find_clip((row_id,), clips, roots), values, place, settings)
        except AudioError as error:
            intake.drop(row_id or f"line{line}", error.reason, f'row "{row_id}" ({place}): {error}', split)
            continue
        yield dataclasses.replace(row, split=split)


@contextlib.contextmanager
def inflated(path: Path) -> Iterator[Path]:
    """A gzipped list as a plain file, for as long as it is read; a plain one as it is.

    Raises:
        CorpusError: the file is damaged.
    """
    if path.suffix != ".gz":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.stem
        try:
            with gzip.open(path, "rb") as packed, plain.open("wb") as file:
                shutil.copyfileobj(packed, file)
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise CorpusError(f"{path}: cannot be unpacked ({error}). Download it again.") from error
        yield plain


def find_clip(stems: Sequence[str], clips: Mapping[str, Path], roots: list[Path]) -> Path:
    """The recording of one of these names.

    Raises:
        AudioError: reason missing, or outside-corpus (a link that leaves the folder).
    """
    clip = next((clips[stem] for stem in stems if stem in clips), None)
    if clip is None:
        raise AudioError("missing", f'no recording "{stems[0][:80]}" under {roots[0]}. Download it, or remove the row.')
    folder = next(root for root in map(_folder, roots) if clip.is_relative_to(root))
    return locate_audio(clip.relative_to(folder).as_posix(), [folder])


def _folder(root: Path) -> Path:
    return root if root.is_dir() else root.parent


def parse_vad(value: str) -> tuple[Seconds, Seconds]:
    """From where to where somebody speaks, of `[[12.4, 15.0], [15.3, 17.25]]`; pauses between are kept.

    Raises:
        AudioError: reason out-of-range: no such list, or nothing in it.
    """
    if not re.fullmatch(r"[\[\](),.\d\s]*", value) or not (times := re.findall(r"\d+(?:\.\d*)?", value)) or len(times) % 2:
        raise AudioError("out-of-range", f'vad "{value[:80]}" is no list of starts and ends. Correct the row.')
    starts, ends = [float(time) for time in times[::2]], [float(time) for time in times[1::2]]
    if not min(starts) < max(ends) < float("inf"):
        raise AudioError("out-of-range", f'vad "{value[:80]}" ends before it starts. Correct the row.')
    return min(starts), max(ends)


def make_row(row_id: str, audio: Path | Recipe, values: Mapping[str, str], place: str, settings: Settings) -> CorpusRow:
    """What a row says of its text and its speaker; times and split are for the caller."""
    text, other = (next((values[name] for name in TEXTS[kind] if name in values), "") for kind in _kinds(settings.text))
    label = _known(values.get("accent"))
    first_language = FIRST_LANGUAGES.get(label.removeprefix("en_")) if label and label.startswith("en_") else None
    meta = {f"{_kinds(settings.text)[1]}_text": other} if other else {}
    gold = values.get("is_gold_transcript", "").casefold()
    return CorpusRow(
        id=row_id,
        audio=audio,
        text=text,
        place=place,
        speaker=_known(values.get("speaker_id")),
        gender=_known(values.get("gender")),
        accent_raw=label,
        l1=first_language,
        meta={**meta, "gold": gold == "true"} if gold in ("true", "false") else meta,
    )


def _kinds(text: str) -> tuple[str, str]:
    return ("normalized", "raw") if text == "normalized" else ("raw", "normalized")


def _known(value: str | None) -> str | None:
    return None if value is None or value.strip().casefold() in UNKNOWN else value.strip()


def make_packed_row(row: PackedRow, settings: Settings) -> CorpusRow:
    """One row of the Parquet files."""
    if row.audio is None:
        raise CorpusError(f"{row.place}: no recording. It should be {CORPUS.expects}")
    row_id = row.values["audio_id"] or f"{row.file.path.stem}-{row.number:06d}"
    return dataclasses.replace(make_row(row_id, row.audio, row.values, row.place, settings), split=row.file.split)


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
