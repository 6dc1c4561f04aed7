"""The CTC family: equal to transformers, each clip of a batch as if alone, labels, losses, masks, blank collapse, and vocabularies in adapters."""

from __future__ import annotations

import dataclasses
import math
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jiwer
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from numpy.typing import NDArray
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_ctc import KINDS, edit_json

from speechadapt.adapt.adapter import add_adapter
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.adapt.train import recompute_activations
from speechadapt.errors import AdapterError, LabelError, MisuseError, TrainingError
from speechadapt.models.ctc import CTCModel, best_path, frames_needed
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import DecodeSettings, Symptom

if TYPE_CHECKING:
    from conftest import Tone

    from speechadapt.audio.batching import Batch

Folder = Callable[[str], Path]
FP32 = DecodeSettings(precision="fp32")
MASKS: dict[str, Any] = {"time_masks": 2, "time_mask_share": 0.1, "freq_masks": 2, "freq_mask_bins": 20}
PADDING_MATTERS = ("wav2vec2-group", "hubert", "wavlm", "conformer", "conformer-rotary", "data2vec", "w2v-bert-adapter")
"""Kinds whose output under transformers depends on what else is in the batch: group norm over padding, or convolutions that read it."""


@pytest.fixture
def load(ctc_folder: Folder) -> Callable[..., CTCModel]:
    def made(kind: str, **options: Any) -> CTCModel:
        model = load_model(str(ctc_folder(kind)), device="cpu", language="swh" if kind == "mms" else "en", **options)
        assert isinstance(model, CTCModel)
        return model

    return made


@pytest.fixture
def clips(tone: Tone) -> list[NDArray[np.float32]]:
    """Three clips of unlike length, each of an even number of mel frames: a stranger's w2v-BERT reads padding behind an odd one."""
    return [tone((400 + 160 * frames) / 16_000, seed=seed, level=0.2 * (seed + 1)) for seed, frames in enumerate((101, 39, 219))]


def batch_of(model: CTCModel, clips: list[NDArray[np.float32]], texts: tuple[str, ...] = ("on a hill", "ee", "heel teeth")) -> Batch:
    labels = [model.make_labels(text, text) for text in texts]
    return model.make_batch([f"u{row}" for row in range(len(clips))], clips, labels, window_seconds=None)


def log_probs(model: CTCModel, waveforms: list[NDArray[np.float32]]) -> list[torch.Tensor]:
    """Per clip, shape (frames, tokens), decoded as one batch."""
    inputs, lengths = model.frames.inputs(waveforms)
    with torch.no_grad():
        padded, frames = model.frames.log_probs(inputs, lengths)
    return [clip[:length] for clip, length in zip(padded, frames, strict=True)]


class Theirs:
    """transformers' own extractor and model on a folder, and nothing of ours."""

    def __init__(self, folder: Path, language: str | None = None) -> None:
        self.extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
        self.model = transformers.AutoModelForCTC.from_pretrained(folder).eval()
        if language is not None:
            self.model.load_adapter(language)

    def __call__(self, waveforms: list[NDArray[np.float32]], labels: torch.Tensor | None = None) -> Any:
        features = self.extractor(waveforms, sampling_rate=16_000, padding=True, return_attention_mask=True, return_tensors="pt")
        with torch.no_grad(), warnings.catch_warnings():
            # WavLM's own, about masks of two types; see ctc_network.py
            warnings.filterwarnings("ignore", message="Support for mismatched")
            return self.model(**features, labels=labels)


# Equal to transformers


@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_loss_equal_transformers(kind: str, load: Callable[..., CTCModel], ctc_folder: Folder, clips: list[NDArray[np.float32]]) -> None:
    """On a padded batch with its mask; clip by clip where transformers' own output depends on the padding."""
    model, theirs = load(kind), Theirs(ctc_folder(kind), "swh" if kind == "mms" else None)
    batch = batch_of(model, clips)
    tokens = int((batch.labels != -100).sum())
    ours = log_probs(model, clips)
    if kind in PADDING_MATTERS:
        outputs = [theirs([clip], batch.labels[row : row + 1]) for row, clip in enumerate(clips)]
        logits, loss = [output.logits[0] for output in outputs], sum(output.loss for output in outputs)
    else:
        output = theirs(clips, batch.labels)
        logits, loss = list(output.logits), output.loss
    for mine, other in zip(ours, logits, strict=True):
        torch.testing.assert_close(mine, torch.log_softmax(other[: len(mine)], dim=-1), atol=1e-4, rtol=0)
    assert float(model.loss(batch)) == pytest.approx(float(loss) / tokens, abs=1e-4)
    assert not model.infinite


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_in_a_batch_is_heard_as_if_alone(kind: str, load: Callable[..., CTCModel], clips: list[NDArray[np.float32]]) -> None:
    model = load(kind)
    alone = [log_probs(model, [clip])[0] for clip in clips]
    for mine, single in zip(log_probs(model, clips), alone, strict=True):
        # float32 sums in another order; most kinds differ by 3e-6
        torch.testing.assert_close(mine, single, atol=1e-4, rtol=0)
    together = model.decode(clips, FP32)
    assert [said.text for said in together] == [model.decode([clip], FP32)[0].text for clip in clips]
    assert any(said.text for said in together)


@pytest.mark.parametrize("kind", ["wav2vec2-group", "conformer", "data2vec"])
def test_transformers_own_output_depends_on_the_padding(kind: str, ctc_folder: Folder, clips: list[NDArray[np.float32]]) -> None:
    """The reason for clip-by-clip comparisons above; if this fails one day, theirs has become exact as well."""
    theirs = Theirs(ctc_folder(kind))
    frames = theirs(clips[1:2]).logits.shape[1]
    assert (theirs(clips).logits[1, :frames] - theirs(clips[1:2]).logits[0]).abs().max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_counted_right(kind: str, load: Callable[..., CTCModel], tone: Tone) -> None:
    model = load(kind)
    least = model.frames.least_samples
    assert model.frames.frames_of(least - 1) == 0
    assert model.frames.frames_of(least) == 1
    for samples in (least, least + 1, 5_000, 16_001):
        assert [len(clip) for clip in log_probs(model, [tone(samples / 16_000)])] == [model.frames.frames_of(samples)]
    assert model.frames.seconds_per_frame == (0.04 if kind == "w2v-bert-adapter" else 0.02)


@pytest.mark.parametrize("kind", ["wav2vec2-layer", "wav2vec2-group", "w2v-bert"])
@pytest.mark.parametrize("samples", [0, 1, 399])
def test_audio_shorter_than_the_receptive_field(kind: str, samples: int, load: Callable[..., CTCModel]) -> None:
    model = load(kind)
    least = model.frames.least_samples
    assert least == (560 if kind == "w2v-bert" else 400)
    assert model.unusable(samples, [5]) == f"shorter than {least / 16_000:.3f} s, which the model needs for one frame"
    said = model.decode([np.full(samples, 0.1, dtype=np.float32), np.zeros(0, dtype=np.float32)], FP32)
    assert all(math.isfinite(one.avg_logprob) for one in said)


def test_what_was_heard_before_changes_nothing(load: Callable[..., CTCModel], clips: list[NDArray[np.float32]]) -> None:
    """Conformers keep tables of positions in the precision and length of the last call, even those made while decoding in bfloat16."""
    for kind in ("conformer", "conformer-rotary"):
        model = load(kind)
        batch = batch_of(model, clips)
        before = model.loss(batch)
        model.decode(clips, DecodeSettings(precision="bf16"))
        assert torch.equal(model.loss(batch), before)


# Labels and limits


def test_labels(load: Callable[..., CTCModel]) -> None:
    model = load("wav2vec2-layer")
    assert model.vocabulary is not None
    assert model.make_labels("Two, please!", "u1") == model.vocabulary.encode("TWO PLEASE")
    assert model.make_labels("2", "u1") == model.make_labels("two", "u1")
    assert load("mms").make_labels("Sita", "u1") == load("mms").make_labels("sita", "u1")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("?!", "empty text"),
        ("ñ", "characters outside the vocabulary"),
        ("5 %", "symbols that cannot be spelled out"),
        ("½", "digits that cannot be spelled out"),
    ],
)
def test_texts_that_cannot_be_learned(text: str, reason: str, load: Callable[..., CTCModel]) -> None:
    with pytest.raises(LabelError, match=r'^utterance "u1": ') as caught:
        load("wav2vec2-layer").make_labels(text, "u1")
    assert caught.value.reason == reason


def test_unusable_clips(load: Callable[..., CTCModel]) -> None:
    model = load("wav2vec2-layer")
    frames = model.frames.frames_of(16_000)
    assert model.unusable(16_000, list(range(5, 5 + frames // 2)) * 2) is None
    assert model.unusable(16_000, [5] * 30) == "more letters than frames"  # 59 frames are needed
    assert model.unusable(16_000, [5] * 25) is None
    assert model.unusable(16_000 * 31, [5]) == "longer than 30 s"
    assert (frames_needed([5, 5, 6]), frames_needed([]), frames_needed([5, 6, 5])) == (4, 0, 3)


# The loss


def test_an_infinite_loss_counts_as_nothing_and_is_told(load: Callable[..., CTCModel], clips: list[NDArray[np.float32]]) -> None:
    model = load("wav2vec2-layer")
    fitting = [model.make_labels("on a hill", ""), model.make_labels("heel", "")]
    impossible = [5] * 15  # 19 frames, 29 needed
    three = [clips[0], clips[1], clips[2]]
    batch = model.make_batch(["a", "b", "c"], three, [fitting[0], impossible, fitting[1]], window_seconds=None)
    probabilities = log_probs(model, three)[1]
    assert torch.isinf(F.ctc_loss(probabilities[:, None], torch.tensor([impossible]), (19,), (15,), reduction="none")).all()
    for parameter in model.network.parameters():
        parameter.requires_grad_(True)
    loss = model.loss(batch)
    loss.backward()
    assert dict(model.infinite) == {"b": 1}
    gradient = model.ctc.lm_head.weight.grad
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0
    pair = model.make_batch(["a", "c"], [clips[0], clips[2]], fitting, window_seconds=None)
    assert float(loss.detach()) * (13 + 15) == pytest.approx(float(model.loss(pair).detach()) * 13, rel=1e-5)
    model.loss(batch)
    assert dict(model.infinite) == {"b": 2}


def test_a_part_of_a_batch_weighs_by_its_tokens(load: Callable[..., CTCModel], clips: list[NDArray[np.float32]]) -> None:
    from speechadapt.adapt.train import split_batch

    model = load("wav2vec2-group")
    batch = batch_of(model, clips)
    whole = float(model.loss(batch)) * int((batch.labels != -100).sum())
    parts = sum(float(model.loss(part)) * int((part.labels != -100).sum()) for part in split_batch(batch, 2))
    assert parts == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_adapter_matrix_learns_and_the_base_stays(kind: str, load: Callable[..., CTCModel], clips: list[NDArray[np.float32]]) -> None:
    """Also: recomputed activations give the same gradients, and nothing is drawn inside the network beside its dropout."""
    model = load(kind)
    batch = batch_of(model, clips)
    add_adapter(model, AdapterSpec(rank=2))
    buffers = {name: buffer.clone() for name, buffer in model.network.named_buffers()}

    def gradients() -> dict[str, torch.Tensor]:
        model.network.train()
        torch.manual_seed(0)
        model.loss(batch).backward()  # type: ignore[no-untyped-call]
        found = {name: parameter.grad.clone() for name, parameter in model.network.named_parameters() if parameter.grad is not None}
        model.network.zero_grad(set_to_none=True)
        return found

    found = gradients()
    matrices = [name for name, parameter in model.network.named_parameters() if parameter.requires_grad]
    assert sorted(found) == sorted(matrices)
    assert all("lora_" in name for name in matrices)
    for name, gradient in found.items():
        assert torch.isfinite(gradient).all()
        assert "lora_A" in name or gradient.abs().max() > 0, f"{name} changes nothing"  # A's gradient is zero while B is
    recompute_activations(model.network)
    for name, gradient in gradients().items():
        assert torch.equal(gradient, found[name])
    # batch norms would move their averages in training mode
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.network.named_buffers())


@pytest.mark.parametrize("kind", KINDS)
def test_roles_are_found_in_the_encoder_alone(kind: str, load: Callable[..., CTCModel]) -> None:
    layers = {"attention": 8, "attention+mlp": 12, "encoder": 12}
    if kind.startswith(("conformer", "w2v-bert")):
        layers = {"attention": 8, "attention+mlp": 16, "encoder": 16}  # two feed-forward parts per layer
    if kind == "wavlm":
        layers = {"attention+mlp": 4, "encoder": 4}
    for role, count in layers.items():
        model = load(kind)
        adapted = get_peft_model(model.network, LoraConfig(r=1, target_modules=model.peft_targets(role)))
        names = [name for name, _ in adapted.named_modules() if name.endswith("lora_A.default")]
        assert len(names) == count
        assert all(".encoder.layers." in name for name in names)
    with pytest.raises(MisuseError, match=r'targets is "decoder", but .* is a CTC model, which has none'):
        load(kind).peft_targets("decoder")


def test_wavlm_says_that_its_attention_cannot_be_adapted(load: Callable[..., CTCModel]) -> None:
    """It reads `q_proj.weight` without calling the layer, so PEFT's layer around it would train and change nothing."""
    with pytest.raises(MisuseError, match=r"attention of .* \(WavLM\) cannot carry adapters\. Choose attention\+mlp\."):
        load("wavlm").peft_targets("attention")


# Masks


@pytest.mark.parametrize("kind", ["wav2vec2-layer", "w2v-bert"])
def test_masks_stay_inside_each_clip(kind: str, load: Callable[..., CTCModel], clips: list[NDArray[np.float32]]) -> None:
    model = load(kind)
    batch = batch_of(model, clips)
    original = batch.inputs.clone()
    torch.manual_seed(0)
    masked = model.mask(batch, **MASKS)
    for row, length in enumerate(batch.input_lengths.tolist()):
        assert torch.equal(masked.inputs[row, ..., length:], original[row, ..., length:])
        assert not torch.equal(masked.inputs[row, ..., :length], original[row, ..., :length])
    assert torch.equal(batch.inputs, original), "the batch given stays"
    assert masked.labels is batch.labels
    torch.manual_seed(0)
    assert torch.equal(model.mask(batch, **MASKS).inputs, masked.inputs)
    assert model.mask(batch, **(MASKS | {"time_masks": 0, "freq_masks": 0})) is batch


# Blank collapse


def collapsed(model: CTCModel) -> CTCModel:
    assert model.vocabulary is not None
    with torch.no_grad():
        model.ctc.lm_head.bias[model.vocabulary.blank] += 100
    return model


def test_a_trained_head_that_falls_silent_is_told(load: Callable[..., CTCModel], clips: list[NDArray[np.float32]]) -> None:
    model = load("wav2vec2-layer")
    batch = batch_of(model, clips)
    for _ in range(10):
        model.loss(batch)
    assert model.symptom(10) is None
    assert model.symptom(10) is None, "nothing new was seen"
    collapsed(model)
    for _ in range(10):
        model.loss(batch)
    told = (
        "over 10 batches the model wrote 0 letters where the labels have 210: it has collapsed to blanks. "
        "Lower the learning rate, and check that the transcripts belong to their recordings."
    )
    assert model.symptom(20) == Symptom(told=told, stop=True)
    for _ in range(2):
        model.loss(batch)
    assert model.symptom(22) is None, "42 letters are too few to conclude from"
    model.forget_losses()
    for _ in range(3):
        model.loss(batch)
    assert model.symptom(3) is None, "what was seen before a training is not counted in it"


def test_a_new_head_is_given_its_plateau(load: Callable[..., CTCModel], clips: list[NDArray[np.float32]]) -> None:
    model = load("raw")
    model.fit_vocabulary(["on a hill", "heel teeth"])
    batch = batch_of(collapsed(model), clips)

    def at(step: int) -> Symptom:
        for _ in range(10):  # however often the clips of a step were cut into parts
            model.loss(batch)
        told = model.symptom(step)
        assert told is not None
        return told

    early = at(960)
    assert not early.stop
    assert "over 10 batches the model wrote 0 letters where the labels have 210: its new output layer does not write yet. Train longer" in early.told
    with torch.no_grad():
        model.ctc.lm_head.bias[0] -= 20
    assert not at(1000).stop, "nothing is known of 200 steps ago"
    assert not at(1160).stop, "the loss has fallen since 960"
    assert not at(1190).stop, "neighbouring checkpoints are not compared"
    stuck = at(1200)
    assert stuck.stop
    assert "it has collapsed to blanks, and its loss no longer falls" in stuck.told
    assert "Halve the learning rate" in stuck.told


# Decoding


def test_best_path() -> None:
    path = torch.tensor([0, 5, 5, 0, 5, 6, 6, 0])
    probabilities = torch.full((8, 7), math.log(0.02))
    probabilities[range(8), path] = math.log(0.5)
    assert best_path(probabilities, 0) == ([5, 5, 6], pytest.approx(math.log(0.5)))
    assert best_path(probabilities[:1], 0) == ([], 0.0)


def test_text_equals_transformers_own_decoding(load: Callable[..., CTCModel], ctc_folder: Folder, clips: list[NDArray[np.float32]]) -> None:
    model, theirs = load("wav2vec2-layer"), Theirs(ctc_folder("wav2vec2-layer"))
    tokenizer = transformers.Wav2Vec2CTCTokenizer.from_pretrained(ctc_folder("wav2vec2-layer"))
    for clip, said in zip(clips, model.decode(clips, FP32), strict=True):
        # theirs would take the blanks out before it joins repeats, were it asked to skip special tokens
        text = re.sub("<[^>]*>", "", tokenizer.decode(theirs([clip]).logits[0].argmax(dim=-1)))
        assert said.text == " ".join(text.split())
        assert said.avg_logprob < 0
        assert said.words == ()


def test_bfloat16_changes_little(load: Callable[..., CTCModel], clips: list[NDArray[np.float32]]) -> None:
    model = load("wav2vec2-layer")
    for exact, rough in zip(model.decode(clips, FP32), model.decode(clips, DecodeSettings(precision="bf16")), strict=True):
        assert rough.avg_logprob != exact.avg_logprob
        assert rough.avg_logprob == pytest.approx(exact.avg_logprob, rel=0.2)  # random weights amplify eight bits of mantissa


def test_no_short_window(load: Callable[..., CTCModel], clips: list[NDArray[np.float32]]) -> None:
    model = load("wav2vec2-layer")
    assert (model.windows, model.padded_to, model.task) == (("full",), None, None)
    with pytest.raises(MisuseError, match=r"the short window was asked for, but .* is a CTC model, which has none\. Use window=full\."):
        model.decode(clips, dataclasses.replace(FP32, window="short"))


def test_words_and_beams_come_from_their_own_parts(load: Callable[..., CTCModel], clips: list[NDArray[np.float32]]) -> None:
    model = load("wav2vec2-layer")
    [said] = model.decode(clips[:1], dataclasses.replace(FP32, words=True))
    assert [word.text for word in said.words] == said.text.split()
    assert all(0 <= word.start < word.end <= len(clips[0]) / 16_000 for word in said.words)
    pytest.importorskip("flashlight.lib.text", reason="the extra lm is not installed")
    assert model.decode(clips[:1], dataclasses.replace(FP32, beam=5))[0].text


# Bases without an output layer, and vocabularies


@pytest.mark.parametrize("kind", ["raw", "raw-pretraining", "raw-w2v-bert"])
def test_a_base_that_was_only_pretrained(kind: str, load: Callable[..., CTCModel], clips: list[NDArray[np.float32]]) -> None:
    model = load(kind)
    assert (model.vocabulary, model.head) == (None, "kept")
    assert [said.text for said in model.decode(clips, FP32)] == ["", "", ""]
    with pytest.raises(TrainingError, match=r"has no output layer yet, so it cannot learn to write\. Call fit_vocabulary"):
        model.make_labels("a", "u1")
    torch.manual_seed(0)
    told = model.fit_vocabulary(["On a hill.", "teeth"])
    assert told == ("vocabulary built from 2 training texts: 8 characters, a, e, h, i, l, n, o, t",)
    assert (model.head, model.saved_modules) == ("new", ["lm_head"])
    assert tuple(model.ctc.lm_head.weight.shape) == (10, 32)
    assert not model.ctc.lm_head.weight.requires_grad
    assert torch.isfinite(model.loss(batch_of(model, clips)))
    with pytest.raises(LabelError):
        model.make_labels("zoo", "u1")


def test_other_letters_keep_the_bases_blank_and_its_ends_of_words(load: Callable[..., CTCModel]) -> None:
    model = load("wav2vec2-layer")
    old, before = model.ctc.lm_head, model.vocabulary
    torch.manual_seed(0)
    model.fit_vocabulary(["они дома"], vocabulary="new")
    new, after = model.ctc.lm_head, model.vocabulary
    assert (model.head, tuple(new.weight.shape)) == ("new", (len(after), 32))
    for row, was in ((after.blank, before.blank), (after.separator, before.separator)):
        assert torch.equal(new.weight[row], old.weight[was])
        assert torch.equal(new.bias[row], old.bias[was])
    letters, known = new.weight[sorted(after.letters.values())], old.weight[sorted(before.letters.values())]
    assert len(torch.unique(letters, dim=0)) == len(letters) == 6, "equal rows would get equal gradients"
    # six rows around the mean of 27: their own mean lies within four standard errors
    assert ((letters.mean(0) - known.mean(0)).abs() < 4 * known.std(0) / 6**0.5).all()
    assert not any(torch.equal(row, other) for row in letters for other in old.weight)


def test_raw_weights_are_the_same_every_time(load: Callable[..., CTCModel]) -> None:
    """transformers fills a missing output layer with other random numbers each time, and fingerprints would never agree."""
    assert all(torch.equal(one, other) for one, other in zip(load("raw").network.parameters(), load("raw").network.parameters(), strict=True))


def test_a_vocabulary_that_covers_is_kept(load: Callable[..., CTCModel]) -> None:
    model = load("wav2vec2-layer")
    weight = model.ctc.lm_head.weight
    model.fit_vocabulary(["two teeth"])
    assert (model.head, model.saved_modules) == ("kept", [])
    assert model.ctc.lm_head.weight is weight


def test_an_extended_head_keeps_its_rows_and_its_voice(load: Callable[..., CTCModel], clips: list[NDArray[np.float32]]) -> None:
    model = load("wav2vec2-layer")
    old, bias = model.ctc.lm_head.weight.clone(), model.ctc.lm_head.bias.clone()
    before = model.decode(clips, FP32)
    model.fit_vocabulary(["ñu ï"])
    head = model.ctc.lm_head
    assert (model.head, model.saved_modules, tuple(head.weight.shape)) == ("extended", ["lm_head"], (34, 32))
    assert torch.equal(head.weight[:32], old)
    assert torch.equal(head.bias[:32], bias)
    letters = old[5:]
    assert not torch.equal(head.weight[32], head.weight[33])
    # a tenth of the letters' spread, over 32 columns
    assert (head.weight[32:] - letters.mean(dim=0)).abs().max() < letters.std(dim=0).max()
    assert [said.text for said in model.decode(clips, FP32)] == [said.text for said in before]
    assert model.make_labels("Ñ", "u1") == [33]


def test_a_new_vocabulary_in_place_of_the_bases_and_back(load: Callable[..., CTCModel], clips: list[NDArray[np.float32]]) -> None:
    """Each fit starts from the base, so that a probe before training leaves no trace."""
    model = load("wav2vec2-layer")
    before = model.decode(clips, FP32)
    model.fit_vocabulary(["გამარჯობა"], vocabulary="new")
    assert (model.head, len(model.ctc.lm_head.weight)) == ("new", 9)
    model.fit_vocabulary(["ñ"])
    assert (model.head, len(model.ctc.lm_head.weight)) == ("extended", 33)
    model.fit_vocabulary(["two"])
    assert model.head == "kept"
    assert model.decode(clips, FP32) == before


def test_no_vocabulary_once_an_adapter_is_inside(load: Callable[..., CTCModel]) -> None:
    model = load("wav2vec2-layer")
    add_adapter(model, AdapterSpec(rank=2))
    with pytest.raises(TrainingError, match="the vocabulary cannot change once an adapter is inside"):
        model.fit_vocabulary(["ñ"])


@pytest.mark.parametrize(("kind", "choice"), [("wav2vec2-group", "extend"), ("raw", "new"), ("w2v-bert", "extend"), ("mms", "new")])
def test_a_stranger_needs_the_base_and_the_adapter_folder_alone(
    kind: str, choice: str, load: Callable[..., CTCModel], ctc_folder: Folder, clips: list[NDArray[np.float32]], tmp_path: Path
) -> None:
    model = load(kind)
    model.fit_vocabulary(["ñu ï on a hill"], vocabulary=choice)
    assert model.vocabulary is not None
    adapted = get_peft_model(model.network, LoraConfig(r=2, target_modules=model.peft_targets("attention"), modules_to_save=model.saved_modules))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name)))
    model.network, model.adapted = adapted, True
    adapted.eval()
    adapted.save_pretrained(str(tmp_path), save_embedding_layers=False)
    model.save_vocabulary(tmp_path)
    ours = log_probs(model, clips[:1])[0]

    base = transformers.AutoModelForCTC.from_pretrained(ctc_folder(kind))
    if kind == "mms":
        base.load_adapter("swh")
    base.lm_head = torch.nn.Linear(32, len(model.vocabulary))
    theirs = PeftModel.from_pretrained(base, str(tmp_path)).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)
    tokenizer = transformers.Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    with torch.no_grad():
        logits = theirs(**extractor(clips[0], sampling_rate=16_000, return_tensors="pt")).logits[0]
    torch.testing.assert_close(torch.log_softmax(logits, dim=-1), ours, atol=2e-4, rtol=0)  # random updates amplify the features' rounding
    text = re.sub("<[^>]*>", "", tokenizer.decode(logits.argmax(dim=-1)))
    assert model.decode(clips[:1], FP32)[0].text == " ".join(text.split())

    again = load(kind)
    again.load_vocabulary(tmp_path)
    assert (again.vocabulary, again.head, again.saved_modules) == (model.vocabulary, "extended" if choice == "extend" else "new", ["lm_head"])
    again.network = PeftModel.from_pretrained(again.network, str(tmp_path)).eval()
    assert torch.equal(log_probs(again, clips[:1])[0], ours)


@pytest.fixture
def adapter_folder(load: Callable[..., CTCModel], tmp_path: Path) -> Path:
    """An adapter with an extended vocabulary of 33 tokens."""
    model = load("wav2vec2-layer")
    model.fit_vocabulary(["ñ"])
    adapted = get_peft_model(model.network, LoraConfig(r=1, target_modules=model.peft_targets("attention"), modules_to_save=model.saved_modules))
    adapted.save_pretrained(str(tmp_path / "adapter"), save_embedding_layers=False)
    model.save_vocabulary(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_a_vocabulary_that_does_not_match_its_head(load: Callable[..., CTCModel], adapter_folder: Path) -> None:
    edit_json(adapter_folder / "vocab.json", Ñ=None)
    with pytest.raises(AdapterError) as caught:
        load("wav2vec2-layer").load_vocabulary(adapter_folder)
    assert str(caught.value) == (
        f"{adapter_folder}: its output layer has 33 rows, its vocab.json names 32 tokens, must be as many. Copy the adapter again."
    )


def test_an_adapter_without_its_vocabulary(load: Callable[..., CTCModel], adapter_folder: Path) -> None:
    (adapter_folder / "vocab.json").unlink()
    with pytest.raises(AdapterError, match=r"its vocab\.json is missing or empty"):
        load("wav2vec2-layer").load_vocabulary(adapter_folder)


def test_an_adapter_without_its_output_layer(load: Callable[..., CTCModel], adapter_folder: Path) -> None:
    path = adapter_folder / "adapter_model.safetensors"
    save_file({name: weight for name, weight in load_file(path).items() if "lm_head" not in name}, path)
    with pytest.raises(AdapterError, match=r"has a vocab\.json, but adapter_model\.safetensors holds no output layer"):
        load("wav2vec2-layer").load_vocabulary(adapter_folder)


def test_broken_adapter_weights(load: Callable[..., CTCModel], adapter_folder: Path) -> None:
    (adapter_folder / "adapter_model.safetensors").write_bytes(b"none")
    with pytest.raises(AdapterError, match=r"adapter_model\.safetensors: could not be read"):
        load("wav2vec2-layer").load_vocabulary(adapter_folder)


def test_an_adapter_that_kept_the_vocabulary_writes_and_reads_none(load: Callable[..., CTCModel], tmp_path: Path) -> None:
    model = load("wav2vec2-layer")
    model.fit_vocabulary(["two"])
    adapted = get_peft_model(model.network, LoraConfig(r=1, target_modules=model.peft_targets("attention")))
    adapted.save_pretrained(str(tmp_path), save_embedding_layers=False)
    model.save_vocabulary(tmp_path)
    assert not (tmp_path / "vocab.json").exists()
    again = load("wav2vec2-layer")
    again.load_vocabulary(tmp_path)
    assert (again.head, again.vocabulary) == ("kept", model.vocabulary)


def test_learning_from_nothing(load: Callable[..., CTCModel]) -> None:
    """A toy language, each letter a tone: a new head and an adapter learn to write it, so labels, blank and separator fit together."""
    texts = ("ab ca", "cb", "bac a")
    clips = [speak(text) for text in texts]
    model = load("raw")
    torch.manual_seed(0)
    model.fit_vocabulary(texts)
    add_adapter(model, AdapterSpec(rank=8))
    batch = batch_of(model, clips, texts)
    optimizer = torch.optim.AdamW([parameter for parameter in model.network.parameters() if parameter.requires_grad])
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 5e-3 * (1 - step / 300)
        optimizer.zero_grad()
        model.loss(batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    said = [clip.text for clip in model.decode(clips, FP32)]
    assert jiwer.cer(list(texts), said) <= 0.2, said  # a model that writes nothing has 1; another processor's rounding leads elsewhere


def speak(text: str) -> NDArray[np.float32]:
    """A tone of a tenth of a second per letter and blank, and a pause between them."""
    hertz = {"a": 300, "b": 1000, "c": 3000, " ": 5500}
    time = np.arange(1600) / 16_000
    parts = [part for letter in text for part in (0.3 * np.sin(2 * np.pi * hertz[letter] * time), np.zeros(800))]
    sound = np.concatenate([np.zeros(800), *parts])
    return (sound + np.random.default_rng(0).normal(0, 0.003, len(sound))).astype(np.float32)


def test_a_folder_without_a_preprocessor(ctc_folder: Folder, load: Callable[..., CTCModel], clips: list[NDArray[np.float32]], tmp_path: Path) -> None:
    """The family's defaults hold."""
    shutil.copytree(ctc_folder("wav2vec2-group"), tmp_path / "copy", ignore=shutil.ignore_patterns("preprocessor_config.json"))
    copy = load_model(str(tmp_path / "copy"), device="cpu")
    assert isinstance(copy, CTCModel)
    assert copy.frames.front_end == load("wav2vec2-group").frames.front_end
    assert copy.decode(clips, FP32) == load("wav2vec2-group").decode(clips, FP32)
