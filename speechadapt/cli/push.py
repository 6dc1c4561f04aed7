"""`speechadapt push`: an adapter or an export to the Hugging Face Hub."""

import argparse
import json
import sys
from pathlib import Path

EXAMPLE = """
speechadapt push runs/quickstart me/whisper-tiny.en-mandarin --dry-run
speechadapt push runs/quickstart me/whisper-tiny.en-mandarin --private
speechadapt push exports/quickstart me/whisper-tiny.en-mandarin-ct2 --token-env MY_TOKEN
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define what may follow `speechadapt push`."""
    parser.add_argument("source", metavar="RUN|ADAPTER|EXPORT", type=Path, help="a run (its adapter goes), an adapter folder, or an export")
    parser.add_argument("repository", metavar="REPO", help="OWNER/NAME on the Hub; made where there is none")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--dry-run", action="store_true", help="only list what would be uploaded, and to where")
    parser.add_argument("--revision", metavar="BRANCH", help="a branch, made where there is none (default: main)")
    parser.add_argument("--token-env", metavar="NAME", default="HF_TOKEN", help="the variable with a token that may write (default: HF_TOKEN)")
    parser.add_argument("--json", action="store_true", help="print what was uploaded as JSON")


def execute(options: argparse.Namespace) -> int:
    """Upload, or tell what would be uploaded."""
    from speechadapt.export.push import push_folder

    done = push_folder(
        options.source,
        options.repository,
        private=options.private,
        dry_run=options.dry_run,
        revision=options.revision,
        token_variable=options.token_env,
        say=lambda message: print(message, file=sys.stderr, flush=True),
    )
    if options.json:
        print(json.dumps(done.to_json(), ensure_ascii=False, indent=2))
        return 0
    state = {True: "is there", False: f"would be made, {'private' if done.private else 'public'}", None: "not asked"}[done.exists]
    if done.commit is None:
        print(f"would upload this {done.parcel.kind} to {done.endpoint}/{done.repository}, branch {done.revision} (repository: {state}):")
        for name, size in done.parcel.files.items():
            print(f"  {name}  {size:,} bytes")
        for name in done.kept:
            print(f"  (there and kept: {name})")
    else:
        print(f"uploaded {len(done.parcel.files)} files: {done.commit}")
    return 0
