"""Flat figures with transparency: resampling to their size in the image and compositing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]
_LEAST_BLUR = 1.0
_SUPERSAMPLING = ((160, 4), (420, 2), (1 << 30, 1))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> FloatImage:
    """Noise of about unit deviation, (height, width) float32, with details of ``cell`` px."""
    coarse = (max(2, int(shape[0] / cell) + 2), max(2, int(shape[1] / cell) + 2))
    noise = rng.standard_normal(coarse, np.float32)
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC), np.float32)


@dataclass(frozen=True, eq=False)
class Sprite:
    """A flat figure that stands upright on the road.

    Attributes:
        levels: (h, w, 4) uint8 premultiplied BGRA; each level half the size of the one before.
        px_per_m: resolution of level 0.
        foot_xy: the point on the ground, in px of level 0.
        box: x0, y0, x1, y1 of what is opaque, in px of level 0.
    """

    levels: tuple[NDArray[np.uint8], ...]
    px_per_m: float
    foot_xy: tuple[float, float]
    box: tuple[float, float, float, float]

    @classmethod
    def from_canvas(
        cls, canvas: FloatImage, px_per_m: float, foot_xy: tuple[float, float]
    ) -> Sprite:
        """Build the levels of a premultiplied BGRA canvas, float32 in 0..255."""
        ys, xs = np.nonzero(canvas[..., 3] > 127)
        box = float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)
        levels = [canvas.clip(0, 255).round().astype(np.uint8)]
        while min(levels[-1].shape[:2]) >= 16:
            h, w = levels[-1].shape[:2]
            level = cv2.resize(levels[-1], (w // 2, h // 2), interpolation=cv2.INTER_AREA)
            levels.append(np.asarray(level, np.uint8))
        return cls(tuple(levels), px_per_m, foot_xy, box)

    def box_at(self, foot: tuple[float, float], scale: float) -> tuple[float, ...]:
        """Box x0, y0, x1, y1 in image px with the foot at ``foot`` and ``scale`` px per metre."""
        s = scale / self.px_per_m
        x0, y0, x1, y1 = self.box
        fx, fy = self.foot_xy
        return (
            foot[0] + (x0 - fx) * s,
            foot[1] + (y0 - fy) * s,
            foot[0] + (x1 - fx) * s,
            foot[1] + (y1 - fy) * s,
        )


@dataclass(frozen=True, eq=False)
class Patch:
    """Premultiplied BGRA pixels, (h, w, 4) float32 in 0..255, at x0, y0 of the image."""

    x0: int
    y0: int
    pixels: FloatImage


@dataclass(frozen=True, eq=False)
class Drawn:
    """Something ready to be laid into the image.

    Attributes:
        distance: along the optical axis, m; what is farther is laid first.
        patch: its pixels.
        track_id: of a person, else -1.
        box: of a person, x0, y0, x1, y1 in image px, not clipped.
    """

    distance: float
    patch: Patch
    track_id: int = -1
    box: tuple[float, ...] = ()


def place(
    sprite: Sprite,
    foot: tuple[float, float],
    scale: float,
    size: tuple[int, int],
    motion: tuple[float, float] = (0.0, 0.0),
) -> Patch | None:
    """Resample a sprite with its foot at ``foot`` (image px), ``scale`` px per metre.

    Each pixel is the mean over its area; the place is exact to fractions of a pixel. The figure
    is blurred along ``motion`` (image px during the exposure). None where it is not in the image
    of ``size`` (width, height).
    """
    s = scale / sprite.px_per_m
    h, w = sprite.levels[0].shape[:2]
    reach = np.abs(motion)
    left, top = foot[0] - sprite.foot_xy[0] * s, foot[1] - sprite.foot_xy[1] * s
    x0, y0 = max(0, int(left - reach[0]) - 1), max(0, int(top - reach[1]) - 1)
    x1 = min(size[0], int(left + w * s + reach[0]) + 2)
    y1 = min(size[1], int(top + h * s + reach[1]) + 2)
    if x1 <= x0 or y1 <= y0:
        return None
    ss = next(ss for limit, ss in _SUPERSAMPLING if h * s < limit)
    level = 0
    while level + 1 < len(sprite.levels) and s * ss * 2 ** (level + 1) <= 1.0:
        level += 1
    source = sprite.levels[level]
    kx, ky = s * ss * w / source.shape[1], s * ss * h / source.shape[0]
    matrix = np.array(
        [[kx, 0, (left - x0) * ss + kx / 2 - 0.5], [0, ky, (top - y0) * ss + ky / 2 - 0.5]]
    )
    pixels = cv2.warpAffine(source, matrix, ((x1 - x0) * ss, (y1 - y0) * ss))
    pixels = motion_blur(np.asarray(pixels, np.uint8), motion[0] * ss, motion[1] * ss)
    if ss > 1:
        pixels = cv2.resize(pixels, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    return Patch(x0, y0, np.asarray(pixels, np.float32))


def motion_blur(image: NDArray[np.uint8], dx: float, dy: float) -> NDArray[np.uint8]:
    """Mean of the image along a straight motion of (dx, dy) px, centred."""
    length = max(abs(dx), abs(dy))
    if length < _LEAST_BLUR:
        return image
    size = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((size, size), np.float32)
    centre = np.array([size // 2, size // 2]) + 0.5
    half = np.array([dx, dy]) / 2
    a, b = (centre - half) * 16 - 8, (centre + half) * 16 - 8
    cv2.line(kernel, a.astype(int).tolist(), b.astype(int).tolist(), 1.0, 1, cv2.LINE_8, 4)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def composite(image: NDArray[np.uint8], patch: Patch) -> None:
    """Lay a patch over the BGR image in place."""
    h, w = patch.pixels.shape[:2]
    view = image[patch.y0 : patch.y0 + h, patch.x0 : patch.x0 + w]
    keep = 1.0 - patch.pixels[..., 3:] / 255.0
    view[:] = (view * keep + patch.pixels[..., :3] + 0.5).clip(0, 255)


def veil(patch: Patch, colour: NDArray[np.float32], transmission: float) -> Patch:
    """Lay the haze of the distance over a patch: ``transmission`` of it stays."""
    if transmission > 0.99:
        return patch
    pixels = patch.pixels.copy()
    pixels[..., :3] *= transmission
    pixels[..., :3] += patch.pixels[..., 3:] * (colour * (1 - transmission) / 255.0)
    return Patch(patch.x0, patch.y0, pixels)


def visible_share(patch: Patch, later: list[Patch]) -> float:
    """Share of a patch's alpha that the ``later`` patches leave."""
    alpha = patch.pixels[..., 3] / 255
    total = float(alpha.sum())
    h, w = alpha.shape
    remaining = alpha
    for other in later:
        oh, ow = other.pixels.shape[:2]
        x0, x1 = max(patch.x0, other.x0), min(patch.x0 + w, other.x0 + ow)
        y0, y1 = max(patch.y0, other.y0), min(patch.y0 + h, other.y0 + oh)
        if x0 >= x1 or y0 >= y1:
            continue
        if remaining is alpha:
            remaining = alpha.copy()
        remaining[y0 - patch.y0 : y1 - patch.y0, x0 - patch.x0 : x1 - patch.x0] *= (
            1 - other.pixels[y0 - other.y0 : y1 - other.y0, x0 - other.x0 : x1 - other.x0, 3] / 255
        )
    return float(remaining.sum()) / total if total > 0 else 0.0
