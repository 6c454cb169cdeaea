"""Pinhole camera and its mounting on the vehicle."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tasksr_ros.errors import ConfigError


@dataclass(frozen=True)
class CameraModel:
    """Intrinsics of a pinhole camera, in image px.

    Raises:
        ConfigError: for sizes or focal lengths that are not positive, or values that are not
            finite.

    Attributes:
        width, height: image size.
        fx, fy: focal lengths.
        cx, cy: principal point.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        positive = min(self.width, self.height, self.fx, self.fy) > 0
        if not positive or not all(map(math.isfinite, (self.fx, self.fy, self.cx, self.cy))):
            raise ConfigError(
                f"camera must have positive size and focal lengths, got {self.width}x{self.height} "
                f"px, fx {self.fx:g}, fy {self.fy:g}, cx {self.cx:g}, cy {self.cy:g}"
            )
