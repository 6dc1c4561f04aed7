"""How often a nominal 95 % interval holds the truth: simulated test sets of 10, 30 and 100 speakers, for a WER and for a paired difference.

    python benchmarks/interval_coverage.py [--trials 1000] [--resamples 1000] [--speakers 10,30,100] [--methods expanded,percentile,bca,...] [--json]

A test set is made of speakers, each with an error rate of their own and an amount of speech of their own (utterances log-normal with median
20 and deviation 0.6, words per utterance 1 + Poisson(9)). Within a speaker an utterance is harder or easier (its rate is a beta variable with
precision 20), and each word is wrong with that rate. The adapted system multiplies the speaker's rate by 0.4 to 1.2, 0.8 on average, and errs on
the same utterances. The speakers' rates are

  beta        0.8 times beta(2, 6): 20 % on average, skewed as the WERs of people with an accent are
  log-normal  median 15 %, deviation 0.5, at most 80 %
  heavy       median 12 %, deviation 0.8, at most 80 %: a few people are hardly understood at all, the hardest case for any interval

The truth is the pooled rate of two million such speakers. Two deviations of a coverage near 95 % are 1.4 points with 1,000 trials. The columns
"below" and "above" say how often the whole interval lay below or above the truth; "width" is its mean width in points.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from speechadapt.score.intervals import rate_interval

Rates = NDArray[np.float64]
SCENARIOS: dict[str, Callable[[np.random.Generator, int], Rates]] = {
    "beta": lambda generator, count: 0.8 * generator.beta(2, 6, count),
    "log-normal": lambda generator, count: np.minimum(0.8, generator.lognormal(np.log(0.15), 0.5, count)),
    "heavy": lambda generator, count: np.minimum(0.8, generator.lognormal(np.log(0.12), 0.8, count)),
}
METHODS = {
    "expanded": ("expanded", "speaker"),
    "percentile": ("percentile", "speaker"),
    "bca": ("bca", "speaker"),
    "hierarchical": ("expanded", "hierarchical"),
    "utterances": ("expanded", "utterance"),
}
QUANTITIES = ("WER", "difference")


def speakers(scenario: str, generator: np.random.Generator, count: int) -> tuple[Rates, Rates]:
    """The true rates of base and adapted system of `count` speakers."""
    base = SCENARIOS[scenario](generator, count)
    return base, base * (0.4 + 0.8 * generator.beta(2, 2, count))


def truth(scenario: str) -> dict[str, float]:
    """The pooled rates that an endless test set would show; how much people say does not depend on how well they are understood."""
    base, adapted = speakers(scenario, np.random.default_rng(123), 2_000_000)
    return dict(zip(QUANTITIES, (float(base.mean()), float(adapted.mean() - base.mean())), strict=True))


def test_set(scenario: str, generator: np.random.Generator, count: int) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int64], list[str | None]]:
    """Errors (of the base, and the differences) and words per utterance, and who spoke each."""
    base, adapted = speakers(scenario, generator, count)
    utterances = np.maximum(2, generator.lognormal(np.log(20), 0.6, count)).astype(int)
    owner = np.repeat(np.arange(count), utterances)
    words = 1 + generator.poisson(9, len(owner))
    hardness = generator.beta(20 * base[owner] + 1e-9, 20 * (1 - base[owner]))
    before = generator.binomial(words, hardness)
    after = generator.binomial(words, np.minimum(1.0, hardness * (adapted / base)[owner]))
    return {"WER": before, "difference": after - before}, words, [f"s{number}" for number in owner.tolist()]


def coverage(scenario: str, count: int, *, methods: list[str], trials: int, resamples: int, seed: int = 0) -> list[dict[str, object]]:
    """One row per method and quantity: how often the interval held the truth, missed it on either side, and how wide it was."""
    generator = np.random.default_rng([seed, count])
    right = truth(scenario)
    found: Counter[tuple[str, str, str]] = Counter()
    widths: Counter[tuple[str, str]] = Counter()
    for trial in range(trials):
        errors, words, names = test_set(scenario, generator, count)
        for name in methods:
            method, unit = METHODS[name]
            for quantity in QUANTITIES:
                interval = rate_interval(errors[quantity], words, names, method=method, unit=unit, resamples=resamples, seed=trial)
                if interval is None:
                    found[name, quantity, "none"] += 1
                    continue
                side = "below" if interval.high < right[quantity] else "above" if interval.low > right[quantity] else "inside"
                found[name, quantity, side] += 1
                widths[name, quantity] += interval.high - interval.low
    return [
        {
            "speakers": count,
            "rates": scenario,
            "interval": name,
            "of": quantity,
            **{side: found[name, quantity, side] / trials for side in ("inside", "below", "above", "none")},
            "width": widths[name, quantity] / trials,
        }
        for name in methods
        for quantity in QUANTITIES
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--speakers", default="10,30,100")
    parser.add_argument("--rates", default=",".join(SCENARIOS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [
        row
        for scenario in options.rates.split(",")
        for count in map(int, options.speakers.split(","))
        for row in coverage(scenario, count, methods=options.methods.split(","), trials=options.trials, resamples=options.resamples)
    ]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    percent = [[f"{100 * row[key]:.1f}" if isinstance(row[key], float) else row[key] for key in row] for row in rows]  # type: ignore[operator]
    print(tabulate(percent, headers=list(rows[0]), disable_numparse=True))


if __name__ == "__main__":
    main()
