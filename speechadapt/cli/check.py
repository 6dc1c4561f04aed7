"""`speechadapt check`: what is wrong with manifests."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from speechadapt.errors import MisuseError

if TYPE_CHECKING:
    from speechadapt.data.findings import Finding
    from speechadapt.data.manifest import Manifest
    from speechadapt.transcript_check import TranscriptCheck

EXAMPLE = """
speechadapt check data/so762/train.jsonl data/so762/dev.jsonl data/so762/test.jsonl
speechadapt check data/so762/*.jsonl --audio --jobs 4 --out findings.csv
speechadapt check all.jsonl --strict --json
speechadapt check all.jsonl --audio --fail-on error,clipped,cut-off
speechadapt check train.jsonl --model openai/whisper-tiny.en --limit 500 --out findings.jsonl
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("manifests", metavar="MANIFEST", nargs="+", type=Path, help="JSONL manifests; several are also checked against each other")
    parser.add_argument("--audio", action="store_true", help="decode every recording: broken, silent, clipped, cut off, repeated, of another rate")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes for --audio (default: the processor's cores)")
    parser.add_argument("--model", metavar="BASE", help="a Hub id, a folder or embedded:NAME: decode, and tell texts that do not fit what is heard")
    parser.add_argument("--adapter", type=Path, metavar="DIR", help="of the model; alone it names its base")
    parser.add_argument("--revision", metavar="SHA", help="of the model on the Hub")
    parser.add_argument("--language", metavar="TAG", help="of the speech, such as en (multilingual models; default: detected)")
    parser.add_argument("--device", metavar="D", help="cpu, cuda or cuda:1 (default: the best there is)")
    parser.add_argument("--limit", type=int, metavar="N", help="give only the first N rows of each manifest to the model")
    parser.add_argument("--out", type=Path, metavar="F", help="write one line per finding and row: .jsonl, or .csv for a spreadsheet")
    parser.add_argument("--fail-on", metavar="LIST", help="exit with 1 only for these severities and checks, such as error,clipped (default: error)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings too")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def execute(options: argparse.Namespace) -> int:
    """Check and print; 1 when errors are found, or warnings under --strict, or what --fail-on names."""
    from speechadapt.data.checks import check_manifest, read_for_check
    from speechadapt.data.findings import sort_findings, write_findings

    failing = _failing(options)
    _refuse_misuse(options)
    manifests: list[Manifest] = []
    findings: list[Finding] = []
    for path, name in zip(options.manifests, _names(options.manifests), strict=True):
        manifest, broken = read_for_check(path, name)
        manifests.append(manifest)
        findings += broken
    findings += check_manifest(manifests, files=not options.audio)
    if options.audio:
        from speechadapt.audio.audit import check_audio
        from speechadapt.preparation.options import available_cores

        heard_audio = check_audio(manifests, jobs=options.jobs or available_cores(), progress=True)
        # what is heard to be shared replaces what the digests in the manifests said of it
        findings = [finding for finding in findings if finding.check != "shared-audio"] + heard_audio
    heard = _hear(options, manifests) if options.model or options.adapter else []
    findings = sort_findings([*findings, *(finding for one in heard for finding in one.findings)])
    if options.out is not None:
        lines = write_findings(options.out, findings, manifests)
        print(f"{lines} lines: {options.out}", file=sys.stderr)
    _print(options, manifests, findings, heard)
    return 1 if any(finding.severity in failing or finding.check in failing for finding in findings) else 0


def _failing(options: argparse.Namespace) -> set[str]:
    """The severities and checks that make the command fail."""
    from speechadapt.data.findings import CHECKS, SEVERITIES

    if options.fail_on is None:
        return {"error", "warning"} if options.strict else {"error"}
    if options.strict:
        raise MisuseError("--strict and --fail-on both say what fails. Give one of them.")
    wanted = {word.strip() for word in options.fail_on.split(",") if word.strip()}
    unknown = sorted(wanted - {*SEVERITIES, *CHECKS})
    if unknown or not wanted:
        what = f'"{unknown[0]}" is no severity and no check' if unknown else "names nothing"
        raise MisuseError(f"--fail-on {options.fail_on}: {what}; there are: {', '.join((*SEVERITIES, *CHECKS))}. Correct the list.")
    return wanted


def _refuse_misuse(options: argparse.Namespace) -> None:
    for name in ("jobs", "limit"):
        number = getattr(options, name)
        if number is not None and number < 1:
            raise MisuseError(f"--{name} {number}: must be 1 or more.")
    if options.jobs is not None and not options.audio:
        raise MisuseError("--jobs: only --audio uses several processes. Add --audio or leave it out.")
    if not (options.model or options.adapter):
        given = [name for name in ("revision", "language", "device", "limit") if getattr(options, name) is not None]
        if given:
            raise MisuseError(f"--{given[0]}: only a model uses it. Add --model BASE, such as openai/whisper-tiny.en.")
    if options.out is not None and options.out.suffix not in (".jsonl", ".csv"):
        raise MisuseError(f'--out {options.out}: ends in "{options.out.suffix}", must end in .jsonl or .csv. Change the name.')
    if options.out is not None and options.out.resolve() in {path.resolve() for path in options.manifests}:
        raise MisuseError(f"--out {options.out}: is a manifest that is checked, and would be lost. Choose another name.")
    repeated = [path for path, count in Counter(path.resolve() for path in options.manifests).items() if count > 1]
    if repeated:
        raise MisuseError(f"{repeated[0]}: given twice. Give each manifest once.")


def _names(paths: Sequence[Path]) -> list[str]:
    """The stem of each path (its whole name where stems repeat in one folder), with as many of its folders as it takes to tell it from the others."""
    places = [path.absolute() for path in paths]  # links are not followed: two of one name may lead into one folder
    alike = len({place.with_suffix("") for place in places}) < len(places)
    depth = 0
    names: list[str] = []
    while len(set(names)) < len(places):
        depth += 1
        names = ["/".join((*place.parts[-depth:-1], place.name if alike else place.stem)) for place in places]
    return names


def _hear(options: argparse.Namespace, manifests: "Sequence[Manifest]") -> "list[TranscriptCheck]":
    from speechadapt.adapt.adapter import load_adapter, read_adapter
    from speechadapt.models.load import load_model
    from speechadapt.transcript_check import check_with_model

    facts = read_adapter(options.adapter) if options.adapter else None
    base, language = options.model or (facts.base_id if facts else ""), options.language or (facts.language if facts else None)
    model = load_model(base, revision=options.revision, language=language, device=options.device)
    if facts:
        load_adapter(model, facts.folder)
    return [check_with_model(model, manifest, limit=options.limit) for manifest in manifests]


def _print(options: argparse.Namespace, manifests: "Sequence[Manifest]", findings: "Sequence[Finding]", heard: "Sequence[TranscriptCheck]") -> None:
    from speechadapt.data.findings import SEVERITIES

    counts = Counter(finding.severity for finding in findings)
    if options.json:
        summary = [
            {"manifest": str(path), "name": m.name, "utterances": len(m), "hours": round(m.hours, 4)}
            for path, m in zip(options.manifests, manifests, strict=True)
        ]
        told = {"manifests": summary, "errors": counts["error"], "warnings": counts["warning"], "notes": counts["note"]}
        told |= {"models": [one.to_json() for one in heard], "findings": [finding.to_json() for finding in findings]}
        _say(json.dumps(told, ensure_ascii=False, indent=2))
        return
    for path, manifest in zip(options.manifests, manifests, strict=True):
        _say(f"{path}: {len(manifest)} utterances, {manifest.hours:.2f} h, {len(manifest.speakers) or 'unknown'} speakers")
    for one in heard:
        if one.median is not None:
            _say(f"{one.manifest}: {one.rows} rows decoded by {one.model}, median character error rate {one.median:.1%} ({one.normalizer})")
    for finding in findings:
        _say(f"{finding.severity}: {finding.check}: {finding.message}")
    _say(", ".join(_count(counts[severity], severity) for severity in SEVERITIES if counts[severity]) or "nothing is wrong")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _say(text: str) -> None:
    """Print what may hold letters that no encoding has: halves of surrogate pairs come out as question marks."""
    print(text.encode("utf-8", "replace").decode("utf-8"))
