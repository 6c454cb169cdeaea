"""Where the pedestrians of a drive are and how they look at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tasksr_ros.synthetic.config import DriveConfig
from tasksr_ros.synthetic.people import Look, draw_person, random_look
from tasksr_ros.synthetic.sprites import Drawn, Sprite, place
from tasksr_ros.synthetic.street import KERB_X, View

_PHASES = 10
_NEAREST = 4.0
_SPRITES = 256
_LOOK, _HEADING = range(2)


@dataclass(frozen=True)
class _Person:
    """One pedestrian.

    Attributes:
        look: clothes and proportions.
        along, aside: world z and x, m, at the time when the vehicle is half-way to them.
        velocity: along x and z, m/s.
        reach: how far from the middle of the road they walk, m.
        heading: see `people`.
    """

    look: Look
    along: float
    aside: float
    velocity: tuple[float, float]
    reach: float
    heading: float


class Crowd:
    """The pedestrians of a drive: evenly spread along the road, so that all distances occur.

    Args:
        config: of the drive.
        wall_x: distance of the nearer facade from the middle of the road, m.
        seed: of everything random.
    """

    def __init__(self, config: DriveConfig, wall_x: float, seed: tuple[int, ...]) -> None:
        self.config = config
        self.wall_x = wall_x
        self.seed = seed
        distances = config.max_distance - config.min_distance
        self.spacing = distances / max(config.num_pedestrians, 1)
        self._person = lru_cache(maxsize=_SPRITES)(self._make_person)
        self._sprite = lru_cache(maxsize=_SPRITES)(self._draw_person)

    def drawn(self, view: View, time: float) -> Iterator[Drawn]:
        """Everybody in the view at ``time`` (s), each with a shadow."""
        c = self.config
        if not c.num_pedestrians:
            return
        # nobody walks farther than this before the vehicle has passed
        slack = 2.5 * (c.max_distance - c.min_distance) / c.speed
        first = max(0, math.floor((view.z - slack) / self.spacing))
        last = math.ceil((view.z + c.max_distance + slack) / self.spacing)
        for k in range(first, last + 1):
            person = self._person(k)
            x, z = self._where(person, time)
            if _NEAREST <= z - view.z <= c.max_distance:
                yield from self._draw(k, person, view, time, x, z - view.z)

    def _draw(
        self, k: int, person: _Person, view: View, time: float, x: float, distance: float
    ) -> Iterator[Drawn]:
        camera, exposure = view.camera, self.config.exposure_s
        walking = person.velocity != (0.0, 0.0) and abs(x) < person.reach
        cadence = 0.62 * math.hypot(*person.velocity)
        phase = int(time * cadence * _PHASES + k) % _PHASES if walking else 0
        sprite = self._sprite(k, phase, walking)
        foot = view.project(x, 0.0 if abs(x) < KERB_X else 0.12, distance)
        scale = camera.fy / distance
        nearing = (self.config.speed - person.velocity[1]) / distance
        motion = (
            (person.velocity[0] * scale * walking + (foot[0] - camera.cx) * nearing) * exposure,
            (foot[1] - view.horizon) * nearing * exposure,
        )
        size = camera.width, camera.height
        shadow = place(_SHADOW, foot, scale, size)
        patch = place(sprite, foot, scale, size, motion)
        if shadow is not None:
            yield Drawn(distance + 0.3, shadow)
        if patch is not None:
            yield Drawn(distance, patch, k, sprite.box_at(foot, scale))

    def _make_person(self, k: int) -> _Person:
        rng = np.random.default_rng((*self.seed, k, _LOOK))
        pace = float(rng.uniform(0.9, 1.7))
        kind, side = rng.random(), float(rng.choice([-1, 1]))
        along = self.config.min_distance + (k + float(rng.random())) * self.spacing
        velocity, reach = (0.0, 0.0), math.inf
        inner = min(self.wall_x - 0.8, KERB_X + 2.2)
        aside = side * float(rng.uniform(KERB_X + 0.3, inner))
        if kind > 0.88:
            aside = side * float(rng.uniform(KERB_X - 1.2, KERB_X - 0.3))
        if kind < 0.4:
            velocity, aside = (side * pace, 0.0), float(rng.uniform(-2, 2))
            reach = KERB_X + 0.7
        elif kind < 0.85:
            velocity = (0.0, pace * float(rng.choice([-1, 1])))
        heading = self._heading(velocity, np.random.default_rng((*self.seed, k, _HEADING)))
        return _Person(random_look(rng), along, aside, velocity, reach, heading)

    def _where(self, person: _Person, time: float) -> tuple[float, float]:
        """World x, z. Who crosses the road stays at the kerb before and after."""
        c = self.config
        half_way = (c.min_distance + c.max_distance) / 2
        since = time - (person.along - half_way) / c.speed
        x = person.aside + person.velocity[0] * since
        return (max(-person.reach, min(person.reach, x)), person.along + person.velocity[1] * since)

    def _heading(self, velocity: tuple[float, float], rng: np.random.Generator) -> float:
        if velocity[0]:
            heading = math.copysign(math.pi / 2, velocity[0])
        elif velocity[1]:
            heading = 0.0 if velocity[1] > 0 else math.pi
        else:
            heading = float(rng.uniform(0, 2 * math.pi))
        return heading + float(rng.normal(0, 0.3))

    def _draw_person(self, k: int, phase: int, walking: bool) -> Sprite:
        person = self._person(k)
        return draw_person(person.look, person.heading, 2 * math.pi * phase / _PHASES, walking)


def _make_shadow() -> Sprite:
    y, x = np.mgrid[-1:1:24j, -1:1:96j]
    canvas = np.zeros((24, 96, 4), np.float32)
    canvas[..., 3] = 175 * np.clip(1.15 - np.hypot(x, y), 0, 1)
    return Sprite.from_canvas(np.pad(canvas, ((4, 4), (4, 4), (0, 0))), 105, (52, 16))


_SHADOW = _make_shadow()
