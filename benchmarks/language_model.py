#!/usr/bin/env python3
"""What a beam and an n-gram language model buy a CTC model: WER and real-time factor of greedy, beam, and beam with a language model.

The language model is made from the text of the training manifest alone; `--lm` takes a file instead. Each weight is a row of its own: choose
one on a dev set, not on the set you report. The real-time factor is decoding time (network and search) over audio time, the fastest of the rounds.

usage: benchmarks/language_model.py TEST.jsonl --train TRAIN.jsonl [--base embedded:wav2vec2-small] [--adapter DIR] [--weights 0.5 1]
"""

import argparse
import collections
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tabulate


def main() -> int:
    """Decode each way in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--train", type=Path, help="manifest whose text the language model is made from")
    parser.add_argument("--lm", type=Path, help="a language model instead")
    parser.add_argument("--base", default="embedded:wav2vec2-small")
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--language", default="en")
    parser.add_argument("--order", type=int, default=3)
    parser.add_argument("--characters", action="store_true", help="make a language model of characters (think of --order 6)")
    parser.add_argument("--beams", type=int, nargs="+", default=[50])
    parser.add_argument("--weights", type=float, nargs="+", default=[0.5, 1.0])
    parser.add_argument("--word-score", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--clips", type=int, default=None, help="the first N clips only")
    options = parser.parse_args()
    if (options.train is None) == (options.lm is None):
        parser.error("give --train, whose text makes the language model, or --lm")

    import torch

    from speechadapt.adapt.adapter import load_adapter
    from speechadapt.data.manifest import Manifest
    from speechadapt.models.load import load_model
    from speechadapt.models.speech_model import DecodeSettings

    torch.set_num_threads(options.threads)
    model: Any = load_model(options.base, language=options.language, device="cpu")
    if options.adapter:
        load_adapter(model, options.adapter)
    manifest = Manifest.read(options.manifest)
    manifest = Manifest(manifest[: options.clips], folder=manifest.folder, name=manifest.name)
    with tempfile.TemporaryDirectory() as folder:
        lm = options.lm or _make_lm(model, options, Path(folder) / "train.arpa")
        ways = {"greedy": DecodeSettings()}
        for beam in options.beams:
            ways[f"beam {beam}"] = DecodeSettings(beam=beam)
            for weight in options.weights:
                ways[f"beam {beam}, language model × {weight:g}"] = DecodeSettings(
                    beam=beam, lm=str(lm), lm_weight=weight, word_score=options.word_score
                )
        _print(manifest, {name: _decode(model, manifest, settings, options.rounds) for name, settings in ways.items()})
    return 0


def _make_lm(model: Any, options: argparse.Namespace, path: Path) -> Path:
    from speechadapt.data.manifest import Manifest
    from speechadapt.errors import LabelError
    from speechadapt.text.ngram import write_arpa
    from speechadapt.text.spelling import spell_for_ctc

    texts, dropped = [], collections.Counter[str]()
    for utterance in Manifest.read(options.train):
        try:
            texts.append(spell_for_ctc(utterance.text, options.language, model.vocabulary.case))
        except LabelError as error:
            dropped[error.reason] += 1
    begun = time.perf_counter()
    write_arpa((" ".join(text.replace(" ", "|")) for text in texts) if options.characters else texts, path, order=options.order)
    words = len({word for text in texts for word in text.split()})
    seconds = time.perf_counter() - begun
    unit = "characters" if options.characters else "words"
    print(f"language model: order {options.order}, {unit}, from {len(texts)} sentences with {words} different words, in {seconds:.1f} s")
    for reason, count in dropped.items():
        print(f"left out: {count} sentences ({reason})")
    return path


def _decode(model: Any, manifest: Any, settings: Any, rounds: int) -> tuple[list[Any], float]:
    """Hypotheses, and the seconds of the fastest round; loading the language model is not among them."""
    from speechadapt.data.manifest import Manifest
    from speechadapt.evaluation import transcribe_manifest

    transcribe_manifest(model, Manifest(manifest[:1], folder=manifest.folder, name=manifest.name), settings=settings, progress=False)
    runs = [transcribe_manifest(model, manifest, settings=settings, progress=False) for _ in range(rounds)]
    return runs[0], min(sum(hypothesis.seconds for hypothesis in run) for run in runs)


def _print(manifest: Any, results: dict[str, tuple[list[Any], float]]) -> None:
    from speechadapt.score.report import score

    audio = sum(utterance.duration for utterance in manifest)
    rows = []
    for name, (hypotheses, seconds) in results.items():
        report = score(manifest, hypotheses, system=name, by=())
        ends = "" if report.interval is None else f"{report.interval.low:.1%} to {report.interval.high:.1%}"
        rows.append([name, f"{report.wer or 0:.1%}", ends, f"{report.cer or 0:.1%}", f"{seconds / audio:.4f}"])
    print(f"{manifest.name}: {len(manifest)} clips, {audio:.0f} s of audio")
    print(tabulate.tabulate(rows, ["decoding", "WER", "95 % interval", "CER", "real-time factor"], disable_numparse=True))


if __name__ == "__main__":
    sys.exit(main())
