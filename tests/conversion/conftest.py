"""Fixtures of conversions: the folders of `prepared_folders`."""

from pathlib import Path
from typing import Any

import pytest
from prepared_folders import make_pointing, make_prepared


@pytest.fixture
def prepared(tmp_path: Path, write_tone: Any) -> Path:
    """A folder that stands alone, with train, dev and test."""
    return make_prepared(tmp_path / "mine", write_tone)


@pytest.fixture
def pointing(tmp_path: Path, write_tone: Any) -> Path:
    """A folder left in place, with rows that point into long recordings."""
    return make_pointing(tmp_path / "left", write_tone)
