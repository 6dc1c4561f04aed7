"""Where a result comes from: versions, machine, command and code, gathered once and written beside every report."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("speechadapt", "torch", "torchaudio", "transformers", "peft", "accelerate", "soundfile", "soxr", "jiwer", "numpy")


def package_version(name: str) -> str | None:
    """The installed version of a distribution, or None; asks the metadata, so nothing is imported."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def code_revision() -> str | None:
    """The git commit of this package's checkout (with `+changes` if the work tree differs), or None when installed from a wheel."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
        changed = subprocess.run(
            ["git", "--no-optional-locks", "-C", root, "status", "--porcelain"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip() + ("+changes" if changed.stdout.strip() else "")


def gather() -> dict[str, Any]:
    """Versions, code revision, command line, machine and time (UTC), as plain JSON values."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "code": code_revision(),
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "machine": {"system": platform.platform(), "processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
    }
