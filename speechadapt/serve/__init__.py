"""Adapters in applications: transcribe, keep many adapters on one base, route speakers to them, stream, and serve over HTTP.

The names are imported when first used, so `import speechadapt.serve` loads no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speechadapt.serve.accent_classifier import AccentClassifier, fit_classifier, read_classifier
    from speechadapt.serve.library import AdapterLibrary
    from speechadapt.serve.router import Choice, Router
    from speechadapt.serve.streaming import StreamingTranscriber
    from speechadapt.transcriber import Transcriber

PUBLIC = {
    "AccentClassifier": "speechadapt.serve.accent_classifier",
    "AdapterLibrary": "speechadapt.serve.library",
    "Choice": "speechadapt.serve.router",
    "Router": "speechadapt.serve.router",
    "StreamingTranscriber": "speechadapt.serve.streaming",
    "Transcriber": "speechadapt.transcriber",
    "fit_classifier": "speechadapt.serve.accent_classifier",
    "read_classifier": "speechadapt.serve.accent_classifier",
}

__all__ = [
    "AccentClassifier", "AdapterLibrary", "Choice", "Router", "StreamingTranscriber", "Transcriber", "fit_classifier", "read_classifier",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'speechadapt.serve' has no attribute {name!r}")
    return getattr(importlib.import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
