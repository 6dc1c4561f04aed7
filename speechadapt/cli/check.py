"""`speechadapt check`: what is wrong with manifests."""

import argparse
import json
from pathlib import Path

EXAMPLE = """
speechadapt check data/so762/train.jsonl data/so762/dev.jsonl data/so762/test.jsonl
speechadapt check data/so762/*.jsonl --audio
speechadapt check all.jsonl --strict --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("manifests", metavar="MANIFEST", nargs="+", type=Path, help="JSONL manifests; several are also checked against each other")
    parser.add_argument("--audio", action="store_true", help="decode every recording: broken files, silence, clipping, wrong durations")
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings too")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def execute(options: argparse.Namespace) -> int:
    """Check and print; 1 when errors are found, or warnings under --strict."""
    from speechadapt.data.checks import check_manifest, read_for_check

    manifests, findings = [], []
    for path in options.manifests:
        manifest, broken = read_for_check(path)
        manifests.append(manifest)
        findings += broken
    findings += check_manifest(manifests, files=not options.audio)
    if options.audio:
        from tqdm import tqdm

        from speechadapt.audio.quality import check_audio

        rows = [(manifest, utterance) for manifest in manifests for utterance in manifest]
        for manifest, utterance in tqdm(rows, desc="audio", unit=" rows", disable=None):
            findings += check_audio(manifest, utterance)
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    if options.json:
        summary = [{"manifest": str(p), "utterances": len(m), "hours": round(m.hours, 4)} for p, m in zip(options.manifests, manifests, strict=True)]
        rows_json = [finding.to_json() for finding in findings]
        print(json.dumps({"manifests": summary, "errors": errors, "warnings": warnings, "findings": rows_json}, ensure_ascii=False, indent=2))
    else:
        for path, manifest in zip(options.manifests, manifests, strict=True):
            print(f"{path}: {len(manifest)} utterances, {manifest.hours:.2f} h, {len(manifest.speakers) or 'unknown'} speakers")
        for finding in sorted(findings, key=lambda finding: finding.severity):
            print(f"{finding.severity}: {finding.check}: {finding.message}")
        print(f"{errors} errors, {warnings} warnings" if findings else "nothing is wrong")
    return 1 if errors or (warnings and options.strict) else 0
