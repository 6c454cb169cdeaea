"""The networks: super-resolution, detectors, and both in series; one per file.

Nothing is imported before it is built, so that their names are known without PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasksr_ros.networks.families import Family
from tasksr_ros.networks.super_resolution.frames import NUM_FRAMES

if TYPE_CHECKING:
    from torch import nn

SR_FAMILIES = (
    Family("super_resolution.bicubic", "Bicubic", ("bicubic",)),
    Family(
        "super_resolution.dbpn",
        "DBPN",
        ("dbpn-ss-8", "dbpn-ss-12", "dbpn-ss", "dbpn-s", "dbpn-m", "dbpn-l", "d-dbpn"),
    ),
    Family("super_resolution.rbpn", "RBPN", tuple(NUM_FRAMES)),
    Family("super_resolution.kbpn", "KBPN", ("kbpn", "kbpn-small")),
)
"""Super-resolution comes in three kinds: still (an image in, an image out: bicubic and DBPN), video
(the target frame, its neighbours and the flows to them in, see `RBPN`) and blind (an image in; an
image and the kernel that blurred it out, see `KBPN`). The engines run still and blind ones."""

DETECTOR_FAMILIES = (
    Family("detectors.fcos", "Detector", ("fcos",)),
    Family("detectors.picodet", "PicoDet", ("picodet-s",)),
)

SR_NAMES = (*SR_FAMILIES[0].names, *SR_FAMILIES[1].names)
"""Still networks."""
VIDEO_SR_NAMES = SR_FAMILIES[2].names
BLIND_SR_NAMES = SR_FAMILIES[3].names
DETECTOR_NAMES = tuple(name for family in DETECTOR_FAMILIES for name in family.names)


def build_sr(name: str, scale_factor: float, **options: Any) -> nn.Module:
    """Build a super-resolution network by name, freshly initialised.

    Args:
        name: one of ``SR_NAMES``, ``VIDEO_SR_NAMES`` or ``BLIND_SR_NAMES``.
        scale_factor: 2, 4 or 8; of bicubic anything from 1 to 8.
        options: arguments of the network's class in place of the variant's, for other sizes of
            the same network.

    Raises:
        ValueError: for an unknown name or scale factor, or options that the network lacks.
    """
    return _family(SR_FAMILIES, name).build(name, scale_factor, **options)


def build_detector(name: str, **options: Any) -> nn.Module:
    """Build a detector by name, freshly initialised.

    Args:
        name: one of ``DETECTOR_NAMES``.
        options: arguments of the network's class.

    Raises:
        ValueError: for an unknown name, or options that the network lacks.
    """
    return _family(DETECTOR_FAMILIES, name).build(name, **options)


def code_of(name: str) -> str:
    """The module, below this package, of a network's name."""
    return _family((*SR_FAMILIES, *DETECTOR_FAMILIES), name).module


def _family(families: tuple[Family, ...], name: str) -> Family:
    for family in families:
        if name in family.names:
            return family
    known = ", ".join(known for family in families for known in family.names)
    raise ValueError(f"name must be one of {known}, got {name!r}")


__all__ = [
    "BLIND_SR_NAMES",
    "DETECTOR_NAMES",
    "SR_NAMES",
    "VIDEO_SR_NAMES",
    "build_detector",
    "build_sr",
    "code_of",
]
