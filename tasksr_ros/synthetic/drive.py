"""A generated drive: a street with pedestrians at known distances, seen by a moving camera.

It is a range test card and additional training data. It says nothing about accuracy on real
roads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.camera import CameraModel
from tasksr_ros.io.frames import Frame
from tasksr_ros.synthetic.config import DriveConfig
from tasksr_ros.synthetic.crowd import Crowd
from tasksr_ros.synthetic.roadside import Roadside
from tasksr_ros.synthetic.sensor import Sensor
from tasksr_ros.synthetic.sprites import Drawn, composite, veil, visible_share
from tasksr_ros.synthetic.street import Scenery, View, draw_scenery
from tasksr_ros.synthetic.textures import build_scenery

__all__ = ["Annotation", "DriveConfig", "GeneratedDrive"]

_LANE_X = 1.7
_IGNORE_VISIBLE = 0.35
_IGNORE_HEIGHT = 6.0
_LEAST_INSIDE = 0.05
_WEATHER, _STREET, _PEOPLE, _ROADSIDE, _SENSOR, _EXPOSURE = range(6)


@dataclass(frozen=True)
class Annotation:
    """One pedestrian in one frame.

    Attributes:
        bbox: x, y, width, height in image px: the whole person, hidden parts too, clipped to
            the image.
        height: of the person in the image, px, before clipping.
        distance_m: along the optical axis.
        vis_ratio: share of the person that is seen, 0..1.
        track_id: the same for one person in all frames.
        ignore: too much hidden or too small to count.
    """

    bbox: tuple[float, float, float, float]
    height: float
    distance_m: float
    vis_ratio: float
    track_id: int
    ignore: bool


class GeneratedDrive:
    """A drive of ``config.num_frames`` frames; the same config gives the same pixels.

    Args:
        config: what is generated.
    """

    def __init__(self, config: DriveConfig) -> None:
        self.config = config
        focal = config.width / 2 / math.tan(math.radians(config.hfov_deg) / 2)
        self.camera = CameraModel(
            config.width, config.height, focal, focal, config.width / 2, config.height / 2
        )
        rng = self._rng(_WEATHER)
        self._sunny = bool(rng.random() < 0.45)
        self._light = float(rng.choice([1.2, 1.1, 1.0, 0.85, 0.6]))
        self._visibility = float(rng.uniform(350, 1500))
        self._motion_phases = rng.uniform(0, 2 * math.pi, 3)

    def __len__(self) -> int:
        return self.config.num_frames

    def __iter__(self) -> Iterator[tuple[Frame, list[Annotation]]]:
        return (self.frame(index) for index in range(len(self)))

    def frame(self, index: int) -> tuple[Frame, list[Annotation]]:
        """Frame ``index`` (bgr8) and who is in it, the nearest last."""
        image, annotations = self._render(index)
        if self.config.jpeg_quality:
            image = np.asarray(cv2.imdecode(self._encode(image), cv2.IMREAD_COLOR), np.uint8)
        return Frame(image, self.stamp_ns(index), "camera", "bgr8"), annotations

    def jpeg(self, index: int) -> tuple[bytes, list[Annotation]]:
        """Frame ``index`` as a JPEG file and who is in it; `frame` gives the same pixels."""
        image, annotations = self._render(index)
        return self._encode(image).tobytes(), annotations

    def stamp_ns(self, index: int) -> int:
        """Acquisition time of frame ``index``."""
        return self.config.start_ns + round(index * 1e9 / self.config.fps)

    @cached_property
    def _scenery(self) -> Scenery:
        motion = self.config.speed * self.config.exposure_s
        return build_scenery(self._rng(_STREET), self.camera, motion, self._sunny)

    @cached_property
    def _crowd(self) -> Crowd:
        return Crowd(self.config, min(self._scenery.wall_x), (self.config.seed, _PEOPLE))

    @cached_property
    def _roadside(self) -> Roadside:
        return Roadside(self.config, self._scenery.wall_x, (self.config.seed, _ROADSIDE))

    @cached_property
    def _sensor(self) -> Sensor:
        rng = self._rng(_SENSOR)
        return Sensor.random(rng, self.config.width, self.config.height, self._light)

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng((self.config.seed, *key))

    def _view(self, time: float) -> View:
        """Where the camera is: it drives straight on, sways a little and pitches."""
        c, phases = self.config, self._motion_phases
        pitch = c.pitch_deg * (
            0.7 * math.sin(7.1 * time + phases[0]) + 0.3 * math.sin(16.9 * time + phases[1])
        )
        sway = 0.12 * math.sin(0.6 * time + phases[2])
        horizon = self.camera.cy - self.camera.fy * math.tan(math.radians(pitch))
        return View(self.camera, c.camera_height, _LANE_X + sway, c.speed * time, horizon)

    def _render(self, index: int) -> tuple[NDArray[np.uint8], list[Annotation]]:
        if not 0 <= index < len(self):
            raise IndexError(f"frame must be between 0 and {len(self) - 1}, got {index}")
        time = index / self.config.fps
        view = self._view(time)
        pitch_px = self._view(time + self.config.exposure_s).horizon - view.horizon
        image = draw_scenery(self._scenery, view, self._visibility)
        drawn = sorted(
            [*self._roadside.drawn(view), *self._crowd.drawn(view, time)],
            key=lambda thing: -thing.distance,
        )
        for thing in drawn:
            transmission = math.exp(-thing.distance / self._visibility)
            composite(image, veil(thing.patch, self._scenery.haze, transmission))
        image = self._sensor.expose(image, self._rng(_EXPOSURE, index), pitch_px)
        return image, self._annotations(drawn)

    def _encode(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        quality = self.config.jpeg_quality or 100
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(data, np.uint8)

    def _annotations(self, drawn: list[Drawn]) -> list[Annotation]:
        people = (k for k, thing in enumerate(drawn) if thing.track_id >= 0)
        found = (self._annotation(drawn[k], drawn[k + 1 :]) for k in people)
        return [annotation for annotation in found if annotation is not None]

    def _annotation(self, person: Drawn, nearer: list[Drawn]) -> Annotation | None:
        """None where hardly anything of the person is inside the image's borders."""
        x0, y0, x1, y1 = person.box
        left, right = max(x0, 0.0), min(x1, float(self.config.width))
        top, bottom = max(y0, 0.0), min(y1, float(self.config.height))
        width, height = max(0.0, right - left), max(0.0, bottom - top)
        inside = width * height / ((x1 - x0) * (y1 - y0))
        if inside < _LEAST_INSIDE:
            return None
        visible = inside * visible_share(person.patch, [thing.patch for thing in nearer])
        return Annotation(
            bbox=(round(left, 2), round(top, 2), round(width, 2), round(height, 2)),
            height=round(y1 - y0, 2),
            distance_m=round(person.distance, 3),
            vis_ratio=round(visible, 3),
            track_id=person.track_id,
            ignore=visible < _IGNORE_VISIBLE or y1 - y0 < _IGNORE_HEIGHT,
        )
