"""System: one recognizer of a benchmark, ours or not, and the settings of each kind. Light, so that a bench file is checked at once."""

import dataclasses
import shlex
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speechadapt.errors import MisuseError
from speechadapt.units import Seconds

LIMIT: Seconds = 24 * 3600
"""How long a system may work in one start before it counts as hanging."""
LONGEST_NAME = 80
AUDIO, LIST = "{audio}", "{list}"
MANIFEST = "{manifest}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TransformersSystem:
    """A base that speechadapt loads (Whisper or CTC), perhaps with an adapter; the settings are those of `speechadapt transcribe`.

    Attributes:
        base: a folder, a Hub id or `embedded:NAME`; None takes the one that the adapter names.
        adapter: folder of an adapter.
        revision: of the base on the Hub. language: of the speech; None takes the adapter's or detects it.
        window, beam, batch_seconds, precision, lm, lm_weight, word_score: see `DecodeSettings`. device: None takes the best there is.
    """

    base: str | None = None
    adapter: Path | None = None
    revision: str | None = None
    language: str | None = None
    window: str = "full"
    beam: int = 1
    batch_seconds: float = 240.0
    precision: str = "auto"
    lm: Path | None = None
    lm_weight: float = 1.0
    word_score: float = 0.0
    device: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FasterWhisperSystem:
    """A CTranslate2 Whisper run by faster-whisper, clip by clip, without time stamps and at temperature 0, so that it says the same again.

    Attributes:
        model: a CTranslate2 folder, a size such as `small`, or a Hub id. compute_type: such as int8, float16; see CTranslate2.
        beam: 1 is greedy, as for our own models (faster-whisper's own default is 5). language: None detects it per clip.
        vad: let its voice activity detection drop what is no speech. device: auto, cpu or cuda.
    """

    model: str
    compute_type: str = "default"
    beam: int = 1
    language: str | None = None
    vad: bool = False
    device: str = "auto"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HTTPSystem:
    """An endpoint that speaks OpenAI's protocol: POST URL/v1/audio/transcriptions.

    Attributes:
        url: of the server, with http or https. model: what the server calls the model.
        token_env: name of the environment variable that holds the bearer token; the token itself stands in no file.
        timeout: seconds without an answer after which a request has failed.
        retries: of a request that was put off (429, 502, 503, 504) or got no answer.
        on_error: `stop`, or `empty` to count a clip that was refused as empty. prompt: sent along.
    """

    url: str
    model: str = "whisper-1"
    language: str | None = None
    token_env: str | None = None
    prompt: str | None = None
    timeout: float = 120.0
    retries: int = 5
    on_error: str = "stop"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CommandSystem:
    """Any program that prints text. It is called without a shell, in the folder of the bench file.

    Attributes:
        command: its words; `{audio}` is replaced by a 16 kHz mono WAV, or `{list}` by a file with the path of one WAV per line, for
            which it prints `path<TAB>text` lines.
        timeout: seconds per clip (for a list, all clips together have that many times their number).
        on_error: `stop`, or `empty` to count a clip that it failed on as empty.
    """

    command: tuple[str, ...]
    timeout: float = 600.0
    on_error: str = "stop"

    @property
    def lists(self) -> bool:
        """Whether one call is given all clips."""
        return any(LIST in word for word in self.command)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HypothesesSystem:
    """What a system said elsewhere: `{manifest}` in the file's name is replaced by the manifest's name; without it one file serves all."""

    file: Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OnnxSystem:
    """A folder run by onnxruntime: `model.onnx` (CTC), or `encoder_model.onnx` and `decoder_model.onnx` (Whisper) as Optimum exports them.

    Attributes:
        folder: with the processor's files beside the graphs. language: of a multilingual Whisper.
        provider: cpu or cuda.
    """

    folder: Path
    language: str | None = None
    provider: str = "cpu"


Settings = TransformersSystem | FasterWhisperSystem | HTTPSystem | CommandSystem | HypothesesSystem | OnnxSystem


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a bench file may call `kind`.

    Attributes:
        settings: its record; its first field is what a flag gives after the colon.
        module: the part of `speechadapt.bench` that runs it, imported in the system's own process alone.
        packages: whose versions decide what it says.
        local: whether its memory can be seen from here. hears: whether it needs the recordings.
    """

    settings: type[Any]
    module: str
    packages: tuple[str, ...] = ()
    local: bool = True
    hears: bool = True


KINDS = {
    "transformers": Kind(settings=TransformersSystem, module="transformers_base", packages=("torch", "transformers", "peft")),
    "faster-whisper": Kind(settings=FasterWhisperSystem, module="faster_whisper_model", packages=("faster-whisper", "ctranslate2")),
    "onnx": Kind(settings=OnnxSystem, module="onnx_model", packages=("onnxruntime",)),
    "http": Kind(settings=HTTPSystem, module="http_endpoint", local=False),
    "command": Kind(settings=CommandSystem, module="command_line"),
    "hypotheses": Kind(settings=HypothesesSystem, module="hypotheses_file", local=False, hears=False),
}
CHOICES = {"window": ("full", "short"), "on_error": ("stop", "empty"), "provider": ("cpu", "cuda"), "precision": ("auto", "fp32", "bf16")}
AT_LEAST = {"beam": 1, "retries": 0}
ABOVE_ZERO = ("batch_seconds", "timeout", "limit")
MODELS = ("base", "model")
"""Fields that hold a folder or a name elsewhere."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One recognizer.

    Attributes:
        name: for people and for file names; unique in its bench.
        kind: one of KINDS. settings: its record.
        folder: of the bench file, where relative paths start and commands run.
        limit: seconds it may work in one start.
    """

    name: str
    kind: str
    settings: Settings
    folder: Path
    limit: Seconds = LIMIT

    def to_json(self) -> dict[str, Any]:
        """A JSON object, which `system_from_json` reads back."""
        fields = {
            field.name: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            for field in dataclasses.fields(self.settings)
            if (value := getattr(self.settings, field.name)) is not None
        }
        return {"name": self.name, "kind": self.kind, "settings": fields, "folder": str(self.folder), "limit": self.limit}


def system_from_json(row: Mapping[str, Any]) -> System:
    """The record of what `System.to_json` gives."""
    table = {"kind": row["kind"], "limit": row["limit"], **row["settings"]}
    return read_system(row["name"], table, folder=Path(row["folder"]), where=lambda key: f'system "{row["name"]}"')


Where = typing.Callable[[str | None], str]
"""From a key to the words that say where it stands: `bench.toml, line 7, [systems.tiny]`."""


def read_system(name: str, table: Mapping[str, Any], *, folder: Path, where: Where) -> System:
    """Check one table of settings.

    Args:
        name: of the system.
        table: its keys, `kind` among them.
        folder: where relative paths start.
        where: tells the place of a key.

    Raises:
        MisuseError: an unknown kind or key, a value of another type or out of its range, a key that must be there, or a name that cannot be a
            file's.
    """
    check_name(name, where(None), "system")
    kind = table.get("kind")
    if kind not in KINDS:
        found = "there is no kind" if kind is None else f"kind is {kind!r}"
        raise MisuseError(f"{where('kind')}: {found}, must be one of {', '.join(KINDS)}. Choose one of them.")
    record = KINDS[kind].settings
    hints = typing.get_type_hints(record)
    known = {"kind", "limit", *hints}
    for key in table:
        if key not in known:
            raise MisuseError(
                f'{where(key)}: unknown key "{key}"; a system of kind {kind} has: {", ".join(["kind", *hints, "limit"])}. Correct the name.'
            )
    for field in dataclasses.fields(record):
        if field.default is dataclasses.MISSING and field.name not in table:
            raise MisuseError(f'{where(None)}: the key "{field.name}" is missing, which a system of kind {kind} needs. Add it.')
    values = {key: _value(key, table[key], hints[key], folder, where) for key in hints if key in table}
    limit = _value("limit", table.get("limit", LIMIT), float, folder, where)
    settings = record(**values)
    _check(settings, where)
    return System(name=name, kind=kind, settings=settings, folder=folder, limit=limit)


def check_name(name: str, place: str, what: str) -> None:
    """Refuse a name that cannot stand in a file's name or a table.

    Raises:
        MisuseError: it is empty, too long, begins with a dot or a blank, or holds a slash or another character that file systems refuse.
    """
    odd = sorted({letter for letter in name if letter in '/\\:*?"<>|' or not letter.isprintable()})
    if odd or not name or len(name) > LONGEST_NAME or name[0] in ". " or name[-1] in ". ":
        found = f"holds {' '.join(map(repr, odd))}" if odd else f"has {len(name)} characters, or a dot or blank at an end"
        raise MisuseError(
            f'{place}: the name {name!r} of a {what} {found}; names have 1 to {LONGEST_NAME} printable characters, none of / \\ : * ? " < > | . '
            "Give another name."
        )


def parse_value(kind: str, key: str, text: str, where: Where) -> Any:
    """A value typed as a flag, by the type its field has; names of no field are left to `read_system`.

    Raises:
        MisuseError: it is no number, or neither true nor false, where the field needs one.
    """
    wanted = _plain(typing.get_type_hints(KINDS[kind].settings).get(key, float if key == "limit" else str))
    if wanted is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if wanted in (int, float):
        try:
            return wanted(text)
        except ValueError:
            pass
    elif wanted is not bool:
        return text
    raise MisuseError(f"{where(key)}: {key} is {text!r}, must be {TOLD[wanted]}. Correct the value.")


TOLD: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text in quotes",
    Path: "a path in quotes",
    tuple: "text in quotes or a list of texts",
}


def _plain(hint: Any) -> Any:
    """`Path | None` is Path, `tuple[str, ...]` is tuple."""
    if isinstance(hint, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return typing.get_origin(hint) or hint


def _value(key: str, given: Any, hint: Any, folder: Path, where: Where) -> Any:
    wanted = _plain(hint)
    right = {
        int: isinstance(given, int) and not isinstance(given, bool),
        float: isinstance(given, int | float) and not isinstance(given, bool) and abs(given) < float("inf"),
        bool: isinstance(given, bool),
        str: isinstance(given, str),
        Path: isinstance(given, str),
        tuple: isinstance(given, str) or (isinstance(given, list) and all(isinstance(word, str) for word in given)),
    }[wanted]
    if not right or given in ("", []):
        raise MisuseError(f"{where(key)}: {key} is {given!r}, must be {TOLD[wanted]}{' and not empty' if right else ''}. Correct the value.")
    if key in CHOICES and given not in CHOICES[key]:
        raise MisuseError(f"{where(key)}: {key} is {given!r}, must be one of {', '.join(CHOICES[key])}. Correct the value.")
    if key in AT_LEAST and given < AT_LEAST[key]:
        raise MisuseError(f"{where(key)}: {key} is {given}, must be {AT_LEAST[key]} or more. Correct the value.")
    if key in ABOVE_ZERO and not given > 0:
        raise MisuseError(f"{where(key)}: {key} is {given}, must be above 0. Correct the value.")
    if wanted is Path:
        return folder / Path(given).expanduser()
    if wanted is tuple:
        return _words(key, given, where)
    if wanted is float:
        return float(given)
    if key in MODELS and (folder / Path(given).expanduser()).is_dir():
        return str(folder / Path(given).expanduser())
    return given


def _words(key: str, given: str | Sequence[str], where: Where) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(given) if isinstance(given, str) else given)
    except ValueError as error:
        raise MisuseError(f"{where(key)}: {key} is {given!r}, whose quotes do not match ({error}). Close them, or write a list.") from error


def _check(settings: Settings, where: Where) -> None:
    """What one field alone does not tell."""
    if isinstance(settings, TransformersSystem):
        if settings.base is None and settings.adapter is None:
            raise MisuseError(f"{where(None)}: neither base nor adapter. Give base, or an adapter, which names its own.")
        if settings.window == "short" and settings.adapter is None:
            raise MisuseError(f"{where('window')}: window is 'short', in which a base without an adapter loops. Give an adapter, or leave it out.")
    elif isinstance(settings, HTTPSystem):
        scheme, _, rest = settings.url.partition("://")
        host = rest.split("/")[0]
        if scheme.lower() not in ("http", "https") or not host:
            raise MisuseError(f"{where('url')}: url is {settings.url!r}, must begin with http:// or https:// and name a host. Correct the address.")
        if "@" in host or not settings.url.isascii() or any(letter.isspace() for letter in settings.url):
            raise MisuseError(
                f"{where('url')}: the url holds a blank, a letter beyond ASCII, or a user's name or password. Put a token into an environment "
                "variable and name that in token_env."
            )
    elif isinstance(settings, CommandSystem):
        audio, lists = (sum(word.count(mark) for word in settings.command) for mark in (AUDIO, LIST))
        if bool(audio) == bool(lists):
            found = "both" if audio else "neither"
            raise MisuseError(
                f"{where('command')}: the command holds {found} of {AUDIO} and {LIST}, must hold one of them. "
                f"Write {AUDIO} where the path of a clip belongs, or {LIST} where that of a list of clips does."
            )
