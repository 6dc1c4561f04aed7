"""Audit: every planted defect of a recording under its name with its ids, nothing on good ones, and never an exception."""

import os
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from spoken import RATE, spoken

from speechadapt.audio.audit import check_audio
from speechadapt.data.findings import Finding
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import SpeechadaptError

TEXT = "a plain sentence of a good length"


def row(name: str, **fields: Any) -> Utterance:
    given = {"id": name, "audio_filepath": f"{name}.wav", "duration": 3.0, "text": TEXT, "speaker": f"c:{name}", **fields}
    return Utterance(**given)


def write(folder: Path, name: str, sound: NDArray[Any], rate: int = RATE, **how: Any) -> None:
    soundfile.write(folder / f"{name}.wav", sound, rate, **how)


def audit(folder: Path, *rows: Utterance, name: str = "train", jobs: int = 1) -> dict[str, Finding]:
    return {finding.check: finding for finding in check_audio(Manifest(rows, folder=folder, name=name), jobs=jobs)}


def one(folder: Path, sound: NDArray[Any], rate: int = RATE, **fields: Any) -> dict[str, Finding]:
    """The findings for one recording, with the duration it has unless another is given."""
    write(folder, "a", sound, rate)
    return audit(folder, row("a", **{"duration": len(sound) / rate, **fields}))


def test_good_recordings_have_no_finding(tmp_path: Path) -> None:
    for seed in range(8):
        write(tmp_path, f"r{seed}", spoken(seed=seed, pitch=100 + 15 * seed))
    assert audit(tmp_path, *(row(f"r{seed}") for seed in range(8))) == {}


def test_each_finding_says_how_many_which_and_what_to_do(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path, f"r{number}", np.float32(0.03) + spoken(seed=number) if number else spoken())
    finding = audit(tmp_path, *(row(f"r{number}") for number in range(5)))["dc-offset"]
    assert finding.ids == ("r1", "r2", "r3", "r4")
    assert finding.details == ("mean sample +0.030",) * 4
    assert finding.message == (
        'train: 4 of 5 utterances do not lie around zero: "r1" (mean sample +0.030); "r2" (mean sample +0.030); "r3" (mean sample +0.030) '
        "and 1 more. A high-pass filter at 20 Hz removes an offset."
    )
    assert (finding.severity, finding.manifest) == ("warning", "train")


def test_what_cannot_be_decoded_is_an_error_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not sound")
    write(tmp_path, "nan", np.where(np.arange(3 * RATE) == 7, np.nan, spoken()).astype(np.float32), subtype="FLOAT")
    write(tmp_path, "silent", np.zeros(3 * RATE))
    write(tmp_path, "header-only", np.zeros(0))
    write(tmp_path, "good", spoken())
    rows = [row(name) for name in ("missing", "empty", "text", "nan", "silent", "header-only")]
    outside = [row("up", audio_filepath="../good.wav"), row("late", audio_filepath="good.wav", offset=9.0)]
    found = audit(tmp_path, *rows, *outside)
    assert {check: finding.ids for check, finding in found.items()} == {
        "missing": ("missing",), "empty": ("empty", "header-only"), "outside-folder": ("up",), "not-audio": ("text",),
        "not-finite": ("nan",), "out-of-range": ("late",), "silent": ("silent",),
    }  # fmt: skip
    assert {finding.severity for finding in found.values()} == {"error"}
    assert found["not-finite"].details == ("1 of 48000 samples",)
    assert found["silent"].details == ("every sample is 0",)


def test_headers_that_promise_more_are_told(tmp_path: Path) -> None:
    write(tmp_path, "wav", spoken())
    data = (tmp_path / "wav.wav").read_bytes()
    (tmp_path / "wav.wav").write_bytes(data[: 44 + 2 * RATE])
    soundfile.write(tmp_path / "cut.flac", spoken(), RATE)
    whole = (tmp_path / "cut.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    lying = bytearray(whole)  # the last 36 bits before the checksum of STREAMINFO are the number of samples
    lying[22:26] = struct.pack(">I", 30 * RATE)
    (tmp_path / "lie.flac").write_bytes(lying)
    found = audit(tmp_path, row("wav"), row("cut", audio_filepath="cut.flac"), row("lie", audio_filepath="lie.flac"))
    assert found["truncated"].ids == ("wav", "cut", "lie")
    assert found["truncated"].details[0] == "2.00 of 3.00 s are missing at its end"
    assert re.search(r"lie\.flac: decoding stopped|3\.00 s could be decoded, its header promises 30\.00 s", found["truncated"].details[2])
    assert set(found) <= {"truncated", "cut-off"}


def test_durations_that_disagree(tmp_path: Path) -> None:
    write(tmp_path, "a", spoken())
    long, short = (audit(tmp_path, row("a", duration=seconds))["wrong-duration"] for seconds in (3.6, 2.0))
    assert long.details == ("3.60 s in the manifest, 3.00 s could be decoded",)
    assert short.details == ("2.00 s in the manifest, the recording lasts 3.00 s",)
    assert "wrong-duration" not in audit(tmp_path, row("a", duration=2.0, recording="c:talk"))  # a segment
    assert "wrong-duration" not in audit(tmp_path, row("a", duration=1.0, offset=0.5))
    assert "wrong-duration" not in audit(tmp_path, row("a", duration=2.95))


@pytest.mark.parametrize(
    ("check", "sound", "detail"),
    [
        ("quiet", spoken(level=0.001), "-6"),
        ("low-level", spoken(level=0.012), "dBFS"),
        ("clipped", np.clip(spoken() * 8, -1, 1), "of the samples at full scale, longest run"),
        ("clipped", np.clip(spoken(), -0.06, 0.06), "the waves end at a ceiling below full scale, -24 dBFS"),
        ("dc-offset", spoken() + 0.025, "mean sample +0.025"),
        ("dc-offset", spoken() - 0.008, "mean sample -0.008"),
        ("long-silence", np.concatenate([np.zeros(4 * RATE), spoken(), np.zeros(3 * RATE)]), "4.2 s before and 3."),
        ("cut-off", spoken(seed=3)[: 28_000], "ends"),
        ("narrow-band", soxr.resample(soxr.resample(spoken(), RATE, 8000), 8000, RATE), "speech up to about 4 kHz only"),
    ],
)  # fmt: skip
def test_each_defect_of_sound_has_its_name(tmp_path: Path, check: str, sound: NDArray[Any], detail: str) -> None:
    found = one(tmp_path, sound.astype(np.float32))
    assert set(found) == {check}
    assert detail in found[check].details[0]
    assert found[check].severity == "warning"


def test_rates_below_16_khz_absurd_ones_and_names_that_lie(tmp_path: Path) -> None:
    assert one(tmp_path, spoken(sampling_rate=8000), 8000)["narrow-band"].details == ("the file has 8000 Hz, so nothing above 4000 Hz",)
    assert one(tmp_path, spoken(sampling_rate=4000), 4000)["low-sampling-rate"].details == ("4000 Hz",)
    assert one(tmp_path, spoken(sampling_rate=192_000), 192_000) == {}
    assert one(tmp_path, spoken(), meta={"sample_rate": 8000})["wrong-rate"].details == ("8000 Hz in the manifest, 16000 Hz in the file",)
    assert one(tmp_path, spoken(), meta={"sampling_rate": 16_000}) == {}
    (tmp_path / "a.wav").rename(tmp_path / "a.mp3")
    found = audit(tmp_path, row("a", audio_filepath="a.mp3"))
    assert found["wrong-extension"].details == ('WAV behind the name "a.mp3", should end in .wav',)


def test_one_file_of_another_rate_among_many(tmp_path: Path) -> None:
    for number in range(12):
        rate = 22_050 if number == 5 else RATE
        write(tmp_path, f"r{number}", spoken(seed=number, sampling_rate=rate), rate)
    found = audit(tmp_path, *(row(f"r{number}") for number in range(12)))
    assert {check: (finding.ids, finding.details) for check, finding in found.items()} == {
        "other-rate": (("r5",), ("22050 Hz, the others 16000 Hz",))
    }
    assert audit(tmp_path, *(row(f"r{number}") for number in range(4, 8))) == {}  # one of four is no exception


def stereo(*channels: NDArray[Any]) -> NDArray[np.float32]:
    return np.stack(channels, axis=1).astype(np.float32)


def test_channels(tmp_path: Path) -> None:
    here, noise = spoken(6.0), np.random.default_rng(0).normal(0, 3e-4, 6 * RATE)
    turns = np.where((np.arange(6 * RATE) // RATE) % 2 == 0, 1.0, 0.0)
    two_people = stereo(here * turns + noise, spoken(6.0, seed=9) * (1 - turns) + noise[::-1])
    assert one(tmp_path, two_people)["different-channels"].details[0].endswith("perhaps a speaker in each")
    assert "they cancel each other" in one(tmp_path, stereo(here, -here + noise))["different-channels"].details[0]
    assert one(tmp_path, stereo(here, 0.001 * noise))["dead-channel"].details == ("channel 1 of 2, counted from 0",)
    same = one(tmp_path, stereo(*[here] * 8))
    assert {check: (finding.severity, finding.details) for check, finding in same.items()} == {"identical-channels": ("note", ("8 channels",))}
    assert one(tmp_path, stereo(here, np.roll(here, 12) * 0.8 + noise)) == {}  # two microphones before one speaker


def test_equal_samples_in_any_container(tmp_path: Path) -> None:
    write(tmp_path, "a", spoken(seed=1))
    write(tmp_path, "b", spoken(seed=2))
    soundfile.write(tmp_path / "again.flac", soundfile.read(tmp_path / "a.wav", dtype="int16")[0], RATE)
    copies = [row("c", audio_filepath="again.flac"), row("d", audio_filepath="b.wav", text="something else was written here")]
    finding = audit(tmp_path, row("a"), row("b"), *copies)["repeated-audio"]
    assert (finding.severity, finding.ids) == ("warning", ("c", "d"))
    assert finding.details == ('as "a", with the same text', 'as "b", with another text, so one of the two is wrong')
    test = Manifest([row("t", audio_filepath="again.flac", split="test")], folder=tmp_path, name="test")
    (shared,) = check_audio([test, Manifest([row("a"), row("b")], folder=tmp_path, name="train")])
    assert (shared.severity, shared.check, shared.ids, shared.manifest) == ("error", "shared-audio", ("a",), "train")
    assert shared.message == 'train and test share the samples of 1 recordings: "a" (as "t" of test). Remove them from train.'


def speaker(folder: Path, name: str, pitch: float, rows: int, faster: dict[int, float] | None = None) -> list[Utterance]:
    """Rows of one speaker, some of them played at another speed, as by a wrong sampling rate in the header."""
    made = []
    for number in range(rows):
        factor = (faster or {}).get(number, 1.0)
        sound = spoken(4.0, seed=hash_of(name) + number, pitch=pitch)
        if factor != 1.0:
            sound = soxr.resample(sound, RATE, RATE / factor)
        write(folder, f"{name}{number}", sound)
        made.append(row(f"{name}{number}", duration=len(sound) / RATE, speaker=f"c:{name}"))
    return made


def hash_of(name: str) -> int:
    return 100 * sum(map(ord, name))


def test_a_row_at_another_speed_than_its_speaker(tmp_path: Path) -> None:
    rows = [*speaker(tmp_path, "high", 220, 8, {2: 2.0}), *speaker(tmp_path, "low", 105, 8, {5: 0.5})]
    finding = audit(tmp_path, *rows)["wrong-speed"]
    assert finding.ids == ("high2", "low5")
    assert finding.details[0].startswith("voice 1.8 times as high and tempo 2.1 times as fast")
    assert finding.details[1].endswith("as the speaker's median")
    assert "wrong-speed" not in audit(tmp_path, *(u for u in rows if u.id not in finding.ids))


def test_a_speaker_at_another_speed_than_all_others(tmp_path: Path) -> None:
    rows = [u for number in range(6) for u in speaker(tmp_path, "abcdef"[number], 110 + 20 * number, 5)]
    fast = speaker(tmp_path, "x", 140, 5, dict.fromkeys(range(5), 2.0))
    finding = audit(tmp_path, *rows, *fast)["wrong-speed"]
    assert finding.ids == tuple(u.id for u in fast)
    assert finding.details[0].endswith("as the manifest's median")


def test_processes_find_the_same(tmp_path: Path) -> None:
    rows = []
    for number in range(130):
        write(tmp_path, f"r{number}", spoken(1.0, seed=number) + (0.05 if number % 50 == 7 else 0.0))
        rows.append(row(f"r{number}", duration=1.0, text="yes it is"))
    alone, together = audit(tmp_path, *rows), audit(tmp_path, *rows, jobs=2)
    assert together == alone
    assert together["dc-offset"].ids == ("r7", "r57", "r107")


def die(clips: list[Any]) -> list[Any]:
    os._exit(3)


def test_a_process_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speechadapt.audio.audit._listen_to", die)
    with pytest.raises(SpeechadaptError, match=r"a listening process died after 0 of 128 rows, .* Run the same command again with --jobs 1\."):
        audit(tmp_path, *(row(f"r{number}") for number in range(128)), jobs=2)


def test_what_is_read_of_one_row_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speechadapt.audio.audit.MOST_VALUES", 2 * RATE)
    write(tmp_path, "a", spoken(6.0))
    assert set(audit(tmp_path, row("a", duration=6.0))) <= {"cut-off"}  # two seconds are heard, and nothing is called truncated
