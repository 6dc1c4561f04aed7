"""Folders of ONNX graphs in the layout of Optimum, made by torch's own exporter from transformers' models."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import torch


class _CTC(torch.nn.Module):
    def __init__(self, model: Any, name: str) -> None:
        super().__init__()
        self.model, self.name = model, name

    def forward(self, value: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        given = {self.name: value} if mask is None else {self.name: value, "attention_mask": mask}
        logits: torch.Tensor = self.model(**given).logits
        return logits


class _Encoder(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = model.model.encoder

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.encoder(features).last_hidden_state
        return states


class _Decoder(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.decoder, self.head = model.model.decoder, model.proj_out

    def forward(self, ids: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        length = ids.shape[1]
        # given whole, because making it from the length inside does not survive the tracing
        allowed = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
        mask = torch.zeros(1, 1, length, length).masked_fill(~allowed, torch.finfo(torch.float32).min)
        hidden = self.decoder(input_ids=ids, encoder_hidden_states=states, attention_mask=mask, use_cache=False).last_hidden_state
        logits: torch.Tensor = self.head(hidden)
        return logits


def export_ctc(source: Path, out: Path) -> Path:
    """A CTC folder of transformers as `model.onnx`, the processor's files beside it."""
    import transformers

    model = transformers.AutoModelForCTC.from_pretrained(source, attn_implementation="eager", dtype=torch.float32).eval()
    if model.config.model_type == "wav2vec2-bert":
        width = model.config.feature_projection_input_dim
        export(_CTC(model, "input_features"), (torch.randn(1, 50, width), torch.ones(1, 50, dtype=torch.int64)), out / "model.onnx",
                {"input_features": [0, 1], "attention_mask": [0, 1]}, {"logits": [0, 1]})  # fmt: skip
    else:
        export(_CTC(model, "input_values"), (torch.randn(1, 16_000),), out / "model.onnx", {"input_values": [0, 1]}, {"logits": [0, 1]})
    return _with_side_files(source, out)


def export_whisper(source: Path, out: Path) -> Path:
    """A Whisper folder of transformers as `encoder_model.onnx` and `decoder_model.onnx`, the processor's files beside them."""
    import transformers

    model = transformers.WhisperForConditionalGeneration.from_pretrained(source, attn_implementation="eager", dtype=torch.float32).eval()
    features = torch.randn(1, model.config.num_mel_bins, 3000)
    export(_Encoder(model), (features,), out / "encoder_model.onnx", {"input_features": [0]}, {"last_hidden_state": [0]})
    states = torch.randn(1, 1500, model.config.d_model)
    ids = torch.ones(1, 5, dtype=torch.int64)
    inputs = {"input_ids": [0, 1], "encoder_hidden_states": [0, 1]}
    export(_Decoder(model), (ids, states), out / "decoder_model.onnx", inputs, {"logits": [0, 1]})
    return _with_side_files(source, out)


def export(
    module: torch.nn.Module, example: tuple[torch.Tensor, ...], path: Path, inputs: dict[str, list[int]], outputs: dict[str, list[int]]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    free = {name: {place: f"{name}_{place}" for place in places} for name, places in (inputs | outputs).items()}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own, about tracing
        torch.onnx.export(
            module, example, str(path), input_names=list(inputs), output_names=list(outputs), dynamic_axes=free, opset_version=17, dynamo=False
        )


def _with_side_files(source: Path, out: Path) -> Path:
    for file in source.iterdir():
        if file.suffix in (".json", ".txt"):
            shutil.copyfile(file, out / file.name)
    return out
