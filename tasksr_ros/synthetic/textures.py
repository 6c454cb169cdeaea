"""Textures of one street, made from random numbers: ground, facades, sky."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.camera import CameraModel
from tasksr_ros.synthetic.sprites import FloatImage, smooth_noise
from tasksr_ros.synthetic.street import (
    FAR,
    KERB_X,
    ROAD_HALF_WIDTH,
    ROAD_PERIOD,
    WALL_HEIGHT,
    WALL_PERIOD,
    Level,
    Scenery,
)

_ROAD_RES = 0.04
_WALL_RES = 0.05
_WALL_SINK = 0.2


def build_scenery(
    rng: np.random.Generator, camera: CameraModel, motion: float, sunny: bool
) -> Scenery:
    """Make one street; ``motion`` (m) is how far the camera moves during an exposure."""
    wall_x = float(rng.uniform(9.0, 13.5)), float(rng.uniform(9.0, 13.5))
    road = _levels(_road_texture(rng, wall_x, sunny), _ROAD_RES, motion, 12, rows=True)
    walls = [_levels(_wall_texture(rng), _WALL_RES, motion, 9, rows=False) for _ in range(2)]
    haze = np.array([225, 216, 208], np.float32) * rng.uniform(0.75, 1.0)
    sky = _sky(rng, camera, haze, sunny)
    return Scenery(road, (walls[0], walls[1]), wall_x, sky, haze)


def _levels(
    texture: NDArray[np.uint8], resolution: float, motion: float, count: int, rows: bool
) -> tuple[Level, ...]:
    """Average a texture in steps of two along the road, and less across it."""
    if not rows:
        texture = np.ascontiguousarray(texture.transpose(1, 0, 2))
    blur = max(1, round(motion / resolution))
    tiled = np.concatenate([texture] * 3)
    base = cv2.blur(tiled, (1, blur))[len(texture) : 2 * len(texture)]
    levels, along, across, reach = [], resolution, resolution, 0.0
    period = len(texture) * resolution
    for k in range(count):
        reach = 14.0 * 2 ** (k / 2 + 1.2) + 24 if k < count - 1 else FAR
        repeats = math.ceil((reach + period) / period)
        repeated = np.concatenate([base] * repeats)
        if not rows:
            repeated = np.ascontiguousarray(repeated.transpose(1, 0, 2))
        levels.append(Level(repeated, along, across))
        halve = k % 2 == 1 and base.shape[1] > 64
        size = (base.shape[1] // 2 if halve else base.shape[1], max(1, len(base) // 2))
        across *= base.shape[1] / size[0]
        along *= len(base) / size[1]
        base = cv2.resize(base, size, interpolation=cv2.INTER_AREA)
    return tuple(levels)


def _road_texture(
    rng: np.random.Generator, wall_x: tuple[float, float], sunny: bool
) -> NDArray[np.uint8]:
    h, w = round(ROAD_PERIOD / _ROAD_RES), round(2 * ROAD_HALF_WIDTH / _ROAD_RES)
    x = (np.arange(w) + 0.5) * _ROAD_RES - ROAD_HALF_WIDTH
    z = (np.arange(h) + 0.5) * _ROAD_RES
    grain = (
        rng.standard_normal((h, w), np.float32) * 0.06
        + 0.05 * smooth_noise(rng, (h, w), 40)
        + 0.04 * smooth_noise(rng, (h, w), 7)
    )
    grain += 0.05 * np.cos(x * 2 * np.pi / 1.9 + 0.6).astype(np.float32)[None]
    asphalt = np.array([1.03, 1.0, 0.98]) * rng.uniform(70, 112)
    slabs = np.array([0.93, 0.98, 1.0]) * rng.uniform(110, 158)
    verge = np.array([55, 105, 92]) if rng.random() < 0.5 else slabs * 0.88
    base = np.empty((h, w, 3), np.float32)
    base[:] = asphalt
    base[:, np.abs(x) > KERB_X] = slabs
    base[:, (x < -wall_x[0] + 2.5) | (x > wall_x[1] - 2.5)] = verge
    joints = (z % 0.96) < 0.05
    base[np.ix_(joints, np.abs(x) > KERB_X)] *= 0.85
    base[:, np.abs(np.abs(x) - KERB_X) < 0.09] = slabs * 1.15
    _patches(rng, base)
    paint = np.full(3, rng.uniform(185, 225))
    wear = 0.75 + 0.25 * (grain > -0.05)[..., None]
    dashes = (z % 9.0) < 3.0
    for where, along in (((np.abs(x) < 0.07), dashes), (np.abs(np.abs(x) - 3.4) < 0.06, z >= 0)):
        index = np.ix_(along, where)
        base[index] = base[index] * (1 - wear[index]) + paint * wear[index]
    crossing = (z > 40) & (z < 43.5)
    bars = (np.abs(x) < KERB_X - 0.3) & ((x % 1.0) < 0.5)
    base[np.ix_(crossing, bars)] = paint * 0.95
    if sunny:
        shadow = x > wall_x[1] - rng.uniform(1.5, 6.0)
        base[:, shadow] *= 0.58
    return np.asarray((base * (1 + grain[..., None])).clip(0, 255), np.uint8)


def _patches(rng: np.random.Generator, base: FloatImage) -> None:
    h, w = base.shape[:2]
    for _ in range(14):
        x0, y0 = int(rng.uniform(0.33, 0.62) * w), int(rng.uniform(0, 0.9) * h)
        dx, dy = int(rng.uniform(15, 70)), int(rng.uniform(20, 160))
        base[y0 : y0 + dy, x0 : x0 + dx] *= rng.uniform(0.8, 1.12)
    for _ in range(8):
        centre = (int(rng.uniform(0.36, 0.64) * w), int(rng.uniform(0.02, 0.98) * h))
        cv2.circle(base, centre, 8, (60, 60, 62), -1)
    for _ in range(10):
        start = np.array([rng.uniform(0.35, 0.65) * w, rng.uniform(0, 1) * h])
        steps = np.cumsum(rng.normal((0, 14), 12, (14, 2)), 0) + start
        cv2.polylines(base, [steps.astype(np.int32)], False, (52, 52, 54), 1, cv2.LINE_AA)


def _wall_texture(rng: np.random.Generator) -> NDArray[np.uint8]:
    h, w = round((WALL_HEIGHT + _WALL_SINK) / _WALL_RES), round(WALL_PERIOD / _WALL_RES)
    texture = np.zeros((h, w, 4), np.float32)
    ground = round(WALL_HEIGHT / _WALL_RES)
    z = 0
    while z < w:
        kind = rng.random()
        length = min(w - z, int(rng.uniform(8, 22) / _WALL_RES))
        if kind < 0.16:
            length = min(w - z, int(rng.uniform(4, 14) / _WALL_RES))
            _hedge(rng, texture[:, z : z + length], ground)
        else:
            _building(rng, texture[:, z : z + length], ground)
        z += length
    texture[..., :3] *= texture[..., 3:] / 255
    return texture.clip(0, 255).astype(np.uint8)


def _hedge(rng: np.random.Generator, view: FloatImage, ground: int) -> None:
    top = ground - int(rng.uniform(1.0, 3.2) / _WALL_RES)
    ragged = top + (4 * smooth_noise(rng, (1, view.shape[1]), 8)[0]).astype(int)
    rows = np.arange(view.shape[0])[:, None]
    green = np.array([38, 74, 62, 0]) * rng.uniform(0.6, 1.2)
    leaf = 1 + 0.3 * smooth_noise(rng, view.shape[:2], 3)[..., None]
    inside = (rows >= ragged[None]) & (rows <= ground)
    view[inside] = (green * leaf)[inside]
    view[inside, 3] = 255


def _building(rng: np.random.Generator, view: FloatImage, ground: int) -> None:
    floors = int(rng.integers(2, 6))
    floor_px = int(rng.uniform(2.8, 3.5) / _WALL_RES)
    top = max(0, ground - floors * floor_px - int(rng.uniform(0.5, 1.5) / _WALL_RES))
    palette = (
        (88, 110, 150),
        (150, 175, 190),
        (178, 190, 196),
        (120, 140, 160),
        (140, 140, 138),
        (95, 120, 128),
        (190, 205, 215),
        (110, 140, 185),
        (160, 150, 135),
    )
    colour = np.array(palette[rng.integers(len(palette))]) * rng.uniform(0.6, 1.0)
    view[top:, :, 3] = 255
    view[top:, :, :3] = colour
    height, width = view.shape[0] - top, view.shape[1]
    stain = 1 + 0.05 * smooth_noise(rng, (height, width), 30)
    stain += 0.06 * rng.standard_normal((height, width), np.float32)
    if rng.random() < 0.4:
        stain[::6] *= 0.86
    view[top:, :, :3] *= stain[..., None]
    view[top : top + 8, :, :3] *= rng.uniform(0.55, 1.25)
    _windows(rng, view, ground, floors, floor_px)
    view[ground - 10 :, :, :3] *= 0.7
    view[ground + 1 :] = 0
    if rng.random() < 0.7:
        view[top:, :3, :3] *= 0.5


def _windows(
    rng: np.random.Generator, view: FloatImage, ground: int, floors: int, floor_px: int
) -> None:
    pitch, wide = int(rng.uniform(1.9, 3.6) / _WALL_RES), rng.uniform(0.35, 0.7)
    tall = rng.uniform(0.45, 0.68)
    frame = rng.uniform(60, 235)
    shop = rng.random() < 0.45
    for floor in range(floors):
        y1 = ground - floor * floor_px - int(floor_px * 0.2)
        y0 = y1 - int(floor_px * tall)
        if floor == 0 and shop:
            y0, y1 = ground - int(floor_px * 0.85), ground - 8
            view[y0 - 12 : y0, :, :3] = rng.uniform(40, 190) + rng.uniform(-30, 30, 3)
        for x0 in range(pitch // 4, view.shape[1] - int(pitch * wide), pitch):
            x1 = x0 + int(pitch * (0.85 if floor == 0 and shop else wide))
            door = floor == 0 and not shop and rng.random() < 0.2
            bottom = ground if door else y1
            glass = rng.uniform(25, 95) * np.array([1.08, 1.0, 0.94])
            if rng.random() < 0.25:
                glass = glass * rng.uniform(1.2, 2.0)
            view[y0 - 2 : bottom + 2, x0 - 2 : x1 + 2, :3] = frame
            ramp = np.linspace(1.25, 0.7, bottom - y0)[:, None, None]
            view[y0:bottom, x0:x1, :3] = glass * ramp
            view[y0:bottom, (x0 + x1) // 2 : (x0 + x1) // 2 + 2, :3] = frame * 0.9
            view[bottom : bottom + 3, x0 - 3 : x1 + 3, :3] *= 0.55


def _sky(
    rng: np.random.Generator, camera: CameraModel, haze: FloatImage, sunny: bool
) -> NDArray[np.uint8]:
    """Clouds, and two lines of trees at the horizon."""
    height, width = 3 * camera.height, camera.width
    small = height // 4, width // 4
    up = np.linspace(1.5, -1.5, small[0], dtype=np.float32)[:, None, None].clip(0, 1)
    zenith = np.array([235, 178, 128] if sunny else [205, 200, 196], np.float32)
    clear = haze * (1 - up**0.5) + zenith * up**0.5
    cells = np.array([10, 28, 65]) * camera.width / 1280
    cloud = sum(smooth_noise(rng, small, cell) * cell for cell in cells) / cells[-1]
    cover = np.clip(cloud * 0.5 + (0.1 if sunny else 0.45), 0, 0.85)[..., None]
    small_sky = clear * (1 - cover) + np.array([240, 238, 236], np.float32) * cover
    sky = np.asarray(cv2.resize(small_sky, (width, height)), np.float32)
    band = slice(height // 2 - camera.height // 8, None)
    for depth, tall in ((0.6, 0.03), (0.4, 0.02)):
        _skyline(rng, sky[band], camera.height // 8, tall * camera.height, haze, depth)
    return np.asarray(sky.clip(0, 255), np.uint8)


def _skyline(
    rng: np.random.Generator,
    view: FloatImage,
    horizon: int,
    tall: float,
    haze: FloatImage,
    depth: float,
) -> None:
    """Trees about ``tall`` px above the row ``horizon``, and what is below them."""
    width = view.shape[1]
    line = smooth_noise(rng, (1, width), width / 24)[0]
    line += 0.5 * smooth_noise(rng, (1, width), width / 160)[0]
    edge = horizon - tall * (1 + 0.25 * line)
    leaf = 1 + 0.1 * smooth_noise(rng, (2 * horizon, width), 5)[..., None]
    tone = np.array([92, 104, 96], np.float32) * (1 - depth) + haze * depth
    mask = np.clip(np.arange(2 * horizon)[:, None] - edge[None], 0, 1)[..., None]
    trees = view[: 2 * horizon]
    trees[:] = trees * (1 - mask) + tone * leaf * mask
    view[2 * horizon :] = tone
