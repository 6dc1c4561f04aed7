"""Conditions: signal-to-noise ratio and bandwidth of every row, kept where the manifest says them, counted where they cannot be heard."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from speechadapt.audio.conditions import with_conditions
from speechadapt.audio.waveform import write_flac
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import AudioError


def speech_like(noise: float, *, cutoff: float | None = None) -> np.ndarray:
    """Three seconds at 16 kHz: bursts of wide-band sound with pauses, and noise of a level beside it."""
    generator = np.random.default_rng(0)
    sound = 0.1 * generator.standard_normal(48_000)
    sound[np.arange(48_000) % 8000 < 3000] = 0.0
    if cutoff is not None:
        sound = signal.sosfiltfilt(signal.butter(12, cutoff, fs=16_000, output="sos"), sound)
    return np.clip(sound + noise * generator.standard_normal(48_000), -1, 1).astype(np.float32)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    sounds = {"clean": speech_like(1e-3), "noisy": speech_like(3e-2), "telephone": speech_like(1e-5, cutoff=3400)}
    for name, sound in sounds.items():
        write_flac(tmp_path / f"{name}.flac", sound)
    rows = [Utterance(id=name, audio_filepath=f"{name}.flac", duration=3.0, text="a") for name in sounds]
    return Manifest(rows, folder=tmp_path, name="test")


def test_measured_as_they_were_made(manifest: Manifest) -> None:
    found, unheard = with_conditions(manifest)
    assert unheard == ()
    meta = {u.id: u.meta for u in found}
    assert meta["clean"]["snr"] == pytest.approx(20 * np.log10(0.1 / 1e-3), abs=3)
    assert meta["noisy"]["snr"] == pytest.approx(20 * np.log10(0.1 / 3e-2), abs=3)
    assert [meta[name]["bandwidth"] for name in ("clean", "noisy", "telephone")] == [8000, 8000, 4000]
    assert found.fingerprint == manifest.fingerprint
    assert (found.folder, found.name, [u.id for u in found]) == (manifest.folder, "test", [u.id for u in manifest])


def test_what_the_manifest_says_is_kept(manifest: Manifest) -> None:
    rows = [dataclasses.replace(u, meta={"snr": 7, "bandwidth": None, "device": "x"}) for u in manifest]
    found, _ = with_conditions(Manifest(rows, folder=manifest.folder))
    assert [u.meta for u in found] == [{"snr": 7, "bandwidth": hertz, "device": "x"} for hertz in (8000, 8000, 4000)]
    full = Manifest(
        [dataclasses.replace(u, audio_filepath="gone.flac", meta={"snr": 7, "bandwidth": 8000}) for u in manifest], folder=manifest.folder
    )
    assert with_conditions(full) == (full, ())  # nothing to measure, nothing is opened


def test_rows_that_cannot_be_heard_are_named(manifest: Manifest) -> None:
    write_flac(manifest.folder / "silent.flac", np.zeros(16_000, dtype=np.float32))
    (manifest.folder / "text.flac").write_text("no audio")
    rows = [Utterance(id=name, audio_filepath=path, duration=1.0, text="a") for name, path in (
        ("gone", "gone.flac"), ("silent", "silent.flac"), ("text", "text.flac"), ("outside", "../outside.flac"),
    )]  # fmt: skip
    found, unheard = with_conditions(Manifest([*manifest, *rows], folder=manifest.folder))
    assert unheard == ("gone", "silent", "text", "outside")
    assert found[3].meta == {}
    with pytest.raises(AudioError, match='none of the 4 recordings of "manifest" can be measured, the first is that of "gone"'):
        with_conditions(Manifest(rows, folder=manifest.folder))
