"""Nested options of commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def differences(before: Any, now: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted name, earlier and present value of all that differs in nested dictionaries."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(k for k in now if k not in before)]:
            name = f"{where}.{key}" if where else str(key)
            yield from differences(before.get(key), now.get(key), name)
    elif before != now:
        yield where, before, now
