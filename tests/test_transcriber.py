"""What a voice app imports: any audio in, text out, of any length, from several threads."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechadapt.adapt.adapter import add_adapter, save_adapter
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.audio.waveform import read_waveform, resample
from speechadapt.errors import AdapterError, AudioError, MisuseError
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.transcriber import Transcriber, cut_at_quiet

if TYPE_CHECKING:
    from conftest import Tone
    from numpy.typing import NDArray

    from speechadapt.models.whisper import WhisperModel

Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def transcriber(whisper_folder: Folder) -> Transcriber:
    return Transcriber(str(whisper_folder("english")), device="cpu")


@pytest.fixture(scope="module")
def tiny_transcriber(tiny_en: WhisperModel) -> Transcriber:
    return Transcriber(str(tiny_en.base.folder), device="cpu")


@pytest.fixture(scope="module")
def adapter(whisper_folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter for the multilingual tiny model, trained for German translation."""
    model = load_model(str(whisper_folder("multilingual")), language="de", task="translate", device="cpu")
    add_adapter(model, AdapterSpec(rank=2))
    with torch.no_grad():
        for name, parameter in model.network.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.05)
    folder = tmp_path_factory.mktemp("adapters") / "german"
    save_adapter(model, AdapterSpec(rank=2), folder, train_fingerprint="f" * 64, accent=None, card="")
    return folder


# Sources


def test_path_bytes_file_and_samples_are_the_same(transcriber: Transcriber, tone: Tone, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.2), 16_000, subtype="PCM_16")
    samples, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    expected = transcriber.transcribe(tmp_path / "a.wav")
    assert expected.text
    assert expected.duration == pytest.approx(1.2)
    assert expected.avg_logprob < 0
    assert expected.adapter is None
    sources: list[Any] = [
        str(tmp_path / "a.wav"),
        (tmp_path / "a.wav").read_bytes(),
        io.BytesIO((tmp_path / "a.wav").read_bytes()),
        samples,
        samples.astype(np.float32) / 32768,
        samples.astype(np.float64) / 32768,
    ]
    for source in sources:
        assert transcriber.transcribe(source) == expected
    with (tmp_path / "a.wav").open("rb") as file:
        assert transcriber.transcribe(file) == expected


@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_samples_at_8_khz(kind: str, transcriber: Transcriber, tone: Tone) -> None:
    samples = tone(1.0, sampling_rate=8000)
    if kind == "int16":
        samples = np.round(samples * 32767).astype(np.int16)  # type: ignore[assignment]
        heard = resample(samples.astype(np.float32) / 32768, 8000, 16_000)
    else:
        heard = resample(samples, 8000, 16_000)
    found = transcriber.transcribe(samples, sampling_rate=8000)
    assert found.duration == 1.0
    assert found == transcriber.transcribe(heard)


def test_samples_are_not_changed(transcriber: Transcriber, tone: Tone) -> None:
    samples = tone(0.5) * 5  # beyond [-1, 1] in places
    kept = samples.copy()
    samples.flags.writeable = False
    transcriber.transcribe(samples)
    assert np.array_equal(samples, kept)


@pytest.mark.parametrize(
    ("samples", "reason", "message"),
    [
        (np.zeros((2, 100), np.float32), "not-audio", "samples of shape (2, 100), must be (samples,) and not empty. Give one mono channel."),
        (np.zeros(0, np.float32), "not-audio", "samples of shape (0,), must be (samples,) and not empty. Give one mono channel."),
        (np.zeros(100, np.int32), "not-audio", "samples of type int32, must be float in [-1, 1] or int16. Convert them."),
        (np.zeros(100, np.complex64), "not-audio", "samples of type complex64, must be float in [-1, 1] or int16. Convert them."),
        (np.array([0.0, np.nan, np.inf, 0.1]), "not-finite", "2 of 4 samples are NaN or infinite. Record again."),
    ],
)
def test_samples_that_are_no_recording(samples: NDArray[Any], reason: str, message: str, transcriber: Transcriber) -> None:
    with pytest.raises(AudioError) as caught:
        transcriber.transcribe(samples)
    assert (caught.value.reason, str(caught.value)) == (reason, message)


def test_samples_at_a_rate_that_cannot_be(transcriber: Transcriber) -> None:
    for rate in (0, -8000):
        with pytest.raises(MisuseError) as caught:
            transcriber.transcribe(np.zeros(100, np.float32), sampling_rate=rate)
        assert str(caught.value) == f"sampling_rate is {rate}, must be above 0. Give the rate of the samples in Hz."


@pytest.mark.parametrize(("source", "reason"), [(b"", "empty"), (b"no audio", "not-audio"), ("none.wav", "missing")])
def test_sources_that_are_no_recording(source: bytes | str, reason: str, transcriber: Transcriber) -> None:
    with pytest.raises(AudioError) as caught:
        transcriber.transcribe(source)
    assert caught.value.reason == reason


def test_silence_and_a_single_sample(transcriber: Transcriber) -> None:
    assert transcriber.transcribe(np.zeros(8000, np.float32)).duration == 0.5
    assert len(transcriber.transcribe(np.zeros(1, np.float32)).segments) == 1


# Long recordings


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 100.0), st.integers(0, 3))
def test_pieces_cover_everything_and_are_short_enough(seconds: float, seed: int) -> None:
    waveform = np.random.default_rng(seed).normal(0, 0.1, max(1, round(seconds * 16_000))).astype(np.float32)
    pieces = cut_at_quiet(waveform, 30.0)
    assert pieces[0][0] == 0
    assert pieces[-1][1] == len(waveform)
    assert all(left[1] == right[0] for left, right in itertools.pairwise(pieces))
    assert all(0 < end - start <= 480_000 for start, end in pieces)
    assert all(end - start >= 22 * 16_000 for start, end in pieces[:-1])


def test_cuts_lie_in_the_pauses(tone: Tone) -> None:
    waveform = tone(70.0)
    for start in (26.3, 50.7):
        waveform[round(start * 16_000) : round((start + 0.4) * 16_000)] = 0.0
    cuts = [end / 16_000 for _, end in cut_at_quiet(waveform, 30.0)[:-1]]
    assert cuts[0] == pytest.approx(26.5, abs=0.2)
    assert cuts[1] == pytest.approx(50.9, abs=0.2)
    assert len(cuts) == 2


def test_what_fits_is_not_cut(tone: Tone) -> None:
    assert cut_at_quiet(tone(30.0), 30.0) == [(0, 480_000)]


def test_a_long_recording_is_its_segments(transcriber: Transcriber, tone: Tone) -> None:
    waveform = tone(65.0)
    found = transcriber.transcribe(waveform)
    pieces = cut_at_quiet(waveform, 30.0)
    assert [(segment.start, segment.end) for segment in found.segments] == [(start / 16_000, end / 16_000) for start, end in pieces]
    assert found.segments[0].start == 0
    assert found.segments[-1].end == found.duration == 65.0
    assert found.text == " ".join(segment.text for segment in found.segments if segment.text)
    lengths = [segment.end - segment.start for segment in found.segments]
    assert found.avg_logprob == pytest.approx(np.average([segment.avg_logprob for segment in found.segments], weights=lengths))
    assert found.to_json()["segments"][1]["text"] == found.segments[1].text


def test_long_speech_is_heard_to_its_end(tiny_transcriber: Transcriber, speech: dict[str, NDArray[np.float32]]) -> None:
    """Three sentences, three times over, with pauses: 40 s through the real tiny.en."""
    pause = np.zeros(16_000, np.float32)
    waveform = np.concatenate([part for clip in [*speech.values()] * 3 for part in (clip, pause)])
    assert len(waveform) > 31 * 16_000
    found = tiny_transcriber.transcribe(waveform)
    assert len(found.segments) == 2
    words = found.text.lower()
    assert words.count("fisherman") == words.count("apples") == words.count("village") == 3


# Adapters and settings


def test_base_language_and_task_come_from_the_adapter(adapter: Path, tone: Tone, whisper_folder: Folder) -> None:
    found = Transcriber(adapter=adapter, device="cpu")
    assert found.model.base.id == str(whisper_folder("multilingual"))
    assert (found.model.language, found.model.task) == ("de", "translate")  # type: ignore[attr-defined]
    heard = found.transcribe(tone(1.0))
    assert heard.adapter == str(adapter)
    bare = Transcriber(str(whisper_folder("multilingual")), language="de", task="translate", device="cpu").transcribe(tone(1.0))
    assert heard.avg_logprob != bare.avg_logprob, "the adapter is heard"
    assert Transcriber(adapter=adapter, language="fr", device="cpu").model.language == "fr"


def test_the_short_window_with_an_adapter(adapter: Path, tone: Tone) -> None:
    found = Transcriber(adapter=adapter, device="cpu", settings=DecodeSettings(window="short"))
    assert found.transcribe(tone(1.0)).duration == 1.0


def test_the_adapter_of_another_base(adapter: Path, whisper_folder: Folder) -> None:
    with pytest.raises(AdapterError, match=r"was trained on .*multilingual .*the base given is .*v3"):
        Transcriber(str(whisper_folder("v3")), adapter=adapter, device="cpu")


def test_neither_base_nor_adapter() -> None:
    with pytest.raises(MisuseError) as caught:
        Transcriber()
    assert str(caught.value) == "neither a base model nor an adapter was given. Give at least one of them."


def test_no_language_set_detects_one(whisper_folder: Folder, tone: Tone) -> None:
    found = Transcriber(str(whisper_folder("multilingual")), device="cpu")
    assert found.model.language is None
    assert len(found.transcribe(tone(1.0)).segments) == 1


# Threads


def test_threads_take_turns_and_get_equal_texts(transcriber: Transcriber, tone: Tone) -> None:
    clips = [tone(0.6 + 0.1 * number, seed=number) for number in range(4)]
    alone = [transcriber.transcribe(clip) for clip in clips]
    found: dict[tuple[int, int], Any] = {}

    def work(thread: int) -> None:
        for number in range(4):
            found[thread, number] = transcriber.transcribe(clips[(number + 2 * thread) % 4])

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for (thread, number), transcript in found.items():
        expected = alone[(number + 2 * thread) % 4]
        assert (transcript.text, transcript.duration, transcript.adapter) == (expected.text, expected.duration, expected.adapter)
        # torch may cut the work of another thread otherwise, and in bfloat16 another order of a sum shows in the third digit
        assert transcript.avg_logprob == pytest.approx(expected.avg_logprob, abs=5e-3)


def test_reading_again_gives_the_same(transcriber: Transcriber, write_tone: Callable[..., Path], tmp_path: Path) -> None:
    path = write_tone(tmp_path / "a.flac", 0.8)
    assert transcriber.transcribe(path) == transcriber.transcribe(path) == transcriber.transcribe(read_waveform(path))


# Words


@pytest.fixture(scope="module")
def ctc(ctc_with_words: Path) -> Transcriber:
    return Transcriber(str(ctc_with_words), language="en", device="cpu", settings=DecodeSettings(precision="fp32"))


def test_words_have_the_recordings_times(ctc: Transcriber, tone: Tone) -> None:
    """Those of the second piece too, which was decoded as if it began at zero."""
    waveform = tone(40.0)
    found = ctc.transcribe(waveform, words=True)
    assert [segment.text for segment in found.segments] == [segment.text for segment in ctc.transcribe(waveform).segments]
    assert len(found.segments) == 2
    for segment in found.segments:
        assert len(segment.words) > 10
        assert " ".join(word.text for word in segment.words) == segment.text
        assert all(segment.start <= word.start < word.end <= segment.end for word in segment.words)
        assert all(left.end <= right.start for left, right in itertools.pairwise(segment.words))
        assert all(0 < word.probability <= 1 for word in segment.words)
    second = found.segments[1]
    (alone,) = ctc.model.decode([waveform[round(second.start * 16_000) :]], DecodeSettings(precision="fp32", words=True))
    assert [word.start for word in second.words] == pytest.approx([word.start + second.start for word in alone.words])
    assert second.words[0].start > 20


def test_words_are_told_where_they_were_asked_for(ctc: Transcriber, tone: Tone) -> None:
    assert ctc.transcribe(tone(1.0)).segments[0].words == ()
    heard = ctc.transcribe(tone(1.0), words=True)
    assert heard.to_json()["segments"][0]["words"][0]["text"] == heard.segments[0].words[0].text


def test_words_asked_of_whisper(transcriber: Transcriber, tone: Tone) -> None:
    with pytest.raises(MisuseError, match=r"^word times asked of .*english, which is no CTC model and has none\. Use a CTC model or leave it out\.$"):
        transcriber.transcribe(tone(0.5), words=True)


def test_settings_a_family_has_no_use_for_are_refused_at_once(ctc_folder: Folder, whisper_folder: Folder) -> None:
    with pytest.raises(MisuseError, match="has only: full"):
        Transcriber(str(ctc_folder("w2v-bert")), device="cpu", settings=DecodeSettings(window="short"))
    with pytest.raises(MisuseError, match="a language model asked of"):
        Transcriber(str(whisper_folder("english")), device="cpu", settings=DecodeSettings(lm="a.arpa"))


def test_an_adapter_with_an_output_layer_of_its_own(ctc_folder: Folder, tone: Tone, tmp_path: Path) -> None:
    model = load_model(str(ctc_folder("w2v-bert")), language="ru", device="cpu")
    model.fit_vocabulary(["они дома"], vocabulary="new")
    add_adapter(model, AdapterSpec(rank=2))
    save_adapter(model, AdapterSpec(rank=2), tmp_path / "russian", train_fingerprint="f" * 64, accent=None, card="")
    found = Transcriber(adapter=tmp_path / "russian", device="cpu")
    assert found.model.language == "ru"
    heard = found.transcribe(tone(2.0), words=True)
    assert set(heard.text) <= set("онидма ")
