"""Hypothesis: what a system said for one utterance, raw; normalizing is the scorer's work."""

import dataclasses
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from speechadapt.errors import ManifestError
from speechadapt.files import write_text
from speechadapt.units import Seconds


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One system's text for one utterance.

    Attributes:
        id: the utterance's id; hypotheses are joined to references by it, never by line number.
        text: raw output, may be empty.
        seconds: decode time, its share of the batch's; None if unknown.
        avg_logprob: mean natural-log probability per emitted token (end of text included), at most 0; None if unknown.
    """

    id: str
    text: str
    seconds: Seconds | None = None
    avg_logprob: float | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object; unknown fields are left out."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}


def write_hypotheses(path: Path, hypotheses: Iterable[Hypothesis]) -> None:
    """Write JSON Lines in one step."""
    write_text(path, "".join(json.dumps(h.to_json(), ensure_ascii=False) + "\n" for h in hypotheses))


def read_hypotheses(path: Path) -> list[Hypothesis]:
    """Read JSON Lines with `id` and `text` (or NeMo's `pred_text`).

    Raises:
        ManifestError: the file is missing, a line is not an object with an id and a text, a number is none, or an id stands twice.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such file. Check the path of the hypotheses.")
    found: dict[str, Hypothesis] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # not splitlines: text may hold U+2028, which JSON does not escape
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not UTF-8 text (byte {error.start}). Save the hypotheses as UTF-8.") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ManifestError(f"{place}: not valid JSON ({error.msg}). Write one JSON object per line.") from error
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            raise ManifestError(f'{place}: no "id" in quotes. Every hypothesis needs the id of its utterance.')
        text = row.get("pred_text", row.get("text"))
        if not isinstance(text, str):
            raise ManifestError(f'hypothesis "{row["id"]}" ({place}): text is {text!r}, must be text in quotes (it may be empty). Correct the line.')
        if row["id"] in found:
            raise ManifestError(f'hypothesis "{row["id"]}" ({place}): this id stands twice. Keep one of the lines.')
        for field in ("seconds", "avg_logprob"):
            value = row.get(field)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)):
                raise ManifestError(f'hypothesis "{row["id"]}" ({place}): {field} is {value!r}, must be a finite number or absent. Correct the line.')
        found[row["id"]] = Hypothesis(id=row["id"], text=text, seconds=row.get("seconds"), avg_logprob=row.get("avg_logprob"))
    return list(found.values())
