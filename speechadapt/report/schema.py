"""The published JSON schemas (2020-12) of a score report and of a comparison, as they ship with the package."""

import json
from pathlib import Path
from typing import Any

from speechadapt.errors import MisuseError

SCHEMAS = ("report", "comparison")


def read_schema(name: str) -> dict[str, Any]:
    """The schema of `score --out` (`report`), or of `compare --out` and `comparison.json` (`comparison`).

    Raises:
        MisuseError: there is no schema of that name.
    """
    if name not in SCHEMAS:
        raise MisuseError(f'no schema "{name}". There are: {", ".join(SCHEMAS)}.')
    schema: dict[str, Any] = json.loads((Path(__file__).parent / "schema" / f"{name}.json").read_text(encoding="utf-8"))
    return schema
