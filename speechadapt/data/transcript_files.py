"""Transcript files: references and hypotheses of any system, in the formats that people have, joined by id."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from speechadapt.data.cues import read_cues
from speechadapt.data.hypothesis import Hypothesis, read_hypotheses
from speechadapt.data.kaldi_text import read_kaldi_text
from speechadapt.data.manifest import Manifest
from speechadapt.data.nist import read_ctm, read_stm, read_trn
from speechadapt.data.reference import Reference, ReferenceSet
from speechadapt.data.timed_text import assign, stem_of
from speechadapt.data.transcript_line import IgnoredSpan, TimedText, TranscriptLine, read_lines, refuse_repeated
from speechadapt.data.transcript_rows import FILE_FIELDS, HYPOTHESIS_FIELDS, ID_FIELDS, REFERENCE_FIELDS, Columns, parse_object, read_rows
from speechadapt.errors import CorpusError, ManifestError, MisuseError

FORMS = ("jsonl", "table", "kaldi", "trn", "stm", "ctm", "subtitles", "folder", "lines")
BY_SUFFIX = {
    **{".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl", ".csv": "table", ".tsv": "table", ".trn": "trn", ".stm": "stm", ".ctm": "ctm"},
    **{".srt": "subtitles", ".vtt": "subtitles", ".txt": "kaldi", ".text": "kaldi", "": "kaldi"},
}
TEXTS = (".txt", ".srt", ".vtt")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """A test that was read.

    Attributes:
        found: a `Manifest` where the file is one of ours, else a `ReferenceSet`.
        form: one of `FORMS`.
        ignored: stretches of an STM file that are not scored.
    """

    found: Manifest | ReferenceSet
    form: str
    ignored: tuple[IgnoredSpan, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hypotheses:
    """What a system said: one hypothesis per id, and sentences on how the file was joined to the references."""

    found: tuple[Hypothesis, ...]
    form: str
    notes: tuple[str, ...] = ()


def form_of(path: Path, form: str | None = None) -> str:
    """The format of a file or folder: the one that was asked for, or by its name's ending.

    Raises:
        MisuseError: there is no such format, or the ending says nothing.
        ManifestError: no such file or folder.
    """
    if form is not None and form not in FORMS:
        raise MisuseError(f'form "{form}", must be one of {", ".join(FORMS)}. Correct it, or leave it out.')
    if not path.exists():
        raise ManifestError(f"{path}: no such file or folder. Check the path.")
    if path.is_dir():
        return form or ("kaldi" if (path / "text").is_file() else "folder")
    found = form or BY_SUFFIX.get(path.suffix.lower())
    if found is None:
        raise MisuseError(f'{path}: the ending "{path.suffix}" says no format. Say which of them it is: {", ".join(FORMS)}.')
    return found


def read_reference_files(paths: Sequence[Path], *, form: str | None = None, columns: Columns | None = None, names_only: bool = False) -> References:
    """Read a test set, perhaps with further wordings of the same utterances from more files.

    Args:
        paths: the first holds the test, the others further references by the same ids.
        form: one of `FORMS`; None goes by each file's name.
        columns: of JSON Lines and tables.

    Raises:
        ManifestError, CorpusError: a file cannot be read, an id stands twice, or a further file has ids that the first has not.
        MisuseError: the format does not exist or holds no references (CTM).
    """
    first, *more = paths
    kind = form_of(first, form)
    columns = columns or Columns()
    ignored: tuple[IgnoredSpan, ...] = ()
    manifest = _manifest(first, kind, columns)
    if manifest is not None and not more:
        return References(found=manifest, form=kind)
    if manifest is not None:
        base: Iterable[Reference] = ReferenceSet.from_manifest(manifest, first)
    else:
        lines, ignored = _reference_lines(first, kind, columns)
        base = [Reference(id=line.id, texts=(line.text,), speaker=line.speaker, duration=line.duration, fields=line.fields) for line in lines]
    further = [_further(path, form, columns) for path in more]
    references = list(base)
    known = {reference.id for reference in references}
    for path, texts in zip(more, further, strict=True):
        if unknown := [key for key in texts if key not in known]:
            raise ManifestError(f'{path}: {len(unknown)} ids are not in {first}, the first is "{unknown[0]}". Correct the ids or leave it out.')
    if further:
        references = [
            dataclasses.replace(one, texts=tuple(dict.fromkeys([*one.texts, *(texts[one.id] for texts in further if one.id in texts)])))
            for one in references
        ]
    if not references:
        raise ManifestError(f"{first}: no reference in it. Check that it is the right file.")
    return References(found=ReferenceSet(references, name=_name(first), path=first), form=kind, ignored=ignored)


def read_hypothesis_file(path: Path, references: References, *, form: str | None = None, columns: Columns | None = None) -> Hypotheses:
    """Read what a system said about a test set.

    Files that name audio instead of ids (NeMo's output, a folder of texts, subtitles) are joined by the path, or the unambiguous name, of the
    references' audio; timed words (CTM, subtitles of a whole recording) by the time of the references.

    Args:
        path: file or folder.
        references: the test.
        form: one of `FORMS`; None goes by the name.
        columns: of JSON Lines and tables.

    Raises:
        ManifestError, CorpusError: it cannot be read, or an id stands twice.
        MisuseError: the format does not exist or holds no hypotheses (STM).
    """
    kind = form_of(path, form)
    columns = columns or Columns()
    if kind == "stm":
        raise MisuseError(f"{path}: STM holds references. Give the system's words as CTM, or as any other format.")
    if kind == "jsonl" and columns == Columns() and _has_ids(path):
        return Hypotheses(found=tuple(read_hypotheses(path)), form=kind)
    if kind == "ctm":
        return _timed(path, read_ctm(path), references, kind)
    if kind in ("subtitles", "folder"):
        return _files(path, kind, references)
    lines = _lines(path, kind, columns, HYPOTHESIS_FIELDS)
    refuse_repeated(lines, path, _hint(kind, "--hyps-form"))
    found = _by_audio(lines, references) if any(line.named_by_file for line in lines) else lines
    refuse_repeated(found, path)
    return Hypotheses(found=tuple(_hypothesis(line) for line in found), form=kind)


def _manifest(path: Path, kind: str, columns: Columns) -> Manifest | None:
    """Our own manifest, whose every rule is checked; None for other files."""
    if kind != "jsonl" or columns != Columns():
        return None
    first = next((line for _, line in read_lines(path)), None)
    row = parse_object(first) if first is not None else None
    if first is None or (row is not None and "id" in row and {"audio_filepath", "duration", "text"} & set(row)):
        return Manifest.read(path)
    return None


def _reference_lines(path: Path, kind: str, columns: Columns) -> tuple[list[TranscriptLine], tuple[IgnoredSpan, ...]]:
    ignored: tuple[IgnoredSpan, ...] = ()
    if kind == "ctm":
        raise MisuseError(f"{path}: CTM holds a system's words. Give the references as STM, or as any other format.")
    if kind == "stm":
        stm = read_stm(path)
        lines, ignored = list(stm.segments), stm.ignored
    elif kind in ("subtitles", "folder"):
        lines = [line for line, _ in _text_files(path, kind)]
    else:
        lines = _lines(path, kind, columns, REFERENCE_FIELDS)
    refuse_repeated(lines, path, _hint(kind, "--refs-form"))
    return lines, ignored


def _further(path: Path, form: str | None, columns: Columns) -> dict[str, str]:
    kind = form_of(path, form)
    if kind == "jsonl" and columns == Columns() and _has_ids(path):
        return {hypothesis.id: hypothesis.text for hypothesis in read_hypotheses(path)}
    return {line.id: line.text for line in _reference_lines(path, kind, columns)[0]}


def _lines(path: Path, kind: str, columns: Columns, text_fields: Sequence[str]) -> list[TranscriptLine]:
    if kind == "kaldi":
        return read_kaldi_text(path / "text" if path.is_dir() else path)
    if kind == "trn":
        return read_trn(path)
    if kind == "lines":
        return [TranscriptLine(id=str(number), text=line, place=f"{path}, line {number}") for number, line in _every_line(path)]
    return list(read_rows(path, kind, columns, text_fields))


def _every_line(path: Path) -> list[tuple[int, str]]:
    """Blank lines count here: the number of a line is all that joins it."""
    found = dict(read_lines(path))
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # a letter of UTF-16 may hold the byte of a line's end
        data = data.decode("utf-16").encode()
    count = data.count(b"\n") + (0 if not data or data.endswith(b"\n") else 1)
    return [(number, found.get(number, "")) for number in range(1, max([count, *found], default=0) + 1)]


def _text_files(path: Path, kind: str) -> list[tuple[TranscriptLine, list[TimedText]]]:
    """Every text or subtitle file as one line, and its cues."""
    files = (
        [path] if kind == "subtitles" else sorted(one for one in path.rglob("*") if one.suffix.lower() in (".txt", ".srt", ".vtt") and one.is_file())
    )
    if not files:
        raise ManifestError(f"{path}: no .txt, .srt or .vtt file in it. Give a file, or the folder of the texts.")
    root = path.parent if kind == "subtitles" else path
    found = []
    for file in files:
        if not file.resolve().is_relative_to(root.resolve()):
            raise ManifestError(f"{file}: leads out of {root}. Copy the file into the folder.")
        key = str(PurePosixPath(file.relative_to(root).with_suffix("")))
        cues: list[TimedText] = []
        if file.suffix.lower() == ".txt":
            text = "\n".join(line for _, line in read_lines(file))
        else:
            subtitles = read_cues(file)
            if subtitles.broken:
                raise CorpusError(f"{file}, line {subtitles.broken[0]}: no times and no text that belongs to any. Correct the line.")
            cues = [TimedText(recording=key, channel=None, start=cue.start, end=cue.end, text=cue.text) for cue in subtitles.cues]
            text = " ".join(cue.text for cue in cues)
        found.append((TranscriptLine(id=key, text=text, named_by_file=True, place=str(file)), cues))
    return found


def _files(path: Path, kind: str, references: References) -> Hypotheses:
    """Texts of whole files; cues of a recording that the references divide are joined by time."""
    found = _text_files(path, kind)
    refuse_repeated((line for line, _ in found), path)
    pieces = Counter(stem_of(str(name)) for one in _references(references) if (name := one.value("audio_filepath") or one.value("recording")))
    whole = [line for line, cues in found if not (cues and pieces[stem_of(line.id)] > 1)]
    cues = [cue for line, cues in found if pieces[stem_of(line.id)] > 1 for cue in cues]
    lines = _by_audio(whole, references)
    refuse_repeated(lines, path)
    timed = _timed(path, cues, references, kind) if cues else Hypotheses(found=(), form=kind)
    return Hypotheses(found=(*map(_hypothesis, lines), *timed.found), form=kind, notes=timed.notes)


def _timed(path: Path, words: Sequence[TimedText], references: References, kind: str) -> Hypotheses:
    rows = list(_references(references))
    assigned = assign(words, rows, references.ignored)
    notes = []
    if assigned.between:
        notes.append(f"{path}: {assigned.between} words lie between the references; each counts in the nearest one.")
    if assigned.ignored:
        notes.append(f"{path}: {assigned.ignored} words lie in stretches that are not scored, and are left out.")
    whole: dict[str, str] = {}  # recordings that are one utterance, or that are not in the test
    channels = Counter(recording for recording, _ in assigned.strangers)
    for (recording, channel), text in assigned.strangers.items():
        [line] = _by_audio([TranscriptLine(id=recording, text=text, named_by_file=True)], references)
        alone = channels[recording] == 1 and line.id not in assigned.texts
        whole[line.id if alone else f"{recording}-{channel}"] = text  # of several channels none is taken for the recording
    found = {**assigned.texts, **whole}
    return Hypotheses(found=tuple(Hypothesis(id=key, text=text) for key, text in found.items()), form=kind, notes=tuple(notes))


def _by_audio(lines: Sequence[TranscriptLine], references: References) -> list[TranscriptLine]:
    """Lines named by a file under the id of the reference that has this id, this audio path, or, where only one has it, this file name."""
    ids: set[str] = set()
    by_path: dict[str, list[str]] = defaultdict(list)
    by_stem: dict[str, list[str]] = defaultdict(list)
    for one in _references(references):
        ids.add(one.id)
        if audio := one.value("audio_filepath"):
            offset = float(one.value("offset") or 0)
            name = str(audio)
            by_path[f"{name}@{offset:g}" if offset else name].append(one.id)
            by_stem[f"{stem_of(name)}@{offset:g}" if offset else stem_of(name)].append(one.id)
    found = []
    for line in lines:
        head, mark, since = line.id.rpartition("@")
        stem = f"{stem_of(head)}@{since}" if mark and "offset" in line.fields else stem_of(line.id)
        keys = [line.id] if line.id in ids else by_path.get(line.id) or ([stem] if stem in ids else by_stem.get(stem, []))
        found.append(dataclasses.replace(line, id=keys[0]) if line.named_by_file and len(keys) == 1 else line)
    return found


def _references(references: References) -> ReferenceSet:
    return ReferenceSet.from_manifest(references.found) if isinstance(references.found, Manifest) else references.found


def _hypothesis(line: TranscriptLine) -> Hypothesis:
    return Hypothesis(id=line.id, text=line.text, seconds=line.seconds, avg_logprob=line.avg_logprob)


def _has_ids(path: Path) -> bool:
    """Whether the first line is an object with `id` and a text under one of our own names; a broken file is the strict reader's to refuse."""
    first = next((line for _, line in read_lines(path)), None)
    row = parse_object(first) if first is not None else None
    if first is not None and (first.lstrip().startswith("[") or (row is not None and isinstance(row.get("id"), int))):
        return False  # a list is told as such, and numbers are ids where they are read as rows
    return row is None or ("id" in row and ("text" in row or "pred_text" in row)) or not (set(row) & {*ID_FIELDS, *FILE_FIELDS})


def _name(path: Path) -> str:
    return path.stem if path.suffix else path.name


def _hint(kind: str, flag: str) -> str:
    return f" If the lines have no ids, say so with {flag} lines." if kind == "kaldi" else ""
