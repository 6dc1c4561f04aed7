"""Memory of manifests and of `prepare`, by the number of their lines.

    python benchmarks/manifest_memory.py [--lines 1000000] [--rows 200000] [--only NAME] [--json]

Each row of the table is a process of its own; "peak" is the most memory it ever held (resident), "above" what that is above a process that has
only imported the same modules.

  stream     `stream_manifest`, one line after the other, adding up the durations
  read       `Manifest.read`, all lines at once
  write      `Manifest.write` of all lines (reading them is in it)
  rows       the rows of a corpus like Common Voice (long speaker ids, accents, ages), as a script holds them
  prepare    the same, handed over to `finish_corpus` one by one
  table      the same as a CSV file, prepared by the script for tables
  nemo       the same as a NeMo manifest, prepared by the script for those

Recordings are 25 ms long, each another one, and stay in place, so that what is measured is the rows.
"""

import argparse
import csv
import itertools
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from tabulate import tabulate

from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest, stream_manifest
from speechadapt.preparation import Corpus, CorpusRow, PrepareOptions, PrepReport, available_cores, finish_corpus

SYLLABLES = ("ba", "do", "fe", "gi", "ha", "jo", "ke", "li", "ma", "no", "pe", "ri", "sa", "to", "ve", "wi")
WORDS = tuple("".join(parts) for length in (1, 2, 3) for parts in itertools.product(SYLLABLES, repeat=length))
CORPUS = Corpus(
    name="common_voice", title="Common Voice", license="CC0-1.0", commercial_use="yes", home="here", expects="clips.", accent_label="accents",
    language="en",
)  # fmt: skip


def sentence(number: int) -> str:
    """Ten words, some much more frequent than others, seldom the same ten twice."""
    choose = random.Random(number)
    return " ".join(WORDS[int(len(WORDS) ** choose.random()) - 1] for _ in range(10))


RATE = 16_000
CLIP = 400
"""Samples of a recording."""
COLUMNS = ("id", "audio_filepath", "offset", "duration", "text", "speaker", "gender", "age", "accent", "split", "up_votes", "locale")
OPTIONS = PrepareOptions(in_place=True, min_duration=0.001, jobs=available_cores())
CORPUS_WORK = ("rows", "prepare", "table", "nemo")


def write_lines(path: Path, count: int) -> None:
    """A manifest as `prepare` writes them, 450 bytes in a line."""
    with path.open("w", encoding="utf-8") as file:
        for n in range(count):
            speaker = f"common_voice:{n // 40:0128x}"
            row = {
                "id": f"common_voice-common_voice_en_{n:08d}", "audio_filepath": f"audio/common_voice-common_voice_en_{n:08d}.flac",
                "duration": 3.0 + n % 100 / 25, "text": sentence(n), "text_raw": sentence(n).capitalize() + ".", "speaker": speaker,
                "gender": ("male", "female")[n % 2], "age": "twenties", "accent_raw": "England English", "accent": "en_england", "language": "en",
                "split": "train", "audio_sha1": f"{n:040x}",
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")


def stream(path: Path) -> float:
    """Hours."""
    return sum(u.duration for u in stream_manifest(path)) / 3600


def read(path: Path) -> float:
    """Hours."""
    return Manifest.read(path).hours


def write(path: Path) -> float:
    """Hours."""
    manifest = Manifest.read(path)
    manifest.write(path.with_name("copy.jsonl"))
    return manifest.hours


def corpus_lines(count: int) -> Iterator[dict[str, str]]:
    """The values of a corpus' table, each a string of its own as a reader makes it; 40 lines of a speaker, one speaker of 20 in dev, one in test."""
    for n in range(count):
        speaker = n // 40
        split = {0: "test", 1: "dev"}.get(speaker % 20, "train")
        gender = "male_masculine" if speaker % 2 else "female_feminine"
        values = [f"common_voice_en_{n:08d}", f"clips/{split}-{n % 100}.wav", f"{n // 100 * CLIP / RATE:.4f}", f"{CLIP / RATE:.4f}"]
        values += [sentence(n).capitalize() + ".", f"{speaker:0128x}", gender, "twenties", "England English", split, str(n % 7), "en"]
        yield dict(zip(COLUMNS, "\t".join(values).split("\t"), strict=True))


def corpus_rows(clips: Path, count: int) -> Iterator[CorpusRow]:
    """Rows as a script makes them of such lines."""
    for n, line in enumerate(corpus_lines(count)):
        yield CorpusRow(
            id=line["id"], audio=clips.parent / line["audio_filepath"], offset=float(line["offset"]), duration=float(line["duration"]),
            text=line["text"], place=f"train.tsv, line {n + 2}", speaker=line["speaker"], gender=line["gender"], age=line["age"],
            accent_raw=line["accent"], split=line["split"], meta={"up_votes": line["up_votes"], "locale": line["locale"]},
        )  # fmt: skip


def write_clips(folder: Path, count: int) -> Path:
    """Three hundred recordings that together hold another 25 ms of noise for every line."""
    clips = folder / "clips"
    if not clips.is_dir():
        clips.mkdir()
        for number in range(300):
            noise = np.random.default_rng(number).normal(0, 0.1, CLIP * (count // 100 + 1)).astype(np.float32)
            soundfile.write(clips / f"{('train', 'dev', 'test')[number % 3]}-{number // 3}.wav", noise, RATE)
    return clips


def write_source(folder: Path, kind: str, count: int) -> Path:
    """The corpus as a CSV file or as a NeMo manifest."""
    path = folder / {"table": "lines.csv", "nemo": "lines.json"}[kind]
    with path.open("w", encoding="utf-8", newline="") as file:
        if kind == "table":
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(corpus_lines(count))
        else:
            for line in corpus_lines(count):
                file.write(json.dumps({**line, "offset": float(line["offset"]), "duration": float(line["duration"])}) + "\n")
    return path


def prepare(folder: Path, count: int) -> float:
    """Hours."""
    clips = folder / "clips"
    return hours_of(
        finish_corpus(corpus_rows(clips, count), corpus=CORPUS, source=clips, out=folder / "out", options=OPTIONS, audio_roots=[clips]), count
    )


def prepare_file(folder: Path, kind: str, count: int) -> float:
    """Hours, of a whole script."""
    script = load_bundled("data_prep", kind)
    source = folder / {"table": "lines.csv", "nemo": "lines.json"}[kind]
    return hours_of(script.prepare(source, folder / f"out-{kind}", OPTIONS, script.Settings()), count)


def hours_of(report: PrepReport, count: int) -> float:
    """Hours; nothing may be lost, as what is lost needs no memory."""
    if report.kept != count:
        raise SystemExit(f"{report.kept} of {count} rows were kept; {report.dropped}")
    return report.hours


def rows_alone(folder: Path, count: int) -> float:
    """What a script hands over, without anything being done with it."""
    return len(list(corpus_rows(folder, count)))


WORK = {"nothing": lambda path: 0.0, "stream": stream, "read": read, "write": write}


def alone(name: str, lines: int, rows: int, folder: Path) -> None:
    """Do one piece of work in this process, and print what it took as JSON."""
    begun = time.perf_counter()
    if name in ("table", "nemo"):
        prepare_file(folder, name, rows)
    elif name in CORPUS_WORK:
        (rows_alone if name == "rows" else prepare)(folder, rows)
    else:
        WORK[name](folder / "lines.jsonl")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.perf_counter() - begun
    print(json.dumps({"work": name, "lines": rows if name in CORPUS_WORK else lines, "seconds": seconds, "peak MB": peak}))


def main() -> int:
    """Print the table; with `--most`, fail where streaming takes more."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000, help="of the manifest")
    parser.add_argument("--rows", type=int, default=200_000, help="of the corpus that is prepared")
    parser.add_argument("--only", action="append", choices=(*list(WORK)[1:], *CORPUS_WORK), help="may be repeated")
    parser.add_argument("--most", type=float, metavar="MB", help="leave with 1 where streaming takes more than this")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--alone", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        alone(options.alone[0], options.lines, options.rows, Path(options.alone[1]))
        return 0
    found: list[dict[str, float]] = []
    names = options.only or [*list(WORK)[1:], *CORPUS_WORK]
    with tempfile.TemporaryDirectory() as folder:
        if set(names) & set(WORK):
            write_lines(Path(folder) / "lines.jsonl", options.lines)
        if {"prepare", "table", "nemo"} & set(names):
            write_clips(Path(folder), options.rows)
        for name in {"table", "nemo"} & set(names):
            write_source(Path(folder), name, options.rows)
        for name in ("nothing", *names):
            command = [sys.executable, __file__, "--alone", name, folder, "--lines", str(options.lines), "--rows", str(options.rows)]
            row = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            above = row["peak MB"] - (found[0]["peak MB"] if found else row["peak MB"])
            found.append({**row, "above MB": above, "bytes a line": above * 2**20 / max(1, row["lines"])})
    print(json.dumps(found, indent=2) if options.json else tabulate(found, headers="keys", floatfmt=".1f"))
    streamed = next((row["peak MB"] for row in found if row["work"] == "stream"), 0.0)
    return 1 if options.most is not None and streamed > options.most else 0


if __name__ == "__main__":
    raise SystemExit(main())
