"""`speechadapt export`: an adapter merged into its base for transformers, faster-whisper, onnxruntime or whisper.cpp, proven there."""

import argparse
import json
import sys
from pathlib import Path

EXAMPLE = """
speechadapt export runs/quickstart --to ctranslate2 exports/quickstart
speechadapt export runs/quickstart/adapter --to merged exports/quickstart-merged --clips data/test.jsonl
speechadapt export runs/quickstart --to onnx exports/quickstart-onnx --quantization int8 --limit 50 --json
speechadapt export runs/quickstart --to ggml exports/quickstart-ggml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define what may follow `speechadapt export`."""
    parser.add_argument("source", metavar="RUN|ADAPTER", type=Path, help="a run folder, or an adapter folder such as RUN/adapter")
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder to be made; a failed proof leaves OUT.failed instead")
    parser.add_argument(
        "--to", required=True, metavar="TARGET", help="merged (transformers), ctranslate2 (faster-whisper), onnx (onnxruntime) or ggml (whisper.cpp)"
    )
    parser.add_argument(
        "--quantization",
        metavar="Q",
        help="merged: float32 (default), float16; ctranslate2: int8 (default), int8_float32, int8_float16, int16, float16, bfloat16, float32; "
        "onnx: float32 (default), int8; ggml: float16",
    )
    parser.add_argument(
        "--clips", type=Path, metavar="MANIFEST", help="what to prove it with (default: the run's test set, else synthetic sentences)"
    )
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="most clips, taken evenly from the manifest (default: 100)")
    parser.add_argument("--base", metavar="B", help="where the base lies, if not under the name that the adapter knows")
    parser.add_argument("--force", action="store_true", help="replace an earlier export at OUT; adapters, runs and models are never replaced")
    parser.add_argument("--json", action="store_true", help="print the export and its proof as JSON")


def execute(options: argparse.Namespace) -> int:
    """Export; 1 if the proof fails."""
    from speechadapt.export.export import export_adapter

    done = export_adapter(
        options.source,
        options.out,
        target=options.to,
        quantization=options.quantization,
        base=options.base,
        clips=options.clips,
        limit=options.limit,
        force=options.force,
        say=lambda message: print(message, file=sys.stderr, flush=True),
    )
    if options.json:
        print(json.dumps(done.to_json(), ensure_ascii=False, indent=2))
    else:
        print(f"{done.folder}: {done.target} ({done.quantization}), {done.size / 1e6:.1f} MB; proven: {done.proof.sentence}")
    return 0
