"""AccentClassifier: tells accents apart by the mean of a base's encoder states; multinomial logistic regression, trained from accent labels."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from speechadapt.audio.features import HOP_SAMPLES, log_mel, window_frames
from speechadapt.audio.waveform import Waveform, read_waveform
from speechadapt.data.manifest import Manifest
from speechadapt.errors import AdapterError, MisuseError, SpeechadaptError
from speechadapt.files import atomic_folder, read_object, sha256_of, write_json
from speechadapt.models.ctc import CTCModel
from speechadapt.models.speech_model import SpeechModel
from speechadapt.models.whisper import WhisperModel
from speechadapt.serve.library import AdapterLibrary
from speechadapt.units import SAMPLING_RATE, Seconds

FACTS = "classifier.json"
WEIGHTS = "classifier.safetensors"
TENSORS = ("mean", "spread", "weight", "bias")
LISTEN: Seconds = 8.0
"""Of speech, from its beginning, that is listened to."""
RIDGE = 1e-2
"""Weight of the squared coefficients in the loss, on standardized states."""
LARGEST = 1 << 28
"""Bytes of a classifier's weights; more is none."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccentClassifier:
    """A linear classifier and where it comes from.

    Attributes:
        accents: what it tells apart, sorted.
        base_id, base_fingerprint: of the base whose states it learned from.
        mean, spread: that states are standardized with, float32, shape (width,).
        weight, bias: float32, shapes (accents, width) and (accents,).
        utterances: of each accent that it was trained on.
        train_fingerprint: of the manifest.
    """

    accents: tuple[str, ...]
    base_id: str
    base_fingerprint: str
    mean: torch.Tensor
    spread: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor
    utterances: Mapping[str, int]
    train_fingerprint: str

    def probabilities(self, states: torch.Tensor) -> torch.Tensor:
        """Of each accent, float32, shape (clips, accents), for states of shape (clips, width)."""
        return torch.softmax((states - self.mean) / self.spread @ self.weight.T + self.bias, dim=1)

    def save(self, folder: Path | str) -> None:
        """Write `classifier.safetensors` and `classifier.json`, in one step."""
        with atomic_folder(Path(folder)) as temporary:
            save_file({name: getattr(self, name).contiguous() for name in TENSORS}, temporary / WEIGHTS)
            facts = {name: getattr(self, name) for name in ("accents", "base_id", "base_fingerprint", "utterances", "train_fingerprint")}
            write_json(temporary / FACTS, facts | {"weights_sha256": sha256_of(temporary / WEIGHTS)})


def read_classifier(folder: Path | str) -> AccentClassifier:
    """Read a classifier that was saved.

    Raises:
        AdapterError: missing, altered, or not what `save` writes.
    """
    place = Path(folder)
    try:
        facts = read_object(place / FACTS)
        if (place / WEIGHTS).stat().st_size > LARGEST or sha256_of(place / WEIGHTS) != facts["weights_sha256"]:
            raise AdapterError(f"{place / WEIGHTS}: is not the one that was saved with {FACTS}. Copy the classifier again.")
        tensors = load((place / WEIGHTS).read_bytes())
        mean, spread, weight, bias = (tensors[name] for name in TENSORS)
        accents = tuple(str(accent) for accent in facts["accents"])
        if (spread.shape, weight.shape, bias.shape) != (mean.shape, (len(accents), len(mean)), (len(accents),)):
            raise ValueError("shapes that do not belong together")
        return AccentClassifier(
            accents=accents, base_id=str(facts["base_id"]), base_fingerprint=str(facts["base_fingerprint"]), mean=mean, spread=spread,
            weight=weight, bias=bias, utterances=dict(facts["utterances"]), train_fingerprint=str(facts["train_fingerprint"]),
        )  # fmt: skip
    except AdapterError:
        raise
    except (OSError, SafetensorError, SpeechadaptError, KeyError, TypeError, ValueError) as error:
        raise AdapterError(f"{place}: no classifier that can be read ({error}). Train it again with fit_classifier.") from error


def fit_classifier(library: AdapterLibrary, manifest: Manifest, *, seconds: Seconds = LISTEN) -> AccentClassifier:
    """Learn to tell a manifest's accents apart by the base's encoder states; every accent weighs the same.

    Args:
        library: whose base listens.
        manifest: with an accent for each utterance; of other speakers than those to be routed, or it learns voices.
        seconds: of each utterance that are listened to.

    Raises:
        MisuseError: utterances without an accent, or fewer than two accents.
    """
    bare = [utterance.id for utterance in manifest if not utterance.accent]
    if bare:
        raise MisuseError(f'utterance "{bare[0]}" has no accent ({len(bare)} of {len(manifest)} have none). Label them, or leave them out.')
    counts = Counter(str(utterance.accent) for utterance in manifest)
    accents = tuple(sorted(counts))
    if len(accents) < 2:
        raise MisuseError(f"the manifest has {len(accents)} accents ({', '.join(accents)}), must have at least 2. Add utterances of another one.")
    states = torch.cat([listen(library, [beginning(manifest, place, seconds)]) for place in range(len(manifest))])
    labels = torch.tensor([accents.index(str(utterance.accent)) for utterance in manifest])
    mean, spread = states.mean(dim=0), states.std(dim=0, correction=0).clamp_min(1e-6)
    standard = ((states - mean) / spread).double()
    shares = torch.tensor([len(labels) / (len(accents) * counts[accent]) for accent in accents], dtype=torch.float64)
    weight = torch.zeros(len(accents), states.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(len(accents), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(standard @ weight.T + bias, labels, weight=shares) + RIDGE * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]  # convex: zero is as good a beginning as any
    return AccentClassifier(
        accents=accents, base_id=library.model.base.id, base_fingerprint=library.fingerprint, mean=mean, spread=spread,
        weight=weight.detach().float(), bias=bias.detach().float(), utterances={accent: counts[accent] for accent in accents},
        train_fingerprint=manifest.fingerprint,
    )  # fmt: skip


def listen(library: AdapterLibrary, waveforms: Sequence[Waveform]) -> torch.Tensor:
    """Mean encoder states of the library's base, without any adapter; see `pooled_states`."""
    with library.bare() as model:
        return pooled_states(model, waveforms)


def pooled_states(model: SpeechModel, waveforms: Sequence[Waveform]) -> torch.Tensor:
    """Mean of the encoder's states over each clip's own frames, padding left out.

    Args:
        model: without an adapter.
        waveforms: float32, shape (samples,), 16 kHz, each at most the model's window.

    Returns:
        float32 on the CPU, shape (clips, width).
    """
    with torch.no_grad():
        if isinstance(model, WhisperModel):
            frames = window_frames(max(map(len, waveforms)) / SAMPLING_RATE + 0.5)
            states = model.encode(log_mel(waveforms, model.mels, frames).to(model.device))
            lengths = [max(1, min(len(waveform) // (2 * HOP_SAMPLES), states.shape[1])) for waveform in waveforms]
        elif isinstance(model, CTCModel):
            inputs, samples = model.frames.inputs(waveforms)
            states, lengths = model.frames.states(inputs.to(model.device), samples.to(model.device))
        else:
            raise MisuseError(f"{model.base.id}: its family has no encoder states to tell accents by. Route by confidence.")
    return torch.stack([row[:length].float().mean(dim=0).cpu() for row, length in zip(states, lengths, strict=True)])


def beginning(manifest: Manifest, place: int, seconds: Seconds) -> Waveform:
    """The first seconds of an utterance."""
    utterance = manifest[place]
    return read_waveform(manifest.audio_path(utterance), offset=utterance.offset, duration=min(utterance.duration, seconds))
