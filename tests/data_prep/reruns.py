"""What every script must keep to when it runs again: nothing changes, and what was lost or broken in between comes back as it was."""

from collections.abc import Callable
from pathlib import Path

from speechadapt.preparation import PrepReport


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the report, which tells when and how it was made."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "prep_report.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def assert_reruns_change_nothing(prepare: Callable[[Path], PrepReport], out: Path) -> PrepReport:
    """Prepare into `out`, again, and once more after an interruption: one recording missing, one cut off, one manifest missing."""
    report = prepare(out)
    made = contents(out)
    assert prepare(out).kept == report.kept
    assert contents(out) == made
    audio = sorted((out / "audio").iterdir())
    audio[0].unlink()
    audio[-1].write_bytes(audio[-1].read_bytes()[:100])
    (out / report.manifests[0]).unlink()
    prepare(out)
    assert contents(out) == made
    return report
