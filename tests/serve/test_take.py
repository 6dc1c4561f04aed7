"""Takes: what is told of a good one and of every kind of bad one, and what is refused."""

import io
import struct

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from spoken import spoken

from speechadapt.errors import AudioError
from speechadapt.serve.take import LARGEST, LONGEST, Take, read_take

RATE = 48_000
TEXT = "The kettle was still warm."


def wav(sound: NDArray[np.floating], rate: int = RATE, *, form: str = "WAV", subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format=form, subtype=subtype)
    return file.getvalue()


def silence(seconds: float, seed: int = 9) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, 10 ** (-70 / 20), round(seconds * RATE))


def names(sound: NDArray[np.floating], text: str = TEXT) -> list[str]:
    return [found.name for found in read_take(wav(sound), text).findings]


@pytest.fixture(scope="module")
def voice() -> NDArray[np.float32]:
    return spoken(3.0, sampling_rate=RATE)


def test_a_good_take_has_no_findings_and_keeps_its_samples(voice: NDArray[np.float32]) -> None:
    take = read_take(wav(voice), TEXT)
    assert take.findings == ()
    assert not take.fatal
    assert (take.sampling_rate, take.duration) == (RATE, 3.0)
    assert take.samples.tobytes() == soundfile.read(io.BytesIO(wav(voice)), dtype="int16")[0].tobytes()
    assert take.to_json() == {"duration": 3.0, "level_dbfs": -21.9, "findings": [], "fatal": False}


@pytest.mark.parametrize("rate", [16_000, 44_100, 96_000])
def test_every_usual_rate(rate: int) -> None:
    take = read_take(wav(spoken(3.0, sampling_rate=rate), rate), TEXT)
    assert (take.findings, take.sampling_rate, len(take.samples)) == ((), rate, 3 * rate)


def test_extreme_samples_stay_what_they_are() -> None:
    samples = np.tile(np.array([-32768, 32767, 0, 1, -1], np.int16), 4000)
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV", subtype="PCM_16")
    assert np.array_equal(read_take(file.getvalue(), TEXT).samples, samples)


def test_clipping_is_told(voice: NDArray[np.float32]) -> None:
    assert names(np.clip(voice * 8, -1, 1)) == ["clipped"]


def test_waves_cut_off_below_full_scale_are_clipped_too() -> None:
    sound = np.clip(spoken(3.0) * 8, -0.5, 0.5)
    assert [found.name for found in read_take(wav(sound, 16_000), TEXT).findings] == ["clipped"]


def test_a_quiet_voice_is_told_with_its_level(voice: NDArray[np.float32]) -> None:
    take = read_take(wav(voice * 0.02), TEXT)
    assert [found.name for found in take.findings] == ["quiet"]
    assert take.findings[0].text.startswith("Too quiet: the voice is at -5")
    assert not take.fatal


def test_noise_without_pauses_is_told() -> None:
    assert "noisy" in names(np.random.default_rng(0).normal(0, 0.05, 3 * RATE))


def test_silence_at_the_edges_is_told_with_its_length(voice: NDArray[np.float32]) -> None:
    both = read_take(wav(np.concatenate([silence(2), voice, silence(3)])), TEXT).findings
    assert [found.name for found in both] == ["silence-at-start", "silence-at-end"]
    assert both[0].text.startswith("2.2 s of silence before the first word.") or both[0].text.startswith("2.3 s")


def test_cut_edges_are_told(voice: NDArray[np.float32]) -> None:
    loudest = int(np.abs(voice).argmax())
    assert names(voice[loudest:], "Short.") == ["cut-at-start"]
    assert names(voice[:loudest], "Short.") == ["cut-at-end"]


def test_a_take_too_short_for_its_sentence_is_told(voice: NDArray[np.float32]) -> None:
    long = "This sentence is far too long to be read aloud by anyone within two and a half seconds, however fast they may be speaking."
    assert names(voice, long) == ["incomplete"]
    assert names(voice, "これはとても長い文なので三秒では読めませんし誰にもできないと思います本当に") == ["incomplete"]


def test_a_telephone_is_heard() -> None:
    import soxr

    narrow = soxr.resample(soxr.resample(spoken(4.0, sampling_rate=RATE), RATE, 8000), 8000, RATE)
    assert names(narrow) == ["telephone"]


@pytest.mark.parametrize(("seconds", "name"), [(0.1, "too-short"), (0.29, "too-short"), (1.0, "silent")])
def test_what_cannot_be_kept(seconds: float, name: str) -> None:
    take = read_take(wav(np.zeros(round(seconds * RATE))), TEXT)
    assert [found.name for found in take.findings] == [name]
    assert take.fatal
    assert take.level_dbfs is None


def test_a_microphone_that_gives_one_value_is_silent() -> None:
    assert names(np.full(RATE, 0.25)) == ["silent"]


def refused(data: bytes) -> AudioError:
    with pytest.raises(AudioError) as error:
        read_take(data, TEXT)
    return error.value


def test_what_is_no_take_is_refused(voice: NDArray[np.float32]) -> None:
    good = wav(voice)
    assert refused(b"").reason == "empty"
    assert refused(b"<html>not audio</html>" * 50).reason == "not-audio"
    assert refused(good[:20]).reason == "not-audio"
    assert refused(good[: len(good) // 2]).reason == "truncated"
    assert refused(wav(np.stack([voice, voice], axis=1))).reason == "not-audio"
    assert refused(wav(voice, subtype="FLOAT")).reason == "not-audio"
    assert refused(wav(voice, form="FLAC")).reason == "not-audio"
    assert refused(wav(voice, 4000)).reason == "not-audio"
    assert refused(wav(voice, 400_000)).reason == "not-audio"
    assert refused(wav(np.zeros(round((LONGEST + 1) * 8000)), 8000)).reason == "too-long"
    assert refused(wav(np.zeros(0))).reason == "empty"


def test_a_header_that_lies_is_caught(voice: NDArray[np.float32]) -> None:
    good = bytearray(wav(voice))
    more = good.copy()
    more[40:44] = struct.pack("<I", 10 * len(good))
    assert refused(bytes(more)).reason in ("truncated", "too-long")
    none = good.copy()
    none[24:28] = struct.pack("<I", 0)
    assert refused(bytes(none)).reason == "not-audio"


def test_the_longest_take_at_the_highest_rate_fits_into_an_upload() -> None:
    assert 2 * 192_000 * LONGEST + 44 < LARGEST < 12 << 20


def test_random_bytes_after_a_header_never_break_it() -> None:
    random = np.random.default_rng(3)
    head = wav(spoken(1.0, sampling_rate=16_000), 16_000)[:44]
    for _ in range(40):
        data = bytearray(head + random.bytes(int(random.integers(0, 40_000))))
        for place in random.integers(0, 44, 3):
            data[place] = int(random.integers(0, 256))
        found = outcome(bytes(data))
        assert found in ("taken", "empty", "not-audio", "truncated", "too-long")


def outcome(data: bytes) -> str:
    try:
        take = read_take(data, TEXT)
    except AudioError as error:
        return error.reason
    return "taken" if isinstance(take, Take) else ""
