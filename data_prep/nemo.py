"""A NeMo manifest: one JSON object per line, or a folder of such files for train, dev and test.

Source: yours, or what NeMo's scripts, NVIDIA's releases and this program write; license: `--set license=...`. Real-shaped lines:

    {"audio_filepath": "wavs/0001.wav", "duration": 3.41, "text": "put the kettle on", "speaker": "p01"}
    {"audio_filepath": "talks/a.wav", "offset": 12.5, "duration": 2.0, "text": "and now", "lang": "en"}
    {"audio_filepath": "wavs/0002.wav", "text": "", "source_lang": "en", "target_lang": "de", "taskname": "s2t_translation"}

Audio paths are relative to the manifest, or to `--set audio_root=FOLDER`, and may not leave that folder. A line with an `offset` is a segment of its
file; without one it is the whole file, whose duration is measured. Lines of another task than writing down what was said are dropped. Keys that have
no meaning here go to `meta` as they are.
"""

import dataclasses
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from speechadapt.audio.waveform import read_info
from speechadapt.cli import main
from speechadapt.data.table import share_values
from speechadapt.errors import AudioError, CorpusError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, finish_corpus, is_junk
from speechadapt.preparation.fields import OURS, NamedRow, as_text, choose_columns, make_rows, split_of_name
from speechadapt.preparation.lines import read_json_lines
from speechadapt.units import Seconds

CORPUS = Corpus(
    name="nemo",
    title="a NeMo manifest",
    license="not stated",
    commercial_use="not stated",
    home="your own disk",
    expects="a file of JSON objects, one per line, with audio_filepath and text; or a folder with files such as train.jsonl or test_manifest.json.",
    accent_label="the key accent",
)
SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
WRONG_DURATION: Seconds = 0.1
"""A stated duration this far from the measured one is counted."""
TRANSCRIBING = ("asr", "transcribe")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a manifest.

    Attributes:
        name: of the corpus, put before ids and speakers. license, language (BCP-47): of all rows.
        audio_root: where relative audio paths start, and the only folder absolute ones may lie in.
        ..._column: where a key has an unusual name.
    """

    name: str = "nemo"
    license: str = "not stated"
    language: str | None = None
    audio_root: Path | None = None
    text_column: str | None = None
    id_column: str | None = None
    speaker_column: str | None = None
    accent_column: str | None = None


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the manifest; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root = Path(source)
    intake = Intake()
    manifests = find_manifests(root)
    share = share_values()
    typed: dict[str, dict[str, Any]] = {}
    named = []
    for path, split in manifests:
        roots = (settings.audio_root or path.resolve().parent,)
        for number, row in read_json_lines(path, intake, prefix=path.name.split(".")[0], split=split):
            place = f"{path.name}, line {number}"
            typed[place] = {name: value for name, value in row.items() if value is not None and not isinstance(value, str)}
            values = {name: share(as_text(value)) for name, value in row.items()}
            folder = path.name.split(".")[0] if len(manifests) > 1 else ""
            named.append(NamedRow(values=values, place=place, line=number, folder=folder, split=split, roots=roots))
    if not named:
        raise CorpusError(f"{root}: no line that can be read ({intake.reasons}). It should be {CORPUS.expects}")
    header = list(dict.fromkeys(name for row in named for name in row.values))
    roots_in_use = sorted({root for row in named for root in row.roots})
    given = {name.removesuffix("_column"): getattr(settings, name) for name in Settings.__slots__ if name.endswith("_column")}
    columns = choose_columns(header, {**given, "audio": "audio_filepath"}, str(root))
    named = [row for row in named if is_transcript(row, intake)]
    rows = with_types(make_rows(named, columns, intake, language=settings.language), typed, columns, intake)
    corpus = dataclasses.replace(CORPUS, name=settings.name, license=settings.license, language=settings.language)
    return finish_corpus(rows, corpus=corpus, source=root, out=out, options=options, intake=intake, audio_roots=roots_in_use)


def find_manifests(root: Path) -> list[tuple[Path, str | None]]:
    """The manifest, or those of a folder (or of its folder manifests/) with the splits their names say.

    Raises:
        CorpusError: there is none, or several of which no name says a split.
    """
    if root.is_file():
        return [(root, None)]
    found: list[Path] = []
    for folder in (root, root / "manifests"):
        if not found and folder.is_dir():
            found = sorted(path for path in folder.iterdir() if path.name.lower().endswith(SUFFIXES) and path.is_file() and not is_junk(path))
    told: list[tuple[Path, str | None]] = [(path, split) for path in found if (split := split_of_name(path.name)) is not None]
    if not told and len(lines := [path for path in found if ".jsonl" in path.name.lower()] or found) == 1:
        return [(lines[0], None)]
    if not told:
        there = ", ".join(sorted(path.name for path in root.iterdir())[:8]) if root.is_dir() else "no such file or folder"
        raise CorpusError(
            f"{root}: no manifest; looked for train, dev and test in names that end in .json or .jsonl, found: {there}. It should be {CORPUS.expects}"
        )
    return told


def is_transcript(row: NamedRow, intake: Intake) -> bool:
    """Whether the text is what was said; a translation, or the answer of another task, is dropped and counted."""
    spoken, written = row.values.get("source_lang", ""), row.values.get("target_lang", "")
    task = row.values.get("taskname") or row.values.get("task") or ""
    if spoken.casefold() == written.casefold() or not (spoken and written):
        if not task or task.casefold() in TRANSCRIBING:
            return True
        what = f'its task is "{task}"'
    else:
        what = f'it is spoken in "{spoken}" and written in "{written}"'
    message = f"row {row.place}: {what}, so its text is not what was said. Keep such rows out of the manifest."
    intake.drop(f"{row.folder or 'row'}-line{row.line}", "not-a-transcript", message, row.split)
    return False


def with_types(rows: Iterable[CorpusRow], typed: dict[str, dict[str, Any]], columns: dict[str, str], intake: Intake) -> Iterator[CorpusRow]:
    """The rows with the keys nobody asked for as they were written, and wrong durations counted.

    Args:
        typed: by place, the values that are no texts; each is taken out as its row comes.
        columns: which key holds which field.
    """
    known = {*columns.values(), *OURS}
    for row in rows:
        line = typed.pop(row.place, {})
        count_wrong_duration(row, line.get("duration"), intake)
        meta = {name: value if name in known else line.get(name, value) for name, value in row.meta.items()}
        yield dataclasses.replace(row, meta=meta, language=row.language or as_text(meta.get("source_lang")) or None)


def count_wrong_duration(row: CorpusRow, stated: Any, intake: Intake) -> None:
    """Count a whole file whose stated duration is not the measured one, which is what manifests get."""
    if row.offset or row.duration is not None or stated is None or not isinstance(row.audio, Path):
        return
    try:
        measured = read_info(row.audio).duration
    except AudioError:  # counted where it is read
        return
    if not isinstance(stated, int | float) or abs(stated - measured) > WRONG_DURATION:
        intake.repair("duration of the manifest wrong, measured instead")


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
