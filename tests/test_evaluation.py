"""From a manifest to hypotheses and a report: order, times, and what a test set with holes is answered."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from speechadapt import Manifest, Utterance, compare, evaluate
from speechadapt.errors import AudioError, ManifestError, MisuseError
from speechadapt.evaluation import transcribe_manifest
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.models.whisper import WhisperModel

Speech = dict[str, NDArray[np.float32]]


@pytest.fixture
def manifest(speech: Speech, tmp_path: Path) -> Manifest:
    rows = []
    for number, (text, samples) in enumerate(speech.items()):
        soundfile.write(tmp_path / f"{number}.flac", samples, 16_000)
        rows.append(Utterance(id=f"u{number}", audio_filepath=f"{number}.flac", duration=len(samples) / 16_000, text=text, speaker=f"s{number % 2}"))
    return Manifest(rows, folder=tmp_path, name="test")


def test_hypotheses_stand_in_the_manifests_order_with_their_share_of_time(tiny_en: WhisperModel, manifest: Manifest) -> None:
    backwards = Manifest(reversed(manifest.utterances), folder=manifest.folder, name="test")
    hypotheses = transcribe_manifest(tiny_en, backwards, progress=False)
    assert [h.id for h in hypotheses] == [u.id for u in backwards]
    assert all(h.seconds is not None and h.seconds > 0 and h.avg_logprob is not None and -1 < h.avg_logprob < 0 for h in hypotheses)
    # one clip at a time says the same as a batch
    singles = transcribe_manifest(tiny_en, backwards, settings=DecodeSettings(batch_seconds=1), progress=False)
    assert [h.text for h in singles] == [h.text for h in hypotheses]


def test_a_clear_voice_is_scored_well_and_equals_itself(tiny_en: WhisperModel, manifest: Manifest) -> None:
    report = evaluate(tiny_en, manifest, system="tiny.en", progress=False)
    assert report.wer is not None
    assert report.wer <= 0.1  # 30 words of the standard synthetic voice, which tiny.en serves with about 1 %
    assert report.speakers == 2
    assert report.decode == {"window": "full", "beam": 1, "batch_seconds": 240.0, "precision": "auto"}
    assert report.real_time_factor is not None
    same = compare(report, evaluate(tiny_en, manifest, system="again", progress=False))
    assert same.delta == 0
    assert same.verdict == "not enough evidence"


def test_precision_changes_how_not_what(tiny_en: WhisperModel, manifest: Manifest) -> None:
    texts = [
        [h.text for h in transcribe_manifest(tiny_en, manifest, settings=DecodeSettings(precision=precision), progress=False)]
        for precision in ("fp32", "bf16")
    ]
    assert texts[0] == texts[1]


def test_a_clip_longer_than_the_model_hears(tiny_en: WhisperModel, tmp_path: Path, write_tone: Callable[..., Path]) -> None:
    write_tone(tmp_path / "long.wav", 31.0)
    rows = [Utterance(id="long", audio_filepath="long.wav", duration=31.0, text="Something.")]
    with pytest.raises(ManifestError, match=r'utterance "long" \(test\): 31\.0 s, openai/whisper-tiny\.en hears at most 30 s at once'):
        transcribe_manifest(tiny_en, Manifest(rows, folder=tmp_path, name="test"), progress=False)


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [(None, "missing", "no such audio file"), (b"", "empty", "zero bytes"), (b"this is text", "not-audio", "not a recording")],
)
def test_a_hole_in_a_test_set_is_an_error_with_the_id(tiny_en: WhisperModel, tmp_path: Path, content: bytes | None, reason: str, words: str) -> None:
    if content is not None:
        (tmp_path / "a.wav").write_bytes(content)
    rows = [Utterance(id="hole", audio_filepath="a.wav", duration=1.0, text="Something.")]
    with pytest.raises(AudioError, match=rf'utterance "hole" \(test\): .*{words}') as caught:
        transcribe_manifest(tiny_en, Manifest(rows, folder=tmp_path, name="test"), progress=False)
    assert caught.value.reason == reason


def test_nan_samples_in_a_test_set(tiny_en: WhisperModel, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.0] * 15_999 + [np.nan]), 16_000, subtype="FLOAT")
    rows = [Utterance(id="nan", audio_filepath="a.wav", duration=1.0, text="Something.")]
    with pytest.raises(AudioError, match=r'utterance "nan" \(test\): .*1 of 16000 samples are NaN'):
        transcribe_manifest(tiny_en, Manifest(rows, folder=tmp_path, name="test"), progress=False)


def test_the_short_window_needs_an_adapter(tiny_en: WhisperModel, manifest: Manifest) -> None:
    with pytest.raises(MisuseError, match="has no adapter and loops in it"):
        transcribe_manifest(tiny_en, manifest, settings=DecodeSettings(window="short"), progress=False)


def test_a_precision_that_does_not_exist(tiny_en: WhisperModel, manifest: Manifest) -> None:
    with pytest.raises(MisuseError, match='precision is "fp8", must be one of: auto, fp32, bf16'):
        transcribe_manifest(tiny_en, manifest, settings=DecodeSettings(precision="fp8"), progress=False)
