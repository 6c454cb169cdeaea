"""Peak signal-to-noise ratio."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LUMINANCE = np.array([65.481, 128.553, 24.966]) / 255
"""Weights of R, G and B (0-255) in ITU-R BT.601 luma of range 16-235, as MATLAB's rgb2ycbcr."""


def psnr_y(a: NDArray[np.uint8], b: NDArray[np.uint8], border: int) -> float:
    """PSNR on luminance in dB of two (H, W, 3) uint8 RGB images, ``border`` px cut off each side.

    Equal images give infinity.

    Raises:
        ValueError: for images of different shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"expected images of one shape, got {a.shape} and {b.shape}")
    inner = slice(border, -border or None)
    difference = (a[inner, inner].astype(float) - b[inner, inner].astype(float)) @ LUMINANCE
    mse = float(np.mean(difference**2))
    return float("inf") if mse == 0 else 10 * float(np.log10(255**2 / mse))
