"""Nested options of commands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Quotes words that a reader of YAML 1.2 takes for numbers: 0016E5 is a CamVid sequence."""


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def as_yaml(options: Any) -> str:
    """Options, dataclasses among them, as a file of which the same options are read again."""
    return yaml.dump(_plain(options), Dumper=_Dumper, sort_keys=False)


def _plain(value: Any) -> Any:
    """What YAML knows: mappings, lists, words and numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value


def differences(before: Any, now: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted name, earlier and present value of all that differs in nested dictionaries."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(k for k in now if k not in before)]:
            name = f"{where}.{key}" if where else str(key)
            yield from differences(before.get(key), now.get(key), name)
    elif before != now:
        yield where, before, now
