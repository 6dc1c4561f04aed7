"""Settings of one corpus' script, filled from `--set NAME=value`."""

import dataclasses
import os
import typing
from collections.abc import Sequence
from typing import TypeVar

from speechadapt.settings import Setting, override

Settings = TypeVar("Settings")


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_settings(kind: type[Settings], assignments: Sequence[str]) -> Settings:
    """Fill a script's `Settings` record, whose fields all have defaults.

    Raises:
        MisuseError: an unknown name (the valid ones are listed) or a value of the wrong type.
    """
    defaults, types = kind(), typing.get_type_hints(kind)
    settings = {name: Setting(type=types[name], value=getattr(defaults, name)) for name in types}
    return dataclasses.replace(defaults, **{name: setting.value for name, setting in override(settings, assignments).items()})  # type: ignore[type-var]
