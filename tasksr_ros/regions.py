"""Which pixels are distant, cut into tiles of the engine's region size, and the way back.

Spaces: image px (the camera's), region px (a tile's, of which the engine takes a fixed number),
SR px (region px times the scale factor).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.camera import CameraModel
from tasksr_ros.config import RegionConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.io.frames import Frame, crop_rgb, reduced_rgb

_STEEPEST = math.radians(85)
"""Of the rays that are followed to the image plane; beyond 90 degrees they never meet it."""

_ASIDE = np.linspace(-85.0, 85.0, 1361)
"""Directions to the left and right in which people are looked for, degrees."""

CUT_MARGIN = 1.0
"""A box this near to a side of its tile, region px, may go on beyond it."""


@dataclass(frozen=True)
class Rect:
    """A rectangle of whole image px: columns [x0, x1), rows [y0, y1)."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Rows."""
        return self.y1 - self.y0


@dataclass(frozen=True)
class Tile:
    """A rectangle of the image as the engine sees it.

    Attributes:
        rect: what of the image it shows.
        size: (width, height) of the shown part in region px; equal to the rectangle's unless
            the tile is reduced. The rest of the engine's region, if any, is padding.
        inner: which sides (left, top, right, bottom) have a neighbouring tile beyond them.
        open: beyond which sides the near pass sees the image go on.
    """

    rect: Rect
    size: tuple[int, int]
    inner: tuple[bool, bool, bool, bool] = (False, False, False, False)
    open: tuple[bool, bool, bool, bool] = (False, False, False, False)

    def to_image(self, xyxy_sr: NDArray[np.floating], scale_factor: float) -> NDArray[np.float64]:
        """(N, 4) boxes in the tile's SR px -> image px."""
        origin, step = self._origin_step()
        return np.asarray(origin + np.asarray(xyxy_sr, np.float64) / scale_factor * step)

    def to_sr(self, xyxy_image: NDArray[np.floating], scale_factor: float) -> NDArray[np.float64]:
        """(N, 4) boxes in image px -> the tile's SR px: the inverse of `to_image`."""
        origin, step = self._origin_step()
        return np.asarray((np.asarray(xyxy_image, np.float64) - origin) / step * scale_factor)

    def pixels(
        self,
        frame: Frame,
        region_size: tuple[int, int],
        out: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """The tile as the engine takes it: (h, w, 3) uint8 RGB, padded by repeating edges.

        ``out``: memory of that shape to put it in; None: new memory, or a view of the frame's.
        """
        rect = self.rect
        if self.size == (rect.width, rect.height):
            rgb = crop_rgb(frame, rect.x0, rect.y0, rect.x1, rect.y1)
        else:
            rgb = reduced_rgb(frame, (rect.x0, rect.y0, rect.x1, rect.y1), self.size)
        if out is None:
            if self.size == region_size:
                return rgb
            out = np.empty((region_size[1], region_size[0], 3), np.uint8)
        width, height = self.size
        out[:height, :width] = rgb
        out[:height, width:] = rgb[:, -1:]
        out[height:] = out[height - 1]
        return out

    def _origin_step(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        origin = np.array([self.rect.x0, self.rect.y0] * 2, np.float64)
        step = np.array([self.rect.width / self.size[0], self.rect.height / self.size[1]] * 2)
        return origin, step


def distant_band(
    image_size: tuple[int, int], config: RegionConfig, camera: CameraModel | None
) -> Rect:
    """The part of the image in which distant people appear.

    Args:
        image_size: (width, height) in image px.
        config: the band in fractions of the image, or the distances and the mounting.
        camera: needed by the mode ``distance``; must be of the image's size.

    Raises:
        ConfigError: without a camera where one is needed, with one of another image size, or
            if the band lies outside the image.
    """
    width, height = image_size
    x0, x1 = math.floor(config.left * width), math.ceil(config.right * width)
    if config.mode == "full":
        return Rect(x0, 0, x1, height)
    if config.mode == "fixed":
        return Rect(x0, math.floor(config.top * height), x1, math.ceil(config.bottom * height))
    if camera is None:
        raise ConfigError("region.mode distance needs the camera's intrinsics (CameraInfo)")
    if (camera.width, camera.height) != image_size:
        raise ConfigError(
            f"the intrinsics are for {camera.width}x{camera.height} px, "
            f"the image has {width}x{height} px"
        )
    top, bottom = distance_rows(camera, config)
    y0, y1 = max(0, math.floor(top)), min(height, math.ceil(bottom))
    if y0 >= y1:
        raise ConfigError(
            f"people between {config.min_distance:g} and {config.max_distance:g} m would appear "
            f"in rows {top:.4g} to {bottom:.4g}, outside the image of {height} rows; "
            f"check region.camera_pitch ({config.camera_pitch:g} degrees)"
        )
    return Rect(x0, y0, x1, y1)


def distance_rows(camera: CameraModel, config: RegionConfig) -> tuple[float, float]:
    """Rows of the highest head and the lowest foot between the two distances, image px.

    A point at height Y above a flat road, at distance d, lies atan((camera height - Y) / d) below
    the horizon; the pitch of the camera and its margin are added to that angle. Distances are
    along the optical axis, those of an ``equidistant`` camera, which sees to the sides, along the
    ground. A distorted camera sees people of one distance along a curve: the band holds what of it
    lies between ``left`` and ``right``.
    """
    if camera.distortion == "equidistant":
        return _rows(camera, config, _around(config))
    top, bottom = _pinhole_angles(config)
    if not camera.distortion:
        return camera.cy + camera.fy * math.tan(top), camera.cy + camera.fy * math.tan(bottom)
    aside = np.tan(np.radians(_ASIDE))
    across = [np.stack(np.broadcast_arrays(aside, math.tan(a), 1.0), 1) for a in (top, bottom)]
    return _rows(camera, config, np.concatenate(across))


def _pinhole_angles(config: RegionConfig) -> tuple[float, float]:
    """The least and the greatest angle below the optical axis, rad."""
    margin = math.radians(config.pitch_margin)
    angles = [
        math.atan((config.camera_height - above_road) / distance)
        - math.radians(config.camera_pitch)
        for above_road in (0.0, config.person_height)
        for distance in (config.min_distance, config.max_distance)
    ]
    top, bottom = (
        max(-_STEEPEST, min(_STEEPEST, angle))
        for angle in (min(angles) - margin, max(angles) + margin)
    )
    return top, bottom


def _around(config: RegionConfig) -> NDArray[np.float64]:
    """(N, 3) rays to the heads and feet of people all around, at both ends of the pitch."""
    rays = []
    for above_road in (0.0, config.person_height):
        for distance in (config.min_distance, config.max_distance):
            x, z = np.sin(np.radians(_ASIDE)), np.cos(np.radians(_ASIDE))
            y = (config.camera_height - above_road) / distance
            for degrees in (-config.pitch_margin, config.pitch_margin):
                pitch = math.radians(config.camera_pitch + degrees)
                down = y * math.cos(pitch) - z * math.sin(pitch)
                rays.append(np.stack((x, down, y * math.sin(pitch) + z * math.cos(pitch)), 1))
    return np.concatenate(rays)


def _rows(
    camera: CameraModel, config: RegionConfig, rays: NDArray[np.float64]
) -> tuple[float, float]:
    """The highest and the lowest row of the rays between the band's left and right."""
    columns, rows = camera.project(rays).T
    if not (np.isfinite(columns).all() and np.isfinite(rows).all()):
        raise ConfigError(
            f"the distortion ({camera.distortion}, {list(camera.coefficients)!r:.200}) with fx "
            f"{camera.fx:g} and fy {camera.fy:g} must give image px for rays to people, got none"
        )
    low, high = config.left * camera.width, config.right * camera.width
    outside = np.maximum(low - columns, columns - high).clip(0)
    seen = rows[outside <= outside.min()]  # the nearest ones, where the lens reaches none
    return float(seen.min()), float(seen.max())


def check_overlap(overlap: int, region_size: tuple[int, int]) -> None:
    """Raise ConfigError if the overlap leaves a tile nothing of its own."""
    if not 0 <= overlap < min(region_size):
        raise ConfigError(
            f"region.tile_overlap must be less than the region's sides {region_size}, got {overlap}"
        )


def tiles(
    band: Rect,
    image_size: tuple[int, int],
    region_size: tuple[int, int],
    overlap: int,
    near_pass: bool = False,
) -> list[Tile]:
    """Cover the band with tiles of the engine's region size, row by row.

    A band narrower than a tile is widened, so that the tile shows as much of the image as it
    can. Tiles are spread evenly and overlap by ``overlap`` px or more. With ``near_pass`` their
    sides are open where the image goes on.

    Raises:
        ConfigError: if the overlap leaves a tile nothing of its own.
    """
    check_overlap(overlap, region_size)
    columns = _spread(band.x0, band.x1, image_size[0], region_size[0], overlap)
    rows = _spread(band.y0, band.y1, image_size[1], region_size[1], overlap)
    width, height = image_size if near_pass else (0, 0)
    return [
        Tile(
            Rect(x0, y0, x1, y1),
            (x1 - x0, y1 - y0),
            (x0 != columns[0][0], y0 != rows[0][0], x1 != columns[-1][1], y1 != rows[-1][1]),
            (near_pass and x0 > 0, near_pass and y0 > 0, x1 < width, y1 < height),
        )
        for y0, y1 in rows
        for x0, x1 in columns
    ]


def near_tile(image_size: tuple[int, int], region_size: tuple[int, int]) -> Tile:
    """The whole image as the near pass sees it: reduced to fit, its aspect kept; not enlarged."""
    width, height = image_size
    factor = max(1.0, width / region_size[0], height / region_size[1])
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    return Tile(Rect(0, 0, width, height), size)


def cut_boxes(tile: Tile, xyxy_region: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which (N, 4) boxes, in the tile's region px, touch a side beyond which more is seen."""
    sides = tuple(a or b for a, b in zip(tile.inner, tile.open, strict=True))
    cut_x, cut_y = _cut(tile, sides, np.asarray(xyxy_region))
    return np.asarray(cut_x | cut_y)


def seen_whole_elsewhere(
    tile: Tile, xyxy_region: NDArray[np.floating], overlap: int
) -> NDArray[np.bool_]:
    """Which cut boxes are so small that a neighbouring tile sees them whole.

    Args:
        tile: where the boxes were found.
        xyxy_region: (N, 4) in the tile's region px.
        overlap: of neighbouring tiles, region px.
    """
    boxes = np.asarray(xyxy_region)
    cut_x, cut_y = _cut(tile, tile.inner, boxes)
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    small = overlap - 2 * CUT_MARGIN  # then it touches neither side of the overlap in one tile
    return np.asarray((cut_x & (width <= small)) | (cut_y & (height <= small)))


def _cut(
    tile: Tile, sides: tuple[bool, ...], boxes: NDArray[np.floating]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which boxes touch one of the chosen sides, left or right and top or bottom."""
    left, top, right, bottom = sides
    x0, y0, x1, y1 = boxes.T
    width, height = tile.size
    cut_x = (left & (x0 < CUT_MARGIN)) | (right & (x1 > width - CUT_MARGIN))
    cut_y = (top & (y0 < CUT_MARGIN)) | (bottom & (y1 > height - CUT_MARGIN))
    return np.asarray(cut_x), np.asarray(cut_y)


def _spread(start: int, end: int, limit: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """[first, last) of tiles of ``size`` over [start, end), all inside [0, limit)."""
    if limit <= size:
        return [(0, limit)]
    if end - start <= size:
        first = min(max(0, round((start + end - size) / 2)), limit - size)
        return [(first, first + size)]
    count = math.ceil((end - start - overlap) / (size - overlap))
    step = (end - start - size) / (count - 1)
    firsts = [start + round(index * step) for index in range(count)]
    return [(first, first + size) for first in firsts]
