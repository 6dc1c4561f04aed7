"""Storage: one recording becomes a FLAC file of 16-bit samples, and what an interrupted run noted of it stands in for doing it again."""

import dataclasses
import functools
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from speechadapt.audio.storage import Job, origin_of, store, store_all
from speechadapt.errors import SpeechadaptError


def job(source: Path, target: Path | None, **more: Any) -> Job:
    return Job(id=source.stem, audio=source, offset=0.0, duration=None, target=target, **more)


@pytest.mark.parametrize(("name", "rate"), [("a.mp3", 48_000), ("a.wav", 44_100), ("a.flac", 16_000), ("a.ogg", 8_000)])
def test_the_file_is_what_the_bare_calls_write(tmp_path: Path, write_tone: Any, name: str, rate: int) -> None:
    source = write_tone(tmp_path / name, 2.0, seed=3, sampling_rate=rate)
    sound = store(job(source, tmp_path / "out/a.flac"))
    samples, found = soundfile.read(source, dtype="float32")
    if found != 16_000:
        samples = soxr.resample(samples, found, 16_000, quality="HQ")
    soundfile.write(tmp_path / "bare.flac", np.clip(samples, -1, 1), 16_000, format="FLAC", subtype="PCM_16")
    assert (tmp_path / "out/a.flac").read_bytes() == (tmp_path / "bare.flac").read_bytes()
    stored = soundfile.read(tmp_path / "out/a.flac", dtype="int16")[0]
    assert sound.digest == hashlib.sha1(stored.tobytes()).hexdigest()
    assert (sound.outcome, sound.duration) == ("converted", round(len(stored) / 16_000, 6))
    assert store(job(source, tmp_path / "out/a.flac")) == dataclasses.replace(sound, outcome="reused")


def test_a_file_is_kept_only_while_it_was_made_of_this_very_recording(tmp_path: Path, write_tone: Any) -> None:
    source, other, target = write_tone(tmp_path / "a.wav", 1.0, seed=1), write_tone(tmp_path / "b.wav", 1.0, seed=2), tmp_path / "out/a.flac"
    first, second = store(job(source, target)), store(job(other, target))  # both recordings are older than the file
    assert [first.outcome, second.outcome, store(job(other, target)).outcome] == ["converted", "converted", "reused"]
    assert second.digest == store(job(other, None)).digest != first.digest
    os.utime(source, ns=(0, 0))
    other.unlink()
    source.rename(other)  # another release unpacked over the first: as long, and older
    assert store(job(other, target)).digest == first.digest
    channel = store(job(other, target, channel=0))  # another way of reading the same recording
    assert [channel.outcome, store(job(other, target)).outcome] == ["converted", "converted"]
    os.utime(target)
    assert store(job(other, target)).outcome == "converted"
    target.write_bytes(target.read_bytes()[:500])
    assert store(job(other, target)).outcome == "converted"


def test_the_loudest_samples_are_kept_within_16_bits(tmp_path: Path) -> None:
    loud = np.array([1.0, -1.0, 0.99999, 0.5, -0.5, 0.0] * 1000, dtype=np.float32)
    soundfile.write(tmp_path / "a.wav", loud, 16_000, subtype="FLOAT")
    sound = store(job(tmp_path / "a.wav", tmp_path / "a.flac"))
    stored = soundfile.read(tmp_path / "a.flac", dtype="int16")[0]
    assert stored[:6].tolist() == [32767, -32768, 32767, 16384, -16384, 0]
    assert "clipped" in sound.flags


def test_results_stand_in_the_order_of_the_jobs(tmp_path: Path, write_tone: Any) -> None:
    jobs = [job(write_tone(tmp_path / f"{n}.wav", 0.1 * (n + 1)), None) for n in (3, 1, 2)]
    assert [(sound.id, sound.duration) for sound in store_all(jobs)] == [("3", 0.4), ("1", 0.2), ("2", 0.3)]


def test_what_was_noted_is_taken_over_only_while_it_holds(tmp_path: Path, write_tone: Any) -> None:
    source, target = write_tone(tmp_path / "a.wav"), tmp_path / "a.flac"
    noted = store(job(source, target, traced=True))
    assert noted.size == target.stat().st_size
    assert noted.origin == origin_of(job(source, target))
    again = job(source, target, traced=True, journaled=noted)
    target.write_bytes(bytes(noted.size))  # would be noticed if it were read
    assert store(again) == dataclasses.replace(noted, taken=True)
    target.write_bytes(bytes(noted.size - 1))
    assert store(again) == noted
    assert not store(dataclasses.replace(again, offset=0.1)).taken
    assert not store(dataclasses.replace(again, channel=0)).taken
    os.utime(source, ns=(1, 1))
    assert not store(again).taken
    source.unlink()
    assert store(again).reason == "missing"


def test_a_row_that_was_dropped_is_taken_over_too_until_its_recording_changes(tmp_path: Path, write_tone: Any) -> None:
    lost = job(tmp_path / "a.wav", tmp_path / "a.flac", traced=True)
    noted = store(lost)
    assert (noted.outcome, noted.reason) == ("dropped", "missing")
    assert store(dataclasses.replace(lost, journaled=noted)) == dataclasses.replace(noted, taken=True)
    write_tone(tmp_path / "a.wav")
    assert store(dataclasses.replace(lost, journaled=noted)).outcome == "converted"


def make(seed: int, file: Path | None = None) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, 8000).astype(np.float32)


def test_the_origin_of_made_audio_is_its_call(tmp_path: Path) -> None:
    def origin(audio: Any) -> str:
        return origin_of(Job(id="a", audio=audio, offset=0.0, duration=None, target=None))

    file = tmp_path / "a"
    file.write_text("one")
    first = origin(functools.partial(make, 1, file=file))
    assert first == origin(functools.partial(make, 1, file=file))
    assert first != origin(functools.partial(make, 2, file=file))
    file.write_text("another")
    assert first != origin(functools.partial(make, 1, file=file))
    assert origin(lambda: make(1)) == ""  # cannot be told from another one, so it is never taken over


def test_a_target_that_cannot_be_written_is_told(tmp_path: Path, write_tone: Any) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SpeechadaptError, match=r"out/a\.flac: could not be written \(.*\); what was there before is untouched"):
        store(job(write_tone(tmp_path / "a.wav"), tmp_path / "out/a.flac"))
