"""The log of a run, JSON lines; lines that a crash of the machine has spoilt are left out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LOG = "log.jsonl"
"""In a run's folder; each line has ``step`` and ``seconds`` of training, and figures by name."""

_TAIL = 8192
"""Bytes at the end of a log that hold its last lines."""


def read_log(path: Path) -> list[dict[str, Any]]:
    """The readable lines of a log, in their order; none where there is no file."""
    return _readable(path.read_bytes().split(b"\n")) if path.is_file() else []


def last_line(path: Path) -> dict[str, Any]:
    """The last readable line of a log, of those at its end; empty where there is none."""
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        lines = _readable(file.read().split(b"\n"))
    return lines[-1] if lines else {}


def _readable(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """Without half lines and those of NUL bytes, which a file system may leave behind."""
    contents = (_content(line) for line in lines)
    return [content for content in contents if isinstance(content, dict) and "step" in content]


def _content(line: bytes) -> Any:
    """What the line says; None where it is no JSON."""
    try:
        return json.loads(line)
    except ValueError:
        return None
