"""Make sclite_counts.tsv: what NIST's sclite counts on random pairs, without and with alternatives and words that may be left out.

Run from the repository's root, with Debian's package sctk installed: python tests/golden/make_sclite_counts.py
The tests read the file and need no sclite. Each line: reference, hypothesis, and the hits, substitutions, deletions and insertions of

    sclite -D -r REF trn -h HYP trn -i rm -o pra

One-letter words of a small alphabet make many alignments of equal cost, where the order in which sclite tries its steps decides.
"""

import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

PATH = Path(__file__).with_name("sclite_counts.tsv")
SCORES = re.compile(r"^id: \(r_(\d+)\)\nScores: \(#C #S #D #I\) (\d+) (\d+) (\d+) (\d+)", re.MULTILINE)


def words(chance: random.Random, most: int) -> list[str]:
    """Up to `most` words."""
    return [chance.choice("abcde") for _ in range(chance.randint(0, most))]


def plain(chance: random.Random) -> tuple[str, str]:
    """A reference, and what a system made of it or something unrelated."""
    reference = words(chance, 10)
    if chance.random() < 0.3:
        return " ".join(reference), " ".join(words(chance, 10))
    heard: list[str] = []
    for word in reference:
        draw = chance.random()
        heard += [] if draw < 0.15 else [chance.choice("abcde")] if draw < 0.3 else [word, chance.choice("abcde")] if draw < 0.45 else [word]
    return " ".join(reference), " ".join(heard)


def marked(chance: random.Random, depth: int = 0) -> list[str]:
    """A reference with marks."""
    made: list[str] = []
    for _ in range(chance.randint(1, 5 if depth == 0 else 2)):
        draw = chance.random()
        if draw < 0.3 and depth < 2:
            branches = [" ".join(marked(chance, depth + 1)) for _ in range(chance.randint(1, 3))]
            branches += ["@"] if len(branches) == 1 or chance.random() < 0.3 else []
            made.append("{ " + " / ".join(branches) + " }")
        elif draw < 0.5:
            made.append(f"({chance.choice('abcde')})")
        else:
            made.append(chance.choice("abcde"))
    return made


def pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Half of them plain, half of them marked."""
    chance = random.Random(seed)
    makers: tuple[Callable[[], tuple[str, str]], ...] = (
        lambda: plain(chance),
        lambda: (" ".join(marked(chance)), " ".join(words(chance, 8))),
    )
    return [makers[number * 2 // count]() for number in range(count)]


def count_by_sclite(made: list[tuple[str, str]], folder: Path) -> list[tuple[int, int, int, int]]:
    """Hits, substitutions, deletions and insertions of each pair, as sclite's list of alignments gives them."""
    for name, side in (("ref", 0), ("hyp", 1)):
        lines = [f"{pair[side]} (r_{number:05d})\n" for number, pair in enumerate(made)]
        (folder / f"{name}.trn").write_text("".join(lines), encoding="utf-8")
    command = ["sctk", "sclite", "-D", "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "rm", "-o", "pra"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    found = {int(row[0]): tuple(map(int, row[1:])) for row in SCORES.findall((folder / "hyp.trn.pra").read_text(encoding="utf-8"))}
    return [found[number] for number in range(len(made))]  # type: ignore[misc]


def main() -> int:
    """Write the file."""
    made = pairs(int(sys.argv[1]) if len(sys.argv) > 1 else 4000, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        counts = count_by_sclite(made, Path(folder))
    lines = ["\t".join((reference, hypothesis, *map(str, row))) for (reference, hypothesis), row in zip(made, counts, strict=True)]
    PATH.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
