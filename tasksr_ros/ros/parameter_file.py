"""What a parameter file says to a node; the node itself has rcl read it.

rcl says nothing of a file that names other nodes only: a node of another name has its defaults.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tasksr_ros.errors import ConfigError

_VALUES = "ros__parameters"


def parameters_of(path: Path, node: str) -> dict[str, Any]:
    """The values that a parameter file has for a node, by full name; of several the last.

    Args:
        path: of the YAML file.
        node: its full name, for example ``/car/tasksr``.

    Raises:
        ConfigError: if it is no YAML file, or no mapping.
    """
    found: dict[str, Any] = {}
    for name, values in _read(path):
        if _matches(name, node):
            found.update(_flat(values, ""))
    return found


def of_other_nodes(arguments: Sequence[str], node: str) -> list[str]:
    """A line for each parameter file of a command line that has values for other nodes only.

    Args:
        arguments: of the command line.
        node: its full name.
    """
    lines = []
    for option, value in itertools.pairwise(arguments):
        if option != "--params-file":
            continue
        try:
            names = [name for name, _ in _read(Path(value))]
        except ConfigError:  # rcl has read it in its own way
            continue
        if names and not any(_matches(name, node) for name in names):
            lines.append(f"{value} has no parameters for {node}, it names {', '.join(names)}")
    return lines


def _read(path: Path) -> list[tuple[str, dict[Any, Any]]]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} must be a YAML file: {' '.join(str(error).split())}") from None
    if not isinstance(content or {}, dict):
        raise ConfigError(f"{path} must name nodes, got {content!r}")
    return list(_nodes(content or {}, ""))


def _nodes(content: dict[Any, Any], name: str) -> Iterator[tuple[str, dict[Any, Any]]]:
    for key, below in content.items():
        if key == _VALUES and isinstance(below, dict):
            yield name, below
        elif isinstance(below, dict):
            yield from _nodes(below, f"{name}/{str(key).strip('/')}")


def _flat(values: dict[Any, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _matches(pattern: str, node: str) -> bool:
    """Whether a name of the file means the node: ``*`` stands for one name, ``**`` for any."""
    parts = {"/**": r"(/\w+)*", "/*": r"/\w+"}
    found = re.split(r"(/\*\*|/\*)", pattern)
    return bool(re.fullmatch("".join(parts.get(part, re.escape(part)) for part in found), node))
