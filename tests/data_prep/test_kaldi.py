"""Kaldi data directories: segments, odd line ends, lists that disagree, and commands that are never run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fuzzing import fuzz, places, spoil
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.audio.waveform import read_waveform
from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import PrepareOptions, PrepReport
from speechadapt.preparation.intake import Intake

script: Any = load_bundled("data_prep", "kaldi")
RATE = 16_000


def ramp(seconds: float) -> np.ndarray:
    return (np.arange(round(seconds * RATE)) % 60_000 - 30_000).astype(np.int16)


def write_lists(folder: Path, **lists: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in lists.items():
        (folder / name.replace("_", ".")).write_bytes(text.encode())
    return folder


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "corpus"
    (root / "audio").mkdir(parents=True)
    soundfile.write(root / "audio/session one.wav", ramp(3.5), RATE, subtype="PCM_16")
    write_tone(root / "audio/rec2.wav", 2.0, seed=2)
    return write_lists(
        root / "data",
        wav_scp="rec1 audio/session one.wav\r\nrec2\taudio/rec2.wav\r\nrec3 touch pwned |\r\n",
        segments=(
            "b-1 rec1 0.5 1.25\r\na-1 rec1 1.25 -1\r\nb-2 rec2 0 2.3\r\nb-3 rec2 0 2.7\r\nb-4 rec3 0 1\r\n"
            "b-5 rec2 1.5 1.5\r\nb-6 rec2 x 1\r\nb-7 rec9 0 1\r\nb-8 rec2 0.2 1.0\r\nb-9 rec2 0 1\r\n"
        ),
        text=(
            "b-1 put the kettle on\r\na-1 two  words\r\nb-2 clamped\r\nb-3 too far\r\nb-4 piped\r\nb-5 nothing\r\nb-6 odd\r\n"
            "b-7 lost\r\nb-8\r\nonly-text hello\r\n"
        ),
        utt2spk="b-1 b\r\na-1 a\r\nb-2 b\r\n",
        spk2gender="a f\r\nb m\r\n",
        utt2dialect="b-1 North East\r\n",
    )


def prepare(source: Path, out: Path, settings: Any = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), settings or script.Settings())
    return report


def test_segments_are_cut_to_the_sample_and_every_loss_is_counted(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"empty-text": 1, "missing": 1, "not-in-segments": 1, "not-in-text": 1, "out-of-range": 3, "pipe": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 11
    assert report.repairs == {"segment end beyond its recording, shortened": 1}
    assert report.facts == {"data: keys not in segments": 1, "data: keys not in text": 1}
    rows = Manifest.read(tmp_path / "out/all.jsonl")
    assert [u.id for u in rows] == ["kaldi-a-1", "kaldi-b-1", "kaldi-b-2"]  # sorted, whatever the order of the lists
    a, b, clamped = rows
    assert (b.text, b.speaker, b.gender, b.accent, b.accent_raw, b.recording) == (
        "put the kettle on", "kaldi:b", "male", "north_east", "North East", "kaldi:rec1",
    )  # fmt: skip
    assert a.text == "two words"
    assert (b.duration, a.duration, clamped.duration) == (0.75, 2.25, 2.0)
    samples = np.round(read_waveform(tmp_path / "out" / b.audio_filepath) * 32768).astype(np.int16)
    np.testing.assert_array_equal(samples, ramp(3.5)[8000:20_000])


def test_commands_are_refused_by_name_and_never_run(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = prepare(corpus, tmp_path / "out")
    (message,) = report.dropped_examples["pipe"]
    assert message.startswith('row "b-4" (data/segments): "touch pwned |" is a shell command, and commands in a corpus are never executed.')
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("sph2pipe -f wav -p -c 1 audio/x.SPH |", "audio/x.SPH"),
        ("flac -c -d -s audio/x.flac |", "audio/x.flac"),
        ("/usr/bin/sox 'audio/my file.wav' -t wav - |", "audio/my file.wav"),
        ("audio/plain file.wav", "audio/plain file.wav"),
    ],
)
def test_a_plain_unpacking_command_names_its_file(value: str, path: str) -> None:
    assert script.parse_source(value, "path") == path


@pytest.mark.parametrize(
    "value",
    [
        "flac -c -d -s a.flac | sox - -t wav - |", "rm -rf a.wav |", "sox a.wav -t wav - ; touch pwned |", "sox $(touch pwned).wav - |",
        "sox a.wav b.wav |", "sox 'a.wav |", "cat a.wav > b |", "| touch pwned", "|",
    ],
)  # fmt: skip
def test_anything_else_is_refused_even_then(value: str) -> None:
    with pytest.raises(AudioError, match="is a shell command") as caught:
        script.parse_source(value, "path")
    assert caught.value.reason == "pipe"


def test_files_of_commands_are_read_when_asked_for(tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "c/a.wav", 1.0)
    folder = write_lists(tmp_path / "c", wav_scp="u1 sox a.wav -t wav - |\n", text="u1 hello\n")
    assert prepare(folder, tmp_path / "out", script.Settings(pipes="path")).kept == 1
    with pytest.raises(CorpusError, match=r"none of 1 rows is left \(1 pipe\)"):
        prepare(folder, tmp_path / "out2")
    with pytest.raises(MisuseError, match='pipes="run": must be refuse or path'):
        prepare(folder, tmp_path / "out3", script.Settings(pipes="run"))


def test_paths_may_not_leave_the_corpus(tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "secret.wav")
    write_tone(tmp_path / "a/b/c/good.wav")
    folder = write_lists(
        tmp_path / "a/b/c",
        wav_scp=f"u1 good.wav\nu2 ../../../secret.wav\nu3 {tmp_path / 'secret.wav'}\nu4 /etc/hostname\n",
        text="u1 a\nu2 b\nu3 c\nu4 d\n",
    )
    report = prepare(folder, tmp_path / "out")
    assert report.dropped == {"outside-corpus": 3}
    assert '"../../../secret.wav" leaves the folder of the corpus' in report.dropped_examples["outside-corpus"][0]
    trusted = prepare(folder, tmp_path / "out2", script.Settings(audio_root=tmp_path))
    assert trusted.dropped == {"missing": 1, "outside-corpus": 2}  # good.wav is not beside the root, /etc and ../../.. are not under it
    assert trusted.kept == 1


def test_a_folder_of_splits_keeps_them_and_whole_recordings_need_no_segments(tmp_path: Path, write_tone: Any) -> None:
    root = tmp_path / "egs"
    for split, speakers in (("train", "abcd"), ("test", "xy")):
        for speaker in speakers:
            write_tone(root / f"wavs/{speaker}.WAV", 0.5, seed=ord(speaker))
        write_lists(
            root / "data" / split,
            wav_scp="".join(f"{s}-1 wavs/{s}.wav\n" for s in speakers),  # relative to two levels above, and another case
            text="".join(f"{s}-1 says {s * 3}\n" for s in speakers),
            spk2utt="".join(f"{s} {s}-1\n" for s in speakers),
        )
    report = prepare(root / "data", tmp_path / "out")
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 3, "dev": 1, "test": 2}
    test = Manifest.read(tmp_path / "out/test.jsonl")
    assert test.speakers == ("kaldi:x", "kaldi:y")
    assert [u.recording for u in test] == [None, None]


def test_a_folder_without_lists_is_told(tmp_path: Path) -> None:
    (tmp_path / "wavs").mkdir()
    with pytest.raises(
        CorpusError, match=r"no Kaldi data directory; looked for wav\.scp, found: wavs\. It should be a folder with wav\.scp and text"
    ):
        prepare(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(("value", "parsed"), [("rec1 0.35 1.00", ("rec1", 0.35, 0.65)), ("rec1 2 -1", ("rec1", 2.0, None))])
def test_segment_lines(value: str, parsed: tuple[str, float, float | None]) -> None:
    recording, offset, duration = script.parse_segment(value)
    assert (recording, offset) == parsed[:2]
    assert duration == (None if parsed[2] is None else pytest.approx(parsed[2]))


@pytest.mark.parametrize("value", ["rec1 1.0 0.5", "rec1 1.0", "rec1 a b", "rec1 -2 1", "rec1 nan 1"])
def test_impossible_segments(value: str) -> None:
    with pytest.raises(AudioError) as caught:
        script.parse_segment(value)
    assert caught.value.reason == "out-of-range"


def test_lists_that_are_not_utf8_are_refused(corpus: Path, tmp_path: Path) -> None:
    (corpus / "text").write_bytes(b"b-1 caf\xe9\n")
    with pytest.raises(CorpusError, match=r"data/text: cannot be read as UTF-8 .*Save it as UTF-8"):
        prepare(corpus, tmp_path / "out")


@fuzz()
@given(
    name=st.sampled_from(["wav.scp", "segments", "text", "utt2spk", "spk2gender", "utt2dialect"]),
    damage=places,
    pipes=st.sampled_from(["refuse", "path"]),
)
def test_spoilt_lists_lose_no_row(corpus: Path, tmp_path: Path, name: str, damage: list[tuple[float, int, bytes | str]], pipes: str) -> None:
    good = (corpus / name).read_bytes()
    try:
        (corpus / name).write_bytes(spoil(good, damage))
        try:
            report = prepare(corpus, tmp_path / "out", script.Settings(pipes=pipes), dry_run=True, allow_missing=True)
        except CorpusError:
            return
        listed = script.read_list(corpus, "segments", Intake()) or script.read_list(corpus, "wav.scp", Intake())
        assert report.kept + sum(report.dropped.values()) == len({*listed, *script.read_list(corpus, "text", Intake())})
        assert not list(tmp_path.rglob("pwned"))
    finally:
        (corpus / name).write_bytes(good)
