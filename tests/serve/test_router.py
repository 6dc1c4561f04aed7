"""Routing: known speakers, the surest adapter, the classifier, and the base where unsure."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from random_adapters import write_adapter
from tiny_whisper import write_tiny_whisper

from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import AdapterError, AudioError, MisuseError
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.serve.accent_classifier import fit_classifier, pooled_states, read_classifier
from speechadapt.serve.library import AdapterLibrary
from speechadapt.serve.router import Router, word_errors
from speechadapt.transcriber import first_speech

Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def library(whisper_folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> AdapterLibrary:
    root = tmp_path_factory.mktemp("routed")
    made = AdapterLibrary(str(whisper_folder("english")), device="cpu", settings=DecodeSettings(precision="fp32"))
    for seed, name in enumerate(("high", "low")):
        write_adapter(whisper_folder("english"), root / name, seed=seed)
    made.scan(root)
    return made


def sound(place: int, pitch: float) -> Any:
    time = np.arange(6400) / 16_000
    return (0.3 * np.sin(2 * np.pi * pitch * (1 + 0.02 * place) * time) * (1 + 0.3 * np.sin(40 * time))).astype(np.float32)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Two "accents" that differ in pitch, which an encoder of random weights can hear."""
    folder = tmp_path_factory.mktemp("accents")
    rows = []
    for place in range(6):
        for accent, pitch in (("high", 2500.0), ("low", 200.0)):
            name = f"{accent}{place}"
            soundfile.write(folder / f"{name}.wav", sound(place, pitch), 16_000)
            rows.append(Utterance(id=name, audio_filepath=f"{name}.wav", duration=0.4, text="They went home.", accent=accent))
    return Manifest(rows, folder=folder, name="accents")


def test_known_speakers_and_accents_need_no_listening(library: AdapterLibrary) -> None:
    router = Router(library, speakers={"ann": "high", "bob": "base"}, accents={"welsh": "low"})
    nothing = np.zeros(0, np.float32)
    assert router.choose(nothing, speaker="ann", accent="welsh").adapter == "high"
    assert (router.choose(nothing, speaker="bob").adapter, router.choose(nothing, speaker="bob").why) == (None, "speaker")
    assert (router.choose(nothing, speaker="eve", accent="welsh").adapter, router.choose(nothing, accent="welsh").why) == ("low", "accent")
    assert (router.choose(nothing, speaker="eve").adapter, router.choose(nothing).why) == (None, "unsure")


def test_confidence_is_the_margin_over_the_base(library: AdapterLibrary) -> None:
    clip = sound(1, 700)
    said = {name: library.decode([clip], [name])[0].avg_logprob for name in (None, "high", "low")}
    choice = Router(library, threshold=-100.0).choose(clip)
    assert choice.scores["base"] == 0.0
    for name in ("high", "low"):
        assert choice.scores[name] == pytest.approx(said[name] - said[None], abs=1e-4)
    best = max(choice.scores, key=lambda name: choice.scores[name])
    assert choice.adapter == (None if best == "base" else best)
    lone = Router(library, candidates=[min(("high", "low"), key=lambda name: choice.scores[name])]).choose(clip)
    assert len(lone.scores) == 2
    margin = max(choice.scores["high"], choice.scores["low"])
    assert margin > 0  # or the next line would prove nothing
    assert Router(library, threshold=margin + 1e-3).choose(clip).why == "unsure"
    assert Router(library, threshold=margin - 1e-3).choose(clip).why == "confidence"


def test_the_classifier_learns_the_labels_and_is_read_back(library: AdapterLibrary, manifest: Manifest, tmp_path: Path) -> None:
    made = fit_classifier(library, manifest)
    assert (made.accents, dict(made.utterances), made.train_fingerprint) == (("high", "low"), {"high": 6, "low": 6}, manifest.fingerprint)
    made.save(tmp_path / "classifier")
    read = read_classifier(tmp_path / "classifier")
    states = pooled_states(library.model, [sound(7, 2500), sound(8, 200)])
    assert torch.equal(read.probabilities(states), made.probabilities(states))
    router = Router(library, by="classifier", classifier=read)
    assert [router.choose(sound(7, pitch)).adapter for pitch in (2500, 200)] == ["high", "low"]
    assert router.choose(sound(7, 200)).scores == pytest.approx({"high": 0.0, "low": 1.0}, abs=0.5)
    assert Router(library, by="classifier", classifier=read, threshold=1.1).choose(sound(7, 200)).why == "unsure"
    to_base = Router(library, by="classifier", classifier=read, accents={"low": None})
    assert (to_base.choose(sound(7, 200)).adapter, to_base.choose(sound(7, 200)).why) == (None, "classifier")


def test_states_leave_padding_out(library: AdapterLibrary, ctc_folder: Folder) -> None:
    from speechadapt.models.load import load_model

    clips = [sound(1, 300), np.concatenate([sound(1, 900), sound(2, 900)])]
    model = load_model(str(ctc_folder("wav2vec2-layer")), device="cpu")
    both = pooled_states(model, clips)
    torch.testing.assert_close(both[0], pooled_states(model, clips[:1])[0], rtol=1e-4, atol=1e-4)
    assert both.shape == (2, 32)
    assert pooled_states(library.model, clips).shape == (2, 32)


def test_calibration_takes_the_threshold_with_the_fewest_errors(library: AdapterLibrary, manifest: Manifest) -> None:
    few = Manifest(manifest[:4], folder=manifest.folder, name="dev")
    router = Router(library, threshold=0.0)
    chosen = router.calibrate(few)
    assert router.threshold == chosen
    errors = word_errors(library, few, ("high", "low"))

    def total(threshold: float) -> int:
        judge = Router(library, threshold=threshold)
        clips = [soundfile.read(few.audio_path(u), dtype="float32")[0] for u in few]
        return sum(errors[judge.choose(clip).adapter][place] for place, clip in enumerate(clips))

    assert total(chosen) == min(total(bound) for bound in (0.0, chosen / 2, chosen, chosen * 2, 100.0))
    with pytest.raises(MisuseError, match=r"the dev manifest to calibrate by is empty"):
        router.calibrate(Manifest([], folder=manifest.folder, name="none"))


def test_what_cannot_be_meant(library: AdapterLibrary, manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r'^by is "magic", must be confidence or classifier'):
        Router(library, by="magic")
    with pytest.raises(MisuseError, match=r"no classifier was given"):
        Router(library, by="classifier")
    for seconds in (0.0, 31.0, float("nan")):
        with pytest.raises(MisuseError, match=r"must be above 0 and at most 30"):
            Router(library, seconds=seconds)
    with pytest.raises(AdapterError, match=r'no adapter is named "cornish"; there are: high, low'):
        Router(library, speakers={"ann": "cornish"})
    one = Manifest(manifest[::2], folder=manifest.folder, name="one")
    with pytest.raises(MisuseError, match=r"the manifest has 1 accents \(high\), must have at least 2"):
        fit_classifier(library, one)
    bare = Manifest([Utterance(id="x", audio_filepath="high0.wav", duration=0.4, text="No.")], folder=manifest.folder, name="bare")
    with pytest.raises(MisuseError, match=r'utterance "x" has no accent \(1 of 1 have none\)'):
        fit_classifier(library, bare)
    made = fit_classifier(library, manifest)
    made.save(tmp_path / "classifier")
    write_tiny_whisper("english", tmp_path / "other", seed=5)
    with pytest.raises(MisuseError, match=r"the classifier was trained on"):
        Router(AdapterLibrary(str(tmp_path / "other"), device="cpu"), by="classifier", classifier=made)
    facts = json.loads((tmp_path / "classifier" / "classifier.json").read_text())
    for change in ({"accents": ["a", "b", "c"]}, {"accents": 3}, {"base_id": None, "utterances": 1}):
        (tmp_path / "classifier" / "classifier.json").write_text(json.dumps(facts | change))
        with pytest.raises(AdapterError, match=r"no classifier that can be read"):
            read_classifier(tmp_path / "classifier")
    (tmp_path / "classifier" / "classifier.json").write_text(json.dumps(facts | {"weights_sha256": "0" * 64}))
    with pytest.raises(AdapterError, match=r"is not the one that was saved"):
        read_classifier(tmp_path / "classifier")
    with pytest.raises(AdapterError, match=r"no classifier that can be read"):
        read_classifier(tmp_path)


def test_transcribing_tells_the_choice(library: AdapterLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "vad", False)  # a tone is no speech
    path = tmp_path / "talk.wav"
    soundfile.write(path, sound(1, 700), 16_000)
    router = Router(library, speakers={"ann": "high", "bob": None}, threshold=-100.0)
    chosen = router.choose(sound(1, 700)).adapter
    assert chosen is not None  # or what follows would prove little
    assert router.transcribe(path).adapter == chosen
    assert router.transcribe(path).text == library.transcribe(path, chosen).text
    assert (router.transcribe(path, speaker="ann").adapter, router.transcribe(path, speaker="bob").adapter) == ("high", None)
    library.use("low")  # is not what a router means by the base
    assert router.transcribe(path, speaker="bob").adapter is None
    library.use(None)
    with path.open("rb") as file:
        file.seek(0)
        assert router.transcribe(file).adapter == chosen  # heard twice, from the same place
    with tempfile.NamedTemporaryFile() as file:  # a file that is no io.IOBase
        file.write(path.read_bytes())
        file.seek(0)
        assert router.transcribe(file).adapter == chosen  # type: ignore[arg-type]
    assert router.transcribe(path.read_bytes()).adapter == chosen
    for wrong in (b"", b"no audio" * 9, tmp_path / "missing.wav", None):
        with pytest.raises(AudioError):
            router.transcribe(wrong)  # type: ignore[arg-type]
    assert router.transcribe(sound(1, 700)).adapter == chosen
    assert router.transcribe(np.repeat(sound(1, 700), 2), sampling_rate=32_000).duration == pytest.approx(0.4)


def test_the_beginning_of_speech() -> None:
    """Without voice activity a recording's own beginning, of one that fits the window and of a longer one."""
    for seconds in (4.0, 70.0):
        talk = np.random.default_rng(0).normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)
        heard = first_speech(talk, seconds=3.0, longest=30.0, vad=False)
        assert np.array_equal(heard, talk[:48_000])
    assert len(first_speech(talk[:16_000], seconds=3.0, longest=30.0, vad=False)) == 16_000


def test_silence_before_speech_is_not_listened_to() -> None:
    pytest.importorskip("silero_vad", reason="the extra vad is not installed")
    voice = pytest.importorskip("speechadapt.synthetic.voice", reason="the synthetic voice is not installed").load_voice()
    said = voice.speak(voice.phonemes("the old fisherman repaired his boat before the storm"))
    talk = np.concatenate([np.zeros(10 * 16_000, np.float32), said])
    heard = first_speech(talk, seconds=1.5, longest=30.0)
    assert len(heard) == 24_000
    at = next(place for place in range(150_000, 190_000) if np.array_equal(talk[place : place + 24_000], heard))
    assert abs(at - 160_000) < 8_000  # half a second around where the silence ends
    assert len(first_speech(np.zeros(5 * 16_000, np.float32), seconds=3.0, longest=30.0)) == 0
