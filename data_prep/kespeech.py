"""KeSpeech: Mandarin and eight of its subdialects, 1542 hours of 27,237 people from 34 cities of China, read in one or two phases.

Source: https://github.com/KeSpeech/KeSpeech (signed application). License: non-commercial research, not to be redistributed. Layout:
Audio/SPEAKER/phase1/UTTERANCE.wav, Tasks/ASR/ with train_phase1, train_phase2, dev_phase1, dev_phase2 and test, each with the lists wav.scp,
text, utt2spk and utt2subdialect, and Metadata/ with more of them. Real-shaped lines, a blank or a tab after the key:

    wav.scp             1000001_1a2b Audio/1000001/phase1/1000001_1a2b.wav       (relative to the corpus, not to the list)
    text                1000001_1a2b 他的声音<SPOKEN_NOISE>很小
    utt2subdialect      1000001_1a2b Jiang-Huai

A person may read the same texts in both phases, in Mandarin and in dialect; all of it stands in one split. `<SPOKEN_NOISE>` is taken out of the
texts, and what was nothing else is dropped. Text has no blanks between words: score it by characters.
"""

import dataclasses
import re
import sys
from pathlib import Path

from speechadapt.cli import main
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, accent_slug, finish_corpus, is_junk, locate_audio, release
from speechadapt.preparation.lists import read_list

CORPUS = Corpus(
    name="kespeech",
    title="KeSpeech",
    license="KeSpeech agreement (signed application; non-commercial, not redistributable)",
    commercial_use="no",
    home="https://github.com/KeSpeech/KeSpeech",
    expects="a folder with Audio/ and Tasks/ASR/, which holds train_phase1, train_phase2, dev_phase1, dev_phase2 and test (or some of them).",
    accent_label="the list utt2subdialect",
    language="zh",
)
SPLITS = {
    **{"test": "test", "test_phase1": "test", "test_phase2": "test", "dev_phase1": "dev", "dev_phase2": "dev"},
    **{"train_phase1": "train", "train_phase2": "train"},
}
"""By the folder's name, in the order they are read in: what stands in two of them belongs to the first."""
LISTS = ("wav.scp", "text", "utt2spk")
PHASES = ("both", "phase1", "phase2")
NOISE = re.compile(r"<\s*SPOKEN_NOISE\s*>", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        train: both, phase1 or phase2: which phases train and dev are made of. The test set is always whole.
    """

    train: str = "both"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """What the lists in Metadata/ say of speakers and utterances; empty where they are not there."""

    genders: dict[str, str]
    ages: dict[str, str]
    styles: dict[str, str]

    @classmethod
    def read(cls, root: Path, intake: Intake) -> "People":
        """Read the lists."""
        folder = root / "Metadata"
        styles = {phase: read_list(folder / f"{phase}.utt2style", intake) for phase in PHASES[1:]}
        return cls(
            genders=read_list(folder / "spk2gender", intake),
            ages=read_list(folder / "spk2age", intake),
            styles={**styles["phase2"], **styles["phase1"]},
        )


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    if settings.train not in PHASES:
        raise MisuseError(f'--set train="{settings.train}": must be one of {", ".join(PHASES)}. Choose one of them.')
    root = find_root(Path(source))
    intake = Intake()
    people = People.read(root, intake)
    rows = [row for folder in choose_folders(root, settings, intake) for row in read_folder(root, folder, people, options, intake)]
    return finish_corpus(release(rows), corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_root(source: Path) -> Path:
    """The corpus folder: `source` itself or a folder in it.

    Raises:
        CorpusError: none holds the lists of a split.
    """
    children = sorted(path for path in source.iterdir() if not is_junk(path)) if source.is_dir() else []
    for root in (source, *(path for path in children if path.is_dir())):
        if find_folders(root):
            return root
    found = ", ".join(path.name for path in children[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(
        f"{source}: does not look like KeSpeech; looked for Tasks/ASR/test/wav.scp and the like, found: {found}. It should be {CORPUS.expects}"
    )


def find_folders(root: Path) -> list[Path]:
    """The folders of Tasks/ASR that hold lists."""
    return [root / "Tasks/ASR" / name for name in SPLITS if (root / "Tasks/ASR" / name / "wav.scp").is_file()]


def choose_folders(root: Path, settings: Settings, intake: Intake) -> list[Path]:
    """The folders to read; those of the other phase are noted."""
    folders = find_folders(root)
    chosen = [folder for folder in folders if settings.train == "both" or SPLITS[folder.name] == "test" or folder.name.endswith(settings.train)]
    intake.notes.extend(f"{folder.name} is not read: --set train={settings.train}" for folder in folders if folder not in chosen)
    return chosen


def read_folder(root: Path, folder: Path, people: People, options: PrepareOptions, intake: Intake) -> list[CorpusRow]:
    """The rows of one folder; what one of its lists lacks is dropped and counted."""
    audio, texts, speakers = (read_list(folder / name, intake) for name in LISTS)
    dialects = read_list(folder / "utt2subdialect", intake)
    split = SPLITS[folder.name]
    rows = []
    for key in sorted({*audio, *texts}):
        absent = next((name for name, table in zip(LISTS, (audio, texts, speakers), strict=True) if key not in table), None)
        if absent is not None:
            message = f'row "{key[:80]}" ({folder.name}): stands in no line of {folder.name}/{absent}. Correct the list.'
            intake.drop(key, f"not-in-{absent}", message, split)
            continue
        try:
            path = locate_audio(require_path(audio[key]), [root])
        except AudioError as error:
            intake.drop(key, error.reason, f'row "{key[:80]}" ({folder.name}/wav.scp): {error}', split)
            continue
        rows.append(_make_row(key, path, texts[key], speakers[key], dialects.get(key), folder, people, options, intake))
    return rows


def require_path(given: str) -> str:
    """The path of a line of wav.scp.

    Raises:
        AudioError: reason `pipe`: it is a shell command, which is never executed.
    """
    if given.rstrip().endswith("|") or given.lstrip().startswith("|"):
        raise AudioError("pipe", f'"{given[:80]}" is a shell command, and commands in a corpus are never executed. Name the file instead.')
    return given


def _make_row(
    key: str, path: Path, text: str, speaker: str, dialect: str | None, folder: Path, people: People, options: PrepareOptions, intake: Intake
) -> CorpusRow:
    spoken = remove_noise(text)
    if spoken != text:
        intake.repair("<SPOKEN_NOISE> taken out of a text")
    label = (dialect or "").strip()
    about = {"phase": phase_of(folder, path), "style": people.styles.get(key)}
    return CorpusRow(
        id=key,
        audio=path,
        text=spoken,
        text_raw=text,
        place=f"{folder.name}/text",
        speaker=speaker,
        gender=people.genders.get(speaker),
        age=people.ages.get(speaker),
        accent=(options.accent_map.get(label.casefold()) or f"zh_{accent_slug(label)}") if label else None,
        accent_raw=label or None,
        split=SPLITS[folder.name],
        meta={name: value for name, value in about.items() if value},
    )


def remove_noise(text: str) -> str:
    """The text without `<SPOKEN_NOISE>`; nothing is put between the characters beside it, as Chinese is written without blanks."""
    return NOISE.sub("", text).strip()


def phase_of(folder: Path, path: Path) -> str | None:
    """phase1 or phase2, from the name of the list's folder or else of the recording's."""
    return next((phase for phase in PHASES[1:] if folder.name.endswith(phase) or path.parent.name.lower() == phase), None)


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
