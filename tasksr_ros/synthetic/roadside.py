"""Where the things along the road stand."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tasksr_ros.synthetic.clutter import CAR_LENGTH, KINDS, draw_car, draw_clutter
from tasksr_ros.synthetic.config import DriveConfig
from tasksr_ros.synthetic.sprites import Drawn, place
from tasksr_ros.synthetic.street import KERB_X, View

_NEAREST = 3.0
_FARTHEST = 220.0
_THING_SPACING = 9.0
_CAR_SPACING = 6.2
_VARIANTS = 5
_MOST_CARS = 0.22
_THINGS, _CARS, _LOOKS, _DENSITY = range(4)


class Roadside:
    """Trees, poles, signs, boxes and parked cars on both sides of the road.

    Args:
        config: of the drive.
        wall_x: distances of the left and right facades from the middle of the road, m.
        seed: of everything random.
    """

    def __init__(
        self, config: DriveConfig, wall_x: tuple[float, float], seed: tuple[int, ...]
    ) -> None:
        self.config = config
        self.wall_x = wall_x
        self.seed = seed
        self.car_density = float(self._rng(_DENSITY).uniform(0.0, _MOST_CARS))
        rng = self._rng(_LOOKS)
        self.things = {kind: [draw_clutter(kind, rng) for _ in range(_VARIANTS)] for kind in KINDS}

    def drawn(self, view: View) -> Iterator[Drawn]:
        """Everything in the view."""
        for k, side in _places(view, _THING_SPACING):
            yield from self._thing(view, k, side)
        for k, side in _places(view, _CAR_SPACING):
            yield from self._car(view, k, side)

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng((*self.seed, *key))

    def _thing(self, view: View, k: int, side: int) -> Iterator[Drawn]:
        rng = self._rng(_THINGS, k, side)
        distance = (k + rng.random()) * _THING_SPACING - view.z
        if rng.random() < 0.3 or not _NEAREST < distance < _FARTHEST:
            return
        at_kerb = rng.random() < 0.4
        x = KERB_X + (0.45 if at_kerb else rng.uniform(0.4, self.wall_x[side] - 0.6 - KERB_X))
        sprite = self.things[KINDS[rng.integers(len(KINDS))]][rng.integers(_VARIANTS)]
        foot = view.project(x * (2 * side - 1), 0.12, distance)
        passed = self.config.speed * self.config.exposure_s / distance
        motion = (foot[0] - view.camera.cx) * passed, (foot[1] - view.horizon) * passed
        size = view.camera.width, view.camera.height
        patch = place(sprite, foot, view.camera.fy / distance, size, motion)
        if patch is not None:
            yield Drawn(distance, patch)

    def _car(self, view: View, k: int, side: int) -> Iterator[Drawn]:
        rng = self._rng(_CARS, k, side)
        room = _CAR_SPACING - CAR_LENGTH - 0.4
        distance = k * _CAR_SPACING + rng.uniform(0, room) - view.z
        if rng.random() > self.car_density or not _NEAREST < distance < _FARTHEST:
            return
        x = (2 * side - 1) * (KERB_X - 1.15 + rng.normal(0, 0.06))
        patch = draw_car(rng, view, x, distance)
        if patch is not None:
            yield Drawn(distance, patch)


def _places(view: View, spacing: float) -> Iterator[tuple[int, int]]:
    first, last = math.floor(view.z / spacing), math.ceil((view.z + _FARTHEST) / spacing)
    return ((k, side) for k in range(first, last) for side in (0, 1))
