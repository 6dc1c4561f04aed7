"""The Arabic MGB challenges: MGB-2 (1200 hours of television), MGB-3 (Egyptian) and MGB-5 (Moroccan, both from video sites).

Source: https://arabicspeech.org (after signing a form). License: the challenges' agreement, non-commercial. Real-shaped lines:

    train/xml/utf8/SHOW.xml              <segment id="SHOW_utt_1_align" who="SHOW_speaker1_align" starttime="0.5" endtime="3.2" WMER="12.5" AWD="0.4">
    dev/segments.non_overlap_speech      SHOW_spk-0001_seg-0000050:0000320 SHOW 0.50 3.20        (Kaldi's form; the recording is wav/SHOW.wav)
    dev/text.non_overlap_speech          SHOW_spk-0001_seg-0000050:0000320 AlslAm Elykm          (Buckwalter, turned to Arabic letters)

MGB-2's training text was aligned by a machine: segments whose WMER (word matching error rate) is above 80 are dropped. MGB-3 has a folder
for each of four transcribers, because the dialect has no spelling of its own: the text of the first (by name) who wrote an utterance is
`text`, those of the others are `meta["references"]`, and the names of transcribers are not kept. MGB-5 has `train/train.txt.bw` and
`train/train.segments.bw`. Where nobody understood a word (`UNK`), training rows are dropped and other rows lose the word. Texts are cleaned
as `speechadapt.text.arabic` says. Only MGB-2 tells speakers, within one show. Ids begin with the edition: `mgb2-`, `mgb3-` or `mgb5-`.
"""

import dataclasses
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from speechadapt.cli import main
from speechadapt.data.aligned_xml import AlignedSegment, parse_aligned
from speechadapt.errors import AudioError, CorpusError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, find_file, finish_corpus, is_junk, release
from speechadapt.preparation.annotations import files_under
from speechadapt.preparation.lists import parse_segment, parse_span, read_list
from speechadapt.text.arabic import clean_arabic, from_buckwalter
from speechadapt.units import Seconds

CORPUS = Corpus(
    name="mgb",
    title="an Arabic MGB challenge",
    license="agreement of the MGB challenges (registration, non-commercial)",
    commercial_use="no",
    home="https://arabicspeech.org",
    expects="for MGB-2 train/wav, train/xml/utf8, and dev and test with segments.non_overlap_speech, text.non_overlap_speech and wav/; for MGB-3 "
    "adapt, dev and test with a folder for each transcriber (segments and text_noverlap); for MGB-5 train and dev with train.segments.bw, "
    "train.txt.bw and so on. The recordings (.wav) may lie anywhere below.",
    accent_label="constant: Egyptian in MGB-3, Moroccan in MGB-5; MGB-2 has none",
    language="ar",
)
EDITIONS = {"mgb2": "MGB-2 (Arabic broadcasts)", "mgb3": "MGB-3 (Egyptian Arabic)", "mgb5": "MGB-5 (Moroccan Arabic)"}
DIALECTS = {"mgb3": "Egyptian", "mgb5": "Moroccan"}
FOLDERS = {"adapt": "train", "train": "train", "dev": "dev", "test": "test"}
SEGMENTS = ("segments.non_overlap_speech", "{}.segments.bw", "{}.segments", "segments", "segments.all")
TEXTS = ("text.non_overlap_speech", "{}.txt", "{}.txt.bw", "text_noverlap", "text_noverlap.txt", "text_noverlap.bw", "text", "text.all")
"""Names of lists in the order they are looked for; {} is the folder's name."""
UNKNOWN = "UNK"
SHARED: Seconds = 0.1
"""Two transcribers' cuts of one recording that share more than this are two cuts of the same speech."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of these corpora.

    Attributes:
        edition: mgb2, mgb3 or mgb5; auto tells them apart by their files.
        max_wmer: training segments of MGB-2 with a higher word matching error rate (in percent) are dropped.
    """

    edition: Literal["auto", "mgb2", "mgb3", "mgb5"] = "auto"
    max_wmer: float = 80.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """What one transcriber wrote: `RECORDING START END` and text, by utterance; `buckwalter` tells its letters."""

    segments: dict[str, str]
    texts: dict[str, str]
    buckwalter: bool

    def clean(self, key: str) -> str:
        """The text of one utterance for training."""
        return clean_text(self.texts[key], buckwalter=self.buckwalter)


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root = find_root(Path(source))
    edition = settings.edition if settings.edition != "auto" else find_edition(root)
    intake = Intake()
    recordings = find_recordings(root, out)
    rows: list[CorpusRow] = []
    for name in FOLDERS:
        folder = root / name
        if (folder / "xml").is_dir():
            rows += read_xml_folder(folder, recordings, settings, intake)
        elif folder.is_dir():
            rows += read_lists(folder, recordings, intake)
    label = DIALECTS.get(edition)
    rows = [dataclasses.replace(row, accent_raw=label) for row in rows]
    corpus = dataclasses.replace(CORPUS, name=edition, title=EDITIONS[edition])
    return finish_corpus(release(rows), corpus=corpus, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_root(source: Path) -> Path:
    """The corpus folder: `source` itself or a folder in it that is named after the challenge.

    Raises:
        CorpusError: none of them holds lists of a known form.
    """
    names = ("", "mgb2", "mgb3", "mgb5", "MGB2", "MGB3", "MGB5", "MGB-2", "MGB-3", "MGB-5", "DB")
    for root in (source / name for name in names):
        if any((root / name / "xml").is_dir() or find_transcriptions(root / name) for name in FOLDERS):
            return root
    found = ", ".join(sorted(path.name for path in source.iterdir())[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(
        f"{source}: does not look like an MGB corpus; looked for lists in {', '.join(FOLDERS)}, found: {found}. It should be {CORPUS.expects}"
    )


def find_edition(root: Path) -> str:
    """Which challenge the files belong to.

    Raises:
        CorpusError: they do not tell.
    """
    folders = [root / name for name in FOLDERS if (root / name).is_dir()]
    if any((folder / "xml").is_dir() or (folder / SEGMENTS[0]).is_file() for folder in folders):
        return "mgb2"
    if any(path.parent != folder for folder in folders for path, _ in find_transcriptions(folder)):
        return "mgb3"
    if any(find_file(folder, [f"{folder.name}.segments.bw", f"{folder.name}.segments"]) for folder in folders):
        return "mgb5"
    raise CorpusError(f"{root}: its files do not tell which MGB challenge they belong to. Name it with --set edition=mgb2, mgb3 or mgb5.")


def find_transcriptions(folder: Path) -> list[tuple[Path, Path]]:
    """The segments and texts of a split: those in the folder itself, else those of each transcriber's folder, by name."""
    if not folder.is_dir():
        return []
    here = _pair(folder, folder.name)
    if here is not None:
        return [here]
    children = sorted((path for path in folder.iterdir() if path.is_dir() and not is_junk(path.relative_to(folder))), key=lambda path: path.name)
    return [pair for child in children if (pair := _pair(child, folder.name)) is not None]


def _pair(folder: Path, split: str) -> tuple[Path, Path] | None:
    segments, texts = (find_file(folder, [name.format(split) for name in names]) for names in (SEGMENTS, TEXTS))
    return (segments, texts) if segments is not None and texts is not None else None


def find_recordings(root: Path, out: Path) -> dict[str, list[Path]]:
    """Recordings below the folder by base name in lower case, without links that lead out of it and what was prepared into `out`."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in files_under(root, (".wav",), out):
        found[path.stem.casefold()].append(path)
    return found


def locate(recording: str, folder: Path, recordings: Mapping[str, list[Path]]) -> Path:
    """The recording of that name, the one below the split's own folder first.

    Raises:
        AudioError: reason `missing`.
    """
    paths = recordings.get(recording.casefold(), [])
    if not paths:
        raise AudioError("missing", f'no recording "{recording[:80]}.wav" below {folder.parent}. Correct the list or add the recording.')
    return next((path for path in paths if path.is_relative_to(folder)), paths[0]).resolve()


def read_lists(folder: Path, recordings: Mapping[str, list[Path]], intake: Intake) -> list[CorpusRow]:
    """The rows of a split in Kaldi's form, by one transcriber or several."""
    split = FOLDERS[folder.name]
    written = [_read_transcription(segments, texts, intake) for segments, texts in find_transcriptions(folder)]
    speakers = read_list(folder / "utt2spk", intake)
    if len(written) > 1:
        intake.facts[f"{folder.name}_transcribers"] = len(written)
    taken: dict[str, list[tuple[int, Seconds, Seconds]]] = defaultdict(list)
    rows = []
    for key in _keys_by_transcriber(written):
        place = f'row "{key}" ({folder.name})'
        complete = [number for number, one in enumerate(written) if key in one.segments and key in one.texts]
        if not complete:
            absent = "text" if any(key in one.segments for one in written) else "segments"
            intake.drop(key, f"not-in-{absent}", f"{place}: stands in no line of the {absent}.", split)
            continue
        first = next((number for number in complete if written[number].texts[key]), complete[0])
        raw = written[first].texts[key]
        try:
            recording, start, end = parse_segment(written[first].segments[key])
            audio = locate(recording, folder, recordings)
        except AudioError as error:
            intake.drop(key, error.reason, f"{place}: {error}", split)
            continue
        if any(number != first and min(end, last) - max(start, begin) > SHARED for number, begin, last in taken[recording]):
            message = f"{place}: a transcriber who was read earlier cut {start:.2f} to {end:.2f} s of {recording} otherwise."
            intake.leave_out(key, "other-cut", message, split)
        elif split == "train" and not is_understood(raw.split()):
            intake.leave_out(key, "unintelligible", f'{place}: nobody understood all of "{raw[:80]}".', split)
        else:
            taken[recording].append((first, start, end))
            references = [reference for number in complete if number != first and (reference := written[number].clean(key))]
            rows.append(
                CorpusRow(
                    id=key,
                    audio=audio,
                    text=written[first].clean(key),
                    text_raw=raw,
                    place=f"{folder.name}, text",
                    offset=start,
                    duration=end - start,
                    speaker=_speaker(key, speakers),
                    recording=recording,
                    split=split,
                    meta={"references": references} if references else {},
                )
            )
    return rows


def _read_transcription(segments: Path, texts: Path, intake: Intake) -> Transcription:
    written = read_list(texts, intake)
    return Transcription(segments=read_list(segments, intake), texts=written, buckwalter=not any(map(has_arabic, written.values())))


def _keys_by_transcriber(written: list[Transcription]) -> list[str]:
    """Every utterance once: those of the first transcriber, then what only the next one has, and so on."""
    return list(dict.fromkeys(key for one in written for key in sorted({*one.segments, *one.texts})))


def _speaker(key: str, speakers: Mapping[str, str]) -> str | None:
    """From utt2spk, or from an id such as `SHOW_spk-0001_seg-...`; an utterance that is its own speaker has none."""
    told = speakers.get(key)
    if told is None and "_spk-" in key and "_seg-" in key:
        told = key.rpartition("_seg-")[0]
    return told if told != key else None


def has_arabic(text: str) -> bool:
    """Whether an Arabic letter is in it; a list without any is written in Buckwalter's letters."""
    return any("\u0620" <= letter <= "\u06ff" for letter in text)


def is_understood(words: Sequence[str]) -> bool:
    """Whether none of the words is the mark of one that nobody understood (`UNK`) or of overlapped speech (`###`)."""
    return not any(word == UNKNOWN or word.startswith("#") for word in words)


def clean_text(raw: str, *, buckwalter: bool) -> str:
    """Arabic training text without those marks."""
    text = " ".join(word for word in raw.split() if is_understood([word]))
    return clean_arabic(from_buckwalter(text) if buckwalter else text)


def read_xml_folder(folder: Path, recordings: Mapping[str, list[Path]], settings: Settings, intake: Intake) -> list[CorpusRow]:
    """The training rows of MGB-2, from xml/utf8, xml/bw or xml itself; a file that cannot be read is one drop."""
    split = FOLDERS[folder.name]
    place = next((path for path in (folder / "xml/utf8", folder / "xml/bw", folder / "xml") if any(path.glob("*.xml"))), folder / "xml")
    rows: list[CorpusRow] = []
    shows = [
        path for path in sorted(place.glob("*.xml")) if not is_junk(path.relative_to(folder)) and path.resolve().is_relative_to(folder.resolve())
    ]
    for path in shows:
        try:
            segments = parse_aligned(path.read_bytes(), str(path))
        except CorpusError as error:
            intake.drop(path.stem, "broken-xml", str(error), split)
            continue
        buckwalter = not any(has_arabic(word) for segment in segments for word in segment.words)
        counted: Counter[str] = Counter()
        for number, segment in enumerate(segments, start=1):
            key = _xml_key(path.stem, segment, number, counted)
            try:
                row = _make_xml_row(key, path, folder, segment, buckwalter, recordings)
            except AudioError as error:
                intake.drop(key, error.reason, f'row "{key}" ({path.name}): {error}', split)
                continue
            wmer = row.meta.get("wmer")
            if wmer is not None and not wmer <= settings.max_wmer:
                message = (
                    f'row "{key}" ({path.name}): WMER {wmer:g}, at most {settings.max_wmer:g} is accepted. Change it with --set max_wmer=NUMBER.'
                )
                intake.leave_out(key, "high-wmer", message, split)
            elif not is_understood(segment.words):
                intake.leave_out(key, "unintelligible", f'row "{key}" ({path.name}): marked as overlapped or not understood.', split)
            else:
                rows.append(row)
    intake.facts["xml_files"] = len(shows)
    intake.facts["recordings_without_xml"] = len(
        {name for name, paths in recordings.items() if any(path.is_relative_to(folder) for path in paths)} - {path.stem.casefold() for path in shows}
    )
    return rows


def _xml_key(show: str, segment: AlignedSegment, number: int, counted: Counter[str]) -> str:
    """The segment's id with the show before it, and with its place where the id is missing or repeated."""
    given = segment.attributes.get("id", "").strip()
    key = f"{show}-{number}" if not given else given if given.startswith(show) else f"{show}-{given}"
    counted[key] += 1
    return key if counted[key] == 1 else f"{key}-{number}"


def _make_xml_row(key: str, path: Path, folder: Path, segment: AlignedSegment, buckwalter: bool, recordings: Mapping[str, list[Path]]) -> CorpusRow:
    given, raw = segment.attributes, " ".join(segment.words)
    start, end = parse_span(given.get("starttime", ""), given.get("endtime", ""))
    who = given.get("who", "").strip()
    numbers = {name: number for name in ("wmer", "awd") if (number := _number(given.get(name))) is not None}
    return CorpusRow(
        id=key,
        audio=locate(path.stem, folder, recordings),
        text=clean_text(raw, buckwalter=buckwalter),
        text_raw=raw,
        place=path.name,
        offset=start,
        duration=end - start,
        speaker=None if not who else who if who.startswith(path.stem) else f"{path.stem}_{who}",
        recording=path.stem,
        split=FOLDERS[folder.name],
        meta=numbers,
    )


def _number(given: str | None) -> float | None:
    try:
        number = float(given) if given is not None else None
    except ValueError:
        return None
    return number if number is not None and abs(number) < float("inf") else None


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
