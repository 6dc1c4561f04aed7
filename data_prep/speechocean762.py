"""speechocean762: 5000 English prompts read by 250 speakers of Mandarin, half of them children.

Source: https://www.openslr.org/101/ (tarball), or its git repository. License: CC BY 4.0 (per OpenSLR; sources disagree).
The lists decide what belongs to the corpus: about 250 recordings of the published folder stand in none of them. Real-shaped lines:

    train/text       000010011<TAB>WE CALL IT BEAR
    train/wav.scp    000010011<TAB>WAVE/SPEAKER0001/000010011.WAV      (relative to the corpus, not to train/)
    train/utt2spk    000010011 0001                                    (a blank here, a tab elsewhere)

`text` is the prompt, not always what was said: `--set min_accuracy=6` keeps only train rows that the corpus' judges scored so, and
test rows are never chosen by it.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from speechadapt.cli import main
from speechadapt.errors import AudioError, CorpusError
from speechadapt.files import read_json
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, find_file, finish_corpus, locate_audio
from speechadapt.preparation.lists import read_list

CORPUS = Corpus(
    name="speechocean762",
    title="speechocean762",
    license="CC BY 4.0 (per OpenSLR; sources disagree)",
    commercial_use="yes, with attribution",
    home="https://www.openslr.org/101/",
    expects="a folder with WAVE/, train/ and test/, each of the last two with the lists wav.scp, text, utt2spk, spk2gender and spk2age.",
    accent_label="constant: every speaker's first language is Mandarin",
    language="en",
    case="sentence",
)
LISTS = ("wav.scp", "text", "utt2spk")
OLDEST_CHILD = 15


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        min_accuracy: train rows scored below it (0 to 10, by the corpus' judges) are dropped; 0 keeps all.
    """

    min_accuracy: float = 0.0


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root = find_root(Path(source))
    intake = Intake()
    scores = read_scores(root)
    if settings.min_accuracy > 0 and not scores:
        raise CorpusError(f"{root}: no scores.json in it or in resource/, so min_accuracy cannot be applied. Leave the setting out.")
    rows = [row for split in ("train", "test") for row in read_split(root, split, scores, settings, intake)]
    intake.facts["orphan_recordings"] = count_orphans(root, rows, intake)
    return finish_corpus(rows, corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_root(source: Path) -> Path:
    """The corpus folder: `source` itself or the folder speechocean762 in it.

    Raises:
        CorpusError: neither holds the lists.
    """
    for root in (source, source / "speechocean762"):
        if all((root / split / name).is_file() for split in ("train", "test") for name in LISTS):
            return root
    found = ", ".join(sorted(path.name for path in source.iterdir())[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(
        f"{source}: does not look like speechocean762; looked for train/wav.scp and test/wav.scp, found: {found}. It should be {CORPUS.expects}"
    )


def read_scores(root: Path) -> dict[str, dict[str, Any]]:
    """The judges' scores by utterance, from resource/ or the root; empty where the file is not there.

    Raises:
        CorpusError: the file is no object of objects.
    """
    path = find_file(root / "resource", ["scores.json"]) or find_file(root, ["scores.json"])
    scores = read_json(path) if path is not None else {}
    if not isinstance(scores, dict) or not all(isinstance(score, dict) for score in scores.values()):
        raise CorpusError(f"{path}: not the scores of this corpus, which are one JSON object with an object for each utterance. Download it again.")
    return scores


def read_split(root: Path, split: str, scores: dict[str, dict[str, Any]], settings: Settings, intake: Intake) -> list[CorpusRow]:
    """The rows of one official split; what one of the lists lacks is dropped and counted."""
    folder = root / split
    audio, texts, speakers = (read_list(folder / name, intake) for name in LISTS)
    genders, ages = read_list(folder / "spk2gender", intake), read_list(folder / "spk2age", intake)
    rows = []
    for key in sorted({*audio, *texts}):
        absent = next((name for name, table in zip(LISTS, (audio, texts, speakers), strict=True) if key not in table), None)
        told = scores.get(key, {}).get("accuracy")
        accuracy = told if isinstance(told, int | float) and not isinstance(told, bool) else None
        if absent is not None:
            intake.drop(key, f"not-in-{absent}", f'row "{key}" ({split}): stands in no line of {split}/{absent}.', split)
        elif split == "train" and accuracy is not None and accuracy < settings.min_accuracy:
            intake.leave_out(
                key, "low-accuracy", f'row "{key}" ({split}): accuracy {accuracy:g}, at least {settings.min_accuracy:g} is asked for.', split
            )
        else:
            row = _make_row(root, split, key, audio[key], texts[key], speakers[key], intake)
            if row is not None:
                rows.append(_with_person(row, genders.get(speakers[key]), ages.get(speakers[key]), accuracy))
    return rows


def _make_row(root: Path, split: str, key: str, given: str, text: str, speaker: str, intake: Intake) -> CorpusRow | None:
    try:
        audio = locate_audio(given, [root])
    except AudioError as error:
        intake.drop(key, error.reason, f'row "{key}" ({split}/wav.scp): {error}', split)
        return None
    return CorpusRow(
        id=key,
        audio=audio,
        text=text,
        place=f"{split}/text",
        speaker=speaker,
        accent="en_l2_mandarin",
        accent_raw="Mandarin",
        l1="mandarin",
        split=split,
    )


def _with_person(row: CorpusRow, gender: str | None, age: str | None, accuracy: float | None) -> CorpusRow:
    meta: dict[str, Any] = {} if accuracy is None else {"accuracy": accuracy}
    if age is not None and age.isdecimal() and int(age) <= OLDEST_CHILD:
        meta["child"] = True
    return dataclasses.replace(row, gender=gender, age=age, meta=meta)


def count_orphans(root: Path, rows: list[CorpusRow], intake: Intake) -> int:
    """Recordings under WAVE/ that no list names."""
    named = {row.audio for row in rows} | {drop.id for drop in intake.drops}
    files = [path for path in (root / "WAVE").rglob("*") if path.suffix.lower() == ".wav" and not path.name.startswith("._")]
    return sum(path.resolve() not in named and path.stem not in named for path in files)


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
