"""Blur by driving ahead: the image grows about the focus of expansion while the shutter is open."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tasksr_ros.errors import ConfigError


@dataclass(frozen=True)
class ForwardMotion:
    """The vehicle drives towards a scene whose points are all at one distance.

    While the shutter is open, a point at p px from the focus of expansion moves away from it by
    p · speed · exposure_time / distance px.

    Attributes:
        speed: m/s.
        exposure_time: s.
        distance: of the scene in the middle of the exposure, m.
        focus_x: of expansion, from the image's left edge, of its width; may lie outside of 0 to 1.
        focus_y: from its upper edge, of its height, likewise.
    """

    speed: float
    exposure_time: float
    distance: float
    focus_x: float
    focus_y: float

    def __post_init__(self) -> None:
        if not 0 <= self.speed * self.exposure_time < self.distance:
            raise ValueError(f"expected less way during the exposure than distance, got {self}")

    @property
    def growth(self) -> float:
        """Of the image during the exposure, as a fraction of its size."""
        return self.speed * self.exposure_time / self.distance

    def longest(self, hw: tuple[int, int]) -> float:
        """Length of the longest streak in an image of that height and width, px."""
        far_x = hw[1] * max(abs(self.focus_x), abs(1 - self.focus_x))
        far_y = hw[0] * max(abs(self.focus_y), abs(1 - self.focus_y))
        return self.growth * math.hypot(far_x, far_y)


@dataclass(frozen=True)
class ForwardMotionConfig:
    """What motions are drawn; ranges are (least, greatest), evenly distributed between.

    Attributes:
        speed: m/s.
        exposure_time: s.
        distance: m.
        focus: of expansion, of the width and of the height: beyond 0 to 1 as well, because the
            image may be a part of the camera's.

    Raises:
        ConfigError: for ranges that cannot be.
    """

    speed: tuple[float, float] = (5.0, 30.0)
    exposure_time: tuple[float, float] = (0.004, 0.02)
    distance: tuple[float, float] = (10.0, 60.0)
    focus: tuple[float, float] = (-1.5, 2.5)

    def __post_init__(self) -> None:
        for name in ("speed", "exposure_time", "distance"):
            low, high = getattr(self, name)
            if not 0 <= low <= high < math.inf:
                raise ConfigError(
                    f"forward_motion.{name}: expected 0 <= least <= greatest, got {low}, {high}"
                )
        if self.speed[1] * self.exposure_time[1] >= self.distance[0]:
            raise ConfigError(
                f"forward_motion.distance: expected more than speed · exposure_time, "
                f"{self.speed[1] * self.exposure_time[1]:.3g} m, got {self.distance[0]} m"
            )


def draw_forward_motion(config: ForwardMotionConfig, rng: np.random.Generator) -> ForwardMotion:
    """Draw one motion."""
    return ForwardMotion(
        speed=rng.uniform(*config.speed),
        exposure_time=rng.uniform(*config.exposure_time),
        distance=rng.uniform(*config.distance),
        focus_x=rng.uniform(*config.focus),
        focus_y=rng.uniform(*config.focus),
    )


def blur_by_forward_motion(image: Tensor, motion: ForwardMotion) -> Tensor:
    """Average the image as it looks at moments spread evenly over the exposure.

    There are at least two moments per px of the longest streak. Edges are repeated.

    Args:
        image: (C, H, W), as it looks in the middle of the exposure.
        motion: of the vehicle.

    Returns:
        (C, H, W).
    """
    height, width = image.shape[-2:]
    moments = max(1, math.ceil(2 * motion.longest((height, width))))
    from_x = _from_focus(width, motion.focus_x, image)
    from_y = _from_focus(height, motion.focus_y, image)
    total = torch.zeros_like(image)
    for i in range(moments):
        # what is seen at p at time t (of the exposure, from its middle) is seen at
        # focus + (p - focus) · (1 - speed · t / distance) in its middle
        zoom = 1 - motion.growth * ((i + 0.5) / moments - 0.5)
        x, y = motion.focus_x + from_x * zoom, motion.focus_y + from_y * zoom
        grid = torch.stack(torch.meshgrid(2 * x - 1, 2 * y - 1, indexing="xy"), -1)[None]
        total += F.grid_sample(image[None], grid, padding_mode="border", align_corners=False)[0]
    return total / moments


def _from_focus(pixels: int, focus: float, like: Tensor) -> Tensor:
    """(pixels,) distances of the pixels' centres from the focus, as fractions of the side."""
    centres = torch.arange(pixels, device=like.device, dtype=like.dtype) + 0.5
    return centres / pixels - focus
