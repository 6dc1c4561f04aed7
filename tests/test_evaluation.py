"""From a model and a manifest to hypotheses and a report: nothing skipped, nothing reordered, an adapter taken out as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from speechadapt.adapt.adapter import add_adapter
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.audio.waveform import read_waveform, write_flac
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import AudioError, ManifestError, MisuseError
from speechadapt.evaluation import evaluate, transcribe_manifest
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import DecodeSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from speechadapt.models.speech_model import Decoded, SpeechModel
    from speechadapt.models.whisper import WhisperModel

Folder = Callable[[str], Path]
SECONDS = (0.5, 1.4, 0.3, 0.9, 1.1)


@pytest.fixture
def model(whisper_folder: Folder) -> SpeechModel:
    return load_model(str(whisper_folder("english")), device="cpu")


@pytest.fixture
def manifest(tmp_path: Path, write_tone: Callable[..., Path]) -> Manifest:
    """Five tones of different lengths, not in order of length."""
    rows = []
    for number, seconds in enumerate(SECONDS):
        write_tone(tmp_path / f"{number}.wav", seconds, seed=number)
        rows.append(Utterance(id=f"u{number}", audio_filepath=f"{number}.wav", duration=seconds, text="They went home.", speaker=f"s{number % 2}"))
    return Manifest(rows, folder=tmp_path, name="test")


def stir(model: SpeechModel) -> None:
    add_adapter(model, AdapterSpec(rank=2))
    with torch.no_grad():
        for name, parameter in model.network.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.05)


def test_hypotheses_stand_in_the_order_of_the_manifest(model: SpeechModel, manifest: Manifest) -> None:
    """Though they were decoded longest first, several at once."""
    found = transcribe_manifest(model, manifest, settings=DecodeSettings(batch_seconds=60.0, precision="fp32"), progress=False)
    assert [hypothesis.id for hypothesis in found] == [utterance.id for utterance in manifest]
    for hypothesis, utterance in zip(found, manifest, strict=True):
        (alone,) = model.decode([read_waveform(manifest.audio_path(utterance))], DecodeSettings(precision="fp32"))
        assert hypothesis.text == alone.text
        assert hypothesis.avg_logprob == pytest.approx(alone.avg_logprob, abs=1e-3)
        assert hypothesis.seconds is not None
        assert hypothesis.seconds > 0


def test_segments_of_one_recording(model: SpeechModel, tmp_path: Path, write_tone: Callable[..., Path]) -> None:
    """Offset and duration cut the clip, and the clip alone is heard."""
    write_tone(tmp_path / "long.wav", 4.0, seed=9)
    whole = read_waveform(tmp_path / "long.wav")
    write_flac(tmp_path / "cut.flac", whole[16_000:32_000])
    rows = [
        Utterance(id="segment", audio_filepath="long.wav", offset=1.0, duration=1.0, text="a"),
        Utterance(id="file", audio_filepath="cut.flac", duration=1.0, text="a"),
    ]
    segment, file = transcribe_manifest(model, Manifest(rows, folder=tmp_path), progress=False)
    assert segment.text == file.text


def test_decode_time_is_shared_by_length(model: SpeechModel, manifest: Manifest) -> None:
    found = transcribe_manifest(model, manifest, progress=False)
    rates = [hypothesis.seconds / seconds for hypothesis, seconds in zip(found, SECONDS, strict=True) if hypothesis.seconds]
    assert rates == pytest.approx([rates[0]] * 5, rel=0.05)  # one batch; seconds are rounded to 0.1 ms


def test_a_clip_of_31_seconds_is_refused_before_anything_is_decoded(model: SpeechModel, manifest: Manifest) -> None:
    long = Manifest([*manifest, dataclasses.replace(manifest[0], id="long-one", duration=31.0)], folder=manifest.folder, name="test")
    model.decode = lambda *_: pytest.fail("decoded")  # type: ignore[method-assign]
    with pytest.raises(ManifestError) as caught:
        transcribe_manifest(model, long, progress=False)
    assert str(caught.value) == (
        f'utterance "long-one" (test): 31.0 s, {model.base.id} hears at most 30 s at once. '
        "Cut it into shorter utterances; speechadapt check finds all of them."
    )


@pytest.mark.parametrize(
    ("content", "reason", "told"),
    [
        (None, "missing", "no such audio file"),
        (b"", "empty", "zero bytes"),
        (b"this is a text file", "not-audio", "not a recording that can be read"),
    ],
)
def test_an_unreadable_test_clip_is_an_error(content: bytes | None, reason: str, told: str, model: SpeechModel, manifest: Manifest) -> None:
    """In training it is dropped and counted; a test set with holes would be another test set."""
    path = manifest.folder / "2.wav"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioError) as caught:
        transcribe_manifest(model, manifest, progress=False)
    assert caught.value.reason == reason
    assert str(caught.value).startswith(f'utterance "u2" (test): {path}: {told}')


def test_the_short_window_needs_an_adapter(model: SpeechModel, manifest: Manifest) -> None:
    short = DecodeSettings(window="short")
    with pytest.raises(MisuseError, match="has no adapter and loops in it"):
        transcribe_manifest(model, manifest, settings=short, progress=False)
    stir(model)
    assert len(transcribe_manifest(model, manifest, settings=short, progress=False)) == 5


def test_the_adapter_is_taken_out_bit_by_bit(model: SpeechModel, manifest: Manifest) -> None:
    stir(model)
    before = {name: parameter.detach().clone() for name, parameter in model.network.named_parameters()}
    transcribe_manifest(model, manifest, progress=False)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.network.named_parameters())


def test_progress_goes_to_stderr(model: SpeechModel, manifest: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
    transcribe_manifest(model, manifest)
    out, err = capsys.readouterr()
    assert out == ""
    assert "transcribe test" in err


def test_a_report(model: SpeechModel, manifest: Manifest) -> None:
    settings = DecodeSettings(beam=2)
    report = evaluate(model, manifest, system="tiny", settings=settings, by=("speaker",), progress=False)
    assert report.system == "tiny"
    assert report.fingerprint == manifest.fingerprint
    assert report.decode == settings.to_json()
    assert report.words.reference_length == 15
    assert report.words.wer is not None
    assert report.words.wer > 0.5, "a random model understands nothing"


@pytest.fixture
def spoken(speech: dict[str, NDArray[np.float32]], tmp_path: Path) -> Manifest:
    rows = []
    for number, (text, clip) in enumerate(speech.items()):
        write_flac(tmp_path / f"{number}.flac", clip)
        rows.append(Utterance(id=f"u{number}", audio_filepath=f"{number}.flac", duration=len(clip) / 16_000, text=text))
    return Manifest(rows, folder=tmp_path, name="spoken")


def test_tiny_en_understands_the_synthetic_voice(tiny_en: WhisperModel, spoken: Manifest) -> None:
    """Real weights, real decoding, real scoring: 31 words of standard English."""
    report = evaluate(tiny_en, spoken, system="tiny.en", progress=False)
    assert report.words.reference_length == 31
    assert report.words.wer is not None
    assert report.words.wer <= 0.1


# CTC models


@pytest.fixture
def ctc(ctc_folder: Folder) -> SpeechModel:
    return load_model(str(ctc_folder("wav2vec2-group")), language="en", device="cpu")


def test_clips_of_a_ctc_model_are_padded_to_the_longest_of_their_batch(ctc: SpeechModel, manifest: Manifest) -> None:
    """Three seconds hold 1.4 and 1.1, and then 0.9, 0.5 and 0.3: nothing is padded to 30 s, which would make five batches."""
    decode, seen = ctc.decode, []

    def watched(waveforms: Sequence[NDArray[np.float32]], settings: DecodeSettings) -> list[Decoded]:
        seen.append([round(len(waveform) / 16_000, 1) for waveform in waveforms])
        return decode(waveforms, settings)

    ctc.decode = watched  # type: ignore[method-assign]
    found = transcribe_manifest(ctc, manifest, settings=DecodeSettings(batch_seconds=3.0, precision="fp32"), progress=False)
    assert seen == [[1.4, 1.1], [0.9, 0.5, 0.3]]
    assert [hypothesis.id for hypothesis in found] == [utterance.id for utterance in manifest]
    for hypothesis, utterance in zip(found, manifest, strict=True):
        (alone,) = decode([read_waveform(manifest.audio_path(utterance))], DecodeSettings(precision="fp32"))
        assert hypothesis.text == alone.text


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (
            "ctc",
            DecodeSettings(window="short"),
            'window is "short", but {id} hears each clip as long as it is and has only: full. Leave the window out.',
        ),
        (
            "whisper",
            DecodeSettings(lm="english.arpa"),
            "a language model asked of {id}, which is no CTC model and has none. Use a CTC model or leave it out.",
        ),
        (
            "whisper",
            DecodeSettings(window="long"),
            'window is "long", but {id} has only: full, short. Choose one of them.',
        ),
    ],
)
def test_what_a_family_would_pass_over_in_silence_is_refused(
    kind: str, settings: DecodeSettings, message: str, model: SpeechModel, ctc: SpeechModel, manifest: Manifest
) -> None:
    chosen = ctc if kind == "ctc" else model
    with pytest.raises(MisuseError) as caught:
        transcribe_manifest(chosen, manifest, settings=settings, progress=False)
    assert str(caught.value) == message.format(id=chosen.base.id)


def test_a_clip_of_31_seconds_is_refused_by_a_ctc_model_too(ctc: SpeechModel, manifest: Manifest) -> None:
    long = Manifest([dataclasses.replace(manifest[0], duration=31.0)], folder=manifest.folder, name="test")
    with pytest.raises(ManifestError, match="hears at most 30 s at once"):
        transcribe_manifest(ctc, long, progress=False)


def test_a_base_without_an_output_layer_says_nothing(ctc_folder: Folder, manifest: Manifest) -> None:
    """So that a new language has a base score to be compared with: every word deleted."""
    report = evaluate(load_model(str(ctc_folder("raw")), language="en", device="cpu"), manifest, system="raw", progress=False)
    assert report.words.wer == 1.0
    assert report.words.deletions == report.words.reference_length
