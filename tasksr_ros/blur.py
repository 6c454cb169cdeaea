"""How an image is smeared: length and angle of its blur, from kernels that a network estimates.

A line of length L, along which the light is spread evenly, has the variance L² / 12 along its
direction and 0 across it. So of a kernel with the second central moments xx, yy and xy (px²)

    length = sqrt(12 · d),  d = sqrt((xx - yy)² + 4 xy²), the difference of the two variances
    angle = atan2(2 xy, xx - yy) / 2

Blur that is the same in all directions (defocus, a lens, antialiasing) has d = 0: it adds nothing.
Nor do the lobes of a bicubic downscaling, whose second moments are 0. A kernel does not tell the
sense of a motion: angles differ by 180 degrees at most, and one of a length of 0 says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.errors import EngineError
from tasksr_ros.regions import Tile

_DECIMALS = 3


@dataclass(frozen=True)
class Blur:
    """A smear along a line.

    Attributes:
        length: image px, at least 0.
        angle: degrees from the x axis (right) towards the y axis (down), from 0 to below 180;
            0 where the length is 0.
    """

    length: float
    angle: float

    def __str__(self) -> str:
        return f"{self.length:.1f} px, {round(self.angle) % 180} deg"


@dataclass(frozen=True, eq=False)
class Blurs:
    """The blur of a frame and of what of it was looked at.

    Attributes:
        frame: of the mean of the regions' moments: motions in several directions cancel out.
        regions: of each region, in the order of the tiles.
        kernel: (k, k) float32, the mean of the regions' kernels, SR px.
    """

    frame: Blur
    regions: tuple[Blur, ...]
    kernel: NDArray[np.float32]


def blurs_of(kernels: NDArray[np.float32], tiles: Sequence[Tile], scale_factor: float) -> Blurs:
    """The blur by the kernels of a frame's regions.

    Args:
        kernels: (N, k, k), SR px, N ≥ 1; of each region.
        tiles: the N regions.
        scale_factor: SR px per region px.

    Raises:
        EngineError: if a kernel is not finite, or does not sum to more than 0.
    """
    steps = [
        np.array([tile.rect.width / tile.size[0], tile.rect.height / tile.size[1]])
        for tile in tiles
    ]
    in_image = [np.outer(step, step) / scale_factor**2 for step in steps]
    moments = second_moments(kernels) * np.array(in_image)
    regions = tuple(blur_of(one) for one in moments)
    return Blurs(blur_of(moments.mean(0)), regions, kernels.mean(0, dtype=np.float32))


def second_moments(kernels: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, k, k) kernels -> (N, 2, 2) central moments [[xx, xy], [xy, yy]], px².

    Raises:
        EngineError: if a kernel is not finite, or does not sum to more than 0.
    """
    weights = np.asarray(kernels, np.float64)
    total = weights.sum((1, 2))
    if not np.isfinite(weights).all() or not (total > 0).all():
        worst = "values that are not finite" if not np.isfinite(weights).all() else total.min()
        raise EngineError(f"the blur kernels must be finite with a sum above 0, got {worst}")
    weights = weights / total[:, None, None]
    at = np.arange(weights.shape[-1], dtype=np.float64)
    x = at - (weights * at).sum((1, 2))[:, None, None]
    y = at[:, None] - (weights * at[:, None]).sum((1, 2))[:, None, None]
    xx, xy, yy = ((weights * product).sum((1, 2)) for product in (x * x, x * y, y * y))
    return np.stack([xx, xy, xy, yy], 1).reshape(-1, 2, 2)


def blur_of(moments: NDArray[np.float64]) -> Blur:
    """The blur with second central moments [[xx, xy], [xy, yy]], image px²; see the module."""
    xx, xy, yy = float(moments[0, 0]), float(moments[0, 1]), float(moments[1, 1])
    length = math.sqrt(12 * math.hypot(xx - yy, 2 * xy))
    if round(length, _DECIMALS) == 0:  # what is left is rounding
        return Blur(0.0, 0.0)
    angle = math.degrees(math.atan2(2 * xy, xx - yy)) / 2
    return Blur(length, angle % 180 if abs(angle) > 1e-9 else 0.0)


def to_json(blurs: Blurs, tiles: Sequence[Tile]) -> dict[str, Any]:
    """``length_px`` and ``angle_deg`` of the frame and, with ``rect``, of each region."""
    regions = [
        {"rect": [t.rect.x0, t.rect.y0, t.rect.x1, t.rect.y1], **_numbers(blur)}
        for t, blur in zip(tiles, blurs.regions, strict=True)
    ]
    return {**_numbers(blurs.frame), "regions": regions}


def summary(blurs: Sequence[Blur]) -> str:
    """The blur of a recording's frames in a line, for people; there is at least one frame."""
    if len(blurs) == 1:
        return str(blurs[0])
    lengths = [blur.length for blur in blurs]
    return f"{np.median(lengths):.1f} px in the median of frames, {max(lengths):.1f} px at most"


def _numbers(blur: Blur) -> dict[str, float]:
    return {
        "length_px": round(blur.length, _DECIMALS),
        "angle_deg": round(blur.angle, _DECIMALS) % 180,
    }
