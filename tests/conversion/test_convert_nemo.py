"""NeMo manifests: its names and rules, and what its way of reading audio gives."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from prepared_folders import PIECES, make_manifest

from speechadapt.conversion import ConvertOptions, ConvertReport, convert_manifests
from speechadapt.data.manifest import Manifest


def convert(data: Path, out: Path, **options: Any) -> ConvertReport:
    return convert_manifests([data], out, ConvertOptions(to="nemo", **options))


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_as_nemo(manifest: Path, line: dict[str, Any]) -> Any:
    """As NeMo does: relative to the manifest unless absolute, seconds cut off to samples, the whole file without a duration."""
    path = Path(line["audio_filepath"])
    with soundfile.SoundFile(path if path.is_absolute() else manifest.parent / path) as file:
        if line.get("offset"):
            file.seek(int(line["offset"] * file.samplerate))
        return file.read(int(line["duration"] * file.samplerate), dtype="int16")


def test_lines_have_nemos_names_and_everything_else(prepared: Path, tmp_path: Path) -> None:
    convert(prepared, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.jsonl")) == ["dev_manifest.jsonl", "test_manifest.jsonl", "train_manifest.jsonl"]
    lines = lines_of(tmp_path / "out/train_manifest.jsonl")
    assert lines[0] == {
        "audio_filepath": "audio/train0.flac", "duration": 0.5, "text": "Put the kettle on, please.", "lang": "en", "id": "mine-007",
        "text_raw": "Put  the kettle on, please.", "speaker": "mine:b", "gender": "female", "age": "30 to 39", "accent": "en_scotland",
        "accent_raw": "Scottish English", "l1": "gd", "region": "Fife", "recording": "mine:tape 1",
        "meta": {"votes": 2, "domain": "home", "scores": {"fluency": 7}},
    }  # fmt: skip
    assert lines[4] == {"audio_filepath": "audio/train4.flac", "duration": 1.0, "text": "first line\nsecond\tpart", "id": "mine-ab"}
    assert "لا أعرف" in (tmp_path / "out/train_manifest.jsonl").read_text(encoding="utf-8")  # not escaped
    for line, u in zip(lines, manifest := Manifest.read(prepared / "train.jsonl"), strict=True):
        expected = soundfile.read(manifest.audio_path(u), dtype="int16")[0]
        np.testing.assert_array_equal(read_as_nemo(tmp_path / "out/train_manifest.jsonl", line), expected)


def test_pieces_are_exact_although_nemo_cuts_seconds_off(pointing: Path, tmp_path: Path) -> None:
    tape, _ = soundfile.read(tmp_path / "tapes/a/tape.wav", dtype="int16")
    for audio in ("copy", "link", "in-place"):
        convert(pointing, tmp_path / audio, audio=audio)
        lines = {line["id"]: line for line in lines_of(tmp_path / audio / "manifest.jsonl")}
        assert "offset" not in lines["left-4"]
        assert lines["left-1"]["offset"] == 0.0  # without it the line would be the whole file
        assert all(Path(line["audio_filepath"]).is_absolute() == (audio == "in-place") for line in lines.values())
        for row, (start, count) in PIECES.items():
            np.testing.assert_array_equal(read_as_nemo(tmp_path / audio / "manifest.jsonl", lines[row]), tape[start : start + count])


def test_a_path_that_nemo_does_not_find_is_counted(tmp_path: Path, write_tone: Any) -> None:
    folder = tmp_path / "mine" / ("x" * 120) / ("y" * 120)
    write_tone(folder / "a.wav", 0.5)
    make_manifest(folder, "all", [{"id": "a", "text": "x", "audio_filepath": "a.wav", "duration": 0.5}])
    report = convert(folder, tmp_path / "out", audio="in-place")
    assert report.repairs == {"paths of more than 254 characters, which NeMo does not find": 1}
    assert convert(folder, tmp_path / "copied").repairs == {}
