"""Kaldi data directories: the rules of Kaldi's own validation, names that sort, times exact to a sample, and what the real lhotse reads from them."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from prepared_folders import ODD_RATE, PIECES, make_manifest

from speechadapt.conversion import ConvertOptions, ConvertReport, convert_manifests
from speechadapt.conversion.clips import decimal, exact_seconds
from speechadapt.conversion.names import plain_name
from speechadapt.data.manifest import Manifest
from speechadapt.errors import ManifestError

PAIRED = ("utt2lang", "utt2dur", "text")


def convert(data: Path, out: Path, **options: Any) -> ConvertReport:
    return convert_manifests([data], out, ConvertOptions(to="kaldi", **options))


def read(path: Path) -> list[tuple[str, str]]:
    """Key and value of every line of a list, whose lines must end as Kaldi wants them."""
    data = path.read_bytes()
    assert data.endswith(b"\n"), f"{path.name}: the last line does not end"
    assert b"\r" not in data, f"{path.name}: carriage returns"
    lines = data.decode().removesuffix("\n").split("\n")
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1] if " " in line else "") for line in lines]


def keys(path: Path) -> list[str]:
    return [key for key, _ in read(path)]


def assert_sorted(path: Path) -> None:
    """In the order of the C locale, each key once."""
    found = [key.encode() for key in keys(path)]
    assert found == sorted(set(found)), f"{path.name}: not sorted, or a key stands twice"


def validate(folder: Path) -> None:
    """The rules of Kaldi's utils/validate_data_dir.sh and validate_text.pl, as those state them."""
    for name in ("utt2spk", "spk2utt", "text", "wav.scp"):
        assert (folder / name).is_file(), f"no {name}"
    for path in folder.iterdir():
        if path.is_file() and path.suffix not in (".md", ".json"):
            assert path.stat().st_size > 0, f"{path.name} is empty"
            assert_sorted(path)
    utt2spk = read(folder / "utt2spk")
    assert all(len(f"{key} {value}".split()) == 2 for key, value in utt2spk)
    by_speaker = sorted(utt2spk, key=lambda line: (f" {line[1]}".encode(), line[0].encode()))  # sort -k2
    assert by_speaker == utt2spk, "utt2spk is in another order when sorted by speaker"
    listed = [(utterance, speaker) for speaker, utterances in read(folder / "spk2utt") for utterance in utterances.split()]
    assert listed == utt2spk, "spk2utt and utt2spk do not match"
    utterances = [key for key, _ in utt2spk]
    speakers = keys(folder / "spk2utt")
    for name in PAIRED:
        if (folder / name).is_file():
            assert keys(folder / name) == utterances, f"{name} and utt2spk differ"
    for key, text in read(folder / "text"):
        blanks = re.findall(r"\s", text)
        assert set(blanks) <= {" "}, f"{key}: blanks that Kaldi does not allow"
        assert not re.search(r"(?<!\w)(<s>|</s>|#0)(?!\w)", text)
    assert all(float(value) > 0 for _, value in read(folder / "utt2dur"))
    assert not any(value.lstrip().startswith("~") or value.rstrip().endswith("|") for _, value in read(folder / "wav.scp"))
    if (folder / "segments").is_file():
        segments = [(key, value.split()) for key, value in read(folder / "segments")]
        assert [key for key, _ in segments] == utterances
        assert all(len(value) == 3 and float(value[2]) > float(value[1]) >= 0 for _, value in segments)
        recordings = sorted({value[0] for _, value in segments})
        assert keys(folder / "wav.scp") == recordings
        assert keys(folder / "reco2dur") == recordings
    else:
        assert keys(folder / "wav.scp") == utterances
    if (folder / "spk2gender").is_file():
        assert keys(folder / "spk2gender") == speakers
        assert {value for _, value in read(folder / "spk2gender")} <= {"m", "f"}


def test_every_split_passes_validation(prepared: Path, tmp_path: Path) -> None:
    report = convert(prepared, tmp_path / "out")
    for split in ("train", "dev", "test"):
        validate(tmp_path / "out" / split)
        assert all(re.fullmatch("[A-Za-z0-9_-]+", key) for key in keys(tmp_path / "out" / split / "utt2spk"))
    train = tmp_path / "out/train"
    assert dict(read(train / "utt2id")) == {
        "mine_ab": "mine-ab", "mine_b-mine-007": "mine-007", "mine_b-mine-a_b_c": "mine-a b|c", "mine_b_1-mine-A_b_c": "mine-A b|c",
        "mine_zh": "mine-zh",
    }  # fmt: skip
    assert dict(read(train / "spk2id")) == {"mine_b": "mine:b", "mine_b_1": "mine:b-1"}
    assert dict(read(tmp_path / "out/dev/spk2id")) == {"mine_b_1_2": "mine:b_1"}  # another speaker, though both names have the same letters
    assert read(train / "text") == [
        ("mine_ab", "first line second part"), ("mine_b-mine-007", "Put the kettle on, please."), ("mine_b-mine-a_b_c", "NA"),
        ("mine_b_1-mine-A_b_c", "لا أعرف"), ("mine_zh", "你好，世界"),
    ]  # fmt: skip
    assert dict(read(train / "utt2lang"))["mine_ab"] == "und"
    assert read(train / "utt2gender")[-1] == ("mine_zh", "other")
    assert not (train / "spk2gender").exists()  # one speaker's is not known
    assert read(tmp_path / "out/test/spk2gender") == [("mine_a", "m")]
    assert report.repairs == {"texts with line breaks, tabs, unusual or repeated blanks, written with single ones": 1}
    assert report.notes == ("train: no spk2gender, which must say m or f of every speaker; what is known stands in utt2gender",)


def test_recordings_are_wav_that_kaldi_reads(prepared: Path, tmp_path: Path) -> None:
    convert(prepared, tmp_path / "out")
    manifest = Manifest.read(prepared / "train.jsonl")
    paths = dict(read(tmp_path / "out/train/wav.scp"))
    ids = {value: key for key, value in read(tmp_path / "out/train/utt2id")}
    for u in manifest:
        path = Path(paths[ids[u.id]])
        assert path.is_relative_to(tmp_path / "out/audio")
        info = soundfile.info(path)
        assert (info.format, info.subtype, info.channels, info.samplerate) == ("WAV", "PCM_16", 1, 16_000)
        np.testing.assert_array_equal(soundfile.read(path, dtype="int16")[0], soundfile.read(manifest.audio_path(u), dtype="int16")[0])


@pytest.mark.parametrize("audio", ["copy", "link", "in-place"])
def test_segments_are_exact_for_programs_that_round_and_for_those_that_cut_off(audio: str, pointing: Path, tmp_path: Path) -> None:
    report = convert(pointing, tmp_path / "out", audio=audio)
    validate(tmp_path / "out")
    ids = dict(read(tmp_path / "out/utt2id"))
    for key, value in read(tmp_path / "out/segments"):
        recording, start, end = value.split()
        if ids[key] in PIECES:
            first, count = PIECES[ids[key]]
            for exact in (int, round):  # extract-segments cuts off
                assert (exact(float(start) * ODD_RATE), exact(float(end) * ODD_RATE)) == (first, first + count)
            assert recording == "tape"
    assert read(tmp_path / "out/reco2dur") == [("tape", "5"), ("tape_2", "0.7")]
    assert any("read 16-bit WAV only" in note for note in report.notes) == (audio != "copy")


@given(st.integers(0, 500_000_000), st.sampled_from([8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000]))
def test_exact_seconds_give_the_sample_back(sample: int, rate: int) -> None:
    for seconds in (exact_seconds(sample, rate), float(decimal(exact_seconds(sample, rate)))):
        assert int(seconds * rate) == round(seconds * rate) == sample
        assert seconds == pytest.approx(sample / rate, abs=5e-7)


@given(st.lists(st.tuples(st.text("ab-_ é", min_size=1, max_size=4), st.text("ab-_ é", min_size=1, max_size=4)), min_size=2, max_size=8, unique=True))
def test_sorted_by_utterance_is_sorted_by_speaker(rows: Sequence[tuple[str, str]]) -> None:
    named = [(f"{plain_name(speaker, '')}-{plain_name(utterance)}", plain_name(speaker, "")) for speaker, utterance in rows]
    alone = [(plain_name(utterance, ""),) * 2 for _, utterance in rows]
    speakers = {speaker for _, speaker in named}
    lines = sorted({*named, *(line for line in alone if line[1] not in speakers)})
    assert sorted(lines, key=lambda line: (line[1], line[0])) == lines


def test_many_names_sort_in_a_real_directory(tmp_path: Path, write_tone: Any) -> None:
    folder = tmp_path / "mine"
    write_tone(folder / "a.wav", 0.5)
    people = ["a", "a-b", "a_b", "a b", "ab", "A", "a:1", "é", "ß", None]
    rows = [
        {"id": f"{person}-{line}-{number}", "text": "x", "audio_filepath": "a.wav", "duration": 0.5, "speaker": person}
        for number, (person, line) in enumerate(itertools.product(people, ("1", "-", "a b")))
    ]
    make_manifest(folder, "all", rows)
    report = convert(folder, tmp_path / "out")
    validate(tmp_path / "out")
    assert report.splits["all"]["speakers"] == 9
    assert len(read(tmp_path / "out/spk2id")) == 9
    assert sorted(value for _, value in read(tmp_path / "out/utt2id")) == sorted(row["id"] for row in rows)
    (path,) = {value for _, value in read(tmp_path / "out/wav.scp")}  # one file for all of them
    assert path == str(tmp_path / "out/audio/a.wav")


def test_a_speaker_of_two_genders_has_none_in_spk2gender(tmp_path: Path, write_tone: Any) -> None:
    folder = tmp_path / "mine"
    write_tone(folder / "a.wav", 0.5)
    row = {"text": "x", "audio_filepath": "a.wav", "duration": 0.5, "speaker": "p"}
    make_manifest(folder, "all", [{**row, "id": "1", "gender": "male"}, {**row, "id": "2", "gender": "female"}, {**row, "id": "3"}])
    report = convert(folder, tmp_path / "out")
    assert not (tmp_path / "out/spk2gender").exists()
    assert read(tmp_path / "out/utt2gender") == [("p-1", "male"), ("p-2", "female")]
    assert len(report.notes) == 1
    make_manifest(folder, "all", [{**row, "id": "1", "gender": "male"}, {**row, "id": "3"}])
    convert(folder, tmp_path / "out")
    assert read(tmp_path / "out/spk2gender") == [("p", "m")]


def test_what_kaldi_would_run_or_misread_is_told(tmp_path: Path, write_tone: Any) -> None:
    folder = tmp_path / "mine"
    for name in ("touch pwned |", "tape.wav:12"):
        write_tone(folder / name, 0.5)
        make_manifest(folder, "all", [{"id": "a", "text": "x", "audio_filepath": name, "duration": 0.5}])
        with pytest.raises(ManifestError, match=r'utterance "a": Kaldi would not take ".*" for the name of a file. Rename the file, or use --copy'):
            convert(folder, tmp_path / "out", audio="in-place")
        convert(folder, tmp_path / "out")
        validate(tmp_path / "out")
    rates = [{"id": str(rate), "text": "say <s> or #0", "audio_filepath": f"{rate}.wav", "duration": 0.5} for rate in (8_000, 16_000)]
    for rate in (8_000, 16_000):
        write_tone(folder / f"{rate}.wav", 0.5, sampling_rate=rate)
    make_manifest(folder, "all", rates)
    report = convert(folder, tmp_path / "out")
    assert report.notes == ("recordings have 2 sampling rates (8000, 16000 Hz); Kaldi's features want one",)
    assert report.repairs == {"texts with <s>, </s>, #0, which Kaldi's validation refuses, left as they are": 2}


def test_blanks_of_any_alphabet_become_plain_ones(tmp_path: Path, write_tone: Any) -> None:
    folder = tmp_path / "mine"
    write_tone(folder / "a.wav", 0.5)
    row = {"audio_filepath": "a.wav", "duration": 0.5}
    texts = ["a\u00a0b\u3000c\u2028d", " \t\n", "می\u200cخواهم", "nul\x00 bell\x07"]
    make_manifest(folder, "all", [{**row, "id": str(number), "text": text} for number, text in enumerate(texts)])
    convert(folder, tmp_path / "out")
    validate(tmp_path / "out")
    assert [text for _, text in read(tmp_path / "out/text")] == ["a b c d", "", "می\u200cخواهم", "nul bell"]


def test_lhotse_reads_the_same_samples(prepared: Path, pointing: Path, tmp_path: Path) -> None:
    pytest.importorskip("lhotse", reason="lhotse reads Kaldi's directories")
    from lhotse.kaldi import load_kaldi_data_dir

    convert(pointing, tmp_path / "long")
    recordings, supervisions, _ = load_kaldi_data_dir(tmp_path / "long", sampling_rate=ODD_RATE)
    ids = dict(read(tmp_path / "long/utt2id"))
    tape, _ = soundfile.read(tmp_path / "tapes/a/tape.wav", dtype="float32")
    for supervision in supervisions:
        if ids[supervision.id] in PIECES:
            first, count = PIECES[ids[supervision.id]]
            read_back = recordings[supervision.recording_id].load_audio(offset=supervision.start, duration=supervision.duration)
            np.testing.assert_array_equal(read_back[0], tape[first : first + count])
    convert(prepared, tmp_path / "short")
    recordings, supervisions, _ = load_kaldi_data_dir(tmp_path / "short/train", sampling_rate=16_000)
    found = {supervision.id: supervision for supervision in supervisions}
    first = found["mine_b-mine-007"]
    assert (first.text, first.speaker, first.language) == ("Put the kettle on, please.", "mine_b", "en")
    for u in (manifest := Manifest.read(prepared / "train.jsonl")):
        key = next(key for key, value in read(tmp_path / "short/train/utt2id") if value == u.id)
        expected, _ = soundfile.read(manifest.audio_path(u), dtype="float32")
        np.testing.assert_array_equal(recordings[key].load_audio()[0], expected)
    _, supervisions, _ = load_kaldi_data_dir(tmp_path / "short/test", sampling_rate=16_000)
    assert [supervision.gender for supervision in supervisions] == ["m"]
