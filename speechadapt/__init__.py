"""speechadapt: adapt pretrained speech recognizers to accents, dialects and languages, and prove whether it helped.

The public names are imported when first used, so `import speechadapt` is instant and loads no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from speechadapt.adapt.spec import AdapterSpec, TrainSettings
    from speechadapt.adapt.train import train_adapter
    from speechadapt.data.hypothesis import Hypothesis
    from speechadapt.data.manifest import Manifest
    from speechadapt.data.reference import Reference, ReferenceSet
    from speechadapt.data.utterance import Utterance
    from speechadapt.evaluation import evaluate
    from speechadapt.models.alignment import align_text
    from speechadapt.models.load import load_model
    from speechadapt.score.compare import Comparison, compare
    from speechadapt.score.report import ScoreReport
    from speechadapt.text.ngram import write_arpa
    from speechadapt.text.spelling import spell_for_ctc
    from speechadapt.transcriber import Transcriber

PUBLIC = {
    "AdapterSpec": "speechadapt.adapt.spec",
    "Comparison": "speechadapt.score.compare",
    "Hypothesis": "speechadapt.data.hypothesis",
    "Manifest": "speechadapt.data.manifest",
    "Reference": "speechadapt.data.reference",
    "ReferenceSet": "speechadapt.data.reference",
    "ScoreReport": "speechadapt.score.report",
    "TrainSettings": "speechadapt.adapt.spec",
    "Transcriber": "speechadapt.transcriber",
    "Utterance": "speechadapt.data.utterance",
    "align_text": "speechadapt.models.alignment",
    "compare": "speechadapt.score.compare",
    "evaluate": "speechadapt.evaluation",
    "load_model": "speechadapt.models.load",
    "spell_for_ctc": "speechadapt.text.spelling",
    "train_adapter": "speechadapt.adapt.train",
    "write_arpa": "speechadapt.text.ngram",
}

__all__ = [
    "AdapterSpec", "Comparison", "Hypothesis", "Manifest", "Reference", "ReferenceSet", "ScoreReport", "TrainSettings", "Transcriber", "Utterance",
    "align_text", "compare", "evaluate", "load_model", "spell_for_ctc", "train_adapter", "write_arpa",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'speechadapt' has no attribute {name!r}")
    return getattr(importlib.import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
