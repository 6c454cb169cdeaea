"""The networks; one per file.

Super-resolution networks come in three kinds: still (an image in, an image out), video (the
target frame, its neighbours and the flows to them in, see `rbpn.RBPN`) and blind (an image in; an
image and the kernel that blurred it out, see `kbpn.KBPN`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from tasksr_ros.networks import dbpn, kbpn, rbpn
from tasksr_ros.networks.bicubic import Bicubic
from tasksr_ros.networks.dbpn import DBPN
from tasksr_ros.networks.kbpn import KBPN
from tasksr_ros.networks.rbpn import RBPN

SR_NAMES: tuple[str, ...] = ("bicubic", *dbpn.VARIANTS)
"""Still networks."""

VIDEO_SR_NAMES: tuple[str, ...] = tuple(rbpn.VARIANTS)
BLIND_SR_NAMES: tuple[str, ...] = tuple(kbpn.VARIANTS)

_FAMILIES: tuple[tuple[Callable[..., nn.Module], Mapping[str, Mapping[str, Any]]], ...] = (
    (Bicubic, {"bicubic": {}}),
    (DBPN, dbpn.VARIANTS),
    (RBPN, rbpn.VARIANTS),
    (KBPN, kbpn.VARIANTS),
)


def build_sr(name: str, scale_factor: int, **options: int) -> nn.Module:
    """Build a super-resolution network by name, freshly initialised.

    Args:
        name: one of ``SR_NAMES``, ``VIDEO_SR_NAMES`` or ``BLIND_SR_NAMES``.
        scale_factor: 2, 4 or 8.
        options: arguments of the network's class in place of the variant's, for other sizes of
            the same network.

    Raises:
        ValueError: for an unknown name or scale factor, or options that the network lacks.
    """
    for network, variants in _FAMILIES:
        if name in variants:
            arguments = {**variants[name], **options}
            unknown = arguments.keys() - inspect.signature(network).parameters.keys()
            if unknown:
                raise ValueError(f"{name} has no options {', '.join(sorted(unknown))}")
            return network(scale_factor, **arguments)
    known = ", ".join((*SR_NAMES, *VIDEO_SR_NAMES, *BLIND_SR_NAMES))
    raise ValueError(f"name must be one of {known}, got {name!r}")


__all__ = [
    "BLIND_SR_NAMES",
    "DBPN",
    "KBPN",
    "RBPN",
    "SR_NAMES",
    "VIDEO_SR_NAMES",
    "Bicubic",
    "build_sr",
]
