"""Lhotse manifests: recordings and supervisions, or cuts, as icefall and other k2 recipes leave them.

Source: yours, or what `lhotse prepare` writes; license: `--set license=...`. One manifest, or a folder of them whose names tell the splits. JSON
Lines, plain or gzipped; lhotse itself is not needed. Real-shaped lines, shortened:

    cs_recordings_train.jsonl.gz     {"id": "call1", "sources": [{"type": "file", "channels": [0, 1], "source": "audio/call1.wav"}], "duration": 9.5}
    cs_supervisions_train.jsonl.gz   {"id": "call1-a-1", "recording_id": "call1", "start": 0.35, "duration": 2.1, "channel": 1, "text": "hello"}
    cs_cuts_train.jsonl.gz           {"id": "c7", "start": 2.0, "supervisions": [{"start": 0.1, ...}], "recording": {...}, "type": "MonoCut"}

Every supervision becomes one row, wherever its cut begins. A source may be a shell command or an address: such are never run or fetched, and their
rows are dropped. So are cuts that are mixed or padded, and recordings whose speed, pitch or level lhotse would change while reading them. Of a
recording with one speaker per channel, the channel of the supervision is taken. Paths are relative to the manifest, or to
`--set audio_root=FOLDER`.
"""

import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from speechadapt.cli import main
from speechadapt.errors import AudioError, CorpusError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, finish_corpus, is_junk, locate_audio, release
from speechadapt.preparation.fields import as_text, split_of_name
from speechadapt.preparation.lines import read_json_lines
from speechadapt.units import Seconds

CORPUS = Corpus(
    name="lhotse",
    title="Lhotse manifests",
    license="not stated",
    commercial_use="not stated",
    home="your own disk",
    expects="*_recordings_*.jsonl.gz and *_supervisions_*.jsonl.gz, or *_cuts_*.jsonl.gz, with train, dev and test in their names.",
    accent_label="accent or dialect in the custom fields of the supervisions",
)
SUFFIXES = (".jsonl", ".jsonl.gz")
SAME_LENGTH: Seconds = 0.025
"""Lhotse's own tolerance between the durations of a recording and of what describes it."""
HARMLESS = ("Resample",)
ACCENTS = ("accent", "dialect")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of Lhotse manifests.

    Attributes:
        name: of the corpus, put before ids and speakers. license, language (BCP-47): of all rows.
        audio_root: where relative audio paths start, and the only folder absolute ones may lie in.
    """

    name: str = "lhotse"
    license: str = "not stated"
    language: str | None = None
    audio_root: Path | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ManifestPair:
    """One part of a corpus: its supervisions with the file of their recordings, or its cuts, which hold both."""

    rows: Path
    recordings: Path | None
    split: str | None


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the manifests; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    root = Path(source)
    folder = root if root.is_dir() else root.parent
    intake = Intake()
    roots = (settings.audio_root,) if settings.audio_root is not None else (folder,)
    rows = [row for pair in find_manifests(root) for row in read_pair(pair, roots, settings, intake)]
    corpus = dataclasses.replace(CORPUS, name=settings.name, license=settings.license, language=settings.language)
    return finish_corpus(release(rows), corpus=corpus, source=root, out=out, options=options, intake=intake, audio_roots=roots)


def find_manifests(root: Path) -> list[ManifestPair]:
    """The manifests: supervisions with their recordings where there are any, else cuts.

    Raises:
        CorpusError: there are none, or recordings are missing.
    """
    paths = [root] if root.is_file() else sorted(root.iterdir()) if root.is_dir() else []
    named = [path for path in paths if path.name.lower().endswith(SUFFIXES) and path.is_file() and not is_junk(Path(path.name))]
    supervisions = [path for path in named if "supervisions" in path.name]
    pairs = []
    for path in supervisions:
        beside = path.name.replace("supervisions", "recordings")
        recordings = next((path.with_name(name) for name in _both(beside) if path.with_name(name).is_file()), None)
        if recordings is None:
            raise CorpusError(f"{path}: no {beside} beside it. Put the manifest of its recordings there.")
        pairs.append(ManifestPair(rows=path, recordings=recordings, split=split_of_name(path.name)))
    cuts = [path for path in named if "recordings" not in path.name and (root.is_file() or "cuts" in path.name)]
    pairs = pairs or [ManifestPair(rows=path, recordings=None, split=split_of_name(path.name)) for path in cuts]
    if not pairs:
        found = ", ".join(path.name for path in paths[:8]) if paths else "no such file or folder" if not root.exists() else "nothing"
        raise CorpusError(
            f"{root}: no Lhotse manifests; looked for supervisions and cuts in names that end in .jsonl or .jsonl.gz, found: {found}. It should be "
            f"{CORPUS.expects} Convert other forms with: lhotse copy OLD NEW.jsonl.gz"
        )
    return pairs


def _both(name: str) -> tuple[str, str]:
    return name, name.removesuffix(".gz") if name.endswith(".gz") else f"{name}.gz"


def read_pair(pair: ManifestPair, roots: tuple[Path, ...], settings: Settings, intake: Intake) -> Iterator[CorpusRow]:
    """The rows of one part."""
    prefix = pair.rows.name.split(".")[0]
    recordings: dict[str, dict[str, Any]] = {}
    if pair.recordings is not None:
        for _, told in read_json_lines(pair.recordings, intake, prefix=pair.recordings.name.split(".")[0], split=pair.split):
            if recordings.setdefault(as_text(told.get("id")), told) is not told:
                intake.repair("recording stands twice, the first line is kept")
    for number, line in read_json_lines(pair.rows, intake, prefix=prefix, split=pair.split):
        place, line_id = f"{pair.rows.name}, line {number}", as_text(line.get("id")) or f"{prefix}-line{number}"
        try:
            if pair.recordings is not None:
                recording = recordings.get(as_text(line.get("recording_id")))
                if recording is None:
                    raise AudioError(
                        "not-in-recordings", f'its recording "{as_text(line.get("recording_id"))}" is in no line of {pair.recordings.name}.'
                    )
                found = [(recording, 0.0, line)]
            else:
                found = list(open_cut(line))
        except AudioError as error:
            for row_id in ids_of(line, line_id) if pair.recordings is None else [line_id]:
                intake.drop(row_id, error.reason, f'row "{row_id}" ({place}): {error}', pair.split)
            continue
        for order, (recording, start, supervision) in enumerate(found):
            row_id = as_text(supervision.get("id")) or (f"{line_id}-{order}" if len(found) > 1 else line_id)
            try:
                row = make_row(row_id, recording, start, supervision, place, roots)
            except AudioError as error:
                intake.drop(row_id, error.reason, f'row "{row_id}" ({place}): {error}', pair.split)
                continue
            language = settings.language or _tag(as_text(supervision.get("language")), intake)
            yield dataclasses.replace(row, split=pair.split, language=language)


def ids_of(cut: Mapping[str, Any], cut_id: str) -> list[str]:
    """What the rows of a cut that cannot be read would have been called: one for each supervision, or the cut's own where it lists none."""
    listed = cut.get("supervisions")
    said = listed if isinstance(listed, list) and listed else [{}]
    given = [as_text(one.get("id")) if isinstance(one, dict) else "" for one in said]
    return [name or (f"{cut_id}-{order}" if len(said) > 1 else cut_id) for order, name in enumerate(given)]


def open_cut(cut: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], Seconds, dict[str, Any]]]:
    """The supervisions of a cut, each with the recording and the second of it in which the cut begins.

    Raises:
        AudioError: reason mixed-cut, no-recording, no-supervision or out-of-range.
    """
    kind = cut.get("type", "MonoCut")
    if kind not in ("MonoCut", "MultiCut", "Cut"):
        raise AudioError("mixed-cut", f"a {as_text(kind)} is made of several sounds, or of silence, while it is read. Give the cuts it was made of.")
    recording, supervisions = cut.get("recording"), cut.get("supervisions")
    if not isinstance(recording, dict):
        raise AudioError("no-recording", "the cut has features only, and no recording. Give the manifests it was made of.")
    if not isinstance(supervisions, list) or not supervisions:
        raise AudioError("no-supervision", "nobody says what is spoken in this cut. Remove it.")
    start = _number(cut.get("start", 0), "start of the cut")
    for supervision in supervisions:
        yield recording, start, supervision if isinstance(supervision, dict) else {}


def make_row(
    row_id: str, recording: Mapping[str, Any], start: Seconds, supervision: Mapping[str, Any], place: str, roots: tuple[Path, ...]
) -> CorpusRow:
    """One supervision of a recording; `start` is where its cut begins.

    Raises:
        AudioError: reason pipe, not-a-file, changed-recording, several-files, out-of-range, missing or outside-corpus.
    """
    given, channel = choose_source(recording, supervision.get("channel", 0))
    offset = start + _number(supervision.get("start", 0), "start")
    duration: Seconds | None = _number(supervision.get("duration"), "duration")
    length = recording.get("duration")
    if offset < -SAME_LENGTH or duration is None or duration <= 0:
        raise AudioError("out-of-range", f"it lasts from {offset:.2f} to {offset + (duration or 0):.2f} s of its recording. Correct the times.")
    offset = max(0.0, round(offset, 6))  # lhotse adds and subtracts times, which leaves 0.30000000000000004
    whole = offset == 0 and isinstance(length, int | float) and abs(duration - length) <= SAME_LENGTH
    custom = supervision.get("custom")
    facts: dict[str, Any] = dict(custom) if isinstance(custom, dict) else {}
    label = next((as_text(facts.pop(name)) for name in ACCENTS if isinstance(facts.get(name), str)), "")
    age = as_text(facts.pop("age", None))
    published = as_text(facts.pop("accent_raw", None))  # beside a slug, as `convert` writes them
    told = {name: as_text(facts.pop(name, None)) or None for name in ("text_raw", "l1", "region", "recording")}
    nested = facts.pop("meta", None)
    plain = {name: value for name, value in facts.items() if isinstance(value, str | int | float | bool) and value != ""}
    return CorpusRow(
        id=row_id,
        audio=locate_audio(given, roots),
        text=as_text(supervision.get("text")),
        place=place,
        offset=offset,
        duration=None if whole else round(duration, 6),
        channel=channel,
        speaker=as_text(supervision.get("speaker")) or None,
        gender=as_text(supervision.get("gender")) or None,
        age=age or None,
        accent=label if label and published else None,
        accent_raw=published or label or None,
        text_raw=told["text_raw"],
        l1=told["l1"],
        region=told["region"],
        recording=told["recording"] or (None if whole and channel is None else as_text(recording.get("id")) or None),
        meta={**plain, **(nested if isinstance(nested, dict) else {})},
    )


def choose_source(recording: Mapping[str, Any], wanted: Any) -> tuple[str, int | None]:
    """The file that holds the wanted channels, and the place of the channel in it; None where all of the file is wanted.

    Raises:
        AudioError: reason pipe, not-a-file, changed-recording, several-files or out-of-range.
    """
    transforms = recording.get("transforms") or []
    names = [as_text(one.get("name")) if isinstance(one, dict) else as_text(one) for one in transforms] if isinstance(transforms, list) else ["?"]
    if changed := [name for name in names if name not in HARMLESS]:
        raise AudioError(
            "changed-recording", f"its recording is changed while it is read ({', '.join(changed)}). Give the manifest from before that."
        )
    channels = wanted if isinstance(wanted, list) else [wanted]
    sources = recording.get("sources")
    holders = [one for one in sources if isinstance(one, dict) and isinstance(one.get("channels"), list)] if isinstance(sources, list) else []
    holders = [one for one in holders if any(channel in one["channels"] for channel in channels)]
    if len(holders) != 1:
        count = f"{len(holders)} files hold" if holders else "no file holds"
        reason = "several-files" if holders else "out-of-range"
        raise AudioError(reason, f"{count} its channels {', '.join(map(as_text, channels))}. Correct the manifest, or mix the files into one.")
    (source,) = holders
    if source.get("type") == "command":
        command = as_text(source.get("source"))[:200]
        raise AudioError("pipe", f'"{command}" is a shell command, and commands in a corpus are never executed. Unpack the audio, list its files.')
    if source.get("type") != "file":
        raise AudioError("not-a-file", f'its source is of the type "{as_text(source.get("type"))}", only files are read. Save the audio as files.')
    held = source["channels"]
    if all(channel in channels for channel in held):
        return as_text(source.get("source")), None
    if len(channels) > 1:
        raise AudioError("several-channels", f"it is spoken in {len(channels)} of the {len(held)} channels of its file. Write these into one file.")
    return as_text(source.get("source")), held.index(channels[0])


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise AudioError("out-of-range", f'its {what} is "{as_text(value)[:40]}", expected a number of seconds. Correct the line.')
    return float(value)


def _tag(language: str, intake: Intake) -> str | None:
    """Lhotse's recipes write names (`English`) as well as tags; names are counted, not guessed."""
    if not language or re.fullmatch(r"[a-z]{2,3}([-_]\w+)*", language):
        return language.replace("_", "-") or None
    intake.repair("language is no tag such as en, left empty (name it with --set language=en)")
    return None


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
