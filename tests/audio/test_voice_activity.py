"""Voice activity: where the voice speaks in recordings whose pauses are known, whatever their length, rate and format."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

pytest.importorskip("silero_vad", reason="the extra vad is not installed")
pytest.importorskip("hibari", reason="the synthetic voice is not installed")

from long_recordings import RATE, Truth, put_together, some_sentences, speak

from speechadapt.audio.voice_activity import FRAME, PIECE_FRAMES, find_speech, load_vad
from speechadapt.errors import AudioError, MissingExtraError

PAUSES = (0.8, 1.0, 0.9, 1.2)


@pytest.fixture(scope="module")
def vad() -> object:
    return load_vad()


@pytest.fixture(scope="module")
def talk() -> tuple[np.ndarray, Truth]:
    return put_together([speak(text) for text in some_sentences(3, seed=5)], PAUSES)


def assert_found(spans: object, truth: Truth, shift: float = 0.0) -> None:
    assert [(span.start - shift, span.end - shift) for span in spans] == [  # type: ignore[attr-defined]
        (pytest.approx(start, abs=0.25), pytest.approx(end, abs=0.35)) for start, end in truth
    ]


def test_sentences_are_found_and_pauses_are_not(vad: object, talk: tuple[np.ndarray, Truth], tmp_path: Path) -> None:
    waveform, truth = talk
    soundfile.write(tmp_path / "talk.wav", waveform, RATE)
    assert_found(find_speech(vad, tmp_path / "talk.wav"), truth)
    high = soxr.resample(waveform, RATE, 44_100)
    soundfile.write(tmp_path / "talk.flac", np.stack([high, 0.6 * high], axis=1), 44_100)
    assert_found(find_speech(vad, tmp_path / "talk.flac"), truth)
    [whole] = find_speech(vad, tmp_path / "talk.wav", gap=3.0)
    assert_found([whole], [(truth[0][0], truth[-1][1])])


def test_no_stretch_is_longer_than_asked_for(vad: object, talk: tuple[np.ndarray, Truth], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "talk.wav", talk[0], RATE)
    spans = find_speech(vad, tmp_path / "talk.wav", gap=3.0, longest=5.0)
    assert len(spans) >= 3
    assert max(span.end - span.start for span in spans) <= 5.0
    assert all(before.end <= after.start for before, after in itertools.pairwise(spans))


@pytest.mark.parametrize("level", [0.0, 1e-3, 0.03])
def test_silence_and_noise_are_no_speech(vad: object, tmp_path: Path, level: float) -> None:
    soundfile.write(tmp_path / "still.wav", np.random.default_rng(0).normal(0, level, 10 * RATE), RATE)
    assert find_speech(vad, tmp_path / "still.wav") == ()


def test_longer_recordings_are_heard_in_pieces_that_fit_together(vad: object, talk: tuple[np.ndarray, Truth], tmp_path: Path) -> None:
    waveform, truth = talk
    piece = FRAME * PIECE_FRAMES / RATE
    shift = piece - (truth[1][0] + truth[1][1]) / 2  # the first piece ends in the middle of the second sentence
    long = np.random.default_rng(1).normal(0, 1e-3, round(piece * RATE) + 20 * RATE).astype(np.float32)
    first = round(shift * RATE)
    long[first : first + len(waveform)] = waveform
    soundfile.write(tmp_path / "long.wav", long, RATE)
    spans = find_speech(vad, tmp_path / "long.wav")
    assert_found(spans, truth, first / RATE)
    assert find_speech(vad, tmp_path / "long.wav") == spans  # nothing stays in the network from one recording to the next


def test_torch_keeps_its_threads_and_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for name in [name for name in sys.modules if name.partition(".")[0] == "silero_vad"]:
            monkeypatch.delitem(sys.modules, name)
        load_vad()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'speechadapt\[vad\]'"):
        load_vad()


def test_what_is_no_recording(vad: object, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(AudioError, match="not a recording"):
        find_speech(vad, tmp_path / "text.wav")
    (tmp_path / "empty.wav").touch()
    with pytest.raises(AudioError, match="zero bytes"):
        find_speech(vad, tmp_path / "empty.wav")
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE)
    with pytest.raises(AudioError, match="no samples"):
        find_speech(vad, tmp_path / "none.wav")
