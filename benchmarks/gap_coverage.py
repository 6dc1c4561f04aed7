"""How often the interval of a gap between groups, and of its change, holds the truth: simulated test sets with known error rates.

Speakers' own rates are beta distributed around the rate of their group (concentration 20), each has 60 to 300 words, and after adaptation
a rate of its own that varies by a quarter around that of its group. Run:

    python benchmarks/gap_coverage.py [SETS]
"""

import sys
from collections.abc import Sequence

import numpy as np

from speechadapt.score.counts import ErrorCounts
from speechadapt.score.gap import compare_gap
from speechadapt.score.report import ScoreReport
from speechadapt.score.utterances import ScoredUtterance

UNEVEN = [3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40]
SPREAD = list(np.linspace(0.15, 0.35, 6))
SHUFFLED = list(np.random.default_rng(0).permutation(np.linspace(0.15, 0.35, 12)))
SCENARIOS: dict[str, tuple[list[float], list[int], list[float]]] = {
    "2 groups alike, 10 speakers": ([0.25] * 2, [10] * 2, [0.25] * 2),
    "6 alike, 3": ([0.25] * 6, [3] * 6, [0.2] * 6),
    "6 alike, 10; all halved": ([0.25] * 6, [10] * 6, [0.12] * 6),
    "6 alike, 30": ([0.25] * 6, [30] * 6, [0.25] * 6),
    "12 alike, 3 to 40": ([0.25] * 12, UNEVEN, [0.25] * 12),
    "6 from 15 to 35 %, 10; halved": (SPREAD, [10] * 6, [rate / 2 for rate in SPREAD]),
    "6 from 15 to 35 %, 30": (SPREAD, [30] * 6, SPREAD),
    "5 at 20 and 1 at 40 %, 10; repaired": ([0.2] * 5 + [0.4], [10] * 6, [0.2] * 6),
    "6 alike, 10; one gets worse": ([0.2] * 6, [10] * 6, [0.15] * 5 + [0.3]),
    "12 from 15 to 35 %, 3 to 40; halved": (SHUFFLED, UNEVEN, [rate / 2 for rate in SHUFFLED]),
}


def simulated(
    generator: np.random.Generator, base: Sequence[float], speakers: Sequence[int], adapted: Sequence[float]
) -> tuple[ScoreReport, ScoreReport]:
    """Two reports, one utterance for each speaker (which is what the bootstrap sees of it)."""
    rows: tuple[list[ScoredUtterance], list[ScoredUtterance]] = ([], [])
    for group, (before, after, count) in enumerate(zip(base, adapted, speakers, strict=True)):
        for number in range(count):
            words, own = int(generator.integers(60, 300)), float(generator.beta(20 * before, 20 * (1 - before)))
            moved = min(1.0, own * after / before * float(np.exp(generator.normal(-0.03125, 0.25))))
            for side, rate in zip(rows, (own, moved), strict=True):
                wrong, key = int(generator.binomial(words, rate)), f"{group}-{number}"
                side.append(
                    ScoredUtterance(
                        id=key,
                        speaker=key,
                        reference="",
                        hypothesis="",
                        words=ErrorCounts(hits=words - wrong, substitutions=wrong),
                        characters=ErrorCounts(),
                        groups={"accent": f"g{group}"},
                    )
                )
    one, other = (
        ScoreReport(
            system=name,
            manifest="simulated",
            manifest_path=None,
            fingerprint="",
            normalizer="raw",
            normalizer_version="1",
            decode={},
            by=("accent",),
            utterances=tuple(side),
            interval=None,
            real_time_factor=None,
            audio_seconds=0.0,
        )
        for name, side in zip(("base", "adapted"), rows, strict=True)
    )
    return one, other


def coverage(name: str, sets: int, seed: int = 0) -> dict[str, float]:
    """Shares of simulated test sets of one scenario whose intervals hold the truth, and the mean width in points of the gap's."""
    base, speakers, adapted = SCENARIOS[name]
    generator = np.random.default_rng(seed)
    gap, change, ratio = max(base) - min(base), max(adapted) - min(adapted) - (max(base) - min(base)), max(base) / min(base)
    held = []
    for _ in range(sets):
        found = compare_gap(*simulated(generator, base, speakers, adapted), "accent", resamples=1000)
        if found is None or not (found.interval and found.base.interval and found.base.ratio_interval):
            raise SystemExit(f"{name}: a simulated test set without an interval")
        ends, ratio_ends, change_ends = found.base.interval, found.base.ratio_interval, found.interval
        held.append(
            (
                ends.low <= gap <= ends.high,
                ratio_ends.low <= ratio <= ratio_ends.high,
                change_ends.low <= change <= change_ends.high,
                100 * (ends.high - ends.low),
            )
        )
    means = np.mean(np.array(held, dtype=np.float64), axis=0).tolist()
    return dict(zip(("gap", "ratio", "change", "width"), means, strict=True))


def main() -> None:
    """Print a table, one row for each scenario."""
    sets = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("| groups, speakers in each | gap | ratio | change | width (points) |\n|---|---|---|---|---|")
    for name in SCENARIOS:
        found = coverage(name, sets)
        print(f"| {name} | {found['gap']:.1%} | {found['ratio']:.1%} | {found['change']:.1%} | {found['width']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
