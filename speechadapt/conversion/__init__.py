"""Conversion: prepared manifests in the forms other programs read: AudioFolder, Parquet, Kaldi, lhotse, NeMo. Rows are streamed, never all held."""

from speechadapt.conversion.convert import ConvertReport, convert_manifests
from speechadapt.conversion.job import AUDIO_MODES, FORMATS, ConvertOptions

__all__ = ["AUDIO_MODES", "FORMATS", "ConvertOptions", "ConvertReport", "convert_manifests"]
