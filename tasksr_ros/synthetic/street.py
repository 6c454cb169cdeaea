"""The street around the vehicle: road and facades as textured planes, sky and skyline.

World axes: x to the right of the road's middle, y up, z along the road, metres. A plane seen at
a grazing angle is drawn in bands of distance, each from a texture averaged to the size that a
pixel covers there, so that nothing flickers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.camera import CameraModel
from tasksr_ros.synthetic.sprites import FloatImage

KERB_X = 5.6
"""Distance of the kerbs from the middle of the road, m."""
ROAD_PERIOD = 72.0
WALL_PERIOD = 144.0
"""After these lengths (m) the ground and the facades repeat."""
ROAD_HALF_WIDTH = 18.0
WALL_HEIGHT = 21.0
"""Extent of the textures, m."""
FAR = 400.0
"""What is farther (m) is part of the horizon."""


@dataclass(frozen=True, eq=False)
class Level:
    """A texture averaged to steps of ``along`` and ``across`` metres per texel, and repeated."""

    texture: NDArray[np.uint8]
    along: float
    across: float


@dataclass(frozen=True, eq=False)
class Scenery:
    """All that stands still: textures of one street.

    Attributes:
        road: levels of the ground, rows along z, columns across.
        walls: levels of the left and the right facades (BGRA premultiplied), rows downwards
            from ``WALL_HEIGHT``, columns along z.
        wall_x: distance of the facades from the middle of the road, m.
        sky: the picture at infinity, BGR, three times the image's height with the horizon in its
            middle.
        haze: colour of the distance, BGR.
    """

    road: tuple[Level, ...]
    walls: tuple[tuple[Level, ...], tuple[Level, ...]]
    wall_x: tuple[float, float]
    sky: NDArray[np.uint8]
    haze: FloatImage


@dataclass(frozen=True)
class View:
    """Where the camera is: x, z in metres, the row of the horizon in image px."""

    camera: CameraModel
    height: float
    x: float
    z: float
    horizon: float

    def project(self, x: float, y: float, distance: float) -> tuple[float, float]:
        """Image px of the world point x, y at ``distance`` ahead of the camera."""
        scale = self.camera.fx / distance
        return (
            self.camera.cx + (x - self.x) * scale,
            self.horizon + (self.height - y) * self.camera.fy / distance,
        )


def draw_scenery(scenery: Scenery, view: View, visibility: float) -> NDArray[np.uint8]:
    """Draw the street without the things on it; (H, W, 3) uint8 BGR."""
    height = view.camera.height
    image: NDArray[np.uint8] = scenery.sky[_sky_rows(round(view.horizon), height)].copy()
    _draw_road(image, scenery, view, visibility)
    for side in (0, 1):
        _draw_wall(image, scenery, view, side, visibility)
    return image


def _sky_rows(horizon: int, height: int) -> slice:
    start = (3 * height) // 2 - horizon
    return slice(start, start + height)


def _draw_road(image: NDArray[np.uint8], scenery: Scenery, view: View, visibility: float) -> None:
    camera = view.camera
    metres = camera.fy * view.height
    bottom = camera.height
    for level, nxt in zip(scenery.road, [*scenery.road[1:], None], strict=True):
        # the row from which a pixel covers more than a texel of the next level
        far = math.sqrt(metres * nxt.along) if nxt else FAR
        top = max(math.ceil(view.horizon + metres / min(far, FAR)), 0)
        if top >= bottom:
            continue
        start = metres / max(bottom - view.horizon, 1)
        offset = (view.z + start) % ROAD_PERIOD - start
        row0, k = view.horizon - top, level.along
        # texel = (x, z) of the road at image px: z = metres / (v - horizon)
        inverse = np.array(
            [
                [
                    view.height / level.across,
                    (view.x + ROAD_HALF_WIDTH) / level.across,
                    (-camera.cx * view.height - row0 * (view.x + ROAD_HALF_WIDTH)) / level.across,
                ],
                [0, offset / k, (metres - row0 * offset) / k],
                [0, 1, -row0],
            ]
        )
        inverse = _texel_centres() @ inverse
        cv2.warpPerspective(
            level.texture,
            inverse,
            (camera.width, bottom - top),
            dst=image[top:bottom],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        _haze_rows(
            image[top:bottom],
            metres / (np.arange(top, bottom) - view.horizon),
            scenery.haze,
            visibility,
        )
        bottom = top
    _haze_rows(
        image[max(0, round(view.horizon)) : bottom], np.array([FAR]), scenery.haze, visibility
    )


def _haze_rows(
    rows: NDArray[np.uint8], distance: NDArray[np.floating], haze: FloatImage, visibility: float
) -> None:
    keep = np.exp(-distance / visibility).astype(np.float32)
    if rows.size == 0 or keep.min() > 0.98:
        return
    rows[:] = rows * keep[:, None, None] + (1 - keep)[:, None, None] * haze


def _draw_wall(
    image: NDArray[np.uint8], scenery: Scenery, view: View, side: int, visibility: float
) -> None:
    camera = view.camera
    sign = -1 if side == 0 else 1
    aside = scenery.wall_x[side] - sign * view.x
    metres = camera.fx * aside
    edge = camera.width - camera.cx if sign > 0 else camera.cx
    levels = scenery.walls[side]
    near_px = int(edge)
    for level, nxt in zip(levels, [*levels[1:], None], strict=True):
        far = math.sqrt(metres * nxt.along) if nxt else FAR
        far_px = max(math.ceil(metres / min(far, FAR)), 1)
        if far_px >= near_px:
            continue
        start = metres / near_px
        offset = (view.z + start) % WALL_PERIOD - start
        u0 = int(camera.cx + far_px) if sign > 0 else int(camera.cx - near_px)
        u1 = int(camera.cx + near_px) if sign > 0 else int(camera.cx - far_px)
        col0 = sign * (camera.cx - u0)
        # distance = metres / w, w = sign * (u - cx); height = camera height - (v - horizon) aside/w
        reach = aside * camera.fx / camera.fy
        top = max(0, math.floor(view.horizon - (WALL_HEIGHT - view.height) * near_px / aside))
        foot = min(camera.height, math.ceil(view.horizon + view.height * near_px / aside) + 1)
        inverse = np.array(
            [
                [offset * sign / level.along, 0, (metres - offset * col0) / level.along],
                [
                    (WALL_HEIGHT - view.height) * sign / level.across,
                    reach / level.across,
                    (-(WALL_HEIGHT - view.height) * col0 - reach * (view.horizon - top))
                    / level.across,
                ],
                [sign, 0, -col0],
            ]
        )
        size = (u1 - u0, foot - top)
        warped = cv2.warpPerspective(
            level.texture,
            _texel_centres() @ inverse,
            size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        patch = np.asarray(warped, np.uint8)
        columns = np.abs(np.arange(u0, u1) + 0.5 - camera.cx)
        _blend_wall(
            image[top:foot, u0:u1], patch, np.exp(-metres / columns / visibility), scenery.haze
        )
        near_px = far_px


def _blend_wall(
    view: NDArray[np.uint8], patch: NDArray[np.uint8], keep: NDArray[np.floating], haze: FloatImage
) -> None:
    alpha = patch[..., 3]
    colour = patch[..., :3]
    if keep.min() < 0.98:
        # haze lies over the wall only: a share of its own alpha
        weight = keep.astype(np.float32)[None, :, None]
        veil = (alpha[..., None] * (1 - weight)) * (haze / 255)
        colour = (colour * weight + veil).astype(np.uint8)
    inverse = cv2.merge([cv2.bitwise_not(alpha)] * 3)
    cv2.multiply(view, inverse, dst=view, scale=1 / 255)
    cv2.add(view, np.ascontiguousarray(colour), dst=view)


def _texel_centres() -> NDArray[np.float64]:
    return np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]])
