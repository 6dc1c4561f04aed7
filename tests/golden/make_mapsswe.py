"""Makes tests/golden/mapsswe/: what NIST's own sclite and sc_stats (Debian package sctk) say of two systems on 150 sentences of ten speakers.

    python tests/golden/make_mapsswe.py [--sctk /usr/lib/sctk/bin]

It writes the transcripts it made up (`reference.trn`, `base.trn`, `adapted.trn`), the alignments of sclite (`base.sgml`, `adapted.sgml`) and the
reports of sc_stats: `mapsswe.txt`, `sign.txt`, `wilcoxon.txt`, `mcnemar.txt`, and `mcnemar_two_speakers.txt` of the first two speakers alone,
because the probability that sc_stats prints is wrong from some 30 utterances on (its binomial coefficients overflow). The tests read these files and
need no sctk.

No system inserts a word after the last one of a sentence, because sc_stats overlooks those of the second system (see the docstring of
`speechadapt.score.significance.mapsswe`).
"""

import argparse
import random
import re
import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "mapsswe"
VOCABULARY = """
    able about after again along always apple around basket before begin better blue bread bring brown build carry chair change clean
    clear close cloud cold color corner cover dance dark door dream drive early earth every family farm field figure finish fire floor
"""
WORDS = VOCABULARY.split()


def spoil(words: list[str], rate: float, generator: random.Random) -> list[str]:
    """Substitute, delete and insert words, but nothing after the last one, which is always right."""
    heard = []
    for word in words[:-1]:
        dice = generator.random()
        if dice < 0.6 * rate:
            heard.append(generator.choice(WORDS))
        elif dice < 0.8 * rate:
            continue
        elif dice < rate:
            heard += [generator.choice(WORDS), word]
        else:
            heard.append(word)
    return [*heard, words[-1]]


def write_transcripts() -> None:
    """The same sentences by both systems; the speakers are harder or easier for both."""
    generator = random.Random(5)
    lines: dict[str, list[str]] = {"reference": [], "base": [], "adapted": []}
    for speaker in range(10):
        hard, gain = generator.uniform(0.03, 0.35), generator.uniform(0.5, 1.3)
        for number in range(15):
            said = [generator.choice(WORDS) for _ in range(generator.randint(4, 18))] + ["end"]
            key = f"(spk{speaker}-u{number:02d})"
            lines["reference"].append(f"{' '.join(said)} {key}")
            lines["base"].append(f"{' '.join(spoil(said, hard, generator))} {key}")
            lines["adapted"].append(f"{' '.join(spoil(said, gain * hard, generator))} {key}")
    for name, rows in lines.items():
        (FOLDER / f"{name}.trn").write_text("\n".join(rows) + "\n", encoding="utf-8")


def main() -> None:
    """Write transcripts, alignments and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sctk", type=Path, default=Path("/usr/lib/sctk/bin"))
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    write_transcripts()
    both = two = ""
    for name in ("base", "adapted"):
        command = [options.sctk / "sclite", "-r", "reference.trn", "trn", "-h", f"{name}.trn", "trn", name, "-i", "spu_id", "-o", "sgml", "stdout"]
        sgml = subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, encoding="utf-8").stdout
        (FOLDER / f"{name}.sgml").write_text(re.sub('creation_date="[^"]*"', 'creation_date=""', sgml), encoding="utf-8")
        both += sgml
        two += sgml.partition('<SPEAKER id="spk2">')[0] + "</SYSTEM>\n"
    for test, name, given in (
        ("mapsswe", "mapsswe", both),
        ("sign", "sign", both),
        ("wilc", "wilcoxon", both),
        ("mcn", "mcnemar", both),
        ("mcn", "mcnemar_two_speakers", two),
    ):
        command = [options.sctk / "sc_stats", "-p", "-t", test, "-v", "-n", "-"]
        report = subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, input=given, encoding="utf-8").stdout
        (FOLDER / f"{name}.txt").write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
