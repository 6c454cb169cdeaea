"""How far away each detected person is, and how sure that is.

Two measurements of the inverse depth, which are as good as normally distributed there: the row of
the feet on a flat road, and the height of the box. Each has a standard deviation of its own, and
both suffer alike where the box ends above the feet; they are weighted by that, and the more they
contradict each other (feet hidden, a child, a kerb, a slope) the less the result says. No ROS in
here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.camera import CameraModel
from tasksr_ros.config import RangeConfig, RegionConfig

PEOPLE = frozenset({"pedestrian", "person"})
"""Classes whose height is known."""

FOOT_NOISE, HEAD_NOISE, BOX_NOISE_PX = 0.075, 0.03, 0.7
"""Standard deviations of a box's lower and upper edge: shares of its height, and px of both.

Feet are hidden (kerbs, walls, parked cars) more often than heads.
"""

FARTHEST = 300.0
"""Depths beyond this, m, are as good as infinite: they are not stated."""

CUT = 2.0
"""Boxes that end this near to the image's lower border, px, hide the feet."""

_WIDTH = 0.6
_MEMORY_S = 5.0
_LEAST_SPREAD = math.radians(0.15)


@dataclass(frozen=True, eq=False)
class Ranges:
    """Where the people of one frame stand.

    Attributes:
        depth: (N,) m of the feet along the camera's axis, as KITTI and CameraInfo count it; NaN
            where it cannot be told.
        deviation: (N,) its standard deviation, m.
        feet: (N, 3) m, the camera's optical frame: x right, y down, z forward.
        covariance: (N, 3, 3) m², of ``feet``.
        size: (N, 3) m, about: width, height, depth of the person.
    """

    depth: NDArray[np.float64]
    deviation: NDArray[np.float64]
    feet: NDArray[np.float64]
    covariance: NDArray[np.float64]
    size: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.depth)

    def select(self, index: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Ranges:
        """The people at ``index``, in its order."""
        return Ranges(
            self.depth[index],
            self.deviation[index],
            self.feet[index],
            self.covariance[index],
            self.size[index],
        )


@dataclass(frozen=True, eq=False)
class _Inverse:
    """(N,) inverse depths, 1/m, and their standard deviations; infinite where nothing is known.

    ``by_feet`` is the part of the deviation that is due to the box's lower edge.
    """

    value: NDArray[np.float64]
    deviation: NDArray[np.float64]
    by_feet: NDArray[np.float64]


class Ranging:
    """Ranges of one camera's detections.

    With ``range.estimate_pitch`` the pitch follows what the feet and heights of the people say;
    the frames must then come in the order of their stamps.

    Args:
        config: of the people and the road.
        mounting: height and pitch of the camera.
        classes: names by class id; people have a known height.
    """

    def __init__(self, config: RangeConfig, mounting: RegionConfig, classes: Sequence[str]) -> None:
        self.config = config
        self.mounting = mounting
        self._is_person = np.array([name.lower() in PEOPLE for name in classes], np.bool_)
        self.reset()

    def reset(self) -> None:
        """Forget what was learnt of the pitch."""
        self.pitch = math.radians(self.mounting.camera_pitch)
        """Estimate of the pitch below the horizon, radians."""
        self.pitch_spread = math.radians(self.config.pitch_spread)
        """Its standard deviation under one person, with the slope of the road, radians."""
        self._newest_ns: int | None = None

    def follow(self, other: Ranging) -> None:
        """Go on with the pitch of another one of the same camera, if its mounting is the same."""
        if (other.config, other.mounting) == (self.config, self.mounting):
            self.pitch, self.pitch_spread = other.pitch, other.pitch_spread
            self._newest_ns = other._newest_ns

    def ranges(
        self, xyxy: NDArray[np.floating], class_id: NDArray[np.integer], camera: CameraModel
    ) -> Ranges:
        """Ranges of detections.

        Of a box that is cut off by the lower border of the image, only the nearest visible point
        of the road bounds the depth: it is taken to lie evenly between half of that and that.

        Args:
            xyxy: (N, 4) image px of the camera's image.
            class_id: (N,).
            camera: intrinsics of that image.
        """
        given = np.asarray(xyxy, np.float64).reshape(-1, 4)
        boxes = _straightened(given, camera)
        road = self._of_feet(boxes, camera)
        tall = self._of_height(boxes, camera, self._is_person[class_id])
        cut = given[:, 3] > camera.height - CUT
        inverse, deviation = _fused(road, tall)
        inverse = np.where(cut, road.value / 0.75, inverse)
        deviation = np.where(cut, inverse * (0.5 / math.sqrt(12) / 0.75), deviation)
        with np.errstate(divide="ignore", invalid="ignore"):
            known = np.isfinite(deviation) & (inverse > 1 / FARTHEST)
            depth = np.where(known, 1 / inverse, np.nan)
            spread = depth**2 * deviation
        return _placed(boxes, depth, spread, camera)

    def learn(
        self,
        xyxy: NDArray[np.floating],
        class_id: NDArray[np.integer],
        stamp_ns: int,
        camera: CameraModel,
    ) -> None:
        """Follow the pitch by the people of a frame; does nothing without ``estimate_pitch``.

        Each person's height says where the horizon should be above their feet. A person's height
        does not change from frame to frame, so that looking longer at the same people does not
        make the pitch surer: all people of a frame count as one measurement, the median, and it
        is followed within about 5 s. An older frame changes nothing.

        Args:
            xyxy: (N, 4) boxes of the tracked people (else of the surest), image px.
            class_id: (N,).
            stamp_ns: of the frame.
            camera: intrinsics of that image.
        """
        if not self.config.estimate_pitch or (self._newest_ns or 0) > stamp_ns:
            return
        since_s = _MEMORY_S if self._newest_ns is None else (stamp_ns - self._newest_ns) / 1e9
        self._newest_ns = stamp_ns
        given = np.asarray(xyxy, np.float64).reshape(-1, 4)
        whole = self._is_person[class_id] & (given[:, 3] <= camera.height - CUT)
        boxes = _straightened(given[whole], camera)
        boxes = boxes[np.isfinite(boxes).all(1)]
        if not len(boxes):
            return
        tall = self._of_height(boxes, camera, np.ones(len(boxes), np.bool_))
        height_m = self.mounting.camera_height
        said = np.arctan(height_m * tall.value) - _below(boxes[:, 3], camera)
        spread = np.hypot(height_m * tall.deviation, _foot_px(boxes) / camera.fy)
        # A normal median is 1.25 times less sure than the mean of all.
        measured, noise = float(np.median(said)), float(1.25 * np.median(spread))
        noise /= math.sqrt(len(boxes))
        prior = math.radians(self.config.pitch_spread)
        before = min(prior, math.hypot(self.pitch_spread, prior * math.sqrt(since_s / _MEMORY_S)))
        share = before**2 / (before**2 + noise**2 + _LEAST_SPREAD**2)
        self.pitch += share * (measured - self.pitch)
        self.pitch_spread = max(_LEAST_SPREAD, before * math.sqrt(1 - share))

    def _of_feet(self, boxes: NDArray[np.float64], camera: CameraModel) -> _Inverse:
        """By the row of the feet on a flat road.

        A point of the road at angle a below the horizon is seen at angle b = a - pitch below the
        axis: its depth is height * cos(b) / sin(a).
        """
        height_m = self.mounting.camera_height
        below = _below(boxes[:, 3], camera)
        angle = below + self.pitch
        value = np.sin(angle) / np.cos(below) / height_m
        pitched = np.cos(angle) / np.cos(below) / height_m * self.pitch_spread
        measured = math.cos(self.pitch) / height_m * _foot_px(boxes) / camera.fy
        mounted = value * self.config.camera_height_spread / height_m
        return _Inverse(value, np.sqrt(pitched**2 + measured**2 + mounted**2), measured)

    def _of_height(
        self,
        boxes: NDArray[np.float64],
        camera: CameraModel,
        is_person: NDArray[np.bool_],
    ) -> _Inverse:
        """By the height of the box."""
        height = np.maximum(boxes[:, 3] - boxes[:, 1], 1e-3)
        per_px = 1 / (camera.fy * self.config.person_height)
        among_people = height * self.config.height_spread / self.config.person_height
        feet, head = _foot_px(boxes), _edge_px(boxes, HEAD_NOISE)
        deviation = per_px * np.sqrt(among_people**2 + feet**2 + head**2)
        return _Inverse(height * per_px, np.where(is_person, deviation, np.inf), per_px * feet)


def _straightened(boxes: NDArray[np.float64], camera: CameraModel) -> NDArray[np.float64]:
    """Where a pinhole camera would see head and feet; NaN where it cannot see them."""
    if not camera.distortion:
        return boxes
    middle = (boxes[:, 0] + boxes[:, 2]) / 2
    half = (boxes[:, 2] - boxes[:, 0]) / 2
    head, foot = (_seen(np.stack((middle, rows), 1), camera) for rows in (boxes[:, 1], boxes[:, 3]))
    return np.stack((foot[:, 0] - half, head[:, 1], foot[:, 0] + half, foot[:, 1]), 1)


def _seen(points: NDArray[np.float64], camera: CameraModel) -> NDArray[np.float64]:
    """(N, 2) image px as a pinhole camera has them; NaN of those beyond the lens's model."""
    straight = camera.straightened(points)
    rays = np.concatenate((straight, np.ones((len(straight), 1))), 1)
    rays[:, :2] = (straight - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    back = camera.project(np.nan_to_num(rays))
    return np.where(np.abs(back - points).max(1, keepdims=True) < 1, straight, np.nan)


def _foot_px(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return _edge_px(boxes, FOOT_NOISE)


def _edge_px(boxes: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    return np.asarray(np.hypot(share * (boxes[:, 3] - boxes[:, 1]), BOX_NOISE_PX))


def _below(rows: NDArray[np.float64], camera: CameraModel) -> NDArray[np.float64]:
    """Angle of rows below the optical axis, radians."""
    return np.arctan((rows - camera.cy) / camera.fy)


def _fused(road: _Inverse, tall: _Inverse) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weighted mean and its standard deviation.

    A box that ends above the feet makes both say too far: that part is common to them. Where they
    are more than one deviation apart, the result's grows in proportion (Birge's ratio).
    """
    common = road.by_feet * tall.by_feet
    own, other = road.deviation**2, tall.deviation**2
    between = own + other - 2 * common
    weight = np.clip((own - common) / between, 0, 1)
    apart = tall.value - road.value
    with np.errstate(invalid="ignore"):
        mixed = (1 - weight) ** 2 * own + weight**2 * other + 2 * weight * (1 - weight) * common
    variance = np.where(np.isfinite(other), mixed, own)
    birge = np.maximum(1, np.abs(apart) / np.sqrt(between))
    return road.value + weight * apart, np.sqrt(variance) * birge


def _placed(
    boxes: NDArray[np.float64],
    depth: NDArray[np.float64],
    deviation: NDArray[np.float64],
    camera: CameraModel,
) -> Ranges:
    """Feet on the ray through the middle of the box's lower edge, at that depth."""
    ray = np.stack(
        (
            ((boxes[:, 0] + boxes[:, 2]) / 2 - camera.cx) / camera.fx,
            (boxes[:, 3] - camera.cy) / camera.fy,
            np.ones(len(boxes)),
        ),
        1,
    )
    noise_px = _foot_px(boxes)
    across = np.stack((noise_px / camera.fx, noise_px / camera.fy, 0 * noise_px), 1)
    covariance = ray[:, :, None] * ray[:, None, :] * (deviation**2)[:, None, None]
    covariance += np.eye(3) * ((across * depth[:, None]) ** 2)[:, :, None]
    height = (boxes[:, 3] - boxes[:, 1]) / camera.fy * depth
    size = np.stack((np.full_like(depth, _WIDTH), height, np.full_like(depth, _WIDTH)), 1)
    return Ranges(depth, deviation, ray * depth[:, None], covariance, size)
