"""Streaming: partial texts that settle and final ones that keep what was settled, whatever chunks the sound comes in."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

pytest.importorskip("silero_vad", reason="the extra vad is not installed")
pytest.importorskip("hibari", reason="the synthetic voice is not installed")

from long_recordings import RATE, put_together, some_sentences, speak

from speechadapt.errors import AudioError, MisuseError
from speechadapt.models.speech_model import Decoded, DecodeSettings
from speechadapt.serve.streaming import StreamEvent, StreamingTranscriber, continuation
from speechadapt.transcriber import Transcriber

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from speechadapt.models.whisper import WhisperModel

Folder = Callable[[str], Path]
LISTENER = "embedded:wav2vec2-small"


@pytest.fixture(scope="module")
def transcriber() -> Transcriber:
    """The embedded base, which understands the synthetic voice and is quick."""
    return Transcriber(LISTENER, device="cpu", settings=DecodeSettings(precision="fp32"))


@pytest.fixture(scope="module")
def talk() -> NDArray[np.float32]:
    return put_together([speak(text) for text in some_sentences(3, seed=5)], (0.6, 1.4, 1.2, 1.0))[0]


def run(stream: StreamingTranscriber, waveform: NDArray[Any], cuts: Sequence[int] = ()) -> list[StreamEvent]:
    events: list[StreamEvent] = []
    for first, last in zip([0, *cuts], [*cuts, len(waveform)], strict=True):
        events += stream.feed(waveform[first:last])
    return events + stream.finish()


def finals(events: Sequence[StreamEvent]) -> list[str]:
    return [event.text for event in events if event.kind == "final"]


def unlike(one: str, other: str) -> float:
    """The share of letters that differ; this small base puts its blanks here and there."""
    return Levenshtein.normalized_distance(one.replace(" ", ""), other.replace(" ", ""))


def assert_settled(events: Sequence[StreamEvent]) -> None:
    """What was stable is how everything later of the same stretch begins, and nothing comes behind a final event."""
    for segment in {event.segment for event in events}:
        own = [event for event in events if event.segment == segment]
        assert [event.kind for event in own[:-1]] == ["partial"] * (len(own) - 1)
        assert own[-1].kind == "final"
        for before, after in itertools.pairwise(own):
            said = before.stable.split()
            assert after.stable.split()[: len(said)] == said
    assert [event.segment for event in events] == sorted(event.segment for event in events)


def test_a_talk_comes_out_sentence_by_sentence(transcriber: Transcriber, talk: NDArray[np.float32]) -> None:
    events = run(StreamingTranscriber(transcriber), talk, range(4000, len(talk), 4000))
    assert_settled(events)
    texts = finals(events)
    assert len(texts) == 3
    assert unlike(" ".join(texts), transcriber.transcribe(talk).text) < 0.15
    partial = [event for event in events if event.kind == "partial"]
    assert any(event.stable for event in partial)
    assert any(event.unstable for event in partial)
    first = events[0]
    assert first.start == pytest.approx(0.6, abs=0.3)
    assert first.to_json()["text"] == first.text == f"{first.stable} {first.unstable}".strip()
    assert events[-1].end <= len(talk) / RATE


@pytest.fixture(scope="module")
def expected(transcriber: Transcriber, talk: NDArray[np.float32]) -> list[StreamEvent]:
    return run(StreamingTranscriber(transcriber, live=False), talk)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 11 * RATE), max_size=25), live=st.booleans())
def test_chunks_leave_no_trace(cuts: list[int], live: bool, transcriber: Transcriber, talk: NDArray[np.float32], expected: list[StreamEvent]) -> None:
    """Without `live`, the very same events; with it, stable text is kept all the same, and the final texts differ in a letter of seven at most."""
    events = run(StreamingTranscriber(transcriber, live=live), talk, sorted(cuts))
    assert_settled(events)
    if live:
        assert unlike(" ".join(finals(events)), " ".join(finals(expected))) <= 0.15
    else:
        assert events == expected


def test_tiny_chunks_too(transcriber: Transcriber, talk: NDArray[np.float32]) -> None:
    short = talk[: 3 * RATE]
    found = run(StreamingTranscriber(transcriber, live=False), short, range(7, len(short), 97))
    assert found == run(StreamingTranscriber(transcriber, live=False), short)


@pytest.mark.parametrize("rate", [8000, 44_100])
def test_other_rates_and_types(rate: int, transcriber: Transcriber, talk: NDArray[np.float32], expected: list[StreamEvent]) -> None:
    sound = soxr.resample(talk, RATE, rate)
    samples = np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)
    events = run(StreamingTranscriber(transcriber, sampling_rate=rate, live=False), samples, [rate // 3, rate, 5 * rate])
    assert_settled(events)
    assert unlike(" ".join(finals(events)), " ".join(finals(expected))) <= (0.4 if rate == 8000 else 0.15)
    again = run(StreamingTranscriber(transcriber, sampling_rate=rate, live=False), samples, range(100, len(samples), 9999))
    assert again == events


def test_words_have_the_streams_times(transcriber: Transcriber, talk: NDArray[np.float32]) -> None:
    events = run(StreamingTranscriber(transcriber, settings=DecodeSettings(words=True, precision="fp32")), talk)
    last = events[-1]
    assert last.kind == "final"
    assert last.words
    assert all(last.start - 0.3 <= word.start <= word.end <= last.end + 0.3 for word in last.words)


def test_silence_says_nothing_and_takes_no_memory(transcriber: Transcriber) -> None:
    stream = StreamingTranscriber(transcriber)
    random = np.random.default_rng(0)
    for _ in range(60):
        assert stream.feed(random.normal(0, 1e-3, 5 * RATE).astype(np.float32)) == []
    assert stream.seconds == pytest.approx(300, abs=0.1)
    assert stream._cutter.sound.end - stream._cutter.sound.origin <= 3 * RATE
    assert stream.finish() == []
    assert stream.finish() == []


def test_speech_without_end_is_made_final_at_the_limit(transcriber: Transcriber) -> None:
    sentence = speak(some_sentences(1, seed=3)[0])
    events = run(StreamingTranscriber(transcriber, limit=4.0), np.tile(sentence, 5).astype(np.float32), range(8000, 5 * len(sentence), 8000))
    assert_settled(events)
    assert len(finals(events)) >= 3
    assert all(event.end - event.start <= 4.0 for event in events)


def test_several_streams_over_one_model(transcriber: Transcriber, talk: NDArray[np.float32], expected: list[StreamEvent]) -> None:
    found: dict[int, list[StreamEvent]] = {}

    def work(number: int) -> None:
        found[number] = run(StreamingTranscriber(transcriber, live=False), talk, range(3000, len(talk), 3000 + 500 * number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [finals(found[number]) for number in range(3)] == [finals(expected)] * 3


def test_whisper_too(tiny_en: WhisperModel, talk: NDArray[np.float32]) -> None:
    whisper = Transcriber(str(tiny_en.base.folder), device="cpu")
    events = run(StreamingTranscriber(whisper, step=2.0), talk[: 6 * RATE], [3 * RATE])
    assert_settled(events)
    assert "butterfly" in finals(events)[0]
    assert events[-1].language == "en"


class OneAdapterLibrary:
    """An `AdapterLibrary` as a stream sees it: the same model, which notes the adapters asked of it."""

    def __init__(self, transcriber: Transcriber) -> None:
        self.model = transcriber.model
        self.asked: set[str | None] = set()

    def decode(self, waveforms: Sequence[Any], adapters: Sequence[str | None], settings: DecodeSettings | None = None) -> list[Decoded]:
        self.asked |= set(adapters)
        return self.model.decode(waveforms, settings or DecodeSettings())


def test_a_library_is_asked_for_the_adapter(transcriber: Transcriber, talk: NDArray[np.float32]) -> None:
    library = OneAdapterLibrary(transcriber)
    assert finals(run(StreamingTranscriber(library, adapter="scottish"), talk[: 4 * RATE]))
    assert library.asked == {"scottish"}


def test_without_the_network_loudness_finds_the_pauses(transcriber: Transcriber, talk: NDArray[np.float32]) -> None:
    events = run(StreamingTranscriber(transcriber, vad=False), talk, range(4000, len(talk), 4000))
    assert_settled(events)
    assert len(finals(events)) == 3


# What settles


@pytest.mark.parametrize(
    ("stable", "words", "length"),
    [
        ([], ["a", "b"], 0),
        (["a"], ["a", "b"], 1),
        (["A,"], ["a", "b"], 1),
        (["a", "b"], [], 0),
        (["a", "b", "c"], ["a", "x", "c", "d"], 3),
        (["a", "b", "c"], ["a", "c", "d"], 2),
        (["a", "c"], ["a", "b", "c", "d"], 3),
    ],
)
def test_where_a_hearing_goes_on(stable: list[str], words: list[str], length: int) -> None:
    assert continuation(stable, words) == length


# Bad input


def test_samples_that_cannot_be_meant_leave_the_stream_as_it_was(transcriber: Transcriber, talk: NDArray[np.float32]) -> None:
    stream = StreamingTranscriber(transcriber, live=False)
    events = stream.feed(talk[: 2 * RATE])
    for samples, message in [
        (np.zeros((2, 5), np.float32), "samples of shape (2, 5), must be (samples,). Give one mono channel."),
        (np.zeros(5, np.int32), "samples of type int32, must be float in [-1, 1] or int16. Convert them."),
        (np.array([0.0, np.nan]), "1 of 2 samples are NaN or infinite. Check where they come from."),
        (
            np.array([100.0]),
            "float samples as large as 100, must be in [-1, 1]. Divide them (16-bit ones by 32768), or give them as int16.",
        ),
    ]:
        with pytest.raises(AudioError) as caught:
            stream.feed(samples)
        assert str(caught.value) == message
    assert stream.feed(np.zeros(0, np.float32)) == []
    events += [*stream.feed(talk[2 * RATE : 5 * RATE]), *stream.finish()]
    assert events == run(StreamingTranscriber(transcriber, live=False), talk[: 5 * RATE])
    with pytest.raises(MisuseError, match=r"^the stream was finished, so it takes no more samples\. Open a new one\.$"):
        stream.feed(talk)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling_rate": 0}, "sampling_rate is 0, must be 1000 to 768000 Hz. Give the rate of the samples."),
        ({"step": 0.0}, "step is 0.0, must be 0.1 to 28 seconds. Correct it."),
        ({"pause": 60.0}, "pause is 60.0, must be 0.1 to 28 seconds. Correct it."),
        ({"limit": 30.0}, "limit is 30.0, must be 2.0 to 28 seconds. Correct it."),
        ({"adapter": "scottish"}, 'adapter is "scottish", but a Transcriber has the one it was loaded with. Give an AdapterLibrary.'),
    ],
)
def test_streams_that_cannot_be_meant(options: dict[str, Any], message: str, transcriber: Transcriber) -> None:
    with pytest.raises(MisuseError) as caught:
        StreamingTranscriber(transcriber, **options)
    assert str(caught.value) == message
