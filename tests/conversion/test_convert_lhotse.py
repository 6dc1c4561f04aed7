"""Lhotse manifests, read back and validated by the real lhotse: cuts that give the same samples, whole or out of a long recording."""

import gzip
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from prepared_folders import PIECES

from speechadapt.audio.waveform import read_waveform
from speechadapt.conversion import ConvertOptions, ConvertReport, convert_manifests
from speechadapt.data.manifest import Manifest

lhotse = pytest.importorskip("lhotse", reason="lhotse reads what is written here")


def convert(data: Path, out: Path, **options: Any) -> ConvertReport:
    return convert_manifests([data], out, ConvertOptions(to="lhotse", **options))


def test_lhotse_finds_and_validates_all_three_kinds(prepared: Path, tmp_path: Path) -> None:
    from lhotse.recipes.utils import read_manifests_if_cached

    convert(prepared, tmp_path / "out")
    found = read_manifests_if_cached(["train", "dev", "test"], tmp_path / "out", prefix="mine", types=["recordings", "supervisions", "cuts"])
    for part, count in (("train", 5), ("dev", 1), ("test", 1)):
        assert {kind: len(found[part][kind]) for kind in ("recordings", "supervisions", "cuts")} == dict.fromkeys(
            ("recordings", "supervisions", "cuts"), count
        )
        lhotse.validate(found[part]["recordings"], read_data=True)
        lhotse.validate_recordings_and_supervisions(found[part]["recordings"], found[part]["supervisions"], read_data=True)
        lhotse.validate(found[part]["cuts"], read_data=True)
    first = next(iter(found["train"]["supervisions"]))
    assert (first.id, first.text, first.speaker, first.gender, first.language) == ("mine-007", "Put the kettle on, please.", "mine:b", "female", "en")
    assert first.custom == {
        "text_raw": "Put  the kettle on, please.", "age": "30 to 39", "accent": "en_scotland", "accent_raw": "Scottish English", "l1": "gd",
        "region": "Fife", "recording": "mine:tape 1", "meta": {"votes": 2, "domain": "home", "scores": {"fluency": 7}},
    }  # fmt: skip
    assert (first.accent, [s.text for s in found["train"]["supervisions"]][1:4]) == ("en_scotland", ["NA", "لا أعرف", "你好，世界"])
    unknown = list(found["train"]["supervisions"])[4]
    assert (unknown.speaker, unknown.gender, unknown.language, unknown.custom) == (None, None, None, None)


@pytest.mark.parametrize("audio", ["copy", "link", "in-place"])
def test_cuts_give_the_samples_of_the_rows(audio: str, pointing: Path, tmp_path: Path) -> None:
    convert(pointing, tmp_path / "out", audio=audio)
    cuts = lhotse.CutSet.from_file(tmp_path / "out/left_cuts_all.jsonl.gz")
    tape, rate = soundfile.read(tmp_path / "tapes/a/tape.wav", dtype="float32")
    loaded = {cut.id: cut.load_audio()[0] for cut in cuts}
    for row, (start, count) in PIECES.items():
        np.testing.assert_array_equal(loaded[row], tape[start : start + count])
    np.testing.assert_array_equal(loaded["left-4"], soundfile.read(tmp_path / "tapes/b/tape.wav", dtype="float32")[0])
    whole = {s.id: s for s in lhotse.SupervisionSet.from_file(tmp_path / "out/left_supervisions_all.jsonl.gz")}
    recordings = lhotse.RecordingSet.from_file(tmp_path / "out/left_recordings_all.jsonl.gz").to_eager()
    assert sorted(recording.id for recording in recordings) == ["tape", "tape_2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lhotse.validate_recordings_and_supervisions(recordings, lhotse.SupervisionSet.from_segments(whole.values()))
    for row, (start, count) in PIECES.items():
        assert (round(whole[row].start * rate), round(whole[row].duration * rate)) == (start, count)
        read = recordings["tape"].load_audio(offset=whole[row].start, duration=whole[row].duration)
        np.testing.assert_array_equal(read[0], tape[start : start + count])


def test_prepared_rows_sound_the_same_in_lhotse(prepared: Path, tmp_path: Path) -> None:
    convert(prepared, tmp_path / "out")
    manifest = Manifest.read(prepared / "train.jsonl")
    cuts = lhotse.CutSet.from_file(tmp_path / "out/mine_cuts_train.jsonl.gz")
    for u, cut in zip(manifest, cuts, strict=True):
        assert cut.supervisions[0].text == u.text
        np.testing.assert_array_equal(cut.load_audio()[0], read_waveform(manifest.audio_path(u)))


def test_the_same_rows_give_the_same_bytes_at_any_time(prepared: Path, tmp_path: Path) -> None:
    convert(prepared, tmp_path / "out")
    packed = (tmp_path / "out/mine_cuts_dev.jsonl.gz").read_bytes()
    assert packed[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name and no time in the header
    assert gzip.decompress(packed).count(b"\n") == 1
