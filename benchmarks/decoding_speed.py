#!/usr/bin/env python3
"""Decoding speed of an adapted Whisper on the CPU: our short-window batches against faster-whisper and transformers' generate().

All three transcribe the same clips with the same adapter, merged into the weights: faster-whisper with int8, beam 1, no voice
detection, one clip at a time, as its users call it; generate() greedy, in batches of features padded to 30 s.

usage: benchmarks/decoding_speed.py MANIFEST --adapter DIR [--base openai/whisper-tiny.en] [--threads 2]
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tabulate


def main() -> int:
    """Time each side in turn, several rounds, and print median seconds, ratios and WER."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--base", default=None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=None, help="the first N clips only")
    options = parser.parse_args()

    import torch

    from speechadapt.adapt.adapter import load_adapter, read_adapter
    from speechadapt.data.manifest import Manifest
    from speechadapt.models.load import load_model

    torch.set_num_threads(options.threads)
    facts = read_adapter(options.adapter)
    model = load_model(options.base or facts.base_id, language=facts.language, device="cpu")
    load_adapter(model, options.adapter)
    manifest = Manifest.read(options.manifest)
    manifest = Manifest(manifest[: options.clips], folder=manifest.folder, name=manifest.name)
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "speechadapt, short window": lambda: _ours(model, manifest, "short"),
            "speechadapt, short window, beam 3": lambda: _ours(model, manifest, "short", beam=3),
            "speechadapt, 30 s window": lambda: _ours(model, manifest, "full"),
            "faster-whisper int8, one by one": _faster_whisper(model, manifest, Path(folder), options.threads),
            "transformers generate(), 30 s": _generate(model, manifest),
        }
        results: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, run in sides.items():
                begun = time.perf_counter()
                texts = run()
                results[name].append({"seconds": time.perf_counter() - begun, "wer": _wer(manifest, texts)})
    _print(results, sum(u.duration for u in manifest))
    return 0


def _ours(model: Any, manifest: Any, window: str, beam: int = 1) -> list[str]:
    from speechadapt.evaluation import transcribe_manifest
    from speechadapt.models.speech_model import DecodeSettings

    return [h.text for h in transcribe_manifest(model, manifest, settings=DecodeSettings(window=window, beam=beam), progress=False)]


def _merged_folder(model: Any, folder: Path) -> Path:
    import copy

    out = folder / "merged"
    merged = copy.deepcopy(model.network).merge_and_unload()
    merged.save_pretrained(out)
    model.tokenizer.save_pretrained(out)
    for name in ("preprocessor_config.json", "tokenizer.json"):
        out.joinpath(name).write_bytes(model.base.folder.joinpath(name).read_bytes())
    return out


def _faster_whisper(model: Any, manifest: Any, folder: Path, threads: int):
    from ctranslate2.converters import TransformersConverter
    from faster_whisper import WhisperModel

    merged = _merged_folder(model, folder)
    converter = TransformersConverter(str(merged), copy_files=["tokenizer.json", "preprocessor_config.json"])
    converter.convert(str(folder / "ct2"), quantization="int8")
    fast = WhisperModel(str(folder / "ct2"), device="cpu", compute_type="int8", cpu_threads=threads)

    def run() -> list[str]:
        texts = []
        for utterance in manifest:
            segments, _ = fast.transcribe(str(manifest.audio_path(utterance)), language=model.language, beam_size=1, vad_filter=False)
            texts.append(" ".join(segment.text.strip() for segment in segments))
        return texts

    return run


def _generate(model: Any, manifest: Any):
    import copy

    import torch
    from transformers import WhisperFeatureExtractor

    from speechadapt.audio.waveform import read_waveform

    merged = copy.deepcopy(model.network).merge_and_unload()
    extractor = WhisperFeatureExtractor.from_pretrained(model.base.folder)
    options = {"language": model.language, "task": "transcribe"} if model.multilingual else {}

    @torch.inference_mode()
    def run() -> list[str]:
        texts: list[str] = []
        for first in range(0, len(manifest), 16):
            waves = [read_waveform(manifest.audio_path(u)) for u in manifest[first : first + 16]]
            features = extractor(waves, sampling_rate=16000, return_tensors="pt").input_features
            out = merged.generate(input_features=features, max_new_tokens=100, num_beams=1, do_sample=False, **options)
            texts += model.tokenizer.batch_decode(out, skip_special_tokens=True)
        return texts

    return run


def _wer(manifest: Any, texts: list[str]) -> float:
    from speechadapt.data.hypothesis import Hypothesis
    from speechadapt.score.report import score

    hypotheses = [Hypothesis(id=u.id, text=text) for u, text in zip(manifest, texts, strict=True)]
    return float(score(manifest, hypotheses, system="x", by=(), resamples=0).wer or 0.0)


def _print(results: dict[str, list[dict[str, float]]], audio: float) -> None:
    def median(runs: list[dict[str, float]]) -> float:
        return sorted(run["seconds"] for run in runs)[len(runs) // 2]

    ours = median(results["speechadapt, short window"])
    rows = [
        [name, f"{median(runs):.2f}", f"{audio / median(runs):.1f}", f"{median(runs) / ours:.1f}", f"{runs[-1]['wer']:.1%}"]
        for name, runs in results.items()
    ]
    print(tabulate.tabulate(rows, ["side", "seconds", "audio s/s", "times ours", "WER"], disable_numparse=True))
    print(json.dumps(results))


if __name__ == "__main__":
    sys.exit(main())
