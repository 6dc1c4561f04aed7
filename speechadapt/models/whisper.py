"""The Whisper family: every size, English-only and multilingual, 80 or 128 mel bins, in its full 30 s window or a short one."""

import difflib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from speechadapt.audio.batching import Batch, pad_labels
from speechadapt.audio.features import FULL_WINDOW, HOP_SAMPLES, log_mel, window_frames
from speechadapt.audio.waveform import Waveform
from speechadapt.errors import LabelError, MisuseError, ModelError
from speechadapt.models.decode import Decoder, beam_search, greedy
from speechadapt.models.precision import use_bf16
from speechadapt.models.speech_model import BaseModel, Decoded, DecodeSettings, Predictions, SpeechModel, Word
from speechadapt.models.word_timing import group_tokens, time_words, token_starts
from speechadapt.units import SAMPLING_RATE, Hertz, Seconds

SHORT_MARGIN: Seconds = 0.5
"""Silence behind the longest clip when decoding in the short window; training draws its margin around it."""
TOKENS_PER_SECOND = 30
"""More than any script needs for any talker; bounds text invented on noise."""
SPARE_TOKENS = 16


class WhisperModel(SpeechModel):
    """A Whisper, perhaps adapted. Made by `load_model`."""

    family = "whisper"
    sampling_rate: Hertz = SAMPLING_RATE
    longest: Seconds = FULL_WINDOW
    padded_to: Seconds | None = FULL_WINDOW
    windows = ("full", "short")
    task: str

    def __init__(self, base: BaseModel, network: Any, tokenizer: Any, *, language: str | None, task: str) -> None:
        """Args:
            base: which weights these are.
            network: transformers' `WhisperForConditionalGeneration`.
            tokenizer: transformers' `WhisperTokenizer`.
            language: code or English name; None detects it per clip (multilingual models only).
            task: `transcribe` or `translate` (into English).

        Raises:
            MisuseError: a language or task the model does not know.
            ModelError: the generation config lacks what decoding needs.
        """
        self.base = base
        self.network = network
        self.whisper: Any = network  # transformers' model itself, also when `network` becomes a PeftModel around it
        self.tokenizer = tokenizer
        self.adapted = False
        self.infinite: Counter[str] = Counter()  # cross-entropy never is
        self.follow: Callable[[torch.Tensor], object] | None = None
        """Told before each step of a decoder which clips of the batch its rows belong to (int64, shape (clips,)); see `adapt.many`."""
        self.mels: int = self.whisper.config.num_mel_bins
        self.settings: Any = self.whisper.generation_config
        self.end: int = self.whisper.config.eos_token_id
        self.multilingual = bool(getattr(self.settings, "is_multilingual", self.whisper.config.vocab_size >= 51865))
        if getattr(self.settings, "no_timestamps_token_id", None) is None:
            raise ModelError(
                f"{base.id}: its generation_config.json has no no_timestamps_token_id, so prompts cannot be built. "
                "Copy generation_config.json from the original model (transformers issue 21878)."
            )
        if self.multilingual and not getattr(self.settings, "lang_to_id", None):
            raise ModelError(f"{base.id}: its generation_config.json has no lang_to_id. Copy generation_config.json from the original model.")
        self.language = self._language(language)
        self.task = self._task(task)

    def _language(self, wanted: str | None) -> str | None:
        if not self.multilingual:
            if wanted is not None and wanted.lower().split("-")[0] not in ("en", "english"):
                raise MisuseError(f'language is "{wanted}", but {self.base.id} knows only English. Choose the multilingual model without ".en".')
            return "en"
        if wanted is None:
            return None
        from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

        code = TO_LANGUAGE_CODE.get(wanted.lower(), wanted.lower())
        if f"<|{code}|>" not in self.settings.lang_to_id:
            code = code.split("-")[0]  # `en-GB` is written with the token of `en`
        if f"<|{code}|>" not in self.settings.lang_to_id:
            known = sorted(token[2:-2] for token in self.settings.lang_to_id)
            near = difflib.get_close_matches(wanted.lower(), list(TO_LANGUAGE_CODE), n=3)
            raise MisuseError(
                f'language is "{wanted}", which {self.base.id} has no token for; it knows {", ".join(known)}. '
                f"Name the nearest relative it knows{' (perhaps ' + ', '.join(near) + ')' if near else ''}; the adapter can learn the rest."
            )
        return str(code)

    def _task(self, wanted: str) -> str:
        if wanted not in ("transcribe", "translate"):
            raise MisuseError(f'task is "{wanted}", must be transcribe or translate. Correct the setting.')
        if wanted == "translate" and not self.multilingual:
            raise MisuseError(f'task is "translate", but {self.base.id} knows only English. Choose the multilingual model without ".en".')
        return wanted

    @property
    def prompt(self) -> list[int]:
        """The tokens that stand before the text: start, language, task, no time stamps.

        Raises:
            MisuseError: the model is multilingual and no language was set.
        """
        return self._rules(None)

    def _rules(self, language: str | None) -> list[int]:
        """See `prompt`; `language`, where given, stands in the place of the model's own."""
        start = [self.whisper.config.decoder_start_token_id]
        language = self.language if language is None else self._language(language)
        if self.multilingual:
            if language is None:
                raise MisuseError(f"{self.base.id} knows many languages and none was set. Set the language, for example language=en.")
            start += [self.settings.lang_to_id[f"<|{language}|>"], self.settings.task_to_id[self.task]]
        return [*start, self.settings.no_timestamps_token_id]

    def peft_targets(self, targets: str) -> list[str] | str:
        """PEFT's `target_modules` for a role; see `AdapterSpec.targets`."""
        attention = ["q_proj", "k_proj", "v_proj", "out_proj"]
        if targets == "attention":
            return attention
        names = [*attention, "fc1", "fc2"]
        return names if targets == "attention+mlp" else rf".*\.{targets}\..*\.({'|'.join(names)})"

    def make_labels(self, text: str, utterance_id: str) -> list[int]:
        """Token ids of a transcript and the end token. Whisper's own text starts with a blank, so ours does too.

        Raises:
            LabelError: prompt and text exceed the model's positions (448).
        """
        ids: list[int] = self.tokenizer(" " + text.strip(), add_special_tokens=False).input_ids
        most = self.whisper.config.max_target_positions - len(self.prompt)
        if len(ids) + 1 > most:
            raise LabelError(
                "text longer than the model can emit",
                f'utterance "{utterance_id}": its text has {len(ids)} tokens, {self.base.id} can emit {most - 1} beside its prompt. '
                "Cut the utterance into shorter ones or remove it.",
            )
        return [*ids, self.end]

    def make_batch(
        self, ids: Sequence[str], waveforms: Sequence[Waveform], labels: Sequence[Sequence[int]], *, window_seconds: Seconds | None
    ) -> Batch:
        """Log-mel features of one window length, and padded labels; see `SpeechModel.make_batch`."""
        frames = window_frames(FULL_WINDOW if window_seconds is None else window_seconds)
        lengths = torch.tensor([min(len(waveform) // HOP_SAMPLES + 1, frames) for waveform in waveforms], dtype=torch.int64)
        return Batch(ids=tuple(ids), inputs=log_mel(waveforms, self.mels, frames), input_lengths=lengths, labels=pad_labels(labels))

    def predict(self, batch: Batch) -> Predictions:
        """See `SpeechModel.predict`: of the text and end tokens; the prompt is given, so it is not learned."""
        states = self.encode(batch.inputs)
        given = batch.labels != -100
        prompt = torch.tensor(self.prompt, device=batch.labels.device).expand(len(batch.labels), -1)
        # the decoder reads prompt and text, and is asked from the prompt's last token on
        tokens = torch.cat([prompt, batch.labels.masked_fill(~given, self.end)[:, :-1]], dim=1)
        hidden = self.whisper.model.decoder(input_ids=tokens, encoder_hidden_states=states, use_cache=False).last_hidden_state
        hidden = hidden[:, prompt.shape[1] - 1 :][given]
        return Predictions(logits=self.whisper.proj_out(hidden).float(), lengths=tuple(given.sum(dim=1).tolist()))

    def loss_of(self, predictions: Predictions, batch: Batch, label_smoothing: float = 0.0) -> torch.Tensor:
        """Cross-entropy, mean over the text and end tokens."""
        return F.cross_entropy(predictions.logits, batch.labels[batch.labels != -100], label_smoothing=label_smoothing)

    def encode(self, features: torch.Tensor) -> torch.Tensor:
        """Run the encoder on any even number of frames up to the full window, with its table of positions cut to match.

        transformers' own forward insists on 30 s (its issue 26241 asks for less).

        Args:
            features: float, shape (batch, mels, frames).

        Returns:
            float, shape (batch, frames / 2, width).
        """
        encoder = self.whisper.model.encoder
        features = features.to(encoder.conv1.weight.dtype)
        states = F.gelu(encoder.conv1(features))
        states = F.gelu(encoder.conv2(states)).transpose(1, 2)
        states = states + encoder.embed_positions.weight[: states.shape[1]]
        for layer in encoder.layers:
            states = layer(states, None)
        normed: torch.Tensor = encoder.layer_norm(states)
        return normed

    @torch.inference_mode()
    def decode(self, waveforms: Sequence[Waveform], settings: DecodeSettings) -> list[Decoded]:
        """Transcribe one batch; see `SpeechModel.decode`.

        Raises:
            MisuseError: the short window is asked of a model without an adapter, which would loop in it, or a language that the model has not.
        """
        if settings.window == "short" and not self.adapted:
            raise MisuseError(f"the short window was asked for, but {self.base.id} has no adapter and loops in it. Use the full window.")
        seconds = [len(waveform) / SAMPLING_RATE for waveform in waveforms]
        window = FULL_WINDOW if settings.window == "full" else min(max(seconds) + SHORT_MARGIN, FULL_WINDOW)
        features = log_mel(waveforms, self.mels, window_frames(window)).to(self.device)
        self.network.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=use_bf16(settings.precision, self.device)):
            states = self.encode(features)
            decoder = WhisperDecoder(self, states, settings.beam)
        rules = self._prompts(states, settings.language)
        said = self._before(settings.prompt)
        decoder.start = len(said)  # where <|startoftranscript|> stands, whose next token is asked whether anybody speaks
        prompts = torch.cat([torch.tensor(said, dtype=torch.int64, device=rules.device).expand(len(rules), -1), rules], dim=1)
        room = self.whisper.config.max_target_positions - prompts.shape[1]
        budgets = [min(room, SPARE_TOKENS + round(TOKENS_PER_SECOND * length)) for length in seconds]
        audio = decoder.audio  # of every clip, also after the search has let some go
        if settings.beam == 1:
            results = greedy(decoder, prompts, self.end, budgets, temperature=settings.temperature, seed=settings.seed)
        else:
            results = beam_search(decoder, prompts, self.end, budgets, settings.beam)
        texts = self.tokenizer.batch_decode([result.ids for result in results], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        languages = [self._language_of(row) for row in rules.tolist()]
        words: list[tuple[Word, ...]] = [()] * len(results)
        if settings.words:
            reader = WhisperDecoder(self, states, 1, audio)
            words = self._word_times(reader, rules, [result.ids for result in results], seconds, languages)
        return [
            Decoded(
                text=text.strip(), avg_logprob=result.logprob / result.emitted, words=times, no_speech=silence, language=language,
            )
            for text, result, times, silence, language in zip(texts, results, words, decoder.no_speech, languages, strict=True)
        ]  # fmt: skip

    def must_know(self, language: str) -> None:
        """Refuse a language that `DecodeSettings.language` may not name.

        Raises:
            MisuseError: the model has no token for it.
        """
        self._language(language)

    def _prompts(self, states: torch.Tensor, language: str | None = None) -> torch.Tensor:
        if language is None and self.language is None:
            return self._detected(states)
        return torch.tensor(self._rules(language), device=states.device).expand(len(states), -1)

    def _before(self, text: str | None) -> list[int]:
        """The tokens of a text said before: its last ones, where it is longer than half of the model's positions."""
        text = (text or "").strip()
        if not text:
            return []
        ids: list[int] = self.tokenizer(" " + text, add_special_tokens=False).input_ids
        most = self.whisper.config.max_target_positions // 2 - 1
        return [self.tokenizer.convert_tokens_to_ids("<|startofprev|>"), *[token for token in ids if token < self.end][-most:]]

    def _language_of(self, rules: Sequence[int]) -> str:
        """The language that a row of prompt tokens asks for."""
        if not self.multilingual:
            return "en"
        token: str = self.tokenizer.convert_ids_to_tokens(rules[1])
        return token[2:-2]

    def _detected(self, states: torch.Tensor) -> torch.Tensor:
        """Prompts with the likeliest language token per clip, as OpenAI's detect_language does."""
        start = torch.full((len(states), 1), self.whisper.config.decoder_start_token_id, device=states.device)
        logits = WhisperDecoder(self, states.float(), 1).logits(start)
        languages = torch.tensor(sorted(self.settings.lang_to_id.values()), device=states.device)
        chosen = languages[logits[:, languages].argmax(dim=-1)]
        rest = torch.tensor([self.settings.task_to_id[self.task], self.settings.no_timestamps_token_id], device=states.device)
        return torch.cat([start, chosen[:, None], rest.expand(len(states), -1)], dim=1)

    @property
    def alignment_heads(self) -> list[tuple[int, int]]:
        """(layer, head) of the decoder's heads that follow the audio: those its generation config names, else all of the upper half of the layers."""
        layers, heads = self.whisper.config.decoder_layers, self.whisper.config.decoder_attention_heads
        named = getattr(self.settings, "alignment_heads", None) or []
        known = [(int(layer), int(head)) for layer, head in named if 0 <= layer < layers and 0 <= head < heads]
        return known or [(layer, head) for layer in range(layers // 2, layers) for head in range(heads)]

    def _word_times(
        self, reader: "WhisperDecoder", rules: torch.Tensor, texts: Sequence[Sequence[int]], seconds: Sequence[Seconds], languages: Sequence[str]
    ) -> list[tuple[Word, ...]]:
        """A second reading of each clip with its text given, watched at what it looks at; see `word_timing`."""
        longest, room = max(map(len, texts)), self.whisper.config.max_target_positions - rules.shape[1] - 1
        kept = [list(ids[:room]) for ids in texts]
        rows = torch.full((len(texts), min(longest, room) + 1), self.end, dtype=torch.int64, device=rules.device)
        for row, ids in enumerate(kept):
            rows[row, : len(ids)] = torch.tensor(ids, dtype=torch.int64)
        hidden, weights = reader.watch(torch.cat([rules, rows], dim=1), self.alignment_heads)
        begin = rules.shape[1] - 1  # the last token of the rules, which says the text's first
        found: list[tuple[Word, ...]] = []
        for row, (ids, length, language) in enumerate(zip(kept, seconds, languages, strict=True)):
            if not ids:
                found.append(())
                continue
            frames = min(max(1, -(-round(length * SAMPLING_RATE) // (2 * HOP_SAMPLES))), weights.shape[-1])
            # each token is said by the position before it, and the end token marks where the last one ends
            looked = weights[row, :, begin : begin + len(ids) + 1, :frames].softmax(dim=-1)
            said = F.linear(hidden[row, begin : begin + len(ids)], reader.table).float().softmax(dim=-1)
            chosen = said.gather(1, rows[row, : len(ids), None])[:, 0]
            words = group_tokens(ids, self._spell, language)
            found.append(time_words(words, token_starts(looked.double().cpu().numpy()), chosen.double().cpu().numpy(), length))
        return found

    def _spell(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


class WhisperDecoder(Decoder):
    """One batch's decoder with its caches: keys and values of what was said, and those of the audio, computed once."""

    def __init__(self, model: WhisperModel, states: torch.Tensor, beams: int, audio: list[tuple[torch.Tensor, torch.Tensor]] | None = None) -> None:
        """Args:
        model: whose decoder layers are used, adapter included.
        states: the encoder's output, float, shape (clips, frames, width).
        beams: rows per clip; the audio's keys and values are shared by them, not copied.
        audio: the keys and values of another decoder over the same states, which has not let go of any clip.
        """
        self.decoder = model.whisper.model.decoder
        self.table = model.whisper.proj_out.weight
        self.beams = beams
        self.clips = torch.arange(len(states), device=states.device)
        """Which clips of the batch it still goes on with."""
        self.follow = model.follow
        if self.follow is not None:
            self.follow(self.clips)
        self.heads = self.decoder.config.decoder_attention_heads
        self.past = 0
        self.forbidden = torch.tensor(list(model.settings.suppress_tokens or []), dtype=torch.int64, device=states.device)
        self.forbidden_first = torch.tensor(list(model.settings.begin_suppress_tokens or []), dtype=torch.int64, device=states.device)
        self.first = True
        self.end = model.end
        self.start = 0
        """Where `<|startoftranscript|>` stands among the tokens of the first step."""
        self.silence = model.settings.no_timestamps_token_id - 1  # <|nospeech|> has stood there in every Whisper
        self.no_speech: list[float] = []
        """After the first step: of each clip, the probability that nobody speaks in it."""
        self.watched: list[torch.Tensor] | None = None
        self.audio = audio or [
            (self._split(layer.encoder_attn.k_proj(states)).float(), self._split(layer.encoder_attn.v_proj(states)).float())
            for layer in self.decoder.layers
        ]
        self.said: list[tuple[torch.Tensor, torch.Tensor]] = []

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        rows, length, width = states.shape
        return states.view(rows, length, self.heads, width // self.heads).transpose(1, 2)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """See `Decoder.step`."""
        hidden = self._hidden(tokens)
        logits = F.linear(hidden[:, -1], self.table).float()
        logits[:, self.end + 1 :] = -torch.inf  # special tokens and time stamps: the prompt asked for neither
        logits[:, self.forbidden] = -torch.inf
        if self.first:
            logits[:, self.forbidden_first] = -torch.inf
            self.first = False
            asked = F.linear(hidden[:: self.beams, self.start], self.table).float()
            self.no_speech = asked.softmax(dim=-1)[:, self.silence].tolist()
        return logits

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Feed int64 tokens, shape (rows, length); float32 logits, shape (rows, vocabulary), of the last position, nothing forbidden."""
        return F.linear(self._hidden(tokens)[:, -1], self.table).float()

    def watch(self, tokens: torch.Tensor, heads: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Read int64 tokens, shape (clips, length), all at once, before any step.

        Returns:
            The last hidden states, float, shape (clips, length, width), and what the (layer, head)s look at: attention weights before their
            softmax, float, shape (clips, heads, length, frames).
        """
        self.watched = []
        hidden = self._hidden(tokens)
        looked = torch.stack([self.watched[layer][:, head] for layer, head in heads], dim=1)
        self.watched = None
        return hidden, looked

    def _hidden(self, tokens: torch.Tensor) -> torch.Tensor:
        if self.follow is not None:
            self.follow(self.clips)
        length = tokens.shape[1]
        hidden = self.decoder.embed_tokens(tokens) + self.decoder.embed_positions.weight[self.past : self.past + length]
        for index, layer in enumerate(self.decoder.layers):
            hidden = hidden + self._self_attention(index, layer.self_attn, layer.self_attn_layer_norm(hidden))
            hidden = hidden + self._audio_attention(index, layer.encoder_attn, layer.encoder_attn_layer_norm(hidden))
            hidden = hidden + layer.fc2(F.gelu(layer.fc1(layer.final_layer_norm(hidden))))
        self.past += length
        normed: torch.Tensor = self.decoder.layer_norm(hidden)
        return normed

    def _self_attention(self, index: int, attention: Any, hidden: torch.Tensor) -> torch.Tensor:
        queries = self._split(attention.q_proj(hidden))
        keys, values = self._split(attention.k_proj(hidden)), self._split(attention.v_proj(hidden))
        if self.past:
            before = self.said[index]
            keys, values = torch.cat([before[0], keys], dim=2), torch.cat([before[1], values], dim=2)
            self.said[index] = (keys, values)
        else:
            self.said.append((keys, values))
        # the only step with more than one token is the first, where the causal mask is square
        mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=hidden.shape[1] > 1)
        return self._joined(attention, mixed, hidden.shape)

    def _audio_attention(self, index: int, attention: Any, hidden: torch.Tensor) -> torch.Tensor:
        rows, length, width = hidden.shape
        # the beams of a clip ask the same audio, so they stand side by side as queries
        queries = self._split(attention.q_proj(hidden).view(rows // self.beams, self.beams * length, width))
        if self.watched is not None:
            keys = self.audio[index][0]
            self.watched.append(queries @ keys.transpose(2, 3) * keys.shape[-1] ** -0.5)
        mixed = F.scaled_dot_product_attention(queries, *self.audio[index])
        return self._joined(attention, mixed, hidden.shape)

    def _joined(self, attention: Any, mixed: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        out: torch.Tensor = attention.out_proj(mixed.transpose(1, 2).reshape(shape))
        return out

    def keep_clips(self, clips: torch.Tensor) -> None:
        """See `Decoder.keep_clips`."""
        rows = (clips[:, None] * self.beams + torch.arange(self.beams, device=clips.device)).flatten()
        self.clips = self.clips[clips]
        self.audio = [(keys[clips], values[clips]) for keys, values in self.audio]
        self.reorder(rows)

    def reorder(self, rows: torch.Tensor) -> None:
        """See `Decoder.reorder`."""
        self.said = [(keys[rows], values[rows]) for keys, values in self.said]
