"""`speechadapt convert`: a prepared corpus in the form another program reads."""

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from speechadapt.errors import MisuseError
from speechadapt.units import clock

if TYPE_CHECKING:
    from speechadapt.conversion import ConvertReport

EXAMPLE = """
speechadapt convert data/mine data/mine_hf --to audiofolder
speechadapt convert data/mine data/mine_parquet --to parquet --shard-size 500MB
speechadapt convert data/mine data/mine_kaldi --to kaldi --splits train,test
speechadapt convert data/mine/train.jsonl data/mine_lhotse --to lhotse --in-place
speechadapt convert data/mine data/mine_nemo --to nemo --link --json
"""
UNITS = {"": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("data", metavar="DATA", nargs="+", type=Path, help="a prepared folder, or manifests whose names tell their splits")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to make; an older output of convert is replaced")
    parser.add_argument("--to", required=True, help="audiofolder, parquet (extra: parquet), kaldi, lhotse or nemo")
    parser.add_argument("--splits", metavar="NAMES", help="only these, with commas between: train,dev,test or all (default: what there is)")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--copy", dest="audio", action="store_const", const="copy", help="copy the audio; Kaldi gets 16-bit WAV (default)")
    kept.add_argument("--link", dest="audio", action="store_const", const="link", help="hard links where nothing has to be cut: no room on the disk")
    kept.add_argument(
        "--in-place", dest="audio", action="store_const", const="in-place", help="point to the audio where it lies (kaldi, lhotse, nemo)"
    )
    parser.set_defaults(audio="copy")
    parser.add_argument("--relative", action="store_true", help="kaldi, lhotse: paths that start at OUT, so that it can be moved; run them there")
    parser.add_argument("--shard-size", default="500MB", metavar="SIZE", help="parquet: audio in one file, such as 500MB or 1GB (default 500MB)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def execute(options: argparse.Namespace) -> int:
    """Convert and print the report."""
    from speechadapt.conversion import ConvertOptions, convert_manifests

    wanted = ConvertOptions(
        to=options.to,
        splits=None if options.splits is None else tuple(name.strip() for name in options.splits.split(",") if name.strip()),
        audio=options.audio,
        relative=options.relative,
        shard_size=parse_size(options.shard_size),
    )
    report = convert_manifests(options.data, options.out, wanted)
    print(json.dumps(report.to_json(), ensure_ascii=False, indent=2) if options.json else render_report(report))
    return 0


def parse_size(text: str) -> int:
    """Bytes of `500MB`, `1.5 GB` or `2000000`.

    Raises:
        MisuseError: no size.
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)\s*(|[KMG]B)", text.strip().upper())
    if found is None:
        raise MisuseError(f'--shard-size "{text}": expected a number with KB, MB or GB, such as 500MB. Correct it.')
    return int(float(found[1]) * UNITS[found[2]])


def render_report(report: "ConvertReport") -> str:
    """The report for a person: what was written, what this form cannot say, what was changed, and the license."""
    from tabulate import tabulate

    rows = [[name, part["utterances"], clock(part["hours"] * 3600), part["speakers"] or "unknown"] for name, part in report.splits.items()]
    lines = [tabulate(rows, headers=["split", "utterances", "audio", "speakers"], tablefmt="simple"), ""]
    lines += [f"  not carried: {name} of {count} rows, for which {report.format} has no place" for name, count in report.not_carried.items()]
    lines += [f"  changed {count}: {what}" for what, count in report.repairs.items()]
    lines += [f"  {note}" for note in report.notes]
    for record in report.corpora:
        lines.append(f"license of {record.get('name')}: {record['license']}; commercial use: {record['commercial_use']}")
    lines.append(f"written to {report.out} in {clock(report.seconds)}")
    return "\n".join(lines)
