"""Conversion in general: round trips through the readers of data_prep, places that are refused, recordings that are missing."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from prepared_folders import ODD_RATE, PIECES, RECORD, make_manifest

from speechadapt.audio.waveform import read_waveform
from speechadapt.bundled import load_bundled
from speechadapt.conversion import FORMATS, ConvertOptions, ConvertReport, convert_manifests
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError, MisuseError, SpeechadaptError
from speechadapt.preparation import PrepareOptions
from speechadapt.text.cleaning import clean_text

CARRIED_BY_ALL = ("speaker", "gender", "age", "accent", "language", "split", "duration")
LOST: dict[str, set[str]] = {
    "audiofolder": set(),
    "parquet": set(),
    "kaldi": {"text_raw", "accent_raw", "l1", "region", "recording", "meta"},
    "lhotse": set(),
    "nemo": set(),
}
"""What each form cannot say of a row. An accent_raw that is not known comes back from any of them as the accent's slug, and Kaldi's text has no tabs
and line breaks (which training text has none of: `prepare` writes blanks)."""


def convert(data: Path | list[Path], out: Path, to: str, **options: Any) -> ConvertReport:
    return convert_manifests(data if isinstance(data, list) else [data], out, ConvertOptions(to=to, **options))


def prepare(name: str, source: Path, out: Path, **settings: Any) -> dict[str, Utterance]:
    """Read an output back with the script of its form, without the prefix that ids get."""
    script: Any = load_bundled("data_prep", name)
    report = script.prepare(source, out, PrepareOptions(), script.Settings(**settings))
    assert report.dropped == {}
    found: dict[str, Utterance] = {}
    for path in report.manifests:
        found |= {u.id.removeprefix(f"{settings.get('name', name)}-"): u for u in Manifest.read(out / path)}
    return found


def rows_of(folder: Path) -> dict[str, tuple[Manifest, Utterance]]:
    return {u.id: (manifest, u) for path in sorted(folder.glob("*.jsonl")) for manifest in [Manifest.read(path)] for u in manifest}


def sound_of(manifest: Manifest, u: Utterance) -> Any:
    return read_waveform(manifest.audio_path(u), offset=u.offset, duration=u.duration)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("to", FORMATS)
def test_what_goes_out_comes_back(to: str, prepared: Path, tmp_path: Path) -> None:
    if to == "parquet":
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    report = convert(prepared, tmp_path / "out", to)
    assert report.not_carried == {
        name: 2 if name == "meta" else 1 for name in ("text_raw", "accent_raw", "l1", "region", "recording", "meta") if LOST[to]
    }
    back = prepare(to, tmp_path / "out", tmp_path / "back")
    given = rows_of(prepared)
    assert back.keys() == given.keys()
    for row, (manifest, u) in given.items():
        new = back[row]
        assert new.text == clean_text(u.text, case="keep")
        assert {name: getattr(new, name) for name in CARRIED_BY_ALL} == {name: getattr(u, name) for name in CARRIED_BY_ALL}
        if "meta" not in LOST[to]:
            assert (new.text_raw, new.accent_raw) == (u.text_raw or u.text, u.accent_raw or u.accent)
            assert (new.l1, new.region, new.recording, new.meta) == (u.l1, u.region, u.recording, u.meta)
        np.testing.assert_array_equal(read_waveform(tmp_path / "back" / new.audio_filepath), sound_of(manifest, u))


@pytest.mark.parametrize("to", FORMATS)
def test_pieces_of_a_long_recording_come_back_exact_to_a_sample(to: str, pointing: Path, tmp_path: Path) -> None:
    if to == "parquet":
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    convert(pointing, tmp_path / "out", to)
    back = prepare(to, tmp_path / "out", tmp_path / "back")
    tape, _ = soundfile.read(tmp_path / "tapes/a/tape.wav", dtype="int16")
    for row, (manifest, u) in rows_of(pointing).items():
        new = back[row]
        np.testing.assert_array_equal(read_waveform(tmp_path / "back" / new.audio_filepath), sound_of_16_bits(sound_of(manifest, u)))
        assert new.duration == pytest.approx(u.duration, abs=1 / 16_000)
        if row in PIECES:  # the rows themselves are exact too
            start, count = PIECES[row]
            np.testing.assert_array_equal(
                read_waveform(manifest.audio_path(u), offset=u.offset, duration=u.duration, sampling_rate=ODD_RATE),
                tape[start : start + count] / 32768,
            )


def sound_of_16_bits(waveform: Any) -> Any:
    """What `prepare` keeps of a resampled sound."""
    return np.clip(np.round(waveform * 32768), -32768, 32767).astype(np.float32) / 32768


@pytest.mark.parametrize("to", FORMATS)
def test_the_license_goes_with_it(to: str, prepared: Path, tmp_path: Path) -> None:
    if to == "parquet":
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    report = convert(prepared, tmp_path / "out", to)
    told = json.loads((tmp_path / "out/corpus.json").read_text())
    assert {name: told[name] for name in ("name", "title", "license", "commercial_use", "home", "privacy")} == {
        name: RECORD[name] for name in ("name", "title", "license", "commercial_use", "home", "privacy")
    }
    assert not {"source", "audio_roots", "manifests", "expects"} & told.keys()  # they tell of the machine it was prepared on
    card = (tmp_path / "out/README.md").read_text()
    for line in (
        "- License: CC BY 4.0", "- Commercial use: yes, with attribution", "- From: https://example.org/mine",
        "- Privacy: Speakers agreed to research.",
        "| train | 5 | 3.8 s | 2 |", "| dev | 1 | 0.5 s | 1 |", "| test | 1 | 0.5 s | 1 |",
    ):  # fmt: skip
        assert line in card.splitlines()
    assert str(tmp_path) not in card + json.dumps(told)
    assert report.splits == {
        "train": {"utterances": 5, "hours": pytest.approx(3.75 / 3600, abs=1e-6), "speakers": 2},
        "dev": {"utterances": 1, "hours": pytest.approx(0.5 / 3600, abs=1e-6), "speakers": 1},
        "test": {"utterances": 1, "hours": pytest.approx(0.5 / 3600, abs=1e-6), "speakers": 1},
    }


@pytest.mark.parametrize("to", FORMATS)
def test_twice_gives_the_same_bytes_and_replaces_itself(to: str, prepared: Path, tmp_path: Path) -> None:
    if to == "parquet":
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    convert(prepared, tmp_path / "out", to)
    first = contents(tmp_path / "out")
    convert(prepared, tmp_path / "out", to)
    assert contents(tmp_path / "out") == first
    convert(prepared, tmp_path / "out", to, splits=("test",))
    assert not any("train" in name for name in contents(tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out"]  # nothing temporary is left


def test_the_folder_behind_a_link_is_replaced_and_the_link_stays(prepared: Path, tmp_path: Path) -> None:
    convert(prepared, tmp_path / "disk/out", "nemo")
    (tmp_path / "out").symlink_to(tmp_path / "disk/out")
    convert(prepared, tmp_path / "out", "nemo", splits=("test",))
    assert (tmp_path / "out").is_symlink()
    assert sorted(path.name for path in (tmp_path / "disk").iterdir()) == ["out"]
    assert [path.name for path in (tmp_path / "disk/out").glob("*.jsonl")] == ["test_manifest.jsonl"]


def test_records_of_several_corpora_are_all_carried(prepared: Path, pointing: Path, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"left/all.jsonl: its name tells no split, and train.jsonl is train. Rename it so that"):
        convert([prepared, pointing], tmp_path / "out", "nemo")
    (pointing / "all.jsonl").rename(pointing / "my_train.jsonl")
    report = convert([prepared / "train.jsonl", pointing / "my_train.jsonl"], tmp_path / "out", "nemo")
    assert report.splits["train"]["utterances"] == 9
    told = json.loads((tmp_path / "out/corpus.json").read_text())
    assert (told["name"], told["license"], [one["license"] for one in told["corpora"]]) == (
        "mine+left", "CC BY 4.0; CC BY-NC 4.0", ["CC BY 4.0", "CC BY-NC 4.0"],
    )  # fmt: skip
    card = (tmp_path / "out/README.md").read_text()
    assert "## License of mine" in card
    assert "## License of left" in card
    again = convert(tmp_path / "out/train_manifest.jsonl", tmp_path / "again", "audiofolder")  # NeMo's names are ours
    assert [record["name"] for record in again.corpora] == ["mine", "left"]
    assert 'license: other\nlicense_name: "CC BY 4.0; CC BY-NC 4.0"' in (tmp_path / "again/README.md").read_text()


def test_a_manifest_without_a_record_says_so(tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "bare/a.wav", 0.5)
    make_manifest(tmp_path / "bare", "all", [{"id": "a", "text": "a line", "audio_filepath": "a.wav", "duration": 0.5}])
    report = convert(tmp_path / "bare", tmp_path / "out", "audiofolder")
    assert report.corpora == ({"name": "bare", "license": "not stated", "commercial_use": "not stated"},)
    card = (tmp_path / "out/README.md").read_text()
    assert "license: unknown" in card
    assert "- Privacy: Do not try to find out who the speakers are, and do not publish what could tell." in card


def test_splits_are_chosen_by_name(prepared: Path, tmp_path: Path) -> None:
    report = convert(prepared, tmp_path / "out", "nemo", splits=("test", "train"))
    assert list(report.splits) == ["train", "test"]
    with pytest.raises(MisuseError, match=r'--splits "all": no manifest of that name; there are: train, dev, test\.'):
        convert(prepared, tmp_path / "out2", "nemo", splits=("all",))


def test_places_that_would_do_harm_are_refused(prepared: Path, tmp_path: Path) -> None:
    before = contents(tmp_path)
    with pytest.raises(MisuseError, match=r"mine: lies in the data it is made of"):
        convert(prepared, prepared, "nemo")
    with pytest.raises(MisuseError, match=r"mine/out: lies in the data it is made of, .*mine, and would be mixed into it. Choose a folder outside."):
        convert(prepared, prepared / "out", "nemo")
    with pytest.raises(MisuseError, match=r"holds the data it is made of"):
        convert(prepared, tmp_path, "nemo")
    with pytest.raises(MisuseError, match=r"holds the data it is made of"):
        convert(prepared / "train.jsonl", prepared, "nemo")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MisuseError, match=r"file: a file, expected a folder to write into"):
        convert(prepared, tmp_path / "file", "nemo")
    (tmp_path / "file").unlink()
    (tmp_path / "link").symlink_to(prepared)
    with pytest.raises(MisuseError, match=r"link/out: lies in the data it is made of"):
        convert(prepared, tmp_path / "link/out", "nemo")
    (tmp_path / "link").unlink()
    assert contents(tmp_path) == before


def test_a_folder_with_anything_of_somebody_else_is_refused(prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    convert(prepared, out, "kaldi")  # empty is fine
    (out / "train/feats.scp").write_text("made by Kaldi from these lists")
    with pytest.raises(
        MisuseError, match=r"out: holds train/feats.scp, which no conversion of this program wrote, and converting replaces the whole folder"
    ):
        convert(prepared, out, "kaldi")
    assert (out / "train/feats.scp").is_file()
    with pytest.raises(MisuseError, match=r"mine2: holds audio/, which no conversion"):  # a prepared folder is no output of a conversion
        convert(prepared, make_prepared_copy(prepared, tmp_path / "mine2"), "kaldi")


def make_prepared_copy(prepared: Path, folder: Path) -> Path:
    for name, data in contents(prepared).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_an_output_that_holds_the_recordings_is_not_replaced(prepared: Path, tmp_path: Path) -> None:
    convert(prepared, tmp_path / "out", "nemo")
    script: Any = load_bundled("data_prep", "nemo")
    script.prepare(tmp_path / "out", tmp_path / "again", PrepareOptions(in_place=True), script.Settings())
    with pytest.raises(MisuseError, match=r'holds .*/out/audio/train0.flac, the recording of utterance "nemo-mine-007", and would be replaced'):
        convert(tmp_path / "again", tmp_path / "out", "nemo")
    assert (tmp_path / "out/audio/train0.flac").is_file()


@pytest.mark.parametrize("to", FORMATS)
def test_a_missing_recording_stops_everything_before_it_begins(to: str, prepared: Path, tmp_path: Path) -> None:
    (prepared / "audio/test0.flac").unlink()
    with pytest.raises(
        ManifestError, match=r'utterance "mine-9" \(test\): .*test0.flac: no such audio file. Correct the path or remove the line. Nothing'
    ):
        convert(prepared, tmp_path / "out", to)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def test_rows_that_cannot_be_are_named(tmp_path: Path, write_tone: Any) -> None:
    folder = tmp_path / "mine"
    write_tone(folder / "a.wav", 1.0)
    (folder / "text.wav").write_text("not sound")
    row = {"id": "a", "text": "a line", "audio_filepath": "a.wav", "duration": 1.0}
    cases = {
        r'utterance "a" \(all\): .*text.wav: not a recording that can be read': [{**row, "audio_filepath": "text.wav"}],
        r'utterance "a" \(all\): it lasts from 0.50 to 1.60 s, and its recording .*a.wav ends at 1.00 s. Correct the times': [
            {**row, "offset": 0.5, "duration": 1.1}
        ],
        r'utterance "a" \(all\): it lasts from 1.00 to 1.10 s': [{**row, "offset": 1.0, "duration": 0.1}],
        r'utterance "a" \(all\): audio_filepath "../x.wav" leaves the folder': [{**row, "audio_filepath": "../x.wav"}],
        r'utterance "a" \(all\): audio_filepath "/etc/hosts" is absolute': [{**row, "audio_filepath": "/etc/hosts"}],
    }
    for message, rows in cases.items():
        make_manifest(folder, "all", rows)
        with pytest.raises(ManifestError, match=message):
            convert(folder, tmp_path / "out", "nemo")
    for line, message in (
        (r'{"id": "a", "audio_filepath": "a.wav", "duration": 1, "text": "half \ud83d"}', r"utterance 'a' \(all\): holds half a character"),
        (r'{"id": "a", "audio_filepath": "a.wav", "duration": 1, "text": "x", "score": NaN}', r"utterance 'a' \(all\): holds NaN or infinity"),
    ):
        (folder / "all.jsonl").write_text(line)
        with pytest.raises(ManifestError, match=message):
            convert(folder, tmp_path / "out", "nemo")
    make_manifest(folder, "train", [row])
    make_manifest(folder, "test", [row])
    with pytest.raises(
        ManifestError, match=r'utterance "a" \(test\): this id stands twice, and ids must be unique over all manifests of a conversion'
    ):
        convert(folder, tmp_path / "out", "nemo")
    (folder / "test.jsonl").write_text("\n")
    with pytest.raises(ManifestError, match=r"test.jsonl: no utterance in it"):
        convert(folder, tmp_path / "out", "nemo")
    with pytest.raises(ManifestError, match=r"none: no such manifest or prepared folder"):
        convert(tmp_path / "none", tmp_path / "out", "nemo")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match=r"empty: no manifest in it; looked for train.jsonl, dev.jsonl, test.jsonl and all.jsonl, found: nothing"):
        convert(tmp_path / "empty", tmp_path / "out", "nemo")
    assert not (tmp_path / "out").exists()


def test_an_end_just_beyond_the_recording_is_shortened_and_counted(tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "mine/a.wav", 1.0)
    rows = [
        {"id": "a", "text": "x", "audio_filepath": "a.wav", "duration": 1.3},
        {"id": "b", "text": "y", "audio_filepath": "a.wav", "offset": 0.75, "duration": 0.5},
    ]
    make_manifest(tmp_path / "mine", "all", rows)
    report = convert(tmp_path / "mine", tmp_path / "out", "nemo")
    assert report.repairs == {"ends beyond recordings, shortened": 2}
    lines = [json.loads(line) for line in (tmp_path / "out/manifest.jsonl").read_text().splitlines()]
    assert [(line.get("offset"), line["duration"]) for line in lines] == [(None, 1.0), (0.75, 0.25)]


def test_recordings_can_be_linked(prepared: Path, pointing: Path, tmp_path: Path) -> None:
    convert(prepared, tmp_path / "out", "audiofolder", audio="link")
    assert (tmp_path / "out/train/audio/mine-007.flac").samefile(prepared / "audio/train0.flac")
    convert(pointing, tmp_path / "nemo", "nemo", audio="link")
    assert (tmp_path / "nemo/audio/tape.wav").samefile(tmp_path / "tapes/a/tape.wav")
    convert(pointing, tmp_path / "folder", "audiofolder", audio="link")
    assert soundfile.info(tmp_path / "folder/audio/left-1.flac").frames == 6394  # a piece has to be cut
    assert (tmp_path / "folder/audio/left-4.wav").samefile(tmp_path / "tapes/b/tape.wav")


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_another_disk_cannot_be_linked_to(prepared: Path, tmp_path: Path) -> None:
    if Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("temporary files lie in memory as well")
    out = Path("/dev/shm") / f"speechadapt-{os.getpid()}"
    with pytest.raises(SpeechadaptError, match=r"train0.flac: cannot be linked into .*; hard links need one and the same disk. Use --copy"):
        convert(prepared, out, "nemo", audio="link")
    assert not out.exists()


def test_recordings_can_be_left_in_place(pointing: Path, tmp_path: Path) -> None:
    for to in ("kaldi", "lhotse", "nemo"):
        convert(pointing, tmp_path / to, to, audio="in-place")
        assert not (tmp_path / to / "audio").exists()
        back = prepare(to, tmp_path / to, tmp_path / f"{to}-back", audio_root=tmp_path / "tapes")
        for row, (manifest, u) in rows_of(pointing).items():
            expected = sound_of_16_bits(sound_of(manifest, u))
            np.testing.assert_array_equal(read_waveform(tmp_path / f"{to}-back" / back[row].audio_filepath), expected)


def test_channels_are_mixed_as_manifests_mean_them(tmp_path: Path, tone: Any) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    both = np.stack([tone(1.0, seed=1), tone(1.0, seed=2)], axis=1)
    soundfile.write(folder / "call.wav", both, 16_000, subtype="PCM_16")
    make_manifest(folder, "all", [{"id": "c", "text": "both", "audio_filepath": "call.wav", "offset": 0.25, "duration": 0.5}])
    for to in ("kaldi", "lhotse", "nemo", "audiofolder"):
        report = convert(folder, tmp_path / to, to)
        assert report.repairs == ({} if to == "audiofolder" else {"recordings of several channels written as their mean": 1})
        (found,) = (tmp_path / to / "audio").iterdir()
        assert soundfile.info(found).channels == 1
        written = read_waveform(found) if to == "audiofolder" else read_waveform(found, offset=0.25, duration=0.5)
        np.testing.assert_allclose(written, read_waveform(folder / "call.wav", offset=0.25, duration=0.5), atol=1 / 32768 if to == "kaldi" else 0)
        if to != "audiofolder":
            with pytest.raises(
                ManifestError, match=r'utterance "c": its recording .*call.wav has 2 channels, of which other programs take the first'
            ):
                convert(folder, tmp_path / f"{to}-left", to, audio="in-place")


def test_options_that_mean_nothing_are_refused() -> None:
    for options, message in (
        ({"to": "csv"}, r'--to "csv": must be one of audiofolder, parquet, kaldi, lhotse, nemo'),
        ({"to": "parquet", "audio": "link"}, r"--link: Parquet files hold the audio inside"),
        ({"to": "audiofolder", "audio": "in-place"}, r"--in-place: an AudioFolder holds its audio. Choose --link"),
        ({"to": "nemo", "relative": True}, r"--relative: is for kaldi and lhotse; the paths of nemo always are"),
        ({"to": "kaldi", "relative": True, "audio": "in-place"}, r"--relative: with --in-place the audio lies elsewhere"),
        ({"to": "parquet", "shard_size": 10}, r"--shard-size 10: must be 1MB or more"),
    ):
        with pytest.raises(MisuseError, match=message):
            ConvertOptions(**options)  # type: ignore[arg-type]


def test_a_folder_moved_with_relative_paths_still_works(pointing: Path, tmp_path: Path) -> None:
    for to in ("kaldi", "lhotse"):
        convert(pointing, tmp_path / to, to, relative=True)
        (tmp_path / to).rename(tmp_path / f"moved-{to}")
        back = prepare(to, tmp_path / f"moved-{to}", tmp_path / f"{to}-back")
        assert len(back) == 4
    assert "tape audio/tape.wav" in (tmp_path / "moved-kaldi/wav.scp").read_text().splitlines()
