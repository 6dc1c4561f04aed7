"""What `run` and `adapt` print at the end, and the exit code it stands for."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speechadapt.runs import Run
    from speechadapt.score.verdict import ComparisonSet


def print_verdict(run: "Run", verdict: "Sequence[ComparisonSet] | None", *, as_json: bool) -> int:
    """Print the table (or `comparison.json`) on stdout and where everything lies on stderr.

    Args:
        run: the finished run.
        verdict: what the recipe's main returned; None when it proves nothing.
        as_json: print the file instead of the table.

    Returns:
        1 if a test set got significantly worse, else 0. A guard that got worse is in the words of the verdict only.
    """
    from speechadapt.files import read_json
    from speechadapt.score.render import run_text
    from speechadapt.score.verdict import exit_code

    if verdict is None:
        print(f"The run is in {run.folder}; its recipe returned no verdict.", file=sys.stderr)
        return 0
    print(json.dumps(read_json(run.comparison), ensure_ascii=False, indent=2) if as_json else run_text(verdict))
    print(f"About this run: {run.summary}, and in a browser {run.page}", file=sys.stderr)
    print(f"Use the adapter: speechadapt transcribe YOUR.wav --adapter {run.adapter}", file=sys.stderr)
    return exit_code(verdict)
