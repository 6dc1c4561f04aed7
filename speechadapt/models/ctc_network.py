"""CTCNetwork: transformers' CTC networks run so that a clip comes out of a padded batch as it would come out alone.

transformers' own forward does not promise that: group norm in the first convolution averages over the padding (wav2vec2-base, HuBERT
base), data2vec's stacked position convolutions and the conformer's depthwise one read it, and so do the strided adapters behind an
encoder. Here those convolutions see zeros behind a clip's end, as they do at the end of a clip that is alone, and group norm is given
one clip at a time.
"""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from speechadapt.audio.filterbank import HOP_SAMPLES, WINDOW_SAMPLES, filterbanks
from speechadapt.audio.waveform import Waveform
from speechadapt.units import SAMPLING_RATE, Seconds


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FrontEnd:
    """What the network is fed with, from `preprocessor_config.json`.

    Attributes:
        mels: log-mel bins (w2v-BERT), or None for samples.
        stride: mel frames that are read as one.
        normalize: samples are given zero mean and unit variance per clip.
        attention_mask: whether transformers' own extractor returns a mask; written for others, without influence here.
    """

    mels: int | None
    stride: int
    normalize: bool
    attention_mask: bool

    def to_json(self) -> dict[str, Any]:
        """The `preprocessor_config.json` that transformers' AutoFeatureExtractor reads."""
        shared: dict[str, Any] = {"sampling_rate": SAMPLING_RATE, "padding_side": "right", "padding_value": 0.0}
        if self.mels is not None:
            own = {"feature_extractor_type": "SeamlessM4TFeatureExtractor", "feature_size": self.mels, "num_mel_bins": self.mels}
            return own | {"stride": self.stride, "return_attention_mask": True} | shared
        own = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 1, "do_normalize": self.normalize}
        return own | {"return_attention_mask": self.attention_mask} | shared


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Convolution:
    """What decides how many frames come out of a convolution."""

    kernel: int
    stride: int
    padding: int

    def frames(self, before: int) -> int:
        return (before + 2 * self.padding - self.kernel) // self.stride + 1


class CTCNetwork:
    """Features, encoder and output layer of a transformers `...ForCTC`, called part by part."""

    def __init__(self, ctc: Any, front_end: FrontEnd) -> None:
        """Args:
        ctc: transformers' model; layers inside it may be replaced later (PEFT), its parts are looked up at every call.
        front_end: how its inputs are made.
        """
        self.ctc = ctc
        self.front_end = front_end
        base, config = ctc.base_model, ctc.config
        self.by_clip = front_end.mels is None and getattr(config, "feat_extract_norm", "layer") == "group"
        self.front = (
            [_Convolution(kernel=k, stride=s, padding=0) for k, s in zip(config.conv_kernel, config.conv_stride, strict=True)]
            if front_end.mels is None
            else [_Convolution(kernel=front_end.stride, stride=front_end.stride, padding=0)]
        )
        self.back: list[_Convolution] = []
        self._lengths: list[list[int]] = []
        for module in base.encoder.modules():
            # without padding of its own, a convolution is padded by the code around it, which is masked already (w2v-BERT)
            if isinstance(module, nn.Conv1d) and module.kernel_size[0] > 1 and module.padding != (0,):
                self._guard(module, 0)
        if getattr(base, "adapter", None) is not None:
            for level, layer in enumerate(base.adapter.layers):
                convolutions = [module for module in layer.modules() if isinstance(module, nn.Conv1d)]
                for module in convolutions:
                    self._guard(module, level)
                first = convolutions[0]
                self.back.append(_Convolution(kernel=first.kernel_size[0], stride=first.stride[0], padding=int(first.padding[0])))
        self._has_batch_norms = any(isinstance(module, nn.BatchNorm1d) for module in ctc.modules())
        # kept as it is now: the module rounds its table to the precision of the last call
        self._table = getattr(getattr(base.encoder, "embed_positions", None), "pe", None)
        if config.model_type == "wavlm":
            # its attention gives torch a float bias and a bool mask, of which torch warns at every call
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask and attn_mask")

    def _guard(self, convolution: nn.Conv1d, level: int) -> None:
        def zero_padding(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            if not self._lengths:
                return inputs
            return (inputs[0] * _frame_mask(self._lengths[level], inputs[0].shape[2], inputs[0].device)[:, None], *inputs[1:])

        convolution.register_forward_pre_hook(zero_padding)

    @property
    def least_samples(self) -> int:
        """Samples of the shortest clip that gives one frame."""
        length = 1
        for convolution in reversed(self.front):
            length = (length - 1) * convolution.stride + convolution.kernel
        # a variance needs two mel frames
        return length if self.front_end.mels is None else (max(length, 2) - 1) * HOP_SAMPLES + WINDOW_SAMPLES

    @property
    def seconds_per_frame(self) -> Seconds:
        """Between the starts of neighbouring output frames."""
        samples = 1 if self.front_end.mels is None else HOP_SAMPLES
        for convolution in [*self.front, *self.back]:
            samples *= convolution.stride
        return samples / SAMPLING_RATE

    def frames_of(self, samples: int) -> int:
        """Output frames of a clip; 0 for one that is shorter than `least_samples`."""
        if samples < self.least_samples:
            return 0
        length = samples if self.front_end.mels is None else 1 + (samples - WINDOW_SAMPLES) // HOP_SAMPLES
        for convolution in [*self.front, *self.back]:
            length = convolution.frames(length)
        return length

    def inputs(self, waveforms: Sequence[Waveform]) -> tuple[torch.Tensor, torch.Tensor]:
        """Waveforms (float32, shape (samples,)) to what the network is fed with; clips too short for a frame are padded with silence.

        Returns:
            float32, shape (batch, samples) or (batch, mels, frames), and int64, shape (batch,): what is not padding.
        """
        clips = [torch.from_numpy(waveform) for waveform in waveforms]
        clips = [clip if len(clip) >= self.least_samples else nn.functional.pad(clip, (0, self.least_samples - len(clip))) for clip in clips]
        if self.front_end.mels is not None:
            return filterbanks([clip.numpy() for clip in clips], self.front_end.mels, self.front_end.stride)
        if self.front_end.normalize:
            clips = [(clip - clip.mean()) / torch.sqrt(clip.var(correction=0) + 1e-7) for clip in clips]
        return nn.utils.rnn.pad_sequence(clips, batch_first=True), torch.tensor([len(clip) for clip in clips], dtype=torch.int64)

    def log_probs(self, inputs: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
        """Log-probabilities of every token in every frame.

        Args:
            inputs, lengths: as `inputs` made them, on the network's device.

        Returns:
            float32, shape (batch, frames, tokens), and the frames of each clip that are not padding.
        """
        states, frames = self._states(inputs, lengths.tolist())
        # the output layer and what follows cost nothing, and the loss is a difference of large sums: float32 in every precision
        with torch.autocast(inputs.device.type, enabled=False):
            logits = self.ctc.lm_head(self.ctc.dropout(states.float()))
            return torch.log_softmax(logits, dim=-1), frames

    def states(self, inputs: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
        """What the output layer reads: float, shape (batch, frames, width), and each clip's frames; arguments as for `log_probs`."""
        return self._states(inputs, lengths.tolist())

    def _states(self, inputs: torch.Tensor, lengths: list[int]) -> tuple[torch.Tensor, list[int]]:
        base = self.ctc.base_model
        if self._has_batch_norms:
            for module in self.ctc.modules():
                if isinstance(module, nn.BatchNorm1d):
                    module.eval()  # its running averages are weights of the base, which stay as they are
        learned = any(parameter.requires_grad for parameter in base.feature_extractor.parameters()) if self.front_end.mels is None else False
        with torch.set_grad_enabled(learned and torch.is_grad_enabled()):  # as a rule it is frozen, and the larger half of the work
            features = self._features(base, inputs, lengths)
        frames = lengths
        for convolution in self.front:
            frames = [convolution.frames(length) for length in frames]
        levels = [frames]
        for convolution in self.back:
            levels.append([convolution.frames(length) for length in levels[-1]])
        padded = min(frames) < features.shape[1]
        # kept until the next call, because recomputed activations pass the convolutions again in the backward pass
        self._lengths = levels if padded else []
        mask = _frame_mask(frames, features.shape[1], inputs.device) if padded else None
        self._forget_positions(base)
        projected = base.feature_projection(features)
        projected = projected[0] if isinstance(projected, tuple) else projected
        states = base.encoder(projected, attention_mask=mask).last_hidden_state
        if getattr(base, "intermediate_ffn", None) is not None:
            states = states + 0.5 * base.intermediate_ffn(states)
        if getattr(base, "adapter", None) is not None:
            states = base.adapter(states, attention_mask=mask) if self.front_end.mels is not None else base.adapter(states)
        return states, levels[-1]

    def _features(self, base: Any, inputs: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        """float, shape (batch, frames, width): what the encoder's projection takes."""
        if self.front_end.mels is not None:
            batch, mels, frames = inputs.shape
            return inputs.transpose(1, 2).reshape(batch, frames // self.front_end.stride, mels * self.front_end.stride)
        if not self.by_clip:
            features: torch.Tensor = base.feature_extractor(inputs).transpose(1, 2)
            return features
        clips = [base.feature_extractor(row[None, :length])[0].T for row, length in zip(inputs, lengths, strict=True)]
        return nn.utils.rnn.pad_sequence(clips, batch_first=True)

    def _forget_positions(self, base: Any) -> None:
        """Conformers keep a table of the last call's length and precision, so that a result would depend on what was heard before."""
        positions: Any = getattr(base.encoder, "embed_positions", None)
        if self._table is not None:
            positions.pe = self._table
        elif hasattr(positions, "cached_sequence_length"):
            positions.cached_sequence_length = None


def _frame_mask(lengths: list[int], frames: int, device: torch.device) -> torch.Tensor:
    """bool, shape (batch, frames): True where a clip is."""
    return torch.arange(frames, device=device) < torch.tensor(lengths, device=device)[:, None]
