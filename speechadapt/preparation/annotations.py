"""Annotations: what the files of Praat and ELAN have in common: a recording somewhere near, tiers to choose from, marks in the text."""

import dataclasses
import fnmatch
import functools
import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from speechadapt.data.utterance import LONGEST_ID
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation.archives import is_junk
from speechadapt.preparation.corpus import Corpus, CorpusRow
from speechadapt.preparation.intake import Intake
from speechadapt.preparation.locate import locate_audio
from speechadapt.preparation.segments import Segment, merge_segments
from speechadapt.units import Seconds

SOUND_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".au", ".sph")
"""In the order of preference where one recording lies there in several formats."""
UNINTELLIGIBLE = r"(?<![^\W_])(?:xxx|XXX)(?![^\W_])|\*{3}|\(\(\s*\)\)|[\[<(]\s*(?i:unintelligible|inaudible|unclear|unk)\s*[\])>]"
"""What transcribers write where they understood nothing: `xxx`, `***`, `(())`, `<unk>`, `[unintelligible]`."""
EVENTS = re.compile(r"\[[^\]\[]*\]|\(\([^()]*\)\)|<[^<>]*>")
"""What was heard but not said, as most conventions mark it: `[laugh]`, `((coughs))`, `<silence>`."""
SILENCES = frozenset(("sil", "sp", "spn", "<sil>", "<p>", "<p:>", "<silence>", "<s>", "</s>", "<eps>", "#", "_"))
"""Labels that aligners write where nothing is said."""
OVERLAPS = ("keep", "drop")
SPEAKERS = ("auto", "tier", "file", "folder", "none")
TIERS_SHOWN = 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One annotation that may become a row.

    Attributes:
        key: unique in its file; the file's name is put before it.
        tier: its name. speaker: as the file or a setting tells, or None.
        start, end: seconds of the recording; None: the file gives no time.
        text: as written.
    """

    key: str
    tier: str
    start: Seconds | None
    end: Seconds | None
    text: str
    speaker: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """How texts are judged: `drop` (a row that holds it is left out) and `remove` (taken out of the text); None for neither."""

    drop: re.Pattern[str] | None
    remove: re.Pattern[str] | None

    @classmethod
    def read(cls, drop: str, remove: str) -> "Marks":
        """Compile the two settings; an empty one does nothing.

        Raises:
            MisuseError: not a regular expression.
        """
        return cls(drop=_compile("drop_marks", drop), remove=_compile("remove_marks", remove))


def _compile(setting: str, pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except (re.error, OverflowError, RecursionError) as error:
        raise MisuseError(f'--set {setting}="{pattern}": not a regular expression ({error}). Correct it.') from error


def check_choice(setting: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a setting that is none of the allowed words.

    Raises:
        MisuseError: names the setting and the words.
    """
    if value not in allowed:
        raise MisuseError(f'--set {setting}="{value}": must be one of {", ".join(allowed)}. Choose one of them.')


def files_under(root: Path, suffixes: Sequence[str], skip: Path | None = None) -> Iterator[Path]:
    """Every file with one of the suffixes, whatever their case, sorted by its place; without junk, links that leave the folder, and `skip`."""
    base = root.resolve()
    skipped = skip.resolve() if skip is not None else base
    found = [path for path in root.rglob("*") if path.suffix.lower() in suffixes and not is_junk(path.relative_to(root)) and path.is_file()]
    for path in sorted(found, key=lambda path: path.relative_to(root).parts):
        actual = path.resolve()
        if actual.is_relative_to(base) and (skipped == base or not actual.is_relative_to(skipped)):
            yield path


def find_annotations(source: Path, suffix: str, corpus: Corpus, skip: Path, intake: Intake) -> tuple[Path, list[Path]]:
    """The folder of the corpus and its annotation files; `source` may be a single one. What was prepared into `skip` does not count.

    Raises:
        CorpusError: there is none.
    """
    if source.is_file():
        return source.parent, [source]
    files = []
    for path in files_under(source, (suffix.lower(),), skip) if source.is_dir() else ():
        if _is_text(str(path)):
            files.append(path)
        else:
            shown = os.fsencode(path).decode("utf-8", "replace")
            intake.drop(shown, "bad-name", f'file "{shown}": its name is not written in UTF-8. Rename it.')
    if not files:
        found = ", ".join(sorted(path.name for path in source.iterdir())[:8]) if source.is_dir() else "no such folder"
        raise CorpusError(f"{source}: no {suffix} file in it or below it, found: {found}. It should be {corpus.expects}")
    return source, files


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8, which Python keeps as half surrogates
        return False
    return True


def file_key(path: Path, root: Path) -> str:
    """The name of a file with its folders, as ids use it: `day1/s1.eaf` becomes `day1-s1`."""
    return "-".join(path.relative_to(root).with_suffix("").parts)


class Recordings:
    """The recordings below the folders of a corpus, found by name."""

    def __init__(self, roots: Sequence[Path], skip: Path) -> None:
        """Args:
        roots: where recordings may lie. skip: a folder of prepared audio among them.
        """
        self.roots = tuple(roots)
        self._skip = skip

    @functools.cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        """Everything there is, by name with and without its suffix; looked through only when something does not lie where it is expected."""
        found: dict[str, list[Path]] = defaultdict(list)
        for root in self.roots:
            for path in files_under(root, SOUND_SUFFIXES, self._skip):
                found[path.name.casefold()].append(path)
                found[path.stem.casefold()].append(path)
        return found

    def find(self, annotation: Path, named: Sequence[str] = ()) -> Path | AudioError:
        """The recording of an annotation file.

        Tried in this order: each path the file names, from its own folder; a recording of the same name beside it; the names of the paths,
        then the file's own, anywhere below the folders, the nearest first.

        Args:
            annotation: below the first of the folders. named: relative paths as the file writes them, best first.

        Returns:
            The recording, or why there is none: missing, outside-corpus (a path leaves the corpus, and nothing of that name lies in it) or
            ambiguous.
        """
        try:
            return self._find(annotation, named)
        except AudioError as error:
            return error

    def _find(self, annotation: Path, named: Sequence[str]) -> Path:
        named = [name for name in named if "\0" not in name]  # no file has such a name
        inside = [relative for name in named if (relative := self._relative(annotation, name)) is not None]
        folder = annotation.parent.relative_to(self.roots[0])
        beside = [(folder / annotation.stem).as_posix() + suffix for suffix in SOUND_SUFFIXES]
        for relative in [*inside, *beside]:
            try:
                found = locate_audio(relative, self.roots)
            except (AudioError, OSError, ValueError):  # the last two: a name no file can have
                continue
            if found.suffix.lower() in SOUND_SUFFIXES:
                return found
        names = [posixpath.basename(name.replace("\\", "/")) for name in named]
        for name in [*names, *(posixpath.splitext(name)[0] for name in names), annotation.stem]:
            if candidates := self._by_name.get(name.casefold()):
                return self._nearest(candidates, annotation).resolve()
        if len(inside) < len(named):
            given = next(name for name in named if self._relative(annotation, name) is None)
            raise AudioError("outside-corpus", f'"{given}" leaves the folder of the corpus, and nothing in it has that name. Copy it there.')
        told = " or ".join(f'"{name}"' for name in dict.fromkeys(names)) or f'"{annotation.stem}" with {", ".join(SOUND_SUFFIXES[:4])} or the like'
        where = ", ".join(str(root) for root in self.roots)
        raise AudioError("missing", f"no recording {told} under {where}. Put it beside the file; of a video, extract the sound first.")

    def _relative(self, annotation: Path, name: str) -> str | None:
        """The path from the root of the corpus; None if it leaves it, or is absolute."""
        root = self.roots[0]
        name = name.replace("\\", "/")
        folder = annotation.parent.relative_to(root).as_posix()
        relative = posixpath.normpath(posixpath.join(folder, name))
        return None if relative == ".." or relative.startswith(("../", "/")) or ":" in name else relative

    def _nearest(self, candidates: Sequence[Path], annotation: Path) -> Path:
        """Of several, the one that shares most of its folders with the annotation file; formats of one recording count once."""
        folders = annotation.resolve().parent.parts
        best: dict[Path, list[Path]] = defaultdict(list)
        shared = {path: _common(path.resolve().parent.parts, folders) for path in candidates}
        for path in candidates:
            if shared[path] == max(shared.values()):
                best[path.resolve().with_suffix("")].append(path)
        if len(best) > 1:
            first, second = list(best.values())[:2]
            raise AudioError("ambiguous", f"{first[0]} and {second[0]} could both be its recording. Put the right one beside the file.")
        return min(next(iter(best.values())), key=_preference)


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    return next((index for index, (one, other) in enumerate(zip(first, second, strict=False)) if one != other), min(len(first), len(second)))


def _preference(path: Path) -> int:
    return SOUND_SUFFIXES.index(path.suffix.lower())


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a tier's name fits one of the patterns (`tx@*`, `*words*`); case does not matter."""
    return any(fnmatch.fnmatchcase(name.casefold(), pattern.casefold()) for pattern in patterns)


def describe_tiers(lines: Iterable[tuple[str, str]]) -> str:
    """What a user chooses from: every tier with the number of its labels and the first of them.

    Args:
        lines: tier and text of every label that is not empty.
    """
    by_tier: dict[str, list[str]] = defaultdict(list)
    for tier, text in lines:
        by_tier[tier].append(text)
    told = [f'"{tier}" ({len(texts)}, such as "{" ".join(texts[0].split())[:40]}")' for tier, texts in list(by_tier.items())[:TIERS_SHOWN]]
    more = [f"and {len(by_tier) - TIERS_SHOWN} more"] if len(by_tier) > TIERS_SHOWN else []
    return ", ".join([*told, *more]) or "none with text in it"


def is_spoken(text: str) -> bool:
    """Whether a label is more than a silence."""
    return bool(text.strip()) and text.strip().casefold() not in SILENCES


def join_words(words: Sequence[Segment], *, gap: Seconds, longest: Seconds, drop: re.Pattern[str] | None) -> list[Segment]:
    """Words of one speaker as phrases; a word that cannot be used stays alone, so that it costs itself and no phrase.

    Args:
        gap, longest: as in `merge_segments`. drop: what no row may hold.
    """
    apart = [
        dataclasses.replace(word, speaker=f"word {index}") if word.end <= word.start or (drop is not None and drop.search(word.text)) else word
        for index, word in enumerate(words)
    ]
    return [dataclasses.replace(one, speaker=None) for one in merge_segments(apart, gap=gap, longest=longest)]


def speaker_of(choice: str, told: str | None, tier: str, path: Path, root: Path) -> str | None:
    """The speaker by the setting `speaker`: what the file tells (auto), the tier's name, the file's, its folder's, or none."""
    folder = path.parent.name if path.parent != root else None
    speaker = {"auto": told, "tier": tier, "file": path.stem, "folder": folder, "none": None}[choice]
    return " ".join((speaker or "").split()) or None


def make_rows(
    lines: Sequence[Line],
    *,
    path: Path,
    root: Path,
    audio: Path | AudioError,
    roots: Sequence[Path],
    corpus: Corpus,
    marks: Marks,
    overlap: str,
    intake: Intake,
) -> list[CorpusRow]:
    """The rows of one annotation file; what cannot be one is dropped and counted.

    Args:
        lines: of the chosen tiers. path: the file. audio: its recording, or why it has none. roots: where recordings lie.
        overlap: drop leaves out what is said at the same time as a line of another tier; keep does not.
    """
    simultaneous = _simultaneous(lines) if overlap == "drop" else frozenset()
    rows = []
    for line in lines:
        row_id = f"{file_key(path, root)}-{line.key}"
        try:
            _check_line(line, row_id, marks)
            if line.key in simultaneous:
                raise AudioError("overlap", "somebody else speaks at the same time. Keep such rows with --set overlap=keep.")
            if isinstance(audio, AudioError):
                raise audio
        except AudioError as error:
            place = f'{path.name}, tier "{line.tier[:40]}"'
            intake.drop(row_id, error.reason, f'row "{row_id}" ({place}, {_clock(line.start)} to {_clock(line.end)}): {error}')
            continue
        text = marks.remove.sub(" ", line.text) if marks.remove is not None else line.text
        start, end = line.start or 0.0, line.end or 0.0
        rows.append(
            CorpusRow(
                id=row_id,
                audio=audio,
                text=text,
                text_raw=line.text,
                place=f'{path.name}, tier "{line.tier[:40]}"',
                offset=start,
                duration=end - start,
                # namespaced here, because a name in a file may hold the colon that marks a name as namespaced
                speaker=f"{corpus.name}:{line.speaker}" if line.speaker else None,
                recording=f"{corpus.name}:{recording_key(audio, roots)}",
                meta={"tier": line.tier},
            )
        )
    marked = sum(EVENTS.search(row.text) is not None for row in rows)
    if marked:  # whether a bracket is an event or an uncertain word only the user knows
        intake.facts["rows_with_bracketed_marks"] = intake.facts.get("rows_with_bracketed_marks", 0) + marked
    return rows


def _check_line(line: Line, row_id: str, marks: Marks) -> None:
    """Refuse what is no row.

    Raises:
        AudioError: with the reason reports count by.
    """
    if not row_id.isprintable() or len(row_id) > LONGEST_ID - 100:
        raise AudioError("bad-name", f"the name of its file or tier has {len(row_id)} characters, or some that cannot be printed. Rename it.")
    if line.start is None or line.end is None:
        raise AudioError("no-time", "the file gives no time for it. Align it in ELAN, or see --set unaligned=interpolate.")
    if not 0 <= line.start < line.end:
        raise AudioError("out-of-range", "it must begin at 0 s or later and last longer than 0 s. Correct the times.")
    if marks.drop is not None and (found := marks.drop.search(line.text)) is not None:
        raise AudioError("unintelligible", f'holds "{found[0][:40]}". Keep such rows with --set drop_marks=')
    if line.text.strip() and not EVENTS.sub("", line.text).strip():
        raise AudioError("event-only", f'nothing is said in "{line.text.strip()[:40]}".')


def _simultaneous(lines: Sequence[Line]) -> frozenset[str]:
    """Keys of the lines with words in them that overlap one of another tier."""
    found: set[str] = set()
    active: list[tuple[Seconds, Line]] = []
    timed = [(line.start, line.end, line) for line in lines if line.start is not None and line.end is not None]
    for start, end, line in sorted(timed, key=lambda one: one[:2]):
        if not EVENTS.sub("", line.text).strip():
            continue
        active = [(last, other) for last, other in active if last > start]
        for _, other in active:
            if other.tier != line.tier:
                found |= {line.key, other.key}
        active.append((end, line))
    return frozenset(found)


def recording_key(audio: Path, roots: Sequence[Path]) -> str:
    """A recording's place below the first folder that holds it."""
    return next((audio.relative_to(root.resolve()).as_posix() for root in roots if audio.is_relative_to(root.resolve())), audio.name)


def _clock(time: Seconds | None) -> str:
    return "unknown" if time is None else f"{time:.2f} s"
