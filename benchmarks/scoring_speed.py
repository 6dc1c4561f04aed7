"""Speed and memory of scoring, beside jiwer and its engine, on the same pairs of ten words.

    python benchmarks/scoring_speed.py [--pairs 1000000] [--only NAME]... [--json]

Each row of the table is a process of its own; "peak" is the most memory it ever held (resident). Making the pairs is not in the seconds, but
they are in the memory.

  jiwer, one list      `jiwer.process_words` of all pairs at once: words only, no groups
  jiwer, each          `jiwer.process_words` and `jiwer.process_characters` of one pair after the other, which is what gives the same counts
  jiwer, each, words   `jiwer.process_words` alone
  rapidfuzz            `Levenshtein.editops` of the words of each pair, and counting their kinds: what no scorer can be faster than
  score, raw           `score()`: words and characters, joined by id, grouped by accent, speaker, gender and age, with an interval
  score, basic         the same with the normalizer that ignores case and punctuation
  read                 `Manifest.read` and `read_hypotheses`
  command, raw         `speechadapt score` of the two files, from the start of the process to its end
  command, basic       the same
  import               `import speechadapt.score.report`, from the start of the process to its end
  command, 100 lines   `speechadapt score` of the first 100 lines
"""

import argparse
import itertools
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tabulate import tabulate

SYLLABLES = ("ba", "do", "fe", "gi", "ha", "jo", "ke", "li", "ma", "no", "pe", "ri", "sa", "to", "ve", "wi")
WORDS = tuple("".join(parts) for length in (1, 2, 3) for parts in itertools.product(SYLLABLES, repeat=length))
LINES = 100
CALL = "import sys; from speechadapt.cli import main; sys.exit(main())"
COMMANDS = {"command, raw": "raw", "command, basic": "basic", "command, 100 lines": "english"}

Pairs = list[tuple[str, str]]


def make_pairs(count: int) -> Pairs:
    """References of ten words, some much more frequent than others, and hypotheses with 5 % of them left out, 10 % replaced, 5 % too many."""
    chance = random.Random(0)
    pairs = []
    for _ in range(count):
        said = [WORDS[int(len(WORDS) ** chance.random()) - 1] for _ in range(10)]
        heard: list[str] = []
        for word in said:
            draw = chance.random()
            if draw >= 0.05:
                heard.append(chance.choice(WORDS) if draw < 0.15 else word)
            if draw >= 0.95:
                heard.append(chance.choice(WORDS))
        pairs.append((" ".join(said).capitalize() + ".", " ".join(heard)))
    return pairs


def row(number: int, text: str) -> dict[str, object]:
    """One line of a manifest: 40 utterances a speaker, 12 accents."""
    speaker = number // 40
    return {
        "id": f"c-{number:08d}", "audio_filepath": f"audio/c-{number:08d}.flac", "duration": 3.0 + number % 100 / 25, "text": text,
        "speaker": f"c:{speaker:06d}", "gender": ("male", "female")[speaker % 2], "age": ("twenties", "thirties", "fifties")[speaker % 3],
        "accent": f"accent{speaker % 12}", "language": "en",
    }  # fmt: skip


def write_files(folder: Path, pairs: Pairs, name: str) -> None:
    """A manifest and hypotheses."""
    with (folder / f"{name}.jsonl").open("w") as references, (folder / f"{name}_hypotheses.jsonl").open("w") as hypotheses:
        for number, (reference, hypothesis) in enumerate(pairs):
            references.write(json.dumps(row(number, reference)) + "\n")
            hypotheses.write(json.dumps({"id": f"c-{number:08d}", "text": hypothesis}) + "\n")


def jiwer_one_list(pairs: Pairs) -> Callable[[], object]:
    """Both lists at once."""
    import jiwer

    references, hypotheses = map(list, zip(*pairs, strict=True))
    return lambda: jiwer.process_words(references, hypotheses)


def jiwer_each(pairs: Pairs) -> Callable[[], object]:
    """Words and characters of each pair."""
    import jiwer

    return lambda: sum(jiwer.process_words(*pair).substitutions + jiwer.process_characters(*pair).substitutions for pair in pairs)


def jiwer_each_words(pairs: Pairs) -> Callable[[], object]:
    """Words of each pair."""
    import jiwer

    return lambda: sum(jiwer.process_words(*pair).substitutions for pair in pairs)


def rapidfuzz_alone(pairs: Pairs) -> Callable[[], object]:
    """The engine."""
    from rapidfuzz.distance import Levenshtein

    def work() -> int:
        kinds = {"replace": 0, "delete": 0, "insert": 0}
        for reference, hypothesis in pairs:
            for kind, _, _ in Levenshtein.editops(reference.split(), hypothesis.split()).as_list():
                kinds[kind] += 1
        return sum(kinds.values())

    return work


def scorer(normalizer: str) -> Callable[[Pairs], Callable[[], object]]:
    """Ours, from records in memory."""

    def prepare(pairs: Pairs) -> Callable[[], object]:
        from speechadapt.data.hypothesis import Hypothesis
        from speechadapt.data.manifest import Manifest
        from speechadapt.data.utterance import Utterance
        from speechadapt.score.report import score

        manifest = Manifest((Utterance.from_json(row(number, said), "here") for number, (said, _) in enumerate(pairs)), folder=Path(), name="test")
        hypotheses = [Hypothesis(id=f"c-{number:08d}", text=heard) for number, (_, heard) in enumerate(pairs)]
        pairs.clear()

        def work() -> None:
            report = score(manifest, hypotheses, system="system", normalizer=normalizer)
            if len(report.groups) != 4 or report.interval is None or not report.words.errors:
                raise SystemExit("the report is not whole")

        return work

    return prepare


WORK: dict[str, Callable[[Pairs], Callable[[], object]]] = {
    "jiwer, one list": jiwer_one_list,
    "jiwer, each": jiwer_each,
    "jiwer, each, words": jiwer_each_words,
    "rapidfuzz": rapidfuzz_alone,
    "score, raw": scorer("raw"),
    "score, basic": scorer("basic"),
}
NAMES = (*WORK, "read", "command, raw", "command, basic", "import", "command, 100 lines")


def alone(name: str, count: int, folder: Path) -> None:
    """Do one piece of work in this process (a command in a child of it), and print what it took as JSON."""
    whose = resource.RUSAGE_SELF
    if name in WORK:
        work = WORK[name](make_pairs(count))
    elif name == "read":
        from speechadapt.data.hypothesis import read_hypotheses
        from speechadapt.data.manifest import Manifest

        def work() -> object:
            return Manifest.read(folder / "all.jsonl"), read_hypotheses(folder / "all_hypotheses.jsonl")
    else:
        whose = resource.RUSAGE_CHILDREN
        files = "first" if name == "command, 100 lines" else "all"
        command = [sys.executable, "-c", "import speechadapt.score.report"]
        if name != "import":
            paths = [str(folder / f"{files}.jsonl"), str(folder / f"{files}_hypotheses.jsonl")]
            command = [sys.executable, "-c", CALL, "score", *paths, "--normalizer", COMMANDS[name]]

        def work() -> object:
            return subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    begun = time.perf_counter()
    work()
    seconds = time.perf_counter() - begun
    print(json.dumps({"work": name, "seconds": seconds, "peak MB": resource.getrusage(whose).ru_maxrss / 1024}))


def main() -> int:
    """Print the table; leave with 1 where ours is not three times as fast as jiwer called for each pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--only", action="append", choices=NAMES, help="may be repeated")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--alone", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pairs < LINES:
        parser.error(f"--pairs is {options.pairs}, must be {LINES} or more")
    if options.alone:
        alone(options.alone[0], options.pairs, Path(options.alone[1]))
        return 0
    found: dict[str, dict[str, object]] = {}
    names = options.only or list(NAMES)
    with tempfile.TemporaryDirectory() as folder:
        if not set(names) <= set(WORK):
            pairs = make_pairs(options.pairs)
            write_files(Path(folder), pairs, "all")
            write_files(Path(folder), pairs[:LINES], "first")
            del pairs
        for name in names:
            command = [sys.executable, __file__, "--alone", name, folder, "--pairs", str(options.pairs)]
            found[name] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    rows = list(found.values())
    print(json.dumps({"pairs": options.pairs, "rows": rows}, indent=2) if options.json else tabulate(rows, headers="keys", floatfmt=".2f"))
    if "jiwer, each" not in found or "score, raw" not in found:
        return 0
    return int(float(str(found["jiwer, each"]["seconds"])) < 3 * float(str(found["score, raw"]["seconds"])))


if __name__ == "__main__":
    raise SystemExit(main())
