"""TIMIT: 630 speakers from eight dialect regions of the United States, ten read sentences each.

Source: https://catalog.ldc.upenn.edu/LDC93S1, for a fee and under an agreement; the audio must not be passed on. Real-shaped lines:

    TRAIN/DR1/FCJF0/SX37.TXT    0 46797 Critical equipment needs proper maintenance.     (first sample, last sample, text)
    TRAIN/DR1/FCJF0/SX37.WAV    NIST_1A ...                                              (NIST SPHERE, although it is called .WAV)
    TRAIN/DR1/FCJF0/SX37.WAV.wav                                                         (the same as RIFF, in one copy; taken if it is there)

Names are in capitals or not, depending on the copy. The two SA sentences are read by all speakers and are left out. Test is the core test set
of 24 speakers and dev the 50 speakers that recipes use beside it, both from the folder TEST; its other 94 speakers, who read the same SX
sentences, are left out. `--set test=complete` takes all 168 as test and carves dev out of train.
"""

import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from speechadapt.cli import main
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, finish_corpus, is_junk, locate_audio
from speechadapt.preparation.lists import read_lines

CORPUS = Corpus(
    name="timit",
    title="TIMIT",
    license="LDC user agreement (LDC93S1); the audio must not be redistributed",
    commercial_use="as the agreement with the LDC says",
    home="https://catalog.ldc.upenn.edu/LDC93S1",
    expects="a folder with TRAIN/ and TEST/, each with DR1/ to DR8/, a folder for each speaker and in it pairs such as SX37.WAV and SX37.TXT.",
    accent_label="the dialect region where the speaker grew up",
    language="en",
)
REGIONS = {
    **{"dr1": "New England", "dr2": "Northern", "dr3": "North Midland", "dr4": "South Midland"},
    **{"dr5": "Southern", "dr6": "New York City", "dr7": "Western", "dr8": "Army Brat"},
}


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


CORE_TEST = _names(
    "fdhc0 felc0 fjlm0 fmgd0 fmld0 fnlp0 fpas0 fpkt0 mbpm0 mcmj0 mdab0 mgrt0 mjdh0 mjln0 mjmp0 mklt0 mlll0 mlnt0 mnjm0 mpam0 mtas1 mtls0 mwbt0 mwew0"
)
DEV = _names(
    "fadg0 faks0 fcal1 fcmh0 fdac1 fdms0 fdrw0 fedw0 fgjd0 fjem0 fjmg0 fjsj0 fkms0 fmah0 fmml0 fnmr0 frew0 "
    "fsem0 majc0 mbdg0 mbns0 mbwm0 mcsh0 mdlf0 mdls0 mdvc0 mers0 mgjf0 mglb0 mgwt0 mjar0 mjfc0 mjsw0 mmdb1 "
    "mmdm2 mmjr0 mmwh0 mpdf0 mrcs0 mreb0 mrjm4 mrjr0 mroa0 mrtk0 mrws1 mtaa0 mtdt0 mteb0 mthc0 mwjg0"
)
TEST_SETS = ("core", "complete")
DEPTH = 3
"""Copies lie up to so many folders below what was unpacked."""
FILE = re.compile(r"(?P<sentence>s[aix]\d+)(?P<kind>\.txt|\.wav|\.wav\.wav)", re.ASCII)
TEXT = re.compile(r"\d+\s+\d+\s+(.*\S)", re.ASCII | re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        test: core (24 speakers, and 50 others of TEST as dev) or complete (all 168 speakers of TEST, dev carved out of train).
    """

    test: str = "core"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One sentence of one speaker, by the files it has (`.txt`, `.wav`, `.wav.wav`); names in lower case, as `region` (dr1)."""

    part: str
    region: str
    speaker: str
    sentence: str
    files: Mapping[str, Path]

    @property
    def id(self) -> str:
        """`fcjf0_sx37`."""
        return f"{self.speaker}_{self.sentence}"


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    if settings.test not in TEST_SETS:
        raise MisuseError(f'--set test="{settings.test}": must be one of {", ".join(TEST_SETS)}. Choose one of them.')
    root, intake = find_root(Path(source)), Intake()
    rows = [row for sentence in find_sentences(root) if (row := read_sentence(root, sentence, settings, intake)) is not None]
    return finish_corpus(rows, corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_root(source: Path) -> Path:
    """The folder that holds TRAIN and TEST, or one of them, in any case: `source` itself or a folder up to three levels below.

    Raises:
        CorpusError: there is none.
    """
    level = [source] if source.is_dir() else []
    for _ in range(DEPTH + 1):
        for root in level:
            if any(regions_of(part) for part in parts_of(root)):
                return root
        level = [child for folder in level for child in _folders(folder)]
    found = ", ".join(sorted(path.name for path in source.iterdir())[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(f"{source}: does not look like TIMIT; looked for TRAIN/DR1 and TEST/DR1, found: {found}. It should be {CORPUS.expects}")


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_junk(Path(path.name)))


def parts_of(root: Path) -> list[Path]:
    """The folders TRAIN and TEST."""
    return [folder for folder in _folders(root) if folder.name.lower() in ("train", "test")]


def regions_of(part: Path) -> list[Path]:
    """The folders DR1 to DR8 of one part."""
    return [folder for folder in _folders(part) if folder.name.lower() in REGIONS]


def find_sentences(root: Path) -> Iterator[Sentence]:
    """Every sentence of which there is a text or a recording, in a fixed order."""
    for region in (region for part in parts_of(root) for region in regions_of(part)):
        for speaker in _folders(region):
            files: dict[str, dict[str, Path]] = {}
            for path in sorted(speaker.iterdir()):
                match = FILE.fullmatch(path.name.lower())
                if match is not None and path.is_file():
                    files.setdefault(match["sentence"], {}).setdefault(match["kind"], path)
            for name in sorted(files):
                yield Sentence(
                    part=region.parent.name.lower(), region=region.name.lower(), speaker=speaker.name.lower(), sentence=name, files=files[name]
                )


def split_of(sentence: Sentence, test: str) -> str | None:
    """The split of a sentence; None for a speaker of TEST who is in neither the core test set nor the dev set."""
    if sentence.part == "train" or test == "complete":
        return sentence.part
    return "test" if sentence.speaker in CORE_TEST else "dev" if sentence.speaker in DEV else None


def parse_text(content: str) -> str | None:
    """The text after the two sample numbers; None where the content has another form."""
    match = TEXT.fullmatch(content.strip())
    return match[1] if match is not None else None


def read_sentence(root: Path, sentence: Sentence, settings: Settings, intake: Intake) -> CorpusRow | None:
    """The row of one sentence, or None if it is left out and counted."""
    key, files = sentence.id, sentence.files
    place = next(iter(files.values())).relative_to(root).parent.as_posix() + f"/{sentence.sentence}"
    where, split = f'row "{key}" ({place})', split_of(sentence, settings.test)
    if sentence.sentence.startswith("sa"):
        intake.leave_out(key, "read-by-all", f"{where}: an SA sentence, which all speakers read. Nothing needs to be done.", split or "test")
        return None
    if split is None:
        message = f"{where}: its speaker is in neither the core test set nor the dev set. Take all with --set test=complete."
        intake.leave_out(key, "outside-core-test", message, "test")
        return None
    if ".txt" not in files or not {".wav", ".wav.wav"} & files.keys():
        reason, lacking = ("no-text", "text") if ".txt" not in files else ("missing", "recording")
        intake.drop(key, reason, f"{where}: has no {lacking}. Copy the corpus again.", split)
        return None
    try:
        audio, text_file = (locate_audio(path.relative_to(root).as_posix(), [root]) for path in (_recording(files), files[".txt"]))
        content = " ".join(line for _, line in read_lines(text_file))
    except AudioError as error:
        intake.drop(key, error.reason, f"{where}: {error}", split)
        return None
    except CorpusError as error:
        intake.drop(key, "not-text", f"{where}: {error}", split)
        return None
    text = parse_text(content)
    if text is None:
        message = f'{where}: found "{content[:80]}", expected first sample, last sample and text. Copy the corpus again.'
        intake.drop(key, "malformed-line", message, split)
        return None
    return CorpusRow(
        id=key,
        audio=audio,
        text=text,
        place=place,
        speaker=sentence.speaker,
        gender=sentence.speaker[0] if sentence.speaker[0] in "fm" else None,
        accent_raw=REGIONS[sentence.region],
        region=REGIONS[sentence.region],
        split=split,
        meta={"dialect_region": sentence.region},
    )


def _recording(files: Mapping[str, Path]) -> Path:
    return files[".wav.wav"] if ".wav.wav" in files else files[".wav"]


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
