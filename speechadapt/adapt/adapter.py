"""Adapters as plain PEFT folders, with the facts about their origin in `speechadapt.json` beside PEFT's own files."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.constants import DUMMY_TARGET_MODULES

from speechadapt import __version__
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.errors import AdapterError, MisuseError
from speechadapt.files import atomic_folder, read_json, sha256_of, write_json
from speechadapt.models.speech_model import SpeechModel

FACTS_FILE = "speechadapt.json"
WEIGHTS_FILE = "adapter_model.safetensors"
SAMPLE = 64
HEADS = ("kept", "extended", "new")
SIDE_FILES = ("adapter_config.json", "vocab.json", "tokenizer_config.json", "preprocessor_config.json")
FACTS: dict[str, Any] = {
    **dict.fromkeys(("base_id", "base_revision", "base_fingerprint", "family", "train_fingerprint", "weights_sha256"), str),
    **dict.fromkeys(("language", "task", "accent"), str | None),
    **dict.fromkeys(("trainable", "total"), int),
}
"""Types of what `speechadapt.json` says, which a stranger may have written."""
HEAD = "lm_head"
"""What transformers calls the output layer of a CTC model."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AdapterRef:
    """An adapter that exists.

    Attributes:
        folder: where it lies.
        base_id, base_revision: the model it was trained on.
        base_fingerprint: sha256 over a sample of every base weight, equal for the same weights from any source; without the output layer where
            the adapter carries its own.
        family: `whisper` or `ctc`.
        spec: what was wished for.
        language, task: the tokens used in training, to be used in decoding.
        accent: slugs of the training manifest, joined by commas, or None.
        train_fingerprint: of the training manifest after leaks were dropped.
        weights_sha256: of `adapter_model.safetensors`.
        trainable, total: parameters in the adapter, and in base and adapter together.
        head: the output layer: `kept` as the base has it, `extended` by new rows, or `new`; the last two lie whole in the adapter.
        side_files: sha256 of the files that say what the weights mean (`SIDE_FILES`), by name; empty in older adapters.
        mixed_from: of an adapter mixed from others: each parent's name, weight, weights_sha256, train_fingerprint and accent; else empty.
    """

    folder: Path
    base_id: str
    base_revision: str
    base_fingerprint: str
    family: str
    spec: AdapterSpec
    language: str | None
    task: str | None
    accent: str | None
    train_fingerprint: str
    weights_sha256: str
    trainable: int
    total: int
    head: str = "kept"
    side_files: dict[str, str] = dataclasses.field(default_factory=dict)
    mixed_from: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything but the folder, as a JSON object."""
        row = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "folder"}
        row = {name: value for name, value in row.items() if name != "mixed_from" or value}
        return row | {"spec": self.spec.to_json(), "speechadapt": __version__}


def read_adapter(folder: Path) -> AdapterRef:
    """Read the facts of an adapter folder and check that its weights are the ones described.

    Raises:
        AdapterError: not an adapter of ours, incomplete, or altered.
    """
    folder = Path(folder)
    for name in (FACTS_FILE, "adapter_config.json", WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise AdapterError(f"{folder}: no {name} in it, so it is not an adapter of speechadapt. Give the folder RUN/adapter.")
    row = read_json(folder / FACTS_FILE)
    try:
        later = ("head", "side_files", "mixed_from")  # than the first adapters, which have none of them
        fields = {field.name: row[field.name] for field in dataclasses.fields(AdapterRef) if field.name not in ("folder", *later)}
        fields |= {"head": row.get("head", "kept"), "side_files": dict(row.get("side_files", {}))}
        fields |= {"mixed_from": tuple(dict(parent) for parent in row.get("mixed_from", ()))}
        if fields["head"] not in HEADS:
            raise KeyError("head")
        for name, kind in FACTS.items():
            if not isinstance(fields[name], kind):
                raise TypeError(f"{name} is {fields[name]!r}")
        outside = [name for name in fields["side_files"] if Path(name).name != name]
        if outside:
            raise ValueError(f"side_files names {outside[0]}, which is not in the folder")
        ref = AdapterRef(folder=folder, **(fields | {"spec": AdapterSpec(**row["spec"])}))
    except (KeyError, TypeError, AttributeError, ValueError, MisuseError) as error:
        raise AdapterError(f"{folder / FACTS_FILE}: a field is missing or wrong ({error}). Train the adapter again.") from error
    digest = sha256_of(folder / WEIGHTS_FILE)
    if digest != ref.weights_sha256:
        raise AdapterError(f"{folder / WEIGHTS_FILE}: sha256 {digest[:16]}…, {FACTS_FILE} says {ref.weights_sha256[:16]}…. Copy the adapter again.")
    return ref


def add_adapter(model: SpeechModel, spec: AdapterSpec, seed: int = 0) -> None:
    """Put a fresh adapter into a base model, in place; it changes nothing until trained (B starts at zero).

    Raises:
        AdapterError: the model has an adapter already.
        MisuseError: the family cannot be trained whole.
    """
    must_be_bare(model)
    targets = target_modules(model, spec)
    full = spec.method == "full"
    config = LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=targets,
        modules_to_save=(model.whole_modules if full else model.saved_modules) or None,
        use_rslora=spec.method == "rslora",
        use_dora=spec.method == "dora",
        base_model_name_or_path=model.base.id,
        revision=model.base.revision,
    )
    torch.manual_seed(seed)
    model.network = get_peft_model(model.network, config)
    model.adapted = True


def target_modules(model: SpeechModel, spec: AdapterSpec) -> list[str] | str:
    """PEFT's `target_modules` for a spec; asked before long work, it says early that a model cannot carry the adapter.

    Raises:
        MisuseError: the family cannot be trained whole, or has no such role.
    """
    if spec.method != "full":
        return model.peft_targets(spec.targets)
    if not model.whole_modules:
        raise MisuseError(f'method is "full", which {model.family} models do not offer here. Choose lora with a higher rank.')
    return str(DUMMY_TARGET_MODULES)


def load_adapter(model: SpeechModel, folder: Path) -> AdapterRef:
    """Put a trained adapter into a base model, in place, for decoding.

    Raises:
        AdapterError: the adapter was trained on other weights, is broken, its vocabulary does not match its output layer, or the model has an
            adapter already.
    """
    must_be_bare(model)
    ref = read_adapter(folder)
    must_fit(ref, model, base_fingerprint(model, head=ref.head))
    if ref.head != "kept":
        model.load_vocabulary(ref.folder)
    check_side_files(ref)
    try:
        model.network = PeftModel.from_pretrained(model.network, str(folder), is_trainable=False)
    except (ValueError, RuntimeError, OSError, KeyError, TypeError, AttributeError) as error:
        # torch's first line only announces the others
        lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.strip().endswith(":")]
        raise AdapterError(f"{folder}: could not be loaded ({lines[0] if lines else type(error).__name__}). Copy the adapter again.") from error
    model.network.eval()
    model.adapted = True
    return ref


def must_fit(ref: AdapterRef, model: SpeechModel, found: str) -> None:
    """Refuse an adapter of another base.

    Args:
        ref: the adapter.
        model: the base, for its name and language.
        found: the base's fingerprint, `base_fingerprint(model, head=ref.head)`.

    Raises:
        AdapterError: it was trained on other weights.
    """
    if found != ref.base_fingerprint and ref.base_id == model.base.id and ref.language != model.language:
        raise AdapterError(
            f"{ref.folder}: was trained for language {ref.language}, the base was loaded for {model.language}, where it has other weights. "
            f"Load {ref.base_id} with language {ref.language}."
        )
    if found != ref.base_fingerprint:
        raise AdapterError(
            f"{ref.folder}: was trained on {ref.base_id} (fingerprint {ref.base_fingerprint[:12]}), "
            f"the base given is {model.base.id} (fingerprint {found[:12]}). Load it on {ref.base_id}."
        )


def check_side_files(ref: AdapterRef) -> None:
    """Refuse an adapter whose configuration or vocabulary is not the one that was saved with its weights.

    Raises:
        AdapterError: a side file is missing or was altered.
    """
    for name, digest in ref.side_files.items():
        if not (ref.folder / name).is_file() or sha256_of(ref.folder / name) != digest:
            raise AdapterError(f"{ref.folder / name}: missing or not the one that was saved with the weights. Copy the adapter again.")


def must_be_bare(model: SpeechModel) -> None:
    """Refuse a model with an adapter inside.

    Raises:
        AdapterError: there is one.
    """
    if model.adapted:
        raise AdapterError(f"{model.base.id} has an adapter inside already. Load the base model again for another one.")


def save_adapter(model: SpeechModel, spec: AdapterSpec, folder: Path, *, train_fingerprint: str, accent: str | None, card: str) -> AdapterRef:
    """Write the model's adapter as a PEFT folder in one step, with `speechadapt.json`, a model card, and the vocabulary where it is not the base's.

    Args:
        card: text of the folder's README.md.
    """
    trainable, total = count_parameters(model)
    with atomic_folder(folder) as temporary:
        # without the last argument PEFT asks the Hub whether the word embeddings were changed; no family here has any that could be
        model.network.save_pretrained(str(temporary), safe_serialization=True, save_embedding_layers=False)  # type: ignore[operator]
        model.save_vocabulary(temporary)
        ref = AdapterRef(
            folder=Path(folder),
            base_id=model.base.id,
            base_revision=model.base.revision,
            base_fingerprint=base_fingerprint(model),
            family=model.family,
            spec=spec,
            language=model.language,
            task=model.task,
            accent=accent,
            train_fingerprint=train_fingerprint,
            weights_sha256=sha256_of(temporary / WEIGHTS_FILE),
            trainable=trainable,
            total=total,
            head=model.head,
            side_files={name: sha256_of(temporary / name) for name in SIDE_FILES if (temporary / name).is_file()},
        )
        write_json(temporary / FACTS_FILE, ref.to_json())
        (temporary / "README.md").write_text(card, encoding="utf-8")
    return ref


def count_parameters(model: SpeechModel) -> tuple[int, int]:
    """Parameters of the adapter, and of base and adapter together; an output layer that the adapter carries whole counts once, as the adapter's."""
    sizes = [(parameter.numel(), _of_adapter(name)) for name, parameter in model.network.named_parameters() if ".original_module." not in name]
    return sum(size for size, ours in sizes if ours), sum(size for size, _ in sizes)


def _of_adapter(name: str) -> bool:
    return "lora_" in name or ".modules_to_save." in name


def base_fingerprint(model: SpeechModel, *, head: str | None = None) -> str:
    """Sha256 over the first 64 values of every base weight at half precision, whether an adapter is attached or not.

    Half precision makes the same published weights agree whether they come as float32 from the Hub or as float16 from elsewhere.

    Args:
        head: `kept`, `extended` or `new`: an output layer that is not kept is left out, because the adapter carries it whole. None takes the model's.
    """
    digest = hashlib.sha256()
    rows = [
        (name.removeprefix("base_model.model.").replace(".base_layer.", ".").replace(".original_module.", "."), parameter)
        for name, parameter in model.network.named_parameters()
        if not _of_adapter(name)
    ]
    for name, parameter in sorted(rows, key=lambda row: row[0]):
        if (head or model.head) != "kept" and name.startswith(f"{HEAD}."):
            continue
        sample = parameter.detach().flatten()[:SAMPLE].to("cpu", torch.float16).numpy()
        digest.update(f"{name} {tuple(parameter.shape)} ".encode() + sample.tobytes())
    return digest.hexdigest()


def merge_for_good(model: SpeechModel) -> None:
    """Add the adapter into the weights of a model that only decodes from now on: no copy of them is kept, and nothing is left to undo."""
    for module in model.network.modules():
        if isinstance(module, BaseTunerLayer) and not module.merged:
            module.merge()


@contextlib.contextmanager
def merged(model: SpeechModel) -> Iterator[None]:
    """Decode at the base model's speed: the adapter is added into the weights inside the block, and the weights restored bit by bit after it."""
    layers = [module for module in model.network.modules() if isinstance(module, BaseTunerLayer) and not module.merged]
    kept = [layer.get_base_layer().weight.detach().clone() for layer in layers]
    for layer in layers:
        layer.merge()
    try:
        yield
    finally:
        for layer, weight in zip(layers, kept, strict=True):
            layer.unmerge()
            layer.get_base_layer().weight.data.copy_(weight)  # subtracting again would leave rounding errors behind
