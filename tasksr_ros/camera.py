"""A camera's intrinsics and its lens: from rays to image px and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.errors import ConfigError

COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}
"""Distortion models of sensor_msgs/CameraInfo, and how many coefficients each may have.

plumb_bob and rational_polynomial are OpenCV's (Brown's, with tangential distortion); equidistant is
its fisheye model (Kannala and Brandt, PAMI 2006, four coefficients).
"""
WIDEST = {"plumb_bob": 85.0, "rational_polynomial": 85.0, "equidistant": 120.0}
"""Greatest angle to the optical axis at which a ray is followed, degrees."""


@dataclass(frozen=True)
class CameraModel:
    """Intrinsics of a camera, in image px; without ``distortion`` of a pinhole.

    Raises:
        ConfigError: for sizes or focal lengths that are not positive, values that are not
            finite, or a distortion that is not known.

    Attributes:
        width, height: image size.
        fx, fy: focal lengths.
        cx, cy: principal point.
        distortion: a name of `COEFFICIENTS`, or "".
        coefficients: of the distortion, in CameraInfo's order.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: str = ""
    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        positive = min(self.width, self.height, self.fx, self.fy) > 0
        if not positive or not all(map(math.isfinite, (self.fx, self.fy, self.cx, self.cy))):
            raise ConfigError(
                f"camera must have positive size and focal lengths, got {self.width}x{self.height} "
                f"px, fx {self.fx:g}, fy {self.fy:g}, cx {self.cx:g}, cy {self.cy:g}"
            )
        if self.distortion or self.coefficients:
            self._check_distortion()

    def _check_distortion(self) -> None:
        known = COEFFICIENTS.get(self.distortion)
        if known is None:
            raise ConfigError(
                f"distortion_model must be one of {', '.join(COEFFICIENTS)}, "
                f"got {self.distortion!r:.60}"
            )
        if len(self.coefficients) not in known or not all(map(math.isfinite, self.coefficients)):
            counts = " or ".join(map(str, known))
            raise ConfigError(
                f"distortion_model {self.distortion} must have {counts} finite coefficients, "
                f"got {list(self.coefficients)!r:.200}"
            )

    def project(self, rays: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, 3) directions (right, down, along the optical axis), not zero -> (N, 2) image px.

        A ray beyond the angle up to which the lens's model grows is moved to that angle: it stays
        at the rim, on its side.
        """
        x, y, z = np.asarray(rays, np.float64).T
        angle = np.minimum(np.arctan2(np.hypot(x, y), z), self._widest)
        turn = np.arctan2(y, x)
        return self._project(angle, turn)

    def _project(self, angle: NDArray[Any], turn: NDArray[Any]) -> NDArray[np.float64]:
        if self.distortion == "equidistant":
            k = (1.0, *self.coefficients)
            radius = sum(c * angle ** (2 * power + 1) for power, c in enumerate(k))
            x, y = radius * np.cos(turn), radius * np.sin(turn)
            return np.stack((self.cx + self.fx * x, self.cy + self.fy * y), 1)
        radius = np.tan(angle)
        points = np.stack((radius * np.cos(turn), radius * np.sin(turn), np.ones_like(radius)), 1)
        nowhere, coefficients = np.zeros(3), np.array(self.coefficients)
        projected, _ = cv2.projectPoints(points, nowhere, nowhere, self._matrix, coefficients)
        return np.asarray(projected, np.float64).reshape(-1, 2)

    @cached_property
    def _widest(self) -> float:
        """The greatest angle to which distance from the centre grows, in all directions."""
        angles = np.linspace(0.0, math.radians(WIDEST.get(self.distortion, 85.0)), 512)
        least = len(angles) - 1
        for turn in np.linspace(0.0, 2 * math.pi, 16, endpoint=False):
            offset = self._project(angles, np.full_like(angles, turn)) - (self.cx, self.cy)
            with np.errstate(over="ignore", invalid="ignore"):  # of no lens that there is
                falls = np.flatnonzero(np.diff(np.hypot(*offset.T)) <= 0)
            least = min(least, int(falls[0]) if len(falls) else least)
        return float(angles[least])

    def straightened(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, 2) image px -> where a pinhole camera with the same matrix would see them."""
        given = np.asarray(points, np.float64).reshape(-1, 1, 2)
        if not self.distortion or not len(given):
            return given.reshape(-1, 2)
        undistort = (
            cv2.fisheye.undistortPoints if self.distortion == "equidistant" else cv2.undistortPoints
        )
        matrix = self._matrix
        found = undistort(given, matrix, np.array(self.coefficients), P=matrix)
        return np.asarray(found, np.float64).reshape(-1, 2)

    @property
    def _matrix(self) -> NDArray[np.float64]:
        return np.array(((self.fx, 0, self.cx), (0, self.fy, self.cy), (0, 0, 1)), np.float64)
