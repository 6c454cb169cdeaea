"""The order of files that people expect: 2 before 10."""

from __future__ import annotations

import re
from pathlib import Path


def natural_order(path: Path) -> tuple[list[str | int], str]:
    """Key to sort paths of one folder by name, with whole numbers in it by their value."""
    parts = re.split(r"([0-9]+)", path.name)  # text and numbers in turns
    return [int(part) if part.isdigit() else part for part in parts], path.name
