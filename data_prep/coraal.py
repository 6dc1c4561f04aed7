"""CORAAL, the Corpus of Regional African American Language: interviews of tens of minutes, transcribed in short lines.

Source: https://oraal.github.io/coraal (per component one or more audio archives, one of text files, one metadata file). License:
CC BY-NC-SA. Unpack what you have of it into one folder, several components together if you like. Real-shaped lines (tabs between):

    ATL_se0_ag1_f_01_1.txt    Line<TAB>Spkr<TAB>StTime<TAB>Content<TAB>EnTime
    ATL_se0_ag1_f_01_1.txt    1<TAB>ATL_int_01<TAB>0.2436<TAB>(pause 0.17)<TAB>0.4140
    ATL_se0_ag1_f_01_1.txt    2<TAB>ATL_se0_ag1_f_01<TAB>0.9<TAB>[Yeah] I mean, <laugh> we wen- went out.<TAB>2.7

Only the interviewee's lines become rows, the person the file is named after; others are counted as facts, and so are pauses. Neighboring
lines are joined to at most 20 s where nobody else speaks between them, and what is then shorter than 2 s or longer than 30 s is dropped.
Lines with words that nobody understood or that were bleeped (`/RD-NAME-2/`) are dropped and never joined over. A doubtful `/word/` stays,
and so does a word that was broken off (`wen-`) unless `--set fragments=drop`. There are no official splits; divide by speaker. DCA and DTA
are tapes of the 1960s with a narrow band: `meta["component"]` tells them apart.
"""

import dataclasses
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from speechadapt.cli import main
from speechadapt.data.table import Table, read_table
from speechadapt.errors import AudioError, CorpusError
from speechadapt.preparation import (
    Corpus,
    CorpusRow,
    Intake,
    PrepareOptions,
    PrepReport,
    Segment,
    finish_corpus,
    locate_audio,
    merge_segments,
)
from speechadapt.preparation.annotations import files_under
from speechadapt.preparation.lists import parse_span
from speechadapt.text.cleaning import has_words
from speechadapt.units import Seconds

CORPUS = Corpus(
    name="coraal",
    title="CORAAL (Corpus of Regional African American Language)",
    license="CC BY-NC-SA (see the corpus for the version)",
    commercial_use="no",
    home="https://oraal.github.io/coraal",
    expects="a folder into which archives of CORAAL were unpacked: transcripts such as ATL_se0_ag1_f_01_1.txt, recordings of the same names "
    "(.wav), and ATL_metadata_*.txt.",
    accent_label="constant: African American Language; the region is the component's city",
    language="en",
)
COLUMNS = ("Line", "Spkr", "StTime", "Content", "EnTime")
SOUNDS = (".wav", ".flac", ".mp3")
CITIES = {
    "ATL": "Atlanta",
    "DCA": "Washington, D.C.",
    "DCB": "Washington, D.C.",
    "DTA": "Detroit",
    "LES": "Lower East Side, New York City",
    "PRV": "Princeville",
    "ROC": "Rochester",
    "VLD": "Valdosta",
}
ACCENT_RAW = "African American Language"
ACCENT = "en_african_american"
NAME = re.compile(r"([A-Z]{3})_(se[^_]+)_(ag[^_]+)_([fm])_([0-9]+)_[0-9]+")
PAUSE = re.compile(r"\(pause[^()]*\)", re.IGNORECASE)
SLASHED = re.compile(r"/([^/]*)/")
DEFECTS = {"redacted": "was bleeped", "unintelligible": "was not understood", "empty-text": "holds no words"}
NOT_UNDERSTOOD = ("", "unintelligible", "inaudible")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        merged: seconds up to which neighboring lines are joined; gap: longest pause, in seconds, that they are joined over.
        shortest, longest: seconds of a row.
        fragments: keep or drop words that were broken off (`wen-`).
    """

    merged: float = 20.0
    gap: float = 1.0
    shortest: float = 2.0
    longest: float = 30.0
    fragments: Literal["keep", "drop"] = "keep"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One understood line of the interviewee: its number in the transcript, its times, its words, and how they were published."""

    number: str
    start: Seconds
    end: Seconds
    text: str
    raw: str


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root = Path(source)
    intake = Intake()
    transcripts = find_transcripts(root, intake)
    recordings = find_recordings(root, out)
    people = read_people(root, intake)
    counts: Counter[str] = Counter(transcripts=len(transcripts))
    rows = []
    for base, table in sorted(transcripts.items()):
        for segment in read_segments(base, table, settings, counts, intake):
            row = _make_row(base, segment, root, recordings, people, options.accent_map, settings, intake)
            if row is not None:
                rows.append(row)
    intake.facts |= dict(sorted(counts.items()))
    return finish_corpus(rows, corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_transcripts(root: Path, intake: Intake) -> dict[str, Table]:
    """The transcripts below a folder by base name; of two with the same name (of two versions) the last by path is kept.

    Raises:
        CorpusError: there is none.
    """
    found: dict[str, Table] = {}
    for path in files_under(root, (".txt",)):
        if not _is_transcript(path):
            continue
        if path.stem in found:
            intake.repair("transcript stands twice, the last by path is kept")
        found[path.stem] = read_table(path, delimiter="tab")
    if not found:
        there = ", ".join(sorted(path.name for path in root.iterdir())[:8]) if root.is_dir() else "no such folder"
        raise CorpusError(
            f"{root}: no transcript of CORAAL below it; looked for *.txt that begin with {' '.join(COLUMNS)} (tabs between), found: {there}. "
            f"It should be {CORPUS.expects} Archives must be unpacked first."
        )
    return found


def _is_transcript(path: Path) -> bool:
    with path.open("rb") as file:
        header = file.readline(1000).decode("utf-8-sig", "replace")
    return set(COLUMNS) <= {name.strip() for name in header.split("\t")}


def find_recordings(root: Path, out: Path) -> dict[str, Path]:
    """Recordings below a folder by base name in lower case, without what was prepared into `out`; of two of one name the last by path."""
    return {path.stem.casefold(): path.relative_to(root) for path in files_under(root, SOUNDS, out)}


def read_people(root: Path, intake: Intake) -> dict[str, dict[str, str]]:
    """The rows of all metadata files by speaker and by file; a person with several files has several rows, the first counts for the person."""
    people: dict[str, dict[str, str]] = {}
    for path in files_under(root, (".txt",)):
        if "metadata" not in path.name.casefold():
            continue
        table = read_table(path, delimiter="tab", repeated="first")
        if "CORAAL.Spkr" not in table.header:
            intake.notes.append(f"{path.name}: no column CORAAL.Spkr, passed over")
            continue
        if table.broken:
            intake.repair("metadata: line with another number of values, passed over", len(table.broken))
        for _, row in table.rows:
            people.setdefault(row["CORAAL.Spkr"].strip(), row)
            people.setdefault(row.get("CORAAL.File", "").strip(), row)
    people.pop("", None)
    return people


def read_segments(base: str, table: Table, settings: Settings, counts: Counter[str], intake: Intake) -> list[tuple[Segment, list[Line]]]:
    """The interviewee's joined lines; what is not understood is dropped, and nothing is joined over it.

    Args:
        base: the transcript's name, which begins with the interviewee's. counts: of lines, filled here.
    """
    lines: list[Line] = []
    segments: list[Segment] = []
    for line, count in table.broken:
        message = f"{base}.txt, line {line}: {count} values for {len(table.header)} columns. Correct the line."
        intake.drop(f"{base}-line{line}", "wrong-columns", message)
    last = 0.0
    for _, values in table.rows:
        speaker, raw, place = values["Spkr"].strip(), values["Content"], f'row "{base}-{values["Line"]}" ({base}.txt)'
        text, defect = parse_content(raw, settings.fragments)
        try:
            start, end = parse_span(values["StTime"], values["EnTime"])
        except AudioError as error:
            start, end, defect = last, last, defect if defect == "pause" else "out-of-range"  # it stands after the line before it
            message = f"{place}: {error}"
        else:
            message = f'{place}: "{raw[:80]}" {DEFECTS.get(defect, "")}, so it cannot be learned from.'
            last = max(last, end)
        if defect == "pause":
            counts["pauses"] += 1
        elif not (speaker and f"{base}_".startswith(f"{speaker}_")):
            counts["lines_of_others"] += 1
            segments.append(Segment(start=start, end=end, text="", speaker=f"not {base}"))
        elif defect:
            lose = intake.leave_out if defect in ("redacted", "unintelligible") else intake.drop
            lose(f"{base}-{values['Line']}", defect, message)
            segments.append(Segment(start=start, end=end, text="", speaker=f"not {base}"))
        else:
            segments.append(Segment(start=start, end=end, text=f"{len(lines):06d}", speaker=speaker))  # its place, so that it is found again
            lines.append(Line(number=values["Line"].strip(), start=start, end=end, text=text, raw=raw.strip()))
    counts["lines"] += len(table.rows) + len(table.broken)
    joined = [segment for segment in merge_segments(segments, gap=settings.gap, longest=settings.merged) if segment.text]
    counts["lines_joined"] += len(lines) - len(joined)
    return [(segment, [lines[int(place)] for place in segment.text.split()]) for segment in joined]


def parse_content(content: str, fragments: str = "keep") -> tuple[str, str]:
    """The words of a line, and what keeps it from being used: nothing, `pause`, `redacted`, `unintelligible` or `empty-text`."""
    text = PAUSE.sub(" ", content)
    if not text.strip():
        return "", "pause" if content.strip() else "empty-text"
    for inside in SLASHED.findall(text):
        if inside.strip().casefold().startswith("rd-"):
            return "", "redacted"
        if re.sub(r"[\W_]", "", inside).casefold() in NOT_UNDERSTOOD:
            return "", "unintelligible"
    text = re.sub(r"<[^<>]*>|\{[^{}]*\}", " ", text)
    text = re.sub(r"[\[\]]", "", text)  # around words that overlap with another's, also in the middle of one
    text = re.sub(r"[/<>{}]|-{2,}", " ", text)
    if fragments == "drop":
        text = re.sub(r"(?<!\S)[\w'’]+-(?![\w'’])", " ", text)
    text = " ".join(text.split())
    return (text, "") if has_words(text) else ("", "empty-text")


def _make_row(
    base: str,
    joined: tuple[Segment, list[Line]],
    root: Path,
    recordings: Mapping[str, Path],
    people: Mapping[str, dict[str, str]],
    accent_map: Mapping[str, str],
    settings: Settings,
    intake: Intake,
) -> CorpusRow | None:
    segment, lines = joined
    key, duration = f"{base}-{lines[0].number}", segment.end - segment.start
    place = f'row "{key}" ({base}.txt)'
    if not settings.shortest <= round(duration, 6) <= settings.longest:
        limits = f"{settings.shortest:g} to {settings.longest:g} s"
        message = f"{place}: {duration:.2f} s, {limits} are asked for. Change it with --set shortest=SECONDS or longest=SECONDS."
        intake.leave_out(key, "too-short" if duration < settings.shortest else "too-long", message)
        return None
    try:
        audio = locate_audio(str(recordings.get(base.casefold(), f"{base}.wav")), [root])
    except AudioError as error:
        intake.drop(key, error.reason, f"{place}: {error}")
        return None
    named = NAME.fullmatch(base)
    component = base.split("_", 1)[0]
    person = people.get(base) or people.get(segment.speaker or "") or {}
    facts = {"component": component, "class_group": named[2] if named else "", "age_group": named[3] if named else "", "lines": len(lines)}
    return CorpusRow(
        id=key,
        audio=audio,
        text=" ".join(line.text for line in lines),
        text_raw=" ".join(line.raw for line in lines),
        place=f"{base}.txt",
        offset=segment.start,
        duration=duration,
        speaker=segment.speaker,
        gender=person.get("Gender", "").strip() or (named[4] if named else None),
        age=person.get("Age", "").strip() or None,
        accent=None if ACCENT_RAW.casefold() in accent_map else ACCENT,
        accent_raw=ACCENT_RAW,
        region=CITIES.get(component),
        recording=re.sub(r"_[0-9]+$", "", base),
        meta={name: value for name, value in facts.items() if value},
    )


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
