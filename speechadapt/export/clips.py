"""Clips: what an export and its source are made to transcribe side by side: a manifest's, the run's own test set, or synthetic sentences."""

import dataclasses
from pathlib import Path
from typing import Any

from speechadapt.audio.waveform import Waveform, read_waveform
from speechadapt.data.manifest import Manifest
from speechadapt.errors import AudioError, ManifestError, MisuseError, SpeechadaptError
from speechadapt.export.source import COMPARISON, Source
from speechadapt.files import read_json
from speechadapt.provenance import package_version
from speechadapt.synthetic.corpus import NAME, SplitSize, make_corpus, speak
from speechadapt.text.languages import primary_language
from speechadapt.text.normalize import normalizer_for
from speechadapt.units import SAMPLING_RATE, Seconds

SYNTHETIC = SplitSize(speakers=8, utterances=6)
SHORTEST: Seconds = 0.1
"""whisper.cpp passes over anything shorter."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One clip: its samples (float32, 16 kHz, mono) and what was said; None where nobody knows in the model's language."""

    id: str
    waveform: Waveform
    reference: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """The clips of a proof.

    Attributes:
        clips: at least one.
        told: where they are from, in a sentence.
        normalizer: that of the run, or the one for the model's language.
        fingerprint: of the manifest they were drawn from, or None.
        left_out: reasons to numbers of clips of that manifest that the proof does without.
    """

    clips: tuple[Clip, ...]
    told: str
    normalizer: str
    fingerprint: str | None = None
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def seconds(self) -> Seconds:
        """Of audio."""
        return sum(len(clip.waveform) for clip in self.clips) / SAMPLING_RATE


def choose_clips(source: Source, *, manifest: Path | None = None, limit: int = 100) -> Clips:
    """The clips to prove an export of `source` with.

    Args:
        source: whose run may have a test set.
        manifest: to be used instead.
        limit: most clips, 1 or more; they are taken evenly from the whole manifest, the same ones each time.

    Raises:
        ManifestError: the manifest has no clip that can be used.
        AudioError: a clip of the manifest cannot be read; the message names it.
        MisuseError: no manifest was given, the run's test set is not there, and the synthetic voice is not installed.
    """
    longest = source.model.longest
    fallback = normalizer_for(source.adapter.language)
    if manifest is not None:
        return _from_manifest(Manifest.read(manifest), _short(manifest), fallback, limit, longest)
    told: list[str] = []
    if source.run is not None:
        for path, normalizer, fingerprint in _test_sets(source.run, told):
            test = Manifest.read(path)
            if test.fingerprint != fingerprint:
                told.append(f"{_short(path)} is not the test set that the run was scored on")
            elif not all(_is_there(test, row) for row in range(len(test))):
                told.append(f"the audio of {_short(path)} is not there")
            else:
                return _from_manifest(test, f"the run's test set {_short(path)}", normalizer, limit, longest)
    return _synthetic(source, told, fallback, limit)


def _test_sets(run: Path, told: list[str]) -> list[tuple[Path, str, str]]:
    """Path, normalizer and fingerprint of the run's test sets that can be found."""
    if not (run / COMPARISON).is_file():
        return []
    value = read_json(run / COMPARISON)
    sets = value.get("sets") if isinstance(value, dict) else None
    found = []
    for one in sets if isinstance(sets, list) else []:
        if not isinstance(one, dict) or one.get("role") != "test" or not isinstance(one.get("manifest"), str):
            continue
        path = _moved(run, Path(one["manifest"]))
        if path is None:
            told.append(f"the run's test set {_short(Path(one['manifest']))} is not there")
        else:
            found.append((path, str(one.get("normalizer", "basic")), str(one.get("fingerprint"))))
    return found


def _short(path: Path) -> str:
    """Folder and name: what a card may tell without telling where somebody keeps files."""
    return "/".join(path.parts[-2:])


def _moved(run: Path, manifest: Path) -> Path | None:
    """A manifest as it was named from the folder where the run was started, or inside the run wherever that lies now."""
    names = [manifest, *(Path(*manifest.parts[place + 1 :]) for place, part in enumerate(manifest.parts[:-1]) if part == run.resolve().name)]
    return next((path for path in [names[0], *(run / name for name in names[1:])] if path.is_file()), None)


def _is_there(manifest: Manifest, row: int) -> bool:
    try:
        return manifest.audio_path(manifest[row]).is_file()
    except SpeechadaptError:
        return False


def _from_manifest(manifest: Manifest, told: str, normalizer: str, limit: int, longest: Seconds) -> Clips:
    rows = [u for u in manifest if SHORTEST <= u.duration <= longest]
    left_out = {f"not between {SHORTEST:g} and {longest:g} s": len(manifest) - len(rows)} if len(rows) < len(manifest) else {}
    if not rows:
        raise ManifestError(f"{told}: none of its {len(manifest)} clips is between {SHORTEST:g} and {longest:g} s long. Give other clips.")
    wanted = min(limit, len(rows))
    chosen = [rows[place * len(rows) // wanted] for place in range(wanted)]
    clips = []
    for u in chosen:
        try:
            waveform = read_waveform(manifest.audio_path(u), offset=u.offset, duration=u.duration)
        except AudioError as error:
            raise AudioError(error.reason, f'utterance "{u.id}" ({manifest.name}): {error}') from error
        clips.append(Clip(id=u.id, waveform=waveform, reference=u.text))
    some = f"{wanted} of the {len(rows)} clips of" if wanted < len(rows) else f"all {wanted} clips of"
    return Clips(clips=tuple(clips), told=f"{some} {told}", normalizer=normalizer, fingerprint=manifest.fingerprint, left_out=left_out)


def _synthetic(source: Source, told: list[str], normalizer: str, limit: int) -> Clips:
    reason = f" ({'; '.join(told)})" if told else ""
    if package_version("hibari-tts") is None:
        raise MisuseError(
            f"no clips to prove the export with{reason}, and the synthetic voice is not installed. Give a manifest with --clips, or install it with: "
            "pip install 'speechadapt[synthetic]'"
        )
    language = source.adapter.language
    english = language is None or primary_language(language) == "en"
    planned = make_corpus("standard", sizes={"test": SYNTHETIC})[:limit]
    clips = tuple(Clip(id=one.id, waveform=speak(one), reference=one.text if english else None) for one in planned)
    known = "" if english else f"; the model writes {language}, so there are no references, and only source and export are compared"
    return Clips(clips=clips, told=f"{len(clips)} sentences of {NAME}{reason}{known}", normalizer=normalizer)


def facts_of(clips: Clips) -> dict[str, Any]:
    """What a proof says of its clips."""
    return {
        "from": clips.told,
        "clips": len(clips.clips),
        "seconds": round(clips.seconds, 2),
        "manifest_fingerprint": clips.fingerprint,
        "left_out": clips.left_out,
    }
