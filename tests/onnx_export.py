"""Folders of ONNX graphs from folders of transformers, by the exporter of `speechadapt export`."""

import shutil
from pathlib import Path

import torch

from speechadapt.export.onnx_folder import export_graph, write_graphs

export = export_graph


def export_ctc(source: Path, out: Path) -> Path:
    """A CTC folder of transformers as `model.onnx`, the processor's files beside it."""
    import transformers

    return _export(transformers.AutoModelForCTC.from_pretrained(source, dtype=torch.float32), source, out)


def export_whisper(source: Path, out: Path) -> Path:
    """A Whisper folder of transformers as `encoder_model.onnx` and `decoder_model.onnx`, the processor's files beside them."""
    import transformers

    return _export(transformers.WhisperForConditionalGeneration.from_pretrained(source, dtype=torch.float32), source, out)


def _export(model: torch.nn.Module, source: Path, out: Path) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    write_graphs(model.eval(), out)
    for file in source.iterdir():
        if file.suffix in (".json", ".txt"):
            shutil.copyfile(file, out / file.name)
    return out
