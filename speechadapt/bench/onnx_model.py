"""A folder of ONNX graphs as a recognizer of a benchmark."""

from collections.abc import Sequence

from speechadapt.audio.waveform import Waveform
from speechadapt.bench.recognizer import Clip, Recognizer, Said
from speechadapt.bench.systems import OnnxSystem, System
from speechadapt.models.onnx_folder import load_onnx


def load(system: System) -> Recognizer:
    """Load the graphs.

    Raises:
        MissingExtraError, ModelError, MisuseError: as `load_onnx`.
    """
    given = system.settings
    if not isinstance(given, OnnxSystem):
        raise TypeError(f"settings of {type(given).__name__}")
    model = load_onnx(given.folder, language=given.language, provider=given.provider)

    def prepare(clips: Sequence[Clip]) -> list[Waveform]:
        return [clip.waveform() for clip in clips]

    def decode(waveforms: Sequence[Waveform]) -> list[Said]:
        return [Said(text=one.text, avg_logprob=round(one.avg_logprob, 4)) for one in model.decode(waveforms)]

    facts = {"folder": given.folder.name, "family": model.family, "provider": given.provider, "decode": {"beam": 1, "window": "full"}}
    return Recognizer(prepare=prepare, decode=decode, facts=facts, longest=model.longest)
