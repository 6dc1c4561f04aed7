"""Pieces: recordings of any length cut in their silences, whatever chunks they come in."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

pytest.importorskip("silero_vad", reason="the extra vad is not installed")
pytest.importorskip("hibari", reason="the synthetic voice is not installed")

from long_recordings import RATE, Truth, put_together, some_sentences, speak

from speechadapt.audio.pieces import Piece, QuietCutter, SpeechCutter, cut_at_quiet, whole_piece
from speechadapt.audio.voice_activity import FRAME, VoiceActivity, find_speech, shared_vad

PAUSES = (0.8, 4.0, 0.5, 1.2, 5.0, 0.9)


@pytest.fixture(scope="module")
def talk() -> tuple[NDArray[np.float32], Truth]:
    return put_together([speak(text) for text in some_sentences(5, seed=5)], PAUSES)


def pieces_of(waveform: NDArray[np.float32], limit: float = 28.0, chunk: int = 16_000, apart: float = 1.5, vad: object = "silero") -> list[Piece]:
    cutter = SpeechCutter(shared_vad() if vad == "silero" else vad, limit=limit, apart=apart)
    found = [piece for first in range(0, len(waveform), chunk) for piece in cutter.feed(waveform[first : first + chunk])]
    return found + cutter.finish()


def test_pieces_end_in_long_silences_and_hold_all_speech(talk: tuple[NDArray[np.float32], Truth]) -> None:
    waveform, truth = talk
    found = pieces_of(waveform)
    assert len(found) == 3
    expected = [(truth[0][0], truth[0][1]), (truth[1][0], truth[3][1]), (truth[4][0], truth[4][1])]
    for piece, (start, end) in zip(found, expected, strict=True):
        assert piece.spans[0][0] / RATE == pytest.approx(start, abs=0.3)
        assert piece.spans[-1][1] / RATE == pytest.approx(end, abs=0.3)
        assert piece.start <= piece.spans[0][0] < piece.spans[-1][1] <= piece.end
        assert np.array_equal(piece.waveform, waveform[piece.start : piece.end])
    assert len(found[1].spans) >= 3, "the pauses inside are known"


@pytest.mark.parametrize("chunk", [1, 511, 512, 7000, 10**7])
def test_chunks_leave_no_trace(chunk: int, talk: tuple[NDArray[np.float32], Truth]) -> None:
    waveform = talk[0][: 4 * RATE] if chunk == 1 else talk[0]
    found, expected = pieces_of(waveform, limit=5.0, chunk=chunk), pieces_of(waveform, limit=5.0)
    assert [(one.start, one.end, one.spans) for one in found] == [(one.start, one.end, one.spans) for one in expected]
    assert all(np.array_equal(one.waveform, other.waveform) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("limit", [2.5, 5.0, 9.0])
def test_no_piece_is_longer_than_the_limit_and_none_overlap(limit: float, talk: tuple[NDArray[np.float32], Truth]) -> None:
    found = pieces_of(talk[0], limit=limit)
    assert max(len(piece.waveform) for piece in found) <= limit * RATE
    assert all(left.end <= right.start for left, right in itertools.pairwise(found))
    covered = sum(min(end, piece.end / RATE) - max(start, piece.start / RATE) for start, end in talk[1] for piece in found
                  if piece.end / RATE > start and piece.start / RATE < end)  # fmt: skip
    assert covered >= 0.93 * sum(end - start for start, end in talk[1])


def test_cuts_lie_in_pauses_where_there_are_any(talk: tuple[NDArray[np.float32], Truth]) -> None:
    waveform, truth = talk
    found = pieces_of(waveform, limit=9.0)
    for left in found[:-1]:
        assert not any(start + 0.3 < left.end / RATE < end - 0.3 for start, end in truth), "not in a sentence"


def test_speech_without_a_pause_is_cut_all_the_same() -> None:
    sentence = speak(some_sentences(1, seed=3)[0])
    waveform = np.tile(sentence, 8).astype(np.float32)
    found = pieces_of(waveform, limit=6.0)
    assert len(found) > len(waveform) / RATE / 6.0
    assert max(len(piece.waveform) for piece in found) <= 6 * RATE


@pytest.mark.parametrize("level", [0.0, 1e-4, 1e-3, 1e-2, 0.1])
def test_silence_and_white_noise_have_no_pieces(level: float) -> None:
    assert pieces_of(np.random.default_rng(0).normal(0, level, 12 * RATE).astype(np.float32)) == []


@pytest.mark.parametrize("level", [0.003, 0.03, 0.3])
@pytest.mark.parametrize("kind", ["hum", "chord", "click"])
def test_hum_music_and_clicks_have_no_pieces(kind: str, level: float) -> None:
    time = np.arange(12 * RATE) / RATE
    if kind == "hum":
        sound = np.sin(2 * np.pi * 50 * time) + 0.3 * np.sin(2 * np.pi * 150 * time)
    elif kind == "chord":
        sound = sum(np.sin(2 * np.pi * tone * time) for tone in (220.0, 277.2, 329.6)) / 3 * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * time))
    else:
        sound = np.where(np.arange(len(time)) % RATE < 40, 1.0, 0.0)
    assert pieces_of((level * sound).astype(np.float32)) == []


def test_memory_is_what_is_open(talk: tuple[NDArray[np.float32], Truth]) -> None:
    """Ten minutes go through; never more than the longest piece and a chunk are kept."""
    cutter = SpeechCutter(shared_vad(), limit=8.0)
    kept = 0
    for _ in range(18):
        for first in range(0, len(talk[0]), 4000):
            cutter.feed(talk[0][first : first + 4000])
            _ = cutter.open
            kept = max(kept, cutter.sound.end - cutter.sound.origin)
    assert kept <= 11 * RATE


def test_voice_activity_is_the_same_in_any_chunks(talk: tuple[NDArray[np.float32], Truth]) -> None:
    waveform = talk[0][: 10 * RATE + 100]
    expected = shared_vad().audio_forward(waveform)
    for chunk in (100, 5000):
        activity = VoiceActivity(shared_vad())
        found = [activity.hear(waveform[first : first + chunk]) for first in range(0, len(waveform), chunk)]
        assert np.allclose(np.concatenate([*found, activity.finish()]), expected, atol=1e-6)
    assert len(expected) == -(-len(waveform) // FRAME)


def test_speech_is_found_in_samples_as_in_a_file(talk: tuple[NDArray[np.float32], Truth], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "talk.wav", talk[0], RATE, subtype="FLOAT")
    found = find_speech(shared_vad(), talk[0])
    assert len(found) >= 4
    assert found == find_speech(shared_vad(), tmp_path / "talk.wav")


def test_what_fits_is_one_piece_that_knows_its_speech(talk: tuple[NDArray[np.float32], Truth]) -> None:
    piece = whole_piece(shared_vad(), talk[0])
    assert piece is not None
    assert (piece.start, piece.end) == (0, len(talk[0]))
    assert piece.spans[0][0] / RATE == pytest.approx(talk[1][0][0], abs=0.3)
    assert whole_piece(shared_vad(), np.zeros(RATE, np.float32)) is None
    everything = whole_piece(None, np.zeros(RATE, np.float32))
    assert everything is not None
    assert everything.spans == ((0, RATE),)


def test_loudness_stands_in_for_the_network(talk: tuple[NDArray[np.float32], Truth]) -> None:
    waveform, truth = talk
    found = pieces_of(waveform, vad=None, apart=2.0)
    assert len(found) == 3
    assert found[0].spans[0][0] / RATE == pytest.approx(truth[0][0], abs=0.15)
    assert found[-1].spans[-1][1] / RATE == pytest.approx(truth[-1][1], abs=0.3)
    assert pieces_of(np.random.default_rng(0).normal(0, 1e-3, 20 * RATE).astype(np.float32), vad=None) == []


def test_all_of_a_recording_is_kept_where_nothing_is_known_of_speech() -> None:
    waveform = np.random.default_rng(1).normal(0, 0.1, 100 * RATE).astype(np.float32)
    cutter = QuietCutter(30.0)
    found = [piece for first in range(0, len(waveform), 7777) for piece in cutter.feed(waveform[first : first + 7777])] + cutter.finish()
    assert [(piece.start, piece.end) for piece in found] == cut_at_quiet(waveform, 30.0)
    assert np.array_equal(np.concatenate([piece.waveform for piece in found]), waveform)
    assert QuietCutter(30.0).finish() == []
