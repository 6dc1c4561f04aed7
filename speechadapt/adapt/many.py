"""Many adapters on one base at once: every row of a batch has its own low-rank matrices added, and the base's weights stay as they are.

The mathematics is LoRA's, y = W x + s B (A x), as in the batched kernels of multi-tenant servers (Punica, Chen et al. 2023; S-LoRA, Sheng
et al. 2023). Which form is fastest was measured (docs/decisions/0014): batched products over matrices gathered per row where rows differ,
and one product with W + s B A where a whole batch with enough positions has one adapter.
"""

import contextlib
import dataclasses
import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from peft.utils.other import get_pattern_key
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from speechadapt.adapt.adapter import WEIGHTS_FILE, AdapterRef
from speechadapt.errors import AdapterError, SpeechadaptError
from speechadapt.files import read_object

PREFIX = "base_model.model."
PARTS = {".lora_A.weight": "A", ".lora_B.weight": "B", ".lora_magnitude_vector": "magnitude", ".lora_magnitude_vector.weight": "magnitude"}
UNSUPPORTED = (
    "alora_invocation_tokens", "arrow_config", "layer_replication", "lora_bias", "target_parameters", "trainable_token_indices", "use_bdlora",
    "use_qalora", "fan_in_fan_out", "megatron_config", "velora_config", "kasa_config", "monteclora_config",
)  # fmt: skip
"""Fields of PEFT's configuration that, when set, mean another mathematics than ours."""
NAMES = re.compile(r"\^?[\w.]{1,200}")
MOST = 3.0
"""An adapter file larger than so many times its base is none: even one that carries every weight is about as large as the base."""
FUSED_POSITIONS = 256
"""From so many positions on, adding s B A into the matrix costs less than two more products with the input."""
KEPT_POSITIONS = 64
"""Per clip; up to here the gathered matrices are kept for the next step, because gathering them costs more than the product."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LowRank:
    """What an adapter adds to one linear layer.

    Attributes:
        a: float32, shape (rank, inputs).
        b: float32, shape (rank, outputs): B transposed, scaled, and with the gain multiplied in.
        gain: of the base's own product per output, float32, shape (outputs,) (DoRA); None is 1.
    """

    a: torch.Tensor
    b: torch.Tensor
    gain: torch.Tensor | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdapterMatrices:
    """What an adapter adds to one linear layer as its file has it: the update is `scale * b @ a`.

    Attributes:
        a: float32, shape (rank, inputs).
        b: float32, shape (outputs, rank).
        scale: alpha / rank, or alpha / sqrt(rank) (rslora).
        magnitude: per output, float32, shape (outputs,) (DoRA); else None.
    """

    a: torch.Tensor
    b: torch.Tensor
    scale: float
    magnitude: torch.Tensor | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdapterWeights:
    """An adapter in memory, without a wrapper around any layer.

    Attributes:
        layers: name of a linear layer of the base to what is added to it.
        whole: name of a weight of the base to what takes its place: the output layer of a CTC adapter, or everything (method `full`).
    """

    layers: Mapping[str, LowRank]
    whole: Mapping[str, torch.Tensor]

    @property
    def nbytes(self) -> int:
        """Bytes of all its tensors."""
        return sum(tensor.nbytes for layer in self.layers.values() for tensor in (layer.a, layer.b, layer.gain) if tensor is not None) + sum(
            tensor.nbytes for tensor in self.whole.values()
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BaseWeights:
    """The weights of a bare network, not copied, as they are now, whatever stands in their place later.

    Attributes:
        state: every weight by its name.
        linear: names of the plain linear layers.
    """

    state: Mapping[str, torch.Tensor]
    linear: frozenset[str]


def base_weights(network: nn.Module) -> BaseWeights:
    """See `BaseWeights`."""
    return BaseWeights(state=network.state_dict(), linear=frozenset(linear_layers(network)))


def read_weights(ref: AdapterRef, base: BaseWeights) -> AdapterWeights:
    """Read an adapter's matrices for a base network without changing it; what PEFT reads, without PEFT's layers.

    Args:
        ref: from `read_adapter`; the file is hashed again as it is read, so that what was checked is what is used.
        base: that it is to fit.

    Raises:
        AdapterError: altered, not safetensors, of a kind that is not supported, or its names, ranks or shapes do not fit base and configuration.
    """
    path = ref.folder / WEIGHTS_FILE
    state = base.state
    pairs, others = _read_file(ref, most=round(MOST * sum(weight.nbytes for weight in state.values())) + (1 << 20))
    whole: dict[str, torch.Tensor] = {}
    for name, tensor in others.items():
        if name not in state or not (tensor.shape == state[name].shape or (ref.head != "kept" and name.startswith("lm_head."))):
            told = f"has shape {_shape(tensor)}, the base's has {_shape(state[name])}" if name in state else "the base has no such weight"
            raise AdapterError(f"{path}: {name}: {told}. It belongs to another model; load it on {ref.base_id}.")
        whole[name] = tensor.to(state[name].device, state[name].dtype)
    layers = {name: _low_rank(ref, path, name, pair, base) for name, pair in pairs.items()}
    return AdapterWeights(layers=layers, whole=whole)


def read_matrices(ref: AdapterRef) -> dict[str, AdapterMatrices]:
    """Read an adapter's matrices by the names of their layers, without a base to hold them against.

    Raises:
        AdapterError: altered, not safetensors, of a kind that is not supported, or holding more than pairs of matrices.
    """
    pairs, others = _read_file(ref, most=1 << 33)
    if others:
        raise AdapterError(f"{ref.folder / WEIGHTS_FILE}: holds {min(others)}, a whole weight. It is no adapter of matrices alone.")
    return pairs


def _read_file(ref: AdapterRef, *, most: int) -> tuple[dict[str, AdapterMatrices], dict[str, torch.Tensor]]:
    """Pairs of matrices by layer, and other tensors by name; at least one of either."""
    path = ref.folder / WEIGHTS_FILE
    config = _read_config(ref)
    found: dict[str, dict[str, torch.Tensor]] = {}
    others: dict[str, torch.Tensor] = {}
    for key, tensor in _read_tensors(ref, most).items():
        name = key.removeprefix(PREFIX)
        ending = next((ending for ending in PARTS if name.endswith(ending)), None)
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise AdapterError(f"{path}: {key} holds numbers that are not finite. Train the adapter again.")
        if ending is None:
            others[name] = tensor
        else:
            found.setdefault(name.removesuffix(ending), {})[PARTS[ending]] = tensor.float()
    if not found and not others:
        raise AdapterError(f"{path}: holds no matrices at all. Copy the adapter again.")
    return {name: _pair(path, name, found[name], config) for name in sorted(found)}, others


def _pair(path: Path, name: str, parts: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> AdapterMatrices:
    a, b = parts.get("A"), parts.get("B")
    if a is None or b is None:
        raise AdapterError(f"{path}: {name} has only one of its two matrices. Copy the adapter again.")
    ranks, alphas = config.get("rank_pattern") or {}, config.get("alpha_pattern") or {}
    rank = ranks.get(get_pattern_key(ranks.keys(), name), config["r"])
    alpha = alphas.get(get_pattern_key(alphas.keys(), name), config["lora_alpha"])
    if a.dim() != 2 or b.dim() != 2 or len(a) != rank or b.shape[1] != rank:
        raise AdapterError(
            f"{path}: {name}: A has shape {_shape(a)} and B {_shape(b)}, adapter_config.json says rank {rank}. Copy the adapter again."
        )
    if bool(config.get("use_dora")) != ("magnitude" in parts):
        raise AdapterError(f"{path}: {name}: use_dora is {config.get('use_dora')}, which its weights contradict. Copy the adapter again.")
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    return AdapterMatrices(a=a, b=b, scale=scale, magnitude=parts.get("magnitude"))


def linear_layers(network: nn.Module) -> dict[str, nn.Linear]:
    """The plain linear layers of a network by name."""
    return {name: module for name, module in network.named_modules() if type(module) is nn.Linear}


def _read_tensors(ref: AdapterRef, most: int) -> dict[str, torch.Tensor]:
    path = ref.folder / WEIGHTS_FILE
    try:
        size = path.stat().st_size
        if size > most:
            raise AdapterError(f"{path}: {size:,} bytes, an adapter of its base has at most {most:,}. It is none.")
        data = path.read_bytes()
    except OSError as error:
        raise AdapterError(f"{path}: could not be read ({error.strerror or error}). Copy the adapter again.") from error
    if hashlib.sha256(data).hexdigest() != ref.weights_sha256:
        raise AdapterError(f"{path}: changed since it was checked. Copy the adapter again.")
    try:
        return load(data)
    except (SafetensorError, ValueError, RuntimeError, KeyError) as error:
        raise AdapterError(f"{path}: not a safetensors file ({str(error).splitlines()[0]}). Pickled weights are never read.") from error


def _read_config(ref: AdapterRef) -> dict[str, Any]:
    path = ref.folder / "adapter_config.json"
    try:
        config = read_object(path)
    except SpeechadaptError as error:
        raise AdapterError(str(error)) from error
    if config.get("peft_type") != "LORA" or config.get("bias", "none") != "none":
        found = f"peft_type {config.get('peft_type')}, bias {config.get('bias')}"
        raise AdapterError(f"{path}: {found}; must be LORA without biases. Load it with PEFT itself.")
    odd = [name for name in UNSUPPORTED if config.get(name)]
    if odd:
        raise AdapterError(f"{path}: {odd[0]} is set, which is not supported here. Load it with PEFT itself.")
    patterns = [config.get(name) or {} for name in ("rank_pattern", "alpha_pattern")]
    numbers = [config.get("r"), config.get("lora_alpha"), *(value for pattern in patterns if isinstance(pattern, dict) for value in pattern.values())]
    if not all(isinstance(pattern, dict) for pattern in patterns) or not all(
        isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number) for number in numbers
    ):
        raise AdapterError(f"{path}: r, lora_alpha, rank_pattern or alpha_pattern is not what PEFT writes. Copy the adapter again.")
    if not isinstance(config["r"], int) or not all(isinstance(value, int) for value in patterns[0].values()) or min(numbers) <= 0:
        raise AdapterError(f"{path}: ranks must be whole numbers and all of r, lora_alpha and their patterns above 0. Copy the adapter again.")
    odd = [key for pattern in patterns for key in pattern if not NAMES.fullmatch(key)]
    if odd:  # PEFT takes them as regular expressions, which a stranger could make run for ever
        raise AdapterError(f'{path}: the pattern "{odd[0][:60]}" is more than a name. Write the layers out.')
    return config


def _low_rank(ref: AdapterRef, path: Path, name: str, pair: AdapterMatrices, base: BaseWeights) -> LowRank:
    if name not in base.linear:
        raise AdapterError(f"{path}: has matrices for {name}, which is no linear layer of the base. It belongs to another model; use {ref.base_id}.")
    weight, rank = base.state[f"{name}.weight"], len(pair.a)
    outputs, inputs = weight.shape
    if pair.a.shape[1] != inputs or pair.b.shape[0] != outputs:
        raise AdapterError(
            f"{path}: {name}: A has shape {_shape(pair.a)} and B {_shape(pair.b)}, must be {rank} x {inputs} and "
            f"{outputs} x {rank}. It belongs to another base; load it on {ref.base_id}."
        )
    device = weight.device
    a, scaled = pair.a.to(device), pair.b.to(device) * pair.scale
    if pair.magnitude is None:
        return LowRank(a=a, b=scaled.T.contiguous())
    magnitude = pair.magnitude.flatten().to(device)
    if len(magnitude) != outputs:
        raise AdapterError(f"{path}: {name}: its magnitude has {len(magnitude)} values, must have {outputs}. Copy the adapter again.")
    # the norm of every output's whole row, base and update together (Liu et al. 2024)
    gain = magnitude / torch.addmm(weight, scaled, a).norm(dim=1)
    return LowRank(a=a, b=(scaled * gain[:, None]).T.contiguous(), gain=gain)


def _shape(tensor: torch.Tensor) -> str:
    return " x ".join(map(str, tensor.shape))


class Mixer:
    """Lets the linear layers of a base network add to each row of a batch what its own adapter adds; one batch at a time.

    Outside `rows` the network computes what it did before, bit by bit.
    """

    def __init__(self, network: nn.Module) -> None:
        """Args:
        network: the base, bare; the forward of its linear layers is replaced for good.
        """
        self.network = network
        self._rows: _Rows | None = None
        for name, layer in linear_layers(network).items():
            layer.forward = _Carrier(self, name, layer)  # type: ignore[method-assign, assignment]

    @contextlib.contextmanager
    def rows(self, adapters: Sequence[AdapterWeights | None]) -> Iterator[None]:
        """Inside the block, row i of every batch has adapter `adapters[i]`, or none.

        Several neighboring rows of a layer's input may belong to one clip (the beams of a search). Adapters that replace weights of the
        base whole stand alone: all rows must have the same one.
        """
        first = adapters[0] if adapters else None
        with self._replaced(first.whole if first is not None else {}):
            self._rows = _Rows(adapters) if any(adapter is not None and adapter.layers for adapter in adapters) else None
            try:
                yield
            finally:
                self._rows = None

    def follow(self, clips: torch.Tensor) -> None:
        """From now on the rows are those of these clips of the batch only (int64, shape (clips,)); see `WhisperModel.follow`."""
        if self._rows is not None:
            self._rows.follow(clips)

    def forward(self, name: str, layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        """The forward of a linear layer, with what the rows' adapters add."""
        return F.linear(x, layer.weight, layer.bias) if self._rows is None else self._rows.forward(name, layer, x)

    @contextlib.contextmanager
    def _replaced(self, whole: Mapping[str, torch.Tensor]) -> Iterator[None]:
        """Weights of the base exchanged for others, without copying, and put back."""
        if not whole:
            yield
            return
        kept: list[tuple[nn.Module, str, torch.Tensor]] = []
        try:
            for name, tensor in whole.items():
                owner, _, leaf = name.rpartition(".")
                module = self.network.get_submodule(owner)
                ours = getattr(module, leaf)
                kept.append((module, leaf, ours))
                setattr(module, leaf, nn.Parameter(tensor, requires_grad=False) if isinstance(ours, nn.Parameter) else tensor)
            yield
        finally:
            for module, leaf, ours in kept:
                setattr(module, leaf, ours)


class _Carrier:
    """The forward of one linear layer; a class, so that the network can still be copied."""

    def __init__(self, mixer: Mixer, name: str, layer: nn.Linear) -> None:
        self.mixer, self.name, self.layer = mixer, name, layer

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.mixer.forward(self.name, self.layer, x)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Gathered:
    """Matrices per clip: shapes (clips, inputs, rank), (clips, rank, outputs), and gain - 1, (clips, 1, outputs)."""

    a: torch.Tensor
    b: torch.Tensor
    gain: torch.Tensor | None

    def keep(self, places: torch.Tensor) -> "_Gathered":
        return _Gathered(a=self.a[places], b=self.b[places], gain=None if self.gain is None else self.gain[places])


class _Rows:
    """The adapters of one batch."""

    def __init__(self, adapters: Sequence[AdapterWeights | None]) -> None:
        self.all = list(adapters)
        self.single = adapters[0] if all(adapter is adapters[0] for adapter in adapters) else None
        self.clips: list[int] = list(range(len(adapters)))
        self._told: torch.Tensor | None = None
        self._kept: dict[str, _Gathered | None] = {}

    def follow(self, clips: torch.Tensor) -> None:
        if clips is self._told:
            return
        self._told = clips
        wanted = clips.tolist()
        if wanted == self.clips:
            return
        places = {clip: place for place, clip in enumerate(self.clips)}
        if set(wanted) <= set(places):
            chosen = torch.tensor([places[clip] for clip in wanted], device=clips.device)
            self._kept = {name: gathered and gathered.keep(chosen) for name, gathered in self._kept.items()}
        else:  # a decoder that begins anew
            self._kept = {}
        self.clips = wanted

    def forward(self, name: str, layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        if self.single is not None:
            low = self.single.layers.get(name)
            return F.linear(x, layer.weight, layer.bias) if low is None else _one(layer, low, x)
        y = F.linear(x, layer.weight, layer.bias)
        if not any(adapter is not None and name in adapter.layers for adapter in self.all):  # fed with what it may be, such as positions
            return y
        if x.shape[0] % len(self.clips):
            raise AdapterError(
                f"{name} is fed with {x.shape[0]} rows for {len(self.clips)} clips, so adapters cannot be mixed in it. Use them apart."
            )
        grouped = x.reshape(len(self.clips), -1, x.shape[-1])
        gathered = self._gather(name, layer, keep=grouped.shape[1] <= KEPT_POSITIONS)
        if gathered is None:
            return y
        product = y.view(len(self.clips), -1, y.shape[-1])
        update = torch.bmm(torch.bmm(grouped, gathered.a), gathered.b)
        if gathered.gain is not None:  # a row whose gain is 1 stays as it is, bit by bit
            update = update + gathered.gain * (product if layer.bias is None else product - layer.bias)
        return product.add(update).view(y.shape)

    def _gather(self, name: str, layer: nn.Linear, *, keep: bool) -> _Gathered | None:
        if name in self._kept:
            return self._kept[name]
        rows = [None if (adapter := self.all[clip]) is None else adapter.layers.get(name) for clip in self.clips]
        gathered = _gather(layer, rows) if any(row is not None for row in rows) else None
        if keep:
            self._kept[name] = gathered
        return gathered


def _one(layer: nn.Linear, low: LowRank, x: torch.Tensor) -> torch.Tensor:
    """All rows with one adapter."""
    if x.numel() // x.shape[-1] >= FUSED_POSITIONS:
        with torch.autocast(x.device.type, enabled=False):  # the sum is made in float32 in every precision, as when weights are merged
            weight = layer.weight if low.gain is None else layer.weight * low.gain[:, None]
            weight = torch.addmm(weight, low.b.T, low.a)
        return F.linear(x, weight, layer.bias)
    y = F.linear(x, layer.weight, layer.bias)
    update = F.linear(x, low.a) @ low.b
    if low.gain is not None:
        update = update + (low.gain - 1) * (y if layer.bias is None else y - layer.bias)
    return y.add(update)


def _gather(layer: nn.Linear, rows: Sequence[LowRank | None]) -> _Gathered:
    """Matrices of rows, smaller ranks padded with zeros, those without an adapter all zeros, which add exactly nothing."""
    rank = max(len(row.a) for row in rows if row is not None)
    like = next(row for row in rows if row is not None)
    none = LowRank(a=like.a.new_zeros(rank, layer.in_features), b=like.b.new_zeros(rank, layer.out_features))
    wanted = [none if row is None else row for row in rows]
    a = torch.stack([row.a if len(row.a) == rank else F.pad(row.a, (0, 0, 0, rank - len(row.a))) for row in wanted])
    b = torch.stack([row.b if len(row.b) == rank else F.pad(row.b, (0, 0, 0, rank - len(row.b))) for row in wanted])
    gain = None
    if any(row.gain is not None for row in wanted):
        gain = torch.stack([torch.zeros_like(row.b[0]) if row.gain is None else row.gain - 1 for row in wanted])[:, None]
    return _Gathered(a=a.transpose(1, 2).contiguous(), b=b, gain=gain)
