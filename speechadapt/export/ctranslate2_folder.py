"""CTranslate2: the folder that faster-whisper runs, with the tokenizer and the mel count that it reads beside the weights."""

from pathlib import Path

from speechadapt.errors import ExportError, MissingExtraError

SIDE_FILES = ("tokenizer.json", "preprocessor_config.json")
"""faster-whisper would fetch the first from the Hub for another model, and without the second take 80 mel bins for granted."""


def write_ctranslate2(merged: Path, out: Path, *, quantization: str) -> None:
    """Convert a merged Whisper folder.

    Args:
        merged: as `write_merged` makes it.
        out: an existing empty folder.
        quantization: one of CTranslate2's: int8, int8_float32, int8_float16, int16, float16, bfloat16 or float32.

    Raises:
        MissingExtraError: ctranslate2 is not installed.
        ExportError: the converter cannot read the model.
    """
    try:
        from ctranslate2.converters import TransformersConverter
    except ImportError as error:
        raise MissingExtraError("ctranslate2", "faster-whisper") from error
    try:
        TransformersConverter(str(merged), copy_files=[name for name in SIDE_FILES if (merged / name).is_file()]).convert(
            str(out), quantization=quantization, force=True
        )
    except (ValueError, NotImplementedError, AttributeError, KeyError, RuntimeError) as error:
        raise ExportError(f"CTranslate2 could not convert the model ({str(error).splitlines()[0]}). Choose another target.") from error
