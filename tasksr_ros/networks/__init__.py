"""The networks; one per file."""

from __future__ import annotations

from typing import Any

from torch import nn

from tasksr_ros.networks.bicubic import Bicubic
from tasksr_ros.networks.dbpn import DBPN, VARIANTS

SR_NAMES: tuple[str, ...] = ("bicubic", *VARIANTS)


def build_sr(name: str, scale_factor: int) -> nn.Module:
    """Build a super-resolution network by name, freshly initialised.

    Args:
        name: one of ``SR_NAMES``.
        scale_factor: 2, 4 or 8.

    Raises:
        ValueError: for an unknown name or scale factor.
    """
    if name == "bicubic":
        return Bicubic(scale_factor)
    if name in VARIANTS:
        arguments: dict[str, Any] = dict(VARIANTS[name])
        return DBPN(scale_factor, **arguments)
    raise ValueError(f"name must be one of {', '.join(SR_NAMES)}, got {name!r}")


__all__ = ["DBPN", "SR_NAMES", "Bicubic", "build_sr"]
