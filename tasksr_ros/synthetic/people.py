"""Drawn pedestrians: a walking skeleton in three dimensions, clothed and seen from any side.

Lengths are fractions of the person's height. The skeleton's axes are forward, to the walker's
right, and up; ``heading`` turns it: 0 walks away from the camera, pi/2 to the right in the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.synthetic.sprites import FloatImage, Sprite, smooth_noise

BODY_PX = 224
CANVAS_WH = (192, 252)
SOLE_ROW = 241
Colour = tuple[float, float, float]
Point = tuple[float, float]

_SKIN = (
    (200, 220, 245),
    (175, 200, 232),
    (140, 170, 212),
    (95, 130, 175),
    (60, 85, 125),
    (42, 58, 88),
)
_HAIR = ((25, 25, 28), (30, 38, 52), (45, 65, 92), (95, 135, 170), (150, 150, 150), (40, 55, 110))
_DARK = ((32, 30, 30), (48, 44, 40), (70, 55, 42), (52, 58, 66), (40, 50, 45), (60, 62, 85))
_MIDDLE = ((110, 92, 74), (120, 120, 118), (80, 98, 118), (92, 128, 150), (95, 105, 90))
_BRIGHT = (
    (215, 215, 212),
    (60, 60, 190),
    (185, 110, 50),
    (70, 150, 90),
    (60, 190, 225),
    (160, 130, 205),
    (40, 130, 235),
    (220, 190, 150),
    (165, 200, 215),
)


@dataclass(frozen=True)
class Look:
    """How one person looks; colours are BGR in 0..255."""

    height_m: float
    build: float
    skin: Colour
    hair: Colour
    upper: Colour
    second: Colour
    lower: Colour
    shoes: Colour
    hair_style: str
    garment: str
    legs: str
    pattern: str
    bag: str
    texture_seed: int


@dataclass(frozen=True)
class _Part:
    """A tapered limb between two joints, drawn in order of ``depth`` (the farthest first)."""

    a: Point
    b: Point
    radius_a: float
    radius_b: float
    colour: Colour
    depth: float
    pattern: str = "plain"


def random_look(rng: np.random.Generator) -> Look:
    """Draw a person: dark clothes are the most frequent, as on real streets."""

    def pick(options: tuple[Colour, ...]) -> Colour:
        jitter = rng.normal(0, 9) + rng.normal(0, 5, 3)
        colour = np.array(options[rng.integers(len(options))]) + jitter
        # most cloth and skin on the street is duller than its pure colour
        b, g, r = np.clip(0.82 * (colour + (colour.mean() - colour) * rng.uniform(0, 0.5)), 8, 215)
        return float(b), float(g), float(r)

    def clothing(dark: float) -> Colour:
        kind = rng.random()
        return pick(_DARK if kind < dark else _MIDDLE if kind < dark + 0.25 else _BRIGHT)

    return Look(
        height_m=float(rng.uniform(1.5, 1.9)),
        build=float(rng.uniform(0.88, 1.2)),
        skin=pick(_SKIN),
        hair=pick(_HAIR),
        upper=clothing(0.45),
        second=clothing(0.4),
        lower=clothing(0.6),
        shoes=clothing(0.6),
        hair_style=str(rng.choice(["short", "short", "long", "hat", "hood", "bald"])),
        garment=str(rng.choice(["shirt", "jacket", "jacket", "coat", "dress"])),
        legs=str(rng.choice(["trousers", "trousers", "trousers", "shorts", "skirt"])),
        pattern=str(rng.choice(["plain", "plain", "plain", "stripes", "check", "yoke", "open"])),
        bag=str(rng.choice(["none", "none", "backpack", "hand", "shoulder"])),
        texture_seed=int(rng.integers(2**31)),
    )


def draw_person(look: Look, heading: float, phase: float, walking: bool) -> Sprite:
    """Draw a person at a ``phase`` of the walk (radians) as a sprite of ``height_m``."""
    rng = np.random.default_rng(look.texture_seed)
    width, height = CANVAS_WH
    folds = (
        1.0
        + 0.06 * smooth_noise(rng, (height, width), 18)
        + 0.06 * smooth_noise(rng, (height, width), 6)
    )
    canvas = np.zeros((height, width, 4), np.float32)
    light = float(rng.uniform(-0.28, 0.28))
    parts = _Skeleton(look, heading, phase, walking).parts()
    for part in sorted(parts, key=lambda p: -p.depth):
        _paint(canvas, part, look, folds, light)
    return Sprite.from_canvas(canvas, BODY_PX / look.height_m, (width / 2, SOLE_ROW))


class _Skeleton:
    def __init__(self, look: Look, heading: float, phase: float, walking: bool) -> None:
        self.look = look
        self.sin, self.cos = math.sin(heading), math.cos(heading)
        self.phase = phase
        self.swing = 1.0 if walking else 0.06
        ankles = [self._leg(side)[2] for side in (-1, 1)]
        self.lift = min(a[2] for a in ankles) - 0.035

    def parts(self) -> list[_Part]:
        """All parts of the figure, with their depths."""
        parts = [*self._torso(), *self._head(), *self._bag()]
        for side in (-1, 1):
            parts += self._leg_parts(side) + self._arm_parts(side)
        return parts

    def _leg(self, side: int) -> list[tuple[float, float, float]]:
        phase = self.phase + (math.pi if side > 0 else 0.0)
        thigh = self.swing * 0.43 * math.sin(phase) + 0.03
        knee_flex = self.swing * (0.12 + 0.75 * max(0.0, math.cos(phase)))
        hip = (0.0, side * 0.048, 0.515)
        knee = (hip[0] + 0.245 * math.sin(thigh), side * 0.047, hip[2] - 0.245 * math.cos(thigh))
        shin = thigh - knee_flex
        ankle = (knee[0] + 0.235 * math.sin(shin), side * 0.045, knee[2] - 0.235 * math.cos(shin))
        toe = (
            ankle[0] + 0.085 * math.cos(shin * 0.6),
            side * 0.055,
            ankle[2] - 0.018 + 0.085 * math.sin(shin * 0.6),
        )
        return [hip, knee, ankle, toe]

    def _arm(self, side: int) -> list[tuple[float, float, float]]:
        phase = self.phase + (math.pi if side > 0 else 0.0)
        swing = -self.swing * 0.40 * math.sin(phase)
        out = 0.103 * self.look.build
        shoulder = (0.0, side * out, 0.80)
        elbow = (0.17 * math.sin(swing), side * (out + 0.022), 0.80 - 0.17 * math.cos(swing))
        bend = swing + 0.15 + 0.25 * self.swing
        hand = (
            elbow[0] + 0.155 * math.sin(bend),
            side * (out + 0.012),
            elbow[2] - 0.155 * math.cos(bend),
        )
        return [shoulder, elbow, hand]

    def _leg_parts(self, side: int) -> list[_Part]:
        look = self.look
        hip, knee, ankle, toe = self._leg(side)
        bare = look.legs in ("shorts", "skirt")
        wide = look.build * (1.0 if bare else 1.08)
        shin = look.skin if bare and look.texture_seed % 2 else look.lower
        return [
            self._part(hip, knee, 0.056 * wide, 0.040 * wide, look.lower),
            self._part(knee, ankle, 0.039 * wide, 0.026 * wide, shin, shift=0.001),
            self._part(ankle, toe, 0.026, 0.019, look.shoes, shift=0.002),
        ]

    def _arm_parts(self, side: int) -> list[_Part]:
        look = self.look
        shoulder, elbow, hand = self._arm(side)
        sleeve = (
            look.skin
            if look.garment in ("shirt", "dress") and look.texture_seed % 3 == 0
            else look.upper
        )
        thick = look.build * (1.2 if look.garment in ("jacket", "coat") else 1.0)
        return [
            self._part(shoulder, elbow, 0.032 * thick, 0.027 * thick, look.upper),
            self._part(elbow, hand, 0.027 * thick, 0.02 * thick, sleeve, shift=-0.001),
            self._part(hand, (hand[0], hand[1], hand[2] - 0.03), 0.019, 0.015, look.skin),
        ]

    def _torso(self) -> list[_Part]:
        look = self.look
        shoulders, waist = self._width(0.112, 0.062), self._width(0.088, 0.062)
        hem = {"coat": 0.30, "dress": 0.33}.get(look.garment, 0.47)
        hips = self._width(0.095, 0.072) * (1.0 if hem > 0.4 else 1.18)
        parts = [
            self._part(
                (0.01, 0, 0.775), (0, 0, 0.62), shoulders, waist, look.upper, pattern=look.pattern
            ),
            self._part(
                (0, 0, 0.62),
                (0, 0, hem + 0.06),
                waist,
                hips,
                look.upper,
                shift=-0.09,
                pattern=look.pattern,
            ),
        ]
        if look.legs == "skirt":
            parts.append(
                self._part(
                    (0, 0, 0.53), (0, 0, 0.36), hips * 0.9, hips * 1.15, look.lower, shift=-0.085
                )
            )
        return parts

    def _head(self) -> list[_Part]:
        look = self.look
        bare = look.hair_style == "bald"
        back = self._part(
            (-0.018, 0, 0.955), (-0.022, 0, 0.925), 0.048, 0.046, look.skin if bare else look.hair
        )
        face = self._part((0.012, 0, 0.935), (0.018, 0, 0.905), 0.043, 0.034, look.skin)
        neck = self._part((0, 0, 0.88), (0, 0, 0.83), 0.028, 0.034, look.skin, shift=0.002)
        crown = self._part(
            (-0.006, 0, 0.962),
            (-0.01, 0, 0.957),
            0.041,
            0.041,
            look.skin if bare else look.hair,
            shift=-0.03,
        )
        parts = [back, face, neck, crown]
        if look.hair_style == "long":
            parts.append(self._part((-0.035, 0, 0.94), (-0.045, 0, 0.82), 0.05, 0.042, look.hair))
        if look.hair_style == "hood":
            parts.append(self._part((-0.025, 0, 0.945), (-0.03, 0, 0.87), 0.058, 0.05, look.upper))
        if look.hair_style == "hat":
            parts.append(
                self._part((0, 0, 0.972), (0.01, 0, 0.958), 0.046, 0.052, look.second, shift=-0.04)
            )
        return parts

    def _bag(self) -> list[_Part]:
        look = self.look
        if look.bag == "backpack":
            return [
                self._part(
                    (-0.09, 0, 0.77),
                    (-0.10, 0, 0.61),
                    self._width(0.075, 0.045),
                    self._width(0.08, 0.055),
                    look.second,
                )
            ]
        if look.bag == "shoulder":
            return [self._part((-0.01, 0.12, 0.60), (0.0, 0.13, 0.52), 0.042, 0.05, look.second)]
        if look.bag == "hand":
            hand = self._arm(1)[2]
            return [
                self._part(
                    (hand[0], hand[1], hand[2] - 0.07),
                    (hand[0], hand[1], hand[2] - 0.15),
                    0.035,
                    0.05,
                    look.second,
                )
            ]
        return []

    def _width(self, lateral: float, depth: float) -> float:
        across = math.hypot(lateral * self.cos, depth * self.sin)
        return across * self.look.build

    def _part(
        self,
        a: tuple[float, float, float],
        b: tuple[float, float, float],
        radius_a: float,
        radius_b: float,
        colour: Colour,
        shift: float = 0.0,
        pattern: str = "plain",
    ) -> _Part:
        depth = ((a[0] + b[0]) * self.cos - (a[1] + b[1]) * self.sin) / 2 + shift
        return _Part(
            self._project(a),
            self._project(b),
            radius_a * BODY_PX,
            radius_b * BODY_PX,
            colour,
            depth,
            pattern,
        )

    def _project(self, joint: tuple[float, float, float]) -> Point:
        x = joint[0] * self.sin + joint[1] * self.cos
        up = joint[2] - self.lift
        return CANVAS_WH[0] / 2 + x * BODY_PX, SOLE_ROW - up * BODY_PX


def _paint(
    canvas: FloatImage, part: _Part, look: Look, folds: NDArray[np.float32], light: float
) -> None:
    """Paint one limb over the premultiplied canvas, shaded like a cylinder."""
    reach = max(part.radius_a, part.radius_b) + 2
    x0 = max(0, int(min(part.a[0], part.b[0]) - reach))
    x1 = min(canvas.shape[1], int(max(part.a[0], part.b[0]) + reach) + 1)
    y0 = max(0, int(min(part.a[1], part.b[1]) - reach))
    y1 = min(canvas.shape[0], int(max(part.a[1], part.b[1]) + reach) + 1)
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    dx, dy = part.b[0] - part.a[0], part.b[1] - part.a[1]
    length2 = dx * dx + dy * dy + 1e-6
    along = np.clip(((x - part.a[0]) * dx + (y - part.a[1]) * dy) / length2, 0, 1)
    off_x, off_y = x - part.a[0] - along * dx, y - part.a[1] - along * dy
    radius = part.radius_a + along * (part.radius_b - part.radius_a)
    # the end caps of wide parts are flattened: shoulders and hems are not half circles
    flat = 1.0 if reach < 0.09 * BODY_PX else 2.2
    distance = np.hypot(off_x, off_y * flat)
    alpha = np.clip(radius - distance + 0.5, 0, 1)[..., None]
    across = np.clip(off_x / np.maximum(radius, 1), -1, 1)
    shade = (0.98 + light * across - 0.30 * across**4) * folds[y0:y1, x0:x1]
    shade *= 1.04 - 0.12 * (y - y0) / max(1, y1 - y0)
    colour = _pattern(part, look, x, y) * shade[..., None]
    view = canvas[y0:y1, x0:x1]
    view *= 1 - alpha
    view[..., :3] += np.clip(colour, 0, 255) * alpha
    view[..., 3:] += 255 * alpha


def _pattern(part: _Part, look: Look, x: FloatImage, y: FloatImage) -> FloatImage:
    base = np.array(part.colour, np.float32)
    second = np.array(look.second, np.float32)
    pitch = 6 + look.texture_seed % 10
    if part.pattern == "stripes":
        on = (y % pitch) < pitch * 0.45
    elif part.pattern == "check":
        on = ((y % pitch) < pitch * 0.5) ^ ((x % pitch) < pitch * 0.5)
    elif part.pattern == "yoke":
        on = y < SOLE_ROW - 0.72 * BODY_PX
    elif part.pattern == "open":
        on = np.abs(x - (part.a[0] + part.b[0]) / 2) < 0.022 * BODY_PX
    else:
        return base
    weight = np.where(on, 0.8, 0.0).astype(np.float32)[..., None]
    return np.asarray(base * (1 - weight) + second * weight, np.float32)
