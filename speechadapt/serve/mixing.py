"""Weighted mixes of adapters: a new adapter, a plain PEFT folder of its own, that says which adapters it was made of.

With updates s_i B_i A_i and weights w_i, `cat` is their exact weighted sum (its rank is the sum of the ranks), `svd` is the best approximation of
that sum at a given rank (Eckart and Young 1936), and `linear` averages the matrices themselves, which keeps the rank and is not the sum (its
cross terms are what PEFT's `add_weighted_adapter` of that name has too).
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from speechadapt.adapt.adapter import FACTS_FILE, WEIGHTS_FILE, AdapterRef, check_side_files, read_adapter
from speechadapt.adapt.many import PREFIX, AdapterMatrices, read_matrices
from speechadapt.errors import AdapterError, MisuseError
from speechadapt.files import atomic_folder, read_object, sha256_of, write_json, write_text

HOWS = ("cat", "svd", "linear")
MOST_RANK = 1024
"""What an `AdapterSpec` may have."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One parent of a mix: its folder and its weight; negative weights take away what it learned."""

    folder: Path
    weight: float


def mix_adapters(parts: Sequence[Part], out: Path, *, how: str = "cat", rank: int | None = None) -> AdapterRef:
    """Write a weighted mix of LoRA adapters of one base as a new adapter.

    Args:
        parts: two or more adapters that speechadapt made, or one to be scaled; lora and rslora, in any ranks and targets.
        out: a new folder.
        how: `cat`, `svd` or `linear`.
        rank: of `svd`; None takes the parents' largest.

    Returns:
        The new adapter's facts, with the parents in `mixed_from`. `PeftModel.from_pretrained` reads the folder alone.

    Raises:
        AdapterError: a parent is broken, of another base, language or task, or no LoRA that can be mixed (DoRA, an output layer of its own).
        MisuseError: no parent, one twice, weights that are not numbers, a `how` or rank that cannot be meant, or `out` exists.
    """
    out = Path(out)
    _check(parts, out, how, rank)
    refs = [read_adapter(part.folder) for part in parts]
    _must_match(refs)
    for ref in refs:
        check_side_files(ref)
    matrices = [read_matrices(ref) for ref in refs]
    weights = [float(part.weight) for part in parts]
    mixed = _mixed(matrices, weights, how, rank, refs)
    found = max(len(a) for a, _ in mixed.values())
    if found > MOST_RANK:
        raise MisuseError(f'how is "cat", which makes rank {found}, must be at most {MOST_RANK}. Use how="svd" with a rank.')
    tensors = {}
    for name, (a, b) in mixed.items():  # every layer at one rank, as PEFT's configuration states it; zeros add nothing
        tensors[f"{PREFIX}{name}.lora_A.weight"] = torch.nn.functional.pad(a, (0, 0, 0, found - len(a))).contiguous()
        tensors[f"{PREFIX}{name}.lora_B.weight"] = torch.nn.functional.pad(b, (0, found - len(a))).contiguous()
    config = _config(refs, sorted(mixed), found)
    parents = tuple(
        {
            "name": ref.folder.name if ref.folder.name != "adapter" else f"{ref.folder.resolve().parent.name}/adapter",
            "weight": weight,
            "how": how,
            "weights_sha256": ref.weights_sha256,
            "train_fingerprint": ref.train_fingerprint,
            "accent": ref.accent,
        }
        for ref, weight in zip(refs, weights, strict=True)
    )
    first = refs[0]
    trainable = sum(tensor.numel() for tensor in tensors.values())
    accents = sorted({accent for ref in refs for accent in (ref.accent or "").split(", ") if accent})
    with atomic_folder(out) as temporary:
        save_file(tensors, temporary / WEIGHTS_FILE, metadata={"format": "pt"})
        write_json(temporary / "adapter_config.json", config)
        made = dataclasses.replace(
            first,
            folder=out,
            spec=dataclasses.replace(first.spec, method="lora", rank=found, alpha=float(found), dropout=0.0),
            accent=", ".join(accents) or None,
            train_fingerprint=hashlib.sha256(json.dumps(parents, sort_keys=True).encode()).hexdigest(),
            weights_sha256=sha256_of(temporary / WEIGHTS_FILE),
            trainable=trainable,
            total=first.total - first.trainable + trainable,
            side_files={"adapter_config.json": sha256_of(temporary / "adapter_config.json")},
            mixed_from=parents,
        )
        write_json(temporary / FACTS_FILE, made.to_json())
        write_text(temporary / "README.md", _card(made))
    return made


def _check(parts: Sequence[Part], out: Path, how: str, rank: int | None) -> None:
    if not parts:
        raise MisuseError("no adapter to mix was given. Name two or more, each with a weight.")
    folders = [part.folder.resolve() for part in parts]
    twice = next((part.folder for part, folder in zip(parts, folders, strict=True) if folders.count(folder) > 1), None)
    if twice is not None:
        raise MisuseError(f"{twice} is named twice. Name each adapter once, with its whole weight.")
    odd = next((part for part in parts if not math.isfinite(part.weight) or part.weight == 0 or abs(part.weight) > 100), None)
    if odd is not None:
        raise MisuseError(f"the weight of {odd.folder} is {odd.weight}, must be from -100 to 100 and not 0. Correct it.")
    if how not in HOWS:
        raise MisuseError(f'how is "{how}", must be one of: {", ".join(HOWS)}. Correct it.')
    if rank is not None and how != "svd":
        raise MisuseError(f'rank is {rank}, but how is "{how}", which decides the rank itself. Leave it out, or use how="svd".')
    if rank is not None and not 1 <= rank <= MOST_RANK:
        raise MisuseError(f"rank is {rank}, must be from 1 to {MOST_RANK}. Correct it.")
    if out.exists():
        raise MisuseError(f"{out}: exists already. Choose a new folder, so that no adapter is overwritten.")


def _must_match(refs: Sequence[AdapterRef]) -> None:
    first = refs[0]
    for ref in refs:
        if ref.base_fingerprint != first.base_fingerprint or ref.family != first.family:
            raise AdapterError(
                f"{ref.folder}: was trained on {ref.base_id} (fingerprint {ref.base_fingerprint[:12]}), {first.folder} on {first.base_id} "
                f"(fingerprint {first.base_fingerprint[:12]}). Mix adapters of one base."
            )
        if (ref.language, ref.task) != (first.language, first.task):
            raise AdapterError(
                f"{ref.folder}: was trained for {ref.language}, {ref.task}; {first.folder} for {first.language}, {first.task}. "
                "Mix adapters of one language and task."
            )
        if ref.head != "kept" or ref.spec.method not in ("lora", "rslora"):
            what = f"the method {ref.spec.method}" if ref.head == "kept" else f"an output layer of its own ({ref.head})"
            raise AdapterError(f"{ref.folder}: has {what}, which cannot be mixed. Mix adapters of the methods lora and rslora that kept the base's.")


def _mixed(
    matrices: Sequence[Mapping[str, AdapterMatrices]], weights: Sequence[float], how: str, rank: int | None, refs: Sequence[AdapterRef]
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Name of each layer to A, shape (rank, inputs), and B, shape (outputs, rank), whose product is the update."""
    found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    wanted = rank or max(len(one.a) for parent in matrices for one in parent.values())
    for name in sorted({name for parent in matrices for name in parent}):
        have = [(parent[name], weight) for parent, weight in zip(matrices, weights, strict=True) if name in parent]
        shapes = {(one.a.shape[1], one.b.shape[0]) for one, _ in have}
        if len(shapes) > 1:
            raise AdapterError(f"{name}: the adapters have matrices of different sizes for it, so they are not of one base.")
        if how == "linear":
            ranks = {len(one.a) for one, _ in have}
            if len(ranks) > 1:
                told = ", ".join(f"{ref.folder} {ref.spec.rank}" for ref in refs)
                raise MisuseError(f'how is "linear", which needs adapters of one rank; they have: {told}. Use how="cat" or how="svd".')
            roots = [math.sqrt(abs(weight * one.scale)) for one, weight in have]
            signs = [math.copysign(1.0, weight) for _, weight in have]
            found[name] = (
                torch.stack([one.a * root for (one, _), root in zip(have, roots, strict=True)]).sum(dim=0),
                torch.stack([one.b * (root * sign) for (one, _), root, sign in zip(have, roots, signs, strict=True)]).sum(dim=0),
            )
            continue
        a = torch.cat([one.a for one, _ in have])
        b = torch.cat([one.b * (one.scale * weight) for one, weight in have], dim=1)
        found[name] = (a, b) if how == "cat" else _truncated(a, b, wanted)
    return found


def _truncated(a: torch.Tensor, b: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The best approximation of B A at a rank, without forming the large product: from the small one of its factors' triangles."""
    left, upper = torch.linalg.qr(b.double())
    right, lower = torch.linalg.qr(a.double().T)
    u, values, v = torch.linalg.svd(upper @ lower.T, full_matrices=False)
    roots = values[:rank].sqrt()
    return (roots[:, None] * (v[:rank] @ right.T)).float(), (left @ u[:, :rank] * roots).float()


def _config(refs: Sequence[AdapterRef], layers: Sequence[str], rank: int) -> dict[str, Any]:
    """The first parent's, with the mix's own rank; where the parents aim at different layers, all of them by their whole names."""
    configs = [read_object(ref.folder / "adapter_config.json") for ref in refs]
    targets = [sorted(target) if isinstance(target := config.get("target_modules"), list) else target for config in configs]
    own: Any = targets[0] if all(target == targets[0] for target in targets) else list(layers)
    scale = {"r": rank, "lora_alpha": rank, "lora_dropout": 0.0, "rank_pattern": {}, "alpha_pattern": {}, "use_rslora": False}
    return configs[0] | scale | {"target_modules": own, "inference_mode": True}


def _card(made: AdapterRef) -> str:
    rows = "\n".join(f"| {one['name']} | {one['weight']:g} | {one['accent'] or ''} | `{one['weights_sha256'][:16]}` |" for one in made.mixed_from)
    how = made.mixed_from[0]["how"]
    base = json.dumps(made.base_id)  # quoted: a folder's name may hold what YAML reads as something else
    return f"""---
base_model: {base}
library_name: peft
tags: [automatic-speech-recognition, lora, speechadapt]
---

# A mix of adapters

For {made.base_id}, made by `speechadapt mix` (how: {how}, rank {made.spec.rank}) from:

| adapter | weight | accent | sha256 of its weights |
|---|---|---|---|
{rows}

A mix was not trained and is not scored by its parents' scores: score it on a test set of each accent before it is used.
"""
