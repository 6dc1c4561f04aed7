"""Audit: every recording of a manifest heard once, each for itself and then beside the others."""

import dataclasses
import hashlib
import itertools
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from speechadapt.audio.quality import (
    CUT_DB,
    FRAME,
    LARGEST_OFFSET,
    LONGEST_SILENCE,
    LOW_LEVEL_DBFS,
    OFFSET_SHARE,
    QUIET_DBFS,
    SMALL_OFFSET,
    AudioQuality,
    SpeechMeasures,
    measure_quality,
    measure_speech,
    octaves_between,
)
from speechadapt.audio.waveform import AudioInfo, open_recording, resample
from speechadapt.audio.worker import map_in_workers
from speechadapt.data.checks import role_of
from speechadapt.data.findings import Finding, make_finding, told
from speechadapt.data.manifest import Manifest
from speechadapt.errors import AudioError, ManifestError, SpeechadaptError
from speechadapt.units import SAMPLING_RATE, Hertz, Seconds

LOWEST_RATE: Hertz = 8000
DURATION_TOLERANCE: Seconds = 0.1
MOST_VALUES = 50_000_000
"""Samples of all channels that are read of one row (200 MB): a minute and a half of eight channels at 192 kHz, 17 minutes at 48 kHz."""

BLOCK = 64
"""Rows that a process is handed at once."""

SUFFIXES = {
    "WAV": (".wav", ".wave"), "WAVEX": (".wav", ".wave"), "RF64": (".wav", ".rf64"), "FLAC": (".flac",),
    "MP3": (".mp3",), "MPEG": (".mp3", ".mp2", ".mpeg"), "OGG": (".ogg", ".oga", ".opus"),
}  # fmt: skip
RATE_FIELDS = ("sampling_rate", "sample_rate")
"""What manifests call the rate of their files, among the fields that are kept in `meta`."""

USUAL_RATE = 0.9
"""Share of a manifest's files that must have one sampling rate before the others are unusual."""

CHANNEL_AGREEMENT = 0.3
"""Correlation of two channels' loudness over time; two microphones before one speaker are above 0.9, two speakers who take turns below 0."""
DEAD_CHANNEL_DB = -40.0
CANCELLED_DB = -15.0
FEWEST_FRAMES = 50
"""Half a second, below which channels cannot be told apart by their loudness."""
HEADER_TRIED: Seconds = 60.0
"""How far beyond the duration in the manifest a whole recording is read where its header says that there is more."""

FASTER = 0.5
"""Octaves by which both voice and tempo of a row must differ from the speaker's own median: 6 of 100 rows at twice their speed are missed, and
none of 720 good ones is told."""
FEWEST_OF_SPEAKER = 5
FASTER_SPEAKER = 0.5
SPECTRUM_MOVED = 0.3
"""Between persons voices differ by an octave and readers by half of one, so there the spectrum's resonances must have moved, too."""
FASTER_ROW = 0.6
"""For a row that no speaker's other rows stand beside, all three must."""
FEWEST_SPEAKERS = 6

TOLD = {
    "missing": ("error", "have no audio file", "Correct the paths or prepare the corpus again."),
    "empty": ("error", "have an audio file without samples", "Replace the files or remove the lines."),
    "outside-folder": ("error", "have an audio path that may not be followed", "Keep the audio beside the manifest, or prepare with --in-place."),
    "not-audio": ("error", "have a file that is no recording", "Replace the files or remove the lines."),
    "not-finite": ("error", "have samples that are NaN or infinite", "Write the files again from their source."),
    "out-of-range": ("error", "lie after the end of their recording", "Correct the offsets."),
    "too-long": ("error", "are too long to be read in one piece", "Cut them into segments."),
    "truncated": ("error", "have fewer samples than their header promises", "Replace the files."),
    "wrong-duration": ("error", "have another duration in the manifest than in the file", "Prepare the corpus again."),
    "wrong-rate": ("error", "have another sampling rate in the manifest than in the file", "Find out which is right; a wrong one changes the voice."),
    "silent": ("error", "hold nothing that was recorded", "Remove the lines."),
    "quiet": ("warning", f"are below {QUIET_DBFS:.0f} dBFS", "Listen to them."),
    "low-level": ("warning", f"hold speech below {LOW_LEVEL_DBFS:.0f} dBFS", "Listen to them; raise their level if the speech is clear."),
    "clipped": ("warning", "are cut off at their peaks", "Listen to them; record with less gain."),
    "dc-offset": ("warning", "do not lie around zero", "A high-pass filter at 20 Hz removes an offset."),
    "long-silence": (
        "warning", f"begin or end with over {LONGEST_SILENCE:g} s of silence", "Trim them, but not in test sets; a model invents text there.",
    ),
    "cut-off": ("warning", "begin or end in the middle of speech", "Listen to the edges; a word may be cut while the text has it."),
    "narrow-band": ("warning", "hold nothing above 4 kHz", "Telephone or tape; test on such audio only if users have it, and keep it apart."),
    "low-pass": ("warning", "were cut off below 7 kHz", "Perhaps an MP3 of few bits; take a better copy if there is one."),
    "wrong-extension": ("warning", "hold another format than their name says", "Rename them."),
    "low-sampling-rate": ("warning", f"were sampled below {LOWEST_RATE} Hz", "Speech loses its consonants there."),
    "different-channels": ("warning", "hold different sounds in their channels", "Their mean is used; prepare each channel as rows of its own."),
    "dead-channel": ("warning", "have a channel without sound", "Their mean is used, at half the level; take the other channel."),
    "identical-channels": ("note", "hold the same sound in every channel", "One channel needs half the disk."),
    "other-rate": ("warning", "have another sampling rate than nearly all others", "Look where they come from."),
    "wrong-speed": (
        "warning", "sound as if played at another speed",
        "Voice and tempo both differ from the others: look whether the header's sampling rate is wrong.",
    ),
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What a process needs to hear one row.

    Attributes:
        manifest, row: numbers of both. path: of the recording, None where it may not be followed, and `refused` says why.
        whole: the row is the whole recording, so that their lengths must agree. letters: of the text. rate: that the manifest states.
    """

    manifest: int
    row: int
    path: Path | None
    refused: str
    offset: Seconds
    duration: Seconds
    whole: bool
    letters: int
    rate: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What one row sounds like.

    Attributes:
        manifest, row: numbers of both. problems: (check, detail).
        digest: sha1 of the samples as 16 bits at 16 kHz, mono; empty where nothing could be decoded. rate: of the file in Hz.
        pitch, tempo, envelope: median voice in Hz, letters in each second between leading and trailing silence, and spectrum; None if not measured.
    """

    manifest: int
    row: int
    problems: tuple[tuple[str, str], ...]
    digest: bytes = b""
    rate: Hertz = 0
    pitch: float | None = None
    tempo: float | None = None
    envelope: NDArray[np.float32] | None = None


def check_audio(manifests: Manifest | Sequence[Manifest], *, jobs: int = 1, progress: bool = False) -> list[Finding]:
    """Decode every recording and say what is wrong with it. Never raises for a bad recording.

    Args:
        manifests: one, or several that will be used together; equal samples are looked for in all of them.
        jobs: processes. progress: show a bar on stderr.

    Returns:
        Findings by manifest and check, those between manifests last; the checks are those of `TOLD`, `repeated-audio` and `shared-audio`.

    Raises:
        SpeechadaptError: a process died.
    """
    several = [manifests] if isinstance(manifests, Manifest) else list(manifests)
    found: list[dict[str, dict[str, str]]] = [{check: {} for check in TOLD} for _ in several]
    heard: list[list[Heard]] = [[] for _ in several]
    for one in sorted(_hear(_clips(several), sum(map(len, several)), jobs, progress), key=lambda one: (one.manifest, one.row)):
        key = several[one.manifest][one.row].id
        for check, detail in one.problems:
            found[one.manifest][check][key] = detail
        heard[one.manifest].append(dataclasses.replace(one, problems=()))
    findings: list[Finding] = []
    for manifest, problems, rows in zip(several, found, heard, strict=True):
        problems["other-rate"] |= _other_rates(manifest, rows)
        problems["wrong-speed"] |= _wrong_speeds(manifest, rows)
        for check, (severity, fact, advice) in TOLD.items():
            findings += make_finding(manifest, severity, check, problems[check], fact, advice)
        findings += _repeated(manifest, rows)
    for (first, first_rows), (second, second_rows) in itertools.combinations(zip(several, heard, strict=True), 2):
        findings += _shared(first, first_rows, second, second_rows)
    return findings


def listen(clip: Clip) -> Heard:
    """Decode one row and measure it; raises for nothing that a recording can be."""
    if clip.path is None:
        return Heard(manifest=clip.manifest, row=clip.row, problems=(("outside-folder", clip.refused),))
    try:
        info, samples = _read(clip, clip.path)
    except AudioError as error:
        return Heard(manifest=clip.manifest, row=clip.row, problems=((error.reason if error.reason in TOLD else "not-audio", str(error)),))
    problems = [*_file_problems(clip, clip.path, info, len(samples)), *_channel_problems(samples, info.sampling_rate)]
    mono = samples[:, 0] if info.channels == 1 else samples.mean(axis=1)
    if not np.isfinite(mono).all():
        problems.append(("not-finite", f"{np.count_nonzero(~np.isfinite(mono))} of {len(mono)} samples"))
        return Heard(manifest=clip.manifest, row=clip.row, problems=tuple(problems), rate=info.sampling_rate)
    quality = measure_quality(np.clip(mono, -1.0, 1.0))
    if quality.constant:
        problems.append(("silent", f"every sample is {float(mono[0]):g}"))
        return Heard(manifest=clip.manifest, row=clip.row, problems=tuple(problems), rate=info.sampling_rate)
    waveform = resample(mono, info.sampling_rate, SAMPLING_RATE)
    speech = measure_speech(waveform)
    problems += _speech_problems(speech, quality, info)
    spoken = len(waveform) / SAMPLING_RATE - (speech.leading + speech.trailing if speech.dynamic else 0.0)
    sixteen_bit = np.clip(np.round(waveform * 32768.0), -32768, 32767).astype("<i2")
    return Heard(
        manifest=clip.manifest,
        row=clip.row,
        problems=tuple(problems),
        digest=hashlib.sha1(sixteen_bit.tobytes(), usedforsecurity=False).digest(),
        rate=info.sampling_rate,
        pitch=speech.pitch,
        tempo=clip.letters / spoken if clip.letters and spoken > 0 else None,
        envelope=speech.envelope,
    )


def _clips(manifests: Sequence[Manifest]) -> Iterator[Clip]:
    for number, manifest in enumerate(manifests):
        for row, u in enumerate(manifest):
            path, refused = None, ""
            try:
                path = manifest.audio_path(u)
            except ManifestError as error:
                refused = str(error)
            stated = next((u.meta[name] for name in RATE_FIELDS if isinstance(u.meta.get(name), int | float)), None)
            yield Clip(
                manifest=number,
                row=row,
                path=path,
                refused=refused,
                offset=u.offset,
                duration=u.duration,
                whole=u.offset == 0 and u.recording is None,
                letters=sum(not letter.isspace() for letter in u.text),
                rate=stated,
            )


def _hear(clips: Iterator[Clip], total: int, jobs: int, progress: bool) -> Iterator[Heard]:
    """Results as they come, with a bar that tells the rate."""
    workers = min(jobs, max(1, total // BLOCK))
    blocks = iter(lambda: list(itertools.islice(clips, BLOCK if workers > 1 else 1)), [])
    with tqdm(total=total, desc="audio", unit=" rows", disable=None if progress else True, file=sys.stderr) as bar:
        done = 0
        try:
            for _, heard in map_in_workers(_listen_to, blocks, workers=workers):
                yield from heard
                done += len(heard)
                bar.update(len(heard))
        except BrokenProcessPool as error:
            raise SpeechadaptError(
                f"a listening process died after {done} of {total} rows, perhaps for lack of memory. Run the same command again with --jobs 1."
            ) from error


def _listen_to(clips: list[Clip]) -> list[Heard]:
    return [listen(clip) for clip in clips]


def _read(clip: Clip, path: Path) -> tuple[AudioInfo, NDArray[np.float32]]:
    """The header and the samples of every channel, at most `MOST_VALUES` of them.

    A whole recording is read a little beyond what the manifest says of it, to see whether its header lies.
    """
    with open_recording(path) as recording:
        info = recording.info
        wanted = min(info.duration, clip.duration + HEADER_TRIED) if clip.whole else clip.duration
        samples = recording.read_channels(offset=clip.offset, duration=min(wanted, MOST_VALUES / (info.sampling_rate * info.channels)))
    return info, samples


def _file_problems(clip: Clip, path: Path, info: AudioInfo, frames: int) -> Iterator[tuple[str, str]]:
    """What the header, the manifest and the decoded length say against each other."""
    known = SUFFIXES.get(info.format)
    if known is not None and path.suffix.lower() not in known:
        yield "wrong-extension", f'{info.format} behind the name "{path.name}", should end in {known[0]}'
    if info.sampling_rate < LOWEST_RATE:
        yield "low-sampling-rate", f"{info.sampling_rate} Hz"
    if clip.rate is not None and clip.rate != info.sampling_rate:
        yield "wrong-rate", f"{clip.rate:g} Hz in the manifest, {info.sampling_rate} Hz in the file"
    heard = frames / info.sampling_rate
    tried = MOST_VALUES / (info.sampling_rate * info.channels)
    promised = info.duration - clip.offset
    if info.missing > DURATION_TOLERANCE:
        yield "truncated", f"{info.missing:.2f} of {info.duration + info.missing:.2f} s are missing at its end"
    elif min(promised, tried, clip.duration + HEADER_TRIED if clip.whole else clip.duration) - heard > DURATION_TOLERANCE:
        yield "truncated", f"{heard:.2f} s could be decoded, its header promises {info.duration:.2f} s"
    elif min(clip.duration, tried) - heard > DURATION_TOLERANCE:
        yield "wrong-duration", f"{clip.duration:.2f} s in the manifest, {heard:.2f} s could be decoded"
    elif clip.whole and info.duration - clip.duration > DURATION_TOLERANCE:
        yield "wrong-duration", f"{clip.duration:.2f} s in the manifest, the recording lasts {info.duration:.2f} s"


def _channel_problems(samples: NDArray[np.float32], rate: Hertz) -> Iterator[tuple[str, str]]:
    """How the channels of one file differ; nothing for one channel."""
    channels = samples.shape[1]
    if channels == 1 or not np.isfinite(samples).all():
        return
    if all(np.array_equal(samples[:, 0], samples[:, other]) for other in range(1, channels)):
        yield "identical-channels", f"{channels} channels"
        return
    power = np.square(samples, dtype=np.float64).mean(axis=0)
    loudest = float(power.max())
    if loudest == 0:
        return
    dead = [number for number in range(channels) if power[number] <= loudest * 10 ** (DEAD_CHANNEL_DB / 10)]
    if dead:
        yield "dead-channel", f"channel {', '.join(map(str, dead))} of {channels}, counted from 0"
    alive = [number for number in range(channels) if number not in dead]
    size = max(1, round(FRAME * rate))
    frames = len(samples) // size
    if len(alive) < 2 or frames < FEWEST_FRAMES:
        return
    mixed = float(np.square(samples[:, alive].mean(axis=1), dtype=np.float64).mean())
    if mixed < loudest * 10 ** (CANCELLED_DB / 10):
        yield (
            "different-channels",
            f"their mean is {10 * math.log10(loudest / (mixed + 1e-12)):.0f} dB softer than one of them: they cancel each other",
        )
        return
    blocks = samples[: frames * size, alive].reshape(frames, size, len(alive))
    loudness = 10 * np.log10(np.square(blocks, dtype=np.float64).mean(axis=1) + 1e-9)
    if (loudness.std(axis=0) == 0).any():
        return
    agreement = float(np.corrcoef(loudness.T).min())
    if agreement < CHANNEL_AGREEMENT:
        yield "different-channels", f"loudness of the channels correlates with {agreement:+.2f}; perhaps a speaker in each"


def _speech_problems(speech: SpeechMeasures, quality: AudioQuality, info: AudioInfo) -> Iterator[tuple[str, str]]:
    if "quiet" in quality.flags:
        yield "quiet", f"{quality.rms_dbfs:.0f} dBFS"
    elif speech.level_dbfs < LOW_LEVEL_DBFS:
        yield "low-level", f"{speech.level_dbfs:.0f} dBFS"
    if "clipped" in quality.flags:
        yield "clipped", f"{quality.clipped_share:.2%} of the samples at full scale, longest run {quality.clipped_run}"
    elif speech.ceiling:
        yield "clipped", f"the waves end at a ceiling below full scale, {20 * math.log10(quality.peak):.0f} dBFS"
    if abs(speech.offset) > LARGEST_OFFSET or (abs(speech.offset) >= SMALL_OFFSET and speech.offset_share >= OFFSET_SHARE):
        yield "dc-offset", f"mean sample {speech.offset:+.3f}"
    if speech.dynamic:
        silences = {"before": speech.leading, "after": speech.trailing}
        if told_ := [f"{seconds:.1f} s {where}" for where, seconds in silences.items() if seconds > LONGEST_SILENCE]:
            yield "long-silence", " and ".join(told_)
        edges = {"begins": speech.start_db, "ends": speech.end_db}
        if told_ := [f"{verb} {level:+.0f} dB beside the level of its speech" for verb, level in edges.items() if level > CUT_DB]:
            yield "cut-off", ", ".join(told_)
    if info.sampling_rate < SAMPLING_RATE:
        yield "narrow-band", f"the file has {info.sampling_rate} Hz, so nothing above {info.sampling_rate // 2} Hz"
    elif speech.bandwidth <= 4000:
        yield "narrow-band", "speech up to about 4 kHz only"
    elif speech.bandwidth < SAMPLING_RATE // 2:
        yield "low-pass", f"speech up to about {speech.bandwidth / 1000:.1f} kHz only"


def _other_rates(manifest: Manifest, rows: Sequence[Heard]) -> dict[str, str]:
    rates = Counter(one.rate for one in rows if one.rate)
    if len(rates) < 2:
        return {}
    usual, count = rates.most_common(1)[0]
    if count < USUAL_RATE * rates.total():
        return {}
    return {manifest[one.row].id: f"{one.rate} Hz, the others {usual} Hz" for one in rows if one.rate not in (0, usual)}


def _wrong_speeds(manifest: Manifest, rows: Sequence[Heard]) -> dict[str, str]:
    """Rows whose voice and tempo both differ from their speaker's, then speakers who differ from the others in voice, tempo and resonances."""
    by_speaker: dict[str, list[_Voice]] = defaultdict(list)
    for one in rows:
        if one.pitch and one.tempo and one.envelope is not None:
            u = manifest[one.row]
            by_speaker[u.speaker or ""].append(_Voice(key=u.id, pitch=math.log2(one.pitch), tempo=math.log2(one.tempo), envelope=one.envelope))
    unnamed = by_speaker.pop("", [])
    found: dict[str, str] = {}
    speakers = {name: voices for name, voices in by_speaker.items() if len(voices) >= FEWEST_OF_SPEAKER}
    medians = {name: _median_voice(name, voices) for name, voices in speakers.items()}
    for name, voices in speakers.items():
        for voice in voices:
            pitch, tempo = voice.pitch - medians[name].pitch, voice.tempo - medians[name].tempo
            if min(pitch, tempo) > FASTER or max(pitch, tempo) < -FASTER:
                found[voice.key] = f"{_factors(pitch, tempo)} as the speaker's median"
    # persons, and rows of unknown persons, beside each other
    singles = unnamed + [voice for name, voices in by_speaker.items() if name not in speakers for voice in voices]
    persons = [*medians.values(), *singles]
    if len(persons) < FEWEST_SPEAKERS:
        return found
    usual = _median_voice("", persons)
    for person in persons:
        pitch, tempo = person.pitch - usual.pitch, person.tempo - usual.tempo
        if min(abs(pitch), abs(tempo)) <= FASTER_SPEAKER or pitch * tempo < 0:
            continue
        moved = octaves_between(person.envelope, usual.envelope)
        strict = person.key not in medians  # one row says less than a speaker's median
        if moved * pitch > 0 and abs(moved) > SPECTRUM_MOVED and (not strict or min(abs(pitch), abs(tempo), abs(moved)) > FASTER_ROW):
            keys = [voice.key for voice in speakers[person.key]] if person.key in medians else [person.key]
            found |= {key: f"{_factors(pitch, tempo)} as the manifest's median" for key in keys if key not in found}
    return found


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Voice:
    """Pitch and tempo as logarithms to base 2, and the spectrum, of a row or of a speaker."""

    key: str
    pitch: float
    tempo: float
    envelope: NDArray[np.float32]


def _median_voice(key: str, voices: Sequence[_Voice]) -> _Voice:
    pitch, tempo = (float(np.median([getattr(voice, name) for voice in voices])) for name in ("pitch", "tempo"))
    return _Voice(key=key, pitch=pitch, tempo=tempo, envelope=np.median([voice.envelope for voice in voices], axis=0).astype(np.float32))


def _factors(pitch: float, tempo: float) -> str:
    return f"voice {2**pitch:.1f} times as high and tempo {2**tempo:.1f} times as fast"


def _by_digest(rows: Sequence[Heard]) -> dict[bytes, list[int]]:
    groups: dict[bytes, list[int]] = defaultdict(list)
    for one in rows:
        if one.digest:
            groups[one.digest].append(one.row)
    return groups


def _repeated(manifest: Manifest, rows: Sequence[Heard]) -> Iterator[Finding]:
    found = {}
    for numbers in _by_digest(rows).values():
        for number in numbers[1:]:
            u, first = manifest[number], manifest[numbers[0]]
            same = "the same text" if u.text == first.text else "another text, so one of the two is wrong"
            found[u.id] = f'as "{first.id}", with {same}'
    fact = "hold the same samples as another"
    yield from make_finding(manifest, "warning", "repeated-audio", found, fact, "Keep one of them, the one whose text is right.")


def _shared(first: Manifest, first_rows: Sequence[Heard], second: Manifest, second_rows: Sequence[Heard]) -> Iterator[Finding]:
    if role_of(first) == "test" and role_of(second) != "test":
        first, first_rows, second, second_rows = second, second_rows, first, first_rows
    held = _by_digest(second_rows)
    found = {first[one.row].id: f'as "{second[held[one.digest][0]].id}" of {second.name}' for one in first_rows if one.digest in held}
    if found:
        message = (
            f"{first.name} and {second.name} share the samples of {len(found)} recordings: {told(tuple(found), tuple(found.values()))}. "
            f"Remove them from {first.name}."
        )
        yield Finding(severity="error", check="shared-audio", ids=tuple(found), message=message, manifest=first.name, details=tuple(found.values()))
