"""Whisper: prompts, labels, loss, encoder and decoding against transformers' own, on tiny random models of every kind."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from speechadapt.audio.features import log_mel, window_frames
from speechadapt.errors import MisuseError, ModelError, TrainingError
from speechadapt.models import decode
from speechadapt.models.decode import beam_search, greedy
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.models.whisper import WhisperDecoder, WhisperModel

if TYPE_CHECKING:
    from conftest import Tone

Folder = Callable[[str], Path]
KINDS = ("english", "multilingual", "v3")
TEXT = "They went home."


@functools.cache
def load(folder: Path, language: str | None = None, task: str = "transcribe") -> WhisperModel:
    """Loaded once per choice; a test that changes a model loads its own."""
    model = load_model(str(folder), language=language, task=task, device="cpu")
    assert isinstance(model, WhisperModel)
    return model


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, whisper_folder: Folder) -> WhisperModel:
    """One of each kind, set to German where it knows languages."""
    return load(whisper_folder(request.param), None if request.param == "english" else "de")


def words(model: WhisperModel, ids: list[int]) -> list[str]:
    found: list[str] = model.tokenizer.convert_ids_to_tokens(ids)
    return found


# Prompts and labels


def test_prompt_of_an_english_model(whisper_folder: Folder) -> None:
    model = load(whisper_folder("english"))
    assert model.prompt == [50257, 50362]  # tiny.en's published ids
    assert words(model, model.prompt) == ["<|startoftranscript|>", "<|notimestamps|>"]
    assert model.language == "en"


@pytest.mark.parametrize(
    ("kind", "language", "task", "ids"),
    [
        ("multilingual", "de", "transcribe", [50258, 50261, 50359, 50363]),
        ("multilingual", "German", "translate", [50258, 50261, 50358, 50363]),
        ("multilingual", "en-GB", "transcribe", [50258, 50259, 50359, 50363]),
        ("v3", "de", "transcribe", [50258, 50261, 50360, 50364]),
        ("v3", "yue", "translate", [50258, 50358, 50359, 50364]),
        ("v3", "cantonese", "transcribe", [50258, 50358, 50360, 50364]),
    ],
)
def test_prompts_of_multilingual_models(kind: str, language: str, task: str, ids: list[int], whisper_folder: Folder) -> None:
    """The ids published with Whisper base and large-v3, where Cantonese shifted every later one."""
    model = load(whisper_folder(kind), language, task)
    assert model.prompt == ids
    code = model.language
    assert words(model, model.prompt) == ["<|startoftranscript|>", f"<|{code}|>", f"<|{task}|>", "<|notimestamps|>"]


def test_no_language_set_is_refused_where_a_prompt_is_needed(whisper_folder: Folder) -> None:
    model = load(whisper_folder("multilingual"))
    assert model.language is None
    with pytest.raises(MisuseError, match=r"knows many languages and none was set\. Set the language, for example language=en\."):
        model.make_labels(TEXT, "u1")


@pytest.mark.parametrize("language", ["gsw", "klingon", "yue"])
def test_a_language_without_a_token(language: str, whisper_folder: Folder) -> None:
    with pytest.raises(MisuseError) as caught:
        load(whisper_folder("multilingual"), language)
    message = str(caught.value)
    assert message.startswith(f'language is "{language}", which {whisper_folder("multilingual")} has no token for; it knows af, am, ar, as, az')
    assert "Name the nearest relative it knows" in message
    assert message.endswith("the adapter can learn the rest.")


def test_a_misspelt_language_is_answered_with_near_ones(whisper_folder: Folder) -> None:
    with pytest.raises(MisuseError, match=r"perhaps .*german"):
        load(whisper_folder("multilingual"), "germann")


def test_an_english_model_knows_only_english(whisper_folder: Folder) -> None:
    folder = whisper_folder("english")
    assert load(folder, "english").prompt == load(folder, "en").prompt == load(folder).prompt
    with pytest.raises(MisuseError) as caught:
        load(folder, "fr")
    assert str(caught.value) == f'language is "fr", but {folder} knows only English. Choose the multilingual model without ".en".'
    with pytest.raises(MisuseError) as caught:
        load(folder, task="translate")
    assert str(caught.value) == f'task is "translate", but {folder} knows only English. Choose the multilingual model without ".en".'


@pytest.mark.parametrize("language", ["en-GB", "en-us", "EN", "English"])
def test_tags_of_english_are_english(language: str, whisper_folder: Folder) -> None:
    assert load(whisper_folder("english"), language).language == "en"


def test_a_task_that_does_not_exist(whisper_folder: Folder) -> None:
    with pytest.raises(MisuseError, match=r'^task is "summarize", must be transcribe or translate\. Correct the setting\.$'):
        load(whisper_folder("multilingual"), "de", "summarize")


def test_labels_begin_with_a_blank_and_end_with_the_end(model: WhisperModel) -> None:
    """Whisper's own text starts with a blank; without it the first word is another token (pitfall 15b)."""
    labels = model.make_labels("they  went home ", "u1")
    assert words(model, labels)[:1] == ["Ġthey"]
    assert labels[-1] == model.end == model.tokenizer.eos_token_id
    assert model.make_labels(" they  went home", "u1") == labels, "blanks at the ends do not matter"
    assert not any(token > model.end for token in labels), "no start token, no prompt, inside the labels"


@pytest.mark.parametrize(("kind", "most"), [("english", 445), ("multilingual", 443), ("v3", 443)])
def test_the_limit_of_448_tokens(kind: str, most: int, whisper_folder: Folder) -> None:
    """448 positions, less the prompt and the end."""
    folder = whisper_folder(kind)
    model = load(folder, None if kind == "english" else "en")
    assert len(model.make_labels("the " * most, "u1")) == most + 1
    with pytest.raises(TrainingError) as caught:
        model.make_labels("the " * (most + 1), "u1")
    assert str(caught.value) == (
        f'utterance "u1": its text has {most + 1} tokens, {folder} can emit {most} beside its prompt. '
        "Cut the utterance into shorter ones or remove it."
    )


def test_the_longest_labels_can_be_learned(model: WhisperModel, tone: Tone) -> None:
    most = 445 if model.language == "en" else 443
    labels = model.make_labels("the " * most, "u1")
    assert torch.isfinite(model.loss(model.make_batch(["u1"], [tone(1.0)], [labels], window_seconds=2.0)))


# Batches and loss


def test_a_batch_is_as_wide_as_its_window(model: WhisperModel, tone: Tone) -> None:
    labels = [model.make_labels(text, "u") for text in ("one", "one two three")]
    batch = model.make_batch(["a", "b"], [tone(1.0), tone(2.0)], labels, window_seconds=2.5)
    assert batch.ids == ("a", "b")
    assert batch.inputs.shape == (2, model.mels, window_frames(2.5))
    assert batch.input_lengths.tolist() == [101, 201]
    assert batch.labels.tolist() == [[*labels[0], -100, -100], labels[1]]
    assert model.make_batch(["a"], [tone(1.0)], labels[:1], window_seconds=None).inputs.shape == (1, model.mels, 3000)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_equals_that_of_transformers(model: WhisperModel, tone: Tone, smoothing: float) -> None:
    """Full window; the prompt is fed and not learned, the padding neither."""
    texts = ["They went home.", "No.", "A somewhat longer sentence, with a comma."]
    clips = [tone(1.0, seed=1), tone(2.0, seed=2), tone(3.0, seed=3)]
    labels = [model.make_labels(text, "u") for text in texts]
    ours = model.loss(model.make_batch(["a", "b", "c"], clips, labels, window_seconds=None), label_smoothing=smoothing)

    prompt, width = model.prompt, max(map(len, labels))
    fed = torch.tensor([[*prompt, *ids[:-1], *[model.end] * (width - len(ids))] for ids in labels])
    wanted = torch.tensor([[*[-100] * (len(prompt) - 1), *ids, *[-100] * (width - len(ids))] for ids in labels])
    features = WhisperFeatureExtractor(feature_size=model.mels)(clips, sampling_rate=16_000, return_tensors="pt").input_features
    theirs = model.whisper(input_features=features, decoder_input_ids=fed, labels=wanted)
    assert fed.shape == wanted.shape
    expected = theirs.loss
    if smoothing:
        expected = torch.nn.functional.cross_entropy(theirs.logits.flatten(0, 1), wanted.flatten(), label_smoothing=smoothing)
    # the features differ by up to 1e-4, everything else is float32 rounding
    assert float(ours) == pytest.approx(float(expected), abs=1e-4)


def test_the_start_token_is_fed_once(model: WhisperModel, tone: Tone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven public recipes feed it twice (pitfall 1)."""
    fed: list[torch.Tensor] = []
    forward = model.whisper.model.decoder.forward

    def listening(*arguments: object, **named: object) -> object:
        fed.append(named["input_ids"])  # type: ignore[arg-type]
        return forward(*arguments, **named)

    monkeypatch.setattr(model.whisper.model.decoder, "forward", listening)
    labels = model.make_labels(TEXT, "u1")
    model.loss(model.make_batch(["a"], [tone(1.0)], [labels], window_seconds=None))
    assert fed[0].tolist() == [[*model.prompt, *labels[:-1]]]
    assert fed[0].tolist()[0].count(model.whisper.config.decoder_start_token_id) == 1


def test_loss_of_a_batch_is_the_mean_over_tokens(model: WhisperModel, tone: Tone) -> None:
    clips, labels = [tone(1.0, seed=1), tone(1.0, seed=2)], [model.make_labels(text, "u") for text in ("one", "one two three four")]
    both = float(model.loss(model.make_batch(["a", "b"], clips, labels, window_seconds=2.0)))
    singles = [float(model.loss(model.make_batch(["a"], [clip], [ids], window_seconds=2.0))) for clip, ids in zip(clips, labels, strict=True)]
    sizes = [len(ids) for ids in labels]
    assert both == pytest.approx(np.average(singles, weights=sizes), abs=1e-5)


# The encoder


def test_encoder_equals_that_of_transformers_in_the_full_window(model: WhisperModel, tone: Tone) -> None:
    features = log_mel([tone(5.0), tone(30.0)], model.mels, 3000)
    with torch.inference_mode():
        theirs = model.whisper.model.encoder(features).last_hidden_state
        torch.testing.assert_close(model.encode(features), theirs, atol=1e-5, rtol=1e-5)  # the same operations in the same order


def test_encoder_cuts_its_positions_to_a_short_window(model: WhisperModel, tone: Tone) -> None:
    """What transformers computes if its table of positions were that short."""
    features = log_mel([tone(2.0)], model.mels, 248)
    encoder = model.whisper.model.encoder
    with torch.inference_mode():
        ours = model.encode(features)
        assert ours.shape == (1, 124, 32)
        table, encoder.embed_positions = encoder.embed_positions, torch.nn.Embedding.from_pretrained(encoder.embed_positions.weight[:124].clone())
        longest, encoder.config.max_source_positions = encoder.config.max_source_positions, 124
        try:
            torch.testing.assert_close(ours, encoder(features).last_hidden_state, atol=1e-5, rtol=1e-5)
        finally:
            encoder.embed_positions, encoder.config.max_source_positions = table, longest


# Decoding


def clips(tone: Tone) -> list[np.ndarray]:
    return [tone(1.0, seed=1), tone(2.2, seed=2), tone(0.4, seed=3)]


def test_the_short_window_is_refused_without_an_adapter(model: WhisperModel, tone: Tone) -> None:
    with pytest.raises(MisuseError) as caught:
        model.decode([tone(1.0)], DecodeSettings(window="short"))
    assert str(caught.value) == f"the short window was asked for, but {model.base.id} has no adapter and loops in it. Use the full window."


@pytest.mark.parametrize("beam", [1, 3])
def test_a_batch_equals_its_singles(beam: int, model: WhisperModel, tone: Tone) -> None:
    settings = DecodeSettings(beam=beam)
    together = model.decode(clips(tone), settings)
    for clip, ours in zip(clips(tone), together, strict=True):
        alone = model.decode([clip], settings)[0]
        assert alone.text == ours.text
        assert alone.avg_logprob == pytest.approx(ours.avg_logprob, abs=1e-4)


def searched(model: WhisperModel, clip: np.ndarray, beam: int, budget: int) -> list[int]:
    with torch.inference_mode():
        states = model.encode(log_mel([clip], model.mels, 3000))
        prompts = torch.tensor([model.prompt])
        decoder = WhisperDecoder(model, states, beam)
        found = greedy(decoder, prompts, model.end, [budget]) if beam == 1 else beam_search(decoder, prompts, model.end, [budget], beam)
        return list(found[0].ids)


@pytest.mark.parametrize("beam", [1, 3])
def test_suppressed_tokens_and_time_stamps_are_never_said(beam: int, model: WhisperModel, tone: Tone) -> None:
    """A random model would love to; every special token lies behind the end."""
    forbidden = set(model.settings.suppress_tokens)
    for clip in clips(tone):
        ids = searched(model, clip, beam, 60)
        assert ids
        assert max(ids) < model.end
        assert not forbidden & set(ids)
        assert ids[0] not in model.settings.begin_suppress_tokens


@pytest.mark.parametrize("beam", [1, 3])
def test_budgets_bound_what_is_invented(beam: int, model: WhisperModel, tone: Tone, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that never ends says 16 tokens and 30 more per second of audio, and at most what its positions hold."""
    monkeypatch.setattr(decode, "loop_length", lambda ids: 0)
    monkeypatch.setattr(WhisperDecoder, "step", without_end(WhisperDecoder.step, model.end))
    spoken: list[int] = []
    monkeypatch.setattr(model.tokenizer, "batch_decode", lambda rows, **_: [spoken.append(len(row)) or "" for row in rows])
    model.decode([tone(0.1), tone(1.5)], DecodeSettings(beam=beam))
    assert spoken == [16 + 3, 16 + 45]


def test_positions_bound_what_is_invented(model: WhisperModel, tone: Tone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "loop_length", lambda ids: 0)
    monkeypatch.setattr(WhisperDecoder, "step", without_end(WhisperDecoder.step, model.end))
    spoken: list[int] = []
    monkeypatch.setattr(model.tokenizer, "batch_decode", lambda rows, **_: [spoken.append(len(row)) or "" for row in rows])
    model.decode([tone(30.0)], DecodeSettings())
    assert spoken == [448 - len(model.prompt)]


def without_end(step: Callable[[WhisperDecoder, torch.Tensor], torch.Tensor], end: int) -> Callable[[WhisperDecoder, torch.Tensor], torch.Tensor]:
    def endless(decoder: WhisperDecoder, tokens: torch.Tensor) -> torch.Tensor:
        logits = step(decoder, tokens)
        logits[:, end] = -torch.inf
        return logits

    return endless


@pytest.mark.parametrize("kind", ["multilingual", "v3"])
def test_language_detection(kind: str, whisper_folder: Folder, tone: Tone) -> None:
    """The likeliest language token after the start token, by transformers' own detection."""
    model = load(whisper_folder(kind))
    features = log_mel(clips(tone), model.mels, 3000)
    with torch.inference_mode():
        prompts = model._prompts(model.encode(features))
        theirs = model.whisper.detect_language(features)
    assert prompts[:, 1].tolist() == theirs.flatten().tolist()
    assert set(prompts[:, 1].tolist()) <= set(model.settings.lang_to_id.values())
    assert [words(model, row)[0::2] for row in prompts.tolist()] == [["<|startoftranscript|>", "<|transcribe|>"]] * 3
    assert {words(model, row)[3] for row in prompts.tolist()} == {"<|notimestamps|>"}
    assert len(model.decode(clips(tone), DecodeSettings())) == 3


def generated(model: WhisperModel, clip: np.ndarray, **choice: object) -> list[int]:
    """What transformers' `generate` says, with what our search forbids forbidden there too: special tokens and time stamps."""
    chosen = {} if model.language == "en" else {"language": "de", "task": "transcribe"}
    forbidden = [*model.settings.suppress_tokens, *range(model.end + 1, model.whisper.config.vocab_size)]
    features = log_mel([clip], model.mels, 3000)
    ids = model.whisper.generate(features, suppress_tokens=forbidden, do_sample=False, return_timestamps=False, **chosen, **choice)[0].tolist()
    return [token for token in ids if token < model.end]


def test_greedy_equals_generate_of_transformers(model: WhisperModel, tone: Tone) -> None:
    """Token by token, for as long as the rule for loops cannot matter."""
    for clip in clips(tone):
        assert searched(model, clip, 1, 20) == generated(model, clip, max_new_tokens=20, num_beams=1)


def test_a_beam_finds_likelier_texts_than_greedy_search(model: WhisperModel, tone: Tone) -> None:
    """Measured by transformers' own forward pass. One clip may lose (a beam may prune what greedy search keeps), the mean may not."""
    found = {beam: [scored(model, clip, searched(model, clip, beam, 12)) for clip in clips(tone)] for beam in (1, 4)}
    assert np.mean(found[4]) > np.mean(found[1])


def scored(model: WhisperModel, clip: np.ndarray, ids: list[int]) -> float:
    """Mean log-probability of a text of at most 12 tokens, with the same tokens forbidden."""
    prompt = model.prompt
    with torch.inference_mode():
        fed = torch.tensor([[*prompt, *ids]])
        logits = model.whisper(input_features=log_mel([clip], model.mels, 3000), decoder_input_ids=fed).logits[0, len(prompt) - 1 :]
        logits[:, model.end + 1 :] = -torch.inf
        logits[:, model.settings.suppress_tokens] = -torch.inf
        logits[0, model.settings.begin_suppress_tokens] = -torch.inf
        steps = logits.log_softmax(dim=-1)
    said = [*ids, model.end] if len(ids) < 12 else ids
    return float(sum(steps[index, token] for index, token in enumerate(said))) / len(said)


# Broken models


def test_a_stale_generation_config_is_refused(whisper_folder: Folder) -> None:
    model = load(whisper_folder("multilingual"), "de")
    for name, missing in (("no_timestamps_token_id", "no_timestamps_token_id"), ("lang_to_id", "lang_to_id")):
        kept = getattr(model.settings, name)
        setattr(model.settings, name, None)
        try:
            with pytest.raises(ModelError, match=rf"its generation_config\.json has no {missing}.*Copy generation_config\.json"):
                WhisperModel(model.base, model.whisper, model.tokenizer, language="de", task="transcribe")
        finally:
            setattr(model.settings, name, kept)


def test_the_adapters_targets_by_role(model: WhisperModel) -> None:
    assert model.peft_targets("attention") == ["q_proj", "k_proj", "v_proj", "out_proj"]
    assert model.peft_targets("attention+mlp") == ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


def test_transformers_can_load_what_the_tests_use(whisper_folder: Folder) -> None:
    """The tests' own models are ordinary ones."""
    loaded = WhisperForConditionalGeneration.from_pretrained(whisper_folder("v3"))
    assert loaded.config.num_mel_bins == 128
    assert loaded.config.vocab_size == 51866


# Silence, prompts, languages and temperature


def asked(model: WhisperModel, clip: np.ndarray, tokens: list[int], place: int) -> float:
    """What transformers' own network says of <|nospeech|> behind the token at `place`."""
    with torch.inference_mode():
        logits = model.whisper(input_features=log_mel([clip], model.mels, 3000), decoder_input_ids=torch.tensor([tokens])).logits
    return float(logits[0, place].softmax(dim=-1)[model.settings.no_timestamps_token_id - 1])


@pytest.mark.parametrize("beam", [1, 3])
def test_silence_is_what_stands_behind_the_start_token(beam: int, model: WhisperModel, tone: Tone) -> None:
    found = model.decode(clips(tone), DecodeSettings(beam=beam, precision="fp32"))
    for clip, result in zip(clips(tone), found, strict=True):
        assert result.no_speech == pytest.approx(asked(model, clip, model.prompt, 0), rel=1e-3)
        assert result.language == model.language
    before = [*model._before("He was there."), *model.prompt]
    (told,) = model.decode(clips(tone)[:1], DecodeSettings(beam=beam, precision="fp32", prompt="He was there."))
    assert told.no_speech == pytest.approx(asked(model, clips(tone)[0], before, len(before) - len(model.prompt)), rel=1e-3)


def test_the_silence_token_has_its_name(whisper_folder: Folder) -> None:
    for kind in KINDS:
        model = load(whisper_folder(kind), None if kind == "english" else "de")
        assert words(model, [model.settings.no_timestamps_token_id - 1])[0] in ("<|nospeech|>", "<|nocaptions|>")


def test_a_prompt_stands_before_the_start_token(model: WhisperModel) -> None:
    found = words(model, model._before("  Siobhan was there. "))
    assert found[0] == "<|startofprev|>"
    assert model.tokenizer.decode(model._before("Siobhan was there.")[1:]) == " Siobhan was there."
    assert model._before(None) == model._before("  ") == []
    long = model._before("one two three four " * 200)
    assert len(long) == 1 + 223
    assert model.tokenizer.decode(long[-1:]) == " four", "its end is kept"
    assert max(model._before("<|endoftext|> <|nospeech|>")[1:], default=0) < model.end, "a prompt cannot give orders"


def test_a_prompt_changes_what_is_said_and_leaves_room(model: WhisperModel, tone: Tone) -> None:
    plain = model.decode(clips(tone), DecodeSettings(precision="fp32"))
    told = model.decode(clips(tone), DecodeSettings(precision="fp32", prompt="Siobhan was there. " * 100, words=True))
    assert [one.text for one in plain] != [one.text for one in told]
    assert len(told) == 3


@pytest.mark.parametrize("kind", ["multilingual", "v3"])
def test_a_language_for_one_call(kind: str, whisper_folder: Folder, tone: Tone) -> None:
    german, french = load(whisper_folder(kind), "de"), load(whisper_folder(kind), "fr")
    wanted = french.decode(clips(tone), DecodeSettings(precision="fp32"))
    assert german.decode(clips(tone), DecodeSettings(precision="fp32", language="French")) == wanted
    assert {one.language for one in wanted} == {"fr"}
    open_to_all = load(whisper_folder(kind))
    assert open_to_all.decode(clips(tone), DecodeSettings(precision="fp32", language="fr")) == wanted
    detected = open_to_all.decode(clips(tone), DecodeSettings(precision="fp32"))
    assert all(f"<|{one.language}|>" in open_to_all.settings.lang_to_id for one in detected)
    with pytest.raises(MisuseError, match=r'^language is "klingon"'):
        german.decode(clips(tone), DecodeSettings(language="klingon"))


def test_temperature_draws_other_texts(model: WhisperModel, tone: Tone) -> None:
    def said(seed: int) -> list[str]:
        return [one.text for one in model.decode(clips(tone), DecodeSettings(precision="fp32", temperature=1.0, seed=seed))]

    assert said(1) == said(1)
    assert said(1) != said(2)
