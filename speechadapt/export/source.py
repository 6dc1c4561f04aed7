"""Source: the adapter an export is made of, merged into its base in float32, and where the clips of its proof may be found."""

import dataclasses
from pathlib import Path

from speechadapt.adapt.adapter import FACTS_FILE, WEIGHTS_FILE, AdapterRef, load_adapter, read_adapter
from speechadapt.errors import AdapterError, ModelError
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import SpeechModel

COMPARISON = "comparison.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An adapter, merged.

    Attributes:
        adapter: the facts of it.
        run: the run folder it came from, or None.
        model: base and adapter as one network of plain layers, float32.
    """

    adapter: AdapterRef
    run: Path | None
    model: SpeechModel


def find_adapter(given: Path) -> tuple[Path, Path | None]:
    """The adapter folder, and the run it belongs to, of a run or adapter folder.

    Raises:
        AdapterError: neither.
    """
    given = Path(given)
    if not given.is_dir():
        raise AdapterError(f"{given}: no such folder. Give a run folder, or an adapter folder such as RUN/adapter.")
    if (given / FACTS_FILE).is_file() or (given / "adapter_config.json").is_file():
        parent = given.resolve().parent
        return given, parent if (parent / COMPARISON).is_file() else None
    if (given / "adapter" / FACTS_FILE).is_file():
        return given / "adapter", given
    if (given / "settings.json").is_file():
        raise AdapterError(f"{given}: a run without an adapter (no adapter/{WEIGHTS_FILE}): it has not finished. Go on with it by --resume.")
    raise AdapterError(f"{given}: neither a run (no adapter/{FACTS_FILE} in it) nor an adapter (no {FACTS_FILE}). Give one of them.")


def load_source(given: Path, *, base: str | None = None, device: str | None = "cpu") -> Source:
    """Load base and adapter and make them one.

    Args:
        given: a run or adapter folder.
        base: where the base lies; None takes the id that the adapter names.
        device: to merge and transcribe on.

    Raises:
        AdapterError: no adapter, a broken one, or one of another base.
        ModelError: the base cannot be found.
    """
    folder, run = find_adapter(given)
    facts = read_adapter(folder)
    try:
        model = load_model(base or facts.base_id, language=facts.language, task=facts.task or "transcribe", device=device)
    except ModelError as error:
        raise ModelError(f"{folder}: its base cannot be loaded. {error} If it lies elsewhere now, give it with --base.") from error
    load_adapter(model, folder)
    # the layers themselves are changed, so what the model keeps of them stays right
    model.network = model.network.merge_and_unload()  # type: ignore[operator]
    model.network.eval()
    return Source(adapter=facts, run=run, model=model)
