"""Export: an adapter merged into its base and written for another runtime, proven there, and only then put in its place."""

import dataclasses
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speechadapt.data.manifest import Manifest
from speechadapt.errors import ExportError, MissingExtraError, MisuseError, SpeechadaptError
from speechadapt.export.card import export_card
from speechadapt.export.clips import Clips, choose_clips
from speechadapt.export.ctranslate2_folder import write_ctranslate2
from speechadapt.export.ggml_file import GGML_FILE, write_ggml
from speechadapt.export.merged_folder import check_side_files, folder_bytes, write_merged
from speechadapt.export.onnx_folder import quantize, write_graphs
from speechadapt.export.proof import EXACT, ROUNDED, Proof, Tolerance, prove_texts, timed
from speechadapt.export.runtimes import CTC_DECODE, DECODE, Runtime, open_runtime, source_text
from speechadapt.export.source import Source, find_adapter, load_source
from speechadapt.files import atomic_folder, read_json, sha256_of, write_json
from speechadapt.models.ctc import CTCModel
from speechadapt.models.speech_model import SpeechModel
from speechadapt.models.whisper import WhisperModel
from speechadapt.provenance import gather, package_version

PROOF_FILE = "proof.json"
"""Its presence, with our mark inside, is what makes a folder an export that --force may replace."""
MARK = "speechadapt export"
CARD_FILE = "README.md"
QUANTIZATIONS: dict[str, tuple[str, ...]] = {
    "merged": ("float32", "float16"),
    "ctranslate2": ("int8", "int8_float32", "int8_float16", "int16", "float16", "bfloat16", "float32"),
    "onnx": ("float32", "int8"),
    "ggml": ("float16",),
}
"""Per target, the default first."""
NEEDS = {"ctranslate2": ("faster-whisper", "faster-whisper"), "onnx": ("onnx", "onnx"), "ggml": ("pywhispercpp", "ggml")}
"""The package that a target cannot do without, and the extra that brings it."""
SIDE_FILES = {
    "whisper": ("config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"),
    "ctc": ("config.json", "preprocessor_config.json", "vocab.json", "tokenizer_config.json"),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An export that was proven: its folder, what it is, its size in bytes, and the proof."""

    folder: Path
    target: str
    quantization: str
    size: int
    proof: Proof

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        row = {"folder": str(self.folder), "target": self.target, "quantization": self.quantization, "bytes": self.size}
        return row | {"proof": self.proof.to_json()}


def silent(message: str) -> None:
    """Says nothing."""


def export_adapter(
    given: Path,
    out: Path,
    *,
    target: str,
    quantization: str | None = None,
    base: str | None = None,
    clips: Path | None = None,
    limit: int = 100,
    force: bool = False,
    say: Callable[[str], None] = silent,
) -> Export:
    """Merge, write, prove, and put in place.

    Args:
        given: a run or adapter folder.
        out: the folder to be made; next to it, `OUT.failed` is left where the proof fails.
        target: merged, ctranslate2, onnx or ggml.
        quantization: of the weights; None takes the target's first in `QUANTIZATIONS`.
        base: where the base lies; None takes the id that the adapter names.
        clips: a manifest to prove it with; None takes the run's test set where it is found, else synthetic sentences.
        limit: most clips.
        force: replace an earlier export at `out`; nothing else is ever replaced.
        say: told of each step.

    Raises:
        MisuseError: an unknown target or quantization, a target that the family has none of, or `out` is taken.
        MissingExtraError: a package that the target needs is not installed.
        ManifestError, AudioError: `clips` cannot be read.
        AdapterError, ModelError: there is no such adapter or base, or they do not belong together.
        ExportError: the proof failed; the message shows the first clip that differs.
    """
    quantization = check_target(target, quantization)
    adapter, run = find_adapter(given)
    place = check_place(out, adapter, run, force=force)
    if limit < 1:
        raise MisuseError(f"--limit {limit}: must be 1 or more. Correct the number.")
    if clips is not None:
        Manifest.read(clips)  # what is wrong with it is told before a model is loaded
    source = load_source(given, base=base)
    _check_family(source.model, target)
    chosen = choose_clips(source, manifest=clips, limit=limit)
    say(f"clips: {chosen.told}")
    with atomic_folder(place) as temporary:
        say(f"writing {target} ({quantization})")
        _write(source, target, quantization, temporary)
        runtime = open_runtime(target, temporary, source.model, quantization)
        say(f"proving: {len(chosen.clips)} clips by the source and by {runtime.told}")
        proof = _prove(source, chosen, runtime, tolerance_of(target, quantization))
        multilingual = isinstance(source.model, WhisperModel) and source.model.multilingual
        card = export_card(source.adapter, target, quantization, proof, multilingual=multilingual, run=source.run)
        size = folder_bytes(temporary)
        write_json(temporary / PROOF_FILE, _record(source, target, quantization, proof, temporary))
        (temporary / CARD_FILE).write_text(card, encoding="utf-8")
        if not proof.passed:
            raise ExportError(f"{place}: the export was not proven. {' '.join(f'{one}.' for one in proof.failures)} {_keep_failed(temporary, place)}")
        check_place(place, adapter, run, force=force)  # a proof takes long, and somebody may have put something there
    failed = _failed(place)
    if failed.is_dir() and is_export(failed):  # an earlier try
        shutil.rmtree(failed)
    return Export(folder=place, target=target, quantization=quantization, size=size, proof=proof)


def check_target(target: str, quantization: str | None) -> str:
    """The quantization wanted; everything that can be said before a model is loaded.

    Raises:
        MisuseError: there is no such target or quantization.
        MissingExtraError: what the target needs is not installed.
    """
    if target not in QUANTIZATIONS:
        raise MisuseError(f'--to "{target}": must be one of {", ".join(QUANTIZATIONS)}. Correct it.')
    known = QUANTIZATIONS[target]
    if quantization is not None and quantization not in known:
        raise MisuseError(f'--quantization "{quantization}": {target} has {", ".join(known)}. Choose one of them.')
    for package, extra in (NEEDS[target],) if target in NEEDS else ():
        if package_version(package) is None:
            raise MissingExtraError(package, extra)
    return quantization or known[0]


def tolerance_of(target: str, quantization: str) -> Tolerance:
    """Identical text where the numbers are the source's own, a bound on WER where weights are rounded or the program differs."""
    return EXACT if target in ("merged", "onnx") and quantization == "float32" else ROUNDED


def check_place(out: Path, adapter: Path, run: Path | None, *, force: bool) -> Path:
    """The real place of an export, links followed.

    Raises:
        MisuseError: something is there that is not replaced, or it lies inside an adapter or a model.
    """
    real = Path(out).expanduser().resolve()
    own = [adapter.resolve(), *([run.resolve()] if run is not None else [])]
    if any(real == one or one.is_relative_to(real) for one in own):
        raise MisuseError(f"{out}: is or holds the adapter itself, which is never overwritten. Give another folder.")
    for parent in real.parents:
        if (parent / "adapter_config.json").is_file() or _is_model(parent):
            raise MisuseError(f"{out}: lies inside {parent}, which is an adapter or a model. Give a folder outside of it.")
    if not real.exists():
        return real
    if real.is_dir() and not any(real.iterdir()):
        return real
    what = _what_is_there(real)
    if what is not None:
        raise MisuseError(f"{out}: {what} is there, which is never overwritten, not by --force either. Give another folder.")
    if not force:
        raise MisuseError(f"{out}: exists already, an earlier export. Give another folder, or replace it by --force.")
    return real


def _what_is_there(place: Path) -> str | None:
    """What stands at a place; None for an earlier export."""
    if not place.is_dir():
        return "a file"
    if (place / "adapter_config.json").is_file():
        return "an adapter"
    if is_export(place):
        return _foreign_files(place)
    if (place / "settings.json").is_file() or (place / "adapter").is_dir():
        return "a run"
    return "a model" if _is_model(place) else "a folder that is no export"


def _foreign_files(export: Path) -> str | None:
    """What somebody put into an export; None where all of it was made here."""
    record = read_json(export / PROOF_FILE)
    listed = record.get("files")
    own = {PROOF_FILE, CARD_FILE, *(listed if isinstance(listed, dict) else ())}
    found = sorted(path.relative_to(export).as_posix() for path in export.rglob("*") if not path.is_dir())
    others = [name for name in found if name not in own]
    return f"an export with files that are not of it ({', '.join(others[:3])})" if others else None


def _is_model(folder: Path) -> bool:
    """Whether weights lie in a folder, and what they are for."""
    weights = (".safetensors", ".bin", ".onnx", ".pt")
    return (folder / "config.json").is_file() and any(path.suffix in weights for path in folder.iterdir())


def is_export(folder: Path) -> bool:
    """Whether a folder was made here."""
    try:
        value = read_json(folder / PROOF_FILE)
    except SpeechadaptError:
        return False
    return isinstance(value, dict) and value.get("made_by") == MARK


def _check_family(model: SpeechModel, target: str) -> None:
    if model.family != "whisper" and target in ("ctranslate2", "ggml"):
        program = {"ctranslate2": "faster-whisper runs", "ggml": "whisper.cpp runs"}[target]
        raise MisuseError(f"--to {target}: {model.base.id} is a CTC model, and {program} Whisper alone. Export it --to onnx or --to merged.")
    if isinstance(model, CTCModel) and model.vocabulary is None:
        raise ExportError(f"{model.base.id} has no output layer, so there is nothing to export that writes. Train an adapter with a vocabulary.")


def _write(source: Source, target: str, quantization: str, out: Path) -> None:
    model = source.model
    if target == "merged":
        write_merged(source, out, quantization=quantization)
        check_side_files(out, SIDE_FILES[model.family])
        return
    if target == "ggml":
        if isinstance(model, WhisperModel):
            write_ggml(model, out / GGML_FILE)
        return
    # beside the place, so that a full disk is met there and not in a small folder for temporary files
    with tempfile.TemporaryDirectory(prefix=".merged.", dir=out.parent) as folder:
        merged = Path(folder)
        write_merged(source, merged)
        check_side_files(merged, SIDE_FILES[model.family])
        if target == "ctranslate2":
            write_ctranslate2(merged, out, quantization=quantization)
            check_side_files(out, ("tokenizer.json", "preprocessor_config.json", "config.json"))
            return
        for path in merged.iterdir():
            if path.suffix in (".json", ".txt"):
                shutil.copyfile(path, out / path.name)
    network = model.whisper if isinstance(model, WhisperModel) else model.ctc if isinstance(model, CTCModel) else None
    write_graphs(network, out)
    if quantization == "int8":
        quantize(out)


def _prove(source: Source, clips: Clips, runtime: Runtime, tolerance: Tolerance) -> Proof:
    waveforms = [clip.waveform for clip in clips.clips]
    mine, seconds = timed(lambda given: [source_text(source.model, waveform) for waveform in given], waveforms)
    try:
        theirs, others = timed(runtime.transcribe, waveforms)
        short = None if runtime.unpadded is None else runtime.unpadded(waveforms)
    except SpeechadaptError:
        raise
    except Exception as error:  # of the program that runs it; a defect of the export as far as a user can tell
        raise ExportError(f"the export could not be run by {runtime.told} ({(str(error).splitlines() or [''])[0][:300]}).") from error
    return prove_texts(clips, mine, theirs, tolerance=tolerance, seconds=(seconds, others), runtime=runtime.told, unpadded=short)


def _record(source: Source, target: str, quantization: str, proof: Proof, folder: Path) -> dict[str, Any]:
    adapter = source.adapter
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        "made_by": MARK,
        "target": target,
        "quantization": quantization,
        **proof.to_json(),
        "decode": CTC_DECODE if adapter.family == "ctc" else DECODE,
        "source": {
            "adapter_sha256": adapter.weights_sha256,
            "base": adapter.base_id,
            "base_revision": adapter.base_revision,
            "family": adapter.family,
            "language": adapter.language,
            "task": adapter.task,
        },
        "files": {name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)} for name, path in files.items()},
        "provenance": {key: value for key, value in gather().items() if key not in ("command", "machine")},
    }


def _failed(out: Path) -> Path:
    return out.with_name(f"{out.name}.failed")


def _keep_failed(temporary: Path, out: Path) -> str:
    """Put what failed beside, for a look; only an earlier one of ours is replaced."""
    failed = _failed(out)
    if failed.exists() and not (failed.is_dir() and is_export(failed)):
        return f"It was removed, because {failed} is taken by something else."
    if failed.exists():
        shutil.rmtree(failed)
    shutil.move(temporary, failed)
    return f"It lies in {failed} for a look, with {PROOF_FILE}; do not ship it."
