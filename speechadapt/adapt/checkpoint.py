"""Checkpoints: everything an interrupted run needs to go on to the very same adapter. safetensors and JSON, no pickle.

A step's randomness depends on the seed and the step number alone (see train.py), so no generator states are kept.
"""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from speechadapt.errors import TrainingError
from speechadapt.files import atomic_folder, read_json, write_json

PREFIX = "step-"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run had come.

    Attributes:
        step: optimizer steps done.
        best_step, best_score: of the checkpoint with the lowest dev score, None before the first score.
        run: what identifies the run (settings, spec, base, manifest); a checkpoint of another run is refused.
        scores: (step, score) of every evaluation so far.
        infinite: utterance ids to how often their loss was infinite so far.
    """

    step: int
    best_step: int | None
    best_score: float | None
    run: dict[str, Any]
    scores: tuple[tuple[int, float], ...] = ()
    infinite: dict[str, int] = dataclasses.field(default_factory=dict)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return Path(folder) / f"{PREFIX}{step:07d}"


def trainable(network: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def save_checkpoint(
    folder: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, average: dict[str, torch.Tensor]
) -> Path:
    """Write one checkpoint in one step, then remove those that are neither the newest nor the best.

    Args:
        network: holds the weights that training goes on from.
        average: the weights that ship, by parameter name.

    Raises:
        SpeechadaptError: the disk is full; earlier checkpoints are untouched.
    """
    path = checkpoint_path(folder, progress.step)
    parameters = trainable(network)
    with atomic_folder(path) as temporary:
        save_file({name: weight.detach().cpu().contiguous() for name, weight in average.items()}, temporary / "adapter.safetensors")
        moments = {f"{name}|weight": parameter.detach().cpu().contiguous() for name, parameter in parameters.items()}
        moments |= {
            f"{name}|{key}": value.detach().cpu().contiguous()
            for name, parameter in parameters.items()
            for key, value in optimizer.state[parameter].items()
        }
        save_file(moments, temporary / "optimizer.safetensors")
        write_json(temporary / "progress.json", dataclasses.asdict(progress))
    for old in sorted(Path(folder).glob(f"{PREFIX}*")):
        if old.name not in {path.name, checkpoint_path(folder, progress.best_step or progress.step).name}:
            shutil.rmtree(old)
    return path


def newest_checkpoint(folder: Path) -> Path | None:
    """The last complete checkpoint, or None."""
    found = sorted(path for path in Path(folder).glob(f"{PREFIX}*") if (path / "progress.json").is_file())
    return found[-1] if found else None


def read_progress(path: Path) -> Progress:
    """The progress a checkpoint records."""
    row = read_json(path / "progress.json")
    return Progress(**(row | {"scores": tuple((int(step), float(score)) for step, score in row["scores"])}))


def load_checkpoint(path: Path, network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Put the weights that ship into the network.

    Returns:
        The same weights by name.

    Raises:
        TrainingError: the checkpoint's adapter has other parameters than the network.
    """
    saved = load_file(path / "adapter.safetensors")
    parameters = trainable(network)
    if saved.keys() != parameters.keys() or any(saved[name].shape != parameter.shape for name, parameter in parameters.items()):
        raise TrainingError(f"{path}: holds an adapter of another shape ({len(saved)} matrices, expected {len(parameters)}). Start in a new folder.")
    put(parameters, saved)
    return saved


def resume_checkpoint(path: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Put the weights that training goes on from, and the optimizer's state, back.

    Returns:
        The average so far, by name.

    Raises:
        TrainingError: as `load_checkpoint`.
    """
    average = {name: weight.to(next(network.parameters()).device) for name, weight in load_checkpoint(path, network).items()}
    parameters = trainable(network)
    for key, value in load_file(path / "optimizer.safetensors").items():
        name, field = key.split("|")
        if field == "weight":
            put({name: parameters[name]}, {name: value})
        else:
            # AdamW keeps its step counter on the CPU
            optimizer.state[parameters[name]][field] = value if field == "step" else value.to(parameters[name].device)
    return average


def put(parameters: dict[str, torch.nn.Parameter], weights: dict[str, torch.Tensor]) -> None:
    """Copy weights into parameters of the same names."""
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
