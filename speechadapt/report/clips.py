"""Clips: where a page finds the sound of an utterance: embedded as FLAC, or the recording beside it with the segment's times."""

import base64
import dataclasses
import io
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from speechadapt.audio.waveform import copy_samples, read_info
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import AudioError, SpeechadaptError
from speechadapt.report.document import ReportSet
from speechadapt.score.phrases import plural, printable
from speechadapt.units import Seconds

MOST_BYTES = 24 << 20
"""Of embedded sound in one page, as it is written there (base64)."""
LONGEST_CLIP: Seconds = 60.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One utterance's sound: `source` is a URL that an audio element plays, `file` the recording's path for people."""

    source: str
    file: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """The clips of one set by utterance id, and what a reader must know about those that are not there."""

    by_id: dict[str, Clip]
    embedded: int
    bytes: int
    notes: tuple[str, ...]


def find_clips(one: ReportSet, folder: Path, *, embed: Sequence[str] = (), room: int = MOST_BYTES) -> Clips:
    """Find the sound of a set's utterances.

    Args:
        one: the set; its manifest says where the recordings lie.
        folder: of the page; paths are written relative to it.
        embed: ids whose segment is written into the page, the most wanted first.
        room: bytes of embedded sound there is room for.
    """
    if one.manifest is None:
        return Clips(by_id={}, embedded=0, bytes=0, notes=("The report does not say where its manifest lies, so no clip can be played.",))
    manifest, note = _manifest(one)
    if manifest is None:
        return Clips(by_id={}, embedded=0, bytes=0, notes=(note,))
    return _clips(manifest, folder.resolve(), embed, room)


def _manifest(one: ReportSet) -> tuple[Manifest | None, str]:
    path = Path(one.manifest or "")
    try:
        manifest = Manifest.read(path)
    except (SpeechadaptError, OSError, ValueError):
        return None, f"The manifest {printable(str(path))} cannot be read here as a manifest, so no clip can be played."
    wanted = one.report.fingerprint if one.report else one.comparison.fingerprint if one.comparison else None
    if wanted != manifest.fingerprint:
        return None, f"The manifest {printable(str(path))} is not the one that was scored: it has changed since. No clip can be played."
    return manifest, ""


def _clips(manifest: Manifest, folder: Path, embed: Sequence[str], room: int) -> Clips:
    shared = Counter(u.audio_filepath for u in manifest)
    wanted = {key: place for place, key in enumerate(embed)}
    found: dict[str, Clip] = {}
    lost: list[str] = []
    to_embed: list[tuple[int, Utterance, Path]] = []
    there: dict[str, Path | None] = {}  # many segments share a recording, and each would ask the disk
    for u in manifest:
        if u.audio_filepath not in there:
            there[u.audio_filepath] = _existing(manifest, u)
        path = there[u.audio_filepath]
        if path is None:
            lost.append(u.id)
            continue
        whole = u.offset == 0 and shared[u.audio_filepath] == 1
        times = "" if whole else f"#t={u.offset:.3f},{u.offset + u.duration:.3f}"
        found[u.id] = Clip(source=_url(path, folder) + times, file=u.audio_filepath)
        if u.id in wanted:
            to_embed.append((wanted[u.id], u, path))
    notes = [f"The recordings of {plural(len(lost), 'utterance')} were not found where the manifest says."] if lost else []
    embedded, used, skipped = 0, 0, 0
    for _, u, path in sorted(to_embed, key=lambda item: item[0]):
        source = _data_url(u, path) if u.duration <= LONGEST_CLIP else None
        if source is None or used + len(source) > room:
            skipped += 1
            continue
        found[u.id] = dataclasses.replace(found[u.id], source=source)
        embedded, used = embedded + 1, used + len(source)
    if skipped:
        notes.append(
            f"{plural(skipped, 'clip')} could not be embedded: longer than {LONGEST_CLIP:.0f} s, not decodable, "
            f"or beyond the {MOST_BYTES >> 20} MiB a page takes."
        )
    return Clips(by_id=found, embedded=embedded, bytes=used, notes=tuple(notes))


def _existing(manifest: Manifest, u: Utterance) -> Path | None:
    try:
        path = manifest.audio_path(u)
        return path if path.is_file() else None
    except (SpeechadaptError, OSError, ValueError):  # a path that leaves the corpus, or is none
        return None


def _url(path: Path, folder: Path) -> str:
    """Relative, so that page and corpus can be moved together; percent-encoded, so that no name can mean anything else."""
    relative = Path(os.path.relpath(path, folder)).as_posix()
    return quote(relative if "/" in relative or relative.startswith(".") else f"./{relative}")


def _data_url(u: Utterance, path: Path) -> str | None:
    sound = io.BytesIO()
    try:
        rate = read_info(path).sampling_rate
        copy_samples(path, sound, start=round(u.offset * rate), count=round(u.duration * rate))
    except (AudioError, OSError, ValueError):
        return None
    return "data:audio/flac;base64," + base64.b64encode(sound.getvalue()).decode()
