#!/usr/bin/env python3
"""Routing scored as a system: word error rate of the base, of one adapter for everybody, of the router, and of an oracle that knows the accent.

Speakers of the synthetic voice in simulated accents, and in none; those of training, dev and test are other ones. Each accent has an adapter;
`shared` is one adapter trained on all of their speech, for as many steps as they all. The router never sees a label of the test speakers: its
threshold and its classifier come from dev and train. What it finds is about the simulation, and about the machinery.

usage: benchmarks/routing.py --out runs/routing [--accents mandarin,spanish,west_african] [--steps 60] [--threads 2] [--json]

Adapters that --out holds are not trained again.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tabulate

BASE = "openai/whisper-tiny.en"
SIZES = {"train_speakers": 12, "train_utterances": 12, "dev_speakers": 5, "dev_utterances": 4, "test_speakers": 8, "test_utterances": 5}
STANDARD = "standard"


def main() -> int:
    """Train what is missing, route, score, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of corpora and adapters")
    parser.add_argument("--accents", default="mandarin,spanish,west_african")
    parser.add_argument("--steps", type=int, default=60, help="of each accent's adapter (default: 60)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    accents = options.accents.split(",")
    data = {accent: corpus(accent, options.out / "data" / accent) for accent in [*accents, STANDARD]}
    for accent in accents:
        train(data, [accent, STANDARD], options.out / accent, options.steps)
    train(data, [*accents, STANDARD], options.out / "shared", options.steps * len(accents))
    result = measure(data, accents, options.out)
    print(json.dumps(result, indent=2) if options.json else table(result))
    return 0


def corpus(accent: str, out: Path) -> Path:
    """The folder of an accent's manifests."""
    from speechadapt.bundled import load_bundled
    from speechadapt.preparation import PrepareOptions

    if not (out / "test.jsonl").exists():
        script = load_bundled("data_prep", "synthetic_english")
        script.prepare(accent, out, PrepareOptions(), script.Settings(**SIZES))
    return out


def train(data: Mapping[str, Path], accents: Sequence[str], out: Path, steps: int) -> None:
    """An adapter on the training speech of these accents, if there is none yet."""
    from speechadapt import AdapterSpec, Manifest, TrainSettings, load_model, train_adapter
    from speechadapt.data.manifest import join_manifests

    if (out / "adapter").exists():
        return
    print(f"training {out.name} on {', '.join(accents)}, {steps} steps", file=sys.stderr)
    speech = join_manifests([Manifest.read(data[accent] / "train.jsonl") for accent in accents], "train")
    train_adapter(load_model(BASE), speech, spec=AdapterSpec(rank=16), settings=TrainSettings(steps=steps), out=out, corpora=())


def measure(data: Mapping[str, Path], accents: Sequence[str], out: Path) -> dict[str, Any]:
    """Scores of every system on the test speakers, what the router chose, and what choosing costs."""
    from speechadapt import Manifest
    from speechadapt.audio.waveform import read_waveform
    from speechadapt.data.hypothesis import Hypothesis
    from speechadapt.data.manifest import join_manifests
    from speechadapt.score.report import score
    from speechadapt.serve import AdapterLibrary, Router
    from speechadapt.serve.accent_classifier import fit_classifier

    train_set, dev, test = (
        join_manifests([Manifest.read(folder / f"{part}.jsonl") for folder in data.values()], part) for part in ("train", "dev", "test")
    )
    library = AdapterLibrary(BASE)
    for name in (*accents, "shared"):
        library.add(name, out / name / "adapter")
    clips = {u.id: read_waveform(test.audio_path(u), offset=u.offset, duration=u.duration) for u in test}
    owner = {str(u.accent): accent for accent, folder in data.items() for u in Manifest.read(folder / "test.jsonl")}
    own = {label: None if accent == STANDARD else accent for label, accent in owner.items()}
    texts = {
        name: {key: library.decode([clip], [name])[0].text for key, clip in clips.items()} for name in (None, *accents, "shared")
    }  # one by one, as the router's own seconds are
    classifier = fit_classifier(library, train_set)
    routers = {
        "router, confidence": Router(library, candidates=accents),
        "router, classifier": Router(library, by="classifier", classifier=classifier, accents=own),
    }
    thresholds = {name: router.calibrate(dev) for name, router in routers.items()}
    choices: dict[str, dict[str, str | None]] = {
        "base": dict.fromkeys(clips), "shared": dict.fromkeys(clips, "shared"), "oracle": {u.id: own[str(u.accent)] for u in test},
    }  # fmt: skip
    cost: dict[str, float] = {}
    for name, router in routers.items():
        begun = time.perf_counter()
        choices[name] = {key: router.choose(clip).adapter for key, clip in clips.items()}
        cost[name] = (time.perf_counter() - begun) / sum(len(clip) / 16_000 for clip in clips.values())
        first: dict[str, str] = {}  # as an app does that listens to a speaker once
        for u in test:
            first.setdefault(str(u.speaker), u.id)
        choices[f"{name}, a speaker's first clip"] = {u.id: choices[name][first[str(u.speaker)]] for u in test}
    rows = []
    for name, chosen in choices.items():
        hypotheses = [Hypothesis(id=key, text=texts[chosen[key]][key]) for key in clips]
        report = score(test, hypotheses, system=name, by=("accent",))
        groups = report.groups["accent"]
        rows.append(
            {
                "system": name,
                "wer": report.wer,
                "low": report.interval.low,
                "high": report.interval.high,
                "by_accent": {owner[label]: found.words.wer for label, found in groups.items()},
                "right": sum(chosen[u.id] == choices["oracle"][u.id] for u in test) / len(test),
                "base_share": sum(one is None for one in chosen.values()) / len(chosen),
                "threshold": thresholds.get(name),
                "real_time_factor": cost.get(name),
            }
        )
    return {"utterances": len(test), "speakers": len(test.speakers), "accents": list(data), "rows": rows}


def table(result: Mapping[str, Any]) -> str:
    """For people."""
    percent = "{:.1f} %".format
    lines = [
        [
            row["system"], percent(100 * row["wer"]), f"{100 * row['low']:.1f} to {100 * row['high']:.1f}",
            *(percent(100 * row["by_accent"][accent]) for accent in result["accents"]), percent(100 * row["right"]),
            percent(100 * row["base_share"]), "" if row["threshold"] is None else f"{row['threshold']:.3f}",
            "" if row["real_time_factor"] is None else f"{row['real_time_factor']:.3f}",
        ]
        for row in sorted(result["rows"], key=lambda row: row["wer"])
    ]  # fmt: skip
    head = ["system", "WER", "95 % interval", *result["accents"], "chosen as the oracle", "base chosen", "threshold", "choosing, RTF"]
    return f"{result['utterances']} utterances, {result['speakers']} speakers\n{tabulate.tabulate(lines, head)}"


if __name__ == "__main__":
    sys.exit(main())
