"""What a voice app imports: any audio in, text out, of any length, from several threads."""

from __future__ import annotations

import io
import itertools
import os
import sys
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Sequence
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
from speechadapt.audio.pieces import Piece
from speechadapt.audio.voice_activity import shared_vad
from speechadapt.audio.waveform import read_waveform, resample
from speechadapt.errors import AdapterError, AudioError, MissingExtraError, MisuseError
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import Decoded, DecodeSettings, Word
from speechadapt.transcriber import Transcriber, check_settings, cut_at_quiet, is_invented, segments_of, transcribe_long

if TYPE_CHECKING:
    from conftest import Tone
    from numpy.typing import NDArray

    from speechadapt.models.whisper import WhisperModel

Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def transcriber(whisper_folder: Folder) -> Transcriber:
    """A random model that hears everything, tones too."""
    return Transcriber(str(whisper_folder("english")), device="cpu", vad=False)


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
        (
            np.array([0.0, -31_000.0, 5.0]),
            "not-audio",
            "float samples as large as 31000, must be in [-1, 1]. Divide them (16-bit ones by 32768), or give them as int16.",
        ),
    ],
)
def test_samples_that_are_no_recording(samples: NDArray[Any], reason: str, message: str, transcriber: Transcriber) -> None:
    with pytest.raises(AudioError) as caught:
        transcriber.transcribe(samples)
    assert (caught.value.reason, str(caught.value)) == (reason, message)


def test_samples_at_a_rate_that_cannot_be(transcriber: Transcriber) -> None:
    for rate in (0, -8000, 1, 1_000_000, float("nan")):
        with pytest.raises(MisuseError) as caught:
            transcriber.transcribe(np.zeros(100, np.float32), sampling_rate=rate)  # type: ignore[arg-type]
        assert str(caught.value) == f"sampling_rate is {rate}, must be 1000 to 768000 Hz. Give the rate of the samples."


def test_any_bytes_and_any_open_file(transcriber: Transcriber, write_tone: Callable[..., Path], tmp_path: Path) -> None:
    path = write_tone(tmp_path / "tone.wav", seconds=0.5)
    data = path.read_bytes()
    expected = transcriber.transcribe(path)
    with tempfile.NamedTemporaryFile() as named, tempfile.SpooledTemporaryFile() as spooled:  # FastAPI's uploads are such files
        for file in (named, spooled):
            file.write(data)
            file.seek(0)
            assert transcriber.transcribe(file) == expected  # type: ignore[arg-type]
    assert transcriber.transcribe(bytearray(data)) == transcriber.transcribe(memoryview(data)) == expected


def test_what_is_no_source_is_told_by_its_kind(transcriber: Transcriber, tmp_path: Path) -> None:
    def refusal(source: Any) -> str:
        with pytest.raises(AudioError) as caught:
            transcriber.transcribe(source)
        assert caught.value.reason == "not-audio"
        return str(caught.value)

    kinds = "must be a path, the bytes of a file, an open binary file or a numpy array. Convert it."
    assert refusal(None) == f"NoneType given, {kinds}"
    assert refusal([0.0] * 16_000) == f"list given, {kinds}"
    assert refusal(torch.zeros(16_000)) == f"Tensor given, {kinds}"
    (tmp_path / "a.wav").write_bytes(wav())
    with (tmp_path / "a.wav").open(encoding="latin-1") as text:
        assert refusal(text) == f'{tmp_path / "a.wav"}: opened as text. Open it with mode "rb".'
    with (tmp_path / "a.wav").open("ab") as written:
        assert refusal(written) == f'{tmp_path / "a.wav"}: not open to be read. Open it with mode "rb".'
    assert refusal(written) == f'{tmp_path / "a.wav"}: not open to be read. Open it with mode "rb".'  # closed
    ends = os.pipe()
    with os.fdopen(ends[0], "rb") as out, os.fdopen(ends[1], "wb") as into:
        into.write(wav(100))
        into.flush()
        assert refusal(out) == "audio: a pipe or socket, in which no one can go back. Read it to its end and give the bytes."


@pytest.mark.parametrize(("source", "reason"), [(b"", "empty"), (b"no audio", "not-audio"), ("none.wav", "missing")])
def test_sources_that_are_no_recording(source: bytes | str, reason: str, transcriber: Transcriber) -> None:
    with pytest.raises(AudioError) as caught:
        transcriber.transcribe(source)
    assert caught.value.reason == reason


def test_silence_and_a_single_sample(transcriber: Transcriber) -> None:
    assert transcriber.transcribe(np.zeros(8000, np.float32)).duration == 0.5
    assert transcriber.transcribe(np.zeros(1, np.float32)).duration == 1 / 16_000


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


@pytest.mark.slow
def test_long_speech_is_heard_to_its_end(tiny_transcriber: Transcriber, speech: dict[str, NDArray[np.float32]]) -> None:
    """Three sentences, three times over, with pauses: 40 s through the real tiny.en."""
    pause = np.zeros(16_000, np.float32)
    waveform = np.concatenate([part for clip in [*speech.values()] * 3 for part in (clip, pause)])
    assert len(waveform) > 31 * 16_000
    found = tiny_transcriber.transcribe(waveform)
    assert found.cut_by == "voice activity"
    words = found.text.lower()
    assert words.count("fisherman") == words.count("apples") == words.count("village") == 3


# Adapters and settings


def test_base_language_and_task_come_from_the_adapter(adapter: Path, tone: Tone, whisper_folder: Folder) -> None:
    found = Transcriber(adapter=adapter, device="cpu", vad=False)
    assert found.model.base.id == str(whisper_folder("multilingual"))
    assert (found.model.language, found.model.task) == ("de", "translate")  # type: ignore[attr-defined]
    heard = found.transcribe(tone(1.0))
    assert heard.adapter == str(adapter)
    bare = Transcriber(str(whisper_folder("multilingual")), language="de", task="translate", device="cpu", vad=False).transcribe(tone(1.0))
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
    found = Transcriber(str(whisper_folder("multilingual")), device="cpu", vad=False)
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
    return Transcriber(str(ctc_with_words), language="en", device="cpu", vad=False, settings=DecodeSettings(precision="fp32"))


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
    found = Transcriber(adapter=tmp_path / "russian", device="cpu", vad=False)
    assert found.model.language == "ru"
    heard = found.transcribe(tone(2.0), words=True)
    assert set(heard.text) <= set("онидма ")


# Voice activity, times and long recordings


@pytest.fixture(scope="module")
def listener(tiny_en: WhisperModel) -> Transcriber:
    pytest.importorskip("silero_vad", reason="the extra vad is not installed")
    return Transcriber(str(tiny_en.base.folder), device="cpu", vad=True)


@pytest.mark.parametrize("kind", ["silence", "white noise", "hum", "chord"])
@pytest.mark.parametrize("level", [1e-3, 0.03, 0.3])
def test_silence_and_noise_give_no_text(kind: str, level: float, listener: Transcriber) -> None:
    time = np.arange(5 * 16_000) / 16_000
    sound = {
        "silence": np.zeros(len(time)),
        "white noise": np.random.default_rng(0).normal(0, 1 / 3, len(time)),
        "hum": np.sin(2 * np.pi * 50 * time) + 0.3 * np.sin(2 * np.pi * 100 * time),
        "chord": sum(np.sin(2 * np.pi * pitch * time) for pitch in (220.0, 277.2, 329.6)) / 3 * (1 + np.sin(2 * np.pi * 2 * time)) / 2,
    }[kind]
    found = listener.transcribe((level * sound).astype(np.float32))
    assert (found.text, found.segments, found.words, found.language, found.no_speech) == ("", (), (), None, None)
    assert (found.duration, found.avg_logprob, found.dropped, found.cut_by) == (5.0, 0.0, 0, "voice activity")


@pytest.fixture(scope="module")
def talk(speech: dict[str, NDArray[np.float32]]) -> tuple[NDArray[np.float32], list[tuple[float, float]]]:
    """The three sentences twice over with pauses of 2 s, 40 s in all, and where each begins and ends."""
    parts, truth, place = [], [], 0
    for clip in [*speech.values()] * 2:
        loud = np.nonzero(np.convolve(np.abs(clip), np.ones(160) / 160, "same") > 0.02 * np.abs(clip).max())[0]
        truth.append(((place + 32_000 + loud[0]) / 16_000, (place + 32_000 + loud[-1]) / 16_000))
        parts += [np.zeros(32_000, np.float32), clip]
        place += 32_000 + len(clip)
    waveform = np.concatenate([*parts, np.zeros(16_000, np.float32)])
    return waveform + np.random.default_rng(0).normal(0, 1e-3, len(waveform)).astype(np.float32), truth


def test_sentences_and_words_are_where_they_were_said(
    listener: Transcriber, talk: tuple[NDArray[np.float32], list[tuple[float, float]]], tmp_path: Path
) -> None:
    waveform, truth = talk
    soundfile.write(tmp_path / "talk.wav", waveform, 16_000)
    found = listener.transcribe(tmp_path / "talk.wav", timestamps="word")
    assert found.duration == pytest.approx(len(waveform) / 16_000)
    assert [(s.start, s.end) for s in found.segments] == [(pytest.approx(start, abs=0.3), pytest.approx(end, abs=0.3)) for start, end in truth]
    assert all(segment.text.endswith(".") for segment in found.segments)
    for segment in found.segments:
        assert " ".join(word.text for word in segment.words) == segment.text
        assert segment.words[0].start == segment.start
        assert segment.words[-1].end == segment.end
    assert found.words == tuple(word for segment in found.segments for word in segment.words)
    assert all(left.end <= right.start + 1e-6 for left, right in itertools.pairwise(found.words))
    assert (found.language, found.dropped) == ("en", 0)
    assert found.no_speech is not None
    assert found.no_speech < 0.2


@pytest.mark.slow
def test_times_change_no_text(listener: Transcriber, talk: tuple[NDArray[np.float32], list[tuple[float, float]]], tmp_path: Path) -> None:
    waveform, _ = talk
    soundfile.write(tmp_path / "talk.wav", waveform, 16_000)
    found = listener.transcribe(tmp_path / "talk.wav", timestamps="word")
    by_segment = listener.transcribe(tmp_path / "talk.wav", timestamps="segment")
    assert [(s.start, s.end, s.text) for s in by_segment.segments] == [(s.start, s.end, s.text) for s in found.segments]
    assert by_segment.words == ()
    plain = listener.transcribe(waveform)
    assert plain.text == found.text == by_segment.text


def test_what_fits_is_heard_whole_as_in_scoring(listener: Transcriber, speech: dict[str, NDArray[np.float32]]) -> None:
    clip = next(iter(speech.values()))
    (alone,) = listener.model.decode([clip], DecodeSettings())
    assert listener.transcribe(clip).text == alone.text


def test_a_flac_that_was_written_into_a_pipe_is_heard_as_any_other(speech: dict[str, NDArray[np.float32]]) -> None:
    """Its header says a length of 0 samples: unknown."""
    pytest.importorskip("silero_vad", reason="the extra vad is not installed")
    clip = next(iter(speech.values()))
    sound = np.concatenate([np.zeros(24_000, np.float32), clip, np.zeros(24_000, np.float32)])
    file = io.BytesIO()
    soundfile.write(file, sound, 16_000, format="FLAC")
    known = file.getvalue()
    piped = bytearray(known)
    piped[21] &= 0xF0  # 36 bits of the stream's header
    piped[22:26] = bytes(4)
    heard: list[int] = []

    def decode(waveforms: Sequence[NDArray[np.float32]], _: DecodeSettings) -> list[Decoded]:
        heard.extend(map(len, waveforms))
        return [Decoded(text="heard", avg_logprob=-0.1) for _ in waveforms]

    found = [transcribe_long(decode, data, settings=DecodeSettings(), longest=30.0, vad=True) for data in (known, bytes(piped))]
    assert found[0] == found[1]
    assert found[0].text == "heard"
    assert heard == [len(sound)] * 2  # whole, as a model is scored
    with pytest.raises(AudioError, match=r"decoding stopped at .* \(flac decoder lost sync\)\. Send the whole file\.$"):
        transcribe_long(decode, bytes(piped[:-5000]), settings=DecodeSettings(), longest=30.0, vad=True)


def piece(seconds: float = 10.0, spans: tuple[tuple[float, float], ...] = ((0.0, 10.0),), start: float = 100.0) -> Piece:
    return Piece(
        start=round(start * 16_000),
        waveform=np.zeros(round(seconds * 16_000), np.float32),
        spans=tuple((round((start + first) * 16_000), round((start + last) * 16_000)) for first, last in spans),
    )


def said(text: str, times: list[tuple[float, float]]) -> Decoded:
    words = tuple(Word(text=word, start=start, end=end, probability=0.9) for word, (start, end) in zip(text.split(), times, strict=True))
    return Decoded(text=text, avg_logprob=-0.3, words=words, no_speech=0.1, language="en")


def test_sentences_end_at_marks_and_at_long_pauses() -> None:
    result = said('Mr. A. Bo said "No." So he went away', [(0, 1), (1, 1.5), (1.5, 2), (2, 3), (3, 4), (4, 4.5), (4.5, 5), (5, 6), (7.5, 8)])
    found = segments_of(piece(), result, "segment", keep_words=False)
    assert [(s.start, s.end, s.text) for s in found] == [
        (100, 104, 'Mr. A. Bo said "No."'), (104, 106, "So he went"), (107.5, 108, "away")
    ]  # fmt: skip
    assert segments_of(piece(), result, None, keep_words=False)[0].text == result.text
    assert segments_of(piece(), Decoded(text="", avg_logprob=-1.0), "word", keep_words=True) == []


def test_text_without_blanks_stays_without() -> None:
    words = tuple(Word(text=one, start=place, end=place + 1, probability=1) for place, one in enumerate(("今", "日。", "は", "い。")))
    found = segments_of(piece(), Decoded(text="今日。はい。", avg_logprob=-0.1, words=words), "segment", keep_words=False)
    assert [segment.text for segment in found] == ["今日。", "はい。"]


def test_words_do_not_reach_into_silence() -> None:
    result = said("yes no", [(0, 4.0), (4.0, 9.9)])
    (found,) = segments_of(piece(spans=((1.0, 2.0), (6.0, 7.0))), result, None, keep_words=True)
    assert [(word.start, word.end) for word in found.words] == [(100.75, 102.25), (105.75, 107.25)]
    assert (found.start, found.end) == (101.0, 107.0)


@pytest.mark.parametrize(
    ("no_speech", "avg_logprob", "text", "invented"),
    [(0.7, -1.1, "Thank you.", True), (0.5, -1.1, "a", False), (0.7, -0.9, "a", False), (None, -9.0, "a", False), (0.9, -2.0, "", False)],
)
def test_text_is_invented_where_the_model_hears_nobody_and_is_unsure(no_speech: float | None, avg_logprob: float, text: str, invented: bool) -> None:
    result = Decoded(text=text, avg_logprob=avg_logprob, no_speech=no_speech)
    assert is_invented(result) is invented
    found = transcribe_long(
        lambda waveforms, _: [result] * len(waveforms), np.zeros(16_000, np.float32), settings=DecodeSettings(), longest=30, vad=False
    )
    assert (found.dropped, found.text) == ((1, "") if invented else (0, text))
    assert found.no_speech == no_speech


def echo(heard: list[list[float]]) -> Callable[..., list[Decoded]]:
    """Decodes each clip as its length, and notes the batches."""

    def decode(waveforms: Any, settings: DecodeSettings) -> list[Decoded]:
        heard.append([len(waveform) / 16_000 for waveform in waveforms])
        return [Decoded(text=f"{len(waveform)}", avg_logprob=-0.1) for waveform in waveforms]

    return decode


def test_batches_hold_what_they_may(tone: Tone) -> None:
    """In the full window by its padded length; where clips keep their own, by that and with what is about as long."""
    heard: list[list[float]] = []
    long = tone(200.0)
    found = transcribe_long(echo(heard), long, settings=DecodeSettings(batch_seconds=90), longest=30, padded_to=30, vad=False)
    assert [len(batch) for batch in heard] == [3, 3, 2]
    assert [segment.text for segment in found.segments] == [str(end - start) for start, end in cut_at_quiet(long, 30.0)]
    heard.clear()
    transcribe_long(echo(heard), long, settings=DecodeSettings(batch_seconds=90, window="short"), longest=30, padded_to=30, vad=False)
    assert all(max(batch) * len(batch) <= 90 for batch in heard)
    assert all(min(batch) * 2 + 2 >= max(batch) for batch in heard)
    assert sum(map(sum, heard)) == pytest.approx(200)


@pytest.mark.parametrize(("seconds", "sampling_rate"), [(40.0, 8000), (33.3, 44_100), (31.0, 16_000)])
def test_files_and_samples_at_any_rate_are_heard_alike(seconds: float, sampling_rate: int, tone: Tone, tmp_path: Path) -> None:
    """Block by block, as one would resample the whole."""
    heard: dict[str, list[NDArray[np.float32]]] = {"file": [], "samples": [], "whole": []}

    def note(name: str) -> Callable[..., list[Decoded]]:
        def decode(waveforms: Any, settings: DecodeSettings) -> list[Decoded]:
            heard[name] += list(waveforms)
            return [Decoded(text="a", avg_logprob=-0.1) for _ in waveforms]

        return decode

    sound = tone(seconds, sampling_rate=sampling_rate)
    soundfile.write(tmp_path / "a.wav", np.stack([sound] * 2, axis=1), sampling_rate, subtype="FLOAT")
    options: dict[str, Any] = {"settings": DecodeSettings(), "longest": 30, "vad": False}
    transcribe_long(note("file"), tmp_path / "a.wav", **options)
    transcribe_long(note("samples"), sound, sampling_rate=sampling_rate, **options)
    transcribe_long(note("whole"), resample(sound, sampling_rate, 16_000), **options)
    joined = {name: np.concatenate(parts) for name, parts in heard.items()}
    assert len(heard["file"]) == 2
    assert len(joined["file"]) == len(joined["samples"]) == pytest.approx(len(joined["whole"]), abs=2)
    length = min(map(len, joined.values()))
    for name in ("file", "samples"):
        assert np.abs(joined[name][:length] - joined["whole"][:length]).max() < 1e-4


@pytest.mark.slow
def test_ten_hours_of_silence_with_a_word_need_no_memory(speech: dict[str, NDArray[np.float32]], tmp_path: Path) -> None:
    """Ten hours at 4 kHz are a 288 MB file; what is kept of it is a few minutes."""
    pytest.importorskip("silero_vad", reason="the extra vad is not installed")
    clip = resample(next(iter(speech.values())), 16_000, 4000)
    with soundfile.SoundFile(tmp_path / "long.flac", "w", 4000, channels=1, subtype="PCM_16") as file:
        for _ in range(60):
            file.write(np.zeros(40 * 60 * 4000 // 4, np.int16))
        file.write(clip)
    heard: list[list[float]] = []
    tracemalloc.start()
    try:
        found = transcribe_long(echo(heard), tmp_path / "long.flac", settings=DecodeSettings(), longest=30.0, padded_to=30.0)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.duration == pytest.approx(36_000 + len(clip) / 4000, abs=0.1)
    assert [len(batch) for batch in heard] == [1]
    assert found.segments[0].start == pytest.approx(36_000.3, abs=0.4)
    assert most < 60e6


# Bad input


def wav(frames: int = 16_000, channels: int = 1, rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.random.default_rng(0).normal(size=(frames, channels)), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def with_rate(rate: int) -> bytes:
    data = bytearray(wav())
    data[24:28] = rate.to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("source", "reason", "message"),
    [
        (wav()[:12_044], "truncated", "audio: its header promises 1.00 s, it holds 0.38 s. Send the whole file."),
        (wav(40 * 16_000)[:640_044], "truncated", "audio: its header promises 40.00 s, it holds 20.00 s. Send the whole file."),
        (with_rate(16), "not-audio", "audio: its header says 16 Hz, must be 1000 to 768000. Write it again from its source."),
        (with_rate(2_000_000_000), "not-audio", "audio: its header says 2000000000 Hz, must be 1000 to 768000. Write it again from its source."),
        (wav(0), "empty", "audio: no samples in it. Send a recording."),
        (b"", "empty", "audio: zero bytes. Send a recording."),
    ],
    ids=["short and cut off", "long and cut off", "16 Hz", "2 GHz", "no samples", "zero bytes"],
)
def test_recordings_that_cannot_be_used_are_told_once(source: bytes, reason: str, message: str, transcriber: Transcriber) -> None:
    with pytest.raises(AudioError) as caught:
        transcriber.transcribe(source)
    assert (caught.value.reason, str(caught.value)) == (reason, message)


def test_samples_in_a_file_that_are_not_finite(transcriber: Transcriber, tmp_path: Path) -> None:
    sound = np.zeros(16_000, np.float32)
    sound[5] = np.nan
    soundfile.write(tmp_path / "a.wav", sound, 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"1 samples before 1\.00 s are NaN or infinite") as caught:
        transcriber.transcribe(tmp_path / "a.wav")
    assert caught.value.reason == "not-finite"


def test_one_sample_eight_channels_and_192_khz(transcriber: Transcriber) -> None:
    assert transcriber.transcribe(wav(1)).duration == 1 / 16_000
    assert transcriber.transcribe(wav(192_000, channels=8, rate=192_000)).duration == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"timestamps": "letter"}, 'timestamps is "letter", must be None, "segment" or "word". Correct it.'),
        ({"temperature": 1.5}, "temperature is 1.5, must be from 0 to 1. 0 takes the likeliest tokens."),
        ({"seed": 2**64}, "seed is 18446744073709551616, must be from -9223372036854775808 to 18446744073709551615. Choose a smaller one."),
        ({"language": "fr"}, 'language is "fr", but {id} knows only English. Choose the multilingual model without ".en".'),
    ],
)
def test_wishes_that_cannot_be_meant(given: dict[str, Any], message: str, transcriber: Transcriber) -> None:
    with pytest.raises(MisuseError) as caught:
        transcriber.transcribe(np.zeros(100, np.float32), **given)
    assert str(caught.value) == message.format(id=transcriber.model.base.id)


def test_what_letters_have_no_use_for_is_refused(ctc: Transcriber) -> None:
    for wish, what in (({"prompt": "Siobhan"}, "a prompt"), ({"temperature": 0.5}, "a temperature")):
        with pytest.raises(MisuseError, match=rf"^{what} asked of .*, which writes letters frame by frame\. Use a Whisper or leave it out\.$"):
            ctc.transcribe(np.zeros(100, np.float32), **wish)  # type: ignore[arg-type]
    with pytest.raises(MisuseError, match=r'^language is "fr", but .* was loaded for "en"\. Load it for the other language\.$'):
        ctc.transcribe(np.zeros(100, np.float32), language="fr")
    check_settings(ctc.model, DecodeSettings(language="en-GB"))


def test_a_beam_does_not_draw(transcriber: Transcriber) -> None:
    with pytest.raises(MisuseError, match=r"^temperature is 0\.5 and beam is 2: a beam search draws nothing\. Leave one of them out\.$"):
        check_settings(transcriber.model, DecodeSettings(beam=2, temperature=0.5))


def test_precision_is_chosen_and_can_be_overridden(whisper_folder: Folder) -> None:
    found = Transcriber(str(whisper_folder("english")), device="cpu", precision="fp32", settings=DecodeSettings(batch_seconds=60))
    assert (found.settings.precision, found.settings.batch_seconds) == ("fp32", 60)
    assert Transcriber(str(whisper_folder("english")), device="cpu").settings.precision == "auto"


def test_without_the_extra_quiet_places_are_cut(monkeypatch: pytest.MonkeyPatch, whisper_folder: Folder, tone: Tone) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "silero_vad"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    shared_vad.cache_clear()
    try:
        found = Transcriber(str(whisper_folder("english")), device="cpu").transcribe(tone(1.0))
        assert (found.cut_by, len(found.segments)) == ("quiet", 1)
        with pytest.raises(MissingExtraError, match=r"pip install 'speechadapt\[vad\]'"):
            Transcriber(str(whisper_folder("english")), device="cpu", vad=True)
    finally:
        shared_vad.cache_clear()
