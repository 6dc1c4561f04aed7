"""MASC, the Massive Arabic Speech Corpus: a thousand hours of Arabic video sites with the subtitles that people wrote.

Source: https://ieee-dataport.org/open-access/masc-massive-arabic-speech-corpus. License: CC BY 4.0 for the annotation; the sound belongs
to those who uploaded it. Real-shaped lines:

    subsets/clean_train.csv       video_id,category,video_duration,channel_id,country,dialect,gender,transcript_duration
    subsets/clean_train.csv       0a1B2c3D4e5,people_and_blogs,612.4,UC0123456789,egypt,egyptian,male,540.2
    subtitles/0a1B2c3D4e5.ar.vtt  00:00:01.000 --> 00:00:02.500        (and below it: 12] what is said)

Recordings are cut by the subtitles, neighboring cues joined to at most 20 s. Who speaks is not known: the channel stands in for the
speaker, so `--splits speaker` divides by channel and the report tells how many channels the official splits share. Outside of test, cues
that are spoken slower than 0.8 or faster than 3 words a second are dropped, because their times or words cannot be right, and nothing is
joined over them. Texts are cleaned as `speechadapt.text.arabic` says; `text_raw` keeps them as published. `--set subset=noisy` takes the
noisy lists, `all` both.
"""

import dataclasses
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Literal

from speechadapt.cli import main
from speechadapt.data.cues import Cue, Subtitles, read_cues
from speechadapt.data.table import read_table
from speechadapt.errors import AudioError, CorpusError
from speechadapt.preparation import (
    Corpus,
    CorpusRow,
    Intake,
    PrepareOptions,
    PrepReport,
    Segment,
    find_file,
    finish_corpus,
    locate_audio,
    merge_segments,
    release,
)
from speechadapt.text.arabic import clean_arabic
from speechadapt.text.cleaning import has_words

CORPUS = Corpus(
    name="masc",
    title="MASC (Massive Arabic Speech Corpus)",
    license="CC BY 4.0 for the annotation; the recordings belong to those who uploaded them",
    commercial_use="check: the recordings are of third parties",
    home="https://ieee-dataport.org/open-access/masc-massive-arabic-speech-corpus",
    expects="the folder masc with audios/ (VIDEO.wav), subtitles/ (VIDEO.ar.vtt) and subsets/ (clean_train.csv, clean_dev_meta.csv and so on).",
    accent_label="the dialect that the lists give to a video",
    language="ar",
)
SPLITS = ("test", "dev", "train")
"""In this order: a video that stands in two lists stays in the earlier one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        subset: clean, noisy, or all of both.
        merged: seconds up to which neighboring cues are joined; gap: longest pause, in seconds, that they are joined over.
        slowest, fastest: words a second of a cue, outside of test.
    """

    subset: Literal["clean", "noisy", "all"] = "clean"
    merged: float = 20.0
    gap: float = 0.5
    slowest: float = 0.8
    fastest: float = 3.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """One line of the lists: the video's id, its split and subset, the values of its columns, and where it stands."""

    id: str
    split: str
    subset: str
    values: dict[str, str]
    place: str


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root = find_root(Path(source))
    intake = Intake()
    counts: Counter[str] = Counter()
    videos = read_videos(root, settings.subset, intake)
    rows = [row for video in videos for row in read_video(root, video, settings, counts, intake)]
    intake.facts |= {"videos": len(videos), **dict(sorted(counts.items()))}
    return finish_corpus(release(rows), corpus=CORPUS, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_root(source: Path) -> Path:
    """The corpus folder: `source` itself or the folder masc in it.

    Raises:
        CorpusError: neither holds recordings and subtitles.
    """
    for root in (source, source / "masc", source / "MASC"):
        if all((root / name).is_dir() for name in ("audios", "subtitles")):
            return root
    found = ", ".join(sorted(path.name for path in source.iterdir())[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(f"{source}: does not look like MASC; looked for audios/ and subtitles/, found: {found}. It should be {CORPUS.expects}")


def read_videos(root: Path, subset: str, intake: Intake) -> list[Video]:
    """The videos of all lists of a subset, each once.

    Raises:
        CorpusError: no list is there, or one has no column video_id.
    """
    videos: dict[str, Video] = {}
    lists = 0
    for split in SPLITS:
        for kind in ("clean", "noisy") if subset == "all" else (subset,):
            names = (f"{kind}_{split}.csv", f"{kind}_{split}_meta.csv")
            path = find_file(root / "subsets", names) or find_file(root, names)
            if path is None:
                intake.notes.append(f"{names[0]} is not there, nor {names[1]}: this list was left out")
                continue
            lists += 1
            table = read_table(path, repeated="first")
            if "video_id" not in table.header:
                raise CorpusError(f"{path}: no column video_id; there are: {', '.join(table.header)[:300]}. Download it again.")
            for line, count in table.broken:
                message = f"{path.name}, line {line}: {count} values for {len(table.header)} columns. Correct the line."
                intake.drop(f"{path.stem}-line{line}", "wrong-columns", message, split)
            for line, values in table.rows:
                video = Video(id=values["video_id"].strip(), split=split, subset=kind, values=values, place=f"{path.name}, line {line}")
                if video.id in videos:
                    message = f'video "{video.id}" ({video.place}): stands in {videos[video.id].place} too, where it is kept.'
                    intake.drop(video.id, "video-listed-twice", message, split)
                videos.setdefault(video.id, video)
    if not lists:
        raise CorpusError(
            f"{root}: no list of the subset {subset}; looked for subsets/{subset}_train.csv and the like. It should be {CORPUS.expects}"
        )
    return list(videos.values())


def read_video(root: Path, video: Video, settings: Settings, counts: Counter[str], intake: Intake) -> list[CorpusRow]:
    """The rows of one video; a video without usable subtitles is one drop, cues that cannot be used are one each.

    Args:
        counts: of cues, filled here.
    """
    try:
        subtitles = find_subtitles(root, video.id)
    except (AudioError, CorpusError) as error:
        reason = "outside-corpus" if isinstance(error, AudioError) and error.reason == "outside-corpus" else "no-subtitles"
        intake.drop(video.id, reason, f'video "{video.id}" ({video.place}): {error}', video.split)
        return []
    for line in subtitles.broken:
        message = f'video "{video.id}": line {line} of its subtitles is no cue that can be understood.'
        intake.drop(f"{video.id}-line{line}", "broken-cue", message, video.split)
    joined = join_cues(subtitles.cues, video, settings, counts, intake)
    rows = []
    for segment, cues in joined:
        key = _key(video, segment.start)
        try:
            audio = locate_audio(f"{video.id}.wav", [root / "audios"])
        except AudioError as error:
            intake.drop(key, error.reason, f'row "{key}" ({video.place}): {error}', video.split)
            continue
        rows.append(_make_row(key, audio, video, segment, cues))
    return rows


def find_subtitles(root: Path, video: str) -> Subtitles:
    """The cues of a video.

    Raises:
        AudioError: reason `missing` or `outside-corpus`.
        CorpusError: not UTF-8.
    """
    try:
        path = locate_audio(f"{video}.ar.vtt", [root / "subtitles"])
    except AudioError as error:
        if error.reason != "missing":
            raise
        path = locate_audio(f"{video}.vtt", [root / "subtitles"])
    return read_cues(path)


def join_cues(
    cues: tuple[Cue, ...], video: Video, settings: Settings, counts: Counter[str], intake: Intake
) -> list[tuple[Segment, list[tuple[Cue, str]]]]:
    """Neighboring cues as one segment each, with the cues and their cleaned texts; nothing is joined over a cue that is dropped."""
    kept: list[tuple[Cue, str]] = []
    segments: list[Segment] = []
    for cue in cues:
        text = clean_cue(cue.text)
        rate = len(text.split()) / (cue.end - cue.start)
        key, reason = _key(video, cue.start), ""
        if not has_words(text):
            reason, message = "empty-text", f'no words in its text "{cue.text[:80]}".'
        elif video.split != "test" and not settings.slowest <= rate <= settings.fastest:
            reason, message = "speaking-rate", f"{rate:.2f} words a second, {settings.slowest:g} to {settings.fastest:g} are accepted."
        if reason:
            lose = intake.leave_out if reason == "speaking-rate" else intake.drop
            lose(key, reason, f'cue "{key}" ({video.place}): {message}', video.split)
            segments.append(Segment(start=cue.start, end=cue.end, text="", speaker="dropped"))
        else:
            segments.append(Segment(start=cue.start, end=cue.end, text=f"{len(kept):06d}"))  # its place, so that it is found again
            kept.append((cue, text))
    joined = [segment for segment in merge_segments(segments, gap=settings.gap, longest=settings.merged) if segment.text]
    counts["cues"] += len(cues)
    counts["cues_joined"] += len(kept) - len(joined)
    return [(segment, [kept[int(place)] for place in segment.text.split()]) for segment in joined]


def clean_cue(text: str) -> str:
    """The words of a cue: without its number (`12]`), without sounds in brackets, and as Arabic training text."""
    text = re.sub(r"^\s*[0-9٠-٩]+\s*\]", " ", text)
    return clean_arabic(re.sub(r"\[[^\[\]]*\]", " ", text))


def _key(video: Video, start: float) -> str:
    return f"{video.id}-{round(start * 1000):08d}"


def _make_row(key: str, audio: Path, video: Video, segment: Segment, cues: list[tuple[Cue, str]]) -> CorpusRow:
    def get(column: str) -> str | None:
        return video.values.get(column, "").strip() or None

    facts = {"subset": video.subset, "category": get("category"), "cues": len(cues)}
    return CorpusRow(
        id=key,
        audio=audio,
        text=" ".join(text for _, text in cues),
        text_raw=" ".join(cue.text for cue, _ in cues),
        place=video.place,
        offset=segment.start,
        duration=segment.end - segment.start,
        speaker=get("channel_id"),
        gender=get("gender"),
        accent_raw=get("dialect"),
        region=get("country"),
        recording=video.id,
        split=video.split,
        meta={name: value for name, value in facts.items() if value is not None},
    )


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
