"""ONNX: graphs for onnxruntime in the layout of Optimum, made by torch's own exporter: one for CTC, encoder and decoder for Whisper."""

import contextlib
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from speechadapt.errors import MissingExtraError
from speechadapt.models.onnx_folder import CTC_GRAPH, DECODER_GRAPH, ENCODER_GRAPH

OPSET = 17
EXAMPLE_SAMPLES = 16_000
EXAMPLE_FRAMES = 50
EXAMPLE_TOKENS = 5


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


def write_graphs(network: Any, out: Path) -> None:
    """Write the graphs of one of transformers' networks, float32, with any number of clips, samples and tokens.

    Args:
        network: a `WhisperForConditionalGeneration` or a `...ForCTC`, on the CPU; left as it was.
        out: an existing folder, which gets `model.onnx` (CTC), or `encoder_model.onnx` and `decoder_model.onnx` (Whisper).

    Raises:
        MissingExtraError: onnx is not installed.
    """
    with _eager(network):
        if network.config.model_type == "whisper":
            _write_whisper(network, out)
        else:
            _write_ctc(network, out)


def _write_ctc(network: Any, out: Path) -> None:
    if network.config.model_type == "wav2vec2-bert":
        width = network.config.feature_projection_input_dim
        example: tuple[torch.Tensor, ...] = (torch.randn(1, EXAMPLE_FRAMES, width), torch.ones(1, EXAMPLE_FRAMES, dtype=torch.int64))
        inputs = {"input_features": [0, 1], "attention_mask": [0, 1]}
        export_graph(_CTC(network, "input_features"), example, out / CTC_GRAPH, inputs, {"logits": [0, 1]})
    else:
        export_graph(_CTC(network, "input_values"), (torch.randn(1, EXAMPLE_SAMPLES),), out / CTC_GRAPH, {"input_values": [0, 1]}, {"logits": [0, 1]})


def _write_whisper(network: Any, out: Path) -> None:
    config = network.config
    features = torch.randn(1, config.num_mel_bins, 2 * config.max_source_positions)
    export_graph(_Encoder(network), (features,), out / ENCODER_GRAPH, {"input_features": [0]}, {"last_hidden_state": [0]})
    states = torch.randn(1, config.max_source_positions, config.d_model)
    ids = torch.ones(1, EXAMPLE_TOKENS, dtype=torch.int64)
    inputs = {"input_ids": [0, 1], "encoder_hidden_states": [0, 1]}
    export_graph(_Decoder(network), (ids, states), out / DECODER_GRAPH, inputs, {"logits": [0, 1]})


def export_graph(
    module: torch.nn.Module, example: tuple[torch.Tensor, ...], path: Path, inputs: dict[str, list[int]], outputs: dict[str, list[int]]
) -> None:
    """Trace a module and write its graph; weights that do not fit into its file lie beside it, in `NAME.onnx_data`.

    Args:
        module: to be traced.
        example: its arguments, of any size in the free places.
        path: the file.
        inputs, outputs: names to the places whose size is free.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    free = {name: {place: f"{name}_{place}" for place in places} for name, places in (inputs | outputs).items()}
    with _folder_beside(path) as beside, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own, about tracing
        try:
            torch.onnx.export(
                module.eval(),
                example,
                str(beside / path.name),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes=free,
                opset_version=OPSET,
                dynamo=False,
            )
        except ModuleNotFoundError as error:
            raise MissingExtraError("onnx", "onnx") from error
        _place(beside / path.name, path)


def quantize(folder: Path) -> None:
    """Turn the weights of every graph into int8; activations are quantized while it runs (onnxruntime's dynamic quantization).

    Convolutions stay as they are: onnxruntime's integer convolution is slower on processors than the float one.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise MissingExtraError("onnxruntime with onnx", "onnx") from error
    for path in sorted(folder.glob("*.onnx")):
        with _folder_beside(path) as beside, _quiet_logging():
            quantize_dynamic(
                str(path),
                str(beside / path.name),
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["MatMul", "Gemm"],
                per_channel=True,
                use_external_data_format=_weights_file(path).is_file(),
            )
            _place(beside / path.name, path)


@contextlib.contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """A folder to write a graph in, because torch puts a file per weight beside a large one, and names them alike for encoder and decoder."""
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", dir=path.parent) as folder:
        yield Path(folder)


def _weights_file(path: Path) -> Path:
    """Where Optimum keeps the weights of a graph that is larger than the 2 GB of a protobuf file."""
    return path.with_name(f"{path.name}_data")


def _place(written: Path, path: Path) -> None:
    """Move a graph from a folder of its own to its place, its weights in its file or all in one beside it."""
    weights = _weights_file(path)
    weights.unlink(missing_ok=True)
    if [one.name for one in written.parent.iterdir()] == [written.name]:
        written.replace(path)
        return
    import onnx

    onnx.save(onnx.load(written), path, save_as_external_data=True, location=weights.name)


@contextlib.contextmanager
def _eager(network: Any) -> Iterator[None]:
    """Fused attention asks about shapes in ways that a trace freezes."""
    before = network.config._attn_implementation
    network.set_attn_implementation("eager")
    try:
        yield
    finally:
        network.set_attn_implementation(before)


@contextlib.contextmanager
def _quiet_logging() -> Iterator[None]:
    """onnxruntime advises on the root logger to prepare the graph first."""
    import logging

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
