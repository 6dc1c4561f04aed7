"""Small scored corpora for the scoring tests."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.score.report import ScoreReport, score

Row = tuple[str, str | None, str]  # id, speaker, text


@pytest.fixture
def make_manifest() -> Callable[..., Manifest]:
    def make(rows: Sequence[Row], name: str = "test", **fields: Any) -> Manifest:
        return Manifest(
            (Utterance(id=key, audio_filepath=f"{key}.flac", duration=2.0, text=text, speaker=speaker, **fields) for key, speaker, text in rows),
            folder=Path(),
            name=name,
        )

    return make


@pytest.fixture
def make_report(make_manifest: Callable[..., Manifest]) -> Callable[..., ScoreReport]:
    """A report of (id, speaker, reference, hypothesis) rows."""

    def make(rows: Sequence[tuple[str, str | None, str, str]], system: str = "base", **settings: Any) -> ScoreReport:
        manifest = make_manifest([row[:3] for row in rows])
        return score(manifest, [Hypothesis(id=row[0], text=row[3]) for row in rows], system=system, **{"normalizer": "raw", **settings})

    return make


@pytest.fixture
def twelve_speakers(make_report: Callable[..., ScoreReport]) -> Callable[[str, int], ScoreReport]:
    """Twelve speakers with two utterances of four words; `wrong` of the four are wrong (one more or fewer for some speakers)."""

    def make(system: str, wrong: int) -> ScoreReport:
        rows = []
        for number in range(24):
            speaker = number // 2
            errors = min(4, max(0, wrong + (speaker % 3 == 0) - (speaker % 4 == 0)))
            said = [f"w{place}" if place >= errors else "x" for place in range(4)]
            rows.append((f"u{number:02d}", f"c:s{speaker:02d}", "w0 w1 w2 w3", " ".join(said)))
        return make_report(rows, system=system)

    return make
