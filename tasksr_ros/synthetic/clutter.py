"""Things along the street that are no people: trees, poles, signs, bollards, parked cars.

Many are as tall or as narrow as a person: they are what a detector must learn to refuse.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from tasksr_ros.synthetic.sprites import FloatImage, Patch, Sprite, smooth_noise
from tasksr_ros.synthetic.street import View

KINDS = ("tree", "lamp", "sign", "bollard", "post_box", "traffic_light", "bush", "bin", "board")
CAR_LENGTH = 4.3
_CAR_COLOURS = (
    (35, 35, 38),
    (190, 190, 192),
    (225, 225, 224),
    (110, 62, 32),
    (40, 40, 130),
    (90, 92, 95),
    (70, 84, 60),
    (60, 60, 62),
)


def draw_clutter(kind: str, rng: np.random.Generator) -> Sprite:
    """Draw one thing of a kind in ``KINDS`` with random proportions and colours."""
    height_m = {
        "tree": rng.uniform(4.5, 9.0),
        "lamp": rng.uniform(4.5, 7.0),
        "sign": rng.uniform(2, 2.8),
        "bollard": rng.uniform(0.8, 1.2),
        "post_box": rng.uniform(1.2, 1.7),
        "traffic_light": rng.uniform(2.8, 3.4),
        "bush": rng.uniform(0.9, 2.0),
        "bin": rng.uniform(0.9, 1.3),
        "board": rng.uniform(1.6, 2.3),
    }[kind]
    px_per_m = 60.0 if height_m > 4 else 140.0
    tall = round(height_m * px_per_m)
    wide = {"tree": 0.8, "lamp": 0.45}.get(kind, 0.9)
    canvas = np.zeros((tall + 12, max(32, round(tall * wide)), 4), np.float32)
    draw = {
        "tree": _tree,
        "bush": _bush,
        "lamp": _lamp,
        "sign": _sign,
        "traffic_light": _traffic_light,
    }.get(kind, _box)
    draw(canvas, rng, px_per_m)
    canvas[..., :3] *= (1 + 0.07 * smooth_noise(rng, canvas.shape[:2], 6)[..., None]).clip(0.6, 1.2)
    canvas[..., :3] = canvas[..., :3].clip(0, 255)
    return Sprite.from_canvas(canvas, px_per_m, (canvas.shape[1] / 2, canvas.shape[0] - 4))


def _rectangle(
    canvas: FloatImage, x0: float, y0: float, x1: float, y1: float, colour: tuple[float, ...]
) -> None:
    cv2.rectangle(canvas, (round(x0), round(y0)), (round(x1), round(y1)), (*colour, 255), -1)


def _column(canvas: FloatImage, top: float, width: float, grey: float) -> None:
    """A round post in the middle, from ``top`` to the ground, lit from one side."""
    h, w = canvas.shape[:2]
    x = np.arange(w) - w / 2
    inside = np.abs(x) <= width / 2
    shade = 1 - 0.45 * (x[inside] / width + 0.25) ** 2 - 0.4 * x[inside] / width
    canvas[round(top) : h - 4, inside, :3] = (grey * shade)[None, :, None]
    canvas[round(top) : h - 4, inside, 3] = 255


def _grey(rng: np.random.Generator) -> float:
    return float(rng.uniform(35, 165))


def _tree(canvas: FloatImage, rng: np.random.Generator, px_per_m: float) -> None:
    h, w = canvas.shape[:2]
    _column(canvas, h * 0.4, rng.uniform(0.18, 0.45) * px_per_m, rng.uniform(38, 80))
    _foliage(canvas, rng, (w / 2, h * 0.33), (w * 0.36, h * 0.27), 420)


def _bush(canvas: FloatImage, rng: np.random.Generator, px_per_m: float) -> None:
    h, w = canvas.shape[:2]
    narrow = rng.uniform(0.2, 0.42)
    _foliage(canvas, rng, (w / 2, h * 0.52), (w * narrow, h * 0.38), 260)


def _foliage(
    canvas: FloatImage,
    rng: np.random.Generator,
    centre: tuple[float, float],
    radii: tuple[float, float],
    count: int,
) -> None:
    green = np.array([36, 76, 62]) * rng.uniform(0.55, 1.15)
    for k in range(count):
        angle, r = rng.uniform(0, 2 * math.pi), math.sqrt(rng.random())
        x = centre[0] + radii[0] * r * math.cos(angle)
        y = centre[1] + radii[1] * r * math.sin(angle)
        lit = 0.55 + 0.5 * k / count - 0.35 * (y - centre[1]) / radii[1]
        colour = green * lit * rng.uniform(0.75, 1.25)
        size = max(2, round(radii[0] * rng.uniform(0.05, 0.17)))
        cv2.circle(canvas, (round(x), round(y)), size, (*colour.tolist(), 255), -1)


def _lamp(canvas: FloatImage, rng: np.random.Generator, px_per_m: float) -> None:
    h, w = canvas.shape[:2]
    grey = _grey(rng)
    _column(canvas, 6, rng.uniform(0.09, 0.2) * px_per_m, grey)
    side = rng.choice([-1, 1])
    cv2.line(canvas, (w // 2, 10), (int(w / 2 + side * w * 0.4), 6), (grey, grey, grey, 255), 5)
    _column(canvas, h - 0.9 * px_per_m, 0.26 * px_per_m, grey * 0.9)


def _sign(canvas: FloatImage, rng: np.random.Generator, px_per_m: float) -> None:
    _column(canvas, 8, 0.065 * px_per_m, rng.uniform(90, 150))
    radius = round(rng.uniform(0.26, 0.36) * px_per_m)
    centre = (canvas.shape[1] // 2, radius + 4)
    ring = ((40, 35, 185), (170, 80, 25), (60, 190, 220))[rng.integers(3)]
    face = ((225, 225, 225), (170, 80, 25), (40, 35, 185))[rng.integers(3)]
    cv2.circle(canvas, centre, radius, (*ring, 255), -1)
    cv2.circle(canvas, centre, round(radius * 0.78), (*face, 255), -1)
    if rng.random() < 0.5:
        _rectangle(
            canvas,
            centre[0] - radius * 0.8,
            2 * radius + 8,
            centre[0] + radius * 0.8,
            2.7 * radius + 8,
            (205, 205, 205),
        )


def _traffic_light(canvas: FloatImage, rng: np.random.Generator, px_per_m: float) -> None:
    middle = canvas.shape[1] / 2
    _column(canvas, 10, 0.11 * px_per_m, _grey(rng))
    half, tall = 0.15 * px_per_m, 0.85 * px_per_m
    _rectangle(canvas, middle - half, 6, middle + half, 6 + tall, (28, 30, 28))
    on = int(rng.integers(3))
    for k, colour in enumerate(((40, 40, 225), (40, 180, 235), (110, 220, 70))):
        tone = [c * (1.0 if k == on else 0.22) for c in colour]
        centre = (round(middle), round(6 + tall * (k + 0.5) / 3))
        cv2.circle(canvas, centre, round(half * 0.7), (*tone, 255), -1)


def _box(canvas: FloatImage, rng: np.random.Generator, px_per_m: float) -> None:
    """Bollards, post boxes, bins, advertising boards: upright boxes of two colours."""
    h, w = canvas.shape[:2]
    tall = h - 12
    half = float(np.clip(rng.uniform(0.07, 0.26) * tall, 0.06 * px_per_m, w * 0.48))
    first, second = (rng.uniform(25, 150, (2, 1)) + rng.uniform(-35, 35, (2, 3))).clip(12, 190)
    middle = w / 2
    _rectangle(canvas, middle - half, 6, middle + half, h - 4, tuple(first.tolist()))
    split = 6 + tall * rng.uniform(0.1, 0.5)
    end = split + tall * rng.uniform(0.08, 0.4)
    _rectangle(canvas, middle - half * 0.9, split, middle + half * 0.9, end, tuple(second.tolist()))
    x = (np.arange(w) - middle) / half
    canvas[..., :3] *= (0.95 - 0.2 * x.clip(-1, 1))[None, :, None]


def draw_car(rng: np.random.Generator, view: View, x: float, distance: float) -> Patch | None:
    """Draw a parked car with its near end at ``distance`` m; seen from behind or in front."""
    half, tall = rng.uniform(0.84, 0.95), rng.uniform(1.38, 1.75)
    colour = np.array(_CAR_COLOURS[rng.integers(len(_CAR_COLOURS))]) * rng.uniform(0.75, 1.05)
    lamp = (35, 35, 150) if x > 0 else (210, 215, 215)
    near, far = distance, distance + CAR_LENGTH
    corners = [
        view.project(x + sx * half, y, d) for sx in (-1, 1) for y in (0, tall) for d in (near, far)
    ]
    xs, ys = zip(*corners, strict=True)
    x0, y0 = max(0, int(min(xs)) - 3), max(0, int(min(ys)) - 3)
    x1 = min(view.camera.width, int(max(xs)) + 4)
    y1 = min(view.camera.height, int(max(ys)) + 4)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return None
    ss = 4 if x1 - x0 < 150 else 2
    canvas = np.zeros(((y1 - y0) * ss, (x1 - x0) * ss, 4), np.uint8)

    def quad(points: list[tuple[float, float, float]], tone: object, alpha: int = 255) -> None:
        image = [view.project(x + px * half, py, distance + pz) for px, py, pz in points]
        where = np.array([((u - x0) * ss, (v - y0) * ss) for u, v in image])
        bgr = np.clip(np.asarray(tone, float), 0, 255) * alpha / 255
        cv2.fillPoly(
            canvas,
            [np.round(where * 16 - 8).astype(np.int32)],
            (*bgr.tolist(), alpha),
            cv2.LINE_8,
            4,
        )

    def upright(
        w0: float, y_low: float, w1: float, y_high: float, z0: float, z1: float, tone: object
    ) -> None:
        quad([(-w0, y_low, z0), (w0, y_low, z0), (w1, y_high, z1), (-w1, y_high, z1)], tone)

    length, waist = CAR_LENGTH, tall * 0.62
    inner = 1.0 if view.x > x else -1.0
    quad(
        [(-1.08, 0, -0.1), (1.08, 0, -0.1), (1.08, 0, length), (-1.08, 0, length)],
        (22, 22, 22),
        190,
    )
    glass = np.array([62, 58, 54]) * rng.uniform(0.5, 1.5)
    side = colour * 0.78
    quad([(inner, 0.2, 0), (inner, waist, 0.1), (inner, waist, length), (inner, 0.2, length)], side)
    roof = [(0.82 * inner, tall, 0.9), (0.82 * inner, tall, 3.0)]
    quad([(inner, waist, 0.2), *roof, (inner, waist, 3.9)], glass)
    for wheel in (0.8, 3.4):
        ring = [
            (inner, 0.31 + 0.31 * math.sin(a), wheel + 0.31 * math.cos(a))
            for a in np.linspace(0, 2 * math.pi, 14)
        ]
        quad(ring, (24, 24, 24))
    quad([(-0.82, tall, 0.9), (0.82, tall, 0.9), (0.82, tall, 3), (-0.82, tall, 3)], colour * 1.1)
    upright(0.95, 0.12, 1.0, 0.35, 0, 0, (30, 30, 32))
    upright(1.0, 0.3, 0.98, waist, 0, 0.1, colour)
    upright(0.96, waist, 0.82, tall, 0.1, 0.9, colour * 0.92)
    upright(0.88, waist + 0.04, 0.76, tall - 0.09, 0.09, 0.85, glass)
    upright(0.3, 0.5, 0.3, 0.61, -0.01, -0.01, (195, 205, 205))
    for s in (-1, 1):
        quad(
            [
                (s * 0.97, waist - 0.22, 0),
                (s * 0.72, waist - 0.2, 0),
                (s * 0.72, waist - 0.04, 0),
                (s * 0.97, waist - 0.04, 0),
            ],
            lamp,
        )
        quad(
            [
                (s * 0.98, 0, 0.05),
                (s * 0.74, 0, 0.05),
                (s * 0.74, 0.2, 0.05),
                (s * 0.98, 0.2, 0.05),
            ],
            (20, 20, 20),
        )
    small = cv2.resize(canvas, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    return Patch(x0, y0, small.astype(np.float32))
