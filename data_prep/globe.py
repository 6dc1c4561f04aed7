"""GLOBE: English of many accents from Common Voice, cleaned for speech synthesis; 535 hours, 23,519 speakers, 164 accent labels.

Source: https://huggingface.co/datasets/MushanW/GLOBE (also GLOBE_V2, GLOBE_V3), Parquet; needs the extra `parquet`. License: CC0. Real-shaped:

    data/train-00000-of-00105.parquet, data/val-00000-of-00002.parquet, data/test-00000-of-00002.parquet
    speaker_id, transcript, accent, duration, age, gender          (columns, and audio: {bytes, path})
    S_020799, "It was a tie.", "United States English", 2.9, "twenties", "female"

The recordings are Common Voice's (release 14), altered, so that neither their samples nor their speakers can be compared: a model adapted on GLOBE
must not be tested on Common Voice. Where volunteers stated no accent, age or gender the owners filled in what a model predicted, and one speaker id
may hold several persons. About two thirds are American.
"""

import sys
from pathlib import Path

from speechadapt.cli import main
from speechadapt.errors import CorpusError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, finish_corpus, release
from speechadapt.preparation.parquet import PackedRow, find_packed, read_dataset

CORPUS = Corpus(
    name="globe",
    title="GLOBE",
    license="CC0",
    commercial_use="yes",
    home="https://huggingface.co/datasets/MushanW/GLOBE",
    expects="a folder with data/train-*.parquet, data/val-*.parquet and data/test-*.parquet, or some of them.",
    accent_label="stated by the volunteers of Common Voice, or predicted by a model where they said nothing",
    language="en",
)
COLUMNS = ("speaker_id", "transcript", "accent")
NOTES = (
    "accent, age and gender are partly predicted by a model, not stated by the speakers",
    "recordings are those of Common Voice: do not test on Common Voice what was adapted on GLOBE",
)


def prepare(source: Path | str, out: Path, options: PrepareOptions) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root = Path(source)
    intake = Intake()
    intake.notes.extend(NOTES)
    files = find_packed(root)
    if not files:
        found = ", ".join(sorted(path.name for path in root.iterdir())[:8]) if root.is_dir() else "no such folder"
        raise CorpusError(f"{root}: does not look like GLOBE; looked for *.parquet, found: {found}. It should be {CORPUS.expects}")
    rows = [make_row(row) for row in read_dataset(root, files, COLUMNS, intake)]
    return finish_corpus(release(rows), corpus=CORPUS, source=root, out=out, options=options, intake=intake)


def make_row(row: PackedRow) -> CorpusRow:
    """One row; as the corpus numbers no utterances, the id is its place in its file."""
    values, recipe = row.values, row.audio
    if recipe is None:
        raise CorpusError(f"{row.place}: no recording. It should be {CORPUS.expects}")
    clip = values.get(row.audio_column or "", "")
    return CorpusRow(
        id=f"{row.file.path.stem}-{row.number:06d}",
        audio=recipe,
        text=values["transcript"],
        place=row.place,
        speaker=values["speaker_id"] or None,
        gender=values.get("gender") or None,
        age=values.get("age") or None,
        accent_raw=values["accent"] or None,
        split=row.file.split,
        meta={"clip": clip} if clip else {},
    )


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
