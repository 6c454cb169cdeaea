"""How far an image is from the true one: PSNR and SSIM, on luminance or on RGB."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Channels = Literal["y", "rgb"]

LUMINANCE = np.array([65.481, 128.553, 24.966]) / 255
"""Weights of R, G and B (0-255) in ITU-R BT.601 luma of range 16-235, as MATLAB's rgb2ycbcr."""

_WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(
    a: NDArray[np.uint8], b: NDArray[np.uint8], border: int = 0, channels: Channels = "y"
) -> float:
    """Peak signal-to-noise ratio in dB, of a peak of 255; equal images give infinity.

    Args:
        a: (H, W, 3) uint8 RGB.
        b: likewise.
        border: px to leave out at each side; usually the scale factor.
        channels: ``y``: BT.601 luma, not rounded; ``rgb``: the mean error of all three channels.

    Raises:
        ValueError: for images of different or other shapes or types, or smaller than the borders.
    """
    x, y = (_prepared(image, border, channels, 1) for image in _checked(a, b))
    mse = float(np.mean((x - y) ** 2))
    return float("inf") if mse == 0 else 10 * float(np.log10(255**2 / mse))


def ssim(
    a: NDArray[np.uint8], b: NDArray[np.uint8], border: int = 0, channels: Channels = "y"
) -> float:
    """Mean structural similarity: 1 for equal images.

    Wang, Bovik, Sheikh, Simoncelli: "Image quality assessment: from error visibility to structural
    similarity", IEEE TIP 13(4), 2004, eq. 13: Gaussian window of 11x11 px with a standard deviation
    of 1.5 px, K1 = 0.01, K2 = 0.03, L = 255; only where the window lies inside the image.

    Args:
        a: (H, W, 3) uint8 RGB.
        b: likewise.
        border: px to leave out at each side first; usually the scale factor.
        channels: ``y``: BT.601 luma, not rounded; ``rgb``: the mean of the channels' SSIM.

    Raises:
        ValueError: for images of different or other shapes or types, or smaller than the window
            without the borders.
    """
    x, y = (_prepared(image, border, channels, _WINDOW) for image in _checked(a, b))
    mean_x, mean_y = _windowed(x), _windowed(y)
    variances = _windowed(x * x) - mean_x**2 + _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return float(np.mean(likeness * (2 * covariance + _C2) / (variances + _C2)))


def luminance(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(H, W, 3) uint8 RGB to (H, W) BT.601 luma, 16 to 235, not rounded."""
    return np.asarray(rgb.astype(float) @ LUMINANCE + 16)


def _checked(
    a: NDArray[np.uint8], b: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    for image in (a, b):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"expected (H, W, 3) uint8, got {image.shape} {image.dtype}")
    if a.shape != b.shape:
        raise ValueError(f"expected images of one shape, got {a.shape} and {b.shape}")
    return a, b


def _prepared(
    image: NDArray[np.uint8], border: int, channels: Channels, least: int
) -> NDArray[np.float64]:
    """Without the border, in the wanted channels: (H', W', 1 or 3)."""
    if border < 0 or min(image.shape[:2]) - 2 * border < least:
        raise ValueError(
            f"expected sides of at least {least} px within a border of {border} px >= 0, "
            f"got {image.shape[:2]}"
        )
    inner = image[border : image.shape[0] - border, border : image.shape[1] - border]
    return luminance(inner)[..., None] if channels == "y" else inner.astype(float)


def _windowed(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian mean of each window that lies inside: (H, W, C) -> (H - 10, W - 10, C)."""
    t = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-0.5 * (t / _SIGMA) ** 2)
    weights /= weights.sum()
    means = cv2.sepFilter2D(image, cv2.CV_64F, weights, weights)
    cut = _WINDOW // 2
    return np.asarray(means[cut:-cut, cut:-cut])
