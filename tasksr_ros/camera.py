"""Pinhole camera and its mounting on the vehicle."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CameraModel:
    """Intrinsics of a pinhole camera, in image px.

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
