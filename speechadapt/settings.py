"""Typed settings at the top of a recipe, and `--set NAME=value` or `--set NAME.field=value` that replaces one of them."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speechadapt.errors import MisuseError

EXAMPLES = {int: "a whole number, such as 200", float: "a number, such as 0.001", bool: "true or false", str: "text", Path: "a path"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One replaceable value: its declared type and what it holds."""

    type: Any
    value: Any


def settings_of(module: types.ModuleType) -> dict[str, Setting]:
    """The settings of a recipe: its upper-case names, in the order of the file.

    The type is the annotation (`STEPS: int | None = None`) or, without one, the type of the value (`SPEC = AdapterSpec()`).
    """
    hints = typing.get_type_hints(module)
    return {
        name: Setting(type=hints.get(name, type(value)), value=value)
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_")
    }


def override(settings: Mapping[str, Setting], assignments: Sequence[str]) -> dict[str, Setting]:
    """Apply `NAME=value` and `NAME.field=value`, one after the other.

    Args:
        settings: by name.
        assignments: as typed after `--set`. A value of a tuple is written with commas, an absent one as `none`.

    Returns:
        All settings, the replaced ones with their new values.

    Raises:
        MisuseError: no such name, a value of another type, or a value its record refuses.
    """
    changed = dict(settings)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        path = path.strip()
        if not equals or not path:
            raise MisuseError(f'--set "{assignment}": no "=" between a name and a value. Write it as --set NAME=value.')
        name, *fields = path.split(".")
        if name not in changed:
            raise _unknown(path, changed)
        setting = changed[name]
        changed[name] = dataclasses.replace(setting, value=_replaced(setting.type, setting.value, fields, text, path, changed))
    return changed


def to_json(value: Any) -> Any:
    """A setting's value as plain JSON: records become objects, tuples lists, paths text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _replaced(declared: Any, value: Any, fields: Sequence[str], text: str, path: str, settings: Mapping[str, Setting]) -> Any:
    record = _record_type(declared)
    if not fields:
        if record is not None and text.strip().lower() != "none":
            first = dataclasses.fields(record)[0].name
            raise MisuseError(f"--set {path}={text}: {path} is a record of several values. Set one of its fields, such as --set {path}.{first}=...")
        return parse_value(text, declared, path)
    if record is None:
        raise _unknown(path, settings)
    hints = typing.get_type_hints(record)
    if fields[0] not in {field.name for field in dataclasses.fields(record)}:
        raise _unknown(path, settings)
    held = record() if value is None else value
    new = _replaced(hints[fields[0]], getattr(held, fields[0]), fields[1:], text, path, settings)
    return dataclasses.replace(held, **{fields[0]: new})


def parse_value(text: str, declared: Any, name: str) -> Any:
    """Read one value of a declared type: str, int, float, bool, Path, `tuple[T, ...]`, a Literal, or a union of these with None.

    Raises:
        MisuseError: the text is no such value.
    """
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin in (types.UnionType, typing.Union):
        if type(None) in arguments and text.strip().lower() == "none":
            return None
        return _first_that_fits(text, [one for one in arguments if one is not type(None)], declared, name)
    if origin is tuple:
        parts = [part.strip() for part in text.strip().strip("()").split(",") if part.strip()]
        return tuple(parse_value(part, arguments[0], name) for part in parts)
    if origin is typing.Literal:
        if text not in arguments:
            raise MisuseError(f"--set {name}={text}: must be one of: {', '.join(map(str, arguments))}. Correct the value.")
        return text
    if declared in (str, Path):
        return declared(text)
    try:
        if declared is bool:
            return {"true": True, "false": False}[text.strip().lower()]
        if declared is int:
            return int(text)
        if declared is float and math.isfinite(number := float(text)):
            return number
    except (ValueError, KeyError):
        pass
    raise MisuseError(f'--set {name}: found "{text}", must be {_describe(declared)}. Correct the value.')


def _first_that_fits(text: str, kinds: Sequence[Any], declared: Any, name: str) -> Any:
    for kind in kinds:
        try:
            return parse_value(text, kind, name)
        except MisuseError:
            continue
    raise MisuseError(f'--set {name}: found "{text}", must be {_describe(declared)}. Correct the value.')


def _describe(declared: Any) -> str:
    arguments = typing.get_args(declared)
    if typing.get_origin(declared) in (types.UnionType, typing.Union):
        return " or ".join("none" if one is type(None) else _describe(one) for one in arguments)
    if typing.get_origin(declared) is tuple:
        return f"{_describe(arguments[0])} (several with commas between)"
    return EXAMPLES.get(declared, getattr(declared, "__name__", str(declared)))


def _record_type(declared: Any) -> Any:
    """The dataclass a declared type stands for, also inside `X | None`; None for a plain value."""
    kinds = [declared, *(typing.get_args(declared) if typing.get_origin(declared) in (types.UnionType, typing.Union) else ())]
    return next((kind for kind in kinds if isinstance(kind, type) and dataclasses.is_dataclass(kind)), None)


def _names(settings: Mapping[str, Setting]) -> list[str]:
    names = []
    for name, setting in settings.items():
        record = _record_type(setting.type)
        names += [name] if record is None else [f"{name}.{field.name}" for field in dataclasses.fields(record)]
    return names


def _unknown(path: str, settings: Mapping[str, Setting]) -> MisuseError:
    names = _names(settings)
    lowered = {name.lower(): name for name in names}
    close = difflib.get_close_matches(path.lower(), lowered, n=1, cutoff=0.6)
    hint = f'Did you mean "{lowered[close[0]]}"? ' if close else ""
    return MisuseError(f'--set {path}: no setting is called "{path}". {hint}There are: {", ".join(names) or "none"}.')
