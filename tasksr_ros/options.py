"""Configs as named options: frozen dataclasses whose fields carry a description and limits.

The node's parameters and the command line's options are made from the fields. A field's full name
is its path, for example ``region.top``; its choices are those of its ``Literal`` type. A
field of type ``tuple[int, ...]`` (or float, str, a ``Literal``) holds several values, each of which
is checked; one of type ``int | Literal["auto"]`` a number or a word.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from tasksr_ros.errors import ConfigError

Value: TypeAlias = bool | int | float | str | tuple[int | float | str, ...]
ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True)
class Option:
    """What is known of one field beside its type and default.

    Attributes:
        description: with the unit.
        low: least value; of several values, of each.
        high: greatest value, likewise.
        choices: all values that a text may have; () for any.
    """

    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


def option(
    default: Value, description: str, *, low: float | None = None, high: float | None = None
) -> Any:
    """A field of a config."""
    return field(default=default, metadata={"option": Option(description, low, high)})


def walk(config_type: type, prefix: str = "") -> Iterator[tuple[str, type, Value, Option]]:
    """Yield (full name, type, default, option) of every leaf field, in the order written."""
    types = get_type_hints(config_type)
    for f in fields(config_type):
        if is_dataclass(types[f.name]):
            yield from walk(types[f.name], f"{prefix}{f.name}.")
        else:
            default: Any = f.default
            known: Option = f.metadata["option"]
            kind = kind_of(types[f.name])
            choices = get_args(kind) if get_origin(kind) is Literal else ()
            yield f"{prefix}{f.name}", types[f.name], default, replace(known, choices=choices)


def kind_of(type_: Any) -> Any:
    """The type of a field's value; of several values, of each."""
    return get_args(type_)[0] if get_origin(type_) is tuple else type_


def words_of(kind: Any) -> tuple[str, ...]:
    """The words that stand beside the numbers of such a field; () for any other."""
    return get_args(get_args(kind)[1]) if get_origin(kind) in (Union, UnionType) else ()


def build(config_type: type[ConfigT], values: Mapping[str, object]) -> ConfigT:
    """Build a config from full names and values; what is not named keeps its default.

    Raises:
        ConfigError: for an unknown name (the nearest known one is named), a value of another
            type or out of range, or values that contradict each other.
    """
    checked = {name: check_value(config_type, name, value) for name, value in values.items()}
    return _assemble(config_type, checked, "")


def check_value(config_type: type, name: str, value: object) -> Value:
    """The value of one field by its full name, converted to the field's type.

    Raises:
        ConfigError: for an unknown name, or a value of another type or out of range.
    """
    known = _known(config_type)
    if name not in known:
        raise ConfigError(_unknown(name, known))
    return _checked(name, value, *known[name])


@cache
def _known(config_type: type) -> dict[str, tuple[type, Option]]:
    """Types and options by full name; type hints take long to evaluate."""
    return {name: (type_, option) for name, type_, _, option in walk(config_type)}


def flatten(config: object, prefix: str = "") -> dict[str, Value]:
    """Full names and values of a config: the inverse of `build`."""
    flat: dict[str, Value] = {}
    for f in fields(config):  # type: ignore[arg-type]
        value = getattr(config, f.name)
        if is_dataclass(value):
            flat.update(flatten(value, f"{prefix}{f.name}."))
        else:
            flat[f"{prefix}{f.name}"] = value
    return flat


def _assemble(config_type: type[ConfigT], values: Mapping[str, Value], prefix: str) -> ConfigT:
    types = get_type_hints(config_type)
    arguments: dict[str, Any] = {}
    for f in fields(config_type):  # type: ignore[arg-type]
        name = f"{prefix}{f.name}"
        if is_dataclass(types[f.name]):
            arguments[f.name] = _assemble(types[f.name], values, f"{name}.")
        elif name in values:
            arguments[f.name] = values[name]
    return config_type(**arguments)


def _unknown(name: str, known: Mapping[str, object]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else f"; known: {', '.join(known)}"
    return f"unknown parameter {name!r}{hint}"


def _checked(name: str, value: object, type_: Any, option: Option) -> Value:
    if get_origin(type_) is tuple:
        kind = kind_of(type_)
        if not isinstance(value, (list, tuple)):
            plural = {int: "whole numbers", float: "numbers"}.get(kind, "strings")
            raise ConfigError(f"{name} must be a list of {plural}, got {value!r}")
        return tuple(_one(name, v, kind, option) for v in value)
    return _one(name, value, type_, option)


def _one(name: str, value: object, type_: Any, option: Option) -> bool | int | float | str:
    words = words_of(type_)
    if words:
        return _number_or_word(name, value, type_, words, option)
    wanted = str if get_origin(type_) is Literal else type_
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not wanted:
        raise ConfigError(f"{name} must be of type {wanted.__name__}, got {value!r}")
    if option.choices and value not in option.choices:
        raise ConfigError(f"{name} must be one of {', '.join(option.choices)}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name} must be finite, got {value}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if option.low is not None and value < option.low:
            raise ConfigError(f"{name} must be at least {option.low:g}, got {value:g}")
        if option.high is not None and value > option.high:
            raise ConfigError(f"{name} must be at most {option.high:g}, got {value:g}")
    known: bool | int | float | str = value
    return known


def _number_or_word(
    name: str, value: object, type_: Any, words: tuple[str, ...], option: Option
) -> bool | int | float | str:
    if isinstance(value, str) and value in words:
        return value
    number = get_args(type_)[0]
    if isinstance(value, str) or type(value) is not number:
        kind = "a whole number" if number is int else "a number"
        raise ConfigError(f"{name} must be {kind} or {' or '.join(words)}, got {value!r}")
    return _one(name, value, number, option)
