#!/usr/bin/env python3
"""Transfer against no transfer: the new-language recipe with the same data and number of steps, from a pretrained base and from random weights.

Three arms, each a run folder of its own that is resumed if it is there:
  adapter         LoRA and a new output layer on the base, as the recipe ships it
  whole network   every weight of the base trained
  random weights  every weight of the same architecture trained, from random ones

usage: benchmarks/transfer.py OUT [--steps 300] [--plot docs/transfer.png] [--set NAME=value …]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import matplotlib
import tabulate

matplotlib.use("agg")
from matplotlib import pyplot

ARMS = {
    "adapter": [],
    "whole network": ["SPEC.method=full", "TRAIN.learning_rate=5e-4"],
    "random weights": ["SPEC.method=full", "SCRATCH=true", "TRAIN.learning_rate=1e-3"],
}
"""Overrides per arm. The learning rates of the second and third are customary ones and were not searched."""
COLOURS = ("#0072b2", "#009e73", "#d55e00")


def main() -> int:
    """Run the arms in turn, print the table, draw both curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", default="new_language")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--plot", type=Path, default=Path("docs/transfer.png"))
    parser.add_argument("--set", action="append", default=[], metavar="NAME=value", help="for every arm")
    options = parser.parse_args()
    rows = []
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for colour, (arm, overrides) in zip(COLOURS, ARMS.items(), strict=True):
        folder = options.out / arm.replace(" ", "_")
        words = [word for one in (f"TRAIN.steps={options.steps}", *overrides, *options.set) for word in ("--set", one)]
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "from speechadapt.cli import main; raise SystemExit(main())",
                "run",
                options.recipe,
                *words,
                "--out",
                str(folder),
                "--resume",
            ],
            check=False,
        )
        if done.returncode not in (0, 1):
            return done.returncode
        steps = [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]
        scores = json.loads((folder / "training.json").read_text(encoding="utf-8"))["scores"]
        one = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))["sets"][0]
        left.plot([row["step"] for row in steps], [row["loss"] for row in steps], color=colour, label=arm, linewidth=1.2)
        right.plot([step for step, _ in scores], [100 * score for _, score in scores], color=colour, label=arm, marker="o", markersize=3)
        rows.append(
            [arm, f"{sum(row['seconds'] for row in steps) / 60:.1f}", f"{100 * one['adapted']['wer']:.1f} %", f"{100 * one['adapted']['cer']:.1f} %"]
        )
    left.set(xlabel="step", ylabel="training loss per letter", ylim=(0, 4))
    right.set(xlabel="step", ylabel="dev word error rate (%)", ylim=(0, 105))
    right.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    figure.savefig(options.plot, dpi=130)
    print(tabulate.tabulate(rows, ["arm", "minutes of training", "test WER", "test CER"], disable_numparse=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
