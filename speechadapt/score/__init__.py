"""Counting errors, intervals, verdicts. No torch, and no way to reach the trainer: so it can judge anyone.

The names below are imported when first used. (`compare` is a module here; the function is `speechadapt.compare`.)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speechadapt.score.counts import ErrorCounts
    from speechadapt.score.report import GroupScore, ScoredUtterance, ScoreReport, score

PUBLIC = {
    "ErrorCounts": "speechadapt.score.counts",
    "GroupScore": "speechadapt.score.report",
    "ScoreReport": "speechadapt.score.report",
    "ScoredUtterance": "speechadapt.score.utterances",
    "score": "speechadapt.score.report",
}

__all__ = ["ErrorCounts", "GroupScore", "ScoreReport", "ScoredUtterance", "score"]


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'speechadapt.score' has no attribute {name!r}")
    return getattr(importlib.import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
