"""The order of files that people expect: 2 before 10, and 0.05 before 0.1."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

_WITH_POINT = re.compile(r"([^0-9]*)([0-9]+)\.([0-9]+)")


def natural_order(path: Path) -> tuple[list[str | int], str]:
    """Key to sort paths of one folder by name, with whole numbers in it by their value."""
    parts = re.split(r"([0-9]+)", path.name)  # text and numbers in turns
    return [int(part) if k % 2 else part for k, part in enumerate(parts)], path.name


def decimals(stems: Sequence[str]) -> tuple[list[Decimal] | None, str]:
    """The numbers with a point that names are, such as seconds; None where they are not.

    Of several lengths behind the point, one that begins with 0 tells that these are decimals:
    0.05 beside 0.1.

    Returns:
        the numbers, and a line where they may be meant but are not taken: 1.9 and 1.10.
    """
    found = [match for stem in stems if (match := _WITH_POINT.fullmatch(stem))]
    if len(found) < len(stems) or len({match.group(1) for match in found}) != 1:
        return None, ""
    fractions = [match.group(3) for match in found]
    values = [Decimal(f"{match.group(2)}.{match.group(3)}") for match in found]
    several = len({len(fraction) for fraction in fractions}) > 1
    if several and any(len(fraction) > 1 and fraction[0] == "0" for fraction in fractions):
        return values, ""
    wholes = [(int(match.group(2)), int(match.group(3))) for match in found]
    by_whole = [value for _, value in sorted(zip(wholes, values, strict=True))]
    for value, later in itertools.pairwise(by_whole):
        if later < value:
            return None, f"numbers with a point are taken for two each: {value} before {later}"
    return None, ""
