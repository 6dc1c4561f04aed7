"""The CTC family: wav2vec 2.0 and its relatives, which write one letter or nothing per 20 ms of speech.

Connectionist temporal classification (Graves et al. 2006) sums over all ways to stretch a transcript over the frames of a clip;
wav2vec 2.0 (Baevski et al. 2020) and its relatives learn the frames from unlabelled speech.
"""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open

from speechadapt.audio.batching import Batch, pad_labels
from speechadapt.audio.waveform import Waveform
from speechadapt.errors import AdapterError, LabelError, MisuseError, ModelError, TrainingError
from speechadapt.files import write_json
from speechadapt.models.alignment import frames_needed, word_times
from speechadapt.models.ctc_beam import beam_texts
from speechadapt.models.ctc_head import exchanged_head, extended_head, new_head
from speechadapt.models.ctc_network import CTCNetwork, FrontEnd
from speechadapt.models.precision import use_bf16
from speechadapt.models.speech_model import BaseModel, Decoded, DecodeSettings, Predictions, SpeechModel, Symptom, Word
from speechadapt.models.vocabulary import VOCABULARY_FILE, Vocabulary, read_table, read_vocabulary
from speechadapt.models.vocabulary_choice import choose_vocabulary
from speechadapt.text.spelling import spell_for_ctc
from speechadapt.units import SAMPLING_RATE, Hertz, Seconds

LONGEST: Seconds = 30.0
"""Attention has no limit of its own, but its cost grows with the square, and the bases were trained on clips of at most about 30 s."""
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_HEAD = "base_model.model.lm_head.weight"

COLLAPSED_SHARE = 0.02
"""Letters written per letter of the labels, below which a model counts as writing nothing. One that works writes about 1."""
ENOUGH_LABELS = 100
"""Label tokens since the last question, below which nothing is concluded."""
PLATEAU_STEPS = 1000
"""A new output layer writes nothing at first; with small batches and cool rates that was seen to last hundreds of steps."""
PLATEAU_SPAN = 200
PLATEAU_FALL = 0.1
"""A loss that fell by this share within this many steps is still going somewhere."""


class CTCModel(SpeechModel):
    """A CTC recognizer, perhaps adapted. Made by `load_model`.

    A base that was only pretrained has no output layer: until `fit_vocabulary` makes one it transcribes every clip as nothing, so
    that every reference word counts as deleted.
    """

    family = "ctc"
    sampling_rate: Hertz = SAMPLING_RATE
    longest: Seconds = LONGEST
    padded_to = None
    windows = ("full",)
    task = None

    def __init__(self, base: BaseModel, ctc: Any, front_end: FrontEnd, vocabulary: Vocabulary | None, *, language: str | None) -> None:
        """Args:
        base: which weights these are.
        ctc: transformers' `...ForCTC`.
        front_end: how its inputs are made.
        vocabulary: what its output layer writes; None where it has none.
        language: BCP-47 code, or MMS's own; for number words and spelling.
        """
        self.base = base
        self.network = ctc
        self.ctc: Any = ctc  # transformers' model itself, also when `network` becomes a PeftModel around it
        self.frames = CTCNetwork(ctc, front_end)
        self.vocabulary = vocabulary
        self.language = language
        self.adapted = False
        self.infinite: Counter[str] = Counter()
        self._head = "kept"
        self._base_head = (vocabulary, ctc.lm_head)
        self._watch = _BlankWatch()

    @property
    def head(self) -> str:
        """See `SpeechModel.head`."""
        return self._head

    @property
    def kept_tokens(self) -> int | None:
        """See `SpeechModel.kept_tokens`."""
        base = self._base_head[0]
        return None if self._head == "kept" else len(base) if self._head == "extended" and base is not None else 0

    @property
    def saved_modules(self) -> list[str]:
        """See `SpeechModel.saved_modules`."""
        return [] if self._head == "kept" else ["lm_head"]

    @property
    def whole_modules(self) -> list[str]:
        """See `SpeechModel.whole_modules`: the children of the encoder's model and the output layer; the embedding of masked frames is never used."""
        prefix = self.ctc.base_model_prefix
        return [*(f"{prefix}.{name}" for name, child in self.ctc.base_model.named_children() if any(True for _ in child.parameters())), "lm_head"]

    def fit_vocabulary(self, texts: Sequence[str], *, vocabulary: str = "auto", rare: int = 1) -> tuple[str, ...]:
        """See `SpeechModel.fit_vocabulary`. It starts from the base's own output layer each time, so that fitting twice is fitting once."""
        if self.adapted:
            raise TrainingError("the vocabulary cannot change once an adapter is inside. Fit the vocabulary before training.")
        self.vocabulary, self.ctc.lm_head = self._base_head
        self._head, self.ctc.config.vocab_size = "kept", self.ctc.lm_head.out_features
        choice = choose_vocabulary(self.vocabulary, texts, wanted=vocabulary, rare=rare, language=self.language)
        if choice.head != "kept":
            self._replace_head(choice.vocabulary, choice.head)
        return choice.sentences

    def _replace_head(self, vocabulary: Vocabulary, head: str) -> None:
        old = self.ctc.lm_head
        if head == "extended" and self.vocabulary is not None:
            layer = extended_head(old, self.vocabulary, len(vocabulary))
        elif self.vocabulary is not None and self.vocabulary.letters:
            layer = exchanged_head(old, self.vocabulary, vocabulary)
        else:
            layer = new_head(old.in_features, len(vocabulary))
        self.ctc.lm_head = layer.to(old.weight.device).requires_grad_(False)
        self.ctc.config.vocab_size, self.ctc.config.pad_token_id = len(vocabulary), vocabulary.blank
        self._head, self.vocabulary = head, vocabulary

    def save_vocabulary(self, folder: Path) -> None:
        """Write the files that transformers' Wav2Vec2CTCTokenizer and AutoFeatureExtractor read, where the output layer is not the base's own."""
        if self._head != "kept" and self.vocabulary is not None:
            self.vocabulary.write(folder)
            write_json(folder / "preprocessor_config.json", self.frames.front_end.to_json())

    def load_vocabulary(self, folder: Path) -> None:
        """See `SpeechModel.load_vocabulary`; an adapter that kept the base's output layer changes nothing."""
        vocabulary = adapter_vocabulary(folder)
        if vocabulary is not None:
            grown = self.vocabulary is not None and vocabulary.tokens[: len(self.vocabulary)] == self.vocabulary.tokens
            self._replace_head(vocabulary, "extended" if grown else "new")

    def peft_targets(self, targets: str) -> list[str] | str:
        """PEFT's `target_modules` for a role; the convolutional front end is never among them.

        WavLM's attention multiplies with its matrices' weights without calling the layers, so that PEFT's layers around them would
        never run: there, `attention+mlp` is the feed-forward part alone.

        Raises:
            MisuseError: the role does not exist in this model.
        """
        if targets == "decoder":
            raise MisuseError(f'targets is "decoder", but {self.base.id} is a CTC model, which has none. Choose attention+mlp.')
        attention = ["q_proj", "k_proj", "v_proj", "out_proj", "linear_q", "linear_k", "linear_v", "linear_out"]
        mlp = ["intermediate_dense", "output_dense"]
        if self.ctc.config.model_type == "wavlm":
            if targets == "attention":
                raise MisuseError(f'targets is "attention", but the attention of {self.base.id} (WavLM) cannot carry adapters. Choose attention+mlp.')
            attention = []
        names = attention if targets == "attention" else [*attention, *mlp]
        return rf".*\.encoder\.layers\..*\.({'|'.join(names)})"

    def make_labels(self, text: str, utterance_id: str) -> list[int]:
        """Ids of the letters of a transcript, spelled as it is spoken; see `spell_for_ctc`.

        Raises:
            LabelError: nothing to write, digits or symbols that cannot be spelled out, or characters outside the vocabulary.
            TrainingError: the base has no output layer yet.
        """
        if self.vocabulary is None:
            raise TrainingError(self._mute())
        try:
            ids = self.vocabulary.encode(spell_for_ctc(text, self.language, self.vocabulary.case))
        except LabelError as error:
            raise LabelError(error.reason, f'utterance "{utterance_id}": {error}') from error
        if not ids:
            raise LabelError("empty text", f'utterance "{utterance_id}": nothing is left of its text "{text}" once punctuation is gone. Remove it.')
        return ids

    def _mute(self) -> str:
        return f"{self.base.id} has no output layer yet, so it cannot learn to write. Call fit_vocabulary with the training texts first."

    def unusable(self, samples: int, labels: Sequence[int]) -> str | None:
        """See `SpeechModel.unusable`: also clips too short for their labels, which no alignment fits."""
        too_long = super().unusable(samples, labels)
        if too_long is not None:
            return too_long
        if samples < self.frames.least_samples:
            return f"shorter than {self.frames.least_samples / SAMPLING_RATE:.3f} s, which the model needs for one frame"
        return "more letters than frames" if frames_needed(labels) > self.frames.frames_of(samples) else None

    def make_batch(
        self, ids: Sequence[str], waveforms: Sequence[Waveform], labels: Sequence[Sequence[int]], *, window_seconds: Seconds | None
    ) -> Batch:
        """Samples, or log-mel features for w2v-BERT, padded to the longest clip; there is no window, so `window_seconds` is of no account."""
        inputs, lengths = self.frames.inputs(waveforms)
        return Batch(ids=tuple(ids), inputs=inputs, input_lengths=lengths, labels=pad_labels(labels))

    def predict(self, batch: Batch) -> Predictions:
        """See `SpeechModel.predict`: log-probabilities of every frame."""
        if self.vocabulary is None:
            raise TrainingError(self._mute())
        log_probs, frames = self.frames.log_probs(batch.inputs, batch.input_lengths)
        return Predictions(logits=torch.cat([row[:length] for row, length in zip(log_probs, frames, strict=True)]), lengths=tuple(frames))

    def loss_of(self, predictions: Predictions, batch: Batch, label_smoothing: float = 0.0) -> torch.Tensor:
        """CTC's negative log-likelihood, summed and divided by the label tokens.

        Args:
            predictions: of this batch.
            batch: with labels.
            label_smoothing: of no account: it spreads the target of a token over the vocabulary, and CTC has no target per frame.
        """
        if self.vocabulary is None:
            raise TrainingError(self._mute())
        frames = list(predictions.lengths)
        log_probs = torch.nn.utils.rnn.pad_sequence(list(torch.split(predictions.logits, frames)), batch_first=True)
        labels = [[token for token in row if token >= 0] for row in batch.labels.tolist()]
        for utterance, row, available in zip(batch.ids, labels, frames, strict=True):
            if frames_needed(row) > available:
                self.infinite[utterance] += 1
        losses = F.ctc_loss(
            log_probs.transpose(0, 1),
            batch.labels.clamp_min(0),
            torch.tensor(frames),
            torch.tensor([len(row) for row in labels]),
            blank=self.vocabulary.blank,
            reduction="none",
            zero_infinity=True,
        )
        tokens = sum(map(len, labels))
        loss: torch.Tensor = losses.sum() / tokens
        self._watch.see(log_probs.detach(), frames, self.vocabulary.blank, tokens, loss.detach())
        return loss

    def forget_losses(self) -> None:
        """See `SpeechModel.forget_losses`."""
        super().forget_losses()
        self._watch = _BlankWatch()

    def symptom(self, step: int) -> Symptom | None:
        """Whether the model writes nothing but blanks; see `SpeechModel.symptom`. A new output layer is stopped only once its loss stays."""
        return self._watch.symptom(step, new_head=self._head == "new")

    @torch.no_grad()  # not inference mode: tables of positions that a network keeps would be unfit for training afterwards
    def decode(self, waveforms: Sequence[Waveform], settings: DecodeSettings) -> list[Decoded]:
        """Transcribe one batch; see `SpeechModel.decode`. Clips too short for a frame are padded with silence.

        Raises:
            MisuseError: the short window is asked for.
        """
        if settings.window != "full":
            raise MisuseError(f"the {settings.window} window was asked for, but {self.base.id} is a CTC model, which has none. Use window=full.")
        if self.vocabulary is None:
            return [Decoded(text="", avg_logprob=0.0) for _ in waveforms]
        inputs, lengths = self.frames.inputs(waveforms)
        self.network.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=use_bf16(settings.precision, self.device)):
            padded, frames = self.frames.log_probs(inputs.to(self.device), lengths.to(self.device))
        log_probs = [clip[:length] for clip, length in zip(padded.cpu(), frames, strict=True)]
        if settings.beam > 1 or settings.lm:
            results = beam_texts(log_probs, self.vocabulary, settings)
        else:
            results = [best_path(clip, self.vocabulary.blank) for clip in log_probs]
        return [
            Decoded(text=self.vocabulary.decode(ids), avg_logprob=score, words=self._words(clip, ids, settings))
            for clip, (ids, score) in zip(log_probs, results, strict=True)
        ]

    def _words(self, log_probs: torch.Tensor, ids: Sequence[int], settings: DecodeSettings) -> tuple[Word, ...]:
        if not settings.words or not ids or self.vocabulary is None:
            return ()
        return word_times(log_probs, ids, self.vocabulary, self.frames.seconds_per_frame)


def best_path(log_probs: torch.Tensor, blank: int) -> tuple[list[int], float]:
    """The likeliest token of every frame, repeats and blanks taken out.

    Args:
        log_probs: float32, shape (frames, tokens), on the CPU.
        blank: its id.

    Returns:
        Token ids, and the mean log-probability of the frames that are not blank; 0 where there are none.
    """
    values, path = log_probs.max(dim=1)
    said = path != blank
    fresh = said & torch.cat([torch.ones(1, dtype=torch.bool), path[1:] != path[:-1]])
    return path[fresh].tolist(), float(values[said].mean()) if said.any() else 0.0


def adapter_vocabulary(folder: Path) -> Vocabulary | None:
    """What the output layer that an adapter folder carries writes; None where it carries none and the base's own is kept.

    Raises:
        AdapterError: the vocabulary is missing, broken or of another size than the adapter's output layer.
    """
    rows = _head_rows(folder)
    if rows is None and not (folder / VOCABULARY_FILE).is_file():
        return None
    if rows is None:
        raise AdapterError(
            f"{folder}: has a {VOCABULARY_FILE}, but {ADAPTER_WEIGHTS} holds no output layer (lm_head) for it. Copy the adapter again."
        )
    try:
        tokens = len(read_table(folder))
        if tokens != rows:
            raise AdapterError(
                f"{folder}: its output layer has {rows} rows, its {VOCABULARY_FILE} names {tokens} tokens, must be as many. Copy the adapter again."
            )
        return read_vocabulary(folder, rows)
    except ModelError as error:
        raise AdapterError(str(error)) from error


def _head_rows(folder: Path) -> int | None:
    """Rows of the output layer in an adapter's weights; None where it holds none."""
    path = folder / ADAPTER_WEIGHTS
    try:
        with safe_open(path, framework="pt") as weights:
            return int(weights.get_slice(ADAPTER_HEAD).get_shape()[0]) if ADAPTER_HEAD in weights.keys() else None  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise AdapterError(f"{path}: could not be read ({error}). Copy the adapter again.") from error


class _BlankWatch:
    """Counts what is written in training, so that a collapse to blanks is told instead of waited for.

    Sums stay on the device until they are asked for, because reading them would stop a GPU.
    """

    def __init__(self) -> None:
        self.history: list[tuple[int, float]] = []
        self._start()

    def _start(self) -> None:
        self.calls = self.labels = 0
        self.written: torch.Tensor | int = 0
        self.losses: torch.Tensor | float = 0.0

    def see(self, log_probs: torch.Tensor, frames: list[int], blank: int, labels: int, loss: torch.Tensor) -> None:
        """One batch: log-probabilities (batch, frames, tokens), its label tokens, and its loss."""
        path = log_probs.argmax(dim=2)
        real = torch.arange(path.shape[1], device=path.device) < torch.tensor(frames, device=path.device)[:, None]
        fresh = F.pad(path[:, 1:] != path[:, :-1], (1, 0), value=True)
        self.written = self.written + ((path != blank) & real & fresh).sum()
        self.losses = self.losses + loss
        self.labels += labels
        self.calls += 1

    def symptom(self, step: int, *, new_head: bool) -> Symptom | None:
        """See `CTCModel.symptom`; begins to count anew."""
        if self.labels < ENOUGH_LABELS:
            return None
        share, loss = int(self.written) / self.labels, float(self.losses) / self.calls
        labels, calls = self.labels, self.calls
        earlier = next((before for at, before in reversed(self.history) if at <= step - PLATEAU_SPAN), math.inf)
        self.history.append((step, loss))
        self._start()
        if share >= COLLAPSED_SHARE:
            return None
        told = f"over {calls} batches the model wrote {share * labels:.0f} letters where the labels have {labels}"
        if not new_head:
            advice = "Lower the learning rate, and check that the transcripts belong to their recordings."
            return Symptom(told=f"{told}: it has collapsed to blanks. {advice}", stop=True)
        advice = "Train longer, in more and smaller batches that begin with short utterances, or start from a base closer to the language."
        if step < PLATEAU_STEPS or loss <= earlier * (1 - PLATEAU_FALL):
            return Symptom(told=f"{told}: its new output layer does not write yet. {advice}", stop=False)
        since = f"its loss no longer falls (from {earlier:.2f} to {loss:.2f} per letter in {PLATEAU_SPAN} steps or more)"
        return Symptom(told=f"{told}: it has collapsed to blanks, and {since}. Halve the learning rate. {advice}", stop=True)
